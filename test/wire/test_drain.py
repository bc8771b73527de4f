# SPDX-License-Identifier: Apache-2.0
"""Between being told to end and the end of accepting: load balancers hear of it first (process.drain_delay)."""
import json
import queue
import signal
import socket
import subprocess
import time

import grpc
import pytest

from grpcpeer import GrpcServer
from h2raw import H2, NO_ERROR
from weirtest import DEADLINE, WEIR, Client, Upstream, Weir, wait_for

option = pytest.mark.option


@pytest.fixture(name="upstream")
def fixture_upstream():
    with Upstream() as it:
        yield it


def ready(weir):
    return weir.admin("/readyz").status == 200


def delayed(upstream, delay, **options):
    return Weir(upstream, process={"drain_delay": delay}, **options)


@option("process.drain_delay")
@pytest.mark.parametrize("how", ["SIGTERM", "weir drain"])
def test_until_the_delay_is_over_everybody_is_served_by_one_that_is_not_ready(upstream, how):
    with delayed(upstream, "3s", workers=2) as weir, weir.client() as kept:
        assert ready(weir) and kept.get().final().status == 200
        begun = time.monotonic()
        if how == "SIGTERM":
            weir.process.send_signal(signal.SIGTERM)
        else:
            subprocess.run([str(WEIR), "drain", "--admin", f"127.0.0.1:{weir.admin_port}"], check=True, timeout=DEADLINE,
                           capture_output=True)
        wait_for(lambda: not ready(weir), "it not to be ready")
        with Client(weir.port) as fresh:
            answer = fresh.get().final()
            assert answer.status == 200 and answer.header("connection") != "close"
        assert kept.get().final().status == 200
        draining = json.loads(weir.admin("/api/v1/process").text)["draining"]
        assert draining["clients"] >= 1
        assert weir.process.wait(DEADLINE) == 0
        assert time.monotonic() - begun >= 3
        assert kept.closed()


def test_a_second_word_cuts_it_short(upstream):
    with delayed(upstream, "1h") as weir:
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not ready(weir), "it not to be ready")
        assert weir.ask().status == 200
        weir.process.send_signal(signal.SIGTERM)
        assert weir.process.wait(DEADLINE) == 0


def test_who_interrupts_it_does_not_wait(upstream):
    with delayed(upstream, "1h") as weir:
        assert weir.ask().status == 200
        weir.process.send_signal(signal.SIGINT)
        assert weir.process.wait(DEADLINE) == 0


def test_neither_does_a_process_that_another_one_takes_over_from(upstream):
    from upgrading import Upgraded
    with Upgraded(upstream, process={"drain_delay": "1h"}) as weir:
        weir.upgrade()
        weir.alone()
        assert weir.ask().status == 200
        weir.configure(lambda config: config["process"].update(drain_delay="0s"))
        assert weir.admin("/api/v1/reload", "POST").status == 200  # live


def asked_at_the_end(upstream):
    """A request to the admin interface, of which the rest is sent when nobody is served any more: what is answered."""
    with Weir(upstream) as weir, Client(weir.admin_port) as asks:
        asks.send("POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: '"draining"' in weir.text(), "the drain")
        wait_for(lambda: not accepts(weir.port), "the end of listening")
        try:
            asks.send("}")
            answer = asks.response("POST")
        except (OSError, AssertionError):
            answer = None
        assert weir.process.wait(DEADLINE) == 0
        return answer


def accepts(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def test_who_asks_the_admin_interface_at_the_end_is_answered(upstream):
    """It has a second for that, which a machine that pauses may take from it: one in three will do."""
    answers = (asked_at_the_end(upstream) for _ in range(3))
    answer = next((one for one in answers if one is not None), None)
    assert answer is not None and answer.status == 409 and answer.header("connection") == "close"


def test_who_does_not_go_on_asking_is_not_waited_for(upstream):
    with Weir(upstream) as weir, Client(weir.admin_port) as asks:
        asks.send("POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{")
        weir.process.send_signal(signal.SIGTERM)
        assert weir.process.wait(DEADLINE) == 0
        assert asks.closed()


@pytest.mark.parametrize("path", ["/api/v1/live", "/api/v1/events"])
@pytest.mark.parametrize("how", ["the end", "another process"])
def test_a_stream_of_the_admin_interface_is_told_its_end(upstream, path, how):
    from upgrading import Upgraded
    with Upgraded(upstream) as weir, Client(weir.admin_port) as reader:
        reader.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        said = b""
        while b"\r\n\r\n" not in said:
            said += reader.sock.recv(65536)
        if how == "the end":
            weir.process.send_signal(signal.SIGTERM)
        else:
            weir.upgrade()
        while more := reader.sock.recv(65536):
            said += more
        assert b"text/event-stream" in said and said.endswith(b"\r\n0\r\n\r\n")


def test_while_it_waits_there_is_no_other_configuration(upstream):
    with delayed(upstream, "1h") as weir:
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not ready(weir), "it not to be ready")
        answer = weir.admin("/api/v1/reload", "POST")
        assert answer.status != 200 and "drains" in answer.text
        weir.process.send_signal(signal.SIGTERM)
        assert weir.process.wait(DEADLINE) == 0


# --- gRPC -------------------------------------------------------------------------------------------


class Talk:
    """A stream of both sides, as grpcio has it, on which a word was said and answered."""

    def __init__(self, channel):
        self.words = queue.Queue()
        self.call = channel.stream_stream("/t.T/Chat")(iter(self.words.get, None), timeout=DEADLINE)
        self.say(b"a")

    def say(self, word):
        self.words.put(word)
        assert next(self.call) == b"re: " + word

    def end(self):
        """What was said last, and the status."""
        self.words.put(None)
        return list(self.call), self.call.code()


def through(server, drain_timeout):
    return Weir(server, workers=2, pool={"drain_timeout": drain_timeout}, upstream_options={"protocol": "grpc"})


def channel_to(weir):
    """Of its own: grpcio gives channels to one address the same connection."""
    return grpc.insecure_channel(f"127.0.0.1:{weir.port}", options=(("grpc.use_local_subchannel_pool", 1),))


def test_calls_of_grpc_that_are_under_way_end_by_themselves():
    with GrpcServer() as server, through(server, "60s") as weir, channel_to(weir) as channel, channel_to(weir) as other:
        talk = Talk(channel)
        waits = other.unary_unary("/t.T/Wait").future(b"", timeout=DEADLINE)
        wait_for(lambda: server.deadlines, "the unary call at its server")
        weir.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not accepts(weir.port), "the end of listening")
        for word in (b"b", b"c"):
            talk.say(word)
        with channel_to(weir) as late, pytest.raises(grpc.RpcError) as refused:
            late.unary_unary("/t.T/Echo")(b"", timeout=DEADLINE)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert weir.process.poll() is None
        assert talk.end() == ([], grpc.StatusCode.OK)
        waits.cancel()
        assert weir.process.wait(DEADLINE) == 0


def test_calls_of_grpc_that_do_not_end_are_cut_with_a_status():
    with GrpcServer() as server, through(server, "1s") as weir, channel_to(weir) as channel:
        talk = Talk(channel)
        waits = channel.unary_unary("/t.T/Wait").future(b"", timeout=DEADLINE)
        wait_for(lambda: server.deadlines, "the unary call at its server")
        weir.process.send_signal(signal.SIGTERM)
        with pytest.raises(grpc.RpcError) as cut:
            next(talk.call)
        assert cut.value.code() == grpc.StatusCode.UNAVAILABLE
        assert waits.exception(DEADLINE).code() == grpc.StatusCode.UNAVAILABLE
        assert weir.process.wait(DEADLINE) == 0
        wait_for(lambda: server.cancelled, "the server to hear of it")


def test_a_connection_of_grpc_is_let_go_in_two_steps():
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    with GrpcServer() as server, through(server, "60s") as weir, H2(weir.port) as h2:
        stream = h2.request("POST", path="/t.T/Chat", extra=fields, end=False)
        h2.data(stream, b"\0\0\0\0\2hi")
        h2.until(lambda: h2.stream(stream).body.endswith(b"re: hi"), "the first answer")
        weir.process.send_signal(signal.SIGTERM)
        h2.until(lambda: h2.goaways, "the notice")
        assert h2.goaways[0] == (2**31 - 1, NO_ERROR)
        late = h2.request("POST", path="/t.T/Echo", extra=fields, end=False)  # it may have been under way
        h2.data(late, b"\0\0\0\0\2hi", end=True)
        assert dict(h2.answer(late).trailers)["grpc-status"] == "0"
        h2.data(stream, b"", end=True)
        assert dict(h2.answer(stream).trailers)["grpc-status"] == "0"
        assert h2.drain() and len(h2.goaways) == 2 and h2.goaways[1] == (late, NO_ERROR)
        assert weir.process.wait(DEADLINE) == 0
