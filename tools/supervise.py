#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a service as its systemd unit says, where there is no systemd: in a root of its own, as its user,
with its folders, limits and capabilities, and again when it fails. SIGTERM stops it as systemd would.

    tools/supervise.py ROOT UNIT        UNIT is a path inside of ROOT

It knows what debian/weir.service says and refuses what it does not know. What only systemd can do (the
SANDBOX settings) it leaves alone; `systemd-analyze verify` and `security` judge those. A line per change
goes to stdout: started PID, ended STATUS, stopped STATUS; with Type=notify also what the service says of itself,
a line said WORDS for each message but the watchdog's.
"""
import ctypes
import os
import pathlib
import pwd
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time

SANDBOX = {"ProtectSystem", "ProtectHome", "ProtectClock", "ProtectControlGroups", "ProtectHostname", "ProtectKernelLogs",
           "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "PrivateDevices", "PrivateTmp", "RemoveIPC",
           "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "LockPersonality",
           "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber"}
KNOWN = {"Type", "NotifyAccess", "WatchdogSec", "ExecReload", "User", "Group", "EnvironmentFile", "ExecStart", "TimeoutStopSec", "Restart", "RestartSec", "LimitCORE",
         "LimitNOFILE", "StateDirectory", "StateDirectoryMode", "LogsDirectory", "LogsDirectoryMode", "RuntimeDirectory",
         "RuntimeDirectoryMode", "UMask", "AmbientCapabilities", "CapabilityBoundingSet", "NoNewPrivileges"}
FOLDERS = {"StateDirectory": "var/lib", "LogsDirectory": "var/log", "RuntimeDirectory": "run"}
LIMITS = {"LimitCORE": resource.RLIMIT_CORE, "LimitNOFILE": resource.RLIMIT_NOFILE}


def settings_of(text):
    """What stands in [Service], by name; a name may stand more than once."""
    found, section = {}, ""
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and line[0] not in "#;":
            name, _, value = line.partition("=")
            found.setdefault(name.strip(), []).append(value.strip())
    unknown = set(found) - KNOWN - SANDBOX
    if unknown:
        raise SystemExit(f"supervise: settings that are not known here: {', '.join(sorted(unknown))}")
    if found["Type"] not in (["exec"], ["notify"]) or found["Restart"] != ["on-failure"]:
        raise SystemExit("supervise: it knows Type=exec, Type=notify and Restart=on-failure")
    return {name: values[-1] for name, values in found.items()}


def users_of(root):
    """Names and numbers of the root's users, which are not this machine's."""
    lines = (root / "etc/passwd").read_text().splitlines()
    return {user.pw_name: user for user in (pwd.struct_passwd([*f[:2], int(f[2]), int(f[3]), *f[4:7]])
                                            for f in (line.split(":") for line in lines))}


class Service:
    def __init__(self, root, unit):
        self.root, self.process, self.stopping, self.notify = root, None, False, None
        self.main = 0  # the process that it is, as it says itself where another one takes over
        self.settings = settings_of((root / unit.lstrip("/")).read_text())
        self.user = users_of(root)[self.settings["User"]]

    def make_folders(self):
        for name, under in FOLDERS.items():
            folder = self.root / under / self.settings[name]
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(int(self.settings[f"{name}Mode"], 8))
            subprocess.run(["chown", f"{self.user.pw_uid}:{self.user.pw_gid}", folder], check=True)

    def environment(self):
        made = {**self.notified(), "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "USER": self.user.pw_name, "HOME": self.user.pw_dir}
        path = self.settings["EnvironmentFile"]
        file = self.root / path.lstrip("-/")
        if file.exists():
            made.update(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line and line[0] not in "#;")
        elif not path.startswith("-"):
            raise SystemExit(f"supervise: no {path}")
        return made

    def notified(self):
        """Where a service of Type=notify says how it is, inside of its root; heard by a thread."""
        if self.settings["Type"] != "notify":
            return {}
        if self.notify is None:
            self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            path = self.root / "run/notify"
            path.unlink(missing_ok=True)
            self.notify.bind(str(path))
            path.chmod(0o666)
            threading.Thread(target=self.hear, daemon=True).start()
        return {"NOTIFY_SOCKET": "/run/notify", "WATCHDOG_USEC": str(int(self.settings["WatchdogSec"]) * 1000000)}

    def hear(self):
        while True:
            words = self.notify.recv(4096).decode(errors="replace").split("\n")
            main = [re.fullmatch("MAINPID=([0-9]+)", word) for word in words]
            self.main = next((int(found[1]) for found in main if found), self.main)
            if words != ["WATCHDOG=1"]:
                print("said", " ".join(words), flush=True)

    def command(self):
        capability = "+" + self.settings["AmbientCapabilities"].removeprefix("CAP_").lower()
        bound = "+" + self.settings["CapabilityBoundingSet"].removeprefix("CAP_").lower()
        return ["chroot", self.root, "setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups",
                f"--bounding-set=-all,{bound}", f"--inh-caps=-all,{capability}", f"--ambient-caps=-all,{capability}",
                "--no-new-privs", *self.settings["ExecStart"].split()]

    def limit(self):
        for name, which in LIMITS.items():
            most = resource.getrlimit(which)[1]
            wanted = int(self.settings[name])
            wanted = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
            resource.setrlimit(which, (wanted, wanted))

    def start(self):
        self.make_folders()
        self.process = subprocess.Popen(self.command(), env=self.environment(), cwd=self.root, preexec_fn=self.limit,
                                        umask=int(self.settings["UMask"], 8))
        self.main = self.process.pid
        print(f"started {self.process.pid}", flush=True)

    def stop(self, *_):
        self.stopping = True
        os.kill(self.main, signal.SIGTERM)

    def wait(self):
        """The status of the main process, whichever that is by then; -signal where one ended it."""
        status = self.process.wait()
        while (pid := self.main) != self.process.pid:
            try:
                end = os.pidfd_open(pid)
            except ProcessLookupError:
                pass
            else:
                select.select([end], [], [])
                os.close(end)
            try:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            except ChildProcessError:  # whoever started it was there to hear of it
                status = 0
            if self.main == pid:
                break
        return status

    def run(self):
        signal.signal(signal.SIGTERM, self.stop)
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whoever takes over is a child of ours
        while True:
            self.start()
            status = self.wait()
            if self.stopping or status == 0:
                print(f"stopped {status}", flush=True)
                return status
            print(f"ended {status}", flush=True)
            time.sleep(float(self.settings["RestartSec"]))


if __name__ == "__main__":
    sys.exit(Service(pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]).run())
