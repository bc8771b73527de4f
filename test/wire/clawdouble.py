# SPDX-License-Identifier: Apache-2.0
"""A gateway that speaks OpenClaw's protocol 4 as far as clients see it: challenge, connect, hello-ok, requests in any
order, events, ticks, and what goes wrong, on request."""
import asyncio
import contextlib
import http
import json
import threading

import websockets

from weirtest import DEADLINE


class Claw:
    """One gateway on a thread of its own. `methods`: name -> function(params) -> payload, or raises Refused."""

    def __init__(self, token="T", port=0, tick_ms=30000, methods=None):
        self.token, self.port, self.tick_ms = token, port, tick_ms
        self.methods = {"health": lambda _: {"ok": True}, "echo": lambda params: params, **(methods or {})}
        self.connects, self.requests, self.paths, self.upgrades = [], [], [], []  # what clients said
        self.refuse = None  # (code, message, details, close code) instead of hello-ok
        self.hold = set()   # methods that are not answered until release()
        self.sockets = {}
        self._held = []
        self._ready, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(DEADLINE)
        return self

    def __exit__(self, *exc):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE)
        assert not self._thread.is_alive()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    async def _main(self):
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with websockets.serve(self._serve, "127.0.0.1", self.port, compression=None, max_size=1 << 26,
                                    process_request=self._plain) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    async def _plain(self, path, headers):
        if headers.get("Upgrade", "").lower() == "websocket":
            self.upgrades.append(path)
            return None
        self.paths.append(path)
        body = b'{"ready":true}' if path == "/readyz" else b"plain " + path.encode()
        return http.HTTPStatus.OK, [("Content-Type", "application/json")], body

    async def _send(self, ws, frame):
        with contextlib.suppress(websockets.ConnectionClosed):
            await ws.send(frame if isinstance(frame, str) else json.dumps(frame))

    async def _serve(self, ws, path="/"):
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._send(ws, {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n1", "ts": 1}})
            first = json.loads(await ws.recv())
            assert first["method"] == "connect", first
            self.connects.append(first["params"])
            auth = first["params"].get("auth", {})
            if self.refuse or auth.get("token") != self.token:
                code, message, details, close = self.refuse or (
                    "INVALID_REQUEST", "unauthorized: gateway token mismatch", {"code": "AUTH_TOKEN_MISMATCH"}, 1008)
                await self._send(ws, {"type": "res", "id": first["id"], "ok": False,
                                      "error": {"code": code, "message": message, "details": details}})
                await ws.close(close, message)
                return
            await self._send(ws, {"type": "res", "id": first["id"], "ok": True, "payload": {
                "type": "hello-ok", "protocol": 4, "server": {"version": "double"},
                "features": {"methods": sorted(self.methods), "events": ["tick", "chat"]}, "snapshot": {},
                "policy": {"maxPayload": 26214400, "maxBufferedBytes": 52428800, "tickIntervalMs": self.tick_ms}}})
            self.sockets[ws] = True
            try:
                ticks = asyncio.create_task(self._tick(ws))
                async for text in ws:
                    await self._answer(ws, json.loads(text))
            finally:
                ticks.cancel()
                self.sockets.pop(ws, None)

    async def _tick(self, ws):
        while True:
            await asyncio.sleep(self.tick_ms / 1000)
            await self._send(ws, {"type": "event", "event": "tick", "payload": {"ts": 1}})

    async def _answer(self, ws, frame):
        self.requests.append((frame["method"], frame.get("params")))
        if frame["method"] in self.hold:
            self._held.append((ws, frame))
            return
        await self._send(ws, self._result(frame))

    def _result(self, frame):
        answer = {"type": "res", "id": frame["id"], "ok": True}
        method = self.methods.get(frame["method"])
        if method is None:
            return {**answer, "ok": False, "error": {"code": "INVALID_REQUEST", "message": "unknown method"}}
        try:
            return {**answer, "payload": method(frame.get("params"))}
        except Refused as refused:
            return {**answer, "ok": False, "error": refused.args[0]}

    # --- from the test's thread

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(DEADLINE)

    def release(self):
        """Answers what is held, the last one first."""
        async def run():
            held, self._held = self._held[::-1], []
            for ws, frame in held:
                await self._send(ws, self._result(frame))
        self._run(run())

    def event(self, name, payload, **more):
        async def run():
            for ws in list(self.sockets):
                await self._send(ws, {"type": "event", "event": name, "payload": payload, **more})
        self._run(run())

    def say(self, text):
        async def run():
            for ws in list(self.sockets):
                await self._send(ws, text)
        self._run(run())

    def close(self, code=1012, reason="service restart"):
        async def run():
            for ws in list(self.sockets):
                await ws.close(code, reason)
        self._run(run())

    @property
    def open(self):
        return len(self.sockets)


class Refused(Exception):
    """Raised by a method with the error of its answer."""
