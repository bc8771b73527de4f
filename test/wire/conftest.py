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


LONGEST = ("test_dashboard", "test_tls", "test_websocket", "test_options_upstream", "test_proxies_matrix", "test_client_server_h2", "test_floods",
           "test_h2_upstream", "test_client_proxies", "test_pool", "test_peers", "test_examples")


def pytest_collection_modifyitems(items):
    """The files that take longest begin first, so that none of them runs alone at the end."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="module")
def relay():
    """A gateway in front of an upstream that answers `ok`; shared by a module's tests."""
    with weirtest.Upstream() as upstream, weirtest.Weir(upstream) as weir:
        weir.upstream = upstream
        yield weir
