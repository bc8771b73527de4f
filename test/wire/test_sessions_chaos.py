# SPDX-License-Identifier: Apache-2.0
"""Three gateways in front of four accounts share a real redis-server, or a Cluster, while both are stopped, emptied, cut off and
killed: no client sees an error, and in the end all three say of each conversation that it is with the same account, one to which it
was moved. (session/redis_chaos_test.c does the same to the library, and counts.)

WEIR_SEED=n plays that seed."""
import contextlib
import os
import random
import signal

import pytest

from test_accounts import Api
from test_affinity import by_session, four, relay
from test_sessions_cluster import Cluster
from test_sessions_redis import Redis
from weirtest import wait_for

GATEWAYS, CONVERSATIONS, STEPS, EVERY = 3, 12, 240, 24


class Alone(Redis):
    """One redis-server, and what may become of it."""
    BACK = ("redis killed and back", "redis killed for a while", "a gateway and redis killed")
    FAULTS = (*BACK, "redis emptied", "redis without scripts", "redis stopped", "connections cut", "a gateway killed")

    def suffer(self, fault, _random):
        if fault in self.BACK:
            self.kill()
        if fault == "redis killed and back":
            self.start()
        elif fault == "redis emptied":
            self.ask("FLUSHALL")
        elif fault == "redis without scripts":
            self.ask("SCRIPT", "FLUSH")
        elif fault == "redis stopped":
            self.process.send_signal(signal.SIGSTOP)
        elif fault == "connections cut":
            self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def recover(self, fault):
        if fault == "redis stopped":
            self.process.send_signal(signal.SIGCONT)
        elif fault in self.BACK[1:]:
            self.start()

    def heal(self):
        """It is alone: as soon as it is back it is well."""


class Spread(Cluster):
    """A Cluster, and what may become of its nodes, of which any is a master by then, or its replica."""
    KILLED = ("a node killed for a while", "a gateway and a node killed")
    FAULTS = (*KILLED, "a node killed and back", "a node stopped", "nodes emptied", "nodes without scripts", "connections cut",
              "a gateway killed")
    victim = None

    def suffer(self, fault, random_):
        self.victim = random_.choice(self.nodes)
        if fault in self.KILLED or fault == "a node killed and back":
            self.victim.kill()
        if fault == "a node killed and back":
            self.victim.start()
        elif fault == "a node stopped":
            self.victim.process.send_signal(signal.SIGSTOP)
        else:
            words = {"nodes emptied": ("FLUSHALL",), "nodes without scripts": ("SCRIPT", "FLUSH"),
                     "connections cut": ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")}.get(fault, ("PING",))
            for node in self.nodes:
                if fault not in self.KILLED:
                    node.ask(*words)

    def recover(self, fault):
        if fault == "a node stopped":
            self.victim.process.send_signal(signal.SIGCONT)
        elif fault in self.KILLED:
            self.victim.start()

    def heal(self):
        wait_for(lambda: all(map(self.is_well, self.nodes)), "the nodes to agree")


class Chaos:
    def __init__(self, seed, folder, redis, api, stack):
        self.random, self.folder, self.redis, self.api, self.stack = random.Random(seed), folder, redis, api, stack
        self.gateways = [self.start(i) for i in range(GATEWAYS)]
        self.given = {n: set() for n in range(CONVERSATIONS)}
        self.victim = None

    def start(self, index):
        sessions = self.redis.sessions({"path": str(self.folder / f"gateway-{index}")}, timeout="200ms")
        return self.stack.enter_context(relay(self.api, *four(), sessions=sessions))

    def any(self):
        return self.random.choice([it for it in self.gateways if it is not None])

    def ask(self, weir, n):
        served, _, status = by_session(weir, n)
        assert status == 200
        return served

    def move(self, weir, n):
        """The account that it has cools down for a moment, on that gateway."""
        home = self.ask(weir, n)
        self.api.says_once(home, (529, ""))
        self.given[n] |= {home, self.ask(weir, n)}
        assert weir.admin(f"/api/v1/accounts/up/{home[2:]}/clear", "POST").status == 200
        self.api.says(home, 200)

    def begin(self, fault):
        self.redis.suffer(fault, self.random)
        if "a gateway" in fault:
            self.victim = self.random.randrange(GATEWAYS)
            self.gateways[self.victim].kill()
            self.gateways[self.victim] = None

    def end(self, fault):
        self.redis.recover(fault)
        if self.victim is not None:
            self.gateways[self.victim] = self.start(self.victim)
            self.victim = None

    def play(self):
        kinds = self.redis.FAULTS
        faults = self.random.sample(kinds, len(kinds)) + self.random.choices(kinds, k=STEPS // EVERY - len(kinds))
        fault, lasts = None, 0
        for step in range(STEPS):
            if step % EVERY == 0:
                fault, lasts = faults[step // EVERY], self.random.randrange(EVERY - 1)
                self.begin(fault)
            self.ask(self.any(), self.random.randrange(CONVERSATIONS))
            if self.random.randrange(8) == 0:
                self.move(self.any(), self.random.randrange(CONVERSATIONS))
            if step % EVERY == lasts:
                self.end(fault)

    def places(self, n):
        return {self.ask(weir, n) for weir in self.gateways}

    def check(self):
        for n in range(CONVERSATIONS):
            places = wait_for(lambda n=n: len(it := self.places(n)) == 1 and it, f"the place of conversation {n}", every=0.05)
            assert not self.given[n] or places <= self.given[n]
        for n in range(CONVERSATIONS):
            assert len(self.places(n)) == 1


@pytest.mark.soak
@pytest.mark.parametrize("kind", [Alone, Spread])
def test_three_gateways_agree_whatever_is_killed(tmp_path, kind):
    seed = int(os.environ.get("WEIR_SEED", 0)) or (random.randrange(1, 10**6) if os.environ.get("WEIR_SOAK") else 1)
    print(f"seed {seed}")
    with kind() as redis, Api() as api, contextlib.ExitStack() as stack:
        chaos = Chaos(seed, tmp_path, redis, api, stack)
        chaos.play()
        redis.heal()
        chaos.check()
