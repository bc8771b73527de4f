#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the release programs by a profile of how they run (gcc's -fprofile-use).

    tools/pgo.py [--force]

Three steps: weir is built to write down which way it goes (build/train), relays requests for a few
seconds, on loopback, and is built again by what it wrote (build/release). Nothing is done when no
source is newer than the last profile; --force does it all the same.
"""
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRAIN, RELEASE = ROOT / "build" / "train", ROOT / "build" / "release"
STAMP = TRAIN / "profiled"
PATHS = ("/100", "/10240")
SECONDS, CLIENTS, DEADLINE_S = 2, 128, 20

CONFIG = """
workers: 1
admin: {{ address: off }}
log: {{ level: error, access: off }}
listeners:
  - {{ name: web, address: "127.0.0.1:{port}", routes: [ {{ match: {{ path: / }}, upstream: up }} ] }}
upstreams:
  - name: up
    pool: {{ max_connections: 1000, max_per_endpoint: 1000 }}
    endpoints: [ {{ url: "http://127.0.0.1:{upstream}" }} ]
"""


def run(*words):
    done = subprocess.run([str(w) for w in words], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"pgo: {' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def sources():
    for folder in ("src", "include", "cmake"):
        yield from (p for p in (ROOT / folder).rglob("*") if p.is_file())
    yield from (ROOT / "CMakeLists.txt", ROOT / "CMakePresets.json")


def is_done():
    return STAMP.exists() and all(p.stat().st_mtime <= STAMP.stat().st_mtime for p in sources())


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process):
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"pgo: weir did not begin to listen on 127.0.0.1:{port}")


def train(scratch):
    counters, config = scratch / "counters", scratch / "weir.yaml"
    counters.write_bytes(bytes(16))
    upstream = subprocess.Popen([TRAIN / "bench/upstream", "0", counters], stdout=subprocess.PIPE, text=True)
    weir = None
    try:
        port = free_port()
        config.write_text(CONFIG.format(port=port, upstream=upstream.stdout.readline().split()[1]))
        weir = subprocess.Popen([TRAIN / "weir", "serve", "-c", config])
        wait_for(port, weir)
        for path in PATHS:
            run(TRAIN / "bench/load", "--port", port, "--pid", weir.pid, "--counters", counters,
                "--connections", CLIENTS, "--seconds", SECONDS, "--warm", 0.2, "--path", path)
    finally:
        for process in filter(None, (weir, upstream)):
            process.terminate()
            process.wait(DEADLINE_S)


def main():
    if is_done() and "--force" not in sys.argv[1:]:
        run("ninja", "-C", RELEASE)
        return
    print("pgo: 1 of 3, a build that writes down how it runs", flush=True)
    run("cmake", "--preset", "release", "-B", TRAIN, "-DWEIR_PROFILE=record", "-DWEIR_LIBRARY=OFF")
    run("ninja", "-C", TRAIN)
    for old in TRAIN.rglob("*.gcda"):
        old.unlink()
    print("pgo: 2 of 3, some seconds of load", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-pgo-") as scratch:
        train(pathlib.Path(scratch))
    print("pgo: 3 of 3, the build by that", flush=True)
    run("cmake", "--preset", "release", "-DWEIR_PROFILE=use")
    run("ninja", "-C", RELEASE, "-t", "clean")
    profiles = [p for p in TRAIN.rglob("*.gcda") if "/src/" in str(p.relative_to(TRAIN))]
    if not profiles:
        sys.exit("pgo: nothing was written down; is the compiler gcc?")
    for profile in profiles:
        to = RELEASE / profile.relative_to(TRAIN)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(profile, to)
    run("ninja", "-C", RELEASE)
    STAMP.touch()


if __name__ == "__main__":
    main()
