#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a proxied request costs, weir beside nginx, HAProxy and two bare relays; and one of the HTTP client.

    bench/bench.py [--quick] [--rounds N] [--only relay,open,idle,pool,handoff,syscalls,h2,grpc,websocket,openclaw,client,gains,tls,session,metrics] [--json FILE] [--noisy]

One worker of each candidate is pinned to core 0, load generator and upstream to core 1. Within a round
the candidates alternate, so that they meet the same machine; ratios are taken within a round, and the
figures printed are medians over the rounds. Cost is CPU time of the candidate's threads, as the kernel
counts it, over exactly the window in which the requests are counted. A round in which something else
used more than a quarter of the machine is dropped and said so. docs/performance.md explains the rest.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import bench_tls
import configs
import gains_part
import grpc_part
import h2_part
import metrics_part
import openclaw_part
import session_part
import websocket_part

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
CORE_CANDIDATE, CORE_LOAD = 0, 1
SIZES = {"100 B": "/100", "10 KB": "/10240"}
CLIENTS = (16, 128, 1000)
# What disturbs a machine comes and goes by the second: many short turns give a steadier median than
# few long ones.
TURNS, TURN = 3, 0.6
WARM, WARM_MANY = 0.2, 0.5
IDLE_CONNECTIONS = 5000
NOISE_MAX = 0.25  # of the machine
RELAYS = {"epoll": "relay_epoll", "libuv": "relay_uv", "io": "relay_io"}
PARTS = ("relay", "open", "idle", "syscalls", "h2", "grpc", "websocket", "openclaw", "pool", "handoff", "client", "gains", "tls", "session", "metrics")
IN_FLIGHT = 128  # requests of an HTTP client
CLIENT_WARM = 2.0  # node compiles what runs often
HANDOFF_GOALS = (("same worker ns", 0, 1000), ("to another thread, of a round trip", 0, 1.5), ("move, of a round trip", 0, 3),
                 ("pairs/s, of the bare pool's", 0.8, 1e9), ("weir, 2 connections held for 200 us: longest of the median", 0, 100))
UNDICI = pathlib.Path("/usr/share/nodejs/undici")

def say(text=""):
    print(text, flush=True)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(core, goes_first=False):
    def pin():
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {core})
        if goes_first:
            gains_part.go_first()
    return pin


class Process:
    """A program of the run: started pinned, ended with the run."""

    def __init__(self, name, command, core, **more):
        self.name = name
        self.popen = subprocess.Popen(command, preexec_fn=pinned(core), **more)
        self.pid = self.popen.pid

    def stop(self):
        self.popen.terminate()
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def rss_bytes(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


def answers(port):
    """True when a whole answer came through the candidate."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.settimeout(2)
            s.sendall(b"GET /100 HTTP/1.1\r\nHost: bench\r\n\r\n")
            return s.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


class Bench:
    def __init__(self, args, scratch):
        self.args = args
        self.scratch = scratch
        self.counters = scratch / "counters"
        self.running = []
        self.dropped, self.loud = 0, False
        self.upstream = self.start_upstream()
        self.names = [n for n in ("epoll", "libuv", "io", "weir", "nginx", "haproxy") if self.is_there(n)]
        self.results = {"relay": {}, "open": {}, "idle": {}, "syscalls": {}}

    # --- programs -----------------------------------------------------------------------------

    def start_upstream(self):
        self.counters.write_bytes(bytes(16))
        upstream = Process("upstream", [BUILD / "bench/upstream", "0", self.counters], CORE_LOAD,
                           stdout=subprocess.PIPE, text=True)
        self.running.append(upstream)
        self.upstream_port = int(upstream.popen.stdout.readline().split()[1])
        return upstream

    @staticmethod
    def is_there(name):
        program = BUILD / "weir" if name == "weir" else configs.find(name) if name not in RELAYS else BUILD
        if program is None or not pathlib.Path(program).exists():
            say(f"*** {name} IS NOT THERE: its column is missing ***")
            return False
        return True

    def start(self, name):
        port = free_port()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        values = {"port": port, "upstream": self.upstream_port, "scratch": self.scratch,
                  "admin": free_port(), "files": files}
        if name in RELAYS:
            command = [BUILD / "bench" / RELAYS[name], str(port), str(self.upstream_port)]
        else:
            command = configs.command_of(name, "relay", values, BUILD / "weir")
        with open(self.scratch / f"{name}.log", "ab") as log:
            process = Process(name, command, CORE_CANDIDATE, stdout=subprocess.DEVNULL, stderr=log)
        process.port = port
        self.running.append(process)
        end = time.monotonic() + 10
        while not answers(port):
            if time.monotonic() > end or process.popen.poll() is not None:
                said = (self.scratch / f"{name}.log").read_text(errors="replace")[-2000:]
                raise SystemExit(f"bench: {name} does not answer\n{said}")
            time.sleep(0.02)
        return process

    def stop(self, process):
        process.stop()
        self.running.remove(process)

    def close(self):
        for process in self.running:
            process.stop()

    def load(self, candidate, seconds, **options):
        command = [BUILD / "bench/load", "--port", str(candidate.port), "--pid", str(candidate.pid),
                   "--also", str(self.upstream.pid), "--counters", self.counters,
                   "--seconds", str(seconds)]
        for word, value in options.items():
            command += [f"--{word}", str(value)] if value != "" else [f"--{word}"]
        done = subprocess.run(command, preexec_fn=pinned(CORE_LOAD), capture_output=True, text=True,
                              check=False)
        if done.returncode not in (0, 2) or not done.stdout:
            raise SystemExit(f"bench: load on {candidate.name}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    # --- rounds -------------------------------------------------------------------------------

    def rounds(self, what, measure, wanted, keep=False):
        """Runs `measure` on every candidate in turn, round after round, until `wanted` quiet rounds
        are there; at most three times as many are tried. keep: noise does not matter. Returns the
        rounds, each {name: sample}."""
        quiet, noisy, dropped = [], [], 0
        keep = keep or self.args.noisy
        for tried in range(wanted * (1 if keep else 3)):
            turn = tried % len(self.names)
            order = self.names[turn:] + self.names[:turn]
            sample = {}
            for name in order:
                progress(f"{what}: round {len(quiet) + 1} of {wanted}, {name}")
                sample[name] = measure(self.candidates[name])
            if any(s.get("requests") == 0 for s in sample.values()):
                dropped += 1  # somebody was not let run at all: nothing to compare
                continue
            worst = max(s["others_cpu"] for s in sample.values()) / os.cpu_count()
            if worst > NOISE_MAX and not keep:
                dropped += 1
                noisy.append((worst, sample))
            else:
                quiet.append(sample)
            if len(quiet) == wanted:
                break
        progress("")
        self.dropped += dropped
        if dropped:
            say(f"{what}: {dropped} rounds dropped: something else used more than "
                f"{NOISE_MAX:.0%} of the machine")
        if not quiet:
            self.loud = True
            say(f"*** {what}: NO QUIET ROUND; the figures are of the {len(noisy)} noisy ones ***")
            quiet = [sample for _, sample in sorted(noisy, key=lambda n: n[0])]
        return quiet

    def start_all(self):
        self.candidates = {name: self.start(name) for name in self.names}

    def stop_all(self):
        for process in self.candidates.values():
            self.stop(process)

    # --- the parts ----------------------------------------------------------------------------

    def relay(self):
        clients = (128,) if self.args.quick else CLIENTS
        self.start_all()
        for size, path in SIZES.items():
            for count in clients:
                what = f"{size}, {count} clients"
                warm = WARM_MANY if count >= 1000 else WARM
                rounds = self.rounds(what, lambda c: self.load(
                    c, TURN, path=path, connections=count, warm=warm), TURNS * self.args.rounds)
                rss = {name: c.rss_bytes() for name, c in self.candidates.items()}
                self.results["relay"][what] = {n: self.summary(rounds, n, rss) for n in self.names}
                self.print_relay(what)
        self.stop_all()

    def h2(self):
        self.results["h2"] = h2_part.Part(self, sys.modules[__name__]).run()

    def grpc(self):
        self.results["grpc"] = grpc_part.Part(self, sys.modules[__name__]).run()

    def websocket(self):
        self.results["websocket"] = websocket_part.Part(self, sys.modules[__name__]).run()

    def openclaw(self):
        self.results["openclaw"] = openclaw_part.Part(self, sys.modules[__name__]).run()

    def summary(self, rounds, name, rss):
        def median(key, of=name):
            return statistics.median(r[of][key] for r in rounds)

        def ratio(to):
            if to not in self.names:
                return None
            return statistics.median(r[name]["cpu_us_per_request"] / r[to]["cpu_us_per_request"]
                                     for r in rounds)
        requests = sum(r[name]["upstream_requests"] for r in rounds)
        connections = sum(r[name]["upstream_connections"] for r in rounds)
        return {"cpu_us": median("cpu_us_per_request"), "to_epoll": ratio("epoll"),
                "to_nginx": ratio("nginx"), "to_haproxy": ratio("haproxy"),
                "requests_per_s": median("requests_per_s"), "p50_us": median("p50_us"),
                "p99_us": median("p99_us"), "failed": sum(r[name]["failed"] for r in rounds),
                "reuse": 1 - connections / requests if requests else 0, "rss_bytes": rss[name],
                "rounds": len(rounds)}

    def print_relay(self, what):
        say(f"\n{what}, closed loop, {TURNS * self.args.rounds} rounds")
        say(f"  {'':<9}{'CPU µs/req':>11}{'× epoll':>9}{'× nginx':>9}{'× haproxy':>10}{'req/s':>9}"
            f"{'p50 µs':>9}{'p99 µs':>9}{'reuse %':>9}{'RSS MB':>8}{'failed':>8}")
        for name, r in self.results["relay"][what].items():
            ratios = "".join(f"{r[k]:>{w}.2f}" if r[k] else " " * w
                             for k, w in (("to_epoll", 9), ("to_nginx", 9), ("to_haproxy", 10)))
            say(f"  {name:<9}{r['cpu_us']:>11.2f}{ratios}{r['requests_per_s']:>9.0f}{r['p50_us']:>9.0f}"
                f"{r['p99_us']:>9.0f}{100 * r['reuse']:>9.3f}{r['rss_bytes'] / 1e6:>8.1f}{r['failed']:>8}")

    def open(self):
        """A fixed rate, half of what saturates nginx: latency as a user of a healthy server has it. Its
        p99 is what a pause of the whole machine spoils first, so the turns are short and many: the
        median over them is of those without one."""
        if "nginx" not in self.names:
            say("open: nginx is not there to set the rate")
            return
        self.start_all()
        saturated = statistics.median(self.load(self.candidates["nginx"], 1, connections=128)
                                      ["requests_per_s"] for _ in range(3))
        rate = int(saturated / 2)
        rounds = self.rounds("open loop", lambda c: self.load(
            c, TURN, path="/100", connections=128, rate=rate, warm=WARM), TURNS * self.args.rounds)
        rss = {name: c.rss_bytes() for name, c in self.candidates.items()}
        self.results["open"] = {"rate": rate, **{n: self.summary(rounds, n, rss) for n in self.names}}
        self.stop_all()
        say(f"\n100 B, 128 clients, open loop at {rate} requests/s (half of what saturates nginx)")
        say(f"  {'':<9}{'p50 µs':>9}{'p99 µs':>9}{'CPU µs/req':>12}{'failed':>8}")
        for name in self.names:
            r = self.results["open"][name]
            say(f"  {name:<9}{r['p50_us']:>9.0f}{r['p99_us']:>9.0f}{r['cpu_us']:>12.2f}{r['failed']:>8}")

    def idle(self):
        """Resident memory of a client connection that had one request and stays."""
        say(f"\nRSS per idle client connection, {IDLE_CONNECTIONS} of them after one request each")
        for name in self.names:
            figures = []
            for turn in range(1 if self.args.quick else 3):
                progress(f"idle: {name}, {turn + 1}")
                candidate = self.start(name)
                self.load(candidate, 0.2, connections=64, warm=0.1)
                before = candidate.rss_bytes()
                held = Process("load", [BUILD / "bench/load", "--port", str(candidate.port), "--connections",
                                        str(IDLE_CONNECTIONS), "--hold"], CORE_LOAD,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                self.running.append(held)
                line = held.popen.stdout.readline().split()
                if line != ["held", str(IDLE_CONNECTIONS)]:
                    say(f"  {name}: only {line} answered")
                figures.append((candidate.rss_bytes() - before) / IDLE_CONNECTIONS)
                held.popen.stdin.close()
                self.stop(held)
                self.stop(candidate)
            progress("")
            self.results["idle"][name] = statistics.median(figures)
            say(f"  {name:<9}{statistics.median(figures):>8.0f} B")

    def syscalls(self):
        """System calls per request, counted by strace (which slows what it counts: no times here)."""
        if not shutil.which("strace"):
            say("\nsystem calls: strace is not there")
            return
        say("\nsystem calls per request, 100 B, 128 clients (strace)")
        words = ("receive", "send", "epoll_wait", "epoll_ctl", "other")
        say(f"  {'':<9}" + "".join(f"{w:>11}" for w in words))
        for name in self.names:
            counts, requests = self.count_syscalls(name)
            row = dict.fromkeys(words, 0.0)
            for call, count in counts.items():
                kind = ("receive" if re.match(r"read|recv", call) else "send" if re.match(r"write|send", call)
                        else "epoll_wait" if re.match(r"epoll_p?wait", call)
                        else call if call == "epoll_ctl" else "other")
                row[kind] += count / max(requests, 1)
            self.results["syscalls"][name] = row
            say(f"  {name:<9}" + "".join(f"{row[w]:>11.3f}" for w in words))

    def count_syscalls(self, name):
        """What a candidate calls while it answers, by the requests that the upstream answered: the
        difference of a long and a short run, so that opening 128 connections is not in it."""
        short, short_requests = self.trace(name, 0.5)
        long, long_requests = self.trace(name, 2.5)
        return ({call: long[call] - short.get(call, 0) for call in long}, long_requests - short_requests)

    def trace(self, name, seconds):
        candidate = self.start(name)
        out = self.scratch / "strace"
        tracer = subprocess.Popen(["strace", "-f", "-c", "-p", str(candidate.pid), "-o", out],
                                  stderr=subprocess.PIPE, text=True)
        tracer.stderr.readline()  # "Process N attached"
        before = self.counted_requests()
        self.load(candidate, seconds, connections=128, warm=0)
        requests = self.counted_requests() - before
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        self.stop(candidate)
        counts = {}
        for line in out.read_text().splitlines() if out.exists() else ():
            row = line.split()
            if len(row) >= 5 and row[3].isdigit() and row[-1] != "total":
                counts[row[-1]] = int(row[3])
        return counts, requests

    def counted_requests(self):
        return int.from_bytes(self.counters.read_bytes()[8:16], "little")

    def pool(self):
        program = BUILD / "bench/pool_bench"
        say("\nthe pool itself")
        if not program.exists():
            say("*** build/release/bench/pool_bench IS NOT THERE ***")
            return
        figures = []
        for _ in range(self.args.rounds):
            done = subprocess.run([program], preexec_fn=pinned(CORE_CANDIDATE), capture_output=True,
                                  text=True, check=True)
            figures.append(json.loads(done.stdout))
        self.results["pool"] = {k: statistics.median(f[k] for f in figures) for k in figures[0]}
        for what, value in self.results["pool"].items():
            is_time = "per" not in what  # the others name their unit
            say(f"  {what:<40}{value:>8.{1 if is_time else 3}f}{' ns' if is_time else ''}")


    # --- handing on ---------------------------------------------------------------------------

    def handoff(self):
        """Threads must be free to run where they like: nothing is pinned."""
        program = BUILD / "bench/handoff_bench"
        say("\nhanding a connection on")
        if not program.exists():
            say("*** build/release/bench/handoff_bench IS NOT THERE ***")
            return
        rounds = str(max(3, 3 * self.args.rounds))
        done = subprocess.run([program, rounds], capture_output=True, text=True, check=True, timeout=600)
        figures = self.results["handoff"] = json.loads(done.stdout)
        for what, value in figures.items():
            say(f"  {what:<62}{value:>12.2f}")
        for what, least, most in HANDOFF_GOALS:
            fine = least <= figures[what] <= most
            say(f"  {'reached' if fine else '*** MISSED':<11} {what}: {figures[what]:.2f}, goal "
                + (f"at most {most:g}" if least == 0 else f"at least {least:g}"))

    # --- the HTTP client ----------------------------------------------------------------------

    def client_commands(self):
        """What runs each client kind, its name in the table first; what is not there is said."""
        program, go = BUILD / "bench/client_bench", BUILD / "bench/client_go"
        if shutil.which("go"):
            subprocess.run(["go", "build", "-o", go, ROOT / "bench/client_go.go"], check=False)
        commands = {"epoll": [program, "epoll"], "weir": [program, "weir"],
                    "curl multi": [program, "multi"], "curl socket": [program, "socket"],
                    "undici": ["node", ROOT / "bench/client_undici.mjs", UNDICI],
                    "go": [go], "aiohttp": ["/usr/bin/python3", ROOT / "bench/client_aiohttp.py"]}
        there = {}
        for name, command in commands.items():
            done = self.client_run(command, 0.1, 0.1)
            if done is None:
                say(f"*** {name} IS NOT THERE: its row is missing ***")
            else:
                there[name] = command
        return there

    def client_run(self, command, warm, seconds, clients=IN_FLIGHT, *more, goes_first=False):
        words = [str(self.upstream_port), "/100", str(clients), str(warm), str(seconds), *more]
        try:
            done = subprocess.run([*command, *words], preexec_fn=pinned(CORE_CANDIDATE, goes_first), text=True,
                                  capture_output=True, check=True, timeout=120,
                                  env={**os.environ, "NODE_PATH": str(UNDICI.parent)})
            return json.loads(done.stdout)
        except (OSError, ValueError, subprocess.SubprocessError):
            return None

    def client_measure(self, command, *more, goes_first=False, warm=0.5, seconds=None):
        """One window of one client, and how much of the machine others used meanwhile."""
        def busy():
            ticks = [int(t) for t in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
            return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

        def ours():
            mine = resource.getrusage(resource.RUSAGE_CHILDREN)
            fields = pathlib.Path(f"/proc/{self.upstream.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (mine.ru_utime + mine.ru_stime
                    + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
        begun, busy_before, ours_before = time.monotonic(), busy(), ours()
        seconds = seconds or (1 if self.args.quick else 2)
        sample = self.client_run(command, warm, seconds, *more, goes_first=goes_first)
        if sample is None:
            raise SystemExit(f"bench: {command[0]} has failed")
        others = (busy() - busy_before) - (ours() - ours_before)
        sample["others_cpu"] = max(others, 0) / (time.monotonic() - begun)
        return sample

    def client(self):
        """CPU of a client process that keeps 128 requests in flight, 100 B answers."""
        commands = self.client_commands()
        kept, self.names, self.candidates = self.names, list(commands), commands
        rounds = self.rounds("client", lambda c: self.client_measure(c, warm=CLIENT_WARM), self.args.rounds)
        self.names = kept
        say(f"\nHTTP clients, {IN_FLIGHT} requests in flight, 100 B, {self.args.rounds} rounds")
        say(f"  {'':<12}{'CPU µs/req':>11}{'× epoll':>9}{'weir ÷ it':>11}{'req/s':>9}{'failed':>8}")
        self.results["client"] = {}
        for name in commands:
            def median(of):
                return statistics.median(of(r) for r in rounds)
            row = {"cpu_us": median(lambda r: r[name]["cpu_us_per_request"]),
                   "to_epoll": median(lambda r: r[name]["cpu_us_per_request"] / r["epoll"]["cpu_us_per_request"]),
                   "weir_to_it": median(lambda r: r["weir"]["cpu_us_per_request"] / r[name]["cpu_us_per_request"]),
                   "requests_per_s": median(lambda r: r[name]["requests"] / r[name]["seconds"]),
                   "failed": sum(r[name]["failed"] for r in rounds)}
            self.results["client"][name] = row
            say(f"  {name:<12}{row['cpu_us']:>11.2f}{row['to_epoll']:>9.2f}{row['weir_to_it']:>11.3f}"
                f"{row['requests_per_s']:>9.0f}{row['failed']:>8}")
        done = subprocess.run([BUILD / "bench/client_bench", "objects"], check=True, text=True,
                              preexec_fn=pinned(CORE_CANDIDATE), capture_output=True)
        self.results["client_objects"] = objects = json.loads(done.stdout)
        say(f"  a client is made in {objects['client_new_us']:.1f} µs (requirement 001: 215), "
            f"its figures read in {objects['stats_us']:.2f} µs (217)")

    # --- HTTPS --------------------------------------------------------------------------------

    def tls(self):
        bench_tls.run(self, sys.modules[__name__])

    # --- what pooling gains -------------------------------------------------------------------

    def session(self):
        self.results["session"] = session_part.Part(self, sys.modules[__name__]).run()

    def metrics(self):
        self.results["metrics"] = metrics_part.Part(self, sys.modules[__name__]).run()

    def gains(self):
        self.results["gains"] = gains_part.Part(self, sys.modules[__name__]).run()


README_BEGIN, README_END = "<!-- bench: written by bench.py --readme -->", "<!-- end of bench -->"
README_NAMES = {"epoll": "bare relay, epoll", "libuv": "bare relay, libuv", "weir": "**weir**",
                "nginx": "nginx 1.22", "haproxy": "HAProxy 2.6"}


def readme_table(results):
    """The figures as the README shows them: CPU per request with its ratio to weir's side."""
    rows = []
    columns = list(results["relay"])
    rows.append("| CPU µs per request (× the bare epoll relay) | " + " | ".join(columns) + " |")
    rows.append("|---" * (len(columns) + 1) + "|")
    for name, title in README_NAMES.items():
        cells = [f'{results["relay"][c][name]["cpu_us"]:.1f} ({results["relay"][c][name]["to_epoll"]:.2f})'
                 for c in columns if name in results["relay"][c]]
        if cells:
            rows.append(f"| {title} | " + " | ".join(cells) + " |")
    for other, title in (("to_nginx", "weir ÷ nginx"), ("to_haproxy", "weir ÷ HAProxy")):
        cells = [f'{results["relay"][c]["weir"][other]:.2f}' for c in columns]
        rows.append(f"| {title}, within a round | " + " | ".join(cells) + " |")
    rows += ["", "| | " + " | ".join(README_NAMES.values()) + " |", "|---" * (len(README_NAMES) + 1) + "|"]
    wide = max(columns, key=lambda c: ("100 B" in c, c.endswith(" 128 clients")))

    def row(title, value):
        rows.append(f"| {title} | " + " | ".join(value(n) for n in README_NAMES) + " |")
    row(f"requests/s, {wide}", lambda n: f'{results["relay"][wide][n]["requests_per_s"]:.0f}')
    row("reuse, counted by the upstream", lambda n: f'{100 * results["relay"][wide][n]["reuse"]:.2f} %')
    if results["open"]:
        rate = results["open"]["rate"]
        row(f"p99 µs at {rate} requests/s, half of what saturates nginx",
            lambda n: f'{results["open"][n]["p99_us"]:.0f}')
    if results["idle"]:
        row(f"RSS per idle client of {IDLE_CONNECTIONS}", lambda n: f'{results["idle"][n]:.0f} B')
    if results.get("pool"):
        cost = results["pool"]["try_acquire + release, 1 key"]
        rows += ["", f"Taking a connection from the pool and giving it back costs {cost:.0f} ns."]
    return "\n".join(rows)


def readme_write(results):
    path = ROOT / "README.md"
    text = path.read_text()
    head, _, rest = text.partition(README_BEGIN)
    _, _, tail = rest.partition(README_END)
    table = readme_table(results)
    path.write_text(f"{head}{README_BEGIN}\n{results['note']}\n\n{table}\n\n{README_END}{tail}")
    say(f"\nwritten to {path.name}")


def machine():
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "?")
    return f"{os.cpu_count()} cores ({model}), Linux {os.uname().release}"


def main():
    parser = argparse.ArgumentParser(description="cost of a proxied request, side by side")
    parser.add_argument("--quick", action="store_true", help="3 short rounds, 128 clients")
    parser.add_argument("--rounds", type=int, help="quiet rounds wanted [5, quick 3]")
    parser.add_argument("--only", default=",".join(PARTS), help=f"parts to run [{','.join(PARTS)}]")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures there")
    parser.add_argument("--readme", action="store_true", help="write the README's table")
    parser.add_argument("--noisy", action="store_true", help="keep noisy rounds")
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 5)
    parts = args.only.split(",")
    for part in parts:
        if part not in PARTS:
            parser.error(f"{part} is not one of {', '.join(PARTS)}")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if os.cpu_count() < 2:
        say("*** ONE CORE: candidate, load and upstream share it; only ratios mean anything ***")
    say(f"bench: {machine()}")
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as scratch:
        bench = Bench(args, pathlib.Path(scratch))
        try:
            for part in parts:
                getattr(bench, part)()
        finally:
            bench.close()
        noise = f"; {bench.dropped} noisy rounds dropped" if bench.dropped else ""
        noise += "; NOT ALL FIGURES ARE OF QUIET ROUNDS" if bench.loud else ""
        results = {"machine": machine(), **bench.results,
                   "note": f"`make bench` on {machine()}: medians of {TURNS * args.rounds} rounds{noise}."}
        if args.json:
            args.json.write_text(json.dumps(results, indent=1) + "\n")
        if args.readme:
            readme_write(results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
