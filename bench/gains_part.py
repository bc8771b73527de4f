# SPDX-License-Identifier: Apache-2.0
"""The part `gains` of bench.py: what pooling gains, plain and over TLS.

The client with its pool stands beside itself with a connection for each request (over TLS: with the session
resumed), under the same load: clients who think between their requests, and the same without a pause. Beside
these, two bare epoll loops that do the same say what there is to be had.

How many clients more: few clients with a connection each, and the pool with 2, 5, 10 … times as many, take turns
within a round. A factor holds where the median over the rounds of p99 ÷ p99 within a round is at most 1.

The last have the cores before all other programs (SCHED_RR) where that is permitted: else the p99 of all candidates
is other programs' time slices. Their rounds are kept then, whatever else the machine does.
"""
import os
import statistics
import subprocess

import configs

THINK_MS, THINKERS = 10, 50
FEW_THINKERS, FACTORS = 20, (2, 5, 10, 15, 20, 30, 40)
LADDER_WARM, LADDER_SECONDS = 0.2, 0.6
KINDS = {"weir": "weir, pooled", "weir-fresh": "weir, max_uses 1", "epoll": "bare epoll, kept open",
         "epoll-fresh": "bare epoll, a connection each"}
SECURE_KINDS = ("weir", "weir-fresh")
GOALS = (("connections", "connections", -0.99), ("cpu", "CPU, busy", -0.50), ("cpu_light", "CPU, with pauses", -0.50),
         ("p50_busy", "p50, busy", -0.50), ("p50", "p50, with pauses", -0.50))
FACTOR_GOAL = 10
WITH_PAUSES = {"cpu": "cpu_light", "p50_busy": "p50"}  # beside what is busy
# What each document says that pooling gains, beside which our figure stands.
CLAIMS = (("001: reuse", "reuse", "80 %+"), ("001: overhead of connecting", "connections", "-50 %+"),
          ("001: in all", "p50_busy", "-20-30 %"), ("003: overhead of connecting", "connections", "-60-80 %"),
          ("003: time to answer", "p50_busy", "-50-70 %"), ("003: resources", "cpu", "-40-60 %"),
          ("003: CPU", "cpu", "-20-40 %"), ("003: connections", "connections", "-50-70 %"),
          ("003: concurrency", "clients", "2-3 x"), ("004: time to answer, cached", "p50_busy", "-95 %"),
          ("004: CPU and memory", "cpu", "-60 %"))


def may_go_first():
    """Whether a process of ours may have the cores before others."""
    pid = os.fork()
    if pid == 0:
        try:
            go_first()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def go_first(pid=0):
    os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(1))


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program = tools.BUILD / "bench/client_bench"
        self.goes_first = may_go_first()
        self.ca = ()

    def run(self):
        results = {"goes_first": self.goes_first}
        plain = self.bench.upstream, self.bench.upstream_port
        for scheme, kinds in (("plain", tuple(KINDS)), ("TLS", SECURE_KINDS)):
            upstream = self.upstream(scheme)
            self.bench.upstream, self.bench.upstream_port = upstream, upstream.port
            results[scheme] = self.measure(scheme, kinds)
            self.bench.stop(upstream)
        self.bench.upstream, self.bench.upstream_port = plain
        self.ca = ()
        return results

    def upstream(self, scheme):
        """One for the part alone."""
        command = [self.tools.BUILD / "bench/upstream", "0", self.bench.scratch / "gains-counters"]
        (self.bench.scratch / "gains-counters").write_bytes(bytes(16))
        if scheme == "TLS":
            configs.certificate(self.bench.scratch)
            command.append(self.bench.scratch / "both.pem")
            self.ca = (str(self.bench.scratch / "cert.pem"),)
        upstream = self.tools.Process("upstream", command, self.tools.CORE_LOAD,
                                      stdout=subprocess.PIPE, text=True)
        upstream.port = int(upstream.popen.stdout.readline().split()[1])
        self.bench.running.append(upstream)
        return upstream

    def sample(self, kind, clients, think_ms, **more):
        return self.bench.client_measure([self.program, kind], clients, str(think_ms), *self.ca, **more)

    def rounds(self, what, measure, names, wanted, keep=False):
        kept, self.bench.names = self.bench.names, list(names)
        self.bench.candidates = {name: name for name in names}
        rounds = self.bench.rounds(what, measure, wanted, keep=keep)
        self.bench.names = kept
        return rounds

    def measure(self, scheme, kinds):
        wanted = self.bench.args.rounds
        light = self.rounds(f"gains, {scheme}", lambda k: self.sample(k, THINKERS, THINK_MS, seconds=2), kinds, wanted)
        busy = self.rounds(f"gains, {scheme}, busy", lambda k: self.sample(k, THINKERS, 0), kinds, wanted)
        self.show(scheme, kinds, light, busy)
        gains = self.gains_of(light, busy)
        gains["clients"] = self.clients(scheme)
        self.judge(gains)
        return gains

    def show(self, scheme, kinds, light, busy):
        say = self.tools.say
        say(f"\nwhat pooling gains, {scheme}: {THINKERS} clients, {THINK_MS} ms between their requests, 100 B, {len(light)} "
            f"rounds; busy: the same without a pause")
        say(f"  {'':<31}{'connections':>12}{'per request':>12}{'p50 µs':>9}{'busy':>8}{'p99 µs':>9}{'CPU µs/req':>11}"
            f"{'busy':>8}{'failed':>8}")
        for kind in kinds:
            def median(key, of, kind=kind):
                return statistics.median(r[kind][key] for r in of)
            per_request = statistics.median(r[kind]["connections"] / r[kind]["asked"] for r in light)
            say(f"  {KINDS[kind]:<31}{median('connections', light):>12.0f}{per_request:>12.4f}{median('p50_us', light):>9.0f}"
                f"{median('p50_us', busy):>8.0f}{median('p99_us', light):>9.0f}{median('cpu_us_per_request', light):>11.1f}"
                f"{median('cpu_us_per_request', busy):>8.1f}{sum(r[kind]['failed'] for r in light + busy):>8}")

    @staticmethod
    def gains_of(light, busy):
        def change(of, rounds, kind="weir"):
            return statistics.median(of(r[kind]) / of(r[f"{kind}-fresh"]) for r in rounds) - 1

        def cpu(sample):
            return sample["cpu_us_per_request"]
        gains = {"connections": change(lambda s: s["connections"] / s["asked"], light), "cpu": change(cpu, busy),
                 "cpu_light": change(cpu, light), "p50": change(lambda s: s["p50_us"], light),
                 "p50_busy": change(lambda s: s["p50_us"], busy),
                 "p99": change(lambda s: s["p99_us"], light),
                 "reuse": statistics.median(1 - r["weir"]["connections"] / r["weir"]["asked"] for r in light)}
        if "epoll" in light[0]:
            gains["bare"] = {"cpu": change(cpu, busy, "epoll"), "cpu_light": change(cpu, light, "epoll"),
                             "p50": change(lambda s: s["p50_us"], light, "epoll"),
                             "p50_busy": change(lambda s: s["p50_us"], busy, "epoll")}
        return gains

    def clients(self, scheme):
        """The largest factor that holds."""
        def measure(name):
            kind, clients = ("weir-fresh", FEW_THINKERS) if name == 1 else ("weir", FEW_THINKERS * name)
            return self.sample(kind, clients, THINK_MS, goes_first=self.goes_first, warm=LADDER_WARM,
                               seconds=LADDER_SECONDS)
        if self.goes_first:
            go_first(self.bench.upstream.pid)
        factors = FACTORS[:4] if self.bench.args.quick else FACTORS
        wanted = 3 * self.bench.args.rounds
        rounds = self.rounds(f"gains, {scheme}, clients", measure, (1, *factors), wanted, self.goes_first)
        ratios = {f: statistics.median(r[f]["p99_us"] / r[1]["p99_us"] for r in rounds) for f in factors}
        good = max((f for f in factors if ratios[f] <= 1), default=1)
        return {"factor": good, "is_most": good == factors[-1], "ratios": ratios, "rounds": len(rounds),
                "p99_us": statistics.median(r[1]["p99_us"] for r in rounds)}

    def judge(self, gains):
        say = self.tools.say
        for word, title, goal in GOALS:
            bare = gains.get("bare", {}).get(word)
            say(f"  {'reached' if gains[word] <= goal else '*** MISSED':<11}{title:<20}{100 * gains[word]:>+9.1f} %   goal "
                f"{100 * goal:+.0f} %" + (f"   (bare epoll gains {100 * bare:+.1f} %)" if bare is not None else ""))
        clients = gains["clients"]
        say(f"  {'reached' if clients['factor'] >= FACTOR_GOAL else '*** MISSED':<11}{'clients at that p99':<20}"
            f"{clients['factor']:>9} x   goal {FACTOR_GOAL} x   ({'before all other programs; ' if self.goes_first else ''}"
            f"{'no more were tried; ' if clients['is_most'] else ''}p99 of "
            f"{FEW_THINKERS} with a connection each {clients['p99_us']:.0f} µs; of it, with the pool: "
            + ", ".join(f"{f} x {r:.2f}" for f, r in clients["ratios"].items()) + ")")
        say("  what the documents say that pooling gains")
        for title, word, claim in CLAIMS:
            figure = (f"{clients['factor']} x" if word == "clients" else f"{100 * gains[word]:.1f} %" if word == "reuse"
                      else f"{100 * gains[word]:+.1f} %")
            pauses = f", with pauses {100 * gains[WITH_PAUSES[word]]:+.1f} %" if word in WITH_PAUSES else ""
            say(f"    {title:<30}{claim:>10}   here {figure:>9}{pauses}")
