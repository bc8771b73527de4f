# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 §§5.6 and 8.1 (text is UTF-8) and RFC 7692 (permessage-deflate) at whoever accepts."""
import itertools
import os
import zlib

from ws_base import BINARY, CLOSE, CONT, DEFLATE, PING, PONG, TEXT, close_payload, frame, server_case  # noqa: F401

# --- UTF-8 -------------------------------------------------------------------------------------------

GOOD = {
    "ASCII": b"Hello", "two bytes": "κόσμε".encode(), "three bytes": "日本語".encode(), "four bytes": "😀𝄞".encode(),
    "U+0000": b"\0", "U+007F": b"\x7f", "U+0080": "\x80".encode(), "U+07FF": "\u07ff".encode(), "U+0800": "\u0800".encode(),
    "U+D7FF": "\ud7ff".encode(), "U+E000": "\ue000".encode(), "U+FFFD": "\ufffd".encode(), "U+FFFE": "\ufffe".encode(),
    "U+FFFF": "\uffff".encode(), "U+10000": "\U00010000".encode(), "U+10FFFF": "\U0010ffff".encode(), "U+FEFF": "\ufeff".encode(),
}
BAD = {
    "a continuation alone": b"\x80", "the last continuation alone": b"\xbf", "two continuations": b"\x80\xbf",
    "FE": b"\xfe", "FF": b"\xff", "a start alone": b"\xc3", "a start and a letter": b"\xc3a", "three bytes cut": b"\xe2\x82",
    "four bytes cut": b"\xf0\x9f\x98", "C0": b"\xc0\xaf", "C1": b"\xc1\xbf", "two bytes in three": b"\xe0\x80\xaf",
    "three bytes in four": b"\xf0\x80\x80\xaf", "NUL in two": b"\xc0\x80", "the first surrogate": b"\xed\xa0\x80",
    "the last surrogate": b"\xed\xbf\xbf", "a pair of surrogates": b"\xed\xa0\xbd\xed\xb8\x80", "beyond U+10FFFF": b"\xf4\x90\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80", "six bytes": b"\xfc\x84\x80\x80\x80\x80", "good, then bad": "κόσμε".encode() + b"\xed\xa0\x80x",
}

for name, data in GOOD.items():
    @server_case(f"5.6 text: {name}")
    def _(t, data=data):
        end = t.open()
        end.echoes(TEXT, data)
        for i in range(len(data)):  # cut anywhere
            end.say(TEXT, data[:i], fin=False)
            end.say(CONT, data[i:])
            end.expect(TEXT, data)

for name, data in BAD.items():
    @server_case(f"8.1 not UTF-8: {name}")
    def _(t, data=data):
        end = t.open()
        end.say(TEXT, data)
        end.closes(1007)

    @server_case(f"8.1 not UTF-8, in fragments: {name}")
    def _(t, data=data):
        end = t.open()
        for i in range(len(data)):
            end.say(TEXT if i == 0 else CONT, data[i:i + 1], fin=i == len(data) - 1)
        end.closes(1007)

for name in ("FE", "the first surrogate", "C0"):
    @server_case(f"5.6 binary need not be UTF-8: {name}")
    def _(t, data=BAD[name]):
        t.open().echoes(BINARY, data)

# --- RFC 7692 §7.1: negotiation ----------------------------------------------------------------------

OFFER = "Sec-WebSocket-Extensions: "


def agreed(end):
    value = end.answer.header("sec-websocket-extensions")
    return {} if value is None else {k.strip(): (v or None) for k, _, v in (p.strip().partition("=") for p in value.split(";"))}


for name, offer in [
    ("no terms", "permessage-deflate"), ("client_no_context_takeover", "permessage-deflate; client_no_context_takeover"),
    ("server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
    ("both without context", "permessage-deflate; client_no_context_takeover; server_no_context_takeover"),
    ("client_max_window_bits", "permessage-deflate; client_max_window_bits"),
    ("client_max_window_bits=15", "permessage-deflate; client_max_window_bits=15"),
    ("client_max_window_bits=9", "permessage-deflate; client_max_window_bits=9"),
    ("server_max_window_bits=15", "permessage-deflate; server_max_window_bits=15"),
    ("server_max_window_bits=9", "permessage-deflate; server_max_window_bits=9"),
    ("a value in quotes", 'permessage-deflate; server_max_window_bits="10"'),
    ("two offers", "permessage-deflate; server_max_window_bits=10, permessage-deflate"),
]:
    @server_case(f"7692 7.1 offered: {name}")
    def _(t, offer=offer):
        end = t.open(f"{OFFER}{offer}\r\n")
        got = agreed(end)
        assert not got or "permessage-deflate" in got, got
        assert set(got) <= {"permessage-deflate", "client_no_context_takeover", "server_no_context_takeover",
                            "client_max_window_bits", "server_max_window_bits"}, got
        if "client_max_window_bits" in got:
            assert "client_max_window_bits" in offer and 8 <= int(got["client_max_window_bits"]) <= 15
        if "server_no_context_takeover" in offer and got:
            assert "server_no_context_takeover" in got
        end.inflate = Inflating()
        end.say(TEXT, b"still there?")
        answers(end, TEXT, b"still there?")


for terms in ("foo", "foo=1", "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=99",
              "server_max_window_bits=x", "server_max_window_bits=09", "client_max_window_bits=7", "client_max_window_bits=16",
              "server_no_context_takeover=1", "client_no_context_takeover=1", "server_no_context_takeover; server_no_context_takeover",
              "server_max_window_bits=10; server_max_window_bits=11"):
    @server_case(f"7692 7.1 not agreed to: {terms}")
    def _(t, terms=terms):
        client, answer = t.ask(f"{OFFER}permessage-deflate; {terms}\r\n")
        assert answer is not None and answer.status in (101, 400), answer
        if answer.status == 101:
            assert "permessage-deflate" not in (answer.header("sec-websocket-extensions") or ""), answer.fields


# --- RFC 7692 §7.2: messages -------------------------------------------------------------------------


def deflated(data, context=None, kind=zlib.Z_DEFAULT_STRATEGY, level=6, bits=15):
    packer = context or zlib.compressobj(level, zlib.DEFLATED, -bits, 8, kind)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Inflating:
    def __init__(self):
        self.unpacker = zlib.decompressobj(-15)

    def __call__(self, got):
        opcode, data, rsv = got
        if rsv & 4:
            data = self.unpacker.decompress(data + b"\0\0\xff\xff")
        return opcode, data


def open_deflating(t, offer="permessage-deflate; client_max_window_bits"):
    end = t.open(f"{OFFER}{offer}\r\n")
    assert "permessage-deflate" in agreed(end), "it does not deflate"
    end.inflate = Inflating()
    if "server_no_context_takeover" in agreed(end):
        end.inflate = lambda got: Inflating()(got)
    return end


def answers(end, opcode, data):
    got = end.inflate(end.message())
    assert got == (opcode, data), f"{got[0]} {got[1][:40]!r}, not {data[:40]!r}"


for opcode, size in itertools.product((TEXT, BINARY), (0, 1, 100, 125, 1000, 65536, 300000)):
    @server_case(f"7692 7.2 a deflated {'text' if opcode == TEXT else 'binary'} of {size}")
    def _(t, opcode=opcode, size=size):
        end = open_deflating(t)
        data = (b"The quick brown fox. " * (size // 21 + 1))[:size]
        end.say(opcode, deflated(data, bits=9), rsv=4)
        answers(end, opcode, data)

for count in (2, 5, 50):
    @server_case(f"7692 7.2 deflated, in {count} fragments")
    def _(t, count=count):
        end = open_deflating(t)
        data = os.urandom(500)
        packed = deflated(data, bits=9)
        step = len(packed) // count + 1
        for i in range(count):
            end.say(BINARY if i == 0 else CONT, packed[i * step:(i + 1) * step], rsv=4 if i == 0 else 0, fin=i == count - 1)
            if i == 0:
                end.say(PING, b"!")
                assert end.pong() == b"!"
        answers(end, BINARY, data)


@server_case("7692 7.2 the context is kept from message to message")
def _(t):
    end = open_deflating(t)
    packer = zlib.compressobj(6, zlib.DEFLATED, -9)
    if "client_no_context_takeover" in agreed(end):
        packer = None
    for i in range(10):
        data = b"again and again the same words %d" % i
        end.say(TEXT, deflated(data, packer, bits=9), rsv=4)
        answers(end, TEXT, data)


@server_case("7692 7.2 with an agreement that client and server forget their contexts")
def _(t):
    end = open_deflating(t, "permessage-deflate; client_no_context_takeover; server_no_context_takeover")
    for i in range(10):
        data = b"again and again the same words %d" % i
        end.say(TEXT, deflated(data, bits=9), rsv=4)
        answers(end, TEXT, data)


@server_case("7692 6.1 plain and deflated messages may alternate")
def _(t):
    end = open_deflating(t)
    for i in range(6):
        data = b"message %d " % i * 20
        if i % 2:
            end.say(TEXT, data)
        else:
            end.say(TEXT, deflated(data, bits=9), rsv=4)
        answers(end, TEXT, data)

for name, data in [
    ("a stored block", deflated(b"Hello" * 9, level=0)), ("fixed codes", bytes.fromhex("f248cdc9c90700")),
    ("dynamic codes", deflated(b"aaaaabbbbbccccc" * 90, level=9, bits=9)),
    ("two blocks", bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))),
    ("a final block", bytes.fromhex("f348cdc9c9070000")),
]:
    @server_case(f"7692 7.2.3 {name}")
    def _(t, data=data):
        end = open_deflating(t)
        plain = zlib.decompressobj(-15).decompress(data + b"\0\0\xff\xff")
        end.say(TEXT, data, rsv=4)
        answers(end, TEXT, plain)


@server_case("7692 7.2.3.6 an empty message is one byte")
def _(t):
    end = open_deflating(t)
    end.say(TEXT, b"\0", rsv=4)
    answers(end, TEXT, b"")

for name, data in (("noise", b"\xff" * 40), ("a code that is none", bytes.fromhex("06ffffff")), ("a stored block whose lengths disagree",
                                                                                          b"\x00\x05\x00\x00\x00hello")):
    @server_case(f"7692 7.2.2 {name} does not inflate")
    def _(t, data=data):
        end = open_deflating(t)
        end.say(BINARY, data, rsv=4)
        end.closes(1002, 1003, 1007)

for opcode in (PING, PONG, CLOSE):
    @server_case(f"7692 6 RSV1 on opcode {opcode}")
    def _(t, opcode=opcode):
        end = open_deflating(t)
        end.say(opcode, close_payload(1000) if opcode == CLOSE else b"x", rsv=4)
        end.closes(1002)


@server_case("7692 6.1 RSV1 on a continuation")
def _(t):
    end = open_deflating(t)
    end.say(TEXT, deflated(b"abc", bits=9)[:2], fin=False, rsv=4)
    end.say(CONT, deflated(b"abc", bits=9)[2:], rsv=4)
    end.closes(1002)

for rsv in (1, 2, 5):
    @server_case(f"7692 6 RSV {rsv:03b} where deflate was agreed")
    def _(t, rsv=rsv):
        end = open_deflating(t)
        end.say(TEXT, b"x", rsv=rsv)
        end.closes(1002)

for name in ("FE", "the first surrogate", "four bytes cut", "good, then bad"):
    @server_case(f"7692 with 8.1: deflated, and not UTF-8: {name}")
    def _(t, data=BAD[name]):
        end = open_deflating(t)
        end.say(TEXT, deflated(data, bits=9), rsv=4)
        end.closes(1007)


@server_case("7692 8 a bomb is not inflated to its end")
def _(t):
    end = open_deflating(t)
    packer = zlib.compressobj(9, zlib.DEFLATED, -9)
    packed = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(64)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]
    end.say(BINARY, packed, rsv=4)
    end.closes(1009)
