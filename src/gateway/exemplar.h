/* SPDX-License-Identifier: Apache-2.0
 *
 * exemplar.h - a recent request for each bucket of a histogram of times: the trace to open when the
 * bucket is the question.
 *
 * One writer, a worker; the admin interface reads. A bucket keeps its example for a second: until
 * then a request costs it one comparison, and a rare one is never pushed out by frequent ones,
 * since those are in other buckets. The turn is odd while it is being written, and who reads looks
 * twice.
 */
#pragma once
#include "gateway/telemetry.h"

#include <stdbool.h>

#define EXEMPLAR_FRESH_MS 1000U
#define EXEMPLAR_TRACE    32U /* hex digits */

struct exemplar {
    uint64_t turn;     /* 0: there never was one */
    uint64_t taken_ms; /* of the loop's clock */
    uint64_t us;
    uint64_t trace[EXEMPLAR_TRACE / 8];
};

/* A copy of one. */
struct exemplar_seen {
    uint64_t taken_ms, us;
    char trace[EXEMPLAR_TRACE + 1];
};

static inline bool exemplar_is_due(const struct exemplar *exemplar, uint64_t now_ms)
{
    return IS_COUNTED && now_ms - count_read(&exemplar->taken_ms) >= EXEMPLAR_FRESH_MS;
}

void exemplar_take(struct exemplar *exemplar, uint64_t now_ms, uint64_t us,
                   const char trace[EXEMPLAR_TRACE]);
/* On any thread. False: there is none, or it changes all the time. */
bool exemplar_see(const struct exemplar *exemplar, struct exemplar_seen *ret_seen);
