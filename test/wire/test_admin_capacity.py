# SPDX-License-Identifier: Apache-2.0
"""/api/v1/capacity: what comes, how long it stays, and what size that needs."""
import json

from weirtest import Upstream, Weir


def figures(weir):
    answer = weir.admin("/api/v1/capacity")
    assert answer.status == 200
    return json.loads(answer.text)["capacity"][0]


def test_nobody_came():
    with Upstream() as upstream, Weir(upstream) as weir:
        row = figures(weir)
        assert row["pool"] == "up" and row["arrivals_per_second"] == 0 and row["advised_max_connections"] is None
        assert row["max_connections"] == 100 and row["utilization"] == 0 and "nobody came" in row["advice"]


def test_what_comes_is_counted_and_judged():
    with Upstream() as upstream, Weir(upstream, workers=2, upstream_pool={"max_connections": 10}) as weir:
        for _ in range(20):
            assert weir.ask().status == 200
        row = figures(weir)
        came = row["arrivals_per_second"] * row["window_seconds"]
        assert abs(came - 20) < 0.01, row
        assert abs(row["offered_load"] - row["arrivals_per_second"] * row["hold_seconds"]) < 1e-4
        assert row["utilization"] == row["connections"] / 10 > 0
        if row["hold_seconds"] > 0:  # leases that are shorter than a millisecond say nothing
            assert row["advised_max_connections"] >= 1 and row["predicted_wait_seconds"] is not None


def test_generations():
    with Upstream() as upstream, Weir(upstream) as weir:
        rows = json.loads(weir.admin("/api/v1/generations").text)["generations"]
        process = json.loads(weir.admin("/api/v1/process").text)
        assert rows == [{"generation": 1, "since": process["started"], "current": True}]
