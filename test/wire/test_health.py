# SPDX-License-Identifier: Apache-2.0
"""How the gateway and its parts fare, and the rule that says so."""
import json

from test_accounts import Api, account
from test_affinity import relay as relay_of
from weirtest import Upstream, Weir, dead_port, wait_for


def health(weir):
    return json.loads(weir.admin("/healthz").text)


def status(weir, family, **labels):
    return weir.metric(f"weir_{family}health_status", **labels)


def test_all_is_well(relay):
    assert relay.ask().status == 200
    said = health(relay)
    assert said["health"] == "healthy" and said["why"] == "nothing to report" and said["accounts"] == {}
    assert said["upstreams"]["up"]["health"] == said["listeners"]["web"]["health"] == said["pools"]["up"] == "healthy"
    assert status(relay, "gateway_") == status(relay, "upstream_", upstream="up") == status(relay, "") == 0


def test_an_upstream_that_is_down():
    with Weir(upstream_pool={"failures_max": 1}) as weir:
        assert weir.ask().status in (502, 503)
        wait_for(lambda: health(weir)["health"] == "unavailable", "it to be known")
        said = health(weir)
        assert said["state"] == "serving" and weir.admin("/healthz").status == 200
        assert said["upstreams"]["up"]["health"] == "unavailable"
        assert said["why"].startswith("no upstream is available; up: ") and said["listeners"]["web"]["health"] == "healthy"
        assert status(weir, "gateway_") == status(weir, "upstream_", upstream="up") == 3


def test_one_of_two_endpoints_is_down():
    with Upstream() as up:
        endpoints = [{"url": f"http://127.0.0.1:{dead_port()}"}, {"url": up.url, "priority": 1}]
        with Weir(endpoints, upstream_pool={"failures_max": 1}, upstream_options={"balance": "priority"}) as weir:
            def is_degraded():
                weir.ask()
                return health(weir)["upstreams"]["up"]["health"] == "degraded"
            wait_for(is_degraded, "the endpoint to be found down")
            said = health(weir)
            assert "1 of 2 endpoints are not usable" in said["why"] or "requests fail" in said["why"]
            assert said["health"] == "degraded" and status(weir, "gateway_") == 1


def test_accounts_that_cool_down():
    with Api() as api, relay_of(api, account("a0"), account("a1")) as weir:
        assert health(weir)["accounts"]["up/a0"] == {"health": "healthy", "why": "nothing to report"}
        for name in ("a0", "a1"):
            api.says(f"k-{name}", 529)
        wait_for(lambda: weir.ask() and health(weir)["upstreams"]["up"]["health"] == "unavailable", "both to cool down")
        said = health(weir)
        assert "2 of 2 accounts cool down" in said["upstreams"]["up"]["why"]
        assert said["accounts"]["up/a0"]["why"].startswith("cools down (overloaded) for ")
        assert status(weir, "account_", account="a0") == 3
        rows = json.loads(weir.admin("/api/v1/accounts").text)["accounts"]
        assert all(row["health"] == "unavailable" and row["why"].startswith("cools down") for row in rows)
        weir.admin("/api/v1/accounts/up/a0/clear", "POST")
        assert health(weir)["accounts"]["up/a0"]["health"] == "healthy"


def test_an_alert_is_an_ill():
    with Upstream() as up, Weir(up, alerts={"memory": "1MiB", "for": "0s"}) as weir:
        wait_for(lambda: health(weir)["health"] == "degraded", "the alert to fire")
        assert health(weir)["why"].startswith("alert memory: ")
        listener = json.loads(weir.admin("/api/v1/listeners").text)["listeners"][0]
        assert listener["health"] == "healthy" and listener["why"] == "nothing to report"
