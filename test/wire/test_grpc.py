# SPDX-License-Identifier: Apache-2.0
"""gRPC from end to end: a real client (grpcio), the gateway, a real server."""
import threading
import time

import grpc
import pytest

from grpcpeer import GrpcServer
from weirtest import Weir, wait_for

GRPC = {"protocol": "grpc"}


@pytest.fixture(scope="module")
def server():
    with GrpcServer() as it:
        yield it


class Channel:
    """Calls through the gateway, bytes in and out."""

    def __init__(self, weir):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{weir.port}")
        self.echo = self.channel.unary_unary("/t.T/Echo")
        self.sum = self.channel.stream_unary("/t.T/Sum")
        self.count = self.channel.unary_stream("/t.T/Count")
        self.chat = self.channel.stream_stream("/t.T/Chat")
        self.fail = self.channel.unary_unary("/t.T/Fail")
        self.wait = self.channel.unary_unary("/t.T/Wait")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()


def test_all_four_kinds(server):
    with Weir(server, upstream_options=GRPC) as weir, Channel(weir) as to:
        reply, call = to.echo.with_call(b"hello", metadata=(("x-data-bin", b"\0\xff"),))
        assert reply == b"hello"
        assert dict(call.trailing_metadata())["x-trailing-bin"] == b"\0\xff"
        assert server.metadata[-1]["x-data-bin"] == b"\0\xff"
        assert to.echo(b"x" * 3_000_000) == b"x" * 3_000_000
        assert to.sum(iter([b"a", b"bc", b"d" * 100000])) == b"100003"
        assert list(to.count(b"1000")) == [b"%d" % i for i in range(1000)]
        turn = threading.Semaphore(1)

        def asks():
            for i in range(50):
                turn.acquire()
                yield b"%d" % i
        for i, reply in enumerate(to.chat(asks())):  # in lock step
            assert reply == b"re: %d" % i
            turn.release()
        futures = [to.echo.future(b"%d" % i) for i in range(200)]
        assert [f.result() for f in futures] == [b"%d" % i for i in range(200)]


def test_statuses(server):
    with Weir(server, upstream_options=GRPC) as weir, Channel(weir) as to:
        with pytest.raises(grpc.RpcError) as caught:
            to.fail(b"")
        assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
        assert caught.value.details() == "nicht möglich: 100%\n"
        assert dict(caught.value.trailing_metadata())["x-more-bin"] == b"\1\2"
        with pytest.raises(grpc.RpcError) as caught:
            to.wait(b"", timeout=0.3)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.deadlines[-1] < 0.31
        with pytest.raises(grpc.RpcError) as caught:
            to.echo(b"x" * (4 << 20) + b"y")
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert to.echo(b"after") == b"after"
    with Weir(None, upstream_options=GRPC) as weir, Channel(weir) as to:
        with pytest.raises(grpc.RpcError) as caught:
            to.echo(b"x")
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert caught.value.details()


def test_cancel_within_100_ms(server):
    with Weir(server, upstream_options=GRPC) as weir, Channel(weir) as to:
        took = []
        for _ in range(10):
            before, waiting = len(server.cancelled), len(server.deadlines)
            call = to.wait.future(b"")
            wait_for(lambda: len(server.deadlines) > waiting, "the call to arrive")
            left = time.monotonic()
            call.cancel()
            wait_for(lambda: len(server.cancelled) > before, "it to be cancelled", every=0.001)
            took.append(server.cancelled[-1] - left)
        assert sorted(took)[5] < 0.1, took


def test_a_long_stream_of_small_messages(server):
    """Each of them is answered with frames that carry nothing: no flood."""
    with Weir(server, upstream_options=GRPC) as weir, Channel(weir) as to:
        assert sum(1 for _ in to.count(b"20000")) == 20000
        turn = threading.Semaphore(1)

        def asks():
            for _ in range(3000):
                turn.acquire()
                yield b"x"
        for _ in to.chat(asks()):
            turn.release()
