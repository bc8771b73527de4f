# SPDX-License-Identifier: Apache-2.0
"""One case for each MUST and MUST NOT of RFC 9113 §§3-8 and RFC 7541 that a client can provoke at a server.

A case takes a Target (h2.py) and raises AssertionError. Its name begins with the section. What is expected:
    conn_error(h2, CODE…)     GOAWAY with one of the codes, or a close without a word (§5.4.1)
    stream_error(h2, n, CODE…) RST_STREAM with one of the codes, or the same as a connection error (§5.4.2)
    malformed(h2, n)          a stream error of PROTOCOL_ERROR, or an answer of status 4xx (§8.1.1)
    fine(h2, n)               an answer, and the connection goes on
"""

from h2_base import *  # noqa: F403


# --- §3 ----------------------------------------------------------------------------------------------


@case("3.4 the server's first frame is SETTINGS")
def _(t):
    h2 = t.open()
    h2.drain_until(lambda: h2.frames)
    assert isinstance(h2.frames[0], SettingsFrame) and "ACK" not in h2.frames[0].flags


@case("3.4 an invalid preface ends the connection")
def _(t):
    h2 = t.open(hello=False)
    h2.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n" + raw(SETTINGS, 0, 0))
    h2.drain_until(lambda: h2.goaway is not None)
    assert h2.closed or h2.goaway == PROTOCOL_ERROR


@case("3.4 a preface without SETTINGS is an error")
def _(t):
    h2 = t.open(hello=False)
    h2.send(PREFACE + h2.head(1, h2.fields()))
    conn_error(h2, PROTOCOL_ERROR)


@case("3.4 a preface that is followed by PING is an error")
def _(t):
    h2 = t.open(hello=False)
    h2.send(PREFACE + PingFrame(0, b"12345678").serialize())
    conn_error(h2, PROTOCOL_ERROR)


@case("3.4 the preface may come in pieces")
def _(t):
    h2 = t.open(hello=False)
    for i in range(0, len(PREFACE), 5):
        h2.send(PREFACE[i:i + 5])
        h2.wait_until_taken()
    h2.send(raw(SETTINGS, 0, 0))
    alive(h2)


@case("3.4 a client need not wait for the server's SETTINGS")
def _(t):
    h2 = t.open(hello=False)
    h2.send(PREFACE + raw(SETTINGS, 0, 0) + h2.head(1, h2.fields()))
    fine(h2, 1)


# --- §4 ----------------------------------------------------------------------------------------------

for kind in (0x0b, 0x42, 0xfe, 0xff):
    for where in (0, 1, 7):
        @case(f"4.1 frames of the unknown type {kind:#x} on stream {where} are ignored")
        def _(t, kind=kind, where=where):
            h2 = t.open()
            if where == 1:
                stream = post(h2)
                h2.send(raw(kind, 0xff, stream, b"whatever"))
                h2.data(stream, b"x", True)
                return fine(h2, stream)
            h2.send(raw(kind, 0, where, b"whatever") + raw(kind, 0x0d, where))
            return alive(h2)


def undefined(kind, flags, payload, on_stream):
    @case(f"4.1 undefined flags of frame type {kind} are ignored")
    def _(t):
        h2 = t.open()
        if on_stream:
            stream = post(h2)
            h2.send(raw(kind, flags, stream, payload))
            if kind != RST_STREAM:
                h2.data(stream, b"x", True)
                return fine(h2, stream)
        else:
            h2.send(raw(kind, flags, 0, payload))
        return alive(h2)


undefined(DATA, 0xf6, b"x", True)
undefined(PRIORITY, 0xff, b"\0\0\0\0\1", True)
undefined(RST_STREAM, 0xff, b"\0\0\0\x08", True)
undefined(SETTINGS, 0xfe, b"", False)
undefined(PING, 0xfe, b"12345678", False)
undefined(WINDOW_UPDATE, 0xff, b"\0\0\0\1", False)


@case("4.1 undefined flags of HEADERS are ignored")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS | 0xc2, 1, block(h2)))
    fine(h2, 1)


for what, frame in (("PING", lambda h2: raw(PING, 0, 1 << 31, b"12345678")),
                    ("SETTINGS", lambda h2: raw(SETTINGS, 0, 1 << 31)),
                    ("WINDOW_UPDATE", lambda h2: raw(WINDOW_UPDATE, 0, 1 << 31, b"\0\0\0\1")),
                    ("HEADERS", lambda h2: raw(HEADERS, 5, 1 << 31 | 99, block(h2)))):
    @case(f"4.1 the reserved bit in the head of {what} is ignored")
    def _(t, frame=frame, what=what):
        h2 = t.open()
        h2.send(frame(h2))
        if what == "HEADERS":
            return fine(h2, 99)
        return alive(h2)


@case("4.2 a frame of 16384 bytes is taken")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(DATA, END_STREAM, stream, b"x" * 16384))
    fine(h2, stream)


@case("4.2 DATA beyond SETTINGS_MAX_FRAME_SIZE is an error")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(DATA, END_STREAM, stream, b"x" * 16385))
    stream_error(h2, stream, FRAME_SIZE_ERROR)


for what, kind, stream in (("HEADERS", HEADERS, 1), ("SETTINGS", SETTINGS, 0), ("PUSH_PROMISE", PUSH_PROMISE, 1)):
    @case(f"4.2 {what} beyond SETTINGS_MAX_FRAME_SIZE ends the connection")
    def _(t, kind=kind, stream=stream):
        h2 = t.open()
        h2.send(raw(kind, 4 if kind == HEADERS else 0, stream, b"\0" * 16386))
        conn_error(h2, FRAME_SIZE_ERROR, PROTOCOL_ERROR if kind == PUSH_PROMISE else FRAME_SIZE_ERROR)


@case("4.2 CONTINUATION beyond SETTINGS_MAX_FRAME_SIZE ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM, 1, block(h2)) + raw(CONTINUATION, END_HEADERS, 1, b"\0" * 16385))
    conn_error(h2, FRAME_SIZE_ERROR)


@case("4.3 fields of a stream that is refused or reset still count for compression")
def _(t):
    h2 = t.open()
    stream = post(h2, extra=[("x-kept", "a-value-that-is-indexed")])
    h2.send(RstStreamFrame(stream, 8))
    h2.send(h2.head(stream + 2, h2.fields(extra=[("x-kept", "a-value-that-is-indexed"), ("x-more", "b")])))
    h2.send(h2.head(stream + 4, h2.fields(extra=[("x-more", "b")])))
    fine(h2, stream + 4)


for what in ("PING", "DATA", "HEADERS", "SETTINGS", "WINDOW_UPDATE", "PRIORITY", "RST_STREAM", "an unknown frame"):
    @case(f"4.3 {what} within a field block ends the connection")
    def _(t, what=what):
        h2 = t.open()
        between = {"PING": raw(PING, 0, 0, b"12345678"), "DATA": raw(DATA, 0, 1, b"x"),
                   "HEADERS": raw(HEADERS, 5, 3, b"\x82"), "SETTINGS": raw(SETTINGS, 0, 0),
                   "WINDOW_UPDATE": raw(WINDOW_UPDATE, 0, 0, b"\0\0\0\1"), "PRIORITY": raw(PRIORITY, 0, 1, b"\0\0\0\0\1"),
                   "RST_STREAM": raw(RST_STREAM, 0, 1, b"\0\0\0\x08"), "an unknown frame": raw(0x42, 0, 0, b"x")}[what]
        whole = block(h2)
        h2.send(raw(HEADERS, END_STREAM, 1, whole[:3]) + between + raw(CONTINUATION, END_HEADERS, 1, whole[3:]))
        conn_error(h2, PROTOCOL_ERROR)


# --- §5 ----------------------------------------------------------------------------------------------

for what, kind, payload, codes in (
        ("DATA", DATA, b"x", (PROTOCOL_ERROR, STREAM_CLOSED)), ("RST_STREAM", RST_STREAM, b"\0\0\0\x08", (PROTOCOL_ERROR,)),
        ("WINDOW_UPDATE", WINDOW_UPDATE, b"\0\0\0\1", (PROTOCOL_ERROR,)), ("CONTINUATION", CONTINUATION, b"\x82", (PROTOCOL_ERROR,))):
    @case(f"5.1 {what} on an idle stream ends the connection")
    def _(t, kind=kind, payload=payload, codes=codes):
        h2 = t.open()
        h2.send(raw(kind, END_HEADERS if kind == CONTINUATION else 0, 1, payload))
        conn_error(h2, *codes)


@case("5.1 PRIORITY on an idle stream is taken")
def _(t):
    h2 = t.open()
    h2.send(raw(PRIORITY, 0, 5, b"\0\0\0\0\1"))
    alive(h2)


for what in ("DATA", "HEADERS"):
    @case(f"5.1 {what} on a half-closed stream is an error of STREAM_CLOSED")
    def _(t, what=what):
        h2 = t.open()
        first = h2.head(1, h2.fields(path="/slow"))
        more = raw(DATA, END_STREAM, 1, b"x") if what == "DATA" else h2.head(1, [("x-t", "1")])
        h2.send(first + more)
        stream_error(h2, 1, STREAM_CLOSED)

    @case(f"5.1 {what} on a closed stream ends the connection with STREAM_CLOSED")
    def _(t, what=what):
        h2 = t.open()
        fine(h2, h2.request())
        h2.send(raw(DATA, END_STREAM, 1, b"x") if what == "DATA" else h2.head(1, h2.fields()))
        stream_error(h2, 1, STREAM_CLOSED)

    @case(f"5.1 {what} after RST_STREAM is an error of STREAM_CLOSED")
    def _(t, what=what):
        h2 = t.open()
        stream = post(h2)
        h2.send(RstStreamFrame(stream, 8))
        h2.ping()
        h2.send(raw(DATA, END_STREAM, stream, b"x") if what == "DATA" else h2.head(stream, h2.fields()))
        stream_error(h2, stream, STREAM_CLOSED)


for what, payload in (("WINDOW_UPDATE", raw(WINDOW_UPDATE, 0, 1, b"\0\0\0\1")), ("PRIORITY", raw(PRIORITY, 0, 1, b"\0\0\0\0\1")),
                      ("RST_STREAM", raw(RST_STREAM, 0, 1, b"\0\0\0\x08"))):
    @case(f"5.1 {what} on a stream that has just closed is taken")
    def _(t, payload=payload):
        h2 = t.open()
        fine(h2, h2.request())
        h2.send(payload)
        alive(h2)


@case("5.1 CONTINUATION on a closed stream ends the connection")
def _(t):
    h2 = t.open()
    fine(h2, h2.request())
    h2.send(raw(CONTINUATION, END_HEADERS, 1, b"\x82"))
    conn_error(h2, PROTOCOL_ERROR, STREAM_CLOSED)


for number in (2, 4, 100):
    @case(f"5.1.1 a client's stream {number} is even: the connection ends")
    def _(t, number=number):
        h2 = t.open()
        h2.send(h2.head(number, h2.fields()))
        conn_error(h2, PROTOCOL_ERROR)


@case("5.1.1 a stream's number below the last one ends the connection")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(stream=5))
    h2.send(h2.head(3, h2.fields()))
    conn_error(h2, PROTOCOL_ERROR, STREAM_CLOSED)


@case("5.1.1 a stream's number used twice ends the connection")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(stream=5))
    h2.send(h2.head(5, h2.fields()))
    conn_error(h2, PROTOCOL_ERROR, STREAM_CLOSED)


@case("5.1.1 numbers may be left out")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(stream=7))
    fine(h2, h2.request(stream=1001))


@case("5.1.1 the last stream of all is served")
def _(t):
    h2 = t.open()
    it = h2.stream(h2.request(stream=2**31 - 1))
    h2.drain_until(lambda: it.done)
    assert it.ended and it.status == 200, f"status {it.status}, reset {it.reset}"
    assert h2.goaway in (None, NO_ERROR), f"GOAWAY {h2.goaway}"  # that there is no use in staying


@case("5.1.2 streams beyond SETTINGS_MAX_CONCURRENT_STREAMS are refused, the others served")
def _(t):
    h2 = t.open(settings={INITIAL_WINDOW: 0})
    h2.drain_until(lambda: h2.settings)
    most = h2.settings.get(MAX_CONCURRENT, 100)
    h2.ping()
    opened = [h2.request(path="/big") for _ in range(most + 5)]
    h2.drain_until(lambda: sum(h2.stream(n).reset is not None for n in opened) >= 5)
    assert {h2.stream(n).reset for n in opened[most:]} <= {REFUSED_STREAM, PROTOCOL_ERROR}, "not refused"
    assert h2.goaway is None, "the connection ended"
    h2.send(RstStreamFrame(opened[0], 8))
    h2.send(WindowUpdateFrame(opened[1], 1 << 20))
    fine(h2, opened[1])


@case("5.2.1 nothing is sent while the stream's window is shut, but fields are")
def _(t):
    h2 = t.open(settings={INITIAL_WINDOW: 0})
    stream = h2.request(path="/big")
    h2.drain_until(lambda: h2.stream(stream).status is not None)
    h2.ping()
    assert h2.stream(stream).body == b"" and not h2.stream(stream).ended
    h2.send(WindowUpdateFrame(stream, 1 << 20))
    fine(h2, stream)


for size in (1, 100, 16384):
    @case(f"5.2.1 a window of {size} is not passed")
    def _(t, size=size):
        h2 = t.open(settings={INITIAL_WINDOW: size})
        h2.auto_window = False
        stream = h2.request(path="/big")
        h2.drain_until(lambda: len(h2.stream(stream).body) >= size)
        h2.ping()
        assert len(h2.stream(stream).body) == size
        h2.send(WindowUpdateFrame(stream, 1))
        h2.drain_until(lambda: len(h2.stream(stream).body) > size)
        h2.ping()
        assert len(h2.stream(stream).body) == size + 1


@case("5.2.1 the connection's window is not passed")
def _(t):
    h2 = t.open(settings={INITIAL_WINDOW: 1 << 20})
    h2.auto_window = False
    streams = [h2.request(path="/big") for _ in range(4)]
    total = lambda: sum(len(h2.stream(n).body) for n in streams)
    h2.drain_until(lambda: total() >= 65535)
    h2.ping()
    assert total() == 65535
    h2.send(WindowUpdateFrame(0, 5))
    h2.drain_until(lambda: total() > 65535)
    h2.ping()
    assert total() == 65540


@case("5.2.2 windows are given back while a body is taken")
def _(t):
    h2 = t.open()
    h2.ping()
    stream = post(h2)
    for i in range(20):
        h2.send(raw(DATA, 0, stream, b"x" * 16384))
        h2.drain_until(lambda: credit(h2, stream) + 65535 - 16384 * (i + 1) >= 16384, 5)
    h2.data(stream, b"", True)
    fine(h2, stream)


def credit(h2, stream):
    return min(sum(f.window_increment for f in h2.frames if isinstance(f, WindowUpdateFrame) and f.stream_id == n)
               for n in (0, stream))


for what, payload in (("with an exclusive dependency", b"\x80\0\0\x03\xff"), ("on itself", b"\0\0\0\x01\1"),
                      ("on a stream that never was", b"\0\0\x27\x0f\1")):
    @case(f"5.3.2 a priority {what} in HEADERS does no harm to others")
    def _(t, payload=payload, what=what):
        h2 = t.open()
        h2.send(raw(HEADERS, END_STREAM | END_HEADERS | PRIO, 1, payload + block(h2)))
        h2.drain_until(lambda: h2.stream(1).done or h2.goaway is not None)
        assert h2.stream(1).status is not None or (what == "on itself" and PROTOCOL_ERROR in (h2.stream(1).reset, h2.goaway))


@case("5.4.1 after a connection error the connection closes")
def _(t):
    h2 = t.open()
    h2.send(raw(PING, 0, 1, b"12345678"))
    conn_error(h2, PROTOCOL_ERROR)
    assert h2.drain(5)


@case("5.4.1 GOAWAY names the last stream that was served")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(stream=3))
    h2.send(raw(PING, 0, 1, b"12345678"))
    conn_error(h2, PROTOCOL_ERROR)
    assert not h2.goaways or h2.goaways[0][0] == 3


@case("5.4.2 RST_STREAM is not answered with RST_STREAM")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(RstStreamFrame(stream, 8))
    h2.ping()
    alive(h2)
    assert h2.stream(stream).reset is None


# --- §6 ----------------------------------------------------------------------------------------------


@case("6.1 DATA on stream 0 ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(DATA, 0, 0, b"x"))
    conn_error(h2, PROTOCOL_ERROR)


for pad, length in ((1, 1), (200, 10), (255, 255)):
    @case(f"6.1 DATA of {length} bytes with a padding of {pad} ends the connection")
    def _(t, pad=pad, length=length):
        h2 = t.open()
        stream = post(h2)
        h2.send(raw(DATA, PADDED | END_STREAM, stream, bytes([pad]) + b"x" * (length - 1)))
        conn_error(h2, PROTOCOL_ERROR)


for pad, data in ((0, b"abc"), (5, b"abc"), (255, b""), (10, b"")):
    @case(f"6.1 {len(data)} bytes of DATA with a padding of {pad} are taken")
    def _(t, pad=pad, data=data):
        h2 = t.open()
        stream = post(h2)
        h2.send(raw(DATA, PADDED | END_STREAM, stream, bytes([pad]) + data + b"\0" * pad))
        fine(h2, stream)


@case("6.1 padding counts for the window, and comes back")
def _(t):
    h2 = t.open()
    h2.ping()
    stream = post(h2)
    for _ in range(3):
        h2.send(raw(DATA, PADDED, stream, bytes([255]) + b"x" * 16000 + b"\0" * 255))
    h2.drain_until(lambda: credit(h2, stream) > 0, 5)
    h2.data(stream, b"", True)
    fine(h2, stream)


@case("6.1 empty DATA with END_STREAM ends a body")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(DATA, END_STREAM, stream))
    fine(h2, stream)


@case("6.2 HEADERS on stream 0 end the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS, 0, block(h2)))
    conn_error(h2, PROTOCOL_ERROR)


@case("6.2 HEADERS with more padding than there is room end the connection")
def _(t):
    h2 = t.open()
    whole = block(h2)
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, bytes([len(whole) + 1]) + whole))
    conn_error(h2, PROTOCOL_ERROR)


@case("6.2 padded HEADERS are taken")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x09" + block(h2) + b"\0" * 9))
    fine(h2, 1)


@case("6.2 HEADERS with padding and priority are taken")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS | PADDED | PRIO, 1, b"\x03\0\0\0\0\x10" + block(h2) + b"\0\0\0"))
    fine(h2, 1)


@case("6.2 HEADERS too short for their priority are an error")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, END_STREAM | END_HEADERS | PRIO, 1, b"\0\0\0"))
    conn_error(h2, FRAME_SIZE_ERROR, PROTOCOL_ERROR)


@case("6.3 PRIORITY on stream 0 ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(PRIORITY, 0, 0, b"\0\0\0\0\1"))
    conn_error(h2, PROTOCOL_ERROR)


for length in (0, 4, 6):
    @case(f"6.3 PRIORITY of {length} bytes is an error of FRAME_SIZE_ERROR")
    def _(t, length=length):
        h2 = t.open()
        stream = post(h2)
        h2.send(raw(PRIORITY, 0, stream, b"\0" * length))
        stream_error(h2, stream, FRAME_SIZE_ERROR)


@case("6.4 RST_STREAM on stream 0 ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(RST_STREAM, 0, 0, b"\0\0\0\x08"))
    conn_error(h2, PROTOCOL_ERROR)


for length in (0, 3, 5):
    @case(f"6.4 RST_STREAM of {length} bytes ends the connection")
    def _(t, length=length):
        h2 = t.open()
        stream = post(h2)
        h2.send(raw(RST_STREAM, 0, stream, b"\0" * length))
        conn_error(h2, FRAME_SIZE_ERROR)


@case("6.5 SETTINGS with ACK and a payload end the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(SETTINGS, ACK, 0, b"\0" * 6))
    conn_error(h2, FRAME_SIZE_ERROR)


@case("6.5 SETTINGS on a stream end the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(SETTINGS, 0, 1))
    conn_error(h2, PROTOCOL_ERROR)


for length in (1, 5, 7):
    @case(f"6.5 SETTINGS of {length} bytes end the connection")
    def _(t, length=length):
        h2 = t.open()
        h2.send(raw(SETTINGS, 0, 0, b"\0" * length))
        conn_error(h2, FRAME_SIZE_ERROR)


for number, value, code in ((ENABLE_PUSH, 2, PROTOCOL_ERROR), (ENABLE_PUSH, 2**32 - 1, PROTOCOL_ERROR),
                            (INITIAL_WINDOW, 2**31, FLOW_CONTROL_ERROR), (INITIAL_WINDOW, 2**32 - 1, FLOW_CONTROL_ERROR),
                            (MAX_FRAME, 0, PROTOCOL_ERROR), (MAX_FRAME, 16383, PROTOCOL_ERROR), (MAX_FRAME, 2**24, PROTOCOL_ERROR),
                            (MAX_FRAME, 2**32 - 1, PROTOCOL_ERROR)):
    @case(f"6.5.2 setting {number} of {value} ends the connection")
    def _(t, number=number, value=value, code=code):
        h2 = t.open()
        h2.send(raw(SETTINGS, 0, 0, setting(number, value)))
        conn_error(h2, code)


for number, value in ((HEADER_TABLE_SIZE, 0), (HEADER_TABLE_SIZE, 2**32 - 1), (ENABLE_PUSH, 0), (MAX_CONCURRENT, 0),
                      (INITIAL_WINDOW, 2**31 - 1), (MAX_FRAME, 16384), (MAX_FRAME, 2**24 - 1), (MAX_LIST, 2**20), (0x77, 5), (0, 1)):
    @case(f"6.5.2 setting {number} of {value} is taken")
    def _(t, number=number, value=value):
        h2 = t.open()
        h2.send(raw(SETTINGS, 0, 0, setting(number, value)))
        h2.ping()
        alive(h2)


@case("6.5.3 SETTINGS are acknowledged, each")
def _(t):
    h2 = t.open()
    h2.send(raw(SETTINGS, 0, 0, setting(MAX_LIST, 70000)) * 3)
    h2.drain_until(lambda: h2.acks >= 4)
    assert h2.acks == 4


@case("6.5.3 of a setting said twice the last one counts")
def _(t):
    h2 = t.open()
    h2.send(raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 100) + setting(INITIAL_WINDOW, 1)))
    h2.auto_window = False
    stream = h2.request(path="/big")
    h2.drain_until(lambda: h2.stream(stream).body)
    h2.ping()
    assert len(h2.stream(stream).body) == 1


@case("6.6 a client's PUSH_PROMISE ends the connection")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(PUSH_PROMISE, END_HEADERS, stream, b"\0\0\0\2" + block(h2)))
    conn_error(h2, PROTOCOL_ERROR)


@case("6.7 PING is answered with what it carried")
def _(t):
    h2 = t.open()
    h2.send(PingFrame(0, b"\0\1\2abc\xfe\xff"))
    h2.drain_until(lambda: h2.pongs)
    assert bytes([f for f in h2.frames if isinstance(f, PingFrame)][0].opaque_data) == b"\0\1\2abc\xfe\xff"


@case("6.7 PING with ACK is not answered")
def _(t):
    h2 = t.open()
    h2.send(raw(PING, ACK, 0, b"nobodysp"))
    h2.send(raw(PING, 0, 0, b"asked me"))
    h2.drain_until(lambda: h2.pongs)
    assert [bytes(f.opaque_data) for f in h2.frames if isinstance(f, PingFrame)] == [b"asked me"]


@case("6.7 PING on a stream ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(PING, 0, 1, b"12345678"))
    conn_error(h2, PROTOCOL_ERROR)


for length in (0, 7, 9):
    @case(f"6.7 PING of {length} bytes ends the connection")
    def _(t, length=length):
        h2 = t.open()
        h2.send(raw(PING, 0, 0, b"\0" * length))
        conn_error(h2, FRAME_SIZE_ERROR)


@case("6.8 GOAWAY on a stream ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(GOAWAY, 0, 1, b"\0" * 8))
    conn_error(h2, PROTOCOL_ERROR)


@case("6.8 GOAWAY shorter than 8 bytes ends the connection")
def _(t):
    h2 = t.open()
    h2.send(raw(GOAWAY, 0, 0, b"\0" * 7))
    conn_error(h2, FRAME_SIZE_ERROR)


@case("6.8 after a client's GOAWAY its streams are still answered")
def _(t):
    h2 = t.open()
    stream = h2.request()
    h2.send(GoAwayFrame(0, last_stream_id=0, error_code=0, additional_data=b"farewell"))
    h2.drain_until(lambda: h2.stream(stream).done)
    assert h2.stream(stream).ended


@case("6.9 WINDOW_UPDATE of 0 on the connection ends it")
def _(t):
    h2 = t.open()
    h2.send(raw(WINDOW_UPDATE, 0, 0, b"\0\0\0\0"))
    conn_error(h2, PROTOCOL_ERROR)


@case("6.9 WINDOW_UPDATE of 0 on a stream is an error of the stream")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(WINDOW_UPDATE, 0, stream, b"\0\0\0\0"))
    stream_error(h2, stream, PROTOCOL_ERROR)


for length in (0, 3, 5):
    @case(f"6.9 WINDOW_UPDATE of {length} bytes ends the connection")
    def _(t, length=length):
        h2 = t.open()
        h2.send(raw(WINDOW_UPDATE, 0, 0, b"\1" * length))
        conn_error(h2, FRAME_SIZE_ERROR)


@case("6.9.1 the connection's window beyond 2^31-1 ends it")
def _(t):
    h2 = t.open()
    h2.send(raw(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 2)
    conn_error(h2, FLOW_CONTROL_ERROR)


@case("6.9.1 a stream's window beyond 2^31-1 is an error of the stream")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(WINDOW_UPDATE, 0, stream, b"\x7f\xff\xff\xff") * 2)
    stream_error(h2, stream, FLOW_CONTROL_ERROR)


@case("6.9.2 a greater SETTINGS_INITIAL_WINDOW_SIZE opens the windows of open streams")
def _(t):
    h2 = t.open(settings={INITIAL_WINDOW: 0})
    h2.auto_window = False
    stream = h2.request(path="/big")
    h2.drain_until(lambda: h2.stream(stream).status is not None)
    h2.send(raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 7)))
    h2.drain_until(lambda: h2.stream(stream).body)
    h2.ping()
    assert len(h2.stream(stream).body) == 7


@case("6.9.2 a window may become negative, and then stays shut")
def _(t):
    h2 = t.open(settings={INITIAL_WINDOW: 3})
    h2.auto_window = False
    stream = h2.request(path="/big")
    h2.drain_until(lambda: len(h2.stream(stream).body) >= 3)
    h2.send(raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 1)))
    h2.send(WindowUpdateFrame(stream, 2))
    h2.ping()
    assert len(h2.stream(stream).body) == 3
    h2.send(WindowUpdateFrame(stream, 1))
    h2.drain_until(lambda: len(h2.stream(stream).body) > 3)
    h2.ping()
    assert len(h2.stream(stream).body) == 4


@case("6.9.2 SETTINGS that make a window pass 2^31-1 end the connection")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(WindowUpdateFrame(stream, 2**31 - 1 - 65535))
    h2.send(raw(SETTINGS, 0, 0, setting(INITIAL_WINDOW, 65536)))
    stream_error(h2, stream, FLOW_CONTROL_ERROR)


@case("6.10 fields may come in many CONTINUATION frames")
def _(t):
    h2 = t.open()
    whole = block(h2)
    h2.send(raw(HEADERS, END_STREAM, 1, whole[:2]) + raw(CONTINUATION, 0, 1, whole[2:3]) + raw(CONTINUATION, 0, 1)
            + raw(CONTINUATION, 0, 1, whole[3:6]) + raw(CONTINUATION, END_HEADERS, 1, whole[6:]))
    fine(h2, 1)


for what, frames in (
        ("after END_HEADERS", lambda b: raw(HEADERS, END_STREAM | END_HEADERS, 1, b) + raw(CONTINUATION, END_HEADERS, 1, b"\x82")),
        ("of another stream", lambda b: raw(HEADERS, END_STREAM, 1, b[:3]) + raw(CONTINUATION, END_HEADERS, 3, b[3:])),
        ("on stream 0", lambda b: raw(HEADERS, END_STREAM, 1, b[:3]) + raw(CONTINUATION, END_HEADERS, 0, b[3:])),
        ("after DATA", lambda b: raw(HEADERS, END_HEADERS, 1, b) + raw(DATA, 0, 1, b"x") + raw(CONTINUATION, END_HEADERS, 1, b"\x82")),
        ("after CONTINUATION with END_HEADERS", lambda b: raw(HEADERS, END_STREAM, 1, b[:3]) + raw(CONTINUATION, END_HEADERS, 1, b[3:])
         + raw(CONTINUATION, END_HEADERS, 1, b"\x82"))):
    @case(f"6.10 CONTINUATION {what} ends the connection")
    def _(t, frames=frames):
        h2 = t.open()
        h2.send(frames(block(h2)))
        conn_error(h2, PROTOCOL_ERROR)
