# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 and RFC 7541 turned round: what a server must not do, frame by frame, and what becomes of it.

Each case is what the server says instead of an answer on stream 1, and how that has to end: "conn" (GOAWAY or
the connection closes; 502), "stream" (RST_STREAM; 502, and the connection serves on), "fine" (200). Both the
wire tests and make conform-h2 run them.
"""
import contextlib
import socket
import struct
import threading

import hpack
from weirtest import DEADLINE, wait_for

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONT = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    size = len(payload) if length is None else length
    return struct.pack(">I", size)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def fields(*pairs):
    return hpack.Encoder().encode([(":status", "200"), *pairs] if not pairs or pairs[0][0] != "raw" else list(pairs[1:]))


def head(*pairs, flags=END_HEADERS):
    return frame(HEADERS, flags, 1, fields(*pairs))


OK = head(flags=END_HEADERS | END_STREAM)
RAW = ("raw", "")
CASES = {
    "4.1 unknown frame types are ignored": ("fine", frame(0xbe, 0xff, 1, b"x") + frame(0xbf, 1, 0, b"y") + OK),
    "4.1 the reserved bit is ignored": ("fine", frame(SETTINGS, 0, 1 << 31) + OK),
    "4.1 undefined flags are ignored": ("fine", frame(PING, 0xf0, 0, b"12345678") + OK),
    "4.2 a frame beyond SETTINGS_MAX_FRAME_SIZE": ("conn", head() + frame(DATA, END_STREAM, 1, b"x" * 16385)),
    "4.2 HEADERS beyond SETTINGS_MAX_FRAME_SIZE": ("conn", frame(HEADERS, 5, 1, b"x" * 16385)),
    "4.3 a field block that does not decompress": ("conn", frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff")),
    "4.3 another frame inside a field block": ("conn", head(flags=0) + frame(PING, 0, 0, b"12345678")),
    "5.1 DATA on an idle stream": ("conn", frame(DATA, END_STREAM, 9, b"x")),
    "5.1 HEADERS on an idle stream": ("conn", frame(HEADERS, 5, 9, fields())),
    "5.1 RST_STREAM on an idle stream": ("conn", frame(RST, 0, 9, b"\0\0\0\0")),
    "5.1 WINDOW_UPDATE on an idle stream": ("conn", frame(WINDOW, 0, 9, b"\0\0\0\1")),
    "5.1.1 a stream that the server opens": ("conn", frame(HEADERS, 5, 2, fields())),
    "5.1 DATA before HEADERS": ("any", frame(DATA, 0, 1, b"x") + OK),
    "5.5 an extension frame inside a field block": ("conn", head(flags=0) + frame(0xbe)),
    "6.1 DATA on stream 0": ("conn", frame(DATA, 0, 0, b"x")),
    "6.1 padding longer than DATA": ("conn", head() + frame(DATA, PADDED | END_STREAM, 1, b"\x09x")),
    "6.2 HEADERS on stream 0": ("conn", frame(HEADERS, 5, 0, fields())),
    "6.2 padding longer than HEADERS": ("conn", frame(HEADERS, 5 | PADDED, 1, b"\xff" + fields())),
    "6.2 padded and prioritised HEADERS": ("fine", frame(HEADERS, 5 | PADDED | PRIO, 1,
                                                         b"\x02" + b"\0\0\0\0\x10" + fields() + b"\0\0")),
    "6.3 PRIORITY is ignored": ("fine", frame(PRIORITY, 0, 1, b"\0\0\0\x03\x10") + OK),
    "6.3 PRIORITY on stream 0": ("conn", frame(PRIORITY, 0, 0, b"\0\0\0\x03\x10")),
    "6.4 RST_STREAM on stream 0": ("conn", frame(RST, 0, 0, b"\0\0\0\0")),
    "6.4 RST_STREAM of five bytes": ("conn", frame(RST, 0, 1, b"\0\0\0\0\0")),
    "6.5 SETTINGS ACK with a payload": ("conn", frame(SETTINGS, ACK, 0, b"\0\1\0\0\0\0")),
    "6.5 SETTINGS on a stream": ("conn", frame(SETTINGS, 0, 1)),
    "6.5 SETTINGS of seven bytes": ("conn", frame(SETTINGS, 0, 0, b"\0" * 7)),
    "6.5.2 ENABLE_PUSH of one": ("conn", frame(SETTINGS, 0, 0, b"\0\2\0\0\0\1")),
    "6.5.2 INITIAL_WINDOW_SIZE beyond 2^31-1": ("conn", frame(SETTINGS, 0, 0, b"\0\4\x80\0\0\0")),
    "6.5.2 MAX_FRAME_SIZE of 16383": ("conn", frame(SETTINGS, 0, 0, b"\0\5\0\0\x3f\xff")),
    "6.5.2 MAX_FRAME_SIZE beyond 2^24-1": ("conn", frame(SETTINGS, 0, 0, b"\0\5\1\0\0\0")),
    "6.5.2 unknown settings are ignored": ("fine", frame(SETTINGS, 0, 0, b"\xbe\xef\0\0\0\0") + OK),
    "6.6 PUSH_PROMISE after ENABLE_PUSH 0": ("conn", frame(PUSH, 4, 1, b"\0\0\0\2" + fields())),
    "6.7 PING on a stream": ("conn", frame(PING, 0, 1, b"12345678")),
    "6.7 PING of six bytes": ("conn", frame(PING, 0, 0, b"123456")),
    "6.7 an unasked PING ACK": ("fine", frame(PING, ACK, 0, b"12345678") + OK),
    "6.8 GOAWAY on a stream": ("conn", frame(GOAWAY, 0, 1, b"\0" * 8)),
    "6.9 WINDOW_UPDATE of zero on the connection": ("conn", frame(WINDOW, 0, 0, b"\0\0\0\0")),
    "6.9 WINDOW_UPDATE of three bytes": ("conn", frame(WINDOW, 0, 0, b"\0\0\1")),
    "6.9.1 a connection window beyond 2^31-1": ("conn", frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff")),
    "6.9.1 a stream window beyond 2^31-1": ("stream", frame(WINDOW, 0, 1, b"\x7f\xff\xff\xff")),
    "6.9.1 more DATA than the window": ("window", head() + frame(DATA, 0, 1, b"x" * 16384) * 2048),
    "6.10 CONTINUATION without HEADERS": ("conn", frame(CONT, 4, 1, fields())),
    "6.10 CONTINUATION on another stream": ("conn", head(flags=0) + frame(CONT, 4, 3, b"")),
    "6.10 CONTINUATION in pieces": ("fine", frame(HEADERS, 1, 1, b"\x88") + frame(CONT, 0, 1) + frame(CONT, 4, 1)),
    "8.1 trailers without END_STREAM": ("stream", head() + frame(HEADERS, 4, 1, hpack.Encoder().encode([("a", "b")]))),
    "8.1 END_STREAM on a 1xx": ("stream", frame(HEADERS, 5, 1, fields(RAW, (":status", "103")))),
    "8.1.1 DATA less than content-length": ("stream", head(("content-length", "9")) + frame(DATA, 1, 1, b"x")),
    "8.1.1 DATA more than content-length": ("stream", head(("content-length", "1")) + frame(DATA, 1, 1, b"xyz")),
    "8.2.1 an upper-case name": ("stream", head(("X-A", "b"))),
    "8.2.1 an empty name": ("stream", head(("", "b"))),
    "8.2.1 a space in a name": ("stream", head(("a b", "c"))),
    "8.2.1 a colon in a name": ("stream", head(("a:b", "c"))),
    "8.2.1 CR in a value": ("stream", head(("a", "b\rc"))),
    "8.2.1 LF in a value": ("stream", head(("a", "b\nc"))),
    "8.2.1 NUL in a value": ("stream", head(("a", "b\0c"))),
    "8.2.1 a space before a value": ("stream", head(("a", " b"))),
    "8.2.1 a space behind a value": ("stream", head(("a", "b "))),
    "8.2.2 connection": ("stream", head(("connection", "keep-alive"))),
    "8.2.2 keep-alive": ("stream", head(("keep-alive", "5"))),
    "8.2.2 proxy-connection": ("stream", head(("proxy-connection", "close"))),
    "8.2.2 transfer-encoding": ("stream", head(("transfer-encoding", "chunked"))),
    "8.2.2 upgrade": ("stream", head(("upgrade", "h2c"))),
    "8.3 a late pseudo-field": ("stream", head(RAW, ("a", "b"), (":status", "200"))),
    "8.3 an unknown pseudo-field": ("stream", head((":new", "x"))),
    "8.3 a request's pseudo-field": ("stream", head((":method", "GET"))),
    "8.3 a pseudo-field in trailers": ("stream", head() + frame(HEADERS, 5, 1, fields())),
    "8.3.2 no :status": ("stream", head(RAW, ("a", "b"))),
    "8.3.2 two of :status": ("stream", head((":status", "200"))),
    "8.6 101 Switching Protocols": ("stream", head(RAW, (":status", "101"))),
    "7541 2.3.3 an index beyond the tables": ("conn", frame(HEADERS, 5, 1, b"\xfe")),
    "7541 4.2 a table size beyond the limit": ("conn", frame(HEADERS, 5, 1, b"\x3f\xff\xff\x03\x88")),
    "7541 4.2 a table size in the middle": ("conn", frame(HEADERS, 5, 1, b"\x88\x20")),
    "7541 5.2 EOS in a Huffman text": ("conn", frame(HEADERS, 5, 1, b"\x88\x00\x81\xff\x84\xff\xff\xff\xff")),
    "7541 5.2 padding of a byte and more": ("conn", frame(HEADERS, 5, 1, b"\x88\x00\x01a\x82\x1f\xff")),
    "7541 6.1 index zero": ("conn", frame(HEADERS, 5, 1, b"\x80")),
}


class RawServer:
    """Says `said` on the first connection's stream 1; answers everything else properly."""

    def __init__(self, said):
        self.said, self.seen, self.conns, self.socks = said, [], 0, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                self.conns += 1
                self.socks.append(sock)
                threading.Thread(target=self.serve, args=(sock, self.conns), daemon=True).start()

    def serve(self, sock, number):
        sock.settimeout(DEADLINE)
        with contextlib.suppress(OSError):
            sock.sendall(frame(SETTINGS))
            buffer = b""
            while data := sock.recv(65536):
                buffer += data
                if buffer.startswith(b"PRI * HTTP/2.0"):
                    if len(buffer) < 24:
                        continue
                    buffer = buffer[24:]
                while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
                    size = int.from_bytes(buffer[:3], "big")
                    kind, flags, stream = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big")
                    buffer = buffer[9 + size:]
                    self.seen.append((number, kind, stream))
                    if kind == SETTINGS and not flags & ACK:
                        sock.sendall(frame(SETTINGS, ACK))
                    elif kind == HEADERS and number == 1 and stream == 1:
                        sock.sendall(self.said)
                    elif kind == HEADERS:
                        sock.sendall(frame(HEADERS, 5, stream, b"\x88"))
        self.seen.append((number, "closed", 0))

    def stop(self):
        self.listener.close()
        for sock in self.socks:
            sock.close()


def judge_window(weir, server, path):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", weir.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        wait_for(lambda: {(1, RST, 1), (1, GOAWAY, 0), (1, "closed", 0)} & set(server.seen), "the window to be kept")
    assert weir.ask(path).status == 200


def judge(weir, server, ends, path="/"):
    """One request to weir, in front of that server, and one more that has to be served."""
    if ends == "window":
        judge_window(weir, server, path)
        return
    answer = weir.ask(path, "Content-Length: 1\r\n", "POST", body=b"x")
    good = answer is not None and answer.status == 200 and answer.complete
    if ends == "fine":
        assert good, answer
    elif ends in ("conn", "stream"):
        assert not good, answer
    if ends == "conn":
        wait_for(lambda: (1, GOAWAY, 0) in server.seen or (1, "closed", 0) in server.seen, "the connection to end")
    assert weir.ask(path).status == 200
    if ends == "stream":
        assert (1, RST, 1) in server.seen and server.conns == 1, server.seen
