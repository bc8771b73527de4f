/* SPDX-License-Identifier: Apache-2.0
 *
 * client_keys.h - who may use the data plane: the clients of the configuration, shared by all
 * workers; what each has open, and how often it asks.
 *
 * A client is known by the SHA-256 of its key, and the key itself is kept nowhere. A digest is
 * found through a hash whose secret nobody outside knows, and compared in constant time: how long a
 * look-up takes says nothing of how near a guess was. Of keys that are nobody's nothing is kept but
 * their number.
 *
 *     client_keys_find ──▶ client_keys_pace ──▶ client_keys_enter ──▶ … ──▶ client_keys_leave
 *                                                 │  ▲ all places are taken
 *                                                 └──┘ client_keys_wait
 *
 * Who has entered holds its place until it leaves, so the count is what is really open. The
 * rate is a GCRA (ITU-T I.371): so many requests at once as it allows in its time, and from then on
 * one at a time as they become due. No locks: a client is some words that workers compare and swap.
 *
 * Where gateways share a Redis, a client may no more at all of them than at one (client_lease.h):
 * then a request may have to wait for a token as well (client_keys_token), and who asks for more is
 * client_leases.h.
 */
#pragma once
#include "base/text.h"
#include "gateway/client_lease.h"
#include "gateway/config.h"
#include "proto/ai_usage.h"

#include <stdbool.h>
#include <stdint.h>

#define CLIENT_KEY_MAX 1024U /* bytes of a key; a longer one is nobody's */
#define CLIENT_NOBODY  UINT32_MAX
#define CLIENT_FULL_MS 1000U /* Retry-After where all that is known is that others are served */

struct client_keys;
struct client_leases;

/* Whether gateways share what clients may. */
bool client_keys_are_shared(const struct config *config);

/* Of at least one client. `elder`: those of the configuration before; what clients that both name
 * have open, and may still ask, is one for both from now on. Or NULL. 0 or -errno. One thread makes
 * and frees them. */
int client_keys_new(const struct config *config, const struct client_keys *elder,
                    struct client_keys **ret_keys);
/* One more configuration with the very same clients, which frees them, too. */
struct client_keys *client_keys_join(struct client_keys *keys);
/* The limits of these clients hold from now on; not where they are shared with other gateways. */
void client_keys_take_over(struct client_keys *keys);
void client_keys_free(struct client_keys *take_keys);

/* What digests are made with, by one thread. */
struct client_digester {
    void *context; /* EVP_MD_CTX */
};
int client_digester_init(struct client_digester *digester); /* 0 or -ENOMEM */
void client_digester_fini(struct client_digester *digester);

/* Whose key that is; CLIENT_NOBODY: nobody's. */
uint32_t client_keys_find(const struct client_keys *keys, struct client_digester *digester,
                          struct slice key);
/* A request without a key of anybody's. */
void client_keys_count_stranger(struct client_keys *keys, bool has_key);

/* One more request: 0, or for how many milliseconds the client is too early with it. CLIENT_ASKS:
 * it goes on when it has a token. */
uint32_t client_keys_pace(struct client_keys *keys, uint32_t client, uint64_t now_ns);
/* The same of a request that needs one. */
uint32_t client_keys_token(struct client_keys *keys, uint32_t client, uint64_t now_ms);
/* Such a request waits, or does not any more. */
void client_keys_thirst(struct client_keys *keys, uint32_t client, bool is_thirsty);

/* False: it has as many requests open as it may. Where others of it wait, a place is for them
 * first; is_due: it is one of them. */
bool client_keys_enter(struct client_keys *keys, uint32_t client, bool is_due);
void client_keys_leave(struct client_keys *keys, uint32_t client);
/* False: as many of its requests wait already; then it is refused. */
bool client_keys_wait(struct client_keys *keys, uint32_t client, uint32_t most);
/* is_refused: it did not enter in time. */
void client_keys_wait_over(struct client_keys *keys, uint32_t client, bool is_refused);

/* What an answer says that it took. */
void client_keys_used(struct client_keys *keys, uint32_t client, const struct ai_usage_said *said);

enum config_priority client_keys_priority(const struct client_keys *keys, uint32_t client);
const char *client_keys_name(const struct client_keys *keys, uint32_t client);
/* The same for every gateway and every worker: of its name. */
uint64_t client_keys_hash(const struct client_keys *keys, uint32_t client);

/* --- for whoever watches -------------------------------------------------------------------------
 */

struct client_info {
    const struct config_client *config;
    bool is_shared, is_local;         /* with other gateways; they cannot be asked */
    uint64_t share;                   /* of `concurrent`; UINT64_MAX: there is no limit */
    uint64_t rate_used;               /* tokens */
    uint64_t open, waiting;           /* requests now */
    uint64_t entered, full, fast;     /* and so far, by what came of them */
    uint64_t tokens[AI_TOKENS_KINDS]; /* that answers say were taken */
};
uint32_t client_keys_count(const struct client_keys *keys);
void client_keys_info_of(const struct client_keys *keys, uint32_t client,
                         struct client_info *ret_info);
uint64_t client_keys_strangers(const struct client_keys *keys, bool has_key);

/* --- for client_leases.h -------------------------------------------------------------------------
 */

struct client_lease *client_keys_lease(struct client_keys *keys, uint32_t client);
uint32_t client_keys_waiting(const struct client_keys *keys, uint32_t client);
/* Who is told that a client needs more; NULL: nobody any more. Before the workers run, or after. */
void client_keys_lend(struct client_keys *keys, struct client_leases *leases);
/* How many gateways there are, with this one. */
void client_keys_meet(struct client_keys *keys, uint32_t gateways);
uint32_t client_keys_gateways(const struct client_keys *keys);
/* A question about the client, as far as its configuration says. */
void client_keys_describe(const struct client_keys *keys, uint32_t client, struct lease_ask *ask);
