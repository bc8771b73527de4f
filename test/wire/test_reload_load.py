# SPDX-License-Identifier: Apache-2.0
"""Configurations follow each other while everything is open and 500 more connect, and nobody notices: a hundred times in
`make soak`."""
import json
import os

import pytest

from visitors import Visitors, served
from weirtest import Weir, free_port, wait_for

RELOADS = int(os.environ.get("WEIR_RELOADS", "100" if os.environ.get("WEIR_SOAK") else "6"))


def another(config, turn, url, port):
    """Something of everything that is live: endpoints, balance, accounts, limits, an upstream and a listener that come and go."""
    upstream = config["upstreams"][0]
    upstream["endpoints"] = [{"url": url, "weight": 1 + turn % 5}]
    upstream["balance"] = ("p2c", "round_robin", "least_request")[turn % 3]
    upstream["pool"] = {"idle_timeout": f"{30 + turn % 7}s"}
    upstream.pop("accounts", None)
    if turn % 2 == 0:
        upstream["accounts"] = [{"name": f"a{i}", "headers": {"x-api-key": f"k{i}"}} for i in range(1 + turn % 4)]
    web = config["listeners"][0]
    web["routes"][1]["limits"] = {"body": f"{1 + turn}MiB"}
    web["pool"]["keepalive_timeout"] = f"{60 + turn}s"
    del config["upstreams"][2:], config["listeners"][1:]
    if turn % 3 == 1:
        config["upstreams"].append({"name": "more", "endpoints": [{"url": url}]})
        config["listeners"].append({"name": "more", "address": f"127.0.0.1:{port}", "routes": [{"upstream": "more"}]})


@pytest.mark.soak
def test_nobody_notices_that_configurations_follow_each_other():
    with served() as (upstream, options), Weir(upstream, workers=2, **options) as weir:
        config, port = json.loads(weir.config_path.read_text()), free_port()
        visitors = Visitors(weir.port).start_all()
        try:
            for turn in range(RELOADS):
                another(config, turn, upstream.url, port)
                weir.config_path.write_text(json.dumps(config))
                with visitors.turn():
                    answer = weir.admin("/api/v1/reload", "POST")
                    assert answer.status == 200 and json.loads(answer.text)["result"] == "reloaded", answer.text
        finally:
            visitors.stop()
        assert not visitors.failures, visitors.failures
        assert weir.metric("weir_config_reloads_total", result="reloaded") == RELOADS
        wait_for(lambda: weir.metric("weir_config_generations") == 1, "the older ones to end")
        print(RELOADS, "reloads, 500 connects at each:", visitors.done)
