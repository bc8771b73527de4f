#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make conform-h2: both sides of weir, frame by frame.

    test/conform/h2.py [--only WORDS] [--without-controls]

The listener: h2_cases.py and h2_messages.py, and nghttpd and nginx as controls in the same run. What a control fails
is shown beside; a case that both fail has its reason in WHY. The connector: h2_upstream.py, the same turned round.
Fails where weir fails a case of either side.
"""
import argparse
import concurrent.futures
import pathlib
import shutil
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "test" / "wire"), str(ROOT / "test" / "conform")]

import h2raw  # noqa: E402
import h2_base  # noqa: E402
import h2_cases  # noqa: E402, F401
import h2_messages  # noqa: E402, F401
import h2_upstream  # noqa: E402
import peers  # noqa: E402
from weirtest import Upstream, Weir, free_port  # noqa: E402

PATIENCE = 4  # s for what is expected
BIG = b"0123456789" * 30000
# Cases that both controls fail, and why weir does not.
WHY = {
    "4.2 CONTINUATION beyond SETTINGS_MAX_FRAME_SIZE ends the connection":
        "they end it, too, but for what is in the frame, which they have looked at before its length",
    "8.3.1 user information in :authority is malformed":
        "they serve files whatever the authority says; weir routes by it, and passes it on",
}


class Connection(h2raw.H2):
    def drain_until(self, condition, deadline=PATIENCE):
        end = time.monotonic() + deadline
        while not condition() and not self.closed and time.monotonic() < end:
            self.take(min(0.1, max(0, end - time.monotonic())))


class Target:
    def __init__(self, port):
        self.port, self.opened = port, []

    def open(self, **options):
        connection = Connection(self.port, **options)
        self.opened.append(connection)
        return connection

    def close(self):
        for connection in self.opened:
            connection.sock.close()


def upstream_script(peer):
    while True:
        got = peer.request()
        if got is None:
            return
        head = got[0]
        if b" /big " in head:
            peer.ok(BIG)
        elif b" /slow " in head:
            while peer.recv():  # no answer: the stream is open until its client has gone
                pass
            return
        elif head.startswith(b"HEAD"):
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        else:
            peer.ok()


def controls(directory):
    """Name and port of each, and what stops it."""
    files = pathlib.Path(directory)
    (files / "index.html").write_bytes(b"ok")
    (files / "post").write_bytes(b"ok")
    (files / "slow").write_bytes(BIG)
    (files / "big").write_bytes(BIG)
    found = {}
    if shutil.which("nghttpd"):
        port = free_port()
        found["nghttpd"] = peers.Server([shutil.which("nghttpd"), "--no-tls", "-d", directory, str(port)], port)
    if shutil.which("nginx", path="/usr/sbin:/usr/bin"):
        port = free_port()
        (files / "nginx.conf").write_text(f"""
daemon off; master_process off; pid {directory}/pid; error_log stderr crit;
events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {directory}/t1; proxy_temp_path {directory}/t2; fastcgi_temp_path {directory}/t3;
  uwsgi_temp_path {directory}/t4; scgi_temp_path {directory}/t5;
  server {{ listen 127.0.0.1:{port} http2; root {directory}; location = /post {{ return 200 "ok"; }} location = / {{ return 200 "ok"; }} }} }}
""")
        found["nginx"] = peers.Server([shutil.which("nginx", path="/usr/sbin:/usr/bin"), "-e", "stderr", "-p", directory, "-c",
                                       str(files / "nginx.conf")], port)
    return found


def run(case, port):
    target = Target(port)
    try:
        case(target)
        return None
    except AssertionError as error:
        return str(error) or "failed"
    except Exception as error:  # what a broken answer makes of the reader is a failure, too
        return f"{type(error).__name__}: {error}"
    finally:
        target.close()


def run_all(cases, port, workers):
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        return dict(zip([n for n, _ in cases], pool.map(lambda c: run(c[1], port), cases)))


def turned_round(only):
    """What each case of the connector came to: None, or what was wrong. One weir has them all behind it."""
    servers = {name: h2_upstream.RawServer(said) for name, (_, said) in h2_upstream.CASES.items() if only in name}
    ports = {"port": free_port(), "admin": free_port()}
    names = list(servers)
    config = {
        "workers": 1,
        "admin": {"address": f"127.0.0.1:{ports['admin']}"},
        "log": {"level": "warn", "access": "off"},
        "listeners": [{"name": "web", "address": f"127.0.0.1:{ports['port']}",
                       "routes": [{"match": {"path": f"/{i}"}, "upstream": f"u{i}"} for i in range(len(names))]}],
        "upstreams": [{"name": f"u{i}", "protocol": "h2", "endpoints": [{"url": servers[name].url}]}
                      for i, name in enumerate(names)],
    }

    def judged(weir, i):
        try:
            h2_upstream.judge(weir, servers[names[i]], h2_upstream.CASES[names[i]][0], f"/{i}")
            return None
        except Exception as error:  # an answer that cannot be read is a failure, too
            return f"{type(error).__name__}: {error}"

    try:
        if not names:
            return {}
        with Weir(config=config, ports=ports) as weir, concurrent.futures.ThreadPoolExecutor(8) as pool:
            return dict(zip(names, pool.map(lambda i: judged(weir, i), range(len(names)))))
    finally:
        for server in servers.values():
            server.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--without-controls", action="store_true")
    args = parser.parse_args()
    cases = [(n, c) for n, c in h2_base.CASES if args.only in n]
    results = {}
    with Upstream(upstream_script) as up, tempfile.TemporaryDirectory(prefix="weir-conform-") as directory:
        with Weir(up, upstream_pool={"max_connections": 300, "max_per_endpoint": 300}) as weir:
            results["weir"] = run_all(cases, weir.port, 8)
        for name, server in ({} if args.without_controls else controls(directory)).items():
            with server:
                results[name] = run_all(cases, server.port, 8)
    failed = 0
    for name, _ in cases:
        bad = {who: got[name] for who, got in results.items() if got[name] is not None}
        failed += "weir" in bad
        if bad:
            print(f"{'FAIL' if 'weir' in bad else '    '} {name}")
            for who, why in bad.items():
                print(f"        {who}: {why}")
            if len(results) > 2 and all(who in bad for who in results if who != "weir"):
                print(f"        both controls: {WHY.get(name, 'NOT EXPLAINED')}")
                failed += name not in WHY
    round_about = turned_round(args.only)
    for name, why in round_about.items():
        if why is not None:
            print(f"FAIL connector, {name}\n        weir: {why}")
            failed += 1
    for who, got in (*results.items(), ("weir's connector", round_about)):
        side = "" if got is round_about else ", as a server"
        print(f"{who}{side}: {sum(v is None for v in got.values())} of {len(got)} cases pass")
    print(f"{failed} failures, {len(results['weir'])} cases against the listener, {len(round_about)} against the connector")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
