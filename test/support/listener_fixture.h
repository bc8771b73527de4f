/* SPDX-License-Identifier: Apache-2.0
 *
 * listener_fixture.h - what the fixtures of listener/http1 and listener/http2 share: an engine as
 * the loop's hook, what a listener says of itself, and the wait for what comes of the loop's turns.
 */
#pragma once
#include "io/loop.h"
#include "listener/http1.h"
#include "support/await.h"

#define DEADLINE_MS 10000U
#define BIG_BYTES   (4U << 20)

/* What the listener said. */
struct heard {
    uint32_t refusals;
    uint16_t status; /* of the last refusal */
    bool drained;
};

static inline void on_refuse(void *self, const struct http_peer *peer,
                             const struct http1_refusal *refusal)
{
    struct heard *heard = self;
    heard->refusals++;
    heard->status = refusal->status;
    assert_true(peer->text_len > 0);
}

static inline void on_drained(void *arg)
{
    struct heard *heard = arg;
    heard->drained = true;
}

static inline uint64_t step(void *self, uint64_t now_ms)
{
    weir_engine *engine = self;
    uint64_t next_ms = weir_step(engine, now_ms);
    return weir_engine_pending(engine) ? now_ms : next_ms;
}

/* The bytes of a big body. */
static inline char pattern_at(uint64_t i)
{
    return (char)('a' + i % 23);
}

static inline bool path_is(const struct http_head *head, const char *path)
{
    return slice_is(head->path, path);
}

/* The fixture's turn(): the loop's, and the client's. */
#define until(f, peer, condition) await_true(condition, DEADLINE_MS, turn((f), (peer)))
