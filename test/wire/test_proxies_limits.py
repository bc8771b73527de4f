# SPDX-License-Identifier: Apache-2.0
"""Dials through a proxy are bounded over workers and upstreams, without an error for who waits his turn; its figures."""
import subprocess
import threading

import pytest

import weirtest
from test_proxies import Scripted, microsocks
from weirtest import Upstream, Weir, dead_port, wait_for

option = pytest.mark.option


def figure(weir, what, **labels):
    return weir.metric(f"weir_proxy_{what}", **labels)


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
    assert "pw@" not in done.stdout + done.stderr
