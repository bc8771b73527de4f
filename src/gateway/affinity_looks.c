/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/affinity_looks.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "io/clock.h"
#include "runtime/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#define REFRESH_S   1U    /* what was nowhere that long ago is asked for again, behind its back */
#define PAUSE_MS    1000U /* after a failure nothing is asked */
#define ERRANDS_MAX 1000U

/* One question, from its worker to the store and back. */
struct affinity_errand {
    struct worker_note note;
    struct node on_list; /* looks->errands */
    struct affinity_looks *looks;
    struct worker *worker;
    struct affinity_look *look; /* NULL: nobody waits; its worker's */
    struct affinity_key key;
    bool is_copy; /* … is here, and is to be heard of */
    weir_err err;
};

struct affinity_looks {
    weir_sessions *sessions;
    uint32_t cache_count, cache_ttl_s;
    /* What was nowhere: half of its tag, and when that was, in seconds. Others fall on the same
     * place; then it is asked for again. */
    _Atomic uint64_t *cache;
    _Atomic uint64_t failed_ms; /* when that was last; 0: never */
    _Atomic uint64_t hits, misses, found, absent, failed;
    pthread_mutex_t mutex; /* of what follows */
    struct list errands;
    uint32_t count;
    bool is_ending;
};

int affinity_looks_new(weir_sessions *sessions, const struct config_sessions *config,
                       struct affinity_looks **ret_looks)
{
    struct affinity_looks *looks = alloc_zeroed(&alloc_libc, sizeof *looks);
    if (looks == NULL) {
        return -ENOMEM;
    }
    looks->sessions = sessions;
    looks->cache_count = config->cache;
    looks->cache_ttl_s = config->cache_ttl_ms / 1000;
    looks->cache = alloc_zeroed(&alloc_libc, (config->cache + 1) * sizeof *looks->cache);
    if (looks->cache == NULL) {
        alloc_free(&alloc_libc, looks);
        return -ENOMEM;
    }
    pthread_mutex_init(&looks->mutex, NULL);
    list_init(&looks->errands);
    *ret_looks = looks;
    return 0;
}

void affinity_looks_end(struct affinity_looks *looks)
{
    pthread_mutex_lock(&looks->mutex);
    looks->is_ending = true;
    pthread_mutex_unlock(&looks->mutex);
}

void affinity_looks_free(struct affinity_looks *take_looks)
{
    struct affinity_looks *looks = take_looks;
    if (looks == NULL) {
        return;
    }
    while (!list_is_empty(&looks->errands)) {
        alloc_free(&alloc_libc,
                   container_of(list_pop_front(&looks->errands), struct affinity_errand, on_list));
    }
    pthread_mutex_destroy(&looks->mutex);
    alloc_free(&alloc_libc, looks->cache);
    alloc_free(&alloc_libc, looks);
}

/* --- what was nowhere ----------------------------------------------------------------------------
 */

static _Atomic uint64_t *entry_of(struct affinity_looks *looks, const struct affinity_key *key)
{
    return looks->cache_count > 0 ? &looks->cache[key->hash % looks->cache_count] : NULL;
}

static void remember(struct affinity_looks *looks, const struct affinity_key *key, uint64_t now_ms)
{
    _Atomic uint64_t *entry = entry_of(looks, key);
    if (entry != NULL) {
        uint64_t it = (key->tag >> 32 << 32) | (uint32_t)(now_ms / 1000);
        atomic_store_explicit(entry, it, memory_order_relaxed);
    }
}

/* For how many seconds that has been known; UINT32_MAX: it is not. */
static uint32_t age_of(struct affinity_looks *looks, const struct affinity_key *key,
                       uint64_t now_ms)
{
    _Atomic uint64_t *entry = entry_of(looks, key);
    uint64_t it = entry != NULL ? atomic_load_explicit(entry, memory_order_relaxed) : 0;
    bool is_it = it != 0 && it >> 32 == key->tag >> 32;
    return is_it ? (uint32_t)(now_ms / 1000) - (uint32_t)it : UINT32_MAX;
}

/* --- an errand -----------------------------------------------------------------------------------
 */

static void errand_end(struct affinity_errand *errand)
{
    struct affinity_looks *looks = errand->looks;
    pthread_mutex_lock(&looks->mutex);
    list_leave(&errand->on_list);
    looks->count--;
    pthread_mutex_unlock(&looks->mutex);
    alloc_free(&alloc_libc, errand);
}

static void judge(struct affinity_looks *looks, const struct affinity_key *key, bool is_copy,
                  weir_err err)
{
    if (err == WEIR_OK) {
        atomic_fetch_add(&looks->found, 1);
    } else if (err == WEIR_ESTALE) {
        atomic_fetch_add(&looks->absent, 1);
    } else {
        atomic_fetch_add(&looks->failed, 1);
        atomic_store(&looks->failed_ms, clock_now_ms());
    }
    if (err == WEIR_ESTALE && !is_copy) {
        remember(looks, key, clock_now_ms());
    }
}

/* On its worker. */
static void come_back(struct worker_note *note)
{
    struct affinity_errand *errand = container_of(note, struct affinity_errand, note);
    struct affinity_look *look = errand->look;
    judge(errand->looks, &errand->key, errand->is_copy, errand->err);
    errand_end(errand);
    if (look != NULL) {
        look->errand = NULL;
        look->done(look);
    }
}

/* On any thread; once. */
static void answered(void *arg, weir_err err, weir_session_id id)
{
    struct affinity_errand *errand = arg;
    struct affinity_looks *looks = errand->looks;
    (void)id;
    pthread_mutex_lock(&looks->mutex);
    errand->err = err;
    if (!looks->is_ending) { /* else there are no workers, and it is freed with the others */
        worker_note(errand->worker, &errand->note);
    }
    pthread_mutex_unlock(&looks->mutex);
}

/* NULL: there are too many, or it is over. */
static struct affinity_errand *errand_new(struct affinity_looks *looks,
                                          const struct affinity_key *key)
{
    struct affinity_errand *errand = alloc_zeroed(&alloc_libc, sizeof *errand);
    if (errand == NULL) {
        return NULL;
    }
    errand->note.run = come_back;
    errand->looks = looks;
    errand->worker = worker_here();
    errand->key = *key;
    pthread_mutex_lock(&looks->mutex);
    bool is_room = !looks->is_ending && looks->count < ERRANDS_MAX;
    if (is_room) {
        looks->count++;
        list_push_back(&looks->errands, &errand->on_list);
    }
    pthread_mutex_unlock(&looks->mutex);
    if (!is_room) {
        alloc_free(&alloc_libc, errand);
        return NULL;
    }
    return errand;
}

static enum affinity_asked send(struct affinity_looks *looks, const struct affinity_key *key,
                                const struct affinity_state *state, struct affinity_look *look)
{
    struct affinity_errand *errand = errand_new(looks, key);
    if (errand == NULL) {
        return AFFINITY_NOT_ASKED;
    }
    errand->look = look;
    errand->is_copy = state->is_here;
    if (look != NULL) {
        look->errand = errand;
    }
    bool is_copy = state->is_here
                   && weir_session_touch(looks->sessions, state->id, true) == WEIR_OK;
    weir_err err = is_copy ? weir_session_confirm(looks->sessions, state->id, answered, errand)
                           : weir_session_fetch(looks->sessions, state->id, answered, errand);
    if (err == WEIR_EAGAIN) {
        return AFFINITY_ASKED;
    }
    if (look != NULL) {
        look->errand = NULL;
    }
    judge(looks, key, is_copy, err);
    errand_end(errand);
    return err == WEIR_OK ? AFFINITY_CAME : AFFINITY_NOT_ASKED;
}

void affinity_look_leave(struct affinity_look *look)
{
    if (look->errand != NULL) {
        look->errand->look = NULL;
        look->errand = NULL;
    }
}

/* --- when it is asked ----------------------------------------------------------------------------
 */

static bool has_failed(const struct affinity_looks *looks, uint64_t now_ms)
{
    uint64_t failed_ms = atomic_load(&looks->failed_ms);
    return failed_ms != 0 && now_ms < failed_ms + PAUSE_MS;
}

/* What is written while it is down is heard of when it is back: nobody waits for that. */
static bool is_down(const struct affinity_looks *looks)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(looks->sessions, &stats);
    return stats.store_down;
}

enum affinity_asked affinity_looks_ask(struct affinity_looks *looks, const struct affinity_key *key,
                                       const struct affinity_state *state, uint64_t now_ms,
                                       struct affinity_look *look)
{
    uint32_t age_s = state->is_here ? (uint32_t)(state->idle_ms / 1000)
                                    : age_of(looks, key, now_ms);
    bool is_fresh = age_s < looks->cache_ttl_s;
    bool may_ask = worker_here() != NULL && !has_failed(looks, now_ms);
    atomic_fetch_add(is_fresh ? &looks->hits : &looks->misses, 1);
    if (!may_ask || (is_fresh && (state->is_here || age_s < REFRESH_S))
        || (state->is_here && is_down(looks))) {
        return AFFINITY_NOT_ASKED;
    }
    if (is_fresh) {
        remember(looks, key, now_ms); /* once is enough */
        send(looks, key, state, NULL);
        return AFFINITY_NOT_ASKED;
    }
    return send(looks, key, state, look);
}

void affinity_looks_info(const struct affinity_looks *looks, struct affinities_info *ret_info)
{
    ret_info->cache_hits = atomic_load(&looks->hits);
    ret_info->cache_misses = atomic_load(&looks->misses);
    ret_info->found = atomic_load(&looks->found);
    ret_info->absent = atomic_load(&looks->absent);
    ret_info->failed = atomic_load(&looks->failed);
}
