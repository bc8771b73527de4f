/* SPDX-License-Identifier: Apache-2.0
 *
 * affinity.h - whose conversation a request belongs to, and which account has it.
 *
 *     header:NAME        that field
 *     session_header     X-Session-Id, else X-Claude-Code-Session-Id
 *     openai             previous_response_id, where we know who made it; session_id,
 *                        conversation_id, prompt_cache_key
 *     anthropic          metadata.user_id: its session, if it says one, else all of it
 *     content            the digest of proto/ai_request.h
 *     cookie:NAME        that cookie
 *     address            the client's
 *
 * The first one of the route's that is there counts, within what the client showed (Authorization
 * or x-api-key) and the upstream: equal keys of two clients are two conversations. An id of more
 * than AFFINITY_KEY_MAX bytes means that there is none, and no other source is asked.
 *
 * The hash of it all says which account a conversation is with (accounts.h); nothing is kept, and
 * every gateway says the same. A record is kept only where it is with another one: because its own
 * could not serve it, or because the answer that it goes on from was made there. Records are shared
 * by all workers, and bounded; where there is no room for one more the hash alone says. With a
 * journal (sessions.path) they outlive the process, with a Redis (sessions.redis) all gateways that
 * share it have them: affinity_looks.h.
 */
#pragma once
#include "gateway/config.h"
#include "proto/ai_request.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define AFFINITY_KEY_MAX   255U
#define AFFINITY_SEEN      65536U /* conversations of late, for the difference of hit and new */
#define AFFINITY_FAULT_MAX 400U

/* name, word of X-Weir-Session and logs, label of metrics */
#define AFFINITIES(ROW)                                                                            \
    ROW(OFF, "", "")                                                                               \
    ROW(NO_KEY, "none:no-key", "none")                                                             \
    ROW(TOO_LONG, "none:too-long", "none")                                                         \
    ROW(TOO_LARGE, "none:too-large", "none")                                                       \
    ROW(NEW, "new", "new")                                                                         \
    ROW(HIT, "hit", "hit")                                                                         \
    ROW(PINNED, "hit:pinned", "hit")                                                               \
    ROW(SPILL, "spill", "spill")                                                                   \
    ROW(COOLDOWN, "rebound:cooldown", "rebound")                                                   \
    ROW(DOWN, "rebound:down", "rebound")                                                           \
    ROW(DRAINED, "rebound:drained", "rebound")

enum affinity {
#define AFFINITY_ROW(name, word, label) AFFINITY_##name,
    AFFINITIES(AFFINITY_ROW)
#undef AFFINITY_ROW
        AFFINITY_COUNT
};

const char *affinity_word(enum affinity affinity);
const char *affinity_label(enum affinity affinity);

/* --- keys: pure ----------------------------------------------------------------------------------
 */

/* Whether a route has affinity. */
bool affinity_is_used(const struct config *config);
/* Whether such a source exists. */
bool affinity_source_is_known(const char *source);
/* Whether one of the sources is in the body. */
bool affinity_wants_body(const struct config_texts *sources);
/* Whether previous_response_id counts. */
bool affinity_pins(const struct config_texts *sources);

struct affinity_ask {
    const struct config_texts *sources;
    const struct http_head *head;
    const struct ai_request *body; /* NULL: it is none, or not known */
    bool is_too_large;             /* … because it is */
    const uint8_t *address;        /* the client's 16 bytes */
    uint64_t scope;                /* affinity_scope() */
};

struct affinity_key {
    uint64_t hash;
    uint64_t scope; /* of client and upstream alone */
    uint64_t tag;   /* of the same, and another one: both together are the record's */
};

/* AFFINITY_HIT: there is a key; else why not. */
enum affinity affinity_key_of(const struct affinity_ask *ask, struct affinity_key *ret_key);
/* Of the answer with that id, for whom `scope` stands. */
struct affinity_key affinity_key_of_answer(uint64_t scope, const char *id, size_t len);

/* Of the user that a body names (metadata.user_id, but for its session); 0: it names none. The text
 * of it, and of 0 the empty one. */
#define AFFINITY_USER_TEXT 17U
uint64_t affinity_user(const struct ai_request *body);
uint64_t affinity_user_of(struct slice user_id);
void affinity_user_text(uint64_t user, char ret_text[AFFINITY_USER_TEXT]);

/* What the client shows of itself, Authorization or x-api-key; 0: nothing. */
uint64_t affinity_client(const struct http_head *head);
/* Of a client and the name of an upstream. */
uint64_t affinity_scope(uint64_t client, const char *upstream);

/* --- records: any thread -------------------------------------------------------------------------
 */

struct affinities;

/* Finds what the journal says. 0, or -errno and why in words ("": the number says it). */
int affinities_new(const struct config *config, struct affinities **ret_affinities,
                   char ret_fault[AFFINITY_FAULT_MAX]);
void affinities_free(struct affinities *take_affinities);

/* Nothing that is looked up comes any more: no worker runs, and those who waited are gone. */
void affinities_end(struct affinities *affinities);

/* What who waits for a record has; all zeroes but for `done`, it waits for none. */
struct affinity_look {
    void (*done)(struct affinity_look *look); /* on the worker that has asked */
    struct affinity_errand *errand;
};
/* It does not wait any more. */
void affinity_look_leave(struct affinity_look *look);

/* What a record says. */
struct affinity_bound {
    uint32_t epoch; /* grows with each move; 0: there is no record */
    char account[CONFIG_LABEL_MAX + 1];
};
enum affinity_where {
    AFFINITY_NOWHERE, /* no record says; the hash does */
    AFFINITY_BOUND,   /* as ret_bound says */
    AFFINITY_LATER    /* look->done() is called; then it is to be asked without a look */
};
/* What a conversation is called where it is told of: what the id of its record begins with. Nobody
 * learns by that what its client calls it. */
#define AFFINITY_NAME_TEXT 13U
void affinities_name(const struct affinities *affinities, const struct affinity_key *key,
                     char ret_name[AFFINITY_NAME_TEXT]);
/* Which account has it by record. `look` NULL: by what is here. */
enum affinity_where affinities_find(struct affinities *affinities, const struct affinity_key *key,
                                    uint64_t now_ms, struct affinity_look *look,
                                    struct affinity_bound *ret_bound);
/* Whose conversation that is, for whoever looks for it; kept with a record from its beginning. */
struct affinity_owner {
    const char *upstream, *client; /* by name; "": it shows no key of ours */
    uint64_t user;                 /* affinity_user() */
};
/* Where it is now, and for how long after that was last said. */
struct affinity_place {
    const char *account;
    uint32_t epoch, ttl_ms;
};
/* It is there from now on; unless somebody has moved it elsewhere since `epoch` was found, who was
 * first then. Epoch 0 moves nothing. */
void affinities_bind(struct affinities *affinities, const struct affinity_key *key,
                     const struct affinity_owner *owner, const struct affinity_place *place);
/* Whether it was served here within ttl_ms, as far as is remembered. */
bool affinities_seen(const struct affinities *affinities, const struct affinity_key *key,
                     uint64_t now_ms);
void affinities_see(struct affinities *affinities, const struct affinity_key *key, uint64_t now_ms,
                    uint32_t ttl_ms);
void affinities_count(struct affinities *affinities, enum affinity affinity);
uint64_t affinities_counted(const struct affinities *affinities, enum affinity affinity);

/* The records themselves: sessions whose place is the account, whose `account` is the upstream, and
 * whose key is the client's name. */
struct weir_sessions *affinities_sessions(const struct affinities *affinities);

struct affinities_info {
    uint32_t records;
    uint64_t recovered, lost; /* of the journal, at the start */
    uint64_t syncs;           /* of the journal, to the disk */
    bool is_degraded;         /* the journal cannot be written, or the Redis not be asked */
    bool has_redis, is_redis_up;
    uint64_t writes, write_failures, outages; /* batches for the Redis */
    bool is_cluster;
    uint32_t nodes, nodes_down, slots_open; /* of the Cluster */
    uint64_t moved, asked, repeats;         /* what it sent on, and what was said again */
    uint64_t pages, pages_local;            /* of searches: that the Redis answered, or did not */
    uint64_t lists_spoilt;                  /* of the Redis's, by which it is searched */
    char redis_fault[400];                  /* why it is not up */
    uint64_t cache_hits, cache_misses;      /* what was known here, or was not */
    uint64_t found, absent, failed;         /* what was asked for then */
};
void affinities_info_of(struct affinities *affinities, struct affinities_info *ret_info);
