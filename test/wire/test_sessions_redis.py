# SPDX-License-Identifier: Apache-2.0
"""Gateways that share what they keep of conversations through a real redis-server, which is stopped, killed and emptied."""
import contextlib
import json
import pathlib
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from certs import Authority
from peers import accepts, find
from test_accounts import Api, post
from test_affinity import KEYS, by_session, four, relay, word
from test_client_keys import bearer, digest
from test_sessions import check, go_on, move, pin, records, with_pins
from weirtest import ROOT, Weir, free_port, wait_for

option = pytest.mark.option
SECRET = "a-secret-of-all-gateways"


class Redis:
    """A redis-server on loopback; may be killed, stopped and started again, empty."""

    def __init__(self, *arguments, port=None, tls=None):
        self.port, self.directory = port or free_port(), tempfile.TemporaryDirectory(prefix="weir-redis-")
        self.command = [find("redis-server", "redis-server"), "--port", "0" if tls else str(self.port), "--bind", "127.0.0.1",
                        "--save", "", "--dir", self.directory.name, "--repl-diskless-sync-delay", "0", *arguments]
        if tls:
            certificate, key = tls.sign("127.0.0.1", "localhost")
            self.command += ["--tls-port", str(self.port), "--tls-cert-file", certificate, "--tls-key-file", key,
                             "--tls-ca-cert-file", str(tls.certificate), "--tls-auth-clients", "no"]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(lambda: accepts(self.port), "redis-server to listen")

    def kill(self):
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def stopped(self):
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()
        self.directory.cleanup()

    def ask(self, *words):
        with socket.create_connection(("127.0.0.1", self.port), 5) as client:
            client.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words))
            client.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: client.recv(65536), b"")).decode()

    def keys(self, pattern="*"):
        return self.ask("KEYS", pattern).split("\r\n")[2::2]

    def sessions(self, more=None, prefix="weir", **redis):
        return {"secret": SECRET, "redis": {"url": f"redis://127.0.0.1:{self.port}", "prefix": prefix, **redis},
                **(more or {})}


def is_stored(redis, count, prefix="weir"):
    wait_for(lambda: len(redis.keys(f"{prefix}:s:*")) == count, "the Redis to have it")


@option("sessions.redis.url")
def test_two_gateways_agree():
    with Redis() as redis, Api() as api, relay(api, *four(), affinity=with_pins(), sessions=redis.sessions()) as one, \
            relay(api, *four(), affinity=with_pins(), sessions=redis.sessions(), workers=2) as two:
        places = {n: move(api, one, n)[1] for n in range(KEYS)}
        makers = {n: pin(api, one, n) for n in range(KEYS)}
        is_stored(redis, 2 * KEYS)
        for n in range(KEYS):
            assert by_session(two, n)[:2] == (places[n], "hit")
            answer = go_on(two, n)
            assert answer.json()["served_by"] == makers[n] and word(answer) == "hit:pinned"
        assert two.metric("weir_session_lookups_total", result="found") == 2 * KEYS
        assert two.metric("weir_redis_up") == 1 and two.metric("weir_session_store_degraded") == 0
        # What the second one moves the first one hears when it uses it, or knows at once when it has not for long.
        for n in range(KEYS):
            api.says_once(places[n], (529, ""))
            moved, said, _ = by_session(two, n)
            assert said == "rebound:cooldown"
            two.admin(f"/api/v1/accounts/up/{places[n][2:]}/clear", "POST")
            wait_for(lambda: by_session(one, n)[:2] == (moved, "hit"), "the other one to hear of it")
            assert by_session(two, n)[:2] == (moved, "hit")


def test_who_was_first_has_it():
    """Both move the same conversation at a time, elsewhere each: they agree in the end."""
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions()) as one, \
            relay(api, *four(), sessions=redis.sessions()) as two:
        with redis.stopped():
            home, first = move(api, one, 1)
            api.answers.clear()
            api.says(home, 529)
            api.says(first, 529)
            second = by_session(two, 1)[0]
            assert second not in (home, first)
            api.answers.clear()
        settled = wait_for(lambda: (it := by_session(one, 1)[0]) == by_session(two, 1)[0] and it, "them to agree")
        assert settled in (first, second)
        for _ in range(5):
            assert by_session(one, 1)[:2] == by_session(two, 1)[:2] == (settled, "hit")


@option("sessions.store")
def test_a_gateway_is_killed_and_another_goes_on(tmp_path):
    with Redis() as redis, Api() as api:
        for life, more in enumerate([{"store": "redis"}, {"store": "hybrid", "path": str(tmp_path / "sessions")}, {}]):
            with relay(api, *four(), sessions=redis.sessions(more)) as weir:
                places = {n: move(api, weir, n)[1] for n in range(life * 100, life * 100 + KEYS)}
                is_stored(redis, (life + 1) * KEYS)
                weir.kill()
            assert ("path" in more) == (tmp_path / "sessions" / "sessions.journal").exists() or not more
            with relay(api, *four(), sessions=redis.sessions(more)) as weir:
                assert records(weir) == (KEYS if "path" in more else 0)
                assert all(by_session(weir, n)[:2] == (place, "hit") for n, place in places.items())
        # memory asks nobody.
        with relay(api, *four(), sessions={"store": "memory", "secret": SECRET}) as weir:
            assert {by_session(weir, n)[1] for n in places} == {"new"}


def test_without_the_redis_nobody_sees_an_error():
    with Redis() as redis, Api() as api, relay(api, *four(), affinity=with_pins(), sessions=redis.sessions(timeout="200ms")) as weir:
        places = {n: move(api, weir, n)[1] for n in range(KEYS)}
        is_stored(redis, KEYS)
        redis.kill()
        for n in range(2 * KEYS):
            served, said, status = by_session(weir, n)
            assert status == 200 and said in ("hit", "new") and (n >= KEYS or served == places[n])
        for n in range(KEYS, 2 * KEYS):
            places[n] = move(api, weir, n)[1]
        wait_for(lambda: weir.metric("weir_redis_up") == 0, "it to be missed")
        assert weir.metric("weir_session_store_degraded") == 1 and weir.metric("weir_redis_outages_total") == 1
        redis.start()  # and it is empty
        is_stored(redis, 2 * KEYS)
        wait_for(lambda: weir.metric("weir_redis_up") == 1, "it to be back")
        with relay(api, *four(), affinity=with_pins(), sessions=redis.sessions()) as other:
            assert all(by_session(other, n)[:2] == (place, "hit") for n, place in places.items())
        # It hangs: those who ask wait for the time-out, and no longer.
        with redis.stopped():
            begun = time.monotonic()
            for n in range(3 * KEYS):
                assert by_session(weir, n)[2] == 200
            assert time.monotonic() - begun < 10
        redis.ask("FLUSHALL")
        is_stored(redis, 2 * KEYS)


def test_a_gateway_starts_without_its_redis():
    port = free_port()
    sessions = {"secret": SECRET, "redis": {"url": f"redis://127.0.0.1:{port}"}}
    with Api() as api, relay(api, *four(), sessions=sessions) as weir:
        assert by_session(weir, 1)[1:] == ("new", 200)
        place = move(api, weir, 1)[1]
        assert by_session(weir, 1)[:2] == (place, "hit")
        with Redis(port=port) as redis:
            is_stored(redis, 1)
            with relay(api, *four(), sessions=sessions) as other:
                assert by_session(other, 1)[:2] == (place, "hit")


def test_a_client_that_leaves_while_it_is_asked():
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions(timeout="5s")) as weir:
        by_session(weir, 0)
        with redis.stopped():
            for n in range(1, 6):
                with weir.client() as client:
                    client.send(f"GET / HTTP/1.1\r\nHost: t\r\nX-Session-Id: s{n}\r\n\r\n".encode())
                    wait_for(lambda: weir.metric("weir_session_cache_total", result="miss") > n, "it to be asked for")
            wait_for(lambda: len(weir.access()) == 6, "them to be gone")
        assert all(by_session(weir, n)[2] == 200 for n in range(6))


def test_a_gateway_ends_while_it_is_asked():
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions(timeout="60s")) as weir:
        by_session(weir, 0)
        with redis.stopped(), weir.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: t\r\nX-Session-Id: s1\r\n\r\n")
            wait_for(lambda: weir.metric("weir_session_cache_total", result="miss") == 2, "it to be asked for")
            weir.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "draining" in weir.text(), "it to drain")
            weir.process.send_signal(signal.SIGTERM)
            weir.process.wait(20)


def test_a_body_waits_for_the_answer():
    body = b"x" * 300000
    routes = [{"match": {"path": "/"}, "upstream": "up", "limits": {"hold": "20KiB"}, "affinity": {}}]
    with Redis() as redis, Api() as api, Weir(api.up, routes=routes, upstream_options={"accounts": four()},
                                              sessions=redis.sessions(timeout="20s")) as weir:
        with redis.stopped(), weir.client() as client:
            client.send(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 300000\r\nX-Session-Id: s1\r\n\r\n" + body[:200000])
            wait_for(lambda: weir.metric("weir_session_cache_total", result="miss") == 1, "it to be asked for")
            redis.process.send_signal(signal.SIGCONT)
            client.send(body[200000:])
            assert client.final("POST").status == 200
        assert api.bodies == [body]


@option("sessions.cache")
@option("sessions.cache_ttl")
def test_the_cache():
    def seen(more):
        """What the second gateway says at first, once the first one has moved what it knew."""
        with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions()) as one, \
                relay(api, *four(), sessions=redis.sessions(more)) as two:
            assert by_session(two, 1)[1] == "new"
            looked = time.monotonic()
            home, place = move(api, one, 1)
            is_stored(redis, 1)
            if more.get("cache_ttl") == "1s":
                wait_for(lambda: time.monotonic() - looked > 2.1, "what is known to be old")
            first = by_session(two, 1)[0]
            wait_for(lambda: by_session(two, 1)[0] == place, "it to hear of it behind a request's back")
            return {home: "home", place: "place"}[first], two.metric("weir_session_cache_total", result="hit")
    assert seen({"cache": 0})[0] == "place"
    assert seen({"cache_ttl": "1s"})[0] == "place"
    assert seen({})[0] == "home"


def test_a_copy_that_was_not_used_for_long_is_heard_of_first():
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions()) as one, \
            relay(api, *four(), sessions=redis.sessions({"cache_ttl": "1s"})) as two:
        place = move(api, one, 1)[1]
        is_stored(redis, 1)
        assert by_session(two, 1)[:2] == (place, "hit") and records(two) == 1
        used = time.monotonic()
        api.says_once(place, (529, ""))
        moved = by_session(one, 1)[0]
        wait_for(lambda: moved[2:] and time.monotonic() - used > 1.1, "the copy to be old")
        assert by_session(two, 1)[:2] == (moved, "hit") and moved != place
        # … and is good for the time being where nobody answers.
        redis.kill()
        wait_for(lambda: two.metric("weir_redis_up") == 0, "it to be missed")
        wait_for(lambda: time.monotonic() - used > 3, "the copy to be old")
        assert by_session(two, 1)[:2] == (moved, "hit")


@option("sessions.batch")
def test_batch():
    def batches(batch):
        with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions({"batch": batch})) as weir:
            by_session(weir, 0)
            with redis.stopped():
                for n in range(KEYS):
                    move(api, weir, n)
            is_stored(redis, KEYS)
            return weir.metric("weir_session_store_batches_total", result="written")
    assert batches(1) >= KEYS > batches(100)


@option("sessions.redis.prefix")
def test_prefix():
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions(prefix="team-a")) as one, \
            relay(api, *four(), sessions=redis.sessions(prefix="team-b")) as two:
        place = move(api, one, 1)[1]
        is_stored(redis, 1, "team-a")
        assert not redis.keys("weir:*") and by_session(two, 1)[1] == "new"
        assert by_session(one, 1)[:2] == (place, "hit")


@option("sessions.redis.wait")
def test_wait():
    with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions(wait=1, timeout="200ms")) as weir:
        move(api, weir, 1)
        wait_for(lambda: weir.metric("weir_session_store_batches_total", result="failed") > 0, "a replica to be missed")
        assert weir.metric("weir_session_store_batches_total", result="written") == 0
        with Redis("--replicaof", "127.0.0.1", str(redis.port)):
            wait_for(lambda: weir.metric("weir_session_store_batches_total", result="written") > 0, "the replica")


@option("sessions.redis.timeout")
def test_timeout():
    def waits(timeout):
        with Redis() as redis, Api() as api, relay(api, *four(), sessions=redis.sessions(timeout=timeout)) as weir:
            by_session(weir, 0)
            with redis.stopped():
                begun = time.monotonic()
                assert by_session(weir, 1)[1:] == ("new", 200)
                return time.monotonic() - begun
    assert waits("3s") > 2.5 > waits("50ms")


class Sentinel(Redis):
    """One of those that watch the master at a port, as "leader"."""

    def __init__(self, master):
        self.port, self.directory = free_port(), tempfile.TemporaryDirectory(prefix="weir-sentinel-")
        config = pathlib.Path(self.directory.name) / "sentinel.conf"
        config.write_text(f"port {self.port}\nbind 127.0.0.1\ndir {self.directory.name}\n"
                          f"sentinel monitor leader 127.0.0.1 {master} 2\n"
                          "sentinel down-after-milliseconds leader 500\nsentinel failover-timeout leader 2000\n")
        self.command = [find("redis-server", "redis-server"), str(config), "--sentinel"]
        self.start()

    def watches(self, replica):
        return "OK 3 usable" in self.ask("SENTINEL", "CKQUORUM", "leader") \
            and all(word in self.ask("SENTINEL", "REPLICAS", "leader") for word in (str(replica.port), "\r\nslave\r\n"))


class Watched:
    """A master, a replica of its, and three sentinels that agree about them."""

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.master = stack.enter_context(Redis())
            self.replica = stack.enter_context(Redis("--replicaof", "127.0.0.1", str(self.master.port)))
            self.sentinels = [stack.enter_context(Sentinel(self.master.port)) for _ in range(3)]
            self.agree()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def agree(self):
        wait_for(lambda: "master_link_status:up" in self.replica.ask("INFO", "replication"), "the replica")
        wait_for(lambda: all(it.watches(self.replica) for it in self.sentinels), "the sentinels to agree")

    def has_heir(self):
        return "role:master" in self.replica.ask("INFO", "replication")

    def is_told(self):
        """Whether one of the sentinels names the heir; it is a master up to a second before that."""
        return any(f"\r\n{self.replica.port}\r\n" in it.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "leader") for it in self.sentinels)

    def change_places(self):
        """The one that was killed comes back, behind the one that took its place."""
        self.master, self.replica = self.replica, self.master
        self.replica.start()
        self.replica.ask("REPLICAOF", "127.0.0.1", str(self.master.port))
        self.agree()

    def sessions(self):
        return {"secret": SECRET, "redis": {"url": "redis://leader", "timeout": "500ms", "sentinels":
                                            "redis://" + ",".join(f"127.0.0.1:{it.port}" for it in self.sentinels)}}


@option("sessions.redis.sentinels")
def test_a_master_that_dies_is_followed():
    with contextlib.ExitStack() as stack:
        watched, api = stack.enter_context(Watched()), stack.enter_context(Api())
        master, replica, sessions = watched.master, watched.replica, watched.sessions()
        weir = stack.enter_context(relay(api, *four(), sessions=sessions))
        places = {n: move(api, weir, n)[1] for n in range(KEYS)}
        is_stored(master, KEYS)
        wait_for(lambda: len(replica.keys("weir:s:*")) == KEYS, "the replica to have it")
        master.kill()
        n = KEYS

        def is_promoted():
            """Meanwhile conversations go on, and begin; and no client sees an error."""
            nonlocal n
            assert all(by_session(weir, k) == (places[k], "hit", 200) for k in range(KEYS))
            assert by_session(weir, n)[1:] == ("new", 200)
            n += 1
            return watched.has_heir()
        wait_for(is_promoted, "the replica to be the master")
        places[n] = move(api, weir, n)[1]
        is_stored(replica, KEYS + 1)
        wait_for(lambda: weir.metric("weir_redis_up") == 1, "it to be back")
        assert weir.metric("weir_redis_outages_total") >= 1
        other = stack.enter_context(relay(api, *four(), sessions=sessions))
        assert all(by_session(other, k)[:2] == (place, "hit") for k, place in places.items())


@option("sessions.redis.ca")
def test_tls_and_acl(tmp_path):
    with Authority() as authority, Authority() as stranger, Api() as api, \
            Redis("--user", "weir", "on", ">p@ss/word", "~weir:*", "+@all", "--user", "default", "off", tls=authority) as redis:
        def sessions(ca, password="p%40ss%2Fword"):
            return {"secret": SECRET, "redis": {
                "url": f"rediss://weir:{password}@127.0.0.1:{redis.port}", "ca": str(ca), "timeout": "10s"}}
        with relay(api, *four(), sessions=sessions(authority.certificate)) as one, \
                relay(api, *four(), sessions=sessions(authority.certificate)) as two, \
                relay(api, *four(), sessions=sessions(authority.certificate, "wrong")) as wrong, \
                relay(api, *four(), sessions=sessions(stranger.certificate)) as other:
            place = move(api, one, 1)[1]
            wait_for(lambda: one.metric("weir_session_store_batches_total", result="written") > 0, "it to be stored")
            assert by_session(two, 1)[:2] == (place, "hit")
            for weir in (wrong, other):
                assert by_session(weir, 1)[1:] == ("new", 200)
                wait_for(lambda: weir.metric("weir_redis_up") == 0, "it to be refused")
                assert "p%40ss" not in weir.admin("/api/v1/config").text and "p@ss" not in weir.text()


def test_the_commands_that_the_documentation_names_are_enough():
    allows = next(line.split() for line in (ROOT / "docs/how-to/redis.md").read_text().splitlines() if line.startswith("    ACL SETUSER "))
    with Redis() as redis, Api() as api:
        assert redis.ask(*allows) == "+OK\r\n"
        sessions = redis.sessions(url=f"redis://weir:password@127.0.0.1:{redis.port}", timeout="10s")
        with relay(api, *four(), affinity=with_pins(), sessions=sessions) as one, relay(api, *four(), affinity=with_pins(), sessions=sessions) as two:
            places = {n: move(api, one, n)[1] for n in range(KEYS)}
            pin(api, one, 1)
            is_stored(redis, KEYS + 1)
            assert all(by_session(two, n)[:2] == (place, "hit") for n, place in places.items())
            assert redis.keys("weir:i:*")
            assert redis.ask("ACL", "LOG") == "*0\r\n"


@pytest.mark.parametrize("example", ["relay-redis.yaml", "relay-redis-sentinel.yaml"])
def test_the_example(tmp_path, example):
    def gateway(folder, ports):
        text = (ROOT / "examples" / example).read_text()
        for old, new in {"https://api.openai.com": api.up.url, "127.0.0.1:8080": f"127.0.0.1:{ports['port']}",
                         "127.0.0.1:9901": f"127.0.0.1:{ports['admin']}", "path: sessions": f"path: {folder}"}.items():
            assert text.count(old) >= 1
            text = text.replace(old, new)
        where = {"REDIS": f"redis://127.0.0.1:{redis.port}"}
        if "sentinel" in example:
            where = {"REDIS": "redis://leader", "SENTINELS": f"redis://127.0.0.1:{sentinel.port}"}
        return Weir(config=text, ports=ports, env={"A1_KEY": "k1", "A2_KEY": "k2", "SECRET": SECRET, "TEAM_A_SHA256": digest("key-a"),
                                                   **where})
    with Redis() as redis, Redis("--replicaof", "127.0.0.1", str(redis.port)), Sentinel(redis.port) as sentinel, Api() as api, \
            gateway(tmp_path / "one", {"port": free_port(), "admin": free_port()}) as one, \
            gateway(tmp_path / "two", {"port": free_port(), "admin": free_port()}) as two:
        for key in ("k1", "k2"):
            api.says(key, 200, "", json.dumps({"id": f"resp_{key}", "served_by": key}).encode())
        has_clients = "clients:" in (ROOT / "examples" / example).read_text()
        shown = bearer("a") if has_clients else ""
        assert (post(one, messages=None, input="whose?").status == 401) == has_clients
        makers = {post(one, headers=shown, messages=None, input=f"question {n}").json()["served_by"] for n in range(20)}
        assert makers == {"k1", "k2"}
        is_stored(redis, 2, "relay")
        for key in makers:
            answer = post(two, headers=shown, messages=None, input="and then?", previous_response_id=f"resp_{key}")
            assert answer.json()["served_by"] == key and word(answer) == "hit:pinned"
        if has_clients:
            wait_for(lambda: two.metric("weir_client_lease_gateways") == 2, "them to share what the team may")


@pytest.mark.parametrize("sessions, said", [
    ({"store": "redis", "secret": SECRET}, "redis needs redis.url"),
    ({"store": "hybrid", "secret": SECRET, "redis": {"url": "redis://h"}}, "needs a path"),
    ({"store": "redis", "path": "x", "secret": SECRET, "redis": {"url": "redis://h"}}, "hybrid has both"),
    ({"store": "memory", "secret": SECRET, "redis": {"url": "redis://h"}}, "memory asks no Redis"),
    ({"redis": {"url": "redis://h"}}, "without sessions.secret"),
    ({"secret": SECRET, "redis": {"url": "http://h"}}, "sessions.redis.url is none"),
    ({"secret": SECRET, "redis": {"url": "redis://h", "ca": "x.pem"}}, "is for rediss://"),
    ({"secret": SECRET, "redis": {"url": "rediss://h", "ca": "nothing.pem"}}, "sessions.redis.ca"),
    ({"redis": {"wait": 1}}, "sessions.redis: there is no url"),
    ({"redis": {"sentinels": "redis://h"}}, "sessions.redis: there is no url"),
    ({"secret": SECRET, "redis": {"url": "redis://m", "sentinels": "redis://h,"}}, "sessions.redis.sentinels is none"),
    ({"secret": SECRET, "redis": {"url": "redis://m:1", "sentinels": "redis://h"}}, "without a port"),
    ({"secret": SECRET, "redis": {"url": "redis://m", "sentinels": "redis://h", "ca": "x.pem"}}, "is for rediss://"),
    ({"redis": {"mode": "cluster"}}, "not supported by this build"),
])
def test_bad_combinations_are_refused(tmp_path, sessions, said):
    code, text = check(tmp_path, sessions, affinity={})
    assert code == 1 and said in text, text


def test_advice(tmp_path):
    code, text = check(tmp_path, {"path": "x", "redis": {"url": "redis://u:p@h:1/2"}}, affinity={})
    assert code == 0 and "sessions.secret is empty" in text and "u:p" not in text
