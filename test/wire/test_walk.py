# SPDX-License-Identifier: Apache-2.0
"""What a new operator does with `weir demo`, and nothing read before: sees live traffic, finds the slow endpoint and drains it,
finds a conversation and why it is where it is, sees an alert fire and clear. Once in a browser, once on a terminal. The demo has
its first rush after 20 seconds. Pictures are in BUILD/walk/."""
import json
import os
import pathlib
import queue
import re
import subprocess
import threading
import urllib.request

import pytest

from browser import Browser
from test_cli import Demo
from test_dashboard import button, confirm, says
from test_top import Terminal
from weirtest import ROOT, WEIR, wait_for

PICTURES = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "walk"
LONG = 180  # seconds: a rush of 15, the alerts' window of 30, and a slow machine


@pytest.fixture(name="demo")
def running():
    with Demo("--port", "0", "--tls-port", "0", "--admin-port", "0", "--visitors", "20") as demo:
        demo.admin = f"127.0.0.1:{demo.port('admin')}"
        demo.tired = "127.0.0.1:" + re.search(r"(\d+) \(plain; the last is tired\)", demo.text)[1]
        yield demo


def get(demo, path):
    with urllib.request.urlopen(f"http://{demo.admin}/api/v1/{path}", timeout=20) as answer:
        return json.load(answer)


def firing(demo):
    return [row for row in get(demo, "alerts")["alerts"] if row["state"] == "firing"]


def told(demo):
    return {(e["event"], e["what"], e["pool"]) for e in get(demo, "events")["events"] if e["event"].startswith("alert_")}


def judge_alerts(demo):
    """What fired has cleared, and both are events."""
    cleared = {row["alert"]: row for row in get(demo, "alerts")["alerts"] if row["fired"] > 0}
    assert cleared["pool_utilization"]["pool"] == "slow" and cleared["error_rate"]["fired"] >= 1
    for what, pool in (("pool_utilization", "slow"), ("error_rate", None)):
        assert {("alert_firing", what, pool), ("alert_cleared", what, pool)} <= told(demo)


def test_in_a_browser(demo):
    with Browser() as browser, browser.page() as page:
        page.colours("light")
        page.open(f"http://{demo.admin}/")
        page.until("/^[1-9]/.test(document.querySelector('.tile .value')?.innerText)", "requests a second")
        seconds = page.run("performance.now()") / 1000
        print(f"live traffic {seconds:.1f} s after the page began")
        assert seconds < 2 + 3, "two seconds, and a machine that pauses"
        page.picture(PICTURES / "1-traffic.png")

        slowest = ("[...document.querySelectorAll('table')].find(t => t.innerText.includes('Actions'))"
                   ".innerText.match(/plain . [\\d.:]+/g)[0]")
        page.until(f"{slowest}.endsWith('{demo.tired}')", "the tired one to be the slowest of its upstream")
        page.picture(PICTURES / "2-slowest.png")
        # Rows change places meanwhile: it is found and clicked at once.
        page.until(f"(() => {{ const e = {button(f'Drain plain/{demo.tired}')}; if (e) e.click(); return !!e; }})()", "its button")
        confirm(page, "it is tired")
        page.until(button(f"Ready plain/{demo.tired}"), "its end")
        page.picture(PICTURES / "3-drained.png")
        modes = {row["endpoint"]: row["mode"] for row in get(demo, "endpoints")["endpoints"]}
        assert modes[demo.tired] == "drain" and list(modes.values()).count("drain") == 1

        page.click("[...document.querySelectorAll('nav a')].find(a => a.innerText.includes('Sessions'))")
        page.click("document.querySelector('.page.sessions tbody a')")
        says(page, "It is bound to account spare")
        page.picture(PICTURES / "4-session.png")

        page.click("[...document.querySelectorAll('nav a')].find(a => a.innerText.includes('Overview'))")
        page.until("/[1-9] alerts?/.test(document.querySelector('a.alarm')?.innerText)", "an alert in the head of the page", LONG)
        page.until("/pool utilization of slow/.test(document.querySelector('main').innerText)", "its name")
        page.picture(PICTURES / "5-firing.png")
        assert {"pool_utilization"} <= {row["alert"] for row in firing(demo)} | {what for _, what, _ in told(demo)}
        page.until("!document.querySelector('a.alarm') && /Cleared:.*error rate/.test(document.querySelector('main').innerText)",
                   "all clear", LONG)
        assert not firing(demo)
        page.picture(PICTURES / "6-cleared.png")
        page.click("[...document.querySelectorAll('nav a')].find(a => a.innerText.includes('Events'))")
        says(page, "alert firing", "alert cleared", "it is tired")
        page.picture(PICTURES / "7-events.png")
        assert not page.complaints, page.complaints
    judge_alerts(demo)


def weir(demo, *words):
    done = subprocess.run([str(WEIR), *words, "--admin", demo.admin], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


class Followed:
    """`weir events -f`, its lines as they come."""

    def __init__(self, demo):
        self.process = subprocess.Popen([str(WEIR), "events", "-f", "event=alert_*", "--admin", demo.admin],
                                        stdout=subprocess.PIPE, text=True, env=dict(os.environ, LC_ALL="C.UTF-8"))
        self.lines = queue.Queue()
        threading.Thread(target=lambda: [self.lines.put(line) for line in self.process.stdout], daemon=True).start()

    def until(self, *words):
        while True:
            line = self.lines.get(timeout=LONG)
            if all(word in line for word in words):
                return line

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait(20)


def test_on_a_terminal(demo, tmp_path):
    with Followed(demo) as events:
        terminal = Terminal(tmp_path)
        try:
            terminal.top(demo.admin)
            terminal.shows(r"^[1-9][\d.]* req/s")
            PICTURES.mkdir(parents=True, exist_ok=True)
            (PICTURES / "top.txt").write_text(terminal.text())
            terminal.keys("q")
        finally:
            terminal.close()

        def slowest():
            rows = [line.split() for line in weir(demo, "profile", "plain").splitlines() if line.startswith("127.")]
            return max(rows, key=lambda row: float(row[-2]))[0]
        wait_for(lambda: slowest() == demo.tired, "the slow endpoint", every=0.5)
        weir(demo, "endpoint", f"plain/{demo.tired}", "drain", "--reason", "it is tired")
        (row,) = [line.split() for line in weir(demo, "show", "endpoints").splitlines() if demo.tired in line]
        assert row[:2] == ["plain", demo.tired] and "drain" in row

        found = wait_for(lambda: [line.split()[0] for line in weir(demo, "show", "sessions", "account=spare").splitlines()[1:]],
                         "a conversation that has moved", every=0.5)
        why = weir(demo, "explain", found[0])
        assert "is bound to account spare" in why and "small is " in why and "spare is " in why
        # Small is cooling whenever something has moved from it, and asked again from time to time.
        wait_for(lambda: "small is cooling" in weir(demo, "explain", found[0]), "the reason", every=0.5)

        events.until("alert_firing", "pool_utilization", "slow")
        events.until("alert_cleared", "pool_utilization", "slow")
        events.until("alert_cleared", "error_rate")
        assert "firing" not in re.sub(r"^alert .*", "", weir(demo, "show", "alerts"))
    judge_alerts(demo)
