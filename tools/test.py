#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test of one build directory and counts them.

    tools/test.py BUILD [-k PATTERN] [--no-wire | --wire PATTERN | --only-wire PATTERN | --soak SECONDS]

First what CTest knows (units, stories, fuzz replays, rules of the tree), then the tests on sockets
(test/wire, pytest), which run the program of the same build. Most of them wait more than they work, and
nothing that they use is another's, so that there are more of them at a time than there are processors.
Both write JUnit XML; the counts are summed from there. The last line of the output is always "N passed, N failed", and the exit
status is 0 only if nothing failed.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIRE = ROOT / "test" / "wire"
AT_ONCE = min(2 * (os.cpu_count() or 1), 16)


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.failures = []

    def read(self, report, suite):
        """Adds the cases of one JUnit file; a runner that left none counts as a failure."""
        try:
            cases = list(xml.parse(report).iter("testcase"))
        except (OSError, xml.ParseError) as why:
            self.failed += 1
            self.failures.append(f"{suite}: no report ({why})")
            return
        for case in cases:
            name = "::".join(filter(None, (case.get("classname"), case.get("name"))))
            if case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
                self.failures.append(f"{suite}: {name}")
            elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
                self.skipped += 1
            else:
                self.passed += 1


def run_ctest(build, tally, pattern):
    report = build / "ctest.xml"
    report.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(build), f"-j{AT_ONCE}", "--output-on-failure",
               "--output-junit", str(report)]
    if pattern:
        command += ["-R", pattern]
    subprocess.run(command, check=False)
    tally.read(report, "ctest")


def run_wire(build, tally, pattern, marks=None, suite="wire", figures=False):
    if not any(WIRE.glob("test_*.py")) and not any(WIRE.glob("*_test.py")):
        return
    report = build / "wire.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", str(WIRE), "-q", "-p", "no:cacheprovider",
               "--tb=short", f"--junitxml={report}"]
    if pattern:
        command += ["-k", pattern]
    else:  # a file's tests stay together: they share what its fixtures have started
        command += ["-n", str(AT_ONCE), "--dist", "loadfile"]
    if marks:
        command += ["-m", marks]
    if figures or marks == "soak":
        command += ["-rP"]  # what those that passed have printed
    environment = dict(os.environ, WEIR_BUILD=str(build), WEIR_BIN=str(build / "weir"),
                       PYTHONDONTWRITEBYTECODE="1")
    if marks == "soak":
        environment["WEIR_SOAK"] = "1"  # tests that have a long form take it
    code = subprocess.run(command, check=False, cwd=ROOT, env=environment).returncode
    if code == 5 and (pattern or marks):  # pytest: nothing was selected
        return
    tally.read(report, suite)


def run_chaos(build, tally):
    """A hundred seeds of gateways whose Redis, and who themselves, are stopped, emptied and killed."""
    program = build / "test" / "session_redis_chaos_test"
    environment = dict(os.environ, WEIR_SEEDS=os.environ.get("WEIR_SEEDS", "100"))
    if subprocess.run([str(program)], check=False, env=environment).returncode == 0:
        tally.passed += 1
    else:
        tally.failed += 1
        tally.failures.append(f"soak: {program.name}: its last seed, by WEIR_SEED")


def soak(build, tally, seconds):
    """The chaos, then the marked floods and leaks, round after round, until the time is up or one fails."""
    end = time.monotonic() + seconds
    rounds = 0
    run_chaos(build, tally)
    while time.monotonic() < end and not tally.failed:
        rounds += 1
        print(f"soak: round {rounds}, {int(end - time.monotonic())} s left", flush=True)
        run_wire(build, tally, None, marks="soak", suite=f"soak round {rounds}")
        if tally.passed < 2 and not tally.failed:
            print("soak: no test in test/wire is marked soak")
            break


def main():
    parser = argparse.ArgumentParser(description="run every test of one build and count")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("-k", dest="pattern", help="only tests whose name matches")
    parser.add_argument("--no-wire", action="store_true", help="only what CTest knows")
    parser.add_argument("--wire", metavar="PATTERN", help="of the tests on sockets only those; -k is for CTest then")
    parser.add_argument("--only-wire", metavar="PATTERN", help="those, with what they print, and nothing of CTest")
    parser.add_argument("--soak", type=int, metavar="SECONDS", help="repeat the floods and leaks")
    args = parser.parse_args()
    build = args.build.resolve()

    tally = Tally()
    if args.soak:
        soak(build, tally, args.soak)
    elif args.only_wire:
        run_wire(build, tally, args.only_wire, figures=True)
    else:
        run_ctest(build, tally, args.pattern)
        if not args.no_wire:
            run_wire(build, tally, args.wire or args.pattern)

    for failure in tally.failures:
        print(f"FAILED {failure}")
    if tally.skipped:
        print(f"{tally.skipped} skipped")
    counts = f"{tally.passed} passed, {tally.failed} failed"
    (build / "counts.txt").write_text(counts + "\n")
    print(counts, flush=True)
    return 0 if tally.failed == 0 and tally.passed else 1


if __name__ == "__main__":
    sys.exit(main())
