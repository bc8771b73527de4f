# SPDX-License-Identifier: Apache-2.0
"""The program's own log where systemd's journal reads it: each line begins with its priority."""
import json
import re

from weirtest import Upstream, Weir, wait_for

# What systemd does: the variable names the file that stderr is.
AS_SYSTEMD = ["sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /dev/stderr) exec "$@"', "sh"]
ANOTHER = ["sh", "-c", 'JOURNAL_STREAM=1:2 exec "$@"', "sh"]


def test_priorities():
    with Upstream() as upstream, Weir(upstream, wrapper=AS_SYSTEMD) as weir:
        wait_for(lambda: '"serving"' in weir.text() and weir.text().endswith("\n"), "its lines")
        lines = weir.text().splitlines()
        assert all(re.match(r"<[3467]>\{", line) for line in lines), lines
        assert all(line[1] == "6" for line in lines if json.loads(line[3:])["level"] == "info")


def test_none_elsewhere():
    with Upstream() as upstream, Weir(upstream, wrapper=ANOTHER) as weir:
        wait_for(lambda: '"serving"' in weir.text() and weir.text().endswith("\n"), "its lines")
        assert all(json.loads(line) for line in weir.text().splitlines())
