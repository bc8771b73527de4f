# SPDX-License-Identifier: Apache-2.0
"""Every kind of proxy × every protocol, through the gateway; and a proxy that is killed is never gone without."""
import contextlib

import grpc
import pytest

from certs import Authority
from grpcpeer import GrpcServer
from h2peer import H2Upstream
from openclawpeer import double
from proxies import KINDS, WITH_LOGIN, proxy
from test_tls import TlsUpstream
from weirtest import Upstream, Weir, wait_for
from wsraw import TEXT, WsClient, echo, upstream


@pytest.fixture(scope="module", name="authority")
def authority_():
    with Authority() as authority:
        yield authority


class Claw:
    """Has a connection from the beginning, which is not a request's."""

    def __init__(self, gateway):
        self.double, self.url = gateway, gateway.http_url


class World:
    """An upstream for each protocol, all behind one proxy, which is the upstream's or its account's; retries none, and no
    connection is used twice."""

    def __init__(self, authority, url, whose="upstream"):
        self.whose = whose
        self.stack = contextlib.ExitStack()
        enter = self.stack.enter_context
        self.http1, self.https = enter(Upstream()), enter(TlsUpstream(authority.sign("127.0.0.1"),
                                                                            host="127.0.0.1"))
        self.h2, self.grpc = enter(H2Upstream()), enter(GrpcServer())
        self.websocket, self.openclaw = enter(upstream(echo)), Claw(enter(double()))
        self.weir = enter(Weir(routes=[{"match": {"path": f"/{name}"}, "upstream": name} for name in
                                       ("http1", "https", "h2", "websocket", "openclaw")]
                               + [{"match": {"path": "/"}, "upstream": "grpc"}],
                               upstreams=[self.behind(name, authority, url) for name in
                                          ("http1", "https", "h2", "websocket", "grpc", "openclaw")]))

    def behind(self, name, authority, url):
        protocol = {"https": "http1", "websocket": "http1"}.get(name, name)
        accounts = [{"name": "a1", "headers": {"x-api-key": "k"}, "proxy": url}]
        whose = {"accounts": accounts} if self.whose == "account" else {"proxy": url}
        return {"name": name, "protocol": protocol, **whose,
                "proxy_tls": {"ca": str(authority.certificate)} if url.startswith("https") else {},
                "tls": {"ca": str(authority.certificate)} if name == "https" else {},
                "openclaw": {"token": "demo"} if name == "openclaw" else {},
                "pool": {"reuse": "never"}, "endpoints": [{"url": getattr(self, name).url}]}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stack.__exit__(*exc)

    def seen(self):
        """What each upstream's own log says."""
        return (self.http1.accepted, self.https.accepted, len(self.h2.peers), len(self.grpc.seen),
                self.websocket.accepted, len(self.openclaw.double.upgrades))

    def execute(self):
        """The status of a request to the OpenClaw gateway."""
        return self.weir.ask("/openclaw/openclaw/echo", method="POST", headers="Content-Length: 2\r\n", body=b"{}").status

    def say(self):
        """The code of a gRPC call."""
        with grpc.insecure_channel(f"127.0.0.1:{self.weir.port}") as channel:
            try:
                channel.unary_unary("/t.T/Echo")(b"hello", timeout=20)
            except grpc.RpcError as failed:
                return failed.code()
        return grpc.StatusCode.OK

    def chat(self):
        """The status of a WebSocket's opening; where it opens, a message must come back."""
        with WsClient(self.weir.port, "/websocket", opens=False) as client:
            status = client.answer.status
        if status == 101:
            with WsClient(self.weir.port, "/websocket") as client:
                client.say(TEXT, b"hello")
                assert client.message() == b"hello"
        return status


@pytest.mark.parametrize("whose", ["upstream", "account"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_protocol_passes_and_none_without_the_proxy(authority, kind, whose):
    with proxy(kind, authority) as (url, kill), World(authority, url, whose) as world:
        for path in ("/http1", "/https", "/h2"):
            assert world.weir.ask(path, host="localhost").status == 200, path
        assert world.say() == grpc.StatusCode.OK
        assert world.chat() == 101
        assert world.execute() == 200
        assert all(world.seen())
        kill()
        world.openclaw.double.behave(hangup=True)  # a tunnel may outlive the listening part of its proxy
        wait_for(lambda: world.openclaw.double.open == 0, "the end of what was there")
        before = world.seen()
        for _ in range(3):
            for path in ("/http1", "/https", "/h2"):
                assert world.weir.ask(path, host="localhost").status in (502, 503), path
            assert world.say() == grpc.StatusCode.UNAVAILABLE
            assert world.chat() in (502, 503)
            assert world.execute() in (502, 503)
        assert world.seen() == before


@pytest.mark.parametrize("whose", ["upstream", "account"])
@pytest.mark.parametrize("kind", WITH_LOGIN)
def test_every_protocol_shows_its_login(authority, kind, whose):
    with proxy(kind, authority, login=True) as (url, _):
        with World(authority, url, whose) as world:
            for path in ("/http1", "/https", "/h2"):
                assert world.weir.ask(path, host="localhost").status == 200, path
            assert world.say() == grpc.StatusCode.OK
            assert world.chat() == 101
            assert world.execute() == 200
        with World(authority, url.replace("p%2Dw", "wrong"), whose) as world:
            for path in ("/http1", "/https", "/h2"):
                assert world.weir.ask(path, host="localhost").status == 502, path
            assert world.say() != grpc.StatusCode.OK
            assert world.chat() == 502
            assert world.execute() in (502, 503)
            assert not any(world.seen())
            assert "wrong" not in world.weir.text()
