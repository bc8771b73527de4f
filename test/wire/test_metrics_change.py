# SPDX-License-Identifier: Apache-2.0
"""Figures of /metrics that tell what happened: each is seen to change by what it says that it counts."""
import json
import signal
import threading

from hyperframe.frame import RstStreamFrame

import wsraw
from h2raw import H2
from test_accounts import Api, account, post, relay
from test_affinity import four, relay as affinity_relay
from test_client_keys import bearer, client as keyed
from test_sessions import move
from test_slow_kinds import upstream as serve
from weirtest import Upstream, Weir, dead_port, wait_for


class Since:
    """What has changed of a gateway's figures."""

    def __init__(self, weir):
        self.weir, self.before = weir, weir.metrics()

    def __call__(self, name, **labels):
        return self.weir.metric(name, **labels) - sum(
            value for sample, value in self.before.items()
            if sample.partition("{")[0] == name and all(f'{k}="{v}"' in sample for k, v in labels.items()))

    def until(self, count, name, **labels):
        wait_for(lambda: self(name, **labels) == count, f"{name} to be {count} more")


def test_bytes_of_a_listener():
    with Upstream() as up, Weir(up) as weir:
        since = Since(weir)
        assert weir.ask(method="POST", headers="Content-Length: 100\r\n", body=b"x" * 100).status == 200
        since.until(100, "weir_http_request_body_bytes_total", listener="web", upstream="up")
        since.until(2, "weir_http_answer_body_bytes_total", listener="web", upstream="up")
        assert since("weir_listener_received_bytes_total", listener="web") == len(
            "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n") + 100
        assert 1 <= since("weir_listener_receives_total", listener="web") <= 2
        assert since("weir_listener_sends_total", listener="web") == 1


def test_what_goes_wrong_with_clients():
    gone = threading.Event()

    def script(peer):
        while (request := peer.request()) is not None:
            if b" /hold " in request[0]:
                gone.wait(20)
                return
            if b" /cut " in request[0]:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
                return
            peer.ok()
    with Upstream(script) as up, Weir(up, pool={"headers_timeout": "1s"}) as weir:
        since = Since(weir)
        with weir.client() as client:
            client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
            assert client.final().status == 400
        since.until(1, "weir_listener_bad_requests_total", listener="web")
        assert not weir.ask("/cut").complete
        since.until(1, "weir_listener_cut_total", listener="web")
        with weir.client() as client:
            client.get("/hold")
            wait_for(lambda: weir.metric("weir_endpoint_busy", upstream="up") == 1, "it to be asked for")
        since.until(1, "weir_listener_aborted_total", listener="web")
        gone.set()
        with weir.client() as client:
            client.send("GET / HT")
            since.until(1, "weir_listener_timeouts_total", listener="web")


def test_leases_of_a_pool_and_its_endpoint():
    gate = threading.Event()

    def script(peer):
        while peer.request() is not None:
            gate.wait(20)
            peer.ok()
    with Upstream(script) as up, Weir(up, workers=1, upstream_pool={"max_connections": 1}) as weir:
        since = Since(weir)
        assert weir.metric("weir_pool_max_connections", pool="up") == 1
        first, second = weir.client().get(), weir.client().get()
        since.until(1, "weir_pool_grants_total", pool="up")
        wait_for(lambda: weir.metric("weir_pool_waiting", pool="up") == 1, "the other one to wait")
        assert weir.metric("weir_endpoint_busy", upstream="up") == 2
        assert since("weir_pool_released_total", pool="up") == 0
        gate.set()
        assert first.final().status == second.final().status == 200
        since.until(2, "weir_pool_released_total", pool="up")
        assert since("weir_pool_acquires_total", pool="up") == 2 and since("weir_pool_waits_total", pool="up") >= 1
        assert since("weir_pool_hold_seconds_count", pool="up") == 2
        assert since("weir_endpoint_answered_total", upstream="up") == 2 and since("weir_endpoint_failed_total") == 0
        assert since("weir_endpoint_acquire_seconds_count", upstream="up") == 2
        assert weir.metric("weir_endpoint_busy", upstream="up") == 0
        assert weir.metric("weir_pool_keys", pool="up") == 1
        for client in (first, second):
            client.close()


def test_one_endpoint_makes_room_for_another():
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url], workers=1, upstream_pool={"max_connections": 1}) as weir:
        since = Since(weir)

        def is_counted():
            assert weir.ask().status == 200
            return since("weir_pool_evicted_total", pool="up") >= 1
        wait_for(is_counted, "the other one to be asked, by chance")


def test_an_endpoint_that_is_not_there():
    with Weir(upstream_pool={"acquire_timeout": "1s"}) as weir:
        since = Since(weir)
        assert weir.metric("weir_gateway_health_status") == weir.metric("weir_upstream_health_status", upstream="up") == 0
        def is_down():
            assert weir.ask().status in (502, 503)
            return weir.metric("weir_gateway_health_status") == 3
        wait_for(is_down, "it to be told to be down")
        assert weir.metric("weir_upstream_health_status", upstream="up") == 3
        assert since("weir_endpoint_refused_total", upstream="up") >= 1
        assert since("weir_endpoint_answered_total", upstream="up") == 0


def test_retries():
    with Upstream() as up, Weir([f"http://127.0.0.1:{dead_port()}", up.url]) as weir:
        since = Since(weir)

        def is_counted():
            assert weir.ask().status == 200
            return since("weir_http_retries_total", listener="web", upstream="up") >= 1
        wait_for(is_counted, "the one that is not there to be asked, by chance")


def test_accounts():
    with Api() as api, relay(api, account("a1", max_connections=1, priority=1), account("a2", priority=2), workers=1) as weir:
        since = Since(weir)
        assert post(weir).status == post(weir).status == 200
        own = {"upstream": "up", "account": "a1"}
        assert since("weir_account_created_total", **own) == 1 and since("weir_account_reused_total", **own) == 1
        assert since("weir_account_grants_total", **own) == 2
        since.until(2, "weir_account_acquire_seconds_count", **own)
        since.until(2, "weir_account_first_byte_seconds_count", **own)
        since.until(2, "weir_account_hold_seconds_count", **own)
        assert since("weir_account_connect_seconds_count", **own) >= 1
        api.says_once("k-a1", (529, ""))
        assert post(weir).json() == {"served_by": "k-a2"}
        since.until(1, "weir_account_given_up_total", **own)
        assert weir.metric("weir_account_cooldown_seconds", **own) > 0
        assert weir.metric("weir_account_health_status", **own) > 0
        weir.admin("/api/v1/accounts/up/a1/clear", "POST")
        assert weir.metric("weir_account_cooldown_seconds", **own) == 0


def test_who_waits_for_an_account():
    with Api() as api, relay(api, account("a1", max_connections=1), workers=1, upstream={"pool": {"acquire_timeout": "3s"}}) as weir:
        since = Since(weir)
        api.gate = threading.Event()
        with weir.client() as first, weir.client() as second:
            first.get()
            since.until(1, "weir_account_grants_total")
            second.get()
            wait_for(lambda: weir.metric("weir_account_waiting", upstream="up", account="a1") == 1, "one to wait")
            assert second.final().status == 503
            since.until(1, "weir_account_refused_total")
            assert weir.metric("weir_account_waiting") == 0
            api.gate.set()
            assert first.final().status == 200
        api.up.stop()
        wait_for(lambda: weir.ask().status >= 500 and since("weir_account_errors_total", upstream="up", account="a1") > 0, "a failed dial")


def test_tokens():
    usage = {"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 4}
    with Api() as api, relay(api, account("a1"), clients=[keyed("c")]) as weir:
        api.says("k-a1", 200, "", json.dumps({"type": "message", "usage": usage}).encode())
        since = Since(weir)
        assert post(weir, headers=bearer("c")).status == 200
        since.until(3, "weir_account_cache_read_tokens_total")
        since.until(3, "weir_client_cache_read_tokens_total")
        since.until(4, "weir_account_cache_write_tokens_total")
        since.until(4, "weir_client_cache_write_tokens_total")
        since.until(10, "weir_client_input_tokens_total")
        since.until(20, "weir_client_output_tokens_total")


def test_sockets_that_are_cut():
    with Upstream(serve) as up, Weir(up) as weir:
        since = Since(weir)
        with wsraw.WsClient(weir.port, path="/ws") as client:
            client.send(wsraw.frame(wsraw.TEXT, b"hello", mask=b"abcd"))
            since.until(2 + len("hello"), "weir_websocket_upstream_bytes_total", listener="web", upstream="up")
        since.until(1, "weir_websocket_ended_total", listener="web", upstream="up")


def test_streams_that_are_reset():
    gate = threading.Event()

    def holds(peer):
        peer.request()
        gate.wait(20)
    with Upstream(holds) as up, Weir(up) as weir:
        since = Since(weir)
        with H2(weir.port) as h2:
            stream = h2.request(path="/hold")
            since.until(1, "weir_pool_acquires_total", pool="up")
            h2.send(RstStreamFrame(stream, 8).serialize())
            since.until(1, "weir_http2_resets_total", listener="web")
        gate.set()


def test_records_of_conversations():
    with Api() as api, affinity_relay(api, *four(), affinity={"ttl": "1s"}, sessions={"ttl": "1s"}) as weir:
        since = Since(weir)
        move(api, weir, 1)
        since.until(1, "weir_session_created_total")
        since.until(1, "weir_session_cleaned_total")


def test_the_process():
    with Upstream() as up, Weir(up) as weir:
        since = Since(weir)
        with weir.client() as client:
            assert client.get().final().status == 200
            assert since("weir_process_open_descriptors") >= 1
        assert weir.metric("weir_process_max_descriptors") >= weir.metric("weir_process_open_descriptors")
        wait_for(lambda: weir.admin("/api/v1/connections") and since("weir_process_cpu_seconds_total") > 0, "it to have worked")
        before = weir.metric("weir_config_last_reload_success_timestamp_seconds")

        def is_later():  # it is in whole seconds
            weir.process.send_signal(signal.SIGHUP)
            return weir.metric("weir_config_last_reload_success_timestamp_seconds") > before
        wait_for(is_later, "a reload in another second", every=0.2)
