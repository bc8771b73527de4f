# SPDX-License-Identifier: Apache-2.0
"""`weir top` on a real terminal (tmux): what it shows, its keys, narrow and resized, and how it leaves."""
import contextlib
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

import weirtest
from weirtest import WEIR, Upstream, Weir, wait_for

LEFT = "weir-has-left"


class Terminal:
    """A pane of a tmux of its own, in which a shell is told to run `weir top`."""

    def __init__(self, tmp_path, width=100, height=30, term="screen-256color"):
        self.socket = str(tmp_path / "tmux")
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height),
                  f"env TERM={term} PS1='$ ' LC_ALL=C.UTF-8 WEIR_ADMIN_TOKEN= sh -i")
        wait_for(lambda: "$" in self.text(), "the shell")

    def tmux(self, *words):
        return subprocess.run(["tmux", "-S", self.socket, "-f", "/dev/null", *words], capture_output=True, text=True,
                              check=True, timeout=weirtest.DEADLINE,
                              env={k: v for k, v in os.environ.items() if k != "TMUX"}).stdout

    def text(self):
        return self.tmux("capture-pane", "-p")

    def lines(self):
        return self.text().splitlines()

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def top(self, admin, *words):
        """stty says afterwards whether the terminal is as it was."""
        command = shlex.join([str(WEIR), "top", "--admin", admin, *words])
        self.keys("-l", f"stty -g | md5sum; {command}; echo {LEFT[:5]}''{LEFT[5:]} $?; stty -g | md5sum")
        self.keys("Enter")

    def shows(self, *patterns):
        def seen():
            text = self.text()
            return all(re.search(pattern, text, re.M) for pattern in patterns)
        try:
            wait_for(seen, f"{patterns} on the terminal")
        except BaseException:
            print(self.text(), file=sys.stderr)
            raise

    def left(self):
        """Whether all is as it was before: the shell's text, the terminal's modes. And the exit status."""
        self.shows(rf"^{LEFT} \d+\n[0-9a-f]{{32}}")
        text = self.text()
        assert "req/s" not in text, "the other screen is still there"
        sums = re.findall(r"^([0-9a-f]{32})", text, re.M)
        assert len(sums) == 2 and sums[0] == sums[1], "stty says otherwise"
        return int(re.search(rf"^{LEFT} (\d+)", text, re.M)[1])

    def child(self):
        """The pid of weir, which the shell runs."""
        shell = int(self.tmux("display-message", "-p", "#{pane_pid}"))
        for path in pathlib.Path(f"/proc/{shell}/task/{shell}").glob("children"):
            pids = path.read_text().split()
            return int(pids[0]) if pids else None
        return None

    def close(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            self.tmux("kill-server")


@pytest.fixture
def terminal(tmp_path):
    made = Terminal(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def gateway():
    with Upstream() as upstream, Upstream() as other:
        ports = {"port": weirtest.free_port(), "admin": weirtest.free_port()}
        routes = [{"match": {"path": "/b"}, "upstream": "beta"}, {"upstream": "alpha"}]
        config = {"admin": {"address": f"127.0.0.1:{ports['admin']}"}, "log": {"access": "off"},
                  "listeners": [{"name": "web", "address": f"127.0.0.1:{ports['port']}", "routes": routes}],
                  "upstreams": [{"name": "alpha", "endpoints": [{"url": upstream.url}, {"url": other.url}]},
                                {"name": "beta", "endpoints": [{"url": other.url}]}]}
        with Weir(config=config, ports=ports) as weir:
            weir.where = f"127.0.0.1:{weir.admin_port}"
            yield weir


def row_of(terminal, name):
    for line in terminal.lines():
        if re.match(rf"[ !X?] {name} ", line):
            return line.split()
    return None


def test_what_it_shows(terminal, gateway):
    for _ in range(3):
        assert gateway.ask("/a").status == 200
    terminal.top(gateway.where, "--every", "250ms")
    terminal.shows(r"^weir \S+ on \S+  serving", "^all 3 pools healthy", r"connections \d+ of 200", r"waiting 0",
                   r"^  POOL by rate +REQ/S", r"^  alpha .*/100", r"^  beta .*/100",
                   r"^  listener:web .*/1000", "^  EVENTS", "connection_added alpha http://127.0.0.1", "q quit")
    # Requests are seen as a rate, where they go to, as long as they come.
    wanted = (r"^[1-9][\d.]* req/s|^0\.[1-9] req/s", r"p99 [\d.]+m?s", r"reuse [1-9]\d*\.\d%")

    def seen():
        assert gateway.ask("/b").status == 200
        text, row = terminal.text(), row_of(terminal, "beta")
        return row and row[1] not in ("-", "0.0") and all(re.search(pattern, text, re.M) for pattern in wanted)

    wait_for(seen, "a rate")
    terminal.keys("q")
    assert terminal.left() == 0


def test_keys(terminal, gateway):
    terminal.top(gateway.where, "--every", "250ms")
    terminal.shows("POOL by rate", "^  alpha ")
    terminal.keys("s", "s", "s", "s")
    terminal.shows("POOL by name")

    def names():
        return [line.split()[0] for line in terminal.lines() if re.match(r"  (alpha|beta|listener:web) ", line)]
    wait_for(lambda: names() == ["alpha", "beta", "listener:web"], "them in that order")
    terminal.keys("Up", "Up")
    wait_for(lambda: len(re.findall(r"^  127\.0\.0\.1:\d+ +up ", terminal.text(), re.M)) == 2, "alpha's endpoints")
    terminal.keys("j")
    wait_for(lambda: len(re.findall(r"^  127\.0\.0\.1:\d+ +up ", terminal.text(), re.M)) == 1, "beta's endpoint")
    terminal.keys("?")
    terminal.shows("sort by the next column", "every 250ms")
    terminal.keys("-")
    terminal.shows("every 500ms")
    terminal.keys("?")
    wait_for(lambda: "sort by the next" not in terminal.text(), "the help is gone")
    terminal.keys("p")
    terminal.shows("PAUSED")
    terminal.keys("p")
    wait_for(lambda: "PAUSED" not in terminal.text(), "it goes on")
    terminal.keys("q")
    assert terminal.left() == 0


def test_narrow_and_resized(terminal, gateway):
    terminal.top(gateway.where, "--every", "250ms")
    terminal.shows(r"POOL by rate .*IN USE .*ERR%")
    terminal.tmux("resize-window", "-x", "40", "-y", "20")
    terminal.shows(r"^  POOL by rate +REQ/S +CONNS  WAIT$", r"^  alpha .*/100 +\d+$", r"^connections \d+ of 200")
    assert all(len(line) <= 40 for line in terminal.lines())
    for name in ("alpha", "beta"):
        assert row_of(terminal, name)
    terminal.tmux("resize-window", "-x", "130", "-y", "40")
    terminal.shows("POOL by rate .*IN USE .*ERR% .*P99 .*P50 HEALTH")
    terminal.tmux("resize-window", "-x", "3", "-y", "2")
    terminal.tmux("resize-window", "-x", "80", "-y", "24")
    terminal.shows("POOL by rate .*IN USE")
    terminal.keys("q")
    assert terminal.left() == 0


def test_a_pool_that_is_unavailable(terminal):
    """It is said first; and of an event what it is about."""
    with Weir(upstream_pool={"failures_max": 1}) as weir:
        assert weir.ask().status in (502, 503)
        terminal.top(f"127.0.0.1:{weir.admin_port}", "--every", "250ms")
        assert weir.admin("/api/v1/pools/up/pause", "POST", body=b"{}").status == 200
        terminal.shows(r"up is unavailable: ", r"^X up ", r"^  [\d:]{8} changed pause up$")
        terminal.keys("q")
        assert terminal.left() == 0


@pytest.mark.parametrize("how", ["C-c", "TERM", "HUP", "ABRT", "SEGV"])
def test_the_terminal_is_as_it_was(terminal, gateway, how):
    terminal.top(gateway.where)
    terminal.shows("POOL by rate")
    if how.startswith("C-"):
        terminal.keys(how)
    else:
        subprocess.run(["kill", f"-{how}", str(terminal.child())], check=True)
    if how in ("ABRT", "SEGV"):
        assert terminal.left() != 0  # what sanitizers say of it is theirs
    else:
        assert terminal.left() == 0


def test_a_gateway_that_comes_and_goes(terminal):
    port = weirtest.free_port()
    terminal.top(f"127.0.0.1:{port}", "--every", "250ms")
    terminal.shows("^no answer: .*refused")
    terminal.keys("q")
    assert terminal.left() == 0


def test_an_answer_that_never_comes_does_not_hold_the_keyboard(terminal):
    with Upstream(lambda peer: peer.head() and peer.recv()) as upstream:
        terminal.top(upstream.url.removeprefix("http://"))
        terminal.shows("asking the gateway")
        terminal.keys("?")
        terminal.shows("sort by the next column")
        terminal.keys("q")
        assert terminal.left() == 0


def test_no_terminal(gateway):
    done = subprocess.run([str(WEIR), "top", "--admin", gateway.where], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False, timeout=60)
    assert done.returncode == 1 and "no terminal" in done.stderr
    assert subprocess.run([str(WEIR), "top", "--every", "1ms"], capture_output=True, check=False).returncode == 2


def test_an_unknown_terminal(tmp_path, gateway):
    terminal = Terminal(tmp_path, term="no-such-terminal")
    try:
        terminal.top(gateway.where)
        terminal.shows("this kind of terminal .* is not known")
    finally:
        terminal.close()
