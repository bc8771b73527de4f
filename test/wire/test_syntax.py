# SPDX-License-Identifier: Apache-2.0
"""Syntax: what is not HTTP/1.1 to the letter is refused, with the status its fault has."""
import os

import pytest


def get(target="/", *fields, host="Host: t", version="HTTP/1.1", method="GET"):
    lines = [f"{method} {target} {version}"] + ([host] if host else []) + list(fields)
    return "\r\n".join(lines) + "\r\n\r\n"


REFUSED = {
    "host-missing": (get(host=None), 400),
    "host-twice": (get("/", "Host: t"), 400),
    "host-twice-differ": (get("/", "Host: u"), 400),
    "host-list": (get(host="Host: a, b"), 400),
    "host-userinfo": (get(host="Host: u@a"), 400),
    "host-path": (get(host="Host: a/b"), 400),
    "host-space": (get(host="Host: a b"), 400),
    "host-bad-port": (get(host="Host: a:8x"), 400),
    "absolute-differs": (get("http://a/", host="Host: b"), 400),
    "absolute-ftp": (get("ftp://t/"), 400),
    "no-colon": (get("/", "Bad"), 400),
    "empty-name": (get("/", ": v"), 400),
    "space-in-name": (get("/", "A b: v"), 400),
    "space-after-name": (get("/", "A : v"), 400),
    "nul-in-name": (get("/", "A\0b: v"), 400),
    "paren-in-name": (get("/", "A(b): v"), 400),
    "nul-in-value": (get("/", "A: v\0w"), 400),
    "cr-in-value": (get("/", "A: v\rw"), 400),
    "bel-in-value": (get("/", "A: v\aw"), 400),
    "del-in-value": (get("/", "A: v\x7fw"), 400),
    "space-before-first-field": ("GET / HTTP/1.1\r\n Host: t\r\n\r\n", 400),
    "cr-only": ("GET / HTTP/1.1\rHost: t\r\r", 400),
    "lf-only": ("GET / HTTP/1.1\nHost: t\n\n", 400),
    "lf-after-line": ("GET / HTTP/1.1\nHost: t\r\n\r\n", 400),
    "version-2.0": (get(version="HTTP/2.0"), 505),
    "version-9.9": (get(version="HTTP/9.9"), 505),
    "version-1.2": (get(version="HTTP/1.2"), 505),
    "version-01.1": (get(version="HTTP/01.1"), 400),
    "version-lower": (get(version="http/1.1"), 400),
    "version-0.9": ("GET /\r\n\r\n", 400),
    "version-missing": ("GET / \r\nHost: t\r\n\r\n", 400),
    "two-spaces": ("GET  / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "space-in-target": ("GET /a b HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "nul-in-target": (get("/a\0b"), 400),
    "tab-in-target": (get("/a\tb"), 400),
    "target-no-slash": (get("a"), 400),
    "star-with-get": (get("*"), 400),
    "control-in-method": (get(method="G\x01T"), 400),
    "empty-method": (" / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
    "method-70k": (get(method="A" * 70000), 400),
    "percent-nul": (get("/a%00b"), 400),
    "connect-authority": ("CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", 405),
    "connect-path": (get("/", method="CONNECT"), 405),
    "connect-self": ("CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n", 405),
    "trace": (get(method="TRACE"), 405),
    "target-1MiB": (get("/" + "a" * (1 << 20)), 414),
    "field-1MiB": (get("/", "A: " + "b" * (1 << 20)), 431),
    "fields-10000": (get("/", *(f"A{i}: b" for i in range(10000))), 431),
    "fields-101": (get("/", *(f"A{i}: b" for i in range(100))), 431),
    "tls-hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xaa" * 200, 400),
    "ssh-banner": ("SSH-2.0-OpenSSH_9.2\r\n", 400),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(relay, name):
    data, wanted = REFUSED[name]
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(data)
        answer = client.response()
        assert answer is not None and answer.status in (wanted if isinstance(wanted, tuple) else (wanted,)), \
            answer
        assert answer.json()["error"]["code"]
        assert "proxy-status" in {n.lower() for n, _ in answer.fields}
        assert client.closed()
    assert relay.upstream.bytes == b""
    assert relay.ask().status == 200


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes(relay, seed):
    import random
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(b"\x80" + random.Random(seed).randbytes(2000) + b"\r\n\r\n")
        answer = client.response()
        assert answer is None or answer.status in (400, 505)
        assert client.closed()
    assert relay.upstream.bytes == b""


@pytest.mark.parametrize("target", ["http://t/abs?q=1", "http://t:80/abs?q=1", "HTTP://T/abs?q=1"])
def test_absolute_form(relay, target):
    relay.upstream.received.clear()
    with relay.client() as client:
        host = "t:80" if ":80" in target else "t"
        client.send(get(target, host=f"Host: {host}"))
        assert client.response().status == 200
    assert relay.upstream.bytes.startswith(b"GET /abs?q=1 HTTP/1.1\r\n")


def test_options_star(relay):
    with relay.client() as client:
        client.send(get("*", method="OPTIONS"))
        assert client.response().status in (200, 404)


def test_connection_named_fields_are_removed(relay):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(get("/", "Connection: X-Hop, close", "X-Hop: 1", "X-Stays: 2", "Keep-Alive: 5",
                        "Proxy-Connection: keep-alive", "TE: trailers", "Proxy-Authorization: Basic eA=="))
        assert client.response().status == 200
    seen = relay.upstream.bytes.lower()
    assert b"x-hop" not in seen and b"keep-alive: 5" not in seen and b"proxy-connection" not in seen
    assert b"x-stays: 2" in seen


def test_case_order_and_underscores_are_kept(relay):
    relay.upstream.received.clear()
    with relay.client() as client:
        client.send(get("/", "X_Under: 1", "aNoThEr: 2", "X_Under: 3"))
        assert client.response().status == 200
    seen = relay.upstream.bytes
    places = [seen.index(b"X_Under: 1"), seen.index(b"aNoThEr: 2"), seen.index(b"X_Under: 3")]
    assert places == sorted(places)


@pytest.mark.parametrize("path", ["/a%2e%2e/b", "/a//b", "/a/./b", "//a", "/a%2Fb"])
def test_one_path(relay, path):
    """Routing and forwarding see the same bytes: what is forwarded is what was asked for, or refused."""
    relay.upstream.received.clear()
    answer = relay.ask(path)
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert relay.upstream.bytes.startswith(f"GET {path} HTTP/1.1\r\n".encode())


def test_path_cannot_leave_its_route():
    import weirtest
    with weirtest.Upstream() as inner, weirtest.Upstream() as outer:
        config = {
            "routes": [{"match": {"path": "/public"}, "upstream": "up"}],
        }
        with weirtest.Weir(inner, listener=config) as weir:
            for path in ("/public/../secret", "/public/%2e%2e/secret", "/public/%2E%2E%2Fsecret",
                         "/public/..%2fsecret"):
                answer = weir.ask(path)
                assert answer.status in (400, 404) or b"secret" not in inner.bytes.replace(b"/public", b"", 1), path
            assert weir.ask("/publicity").status == 404
            assert weir.ask("/secret").status == 404
            assert weir.ask("/public").status == 200
            assert weir.ask("/public/x").status == 200
        assert outer.accepted == 0


def test_many_blank_lines_before(relay):
    """RFC 9112 section 2.2 lets a server ignore an empty line before a request; never thousands."""
    with relay.client() as client:
        client.send("\r\n" * 100000 + get())
        answer = client.response()
        assert answer is None or answer.status in (400, 431)
    assert relay.ask().status == 200


def test_pid_is_alive(relay):
    assert os.path.exists(f"/proc/{relay.process.pid}")
