# SPDX-License-Identifier: Apache-2.0
"""Of bench.py's part `websocket`: messages of 100 bytes through weir, nginx and HAProxy, which both tunnel after the upgrade, and the
bare epoll relay, which looks at nothing; and what an idle WebSocket costs in memory: two connections each.

A message goes to a server and comes back, so a round trip is two messages relayed.
"""
import os
import resource
import shutil
import statistics
import subprocess
import time

from spent import busy_s, ran_ns

CLIENTS = (16, 128, 1000)
IDLE = 6000
GOAL_CPU, GOAL_BYTES = 0.80, 1600

NGINX = """\
worker_processes 1; daemon off; master_process off; pid {scratch}/wsnginx.pid; error_log stderr crit;
worker_rlimit_nofile {files};
events {{ worker_connections 18000; }}
http {{
    access_log off;
    client_body_temp_path {scratch}/n1; proxy_temp_path {scratch}/n2; fastcgi_temp_path {scratch}/n3;
    uwsgi_temp_path {scratch}/n4; scgi_temp_path {scratch}/n5;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ proxy_pass http://127.0.0.1:{upstream}; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                      proxy_set_header Connection "upgrade"; proxy_read_timeout 3600s; proxy_send_timeout 3600s; }}
    }}
}}
"""
HAPROXY = """\
global
    nbthread 1
    maxconn 8192
defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout tunnel 3600s
frontend web
    bind 127.0.0.1:{port} backlog 4096
    default_backend up
backend up
    server s1 127.0.0.1:{upstream}
"""
WEIR = """\
workers: 1
admin: {{ address: "127.0.0.1:{admin}" }}
log: {{ level: warn, access: off }}
listeners:
  - name: web
    address: "127.0.0.1:{port}"
    pool: {{ max_connections: 8192 }}
    routes: [ {{ upstream: up }} ]
upstreams:
  - name: up
    protocol: websocket
    pool: {{ max_connections: 8192, max_per_endpoint: 8192, connecting_max: 64 }}
    endpoints: [ {{ url: "http://127.0.0.1:{upstream}" }} ]
"""


def run_load(tools, process, *numbers, ends=()):
    """`ws_load run` against a process: the messages that came back in its window, the process's CPU in us, the seconds, and how
    many processors were busy that neither it nor the `ends`, more processes of ours, had."""
    load = subprocess.Popen([tools.BUILD / "bench/ws_load", "run", *map(str, (process.port, *numbers))],
                            preexec_fn=tools.pinned(tools.CORE_LOAD), stdout=subprocess.PIPE, text=True)
    seen = []
    for _ in range(2):
        line = load.stdout.readline().split()
        if not line:
            raise SystemExit(f"bench: WebSockets of {process.name} failed")
        seen.append((int(line[1]), ran_ns(process.pid), busy_s(), time.monotonic(), sum(map(ran_ns, (load.pid, *ends)))))
    load.wait(10)
    messages, spent, busy, took, ours = (b - a for a, b in zip(*seen))
    return messages, spent / 1000, took, max(busy - (spent + ours) / 1e9, 0) / took


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program = tools.BUILD / "bench/ws_load"

    def start_server(self):
        server = self.tools.Process("ws_load", [self.program, "serve"], self.tools.CORE_LOAD, stdout=subprocess.PIPE, text=True)
        self.bench.running.append(server)
        server.port = int(server.popen.stdout.readline().split()[1])
        return server

    def command_of(self, name, values):
        scratch, path = self.bench.scratch, os.environ["PATH"] + ":/usr/sbin"
        if name == "weir":
            (scratch / "ws.yaml").write_text(WEIR.format(**values))
            return [self.tools.BUILD / "weir", "serve", "-c", scratch / "ws.yaml"]
        if name == "epoll":
            return [self.tools.BUILD / "bench" / self.tools.RELAYS[name], str(values["port"]), str(values["upstream"])]
        program = shutil.which(name, path=path)
        if program is None:
            return None
        if name == "nginx":
            (scratch / "wsnginx.conf").write_text(NGINX.format(**values))
            return [program, "-e", "stderr", "-p", scratch, "-c", scratch / "wsnginx.conf"]
        (scratch / "wshaproxy.cfg").write_text(HAPROXY.format(**values))
        return [program, "-db", "-q", "-f", scratch / "wshaproxy.cfg"]

    def start(self, name):
        values = {"port": self.tools.free_port(), "admin": self.tools.free_port(), "upstream": self.server.port,
                  "scratch": self.bench.scratch, "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1]}
        command = self.command_of(name, values)
        if command is None:
            self.tools.say(f"*** {name} IS NOT THERE: its column is missing ***")
            return None
        with open(self.bench.scratch / f"ws-{name}.log", "ab") as log:
            process = self.tools.Process(name, command, self.tools.CORE_CANDIDATE, stdout=subprocess.DEVNULL, stderr=log)
        process.port = values["port"]
        self.bench.running.append(process)
        end = time.monotonic() + 10
        while not self.works(process):
            if time.monotonic() > end or process.popen.poll() is not None:
                raise SystemExit(f"bench: {name} opens no WebSocket\n"
                                 + (self.bench.scratch / f"ws-{name}.log").read_text()[-2000:])
            time.sleep(0.05)
        return process

    def works(self, process):
        return subprocess.run([self.program, "hold", str(process.port), "1"], stdin=subprocess.DEVNULL, capture_output=True,
                              check=False).returncode == 0

    def measure(self, process, clients):
        """CPU of the candidate over the messages of a window; what the ends used is not others' doing."""
        warm = self.tools.WARM_MANY if clients >= 1000 else self.tools.WARM
        messages, us, took, others = run_load(self.tools, process, clients, warm, self.tools.TURN, ends=[self.server.pid])
        return {"us": us / (2 * messages), "rate": 2 * messages / took, "others_cpu": others}

    def idle(self, name):
        figures = []
        for _ in range(1 if self.bench.args.quick else 3):
            candidate = self.start(name)
            subprocess.run([self.program, "run", str(candidate.port), "64", "0.1", "0.2"], stdout=subprocess.DEVNULL, check=True)
            before = candidate.rss_bytes()
            held = self.tools.Process("ws_load", [self.program, "hold", str(candidate.port), str(IDLE)], self.tools.CORE_LOAD,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            self.bench.running.append(held)
            if held.popen.stdout.readline().split() != ["held", str(IDLE)]:
                raise SystemExit(f"bench: {name} did not hold {IDLE} WebSockets")
            figures.append((candidate.rss_bytes() - before) / IDLE)
            held.popen.stdin.close()
            self.bench.stop(held)
            self.bench.stop(candidate)
        return statistics.median(figures)

    def run(self):
        self.server = self.start_server()
        started = {name: self.start(name) for name in ("weir", "nginx", "haproxy", "epoll")}
        mine = self.bench.names, getattr(self.bench, "candidates", {})
        self.bench.candidates = {name: process for name, process in started.items() if process is not None}
        self.bench.names = list(self.bench.candidates)
        results = {}
        for clients in (128,) if self.bench.args.quick else CLIENTS:
            what = f"{clients} WebSockets"
            rounds = self.bench.rounds(what, lambda c, n=clients: self.measure(c, n), self.tools.TURNS * self.bench.args.rounds)
            results[what] = self.judge(rounds)
            self.show(what, results[what])
        for process in list(self.bench.candidates.values()):
            self.bench.stop(process)
        names, (self.bench.names, self.bench.candidates) = self.bench.names, mine
        results["idle"] = {name: self.idle(name) for name in names}
        self.tools.say(f"RSS per idle WebSocket, {IDLE} of them, two connections each: "
                       + "  ".join(f"{n} {b:.0f} B" for n, b in results["idle"].items()) + f"  (goal {GOAL_BYTES} B)")
        self.bench.stop(self.server)
        return results

    def judge(self, rounds):
        names = self.bench.names
        result = {n: {"us": statistics.median(r[n]["us"] for r in rounds),
                      "rate": statistics.median(r[n]["rate"] for r in rounds)} for n in names}
        for peer in names:
            if peer != "weir":
                result[f"of_{peer}"] = statistics.median(r["weir"]["us"] / r[peer]["us"] for r in rounds)
        return result

    def show(self, what, result):
        names = self.bench.names
        row = "  ".join(f"{n} {result[n]['us']:.2f}" for n in names)
        goals = [f"{result[f'of_{n}']:.2f} of {n}" for n in names if n != "weir"]
        self.tools.say(f"{what}, 100 B: CPU us per message relayed: {row}; weir is {', '.join(goals)} (goal {GOAL_CPU:.2f})")
