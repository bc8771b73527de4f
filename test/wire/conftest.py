# SPDX-License-Identifier: Apache-2.0
"""Fixtures shared by the wire tests; the tools themselves are in weirtest.py."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import weirtest  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "soak: a flood or a search for leaks; `make soak` repeats it")
    config.addinivalue_line("markers", "option(path): shows the effect of a configuration option")
    if not weirtest.WEIR.exists():
        pytest.exit(f"{weirtest.WEIR} is not built: run `make test`", returncode=3)


@pytest.fixture(scope="module")
def relay():
    """A gateway in front of an upstream that answers `ok`; shared by a module's tests."""
    with weirtest.Upstream() as upstream, weirtest.Weir(upstream) as weir:
        weir.upstream = upstream
        yield weir
