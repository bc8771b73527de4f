# SPDX-License-Identifier: Apache-2.0
"""Another configuration while it serves: all of it or nothing, and nobody notices who need not."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading

import certs
import pytest
from h2raw import H2
from test_tls import TlsClient, TlsUpstream
from wsraw import CLOSE, TEXT, WsClient, echo
from wsraw import upstream as ws_upstream
from weirtest import DEADLINE, WEIR, Client, Upstream, Weir, free_port, wait_for


class Live:
    """A gateway whose file is written anew."""

    def __init__(self, weir):
        self.weir = weir
        self.config = json.loads(weir.config_path.read_text())

    def write(self, config=None):
        self.weir.config_path.write_text(json.dumps(config if config is not None else self.config, indent=1))

    def reload(self, config=None):
        """Its status, and what it says."""
        self.write(config)
        answer = self.weir.admin("/api/v1/reload", "POST")
        return answer.status, json.loads(answer.text)

    def good(self, result="reloaded"):
        status, said = self.reload()
        assert (status, said["result"]) == (200, result), said
        return said


@contextlib.contextmanager
def live(upstream, **options):
    with Weir(upstream, **options) as weir:
        yield Live(weir)


@pytest.fixture(name="up")
def fixture_up():
    with Upstream() as upstream:
        yield upstream


def test_what_has_not_changed_changes_nothing(up):
    with live(up) as it:
        assert it.weir.ask().status == 200
        said = it.good("unchanged")
        assert said["count"] == 0 and said["generation"] == 1
        assert it.weir.metric("weir_config_reloads_total", result="unchanged") == 1


def test_a_route_is_another_for_the_next_request_of_the_same_client(up):
    with Upstream(lambda peer: peer.request() and peer.ok(b"other")) as other, live(up) as it, it.weir.client() as client:
        client.get()
        assert client.response().body == b"ok"
        it.config["upstreams"].append({"name": "other", "endpoints": [{"url": other.url}]})
        it.config["listeners"][0]["routes"] = [{"match": {"path": "/"}, "upstream": "other"}]
        said = it.good()
        paths = {row["path"]: row["change"] for row in said["changes"]}
        assert paths == {"listeners[web].routes": "changed", "upstreams[other]": "added"} and said["generation"] == 2
        client.get()
        assert client.response().body == b"other"
        assert it.weir.metric("weir_config_last_reload_successful") == 1
        assert it.weir.metric("weir_config_generations") in (1, 2)
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older one to end")


def test_connections_whose_key_is_the_same_serve_on(up):
    with Upstream() as other, live(up, workers=1) as it, it.weir.client() as client:
        client.get()
        assert client.response().status == 200
        for weight in range(1, 8):
            it.config["upstreams"][0]["endpoints"] = [{"url": up.url, "weight": weight},
                                                      {"url": other.url, "weight": 0}]
            it.config["upstreams"][0]["pool"] = {"max_connections": 10 + weight, "idle_timeout": "90s"}
            it.good()
            client.get()
            assert client.response().status == 200
        assert up.accepted == 1 and other.accepted == 0
        assert it.weir.metric("weir_pool_created_total", pool="up") == 1


BROKEN = [
    "listeners: [", "{", "listeners: 1", "colour: red", "\x01", "listeners: []", "a: &a [*a]", "log: {level: loud}",
    "upstreams:\n  - name: up\n", "listeners:\n - {name: web, address: nowhere}\n", "workers: -1", "workers: [1]", "- 1", "''",
    "include: nothing.yaml", "log: {level: info, level: info}", "listeners: [{name: a, address: '127.0.0.1:1', routes: [{upstream: b}]}]",
    "admin: {address: '0.0.0.0:9'}", "alerts: {error_rate: 7}", "clients: [{name: a}]",
]


def test_twenty_broken_files_leave_it_as_it_was(up):
    with live(up) as it, it.weir.client() as client:
        before = it.weir.admin("/api/v1/config").text
        for text in BROKEN:
            it.weir.config_path.write_text(text)
            answer = it.weir.admin("/api/v1/reload", "POST")
            said = json.loads(answer.text)
            assert answer.status == 400 and said["result"] == "invalid", (text, said)
            place = said["message"].split(": ")[0].rsplit(":", 2)
            assert place[0].endswith("weir.yaml") and int(place[1]) >= 1 and int(place[2]) >= 1, (text, said)
            client.get()
            assert client.response().status == 200
        assert len(BROKEN) == 20 and it.weir.admin("/api/v1/config").text == before
        assert it.weir.metric("weir_config_last_reload_successful") == 0
        assert it.weir.metric("weir_config_reloads_total", result="invalid") == 20
        it.good("unchanged")
        assert it.weir.metric("weir_config_last_reload_successful") == 1


def test_what_needs_a_restart_is_said_by_name_and_nothing_is_changed(up):
    with live(up) as it:
        before = it.weir.admin("/api/v1/config").text
        cases = {
            "workers": lambda c: c.update(workers=c["workers"] + 1),
            "sessions.max": lambda c: c.update(sessions={"max": 5}),
            "listeners[web].protocols": lambda c: c["listeners"][0].update(protocols=["http1"]),
            "upstreams[up].protocol": lambda c: c["upstreams"][0].update(protocol="h2"),
            "listeners[web].pool.max_per_ip": lambda c: c["listeners"][0].update(pool={"max_per_ip": 3}),
            "listeners[web].http1.max_header_bytes": None,
        }
        for path, change in cases.items():
            config = json.loads(json.dumps(it.config))
            if change is None:
                config["listeners"][0]["http1"] = {"max_header_bytes": "1MiB"}
                path = "listeners.http1.max_header_bytes"
            else:
                change(config)
            config["log"]["level"] = "debug"
            status, said = it.reload(config)
            assert status == 409 and said["result"] == "restart" and path in said["message"], (path, said)
        assert it.weir.admin("/api/v1/config").text == before


def test_a_listener_comes_and_goes(up):
    with live(up) as it:
        port = free_port()
        it.config["listeners"].append({"name": "more", "address": f"127.0.0.1:{port}",
                                       "routes": [{"match": {"path": "/"}, "upstream": "up"}]})
        it.good()
        with Client(port) as client:
            client.get()
            assert client.response().status == 200
            del it.config["listeners"][1]
            it.good()
            assert client.closed()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        assert it.weir.ask().status == 200
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older ones to end")
        it.config["listeners"].append({"name": "more", "address": f"127.0.0.1:{port}",
                                       "routes": [{"match": {"path": "/"}, "upstream": "up"}]})
        it.good()
        with Client(port) as client:
            client.get()
            assert client.response().status == 200


def test_a_listener_moves_and_its_clients_stay(up):
    with live(up) as it, it.weir.client() as client:
        client.get()
        assert client.response().status == 200
        port = free_port()
        it.config["listeners"][0]["address"] = f"127.0.0.1:{port}"
        it.good()
        client.get()
        assert client.response().status == 200
        with Client(port) as fresh:
            fresh.get()
            assert fresh.response().status == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", it.weir.port), timeout=DEADLINE)


# From the first to the second address, which have a port in common.
OVERLAPS = [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "[::]"), ("[::]", "127.0.0.1"), ("127.0.0.1", "127.0.0.2")]


def comes(host, port):
    with socket.create_connection((host, port), timeout=DEADLINE) as it:
        it.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        return it.recv(100).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before, after", OVERLAPS)
def test_a_listener_moves_to_another_address_of_its_port(up, before, after):
    with live(up) as it:
        port = free_port()
        it.config["listeners"][0]["address"] = f"{before}:{port}"
        it.good()
        it.weir.port = port
        with Client(port) as client:
            assert comes("127.0.0.1", port)
            it.config["listeners"][0]["address"] = f"{after}:{port}"
            it.good()
            client.get()
            assert client.response().status == 200
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            if host == after or after in ("0.0.0.0", "[::]"):
                assert comes(host, port)
            else:
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((host, port), timeout=DEADLINE)
        with pytest.raises(OSError):  # nobody gets in between who does not mean to
            socket.create_server((after if after != "[::]" else "127.0.0.1", port))


def test_who_connects_while_it_moves_is_served(up):
    """Again and again, with two workers: whoever connects is in the backlog of one socket or the other."""
    with live(up, workers=2) as it:
        port, over, served, failed = free_port(), threading.Event(), [], []

        def visit():
            while not over.is_set():
                try:
                    assert comes("127.0.0.1", port)
                    served.append(1)
                except Exception as error:  # whatever it is, the test has to hear of it
                    failed.append(error)

        it.config["listeners"][0]["address"] = f"127.0.0.1:{port}"
        it.good()
        visitors = [threading.Thread(target=visit, daemon=True) for _ in range(4)]
        for visitor in visitors:
            visitor.start()
        for number in range(20):
            it.config["listeners"][0]["address"] = f"{('0.0.0.0', '127.0.0.1')[number % 2]}:{port}"
            it.good()
            so_far = len(served)
            wait_for(lambda: len(served) > so_far + 20 or failed, "clients")  # noqa: B023
        over.set()
        for visitor in visitors:
            visitor.join(DEADLINE)
        assert not failed, failed[:5]


def test_listeners_change_their_addresses_and_names_with_each_other(up):
    with live(up) as it:
        first, second = free_port(), free_port()
        few = {"max_connections": 100}
        it.config["listeners"] = [{**it.config["listeners"][0], "name": name, "address": f"127.0.0.1:{port}", "pool": few}
                                  for name, port in (("a", first), ("b", second))]
        it.good()
        assert comes("127.0.0.1", first) and comes("127.0.0.1", second)
        for addresses in ((second, first), (first, second)):
            for listener, port in zip(it.config["listeners"], addresses):
                listener["address"] = f"127.0.0.1:{port}"
            it.good()
            assert comes("127.0.0.1", first) and comes("127.0.0.1", second)
        it.config["listeners"][0]["name"] = "c"
        it.good()
        assert comes("127.0.0.1", first) and comes("127.0.0.1", second)
        assert it.weir.metric("weir_http_requests_total", listener="c") == 1


def test_a_reload_that_fails_leaves_the_socket_as_it_was(up):
    with live(up) as it, socket.create_server(("127.0.0.1", 0)) as taken:
        port = free_port()
        it.config["listeners"][0]["address"] = f"127.0.0.1:{port}"
        it.good()
        it.config["listeners"][0]["address"] = f"0.0.0.0:{port}"
        it.config["listeners"].append({**it.config["listeners"][0], "name": "more",
                                       "address": f"127.0.0.1:{taken.getsockname()[1]}"})
        status, said = it.reload()
        assert status == 500 and "another program listens there" in said["message"], said
        assert comes("127.0.0.1", port)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=DEADLINE)


def test_an_address_that_is_taken_is_refused_and_nothing_is_changed(up):
    with live(up) as it, socket.create_server(("127.0.0.1", 0)) as taken:
        it.config["log"]["level"] = "debug"
        it.config["listeners"][0]["address"] = f"127.0.0.1:{taken.getsockname()[1]}"
        status, said = it.reload()
        assert status == 500 and said["result"] == "failed" and "another program listens there" in said["message"], said
        assert it.weir.ask().status == 200 and json.loads(it.weir.admin("/api/v1/config").text)["log"]["level"] == "info"
        assert it.weir.metric("weir_config_generations") == 1


def test_an_upstream_that_is_gone_serves_what_it_has_begun():
    held = threading.Event()

    def slow(peer):
        if peer.request():
            held.wait(DEADLINE)
            peer.ok(b"late")

    with Upstream(slow) as old, Upstream() as new, live(old) as it, it.weir.client() as client:
        client.get()
        wait_for(lambda: old.accepted == 1, "the request to arrive")
        it.config["upstreams"] = [{"name": "new", "endpoints": [{"url": new.url}]}]
        it.config["listeners"][0]["routes"] = [{"match": {"path": "/"}, "upstream": "new"}]
        it.good()
        assert it.weir.ask().body == b"ok"
        assert it.weir.metric("weir_config_generations") == 2
        held.set()
        assert client.response().body == b"late"
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older one to end")
        assert not any('pool="up"' in name for name in it.weir.metrics())


def test_log_level_is_live(up):
    with live(up) as it:
        it.config["log"]["level"] = "debug"
        it.good()
        with it.weir.client() as client:
            client.send(b"NONSENSE\r\n\r\n")
            client.response()
        wait_for(lambda: '"refused"' in it.weir.text() or "refused" in it.weir.text(), "a line of level debug")


def test_the_format_of_the_log_is_live(up):
    with live(up, workers=1) as it:
        it.config["log"].update(format="text", level="debug")
        it.good()
        def said(word):
            return any(not line.startswith("{") and word in line for line in it.weir.text().splitlines())
        wait_for(lambda: said("config_reload"), "the hub's line")
        with it.weir.client() as client:
            client.send(b"NONSENSE\r\n\r\n")
            client.response()
        wait_for(lambda: said("refused"), "a worker's line")


def test_what_the_process_may_have_is_live(up):
    with live(up) as it:
        def overload():
            return json.loads(it.weir.admin("/api/v1/process").text)["overload"]
        before = wait_for(lambda: overload()["descriptors_ratio"], "the first look")
        assert overload()["level"] == "calm"
        it.config["overload"] = {"memory": "1MiB", "descriptors": 200}
        it.good()
        found = wait_for(lambda: overload()["level"] == "refuse" and overload(), "the level")
        assert found["memory_max"] == 1 << 20 and found["descriptors_ratio"] > before * 2
        del it.config["overload"]
        it.good()
        found = wait_for(lambda: overload()["level"] == "calm" and overload(), "its end")
        assert found["memory_max"] != 1 << 20 and found["descriptors_ratio"] < before * 2


def test_a_signal_does_it_and_says_so(up):
    with live(up) as it:
        it.config["log"]["level"] = "warn"
        it.write()
        it.weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: it.weir.metric("weir_config_reloads_total", result="reloaded") == 1, "the reload")
        events = json.loads(it.weir.admin("/api/v1/events").text)["events"]
        assert any(row["event"] == "config_reload" and row["what"] == "reloaded" and row["who"] == "SIGHUP" for row in events), events
        it.weir.config_path.write_text("listeners: [")
        it.weir.process.send_signal(signal.SIGHUP)
        wait_for(lambda: it.weir.metric("weir_config_reloads_total", result="invalid") == 1, "the refusal")
        wait_for(lambda: "weir.yaml:2:1" in it.weir.text(), "the place in the log")


def test_many_at_once_are_one_after_the_other(up):
    with live(up) as it:
        said = []
        it.config["log"]["level"] = "debug"
        it.write()

        def ask():
            answer = it.weir.admin("/api/v1/reload", "POST")
            said.append((answer.status, json.loads(answer.text)["result"]))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        assert sorted(said) == [(200, "reloaded")] + [(200, "unchanged")] * 7


def test_put_is_in_force_once_the_tag_is_right(up):
    with live(up) as it:
        first = it.weir.admin("/api/v1/config")
        it.config["log"]["level"] = "debug"
        answer = it.weir.admin("/api/v1/config", "PUT", headers={"If-Match": '"0123456789abcdef"'}, body=json.dumps(it.config))
        assert answer.status == 412
        answer = it.weir.admin("/api/v1/config", "PUT", headers={"If-Match": first.getheader("ETag")}, body=json.dumps(it.config))
        assert answer.status == 200 and json.loads(answer.text)["result"] == "reloaded", answer.text
        assert json.loads(it.weir.admin("/api/v1/config").text)["log"]["level"] == "debug"
        assert answer.getheader("ETag") != first.getheader("ETag")


def test_the_command_prints_what_changed(up):
    with live(up) as it:
        admin = f"127.0.0.1:{it.weir.admin_port}"

        def run(*words):
            return subprocess.run([str(WEIR), "reload", "--admin", admin, *words], capture_output=True, text=True, timeout=DEADLINE)

        it.config["log"]["level"] = "warn"
        it.config["upstreams"].append({"name": "spare", "endpoints": [{"url": "http://127.0.0.1:1"}]})
        it.write()
        done = run()
        assert done.returncode == 0 and "~ log.level: info -> warn  (live)" in done.stdout, done
        assert "+ upstreams[spare]" in done.stdout and "generation 2" in done.stdout
        done = run("--reason", "a spare \"one\"")
        assert done.returncode == 0, done
        events = json.loads(it.weir.admin("/api/v1/events").text)["events"]
        assert [(e["what"], e["why"]) for e in events if e["event"] == "changed"] == [("reload", "a spare \"one\"")]
        it.weir.config_path.write_text("listeners: [")
        done = run()
        assert done.returncode == 1 and "weir.yaml:2:1" in done.stderr and not done.stdout, done
        assert it.weir.admin("/api/v1/reload", "POST", body='{"grace_ms": 1}').status == 400


def test_what_an_operator_says_of_an_endpoint_holds_for_requests_of_older_configurations():
    go_on = threading.Event()

    def script(peer):
        while peer.request() is not None:
            go_on.wait(DEADLINE)
            peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")

    with Upstream(script) as one, Upstream() as two, \
            live([one.url, {"url": two.url, "priority": 1}], upstream_options={
                "balance": "priority", "retry": {"on": [503], "budget": 1}}) as it, it.weir.client() as client:
        client.get()
        wait_for(lambda: one.requests == 1, "the request")
        it.config["log"]["level"] = "debug"
        it.good()
        assert it.weir.admin(f"/api/v1/endpoints/up/127.0.0.1:{two.port}/drain", "POST").status == 200
        go_on.set()
        assert client.final().status == 503 and two.requests == 0  # where else it would be tried again


@pytest.mark.parametrize("waits", [False, True], ids=["asks", "waits"])
def test_who_waits_for_a_connection_by_tls_gets_one_when_the_next_configuration_has_none(waits):
    """And so does who waits while the one after that has TLS again, by another certificate."""
    go_on = threading.Event()

    def script(peer):
        while peer.request() is not None:
            go_on.wait(DEADLINE)
            peer.ok(b"tls")

    options = {"protocol": "http1", "tls": {"verify": False}}
    with certs.Authority() as authority, TlsUpstream(authority.sign("localhost"), script) as old, Upstream() as new, \
            live(old, upstream_options=options, upstream_pool={"max_connections": 1, "max_uses": 1}, workers=1) as it, \
            it.weir.client() as client, it.weir.client() as other:
        client.get()
        wait_for(lambda: old.requests == 1, "the request")
        if waits:
            other.get()
            wait_for(lambda: it.weir.metric("weir_pool_waiting", pool="up") == 1, "the one that waits")
        it.config["upstreams"][0]["endpoints"] = [{"url": new.url}]
        it.good()
        go_on.set()
        assert client.final().body == b"tls"
        if waits:
            assert other.final().body == b"tls"
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older one to end")
        assert it.weir.ask().body == b"ok"
        it.config["upstreams"][0]["endpoints"] = [{"url": old.url}]
        it.config["upstreams"][0]["pool"]["min_idle"] = 1
        it.good()
        assert it.weir.ask().body == b"tls"


@contextlib.contextmanager
def ending_with_one_left(**listener):
    """(gateway, its last client, what has that one answered): the listener of that client was closed by a reload to another, which
    is so, and the program has been told to stop."""
    asked, answer = threading.Event(), threading.Event()

    def script(peer):
        while peer.request() is not None:
            asked.set()
            answer.wait(DEADLINE)
            peer.ok()

    with Upstream(script) as upstream, Weir(upstream, workers=2, pool={"drain_timeout": "60s"}) as weir, weir.client() as slow:
        slow.get()
        assert asked.wait(DEADLINE)
        config = json.loads(weir.config_path.read_text())
        config["listeners"][0].update(name="other", address=f"127.0.0.1:{free_port()}", **listener)
        weir.config_path.write_text(json.dumps(config))
        assert weir.admin("/api/v1/reload", "POST").status == 200
        weir.process.send_signal(signal.SIGTERM)
        draining = wait_for(lambda: json.loads(weir.admin("/api/v1/process").text)["draining"], "the drain")
        assert draining["clients"] == 1
        yield weir, slow, answer


def test_who_is_left_of_an_older_configuration_is_waited_for_at_the_end():
    """A listener that a reload has closed drains with the others when the program is told to stop."""
    with ending_with_one_left() as (weir, slow, answer):
        answer.set()
        assert slow.final().status == 200
        assert weir.process.wait(DEADLINE) == 0


def test_who_is_left_of_an_older_configuration_has_the_time_that_was_said_there():
    """Also where listeners in force give their clients less."""
    with ending_with_one_left(pool={"drain_timeout": "1s"}) as (weir, slow, answer):
        with pytest.raises(subprocess.TimeoutExpired):
            weir.process.wait(3)
        answer.set()
        assert slow.final().status == 200
        assert weir.process.wait(DEADLINE) == 0


def test_what_is_open_goes_on_through_reloads():
    go_on = threading.Event()

    def stream(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n")
            go_on.wait(DEADLINE)
            peer.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    with Upstream(stream) as events, ws_upstream(echo) as sockets, Upstream() as plain, live(plain, workers=2) as it:
        it.config["upstreams"] += [{"name": name, "endpoints": [{"url": up.url}]} for name, up in (("sse", events), ("ws", sockets))]
        it.config["listeners"][0]["routes"] = [{"match": {"path": f"/{name}"}, "upstream": name} for name in ("sse", "ws")] + [
            {"match": {"path": "/"}, "upstream": "up"}]
        it.good()
        with it.weir.client() as reader, WsClient(it.weir.port, path="/ws") as socket_, H2(it.weir.port) as h2:
            reader.get("/sse")
            wait_for(lambda: events.requests == 1, "the stream to begin")
            for turn in range(12):
                it.config["upstreams"][0]["endpoints"][0]["weight"] = 1 + turn
                it.config["upstreams"][1]["pool"] = {"idle_timeout": f"{10 + turn}s"}
                it.good()
                socket_.say(TEXT, f"turn {turn}")
                assert socket_.message() == f"turn {turn}".encode()
                number = h2.request()
                wait_for(lambda number=number: h2.take(0.01) and h2.stream(number).done or h2.stream(number).done, "its answer")
                assert h2.stream(number).status == 200 and h2.stream(number).reset is None
            go_on.set()
            assert reader.response().body == b"data: 1\n\ndata: 2\n\n"
            wait_for(lambda: it.weir.metric("weir_config_generations") == 2, "all but the WebSocket's to end")
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older ones to end")


def test_there_are_eight_at_most_and_the_eldest_is_let_go():
    with ws_upstream(echo) as sockets, live(sockets, pool={"drain_timeout": "1s"}) as it, contextlib.ExitStack() as stack:
        clients = []
        for turn in range(8):
            clients.append(stack.enter_context(WsClient(it.weir.port)))
            if turn == 7:
                break
            it.config["upstreams"][0]["endpoints"][0]["weight"] = 10 + turn
            it.good()
        assert it.weir.metric("weir_config_generations") == 8
        answers = []
        it.config["upstreams"][0]["endpoints"][0]["weight"] = 99
        last = threading.Thread(target=lambda: answers.append(it.reload()))
        last.start()
        said = clients[0].until_close()
        assert said is not None and said.opcode == CLOSE and said.code == 1001
        clients[0].close()
        last.join(DEADLINE)
        assert answers[0][0] == 200 and answers[0][1]["generation"] == 9, answers
        clients[1].say(TEXT, "still there")
        assert clients[1].message() == b"still there"


def test_a_drain_does_not_wait_for_a_reload_that_waits():
    with ws_upstream(echo) as sockets, live(sockets, pool={"drain_timeout": "1h"}) as it, contextlib.ExitStack() as stack:
        clients = []
        for turn in range(8):
            clients.append(stack.enter_context(WsClient(it.weir.port)))
            if turn < 7:
                it.config["upstreams"][0]["endpoints"][0]["weight"] = 10 + turn
                it.good()
        answers = []
        it.config["upstreams"][0]["endpoints"][0]["weight"] = 99
        last = threading.Thread(target=lambda: answers.append(it.reload()))
        last.start()
        assert clients[0].until_close().code == 1001  # who does not go
        it.weir.process.send_signal(signal.SIGTERM)
        last.join(DEADLINE)
        assert answers and answers[0][1]["result"] == "refused" and "drains" in answers[0][1]["message"], answers
        assert clients[7].until_close().code == 1001


def test_more_clients_than_at_first_are_counted_by_their_addresses(up):
    with live(up, pool={"max_connections": 1, "max_per_ip": 1}) as it, contextlib.ExitStack() as stack:
        it.config["listeners"][0]["pool"]["max_connections"] = 16
        it.good()
        for i in range(1, 9):
            client = stack.enter_context(it.weir.client(source=(f"127.0.0.{i}", 0)))
            client.get()
            assert client.response().status == 200
        assert it.weir.ask().status == 503


def test_another_certificate_is_shown_to_those_who_come(up):
    with certs.Authority() as authority:
        first, second = authority.sign("localhost", "127.0.0.1"), authority.sign("localhost", "127.0.0.1")
        with live(up, listener={"tls": {"certificate": first[0], "key": first[1]}}) as it, \
                TlsClient(it.weir.port, trust=authority.certificate) as client:
            shown = client.sock.getpeercert(binary_form=True)
            client.get(host="localhost")
            assert client.response().status == 200
            it.config["listeners"][0]["tls"] = {"certificate": second[0], "key": second[1]}
            it.good()
            client.get(host="localhost")
            assert client.response().status == 200
            with TlsClient(it.weir.port, trust=authority.certificate) as fresh:
                assert fresh.sock.getpeercert(binary_form=True) != shown
                fresh.get(host="localhost")
                assert fresh.response().status == 200


def test_what_was_made_ready_before_a_reload_is_not_taken_for_verified():
    with certs.Authority() as authority, certs.Authority() as stranger, \
            TlsUpstream(stranger.sign("localhost", "127.0.0.1")) as up, \
            live(up, workers=4, upstream_options={"tls": {"verify": False, "ca": str(authority.certificate)},
                                                  "pool": {"min_idle": 8}}) as it:
        assert it.weir.ask().status == 200
        del it.config["upstreams"][0]["tls"]["verify"]
        it.good()
        assert {it.weir.ask().status for _ in range(8)} <= {502, 503}
        assert up.requests == 1


def test_what_an_operator_said_stays_said(up):
    with Upstream() as other, live([up.url, other.url]) as it:
        name = f"127.0.0.1:{up.port}"
        assert it.weir.admin(f"/api/v1/endpoints/up/{name}/drain", "POST").status == 200
        it.config["upstreams"][0]["balance"] = "round_robin"
        it.good()
        for _ in range(4):
            assert it.weir.ask().status == 200
        assert up.requests == 0 and other.requests == 4
        assert it.weir.admin("/api/v1/pools/up/pause", "POST").status == 200
        it.config["upstreams"][0]["balance"] = "p2c"
        it.good()
        with it.weir.client() as client:
            client.get()
            wait_for(lambda: it.weir.metric("weir_listener_requests_total") == 5, "the request to come, and to wait")
            assert other.requests == 4
            assert it.weir.admin("/api/v1/pools/up/resume", "POST").status == 200
            assert client.response().status == 200


def test_who_waits_for_the_end_of_a_pause_goes_on_after_a_reload(up):
    with live(up, workers=1) as it, it.weir.client() as client:
        assert it.weir.admin("/api/v1/pools/up/pause", "POST").status == 200
        client.get()
        wait_for(lambda: it.weir.metric("weir_listener_requests_total") == 1, "the request to come, and to wait")
        it.config["upstreams"][0]["balance"] = "round_robin"
        it.good()
        assert up.requests == 0
        assert it.weir.admin("/api/v1/pools/up/resume", "POST").status == 200
        assert client.response().status == 200


@pytest.mark.soak
def test_under_load_a_hundred_reloads_fail_no_request():
    rounds = int(os.environ.get("WEIR_RELOADS", "100" if os.environ.get("WEIR_SOAK") else "30"))
    with Upstream() as one, Upstream() as two, Upstream() as three, live(one, workers=2) as it:
        urls = [one.url, two.url, three.url]
        ended, failures, done = threading.Event(), [], [0]

        def load():
            with it.weir.client() as client:
                while not ended.is_set():
                    client.get()
                    answer = client.response()
                    done[0] += 1
                    if answer.status != 200:
                        failures.append((answer.status, answer.body))

        def fresh():
            while not ended.is_set():
                answer = it.weir.ask()
                done[0] += 1
                if answer.status != 200:
                    failures.append((answer.status, answer.body))

        threads = [threading.Thread(target=load) for _ in range(6)] + [threading.Thread(target=fresh) for _ in range(2)]
        for thread in threads:
            thread.start()
        for turn in range(rounds):
            upstream = it.config["upstreams"][0]
            upstream["endpoints"] = [{"url": url, "weight": 1 + (turn + i) % 3} for i, url in enumerate(urls[:1 + turn % 3])]
            upstream["balance"] = ["p2c", "round_robin", "least_request"][turn % 3]
            if turn % 2 == 0:
                upstream["accounts"] = [{"name": f"a{i}", "headers": {"x-api-key": f"k{i}"}, "max_connections": 20 + turn % 5}
                                        for i in range(1 + turn % 4)]
            else:
                upstream.pop("accounts", None)
            it.config["listeners"][0]["routes"] = [{"match": {"path": "/"}, "upstream": "up", "limits": {"body": f"{1 + turn}MiB"}}]
            it.good()
        ended.set()
        for thread in threads:
            thread.join(DEADLINE)
        assert not failures, failures[:5]
        assert done[0] > rounds
        wait_for(lambda: it.weir.metric("weir_config_generations") == 1, "the older ones to end")
        assert it.weir.metric("weir_config_reloads_total", result="reloaded") == rounds
