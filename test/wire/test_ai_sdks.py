# SPDX-License-Identifier: Apache-2.0
"""The official SDKs of two AI APIs, from the npm registry, through the gateway: whole answers, streams with heartbeats in
them, one that is left, an error of the gateway's own; and what all that took."""
import json
import os
import pathlib
import subprocess
import threading

import peers
import pytest
from test_streams import DEADLINE, EVENTS, PING, Api, data, event, tokens, until
from weirtest import ROOT, Weir, wait_for

PACKAGES = ("@anthropic-ai/sdk@0.60.0", "openai@5.20.0")
SCRIPT = pathlib.Path(__file__).with_name("aisdks.js")


@pytest.fixture(scope="module", name="place")
def installed():
    """Where they are; installed once for a build directory's tests."""
    home = pathlib.Path(os.environ.get("WEIR_BUILD", ROOT / "build/dev")) / "npm" / "ai-sdks"
    if not (home / "node_modules/openai/package.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([peers.find("npm", "npm"), "install", *PACKAGES, "--no-audit", "--no-fund", "--ignore-scripts",
                               "--no-save"], cwd=home, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return home


class Gate(threading.Event):
    """Where a stream stands still until some heartbeats have passed."""


def let_pass(clock, gates):
    """Each gate opens once the clock, a stream of the same worker's, has had four heartbeats since it was reached."""
    for gate in gates:
        assert gate.reached.wait(DEADLINE)
        until(clock, PING, clock.buffer.count(PING) + 4)
        gate.set()


def gates_of(count):
    made = [Gate() for _ in range(count)]
    for gate in made:
        gate.reached = threading.Event()
    return made


def test_sdks(place):
    gates = gates_of(4)
    begin = event("message_start", message={"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                                            "content": [], "usage": {"input_tokens": 25, "output_tokens": 1}})
    text = [event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})]
    finish = [event("content_block_stop", index=0),
              event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 15}),
              event("message_stop")]
    never, end = threading.Event(), threading.Event()
    accounts = [{"name": "a1", "headers": {"x-api-key": "k1", "Authorization": "Bearer k1"},
                 "models": ["claude-*", "gpt-*", "left"]}]
    routes = [{"match": {"path": "/"}, "upstream": "up", "sse_heartbeat": "50ms"}]
    with Api() as api, Weir(api, workers=1, routes=routes, upstream_options={"accounts": accounts}) as weir, \
            weir.client() as clock:
        api.says("/clock", EVENTS, end)
        api.says("/v1/messages", "application/json", json.dumps({
            "id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}],
            "usage": {"input_tokens": 3, "output_tokens": 2}}).encode())
        api.says("/v1/messages stream", EVENTS, gates[0], begin, *text, gates[1], *finish)
        api.says("/v1/messages left", EVENTS, begin, never)
        api.says("/v1/chat/completions", "application/json", json.dumps({
            "id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 4}}).encode())
        api.says("/v1/chat/completions stream", EVENTS,
                 data(id="c", choices=[{"index": 0, "delta": {"content": "Hel"}}], usage=None), gates[2],
                 data(id="c", choices=[{"index": 0, "delta": {"content": "lo"}}], usage=None),
                 data(id="c", choices=[], usage={"prompt_tokens": 7, "completion_tokens": 6}), b"data: [DONE]\n\n")
        api.says("/v1/responses stream", EVENTS, event("response.created", response={"id": "resp_1", "usage": None}), gates[3],
                 event("response.completed", response={"id": "resp_1", "output": [],
                                                       "usage": {"input_tokens": 9, "output_tokens": 8}}))
        clock.get("/clock")
        opener = threading.Thread(target=let_pass, args=(clock, gates), daemon=True)
        opener.start()
        done = subprocess.run([peers.find("node", "nodejs"), SCRIPT, place, str(weir.port)], capture_output=True, text=True,
                              timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "anthropicWhole": ["Hi", 3, 2],
            "anthropicStream": ["Hello", 25, 15, [
                "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
                "message_stop"]],
            "anthropicLeft": "left",
            "openaiWhole": ["Hi", 5, 4],
            "openaiStream": ["Hello", 7, 6, 3],
            "responsesStream": ["response.created", "response.completed"],
            "refused": ["NotFoundError", 404, "no_account"],
        }
        opener.join(DEADLINE)
        wait_for(lambda: weir.metric("weir_pool_connections", pool="up", state="active") == 1, "the clock's alone")
        assert tokens(weir) == [3 + 25 + 25 + 5 + 7 + 9, 2 + 15 + 1 + 4 + 6 + 8, 0, 0]
        end.set()
