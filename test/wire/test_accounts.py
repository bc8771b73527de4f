# SPDX-License-Identifier: Apache-2.0
"""Accounts of an upstream: whose credentials a request bears, which account it goes as, what an answer does to that
account, and what a client hears when there is none left. The upstream answers as the Anthropic and OpenAI APIs do."""
import collections
import datetime
import json
import threading
import time

import pytest

from test_proxies import microsocks
from weirtest import Upstream, Weir, free_port, wait_for
from wsraw import WsClient, hold, upstream

option = pytest.mark.option


class Api:
    """An AI API: knows accounts by their keys, counts what each was asked, and answers as it was told to."""

    def __init__(self):
        self.asked = collections.Counter()
        self.heads, self.bodies = [], []
        self.answers = {}  # key -> list of (status, headers, body), the last of which stays
        self.gate = None  # an event that answers wait for
        self.lock = threading.Lock()
        self.up = Upstream(self.script)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.up.stop()

    def script(self, peer):
        while (request := peer.request()) is not None:
            head, body = request
            fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if line)
            fields = {name.lower(): value for name, value in fields.items()}
            key = fields.get("x-api-key") or fields.get("authorization", "").removeprefix("Bearer ")
            with self.lock:
                self.asked[key] += 1
                self.heads.append(fields)
                self.bodies.append(body)
                answers = self.answers.get(key, [(200, "", b"")])
                status, headers, text = answers.pop(0) if len(answers) > 1 else answers[0]
            if self.gate is not None:
                assert self.gate.wait(20)
            text = text or json.dumps({"served_by": key}).encode()
            peer.send(f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(text)}\r\n{headers}\r\n".encode() + text)

    def says(self, key, status, headers="", body=b""):
        self.answers[key] = [(status, headers, body)]

    def says_once(self, key, *answers):
        self.answers[key] = [(status, headers, b"") for status, headers in answers] + [(200, "", b"")]


def account(name, **more):
    return {"name": name, "headers": {"x-api-key": f"k-{name}"}, **more}


def relay(api, *accounts, upstream=None, **more):
    return Weir(api.up, upstream_options={"accounts": list(accounts), **(upstream or {})}, **more)


def post(weir, body=None, headers="", **fields):
    text = body if body is not None else json.dumps({"model": "claude-opus-4-1", "messages": [
        {"role": "user", "content": "hi"}], **fields}).encode()
    return weir.ask("/v1/messages", f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n{headers}", "POST",
                    body=text)


def row(weir, name):
    rows = json.loads(weir.admin("/api/v1/accounts").text)["accounts"]
    return next(it for it in rows if it["account"] == name)


def in_seconds(seconds):
    when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


# --- credentials ---------------------------------------------------------------------------------------------------


@option("upstreams.accounts.name")
@option("upstreams.accounts.headers")
def test_credentials_are_the_accounts():
    with Api() as api, Weir(api.up, env={"SECRET": "s3cret"}, upstream_options={"accounts": [
            {"name": "a1", "headers": {"x-api-key": "${SECRET}", "X-Beta": "b1"}}]}) as weir:
        answer = post(weir, headers="Authorization: Bearer mine\r\nX-API-Key: mine\r\nx-beta: mine\r\nX-Other: o\r\n")
        assert answer.status == 200 and answer.json() == {"served_by": "s3cret"}
        assert api.heads[0]["x-beta"] == "b1" and api.heads[0]["x-other"] == "o"
        assert b"mine" not in api.up.bytes
        # Neither a log nor a page shows it.
        assert row(weir, "a1")["state"] == "ready"
        everything = weir.text() + weir.access_log.read_text()
        for page in ("accounts", "config", "keys", "pools", "connections"):
            everything += weir.admin(f"/api/v1/{page}").text
        everything += weir.admin("/metrics").text
        assert "s3cret" not in everything
        assert wait_for(weir.access)[0]["account"] == "a1"


def test_forwarding_fields_stay_off():
    with Api() as api, relay(api, account("a1")) as weir:
        assert post(weir, headers="X-Forwarded-For: 192.0.2.1\r\n").status == 200
        assert not {"via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"} & set(api.heads[0])
    routes = [{"match": {"path": "/"}, "upstream": "up", "forwarded": "replace"}]
    with Api() as api, relay(api, account("a1"), routes=routes) as weir:
        assert post(weir).status == 200
        assert api.heads[0]["via"] == "1.1 weir"


def test_connections_are_of_one_account():
    with Api() as api, relay(api, account("a1"), account("a2", priority=60), workers=1) as weir:
        api.says_once("k-a1", (503, ""))
        for _ in range(4):
            assert post(weir).status == 200
        assert api.up.accepted == 2
        # What each connection carried is one account's.
        keys = json.loads(weir.admin("/api/v1/keys").text)["keys"]
        assert sorted(it["key"].split("//")[1].split("@")[0] for it in keys if it["pool"] == "up") == ["a1", "a2"]


@option("upstreams.accounts.proxy")
def test_an_account_has_its_proxy():
    with Api() as api, microsocks("u", "p1") as proxy:
        url, name = f"socks5://u:p1@127.0.0.1:{proxy.port}", f"socks5://127.0.0.1:{proxy.port}"
        with relay(api, account("a1", proxy=url), account("a2", priority=60)) as weir:
            assert post(weir).json() == {"served_by": "k-a1"}
            assert weir.metric("weir_proxy_connections", proxy=name) == 1
            assert weir.metric("weir_proxy_dials_total", proxy=name, result="ok") == 1
            assert row(weir, "a1")["proxy"] == name and row(weir, "a2")["proxy"] == ""
            api.says_once("k-a1", (503, ""))
            assert post(weir).json() == {"served_by": "k-a2"}
            assert weir.metric("weir_proxy_dials_total", proxy=name, result="ok") == 1


def test_a_broken_proxy_is_never_gone_around():
    dead = free_port()
    with Api() as api, relay(api, account("a1", proxy=f"socks5://u:p@127.0.0.1:{dead}"), account("a2", priority=60)) as weir:
        # Nothing was sent: another account is as good.
        assert post(weir).json() == {"served_by": "k-a2"}
        assert api.asked == {"k-a2": 1}
    with Api() as api, relay(api, account("a1", proxy=f"socks5://u:p@127.0.0.1:{dead}")) as weir:
        assert post(weir).status in (502, 503)
        assert not api.asked


# --- which account -------------------------------------------------------------------------------------------------


@option("upstreams.accounts.priority")
def test_the_lowest_priority_is_asked():
    with Api() as api, relay(api, account("a1", priority=2), account("a2", priority=1)) as weir:
        for _ in range(6):
            assert post(weir).json() == {"served_by": "k-a2"}


@option("upstreams.accounts.weight")
def test_weights():
    with Api() as api, relay(api, account("a1", weight=0), account("a2"), account("a3")) as weir:
        for _ in range(40):
            assert post(weir).status == 200
        assert api.asked["k-a1"] == 0 and api.asked["k-a2"] > 5 and api.asked["k-a3"] > 5
        assert row(weir, "a1")["state"] == "drained"


@option("upstreams.accounts.models")
def test_models():
    with Api() as api, relay(api, account("a1", models=["claude-opus-*"]), account("a2", models=["claude-haiku*"])) as weir:
        for _ in range(5):
            assert post(weir, model="claude-opus-4-1").json() == {"served_by": "k-a1"}
            assert post(weir, model="claude-haiku-3").json() == {"served_by": "k-a2"}
        answer = post(weir, model="gpt-4o")
        assert answer.status == 404 and answer.json()["error"]["code"] == "no_account"
        assert weir.ask("/v1/models").status == 200
        # It is read whatever the shape of the body.
        body = json.dumps({"messages": [{"role": "user", "content": "x" * 300000}], "model": "claude-haiku-3"}).encode()
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 9999]), body[i:i + 9999]) for i in range(0, len(body), 9999))
        assert post(weir, body).json() == {"served_by": "k-a2"}
        answer = weir.ask("/", "Transfer-Encoding: chunked\r\n", "POST", body=chunked + b"0\r\n\r\n")
        assert answer.json() == {"served_by": "k-a2"}
        assert api.bodies[-2] == body


@option("upstreams.accounts.concurrent")
def test_concurrency_queues_and_then_refuses():
    with Api() as api, relay(api, account("a1", concurrent=2), account("a2", concurrent=1),
                             upstream_pool={"waiting_max": 1, "acquire_timeout": "20s"}) as weir:
        api.gate = threading.Event()
        results = []
        threads = [threading.Thread(target=lambda: results.append(post(weir))) for _ in range(3)]
        for number, thread in enumerate(threads):  # one by one: who waits for a dial is counted by waiting_max as well
            thread.start()
            wait_for(lambda: sum(api.asked.values()) > number, "a request more")
        assert api.asked == {"k-a1": 2, "k-a2": 1}
        assert row(weir, "a1")["in_flight"] == 2 and row(weir, "a1")["state"] == "full"
        assert weir.metric("weir_account_in_flight", account="a1") == 2
        threads.append(threading.Thread(target=lambda: results.append(post(weir))))
        threads[-1].start()
        wait_for(lambda: weir.metric("weir_accounts_waiting", upstream="up") == 1, "one in line")
        refused = post(weir)
        assert refused.status == 429 and refused.json()["error"]["code"] == "accounts_full"
        assert int(refused.header("retry-after")) >= 1
        api.gate.set()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in results] == [200] * 4
        assert row(weir, "a1")["in_flight"] == 0 and row(weir, "a2")["in_flight"] == 0


@option("upstreams.accounts.max_connections")
@pytest.mark.parametrize("workers", [1, 4])
def test_an_account_has_so_many_connections(workers):
    with Api() as api, relay(api, account("a1", max_connections=2), account("a2"), workers=workers) as weir:
        api.gate = threading.Event()
        threads = [threading.Thread(target=post, args=(weir,)) for _ in range(12)]
        for thread in threads:
            thread.start()
        wait_for(lambda: sum(api.asked.values()) == 5, "five that are served")
        wait_for(lambda: weir.metric("weir_account_in_flight") == 12, "all that are there")
        assert api.asked == {"k-a1": 2, "k-a2": 3} and api.up.accepted == 5
        api.gate.set()
        for thread in threads:
            thread.join()
        assert sum(api.asked.values()) == 12 and api.up.accepted == 5


def test_who_waits_in_line_does_not_for_ever():
    with Api() as api, relay(api, account("a1", concurrent=1), upstream_pool={"acquire_timeout": "300ms"}) as weir:
        api.gate = threading.Event()
        first = threading.Thread(target=post, args=(weir,))
        first.start()
        wait_for(lambda: api.asked["k-a1"] == 1)
        refused = post(weir)
        assert refused.status == 429 and refused.json()["error"]["code"] == "accounts_full"
        # Who leaves the line leaves nothing behind.
        with weir.client() as client:
            client.get("/")
            wait_for(lambda: weir.metric("weir_accounts_waiting", upstream="up") == 1)
        wait_for(lambda: weir.metric("weir_accounts_waiting", upstream="up") == 0)
        api.gate.set()
        first.join()
        assert post(weir).status == 200


def test_a_lease_ends_with_its_client():
    with Api() as api, relay(api, account("a1", concurrent=1)) as weir:
        api.gate = threading.Event()
        with weir.client() as client:
            client.get("/")
            wait_for(lambda: api.asked["k-a1"] == 1)
        wait_for(lambda: row(weir, "a1")["in_flight"] == 0)
        api.gate.set()
        assert post(weir).status == 200


# --- cooldowns -----------------------------------------------------------------------------------------------------


def test_429_until_its_reset():
    limits = (f"anthropic-ratelimit-requests-remaining: 0\r\nanthropic-ratelimit-requests-reset: {in_seconds(4)}\r\n"
              "anthropic-ratelimit-tokens-remaining: 5\r\n"
              f"anthropic-ratelimit-tokens-reset: {in_seconds(3000)}\r\n")
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says_once("k-a1", (429, limits))
        assert post(weir).json() == {"served_by": "k-a2"}
        assert api.asked == {"k-a1": 1, "k-a2": 1}
        it = row(weir, "a1")
        assert it["state"] == "cooling" and it["reason"] == "rate_limit" and 1 < it["cooldown_seconds"] <= 4
        assert it["given_up"] == 1
        assert weir.metric("weir_account_cooldowns_total", account="a1", reason="rate_limit") == 1
        assert post(weir).json() == {"served_by": "k-a2"}
        assert api.asked["k-a1"] == 1
        wait_for(lambda: row(weir, "a1")["state"] == "ready", "the reset")
        assert post(weir).json() == {"served_by": "k-a1"}
        log = wait_for(lambda: len(weir.access()) == 3 and weir.access())
        assert sorted((line["account"], line["retries"]) for line in log) == [("a1", 0), ("a2", 0), ("a2", 1)]


def test_429_of_openai_and_every_account_cooling():
    with Api() as api, relay(api, account("a1"), account("a2")) as weir:
        api.says("k-a1", 429, "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 6m0s\r\n")
        api.says("k-a2", 429, "Retry-After: 40\r\n")
        answer = post(weir)
        assert answer.status == 429 and "served_by" in answer.json()  # the last one's own answer
        answer = post(weir)
        assert answer.status == 429 and answer.json()["error"]["code"] == "accounts_cooling"
        assert 30 <= int(answer.header("retry-after")) <= 40
        assert 30 <= answer.json()["error"]["retry_after"] <= 40
        assert api.asked == {"k-a1": 1, "k-a2": 1}
        assert 350 < row(weir, "a1")["cooldown_seconds"] <= 360
        # Cleared by hand.
        api.says("k-a1", 200)
        assert weir.admin("/api/v1/accounts/up/a1/clear").status == 405
        assert weir.admin("/api/v1/accounts/up/nobody/clear", "POST").status == 404
        assert weir.admin("/api/v1/accounts/nowhere/a1/clear", "POST").status == 404
        assert weir.admin("/api/v1/accounts/up/a1/clear", "POST").status == 200
        assert row(weir, "a1")["state"] == "ready"
        assert post(weir).json() == {"served_by": "k-a1"}


def events(weir, kind):
    return [it for it in json.loads(weir.admin("/api/v1/events").text)["events"] if it["event"] == kind]


@pytest.mark.parametrize("workers", [1, 3])
def test_events_tell_who_cools_down_and_who_is_well_again(workers):
    with Api() as api, relay(api, account("a1"), account("a2"), workers=workers) as weir:
        api.says_once("k-a1", (529, "Retry-After: 2\r\n"))
        api.says_once("k-a2", (401, ""))
        for _ in range(8):
            post(weir)
        cooled = {it["account"]: it for it in events(weir, "account_cooled")}
        assert sorted(cooled) == ["a1", "a2"] and len(events(weir, "account_cooled")) == 2
        assert cooled["a1"]["pool"] == "up" and cooled["a1"]["why"] == "overloaded"
        assert 1000 < cooled["a1"]["retry_after_ms"] <= 2000
        assert cooled["a2"]["why"] == "unauthorized" and cooled["a2"]["family"] is None
        wait_for(lambda: events(weir, "account_recovered"), "the end")
        # Of whom it is cleared it is over, too.
        assert weir.admin("/api/v1/accounts/up/a2/clear", "POST").status == 200
        wait_for(lambda: len(events(weir, "account_recovered")) == 2, "what was cleared")
        over = events(weir, "account_recovered")
        assert [(it["account"], it["why"]) for it in over] == [("a1", "overloaded"), ("a2", "unauthorized")]
        assert len(events(weir, "account_cooled")) == 2
        lines = [json.loads(line) for line in weir.text().splitlines() if '"account_' in line]
        assert [(it["level"], it["event"], it["account"]) for it in lines if it["account"] == "a1"] == [
            ("warn", "account_cooled", "a1"), ("info", "account_recovered", "a1")]


def test_429_without_a_reset_is_passed_on():
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says("k-a1", 429, "X-Why: because\r\n", b"slow down")
        for _ in range(2):
            answer = post(weir)
            assert answer.status == 429 and answer.header("x-why") == "because" and answer.body == b"slow down"
        assert row(weir, "a1")["state"] == "ready" and api.asked == {"k-a1": 2}


@pytest.mark.parametrize("status, headers, seconds, reason", [
    (529, "", 600, "overloaded"), (503, "", 60, "unavailable"), (503, "Retry-After: 7\r\n", 7, "unavailable"),
    (529, "Retry-After: 86400\r\n", 1800, "overloaded")])
def test_overload_goes_to_another_account(status, headers, seconds, reason):
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says("k-a1", status, headers)
        assert post(weir).json() == {"served_by": "k-a2"}
        it = row(weir, "a1")
        assert it["reason"] == reason and seconds - 5 < it["cooldown_seconds"] <= seconds


def test_three_errors_in_a_row():
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says("k-a1", 500)
        for _ in range(3):
            assert post(weir).status == 500  # it may have done something
        assert row(weir, "a1")["reason"] == "errors" and 295 < row(weir, "a1")["cooldown_seconds"] <= 300
        assert post(weir).json() == {"served_by": "k-a2"}


def test_502_moves_what_may_be_done_twice():
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says("k-a1", 502)
        assert post(weir).status == 502
        assert weir.ask("/v1/models").json() == {"served_by": "k-a2"}
        assert post(weir, headers="Idempotency-Key: 1\r\n").json() == {"served_by": "k-a2"}


def test_a_call_that_breaks_moves_what_may_be_done_twice():
    def hang_up(peer):
        peer.request()
        peer.reset()
    with Api() as api, Upstream(hang_up) as broken:
        upstream = {"endpoints": [{"url": broken.url}], "retry": {"on": ["connect"]}}
        with relay(api, account("a1"), account("a2", priority=60), upstream=upstream) as weir:
            assert weir.ask("/").status == 502
            assert broken.accepted == 2
            assert post(weir).status == 502
            assert broken.accepted == 3


def test_401_and_403():
    with Api() as api, relay(api, account("a1"), account("a2", priority=60), account("a3", priority=70)) as weir:
        api.says("k-a1", 401)
        assert post(weir).status == 401
        assert row(weir, "a1")["reason"] == "unauthorized" and row(weir, "a1")["cooldown_seconds"] > 1790
        api.says("k-a2", 403, "", b"no")
        for _ in range(4):
            answer = post(weir, headers="x-api-key: client-1\r\n")
            assert answer.status == 403 and answer.body == b"no"
        assert row(weir, "a2")["state"] == "ready"
        assert post(weir, headers="x-api-key: client-2\r\n").status == 403
        assert row(weir, "a2")["reason"] == "forbidden" and row(weir, "a2")["cooldown_seconds"] > 1790
        assert post(weir).json() == {"served_by": "k-a3"}


def test_of_one_family():
    limits = ("anthropic-ratelimit-unified-status: rejected\r\n"
              f"anthropic-ratelimit-unified-reset: {int(time.time()) + 100}\r\n"
              "anthropic-ratelimit-unified-representative-claim: seven_day_opus\r\n")
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says_once("k-a1", (429, limits))
        assert post(weir, model="claude-opus-4-1").json() == {"served_by": "k-a2"}
        assert post(weir, model="claude-opus-4-1").json() == {"served_by": "k-a2"}
        assert post(weir, model="claude-haiku-3").json() == {"served_by": "k-a1"}
        it = row(weir, "a1")
        assert it["state"] == "ready" and it["cooldowns"][0]["family"] == "opus"


# --- fail-over within a request ------------------------------------------------------------------------------------


def test_three_tries_and_no_more():
    with Api() as api, relay(api, *[account(f"a{i}", priority=i) for i in range(1, 6)]) as weir:
        for i in range(1, 6):
            api.says(f"k-a{i}", 503)
        assert post(weir).status == 503
        assert sum(api.asked.values()) == 3
        assert weir.metric("weir_account_answers_total", code="503") == 3


def test_the_budget_is_shared():
    with Api() as api, relay(api, *[account(f"a{i:02}", priority=i) for i in range(1, 61)],
                             upstream={"retry": {"budget": 0}}, workers=1) as weir:
        for i in range(1, 61):
            api.says(f"k-a{i:02}", 529)
        began = time.monotonic()
        for _ in range(25):
            post(weir)
        passed = time.monotonic() - began
        assert sum(api.asked.values()) <= 25 + 30 + 10 * passed + 1


@option("listeners.routes.limits.hold")
def test_a_body_is_kept_up_to_a_limit():
    routes = [{"match": {"path": "/"}, "upstream": "up", "limits": {"hold": "100KiB"}}]
    body = json.dumps({"model": "m", "messages": ["x" * 90000]}).encode()
    long = json.dumps({"model": "m", "messages": ["x" * 900000]}).encode()
    with Api() as api, relay(api, account("a1"), account("a2", priority=60), routes=routes) as weir:
        api.says_once("k-a1", (503, ""))
        assert post(weir, body).json() == {"served_by": "k-a2"}
        assert api.bodies == [body, body]
        assert weir.admin("/api/v1/accounts/up/a1/clear", "POST").status == 200
        api.says_once("k-a1", (503, ""))
        assert post(weir, long).status == 503  # it streamed to one
        assert api.asked["k-a2"] == 1 and api.bodies[-1] == long
        # The same where its length is known only at its end.
        weir.admin("/api/v1/accounts/up/a1/clear", "POST")
        chunked = b"".join(b"%x\r\n%s\r\n" % (len(long[i:i + 50000]), long[i:i + 50000]) for i in range(0, len(long), 50000))
        assert weir.ask("/", "Transfer-Encoding: chunked\r\n", "POST", body=chunked + b"0\r\n\r\n").status == 200
        sent = api.bodies[-1]
        data = b""
        while sent:
            size, _, sent = sent.partition(b"\r\n")
            data, sent = data + sent[:int(size, 16)], sent[int(size, 16) + 2:]
        assert data == long


def test_trailers_of_a_body_that_is_not_kept():
    routes = [{"match": {"path": "/"}, "upstream": "up", "limits": {"hold": "1KiB"}}]
    body = b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\nX-Sum: 7\r\n\r\n"
    with Api() as api, relay(api, account("a1"), account("a2", priority=60), routes=routes) as weir:
        assert weir.ask("/", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", "POST", body=body).status == 200
        assert api.up.bytes.lower().endswith(b"\r\n0\r\nx-sum: 7\r\n\r\n")


def test_who_waits_for_100_is_told():
    body = json.dumps({"model": "m", "messages": ["x" * 50000]}).encode()
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir, weir.client() as client:
        client.send(f"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
        assert client.response().status == 100
        api.says_once("k-a1", (503, ""))
        client.send(body)
        assert client.final().json() == {"served_by": "k-a2"}
        assert api.bodies == [body, body] and "expect" not in api.heads[0]


def test_a_large_body_to_a_slow_upstream():
    body = json.dumps({"messages": ["y" * (6 << 20)]}).encode()
    with Api() as api, relay(api, account("a1"), account("a2", priority=60)) as weir:
        api.says_once("k-a1", (529, ""))
        assert post(weir, body).json() == {"served_by": "k-a2"}
        assert api.bodies == [body, body]
        assert post(weir, body).json() == {"served_by": "k-a2"}


def test_as_many_accounts_as_there_may_be():
    proxy = f"http://u:{'p' * 250}@127.0.0.1:9"
    with Api() as api, relay(api, *[account(f"a{i:02}", priority=i, proxy=proxy if i else "") for i in range(64)],
                             pool={"max_connections": 1}, upstream={"endpoints": [{"url": f"{api.up.url}/"}] + [
                                 {"url": f"http://127.0.0.{i}:9", "weight": 0} for i in range(1, 9)]}) as weir:
        assert post(weir).json() == {"served_by": "k-a00"}


def test_several_workers_share_the_books():
    with Api() as api, relay(api, account("a1", concurrent=1), workers=4) as weir:
        busy, most, lock = 0, 0, threading.Lock()
        statuses = collections.Counter()

        def ask():
            for _ in range(10):
                statuses[post(weir).status] += 1
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            with lock:
                busy = row(weir, "a1")["in_flight"]
                most = max(most, busy)
        assert most <= 1 and statuses == {200: 60}
        api.says_once("k-a1", (529, ""))
        post(weir)
        assert {post(weir).status for _ in range(12)} == {429}
        assert api.asked["k-a1"] == 61


# --- what may not be written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("accounts, more, word", [
    ([{"name": "a"}, {"name": "a"}], {}, "has a already"),
    ([{"name": "a", "weight": 0}], {}, "no account above zero"),
    ([{"name": "a", "proxy": "ftp://x"}], {}, "proxy must be"),
    ([{"name": "a", "headers": {"Host": "x"}}], {}, "Host is not a credential"),
    ([{"name": "a"}], {"proxy_protocol": "v1"}, "accounts do not go with proxy_protocol"),
    ([{"name": "a", "max_connections": 0}], {}, "is outside 1")])
def test_configurations_that_are_refused(tmp_path, accounts, more, word):
    import subprocess
    from weirtest import WEIR, yaml_of
    path = tmp_path / "weir.yaml"
    path.write_text(yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"match": {}, "upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], "accounts": accounts, **more}]}))
    done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
    assert done.returncode == 1 and word in done.stdout + done.stderr


def test_a_websocket_is_on_its_accounts_books():
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {"sources": ["session_header"]}}]
    with upstream(hold) as up, Weir(up, upstream_options={"accounts": [account("a1", concurrent=1)]}, routes=routes,
                                    upstream_pool={"acquire_timeout": "100ms"}) as weir:
        with WsClient(weir.port, headers="X-API-Key: mine\r\nX-Session-Id: s\r\n"):
            assert b"x-api-key: k-a1" in up.bytes and b"mine" not in up.bytes
            assert row(weir, "a1")["in_flight"] == 1
            assert weir.ask("/").json()["error"]["code"] == "accounts_full"
        wait_for(lambda: row(weir, "a1")["in_flight"] == 0, "the end of the WebSocket")
        assert wait_for(lambda: [it for it in weir.access() if it.get("account") == "a1"])[0]["session"] == "new"
