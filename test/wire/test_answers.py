# SPDX-License-Identifier: Apache-2.0
"""What upstreams answer: unusable answers become 502, cut ones are seen as cut, and a connection that
said one byte too much never carries another request."""
import pathlib
import signal
import socket

import pytest

from weirtest import Client, Upstream, Weir, wait_for


class Scripted:
    """An upstream whose answer to each request is the bytes set by the test."""

    def __init__(self):
        self.answer, self.close_after, self.reset_after = b"", False, False
        self.upstream = Upstream(self.script)

    def script(self, peer):
        while peer.request() is not None:
            answer, close, reset = self.answer, self.close_after, self.reset_after
            if answer:
                peer.send(answer)
            if reset:
                return peer.reset()
            if close:
                return None
        return None


@pytest.fixture(scope="module")
def scripted():
    server = Scripted()
    with server.upstream, Weir(server.upstream, upstream_pool={
            "first_byte_timeout": "2s", "read_timeout": "2s", "failures_max": 1000}) as weir:
        server.weir = weir
        yield server


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

UNUSABLE = {
    "length-and-chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "lengths-differ": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "length-list": b"HTTP/1.1 200 OK\r\nContent-Length: 5,6\r\n\r\nabcdef",
    "length-negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
    "length-plus": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nabcde",
    "encoding-unknown": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "encoding-space-colon": b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "first-chunk-bad": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n",
    "nul-in-head": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "bare-cr": b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    "bare-lf": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "folded": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "status-99": b"HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n",
    "status-1000": b"HTTP/1.1 1000 High\r\nContent-Length: 0\r\n\r\n",
    "status-text": b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
    "version-2": b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    "ssh-banner": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html": b"<html>hello</html>\r\n\r\n",
    "head-1MiB": b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 20) + b"\r\n\r\n",
    "fields-10000": b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 10000 + b"\r\n",
    "unasked-101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_unusable(scripted, name):
    scripted.answer, scripted.close_after, scripted.reset_after = UNUSABLE[name], False, False
    answer = scripted.weir.ask()
    if name == "first-chunk-bad" and answer.status == 200:
        assert not answer.complete
    else:
        assert answer.status == 502, answer
        assert answer.json()["error"]["code"] and answer.header("proxy-status")
    before = scripted.upstream.accepted
    scripted.answer = OK
    assert scripted.weir.ask().status == 200
    assert scripted.upstream.accepted == before + 1, "a connection with an unusable answer was reused"


@pytest.mark.parametrize("how", ["nothing-close", "nothing-reset", "mid-head-close", "mid-head-reset"])
def test_ends_before_the_head(scripted, how):
    scripted.answer = b"" if how.startswith("nothing") else b"HTTP/1.1 200 OK\r\nContent-"
    scripted.close_after, scripted.reset_after = how.endswith("close"), how.endswith("reset")
    answer = scripted.weir.ask(method="POST", headers="Content-Length: 0\r\n")
    assert answer.status == 502, answer
    scripted.answer, scripted.close_after, scripted.reset_after = OK, False, False
    assert scripted.weir.ask().status == 200


@pytest.mark.parametrize("how", ["length-close", "length-reset", "chunked-close", "chunked-bad"])
def test_cut_body_is_seen_as_cut(scripted, how):
    scripted.answer = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    }[how.split("-")[0]] + (b"zz\r\n" if how.endswith("bad") else b"")
    scripted.close_after, scripted.reset_after = how.endswith("close"), how.endswith("reset")
    answer = scripted.weir.ask()
    assert (answer.status == 200 and not answer.complete) or answer.status == 502, answer
    scripted.answer, scripted.close_after, scripted.reset_after = OK, False, False
    assert scripted.weir.ask().complete


SURPLUS = {
    "surplus-bytes": OK + b"extra",
    "two-answers": OK + OK,
    "body-on-204": b"HTTP/1.1 204 No Content\r\n\r\nbody",
    "body-on-304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nbody",
    "connection-close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    "http-1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
}


@pytest.mark.parametrize("name", SURPLUS)
def test_connection_is_discarded(scripted, name):
    scripted.close_after = scripted.reset_after = False
    scripted.answer = SURPLUS[name]
    assert scripted.weir.ask().status in (200, 204, 304)
    before = scripted.upstream.accepted
    scripted.answer = OK
    answer = scripted.weir.ask()
    assert answer.status == 200 and answer.body == b"ok"
    assert scripted.upstream.accepted == before + 1


# What the relay receives at a time ends within, at, and before the answer's end.
@pytest.mark.parametrize("length", (4000, 4095, 4096, 4097, 8192, 65536))
def test_surplus_behind_what_was_received_is_nobodys_answer(length):
    head = "HTTP/1.1 200 OK\r\nContent-Length: {:05}\r\n\r\n"
    body = length - len(head.format(0))
    answers = [head.format(body).encode() + b"x" * body + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"]

    def script(peer):
        if peer.request() is not None:
            wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 1, "one to wait")
            peer.send(answers.pop())
            while peer.request() is not None:
                peer.ok(b"good")

    def later(peer):
        if answers:
            return script(peer)
        while peer.request() is not None:
            peer.ok(b"good")
        return None

    with Upstream(later) as upstream, Weir(upstream, upstream_pool={"max_connections": 1}) as weir:
        first, second = Client(weir.port), Client(weir.port)
        first.get("/first")
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a lease")
        second.get("/second")
        assert first.response().body == b"x" * body
        assert second.response().body == b"good"
        assert upstream.accepted == 2


def stopped(process):
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: pathlib.Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T", "a stop")


@pytest.mark.parametrize("method", ("GET", "POST"))
@pytest.mark.parametrize("how", ("surplus", "end"))
def test_what_an_idle_connection_said_meanwhile_is_known(method, how):
    """The request is ready before it, and it before the request is looked at."""

    def script(peer):
        while peer.request() is not None:
            peer.ok(b"good")

    with Upstream(script) as upstream, Weir(upstream) as weir:
        client = Client(weir.port)
        client.get("/first")
        assert client.response().body == b"good"
        stopped(weir.process)
        client.send(f"{method} /second HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi")
        idle = upstream.peers[0].sock
        if how == "surplus":
            idle.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL")
        else:
            idle.shutdown(socket.SHUT_WR)
        weir.process.send_signal(signal.SIGCONT)
        answer = client.response()
        assert answer.status == 200 and answer.body == b"good"
        assert upstream.accepted == 2


def test_body_on_head_is_discarded(scripted):
    scripted.close_after = scripted.reset_after = False
    scripted.answer = OK
    assert scripted.weir.ask(method="HEAD").status == 200
    before = scripted.upstream.accepted
    assert scripted.weir.ask().body == b"ok"
    assert scripted.upstream.accepted == before + 1


def test_close_delimited(scripted):
    scripted.answer = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n" + b"a" * 100000
    scripted.close_after, scripted.reset_after = True, False
    answer = scripted.weir.ask()
    assert answer.status == 200 and len(answer.body) == 100000
    scripted.close_after = False


def test_informational(scripted):
    scripted.close_after = scripted.reset_after = False
    scripted.answer = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK
    with scripted.weir.client() as client:
        client.get()
        assert client.response().status == 103
        assert client.response().body == b"ok"


@pytest.mark.soak
def test_informational_flood_is_bounded(scripted):
    scripted.close_after = scripted.reset_after = False
    scripted.answer = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5000 + OK
    with scripted.weir.client() as client:
        client.get()
        seen = 0
        while (answer := client.response()) is not None and answer.status == 103:
            seen += 1
        assert answer is not None and (answer.status == 502 or (answer.status == 200 and seen <= 5000))
    scripted.answer = OK
    assert scripted.weir.ask().status == 200


def test_early_413_is_passed_on(scripted):
    def early(peer):
        peer.head()
        peer.send(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
    with Upstream(early) as upstream, Weir(upstream) as weir:
        answer = weir.ask(method="POST", headers="Content-Length: 100000\r\n", body=b"x" * 1000)
        assert answer.status == 413 and answer.body == b"big"


def test_trailers_pass(scripted):
    scripted.close_after = scripted.reset_after = False
    scripted.answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                       b"2\r\nok\r\n0\r\nX-Sum: 9\r\nContent-Length: 99\r\n\r\n")
    answer = scripted.weir.ask(headers="TE: trailers\r\n")
    assert answer.body == b"ok"
    assert "content-length" not in {n.lower() for n, _ in answer.trailers}
    assert ("X-Sum", "9") in answer.trailers


def test_refused_port():
    with Weir() as weir:
        answer = weir.ask()
        assert answer.status == 502 and answer.header("proxy-status"), answer
        assert weir.ask(method="POST", headers="Content-Length: 1\r\n", body=b"x").status in (502, 503)


@pytest.mark.soak
def test_a_thousand_faults_leak_nothing():
    """Each kind of bad ending, many times over; then descriptors and memory are back."""
    kinds = ["refuse-head", "reset-head", "mid-body", "reset-body", "bad"]
    answers = {
        "refuse-head": (b"", "close"), "reset-head": (b"HTTP/1.1 200", "reset"),
        "mid-body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "close"),
        "reset-body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "reset"),
        "bad": (b"BAD\r\n\r\n", "close"),
    }
    kind = ["ok"]

    def script(peer):
        while peer.request() is not None:
            if kind[0] == "ok":
                peer.ok()
                continue
            data, how = answers[kind[0]]
            if data:
                peer.send(data)
            return peer.reset() if how == "reset" else None

    with Upstream(script) as upstream, Weir(upstream, upstream_pool={"failures_max": 1000}) as weir:
        assert weir.ask().status == 200
        base = weir.descriptors()
        for name in kinds:
            kind[0] = name
            for _ in range(1000 // 5):
                with weir.client() as client:
                    for _ in range(5):
                        client.get()
                        answer = client.response()
                        if answer is None or not answer.complete:
                            break
            kind[0] = "ok"
            assert weir.ask().status == 200
        wait_for(lambda: weir.descriptors() <= base + 1, "descriptors to be back")
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 0,
                 "no lease to be left")
