# SPDX-License-Identifier: Apache-2.0
"""WebSocket over HTTP/2 (RFC 8441): a client's, an upstream's, both, and neither version's rules bent."""
import contextlib
import json
import signal
import threading

import pytest

import h2.config
import h2.connection
import h2peer
from h2raw import CANCEL, H2, PROTOCOL_ERROR
from weirtest import Upstream, Weir, wait_for
from wsraw import (BINARY, CLOSE, KEY, PING, PONG, TEXT, Reader, WsClient, close_payload, echo, frame, hold, upstream)

CONNECT = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "t"), (":path", "/a?b")]
VERSION = [("sec-websocket-version", "13")]


class H2Ws:
    """A WebSocket as a stream of a connection of HTTP/2."""

    def __init__(self, h2, extra=(), opens=True):
        self.h2 = h2
        h2.until(lambda: h2.settings, "SETTINGS")
        self.number = h2.request(pseudo=CONNECT, extra=[*VERSION, *extra], end=False)
        self.stream = h2.stream(self.number)
        h2.until(lambda: self.stream.status or self.stream.done, "an answer")
        if opens:
            assert self.stream.status == 200, vars(self.stream)
        self.reader = Reader(self._more)
        self.taken = 0

    def _more(self):
        self.h2.until(lambda: len(self.stream.body) > self.taken or self.stream.done, "bytes")
        data = self.stream.body[self.taken:]
        self.taken += len(data)
        return data

    def say(self, opcode, data=b"", mask=b"\1\2\3\4", end=False, **how):
        whole = frame(opcode, data, mask=mask, **how)
        for at in range(0, len(whole), 16000):
            self.h2.data(self.number, whole[at:at + 16000], end=end and at + 16000 >= len(whole))

    def frame(self):
        return self.reader.frame()


def echoes_what_comes_with_the_request(h2):
    h2.until(lambda: h2.settings, "SETTINGS")
    number = h2.request(pseudo=CONNECT, extra=VERSION, end=False)
    h2.data(number, frame(TEXT, "early", mask=b"abcd"))
    stream = h2.stream(number)
    h2.until(lambda: len(stream.body) >= 7, "the echo")
    assert stream.status == 200 and stream.body == frame(TEXT, "early")


@contextlib.contextmanager
def chain(script, inner=None, outer=None):
    """HTTP/1.1 or HTTP/2 to the outer gateway, HTTP/2 to the inner one, HTTP/1.1 to the upstream."""
    with upstream(script) as up, Weir(up, **(inner or {})) as near:
        with Weir([f"http://127.0.0.1:{near.port}"], upstream_options={"protocol": "h2"}, **(outer or {})) as far:
            far.inner, far.upstream = near, up
            yield far


def test_it_is_offered():
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        h2.until(lambda: h2.settings, "SETTINGS")
        assert h2.settings.get(8) == 1


def test_a_client_of_http2_and_an_upstream_of_http1():
    seen = []

    def script(ws):
        seen.append(ws)
        echo(ws)
    with upstream(script, headers="Sec-WebSocket-Protocol: b\r\n") as up, Weir(up) as weir, H2(weir.port) as h2:
        ws = H2Ws(h2, [("sec-websocket-protocol", "a, b"), ("origin", "http://o")])
        names = [name for name, _ in ws.stream.fields]
        assert "sec-websocket-accept" not in names and "upgrade" not in names and "connection" not in names
        assert dict(ws.stream.fields)["sec-websocket-protocol"] == "b"
        for size in (0, 5, 1000, 60000):
            ws.say(BINARY, b"x" * size)
            got = ws.frame()
            assert got.opcode == BINARY and got.data == b"x" * size
        ws.say(PING, b"?")
        assert ws.frame().opcode == PONG
        second = H2Ws(h2, [("sec-websocket-protocol", "b")])
        second.say(TEXT, b"two on one connection")
        assert second.frame().data == b"two on one connection"
        ws.say(CLOSE, close_payload(1000))
        assert ws.frame().code == 1000
        h2.until(lambda: ws.stream.ended, "the stream's end")
        head = seen[0].head
        assert head.startswith(b"GET /a?b HTTP/1.1\r\n") and seen[0].field("origin") == "http://o"
        assert len(seen[0].field("sec-websocket-key")) == 24 and seen[0].field("upgrade") == "websocket"
        assert seen[0].field("sec-websocket-key") != seen[1].field("sec-websocket-key")
        line = wait_for(weir.access, "the log")[0]
        assert line["status"] == 101 and line["websocket"]["client"]["messages"] == 4 and not line["cut"]


@pytest.mark.parametrize("pseudo, extra, status", [
    ([*CONNECT[:1], (":protocol", "foo"), *CONNECT[2:]], VERSION, 501),
    (CONNECT, [], 426),
    (CONNECT, [("sec-websocket-version", "8")], 426),
    (CONNECT, [*VERSION, ("content-length", "3")], None),
    ([(":method", "GET"), *CONNECT[1:]], VERSION, None),
    ([(":method", "CONNECT"), (":authority", "t")], [], 405),
])
def test_bad_openings(pseudo, extra, status):
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        h2.until(lambda: h2.settings, "SETTINGS")
        number = h2.request(pseudo=pseudo, extra=extra, end=False)
        stream = h2.stream(number)
        h2.until(lambda: stream.status or stream.done, "an answer")
        assert stream.status == status, vars(stream)
        if status is None:
            assert stream.reset == PROTOCOL_ERROR
        assert up.accepted == 0
        other = H2Ws(h2)
        other.say(TEXT, b"x")
        assert other.frame().data == b"x"


def test_end_stream_in_the_opening_is_malformed():
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        h2.until(lambda: h2.settings, "SETTINGS")
        stream = h2.stream(h2.request(pseudo=CONNECT, extra=VERSION, end=True))
        h2.until(lambda: stream.done, "a reset")
        assert stream.status is None and up.accepted == 0


def test_data_before_the_answer_is_kept():
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        echoes_what_comes_with_the_request(h2)


def test_bad_frames_end_the_stream_alone():
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        ws, other = H2Ws(h2), H2Ws(h2)
        ws.say(TEXT, b"x", mask=None)
        assert ws.frame().code == 1002
        ws.say(CLOSE, close_payload(1002))
        h2.until(lambda: ws.stream.done, "the end")
        other.say(TEXT, b"fine")
        assert other.frame().data == b"fine"


@pytest.mark.parametrize("how", ["reset", "end", "leave"])
def test_a_client_that_goes(how):
    ended = []

    def script(ws):
        ended.append(ws.frame())
    with upstream(script) as up, Weir(up) as weir, H2(weir.port) as h2:
        ws = H2Ws(h2)
        if how == "reset":
            from hyperframe.frame import RstStreamFrame
            h2.send(RstStreamFrame(ws.number, error_code=CANCEL))
        elif how == "end":
            h2.data(ws.number, b"", end=True)
        else:
            h2.sock.close()
        wait_for(lambda: ended, "the upstream to hear of it")
        assert ended == [None]
        wait_for(lambda: weir.metric("weir_websocket_open") == 0, "it to end")
        assert wait_for(weir.access, "the log")[0]["error"] == "client_left"


def test_an_upstream_that_goes_cuts_the_stream():
    def script(ws):
        ws.frame()
        ws.peer.reset()
    with upstream(script) as up, Weir(up) as weir, H2(weir.port) as h2:
        ws = H2Ws(h2)
        ws.say(TEXT, b"go")
        h2.until(lambda: ws.stream.done, "the end")
        assert weir.metric("weir_websocket_open") == 0 or wait_for(lambda: weir.metric("weir_websocket_open") == 0)


def test_who_does_not_open_its_window_holds_up_the_upstream():
    full = threading.Event()

    def script(ws):
        ws.peer.sock.settimeout(1)
        try:
            while True:
                ws.say(BINARY, b"y" * 60000)
        except TimeoutError:
            full.set()
    with upstream(script) as up, Weir(up) as weir, H2(weir.port) as h2:
        h2.auto_window = False
        before = weir.resident()
        H2Ws(h2)
        assert full.wait(15)
        assert weir.resident() - before < 16 << 20


def test_http_times_do_not_end_it():
    pool = {"idle_timeout": "300ms", "request_timeout": "300ms", "keepalive_timeout": "300ms"}
    times = {"read_timeout": "300ms", "first_byte_timeout": "300ms", "total_timeout": "400ms"}
    with chain(echo, {"pool": pool, "upstream_pool": times}, {"pool": pool, "upstream_pool": times}) as weir, \
            H2(weir.port) as h2:
        ws = H2Ws(h2)
        threading.Event().wait(1.0)
        ws.say(TEXT, b"x")
        assert ws.frame().data == b"x"


def test_pings_go_to_both_sides_of_http2():
    with chain(echo, outer={"listener": {"websocket": {"ping_interval": "150ms", "pong_timeout": "300ms"}}}) as weir, \
            H2(weir.port) as h2:
        ws = H2Ws(h2)
        for _ in range(3):
            got = ws.frame()
            assert got.opcode == PING
            ws.say(PONG, got.data)
        wait_for(lambda: weir.metric("weir_websocket_pongs_total") >= 5)
        got = None
        while (it := ws.frame()) is not None:  # and now it says nothing
            got = it
        assert ws.stream.done and (got is None or got.opcode != CLOSE or got.code)
        assert wait_for(weir.access, "the log")[0]["error"] == "client_silent"


@pytest.mark.parametrize("front", ["http1", "http2"])
def test_an_upstream_of_http2(front):
    with chain(echo) as weir, contextlib.ExitStack() as stack:
        def open_one():
            if front == "http1":
                return stack.enter_context(WsClient(weir.port, "/a?b"))
            return H2Ws(stack.enter_context(H2(weir.port)))
        sockets = [open_one() for _ in range(5)]
        for size in (0, 5, 1000, 60000):
            for ws in sockets:
                ws.say(BINARY, b"x" * size)
            for ws in sockets:
                got = ws.frame()
                assert got.opcode == BINARY and got.data == b"x" * size
        for ws in sockets:
            ws.say(CLOSE, close_payload(4000, "bye"))
            got = ws.frame()
            assert got.code == 4000 and got.data[2:] == b"bye"
        wait_for(lambda: len(weir.access()) == 5, "the log")
        assert not any(line["cut"] for line in weir.access())
        rows = json.loads(weir.admin("/api/v1/connections").text)["connections"]
        assert len([r for r in rows if r["pool"] == "up" and "stream" not in r]) == 1, "five on one connection"


def test_each_has_a_row_behind_its_connection():
    def websockets(weir):
        rows = json.loads(weir.admin("/api/v1/connections").text)["connections"]
        return [r for r in rows if "websocket" in r], {r["id"] for r in rows if "stream" not in r}

    with chain(echo) as weir, H2(weir.port) as h2:
        first, second = H2Ws(h2), H2Ws(h2)
        for ws, count in ((first, 3), (second, 1)):
            for _ in range(count):
                ws.say(TEXT, b"abc")
                assert ws.frame().data == b"abc"
        rows, connections = websockets(weir)
        fronts = {r["stream"]: r for r in rows if r["pool"] == "listener:web"}
        assert set(fronts) == {first.number, second.number}
        backs = [r for r in rows if r["pool"] == "up"]
        assert len(backs) == 2 and len({(r["id"], r["stream"]) for r in backs}) == 2, backs
        assert {r["id"] for r in rows} <= connections, "the row of a connection has its number"
        figures = fronts[first.number]["websocket"]
        assert figures["messages_in"] == 3 and figures["messages_out"] == 3
        assert figures["bytes_in"] == 3 * 9 and figures["bytes_out"] == 3 * 5
        assert sorted(r["websocket"]["messages_in"] for r in backs) == [1, 3]
        assert all(r["state"] == "active" and r["leases"] == 1 for r in rows)
        first.say(CLOSE, close_payload(1000))
        assert first.frame().code == 1000
        wait_for(lambda: {r.get("stream") for r in websockets(weir)[0] if r["pool"] == "listener:web"} == {second.number},
                 "the row of the one that is left")


def test_a_megabyte_each_way_through_two_of_them():
    with chain(echo) as weir, WsClient(weir.port) as client:
        client.say(BINARY, b"m" * (1 << 20))
        assert len(client.message()) == 1 << 20


def test_full_is_503_before_the_upgrade_over_http2():
    with upstream(echo) as up, Weir(up, upstream_pool={"max_connections": 1, "waiting_max": 0}) as weir, \
            H2(weir.port) as h2:
        first, second = H2Ws(h2), H2Ws(h2, opens=False)
        assert second.stream.status == 503 and dict(second.stream.fields)["retry-after"]
        first.say(TEXT, "unmoved")
        assert first.frame().data == b"unmoved"


def test_drain_of_clients_of_http2():
    with upstream(echo) as up, Weir(up) as weir, H2(weir.port) as h2:
        ws = H2Ws(h2)
        weir.process.send_signal(signal.SIGTERM)
        assert ws.frame().code == 1001
        ws.say(CLOSE, close_payload(1001))
        weir.process.wait(15)


def test_an_upstream_of_http2_that_knows_no_websocket():
    with h2peer.H2Upstream() as up, Weir([up.url], upstream_options={"protocol": "h2"}) as weir, \
            WsClient(weir.port, opens=False) as client:
        assert client.answer.status == 501 and client.answer.json()["error"]["code"] == "no_websocket"
