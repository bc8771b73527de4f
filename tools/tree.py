#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the committed files that no compiler checks, as an ordinary failing test.

A source file opens with its SPDX line and has at most 900 lines; no file names a path of somebody's
machine, holds a mark of unfinished work or spaces at the ends of lines; what the build needs is named once.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_MAX = 900
SOURCES = (".c", ".h", ".def", ".py", ".sh", ".js")
# Written in pieces, so that this file passes its own test.
MACHINE = re.compile("|".join(("/" + "work/", "/" + "root/", "/" + "home/[a-z]")))
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK")) + r")\b")
BINARY = (".png", ".bin", ".gz", ".ico", ".woff2")


def committed():
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):  # an unpacked archive: no history, same rules
        return [p.relative_to(ROOT) for p in ROOT.rglob("*")
                if p.is_file() and p.relative_to(ROOT).parts[0] not in ("build", ".git")]
    return [pathlib.Path(name) for name in listed.stdout.decode().split("\0") if name]


def faults_of(name):
    path = ROOT / name
    if not path.is_file() or name.suffix in BINARY or "corpus" in name.parts:
        return
    text = path.read_text(errors="replace")
    lines = text.splitlines()
    if name.suffix in SOURCES:
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
            yield f"{name}:1: does not open with its SPDX line"
        if len(lines) > LINES_MAX:
            yield f"{name}: {len(lines)} lines, more than {LINES_MAX}"
        if text and not text.endswith("\n"):
            yield f"{name}:{len(lines)}: no newline at the end"
    for number, line in enumerate(lines, 1):
        if MACHINE.search(line):
            yield f"{name}:{number}: a path of one machine"
        if UNFINISHED.search(line) and name.name != "LICENSE":
            yield f"{name}:{number}: a mark of unfinished work"
        if name.suffix in SOURCES and line != line.rstrip():
            yield f"{name}:{number}: space at the end of the line"


def faults_of_packages():
    seen = set()
    for number, line in enumerate((ROOT / "tools" / "packages.txt").read_text().splitlines(), 1):
        entry = line.split("#")[0].strip()
        if not entry or entry.startswith("["):
            continue
        if entry in seen:
            yield f"tools/packages.txt:{number}: {entry} is named twice"
        if "#" not in line:
            yield f"tools/packages.txt:{number}: {entry} does not say why"
        seen.add(entry)


def main():
    faults = [fault for name in committed() for fault in faults_of(name)]
    faults += faults_of_packages()
    for fault in faults:
        print(fault)
    print(f"tree: {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
