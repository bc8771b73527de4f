# SPDX-License-Identifier: Apache-2.0
"""Each option of listeners and of the process: changed, and its effect seen."""
import json
import os
import pathlib
import socket
import stat
import threading
import time

import pytest

from weirtest import Client, Upstream, Weir, free_port, wait_for

option = pytest.mark.option


def took(client):
    """Seconds until the peer closes."""
    begun = time.monotonic()
    assert client.closed()
    return time.monotonic() - begun


@option("workers")
def test_workers():
    with Upstream() as up, Weir(up, workers=3) as weir:
        assert len(json.loads(weir.admin("/api/v1/process").text)["workers"]) == 3
        assert len(os.listdir(f"/proc/{weir.process.pid}/task")) >= 3


@option("node.name")
def test_node_name():
    with Upstream() as up, Weir(up, node={"name": "dam-7"}) as weir:
        assert "dam-7" in weir.admin("/api/v1/process").text


@option("admin.address")
def test_admin_address():
    port = free_port()
    with Upstream() as up, Weir(up) as weir:
        config = json.loads(weir.config_path.read_text())
    config["admin"]["address"] = f"127.0.0.1:{port}"
    config["log"]["access"] = "off"  # the first one's directory is gone

    class Elsewhere(Weir):
        def admin(self, *args, **options):
            self.admin_port = port
            return super().admin(*args, **options)

    with Upstream(), Elsewhere(config=config) as weir:
        assert weir.admin("/livez").status == 200


@option("admin.token")
def test_admin_token():
    class Keyed(Weir):
        def admin(self, path, method="GET", headers=None, body=None):
            return super().admin(path, method, headers or {"Authorization": "Bearer s3cret-token"}, body)

    with Upstream() as up:
        port, admin = free_port(), free_port()
        config = {"admin": {"address": f"127.0.0.1:{admin}", "token": "s3cret-token"}, "log": {"access": "off"},
                  "listeners": [{"name": "web", "address": f"127.0.0.1:{port}",
                                 "routes": [{"match": {"path": "/"}, "upstream": "up"}]}],
                  "upstreams": [{"name": "up", "endpoints": [{"url": up.url}]}]}

        class Placed(Keyed):
            def _ready(self):
                self.port, self.admin_port = port, admin
                return super()._ready()

        with Placed(config=config) as weir:
            assert weir.admin("/api/v1/pools").status == 200
            assert weir.admin("/api/v1/pools", headers={"X": "y"}).status == 401
            assert weir.admin("/api/v1/pools", headers={"Authorization": "Bearer wrong"}).status == 401
            assert "s3cret" not in weir.admin("/api/v1/config").text
            assert "s3cret" not in weir.text()


@option("admin.viewer_token")
def test_who_shows_the_viewers_token_looks_and_changes_nothing():
    api_key = {"Authorization": "Bearer see"}, {"Authorization": "Bearer do"}

    class Keyed(Weir):
        def admin(self, path, method="GET", headers=None, body=None):
            return super().admin(path, method, headers or api_key[1], body)

    clear = "/api/v1/accounts/up/a1/clear"
    accounts = [{"name": "a1", "headers": {"x-api-key": "k"}}]
    ports = {"port": free_port(), "admin": free_port()}
    admin = {"address": f"127.0.0.1:{ports['admin']}", "token": "do", "viewer_token": "see"}
    with Upstream() as up, Keyed(up, ports=ports, admin=admin, upstream_options={"accounts": accounts}) as weir:
        for viewer in api_key:
            assert weir.admin("/api/v1/accounts", headers=viewer).status == 200
        assert weir.admin(clear, "POST", headers=api_key[0]).status == 403
        assert weir.admin(clear, "POST", headers=api_key[1]).status == 200
        assert weir.admin("/api/v1/accounts", headers={"Authorization": "Bearer "}).status == 401
        assert '"see"' not in weir.admin("/api/v1/config").text


@option("log.level")
def test_log_level():
    with Upstream() as up:
        with Weir(up, log={"level": "error", "access": "off"}) as quiet:
            quiet.ask()
        with Weir(up, log={"level": "debug", "access": "off"}) as loud:
            loud.ask()
            loud.stop()
            talk = loud.text()
        assert len(talk) > 0
    with Upstream() as up, Weir(up, log={"level": "error", "access": "off"}) as quiet:
        quiet.ask()
        quiet.stop()
        assert len(quiet.text()) < len(talk)


@option("log.format")
def test_log_format():
    with Upstream() as up, Weir(up, log={"format": "json", "access": "off", "level": "info"}) as weir:
        weir.stop()
        for line in weir.text().splitlines():
            json.loads(line)
    with Upstream() as up, Weir(up, log={"format": "text", "access": "off", "level": "info"}) as weir:
        weir.stop()
        lines = weir.text().splitlines()
        assert lines and not any(line.startswith("{") for line in lines)


@option("log.access")
def test_log_access(tmp_path):
    with Upstream() as up:
        for where in ("stdout", "stderr"):
            with Weir(up, log={"access": where}) as weir:
                weir.ask("/seen-in-log")
                wait_for(lambda: "/seen-in-log" in weir.text(), "the access log line")
        with Weir(up, log={"access": "off"}) as weir:
            weir.ask("/seen-in-log")
            weir.stop()
            assert "/seen-in-log" not in weir.text()
        with Weir(up, log={"access": str(tmp_path / "a.log")}) as weir:
            weir.ask("/seen-in-log")
            wait_for(lambda: "/seen-in-log" in (tmp_path / "a.log").read_text(), "the access log line")
            assert stat.S_IMODE((tmp_path / "a.log").stat().st_mode) & 0o007 == 0


@option("profiles")
@option("upstreams.profile")
def test_profiles():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            hold.wait(5)
            peer.ok()

    with Upstream(script) as up, Weir(up, profiles={"tight": {"first_byte_timeout": "300ms"}},
                                      upstream_options={"profile": "tight"}) as weir:
        begun = time.monotonic()
        assert weir.ask().status == 504 and time.monotonic() - begun < 3
        hold.set()


@option("listeners.name")
def test_listener_name():
    with Upstream() as up, Weir(up, listener={"name": "front"}) as weir:
        weir.ask()
        assert weir.metric("weir_http_requests_total", listener="front", upstream="up") == 1
        assert any('pool="listener:front"' in name for name in weir.metrics())


@option("listeners.address")
def test_listener_address():
    port = free_port()
    with Upstream() as up, Weir(up, listener={"address": f"127.0.0.1:{port}"}) as weir:
        with Client(port) as client:
            client.get()
            assert client.response().status == 200
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", weir.port), 1)


@option("listeners.trusted_proxies")
def test_trusted_proxies():
    ask = "X-Forwarded-For: 203.0.113.9\r\n"
    for trusted, seen in ((["127.0.0.0/8"], True), ([], False)):
        with Upstream() as up, Weir(up, listener={"trusted_proxies": trusted}, routes=[
                {"match": {"path": "/"}, "upstream": "up", "forwarded": "append"}]) as weir:
            assert weir.ask(headers=ask).status == 200
            assert (b"203.0.113.9" in up.bytes) == seen, trusted


@option("listeners.pool.max_connections")
def test_max_connections():
    with Upstream() as up, Weir(up, pool={"max_connections": 2}) as weir:
        keep = [weir.client(), weir.client()]
        for client in keep:
            client.get()
            assert client.response().status == 200
        assert weir.ask().status == 503
        for client in keep:
            client.close()


@option("listeners.pool.max_per_ip")
def test_max_per_ip():
    with Upstream() as up, Weir(up, pool={"max_per_ip": 2}) as weir:
        keep = [weir.client(), weir.client()]
        for client in keep:
            client.get()
            assert client.response().status == 200
        assert weir.ask().status == 503
        with weir.client(source=("127.0.0.2", 0)) as other:
            other.get()
            assert other.response().status == 200
        for client in keep:
            client.close()
        wait_for(lambda: weir.ask().status == 200, "the place to be free again")


@option("listeners.pool.headers_timeout")
def test_headers_timeout():
    with Upstream() as up, Weir(up, pool={"headers_timeout": "400ms"}) as weir:
        with weir.client() as client:
            client.send("GET / HT")
            assert 0.2 < took(client) < 3


@option("listeners.pool.request_timeout")
def test_request_timeout():
    with Upstream() as up, Weir(up, pool={"request_timeout": "500ms"}) as weir:
        with weir.client() as client:
            client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nabc")
            answer = client.response()
            assert answer is None or answer.status == 408
            assert took(client) < 5


@option("listeners.pool.min_rate")
def test_min_rate():
    def upload(rate):
        with Upstream() as up, Weir(up, pool={"request_timeout": "500ms", "min_rate": rate}) as weir:
            with weir.client() as client:
                client.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 12000\r\n\r\n")
                pause = threading.Event()
                for _ in range(12):
                    client.send(b"x" * 1000)
                    pause.wait(0.12)
                answer = client.response()
                return answer.status if answer else None
    assert upload("1KiB") == 200
    assert upload("1MiB") in (408, None)


@option("listeners.pool.idle_timeout")
def test_idle_timeout():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
            hold.wait(10)

    with Upstream(script) as up, Weir(up, pool={"idle_timeout": "500ms"}) as weir:
        with weir.client() as client:
            client.get()
            begun = time.monotonic()
            answer = client.response()
            assert answer.status == 200 and not answer.complete
            assert 0.3 < time.monotonic() - begun < 5
        hold.set()


def test_idle_timeout_rules_the_wait_for_an_answer_where_it_is_written():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            hold.wait(10)
            peer.ok()

    with Upstream(script) as up, Weir(up, pool={"idle_timeout": "400ms"}) as weir:
        begun = time.monotonic()
        assert weir.ask().status == 504
        assert 0.2 < time.monotonic() - begun < 5
        hold.set()


@option("listeners.pool.keepalive_timeout")
def test_keepalive_timeout():
    for limit, low, high in (("300ms", 0.15, 1.5), ("1500ms", 1.0, 4)):
        with Upstream() as up, Weir(up, pool={"keepalive_timeout": limit}) as weir, weir.client() as client:
            client.get()
            assert client.response().status == 200
            assert low < took(client) < high


@option("listeners.pool.write_timeout")
def test_write_timeout():
    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            for _ in range(50):
                peer.send(b"x" * 1000000)

    with Upstream(script) as up, Weir(up, pool={"write_timeout": "500ms"}) as weir:
        base = weir.descriptors()
        with weir.client() as client:
            client.get()
            wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a stream")
            wait_for(lambda: weir.descriptors() <= base, "the reader to be cut", 5)


@option("listeners.pool.drain_timeout")
def test_drain_timeout():
    hold = threading.Event()

    def script(peer):
        while peer.request() is not None:
            hold.wait(20)

    with Upstream(script) as up, Weir(up, pool={"drain_timeout": "500ms"}) as weir:
        client = weir.client()
        client.get()
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "a request")
        begun = time.monotonic()
        weir.process.terminate()
        assert weir.process.wait(10) == 0
        assert 0.3 < time.monotonic() - begun < 6
        hold.set()
        client.close()


@option("listeners.http1.max_header_bytes")
def test_max_header_bytes():
    with Upstream() as up, Weir(up, listener={"http1": {"max_header_bytes": "1KiB"}}) as weir:
        assert weir.ask(headers="A: " + "b" * 500 + "\r\n").status == 200
        assert weir.ask(headers="A: " + "b" * 1500 + "\r\n").status == 431
        assert weir.ask("/" + "a" * 2000).status == 414


@option("listeners.http1.max_headers")
def test_max_headers():
    with Upstream() as up, Weir(up, listener={"http1": {"max_headers": 5}}) as weir:
        assert weir.ask(headers="A: b\r\n" * 4).status == 200
        assert weir.ask(headers="A: b\r\n" * 5).status == 431


class Routed:
    def __init__(self, match):
        self.special = Upstream(lambda peer: [peer.ok("special") for _ in iter(peer.request, None)])
        self.up = Upstream()
        self.weir = Weir(self.up, routes=[{"match": match, "upstream": "special"},
                                          {"match": {"path": "/"}, "upstream": "up"}],
                         upstreams=[{"name": "up", "endpoints": [{"url": self.up.url}]},
                                    {"name": "special", "endpoints": [{"url": self.special.url}]}])

    def __enter__(self):
        self.weir.__enter__()
        return lambda *args, **options: self.weir.ask(*args, **options).body == b"special"

    def __exit__(self, *exc):
        self.weir.__exit__(*exc)
        self.up.stop()
        self.special.stop()


@option("listeners.routes.match.host")
@option("listeners.routes.upstream")
def test_match_host():
    with Routed({"host": "a.example", "path": "/"}) as special:
        assert special(host="a.example") and special(host="A.Example:80") and not special(host="b.example")
    with Routed({"host": "*.example", "path": "/"}) as special:
        assert special(host="x.example") and not special(host="example") and not special(host="x.other")


@option("listeners.routes.match.path")
def test_match_path():
    with Routed({"path": "/api"}) as special:
        assert special("/api") and special("/api/x") and special("/api?q") and not special("/apis")


@option("listeners.routes.match.method")
def test_match_method():
    with Routed({"path": "/", "method": ["PUT", "DELETE"]}) as special:
        assert special(method="DELETE") and not special(method="GET")


@option("listeners.routes.match.header")
def test_match_header():
    with Routed({"path": "/", "header": {"X-Kind": "gold", "X-Any": "*"}}) as special:
        assert special(headers="x-kind: gold\r\nX-Any: q\r\n")
        assert not special(headers="x-kind: gold\r\n") and not special(headers="X-Kind: tin\r\nX-Any: q\r\n")


@option("listeners.routes.limits.body")
def test_limit_body():
    with Upstream() as up, Weir(up, routes=[{"match": {"path": "/"}, "upstream": "up",
                                             "limits": {"body": "1KiB"}}]) as weir:
        assert weir.ask(method="POST", headers="Content-Length: 1000\r\n", body=b"x" * 1000).status == 200
        assert weir.ask(method="POST", headers="Content-Length: 1025\r\n", body=b"x").status == 413
        up.received.clear()
        answer = weir.ask(method="POST", headers="Transfer-Encoding: chunked\r\n",
                          body=b"3e8\r\n" + b"x" * 1000 + b"\r\n3e8\r\n" + b"x" * 1000 + b"\r\n0\r\n\r\n")
        assert answer.status == 413
        assert b"\r\n0\r\n\r\n" not in up.bytes


@option("listeners.routes.limits.concurrent_per_client")
def test_concurrent_per_client():
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            go.wait(10)
            peer.ok()

    with Upstream(script) as up, Weir(up, routes=[{"match": {"path": "/"}, "upstream": "up",
                                                   "limits": {"concurrent_per_client": 2}}]) as weir:
        clients = [weir.client(), weir.client()]
        for client in clients:
            client.get()
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 2, "two requests")
        assert weir.ask().status == 429
        with weir.client(source=("127.0.0.3", 0)) as other:
            other.get()
            go.set()
            assert other.response().status == 200
        for client in clients:
            assert client.response().status == 200
            client.close()
        assert weir.ask().status == 200


def test_concurrent_per_client_behind_a_trusted_proxy():
    """The proxy's word counts for whom it speaks of, and nobody else's."""
    go = threading.Event()

    def script(peer):
        while peer.request() is not None:
            go.wait(10)
            peer.ok()

    with Upstream(script) as up, Weir(up, listener={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]}, routes=[
            {"match": {"path": "/"}, "upstream": "up", "limits": {"concurrent_per_client": 1}}]) as weir:
        clients = [weir.client() for _ in range(3)]
        chains = ("198.51.100.1", "198.51.100.2, 10.0.0.7", "203.0.113.9, 198.51.100.3")
        for client, chain in zip(clients, chains, strict=True):
            client.get(headers=f"X-Forwarded-For: {chain}\r\n")
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 3, "three clients")
        for chain in ("198.51.100.1", "1.2.3.4, 198.51.100.2", "203.0.113.10, 198.51.100.3,10.9.9.9"):
            assert weir.ask(headers=f"X-Forwarded-For: {chain}\r\n").status == 429, chain
        assert weir.ask(headers="Forwarded: for=198.51.100.1;proto=http\r\n").status == 429
        with weir.client(source=("127.0.0.3", 0)) as one, weir.client(source=("127.0.0.3", 0)) as two:
            one.get(headers="X-Forwarded-For: 198.51.100.8\r\n")
            wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 4, "a fourth")
            two.get(headers="X-Forwarded-For: 198.51.100.9\r\n")  # not a proxy that is trusted
            assert two.response().status == 429
            go.set()
            assert one.response().status == 200
        for client in clients:
            assert client.response().status == 200
            client.close()


@option("listeners.routes.forwarded")
def test_forwarded():
    ask = "X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: gopher\r\n"
    for policy, mine, theirs in (("replace", True, False), ("append", True, True), ("off", False, False)):
        with Upstream() as up, Weir(up, listener={"trusted_proxies": ["127.0.0.1"]}, routes=[
                {"match": {"path": "/"}, "upstream": "up", "forwarded": policy}]) as weir:
            assert weir.ask(headers=ask).status == 200
            seen = up.bytes.lower()
            assert (b"127.0.0.1" in seen.partition(b"x-forwarded-for")[2]) == mine, policy
            assert (b"198.51.100.7" in seen) == theirs, policy


@option("listeners.routes.request_headers.set")
def test_request_headers_set():
    with Upstream() as up, Weir(up, routes=[{"match": {"path": "/"}, "upstream": "up", "request_headers": {
            "set": {"X-Set": "by-weir"}}}]) as weir:
        assert weir.ask(headers="x-set: by-client\r\n").status == 200
        assert b"X-Set: by-weir" in up.bytes and b"by-client" not in up.bytes


@option("listeners.routes.request_headers.remove")
def test_request_headers_remove():
    with Upstream() as up, Weir(up, routes=[{"match": {"path": "/"}, "upstream": "up", "request_headers": {
            "remove": ["X-Secret"]}}]) as weir:
        assert weir.ask(headers="x-secret: 1\r\nX-Open: 2\r\n").status == 200
        assert b"secret" not in up.bytes.lower() and b"X-Open: 2" in up.bytes


def test_include_and_variables(tmp_path):
    """include:, ${ENV}, ${ENV:-default}, ${file:} all reach the running program."""
    with Upstream() as up:
        port, admin = free_port(), free_port()
        (tmp_path / "secret").write_text("file-token\n")
        (tmp_path / "ups.yaml").write_text(f"upstreams: [ {{ name: up, endpoints: [ {{ url: \"{up.url}\" }} ] }} ]\n")
        config = (f"include: [{tmp_path}/ups.yaml]\n"
                  f"admin: {{ address: \"127.0.0.1:{admin}\" }}\n"
                  "log: { access: off }\n"
                  f"listeners: [ {{ name: web, address: \"127.0.0.1:{port}\", routes: [ {{ match: {{ path: / }}, upstream: up,\n"
                  "  request_headers: { set: { X-Env: \"${WEIR_T}\", X-Def: \"${WEIR_ABSENT:-d}\","
                  f" X-File: \"${{file:{tmp_path}/secret}}\" }} }} }} ] }} ]\n")

        class Placed(Weir):
            def _ready(self):
                self.port, self.admin_port = port, admin
                return super()._ready()

        with Placed(config=config, env={"WEIR_T": "from-env"}) as weir:
            assert weir.ask().status == 200
        assert b"X-Env: from-env" in up.bytes and b"X-Def: d" in up.bytes and b"X-File: file-token" in up.bytes


def test_log_reopen(tmp_path):
    import signal
    log = tmp_path / "a.log"
    with Upstream() as up, Weir(up, log={"access": str(log)}) as weir:
        weir.ask("/one")
        wait_for(lambda: log.exists() and "/one" in log.read_text(), "a line")
        log.rename(tmp_path / "a.log.1")
        weir.process.send_signal(signal.SIGUSR1)
        wait_for(log.exists, "the new file")
        weir.ask("/two")
        wait_for(lambda: "/two" in pathlib.Path(log).read_text(), "a line in the new file")
