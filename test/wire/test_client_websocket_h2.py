# SPDX-License-Identifier: Apache-2.0
"""The library's server of WebSockets (ws_tool.c) over HTTP/2 (RFC 8441): streams of one connection, asked for rightly and
not, that end in every way, and behind the gateway."""
import os
import pathlib
import resource

import pytest

from h2raw import CANCEL, H2, PROTOCOL_ERROR
from hyperframe.frame import RstStreamFrame, WindowUpdateFrame
from serving import Tool
from test_websocket_h2 import CONNECT, VERSION, H2Ws, echoes_what_comes_with_the_request
from weirtest import ROOT, Weir, wait_for
from wsraw import BINARY, CLOSE, CONT, PING, PONG, TEXT, WsClient, close_payload, frame

BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test"
INITIAL_WINDOW = 4


@pytest.fixture
def server(request):
    with Tool(BUILD / "ws_tool", *getattr(request, "param", ()), "server") as it:
        yield it
        if it.said is None:
            it.end()


def refused(h2, pseudo=None, extra=VERSION, end=False, body=b""):
    h2.until(lambda: h2.settings, "SETTINGS")
    number = h2.request(pseudo=pseudo or CONNECT, extra=extra, end=end)
    if body:
        h2.data(number, body)
    stream = h2.stream(number)
    h2.until(lambda: stream.done, "an end")
    return stream


def test_many_on_one_connection(server):
    with H2(server.port) as h2:
        sockets = [H2Ws(h2) for _ in range(20)]
        assert h2.settings.get(8) == 1
        for size in (0, 5, 1000, 60000):
            for n, ws in enumerate(sockets):
                ws.say(BINARY, bytes([n]) * size)
            for n, ws in enumerate(sockets):
                got = ws.frame()
                assert got.opcode == BINARY and got.data == bytes([n]) * size
        names = [name for name, _ in sockets[0].stream.fields]
        assert "sec-websocket-accept" not in names and "upgrade" not in names and "connection" not in names
        sockets[0].say(PING, b"?")
        assert sockets[0].frame().opcode == PONG
        for ws in sockets:
            ws.say(CLOSE, close_payload(4000, "bye"))
            assert ws.frame().code == 4000
            h2.until(lambda ws=ws: ws.stream.done, "the stream's end")
        assert refused(h2, extra=[]).status == 426, "and the connection goes on"
    said = server.end()
    assert (said["accepted"], said["closed"], said["messages_in"], said["messages_out"]) == (20, 20, 80, 80)


def test_http1_and_http2_beside_each_other(server):
    with H2(server.port) as h2, WsClient(server.port) as old:
        new = H2Ws(h2)
        for ws in (old, new, old):
            ws.say(TEXT, "hello")
            assert ws.frame().data == b"hello"


def test_frames_that_come_with_the_request(server):
    with H2(server.port) as h2:
        echoes_what_comes_with_the_request(h2)


@pytest.mark.parametrize("server", [("--protocol", "chat", "--deflate")], indirect=True)
def test_what_is_agreed(server):
    with H2(server.port) as h2:
        ws = H2Ws(h2, [("sec-websocket-protocol", "other, chat"), ("sec-websocket-extensions", "permessage-deflate")])
        fields = dict(ws.stream.fields)
        assert fields["sec-websocket-protocol"] == "chat" and fields["sec-websocket-extensions"].startswith("permessage-deflate")
        ws.say(TEXT, "hello, hello, hello")
        assert ws.frame().rsv == 4, "it is deflated"
        assert refused(h2).status == 400, "a subprotocol that was not offered"


@pytest.mark.parametrize("pseudo, extra, status", [
    ([*CONNECT[:1], (":protocol", "foo"), *CONNECT[2:]], VERSION, 501),
    (CONNECT, [], 426),
    (CONNECT, [("sec-websocket-version", "8")], 426),
    (CONNECT, [*VERSION, ("content-length", "3")], None),
])
def test_bad_openings(server, pseudo, extra, status):
    with H2(server.port) as h2:
        stream = refused(h2, pseudo, extra, body=b"" if status is None else b"abc")
        assert stream.status == status and (status is not None or stream.reset == PROTOCOL_ERROR), vars(stream)
        ws = H2Ws(h2)
        ws.say(TEXT, "x")
        assert ws.frame().data == b"x"


def test_bad_frames_end_the_stream_alone(server):
    with H2(server.port) as h2:
        bad, other = H2Ws(h2), H2Ws(h2)
        bad.say(TEXT, b"x", mask=None)
        assert bad.frame().code == 1002
        h2.until(lambda: bad.stream.done, "the end")
        other.say(TEXT, "fine")
        assert other.frame().data == b"fine"


@pytest.mark.parametrize("how", ["reset", "end", "leave"])
def test_a_client_that_goes(server, how):
    with H2(server.port) as h2:
        ws, other = H2Ws(h2), H2Ws(h2)
        ws.say(TEXT, "half")
        assert ws.frame().data == b"half"
        if how == "reset":
            h2.send(RstStreamFrame(ws.number, error_code=CANCEL))
        elif how == "end":
            h2.data(ws.number, b"", end=True)
            h2.until(lambda: ws.stream.done, "its end")
        else:
            h2.sock.close()
        if how != "leave":
            other.say(TEXT, "still here")
            assert other.frame().data == b"still here"
    said = server.end()
    assert (said["accepted"], said["closed"], said["total"]) == (2, 2, 0)


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_who_opens_no_window_holds_up_himself_alone(server):
    """His echoes wait, and so does what he says."""
    with H2(server.port, settings={INITIAL_WINDOW: 0}) as h2, H2(server.port) as other:
        ws, fine = H2Ws(h2), H2Ws(other)
        before = resident(server.process.pid)
        for n in range(12):  # as much as the window of the server takes
            ws.say(BINARY, bytes([n]) * 5000)
        for n in range(200):
            fine.say(TEXT, f"{n}")
            assert fine.frame().data == b"%d" % n
        assert ws.stream.body == b"" and resident(server.process.pid) - before < 16 << 20
        h2.send(WindowUpdateFrame(ws.number, window_increment=1 << 20))
        for n in range(12):
            assert ws.frame().data == bytes([n]) * 5000
        ws.say(TEXT, "on")
        assert ws.frame().data == b"on"


def test_megabytes(server):
    with H2(server.port) as h2:
        ws = H2Ws(h2)
        for n in range(16):
            ws.say(BINARY if n == 0 else CONT, bytes([n]) * (1 << 16), fin=n == 15)
        got = b""
        while len(got) < 1 << 20:
            got += ws.frame().data
        assert got == b"".join(bytes([n]) * (1 << 16) for n in range(16))


def test_a_server_that_closes_says_so(server):
    with H2(server.port) as h2:
        ws = H2Ws(h2)
        server.process.stdin.close()
        assert ws.frame().code == 1001
        ws.say(CLOSE, close_payload(1001))
        h2.until(lambda: ws.stream.done, "the end")
        assert server.process.wait(20) == 0
        server.said = {}


def test_one_that_takes_its_time_is_cut_in_the_end(server):
    with H2(server.port) as h2:
        ws = H2Ws(h2)
        server.process.stdin.close()
        assert ws.frame().code == 1001
        assert server.process.wait(20) == 0  # it never answered
        server.said = {}


@pytest.mark.parametrize("front", ["http1", "http2"])
def test_behind_the_gateway(server, front):
    with Weir([f"http://127.0.0.1:{server.port}"], upstream_options={"protocol": "h2"}) as weir:
        for _ in range(3):
            if front == "http1":
                with WsClient(weir.port) as client:
                    client.say(BINARY, b"m" * 3_000_000)
                    assert client.message() == b"m" * 3_000_000
            else:
                with H2(weir.port) as h2:
                    ws = H2Ws(h2)
                    ws.say(TEXT, "hello")
                    assert ws.frame().data == b"hello"
        wait_for(lambda: weir.metric("weir_websocket_open") == 0, "their ends")
    assert server.end()["accepted"] == 3


def test_a_program_that_knows_no_websocket_opens_none():
    with Tool(BUILD / "http_tool", "server") as server, H2(server.port) as h2:
        assert refused(h2, [*CONNECT[:-1], (":path", "/5")]).status == 501
        number = h2.request("GET", "/5")
        h2.until(lambda: h2.stream(number).ended, "an answer")
        assert h2.stream(number).status == 200
        server.said = {}
