# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards clients: requests and answers translated, limits kept, floods ended; curl and h2load as they are."""
import contextlib
import os
import pathlib
import signal
import subprocess
import tempfile
import time

import pytest

import certs
import h2raw
import peers
from h2raw import H2, ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, raw
from hyperframe.frame import PingFrame, RstStreamFrame, SettingsFrame
from weirtest import Upstream, Weir, free_port, wait_for

option = pytest.mark.option


def holds(peer):
    """Takes a request and never answers it."""
    peer.request()
    while peer.recv():
        pass


def still_serves(weir):
    with H2(weir.port) as other:
        assert other.get().status == 200


# --- options -----------------------------------------------------------------------------------------


@option("listeners.protocols")
def test_protocols():
    with Upstream() as up:
        with Weir(up, listener={"protocols": ["h2"]}) as weir:
            assert weir.ask().status == 505
            still_serves(weir)
        with Weir(up, listener={"protocols": ["http1"]}) as weir:
            assert weir.ask().status == 200
            with weir.client() as client:
                client.send(h2raw.PREFACE)
                assert client.final("GET").status == 505


@option("listeners.http2.max_concurrent_streams")
def test_max_concurrent_streams():
    with Upstream(holds) as up, Weir(up, listener={"http2": {"max_concurrent_streams": 3}}) as weir, H2(weir.port) as h2:
        opened = [h2.request() for _ in range(5)]
        h2.until(lambda: all(h2.stream(n).done for n in opened[3:]), "two refusals")
        assert h2.settings[SettingsFrame.MAX_CONCURRENT_STREAMS] == 3
        assert [h2.stream(n).reset for n in opened] == [None] * 3 + [REFUSED_STREAM] * 2
        assert h2.goaway is None


@option("listeners.http2.max_header_list_size")
def test_max_header_list_size():
    with Upstream() as up, Weir(up, listener={"http2": {"max_header_list_size": "1KiB"}}) as weir, H2(weir.port) as h2:
        assert h2.get(extra=[("x-long", "a" * 700)]).status == 200
        assert h2.get(extra=[("x-long", "a" * 1000)]).status == 431
        assert h2.settings[SettingsFrame.MAX_HEADER_LIST_SIZE] == 1024
    with Upstream() as up, Weir(up, listener={"http2": {"max_header_list_size": "128KiB"}}) as weir, H2(weir.port) as h2:
        for fields, status in ((1, 200), (2, 200), (3, 431)):  # as many frames as it takes
            block = h2.encoder.encode(h2.fields(extra=[(f"x-{i}", os.urandom(21850).hex()) for i in range(fields)]), huffman=False)
            parts = [block[at:at + 16384] for at in range(0, len(block), 16384)]
            stream, h2.next_id = h2.next_id, h2.next_id + 2
            h2.send(b"".join(raw(9 if i else 1, (0 if i else 1) | (4 if part is parts[-1] else 0), stream, part)
                             for i, part in enumerate(parts)))
            assert h2.answer(stream).status == status


@option("listeners.http2.max_session_memory")
def test_max_session_memory():
    def much(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200000)

    with Upstream(much) as up, Weir(up, listener={"http2": {"max_session_memory": "256KiB"}}) as weir:
        with H2(weir.port, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as h2:
            for _ in range(30):
                h2.request()
            h2.until(lambda: h2.goaway is not None, "GOAWAY")
            assert h2.goaway == ENHANCE_YOUR_CALM
        assert weir.metrics()['weir_http2_floods_total{listener="web",reason="memory"}'] == 1


@option("listeners.http2.ping_interval")
def test_ping_interval():
    with Upstream(holds) as up, Weir(up, listener={"http2": {"ping_interval": "200ms"}}) as weir:
        with H2(weir.port) as h2:
            h2.request()
            h2.until(lambda: any(isinstance(f, PingFrame) for f in h2.frames), "a PING")
        with H2(weir.port) as h2:
            h2.request()
            h2.until(lambda: h2.settings, "SETTINGS")
            wait_for(lambda: weir.metrics()["weir_http2_ended_total{listener=\"web\",reason=\"ping_timeout\"}"] == 1,
                     "the silent one to be cut off")


# --- translation -------------------------------------------------------------------------------------


def test_what_the_upstream_sees():
    with Upstream() as up, Weir(up) as weir, H2(weir.port) as h2:
        extra = [("cookie", "a=1"), ("cookie", "b=2"), ("te", "trailers"), ("x-one", "1"), ("user-agent", "raw")]
        assert h2.get(path="/p?q=1", extra=extra).status == 200
        seen = up.bytes.decode("latin-1")
        assert seen.startswith("GET /p?q=1 HTTP/1.1\r\nHost: test.example\r\n")
        assert "\r\ncookie: a=1; b=2\r\n" in seen
        assert "\r\nx-one: 1\r\n" in seen and "\r\nte:" not in seen.lower()
        assert "\r\nX-Forwarded-For: 127.0.0.1\r\n" in seen and "\r\nX-Forwarded-Proto: http\r\n" in seen


def test_bodies_and_lengths():
    def echo(peer):
        while True:
            request = peer.request()
            if request is None:
                return
            body = request[1]
            if b"chunked" in request[0]:
                body = b"z" * body.count(b"z")  # sizes have no z
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    with Upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        for length in (True, False):
            extra = [("content-length", "100000")] if length else []
            stream = h2.request("POST", extra=extra, end=False)
            sent = 0
            while sent < 100000:
                piece = min(16000, 100000 - sent)
                if sent >= 48000:
                    h2.take(0.2)
                sent += piece
                h2.data(stream, b"z" * piece, sent == 100000)
            assert h2.answer(stream).body == b"z" * 100000
        stream = h2.request("POST", extra=[("content-length", "5")], end=False)
        h2.data(stream, b"four", True)
        assert h2.answer(stream).reset == PROTOCOL_ERROR
        assert h2.get().status == 200


def test_interim_and_head_and_connect():
    def hints(peer):
        while True:
            request = peer.request()
            if request is None:
                return
            peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")
            if not request[0].startswith(b"HEAD"):
                peer.send(b"abc")

    with Upstream(hints) as up, Weir(up) as weir, H2(weir.port) as h2:
        answer = h2.get()
        assert (answer.interim, answer.status, answer.body) == ([103], 200, b"abc")
        answer = h2.get("HEAD")
        assert (answer.status, answer.body, dict(answer.fields)["content-length"]) == (200, b"", "3")
        answer = h2.get(pseudo=[(":method", "CONNECT"), (":authority", "x:1")])
        assert answer.status == 405 or answer.reset is not None
        assert h2.get("TRACE").status == 405
        assert up.bytes.count(b" HTTP/1.1\r\n") == 2


def test_client_that_leaves_cancels():
    with Upstream(holds) as up, Weir(up) as weir, H2(weir.port) as h2:
        stream = h2.request()
        wait_for(lambda: up.requests == 1, "the request upstream")
        begun = time.monotonic()
        h2.send(RstStreamFrame(stream, 8))
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 0, "the upstream to be free",
                 every=0.005)
        assert time.monotonic() - begun < 1
        wait_for(lambda: '"status":499' in weir.access_log.read_text(), "the log's line")


def test_drain_lets_streams_end():
    gate = []

    def slow(peer):
        peer.request()
        wait_for(lambda: gate, "the gate")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Upstream(slow) as up, Weir(up) as weir, H2(weir.port) as h2:
        stream = h2.request()
        wait_for(lambda: up.requests == 1, "the request upstream")
        weir.process.send_signal(signal.SIGTERM)
        h2.until(lambda: h2.goaways, "the notice")
        assert h2.goaways[0] == (2**31 - 1, NO_ERROR)
        gate.append(1)
        assert h2.answer(stream).body == b"ok"
        h2.until(lambda: len(h2.goaways) == 2, "the last word")
        assert h2.goaways[1] == (stream, NO_ERROR)
        assert h2.drain()
        assert weir.process.wait(10) == 0


def test_the_last_stream_of_all():
    """A client that has no number left is told that there is no use in staying, and has its answer."""
    with Upstream() as up, Weir(up, pool={"keepalive_timeout": "60s"}) as weir, H2(weir.port) as h2:
        assert h2.get().status == 200
        assert h2.answer(h2.request(stream=2**31 - 1)).body == b"ok"
        assert h2.drain() and h2.goaways == [(2**31 - 1, NO_ERROR)]
        still_serves(weir)


# --- slow ones ---------------------------------------------------------------------------------------


def test_window_that_stays_shut():
    def much(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")

    with Upstream(much) as up, Weir(up, pool={"write_timeout": "300ms", "keepalive_timeout": "300ms"}) as weir:
        with H2(weir.port, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 0}) as h2:
            stream = h2.request()
            assert h2.answer(stream).reset is not None
            h2.until(lambda: h2.goaway is not None, "GOAWAY")
            assert h2.drain()


@pytest.mark.parametrize("part", ["preface", "head", "continuation", "payload", "pings"])
def test_slow(part):
    with Upstream() as up, Weir(up, pool={"headers_timeout": "500ms", "keepalive_timeout": "500ms"}) as weir:
        with H2(weir.port, hello=part not in ("preface",)) as h2:
            block = h2.encoder.encode(h2.fields())
            if part == "preface":
                h2.send(h2raw.PREFACE[:12])
            elif part == "head":
                h2.send(raw(1, 5, 1, block)[:6])
            elif part == "continuation":
                h2.send(raw(1, 1, 1, block[:4]) + raw(9, 0, 1, block[4:5]))
            elif part == "payload":
                h2.send(raw(1, 5, 1, block)[:-2])
            begun = time.monotonic()
            while not h2.closed and time.monotonic() - begun < 10:
                if part == "pings":
                    h2.send(PingFrame(0, b"12345678"))
                h2.take(0.1)
            assert h2.closed and time.monotonic() - begun < 8
            assert part == "preface" or h2.goaway is not None
        still_serves(weir)


def many_at_once(peer):
    """As serve_ok, for many: requests of GET one behind another, and nothing is kept of them."""
    while data := peer.sock.recv(65536):
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * data.count(b"\r\n\r\n"))


# --- real clients ------------------------------------------------------------------------------------


@contextlib.contextmanager
def servers(authority, pair):
    """Real ones, each as Weir's endpoint and options: nginx by HTTP/1.1, nghttpd by HTTP/2, HAProxy by TLS with either."""
    verified = {"tls": {"ca": str(authority.certificate)}}
    with tempfile.TemporaryDirectory(prefix="weir-nghttpd-") as home, peers.nginx({"small": b"small"}) as nginx:
        pathlib.Path(home).chmod(0o755)
        (pathlib.Path(home) / "small").write_bytes(b"small")
        port = free_port()
        command = [peers.find("nghttpd", "nghttp2-server"), "--no-tls", "-d", home, str(port)]
        with peers.Server(command, port) as nghttpd, \
             peers.haproxy_tls(pair, "http", "alpn h2,http/1.1", nginx.port) as haproxy:
            secure = f"https://localhost:{haproxy.port}"
            yield [(nginx.url, {}), (nghttpd.url, {"protocol": "h2"}), (secure, {"protocol": "h2", **verified}),
                   (secure, {"protocol": "http1", **verified}), (secure, verified)]


def test_curl():
    """By ALPN and by prior knowledge; where neither is to be had, --http2 asks for an upgrade, and has HTTP/1.1."""
    with certs.Authority() as authority:
        pair = authority.sign("localhost")
        curl = [peers.find("curl", "curl"), "-sS", "--cacert", str(authority.certificate), "-w", " %{http_version}"]
        with servers(authority, pair) as behind:
            for url, options in behind:
                for tls in ({}, {"tls": {"certificate": pair[0], "key": pair[1]}}):
                    with Weir([url], listener=tls, upstream_options=options) as weir:
                        to = f"{'https' if tls else 'http'}://localhost:{weir.port}/small"
                        for flag, version, times in (("--http2", "2" if tls else "1.1", 2), ("--http1.1", "1.1", 2),
                                                     ("--http2-prior-knowledge", "2", 1)):  # it fails by itself at a second one
                            done = subprocess.run([*curl, flag, *[to] * times], capture_output=True, text=True, timeout=20,
                                                  check=True)
                            assert done.stdout == f"small {version}" * times, (url, flag, done)
    with Upstream() as up, Weir(up) as weir:
        got = subprocess.run([peers.find("curl", "curl"), "-s", "-i", "--http2-prior-knowledge", "-d", "x=1",
                              f"http://127.0.0.1:{weir.port}/a"], capture_output=True, text=True, timeout=20, check=True)
        assert got.stdout.startswith("HTTP/2 200")


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_h2load(scheme):
    """A hundred connections of 32 streams each and not one error; by the hundred thousand in `make soak`."""
    requests, connections = (100000, 100) if os.environ.get("WEIR_SOAK") else (5000, 25)
    with certs.Authority() as authority, Upstream(many_at_once) as up:
        certificate, key = authority.sign("localhost")
        listener = {"tls": {"certificate": certificate, "key": key}} if scheme == "https" else {}
        with Weir(up, listener=listener, workers=2,
                  upstream_pool={"max_connections": 200, "max_per_endpoint": 200, "waiting_max": 10000}) as weir:
            got = subprocess.run([peers.find("h2load", "nghttp2-client"), "-n", str(requests), "-c", str(connections), "-m", "32",
                                  f"{scheme}://127.0.0.1:{weir.port}/"], capture_output=True, text=True, timeout=600, check=True)
            assert f"{requests} succeeded, 0 failed, 0 errored, 0 timeout" in got.stdout, got.stdout
            assert f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx" in got.stdout, got.stdout
            assert weir.metric("weir_listener_requests_total", listener="web") == requests
