# SPDX-License-Identifier: Apache-2.0
"""Keys of the data plane: who is let in, what becomes of the key, how much each client may ask at a time and in a time."""
import hashlib
import json
import subprocess
import threading
import time

import pytest

import peers
from meanwhile import Meanwhile
from openclawpeer import double
from test_accounts import Api, account, post
from weirtest import ROOT, WEIR, Upstream, Weir, free_port, wait_for, yaml_of
from wsraw import WsClient, hold, upstream

option = pytest.mark.option


def digest(key):
    return hashlib.sha256(key.encode()).hexdigest()


def client(name, **more):
    return {"name": name, "sha256": digest(f"key-{name}"), **more}


def bearer(name):
    return f"Authorization: Bearer key-{name}\r\n"


def api_key(name):
    return f"x-api-key: key-{name}\r\n"


def rows(weir):
    return {it["client"]: it for it in json.loads(weir.admin("/api/v1/clients").text)["clients"]}


class Gate:
    """An upstream whose answers wait until they are let go; it knows how many it has been asked at a time."""

    def __init__(self):
        self.free, self.open, self.most, self.lock = threading.Event(), 0, 0, threading.Lock()

    def __call__(self, peer):
        while peer.request() is not None:
            with self.lock:
                self.open += 1
                self.most = max(self.most, self.open)
            assert self.free.wait(20)
            with self.lock:
                self.open -= 1
            peer.ok()


def in_threads(count, what):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(what()), daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return answers, threads


# --- who is let in -------------------------------------------------------------------------------------------------


@option("clients.name")
@option("clients.sha256")
def test_who_has_no_key_is_told_so():
    with Upstream() as up, Weir(up, clients=[client("a"), {"name": "b", "sha256": digest("key-b").upper()}]) as weir:
        for headers in (bearer("a"), api_key("a"), bearer("b"), api_key("b"), "authorization: bEARER   key-a\r\n",
                        "Authorization: Bearer nobody\r\n" + api_key("a"), bearer("a") + "x-api-key: nobody\r\n"):
            assert weir.ask("/", headers).status == 200, headers
        served = up.requests
        for headers, code in {
                "": "key_missing", "Authorization: Basic a2V5LWE6\r\n": "key_missing", "Authorization: Bearer\r\n": "key_missing",
                "x-api-key: \r\n": "key_missing", "Authorization: key-a\r\n": "key_missing",
                "Cookie: x-api-key=key-a\r\n": "key_missing", "X-Api-Key: KEY-A\r\n": "key_wrong",
                "X-Api-Key: key-\r\n": "key_wrong", "X-Api-Key: key-a,key-b\r\n": "key_wrong",
                f"X-Api-Key: {digest('key-a')}\r\n": "key_wrong", "Authorization: Bearer key-a key-b\r\n": "key_wrong",
                f"X-Api-Key: {'k' * 2000}\r\n": "key_wrong"}.items():
            answer = weir.ask("/", headers)
            assert (answer.status, answer.json()["error"]["code"]) == (401, code), headers
            assert answer.json()["error"]["retry_after"] is None and answer.header("retry-after") is None
            assert answer.header("www-authenticate") == "Bearer" and "weir" in answer.header("proxy-status")
        assert up.requests == served
        lines = wait_for(lambda: [it for it in weir.access() if it["status"] == 200 and len(weir.access()) >= served + 12])
        assert [it["client_name"] for it in lines] == ["a", "a", "b", "b", "a", "a", "a"]
        assert not any("client_name" in it for it in weir.access() if it["status"] == 401)


def test_who_has_no_key_does_not_learn_which_routes_there_are():
    routes = [{"match": {"path": "/known"}, "upstream": "up"}]
    with Upstream() as up, Weir(up, routes=routes, clients=[client("a")]) as weir:
        assert [weir.ask(path, bearer("a")).status for path in ("/known", "/other")] == [200, 404]
        assert [weir.ask(path, bearer("b")).status for path in ("/known", "/other")] == [401, 401]


def test_without_clients_everybody_may():
    with Upstream() as up, Weir(up) as weir:
        assert weir.ask("/", bearer("a")).status == 200
        assert b"Authorization: Bearer key-a" in up.bytes  # it is the upstream's affair
        assert "client_name" not in wait_for(weir.access)[0]


def test_a_connection_goes_on_after_a_refusal():
    with Upstream() as up, Weir(up, clients=[client("a")]) as weir, weir.client() as conn:
        for _ in range(3):
            conn.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello")
            assert conn.final().status == 401
            assert conn.get("/", bearer("a")).final().status == 200
        assert up.requests == 3


def test_http2_and_grpc():
    curl = peers.find("curl", "curl")
    with Upstream() as up, Weir(up, clients=[client("a")]) as weir:
        def ask(*more):
            return subprocess.run([curl, "-s", "-i", "--http2-prior-knowledge", "-m", "20", *more,
                                   f"http://127.0.0.1:{weir.port}/a.B/C"], capture_output=True, text=True, check=True).stdout
        assert "HTTP/2 401" in ask() and "HTTP/2 401" in ask("-H", "x-api-key: key-b")
        assert "HTTP/2 200" in ask("-H", "x-api-key: key-a")
        told = ask("-H", "content-type: application/grpc", "-H", "te: trailers", "--data-binary", "@/dev/null")
        assert "HTTP/2 200" in told and "grpc-status: 16" in told
        assert up.requests == 1


# --- what becomes of the key ---------------------------------------------------------------------------------------


def test_the_key_goes_no_further():
    with Upstream() as up, Weir(up, clients=[client("a")]) as weir:
        answer = weir.ask("/", bearer("a") + api_key("a") + "X-Other: o\r\n")
        assert answer.status == 200 and b"X-Other: o" in up.bytes
        assert b"key-a" not in up.bytes and b"uthorization" not in up.bytes and b"api-key" not in up.bytes
        # What is no key of ours is the upstream's, whichever of the two it is in.
        assert weir.ask("/", api_key("a") + "Authorization: Bearer theirs\r\n").status == 200
        assert weir.ask("/", bearer("a") + "X-API-Key: theirs-too\r\n").status == 200
        assert b"Authorization: Bearer theirs" in up.bytes and b"X-API-Key: theirs-too" in up.bytes
        # A body that came later, so that the head is sent from its copy.
        with weir.client() as conn:
            conn.send(f"POST / HTTP/1.1\r\nHost: t\r\n{bearer('a')}Content-Length: 5\r\n\r\n")
            wait_for(lambda: weir.metric("weir_pool_connections", pool="listener:web", state="active") == 1, "its head")
            conn.send(b"hello")
            assert conn.final().status == 200
        assert b"key-a" not in up.bytes
        # Neither a log nor a page shows it, nor what it is known by.
        everything = weir.text() + weir.access_log.read_text() + weir.admin("/metrics").text
        for page in ("clients", "config", "keys", "pools", "connections", "listeners"):
            everything += weir.admin(f"/api/v1/{page}").text
        assert "key-a" not in everything and digest("key-a") not in everything.lower()


def test_with_accounts_their_credentials_are_set():
    with Api() as api, Weir(api.up, clients=[client("a")], upstream_options={"accounts": [account("a1")]}) as weir:
        assert post(weir).status == 401
        assert post(weir, headers=api_key("a") + "Authorization: Bearer theirs\r\n").json() == {"served_by": "k-a1"}
        assert b"key-a" not in api.up.bytes and b"theirs" not in api.up.bytes


def test_what_a_route_sets_stays():
    routes = [{"match": {"path": "/"}, "upstream": "up", "request_headers": {"set": {"Authorization": "Bearer ours"}}}]
    with Upstream() as up, Weir(up, clients=[client("a")], routes=routes) as weir:
        for headers in (bearer("a"), api_key("a"), bearer("a") + api_key("a")):
            assert weir.ask("/", headers).status == 200
        assert up.bytes.count(b"Authorization: Bearer ours\r\n") == 3 and b"key-a" not in up.bytes


def test_a_retry_does_not_show_it_either():
    def once_stale(peer):
        if peer.request() is not None:
            peer.ok()
            peer.head()  # the next one finds it closed
    with Upstream(once_stale) as up, Weir(up, clients=[client("a")], workers=1) as weir, weir.client() as conn:
        for _ in range(4):
            assert conn.get("/", bearer("a")).final().status == 200
        assert up.accepted == 4 and b"key-a" not in up.bytes


# --- at a time -----------------------------------------------------------------------------------------------------


@option("clients.concurrent")
@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_at_a_time(workers):
    gate = Gate()
    with Upstream(gate) as up, Weir(up, workers=workers, clients=[client("a", concurrent=2), client("b")]) as weir:
        answers, threads = in_threads(8, lambda: weir.ask("/", bearer("a")).status)
        wait_for(lambda: gate.open == 2, "two requests")
        others, more = in_threads(3, lambda: weir.ask("/", bearer("b")).status)  # of another client
        wait_for(lambda: gate.open == 5, "three more")
        gate.free.set()
        for thread in threads + more:
            thread.join()
        assert answers == [200] * 8 and others == [200] * 3 and gate.most == 5


def test_who_waits_keeps_the_limit():
    gate = Gate()
    with Upstream(gate) as up, Weir(up, workers=2, clients=[client("a", concurrent=1)]) as weir:
        gate.free.set()
        answers, threads = in_threads(12, lambda: [weir.ask("/", bearer("a")).status for _ in range(4)])
        for thread in threads:
            thread.join()
        assert sum(answers, []) == [200] * 48 and gate.most == 1


def test_streams_of_one_connection_wait_alike():
    gate = Gate()
    with Upstream(gate) as up, Weir(up, workers=1, clients=[client("a", concurrent=2, rate="unlimited")]) as weir:
        done, threads = in_threads(1, lambda: subprocess.run(
            [peers.find("h2load", "nghttp2-client"), "-n", "300", "-c", "2", "-m", "30", "-H", "x-api-key: key-a",
             f"http://127.0.0.1:{weir.port}/"], capture_output=True, text=True, check=True).stdout)
        wait_for(lambda: rows(weir)["a"]["waiting"] == 58 and gate.open == 2, "all but two in line")
        assert rows(weir)["a"]["in_flight"] == 2
        gate.free.set()
        threads[0].join()
        assert "300 succeeded, 0 failed" in done[0] and gate.most <= 2


def test_requests_to_openclaw_wait_alike():
    with double() as claw, Weir([claw.http_url], workers=1, clients=[client("a", concurrent=1)], upstream_options={
            "protocol": "openclaw", "openclaw": {"token": "demo"}}) as weir:
        first, second = weir.client(), weir.client()
        for conn, method in ((first, "hold"), (second, "echo")):
            conn.send(f"POST /openclaw/up/{method} HTTP/1.1\r\nHost: t\r\n{bearer('a')}Content-Length: 7\r\n\r\n" '{"i":1}')
            wait_for(lambda: claw.requests, "the first one")
        wait_for(lambda: rows(weir)["a"]["waiting"] == 1, "the second one")
        assert len(claw.requests) == 1
        claw.behave(release=True)
        assert first.final("POST").json() == {"i": 1} and second.final("POST").json() == {"i": 1}
        assert weir.ask("/openclaw/up/echo", "Content-Length: 2\r\n", "POST", body=b"{}").status == 401
        first.close(), second.close()


def test_who_waits_too_long_is_refused():
    gate = Gate()
    with Upstream(gate) as up, Weir(up, upstream_pool={"acquire_timeout": "100ms"},
                                    clients=[client("a", concurrent=1)]) as weir:
        first, threads = in_threads(1, lambda: weir.ask("/", bearer("a")).status)
        wait_for(lambda: gate.open == 1, "a request")
        began = time.monotonic()
        answer = weir.ask("/", bearer("a"))
        assert time.monotonic() - began >= 0.09
        assert (answer.status, answer.header("retry-after"), answer.json()["error"]["code"]) == (429, "1", "client_busy")
        assert wait_for(lambda: [it for it in weir.access() if it["status"] == 429])[0]["client_name"] == "a"
        # A body that came meanwhile goes with its request.
        answers, more = in_threads(1, lambda: weir.ask("/", bearer("a") + "Content-Length: 50000\r\n", "POST",
                                                       body=b"y" * 50000).status)
        gate.free.set()
        for thread in threads + more:
            thread.join()
        assert first == [200] and answers == [200] and b"y" * 50000 in up.bytes


def test_only_so_many_wait():
    gate = Gate()
    with Upstream(gate) as up, Weir(up, upstream_pool={"waiting_max": 2}, clients=[client("a", concurrent=1)]) as weir:
        answers, threads = in_threads(1, lambda: weir.ask("/", bearer("a")).status)
        wait_for(lambda: gate.open == 1, "a request")
        waiting = [weir.client().get("/", bearer("a")) for _ in range(2)]
        wait_for(lambda: weir.ask("/", bearer("a")).status == 429, "a queue that is full")
        gate.free.set()
        assert [it.final().status for it in waiting] == [200, 200]
        for thread in threads:
            thread.join()
        for it in waiting:
            it.close()
        assert answers == [200]


def test_a_place_ends_with_its_client():
    gate = Gate()
    with Upstream(gate) as up, Weir(up, upstream_pool={"acquire_timeout": "10s"},
                                    clients=[client("a", concurrent=1)]) as weir:
        for _ in range(3):
            with weir.client() as conn, weir.client() as other:  # one has the place, one waits for it
                conn.get("/", bearer("a"))
                wait_for(lambda: gate.open == 1, "a request")
                other.get("/", bearer("a"))
                wait_for(lambda: rows(weir)["a"]["waiting"] == 1, "the second one in line")
                conn.reset()
                gate.free.set()
                assert other.final().status == 200
            with weir.client() as conn:  # leaves while it waits
                gate.free.clear()
                conn.get("/", bearer("a"))
                wait_for(lambda: gate.open == 1, "a request")
                other = weir.client().get("/", bearer("a"))
                wait_for(lambda: rows(weir)["a"]["waiting"] == 1, "the second one in line")
                other.reset()
                wait_for(lambda: rows(weir)["a"]["waiting"] == 0, "that it left")
                gate.free.set()
                assert conn.final().status == 200
            gate.free.clear()
            wait_for(lambda: gate.open == 0, "nothing open")
        gate.free.set()
        assert weir.ask("/", bearer("a")).status == 200


def test_a_websocket_has_a_place():
    with upstream(hold) as up, Weir(up, upstream_pool={"acquire_timeout": "100ms"},
                                    clients=[client("a", concurrent=1)]) as weir:
        def status_of(headers):
            with WsClient(weir.port, headers=headers, opens=False) as ws:
                return ws.answer.status
        assert status_of("") == 401
        with WsClient(weir.port, headers=bearer("a")):
            assert b"key-a" not in up.bytes
            assert status_of(bearer("a")) == 429
        line = wait_for(lambda: [it for it in weir.access() if it["status"] == 101])[0]
        assert line["client_name"] == "a"
        assert status_of(bearer("a")) == 101


# --- in a time -----------------------------------------------------------------------------------------------------


class Turns(Gate):
    """One that also knows who asked, in their order: the last word of each path."""

    def __init__(self):
        super().__init__()
        self.order = []

    def __call__(self, peer):
        while (request := peer.request()) is not None:
            with self.lock:
                self.order.append(request[0].split(b" ")[1].decode().strip("/"))
            assert self.free.wait(20)
            peer.ok()


def one_after_the_other(weir, names):
    """Asks as each of them, the next one when the one before waits."""
    threads = []
    for waiting, name in enumerate(names):
        threads.append(in_threads(1, lambda name=name: weir.ask(f"/{name}", bearer(name)).status))
        wait_for(lambda: weir.metric("weir_accounts_waiting", upstream="up") == waiting, f"{name} to wait")
    return threads


@option("clients.priority")
def test_who_waits_for_an_account_is_served_by_priority_and_then_in_order():
    turns = Turns()
    names = ["first", "low", "common", "high", "mean", "last"]
    ranks = {"low": "low", "mean": "low", "high": "high", "last": "high"}
    clients = [client(name, **({"priority": ranks[name]} if name in ranks else {})) for name in names]
    with Upstream(turns) as up, Weir(up, clients=clients, upstream_options={
            "accounts": [account("a1", concurrent=1)]}) as weir:
        assert {it["priority"] for it in rows(weir).values()} == {"low", "normal", "high"}
        asked = one_after_the_other(weir, ["first", "low", "common", "mean", "high", "last"])
        turns.free.set()
        for answers, threads in asked:
            threads[0].join(20)
            assert answers == [200]
        assert turns.order == ["first", "high", "last", "common", "low", "mean"]


def served_beside(weir, name, crowd):
    """How many of the crowd's requests are served while one of that client's waits and is served: the crowd, who are one
    client or several, asks again and again."""
    served, over = [], threading.Event()

    def work(who):
        with weir.client() as conn:
            while not over.is_set():
                assert conn.get("/", bearer(who)).final().status == 200
                served.append(who)

    threads = [threading.Thread(target=work, args=(who,), daemon=True) for who in crowd]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(served) > 50, "the crowd to be busy")
    counts = []
    for _ in range(20):
        before = len(served)
        assert weir.ask("/", bearer(name)).status == 200
        counts.append(len(served) - before)
    over.set()
    for thread in threads:
        thread.join(20)
    return sorted(counts)[len(counts) // 2]


@pytest.mark.parametrize("full", ["account", "client"])
def test_who_comes_later_does_not_overtake_whatever_worker_he_is_on(full):
    accounts = [account("a1", concurrent=1 if full == "account" else 0)]
    clients = [client(name, concurrent=1 if full == "client" else 0, rate="unlimited") for name in "ab"]
    with Upstream() as up, Weir(up, workers=2, clients=clients, upstream_options={"accounts": accounts}) as weir:
        beside = served_beside(weir, "a", ["a"] * 4 if full == "client" else ["b"] * 4)
        assert 2 <= beside < 25  # four come before it, and may come again on their own worker



@option("clients.rate")
def test_so_many_in_a_time():
    with Upstream() as up, Weir(up, workers=2, clients=[client("a", rate="3/h"), client("b", rate="unlimited"),
                                                        client("c", rate="20/s")]) as weir:
        assert [weir.ask("/", bearer("a")).status for _ in range(5)] == [200, 200, 200, 429, 429]
        answer = weir.ask("/", api_key("a"))
        assert answer.json()["error"]["code"] == "client_rate"
        assert 1190 <= int(answer.header("retry-after")) <= 1200
        assert answer.json()["error"]["retry_after"] == int(answer.header("retry-after"))
        assert up.requests == 3
        with weir.client() as conn:
            assert {conn.get("/", bearer("b")).final().status for _ in range(300)} == {200}
        # Twenty at once, and from then on as they become due.
        began, served = time.monotonic(), 0
        with weir.client() as conn:
            while served < 20 + 15:
                served += conn.get("/", bearer("c")).final().status == 200
                passed = time.monotonic() - began
                assert served <= 20 + 20 * passed + 1 and passed < 20, "as many as became due, and no fewer"


def test_who_is_refused_by_rate_has_no_place():
    with Upstream() as up, Weir(up, clients=[client("a", rate="2/h", concurrent=1)]) as weir:
        assert [weir.ask("/", bearer("a")).status for _ in range(40)] == [200, 200] + [429] * 38
        assert up.requests == 2


# --- conversations -------------------------------------------------------------------------------------------------


def test_conversations_are_kept_apart_by_client():
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {"sources": ["session_header"]}}]
    accounts = [account(f"a{i}") for i in range(8)]
    with Api() as api, Weir(api.up, routes=routes, clients=[client(name) for name in "abcdefgh"],
                            upstream_options={"accounts": accounts}) as weir:
        homes = {}
        for name in "abcdefgh":
            first = post(weir, headers=bearer(name) + "X-Session-Id: s\r\n")
            assert first.header("x-weir-session") == "new"  # nobody else's
            homes[name] = first.json()["served_by"]
            # However it shows its key, and whatever else it shows.
            for headers in (api_key(name), bearer(name) + "x-api-key: theirs\r\n"):
                again = post(weir, headers=headers + "X-Session-Id: s\r\n")
                assert again.header("x-weir-session") == "hit" and again.json()["served_by"] == homes[name]
        assert len(set(homes.values())) > 1


# --- what is shown of them -----------------------------------------------------------------------------------------


def test_pages_and_metrics():
    gate = Gate()
    clients = [client("a", concurrent=1), client("b", rate="2/m"), client("c", rate="unlimited", concurrent=0)]
    with Upstream(gate) as up, Weir(up, workers=2, upstream_pool={"waiting_max": 1}, clients=clients) as weir:
        assert rows(weir)["b"] == {
            "client": "b", "in_flight": 0, "waiting": 0, "concurrent": 10, "share": 10, "limits": "own", "rate": 2, "rate_seconds": 60,
            "priority": "normal", "requests": 0,
            "refused_concurrent": 0, "refused_rate": 0, "input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0,
            "cache_write_tokens": 0}
        assert rows(weir)["c"]["rate"] == rows(weir)["c"]["concurrent"] == 0
        answers, threads = in_threads(2, lambda: weir.ask("/", bearer("a")).status)
        wait_for(lambda: rows(weir)["a"]["waiting"] == 1, "one that waits")
        assert weir.metric("weir_client_in_flight", client="a") == weir.metric("weir_client_waiting", client="a") == 1
        assert weir.ask("/", bearer("a")).status == 429
        gate.free.set()
        for thread in threads:
            thread.join()
        assert [weir.ask("/", bearer("b")).status for _ in range(3)] == [200, 200, 429] and answers == [200, 200]
        assert [weir.ask("/", headers).status for headers in ("", api_key("z"), bearer("z"))] == [401] * 3
        wait_for(lambda: rows(weir)["a"]["in_flight"] == 0, "nothing open")
        for name, requests, concurrent, rate in (("a", 2, 1, 0), ("b", 2, 0, 1), ("c", 0, 0, 0)):
            row = rows(weir)[name]
            assert (row["requests"], row["refused_concurrent"], row["refused_rate"]) == (requests, concurrent, rate)
            assert weir.metric("weir_client_requests_total", client=name) == requests
            assert weir.metric("weir_client_refused_total", client=name, reason="concurrent") == concurrent
            assert weir.metric("weir_client_refused_total", client=name, reason="rate") == rate
        assert weir.metric("weir_client_strangers_total", reason="missing") == 1
        assert weir.metric("weir_client_strangers_total", reason="wrong") == 2
        assert rows(weir)["a"]["waiting"] == weir.metric("weir_client_in_flight") == 0


@pytest.mark.parametrize("accounts", [[], [account("a1")]])
def test_tokens_of_clients(accounts):
    usage = json.dumps({"usage": {"input_tokens": 25, "output_tokens": 4, "cache_read_input_tokens": 300,
                                  "cache_creation_input_tokens": 7}}).encode()
    with Api() as api, Weir(api.up, clients=[client("a"), client("b")], upstream_options={"accounts": accounts}) as weir:
        for key in ("k-a1", ""):
            api.says(key, 200, "", usage)
        for _ in range(2):
            assert post(weir, headers=bearer("a")).body == usage
        row = wait_for(lambda: rows(weir)["a"]["input_tokens"] == 50 and rows(weir)["a"], "what it took")
        assert (row["output_tokens"], row["cache_read_tokens"], row["cache_write_tokens"]) == (8, 600, 14)
        for kind, number in {"input": 50, "output": 8, "cache_read": 600, "cache_write": 14}.items():
            assert weir.metric(f"weir_client_{kind}_tokens_total", client="a") == number
            assert weir.metric(f"weir_client_{kind}_tokens_total", client="b") == 0
            assert weir.metric(f"weir_account_{kind}_tokens_total") == (number if accounts else 0)


def test_without_clients_there_are_none():
    with Upstream() as up, Weir(up) as weir:
        assert rows(weir) == {} and weir.ask("/").status == 200
        assert weir.metric("weir_client_strangers_total") == 0


def test_the_example():
    ports = {"port": free_port(), "admin": free_port()}
    text = (ROOT / "examples/relay-clients.yaml").read_text()
    with Api() as api:
        for old, new in {"https://api.anthropic.com": api.up.url, "127.0.0.1:8080": f"127.0.0.1:{ports['port']}",
                         "127.0.0.1:9901": f"127.0.0.1:{ports['admin']}"}.items():
            text = text.replace(old, new)
        env = {"A1_KEY": "k1", "TEAM_A_SHA256": digest("key-a"), "TEAM_B_SHA256": digest("key-b")}
        with Weir(config=text, ports=ports, env=env) as weir:
            said = json.dumps({"messages": [{"role": "user", "content": "hi"}]}).encode()
            ask = f"Content-Length: {len(said)}\r\n"
            for headers, status in {bearer("a"): 200, api_key("b"): 200, bearer("c"): 401, "": 401}.items():
                answer = weir.ask("/v1/messages", ask + headers, "POST", body=said)
                assert answer.status == status and (status == 401 or answer.header("x-weir-session") == "new")
            assert set(api.asked) == {"k1"} and rows(weir)["team-b"]["rate_seconds"] == 3600


# --- what may not be written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("clients, word", [
    ([{"name": "a", "sha256": "my-secret-key"}], "64 hexadecimal digits"),
    ([{"name": "a", "sha256": digest("my-secret-key")[:63] + "g"}], "64 hexadecimal digits"),
    ([{"name": "a", "sha256": digest("my-secret-key") + "0"}], "64 hexadecimal digits"),
    ([{"name": "a", "sha256": digest("")}], "no key at all"),
    ([{"name": "a"}], "sha256"),
    ([{"sha256": digest("my-secret-key")}], "name"),
    ([client("a"), {"name": "a", "sha256": digest("other")}], "a is taken"),
    ([client("a"), {"name": "b", "sha256": digest("key-a")}], "has the key of client a"),
    ([client("a", rate="10")], "is not a rate"), ([client("a", rate="10/d")], "is not a rate"),
    ([client("a", rate="-1/s")], "is not a rate"), ([client("a", rate="0/s")], "is outside 1"),
    ([client("a", rate="1000001/s")], "is outside 1"), ([client("a", concurrent=-1)], "not a number"),
    ([client("a", priority="urgent")], "low, normal"), ([client("a", key="k")], "unknown")])
def test_configurations_that_are_refused(tmp_path, clients, word):
    path = tmp_path / "weir.yaml"
    path.write_text(yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"match": {}, "upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}]}], "clients": clients}))
    done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode == 1 and word in text and "my-secret-key" not in text


# --- floods --------------------------------------------------------------------------------------------------------


def test_a_flood_of_keys_that_are_nobodys():
    """From many connections at once, each key another one, some with bodies: a client goes on, and nothing is kept."""
    def flood(number):
        with weir.client() as conn:
            for i in range(150):
                batch = b"".join(b"GET / HTTP/1.1\r\nHost: t\r\nx-api-key: %032d%s\r\nAuthorization: Bearer %032d\r\n\r\n" % (
                    number * 1000000 + i * 10 + k, b"k" * (1000 * (k % 3)), k) for k in range(10))
                conn.send(batch)
                for _ in range(10):
                    assert conn.final().status == 401
            conn.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\n")
            assert conn.final().status == 401
    with Upstream() as up, Weir(up, clients=[client(f"c{i}", rate="unlimited") for i in range(1000)]) as weir:
        flood(0)
        with Meanwhile(weir, lambda: weir.ask("/", bearer("c999")).status == 200) as meanwhile:
            _, threads = in_threads(6, lambda: flood(1))
            for thread in threads:
                thread.join()
        assert up.requests == meanwhile.asked + 1
        assert weir.ask("/", bearer("c0")).status == 200


def test_a_flood_of_such_keys_by_http2():
    with Upstream() as up, Weir(up, clients=[client("a", rate="unlimited")]) as weir:
        with Meanwhile(weir, lambda: weir.ask("/", bearer("a")).status == 200) as meanwhile:
            for _ in range(3):
                done = subprocess.run([peers.find("h2load", "nghttp2-client"), "-n", "5000", "-c", "10", "-m", "100", "-H",
                                       f"authorization: Bearer {'z' * 3000}", f"http://127.0.0.1:{weir.port}/"],
                                      capture_output=True, text=True, check=True)
                assert "0 2xx, 0 3xx, 5000 4xx, 0 5xx" in done.stdout, done.stdout
        assert up.requests == meanwhile.asked + 1
        assert weir.metric("weir_client_strangers_total", reason="wrong") == 15000


def test_a_flood_of_one_client_is_not_the_others_affair():
    """More requests than it may have, from hundreds of connections; half of them leave without an answer."""
    gate = Gate()
    with Upstream(gate) as up, Weir(up, upstream_pool={"waiting_max": 50, "acquire_timeout": "200ms"},
                                    clients=[client("bad", concurrent=3, rate="unlimited"), client("good")]) as weir:
        gate.free.set()
        with Meanwhile(weir, lambda: weir.ask("/", bearer("good")).status == 200):
            for _ in range(3):
                gate.free.clear()
                conns = [weir.client().get("/", bearer("bad")) for _ in range(200)]
                wait_for(lambda: weir.ask("/", bearer("bad")).status == 429, "a queue that is full")
                for conn in conns[::2]:
                    conn.reset()
                gate.free.set()
                assert {conn.final().status for conn in conns[1::2]} <= {200, 429}
                for conn in conns[1::2]:
                    conn.close()
        assert weir.ask("/", bearer("bad")).status == 200
