# SPDX-License-Identifier: Apache-2.0
"""The commands that change what a gateway does, each seen by its effect on requests."""
import json
import os
import subprocess
import threading

import pytest

import weirtest
from weirtest import WEIR, Upstream, Weir, wait_for


def run(weir, *words, env=None):
    return subprocess.run([str(WEIR), *words, "--admin", f"127.0.0.1:{weir.admin_port}"], capture_output=True, text=True,
                          timeout=60, check=False, env={**os.environ, "WEIR_ADMIN_TOKEN": "", **(env or {})})


def shown(weir, name):
    return json.loads(weir.admin(f"/api/v1/{name}").text)[name]


def test_endpoint():
    with Upstream() as one, Upstream() as two, Weir([one.url, two.url]) as weir:
        name = f"up/127.0.0.1:{one.port}"
        done = run(weir, "endpoint", name, "drain", "--reason", "to mend it")
        assert done.returncode == 0 and done.stdout.startswith("done=drain workers="), done.stderr
        assert f"endpoint=127.0.0.1:{one.port}" in done.stdout
        before = one.requests
        for _ in range(8):
            assert weir.ask().status == 200
        assert one.requests == before and two.requests >= 8
        changed = [e for e in shown(weir, "events") if e["event"] == "changed"]
        assert changed[-1]["why"] == "to mend it"
        maint = run(weir, "endpoint", name, "maint", "--grace", "1s", "-o", "json")
        assert json.loads(maint.stdout)["done"] == "maint"
        assert run(weir, "endpoint", name, "ready").returncode == 0

        def gets_one():
            assert weir.ask().status == 200
            return one.requests > before
        wait_for(gets_one, "it gets requests again")


def test_pool_pause_and_resume():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert run(weir, "pool", "up", "pause").returncode == 0
        answers = []
        asker = threading.Thread(target=lambda: answers.append(weir.ask().status))
        asker.start()
        wait_for(lambda: next(p for p in shown(weir, "pools") if p["name"] == "up")["waiting"] == 1, "it waits")
        assert not answers
        assert "done=resume" in run(weir, "pool", "up", "resume").stdout
        asker.join(weirtest.DEADLINE)
        assert answers == [200]


@pytest.mark.parametrize("verb", ["reconnect", "flush"])
def test_pool_connections_are_replaced(verb):
    with Upstream() as upstream, Weir(upstream, workers=1) as weir:
        assert weir.ask().status == weir.ask().status == 200
        assert upstream.accepted == 1
        assert run(weir, "pool", "up", verb).returncode == 0
        assert weir.ask().status == 200 and upstream.accepted == 2


def test_drain_and_healthcheck():
    with Upstream() as upstream, Weir(upstream) as weir:
        assert run(weir, "healthcheck").stdout == "ready\n"
        assert run(weir, "drain", "--grace", "5s").returncode == 0
        weir.process.wait(weirtest.DEADLINE)
        gone = run(weir, "healthcheck")
        assert gone.returncode == 1 and "refused" in gone.stderr


def test_account():
    accounts = [{"name": "one", "headers": {"x-key": "1"}}]
    with Upstream() as upstream, Weir(upstream, upstream_options={"accounts": accounts}) as weir:
        assert "cleared=true" in run(weir, "account", "up/one", "clear").stdout


def test_refused():
    with Upstream() as upstream, Weir(upstream) as weir:
        for words in (("endpoint", "up/none:1", "drain"), ("pool", "none", "pause"), ("pool", "listener:web", "pause")):
            done = run(weir, *words)
            assert done.returncode == 1 and done.stderr.startswith(f"weir {words[0]}: /api/v1/"), done
        for words in (("endpoint", "up", "drain"), ("endpoint", "up/a", "stop"), ("pool", "up"), ("drain", "now"),
                      ("pool", "up", "flush", "--grace", "soon"), ("account", "up/a", "x"), ("healthcheck", "me")):
            assert run(weir, *words).returncode == 2, words
