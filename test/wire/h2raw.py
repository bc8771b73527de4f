# SPDX-License-Identifier: Apache-2.0
"""A client of HTTP/2 that sends exactly the frames it is told to, and says what came back.

Frames are hyperframe's, fields hpack's; nothing is checked on the way out, so that a test can break any rule.
"""
import select
import socket
import struct
import time

import hpack
from hyperframe.frame import (ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame,
                              RstStreamFrame, SettingsFrame, WindowUpdateFrame)

from weirtest import wait_for

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DEADLINE = 10
(NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
 REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM) = range(12)


def raw(kind, flags, stream, payload=b"", length=None):
    """Any frame at all."""
    length = len(payload) if length is None else length
    return struct.pack(">I", length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Stream:
    def __init__(self):
        self.status, self.interim, self.fields, self.trailers = None, [], [], None
        self.body, self.ended, self.reset = b"", False, None

    @property
    def done(self):
        return self.ended or self.reset is not None


class H2:
    """A connection; `hello` False: not even the preface was sent."""

    def __init__(self, port, hello=True, settings=None, sock=None):
        self.sock = sock or socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.decoder.max_allowed_table_size = 65536
        self.buffer, self.block = b"", None
        self.streams, self.frames = {}, []
        self.goaway, self.goaways, self.closed, self.settings, self.acks, self.pongs = None, [], False, {}, 0, 0
        self.next_id = 1
        self.auto_window = True
        if hello:
            self.send(PREFACE + SettingsFrame(0, settings=settings or {}).serialize())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # --- sending ---

    def send(self, data):
        if isinstance(data, Frame):
            data = data.serialize()
        try:
            self.sock.settimeout(DEADLINE)
            self.sock.sendall(data)
        except OSError:
            pass  # what it said meanwhile is what counts

    def wait_until_taken(self):
        """Until the server has read what was sent: its socket's queue, as the kernel tells it, is empty."""
        ends = [f"{end[1]:04X}" for end in (self.sock.getpeername(), self.sock.getsockname())]

        def is_taken():
            with open("/proc/net/tcp", encoding="ascii") as table:
                rows = [line.split() for line in table.readlines()[1:]]
            return any([row[1].split(":")[1], row[2].split(":")[1]] == ends
                       and int(row[4].split(":")[1], 16) == 0 for row in rows)
        wait_for(is_taken, "the server to read what was sent")

    def fields(self, method="GET", path="/", extra=(), scheme="http", authority="test.example", pseudo=None):
        if pseudo is None:
            pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
        return list(pseudo) + list(extra)

    def head(self, stream, fields, end=True, flags=("END_HEADERS",)):
        frame = HeadersFrame(stream, self.encoder.encode(fields), flags=list(flags) + (["END_STREAM"] if end else []))
        return frame.serialize()

    def request(self, *args, end=True, stream=None, **kw):
        """Sends a request; its stream's number."""
        if stream is None:
            stream, self.next_id = self.next_id, self.next_id + 2
        self.send(self.head(stream, self.fields(*args, **kw), end))
        return stream

    def data(self, stream, data, end=False):
        self.send(DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    # --- receiving ---

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def take(self, timeout):
        """What one read brings. False: nothing, or the end."""
        if self.closed:
            return False
        pending = getattr(self.sock, "pending", lambda: 0)()
        if not pending and not select.select([self.sock], [], [], max(timeout, 0))[0]:
            return False
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        self.buffer += data
        while len(self.buffer) >= 9:
            length = int.from_bytes(self.buffer[:3], "big")
            if len(self.buffer) < 9 + length:
                break
            whole, self.buffer = self.buffer[:9 + length], self.buffer[9 + length:]
            if whole[3] > 9:
                continue
            frame, _ = Frame.parse_frame_header(memoryview(whole[:9]))
            frame.parse_body(memoryview(whole[9:]))
            self.got(frame)
        return True

    def got(self, frame):
        self.frames.append(frame)
        stream = self.stream(frame.stream_id) if frame.stream_id else None
        if isinstance(frame, (HeadersFrame, ContinuationFrame)):
            if isinstance(frame, HeadersFrame):
                self.block, self.block_end = b"", "END_STREAM" in frame.flags
            self.block += bytes(frame.data)
            if "END_HEADERS" in frame.flags:
                self.got_head(stream, self.decoder.decode(self.block))
                stream.ended |= self.block_end
        elif isinstance(frame, DataFrame):
            stream.body += bytes(frame.data)
            stream.ended |= "END_STREAM" in frame.flags
            if self.auto_window and frame.flow_controlled_length:
                self.send(WindowUpdateFrame(0, frame.flow_controlled_length).serialize()
                          + WindowUpdateFrame(frame.stream_id, frame.flow_controlled_length).serialize())
        elif isinstance(frame, RstStreamFrame):
            stream.reset = frame.error_code
        elif isinstance(frame, GoAwayFrame):
            self.goaway = frame.error_code
            self.goaways.append((frame.last_stream_id, frame.error_code))
        elif isinstance(frame, SettingsFrame):
            if "ACK" in frame.flags:
                self.acks += 1
            else:
                self.settings.update(frame.settings)
                self.send(SettingsFrame(0, flags=["ACK"]))
        elif isinstance(frame, PingFrame):
            if "ACK" in frame.flags:
                self.pongs += 1
            else:
                self.send(PingFrame(0, bytes(frame.opaque_data), flags=["ACK"]))

    def got_head(self, stream, fields):
        status = dict(fields).get(":status")
        if status is None:
            stream.trailers = fields
        elif status.startswith("1"):
            stream.interim.append(int(status))
        else:
            stream.status, stream.fields = int(status), fields[1:]

    def until(self, condition, what="condition", deadline=DEADLINE):
        end = time.monotonic() + deadline
        while not condition():
            if self.closed or time.monotonic() > end:
                raise AssertionError(f"never {what}: goaway {self.goaway}, closed {self.closed}, streams "
                                     f"{[(n, s.status, s.ended, s.reset) for n, s in list(self.streams.items())[-5:]]}")
            self.take(min(0.2, end - time.monotonic()))

    def answer(self, stream, deadline=DEADLINE):
        self.until(lambda: self.stream(stream).done, f"an answer on stream {stream}", deadline)
        return self.stream(stream)

    def get(self, *args, **kw):
        return self.answer(self.request(*args, **kw))

    def drain(self, deadline=DEADLINE):
        """Reads until the other side closes; whether it did."""
        end = time.monotonic() + deadline
        while not self.closed and time.monotonic() < end:
            self.take(min(0.2, end - time.monotonic()))
        return self.closed

    def ping(self):
        """Everything before it was taken in, and the connection lives."""
        want = self.pongs + 1
        self.send(PingFrame(0, b"areyouup"))
        self.until(lambda: self.pongs >= want, "an answer to PING")
