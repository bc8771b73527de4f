# SPDX-License-Identifier: Apache-2.0
"""`weir events`: a real gateway's list, and a stream that a peer cuts, resumes and spoils."""
import contextlib
import json
import os
import re
import subprocess
import threading

import weirtest
from weirtest import WEIR, Upstream, Weir, wait_for


def run(*words):
    return subprocess.run([str(WEIR), "events", *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "WEIR_ADMIN_TOKEN": ""})


def test_list_and_filters():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask().status == 200
        admin = f"127.0.0.1:{weir.admin_port}"
        lines = run("--admin", admin).stdout.splitlines()
        added = [line for line in lines if " connection_added " in line and " pool=up " in line]
        assert len(added) == 1 and re.match(r"\d{4}-\d\d-\d\dT\S+Z connection_added ", added[0])
        assert f" key={upstream.url}" in added[0] and "failures" not in added[0]
        some = run("--admin", admin, "event=connection_*", "pool=up").stdout.splitlines()
        assert some == added
        assert not run("--admin", admin, "pool=other").stdout
        row = json.loads(run("--admin", admin, "-o", "json", "pool=up", "event=connection_added").stdout)
        assert row["event"] == "connection_added" and row["pool"] == "up"


def test_not_understood():
    assert run("pool").returncode == 2
    assert run("-o", "xml").returncode == 2
    assert run("--bogus").returncode == 2
    gone = run("-f", "--admin", f"127.0.0.1:{weirtest.free_port()}")
    assert gone.returncode == 1 and "refused" in gone.stderr


def event(number, **more):
    row = {"time": f"2026-01-01T00:00:00.{number:03}Z", "event": "connection_added", "pool": "up", **more}
    return f"id: {number}\nevent: connection_added\ndata: {json.dumps(row)}\n\n"


class Stream:
    """An admin interface that streams what `parts` says: one list of texts for each connection."""

    def __init__(self, parts, chunked=True):
        self.parts, self.chunked, self.heads = list(parts), chunked, []
        self.done = threading.Event()

    def script(self, peer):
        head = peer.head()
        if not head:
            return
        self.heads.append(head if isinstance(head, bytes) else str(head).encode())
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n")
        if not self.parts:
            self.done.wait(weirtest.DEADLINE)
            return
        for text in self.parts.pop(0):
            data = text.encode()
            peer.send(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)


@contextlib.contextmanager
def following(stream, *words):
    with Upstream(stream.script) as upstream:
        process = subprocess.Popen([str(WEIR), "events", "-f", "--admin", upstream.url.removeprefix("http://"), *words],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            stream.done.set()
            process.kill()
            process.communicate()


def test_follow_resumes_where_it_was():
    stream = Stream([[event(1) + event(2)[:30], event(2)[30:], ": a comment\n\n"], [event(3), "data: spoilt {\n\n", event(4)]])
    with following(stream) as process:
        lines = [process.stdout.readline() for _ in range(4)]
        assert [line.split()[0][-4:-1] for line in lines] == ["001", "002", "003", "004"]
        assert all(" connection_added pool=up\n" in line for line in lines)
        wait_for(lambda: len(stream.heads) >= 3, "it asks again")
    assert b"last-event-id" not in stream.heads[0].lower() and b"accept: text/event-stream" in stream.heads[0].lower()
    assert b"last-event-id: 2\r" in stream.heads[1].lower()
    assert b"last-event-id: 4\r" in stream.heads[2].lower()


def test_follow_filters_and_says_json():
    stream = Stream([[event(1) + event(2, pool="other") + event(3, key="\x1b[2J")]], chunked=False)
    with following(stream, "-o", "json", "pool=up") as process:
        assert [json.loads(process.stdout.readline())["time"][-4:-1] for _ in range(2)] == ["001", "003"]


def test_nothing_that_a_terminal_obeys():
    stream = Stream([[event(1, key="\x1b[2J\u009b2J"), event(2)]])
    with following(stream) as process:
        assert process.stdout.readline().endswith("key=?[2J?2J\n")


def test_no_stream():
    with Upstream() as upstream:
        done = run("-f", "--admin", upstream.url.removeprefix("http://"))
        assert done.returncode == 1 and "does not stream" in done.stderr
