# SPDX-License-Identifier: Apache-2.0
"""Another configuration for an upstream of OpenClaw gateways while it serves: another token is shown on connections that are
opened at once, what the former ones carry ends there, and limits and times are the new ones."""
import contextlib
import json

import pytest

from openclawpeer import double
from test_openclaw_accounts import account, pool_keys, row, tokens
from test_openclaw_gateway import Events, begin, carries_two_at_a_time, code_of, post
from test_reload import Live
from weirtest import Weir, wait_for


@contextlib.contextmanager
def live(claw, workers=1, **more):
    with Weir([claw.http_url], workers=workers, upstream_options={"protocol": "openclaw", **more}) as weir:
        it = Live(weir)
        it.up = it.config["upstreams"][0]
        yield it


def events(weir, kind):
    return [it for it in json.loads(weir.admin("/api/v1/events").text)["events"] if it["event"] == kind]


def test_another_token_is_shown_at_once_and_requests_under_way_end_where_they_are():
    with double() as claw, live(claw, workers=2, openclaw={"token": "demo"}) as it:
        wait_for(lambda: claw.open == 2, "a connection of each worker")
        with begin(it.weir, "hold", {"i": 1}) as client:
            wait_for(lambda: claw.requests, "the request at the gateway")
            claw.behave(token="another")  # that of today is good no more for who comes
            it.up["openclaw"]["token"] = "another"
            said = it.good()
            assert [change["apply"] for change in said["changes"]] == ["live"] and "another" not in json.dumps(said)
            wait_for(lambda: tokens(claw)["another"] == 2, "a new connection of each worker")
            # The former one is still there, for what it carries, and nobody waits for it.
            for i in range(10):
                assert post(it.weir, "echo", {"i": i}).json() == {"i": i}
            wait_for(lambda: claw.open == 3, "the end of the former one that carried nothing")
            claw.behave(release=True)
            assert client.response("POST").json() == {"i": 1}
        wait_for(lambda: claw.open == 2, "the end of the other one")
        assert tokens(claw) == {"demo": 2, "another": 2} and events(it.weir, "openclaw_denied") == []


@pytest.mark.parametrize("workers", [1, 3])
def test_a_token_that_was_refused_is_put_right_by_a_reload(workers):
    """It is tried once, as the wrong one was, by all workers; what was held against the other is forgotten."""
    with double(token="right") as claw:
        accounts = [account("a", openclaw={"token": "wrong"}), account("b", openclaw={"token": "right"})]
        with live(claw, workers=workers, accounts=accounts) as it:
            wait_for(lambda: row(it.weir, "a")["state"] == "cooling" and claw.open == workers, "the cool-down of one")
            it.up["accounts"][0]["openclaw"]["token"] = "wrong_too"
            it.good()
            wait_for(lambda: len(events(it.weir, "openclaw_denied")) == 2, "the second refusal")
            assert row(it.weir, "a")["reason"] == "unauthorized"
            assert [tokens(claw)[token] for token in ("wrong", "wrong_too")] == [1, 1]
            it.up["accounts"][0]["openclaw"]["token"] = "right"
            it.good()
            wait_for(lambda: claw.open == 2 * workers, "connections of both")
            assert row(it.weir, "a")["state"] == "ready" and pool_keys(it.weir)["a"]["state"] == "up"
            wait_for(lambda: [event["account"] for event in events(it.weir, "account_recovered")] == ["a"] * 2, "what is told of it")
            for i in range(8):
                assert post(it.weir, "echo", {"i": i}).json() == {"i": i}
            assert tokens(claw) == {"wrong": 1, "wrong_too": 1, "right": 2 * workers}


def test_a_right_token_for_a_wrong_one_that_is_refused_takes_its_accounts_place():
    """The other way round: what comes of the new token counts, and the account's connections that had been let in are gone."""
    with double() as claw, live(claw, accounts=[account("a", openclaw={"token": "demo"})]) as it:
        assert post(it.weir, "echo", {}).status == 200
        it.up["accounts"][0]["openclaw"]["token"] = "wrong"
        it.good()
        wait_for(lambda: row(it.weir, "a")["state"] == "cooling", "the cool-down")
        answer = post(it.weir, "echo", {})
        assert answer.status == 429 and code_of(answer) == "accounts_cooling" and claw.open == 0


def test_one_that_refuses_is_left_alone_for_as_long_as_it_says_now():
    with double(token="right") as claw, live(claw, openclaw={"token": "wrong"}) as it:
        assert code_of(post(it.weir, "echo", {})) == code_of(post(it.weir, "echo", {})) == "denied"
        it.up["openclaw"]["token"] = "wrong_too"
        it.up["pool"] = {"down_for": "100ms"}  # instead of a minute
        it.good()
        wait_for(lambda: code_of(post(it.weir, "echo", {})) == "denied" and tokens(claw)["wrong_too"] > 2, "its next attempts", 20)
        assert tokens(claw)["wrong"] == 1


def test_a_reader_of_events_hears_each_of_them_once_though_there_are_two_connections():
    with double() as claw, live(claw, openclaw={"token": "demo"}) as it:
        reader = Events(it.weir)
        with begin(it.weir, "hold", {}) as client:
            wait_for(lambda: claw.requests, "the request at the gateway")
            it.up["openclaw"]["password"] = "more"
            it.good()
            wait_for(lambda: claw.open == 2, "a second connection")
            for n in range(3):
                claw.event("chat", {"n": n})
            claw.event("last", {})
            reader.until(b"event: last\n")
            assert reader.text.count(b"event: chat\n") == 3
            claw.behave(release=True)
            assert client.response("POST").status == 200
        reader.client.close()


def test_what_is_said_of_an_account_counts_for_the_next_request():
    """Weights, limits, times and the balance: none of it touches a connection."""
    with double() as claw, live(claw, accounts=[account(name, openclaw={"token": "demo"}) for name in "ab"]) as it:
        wait_for(lambda: claw.open == 2, "a connection of each")
        it.up["accounts"][0]["weight"] = 0
        it.up.update(balance="hash", health={"path": "/readyz", "interval": "1s"}, retry={"budget": 0.5},
                     openclaw={"request_timeout": "1s", "message_max": "64KiB", "requests_max": 7},
                     pool={"acquire_timeout": "2s"})
        it.good()
        for i in range(6):
            assert post(it.weir, "echo", {"i": i}).json() == {"i": i}
        rows = wait_for(lambda: len(it.weir.access()) >= 6 and it.weir.access(), "the access log")
        assert {one["account"] for one in rows} == {"b"}
        answer = post(it.weir, "echo", {"text": "x" * 70_000})
        assert answer.status == 413 and code_of(answer) == "too_large"
        assert post(it.weir, "hold", {}).status == 504
        assert len(claw.connects) == 2


def test_connections_from_then_on_carry_as_many_requests_as_it_says_now():
    with double() as claw, live(claw, openclaw={"token": "demo", "requests_max": 4}) as it:
        wait_for(lambda: claw.open == 1, "a connection")
        it.up["openclaw"].update(requests_max=2, token="other")
        claw.behave(token="other")
        assert sorted(change["apply"] for change in it.good()["changes"]) == ["live", "new connections"]
        wait_for(lambda: tokens(claw)["other"] == 1, "the next one")
        carries_two_at_a_time(claw, it.weir)


def test_another_path_is_asked_for():
    with double() as claw, live(claw, openclaw={"token": "demo"}) as it:
        wait_for(lambda: claw.open == 1, "a connection")
        it.up["openclaw"]["path"] = "/ws"
        it.good()
        wait_for(lambda: claw.upgrades == ["/", "/ws"] and claw.open == 1, "the one that takes its place")
