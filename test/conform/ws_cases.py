# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 §§4, 5 and 7 at whoever accepts: openings, frames, fragments, control frames, ends."""
import itertools
import socket

from weirtest import Client
from ws_base import (BINARY, CLIENT, CLOSE, CONT, KEY, PING, PONG, TEXT, client_case, close_payload, frame, server_case)

# --- §4.2.1: what a client's opening must be ---------------------------------------------------------

for name, parts, statuses in [
    ("no key", {"key": None}, (400,)),
    ("an empty key", {"key": ""}, (400,)),
    ("a key of 15 bytes", {"key": "AAAAAAAAAAAAAAAAAAAA"}, (400,)),
    ("a key of 17 bytes", {"key": "AAAAAAAAAAAAAAAAAAAAAAA="}, (400,)),
    ("a key that is not base64", {"key": "!!!!!!!!!!!!!!!!!!!!!!=="}, (400,)),
    ("two keys", {"headers": f"Sec-WebSocket-Key: {KEY}\r\n"}, (400,)),
    ("no version", {"number": None}, (400, 426)),
    *[(f"version {v}", {"number": v}, (400, 426)) for v in ("0", "7", "8", "12", "14", "256", "13a", "-13", "thirteen", "")],
    ("POST", {"method": "POST", "headers": "Content-Length: 0\r\n"}, (400, 405, 426)),
    ("PUT", {"method": "PUT", "headers": "Content-Length: 0\r\n"}, (400, 405, 426)),
    ("DELETE", {"method": "DELETE"}, (400, 405, 426)),
    ("HEAD", {"method": "HEAD"}, (400, 405, 426)),
    ("a body", {"headers": "Content-Length: 3\r\n", "ahead": b"abc"}, (400, 413)),
    ("a chunked body", {"headers": "Transfer-Encoding: chunked\r\n", "ahead": b"0\r\n\r\n"}, (400, 413)),
    ("no Host", {"host": None}, (400,)),
    ("two Hosts", {"host": "Host: a\r\nHost: b\r\n"}, (400,)),
    ("HTTP/1.0", {"version": "HTTP/1.0"}, (200, 400, 426, 505)),
    ("HTTP/2.0 in its line", {"version": "HTTP/2.0"}, (400, 505)),
    ("no Upgrade", {"upgrade": None}, (200, 400, 426)),
    ("Upgrade to something else", {"upgrade": "foo"}, (200, 400, 426)),
    ("no Connection", {"connection": None}, (200, 400, 426)),
    ("Connection that names no upgrade", {"connection": "keep-alive"}, (200, 400, 426)),
    ("a space before a colon", {"headers": "X : y\r\n"}, (400,)),
    ("a folded field", {"headers": "X: y\r\n z\r\n"}, (400,)),
]:
    @server_case(f"4.2.1 refused: {name}")
    def _(t, parts=parts, statuses=statuses):
        t.refuses(*statuses, **parts)

for name, parts in [
    ("as browsers ask", {"headers": "Origin: http://example.org\r\nUser-Agent: x\r\nPragma: no-cache\r\n"}),
    ("Upgrade in capitals", {"upgrade": "WebSocket"}),
    ("Upgrade in screaming capitals", {"upgrade": "WEBSOCKET"}),
    ("Connection in capitals", {"connection": "UPGRADE"}),
    ("Connection with more words", {"connection": "keep-alive, Upgrade"}),
    ("Connection with more words behind", {"connection": "Upgrade , keep-alive"}),
    ("another key", {"key": "x3JJHMbDL1EzLkh9GBhXDw=="}),
    ("a key of zeroes", {"key": "AAAAAAAAAAAAAAAAAAAAAA=="}),
    ("a query", {"path": "/?a=b&c=%20"}),
    ("fields in lower case", {"headers": "sec-websocket-protocol: a\r\n"}),
    ("an extension that nobody knows", {"headers": "Sec-WebSocket-Extensions: foo; bar=baz\r\n"}),
    ("two lines of extensions", {"headers": "Sec-WebSocket-Extensions: foo\r\nSec-WebSocket-Extensions: bar\r\n"}),
]:
    @server_case(f"4.2.1 opened: {name}")
    def _(t, parts=parts):
        t.open(**parts).alive()


@server_case("4.2.2 the answer upgrades to websocket")
def _(t):
    answer = t.open().answer
    assert answer.header("upgrade").lower() == "websocket"
    assert "upgrade" in answer.header("connection").lower()
    assert answer.header("content-length") in (None, "0") and answer.header("transfer-encoding") is None


@server_case("4.2.2 no extension is chosen that was not offered")
def _(t):
    assert t.open().answer.header("sec-websocket-extensions") is None


@server_case("4.2.2 no subprotocol is chosen that was not offered")
def _(t):
    assert t.open().answer.header("sec-websocket-protocol") is None


@server_case("4.4 a version that is not spoken is told which is")
def _(t):
    answer = t.refuses(400, 426, number="99")
    assert "13" in (answer.header("sec-websocket-version") or "")


@server_case("4.1 a frame in the segment of the opening is not lost")
def _(t):
    t.open(ahead=frame(TEXT, "early", mask=b"abcd")).expect(TEXT, "early")


@server_case("4.1 the opening a byte at a time")
def _(t):
    text = (f"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n").encode()
    client = Client(t.port)
    t.opened.append(client)
    for i in range(len(text)):
        client.send(text[i:i + 1])
    assert client.response().status == 101


# --- §5.2: lengths, bits, opcodes --------------------------------------------------------------------

for opcode, size in itertools.product((TEXT, BINARY), (0, 1, 2, 124, 125, 126, 127, 128, 1000, 65534, 65535, 65536, 65537, 200000)):
    @server_case(f"5.2 a {'text' if opcode == TEXT else 'binary'} message of {size}")
    def _(t, opcode=opcode, size=size):
        t.open().echoes(opcode, (b"0123456789abcdef" * (size // 16 + 1))[:size])

for size, length in ((2, 0), (2, 1), (2, 125), (8, 0), (8, 125), (8, 126), (8, 65535)):
    @server_case(f"5.2 a length of {length} in {size} bytes is not the shortest form")
    def _(t, size=size, length=length):
        end = t.open()
        end.say(BINARY, b"x" * length, size=size)
        end.closes(1002)

for length in (1 << 63, (1 << 64) - 1):
    @server_case(f"5.2 a length of {length:#x} has its highest bit set")
    def _(t, length=length):
        end = t.open()
        end.say(BINARY, b"", length=length, size=8)
        end.closes(1002, 1009)

for length in (1 << 40, (1 << 63) - 1):
    @server_case(f"5.2 a length of {length:#x} is too big")
    def _(t, length=length):
        end = t.open()
        end.say(BINARY, b"", length=length, size=8)
        end.closes(1009, 1002)

for opcode, rsv in itertools.product((TEXT, BINARY, CLOSE, PING, PONG), (1, 2, 4, 7)):
    @server_case(f"5.2 RSV {rsv:03b} on opcode {opcode}")
    def _(t, opcode=opcode, rsv=rsv):
        end = t.open()
        end.alive()
        end.say(opcode, close_payload(1000) if opcode == CLOSE else b"x", rsv=rsv)
        end.closes(1002)

for rsv in (1, 2, 4):
    @server_case(f"5.2 RSV {rsv:03b} on a continuation")
    def _(t, rsv=rsv):
        end = t.open()
        end.say(TEXT, b"a", fin=False)
        end.say(CONT, b"b", rsv=rsv)
        end.closes(1002)

for opcode, payload in itertools.product((3, 4, 5, 6, 7, 11, 12, 13, 14, 15), (b"", b"x")):
    @server_case(f"5.2 opcode {opcode} with {len(payload)} bytes")
    def _(t, opcode=opcode, payload=payload):
        end = t.open()
        end.echoes(TEXT, "before")
        end.say(opcode, payload)
        end.closes(1002)


# --- §5.3: masks -------------------------------------------------------------------------------------

for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
    @server_case(f"5.1 opcode {opcode} without a mask")
    def _(t, opcode=opcode):
        end = t.open()
        end.say(opcode, close_payload(1000) if opcode == CLOSE else b"x", mask=None)
        end.closes(1002)

for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\xff\0\xff", b"\x01\x02\x03\x04"):
    @server_case(f"5.3 masked with {mask.hex()}")
    def _(t, mask=mask):
        end = t.open(mask=mask)
        for size in (1, 3, 4, 5, 15, 16, 17, 33, 1001):
            end.echoes(BINARY, bytes(range(256)) * 4 if size > 1000 else bytes(range(size)))


@server_case("5.3 a mask of its own for each frame of a message")
def _(t):
    end = t.open()
    end.say(BINARY, b"abc", fin=False, mask=b"1234")
    end.say(CONT, b"defg", fin=False, mask=b"9876")
    end.say(CONT, b"h", mask=b"\0\xff\1\2")
    end.expect(BINARY, b"abcdefgh")


# --- §5.4: fragments ---------------------------------------------------------------------------------

for opcode, count in itertools.product((TEXT, BINARY), (2, 3, 10, 100)):
    @server_case(f"5.4 {count} fragments of opcode {opcode}")
    def _(t, opcode=opcode, count=count):
        end = t.open()
        for i in range(count):
            end.say(opcode if i == 0 else CONT, b"ab", fin=i == count - 1)
        end.expect(opcode, b"ab" * count)

for name, parts in (("all empty", [b"", b"", b""]), ("the first empty", [b"", b"a"]), ("the last empty", [b"a", b""]),
                    ("one empty between", [b"a", b"", b"b"])):
    @server_case(f"5.4 fragments, {name}")
    def _(t, parts=parts):
        end = t.open()
        for i, part in enumerate(parts):
            end.say(TEXT if i == 0 else CONT, part, fin=i == len(parts) - 1)
        end.expect(TEXT, b"".join(parts))

for opcode in (PING, PONG):
    @server_case(f"5.4 opcode {opcode} between fragments")
    def _(t, opcode=opcode):
        end = t.open()
        end.say(TEXT, "a", fin=False)
        end.say(opcode, b"between")
        if opcode == PING:
            assert end.pong() == b"between"
        end.say(CONT, "b")
        end.expect(TEXT, "ab")


@server_case("5.4 pings between all of ten fragments")
def _(t):
    end = t.open()
    for i in range(10):
        end.say(BINARY if i == 0 else CONT, bytes([i]), fin=i == 9)
        if i < 9:
            end.say(PING, bytes([i]))
            assert end.pong() == bytes([i])
    end.expect(BINARY, bytes(range(10)))

for name, frames in [
    ("a continuation of nothing", [(CONT, b"a", True)]),
    ("an unfinished continuation of nothing", [(CONT, b"a", False)]),
    ("an empty continuation of nothing", [(CONT, b"", True)]),
    ("a text in a message", [(TEXT, b"a", False), (TEXT, b"b", True)]),
    ("a binary in a message", [(TEXT, b"a", False), (BINARY, b"b", True)]),
    ("an unfinished text in a message", [(BINARY, b"a", False), (TEXT, b"b", False)]),
    ("a text behind a continuation", [(TEXT, b"a", False), (CONT, b"b", False), (TEXT, b"c", True)]),
    ("a continuation behind the end", [(TEXT, b"a", False), (CONT, b"b", True), (CONT, b"c", True)]),
    ("a continuation behind a whole message", [(TEXT, b"a", True), (CONT, b"c", True)]),
    ("a ping in fragments", [(PING, b"a", False), (CONT, b"b", True)]),
    ("a pong in fragments", [(PONG, b"a", False)]),
    ("a close in fragments", [(CLOSE, close_payload(1000), False)]),
]:
    @server_case(f"5.4 refused: {name}")
    def _(t, frames=frames):
        end = t.open()
        for opcode, data, fin in frames:
            end.say(opcode, data, fin=fin)
        end.closes(1002)


@server_case("5.2 frames a byte at a time")
def _(t):
    end = t.open()
    data = frame(TEXT, "abc", fin=False, mask=b"abcd") + frame(PING, b"p" * 20, mask=b"efgh") + frame(CONT, "d" * 200, mask=b"ijkl")
    for i in range(len(data)):
        end.send(data[i:i + 1])
    assert end.pong() == b"p" * 20
    end.expect(TEXT, "abc" + "d" * 200)


@server_case("5.2 a hundred messages in one segment")
def _(t):
    end = t.open()
    end.send(b"".join(frame(TEXT, str(i), mask=b"abcd") for i in range(100)))
    for i in range(100):
        end.expect(TEXT, str(i))


# --- §5.5: control frames ----------------------------------------------------------------------------

for size in (0, 1, 2, 64, 124, 125):
    @server_case(f"5.5.3 a ping of {size} bytes comes back")
    def _(t, size=size):
        end = t.open()
        end.say(PING, b"\xfe" * size)
        assert end.pong() == b"\xfe" * size
        end.alive()

for opcode, size in itertools.product((PING, PONG, CLOSE), (126, 127, 1000, 70000)):
    @server_case(f"5.5 opcode {opcode} of {size} bytes")
    def _(t, opcode=opcode, size=size):
        end = t.open()
        end.say(opcode, close_payload(1000, "x" * (size - 2)) if opcode == CLOSE else b"x" * size)
        end.closes(1002)


@server_case("5.5.3 ten pings come back in order")
def _(t):
    end = t.open()
    end.send(b"".join(frame(PING, f"p{i}", mask=b"abcd") for i in range(10)))
    got = [end.pong() for _ in range(10)]
    assert got == [f"p{i}".encode() for i in range(10)], got

for payload in (b"", b"x", b"y" * 125):
    @server_case(f"5.5.3 a pong of {len(payload)} bytes that nobody asked for")
    def _(t, payload=payload):
        end = t.open()
        end.say(PONG, payload)
        end.alive()


@server_case("5.5.2 a thousand pongs that nobody asked for")
def _(t):
    end = t.open()
    end.send(frame(PONG, b"z", mask=b"abcd") * 1000)
    end.alive()


# --- §5.5.1, §7: close -------------------------------------------------------------------------------

for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999):
    @server_case(f"7.4 close {code} is answered")
    def _(t, code=code):
        end = t.open()
        end.say(CLOSE, close_payload(code))
        end.closes(code, 1000)

for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    @server_case(f"7.4 close {code} is an error")
    def _(t, code=code):
        end = t.open()
        end.say(CLOSE, close_payload(code))
        end.closes(1002)


@server_case("5.5.1 an empty close is answered")
def _(t):
    end = t.open()
    end.say(CLOSE)
    end.closes(None, 1000)


@server_case("5.5.1 a close of one byte is an error")
def _(t):
    end = t.open()
    end.say(CLOSE, b"\x03")
    end.closes(1002)

for name, reason in (("of one byte", "x"), ("of 123 bytes", "r" * 123), ("in Greek", "κόσμε"), ("of a smile", "😀")):
    @server_case(f"5.5.1 a reason {name}")
    def _(t, reason=reason):
        end = t.open()
        end.say(CLOSE, close_payload(1000, reason))
        end.closes(1000)

for name, reason in (("cut in a character", b"\xce"), ("with a byte alone", b"a\x80b"), ("with a surrogate", b"\xed\xa0\x80"),
                     ("too long a form", b"\xc0\xaf"), ("beyond Unicode", b"\xf4\x90\x80\x80")):
    @server_case(f"5.5.1 a reason {name} is not UTF-8")
    def _(t, reason=reason):
        end = t.open()
        end.say(CLOSE, close_payload(1000) + reason)
        end.closes(1007, 1002)


@server_case("5.5.1 a close between fragments")
def _(t):
    end = t.open()
    end.say(TEXT, "a", fin=False)
    end.say(CLOSE, close_payload(1000))
    end.closes(1000)


@server_case("5.5.1 what follows a close is not heard")
def _(t):
    end = t.open()
    end.send(frame(CLOSE, close_payload(1000), mask=b"abcd") + frame(TEXT, "late", mask=b"abcd") + frame(PING, b"", mask=b"abcd"))
    got = end.frame()
    assert got is not None and got.opcode == CLOSE, got
    end.ends()


@server_case("5.5.1 two closes")
def _(t):
    end = t.open()
    end.send(frame(CLOSE, close_payload(1000), mask=b"abcd") * 2)
    got = end.frame()
    assert got is not None and got.opcode == CLOSE, got
    end.ends()


@server_case("7.1.1 what still comes back of messages before a close is in order")
def _(t):
    end = t.open()
    end.send(frame(TEXT, "1", mask=b"abcd") + frame(TEXT, "2", mask=b"abcd") + frame(CLOSE, close_payload(1000), mask=b"abcd"))
    got = []
    while (it := end.frame()).opcode != CLOSE:
        got.append(it.data)
    assert it.code == 1000 and got in ([], [b"1"], [b"1", b"2"]), (it, got)
    end.ends()


@server_case("7.1.1 the end of the connection follows the close handshake")
def _(t):
    end = t.open()
    end.say(CLOSE, close_payload(1000))
    got = end.frame()
    assert got.opcode == CLOSE
    end.ends()


@server_case("7.2.1 an end without a close frame ends it")
def _(t):
    end = t.open()
    end.alive()
    end.sock.shutdown(socket.SHUT_WR)
    end.ends()


@server_case("7.2.1 an end inside of a frame ends it")
def _(t):
    end = t.open()
    end.send(frame(BINARY, b"x" * 100, mask=b"abcd")[:50])
    end.sock.shutdown(socket.SHUT_WR)
    end.ends()


# --- the same at whoever dials -----------------------------------------------------------------------

for opcode, size in itertools.product((TEXT, BINARY), (0, 1, 125, 126, 65535, 65536, 150000)):
    @client_case(f"5.2 a {'text' if opcode == TEXT else 'binary'} message of {size}")
    def _(end, opcode=opcode, size=size):
        end.echoes(opcode, (b"0123456789abcdef" * (size // 16 + 1))[:size])

for opcode in (TEXT, BINARY, CLOSE, PING, PONG):
    @client_case(f"5.1 opcode {opcode} with a mask")
    def _(end, opcode=opcode):
        end.say(opcode, close_payload(1000) if opcode == CLOSE else b"x", mask=b"abcd")
        end.closes(1002)

for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
    @client_case(f"5.2 opcode {opcode}")
    def _(end, opcode=opcode):
        end.say(opcode, b"x")
        end.closes(1002)

for opcode, rsv in itertools.product((TEXT, BINARY, PING), (1, 2, 4)):
    @client_case(f"5.2 RSV {rsv:03b} on opcode {opcode}")
    def _(end, opcode=opcode, rsv=rsv):
        end.say(opcode, b"x", rsv=rsv)
        end.closes(1002)

for size, length in ((2, 125), (8, 125), (8, 65535)):
    @client_case(f"5.2 a length of {length} in {size} bytes is not the shortest form")
    def _(end, size=size, length=length):
        end.say(BINARY, b"x" * length, size=size)
        end.closes(1002)


@client_case("5.2 a length with its highest bit set")
def _(end):
    end.say(BINARY, b"", length=1 << 63, size=8)
    end.closes(1002, 1009)

for name, frames in [
    ("a continuation of nothing", [(CONT, b"a", True)]),
    ("a text in a message", [(TEXT, b"a", False), (TEXT, b"b", True)]),
    ("a ping in fragments", [(PING, b"a", False)]),
]:
    @client_case(f"5.4 refused: {name}")
    def _(end, frames=frames):
        for opcode, data, fin in frames:
            end.say(opcode, data, fin=fin)
        end.closes(1002)

for count in (2, 10, 100):
    @client_case(f"5.4 {count} fragments with pings between")
    def _(end, count=count):
        for i in range(count):
            end.say(TEXT if i == 0 else CONT, b"ab", fin=i == count - 1)
            if i < count - 1:
                end.say(PING, b"%d" % i)
                assert end.pong() == b"%d" % i
        end.expect(TEXT, b"ab" * count)

for size in (0, 125):
    @client_case(f"5.5.3 a ping of {size} bytes comes back")
    def _(end, size=size):
        end.say(PING, b"\xfe" * size)
        assert end.pong() == b"\xfe" * size

for opcode in (PING, PONG, CLOSE):
    @client_case(f"5.5 opcode {opcode} of 126 bytes")
    def _(end, opcode=opcode):
        end.say(opcode, close_payload(1000, "x" * 124) if opcode == CLOSE else b"x" * 126)
        end.closes(1002)

for code in (1000, 1001, 1008, 1011, 3000, 4999):
    @client_case(f"7.4 close {code} is answered")
    def _(end, code=code):
        end.say(CLOSE, close_payload(code))
        got = end.frame()
        assert got.opcode == CLOSE and got.code in (code, 1000), got
        end.sock.shutdown(2)

for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
    @client_case(f"7.4 close {code} is an error")
    def _(end, code=code):
        end.say(CLOSE, close_payload(code))
        end.closes(1002)


@client_case("5.5.1 an empty close is answered")
def _(end):
    end.say(CLOSE)
    got = end.frame()
    assert got.opcode == CLOSE and got.code in (None, 1000), got


@client_case("5.5.1 a close of one byte is an error")
def _(end):
    end.say(CLOSE, b"\x03")
    end.closes(1002)


@client_case("5.2 frames a byte at a time")
def _(end):
    data = frame(TEXT, "abc", fin=False) + frame(PING, b"p" * 20) + frame(CONT, "d" * 200)
    for i in range(len(data)):
        end.send(data[i:i + 1])
    assert end.pong() == b"p" * 20
    end.expect(TEXT, "abc" + "d" * 200)


assert CLIENT
