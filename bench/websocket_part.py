# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `websocket`: what the library's WebSockets cost (websocket_bench.c) beside node's ws and a bare
server (`ws_load serve`: parses next to nothing, keeps nothing), and then what relaying them costs (ws_part.py).

Echoes are of 100 bytes: one message under way on each connection, where each is a receive and a send of the kernel's;
and 32, where an echo server can answer all that it has read in one send.
"""
import json
import os
import shutil
import statistics
import subprocess

import ws_part

CONNECTIONS, FLIGHTS = 64, (1, 32)
HELD = 10000
NODE_PATH = "/usr/share/nodejs"
NODE_WARM = 2.0  # node compiles what runs often
GOALS = {"times ws": 5, "names ns": 1000, "heard lately ms": 5, "ping us": 10, "turn ms": 1, "idle B": 800}


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program, self.load = tools.BUILD / "bench/websocket_bench", tools.BUILD / "bench/ws_load"

    def start(self, name, command, core=None):
        process = self.tools.Process(name, list(map(str, command)), self.tools.CORE_CANDIDATE if core is None else core,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env={**os.environ, "NODE_PATH": NODE_PATH})
        self.bench.running.append(process)
        return process

    def start_server(self, name, command):
        process = self.start(name, command)
        process.port = int(process.popen.stdout.readline().split()[-1])
        return process

    # --- echoes -------------------------------------------------------------------------------

    def commands(self):
        commands = {"weir": [self.program, "serve"], "bare": [self.load, "serve"]}
        if shutil.which("node") and os.path.isdir(f"{NODE_PATH}/ws"):
            commands["ws"] = ["node", self.tools.ROOT / "bench/echo_ws.js"]
        else:
            self.tools.say("*** node's ws IS NOT THERE: its column is missing ***")
        return commands

    def measure(self, process, flight):
        """CPU of the server over the messages of a window; what the clients used is not others' doing."""
        warm = NODE_WARM if process.name == "ws" and not getattr(process, "is_warm", False) else self.tools.WARM
        process.is_warm = True
        messages, us, _, others = ws_part.run_load(self.tools, process, CONNECTIONS, warm, self.tools.TURN, flight)
        return {"us": us / messages, "others_cpu": others}

    def echoes(self):
        mine = self.bench.names, getattr(self.bench, "candidates", {})
        self.bench.candidates = {name: self.start_server(name, c) for name, c in self.commands().items()}
        self.bench.names = names = list(self.bench.candidates)
        results = {}
        for flight in FLIGHTS:
            what = f"echo, {CONNECTIONS} WebSockets, {flight} under way on each"
            rounds = self.bench.rounds(what, lambda c, f=flight: self.measure(c, f),
                                       self.tools.TURNS * self.bench.args.rounds)
            result = {name: statistics.median(r[name]["us"] for r in rounds) for name in names}
            for peer in names[1:]:
                result[f"of_{peer}"] = statistics.median(r["weir"]["us"] / r[peer]["us"] for r in rounds)
            results[what] = result
            times = f"; weir is {1 / result['of_ws']:.2f} times ws (goal {GOALS['times ws']})" if "ws" in names else ""
            self.tools.say(f"{what}, 100 B: CPU us a message: " + "  ".join(f"{n} {result[n]:.2f}" for n in names)
                           + f"; weir is {result['of_bare']:.2f} of bare{times}")
        for process in self.bench.candidates.values():
            self.bench.stop(process)
        self.bench.names, self.bench.candidates = mine
        return results

    # --- the manager --------------------------------------------------------------------------

    def names(self):
        done = subprocess.run([self.program, "names", "100000"], preexec_fn=self.tools.pinned(self.tools.CORE_CANDIDATE),
                              capture_output=True, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        self.tools.say(f"names among {result['names']}: added, found, removed in {result['add_ns']:.0f}, {result['get_ns']:.0f}, "
                       f"{result['remove_ns']:.0f} ns (goal {GOALS['names ns']} each)")
        return result

    def hold(self, port, count):
        held = self.start("hold", [self.program, "hold", port, count], self.tools.CORE_LOAD)
        if held.popen.stdout.readline().split() != [str(count)]:
            raise SystemExit(f"bench: {count} WebSockets were not held")
        return held

    def end(self, *processes):
        for process in processes:
            process.popen.stdin.close()
            self.bench.stop(process)

    def health(self):
        server, results = self.start("check", [self.program, "check", HELD]), []
        for _ in range(2):
            held = self.hold(server.popen.stdout.readline().strip(), HELD)
            results.append(json.loads(server.popen.stdout.readline()))
            self.end(held)
        self.end(server)
        lately, pings = results
        self.tools.say(f"health check of {HELD} that were heard lately: {lately['cpu_ms']:.2f} ms (goal {GOALS['heard lately ms']})")
        self.tools.say(f"health check that pings {HELD}, with the answers: {pings['us_each']:.1f} us of CPU each "
                       f"(goal {GOALS['ping us']}), the longest turn {pings['longest_turn_ms']:.2f} ms (goal {GOALS['turn ms']})")
        return results

    def idle_of(self, name, command):
        """Of those beyond the first few thousand, with which what a server has once is filled (events, decisions)."""
        server = self.start_server(name, command)
        few = self.hold(server.port, HELD // 2)
        before = server.rss_bytes()
        many = self.hold(server.port, HELD)
        each = (server.rss_bytes() - before) / HELD
        self.end(many, few, server)
        return each

    def idle(self):
        commands = self.commands()
        result = {name: self.idle_of(name, commands[name]) for name in commands if name != "bare"}
        self.tools.say(f"RSS per idle WebSocket in the library, {HELD} of them: "
                       + "  ".join(f"{n} {b:.0f} B" for n, b in result.items()) + f"  (goal {GOALS['idle B']} B)")
        return result

    def run(self):
        results = {"echo": self.echoes(), "names": self.names(), "health": self.health(), "idle": self.idle()}
        results["relay"] = ws_part.Part(self.bench, self.tools).run()
        return results
