# SPDX-License-Identifier: Apache-2.0
"""What the library's WebSockets cost (websocket_bench.c), beside node's ws: `bench/websocket_part.py [OUT.json]`.

Echo servers of one thread, side by side in turns; messages of 100 bytes, one under way for each connection. The
server's CPU time is its own account of the whole of its life, start and handshakes included.
"""
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "build/release/bench/websocket_bench"
NODE = ["node", ROOT / "bench/echo_ws.js"]
ENV = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}
TURNS, SECONDS, CONNECTIONS, SIZE = 3, 2, 64, 100
IDLE, CHECKED = 4000, 4000


class Running:
    def __init__(self, *command):
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=ENV)

    def line(self):
        return self.process.stdout.readline()

    def end(self):
        self.process.stdin.close()
        said = self.process.stdout.read()
        self.process.wait(20)
        return said

    def rss(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split("VmRSS:")[1].split()[0]) * 1024


def echo(command):
    server = Running(*command)
    port = server.line().strip()
    done = subprocess.run([PROGRAM, "load", port, str(CONNECTIONS), str(SECONDS), str(SIZE)], capture_output=True,
                          text=True, check=True)
    assert json.loads(done.stdout)["failed"] == 0
    said = json.loads(server.end())
    return said["messages"] / said["cpu_s"]


def idle():
    server = Running(PROGRAM, "serve")
    port = server.line().strip()
    few = Running(PROGRAM, "hold", port, 100)
    few.line()
    before = server.rss()
    many = Running(PROGRAM, "hold", port, IDLE)
    opened = int(many.line())
    after = server.rss()
    for process in (many, few, server):
        process.end()
    return {"connections": opened, "bytes_each": round((after - before) / opened)}


def checks():
    server = Running(PROGRAM, "check", CHECKED)
    said = []
    for _ in range(2):
        peer = Running(PROGRAM, "hold", server.line().strip(), CHECKED)
        peer.line()
        said.append(json.loads(server.line()))
        peer.end()
    server.end()
    return said


def main():
    rounds = [{"weir": echo([PROGRAM, "serve"]), "ws": echo(NODE)} for _ in range(TURNS)]
    results = {
        "messages_per_cpu_second": {name: round(statistics.median(r[name] for r in rounds)) for name in rounds[0]},
        "times_ws": round(statistics.median(r["weir"] / r["ws"] for r in rounds), 2),
        "names": json.loads(subprocess.run([PROGRAM, "names", "100000"], capture_output=True, text=True,
                                           check=True).stdout.splitlines()[-1]),
        "idle": idle(),
        "health": checks(),
    }
    text = json.dumps(results, indent=2)
    if len(sys.argv) > 1:
        pathlib.Path(sys.argv[1]).write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
