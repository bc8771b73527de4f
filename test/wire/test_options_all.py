# SPDX-License-Identifier: Apache-2.0
"""Every option has a test that changes it and sees the effect; an option without one fails here."""
import pathlib
import re
import subprocess

import weirtest


def test_every_option_has_an_effect_test():
    listing = subprocess.run([str(weirtest.WEIR), "config", "options"], capture_output=True, text=True,
                             check=True).stdout
    options = {line.split()[0] for line in listing.splitlines() if line.strip()}
    assert len(options) > 40
    shown = set()
    for path in pathlib.Path(__file__).parent.glob("test_*.py"):
        shown |= set(re.findall(r'option\("([a-z0-9_.]+)"\)', path.read_text()))
    assert not options - shown, f"options without a test of their effect: {sorted(options - shown)}"
    assert not shown - options, f"tests of options that are not there: {sorted(shown - options)}"
