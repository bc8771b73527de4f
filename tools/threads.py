#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Compares docs/threads.md with the public headers: every function has its row, under its header, in the
header's order, with a thread that the document explains; and no row speaks of a function that is gone."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/threads.md"
COMMENT = re.compile(r"/\*.*?\*/", re.S)
DECLARED = re.compile(r"\bWEIR_API\s+[^;{]*?\b(weir_\w+)\s*\(")
SECTION = re.compile(r"^## weir/(\w+\.h)$")
ROW = re.compile(r"^\| `(weir_\w+)` \| ([^|]+?) \|[^|]*\|$")
MEANING = re.compile(r"^\* \*\*([^*]+)\*\*:")


def declared(header):
    return DECLARED.findall(COMMENT.sub("", header))


def page_rows(page):
    """The rows of each header's table, and the faults of the page by itself."""
    meanings = {match[1] for line in page.splitlines() if (match := MEANING.match(line))}
    rows, faults, header = {}, [], None
    for number, line in enumerate(page.splitlines(), 1):
        if match := SECTION.match(line):
            header = match[1]
            rows[header] = []
        elif match := ROW.match(line):
            rows.setdefault(header, []).append(match[1])
            if match[2] not in meanings:
                faults.append(f"{PAGE.name}:{number}: nothing says what the thread “{match[2]}” is")
        elif line.startswith("| `"):
            faults.append(f"{PAGE.name}:{number}: not a row of function, thread, note")
    return rows, faults


def compare(headers, page):
    """headers: their text by name."""
    rows, faults = page_rows(page)
    for name, text in headers.items():
        want, have = declared(text), rows.pop(name, [])
        faults += [f"{name}: {function}() has no row" for function in want if function not in have]
        faults += [f"{name}: there is a row for {function}(), which is not declared" for function in have if function not in want]
        if sorted(want) == sorted(have) and want != have:
            faults.append(f"{name}: the rows are not in the order of the header")
    return faults + [f"there is no header {name}" for name in rows]


def self_test():
    header = "/* WEIR_API void weir_no(void); */ WEIR_API const char *\nweir_one(int a);\nWEIR_API void weir_two(void);"
    head = "* **any**: any.\n\n## weir/a.h\n\n| function | thread | |\n|---|---|---|\n"
    one, two = "| `weir_one` | any | |\n", "| `weir_two` | any | note |\n"
    cases = ((head + one + two, 0), (head + one, 1), (head + two + one, 1), (head + one + two + "| `weir_no` | any | |\n", 1),
             (head + one + two.replace("any", "all"), 1), (head + one + "| `weir_two` | any\n", 2),
             (head + one + two + "\n## weir/b.h\n", 1), ("", 2))
    wrong = [page for page, count in cases if len(compare({"a.h": header}, page)) != count]
    for page in wrong:
        print(f"threads: self-test: {page!r}: {compare({'a.h': header}, page)}")
    return wrong


def main():
    headers = {path.name: path.read_text() for path in sorted((ROOT / "include/weir").glob("*.h"))}
    faults = self_test() or compare(headers, PAGE.read_text())
    for fault in faults:
        print(fault)
    print(f"threads: {sum(len(declared(text)) for text in headers.values())} functions, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
