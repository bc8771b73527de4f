# SPDX-License-Identifier: Apache-2.0
"""`weir explain`: of a key, and of a request."""
import json
import subprocess

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
        assert json.loads(run(weir, "--path", "/", "-o", "json").stdout)["upstream"] == "up"
        for words in ((), (upstream.url, "more"), (upstream.url, "--path", "/"), ("--pool", "up"), ("--path", "/", "-o", "x")):
            assert run(weir, *words).returncode == 2, words
        assert run(weir, "no key").returncode == 1


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
