# SPDX-License-Identifier: Apache-2.0
"""Overload: what is given up as descriptors or memory run short, to whom last, and that it ends."""
import contextlib
import json
import os
import select
import socket
import threading
import time

import pytest

from test_client_keys import bearer, client as keyed
from weirtest import Upstream, Weir, is_sanitized, wait_for

option = pytest.mark.option
LIMIT = 200  # descriptors
SLOW = {"max_connections": 1000, "headers_timeout": "1h", "keepalive_timeout": "1h", "request_timeout": "1h"}


def overload(weir):
    return json.loads(weir.admin("/api/v1/process").text)["overload"]


def level(weir):
    return overload(weir)["level"]


def until(weir, what):
    wait_for(lambda: level(weir) == what, f"level {what}", every=0.05)


def told(weir):
    events = json.loads(weir.admin("/api/v1/events").text)["events"]
    return [(row["event"], row["what"]) for row in events if row["event"].startswith("overload")]


def room(weir, percent):
    """How many more descriptors there may be until that share is reached."""
    return -(-LIMIT * percent // 100) - weir.descriptors()


def is_gone(client):
    ready, _, _ = select.select([client.sock], [], [], 0)
    return bool(ready) and client.sock.recv(1, socket.MSG_PEEK) == b""


class Crowd:
    """Clients that stay: idle ones have asked once, busy ones are in the middle of a request."""

    def __init__(self, weir):
        self.weir, self.all = weir, []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for client in self.all:
            client.close()

    def idle(self, count):
        for _ in range(count):
            client = self.weir.client()
            self.all.append(client)
            assert client.get().final().status == 200

    def busy(self, count):
        before = self.there()
        self.all += [self.weir.client().send("GET / HTTP/1.1\r\n") for _ in range(count)]
        wait_for(lambda: self.there() >= before + count, "the crowd")

    def fill(self):
        """Busy ones until nobody else is let in; the last of them may have been told so."""
        self.busy(room(self.weir, 95))
        def one_more():
            if level(self.weir) != "refuse":
                self.all.append(self.weir.client().send("GET / HTTP/1.1\r\n"))
            return level(self.weir) == "refuse"
        wait_for(one_more, "refusals", every=0.25)

    def there(self):
        return self.weir.metric("weir_pool_connections", pool="listener:web")

    def gone(self):
        """One for each, in the order of their coming: whether it was closed."""
        return [is_gone(client) for client in self.all]

    def leave(self):
        for client in self.all:
            client.close()
        self.all = []


@pytest.fixture(name="weir")
def short():
    with Upstream() as up, Weir(up, workers=1, pool=SLOW, overload={"descriptors": LIMIT}) as weir:
        yield weir


def test_calm(weir):
    assert weir.ask().status == 200
    wait_for(lambda: overload(weir)["descriptors_ratio"] > 0, "the first look")
    found = overload(weir)
    assert found["level"] == "calm" and 0 < found["descriptors_ratio"] < 0.5
    assert weir.metric("weir_overload_level") == 0 and told(weir) == []
    used = weir.metric("weir_overload_used_ratio", kind="descriptors")
    assert abs(used - weir.descriptors() / LIMIT) < 0.05


@option("overload.descriptors")
def test_keepalive_halves_at_85_percent_and_is_whole_again():
    with Upstream() as up, Weir(up, workers=1, pool={**SLOW, "keepalive_timeout": "8s"},
                                overload={"descriptors": LIMIT}) as weir, Crowd(weir) as crowd:
        first = weir.client()
        begun = time.monotonic()
        assert first.get().final().status == 200
        crowd.busy(room(weir, 86))
        until(weir, "shorten")
        assert first.closed(20) and 3.5 < time.monotonic() - begun < 7
        assert weir.metric("weir_listener_evicted_total") == 0
        assert weir.metric("weir_overload_begun_total", state="shorten") == 1
        assert weir.ask().status == 200
        crowd.leave()
        until(weir, "calm")
        begun = time.monotonic()
        second = weir.client()
        assert second.get().final().status == 200
        assert second.closed(20) and time.monotonic() - begun > 7.5
        assert told(weir) == [("overload", "shorten"), ("overload_over", "calm")]


def test_the_longest_idle_close_at_92_percent(weir):
    with Crowd(weir) as crowd:
        crowd.idle(40)
        crowd.busy(room(weir, 91))
        assert level(weir) in ("calm", "shorten") and not any(crowd.gone())
        crowd.busy(4)
        wait_for(lambda: ("overload", "evict") in told(weir), "the longest idle to close")
        until(weir, "shorten")  # what was freed has ended it
        gone = crowd.gone()
        count = gone.count(True)
        assert gone == [True] * count + [False] * (len(gone) - count), gone  # the oldest, and nobody else
        assert LIMIT * 0.04 <= count <= LIMIT * 0.08
        assert weir.metric("weir_listener_evicted_total", listener="web") == count
        assert weir.metric("weir_pool_closed_total", pool="listener:web", reason="evicted") == count
        assert crowd.all[count].get().final().status == 200


def test_newcomers_are_refused_at_97_percent(weir):
    with Crowd(weir) as crowd:
        crowd.fill()
        with weir.client() as late:
            answer = late.get().final()
        assert answer.status == 503 and answer.header("connection") == "close"
        assert answer.header("retry-after") == "1" and answer.json()["error"]["code"] == "overloaded"
        assert weir.metric("weir_overload_level") == 3
        assert weir.metric("weir_listener_refused_total", reason="overloaded") >= 1
        found = json.loads(weir.admin("/healthz").text)
        assert found["health"] == "overloaded" and "descriptors at 9" in found["why"] and "503" in found["why"]
        assert weir.admin("/readyz").status == 200
        assert crowd.all[0].send("Host: t\r\n\r\n").final().status == 200  # who was there is served
        assert crowd.all[0].get().final().status == 200
        assert "descriptors at 9" in overload(weir)["why"]
        for client in crowd.all[1:9]:
            client.close()
        wait_for(lambda: overload(weir)["descriptors_ratio"] < 0.96, "some to be gone")
        assert weir.ask().status == 503  # not before it is below 92 %
        crowd.leave()
        until(weir, "calm")
        assert weir.ask().status == 200
        assert "new clients are answered 503" in weir.text()


def test_newcomers_of_http2_are_told_so(weir):
    from h2raw import H2
    with Crowd(weir) as crowd:
        crowd.fill()
        with H2(weir.port) as late:
            assert late.get().status == 503
            late.until(lambda: late.goaway == 0, "GOAWAY")


def test_between_two_looks_descriptors_do_not_run_out(weir):
    """A thousand at once: as many as there may be are let in, the others are refused or wait."""
    most, stop = [0], threading.Event()

    def watch():
        while not stop.is_set():
            most[0] = max(most[0], weir.descriptors())
    watcher = threading.Thread(target=watch)
    watcher.start()
    with contextlib.ExitStack() as stack:
        stack.callback(stop.set)
        for _ in range(1000):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", weir.port))
        wait_for(lambda: weir.metric("weir_listener_refused_total", reason="overloaded") > 500, "the flood")
        stop.set()
        watcher.join()
        assert most[0] <= LIMIT * 0.97 + 16 + 4
        assert weir.admin("/readyz").status == 200
    until(weir, "calm")
    assert weir.ask().status == 200


def test_the_admin_is_answered_when_there_is_no_descriptor_left():
    """Those who are there ask upstreams, each over a connection of its own, until there is nothing to connect with."""
    free = threading.Event()

    def slow(peer):
        while peer.request() is not None:
            free.wait(20)
            peer.ok()
    limits = {"max_connections": 1000, "max_per_endpoint": 1000, "connecting_max": 1000}
    with Upstream(slow) as up, Weir(up, workers=1, pool=SLOW, upstream_pool=limits,
                                    wrapper=["prlimit", f"--nofile={LIMIT}"]) as weir, contextlib.ExitStack() as stack:
        stack.callback(free.set)
        clients = [stack.enter_context(weir.client()).get() for _ in range(LIMIT * 2 // 3)]
        wait_for(lambda: weir.descriptors() >= LIMIT - 2, "nothing to be left")  # the test's own look, from outside
        for _ in range(20):
            assert weir.admin("/livez").status == 200
        until(weir, "refuse")
        free.set()
        answers = [client.final() for client in clients]
        assert {answer.status for answer in answers if answer} <= {200, 502, 503}
        assert [answer.status for answer in answers if answer].count(200) > LIMIT // 4


def test_priority_high_comes_last():
    clients = [keyed("vip", priority="high"), keyed("other")]
    with Upstream() as up, Weir(up, workers=1, pool=SLOW, overload={"descriptors": LIMIT}, clients=clients) as weir, \
            Crowd(weir) as crowd:
        favoured = weir.client()
        assert favoured.get(headers=bearer("vip")).final().status == 200  # the first, and so the longest idle
        for _ in range(40):
            crowd.all.append(weir.client().get(headers=bearer("other")))
            assert crowd.all[-1].final().status == 200
        crowd.busy(room(weir, 93))
        until(weir, "shorten")
        assert any(crowd.gone()) and not is_gone(favoured)
        known = weir.client()
        assert known.get(headers=bearer("other")).final().status == 200
        crowd.fill()
        with weir.client() as late:
            answer = late.get(headers=bearer("other")).final()
            assert answer.status == 503 and answer.json()["error"]["code"] == "overloaded"
            assert answer.header("connection") == "close" and late.closed()
        assert weir.ask(headers=bearer("vip")).status == 200
        assert known.get(headers=bearer("other")).final().status == 200
        assert favoured.get(headers=bearer("vip")).final().status == 200
        wait_for(lambda: "overloaded" in [row["error"] for row in weir.access()], "its line")


@option("overload.memory")
def test_memory():
    with Upstream() as up, Weir(up, overload={"memory": "1MiB"}) as weir:
        until(weir, "refuse")
        assert weir.ask().status == 503
        assert weir.metric("weir_overload_used_ratio", kind="memory") > 1
        assert overload(weir)["memory_max"] == 1 << 20 and "memory at" in overload(weir)["why"]
    with Upstream() as up, Weir(up, overload={"memory": "100GiB"}) as weir:
        assert weir.ask().status == 200
        assert overload(weir)["memory_max"] == 100 << 30 and level(weir) == "calm"


def test_memory_closes_idle_clients():
    with Upstream() as up, Weir(up, workers=1, pool=SLOW) as weir:
        resident = weir.resident()
    with Upstream() as up, Weir(up, workers=1, pool=SLOW, overload={"memory": f"{resident * 100 // 94}B"}) as weir, \
            weir.client() as idle:
        wait_for(lambda: level(weir) != "calm", "memory to be short")
        assert idle.closed()
        assert weir.metric("weir_listener_evicted_total") == 1


CAP = 128 << 20


@contextlib.contextmanager
def capped(up, **options):
    """A gateway that may have 128 MiB: of address space; with the sanitizers, which need more, beyond what they need."""
    if not is_sanitized():
        with Weir(up, wrapper=["prlimit", f"--as={CAP}"], **options) as weir:
            yield weir, CAP
        return
    with Weir(up, **options) as weir:
        resident = weir.resident()
    # ThreadSanitizer's notes of memory stay when that is freed, twice as large, unless it is told to give them up: for the
    # gateway, too, they are memory, and it is not calm before they are gone.
    env = {"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + ":flush_memory_ms=500"}
    with Weir(up, overload={"memory": f"{resident + CAP}B"}, env=env, **options) as weir:
        yield weir, resident + CAP


NOTES = range(0x010000000000, 0x340000000000)  # where ThreadSanitizer keeps its notes, and nothing else is (x86-64)


def held(weir):
    """Resident memory that is the program's own. ThreadSanitizer gives its notes up by the clock, so that on a quick machine a
    whole flood of them is there at once, of memory that was given back long before."""
    if not is_sanitized(by=("tsan",)):
        return weir.resident()
    total, counts = 0, False
    with open(f"/proc/{weir.process.pid}/smaps", encoding="ascii") as lines:
        for line in lines:
            name, _, rest = line.partition(" ")
            if "-" in name and not name.endswith(":"):
                counts = int(name.split("-")[0], 16) not in NOTES
            elif name == "Rss:" and counts:
                total += int(rest.split()[0]) * 1024
    return total


def test_a_cap_and_a_flood():
    """Bodies that are kept, as many as come: beyond the cap they are not, and everybody is served."""
    accounts = {"accounts": [{"name": f"a{i}", "headers": {"x-api-key": f"k{i}"}, "max_connections": 100} for i in range(2)]}
    body = b"x" * (6 << 20)
    head = f"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode()
    limits = {"upstream_options": accounts, "upstream_pool": {"max_connections": 200, "max_per_endpoint": 200}, "pool": SLOW}
    with Upstream() as up, capped(up, **limits) as (weir, cap), contextlib.ExitStack() as stack:
        most = 0
        clients = [stack.enter_context(weir.client()) for _ in range(60)]
        for client in clients:  # 360 MiB, none of them complete
            client.send(head + body)
            most = max(most, held(weir))
        assert most < cap
        assert weir.ask().status in (200, 503)
        for client in clients:
            client.send(b"x")
        answers = [client.final() for client in clients]
        assert {answer.status for answer in answers if answer} <= {200, 503}
        assert [answer.status for answer in answers if answer].count(200) >= 10
        assert weir.process.poll() is None and held(weir) < cap
        until(weir, "calm")
        assert weir.ask().status == 200


def test_clients_wait_outside_while_upstreams_would_refuse_them():
    def slow(peer):
        while peer.request() is not None:
            time.sleep(0.25)
            peer.ok()
    limits = {"max_connections": 1, "max_per_endpoint": 1, "acquire_timeout": "1500ms"}
    with Upstream(slow) as up, Weir(up, workers=1, pool=SLOW, upstream_pool=limits) as weir, \
            contextlib.ExitStack() as stack:
        for _ in range(20):  # how long one takes is known from then on
            assert weir.ask().status == 200
        first = []

        def comer():
            return stack.enter_context(weir.client()).get(headers="Connection: close\r\n")

        def comes_one_more():
            first.append(comer())
            return weir.metric("weir_listener_paced_total", listener="web") > 0
        wait_for(comes_one_more, "clients to wait outside", every=0.05)
        before = weir.metric("weir_pool_created_total", pool="listener:web")
        late = [comer() for _ in range(8)]
        assert weir.metric("weir_pool_created_total", pool="listener:web") <= before + 4  # as many as have left
        statuses = [client.final().status for client in late]
        assert statuses.count(200) >= 6, statuses  # at once all but one would have been refused
        assert {client.final().status for client in first} <= {200, 503}
        wait_for(lambda: "new clients come in again" in weir.text(), "everybody to be let in")
        assert weir.ask().status == 200


def test_a_reload_changes_nothing_of_it():
    """What listeners are told holds for those of the new configuration, too, and for who is there from before."""
    with Upstream() as up, Weir(up, workers=1, pool=SLOW, overload={"descriptors": LIMIT}) as weir, Crowd(weir) as crowd:
        crowd.idle(20)
        crowd.busy(room(weir, 88))
        until(weir, "shorten")
        text = weir.config_path.read_text()
        weir.config_path.write_text(text.replace('"keepalive_timeout": "1h"', '"keepalive_timeout": "2h"'))
        assert weir.admin("/api/v1/reload", "POST").status == 200
        assert weir.ask().status == 200
        assert crowd.all[-1].send("Host: t\r\n\r\n").final().status == 200
        crowd.busy(room(weir, 93))
        wait_for(lambda: ("overload", "evict") in told(weir), "the longest idle to close")
        wait_for(lambda: any(crowd.gone()), "some of them to be gone")
        crowd.leave()
        until(weir, "calm")
        assert weir.ask().status == 200
