# SPDX-License-Identifier: Apache-2.0
"""Upstreams behind outbound proxies: real ones, ones that misbehave, and ones that die."""
import contextlib
import pathlib
import socket
import subprocess
import tempfile
import threading

import pytest

import peers
import weirtest
from weirtest import Upstream, Weir, dead_port, free_port

option = pytest.mark.option


def microsocks(*credentials):
    port = free_port()
    words = ["-u", credentials[0], "-P", credentials[1]] if credentials else []
    return peers.Server([peers.find("microsocks", "microsocks"), "-i", "127.0.0.1", "-p",
                         str(port), *words], port)


def tinyproxy(*credentials):
    port = free_port()
    directory = tempfile.TemporaryDirectory(prefix="weir-tinyproxy-")
    pathlib.Path(directory.name).chmod(0o755)
    conf = pathlib.Path(directory.name) / "tinyproxy.conf"
    lines = [f"Port {port}", "Listen 127.0.0.1", "Timeout 60", "MaxClients 50", "LogLevel Error"]
    if credentials:
        lines.append(f"BasicAuth {credentials[0]} {credentials[1]}")
    conf.write_text("\n".join(lines) + "\n")
    return peers.Server([peers.find("tinyproxy", "tinyproxy-bin"), "-d", "-c", str(conf)], port,
                        directory)


KINDS = {"socks5": microsocks, "http": tinyproxy}


class Scripted:
    """A proxy that reads what comes and answers as it was told, then hangs up."""

    def __init__(self, *answers):
        self.answers, self.heard = answers, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.listener.accept()
                peer.settimeout(weirtest.DEADLINE)
                with peer, contextlib.suppress(OSError):
                    for answer in self.answers:
                        self.heard.append(peer.recv(4096))
                        peer.sendall(answer)
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(4096):
                        pass

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.listener.close()


def through(proxy, upstream, **more):
    return Weir(upstream, upstream_options={"proxy": proxy, **more})


@option("upstreams.proxy")
@pytest.mark.parametrize("kind", KINDS)
def test_requests_pass_and_reuse_the_tunnel(kind):
    with Upstream() as upstream, KINDS[kind]() as proxy, \
            through(f"{kind}://127.0.0.1:{proxy.port}", upstream) as weir:
        for _ in range(20):
            assert weir.ask().status == 200
        assert weir.metric("weir_pool_created_total", pool="up") == 1


@pytest.mark.parametrize("kind", KINDS)
def test_user_and_password(kind):
    with Upstream() as upstream, KINDS[kind]("me", "p-w") as proxy:
        with through(f"{kind}://me:p%2Dw@127.0.0.1:{proxy.port}", upstream) as weir:
            assert weir.ask().status == 200
        with through(f"{kind}://me:wrong@127.0.0.1:{proxy.port}", upstream) as weir:
            assert weir.ask().status == 502
            assert "wrong" not in weir.text()
        with through(f"{kind}://127.0.0.1:{proxy.port}", upstream) as weir:
            assert weir.ask().status == 502


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_that_dies_is_an_error_and_never_gone_without(kind):
    with Upstream() as upstream:
        proxy = KINDS[kind]()
        with through(f"{kind}://127.0.0.1:{proxy.port}", upstream,
                     **{"pool": {"max_uses": 1}}) as weir:
            assert weir.ask().status == 200
            seen = upstream.requests
            proxy.__exit__()
            for _ in range(5):
                assert weir.ask().status in (502, 503)
            assert upstream.requests == seen


def test_nobody_listens_where_the_proxy_should_be():
    with Upstream() as upstream, through(f"socks5://127.0.0.1:{dead_port()}", upstream) as weir:
        assert weir.ask().status == 502
        assert not upstream.requests


ANSWERS = {
    "another version": [b"\x04\x00"],
    "no method": [b"\x05\xff"],
    "a method not offered": [b"\x05\x02"],
    "cut in the greeting": [b"\x05"],
    **{f"cut after {n} of the reply": [b"\x05\x00", b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50"[:n]] for n in range(1, 10)},
    **{f"reply {code}": [b"\x05\x00", bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])] for code in range(1, 10)},
}


@pytest.mark.parametrize("what", ANSWERS)
def test_socks5_answers_that_open_nothing(what):
    with Upstream() as upstream, Scripted(*ANSWERS[what]) as proxy, \
            through(f"socks5://127.0.0.1:{proxy.port}", upstream) as weir:
        assert weir.ask().status == 502
        assert not upstream.requests


HEADS = {
    "407": b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
    "302": b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n\r\n",
    "403": b"HTTP/1.1 403 Forbidden\r\n\r\n",
    "not HTTP": b"220 smtp.test ESMTP\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nVia: x\r\n",
    "a megabyte of head": b"HTTP/1.1 200 OK\r\n" + b"X-Fill: " + b"y" * (1 << 20) + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", HEADS)
def test_connect_answers_that_open_nothing(what):
    with Upstream() as upstream, Scripted(HEADS[what]) as proxy, \
            through(f"http://127.0.0.1:{proxy.port}", upstream) as weir:
        assert weir.ask().status == 502
        assert not upstream.requests


def test_a_name_is_resolved_by_the_proxy_and_a_long_one_is_refused():
    name = ".".join(["a" * 63] * 3 + ["b" * 61])
    with Scripted(b"\x05\x00", b"\x05\x04\x00\x01\x00\x00\x00\x00\x00\x00") as proxy:
        config = {"proxy": f"socks5://127.0.0.1:{proxy.port}"}
        with Weir(upstream_options={**config, "endpoints": [{"url": f"http://{name}:81"}]}) as weir:
            assert weir.ask().status == 502
        assert proxy.heard[1] == b"\x05\x01\x00\x03" + bytes([len(name)]) + name.encode() + b"\x00\x51"


def test_health_checks_go_through_the_proxy_too():
    with Upstream() as upstream, \
            through(f"socks5://127.0.0.1:{dead_port()}", upstream,
                    health={"path": "/up", "interval": "100ms", "failures": 1}) as weir:
        weirtest.wait_for(lambda: weir.ask().status == 503, "the endpoint to be found down")
        assert not upstream.requests


@pytest.mark.parametrize("text", ["127.0.0.1:1080", "ftp://127.0.0.1", "socks5://user:pw@", "socks5://h/x"])
def test_what_is_no_proxy_is_refused_without_being_shown(text, tmp_path):
    conf = tmp_path / "weir.yaml"
    conf.write_text(f"""
listeners: [ {{ name: web, address: "127.0.0.1:0", routes: [ {{ match: {{ path: / }}, upstream: up }} ] }} ]
upstreams: [ {{ name: up, proxy: "{text}", endpoints: [ {{ url: "http://127.0.0.1:1" }} ] }} ]
""")
    done = subprocess.run([str(weirtest.WEIR), "check", "-c", str(conf)], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 1
    assert ":3:" in done.stdout + done.stderr
    assert "proxy must be socks5://host:port" in done.stdout + done.stderr
    assert text not in done.stdout + done.stderr


def test_check_probes_through_the_proxy(tmp_path):
    conf = tmp_path / "weir.yaml"
    with Upstream() as upstream, Scripted(b"\x05\x00", b"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00") as proxy:
        conf.write_text(f"""
listeners: [ {{ name: web, address: "127.0.0.1:0", routes: [ {{ match: {{ path: / }}, upstream: up }} ] }} ]
upstreams: [ {{ name: up, proxy: "socks5://127.0.0.1:{proxy.port}", endpoints: [ {{ url: "{upstream.url}" }} ] }} ]
""")
        done = subprocess.run([str(weirtest.WEIR), "check", "--probe", "-c", str(conf)], capture_output=True,
                              text=True, check=False)
        assert "the proxy's rules forbid the target" in done.stdout
