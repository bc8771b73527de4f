#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Reads include/weir/*.h as a person does: a header's opening prose, its sections, and in them pieces of
a comment and the declarations it is about. tools/reference.py makes the manual of it.

Run as a program it looks whether each compiles alone, in C and in C++.

The headers are written by house rules, and those are all that is understood here: blocks are set apart
by empty lines, a comment stands before or beside what it is about, "--- title ---" opens a section.
"""
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GUARD = re.compile(r'^(#\s*(if|ifdef|ifndef|else|elif|endif|include)\b|#\s*define\s+(WEIR_API|WEIR_\w+_H)\b'
                   r'|extern "C" \{$|\}$)')
STRING_OR_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",]+)')


@dataclasses.dataclass
class Row:
    """One row of a .def file, as the enumeration or the struct that includes it has it."""
    name: str
    columns: dict


@dataclasses.dataclass
class Piece:
    comment: str        # what was said before; may be empty
    code: str           # without WEIR_API
    functions: list     # declared in it
    rows: list          # of the .def file that it includes
    undocumented: list  # functions that nothing is said about


@dataclasses.dataclass
class Section:
    title: str  # "" before the first one
    pieces: list


@dataclasses.dataclass
class Header:
    name: str      # "runtime.h"
    brief: str     # of its first line
    overview: str  # the rest of its opening comment
    sections: list


def without_comments(code):
    return re.sub(r"/\*.*?\*/", "", code, flags=re.S)


def text_of(comment):
    """A comment's words, with its paragraphs and its indentation."""
    lines = re.sub(r"^/\*|\*/$", "", comment.strip()).split("\n")
    lines = [re.sub(r"^ \* ?|^ ", "", line, count=1).rstrip() for line in lines]
    return "\n".join(lines).strip("\n")


def blocks_of(text):
    """Runs of lines between the empty ones that stand outside of braces and comments."""
    block, depth, in_comment = [], 0, False
    for line in text.split("\n"):
        if not line.strip() and depth == 0 and not in_comment:
            if block:
                yield block
            block = []
            continue
        if depth == 0 and not in_comment and GUARD.match(line):
            continue
        block.append(line)
        bare = line
        if in_comment:
            _, in_comment, bare = bare.partition("*/")
            in_comment = not in_comment
        bare = without_comments(bare)
        if "/*" in bare:
            bare, in_comment = bare.split("/*")[0], True
        depth += bare.count("{") - bare.count("}")
    if block:
        yield block


def pairs_of(block):
    """A block's comments at the beginning of a line, each with the declarations up to the next."""
    comment, code, pairs, depth = "", [], [], 0
    lines = iter(block)
    for line in lines:
        if depth == 0 and line.startswith("/*"):
            if comment or code:
                pairs.append((comment, "\n".join(code)))
            comment, code = line, []
            while "*/" not in comment:
                comment += "\n" + next(lines)
            continue
        code.append(line)
        bare = without_comments("\n".join(code))
        depth = bare.count("{") - bare.count("}") + bare.count("/*")
    pairs.append((comment, "\n".join(code)))
    return pairs


def rows_of(code):
    """The rows of the .def files that the code includes, named as its macro names them."""
    macros = re.findall(r"#define (WEIR_\w+)\(([^)]*)\) (.*)\n#include <(weir/def/\w+\.def)>", code)
    rows = []
    for macro, parameters, body, path in macros:
        names = [name.strip() for name in parameters.split(",")]
        for line in (ROOT / "include" / path).read_text().split("\n"):
            if not line.startswith(macro + "("):
                continue
            inside = line[len(macro) + 1:line.rindex(")")]
            found = [string or word.strip() for string, word in STRING_OR_WORD.findall(inside)
                     if string or word.strip()]
            columns = dict(zip(names, found, strict=True))
            name = re.search(rf"\w*##{names[0]}|\b{names[0]}\b", body).group()
            rows.append(Row(name.replace("##", "").replace(names[0], found[0]), columns))
    return rows


def profiles():
    """{profile: {option's word: value as a configuration has it}}, of the table in src/core/option.c."""
    words = {row.name: row for row in rows_of(
        "#define WEIR_OPTION(field, word, type, def, min, max, text) uint32_t field;\n#include <weir/def/option.def>")}
    source = (ROOT / "src" / "core" / "option.c").read_text()
    table = source[source.index("} profiles[] = {"):]
    table = table[:table.index("\n};")]
    found = {}
    for name, fields in re.findall(r'\{"([\w-]+)",\s*\{(.*?)\}\}', table, re.S):
        found[name] = {}
        for field, value in re.findall(r"\.(\w+) = ([^,}]+)", fields):
            value = re.sub(r"(SECONDS|MINUTES|HOURS)\((\d+)\)", lambda m: m.group(2) + m.group(1)[0].lower(), value)
            found[name][words[field].columns["word"]] = value.removeprefix("WEIR_").lower().strip()
    if len(found) < 7 or not all(found.values()):
        raise SystemExit("headers: the profiles of src/core/option.c are not where they were")
    return found


def piece_of(comment, code):
    comment = text_of(comment)
    bare = without_comments(code)
    functions, undocumented = [], []
    for declaration in re.findall(r"WEIR_API[^;]*;", bare):
        name = re.search(r"\b(weir_\w+)\(", declaration).group(1)
        functions.append(name)
        beside = re.search(rf"\b{name}\([^;]*;\s*/\*", code)
        if not comment and not beside:
            undocumented.append(name)
    return Piece(comment, shown(code), functions, rows_of(code), undocumented)


def shown(code):
    """As a reader needs it: without WEIR_API, and what stood below its end moved along."""
    lines, moved = [], False
    for line in code.split("\n"):
        moved = line.startswith("WEIR_API ") or moved and line.startswith(" " * 9)
        lines.append(re.sub(r"^(WEIR_API | {9})" if moved else "^#  +", "" if moved else "#", line))
    return "\n".join(lines)


def read(path):
    text = path.read_text()
    opening = re.match(r"/\*.*?\*/", text, re.S).group()
    words = re.sub(r"^SPDX.*\n+", "", text_of(opening))
    first, _, overview = words.partition("\n\n")
    brief = " ".join(first.split()).partition(" - ")[2].rstrip(".")
    header = Header(path.name, brief, overview, [Section("", [])])
    for block in blocks_of(text[len(opening):]):
        for comment, code in pairs_of(block):
            if comment.startswith("/* ---"):
                title, _, rest = text_of(comment).partition("\n")
                title, rest = title.strip(" -"), re.sub(r"^[- ]+\n?", "", rest)
                header.sections.append(Section(title, []))
                comment = "/* " + rest + " */" if rest.strip() else ""
                if not comment and not code:
                    continue
            header.sections[-1].pieces.append(piece_of(comment, code))
    header.sections = [section for section in header.sections if section.pieces]
    return header


def read_all():
    """In the order in which they include each other."""
    order = {"weir.h": 0, "factory.h": 1, "runtime.h": 2, "http.h": 3, "server.h": 4}
    paths = sorted((ROOT / "include" / "weir").glob("*.h"), key=lambda p: (order.get(p.name, 9), p.name))
    return [read(path) for path in paths]


# --- do they stand alone? -------------------------------------------------------------------------

LANGUAGES = (("cc", "c", "c99"), ("cc", "c", "c17"), ("c++", "c++", "c++17"), ("clang", "c", "c99"),
             ("clang++", "c++", "c++17"))
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Wstrict-aliasing", "-Werror", "-fsyntax-only"]


def main():
    """Included first, and twice, by a program that defines nothing for it."""
    faults = compiled = 0
    for compiler, language, standard in LANGUAGES:
        if not shutil.which(compiler):
            if not compiler.startswith("clang"):
                raise SystemExit(f"headers: no {compiler}")
            continue
        for path in sorted((ROOT / "include" / "weir").glob("*.h")):
            done = subprocess.run([compiler, f"-std={standard}", "-x", language, *STRICT, "-I", ROOT / "include", "-"],
                                  input=f"#include <weir/{path.name}>\n" * 2, text=True, check=False)
            compiled += 1
            faults += done.returncode != 0
    print(f"headers: {compiled} compiled alone, {faults} with faults")
    return 1 if faults or not compiled else 0


if __name__ == "__main__":
    sys.exit(main())
