# SPDX-License-Identifier: Apache-2.0
"""The library's HTTP, gRPC and WebSocket clients through real proxies (proxy_tool.c, ws_tool.c): all kinds, HTTP/1.1, HTTP/2,
gRPC, TLS, WebSocket over either."""
import json
import os
import pathlib
import subprocess

import pytest

from certs import Authority
from grpcpeer import GrpcServer
from proxies import KINDS, PASSWORD, USER, WITH_LOGIN, proxy
from test_client_websocket import TOOL as WS_TOOL, started, tool as ws_tool
from test_proxies import ANSWERS, HEADS, Scripted
from test_tls import TlsUpstream
from weirtest import ROOT, Upstream, dead_port

TOOL = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test/proxy_tool"


@pytest.fixture(scope="module", name="authority")
def authority_():
    with Authority() as authority:
        yield authority


def tool(what, ca, *words):
    done = subprocess.run([str(TOOL), what, str(ca.certificate if ca else "-"), *map(str, words)], capture_output=True,
                          text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return json.loads(done.stdout)


def asked(what, ca, url, through, *more):
    return tool(what, ca, through, url, *more)["results"]


@pytest.mark.parametrize("kind", KINDS)
def test_http_and_https_pass_and_the_proxy_alone_is_asked(authority, kind):
    with (Upstream() as up, TlsUpstream(authority.sign("127.0.0.1"), host="127.0.0.1") as secure,
          proxy(kind, authority) as (url, kill)):
        assert asked("http", authority, up.url, url) == ["200"]
        assert asked("http", authority, secure.url, url) == ["200"]
        assert (up.requests, secure.requests) == (1, 1)
        kill()
        assert asked("http", authority, up.url, url) == ["proxy"]
        assert asked("http", authority, secure.url, url) == ["proxy"]
        assert (up.requests, secure.requests) == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_http2_and_grpc_pass(authority, kind):
    with GrpcServer() as server, proxy(kind, authority) as (url, kill):
        said = tool("grpc", authority, url, server.url + "/t.T/Echo")
        assert (said["err"], said["status"]) == ("ok", 0), said
        assert server.seen == ["/t.T/Echo"]
        kill()
        said = tool("grpc", authority, url, server.url + "/t.T/Echo")
        assert said["status"] != 0, said
        assert server.seen == ["/t.T/Echo"]


@pytest.mark.parametrize("kind", WITH_LOGIN)
def test_user_and_password(authority, kind):
    with Upstream() as up, proxy(kind, authority, login=True) as (url, _):
        assert asked("http", authority, up.url, url) == ["200"]
        assert asked("http", authority, up.url, url.replace(f"{USER}:", "you:")) == ["proxy"]
        assert asked("http", authority, up.url, url.replace(f"{USER}:p%2Dw@", "")) == ["proxy"]
        assert up.requests == 1


@pytest.mark.parametrize("how", [(), ("--http2", "only")])
@pytest.mark.parametrize("kind", KINDS)
def test_websockets_pass_and_the_proxy_alone_is_asked(authority, kind, how):
    certificate, key = authority.sign("localhost")
    with (started(WS_TOOL, "server") as (plain, said), started(WS_TOOL, "--pair", certificate, key, "server") as (tls, tls_said),
          proxy(kind, authority) as (url, kill)):
        urls = f"ws://localhost:{plain}/", f"wss://localhost:{tls}/"

        def chat(at):
            return ws_tool(*how, "--ca", authority.certificate, "--proxy", url, "client", at, 4, 70_000)
        for at in urls:
            assert (chat(at)["same"], chat(at)["err"]) == (4, "ok")
        kill()
        for at in urls:
            got = chat(at)
            assert (got["same"], got["err"]) == (0, "proxy"), got
    assert said["accepted"] == tls_said["accepted"] == 2, "never without it"


def test_websockets_trust_no_proxy_that_nobody_vouches_for(authority):
    with started(WS_TOOL, "server") as (port, said), proxy("tinyproxy-tls", authority) as (url, _):
        for how in ((), ("--http2", "only")):
            assert ws_tool(*how, "--proxy", url, "client", f"ws://localhost:{port}/", 1, 1)["same"] == 0
    assert said["accepted"] == 0


@pytest.mark.parametrize("how", [(), ("--http2", "only")])
@pytest.mark.parametrize("kind", WITH_LOGIN)
def test_websockets_show_their_login(authority, kind, how):
    with started(WS_TOOL, "server") as (port, said), proxy(kind, authority, login=True) as (url, _):
        for through, same in ((url, 2), (url.replace("p%2Dw", "wrong"), 0)):
            got = ws_tool(*how, "--ca", authority.certificate, "--proxy", through, "client", f"ws://localhost:{port}/", 2, 10)
            assert got["same"] == same, got
    assert said["accepted"] == 1


def test_a_request_chooses_its_own_and_shares_no_other_ones_connection(authority):
    with Upstream() as up, proxy("microsocks", authority, login=True) as (one, _), \
            proxy("tinyproxy", authority) as (two, _):
        said = tool("http", None, two, up.url, one, two, "-", one, two, "-")
        assert said == {"results": ["200"] * 6, "created": 3}
        with_other_login = one.replace(f"{USER}:", "you:")
        said = tool("http", None, "-", up.url, one, with_other_login)
        assert said["results"] == ["200", "proxy"]
        said = tool("http", None, "-", up.url, "socks4://127.0.0.1:1", "localhost:8080")
        assert said["results"] == ["invalid", "invalid"]


@pytest.mark.parametrize("what", ANSWERS)
def test_socks5_answers_that_open_nothing(what):
    with Upstream() as up, Scripted(*ANSWERS[what]) as scripted:
        assert asked("http", None, up.url, f"socks5://127.0.0.1:{scripted.port}") == ["proxy"]
        assert not up.requests


@pytest.mark.parametrize("what", HEADS)
def test_connect_answers_that_open_nothing(what):
    with Upstream() as up, Scripted(HEADS[what]) as scripted:
        assert asked("http", None, up.url, f"http://127.0.0.1:{scripted.port}") == ["proxy"]
        assert not up.requests


def test_a_proxy_whose_certificate_is_no_good(authority):
    with Upstream() as up, Authority("another") as another, proxy("tinyproxy-tls", another) as (url, _):
        assert asked("http", authority, up.url, url) == ["proxy"]
        assert not up.requests
        assert asked("http", another, up.url, url) == ["200"]


# --- weir_proxy_test() ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_test_opens_the_way_and_asks_nothing(authority, kind):
    with Upstream() as up, proxy(kind, authority) as (url, kill):
        said = tool("test", authority, url, "127.0.0.1", up.port)
        assert (said["err"], said["why"]) == ("ok", ""), said
        assert 0 < said["proxy_us"] <= said["total_us"]
        assert not up.requests
        kill()
        said = tool("test", authority, url, "127.0.0.1", up.port)
        assert (said["err"], said["step"]) == ("proxy", "connect") and "refused" in said["why"], said


def test_the_test_says_which_step_failed(authority):
    with Upstream() as up, proxy("microsocks", authority, login=True) as (url, _):
        said = tool("test", None, url.replace("p%2Dw", "wrong"), "127.0.0.1", up.port)
        assert (said["err"], said["step"]) == ("proxy", "proxy"), said
        said = tool("test", None, url, "127.0.0.1", dead_port())
        assert (said["err"], said["step"]) == ("proxy", "proxy"), said
    with Authority("another") as another, proxy("tinyproxy-tls", another) as (url, _):
        said = tool("test", authority, url, "127.0.0.1", 1)
        assert (said["err"], said["step"]) == ("proxy", "proxy_tls"), said
        assert "not signed by a trusted authority" in said["why"]
    said = tool("test", None, "-", "127.0.0.1", dead_port())
    assert (said["err"], said["step"]) == ("refused", "connect"), said
    said = tool("test", None, "ftp://x", "127.0.0.1", 1)
    assert (said["err"], said["fault"]) == ("invalid", "proxy"), said
