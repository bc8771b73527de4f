# SPDX-License-Identifier: Apache-2.0
"""The admin interface is what its OpenAPI document says: each path, method, role, parameter and field."""
import json
import re

import jsonschema
import pytest

from test_accounts import Api
from test_affinity import four, relay as four_accounts
from test_client_keys import bearer, client
from weirtest import Upstream, Weir, wait_for

DRAFT = jsonschema.Draft202012Validator  # the dialect of OpenAPI 3.1
METHODS = {"get", "post", "put", "delete"}
ROLES = {"anyone", "viewer", "operator"}
QUERIES = {"/api/v1/keys/explain": "?key=http://127.0.0.1:1"}  # of pages that must be asked for something


def document(weir):
    return json.loads(weir.admin("/api/v1/openapi.json").text)


def resolve(api, node):
    """A node, or where its $ref leads to."""
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/").split("/")
        node = api
        for part in path:
            node = node[part]
    return node


def operations(api):
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_the_document_is_one(relay):
    api = document(relay)
    assert re.fullmatch(r"3\.1\.\d+", api["openapi"]) and api["info"]["title"] and api["info"]["version"]
    schemes = api["components"]["securitySchemes"]
    assert all(name in schemes for entry in api["security"] for name in entry)
    seen = set()
    for path, method, operation in operations(api):
        assert path.startswith("/") and method in METHODS, (path, method)
        assert operation["summary"] and operation["x-weir-role"] in ROLES
        assert operation["operationId"] not in seen and operation["operationId"].isalnum(), operation["operationId"]
        seen.add(operation["operationId"])
        names = re.findall(r"{(\w+)}", path)
        parameters = operation["parameters"]
        assert [row["name"] for row in parameters if row["in"] == "path" and row["required"]] == names
        assert len({(row["name"], row["in"]) for row in parameters}) == len(parameters)
        for answer in operation["responses"].values():
            answer = resolve(api, answer)
            assert answer["description"]
            for content in answer["content"].values():
                DRAFT.check_schema(content["schema"])
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            DRAFT.check_schema(content["schema"])
    assert sum(1 for _ in operations(api)) > 15


def judge(api, path, answer, method="get"):
    """What was answered is what the document says: no field that it does not know, none of another type."""
    operation = api["paths"][path][method]
    content = operation["responses"]["200"]["content"]
    kind = answer.getheader("content-type")
    assert kind in content or (path == "/metrics" and kind.startswith("text/plain")), (path, kind)
    if kind == "application/json":
        said = json.loads(answer.text)
        DRAFT(content[kind]["schema"], format_checker=jsonschema.FormatChecker()).validate(said)
        return said
    return answer.text


def judge_pages(weir):
    api = document(weir)
    said = {}
    for path, method, operation in operations(api):
        endless = "text/event-stream" in operation["responses"]["200"]["content"]
        if method == "get" and "{" not in path and not endless:
            answer = weir.admin(path + QUERIES.get(path, ""))
            assert answer.status == 200, (path, answer.text)
            said[path] = judge(api, path, answer)
    return said


def test_answers_hold_what_the_document_says():
    """Clients, accounts that cool down, conversations, TLS and a WebSocket's counters: rows of every kind."""
    with Api() as api, four_accounts(api, *four(), clients=[client("team-a")], workers=2) as weir:
        api.says_once("k-a0", (529, ""))
        for _ in range(4):
            weir.ask(headers=dict([bearer("team-a").strip().split(": ")]))
        said = judge_pages(weir)
        assert said["/api/v1/accounts"]["accounts"] and said["/api/v1/clients"]["clients"]
        assert len(said["/api/v1/process"]["workers"]) == 2
        assert "/api/v1/pools" in said["/"]


def test_parts_of_one_are_no_whole_numbers(relay):
    """Whatever they happen to be when an answer is compared with the document."""
    process = document(relay)["paths"]["/api/v1/process"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    overload = process["properties"]["overload"]["properties"]
    assert overload["descriptors_ratio"]["type"] == overload["memory_ratio"]["type"] == "number"


def test_answers_of_an_upstream_that_is_down():
    with Weir(upstream_pool={"failures_max": 1}, overload={"descriptors": 1000}) as weir:
        weir.ask()
        wait_for(lambda: json.loads(weir.admin("/api/v1/process").text)["overload"]["descriptors_ratio"] > 0, "the first look at them")
        said = judge_pages(weir)
        assert any(row["event"] == "key_down" for row in said["/api/v1/events"]["events"])
        assert any("last_error" in row for row in said["/api/v1/keys"]["keys"])


def test_latency_has_each_endpoint_once_over_the_workers():
    with Upstream() as one, Upstream() as two, \
            Weir([one.url, two.url], workers=2, upstream_options={"balance": "round_robin"}) as weir:
        for _ in range(40):
            assert weir.ask().status == 200

        def rows():
            return json.loads(weir.admin("/api/v1/latency").text)["endpoints"]
        wait_for(lambda: sum(sum(row["hold_ms"][1::2]) for row in rows()) == 40, "all to be counted")
        assert [row["endpoint"] for row in rows()] == sorted(f"127.0.0.1:{up.port}" for up in (one, two))
        for row in rows():
            up = one if row["endpoint"].endswith(f":{one.port}") else two
            assert row["upstream"] == "up" and row["grants"] == up.requests
            assert sum(row["hold_ms"][1::2]) == up.requests


def test_what_is_not_in_the_document_is_not_there(relay):
    api = document(relay)
    for path in ("/api/v1", "/api/v1/", "/api/v1/pool", "/api/v1/pools/", "/api/v2/pools", "//", "/api/v1/pools/up",
                 "/API/v1/pools", "/api/v1/sessions//",
                 "/api/v1/sessions/" + "x" * 250):
        assert relay.admin(path).status == 404, path
    for path, methods in api["paths"].items():
        filled = re.sub(r"{\w+}", "x", path)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
            if method.lower() in methods:
                continue
            answer = relay.admin(filled, method)
            allowed = answer.getheader("allow").replace("HEAD, ", "").replace(", HEAD", "").lower().split(", ")
            assert answer.status == 405 and set(allowed) == set(methods), (path, method)
    assert relay.admin("/api/v1/pools?" + "x" * 5000).status == 414
