# SPDX-License-Identifier: Apache-2.0
"""What a listener owes clients of gRPC by itself: refusals in their terms, pings, an age of connections."""
import ssl
import time

import certs
import grpc
import pytest
from hyperframe.frame import PingFrame, SettingsFrame

from grpcpeer import GrpcServer
from h2raw import H2, NO_ERROR
from weirtest import DEADLINE, Client, Upstream, Weir, wait_for

option = pytest.mark.option
GRPC = [("content-type", "application/grpc"), ("te", "trailers")]
MESSAGE = b"\0\0\0\0\2hi"


def call(h2, **how):
    return h2.request("POST", path="/t.T/Echo", extra=GRPC + how.pop("extra", []), **how)


def told(stream):
    """The status of a call that was answered by trailers alone."""
    assert stream.ended and stream.status == 200 and stream.body == b"", stream.__dict__
    fields = dict(stream.fields)
    assert fields["content-type"] == "application/grpc" and fields["grpc-message"]
    return int(fields["grpc-status"])


def over_tls(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    return H2(port, sock=context.wrap_socket(Client(port).sock, server_hostname="localhost"))


def test_fields_beyond_the_limits():
    with Upstream() as up, Weir(up, listener={"http2": {"max_header_list_size": "1KiB"}}) as weir, H2(weir.port) as h2:
        for extra in ([("x-long", "a" * 1500)], [("x", str(i)) for i in range(40)]):
            assert told(h2.answer(call(h2, extra=extra))) == 8  # RESOURCE_EXHAUSTED
            early = h2.answer(h2.request("POST", extra=extra + GRPC))  # the limit comes before its type
            assert told(early) == 8
        assert h2.get(extra=[("x-long", "a" * 1500)]).status == 431
        assert up.accepted == 0


@pytest.mark.parametrize("method, code", [("TRACE", 12), ("M" * 40, 12)])
def test_methods_that_are_refused(method, code):
    with Upstream() as up, Weir(up) as weir, H2(weir.port) as h2:
        assert told(h2.answer(h2.request(method, extra=GRPC))) == code


def test_a_slow_request():
    with Upstream() as up, Weir(up, pool={"request_timeout": "300ms", "min_rate": "0B"}) as weir, H2(weir.port) as h2:
        stream = call(h2, end=False)
        h2.data(stream, MESSAGE[:3])
        assert told(h2.answer(stream)) == 4  # DEADLINE_EXCEEDED


def test_silence():
    """Before the answer has begun, trailers alone; after, its trailers."""
    def begins(peer):
        head = peer.request()[0]
        if b"/late" in head:
            peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        while peer.recv():
            pass

    with Upstream(begins) as up, Weir(up, pool={"idle_timeout": "300ms"}) as weir, H2(weir.port) as h2:
        assert told(h2.answer(call(h2))) == 14  # UNAVAILABLE
        late = h2.answer(h2.request("POST", path="/late", extra=GRPC))
        assert late.ended and late.body == b"abc" and dict(late.trailers)["grpc-status"] == "14"


@pytest.mark.parametrize("tls", [False, True])
def test_no_place(tls):
    """Who comes over max_connections hears so in HTTP/2, and in the terms of gRPC."""
    with certs.Authority() as authority, Upstream() as up:
        certificate, key = authority.sign("localhost")
        listener = {"tls": {"certificate": certificate, "key": key}} if tls else {}
        with Weir(up, listener=listener, pool={"max_connections": 1, "keepalive_timeout": "60s"}) as weir:
            connect = over_tls if tls else H2
            with connect(weir.port) as first:
                assert first.get(authority="localhost").status == 200
                with connect(weir.port) as other:
                    assert told(other.answer(call(other))) == 14
                    assert other.drain() and other.goaway == NO_ERROR
                with connect(weir.port) as other:
                    answer = other.get()
                    assert answer.status == 503 and dict(answer.fields)["retry-after"] == "1"
                    assert b"listener_full" in answer.body and other.drain()
                with connect(weir.port) as silent:  # has no place, and says nothing: is not waited for
                    begun = time.monotonic()
                    assert silent.drain() and time.monotonic() - begun < DEADLINE / 2
                assert first.get(authority="localhost").status == 200
                assert weir.metric("weir_listener_refused_total", reason="full") == 3
                assert weir.admin("/api/v1/listeners").text.count('"refused_full":3') == 1


def pings(h2):
    return sum(isinstance(f, PingFrame) and "ACK" not in f.flags for f in h2.frames)


class Silent(H2):
    """Answers no PING."""

    def send(self, data):
        if not (isinstance(data, PingFrame) and "ACK" in data.flags):
            super().send(data)


@option("listeners.grpc.keepalive_time")
def test_keepalive_time():
    with Upstream() as up, Weir(up, listener={"grpc": {"keepalive_time": "200ms"}, "http2": {"ping_interval": "60s"}},
                                pool={"keepalive_timeout": "60s"}) as weir:
        with H2(weir.port) as h2, H2(weir.port) as plain:
            assert plain.get().status == 200
            assert h2.answer(call(h2)).status == 200
            h2.until(lambda: pings(h2) >= 3, "three PINGs, without a call")
            plain.ping()
            assert pings(plain) == 0  # it carries no gRPC
        with Silent(weir.port) as h2:
            assert h2.answer(call(h2)).status == 200
            assert h2.drain() and pings(h2) == 1
        assert weir.metric("weir_http2_ended_total", reason="ping_timeout") == 1


def holds(peer):
    peer.request()
    while peer.recv():
        pass


@option("listeners.grpc.max_connection_age")
def test_max_connection_age():
    with Upstream() as up, Weir(up, listener={"grpc": {"max_connection_age": "300ms"}},
                                pool={"keepalive_timeout": "60s"}) as weir:
        with H2(weir.port) as h2, H2(weir.port) as plain:
            assert plain.get().status == 200 and h2.answer(call(h2)).status == 200
            h2.until(lambda: h2.goaways, "GOAWAY")
            assert h2.goaways[0] == (2**31 - 1, NO_ERROR)  # first that there is to be no more
            stream = call(h2)
            assert h2.answer(stream).status == 200  # it may have been under way
            assert h2.drain() and h2.goaways[-1] == (stream, NO_ERROR)
            plain.ping()
            assert plain.goaway is None
        assert weir.metric("weir_http2_ended_total", reason="age") == 1


@option("listeners.grpc.max_connection_age_grace")
def test_max_connection_age_grace():
    with Upstream(holds) as up, Weir(up, listener={"grpc": {
            "max_connection_age": "200ms", "max_connection_age_grace": "500ms"}}) as weir, H2(weir.port) as h2:
        call(h2)
        h2.until(lambda: h2.goaways, "GOAWAY")
        assert h2.drain()
    with Upstream(holds) as up, Weir(up, listener={"grpc": {"max_connection_age": "200ms"}}) as weir, \
         H2(weir.port, settings={SettingsFrame.MAX_FRAME_SIZE: 16384}) as h2:
        stream = call(h2)
        h2.until(lambda: len(h2.goaways) == 2, "both GOAWAYs")
        assert not h2.closed and not h2.stream(stream).done  # without a grace it may go on


def test_via_names_the_version():
    with Upstream() as up, Weir(up) as weir, H2(weir.port) as h2:
        assert dict(h2.get().fields)["via"] == "1.1 weir"  # the answer came in HTTP/1.1
        assert b"\r\nVia: 2 weir\r\n" in up.bytes
        assert weir.ask().header("via") == "1.1 weir"
        assert up.bytes.count(b"\r\nVia: 1.1 weir\r\n") == 1


# --- grpc.health.v1, as the generated stub of grpcio speaks it ------------------------------------------


SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class Health:
    """The stub: messages are one field each, so that no generated code is needed."""

    def __init__(self, port):
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        kinds = {"request_serializer": self.request, "response_deserializer": self.status}
        self.check = self.channel.unary_unary("/grpc.health.v1.Health/Check", **kinds)
        self.watch = self.channel.unary_stream("/grpc.health.v1.Health/Watch", **kinds)
        self.list = self.channel.unary_unary("/grpc.health.v1.Health/List", **kinds)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.channel.close()

    @staticmethod
    def request(service):
        return b"\x0a" + bytes([len(service)]) + service.encode() if service else b""

    @staticmethod
    def status(reply):
        assert reply[:1] == b"\x08" and len(reply) == 2
        return reply[1]

    def code(self, call, *args):
        with pytest.raises(grpc.RpcError) as failed:
            call(*args, timeout=10)
        return failed.value.code()


def test_health_is_checked():
    with Upstream() as up, Weir(up, upstream_pool={"failures_max": 1, "retry_first": "50ms"}) as weir, \
         Health(weir.port) as health:
        assert health.check("", timeout=10) == SERVING
        assert health.check("up", timeout=10) == SERVING
        assert health.code(health.check, "nobody") == grpc.StatusCode.NOT_FOUND
        assert health.code(health.list, "") == grpc.StatusCode.UNIMPLEMENTED
        up.stop()
        wait_for(lambda: weir.ask().status in (502, 503) and health.check("up", timeout=10) == NOT_SERVING,
                 "the upstream to be seen down")
        assert health.check("", timeout=10) == SERVING  # upstreams are not weir
        assert up.accepted <= 1


def test_health_is_watched():
    with Upstream() as up, Weir(up, pool={"idle_timeout": "1s"},
                                upstream_pool={"failures_max": 1, "retry_first": "50ms"}) as weir, \
         Health(weir.port) as health:
        of_up, of_all, of_none = (health.watch(name, timeout=60) for name in ("up", "", "nobody"))
        assert next(of_up) == SERVING and next(of_all) == SERVING and next(of_none) == SERVICE_UNKNOWN
        assert [next(of_all) for _ in range(4)] == [SERVING] * 4  # said again: no idle_timeout ends it
        up.stop()
        wait_for(lambda: weir.ask().status == 503, "the upstream to be down")
        assert next(status for status in of_up if status != SERVING) == NOT_SERVING
        of_none.cancel()
        weir.process.terminate()  # who watches is told, and does not hold up the end
        weir.process.wait(DEADLINE / 2)
        for call in (of_up, of_all):
            with pytest.raises(grpc.RpcError) as failed:
                for _ in call:
                    pass
            assert failed.value.code() == grpc.StatusCode.UNAVAILABLE


@option("listeners.grpc.health")
def test_health_of_who_is_behind():
    """A name that is no upstream's is for the route's upstream; with health: false all are."""
    with GrpcServer(health=b"\x08\x02") as server:
        with Weir(server, upstream_options={"protocol": "grpc"}) as weir, Health(weir.port) as health:
            assert health.check("up", timeout=10) == SERVING and server.seen == []
            assert health.check("t.T", timeout=10) == NOT_SERVING
            assert server.seen == ["/grpc.health.v1.Health/Check"] and server.asked == b"\x0a\x03t.T"
        with Weir(server, upstream_options={"protocol": "grpc"}, listener={"grpc": {"health": False}}) as weir, \
             Health(weir.port) as health:
            assert health.check("up", timeout=10) == NOT_SERVING and server.asked == b"\x0a\x02up"


def test_health_without_a_route():
    routes = [{"match": {"path": "/only"}, "upstream": "up"}]
    with Upstream() as up, Weir(up, routes=routes) as weir, Health(weir.port) as health, H2(weir.port) as h2:
        assert health.check("up", timeout=10) == SERVING
        for body in (b"", MESSAGE[:4], b"\1" + MESSAGE[1:], MESSAGE + b"x"):
            stream = h2.request("POST", path="/grpc.health.v1.Health/Check", extra=GRPC, end=False)
            h2.data(stream, body, end=True)
            assert told(h2.answer(stream)) == 13  # INTERNAL
        assert h2.get(path="/grpc.health.v1.Health/Check").status == 404  # it is no call
        assert up.accepted == 0
