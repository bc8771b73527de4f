# SPDX-License-Identifier: Apache-2.0
"""What the documents show is true: the tutorials' C is that of the examples, which are run, or compiles
on its own; what they say is printed is what test_examples.py sees; YAML is valid; links lead somewhere."""
import os
import pathlib
import re
import subprocess

import pytest

from peers import accepts
from weirtest import ROOT, WEIR, free_port, wait_for

EXAMPLES = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "examples"
TUTORIALS = sorted((ROOT / "docs" / "tutorial").glob("0*.md"))
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HEADS = "#include <weir/openclaw.h>\n#include <weir/server.h>\n\n#include \"example.h\"\n"


def blocks_of(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.M | re.S)


def examples_of(path):
    return [(path.parent / name).resolve().read_text()
            for name in re.findall(r"\]\(([^)]*examples/\w+\.c)\)", path.read_text())]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_code_of_a_tutorial(path):
    shown, own = examples_of(path), []
    blocks = blocks_of(path, "c")
    assert shown and blocks
    for block in blocks:
        if not any(block in text for text in shown):
            assert block.startswith("static "), f"neither of an example nor a function:\n{block}"
            own.append(block)
    assert len(own) < len(blocks), "nothing of its example is shown"
    done = subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wno-unused-function",
                           "-fsyntax-only", "-x", "c", "-I", ROOT / "include", "-I", ROOT / "examples", "-"],
                          input=HEADS + "\n".join(own), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_a_tutorial_says_is_printed(path):
    seen = (ROOT / "test" / "wire" / "test_examples.py").read_text()
    for block in blocks_of(path, "text"):
        for line in block.splitlines():
            assert line in seen, f"no test sees this: {line}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_configurations_of_a_document(path, tmp_path):
    for number, block in enumerate(blocks_of(path, "yaml")):
        if "listeners:" not in block:
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(block)
        named = {name: f"its-readers-{name}" for name in re.findall(r"\$\{(\w+)\}", block)}
        done = subprocess.run([WEIR, "check", "-c", file], capture_output=True, text=True, check=False,
                              env=dict(os.environ, **named))
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists() and there.is_relative_to(ROOT), f"{target} leads nowhere"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.M)
            assert anchor in [re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings], target


def test_every_document_of_the_requirements_has_its_tutorial():
    assert [path.name[:3] for path in TUTORIALS] == ["000", "001", "002", "003", "004"]
    assert "(docs/tutorial/README.md)" in (ROOT / "README.md").read_text()
    for path in TUTORIALS:
        assert path.name in (ROOT / "docs" / "tutorial" / "README.md").read_text()


def test_the_line_server_of_the_tutorials_answers_their_programs():
    script = next(block for block in blocks_of(ROOT / "docs" / "tutorial" / "README.md", "sh") if "socketserver" in block)
    port = free_port()
    server = subprocess.Popen(["sh", "-c", "exec " + script.strip().removesuffix("&").replace("7000", str(port))])
    try:
        wait_for(lambda: accepts(port), "the server of lines")
        for words, expected in ((["hello", "127.0.0.1", port], "hello, over a used connection"),
                                (["threads", "127.0.0.1", port], "answered 600"),
                                (["accounts", port], "pool: created 2, reused 1")):
            done = subprocess.run([EXAMPLES / words[0], *map(str, words[1:])], capture_output=True, text=True,
                                  timeout=60, check=False)
            assert done.returncode == 0 and expected in done.stdout, done.stdout + done.stderr
    finally:
        server.kill()
        server.wait()


OPERATION = sorted([*(ROOT / "docs" / "how-to").glob("*.md"), *(ROOT / "docs" / "explanation").glob("*.md")])


@pytest.mark.parametrize("path", OPERATION, ids=lambda path: path.stem)
def test_commands_figures_and_verbs_of_a_document_exist(path):
    text = path.read_text()
    said = subprocess.run([WEIR, "--help"], capture_output=True, text=True, check=True).stdout
    for command in re.findall(r"(?:^    |`)weir (\w+)", text, re.M):
        assert f"  weir {command} " in said, f"weir {command}"
    rows = subprocess.run([WEIR, "show", "--help"], capture_output=True, text=True, check=True).stdout
    for page in re.findall(r"weir show (\w+)", text):
        assert page in rows, f"weir show {page}"
    source = "".join(file.read_text() for file in (ROOT / "src" / "gateway").glob("*.c"))
    for figure in re.findall(r"`(weir_\w+?)(?:_total)?(?:\{[^}]*\})?`", text):
        assert figure in source or figure == "weir_step", figure
    verbs = (ROOT / "Makefile").read_text()
    for verb in re.findall(r"`make ([\w-]+)", text):
        assert f"\n{verb}:" in verbs, f"make {verb}"


def test_every_cause_of_a_502_is_told():
    causes = re.findall(r'ROW\(\w+, "(\w+)", 502,', (ROOT / "src" / "gateway" / "fault.h").read_text())
    text = (ROOT / "docs" / "how-to" / "debug-502.md").read_text()
    assert len(causes) > 8 and not [cause for cause in causes if f"`{cause}`" not in text]
