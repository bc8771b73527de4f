/* SPDX-License-Identifier: Apache-2.0
 *
 * affinity_looks.h - conversations that other gateways know better, as the Redis that they share
 * has them: when it is asked, and who waits for that.
 *
 *     nothing is here       it is asked, and the request waits (redis.timeout at most)
 *       … nor was lately    nothing is asked; what is older than a second is asked for behind its
 *                           back, so that the next request knows
 *     a copy is here        nothing is asked, since whoever uses it writes it, and hears then
 *       … unused for long   it is written first, and the request waits for what is heard
 *
 * "Lately" and "long" are sessions.cache_ttl. Always true: a Redis that does not answer costs a
 * request no more than its time-out, and those that come meanwhile nothing; it never fails one.
 *
 * An answer comes on a thread of the sessions' own, and goes to the worker that asked as a note.
 */
#pragma once
#include <weir/session.h>

#include "gateway/affinity.h"

struct affinity_looks;

int affinity_looks_new(weir_sessions *sessions, const struct config_sessions *config,
                       struct affinity_looks **ret_looks); /* 0 or -ENOMEM */
/* From here on nothing is asked, and nobody is told: no worker runs any more. */
void affinity_looks_end(struct affinity_looks *looks);
void affinity_looks_free(struct affinity_looks *take_looks); /* the sessions are closed */

/* What is here of a conversation. */
struct affinity_state {
    weir_session_id id;
    bool is_here;
    uint64_t idle_ms; /* since it was last used */
};
enum affinity_asked {
    AFFINITY_NOT_ASKED, /* it is as it is here */
    AFFINITY_ASKED,     /* look->done() is called, later */
    AFFINITY_CAME       /* meanwhile: it is to be looked at again */
};
/* On a worker's thread. */
enum affinity_asked affinity_looks_ask(struct affinity_looks *looks, const struct affinity_key *key,
                                       const struct affinity_state *state, uint64_t now_ms,
                                       struct affinity_look *look);

void affinity_looks_info(const struct affinity_looks *looks, struct affinities_info *ret_info);
