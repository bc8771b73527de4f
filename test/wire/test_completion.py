# SPDX-License-Identifier: Apache-2.0
"""What shells offer behind `weir`: all that --help says; bash is asked, as someone who presses Tab would."""
import re
import subprocess

import pytest

from weirtest import WEIR


def said(*words):
    return subprocess.run([str(WEIR), *words], capture_output=True, text=True, timeout=60, check=True).stdout


def commands():
    return re.findall(r"^  weir (\w+)", said("help"), re.M)


def options_of(command):
    """The options that its usage names and those that begin a line of its help."""
    usage, _, text = said("help", command).partition("\n") if command != "help" else ("", "", "")
    found = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", usage.partition(" - ")[0]))
    for line in re.findall(r"^  (-.*)$", text, re.M):
        head = re.split(r" {2,}", line)[0]
        found |= set(re.findall(r"(?:^| )(--?[A-Za-z][\w-]*)", head))
    return found | {"--help"}


def offered(*words):
    """What bash offers for the last word."""
    script = (said("completion", "bash") + "\nCOMP_WORDS=(weir \"$@\"); COMP_CWORD=$#; _weir; "
              "[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_bash_offers_all_commands_and_options():
    assert set(commands()) <= offered("")
    assert offered("si") == {"simulate"}
    for command in commands():
        if command != "help":
            assert options_of(command) <= offered(command, ""), command
    assert offered("help", "dem") == {"demo"}


@pytest.mark.parametrize("words,wanted", [
    (("show", "po"), {"pools"}), (("config", "d"), {"dump"}), (("pool", "up", "re"), {"resume", "reconnect"}),
    (("endpoint", "up/a", ""), {"ready", "drain", "maint"}), (("account", "up/a", "c"), {"clear"}),
    (("show", "pools", "-o", ""), {"table", "json"}), (("events", "-o", ""), {"lines", "json"}),
    (("check", "--format", "j"), {"json"}), (("bench", "http://x", "--ra"), {"--rate"}), (("bench", "--rate", ""), set()),
    (("completion", ""), {"bash", "zsh", "fish"})])
def test_bash_offers(words, wanted):
    got = offered(*words)
    assert wanted <= got and (words[-1] == "" or got == wanted)


def test_bash_offers_files(tmp_path):
    (tmp_path / "weir.yaml").write_text("")
    assert offered("serve", "-c", f"{tmp_path}/w") == {f"{tmp_path}/weir.yaml"}
    assert offered("bench", "--svg", f"{tmp_path}/w") == {f"{tmp_path}/weir.yaml"}
    assert offered("simulate", f"{tmp_path}/w") == {f"{tmp_path}/weir.yaml"}


def test_zsh_and_fish_say_the_same():
    zsh, fish = said("completion", "zsh"), said("completion", "fish")
    assert zsh.startswith("#compdef weir\n")
    for command in commands():
        line = re.search(rf"^    {command}\) (.*) ;;$", zsh, re.M)[1].split()
        assert re.search(rf"^      '{command}:.+'$", zsh, re.M)
        assert re.search(rf"^complete -c weir -n __fish_use_subcommand -a {command} -d '.+'$", fish, re.M)
        for option in options_of(command) if command != "help" else ():
            assert option in line, (command, option)
            flag = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            assert re.search(rf"__fish_seen_subcommand_from {command}' {flag}( |$)", fish, re.M), (command, option)


def test_no_other_shell():
    done = subprocess.run([str(WEIR), "completion", "csh"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "bash, zsh or fish" in done.stderr
