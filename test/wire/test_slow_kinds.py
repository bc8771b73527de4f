# SPDX-License-Identifier: Apache-2.0
"""Every kind of slowness, of clients and of upstreams: each ends in the time configured for it, and nobody who asks meanwhile waits
for longer than 50 ms because of it (beside.py). All kinds at once here; in `make soak` one after the other, too, twenty of each."""
import contextlib
import os
import socket
import ssl
import threading
import time

import pytest

import certs
import wsraw
from beside import must_not_be_felt
from h2raw import H2, PREFACE, raw
from test_proxy_protocol import V1
from weirtest import Client, Upstream, Weir, free_port

SOAK = bool(os.environ.get("WEIR_SOAK"))
EACH = 20 if SOAK else 5
SHORT = 0.5  # seconds, of each time-out
MARGIN = 4.0  # for a machine that has other things to do
TIMES = {name: f"{int(SHORT * 1000)}ms" for name in
         ("headers_timeout", "request_timeout", "keepalive_timeout", "idle_timeout", "write_timeout", "tls_timeout")}
BIG = 64 << 20
GET = b"GET %s HTTP/1.1\r\nHost: t\r\n"
POST = b"POST / HTTP/1.1\r\nHost: t\r\n"


class Slow:
    """One slow client: `drip` goes out a byte at each look; it is over when the gateway has closed, or has answered where
    `answers`."""

    def __init__(self, sock, drip=b"", reads=1 << 16, answers=False):
        sock.setblocking(False)
        self.sock, self.drip, self.reads, self.answers, self.heard, self.at = sock, drip, reads, answers, b"", 0

    def is_over(self):
        try:
            if self.at < len(self.drip):
                self.sock.send(self.drip[self.at:self.at + 1])
                self.at += 1
            heard = self.sock.recv(self.reads)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        self.heard = (self.heard + heard)[:65536]
        return not heard or (self.answers and b"\r\n\r\n" in self.heard and not self.heard.startswith(b"HTTP/1.1 200"))


class Table:
    """What the kernel knows of connections, as of a moment ago."""
    looked, open = 0.0, frozenset()

    @classmethod
    def is_open(cls, sock):
        """Whether the peer still has it; what lies in our own queue does not count."""
        if time.monotonic() - cls.looked > 0.2:
            with open("/proc/net/tcp", encoding="ascii") as table:
                rows = [line.split()[1:4] for line in table.readlines()[1:]]
            cls.open = frozenset((row[0], row[1]) for row in rows if row[2] == "01")
            cls.looked = time.monotonic()
        return tuple(f"0100007F:{end[1]:04X}" for end in (sock.getpeername(), sock.getsockname())) in cls.open


class Deaf(Slow):
    """Takes next to nothing of what it asked for."""

    def __init__(self, sock):
        super().__init__(sock, reads=1)
        self.begun = time.monotonic()

    def is_over(self):
        with contextlib.suppress(OSError):
            self.sock.recv(self.reads)
        try:
            return time.monotonic() - self.begun > 0.3 and not Table.is_open(self.sock)
        except OSError:  # reset
            return True


class Deafer(Deaf):
    """Takes nothing."""

    def __init__(self, sock):
        super().__init__(sock)
        self.reads = 0


def upstream(peer):
    while (request := peer.request()) is not None:
        path = request[0].split(b" ")[1]
        if b"upgrade: websocket" in request[0].lower():
            wsraw.echo(wsraw.WsPeer(peer, request[0]).accept())
            return
        if path == b"/big":
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)  # else they fill what others need to run
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            for _ in range(BIG >> 20):
                peer.send(b"x" * (1 << 20))
        elif path == b"/silent":
            peer.recv()
        elif path == b"/drips":
            for byte in b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000:
                peer.send(bytes([byte]))
                peer.over.wait(0.05)
        elif path == b"/stalls":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            peer.recv()
        else:
            peer.ok()


def says_nothing(peer):
    while peer.recv():
        pass


class World:
    """A gateway with a listener for each way in, and an upstream for each way to be slow."""

    def __init__(self, stack):
        over = threading.Event()
        stack.callback(over.set)

        def script(peer):
            peer.over = over
            upstream(peer)
        authority = stack.enter_context(certs.Authority())
        certificate, key = authority.sign("localhost")
        self.up, self.mute = stack.enter_context(Upstream(script)), stack.enter_context(Upstream(says_nothing))
        self.full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        self.waiting = []
        for _ in range(4):  # from then on nobody gets through to it
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(self.full.getsockname())
        self.ports = {"port": free_port(), "admin": free_port(), "tls": free_port(), "announced": free_port()}
        self.trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.trust.check_hostname, self.trust.verify_mode = False, ssl.CERT_NONE
        pool = {"first_byte_timeout": TIMES["idle_timeout"], "read_timeout": TIMES["idle_timeout"],
                "connect_timeout": TIMES["idle_timeout"], "tls_timeout": TIMES["idle_timeout"], "max_connections": 300, "max_per_endpoint": 300}
        mute = f"127.0.0.1:{self.mute.port}"
        upstreams = {"up": {"endpoints": [{"url": self.up.url}]},
                     "tls": {"endpoints": [{"url": f"https://{mute}"}], "tls": {"verify": False}},
                     "proxy": {"endpoints": [{"url": "http://127.0.0.1:9"}], "proxy": f"socks5://{mute}"},
                     "full": {"endpoints": [{"url": f"http://127.0.0.1:{self.full.getsockname()[1]}"}]}}
        routes = [{"match": {"path": f"/{name}"}, "upstream": name} for name in ("tls", "proxy", "full")] + [
            {"match": {"path": "/"}, "upstream": "up"}]
        ways = {"port": {}, "tls": {"tls": {"certificate": certificate, "key": key}}, "announced": {"proxy_protocol": "require"}}
        config = {"workers": 1, "admin": {"address": f"127.0.0.1:{self.ports['admin']}"}, "log": {"access": "off"},
                  "listeners": [{"name": name, "address": f"127.0.0.1:{self.ports[name]}", "routes": routes, "pool": TIMES,
                                 "websocket": {"ping_interval": TIMES["idle_timeout"], "pong_timeout": TIMES["idle_timeout"]},
                                 **more} for name, more in ways.items()],
                  "upstreams": [{"name": name, "pool": pool, **more} for name, more in upstreams.items()]}
        self.weir = stack.enter_context(Weir(config=config, ports=self.ports))
        self.stack = stack

    def sock(self, sent=b"", way="port", room=None):
        sock = self.stack.enter_context(socket.socket())
        if room:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        sock.settimeout(20)
        sock.connect(("127.0.0.1", self.ports[way]))
        sock.sendall(sent)
        return sock


def sends(sent, drip=b"", way="port"):
    return lambda world: Slow(world.sock(sent, way), drip)


def asks(path):
    return lambda world: Slow(world.sock(GET % path + b"\r\n"), answers=True)


def after_an_answer(more):
    def begin(world):
        client = Client(world.ports["port"])
        world.stack.enter_context(client)
        assert client.get().final().status == 200
        client.send(more)
        return Slow(client.sock)
    return begin


def wants_much(kind):
    return lambda world: kind(world.sock(GET % b"/big" + b"\r\n", room=4096))


def over_h2(then, settings=None):
    def begin(world):
        h2 = world.stack.enter_context(H2(world.ports["port"], settings=settings))
        then(h2)
        return Slow(h2.sock)
    return begin


def no_end_of_head(h2):
    h2.send(raw(1, 1, 1, h2.encoder.encode(h2.fields())[:3]))


def over_tls(world):
    return Slow(world.stack.enter_context(world.trust.wrap_socket(world.sock(way="tls"))))


def websocket(then):
    def begin(world):
        client = world.stack.enter_context(wsraw.WsClient(world.ports["port"], path="/ws"))
        client.send(then)
        return Slow(client.sock)
    return begin


KINDS = {
    "says nothing": sends(b""),
    "a letter": sends(b"G"),
    "half of a head": sends(GET % b"/"),
    "a head letter by letter": sends(b"", GET % (b"/" + b"x" * 5000)),
    "fields without end": sends(GET % b"/", b"X: y\r\n" * 2000),
    "a body that does not come": sends(POST + b"Content-Length: 100000\r\n\r\n"),
    "chunks that do not come": sends(POST + b"Transfer-Encoding: chunked\r\n\r\n"),
    "a body byte by byte": sends(POST + b"Content-Length: 100000\r\n\r\n", b"x" * 2000),
    "a chunk's size digit by digit": sends(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"0" * 14),
    "trailers without end": sends(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 2000),
    "nothing after an answer": after_an_answer(b""),
    "half of another head after an answer": after_an_answer(GET % b"/"),
    "reads nothing": wants_much(Deafer),
    "reads byte by byte": wants_much(Deaf),
    "half of HTTP/2's preface": sends(PREFACE[:18]),
    "HTTP/2 without a request": over_h2(lambda h2: None),
    "HTTP/2's head without an end": over_h2(no_end_of_head),
    "HTTP/2's body that does not come": over_h2(lambda h2: h2.request("POST", end=False)),
    "HTTP/2's window stays shut": over_h2(lambda h2: h2.request(path="/big"), settings={4: 0}),
    "half of a ClientHello": sends(b"\x16\x03\x01\x02\x00\x01", way="tls"),
    "TLS, and nothing more": over_tls,
    "half of a PROXY header": sends(V1[:20], way="announced"),
    "half of a WebSocket's frame": websocket(wsraw.frame(wsraw.TEXT, b"x" * 100, mask=b"abcd")[:20]),
    "a WebSocket that hears no ping": websocket(b""),
    "an upstream that says nothing": asks(b"/silent"),
    "an upstream's head letter by letter": asks(b"/drips"),
    "an upstream's body that stops": asks(b"/stalls"),
    "an upstream without a handshake": asks(b"/tls"),
    "a proxy that says nothing": asks(b"/proxy"),
    "an upstream that takes nobody": asks(b"/full"),
}


@pytest.fixture(scope="module")
def world():
    with contextlib.ExitStack() as stack:
        yield World(stack)


@pytest.mark.soak
@pytest.mark.parametrize("kinds", [tuple(KINDS), *([(kind,) for kind in KINDS] if SOAK else [])],
                         ids=lambda kinds: kinds[0] if len(kinds) == 1 else f"{len(kinds)} kinds at once")
def test_each_ends_in_its_time_and_others_do_not_notice(world, kinds):
    assert len(KINDS) >= 23
    must_not_be_felt(world.weir, lambda: each_ends_in_its_time(world, kinds))


def each_ends_in_its_time(world, kinds):
    begun, slow, took = {}, [], {}
    for kind in kinds:
        begun[kind] = time.monotonic()
        slow += [(kind, KINDS[kind](world)) for _ in range(EACH)]
    pause = threading.Event()
    while slow:
        over = [it for it in slow if it[1].is_over()]
        for kind, _ in over:
            took[kind] = time.monotonic() - begun[kind]
        slow = [it for it in slow if it not in over]
        late = {kind for kind, _ in slow if time.monotonic() - begun[kind] > 3 * SHORT + MARGIN}
        assert not late, (late, [it[1].heard[:300] for it in slow][:3])
        pause.wait(0.002)
    early = {kind for kind in kinds if took[kind] < SHORT / 2}
    assert not early, early
    print(f"{len(kinds)} kinds, {EACH} of each: ended within {max(took.values()):.1f} s ({max(took, key=took.get)})")
