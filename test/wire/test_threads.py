# SPDX-License-Identifier: Apache-2.0
"""Four workers under all that there is at once: TLS and plain, HTTP/1.1, HTTP/2 and gRPC, health, certificates that
change, the admin interface. `make test-tsan` runs it under ThreadSanitizer, whose reports fail it (weirtest.Weir)."""
import os
import signal
import ssl
import subprocess
import threading

import certs
import grpc
import peers
from grpcpeer import GrpcServer
from h2peer import H2Upstream
from weirtest import Client, Upstream, Weir, free_port, wait_for

ROUNDS = 3


def h2load(url, requests, clients):
    done = subprocess.run([peers.find("h2load", "nghttp2-client"), "-n", str(requests), "-c", str(clients), "-m", "16", url],
                          capture_output=True, text=True, timeout=120, check=True)
    said = [line for line in done.stdout.splitlines() if line.startswith(("requests:", "status codes:"))]
    if f"{requests} succeeded, 0 failed, 0 errored" not in done.stdout:
        raise AssertionError(said)  # pytest would show the ends of all that it printed, and not these


def one_by_one(url, count):
    """Connections that end after a request: handshakes and tickets on every worker."""
    done = subprocess.run([peers.find("curl", "curl"), "-sS", "-k", "--max-time", "60", "-H", "Connection: close", "-o", "/dev/null",
                           "-w", "%{http_code} ", f"{url}/[1-{count}]"], capture_output=True, text=True,
                          timeout=120, check=True)
    assert done.stdout.split() == ["200"] * count, done.stdout


def calls(credentials, port, count):
    """All kinds, and some that end early."""
    target = f"localhost:{port}"
    options = [("grpc.use_local_subchannel_pool", 1)]
    opened = (grpc.secure_channel(target, credentials, options) if credentials
              else grpc.insecure_channel(f"127.0.0.1:{port}", options))
    with opened as channel:
        for i in range(count):
            assert channel.unary_unary("/t.T/Echo")(b"%d" % i, timeout=60) == b"%d" % i
            assert channel.stream_unary("/t.T/Sum")(iter([b"ab", b"c"]), timeout=60) == b"3"
            assert len(list(channel.unary_stream("/t.T/Count")(b"20", timeout=60))) == 20
            assert list(channel.stream_stream("/t.T/Chat")(iter([b"x", b"y"]), timeout=60)) == [b"re: x", b"re: y"]
            assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=60) == b"\x08\x01"
            given_up = channel.unary_unary("/t.T/Wait").future(b"", timeout=60)
            given_up.cancel()


def look_in(weir, count):
    for _ in range(count):
        for page in ("/metrics", "/api/v1/pools", "/api/v1/listeners", "/api/v1/connections", "/api/v1/endpoints", "/api/v1/events"):
            assert weir.admin(page).status == 200


def renew(authority, pair, weir, count):
    for _ in range(count):
        fresh = authority.sign("localhost", "127.0.0.1")
        os.replace(fresh[1], pair[1])
        os.replace(fresh[0], pair[0])
        weir.process.send_signal(signal.SIGUSR1)


def config_of(ports, pair, authority, ups):
    h1, h2, rpc = ups
    routes = [{"match": {"path": "/h2"}, "upstream": "h2"}, {"match": {"path": "/t.T"}, "upstream": "rpc"},
              {"match": {"path": "/"}, "upstream": "h1"}]
    pool = {"max_connections": 400, "max_per_endpoint": 200, "waiting_max": 10000}
    listener = {"routes": routes, "grpc": {"keepalive_time": "2s", "max_connection_age": "1s"}}
    return {
        "workers": 4,
        "admin": {"address": f"127.0.0.1:{ports['admin']}"},
        "log": {"level": "warn", "access": "off"},
        "listeners": [{"name": "plain", "address": f"127.0.0.1:{ports['port']}", **listener},
                      {"name": "tls", "address": f"127.0.0.1:{ports['tls']}", **listener,
                       "tls": {"certificate": str(pair[0]), "key": str(pair[1])}}],
        "upstreams": [{"name": "h1", "pool": pool, "endpoints": [{"url": h1.url}]},
                      {"name": "h2", "protocol": "h2", "pool": pool, "endpoints": [{"url": h2.url}],
                       "health": {"path": "/ok", "interval": "50ms", "timeout": "50ms", "failures": 1000}},
                      {"name": "rpc", "protocol": "grpc", "pool": pool, "endpoints": [{"url": rpc.url}],
                       "health": {"path": "/", "interval": "50ms", "timeout": "50ms", "failures": 1000}}],
    }


def serve_many(peer):
    while data := peer.sock.recv(65536):
        peer.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * data.count(b"\r\n\r\n"))


def test_everything_at_once():
    ports = {"port": free_port(), "admin": free_port(), "tls": free_port()}
    with certs.Authority() as authority, Upstream(serve_many) as h1, H2Upstream() as h2, GrpcServer() as rpc:
        pair = authority.sign("localhost", "127.0.0.1")
        with open(authority.certificate, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        with Weir(config=config_of(ports, pair, authority, (h1, h2, rpc)), ports=ports) as weir:
            plain, secure = f"http://127.0.0.1:{ports['port']}", f"https://127.0.0.1:{ports['tls']}"
            failed = []

            def run(what, *args):
                try:
                    for _ in range(ROUNDS):
                        what(*args)
                except Exception as error:  # told by the thread that waits
                    failed.append(f"{what.__name__}{args[:1]}: {error}")

            jobs = [(h2load, plain + "/x", 2000, 20), (h2load, secure + "/x", 2000, 20), (h2load, secure + "/h2", 500, 10),
                    (one_by_one, plain, 40), (one_by_one, secure, 40), (calls, None, ports["port"], 10),
                    (calls, credentials, ports["tls"], 10), (look_in, weir, 10), (renew, authority, pair, weir, 3)]
            threads = [threading.Thread(target=run, args=job, daemon=True) for job in jobs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(180)
            assert not failed and not any(thread.is_alive() for thread in threads), "\n".join(f[-700:] for f in failed)
            wait_for(lambda: weir.ask("/").status == 200, "the next request")
            context = ssl.create_default_context(cafile=str(authority.certificate))
            with context.wrap_socket(Client(ports["tls"]).sock, server_hostname="localhost") as sock:
                assert sock.version() == "TLSv1.3"  # the last certificate is a good one
