# SPDX-License-Identifier: Apache-2.0
"""Between being told to end and the end of accepting: load balancers hear of it first (process.drain_delay)."""
import json
import signal
import socket
import subprocess
import time

import pytest

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
