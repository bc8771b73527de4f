# SPDX-License-Identifier: Apache-2.0
"""HAProxy's PROXY protocol, versions 1 and 2: believed on listeners, told to upstreams, with HAProxy and nginx as peers."""
import socket
import ssl
import struct
import subprocess

import pytest

import peers
import weirtest
from certs import Authority
from weirtest import Client, Upstream, Weir, dead_port, wait_for

option = pytest.mark.option
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 443\r\n"


def v2(source="192.0.2.7", to="198.51.100.9", ports=(51234, 443), command=0x21, extra=b""):
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, to) + struct.pack("!HH", *ports) + extra
    return SIGNATURE + bytes([command, 0x21 if ":" in source else 0x11]) + struct.pack("!H", len(ends)) + ends


def named(upstream, **more):
    return Weir(upstream, listener={"proxy_protocol": "require", **more.pop("listener", {})}, **more)


def ask(weir, head, path="/", more=""):
    with weir.client() as client:
        return client.send(head).get(path, headers="Connection: close\r\n" + more).final()


def result(weir, what):
    return weir.metric("weir_listener_proxy_headers_total", listener="web", result=what)


# --- listeners ------------------------------------------------------------------------------------

HEADERS = {
    "version 1": (V1, "192.0.2.7"),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::9 1 2\r\n", "2001:db8::7"),
    "version 2": (v2(), "192.0.2.7"),
    "version 2, IPv6": (v2("2001:db8::7", "2001:db8::9"), "2001:db8::7"),
    "version 2 with TLVs": (v2(extra=b"\x04\x00\x03abc" + b"\x20\x00\xc8" + bytes(200)), "192.0.2.7"),
}


@option("listeners.proxy_protocol")
@pytest.mark.parametrize("what", HEADERS)
def test_the_client_is_who_the_header_names(what):
    head, address = HEADERS[what]
    with Upstream() as up, named(up) as weir:
        assert ask(weir, head).status == 200
        assert f"X-Forwarded-For: {address}\r\n".encode() in up.bytes
        wait_for(lambda: weir.access(), "the access log")
        assert weir.access()[0]["client"] == address
        assert result(weir, "named") == 1


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_in_single_bytes(what):
    head, address = HEADERS[what]
    with Upstream() as up, named(up) as weir, weir.client() as client:
        for i in range(len(head)):
            client.send(head[i:i + 1])
        assert client.get().final().status == 200
        assert f"X-Forwarded-For: {address}\r\n".encode() in up.bytes
        assert weir.cpu_seconds() < 5


LOCAL = {"version 1": b"PROXY UNKNOWN\r\n", "version 1, with words": b"PROXY UNKNOWN a b c d\r\n",
         "version 2": SIGNATURE + b"\x20\x00\x00\x00", "version 2, of a unix socket": SIGNATURE + b"\x21\x31\x00\x04abcd"}


@pytest.mark.parametrize("what", LOCAL)
def test_a_connection_of_the_proxys_own(what):
    with Upstream() as up, named(up) as weir:
        assert ask(weir, LOCAL[what]).status == 200
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in up.bytes
        assert result(weir, "local") == 1


BAD = {
    "a request without one": b"GET / HTTP/1.1\r\nHost: t\r\n\r\n",
    "a preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00",
    "lower case": b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "another family": b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
    "no address": b"PROXY TCP4\r\n",
    "an address too large": b"PROXY TCP4 256.2.3.4 1.2.3.4 1 2\r\n",
    "an address of the other family": b"PROXY TCP4 2001:db8::7 1.2.3.4 1 2\r\n",
    "a port too large": b"PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n",
    "a port with a zero": b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
    "a port below zero": b"PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n",
    "one port": b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
    "a word more": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
    "two spaces": b"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
    "a line feed alone": b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n",
    "a line too long": b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    "a line without end": b"PROXY TCP4 " + b"1" * 5000,
    "a NUL": b"PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n",
    "version 3": SIGNATURE + b"\x31\x11\x00\x0c" + bytes(12),
    "another command": SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
    "too short for its family": SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
    "too short for IPv6": SIGNATURE + b"\x21\x21\x00\x0c" + bytes(12),
    "65535 bytes": SIGNATURE + b"\x21\x11\xff\xff" + bytes(65535),
    "a signature and something else": SIGNATURE[:-1] + b"X\x21\x11\x00\x0c" + bytes(12),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_header_is_cut_and_nothing_forwarded(what):
    with Upstream() as up, named(up) as weir:
        with weir.client() as client:
            client.send(BAD[what])
            assert client.closed()
        assert result(weir, "bad") == 1
        assert ask(weir, V1).status == 200
        assert up.requests == 1


@pytest.mark.parametrize("head", [V1, v2()], ids=["version 1", "version 2"])
def test_a_cut_header_costs_nothing(head):
    with Upstream() as up, named(up) as weir:
        assert ask(weir, head).status == 200
        before = weir.descriptors()
        for i in range(len(head)):
            with weir.client() as client:
                client.send(head[:i])
        wait_for(lambda: weir.descriptors() <= before, "descriptors to come back")
        assert up.requests == 1
        assert ask(weir, head).status == 200


@pytest.mark.parametrize("sent", [b"", b"PRO", SIGNATURE], ids=["nothing", "a part", "a signature"])
def test_a_header_has_its_time(sent):
    with Upstream() as up, named(up, pool={"headers_timeout": "200ms"}) as weir:
        with weir.client() as slow:
            slow.send(sent)
            assert ask(weir, V1).status == 200
            assert slow.closed()
        assert result(weir, "timeout") == 1
        assert up.requests == 1


def test_a_second_header_is_a_bad_request():
    with Upstream() as up, named(up) as weir, weir.client() as client:
        assert client.send(V1 + V1 + b"\r\n").final().status == 400
        assert not up.requests


@pytest.mark.parametrize("trusted,expected", [([], 200), (["127.0.0.0/8"], 200), (["192.0.2.0/24"], None)])
def test_only_the_trusted_are_believed(trusted, expected):
    with Upstream() as up, named(up, listener={"trusted_proxies": trusted}) as weir, weir.client() as client:
        client.send(V1).get()
        if expected:
            assert client.final().status == expected
        else:
            assert client.closed()
            assert result(weir, "untrusted") == 1
            assert not up.requests


def test_accept_takes_both_and_the_untrusted_are_who_they_are():
    listener = {"proxy_protocol": "accept"}
    with Upstream() as up, Weir(up, listener=listener) as weir:
        assert ask(weir, V1).status == 200
        assert b"X-Forwarded-For: 192.0.2.7\r\n" in up.bytes
        assert ask(weir, b"").status == 200
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in up.bytes
        with weir.client() as client:  # what begins as one does, and is none
            client.send("P").send("R").send("OPFIND / HTTP/1.1\r\nHost: t\r\n\r\n")
            assert client.final().status == 200
        assert (result(weir, "named"), result(weir, "none")) == (1, 2)
    with Upstream() as up, Weir(up, listener={**listener, "trusted_proxies": ["192.0.2.0/24"]}) as weir:
        assert ask(weir, V1).status == 400
        assert ask(weir, b"").status == 200
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in up.bytes


def test_max_per_ip_is_for_whom_it_names():
    with Upstream() as up, named(up, pool={"max_per_ip": 2}) as weir:
        clients = [weir.client() for _ in range(5)]
        addresses = ["192.0.2.1", "192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.1"]
        answers = [client.send(v2(address)).get().final().status for client, address in zip(clients, addresses)]
        assert answers == [200, 200, 200, 200, 503]
        clients[0].close()
        wait_for(lambda: ask(weir, v2("192.0.2.1")).status == 200, "the seat to be free again")
        for client in clients[1:]:
            client.close()


def test_tls_begins_behind_the_header():
    with Authority() as authority, Upstream() as up:
        certificate, key = authority.sign("localhost")
        with named(up, listener={"tls": {"certificate": certificate, "key": key}}) as weir, \
                socket.create_connection(("127.0.0.1", weir.port)) as raw:
            raw.sendall(v2())
            context = ssl.create_default_context(cafile=str(authority.certificate))
            with context.wrap_socket(raw, server_hostname="localhost") as secure:
                secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert secure.recv(100).startswith(b"HTTP/1.1 200")
            assert b"X-Forwarded-For: 192.0.2.7\r\n" in up.bytes


def test_http2_by_prior_knowledge_behind_the_header():
    with peers.haproxy_to("proto h2 send-proxy-v2") as (front, aim), Upstream() as up, named(up) as weir:
        aim(weir.port)
        with Client(front) as client:
            assert client.get().final().status == 200
        assert b"X-Forwarded-For: 127.0.0.1\r\n" in up.bytes
        assert weir.metric("weir_http2_connections_total", listener="web") == 1


@pytest.mark.parametrize("words", ["send-proxy", "send-proxy-v2", "send-proxy check", "send-proxy-v2 check inter 50"])
def test_haproxy_in_front(words):
    with peers.haproxy_to(words) as (front, aim), Upstream() as up, named(up, workers=2) as weir:
        aim(weir.port)
        for _ in range(5):
            with Client(front, source=("127.0.0.9", 0)) as client:
                assert client.get().final().status == 200
        assert up.bytes.count(b"X-Forwarded-For: 127.0.0.9\r\n") == 5


def test_a_drain_does_not_wait_for_one_who_never_says():
    with Upstream() as up, named(up, pool={"drain_timeout": "200ms"}) as weir:
        silent = weir.client()
        assert ask(weir, V1).status == 200
        weir.stop()
        assert silent.closed()


def test_check_says_who_is_trusted(tmp_path):
    conf = tmp_path / "weir.yaml"
    conf.write_text(weirtest.yaml_of({
        "listeners": [{"name": "web", "address": "0.0.0.0:1", "proxy_protocol": "require",
                       "routes": [{"upstream": "up"}]}],
        "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}], "proxy_protocol": "v2",
                       "pool": {"min_idle": 1}}]}))
    done = subprocess.run([str(weirtest.WEIR), "check", "-c", str(conf)], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "only this machine is believed" in done.stdout
    assert "serve nobody" in done.stdout


# --- upstreams ------------------------------------------------------------------------------------


@option("upstreams.proxy_protocol")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_is_told_each_client(version):
    with peers.nginx_announced() as server, \
            Weir(server, upstream_options={"proxy_protocol": version}, workers=2) as weir:
        with Client(weir.port, source=("127.0.0.5", 0)) as one, Client(weir.port, source=("127.0.0.6", 0)) as two:
            for client, address in ((one, "127.0.0.5"), (two, "127.0.0.6"), (one, "127.0.0.5"), (two, "127.0.0.6")):
                said = client.get("/who").final().body.decode().split()
                port = client.sock.getsockname()[1]
                assert said == [address, str(port), "127.0.0.1", str(weir.port)]
        assert weir.metric("weir_pool_created_total", pool="up") == 2
        assert weir.metric("weir_pool_reused_total", pool="up") == 2


def test_a_connection_announced_for_one_client_serves_no_other():
    with peers.nginx_announced() as server, Weir(server, upstream_options={"proxy_protocol": "v2"}) as weir:
        for _ in range(3):
            with Client(weir.port) as client:
                port = client.sock.getsockname()[1]
                assert client.get("/who").final().body.decode().split()[1] == str(port)
        assert weir.metric("weir_pool_created_total", pool="up") == 3


def test_what_a_header_said_is_handed_on():
    with peers.nginx_announced() as server, named(server, upstream_options={"proxy_protocol": "v2"}) as weir:
        assert ask(weir, V1, "/who").body.decode().split() == ["192.0.2.7", "51234", "198.51.100.9", "443"]
        head = v2("2001:db8::7", "2001:db8::9", (7, 8))
        assert ask(weir, head, "/who").body.decode().split() == ["2001:db8::7", "7", "2001:db8::9", "8"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_through_tls_and_a_check(version):
    with Authority() as authority, Upstream() as up:
        pair = authority.sign("localhost")
        with peers.haproxy_announced(pair, up.port) as server, Weir(upstream_options={
                "endpoints": [{"url": f"https://localhost:{server.port}"}], "proxy_protocol": version,
                "protocol": "http1", "tls": {"ca": str(authority.certificate)},
                "health": {"path": "/up", "interval": "50ms", "failures": 1}}) as weir:
            with Client(weir.port, source=("127.0.0.5", 0)) as client:
                assert client.get().final().status == 200
            wait_for(lambda: b"GET /up" in up.bytes, "a check")
        assert b"x-from: 127.0.0.5\r\n" in up.bytes.lower()


def test_an_announced_endpoint_that_refuses_is_left_out():
    with peers.nginx_announced() as server:
        with Weir([f"http://127.0.0.1:{dead_port()}", server.url],
                  upstream_options={"proxy_protocol": "v2", "outlier": {"errors": 2}}) as weir:
            assert [weir.ask("/who").status for _ in range(20)] == [200] * 20
