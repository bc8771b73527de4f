#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Judges the coverage that a test run left in a build directory of the cover preset.

    tools/cover.py BUILD

Lines of src/ (tests apart) must reach 85 %, branches of src/core 100 %. A branch that only a check()
could take is apart: it would be a bug of ours. So is one that a line marks with `cover: why`. What a
core did whose rules are broken on purpose (src/core/mutant.h) does not count.
BUILD/report/index.html shows every line; the last lines printed are the two figures.
"""
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINES_MIN = 85.0
BRANCHES_MIN = 100.0
APART = r".*(\b(check|check_deep|unreachable)\s*\(|/\* cover: ).*"


def gcovr(build, folder, outputs):
    command = ["gcovr", "--root", str(ROOT), "--filter", str(ROOT / folder) + "/",
               "--exclude", r".*_(test|bench)\.c$", "--exclude-branches-by-pattern", APART,
               "--exclude-directories", r".*_mutable\.dir$",
               "--exclude-unreachable-branches", "--gcov-ignore-parse-errors",
               "-j", str(os.cpu_count()),
               *outputs, str(build)]
    subprocess.run(command, check=True, cwd=ROOT)


def branches_missing(build):
    """The places in core where a branch was never taken, a line each."""
    every = build / "core.json"
    gcovr(build, "src/core", ["--json", str(every)])
    for f in json.loads(every.read_text())["files"]:
        source = (ROOT / f["file"]).read_text().splitlines()
        for line in f["lines"]:
            number = line["line_number"]
            missing = sum(branch["count"] == 0 for branch in line["branches"])
            if missing and not line.get("gcovr/noncode"):
                yield f'{f["file"]}:{number}: {missing} not taken: {source[number - 1].strip()}'


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    summary = build / "cover.json"
    report = build / "report"
    report.mkdir(exist_ok=True)
    gcovr(build, "src", ["--json-summary", str(summary), "--html-details", str(report / "index.html")])
    files = json.loads(summary.read_text())["files"]
    lines = sum(f["line_total"] for f in files)
    covered = sum(f["line_covered"] for f in files)
    core = [f for f in files if f["filename"].startswith("src/core/")]
    branches = sum(f["branch_total"] for f in core)
    taken = sum(f["branch_covered"] for f in core)

    for f in sorted(files, key=lambda f: f["filename"]):
        branch = f'{f["branch_covered"]}/{f["branch_total"]}' if f in core else ""
        print(f'{f["filename"]:<40} lines {f["line_percent"] or 0:6.1f} %  {branch}')
    for place in branches_missing(build):
        print(place)
    lines_percent = 100.0 * covered / lines if lines else 0.0
    branches_percent = 100.0 * taken / branches if branches else 100.0
    print(f"lines of src/: {lines_percent:.1f} % (at least {LINES_MIN:.0f})")
    print(f"branches of src/core, checks apart: {branches_percent:.1f} % (at least {BRANCHES_MIN:.0f})")
    return 0 if lines_percent >= LINES_MIN and branches_percent >= BRANCHES_MIN else 1


if __name__ == "__main__":
    sys.exit(main())
