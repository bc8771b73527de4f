# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards clients: requests and answers translated, limits kept, floods ended; curl and h2load as they are."""
import os
import signal
import subprocess
import time

import pytest

import h2raw
import peers
from h2raw import H2, ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, raw
from hyperframe.frame import PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from weirtest import Upstream, Weir, wait_for

option = pytest.mark.option


def holds(peer):
    """Takes a request and never answers it."""
    peer.request()
    while peer.recv():
        pass


def rss(weir):
    with open(f"/proc/{weir.process.pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


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
                body = b"b" * body.count(b"b")  # sizes have no b where they are read here
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
                h2.data(stream, b"b" * piece, sent == 100000)
            assert h2.answer(stream).body == b"b" * 100000
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


# --- floods ------------------------------------------------------------------------------------------


def settings_ack(n):
    return SettingsFrame(0, settings={}).serialize() * n


FLOODS = {
    "ping": lambda h2: PingFrame(0, b"12345678").serialize() * 100000,
    "settings": lambda h2: settings_ack(100000),
    "priority": lambda h2: PriorityFrame(1, depends_on=0, stream_weight=1).serialize() * 100000,
    "window_update": lambda h2: WindowUpdateFrame(0, 1).serialize() * 100000,
    "unknown_frames": lambda h2: raw(0x42, 0, 0, b"x") * 100000,
    "empty_data": lambda h2: h2.head(1, h2.fields("POST"), False) + raw(0, 0, 1) * 100000,
    "reset": lambda h2: b"".join(h2.head(n, h2.fields(), True) + RstStreamFrame(n, 8).serialize()
                                 for n in range(1, 40001, 2)),
    "continuation": lambda h2: raw(1, 1, 1, h2.encoder.encode(h2.fields())[:1]) + raw(9, 0, 1, b"") * 20000,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_floods_end(kind):
    with Upstream() as up, Weir(up) as weir:
        still_serves(weir)
        before = rss(weir)
        with H2(weir.port) as h2:
            data = FLOODS[kind](h2)
            for at in range(0, len(data), 65536):
                h2.send(data[at:at + 65536])
                h2.take(0)
            h2.drain()
            assert h2.closed
        assert rss(weir) - before < 16 << 20
        still_serves(weir)
        words = {kind} | ({"premature_reset"} if kind == "reset" else set())
        assert sum(weir.metrics()[f'weir_http2_floods_total{{listener="web",reason="{w}"}}'] for w in words) == 1


@pytest.mark.parametrize("crumb", ["x-bomb", "cookie"])
def test_header_bomb(crumb):
    """Many references to one long field: little on the wire, much in memory."""
    with Upstream() as up, Weir(up) as weir:
        still_serves(weir)
        before = rss(weir)
        with H2(weir.port) as h2:
            block = h2.encoder.encode(h2.fields(extra=[(crumb, "b" * 3000)]))
            index = h2.encoder.encode([(crumb, "b" * 3000)])
            for _ in range(20):
                h2.send(raw(1, 5, h2.next_id, block + index * (15000 // len(index))))
                block = h2.encoder.encode(h2.fields(extra=[(crumb, "b" * 3000)]))
                h2.next_id += 2
            h2.take(1)
            h2.drain(3)
            assert h2.goaway == ENHANCE_YOUR_CALM or all(s.status == 431 for s in h2.streams.values())
        assert rss(weir) - before < 16 << 20
        assert up.requests == 1
        still_serves(weir)


def test_many_streams_are_refused():
    with Upstream(holds) as up, Weir(up, upstream_pool={"max_connections": 200, "max_per_endpoint": 200}) as weir:
        with H2(weir.port) as h2:
            opened = [h2.request() for _ in range(2000)]
            h2.until(lambda: sum(h2.stream(n).reset == REFUSED_STREAM for n in opened) == 1900, "1900 refusals")
            assert h2.goaway is None


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


# --- real clients ------------------------------------------------------------------------------------


def test_curl():
    with Upstream() as up, Weir(up) as weir:
        got = subprocess.run([peers.find("curl", "curl"), "-s", "-i", "--http2-prior-knowledge", "-d", "x=1",
                              f"http://127.0.0.1:{weir.port}/a"], capture_output=True, text=True, timeout=20, check=True)
        assert got.stdout.startswith("HTTP/2 200")


def test_h2load():
    with Upstream() as up, Weir(up, workers=2) as weir:
        got = subprocess.run([peers.find("h2load", "nghttp2-client"), "-n", "2000", "-c", "10", "-m", "16", f"http://127.0.0.1:{weir.port}/"],
                             capture_output=True, text=True, timeout=60, check=True)
        assert "2000 succeeded, 0 failed, 0 errored" in got.stdout
        assert weir.metric("weir_listener_requests_total", listener="web") == 2000
