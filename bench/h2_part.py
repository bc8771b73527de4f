# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `h2`: HTTP/2 in front of an HTTP/1.1 upstream, 32 streams a connection, plain and over TLS.

h2load brings a fixed number of requests; cost is the candidate's CPU time over them, the connections included
(8 for tens of thousands of requests).
"""
import re
import resource
import statistics
import subprocess
import time

import configs
from spent import busy_s, ran_ns

STREAMS, CONNECTIONS = 32, 8
REQUESTS = {"100 B": 40000, "10 KB": 20000}
PATHS = {"100 B": "/100", "10 KB": "/10240"}
PEERS = ("nghttpx", "haproxy", "nginx")


class Part:
    configuration = "h2"
    h2load_options = ()
    rivals = ("nghttpx", "haproxy")  # the best of them is the measure

    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.candidates, self.names = {}, []
        self.upstream, self.upstream_port = bench.upstream, bench.upstream_port

    def start(self, name):
        scratch = self.bench.scratch
        values = {"port": self.tools.free_port(), "secure": self.tools.free_port(), "admin": self.tools.free_port(),
                  "upstream": self.upstream_port, "scratch": scratch, "files": 100000}
        if name != "weir" and configs.find(name) is None:
            self.tools.say(f"*** {name} IS NOT THERE: its column is missing ***")
            return
        command = configs.command_of(name, self.configuration, values, self.tools.BUILD / "weir")
        with open(scratch / f"h2-{name}.log", "ab") as log:
            process = self.tools.Process(name, command, self.tools.CORE_CANDIDATE, stdout=subprocess.DEVNULL, stderr=log)
        process.port, process.secure = values["port"], values["secure"]
        self.bench.running.append(process)
        self.candidates[name] = process
        self.names.append(name)
        end = time.monotonic() + 10
        while not self.works(process):
            if time.monotonic() > end or process.popen.poll() is not None:
                raise SystemExit(f"bench: {name} does not answer\n" + (scratch / f"h2-{name}.log").read_text()[-2000:])
            time.sleep(0.05)

    def works(self, process):
        return all(self.h2load(url, 1, 1) == 1 for url in (f"http://127.0.0.1:{process.port}/100",
                                                         f"https://127.0.0.1:{process.secure}/100"))

    def h2load(self, url, requests, connections):
        done = subprocess.run(["h2load", "-n", str(requests), "-c", str(connections), "-m", str(STREAMS), "-t1",
                               *self.h2load_options, url],
                              preexec_fn=self.tools.pinned(self.tools.CORE_LOAD), capture_output=True, text=True, check=False)
        found = re.search(r"(\d+) succeeded", done.stdout)
        return int(found.group(1)) if found else 0

    def measure(self, process, url, wanted):
        wanted //= 4 if self.bench.args.quick else 1
        self.h2load(url, wanted // 10, CONNECTIONS)
        own, load = ran_ns(process.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        served, busy, begun = ran_ns(self.upstream.pid), busy_s(), time.monotonic()
        got = self.h2load(url, wanted, CONNECTIONS)
        took = time.monotonic() - begun
        spent = ran_ns(process.pid) - own
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = (spent + ran_ns(self.upstream.pid) - served) / 1e9
        ours += after.ru_utime + after.ru_stime - load.ru_utime - load.ru_stime
        if got != wanted:
            raise SystemExit(f"bench: {process.name}: {got} of {wanted} requests succeeded at {url}")
        return {"us": spent / 1000 / got, "rate": got / took, "others_cpu": max(busy_s() - busy - ours, 0) / took}

    def cases(self):
        """What is measured: a name, the URL at a candidate, how many requests."""
        for scheme in ("http", "https"):
            for size, path in PATHS.items():
                yield (f"h2, {'TLS' if scheme == 'https' else 'plain'}, {size}",
                       lambda process, s=scheme, p=path:
                       f"{s}://127.0.0.1:{process.secure if s == 'https' else process.port}{p}", REQUESTS[size])

    def run(self):
        configs.certificate(self.bench.scratch)
        for name in ("weir", *PEERS):
            self.start(name)
        mine = self.bench.names, getattr(self.bench, "candidates", {})
        self.bench.names, self.bench.candidates = self.names, self.candidates
        results = {}
        for what, url, wanted in self.cases():
            rounds = self.bench.rounds(what, lambda c, u=url, w=wanted: self.measure(c, u(c), w), self.bench.args.rounds)
            results[what] = self.judge(rounds)
            self.show(what, results[what])
        for process in list(self.candidates.values()):
            self.bench.stop(process)
        self.bench.names, self.bench.candidates = mine
        return results

    def judge(self, rounds):
        result = {n: {"us": statistics.median(r[n]["us"] for r in rounds),
                      "rate": statistics.median(r[n]["rate"] for r in rounds)} for n in self.names}
        best = [n for n in self.rivals if n in self.names]
        if best:
            result["of_best"] = statistics.median(r["weir"]["us"] / min(r[n]["us"] for n in best) for r in rounds)
        if "nginx" in self.names:
            result["of_nginx"] = statistics.median(r["weir"]["us"] / r["nginx"]["us"] for r in rounds)
        return result

    def show(self, what, result):
        row = "  ".join(f"{n} {result[n]['us']:.2f}" for n in self.names)
        goals = [f"{result['of_best']:.2f} of the best of nghttpx and HAProxy (goal 0.90)"] if "of_best" in result else []
        goals += [f"{result['of_nginx']:.2f} of nginx (goal 0.50)"] if "of_nginx" in result else []
        self.tools.say(f"{what}: CPU us per request: {row}; weir is {', '.join(goals)}")
