#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/metrics.md, the families of /metrics, as a running gateway shows them.

    tools/metrics.py WEIR            write it
    tools/metrics.py WEIR --check    say what is missing in it, what is wrong with a family, and which one no test names
"""
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "metrics.md"
LABELS = set("""pool upstream endpoint account listener protocol state reason code phase alert result version node log
                client proxy kind le""".split())
UNITS = ("_seconds", "_bytes", "_ratio", "_info")
CONFIG = """admin: {{address: "unix:{0}/admin"}}
log: {{access: off, level: error}}
listeners: [{{name: web, address: "127.0.0.1:{1}", routes: [{{upstream: api}}]}}]
upstreams: [{{name: api, endpoints: [{{url: "http://127.0.0.1:9"}}], accounts: [{{name: a1, headers: {{x-api-key: k}}}}]}},
  {{name: claw, protocol: openclaw, openclaw: {{token: t}}, proxy: "socks5://127.0.0.1:9", endpoints: [{{url: "http://127.0.0.1:9"}}]}}]
"""


def ask(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    return body.decode()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def page_of(weir):
    """What /metrics says of a gateway that has just started; None: somebody else was given its port."""
    with tempfile.TemporaryDirectory(prefix="weir-metrics-") as room:
        (pathlib.Path(room) / "weir.yaml").write_text(CONFIG.format(room, free_port()))
        process = subprocess.Popen([weir, "serve", "-c", f"{room}/weir.yaml"], stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        try:
            while process.poll() is None and time.monotonic() < end:
                try:
                    return ask(f"{room}/admin")
                except OSError:
                    time.sleep(0.02)
            return None
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def families_of(text):
    """{name: (type, help, labels)}, in their order, and what is wrong."""
    families, wrong, name = {}, [], None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, said = line[7:].split(" ", 1)
            wrong += [f"{name}: comes twice"] if name in families else []
            families[name] = [None, said, []]
        elif line.startswith("# TYPE "):
            families[name][0] = line.split()[3]
        else:
            sample = line.split("{")[0].split(" ")[0]
            if re.sub("_(bucket|sum|count)$", "", sample) != name and sample != name:
                wrong.append(f"{sample}: without a family of its own")
            for label in re.findall(r'[{,](\w+)="', line):
                if label != "le" and label not in families[name][2]:
                    families[name][2].append(label)
    for name, (kind, said, labels) in families.items():
        if not name.startswith("weir_") or kind is None or not said.endswith("."):
            wrong.append(f"{name}: no weir_, no TYPE, or no sentence")
        if (kind == "counter") != name.endswith("_total"):
            wrong.append(f"{name}: a {kind}")
        if kind == "histogram" and not name.endswith(UNITS):
            wrong.append(f"{name}: without a unit")
        wrong += [f"{name}: label {label} has no bound that is known" for label in labels if label not in LABELS]
    return families, wrong


def markdown_of(families):
    lines = ["# Metrics", "", "What `GET /metrics` shows: every family from the start, whatever there is to count. Labels are",
             "bounded: no path, session or key is one, and `metrics.max_series` bounds what is left. Written by tools/metrics.py:",
             "`make reference`.", "", "| family | type | labels | |", "|---|---|---|---|"]
    for name, (kind, said, labels) in families.items():
        said = said.replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {said} |")
    return "\n".join(lines) + "\n"


# Counters of the library that hardly any gateway can be made to move: by which word a unit test sees each.
COUNTED_BY = {"weir_pool_overdue_total": "lease_overdue", "weir_pool_events_lost_total": "events_lost",
              "weir_redis_repeats_total": "repeated"}


def unseen(families):
    """Families that no test names: nobody has seen them change."""
    tests = [*ROOT.glob("test/**/*.py"), *ROOT.glob("test/**/*.c"), *ROOT.glob("src/*/*_test.c")]
    words = set(re.findall(r"\w+", "\n".join(path.read_text(errors="replace") for path in tests)))
    for family in families:
        names = [COUNTED_BY.get(family, family), *(family + end for end in ("_bucket", "_sum", "_count"))]
        if not words.intersection(names):
            yield f"{family} is named by no test: it needs one that sees it change"


def main():
    text = next(filter(None, (page_of(sys.argv[1]) for _ in range(5))))
    families, wrong = families_of(text)
    text = markdown_of(families)
    if sys.argv[2:] != ["--check"]:
        PAGE.write_text(text)
    elif not PAGE.is_file() or PAGE.read_text() != text:
        shown = PAGE.read_text().splitlines() if PAGE.is_file() else []
        wrong += [f"not in {PAGE.name}: {line}" for line in text.splitlines() if line not in shown]
        wrong += [f"no longer there: {line}" for line in shown if line not in text.splitlines()]
    if sys.argv[2:] == ["--check"]:
        wrong += unseen(re.findall(r"^\| `(weir_\w+)`", text, re.M))
    print("\n".join(f"metrics: {line}" for line in wrong) or f"metrics: {len(families)} families")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
