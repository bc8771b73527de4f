# SPDX-License-Identifier: Apache-2.0
"""A proxy for each account: checks, probes and trials take the ways that requests take, and none goes without."""
import json
import re
import socket
import subprocess
import threading

import pytest

import weirtest
from proxies import PASSWORD
from test_accounts import account
from test_proxies import microsocks, tinyproxy
from weirtest import Upstream, Weir, dead_port, wait_for

option = pytest.mark.option


def url_of(proxy, credentials=""):
    return f"socks5://{credentials}127.0.0.1:{proxy.port}"


# --- health checks --------------------------------------------------------------------------------


def checked(up, *accounts, **more):
    return Weir(up, upstream_options={"accounts": list(accounts), "health": {
        "path": "/up", "interval": "50ms", "recovery": "50ms", "failures": 2}, **more})


def is_healthy(weir):
    return json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"][0]["healthy"]


@option("upstreams.accounts.proxy")
def test_checks_take_the_accounts_ways_and_never_go_without():
    with Upstream() as up, microsocks() as proxy, checked(
            up, account("a1", proxy=f"socks5://127.0.0.1:{dead_port()}"), account("a2", proxy=url_of(proxy))) as weir:
        wait_for(lambda: up.requests >= 3, "checks by the way that is open")
        assert is_healthy(weir)
        proxy.stop()
        wait_for(lambda: not is_healthy(weir), "the endpoint to be found down")
        before = up.accepted
        wait_for(lambda: weir.ask().status == 503, "its requests to be refused")
        assert up.accepted == before


def test_checks_go_directly_where_some_account_does(tmp_path):
    accounts = account("a1", proxy=f"socks5://127.0.0.1:{dead_port()}"), account("a2")
    with Upstream() as up, checked(up, *accounts):
        wait_for(lambda: up.requests >= 2, "checks")
    said = check(tmp_path, "http://127.0.0.1:1", accounts, health={"path": "/up"}).stdout
    assert "advice: upstream up: health checks belong to no account and go without this proxy" in said
    said = check(tmp_path, "http://127.0.0.1:1", accounts[:1], health={"path": "/up"}).stdout
    assert "health checks" not in said


# --- weir check --probe ---------------------------------------------------------------------------


def check(tmp_path, url, accounts, *words, **more):
    conf = tmp_path / "weir.yaml"
    conf.write_text(weirtest.yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": url}], "accounts": list(accounts), **more}]}))
    return subprocess.run([str(weirtest.WEIR), "check", *words, "-c", str(conf)], capture_output=True, text=True, check=True)


def test_check_probes_each_accounts_way_and_no_other(tmp_path):
    with Upstream() as up, microsocks("me", PASSWORD) as one, tinyproxy() as two:
        good, bad = url_of(one, f"me:{PASSWORD}@"), url_of(one, "me:wrong@")
        accounts = [account("a1", proxy=good), account("a2", proxy=bad), account("a3", proxy=good),
                    account("a4", proxy=f"http://127.0.0.1:{two.port}")]
        name = f"up/127.0.0.1:{up.port}"
        said = check(tmp_path, up.url, accounts, "--probe").stdout.splitlines()
        assert said[0].startswith(f"{name} as a1, a3: connected in ") and said[0].endswith(" from the proxy on")
        assert said[1].startswith(f"{name} as a2: advice: cannot connect (proxy): ")
        assert said[2].startswith(f"{name} as a4: connected in ") and len(said) == 4
        assert up.accepted == 2

        told = json.loads(check(tmp_path, up.url, accounts, "--probe", "--format", "json").stdout)
        assert told["valid"] and [(way["accounts"], way["open"], way["step"]) for way in told["probes"]] \
            == [(["a1", "a3"], True, None), (["a2"], False, "proxy"), (["a4"], True, None)]
        assert all(way["upstream"] == "up" and way["endpoint"] == name[3:] for way in told["probes"])
        assert 0 < told["probes"][0]["exit_seconds"] <= told["probes"][0]["seconds"]
        assert PASSWORD not in json.dumps(told) + "".join(said)


def test_check_probes_directly_where_an_account_goes_so(tmp_path):
    with Upstream() as up:
        said = check(tmp_path, up.url, [account("a1"), account("a2", proxy=f"socks5://127.0.0.1:{dead_port()}")],
                     "--probe").stdout
        assert "as a1: connected in " in said and "as a2: advice: cannot connect (connect): " in said
        assert "from the proxy on" not in said and up.accepted == 1


@pytest.mark.parametrize("version, begins", [("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20")])
def test_check_names_itself_to_who_wants_a_proxy_header(tmp_path, version, begins):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(weirtest.DEADLINE)
        said = check(tmp_path, f"http://127.0.0.1:{server.getsockname()[1]}", [], "--probe", proxy_protocol=version).stdout
        assert "connected in" in said
        peer, _ = server.accept()
        with peer:
            peer.settimeout(weirtest.DEADLINE)
            assert peer.recv(1024, socket.MSG_WAITALL).startswith(begins)


# --- POST /api/v1/proxies/test --------------------------------------------------------------------


def test_an_accounts_proxy_is_tried():
    def tried(weir, status=200, **body):
        answer = weir.admin("/api/v1/proxies/test", "POST", {}, json.dumps({"upstream": "up", **body}))
        assert answer.status == status, answer.text
        assert PASSWORD not in answer.text
        return json.loads(answer.text)
    with Upstream() as up, microsocks("me", PASSWORD) as proxy:
        accounts = [account("a0"), account("a1", proxy=url_of(proxy, "me:wrong@")),
                    account("a2", proxy=url_of(proxy, f"me:{PASSWORD}@"))]
        with Weir(up, upstream_options={"accounts": accounts}) as weir:
            assert tried(weir, account="a2")["open"]
            wait_for(lambda: up.accepted == 1, "who was tried")
            said = tried(weir, account="a1")
            assert (said["open"], said["step"]) == (False, "proxy")
            assert tried(weir)["step"] == "proxy"  # the first that has one
            assert tried(weir, 400, account="a0")["error"]["message"] == "the account has no proxy"
            assert tried(weir, 404, account="x")["error"]["message"] == "there is no such account"
        shared = {"accounts": accounts, "proxy": f"socks5://127.0.0.1:{dead_port()}"}
        with Weir(up, upstream_options=shared) as weir:
            assert tried(weir)["step"] == tried(weir, account="a0")["step"] == "connect"
            assert tried(weir, account="a2")["open"]
            wait_for(lambda: up.accepted == 2, "who was tried")


# --- limits ---------------------------------------------------------------------------------------


@option("upstreams.proxy_limits.max_connections")
def test_a_proxy_of_two_accounts_has_one_limit_and_another_one_its_own():
    held, seen = threading.Event(), []

    def script(peer):
        while (request := peer.request()) is not None:
            seen.append(re.search(rb"(?i)x-api-key: (\S+)", request[0])[1])
            if b"/hold" in request[0]:
                held.wait(20)
            peer.ok()
    with Upstream(script) as up, microsocks() as shared, microsocks() as other:
        accounts = [account("a1", proxy=url_of(shared), models=["m1"]), account("a2", proxy=url_of(shared), models=["m2"]),
                    account("a3", proxy=url_of(other), models=["m3"])]
        with Weir(up, upstream_options={"accounts": accounts, "proxy_limits": {"max_connections": 1},
                                        "pool": {"connect_timeout": "2s"}}) as weir:
            def ask(model, path="/"):
                body = json.dumps({"model": model})
                return weir.client().send(f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                                          f"Content-Length: {len(body)}\r\n\r\n{body}")
            with ask("m1", "/hold") as first:
                wait_for(lambda: seen == [b"k-a1"], "the one that holds the place")
                with ask("m2") as second, ask("m3") as third:
                    assert third.response("POST").status == 200  # by its own proxy
                    assert second.response("POST").status == 503
                assert seen == [b"k-a1", b"k-a3"] and up.accepted == 2
                held.set()
                assert first.response("POST").status == 200
            for model in ("m2", "m1", "m2"):  # what the one has idle goes for the other
                with ask(model) as again:
                    assert again.response("POST").status == 200
            assert weir.metric("weir_proxy_places") <= 2
