# SPDX-License-Identifier: Apache-2.0
"""Accounts of an upstream of OpenClaw gateways: each has a token, a device and a proxy of its own, and requests, readers of
events and tunnelled clients go as one of them."""
import asyncio
import collections
import json
import subprocess

import pytest
import websockets

from openclawpeer import REAL, Real, connect, double
from peers import Server
from test_openclaw_gateway import Events, begin, code_of, post, told_of
from test_proxies import microsocks, tinyproxy
from weirtest import DEADLINE, WEIR, Weir, dead_port, wait_for, yaml_of

option = pytest.mark.option


def account(name, **more):
    return {"name": name, **more}


def weir_for(claw, *accounts, workers=1, **more):
    route = more.pop("route", {})
    return Weir([claw.http_url], workers=workers, routes=[{"upstream": "up", **route}],
                upstream_options={"protocol": "openclaw", "accounts": list(accounts), **more})


def row(weir, name):
    rows = json.loads(weir.admin("/api/v1/accounts").text)["accounts"]
    return next(it for it in rows if it["account"] == name)


def used(weir, total, count):
    """As which account the last ones of so many requests went."""
    rows = wait_for(lambda: len(weir.access()) >= total and weir.access(), "the access log")
    return collections.Counter(it["account"] for it in rows[-count:])


def tokens(claw):
    return collections.Counter(connect["auth"].get("token") for connect in claw.connects)


def pool_keys(weir, pool="openclaw:up"):
    return {key["key"].split("@")[0].split("//")[1]: key
            for key in json.loads(weir.admin("/api/v1/keys").text)["keys"] if key["pool"] == pool}


@option("upstreams.accounts.openclaw.token")
def test_each_account_has_a_connection_through_its_proxy():
    with double() as claw, microsocks() as one, tinyproxy() as two:
        ways = {"a": f"socks5://127.0.0.1:{one.port}", "b": f"http://127.0.0.1:{two.port}"}
        accounts = [account(name, proxy=way, openclaw={"token": "demo"}) for name, way in ways.items()]
        with weir_for(claw, *accounts) as weir:
            wait_for(lambda: claw.open == 2, "a connection of each account")
            for i in range(20):
                assert post(weir, "echo", {"i": i}).json() == {"i": i}
            assert set(used(weir, 20, 20)) == {"a", "b"}
            assert len(claw.connects) == 2
            keys = pool_keys(weir)
            assert {name: way in keys[name]["key"] for name, way in ways.items()} == {"a": True, "b": True}
            for way in ways.values():
                assert weir.metric("weir_proxy_connections", proxy=way) == 1
            assert "demo" not in "".join(weir.admin(f"/api/v1/{page}").text for page in ("config", "accounts", "keys", "events"))
            # A gateway's own client goes through the proxy of the account that it was given to.
            async def tunnelled():
                async with websockets.connect(f"ws://127.0.0.1:{weir.port}/") as ws:
                    assert json.loads(await ws.recv())["event"] == "connect.challenge"
                    wait_for(lambda: sum(weir.metric("weir_proxy_connections", proxy=way) for way in ways.values()) == 3,
                             "the tunnel at a proxy")
            asyncio.run(tunnelled())
            assert asyncio.run(connect(f"ws://127.0.0.1:{weir.port}", claw.token))["payload"]["type"] == "hello-ok"


@pytest.mark.parametrize("workers", [1, 3])
def test_no_account_goes_without_its_proxy(workers):
    """Where one's is gone the others serve; where none is left nobody does, and the gateway sees nobody come."""
    with double() as claw, microsocks() as one, microsocks() as two:
        accounts = [account(name, proxy=f"socks5://127.0.0.1:{proxy.port}", openclaw={"token": "demo"})
                    for name, proxy in (("a", one), ("b", two))]
        with weir_for(claw, *accounts, workers=workers, pool={"acquire_timeout": "1s"}) as weir:
            wait_for(lambda: claw.open == 2 * workers, "a connection of each account")
            one.stop()
            wait_for(lambda: claw.open == workers, "the end of one account's")
            for i in range(20):
                assert post(weir, "echo", {"i": i}).json() == {"i": i}
            assert used(weir, 20, 20) == {"b": 20}
            two.stop()
            wait_for(lambda: claw.open == 0, "the end of the other's")
            came = len(claw.upgrades)
            for _ in range(3):
                assert post(weir, "echo", {}).status in (502, 503)
            assert weir.ask("/readyz").status in (502, 503)
            assert len(claw.upgrades) == came


def test_a_refused_account_cools_down_and_others_serve():
    """Its token is tried once by all workers, nobody hears of it, and an operator is told why."""
    with double() as claw:
        accounts = [account("a", priority=1, openclaw={"token": "wrong"}), account("b", priority=2, openclaw={"token": "demo"})]
        with weir_for(claw, *accounts, workers=3) as weir:
            clients = [begin(weir, "echo", {"i": i}) for i in range(24)]
            for i, client in enumerate(clients):
                assert client.response("POST").json() == {"i": i}
                client.close()
            wait_for(lambda: row(weir, "a")["state"] == "cooling", "its cool-down")
            assert row(weir, "a")["reason"] == "unauthorized" and row(weir, "b")["state"] == "ready"
            assert tokens(claw)["wrong"] == 1
            assert [(event["account"], event["why"]) for event in told_of(weir)] \
                == [("a", "unauthorized: gateway token mismatch")]
            cooled = [event for event in json.loads(weir.admin("/api/v1/events").text)["events"] if event["event"] == "account_cooled"]
            assert [(event["account"], event["why"]) for event in cooled] == [("a", "unauthorized")]
            # Put right and cleared, it is asked at once; and the other one's token is good no more.
            claw.kill()
            claw.arguments[-1] = "wrong"
            claw.start()
            wait_for(lambda: row(weir, "b")["state"] == "cooling", "the other one's cool-down")
            answer = post(weir, "echo", {})
            assert answer.status == 429 and code_of(answer) == "accounts_cooling" and int(answer.header("retry-after")) > 60
            assert weir.admin("/api/v1/accounts/up/a/clear", method="POST").status == 200
            assert post(weir, "echo", {"i": 1}).json() == {"i": 1}


@pytest.mark.parametrize("what", ["accounts", "endpoints"])
def test_a_reload_in_another_order_would_show_tokens_to_others_and_is_refused(what):
    with double() as claw:
        accounts = [account("a", openclaw={"token": "demo"}), account("b", openclaw={"token": "other"})]
        options = {"protocol": "openclaw", "accounts": accounts}
        with Weir([claw.http_url, f"http://127.0.0.1:{dead_port()}"], upstream_options=options) as weir:
            config = json.loads(weir.config_path.read_text())
            config["upstreams"][0][what].reverse()
            config["log"]["level"] = "debug"
            weir.config_path.write_text(json.dumps(config))
            answer = weir.admin("/api/v1/reload", method="POST")
            assert answer.status == 409 and f"upstreams[up].{what}: in another order" in json.loads(answer.text)["message"], answer.text


@option("upstreams.accounts.openclaw.password")
def test_what_an_account_does_not_say_is_the_upstreams():
    with double(token="sesame") as claw:
        accounts = [account("a"), account("b", openclaw={"password": "sesame"})]
        with weir_for(claw, *accounts, openclaw={"token": "sesame"}) as weir:
            wait_for(lambda: claw.open == 2, "a connection of each account")
            assert sorted(map(json.dumps, (connect["auth"] for connect in claw.connects))) \
                == ['{"password": "sesame"}', '{"token": "sesame"}']
            assert post(weir, "echo", {}).status == 200


@option("upstreams.accounts.openclaw.identity")
def test_each_account_is_a_device_of_its_own(tmp_path):
    files = [tmp_path / name for name in ("a.json", "b.json")]
    accounts = [account(file.stem, openclaw={"token": "demo", "identity": str(file)}) for file in files]
    with double() as claw:
        with weir_for(claw, *accounts) as weir:
            wait_for(lambda: claw.open == 2, "a connection of each account")
            devices = {connect["device"]["id"] for connect in claw.connects}
            assert len(devices) == 2 and post(weir, "echo", {}).status == 200
        kept = [json.loads(file.read_text()) for file in files]
        assert len({one["tokens"][0]["token"] for one in kept}) == 2


def test_limits_hold_for_requests_to_the_gateway():
    with double() as claw:
        accounts = [account(name, concurrent=1, openclaw={"token": "demo"}) for name in "ab"]
        with weir_for(claw, *accounts, workers=2) as weir:
            clients = [begin(weir, "hold", {"i": i}) for i in range(4)]
            for more in (2, 4):
                wait_for(lambda: len(claw.requests) >= more, "two at a time")
                assert len(claw.requests) == more
                assert [row(weir, name)["in_flight"] for name in "ab"] == [1, 1]
                claw.behave(release=True)
            for client in clients:
                assert client.response("POST").status == 200
                client.close()


def test_a_conversation_stays_with_its_account():
    affinity = {"affinity": {"sources": ["session_header"]}}
    with double() as claw:
        accounts = [account(name, openclaw={"token": "demo"}) for name in "abc"]
        with weir_for(claw, *accounts, workers=2, route=affinity) as weir:
            seen = []
            for number in range(8):
                for _ in range(4):
                    answer = weir.ask("/openclaw/up/echo", method="POST", body=b"{}",
                                      headers=f"X-Session-Id: s{number}\r\nContent-Length: 2\r\n")
                    assert answer.status == 200
                seen.append(used(weir, 4 * (number + 1), 4))
                assert len(seen[-1]) == 1, seen
            assert len({next(iter(one)) for one in seen}) > 1


def test_a_conversation_whose_account_is_away_for_a_moment_is_served_by_another_and_comes_back():
    with double() as claw, microsocks() as one, microsocks() as two:
        proxies = {"a": one, "b": two}
        accounts = [account(name, proxy=f"socks5://127.0.0.1:{proxy.port}", openclaw={"token": "demo"})
                    for name, proxy in proxies.items()]
        with weir_for(claw, *accounts, route={"affinity": {"sources": ["session_header"]}},
                      pool={"retry_first": "60s", "retry_cap": "60s"}) as weir:
            def ask():
                return weir.ask("/openclaw/up/echo", method="POST", body=b"{}", headers="X-Session-Id: s\r\nContent-Length: 2\r\n")

            def stands(name, state):
                return pool_keys(weir)[name]["state"] == state
            wait_for(lambda: claw.open == 2, "a connection of each account")
            assert ask().status == 200
            home = next(iter(used(weir, 1, 1)))
            other = "b" if home == "a" else "a"
            proxies[home].stop()
            wait_for(lambda: stands(home, "backing_off"), "the failure of a dial")
            answer = ask()
            assert answer.status == 200 and answer.header("x-weir-session") == "spill" and used(weir, 2, 1) == {other: 1}
            with Server(proxies[home].process.args, proxies[home].port):  # it comes back
                assert weir.admin("/api/v1/pools/openclaw:up/reconnect", "POST").status == 200
                wait_for(lambda: stands(home, "up"), "an end of the pause")
                answer = ask()
                assert answer.status == 200 and answer.header("x-weir-session") == "hit" and used(weir, 3, 1) == {home: 1}
                assert "session_rebound" not in weir.admin("/api/v1/events").text


def test_why_a_conversation_moves_is_told():
    """For its own account's cool-down, though the connection of the one that it goes to is in doubt."""
    affinity = {"affinity": {"sources": ["session_header"]}}
    with double(token="other") as claw:
        accounts = [account("a", weight=10000, openclaw={"token": "wrong"}), account("b", weight=1, openclaw={"token": "demo"})]
        with weir_for(claw, *accounts, route=affinity, pool={"down_for": "200ms"}) as weir:
            wait_for(lambda: [pool_keys(weir)[name]["state"] for name in "ab"] == ["trial"] * 2, "the end of down_for")
            claw.kill()
            claw.arguments[-1] = "demo"
            claw.start()
            assert weir.admin("/api/v1/accounts/up/b/clear", method="POST").status == 200
            answer = weir.ask("/openclaw/up/echo", method="POST", body=b"{}", headers="X-Session-Id: s\r\nContent-Length: 2\r\n")
            assert answer.status == 200
            rows = json.loads(weir.admin("/api/v1/events").text)["events"]
            assert [(row["from"], row["account"], row["why"]) for row in rows if row["event"] == "session_rebound"] == [("a", "b", "cooldown")]


def test_a_reader_hears_each_event_once():
    with double() as claw:
        accounts = [account(name, openclaw={"token": "demo"}) for name in "ab"]
        with weir_for(claw, *accounts) as weir:
            wait_for(lambda: claw.open == 2, "a connection of each account")
            readers = [Events(weir) for _ in range(3)]
            for n in range(5):
                claw.event("chat", {"n": n})
            claw.event("last", {})
            for reader in readers:
                reader.until(b"event: last\n")
                assert reader.text.count(b"event: chat\n") == 5
                reader.client.close()


def test_requests_by_http_bear_the_accounts_fields():
    with double() as claw:
        accounts = [account("a", headers={"authorization": "Bearer demo"}, openclaw={"token": "demo"})]
        with weir_for(claw, *accounts) as weir:
            body = b'{"tool":"nothing"}'
            for shown in ("", "Authorization: Bearer mine\r\n"):
                answer = weir.ask("/tools/invoke", method="POST", body=body,
                                  headers=f"{shown}Content-Length: {len(body)}\r\n")
                assert (answer.status, answer.body) == (200, body)


def test_an_account_that_cannot_be_reached_waits_for_no_request():
    with double() as claw:
        accounts = [account("a", priority=1, proxy=f"socks5://127.0.0.1:{dead_port()}", openclaw={"token": "demo"}),
                    account("b", priority=2, openclaw={"token": "demo"})]
        with weir_for(claw, *accounts, workers=2) as weir:
            for i in range(20):
                assert post(weir, "echo", {"i": i}).json() == {"i": i}
            assert used(weir, 20, 20) == {"b": 20}


if REAL:
    def test_the_real_one_refuses_one_account_once():
        real = Real().start()
        try:
            with microsocks() as proxy:
                way = f"socks5://127.0.0.1:{proxy.port}"
                accounts = [account("a", priority=1, openclaw={"token": "wrong"}),
                            account("b", priority=2, proxy=way, openclaw={"token": real.token})]
                with weir_for(real, *accounts, workers=4) as weir:
                    clients = [begin(weir, "health", {}) for _ in range(16)]
                    assert all(client.response("POST").json()["ok"] for client in clients)
                    for client in clients:
                        client.close()
                    assert row(weir, "a")["reason"] == "unauthorized"
                    assert weir.metric("weir_openclaw_denied_total", upstream="up") == 1
                    assert weir.metric("weir_openclaw_handshakes_total", upstream="up") <= 1 + 4
                    assert weir.metric("weir_proxy_connections", proxy=way) >= 1
        finally:
            real.stop()


@pytest.mark.parametrize("upstream, said", [
    ({"protocol": "openclaw", "openclaw": {"identity": "d.json"}, "accounts": [account("a"), account("b")]},
     "accounts a and b would be one device"),
    ({"accounts": [account("a", openclaw={"token": "T"})]}, "account a: openclaw needs protocol: openclaw"),
])
def test_what_does_not_go_together_is_refused(tmp_path, upstream, said):
    conf = tmp_path / "weir.yaml"
    conf.write_text(yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], **upstream}]}))
    check = subprocess.run([str(WEIR), "check", "-c", str(conf)], capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert check.returncode == 1 and said in check.stdout + check.stderr
