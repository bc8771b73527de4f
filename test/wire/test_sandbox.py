# SPDX-License-Identifier: Apache-2.0
"""What a gateway that serves may still do: as whom, with which rights, behind what.

All gateways of these tests run inside their sandbox, built with sanitizers or not; here somebody looks at it."""
import ctypes
import json
import os
import pathlib
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
import tempfile

import pytest

import certs
from weirtest import ROOT, WEIR, Upstream, Weir, dead_port, free_port, wait_for, yaml_of

IS_ROOT = os.geteuid() == 0
NET_BIND_SERVICE = 1 << 10


def statuses(weir):
    """Of each thread, what /proc says of its rights."""
    found = []
    for task in pathlib.Path(f"/proc/{weir.process.pid}/task").iterdir():
        fields = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
        found.append({"uid": set(fields["Uid"].split()), "gid": set(fields["Gid"].split()), "groups": fields["Groups"].split(),
                      "permitted": int(fields["CapPrm"], 16), "effective": int(fields["CapEff"], 16),
                      "bounding": int(fields["CapBnd"], 16), "ambient": int(fields["CapAmb"], 16),
                      "no_new_privs": fields["NoNewPrivs"] == "1", "seccomp": fields["Seccomp"] == "2"})
    assert len(found) >= 2  # the hub and a worker at least
    return found


def process(weir):
    return json.loads(weir.admin("/api/v1/process").text)


def events(weir, name):
    wait_for(lambda: '"event":"serving"' in weir.text(), "the log to say that it serves")
    return [row for row in (json.loads(line) for line in weir.text().splitlines() if line.startswith("{"))
            if row["event"] == name]


def has_landlock():
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) > 0


def refused(wrapper=(), **config):
    """What `weir serve` says that does not start."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml_of({"admin": {"address": "off"},
                            "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
                            "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}]}], **config}))
        file.flush()
        done = subprocess.run([*wrapper, str(WEIR), "serve", "-c", file.name], capture_output=True, text=True, timeout=60,
                              check=False)
    assert done.returncode == 1, done
    return done.stderr


def test_every_gateway_is_inside():
    with Upstream() as upstream, Weir(upstream, workers=2) as weir:
        assert weir.ask().status == 200
        for status in statuses(weir):
            assert status["permitted"] == status["effective"] == status["ambient"] == 0
            assert status["no_new_privs"] and status["seccomp"]
        seen = process(weir)
        assert seen["user"] == pwd.getpwuid(os.geteuid()).pw_name
        assert seen["capabilities"] == "none" and seen["no_new_privs"] and seen["seccomp"]
        assert (seen["landlock"] > 0) == has_landlock()
        assert seen["sandbox"] == ("on" if has_landlock() else "partial")
        limits = pathlib.Path(f"/proc/{weir.process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits)
        said = events(weir, "sandbox")[0]
        assert said["seccomp"] is True and said["capabilities"] == "none"
        assert bool(events(weir, "serving as root")) == IS_ROOT
        shown = subprocess.run([str(WEIR), "show", "process", "--admin", f"127.0.0.1:{weir.admin_port}"],
                               capture_output=True, text=True, check=True).stdout
        assert "capabilities" in shown and seen["user"] in shown


@pytest.mark.option("process.sandbox")
def test_off_is_off():
    with Upstream() as upstream, Weir(upstream, process={"sandbox": "off"}) as weir:
        assert weir.ask().status == 200
        own = int(re.search(r"CapEff:\t(\w+)", pathlib.Path("/proc/self/status").read_text())[1], 16)
        for status in statuses(weir):
            assert not status["no_new_privs"] and not status["seccomp"] and status["effective"] == own
        seen = process(weir)
        assert seen["sandbox"] == "off" and seen["landlock"] == 0 and not seen["seccomp"]


# Between the shell and weir: a filter that makes a system call look as on a kernel that lacks it.
WITHOUT = """
import ctypes, os, struct, sys
number = int(sys.argv[1])
codes = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7fff0000)]
raw = b"".join(struct.pack("HBBI", *code) for code in codes)
room = ctypes.create_string_buffer(raw)
program = struct.pack("HxxxxxxP", len(codes), ctypes.addressof(room))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[2], sys.argv[2:])
"""


def without(number):
    return [sys.executable, "-c", WITHOUT, str(number)]


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock to take away")
def test_what_the_kernel_lacks_is_said_and_left_out():
    with Upstream() as upstream, Weir(upstream, wrapper=without(444)) as weir:  # landlock_create_ruleset
        assert weir.ask().status == 200
        seen = process(weir)
        assert seen["sandbox"] == "partial" and seen["landlock"] == 0 and seen["seccomp"]
        assert seen["sandbox_lacks"].startswith("Landlock: ")
        said = events(weir, "sandbox is partial")
        assert len(said) == 1 and "Landlock" in said[0]["lacks"]


@pytest.mark.skipif(not has_landlock(), reason="this kernel has no Landlock to take away")
def test_on_does_not_serve_without():
    user = pwd.getpwuid(os.geteuid()).pw_name
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml_of({"process": {"sandbox": "on", "user": user}, "admin": {"address": "off"},
                            "listeners": [{"name": "web", "address": "127.0.0.1:0", "routes": [{"upstream": "up"}]}],
                            "upstreams": [{"name": "up", "endpoints": [{"url": "http://127.0.0.1:1"}]}]}))
        file.flush()
        done = subprocess.run([*without(444), str(WEIR), "serve", "-c", file.name], capture_output=True, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1 and "process.sandbox: on, but Landlock is not to be had here" in done.stderr


@pytest.mark.skipif(not has_landlock(), reason="on wants all of it")
def test_on_with_root_wants_a_clear_word():
    if IS_ROOT:
        assert "name a process.user" in refused(process={"sandbox": "on"})
    user = pwd.getpwuid(os.geteuid()).pw_name
    with Upstream() as upstream, Weir(upstream, process={"sandbox": "on", "user": user}) as weir:
        assert weir.ask().status == 200
        assert process(weir)["sandbox"] == "on"
        assert not events(weir, "serving as root")


def test_a_user_that_nobody_knows():
    assert "process.user: there is no user nobody-knows-me here" in refused(process={"user": "nobody-knows-me"})


def test_who_may_not_become_somebody_else_does_not_start():
    """Without the capabilities root may do no more than others."""
    wrapper = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if IS_ROOT else []
    assert "cannot become" in refused(wrapper, process={"user": "nobody" if IS_ROOT else "root"})


class Shared:
    """A folder that another user may enter, with one of that user's in it."""

    def __init__(self, uid):
        self.room = tempfile.TemporaryDirectory(prefix="weir-sandbox-")
        self.path = pathlib.Path(self.room.name)
        self.path.chmod(0o755)
        self.own = self.path / "own"
        self.own.mkdir(0o700)
        os.chown(self.own, uid, uid)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.room.cleanup()


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
@pytest.mark.option("process.user")
def test_root_becomes_the_user():
    nobody = pwd.getpwnam("nobody")
    with Shared(nobody.pw_uid) as shared, Upstream() as upstream:
        log = shared.own / "access.log"
        with Weir(upstream, workers=2, process={"user": "nobody"}, log={"access": str(log)},
                  sessions={"path": str(shared.own / "sessions")},
                  routes=[{"match": {"path": "/"}, "upstream": "up", "affinity": {}}]) as weir:
            assert weir.ask().status == 200
            for status in statuses(weir):
                assert status["uid"] == {str(nobody.pw_uid)} and status["gid"] == {str(nobody.pw_gid)}
                assert "0" not in status["groups"]
                assert status["permitted"] == status["bounding"] == 0 and status["no_new_privs"] and status["seccomp"]
            assert process(weir)["user"] == "nobody"
            assert (shared.own / "sessions").stat().st_uid == nobody.pw_uid
            wait_for(lambda: log.exists() and log.stat().st_size > 0, "a line of the access log")
            assert log.stat().st_uid == nobody.pw_uid
            log.rename(shared.own / "access.log.1")  # as logrotate does
            weir.process.send_signal(signal.SIGUSR1)
            wait_for(log.exists, "the log to be there again")
            assert weir.ask("/again").status == 200
            wait_for(lambda: "/again" in log.read_text(), "a line in it")


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_a_listener_that_root_has_bound_moves_to_another_address_of_its_port():
    """And one that it has bound itself; sockets of two users cannot have a port in common."""
    with Upstream() as upstream, Weir(upstream, process={"user": "nobody"}, log={"access": "off"}) as weir:
        config = json.loads(weir.config_path.read_text())
        for address in (f"0.0.0.0:{weir.port}", f"127.0.0.1:{weir.port}", f"0.0.0.0:{weir.port}"):
            config["listeners"][0]["address"] = address
            answer = weir.admin("/api/v1/config", "PUT", headers={"If-Match": "*"}, body=json.dumps(config))
            assert answer.status == 200 and json.loads(answer.text)["result"] == "reloaded", answer.text
            assert weir.ask().status == 200
        with socket.create_connection(("127.0.0.2", weir.port), 10):
            pass


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_a_number_will_do_and_a_low_port_stays_possible():
    port = next(p for p in range(1023, 600, -1) if is_free(p))
    with Upstream() as upstream, Weir(upstream, process={"user": "54321"}, log={"access": "off"},
                                      listener={"address": f"127.0.0.1:{port}"}) as weir:
        with socket.create_connection(("127.0.0.1", port), 10) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        for status in statuses(weir):
            assert status["uid"] == status["gid"] == {"54321"} and status["groups"] == ["54321"]
            assert status["permitted"] == status["effective"] == NET_BIND_SERVICE
        assert process(weir)["capabilities"] == "net_bind_service" and process(weir)["user"] == "54321"


def is_free(port):
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.mark.skipif(not IS_ROOT, reason="only root may become somebody else")
def test_what_the_user_cannot_write_is_said():
    with tempfile.TemporaryDirectory(prefix="weir-sandbox-") as room:  # root's, 0700
        said = refused(process={"user": "nobody"}, log={"access": f"{room}/access.log"})
        assert "log.access: cannot write to" in said and "Permission denied" in said


@pytest.mark.skipif(not has_landlock(), reason="no Landlock here")
@pytest.mark.parametrize("names", ["an-include", "a-file-of-text", "a-certificate"])
def test_a_reload_that_names_a_file_elsewhere_hears_why_it_cannot_be_read(names):
    """And not that permission is denied, which sends whoever reads it to look at the file's mode."""
    with Upstream() as upstream, Weir(upstream) as weir, certs.Authority() as authority:
        elsewhere = str(authority.home)
        for name, text in (("more.yaml", "log: {level: debug}\n"), ("text", "debug")):
            (authority.home / name).write_text(text)
        certificate, key = authority.sign("localhost")
        config = json.loads(weir.config_path.read_text())
        if names == "an-include":
            config["include"] = f"{elsewhere}/more.yaml"
        elif names == "a-file-of-text":
            config["node"] = {"zone": f"${{file:{elsewhere}/text}}"}
        else:
            config["listeners"].append({**config["listeners"][0], "name": "tls", "address": f"127.0.0.1:{free_port()}",
                                        "tls": {"certificate": certificate, "key": key}})
        weir.config_path.write_text(json.dumps(config))
        answer = weir.admin("/api/v1/reload", "POST")
        said = json.loads(answer.text)["message"]
        assert answer.status in (400, 409, 422, 500), answer.text
        assert "outside of the folders" in said and "process.sandbox" in said and elsewhere in said + answer.text, said
        assert "Permission denied" not in answer.text
        assert weir.ask().status == 200
        # One that is not there is said to be just that.
        config = json.loads(weir.config_path.read_text().replace(elsewhere, str(weir.config_path.parent)))
        weir.config_path.write_text(json.dumps(config))
        assert "No such file" in weir.admin("/api/v1/reload", "POST").text
