# SPDX-License-Identifier: Apache-2.0
"""The relay's everyday work: bodies of every shape pass byte for byte, streams stay live, memory stays small."""
import hashlib
import random
import signal
import threading

import pytest

from weirtest import DEADLINE, Upstream, Weir, wait_for


def echo(peer):
    while (request := peer.request()) is not None:
        peer.ok(request[1])


def test_bodies_pass_byte_for_byte():
    data = random.Random(1).randbytes(3_000_000)
    with Upstream(echo) as upstream, Weir(upstream) as weir:
        for size in (0, 1, 100, 65535, 65536, 65537, 300_000, 3_000_000):
            answer = weir.ask(method="POST", headers=f"Content-Length: {size}\r\n", body=data[:size])
            assert answer.body == data[:size], size


def test_chunked_request_is_decoded_by_the_upstream():
    with Upstream(echo) as upstream, Weir(upstream) as weir:
        answer = weir.ask(method="POST", headers="Transfer-Encoding: chunked\r\n",
                          body=b"4\r\nwiki\r\n5\r\npedia\r\n0\r\n\r\n")
        assert answer.status == 200 and b"wiki" in answer.body and b"pedia" in answer.body


def test_trailers_of_a_request_that_waited():
    """They came with it while no connection was free, and go with it once one is."""
    first, go = threading.Event(), threading.Event()

    def script(peer):
        while peer.request() is not None:
            first.set()
            go.wait(DEADLINE)
            peer.ok()

    with Upstream(script) as upstream, Weir(upstream, upstream_pool={"max_connections": 1}) as weir, \
            weir.client() as one, weir.client() as two:
        one.get()
        assert first.wait(DEADLINE)
        two.send("POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, X-Name\r\n\r\n"
                 "4\r\nbody\r\n0\r\nX-Sum: 42\r\nX-Name: of it\r\n\r\n")
        wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 1, "the second to wait")
        go.set()
        assert one.final().status == two.final().status == 200
        assert upstream.bytes.endswith(b"4\r\nbody\r\n0\r\nX-Sum: 42\r\nX-Name: of it\r\n\r\n")


PIECES = b"1\r\nx\r\n" * 40000 + b"0\r\n\r\n"


def test_many_small_chunks_up():
    with Upstream(echo) as upstream, Weir(upstream) as weir:
        answer = weir.ask(method="POST", headers="Transfer-Encoding: chunked\r\n", body=PIECES)
        assert answer.status == 200 and answer.body.count(b"x") == 40000


def test_many_small_chunks_down():
    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + PIECES)

    with Upstream(script) as upstream, Weir(upstream) as weir:
        with weir.client() as client:
            client.get(headers="Connection: close\r\n")
            seen = b""
            while data := client.sock.recv(65536):
                seen += data
        assert seen.partition(b"\r\n\r\n")[2] == PIECES


@pytest.mark.soak
def test_big_download_in_bounded_memory():
    piece, count = random.Random(2).randbytes(1 << 20), 128
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(piece)

    def script(peer):
        while (request := peer.request()) is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (count * len(piece)))
            for _ in range(0 if request[0].startswith(b"HEAD") else count):
                peer.send(piece)

    with Upstream(script) as upstream, Weir(upstream) as weir:
        weir.ask("/warm-up-is-large-too", method="HEAD")
        base = weir.resident()
        got = hashlib.sha256()
        with weir.client() as client:
            client.get()
            while b"\r\n\r\n" not in client.buffer:
                client._more()
            rest = client.buffer.partition(b"\r\n\r\n")[2]
            got.update(rest)
            left = count * len(piece) - len(rest)
            while left:
                data = client.sock.recv(1 << 20)
                assert data
                got.update(data)
                left -= len(data)
        assert got.digest() == digest.digest()
        assert weir.resident() - base < 32 << 20


def test_head_204_304():
    def script(peer):
        while (request := peer.request()) is not None:
            if request[0].startswith(b"HEAD"):
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n")
            elif b"/204" in request[0]:
                peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                peer.send(b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n")

    with Upstream(script) as upstream, Weir(upstream) as weir, weir.client() as client:
        for path, method, status in (("/", "HEAD", 200), ("/204", "GET", 204), ("/", "GET", 304)) * 3:
            client.send(f"{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n")
            answer = client.response(method)
            assert answer.status == status
            if method == "HEAD":
                assert answer.header("content-length") == "12345"
        assert upstream.accepted == 1


def test_continue():
    def script(peer):
        while (head := peer.head()) is not None:
            if b"100-continue" in head.lower():
                peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(peer.buffer) < 3:
                if not peer.recv():
                    return
            peer.buffer = peer.buffer[3:]
            peer.ok()

    with Upstream(script) as upstream, Weir(upstream) as weir, weir.client() as client:
        client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 100
        client.send("abc")
        assert client.response().status == 200


def test_sse_is_live():
    """Each event arrives before the next one is made."""
    step = threading.Semaphore(0)

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(5):
                event = b"data: %d\n\n" % i
                peer.send(b"%x\r\n%s\r\n" % (len(event), event))
                step.acquire(timeout=10)
            peer.send(b"0\r\n\r\n")

    with Upstream(script) as upstream, Weir(upstream) as weir, weir.client() as client:
        client.get()
        for i in range(5):
            while b"data: %d\n\n" % i not in client.buffer:
                assert client._more()
            step.release()


def test_http_1_0_client():
    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")

    with Upstream(script) as upstream, Weir(upstream) as weir:
        with weir.client() as client:
            client.send("GET / HTTP/1.0\r\nHost: t\r\n\r\n")
            answer = client.response()
            assert answer.body == b"ok" and answer.header("transfer-encoding") is None
            assert client.closed()


def test_concurrent_clients():
    def by_path(peer):
        while (request := peer.request()) is not None:
            peer.ok(request[0].split(b" ")[1])

    with Upstream(by_path) as upstream, Weir(upstream, pool={"max_connections": 2000},
                                             upstream_pool={"max_connections": 100, "max_per_endpoint": 100,
                                                            "waiting_max": 2000}) as weir:
        clients = [weir.client() for _ in range(1000)]
        for turn in range(3):
            for i, client in enumerate(clients):
                client.get(f"/{turn}-{i}")
            for i, client in enumerate(clients):
                assert client.response().body == b"/%d-%d" % (turn, i)
        for client in clients:
            client.close()
        assert upstream.accepted <= 100


@pytest.mark.parametrize("chunked", [False, True])
def test_answers_that_come_at_once_stay_apart(chunked):
    """All of them are ready in one turn, so that they wait for one another where they were read."""
    count, lengths = 64, (100, 700, 5000, 10240, 20000, 50000)
    asked, may_answer, answered = threading.Semaphore(0), threading.Event(), threading.Semaphore(0)

    def body_of(number):
        return random.Random(number).randbytes(lengths[number % len(lengths)])

    def script(peer):
        while (request := peer.request()) is not None:
            body = body_of(int(request[0].split(b" ")[1][1:]))
            asked.release()
            assert may_answer.wait(DEADLINE)
            if chunked:
                peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
            else:
                peer.ok(body)
            answered.release()

    with Upstream(script) as upstream, Weir(upstream, workers=1, upstream_pool={
            "max_connections": count, "max_per_endpoint": count}) as weir:
        clients = [weir.client() for _ in range(count)]
        for turn in range(3):
            may_answer.clear()
            for i, client in enumerate(clients):
                client.get(f"/{turn * count + i}")
            for _ in clients:
                assert asked.acquire(timeout=DEADLINE)
            weir.process.send_signal(signal.SIGSTOP)
            may_answer.set()
            for _ in clients:
                assert answered.acquire(timeout=DEADLINE)
            weir.process.send_signal(signal.SIGCONT)
            for i, client in enumerate(clients):
                assert client.response().body == body_of(turn * count + i), (turn, i)
        for client in clients:
            client.close()


def test_access_log_tells_the_story():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask("/seen?q=1").status == 200
        line = wait_for(weir.access, "a line in the access log")[0]
        assert line["status"] == 200
        assert "ms" in str(line.keys()) or "total" in str(line) or "phases" in line


def test_drain_on_sigterm():
    """SIGTERM: what is open is finished, nothing new is taken, exit 0."""
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            go.wait(10)
            peer.ok()

    import signal
    import socket
    with Upstream(script) as upstream, Weir(upstream) as weir:
        with weir.client() as client:
            client.get()
            wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a request")
            weir.process.send_signal(signal.SIGTERM)

            def refused():
                try:
                    socket.create_connection(("127.0.0.1", weir.port), 1).close()
                    return False
                except OSError:
                    return True
            wait_for(refused, "the listener to close", 5)
            go.set()
            answer = client.response()
            assert answer.status == 200 and (answer.header("connection") or "").lower() == "close"
        assert weir.process.wait(20) == 0


def test_second_sigterm_stops_at_once():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            hold.wait(20)

    import signal
    with Upstream(script) as upstream, Weir(upstream) as weir:
        client = weir.client()
        client.get()
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a request")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in weir.text(), "the first one to be heard")
        weir.process.send_signal(signal.SIGTERM)
        assert weir.process.wait(10) in (0, 143)
        hold.set()
        client.close()
