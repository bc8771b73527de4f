/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.h - when a request is sent a second time, and how often that may happen.
 *
 * {reused, fresh} × {nothing sent, some of it, a byte of the answer read} × {idempotent, keyed,
 * not}: a request that went out on a reused connection is replayed once, on a fresh one, when the
 * peer accepted nothing of it, or when doing it twice is harmless (idempotent, RFC 9110 §9.2.2, or
 * with an Idempotency-Key), all of it is still at hand and no byte of an answer was read. Never
 * after a byte reached the client.
 *
 * What the peer itself says it has not touched (GOAWAY, REFUSED_STREAM) goes again whatever its
 * method and whatever the connection. Where a connection was at its end this costs nothing of the
 * budget, and the request has not been tried: a peer that restarts says so to all its streams at
 * once, and connections that were opened together reach their last request together, so that the
 * same one may meet several. Who refuses a stream does not want it: it goes again as often as any
 * request is tried, and only the first time is free.
 *
 * The budget bounds all retries of an upstream on this worker: a part of its requests, and ten per
 * second beside, so that a failing upstream is not buried under repetitions.
 */
#pragma once
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_TRIES_MAX  3U  /* of one request, the first included */
#define REPLAY_ENDS_MAX   6U  /* connections at their end that one may meet */
#define REPLAY_PER_SECOND 10U /* beside the budget's part */
#define REPLAY_SAVED_MAX  30U /* retries saved up, also at first: three seconds' worth */

struct replay_case {
    bool reused;       /* the connection had served before */
    bool answer_begun; /* a byte of an answer was read, or passed on */
    bool harmless;     /* idempotent, or keyed */
    bool at_hand;      /* head and body could be sent again */
    bool untouched;    /* as in http_call */
    bool refused;
    uint64_t sent;    /* bytes the peer's socket accepted */
    uint32_t replays; /* so far */
};

bool replay_stale(const struct replay_case *it);
/* Whether that needs no replay_budget_take(). */
bool replay_is_free(const struct replay_case *it);

/* An answer with a code of retry.on. 429, 503 and 529 mean "not accepted"; another code says
 * nothing about what was done, so that only harmless requests go again. */
bool replay_code(uint16_t status, bool harmless);

/* May the method be repeated (RFC 9110 §9.2.2), or does the request carry an Idempotency-Key? */
bool replay_is_harmless(const struct http_head *head);

struct replay_budget {
    uint32_t part_milli; /* thousandths of a retry that each request earns */
    uint64_t saved_milli;
    uint64_t since_ms;
};

void replay_budget_init(struct replay_budget *budget, double part, uint64_t now_ms);
static inline void replay_budget_earn(struct replay_budget *budget)
{
    budget->saved_milli += budget->part_milli;
}
bool replay_budget_take(struct replay_budget *budget, uint64_t now_ms);
