# SPDX-License-Identifier: Apache-2.0
"""The library's HTTP client against real servers, and its HTTP server under real clients (http_tool.c)."""
import asyncio
import contextlib
import gzip
import json
import os
import pathlib
import subprocess

import pytest

import peers
from serving import Tool
from weirtest import ROOT, Client

TOOL = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test/http_tool"
NO_MORE = {"bad": 0, "failed": 0}
BIG = 20_000_000


def pattern(count):
    return (b"abcdefghijklmnopqrstuvw" * (count // 23 + 1))[:count]


def ask(url, method="GET", body=0, at_once=1, times=1):
    done = subprocess.run([TOOL, "client", method, str(body), str(at_once), str(times), url],
                          capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return json.loads(done.stdout)


def expect(said, **wanted):
    got = {key: said[key] for key in {**NO_MORE, **wanted}}
    assert got == {**NO_MORE, **wanted}, said


# --- the client ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nginx():
    extra = """
        location = /there { return 302 /small; }
        location = /away { return 307 http://127.0.0.1:$server_port/small; }
        location = /round { return 302 /round; }
        location ~ packed { gzip_static always; }
        keepalive_timeout 30s 30s;"""
    files = {"small": pattern(6), "big": pattern(BIG), "packed.gz": gzip.compress(pattern(5_000_000))}
    with peers.nginx(files, extra) as server:
        yield server


def test_nginx_files(nginx):
    expect(ask(f"{nginx.url}/small", times=200), statuses={"200": 200}, bytes=1200, created=1, reused=199)
    expect(ask(f"{nginx.url}/big", at_once=4, times=8), statuses={"200": 8}, bytes=8 * BIG)
    expect(ask(f"{nginx.url}/big", "HEAD", times=3), statuses={"200": 3}, bytes=0, created=1)


def test_nginx_unpacked(nginx):
    expect(ask(f"{nginx.url}/packed", times=3), statuses={"200": 3}, bytes=15_000_000, created=1)


def test_nginx_redirects(nginx):
    expect(ask(f"{nginx.url}/there", times=5), statuses={"200": 5}, bytes=30, redirects=5, created=1)
    expect(ask(f"{nginx.url}/away", times=5), statuses={"200": 5}, bytes=30, redirects=5, created=1)
    said = ask(f"{nginx.url}/round")
    assert said["failed"] == 1 and said["last_err"] == "redirects"


def test_nginx_early_answers(nginx):
    """A body of twenty megabytes is refused before it was read."""
    said = ask(f"{nginx.url}/small", "POST", BIG, times=3)
    assert said["statuses"].get("405", 0) + said["failed"] == 3 and said["statuses"]["405"] >= 1


def test_a_host_gets_thirty_connections(nginx):
    said = ask(f"{nginx.url}/small", at_once=300, times=3000)
    expect(said, statuses={"200": 3000}, max_per_host=30)
    assert said["created"] <= 30 and said["total"] <= 30 and said["reused"] >= 2970


@pytest.mark.parametrize("make", [peers.node, peers.python], ids=["node", "aiohttp"])
def test_echo_of_bodies_both_ways(make):
    with make() as server:
        for body in ("1000", "chunked:1000", "5000000", "chunked:5000000"):
            size = int(body.split(":")[-1])
            expect(ask(f"{server.url}/echo", "POST", body, at_once=3, times=9), statuses={"200": 9}, bytes=9 * size)
        expect(ask(f"{server.url}/echo", times=100), statuses={"200": 100}, created=1)
        expect(ask(f"{server.url}/echo", at_once=60, times=1000), statuses={"200": 1000})


def test_node_closes_idle_connections():
    """Its Keep-Alive says when, which is at once: timeout=0."""
    with peers.node(keep_alive_ms=1) as server:
        expect(ask(f"{server.url}/echo", at_once=4, times=400), statuses={"200": 400}, created=400)


# --- the server ----------------------------------------------------------------------------------


class Serving(Tool):
    def __init__(self, *arguments, options=()):
        super().__init__(TOOL, *map(str, options), "server", *map(str, arguments))
        self.url = f"http://127.0.0.1:{self.port}"


def curl(*arguments):
    done = subprocess.run([peers.find("curl", "curl"), "-sS", "--max-time", "60", *arguments],
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_curl(tmp_path):
    body = tmp_path / "body"
    body.write_bytes(pattern(BIG))
    with Serving() as server:
        assert curl(f"{server.url}/{BIG}") == pattern(BIG)
        assert curl("--data-binary", f"@{body}", f"{server.url}/echo") == pattern(BIG)
        assert curl("-T", body, "-H", "Transfer-Encoding: chunked", f"{server.url}/echo") == pattern(BIG)
        assert b"Content-Length: 77" in curl("-I", f"{server.url}/77")
        assert curl("-H", "Expect: 100-continue", "-d", "abc", f"{server.url}/echo") == b"abc"
        assert curl("--http1.0", f"{server.url}/23") == pattern(23)
        said = server.end()
    assert said["answered"] == said["requests"] == said["answers_2xx"] == 6 and said["open"] == 0


def test_ab():
    with Serving() as server:
        for keep in ("-k", "-q"):
            done = subprocess.run([peers.find("ab", "apache2-utils"), keep, "-c", "50", "-n", "3000", f"{server.url}/100"],
                                  capture_output=True, text=True, timeout=60, check=True)
            assert "Failed requests:        0" in done.stdout and "Non-2xx" not in done.stdout, done.stdout
        said = server.end()
    assert said["requests"] >= 6000 and said["answered"] == said["requests"]


NODE_CLIENT = """
const url = process.argv[1], body = 'abcdefghijklmnopqrstuvw'.repeat(10000);
Promise.all(Array.from({ length: 200 }, async (_, i) => {
  const answer = await fetch(url, i % 2 ? { method: 'POST', body } : {});
  const text = await answer.text();
  return answer.status === 200 && (i % 2 === 0 || text === body);
})).then((all) => console.log(all.filter(Boolean).length));
"""


def test_node():
    with Serving() as server:
        done = subprocess.run([peers.find("node", "nodejs"), "-e", NODE_CLIENT, f"{server.url}/echo"],
                              capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.strip() == "200"
        assert server.end()["answered"] == 200


def test_aiohttp():
    import aiohttp

    async def one(session, url, i):
        data = pattern(100_000) if i % 2 else b""
        async with session.post(url, data=data) as answer:
            return answer.status == 200 and await answer.read() == data

    async def many(url):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=40)) as session:
            return sum(await asyncio.gather(*(one(session, url, i) for i in range(400))))
    with Serving() as server:
        assert asyncio.run(many(f"{server.url}/echo")) == 400
        assert server.end()["accepted"] <= 60


def test_its_own_client():
    with Serving() as server:
        expect(ask(f"{server.url}/1000000", at_once=20, times=100), statuses={"200": 100}, bytes=100_000_000)
        expect(ask(f"{server.url}/echo", "POST", "chunked:300000", at_once=20, times=100), statuses={"200": 100},
               bytes=30_000_000)
        assert server.end()["answered"] == 200


def test_removing_all_connections_cuts_no_answer():
    """An idle one that is closed as its next request comes is replaced; one that has just come, and was
    closed before its first request was read, may be told to the caller (pool.md: replayed if reused)."""
    with Serving() as server:
        child = subprocess.Popen([TOOL, "client", "GET", "0", "20", "40000", f"{server.url}/1000"],
                                 stdout=subprocess.PIPE, text=True)
        while child.poll() is None:
            server.process.stdin.write("\n")
            server.process.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(0.2)
        said = json.loads(child.stdout.read())
        assert said["bad"] == 0 and said["failed"] <= said["created"] // 4 and said["last_err"] in ("ok", "reset", "hangup"), said
        assert said["statuses"] == {"200": 40000 - said["failed"]}
        assert said["bytes"] == 1000 * said["statuses"]["200"]


def test_the_limit_is_told():
    with Serving(2) as server, Client(server.port) as first, Client(server.port) as second:
        for client in (first, second):
            client.get("/5")
            assert client.final().body == b"abcde"
        with Client(server.port) as third:
            third.get("/5")
            refused = third.final()
            assert refused.status == 503 and refused.header("Retry-After")
        first.close()
        second.close()
        assert server.end()["rejected"] == 1
