# SPDX-License-Identifier: Apache-2.0
"""gRPC all the way: grpcio's client through a listener of HTTP/2 to grpcio's server, with and without TLS."""
import pathlib
import queue
import time

import certs
import grpc
import pytest

from grpcpeer import GrpcServer
from weirtest import Weir, wait_for


@pytest.fixture(name="authority", scope="module")
def an_authority():
    with certs.Authority() as made:
        yield made


@pytest.fixture(name="through", params=["plain", "tls"])
def through_weir(request, authority):
    """A server and a channel to it through weir; TLS is on both sides, or on none."""
    if request.param == "plain":
        with GrpcServer() as server, Weir(server, upstream_options={"protocol": "grpc"}) as weir, \
             grpc.insecure_channel(f"127.0.0.1:{weir.port}") as channel:
            yield server, channel
        return
    pair = authority.sign("localhost")
    trust = grpc.ssl_channel_credentials(pathlib.Path(authority.certificate).read_bytes())
    with GrpcServer(pair=pair) as server, \
         Weir(server, listener={"tls": {"certificate": pair[0], "key": pair[1]}},
              upstream_options={"protocol": "grpc", "tls": {"ca": str(authority.certificate)}}) as weir, \
         grpc.secure_channel(f"localhost:{weir.port}", trust) as channel:
        yield server, channel


def test_all_four_kinds_in_lock_step(through):
    _, channel = through
    answer, call = channel.unary_unary("/t.T/Echo").with_call(b"hello", timeout=10)
    assert answer == b"hello"
    assert dict(call.trailing_metadata())["x-trailing-bin"] == b"\0\xff"
    assert channel.stream_unary("/t.T/Sum")(iter([b"abc", b"de"]), timeout=10) == b"5"
    assert list(channel.unary_stream("/t.T/Count")(b"4", timeout=10)) == [b"0", b"1", b"2", b"3"]
    said = queue.Queue()
    call = channel.stream_stream("/t.T/Chat")(iter(said.get, None), timeout=10)
    for word in (b"a", b"b", b"c"):  # nothing is held back: each answer comes before the next question
        said.put(word)
        assert next(call) == b"re: " + word
    said.put(None)
    assert list(call) == []


def test_statuses_and_metadata(through):
    server, channel = through
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t.T/Fail")(b"", metadata=(("x-big", "m" * 8000), ("x-bytes-bin", b"\0\1")), timeout=10)
    assert failed.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert failed.value.details() == "nicht möglich: 100%\n"
    assert server.metadata[-1]["x-bytes-bin"] == b"\0\1"
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t.T/Nothing")(b"", timeout=10)
    assert failed.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadline_and_cancel(through):
    server, channel = through
    with pytest.raises(grpc.RpcError) as failed:
        channel.unary_unary("/t.T/Wait")(b"", timeout=0.3)
    assert failed.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_for(lambda: len(server.cancelled) == 1, "the server to hear of the deadline")
    call = channel.unary_unary("/t.T/Wait").future(b"", timeout=20)
    wait_for(lambda: len(server.deadlines) == 2, "the second call, and what it asks to be told")
    begun = time.monotonic()
    call.cancel()
    wait_for(lambda: len(server.cancelled) == 2, "the server to hear of it")
    assert server.cancelled[-1] - begun < 0.1


def test_no_upstream_is_unavailable():
    with Weir(upstream_options={"protocol": "grpc"}) as weir, grpc.insecure_channel(f"127.0.0.1:{weir.port}") as channel:
        with pytest.raises(grpc.RpcError) as failed:
            channel.unary_unary("/t.T/Echo")(b"", timeout=10)
        assert failed.value.code() == grpc.StatusCode.UNAVAILABLE


def test_many_calls_at_once(through):
    _, channel = through
    calls = [channel.unary_unary("/t.T/Echo").future(b"%d" % i, timeout=20) for i in range(300)]
    assert [c.result() for c in calls] == [b"%d" % i for i in range(300)]
