# SPDX-License-Identifier: Apache-2.0
"""What a process, and the whole machine, spent of the processors so far."""
import os
import pathlib


def ran_ns(pid):
    """CPU time of all threads of a process."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def busy_s():
    words = [int(w) for w in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(words) - words[3] - words[4]) / os.sysconf("SC_CLK_TCK")
