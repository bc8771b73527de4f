# SPDX-License-Identifier: Apache-2.0
"""/api/v1/events as a stream: what happens comes as it happens, once, and what was lost is told."""
import contextlib
import http.client
import json

import pytest

from weirtest import DEADLINE, Upstream, Weir, wait_for


class Stream:
    """A reader of text/event-stream."""

    def __init__(self, weir, after=None, query=""):
        self.connection = http.client.HTTPConnection("127.0.0.1", weir.admin_port, timeout=DEADLINE)
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
        self.connection.request("GET", f"/api/v1/events{query}", headers=headers)
        self.answer = self.connection.getresponse()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.answer.close()
        self.connection.close()

    def next(self):
        """The next event: its fields; comments and what is no event are passed over."""
        fields = {}
        while True:
            line = self.answer.readline().decode().rstrip("\n")
            name, _, value = line.partition(": ")
            if line == "" and "data" in fields:
                return {**fields, "data": json.loads(fields["data"])}
            if line == "":
                fields = {}
            elif name:
                fields[name] = value

    def until(self, word):
        seen = []
        while not seen or seen[-1]["event"] != word:
            seen.append(self.next())
        return seen


def command(weir, what, path="pools/up/reconnect"):
    assert weir.admin(f"/api/v1/{path}", "POST", body=json.dumps({"reason": what})).status == 200


def listed(weir):
    return json.loads(weir.admin("/api/v1/events").text)["events"]


def numbers(events):
    return [int(event["id"].rpartition("-")[2]) for event in events if "id" in event]


def test_what_happens_comes_as_it_happens():
    with Upstream() as upstream, Weir(upstream, workers=2) as weir, Stream(weir) as stream:
        assert stream.answer.status == 200 and stream.answer.getheader("content-type") == "text/event-stream"
        assert stream.answer.getheader("cache-control") == "no-store"
        weir.ask()
        command(weir, "first")
        events = stream.until("changed")
        assert events[-1]["data"]["why"] == "first" and events[-1]["data"]["id"] == events[-1]["id"]
        assert all(event["data"]["event"] == event["event"] for event in events)
        weir.ask()
        command(weir, "second")
        events += stream.until("changed")
        assert numbers(events) == sorted(set(numbers(events)))
        rows = {row["id"]: row for row in listed(weir)}
        assert all(rows[event["id"]]["event"] == event["event"] for event in events)


@pytest.mark.parametrize("by_query", [False, True])
def test_who_comes_back_has_missed_nothing(by_query):
    with Upstream() as upstream, Weir(upstream, workers=2) as weir:
        with Stream(weir) as stream:
            command(weir, "first")
            last = stream.until("changed")[-1]["id"]
        weir.ask()
        command(weir, "second")
        command(weir, "third")
        with Stream(weir, **({"query": f"?after={last}"} if by_query else {"after": last})) as stream:
            events = stream.until("changed") + stream.until("changed")
        assert [event["data"]["why"] for event in events if event["event"] == "changed"] == ["second", "third"]
        assert numbers(events) == list(range(numbers(events)[0], numbers(events)[-1] + 1))
        assert numbers(events)[0] == int(last.rpartition("-")[2]) + 1


def test_what_was_lost_is_told():
    """More happens than is kept: a worker's log, and the hub's, hold 256."""
    with Upstream() as upstream, Weir(upstream) as weir:
        with Stream(weir) as stream:
            command(weir, "first")
            last = stream.until("changed")[-1]["id"]
        for number in range(300):
            command(weir, str(number), "pools/up/resume")
        with Stream(weir, after=last) as stream:
            lost = stream.next()
            assert lost["event"] == "events_lost" and lost["data"]["lost"] > 0 and "id" not in lost
            told = [lost]
            while told[-1]["data"].get("why") != "299":
                told.append(stream.next())
        gone = sum(event["data"]["lost"] for event in told if event["event"] == "events_lost")
        kept = [event for event in told if event["event"] != "events_lost"]
        assert gone + len(kept) == numbers(kept)[-1] - int(last.rpartition("-")[2])
        assert [event["data"]["why"] for event in kept if event["event"] == "changed"] == [
            str(number) for number in range(44, 300)]


def test_who_was_with_another_process_is_told_so():
    with Upstream() as upstream, Weir(upstream) as weir:
        command(weir, "first")
        for other in ("0-5", "nonsense", "ffffffffffffffffff-1", listed(weir)[-1]["id"] + "0"):
            with Stream(weir, after=other) as stream:
                events = stream.until("changed")
                assert events[-1]["data"]["why"] == "first"
                assert numbers(events)[0] == 1 or events[0]["data"] == {"event": "events_lost", "lost": None}


def test_who_reads_late_gets_it_all_and_costs_nobody_else():
    with Upstream() as upstream, Weir(upstream) as weir, Stream(weir) as lazy, Stream(weir) as stream:
        for number in range(50):
            command(weir, "x" * 190 + str(number), "pools/up/resume")
        seen = []
        while not seen or not seen[-1]["data"]["why"].endswith("x49"):
            seen += stream.until("changed")
        assert weir.ask().status == 200
        mine = lazy.until("changed")
        assert mine[-1]["data"]["why"].endswith("x0")


def test_so_many_follow_and_no_more():
    with Upstream() as upstream, Weir(upstream) as weir, contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(weir)) for _ in range(32)]
        assert all(stream.answer.status == 200 for stream in streams)
        with Stream(weir) as one_more:
            assert one_more.answer.status == 503
        command(weir, "for all")
        for stream in streams:
            assert stream.until("changed")[-1]["data"]["why"] == "for all"
        streams.pop().close()

        def is_room():
            with Stream(weir) as stream:
                return stream.answer.status == 200
        wait_for(is_room, "room for one")
        assert weir.admin("/api/v1/pools").status == 200
