# SPDX-License-Identifier: Apache-2.0
"""examples/two-regions.yaml, examples/sidecar.yaml and examples/discovery.yaml, as they are but for ports, among real peers."""
import contextlib
import json
import pathlib
import shutil
import tempfile

import grpc
import pytest

import certs
import peers
from grpcpeer import GrpcServer
from weirtest import ROOT, Client, Weir, free_port, wait_for

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@contextlib.contextmanager
def example(name, env, **changes):
    """A gateway with that example's text, in which each change's old text is replaced; `ports` of its own."""
    ports = {"port": free_port(), "admin": free_port(), "out": free_port()}
    text = (ROOT / f"examples/{name}.yaml").read_text()
    own = {"127.0.0.1:8080": f"127.0.0.1:{ports['port']}", "127.0.0.1:8081": f"127.0.0.1:{ports['out']}",
           "127.0.0.1:9901": f"127.0.0.1:{ports['admin']}"}
    for old, new in {**own, **changes.get("texts", {})}.items():
        text = text.replace(old, new)
    with Weir(config=text, ports=ports, env=env) as weir:
        weir.out = ports["out"]
        yield weir


# --- two regions -------------------------------------------------------------------------------------------------


def server(name):
    return peers.nginx(extra=f'location = /healthz {{ return 200 "fine"; }} location / {{ return 200 "{name}"; }}')


def asked(weir, count=20):
    """Who answered; nothing but 200 will do."""
    with weir.client() as client:
        answers = [client.get(f"/{i}").final() for i in range(count)]
    assert {answer.status for answer in answers} == {200}
    return {answer.body.decode() for answer in answers}


def test_two_regions():
    names = ("eu1", "eu2", "us1", "us2")
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(server(name)) for name in names}
        texts = {f"127.0.0.1:800{i + 1}": f"127.0.0.1:{servers[name].port}" for i, name in enumerate(names)}
        eu = stack.enter_context(example("two-regions", {"REGION": "eu"}, texts=texts))
        us = stack.enter_context(example("two-regions", {"REGION": "us"}, texts=texts))
        assert asked(eu) == {"eu1", "eu2"} and asked(us) == {"us1", "us2"}
        assert json.loads(eu.admin("/api/v1/process").text)["node"] == "gateway-eu"

        servers["eu1"].stop()
        assert asked(eu) == {"eu2"}  # half of them are enough; what eu1 was asked was tried once more
        servers["eu2"].stop()
        wait_for(lambda: asked(eu) == {"us1", "us2"}, "those of the other region")
        assert asked(us) == {"us1", "us2"}
        assert eu.metric("weir_upstream_zone_requests_total", result="far") >= 20
        assert us.metric("weir_upstream_zone_requests_total", result="far") == 0


# --- endpoints that come and go ----------------------------------------------------------------------------------


def test_discovery(tmp_path):
    path = tmp_path / "endpoints.yaml"
    with server("one") as one, server("two") as two:
        path.write_text(f'- 127.0.0.1:{one.port}\n- {{ url: "127.0.0.1:{two.port}", weight: 50 }}\n')
        with example("discovery", {}, texts={"file: endpoints.yaml": f"file: {path}"}) as weir:
            wait_for(lambda: asked(weir) == {"one", "two"}, "both")
            path.with_name("new").write_text(f"- 127.0.0.1:{two.port}\n")
            path.with_name("new").rename(path)
            wait_for(lambda: asked(weir) == {"two"}, "the other list")



# --- a sidecar ---------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def balancer(port):
    """HAProxy, which passes bytes on behind a PROXY header of version 2; its port."""
    front = free_port()
    with tempfile.TemporaryDirectory(prefix="weir-haproxy-") as home:
        command = peers.haproxy_conf(pathlib.Path(home), "tcp", front, f"{port} send-proxy-v2")
        with peers.Server(command, front):
            yield front


@pytest.fixture(name="sidecar")
def between():
    """(weir, the service behind it, somebody else, who wants a certificate)"""
    with certs.Authority() as authority, tempfile.TemporaryDirectory(prefix="weir-tls-") as folder:
        home = pathlib.Path(folder)
        certificate, key = authority.sign("sidecar.example")
        shutil.copy(authority.certificate, home / "ca.pem")
        shutil.copy(certificate, home / "client.pem")
        shutil.copy(key, home / "client.key")
        with GrpcServer() as service, \
                GrpcServer(pair=authority.sign("localhost"), clients_ca=authority.certificate) as other:
            texts = {"127.0.0.1:50051": f"127.0.0.1:{service.port}", "localhost:50052": f"localhost:{other.port}"}
            with example("sidecar", {"TLS_DIR": str(home)}, texts=texts) as weir:
                yield weir, service, other


def call(port, method, kind, said):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        made = getattr(channel, kind)(f"/t.T/{method}")
        answer = made(said, metadata=(("traceparent", TRACE),), timeout=20)
        return answer if isinstance(answer, bytes) else list(answer)


def test_what_comes_for_the_service(sidecar):
    weir, service, _ = sidecar
    with balancer(weir.port) as front:
        assert call(front, "Echo", "unary_unary", b"hello") == b"hello"
        assert call(front, "Count", "unary_stream", b"100") == [b"%d" % i for i in range(100)]
        assert call(front, "Sum", "stream_unary", iter([b"a", b"bc"])) == b"3"
        assert call(front, "Chat", "stream_stream", iter([b"a", b"b"])) == [b"re: a", b"re: b"]
        with Client(front) as client:  # HTTP/1.1 to a server of HTTP/2: which knows no such call
            assert client.get("/t.T/Nothing").final().status in (200, 404, 415)
    assert all(head["traceparent"] == TRACE for head in service.metadata[:4])
    assert all(head["x-forwarded-for"] == "127.0.0.1" for head in service.metadata[:4])
    with Client(weir.port) as stranger:  # not by way of the balancer
        assert stranger.get().closed()
    assert weir.metric("weir_listener_proxy_headers_total", listener="in", result="bad") == 1


def test_what_the_service_asks_of_others(sidecar):
    weir, _, other = sidecar
    assert call(weir.out, "Echo", "unary_unary", b"hello") == b"hello"
    assert call(weir.out, "Chat", "stream_stream", iter([b"a", b"b"])) == [b"re: a", b"re: b"]
    assert other.shown == ["sidecar.example"]
    assert [head["traceparent"] for head in other.metadata] == [TRACE] * 2
    assert not any("x-forwarded-for" in head for head in other.metadata)
    with pytest.raises(grpc.RpcError) as raised:
        call(weir.out, "Fail", "unary_unary", b"")
    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
