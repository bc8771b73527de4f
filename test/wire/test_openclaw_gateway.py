# SPDX-License-Identifier: Apache-2.0
"""OpenClaw gateways behind the gateway: requests and events in the shape of HTTP, and what passes as it is."""
import asyncio
import json
import os
import stat
import subprocess
import threading

import pytest

import peers
from certs import Authority
from openclawpeer import REAL, Real, connect, double
from weirtest import DEADLINE, WEIR, Upstream, Weir, free_port, wait_for, yaml_of

option = pytest.mark.option


def weir_for(claw, workers=1, **more):
    options = {"token": "demo", **more.pop("openclaw", {})}
    return Weir([claw.http_url], workers=workers,
                upstream_options={"protocol": "openclaw", "openclaw": options, **more})


def post(weir, method, params=None, client=None, path=None):
    body = b"" if params is None else params if isinstance(params, bytes) else json.dumps(params).encode()
    return weir.ask(path or f"/openclaw/up/{method}", headers=f"Content-Length: {len(body)}\r\n", method="POST", body=body)


def code_of(answer):
    return answer.json()["error"]["code"]


def begin(weir, method, params):
    """A client that has asked, and has no answer yet."""
    client, body = weir.client(), json.dumps(params)
    client.send(f"POST /openclaw/up/{method} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    return client


def test_requests_share_one_connection():
    with double() as claw, weir_for(claw) as weir:
        for i in range(20):
            answer = post(weir, "echo", {"i": i, "text": "päivää"})
            assert answer.status == 200 and answer.header("content-type") == "application/json"
            assert answer.json() == {"i": i, "text": "päivää"}
        assert post(weir, "health").json() == {"ok": True}
        assert len(claw.connects) == 1 and claw.open == 1
        connect = claw.connects[0]
        assert connect["client"]["id"] == "gateway-client" and connect["minProtocol"] == 3
        assert weir.metric("weir_openclaw_hellos_total", upstream="up") == 1
        assert weir.metric("weir_openclaw_requests_total", upstream="up") == 21
        assert weir.metric("weir_openclaw_answers_total", upstream="up") == 21
        assert weir.metric("weir_pool_connections", pool="openclaw:up", state="active") == 0
        assert "openclaw:up" in [pool["name"] for pool in json.loads(weir.admin("/api/v1/pools").text)["pools"]]


def test_connections_are_listed():
    with double() as claw, weir_for(claw) as weir:
        wait_for(lambda: claw.open == 1, "hello-ok")
        listed = json.loads(weir.admin("/api/v1/connections").text)["connections"]
        assert [conn["state"] for conn in listed if conn["pool"] == "openclaw:up"] == ["idle"]
        assert post(weir, "health").status == 200


def test_a_connection_is_there_before_the_first_request():
    with double() as claw, weir_for(claw):
        wait_for(lambda: claw.open == 1, "hello-ok")


def test_answers_come_in_any_order():
    with double() as claw, weir_for(claw) as weir:
        clients = [begin(weir, "hold", {"i": i}) for i in range(32)]
        wait_for(lambda: len(claw.requests) == 32, "all requests at the gateway")
        assert post(weir, "health").status == 200  # others pass
        claw.behave(release=True)
        for i, client in enumerate(clients):
            assert client.response("POST").json() == {"i": i}
            client.close()
        assert len(claw.connects) == 1


def test_long_requests_and_answers():
    with double() as claw, weir_for(claw) as weir:
        for size in (100, 60_000, 3_000_000):
            assert post(weir, "bad.large", {"bytes": size}).json() == "x" * size
            assert post(weir, "echo", {"text": "y" * size}).json() == {"text": "y" * size}


def test_errors_of_the_gateway_are_told_as_they_are():
    errors = {"busy": {"code": "UNAVAILABLE", "message": "later", "retryable": True, "retryAfterMs": 2500},
              "bad": {"code": "INVALID_REQUEST", "message": "no such thing"},
              "odd": {"code": "SOMETHING", "message": "?"}}

    with double() as claw, weir_for(claw) as weir:
        for name, status in (("busy", 503), ("bad", 400), ("odd", 502)):
            answer = post(weir, "fail", {"error": errors[name]})
            assert answer.status == status and answer.json() == {"error": errors[name]}
            assert answer.header("retry-after") == ("3" if name == "busy" else None)
        assert post(weir, "none").json()["error"]["message"] == "unknown method"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"7", b'{"a":1}x', b'{"a":"\xff"}', b"[" * 1000])
def test_what_is_no_object_is_not_sent(body):
    with double() as claw, weir_for(claw) as weir:
        answer = post(weir, "echo", body)
        assert answer.status == 400 and code_of(answer) == "not_json"
        assert claw.requests == [] and post(weir, "echo", {}).status == 200


def test_accepted_and_final():
    """What is only accepted is the answer, or with `?final=1` what comes behind it."""
    with double() as claw, weir_for(claw) as weir:
        assert post(weir, "agent", {}).json()["status"] == "accepted"
        assert post(weir, None, {}, path="/openclaw/up/agent?final=1").json()["status"] == "ok"
        assert post(weir, "health").status == 200 and len(claw.connects) == 1


def test_wrong_methods_and_paths():
    with double() as claw, weir_for(claw) as weir:
        assert weir.ask("/openclaw/up/echo").status == 405
        assert post(weir, "events").status == 405
        for path in ("/openclaw/up/", "/openclaw/up/a/b", "/openclaw/up/a%20b", "/openclaw/up/" + "m" * 64,
                     "/openclaw/up/echo?x=1"):
            answer = post(weir, None, {}, path=path)
            assert answer.status == 404 and code_of(answer) == "no_route", path
        assert claw.requests == []


@option("upstreams.openclaw.message_max")
def test_message_max():
    with double() as claw, weir_for(claw, openclaw={"message_max": "64KiB"}) as weir:
        answer = post(weir, "echo", {"text": "x" * 70_000})
        assert answer.status == 413 and code_of(answer) == "too_large"
        assert post(weir, "echo", {"text": "x" * 60_000}).status == 200
        answer = post(weir, "bad.large", {"bytes": 70_000})
        assert answer.status == 502 and code_of(answer) == "answer_size"
        assert weir.metric("weir_openclaw_too_large_total", upstream="up") == 1
        assert post(weir, "echo", {"after": 1}).status == 200


def carries_two_at_a_time(claw, weir):
    clients = [begin(weir, "hold", {}) for _ in range(4)]
    for more in (2, 4):
        wait_for(lambda: len(claw.requests) >= more, "two at a time")
        assert len(claw.requests) == more
        claw.behave(release=True)
    for client in clients:
        assert client.response("POST").status == 200
        client.close()


@option("upstreams.openclaw.requests_max")
def test_requests_max():
    with double() as claw, weir_for(claw, openclaw={"requests_max": 2}) as weir:
        carries_two_at_a_time(claw, weir)
        assert claw.open == 1


# --- who we are -----------------------------------------------------------------------------------


def key_of(weir):
    keys = json.loads(weir.admin("/api/v1/keys").text)["keys"]
    return next(key for key in keys if key["pool"] == "openclaw:up")


def told_of(weir):
    """Why we were refused, as an operator is told."""
    events = json.loads(weir.admin("/api/v1/events").text)["events"]
    return [event for event in events if event["event"] == "openclaw_denied"]


@option("upstreams.openclaw.token")
def test_a_wrong_token_is_tried_once():
    with double(token="other") as claw, weir_for(claw) as weir:
        for _ in range(5):
            answer = post(weir, "echo", {})
            assert answer.status == 502 and code_of(answer) == "denied"
        assert len(claw.connects) == 1
        assert weir.metric("weir_openclaw_denied_total", upstream="up") == 1
        assert key_of(weir)["state"] == "down" and key_of(weir)["last_error"] == "denied"
        told = told_of(weir)
        assert [(event["pool"], event["what"], event["why"]) for event in told] \
            == [("up", f"127.0.0.1:{claw.port}", "unauthorized: gateway token mismatch")]
        wait_for(lambda: "unauthorized: gateway token mismatch" in weir.text(), "the log")


def ask_at_once(weir, count):
    """The codes of the errors that so many clients got who asked in parallel."""
    clients = [begin(weir, "echo", {"i": i}) for i in range(count)]
    codes = {code_of(client.response("POST")) for client in clients}
    for client in clients:
        client.close()
    return codes


def test_a_wrong_token_is_tried_once_whoever_asks():
    """One attempt of all workers: what one was told the others know, before the first request and under many."""
    with double(token="other") as claw:
        with weir_for(claw, workers=4) as weir:
            wait_for(lambda: key_of(weir)["state"] == "down", "word of the denial")
            for _ in range(3):
                assert ask_at_once(weir, 16) == {"denied"}
            assert len(claw.connects) == len(claw.upgrades) == 1
            assert weir.metric("weir_openclaw_denied_total", upstream="up") == 1
            assert [event["why"] for event in told_of(weir)] == ["unauthorized: gateway token mismatch"]

            def states():
                return [(key["state"], key["last_error"])
                        for key in json.loads(weir.admin("/api/v1/keys").text)["keys"] if key["pool"] == "openclaw:up"]
            wait_for(lambda: states() == [("down", "denied")] * 4, "word of it at every worker")
            assert len(claw.upgrades) == 1


def test_a_token_that_is_right_is_asked_for_by_one_and_used_by_all():
    with double() as claw, weir_for(claw, workers=4) as weir:
        wait_for(lambda: claw.open == 4, "a connection of each worker")
        for again in range(2, 5):
            claw.behave(restart=True)  # all go at once, and come back behind the first
            wait_for(lambda: (len(claw.connects), claw.open) == (4 * again, 4), "a connection of each worker")
        assert weir.metric("weir_openclaw_denied_total", upstream="up") == 0


def test_a_token_that_changes_while_all_are_connected_is_tried_once():
    with double() as claw, weir_for(claw, workers=4) as weir:
        wait_for(lambda: claw.open == 4, "a connection of each worker")
        before = len(claw.connects)
        claw.kill()
        claw.arguments[-1] = "another"
        claw.start()
        wait_for(lambda: weir.metric("weir_openclaw_denied_total", upstream="up") == 1, "the denial")
        assert ask_at_once(weir, 16) == {"denied"}
        assert len(claw.connects) == before + 1


def test_a_wrong_token_is_tried_again_by_nobody_who_was_not_asked():
    """One worker has tried for all; then down_for is over, and nothing happens until somebody asks."""
    with double(token="other") as claw, weir_for(claw, workers=3, pool={"down_for": "200ms"}) as weir:
        def keys():
            rows = json.loads(weir.admin("/api/v1/keys").text)["keys"]
            return [(row["state"], row["failures"]) for row in rows if row["pool"] == "openclaw:up"]
        wait_for(lambda: keys() == [("trial", 1)] * 3, "the end of down_for")
        assert keys() == [("trial", 1)] * 3 and len(claw.connects) == 1
        assert code_of(post(weir, "echo", {})) == "denied"
        assert len(claw.connects) == 2


def test_refused_at_the_upgrade():
    with double() as claw:
        claw.behave(upgrade=403)
        with weir_for(claw) as weir:
            assert code_of(post(weir, "echo", {})) == "denied"
            assert [event["why"] for event in told_of(weir)] == ["the upgrade was answered 403"]
            assert len(claw.upgrades) == 1


@option("upstreams.openclaw.password")
def test_password():
    with double(token="sesame") as claw, weir_for(claw, openclaw={"token": "", "password": "sesame"}) as weir:
        assert post(weir, "echo", {}).status == 200
        assert claw.connects[0]["auth"] == {"password": "sesame"}
        assert "sesame" not in weir.admin("/api/v1/config").text


@option("upstreams.openclaw.identity")
def test_identity(tmp_path):
    file = tmp_path / "device.json"
    devices = []
    for _ in range(2):
        with double() as claw, weir_for(claw, openclaw={"identity": str(file)}) as weir:
            assert post(weir, "echo", {}).status == 200
            device = wait_for(lambda claw=claw: claw.connects, "word of the connect")[0]["device"]
            assert device["nonce"] and device["signature"]  # which the double has verified
            devices.append(device["id"])
    assert devices[0] == devices[1] and stat.S_IMODE(file.stat().st_mode) == 0o600
    os.chmod(file, 0o644)
    with double() as claw, pytest.raises(AssertionError, match="device.json"):
        with weir_for(claw, openclaw={"identity": str(file)}):
            pass


@option("upstreams.openclaw.path")
def test_path():
    with double() as claw, weir_for(claw, openclaw={"path": "/ws"}) as weir:
        assert post(weir, "echo", {}).status == 200
        assert claw.upgrades == ["/ws"]


# --- a gateway that fails -------------------------------------------------------------------------


def test_restart_with_requests_under_way():
    with double() as claw, weir_for(claw) as weir:
        clients = [begin(weir, "hold", {"i": i} if i % 2 else {"i": i, "idempotencyKey": f"k{i}"})
                   for i in range(32)]
        wait_for(lambda: len(claw.requests) == 32, "all requests at the gateway")
        claw.behave(restart=True)
        wait_for(lambda: len(claw.requests) == 48, "those with a key, again")
        claw.behave(release=True)
        for i, client in enumerate(clients):
            answer = client.response("POST")
            if i % 2:
                assert answer.status == 502 and code_of(answer) == "reset"
            else:
                assert answer.json() == {"i": i, "idempotencyKey": f"k{i}"}
            client.close()
        assert len(claw.connects) == 2
        assert weir.metric("weir_openclaw_restarts_total", upstream="up") == 1
        assert weir.metric("weir_openclaw_replays_total", upstream="up") == 16
        assert post(weir, "echo", {"after": 1}).json() == {"after": 1}


def test_one_that_is_starting_is_waited_for():
    with double() as claw:
        claw.behave(starting=2)
        with weir_for(claw) as weir:
            assert post(weir, "echo", {"a": 1}).json() == {"a": 1}
            assert weir.metric("weir_openclaw_starting_total", upstream="up") == 2
            assert weir.metric("weir_openclaw_handshakes_total", upstream="up") == 3


@pytest.mark.parametrize("text, counter", [("not json", "bad_frames"), ("[]", "bad_frames"), ('{"type":"what"}', "bad_frames"),
                                           ("[" * 200, "bad_frames"), ('{"type":"res","id":"777","ok":true}', "strangers")])
def test_what_is_no_frame_ends_the_connection(text, counter):
    with double() as claw, weir_for(claw) as weir:
        with begin(weir, "hold", {}) as client:
            wait_for(lambda: claw.requests, "the request")
            claw.behave(say=text)
            answer = client.response("POST")
            assert answer.status == 502 and code_of(answer) == "bad_answer"
        assert post(weir, "echo", {"a": 1}).json() == {"a": 1}
        assert len(claw.connects) == 2
        counted = {name: weir.metric(name, upstream="up") for name in ("weir_openclaw_bad_frames_total",
                                                                        "weir_openclaw_strangers_total")}
        assert counted.pop(f"weir_openclaw_{counter}_total") == 1 and not any(counted.values())


def test_a_gateway_that_stops_ticking_is_left():
    with double(tick_ms=100) as claw, weir_for(claw) as weir:
        wait_for(lambda: weir.metric("weir_openclaw_ticks_total", upstream="up") >= 2, "ticks")
        claw.behave(ticks=False)
        answer = post(weir, "hold", {})
        assert answer.status == 504 and code_of(answer) == "read_timeout"
        assert weir.metric("weir_openclaw_ticks_missed_total", upstream="up") >= 1


def test_no_gateway_is_an_error_with_a_time():
    port = free_port()
    config = {"protocol": "openclaw", "openclaw": {"token": "T"}, "pool": {"acquire_timeout": "200ms"}}

    class Nobody:
        url = f"http://127.0.0.1:{port}"

    with Weir(Nobody, upstream_options=config) as weir:
        answer = post(weir, "echo", {})
        assert answer.status == 503 and code_of(answer) in ("acquire_timeout", "down", "wait_too_long")


def test_an_answer_that_does_not_come():
    with double() as claw, weir_for(claw, pool={"total_timeout": "300ms"}) as weir:
        answer = post(weir, "hold", {})
        assert answer.status == 504 and code_of(answer) == "total_timeout"
        assert weir.metric("weir_openclaw_timeouts_total", upstream="up") == 1
        claw.behave(release=True)
        wait_for(lambda: weir.metric("weir_openclaw_late_total", upstream="up") == 1, "the late answer")
        assert post(weir, "echo", {"a": 1}).json() == {"a": 1} and len(claw.connects) == 1


@option("upstreams.openclaw.request_timeout")
def test_request_timeout():
    """Of a request. An agent that has accepted may take longer, and what is asked by HTTP as well."""
    with double() as claw, weir_for(claw, openclaw={"request_timeout": "300ms"}) as weir, weir.client() as agent:
        agent.send("POST /openclaw/up/hold?final=1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}")
        wait_for(lambda: len(claw.requests) == 1, "the agent's request")
        for _ in range(2):
            answer = post(weir, "hold", {})
            assert answer.status == 504 and code_of(answer) == "total_timeout"
        claw.behave(release=True)
        assert agent.response("POST").status == 200


def test_a_client_that_leaves_costs_nothing():
    with double() as claw, weir_for(claw) as weir:
        for i in range(5):
            with begin(weir, "hold", {}) as client:
                wait_for(lambda: len(claw.requests) > i, "the request")
                client.reset()
        claw.behave(release=True)
        assert post(weir, "echo", {"a": 1}).json() == {"a": 1} and len(claw.connects) == 1


def test_handshakes_of_all_workers_are_bounded():
    """A gateway has no more than 32 who have not said who they are, and answers 503 beyond."""
    with Upstream(lambda peer: peer.head() and peer.recv()) as silent:
        with Weir([silent.url], workers=20, upstream_options={"protocol": "openclaw", "openclaw": {"token": "T"}}) as weir:
            wait_for(lambda: weir.metric("weir_pool_connections", pool="openclaw:up", state="dialling") == 20, "dials")
            wait_for(lambda: weir.metric("weir_openclaw_handshakes_total", upstream="up") == 1, "the one that asks for all")
            assert silent.accepted <= 1
    with double() as claw, weir_for(claw, workers=20) as weir:
        wait_for(lambda: claw.open == 20, "all of them, in the end")
        assert post(weir, "status").json()["strangers_most"] <= 16


def test_handshakes_of_many_upstreams_to_one_host_are_bounded():
    """Whoever of the process asks, and as whom: the host sees one."""
    def many_of(url, tokens, workers=1):
        names = [f"u{i}" for i in range(len(tokens))]
        upstreams = [{"name": name, "protocol": "openclaw", "openclaw": {"token": token}, "endpoints": [{"url": url}],
                      "pool": {"connect_timeout": "120s"}} for name, token in zip(names, tokens)]
        return Weir(routes=[{"match": {"path": f"/openclaw/{name}/"}, "upstream": name} for name in names],
                           upstreams=upstreams, workers=workers)

    with Upstream(lambda peer: peer.head() and peer.recv()) as silent:
        with many_of(silent.url, [f"T{i}" for i in range(20)]) as weir:
            wait_for(lambda: weir.metric("weir_pool_connections", state="dialling") == 20, "dials")
            wait_for(lambda: weir.metric("weir_openclaw_handshakes_total") >= 16, "the first of them")
            wait_for(lambda: silent.accepted >= 16, "the host, that has them")
            assert silent.accepted == 16
    with double() as claw:
        with many_of(claw.http_url, ["demo"] * 2, workers=12) as weir:
            wait_for(lambda: claw.open == 24, "all of them, in the end")
            assert post(weir, "status", path="/openclaw/u1/status").json()["strangers_most"] <= 16


# --- events ---------------------------------------------------------------------------------------


class Events:
    """Reads a stream of events."""

    def __init__(self, weir):
        self.client = weir.client()
        self.client.get("/openclaw/up/events", headers="Accept: text/event-stream\r\n")
        self.text = b""
        while b": ready\n\n" not in self.text:
            self.more()
        assert b"text/event-stream" in self.text

    def more(self):
        data = self.client.sock.recv(65536)
        assert data, "the stream ended"
        self.text += data

    def until(self, what):
        while what not in self.text:
            self.more()


def test_events_as_they_come():
    with double() as claw, weir_for(claw) as weir:
        wait_for(lambda: claw.open == 1, "hello-ok")
        readers = [Events(weir), Events(weir)]
        claw.event("chat", {"text": "a\nb"}, seq=7)
        claw.behave(say='{"type":"event","event":"odd\\nname","payload":{"a":\n1}}')
        for reader in readers:
            reader.until(b"odd")
            reader.until(b"1}\n\n")
            assert b'id: 7\nevent: chat\ndata: {"text": "a\\nb"}\n\n' in reader.text
            assert b'event: odd_name\ndata: {"a": 1}\n\n' in reader.text
            reader.client.close()
        assert post(weir, "echo", {}).status == 200
        assert weir.metric("weir_openclaw_events_total", upstream="up") >= 2


def test_a_reader_that_does_not_read_loses_events_and_is_told():
    with double() as claw, weir_for(claw) as weir:
        wait_for(lambda: claw.open == 1, "hello-ok")
        slow, quick = Events(weir), Events(weir)
        sent = 0
        stop = threading.Event()

        def drink():
            while not stop.is_set():
                data = quick.client.sock.recv(1 << 20)
                quick.text = (quick.text + data)[-400_000:]

        thread = threading.Thread(target=drink, daemon=True)
        thread.start()
        while sent < 80:
            claw.event("bulk", {"n": sent, "text": "x" * 200_000})
            sent += 1
            wait_for(lambda: b'"n": %d,' % (sent - 1) in quick.text, "the event at the quick one")
        resident = weir.resident()
        claw.event("bulk", {"n": "last"})
        wait_for(lambda: b'"n": "last"' in quick.text, "the last one")
        assert weir.resident() < resident + (8 << 20)
        tail = b""
        while b"weir.dropped" not in tail:
            tail = tail[-200:] + slow.client.sock.recv(1 << 20)
            if len(tail) < 65536:
                claw.event("more", {})
        stop.set()
        claw.event("end", {})
        thread.join(DEADLINE)
        slow.client.close()
        quick.client.close()


def test_events_end_with_the_gateway_process():
    with double() as claw, weir_for(claw) as weir:
        wait_for(lambda: claw.open == 1, "hello-ok")
        reader = Events(weir)
        weir.process.terminate()
        while data := reader.client.sock.recv(65536):
            reader.text += data
        assert reader.text.endswith(b"0\r\n\r\n")
        reader.client.close()


# --- what passes as it is -------------------------------------------------------------------------


def send(weir, token, path, body):
    return weir.ask(path, method="POST", body=body,
                    headers=f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n")


def test_http_and_websockets_pass():
    import websockets

    async def direct(url):
        async with websockets.connect(url) as ws:
            challenge = json.loads(await ws.recv())
            await ws.send(json.dumps({"type": "req", "id": "1", "method": "connect", "params": {
                "minProtocol": 3, "maxProtocol": 4, "auth": {"token": "demo"}}}))
            hello = json.loads(await ws.recv())
            await ws.send(json.dumps({"type": "req", "id": "2", "method": "echo", "params": {"a": 1}}))
            return challenge["event"], hello["payload"]["type"], json.loads(await ws.recv())["payload"]

    with double() as claw, weir_for(claw) as weir:
        assert weir.ask("/readyz").json() == {"ok": True}
        invoke = b'{"tool":"nothing"}'
        for token, status, body in ((claw.token, 200, invoke), ("wrong", 401, b'{"ok":false}')):
            answer = send(weir, token, "/tools/invoke", invoke)
            assert (answer.status, answer.body) == (status, body)
            answer = send(weir, token, "/v1/chat/completions", b'{"stream":true,"messages":[]}')
            assert answer.status == status and (b'"content":"lo"' in answer.body) == (status == 200)
        assert asyncio.run(direct(f"ws://127.0.0.1:{weir.port}/")) == ("connect.challenge", "hello-ok", {"a": 1})


def test_its_profile_is_of_requests_and_leaves_clients_their_connections(tmp_path):
    """One connection for each gateway carries requests; each client's WebSocket is one of its own."""
    with double() as claw, weir_for(claw, profile="openclaw") as weir:
        upgrade = ("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        clients = [weir.client() for _ in range(3)]
        for client in clients:
            client.send(upgrade)
            assert client.response().status == 101
        assert post(weir, "health").status == weir.ask("/readyz").status == 200
        pools = {pool["name"]: pool for pool in json.loads(weir.admin("/api/v1/pools").text)["pools"]}
        assert pools["openclaw:up"]["total"] == 1 and pools["up"]["active"] == 3
        for client in clients:
            client.close()
        claw.kill()  # and who goes by HTTP is told at once that nobody is there
        assert weir.ask("/readyz").status == 502
    conf = tmp_path / "weir.yaml"
    for pool, most in (({}, 30), ({"max_per_endpoint": 1}, 1)):
        conf.write_text(yaml_of({
            "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
            "upstreams": [{"name": "up", "profile": "openclaw", "protocol": "openclaw", "openclaw": {"token": "T"}, "pool": pool,
                           "endpoints": [{"url": "http://127.0.0.1:1"}]}]}))
        dumped = subprocess.run([str(WEIR), "config", "dump", "-c", str(conf), "--format", "json"], capture_output=True,
                                text=True, check=True)
        upstream = json.loads(dumped.stdout)["upstreams"][0]
        assert upstream["pool"]["max_per_endpoint"] == most
        assert (upstream["openclaw"]["request_timeout"], upstream["pool"]["total_timeout"]) == ("30s", "never")
        assert upstream["pool"]["idle_timeout"] == "4s"  # a gateway closes its own after 5


if REAL:
    def real_behind(real, **route):
        return Weir([real.http_url], routes=[{"upstream": "up", **route}],
                    upstream_options={"protocol": "openclaw", "openclaw": {"token": real.token}})

    def test_the_real_one_for_requests_and_for_its_own_clients():
        """It refuses who comes by a proxy that it does not know. `forwarded: off`: it sees weir alone."""
        real = Real(trustedProxies=["127.0.0.1"]).start()
        try:
            with real_behind(real) as weir:
                assert post(weir, "health").json()["ok"]
                assert post(weir, "chat.send", {}).json()["error"]["code"] == "INVALID_REQUEST"
                assert weir.ask("/readyz").status == 403
            with real_behind(real, forwarded="off") as weir:
                reader, url = Events(weir), f"ws://127.0.0.1:{weir.port}"
                assert post(weir, "health").json()["ok"] and weir.ask("/readyz").status == 200
                assert asyncio.run(connect(url, real.token))["payload"]["type"] == "hello-ok"
                assert asyncio.run(connect(url, "wrong"))["error"]["details"]["code"] == "AUTH_TOKEN_MISMATCH"
                reader.until(b"event: ")
                reader.client.close()
            with Weir([real.http_url], listener={"trusted_proxies": ["127.0.0.1"]},
                      routes=[{"upstream": "up", "forwarded": "append"}],
                      upstream_options={"protocol": "openclaw", "openclaw": {"token": real.token}}) as weir:
                far = [("X-Forwarded-For", "203.0.113.9")]
                said = asyncio.run(connect(f"ws://127.0.0.1:{weir.port}", real.token, headers=far))
                assert said["payload"]["type"] == "hello-ok", said
        finally:
            real.stop()


def test_two_workers_and_two_gateways():
    with double() as one, double() as two, Weir([one.http_url, two.http_url], workers=2, upstream_options={
            "protocol": "openclaw", "openclaw": {"token": "demo"}, "balance": "round_robin"}) as weir:
        for i in range(40):
            assert post(weir, "echo", {"i": i}).json() == {"i": i}
        assert one.requests and two.requests
        assert one.open <= 2 and two.open <= 2


def test_an_endpoint_whose_check_fails_is_asked_nothing():
    """`health: { path: /readyz }`, while its connection is there and would answer."""
    def asked(gateway):
        return sum(method == "echo" for method, _ in gateway.requests)
    health = {"path": "/readyz", "interval": "50ms", "failures": 1, "recovery": "50ms"}
    with double() as one, double() as two, Weir([one.http_url, two.http_url], upstream_options={
            "protocol": "openclaw", "openclaw": {"token": "demo"}, "balance": "round_robin", "health": health}) as weir:
        def healthy():
            return [row["healthy"] for row in json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]]
        for _ in range(4):
            assert post(weir, "echo", {}).status == 200
        assert asked(one) == asked(two) == 2
        one.behave(starting=1000)  # to who comes new, and by HTTP
        wait_for(lambda: healthy() == [False, True], "the verdict")
        for _ in range(8):
            assert post(weir, "echo", {}).status == 200
        assert (asked(one), asked(two), one.open) == (2, 10, 1)
        one.behave(starting=0)
        wait_for(lambda: healthy() == [True, True], "the verdict")
        for _ in range(4):
            assert post(weir, "echo", {}).status == 200
        assert asked(one) == 4


def test_over_tls():
    """A remote one: its requests, its HTTP and its clients, and nobody where it is not known."""
    def behind(front, authority):
        return Weir([f"https://localhost:{front.port}"], upstream_options={
            "protocol": "openclaw", "openclaw": {"token": "demo"}, "tls": {"ca": str(authority.certificate)},
            "pool": {"acquire_timeout": "500ms"}})
    with Authority() as authority, Authority("another") as another, double() as claw, \
            peers.tls_front(authority.sign("localhost"), claw.port) as front:
        with behind(front, authority) as weir:
            assert post(weir, "echo", {"a": 1}).json() == {"a": 1}
            assert weir.ask("/readyz").status == 200
            said = asyncio.run(connect(f"ws://127.0.0.1:{weir.port}", claw.token))
            assert said["payload"]["type"] == "hello-ok"
        before = len(claw.upgrades)
        with behind(front, another) as weir:
            assert post(weir, "echo", {"a": 1}).status == 503
            answer = weir.ask("/readyz")
            assert answer.status == 502 and "tls" in answer.header("proxy-status")
        assert len(claw.upgrades) == before


def test_openclaw_options_need_the_protocol():
    with double() as claw, pytest.raises(AssertionError, match="openclaw needs protocol: openclaw"):
        with Weir([claw.http_url], upstream_options={"openclaw": {"token": "T"}}):
            pass
