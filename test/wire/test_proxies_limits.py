# SPDX-License-Identifier: Apache-2.0
"""Dials and connections through a proxy are bounded over workers and upstreams, without an error for who waits his turn;
its figures."""
import contextlib
import json
import select
import socket
import subprocess
import threading
import time

import pytest

import weirtest
import wsraw
from openclawpeer import double
from test_openclaw_gateway import Events, post
from test_proxies import Scripted, microsocks
from weirtest import Upstream, Weir, dead_port, wait_for

option = pytest.mark.option


FIGURES = {"connections": "weir_proxy_connections", "connecting": "weir_proxy_connecting", "waiting": "weir_proxy_waiting"}


def figure(weir, what, **labels):
    return weir.metric(FIGURES.get(what, f"weir_proxy_{what}"), **labels)


def test_connections_and_dials_of_all_upstreams_and_workers():
    with Upstream() as one, Upstream() as two, microsocks() as proxy:
        name = f"socks5://127.0.0.1:{proxy.port}"
        shared = {"proxy": name, "proxy_limits": {"connecting_max": 1}}
        upstreams = [{"name": name, "endpoints": [{"url": up.url}], **shared} for name, up in (("a", one), ("b", two))]
        routes = [{"match": {"path": f"/{name}"}, "upstream": name} for name in "ab"]
        with Weir(routes=routes, upstreams=upstreams, workers=2) as weir:
            clients = [weir.client().get("/a" if i % 2 else "/b") for i in range(40)]
            assert [client.final().status for client in clients] == [200] * 40
            for client in clients:
                client.close()
            wait_for(lambda: figure(weir, "connecting") == figure(weir, "waiting") == 0, "dials to end")
            made = weir.metric("weir_pool_created_total", pool="a") + weir.metric("weir_pool_created_total", pool="b")
            assert figure(weir, "dials_total", proxy=name, result="ok") == made
            assert figure(weir, "connections", proxy=name) == made
            assert weir.metric("weir_pool_failed_total") == 0


@option("upstreams.proxy_limits.connecting_max")
def test_dials_under_way():
    with Upstream(lambda peer: peer.recv() and peer.recv()) as silent:
        options = {"proxy": f"socks5://127.0.0.1:{silent.port}", "proxy_limits": {"connecting_max": 2},
                   "balance": "round_robin"}
        with Weir([f"http://127.0.0.{i}:81" for i in range(2, 6)], upstream_options=options) as weir:
            clients = [weir.client().get() for _ in range(8)]
            wait_for(lambda: figure(weir, "connecting") == 2 and figure(weir, "waiting") > 0, "two dials")
            assert figure(weir, "connections") == 4
            assert silent.accepted == 2
            for client in clients:
                client.close()


@contextlib.contextmanager
def takes_nobody():
    """The URL of a host to which no dial gets through, since as many wait there as may."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def of_one_proxy(url, most, ports=(81, 82), workers=1, **more):
    """Two upstreams, /a and /b."""
    shared = {"proxy": url, "proxy_limits": {"max_connections": most}, **more}
    upstreams = [{"name": name, "endpoints": [{"url": f"http://127.0.0.1:{port}"}], **shared} for name, port in zip("ab", ports)]
    routes = [{"match": {"path": f"/{name}"}, "upstream": name} for name in "ab"]
    return Weir(routes=routes, upstreams=upstreams, workers=workers)


class Counted:
    """A proxy that answers requests itself. It knows how many connections there were at once, since who has hung up has said
    so before he comes again."""

    def __init__(self):
        self.lock, self.peers, self.most = threading.Lock(), [], 0

    def is_open(self, peer):
        try:
            return not select.select([peer.sock], [], [], 0)[0] or peer.sock.recv(1, socket.MSG_PEEK) != b""
        except OSError:  # reset
            return False

    def script(self, peer):
        with self.lock:
            self.peers = [peer, *filter(self.is_open, self.peers)]
            self.most = max(self.most, len(self.peers))
        try:
            peer.head()
            peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while peer.request() is not None:
                time.sleep(0.002)  # the work of an answer
                peer.ok()
        finally:
            with self.lock:  # before it is closed here: the next one may get its descriptor
                self.peers = [p for p in self.peers if p is not peer]


@option("upstreams.proxy_limits.max_connections")
@pytest.mark.parametrize("workers, most", [(1, 1), (1, 3), (4, 2), (4, 7)])
def test_connections_in_all(workers, most):
    counted, served = Counted(), {"/a": 0, "/b": 0}
    with Upstream(counted.script) as proxy, of_one_proxy(proxy.url, most, workers=workers) as weir:
        end = time.monotonic() + 3

        def ask(path):
            with weir.client() as client:
                while time.monotonic() < end:
                    assert client.get(path).final().status == 200
                    served[path] += 1
        threads = [threading.Thread(target=ask, args=(path,)) for path in ("/a", "/b") * 6]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert figure(weir, "places") <= most
        for thread in threads:
            thread.join()
        assert counted.most == most
        assert min(served.values()) > 20, served  # neither keeps the proxy for itself
        assert figure(weir, "dials_total", result="full") == 0
        # A place is had for its time: connections are used again.
        assert figure(weir, "dials_total", result="ok") < sum(served.values()) / 2, served


def test_what_is_idle_is_given_up():
    with Upstream() as one, Upstream() as two, microsocks() as proxy, \
            of_one_proxy(f"socks5://127.0.0.1:{proxy.port}", 2, (one.port, two.port), 4) as weir:
        for path in ("/a", "/b") * 3:
            clients = [weir.client().get(path) for _ in range(2)]
            assert [client.final().status for client in clients] == [200, 200]
            for client in clients:
                client.close()
        assert weir.metric("weir_pool_failed_total") == 0 and figure(weir, "places") <= 2


def test_who_finds_no_place_is_told_so_and_nobody_is_down():
    held = threading.Event()

    def script(peer):
        while peer.request() is not None:
            held.wait(20)
            peer.ok()
    with Upstream(script) as one, Upstream() as two, microsocks() as proxy, \
            of_one_proxy(f"socks5://127.0.0.1:{proxy.port}", 1, (one.port, two.port),
                         pool={"connect_timeout": "2s"}) as weir:
        with weir.client() as client:
            client.get("/a")
            wait_for(lambda: one.requests == 1, "the one that holds the place")
            for _ in range(4):
                answer = weir.ask("/b")
                assert answer.status == 503 and answer.json()["error"]["code"] == "pool_full"
            assert figure(weir, "dials_total", result="full") >= 1 and figure(weir, "places") == 1
            assert two.accepted == 0
            held.set()
            assert client.final().status == 200
        wait_for(lambda: weir.ask("/b").status == 200, "its place")


def test_health_checks_have_places_as_well():
    counted, end = Counted(), time.monotonic() + 2
    health = {"path": "/up", "interval": "20ms", "timeout": "20s", "failures": 1}
    with Upstream(counted.script) as proxy, of_one_proxy(proxy.url, 1, workers=2, health=health) as weir:
        while time.monotonic() < end:
            assert [weir.ask(path).status for path in ("/a", "/b")] == [200, 200]
        asked = weir.metric("weir_pool_created_total", pool="a") + weir.metric("weir_pool_created_total", pool="b")
        assert counted.most == 1 and figure(weir, "dials_total", result="ok") > asked  # those of checks are more


def test_a_check_that_finds_no_place_says_nothing():
    held = threading.Event()

    def script(peer):
        while peer.request() is not None:
            held.wait(20)
            peer.ok()
    health = {"path": "/up", "interval": "50ms", "timeout": "3s", "failures": 1, "recovery": "50ms"}
    with Upstream(script) as one, Upstream() as two, microsocks() as proxy:
        shared = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "proxy_limits": {"max_connections": 1}}
        upstreams = [{"name": "a", "endpoints": [{"url": one.url}], **shared},
                     {"name": "b", "endpoints": [{"url": two.url}], "health": health, **shared}]
        with Weir(routes=[{"match": {"path": "/a"}, "upstream": "a"}, {"upstream": "b"}], upstreams=upstreams) as weir, \
                weir.client() as client:
            def healthy():
                return [row["healthy"] for row in json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]]
            wait_for(lambda: two.requests > 0, "a check")
            client.get("/a")
            wait_for(lambda: one.requests == 1, "the one that holds the place")
            before = figure(weir, "dials_total", result="full")
            wait_for(lambda: figure(weir, "dials_total", result="full") > before, "a check without a place")
            assert healthy() == [True, True] and figure(weir, "places") == 1
            held.set()
            assert client.final().status == 200
            seen = two.requests
            wait_for(lambda: two.requests > seen, "a check again")
            assert healthy() == [True, True]


def test_a_check_whose_turn_does_not_come_says_nothing():
    """All dials that may be under way are: to somebody who takes nobody."""
    health = {"path": "/up", "interval": "1s", "timeout": "3s", "failures": 1}
    with takes_nobody() as silent, Upstream() as up, microsocks() as proxy:
        shared = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "proxy_limits": {"connecting_max": 1},
                  "pool": {"connect_timeout": "60s", "acquire_timeout": "60s"}}
        upstreams = [{"name": "a", "endpoints": [{"url": silent}], **shared},
                     {"name": "b", "endpoints": [{"url": up.url}], "health": health, **shared}]
        with Weir(routes=[{"match": {"path": "/a"}, "upstream": "a"}, {"upstream": "b"}], upstreams=upstreams) as weir, \
                weir.client() as client:
            wait_for(lambda: up.requests > 0, "a check")
            client.get("/a")
            wait_for(lambda: weir.metric("weir_pool_connections", pool="a", state="dialling") == figure(weir, "connecting") == 1
                     and figure(weir, "waiting") == 0, "the dial that goes on")
            wait_for(lambda: figure(weir, "waiting") == 1, "a check that waits")
            wait_for(lambda: figure(weir, "waiting") == 0, "its end")
            rows = json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]
            assert [row["healthy"] for row in rows] == [True, True]


def test_a_websocket_keeps_its_place():
    with wsraw.upstream(wsraw.echo) as up, microsocks() as proxy:
        options = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "proxy_limits": {"max_connections": 1}}
        with Weir(up, upstream_options=options, upstream_pool={"acquire_timeout": "300ms"}) as weir:
            with wsraw.WsClient(weir.port) as client:
                with wsraw.WsClient(weir.port, opens=False) as other:
                    assert other.answer.status == 503
                client.say(wsraw.TEXT, "still here")
                assert client.frame().data == b"still here"

            def is_free():
                with wsraw.WsClient(weir.port, opens=False) as next_one:
                    return next_one.answer.status == 101
            wait_for(is_free, "its place")


def claw_and_web(proxy, claw, up):
    shared = {"proxy": f"socks5://127.0.0.1:{proxy.port}", "proxy_limits": {"max_connections": 1},
              "pool": {"connect_timeout": "3s"}}
    upstreams = [{"name": "up", "endpoints": [{"url": claw.http_url}], "protocol": "openclaw",
                  "openclaw": {"token": "demo"}, **shared},
                 {"name": "web", "endpoints": [{"url": up.url}], **shared}]
    return Weir(routes=[{"match": {"path": "/web"}, "upstream": "web"}, {"upstream": "up"}], upstreams=upstreams)


def test_a_connection_to_openclaw_has_a_place_and_gives_it_up_when_idle():
    with Upstream() as up, double() as claw, microsocks() as proxy, claw_and_web(proxy, claw, up) as weir:
        wait_for(lambda: claw.open == 1, "its connection")
        assert figure(weir, "places") == figure(weir, "connections") == 1
        with weir.client() as client:
            client.send("POST /openclaw/up/hold HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}")
            wait_for(lambda: len(claw.requests) == 1, "a request on it")
            refused = weir.ask("/web")
            assert refused.status == 503 and refused.json()["error"]["code"] == "pool_full"
            assert up.accepted == 0 and claw.open == 1
            claw.behave(release=True)
            assert client.response("POST").status == 200
        for _ in range(2):
            assert weir.ask("/web").status == 200
            assert figure(weir, "places") <= 1
            assert post(weir, "health").status == 200  # and the other way
        assert figure(weir, "dials_total", result="ok") == len(claw.connects) + up.accepted


def test_a_connection_whose_events_are_read_keeps_its_place():
    with Upstream() as up, double() as claw, microsocks() as proxy, claw_and_web(proxy, claw, up) as weir:
        reader = Events(weir)
        assert weir.ask("/web").status == 503
        claw.event("chat", {"n": 1})
        reader.until(b'{"n": 1}')
        reader.client.close()
        wait_for(lambda: weir.ask("/web").status == 200, "its place")


def test_what_failed_is_counted_by_its_step():
    with Upstream() as up:
        name = f"socks5://127.0.0.1:{dead_port()}"
        with Weir(up, upstream_options={"proxy": name.replace("//", "//me:pw@")}) as weir:
            assert weir.ask().status == 502
            assert figure(weir, "dials_total", proxy=name, result="connect") == 1
            assert "pw@" not in weir.admin("/metrics").text
        with Scripted(b"\x05\xff") as proxy:
            with Weir(up, upstream_options={"proxy": f"socks5://127.0.0.1:{proxy.port}"}) as weir:
                assert weir.ask().status == 502
                assert figure(weir, "dials_total", result="proxy") == 1


def test_one_proxy_has_one_limit(tmp_path):
    conf = tmp_path / "weir.yaml"
    one = {"endpoints": [{"url": "http://127.0.0.1:1"}], "proxy": "socks5://me:pw@127.0.0.1:2"}
    conf.write_text(weirtest.yaml_of({
        "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "a"}]}],
        "upstreams": [{"name": "a", **one}, {"name": "b", "proxy_limits": {"connecting_max": 5}, **one}]}))
    done = subprocess.run([str(weirtest.WEIR), "check", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "other proxy_limits in upstream a" in done.stdout
    conf.write_text(conf.read_text().replace("connecting_max", "max_connections"))
    done = subprocess.run([str(weirtest.WEIR), "check", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "other proxy_limits in upstream a" in done.stdout
    assert "pw@" not in done.stdout + done.stderr
