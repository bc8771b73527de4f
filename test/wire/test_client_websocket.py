# SPDX-License-Identifier: Apache-2.0
"""The library's WebSockets (ws_tool.c) against real ones: python3-websockets and node's ws, as servers and as
clients, plain and over TLS, with and without permessage-deflate."""
import asyncio
import contextlib
import json
import os
import pathlib
import ssl
import subprocess
import threading

import pytest
import websockets

import certs
from weirtest import ROOT

TOOL = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "test/ws_tool"
NODE = pathlib.Path(__file__).parent / "wspeer.js"
SIZES = (0, 1, 125, 126, 65535, 65536, 3_000_000)
TIMEOUT = 60
WITH_WS = {**os.environ, "NODE_PATH": "/usr/share/nodejs"}  # where Debian puts node's modules


def tool(*arguments):
    done = subprocess.run([TOOL, *map(str, arguments)], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def started(*command):
    """A server that prints its port and ends with its input: the port, and what it says at the end."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                               env=WITH_WS)
    said = {}
    try:
        yield int(process.stdout.readline()), said
        process.stdin.close()
        if command[0] == TOOL:
            said.update(json.loads(process.stdout.readline()))
            assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def python_server(compression, tls=None):
    """python3-websockets on a thread of its own."""
    loop = asyncio.new_event_loop()
    port, stop = loop.create_future(), asyncio.Event()
    ready = threading.Event()

    async def echo(ws):
        async for message in ws:
            await ws.send(message)

    async def serve():
        async with websockets.serve(echo, "127.0.0.1", 0, compression=compression, ssl=tls, max_size=1 << 26,
                                    subprotocols=["chat"]) as server:
            port.set_result(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(TIMEOUT)
    try:
        yield port.result()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(TIMEOUT)
        loop.close()


def deflate_of(compression):
    return ["--deflate"] if compression else []


# --- our client ----------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_python_server(compression):
    with python_server(compression) as port:
        for size in SIZES:
            said = tool(*deflate_of(compression), "--protocol", "chat", "client", f"ws://127.0.0.1:{port}/", 6, size)
            assert said == {"same": 6, "deflate": bool(compression), "protocol": "chat", "err": "ok", "code": 1000,
                            "status": 0, "reason": "done"}, size


def test_python_server_that_was_not_asked_for_deflate():
    with python_server("deflate") as port:
        said = tool("client", f"ws://127.0.0.1:{port}/", 6, 5000)
        assert said["same"] == 6 and not said["deflate"]


@pytest.mark.parametrize("deflate", [[], ["deflate"]])
def test_node_server(deflate):
    with started("node", NODE, "server", *deflate) as (port, _):
        for size in SIZES:
            said = tool(*deflate_of(deflate), "client", f"ws://127.0.0.1:{port}/", 6, size)
            assert (said["same"], said["deflate"], said["err"], said["code"]) == (6, bool(deflate), "ok", 1000), size


def test_over_tls():
    with certs.Authority() as authority:
        certificate, key = authority.sign("localhost", "127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        with python_server(None, context) as port:
            said = tool("--ca", authority.certificate, "client", f"wss://localhost:{port}/", 6, 100_000)
            assert said["same"] == 6 and said["err"] == "ok"
            assert tool("client", f"wss://localhost:{port}/", 1, 1)["err"] == "tls_untrusted"


# --- our server ----------------------------------------------------------------------------------


async def ask_python(url, compression, size, **more):
    pattern = bytes(97 + i * i % 23 for i in range(size))
    async with websockets.connect(url, compression=compression, max_size=1 << 26, **more) as ws:
        for message in (pattern.decode(), pattern) * 3:
            await ws.send(message)
            assert await ws.recv() == message
        assert bool(ws.extensions) == bool(compression)
        await (await ws.ping())
    return ws.close_code


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_python_client(compression):
    with started(TOOL, *deflate_of(compression), "server") as (port, said):
        for size in SIZES:
            assert asyncio.run(ask_python(f"ws://127.0.0.1:{port}/", compression, size)) == 1000
    assert said["accepted"] == said["closed"] == len(SIZES) and said["total"] == 0
    assert said["messages_in"] == said["messages_out"] == 6 * len(SIZES)


@pytest.mark.parametrize("deflate", [[], ["deflate"]])
def test_node_client(deflate):
    with started(TOOL, *deflate_of(deflate), "server") as (port, _):
        for size in SIZES:
            done = subprocess.run(["node", NODE, "client", f"ws://127.0.0.1:{port}/", "6", str(size), *deflate],
                                  capture_output=True, text=True, timeout=TIMEOUT, check=True, env=WITH_WS)
            assert json.loads(done.stdout) == {"same": 6, "code": 1000, "deflate": bool(deflate)}, size


def test_python_client_over_tls():
    with certs.Authority() as authority:
        certificate, key = authority.sign("localhost")
        context = ssl.create_default_context(cafile=authority.certificate)
        with started(TOOL, "--pair", certificate, key, "server") as (port, _):
            assert asyncio.run(ask_python(f"wss://localhost:{port}/", None, 70_000, ssl=context)) == 1000


def test_a_hundred_at_once():
    async def all_of_them(port):
        return await asyncio.gather(*(ask_python(f"ws://127.0.0.1:{port}/", None, 1000) for _ in range(100)))

    with started(TOOL, "server") as (port, said):
        assert asyncio.run(all_of_them(port)) == [1000] * 100
    assert said["accepted"] == said["closed"] == 100
