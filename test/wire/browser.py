# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by what it speaks itself (the DevTools protocol) over one WebSocket.

One Browser serves many tests: each takes a page(), which has cookies, storage and a size of its own.
Everything is waited for: until() asks the page again until it says something true.
"""
import asyncio
import base64
import contextlib
import itertools
import json
import os
import pathlib
import re
import subprocess
import tempfile
import threading
import time

import websockets

import peers

DEADLINE = 60.0  # seconds, for anything a page is waited for: a loaded machine is slow, not wrong
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--disable-sync",
             "--disable-default-apps", "--mute-audio", "--no-proxy-server", "--remote-debugging-port=0")


class Browser:
    def __init__(self):
        self.home = tempfile.TemporaryDirectory(prefix="weir-browser-")
        self.process = subprocess.Popen(
            [peers.find("chromium", "chromium"), *ARGUMENTS, f"--user-data-dir={self.home.name}/profile", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            env=dict(os.environ, HOME=self.home.name))
        self.numbers, self.answers, self.pages = itertools.count(1), {}, {}
        address = ""
        for line in self.process.stderr:
            found = re.search(r"DevTools listening on (ws://\S+)", line)
            if found:
                address = found[1]
                break
        assert address, "the browser ended before it listened"
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.socket = self._wait(self._connect(address))
        asyncio.run_coroutine_threadsafe(self._read(), self.loop)

    def _wait(self, what):
        async def bounded():
            return await asyncio.wait_for(what, DEADLINE)
        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result(DEADLINE + 10)

    async def _connect(self, address):
        return await websockets.connect(address, max_size=None, ping_interval=None, open_timeout=DEADLINE)

    async def _read(self):
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if "id" in message:
                    waiting = self.answers.pop(message["id"], None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(message)
                elif message.get("sessionId") in self.pages:
                    self.pages[message["sessionId"]].heard(message)

    def call(self, method, session=None, **params):
        async def ask():
            number = next(self.numbers)
            self.answers[number] = self.loop.create_future()
            message = {"id": number, "method": method, "params": params}
            await self.socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
            return await self.answers[number]
        answer = self._wait(ask())
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def page(self):
        return Page(self)

    def close(self):
        with contextlib.suppress(Exception):
            self.call("Browser.close")
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.loop.call_soon_threadsafe(self.loop.stop)
        with contextlib.suppress(OSError):  # what is left of it writes there for a moment
            self.home.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.context = browser.call("Target.createBrowserContext")["browserContextId"]
        self.target = browser.call("Target.createTarget", url="about:blank", browserContextId=self.context)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        self.complaints, self.requests = [], []
        browser.pages[self.session] = self
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.size(1280, 900)

    def heard(self, message):
        """On the reader's thread."""
        method, params = message["method"], message["params"]
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["source"] in ("security", "violation", "javascript"):
            self.complaints.append(params["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"])

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def size(self, width, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def colours(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme},
                                                          {"name": "prefers-reduced-motion", "value": "reduce"}])

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", f"{url} to be there")

    def run(self, script):
        """The value of an expression of JavaScript; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails'].get('exception', {}).get('description')}")
        return answer["result"].get("value")

    def until(self, script, what=None, deadline=DEADLINE):
        end, pause = time.monotonic() + deadline, threading.Event()
        while True:
            with contextlib.suppress(AssertionError):  # the page may be between two documents
                value = self.run(script)
                if value:
                    return value
            if time.monotonic() > end:
                raise AssertionError(f"waited {deadline} s in vain for {what or script}: {self.run('document.body.innerText')[:2000]}")
            pause.wait(0.05)

    def text(self):
        return self.run("document.body.innerText")

    def click(self, script):
        """A real click in the middle of the element that the expression gives."""
        place = self.until(f"(() => {{ const e = {script}; if (!e) return null; e.scrollIntoView({{block: 'center'}});"
                           " const r = e.getBoundingClientRect(); return r.width && {x: r.x + r.width / 2, y: r.y + r.height / 2}; })()",
                           f"{script} to be clicked")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def type(self, text):
        self.call("Input.insertText", text=text)

    def key(self, key, code=None, text=None, number=0):
        params = {"key": key, "code": code or key, "windowsVirtualKeyCode": number}
        self.call("Input.dispatchKeyEvent", type="keyDown", **params, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **params)

    def picture(self, path):
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self):
        self.browser.pages.pop(self.session, None)
        self.browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
