# SPDX-License-Identifier: Apache-2.0
"""Framing: nothing ambiguous passes. Refused requests get their status, the connection closes, the
upstream sees nothing of them, and the next client is served as if nothing had happened."""
import pytest

from weirtest import Client

CL = "Content-Length"
TE = "Transfer-Encoding"


def post(*fields, body="", version="HTTP/1.1", path="/"):
    return f"POST {path} {version}\r\nHost: t\r\n" + "".join(f + "\r\n" for f in fields) + "\r\n" + body


CHUNK = "3\r\nabc\r\n0\r\n\r\n"
SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"

REFUSED = {
    "length-with-chunked": post(f"{CL}: 5", f"{TE}: chunked", body=CHUNK),
    "chunked-with-length": post(f"{TE}: chunked", f"{CL}: 5", body=CHUNK),
    "two-lengths-differ": post(f"{CL}: 5", f"{CL}: 6", body="abcdef"),
    "length-list": post(f"{CL}: 5,6", body="abcdef"),
    "length-negative": post(f"{CL}: -1"),
    "length-plus": post(f"{CL}: +5", body="abcde"),
    "length-hex": post(f"{CL}: 0x5", body="abcde"),
    "length-underscore": post(f"{CL}: 1_0", body="abcdefghij"),
    "length-empty": post(f"{CL}:"),
    "length-overflow": post(f"{CL}: 18446744073709551616"),
    "length-overflow-by-far": post(f"{CL}: " + "9" * 40),
    "length-nul": post(f"{CL}: 5\0", body="abcde"),
    "length-words": post(f"{CL}: 5 5", body="abcde"),
    "length-space-colon": post(f"{CL} : 5", body="abcde"),
    "encoding-space-colon": post(f"{TE} : chunked", body=CHUNK),
    "encoding-tab-colon": post(f"{TE}\t: chunked", body=CHUNK),
    "encoding-unknown": post(f"{TE}: xchunked", body=CHUNK),
    "encoding-chunked-not-last": post(f"{TE}: chunked, gzip", body=CHUNK),
    "encoding-identity": post(f"{TE}: identity", body=CHUNK),
    "encoding-vertical-tab": post(f"{TE}: \vchunked", body=CHUNK),
    "encoding-quoted": post(f'{TE}: "chunked"', body=CHUNK),
    "encoding-twice-in-list": post(f"{TE}: chunked, chunked", body=CHUNK),
    "encoding-empty": post(f"{TE}:", body=CHUNK),
    "encoding-two-lines": post(f"{TE}: chunked", f"{TE}: chunked", body=CHUNK),
    "encoding-two-lines-differ": post(f"{TE}: chunked", f"{TE}: identity", body=CHUNK),
    "encoding-in-1.0": post(f"{TE}: chunked", body=CHUNK, version="HTTP/1.0"),
    "hidden-behind-cr": post(f"X: y\r{TE}: chunked", body=CHUNK),
    "hidden-behind-lf": post(f"X: y\n{TE}: chunked", body=CHUNK),
    "folded-encoding": post(f"{TE}:\r\n chunked", body=CHUNK),
    "folded-field": post("X: y\r\n folded"),
    "folded-first": "POST / HTTP/1.1\r\n Host: t\r\n\r\n",
}

REFUSED_BODIES = {
    "chunk-0x": "0x1\r\na\r\n0\r\n\r\n",
    "chunk-plus": "+1\r\na\r\n0\r\n\r\n",
    "chunk-minus": "-1\r\na\r\n0\r\n\r\n",
    "chunk-1bad": "1bad!\r\na\r\n0\r\n\r\n",
    "chunk-empty-size": "\r\na\r\n0\r\n\r\n",
    "chunk-17-digits": "10000000000000000\r\na\r\n0\r\n\r\n",
    "chunk-zeros-17": "00000000000000001\r\na\r\n0\r\n\r\n",
    "chunk-space-before": " 1\r\na\r\n0\r\n\r\n",
    "chunk-underscore": "1_0\r\naaaaaaaaaaaaaaaa\r\n0\r\n\r\n",
    "chunk-data-too-long": "1\r\nab\r\n0\r\n\r\n",
    "chunk-data-without-end": "1\r\na0\r\n\r\n",
    "chunk-data-lf-end": "1\r\na\n0\r\n\r\n",
    "chunk-lf-size": "1\na\r\n0\r\n\r\n",
    "chunk-lf-in-extension": "1;x=\ny\r\na\r\n0\r\n\r\n",
    "chunk-cr-in-extension": "1;x=\ry\r\na\r\n0\r\n\r\n",
    "chunk-long-extension": "1;" + "x" * 70000 + "\r\na\r\n0\r\n\r\n",
    "trailer-long": "1\r\na\r\n0\r\nX: " + "y" * 70000 + "\r\n\r\n",
    "trailer-many": "1\r\na\r\n0\r\n" + "X: y\r\n" * 10000 + "\r\n",
    "trailer-no-colon": "1\r\na\r\n0\r\nbad\r\n\r\n",
    "trailer-folded": "1\r\na\r\n0\r\nX: y\r\n z\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(relay, name):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(REFUSED[name] + SMUGGLED)
        answer = client.response()
        assert answer is not None and answer.status == 400, answer
        assert client.closed()
    assert relay.upstream.bytes == b""
    assert relay.ask().status == 200


@pytest.mark.parametrize("name", REFUSED_BODIES)
def test_refused_body(relay, name):
    """The head may have gone upstream by then: what must not happen is a complete second request."""
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(post(f"{TE}: chunked", body=REFUSED_BODIES[name]) + SMUGGLED)
        answer = client.response()
        assert answer is None or answer.status in (400, 431), answer
        assert client.closed()
    seen = relay.upstream.bytes
    assert b"smuggled" not in seen
    assert b"\r\n0\r\n\r\n" not in seen, "a broken body was forwarded as complete"
    assert relay.ask().status == 200


def test_unimplemented_coding(relay):
    with relay.client() as client:
        client.send(post(f"{TE}: gzip, chunked", body=CHUNK))
        assert client.response().status == 501
        assert client.closed()


def test_equal_lengths_are_one(relay):
    """Two equal lengths may be merged or refused (RFC 9112 section 6.3); never forwarded as two."""
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(post(f"{CL}: 3", f"{CL}: 3", body="abc"))
        answer = client.response()
        assert answer.status in (200, 400)
    assert relay.upstream.bytes.lower().count(b"content-length") <= 1


def test_trailers_never_frame(relay):
    relay.upstream.received.clear()
    body = f"1\r\na\r\n0\r\n{CL}: 9\r\n{TE}: gzip\r\nHost: evil\r\nX-Ok: 1\r\n\r\n"
    with relay.client() as client:
        client.send(post(f"{TE}: chunked", body=body))
        assert client.response().status == 200
    tail = relay.upstream.bytes.partition(b"\r\n\r\n")[2].lower()
    assert b"content-length" not in tail and b"transfer-encoding" not in tail and b"evil" not in tail


def test_cut_body_is_not_complete(relay):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(post(f"{CL}: 10", body="abc"))
    with relay.client() as client:
        client.send(post(f"{TE}: chunked", body="5\r\nabc"))
    assert relay.ask("/after").status == 200
    assert b"\r\n0\r\n\r\n" not in relay.upstream.bytes


def test_connection_names_length(relay):
    """Connection: Content-Length removes the field's text at most; the body still frames."""
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(post(f"{CL}: 3", "Connection: Content-Length", body="abc", path="/named") + SMUGGLED)
        first = client.response()
        assert first.status in (200, 400)
        if first.status == 200:
            assert client.response().status == 200
    seen = relay.upstream.bytes  # what an earlier client cut may arrive only now
    assert seen.count(b"POST /named ") + seen.count(b"GET /smuggled ") in (0, 2)


def test_get_body_is_a_body(relay):
    relay.upstream.received.clear()
    inner = "GET /inner HTTP/1.1\r\nHost: t\r\n\r\n"
    with relay.client() as client:
        client.send(f"GET /outer HTTP/1.1\r\nHost: t\r\n{CL}: {len(inner)}\r\n\r\n{inner}")
        assert client.response().status == 200
        client.get("/next")
        assert client.response().status == 200
    assert relay.upstream.bytes.count(b"content-length: %d" % len(inner)) + \
        relay.upstream.bytes.count(b"Content-Length: %d" % len(inner)) == 1


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "200-ok", "x" * 100])
def test_expect(relay, value):
    with relay.client() as client:
        client.send(post(f"{CL}: 3", f"Expect: {value}"))
        if value.lower() == "100-continue":
            first = client.response()
            if first.status == 100:
                client.send("abc")
                first = client.final()
            assert first.status == 200
        else:
            client.send("abc")
            assert client.final().status in (200, 417)


def test_late_body_is_not_a_request(relay):
    """100-continue refused or answered early: the late body never becomes the next request."""
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(post(f"{CL}: {len(SMUGGLED)}", "Expect: 100-continue") + SMUGGLED)
        assert client.final().status == 200
    assert b"GET /smuggled" not in relay.upstream.bytes.split(b"\r\n\r\n")[0]
    assert relay.ask().status == 200


def test_upgrade_with_pipelined_bytes(relay):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send("GET /up HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
                    "GET /second HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 200
    assert relay.upstream.requests == 2


def test_h2c_upgrade_is_not_forwarded(relay):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send("GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                    "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
        assert client.response().status == 200
    seen = relay.upstream.bytes.lower()
    assert b"h2c" not in seen and b"http2-settings" not in seen


def test_every_split(relay):
    """A request cut at any byte is the same request."""
    whole = post(f"{TE}: chunked", "X-A: b", body="3\r\nabc\r\n2;e=f\r\nde\r\n0\r\nX-T: u\r\n\r\n").encode()
    with relay.client() as client:
        for cut in range(1, len(whole)):
            client.send(whole[:cut])
            client.send(whole[cut:])
            assert client.response().status == 200, cut


def test_pipelined_in_order():
    import weirtest

    def echo_path(peer):
        while (request := peer.request()) is not None:
            peer.ok(request[0].split(b" ")[1])

    with weirtest.Upstream(echo_path) as upstream, weirtest.Weir(upstream) as weir:
        with Client(weir.port) as client:
            client.send("".join(f"GET /{i} HTTP/1.1\r\nHost: t\r\n\r\n" for i in range(100)))
            for i in range(100):
                assert client.response().body == b"/%d" % i
