/* SPDX-License-Identifier: Apache-2.0
 *
 * health.h - one word for how a pool fares, and the rule that said so.
 *
 * The judgement is a pure function of one window of facts and of the present word: a threshold is
 * left 0.05 below where it is entered, or at half of it where that is less far, and a word stays
 * for five seconds at least. Requests count for ten to twenty seconds, whether others come after
 * them or not: a pool of which nobody wants anything any more is well again.
 */
#pragma once
#include <weir/weir.h>

struct window {
    uint64_t since_ms;  /* the present word */
    uint64_t begun_ms;  /* the counts below; ten seconds after they are those before */
    uint32_t good, bad; /* requests that ended well, or did not */
    uint32_t good_before, bad_before;
    uint8_t health; /* weir_health */
};

struct health_facts {
    uint32_t used, most; /* connections in use, and as many as there may be (0: no limit) */
    uint32_t good, bad;  /* requests */
    uint64_t oldest_wait_ms;
    uint32_t acquire_timeout_ms;
    uint32_t keys, keys_usable;
    weir_health now;
};

/* The word the facts deserve; ret_message says why, in at most `size` bytes. */
weir_health health_of(const struct health_facts *facts, char *ret_message, size_t size);

void health_count(struct window *window, uint64_t now_ms, bool is_good);
/* So many that ended well. */
void health_count_good(struct window *window, uint64_t now_ms, uint32_t times);

/* Judges the pool again; true when the word changed, or will once it has lasted for long enough. */
bool health_review(weir_pool *pool);
