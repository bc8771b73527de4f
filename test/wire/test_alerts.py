# SPDX-License-Identifier: Apache-2.0
"""Alerts: figures that leave their bounds are shown, exported, logged, kept as events and posted to a webhook."""
import contextlib
import json
import threading
import time

import pytest

from h2peer import H2Upstream
from test_accounts import Api
from test_affinity import by_session, four, relay as relay_of
from test_sessions import pin, with_pins
from test_sessions_redis import Redis
from weirtest import Client, Upstream, Weir, dead_port, hostile, wait_for

option = pytest.mark.option
KINDS = {"error_rate", "session_survival", "cache_hit", "pool_utilization", "memory"}
EARLY = {"early_exhaustion", "early_error_rate", "early_latency"}
SOON = {"for": "50ms", "window": "20s"}
MANY = 25  # requests: enough to say something, however slow the machine


def rows(weir):
    return json.loads(weir.admin("/api/v1/alerts").text)["alerts"]


def alert(weir, kind, pool=None):
    (row,) = [row for row in rows(weir) if row["alert"] == kind and row["pool"] == pool]
    return row


def fires(weir, kind, pool=None):
    wait_for(lambda: alert(weir, kind, pool)["state"] == "firing", f"{kind} to fire")
    return alert(weir, kind, pool)


def clears(weir, kind, pool=None):
    wait_for(lambda: alert(weir, kind, pool)["state"] == "quiet", f"{kind} to be cleared")


def told(weir, event):
    return [row for row in json.loads(weir.admin("/api/v1/events").text)["events"] if row["event"] == event]


def ask_until(weir, condition, what):
    """Requests, many at once, until it is so."""
    def many():
        with weir.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n" * MANY)
            for _ in range(MANY):
                client.final()
        return condition()
    wait_for(many, what)


class Hook(Upstream):
    """A webhook: what it was posted, and an answer of the test's."""

    def __init__(self, answer=lambda peer, count: peer.ok(b"")):
        self.posts, self.answer = [], answer

        def serve(peer):
            while (post := peer.request()) is not None:
                self.posts.append((post[0], json.loads(post[1])))
                self.answer(peer, len(self.posts))
        super().__init__(serve)


def crowd(weir, count):
    """Clients that have a connection each."""
    stack = contextlib.ExitStack()
    for _ in range(count):
        client = stack.enter_context(weir.client())
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.final().status == 200
    return stack


def test_all_are_quiet_at_the_start(relay):
    found = rows(relay)
    assert {row["alert"] for row in found} == KINDS | EARLY
    assert {row["pool"] for row in found if row["alert"] == "pool_utilization"} == {"up", "listener:web"}
    assert all(row["state"] == "quiet" and row["fired"] == 0 and row["message"] is None for row in found)
    thresholds = {row["alert"]: row["threshold"] for row in found if not row["early_warning"]}
    assert thresholds == {"error_rate": 0.05, "session_survival": 0.9, "cache_hit": 0.8, "pool_utilization": 0.9,
                          "memory": 524288000}
    metrics = relay.metrics()
    for kind in KINDS | EARLY:
        assert metrics[f'weir_alert_firing{{alert="{kind}"}}'] == 0
        assert metrics[f'weir_alert_fired_total{{alert="{kind}"}}'] == 0


@option("alerts.error_rate")
@option("alerts.window")
def test_failures_fire_and_clear():
    failing = threading.Event()
    failing.set()

    def serve(peer):
        while peer.request() is not None:
            if failing.is_set():
                peer.send(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
            else:
                peer.ok()

    with Upstream(serve) as up, Weir(up, alerts={"error_rate": 0.5, **SOON}) as weir:
        ask_until(weir, lambda: alert(weir, "error_rate")["state"] == "firing", "error_rate to fire")
        row = alert(weir, "error_rate")
        assert row["threshold"] == 0.5 and row["value"] > 0.5 and "of requests fail" in row["message"]
        assert weir.metric("weir_alert_firing", alert="error_rate") == 1
        assert weir.metric("weir_http_failed_total", upstream="up") >= 20
        (event,) = told(weir, "alert_firing")
        assert event["what"] == "error_rate" and event["worker"] is None and event["why"] == row["message"]
        wait_for(lambda: "alert_firing" in weir.text(), "its line in the log")
        failing.clear()
        ask_until(weir, lambda: alert(weir, "error_rate")["state"] == "quiet", "error_rate to be cleared")
        assert told(weir, "alert_cleared")[0]["what"] == "error_rate"
        assert weir.metric("weir_alert_firing", alert="error_rate") == 0
        assert weir.metric("weir_alert_fired_total", alert="error_rate") == 1


def test_clients_that_leave_are_no_failures():
    """An answer that its client does not want to the end is cut, but nobody failed."""
    def serve(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
            peer.recv()

    with Upstream(serve) as up, Weir(up) as weir:
        for _ in range(3):
            with weir.client() as client:
                client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
                client._more()
        wait_for(lambda: weir.metric("weir_http_request_seconds_count", upstream="up") == 3, "their ends")
        assert weir.metric("weir_http_failed_total") == 0


@option("alerts.pool_utilization")
@option("alerts.for")
def test_a_pool_that_fills_up():
    """It fires after its time, not before; what was set says after how long."""
    with Upstream() as up:
        settings = {"pool_utilization": 0.5}
        with Weir(up, pool={"max_connections": 10}, alerts={**settings, "for": "1h"}) as slow:
            with crowd(slow, 7):
                wait_for(lambda: alert(slow, "pool_utilization", "listener:web")["state"] == "pending", "a look")
                assert slow.metric("weir_alert_firing", alert="pool_utilization") == 0
        with Weir(up, pool={"max_connections": 10}, alerts={**settings, **SOON}) as weir:
            with crowd(weir, 7):
                row = fires(weir, "pool_utilization", "listener:web")
                assert row["value"] == 0.7 and "7 of 10 connections" in row["message"]
                assert alert(weir, "pool_utilization", "up")["state"] == "quiet"
            clears(weir, "pool_utilization", "listener:web")
            assert told(weir, "alert_cleared")[0]["pool"] == "listener:web"


@option("alerts.memory")
def test_memory():
    with Upstream() as up, Weir(up, alerts={"memory": "1MiB", **SOON}) as weir:
        row = fires(weir, "memory")
        assert row["threshold"] == 1048576 and "MiB resident" in row["message"]


@option("alerts.early_warning")
@option("alerts.horizon")
def test_exhaustion_is_foretold():
    """Requests that hang, one more every so often: it is told before there is no connection left."""
    def hang(peer):
        peer.request()
        peer.sock.settimeout(600)
        peer.recv()

    early = {"for": "0s", "horizon": "6s"}
    limits = {"max_connections": 1000, "max_per_endpoint": 120}
    patience = {"idle_timeout": "10m", "request_timeout": "10m"}
    with Upstream(hang) as up, Weir(up, upstream_pool=limits, pool=patience, alerts=early, workers=1) as weir, \
            Weir(up, upstream_pool=limits, alerts={"early_warning": False}) as blind:
        assert {row["alert"] for row in rows(blind)} == KINDS
        with contextlib.ExitStack() as stack:
            begun = time.monotonic()
            for count in range(119):
                client = stack.enter_context(Client(weir.port))
                client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
                wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") > count,
                         "one more")
                if alert(weir, "early_exhaustion", "up")["fired"]:
                    break
                wait_for(lambda: time.monotonic() - begun > (count + 1) * 0.08, "the next one's time")
            assert alert(weir, "early_exhaustion", "up")["fired"] == 1
            (event,) = told(weir, "alert_firing")
            assert event["what"] == "early_exhaustion" and "connections in use; none is left in" in event["why"]


def test_exhaustion_of_streams_is_foretold():
    """The same with HTTP/2: one connection is all there may be, and its streams are what runs out."""
    limits = {"streams_conns_max": 1, "leases_ideal": 100}
    with H2Upstream(lambda peer, stream: None) as up, \
            Weir(up, upstream_options={"protocol": "h2"}, upstream_pool=limits, workers=1,
                 pool={"idle_timeout": "10m", "request_timeout": "10m"}, alerts={"for": "0s", "horizon": "6s"}) as weir:
        with contextlib.ExitStack() as stack:
            begun = time.monotonic()
            for count in range(99):
                client = stack.enter_context(Client(weir.port))
                client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
                wait_for(lambda: weir.metric("weir_pool_leases", pool="up") > count, "one more")
                if alert(weir, "early_exhaustion", "up")["fired"]:
                    break
                wait_for(lambda: time.monotonic() - begun > (count + 1) * 0.1, "the next one's time")
            assert alert(weir, "early_exhaustion", "up")["fired"] == 1
            assert 1 < weir.metric("weir_pool_leases", pool="up") < 100
            assert weir.metric("weir_pool_connections", pool="up") == 1
            (event,) = told(weir, "alert_firing")
            assert event["what"] == "early_exhaustion" and "of 100 streams in use; none is left in" in event["why"]


# --- the webhook ---------------------------------------------------------------------------------


@option("alerts.webhook")
def test_a_webhook_hears_of_it():
    with Upstream() as up, Hook() as hook:
        with Weir(up, pool={"max_connections": 10}, node={"name": "dam-7"},
                  alerts={"pool_utilization": 0.5, "webhook": hook.url + "/x?y=1", **SOON}) as weir:
            with crowd(weir, 7):
                wait_for(lambda: hook.posts, "a post")
            wait_for(lambda: len(hook.posts) == 2, "another one")
            wait_for(lambda: weir.metric("weir_webhook_messages_total", result="delivered") == 2, "their count")
            assert weir.metric("weir_webhook_waiting") == 0
        head, said = hook.posts[0]
        assert head.startswith(b"POST /x?y=1 HTTP/1.1\r\n") and b"application/json" in head
        assert said["event"] == "alert_firing" and said["alert"] == "pool_utilization" and said["node"] == "dam-7"
        assert said["pool"] == "listener:web" and "of 10 connections" in said["message"] and not said["early_warning"]
        assert hook.posts[1][1]["event"] == "alert_cleared"


def test_a_webhook_that_fails_is_asked_again():
    def once_not(peer, count):
        if count == 1:
            peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        else:
            peer.ok(b"")

    with Upstream() as up, Hook(once_not) as hook:
        with Weir(up, alerts={"memory": "1MiB", "webhook": hook.url, **SOON}) as weir:
            wait_for(lambda: weir.metric("weir_webhook_messages_total", result="delivered") == 1, "the second try")
            assert weir.metric("weir_webhook_failures_total") == 1
            assert hook.posts[0][1] == hook.posts[1][1]


@option("alerts.webhook_timeout")
@pytest.mark.parametrize("how", ["down", "silent", "endless", "garbage", "redirect", "huge_head"])
def test_a_webhook_that_is_no_good_does_no_harm(how):
    with Upstream() as up, Hook(lambda peer, _: hostile(peer, how)) as hook:
        url = f"http://127.0.0.1:{dead_port()}/" if how == "down" else hook.url
        with Weir(up, alerts={"memory": "1MiB", "webhook": url, "webhook_timeout": "200ms", **SOON}) as weir:
            fires(weir, "memory")
            wait_for(lambda: weir.metric("weir_webhook_failures_total") >= 1, "a failure")
            assert weir.metric("weir_webhook_waiting") == 1
            assert weir.metric("weir_webhook_messages_total", result="delivered") == 0
            assert weir.ask().status == 200
            assert weir.resident() < 400 << 20


def test_a_webhooks_secret_is_not_shown():
    with Upstream() as up, Weir(up, alerts={"webhook": f"http://127.0.0.1:{dead_port()}/s3cret"}) as weir:
        assert "s3cret" not in weir.admin("/api/v1/config").text and "s3cret" not in weir.text()


# --- conversations -------------------------------------------------------------------------------


@option("alerts.session_survival")
def test_conversations_that_find_no_room():
    with Api() as api, relay_of(api, *four(), affinity=with_pins(), sessions={"max": 1},
                                alerts={"session_survival": 0.5, **SOON}) as weir:
        assert weir.metric("weir_session_survival_ratio") == 1
        answers = iter(range(10000))

        def once():
            pin(api, weir, f"a{next(answers)}")
            return alert(weir, "session_survival")["state"] == "firing"
        wait_for(once, "session_survival to fire")
        row = alert(weir, "session_survival")
        assert row["threshold"] == 0.5 and row["value"] < 0.5
        assert weir.metric("weir_session_survival_ratio") < 0.5 and weir.metric("weir_sessions") == 1
        assert weir.metric("weir_session_ended_total", reason="lost") >= 20


@option("alerts.cache_hit")
def test_conversations_that_are_not_known_here():
    with Redis() as redis, Api() as api, \
            relay_of(api, *four(), sessions=redis.sessions({"cache": 0}), alerts={"cache_hit": 0.7, **SOON}) as weir:
        def once():
            for _ in range(MANY):
                by_session(weir, 1)
            return alert(weir, "cache_hit")["state"] == "firing"
        wait_for(once, "cache_hit to fire")
        row = alert(weir, "cache_hit")
        assert row["threshold"] == 0.7 and row["value"] < 0.7
