# SPDX-License-Identifier: Apache-2.0
"""Each option of upstreams: changed, and its effect seen."""
import collections
import contextlib
import datetime
import http.client
import json
import threading
import time

import pytest

from dnspeer import NameServer
from weirtest import Upstream, Weir, dead_port, free_port, wait_for

option = pytest.mark.option


def named(name):
    def script(peer):
        while peer.request() is not None:
            peer.ok(name)
    return Upstream(script)


def holding(event, timeout=20):
    """Answers when the event is set."""
    def script(peer):
        while peer.request() is not None:
            event.wait(timeout)
            peer.ok()
    return Upstream(script)


def connections(weir, **labels):
    return weir.metric("weir_pool_connections", pool="up", **labels)


def closed(weir, reason):
    return weir.metric("weir_pool_closed_total", pool="up", reason=reason)


@option("upstreams.name")
def test_name():
    with Upstream() as up, Weir(up, routes=[{"match": {"path": "/"}, "upstream": "back"}],
                                upstream_options={"name": "back"}) as weir:
        assert weir.ask().status == 200
        assert weir.metric("weir_http_requests_total", upstream="back") == 1


@option("upstreams.protocol")
def test_protocol():
    for protocol in ("http1", "auto"):
        with Upstream() as up, Weir(up, upstream_options={"protocol": protocol}) as weir:
            assert weir.ask().status == 200
            assert b" HTTP/1.1\r\n" in up.bytes


@option("upstreams.balance")
@option("upstreams.endpoints.url")
def test_balance():
    def counts(balance, ask, weights=(100, 100, 100), **more):
        ups = [named(str(i)) for i in range(3)]
        ends = [dict({"url": u.url, "weight": w}, **(more.get("per", [{}] * 3)[i]))
                for i, (u, w) in enumerate(zip(ups, weights))]
        with Weir(ends, upstream_options={"balance": balance}) as weir:
            seen = collections.Counter(weir.ask(path).body for path in ask)
        for up in ups:
            up.stop()
        return seen

    same, many = ["/x"] * 60, [f"/{i}" for i in range(60)]
    turn = counts("round_robin", same)
    assert set(turn.values()) == {20}
    assert len(counts("hash", same)) == 1
    assert len(counts("hash", many)) == 3
    assert len(counts("p2c", same)) == 3
    assert len(counts("least_request", same)) >= 2
    tiers = [{"priority": 1}, {"priority": 0}, {"priority": 1}]
    assert counts("priority", same, per=tiers) == {b"1": 60}


@option("upstreams.endpoints.weight")
def test_weight():
    ups = [named("a"), named("b")]
    with Weir([{"url": ups[0].url, "weight": 300}, {"url": ups[1].url, "weight": 100}],
              upstream_options={"balance": "round_robin"}) as weir:
        seen = collections.Counter(weir.ask().body for _ in range(80))
    assert seen == {b"a": 60, b"b": 20}
    with Weir([{"url": ups[0].url, "weight": 0}, {"url": ups[1].url}]) as weir:
        assert {weir.ask().body for _ in range(20)} == {b"b"}
    for up in ups:
        up.stop()


@option("upstreams.endpoints.priority")
def test_priority():
    first, second = named("first"), named("second")
    with Weir([{"url": first.url, "priority": 0}, {"url": second.url, "priority": 1}],
              upstream_options={"balance": "priority"},
              upstream_pool={"failures_max": 1, "down_for": "30s"}) as weir:
        assert {weir.ask().body for _ in range(10)} == {b"first"}
        first.stop()
        wait_for(lambda: weir.ask().body == b"second", "the second tier")
    second.stop()


@option("upstreams.pool.max_connections")
def test_max_connections():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"max_connections": 2}) as weir:
        clients = [weir.client() for _ in range(5)]
        for client in clients:
            client.get()
        wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 3, "three to wait")
        assert connections(weir) == 2
        go.set()
        for client in clients:
            assert client.response().status == 200
            client.close()
        assert up.accepted == 2


@option("upstreams.pool.max_per_endpoint")
def test_max_per_endpoint():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"max_per_endpoint": 1}) as weir:
        clients = [weir.client() for _ in range(3)]
        for client in clients:
            client.get()
        wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 2, "two to wait")
        go.set()
        for client in clients:
            assert client.response().status == 200
            client.close()
        assert up.accepted == 1


@option("upstreams.pool.min_idle")
def test_min_idle():
    with Upstream() as up, Weir(up, upstream_pool={"min_idle": 3}) as weir:
        wait_for(lambda: up.accepted >= 3, "three connections before any request")
        wait_for(lambda: connections(weir, state="idle") == 3, "three idle")


@option("upstreams.pool.size_min")
def test_size_min():
    with Upstream() as up, Weir(up, upstream_pool={"size_min": 4}) as weir:
        assert weir.ask().status == 200
        wait_for(lambda: connections(weir, state="idle") == 4, "as many as there are at least")
    with Upstream() as up, Weir(up) as weir:
        assert weir.ask().status == 200
        assert up.accepted == 1


@option("upstreams.pool.forecast")
def test_forecast():
    """It takes seasons to foretell anything; what it has learned so far can be seen."""
    with Upstream() as up, Weir(up, upstream_pool={"size_min": 1, "forecast": "288s"}) as weir:
        wait_for(lambda: weir.ask().status == 200
                 and weir.metric("weir_pool_forecast_slots", pool="up") >= 2, "slots of a second")
        assert weir.metric("weir_pool_forecast_arrivals", pool="up") == 0  # it is not trusted yet
    with Upstream() as up, Weir(up, upstream_pool={"size_min": 1}) as weir:
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert weir.ask().status == 200
        assert weir.metric("weir_pool_forecast_slots", pool="up") == 0


@option("upstreams.pool.max_idle")
def test_max_idle():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"max_idle": 1}) as weir:
        clients = [weir.client() for _ in range(4)]
        for client in clients:
            client.get()
        wait_for(lambda: connections(weir, state="active") == 4, "four at once")
        go.set()
        for client in clients:
            assert client.response().status == 200
            client.close()
        wait_for(lambda: connections(weir) == 1, "one idle to be left")


@option("upstreams.pool.connecting_max")
def test_connecting_max():
    """Dials to an endpoint that has answered four are many at once, but no more than may be; it answers
    no further ones, since its backlog is full."""
    import socket
    for most in (2, 5):
        full = socket.create_server(("127.0.0.1", 0), backlog=0)
        peers = []
        with Weir([{"url": f"http://127.0.0.1:{full.getsockname()[1]}"}],
                  upstream_pool={"connecting_max": most, "connect_timeout": "20s"}) as weir:
            clients = []
            for _ in range(4):
                clients.append(weir.client().get())
                peers.append(full.accept())
            wait_for(lambda: connections(weir, state="active") == 4, "four connections")
            for _ in range(12):
                clients.append(weir.client().get())
            wait_for(lambda: connections(weir, state="dialling") == most, "dials")
            wait_for(lambda: connections(weir, state="active") + weir.metric("weir_pool_waiting", pool="up")
                     == len(clients), "all to wait")
            assert connections(weir, state="dialling") == most
            for client in clients:
                client.close()
        for peer, _ in peers:
            peer.close()
        full.close()


@option("upstreams.pool.waiting_max")
def test_waiting_max():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"max_connections": 1, "waiting_max": 1}) as weir:
        clients = [weir.client() for _ in range(2)]
        clients[0].get()  # until its dial is done it waits as well
        wait_for(lambda: connections(weir, state="active") == 1, "one to be served")
        clients[1].get()
        wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 1, "one to wait")
        assert weir.ask().status == 503
        go.set()
        for client in clients:
            assert client.response().status == 200
            client.close()


def wait_for_each(clients):
    for client in clients:
        assert client.response().status == 200
        client.close()


@option("upstreams.pool.concurrency")
@option("upstreams.pool.concurrency_first")
def test_concurrency():
    """Without it six requests are at the endpoint at once; with it two, and the others wait."""
    for rule, at_once in (("off", 6), ("gradient2", 2), ("aimd", 2)):
        go = threading.Event()
        with holding(go) as up, Weir(up, upstream_pool={"concurrency": rule, "concurrency_first": 2,
                                                        "concurrency_min": 1}) as weir:
            clients = [weir.client().get() for _ in range(6)]
            wait_for(lambda: connections(weir, state="active") == at_once, rule)
            wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 6 - at_once, "the others to wait")
            wait_for(lambda: up.accepted == at_once, "the endpoint to see them")
            assert weir.metric("weir_pool_concurrency", pool="up") == (2 if at_once == 2 else 0)
            assert (weir.metric("weir_pool_crowded_total", pool="up") > 0) == (at_once == 2)
            go.set()
            wait_for_each(clients)


@option("upstreams.pool.concurrency_min")
@option("upstreams.pool.concurrency_max")
def test_concurrency_bounds():
    for bounds in ({"concurrency_first": 2, "concurrency_min": 3}, {"concurrency_first": 5, "concurrency_max": 3,
                                                                    "concurrency_min": 1}):
        go = threading.Event()
        with holding(go) as up, Weir(up, upstream_pool={"concurrency": "aimd", **bounds}) as weir:
            clients = [weir.client().get() for _ in range(6)]
            wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 3, "three to wait")
            assert connections(weir, state="active") == 3
            go.set()
            wait_for_each(clients)


@option("upstreams.pool.concurrency_slow")
def test_concurrency_slow():
    """Answers that take longer than the bound cost a tenth of the limit, each quarter of a second."""
    def script(peer):
        while peer.request() is not None:
            time.sleep(0.03)  # the stimulus: an answer three times slower than the lower bound
            peer.ok()

    def limits(slow):
        """The limit after each of requests without end."""
        with Upstream(script) as up, Weir(up, upstream_pool={
                "concurrency": "aimd", "concurrency_first": 20, "concurrency_slow": slow}) as weir:
            while True:
                assert weir.ask().status == 200
                yield weir.metric("weir_pool_concurrency", pool="up")

    seen = []
    with contextlib.closing(limits("10ms")) as low:
        wait_for(lambda: seen.append(next(low)) or 0 < seen[-1] < 17, "the limit to fall")
    with contextlib.closing(limits("10s")) as high:
        assert {next(high) for _ in seen} == {20}  # one at a time: nothing is learned of more


@option("upstreams.pool.refuse_when_full")
def test_refuse_when_full():
    for refuse, wanted in ((False, 200), (True, 503)):
        a, b = named("a"), named("b")
        with Weir([{"url": a.url}, {"url": b.url}], upstream_options={"balance": "round_robin"},
                  upstream_pool={"max_connections": 1, "refuse_when_full": refuse,
                                 "acquire_timeout": "2s"}) as weir:
            assert weir.ask().status == 200
            assert weir.ask().status == wanted, refuse
        a.stop()
        b.stop()


@option("upstreams.pool.reuse")
def test_reuse():
    def accepted(reuse):
        with Upstream() as up, Weir(up, upstream_pool={"reuse": reuse}) as weir:
            for _ in range(6):
                assert weir.ask().status == 200
            return up.accepted

    assert accepted("newest") == 1
    assert accepted("never") == 6

    def order(reuse):
        """Three idle connections; which of them serve the next six requests one by one?"""
        go, served = threading.Event(), []

        def script(peer):
            while peer.request() is not None:
                served.append(id(peer))
                go.wait(10)
                peer.ok()

        with Upstream(script) as up, Weir(up, upstream_pool={"reuse": reuse}) as weir:
            clients = [weir.client() for _ in range(3)]
            for client in clients:
                client.get()
            wait_for(lambda: len(served) == 3, "three connections")
            go.set()
            for client in clients:
                assert client.response().status == 200
                client.close()
            del served[:]
            for _ in range(6):
                assert weir.ask().status == 200
            return len(set(served))

    assert order("newest") == 1
    assert order("oldest") == 3
    assert order("fewest") == 3


@option("upstreams.pool.on_dial_error")
def test_on_dial_error():
    from weirtest import Upstream as U
    for word in ("fail", "wait"):
        port = free_port()
        with Weir([{"url": f"http://127.0.0.1:{port}"}], upstream_options={"retry": {"on": []}}, upstream_pool={
                "on_dial_error": word, "retry_first": "300ms", "failures_max": 1000,
                "acquire_timeout": "15s"}) as weir:
            client = weir.client()
            client.get()
            if word == "fail":
                assert client.response().status == 502
            else:
                wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 1, "it to wait")
                late = U.__new__(U)
                import socket
                late.__init__()
                late.listener.close()
                late.listener = socket.create_server(("127.0.0.1", port))
                threading.Thread(target=late._accept, daemon=True).start()
                assert client.response().status == 200
                late.stop()
            client.close()


@option("upstreams.pool.connect_timeout")
def test_connect_timeout():
    import socket
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    stuffing = []
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(full.getsockname())
        stuffing.append(sock)
    with Weir([{"url": f"http://127.0.0.1:{full.getsockname()[1]}"}], upstream_options={"retry": {"on": []}},
              upstream_pool={"connect_timeout": "500ms"}) as weir:
        begun = time.monotonic()
        assert weir.ask().status == 504
        assert 0.3 < time.monotonic() - begun < 5
    for sock in stuffing + [full]:
        sock.close()


@option("upstreams.pool.acquire_timeout")
def test_acquire_timeout():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"max_connections": 1, "acquire_timeout": "400ms"}) as weir:
        with weir.client() as first:
            first.get()
            wait_for(lambda: connections(weir, state="active") == 1, "a lease")
            begun = time.monotonic()
            assert weir.ask().status == 503
            assert time.monotonic() - begun < 5
            go.set()
            assert first.response().status == 200


@option("upstreams.pool.first_byte_timeout")
def test_first_byte_timeout():
    go = threading.Event()
    with holding(go) as up, Weir(up, upstream_pool={"first_byte_timeout": "400ms"}) as weir:
        begun = time.monotonic()
        assert weir.ask().status == 504
        assert 0.2 < time.monotonic() - begun < 5
        go.set()


@option("upstreams.pool.read_timeout")
def test_read_timeout():
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            go.wait(10)

    with Upstream(script) as up, Weir(up, upstream_pool={"read_timeout": "400ms"}) as weir:
        begun = time.monotonic()
        assert not weir.ask().complete
        assert 0.2 < time.monotonic() - begun < 5
        go.set()


@option("upstreams.pool.write_timeout")
def test_write_timeout():
    go = threading.Event()

    def script(peer):
        peer.head()
        go.wait(20)

    with Upstream(script) as up, Weir(up, upstream_pool={"write_timeout": "500ms"}) as weir:
        with weir.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 50000000\r\n\r\n")
            client.sock.settimeout(15)
            begun = time.monotonic()
            try:
                client.sock.sendall(b"x" * 50000000)
            except OSError:
                pass
            assert time.monotonic() - begun < 12
            answer = client.response()
            assert answer is None or answer.status == 504
        go.set()


@option("upstreams.pool.total_timeout")
def test_total_timeout():
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not go.wait(0.1):
                peer.send(b"x")

    with Upstream(script) as up, Weir(up, upstream_pool={"total_timeout": "800ms"}) as weir:
        begun = time.monotonic()
        assert not weir.ask().complete
        assert 0.5 < time.monotonic() - begun < 5
        go.set()


@option("upstreams.pool.idle_timeout")
def test_idle_timeout():
    with Upstream() as up, Weir(up, upstream_pool={"idle_timeout": "400ms"}) as weir:
        assert weir.ask().status == 200
        begun = time.monotonic()
        wait_for(lambda: connections(weir) == 0, "the idle connection to close")
        assert 0.2 < time.monotonic() - begun < 5


@option("upstreams.pool.max_age")
def test_max_age():
    with Upstream() as up, Weir(up, upstream_pool={"max_age": "500ms"}) as weir:
        assert weir.ask().status == 200
        wait_for(lambda: closed(weir, "age") >= 1, "the old connection to close")
        assert weir.ask().status == 200
        assert up.accepted >= 2


@option("upstreams.pool.max_uses")
def test_max_uses():
    with Upstream() as up, Weir(up, upstream_pool={"max_uses": 2}) as weir:
        for _ in range(6):
            assert weir.ask().status == 200
        assert up.accepted == 3


def down_after(pool, until_status=503):
    """How many requests it takes until a dead endpoint is refused at once."""
    with Weir([{"url": f"http://127.0.0.1:{dead_port()}"}], upstream_options={"retry": {"on": []}},
              upstream_pool=pool) as weir:
        for count in range(1, 50):
            begun = time.monotonic()
            if weir.ask().status == until_status:
                return count, time.monotonic() - begun
        raise AssertionError("never down")


@option("upstreams.pool.failures_max")
def test_failures_max():
    fast = {"retry_first": "1ms", "retry_cap": "1ms", "down_for": "30s", "on_dial_error": "fail"}
    few = down_after(dict(fast, failures_max=1))[0]
    many = down_after(dict(fast, failures_max=6))[0]
    assert few < many


def pauses(pool, dials):
    """Behind the first dials of a dead endpoint, in ms, as the events say them; none was shorter than that."""
    with Weir([{"url": f"http://127.0.0.1:{dead_port()}"}], upstream_options={"retry": {"on": []}},
              upstream_pool=dict({"failures_max": 1000, "on_dial_error": "wait", "jitter": 0,
                                  "acquire_timeout": "60s"}, **pool)) as weir, weir.client() as client:
        def failed():
            events = json.loads(weir.admin("/api/v1/events").text)["events"]
            return [event for event in events if event["event"] == "connection_error"][:dials]
        client.get()
        events = wait_for(lambda: len(failed()) == dials and failed(), f"{dials} dials")
        at = [datetime.datetime.fromisoformat(event["time"].replace("Z", "+00:00")) for event in events]
        said = [event["retry_after_ms"] for event in events]
        for pause, began, ended in zip(said, at, at[1:]):
            assert ended - began >= datetime.timedelta(milliseconds=pause - 20), events
        return said


@option("upstreams.pool.retry_first")
@option("upstreams.pool.retry_factor")
def test_retry_first_and_factor():
    assert pauses({"retry_first": "300ms", "retry_factor": 3, "retry_cap": "30s"}, 3) == [300, 900, 2700]


@option("upstreams.pool.retry_cap")
def test_retry_cap():
    assert pauses({"retry_first": "200ms", "retry_factor": 10, "retry_cap": "300ms"}, 4) == [200, 300, 300, 300]


@option("upstreams.pool.jitter")
def test_jitter():
    """The pauses between dials are the same without it, and of any length up to twice that with all of it."""
    pool = {"retry_first": "100ms", "retry_factor": 1}
    assert set(pauses(dict(pool, jitter=0), 13)) == {100}
    varied = pauses(dict(pool, jitter=100), 13)
    assert min(varied) >= 1 and max(varied) <= 200 and len(set(varied)) > 3, varied


@option("upstreams.pool.down_for")
def test_down_for():
    up = Upstream()
    port = up.port
    with Weir(up, upstream_pool={"failures_max": 1, "down_for": "2s", "retry_first": "10ms"}) as weir:
        assert weir.ask().status == 200
        up.stop()
        wait_for(lambda: weir.ask().status == 503, "it to be down")
        answer = weir.ask()
        assert 1 <= int(answer.header("retry-after")) <= 3
    assert port


@pytest.mark.option("upstreams.health.path")
@pytest.mark.option("upstreams.health.interval")
@pytest.mark.option("upstreams.health.failures")
@pytest.mark.option("upstreams.health.recovery")
def test_health():
    sick = threading.Event()
    checks = []

    def script(peer):
        while (request := peer.request()) is not None:
            if b"/ready-check" in request[0]:
                checks.append(time.monotonic())
                if sick.is_set():
                    peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
                    continue
            peer.ok("a")

    a, b = Upstream(script), named("b")
    with Weir([{"url": a.url}, {"url": b.url}], upstream_options={
            "balance": "round_robin",
            "health": {"path": "/ready-check", "interval": "100ms", "timeout": "1s", "failures": 2,
                       "recovery": "700ms"}}) as weir:
        wait_for(lambda: len(checks) >= 3, "checks")
        assert {weir.ask().body for _ in range(10)} == {b"a", b"b"}
        sick.set()
        before = len(checks)
        wait_for(lambda: {weir.ask().body for _ in range(6)} == {b"b"}, "the sick one to get nothing")
        assert len(checks) - before >= 2
        count = len(checks)
        wait_for(lambda: len(checks) > count, "the next check")
        assert checks[-1] - checks[-2] > 0.4, "recovery paces the checks of a sick endpoint"
        sick.clear()
        wait_for(lambda: {weir.ask().body for _ in range(6)} == {b"a", b"b"}, "it to be back")
    a.stop()
    b.stop()


@option("upstreams.health.timeout")
def test_health_timeout():
    slow = threading.Event()

    def script(peer):
        while (request := peer.request()) is not None:
            if b"/check" in request[0] and slow.is_set():
                threading.Event().wait(1.0)
            peer.ok("a")

    a, b = Upstream(script), named("b")
    with Weir([{"url": a.url}, {"url": b.url}], upstream_options={
            "balance": "round_robin",
            "health": {"path": "/check", "interval": "100ms", "timeout": "200ms", "failures": 1,
                       "recovery": "30s"}}) as weir:
        slow.set()
        wait_for(lambda: {weir.ask().body for _ in range(6)} == {b"b"}, "the slow one to be out")
    a.stop()
    b.stop()


def sick():
    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    return Upstream(script)


def outlier(ups, requests=40, **options):
    """Statuses of so many requests in turn to these upstreams."""
    with Weir([{"url": up.url} for up in ups], upstream_options={
            "balance": "round_robin", "outlier": options}) as weir:
        return [weir.ask().status for _ in range(requests)]


@option("upstreams.outlier.errors")
def test_outlier_errors():
    with sick() as bad, Upstream() as up, Upstream() as other:
        assert outlier([bad, up, other], errors=3).count(500) == 3
        assert outlier([bad, up, other]).count(500) == 5
        assert outlier([bad, up, other], errors=0).count(500) >= 13
        assert outlier([bad]).count(500) == 40, "the last one is never ejected"


@option("upstreams.outlier.ejected_max")
def test_outlier_ejected_max():
    with sick() as bad, sick() as worse, Upstream() as up, Upstream() as other:
        ups = [bad, worse, up, other]
        assert outlier(ups, errors=1).count(500) == 2
        assert outlier(ups, errors=1, ejected_max=25).count(500) > 5
        assert outlier(ups, errors=1, ejected_max=0).count(500) == 20


@option("upstreams.outlier.ejection")
@option("upstreams.outlier.ejection_max")
def test_outlier_ejection():
    """Requests in turn come back to the one that is no longer ejected."""
    for options, again in (({"ejection": "300ms"}, True), ({}, False),
                           ({"ejection": "10s", "ejection_max": "300ms"}, True)):
        with sick() as bad, Upstream() as up, Weir([{"url": bad.url}, {"url": up.url}], upstream_options={
                "balance": "round_robin", "outlier": dict(errors=1, slow_start="1ms", **options)}) as weir:
            assert [weir.ask().status for _ in range(6)].count(500) == 1
            if again:
                wait_for(lambda weir=weir: weir.ask().status == 500, "the ejected one to be asked again")
            else:
                end = time.monotonic() + 0.6
                while time.monotonic() < end:
                    assert weir.ask().status == 200


@option("upstreams.outlier.slow_start")
def test_outlier_slow_start():
    ill = threading.Event()

    def script(peer):
        while peer.request() is not None:
            if ill.is_set():
                peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.ok("a")

    for slow_start, share in (("60s", 11), ("1ms", 50)):
        with Upstream(script) as a, named("b") as b, Weir([{"url": a.url}, {"url": b.url}], upstream_options={
                "balance": "round_robin",
                "outlier": {"errors": 1, "ejection": "50ms", "slow_start": slow_start}}) as weir:
            ill.set()
            wait_for(lambda: weir.ask().status == 500, "an error")
            ill.clear()
            wait_for(lambda: weir.ask().body == b"a", "it to return")
            count = [weir.ask().body for _ in range(100)].count(b"a")
            assert share - 5 <= count <= share + 5, slow_start


@option("upstreams.retry.on")
def test_retry_on():
    def hangs_up(peer):
        if peer.request() is not None:
            peer.ok()
            peer.request()

    dead = f"http://127.0.0.1:{dead_port()}"
    for on, wanted in ((["connect"], {200}), ([], {200, 502})):
        with Upstream() as up, Weir([{"url": dead}, {"url": up.url}], upstream_options={
                "balance": "round_robin", "retry": {"on": on}}, upstream_pool={"failures_max": 1000}) as weir:
            assert {weir.ask().status for _ in range(6)} == wanted, on
    for on, wanted in ((["stale"], {200}), ([], {200, 502})):
        with Upstream(hangs_up) as up, Weir(up, upstream_options={"retry": {"on": on}}) as weir:
            assert {weir.ask().status for _ in range(6)} == wanted, on

    def unwell(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

    for on, wanted in ((["503"], {200}), ([], {200, 503})):
        with Upstream() as up, Upstream(unwell) as bad, Weir([{"url": bad.url}, {"url": up.url}], upstream_options={
                "balance": "round_robin", "retry": {"on": on}}) as weir:
            assert {weir.ask().status for _ in range(6)} == wanted, on


@option("upstreams.retry.budget")
def test_retry_budget():
    """Beyond the budget (here only the ten a second that are always free) failures are passed on."""
    dead = f"http://127.0.0.1:{dead_port()}"
    with Upstream() as up, Weir([{"url": dead}, {"url": up.url}], upstream_options={
            "balance": "round_robin", "retry": {"on": ["connect"], "budget": 0}},
            upstream_pool={"failures_max": 1000, "retry_first": "1ms", "retry_cap": "1ms"}) as weir:
        with weir.client() as client:
            seen = []
            while len(seen) < 3000 and 502 not in seen:
                client.get()
                seen.append(client.response().status)
        assert 200 in seen and 502 in seen
    with Upstream() as up, Weir([{"url": dead}, {"url": up.url}], upstream_options={
            "balance": "round_robin", "retry": {"on": ["connect"], "budget": 1}},
            upstream_pool={"failures_max": 1000, "retry_first": "1ms", "retry_cap": "1ms"}) as weir:
        with weir.client() as client:
            for _ in range(len(seen) + 500):
                client.get()
                assert client.response().status == 200


class Eager(Weir):
    """Is ready as soon as it answers at all."""

    def _ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin("/livez").status == 200
        return False


@option("upstreams.warm")
def test_warm():
    """Connections are there before the first request; required holds /readyz back until then."""
    for warm, dialled in (("off", 0), ("on", 1), ("required", 1)):
        with Upstream() as up, Weir(up, upstream_options={"warm": warm}) as weir:
            if dialled:
                wait_for(lambda up=up: up.accepted == 1, "the warm-up to dial")
            assert weir.ask().status == 200
            assert up.accepted == 1
            assert weir.metric("weir_pool_reused_total", pool="up") == 0
    with Upstream() as up, Weir(up, workers=4, upstream_options={"warm": "required"}, upstream_pool={"min_idle": 2}) as weir:
        wait_for(lambda: up.accepted == 8, "two of each worker, of limits that they share")
    with Eager(None, upstream_options={"warm": "required"}) as weir:
        answer = weir.admin("/readyz")
        assert answer.status == 503 and "warming up up" in answer.text
        assert weir.admin("/livez").status == 200
    with Eager(None, upstream_options={"warm": "on"}) as weir:
        assert weir.admin("/readyz").status == 200


@option("upstreams.pool.warm_every")
def test_warm_every():
    """The second connection of a warm-up comes so much later than the first."""
    with Upstream() as up, Weir([up.url, up.url.replace("127.0.0.1", "localhost")],
                                upstream_options={"warm": "on"}, upstream_pool={"warm_every": "1h"}) as weir:
        wait_for(lambda: connections(weir, state="idle") == 1, "the first")
        assert weir.metric("weir_pool_dials_total", pool="up") == 1
    with Upstream() as up, Weir([up.url, up.url.replace("127.0.0.1", "localhost")],
                                upstream_options={"warm": "on"}) as weir:
        wait_for(lambda: connections(weir, state="idle") == 2, "both")


@option("upstreams.warm_grade")
def test_warm_grade():
    """What accepts and never shakes hands, or never says SETTINGS, is warm at one grade and not at the next."""
    def silent(peer):
        while peer.recv():
            pass

    def ready(weir):
        return weir.admin("/readyz").status == 200

    def grade(word, url, warm="required", **options):
        return Eager([url], upstream_options={"warm": warm, "warm_grade": word, **options})
    with Upstream(silent) as up:
        https = f"https://127.0.0.1:{up.port}"
        with grade("tcp", https) as weir:
            wait_for(lambda: ready(weir), "the transport")
        with grade("tls", https) as weir:
            wait_for(lambda: up.accepted == 2, "the dial")
            assert not ready(weir)
        with grade("tls", up.url, protocol="h2") as weir:
            wait_for(lambda: ready(weir), "the connection")
        for word in ("up", "probe"):
            accepted = up.accepted
            with grade(word, up.url, protocol="h2") as weir:
                wait_for(lambda seen=accepted: up.accepted > seen, "the dial")
                wait_for(lambda: connections(weir) == 1, "its transport")
                assert not ready(weir)
    with Upstream() as up, grade("probe", up.url) as weir:
        wait_for(lambda: ready(weir), "HTTP/1.1, which has nothing to ask with")
    with Upstream() as up, grade("dns", up.url) as weir:
        wait_for(lambda: ready(weir), "an address, which is known")
        assert up.accepted == 0
    with NameServer({}) as names, Eager(["http://moves.test:1"], dns={"servers": [names.address]}, upstream_options={
            "warm": "required", "warm_grade": "dns"}) as weir:
        wait_for(lambda: names.count("moves.test") > 0, "a look-up")
        assert not ready(weir)
        names.names["moves.test"] = ["127.0.0.1"]
        wait_for(lambda: ready(weir), "the name to be known")
        assert weir.metric("weir_pool_dials_total", pool="up") == 0


@option("upstreams.warm_timeout")
def test_warm_timeout():
    with Eager(None, upstream_options={"warm": "required", "warm_timeout": "500ms"}) as weir:
        wait_for(lambda: weir.admin("/readyz").status == 200, "it to wait no longer")
    with Eager(None, upstream_options={"warm": "required"}) as weir:
        end = time.monotonic() + 0.7
        while time.monotonic() < end:
            assert weir.admin("/readyz").status == 503
