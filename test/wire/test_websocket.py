# SPDX-License-Identifier: Apache-2.0
"""WebSocket through the gateway: opening, frames untouched, limits, signs of life, ends, figures."""
import json
import os
import signal
import socket
import ssl
import threading
import time

import pytest

from certs import Authority
from weirtest import Client, Upstream, Weir, wait_for
from wsraw import (BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, Reader, WsClient, WsPeer, accept_of, close_payload, deaf, echo,
                   frame, hold, upstream)

option = pytest.mark.option


@pytest.fixture(scope="module")
def gate():
    with upstream(echo) as up, Weir(up, listener={"websocket": {"max_message": "1MiB"}}) as weir:
        weir.upstream = up
        yield weir


def opening(headers, method="GET", line="HTTP/1.1"):
    return f"{method} / {line}\r\nHost: t\r\n{headers}\r\n"


RIGHT = (f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
         "Sec-WebSocket-Version: 13\r\n")

# --- opening -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_text, status", [
    (opening(RIGHT.replace(KEY, "short")), 400),
    (opening(RIGHT.replace(KEY, KEY[:-1] + "A")), 400),
    (opening(RIGHT.replace(f"Sec-WebSocket-Key: {KEY}\r\n", "")), 400),
    (opening(RIGHT + f"Sec-WebSocket-Key: {KEY}\r\n"), 400),
    (opening(RIGHT.replace("Version: 13", "Version: 8")), 426),
    (opening(RIGHT.replace("Version: 13", "Version: 013")), 426),
    (opening(RIGHT.replace("Sec-WebSocket-Version: 13\r\n", "")), 426),
    (opening(RIGHT + "Content-Length: 0\r\n", method="POST"), 400),
    (opening(RIGHT, method="PUT"), 400),
    (opening(RIGHT + "Content-Length: 3\r\n") + "abc", 400),
])
def test_bad_openings_are_refused_and_go_nowhere(gate, request_text, status):
    before = gate.upstream.accepted
    with gate.client() as client:
        answer = client.send(request_text).final()
        assert answer.status == status, answer
        if status == 426:
            assert answer.header("sec-websocket-version") == "13"
            assert answer.header("upgrade") == "websocket"
            assert "upgrade" in (answer.header("connection") or "").lower()
    assert gate.upstream.accepted == before


@pytest.mark.parametrize("wrong", [
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "HTTP/1.1 101 S\r\nUpgrade: foo\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n",
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    "Sec-WebSocket-Protocol: other\r\n\r\n",
    "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
])
def test_a_wrong_101_is_502(wrong):
    def script(peer):
        if peer.head():
            peer.send(wrong.format(accept=accept_of(KEY)))
            peer.recv()
    with Upstream(script) as up, Weir(up) as weir, WsClient(weir.port, opens=False) as client:
        assert client.answer.status == 502, client.answer
        assert weir.metric("weir_websocket_opened_total") == 0


@pytest.mark.parametrize("terms", ["permessage-deflate; server_max_window_bits=7",
                                   "permessage-deflate; server_max_window_bits=99",
                                   "permessage-deflate, permessage-deflate", "x-deflate"])
def test_terms_that_nobody_can_keep_are_502(terms):
    with upstream(echo, headers=f"Sec-WebSocket-Extensions: {terms}\r\n") as up, Weir(up) as weir, \
            WsClient(weir.port, headers="Sec-WebSocket-Extensions: permessage-deflate\r\n", opens=False) as client:
        assert client.answer.status == 502


def test_what_it_passes_of_the_opening(gate):
    seen = []

    def script(ws):
        seen.append(ws)
        echo(ws)
    with upstream(script, headers="Sec-WebSocket-Protocol: b\r\nX-From: up\r\n") as up, Weir(up) as weir, \
            WsClient(weir.port, "/a?b=c", "Sec-WebSocket-Protocol: a, b\r\nOrigin: http://o\r\nCookie: k=v\r\n"
                     "Sec-WebSocket-Extensions: x-unknown; a=1\r\n") as client:
        assert client.answer.header("sec-websocket-protocol") == "b"
        assert client.answer.header("x-from") == "up"
        wait_for(lambda: seen, "the server's script")
        head = seen[0].head
        assert head.startswith(b"GET /a?b=c HTTP/1.1\r\n")
        assert seen[0].field("sec-websocket-key") == KEY
        assert seen[0].field("origin") == "http://o" and seen[0].field("cookie") == "k=v"
        assert seen[0].field("connection").lower() == "upgrade"
        assert seen[0].field("sec-websocket-extensions") is None, "an extension that nobody here can watch"
        assert seen[0].field("x-forwarded-for") == "127.0.0.1"


def test_another_upgrade_is_not_heard():
    with Upstream() as up, Weir(up) as weir:
        answer = weir.ask(headers="Upgrade: foo\r\nConnection: Upgrade\r\n")
        assert answer.status == 200
        assert b"pgrade" not in up.bytes
        answer = weir.ask(headers="Upgrade: h2c\r\nConnection: Upgrade\r\n")
        assert answer.status == 200 and b"pgrade" not in up.bytes


@pytest.mark.parametrize("answer", [b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
                                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])
def test_an_upstream_may_say_no(answer):
    def script(peer):
        while peer.head():
            peer.send(answer)
    with Upstream(script) as up, Weir(up) as weir, WsClient(weir.port, opens=False) as client:
        assert client.answer.status == int(answer.split()[1]) and client.answer.complete
        client.get()
        assert client.final().status == client.answer.status, "the connection goes on"


def test_frames_in_the_handshakes_segment_are_kept():
    with upstream(echo, ahead=frame(TEXT, "early")) as up, Weir(up) as weir, \
            WsClient(weir.port, ahead=frame(BINARY, b"first", mask=b"abcd") + frame(PING, b"x", mask=b"abcd")) as client:
        assert client.frame().data == b"early"
        assert client.frame().data == b"first"
        assert client.frame().opcode == PONG


def test_no_bytes_reach_the_upstream_before_its_101():
    go = threading.Event()
    seen = []

    def script(peer):
        head = peer.head()
        assert head
        go.wait(10)
        seen.append(peer.buffer)
        echo(WsPeer(peer, head).accept())
    with Upstream(script) as up, Weir(up) as weir, weir.client() as client:
        client.send(opening(RIGHT).encode() + frame(TEXT, "too early", mask=b"abcd"))
        wait_for(lambda: up.requests == 1)
        go.set()
        assert client.response().status == 101
        assert Reader(lambda: client.sock.recv(65536), client.buffer).frame().data == b"too early"
    assert seen == [b""]


def test_a_connection_that_was_idle_is_used():
    def script(peer):
        while (head := peer.head()) is not None:
            if b"websocket" in head:
                echo(WsPeer(peer, head).accept())
                return
            peer.ok()
    with Upstream(script) as up, Weir(up) as weir:
        assert weir.ask().status == 200
        with WsClient(weir.port) as client:
            client.say(TEXT, "x")
            assert client.message() == b"x"
        assert up.accepted == 1
        assert weir.ask().status == 200
        assert up.accepted == 2, "it does not come back to the pool"


@option("upstreams.protocol")
def test_an_upstream_of_protocol_websocket_carries_nothing_else():
    with upstream(echo) as up, Weir(up, upstream_options={"protocol": "websocket"}) as weir:
        answer = weir.ask()
        assert answer.status == 426 and answer.json()["error"]["code"] == "websocket_only"
        with WsClient(weir.port) as client:
            client.say(TEXT, "x")
            assert client.message() == b"x"
        assert up.accepted == 1


def test_grpc_upstreams_open_none():
    with Upstream() as up, Weir(up, upstream_options={"protocol": "grpc"}) as weir, \
            WsClient(weir.port, opens=False) as client:
        assert client.answer.status == 501


def test_full_is_503_before_the_upgrade():
    with upstream(echo) as up, Weir(up, upstream_pool={"max_connections": 1, "waiting_max": 0}) as weir, \
            WsClient(weir.port), WsClient(weir.port, opens=False) as second:
        assert second.answer.status == 503 and second.answer.header("retry-after")


def test_limits_of_clients_hold_for_as_long_as_it_is_open():
    routes = [{"match": {"path": "/"}, "upstream": "up", "limits": {"concurrent_per_client": 1}}]
    with upstream(echo) as up, Weir(up, routes=routes) as weir:
        with WsClient(weir.port):
            with WsClient(weir.port, opens=False) as second:
                assert second.answer.status == 429

        def opens():
            with WsClient(weir.port, opens=False) as third:
                return third.answer.status == 101
        wait_for(opens, "the seat to be free again")


# --- frames ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 300000])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_messages_of_every_size(gate, size, opcode):
    with WsClient(gate.port) as client:
        data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
        client.say(opcode, data)
        got = client.frame()
        assert got.opcode == opcode and got.data == data and not got.masked and got.fin


def test_bytes_are_the_same_on_both_sides():
    frames = [frame(TEXT, "abc", fin=False), frame(PING, b"p"), frame(CONT, "def", fin=False), frame(CONT, b"", fin=True),
              frame(BINARY, os.urandom(70000)), frame(PONG, b"unasked"), frame(TEXT, b"")]
    masked = [frame(TEXT, "abc", fin=False, mask=b"\1\2\3\4"), frame(PING, b"p", mask=b"\0\0\0\0"),
              frame(CONT, "def", mask=b"zzzz"), frame(PONG, b"", mask=b"abcd"), frame(BINARY, os.urandom(70000), mask=b"qwer")]
    sent = b"".join(masked)
    got = []

    def script(ws):
        ws.peer.send(b"".join(frames))
        data = ws.reader.buffer
        while len(data) < len(sent):
            data += ws.peer.recv()
        got.append(data)
        hold(ws)
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client:
        client.send(sent)
        back, want = client.reader.buffer, b"".join(frames)
        while len(back) < len(want):
            back += client.sock.recv(65536)
        assert back == want
        wait_for(lambda: got, "the upstream to have it all")
        assert got[0] == sent


def test_one_byte_at_a_time(gate):
    with WsClient(gate.port) as client:
        stream = (frame(TEXT, "abc", fin=False, mask=b"abcd") + frame(PING, b"hello", mask=b"efgh")
                  + frame(CONT, "de", mask=b"ijkl") + frame(BINARY, b"x" * 200, mask=b"mnop"))
        for i in range(len(stream)):
            client.send(stream[i:i + 1])
        frames = [client.frame() for _ in range(4)]
        assert [f.opcode for f in frames] == [TEXT, PONG, CONT, BINARY]
        assert [f.data for f in frames] == [b"abc", b"hello", b"de", b"x" * 200]


def test_deflated_messages_pass_as_they_are(gate):
    with upstream(echo, headers="Sec-WebSocket-Extensions: permessage-deflate\r\n") as up, Weir(up) as weir, \
            WsClient(weir.port, headers="Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n") as client:
        assert client.answer.header("sec-websocket-extensions") == "permessage-deflate"
        client.say(TEXT, bytes.fromhex("f248cdc9c90700"), rsv=4)
        got = client.frame()
        assert got.rsv == 4 and got.data == bytes.fromhex("f248cdc9c90700")
    with WsClient(gate.port) as client:
        client.say(TEXT, b"x", rsv=4)
        assert client.until_close().code == 1002, "nobody agreed to that"


BAD = {
    "unmasked": (frame(TEXT, "x"), 1002),
    "reserved 1": (frame(TEXT, "x", rsv=4, mask=b"abcd"), 1002),
    "reserved 2": (frame(TEXT, "x", rsv=2, mask=b"abcd"), 1002),
    "reserved 3": (frame(BINARY, "x", rsv=1, mask=b"abcd"), 1002),
    **{f"opcode {n}": (frame(n, "x", mask=b"abcd"), 1002) for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "long ping": (frame(PING, b"x" * 126, mask=b"abcd"), 1002),
    "long close": (frame(CLOSE, close_payload(1000, "x" * 124), mask=b"abcd"), 1002),
    "ping in fragments": (frame(PING, b"x", fin=False, mask=b"abcd"), 1002),
    "continuation of nothing": (frame(CONT, b"x", mask=b"abcd"), 1002),
    "text in a message": (frame(TEXT, b"x", fin=False, mask=b"abcd") + frame(TEXT, b"y", mask=b"abcd"), 1002),
    "length 2^63": (frame(BINARY, b"", length=1 << 63, size=8, mask=b"abcd"), 1002),
    "length too long for its size": (frame(BINARY, b"x" * 5, size=2, mask=b"abcd"), 1002),
    "close of one byte": (frame(CLOSE, b"x", mask=b"abcd"), 1002),
    "close 1005": (frame(CLOSE, close_payload(1005), mask=b"abcd"), 1002),
    "close 999": (frame(CLOSE, close_payload(999), mask=b"abcd"), 1002),
    "close that is not UTF-8": (frame(CLOSE, close_payload(1000) + b"\xff", mask=b"abcd"), 1007),
    "too big": (frame(BINARY, b"", length=(1 << 20) + 1, size=8, mask=b"abcd"), 1009),
    "2^62": (frame(BINARY, b"", length=1 << 62, size=8, mask=b"abcd"), 1009),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_frames_end_it(gate, what):
    data, code = BAD[what]
    before = gate.resident()
    with WsClient(gate.port) as client:
        client.say(TEXT, "fine")
        assert client.message() == b"fine"
        client.send(data)
        got = client.until_close()
        assert got is not None and got.code == code, got
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()
    with WsClient(gate.port) as other:
        other.say(TEXT, "still here")
        assert other.message() == b"still here"
    assert gate.resident() - before < 16 << 20, "nothing was allocated for it"


def test_an_upstream_with_bad_frames_is_ended_as_well():
    said = []

    def script(ws):
        ws.say(TEXT, b"masked", mask=b"abcd")
        said.append(ws.frame())
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client:
        assert client.until_close().code == 1014
        client.say(CLOSE, close_payload(1014))
        wait_for(lambda: said and said[0], "the upstream to hear of it")
        assert said[0].code == 1002 and said[0].masked
        assert wait_for(weir.access, "the log")[0]["error"] == "mask"


@option("listeners.websocket.max_message")
@pytest.mark.parametrize("from_client", [True, False])
def test_max_message_counts_all_fragments(from_client):
    parts = [frame(BINARY, b"x" * 600, fin=False, mask=b"abcd" if from_client else None),
             frame(CONT, b"x" * 424, fin=False, mask=b"abcd" if from_client else None)]
    last = frame(CONT, b"x", mask=b"abcd" if from_client else None)

    def script(ws):
        if not from_client:
            ws.peer.send(b"".join(parts) + last)
        hold(ws)
    with upstream(script) as up, Weir(up, listener={"websocket": {"max_message": 1024}}) as weir, \
            WsClient(weir.port) as client:
        if from_client:
            client.send(b"".join(parts))
            client.say(PING, b"alive")
            client.send(last)
        got = client.until_close()
        assert got.code == 1009, got
    with upstream(echo) as up, Weir(up, listener={"websocket": {"max_message": 0}}) as weir, WsClient(weir.port) as client:
        client.say(BINARY, b"x" * (17 << 20))
        assert len(client.message()) == 17 << 20


# --- signs of life -----------------------------------------------------------------------------------

SOON = {"ping_interval": "150ms", "pong_timeout": "250ms"}


@option("listeners.websocket.ping_interval")
def test_silent_sides_are_pinged_and_their_pongs_go_no_further():
    seen = []

    def script(ws):
        while (got := ws.frame()) is not None:
            seen.append(got)
            if got.opcode == PING:
                ws.say(PONG, got.data)
    with upstream(script) as up, Weir(up, listener={"websocket": SOON}) as weir, WsClient(weir.port) as client:
        for _ in range(3):
            got = client.frame()
            assert got.opcode == PING and len(got.data) == 8 and not got.masked
            client.say(PONG, got.data)
        client.say(PONG, b"of my own")
        wait_for(lambda: any(f.opcode == PONG for f in seen), "a pong that was not asked for")
        assert [f.data for f in seen if f.opcode == PONG] == [b"of my own"]
        assert all(f.masked for f in seen) and sum(f.opcode == PING for f in seen) >= 2
        assert weir.metric("weir_websocket_pings_total") >= 5


def test_a_message_instead_of_a_pong_puts_the_next_ping_at_an_interval():
    """Also where both were asked, and there is more time for a pong than between two pings."""
    seen = []

    def script(ws):
        while (got := ws.frame()) is not None:
            seen.append(got.opcode)
    with upstream(script) as up, Weir(up, listener={"websocket": {**SOON, "pong_timeout": "300s"}}) as weir, \
            WsClient(weir.port) as client:
        assert client.frame().opcode == PING
        wait_for(lambda: PING in seen, "the upstream to be asked as well")
        client.say(TEXT, "x")
        assert client.frame().opcode == PING


@option("listeners.websocket.pong_timeout")
@pytest.mark.parametrize("deaf_one", ["client", "upstream"])
def test_a_side_that_answers_no_ping_is_cut(deaf_one):
    ended = []

    def script(ws):
        while (got := ws.frame()) is not None:
            if got.opcode == CLOSE:
                ended.append(got.code)
                ws.say(CLOSE, got.data)
            elif got.opcode == PING and deaf_one != "upstream":
                ws.say(PONG, got.data)
    begun = time.monotonic()
    with upstream(script) as up, Weir(up, listener={"websocket": SOON}) as weir, WsClient(weir.port) as client:
        if deaf_one == "client":
            assert client.closed(5)
            wait_for(lambda: ended == [1001], "the upstream to hear of it")
        else:
            code = None
            while (got := client.frame()) is not None and code is None:
                if got.opcode == PING:
                    client.say(PONG, got.data)
                elif got.opcode == CLOSE:
                    code = got.code
            assert code == 1014
        assert 0.35 < time.monotonic() - begun
        assert wait_for(weir.access, "the log")[0]["error"] == f"{deaf_one}_silent"


def test_a_busy_connection_is_not_reaped_though_it_never_pongs():
    with upstream(echo) as up, Weir(up, listener={"websocket": SOON}) as weir, WsClient(weir.port) as client:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            client.say(TEXT, "x")
            while client.frame().opcode != TEXT:
                pass
            threading.Event().wait(0.1)
        assert not weir.access()


def test_without_pings_idle_timeout_ends_it():
    with upstream(echo) as up, Weir(up, listener={"websocket": {"ping_interval": "never"}},
                                    pool={"idle_timeout": "2s"}) as weir, WsClient(weir.port) as client:
        for _ in range(4):
            threading.Event().wait(0.6)
            client.say(TEXT, "x")
            assert client.frame().opcode == TEXT
        assert client.until_close().code == 1001


def test_http_times_do_not_end_it():
    pool = {"idle_timeout": "300ms", "request_timeout": "300ms", "keepalive_timeout": "300ms"}
    with upstream(echo) as up, Weir(up, pool=pool, upstream_pool={"read_timeout": "300ms", "first_byte_timeout": "300ms",
                                                                  "total_timeout": "400ms"}) as weir, \
            WsClient(weir.port) as client:
        assert not client.closed(1.0)
        client.say(TEXT, "x")
        assert client.message() == b"x"


def test_a_long_frame_is_not_cut_in_two_by_a_ping():
    with upstream(echo) as up, Weir(up, listener={"websocket": SOON}) as weir, WsClient(weir.port) as client:
        whole = frame(BINARY, b"y" * 1000, mask=b"abcd")
        client.send(whole[:500])
        for at in range(500, 1000, 100):  # slower than pings come
            threading.Event().wait(0.1)
            client.send(whole[at:at + 100])
        client.send(whole[1000:])
        assert client.message() == b"y" * 1000


# --- back-pressure -----------------------------------------------------------------------------------


def test_who_does_not_read_holds_up_the_other_and_costs_little():
    stop = threading.Event()
    with upstream(lambda ws: deaf(ws, stop)) as up, Weir(up) as weir, WsClient(weir.port) as client:
        before = weir.resident()
        client.sock.settimeout(1.0)
        sent = 0
        data = frame(BINARY, b"x" * 60000, mask=b"abcd")
        with pytest.raises(TimeoutError):
            while sent < 200 << 20:
                sent += client.sock.send(data)
        assert sent < 64 << 20, "somebody keeps it"
        assert weir.resident() - before < 24 << 20
        stop.set()


def test_a_slow_reader_gets_everything():
    total = 20 << 20

    def script(ws):
        for _ in range(total // 65536):
            ws.say(BINARY, b"z" * 65536)
        ws.say(CLOSE, close_payload(1000))
        hold(ws)
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client:
        threading.Event().wait(0.5)
        got = 0
        while (it := client.frame()) is not None and it.opcode != CLOSE:
            got += len(it.data)
        assert got == total and it.code == 1000


def test_a_client_that_takes_nothing_is_cut():
    closed = []

    def script(ws):
        try:
            while True:
                ws.say(BINARY, b"z" * 65536)
        except OSError:
            closed.append(True)
    with upstream(script) as up, Weir(up, pool={"write_timeout": "500ms"}) as weir, WsClient(weir.port):
        wait_for(lambda: closed, "the upstream to be told")
        assert wait_for(weir.access, "the log")[0]["error"] == "client_slow"


@pytest.mark.soak
def test_floods_stay_flat(gate):
    before = gate.resident()
    with WsClient(gate.port) as client:
        client.sock.settimeout(30)
        many = frame(PONG, b"x", mask=b"abcd") * 1000
        for _ in range(100):
            client.send(many)
        client.send(frame(TEXT, b"", fin=False, mask=b"abcd"))
        reads = threading.Thread(target=lambda: [client.frame() for _ in range(100002)])
        reads.start()
        for _ in range(100):
            client.send(frame(CONT, b"", fin=False, mask=b"abcd") * 1000)
        client.send(frame(CONT, b"", mask=b"abcd"))
        reads.join(30)
        assert not reads.is_alive()
    assert gate.resident() - before < 16 << 20


# --- ends --------------------------------------------------------------------------------------------


def test_the_close_handshake_passes():
    codes = []

    def script(ws):
        got = ws.frame()
        codes.append((got.code, got.data[2:]))
        ws.say(CLOSE, close_payload(4001, "so be it"))
        assert ws.frame() is None
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client:
        client.say(CLOSE, close_payload(4000, "bye"))
        got = client.until_close()
        assert (got.code, got.data[2:]) == (4001, b"so be it")
        assert client.closed()
        assert codes == [(4000, b"bye")]
        line = wait_for(weir.access, "the log")[0]
        assert line["status"] == 101 and line["error"] == "" and not line["cut"]
        assert line["websocket"]["client"]["code"] == 4000 and line["websocket"]["upstream"]["code"] == 4001


@pytest.mark.parametrize("who", ["client", "upstream"])
@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("where", ["between", "in a head", "in a payload"])
def test_an_end_without_close_stays_one(who, how, where):
    go, ended = threading.Event(), []
    part = {"between": b"", "in a head": b"\x82", "in a payload": b"\x82\x85abcdxy" if who == "client" else b"\x82\x05xy"}[where]

    def script(ws):
        if who == "upstream":
            go.wait(10)
            ws.peer.send(part)
            (ws.peer.reset if how == "reset" else ws.peer.close)()
            return
        got = ws.frame()
        ended.append(got)
    with upstream(script) as up, Weir(up) as weir:
        wait_for(lambda: weir.metric("weir_websocket_open") == 0)
        idle = weir.descriptors()
        with WsClient(weir.port) as client:
            if who == "client":
                client.send(part)
                (client.reset if how == "reset" else client.close)()
                wait_for(lambda: ended, "the upstream to hear of it")
                assert ended[0] is None
            else:
                go.set()
                assert client.until_close() is None
        wait_for(lambda: weir.descriptors() <= idle, "descriptors to come back")
        assert wait_for(weir.access, "the log")[0]["cut"]
        assert weir.metric("weir_websocket_open") == 0


def test_what_was_said_before_an_end_arrives():
    def script(ws):
        ws.say(BINARY, b"x" * 1000000)
        ws.say(CLOSE, close_payload(1000))
        ws.peer.close()
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client:
        assert len(client.message()) == 1000000
        assert client.frame().code == 1000


def test_one_who_never_answers_close_is_left():
    with upstream(hold) as up, Weir(up) as weir, WsClient(weir.port) as client:
        client.say(CLOSE, close_payload(1000))
        begun = time.monotonic()
        assert client.closed(10)
        assert time.monotonic() - begun < 8
        wait_for(lambda: weir.metric("weir_websocket_open") == 0)


def test_drain_says_1001_to_both():
    codes = []

    def script(ws):
        while (got := ws.frame()) is not None:
            if got.opcode == CLOSE:
                codes.append(got.code)
                ws.say(CLOSE, got.data)
    with upstream(script) as up, Weir(up) as weir, WsClient(weir.port) as client, WsClient(weir.port) as stubborn:
        begun = time.monotonic()
        weir.process.send_signal(signal.SIGTERM)
        assert client.until_close().code == 1001
        client.say(CLOSE, close_payload(1001))
        assert stubborn.until_close().code == 1001
        assert stubborn.closed(10)
        weir.process.wait(15)
        assert time.monotonic() - begun < 12
        assert codes == [1001, 1001]
        assert {line["error"] for line in weir.access()} == {"drain"}


# --- figures -----------------------------------------------------------------------------------------


def test_what_is_counted():
    with upstream(echo) as up, Weir(up) as weir:
        with WsClient(weir.port, "/chat?secret=1") as client:
            for _ in range(3):
                client.say(TEXT, "abc")
                client.message()
            client.say(PING, b"")
            assert client.frame().opcode == PONG
            assert weir.metric("weir_websocket_open", listener="web", upstream="up") == 1
            rows = [c for c in json.loads(weir.admin("/api/v1/connections").text)["connections"] if c.get("websocket")]
            assert {r["pool"] for r in rows} == {"up", "listener:web"}
            for row in rows:
                figures = row["websocket"]
                assert figures["messages_in"] == 3 and figures["messages_out"] == 3
                assert figures["bytes_in"] > 0 and figures["bytes_out"] > 0
            client.say(CLOSE, close_payload(1000))
            client.until_close()
        line = wait_for(weir.access, "the log")[0]
        assert line["path"] == "/chat" and line["method"] == "GET" and line["endpoint"]
        assert line["websocket"]["client"] == {"messages": 3, "pings": 1, "code": 1000}
        assert line["request_bytes"] == 3 * 9 + 6 + 8 and line["answer_bytes"] == 3 * 5 + 2 + 4
        wait_for(lambda: weir.metric("weir_websocket_open") == 0)
        assert weir.metric("weir_websocket_opened_total") == 1
        assert weir.metric("weir_websocket_client_messages_total", listener="web", upstream="up") == 3
        assert weir.metric("weir_websocket_upstream_messages_total") == 3
        assert weir.metric("weir_websocket_client_bytes_total") == line["request_bytes"]
        assert weir.metric("weir_websocket_closed_total", code="1000") == 1
        assert weir.metric("weir_http_requests_total", code="101") == 1


# --- TLS ---------------------------------------------------------------------------------------------


def test_wss_on_both_sides():
    with Authority() as authority:
        certificate, key = authority.sign("localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

        def script(peer):
            peer.sock = context.wrap_socket(peer.sock, server_side=True)
            head = peer.head()
            if head:
                echo(WsPeer(peer, head).accept())
        with Upstream(script) as up, Weir([f"https://localhost:{up.port}"],
                                          listener={"tls": {"certificate": certificate, "key": key}},
                                          upstream_options={"tls": {"ca": str(authority.certificate)}}) as weir:
            trust = ssl.create_default_context(cafile=str(authority.certificate))
            with WsClient(weir.port, tls=trust) as client:
                for size in (3, 1000, 200000):
                    client.say(BINARY, b"t" * size)
                    assert client.message() == b"t" * size
                client.say(CLOSE, close_payload(1000))
                assert client.until_close().code == 1000
            assert not wait_for(weir.access, "the log")[0]["cut"]


def test_a_thousand_come_and_go():
    with upstream(echo) as up, Weir(up, pool={"max_connections": 2000}, upstream_pool={
            "max_connections": 1000, "max_per_endpoint": 1000, "connecting_max": 100}) as weir:
        idle = weir.descriptors()
        clients = [WsClient(weir.port) for _ in range(200)]
        for client in clients:
            client.say(TEXT, "x")
        for client in clients:
            assert client.message() == b"x"
        assert weir.metric("weir_websocket_open") == 200
        for i, client in enumerate(clients):
            (client.close if i % 2 else client.reset)()
        wait_for(lambda: weir.metric("weir_websocket_open") == 0)
        wait_for(lambda: weir.descriptors() <= idle, "descriptors to come back")


def test_a_client_that_resets_in_the_opening():
    go = threading.Event()

    def script(peer):
        head = peer.head()
        if head:
            go.wait(10)
            echo(WsPeer(peer, head).accept())
    with Upstream(script) as up, Weir(up) as weir:
        client = Client(weir.port)
        client.send(opening(RIGHT))
        wait_for(lambda: up.requests == 1)
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        wait_for(weir.access, "the log")
        go.set()
        with WsClient(weir.port) as other:
            other.say(TEXT, "x")
            assert other.message() == b"x"
