# SPDX-License-Identifier: Apache-2.0
"""Zones: endpoints of the gateway's zone are asked first, the others when fewer than half of those are usable."""
import contextlib
import json

import pytest

from weirtest import Upstream, Weir, wait_for

option = pytest.mark.option


class Server(Upstream):
    """Says who it is; is ill when it is told so, and says so to checks."""

    def __init__(self, name):
        self.name, self.is_ill = name, False

        def serve(peer):
            while (asked := peer.request()) is not None:
                if self.is_ill and b"/healthz" in asked[0]:
                    peer.send(b"HTTP/1.1 503 Ill\r\nContent-Length: 0\r\n\r\n")
                else:
                    peer.ok(self.name)
        super().__init__(serve)


@contextlib.contextmanager
def servers_in(*zones, zone="here", balance="round_robin"):
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(Server(f"s{i}")) for i in range(len(zones))]
        endpoints = [{"url": server.url, "zone": of} for server, of in zip(servers, zones)]
        checks = {"path": "/healthz", "interval": "100ms", "timeout": "5s", "failures": 1, "recovery": "100ms"}
        yield servers, stack.enter_context(Weir(endpoints, node={"name": "n", "zone": zone},
                                                upstream_options={"balance": balance, "health": checks}))


def asked(weir, count=20):
    """The names of those who answered so many requests."""
    with weir.client() as client:
        return {client.get(f"/{i}").final().body.decode() for i in range(count)}


def usable(weir, endpoint):
    rows = json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]
    return rows[endpoint]["healthy"]


def turns(weir, servers, ill):
    for i, server in enumerate(servers):
        server.is_ill = i in ill
    for i in range(len(servers)):
        wait_for(lambda i=i: usable(weir, i) == (i not in ill), f"endpoint {i} to be judged")


@option("node.zone")
@option("upstreams.endpoints.zone")
@pytest.mark.parametrize("balance", ["round_robin", "p2c", "least_request", "hash", "priority"])
def test_near_by_first_and_the_others_when_fewer_than_half_are_usable(balance):
    with servers_in("here", "here", "there", "there", balance=balance) as (servers, weir):
        assert asked(weir) == {"s0", "s1"}
        turns(weir, servers, {0})
        assert asked(weir) == {"s1"}  # half of them is enough
        turns(weir, servers, {0, 1})
        assert asked(weir) == {"s2", "s3"}
        turns(weir, servers, set())
        assert asked(weir) == {"s0", "s1"}
        assert weir.metric("weir_upstream_zone_requests_total", upstream="up", result="near") == 60
        assert weir.metric("weir_upstream_zone_requests_total", upstream="up", result="far") == 20


def test_what_was_counted_is_counted_on_after_a_reload():
    with servers_in("here", "there") as (_, weir):
        assert asked(weir) == {"s0"}
        before = weir.metric("weir_upstream_zone_requests_total", upstream="up", result="near")
        config = json.loads(weir.config_path.read_text())
        config["upstreams"][0]["balance"] = "p2c"
        weir.config_path.write_text(json.dumps(config))
        assert weir.admin("/api/v1/reload", "POST").status == 200
        assert asked(weir) == {"s0"}
        assert weir.metric("weir_upstream_zone_requests_total", upstream="up", result="near") == 2 * before > 0


def test_one_of_three_is_not_enough():
    with servers_in("here", "here", "here", "there") as (servers, weir):
        assert asked(weir) == {"s0", "s1", "s2"}
        turns(weir, servers, {0})
        assert asked(weir) == {"s1", "s2"}
        turns(weir, servers, {0, 1})
        assert asked(weir) == {"s2", "s3"}


def test_one_near_by_and_two_elsewhere():
    with servers_in("there", "here", "there") as (servers, weir):
        assert asked(weir) == {"s1"}
        turns(weir, servers, {1})
        assert asked(weir) == {"s0", "s2"}
        turns(weir, servers, {0})
        assert asked(weir) == {"s1"}


def test_who_is_taken_out_is_not_usable():
    with servers_in("here", "there") as (servers, weir):
        assert asked(weir) == {"s0"}
        name = f"127.0.0.1:{servers[0].port}"
        assert weir.admin(f"/api/v1/endpoints/up/{name}/drain", "POST").status == 200
        assert asked(weir) == {"s1"}


def test_a_request_that_fails_near_by_goes_on():
    with servers_in("here", "there") as (servers, weir):
        assert asked(weir) == {"s0"}
        servers[0].stop()
        assert asked(weir, 1) == {"s1"}


@pytest.mark.parametrize("zone", ["", "elsewhere"])
def test_without_a_zone_that_is_theirs_all_are_equal(zone):
    with servers_in("here", "here", "there", zone=zone) as (_, weir):
        assert asked(weir) == {"s0", "s1", "s2"}
        assert weir.metric("weir_upstream_zone_requests_total") == 0
        rows = json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]
        assert [row["zone"] for row in rows] == ["here", "here", "there"]
