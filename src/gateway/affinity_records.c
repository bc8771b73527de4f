/* SPDX-License-Identifier: Apache-2.0
 *
 * affinity_records.c - where conversations are that are not where their hash says, as sessions
 * (weir/session.h) of which only the place is used; and which ones there were of late.
 */
#include <weir/session.h>

#include "base/alloc.h"
#include "base/check.h"
#include "gateway/affinity_looks.h"
#include "gateway/config_sessions.h"
#include "io/oserror.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* A conversation of late: half of its tag, and until when, in seconds. Others fall on the same
 * place; then it is new again. */
struct affinities {
    weir_sessions *sessions;
    struct affinity_looks *looks; /* NULL: nobody else knows */
    bool is_cluster;
    _Atomic uint64_t counts[AFFINITY_COUNT];
    _Atomic uint64_t seen[AFFINITY_SEEN];
};

/* The longest that a record may be asked to last. */
static uint32_t longest_ttl(const struct config *config)
{
    uint32_t ttl_ms = config->sessions.ttl_ms;
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.at[i];
        for (uint32_t r = 0; r < listener->routes.count; r++) {
            const struct config_route *route = &listener->routes.at[r];
            if (route->affinity.is_on && route->affinity.ttl_ms > ttl_ms) {
                ttl_ms = route->affinity.ttl_ms;
            }
        }
    }
    return ttl_ms;
}

static int fault_of(const struct config_sessions *config, weir_err err, int error,
                    char ret_fault[AFFINITY_FAULT_MAX])
{
    const char *why = err == WEIR_EEXISTS ? "another gateway has it open"
                      : error == EPERM    ? "it is open to others: its mode has to be 0700"
                                          : oserror_text(-error);
    if (err == WEIR_ENOMEM) {
        return -ENOMEM;
    }
    bool has_path = config->path[0] != '\0';
    snprintf(ret_fault, AFFINITY_FAULT_MAX, "%s: cannot use %s: %s",
             has_path ? "sessions.path" : "sessions.redis", has_path ? config->path : "it", why);
    return err == WEIR_EEXISTS ? -EBUSY : -EIO;
}

static int open_sessions(const struct config *config, weir_sessions **ret_sessions,
                         char ret_fault[AFFINITY_FAULT_MAX])
{
    const struct config_sessions *it = &config->sessions;
    uint32_t ttl_ms = longest_ttl(config);
    uint8_t secret[EVP_MAX_MD_SIZE];
    bool has_secret = it->secret[0] != '\0';
    if (has_secret
        && EVP_Digest(it->secret, strlen(it->secret), secret, NULL, EVP_sha256(), NULL) != 1) {
        return -ENOMEM;
    }
    const weir_sessions_redis redis = config_sessions_redis(it);
    const weir_sessions_options opt = {.size = sizeof opt,
                                       .sessions_max = it->max,
                                       .ttl_ms = ttl_ms,
                                       .ttl_max_ms = it->ttl_max_ms,
                                       .affinity_ttl_ms = ttl_ms,
                                       .path = it->path[0] != '\0' ? it->path : NULL,
                                       .fsync = it->fsync_ms == 0              ? WEIR_FSYNC_ALWAYS
                                                : it->fsync_ms == CONFIG_NEVER ? WEIR_FSYNC_NEVER
                                                                               : WEIR_FSYNC_SOON,
                                       .fsync_ms = it->fsync_ms == CONFIG_NEVER ? 0 : it->fsync_ms,
                                       .secret = has_secret ? secret : NULL,
                                       .redis = it->redis.url[0] != '\0' ? &redis : NULL};
    weir_err err = weir_sessions_open(&opt, ret_sessions);
    int error = errno;
    explicit_bzero(secret, sizeof secret);
    return err == WEIR_OK ? 0 : fault_of(it, err, error, ret_fault);
}

int affinities_new(const struct config *config, struct affinities **ret_affinities,
                   char ret_fault[AFFINITY_FAULT_MAX])
{
    struct affinities *affinities = alloc_zeroed(&alloc_libc, sizeof *affinities);
    if (affinities == NULL) {
        return -ENOMEM;
    }
    affinities->is_cluster = config->sessions.redis.cluster == WEIR_ON;
    int error = open_sessions(config, &affinities->sessions, ret_fault);
    if (error == 0 && config->sessions.redis.url[0] != '\0') {
        error = affinity_looks_new(affinities->sessions, &config->sessions, &affinities->looks);
    }
    if (error != 0) {
        affinities_free(affinities);
        return error;
    }
    *ret_affinities = affinities;
    return 0;
}

void affinities_end(struct affinities *affinities)
{
    if (affinities != NULL && affinities->looks != NULL) {
        affinity_looks_end(affinities->looks);
    }
}

void affinities_free(struct affinities *take_affinities)
{
    if (take_affinities == NULL) {
        return;
    }
    affinities_end(take_affinities);
    if (take_affinities->sessions != NULL) {
        weir_sessions_close(take_affinities->sessions);
    }
    affinity_looks_free(take_affinities->looks);
    alloc_free(&alloc_libc, take_affinities);
}

static bool id_of(const struct affinities *affinities, const struct affinity_key *key,
                  weir_session_id *ret_id)
{
    const uint64_t both[] = {key->hash, key->tag};
    return weir_session_id_of(affinities->sessions, NULL, both, sizeof both, ret_id) == WEIR_OK;
}

void affinities_name(const struct affinities *affinities, const struct affinity_key *key,
                     char ret_name[AFFINITY_NAME_TEXT])
{
    weir_session_id id = {0, 0};
    char text[WEIR_SESSION_TEXT] = "";
    if (id_of(affinities, key, &id)) {
        weir_session_id_text(id, text);
    }
    snprintf(ret_name, AFFINITY_NAME_TEXT, "%.12s", text);
}

enum affinity_where affinities_find(struct affinities *affinities, const struct affinity_key *key,
                                    uint64_t now_ms, struct affinity_look *look,
                                    struct affinity_bound *ret_bound)
{
    struct affinity_state state = {.is_here = false};
    weir_session session = {.size = sizeof session};
    if (!id_of(affinities, key, &state.id)) {
        return AFFINITY_NOWHERE;
    }
    state.is_here = weir_session_get(affinities->sessions, state.id, &session) == WEIR_OK;
    state.idle_ms = session.idle_ms;
    if (look != NULL && affinities->looks != NULL) {
        switch (affinity_looks_ask(affinities->looks, key, &state, now_ms, look)) {
        case AFFINITY_NOT_ASKED: break;
        case AFFINITY_ASKED: return AFFINITY_LATER;
        case AFFINITY_CAME: return affinities_find(affinities, key, now_ms, NULL, ret_bound);
        }
    }
    if (!state.is_here || session.bound_ms == 0 || strlen(session.place) > CONFIG_LABEL_MAX) {
        return AFFINITY_NOWHERE;
    }
    ret_bound->epoch = session.epoch;
    memcpy(ret_bound->account, session.place, strlen(session.place) + 1);
    return AFFINITY_BOUND;
}

/* The request that it is created for is its first. False: there is no room, and the hash alone
 * says.
 */
static bool create(struct affinities *affinities, weir_session_id id,
                   const struct affinity_owner *owner, uint32_t ttl_ms)
{
    char user[AFFINITY_USER_TEXT];
    affinity_user_text(owner->user, user);
    const weir_session_new what = {.size = sizeof what,
                                   .id = id,
                                   .user = user,
                                   .account = owner->upstream,
                                   .key = owner->client,
                                   .ttl_ms = ttl_ms};
    weir_err err = weir_session_create(affinities->sessions, &what, &id);
    return (err == WEIR_OK || err == WEIR_EEXISTS)
           && weir_session_touch(affinities->sessions, id, true) == WEIR_OK;
}

void affinities_bind(struct affinities *affinities, const struct affinity_key *key,
                     const struct affinity_owner *owner, const struct affinity_place *place)
{
    weir_session_id id;
    weir_session_place found;
    if (!id_of(affinities, key, &id)) {
        return;
    }
    if (weir_session_touch(affinities->sessions, id, true) != WEIR_OK
        && !create(affinities, id, owner, place->ttl_ms)) {
        return;
    }
    if (weir_session_claim(affinities->sessions, id, place->account, &found) == WEIR_EEXISTS
        && place->epoch != 0) {
        weir_session_rebind(affinities->sessions, id, place->epoch, place->account, &found);
    }
}

weir_sessions *affinities_sessions(const struct affinities *affinities)
{
    return affinities->sessions;
}

/* --- of late -------------------------------------------------------------------------------------
 */

static uint64_t mark_of(const struct affinity_key *key)
{
    return key->tag >> 32 << 32;
}

bool affinities_seen(const struct affinities *affinities, const struct affinity_key *key,
                     uint64_t now_ms)
{
    uint64_t it = atomic_load_explicit(&affinities->seen[key->hash % AFFINITY_SEEN],
                                       memory_order_relaxed);
    return it >> 32 << 32 == mark_of(key) && (uint32_t)it > (uint32_t)(now_ms / 1000);
}

void affinities_see(struct affinities *affinities, const struct affinity_key *key, uint64_t now_ms,
                    uint32_t ttl_ms)
{
    uint32_t until_s = (uint32_t)((now_ms + ttl_ms + 999) / 1000);
    atomic_store_explicit(&affinities->seen[key->hash % AFFINITY_SEEN], mark_of(key) | until_s,
                          memory_order_relaxed);
}

void affinities_count(struct affinities *affinities, enum affinity affinity)
{
    atomic_fetch_add_explicit(&affinities->counts[affinity], 1, memory_order_relaxed);
}

uint64_t affinities_counted(const struct affinities *affinities, enum affinity affinity)
{
    return atomic_load_explicit(&affinities->counts[affinity], memory_order_relaxed);
}

void affinities_info_of(struct affinities *affinities, struct affinities_info *ret_info)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(affinities->sessions, &stats);
    *ret_info = (struct affinities_info){.records = stats.live,
                                         .recovered = stats.recovered,
                                         .lost = stats.unrecovered,
                                         .syncs = stats.journal_syncs,
                                         .is_degraded = stats.degraded || stats.store_down,
                                         .has_redis = affinities->looks != NULL,
                                         .is_redis_up = !stats.store_down,
                                         .writes = stats.store_writes,
                                         .write_failures = stats.store_failures,
                                         .outages = stats.store_outages,
                                         .is_cluster = affinities->is_cluster,
                                         .nodes = stats.store_nodes,
                                         .nodes_down = stats.store_nodes_down,
                                         .slots_open = stats.store_slots_open,
                                         .moved = stats.store_moved,
                                         .asked = stats.store_asked,
                                         .repeats = stats.store_repeats,
                                         .pages = stats.store_pages,
                                         .pages_local = stats.store_pages_local,
                                         .lists_spoilt = stats.store_lists_spoilt};
    weir_sessions_redis_fault(affinities->sessions, ret_info->redis_fault,
                              sizeof ret_info->redis_fault);
    if (affinities->looks != NULL) {
        affinity_looks_info(affinities->looks, ret_info);
    }
}
