# SPDX-License-Identifier: Apache-2.0
"""tools/hardening.py, which judges a release's program, knows a soft one from a hard one; and ours starts in time."""
import importlib.util
import subprocess

import pytest

from weirtest import ROOT, WEIR

SPEC = importlib.util.spec_from_file_location("hardening", ROOT / "tools" / "hardening.py")
hardening = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hardening)

PROGRAM = """
#include <stdio.h>
#include <string.h>
int main(int count, char **words)
{
    char room[64];
    memcpy(room, words[0], (unsigned)count * 8u);
    return printf("%s", room) < 0;
}
"""
HARD = ["-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro,-z,now,-z,noexecstack"]
SOFTER = {  # what is left out or undone, and what is said then
    "not position-independent": ["-fno-pie", "-no-pie"],
    "relocations stay writable": ["-Wl,-z,lazy"],
    "stack can be run": ["-Wl,-z,execstack"],
    "stack frames are not checked": ["-fno-stack-protector"],
    "copies are not checked": ["-U_FORTIFY_SOURCE"],
    "looks for libraries where it was built": ["-Wl,-rpath,/tmp/here"],
}


def faults(tmp_path, *flags):
    source = tmp_path / "it.c"
    source.write_text(PROGRAM)
    subprocess.run(["gcc", *HARD, *flags, "-o", tmp_path / "it", source], check=True, capture_output=True)
    return list(hardening.faults_of(tmp_path / "it"))


def test_a_hard_program_has_no_fault(tmp_path):
    assert faults(tmp_path) == []


@pytest.mark.parametrize("fault", SOFTER)
def test_each_softness_is_seen(tmp_path, fault):
    said = faults(tmp_path, *SOFTER[fault])
    assert len(said) == 1 and fault in said[0], said


def test_it_is_ready_soon():
    """Even with sanitizers in; the figure of a release, 100 ms, is asked for by `make check`."""
    assert min(hardening.start_ms(WEIR) for _ in range(3)) < 2000
    assert hardening.bytes_of(WEIR) > 100000
