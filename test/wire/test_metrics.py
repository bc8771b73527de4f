# SPDX-License-Identifier: Apache-2.0
"""What /metrics leaves out, and what becomes of label sets that are too many."""
import pytest

from weirtest import Upstream, Weir

option = pytest.mark.option


def families(weir):
    return {line.split()[2] for line in weir.admin("/metrics").text.splitlines() if line.startswith("# TYPE")}


@option("metrics.include")
@option("metrics.exclude")
def test_families_that_are_shown():
    with Upstream() as up, Weir(up, metrics={"include": ["weir_pool_*", "*_info"], "exclude": ["*_total"]}) as weir:
        shown = families(weir)
        assert "weir_build_info" in shown and "weir_pool_connections" in shown
        assert all(name.startswith("weir_pool_") or name.endswith("_info") for name in shown)
        assert not any(name.endswith("_total") for name in shown)


@option("metrics.max_series")
def test_too_many_series_are_one():
    with Upstream() as up, Weir(up, metrics={"max_series": 3}) as weir:
        assert weir.ask().status == 200
        metrics = weir.metrics()
        shown = [name for name in metrics if name.startswith("weir_pool_connections{")]
        assert len(shown) == 4 and 'weir_pool_connections{pool="other",state="other"}' in shown
        assert metrics["weir_metrics_folded_series"] > 9
    with Upstream() as up, Weir(up) as weir:
        assert weir.metrics()["weir_metrics_folded_series"] == 0
        assert not any("other" in name for name in weir.metrics())


def test_what_looking_takes_of_workers():
    """Each page is a piece of work of every worker: little of its time, and it is counted."""
    with Upstream() as up, Weir(up) as weir:
        begun = weir.metrics()
        for _ in range(5):
            weir.admin("/api/v1/connections")
        now = weir.metrics()
        total, longest = (now[f"weir_admin_worker_{name}"] for name in ("seconds_total", "longest_seconds"))
        assert total > begun["weir_admin_worker_seconds_total"] > 0
        assert begun["weir_admin_worker_longest_seconds"] <= longest < total
