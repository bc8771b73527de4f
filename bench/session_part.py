# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `session`: what sessions cost in a table, shared by threads, on a disk and in a Redis (session_bench.c),
beside express-session's connect-redis (express_sessions.mjs, from npm); and what relaying a request of 100 KB takes with
affinity by its content, beside the same without, and beside a relay in Node (relay_node.mjs); and the same with clients' keys,
limits and a log line for each, what is known of it in a Redis, beside a relay that is written as those in use are
(relay_express.mjs: express, ioredis, axios, winston, from npm), beside one that does what a public one does besides, and
beside a relay that only reads and writes the bytes (relay_epoll.c).

What waits for memory is as fast as the machine's memory: `look-up` is of a million sessions in an order of no use to a cache.
"""
import hashlib
import json
import os
import shutil
import socket
import statistics
import subprocess
import time

from spent import ran_ns

MILLION, WHEEL = 1_000_000, 10_000_000
WAITS, BATCHED = 500, 100
BODY = 102400
NODE_WARM = 3.0
PACKAGES = ("connect-redis@9.0.0", "redis@5.8.0", "express-session@1.18.2", "uid-safe@2.1.5")
RELAY_PACKAGES = ("express@5.1.0", "ioredis@5.8.0", "axios@1.12.2", "winston@3.17.0")
EXPRESS, EXPRESS_FLIGHT = 20000, 128
PRICES = 802692  # bytes of the file in claude-relay-service, which it reads for each request
KEY = "team-a-key"
GOALS = {"bytes": 150, "create ns": 200, "look-up ns": 100, "expire ns": 200, "shared create ns": 500, "shared look-up ns": 300,
         "shared expire ns": 300, "longest tick ms": 2, "of bare": 1.5, "creates/s": 200000, "bytes written each": 270,
         "redis bytes": 400, "merges/s": 150000, "times express": 100, "content us": 60, "times node": 50}
WEIR = """\
workers: 1
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: warn, access: "{access}" }}
{more}
listeners:
  - name: web
    address: "127.0.0.1:{port}"
    routes:
      - match: {{ path: / }}
        upstream: up
        {affinity}
upstreams:
  - name: up
    pool: {{ max_connections: 256, max_per_endpoint: 256 }}
    endpoints: [ {{ url: "http://127.0.0.1:{upstream}" }} ]
    {accounts}
"""
AFFINITY = "affinity: { sources: [content], ttl: 30m }"
ACCOUNTS = """accounts:
      - { name: a1, headers: { x-api-key: key-of-a1 }, concurrent: 100 }
      - { name: a2, headers: { x-api-key: key-of-a2 }, concurrent: 100 }
"""
CLIENTS = """clients: [ {{ name: team-a, sha256: "{sha256}", concurrent: 1000, rate: 100000/s }} ]
sessions: {{ store: redis, secret: "of-this-bench-alone", redis: {{ url: "redis://127.0.0.1:{redis}", prefix: bench }} }}
"""


def goal_of(value, goal, least=False):
    return f"{'' if (value >= goal if least else value <= goal) else '***'}(goal {goal:g})"


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program = tools.BUILD / "bench/session_bench"

    def ran(self, *words, pinned=True, timeout=600):
        done = subprocess.run([self.program, *map(str, words)], preexec_fn=self.tools.pinned(self.tools.CORE_CANDIDATE) if pinned else None,
                              capture_output=True, text=True, check=False, timeout=timeout)
        if done.returncode != 0:
            raise SystemExit(f"bench: session_bench {' '.join(map(str, words))}: {done.stderr.strip()}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def best(self, *words, **more):
        """Of several runs, figure by figure: what else ran beside one of them is no cost of ours."""
        runs = [self.ran(*words, **more)[0] for _ in range(max(2, self.bench.args.rounds))]
        return {key: min(run[key] for run in runs) for key in runs[0]}

    # --- in memory ----------------------------------------------------------------------------

    def memory(self):
        table = self.best("table", MILLION)
        self.tools.say(f"a million sessions with three lists, one thread's: {table['bytes']:.1f} B each {goal_of(table['bytes'], GOALS['bytes'])}; "
                       + "; ".join(f"{k[:-3]} {table[k]:.0f} ns {goal_of(table[k], GOALS[k])}" for k in ("create ns", "look-up ns", "expire ns"))
                       + f"; create in a table that was in use {table['create again ns']:.0f} ns")
        shared = self.best("shared", MILLION, 2, pinned=False)
        self.tools.say("shared by two threads, CPU each: " + "; ".join(
            f"{k[:-3]} {shared[k]:.0f} ns {goal_of(shared[k], GOALS['shared ' + k])}" for k in ("create ns", "look-up ns", "expire ns")))
        wheel = self.ran("wheel", MILLION if self.bench.args.quick else WHEEL)[0]
        self.tools.say(f"the wheel at {wheel['sessions']:.0e} sessions: longest tick {wheel['longest tick ms']:.2f} ms "
                       f"{goal_of(wheel['longest tick ms'], GOALS['longest tick ms'])}, all of a second {wheel['all of a second ms']:.2f} ms")
        return {"table": table, "shared": shared, "wheel": wheel}

    def journal(self):
        folder = self.bench.scratch / "journal"
        folder.mkdir(exist_ok=True)
        waits, batches = self.ran("journal", folder, WAITS)
        shutil.rmtree(folder)
        self.tools.say(f"on the disk before it is answered: p50 {waits['create p50 us']:.0f} us, a bare append and fdatasync "
                       f"{waits['bare append p50 us']:.0f}: {waits['of bare']:.2f} {goal_of(waits['of bare'], GOALS['of bare'])}; in batches of "
                       f"{batches['batches of']} {batches['creates/s']:.0f}/s {goal_of(batches['creates/s'], GOALS['creates/s'], True)}, as many bare "
                       f"appends and one fdatasync {batches['bare appends/s']:.0f}/s, {batches['before fdatasync us each']:.2f} us each before it, "
                       f"{batches['bytes written each']:.0f} B written each {goal_of(batches['bytes written each'], GOALS['bytes written each'])}")
        return {"waits": waits, "batches": batches}

    # --- a Redis ------------------------------------------------------------------------------

    def redis_start(self):
        port = self.tools.free_port()
        process = self.tools.Process("redis", ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                                               "--dir", str(self.bench.scratch)], self.tools.CORE_LOAD, stdout=subprocess.DEVNULL)
        self.bench.running.append(process)
        process.port = port
        end = time.monotonic() + 10
        while self.redis_says(port, "PING") != "PONG":
            if time.monotonic() > end:
                raise SystemExit("bench: redis-server does not answer")
            time.sleep(0.05)
        return process

    @staticmethod
    def redis_says(port, *words):
        return subprocess.run(["redis-cli", "-p", str(port), *words], capture_output=True, text=True, check=False).stdout.strip()

    def redis_bytes(self, port):
        said = self.redis_says(port, "INFO", "memory")
        return next(int(line.split(":")[1]) for line in said.splitlines() if line.startswith("used_memory:"))

    def redis(self):
        if not shutil.which("redis-server"):
            self.tools.say("*** redis-server IS NOT THERE ***")
            return None
        redis = self.redis_start()
        count = 100_000 if self.bench.args.quick else MILLION
        before = self.redis_bytes(redis.port)
        spent = ran_ns(redis.pid)
        result = self.ran("redis", f"redis://127.0.0.1:{redis.port}", count, BATCHED)[0]
        result["redis CPU us each"] = (ran_ns(redis.pid) - spent) / 1e3 / count / 2
        result["bytes"] = (self.redis_bytes(redis.port) - before) / count
        rate = min(result["creates/s"], result["changes/s"])
        self.tools.say(f"Redis: {result['bytes']:.0f} B a session {goal_of(result['bytes'], GOALS['redis bytes'])}; "
                       f"{result['creates/s']:.0f} created and {result['changes/s']:.0f} changed a second {goal_of(rate, GOALS['merges/s'], True)}, "
                       f"{result['redis CPU us each']:.1f} us of the Redis's CPU each")
        self.redis_says(redis.port, "FLUSHALL")
        result["express"] = self.express(redis)
        self.bench.stop(redis)
        return result

    def npm(self, name, packages):
        home = self.tools.BUILD / "npm" / name
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "node_modules").is_dir():
            subprocess.run(["npm", "install", *packages, "--no-audit", "--no-fund", "--ignore-scripts", "--no-save"], cwd=home,
                           capture_output=True, check=False, timeout=300)
        return home

    def express(self, redis):
        home = self.npm("express-session", PACKAGES)
        done = subprocess.run(["node", self.tools.ROOT / "bench/express_sessions.mjs", str(redis.port), str(EXPRESS), str(EXPRESS_FLIGHT)],
                              cwd=home, preexec_fn=self.tools.pinned(self.tools.CORE_CANDIDATE), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            self.tools.say(f"*** express-session COULD NOT BE RUN: {done.stderr.strip()[-300:]} ***")
            return None
        theirs = json.loads(done.stdout)
        ours = self.best("shared", MILLION // 10, 1)
        times = {k: theirs[f"{k} us"] * 1e3 / ours[f"{k} ns"] for k in ("create", "look-up")}
        self.tools.say(f"express-session's connect-redis, CPU of its process, {EXPRESS_FLIGHT} under way: " + ", ".join(
            f"{k} {theirs[f'{k} us']:.1f} us: {t:.0f} times ours" for k, t in times.items()))
        alone = self.ran("alone", f"redis://127.0.0.1:{redis.port}", EXPRESS)[0]
        waits = {k: theirs[f"{k} alone us"] / alone[f"{k} us"] for k in ("create", "look-up")}
        self.tools.say("who asks waits, p50, one under way, both with this Redis: " + ", ".join(
            f"{k} {theirs[f'{k} alone us']:.1f} us there, {alone[f'{k} us']:.2f} us here: {t:.0f} times {goal_of(t, GOALS['times express'], True)}"
            for k, t in waits.items()))
        return {**theirs, **{f"{k} times": t for k, t in times.items()}, **{f"{k} alone times": t for k, t in waits.items()}}

    # --- the relay ----------------------------------------------------------------------------

    def body(self):
        """A conversation as it is after a while: what it begins with is short, what was said since is long."""
        said = [{"role": "user", "content": "Where were we? " + "I would like to know more about this. " * 20}]
        while len(json.dumps(said)) < BODY - 1500:
            said.append({"role": ("assistant", "user")[len(said) % 2 == 0], "content": "What was said before, word by word. " * 40})
        path = self.bench.scratch / "request.json"
        path.write_text(json.dumps({"model": "m-1", "max_tokens": 100, "system": "You help.", "messages": said}))
        return path

    def candidate(self, name, command, port, **more):
        process = self.tools.Process(name, command, self.tools.CORE_CANDIDATE, stdout=subprocess.DEVNULL, **more)
        self.bench.running.append(process)
        process.port = port
        end = time.monotonic() + 10
        while socket.socket().connect_ex(("127.0.0.1", port)) != 0:
            if time.monotonic() > end or process.popen.poll() is not None:
                raise SystemExit(f"bench: {name} does not listen")
            time.sleep(0.02)
        return process

    def weir(self, name, affinity, accounts, access="off", more=""):
        port, admin = self.tools.free_port(), self.tools.free_port()
        path = self.bench.scratch / f"session-{name}.yaml"
        path.write_text(WEIR.format(port=port, admin=admin, upstream=self.bench.upstream_port, affinity=affinity, accounts=accounts,
                                    access=access, more=more))
        return self.candidate(name, [self.tools.BUILD / "weir", "serve", "-c", path], port)

    def prices(self):
        """A file of what models cost, as long as a public relay's."""
        path, models = self.bench.scratch / "prices.json", {}
        model = {"litellm_provider": "anthropic", "mode": "chat", "max_tokens": 8192, "max_input_tokens": 200000, "max_output_tokens": 8192,
                 "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05, "cache_creation_input_token_cost": 3.75e-06,
                 "cache_read_input_token_cost": 3e-07, "supports_function_calling": True, "supports_vision": True, "supports_prompt_caching": True}
        for i in range(PRICES // len(json.dumps({"m-0000": model}, indent=4)) + 1):
            models[f"m-{i}"] = model  # m-1 is asked for
        path.write_text(json.dumps(models, indent=4)[:-2].ljust(PRICES - 2) + "\n}")
        return path

    def express_relay(self, name, redis, *more):
        port = self.tools.free_port()
        return self.candidate(name, ["node", self.tools.ROOT / "bench/relay_express.mjs", str(port), str(self.bench.upstream_port), str(redis.port),
                                     str(self.bench.scratch / f"{name}.log"), *more], port, cwd=self.npm("relay", RELAY_PACKAGES))

    def whole(self):
        """Clients, limits, a log, and a Redis: what relays in use do."""
        if not shutil.which("node") or not shutil.which("redis-server"):
            self.tools.say("*** node or redis-server IS NOT THERE ***")
            return None
        body, mine, redis = self.body(), (self.bench.names, getattr(self.bench, "candidates", {})), self.redis_start()
        more = CLIENTS.format(sha256=hashlib.sha256(KEY.encode()).hexdigest(), redis=redis.port)
        self.bench.candidates = {
            "weir": self.weir("weir", AFFINITY, ACCOUNTS, self.bench.scratch / "weir.access", more),
            "express": self.express_relay("express", redis),
            "published": self.express_relay("published", redis, self.prices()),
            "bytes alone": self.bench.start("epoll")}
        self.bench.names = list(self.bench.candidates)
        asked = {"path": "/100", "connections": 16, "body": body, "key": KEY, "also": redis.pid}
        for process in self.bench.candidates.values():
            self.bench.load(process, NODE_WARM if process.name in ("express", "published") else self.tools.WARM, **asked)
        rounds = self.bench.rounds("a whole relay", lambda c: self.bench.load(c, self.tools.TURN, **asked),
                                   self.tools.TURNS * self.bench.args.rounds)
        result = {n: {k: statistics.median(r[n][k] for r in rounds) for k in ("cpu_us_per_request", "requests_per_s", "p50_us")}
                  for n in self.bench.names}
        times = {n: statistics.median(r[n]["cpu_us_per_request"] / r["weir"]["cpu_us_per_request"] for r in rounds) for n in self.bench.names}
        self.tools.say("the same with keys, limits, a log and a Redis, 16 clients: " + "  ".join(
            f"{n} {r['cpu_us_per_request']:.0f} us, {r['requests_per_s']:.0f}/s, p50 {r['p50_us'] / 1e3:.1f} ms" for n, r in result.items())
            + f"; weir answers {times['express']:.1f} times as many per CPU second {goal_of(times['express'], GOALS['times node'], True)} as express, "
            f"{times['published']:.1f} times {goal_of(times['published'], GOALS['times node'], True)} as one that does what a public one does "
            f"besides; who only moves the bytes {times['express'] / times['bytes alone']:.1f} times as many as express")
        result["times"] = times
        for process in (*self.bench.candidates.values(), redis):
            self.bench.stop(process)
        self.bench.names, self.bench.candidates = mine
        return result

    def relay(self):
        body, mine = self.body(), (self.bench.names, getattr(self.bench, "candidates", {}))
        self.bench.candidates = {"weir": self.weir("weir", AFFINITY, ACCOUNTS), "plain": self.weir("plain", "", "")}
        if shutil.which("node"):
            port = self.tools.free_port()
            self.bench.candidates["node"] = self.candidate(
                "node", ["node", self.tools.ROOT / "bench/relay_node.mjs", str(port), str(self.bench.upstream_port)], port)
        self.bench.names = list(self.bench.candidates)
        for process in self.bench.candidates.values():
            self.bench.load(process, NODE_WARM if process.name == "node" else self.tools.WARM, path="/100", connections=16, body=body)
        rounds = self.bench.rounds("100 KB of JSON", lambda c: self.bench.load(c, self.tools.TURN, path="/100", connections=16, body=body),
                                   self.tools.TURNS * self.bench.args.rounds)
        result = {n: {k: statistics.median(r[n][k] for r in rounds) for k in ("cpu_us_per_request", "requests_per_s", "p50_us")}
                  for n in self.bench.names}
        added = statistics.median(r["weir"]["cpu_us_per_request"] - r["plain"]["cpu_us_per_request"] for r in rounds)
        sha = self.best("sha256", os.path.getsize(body))["us"]
        self.tools.say("a request of 100 KB of JSON, 16 clients, CPU us each: "
                       + "  ".join(f"{n} {result[n]['cpu_us_per_request']:.0f}" for n in result)
                       + f"; affinity by content adds {added:.0f} us {goal_of(added, GOALS['content us'] + sha)}: {GOALS['content us']} and "
                       f"what SHA-256 of as many bytes takes, {sha:.0f}")
        if "node" in result:
            times = statistics.median(r["node"]["cpu_us_per_request"] / r["weir"]["cpu_us_per_request"] for r in rounds)
            self.tools.say(f"a relay in Node: {result['node']['requests_per_s']:.0f} requests/s, p50 {result['node']['p50_us'] / 1e3:.1f} ms; weir answers "
                           f"{times:.1f} times as many per CPU second")
            result["times node"] = times
        for process in self.bench.candidates.values():
            self.bench.stop(process)
        self.bench.names, self.bench.candidates = mine
        return {**result, "added us": added, "sha256 us": sha}

    def run(self):
        self.tools.say("\nsessions")
        return {"memory": self.memory(), "journal": self.journal(), "redis": self.redis(), "relay": self.relay(), "whole": self.whole()}
