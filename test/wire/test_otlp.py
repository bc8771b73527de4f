# SPDX-License-Identifier: Apache-2.0
"""Spans of requests, posted to a collector as OTLP's JSON: who is whose parent, what is said, and that no collector hurts."""
import asyncio
import json
import re
import signal
import threading
import time

import pytest

from otlppeer import Collector
from weirtest import Upstream, Weir, dead_port, hostile, wait_for

option = pytest.mark.option
SERVER, CLIENT = 2, 3
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def with_otlp(up, collector, upstream_options=None, **otlp):
    url = collector if isinstance(collector, str) else collector.url
    return Weir(up, upstream_options=upstream_options, log={"level": "info", "access": "off", "otlp": {"url": url, **otlp}},
                node={"name": "dam-7"})


def traceparent(flags="01", trace=TRACE):
    return f"traceparent: 00-{trace}-{PARENT}-{flags}\r\n"


def sent(up):
    """What upstreams were told: (trace, parent, flags) of each request."""
    return [tuple(part.decode() for part in row)
            for row in re.findall(rb"traceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\r\n", up.bytes)]


def spans(collector, count):
    wait_for(lambda: len(collector.spans) >= count or collector.errors, f"{count} spans")
    assert not collector.errors, collector.errors
    return collector.spans


def pair(found):
    """The server span and its client span."""
    (server,) = [span for span in found if span.kind == SERVER]
    (client,) = [span for span in found if span.kind == CLIENT]
    return server, client


@option("log.otlp.url")
def test_a_request_is_a_server_span_with_a_client_span_in_it():
    begun = time.time_ns()
    with Upstream() as up, Collector() as collector, with_otlp(up, collector) as weir:
        assert weir.ask("/path/here?secret=1", headers="Authorization: Bearer hidden\r\n", host="shop.test:8080").status == 200
        server, client = pair(spans(collector, 2))
        assert server.trace == client.trace and server.parent is None and client.parent == server.id
        assert sent(up) == [(client.trace, client.id, "01")]
        assert server.name == client.name == "GET" and not server.error and not client.error
        assert begun - 10**9 < server.start <= client.start <= client.end <= server.end < time.time_ns() + 10**9
        assert server.attributes == {
            "http.request.method": "GET", "url.path": "/path/here", "url.scheme": "http", "server.address": "shop.test",
            "server.port": 8080, "client.address": "127.0.0.1", "network.protocol.name": "http",
            "network.protocol.version": "1.1", "http.response.status_code": 200, "weir.listener": "web"}
        assert client.attributes == {
            "http.request.method": "GET", "url.full": f"{up.url}/path/here", "server.address": "127.0.0.1",
            "server.port": up.port, "http.response.status_code": 200, "weir.upstream": "up", "weir.reused": False}
        assert server.resource["service.name"] == "weir" and server.resource["service.instance.id"] == "dam-7"
        assert set(server.resource) == {"service.name", "service.version", "service.instance.id"}
        wait_for(lambda: weir.metric("weir_otlp_spans_total", result="sent") == 2, "the count")
        assert weir.metric("weir_otlp_dropped_total") == 0 and weir.metric("weir_otlp_waiting") == 0


def test_a_clients_trace_goes_on():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector, sample=0) as weir:
        assert weir.ask(headers=traceparent() + "tracestate: a=b\r\n").status == 200
        server, client = pair(spans(collector, 2))
        assert server.trace == client.trace == TRACE and server.parent == PARENT and client.parent == server.id
        assert sent(up) == [(TRACE, client.id, "01")] and b"tracestate: a=b\r\n" in up.bytes


def test_what_a_client_does_not_record_is_not_recorded():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector) as weir:
        assert weir.ask(headers=traceparent("00")).status == 200
        assert sent(up) == [(TRACE, PARENT, "00")]
        assert weir.ask("/recorded").status == 200
        assert {span.attributes.get("url.path", "/recorded") for span in spans(collector, 2)} == {"/recorded"}


@option("log.otlp.sample")
def test_of_traces_that_begin_here_a_part():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector, sample=0.25) as weir:
        with weir.client() as client:
            for _ in range(400):
                assert client.get().final().status == 200
        told = sent(up)
        recorded = {trace for trace, _, flags in told if flags == "01"}
        assert len(told) == 400 and 50 < len(recorded) < 150  # 100 and six sigmas
        found = spans(collector, 2 * len(recorded))
        assert {span.trace for span in found} == recorded
        random_end = {trace: int(trace[-14:], 16) for trace, _, _ in told}
        assert all((random_end[trace] >= 0.75 * 2**56) == (trace in recorded) for trace in random_end)


def test_a_failure_says_what_it_was():
    failing = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"

    def script(peer):
        while peer.request() is not None:
            peer.send(failing)
    with Upstream(script) as up, Collector() as collector, with_otlp(up, collector) as weir:
        assert weir.ask(method="BREW").status == 503
        server, client = pair(spans(collector, 2))
        for span in server, client:
            assert span.error and span.attributes["error.type"] == "503" and span.name == "HTTP"
            assert span.attributes["http.request.method"] == "_OTHER"
            assert span.attributes["http.request.method_original"] == "BREW"


def test_nobody_was_asked():
    with Collector() as collector, with_otlp(None, collector) as weir:
        assert weir.ask(headers=traceparent()).status == 502
        (server,) = spans(collector, 1)
        assert server.kind == SERVER and server.trace == TRACE and server.parent == PARENT
        assert server.error and server.attributes["error.type"] == "refused"
        assert server.attributes["http.response.status_code"] == 502


def test_a_retry_stays_in_its_trace():
    def script(peer):
        peer.request()
        if up.requests > 1:
            peer.ok()
        else:
            peer.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
    with Upstream(script) as up, Collector() as collector, with_otlp(
            [up.url, up.url.replace("127.0.0.1", "localhost")], collector, {"retry": {"on": ["503"], "budget": 1}}) as weir:
        assert weir.ask().status == 200
        server, client = pair(spans(collector, 2))
        first, second = sent(up)
        assert first[0] == second[0] == server.trace and first[1] != second[1] == client.id
        assert client.attributes["http.request.resend_count"] == 1


@option("log.otlp.headers")
def test_the_collectors_credentials():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector, headers={"x-api-key": "s3cret"}) as weir:
        weir.ask()
        spans(collector, 2)
        assert collector.headers[0]["x-api-key"] == "s3cret"
        assert "s3cret" not in weir.admin("/api/v1/config").text and "s3cret" not in weir.text()


def test_hostile_paths_are_text():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector) as weir:
        with weir.client() as client:
            client.send("GET /a\"b\\c<'>{}" + "x" * 1000 + " HTTP/1.1\r\nHost: t\r\n\r\n")
            assert client.final().status == 200
        server, client = pair(spans(collector, 2))
        path = server.attributes["url.path"]
        assert path.startswith("/a\"b\\c<'>{}xxx") and len(path) == 255 and client.attributes["url.full"].endswith(path)


def test_many_come_in_batches():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector) as weir:
        with weir.client() as client:
            for _ in range(12):
                client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n" * 100)
                for _ in range(100):
                    assert client.final().status == 200
        assert len({span.id for span in spans(collector, 2400)}) == 2400
        assert collector.posts < 100


def test_the_last_ones_are_told_at_the_end():
    with Upstream() as up, Collector() as collector, with_otlp(up, collector) as weir:
        for _ in range(3):
            assert weir.ask().status == 200
        weir.stop()
        assert len(collector.spans) == 6


def test_a_collector_that_is_busy_is_asked_again():
    with Upstream() as up, Collector(lambda post: 200 if post > 1 else 503) as collector, with_otlp(up, collector) as weir:
        assert weir.ask().status == 200
        assert len(spans(collector, 2)) == 2 and collector.posts == 2
        wait_for(lambda: weir.metric("weir_otlp_spans_total", result="sent") == 2, "the count")
        assert weir.metric("weir_otlp_failures_total") == 1


def test_a_collector_that_refuses_is_not():
    with Upstream() as up, Collector(lambda post: 400) as collector, with_otlp(up, collector) as weir:
        assert weir.ask().status == 200
        wait_for(lambda: weir.metric("weir_otlp_spans_total", result="failed") == 2, "the count")
        assert collector.posts == 1 and weir.metric("weir_otlp_waiting") == 0
        wait_for(lambda: "collector does not take spans" in weir.text(), "a line of the log")


@option("log.otlp.queue")
def test_what_finds_no_room_is_counted():
    with Upstream() as up, with_otlp(up, f"http://127.0.0.1:{dead_port()}/v1/traces", queue=16) as weir:
        assert weir.ask().status == 200
        wait_for(lambda: weir.metric("weir_otlp_waiting") == 2, "a batch that waits")
        with weir.client() as client:
            for _ in range(50):
                assert client.get().final().status == 200
        wait_for(lambda: weir.metric("weir_otlp_dropped_total") > 0, "dropped ones")
        assert weir.metric("weir_otlp_spans_total") <= 2


@option("log.otlp.timeout")
@pytest.mark.parametrize("how", ["down", "silent", "endless", "garbage", "redirect", "huge_head"])
def test_a_collector_that_is_no_good_does_no_harm(how):
    def script(peer):
        while peer.request() is not None:
            hostile(peer, how)
    with Upstream() as up, Upstream(script) as collector:
        url = f"http://127.0.0.1:{dead_port()}/v1/traces" if how == "down" else collector.url + "/v1/traces"
        with with_otlp(up, url, timeout="200ms") as weir:
            assert weir.ask().status == 200
            wait_for(lambda: weir.metric("weir_otlp_failures_total") >= 1, "a failure")
            with weir.client() as client:
                for _ in range(20):
                    begun = time.monotonic()
                    assert client.get().final().status == 200
                    assert time.monotonic() - begun < 2
            assert weir.metric("weir_otlp_spans_total", result="sent") == 0
            assert weir.resident() < 400 << 20


def test_a_slow_collector_has_one_post_at_a_time():
    go, under_way, most = threading.Event(), [0], [0]

    async def slowly():
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        while not go.is_set():
            await asyncio.sleep(0.01)
        under_way[0] -= 1
        return 200
    with Upstream() as up, Collector(lambda _: slowly()) as collector, with_otlp(up, collector) as weir:
        assert weir.ask("/one").status == 200
        wait_for(lambda: collector.posts == 1, "the first post")
        for _ in range(10):
            assert weir.ask("/more").status == 200
        assert collector.posts == 1
        go.set()
        assert len(spans(collector, 22)) == 22 and most[0] == 1


def test_spans_go_on_after_a_reload():
    with Upstream() as up, Upstream() as other, Collector() as collector, \
            with_otlp(up, collector, headers={"x-api-key": "k"}) as weir:
        assert weir.ask().status == 200
        config = json.loads(weir.config_path.read_text())
        config["upstreams"][0]["endpoints"] = [{"url": other.url}]
        weir.config_path.write_text(json.dumps(config))
        weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: weir.ask().status == 200 and other.requests, "the other upstream")
        wait_for(lambda: any(span.attributes.get("server.port") == other.port for span in collector.spans), "its span")
        assert all(headers["x-api-key"] == "k" for headers in collector.headers)


def test_a_websocket_is_told_when_it_opens():
    from wsraw import accept_of
    def script(peer):
        head = peer.head()
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.I)[1].decode()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                  b"Sec-WebSocket-Accept: " + accept_of(key).encode() + b"\r\n\r\n")
        peer.recv()
    with Upstream(script) as up, Collector() as collector, with_otlp(up, collector) as weir, weir.client() as client:
        client.send("GET /chat HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert client.response().status == 101
        server, client_span = pair(spans(collector, 2))
        assert server.attributes["http.response.status_code"] == 101 and not server.error and not client_span.error
