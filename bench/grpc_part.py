# SPDX-License-Identifier: Apache-2.0
"""bench.py's part `grpc`: unary calls over HTTP/2 on both sides, to the library's own server (examples/grpc_server.c).

h2load sends one framed message a call and counts answers; that each candidate passes the message and its trailers on
is seen with nghttp before.
"""
import struct
import subprocess

import h2_part

MESSAGE = b"m" * 100
REQUESTS = 40000
PATH = "/example.Words/Echo"
HEADERS = ("content-type: application/grpc", "te: trailers")


class Part(h2_part.Part):
    configuration = "grpc"
    rivals = h2_part.PEERS

    def __init__(self, bench, tools):
        super().__init__(bench, tools)
        self.framed = bench.scratch / "grpc-message"
        self.framed.write_bytes(struct.pack(">BI", 0, len(MESSAGE)) + MESSAGE)
        self.h2load_options = ("-d", self.framed, *(word for header in HEADERS for word in ("-H", header)))
        self.upstream = tools.Process("grpc_server", [tools.BUILD / "bench/grpc_upstream"], tools.CORE_LOAD,
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.running.append(self.upstream)
        self.upstream_port = int(self.upstream.popen.stdout.readline().rsplit(":", 1)[1])

    def works(self, process):
        words = ["nghttp", "-v", "--timeout=2", "-d", self.framed, *(f"-H{header}" for header in HEADERS),
                 f"http://127.0.0.1:{process.port}{PATH}"]
        said = subprocess.run(words, capture_output=True, check=False).stdout
        return MESSAGE in said and b"grpc-status: 0" in said

    def cases(self):
        yield "gRPC, unary, 100 B", lambda process: f"http://127.0.0.1:{process.port}{PATH}", REQUESTS

    def run(self):
        results = super().run()
        self.bench.stop(self.upstream)
        return results

    def show(self, what, result):
        best = min((n for n in self.names if n != "weir"), key=lambda n: result[n]["us"])
        row = "  ".join(f"{n} {result[n]['us']:.2f}" for n in self.names)
        self.tools.say(f"{what}: CPU us per call: {row}; weir is {result['of_best']:.2f} of the best, {best} (goal 0.90)")
