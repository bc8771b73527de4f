# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 and HTTP/2, on either side: what one client asks and one server answers is the same in all four combinations."""
import pytest

from h2peer import H2Upstream
from h2raw import H2
from weirtest import Upstream, Weir

BODY = b"0123456789abcdef" * 3000


class Answer:
    def __init__(self, interim, status, fields, body, trailers):
        self.interim, self.status, self.body = interim, status, body
        self.fields = {name.lower(): value for name, value in fields}
        self.trailers = {name.lower(): value for name, value in trailers or []}


# --- clients: ask(method, path, fields, body, trailers); a body of unknown length where there are trailers -------------


class Http1:
    def __init__(self, weir):
        self.client = weir.client()

    def ask(self, method="GET", path="/", fields=(), body=b"", trailers=()):
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        if trailers:
            body = b"%x\r\n%s\r\n0\r\n" % (len(body), body) + "".join(f"{n}: {v}\r\n" for n, v in trailers).encode() + b"\r\n"
            head += "Transfer-Encoding: chunked\r\n"
        elif body:
            head += f"Content-Length: {len(body)}\r\n"
        self.client.send(f"{method} {path} HTTP/1.1\r\nHost: t\r\nTE: trailers\r\n{head}\r\n")
        interim = []
        if dict(fields).get("Expect"):
            interim.append(self.client.response().status)
        self.client.send(body)
        while (answer := self.client.response(method)).status < 200:
            interim.append(answer.status)
        assert answer.complete
        return Answer(interim, answer.status, answer.fields, answer.body, answer.trailers)

    def connect(self):
        return self.client.send("CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n").response().status

    def close(self):
        self.client.close()


class Http2:
    def __init__(self, weir):
        self.h2 = H2(weir.port)

    def ask(self, method="GET", path="/", fields=(), body=b"", trailers=()):
        extra = [("te", "trailers"), *((name.lower(), value) for name, value in fields)]
        if body and not trailers:
            extra.append(("content-length", str(len(body))))
        stream = self.h2.request(method, path=path, authority="t", extra=extra, end=not body)
        if dict(fields).get("Expect"):
            self.h2.until(lambda: self.h2.stream(stream).interim, "100")
        for at in range(0, len(body), 16000):
            self.h2.data(stream, body[at:at + 16000], at + 16000 >= len(body) and not trailers)
        if trailers:
            self.h2.send(self.h2.head(stream, [(name.lower(), value) for name, value in trailers]))
        answer = self.h2.answer(stream)
        assert answer.ended, answer.reset
        return Answer(answer.interim, answer.status, answer.fields, answer.body, answer.trailers)

    def connect(self):
        answer = self.h2.get(pseudo=[(":method", "CONNECT"), (":authority", "x:1")])
        return answer.status or "reset"

    def close(self):
        self.h2.sock.close()


# --- servers: `told` has (method, path, fields, body, trailers) of what came -------------------------------------------


def served_http1(told):
    def unchunked(body):
        parts, rest = b"", body
        while True:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return parts, dict(line.split(": ", 1) for line in rest.decode().lower().split("\r\n") if line)
            parts, rest = parts + rest[:size], rest[size + 2:]

    def script(peer):
        while (request := peer.request()) is not None:
            lines = request[0].decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            fields = {n.lower(): v for n, v in (line.split(": ", 1) for line in lines[1:] if line)}
            body, trailers = unchunked(request[1]) if "transfer-encoding" in fields else (request[1], {})
            told.append((method, path, fields, body, trailers))
            if path == "/interim":
                peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            if path == "/trailers":
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n4\r\nbody\r\n0\r\nX-Sum: 9\r\n\r\n")
            elif path in ("/204", "/304"):
                peer.send(f"HTTP/1.1 {path[1:]} X\r\nX-A: b\r\n\r\n")
            elif method == "HEAD":
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 48000\r\n\r\n")
            else:
                peer.ok(body or b"fine", "X-A: b\r\n")
    return Upstream(script)


def served_http2(told):
    def script(peer, stream):
        head = peer.heads[stream]
        path = head[":path"]
        trailers = {} if not peer.home.trailers else {
            (n.decode() if isinstance(n, bytes) else n): (v.decode() if isinstance(v, bytes) else v)
            for n, v in peer.home.trailers.pop().items()}
        told.append((head[":method"], path, head, peer.bodies[stream], trailers))
        if path == "/interim":
            peer.h2.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        if path == "/trailers":
            peer.answer(stream, b"body", trailers=[("x-sum", "9")])
        elif path in ("/204", "/304"):
            peer.answer(stream, b"", int(path[1:]), [("x-a", "b")], length=False)
        elif head[":method"] == "HEAD":
            peer.answer(stream, b"", 200, [("content-length", "48000")], length=False)
        else:
            peer.answer(stream, peer.bodies[stream] or b"fine", 200, [("x-a", "b")])
    return H2Upstream(script)


@pytest.fixture(name="between", params=[(c, s) for c in (Http1, Http2) for s in (served_http1, served_http2)],
                ids=["1-to-1", "1-to-2", "2-to-1", "2-to-2"])
def through_weir(request):
    kind, serve = request.param
    told = []
    with serve(told) as up, Weir([up.url], upstream_options={"protocol": "h2" if serve is served_http2 else "http1"}) as weir:
        client = kind(weir)
        yield client, told
        client.close()


def test_answers(between):
    client, told = between
    answer = client.ask(path="/a?b=%20c", fields=[("X-One", "1"), ("Cookie", "a=1; b=2")])
    assert (answer.status, answer.body, answer.fields["x-a"], answer.fields["content-length"]) == (200, b"fine", "b", "4")
    method, path, fields, body, trailers = told[0]
    assert (method, path, body, trailers) == ("GET", "/a?b=%20c", b"", {})
    assert fields["x-one"] == "1" and fields["cookie"] == "a=1; b=2" and fields.get(":authority", fields.get("host")) == "t"
    assert not {"connection", "te", "transfer-encoding", "content-length"} & set(fields)
    for status in (204, 304):
        answer = client.ask(path=f"/{status}")
        assert (answer.status, answer.body, answer.fields["x-a"]) == (status, b"", "b")


def test_bodies_and_trailers(between):
    client, told = between
    answer = client.ask("POST", body=BODY)
    assert (answer.status, answer.body, answer.fields["content-length"]) == (200, BODY, str(len(BODY)))
    assert told[-1][3] == BODY and told[-1][2]["content-length"] == str(len(BODY))
    answer = client.ask("PUT", body=BODY, trailers=[("X-Check", "abc")])
    assert answer.body == BODY
    assert told[-1][0] == "PUT" and told[-1][3] == BODY and "content-length" not in told[-1][2]
    assert told[-1][4] == {"x-check": "abc"}
    answer = client.ask(path="/trailers")
    assert (answer.status, answer.body, answer.trailers) == (200, b"body", {"x-sum": "9"})


def test_interim_answers(between):
    client, told = between
    answer = client.ask(path="/interim")
    assert (answer.interim, answer.status, answer.body) == ([103], 200, b"fine")
    answer = client.ask("POST", body=BODY, fields=[("Expect", "100-continue")])
    assert (answer.interim[:1], answer.status, answer.body) == ([100], 200, BODY)
    assert told[-1][3] == BODY


def test_head(between):
    client, told = between
    for _ in range(2):
        answer = client.ask("HEAD")
        assert (answer.status, answer.body, answer.fields["content-length"]) == (200, b"", "48000")
    assert told[-1][0] == "HEAD"
    assert client.ask().body == b"fine"


def test_connect_is_refused(between):
    client, told = between
    assert client.connect() in (405, "reset") and not told
