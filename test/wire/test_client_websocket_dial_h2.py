# SPDX-License-Identifier: Apache-2.0
"""WebSockets that the library (ws_tool.c) dials as streams of HTTP/2 (RFC 8441): to its own server, to the gateway, to
python3-h2 and, through nghttpx, to python3-websockets; and what it does where a server takes none."""
import contextlib
import json
import os
import socket
import ssl
import subprocess
import tempfile
import threading

import h2.errors
import h2.events
import h2.settings
import pytest

import certs
from h2peer import H2Upstream, Peer
from test_client_websocket import SIZES, TOOL, python_server, started, tool
from test_proxies import microsocks
from weirtest import DEADLINE, Weir, free_port, wait_for
from wsraw import CLOSE, PING, PONG, TEXT, Reader, WsPeer, close_payload, echo, frame, upstream

CONNECT_PROTOCOL = h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL
ONLY, ON = ("--http2", "only"), ("--http2", "on")


def fine(said, count=6):
    return (said["same"], said["err"], said["code"]) == (count, "ok", 1000)


@pytest.fixture(scope="module")
def papers():
    with certs.Authority() as authority:
        yield authority, *authority.sign("localhost", "127.0.0.1")


def context_of(papers, *alpn):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(papers[1], papers[2])
    context.set_alpn_protocols(alpn)
    return context


# --- real servers --------------------------------------------------------------------------------


@pytest.mark.parametrize("deflate", [[], ["--deflate"]])
def test_our_own_server(deflate):
    with started(TOOL, *deflate, "--protocol", "chat", "server") as (port, said):
        for size in SIZES:
            got = tool(*ONLY, *deflate, "--protocol", "other, chat", "client", f"ws://127.0.0.1:{port}/", 6, size)
            assert fine(got) and got["deflate"] == bool(deflate) and got["protocol"] == "chat", size
    assert said["accepted"] == said["closed"] == len(SIZES) and said["total"] == 0


@pytest.mark.parametrize("how", [ONLY, ON])
def test_our_own_server_by_alpn(papers, how):
    with started(TOOL, "--pair", papers[1], papers[2], "server") as (port, said):
        url = f"wss://localhost:{port}/"
        assert fine(tool(*how, "--ca", papers[0].certificate, "client", url, 6, 100_000))
        assert tool(*how, "client", url, 1, 1)["err"] == "tls_untrusted"
    assert said["accepted"] == 1


@contextlib.contextmanager
def nghttpx(backend, papers=None):
    """HTTP/2 in front of a WebSocket server of HTTP/1.1."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        log = os.path.join(home, "log")
        command = ["nghttpx", "--conf=/dev/null", f"--backend=127.0.0.1,{backend}", "--workers=1", f"--accesslog-file={log}",
                   "--accesslog-format=$protocol_version $method $status",
                   f"--frontend=127.0.0.1,{port}" + ("" if papers else ";no-tls")]
        process = subprocess.Popen([*command, *((papers[2], papers[1]) if papers else ())],
                                   stderr=subprocess.DEVNULL)
        try:
            def answers():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    return True
            wait_for(answers, "nghttpx")
            yield port, log
        finally:
            process.terminate()
            process.wait()


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_nghttpx_by_prior_knowledge(compression):
    with python_server(compression) as backend, nghttpx(backend) as (port, log):
        deflate = ["--deflate"] if compression else []
        for size in SIZES:
            got = tool(*ONLY, *deflate, "--protocol", "chat", "client", f"ws://127.0.0.1:{port}/", 6, size)
            assert fine(got) and got["deflate"] == bool(compression) and got["protocol"] == "chat", size
        with open(log, encoding="ascii") as lines:
            assert {line.split()[0] for line in lines} == {"HTTP/2"}


def test_nghttpx_by_alpn(papers):
    with python_server(None) as backend, nghttpx(backend, papers) as (port, log):
        assert fine(tool(*ON, "--ca", papers[0].certificate, "client", f"wss://localhost:{port}/", 6, 70_000))
        with open(log, encoding="ascii") as lines:
            assert [line.split()[0] for line in lines] == ["HTTP/2"]


def test_through_the_gateway_and_a_proxy():
    with upstream(echo) as up, Weir(up) as weir:
        assert fine(tool(*ONLY, "client", f"ws://127.0.0.1:{weir.port}/", 6, 70_000))
        with microsocks() as proxy:
            assert fine(tool(*ONLY, "--proxy", f"socks5://127.0.0.1:{proxy.port}", "client", f"ws://127.0.0.1:{weir.port}/",
                             6, 70_000))
            proxy_was = proxy.port
        said = tool(*ONLY, "--proxy", f"socks5://127.0.0.1:{proxy_was}", "client", f"ws://127.0.0.1:{weir.port}/", 6, 10)
        assert said["same"] == 0 and said["err"] != "ok", "never without its proxy"
        assert up.accepted == 2


# --- a server of HTTP/2 that does what a test says -----------------------------------------------


class WsH2Peer(Peer):
    """Says 200 to an extended CONNECT, and runs the script on its own thread with a WsStream."""

    def greet(self):
        self.home.may_greet.wait(DEADLINE)
        super().greet()

    def _take(self, event):
        if isinstance(event, h2.events.DataReceived) and self.home.is_deaf:
            self.bodies[event.stream_id] += event.data  # and the window stays shut
            return
        super()._take(event)
        if isinstance(event, h2.events.RequestReceived) and self.heads[event.stream_id].get(":protocol"):
            self.home.asks += 1
            self.home.answer(WsStream(self, event.stream_id))


class WsStream:
    def __init__(self, peer, stream):
        self.peer, self.stream, self.head = peer, stream, peer.heads[stream]
        self.reader, self.taken = Reader(self._more), 0

    def accept(self, *fields, status="200"):
        self.peer.h2.send_headers(self.stream, [(":status", status), *fields])
        threading.Thread(target=self.peer.home.talk, args=(self,), daemon=True).start()

    def refuse(self, status):
        self.peer.h2.send_headers(self.stream, [(":status", status)])
        self.peer.h2.send_data(self.stream, b"no", end_stream=True)

    def _more(self):
        def has_some():
            return len(self.peer.bodies[self.stream]) > self.taken or not self.peer.is_open or self.is_reset
        wait_for(has_some, "bytes", DEADLINE)
        data = self.peer.bodies[self.stream][self.taken:]
        self.taken += len(data)
        return data

    @property
    def is_reset(self):
        return self.stream in [stream for stream, _ in self.peer.resets]

    def say(self, opcode, data=b"", end=False, **how):
        self.put(frame(opcode, data, **how), end)

    def put(self, data, end=False):
        with self.peer.lock:
            self.peer.h2.send_data(self.stream, data, end_stream=end)
            self.peer.send()

    def reset(self, why):
        with self.peer.lock:
            self.peer.h2.reset_stream(self.stream, why)
            self.peer.send()

    def frame(self):
        return self.reader.frame()

    def echo(self):
        while (got := self.frame()) is not None:
            if got.opcode == PING:
                self.say(PONG, got.data)
            elif got.opcode == CLOSE:
                self.say(CLOSE, got.data, end=True)
                return
            else:
                self.say(got.opcode, got.data, fin=got.fin, rsv=got.rsv)


class WsH2Upstream(H2Upstream):
    def __init__(self, answer=WsStream.accept, talk=WsStream.echo, offers=True, tls=None, **more):
        self.answer, self.talk, self.tls, self.asks, self.old = answer, talk, tls, 0, 0
        self.is_deaf, self.may_greet = False, threading.Event()
        self.may_greet.set()
        super().__init__(settings={CONNECT_PROTOCOL: int(offers)}, **more)
        self.ws_url = f"{'wss' if tls else 'ws'}://localhost:{self.port}/"

    def peer_of(self, sock):
        if self.tls is None:
            return WsH2Peer(self, sock)
        sock = self.tls.wrap_socket(sock, server_side=True)
        if sock.selected_alpn_protocol() == "h2":
            return WsH2Peer(self, sock)
        return Http1Peer(self, sock, sock.selected_alpn_protocol() == "http/1.1")


class Http1Peer:
    """The same server, to whom does not want HTTP/2."""

    def __init__(self, home, sock, speaks):
        self.home, self.sock, self.buffer, self.heads, self.is_open = home, sock, b"", {}, True
        self.speaks = speaks

    def recv(self):
        return self.sock.recv(65536)

    def send(self, data):
        self.sock.sendall(data)

    def run(self):
        if self.speaks:
            self.home.old += 1
            while b"\r\n\r\n" not in self.buffer:
                self.buffer += self.recv()
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            echo(WsPeer(self, head).accept())
        self.cut()

    def cut(self):
        self.is_open = False
        self.sock.close()


def test_what_is_asked():
    with WsH2Upstream() as up:
        assert fine(tool(*ONLY, "--deflate", "--protocol", "a, b", "client", up.ws_url + "x?y", 2, 10), 2)
        head, = up.heads
    assert head == {":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": f"localhost:{up.port}",
                    ":path": "/x?y", "sec-websocket-version": "13", "sec-websocket-protocol": "a, b",
                    "sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}


def test_many_share_a_connection():
    """As many on each as the server allows."""
    with WsH2Upstream(talk=lambda ws: ws.say(TEXT, "hello")) as up:
        process = subprocess.Popen([TOOL, "--workers", "1", *ONLY, "dial"], stdin=subprocess.PIPE, text=True)
        try:
            process.stdin.write(f"{up.ws_url}\n" * 90)
            process.stdin.flush()
            wait_for(lambda: sum(len(body) == 11 for peer in up.peers for body in peer.bodies.values()) == 90, "90 echoes")
            assert len(up.peers) <= 4  # before their SETTINGS come, one is on each
        finally:
            process.stdin.close()
            assert process.wait(30) == 0
        codes = [Reader(lambda: b"", body[11:]).frame().code for peer in up.peers for body in peer.bodies.values()]
        assert codes == [1001] * 90, "each heard goodbye"


@pytest.mark.parametrize("http1", [True, False])
def test_who_takes_none_over_http2_is_asked_by_http1(papers, http1):
    tls = context_of(papers, *(["h2", "http/1.1"] if http1 else ["h2"]))
    with WsH2Upstream(offers=False, tls=tls) as up:
        for _ in range(2):
            said = tool(*ON, "--ca", papers[0].certificate, "client", up.ws_url, 6, 70_000)
            assert fine(said) if http1 else said["same"] == 0 and said["err"] != "ok", said
        assert up.asks == 0 and (up.old == 2 if http1 else up.old == 0)
        said = tool(*ONLY, "--ca", papers[0].certificate, "client", up.ws_url, 6, 10)
        assert said["err"] == "protocol" and up.asks == 0


@pytest.mark.parametrize("deflate", [[], ["--deflate"]])
def test_a_server_of_http1_alone(papers, deflate):
    with python_server("deflate" if deflate else None, context_of(papers, "http/1.1")) as port:
        for size in SIZES:
            said = tool(*ON, *deflate, "--protocol", "chat", "--ca", papers[0].certificate, "client",
                        f"wss://localhost:{port}/", 6, size)
            assert fine(said) and said["deflate"] == bool(deflate) and said["protocol"] == "chat", size
        said = tool(*ONLY, "--ca", papers[0].certificate, "client", f"wss://localhost:{port}/", 6, 10)
        assert said["err"].startswith("tls") and said["same"] == 0, said


@pytest.mark.parametrize("answer, status", [
    (lambda ws: ws.refuse("403"), 403), (lambda ws: ws.refuse("302"), 302), (lambda ws: ws.refuse("500"), 500),
    (lambda ws: ws.accept(("sec-websocket-protocol", "unasked")), 200),
    (lambda ws: ws.accept(("sec-websocket-extensions", "permessage-deflate")), 200),
    (lambda ws: ws.accept(("sec-websocket-extensions", "x-what")), 200),
])
def test_answers_that_are_none(answer, status):
    with WsH2Upstream(answer) as up:
        said = tool(*ONLY, "client", up.ws_url, 6, 10)
        assert (said["err"], said["status"], said["same"]) == ("protocol", status, 0) and up.asks == 1, said


def test_a_refused_stream_is_asked_again():
    def answer(ws):
        if ws.peer.home.asks < 3:
            ws.peer.h2.reset_stream(ws.stream, h2.errors.ErrorCodes.REFUSED_STREAM)
        else:
            ws.accept()
    with WsH2Upstream(answer) as up:
        assert fine(tool(*ONLY, "client", up.ws_url, 6, 10)) and up.asks == 3
    with WsH2Upstream(lambda ws: ws.peer.h2.reset_stream(ws.stream, h2.errors.ErrorCodes.REFUSED_STREAM)) as up:
        assert tool(*ONLY, "client", up.ws_url, 6, 10)["err"] != "ok" and up.asks == 3, "and not for ever"
    with WsH2Upstream(lambda ws: ws.peer.h2.reset_stream(ws.stream, h2.errors.ErrorCodes.CANCEL)) as up:
        assert tool(*ONLY, "client", up.ws_url, 6, 10)["err"] == "reset" and up.asks == 1


@pytest.mark.parametrize("talk, err, code", [
    (lambda ws: ws.reset(h2.errors.ErrorCodes.CANCEL), "reset", 1006),
    (lambda ws: ws.put(b"", end=True), "hangup", 1006),
    (lambda ws: ws.peer.cut(), "reset", 1006),
    (lambda ws: ws.say(TEXT, b"x", mask=b"abcd"), "protocol", 1002),
    (lambda ws: ws.say(TEXT, b"\xff"), "protocol", 1007),
    (lambda ws: ws.say(CLOSE, close_payload(1012, "restart"), end=True), "ok", 1012),
    (lambda ws: ws.put(frame(TEXT, "half")[:3], end=True), "hangup", 1006),
])
def test_ends(talk, err, code):
    with WsH2Upstream(talk=talk) as up:
        said = tool(*ONLY, "echo", up.ws_url)
        assert (said["err"], said["code"]) == (err, code), said
        if err == "protocol":
            stream, = [body for peer in up.peers for body in peer.bodies.values()]
            assert Reader(lambda: b"", stream).frame().code == code, "the server was told"


def test_one_that_ends_leaves_the_others():
    held = threading.Event()

    def talk(ws):
        if ws.stream == 1:
            held.wait(DEADLINE)
            ws.reset(h2.errors.ErrorCodes.INTERNAL_ERROR)
        else:
            ws.echo()
    with WsH2Upstream(talk=talk) as up:
        with subprocess.Popen([TOOL, "--workers", "1", *ONLY, "dial"], stdin=subprocess.PIPE, text=True) as process:
            process.stdin.write(f"{up.ws_url}\n" * 2)
            process.stdin.flush()
            wait_for(lambda: up.asks == 2, "both")
            held.set()
            other = WsStream(up.peers[0], 3)
            other.say(TEXT, "are you there")
            wait_for(lambda: len(up.peers[0].bodies[3]) >= 19, "an echo")
            process.stdin.close()
        assert process.returncode == 0 and len(up.peers) == 1


def test_a_server_that_opens_no_window_is_waited_for_and_left():
    """What is not taken is kept up to unsent_max; a goodbye that cannot leave holds up nobody."""
    with WsH2Upstream(talk=lambda ws: [ws.say(TEXT, "x" * 5000) for _ in range(13)]) as up:
        up.settings[h2.settings.SettingCodes.INITIAL_WINDOW_SIZE], up.is_deaf = 10, True
        with subprocess.Popen([TOOL, "--workers", "1", *ONLY, "dial"], stdin=subprocess.PIPE, text=True) as process:
            process.stdin.write(f"{up.ws_url}\n")
            process.stdin.flush()
            wait_for(lambda: up.peers and len(up.peers[0].bodies.get(1, b"")) == 10, "ten bytes")
            process.stdin.close()
            assert process.wait(30) == 0


def test_it_is_asked_for_nothing_before_settings():
    """RFC 8441 §3: not before the server offers it."""
    with WsH2Upstream() as up:
        up.may_greet.clear()
        process = subprocess.Popen([TOOL, *ONLY, "client", up.ws_url, "2", "10"], stdout=subprocess.PIPE, text=True)
        wait_for(lambda: up.peers, "a connection")
        said = wait_for(lambda: up.peers[0].sock.recv(65536, socket.MSG_PEEK), "its preface")
        at, kinds = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), set()
        while at < len(said):
            kinds.add(said[at + 3])
            at += 9 + int.from_bytes(said[at:at + 3], "big")
        assert kinds <= {4, 8}, "SETTINGS and WINDOW_UPDATE"
        up.may_greet.set()
        assert fine(json.loads(process.communicate(timeout=DEADLINE)[0]), 2) and up.asks == 1
