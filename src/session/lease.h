/* SPDX-License-Identifier: Apache-2.0
 *
 * lease.h - a limit that many processes share through a Redis: how much of it each of them has.
 *
 * A limit has a name, and two parts, of which either may be missing: places, that are held, and
 * tokens of a rate, that are used up. Each holder asks now and then: says what it holds, and what
 * it could use. It is granted
 *
 *     places    as many as it wants, while all together want no more than there are, and an equal
 *               part of those that nobody wants; else as many as all others that want as many, and
 *               where that leaves a rest, each of them in its turn has one of it for a second;
 *               never more than the others leave
 *     tokens    as the rate allows: one GCRA (ITU-T I.371) for all holders
 *
 * Always true, while the Redis answers and keeps what it was told: what it has noted of a holder is
 * never less than what that holds, since more is noted before it is granted, and less only after it
 * was said. So the places of all holders are never more than the limit; but for those that were
 * held before, where it was lowered or the Redis had forgotten them. Questions have a number: what
 * comes late, and another was answered before it, counts for nothing. Who asks no more holds
 * nothing after ttl_ms, by the Redis's clock; its own began earlier, when it asked.
 */
#pragma once
#include <weir/session.h>

#include "base/text.h"

#include <stdint.h>

#define LEASE_LIMIT_MAX 1000000U /* places, tokens */

struct lease_ask {
    const char *name;        /* whose limit; no longer than WEIR_SESSION_NAME_MAX */
    uint64_t holder, number; /* who asks, and what no earlier question of its was */
    uint32_t limit;          /* places there are, for all; 0: none of them are meant */
    uint32_t held;           /* it has as many now, or may take them before it hears of others */
    uint32_t wanted;         /* it could use as many; 0 and nothing held: it leaves */
    uint32_t most;           /* no more are granted */
    uint32_t ttl_ms;
    uint64_t interval_ns, tolerance_ns; /* of the rate: between two; by which they may be early */
    uint32_t tokens;                    /* that it wants of it; 0: none */
};

struct lease_answer {
    uint32_t granted; /* places */
    uint32_t tokens;
    uint32_t early_ms; /* where there are fewer than it wanted: when the next one is due */
    uint32_t holders;  /* that are known now, with itself */
    bool is_short;     /* somebody has fewer places than it wants */
    bool is_lost;      /* what it held was not known: others may not be, either */
    bool is_late;      /* a later question was answered before: nothing of this counts */
};

/* answer: NULL unless err is WEIR_OK. */
typedef void lease_fn(void *arg, weir_err err, const struct lease_answer *answer);

/* WEIR_EAGAIN: fn is called once, on a thread of the sessions' own, without a lock of weir's.
 * WEIR_ESTATE: there is no Redis; WEIR_EDOWN: it cannot be asked now; WEIR_EQUEUE, WEIR_ENOMEM,
 * WEIR_ECLOSED. Any thread. */
weir_err sessions_lease(weir_sessions *sessions, const struct lease_ask *ask, lease_fn *fn,
                        void *arg);
