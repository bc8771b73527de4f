# SPDX-License-Identifier: Apache-2.0
"""A gateway whose process is replaced by another one: the processes that took over from each other, and what is
started in their place."""
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

from weirtest import DEADLINE, WEIR, Weir, wait_for, yaml_of

PR_SET_CHILD_SUBREAPER = 36


class Upgraded(Weir):
    """The program behind a name of its own (`binary`), which may lead elsewhere by the next upgrade. It drains for
    `drain` seconds at most."""

    def __init__(self, *args, drain=2, binary=None, **options):
        # Whoever a process leaves behind is this one's child, so that its end can be waited for.
        assert ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
        self.folder = tempfile.TemporaryDirectory(prefix="weir-upgrade-")
        self.binary = pathlib.Path(self.folder.name) / "weir"
        self.binary.symlink_to(binary or WEIR)
        options["pool"] = {"drain_timeout": f"{drain}s", **(options.get("pool") or {})}
        self.passed = []  # the pids that are not the first one's
        self.path = None  # of the admin interface; else it is at a port
        super().__init__(*args, program=self.binary, **options)

    def __exit__(self, kind, *exc):
        try:
            super().__exit__(kind, *exc)
        finally:
            for pid in self.passed:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
            self.folder.cleanup()

    def replace(self, script):
        """What is started from now on: a shell's script, another program (a path), or nothing (None)."""
        new = self.binary.with_name("new")
        if script is None:
            self.binary.unlink()
            return
        if isinstance(script, str):
            file = self.binary.with_name(f"script-{time.monotonic_ns()}")
            file.write_text("#!/bin/sh\n" + script)
            file.chmod(0o755)
            script = file
        new.symlink_to(script)
        new.rename(self.binary)

    def configure(self, change):
        """The configuration as change(it) leaves it, for the next process."""
        config = json.loads(self.config_path.read_text())
        change(config)
        self.config_path.write_text(yaml_of(config))

    def process_page(self):
        return json.loads(self.admin("/api/v1/process").text)

    @property
    def pid(self):
        """Of the process that serves."""
        return self.passed[-1] if self.passed else self.process.pid

    def command(self, *words):
        """`weir upgrade`, as an operator runs it."""
        address = f"unix:{self.path}" if self.path else f"127.0.0.1:{self.admin_port}"
        return subprocess.run([str(WEIR), "upgrade", "--admin", address, *words],
                              capture_output=True, text=True, timeout=90)

    def admin(self, path, method="GET", headers=None, body=None):
        if self.path is None:
            return super().admin(path, method, headers, body)
        connection = http.client.HTTPConnection("localhost", timeout=DEADLINE)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        answer.text = answer.read().decode()
        connection.close()
        return answer

    def upgrade(self, *words, then=None):
        """One that succeeds; when it is over the old process may still drain. `then`: the admin interface is at that
        path from then on."""
        said = self.command("-o", "json", *words)
        assert said.returncode == 0, (said.stdout, said.stderr, self.text()[-6000:])
        answer = json.loads(said.stdout)
        before, self.path = self.pid, then or self.path
        self.passed.append(answer["pid"])
        assert self.process_page()["pid"] == answer["pid"] != before
        return answer

    def alone(self):
        """Until the process before this one has ended, and with 0."""
        wait_for(lambda: self.process_page()["predecessor"] is None, "the end of the one before")
        for pid in self.passed[:-1]:
            with contextlib.suppress(ChildProcessError):
                assert os.waitpid(pid, 0)[1] == 0, self.text()[-8000:]
        if self.passed:
            assert self.process.wait(DEADLINE) == 0, self.text()[-8000:]

    def stop(self, how=signal.SIGTERM, deadline=DEADLINE):
        if self.passed:
            self.alone()
            os.kill(self.pid, how)
            end = time.monotonic() + deadline
            pause = threading.Event()
            while (ended := os.waitpid(self.pid, os.WNOHANG)) == (0, 0) and time.monotonic() < end:
                pause.wait(0.01)
            assert ended == (self.pid, 0), (ended, self.text()[-8000:])
            self.passed.clear()
        super().stop(how, deadline)
