# SPDX-License-Identifier: Apache-2.0
"""/api/v1/explain: what it says is what happens then, and asking changes nothing."""
import json
import urllib.parse

import pytest

from test_accounts import Api
from test_affinity import by_session, four, relay as four_accounts
from test_client_keys import bearer, client
from weirtest import Upstream, Weir


def explain(weir, *headers, status=200, **words):
    query = urllib.parse.urlencode([*words.items(), *(("header", header) for header in headers)])
    answer = weir.admin(f"/api/v1/explain?{query}")
    assert answer.status == status, answer.text
    return json.loads(answer.text)


def do(weir, path):
    assert weir.admin(f"/api/v1/{path}", "POST").status == 200


def test_the_route_that_it_takes():
    routes = [{"match": {"path": "/"}, "upstream": "up"},
              {"match": {"host": "api.example", "path": "/v1"}, "upstream": "up"},
              {"match": {"path": "/v1", "header": {"x-beta": "yes"}, "method": ["POST"]}, "upstream": "up"}]
    with Upstream() as upstream, Weir(upstream, routes=routes) as weir:
        assert explain(weir)["route"] == {"index": 0, "host": "*", "path": "/"}
        assert explain(weir, host="api.example:8080", path="/v1/x?y=1")["route"]["index"] == 1
        assert explain(weir, "X-Beta: yes", path="/v1", method="POST")["route"]["index"] == 2
        assert explain(weir, "X-Beta: no", path="/v1", method="POST")["route"]["index"] == 0
        said = explain(weir)
        assert said["arrives"] and said["endpoint"] == f"127.0.0.1:{upstream.port}" and said["upstream"] == "up"
        assert said["key"] == upstream.url and said["listener"] == "web" and not said["affinity"]["on"]
        assert len(said["reasons"]) == 3 and "route 0" in said["reasons"][0]
        assert upstream.accepted == 0


def test_a_request_that_goes_nowhere():
    routes = [{"match": {"path": "/v1"}, "upstream": "up"}]
    with Upstream() as upstream, Weir(upstream, routes=routes) as weir:
        said = explain(weir, path="/v2")
        assert said["route"] is None and not said["arrives"] and "404" in said["reasons"][0]
        assert not explain(weir, listener="nobody")["arrives"]
        do(weir, f"endpoints/up/127.0.0.1:{upstream.port}/drain")
        said = explain(weir, path="/v1")
        assert said["endpoint"] is None and said["endpoints"][0]["standing"] == "drain" and not said["arrives"]
        do(weir, f"endpoints/up/127.0.0.1:{upstream.port}/ready")
        do(weir, "pools/up/pause")
        said = explain(weir, path="/v1")
        assert said["paused"] and said["arrives"] and any("paused" in reason for reason in said["reasons"])


def test_an_endpoint_that_is_down_is_not_chosen():
    with Upstream() as one, Weir([one.url, "http://127.0.0.1:1"], upstream_pool={"failures_max": 1},
                                 upstream_options={"balance": "round_robin"}) as weir:
        for _ in range(4):
            assert weir.ask().status == 200
        said = explain(weir)
        standings = {row["endpoint"]: row["standing"] for row in said["endpoints"]}
        assert standings == {f"127.0.0.1:{one.port}": "good", "127.0.0.1:1": "out"}
        assert said["endpoint"] == f"127.0.0.1:{one.port}"


def test_asking_takes_nobodys_turn():
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url],
                                                    upstream_options={"balance": "round_robin"}) as weir:
        for _ in range(10):
            said = explain(weir)["endpoint"]
            assert {explain(weir)["endpoint"] for _ in range(3)} == {said}
            before = {row["endpoint"]: row["answered"] for row in json.loads(
                weir.admin("/api/v1/endpoints").text)["endpoints"]}
            assert weir.ask().status == 200
            after = {row["endpoint"]: row["answered"] for row in json.loads(
                weir.admin("/api/v1/endpoints").text)["endpoints"]}
            assert after[said] == before[said] + 1


def test_the_account_of_a_conversation():
    with Api() as api, four_accounts(api, *four()) as weir:
        for number in range(8):
            key, word, _ = by_session(weir, number)
            said = explain(weir, session=f"s{number}")
            assert f"k-{said['account']}" == key, (said, word)
            assert said["affinity"]["result"] == "key" and said["affinity"]["seen"]
            assert explain(weir, f"X-Session-Id: s{number}")["account"] == said["account"]
        assert not explain(weir, session="never seen")["affinity"]["seen"]
        said = explain(weir)
        assert said["affinity"]["result"] == "none:no-key" and said["account"]


def test_a_conversation_that_was_moved_and_why():
    with Api() as api, four_accounts(api, *four()) as weir:
        home, _, _ = by_session(weir, 1)
        api.says_once(home, (529, ""))
        second, word, _ = by_session(weir, 1)
        assert word == "rebound:cooldown"
        said = explain(weir, session="s1")
        assert f"k-{said['account']}" == second and said["affinity"]["bound"] == second[2:]
        row = next(row for row in said["accounts"] if row["account"] == home[2:])
        assert row["standing"] == "cooling" and row["reason"] == "overloaded" and row["left_seconds"] > 0
        another = next(f"n{number}" for number in range(100)
                       if any(reason.startswith(f"its account is {home[2:]}")
                              for reason in explain(weir, session=f"n{number}")["reasons"]))
        assert explain(weir, session=another)["account"] != home[2:]
        open_now = json.loads(weir.admin("/api/v1/accounts").text)["accounts"]
        assert all(row["in_flight"] == 0 for row in open_now)


def test_a_model_that_nobody_serves():
    accounts = [{"name": "a", "headers": {"x-api-key": "k-a"}, "models": ["claude-*"]},
                {"name": "b", "headers": {"x-api-key": "k-b"}, "models": ["gpt-*"]}]
    with Api() as api, four_accounts(api, *accounts) as weir:
        assert explain(weir, model="claude-x")["account"] == "a" and explain(weir, model="gpt-y")["account"] == "b"
        said = explain(weir, model="llama")
        assert said["account"] is None and not said["arrives"] and "no account" in said["reasons"][-1]


def test_a_client_is_needed_where_there_are_some():
    with Api() as api, four_accounts(api, *four(), clients=[client("team-a"), client("team-b")]) as weir:
        assert not explain(weir)["arrives"] and explain(weir)["client"] is None
        said = explain(weir, client="team-a", session="s1")
        assert said["arrives"] and said["client"] == "team-a"
        key, _, _ = by_session(weir, 1, bearer("team-a"))
        assert key == f"k-{said['account']}"
        other = [explain(weir, client="team-b", session=f"s{n}")["affinity"]["session"] for n in range(4)]
        assert not set(other) & {explain(weir, client="team-a", session=f"s{n}")["affinity"]["session"] for n in range(4)}


@pytest.mark.parametrize("query", ["colour=red", "path=x", "header=x", "header=x%20y:z", "worker=x", "path=%zz",
                                   "address=x", "path=/" + "x" * 2000, "header=" + "x" * 500, "&".join(["header=a:b"] * 9)])
def test_a_question_that_is_none(relay, query):
    assert relay.admin(f"/api/v1/explain?{query}").status == 400


def test_a_worker_that_there_is():
    with Upstream() as upstream, Weir(upstream, workers=3) as weir:
        assert [explain(weir, worker=n)["worker"] for n in range(3)] == [0, 1, 2]
        assert weir.admin("/api/v1/explain?worker=3").status == 404
        assert explain(weir, address="192.0.2.1")["arrives"]


def test_why_a_connection_was_reused():
    with Upstream() as upstream, Weir(upstream) as weir:
        for _ in range(3):
            assert weir.ask().status == 200

        def ask(key, **more):
            query = urllib.parse.urlencode({"key": key, **more})
            answer = weir.admin(f"/api/v1/keys/explain?{query}")
            assert answer.status == 200, answer.text
            return json.loads(answer.text)["explained"]
        rows = ask(upstream.url)
        assert [(row["worker"], row["pool"], row["known"]) for row in rows] == [(0, "up", True)]
        assert "reused an idle connection" in rows[0]["text"] and "dialled" in rows[0]["text"]
        other = ask(f"http://somebody@127.0.0.1:{upstream.port}")
        assert not other[0]["known"] and "tenant" in other[0]["text"]
        assert ask(upstream.url, pool="nobody") == []
        for wrong in ("", "x", "://h", "http://", "http://h:x", "http://h:99999", "http://" + "h" * 1100):
            assert weir.admin("/api/v1/keys/explain?" + urllib.parse.urlencode({"key": wrong})).status == 400, wrong
