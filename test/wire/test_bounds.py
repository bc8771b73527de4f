# SPDX-License-Identifier: Apache-2.0
"""What memory a client costs, and that a gateway which may have 128 MiB serves on under a flood of everything at once.

The figures are the release program's (`make check`, `make soak`: 5000 clients). With sanitizers, which have their own of each
allocation, the same is done with fewer clients and looser bounds: it finds what grows out of proportion."""
import contextlib
import json
import os
import pathlib
import selectors
import socket
import ssl
import subprocess
import sys
import threading

import pytest

import certs
import wsraw
from h2raw import H2
from test_overload import is_sanitized
from weirtest import Upstream, Weir, free_port, wait_for

CLIENTS = 500 if is_sanitized() else 5000
IDLE_MAX, IDLE_TLS_MAX, ACTIVE_MAX = (4000, 40000, 128 << 10) if is_sanitized() else (600, 15000, 64 << 10)  # bytes each
MANY = {"max_connections": 3 * CLIENTS, "keepalive_timeout": "1h", "idle_timeout": "1h", "request_timeout": "1h", "headers_timeout": "1h"}
UPSTREAMS = {"max_connections": 3 * CLIENTS, "max_per_endpoint": 3 * CLIENTS, "connecting_max": 1000,
             "first_byte_timeout": "1h", "acquire_timeout": "1h"}
ASKS = b"GET %s HTTP/1.1\r\nHost: t\r\n\r\n"

# An upstream for thousands at a time: answers, but holds what asks for /hold.
HOLDER = """
import selectors, socket, sys
at = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=4096)
at.setblocking(False)
ready = selectors.DefaultSelector()
ready.register(at, selectors.EVENT_READ)
while True:
    for key, _ in ready.select():
        if key.fileobj is at:
            sock, _ = at.accept()
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_READ, bytearray())
            continue
        try:
            heard = key.fileobj.recv(65536)
        except OSError:
            heard = b""
        if not heard:
            ready.unregister(key.fileobj)
            key.fileobj.close()
            continue
        key.data.extend(heard)
        while b"\\r\\n\\r\\n" in key.data:
            head, _, rest = bytes(key.data).partition(b"\\r\\n\\r\\n")
            key.data[:] = rest
            if b" /hold " not in head:
                key.fileobj.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
"""


@contextlib.contextmanager
def holder():
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(port)])
    try:
        def listens():
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False
        wait_for(listens, "the upstream")
        yield {"url": f"http://127.0.0.1:{port}"}
    finally:
        process.kill()
        process.wait()


class Clients:
    """As many as there shall be, each with a request."""

    def __init__(self, port, tls=None):
        self.port, self.tls, self.socks = port, tls, []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for sock in self.socks:
            sock.close()

    def come(self, count, path=b"/", answered=True):
        came = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", self.port), 20)
            came.append(self.tls.wrap_socket(sock) if self.tls else sock)
            came[-1].sendall(ASKS % path)
            if len(came) % 100 == 0 and answered:
                self.hear(came[-100:])
        if answered:
            self.hear(came[len(came) - len(came) % 100:])
        self.socks += came

    def hear(self, socks):
        for sock in socks:
            heard = b""
            while not heard.endswith(b"ok"):
                more = sock.recv(4096)
                assert more, heard
                heard += more
            assert heard.startswith(b"HTTP/1.1 200"), heard


def cost(weir, tls=None, path=b"/", answered=True, arrived=None):
    """Bytes of memory for each client more, when as many as usual have been there before."""
    with Clients(weir.port, tls) as few:
        few.come(64)
    wait_for(lambda: weir.metric("weir_pool_connections", pool="listener:web") == 0, "them to be gone")
    before = weir.resident()
    with Clients(weir.port, tls) as all_of_them:
        all_of_them.come(CLIENTS, path, answered)
        wait_for(lambda: weir.metric("weir_pool_connections", pool="listener:web") == CLIENTS, "them to be there", 60, 0.2)
        if arrived:
            wait_for(arrived, "their requests to arrive", 60, 0.2)
        return (weir.resident() - before) / CLIENTS


def must_be_at_most(what, bytes_each, most):
    print(f"{what}: {bytes_each:.0f} bytes each, of {CLIENTS} (at most {most}){' with sanitizers' if is_sanitized() else ''}")
    assert bytes_each <= most


@pytest.mark.soak
def test_an_idle_client():
    with holder() as up, Weir([up], workers=1, pool=MANY, upstream_pool=UPSTREAMS, log={"access": "off"}) as weir:
        must_be_at_most("an idle client", cost(weir), IDLE_MAX)


@pytest.mark.soak
def test_an_idle_client_of_tls():
    with certs.Authority() as authority, holder() as up:
        certificate, key = authority.sign("localhost")
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
        with Weir([up], workers=1, pool=MANY, upstream_pool=UPSTREAMS, log={"access": "off"},
                  listener={"tls": {"certificate": certificate, "key": key}}) as weir:
            must_be_at_most("an idle client of TLS", cost(weir, trust), IDLE_TLS_MAX)


@pytest.mark.soak
def test_an_active_client():
    """Its request is with the upstream, over a connection of its own."""
    with holder() as up, Weir([up], workers=1, pool=MANY, upstream_pool=UPSTREAMS, log={"access": "off"}) as weir:
        bytes_each = cost(weir, path=b"/hold", answered=False,
                          arrived=lambda: weir.metric("weir_pool_connections", pool="up", state="active") == CLIENTS)
        must_be_at_most("an active client", bytes_each, ACTIVE_MAX)


@pytest.mark.soak
def test_a_client_that_takes_nothing():
    """In the middle of a large answer, as much of it as fits held by the gateway."""
    def script(peer):
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 << 20))
            for _ in range(64):
                peer.send(b"x" * (1 << 20))
    count = 40  # what the kernel holds of each is megabytes
    with Upstream(script) as up, Weir(up, workers=1, pool={**MANY, "write_timeout": "1h"}, upstream_pool=UPSTREAMS,
                                      log={"access": "off"}) as weir, Clients(weir.port) as clients:
        clients.come(2, answered=False)
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 2, "two")
        before = weir.resident()
        clients.come(count, answered=False)
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == count + 2, "all of them")
        passed, seen = threading.Event(), [0, -1]

        def is_still():
            """Nothing passes any more."""
            passed.wait(0.3)
            seen[:] = [weir.metric("weir_listener_sent_bytes_total"), seen[0]]
            return seen[0] == seen[1]
        wait_for(is_still, "all windows to be full")
        bytes_each = (weir.resident() - before) / count
        print(f"a client that takes nothing: {bytes_each:.0f} bytes each, of {count}")
        assert bytes_each <= ACTIVE_MAX


# --- a cap -----------------------------------------------------------------------------------------

CAP = 128 << 20


class Group:
    """A control group with CAP of memory, of version 1 or 2; None where nobody here may make one."""

    def __init__(self, path, usage, limit, killed):
        self.path, self.usage, self.killed = path, usage, killed
        (path / limit).write_text(str(CAP))
        self.inside = ["sh", "-c", f'echo $$ >{path}/cgroup.procs && exec "$@"', "sh"]

    @classmethod
    def make(cls):
        for root, *files in (("/sys/fs/cgroup/memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "memory.oom_control"),
                             ("/sys/fs/cgroup", "memory.current", "memory.max", "memory.events")):
            path = pathlib.Path(root) / f"weir-test-{os.getpid()}"
            with contextlib.suppress(OSError):
                path.mkdir()
                try:
                    return cls(path, *files)
                except OSError:
                    path.rmdir()
        return None

    def used(self):
        return int((self.path / self.usage).read_text())

    def kills(self):
        rows = dict(line.split() for line in (self.path / self.killed).read_text().splitlines())
        return int(rows.get("oom_kill", 0))

    def remove(self):
        with contextlib.suppress(OSError):
            self.path.rmdir()


@contextlib.contextmanager
def capped(up, **options):
    """(gateway, bytes that it may have, what holds it to them, what it has of them): a control group; else the limit of the address
    space; with sanitizers, which need more and keep what is freed for a while, half as much again as overload.memory says beyond what
    they need: 240 MiB of bodies alone would be more than that."""
    group = Group.make() if not is_sanitized() else None
    if group:
        try:
            with Weir(up, wrapper=group.inside, **options) as weir:
                yield weir, CAP, "a control group", group.used
                assert group.kills() == 0
        finally:
            group.remove()
    elif not is_sanitized():
        with Weir(up, wrapper=["prlimit", f"--as={CAP}"], **options) as weir:
            yield weir, CAP, "RLIMIT_AS", weir.resident
    else:
        with Weir(up, **options) as weir:
            resident = weir.resident()
        with Weir(up, overload={"memory": f"{resident + CAP}B"}, **options) as weir:
            yield weir, resident + CAP * 3 // 2, f"overload.memory, beyond the {resident >> 20} MiB of the sanitizers", weir.resident


def bodies(weir, stack):
    """Kept, so that they can be sent again: 240 MiB, none of them complete."""
    body = b"x" * (6 << 20)
    for _ in range(40):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", weir.port), 20))
        yield lambda sock=sock: sock.sendall(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % (len(body) + 1) + body)


def heads(weir, stack):
    """30 KiB each, and no end of them."""
    for _ in range(1500):
        sock = stack.enter_context(socket.create_connection(("127.0.0.1", weir.port), 20))
        yield lambda sock=sock: sock.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"y" * (30 << 10))


def streams(weir, stack):
    """Of HTTP/2, a hundred on each connection, with fields and the beginning of a body, and windows that stay shut."""
    for _ in range(40):
        h2 = stack.enter_context(H2(weir.port, settings={4: 0}))

        def send(h2=h2):
            for _ in range(100):
                number = h2.request("POST", end=False, extra=[("x-fill", "z" * 4000)])
                h2.data(number, b"x" * 600)
        yield send


def messages(weir, stack):
    """Of WebSockets, 1 MiB of a message that goes on."""
    for _ in range(100):
        client = stack.enter_context(wsraw.WsClient(weir.port, path="/ws", opens=False))
        if client.answer is not None and client.answer.status == 101:
            yield lambda client=client: client.sock.sendall(wsraw.frame(wsraw.TEXT, b"w" * (1 << 20), fin=False, mask=b"abcd"))


def script(peer):
    while (request := peer.request()) is not None:
        if b"upgrade: websocket" in request[0].lower():
            wsraw.WsPeer(peer, request[0]).accept()
            return  # and takes nothing
        peer.ok()


@pytest.mark.soak
def test_128_mib_and_everything_at_once():
    accounts = {"accounts": [{"name": f"a{i}", "headers": {"x-api-key": f"k{i}"}, "max_connections": 400} for i in range(2)]}
    pool = {"max_connections": 2000, "headers_timeout": "20s", "request_timeout": "20s", "keepalive_timeout": "20s"}
    with Upstream(script) as up, capped(up, upstream_options=accounts, pool=pool,
                                        upstream_pool={"max_connections": 800, "max_per_endpoint": 800}) as (weir, cap, how, used), \
            contextlib.ExitStack() as stack:
        said, most, levels, over = {}, [0], set(), threading.Event()

        def others():
            while not over.is_set():
                answer = weir.ask()
                word = answer.status if answer else "closed"
                said[word] = said.get(word, 0) + 1
                most[0] = max(most[0], used())
                levels.add(json.loads(weir.admin("/api/v1/process").text)["overload"]["level"])
                over.wait(0.02)

        watcher = threading.Thread(target=others)
        watcher.start()
        try:
            sent = 0
            for flood in (bodies, heads, streams, messages):
                with contextlib.suppress(OSError):  # it may have had enough
                    for send in flood(weir, stack):
                        with contextlib.suppress(OSError):
                            send()
                            sent += 1
        finally:
            over.set()
            watcher.join()
        print(f"{how}: {sent} of the flood were taken, {most[0] >> 20} MiB of {cap >> 20} at most, {sorted(levels)}; others were told {said}")
        assert weir.process.poll() is None and most[0] <= cap
        assert set(said) <= {200, 503, "closed"} and said.get(200, 0) > 0
        stack.close()
        wait_for(lambda: weir.ask().status == 200, "calm", 60, 0.2)
        wait_for(lambda: weir.metric("weir_overload_level") == 0, "the level to say so", 60, 0.2)
