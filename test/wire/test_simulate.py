# SPDX-License-Identifier: Apache-2.0
"""weir simulate: what it prints and writes, and what it says to a trace or a word it does not understand."""
import json
import re
import xml.etree.ElementTree as xml

import pytest

from test_cli import run
from weirtest import ROOT

DATA = ROOT / "test" / "data"
QUICK = ("--rate", "50", "--for", "1m", "--no-advice")


def test_a_recorded_hour():
    done = run("simulate", str(DATA / "leak.csv"), "--from", "3d")
    assert done.returncode == 0 and done.stderr == ""
    assert re.search(r"leak\.csv: \d+ arrivals in 1h, [34]\d\.\d a second\n", done.stdout)
    assert re.search(r"leaked +\d+ connections were never given back", done.stdout)
    size = re.search(r"Advice, .* at most 10ms:\n  max_per_key  (\d+)\n  max_total    (\d+)\n", done.stdout)
    assert 6 <= int(size[1]) <= 20 and size[1] == size[2]
    assert re.search(rf"^[>▸] +{size[1]} ", done.stdout, re.M)
    assert "lease_timeout" in done.stdout


def test_equal_seeds_print_the_same():
    first, again, other = (run("simulate", *QUICK, "--seed", seed).stdout for seed in "112")
    assert first == again != other


def test_the_plot_is_ascii_where_the_terminal_is():
    plain = run("simulate", *QUICK, env={"LC_ALL": "C"}).stdout
    assert plain.isascii() and "#" in plain
    assert "█" in run("simulate", *QUICK, env={"LC_ALL": "C.UTF-8"}).stdout


def test_json():
    told = json.loads(run("simulate", "--rate", "20-60", "--for", "2m", "--json", "--dial", "0").stdout)
    assert told["arrivals"] == 4800 == told["served"] and told["refused"] == {}
    assert sum(point["arrivals"] for point in told["points"]) == 4800
    assert told["advice"]["found"] and told["advice"]["tried"]
    assert told["wait_ms"]["p50"] <= told["wait_ms"]["p99"] <= told["wait_ms"]["most"]


def test_options_have_their_effect():
    def told(*words):
        return json.loads(run("simulate", *QUICK, "--json", *words).stdout)
    plain = told()
    assert told("--max", "2")["connections_most"] == 2
    assert told("--max", "2", "--set", "waiting_max=3")["refused"]["queue_full"] > 100
    assert told("--min", "40")["connections_most"] >= 40 > plain["connections_most"]
    assert told("--hold", "1s")["in_use_mean"] > 5 * plain["in_use_mean"]
    assert told("--dial", "2s")["wait_ms"]["most"] > 1000 > plain["wait_ms"]["most"]
    assert told("--keys", "50")["dials"] >= 50 > plain["dials"]
    assert told("--profile", "http-client")["profile"] == "http-client"
    assert told("--set", "max_uses=1")["reused"] == 0 < plain["reused"]
    fixed, spread = (told("--service", word, "--max", "6") for word in ("fixed", "lognormal"))
    assert fixed["wait_ms"]["mean"] < spread["wait_ms"]["mean"]
    part = told("--from", "0s")
    assert part["arrivals"] == plain["arrivals"]
    loose, tight = (json.loads(run("simulate", "--rate", "50", "--for", "1m", "--json", "--target",
                                   target).stdout)["advice"]["max_per_key"] for target in ("1s", "1ms"))
    assert loose < tight


def test_a_part_of_a_trace(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("1000,5\n1060,7\n1120,9\n")
    words = ("simulate", str(path), "--no-advice", "--json")
    assert json.loads(run(*words, "--from", "1m", "--to", "2m").stdout)["arrivals"] == 7
    nothing = run(*words, "--from", "1h")
    assert nothing.returncode == 2 and "between --from and --to" in nothing.stderr


def test_svg(tmp_path):
    path = tmp_path / "plot.svg"
    trace = tmp_path / "a<b&c.csv"
    trace.write_text("0,500,80\n10,500,80\n")
    assert run("simulate", str(trace), "--svg", str(path), "--max", "4").returncode == 0
    root = xml.parse(path).getroot()
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert str(trace) in texts and "max_per_key" in texts and "callers waiting" in texts
    lost = run("simulate", *QUICK, "--svg", str(tmp_path / "no" / "plot.svg"))
    assert lost.returncode == 1 and "No such file" in lost.stderr or "no such file" in lost.stderr


@pytest.mark.parametrize("text, line, why", [
    ("", None, "there is no interval in it"),
    ("second,arrivals\n0,12\n10,twelve\n", 3, 'arrivals is not a whole number: "twelve"'),
    ("second,arrivals\n10,1\n\n5,1\n", 4, "second does not grow: 5 after 10"),
    ("time,arrivals\n0,1\n", 1, 'there is no column "time"'),
    ("0,1,2,3\n", 1, "4 columns without names"),
    ("0,0\n60,0\n", None, "nobody arrives in it"),
    ("\x00\x01\x02,\xff\n", 1, "there is no column"),
])
def test_bad_traces(tmp_path, text, line, why):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    done = run("simulate", str(path))
    assert done.returncode in (1, 2) and done.stdout == ""
    assert why in done.stderr and str(path) in done.stderr
    assert line is None or done.stderr.startswith(f"{path}:{line}: ")


def test_bad_files(tmp_path):
    lost = run("simulate", str(tmp_path / "lost.csv"))
    assert lost.returncode == 1 and "lost.csv: " in lost.stderr
    assert run("simulate", str(tmp_path)).returncode == 1


@pytest.mark.parametrize("words, why", [
    ((), "needs a file, or --rate"),
    (("x.csv", "--rate", "5"), "needs a file, or --rate"),
    (("x.csv", "y.csv"), "one trace at a time: y.csv"),
    (("x.csv", "--for", "5m"), "--for goes with --rate"),
    (("--rate", "0"), "--rate is arrivals a second"),
    (("--rate", "5x"), "--rate is arrivals a second"),
    (("--rate", "5-"), "--rate is arrivals a second"),
    (("--rate", "5000000"), "--rate is arrivals a second"),
    (("--rate", "5", "--for", "10"), "--for is a time"),
    (("--rate", "5", "--for", "10ms"), "--for is a time"),
    (("--rate", "5", "--from", "x"), "--from is a time"),
    (("--rate", "5", "--to", "x"), "--to is a time"),
    (("--rate", "5", "--hold", "fast"), "--hold is a time"),
    (("--rate", "5", "--dial", "fast"), "--dial is a time"),
    (("--rate", "5", "--target", "1h"), "--target is a time"),
    (("--rate", "5", "--service", "normal"), "--service is exponential, fixed or lognormal: normal"),
    (("--rate", "5", "--keys", "0"), "--keys is a number"),
    (("--rate", "5", "--max", "0"), "--max is a number"),
    (("--rate", "5", "--min", "x"), "--min is a number"),
    (("--rate", "5", "--seed", "x"), "--seed is a number"),
    (("--rate", "5", "--profile", "fast"), "there is no such profile: fast"),
    (("--rate", "5", "--set", "idle_timeuot=5s"), "--set takes pool options"),
    (("--rate", "5", "--set", "idle_timeout"), "--set takes pool options"),
    (("--rate", "5", "--max", "4", "--min", "9"), "the pool cannot have this value of: size_min"),
    (("--rate", "5", "--nonsense"), "there is no option --nonsense"),
    (("--rate",), "--rate needs a value"),
])
def test_what_is_not_understood(words, why):
    done = run("simulate", *words)
    assert done.returncode == 2 and done.stdout == ""
    assert why in done.stderr
