# SPDX-License-Identifier: Apache-2.0
"""The wire tests' hands: the real program, scripted upstreams, raw clients, all on loopback.

Nothing here sleeps for luck. Whatever takes time is waited for with a deadline: wait_for() polls a
condition, sockets have time-outs, and every process is stopped by its own pid and must leave no
descriptor and no sanitizer report behind.
"""
import collections
import contextlib
import functools
import http.client
import itertools
import json
import os
import pathlib
import random
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WEIR = pathlib.Path(os.environ.get("WEIR_BIN", ROOT / "build/dev/weir"))
WORKERS = int(os.environ.get("WEIR_WORKERS", "1"))  # of a gateway whose test does not say how many
DEADLINE = 20.0  # seconds; the longest a test waits for anything that must happen


def hostile(peer, how):
    """What a server that is no good answers: "silent", "endless", "garbage", "redirect", "huge_head"."""
    if how == "silent":
        peer.recv()
    elif how == "endless":
        peer.send(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
    elif how == "garbage":
        peer.send(b"SSH-2.0-no\r\n\r\n")
    elif how == "redirect":
        peer.send(b"HTTP/1.1 302 No\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
    else:
        peer.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200000 + b"\r\n\r\n")


def wait_for(condition, what="condition", deadline=DEADLINE, every=0.01):
    """Polls until condition() is true and returns its value; fails with `what` at the deadline."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s in vain for {what}")
        pause.wait(every)


PORTS = range(12000, 32000)  # below those that the kernel gives to connections
_ports = itertools.cycle(random.sample(PORTS, len(PORTS)))
_names = collections.deque(maxlen=100)


def free_port():
    """A port that is free now and stays it: other processes that run such tests are kept from it by a name, which is
    this one's until a hundred more ports were given."""
    for port in itertools.islice(_ports, len(PORTS)):
        name, tried = socket.socket(socket.AF_UNIX), socket.socket()
        with tried, contextlib.suppress(OSError):
            name.bind(f"\0weir-test-port-{port}")
            tried.bind(("127.0.0.1", port))
            _names.append(name)
            return port
        name.close()
    raise AssertionError("no port is free")


_dead = []


def dead_port():
    """A port that refuses every connection and that nobody else can be given meanwhile: bound, and
    never listening."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    _dead.append(sock)
    return sock.getsockname()[1]


class Response:
    def __init__(self, status, reason, fields, body, complete, version="HTTP/1.1"):
        self.status, self.reason, self.fields, self.body = status, reason, fields, body
        self.complete = complete  # False: the connection ended before the body did
        self.version = version
        self.trailers = []

    def header(self, name, default=None):
        found = [v for n, v in self.fields if n.lower() == name.lower()]
        return found[0] if found else default

    def headers(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.reason!r} {len(self.body)} bytes complete={self.complete}>"


class Client:
    """A raw socket that can read answers. Sends exactly the bytes it is given."""

    def __init__(self, port, host="127.0.0.1", timeout=DEADLINE, source=None):
        self.sock = socket.create_connection((host, port), timeout, source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def send(self, data):
        """Sends what it can; a peer that has closed already is not this function's affair."""
        if isinstance(data, str):
            data = data.encode("latin-1")
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.sock.sendall(data)
        return self

    def get(self, path="/", headers="", host="t"):
        return self.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def _take(self, count):
        while len(self.buffer) < count:
            if not self._more():
                data, self.buffer = self.buffer, b""
                return data, False
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data, True

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                return None
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def response(self, method="GET"):
        """Reads one answer (a 1xx is an answer too). None: closed before a byte of it."""
        line = self._line()
        if line is None:
            return None
        version, status, reason = (line.decode("latin-1").split(" ", 2) + [""])[:3]
        fields = []
        while True:
            line = self._line()
            if line is None:
                return Response(int(status), reason, fields, b"", False, version)
            if line == b"":
                break
            name, _, value = line.decode("latin-1").partition(":")
            fields.append((name, value.strip()))
        answer = Response(int(status), reason, fields, b"", True, version)
        if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
            return answer
        if "chunked" in (answer.header("transfer-encoding") or ""):
            self._chunks(answer)
        elif answer.header("content-length") is not None:
            answer.body, answer.complete = self._take(int(answer.header("content-length")))
        else:
            while self._more():
                pass
            answer.body, self.buffer = self.buffer, b""
        return answer

    def _chunks(self, answer):
        while True:
            line = self._line()
            if line is None:
                answer.complete = False
                return
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            data, whole = self._take(size)
            answer.body += data
            if not whole or self._line() is None:
                answer.complete = False
                return
        while True:
            line = self._line()
            if line is None:
                answer.complete = False
                return
            if line == b"":
                return
            name, _, value = line.decode("latin-1").partition(":")
            answer.trailers.append((name, value.strip()))

    def final(self, method="GET"):
        """The next answer that is not informational."""
        while True:
            answer = self.response(method)
            if answer is None or answer.status >= 200:
                return answer

    def closed(self, timeout=DEADLINE):
        """True once the peer has closed; False if bytes keep it open until the time-out."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            ready, _, _ = select.select([self.sock], [], [], max(0, end - time.monotonic()))
            if not ready:
                return False
            try:
                if not self.sock.recv(65536):
                    return True
            except OSError:
                return True
        return False


class Peer:
    """One connection that a scripted upstream has accepted."""

    def __init__(self, sock, log):
        self.sock, self.log, self.buffer = sock, log, b""
        sock.settimeout(DEADLINE)

    def recv(self, size=65536):
        data = self.sock.recv(size)
        self.log.append(data)
        self.buffer += data
        return data

    def head(self):
        """Reads to the end of the next request's head and returns it; None at the end."""
        while b"\r\n\r\n" not in self.buffer:
            if not self.recv():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    def request(self):
        """Reads one whole request: (head, body). None at the end."""
        head = self.head()
        if head is None:
            return None
        low = head.lower()
        if b"100-continue" in low and not self.buffer:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if b"transfer-encoding: chunked" in low:
            while (end := self._chunks_end()) is None:
                if not self.recv():
                    end = len(self.buffer)
                    break
            body, self.buffer = self.buffer[:end], self.buffer[end:]
            return head, body
        length = 0
        for line in low.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        while len(self.buffer) < length:
            if not self.recv():
                break
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return head, body

    def _chunks_end(self):
        """Where the chunked body at the front of the buffer ends; None: not yet."""
        at = 0
        while (line_end := self.buffer.find(b"\r\n", at)) >= 0:
            size = int(self.buffer[at:line_end].split(b";")[0] or b"0", 16)
            if size == 0:
                end = self.buffer.find(b"\r\n\r\n", line_end)
                return end + 4 if end >= 0 else None
            at = line_end + 2 + size + 2
        return None

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.sendall(data)

    def ok(self, body=b"ok", headers=""):
        if isinstance(body, str):
            body = body.encode()
        self.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


def serve_ok(peer):
    """The usual script: answers every request with 200 and `ok`, keep-alive."""
    while peer.request() is not None:
        peer.ok()


class Upstream:
    """A server whose behaviour is a function of one Peer, run in a thread for each connection."""

    def __init__(self, script=serve_ok, address=("127.0.0.1", 0)):
        self.script = script
        self.listener = socket.create_server(address, backlog=512)
        self.port = self.listener.getsockname()[1]
        self.accepted = 0
        self.received = []  # every chunk of bytes any connection received, in order
        self.peers = []
        self.errors = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def bytes(self):
        return b"".join(self.received)

    @property
    def requests(self):
        return self.bytes.count(b" HTTP/1.1\r\n")

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            peer = Peer(sock, self.received)
            self.peers.append(peer)
            threading.Thread(target=self._run, args=(peer,), daemon=True).start()

    def _run(self, peer):
        try:
            self.script(peer)
        except (OSError, TimeoutError):
            pass  # the other side ended it: what the test looks at is there
        except Exception as error:  # a fault of the script itself must fail the test
            self.errors.append(error)
        finally:
            peer.sock.close()

    def stop(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)
        assert not self.errors, self.errors


@functools.cache
def is_sanitized(by=("asan", "tsan")):
    """Whose memory and time are no measure of anything."""
    program = pathlib.Path(WEIR).read_bytes()
    return any(f"__{it}_init".encode() in program for it in by)


def yaml_of(value):
    """JSON is a subset of the configuration language."""
    return json.dumps(value, indent=1)


class Weir:
    """The real program, configured, started, waited for; checked for leaks when it is stopped."""

    def __init__(self, upstream=None, config=None, listener=None, upstream_options=None, pool=None,
                 upstream_pool=None, routes=None, workers=WORKERS, env=None, wrapper=None, ports=None, program=WEIR, **top):
        """`ports`: those that a configuration of the caller's names."""
        self.port, self.admin_port = (ports["port"], ports["admin"]) if ports else (free_port(), free_port())
        self.directory = tempfile.TemporaryDirectory(prefix="weir-wire-")
        self.access_log = pathlib.Path(self.directory.name) / "access.log"
        if config is None:
            config = self._config(upstream, listener, upstream_options, pool, upstream_pool, routes,
                                  workers, top)
        self.config_path = pathlib.Path(self.directory.name) / "weir.yaml"
        self.config_path.write_text(config if isinstance(config, str) else yaml_of(config))
        self.output = open(pathlib.Path(self.directory.name) / "output", "w+b")
        self.ends_with = 0
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:quarantine_size_mb=4", **(env or {})}
        self.process = subprocess.Popen(
            [*(wrapper or []), str(program), "serve", "-c", str(self.config_path)], stdout=self.output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        try:
            wait_for(self._ready, "the gateway to be ready")
        except BaseException:
            self.process.kill()
            self.process.wait()
            print(self.text())
            raise

    def _config(self, upstream, listener, upstream_options, pool, upstream_pool, routes, workers, top):
        urls = upstream if isinstance(upstream, list) else [upstream.url if upstream else
                                                            f"http://127.0.0.1:{dead_port()}"]
        endpoints = [u if isinstance(u, dict) else {"url": u} for u in urls]
        return {
            "workers": workers,
            "admin": {"address": f"127.0.0.1:{self.admin_port}"},
            "log": {"level": "info", "access": str(self.access_log)},
            "listeners": [{"name": "web", "address": f"127.0.0.1:{self.port}",
                           **({"pool": pool} if pool else {}),
                           "routes": routes or [{"match": {"path": "/"}, "upstream": "up"}],
                           **(listener or {})}],
            "upstreams": [{"name": "up", "endpoints": endpoints,
                           **({"pool": upstream_pool} if upstream_pool else {}),
                           **(upstream_options or {})}],
            **top,
        }

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"weir ended with {self.process.returncode}:\n{self.text()}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.admin("/readyz").status == 200
        return False

    def __enter__(self):
        return self

    def __exit__(self, kind, *exc):
        if kind is not None:
            self.process.kill()
            self.process.wait()
            print(self.text()[-8000:])
        else:
            self.stop()
        self.output.close()
        self.directory.cleanup()

    def text(self):
        self.output.flush()
        return pathlib.Path(self.output.name).read_text(errors="replace")

    def client(self, **options):
        return Client(self.port, **options)

    def ask(self, path="/", headers="", method="GET", host="t", body=b""):
        """One request on a connection of its own; its final answer."""
        with self.client() as client:
            client.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode() + body)
            return client.final(method)

    def admin(self, path, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=DEADLINE)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return answer

    def metrics(self):
        """{ 'name{labels}': value }"""
        found = {}
        for line in self.admin("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                found[name] = float(value)
        return found

    def metric(self, name, **labels):
        """The sum of a family's samples whose labels agree."""
        total = 0.0
        for sample, value in self.metrics().items():
            family, _, rest = sample.partition("{")
            if family == name and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total += value
        return total

    def access(self):
        """The access log so far, a dict a line."""
        if not self.access_log.exists():
            return []
        return [json.loads(line) for line in self.access_log.read_text().splitlines() if line]

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def resident(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_seconds(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def kill(self):
        """kill -9: it tells nobody anything."""
        assert self.process.poll() is None
        self.process.kill()
        self.ends_with = self.process.wait()

    def stop(self, how=signal.SIGTERM, deadline=DEADLINE):
        """Ends the program; a crash, a leak or a sanitizer report fails the test."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(deadline)
            except subprocess.TimeoutExpired:
                self.process.send_signal(how)  # the second one stops at once
                try:
                    self.process.wait(deadline)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
                    raise AssertionError("weir did not stop:\n" + self.text()[-4000:]) from None
        text = self.text()
        assert self.process.returncode == self.ends_with, f"exit {self.process.returncode}:\n{text[-8000:]}"
        for sign in ("AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:", "check failed"):
            assert sign not in text, text[-8000:]
