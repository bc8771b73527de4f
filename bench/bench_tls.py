# SPDX-License-Identifier: Apache-2.0
"""The part `tls` of bench.py: HTTPS in front of a plain upstream, beside nginx, HAProxy and nghttpx.

TLS 1.3 and one ECDSA P-256 certificate for all; every candidate chooses its cipher suite as it does by
itself. Keep-alive: CPU per request. Handshakes: CPU for a connection, its handshake, one request and its
end; a plain connection for each request is measured beside them. Idle: resident memory of a connection
that had one request.
"""
import ssl
import socket
import statistics
import subprocess
import time

import configs

NAMES = ("weir", "nginx", "haproxy", "nghttpx")
ORDER = {"keep-alive 100 B": {"path": "/100", "connections": 128},
         "keep-alive 10 KB": {"path": "/10240", "connections": 128},
         "full handshake": {"path": "/100", "connections": 16, "each": "full"},
         "resumed handshake": {"path": "/100", "connections": 16, "each": "resumed"}}
GOALS = {"keep-alive 100 B": ("best", 0.90), "keep-alive 10 KB": ("best", 0.90),
         "full handshake": ("nginx", 1.0), "resumed handshake": ("nginx", 1.0)}


def answers(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as raw, \
             context.wrap_socket(raw, server_hostname="localhost") as s:
            s.sendall(b"GET /100 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return s.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def start(bench, name, tools):
    port = tools.free_port()
    values = {"port": port, "upstream": bench.upstream_port, "scratch": bench.scratch,
              "admin": tools.free_port(), "files": 100000}
    with open(bench.scratch / f"{name}.log", "ab") as log:
        process = tools.Process(name, configs.command_of(name, "tls", values, tools.BUILD / "weir"), tools.CORE_CANDIDATE,
                                stdout=subprocess.DEVNULL, stderr=log)
    process.port = port
    bench.running.append(process)
    end = time.monotonic() + 10
    while not answers(port):
        if time.monotonic() > end or process.popen.poll() is not None:
            said = (bench.scratch / f"{name}.log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"bench: {name} does not answer\n{said}")
        time.sleep(0.02)
    return process


def load(bench, candidate, options, seconds, tools):
    words = dict(options)
    command_flags = {"tls": ""} if words.pop("plain", None) is None else {}
    return bench.load(candidate, seconds, warm=tools.WARM, **words, **command_flags)


def measure(bench, names, tools):
    bench.candidates = {name: start(bench, name, tools) for name in names}
    kept, bench.names = bench.names, list(names)
    seconds = 1.0
    for what, options in ORDER.items():
        rounds = bench.rounds(what, lambda c, o=options: load(bench, c, o, seconds, tools),
                              2 * bench.args.rounds)
        goal, limit = GOALS[what]
        rows = {}
        for name in names:
            rows[name] = {"cpu_us": statistics.median(r[name]["cpu_us_per_request"] for r in rounds),
                          "failed": sum(r[name]["failed"] for r in rounds),
                          "resumed": sum(r[name]["resumed"] for r in rounds),
                          "requests": sum(r[name]["requests"] for r in rounds)}
        others = [n for n in names if n != "weir"]
        against = min(others, key=lambda n: rows[n]["cpu_us"]) if goal == "best" else goal
        ratio = statistics.median(r["weir"]["cpu_us_per_request"] / r[against]["cpu_us_per_request"] for r in rounds)
        bench.results["tls"][what] = {**rows, "ratio": ratio, "against": against, "goal": limit}
        tools.say(f"\nHTTPS, {what}: weir ÷ {against} {ratio:.3f}, goal {limit:.2f}, {len(rounds)} rounds")
        for name, row in rows.items():
            tools.say(f"  {name:<9}{row['cpu_us']:>9.2f} µs{row['requests']:>10} answers{row['resumed']:>8} resumed"
                      f"{row['failed']:>5} failed")
    bench.stop_all()
    bench.names = kept


def idle(bench, names, tools):
    tools.say(f"\nRSS per idle TLS connection, {tools.IDLE_CONNECTIONS} of them after one request each")
    for name in names:
        candidate = start(bench, name, tools)
        bench.load(candidate, 0.2, connections=64, warm=0.1, tls="")
        before = candidate.rss_bytes()
        held = tools.Process("load", [tools.BUILD / "bench/load", "--port", str(candidate.port), "--connections",
                                      str(tools.IDLE_CONNECTIONS), "--hold", "--tls"], tools.CORE_LOAD,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.running.append(held)
        line = held.popen.stdout.readline().split()
        if line != ["held", str(tools.IDLE_CONNECTIONS)]:
            tools.say(f"  {name}: only {line} answered")
        figure = (candidate.rss_bytes() - before) / tools.IDLE_CONNECTIONS
        bench.results["tls"][f"idle {name}"] = figure
        tools.say(f"  {name:<9}{figure:>8.0f} B")
        held.popen.stdin.close()
        bench.stop(held)
        bench.stop(candidate)


def run(bench, tools):
    configs.certificate(bench.scratch)
    bench.results["tls"] = {}
    names = [n for n in NAMES if n == "weir" or configs.find(n)]
    for name in set(NAMES) - set(names):
        tools.say(f"*** {name} IS NOT THERE: its row is missing ***")
    measure(bench, names, tools)
    idle(bench, names, tools)
