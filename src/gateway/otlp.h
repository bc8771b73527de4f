/* SPDX-License-Identifier: Apache-2.0
 *
 * otlp.h - spans of requests on their way to a collector: OTLP/HTTP in JSON.
 *
 *     worker ─▶ its ring ─┐
 *     worker ─▶ its ring ─┴─▶ a batch of at most OTLP_BATCH_MAX ─▶ poster.h, one at a time
 *
 * A worker copies a record into its ring and goes on; one that finds no room is dropped and
 * counted. The hub's thread looks a few times a second, writes the JSON and posts it. A batch that
 * is not taken is tried again as OTLP asks (429, 502, 503, 504, or no answer): after 1, 2, 4, 8 and
 * 16 seconds, later where Retry-After says so, and then given up; any other answer but 2xx refuses
 * it for good. Meanwhile the rings fill. So a collector that is down, slow or hostile costs the
 * rings, one batch, and what the poster bounds.
 */
#pragma once
#include "base/log.h"
#include "gateway/config.h"
#include "gateway/span.h"
#include "io/loop.h"

#define OTLP_BATCH_MAX   500U       /* requests */
#define OTLP_BYTES_MAX   (4U << 20) /* of a batch */
#define OTLP_REPEATS_MAX 5U

struct otlp;
struct otlp_ring; /* one worker's way to it */

struct otlp_options {
    struct loop *loop;           /* the hub's */
    const struct config *config; /* log.otlp */
    const char *node;
    const struct log_sink *log;
    uint32_t workers;
};

/* 0 or -errno. */
int otlp_open(const struct otlp_options *opt, struct otlp **ret_otlp);
/* Nobody records any more. What waits is posted once, for a second at most. NULL is fine. */
void otlp_close(struct otlp *take_otlp);

/* A worker's own. */
struct otlp_ring *otlp_ring_of(struct otlp *otlp, uint32_t worker);
/* Of traces that begin here: whether this one is recorded. Every gateway of the same `sample`
 * decides alike, by the last 56 bits of the trace's id. */
bool otlp_samples(const struct otlp_ring *ring, uint64_t trace_end);
void otlp_record(struct otlp_ring *ring, const struct span *span);

/* Spans; a request has two, or one where nobody was asked. */
struct otlp_counts {
    uint64_t sent;
    uint64_t failed;  /* refused, or given up */
    uint64_t dropped; /* for want of room; requests, whose spans were not counted */
    uint64_t posts_failed;
    uint32_t waiting; /* of the batch that is under way */
};
struct otlp_counts otlp_counts_of(const struct otlp *otlp); /* the hub's thread; NULL: zeroes */
