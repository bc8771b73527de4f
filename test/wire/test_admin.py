# SPDX-License-Identifier: Apache-2.0
"""The admin interface: its pages, who may see them, and that reading them costs the traffic nothing."""
import base64
import datetime
import json
import socket
import subprocess
import threading

import pytest

import peers
from weirtest import Client, Upstream, Weir, free_port, wait_for

PAGES = ("pools", "endpoints", "keys", "connections", "listeners", "certificates", "events", "config", "process")


def ask(weir, head, path="/api/v1/pools", method="GET"):
    with Client(weir.admin_port) as client:
        client.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n")
        return client.final(method)


def page(weir, name):
    return json.loads(weir.admin(f"/api/v1/{name}").text)


def test_probes(relay):
    for path in ("/livez", "/readyz", "/healthz"):
        assert relay.admin(path).status == 200
    health = json.loads(relay.admin("/healthz").text)
    assert health["state"] == "serving" and set(health["pools"]) == {"up", "listener:web"}


def test_every_page_is_json(relay):
    relay.ask()
    for name in PAGES:
        answer = relay.admin(f"/api/v1/{name}")
        assert answer.status == 200 and answer.getheader("content-type") == "application/json"
        json.loads(answer.text)
    assert "/metrics" in relay.admin("/").text


def test_figures_agree(relay):
    before = {pool["name"]: pool for pool in page(relay, "pools")["pools"]}
    for _ in range(3):
        assert relay.ask().status == 200
    after = {pool["name"]: pool for pool in page(relay, "pools")["pools"]}
    assert after["up"]["grants"] - before["up"]["grants"] == 3
    assert after["up"]["total"] == after["up"]["idle"] == 1
    assert after["up"]["max_connections"] == 100 and after["listener:web"]["max_connections"] == 1000
    endpoint = page(relay, "endpoints")["endpoints"][0]
    assert endpoint["healthy"] and endpoint["url"] == relay.upstream.url and endpoint["answered"] >= 3
    rows = page(relay, "connections")["connections"]
    assert [row["state"] for row in rows if row["pool"] == "up"] == ["idle"]
    keys = [key for key in page(relay, "keys")["keys"] if key["pool"] == "up"]
    assert keys[0]["key"] == relay.upstream.url and keys[0]["state"] == "up"
    listener = page(relay, "listeners")["listeners"][0]
    assert listener["name"] == "web" and listener["port"] == relay.port and listener["requests"] >= 3
    events = [event["event"] for event in page(relay, "events")["events"]]
    assert "connection_added" in events and "connection_reused" not in events
    assert page(relay, "process")["pid"] == relay.process.pid


def test_pages_and_metrics_agree():
    """Of two endpoints one is refused: what the pages count of the pool and of both, the metrics count too."""
    with Upstream() as upstream, Weir([upstream.url, f"http://127.0.0.1:{free_port()}"],
                                      upstream_options={"balance": "round_robin", "retry": {"on": []}}) as weir:
        for _ in range(6):
            assert weir.ask().status in (200, 502, 503)
        up = next(row for row in page(weir, "pools")["pools"] if row["name"] == "up")
        assert up["acquires"] >= 6 and up["released"] >= 1 and up["keys"] == 2
        for field, family in (("keys", "keys"), *((name, f"{name}_total") for name in (
                "acquires", "released", "waits", "probes", "evicted", "crowded", "overdue", "events_lost"))):
            assert weir.metric(f"weir_pool_{family}", pool="up") == up[field], field
        rows = page(weir, "endpoints")["endpoints"]
        assert sum(row["answered"] for row in rows) >= 1 and sum(row["failed"] for row in rows) >= 1
        for row in rows:
            for field in ("answered", "failed"):
                assert weir.metric(f"weir_endpoint_{field}_total", upstream="up", endpoint=row["endpoint"]) == row[field], row
        said = page(weir, "process")
        assert abs(weir.metric("weir_process_start_time_seconds")
                   - datetime.datetime.fromisoformat(said["started"].replace("Z", "+00:00")).timestamp()) < 2
        assert weir.metric("weir_workers") == len(said["workers"])


def test_events_tell_of_an_endpoint_that_is_down():
    with Weir(upstream_pool={"failures_max": 1}) as weir:
        assert weir.ask().status in (502, 503)
        events = page(weir, "events")["events"]
        down = [event for event in events if event["event"] == "key_down"]
        assert down and down[0]["why"] == "refused" and down[0]["pool"] == "up"
        assert page(weir, "endpoints")["endpoints"][0]["state"] == "down"
        assert weir.metric("weir_endpoint_usable", upstream="up") == 0
        wait_for(lambda: "key_down" in weir.text(), "its line in the log")


def test_promtool_has_no_complaint(relay):
    relay.ask()
    metrics = relay.admin("/metrics")
    assert metrics.getheader("content-type").startswith("text/plain; version=0.0.4")
    judged = subprocess.run([peers.find("promtool", "prometheus"), "check", "metrics"], input=metrics.text, text=True,
                            capture_output=True, check=False)
    assert judged.returncode == 0 and not judged.stdout and not judged.stderr, judged


def test_each_endpoint_has_its_figures():
    """What the pool knows of each, over all workers; as many series as there are endpoints."""
    with Upstream() as one, Upstream() as two, Weir([one.url, {"url": two.url, "priority": 1}], workers=2,
                                                    upstream_options={"balance": "priority"}) as weir:
        for _ in range(6):
            assert weir.ask().status == 200
        own = {"upstream": "up", "endpoint": f"127.0.0.1:{one.port}"}
        other = {"upstream": "up", "endpoint": f"127.0.0.1:{two.port}"}
        assert weir.metric("weir_endpoint_grants_total", **own) == 6
        assert weir.metric("weir_endpoint_created_total", **own) == one.accepted
        assert weir.metric("weir_endpoint_reused_total", **own) == 6 - one.accepted
        assert weir.metric("weir_endpoint_connections", state="idle", **own) == one.accepted
        assert weir.metric("weir_endpoint_hold_seconds_count", **own) == 6
        assert weir.metric("weir_endpoint_first_byte_seconds_count", **own) == 6
        assert weir.metric("weir_endpoint_connect_seconds_count", phase="connect", **own) == one.accepted
        assert weir.metric("weir_endpoint_connect_seconds_count", phase="tls", **own) == 0
        assert weir.metric("weir_pool_first_byte_seconds_count", pool="up") == 6
        assert weir.metric("weir_endpoint_grants_total", **other) == 0
        one.stop()
        weir.ask()
        wait_for(lambda: weir.metric("weir_endpoint_errors_total", **own) > 0, "an error of the first")
        series = [name for name in weir.metrics() if name.startswith("weir_endpoint_grants_total")]
        assert len(series) == 2
        for family in ("connections", "waiting", "grants_total", "hold_seconds", "connect_seconds"):
            assert f"# HELP weir_account_{family} " in weir.admin("/metrics").text


def test_endpoints_beyond_the_most_are_one_series():
    ups = [f"http://127.0.0.1:{port}" for port in range(1, 134)]
    with Weir(ups) as weir:
        metrics = weir.metrics()
        series = [name for name in metrics if name.startswith("weir_endpoint_waiting{")]
        assert len(series) == 129
        assert 'weir_endpoint_waiting{upstream="other",endpoint="other"}' in metrics
        text = weir.admin("/metrics").text
        judged = subprocess.run([peers.find("promtool", "prometheus"), "check", "metrics"], input=text, text=True,
                                capture_output=True, check=False)
        assert judged.returncode == 0 and not judged.stdout and not judged.stderr, judged


def test_openmetrics_where_it_is_asked_for(relay):
    answer = relay.admin("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0, */*"})
    assert answer.getheader("content-type").startswith("application/openmetrics-text")
    lines = answer.text.splitlines()
    assert lines[-1] == "# EOF"
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    for line in lines:
        if line.startswith("# TYPE") and line.endswith(" counter"):
            assert not line.split()[2].endswith("_total")


FAMILIES = """weir_pool_connections weir_pool_waiting weir_pool_oldest_wait_seconds weir_pool_created_total
weir_pool_moved_total weir_pool_reused_total weir_pool_closed_total weir_pool_refused_total weir_pool_acquire_seconds
weir_connect_seconds weir_pool_first_byte_seconds weir_pool_forecast_slots
weir_pool_forecast_arrivals weir_endpoint_connections weir_account_connections weir_http_requests_total weir_http_request_seconds weir_http_first_byte_seconds
weir_health_status weir_process_resident_bytes weir_config_last_reload_successful weir_build_info"""


def test_every_family_is_there_from_the_start():
    with Upstream() as upstream, Weir(upstream) as weir:
        lines = weir.admin("/metrics").text.splitlines()
        for family in FAMILIES.split():
            assert sum(line.startswith(f"# HELP {family} ") for line in lines) == 1, family
            assert sum(line.startswith(f"# TYPE {family} ") for line in lines) == 1, family


def test_metrics_sum_over_workers():
    with Upstream() as upstream, Weir(upstream, workers=3) as weir:
        for _ in range(30):
            assert weir.ask().status == 200
        assert weir.metric("weir_http_requests_total", listener="web", upstream="up", code="200") == 30
        assert weir.metric("weir_pool_grants_total", pool="up") == 30
        assert weir.metric("weir_http_request_seconds_count", upstream="up") == 30
        assert weir.metric("weir_pool_created_total", pool="up") == upstream.accepted


@pytest.mark.parametrize("head, status", [
    ("Host: localhost\r\n", 200), ("Host: 127.0.0.1:1\r\n", 200), ("Host: [::1]\r\n", 200),
    ("Host: LOCALHOST:9901\r\n", 200), ("Host: evil.example\r\n", 403), ("Host: localhost.evil.example\r\n", 403),
    ("Host: 127.0.0.1.evil.example\r\n", 403), ("Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
    ("Host: localhost\r\nOrigin: null\r\n", 403), ("Host: localhost:1\r\nOrigin: http://localhost:2\r\n", 403),
    ("Host: localhost:1\r\nOrigin: http://localhost:1\r\n", 200),
    ("Host: localhost:1\r\nOrigin: https://localhost:1\r\n", 403),
])
def test_host_and_origin(relay, head, status):
    assert ask(relay, head).status == status


def test_only_reading(relay):
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = ask(relay, "Host: localhost\r\nContent-Length: 0\r\n", method=method)
        assert answer.status == 405 and answer.header("allow") == "GET, HEAD"
    assert relay.admin("/api/v1/nothing").status == 404
    assert relay.admin("/api/v1/pools/").status == 404
    answer = ask(relay, "Host: localhost\r\n", method="HEAD")
    assert answer.status == 200 and answer.body == b"" and int(answer.header("content-length")) > 0
    assert ask(relay, "Host: localhost\r\n", path="/api/v1/pools?x=1").status == 200


def keyed(upstream, **admin):
    """A gateway whose admin interface wants a token; its own probes need none."""
    weir = Weir(upstream)
    config = json.loads(weir.config_path.read_text())
    weir.stop()
    config["admin"].update(admin)
    config["log"]["access"] = "off"

    class Placed(Weir):
        def _ready(self):
            self.admin_port = int(config["admin"]["address"].rpartition(":")[2])
            return super()._ready()

    return Placed(config=config)


def test_token():
    with Upstream() as upstream, keyed(upstream, token="s3cret") as weir:
        assert ask(weir, "Host: localhost\r\n").status == 401
        assert ask(weir, "Host: localhost\r\n").header("www-authenticate").startswith("Bearer")
        assert ask(weir, "Host: localhost\r\nAuthorization: Bearer s3cret\r\n").status == 200
        assert ask(weir, "Host: localhost\r\nAuthorization: bearer  s3cret\r\n").status == 200
        for path in ("/livez", "/readyz"):
            assert ask(weir, "Host: localhost\r\n", path=path).status == 200
        for path in ("/", "/metrics", "/healthz", "/api/v1/config", "/nothing"):
            assert ask(weir, "Host: localhost\r\n", path=path).status == 401
        for wrong in ("s3cre", "s3crett", "S3cret", "", "s3cret x"):
            assert ask(weir, f"Host: localhost\r\nAuthorization: Bearer {wrong}\r\n").status == 401
        for wrong in range(20):
            status = ask(weir, f"Host: localhost\r\nAuthorization: Bearer {wrong}\r\n").status
        assert status == 429
        assert ask(weir, "Host: localhost\r\nAuthorization: Bearer s3cret\r\n").status == 429


def basic(password, user="anyone"):
    return f"Host: localhost\r\nAuthorization: Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}\r\n"


def test_a_browsers_password_opens_the_status_page_and_no_other():
    with Upstream() as upstream, keyed(upstream, token="s3c:ret", viewer_token="lookout") as weir:
        for password in ("s3c:ret", "lookout"):
            answer = ask(weir, basic(password), path="/status")
            assert answer.status == 200 and "is serving" in answer.body.decode()
        refused = ask(weir, "Host: localhost\r\n", path="/status")
        assert refused.status == 401
        assert [scheme.split()[0] for scheme in refused.headers("www-authenticate")] == ["Bearer", "Basic"]
        for path in ("/", "/metrics", "/api/v1/config", "/api/v1/live", "/status/", "/nothing"):
            answer = ask(weir, basic("s3c:ret"), path=path)
            assert answer.status == 401 and not [s for s in answer.headers("www-authenticate") if s.startswith("Basic")], path
        assert ask(weir, basic("s3c:ret"), path="/api/v1/pools/up/flush", method="POST").status == 401
        assert ask(weir, basic("s3c:ret"), path="/status", method="POST").status in (401, 405)
        # What another site may have a browser do here.
        assert ask(weir, basic("s3c:ret").replace("localhost", "evil.test"), path="/status").status == 403
        assert ask(weir, basic("s3c:ret") + "Origin: http://evil.test\r\n", path="/status").status == 403


def test_wrong_passwords_are_guesses():
    with Upstream() as upstream, keyed(upstream, token="s3cret") as weir:
        for wrong in ("s3cre", "", "s3cret x"):
            assert ask(weir, basic(wrong), path="/status").status == 401
        assert ask(weir, "Host: localhost\r\nAuthorization: Basic s3cret\r\n", path="/status").status == 401
        for wrong in range(20):
            status = ask(weir, basic(wrong), path="/status").status
        assert status == 429
        assert ask(weir, basic("s3cret"), path="/status").status == 429


def test_unix_socket(tmp_path):
    path = tmp_path / "admin.sock"
    with Upstream() as upstream:
        weir = Weir(upstream)
        config = json.loads(weir.config_path.read_text())
        weir.stop()
        config["admin"]["address"] = f"unix:{path}"
        config["log"]["access"] = "off"

        class Local(Weir):
            def _ready(self):
                with socket.socket(socket.AF_UNIX) as sock:
                    return sock.connect_ex(str(path)) == 0

        with Local(config=config):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(10)
                sock.connect(str(path))
                sock.sendall(b"GET /api/v1/process HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n\r\n")
                answer = b""
                while piece := sock.recv(65536):
                    answer += piece
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert path.stat().st_mode & 0o077 == 0
        assert not path.exists()


def test_a_client_that_does_not_read_hurts_nobody(relay):
    """It asks for the largest pages again and again and reads none; pages and traffic go on."""
    lazy = [Client(relay.admin_port) for _ in range(20)]
    for client in lazy:
        for _ in range(20):
            client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert relay.ask().status == 200
    wait_for(lambda: relay.admin("/readyz").status == 200, "a page for someone else")
    for client in lazy:
        client.close()
    wait_for(lambda: relay.admin("/metrics").status == 200, "a page after them")


def test_pages_while_there_is_traffic():
    stop = threading.Event()
    with Upstream() as upstream, Weir(upstream, workers=2) as weir:
        def traffic():
            while not stop.is_set():
                assert weir.ask().status == 200

        threads = [threading.Thread(target=traffic) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                for name in PAGES:
                    assert weir.admin(f"/api/v1/{name}").status == 200
                assert weir.admin("/metrics").status == 200
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def test_secrets_are_masked():
    with Upstream() as upstream, Weir(upstream, routes=[
            {"upstream": "up", "request_headers": {"set": {"x-api-key": "sk-12345", "x-plain": "seen"}}}]) as weir:
        text = weir.admin("/api/v1/config").text
        assert "sk-12345" not in text and "seen" in text
        assert "sk-12345" not in weir.text()
