#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Is everything in a release's program that makes mistakes harder to exploit, is it small, and does it start quickly?

    tools/hardening.py PROGRAM [--starts N]

Reads the file by readelf: position-independent, all of it; relocations read-only and resolved at once; a stack that cannot be
run; no place that is both written and run; checked stack frames; checked copies; where the C library has it, also the mark of
control-flow enforcement. Then: at most 10 MiB without its debug information, and from its start to /readyz in at most 100 ms (the median of
N starts, 9). `make check` runs it on what `make build` made.
"""
import argparse
import contextlib
import http.client
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

BYTES_MAX = 10 * 1024 * 1024
READY_MS_MAX = 100


def readelf(program, *options):
    return subprocess.run(["readelf", "-W", *options, program], capture_output=True, text=True, check=True,
                          env=dict(os.environ, LC_ALL="C")).stdout


def faults_of(program):
    """What is missing, a sentence each."""
    header, dynamic = readelf(program, "-h"), readelf(program, "-d")
    segments, symbols = readelf(program, "-l"), readelf(program, "--dyn-syms")
    if not re.search(r"Type:\s+DYN", header) or not re.search(r"FLAGS_1\).*\bPIE\b", dynamic):
        yield "it is not position-independent (PIE)"
    if "GNU_RELRO" not in segments or not re.search(r"FLAGS_1\).*\bNOW\b", dynamic):
        yield "its relocations stay writable (RELRO, bound now)"
    stack = re.search(r"GNU_STACK(?:\s+0x\w+){5}\s+([RWE ]+)", segments)
    if not stack or "E" in stack[1]:
        yield "its stack can be run"
    if any(re.search(r"LOAD\s.*\sRWE\s", line) for line in segments.splitlines()):
        yield "a part of it can be written and run"
    if "__stack_chk_fail" not in symbols:
        yield "its stack frames are not checked (-fstack-protector-strong)"
    if not re.search(r"__\w+_chk@", symbols.replace("__stack_chk_fail", "")):
        yield "its copies are not checked (_FORTIFY_SOURCE)"
    if re.search(r"R(UN)?PATH", dynamic):
        yield "it looks for libraries where it was built (RPATH)"
    if has_cet(libc_of(program)) and not has_cet(program):  # Debian 12's C library has none
        yield "it is not marked for control-flow enforcement (-fcf-protection)"


def has_cet(file):
    return re.search(r"x86 feature: .*IBT.*SHSTK", readelf(file, "-n")) is not None


def libc_of(program):
    found = re.search(r"libc\.so\S* => (\S+)", subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout)
    return found[1] if found else program


def bytes_of(program):
    """Without what only a debugger reads."""
    with tempfile.NamedTemporaryFile() as bare:
        subprocess.run(["strip", "-o", bare.name, program], check=True)
        return os.stat(bare.name).st_size


def free_port():
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def is_ready(port):
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def start_ms(program):
    """From the start of the program to its being ready, of a configuration with a listener and an upstream."""
    admin, web = free_port(), free_port()
    with tempfile.TemporaryDirectory() as room:
        config = pathlib.Path(room) / "weir.yaml"
        config.write_text(f'admin: {{ address: "127.0.0.1:{admin}" }}\nlog: {{ access: "off" }}\nlisteners: [ {{ name: web, address: '
                          f'"127.0.0.1:{web}", routes: [ {{ upstream: up }} ] }} ]\n'
                          f'upstreams: [ {{ name: up, endpoints: [ {{ url: "http://127.0.0.1:1" }} ] }} ]\n')
        begun = time.monotonic()
        process = subprocess.Popen([program, "serve", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not is_ready(admin):
            if process.poll() is not None or time.monotonic() > begun + 30:
                process.kill()
                raise SystemExit(f"{program} does not start: {process.stderr.read().decode()}")
        took = (time.monotonic() - begun) * 1000
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        return took


def main():
    parser = argparse.ArgumentParser(description="what a release's program must have")
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--starts", type=int, default=9)
    args = parser.parse_args()
    if shutil.which("readelf") is None:
        sys.exit("readelf is needed: Debian's package binutils")
    program = args.program.resolve()
    faults = list(faults_of(program))
    size, ready = bytes_of(program), statistics.median(start_ms(program) for _ in range(args.starts))
    if size > BYTES_MAX:
        faults.append(f"it has {size} bytes, more than {BYTES_MAX}")
    if ready > READY_MS_MAX:
        faults.append(f"it is ready after {ready:.0f} ms, later than {READY_MS_MAX}")
    for fault in faults:
        print(f"{args.program}: {fault}")
    print(f"hardening: {len(faults)} faults; {size / 1048576:.1f} MiB; ready after {ready:.0f} ms")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
