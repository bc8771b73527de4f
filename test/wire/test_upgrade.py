# SPDX-License-Identifier: Apache-2.0
"""A new process takes over from the one that serves: when it goes well, and when it does not."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from upgrading import Upgraded
from weirtest import WEIR, Client, Upstream, Weir, free_port, wait_for


@pytest.fixture
def upstream():
    with Upstream() as it:
        yield it


def served(weir):
    return weir.ask().status == 200


def events(weir, word):
    return [e for e in json.loads(weir.admin("/api/v1/events").text)["events"] if e["event"] == word]


# --- it goes well -----------------------------------------------------------------------------------------------------

def test_a_new_process_takes_over(upstream):
    with Upgraded(upstream) as weir:
        first = weir.process.pid
        page = weir.process_page()
        assert (page["generation"], page["predecessor"], page["upgrade"]["state"]) == (1, None, "idle")
        answer = weir.upgrade("--reason", "the new release")
        assert answer["done"] == "upgrade" and answer["generation"] == 2 and answer["seconds"] < 60
        assert served(weir)
        weir.alone()
        page = weir.process_page()
        assert page["generation"] == 2 and page["state"] == "serving" and page["pid"] == answer["pid"]
        assert page["upgrade"] == {"state": "idle", "done": 1, "failed": 0, "why": ""}
        assert page["serving_since"] >= page["started"]
        assert weir.metric("weir_upgrades_total", result="done") == 1
        assert weir.metric("weir_process_generation") == 2
        assert f"process {answer['pid']} takes over from {first}" in events(weir, "upgraded")[0]["what"]
        assert "the new release" in weir.text()


def test_it_is_asked_for_by_a_signal(upstream):
    with Upgraded(upstream) as weir:
        os.kill(weir.pid, signal.SIGUSR2)
        page = wait_for(lambda: (page := weir.process_page())["generation"] == 2 and page, "the new process")
        weir.passed.append(page["pid"])
        assert served(weir)


def one_slow():
    """An upstream that tells when it is asked for /slow, and waits with the answer."""
    asked, answer = threading.Event(), threading.Event()

    def script(peer):
        while (request := peer.request()) is not None:
            if b"/slow" in request[0]:
                asked.set()
                assert answer.wait(30)
            peer.ok()
    return asked, answer, script


def shown(weir):
    """What `weir show process` says: a row, and below it what the process tells of parts of it, a line each."""
    said = subprocess.run([str(WEIR), "show", "process", "--admin", f"127.0.0.1:{weir.admin_port}"],
                          capture_output=True, text=True, timeout=60, check=True).stdout
    head, row, empty, *rest = said.splitlines()
    assert empty == ""
    return {**dict(zip(head.split(), row.split(), strict=True)), **dict(re.split(r" {2,}", line, maxsplit=1) for line in rest)}


def test_what_the_command_says(upstream):
    with Upgraded(upstream) as weir:
        said = weir.command()
        assert said.returncode == 0 and said.stderr == ""
        words = dict(word.split("=") for word in said.stdout.split())
        assert words["done"] == "upgrade" and words["generation"] == "2"
        weir.passed.append(int(words["pid"]))
        assert weir.command("--timeout", "soon").returncode == 2
        assert weir.command("now").returncode == 2


def test_an_open_request_ends_in_the_old_process_and_the_next_goes_to_the_new_one():
    asked, answer, script = one_slow()

    with Upstream(script) as upstream, Upgraded(upstream, drain=20) as weir, weir.client() as slow:
        slow.get("/slow")
        assert asked.wait(20)
        weir.upgrade()
        page = wait_for(lambda: (page := weir.process_page())["predecessor"] and page["predecessor"]["clients"] == 1 and page,
                        "what the old process still has")
        assert page["predecessor"]["pid"] == weir.process.pid
        table = shown(weir)
        assert table["generation"] == "2" and table["upgrade.state"] == "idle"
        assert table["predecessor.clients"] == "1" and table["predecessor.pid"] == str(weir.process.pid)
        assert weir.metric("weir_process_predecessor_clients") == 1
        assert served(weir)
        answer.set()
        last = slow.final()
        assert last.status == 200 and last.header("connection") == "close"
        weir.alone()
        assert weir.metric("weir_process_predecessor_clients") == 0
        assert not [name for name in shown(weir) if name.startswith("predecessor")]


def test_who_waits_in_the_backlog_is_served(upstream):
    """500 of them connect and ask while nobody accepts: the old process is stopped with them, and the new one is not
    there yet."""
    with Upgraded(upstream, pool={"max_connections": 2000}) as weir:
        clients = []
        try:
            os.kill(weir.pid, signal.SIGUSR2)
            for _ in range(500):
                client = Client(weir.port)
                client.get(headers="Connection: close\r\n")
                clients.append(client)
            page = wait_for(lambda: (page := weir.process_page())["generation"] == 2 and page, "the new process")
            weir.passed.append(page["pid"])
            answers = [client.final() for client in clients]
        finally:
            for client in clients:
                client.close()
        assert [a.status if a else None for a in answers] == [200] * 500


def test_idle_clients_are_let_go_one_after_the_other(upstream):
    """Who asks meanwhile hears that it is the last answer there; nobody is cut between two requests."""
    with Upgraded(upstream, drain=4, pool={"keepalive_timeout": "60s"}) as weir:
        idle, busy = [weir.client() for _ in range(40)], weir.client()
        for client in [*idle, busy]:
            assert client.get().final().status == 200
        weir.upgrade()
        assert busy.get().final().header("connection") == "close"
        count = lambda: weir.process_page()["predecessor"]  # noqa: E731
        seen = set()
        wait_for(lambda: (page := count()) is None or seen.add(page["clients"]), "its end", every=0.05)
        assert len([n for n in seen if 0 < n < 40]) >= 2, seen  # told twice a second
        assert all(client.closed() for client in idle)
        for client in [*idle, busy]:
            client.close()


def test_idle_clients_are_let_go_soon_however_long_streams_may_be(upstream):
    with Upgraded(upstream, drain=3600, pool={"keepalive_timeout": "3600s"}) as weir:
        idle = [weir.client() for _ in range(20)]
        for client in idle:
            assert client.get().final().status == 200
        weir.upgrade()
        wait_for(lambda: weir.process_page()["predecessor"] is None, "the end of the old process", deadline=40)
        assert all(client.closed() for client in idle)
        for client in idle:
            client.close()
        weir.alone()


def test_sockets_of_all_kinds_pass(upstream):
    """Those of two listeners, and of an admin interface at a path, whose file is not made anew."""
    more = free_port()

    def change(config):
        config["admin"]["address"] = f"unix:{weir.folder.name}/admin"
        config["listeners"].append({**config["listeners"][0], "name": "more", "address": f"127.0.0.1:{more}"})

    with Upgraded(upstream, workers=2) as weir:
        path = pathlib.Path(weir.folder.name) / "admin"
        weir.configure(change)
        weir.upgrade(then=path)
        inode = path.stat().st_ino
        for _ in range(2):
            weir.alone()
            weir.upgrade()
            assert path.stat().st_ino == inode and path.stat().st_mode & 0o777 == 0o600
            assert served(weir)
            with Client(more) as client:
                assert client.get().final().status == 200
        weir.stop()
        assert not path.exists()


def test_listeners_may_come_and_go(upstream):
    with Upgraded(upstream) as weir:
        gone, come = weir.port, free_port()
        weir.configure(lambda config: config["listeners"][0].update(address=f"127.0.0.1:{come}"))
        weir.upgrade()
        weir.port = come
        assert served(weir)
        wait_for(lambda: "no listener has this address any more" in weir.text(), "the log")
        weir.alone()
        with pytest.raises(ConnectionRefusedError):
            Client(gone)


def test_a_manager_that_tells_all_its_processes_to_end_is_understood():
    """The one that drains does so already; only when it is told twice it cuts what it has."""
    asked, answer = threading.Event(), threading.Event()

    def script(peer):
        while peer.request() is not None:
            asked.set()
            assert answer.wait(30)
            peer.ok()

    with Upstream(script) as upstream, Upgraded(upstream, drain=20) as weir, weir.client() as slow:
        slow.get()
        assert asked.wait(20)
        weir.upgrade()
        os.kill(weir.process.pid, signal.SIGTERM)
        answer.set()
        assert slow.final().status == 200
        weir.alone()


def test_after_a_kill_the_next_one_binds_at_once(upstream):
    with Upgraded(upstream) as weir:
        weir.upgrade()
        weir.alone()
        with weir.client() as client:
            client.get().final()
            os.kill(weir.pid, signal.SIGKILL)
            os.waitpid(weir.pid, 0)
            weir.passed.clear()
            with Weir(config=weir.config_path.read_text(), ports={"port": weir.port, "admin": weir.admin_port}) as again:
                assert served(again)


# --- it does not ------------------------------------------------------------------------------------------------------

def check_failed(weir, said, *why):
    """The command says why, and the old process serves on as if nothing had been."""
    assert said.returncode == 1, said.stdout
    for word in why:
        assert word in said.stderr, said.stderr
    page = weir.process_page()
    assert page["pid"] == weir.process.pid and page["state"] == "serving" and page["generation"] == 1
    assert page["upgrade"]["state"] == "idle" and page["upgrade"]["failed"] >= 1
    assert all(word in page["upgrade"]["why"] for word in why)
    assert weir.metric("weir_upgrades_total", result="failed") == page["upgrade"]["failed"]
    failed = events(weir, "upgrade_failed")
    assert failed and all(word in failed[-1]["why"] for word in why), failed
    assert served(weir)


@pytest.mark.parametrize("script, why", [
    ("exit 3", "ended with status 3"),
    ("kill -SEGV $$", "ended by signal 11"),
    (None, "cannot be started: No such file"),
    ("printf 'nonsense' >&$WEIR_TAKEOVER; exec sleep 100", "says what is not understood"),
    ("exec 3>&-; eval \"exec $WEIR_TAKEOVER>&-\"; exec sleep 100", "ended by signal 9"),
], ids=["exits", "crashes", "is-missing", "babbles", "turns-away"])
def test_a_new_binary_that(upstream, script, why):
    with Upgraded(upstream) as weir:
        weir.replace(script)
        for _ in range(2):
            check_failed(weir, weir.command(), why)
        if script is not None:  # and once it is mended
            weir.replace(WEIR)
            weir.upgrade()
            assert weir.process_page()["upgrade"]["failed"] == 2
            assert weir.metric("weir_upgrades_total", result="failed") == 2


def test_a_new_binary_that_hangs(upstream):
    with Upgraded(upstream) as weir:
        weir.replace(f"echo $$ >{weir.folder.name}/pid; exec sleep 1000")
        check_failed(weir, weir.command("--timeout", "1s"), "not ready within 1000 ms")
        pid = int(pathlib.Path(f"{weir.folder.name}/pid").read_text())
        wait_for(lambda: not pathlib.Path(f"/proc/{pid}").exists(), "the end of what hung")


def test_a_configuration_that_is_refused(upstream):
    with Upgraded(upstream) as weir:
        good = weir.config_path.read_text()
        weir.config_path.write_text(good.replace('"listeners"', '"listenres"'))
        check_failed(weir, weir.command(), "weir.yaml", "listeners")
        weir.config_path.write_text("{")
        check_failed(weir, weir.command(), "weir.yaml:")
        weir.config_path.write_text(good)
        weir.upgrade()


def test_an_address_that_is_somebody_elses(upstream):
    with Upgraded(upstream) as weir, socket.create_server(("127.0.0.1", 0)) as other:
        other_port = other.getsockname()[1]
        weir.configure(lambda config: config["listeners"].append(
            {"name": "more", "address": f"127.0.0.1:{other_port}", "routes": [{"upstream": "up"}]}))
        check_failed(weir, weir.command(), "listener more: cannot listen")


def test_one_at_a_time():
    asked, answer, script = one_slow()

    with Upstream(script) as upstream, Upgraded(upstream, drain=20) as weir, weir.client() as slow:
        weir.replace(f"touch {weir.folder.name}/begun; exec sleep 1000")
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(weir.command("--timeout", "3s")))
        thread.start()
        wait_for(pathlib.Path(f"{weir.folder.name}/begun").exists, "the new process")
        second = weir.command()
        assert second.returncode == 1 and "under way already" in second.stderr
        thread.join()
        assert waiting[0].returncode == 1 and "not ready within" in waiting[0].stderr
        weir.replace(WEIR)
        slow.get("/slow")
        assert asked.wait(20)
        weir.upgrade()
        third = weir.command()
        assert third.returncode == 1 and "still drains" in third.stderr
        answer.set()
        assert slow.final().status == 200
        weir.alone()
        weir.upgrade()


def test_who_is_told_to_end_while_a_new_one_begins_ends_with_it(tmp_path):
    """Whoever stops a gateway does not get another one for it."""
    asked, answer = threading.Event(), threading.Event()
    manager = Manager(tmp_path)

    def script(peer):
        while peer.request() is not None:
            asked.set()
            assert answer.wait(30)
            peer.ok()

    with Upstream(script) as upstream, Upgraded(upstream, drain=60, env=manager.environment()) as weir, \
            weir.client() as slow:
        slow.get()
        assert asked.wait(20)
        begun = pathlib.Path(weir.folder.name) / "begun"
        weir.replace(f"echo $$ >{begun}.new; mv {begun}.new {begun}; exec sleep 1000")
        manager.await_("READY", "1")
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(weir.command()))
        thread.start()
        wait_for(begun.exists, "the new process")
        os.kill(weir.pid, signal.SIGTERM)
        thread.join()
        assert waiting[0].returncode == 1 and "was told to end" in waiting[0].stderr, waiting[0]
        wait_for(lambda: not pathlib.Path(f"/proc/{begun.read_text().strip()}").exists(), "the end of the new one")
        answer.set()
        assert slow.final().status == 200
        assert weir.process.wait(20) == 0
        manager.await_("STOPPING", "1")
        assert len([said for said in manager.heard if "READY" in said]) == 1
        with pytest.raises(ConnectionRefusedError):
            Client(weir.port)


def test_without_its_launcher_it_serves_on(upstream):
    with Upgraded(upstream) as weir:
        children = pathlib.Path(f"/proc/{weir.pid}/task/{weir.pid}/children").read_text().split()
        assert len(children) == 1
        os.kill(int(children[0]), signal.SIGKILL)
        wait_for(lambda: "the launcher has ended" in weir.text(), "the log")
        said = weir.command()
        assert said.returncode == 1 and "its launcher was ended by somebody" in said.stderr
        assert served(weir)


def test_the_launcher_ends_with_its_program(upstream):
    with Upgraded(upstream) as weir:
        child = int(pathlib.Path(f"/proc/{weir.pid}/task/{weir.pid}/children").read_text())
        weir.kill()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)
        assert not pathlib.Path(f"/proc/{child}/exe").exists()



@pytest.mark.parametrize("body", ['{"timeout_ms": 0}', '{"timeout_ms": "1s"}', '{"grace_ms": 1}', "[]", '{"timeout_ms": 1e9}'])
def test_a_body_that_is_not_understood(upstream, body):
    with Upgraded(upstream) as weir:
        assert weir.admin("/api/v1/upgrade", method="POST", body=body).status == 400
        assert weir.process_page()["upgrade"]["state"] == "idle"


def test_a_passage_that_is_none_is_refused():
    with Upstream() as upstream, Upgraded(upstream) as weir:
        for value in ("x", "2", "99"):
            said = subprocess.run([str(WEIR), "serve", "-c", str(weir.config_path)], capture_output=True, text=True,
                                  env={**os.environ, "WEIR_TAKEOVER": value}, timeout=30)
            assert said.returncode == 1 and "cannot take over" in said.stderr, said


# --- a service manager ------------------------------------------------------------------------------------------------

class Manager:
    """What systemd does for a service of Type=notify: hears datagrams, and gives sockets."""

    def __init__(self, folder):
        self.path = str(pathlib.Path(folder) / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.heard = []  # a dict of each datagram
        threading.Thread(target=self.hear, daemon=True).start()

    def hear(self):
        with contextlib.suppress(OSError):
            while data := self.socket.recv(4096):
                self.heard.append(dict(line.split("=", 1) for line in data.decode().split("\n")))

    def await_(self, name, value=None, what=None, **more):
        return wait_for(lambda: next((d for d in self.heard if name in d and value in (None, d[name])), None),
                        what or f"{name}={value}", **more)

    def environment(self, **more):
        return {"NOTIFY_SOCKET": self.path, **more}


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path)


def test_a_manager_hears_that_it_is_ready_and_that_it_stops(upstream, manager):
    with Weir(upstream, env=manager.environment()) as weir:
        ready = manager.await_("READY", "1")
        assert ready["MAINPID"] == str(weir.process.pid) and ready["STATUS"] == "serving"
        weir.stop()
        assert manager.await_("STOPPING", "1")
        assert "WATCHDOG" not in {name for said in manager.heard for name in said}


def test_a_manager_follows_the_main_process(upstream, manager):
    with Upgraded(upstream, env=manager.environment()) as weir:
        manager.await_("READY", "1")
        manager.heard.clear()
        weir.replace("exit 3")
        assert weir.command().returncode == 1
        began = manager.await_("RELOADING", "1")
        assert int(began["MONOTONIC_USEC"]) > 0
        again = manager.await_("READY", "1")
        assert again["MAINPID"] == str(weir.process.pid) and "ended with status 3" in again["STATUS"]
        manager.heard.clear()
        weir.replace(WEIR)
        answer = weir.upgrade()
        assert manager.await_("MAINPID", str(answer["pid"]))["READY"] == "1"
        weir.alone()
        assert not any("STOPPING" in said for said in manager.heard), "it was another process that stopped"
        weir.stop()
        assert manager.await_("STOPPING", "1")


def test_a_watchdog_hears_that_all_of_it_lives(upstream, manager):
    """First of the one, then of the other process."""
    with Upgraded(upstream, workers=2, env=manager.environment(WATCHDOG_USEC="900000")) as weir:
        def beats(count):
            manager.heard.clear()
            wait_for(lambda: len([said for said in manager.heard if "WATCHDOG" in said]) >= count, "the watchdog")
        beats(3)
        weir.upgrade()
        weir.alone()
        beats(3)


def test_a_watchdog_of_another_process_is_not_ours(upstream, manager):
    with Weir(upstream, env=manager.environment(WATCHDOG_USEC="300000", WATCHDOG_PID="1")):
        manager.await_("READY", "1")
        with pytest.raises(AssertionError):
            manager.await_("WATCHDOG", "1", deadline=1.0)


def given(sockets, names):
    """A wrapper that starts a program with these sockets, as a manager with socket activation does."""
    numbers = " ".join(str(s.fileno()) for s in sockets)
    script = ("import fcntl, os, sys\n"
              f"for at, fd in enumerate([fcntl.fcntl(int(n), fcntl.F_DUPFD, 100) for n in '{numbers}'.split()]):\n"
              "    os.dup2(fd, 3 + at)\n"
              f"os.environ.update(LISTEN_FDS='{len(sockets)}', LISTEN_FDNAMES='{':'.join(names)}', LISTEN_PID=str(os.getpid()))\n"
              "os.execv(sys.argv[1], sys.argv[1:])\n")
    return ["/usr/bin/python3", "-c", script]


def test_sockets_that_a_manager_gives_are_used(upstream):
    """Who has connected already, before the program was there, is served; what no listener wants is closed and said."""
    port, admin = free_port(), free_port()
    with socket.create_server(("127.0.0.1", port), backlog=100) as web, socket.create_server(("127.0.0.1", 0)) as other:
        early = Client(port).get(headers="Connection: close\r\n")
        for one in (web, other):
            one.set_inheritable(True)
        config = json.dumps({"workers": 1, "admin": {"address": f"127.0.0.1:{admin}"}, "log": {"access": "off"},
                             "listeners": [{"name": "web", "address": f"127.0.0.1:{port}", "routes": [{"upstream": "up"}]}],
                             "upstreams": [{"name": "up", "endpoints": [{"url": upstream.url}]}]})
        popen = subprocess.Popen
        with pytest.MonkeyPatch.context() as patch:  # what is inheritable is to be inherited
            patch.setattr(subprocess, "Popen", lambda *a, **k: popen(*a, **{**k, "close_fds": False}))
            weir = Weir(config=config, ports={"port": port, "admin": admin}, wrapper=given([web, other], ["web", "other"]))
        with weir:
            assert early.final().status == 200
            assert served(weir)
            wait_for(lambda: '"name":"other"' in weir.text(), "the log")
            assert "no listener has this address any more" in weir.text()


# --- without rights ---------------------------------------------------------------------------------------------------

@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_who_has_given_up_its_rights_is_replaced_all_the_same(upstream):
    """The new process begins as the first one did, outside of the sandbox, and gives them up as well."""
    with Upgraded(upstream, process={"user": "nobody", "sandbox": "on"}, log={"access": "off"}) as weir:
        for _ in range(2):
            weir.upgrade()
            weir.alone()
            page = weir.process_page()
            assert page["user"] == "nobody" and page["sandbox"] == "on", page
            assert served(weir)
        weir.replace("exec sleep 1000")
        said = weir.command("--timeout", "1s")
        assert said.returncode == 1 and "not ready within" in said.stderr


# --- drain ------------------------------------------------------------------------------------------------------------

def test_a_drain_is_waited_for_and_tells_how_many_are_left():
    asked, answer = threading.Event(), threading.Event()

    def script(peer):
        while peer.request() is not None:
            asked.set()
            assert answer.wait(30)
            peer.ok()

    with Upstream(script) as upstream, Weir(upstream, pool={"drain_timeout": "30s"}) as weir, weir.client() as slow:
        slow.get()
        assert asked.wait(20)
        command = subprocess.Popen([str(WEIR), "drain", "--wait", "--admin", f"127.0.0.1:{weir.admin_port}"],
                                   stdout=subprocess.PIPE, text=True)
        assert command.stdout.readline() == "done=drain\n"
        first = command.stdout.readline()
        assert re.fullmatch(r"1 clients left, cut in \d+ s\n", first), first
        assert json.loads(weir.admin("/api/v1/process").text)["draining"]["clients"] == 1
        assert shown(weir)["draining.clients"] == "1"
        answer.set()
        assert slow.final().status == 200
        rest, _ = command.communicate(timeout=30)
        assert command.returncode == 0 and rest.endswith("drained\n"), rest
        weir.process.wait(20)
        assert '"event":"draining","clients":1,"cut_in_ms":' in weir.text()


@pytest.mark.parametrize("answer, status, says", [
    (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", 1, "WEIR_ADMIN_TOKEN has to open it"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{bad}", 1, "no admin interface"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"draining\": null}", 0, "drained"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", 0, "drained"),
    (b"", 0, "drained")], ids=["locked", "foreign", "another process", "cut", "gone"])
def test_what_is_waited_for_has_ended_or_is_not_known(answer, status, says):
    """After the drain was accepted: who does not answer any more has ended, who answers otherwise may not have."""
    def script(peer):
        head, _ = peer.request()
        if b"/drain" in head:
            peer.ok(b'{"done":"drain"}')
        else:
            peer.send(answer)

    with Upstream(script) as admin:
        done = subprocess.run([str(WEIR), "drain", "--wait", "--admin", f"127.0.0.1:{admin.port}"], capture_output=True, text=True,
                              timeout=30, check=False)
    assert done.returncode == status, (done.stdout, done.stderr)
    assert says in (done.stdout if status == 0 else done.stderr) and ("drained\n" in done.stdout) == (status == 0)


# --- what an operator has said ----------------------------------------------------------------------------------------

def test_what_an_operator_has_set_goes_along():
    """An endpoint under maintenance stays so, and a pool that is paused; what is not there any more is said."""
    with Upstream() as one, Upstream() as other, Upgraded([one.url, other.url]) as weir:
        name = f"127.0.0.1:{one.port}"
        modes = lambda: {e["endpoint"]: e["mode"] for e in json.loads(weir.admin("/api/v1/endpoints").text)["endpoints"]}  # noqa: E731
        paused = lambda: json.loads(weir.admin("/api/v1/pools").text)["pools"][0]["paused"]  # noqa: E731
        assert weir.admin(f"/api/v1/endpoints/up/{name}/maint", method="POST").status == 200
        assert weir.admin("/api/v1/pools/up/pause", method="POST").status == 200
        for _ in range(2):
            weir.upgrade()
            assert modes() == {name: "maint", f"127.0.0.1:{other.port}": "ready"} and paused() is True
            weir.alone()
        assert weir.admin("/api/v1/pools/up/resume", method="POST").status == 200
        asked = one.requests
        assert all(served(weir) for _ in range(10)) and one.requests == asked
        weir.configure(lambda config: config["upstreams"][0]["endpoints"].pop(0))
        weir.upgrade()
        assert modes() == {f"127.0.0.1:{other.port}": "ready"} and paused() is False
        wait_for(lambda: "what was set is of nothing that there is" in weir.text(), "the log")
        assert served(weir)
