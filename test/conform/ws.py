#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""make conform-ws: WebSocket, frame by frame.

    test/conform/ws.py [--only WORDS] [--target relay|server|client] [--without-controls]

Whoever accepts, by the cases of SERVER: the relay, with a strict server behind it (what the relay leaves to the ends
- text, and what is deflated - is judged there, and must come back through it); the library's server. Whoever dials, by
those of CLIENT: the relay's side towards its upstream, with a strict client before it; the library's client.
python3-websockets and node's ws go the same way as controls, both as servers and as clients. What a control fails is
shown beside; a case that all controls fail has its reason in WHY. Fails where weir fails a case.

The library takes part as a program (test/wire/ws_tool.c): `serve PORT`, and `dial`, which reads URLs from its input, a
line each; both send back every message.
"""
import argparse
import asyncio
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "test" / "wire"), str(ROOT / "test" / "conform")]

import websockets  # noqa: E402

import peers  # noqa: E402
import ws_base  # noqa: E402
import ws_cases  # noqa: E402, F401
import ws_messages  # noqa: E402, F401
from weirtest import Upstream, Weir, free_port, wait_for  # noqa: E402
from wsraw import WsPeer  # noqa: E402

MESSAGE_MAX = 4 << 20
TOOL = ROOT / "build" / "dev" / "test" / "ws_tool"
ECHO = [str(TOOL), "--deflate", "--max", str(MESSAGE_MAX)]
# Cases that all controls fail, and why weir does not.
FORM = "they do not look at the form of a length"
WHY = {
    "4.2.1 refused: a body": "they read what follows the head as frames",
    "4.2.1 refused: a chunked body": "they read what follows the head as frames",
    "4.2.1 refused: no Host": "they do not look for it; weir is a server of HTTP/1.1 first (RFC 9112 §3.2)",
    "4.2.1 refused: two Hosts": "they do not look for it; weir is a server of HTTP/1.1 first (RFC 9112 §3.2)",
    "4.4 a version that is not spoken is told which is": "they answer 400 without it",
    **{f"5.2 a length of {length} in {size} bytes is not the shortest form": FORM
       for size, length in ((2, 0), (2, 1), (2, 125), (8, 0), (8, 125), (8, 126), (8, 65535))},
}

NODE = """
const { WebSocketServer, WebSocket } = require('ws');
const options = { maxPayload: %d, perMessageDeflate: { threshold: 0 } };
if (process.argv[1] === 'serve') {
  new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), ...options }).on('connection', (ws) => {
    ws.on('error', () => {});
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
} else {
  require('readline').createInterface({ input: process.stdin }).on('line', (url) => {
    const ws = new WebSocket(url, options);
    ws.on('error', () => {});
    ws.on('message', (data, binary) => ws.send(data, { binary }));
  });
}
""" % MESSAGE_MAX


class Loop:
    """asyncio in a thread of its own: python3-websockets as a server and as a client."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    @staticmethod
    async def _echo(ws, _path=None):
        try:
            async for message in ws:
                await ws.send(message)
        except websockets.ConnectionClosed:
            pass

    def serve(self):
        server = self.run(self._serve())
        return server.sockets[0].getsockname()[1]

    async def _serve(self):
        return await websockets.serve(self._echo, "127.0.0.1", 0, max_size=MESSAGE_MAX, ping_interval=None, close_timeout=2)

    def dial(self, url):
        asyncio.run_coroutine_threadsafe(self._dial(url), self.loop)

    async def _dial(self, url):
        try:
            async with websockets.connect(url, max_size=MESSAGE_MAX, ping_interval=None, close_timeout=2, compression=None) as ws:
                await self._echo(ws)
        except (OSError, websockets.WebSocketException, asyncio.TimeoutError):
            pass  # what the server's end saw of it is judged


class Dialler:
    """A program that dials what it is told to."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        text=True, env=NODE_ENV)
        self.lock = threading.Lock()

    def dial(self, url):
        with self.lock:
            self.process.stdin.write(url + "\n")
            self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(10)


NODE_ENV = dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs")


class Waiting:
    """The server that clients dial: each case has a path of its own, and is met there by its script."""

    def __init__(self):
        self.scripts, self.results, self.lock = {}, {}, threading.Lock()
        self.upstream = Upstream(self._serve)

    def _serve(self, peer):
        head = peer.head()
        if head is None:
            return
        number = head.split(b" ")[1].strip(b"/").decode()
        with self.lock:
            script, done = self.scripts.pop(number)
        ws = WsPeer(peer, head).accept()
        end = ws_base.End(peer.sock, ws.reader.buffer, None)
        done.set_result(judged(lambda: script(end)))

    def expect(self, number, script):
        done = concurrent.futures.Future()
        with self.lock:
            self.scripts[number] = (script, done)
        return done


def judged(function):
    try:
        function()
        return None
    except AssertionError as error:
        return str(error) or "failed"
    except Exception as error:  # what a broken answer makes of the reader is a failure, too
        return f"{type(error).__name__}: {error}"


def run_server(cases, port):
    def one(case):
        target = ws_base.Target(port)
        try:
            return judged(lambda: case[1](target))
        finally:
            target.close()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(zip([n for n, _ in cases], pool.map(one, cases)))


_numbers = iter(range(1 << 30))


def run_client(cases, waiting, dial, port):
    def one(case):
        number = str(next(_numbers))
        done = waiting.expect(number, case[1])
        dial(f"ws://127.0.0.1:{port}/{number}")
        try:
            return done.result(20)
        except concurrent.futures.TimeoutError:
            return "it never came"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        return dict(zip([n for n, _ in cases], pool.map(one, cases)))


def relay_server(loop, cases):
    options = {"listener": {"websocket": {"max_message": MESSAGE_MAX}},
               "upstream_pool": {"max_connections": 300, "max_per_endpoint": 300}, "pool": {"headers_timeout": "2s"}}
    with Weir([f"http://127.0.0.1:{loop.serve()}"], **options) as weir:
        got = run_server(cases, weir.port)
        wait_for(lambda: weir.metric("weir_websocket_open") == 0, "every channel to end")
    return got


def relay_client(loop, waiting, cases):
    with Weir(waiting.upstream, upstream_pool={"max_connections": 300, "max_per_endpoint": 300}) as weir:
        got = run_client(cases, waiting, loop.dial, weir.port)
        wait_for(lambda: weir.metric("weir_websocket_open") == 0, "every channel to end")
    return got


def node_server(cases):
    port = free_port()
    command = [peers.find("node", "nodejs"), "-e", NODE, "serve", str(port)]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=NODE_ENV)
    try:
        wait_for(lambda: peers.accepts(port), "node to listen")
        return run_server(cases, port)
    finally:
        server.terminate()
        server.wait(10)


def with_dialler(command, waiting, cases):
    dialler = Dialler(command)
    try:
        return run_client(cases, waiting, dialler.dial, waiting.upstream.port)
    finally:
        dialler.stop()


def library_server(cases):
    port = free_port()
    with peers.Server([*ECHO, "serve", str(port)], port):
        return run_server(cases, port)


def report(cases, results, side):
    """How many cases weir fails."""
    ours = [who for who in results if who.startswith("weir")]
    controls = [who for who in results if who not in ours]
    failed = 0
    for name, _ in cases:
        bad = {who: got[name] for who, got in results.items() if got[name] is not None}
        is_bad = any(who in bad for who in ours)
        failed += is_bad
        if bad:
            print(f"{'FAIL' if is_bad else '    '} {side}, {name}")
            for who, why in bad.items():
                print(f"        {who}: {why}")
            if controls and all(who in bad for who in controls):
                print(f"        all controls: {WHY.get(name, 'NOT EXPLAINED')}")
                failed += name not in WHY and not is_bad
    for who, got in results.items():
        print(f"{who}, as {side}: {sum(v is None for v in got.values())} of {len(got)} cases pass")
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--target", choices=["relay", "server", "client"])
    parser.add_argument("--without-controls", action="store_true")
    args = parser.parse_args()
    as_server = [(n, c) for n, c in ws_base.SERVER if args.only in n]
    as_client = [(n, c) for n, c in ws_base.CLIENT if args.only in n]
    loop, waiting = Loop(), Waiting()
    servers, clients = {}, {}
    if args.target in (None, "relay"):
        servers["weir, the relay"] = relay_server(loop, as_server)
        clients["weir, the relay"] = relay_client(loop, waiting, as_client)
    if args.target in (None, "server"):
        servers["weir, the library"] = library_server(as_server)
    if args.target in (None, "client"):
        clients["weir, the library"] = with_dialler([*ECHO, "dial"], waiting, as_client)
    if not args.without_controls:
        servers["python3-websockets"] = run_server(as_server, loop.serve())
        servers["node's ws"] = node_server(as_server)
        clients["python3-websockets"] = run_client(as_client, waiting, loop.dial, waiting.upstream.port)
        clients["node's ws"] = with_dialler([peers.find("node", "nodejs"), "-e", NODE, "dial"], waiting, as_client)
    failed = report(as_server, servers, "server") + report(as_client, clients, "client")
    print(f"{failed} failures, {len(as_server)} cases for who accepts, {len(as_client)} for who dials")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
