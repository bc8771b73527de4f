# SPDX-License-Identifier: Apache-2.0
"""tools/release.sh, without `make check` and the packages, which take long: what it refuses, and what it makes."""
import os
import re
import shutil
import subprocess
import sys
import tarfile

import pytest

from weirtest import ROOT
from test_package import VERSION


def git(tree, *words):
    return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@weir.invalid", *words], cwd=tree, check=True,
                          capture_output=True, text=True).stdout


@pytest.fixture
def tree(tmp_path):
    tree = tmp_path / "tree"
    for name in ("CMakeLists.txt", "CHANGELOG.md", "debian/changelog", "tools/release.sh"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", "all")
    return tree


def release(tree, version):
    return subprocess.run([tree / "tools" / "release.sh", version, tree.parent / "out"], capture_output=True, text=True,
                          check=False, env=dict(os.environ, WEIR_RELEASE="quick"))


def test_it_leaves_an_archive_notes_sums_and_a_tag(tree):
    done = release(tree, VERSION)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tree.parent / "out"
    with tarfile.open(out / f"weir-{VERSION}.tar.gz") as archive:
        assert f"weir-{VERSION}/CMakeLists.txt" in archive.getnames()
    section = re.search(rf"^## {re.escape(VERSION)}\n(.*?)(?=^## |\Z)", (ROOT / "CHANGELOG.md").read_text(), re.M | re.S).group(1)
    assert section.strip() in (out / "NOTES.md").read_text()
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, check=True)
    assert git(out / "clone", "tag") == f"v{VERSION}\n" and git(tree, "tag") == ""
    fetch = re.search(r"git (fetch \S+ \S+)$", done.stdout, re.M).group(1)
    git(tree, *fetch.split())
    assert git(tree, "tag") == f"v{VERSION}\n"
    assert "there already" in release(tree, VERSION).stderr


@pytest.mark.parametrize("file, old, new, complaint", [
    ("CMakeLists.txt", f"VERSION {VERSION}", "VERSION 9.8.7", "CMakeLists.txt says 9.8.7"),
    ("debian/changelog", f"({VERSION})", "(9.8.7)", "debian/changelog says 9.8.7"),
    ("CHANGELOG.md", f"## {VERSION}", "## 9.8.7", "CHANGELOG.md says nothing of"),
])
def test_a_version_that_was_forgotten_somewhere_is_refused(tree, file, old, new, complaint):
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new))
    assert "not committed" in release(tree, VERSION).stderr
    git(tree, "commit", "-qam", "changed")
    done = release(tree, VERSION)
    assert done.returncode == 1 and complaint in done.stderr


def test_a_version_must_be_said(tree):
    assert "which one?" in release(tree, "").stderr


def test_the_chinese_readme_has_the_same_commands_and_tables(tmp_path):
    tool = ROOT / "tools" / "readme.py"
    done = subprocess.run([sys.executable, "-B", tool], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + "\ntools/readme.py --write takes the blocks over"
    for name in ("README.md", "README.zh-CN.md", "tools/readme.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    copy = [sys.executable, "-B", tmp_path / "tools" / "readme.py"]
    english = (tmp_path / "README.md").read_text()
    for old, new in (("make run  ", "make ran  "), ("| HAProxy 2.6 | 1", "| HAProxy 2.6 | 9"), ("weir 0.1 |", "weir 0.2 |")):
        assert old in english
        (tmp_path / "README.md").write_text(english.replace(old, new, 1))
        assert subprocess.run(copy, capture_output=True, check=False).returncode == 1, f"{new}: not seen"
    (tmp_path / "README.md").write_text(english.replace("make run  ", "make ran  ", 1))
    assert subprocess.run([*copy, "--write"], capture_output=True, check=False).returncode == 0
    assert "make ran  " in (tmp_path / "README.zh-CN.md").read_text()
