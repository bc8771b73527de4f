# SPDX-License-Identifier: Apache-2.0
"""WebSocket through the gateway between real peers: python3-websockets, node's ws, a browser."""
import asyncio
import json
import os
import subprocess
import tempfile
import threading

import pytest
import websockets

import peers
from weirtest import Upstream, Weir, free_port, wait_for
from wsraw import WsPeer, echo

NODE = """
const { WebSocketServer, WebSocket } = require('ws');
if (process.argv[1] === 'serve') {
  new WebSocketServer({ host: '127.0.0.1', port: Number(process.argv[2]), perMessageDeflate: { threshold: 0 } })
    .on('connection', (ws) => ws.on('message', (data, binary) => ws.send(data, { binary })));
} else {
  const ws = new WebSocket(process.argv[2], { perMessageDeflate: { threshold: 0 } });
  const wanted = ['hello', 'é'.repeat(70000), Buffer.alloc(300000, 7), ''];
  const got = [];
  ws.on('open', () => wanted.forEach((m) => ws.send(m)));
  ws.on('pong', () => { got.push('pong'); ws.close(4001, 'done'); });
  ws.on('message', (data, binary) => {
    const m = wanted[got.length];
    got.push(Buffer.from(m).equals(Buffer.from(data)) && binary === Buffer.isBuffer(m));
    if (got.length === wanted.length) ws.ping('x');
  });
  ws.on('close', (code) => console.log(JSON.stringify({ got, code, extensions: ws.extensions })));
}
"""
ENV = dict(os.environ, NODE_PATH="/usr/share/nodejs:/usr/lib/nodejs")


class NodeServer(peers.Server):
    def __init__(self):
        environment = dict(os.environ)
        os.environ["NODE_PATH"] = ENV["NODE_PATH"]
        port = free_port()
        super().__init__([peers.find("node", "nodejs"), "-e", NODE, "serve", str(port)], port)
        os.environ.clear()
        os.environ.update(environment)


class PythonServer:
    """python3-websockets in a thread."""

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self._serve(), self.loop).result(10)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def _serve(self):
        async def answer(ws, _path=None):
            async for message in ws:
                await ws.send(message)
        return await websockets.serve(answer, "127.0.0.1", 0, max_size=None, compression="deflate")

    def __exit__(self, *_):
        async def stop():
            self.server.close()
            await self.server.wait_closed()
        asyncio.run_coroutine_threadsafe(stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


SERVERS = {"websockets": PythonServer, "ws": NodeServer}


@pytest.mark.parametrize("server", SERVERS)
def test_node_as_a_client(server):
    with SERVERS[server]() as up, Weir([up.url]) as weir:
        done = subprocess.run([peers.find("node", "nodejs"), "-e", NODE, "dial", f"ws://127.0.0.1:{weir.port}/x"], env=ENV,
                              capture_output=True, text=True, timeout=30, check=False)
        said = json.loads(done.stdout)
        assert said["got"] == [True] * 4 + ["pong"] and said["code"] in (4001, 1000), said
        assert "permessage-deflate" in said["extensions"]
        line = wait_for(weir.access, "the log")[0]
        assert line["websocket"]["client"]["messages"] == 4 and not line["cut"], line


@pytest.mark.parametrize("server", SERVERS)
def test_websockets_as_a_client(server):
    async def talk(port):
        async with websockets.connect(f"ws://127.0.0.1:{port}/x", max_size=None) as ws:
            for message in ("hello", "é" * 70000, b"\7" * 300000, ""):
                await ws.send(message)
                assert await ws.recv() == message
            await asyncio.wait_for(await ws.ping(), 10)
        return ws.close_code

    with SERVERS[server]() as up, Weir([up.url]) as weir:
        assert asyncio.run(talk(weir.port)) == 1000
        line = wait_for(weir.access, "the log")[0]
        assert line["websocket"]["client"]["messages"] == 4 and not line["cut"], line


PAGE = """<!doctype html><script>
const got = [];
const ws = new WebSocket(`ws://${location.host}/ws`, ['b', 'a']);
ws.binaryType = 'arraybuffer';
ws.onopen = () => { ws.send('héllo'); ws.send(new Uint8Array(100000).fill(9)); };
ws.onmessage = (e) => {
  got.push(typeof e.data === 'string' ? e.data : e.data.byteLength);
  if (got.length === 2) ws.close(4002, 'bye');
};
ws.onclose = (e) => fetch('/result', { method: 'POST',
  body: JSON.stringify({ got, code: e.code, clean: e.wasClean, protocol: ws.protocol, extensions: ws.extensions }) });
</script>"""


def test_a_browser():
    results = []

    def script(peer):
        while (got := peer.request()) is not None:
            head, body = got
            if b"upgrade: websocket" in head.lower():
                echo(WsPeer(peer, head).accept(headers="Sec-WebSocket-Protocol: a\r\n"))
                return
            if head.startswith(b"POST /result"):
                results.append(json.loads(body))
            peer.ok(PAGE.encode() if head.startswith(b"GET / ") else b"", "Content-Type: text/html; charset=utf-8\r\n")
    with Upstream(script) as up, Weir(up) as weir, tempfile.TemporaryDirectory(prefix="weir-browser-") as home:
        browser = subprocess.Popen(
            [peers.find("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", f"--user-data-dir={home}/profile", "--remote-debugging-port=0",
             f"http://127.0.0.1:{weir.port}/"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, HOME=home))
        try:
            wait_for(lambda: results, "the browser's word", deadline=60)
        finally:
            browser.terminate()
            browser.wait(20)
        assert results[0] == {"got": ["héllo", 100000], "code": 4002, "clean": True, "protocol": "a", "extensions": ""}
        lines = wait_for(lambda: [line for line in weir.access() if line["status"] == 101], "the log")
        assert lines[0]["websocket"]["client"] == {"messages": 2, "pings": 0, "code": 4002}
