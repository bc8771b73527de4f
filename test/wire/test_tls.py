# SPDX-License-Identifier: Apache-2.0
"""HTTPS: clients of several makes, upstreams good and bad, certificates that change."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import certs
import peers
import pytest
from h2raw import H2
from weirtest import DEADLINE, WEIR, Client, Upstream, Weir, serve_ok, wait_for

option = pytest.mark.option


@pytest.fixture(scope="module")
def authority():
    with certs.Authority() as made:
        yield made


@pytest.fixture(scope="module")
def pair(authority):
    return authority.sign("localhost", "127.0.0.1", "a.test")


def tls_of(pair, **more):
    return {"tls": {"certificate": pair[0], "key": pair[1], **more}}


class TlsClient(Client):
    """As Client, through TLS."""

    def __init__(self, port, name="localhost", trust=None, session=None, certificate=None, least=None, most=None,
                 alpn=("http/1.1",)):
        super().__init__(port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if trust:
            context.load_verify_locations(trust)
        else:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if certificate:
            context.load_cert_chain(*certificate)
        if least:
            context.minimum_version = least
        if most:
            context.maximum_version = most
        if alpn:
            context.set_alpn_protocols(list(alpn))
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # a cut shall show
        self.context = context
        self.sock = context.wrap_socket(self.sock, server_hostname=name, session=session,
                                        suppress_ragged_eofs=False)


class TlsUpstream(Upstream):
    """As Upstream, through TLS."""

    def __init__(self, pair, script=serve_ok, trust=None, setup=None, host="localhost"):
        self.host = host
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(*pair)
        self.context.set_alpn_protocols(["http/1.1"])
        if trust:
            self.context.load_verify_locations(trust)
            self.context.verify_mode = ssl.CERT_REQUIRED
        if setup:
            setup(self.context)
        self.sessions, self.names, self.protocols, self.shown = [], [], [], []
        self.context.sni_callback = lambda sock, name, context: self.names.append(name)
        super().__init__(script)

    @property
    def url(self):
        return f"https://{self.host}:{self.port}"

    def _run(self, peer):
        try:
            peer.sock = self.context.wrap_socket(peer.sock, server_side=True, suppress_ragged_eofs=False)
            self.sessions.append(peer.sock.session_reused)
            self.protocols.append(peer.sock.selected_alpn_protocol())
            self.shown.append(peer.sock.getpeercert())
        except (OSError, ssl.SSLError):
            peer.sock.close()
            return
        super()._run(peer)


def get(weir, **how):
    with TlsClient(weir.port, **how) as client:
        return client.get(host=how.get("name") or "localhost").final()


# --- clients --------------------------------------------------------------------------------------


@option("listeners.tls.certificate")
@option("listeners.tls.key")
def test_two_files_are_enough(authority, pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair), workers=2) as weir:
        for _ in range(3):
            answer = get(weir, trust=authority.certificate)
            assert (answer.status, answer.body) == (200, b"ok")
        assert b"X-Forwarded-Proto: https\r\n" in up.bytes
        assert weir.metric("weir_tls_handshakes_total", listener="web", result="full") == 3
        expiry = weir.metric("weir_tls_certificate_expiry_seconds", listener="web")
        assert abs(expiry - time.time() - 90 * 86400) < 3600


def test_paths_are_relative_to_the_configuration(authority, pair):
    with Upstream() as up:
        home = pathlib.Path(authority.directory.name)
        config = home / "relative.yaml"
        names = [os.path.basename(p) for p in pair]
        config.write_text(f"""
            listeners: [{{ name: w, address: "127.0.0.1:1", tls: {{ certificate: {names[0]}, key: {names[1]} }},
                           routes: [ {{ upstream: u }} ] }}]
            upstreams: [{{ name: u, endpoints: [ {{ url: "{up.url}" }} ] }}]""")
        done = subprocess.run([str(WEIR), "check", "-c", str(config)], capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stdout + done.stderr


def test_curl(authority, pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        for version in ("--tlsv1.2 --tls-max 1.2", "--tlsv1.3"):
            done = subprocess.run(
                ["curl", "-sS", "--http1.1", "--cacert", str(authority.certificate), *version.split(),
                 "-w", "%{http_code} %{num_connects}\n", f"https://localhost:{weir.port}/[1-20]"],
                capture_output=True, text=True, timeout=DEADLINE)
            assert done.stdout.count("200 ") == 20, done.stdout + done.stderr
            assert done.stdout.count("200 1") == 1, done.stdout  # one connection for all


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed_on_any_worker(pair, version):
    with Upstream() as up, Weir(up, listener=tls_of(pair), workers=3) as weir:
        done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{weir.port}", version, "-reconnect"],
                              input=b"", capture_output=True, timeout=DEADLINE)
        text = done.stdout.decode()
        assert text.count("New, TLS") + text.count("Reused, TLS") == 6, text
        if version == "-tls1_2":  # in 1.3 s_client reconnects before it has read the ticket
            assert text.count("Reused, TLS") == 5
            assert weir.metric("weir_tls_handshakes_total", result="resumed") == 5


def test_a_session_of_python_is_resumed(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair), workers=3) as weir:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session, resumed = None, []
        for _ in range(6):
            with socket.create_connection(("127.0.0.1", weir.port), DEADLINE) as raw, \
                 context.wrap_socket(raw, server_hostname="localhost", session=session) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                while sock.recv(4096):
                    pass
                session = sock.session
                resumed.append(sock.session_reused)
        assert resumed == [False] + [True] * 5


@option("listeners.tls.min_version")
def test_old_versions_are_refused(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        for old in ("-tls1", "-tls1_1"):
            done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{weir.port}", old, "-cipher",
                                   "ALL:@SECLEVEL=0"], input=b"", capture_output=True, timeout=DEADLINE)
            assert b"alert protocol version" in done.stderr
        assert weir.metric("weir_tls_handshakes_total", result="version") == 2
        assert get(weir, most=ssl.TLSVersion.TLSv1_2).status == 200
    with Upstream() as up, Weir(up, listener=tls_of(pair, min_version="1.3")) as weir:
        with pytest.raises(ssl.SSLError):
            get(weir, most=ssl.TLSVersion.TLSv1_2)
        assert get(weir).status == 200


def test_renegotiation_is_refused(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        client = subprocess.Popen(["openssl", "s_client", "-connect", f"127.0.0.1:{weir.port}", "-tls1_2"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        client.stdin.write(b"R\n")
        client.stdin.flush()
        text, _ = client.communicate(timeout=DEADLINE)
        assert b"no renegotiation" in text
        assert get(weir).status == 200


@option("listeners.tls.client_ca")
def test_clients_show_certificates(authority, pair):
    good = authority.sign("client")
    with certs.Authority("somebody else") as strange, Upstream() as up, \
         Weir(up, listener=tls_of(pair, client_ca=str(authority.certificate))) as weir:
        assert get(weir, certificate=good).status == 200
        for bad in (None, strange.sign("client"), authority.sign("client", days=(-20, -10))):
            with pytest.raises((ssl.SSLError, OSError)):
                answer = get(weir, certificate=bad)
                raise OSError(f"answered {answer}") if answer is None else AssertionError(answer)
        assert weir.metric("weir_tls_handshakes_total", result="no_certificate") == 1
        assert weir.metric("weir_tls_handshakes_total", result="untrusted") == 1
        assert weir.metric("weir_tls_handshakes_total", result="expired") == 1
        assert up.accepted == 1


@option("listeners.tls.certificates.certificate")
@option("listeners.tls.certificates.key")
def test_the_name_chooses_the_certificate(authority, pair):
    exact, wild = authority.sign("x.wild.test"), authority.sign("*.wild.test", bits=2048)
    more = [{"certificate": c, "key": k} for c, k in (exact, wild)]
    with Upstream() as up, Weir(up, listener=tls_of(pair, certificates=more)) as weir:
        for name in ("localhost", "a.test", "x.wild.test", "y.wild.test"):
            assert get(weir, name=name, trust=authority.certificate).status == 200
        for name in ("wild.test", "a.y.wild.test"):
            with pytest.raises(ssl.SSLCertVerificationError):
                get(weir, name=name, trust=authority.certificate)


def test_another_host_than_the_name_is_421(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        with TlsClient(weir.port, name="a.test") as client:
            assert client.get(host="a.test:443").final().status == 200
            answer = client.get(host="b.test").final()
            assert (answer.status, answer.json()["error"]["code"]) == (421, "misdirected")
        with H2(weir.port, sock=TlsClient(weir.port, name="a.test", alpn=["h2"]).sock) as h2:
            assert [h2.get(authority=name).status for name in ("a.test", "b.test", "A.test:443")] == [200, 421, 200]
            grpc = h2.answer(h2.request("POST", path="/t.T/Echo", authority="b.test",
                                        extra=[("content-type", "application/grpc"), ("te", "trailers")]))
            fields = dict(grpc.fields)  # trailers alone, as clients of gRPC read them
            assert (grpc.status, fields["grpc-status"], grpc.body, grpc.ended) == (200, "14", b"", True)
        assert up.requests == 3


@option("listeners.pool.tls_timeout")
def test_a_silent_handshake_ends(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair), pool={"tls_timeout": "200ms"}) as weir:
        for start in (b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
            with Client(weir.port) as client:
                client.send(start)
                assert client.closed(5)
        assert weir.metric("weir_tls_handshakes_total", result="timeout") == 2
        assert get(weir).status == 200


def test_what_is_not_tls(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        answer = weir.ask()
        assert (answer.status, answer.json()["error"]["code"]) == (400, "tls_required")
        for noise in (b"\x00" * 100, os.urandom(3000), b"SSH-2.0-x\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 70000):
            with Client(weir.port) as client:
                assert client.send(noise).closed(5)
        assert get(weir).status == 200
    with Upstream() as up, Weir(up) as weir:  # and the reverse
        with pytest.raises(ssl.SSLError):
            get(weir)
        assert weir.ask().status == 200


def test_bytes_one_by_one(pair):
    """A relay between client and weir that passes single bytes on."""
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir, \
         socket.create_server(("127.0.0.1", 0)) as middle:

        def pass_on(source, sink):
            with contextlib.suppress(OSError):
                while byte := source.recv(1):
                    sink.sendall(byte)

        def serve():
            near, _ = middle.accept()
            far = socket.create_connection(("127.0.0.1", weir.port))
            for sock in (near, far):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads = [threading.Thread(target=pass_on, args=ends, daemon=True) for ends in ((near, far), (far, near))]
            for thread in threads:
                thread.start()

        threading.Thread(target=serve, daemon=True).start()
        with TlsClient(middle.getsockname()[1]) as client:
            assert client.get(host="localhost").final().body == b"ok"
        with TlsClient(weir.port) as client:  # and records of one byte each
            for byte in b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n" + b"x" * 100:
                client.send(bytes([byte]))
            assert client.final().body == b"ok"


def test_large_bodies_both_ways(pair):
    body = os.urandom(3 << 20)

    def echo(peer):
        while (request := peer.request()) is not None:
            peer.ok(request[1])

    with TlsUpstream(pair, echo) as up, \
         Weir(up, listener=tls_of(pair), upstream_options={"tls": {"verify": False}}) as weir, \
         TlsClient(weir.port) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.final().body == body


def test_a_cut_answer_looks_cut(pair):
    def cut(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        peer.close()

    def until_close(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        peer.close()

    with Upstream(cut) as up, Weir(up, listener=tls_of(pair)) as weir, TlsClient(weir.port) as client:
        client.get(host="localhost")
        with pytest.raises((ssl.SSLEOFError, ssl.SSLError, ConnectionError)):
            assert client.final().complete
    with Upstream(until_close) as up, Weir(up, listener=tls_of(pair)) as weir, TlsClient(weir.port) as client:
        answer = client.send("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").final()
        assert answer.body == b"all of it"  # ended by close_notify: no SSLEOFError


def test_no_place_is_said_through_tls(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair), pool={"max_connections": 1}) as weir, \
         TlsClient(weir.port) as first:
        assert first.get(host="localhost").final().status == 200
        assert get(weir).status == 503
        assert first.get(host="localhost").final().status == 200


def test_a_drain_lets_handshakes_end(pair):
    """Who had connected is served; who says nothing is cut when drain_timeout is over."""
    with Upstream() as up, Weir(up, listener=tls_of(pair), pool={"drain_timeout": "3s"}) as weir, \
         Client(weir.port) as silent, Client(weir.port) as late:
        wait_for(lambda: get(weir).status == 200, "a turn after their connects")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: "draining" in weir.text(), "the drain")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        late.sock = context.wrap_socket(late.sock, server_hostname="localhost")
        assert late.get(host="localhost").final().status == 200
        assert silent.closed()
        weir.process.wait(10)  # it ends by itself: another SIGTERM would meet it on its way out
        weir.stop()


# --- upstreams ------------------------------------------------------------------------------------


@option("upstreams.tls.ca")
def test_an_upstream_is_verified_and_kept(authority, pair):
    tls = {"tls": {"ca": str(authority.certificate)}}
    with TlsUpstream(pair) as up, Weir(up, upstream_options=tls) as weir:
        for _ in range(5):
            assert weir.ask().status == 200
        # The tickets that came after the handshake did not end the idle connection.
        assert up.accepted == 1 and up.names == ["localhost"] and up.protocols == ["http/1.1"]
        assert weir.metric("weir_upstream_tls_handshakes_total", upstream="up", result="full") == 1


def refusal(url, tls, upstream_pool=None):
    with Weir([url], upstream_options={"tls": tls}, upstream_pool=upstream_pool) as weir:
        answer = weir.ask()
        return answer.status, answer.json()["error"]["code"], answer.header("proxy-status"), weir.metrics()


def test_bad_upstreams_are_502_with_the_reason(authority, pair):
    ca = {"ca": str(authority.certificate)}
    rows = [
        (authority.sign("localhost", days=(-20, -10)), ca, "tls_expired", "expired"),
        (authority.sign("localhost", days=(5, 10)), ca, "tls_expired", "not_yet_valid"),
        (authority.sign("elsewhere.test"), ca, "tls_wrong_host", "wrong_host"),
        (authority.sign("localhost", self_signed=True), ca, "tls_untrusted", "self_signed"),
        (pair, {}, "tls_untrusted", "untrusted"),
    ]
    for shown, tls, code, word in rows:
        with TlsUpstream(shown) as up:
            status, said, proxy_status, metrics = refusal(up.url, tls)
            assert (status, said) == (502, code)
            assert "tls_certificate_error" in proxy_status
            assert metrics[f'weir_upstream_tls_handshakes_total{{upstream="up",result="{word}"}}'] == 1
            assert up.requests == 0


def test_an_upstream_that_does_not_speak_tls(pair):
    with Upstream(lambda peer: peer.recv() and peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as up:
        status, code, proxy_status, _ = refusal(f"https://127.0.0.1:{up.port}", {})
        assert (status, code) == (502, "tls") and "tls_protocol_error" in proxy_status


@option("upstreams.tls.verify")
def test_verification_can_be_turned_off(authority):
    with TlsUpstream(authority.sign("elsewhere.test", days=(-20, -10))) as up, \
         Weir(up, upstream_options={"tls": {"verify": False}}) as weir:
        assert weir.ask().status == 200


@option("upstreams.tls.sni")
def test_another_name_is_asked_for(authority):
    with TlsUpstream(authority.sign("elsewhere.test")) as up, \
         Weir(up, upstream_options={"tls": {"sni": "elsewhere.test", "ca": str(authority.certificate)}}) as weir:
        assert weir.ask().status == 200
        assert up.names == ["elsewhere.test"]


@option("upstreams.tls.certificate")
@option("upstreams.tls.key")
def test_we_show_a_certificate(authority, pair):
    ours = authority.sign("weir.client")
    tls = {"ca": str(authority.certificate)}
    with TlsUpstream(pair, trust=authority.certificate) as up:
        with Weir(up, upstream_options={"tls": {**tls, "certificate": ours[0], "key": ours[1]}}) as weir:
            assert weir.ask().status == 200
            assert up.shown[0]["subject"] == ((("commonName", "weir.client"),),)
        assert refusal(up.url, tls)[0] == 502


@option("upstreams.pool.tls_timeout")
def test_a_silent_upstream_handshake_is_504(pair):
    with Upstream(lambda peer: peer.recv() and peer.sock.recv(1)) as up:
        status, code, _, _ = refusal(f"https://127.0.0.1:{up.port}", {}, {"tls_timeout": "200ms"})
        assert (status, code) == (504, "tls_timeout")


def test_new_connections_resume(authority, pair):
    def once(peer):
        peer.request()
        peer.ok(headers="Connection: close\r\n")
        peer.sock.unwrap()

    with TlsUpstream(pair, once) as up, \
         Weir(up, upstream_options={"tls": {"ca": str(authority.certificate)}}) as weir:
        for _ in range(4):
            assert weir.ask().status == 200
        assert up.sessions == [False, True, True, True]
        assert weir.metric("weir_upstream_tls_handshakes_total", result="resumed") == 3


def test_accounts_do_not_resume_each_others_sessions(authority, pair):
    """A ticket of one account, shown by another, would tell the upstream that both are one."""
    asked = []

    def once(peer):
        head, _ = peer.request()
        asked.append(b"k-one" if b"k-one" in head else b"k-two")
        peer.ok(headers="Connection: close\r\n")
        peer.sock.unwrap()

    accounts = [{"name": name, "headers": {"x-api-key": f"k-{name}"}} for name in ("one", "two")]
    with TlsUpstream(pair, once) as up, Weir(up, workers=1, upstream_options={
            "tls": {"ca": str(authority.certificate)}, "accounts": accounts}) as weir:
        for i in range(200):  # by turns, or as it comes
            assert weir.ask(headers=f"X-Turn: {i}\r\n").status == 200
            if all(asked.count(key) > 1 for key in (b"k-one", b"k-two")):
                break
        assert up.sessions == [asked[i] in asked[:i] for i in range(len(asked))], (asked, up.sessions)
        assert len(set(asked)) == 2


def test_a_body_without_close_notify_is_cut(authority, pair):
    def cut(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nis this all?")
        raw = peer.sock.detach()
        socket.socket(fileno=raw).close()

    with TlsUpstream(pair, cut) as up, \
         Weir(up, upstream_options={"tls": {"ca": str(authority.certificate)}}) as weir:
        answer = weir.ask()
        assert not answer.complete


def test_idle_connections_are_watched_through_tls(authority, pair):
    """Tickets come when the handshake is over, to connections that nobody uses yet: they are no news. Anything else is."""
    idle = []

    def script(peer):
        idle.append(peer)
        serve_ok(peer)

    def many_tickets(context):
        context.minimum_version, context.num_tickets = ssl.TLSVersion.TLSv1_3, 20

    with TlsUpstream(pair, script, setup=many_tickets) as up, Weir(up, workers=1, upstream_pool={"min_idle": 3},
                                                                  upstream_options={"tls": {"ca": str(authority.certificate)}}) as weir:
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="idle") == 3, "three that wait")
        for _ in range(20):
            assert weir.ask().status == 200
        assert len(idle) == 3 and weir.metric("weir_pool_created_total", pool="up") == 3
        idle[0].sock.sendall(b"x")
        wait_for(lambda: len(idle) == 4, "the one that spoke unasked to be replaced")
        idle[1].sock.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: len(idle) == 5, "the one that hung up to be replaced")
        assert weir.ask().status == 200


def test_nginx_as_upstream(authority, pair):
    port_of = peers.free_port()
    extra = f"""}} server {{ listen 127.0.0.1:{port_of} ssl; ssl_certificate {pair[0]};
        ssl_certificate_key {pair[1]}; location / {{ return 200 "secure $ssl_session_reused"; }}"""
    with peers.nginx(extra=extra), Weir([f"https://localhost:{port_of}"], upstream_options={
            "tls": {"ca": str(authority.certificate)}}) as weir:
        for _ in range(20):
            assert weir.ask().body.startswith(b"secure")
        assert weir.metric("weir_pool_created_total", pool="up") == 1


# --- certificates that change ---------------------------------------------------------------------


def serial(weir):
    with TlsClient(weir.port) as client:
        return client.sock.getpeercert(True)


def test_a_file_that_changes_is_read_again(authority, tmp_path):
    first, second = authority.sign("localhost"), authority.sign("localhost")
    mine = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    for source, target in zip(first, mine):
        shutil.copy(source, target)
    with Upstream() as up, Weir(up, listener=tls_of(mine), pool={"keepalive_timeout": "1m"}, workers=2) as weir, \
         TlsClient(weir.port) as old:
        assert old.get(host="localhost").final().status == 200
        before = serial(weir)
        (tmp_path / "cert.pem").write_text("nothing")
        wait_for(lambda: "not reloaded" in weir.text(), "the bad file to be seen")
        assert serial(weir) == before
        for source, target in zip(second, mine):
            shutil.copy(source, target)
        wait_for(lambda: serial(weir) != before, "the new certificate")
        assert old.get(host="localhost").final().status == 200  # not dropped
        assert "PRIVATE" not in weir.text()


# --- weir check -----------------------------------------------------------------------------------


def check(tmp_path, tls=None, upstream_tls=None, url="https://localhost:1"):
    path = tmp_path / "weir.yaml"
    listener = f"tls: {tls}, " if tls is not None else ""
    upstream = f"tls: {upstream_tls}, " if upstream_tls is not None else ""
    path.write_text(f"""
listeners: [{{ name: w, address: "127.0.0.1:1", {listener}routes: [ {{ upstream: u }} ] }}]
upstreams: [{{ name: u, {upstream}endpoints: [ {{ url: "{url}" }} ] }}]
""")
    done = subprocess.run([str(WEIR), "check", "-c", str(path)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_check_finds_what_is_wrong(authority, pair, tmp_path):
    other = authority.sign("other.test")
    errors = [
        ("{}", None, "needs a certificate and a key"),
        (f"{{ certificate: {pair[0]} }}", None, "needs a certificate and a key"),
        (f"{{ certificate: {pair[0]}, key: {other[1]} }}", None, "does not belong to the certificate"),
        (f"{{ certificate: /nonexistent, key: {pair[1]} }}", None, "cannot read /nonexistent: No such file"),
        (f"{{ certificate: {pair[1]}, key: {pair[1]} }}", None, "holds no PEM certificate"),
        (f"{{ certificate: {pair[0]}, key: {pair[0]} }}", None, "holds no PEM private key"),
        (f"{{ certificate: {pair[0]}, key: {pair[1]}, client_ca: {pair[1]} }}", None, "holds no PEM certificate"),
        (None, "{ ca: /nonexistent }", "cannot read /nonexistent"),
        (None, f"{{ certificate: {pair[0]} }}", "a certificate needs a key"),
    ]
    for tls, upstream_tls, text in errors:
        code, said = check(tmp_path, tls, upstream_tls)
        assert code == 1 and text in said and "weir.yaml:" in said, said
    weak, soon, old = (authority.sign("weak.test", bits=1024), authority.sign("soon.test", days=(-1, 5.5)),
                       authority.sign("old.test", days=(-20, -10)))
    advice = [
        (f"{{ certificate: {weak[0]}, key: {weak[1]} }}", None, "fewer than 2048 bits"),
        (f"{{ certificate: {soon[0]}, key: {soon[1]} }}", None, "expires in 5 days"),
        (f"{{ certificate: {old[0]}, key: {old[1]} }}", None, "expired 10 days ago"),
        (None, "{ verify: false }", "verify is false"),
    ]
    for tls, upstream_tls, text in advice:
        code, said = check(tmp_path, tls, upstream_tls)
        assert code == 0 and text in said, said
    code, said = check(tmp_path, None, f"{{ ca: {authority.certificate} }}", "http://localhost:1")
    assert code == 0 and "is for https://" in said


def test_no_common_scanner_finds_a_weakness(pair):
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        done = subprocess.run([peers.find("sslscan", "sslscan"), "--no-colour", f"127.0.0.1:{weir.port}"],
                              capture_output=True, text=True, timeout=120)
        text = done.stdout
        for version, state in (("SSLv2", "disabled"), ("SSLv3", "disabled"), ("TLSv1.0", "disabled"),
                               ("TLSv1.1", "disabled"), ("TLSv1.2", "enabled"), ("TLSv1.3", "enabled")):
            line = next(line for line in text.splitlines() if line.startswith(version))
            assert state in line, text
        assert "Session renegotiation not supported" in text, text
        assert "ffdhe" not in text and "secp521r1" not in text  # dear to us, cheap to ask for
        assert "not vulnerable to heartbleed" in text and "is vulnerable" not in text.replace("not vulnerable", "")
        assert get(weir).status == 200


def test_what_the_admin_tells(authority):
    """Handshakes, resumptions, failures, and when each certificate expires."""
    soon, later = authority.sign("soon.test", days=(-1, 5.5)), authority.sign("later.test", days=(-1, 40.5))
    with TlsUpstream(later) as up, Weir(up, listener={"tls": {"certificate": soon[0], "key": soon[1], "certificates": [
            {"certificate": later[0], "key": later[1]}]}}, upstream_options={"tls": {"verify": False}}) as weir:
        with TlsClient(weir.port, most=ssl.TLSVersion.TLSv1_2, name="soon.test") as client:
            assert client.get(host="soon.test").final().status == 200
        with TlsClient(weir.port, most=ssl.TLSVersion.TLSv1_2, name="later.test") as client:
            assert client.get(host="later.test").final().status == 200
        with Client(weir.port) as client:
            assert client.send(b"\x16\x03\x01\x00\x02xx").closed()
        wait_for(lambda: weir.admin("/api/v1/listeners").text.count('"failed":{}') == 0, "the failure to be counted")
        tls = json.loads(weir.admin("/api/v1/listeners").text)["listeners"][0]["tls"]
        assert tls["handshakes"] == 2 and tls["certificates"] == 2 and tls["days_left"] == 5, tls
        assert sum(tls["failed"].values()) == 1
        pools = {it["name"]: it for it in json.loads(weir.admin("/api/v1/pools").text)["pools"]}
        assert pools["up"]["tls"]["handshakes"] == 1 and pools["up"]["tls"]["certificates"] == 0
        assert pools["listener:web"]["tls"] == tls
        shown = json.loads(weir.admin("/api/v1/certificates").text)["certificates"]
        assert [(it["listener"], it["certificate"], it["days_left"]) for it in shown] == [
            ("web", "soon.test", 5), ("web", "later.test", 40)]
        assert shown[0]["not_after_s"] - time.time() > 4 * 86400 and shown[0]["file"] == str(soon[0])
    with Upstream() as up, Weir(up) as weir:
        assert json.loads(weir.admin("/api/v1/listeners").text)["listeners"][0]["tls"] is None
        assert json.loads(weir.admin("/api/v1/certificates").text) == {"certificates": [], "cut": False}


def test_testssl_finds_nothing_of_weight(pair, tmp_path):
    """Protocols, ciphers, forward secrecy, and every vulnerability that it knows."""
    report = tmp_path / "found.json"
    with Upstream() as up, Weir(up, listener=tls_of(pair)) as weir:
        subprocess.run([peers.find("testssl", "testssl.sh"), "--quiet", "--color", "0", "--warnings", "batch", "-n", "none",
                        "--jsonfile", report, "-p", "-s", "-f", "-U", f"127.0.0.1:{weir.port}"],
                       capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
        found = {it["id"]: it for it in json.loads(report.read_text())}
        assert not [it for it in found.values() if it["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL")], found
        for version, offered in (("SSLv2", False), ("SSLv3", False), ("TLS1", False), ("TLS1_1", False), ("TLS1_2", True),
                                 ("TLS1_3", True)):
            assert ("not offered" in found[version]["finding"]) is not offered, found[version]
        assert len(found) > 40 and "heartbleed" in found and "ROBOT" in found
        assert get(weir).status == 200
