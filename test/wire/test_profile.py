# SPDX-License-Identifier: Apache-2.0
"""`weir profile` and its page: where time went, seen where it was made to go."""
import json
import subprocess
import threading
import time
import xml.etree.ElementTree

import certs
import weirtest
from weirtest import WEIR, Upstream, Weir

PHASES = ("queue", "connect", "tls", "first_byte", "transfer")


def run(weir, *words):
    return subprocess.run([str(WEIR), "profile", *words, "--admin", f"127.0.0.1:{weir.admin_port}"], capture_output=True,
                          text=True, timeout=60, check=False)


def profile(weir, pool="up"):
    return json.loads(weir.admin(f"/api/v1/pools/{pool}/profile").text)


class Slow(Upstream):
    """/first: the first byte takes its time; /rest: the rest of the body does. It passes once the test has seen it begin."""

    def __init__(self):
        self.begun = threading.Event()
        super().__init__(self.answer)

    def answer(self, peer):
        while (got := peer.request()) is not None:
            path = got[0].split()[1].partition(b"?")[0]
            if path == b"/first":
                self.pass_time()
            if path != b"/rest":
                peer.ok()
                continue
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab")
            self.pass_time()
            peer.send("cd")

    def pass_time(self):
        assert self.begun.wait(weirtest.DEADLINE)
        self.begun.clear()
        time.sleep(0.3)  # what is measured


def test_where_time_went():
    with Slow() as upstream, Weir(upstream) as weir:
        upstream.begun.set()
        assert weir.ask("/first?secret=1").status == 200
        with weir.client() as client:
            client.get("/rest")
            while b"ab" not in client.buffer.partition(b"\r\n\r\n")[2]:
                assert client._more()
            upstream.begun.set()  # by then the gateway has its first byte
            assert client.response().status == 200
        assert weir.ask("/quick").status == 200
        told = profile(weir)
        slowest = {row["path"]: row for row in told["slowest"]}
        assert set(slowest) == {"/first", "/rest", "/quick"}  # without the query
        assert slowest["/first"]["first_byte"] >= 0.29 and slowest["/rest"]["transfer"] >= 0.29
        assert slowest["/rest"]["first_byte"] < slowest["/rest"]["transfer"]
        for row in told["slowest"]:
            assert abs(sum(row[phase] for phase in PHASES) - row["total"]) < 0.001
            assert row["endpoint"] == f"127.0.0.1:{upstream.port}" and row["status"] == 200 and row["account"] is None
        assert [row["total"] for row in told["slowest"]] == sorted((row["total"] for row in told["slowest"]), reverse=True)
        endpoint = told["endpoints"][0]
        assert endpoint["requests"] == 3 and endpoint["failed"] == 0
        assert abs(endpoint["transfer"] - sum(row["transfer"] for row in told["slowest"])) < 0.001


def test_queue():
    """One connection, two requests: the second one waits for the first."""
    with Slow() as upstream, Weir(upstream, workers=1, upstream_pool={"max_connections": 1}) as weir:
        with weirtest.Client(weir.port) as one, weirtest.Client(weir.port) as two:
            one.get("/first")
            weirtest.wait_for(lambda: upstream.requests == 1, "the first one is there")
            two.get("/quick")
            weirtest.wait_for(lambda: next(row for row in json.loads(weir.admin("/api/v1/pools").text)["pools"]
                                           if row["name"] == "up")["waiting"] == 1, "the second one to wait")
            upstream.begun.set()
            assert one.response().status == two.response().status == 200
        quick = next(row for row in profile(weir)["slowest"] if row["path"] == "/quick")
        assert quick["queue"] > 0.05 and quick["queue"] > quick["first_byte"] + quick["transfer"]


def test_tls_accounts_and_failures():
    with certs.Authority() as authority, Upstream() as upstream:
        certificate, key = authority.sign("127.0.0.1")
        with Weir(upstream, listener={"tls": {"certificate": certificate, "key": key}}) as secure:
            accounts = [{"name": "one", "headers": {"x-key": "1"}}]
            options = {"accounts": accounts, "tls": {"ca": str(authority.certificate)}}
            with Weir([f"https://127.0.0.1:{secure.port}"], upstream_options=options) as weir:
                assert weir.ask("/a").status == 200 and weir.ask("/b").status == 200
                told = profile(weir)
                assert told["accounts"][0]["name"] == "one" and told["accounts"][0]["requests"] == 2
                first = next(row for row in told["slowest"] if not row["reused"])
                assert first["tls"] > 0 and first["connect"] > 0 and first["account"] == "one"
                weirtest.wait_for(lambda: len(weir.access()) == 2, "the log")
                dialled = [line["ms"] for line in weir.access() if not line["reused"]]
                assert dialled[0]["tls"] > 0 and dialled[0]["connect"] > 0
                for row in told["slowest"]:
                    assert not row["reused"] or row["tls"] == row["connect"] == 0
    with Upstream(lambda peer: peer.request() and peer.reset()) as upstream, Weir(upstream) as weir:
        assert weir.ask("/x").status == 502
        assert profile(weir)["endpoints"][0]["failed"] == 1
        assert profile(weir)["slowest"][0]["status"] == 502 and profile(weir)["slowest"][0]["error"]


def test_the_command(tmp_path):
    with Upstream() as upstream, Weir(upstream) as weir:
        for _ in range(3):
            assert weir.ask("/quick").status == 200
        assert weir.ask("/%1b[2J<x>").status in (200, 400)
        done = run(weir, "up")
        lines = done.stdout.splitlines()
        assert done.returncode == 0 and lines[2].split()[:8] == ["endpoint", "requests", "failed", *PHASES]
        assert lines[3].split()[0] == f"127.0.0.1:{upstream.port}"
        assert sum(" GET /quick 200 " in line for line in lines) == 3
        assert "\x1b" not in done.stdout
        assert sum(" GET " in line for line in run(weir, "up", "--slowest", "1").stdout.splitlines()) == 1
        picture = tmp_path / "p.svg"
        told = json.loads(run(weir, "up", "-o", "json", "--svg", str(picture)).stdout)
        assert told["pool"] == "up"
        text = picture.read_text()
        assert "nan" not in text and "first_byte" in text
        xml.etree.ElementTree.fromstring(text)
        none = run(weir, "none")
        assert none.returncode == 1 and "there is no upstream" in none.stderr
        for words in ((), ("up", "more"), ("up", "-o", "xml"), ("up", "--slowest", "101")):
            assert run(weir, *words).returncode == 2
