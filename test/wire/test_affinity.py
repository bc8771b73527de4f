# SPDX-License-Identifier: Apache-2.0
"""Affinity: a conversation stays with its account, leaves it only for a reason, and says which."""
import json
import threading

import pytest

from test_accounts import Api, account, events, post, row
from test_proxies import microsocks
from weirtest import ROOT, Upstream, Weir, free_port, wait_for

option = pytest.mark.option
KEYS = 12


def relay(api, *accounts, affinity=None, upstream=None, **more):
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": affinity if affinity is not None else {}}]
    return Weir(api.up, routes=routes, upstream_options={"accounts": list(accounts), **(upstream or {})}, **more)


def four(**more):
    return [account(f"a{i}", **more) for i in range(4)]


def word(answer):
    return answer.header("x-weir-session")


def by_session(weir, number, headers="", **fields):
    answer = post(weir, headers=f"X-Session-Id: s{number}\r\n{headers}", **fields)
    return answer.json().get("served_by"), word(answer), answer.status


SOURCES = {
    "session_header": lambda n: ({}, f"X-Session-Id: {n}\r\n"),
    "header:X-Chat": lambda n: ({}, f"x-chat: {n}\r\n"),
    "cookie:sid": lambda n: ({}, f"Cookie: a=b; sid={n}\r\n"),
    "openai": lambda n: ({"prompt_cache_key": f"k{n}"}, ""),
    "anthropic": lambda n: ({"metadata": {"user_id": f"user_1_account__session_{n}"}}, ""),
    "content": lambda n: ({"messages": [{"role": "user", "content": f"question {n}"}]}, ""),
}


@option("listeners.routes.affinity.sources")
@pytest.mark.parametrize("source", SOURCES)
def test_sources(source):
    with Api() as api, relay(api, *four(), affinity={"sources": [source]}) as weir:
        homes = {}
        for n in range(KEYS):
            fields, headers = SOURCES[source](n)
            answer = post(weir, headers=headers, **fields)
            assert word(answer) == "new"
            homes[n] = answer.json()["served_by"]
        assert len(set(homes.values())) > 1
        for n in range(KEYS):
            fields, headers = SOURCES[source](n)
            if source == "content":  # the conversation goes on
                fields["messages"] += [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
            answer = post(weir, headers=headers, **fields)
            assert word(answer) == "hit" and answer.json()["served_by"] == homes[n]
        answer = post(weir, b"no json")
        assert word(answer) == "none:no-key"
        assert weir.metric("weir_affinity_total", result="hit") == KEYS
        assert weir.metric("weir_affinity_total", result="new") == KEYS
        assert weir.metric("weir_affinity_total", result="none") == 1
        assert weir.metric("weir_affinity_records") == 0
        log = wait_for(lambda: len(weir.access()) == 2 * KEYS + 1 and weir.access())
        assert sorted(line["session"] for line in log) == ["hit"] * KEYS + ["new"] * KEYS + ["none:no-key"]


def test_address():
    with Api() as api, relay(api, *four(), affinity={"sources": ["address"]}) as weir:
        served = {source: set() for source in ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")}
        for source, accounts in served.items():
            for _ in range(4):
                with weir.client(source=(source, 0)) as client:
                    accounts.add(client.get("/").final().json()["served_by"])
        assert all(len(accounts) == 1 for accounts in served.values())


def test_without_affinity_nothing_is_said():
    with Api() as api, Weir(api.up, upstream_options={"accounts": four()}) as weir:
        answer = post(weir, headers="X-Session-Id: 1\r\n")
        assert word(answer) is None and "session" not in wait_for(weir.access)[0]


def test_every_gateway_chooses_alike():
    with Api() as api, relay(api, *four()) as weir, relay(api, *reversed(four()), workers=3) as other:
        for n in range(KEYS):
            assert by_session(weir, n)[0] == by_session(other, n)[0]


def test_clients_are_kept_apart():
    with Api() as api, relay(api, *four()) as weir:
        def home(client, n):
            return post(weir, headers=f"Authorization: Bearer {client}\r\nX-Session-Id: s{n}\r\n").json()["served_by"]
        assert [home("one", n) for n in range(KEYS)] != [home("two", n) for n in range(KEYS)]


def test_too_long_and_too_large():
    routes = [{"match": {"path": "/"}, "upstream": "up", "limits": {"hold": "20KiB"},
               "affinity": {"sources": ["session_header", "content", "address"]}},
              {"match": {"path": "/v1"}, "upstream": "up", "limits": {"hold": "20KiB"}, "affinity": {"sources": ["content"]}}]
    with Api() as api, Weir(api.up, routes=routes, upstream_options={"accounts": four()}) as weir:
        assert word(weir.ask("/", "X-Session-Id: " + "x" * 256 + "\r\n")) == "none:too-long"
        assert word(weir.ask("/", "X-Session-Id: " + "x" * 255 + "\r\n")) == "new"
        long = json.dumps({"messages": [{"role": "user", "content": "x" * 50000}]}).encode()
        answer = post(weir, long)
        assert answer.status == 200 and word(answer) == "none:too-large"
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(long), long)
        answer = weir.ask("/v1/messages", "Transfer-Encoding: chunked\r\n", "POST", body=chunked)
        assert answer.status == 200 and word(answer) == "none:too-large"
        # A source outside the body counts all the same.
        length = f"Content-Length: {len(long)}\r\n"
        assert word(weir.ask("/", length + "X-Session-Id: z\r\n", "POST", body=long)) == "new"


def test_a_cooldown_moves_a_conversation_once():
    with Api() as api, relay(api, *four()) as weir:
        home, said, _ = by_session(weir, 1)
        assert said == "new"
        api.says_once(home, (529, ""))
        second, said, _ = by_session(weir, 1)
        assert second != home and said == "rebound:cooldown"
        assert weir.metric("weir_affinity_records") == 1
        # It stays there, also when its first account is well again; another conversation is at home again.
        assert by_session(weir, 1)[:2] == (second, "hit")
        assert weir.admin(f"/api/v1/accounts/up/{home[2:]}/clear", "POST").status == 200
        assert by_session(weir, 1)[:2] == (second, "hit")
        api.says_once(second, (503, ""))
        third, said, _ = by_session(weir, 1)
        assert third != second and said == "rebound:cooldown"
        assert by_session(weir, 1)[:2] == (third, "hit")
        assert weir.metric("weir_affinity_total", result="rebound") == 2


def test_events_tell_of_conversations_that_move():
    with Api() as api, relay(api, *four(), workers=1, log={"level": "debug", "access": "off"}) as weir:
        homes = {n: by_session(weir, n)[0] for n in range(4 * KEYS)}
        home = homes[0]
        assert not events(weir, "session_rebound")
        api.says_once(home, (529, ""))
        moved = [by_session(weir, n)[0] for n in homes if homes[n] == home]
        told = events(weir, "session_rebound")
        assert {(it["pool"], it["from"], it["why"]) for it in told} == {("up", home[2:], "cooldown")}
        for name in set(moved):
            assert sum(it["count"] for it in told if it["account"] == name[2:]) == moved.count(name)
        assert len(told) == len(set(moved))  # those that go the same way are one record
        # Once moved they stay.
        for n in homes:
            by_session(weir, n)
        assert events(weir, "session_rebound") == told
        wait_for(lambda: weir.text().count('"session_rebound"') == len(moved), "a line for each")
        # Each has a name, by which its record is found; that is not what its client calls it.
        lines = [json.loads(line) for line in weir.text().splitlines() if '"session_rebound"' in line]
        rows = json.loads(weir.admin("/api/v1/sessions").text)["sessions"]
        assert {row["id"][:12]: row["account"] for row in rows} == {it["session"]: it["account"] for it in lines}
        assert len({it["session"] for it in lines}) == len(moved) and all(len(it["session"]) == 12 for it in lines)
        for it in told:
            found = json.loads(weir.admin(f"/api/v1/sessions?id={it['session']}").text)["sessions"]
            assert [row["account"] for row in found] == [it["account"]]


def test_nothing_is_kept_of_what_was_not_served():
    with Api() as api, relay(api, account("a1"), account("a2")) as weir:
        home, _, _ = by_session(weir, 1)
        other = {"k-a1": "k-a2", "k-a2": "k-a1"}[home]
        api.says_once(home, (529, ""))
        api.says(other, 400)
        assert by_session(weir, 1)[1:] == ("rebound:cooldown", 400)
        assert weir.metric("weir_affinity_records") == 0


@option("listeners.routes.affinity.ttl")
def test_ttl():
    with Api() as api, relay(api, *four(), affinity={"ttl": "1s"}) as weir:
        home, _, _ = by_session(weir, 1)
        api.says_once(home, (529, ""))
        second, said, _ = by_session(weir, 1)
        assert said == "rebound:cooldown"
        weir.admin(f"/api/v1/accounts/up/{home[2:]}/clear", "POST")
        wait_for(lambda: weir.metric("weir_affinity_records") == 0, "the record's end")
        assert by_session(weir, 1)[0] == home


def test_a_full_account_is_not_left():
    with Api() as api, relay(api, *four(concurrent=1)) as weir:
        home, _, _ = by_session(weir, 1)
        api.gate = threading.Event()
        first = threading.Thread(target=by_session, args=(weir, 1))
        first.start()
        wait_for(lambda: api.asked[home] == 2, "its account to be busy")
        results = []
        second = threading.Thread(target=lambda: results.append(by_session(weir, 1)))
        second.start()
        wait_for(lambda: sum(api.asked.values()) == 3, "the spill")
        api.gate.set()
        first.join()
        second.join()
        assert results[0][0] != home and results[0][1] == "spill"
        assert by_session(weir, 1)[:2] == (home, "hit")
        assert weir.metric("weir_affinity_records") == 0


def test_a_broken_way_moves_a_conversation():
    with Api() as api:
        from weirtest import dead_port
        broken = [account(f"a{i}", proxy=f"socks5://127.0.0.1:{dead_port()}") for i in range(2)]
        with relay(api, *broken, account("a3")) as weir:
            words = {by_session(weir, n)[:2] for n in range(KEYS)}
            assert {served for served, _ in words} == {"k-a3"}
            assert "rebound:down" in {said for _, said in words}
            assert {(it["account"], it["why"]) for it in events(weir, "session_rebound")} == {("a3", "down")}


def test_an_answer_is_gone_on_from_where_it_was_made():
    with Api() as api, relay(api, *four(), affinity={"sources": ["openai", "content"]}) as weir:
        def ask(n, **fields):
            return post(weir, **{"messages": None, "input": f"question {n}", **fields})
        makers = {}
        for n in range(KEYS):
            for i in range(4):
                api.says(f"k-a{i}", 200, "", json.dumps({"id": f"resp_{n}", "served_by": f"k-a{i}"}).encode())
            makers[n] = ask(n).json()["served_by"]
        for i in range(4):
            api.says(f"k-a{i}", 200)
        for n in range(KEYS):
            answer = ask("another", previous_response_id=f"resp_{n}")
            assert answer.json()["served_by"] == makers[n] and word(answer) == "hit:pinned"
        # Nobody else can go on from it.
        maker = makers[0]
        api.says(maker, 529)
        assert ask("another", previous_response_id="resp_0").status == 529
        answer = ask("another", previous_response_id="resp_0")
        assert answer.status == 429 and answer.json()["error"]["code"] == "accounts_cooling"
        assert 500 < int(answer.header("retry-after")) <= 600
        # Another client's answers are not a client's to go on from.
        answer = post(weir, headers="x-api-key: other\r\n", input="x", messages=None, previous_response_id="resp_0")
        assert answer.status == 200 and word(answer) == "new"
        assert row(weir, maker[2:])["state"] == "cooling"


def test_an_event_stream_names_its_answer():
    with Api() as api, relay(api, *four(), affinity={"sources": ["openai", "content"]}) as weir:
        events = (b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_e"}}\n\n'
                  b'event: response.completed\ndata: {}\n\n')
        for i in range(4):
            api.says(f"k-a{i}", 200, "", events)
        answer = post(weir)
        assert answer.body == events
        maker = wait_for(weir.access)[0]["account"]
        for i in range(4):
            api.says(f"k-a{i}", 200)
        answer = post(weir, messages=None, input="other", previous_response_id="resp_e")
        assert word(answer) == "hit:pinned" and answer.json()["served_by"] == f"k-{maker}"


def test_balance_hash_goes_by_it():
    def named(name):
        def script(peer):
            while peer.request() is not None:
                peer.ok(name)
        return Upstream(script)
    with named("a") as a, named("b") as b, named("c") as c:
        routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {"sources": ["session_header", "content"]}}]
        with Weir([a.url, b.url, c.url], routes=routes, upstream_options={"balance": "hash"}) as weir:
            homes = {n: post(weir, headers=f"X-Session-Id: {n}\r\n").body for n in range(KEYS)}
            assert len(set(homes.values())) > 1
            for n in range(KEYS):
                assert weir.ask(f"/{n}", f"X-Session-Id: {n}\r\n").body == homes[n]
            # Also by what the body says.
            assert len({post(weir).body for _ in range(5)}) == 1


def test_large_bodies_keep_their_account():
    with Api() as api, relay(api, *four()) as weir:
        body = json.dumps({"messages": [{"role": "user", "content": "x" * 700000}]}).encode()
        homes = {post(weir, body).json()["served_by"] for _ in range(5)}
        assert len(homes) == 1 and all(it == body for it in api.bodies)


def test_bad_sources_are_refused(tmp_path):
    import subprocess
    from weirtest import WEIR, yaml_of
    path = tmp_path / "weir.yaml"
    for sources in (["nothing"], ["header:"], []):
        path.write_text(yaml_of({
            "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [
                {"match": {}, "upstream": "up", "affinity": {"sources": sources}}]}],
            "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], "accounts": [{"name": "a"}]}]}))
        done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
        assert done.returncode == 1 and "affinity.sources" in done.stdout + done.stderr


@pytest.mark.parametrize("name, keys, shown", [("anthropic", {"k1", "k2"}, "x-api-key"),
                                               ("openai", {"o1", "o2"}, "authorization")])
def test_the_examples(name, keys, shown):
    with Api() as api, microsocks("user", "password") as one, microsocks("user", "password") as two:
        ports = {"port": free_port(), "admin": free_port()}
        text = (ROOT / f"examples/relay-{name}.yaml").read_text()
        for old, new in {f"https://api.{name}.com": api.up.url, "127.0.0.1:8080": f"127.0.0.1:{ports['port']}",
                         "127.0.0.1:9901": f"127.0.0.1:{ports['admin']}", "127.0.0.1:1080": f"127.0.0.1:{one.port}",
                         "127.0.0.1:1081": f"127.0.0.1:{two.port}"}.items():
            text = text.replace(old, new)
        env = {"A1_KEY": "k1", "A2_KEY": "k2", "A3_KEY": "k3", "O1_KEY": "o1", "O2_KEY": "o2"}
        with Weir(config=text, ports=ports, env=env) as weir:
            served = {}
            for n in range(20):
                said = {"messages": [{"role": "user", "content": f"question {n}"}]}
                served[n] = post(weir, **said).json()["served_by"]
                assert post(weir, **said).json()["served_by"] == served[n]
            assert set(served.values()) == keys
            assert all(shown in head for head in api.heads)
