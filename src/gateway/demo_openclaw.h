/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_openclaw.h - a small double of an OpenClaw gateway (protocol 4): the frames of a real one,
 * and failures on request. For trying things out, and for tests that need no real one.
 *
 *     GET  /readyz, /health    200, or 503 while it is starting
 *     POST /tools/invoke       the body, to who shows the token
 *     POST /v1/chat/completions    to him "Hello", in one piece or with "stream": true as events
 *     WebSocket                challenge, connect, hello-ok, then these methods:
 *
 *     health                   {"ok": true}
 *     echo                     its params
 *     status                   what it has counted
 *     hold, release            no answer to `hold` before a `release`, which answers all of them
 *                              with their params (up to 255 bytes of JSON), the last one first
 *     fail {"error": {…}}      that error
 *     chat.send                {"runId", "times"}: how often that idempotencyKey has come
 *     agent                    {"status": "accepted"}, an event, and the answer
 *     emit {"count": n}        n events to everybody, before the answer
 *     double {…}               how it behaves from now on: "starting": n (so many connects are told
 *                              to come again in 100 ms), "ticks": false, "restart": true (all are
 *                              closed with 1012), "hangup": true (all are cut), "mute": n (so many
 *                              requests get no answer), "deny": "CODE", "upgrade": 503 (or 0),
 *                              "release": true (as above, for all), "say": "…" (to all, as it is),
 *                              "token": "…" (the one that is good for who comes from then on)
 *     bad.json, bad.deep, bad.type, bad.stranger, bad.twice, bad.large {"bytes": n}, bad.binary,
 *     bad.early                what no gateway says
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct demo_openclaw;

struct demo_openclaw_options {
    const char *address;  /* [127.0.0.1:0] */
    const char *token;    /* [demo]; as a password, too */
    uint32_t tick_ms;     /* [30 s] */
    uint64_t payload_max; /* told to clients [25 MiB] */
    /* What clients do: "upgrade" and its path; "frame" and its JSON; "hello" and "gone", of one
     * that was let in, and nothing. On the double's thread, and no call of this header from inside.
     * May be NULL. */
    void (*on_heard)(void *arg, const char *what, const char *text, size_t len);
    void *arg;
};

/* A runtime and threads of its own. 0 or -errno. */
int demo_openclaw_open(const struct demo_openclaw_options *opt, struct demo_openclaw **ret_demo);
void demo_openclaw_close(struct demo_openclaw *take_demo);
uint16_t demo_openclaw_port(const struct demo_openclaw *demo);
/* The method `double`, from outside: JSON. False: it is none. */
bool demo_openclaw_behave(struct demo_openclaw *demo, const char *how);
