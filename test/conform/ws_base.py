# SPDX-License-Identifier: Apache-2.0
"""What cases of WebSocket are made of: how one is told, what it expects.

A case of SERVER takes a Target: something that accepts WebSockets and sends back every message. A case of CLIENT takes
the server's end of a connection that the other end dialled, and it sends back every message as well. Names begin with
the section: of RFC 6455, or, with 7692 in front, of RFC 7692.
"""
import socket

from weirtest import Client
from wsraw import (BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, Reader, accept_of, close_payload, frame)  # noqa: F401

PATIENCE = 6  # s for what is expected
SERVER, CLIENT = [], []
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def _adder(cases):
    def case(name):
        def add(function):
            assert name not in {n for n, _ in cases}, name
            cases.append((name, function))
            return function
        return add
    return case


server_case, client_case = _adder(SERVER), _adder(CLIENT)


class End:
    """One end of an open WebSocket, by hand. `mask`: what its frames are masked with."""

    def __init__(self, sock, buffer, mask):
        self.sock, self.mask = sock, mask
        sock.settimeout(PATIENCE)
        self.reader = Reader(self._more, buffer)
        self.is_closed = False

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            data = b""
        except TimeoutError:
            raise AssertionError("nothing came in time") from None
        self.is_closed = self.is_closed or not data
        return data

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what it said meanwhile is what counts

    def say(self, opcode, data=b"", **how):
        how.setdefault("mask", self.mask)
        self.send(frame(opcode, data, **how))

    def frame(self):
        """The next frame but pings, which are answered."""
        while (got := self.reader.frame()) is not None:
            assert got.masked == (self.mask is None), f"{got}: its mask is wrong"
            if got.opcode != PING:
                return got
            self.say(PONG, got.data)
        return None

    def message(self):
        """(opcode, whole payload, RSV bits of its first frame); fails where it ends or closes."""
        got = self.frame()
        while got is not None and got.opcode == PONG:
            got = self.frame()
        assert got is not None, "it ended"
        assert got.opcode in (TEXT, BINARY), f"{got} instead of a message" + (f" (code {got.code})" if got.opcode == CLOSE else "")
        opcode, data, rsv, fin = got.opcode, got.data, got.rsv, got.fin
        while not fin:
            got = self.frame()
            if got is not None and got.opcode == PONG:
                continue
            assert got is not None and got.opcode == CONT, f"{got} instead of a continuation"
            data, fin = data + got.data, got.fin
        return opcode, data, rsv

    def expect(self, opcode, data):
        if isinstance(data, str):
            data = data.encode()
        got = self.message()
        assert (got[0], got[1]) == (opcode, data), f"got {got[0]} {got[1][:60]!r}, not {data[:60]!r}"

    def echoes(self, opcode, data, **how):
        self.say(opcode, data, **how)
        self.expect(opcode, data)

    def alive(self):
        self.echoes(TEXT, "still there?")

    def pong(self):
        got = self.frame()
        while got is not None and got.opcode in (TEXT, BINARY, CONT):
            got = self.frame()
        assert got is not None and got.opcode == PONG, f"{got} instead of a pong"
        return got.data

    def closes(self, *codes):
        """It says close with one of these codes (None: without one), and then the connection ends."""
        got = self.frame()
        while got is not None and got.opcode != CLOSE:
            got = self.frame()
        assert got is not None, "it ended without a close frame"
        assert got.code in codes, f"close {got.code} ({got.data[2:].decode(errors='replace')}), not {codes}"
        self.say(CLOSE, got.data)
        self.ends()
        return got

    def ends(self):
        try:
            while self.reader.frame() is not None:
                pass
        except AssertionError:
            pass
        assert self.is_closed, "the connection goes on"


class Target:
    """Where a case of SERVER goes to."""

    def __init__(self, port):
        self.port, self.opened = port, []

    def raw(self, text, timeout=PATIENCE):
        """Says it, and returns (client, answer)."""
        client = Client(self.port, timeout=timeout)
        self.opened.append(client)
        client.send(text)
        return client, client.response()

    def ask(self, headers="", method="GET", path="/", version="HTTP/1.1", host="Host: t\r\n", key=KEY, upgrade="websocket",
            connection="Upgrade", number="13", ahead=b"", timeout=PATIENCE):
        """An opening of these parts; None leaves one out."""
        parts = [f"{method} {path} {version}\r\n", host or ""]
        for name, value in (("Upgrade", upgrade), ("Connection", connection), ("Sec-WebSocket-Key", key),
                            ("Sec-WebSocket-Version", number)):
            if value is not None:
                parts.append(f"{name}: {value}\r\n")
        return self.raw("".join(parts).encode() + headers.encode() + b"\r\n" + ahead, timeout)

    def refuses(self, *statuses, **parts):
        _, answer = self.ask(**parts)
        assert answer is not None or None in statuses, "it ended without an answer"
        assert answer is None or answer.status in statuses, f"status {answer.status}, not {statuses}"
        return answer

    def open(self, headers="", mask=b"\x37\xfa\x21\x3d", **parts):
        client, answer = self.ask(headers, **parts)
        assert answer is not None and answer.status == 101, f"not opened: {answer}"
        got = answer.header("sec-websocket-accept")
        assert got == accept_of(parts.get("key", KEY)), f"Sec-WebSocket-Accept {got}"
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = End(client.sock, client.buffer, mask)
        end.answer = answer
        return end

    def close(self):
        for client in self.opened:
            client.close()
