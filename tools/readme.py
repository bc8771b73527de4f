#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""README.zh-CN.md says what README.md says: the same blocks of commands, configuration and code, in the same order, and
tables of the same size with the same figures. Prose is its translator's.

    tools/readme.py             is it so?
    tools/readme.py --write     blocks and the part that bench.py writes are taken over from README.md, then the same
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
BLOCK = re.compile(r"^```\w*\n.*?^```$|(?<=\n\n)(?:    [^\n]*\n|\n(?=    ))+", re.M | re.S)
BENCH = re.compile(r"(?<=<!-- bench: written by bench.py --readme -->\n).*?(?=<!-- end of bench -->)", re.S)


def tables_of(text):
    """Each table as its rows, each row as its cells; the line under the head is none."""
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
        yield [row for row in rows if not set("".join(row)) <= set("-: ")]


def figures_of(cell):
    return re.findall(r"\d+(?:[.,]\d+)*", cell)


def faults(english, chinese):
    ours, theirs = BLOCK.findall(english), BLOCK.findall(chinese)
    if len(ours) != len(theirs):
        yield f"{len(ours)} blocks, {len(theirs)} there"
    for number, (one, other) in enumerate(zip(ours, theirs), 1):
        if one.rstrip() != other.rstrip():
            yield f"block {number} differs:\n{one}\n{other}"
    ours, theirs = list(tables_of(english)), list(tables_of(chinese))
    if [(len(t), len(t[0])) for t in ours] != [(len(t), len(t[0])) for t in theirs]:
        yield "tables of other sizes"
        return
    for one, other in zip(ours, theirs):
        for row, line in zip(one, other):
            if [figures_of(cell) for cell in row] != [figures_of(cell) for cell in line]:
                yield f"figures differ:\n{row}\n{line}"


def taken_over(english, chinese):
    blocks = iter(BLOCK.findall(english))
    if len(BLOCK.findall(english)) == len(BLOCK.findall(chinese)):
        chinese = BLOCK.sub(lambda _: next(blocks), chinese)
    bench = BENCH.search(english)
    return BENCH.sub(lambda _: bench.group(), chinese) if bench else chinese


def main():
    english, chinese = ENGLISH.read_text(), CHINESE.read_text()
    if "--write" in sys.argv:
        chinese = taken_over(english, chinese)
        CHINESE.write_text(chinese)
    found = list(faults(english, chinese))
    for fault in found:
        print(f"README.zh-CN.md: {fault}")
    print(f"readme: {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
