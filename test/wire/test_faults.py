# SPDX-License-Identifier: Apache-2.0
"""System calls that fail, clocks that jump, waves that leave nothing behind: who asks is answered all the same.

faults.c is loaded before the program, with all its sanitizers; a test steers it while requests go on. The long forms of these
tests (WEIR_SOAK, `make soak`) ask ten times as often.
"""
import mmap
import os
import random
import ssl
import struct
import tempfile
import threading
import time

import pytest

import certs
from test_overload import is_sanitized
from weirtest import WEIR, Upstream, Weir, wait_for

LIBRARY = WEIR.parent / "test" / "libfaults.so"
TIMES = 10 if os.environ.get("WEIR_SOAK") else 1
WORDS = ("io_percent", "open_percent", "wall_ms", "shorter", "interrupted", "without_descriptor", "refused", "times")
DAY, HOUR = 86400, 3600


class Faults:
    """What is done to a program that runs in `environment`, from when it is said until it is taken back."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="weir-faults-")
        self.file.truncate(4096)
        self.words = mmap.mmap(self.file.fileno(), 4096)
        self.environment = {"WEIR_FAULTS": self.file.name, "LD_PRELOAD": str(LIBRARY.resolve())}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.words.close()
        self.file.close()

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("<q", self.words, 8 * WORDS.index(name), value)

    def count(self, name):
        return struct.unpack_from("<q", self.words, 8 * WORDS.index(name))[0]


class FaultyWeir(Weir):
    def __init__(self, faults, *args, **options):
        options["env"] = {**faults.environment, "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=4:verify_asan_link_order=0"}
        super().__init__(*args, **options)


@pytest.fixture
def faults():
    with Faults() as it:
        yield it


def echo(peer):
    """Says what it was sent, in chunks of odd sizes."""
    while (request := peer.request()) is not None:
        head, body = request
        if b"transfer-encoding: chunked" in head.lower():
            body = unchunked(body)
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 7001):
            piece = body[at:at + 7001]
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        peer.send("0\r\n\r\n")


def unchunked(body):
    plain, at = b"", 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].split(b";")[0], 16)
        if size == 0:
            return plain
        plain += body[end + 2:end + 2 + size]
        at = end + 2 + size + 2


class Askers:
    """So many clients at once that each ask so often, and all that they were told."""

    def __init__(self, weir, clients, each, keep=True, over_tls=False):
        self.weir, self.each, self.keep, self.over_tls = weir, each, keep, over_tls
        self.right, self.statuses, self.wrong = 0, {}, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(number,), daemon=True) for number in range(clients)]

    def client(self):
        client = self.weir.client()
        if self.over_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            client.sock = context.wrap_socket(client.sock)
        return client

    def run(self, number):
        chance, client = random.Random(number), None
        for turn in range(self.each):
            body = chance.randbytes(chance.choice((0, 1, 500, 20000)))
            try:
                client = client or self.client()
                client.send(b"POST /%d/%d HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % (number, turn, len(body)) + body)
                answer = client.final("POST")
                with self.lock:
                    if answer is None or not answer.complete:
                        self.wrong.append(f"{number}/{turn}: {answer}")
                    elif answer.status == 200 and answer.body != body:
                        self.wrong.append(f"{number}/{turn}: another's answer, or a spoiled one")
                    else:
                        self.statuses[answer.status] = self.statuses.get(answer.status, 0) + 1
                if answer is None or not self.keep or (answer.header("connection") or "") == "close":
                    client = client.close()
            except OSError as error:
                with self.lock:
                    self.wrong.append(f"{number}/{turn}: {error}")
                client = client.close() if client else None
        if client:
            client.close()

    def all(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(120 * TIMES)
            assert not thread.is_alive(), "somebody is not answered"
        return self


@pytest.fixture(scope="module")
def tls():
    with certs.Authority() as authority:
        certificate, key = authority.sign("localhost")
        yield {"certificate": certificate, "key": key}


@pytest.mark.soak
@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
def test_short_and_interrupted_calls_change_no_answer(faults, tls, over_tls):
    """30 % of reads, writes and waits: 1000 of 1000 requests are answered, each with its own body."""
    with Upstream(echo) as upstream, FaultyWeir(faults, upstream, workers=2, listener={"tls": tls} if over_tls else {}) as weir:
        faults.set(io_percent=30)
        askers = Askers(weir, 10, 100 * TIMES, over_tls=over_tls).all()
        faults.set(io_percent=0)
        assert not askers.wrong, askers.wrong[:5]
        assert askers.statuses == {200: 1000 * TIMES}, askers.statuses
        assert faults.count("shorter") > 1000 and faults.count("interrupted") > 1000
        wait_for(lambda: len(weir.access()) == 1000 * TIMES, "a line of the log for each")


@pytest.mark.soak
def test_no_descriptor_and_refused_dials(faults):
    """Every tenth socket cannot be had, every tenth dial is refused: everybody has an answer, if not always the wished one, and
    as soon as it is over everything is as before."""
    with Upstream(echo) as upstream, FaultyWeir(faults, upstream, workers=2,
                                                          upstream_pool={"retry_first": "1ms", "retry_cap": "10ms", "down_for": "200ms", "max_uses": 1}) as weir:
        assert weir.ask().status == 200
        descriptors = weir.descriptors()
        faults.set(io_percent=10, open_percent=10)
        askers = Askers(weir, 10, 100 * TIMES, keep=False).all()
        faults.set(io_percent=0, open_percent=0)
        assert not askers.wrong, askers.wrong[:5]
        assert sum(askers.statuses.values()) == 1000 * TIMES and set(askers.statuses) <= {200, 502, 503, 504}, askers.statuses
        assert askers.statuses[200] > 700 * TIMES, askers.statuses  # about a fifth of dials fails, and one is tried again
        assert faults.count("without_descriptor") > 50 and faults.count("refused") > 50
        wait_for(lambda: weir.ask().status == 200, "calm")
        wait_for(lambda: weir.descriptors() <= descriptors + 20, "descriptors to be back")


@pytest.mark.parametrize("jump", [-HOUR, DAY], ids=["an hour back", "a day forward"])
def test_the_wall_clock_jumps(faults, jump):
    """Time-outs, idle connections and conversations go by a clock that nobody sets."""
    def script(peer):
        while (request := peer.request()) is not None:
            if b"/hang" in request[0]:
                continue
            peer.ok()

    with Upstream(script) as upstream, \
            FaultyWeir(faults, upstream, workers=1, pool={"keepalive_timeout": "3s"}, upstream_pool={"first_byte_timeout": "2s"},
                       upstream_options={"accounts": [{"name": name, "headers": {"x-api-key": name}} for name in "abcd"]},
                       routes=[{"match": {"path": "/"}, "upstream": "up",
                                "affinity": {"sources": ["session_header"], "ttl": "30m"}}]) as weir:
        def key_of(session):
            answer = weir.ask("/", headers=f"X-Session-Id: {session}\r\n")
            assert answer.status == 200
            return upstream.bytes.rpartition(b"x-api-key: ")[2][:1]

        before = {n: key_of(f"conversation-{n}") for n in range(8)}
        with weir.client() as kept, weir.client() as hanging:
            assert kept.get().final().status == 200
            begun = time.monotonic()
            hanging.get("/hang")
            faults.set(wall_ms=jump * 1000)
            idle = time.monotonic()
            assert kept.get().final().status == 200  # it was not idle for a day
            assert hanging.final().status == 504
            assert 1.5 < time.monotonic() - begun < 8
            assert kept.closed(20) and 2.5 < time.monotonic() - idle < 13
        assert {n: key_of(f"conversation-{n}") for n in range(8)} == before
        assert faults.count("times") > 10
        stamps = [row["time"] for row in weir.access()]
        day = (stamps[0][:10], stamps[-1][:13])
        assert (stamps[-1] < stamps[0]) if jump < 0 else day[1][:10] > day[0], stamps  # the log does tell the time


@pytest.mark.soak
def test_ten_waves_leave_nothing():
    """Ten times as many clients as usual, ten times over: descriptors are back to the last one, memory within 1 MiB."""
    def ebb(weir):
        wait_for(lambda: weir.metric("weir_pool_connections", pool="listener:web") == 0
                 and weir.metric("weir_pool_connections", pool="up") == 0, "calm")

    def wave(weir):
        clients = [weir.client() for _ in range(200)]
        for _ in range(3):
            for client in clients:
                client.get()
            for client in clients:
                assert client.response().status == 200
        for client in clients:
            client.close()
        ebb(weir)

    with Upstream() as upstream, Weir(upstream, pool={"keepalive_timeout": "2s"},
                                      upstream_pool={"max_connections": 300, "max_per_endpoint": 300, "idle_timeout": "500ms"}) as weir:
        for _ in range(3):  # what a wave needs is there then
            wave(weir)
        descriptors, resident = weir.descriptors(), weir.resident()
        for _ in range(10 * TIMES):
            wave(weir)
        wait_for(lambda: weir.descriptors() <= descriptors, "the last one to be closed")  # who asked for figures has just left
        grown = weir.resident() - resident
        most = (1 << 20) + is_sanitized() * (1 << 20)  # which keep some of what was freed
        assert grown <= most, f"grew by {grown >> 10} KiB"
