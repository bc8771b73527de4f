#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-tidy over the sources that a build directory compiles.

    tools/lint.py BUILD [PATTERN]

Every file of src/ in BUILD/compile_commands.json whose path holds PATTERN, tests apart, as many at a
time as there are processors. The last line counts; the exit status is 0 only if no file has a finding.
"""
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def files_of(build, pattern):
    entries = json.loads((build / "compile_commands.json").read_text())
    names = {pathlib.Path(e["file"]).resolve() for e in entries}
    source = ROOT / "src"
    return sorted(n for n in names
                  if source in n.parents and not n.name.endswith(("_test.c", "_bench.c"))
                  and pattern in str(n.relative_to(ROOT)))


def tidy(build, name):
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(build), str(name)], check=False,
                          capture_output=True, text=True, cwd=ROOT)
    return name, done.returncode, done.stdout


def main():
    build = pathlib.Path(sys.argv[1]).resolve()
    names = files_of(build, sys.argv[2] if len(sys.argv) > 2 else "")
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (name, code, text) in enumerate(pool.map(lambda n: tidy(build, n), names), 1):
            if code:
                bad += 1
                print(text, flush=True)
            if sys.stdout.isatty():
                print(f"\rlint: {done} of {len(names)}  ", end="", flush=True)
    print(f"lint: {len(names)} files, {bad} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
