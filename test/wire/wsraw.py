# SPDX-License-Identifier: Apache-2.0
"""WebSocket by hand: frames as bytes, right and wrong ones; a client and the script of a server."""
import base64
import hashlib
import os
import struct

from weirtest import DEADLINE, Client, Upstream

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def accept_of(key):
    """RFC 6455 §4.2.2"""
    return base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()


def mask_of(data, mask):
    long = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(long, "big")).to_bytes(len(data), "big")


def frame(opcode, data=b"", fin=True, rsv=0, mask=None, length=None, size=None):
    """`mask`: four bytes, or None. `length`: what the head says, instead of the truth; `size`: in so many
    bytes (0, 2, 8), instead of the shortest."""
    if isinstance(data, str):
        data = data.encode()
    n = len(data) if length is None else length
    size = (0 if n < 126 else 2 if n < 65536 else 8) if size is None else size
    word = {0: n, 2: 126, 8: 127}[size]
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode, (0x80 if mask else 0) | word])
    if size:
        head += n.to_bytes(size, "big")
    return head + (mask + mask_of(data, mask) if mask else data)


def close_payload(code, reason=""):
    return struct.pack(">H", code) + reason.encode()


class Frame:
    def __init__(self, first, second, data, raw):
        self.fin, self.rsv, self.opcode = bool(first & 0x80), first >> 4 & 7, first & 15
        self.masked = bool(second & 0x80)
        self.data, self.raw = data, raw

    @property
    def code(self):
        return struct.unpack(">H", self.data[:2])[0] if len(self.data) >= 2 else None

    def __repr__(self):
        return f"<{self.opcode} fin={self.fin} rsv={self.rsv} {len(self.data)}: {self.data[:40]!r}>"


class Reader:
    """Frames out of what `more()` brings."""

    def __init__(self, more, buffer=b""):
        self.more, self.buffer = more, buffer

    def _take(self, n):
        while len(self.buffer) < n:
            data = self.more()
            if not data:
                return None
            self.buffer += data
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def frame(self):
        """The next frame; None at the end."""
        head = self._take(2)
        if head is None:
            return None
        n, raw = head[1] & 127, head
        if n > 125:
            more = self._take(2 if n == 126 else 8)
            if more is None:
                return None
            raw, n = raw + more, int.from_bytes(more, "big")
        mask = b""
        if head[1] & 0x80:
            mask = self._take(4)
            if mask is None:
                return None
        data = self._take(n)
        if data is None:
            return None
        return Frame(head[0], head[1], mask_of(data, mask) if mask else data, raw + mask + data)


class WsClient(Client):
    """A client that opens a WebSocket and then says what it likes."""

    def __init__(self, port, path="/", headers="", key=KEY, ahead=b"", opens=True, tls=None, **options):
        super().__init__(port, **options)
        if tls:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.key = key
        host = "localhost" if tls else "t"
        self.send((f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n").encode() + ahead)
        self.answer = self.response()
        if opens:
            assert self.answer is not None and self.answer.status == 101, self.answer
            assert self.answer.header("sec-websocket-accept") == accept_of(key), self.answer.fields
            self.reader = Reader(self._bytes, self.buffer)

    def _bytes(self):
        try:
            return self.sock.recv(65536)
        except ConnectionResetError:
            return b""

    def say(self, opcode, data=b"", mask=b"\x11\x22\x33\x44", **how):
        return self.send(frame(opcode, data, mask=mask, **how))

    def frame(self):
        return self.reader.frame()

    def message(self):
        """The next data frame's payload; pings of the gateway are answered."""
        while (got := self.frame()) is not None:
            if got.opcode == PING:
                self.say(PONG, got.data)
            elif got.opcode in (CONT, TEXT, BINARY):
                return got.data
            else:
                return got
        return None

    def until_close(self):
        """What the other end said last: its close frame, or None where there was none."""
        while (got := self.frame()) is not None:
            if got.opcode == CLOSE:
                return got
        return None


class WsPeer:
    """The server's end of one connection that an Upstream accepted."""

    def __init__(self, peer, head):
        self.peer, self.head = peer, head
        self.reader = Reader(self._bytes, peer.buffer)
        peer.buffer = b""

    def _bytes(self):
        try:
            return self.peer.recv()
        except ConnectionResetError:
            return b""

    def field(self, name):
        for line in self.head.decode("latin-1").split("\r\n"):
            if line.lower().startswith(name.lower() + ":"):
                return line.partition(":")[2].strip()
        return None

    def accept(self, headers="", ahead=b"", accept=None):
        self.peer.send((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        f"Sec-WebSocket-Accept: {accept or accept_of(self.field('sec-websocket-key'))}\r\n"
                        f"{headers}\r\n").encode() + ahead)
        return self

    def say(self, opcode, data=b"", **how):
        self.peer.send(frame(opcode, data, **how))

    def frame(self):
        return self.reader.frame()


def upstream(script, address=("127.0.0.1", 0), **accept):
    """An Upstream whose script is a function of one WsPeer, open already."""
    def run(peer):
        head = peer.head()
        if head is not None:
            script(WsPeer(peer, head).accept(**accept))
    return Upstream(run, address=address)


def echo(ws):
    """Frames come back as they went, without their mask; a ping is answered, a close as well."""
    while (got := ws.frame()) is not None:
        if got.opcode == PING:
            ws.say(PONG, got.data)
        elif got.opcode == CLOSE:
            ws.say(CLOSE, got.data)
            return
        elif got.opcode != PONG:
            ws.say(got.opcode, got.data, fin=got.fin, rsv=got.rsv)


def nonce():
    return base64.b64encode(os.urandom(16)).decode()


def hold(ws):
    """Says nothing, reads everything: until the end."""
    while ws.frame() is not None:
        pass


def deaf(ws, until):
    """Neither says nor reads, until it is told or the connection ends."""
    until.wait(DEADLINE)


