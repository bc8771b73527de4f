# SPDX-License-Identifier: Apache-2.0
"""PUT /api/v1/config?dry_run=1: what another configuration would change, and that it changes nothing (test_reload.py has it change
something)."""
import json

import pytest

from weirtest import Upstream, Weir


@pytest.fixture(name="gateway", scope="module")
def fixture_gateway():
    with Upstream() as upstream, Weir(upstream, env={"WEIR_TEST_SECRET": "sesame-1234"}) as weir:
        yield weir


def put(weir, text, query="?dry_run=1", headers=None):
    answer = weir.admin(f"/api/v1/config{query}", "PUT", body=text, headers=headers)
    return answer.status, json.loads(answer.text)


def own(weir):
    return json.loads(weir.config_path.read_text())


def test_the_same_changes_nothing(gateway):
    status, said = put(gateway, json.dumps(own(gateway)))
    assert status == 200 and said["valid"] and said["changes"] == [] and said["count"] == 0
    assert all(fault["advice"] for fault in said["faults"])


def test_each_change_is_named_with_both_values(gateway):
    config = own(gateway)
    config["log"]["level"] = "debug"
    config["upstreams"][0]["pool"] = {"max_connections": 7}
    config["upstreams"].append({"name": "other", "endpoints": [{"url": "http://127.0.0.1:1"}]})
    config["listeners"][0]["name"] = "front"
    before = gateway.admin("/api/v1/config").text
    status, said = put(gateway, json.dumps(config))
    assert status == 200 and said["valid"]
    changes = {row["path"]: row for row in said["changes"]}
    assert said["count"] == len(changes) == 5, said
    level = changes["log.level"]
    assert (level["change"], level["running"], level["wanted"]) == ("changed", "info", "debug") and level["apply"]
    pool = changes["upstreams[up].pool.max_connections"]
    assert (pool["running"], pool["wanted"]) == (100, 7) and pool["apply"] in ("live", "new connections", "restart")
    assert changes["upstreams[other]"]["change"] == "added" and changes["upstreams[other]"]["wanted"] is None
    assert changes["listeners[web]"]["change"] == "removed" and changes["listeners[front]"]["change"] == "added"
    assert gateway.admin("/api/v1/config").text == before and gateway.ask().status == 200


@pytest.mark.parametrize("text", ["", "[]", "listeners: 1", "a: [", "colour: red\n", "\x01", "[" * 100000,
                                  "{" * 5000, "listeners: []\nupstreams: []"])
def test_what_is_wrong_is_said_with_its_place(gateway, text):
    status, said = put(gateway, text)
    assert status == 200 and not said["valid"] and said["changes"] == []
    errors = [fault for fault in said["faults"] if not fault["advice"]]
    assert errors and all(fault["message"] for fault in errors)


def test_it_is_bounded_and_opens_no_file(gateway):
    answer = gateway.admin("/api/v1/config?dry_run=1", "PUT", body="#" * (1 << 20) + "\n")
    assert answer.status == 413
    for text in ("node: { name: '${file:/etc/hostname}' }\n", "include: /etc/hostname\n"):
        assert not put(gateway, text)[1]["valid"]


def test_no_variable_is_told(gateway):
    config = own(gateway)
    config["node"] = {"name": "${WEIR_TEST_SECRET}"}
    status, said = put(gateway, json.dumps(config))
    assert status == 200 and said["valid"] and "sesame" not in json.dumps(said)
    assert [row["path"] for row in said["changes"]] == ["node.name"] and said["changes"][0]["wanted"] is None
    config["node"] = {"name": "${WEIR_TEST_SECRET} is none"}
    status, said = put(gateway, json.dumps(config))
    assert status == 200 and not said["valid"] and "sesame" not in json.dumps(said)


def test_a_secret_is_masked(gateway):
    config = own(gateway)
    config["admin"]["token"] = "open-sesame"
    status, said = put(gateway, json.dumps(config))
    assert status == 200 and "sesame" not in json.dumps(said)
    assert [row["path"] for row in said["changes"]] == ["admin.token"]


def test_against_the_one_that_was_looked_at(gateway):
    text = json.dumps(own(gateway))
    answer = gateway.admin("/api/v1/config")
    tag = answer.getheader("etag")
    assert tag and tag == gateway.admin("/api/v1/config").getheader("etag")
    assert put(gateway, text, headers={"If-Match": tag})[0] == 200
    assert put(gateway, text, headers={"If-Match": "*"})[0] == 200
    for other in ('"0000000000000000"', "x" * 100, '""'):
        assert put(gateway, text, headers={"If-Match": other})[0] == 412


@pytest.mark.parametrize("query", ["?dry_run=0", "?dry_run", "?dry_run=1&x=1"])
def test_nothing_is_put_in_force(gateway, query):
    assert put(gateway, json.dumps(own(gateway)), query)[0] == 400


def test_connections_with_what_the_kernel_says(gateway):
    with gateway.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.final("GET").status == 200
        rows = json.loads(gateway.admin("/api/v1/connections").text)["connections"]
        guest = next(row for row in rows if row["pool"] == "listener:web")
        host = next(row for row in rows if row["pool"] == "up" and row["tcp"])
    assert guest["tcp"]["bytes_in"] >= 27 and guest["tcp"]["congestion_window"] > 0
    assert host["tcp"]["bytes_in"] > 0 and host["tcp"]["bytes_acked"] > 0
