# SPDX-License-Identifier: Apache-2.0
"""Processes take over from each other again and again while everything is open and 500 more connect, and nobody notices: a
hundred times in `make soak`."""
import os

import pytest

from upgrading import Upgraded
from visitors import Visitors, served

UPGRADES = int(os.environ.get("WEIR_UPGRADES", "100" if os.environ.get("WEIR_SOAK") else "6"))


@pytest.mark.soak
def test_nobody_notices_that_processes_take_over_from_each_other():
    with served() as (upstream, options), Upgraded(upstream, drain=4, workers=2, **options) as weir:
        visitors = Visitors(weir.port).start_all()
        try:
            for _ in range(UPGRADES):
                with visitors.turn():
                    weir.upgrade()
                weir.alone()
        finally:
            visitors.stop()
        assert not visitors.failures, visitors.failures
        assert weir.process_page()["generation"] == UPGRADES + 1
        assert weir.metric("weir_upgrades_total", result="done") == UPGRADES
        print(UPGRADES, "upgrades, 500 connects at each:", visitors.done)
