# SPDX-License-Identifier: Apache-2.0
"""Disks that are full: of the access log, and of the journal of conversations, which is on a file system of its own, of a few
pages, that only the gateway and the test see."""
import contextlib
import errno
import json
import os
import pathlib
import subprocess

import pytest

from test_accounts import Api
from test_affinity import by_session, four, relay
from test_sessions import move
from weirtest import Upstream, Weir, wait_for

PAGES = 24
AT_FIRST, AT_MOST = 10, 300  # conversations


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk that is always full")
def test_the_disk_of_the_log_is_full():
    with Upstream() as upstream, Weir(upstream, log={"access": "/dev/full"}) as weir:
        for _ in range(50):
            assert weir.ask().status == 200
        wait_for(lambda: json.loads(weir.admin("/api/v1/process").text)["access_lines_dropped"] >= 50, "lines dropped and counted")
        assert weir.metric("weir_log_dropped_total", log="access") >= 50
        assert weir.metric("weir_log_dropped_total", log="program") == 0
        assert weir.ask().status == 200


class Disk:
    """A tmpfs of PAGES pages, mounted where nobody else sees it: `path` is its name for those in there (`inside`), and `seen`
    for the test."""

    def __init__(self, folder):
        self.path = folder
        script = f"mount -t tmpfs -o size={PAGES * 4}k,mode=700 weir {folder} && echo mounted && exec sleep infinity"
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
        self.holder = subprocess.Popen([*unshare, "sh", "-c", script], stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "mounted\n"
        self.inside = ["nsenter", "-t", str(self.holder.pid), *([] if os.geteuid() == 0 else ["--user"]), "--mount", "--root", "--wd", "--"]
        self.seen = pathlib.Path(f"/proc/{self.holder.pid}/root{folder}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.holder.kill()
        self.holder.wait()

    def fill(self):
        with open(self.seen / "filler", "ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"x" * 512)
        with pytest.raises(OSError) as full:
            (self.seen / "more").write_bytes(b"x")
        assert full.value.errno == errno.ENOSPC

    def free(self):
        (self.seen / "filler").unlink()


def can_mount():
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return subprocess.run([*unshare, "mount", "-t", "tmpfs", "weir", "/mnt"], check=False, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="nobody here may mount")
def test_the_disk_of_the_journal_is_full(tmp_path):
    """What was taken before is found again after kill -9; what comes then is in memory, which is said; nobody sees an error;
    and as soon as there is room all of it is on the disk."""
    with Disk(tmp_path) as disk, Api() as api:
        def gateway():
            return relay(api, *four(), sessions={"path": str(disk.path / "sessions")}, wrapper=disk.inside)

        def is_degraded():
            return weir.metric("weir_session_store_degraded") == 1

        def must_know(places):
            for n, place in places.items():
                assert by_session(weir, n) == (place, "hit", 200), n

        with gateway() as weir:
            kept = {n: move(api, weir, n)[1] for n in range(AT_FIRST)}
            disk.fill()
            late, n = {}, AT_FIRST
            while not is_degraded():
                kept.update(late)
                late = {n: move(api, weir, n)[1]}  # there may be room in the last page; this one may be the first without
                n += 1
                assert n < AT_MOST, "the disk is not full"
            for n in range(n, n + AT_FIRST):
                late[n] = move(api, weir, n)[1]
            must_know({**kept, **late})
            assert is_degraded() and weir.admin("/readyz").status == 200
            weir.kill()
        with gateway() as weir:
            assert weir.metric("weir_session_recovered_total", result="recovered") >= len(kept)
            must_know(kept)
            late = {n: move(api, weir, n)[1] for n in range(AT_MOST, AT_MOST + 50)}
            wait_for(is_degraded, "it to be said")
            must_know({**kept, **late})
            disk.free()
            wait_for(lambda: not is_degraded(), "the journal to be whole")
            weir.kill()
        with gateway() as weir:
            must_know({**kept, **late})
            print(f"{len(kept)} taken before, {len(late)} while it was full: all found again after kill -9")
