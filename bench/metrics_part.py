# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `metrics`: what looking costs.

A request: the program that is shipped beside one in which nothing is counted (WEIR_UNCOUNTED, base/uncounted.h: counters,
histograms, exemplars and the profile are compiled out), beside itself with an access log, and beside itself with spans for
a collector that takes them. CPU time in turns, as in the part `relay`; and instructions outside the kernel, by callgrind, of a
long run less a short one, which no other program disturbs.

A scrape: of a gateway with 10 000 series; how long it takes, and what a steady stream of requests notices of one every 100 ms.
Once under the ordinary scheduler, where what is seen may be other programs' time slices; and once, where that is permitted, with the
workers, load and upstream before all other threads (SCHED_RR), as in the part `gains`: so this is what a scrape takes from workers, not
what it takes of the machine. What it takes of them the gateway says itself, whatever else runs: the processor time that a worker gave to a scrape in one go, while it
served nobody (weir_admin_worker_longest_seconds).
Watching: ten readers of the stream that the dashboard reads, and `weir top` on a terminal.
"""
import http.client
import http.server
import json
import os
import pathlib
import pty
import re
import signal
import statistics
import subprocess
import threading
import time

import configs
import gains_part
import spent

GOALS = {"counting": 0.03, "scrape_ms": 20, "delay_us": 1000, "browsers": 0.01, "top": 0.01}
CALLGRIND_CLIENTS = 64
UPSTREAMS = 21  # with an endpoint each: 10 000 series and a little more
READERS, WATCH_SECONDS = 10, 10
RATE, SCRAPE_EVERY, STEADY_SECONDS, STEADY_ROUNDS = 2000, 0.1, 3, 5
KINDS = {"weir": "as it is shipped", "uncounted": "nothing is counted", "access": "with an access log", "otlp": "with spans, one in ten"}
LOGS = {"access": 'access: "{scratch}/access.log"', "otlp": 'access: off, otlp: {{ url: "{collector}", sample: 0.1 }}'}


class Collector(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        threading.Thread(target=self.collector.serve_forever, daemon=True).start()

    # --- the programs -------------------------------------------------------------------------

    def uncounted(self):
        """Built here, once: it is shipped to nobody."""
        build = self.tools.ROOT / "build/uncounted"
        if not (build / "build.ninja").exists():
            subprocess.run(["cmake", "-S", self.tools.ROOT, "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                            "-DCMAKE_C_FLAGS=-DWEIR_UNCOUNTED", "-DWEIR_LIBRARY=OFF"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["ninja", "-C", build, "--quiet", "weir"], check=True, stdout=subprocess.DEVNULL)
        return build / "weir"

    def start(self, kind, program, config=None, wrapper=(), core=None):
        values = {"port": self.tools.free_port(), "admin": self.tools.free_port(), "upstream": self.bench.upstream_port,
                  "scratch": self.bench.scratch, "files": 8192}
        if config is None:
            log = LOGS.get(kind, "access: off").format(
                scratch=self.bench.scratch, collector=f"http://127.0.0.1:{self.collector.server_port}/v1/traces")
            config = configs.WEIR.format(front=configs.weir_front(values, "web", "port"), back="http1", **values)
            config = config.replace("access: off", log)
        else:
            config = config.format(**values)
        path = self.bench.scratch / f"metrics-{kind}.yaml"
        path.write_text(config)
        command = [*wrapper, program, "serve", "-c", path]
        process = Free(kind, command) if core is None else self.tools.Process(kind, command, core, stdout=subprocess.DEVNULL,
                                                                              stderr=subprocess.DEVNULL)
        process.port, process.admin = values["port"], values["admin"]
        self.bench.running.append(process)
        end = time.monotonic() + 60
        while not self.tools.answers(process.port):
            if time.monotonic() > end or process.popen.poll() is not None:
                raise SystemExit(f"bench: {kind} does not answer")
            time.sleep(0.02)
        return process

    # --- a request ----------------------------------------------------------------------------

    def instructions(self, kind, program):
        """A request's, outside the kernel."""
        sums = []
        for seconds in (1, 4):
            out = self.bench.scratch / "callgrind.out"
            process = self.start(kind, program, core=self.tools.CORE_CANDIDATE,
                                 wrapper=["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"])
            before = self.bench.counted_requests()
            self.bench.load(process, seconds, connections=CALLGRIND_CLIENTS, warm=0)
            requests = self.bench.counted_requests() - before
            self.bench.stop(process)
            sums.append((int(re.search(r"^(?:summary|totals): (\d+)", out.read_text(), re.M)[1]), requests))
        (short, few), (long, many) = sums
        return (long - short) / (many - few)

    def programs(self):
        return {kind: self.uncounted() if kind == "uncounted" else self.tools.BUILD / "weir" for kind in KINDS}

    def request(self):
        programs = self.programs()
        kept, self.bench.names = self.bench.names, list(KINDS)
        self.bench.candidates = {kind: self.start(kind, programs[kind], core=self.tools.CORE_CANDIDATE) for kind in KINDS}
        rounds = self.bench.rounds("counting", lambda c: self.bench.load(
            c, self.tools.TURN, path="/100", connections=128, warm=self.tools.WARM), self.tools.TURNS * self.bench.args.rounds)
        self.bench.stop_all()
        self.bench.names = kept
        self.tools.say(f"\nwhat counting and telling cost a request of 100 B, {len(rounds)} rounds")
        self.tools.say(f"  {'':<26}{'CPU µs/req':>11}{'÷ shipped':>11}   of single rounds")
        results = {}
        for kind, title in KINDS.items():
            ratios = sorted(r[kind]["cpu_us_per_request"] / r["weir"]["cpu_us_per_request"] for r in rounds)
            row = {"cpu_us": statistics.median(r[kind]["cpu_us_per_request"] for r in rounds), "cpu_ratio": statistics.median(ratios),
                   "rounds": len(rounds), "least": ratios[0], "most": ratios[-1]}
            results[kind] = row
            self.tools.say(f"  {title:<26}{row['cpu_us']:>11.2f}{row['cpu_ratio']:>11.3f}   {row['least']:.3f} to {row['most']:.3f}")
        cost = 1 - results["uncounted"]["cpu_ratio"]
        self.tools.say(f"  counting is {cost:.1%} of a request's CPU time (goal {GOALS['counting']:.0%})")
        return results

    def counted(self):
        results = {}
        self.tools.say("\ninstructions outside the kernel, a request of 100 B")
        for kind, program in self.programs().items():
            results[kind] = self.instructions(kind, program)
            self.tools.say(f"  {KINDS[kind]:<26}{results[kind]:>14.0f}{results[kind] / results['weir']:>11.3f}")
        return results

    # --- a scrape -----------------------------------------------------------------------------

    @staticmethod
    def many_series():
        ups = "".join(f'  - {{ name: up-{n}, endpoints: [ {{ url: "http://127.0.0.1:{{upstream}}" }} ] }}\n' for n in range(UPSTREAMS))
        routes = "".join(f"      - {{{{ match: {{{{ path: /{n} }}}}, upstream: up-{n} }}}}\n" for n in range(1, UPSTREAMS))
        ups = ups.replace("{ name", "{{ name").replace(" } ] }\n", " }} ] }}\n").replace("[ { url", "[ {{ url")
        return ('workers: 1\nadmin: {{ address: "127.0.0.1:{admin}" }}\nlog: {{ level: warn, access: off }}\nlisteners:\n'
                '  - name: web\n    address: "127.0.0.1:{port}"\n    routes:\n' + routes
                + "      - {{ match: {{ path: / }}, upstream: up-0 }}\nupstreams:\n" + ups)

    def steady(self, process, scrapes):
        """Latencies of requests at a fixed rate, in microseconds, with a scrape every so often or without."""
        done = threading.Event()
        times = []

        def scraper():
            while not done.wait(SCRAPE_EVERY):
                times.append(scrape(process.admin)[0])
        thread = threading.Thread(target=scraper)
        if scrapes:
            thread.start()
        said = subprocess.run([self.tools.BUILD / "weir", "bench", f"http://127.0.0.1:{process.port}/100", "--rate", str(RATE),
                               "--connections", "32", "--for", f"{STEADY_SECONDS}s", "--json"], capture_output=True, text=True,
                              check=True, preexec_fn=gains_part.go_first if self.goes_first else None).stdout
        done.set()
        if scrapes:
            thread.join()
        return json.loads(said), times

    def scrapes(self):
        ways = {"ordinary": False, "first": True} if gains_part.may_go_first() else {"ordinary": False}
        return {name: self.scraped(goes_first) for name, goes_first in ways.items()}

    def scraped(self, goes_first):
        self.goes_first = goes_first
        process = self.start("series", self.tools.BUILD / "weir", self.many_series())
        for pid in (process.pid, self.bench.upstream.pid) if goes_first else ():
            for thread in map(int, os.listdir(f"/proc/{pid}/task")):
                if thread != process.pid:  # the gateway's first thread, which writes the page, stands behind its workers
                    gains_part.go_first(thread)
        for n in range(UPSTREAMS):
            connection = http.client.HTTPConnection("127.0.0.1", process.port)
            connection.request("GET", f"/{n}")
            connection.getresponse().read()
        before, worked = spent.ran_ns(process.pid), worker_seconds(process.admin)
        alone = [scrape(process.admin) for _ in range(50)]
        cpu_ms = (spent.ran_ns(process.pid) - before) / 1e6 / len(alone)
        worker_us = (worker_seconds(process.admin) - worked) / (len(alone) + 1) * 1e6  # a page tells of itself as well
        series = alone[-1][1]
        pairs = []
        for nth in range(STEADY_ROUNDS):  # either comes first in turn
            one = self.steady(process, nth % 2 == 1)
            other = self.steady(process, nth % 2 == 0)
            pairs.append((one[0], other) if nth % 2 == 0 else (other[0], one))
        longest_us = worker_seconds(process.admin, "longest_seconds") * 1e6
        self.bench.stop(process)
        row = {"series": series, "scrape_cpu_ms": cpu_ms, "scrape_ms": statistics.median(ms for ms, _ in alone),
               "scrape_ms_p95": sorted(ms for ms, _ in alone)[47],
               "worker_us": worker_us, "worker_longest_us": longest_us,
               "during_ms": statistics.median(ms for _, (_, times) in pairs for ms in times)}
        for key in ("p50", "p99", "p99.9", "max"):
            row[key] = statistics.median(found(quiet, key) for quiet, _ in pairs)
            row[key + "_scraped"] = statistics.median(found(scraped, key) for _, (scraped, _) in pairs)
        scheduler = "the workers, load and upstream first" if goes_first else "the ordinary scheduler"
        self.tools.say(f"\n{scheduler}: a scrape of {series} series: {row['scrape_ms']:.1f} ms, p95 {row['scrape_ms_p95']:.1f} (goal {GOALS['scrape_ms']}), of which the gateway computes {cpu_ms:.1f}; "
                       f"{row['during_ms']:.1f} ms beside {RATE} requests/s")
        self.tools.say(f"  {RATE} requests/s, open loop, medians of {STEADY_ROUNDS} rounds: without, and with a scrape every {SCRAPE_EVERY * 1000:.0f} ms")
        for key in ("p50", "p99", "p99.9", "max"):
            self.tools.say(f"  {key:<9}{row[key]:>10.0f}{row[key + '_scraped']:>10.0f}")
        self.tools.say(f"  p99.9 is {row['p99.9_scraped'] - row['p99.9']:+.0f} µs, the longest {row['max_scraped'] - row['max']:+.0f} µs (goal at most {GOALS['delay_us']})")
        self.tools.say(f"  of the worker, while it serves nobody: {worker_us:.0f} µs a scrape, the most in one go {longest_us:.0f} µs (goal at most {GOALS['delay_us']})")
        return row

    # --- watching -----------------------------------------------------------------------------

    def cpu_share(self, pid, seconds=WATCH_SECONDS):
        """Of one core."""
        before, begun = spent.ran_ns(pid), time.monotonic()
        time.sleep(seconds)
        return (spent.ran_ns(pid) - before) / 1e9 / (time.monotonic() - begun)

    def watched(self):
        process = self.start("watched", self.tools.BUILD / "weir")
        load = subprocess.Popen([self.tools.BUILD / "weir", "bench", f"http://127.0.0.1:{process.port}/100", "--rate", "100", "--for",
                                 "10m", "--json"], stdout=subprocess.DEVNULL)
        time.sleep(2)
        row = {"alone": self.cpu_share(process.pid)}
        readers = [http.client.HTTPConnection("127.0.0.1", process.admin) for _ in range(READERS)]
        done, bytes_heard = threading.Event(), []

        def read(connection):
            connection.request("GET", "/api/v1/live")
            answer = connection.getresponse()
            while not done.is_set() and (heard := answer.read1(65536)):
                bytes_heard.append(len(heard))
        threads = [threading.Thread(target=read, args=(reader,), daemon=True) for reader in readers]
        for thread in threads:
            thread.start()
        time.sleep(2)
        row["browsers"] = self.cpu_share(process.pid) - row["alone"]
        assert len(bytes_heard) > READERS * (WATCH_SECONDS - 2), "the stream told nothing"
        done.set()
        for thread in threads:
            thread.join(5)
        for reader in readers:
            reader.close()
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", LINES="40", COLUMNS="120")
            os.execv(self.tools.BUILD / "weir", ["weir", "top", "--admin", f"127.0.0.1:{process.admin}"])
        threading.Thread(target=drain, args=(terminal,), daemon=True).start()
        time.sleep(2)
        top_before, gateway_before, begun = spent.ran_ns(pid), spent.ran_ns(process.pid), time.monotonic()
        time.sleep(WATCH_SECONDS)
        seconds = time.monotonic() - begun
        row["top"] = (spent.ran_ns(pid) - top_before) / 1e9 / seconds
        row["top_gateway"] = (spent.ran_ns(process.pid) - gateway_before) / 1e9 / seconds - row["alone"]
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        load.terminate()
        load.wait()
        self.bench.stop(process)
        self.tools.say(f"\nwatching, parts of a core, at 100 requests/s: {READERS} readers of the dashboard's stream cost the gateway "
                       f"{row['browsers']:.2%} (goal {GOALS['browsers']:.0%}); `weir top` takes {row['top']:.2%} (goal {GOALS['top']:.0%}), "
                       f"and the gateway {row['top_gateway']:.2%} for it")
        return row

    def run(self):
        only = os.environ.get("WEIR_BENCH_METRICS", "request,counted,scrapes,watched").split(",")
        results = {name: getattr(self, name)() for name in only}
        self.collector.shutdown()
        return results


class Free:
    """A program that runs on any core, as a gateway does."""

    def __init__(self, name, command):
        self.name = name
        self.popen = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = self.popen.pid

    def stop(self):
        self.popen.terminate()
        self.popen.wait(60)


def scrape(port):
    """Milliseconds, and how many series."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    begun = time.monotonic()
    connection.request("GET", "/metrics")
    text = connection.getresponse().read()
    took = (time.monotonic() - begun) * 1000
    connection.close()
    return took, sum(1 for line in text.splitlines() if not line.startswith(b"#"))


def worker_seconds(port, which="seconds_total"):
    """What looking has taken of the workers."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return float(re.search(rf"^weir_admin_worker_{which} (\S+)$", text, re.M)[1])


def found(said, key):
    """A figure of `weir bench --json`, wherever it stands."""
    pending = [said]
    while pending:
        one = pending.pop()
        if isinstance(one, dict):
            if key in one:
                return one[key]
            pending.extend(one.values())
        elif isinstance(one, list):
            pending.extend(one)
    raise SystemExit(f"bench: weir bench says no {key}: {json.dumps(said)[:300]}")


def drain(terminal):
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        pass
