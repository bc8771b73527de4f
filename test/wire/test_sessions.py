# SPDX-License-Identifier: Apache-2.0
"""What is kept of conversations: in memory, and in a journal that outlives a gateway that is killed."""
import collections
import json
import re
import subprocess
import threading

import pytest

from test_accounts import Api, account, post
from test_affinity import KEYS, by_session, four, relay, word
from weirtest import WEIR, Upstream, Weir, dead_port, wait_for, yaml_of

option = pytest.mark.option


def records(weir):
    return weir.metric("weir_affinity_records")


def move(api, weir, number):
    """Its first account cools down, so it is with another one; both of them."""
    home, _, _ = by_session(weir, number)
    api.says_once(home, (529, ""))
    second, said, _ = by_session(weir, number)
    assert said == "rebound:cooldown" and second != home
    weir.admin(f"/api/v1/accounts/up/{home[2:]}/clear", "POST")
    return home, second


def pin(api, weir, name):
    """An answer by that id; who made it."""
    for i in range(4):
        api.says(f"k-a{i}", 200, "", json.dumps({"id": f"resp_{name}", "served_by": f"k-a{i}"}).encode())
    maker = post(weir, messages=None, input=f"question {name}").json()["served_by"]
    for i in range(4):
        api.says(f"k-a{i}", 200)
    return maker


def go_on(weir, name):
    return post(weir, messages=None, input="and then?", previous_response_id=f"resp_{name}")


def with_pins(**affinity):
    return {"sources": ["session_header", "openai", "content"], **affinity}


@option("sessions.path")
def test_a_killed_gateway_finds_every_record(tmp_path):
    sessions = {"path": str(tmp_path / "sessions")}
    with Api() as api:
        places, makers = {}, {}
        for life in range(3):
            with relay(api, *four(), affinity=with_pins(), sessions=sessions) as weir:
                assert records(weir) == len(places) + len(makers)
                assert weir.metric("weir_session_recovered_total", result="recovered") == len(places) + len(makers)
                for number, place in places.items():
                    assert by_session(weir, number)[:2] == (place, "hit")
                for name, maker in makers.items():
                    answer = go_on(weir, name)
                    assert answer.json()["served_by"] == maker and word(answer) == "hit:pinned"
                for number in range(life * KEYS, life * KEYS + KEYS):
                    places[number] = move(api, weir, number)[1]
                    makers[number] = pin(api, weir, number)
                weir.kill()
        assert (tmp_path / "sessions").stat().st_mode & 0o777 == 0o700
        # Without the journal all of them are where their hash says.
        with relay(api, *four(), affinity=with_pins()) as weir:
            assert records(weir) == 0
            assert all(by_session(weir, number)[1] == "new" for number in places)


def test_a_path_is_for_one_gateway_at_a_time(tmp_path):
    sessions = {"path": str(tmp_path / "sessions")}
    with Api() as api, relay(api, *four(), sessions=sessions) as weir:
        config = weir.config_path.read_text()
        other = tmp_path / "other.yaml"
        other.write_text(config.replace(str(weir.port), "0").replace(str(weir.admin_port), "0"))
        done = subprocess.run([str(WEIR), "serve", "-c", str(other)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "another gateway has it open" in done.stdout + done.stderr
        (tmp_path / "open").mkdir(mode=0o755)
        other.write_text(other.read_text().replace(str(tmp_path / "sessions"), str(tmp_path / "open")))
        done = subprocess.run([str(WEIR), "serve", "-c", str(other)], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and "sessions.path" in done.stdout + done.stderr


def test_a_torn_journal_is_cut(tmp_path):
    sessions = {"path": str(tmp_path / "sessions")}
    with Api() as api:
        with relay(api, *four(), sessions=sessions) as weir:
            place = move(api, weir, 1)[1]
            weir.kill()
        with open(tmp_path / "sessions" / "sessions.journal", "ab") as journal:
            journal.write(b"\x80\x00torn")
        with relay(api, *four(), sessions=sessions) as weir:
            assert by_session(weir, 1)[:2] == (place, "hit")


@option("sessions.max")
def test_max():
    with Api() as api, relay(api, *four(), sessions={"max": 1}) as weir:
        place = move(api, weir, 1)[1]
        home, _ = move(api, weir, 2)
        assert records(weir) == 1
        assert by_session(weir, 1)[:2] == (place, "hit")
        assert by_session(weir, 2)[0] == home  # there was no room: its hash says
        # What is full goes on keeping what it has.
        api.says_once(place, (529, ""))
        third, said, _ = by_session(weir, 1)
        assert said == "rebound:cooldown" and by_session(weir, 1)[:2] == (third, "hit")


@option("sessions.ttl")
def test_ttl_is_of_answers():
    with Api() as api, relay(api, *four(), affinity=with_pins(ttl="1s"), sessions={"ttl": "1s"}) as weir, \
            relay(api, *four(), affinity=with_pins(ttl="1s")) as longer:
        maker = pin(api, weir, "short")
        other = pin(api, longer, "long")
        assert word(go_on(weir, "short")) == "hit:pinned" and maker
        wait_for(lambda: records(weir) == 0, "the record's end")
        assert word(go_on(weir, "short")) != "hit:pinned"
        answer = go_on(longer, "long")
        assert word(answer) == "hit:pinned" and answer.json()["served_by"] == other


@option("sessions.ttl_max")
def test_ttl_max_ends_what_is_used():
    times = {"ttl": "1500ms", "ttl_max": "1500ms", "affinity_ttl": "1500ms"}
    with Api() as api, relay(api, *four(), sessions=times) as weir:
        home, place = move(api, weir, 1)
        served = wait_for(lambda: (it := by_session(weir, 1)[0]) == home and it, "the record's end, though it is used")
        assert served == home != place


@option("sessions.affinity_ttl")
def test_affinity_ttl_is_that_of_routes():
    with Api() as api, relay(api, *four(), sessions={"affinity_ttl": "1s"}) as weir, \
            relay(api, *four(), affinity={"ttl": "1h"}, sessions={"affinity_ttl": "1s"}) as own:
        home, _ = move(api, weir, 1)
        _, place = move(api, own, 1)
        wait_for(lambda: records(weir) == 0, "the record's end")
        assert by_session(weir, 1)[0] == home
        assert by_session(own, 1)[:2] == (place, "hit")


@option("sessions.fsync")
def test_fsync(tmp_path):
    def syncs(weir):
        return weir.metric("weir_session_journal_syncs_total")
    with Api() as api:
        for fsync in ("always", "1ms", "never"):
            sessions = {"path": str(tmp_path / fsync), "fsync": fsync}
            with relay(api, *four(), sessions=sessions) as weir:
                before = syncs(weir)
                places = [move(api, weir, number)[1] for number in range(3)]
                if fsync == "always":
                    assert syncs(weir) >= before + 3
                elif fsync == "never":
                    assert syncs(weir) == before
                else:
                    wait_for(lambda: syncs(weir) > before, "the disk to have it")
                weir.kill()
            with relay(api, *four(), sessions=sessions) as weir:
                assert [by_session(weir, number)[0] for number in range(3)] == places


@option("sessions.secret")
def test_secret(tmp_path):
    def sessions(secret):
        return {"path": str(tmp_path / "sessions"), "secret": secret}
    with Api() as api:
        with relay(api, *four(), sessions=sessions("one-secret-of-many")) as weir:
            home, place = move(api, weir, 1)
            assert "one-secret" not in weir.admin("/api/v1/config").text
        assert not (tmp_path / "sessions" / "secret").exists()
        with relay(api, *four(), sessions=sessions("one-secret-of-many")) as weir:
            assert by_session(weir, 1)[0] == place
        with relay(api, *four(), sessions=sessions("another-secret-of-many")) as weir:
            assert by_session(weir, 1)[0] == home


def check(tmp_path, sessions, affinity=None):
    path = tmp_path / "weir.yaml"
    path.write_text(yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [
            {"match": {}, "upstream": "up", **({"affinity": affinity} if affinity is not None else {})}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], "accounts": [{"name": "a"}]}],
        "sessions": sessions}))
    done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("sessions, said", [
    ({"secret": "short"}, "5 characters can be guessed"),
    ({"fsync": "always"}, "there is no sessions.path"),
    ({"path": "/nowhere/at/all"}, "there is no directory /nowhere/at/"),
    ({"ttl": "2h", "ttl_max": "1h"}, "sessions.ttl is longer than sessions.ttl_max"),
    ({"ttl": "1m", "ttl_max": "10m"}, "affinity.ttl is longer than sessions.ttl_max"),
    ({"max": 0}, "sessions.max"),
])
def test_bad_combinations_are_refused(tmp_path, sessions, said):
    code, text = check(tmp_path, sessions, affinity={})
    assert code == 1 and said in text


def test_what_is_good_is_not_refused(tmp_path):
    code, text = check(tmp_path, {"path": "sessions/", "fsync": "never", "secret": "x" * 16}, affinity={})
    assert code == 0 and "sessions" not in text, text
    code, text = check(tmp_path, {"path": "sessions"})
    assert code == 0 and "sessions has nothing to keep" in text


@option("listeners.routes.isolate")
@pytest.mark.parametrize("isolate", ["account", "session"])
def test_isolation(isolate):
    """Which connections served which conversation; more of them than there may be connections."""
    served, lock = collections.defaultdict(set), threading.Lock()

    def script(peer):
        while (request := peer.request()) is not None:
            head, _ = request
            with lock:
                served[peer].add(re.search(rb"x-session-id: (\w+)", head, re.IGNORECASE).group(1))
            peer.ok(b"ok")
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {"sources": ["session_header"]}, "isolate": isolate}]
    with Upstream(script) as up, Weir(up, routes=routes, upstream_pool={"max_connections": 4, "max_per_endpoint": 4},
                                      upstream_options={"accounts": [account("a", max_connections=4)]}) as weir:
        for _ in range(3):
            for number in range(12):
                assert weir.ask("/", f"X-Session-Id: s{number}\r\n").status == 200
        assert len(set().union(*served.values())) == 12
        assert (max(len(it) for it in served.values()) == 1) == (isolate == "session")
        # A conversation keeps its connection, and no metric knows of any.
        before = len(served)
        for _ in range(3):
            assert weir.ask("/", "X-Session-Id: s11\r\n").status == 200
        assert len(served) == before
        assert "~" not in weir.admin("/metrics").text
        assert weir.metric("weir_pool_connections", pool="up") <= 4


def test_isolation_by_a_broken_endpoint():
    routes = [{"match": {"path": "/"}, "upstream": "up", "affinity": {"sources": ["session_header"]}, "isolate": "session"}]
    def script(peer):
        while peer.request() is not None:
            peer.ok(b"ok")
    with Upstream(script) as up, Weir([f"http://127.0.0.1:{dead_port()}", up.url], routes=routes) as weir:
        assert {weir.ask("/", f"X-Session-Id: s{n}\r\n").status for n in range(20)} == {200}


def test_isolation_needs_affinity(tmp_path):
    def said(route, **upstream):
        path = tmp_path / "weir.yaml"
        path.write_text(yaml_of({
            "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [
                {"match": {}, "upstream": "up", "isolate": "session", **route}]}],
            "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], "balance": "hash", **upstream}]}))
        done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr
    code, text = said({})
    assert code == 1 and "isolate: session needs affinity" in text
    code, text = said({"affinity": {}}, proxy_protocol="v2")
    assert code == 1 and "goes with neither" in text
    code, text = said({"affinity": {}})
    assert code == 0, text
