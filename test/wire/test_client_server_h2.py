# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 and TLS of the library (http_tool.c): its client against real servers, its server under real clients."""
import json
import signal
import socket
import ssl
import subprocess
import threading

import h2.errors
import h2.settings
import pytest

import peers
from certs import Authority
from h2peer import H2Upstream, Peer
from test_client_server import BIG, TOOL, Serving, curl, expect, pattern
from weirtest import free_port, wait_for

NODE = """
const http2 = require('http2'), fs = require('fs');
const [port, cert, key] = process.argv.slice(1);
const server = cert ? http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) })
                    : http2.createServer();
server.on('stream', (stream, headers) => {
  if (headers[':path'] === '/there') { stream.respond({ ':status': 302, location: '/small' }); stream.end(); return; }
  if (headers[':path'] === '/away') { stream.respond({ ':status': 307, location: '/echo' }); stream.end(); return; }
  if (headers[':path'] === '/round') { stream.respond({ ':status': 302, location: '/round' }); stream.end(); return; }
  if (headers[':path'] === '/heavy') { stream.respond({ ':status': 200, 'x-heavy': 'x'.repeat(60000) }); stream.end(); return; }
  stream.respond({ ':status': 200 });
  if (headers[':path'] === '/small') stream.end('abcdef'); else stream.pipe(stream);
});
server.listen(Number(port), '127.0.0.1');
"""


@pytest.fixture(scope="module")
def authority():
    with Authority() as it:
        it.pair = it.sign("localhost", "127.0.0.1")
        yield it


def ask(url, method="GET", body=0, at_once=1, times=1, options=()):
    done = subprocess.run([TOOL, "--h2", *map(str, options), "client", method, str(body), str(at_once), str(times), url],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return json.loads(done.stdout)


# --- the client ----------------------------------------------------------------------------------


def nginx_h2(extra=""):
    port = free_port()
    server = peers.nginx({"small": pattern(6), "big": pattern(BIG)},
                         f"listen 127.0.0.1:{port} http2; keepalive_timeout 30s; {extra}")
    server.port = port  # nginx 1.22 speaks either HTTP/1.1 or HTTP/2 at a plain port
    return server


def node(*pair):
    port = free_port()
    return peers.Server([peers.find("node", "nodejs"), "-e", NODE, str(port), *pair], port)


def test_nginx_many_streams_share_a_connection():
    with nginx_h2() as server:
        said = ask(f"{server.url}/small", at_once=100, times=5000, options=("--workers", 1))
        expect(said, statuses={"200": 5000}, bytes=30000)
        assert said["created"] <= 4, said  # beyond leases_ideal another one is opened
        expect(ask(f"{server.url}/big", at_once=8, times=24), statuses={"200": 24}, bytes=24 * BIG)
        expect(ask(f"{server.url}/big", "HEAD", times=3), statuses={"200": 3}, bytes=0, created=1)


def test_nginx_limits_streams():
    """What does not fit on one connection opens another, up to the pool's limit; nothing fails for it."""
    with nginx_h2("http2_max_concurrent_streams 4;") as server:
        said = ask(f"{server.url}/small", at_once=200, times=4000, options=("--workers", 1))
        expect(said, statuses={"200": 4000})
        assert 1 < said["created"] <= 60, said


def test_nginx_says_goaway():
    """keepalive_requests: its GOAWAY comes in the middle of what was sent, and costs nobody an answer."""
    with nginx_h2("keepalive_requests 50;") as server:
        said = ask(f"{server.url}/small", at_once=40, times=5000)
        expect(said, statuses={"200": 5000})
        assert said["created"] >= 80
        said = ask(f"{server.url}/small", "POST", 3000, at_once=20, times=1000)
        assert said["statuses"] == {"405": 1000} and said["failed"] == 0, said


def test_nginx_reloads_under_way():
    with nginx_h2() as server:
        child = subprocess.Popen([TOOL, "--h2", "client", "GET", "0", "30", "30000", f"{server.url}/small"],
                                 stdout=subprocess.PIPE, text=True)
        for _ in range(5):
            try:
                child.wait(0.3)
            except subprocess.TimeoutExpired:
                server.process.send_signal(signal.SIGHUP)
        said = json.loads(child.communicate(timeout=100)[0])
        expect(said, statuses={"200": 30000})


def test_nghttpd(tmp_path, authority):
    for options, url, trust in ((("--no-tls",), "http://127.0.0.1", ()),
                                (("-m100", authority.pair[1], authority.pair[0]), "https://localhost",
                                 ("--ca", authority.certificate))):
        first, *rest = options
        port = free_port()
        command = [peers.find("nghttpd", "nghttp2-server"), "-d", str(tmp_path), "-a", "127.0.0.1", "--echo-upload", first,
                   str(port), *rest]
        (tmp_path / "small").write_bytes(pattern(6))
        with peers.Server(command, port):
            expect(ask(f"{url}:{port}/small", at_once=90, times=2000, options=trust), statuses={"200": 2000}, bytes=12000)
            for body in ("1000", "chunked:3000000", "5000000"):
                size = int(body.split(":")[-1])
                expect(ask(f"{url}:{port}/echo", "POST", body, at_once=3, times=9, options=trust),
                       statuses={"200": 9}, bytes=9 * size)


def test_node_streams_both_ways(authority):
    for pair, url, trust in (((), "http://127.0.0.1", ()),
                             (authority.pair, "https://localhost", ("--ca", authority.certificate))):
        with node(*pair) as server:
            url = f"{url}:{server.port}"
            for body in ("1000", "chunked:1000", "chunked:3000000"):
                size = int(body.split(":")[-1])
                expect(ask(f"{url}/echo", "POST", body, at_once=10, times=30, options=trust), statuses={"200": 30},
                       bytes=30 * size)
            expect(ask(f"{url}/there", times=5, options=trust), statuses={"200": 5}, bytes=30, redirects=5)
            expect(ask(f"{url}/away", "POST", "10000", times=5, options=trust), statuses={"200": 5}, bytes=50000, redirects=5)
            said = ask(f"{url}/round", options=trust)
            assert said["failed"] == 1 and said["last_err"] == "redirects"
            said = ask(f"{url}/heavy", options=trust)
            assert said["failed"] == 1 and said["last_err"] in ("protocol", "too_large"), said
            expect(ask(f"{url}/small", at_once=50, times=500, options=trust), statuses={"200": 500}, bytes=3000)


@pytest.mark.parametrize("body", ["0", "5000", "chunked:5000"])
def test_refused_streams_go_again(body):
    """Each stream that has an odd turn is refused, having been read in full: it may go again, whatever its method
    (RFC 9113 §8.7), where its body is still at hand."""
    seen = []

    def script(peer, stream):
        seen.append(stream)
        if len(seen) % 2:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            peer.answer(stream, pattern(6))
    with H2Upstream(script) as server:
        said = ask(f"{server.url}/", "POST", body, times=20)
        expect(said, statuses={"200": 20}, bytes=120)
        assert server.requests == 40


def test_what_a_goaway_left_untouched_goes_again():
    def script(peer, stream):
        if len(server.peers) > 1:
            peer.answer(stream, pattern(6))
        elif stream == 21:
            for answered in (1, 3, 5, 7, 9):
                peer.answer(answered, pattern(6))
            peer.h2.close_connection(last_stream_id=9)
            peer.send()
            peer.cut()
    with H2Upstream(script) as server:
        said = ask(f"{server.url}/", "POST", 100, at_once=11, times=11, options=("--workers", 1))
        expect(said, statuses={"200": 11}, bytes=66)
        assert server.requests == 11 + 6


def test_a_reset_stream_is_no_answer_and_harms_no_other():
    def script(peer, stream):
        if stream == 3:
            peer.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            peer.answer(stream, pattern(6))
    with H2Upstream(script) as server:
        said = ask(f"{server.url}/", "POST", 100, at_once=1, times=10, options=("--workers", 1))
        assert said["statuses"] == {"200": 9} and said["failed"] == 1 and said["last_err"] == "reset", said
        assert len(server.peers) == 1


def test_shrinking_limits_are_kept():
    limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS

    def script(peer, stream):
        most.append((stream, len(peer.heads) - peer.answered))
        threading.Timer(0.01, lambda: answer(peer, stream)).start()

    def answer(peer, stream):
        with peer.lock:
            peer.answered += 1
            peer.answer(stream, pattern(6))
            if stream == 101:
                peer.h2.update_settings({limit: 2})
                peer.send()
    most = []
    Peer.answered = 0
    with H2Upstream(script, settings={limit: 20}) as server:
        said = ask(f"{server.url}/", at_once=4, times=400, options=("--workers", 1))
        expect(said, statuses={"200": 400})
    assert max(open_ for stream, open_ in most if stream < 101) > 2
    assert max(open_ for stream, open_ in most if stream > 161) == 2


def test_a_server_of_http1_is_a_clear_error():
    with peers.nginx({"small": b"x"}) as server:
        said = ask(f"{server.url}/small")
        assert said["failed"] == 1 and said["last_err"] == "protocol", said


# --- the server ----------------------------------------------------------------------------------


def secure(authority, *options):
    server = Serving(options=("--pair", *authority.pair, *options))
    server.url = f"https://localhost:{server.port}"
    return server


def test_curl(tmp_path, authority):
    body = tmp_path / "body"
    body.write_bytes(pattern(BIG))
    for make, options in ((lambda: Serving(), ("--http2-prior-knowledge",)),
                          (lambda: secure(authority), ("--http2", "--cacert", authority.certificate)),
                          (lambda: secure(authority), ("--http1.1", "--cacert", authority.certificate))):
        with make() as server:
            assert curl(*options, f"{server.url}/{BIG}") == pattern(BIG)
            assert curl(*options, "--data-binary", f"@{body}", f"{server.url}/echo") == pattern(BIG)
            assert curl(*options, "-T", body, f"{server.url}/echo") == pattern(BIG)
            assert b"ontent-" in curl(*options, "-I", f"{server.url}/77")
            version = curl(*options, "-o", "/dev/null", "-w", "%{http_version}", f"{server.url}/5")
            assert version == (b"1.1" if "--http1.1" in options else b"2")
            said = server.end()
        assert said["answered"] == said["requests"] == said["answers_2xx"] == 5 and said["open"] == 0
        assert said["accepted"] == 5


@pytest.mark.parametrize("kind", ["plain", "tls"])
def test_h2load(authority, kind):
    with Serving() if kind == "plain" else secure(authority) as server:
        for path in ("100", "10000"):
            done = subprocess.run([peers.find("h2load", "nghttp2-client"), "-n", "20000", "-c", "50", "-m", "32",
                                   f"{server.url}/{path}"], capture_output=True, text=True, timeout=100, check=True)
            assert "20000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout
            assert "status codes: 20000 2xx" in done.stdout
        said = server.end()
    assert said["answered"] == said["requests"] == 40000 and said["accepted"] == 100


def test_its_own_client(authority):
    trust = ("--ca", authority.certificate)
    with secure(authority) as server:
        expect(ask(f"{server.url}/1000000", at_once=20, times=100, options=trust), statuses={"200": 100}, bytes=100_000_000)
        expect(ask(f"{server.url}/echo", "POST", "chunked:300000", at_once=20, times=100, options=trust),
               statuses={"200": 100}, bytes=30_000_000)
        said = server.end()
    assert said["answered"] == 200 and said["accepted"] <= 12


def test_certificates_by_name(authority):
    other = authority.sign("other.test")
    with secure(authority, "--pair", *other) as server:
        for name, wanted in (("localhost", "localhost"), ("other.test", "other.test"), ("third.test", "localhost")):
            context = ssl.create_default_context(cafile=authority.certificate)
            context.check_hostname = False
            with socket.create_connection(("127.0.0.1", server.port), 10) as sock, \
                    context.wrap_socket(sock, server_hostname=name) as tls:
                names = [value for _, value in tls.getpeercert()["subjectAltName"]]
                assert wanted in names


def test_clients_show_certificates(authority):
    mine = authority.sign("a client")
    with secure(authority, "--ca", authority.certificate) as server:
        shown = ("--cacert", authority.certificate, "--cert", mine[0], "--key", mine[1])
        assert curl(*shown, f"{server.url}/5") == b"abcde"
        done = subprocess.run([peers.find("curl", "curl"), "-sS", "--cacert", authority.certificate, f"{server.url}/5"],
                              capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0 and done.stdout == ""
        expect(ask(f"{server.url}/5", options=("--ca", authority.certificate, "--pair", *mine)), statuses={"200": 1})


def test_removing_all_connections_cuts_no_answer(authority):
    """Two-step GOAWAY: what is on its way is answered, what comes later goes to another connection."""
    with secure(authority) as server:
        child = subprocess.Popen([TOOL, "--h2", "--ca", authority.certificate, "client", "GET", "0", "20", "20000",
                                  f"{server.url}/1000"], stdout=subprocess.PIPE, text=True)
        while child.poll() is None:
            server.process.stdin.write("\n")
            server.process.stdin.flush()
            try:
                child.wait(0.2)
            except subprocess.TimeoutExpired:
                pass
        said = json.loads(child.stdout.read())
        expect(said, statuses={"200": 20000}, bytes=20_000_000)


def test_a_drain_lets_answers_end(authority):
    """The end of its input is weir_server_close(): the answers under way are completed, then it ends."""
    with secure(authority) as server:
        child = subprocess.Popen([TOOL, "--h2", "--ca", authority.certificate, "client", "GET", "0", "4", "4",
                                  f"{server.url}/50000000"], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: bool(subprocess.run(["ss", "-Htn", f"sport = :{server.port}"], capture_output=True, text=True,
                                             check=True).stdout), "the client to connect")
        server.end()
        said = json.loads(child.communicate(timeout=100)[0])
        assert said["bytes"] == 50000000 * said["statuses"].get("200", 0) and said["bad"] == 0
