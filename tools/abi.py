#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Has the binary interface changed in a way that a program built against the last release would notice?

    tools/abi.py              compare the public headers with abi/weir.abi
    tools/abi.py --self-test  is a function that is missing seen to be missing?
    tools/abi.py --renew      write abi/weir.abi (`make release` does, and nothing else)

What is compared is a library made for it: the functions of the headers, empty, with the symbol versions
of cmake/libweir.map. So it knows the public types alone, and no build is needed; that the real library
exports exactly the functions of the headers is the affair of tools/install_test.sh.

New functions are welcome. Whatever else abidiff reports is a fault, unless the version says that it is
another interface: before 1.0 by its second number, then by its first.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import headers

ROOT = headers.ROOT
BASELINE = ROOT / "abi" / "weir.abi"
CHANGED = 4  # a bit of abidiff's exit status; 1 and 2 are failures of its own


def version():
    return re.search(r"project\(weir VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text()).group(1)


def generation_of(text):
    first, second = text.split(".")[:2]
    return (first, second if first == "0" else "")


def library(room, without=""):
    """The headers' functions as an empty shared library."""
    parts = [f"#include <weir/{path.name}>" for path in sorted((ROOT / "include" / "weir").glob("*.h"))]
    for header in headers.read_all():
        for section in header.sections:
            for piece in section.pieces:
                for declaration in re.findall(r"[^;{}]*\bweir_\w+\([^;]*;", headers.without_comments(piece.code)):
                    if any(f"{name}(" in declaration for name in piece.functions if name != without):
                        parts.append(declaration.strip().rstrip(";") + "\n{\n    __builtin_trap();\n}")
    (room / "abi.c").write_text("\n".join(parts) + "\n")
    number = re.search(r"set\(WEIR_INTERFACE (\d+)\)", (ROOT / "cmake" / "library.cmake").read_text()).group(1)
    subprocess.run(["cc", "-std=c17", "-g", "-O0", "-w", "-fPIC", "-shared", "-I", ROOT / "include",
                    f"-Wl,--version-script={ROOT / 'cmake' / 'libweir.map'}", f"-Wl,-soname,libweir.so.{number}",
                    "-o", "libweir.so", "abi.c"], cwd=room, check=True)
    return room / "libweir.so"


def renew(room):
    subprocess.run(["abidw", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--no-elf-needed",
                    "--out-file", room / "abi", library(room)], check=True, cwd=room)
    text = re.sub(r" path='[^']*'", "", (room / "abi").read_text())
    BASELINE.parent.mkdir(exist_ok=True)
    BASELINE.write_text(f"{text.rstrip()}\n<!-- weir {version()} -->\n")
    print(f"abi: {BASELINE.relative_to(ROOT)} is that of {version()}")
    return 0


def compare(room):
    last = re.search(r"<!-- weir (\S+) -->", BASELINE.read_text()).group(1)
    done = subprocess.run(["abidiff", "--no-added-syms", "--no-corpus-path", BASELINE, library(room)],
                          check=False, capture_output=True, text=True)
    if done.returncode & 3:
        print(done.stdout + done.stderr)
        return 1
    if not done.returncode & CHANGED:
        print(f"abi: as in {last}, or more")
        return 0
    if generation_of(last) != generation_of(version()):
        print(f"abi: changed since {last}, as the version {version()} says")
        return 0
    print(done.stdout)
    print(f"abi: changed since {last}; undo it, or say so with another version in CMakeLists.txt")
    return 1


def self_test(room):
    done = subprocess.run(["abidiff", BASELINE, library(room, "weir_step")], check=False, capture_output=True, text=True)
    if not done.returncode & CHANGED or "weir_step" not in done.stdout:
        raise SystemExit("abi: self-test: weir_step() is gone, and nobody noticed")
    print("abi: the self-test found what was missing")
    return 0


def main():
    work = {"--renew": renew, "--self-test": self_test}.get(" ".join(sys.argv[1:]), compare)
    with tempfile.TemporaryDirectory() as room:
        return work(pathlib.Path(room))


if __name__ == "__main__":
    sys.exit(main())
