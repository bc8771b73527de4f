# SPDX-License-Identifier: Apache-2.0
"""Endpoints that come and go: from DNS, from a file, from a URL."""
import contextlib
import http.server
import json
import os
import subprocess
import threading
import time

import certs
import pytest

from dnspeer import AAAA, NameServer
from test_names import Load
from test_tls import TlsUpstream
from upgrading import Upgraded
from weirtest import WEIR, Upstream, Weir, free_port, wait_for

option = pytest.mark.option


class Server(Upstream):
    """Says who it is."""

    def __init__(self, name, address=("127.0.0.1", 0)):
        self.name = name

        def serve(peer):
            while peer.request() is not None:
                peer.ok(name)
        super().__init__(serve, address)


class ListServer:
    """An HTTP server that has a list; what it is asked is kept."""

    def __init__(self):
        self.text, self.status, self.etag, self.delay, self.asked = b"[]", 200, None, threading.Event(), []
        self.delay.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.asked.append(dict(self.headers))
                outer.delay.wait(20)
                known = outer.etag is not None and self.headers.get("If-None-Match") == outer.etag
                body = b"" if known else outer.text
                self.send_response(304 if known else outer.status)
                if outer.etag is not None:
                    self.send_header("ETag", outer.etag)
                if not known:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/endpoints"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.delay.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)

    def say(self, *servers, **of):
        self.text = json.dumps([{"url": server.url, **of} for server in servers]).encode()


def write(path, text):
    """As one should: another file, renamed."""
    new = path.with_name(path.name + ".new")
    new.write_text(text if isinstance(text, str) else json.dumps(text))
    os.replace(new, path)


def asked(weir, count=20):
    """The names of those who answered so many requests."""
    with weir.client() as client:
        answers = [client.get(f"/{i}").final() for i in range(count)]
    assert {answer.status for answer in answers} == {200}
    return {answer.body.decode() for answer in answers}


def rows(weir):
    return {row["endpoint"]: row for row in json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]}


def state(weir):
    return json.loads(weir.admin("/api/v1/discovery").text)["discovery"][0]


def discovering(discover, endpoints=None, balance="round_robin", program=Weir, **options):
    upstream = {"balance": balance, "discover": discover, "outlier": {"slow_start": "1ms"},
                **options.pop("upstream_options", {})}
    return program(endpoints if endpoints is not None else [], upstream_options=upstream, **options)


@pytest.fixture(name="three")
def fixture_three():
    with Server("a") as a, Server("b") as b, Server("c") as c:
        yield a, b, c


def place(server):
    return f"127.0.0.1:{server.port}"


def events(weir, *kinds):
    found = json.loads(weir.admin("/api/v1/events").text)["events"]
    return [(row["event"], row) for row in found if row["event"] in kinds]


def reload_with(weir, change):
    config = json.loads(weir.config_path.read_text())
    change(config)
    weir.config_path.write_text(json.dumps(config))
    answer = weir.admin("/api/v1/reload", "POST")
    assert answer.status == 200, answer.text
    return json.loads(answer.text)


# --- files -----------------------------------------------------------------------------------------------------------

@option("upstreams.discover.file")
def test_a_file_is_read_again_when_it_is_another(three, tmp_path):
    a, b, c = three
    path = tmp_path / "endpoints.yaml"
    write(path, f"- {a.url}\n- url: {b.url}\n")
    with discovering({"file": str(path)}) as weir:
        assert asked(weir) == {"a", "b"}
        write(path, [b.url, {"url": c.url, "zone": "here", "weight": 7, "priority": 2}])
        wait_for(lambda: asked(weir) == {"b", "c"}, "the other list")
        row = rows(weir)[place(c)]
        assert (row["zone"], row["weight"], row["priority"]) == ("here", 7, 2)
        shown = state(weir)
        assert (shown["upstream"], shown["source"], shown["state"], shown["endpoints"]) == ("up", "file", "current", 2)
        assert weir.metric("weir_config_reloads_total", result="reloaded") == 0
        (_, event), = events(weir, "endpoints_changed")
        assert event["pool"] == "up" and f"+{place(c)}" in event["what"] and f"-{place(a)}" in event["what"], event
        table = subprocess.run([str(WEIR), "show", "discovery", "--admin", f"127.0.0.1:{weir.admin_port}"],
                               capture_output=True, text=True, check=True).stdout
        assert [line.split()[:4] for line in table.splitlines()][1] == ["up", "file", "current", "2"], table


def test_a_file_is_replaced_under_load_and_no_request_fails(three, tmp_path):
    path = tmp_path / "endpoints.json"
    sets = [three[:1], three[1:], three, three[::2], three[:2]]
    write(path, [server.url for server in three])
    with discovering({"file": str(path)}, workers=2, upstream_options={"retry": {"on": [], "budget": 0}}) as weir:
        load = Load(weir)
        for servers in sets:
            write(path, [server.url for server in servers])
            wait_for(lambda servers=servers: set(rows(weir)) == {place(server) for server in servers}, "the other list")
            seen, names = len(load.answers), {server.name.encode() for server in servers}
            wait_for(lambda seen=seen: len(load.answers) > seen + 100, "answers")
            late = {answer[1] for answer in load.answers[seen + 50:]}
            assert late <= names, (late, names)
        answers = load.stop()
        assert {answer[0] for answer in answers} == {200}
        assert weir.metric("weir_discovery_looks_total", upstream="up", result="changed") == 6


def test_endpoints_that_stay_keep_their_connections_and_those_that_go_end_theirs(three, tmp_path):
    a, b, _ = three
    path = tmp_path / "endpoints.json"
    write(path, [a.url, b.url])
    with discovering({"file": str(path)}, workers=1) as weir:
        assert asked(weir) == {"a", "b"}
        assert (len(a.peers), len(b.peers)) == (1, 1)
        write(path, [a.url])
        wait_for(lambda: b.peers[0].sock.fileno() < 0, "the connection to the one that is gone to close")
        assert asked(weir) == {"a"} and len(a.peers) == 1
        assert weir.metric("weir_pool_closed_total", pool="up") == 1


def test_a_request_ends_at_the_endpoint_that_it_began_with(tmp_path):
    go = threading.Event()

    def slow(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            go.wait(20)
            peer.send(b"cd")
    path = tmp_path / "endpoints.json"
    with Upstream(slow) as old, Server("new") as new:
        write(path, [old.url])
        with discovering({"file": str(path)}) as weir, weir.client() as client:
            client.get()
            wait_for(lambda: old.requests, "the request")
            write(path, [new.url])
            wait_for(lambda: set(rows(weir)) == {place(new)}, "the other list")
            assert asked(weir) == {"new"}
            go.set()
            assert client.response().body == b"abcd"
            wait_for(lambda: old.peers[0].sock.fileno() < 0, "the last connection to close")


@pytest.mark.parametrize("text, why", [
    ("[]", "no endpoint is there"), ("[{", "not YAML or JSON"), ("- http://a/b\n", "has a path"), (None, "cannot be read"),
    ("- https://a\n", "an endpoint is not http://"), ("[{url: a, wieght: 1}]", "wieght is not known"),
    (" " * 1100000, "cannot be read")], ids=range(7))
def test_what_cannot_be_taken_changes_nothing(text, why, tmp_path):
    path = tmp_path / "endpoints.yaml"
    with Server("a") as a, Server("b") as b:
        write(path, [a.url])
        with discovering({"file": str(path)}) as weir:
            assert asked(weir) == {"a"}
            os.unlink(path) if text is None else write(path, text)
            wait_for(lambda: state(weir)["state"] == "stale", "the failure")
            assert why in state(weir)["error"] and asked(weir) == {"a"}
            assert weir.metric("weir_discovery_up", upstream="up") == 0
            assert weir.metric("weir_discovery_endpoints", upstream="up") == 1
            wait_for(lambda: events(weir, "discovery_failed"), "the event")
            assert why in events(weir, "discovery_failed")[0][1]["why"]
            good = weir.metric("weir_discovery_last_success_timestamp_seconds", upstream="up")
            write(path, [b.url])
            wait_for(lambda: asked(weir) == {"b"}, "the good list")
            assert state(weir)["state"] == "current" and state(weir)["error"] == ""
            assert weir.metric("weir_discovery_up", upstream="up") == 1
            assert weir.metric("weir_discovery_last_success_timestamp_seconds", upstream="up") > good
            assert [kind for kind, _ in events(weir, "discovery_failed", "discovery_recovered")].count("discovery_recovered") == 1


def last_good(weir):
    return weir.metric("weir_discovery_last_success_timestamp_seconds", upstream="up")


def test_a_file_that_stays_as_it_is_is_known_to_be(three, tmp_path):
    path = tmp_path / "endpoints.yaml"
    write(path, [three[0].url])
    with discovering({"file": str(path)}) as weir:
        good = last_good(weir)
        wait_for(lambda: last_good(weir) > good + 1, "looks at the same file")
        assert weir.metric("weir_discovery_looks_total", upstream="up", result="same") > 0
        assert weir.metric("weir_discovery_looks_total", upstream="up", result="changed") == 1


def test_a_file_that_cannot_be_read_is_tried_again_though_it_is_the_same(three, tmp_path):
    path = tmp_path / "endpoints.yaml"
    write(path, [three[0].url])
    with discovering({"file": str(path)}) as weir:
        write(path, " " * 1100000)
        wait_for(lambda: weir.metric("weir_discovery_looks_total", upstream="up", result="failed") > 2, "looks at the same file")
        assert len(events(weir, "discovery_failed")) == 1 and asked(weir) == {"a"}


def test_a_pipe_is_no_file(three, tmp_path):
    """Nobody is waited for to write into it."""
    path, pipe = tmp_path / "endpoints.yaml", tmp_path / "pipe"
    os.mkfifo(pipe)
    write(path, [three[0].url])
    with discovering({"file": str(path)}) as weir:
        os.replace(pipe, path)
        wait_for(lambda: "no regular file" in state(weir)["error"], "the failure")
        assert asked(weir) == {"a"}


def test_until_there_is_a_file_the_endpoints_are_those_that_are_written(three, tmp_path):
    path = tmp_path / "endpoints.yaml"
    with discovering({"file": str(path)}, [three[0].url]) as weir:
        assert asked(weir) == {"a"} and state(weir)["state"] == "failing"
        write(path, [three[1].url])
        wait_for(lambda: asked(weir) == {"b"}, "the list")
        assert state(weir)["state"] == "current"


def test_without_any_endpoint_the_answer_says_so(tmp_path):
    path = tmp_path / "endpoints.yaml"
    with Server("a") as a, discovering({"file": str(path)}) as weir:
        refused = weir.ask()
        assert refused.status == 503 and refused.header("Retry-After") == "1"
        assert refused.json()["error"]["code"] == "undiscovered"
        health = json.loads(weir.admin("/healthz").text)["upstreams"]["up"]
        assert (health["health"], health["why"]) == ("unavailable", "no endpoint has been found yet")
        write(path, [a.url])
        wait_for(lambda: weir.ask().status == 200, "the list")


def test_without_any_endpoint_accounts_say_so_too(tmp_path):
    path = tmp_path / "endpoints.yaml"
    accounts = [{"name": "one", "headers": {"x-api-key": "k"}}]
    with Server("a") as a, discovering({"file": str(path)}, upstream_options={"accounts": accounts}) as weir:
        assert weir.ask().json()["error"]["code"] == "undiscovered"
        write(path, [a.url])
        wait_for(lambda: weir.ask().status == 200, "the list")


@option("upstreams.discover.max")
def test_more_than_the_most_is_refused(three, tmp_path):
    path = tmp_path / "endpoints.yaml"
    write(path, [server.url for server in three[:2]])
    with discovering({"file": str(path), "max": 2}) as weir:
        assert asked(weir) == {"a", "b"}
        write(path, [server.url for server in three])
        wait_for(lambda: state(weir)["state"] == "stale", "the refusal")
        assert "more than 2 endpoints (discover.max)" in state(weir)["error"] and asked(weir) == {"a", "b"}
        reload_with(weir, lambda config: config["upstreams"][0]["discover"].update(max=3))
        wait_for(lambda: asked(weir) == {"a", "b", "c"}, "all of them")


@option("upstreams.discover.scheme")
def test_a_list_is_of_the_scheme_that_is_written(tmp_path):
    path = tmp_path / "endpoints.yaml"
    with certs.Authority() as authority, TlsUpstream(authority.sign("localhost")) as up:
        write(path, [f"127.0.0.1:{up.port}"])
        with discovering({"file": str(path), "scheme": "https"}, upstream_options={"tls": {"verify": False}}) as weir:
            assert weir.ask().status == 200 and weir.ask().body == b"ok"
            write(path, [f"http://127.0.0.1:{up.port}"])
            wait_for(lambda: state(weir)["state"] == "stale", "the refusal")
            assert "not https://, as discover.scheme has it" in state(weir)["error"] and weir.ask().status == 200


def test_zones_are_of_the_list(three, tmp_path):
    a, b, c = three
    path = tmp_path / "endpoints.json"
    write(path, [{"targets": [place(a), place(b)], "labels": {"zone": "here", "job": "x"}},
                 {"targets": [place(c)], "labels": {"zone": "there"}}])
    with discovering({"file": str(path)}, node={"name": "n", "zone": "here"}) as weir:
        assert asked(weir) == {"a", "b"}
        write(path, [{"targets": [place(a), place(b)], "labels": {"zone": "there"}},
                     {"targets": [place(c)], "labels": {"zone": "here"}}])
        wait_for(lambda: asked(weir) == {"c"}, "the other zones")


def test_what_an_operator_said_of_endpoints_that_stay_holds(three, tmp_path):
    a, b, c = three
    path = tmp_path / "endpoints.json"
    write(path, [a.url, b.url])
    with discovering({"file": str(path)}) as weir:
        assert weir.admin(f"/api/v1/endpoints/up/{place(a)}/drain", "POST").status == 200
        assert asked(weir) == {"b"}
        write(path, [a.url, b.url, c.url])
        wait_for(lambda: asked(weir) == {"b", "c"}, "the other list")
        assert rows(weir)[place(a)]["mode"] == "drain"
        assert weir.admin(f"/api/v1/endpoints/up/{place(a)}/ready", "POST").status == 200
        assert asked(weir) == {"a", "b", "c"}


def test_new_ones_begin_with_a_small_part_of_their_weight(three, tmp_path):
    a, b, _ = three
    path = tmp_path / "endpoints.json"
    write(path, [a.url])
    with discovering({"file": str(path)}, workers=1, upstream_options={"outlier": {"slow_start": "1h"}}) as weir:
        assert asked(weir) == {"a"}
        write(path, [a.url, b.url])
        wait_for(lambda: len(rows(weir)) == 2, "the other list")
        before = a.requests
        asked(weir, 110)
        assert b.requests in range(8, 13) and a.requests - before == 110 - b.requests


def test_a_stream_outlives_more_changes_than_there_may_be_reloads(three, tmp_path):
    """Each configuration has a stream of its own, so that none ends before."""
    path = tmp_path / "endpoints.json"
    go = threading.Event()

    def slow(peer):
        while (asked := peer.request()) is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            if b"/stream" in asked[0]:
                go.wait(60)
            peer.send(b"cd")
    with Upstream(slow) as old, contextlib.ExitStack() as stack:
        write(path, [{"url": old.url, "weight": 1}])
        weir = stack.enter_context(discovering({"file": str(path)}, listener={"pool": {"drain_timeout": "1s"}}))
        clients = []
        for i in range(2, 12):
            clients.append(stack.enter_context(weir.client()))
            clients[-1].get("/stream")
            wait_for(lambda: old.requests == len(clients), "the request")
            write(path, [{"url": old.url, "weight": i}])
            wait_for(lambda i=i: rows(weir)[place(old)]["weight"] == i, "the list")
        assert weir.metric("weir_config_generations") == 11
        assert "the eldest drains" not in weir.text()
        go.set()
        for client in clients:
            assert client.response().body == b"abcd"
        wait_for(lambda: weir.metric("weir_config_generations") == 1, "the older ones to end")


# --- URLs ------------------------------------------------------------------------------------------------------------

@option("upstreams.discover.http")
@option("upstreams.discover.interval")
@option("upstreams.discover.headers")
def test_a_url_is_asked_again_and_what_has_not_changed_does_not_come(three):
    a, b, _ = three
    with ListServer() as lists:
        lists.say(a)
        lists.etag = '"one"'
        with discovering({"http": lists.url, "interval": "1s", "headers": {"Authorization": "Bearer t0ken"}}) as weir:
            assert asked(weir) == {"a"}
            wait_for(lambda: weir.metric("weir_discovery_looks_total", upstream="up", result="same") >= 2, "looks")
            assert lists.asked[0].get("If-None-Match") is None and lists.asked[-1]["If-None-Match"] == '"one"'
            assert {of["Authorization"] for of in lists.asked} == {"Bearer t0ken"}
            lists.say(b)
            lists.etag = '"two"'
            wait_for(lambda: asked(weir) == {"b"}, "the other list")
            assert weir.metric("weir_discovery_looks_total", upstream="up", result="changed") == 2
            assert state(weir)["source"] == "http" and "t0ken" not in weir.admin("/api/v1/config").text


@option("upstreams.discover.timeout")
def test_a_url_that_fails_changes_nothing(three):
    a, b, _ = three
    with ListServer() as lists:
        lists.say(a)
        with discovering({"http": lists.url, "interval": "1s", "timeout": "1s"}) as weir:
            assert asked(weir) == {"a"}

            def fails(why):
                wait_for(lambda: why in state(weir)["error"], why)
                assert state(weir)["state"] == "stale" and asked(weir) == {"a"}
            lists.status = 500
            fails("answered with 500")
            lists.status, lists.text = 302, b""
            fails("answered with 302")
            lists.status, lists.text = 200, b"<html>"
            fails("no list of endpoints")
            lists.text = b"[]"
            fails("no endpoint is there")
            lists.text = b"[" + b" " * 1100000
            fails("longer than 1 MiB")
            lists.text = b"[]"
            fails("no endpoint is there")
            lists.delay.clear()
            fails("no answer")
            lists.delay.set()
            lists.say(b)
            wait_for(lambda: asked(weir) == {"b"}, "the list")


def test_a_start_waits_for_the_first_answer(three):
    with ListServer() as lists:
        lists.say(three[0])
        lists.delay.clear()
        threading.Timer(1.5, lists.delay.set).start()
        with discovering({"http": lists.url, "timeout": "20s"}, [three[1].url]) as weir:
            assert asked(weir) == {"a"} and len(lists.asked) == 1  # never b: it was not ready before


def test_a_start_does_not_wait_for_ever(three):
    with ListServer() as lists:
        lists.say(three[0])
        lists.delay.clear()
        with discovering({"http": lists.url, "timeout": "1s", "interval": "1s"}, [three[1].url]) as weir:
            assert asked(weir) == {"b"}
            lists.delay.set()
            wait_for(lambda: asked(weir) == {"a"}, "the list")


@option("upstreams.discover.ca")
def test_a_url_of_https_is_believed_by_its_authority(three):
    body = json.dumps([three[0].url]).encode()

    def serve(peer):
        while peer.request() is not None:
            peer.ok(body)
    with certs.Authority() as authority, TlsUpstream(authority.sign("localhost"), serve) as lists:
        discover = {"http": f"https://localhost:{lists.port}/", "interval": "1s"}
        with discovering(discover) as weir:
            assert weir.ask().status == 503 and "no answer" in state(weir)["error"]
        with discovering({**discover, "ca": str(authority.certificate)}) as weir:
            assert asked(weir) == {"a"}


# --- DNS -------------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def places(*names):
    """Servers on one port of several addresses, 127.0.0.2 and on."""
    port = free_port()
    with contextlib.ExitStack() as stack:
        for i, name in enumerate(names):
            stack.enter_context(Server(name, (f"127.0.0.{i + 2}", port)))
        yield port


@option("upstreams.discover.dns")
def test_every_address_of_a_name_is_an_endpoint():
    with places("a", "b", "c") as port, NameServer({"web.test": ["127.0.0.2", "127.0.0.3"]}) as names, \
            discovering({"dns": "address"}, [{"url": f"http://web.test:{port}", "weight": 30, "zone": "z", "priority": 2}],
                        dns={"servers": [names.address]}) as weir:
        assert asked(weir) == {"a", "b"}
        row = rows(weir)[f"127.0.0.2:{port}"]
        assert (row["weight"], row["zone"], row["priority"], row["url"]) == (30, "z", 2, f"http://127.0.0.2:{port}")
        names.names["web.test"] = ["127.0.0.4", "127.0.0.3"]
        wait_for(lambda: asked(weir) == {"b", "c"}, "the other addresses")
        assert state(weir)["source"] == "dns address"
        for code in ("nothing", "failure"):
            known = names.names.pop("web.test") if code == "nothing" else names.fails.add("web.test")
            wait_for(lambda: state(weir)["state"] == "stale", code)
            assert "web.test: name" in state(weir)["error"] and asked(weir) == {"b", "c"}
            names.names["web.test"] = known or names.names["web.test"]
            names.fails.clear()
            wait_for(lambda: state(weir)["state"] == "current", "it to be back")


def test_a_family_that_fails_matters_where_there_is_something_of_it():
    with places("a", "b") as port, NameServer({"web.test": ["127.0.0.2", "::1"]}) as names, \
            discovering({"dns": "address"}, [f"http://web.test:{port}"], dns={"servers": [names.address]}) as weir:
        both = {f"127.0.0.2:{port}", f"[::1]:{port}"}
        assert set(rows(weir)) == both
        names.fails.add(("web.test", AAAA))
        wait_for(lambda: "one family only" in state(weir)["error"], "the failure")
        assert set(rows(weir)) == both
        names.names["web.test"] = ["127.0.0.2"]
        names.fails.clear()
        wait_for(lambda: set(rows(weir)) == {f"127.0.0.2:{port}"}, "the one that is left")
        names.fails.add(("web.test", AAAA))
        names.names["web.test"] = ["127.0.0.3"]
        wait_for(lambda: asked(weir) == {"b"}, "the other address")
        assert state(weir)["state"] == "current"


def test_a_name_is_looked_up_when_its_time_is_over():
    with places("a") as port, NameServer({"web.test": ["127.0.0.2"], "long.test": ["127.0.0.2"]}, ttl=2) as names, \
            discovering({"dns": "address", "interval": "1h"}, [f"http://web.test:{port}"],
                        dns={"servers": [names.address]}) as weir:
        first = time.monotonic()
        wait_for(lambda: names.count("web.test") >= 4, "three more look-ups")
        assert time.monotonic() - first >= 3  # three times two seconds, the first of them earlier
        assert asked(weir) == {"a"}


def test_an_address_is_itself():
    with places("a") as port, discovering({"dns": "address", "interval": "1s"}, [f"http://127.0.0.2:{port}"]) as weir:
        assert asked(weir) == {"a"} and state(weir)["state"] == "current"
        good = last_good(weir)
        wait_for(lambda: last_good(weir) > good + 1, "another look")


def test_as_long_as_there_is_no_answer_the_name_is_the_endpoint():
    with places("a") as port, NameServer({}) as names, \
            discovering({"dns": "address"}, [f"http://web.test:{port}"], dns={"servers": [names.address]}) as weir:
        assert weir.ask().status == 502 and set(rows(weir)) == {f"web.test:{port}"}
        names.names["web.test"] = ["127.0.0.2"]
        wait_for(lambda: set(rows(weir)) == {f"127.0.0.2:{port}"}, "the address")
        wait_for(lambda: asked(weir) == {"a"}, "the server")


def test_services_have_ports_weights_and_priorities(three):
    a, b, c = three
    names = {"host.test": ["127.0.0.1"]}
    services = {"_http._tcp.web.test": [(10, 3, a.port, "host.test"), (10, 1, b.port, "host.test"),
                                        (20, 0, c.port, "host.test")]}
    with NameServer(names, services=services) as server, \
            discovering({"dns": "srv"}, ["http://web.test"], "priority", workers=1, dns={"servers": [server.address]}) as weir:
        shown = {endpoint: (row["weight"], row["priority"]) for endpoint, row in rows(weir).items()}
        assert shown == {f"host.test:{a.port}": (3, 0), f"host.test:{b.port}": (1, 0),
                         f"host.test:{c.port}": (1, 1)}
        assert asked(weir, 40) == {"a", "b"}
        services["_http._tcp.web.test"] = [(20, 0, c.port, "host.test")]
        wait_for(lambda: asked(weir) == {"c"}, "the other service")
        assert state(weir)["source"] == "dns srv"
        services["_http._tcp.web.test"] = [(0, 0, 0, "")]  # decidedly none
        wait_for(lambda: state(weir)["state"] == "stale", "the failure")
        assert asked(weir) == {"c"}


def test_a_name_of_a_service_is_asked_for_as_it_is(three):
    services = {"_relay._tcp.web.test": [(0, 0, three[0].port, "host.test")]}
    with NameServer({"host.test": ["127.0.0.1"]}, services=services) as server, \
            discovering({"dns": "srv"}, ["http://_relay._tcp.web.test"], dns={"servers": [server.address]}) as weir:
        assert asked(weir) == {"a"}
        assert rows(weir)[f"host.test:{three[0].port}"]["weight"] == 100  # none has any: as written


def test_services_of_which_nothing_is_known_are_no_hosts():
    with NameServer({"web.test": ["127.0.0.1"]}) as server, \
            discovering({"dns": "srv"}, ["http://web.test"], dns={"servers": [server.address]}) as weir:
        assert weir.ask().json()["error"]["code"] == "undiscovered" and not rows(weir)


# --- another configuration -------------------------------------------------------------------------------------------

def test_a_reload_keeps_what_was_found(three, tmp_path):
    a, b, _ = three
    path = tmp_path / "endpoints.json"
    write(path, [a.url])
    with discovering({"file": str(path)}, [b.url], workers=1) as weir:
        assert asked(weir) == {"a"}
        said = reload_with(weir, lambda config: config["upstreams"][0].update(balance="p2c"))
        assert [row["path"] for row in said["changes"]] == ["upstreams[up].balance"]
        assert asked(weir) == {"a"} and len(a.peers) == 1 and not b.requests
        write(path, [b.url])
        wait_for(lambda: asked(weir) == {"b"}, "the other list")
        assert json.loads(weir.admin("/api/v1/reload", "POST").text)["result"] == "unchanged"
        assert json.loads(weir.admin("/api/v1/config").text)["upstreams"][0]["endpoints"][0]["url"] == b.url


def test_a_reload_may_look_elsewhere_or_no_more(three, tmp_path):
    a, b, c = three
    path, other = tmp_path / "endpoints.json", tmp_path / "other.json"
    write(path, [a.url])
    write(other, [b.url])
    with discovering({"file": str(path)}, [c.url]) as weir:
        assert asked(weir) == {"a"}
        reload_with(weir, lambda config: config["upstreams"][0]["discover"].update(file=str(other)))
        wait_for(lambda: asked(weir) == {"b"}, "the other file")
        reload_with(weir, lambda config: config["upstreams"][0]["discover"].update(file=str(tmp_path / "none")))
        wait_for(lambda: state(weir)["state"] == "failing", "the failure")
        assert asked(weir) == {"b"}  # what was found last
        reload_with(weir, lambda config: config["upstreams"][0].pop("discover"))
        assert asked(weir) == {"c"} and json.loads(weir.admin("/api/v1/discovery").text)["discovery"] == []
        reload_with(weir, lambda config: config["upstreams"][0].update(discover={"file": str(path)}))
        wait_for(lambda: asked(weir) == {"a"}, "the first file")


@pytest.mark.parametrize("written", [True, False])
def test_the_first_of_what_was_found_serve_where_there_may_be_fewer_now(three, written):
    """As many as were found are more than another configuration takes: that is said, and put in force once."""
    first = min(three, key=lambda it: it.port)
    with ListServer() as lists:
        lists.say(*three)
        with discovering({"http": lists.url, "interval": "1s"}, [three[2].url] if written else None, workers=1) as weir:
            assert asked(weir) == {"a", "b", "c"}
            reload_with(weir, lambda config: config["upstreams"][0]["discover"].update(max=1))
            assert list(rows(weir)) == [f"127.0.0.1:{first.port}"]
            number = json.loads(weir.admin("/api/v1/generations").text)["generations"][-1]["generation"]
            wait_for(lambda: weir.metric("weir_discovery_looks_total", upstream="up", result="failed") >= 4, "looks")
            assert "more than 1 endpoints" in state(weir)["error"] and weir.metric("weir_discovery_endpoints", upstream="up") == 1
            assert json.loads(weir.admin("/api/v1/generations").text)["generations"][-1]["generation"] == number
            lists.say(three[1])
            wait_for(lambda: asked(weir) == {"b"}, "a list that is short enough")


def test_what_was_found_without_tls_is_not_served_where_it_is_asked_for(three, tmp_path):
    path = tmp_path / "endpoints.json"
    write(path, [three[0].url])
    with discovering({"file": str(path)}, upstream_options={"protocol": "http1"}) as weir:
        assert asked(weir) == {"a"}
        reload_with(weir, lambda config: config["upstreams"][0]["discover"].update(file=str(tmp_path / "none"), scheme="https"))
        assert weir.ask().json()["error"]["code"] == "undiscovered" and not rows(weir)


def test_a_reload_that_adds_a_name_keeps_what_the_others_have(three):
    """Those cannot be looked up while the new one is."""
    a, b, _ = three
    services = {"_http._tcp.web.test": [(0, 0, a.port, "host.test")], "_http._tcp.new.test": [(0, 0, b.port, "host.test")]}
    with NameServer({"host.test": ["127.0.0.1"]}, services=services) as server, \
            discovering({"dns": "srv"}, ["http://web.test"], dns={"servers": [server.address]}) as weir:
        assert asked(weir) == {"a"}
        server.fails.add("_http._tcp.web.test")
        reload_with(weir, lambda config: config["upstreams"][0]["endpoints"].append({"url": "http://new.test"}))
        wait_for(lambda: f"host.test:{b.port}" in rows(weir), "the endpoint of the new name")
        assert asked(weir) == {"a", "b"}
        reload_with(weir, lambda config: config["upstreams"][0]["endpoints"].pop(0))
        wait_for(lambda: asked(weir) == {"b"}, "the other name to be gone")


def test_reloads_and_changes_at_once(three, tmp_path):
    path = tmp_path / "endpoints.json"
    write(path, [server.url for server in three])
    with discovering({"file": str(path)}, workers=2) as weir:
        load = Load(weir)
        for i in range(6):
            write(path, [server.url for server in three[:1 + i % 3]])
            reload_with(weir, lambda config, i=i: config["upstreams"][0].update(balance=("p2c", "hash")[i % 2]))
        wait_for(lambda: len(rows(weir)) == 3, "the last list")
        assert {answer[0] for answer in load.stop()} == {200}


def test_an_upgrade_looks_for_itself(three, tmp_path):
    a, b, _ = three
    path = tmp_path / "endpoints.json"
    write(path, [a.url])
    with discovering({"file": str(path)}, program=Upgraded, workers=1) as weir:
        assert asked(weir) == {"a"}
        weir.configure(lambda config: config["upstreams"][0]["discover"].update(file=str(tmp_path / "other.json")))
        write(tmp_path / "other.json", [b.url])
        weir.upgrade()
        assert asked(weir) == {"b"} and state(weir)["state"] == "current"  # from its first request on


# --- weir check ------------------------------------------------------------------------------------------------------

def test_check_looks_once(three, tmp_path):
    path, config = tmp_path / "endpoints.json", tmp_path / "weir.yaml"
    write(path, [three[0].url])
    config.write_text(json.dumps({"listeners": [{"name": "web", "address": "127.0.0.1:8080", "routes": [{"upstream": "up"}]}],
                                  "upstreams": [{"name": "up", "discover": {"file": str(path)}}]}))
    command = [str(WEIR), "check", "-c", str(config), "--probe"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "upstream up: discovery (file): 1 endpoints" in said and f"up/{place(three[0])}: connected in" in said
    path.unlink()
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot be read as yet" in said and "discovery (file) failed" in said
