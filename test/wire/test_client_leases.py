# SPDX-License-Identifier: Apache-2.0
"""What clients may at all gateways together that share a real redis-server: places, the rate, and what is left when the Redis,
or a gateway, is gone."""
import contextlib
import json
import threading
import time

import pytest

from test_client_keys import Gate, bearer, client, in_threads, rows
from test_sessions_redis import Redis
from weirtest import Upstream, Weir, wait_for

WORK = 0.02  # seconds that a request takes
LEASE = 3  # seconds after which what a gateway held that is gone is free


class Busy(Gate):
    """Answers take their time once it is let go."""

    def __call__(self, peer):
        while peer.request() is not None:
            with self.lock:
                self.open += 1
                self.most = max(self.most, self.open)
            assert self.free.wait(20)
            threading.Event().wait(WORK)
            with self.lock:
                self.open -= 1
            peer.ok()


@contextlib.contextmanager
def fleet(count, redis, up, workers=2, **limits):
    """Gateways that share clients' limits, and no route has affinity."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Weir(up, workers=workers, clients=[client("a", **limits)], upstream_pool={"acquire_timeout": "15s"},
                                        sessions=redis.sessions(timeout="300ms")))
               for _ in range(count)]


def knows(gateways):
    for weir in gateways:
        wait_for(lambda: weir.metric("weir_client_lease_gateways") == len(gateways), "them to know each other")


def asks(weir, answers, over=None):
    """One connection that asks again and again, or once."""
    with weir.client() as conn:
        while True:
            answers.append(conn.get("/", bearer("a")).final().status)
            if over is None or over.is_set():
                return


def crowd(gateways, each, over=None):
    answers = []
    threads = [threading.Thread(target=asks, args=(weir, answers, over), daemon=True) for weir in gateways for _ in range(each)]
    for thread in threads:
        thread.start()
    return answers, threads


def join(threads):
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def share(weir):
    return weir.metric("weir_client_lease_places", client="a")


# --- places --------------------------------------------------------------------------------------------------------


def test_all_gateways_together_have_no_more_than_the_limit():
    gate = Busy()
    with Redis() as redis, Upstream(gate) as up, fleet(3, redis, up, concurrent=6, rate="unlimited") as gateways:
        knows(gateways)
        answers, threads = crowd(gateways, 6)
        wait_for(lambda: sum(rows(it)["a"]["in_flight"] for it in gateways) == 6, "all places to be taken")
        wait_for(lambda: gate.open == 6, "the upstream to have them")
        wait_for(lambda: all(rows(it)["a"]["in_flight"] + rows(it)["a"]["waiting"] == 6 for it in gateways), "all to have asked")
        assert sum(rows(it)["a"]["waiting"] for it in gateways) == 12 and {rows(it)["a"]["limits"] for it in gateways} == {"fleet"}
        gate.free.set()
        join(threads)
        assert answers == [200] * 18 and gate.most == 6
        # Again and again: each has its part of it while it asks.
        over = threading.Event()
        answers, threads = crowd(gateways, 6, over)
        wait_for(lambda: len(answers) > 600, "them to be busy")
        wait_for(lambda: all(share(it) == 2 for it in gateways), "each to have a third")
        over.set()
        join(threads)
        assert set(answers) == {200} and gate.most == 6


def test_who_is_busy_has_it_all_and_others_get_theirs():
    gate = Busy()
    with Redis() as redis, Upstream(gate) as up, fleet(2, redis, up, concurrent=8, rate="unlimited") as (one, two):
        knows([one, two])
        over = threading.Event()
        gate.free.set()
        answers, threads = crowd([one], 12, over)
        wait_for(lambda: share(one) == 8 and gate.most == 8, "one to have them all")
        # Somebody asks the other one: it waits for no more than until some end, and for two or three questions.
        for _ in range(3):
            began = time.monotonic()
            assert two.ask("/", bearer("a")).status == 200
            assert time.monotonic() - began < 5
        over.set()
        join(threads)
        assert set(answers) == {200} and gate.most == 8
        wait_for(lambda: share(one) + share(two) == 0, "that nobody keeps what nobody asks for")
        assert redis.keys("weir:l:*:a") == [] and len(redis.keys("weir:l:*")) == 1


def test_with_one_place_they_take_turns():
    gate = Busy()
    gate.free.set()
    with Redis() as redis, Upstream(gate) as up, fleet(2, redis, up, workers=1, concurrent=1, rate="unlimited") as gateways:
        over, counts = threading.Event(), []
        for weir in gateways:
            counts.append(crowd([weir], 2, over))
        wait_for(lambda: all(len(answers) > 50 for answers, _ in counts), "each to have its turn")
        over.set()
        for answers, threads in counts:
            join(threads)
            assert set(answers) == {200}
        assert gate.most == 1


def test_what_a_gateway_held_that_was_killed_is_free_soon():
    gate = Busy()
    with Redis() as redis, Upstream(gate) as up, fleet(2, redis, up, concurrent=4, rate="unlimited") as (one, two):
        knows([one, two])
        in_threads(4, lambda: contextlib.suppress(OSError).__enter__() or one.ask("/", bearer("a")))
        wait_for(lambda: rows(one)["a"]["in_flight"] == 4, "one to hold all places")
        answers, threads = crowd([two], 4)
        wait_for(lambda: rows(two)["a"]["waiting"] == 4, "four to wait")
        began = time.monotonic()
        one.kill()
        wait_for(lambda: rows(two)["a"]["in_flight"] == 4, "what it held")
        assert time.monotonic() - began < LEASE + 2
        gate.free.set()
        join(threads)
        assert answers == [200] * 4


def test_without_the_redis_each_has_its_part():
    gate = Busy()
    with Redis() as redis, Upstream(gate) as up, fleet(2, redis, up, concurrent=6, rate="1000/s") as gateways:
        knows(gateways)
        gate.free.set()
        over = threading.Event()
        answers, threads = crowd(gateways, 8, over)
        wait_for(lambda: all(share(it) == 3 for it in gateways), "each to have half")
        redis.kill()
        for weir in gateways:
            wait_for(lambda: rows(weir)["a"]["limits"] == "local", "it to be missed")
            assert weir.metric("weir_client_lease_local", client="a") == 1
        wait_for(lambda: all(share(it) == 3 for it in gateways), "each to have a part")
        wait_for(lambda n=len(answers): len(answers) > n + 200, "them to go on")
        failed = gateways[0].metric("weir_client_lease_questions_total", result="failed")
        assert failed > 0 and gate.most == 6
        redis.start()  # and it is empty
        for weir in gateways:
            wait_for(lambda: rows(weir)["a"]["limits"] == "fleet", "it to be back")
        wait_for(lambda: all(share(it) == 3 for it in gateways), "each to have half again")
        answered = gateways[0].metric("weir_client_lease_questions_total", result="answered")
        wait_for(lambda: gateways[0].metric("weir_client_lease_questions_total", result="answered") > answered, "more questions")
        over.set()
        join(threads)
        assert set(answers) == {200} and gate.most == 6


def test_a_gateway_that_never_found_the_redis_admits_by_itself():
    gate = Busy()
    with Redis() as redis, Upstream(gate) as up:
        redis.kill()
        with fleet(1, redis, up, concurrent=2, rate="5/h") as (weir,):
            gate.free.set()
            assert [weir.ask("/", bearer("a")).status for _ in range(6)] == [200] * 5 + [429]
            assert rows(weir)["a"]["limits"] == "local" and share(weir) == 2 and weir.metric("weir_redis_up") == 0


def test_a_stopped_redis_holds_up_nobody_for_long():
    with Redis() as redis, Upstream() as up, fleet(2, redis, up, concurrent=2, rate="unlimited") as gateways:
        knows(gateways)
        with redis.stopped():
            for weir in gateways:
                began = time.monotonic()
                assert weir.ask("/", bearer("a")).status == 200
                assert time.monotonic() - began < 3
                assert rows(weir)["a"]["limits"] == "local" and share(weir) == 1
        for weir in gateways:
            wait_for(lambda: weir.ask("/", bearer("a")).status == 200 and rows(weir)["a"]["limits"] == "fleet", "it to go on")


# --- the rate ------------------------------------------------------------------------------------------------------


def test_a_rate_holds_for_all_gateways_together():
    with Redis() as redis, Upstream() as up, fleet(3, redis, up, workers=1, concurrent=0, rate="6/h") as gateways:
        codes = [weir.ask("/", bearer("a")).status for _ in range(3) for weir in gateways]
        assert sorted(codes) == [200] * 6 + [429] * 3 and codes[:6] == [200] * 6
        answer = gateways[0].ask("/", bearer("a"))
        assert answer.json()["error"]["code"] == "client_rate" and 590 <= int(answer.header("retry-after")) <= 600
        assert up.requests == 6
        assert rows(gateways[0])["a"]["refused_rate"] >= 2


def test_a_rate_holds_over_time():
    rate, burst = 60, 60
    with Redis() as redis, Upstream() as up, fleet(3, redis, up, workers=1, concurrent=0, rate=f"{rate}/s") as gateways:
        knows(gateways)
        over, began = threading.Event(), time.monotonic()
        answers, threads = crowd(gateways, 2, over)
        served = wait_for(lambda: (n := answers.count(200)) >= 5 * rate and n, "five seconds' worth")
        took = time.monotonic() - began
        over.set()
        join(threads)
        assert set(answers) == {200, 429}
        # All have been let in by one count; some tokens are void because nobody used them in time.
        assert burst + rate * took >= served - 10 and took < 3 * 5, (served, took)
        busy = [it.metric("weir_client_requests_total", client="a") for it in gateways]
        assert min(busy) > rate / 2


def test_the_page_and_the_metrics_without_a_redis():
    with Upstream() as up, Weir(up, clients=[client("a", concurrent=7), client("b", concurrent=0)]) as weir:
        assert rows(weir)["a"]["limits"] == "own" and rows(weir)["a"]["share"] == 7 and "share" not in rows(weir)["b"]
        assert weir.metric("weir_client_lease_gateways") == 0
        assert "weir_client_lease_places{" not in weir.admin("/metrics").text
