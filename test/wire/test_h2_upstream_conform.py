# SPDX-License-Identifier: Apache-2.0
"""The connector against a server that breaks the rules of HTTP/2, one at a time (test/conform/h2_upstream.py)."""
import pathlib
import sys

import pytest

from weirtest import ROOT, Weir

sys.path.insert(0, str(pathlib.Path(ROOT) / "test" / "conform"))

import h2_upstream  # noqa: E402


@pytest.mark.parametrize("name", h2_upstream.CASES)
def test_case(name):
    ends, said = h2_upstream.CASES[name]
    server = h2_upstream.RawServer(said)
    try:
        with Weir([server.url], upstream_options={"protocol": "h2"}) as weir:
            h2_upstream.judge(weir, server, ends)
    finally:
        server.stop()
