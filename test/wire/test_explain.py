# SPDX-License-Identifier: Apache-2.0
"""`weir explain`, of a key and of a request; `weir show`, at a terminal."""
import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios

import pytest

from test_accounts import Api
from test_affinity import KEYS, by_session, four, relay
from weirtest import WEIR, Upstream, Weir


def run(weir, *words):
    return subprocess.run([str(WEIR), "explain", *words, "--admin", f"127.0.0.1:{weir.admin_port}"], capture_output=True,
                          text=True, timeout=60, check=False)


def test_explain():
    with Upstream() as upstream, Weir(upstream) as weir:
        for _ in range(2):
            assert weir.ask().status == 200
        done = run(weir, upstream.url)
        assert done.returncode == 0 and "pool up, worker " in done.stdout, done.stderr
        assert done.stdout.count("\n  ") > 1 and "reuse" in done.stdout
        rows = json.loads(run(weir, upstream.url, "-o", "json", "--pool", "up").stdout)["explained"]
        assert rows and all(row["pool"] == "up" for row in rows) and any(row["known"] for row in rows)
        request = run(weir, "--path", "/a b", "--host", "h.test", "--method", "POST")
        lines = {line.split()[0]: line for line in request.stdout.splitlines() if not line.startswith(" ")}
        assert request.returncode == 0 and lines["upstream"].split() == ["upstream", "up"]
        assert f"endpoint=127.0.0.1:{upstream.port}" in request.stdout
        reasons = request.stdout.partition("\nreasons\n")[2].splitlines()
        assert len(reasons) > 1 and all(line.strip() for line in reasons)
        assert json.loads(run(weir, "--path", "/", "-o", "json").stdout)["upstream"] == "up"
        for words in ((), (upstream.url, "more"), (upstream.url, "--path", "/"), ("--pool", "up"), ("--path", "/", "-o", "x")):
            assert run(weir, *words).returncode == 2, words
        assert run(weir, "no key").returncode == 1


def test_a_conversation():
    with Api() as api, relay(api, *four()) as weir:
        homes = {number: by_session(weir, number)[0] for number in range(KEYS)}
        api.says(homes[0], 429, "Retry-After: 600\r\n")  # some conversations are there, and go
        left = homes[0].removeprefix("k-")
        for number in range(KEYS):
            assert by_session(weir, number)[2] == 200
        rows = json.loads(weir.admin("/api/v1/sessions").text)["sessions"]
        assert rows
        for row in rows:
            others = [one["id"] for one in rows if one is not row]
            short = next(row["id"][:n] for n in range(1, 33) if not any(one.startswith(row["id"][:n]) for one in others))
            said = run(weir, short).stdout
            assert f"session  {row['id']} of upstream up" in said and f"is bound to account {row['account']} " in said
            assert f"{left} is cooling" in said and said.count(" is ready: ") == 3
            told = json.loads(run(weir, row["id"], "-o", "json").stdout)
            assert told["session"]["id"] == row["id"] and len(told["accounts"]) == 4
            assert all(row["id"].startswith(move["session"]) and move["from"] == left for move in told["moves"])
        moved = [row for row in rows if json.loads(run(weir, row["id"], "-o", "json").stdout)["moves"]]
        assert moved and f"from {left} to " + moved[0]["account"] in run(weir, moved[0]["id"]).stdout
        assert "no record" in run(weir, "fffffffffffffffffffffffffffffffff").stderr
        if len(rows) > 1:
            assert "several" in run(weir, "").stderr


def test_every_list_can_be_shown():
    """Each list of `weir show` is a page, and its columns are members of that page's rows, as the document says."""
    usage = subprocess.run([str(WEIR), "help", "show"], capture_output=True, text=True, timeout=60, check=True).stdout
    lists = usage.split()[2].split("|")
    assert {"alerts", "capacity", "generations", "pools"} <= set(lists)
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask().status == 200
        paths = json.loads(weir.admin("/api/v1/openapi.json").text)["paths"]
        for name in lists:
            done = subprocess.run([str(WEIR), "show", name, "--admin", f"127.0.0.1:{weir.admin_port}"], capture_output=True,
                                  text=True, timeout=60, check=False)
            assert done.returncode == 0, (name, done.stderr)
            described = json.dumps(paths[f"/api/v1/{name}"]["get"])
            for column in done.stdout.splitlines()[0].split():
                assert f'"{column}"' in described, (name, column)


def at_terminal(columns, *words):
    """What `weir show` writes to a terminal of so many columns."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen([str(WEIR), "show", *words], stdout=its) as process, os.fdopen(ours, "rb") as said:
        os.close(its)
        text = b""
        with contextlib.suppress(OSError):  # what Linux says of a terminal that nobody writes to any more
            while part := said.read1():
                text += part
        assert process.wait(60) == 0
    return text.decode().splitlines()


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_tables_fit_a_terminal(columns):
    """A line that is too long for the terminal goes on in the next, indented, in the headings as in each row: nothing is left
    out, and a pipe gets a line for each row."""
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.ask().status == 200
        for name in ("pools", "endpoints", "keys", "connections", "events", "alerts", "capacity"):
            where = ("--admin", f"127.0.0.1:{weir.admin_port}")
            fitted = at_terminal(columns, name, *where)
            assert max(map(len, fitted)) <= columns, name
            heading = [line.rstrip() for line in fitted[:next(n for n in range(1, 99) if not fitted[n].startswith("  "))]]
            piped = subprocess.run([str(WEIR), "show", name, *where], capture_output=True, text=True, timeout=60, check=True).stdout
            assert " ".join(heading).split() == piped.splitlines()[0].split(), name
            assert not any(line.startswith(" ") for line in piped.splitlines()), name
            assert [line.split()[0] for line in fitted if line[0] != " "] == [line.split()[0] for line in piped.splitlines()], name
        assert len(at_terminal(400, "pools", *where)) == 3  # the heading, up and listener:web


def test_what_an_event_is_about_is_shown():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert weir.admin("/api/v1/pools/up/pause", "POST", body=b'{"reason": "to see it"}').status == 200
        said = subprocess.run([str(WEIR), "show", "events", "--admin", f"127.0.0.1:{weir.admin_port}"], capture_output=True,
                              text=True, timeout=60, check=True).stdout.splitlines()
        changed = next(line for line in said if " changed " in line)
        at = said[0].index("what")
        assert said[0][at:].startswith("what ") and changed[at:].startswith("pause ")
