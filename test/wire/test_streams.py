# SPDX-License-Identifier: Apache-2.0
"""Event streams and other answers of AI APIs: they pass byte for byte, with heartbeats between events, end where their
client does, and what they say of tokens is counted. The upstream is an aiohttp server that answers as the Anthropic and
OpenAI APIs do."""
import asyncio
import gzip
import json
import subprocess
import threading

import pytest
from aiohttp import web

from h2peer import H2Upstream
from weirtest import DEADLINE, Upstream, Weir, wait_for

option = pytest.mark.option

PING = b": ping\n\n"
EVENTS = "text/event-stream; charset=utf-8"


class Api:
    """Answers each path with its pieces, one write each; a threading.Event among them is waited for. "PATH stream" is what
    a request to that path is told whose body has the text "stream" in it; "left" goes before it."""

    def __init__(self):
        self.answers = {}  # path -> (content type, headers, pieces)
        self.left = threading.Event()  # a client left before its answer was complete
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(DEADLINE)
        return self

    def __exit__(self, *exc):
        for _, _, pieces in self.answers.values():
            for piece in pieces:
                if isinstance(piece, threading.Event):
                    piece.set()
        asyncio.run_coroutine_threadsafe(self.runner.cleanup(), self.loop).result(DEADLINE)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._open())
        self.loop.run_forever()
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self.loop.close()

    async def _open(self):
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._answer)
        self.runner = web.AppRunner(app)
        await self.runner.setup()
        site = web.TCPSite(self.runner, "127.0.0.1", 0, shutdown_timeout=1)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.ready.set()

    async def _answer(self, request):
        body = await request.read()
        words = [word for word in ("left", "stream") if f'"{word}"'.encode() in body]
        names = [f"{request.path} {word}" for word in words] + [request.path]
        kind, headers, pieces = next(self.answers[name] for name in names if name in self.answers)
        answer = web.StreamResponse(headers={"Content-Type": kind, **headers})
        try:
            await answer.prepare(request)
            for piece in pieces:
                if isinstance(piece, threading.Event):
                    if hasattr(piece, "reached"):
                        piece.reached.set()
                    assert await asyncio.get_running_loop().run_in_executor(None, piece.wait, DEADLINE)
                else:
                    await answer.write(piece)
            await answer.write_eof()
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return answer

    def says(self, path, kind, *pieces, **headers):
        self.answers[path] = (kind, headers, pieces)


def front(api, heartbeat=None, **more):
    route = {"match": {"path": "/"}, "upstream": "up", **({"sse_heartbeat": heartbeat} if heartbeat else {})}
    return Weir(api, routes=[route], **more)


def until(client, text, times=1):
    """Reads until the text has come that often."""
    while client.buffer.count(text) < times:
        assert client._more(), client.buffer


# --- heartbeats ----------------------------------------------------------------------------------------------------


@option("listeners.routes.sse_heartbeat")
def test_heartbeats_stand_between_events():
    first, half, rest, end = (threading.Event() for _ in range(4))
    pieces = [b"event: a\ndata: 1\n\n", b"event: b\nda", b"ta: 2\n", b"data: 3\n\ndata: 4\n\n"]
    with Api() as api, front(api, "50ms") as weir, weir.client() as client, weir.client() as clock:
        api.says("/s", EVENTS, first, pieces[0], half, pieces[1], pieces[2], rest, pieces[3], end)
        api.says("/clock", EVENTS, end)
        client.get("/s")
        until(client, PING, 2)  # nothing has come but the head
        assert b"data" not in client.buffer
        first.set()
        until(client, pieces[0])
        so_far = client.buffer.count(PING)
        until(client, PING, so_far + 2)
        half.set()
        until(client, b"ta: 2\n")
        so_far = client.buffer.count(PING)
        clock.get("/clock")
        until(clock, PING, 6)  # … and meanwhile
        client.sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.sock.recv(1)
        client.sock.settimeout(DEADLINE)
        rest.set()
        until(client, PING, so_far + 1)
        end.set()
        answer = client.response()
        assert answer.complete and answer.header("content-type") == EVENTS
        assert answer.body.replace(PING, b"") == b"".join(pieces)
        assert clock.response().body.replace(PING, b"") == b""


def test_none_comes_behind_the_last_byte():
    """The connection stays, and what comes on it next is the next answer."""
    end = threading.Event()
    with Api() as api, front(api, "50ms") as weir, weir.client() as client, weir.client() as clock:
        api.says("/s", EVENTS, b"data: 1\n\n")
        api.says("/clock", EVENTS, end)
        assert client.get("/s").response().body == b"data: 1\n\n"
        clock.get("/clock")
        until(clock, PING, 5)
        assert client.get("/s").response().body == b"data: 1\n\n"
        end.set()


def test_lines_that_end_with_crlf():
    end = threading.Event()
    with Api() as api, front(api, "50ms") as weir, weir.client() as client:
        api.says("/s", EVENTS, b"data: 1\r\n\r\n", end, b"data: 2\r\n\r\n")
        client.get("/s")
        until(client, b": ping\r\n\r\n", 2)
        end.set()
        body = client.response().body
        assert body.replace(b": ping\r\n\r\n", b"") == b"data: 1\r\n\r\ndata: 2\r\n\r\n"


@pytest.mark.parametrize("kind, headers, heartbeat", [
    ("application/json", {}, "50ms"),
    ("text/event-streams", {}, "50ms"),
    (EVENTS, {"Content-Encoding": "gzip"}, "50ms"),
    (EVENTS, {"Content-Length": "4"}, "50ms"),
    (EVENTS, {}, "0"),
    (EVENTS, {}, None)], ids=["json", "other", "encoded", "length", "off", "15s"])
def test_other_answers_have_none(kind, headers, heartbeat):
    end = threading.Event()
    routes = [{"match": {"path": "/clock"}, "upstream": "up", "sse_heartbeat": "50ms"},
              {"match": {"path": "/"}, "upstream": "up", **({"sse_heartbeat": heartbeat} if heartbeat else {})}]
    with Api() as api, Weir(api, routes=routes) as weir, weir.client() as client, weir.client() as clock:
        api.says("/s", kind, b"\n\n", end, b"\n\n", **headers)
        api.says("/clock", EVENTS, end)
        client.get("/s")
        until(client, b"\n\n\r\n" if "Content-Length" not in headers else b"\r\n\r\n\n\n")
        clock.get("/clock")
        until(clock, PING, 6)
        end.set()
        assert client.response().body == b"\n\n\n\n"


def test_a_client_that_reads_nothing_is_sent_none():
    """It is who is waited for: what is sent besides would only pile up."""
    blank = b"\n" * 65536  # so wherever it stops is between two events
    sent = []

    def script(peer):
        head, _ = peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        if b"/clock" in head:
            while peer.recv():
                pass
            return
        for _ in range(600):
            peer.send(blank)
            sent.append(len(blank))

    with Upstream(script) as upstream, front(upstream, "50ms") as weir, weir.client() as client, weir.client() as clock:
        client.send("GET /s HTTP/1.0\r\nHost: t\r\n\r\n")  # what comes is the stream, without chunks
        wait_for(lambda: len(sent) > 10, "the stream to begin")
        clock.get("/clock")
        seen = -1
        while seen != len(sent):  # until it stands still
            seen = len(sent)
            until(clock, PING, clock.buffer.count(PING) + 8)
        assert seen < 600, "the kernel's buffers took it all"
        parts = []
        while part := client.sock.recv(1 << 20):
            parts.append(part)
        body = b"".join(parts).partition(b"\r\n\r\n")[2]
        assert body.replace(PING, b"") == 600 * blank
        assert PING * 6 not in body  # a busy machine makes silences of its own, but no long ones


def test_heartbeats_are_life():
    """Silence of the upstream is none towards the client: its idle_timeout does not end the stream."""
    end = threading.Event()
    with Api() as api, front(api, "50ms", pool={"idle_timeout": "400ms"}) as weir, weir.client() as client:
        api.says("/s", EVENTS, b"data: 1\n\n", end, b"data: 2\n\n")
        client.get("/s")
        until(client, PING, 25)
        end.set()
        answer = client.response()
        assert answer.complete and answer.body.replace(PING, b"") == b"data: 1\n\ndata: 2\n\n"


def test_heartbeats_of_http2():
    end = threading.Event()
    with Api() as api, front(api, "50ms") as weir:
        api.says("/s", EVENTS, b"data: 1\n\n", end, b"data: 2\n\n")
        curl = subprocess.Popen(["curl", "-sN", "--max-time", "20", "--http2-prior-knowledge",
                                 f"http://127.0.0.1:{weir.port}/s"], stdout=subprocess.PIPE)
        seen = b""
        while seen.count(PING) < 3:
            piece = curl.stdout.read1()
            assert piece, seen
            seen += piece
        end.set()
        seen += curl.stdout.read()
        assert curl.wait(DEADLINE) == 0 and seen.replace(PING, b"") == b"data: 1\n\ndata: 2\n\n"


def h2_stream(*pieces):
    def script(peer, stream):
        peer.h2.send_headers(stream, [(":status", "200"), ("content-type", "text/event-stream")])
        for piece in pieces:
            peer.h2.send_data(stream, piece)
    return script


def test_heartbeats_of_an_upstream_of_http2():
    with H2Upstream(h2_stream(b"data: 1\n\n")) as up, front(up, "50ms", upstream_options={"protocol": "h2"}) as weir, \
            weir.client() as client:
        client.get("/s")
        until(client, PING, 3)
        peer = up.peers[0]
        with peer.lock:
            peer.h2.send_data(1, b"data: 2\n\n", end_stream=True)
            peer.send()
        answer = client.response()
        assert answer.complete and answer.body.replace(PING, b"") == b"data: 1\n\ndata: 2\n\n"


def test_who_leaves_resets_the_upstreams_stream():
    with H2Upstream(h2_stream(b"data: 1\n\n")) as up, front(up, "50ms", upstream_options={"protocol": "h2"}) as weir:
        with weir.client() as client:
            client.get("/s")
            until(client, PING, 2)
        wait_for(lambda: up.peers[0].resets == [(1, 8)], "RST_STREAM CANCEL")


# --- how a stream ends ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [(), (b"data: 1\n\n",), (b"data: 1\n\n", b"da")], ids=["head", "event", "half"])
def test_who_leaves_ends_the_upstreams_stream(pieces):
    never = threading.Event()
    with Api() as api, front(api, "50ms", upstream_options={"accounts": [{"name": "a1", "concurrent": 1}]}) as weir:
        api.says("/s", EVENTS, *pieces, never)
        api.says("/t", EVENTS, b"data: 2\n\n")
        with weir.client() as client:
            client.get("/s")
            until(client, pieces[-1] if pieces else PING)
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 0, "no lease")
        # Its place is free again.
        assert weir.ask("/t").body == b"data: 2\n\n"
        assert weir.metric("weir_account_in_flight", account="a1") == 0


def test_who_leaves_a_stream_that_flows_ends_it():
    with Api() as api, front(api) as weir:
        api.says("/s", EVENTS, *[b"data: %s\n\n" % (b"x" * 65536)] * 2000)
        with weir.client() as client:
            client.get("/s")
            until(client, b"data: ")
        assert api.left.wait(DEADLINE)


def test_a_stream_that_does_not_begin_is_504():
    never = threading.Event()

    def script(peer):
        peer.request()
        never.wait(DEADLINE)

    with Upstream(script) as upstream, front(upstream, "50ms", upstream_pool={"first_byte_timeout": "300ms"}) as weir:
        answer = weir.ask("/v1/messages", "Content-Length: 2\r\nAccept: text/event-stream\r\n", "POST", body=b"{}")
        assert answer.status == 504 and answer.json()["error"]["code"] == "first_byte_timeout"
        never.set()


def test_a_stream_that_falls_silent_is_cut():
    """… whatever we say meanwhile; and it never looks complete."""
    never = threading.Event()
    with Api() as api, front(api, "50ms", upstream_pool={"read_timeout": "600ms"}) as weir, weir.client() as client:
        api.says("/s", EVENTS, b"data: 1\n\n", never)
        answer = client.get("/s").response()
        assert answer.status == 200 and not answer.complete
        assert answer.body.startswith(b"data: 1\n\n" + PING) and answer.body.replace(PING, b"") == b"data: 1\n\n"
        assert wait_for(weir.access)[-1]["error"] == "read_timeout"


def test_a_stream_that_its_upstream_cuts_is_cut():
    def script(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")

    with Upstream(script) as upstream, front(upstream, "50ms") as weir, weir.client() as client:
        answer = client.get("/s").response()
        assert not answer.complete and answer.body == b"data: 1\n\n"


# --- tokens --------------------------------------------------------------------------------------------------------


def event(name, **fields):
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps({"type": name, **fields}).encode())


def data(**fields):
    return b"data: %s\n\n" % json.dumps(fields).encode()


ANTHROPIC_STREAM = [
    event("message_start", message={"id": "msg_1", "content": [], "usage": {
        "input_tokens": 25, "cache_creation_input_tokens": 7, "cache_read_input_tokens": 300, "output_tokens": 1}}),
    event("ping"),
    event("content_block_delta", index=0, delta={"type": "text_delta", "text": '"usage": {"input_tokens": 5}'}),
    event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 15}),
    event("message_stop")]
ANTHROPIC = [json.dumps({"id": "msg_1", "type": "message", "content": [
    {"type": "tool_use", "input": {"usage": {"input_tokens": 999}}}], "usage": {
        "input_tokens": 2095, "cache_creation_input_tokens": 20, "cache_read_input_tokens": 30,
        "output_tokens": 503}}).encode()]
OPENAI_STREAM = [
    data(id="chatcmpl-1", choices=[{"delta": {"content": "Hi"}}], usage=None),
    data(id="chatcmpl-1", choices=[], usage={"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29,
                                             "prompt_tokens_details": {"cached_tokens": 4}}),
    b"data: [DONE]\n\n"]
OPENAI = [json.dumps({"id": "chatcmpl-1", "choices": [{"message": {"content": "Hi"}}], "usage": {
    "prompt_tokens": 1019, "completion_tokens": 11, "prompt_tokens_details": {"cached_tokens": 1000}}}, indent=2).encode()]
RESPONSES_STREAM = [
    event("response.created", response={"id": "resp_1", "usage": None}),
    event("response.completed", response={"id": "resp_1", "output": [{"content": []}], "usage": {
        "input_tokens": 36, "input_tokens_details": {"cached_tokens": 6}, "output_tokens": 87}})]


def tokens(weir, account="a1"):
    row = next(it for it in json.loads(weir.admin("/api/v1/accounts").text)["accounts"] if it["account"] == account)
    kinds = ("input", "output", "cache_read", "cache_write")
    counted = [int(weir.metric(f"weir_account_{kind}_tokens_total", upstream="up", account=account)) for kind in kinds]
    assert counted == [row[f"{kind}_tokens"] for kind in kinds]
    return counted


def with_accounts(api, *names, heartbeat=None, **more):
    accounts = [{"name": name, "headers": {"x-api-key": f"k-{name}"}} for name in names]
    return front(api, heartbeat, upstream_options={"accounts": accounts}, **more)


@pytest.mark.parametrize("kind, pieces, counted", [
    (EVENTS, ANTHROPIC_STREAM, [25, 15, 300, 7]),
    ("application/json", ANTHROPIC, [2095, 503, 30, 20]),
    (EVENTS, OPENAI_STREAM, [15, 10, 4, 0]),
    ("application/json; charset=utf-8", OPENAI, [19, 11, 1000, 0]),
    (EVENTS, RESPONSES_STREAM, [30, 87, 6, 0]),
    ("text/plain", ANTHROPIC, [0, 0, 0, 0])],
    ids=["anthropic-stream", "anthropic", "openai-stream", "openai", "responses-stream", "other"])
def test_tokens(kind, pieces, counted):
    whole = b"".join(pieces)
    with Api() as api, with_accounts(api, "a1", "a2", workers=2) as weir:
        api.says("/whole", kind, whole)
        api.says("/pieces", kind, *pieces)
        api.says("/bytes", kind, *[whole[i:i + 1] for i in range(len(whole))])
        for path in ("/whole", "/pieces", "/bytes"):
            assert weir.ask(path).body == whole
        both = [sum(it) for it in zip(tokens(weir), tokens(weir, "a2"))]
        assert both == [3 * it for it in counted]


def test_tokens_are_of_the_account_that_served():
    with Api() as api, with_accounts(api, "a1") as weir:
        api.says("/s", "application/json", *ANTHROPIC)
        for _ in range(3):
            assert weir.ask("/s").status == 200
        assert tokens(weir) == [3 * 2095, 3 * 503, 90, 60]
        # None of it is heard where nobody is to pay.
    with Api() as api, front(api) as weir:
        api.says("/s", "application/json", *ANTHROPIC)
        assert weir.ask("/s").body == ANTHROPIC[0]
        assert weir.metric("weir_account_input_tokens_total") == 0


def test_tokens_of_a_stream_that_was_left():
    never = threading.Event()
    with Api() as api, with_accounts(api, "a1") as weir:
        api.says("/s", EVENTS, ANTHROPIC_STREAM[0], never)
        with weir.client() as client:
            client.get("/s")
            until(client, b"message_start")
        wait_for(lambda: weir.metric("weir_account_output_tokens_total") == 1, "what was said until then")
        assert tokens(weir) == [25, 1, 300, 7]


def test_tokens_with_heartbeats():
    end = threading.Event()
    with Api() as api, with_accounts(api, "a1", heartbeat="50ms") as weir, weir.client() as client:
        api.says("/s", EVENTS, ANTHROPIC_STREAM[0], end, *ANTHROPIC_STREAM[1:])
        client.get("/s")
        until(client, PING, 2)
        end.set()
        assert client.response().body.replace(PING, b"") == b"".join(ANTHROPIC_STREAM)
        assert tokens(weir) == [25, 15, 300, 7]


def test_compressed_answers_pass_unread():
    packed = gzip.compress(ANTHROPIC[0])
    with Api() as api, with_accounts(api, "a1") as weir:
        api.says("/s", "application/json", packed, **{"Content-Encoding": "gzip"})
        assert weir.ask("/s").body == packed
        assert tokens(weir) == [0, 0, 0, 0]
        assert weir.metric("weir_account_unread_answers_total", account="a1") == 1


def test_a_line_without_end_costs_nothing():
    """200 MB in one line of data, and in one text of JSON: they pass, in the memory of any other answer."""
    count, piece = 200, b"x" * (1 << 20)
    for kind, start, end in (
            (EVENTS, b'data: {"a":"', b'"}\n\ndata: {"usage":{"output_tokens":4}}\n\n'),
            (EVENTS, b": ", b'\n\ndata: {"usage":{"output_tokens":4}}\n\n'),
            ("application/json", b'{"a":"', b'","usage":{"output_tokens":4}}')):
        with Api() as api, with_accounts(api, "a1", workers=1) as weir, weir.client() as client:
            api.says("/s", kind, start, *[piece] * count, end)
            api.says("/t", kind, start, *[piece] * 10, end)
            assert client.get("/t").response().complete
            before, passed = weir.resident(), 0
            client.get("/s", "Connection: close\r\n")
            while part := client.sock.recv(1 << 20):
                passed += len(part)
            assert passed > count << 20
            assert weir.resident() - before < 8 << 20
            assert tokens(weir) == [0, 8, 0, 0]
