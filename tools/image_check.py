#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Does what deploy/Dockerfile says, step by step, on clean Debian 12 roots (tools/clean_root.sh), where there is no
docker: builds, copies, then runs the command as the user it names, with a file system that may only be read, asks
for its health, sends a request through it, and stops it. Root is needed, and the network for the packages.
"""
import ctypes
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000


def instructions(text):
    for line in text.splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            yield word, rest


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"image-check: FAILED: {' '.join(map(str, command))}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def clean_environment():
    """What docker gives a step, whatever whoever calls this has set for builds of his own; and how to reach the network, if that is
    said by variables."""
    network = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive",
            **network}


def copy_tree(target):
    """What git knows of this tree, as docker would copy it with nothing built beside it."""
    target.mkdir(parents=True, exist_ok=True)
    run("sh", "-c", 'git ls-files -z | xargs -0 sh -c \'for f; do [ ! -e "$f" ] || printf "%s\\0" "$f"; done\' - '
        '| tar -c --null -T - | tar -x -C "$0"', target, cwd=ROOT)


class Image:
    """Its last stage's root, user, command and health check."""

    def __init__(self, room):
        self.room, self.stages, self.root = room, {}, None
        self.user = self.health = self.entry = self.command = None

    def FROM(self, rest):
        name = rest.split(" AS ")[1] if " AS " in rest else "last"
        self.root = self.stages[name] = self.room / name
        run(ROOT / "tools" / "clean_root.sh", self.root)

    def RUN(self, rest):
        print(f"image-check: RUN {rest[:90]}", flush=True)
        run("chroot", self.root, "sh", "-c", rest, env=clean_environment())

    def COPY(self, rest):
        words = rest.split()
        source = self.stages[words.pop(0).removeprefix("--from=")] if words[0].startswith("--from=") else ROOT
        target = self.root / words[1].lstrip("/")
        if words[0] == ".":
            copy_tree(target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / words[0].lstrip("/"), target)

    def USER(self, rest):
        self.user = rest.split(":")

    def HEALTHCHECK(self, rest):
        self.health = json.loads(re.search(r"CMD (\[.*\])", rest).group(1))

    def ENTRYPOINT(self, rest):
        self.entry = json.loads(rest)

    def CMD(self, rest):
        self.command = json.loads(rest)

    def STOPSIGNAL(self, rest):
        assert rest == "SIGTERM"

    def EXPOSE(self, rest):
        assert rest == "8080"

    def inside(self, words):
        return ["chroot", self.root, "setpriv", f"--reuid={self.user[0]}", f"--regid={self.user[1]}", "--clear-groups",
                "--no-new-privs", "--bounding-set=-all", *words]


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def until(what, holds):
    end = time.monotonic() + 60
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"image-check: FAILED: {what}")
        time.sleep(0.1)
    print(f"image-check: {what}", flush=True)


def body():
    try:
        with urllib.request.urlopen("http://127.0.0.1:8080/", timeout=10) as answer:
            return answer.read()
    except OSError:
        return b""


def try_out(image):
    """In a mount table and a network of its own, so that the ports are free and the root can be made read-only."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS | CLONE_NEWNET) != 0:
        sys.exit("image-check: FAILED: unshare")
    run("mount", "--make-rprivate", "/")
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "proc", "proc", image.root / "proc")
    run("mount", "--bind", image.root, image.root)
    run("mount", "-o", "remount,ro,bind", image.root)
    upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 3000), Hello)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    with open(image.room / "log", "wb") as log:
        process = subprocess.Popen(image.inside(image.entry + image.command), stdout=log, stderr=log)
    try:
        until("it is healthy", lambda: subprocess.run(image.inside(image.health), capture_output=True, check=False).returncode == 0)
        until("a request goes through it", lambda: body() == b"hello")
        uid = re.search(r"^Uid:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text(), re.M).group(1)
        assert uid == image.user[0] != "0", uid
        print(f"image-check: it runs as {uid}, on a file system that can only be read", flush=True)
        process.send_signal(signal.SIGTERM)
        if process.wait(timeout=60) != 0:
            sys.exit("image-check: FAILED: SIGTERM did not end it well")
        assert subprocess.run(image.inside(image.health), capture_output=True, check=False).returncode == 1
        print("image-check: SIGTERM ends it, and then it is not healthy", flush=True)
    finally:
        if process.poll() is None:
            process.kill()
        upstream.shutdown()


def main():
    room = pathlib.Path(tempfile.mkdtemp())
    try:
        image = Image(room)
        for word, rest in instructions((ROOT / "deploy" / "Dockerfile").read_text()):
            getattr(image, word)(rest)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                try_out(image)
                code = 0
            except SystemExit as why:
                print(why)
            finally:
                sys.stdout.flush()
                os._exit(code)
        if os.waitpid(pid, 0)[1] != 0:
            sys.exit(1)
        print("image-check: all well")
    finally:
        shutil.rmtree(room, ignore_errors=True)


if __name__ == "__main__":
    main()
