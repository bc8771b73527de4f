# SPDX-License-Identifier: Apache-2.0
"""The library's client of OpenClaw gateways (openclaw_tool.c): requirement 000, TC-001 to TC-010, and what goes wrong.
Each against our double; with WEIR_OPENCLAW also against the real gateway (`make test-openclaw`)."""
import asyncio
import json
import os
import signal
import socket
import stat
import time

import pytest

import certs
import peers
import proxies
import openclawpeer
from openclawpeer import REAL, Double, Real, double, tool
from weirtest import Upstream, Weir

EAGER = ("retry_first=50ms", "retry_cap=500ms", "failures_max=1000", "jitter=0")


@pytest.fixture(scope="module", params=["double"] + (["real"] if REAL else []))
def gateway(request):
    """One that lives through many tests; those that are rough take their own."""
    peer = (Real if request.param == "real" else Double)().start()
    yield peer
    peer.stop()


# --- requirement 000 -----------------------------------------------------------------------------


def test_tc_001_a_new_connection(gateway):
    with tool() as client:
        assert client.gateway("a", gateway)["gateway"] == "ok"
        assert client.info("a")["status"] == "disconnected"
        before = int(time.time() * 1000)
        assert client.call("a", "health")["ok"]
        info = client.info("a")
        assert info["status"] == "connected" and info["protocol"] == 4 and info["errors"] == 0
        assert before <= info["created"] <= info["used"] <= time.time() * 1000


def test_tc_002_reuse(gateway):
    with tool() as client:
        client.gateway("a", gateway)
        assert client.gateway("again", gateway) == {"same": "ok", "fault": ""}
        assert client.gateway("other", gateway, account="other")["gateway"] == "ok"
        for _ in range(3):
            assert client.call("a", "health")["ok"]
        assert client.stats()["connects"] == 1
        assert client.call("other", "health")["ok"]
        stats = client.stats()
        assert (stats["connects"], stats["gateways"], stats["total"]) == (2, 2, 2)


def test_tc_003_release():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        held = client.begin("a", "hold")
        assert client.call("a", "health")["ok"]
        stats = client.stats()
        assert (stats["active"], stats["idle"], stats["in_flight"]) == (1, 0, 1)
        assert client.info("a")["in_flight"] == 1
        client.call("a", "release")
        assert client.result(held)["ok"]
        stats = client.stats()
        assert (stats["active"], stats["idle"], stats["in_flight"]) == (0, 1, 0)


def test_tc_004_an_idle_connection_goes(gateway):
    with tool("idle_timeout=300ms") as client:
        client.gateway("a", gateway)
        assert client.call("a", "health")["ok"]
        client.until(lambda: client.count("connection_removed") == 1)
        assert client.pool_events[-1]["why"] == "timeout"
        assert client.info("a")["status"] == "disconnected"
        assert client.stats()["total"] == 0
        assert client.call("a", "health")["ok"]  # and comes back when it is wanted


def test_tc_005_reconnects_by_itself():
    with double() as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        assert client.call("a", "health")["ok"]
        gateway.behave(hangup=True)
        client.until(lambda: client.count("connection_added") == 2)
        info = client.info("a")
        assert (info["status"], info["errors"]) == ("connected", 1)
        stats = client.stats()
        assert (stats["connects"], stats["losses"]) == (2, 1)


def test_tc_006_gives_up():
    with tool("retry_first=20ms", "jitter=0") as client:
        dead = Double()
        client.gateway("a", dead)
        said = client.call("a", "health")
        assert said["err"] == "down" and said["retry_after"] > 0 and not said["was_sent"]
        info = client.info("a")
        assert (info["status"], info["errors"], info["last_error"]) == ("error", 4, "refused")
        assert client.stats()["error"] == 1
        assert client.call("a", "health")["err"] == "down"
        assert client.stats()["handshakes"] == 4  # nobody was asked again
        with_one = dead.start()
        client.ask("disconnect", "a", 0)  # forgives
        assert client.call("a", "health")["ok"]
        assert client.info("a")["status"] == "connected"
        with_one.stop()


def test_tc_007_health_checks_on_the_wire():
    with double() as gateway, tool("probe_every=100ms", "probe_timeout=200ms", "jitter=0", *EAGER) as client:
        begun = time.monotonic()
        client.gateway("a", gateway)
        assert client.call("a", "echo")["ok"]
        client.until(lambda: gateway.requests.count(("health", {})) >= 5)
        asked, seconds = gateway.requests.count(("health", {})), time.monotonic() - begun
        assert asked <= seconds / 0.1 + 1  # none before its time
        gateway.behave(mute=1)  # the next check is not answered: the connection goes
        client.until(lambda: client.count("connection_removed") == 1)
        assert [event["why"] for event in client.pool_events if event["pool_event"] == "connection_removed"] \
            == ["probe_timeout"]


def test_tc_008_disconnect_all(gateway):
    with tool() as client:
        for name in "abc":
            client.gateway(name, gateway, account=name)
            assert client.call(name, "health")["ok"]
        assert client.stats()["total"] == 3
        client.ask("disconnect", "*", 0)
        client.until(lambda: client.count("connection_removed") == 3)
        assert client.stats()["total"] == 0
        assert client.call("b", "health")["ok"]


def test_tc_009_statistics(gateway):
    with tool() as client:
        client.gateway("a", gateway)
        client.gateway("wrong", gateway, token="wrong")
        assert client.call("a", "health")["ok"]
        assert client.call("wrong", "health")["err"] == "denied"
        stats = client.stats()
        wanted = {"gateways": 2, "total": 2, "active": 0, "idle": 1, "error": 1, "reconnecting": 0, "calls": 2,
                  "answered": 1, "failed": 1, "connects": 1, "denied": 1, "in_flight": 0}
        assert {key: stats[key] for key in wanted} == wanted
        client.say("list")
        client.until(lambda: True)
        assert [client.hear()["info"] for _ in range(2)] == ["a", "wrong"]


def test_tc_010_the_limit(gateway):
    with tool("max_total=2", "workers=1") as client:
        for name in "abc":
            client.gateway(name, gateway, account=name)
            assert client.call(name, "health")["ok"]
        assert client.stats()["total"] == 2  # the longest idle went
        assert client.info("a")["status"] == "disconnected"
    with tool("max_total=1", "workers=1", "refuse_when_full=on") as client:
        client.gateway("a", gateway, account="a")
        client.gateway("b", gateway, account="b")
        assert client.call("a", "health")["ok"]
        assert client.call("b", "health")["err"] == "full"


if REAL:  # what above takes a double that does as it is told

    @pytest.mark.parametrize("gateway", ["real"], indirect=True)
    def test_tc_003_and_007_release_and_health_checks_at_the_real_one(gateway):
        with tool("probe_every=100ms", "probe_timeout=5s", "jitter=0", *EAGER) as client:
            client.gateway("a", gateway)
            calls = [client.begin("a", "health") for _ in range(8)]
            assert client.info("a")["in_flight"] > 0
            assert all(client.result(call)["ok"] for call in calls)
            stats = client.stats()
            assert (stats["total"], stats["active"], stats["in_flight"], stats["connects"]) == (1, 0, 0, 1)
            os.kill(gateway.process.pid, signal.SIGSTOP)  # the next check is not answered: the connection goes
            try:
                client.until(lambda: client.count("connection_removed") == 1)
            finally:
                os.kill(gateway.process.pid, signal.SIGCONT)
            assert [event["why"] for event in client.pool_events if event["pool_event"] == "connection_removed"] \
                == ["probe_timeout"]
            assert client.stats()["losses"] == 1 and client.call("a", "health")["ok"]

    @pytest.mark.parametrize("gateway", ["real"], indirect=True)
    def test_tc_005_and_006_the_real_one_goes_and_comes_back(gateway):
        with tool(*EAGER) as client, tool("retry_first=20ms", "jitter=0") as other:
            client.gateway("a", gateway)
            assert client.call("a", "health")["ok"]
            gateway.kill()
            other.gateway("a", gateway)
            assert other.call("a", "health")["err"] == "down"
            info = other.info("a")
            assert (info["status"], info["errors"], info["last_error"]) == ("error", 4, "refused")
            assert other.call("a", "health")["err"] == "down" and other.stats()["handshakes"] == 4
            gateway.start()
            client.until(lambda: client.count("connection_added") == 2)  # by itself
            assert client.info("a")["status"] == "connected" and client.call("a", "health")["ok"]
            other.ask("disconnect", "a", 0)  # forgives
            assert other.call("a", "health")["ok"] and other.info("a")["status"] == "connected"


# --- who we are ----------------------------------------------------------------------------------


def test_a_wrong_token_is_asked_once(gateway):
    with tool("retry_first=10ms", "jitter=0") as client:
        client.gateway("a", gateway, token="wrong")
        calls = [client.begin("a", "health") for _ in range(8)]
        for call in calls:
            said = client.result(call)
            assert said["err"] == "denied" and "token mismatch" in said["detail"], said
        time.sleep(0.5)  # in which nobody may ask again: fifty times what the first retry would wait
        assert client.call("a", "health")["err"] == "denied"
        stats, info = client.stats(), client.info("a")
        assert (stats["handshakes"], stats["denied"]) == (1, 1)
        assert (info["status"], info["last_error"], info["errors"]) == ("error", "denied", 1)
        assert "token mismatch" in info["last_error_text"]


def test_a_password():
    with double() as gateway, tool() as client:  # a real one takes either a password or a token
        client.gateway("a", gateway, token=False, password="demo")
        assert client.call("a", "health")["ok"]


def test_a_device_is_kept_across_a_restart(tmp_path):
    file = tmp_path / "device.json"
    with double() as gateway:
        with tool() as client:
            client.gateway("a", gateway, device=file)
            assert client.call("a", "health")["ok"]
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
        kept = json.loads(file.read_text())
        assert kept["tokens"][0]["gateway"] == f"127.0.0.1:{gateway.port}"
        with tool() as client:  # the device token goes alone
            client.gateway("a", gateway, token=False, device=file)
            assert client.call("a", "health")["ok"]
            assert client.call("a", "status")["payload"]["devices"] == 2
        assert json.loads(file.read_text())["seed"] == kept["seed"]
        kept["tokens"][0]["token"] = "device-old"
        file.write_text(json.dumps(kept))
        with tool() as client:  # one that is not taken any more: the token is tried, once
            client.gateway("a", gateway, device=file)
            assert client.call("a", "health")["ok"]
            assert client.stats()["handshakes"] == 2
        assert json.loads(file.read_text())["tokens"][0]["token"] != "device-old"
        with tool() as client:
            kept["tokens"][0]["token"] = "device-old"
            file.write_text(json.dumps(kept))
            client.gateway("a", gateway, token=False, device=file)
            said = client.call("a", "health")
            assert said["err"] == "denied" and "device token" in said["detail"]
            assert client.stats()["handshakes"] == 1


def test_a_device_signs_for_the_real_one_too(gateway, tmp_path):
    with tool() as client:
        client.gateway("a", gateway, device=tmp_path / "device.json")
        assert client.call("a", "health")["ok"]


if REAL:  # the double pairs whoever it sees; the real one a device that its user has approved, as his own client does

    @pytest.mark.parametrize("gateway", ["real"], indirect=True)
    def test_a_paired_device_needs_no_token_at_the_real_one(gateway, tmp_path):
        file = tmp_path / "device.json"

        def health(token=True):
            """What comes of it, how many handshakes it took, and which device token is kept then."""
            with tool() as client:
                client.gateway("a", gateway, token=token, device=file)
                said = client.call("a", "health")
                return said, client.stats()["handshakes"], [kept["token"] for kept in json.loads(file.read_text())["tokens"]]

        assert health()[2] == [], "not paired yet"
        assert health(token=False)[0]["err"] == "denied"
        paired = asyncio.run(openclawpeer.connect(gateway.url, gateway.token, device=file))
        assert paired["ok"], paired
        said, handshakes, kept = health()
        assert said["ok"] and handshakes == 1 and kept == [paired["payload"]["auth"]["deviceToken"]]
        said, handshakes, again = health(token=False)  # it goes alone
        assert said["ok"] and handshakes == 1 and again == kept
        text = file.read_text()
        file.write_text(text.replace(kept[0], "taken-back"))
        said, handshakes, _ = health(token=False)
        assert said["err"] == "denied" and "device token mismatch" in said["detail"] and handshakes == 1
        file.write_text(text.replace(kept[0], "taken-back"))
        said, handshakes, again = health()  # the token is tried, once, and another device token comes
        assert said["ok"] and handshakes == 2 and again == kept


def test_a_device_file_that_others_may_read_is_refused(tmp_path):
    file = tmp_path / "device.json"
    with double() as gateway, tool() as client:
        client.gateway("a", gateway, device=file)
        file.chmod(0o640)
        said = client.gateway("b", gateway, device=f"{tmp_path}/./device.json")
        assert said["gateway"] == "invalid" and "chmod 600" in said["fault"]
        other = tmp_path / "other.json"
        other.write_text("{}")
        other.chmod(0o600)
        assert "holds no device" in client.gateway("c", gateway, device=other)["fault"]


def test_refused_at_the_upgrade():
    with double() as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        gateway.behave(upgrade=503)
        call = client.begin("a", "health")
        client.until(lambda: client.count("connection_error") >= 2)
        gateway.behave(upgrade=0)
        assert client.result(call)["ok"]
        client.ask("disconnect", "a", 0)
        gateway.behave(upgrade=403)
        said = client.call("a", "health")
        assert said["err"] == "denied" and "403" in said["detail"]


# --- requests ------------------------------------------------------------------------------------


def test_answers_in_any_order_over_one_connection():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        held = [client.begin("a", "hold") for _ in range(32)]
        echo = client.call("a", "echo", '{"text": "äöü \\u0041", "n": [1, 2, {"deep": null}]}')
        assert echo["payload"] == {"text": "äöü A", "n": [1, 2, {"deep": None}]}
        client.call("a", "release")
        assert all(client.result(call)["ok"] for call in held)
        assert list(client.results)[-33:-1] == held[::-1] or list(client.results)[-32:] == held[::-1]
        assert client.stats()["connects"] == 1


def test_in_flight_is_bounded_and_the_rest_waits():
    with double() as gateway, tool("in_flight=4") as client:
        client.gateway("a", gateway)
        held = [client.begin("a", "hold", timeout=1500 if n < 4 else 500) for n in range(6)]
        said = [client.result(call)["err"] for call in held]
        assert said == ["total_timeout"] * 4 + ["acquire_timeout"] * 2
        assert client.call("a", "release")["ok"]
        stats = client.stats()
        assert (stats["timeouts"], stats["late"], stats["strangers"], stats["losses"]) == (4, 4, 0, 0)


def test_execute_waits(gateway):
    with tool() as client:
        client.gateway("a", gateway)
        client.say("execute", 7, "a", "health", "-", 0)
        client.until(lambda: 7 in client.results)
        assert client.results[7][0]["ok"]
        said = client.ask("execute", 8, "a", "health", "r", 0)
        assert said == {"execute": "invalid", "fault": "flags"}  # no idempotencyKey


def test_what_cannot_be_sent(gateway):
    with tool() as client:
        client.gateway("a", gateway)
        for method, params, fault in (("m" * 64, "{}", "method"), ("x", "{bad", "params"),
                                      ("x", "[1]", "params")):
            assert client.ask("call", 9, "a", method, "-", 0, params) == {"call": "invalid", "fault": fault}
        said = client.call("a", "no.such.method")
        assert said["err"] == "ok" and not said["ok"] and said["error"]["code"]


def test_accepted_and_final():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        assert client.call("a", "agent")["payload"]["status"] == "accepted"
        assert client.call("a", "agent", flags="f")["payload"]["status"] == "ok"
        assert client.call("a", "health")["ok"]
        assert [event["event"] for event in client.events] == ["agent", "agent"]
        stats = client.stats()
        assert (stats["late"], stats["strangers"], stats["losses"]) == (1, 0, 0)


def test_cancel():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        call = client.begin("a", "hold")
        client.call("a", "health")
        client.ask("cancel", call)
        assert client.result(call)["err"] == "canceled"
        assert client.call("a", "release")["ok"]  # its answer comes late, and harms nobody
        assert client.stats()["late"] == 1
        assert client.ask("cancel", call)["cancel"] == "stale"


def test_events_are_told():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        client.call("a", "emit", '{"count": 5}')
        assert [(event["event"], event["seq"]) for event in client.events] == [("chat", n) for n in range(1, 6)]


def test_larger_than_the_gateway_takes():
    with double(payload_max=1000) as gateway, tool() as client:
        client.gateway("a", gateway)
        assert client.call("a", "echo", json.dumps({"x": "y" * 2000}))["err"] == "too_large"
        assert client.call("a", "echo", '{"x": 1}')["ok"]
        assert client.info("a")["payload_max"] == 1000


def test_megabytes_each_way():
    with double() as gateway, tool() as client:
        client.gateway("a", gateway)
        text = "x" * 3_000_000
        assert client.call("a", "echo", json.dumps({"x": text}))["payload"]["x"] == text


# --- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("how, counter, err", [
    ("json", "bad_frames", "protocol"), ("deep", "bad_frames", "protocol"), ("type", "bad_frames", "protocol"),
    ("binary", "bad_frames", "protocol"), ("early", "bad_frames", "protocol"),
    ("stranger", "strangers", "protocol"), ("large", "too_large", "too_large")])
def test_what_no_gateway_says(how, counter, err):
    with double() as gateway, tool("message_max=100000", *EAGER) as client:
        client.gateway("a", gateway)
        held = client.begin("a", "hold")
        said = client.call("a", f"bad.{how}")
        assert said["err"] == err and said["detail"] and said["was_sent"], said
        assert client.result(held)["err"] == err
        assert client.call("a", "health")["ok"]
        stats = client.stats()
        assert (stats[counter], stats["losses"]) == (1, 1)


def test_an_answer_that_comes_twice():
    with double() as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        held = client.begin("a", "hold")
        assert client.call("a", "bad.twice")["ok"]
        assert client.result(held)["err"] == "protocol"
        assert client.call("a", "health")["ok"]
        assert client.stats()["strangers"] == 1


def test_it_stops_ticking():
    with double(tick_ms=200) as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        held = client.begin("a", "hold")
        client.call("a", "health")
        client.until(lambda: client.stats()["ticks"] >= 4)  # longer than two missed ones would take
        assert client.stats()["losses"] == 0
        gateway.behave(ticks=False)
        said = client.result(held)
        assert said["err"] == "read_timeout" and "ticks" in said["detail"]
        gateway.behave(ticks=True)
        assert client.call("a", "health")["ok"]
        assert client.stats()["ticks_missed"] == 1


def test_it_is_starting():
    with double() as gateway, tool() as client:
        gateway.behave(starting=3)
        client.gateway("a", gateway)
        assert client.ask("ready", "a")["ready"] == "again"
        begun = time.monotonic()
        assert client.call("a", "health")["ok"]
        assert time.monotonic() - begun >= 0.3  # three times 100 ms, as it asked for
        stats = client.stats()
        assert (stats["starting"], stats["handshakes"], stats["connects"]) == (3, 4, 1)
        assert client.info("a")["errors"] == 0
        assert client.ask("ready", "a")["ready"] == "ok"


def test_a_restart_under_32_in_flight():
    """In flight fail once with the reason, those with a key are sent again, the pool recovers."""
    with double() as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        plain = [client.begin("a", "hold") for _ in range(16)]
        keyed = [client.begin("a", "chat.send", '{"idempotencyKey":"k%d","hold":true}' % n, flags="r")
                 for n in range(16)]
        assert client.call("a", "status")["payload"]["requests"] == 33
        gateway.behave(restart=True)
        for call in plain:
            said = client.result(call)
            assert (said["err"], said["code"], said["detail"]) == ("goaway", 1012, "service restart")
            assert said["was_sent"] and said["replays"] == 0
        for call in keyed:
            said = client.result(call)
            assert said["ok"] and said["replays"] == 1 and said["payload"]["times"] == 2, said
        stats = client.stats()
        assert (stats["restarts"], stats["losses"], stats["connects"], stats["replays"]) == (1, 1, 2, 16)


def test_the_process_restarts_under_load(gateway):
    """A real restart: the process goes and comes back on its port."""
    with tool(*EAGER) as client:
        client.gateway("a", gateway)
        assert client.call("a", "health")["ok"]
        calls = [client.begin("a", "health" if gateway.is_real else "hold") for _ in range(32)]
        if not gateway.is_real:
            client.call("a", "status")  # they are there
        gateway.restart()
        ended = [client.result(call) for call in calls]
        lost = ("goaway", "hangup", "reset")
        # A real one may still answer some, also that it is going.
        assert all(said["err"] in lost or gateway.is_real and said["err"] == "ok" for said in ended), ended
        begun = time.monotonic()
        assert client.call("a", "health")["ok"]
        assert time.monotonic() - begun < 5  # within one back-off, which is 500 ms here
        stats = client.stats()
        assert stats["losses"] == 1 and stats["connects"] == 2 and client.info("a")["status"] == "connected"


if REAL:  # the double's is test_a_restart_under_32_in_flight

    @pytest.mark.parametrize("gateway", ["real"], indirect=True)
    def test_what_has_a_key_outlives_a_kill_of_the_real_one(gateway):
        """One that is stopped in order answers what it has not done; one that is killed says nothing."""
        with tool("total_timeout=150s", "acquire_timeout=150s", *EAGER) as client:
            client.gateway("a", gateway)
            assert client.call("a", "health")["ok"]
            keyed = [client.begin("a", "chat.send", json.dumps({"sessionKey": "main", "message": "hi", "idempotencyKey": f"k{n}"}),
                                  flags="r") for n in range(16)]
            client.ask("ready", "a")  # by HTTP: meanwhile they have gone, and take longer
            gateway.kill()
            gateway.start()
            for n, call in enumerate(keyed):
                said = client.result(call)
                assert said["ok"] and said["payload"]["runId"] == f"k{n}" and said["replays"] <= 1, said
            stats = client.stats()
            assert stats["replays"] > 0 and (stats["losses"], stats["connects"]) == (1, 2), stats


def test_no_storm_where_it_takes_us_in_and_throws_us_out():
    with double() as gateway, tool(*EAGER) as client:
        client.gateway("a", gateway)
        assert client.call("a", "health")["ok"]
        thrown, end = 0, time.monotonic() + 1.5  # the span in which few handshakes may come
        while time.monotonic() < end:
            if client.count("connection_added") > thrown:
                thrown += 1
                gateway.behave(hangup=True)
            client.info("a")
        assert 2 <= client.stats()["handshakes"] <= 4  # at once, then after 1 s, 2 s, …


def test_handshakes_in_flight_are_bounded():
    with double() as gateway, tool("handshakes=2") as client:
        for n in range(12):
            client.gateway(f"g{n}", gateway, account=f"a{n}")
        calls = [client.begin(f"g{n}", "health") for n in range(12)]
        assert all(client.result(call)["ok"] for call in calls)
        assert client.stats()["connects"] == 12
        assert client.call("g0", "status")["payload"]["strangers_most"] <= 2


def test_requests_and_gateways_are_bounded():
    with double() as gateway, tool("requests=2", "gateways=2") as client:
        client.gateway("a", gateway)
        held = [client.begin("a", "hold") for _ in range(2)]
        assert client.ask("call", 99, "a", "release", "-", 0)["call"] == "full"
        client.ask("cancel", held[0])
        assert client.result(held[0])["err"] == "canceled"
        assert client.call("a", "release")["ok"] and client.result(held[1])["ok"]
        assert client.gateway("b", gateway, account="b")["gateway"] == "ok"
        assert client.gateway("c", gateway, account="c")["gateway"] == "full"


def test_one_that_does_not_read():
    """What it does not take is kept up to unsent_max; then requests fail, and the rest goes on when it reads."""
    with tool("unsent_max=100000", "write_timeout=1s", *EAGER) as client, socket.create_server(("127.0.0.1", 0)) as server:
        peer = Double()
        peer.port = server.getsockname()[1]
        client.gateway("a", peer)
        first = client.begin("a", "health", timeout=20000)
        with openclawpeer.raw(server) as stuck:
            text = json.dumps({"x": "y" * 60000})
            calls = [client.begin("a", "echo", text, timeout=20000) for _ in range(200)]
            said = [client.result(call)["err"] for call in calls]
            assert "again" in said and "write_timeout" in said, set(said)
            assert client.result(first)["err"] == "write_timeout"
            assert stuck


def test_a_gateway_that_never_greets():
    with double() as gateway, tool("handshake_timeout=300", "retry_first=10ms", "jitter=0") as client:
        silent = Double()
        with socket.create_server(("127.0.0.1", 0)) as server:
            silent.port = server.getsockname()[1]
            client.gateway("a", silent)
            said = client.call("a", "health")
            assert said["err"] == "down"
            assert client.info("a")["last_error"] == "connect_timeout"
        client.gateway("b", gateway)
        assert client.call("b", "health")["ok"]


# --- several gateways ----------------------------------------------------------------------------


def test_fan_out():
    with double() as one, double() as two, double() as three, tool() as client:
        for name, gateway in (("one", one), ("two", two), ("three", three)):
            client.gateway(name, gateway)
        client.gateway("bad", one, token="wrong")
        client.say("fan", 5, "all", "one,two,three,bad", "health")
        client.until(lambda: len(client.results.get(5, [])) == 4)
        said = client.results.pop(5)
        assert sorted(line["left"] for line in said) == [0, 1, 2, 3]
        assert {line["gateway"]: line["err"] for line in said} \
            == {"one": "ok", "two": "ok", "three": "ok", "bad": "denied"}

        client.say("fan", 6, "first", "bad,two,three", "health")
        assert client.result(6)["gateway"] in ("two", "three")
        client.say("fan", 7, "first", "bad", "health")
        assert client.result(7)["err"] == "denied"

        asked = []
        for n in range(8):
            client.say("fan", 10 + n, "round", "one,two,three,bad", "health")
            asked.append(client.result(10 + n)["gateway"])
        assert set(asked) == {"one", "two", "three"} and max(map(asked.count, asked)) <= 4


# --- HTTP, TLS, proxies --------------------------------------------------------------------------


def test_http_endpoints_with_their_short_keep_alive(gateway):
    with tool() as client:
        client.gateway("a", gateway)
        client.gateway("wrong", gateway, token="wrong")
        assert client.ask("ready", "a")["ready"] == "ok"
        body = '{"tool":"nothing","args":{}}'
        said = client.ask("fetch", "a", "POST", "/tools/invoke", body)
        assert said["fetch"] == "ok" and said["status"] != 401
        assert client.ask("fetch", "wrong", "POST", "/tools/invoke", body)["status"] == 401
        before = client.ask("fetch", "a", "GET", "/readyz")["reused"]
        assert client.ask("fetch", "a", "GET", "/readyz")["reused"] == before + 1
        time.sleep(4.6)  # being idle is the stimulus: ours retires after 4 s, before theirs closes after 5
        said = client.ask("fetch", "a", "GET", "/readyz")
        assert said["status"] == 200 and said["reused"] == before + 1


def test_chat_by_http():
    """Whole, and as a stream of events; an answer may take its time to begin, but not longer than a request may."""
    with double() as gateway, tool("total_timeout=700ms") as client, socket.create_server(("127.0.0.1", 0)) as server:
        client.gateway("a", gateway)
        client.gateway("wrong", gateway, token="wrong")
        for stream, text in (("false", '"content":"Hello"'), ("true", "data: [DONE]")):
            body = '{"model":"openclaw","stream":%s,"messages":[{"role":"user","content":"hi"}]}' % stream
            said = client.ask("fetch", "a", "POST", "/v1/chat/completions", body)
            assert said["status"] == 200 and text in said["body"]
            assert client.ask("fetch", "wrong", "POST", "/v1/chat/completions", body)["status"] == 401
        stats = client.stats()
        assert stats["http_answer_waits"] and stats["http_total_ms"] == 700
        silent = Double()
        silent.port = server.getsockname()[1]
        client.gateway("silent", silent)
        assert client.ask("fetch", "silent", "POST", "/v1/chat/completions", "{}")["fetch"] == "total_timeout"


class Model:
    """What a real gateway's agent asks: an API that says "Hello" in two pieces."""

    def __init__(self):
        chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        deltas = [{"role": "assistant", "content": "Hel"}, {"content": "lo"}, {}]
        self.text = b"".join(b"data: %s\n\n" % json.dumps({**chunk, "choices": [
            {"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}).encode() for delta in deltas)
        self.up = Upstream(self.script)

    def script(self, peer):
        text = self.text + b"data: [DONE]\n\n"
        while peer.request() is not None:
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    def gateway(self):
        """A real one, whose agent asks this one."""
        model = {"id": "m", "name": "m", "reasoning": False, "input": ["text"], "contextWindow": 120000, "maxTokens": 8192,
                 "cost": {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}}
        provider = {"baseUrl": self.up.url + "/v1", "apiKey": "k", "api": "openai-completions", "models": [model]}
        return Real(http={"endpoints": {"chatCompletions": {"enabled": True}}},
                    also={"agents": {"defaults": {"model": {"primary": "local/m"}}},
                          "models": {"mode": "merge", "providers": {"local": provider}}})


if REAL:

    def test_an_agent_of_the_real_one_answers():
        """By HTTP and by requests, whole and as it speaks, to the library and through the gateway."""
        model = Model()
        real = model.gateway().start()
        chat = '{"model":"openclaw","stream":%s,"messages":[{"role":"user","content":"hi"}]}'
        route = {"upstream": "up", "forwarded": "off"}
        try:
            with tool("total_timeout=180s") as client, Weir([real.http_url], routes=[route], upstream_options={
                    "protocol": "openclaw", "profile": "openclaw", "openclaw": {"token": real.token},
                    "pool": {"total_timeout": "180s"}}) as weir:
                client.gateway("a", real)
                client.gateway("wrong", real, token="wrong")
                said = client.ask("fetch", "a", "POST", "/v1/chat/completions", chat % "false")
                assert said["status"] == 200, said
                assert json.loads(said["body"])["choices"][0]["message"]["content"] == "Hello"
                assert client.ask("fetch", "wrong", "POST", "/v1/chat/completions", chat % "false")["status"] == 401

                asked = json.dumps({"message": "hi", "sessionKey": "main", "idempotencyKey": "k1"})
                said = client.call("a", "agent", asked, flags="f")
                assert said["ok"] and said["payload"]["status"] == "ok", said  # not "accepted"
                assert {"agent", "chat"} <= {event["event"] for event in client.events}

                body = (chat % "true").encode()
                answer = weir.ask("/v1/chat/completions", method="POST", body=body, headers=f"Authorization: Bearer {real.token}\r\n"
                                  f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n")
                assert answer.status == 200 and answer.header("content-type").startswith("text/event-stream")
                assert b'"content":"Hel"' in answer.body and answer.body.endswith(b"data: [DONE]\n\n")
        finally:
            real.stop()
            model.up.stop()


def test_over_tls():
    with certs.Authority() as authority, double() as gateway, \
            peers.tls_front(authority.sign("localhost"), gateway.port) as front:
        with tool(f"ca={authority.certificate}") as client:
            client.ask("gateway", "a", f"wss://localhost:{front.port}/", f"token={gateway.token}")
            assert client.call("a", "health")["ok"]
        with tool("retry_first=10ms", "jitter=0") as client:
            client.ask("gateway", "a", f"wss://localhost:{front.port}/", f"token={gateway.token}")
            assert client.call("a", "health")["err"] == "down"
            assert client.info("a")["last_error"] == "tls_untrusted"


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_through_a_proxy_and_never_without(kind):
    with certs.Authority() as authority, double() as gateway, proxies.proxy(kind, authority) as (url, kill), \
            tool("retry_first=10ms", "jitter=0", f"ca={authority.certificate}") as client:
        client.gateway("a", gateway, proxy=url)
        assert client.call("a", "health")["ok"]
        kill()
        client.ask("disconnect", "a", 0)
        client.until(lambda: client.count("connection_removed") == 1)
        assert client.call("a", "health")["err"] == "down"
        client.gateway("witness", gateway)
        assert client.call("witness", "status")["payload"]["upgrades"] == 2


@pytest.mark.parametrize("kind", proxies.KINDS)
def test_http_through_a_proxy_and_never_without(kind):
    """Beside its WebSocket: what is asked by HTTP goes the same way."""
    with certs.Authority() as authority, double() as gateway, proxies.proxy(kind, authority) as (url, kill):
        for is_alive, err in ((True, "ok"), (False, "proxy")):
            with tool(f"ca={authority.certificate}") as client:
                client.gateway("a", gateway, proxy=url)
                assert client.ask("ready", "a")["ready"] == err
                said = client.ask("fetch", "a", "POST", "/tools/invoke", "{}")
                assert said["fetch"] == err and said.get("status") == (200 if is_alive else None)
            if is_alive:
                kill()


@pytest.mark.parametrize("kind", proxies.WITH_LOGIN)
def test_the_proxy_is_shown_its_login(kind):
    with certs.Authority() as authority, double() as gateway, proxies.proxy(kind, authority, login=True) as (url, _), \
            tool("retry_first=10ms", "jitter=0", f"ca={authority.certificate}") as client:
        client.gateway("a", gateway, proxy=url)
        assert client.call("a", "health")["ok"] and client.ask("ready", "a")["ready"] == "ok"
        client.gateway("b", gateway, proxy=url.replace("p%2Dw", "wrong"))
        said = client.call("b", "health")
        assert said["err"] == "down" and client.info("b")["last_error"] == "proxy"
        assert client.ask("ready", "b")["ready"] == "proxy"
        assert "wrong" not in json.dumps([said, client.info("b")])
        assert client.call("a", "status")["payload"]["upgrades"] == 1
