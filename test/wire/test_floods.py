# SPDX-License-Identifier: Apache-2.0
"""Floods of HTTP/2, TLS and gRPC from clients: the flood ends or is borne, others are served, memory is bounded."""
import ssl
import subprocess
import time

import certs
import grpc
import peers
import pytest
from hyperframe.frame import PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from grpcpeer import GrpcServer
from h2raw import ENHANCE_YOUR_CALM, H2, REFUSED_STREAM, raw
from meanwhile import Meanwhile
from weirtest import DEADLINE, Client, Upstream, Weir, wait_for

END_STREAM, END_HEADERS = 1, 4


@pytest.fixture(scope="module")
def tls():
    with certs.Authority() as authority:
        certificate, key = authority.sign("test.example")
        yield {"certificate": str(certificate), "key": str(key)}


def connect(weir, over_tls=False, alpn=("h2",), least=ssl.TLSVersion.TLSv1_2, most=ssl.TLSVersion.TLSv1_3):
    sock = Client(weir.port).sock
    if not over_tls:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version, context.maximum_version = least, most
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname="test.example")


def ask_over_tls(weir):
    with H2(weir.port, sock=connect(weir, True)) as h2:
        return h2.get().status == 200


def holds_some(peer):
    """Answers all but what asks for /hold."""
    while (request := peer.request()) is not None:
        if b" /hold " in request[0]:
            while peer.recv():
                pass
            return
        peer.ok()


# --- HTTP/2 ------------------------------------------------------------------------------------------


def resets(h2):
    for n in range(1, 40001, 2):
        yield h2.head(n, h2.fields(path="/hold"), True) + RstStreamFrame(n, 8).serialize()


def provoked_resets(h2):
    """Each of these makes weir reset the stream (MadeYouReset): a window that grows too large."""
    for n in range(1, 40001, 2):
        yield h2.head(n, h2.fields(path="/hold"), True) + raw(8, 0, n, b"\x7f\xff\xff\xff")


def malformed(h2):
    for n in range(1, 40001, 2):
        yield h2.head(n, h2.fields(extra=[("connection", "x")]), True)


def continuations(h2):
    h2.until(lambda: h2.settings, "SETTINGS")  # whose acknowledgement must not come between
    yield raw(1, END_STREAM, 1, h2.encoder.encode(h2.fields())[:1])
    for _ in range(20000):
        yield raw(9, 0, 1, b"")


def header_bytes(h2):
    """A head that never ends, a whole frame of it each time; nothing may come between."""
    h2.until(lambda: h2.settings, "SETTINGS")
    yield (raw(1, END_STREAM, 1, h2.encoder.encode(h2.fields()))
           + raw(9, 0, 1, (b"\x00\x01a\x7f\xe9\x05" + b"b" * 872) * 18) * 2000)


def empty_data(h2):
    yield h2.head(1, h2.fields("POST", path="/hold"), False)
    for _ in range(1000):
        yield raw(0, 0, 1) * 100


def padded_data(h2):
    """Data that is all padding."""
    yield h2.head(1, h2.fields("POST", path="/hold"), False)
    for _ in range(1000):
        yield raw(0, 8, 1, b"\0") * 100


def settings_that_change(h2):
    """Each moves the table of compressed fields."""
    for n in range(1000):
        yield b"".join(SettingsFrame(0, settings={1: (n + k) % 4096}).serialize() for k in range(100))


def many(frame):
    return lambda h2: (frame.serialize() * 1000 for _ in range(100))


FLOODS = {
    "ping": (many(PingFrame(0, b"12345678")), "ping"),
    "settings": (many(SettingsFrame(0)), "settings"),
    "settings that change": (settings_that_change, "settings"),
    "priority": (many(PriorityFrame(1, depends_on=0, stream_weight=1)), "priority"),
    "window update": (many(WindowUpdateFrame(0, 1)), "window_update"),
    "empty data": (empty_data, "empty_data"),
    "padded data": (padded_data, None),
    "resets": (resets, "reset premature_reset"),
    "provoked resets": (provoked_resets, "reset window_update"),
    "malformed requests": (malformed, "reset"),
    "continuation": (continuations, "continuation"),
    "header bytes": (header_bytes, "header_bytes continuation"),
}


@pytest.mark.soak
@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", FLOODS)
def test_frames(name, over_tls, tls):
    flood, words = FLOODS[name]
    with Upstream(holds_some) as up, Weir(up, listener={"tls": tls} if over_tls else {}) as weir:
        with Meanwhile(weir, (lambda: ask_over_tls(weir)) if over_tls else None) as meanwhile, \
             H2(weir.port, sock=connect(weir, over_tls)) as h2:
            h2.ping()  # its settings are acknowledged by now, and not as the frame that is one too many
            for part in flood(h2):
                h2.send(part)
                h2.take(0)
                if h2.closed:
                    break
            if words:
                assert h2.drain() and h2.goaway in (ENHANCE_YOUR_CALM, None), h2.goaway
            else:
                h2.ping()
        assert meanwhile.cpu_seconds < 10
        if words:
            told = {line: count for line, count in weir.metrics().items() if line.startswith("weir_http2_floods_total") and count}
            assert sum(weir.metric("weir_http2_floods_total", reason=word) for word in words.split()) == 1, (told, h2.goaways)


@pytest.mark.parametrize("window", [65535, 0], ids=["open", "shut"])
@pytest.mark.parametrize("crumb", ["x-bomb", "cookie"])
@pytest.mark.parametrize("times", [30, 10000])
def test_bombs_of_fields(crumb, window, times):
    """Little on the wire, much when unpacked; the answers to them wait for a window."""
    with Upstream() as up, Weir(up) as weir:
        with Meanwhile(weir), H2(weir.port, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window}) as h2:
            for _ in range(200):
                block = h2.encoder.encode(h2.fields(extra=[(crumb, "b" * 3000)]))
                index = h2.encoder.encode([(crumb, "b" * 3000)])
                h2.send(raw(1, END_STREAM | END_HEADERS, h2.next_id, block + index * times))
                h2.next_id += 2
                h2.take(0)
            if times == 30:
                h2.until(lambda: sum(s.status == 431 for s in h2.streams.values()) >= 100, "431")
            else:
                assert h2.drain() and h2.goaway in (ENHANCE_YOUR_CALM, None), h2.goaway
        assert up.requests == weir.metric("weir_http_requests_total", code="200")


def test_streams_beyond_the_limit():
    with Upstream(holds_some) as up, Weir(up, upstream_pool={"max_connections": 200, "max_per_endpoint": 200}) as weir:
        with Meanwhile(weir), H2(weir.port) as h2:
            opened = [h2.request(path="/hold") for _ in range(2000)]
            h2.until(lambda: sum(h2.stream(n).reset == REFUSED_STREAM for n in opened) == 1900, "1900 refusals")
            assert h2.goaway is None


def big(peer):
    while (request := peer.request()) is not None:
        peer.ok(b"x" * (1 << 20) if b" /big " in request[0] else b"ok")


@pytest.mark.parametrize("window", [0, 1])
def test_answers_that_nobody_reads(window):
    """A hundred answers of 1 MiB to a client whose windows are shut, or let one byte go; what is below min_rate is given up."""
    with Upstream(big) as up, Weir(up, pool={"write_timeout": "2s"},
                                   upstream_pool={"max_connections": 200, "max_per_endpoint": 200}) as weir:
        with Meanwhile(weir), H2(weir.port, settings={SettingsFrame.INITIAL_WINDOW_SIZE: window}) as h2:
            h2.auto_window = False  # one who gives back each byte at once is as fast as the machine lets him
            opened = [h2.request(path="/big") for _ in range(100)]
            h2.until(lambda: h2.goaway is not None or all(h2.stream(n).done for n in opened), "all to be given up", 30)


def test_silent_clients():
    with Upstream() as up, Weir(up, pool={"headers_timeout": "1s"}) as weir:
        with Meanwhile(weir):
            socks = [H2(weir.port) for _ in range(400)]
            wait_for(lambda: all(h2.take(0) is False and h2.closed for h2 in socks), "all to be turned out", 30)
            for h2 in socks:
                h2.sock.close()


# --- TLS ---------------------------------------------------------------------------------------------


def test_handshakes_that_stop(tls):
    """Clients that say nothing, half a ClientHello, or a record that is said to be long."""
    with Upstream() as up, Weir(up, listener={"tls": tls}, pool={"tls_timeout": "1s"}) as weir:
        with Meanwhile(weir, lambda: ask_over_tls(weir)):
            socks = [Client(weir.port) for _ in range(200)]
            for i, sock in enumerate(socks):
                sock.send([b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x40\x00" + b"\1\0\x3f\xfc" * 4][i % 3])
            for sock in socks:
                assert sock.closed()
                sock.close()
        assert weir.metric("weir_tls_handshakes_total", result="timeout") > 0


def test_bytes_that_are_not_tls(tls):
    """400 connections, each with 64 KiB of what is no record."""
    with Upstream() as up, Weir(up, listener={"tls": tls}) as weir:
        with Meanwhile(weir, lambda: ask_over_tls(weir)):
            for i in range(400):
                with Client(weir.port) as client:
                    client.send(bytes([i % 256]) * 65536)
                    assert client.closed()


def test_handshakes_one_after_another(tls):
    """Full ones, that are given up as soon as they are done."""
    with Upstream() as up, Weir(up, listener={"tls": tls}) as weir:
        with Meanwhile(weir, lambda: ask_over_tls(weir)):
            for _ in range(300):
                connect(weir, True).close()


@pytest.mark.parametrize("version, key", [("-tls1_2", "R"), ("-tls1_3", "k")])
def test_renegotiation_and_new_keys(tls, version, key):
    """TLS 1.2: a renegotiation is refused. TLS 1.3: new keys without end are not."""
    with Upstream() as up, Weir(up, listener={"tls": tls}, pool={"headers_timeout": "2s"}) as weir:
        with Meanwhile(weir, lambda: ask_over_tls(weir)):
            done = subprocess.run([peers.find("openssl", "openssl"), "s_client", "-connect", f"127.0.0.1:{weir.port}", version,
                                   "-alpn", "http/1.1"], input=f"{key}\n" * 2000, capture_output=True, text=True,
                                  timeout=DEADLINE, check=False)
            assert ("no renegotiation" in done.stderr or "handshake failure" in done.stderr) == (key == "R"), done.stderr[-500:]


# --- gRPC --------------------------------------------------------------------------------------------


def test_messages_without_content():
    """100 000 empty messages of a client, and as many of the server's: they pass, as slowly as both want."""
    with GrpcServer() as server, Weir(server, upstream_options={"protocol": "grpc"}) as weir:
        with grpc.insecure_channel(f"127.0.0.1:{weir.port}") as other, \
             Meanwhile(weir, lambda: other.unary_unary("/t.T/Echo")(b"x", timeout=DEADLINE) == b"x"), \
             grpc.insecure_channel(f"127.0.0.1:{weir.port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
            assert channel.stream_unary("/t.T/Sum")(iter([b""] * 20000), timeout=60) == b"0"


def test_messages_that_are_said_to_be_long():
    """4 GiB, said in five bytes, a hundred times: nothing is made room for."""
    call = [("content-type", "application/grpc"), ("te", "trailers")]
    with Upstream() as up, Weir(up) as weir:
        with Meanwhile(weir), H2(weir.port) as h2:
            for _ in range(100):
                stream = h2.request("POST", path="/t.T/Echo", extra=call, end=False)
                h2.data(stream, b"\0\xff\xff\xff\xff" + b"x" * 1000)
                answer = h2.answer(stream)
                assert dict(answer.fields)["grpc-status"] == "8", answer.fields


def test_calls_that_are_cancelled():
    """2000 calls, each given up at once: what is open upstream goes with them."""
    with GrpcServer() as server, Weir(server, upstream_options={"protocol": "grpc"}) as weir:
        with grpc.insecure_channel(f"127.0.0.1:{weir.port}") as other, \
             Meanwhile(weir, lambda: other.unary_unary("/t.T/Echo")(b"x", timeout=DEADLINE) == b"x"), \
             H2(weir.port) as h2:
            begun = time.monotonic()
            while not h2.closed and time.monotonic() - begun < DEADLINE:
                stream = h2.request("POST", path="/t.T/Wait", extra=[("content-type", "application/grpc"), ("te", "trailers")])
                h2.send(RstStreamFrame(stream, 8))
                h2.take(0)
            assert h2.goaway in (ENHANCE_YOUR_CALM, None) and h2.closed
