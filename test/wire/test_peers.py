# SPDX-License-Identifier: Apache-2.0
"""In front of real servers, driven by real clients: nginx, Node and aiohttp behind, curl before."""
import hashlib
import random
import subprocess
import sys

import pytest

import peers
from weirtest import Weir, wait_for


def curl(*args, text=True):
    done = subprocess.run([peers.find("curl", "curl"), "-sS", "--max-time", "60", *args],
                          capture_output=True, check=True)
    return done.stdout.decode() if text else done.stdout


@pytest.fixture(scope="module")
def files():
    return {"small": b"hello\n", "big": random.Random(3).randbytes(20_000_000)}


@pytest.fixture(scope="module")
def behind(files):
    with peers.nginx(files) as server, Weir(server) as weir:
        weir.server = server
        yield weir


def test_nginx_small_and_head(behind):
    url = f"http://127.0.0.1:{behind.port}"
    assert curl(f"{url}/small") == "hello\n"
    assert "Content-Length: 6" in curl("-I", f"{url}/small")
    assert curl("-o", "/dev/null", "-w", "%{http_code}", f"{url}/absent") == "404"
    assert curl("-r", "1-3", f"{url}/small") == "ell"


def test_nginx_download_of_a_gibibyte(behind):
    """1 GiB, byte for byte, in bounded memory."""
    path = behind.server.root / "gib"
    block, digest = random.Random(4).randbytes(1 << 20), hashlib.sha256()
    with open(path, "wb") as out:
        for _ in range(1024):
            out.write(block)
            digest.update(block)
    base = behind.resident()
    got, most = hashlib.sha256(), 0
    child = subprocess.Popen([peers.find("curl", "curl"), "-sS", "--max-time", "120",
                              f"http://127.0.0.1:{behind.port}/gib"], stdout=subprocess.PIPE)
    count = 0
    while data := child.stdout.read(1 << 20):
        got.update(data)
        count += 1
        if count % 64 == 0:
            most = max(most, behind.resident())
    assert child.wait() == 0
    path.unlink()
    assert got.digest() == digest.digest()
    assert most - base < 16 << 20


@pytest.mark.parametrize("server", [peers.node, peers.python])
def test_uploads(server, files, tmp_path):
    (tmp_path / "up").write_bytes(files["big"])
    with server() as upstream, Weir(upstream) as weir:
        url = f"http://127.0.0.1:{weir.port}/echo"
        plain = curl("--data-binary", f"@{tmp_path}/up", url, text=False)
        assert plain == files["big"]
        chunked = curl("-H", "Transfer-Encoding: chunked", "-T", f"{tmp_path}/up", url, text=False)
        assert chunked == files["big"]
        late = curl("-H", "Expect: 100-continue", "--data-binary", "abc", url)
        assert late == "abc"
        assert weir.metric("weir_pool_created_total", pool="up") <= 3


@pytest.mark.parametrize("server", [peers.node, peers.python])
def test_sse(server):
    with server() as upstream, Weir(upstream) as weir:
        assert curl("-N", f"http://127.0.0.1:{weir.port}/sse").count("data:") == 5


@pytest.mark.soak
def test_a_thousand_concurrent_clients():
    """What a server that pauses for seconds makes look like a long wait is refused at once (wait_too_long): not with this time-out."""
    with peers.node() as upstream, Weir(upstream, pool={
            "max_connections": 2000, "keepalive_timeout": "60s", "headers_timeout": "60s"}, upstream_pool={
            "max_connections": 200, "max_per_endpoint": 200, "waiting_max": 2000, "acquire_timeout": "10m"}) as weir:
        done = subprocess.run([peers.find("ab", "apache2-utils"), "-q", "-k", "-n", "20000", "-c", "1000",
                               f"http://127.0.0.1:{weir.port}/x"], capture_output=True, text=True, check=True)
        assert "Failed requests:        0" in done.stdout, done.stdout
        assert "Non-2xx" not in done.stdout, done.stdout
        created = weir.metric("weir_pool_created_total", pool="up")
        assert created <= 200, created


def test_reuse_at_steady_load(behind):
    """At least 99.9 % of requests travel over a connection that was there already."""
    def figures():
        return (behind.metric("weir_pool_created_total", pool="up"),
                behind.metric("weir_http_requests_total", upstream="up"))
    url = f"http://127.0.0.1:{behind.port}/ok"
    subprocess.run([peers.find("ab", "apache2-utils"), "-q", "-k", "-n", "500", "-c", "16", url],
                   capture_output=True, check=True)
    created, requests = figures()
    subprocess.run([peers.find("ab", "apache2-utils"), "-q", "-k", "-n", "20000", "-c", "16", url],
                   capture_output=True, check=True)
    more, answered = (b - a for a, b in zip((created, requests), figures()))
    assert answered >= 20000 and more / answered <= 0.001


def test_nginx_restarts_under_load(files):
    """Kill and restart the upstream: requests fail at most while it is away, then all is as before."""
    with peers.nginx(files) as server, Weir(server, upstream_pool={
            "failures_max": 2, "down_for": "1s", "retry_first": "100ms"}) as weir:
        assert weir.ask("/ok").status == 200
        server.process.terminate()
        server.process.wait()
        assert weir.ask("/ok").status in (502, 503)
        again = subprocess.Popen(server.process.args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        server.process = again
        wait_for(lambda: weir.ask("/ok").status == 200, "the upstream to be back", 5)


if __name__ == "__main__":
    sys.exit(pytest.main([__file__]))
