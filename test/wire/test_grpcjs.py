# SPDX-License-Identifier: Apache-2.0
"""grpc-js, from the npm registry, through the gateway: every kind of call, on a real server of its own."""
import json
import os
import pathlib
import subprocess

import peers
import pytest
from weirtest import ROOT, Weir

PACKAGE = "@grpc/grpc-js@1.14.7"
SCRIPT = pathlib.Path(__file__).with_name("grpcjs.js")


@pytest.fixture(scope="module", name="place")
def installed():
    """Where grpc-js is; installed once for a build directory's tests."""
    home = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "npm" / PACKAGE.replace("/", "-")
    if not (home / "node_modules/@grpc/grpc-js/package.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([peers.find("npm", "npm"), "install", PACKAGE, "--no-audit", "--no-fund", "--ignore-scripts",
                               "--no-save"], cwd=home, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return home


@pytest.fixture(name="server")
def started(place):
    with subprocess.Popen([peers.find("node", "nodejs"), SCRIPT, place, "server"], stdout=subprocess.PIPE, text=True) as child:
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()
            child.wait(10)


@pytest.mark.parametrize("workers", [1, 4])
def test_everything(place, server, workers):
    with Weir([server], upstream_options={"protocol": "grpc"}, workers=workers) as weir:
        done = subprocess.run([peers.find("node", "nodejs"), SCRIPT, place, "client", str(weir.port)], capture_output=True,
                              text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        got = json.loads(done.stdout)
        cancels = got.pop("cancels")
        assert got == {
            "echo": "hello", "trailing": "00ff", "long": True, "sum": 100003, "count": 1000, "chat": 200, "many": 300,
            "big": [16000, 16000, "0001ff"], "failed": [9, "nicht möglich: 100%\n", "0102"], "unknown": 12, "deadline": 4,
            "health": [[0, "0801"], [0, "0801"], [12, ""]],  # the last name is asked of the server behind
        }
        assert [cancel["code"] for cancel in cancels] == [1] * 5
        assert sorted(cancel["took_ms"] for cancel in cancels)[2] < 100, cancels
        assert not [line for line in weir.access() if line["status"] >= 500]
