# SPDX-License-Identifier: Apache-2.0
"""Gateways that share what they keep of conversations through a real Redis Cluster, whose masters die and whose slots move."""
import contextlib
import json
import subprocess
import time

import pytest

from certs import Authority
from peers import find
from test_accounts import Api, post
from test_affinity import KEYS, by_session, four, relay, word
from test_sessions import check, go_on, move
from test_sessions_redis import SECRET, Redis
from weirtest import ROOT, Weir, free_port, wait_for

option = pytest.mark.option
MASTERS = 3


class Cluster:
    """Three masters with a replica each, on loopback."""

    def __init__(self):
        self.stack, self.nodes = contextlib.ExitStack(), []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self.nodes = [stack.enter_context(Redis("--cluster-enabled", "yes", "--cluster-node-timeout", "600", "--cluster-port",
                                                    str(free_port()))) for _ in range(2 * MASTERS)]
            self.create()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exc):
        self.stack.close()

    def create(self):
        for n, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
            bus = self.nodes[0].command[self.nodes[0].command.index("--cluster-port") + 1]
            node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), bus)
        for n, node in enumerate(self.masters):
            last = 16383 if n == MASTERS - 1 else 5461 * (n + 1) - 1
            assert "+OK" in node.ask("CLUSTER", "ADDSLOTSRANGE", str(5461 * n), str(last))
        for master, replica in zip(self.masters, self.replicas):
            wait_for(lambda: "+OK" in replica.ask("CLUSTER", "REPLICATE", self.id(master)), "a replica to know its master")
        wait_for(lambda: all(map(self.is_well, self.nodes)), "the nodes to agree")

    @property
    def masters(self):
        return self.nodes[:MASTERS]

    @property
    def replicas(self):
        return self.nodes[MASTERS:]

    @staticmethod
    def id(node):
        return node.ask("CLUSTER", "MYID").split("\r\n")[1]

    @staticmethod
    def is_well(node):
        info, role = node.ask("CLUSTER", "INFO"), node.ask("INFO", "replication")
        return "cluster_state:ok" in info and "cluster_slots_ok:16384" in info and "cluster_known_nodes:6" in info \
            and ("master_link_status:up" in role or "connected_slaves:1" in role)

    def sessions(self, more=None, **redis):
        return {"secret": SECRET, **(more or {}), "redis": {
            "url": f"redis://127.0.0.1:{self.nodes[0].port},127.0.0.1:{self.nodes[1].port}", "cluster": True, **redis}}

    def keys(self, pattern):
        """Of all masters that live; a replica has them, too."""
        return [key for node in self.nodes if node.process.poll() is None and "role:master" in node.ask("INFO", "replication")
                for key in node.keys(pattern)]

    def is_stored(self, count, prefix="weir"):
        wait_for(lambda: len(self.keys(f"{prefix}:s:*")) == count, "the Cluster to have it")


@option("sessions.redis.cluster")
def test_two_gateways_agree():
    with Cluster() as cluster, Api() as api, relay(api, *four(), sessions=cluster.sessions()) as one, \
            relay(api, *four(), sessions=cluster.sessions(), workers=2) as two:
        places = {n: move(api, one, n)[1] for n in range(KEYS)}
        cluster.is_stored(KEYS)
        assert all(by_session(two, n)[:2] == (place, "hit") for n, place in places.items())
        assert two.metric("weir_session_lookups_total", result="found") == KEYS
        assert two.metric("weir_redis_up") == 1 and two.metric("weir_redis_slots_uncovered") == 0
        assert two.metric("weir_redis_nodes", state="up") == MASTERS and two.metric("weir_redis_nodes", state="down") == 0
        assert json.loads(two.admin("/api/v1/process").text)["redis_fault"] == ""
        for node in cluster.masters:
            assert node.keys("weir:*")  # which are spread


def test_a_master_that_dies_has_an_heir():
    with Cluster() as cluster, Api() as api, relay(api, *four(), sessions=cluster.sessions(timeout="500ms")) as weir:
        places = {n: move(api, weir, n)[1] for n in range(KEYS)}
        cluster.is_stored(KEYS)
        cluster.masters[0].kill()
        n = KEYS

        def has_an_heir():
            """Meanwhile conversations go on, and begin; and no client sees an error."""
            nonlocal n
            assert all(by_session(weir, k) == (places[k], "hit", 200) for k in range(KEYS))
            assert by_session(weir, n)[1:] == ("new", 200)
            places[n] = move(api, weir, n)[1]
            n += 1
            return "role:master" in cluster.replicas[0].ask("INFO", "replication")
        wait_for(has_an_heir, "the replica to be a master")
        cluster.is_stored(n)
        wait_for(lambda: weir.metric("weir_redis_up") == 1, "it to be back")
        with relay(api, *four(), sessions=cluster.sessions()) as other:
            assert all(by_session(other, k)[:2] == (place, "hit") for k, place in places.items())


def test_slots_move_under_load():
    with Cluster() as cluster, Api() as api, relay(api, *four(), sessions=cluster.sessions()) as weir, \
            relay(api, *four(), sessions=cluster.sessions({"cache": 0})) as other:
        places = {n: move(api, weir, n)[1] for n in range(KEYS)}
        cluster.is_stored(KEYS)
        tool = subprocess.Popen(
            [find("redis-cli", "redis-server"), "--cluster", "reshard", f"127.0.0.1:{cluster.nodes[0].port}", "--cluster-from",
             "all", "--cluster-to", cluster.id(cluster.nodes[1]), "--cluster-slots", "1500", "--cluster-yes"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        n = KEYS
        while tool.poll() is None:
            places[n] = move(api, weir, n)[1]
            assert by_session(other, n)[2] == 200
            assert all(by_session(weir, k) == (places[k], "hit", 200) for k in range(n - 5, n + 1))
            n += 1
        assert tool.returncode == 0
        cluster.is_stored(n)
        assert weir.metric("weir_redis_redirects_total", reason="moved") > 0
        assert weir.metric("weir_redis_outages_total") == 0
        with relay(api, *four(), sessions=cluster.sessions()) as third:
            assert all(by_session(third, k)[:2] == (place, "hit") for k, place in places.items())


def test_without_it_nobody_sees_an_error():
    with Cluster() as cluster, Api() as api, relay(api, *four(), sessions=cluster.sessions(timeout="200ms")) as weir:
        places = {n: move(api, weir, n)[1] for n in range(KEYS)}
        cluster.is_stored(KEYS)
        for node in cluster.nodes:
            node.kill()
        for n in range(2 * KEYS):
            served, said, status = by_session(weir, n)
            assert status == 200 and said in ("hit", "new") and (n >= KEYS or served == places[n])
        wait_for(lambda: weir.metric("weir_redis_up") == 0, "it to be missed")
        wait_for(lambda: weir.metric("weir_redis_nodes", state="down") == MASTERS, "all of it to be missed")
        fault = json.loads(weir.admin("/api/v1/process").text)["redis_fault"]
        assert "slot " in fault and " at 127.0.0.1:" in fault
        for node in cluster.nodes:  # empty, but for who they are
            node.start()
        cluster.is_stored(KEYS)
        wait_for(lambda: weir.metric("weir_redis_up") == 1, "it to be back")


def test_tls_and_acl(tmp_path):
    users = ["--user", "weir", "on", ">p@ss/word", "~weir:*", "+@all"]
    alone = ["--cluster-enabled", "yes", "--cluster-port", str(free_port()), "--tls-cluster", "yes"]
    with Authority() as authority, Api() as api, Redis(*users, *alone, tls=authority) as node:
        def sessions(password):
            return {"secret": SECRET, "redis": {"cluster": True, "ca": str(authority.certificate), "timeout": "20s",
                                                "url": f"rediss://weir:{password}@127.0.0.1:{node.port}"}}

        def says(*words):
            return subprocess.run([find("redis-cli", "redis-server"), "--tls", "--cacert", str(authority.certificate), "-p", str(node.port),
                                   "CLUSTER", *words], check=True, stdout=subprocess.PIPE, text=True).stdout
        says("ADDSLOTSRANGE", "0", "16383")
        wait_for(lambda: "cluster_state:ok" in says("INFO"), "it to serve them")
        with relay(api, *four(), sessions=sessions("p%40ss%2Fword")) as one, \
                relay(api, *four(), sessions=sessions("p%40ss%2Fword")) as two, \
                relay(api, *four(), sessions=sessions("wrong")) as wrong:
            place = move(api, one, 1)[1]
            wait_for(lambda: one.metric("weir_session_store_batches_total", result="written") > 0, "it to be stored")
            assert by_session(two, 1)[:2] == (place, "hit")
            began = time.monotonic()
            assert by_session(wrong, 1)[1:] == ("new", 200)
            wait_for(lambda: wrong.metric("weir_redis_up") == 0, "it to be refused")
            assert time.monotonic() - began < 10, "nobody waits for a Cluster that does not know us"
            assert "WRONGPASS" in json.loads(wrong.admin("/api/v1/process").text)["redis_fault"]
            assert "p%40ss" not in wrong.admin("/api/v1/config").text and "p@ss" not in wrong.text()


def test_the_example(tmp_path):
    def gateway(folder, ports):
        text = (ROOT / "examples" / "relay-redis-cluster.yaml").read_text()
        for old, new in {"https://api.openai.com": api.up.url, "127.0.0.1:8080": f"127.0.0.1:{ports['port']}",
                         "127.0.0.1:9901": f"127.0.0.1:{ports['admin']}", "path: sessions": f"path: {folder}"}.items():
            assert text.count(old) >= 1
            text = text.replace(old, new)
        return Weir(config=text, ports=ports, env={"A1_KEY": "k1", "A2_KEY": "k2", "SECRET": SECRET, "REDIS":
                                                   f"redis://127.0.0.1:{cluster.nodes[1].port},127.0.0.1:{cluster.nodes[2].port}"})
    with Cluster() as cluster, Api() as api, gateway(tmp_path / "one", {"port": free_port(), "admin": free_port()}) as one, \
            gateway(tmp_path / "two", {"port": free_port(), "admin": free_port()}) as two:
        for key in ("k1", "k2"):
            api.says(key, 200, "", json.dumps({"id": f"resp_{key}", "served_by": key}).encode())
        makers = {post(one, messages=None, input=f"question {n}").json()["served_by"] for n in range(20)}
        assert makers == {"k1", "k2"}
        cluster.is_stored(2, "relay")
        for key in makers:
            answer = go_on(two, key)
            assert answer.json()["served_by"] == key and word(answer) == "hit:pinned"


@pytest.mark.parametrize("redis, said", [
    ({"cluster": True}, "sessions.redis: there is no url"),
    ({"url": "redis://h/1", "cluster": True}, "none of a Cluster"),
    ({"url": "redis://h,", "cluster": True}, "none of a Cluster"),
    ({"url": "redis://h,i"}, "sessions.redis.url is none"),
    ({"url": "redis://h", "cluster": True, "sentinels": "redis://s"}, "a Cluster looks after itself"),
    ({"url": "redis://h", "cluster": True, "ca": "x.pem"}, "is for rediss://"),
    ({"urls": ["redis://h"]}, "not supported by this build"),
])
def test_bad_combinations_are_refused(tmp_path, redis, said):
    code, text = check(tmp_path, {"secret": SECRET, "redis": redis}, affinity={})
    assert code == 1 and said in text, text
