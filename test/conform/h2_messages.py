# SPDX-License-Identifier: Apache-2.0
"""The cases of messages (RFC 9113 §§7-8) and of their compression (RFC 7541); see h2_cases.py."""
from h2_base import *  # noqa: F403


# --- §7, §8 ------------------------------------------------------------------------------------------


@case("7 unknown error codes do no harm")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(raw(RST_STREAM, 0, stream, b"\xff\xff\xff\xff"))
    alive(h2)


@case("8.1 trailers end a request")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.data(stream, b"x")
    h2.send(h2.head(stream, [("x-trailer", "1")]))
    fine(h2, stream)


@case("8.1 a second HEADERS without END_STREAM is malformed")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.data(stream, b"x")
    h2.send(h2.head(stream, [("x-trailer", "1")], end=False))
    malformed(h2, stream)


@case("8.1 trailers with a pseudo-field are malformed")
def _(t):
    h2 = t.open()
    stream = post(h2)
    h2.send(h2.head(stream, [(":method", "GET")]))
    malformed(h2, stream)


@case("8.1 an answer to HEAD has no DATA but its end")
def _(t):
    h2 = t.open()
    stream = h2.request("HEAD")
    fine(h2, stream)
    assert h2.stream(stream).body == b""


for length, pieces in ((1, []), (5, [b"four"]), (3, [b"four"]), (3, [b"fo", b"ur"]), (0, [b"x"]), (2**40, [b"x"])):
    @case(f"8.1.1 Content-Length {length} with {sum(map(len, pieces))} bytes in {len(pieces)} frames is malformed")
    def _(t, length=length, pieces=pieces):
        h2 = t.open()
        stream = h2.request("POST", path="/post", extra=[("content-length", str(length))], end=not pieces)
        for i, piece in enumerate(pieces):
            h2.data(stream, piece, i == len(pieces) - 1)
        malformed(h2, stream)


for value in ("-1", "+1", "0x1", "1,1", "", "18446744073709551616", "1 1"):
    @case(f"8.1.1 Content-Length {value!r} is malformed")
    def _(t, value=value):
        h2 = t.open()
        stream = h2.request("POST", path="/post", extra=[("content-length", value)], end=False)
        h2.data(stream, b"x", True)
        malformed(h2, stream)


@case("8.1.1 two Content-Lengths are malformed")
def _(t):
    h2 = t.open()
    stream = h2.request("POST", path="/post", extra=[("content-length", "1"), ("content-length", "2")], end=False)
    h2.data(stream, b"x", True)
    malformed(h2, stream)


def bad_fields(section, what, extra=(), ends_stream=True, **kw):
    @case(f"{section} {what} is malformed")
    def _(t):
        h2 = t.open()
        malformed(h2, h2.request(extra=extra, **kw))


def literal(name, value):
    """Without indexing, without Huffman: hpack would have its own opinion of it."""
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


def bad_literal(section, what, name, value):
    @case(f"{section} {what} is malformed")
    def _(t):
        h2 = t.open()
        h2.send(raw(HEADERS, END_STREAM | END_HEADERS, 1, block(h2) + literal(name, value)))
        malformed(h2, 1)


for name in (b"X-Upper", b"x upper", b"x\tb", b"x\0b", b"x\x7fb", b"x\x80b", b"x:b", b"", b"x\rb", b"x\nb", b"x(b", b"x\xffb"):
    bad_literal("8.2.1", f"the name {name!r}", name, b"v")
for value in (b"a\0b", b"a\rb", b"a\nb", b"\0", b"a\r\nx: y"):
    bad_literal("8.2.1", f"the value {value!r}", b"x-v", value)
for value in (b" a", b"a ", b"\ta", b"a\t"):
    bad_literal("8.2.1", f"the value {value!r} with white space at its end", b"x-v", value)
for name, value in (("connection", "close"), ("connection", "x-a"), ("proxy-connection", "keep-alive"), ("keep-alive", "1"),
                    ("transfer-encoding", "chunked"), ("transfer-encoding", "identity"), ("upgrade", "foo"), ("te", "gzip"),
                    ("te", "trailers, deflate")):
    bad_fields("8.2.2", f"{name}: {value}", [(name, value)])


@case("8.2.2 te: trailers is taken")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(extra=[("te", "trailers")]))


@case("8.2.3 cookies may come in crumbs")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(extra=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")]))


M, S, A, P = (":method", "GET"), (":scheme", "http"), (":authority", "test.example"), (":path", "/")
for what, pseudo in (("an unknown pseudo-field", [M, S, A, P, (":unknown", "1")]), (":status in a request", [M, S, A, P, (":status", "200")]),
                     ("no :method", [S, A, P]), ("no :scheme", [M, A, P]), ("no :path", [M, S, A]), ("an empty :path", [M, S, A, (":path", "")]),
                     (":method twice", [M, M, S, A, P]), (":scheme twice", [M, S, S, A, P]), (":path twice", [M, S, A, P, P]),
                     (":authority twice", [M, S, A, A, P]), ("a :path that begins with no slash", [M, S, A, (":path", "a")]),
                     ("* for GET", [M, S, A, (":path", "*")]), ("an absolute :path", [M, S, A, (":path", "http://test.example/")]),
                     ("CONNECT with :path", [(":method", "CONNECT"), A, P]), ("CONNECT with :scheme", [(":method", "CONNECT"), S, A]),
                     ("CONNECT without :authority", [(":method", "CONNECT")]), ("no pseudo-field at all", [])):
    bad_fields("8.5" if "CONNECT" in what else "8.3.1" if "pseudo" not in what else "8.3", what, pseudo=pseudo)
bad_fields("8.3", "a pseudo-field after another field", pseudo=[M, S, A, ("x", "y"), P])
bad_fields("8.3.1", "user information in :authority", authority="user@test.example")
bad_fields("8.3.1", "a Host that is not :authority", [("host", "other.example")])
bad_fields("8.3.1", "neither :authority nor Host", pseudo=[M, S, P])
bad_literal("8.3", "a pseudo-field with an upper-case name", b":Path", b"/")


@case("8.3.1 Host alone says the authority")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(pseudo=[M, S, P], extra=[("host", "test.example")]))


@case("8.3.1 pseudo-fields may come in any order")
def _(t):
    h2 = t.open()
    fine(h2, h2.request(pseudo=[P, A, S, M]))


@case("8.4 nothing is pushed")
def _(t):
    h2 = t.open(settings={ENABLE_PUSH: 1})
    fine(h2, h2.request())
    assert all(type(f).__name__ != "PushPromiseFrame" for f in h2.frames)


@case("8.5 CONNECT is refused, and the connection goes on")
def _(t):
    h2 = t.open()
    stream = h2.request(pseudo=[(":method", "CONNECT"), (":authority", "test.example:80")])
    h2.drain_until(lambda: h2.stream(stream).done)
    assert h2.stream(stream).reset is not None or h2.stream(stream).status >= 400
    alive(h2)


# --- RFC 7541 ----------------------------------------------------------------------------------------


def compression(section, what, payload):
    @case(f"7541 {section} {what} ends the connection")
    def _(t):
        h2 = t.open()
        h2.send(raw(HEADERS, END_STREAM | END_HEADERS, 1, payload(h2)))
        conn_error(h2, COMPRESSION_ERROR)


compression("2.3.3", "an index beyond both tables", lambda h2: block(h2) + b"\xff\xff\x01")
compression("2.3.3", "the first free dynamic index", lambda h2: b"\x82\x84\x86\xbe")
compression("2.3.3", "a literal whose name has no index", lambda h2: block(h2) + b"\x7f\xff\x01\x01a")
compression("4.2", "a table larger than allowed", lambda h2: b"\x3f\xe2\x1f" + block(h2))
compression("4.2", "a table of 2^31 bytes", lambda h2: b"\x3f\xe1\xff\xff\xff\x07" + block(h2))
compression("4.2", "a change of the table behind a field", lambda h2: block(h2) + b"\x20")
compression("5.1", "an integer without an end", lambda h2: block(h2) + b"\xff" + b"\x80" * 20)
compression("5.1", "an integer of more than 32 bits", lambda h2: block(h2) + b"\xff\xff\xff\xff\xff\xff\x7f")
compression("5.1", "an integer that is cut off", lambda h2: block(h2) + b"\xff\x80")
compression("5.2", "a string that is cut off", lambda h2: block(h2) + b"\x00\x05ab")
compression("5.2", "a string whose length is cut off", lambda h2: block(h2) + b"\x00\x01x\x7f")
compression("5.2", "Huffman with EOS", lambda h2: block(h2) + b"\x00\x01x\x84\xff\xff\xff\xff")
compression("5.2", "Huffman padding of eight bits", lambda h2: block(h2) + b"\x00\x01x\x82\x1f\xff")
compression("5.2", "Huffman padding that is not ones", lambda h2: block(h2) + b"\x00\x01x\x81\x18")
compression("6.1", "index 0", lambda h2: block(h2) + b"\x80")


def taken(section, what, payload):
    @case(f"7541 {section} {what} is taken")
    def _(t):
        h2 = t.open()
        h2.send(raw(HEADERS, END_STREAM | END_HEADERS, 1, payload(h2)))
        fine(h2, 1)


STATIC = b"\x82\x86\x84" + b"\x01\x0ctest.example"  # GET http / and :authority, plain
taken("5.2", "fields without Huffman", lambda h2: STATIC)
taken("6.2.2", "a literal without indexing", lambda h2: STATIC + b"\x00\x03x-a\x01b")
taken("6.2.3", "a literal never indexed", lambda h2: STATIC + b"\x10\x03x-a\x01b")
taken("6.2.1", "a literal with indexing, and its index", lambda h2: STATIC + b"\x40\x03x-a\x01b\xbe")
taken("6.3", "a table of no bytes", lambda h2: b"\x20" + STATIC)
taken("6.3", "two changes of the table at the start", lambda h2: b"\x20\x3f\xe1\x1f" + STATIC)
taken("4.4", "an entry larger than the table", lambda h2: STATIC + b"\x40\x03x-a\x7f\x81\x1f" + b"v" * 4096)


@case("7541 2.3.2 the table lasts from one request to the next")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, 5, 1, STATIC + b"\x40\x03x-a\x01b"))
    fine(h2, 1)
    h2.send(raw(HEADERS, 5, 3, STATIC + b"\xbe"))
    fine(h2, 3)


@case("7541 4.3 a smaller table forgets what does not fit")
def _(t):
    h2 = t.open()
    h2.send(raw(HEADERS, 5, 1, STATIC + b"\x40\x03x-a\x01b"))
    fine(h2, 1)
    h2.send(raw(HEADERS, 5, 3, b"\x20" + STATIC + b"\xbe"))
    conn_error(h2, COMPRESSION_ERROR)


@case("7541 4.2 the server keeps to SETTINGS_HEADER_TABLE_SIZE")
def _(t):
    h2 = t.open(settings={HEADER_TABLE_SIZE: 0})
    h2.decoder.max_allowed_table_size = 0
    h2.decoder.header_table_size = 0
    h2.ping()
    for _ in range(3):
        fine(h2, h2.request())


@case("7541 6.3 the server says that its table has shrunk")
def _(t):
    h2 = t.open()
    fine(h2, h2.request())
    h2.send(raw(SETTINGS, 0, 0, setting(HEADER_TABLE_SIZE, 100)))
    h2.ping()
    h2.decoder.max_allowed_table_size = 100
    try:
        fine(h2, h2.request())
        fine(h2, h2.request())
    except hpack.HPACKError as error:
        raise AssertionError(error) from error
