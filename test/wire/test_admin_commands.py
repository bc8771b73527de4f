# SPDX-License-Identifier: Apache-2.0
"""What an operator does: pools, endpoints and accounts are steered, each command leaves an event."""
import http.server
import json
import re
import threading

import pytest

from test_accounts import Api
from test_affinity import four, relay as four_accounts
from weirtest import Client, Upstream, Weir, wait_for


def do(weir, path, method="POST", headers=None, **body):
    answer = weir.admin(f"/api/v1/{path}", method, body=json.dumps(body) if body else None, headers=headers or {})
    return answer.status, json.loads(answer.text)


def rows(weir, name):
    return json.loads(weir.admin(f"/api/v1/{name}").text)[name]


def pool(weir, name="up"):
    return next(row for row in rows(weir, "pools") if row["name"] == name)


def endpoint(weir, name):
    return next(row for row in rows(weir, "endpoints") if row["endpoint"] == name)


def changes(weir):
    return [row for row in rows(weir, "events") if row["event"] == "changed"]


def in_background(weir, answers, count=1):
    threads = [threading.Thread(target=lambda: answers.append(weir.ask().status)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_a_paused_pool_holds_its_requests_until_it_is_resumed():
    with Upstream() as upstream, Weir(upstream, workers=2) as weir:
        assert weir.ask().status == 200
        status, said = do(weir, "pools/up/pause", reason="maintenance of the database")
        assert status == 200 and said == {"done": "pause", "workers": 2, "pool": "up", "leases": 0, "waiting": 0}
        assert pool(weir)["paused"] and not pool(weir, "listener:web")["paused"]
        before, answers = pool(weir)["grants"], []
        threads = in_background(weir, answers, 4)
        wait_for(lambda: pool(weir)["waiting"] == 4, "four that wait")
        assert not answers and pool(weir)["grants"] == before
        assert do(weir, "pools/up/resume")[0] == 200
        for thread in threads:
            thread.join()
        assert answers == [200] * 4 and not pool(weir)["paused"] and pool(weir)["waiting"] == 0
        first, second = changes(weir)
        assert (first["pool"], first["what"], first["why"]) == ("up", "pause", "maintenance of the database")
        assert first["who"] == "anyone@127.0.0.1" and first["worker"] is None and second["what"] == "resume"
        wait_for(lambda: "maintenance of the database" in weir.text(), "its line in the log")


def test_a_pause_is_bounded_in_time_and_number():
    with Upstream() as upstream, Weir(upstream, upstream_pool={"acquire_timeout": "300ms", "waiting_max": 1}) as weir:
        assert do(weir, "pools/up/pause")[0] == 200
        answer = weir.ask()
        assert answer.status == 503 and answer.header("retry-after")
        assert json.loads(answer.body)["error"]["code"] == "acquire_timeout"
    with Upstream() as upstream, Weir(upstream, upstream_pool={"waiting_max": 1}) as weir:
        assert do(weir, "pools/up/pause")[0] == 200
        answers = []
        threads = in_background(weir, answers)
        wait_for(lambda: pool(weir)["waiting"] == 1, "one that waits")
        assert json.loads(weir.ask().body)["error"]["code"] == "queue_full"
        assert do(weir, "pools/up/resume")[0] == 200
        threads[0].join()
        assert answers == [200]


def test_who_leaves_while_a_pool_is_paused_is_gone():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert do(weir, "pools/up/pause")[0] == 200
        with Client(weir.port) as client:
            client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_for(lambda: pool(weir)["waiting"] == 1, "one that waits")
        wait_for(lambda: pool(weir)["waiting"] == 0, "that it is gone")
        assert do(weir, "pools/up/resume")[0] == 200 and weir.ask().status == 200


def test_reconnect_replaces_every_connection_and_cuts_nobody():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask().status == 200 and weir.ask().status == 200
        assert upstream.accepted == 1
        status, said = do(weir, "pools/up/reconnect")
        assert status == 200 and said["done"] == "reconnect"
        wait_for(lambda: pool(weir)["total"] == 0, "that it has closed")
        assert weir.ask().status == 200 and upstream.accepted == 2
        weir.ask()
        assert do(weir, "pools/listener%3Aweb/reconnect")[1]["pool"] == "listener:web"


@pytest.fixture(name="slow")
def fixture_slow():
    go = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path == "/slow":
                go.wait(60)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", go
    finally:
        go.set()
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_is_flushed_is_cut_when_its_time_is_up(slow):
    with Weir([slow[0]]) as weir:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(weir.ask("/slow").status))
        thread.start()
        wait_for(lambda: pool(weir)["leases"] == 1, "a request under way")
        status, said = do(weir, "pools/up/flush", grace_ms=100)
        assert status == 200 and said["leases"] == 1
        thread.join(60)
        assert answers == [502]


def test_an_endpoint_is_drained_and_comes_back():
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url], workers=2) as weir:
        name = f"127.0.0.1:{one.port}"
        status, said = do(weir, f"endpoints/up/{name}/drain", reason="a new disk")
        assert status == 200 and said["done"] == "drain" and said["endpoint"] == name and said["workers"] == 2
        row = endpoint(weir, name)
        assert row["mode"] == "drain" and row["healthy"]
        before = row["answered"]
        for _ in range(20):
            assert weir.ask().status == 200
        assert endpoint(weir, name)["answered"] == before
        assert do(weir, f"endpoints/up/{name}/ready")[0] == 200 and endpoint(weir, name)["mode"] == "ready"

        def answers_again():
            weir.ask()
            return endpoint(weir, name)["answered"] > before
        wait_for(answers_again, "an answer of it")
        assert [row["what"] for row in changes(weir)] == [f"{name} drain", f"{name} ready"]


def test_what_is_open_at_a_drained_endpoint_ends_well(slow):
    url, go = slow
    name = url.removeprefix("http://")
    with Weir([url]) as weir:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(weir.ask("/slow").status))
        thread.start()
        wait_for(lambda: pool(weir)["leases"] == 1, "a request under way")
        status, said = do(weir, f"endpoints/up/{name}/drain")
        assert status == 200 and said["busy"] == 1
        assert weir.ask().status == 503
        go.set()
        thread.join(60)
        assert answers == [200]
        wait_for(lambda: pool(weir)["total"] == 0, "that its connection has closed")
        assert do(weir, f"endpoints/up/{name}/ready")[0] == 200 and weir.ask().status == 200


def test_maintenance_cuts_what_stays_and_stops_the_checks():
    with Upstream() as upstream, Weir(upstream, upstream_options={
            "health": {"path": "/", "interval": "1s", "timeout": "1s"}}) as weir:
        name = f"127.0.0.1:{upstream.port}"
        wait_for(lambda: endpoint(weir, name)["checked"], "a first check")
        assert do(weir, f"endpoints/up/{name}/maint", grace_ms=0)[0] == 200
        assert endpoint(weir, name)["mode"] == "maint" and weir.ask().status == 503
        assert do(weir, f"endpoints/up/{name}/ready", reason="done")[0] == 200
        assert weir.ask().status == 200


def test_requests_cross_any_command():
    """Traffic on all workers while everything is steered: no answer but 200, nothing stays behind."""
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url], workers=2) as weir:
        stop, answers = threading.Event(), []

        def traffic():
            while not stop.is_set():
                answers.append(weir.ask().status)

        threads = [threading.Thread(target=traffic) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(5):
                for path in (f"endpoints/up/127.0.0.1:{one.port}/drain", "pools/up/pause", "pools/up/reconnect",
                             f"endpoints/up/127.0.0.1:{one.port}/ready", "pools/up/resume",
                             f"endpoints/up/127.0.0.1:{two.port}/maint", f"endpoints/up/127.0.0.1:{two.port}/ready"):
                    assert do(weir, path)[0] == 200
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert answers and set(answers) == {200}
        assert pool(weir)["waiting"] == 0 and pool(weir)["leases"] == 0


def test_an_account_is_cleared_and_a_session_moved_with_a_reason():
    with Api() as api, four_accounts(api, *four()) as weir:
        assert do(weir, "accounts/up/a1/clear", reason="the quota was raised") == (200, {"cleared": True})
        row = changes(weir)[-1]
        assert (row["pool"], row["what"], row["why"]) == ("up", "a1 clear", "the quota was raised")
        assert do(weir, "accounts/up/nobody/clear")[0] == 404


@pytest.mark.parametrize("grace", [None, 2000])
def test_the_whole_drains(grace):
    with Upstream() as upstream, Weir(upstream, workers=2) as weir:
        assert weir.ask().status == 200
        status, said = do(weir, "drain", **({"grace_ms": grace} if grace else {"reason": "a new kernel"}))
        assert status == 200 and said == {"done": "drain"}
        assert weir.process.wait(60) == 0
        assert '"drained"' in weir.text() and (grace or "a new kernel" in weir.text())


WRONG = ["[]", "1", "{", '{"reason":1}', '{"colour":"red"}', '{"grace_ms":-1}', '{"grace_ms":1.5}', '{"grace_ms":"1"}',
         '{"grace_ms":86400001}', '{"reason":"' + "x" * 201 + '"}', '{"reason":"a"}x', "[" * 10000,
         '{"reason":"a","reason":"b"}', '{"grace_ms":1,"grace_ms":2}', '{"reason":"\\u0000"}', "null", '"x"']


@pytest.mark.parametrize("path", ["pools/up/flush", "endpoints/up/E/maint", "drain"])
def test_a_body_that_is_not_understood_changes_nothing(relay, path):
    path = path.replace("E", f"127.0.0.1:{relay.upstream.port}")
    for body in WRONG:
        assert relay.admin(f"/api/v1/{path}", "POST", body=body).status == 400, body
    assert relay.admin(f"/api/v1/{path}", "POST", body='{"reason":"' + "x" * 70000 + '"}').status == 413
    assert relay.ask().status == 200 and pool(relay)["total"] == 1


def test_what_is_not_there_cannot_be_steered(relay):
    for path in ("pools/nobody/pause", "pools/listener:nobody/flush", "endpoints/up/nobody/drain",
                 f"endpoints/nobody/127.0.0.1:{relay.upstream.port}/drain", "pools/up/stop", "endpoints/up/drain",
                 "endpoints/up/x/pause"):
        assert do(relay, path)[0] == 404, path
    assert do(relay, "pools/listener:web/pause")[0] == 409
    assert do(relay, "pools/up/pause", grace_ms=1)[0] == 400
    assert relay.ask().status == 200


class Keyed(Weir):
    """Its admin interface wants a token: an operator's, or a viewer's."""

    def _config(self, *args):
        config = super()._config(*args)
        config["admin"].update(token="do", viewer_token="see")
        return config


def test_only_an_operator_may():
    with Upstream() as upstream, Keyed(upstream) as weir:
        def status(path, method, token, **more):
            return weir.admin(path, method, headers={"Authorization": f"Bearer {token}", **more}).status

        api = json.loads(weir.admin("/api/v1/openapi.json", headers={"Authorization": "Bearer see"}).text)
        commands = [(re.sub(r"{\w+}", "x", path), method.upper()) for path, methods in api["paths"].items()
                    for method, said in methods.items() if said["x-weir-role"] == "operator"]
        assert len(commands) > 10
        for path, method in commands:
            assert weir.admin(path, method).status == 401, path
            assert status(path, method, "see") == 403, path
            assert status(path, method, "do", Origin="http://evil.example") == 403, path
            assert status(path, method, "do", Host="evil.example") == 403, path
        assert {status(path, method, "guess") for path, method in commands} <= {401, 429}
        assert '"changed"' not in weir.text() and '"drain"' not in weir.text()


def test_the_operator_is_named_in_the_event():
    with Upstream() as upstream, Keyed(upstream) as weir:
        answer = weir.admin("/api/v1/pools/up/reconnect", "POST", headers={"Authorization": "Bearer do"})
        assert answer.status == 200
        wait_for(lambda: "operator@127.0.0.1" in weir.text(), "who it was")
