# SPDX-License-Identifier: Apache-2.0
"""`weir bench`: what it counts, and that its open loop shows what a closed one hides."""
import json
import re
import subprocess
import time
import xml.etree.ElementTree

import pytest

import certs
import weirtest
import wsraw
from weirtest import WEIR, Upstream, Weir, serve_ok


def run(*words):
    return subprocess.run([str(WEIR), "bench", *words], capture_output=True, text=True, timeout=120, check=False)


def bench(*words):
    done = run(*words, "--json")
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    for target in told["targets"]:
        assert sum(count for _, count in target["histogram_us"]) == \
            target["answered"] + target["errors"] + target["unanswered"]
    return told


class Stalling:
    """Answers at once, but for one request, which takes its time, and all others behind it."""

    def __init__(self, number, seconds):
        self.number, self.seconds, self.seen = number, seconds, 0

    def script(self, peer):
        while peer.request() is not None:
            self.seen += 1
            if self.seen == self.number:
                time.sleep(self.seconds)  # what is measured
            peer.ok()


def test_the_open_loop_shows_what_the_closed_one_hides():
    quantiles = {}
    for name, words in (("closed", []), ("open", ["--rate", "40"])):
        stall = Stalling(30, 1.5)
        with Upstream(stall.script) as upstream:
            told = bench(upstream.url, "--connections", "1", "--for", "3s", "--warm", "0", *words)
        target = told["targets"][0]
        assert told["loop"] == name and target["errors"] == 0 and target["answered"] > 60
        assert target["latency_us"]["max"] >= 1_400_000
        quantiles[name] = target["latency_us"]
    # Half of the open loop's requests were due while it stalled; of the closed one's one was under way.
    assert quantiles["open"]["p75"] > 300_000
    assert quantiles["closed"]["p95"] < quantiles["open"]["p75"]


def test_open_loop_keeps_its_rate():
    with Upstream() as upstream:
        told = bench(upstream.url, "--rate", "100", "--for", "1s", "--warm", "0", "--connections", "4")
        target = told["targets"][0]
        assert target["sent"] == target["answered"] == 100 and target["status"] == {"2xx": 100}
        assert upstream.requests == 100


def test_what_it_sends():
    with Upstream() as upstream:
        bench(f"{upstream.url}/a?b", "--method", "PUT", "--body", "hello", "-H", "X-One: 1", "--header=X-Two:2",
              "--for", "100ms", "--warm", "0", "--connections", "1")
        text = upstream.bytes
        assert text.startswith(b"PUT /a?b HTTP/1.1\r\n") and b"\r\n\r\nhello" in text
        assert b"X-One: 1\r\n" in text and b"X-Two: 2\r\n" in text


def test_errors_and_statuses():
    def script(peer):
        if peer.request():
            peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        if peer.request():
            peer.reset()

    with Upstream(script) as upstream:
        target = bench(upstream.url, "--method", "POST", "--for", "2s", "--warm", "0", "--connections", "1")["targets"][0]
        assert target["status"]["4xx"] == target["answered"] > 0
        assert target["errors"] > 0 and sum(target["errors_by"].values()) == target["errors"]
    gone = run(f"http://127.0.0.1:{weirtest.free_port()}/", "--for", "200ms", "--warm", "0")
    assert gone.returncode == 1


def test_what_is_not_answered_counts():
    with Upstream(lambda peer: peer.request() and peer.recv()) as upstream:
        done = run(upstream.url, "--rate", "20", "--for", "500ms", "--warm", "0", "--timeout", "500ms",
                   "--connections", "2", "--json")
        target = json.loads(done.stdout)["targets"][0]
        assert done.returncode == 1 and target["answered"] == 0
        assert target["sent"] == target["errors"] + target["unanswered"] > 0
        assert target["latency_us"]["p50"] > 100_000


def test_http2_and_tls():
    with certs.Authority() as authority, Upstream() as upstream:
        certificate, key = authority.sign("127.0.0.1")
        with Weir(upstream, listener={"tls": {"certificate": certificate, "key": key}}) as weir:
            words = (f"https://127.0.0.1:{weir.port}/", "--for", "300ms", "--warm", "0", "--connections", "4")
            target = bench(*words, "--http2", "--insecure")["targets"][0]
            assert target["answered"] > 0 and target["errors"] == 0
            assert weir.metric("weir_http2_connections_total", listener="web") >= 1
            stranger = run(*words)
            assert stranger.returncode == 1 and "trusted authority" in stranger.stdout


@pytest.mark.parametrize("how", [[], ["--rate", "50"]])
def test_websocket(how):
    with wsraw.upstream(wsraw.echo) as upstream:
        target = bench(upstream.url.replace("http", "ws"), "--for", "2s", "--warm", "0", "--connections", "3",
                       "--message", "1KiB", *how)["targets"][0]
        assert upstream.accepted == 3 and target["errors"] == target["unanswered"] == 0
        assert target["sent"] == target["answered"] and (target["answered"] == 100 if how else target["answered"] > 3)
        assert len(upstream.bytes) > 1024 * target["answered"]


def test_websocket_over_http2():
    with wsraw.upstream(wsraw.echo) as upstream, Weir(upstream) as weir:
        told = bench(f"ws://127.0.0.1:{weir.port}/", "--http2", "--for", "300ms", "--warm", "0", "--connections", "3")
        assert told["http2"] and told["targets"][0]["answered"] > 0 and told["targets"][0]["errors"] == 0
        assert weir.metric("weir_http2_connections_total", listener="web") >= 1


def test_websocket_that_leaves():
    def script(ws):
        ws.frame()
        ws.peer.reset()

    with wsraw.upstream(script) as upstream:
        done = run(upstream.url.replace("http", "ws"), "--for", "300ms", "--warm", "0", "--connections", "2", "--json")
        target = json.loads(done.stdout)["targets"][0]
        assert done.returncode == 1 and target["answered"] == 0 and target["errors"] >= 2


def test_two_targets_take_turns(tmp_path):
    order, picture = [], tmp_path / "latency.svg"

    def named(name, seconds):
        def script(peer):
            while peer.request() is not None:
                if order[-1:] != [name]:
                    order.append(name)
                time.sleep(seconds)
                peer.ok()
        return script

    with Upstream(named("a", 0)) as one, Upstream(named("b", 0.05)) as two:
        told = bench(one.url, "--vs", two.url, "--rounds", "3", "--for", "400ms", "--warm", "0", "--connections", "1",
                     "--svg", str(picture))
    assert order == ["a", "b", "a", "b"]  # a b, b a, a b
    assert [len(target["rounds"]) for target in told["targets"]] == [3, 3]
    assert told["ratios"]["p50"]["median"] > 1
    assert told["targets"][1]["latency_us"]["p50"] >= 50_000
    svg = xml.etree.ElementTree.parse(picture).getroot()
    lines = [e for e in svg.iter() if e.tag.endswith("polyline")]
    assert len(lines) == 2 and "stroke-dasharray" in lines[1].attrib
    assert "nan" not in picture.read_text()


def test_text():
    with Upstream(serve_ok) as upstream:
        done = run(upstream.url, "--for", "200ms", "--warm", "0")
    assert done.returncode == 0 and "HTTP/1.1, closed loop: 16 callers" in done.stdout
    assert re.search(r"^  answers   \d+, [\d.]+ a second; 2xx \d+$", done.stdout, re.M)
    assert re.search(r"^  latency   p50 \S+  p75 .* max \S+$", done.stdout, re.M)
    assert re.search(r"^  to \S+ +#+ +\d+\.\d\d%$", done.stdout, re.M)
    assert "--rate N does not" in done.stdout
    assert "\r" not in done.stderr  # no progress where nobody looks


def test_progress_on_a_terminal():
    with Upstream(serve_ok) as upstream:
        done = subprocess.run(["script", "-qec", f"{WEIR} bench {upstream.url} --for 600ms --warm 0 --json >/dev/null",
                               "/dev/null"], capture_output=True, text=True, timeout=60, check=True)
        assert re.search(r"counting \d+s of 1s  \d+ answers", done.stdout)


@pytest.mark.parametrize("words", [[], ["ftp://x/"], ["http://x/", "--vs", "ws://x/"], ["http://x/", "--rate", "0"],
                                   ["http://x/", "--for", "soon"], ["http://x/", "-H", "none"], ["http://x/", "more"],
                                   ["http://x/", "--connections", "0"], ["http://x/", "--body", "@/no/such/file"]])
def test_not_understood(words):
    done = run(*words)
    assert done.returncode == 2 and done.stderr.startswith("weir bench: ")
