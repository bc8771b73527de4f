# SPDX-License-Identifier: Apache-2.0
"""Upstreams of gRPC: a real server behind the gateway, its client a scripted one of HTTP/1.1."""
import socket
import struct
import time

import pytest

from grpcpeer import GrpcServer
from weirtest import Weir, wait_for

option = pytest.mark.option
GRPC = {"protocol": "grpc"}


def message(data):
    return struct.pack(">BI", 0, len(data)) + data


def messages(body):
    found = []
    while body:
        (size,) = struct.unpack(">I", body[1:5])
        found.append(body[5:5 + size])
        body = body[5 + size:]
    return found


class Call:
    """One call: chunks out, chunks in, the status at the end."""

    def __init__(self, weir, method, *fields):
        self.client = weir.client()
        self.client.send(f"POST /t.T/{method} HTTP/1.1\r\nHost: t\r\nContent-Type: application/grpc\r\n"
                         "Transfer-Encoding: chunked\r\nTE: trailers\r\n" + "".join(f"{f}\r\n" for f in fields) + "\r\n")

    def say(self, data):
        body = message(data)
        self.client.send(f"{len(body):x}\r\n".encode() + body + b"\r\n")
        return self

    def done(self):
        self.client.send("0\r\n\r\n")
        return self

    def heard(self):
        """The next message of an answer under way; its head is read first."""
        if not hasattr(self, "head"):
            self.head = self.client._line()
            while self.client._line():
                pass
        size = int(self.client._line(), 16)
        data, _ = self.client._take(size)
        assert self.client._line() == b""
        return messages(data)

    def result(self):
        answer = self.client.final("POST")
        status = dict(answer.trailers).get("grpc-status", answer.header("grpc-status"))
        return int(status), messages(answer.body), answer

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.close()


@pytest.fixture(scope="module")
def server():
    with GrpcServer() as it:
        yield it


def test_all_four_kinds(server):
    with Weir(server, upstream_options=GRPC) as weir:
        with Call(weir, "Echo", "x-data-bin: AP8") as call:
            status, found, answer = call.say(b"hello").done().result()
            assert (status, found) == (0, [b"hello"])
            assert dict(answer.trailers)["x-trailing-bin"].rstrip("=") == "AP8"
            assert server.metadata[-1]["x-data-bin"] == b"\0\xff"
        with Call(weir, "Sum") as call:
            for size in (1, 20000, 300000):
                call.say(b"x" * size)
            assert call.done().result()[:2] == (0, [b"320001"])
        with Call(weir, "Count") as call:
            assert call.say(b"500").done().result()[:2] == (0, [b"%d" % i for i in range(500)])
        with Call(weir, "Chat") as call:  # in lock step: nothing is held back
            for i in range(20):
                assert call.say(b"%d" % i).heard() == [b"re: %d" % i]
            call.done()


def test_errors_are_the_servers(server):
    with Weir(server, upstream_options=GRPC) as weir:
        with Call(weir, "Fail") as call:
            status, _, answer = call.say(b"").done().result()
            assert status == 9
            fields = {**dict(answer.fields), **dict(answer.trailers)}
            assert fields["grpc-message"] == "nicht m%C3%B6glich: 100%25%0A"
            assert fields["x-more-bin"].rstrip("=") == "AQI"
        with Call(weir, "Nothing") as call:
            assert call.done().result()[0] == 12


def test_our_errors_are_grpcs(server):
    with Weir(None, upstream_options=GRPC) as weir:  # nobody listens there
        for _ in range(5):
            with Call(weir, "Echo") as call:
                status, _, answer = call.say(b"x").done().result()
                assert (status, answer.status) == (14, 200)
                assert answer.header("content-type") == "application/grpc"
                assert answer.body == b"" and answer.header("grpc-message")
    with Weir(server, upstream_options=GRPC, routes=[{"match": {"path": "/other"}, "upstream": "up"}]) as weir:
        with Call(weir, "Echo") as call:
            assert call.say(b"x").done().result()[0] == 12
        assert weir.ask("/t.T/Echo").status == 404  # who does not speak gRPC


@option("listeners.grpc.max_receive_message")
@option("listeners.grpc.max_send_message")
def test_message_limits(server):
    limits = {"grpc": {"max_receive_message": "1000B", "max_send_message": "500B"}}
    with Weir(server, upstream_options=GRPC, listener=limits) as weir:
        with Call(weir, "Sum") as call:
            assert call.say(b"x" * 1000).say(b"x" * 1000).done().result()[0] == 0
        with Call(weir, "Sum") as call:
            assert call.say(b"x" * 10).say(b"x" * 1001).result()[0] == 8
        with Call(weir, "Echo") as call:
            assert call.say(b"x" * 500).done().result()[0] == 0
        with Call(weir, "Echo") as call:
            assert call.say(b"x" * 501).done().result()[0] == 8
    with Weir(server, upstream_options=GRPC) as weir:  # 4 MiB without a word
        with Call(weir, "Sum") as call:
            call.client.send(b"5\r\n" + struct.pack(">BI", 0, (4 << 20) + 1) + b"\r\n")
            assert call.result()[0] == 8


def test_deadlines(server):
    with Weir(server, upstream_options=GRPC) as weir:
        begun = time.monotonic()
        with Call(weir, "Wait", "grpc-timeout: 300m") as call:
            assert call.say(b"").done().result()[0] == 4
        assert 0.25 < time.monotonic() - begun < 3
        assert server.deadlines[-1] < 0.31  # it was told


def test_who_leaves_cancels_within_100_ms(server):
    with Weir(server, upstream_options=GRPC) as weir:
        took = []
        for _ in range(10):
            before, waiting = len(server.cancelled), len(server.deadlines)
            with Call(weir, "Wait") as call:
                call.say(b"").done()
                wait_for(lambda: len(server.deadlines) > waiting, "the call to arrive")
                left = time.monotonic()
            wait_for(lambda: len(server.cancelled) > before, "it to be cancelled", every=0.001)
            took.append(server.cancelled[-1] - left)
        assert sorted(took)[5] < 0.1, took
        with Call(weir, "Echo") as call:  # the connection lives on
            assert call.say(b"x").done().result()[0] == 0


def test_connections_that_grow_old_lose_nothing():
    """MAX_CONNECTION_AGE with its grace: the server says GOAWAY, and again."""
    options = (("grpc.max_connection_age_ms", 200), ("grpc.max_connection_age_grace_ms", 5000))
    with GrpcServer(options) as old, Weir(old, upstream_options=GRPC) as weir:
        end = time.monotonic() + 3
        with Call(weir, "Chat") as stream:
            count = 0
            while time.monotonic() < end:
                with Call(weir, "Echo") as call:
                    assert call.say(b"x").done().result()[0] == 0
                if time.monotonic() < end - 1:
                    assert stream.say(b"%d" % count).heard() == [b"re: %d" % count]
                    count += 1
            stream.done()
        assert weir.metric("weir_pool_created_total", pool="up") > 3
        assert count > 10


@pytest.mark.parametrize("protocol", ["grpc", "h2"])
def test_no_server_is_asked_too_often(protocol):
    """grpcio takes its leave of who sends PING more often than every five minutes: known of gRPC, and learnt of the rest."""
    with GrpcServer() as server, Weir(server, upstream_options={"protocol": protocol, "pool": {"probe_every": "50ms"}}) as weir:
        def left():
            return weir.metric("weir_pool_closed_total", pool="up", reason="goaway")

        def call():
            with Call(weir, "Echo") as it:
                assert it.say(b"x").done().result()[0] == 0
            return True

        call()
        if protocol == "h2":
            wait_for(lambda: left() == 1, "the server to complain")  # a call would make it forget what it has counted
        end = time.monotonic() + 2
        while time.monotonic() < end:
            call()
            time.sleep(0.2)
        assert left() == (0 if protocol == "grpc" else 1)
        assert weir.metric("weir_pool_created_total", pool="up") == 1 + left()


@pytest.mark.parametrize("health, good", [(b"\x08\x01", True), (b"\x08\x02", False), (None, False), (b"", False)])
def test_health_is_asked(health, good):
    with GrpcServer(health=health) as sick, \
            Weir(sick, upstream_options={**GRPC, "health": {"path": "/my.Service", "interval": "50ms",
                                                  "recovery": "50ms", "failures": 2}}) as weir:
        wait_for(lambda: sick.seen.count("/grpc.health.v1.Health/Check") >= 3, "checks")
        assert sick.asked == b"\x0a\x0amy.Service"
        with Call(weir, "Echo") as call:
            assert call.say(b"x").done().result()[0] == (0 if good else 14)
