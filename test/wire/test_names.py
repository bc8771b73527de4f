# SPDX-License-Identifier: Apache-2.0
"""Names that move: connections follow, and no request is lost."""
import contextlib
import json
import os
import pathlib
import subprocess
import threading

import pytest

import openclawpeer
from dnspeer import NameServer
from weirtest import DEADLINE, ROOT, Client, Upstream, Weir, free_port, wait_for
from wsraw import upstream

option = pytest.mark.option


@contextlib.contextmanager
def two_places():
    """Two servers on one port of two addresses, that say who they are."""
    def saying(word):
        def script(peer):
            while peer.request() is not None:
                peer.ok(word)
        return script
    port = free_port()
    with Upstream(saying("old"), address=("127.0.0.2", port)) as old, \
            Upstream(saying("new"), address=("127.0.0.3", port)) as new:
        yield port, old, new


class Load:
    """Clients that ask one request after the other; every answer is kept."""

    def __init__(self, weir, clients=4):
        self.answers, self.ended = [], threading.Event()
        self.threads = [threading.Thread(target=self._ask, args=(weir.port,), daemon=True) for _ in range(clients)]
        for thread in self.threads:
            thread.start()

    def _ask(self, port):
        with Client(port) as client:
            while not self.ended.is_set():
                answer = client.get().final()
                self.answers.append((answer.status, answer.body) if answer is not None else None)
                self.ended.wait(0.002)

    def stop(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)
        return self.answers


@option("dns.servers")
def test_connections_follow_a_name_and_no_request_is_lost():
    with two_places() as (port, old, new), NameServer({"moves.test": ["127.0.0.2"]}) as names, \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address]}, workers=2,
                 upstream_pool={"max_age": "2s", "jitter": 0, "max_per_endpoint": 4}) as weir:
        load = Load(weir)
        wait_for(lambda: load.answers.count((200, b"old")) > 50, "answers of the old place")
        names.names["moves.test"] = ["127.0.0.3"]
        wait_for(lambda: (200, b"new") in load.answers[-20:] and (200, b"old") not in load.answers[-20:],
                 "answers of the new place")
        answers = load.stop()
        assert set(answers) == {(200, b"old"), (200, b"new")}
        wait_for(lambda: all(peer.sock.fileno() < 0 for peer in old.peers), "the old connections to be gone")
        assert weir.metric("weir_http_requests_total", upstream="up", code="200") == len(answers)


def test_what_vanished_retires_long_before_its_age():
    with two_places() as (port, old, new), NameServer({"moves.test": ["127.0.0.2"]}) as names, \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address]}) as weir:
        assert weir.ask().body == b"old"
        names.names["moves.test"] = ["127.0.0.2", "127.0.0.3"]  # more of them: nothing goes
        seen = names.count("moves.test")
        wait_for(lambda: names.count("moves.test") > seen + 3, "look-ups")
        assert weir.metric("weir_pool_closed_total", pool="up") == 0
        names.names["moves.test"] = ["127.0.0.3"]
        wait_for(lambda: weir.metric("weir_pool_closed_total", pool="up", reason="address") == 1,
                 "the connection to retire")
        assert weir.ask().body == b"new"
        assert (old.accepted, new.accepted) == (1, 1)


def test_a_name_nobody_uses_is_not_asked_for():
    with two_places() as (port, _, _), NameServer({"moves.test": ["127.0.0.2"]}) as names, \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address]},
                 upstream_pool={"idle_timeout": "100ms"}) as weir:
        assert names.asked == []
        assert weir.ask().status == 200
        wait_for(lambda: weir.metric("weir_pool_closed_total", pool="up", reason="timeout") == 1, "idle time-out")
        asked = names.count("moves.test")
        assert asked == 1
        assert weir.ask().status == 200  # asked for again, not from what is too old


@option("dns.ttl_max")
def test_ttl_max():
    """An answer that may be kept for an hour is asked for again after a second."""
    with two_places() as (port, _, _), NameServer({"moves.test": ["127.0.0.2"]}, ttl=3600) as names, \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address], "ttl_max": "1s"}) as weir:
        assert weir.ask().status == 200
        wait_for(lambda: names.count("moves.test") >= 3, "look-ups")
    with two_places() as (port, _, _), NameServer({"moves.test": ["127.0.0.2"], "other.test": ["127.0.0.2"]},
                                                  ttl=3600) as names, \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address]}) as weir:
        for _ in range(3):
            assert weir.ask().status == 200
        assert names.count("moves.test") == 1


# --- WebSocket and OpenClaw ----------------------------------------------------------------------


@contextlib.contextmanager
def two_gateways():
    port = free_port()
    with openclawpeer.double(address="127.0.0.2", port=port) as old, \
            openclawpeer.double(address="127.0.0.3", port=port) as new, \
            NameServer({"moves.test": ["127.0.0.2"]}) as names:
        yield port, old, new, names


def move(names, old):
    """More addresses take nothing away; another one does."""
    names.names["moves.test"] = ["127.0.0.2", "127.0.0.3"]
    seen = names.count("moves.test")
    wait_for(lambda: names.count("moves.test") > seen + 3, "look-ups")
    assert old.open == 1
    names.names["moves.test"] = ["127.0.0.3"]


def test_the_gateway_follows_an_openclaw_gateway_and_loses_no_request():
    with two_gateways() as (port, old, new, names), \
            Weir([f"http://moves.test:{port}"], dns={"servers": [names.address]}, workers=1,
                 upstream_options={"protocol": "openclaw", "openclaw": {"token": "demo"}}) as weir:
        def post(method):
            return weir.ask(f"/openclaw/up/{method}", headers="Content-Length: 2\r\n", method="POST", body=b"{}")
        assert post("echo").status == 200 and old.open == 1
        with weir.client() as client:
            client.send('POST /openclaw/up/hold HTTP/1.1\r\nHost: t\r\nContent-Length: 7\r\n\r\n{"a":1}')
            wait_for(lambda: len(old.requests) == 2, "the one that is held")
            move(names, old)
            wait_for(lambda: names.count("moves.test") > 8, "look-ups after it has moved")
            old.behave(release=True)
            assert client.response("POST").json() == {"a": 1}
        wait_for(lambda: (old.open, new.open) == (0, 1), "the connection to have moved")
        assert post("echo").status == 200 and len(new.requests) == 1
        assert weir.metric("weir_pool_closed_total", pool="openclaw:up", reason="address") == 1


def test_the_librarys_client_follows_an_openclaw_gateway():
    with two_gateways() as (port, old, new, names), openclawpeer.tool(f"dns={names.address}") as client:
        client.ask("gateway", "a", f"ws://moves.test:{port}", "token=demo")
        assert client.call("a", "health")["ok"] and old.open == 1
        move(names, old)
        client.until(lambda: client.count("connection_removed") == 1)
        assert client.pool_events[-1]["why"] == "address"
        assert client.call("a", "health")["ok"]
        assert [method for method, _ in new.requests] == ["health"] and client.info("a")["errors"] == 0


def test_lines_for_websockets_follow_a_name_and_open_ones_stay():
    build = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev"))
    places, port = {}, free_port()

    def told(ws):
        ws.say(1, "hello")  # echoed by the tool
        places[ws] = True
        while (frame := ws.frame()) is not None and frame.opcode == 1:
            places[ws] = frame.data

    with upstream(told, address=("127.0.0.2", port)) as old, upstream(told, address=("127.0.0.3", port)) as new, \
            NameServer({"moves.test": ["127.0.0.2"]}) as names:
        tool = subprocess.Popen([build / "test/ws_tool", "--workers", "1", "--dns", names.address, "--spare", "1",
                                 "dial"], stdin=subprocess.PIPE, text=True)
        try:
            def dial():
                tool.stdin.write(f"ws://moves.test:{port}/\n")
                tool.stdin.flush()
            dial()
            wait_for(lambda: old.accepted == 2 and list(places.values()) == [b"hello"], "one open, one spare")
            names.names["moves.test"] = ["127.0.0.3"]
            wait_for(lambda: new.accepted == 1, "the spare one to have moved", DEADLINE / 2)  # theirs hangs up later
            wait_for(lambda: [peer.sock.fileno() < 0 for peer in old.peers].count(True) == 1, "the old one to go")
            dial()
            wait_for(lambda: list(places.values()) == [b"hello"] * 2, "one at the new place, one still at the old")
        finally:
            tool.stdin.close()
            assert tool.wait(DEADLINE) == 0
