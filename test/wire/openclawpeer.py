# SPDX-License-Identifier: Apache-2.0
"""OpenClaw gateways for tests: our double (openclaw_double.c), and the real one where WEIR_OPENCLAW names the folder
in which tools/openclaw.sh has installed it. And the client as a process (openclaw_tool.c)."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

import websockets

from weirtest import ROOT, free_port, wait_for
from wsraw import TEXT, accept_of, frame

BUILD = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test"
REAL = os.environ.get("WEIR_OPENCLAW")
DEADLINE = 60


class Double:
    """Ours. It can be stopped and started again on its port, told how to behave, and tells what clients do."""
    is_real = False

    def __init__(self, tick_ms=30000, payload_max=26214400, token="demo", address="127.0.0.1", port=None):
        self.token, self.address = token, address
        self.arguments = [str(tick_ms), str(payload_max), token]
        self.port, self.process = port or free_port(), None  # not one that a connection may get while it is away
        self._upgrades, self._connects, self._requests = [], [], []
        self._open = 0

    def start(self):
        self.process = subprocess.Popen([BUILD / "openclaw_double", f"{self.address}:{self.port}", *self.arguments],
                                        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._open, self.said = 0, queue.Queue()
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        self.port = int(self.said.get(timeout=DEADLINE))  # clients that wait for it may be heard before
        return self

    def listen(self):
        for line in self.process.stdout:
            if line.startswith('{"heard"'):
                self.heard(**json.loads(line))
            else:
                self.said.put(line)

    def heard(self, heard, said):
        if heard == "upgrade":
            self._upgrades.append(said)
        elif heard == "frame" and said["method"] == "connect":
            self._connects.append(said["params"])
        elif heard == "frame":
            self._requests.append((said["method"], said.get("params")))
        else:
            self._open += {"hello": 1, "gone": -1}[heard]

    def behave(self, **how):
        self.process.stdin.write(json.dumps(how) + "\n")
        self.process.stdin.flush()
        assert self.said.get(timeout=DEADLINE) == "ok\n"

    def told(self):
        """What it heard has been told by now: it comes before the "ok"."""
        if self.process.poll() is None:
            self.behave()
        return self

    upgrades = property(lambda self: self.told()._upgrades, doc="Their paths.")
    connects = property(lambda self: self.told()._connects, doc="The params of all `connect`.")
    requests = property(lambda self: self.told()._requests, doc="(method, params) of those that were let in.")
    open = property(lambda self: self.told()._open, doc="Those that were let in, and are there.")

    def event(self, name, payload, **more):
        self.behave(say=json.dumps({"type": "event", "event": name, "payload": payload, **more}))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.listener.join(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()

    def restart(self):
        """Says so (1012), as a real one does, goes and comes back."""
        self.behave(restart=True)
        self.kill()
        self.start()

    def stop(self):
        self.kill()

    @property
    def url(self):
        return f"ws://{self.address}:{self.port}"

    @property
    def http_url(self):
        return f"http://{self.address}:{self.port}"


class Real(Double):
    """The real one, of the npm registry; ready in 8 to 19 s."""
    is_real = True

    def __init__(self, also=None, **gateway):
        """`gateway`: more of that part of its configuration; `also`: other parts."""
        super().__init__(token="T")
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="weir-openclaw-"))
        state = self.home / ".openclaw"
        state.mkdir()
        (state / "openclaw.json").write_text(json.dumps({"gateway": {
            "mode": "local", "bind": "loopback", "port": self.port, "auth": {"mode": "token", "token": self.token},
            **gateway}, **(also or {})}))
        skipped = ("CHANNELS", "CRON", "GMAIL_WATCHER", "CANVAS_HOST")
        self.environment = {**os.environ, "HOME": str(self.home), "OPENCLAW_STATE_DIR": str(state),
                            "OPENCLAW_DISABLE_BONJOUR": "1", "OPENCLAW_NO_AUTO_UPDATE": "1",
                            "OPENCLAW_NO_RESPAWN": "1", **{f"OPENCLAW_SKIP_{what}": "1" for what in skipped},
                            "PATH": f"{REAL}/node/bin:{os.environ['PATH']}"}

    def start(self):
        """It gives up by itself where its own start has a pause of 5 s, as on a busy machine; then it is asked again."""
        for _ in range(3):
            self.log = open(self.home / "log", "ab")
            self.process = subprocess.Popen(["node", f"{REAL}/node_modules/openclaw/openclaw.mjs", "gateway", "run"],
                                            env=self.environment, cwd=self.home, stdout=self.log, stderr=self.log)
            wait_for(lambda: self.process.poll() is not None or self.is_ready(), "/readyz", 3 * DEADLINE, every=0.1)
            if self.process.poll() is None:
                return self
            self.log.close()
            said = (self.home / "log").read_text()[-3000:]
            if "state lease heartbeat did not become ready" not in said:
                break
        raise AssertionError(said)

    def is_ready(self):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            return opener.open(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status == 200
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def restart(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.start()

    def stop(self):
        self.kill()
        shutil.rmtree(self.home, ignore_errors=True)


def openssl(*arguments):
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


async def connect(url, token, device=None, headers=()):
    """A user's own client, by hand: what it is answered. `device`: the file of an identity, which is paired by that where the
    client is local."""
    async with websockets.connect(url, extra_headers=list(headers)) as ws:
        nonce, now = json.loads(await ws.recv())["payload"]["nonce"], int(time.time() * 1000)
        scopes = ["operator.read", "operator.write"]
        params = {"minProtocol": 3, "maxProtocol": 4, "role": "operator", "scopes": scopes, "caps": [], "auth": {"token": token},
                  "client": {"id": "cli", "version": "1", "platform": "linux", "mode": "cli"}}
        if device is not None:
            with tempfile.TemporaryDirectory() as home:
                key, text = pathlib.Path(home) / "key", pathlib.Path(home) / "text"
                seed = bytes.fromhex(json.loads(device.read_text())["seed"])
                key.write_bytes(bytes.fromhex("302e020100300506032b657004220420") + seed)  # RFC 8410
                public = openssl("pkey", "-inform", "DER", "-in", key, "-pubout", "-outform", "DER")[-32:]
                number = hashlib.sha256(public).hexdigest()
                text.write_text(f"v3|{number}|cli|cli|operator|{','.join(scopes)}|{now}|{token}|{nonce}|linux|")
                signature = openssl("pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", key, "-in", text)
            params["device"] = {"id": number, "publicKey": url64(public), "signature": url64(signature), "signedAt": now,
                                "nonce": nonce}
        await ws.send(json.dumps({"type": "req", "id": "1", "method": "connect", "params": params}))
        while (said := json.loads(await ws.recv())).get("id") != "1":
            pass
        return said


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@contextlib.contextmanager
def raw(server):
    """A client of `server` (a socket) that was let in, and of which nothing is read from then on."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(DEADLINE)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        accept = accept_of(re.search(rb"Sec-WebSocket-Key: (\S+)", head)[1].decode()).encode()
        connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                           b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        connection.sendall(frame(TEXT, '{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}'))
        connection.recv(65536)
        connection.sendall(frame(TEXT, '{"type":"res","id":"1","ok":true,"payload":{"type":"hello-ok","protocol":4}}'))
        yield connection


@contextlib.contextmanager
def double(**options):
    gateway = Double(**options).start()
    try:
        yield gateway
    finally:
        gateway.stop()


class Tool:
    """The client. What it says is told by kind; a look waits for what is still to come."""

    def __init__(self, *options):
        self.process = subprocess.Popen([BUILD / "openclaw_tool", *options], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = queue.Queue()
        self.results, self.events, self.pool_events, self.next_id = {}, [], [], 1
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))
        self.lines.put(None)

    def say(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()

    def hear(self, timeout=DEADLINE):
        """One more line, told where it belongs; the line."""
        line = self.lines.get(timeout=timeout)
        assert line is not None, self.process.stderr.read()
        if "id" in line and "err" in line:
            self.results.setdefault(line["id"], []).append(line)
        elif "event" in line:
            self.events.append(line)
        elif "pool_event" in line:
            self.pool_events.append(line)
        return line

    def until(self, condition, timeout=DEADLINE):
        end = time.monotonic() + timeout
        while not condition():
            left = end - time.monotonic()
            assert left > 0, (self.results, self.pool_events)
            with contextlib.suppress(queue.Empty):
                self.hear(min(left, 0.05))

    def ask(self, kind, *words):
        self.say(kind, *words)
        while True:
            line = self.hear()
            if kind in line or (kind == "gateway" and "same" in line):
                return line

    def gateway(self, name, gateway, token=True, **options):
        words = [f"{key}={value}" for key, value in options.items()]
        if token:
            words.append(f"token={gateway.token if token is True else token}")
        return self.ask("gateway", name, gateway.url, *words)

    def begin(self, name, method, params="{}", flags="-", timeout=0):
        self.next_id += 1
        self.say("call", self.next_id, name, method, flags, timeout, params)
        return self.next_id

    def result(self, call, timeout=DEADLINE):
        self.until(lambda: call in self.results, timeout)
        return self.results[call][0]

    def call(self, *arguments, **options):
        return self.result(self.begin(*arguments, **options))

    def info(self, name):
        return self.ask("info", name)

    def stats(self):
        return self.ask("stats")

    def count(self, kind):
        return sum(event["pool_event"] == kind for event in self.pool_events)

    def end(self):
        """Closes the client: it must come back, with each request ended once, and no memory left."""
        self.process.stdin.close()
        assert self.process.wait(DEADLINE) == 0, self.process.stderr.read()
        while (line := self.lines.get(timeout=DEADLINE)) is not None:
            if "id" in line and "err" in line:
                self.results.setdefault(line["id"], []).append(line)
        assert all(len(results) == 1 for results in self.results.values())
        self.process.stdout.close()
        self.process.stderr.close()


@contextlib.contextmanager
def tool(*options):
    client = Tool(*options)
    try:
        yield client
        client.end()
    finally:
        client.process.kill()
        client.process.wait()
