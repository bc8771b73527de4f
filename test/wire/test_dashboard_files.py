# SPDX-License-Identifier: Apache-2.0
"""What the dashboard is made of, as it is sent: small, compressed, cached, under a strict policy; and the stream it reads."""
import contextlib
import gzip
import json
import re
import socket

from test_admin import keyed
from weirtest import DEADLINE, Client, Upstream, Weir, wait_for

HTML = "Accept: text/html,*/*\r\nHost: localhost\r\n"


def fetch(weir, path, headers="Host: localhost\r\n", method="GET"):
    with Client(weir.admin_port) as client:
        return client.send(f"{method} {path} HTTP/1.1\r\n{headers}\r\n").final(method)


def files_of(weir):
    """Every file, found as a browser finds them: from the page, and from what its modules import."""
    found, wanted = {}, ["/"]
    while wanted:
        path = wanted.pop()
        if path in found:
            continue
        answer = fetch(weir, path, HTML + "Accept-Encoding: gzip\r\n")
        assert answer.status == 200, path
        found[path] = answer
        text = gzip.decompress(answer.body).decode()
        wanted += [f"/page/{name}" for name in re.findall(r"from '\./([\w.]+)'", text)]
        wanted += re.findall(r'(?:src|href)="(/page/[\w.]+)"', text)
    return found


def test_small_compressed_and_strict(relay):
    found = files_of(relay)
    assert len(found) > 8
    assert sum(len(answer.body) + 600 for answer in found.values()) <= 150 * 1024
    for path, answer in found.items():
        assert answer.header("content-encoding") == "gzip" and answer.header("x-content-type-options") == "nosniff"
        policy = dict(part.strip().split(" ", 1) for part in answer.header("content-security-policy").split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'" and policy["require-trusted-types-for"] == "'script'"
        plain = fetch(relay, path, HTML)
        assert plain.header("content-encoding") is None and plain.body == gzip.decompress(answer.body)
        assert b"http://" not in re.sub(rb"http://www\.w3\.org/2000/svg", b"", plain.body) and b"https://" not in plain.body
        assert not re.search(rb"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|<script>|style=\"| on\w+=\"", plain.body), path
        head = fetch(relay, path, HTML, "HEAD")
        assert head.status == 200 and head.header("content-length") == str(len(plain.body))


def test_a_file_that_is_known_is_not_sent_again(relay):
    first = fetch(relay, "/page/app.js", HTML + "Accept-Encoding: gzip\r\n")
    etag = first.header("etag")
    again = fetch(relay, "/page/app.js", HTML + f"If-None-Match: {etag}\r\n")
    assert again.status == 304 and again.body == b"" and again.header("etag") == etag
    assert fetch(relay, "/page/app.js", HTML + 'If-None-Match: "other"\r\n').status == 200


def test_who_is_no_browser_gets_the_list(relay):
    assert "/api/v1/pools" in fetch(relay, "/", "Host: localhost\r\nAccept: */*\r\n").body.decode()
    assert fetch(relay, "/page/nothing.js").status == 404
    assert fetch(relay, "/page/../page/app.js").status in (400, 404)
    assert fetch(relay, "/page/app.js", "Host: localhost\r\nContent-Length: 0\r\n", "POST").status in (404, 405)


def test_files_need_no_token_and_the_figures_do():
    with Upstream() as up, keyed(up, token="secret") as weir:
        assert fetch(weir, "/", HTML).status == 200 and fetch(weir, "/page/app.js").status == 200
        assert fetch(weir, "/api/v1/live").status == 401
        assert fetch(weir, "/", "Host: weir.example\r\nAccept: text/html\r\n").status == 403
        assert fetch(weir, "/page/app.js", "Host: localhost\r\nOrigin: http://evil.example\r\n").status == 403


class Stream:
    """A reader of /api/v1/live."""

    def __init__(self, weir, headers=""):
        self.client = Client(weir.admin_port)
        self.client.send(f"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
        self.head, self.text = [], ""
        while (line := self.client._line()) != b"":
            self.head.append(line.decode())

    def next(self):
        """The next snapshot."""
        while "\n\n" not in self.text:
            size = int(self.client._line(), 16)
            self.text += self.client._take(size)[0].decode()
            self.client._line()
        event, self.text = self.text.split("\n\n", 1)
        name, data = event.split("\n", 1)
        assert name == "event: snapshot" and data.startswith("data: ") and "\n" not in data
        return json.loads(data[6:])

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.client.close()


def test_snapshots_hold_what_the_pages_say(relay):
    relay.ask()
    with Stream(relay) as one, Stream(relay) as other:
        assert one.head[0] == "HTTP/1.1 200 OK" and "Content-Type: text/event-stream" in one.head
        first, *_, last = [one.next() for _ in range(4)]
        assert 2 * 900 <= last["at_ms"] - first["at_ms"], "one a second; how late the first one was, the machine's load decides"
        assert {"pools", "endpoints", "accounts", "listeners", "process", "latency"} <= set(first)
        relay.ask()
        wait_for(lambda: one.next()["pools"]["pools"][0]["grants"] > first["pools"]["pools"][0]["grants"], "the request in it")
        route = [row for row in one.next()["latency"]["routes"] if row["upstream"] == "up"][0]
        assert route["codes"]["2xx"] == sum(route["total_us"][1::2]) >= 2
        assert other.next()["process"]["pid"] == relay.process.pid
        known = {snapshot["at_ms"]: snapshot for snapshot in (one.next() for _ in range(2))}
        wait_for(lambda: (seen := other.next())["at_ms"] in known and seen == known[seen["at_ms"]], "the very same text")


def test_readers_are_bounded(relay):
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Stream(relay)) for _ in range(33)]
        heads = [stream.head[0] for stream in streams]
        assert heads == ["HTTP/1.1 200 OK"] * 32 + ["HTTP/1.1 503 Service Unavailable"]
        assert relay.admin("/api/v1/pools").status == 200
        for stream in streams[:32]:
            stream.next()
    wait_for(lambda: free_for_one(relay), "the places of those that left")


def free_for_one(weir):
    with Stream(weir) as stream:
        return stream.head[0] == "HTTP/1.1 200 OK"


def slow_reader(port):
    """A client whose socket takes little, and whose peer's buffer stays small for it."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    sock.settimeout(DEADLINE)
    sock.connect(("127.0.0.1", port))
    sock.sendall(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return sock


def test_one_that_does_not_read_costs_one_snapshot():
    """What the others were sent meanwhile it never gets; they go on, and so does the traffic."""
    ups = [{"url": f"http://127.0.0.1:{port}", "priority": 1} for port in range(1, 250)]
    with Upstream() as up, Weir([up.url, *ups], upstream_options={"balance": "priority"}) as weir, \
            Stream(weir) as reading, slow_reader(weir.admin_port) as slow:
        times = [reading.next()["at_ms"] for _ in range(6)]
        assert weir.ask().status == 200
        times += [reading.next()["at_ms"] for _ in range(2)]
        text = b""
        while max((int(n) for n in re.findall(rb'"at_ms":(\d+)', text)), default=0) <= times[-1]:
            data = slow.recv(1 << 20)
            assert data, "it was cut"
            text += data
        seen = [int(n) for n in re.findall(rb'"at_ms":(\d+)', text)]
        assert len(set(times) - set(seen)) >= 3, (times, seen)
