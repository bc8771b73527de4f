# SPDX-License-Identifier: Apache-2.0
"""OpenMetrics: the buckets of requests' times name a recent request of theirs, and a real Prometheus keeps it."""
import json
import re
import threading
import time

import pytest

from test_prometheus import get, is_ready, prometheus
from weirtest import Upstream, Weir, wait_for

OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
BUCKET = re.compile(r'(weir_\w+)_bucket\{(.*),le="([^"]+)"\} (\d+)(?: # \{trace_id="([0-9a-f]{32})"\} (\S+) (\S+))?$')
TIMES = ("weir_http_request_seconds", "weir_http_first_byte_seconds")


def traceparent(trace, parent="b7ad6b7169203331"):
    return f"traceparent: 00-{trace}-{parent}-01\r\n"


def exemplars(weir):
    """{family: {trace: (le, value, timestamp)}}"""
    found = {}
    for line in weir.admin("/metrics", headers=OPENMETRICS).text.splitlines():
        if " # {" in line:
            family, _, le, _, trace, value, stamp = BUCKET.match(line).groups()
            assert float(value) <= float(le)
            found.setdefault(family, {})[trace] = (float(le), float(value), float(stamp))
    return found


def trace(number):
    return f"{number:032x}"


@pytest.fixture(name="slow")
def slow_upstream():
    """Answers /slow when it is told to."""
    go = threading.Event()

    def script(peer):
        while (asked := peer.request()) is not None:
            if b"GET /slow" in asked[0]:
                assert go.wait(20)
            peer.ok()
    with Upstream(script) as up:
        up.go = go
        yield up


def test_the_slow_one_has_its_own(slow):
    with Weir(slow) as weir:
        begun = time.time()
        for number in range(1, 9):
            assert weir.ask(headers=traceparent(trace(number))).status == 200
        with weir.client() as client:
            client.get("/slow", headers=traceparent(trace(99)))
            wait_for(lambda: b"/slow" in slow.bytes, "the slow request")
            asked = time.monotonic()
            wait_for(lambda: time.monotonic() - asked > 1.1, "a second, so that it is in a bucket of its own")
            slow.go.set()
            assert client.final().status == 200
        found = exemplars(weir)
        assert set(found) == set(TIMES)
        for family in TIMES:
            le, value, stamp = found[family][trace(99)]
            assert 1.1 < value < le and begun - 1 < stamp < time.time() + 1
            others = set(found[family]) - {trace(99)}
            assert others and others <= {trace(number) for number in range(1, 9)}
        assert " # {" not in weir.admin("/metrics").text


def test_it_is_the_trace_that_the_upstream_was_told(slow):
    with Weir(slow) as weir:
        assert weir.ask().status == 200
        sent = re.search(rb"traceparent: 00-([0-9a-f]{32})-", slow.bytes)[1].decode()
        assert set(exemplars(weir)[TIMES[0]]) == {sent}
        (line,) = wait_for(weir.access, "its line of the log")
        assert line["trace"] == sent


def test_a_newer_one_takes_its_place(slow):
    with Weir(slow) as weir:
        numbers = iter(range(1, 100000))

        def newer():
            assert weir.ask(headers=traceparent(trace(next(numbers)))).status == 200
            return set(exemplars(weir)[TIMES[0]]) - first
        first = set()
        first = newer()
        assert wait_for(newer, "another example", every=0.1)


def test_refused_requests_have_a_trace_if_they_brought_one():
    with Weir(None, routes=[{"match": {"path": "/there"}, "upstream": "up"}]) as weir:
        assert weir.ask("/nowhere").status == 404
        assert not exemplars(weir)
        assert weir.ask("/nowhere", headers=traceparent(trace(7))).status == 404
        assert set(exemplars(weir)["weir_http_request_seconds"]) == {trace(7)}
        assert weir.ask("/nowhere", headers=traceparent("g" * 32)).status == 404
        log = wait_for(lambda: len(weir.access()) == 3 and weir.access(), "the log")
        assert [line["trace"] for line in log] == ["", trace(7), ""]


def test_bucket_ends_are_seen_to_be_numbers_of_that_kind(slow):
    with Weir(slow) as weir:
        assert weir.ask().status == 200
        lines = weir.admin("/metrics", headers=OPENMETRICS).text.splitlines()
        ends = {BUCKET.match(line)[3] for line in lines if "_bucket{" in line}
        assert ends and not [end for end in ends if end.isdigit()]


def test_a_real_prometheus_keeps_them(tmp_path, slow):
    with Weir(slow) as weir, prometheus(tmp_path, weir, "--enable-feature=exemplar-storage") as server:
        wait_for(lambda: is_ready(server), "Prometheus to be ready", deadline=60)
        assert weir.ask(headers=traceparent(trace(5))).status == 200

        def kept():
            data = get(server, "query_exemplars", query="weir_http_request_seconds_bucket", start=time.time() - 300,
                       end=time.time() + 300)
            return [one for series in data for one in series["exemplars"]]
        found = wait_for(kept, "Prometheus to have an exemplar", deadline=60)
        assert found[0]["labels"] == {"trace_id": trace(5)}, json.dumps(found)
        (target,) = get(server, "targets")["activeTargets"]
        assert target["health"] == "up" and not target["lastError"], target
