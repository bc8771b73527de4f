# SPDX-License-Identifier: Apache-2.0
"""The library's gRPC server (grpc_tool.c) under a real client, grpcio."""
import os
import pathlib
import threading
import time

import grpc
import h2.config
import h2.connection
import h2.events
import pytest

from peers import accepts
from serving import Tool
from weirtest import ROOT, Client, wait_for

TOOL = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test/grpc_tool"
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"


def named(service):
    return b"\n" + bytes([len(service)]) + service.encode() if service else b""


class Serving(Tool):
    def __init__(self, workers=2):
        super().__init__(TOOL, str(workers))

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def cancelled(self):
        self.process.stdin.write("cancelled\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


class To:
    """A channel's calls by name, bytes in and out."""

    def __init__(self, server, *options):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.port}", options=options)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()

    def unary(self, method):
        return self.channel.unary_unary(method if method[0] == "/" else f"/t.T/{method}")

    sum = property(lambda self: self.channel.stream_unary("/t.T/Sum"))
    count = property(lambda self: self.channel.unary_stream("/t.T/Count"))
    chat = property(lambda self: self.channel.stream_stream("/t.T/Chat"))
    watch = property(lambda self: self.channel.unary_stream(WATCH))
    wait = property(lambda self: self.channel.unary_stream("/t.T/Wait"))


@pytest.fixture(name="server")
def serving():
    with Serving() as it:
        yield it


def refused(call, *arguments, **named_ones):
    with pytest.raises(grpc.RpcError) as caught:
        call(*arguments, **named_ones)
    return caught.value


def test_all_four_kinds(server):
    with To(server) as to:
        reply, call = to.unary("Echo").with_call(b"hello")
        assert reply == b"hello" and dict(call.trailing_metadata())["x-trailing-bin"] == b"\0\xff"
        assert to.unary("Echo")(b"") == b""
        assert to.unary("Echo")(b"x" * 3_000_000) == b"x" * 3_000_000
        assert to.sum(iter([b"a", b"bc", b"", b"d" * 100000])) == b"100003"
        assert to.sum(iter([])) == b"0"
        assert list(to.count(b"1000")) == [b"%d" % i for i in range(1000)]
        assert list(to.count(b"0")) == []
        turn = threading.Semaphore(1)

        def asks():
            for i in range(100):
                turn.acquire()
                yield b"%d" % i
        for i, reply in enumerate(to.chat(asks())):  # in lock step
            assert reply == b"re: %d" % i
            turn.release()
        futures = [to.unary("Echo").future(b"%d" % i) for i in range(300)]
        assert [f.result() for f in futures] == [b"%d" % i for i in range(300)]
        futures = [to.unary("Later").future(b"%d" % i) for i in range(100)]
        assert [f.result() for f in futures] == [b"%d" % i for i in range(100)]


def test_statuses(server):
    with To(server) as to:
        failed = refused(to.unary("Fail"), b"")
        assert failed.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert failed.details() == "nicht möglich: 100%\n"
        assert dict(failed.trailing_metadata())["x-more-bin"] == b"\1\2"
        assert refused(to.unary("Nothing"), b"").code() == grpc.StatusCode.UNIMPLEMENTED
        assert refused(to.unary("/no.Such/Service"), b"").code() == grpc.StatusCode.UNIMPLEMENTED
        assert refused(to.unary("Cut"), b"x").code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL,
                                                         grpc.StatusCode.UNKNOWN)
        assert to.unary("Echo")(b"after") == b"after"


def test_metadata(server):
    large = "v" * 12000
    with To(server, ("grpc.max_metadata_size", 65536)) as to:
        reply, call = to.unary("Head").with_call(b"m", metadata=(("x-data-bin", b"\0\1\2\xff"), ("x-long", large)))
        head = dict(call.initial_metadata())
        assert reply == b"m" and head["x-data-bin"] == b"\0\1\2\xff" and head["x-long"] == large
        assert "grpc" in head["x-agent"]
        failed = refused(to.unary("Head"), b"m", metadata=(("x-long", "v" * 40000),))
        assert failed.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert to.unary("Echo")(b"after") == b"after"


def test_limits(server):
    with To(server, ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)) as to:
        assert refused(to.unary("Echo"), b"x" * (4 << 20) + b"y").code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert to.unary("Echo")(b"x" * (4 << 20)) == b"x" * (4 << 20)
        assert len(to.unary("Bytes")(b"30000000")) == 30_000_000
        assert refused(to.unary("Bytes"), b"40000001").code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.end()["too_large"] == 1


def test_compressed_messages_are_unimplemented(server):
    with To(server) as to:
        call = to.channel.unary_unary("/t.T/Echo")
        failed = refused(call, b"x" * 10000, compression=grpc.Compression.Gzip)
        assert failed.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadlines(server):
    with To(server) as to:
        began = time.monotonic()
        failed = refused(to.unary("Wait"), b"", timeout=0.4)
        assert failed.code() == grpc.StatusCode.DEADLINE_EXCEEDED and 0.3 < time.monotonic() - began < 5
        call = to.wait(b"", timeout=30)
        assert 25000 < int(dict(call.initial_metadata())["x-left"]) <= 30500
        call.cancel()
        call = to.wait(b"")
        assert dict(call.initial_metadata())["x-left"] == "-1"
        call.cancel()
    said = server.end()
    # The client of the first gives up at its own deadline: the server may hear that before its own.
    assert said["calls"] == 3 and (said["late"], said["cancelled"]) in ((1, 2), (0, 3))


def raw(server, *headers, data=b""):
    """A call by python3-h2, which keeps no deadline of its own: (headers, trailers, how it was reset)."""
    with Client(server.port) as client:
        conn = h2.connection.H2Connection(h2.config.H2Configuration())
        conn.initiate_connection()
        fields = {":method": "POST", ":scheme": "http", ":authority": "h", ":path": "/t.T/Wait",
                  "content-type": "application/grpc", "te": "trailers", **dict(headers)}
        conn.send_headers(1, list(fields.items()))
        conn.send_data(1, data, end_stream=True)
        client.sock.sendall(conn.data_to_send())
        heads, reset = [], None
        while True:
            data = client.sock.recv(65536)
            assert data, "the server hung up"
            for event in conn.receive_data(data):
                if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
                    heads.append({k.decode() if isinstance(k, bytes) else k: v.decode() if isinstance(v, bytes) else v
                                  for k, v in event.headers})
                if isinstance(event, h2.events.StreamReset):
                    reset = event.error_code
                if isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                    return heads, reset
            if out := conn.data_to_send():
                client.sock.sendall(out)


def test_a_deadline_acts_by_itself(server):
    began = time.monotonic()
    heads, _ = raw(server, ("grpc-timeout", "200m"))
    assert heads[-1]["grpc-status"] == "4" and 0.15 < time.monotonic() - began < 5
    assert len(heads) == 2  # the head was given before
    heads, _ = raw(server, (":path", "/t.T/Echo"), ("grpc-timeout", "1"))
    assert heads[0]["grpc-status"] == "13" and len(heads) == 1
    assert server.end()["late"] == 1


def test_rules(server):
    for fields, data, status in (
            ([(":method", "GET")], b"", "13"),
            ([(":path", "/t.T/Nothing")], b"", "12"),
            ([(":path", "/t.T/Echo")], b"\0\0\0\0\5abc", "13"),      # ends in a message
            ([(":path", "/t.T/Echo")], b"\1\0\0\0\1a", "12"),        # compressed
            ([(":path", "/t.T/Sum")], b"\0\xff\xff\xff\xffa", "8"),  # four gigabytes are announced
    ):
        heads, reset = raw(server, *fields, data=data)
        assert heads[-1][":status"] == "200" and heads[-1]["content-type"] == "application/grpc"
        assert heads[-1]["grpc-status"] == status and len(heads) == 1, (fields, heads, reset)
    heads, _ = raw(server, ("content-type", "text/plain"), (":path", "/t.T/Echo"), data=b"x")
    assert heads[0][":status"] == "415"
    with Client(server.port) as client:
        client.send("POST /t.T/Echo HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n\r\n")
        assert client.response().status == 415


def test_cancel(server):
    """How soon is said by one alone; how all of them fare, by fifty."""
    with To(server) as to:
        took = []
        for i in range(9):
            call = to.wait(b"")
            call.initial_metadata()
            began = time.monotonic()
            call.cancel()
            wait_for(lambda: server.cancelled() > i, "it to be cancelled", every=0.001)
            took.append(time.monotonic() - began)
        assert sorted(took)[4] < 0.1, took


def test_cancel_of_many(server):
    with To(server) as to:
        calls = [to.wait(b"") for _ in range(50)]
        for call in calls:
            call.initial_metadata()  # it is there
        began = time.monotonic()
        for call in calls:
            call.cancel()
        wait_for(lambda: server.cancelled() == 50, "all to be cancelled", every=0.002)
        assert time.monotonic() - began < 2
    assert server.end()["cancelled"] == 50


def gated(to):
    """(replies, gate): a chat that has had one reply, and says its other word when the gate is set."""
    gate = threading.Event()

    def asks():
        yield b"one"
        gate.wait(30)
        yield b"two"
    replies = to.chat(asks())
    assert next(replies) == b"re: one"
    return replies, gate


def test_silent_streams_live(server):
    """The server's times are 300 ms; a call has none of them, only its own deadline."""
    with To(server) as to:
        replies, gate = gated(to)
        timer = threading.Timer(1.2, gate.set)
        timer.start()
        assert next(replies) == b"re: two" and not list(replies)
        timer.join()


def test_back_pressure(server):
    """A client that does not read is waited for, and one that is not read waits."""
    with To(server) as to:
        replies = to.count(b"60000")
        assert next(replies) == b"0"
        assert sum(1 for _ in replies) == 59999
        sent = []

        def asks():
            for i in range(1000):
                sent.append(i)
                yield b"x" * 100000
        call = to.channel.stream_stream("/t.T/Pause")(asks())
        assert next(call) == b"0"
        assert to.unary("Echo")(b"x" * 1_000_000) == b"x" * 1_000_000  # others are not held up meanwhile
        assert len(sent) < 200
        call.cancel()


def test_health(server):
    with To(server) as to:
        check = to.unary(CHECK)
        assert check(b"") == SERVING
        assert refused(check, named("a.B")).code() == grpc.StatusCode.NOT_FOUND
        server.say("on a.B")
        assert check(named("a.B")) == SERVING
        server.say("off a.B")
        assert check(named("a.B")) == NOT_SERVING
        assert refused(check, b"\xff").code() == grpc.StatusCode.INVALID_ARGUMENT
        first, second = to.watch(named("a.B")), to.watch(named("c.D"))
        assert next(first) == NOT_SERVING and next(second) == SERVICE_UNKNOWN
        server.say("on c.D")
        assert next(second) == SERVING
        server.say("drop a.B")
        assert next(first) == SERVICE_UNKNOWN
        server.say("off")
        assert check(b"") == NOT_SERVING
        first.cancel()
        server.say("on a.B")
        wait_for(lambda: check(named("a.B")) == SERVING)
        ending = threading.Thread(target=server.end)
        ending.start()
        assert next(second) == NOT_SERVING
        with pytest.raises(grpc.RpcError) as caught:
            next(second)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        ending.join()


def test_a_close_lets_calls_end(server):
    with To(server) as to:
        replies, gate = gated(to)
        ending = threading.Thread(target=server.end)
        ending.start()
        wait_for(lambda: not accepts(server.port), "it to listen no more")
        gate.set()
        assert list(replies) == [b"re: two"]
        ending.join()
    assert server.said["other"] == 0


def test_four_workers_many_clients():
    with Serving(4) as server:
        errors = []

        def client():
            with To(server, ("grpc.use_local_subchannel_pool", 1)) as to:
                for i in range(50):
                    if to.unary("Echo")(b"%d" % i) != b"%d" % i or to.unary("Later")(b"l") != b"l" \
                            or sum(1 for _ in to.count(b"200")) != 200:
                        errors.append(i)
        threads = [threading.Thread(target=client) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert server.end()["other"] == 0
