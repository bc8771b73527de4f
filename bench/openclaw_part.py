# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `openclaw`: weir's own CPU per request to an OpenClaw gateway (openclaw_bench.c), which is our double
in a process of its own, on the other core; requests under way by callback, and by threads that wait."""
import json
import statistics
import subprocess

COUNT, FLIGHTS, THREADS = 100_000, (1, 32), 32
GOAL_US = 20  # at 32 under way


class Part:
    def __init__(self, bench, tools):
        self.bench, self.tools = bench, tools
        self.program = tools.BUILD / "bench/openclaw_bench"

    def once(self, port, how, many):
        done = subprocess.run([self.program, how, port, str(COUNT if how == "run" and many > 1 else COUNT // 5), str(many)],
                              preexec_fn=self.tools.pinned(self.tools.CORE_CANDIDATE), capture_output=True, text=True,
                              check=True)
        return json.loads(done.stdout.splitlines()[-1])

    def run(self):
        server = self.tools.Process("double", [self.program, "serve"], self.tools.CORE_LOAD, stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, text=True)
        self.bench.running.append(server)
        port = server.popen.stdout.readline().strip()
        results = {}
        for how, many in [("run", n) for n in FLIGHTS] + [("execute", 1), ("execute", THREADS)]:
            rounds = [self.once(port, how, many) for _ in range(self.tools.TURNS * self.bench.args.rounds)]
            result = {key: statistics.median(r[key] for r in rounds) for key in ("us", "per_s")}
            results[f"{how} {many}"] = result
            who = f"{many} under way" if how == "run" else f"{many} threads that wait"
            goal = f" (goal {GOAL_US})" if (how, many) == ("run", 32) else ""
            self.tools.say(f"OpenClaw, {who}: {result['us']:.1f} us of CPU a request{goal}, {result['per_s']:.0f}/s")
        server.popen.stdin.close()
        self.bench.stop(server)
        return results
