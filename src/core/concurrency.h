/* SPDX-License-Identifier: Apache-2.0
 *
 * concurrency.h - how many requests an endpoint takes at once, learned from how it answers.
 *
 * An endpoint that is given more than it can do queues, and answers all the slower. So the limit is
 * moved by what comes back. What ends is gathered in windows - of a quarter of a second, or of one
 * answer where that takes longer, and of ten ends at least - and each window moves the limit once:
 *
 *   gradient2   by the slope between how long answers take now and how long they took over the last
 *               few hundred windows: up to half as long again counts as noise; above, the limit
 *               falls in proportion, by half at most. Head-room of a few is added, a fifth of the
 *               way is gone at a time. (Netflix concurrency-limits, Gradient2Limit)
 *   aimd        by a tenth down where something ended in a time-out or was cut off, or the mean
 *               answer took longer than the bound; else by one up. (RFC 5681, of requests)
 *
 * Neither grows a limit that was not half used: nothing was learned about it. An answer's time is
 * what connections say it took (weir_conn_latency); where none do, how long leases were held.
 *
 * Pure: the caller brings the figures, the time and the rule.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum concurrency_kind { CONCURRENCY_NONE, CONCURRENCY_GRADIENT2, CONCURRENCY_AIMD };

struct concurrency_rule {
    enum concurrency_kind kind;
    uint32_t first, min, max;
    uint32_t slow_ms; /* aimd: the bound */
};

/* Of all zeroes nothing is known: the limit is the rule's first. */
struct concurrency {
    uint64_t begun_ms;         /* the window */
    uint64_t told_us, held_us; /* sums over it */
    uint64_t now_us, long_us;  /* the last window's mean, and that of the last few hundred */
    uint32_t told, held, dropped;
    uint32_t most;       /* in flight at once */
    uint32_t limit_x256; /* 0: the rule's first */
    uint16_t windows;    /* that long_us knows of */
};

/* An answer began to come after so long. */
void concurrency_told(struct concurrency *it, uint64_t latency_us);

/* A request ended, with so many in flight, itself included; was_dropped: for want of an answer. */
void concurrency_ended(struct concurrency *it, uint64_t held_ms, uint32_t in_flight,
                       bool was_dropped);

/* Moves the limit where a window is over; true when it changed. */
bool concurrency_review(struct concurrency *it, const struct concurrency_rule *rule,
                        uint64_t now_ms);

/* In flight at most, now: within min and max of the rule. */
uint32_t concurrency_limit(const struct concurrency *it, const struct concurrency_rule *rule);
