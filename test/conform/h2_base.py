# SPDX-License-Identifier: Apache-2.0
"""What cases are made of: how one is told, what it expects, and the numbers of frames and settings."""
import struct

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame,
                              SettingsFrame, WindowUpdateFrame)

from h2raw import (COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, NO_ERROR, PREFACE, PROTOCOL_ERROR,
                   REFUSED_STREAM, STREAM_CLOSED, raw)

CASES = []
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIO = 1, 1, 4, 8, 32
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT, INITIAL_WINDOW, MAX_FRAME, MAX_LIST = range(1, 7)


def case(name):
    def add(function):
        assert name not in {n for n, _ in CASES}, name
        CASES.append((name, function))
        return function
    return add


# --- what is expected --------------------------------------------------------------------------------


def conn_error(h2, *codes):
    h2.drain_until(lambda: h2.goaway is not None)
    assert h2.goaway is not None or h2.closed, "the connection goes on"
    assert h2.goaway is None or h2.goaway in codes, f"GOAWAY {h2.goaway}, not {codes}"


def stream_error(h2, stream, *codes):
    h2.drain_until(lambda: h2.goaway is not None or h2.stream(stream).reset is not None)
    got = h2.stream(stream).reset if h2.stream(stream).reset is not None else h2.goaway
    assert got is not None or h2.closed, f"no error; status {h2.stream(stream).status}"
    assert got is None or got in codes, f"error {got}, not {codes}"


def malformed(h2, stream):
    it = h2.stream(stream)
    h2.drain_until(lambda: h2.goaway is not None or it.done)
    if it.status is not None and 400 <= it.status < 500:
        return
    got = it.reset if it.reset is not None else h2.goaway
    assert got == PROTOCOL_ERROR or (got is None and h2.closed), f"error {got}, status {it.status}"


def fine(h2, stream):
    it = h2.stream(stream)
    h2.drain_until(lambda: it.done or h2.goaway is not None)
    assert it.ended and it.status is not None, f"status {it.status}, reset {it.reset}, GOAWAY {h2.goaway}"
    h2.ping()


def alive(h2):
    h2.ping()
    fine(h2, h2.request())


def block(h2, **kw):
    return h2.encoder.encode(h2.fields(**kw))


def post(h2, extra=(), **kw):
    return h2.request("POST", path="/post", extra=extra, end=False, **kw)


def setting(number, value):
    return struct.pack(">HI", number, value)
