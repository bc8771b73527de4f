# SPDX-License-Identifier: Apache-2.0
"""Slowness in its many forms: each ends in the time configured for it, others do not notice."""
import threading
import time

import pytest

from beside import must_not_be_felt
from weirtest import Upstream, Weir, wait_for

FAST = {"headers_timeout": "600ms", "request_timeout": "800ms", "keepalive_timeout": "500ms",
        "idle_timeout": "700ms", "write_timeout": "700ms"}


@pytest.fixture(scope="module")
def slow():
    with Upstream() as upstream, Weir(upstream, pool=FAST) as weir:
        weir.upstream = upstream
        yield weir


def ended(client, begun):
    """The answer if any, and how long it took until the connection was closed."""
    answer = client.response()
    assert client.closed()
    return answer, time.monotonic() - begun


def drip(client, data, every, stop):
    def run():
        for i in range(len(data)):
            if stop.wait(every):
                return
            try:
                client.sock.send(data[i:i + 1])
            except OSError:
                return
    threading.Thread(target=run, daemon=True).start()


def test_silent(slow):
    with slow.client() as client:
        answer, took = ended(client, time.monotonic())
        assert answer is None or answer.status == 408
        assert 0.4 <= took < 3


@pytest.mark.parametrize("start", ["G", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: t\r\nX: "])
def test_partial_head(slow, start):
    with slow.client() as client:
        client.send(start)
        answer, took = ended(client, time.monotonic())
        assert answer is None or answer.status == 408
        assert 0.4 <= took < 3


def test_dripped_fields(slow):
    stop = threading.Event()
    with slow.client() as client:
        drip(client, b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 1000, 0.02, stop)
        answer, took = ended(client, time.monotonic())
        stop.set()
        assert answer is None or answer.status == 408
        assert 0.4 <= took < 3


@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_stalled_body(slow, framing):
    with slow.client() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n")
        answer, took = ended(client, time.monotonic())
        assert answer is None or answer.status == 408
        assert 0.4 <= took < 3


def test_dripped_body():
    """A body below min_rate ends in 408; one above it may take as long as it likes."""
    stop = threading.Event()
    with Upstream() as upstream, Weir(upstream, pool=dict(FAST, min_rate="2KiB", idle_timeout="20s")) as weir:
        with weir.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100000\r\n\r\n")
            drip(client, b"x" * 1000, 0.05, stop)
            answer, took = ended(client, time.monotonic())
            stop.set()
            assert answer is None or answer.status == 408
            assert took < 5
        with weir.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 40000\r\n\r\n")
            pause = threading.Event()
            for _ in range(20):
                client.send(b"x" * 2000)
                pause.wait(0.1)
            assert client.response().status == 200


def test_keepalive_ends(slow):
    with slow.client() as client:
        client.get()
        assert client.response().status == 200
        begun = time.monotonic()
        assert client.closed()
        assert 0.3 <= time.monotonic() - begun < 3


def test_reader_that_does_not_read():
    big = b"x" * (1 << 20)

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * len(big)))
            for _ in range(64):
                peer.send(big)

    with Upstream(script) as upstream, Weir(upstream, pool=FAST) as weir:
        base = weir.descriptors()
        with weir.client() as client:
            client.get()
            wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a stream")
            wait_for(lambda: weir.descriptors() <= base, "the stalled reader to be cut")
        assert weir.resident() < 400 << 20


def test_active_stream_is_not_idle():
    """Bytes now and then, each gap below every time-out: the stream lives far beyond them."""
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(10):
                go.wait(0.3)
                peer.send(b"9\r\ndata: %d\n\n\r\n" % i)
            peer.send(b"0\r\n\r\n")

    with Upstream(script) as upstream, Weir(upstream, pool=FAST) as weir:
        with weir.client() as client:
            client.get()
            answer = client.response()
            assert answer.complete and answer.body.count(b"data:") == 10


def test_silent_upstream_times_out():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            hold.wait(10)

    with Upstream(script) as upstream, Weir(upstream, upstream_pool={"first_byte_timeout": "500ms"}) as weir:
        begun = time.monotonic()
        answer = weir.ask()
        assert answer.status == 504 and time.monotonic() - begun < 4
        hold.set()


def test_stalling_upstream_is_cut():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            hold.wait(10)

    with Upstream(script) as upstream, Weir(upstream, upstream_pool={"read_timeout": "500ms"}) as weir:
        answer = weir.ask()
        assert answer.status == 200 and not answer.complete
        hold.set()


def test_others_do_not_notice(slow):
    """Two hundred slow clients of four kinds at once, until the last of them is told to go."""
    def attack():
        clients = [slow.client() for _ in range(200)]
        for i, client in enumerate(clients):
            client.send(["", "G", "GET / HTTP/1.1\r\nHost: t\r\n",
                         "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nx"][i % 4])
        for client in clients:
            assert client.closed()
            client.close()
    must_not_be_felt(slow, attack)


@pytest.mark.parametrize("sent", [b"PRI * HTTP/2.0\r\n\r\nSM", b"\x16\x03\x01"])
def test_half_of_another_protocol(slow, sent):
    with slow.client() as client:
        client.send(sent)
        answer, took = ended(client, time.monotonic())
        assert answer is None or answer.status in (400, 408, 505)
        assert took < 3
