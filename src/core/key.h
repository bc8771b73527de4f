/* SPDX-License-Identifier: Apache-2.0
 *
 * key.h - identity: which requests may share a connection.
 *
 * A key is written in one canonical form - pool, port, and every field, scheme and host in lower
 * case - and two keys are the same if and only if these texts are, byte by byte. The hash only
 * finds the candidates.
 *
 * A key is remembered while anything hangs on it: a connection, a caller, a pin, a failure. Without
 * any it lies on engine->unused and is forgotten after key_idle, or when its place is needed,
 * longest unused first.
 */
#pragma once
#include "core/parts.h"

/* A key in its canonical form, before it is known. */
struct key_text {
    uint64_t hash;
    uint32_t len;
    char at[WEIR_KEY_BYTES_MAX];
};

/* False where it is longer than WEIR_KEY_BYTES_MAX. */
bool key_canonical(const weir_pool *pool, const weir_key *key, struct key_text *ret_text);

/* The known key, or NULL. */
struct key *key_find(const weir_pool *pool, const struct key_text *text);

/* The known key, made known if need be. WEIR_EKEYS. */
weir_err key_intern(weir_pool *pool, const struct key_text *text, struct key **ret_key);

/* What the connector makes of it (weir_connector.leases); 0: nothing. */
uint16_t key_leases_likely(const struct key *key);
/* Whether its connections carry one lease or many is not known, and the connector cannot say. */
bool key_is_unknown(const struct key *key);

/* Something that hung on the key went, or came: puts it among the unused ones, or takes it off
 * them. */
void key_review(struct key *key);

/* Nothing hangs on it. */
void key_forget(struct key *key);

uint32_t key_total(const struct key *key);

/* Those that are, or soon will be, of use: all but the closing ones. */
/* How many connections it may have: max_per_key, or its own cap. */
static inline uint32_t key_most(const struct key *key)
{
    uint32_t most = key->pool->opt.max_per_key;
    return key->cap < most ? key->cap : most;
}

static inline uint32_t key_alive(const struct key *key)
{
    return key_total(key) - key->by_state[WEIR_CLOSING].count;
}

/* The peer hung up after a connection had been idle for so long. Three times in one octave, and
 * idle connections close before it comes to that, for an hour: then it is learned anew. Hang-ups
 * at the same time are one: a peer that restarts leaves all of its connections. True when
 * horizon_ms changed. */
bool key_learn_hangup(struct key *key, uint64_t idle_ms);
/* What was learned, as far as it is still true of a connection idle since then; WEIR_NEVER: naught.
 */
uint32_t key_horizon_ms(const struct key *key, uint64_t idle_since_ms);
