# SPDX-License-Identifier: Apache-2.0
"""WebSocket to upstreams of https:// that prefer HTTP/2 and offer no WebSocket over it (RFC 8441), as nginx and
node do: it goes over a connection of its own, in HTTP/1.1; other requests stay where they are."""
import contextlib
import json
import socket
import ssl
import threading

import pytest

import peers
import proxies
from certs import Authority
from h2raw import H2
from test_websocket_h2 import H2Ws
from weirtest import DEADLINE, Upstream, Weir, free_port
from wsraw import CLOSE, TEXT, WsClient, close_payload, echo, upstream

NODE = """
const http2 = require('http2'), fs = require('fs');
const { WebSocketServer } = require('/usr/share/nodejs/ws');
const [port, cert, key] = process.argv.slice(1);
const server = http2.createSecureServer({ allowHTTP1: true, cert: fs.readFileSync(cert), key: fs.readFileSync(key) },
  (req, res) => res.end('HTTP/' + req.httpVersion));
new WebSocketServer({ server }).on('connection', (ws) => ws.on('message', (data, binary) => ws.send(data, { binary })));
server.listen(Number(port), '127.0.0.1');
"""
NODE_ALONE = NODE.replace("allowHTTP1: true", "allowHTTP1: false")


@pytest.fixture(scope="module")
def authority():
    with Authority() as it:
        it.pair = it.sign("localhost", "127.0.0.1")
        yield it


@contextlib.contextmanager
def nginx(authority):
    port, (certificate, key) = free_port(), authority.pair
    with upstream(echo) as behind, peers.nginx(extra=f"""
            listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};
            location = /version {{ return 200 "$server_protocol"; }}
            location / {{ proxy_pass http://127.0.0.1:{behind.port}; proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; }}"""):
        yield f"https://localhost:{port}"


@contextlib.contextmanager
def node(authority, script=NODE):
    port = free_port()
    with peers.Server([peers.find("node", "nodejs"), "-e", script, str(port), *authority.pair], port):
        yield f"https://localhost:{port}"


def weir_for(authority, url, workers=1, **more):
    return Weir([url], workers=workers, upstream_options={
        "protocol": "auto", "tls": {"ca": str(authority.certificate)}, **more})


def talk(client, text):
    client.say(TEXT, text)
    assert client.frame().data == text.encode()


@pytest.mark.parametrize("server", [nginx, node])
def test_it_gets_a_connection_of_http1(authority, server):
    with server(authority) as url, weir_for(authority, url) as weir:
        assert weir.ask("/version").body in (b"HTTP/2.0", b"HTTP/2")
        for n in range(3):
            with WsClient(weir.port) as client:
                talk(client, f"number {n}")
                client.say(CLOSE, close_payload(1000))
                assert client.frame().code == 1000
        assert weir.ask("/version").body in (b"HTTP/2.0", b"HTTP/2")
        assert weir.metric("weir_http_requests_total", code="101") == 3
        keys = [key for key in json.loads(weir.admin("/api/v1/keys").text)["keys"] if key["pool"] == "up"]
        assert sorted(key["key"].endswith("+http/1.1") for key in keys) == [False, True], keys


def test_many_at_once_before_the_upstream_has_said_what_it_offers(authority):
    with nginx(authority) as url, weir_for(authority, url, pool={"max_connections": 64, "max_per_endpoint": 64,
                                                                 "connecting_max": 64}) as weir:
        clients, threads = [], []
        for _ in range(20):
            threads.append(threading.Thread(target=lambda: clients.append(WsClient(weir.port))))
            threads[-1].start()
        for thread in threads:
            thread.join()
        assert len(clients) == 20
        for n, client in enumerate(clients):
            talk(client, f"number {n}")
            client.close()


def test_a_client_of_http2_too(authority):
    with nginx(authority) as url, weir_for(authority, url) as weir, H2(weir.port) as h2:
        first, second = H2Ws(h2), H2Ws(h2)
        talk(first, "one")
        talk(second, "two")


def test_through_a_proxy_and_never_without(authority):
    with nginx(authority) as url, proxies.proxy("microsocks", None) as (proxy, kill), \
            weir_for(authority, url, proxy=proxy) as weir:
        assert weir.ask("/version").body == b"HTTP/2.0"
        with WsClient(weir.port) as client:
            talk(client, "hello")
        kill()
        with WsClient(weir.port, opens=False) as client:
            assert client.answer.status in (502, 503)


def ends_by_alpn(authority, url):
    """Newer servers of node do; older ones take whoever offers HTTP/1.1, and answer 403."""
    context = ssl.create_default_context(cafile=str(authority.certificate))
    context.set_alpn_protocols(["http/1.1"])
    with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])), DEADLINE) as sock:
        try:
            with context.wrap_socket(sock, server_hostname="localhost"):
                return False
        except ssl.SSLError:
            return True


def test_one_that_speaks_http2_alone_has_none(authority):
    with node(authority, NODE_ALONE) as url, weir_for(authority, url) as weir:
        is_ours = ends_by_alpn(authority, url)
        for _ in range(3):
            with WsClient(weir.port, opens=False) as client:
                assert client.answer.status == (501 if is_ours else 403)
                assert (b"no_websocket" in client.answer.body) == is_ours
        assert weir.ask("/version").body == b"HTTP/2.0"


def test_http1_alone_needs_no_second_dial(authority):
    with upstream(echo) as behind, peers.haproxy_tls(authority.pair, "tcp", "alpn http/1.1", behind.port) as front, \
            weir_for(authority, f"https://localhost:{front.port}") as weir:
        with WsClient(weir.port) as client:
            talk(client, "hello")
            assert weir.metric("weir_pool_created_total", pool="up") == 1
