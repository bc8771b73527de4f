/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_known.c - what is known of the Redis that answers: whether it is the one, with what it had,
 * that it was. And where a tag's commands go.
 *
 * A Redis has one epoch, and one process that answers. Each node of a Cluster may be emptied, or
 * replaced by a replica that knows less, while the others are as they were: there every tag has an
 * epoch, which moves with its slot; and whoever answers for tags that are known, but was no master
 * all the time, may have lost some.
 */
#include "io/clock.h"
#include "session/redis_parts.h"

#include <stdio.h>
#include <sys/random.h>

#define UNKNOWN_EPOCH "?" /* no Redis has it */

bool redis_known_init(struct redis_store *store)
{
    store->epochs = alloc_array(&alloc_libc, store->is_cluster ? REDIS_TAGS : 1,
                                sizeof *store->epochs);
    if (store->epochs != NULL) {
        memset(store->epochs, 0, (store->is_cluster ? REDIS_TAGS : 1) * sizeof *store->epochs);
    }
    return store->epochs != NULL;
}

void redis_known_fini(struct redis_store *store)
{
    alloc_free(&alloc_libc, store->epochs);
}

uint64_t redis_fresh_epoch(void)
{
    uint64_t epoch = 0;
    bool is_random = getrandom(&epoch, sizeof epoch, 0) == (ssize_t)sizeof epoch;
    return is_random ? epoch : clock_now_ns();
}

bool redis_keep_epoch(const struct resp_value *value, char ret_epoch[REDIS_EPOCH_MAX + 1])
{
    if (value->type != RESP_TEXT || value->text.len > REDIS_EPOCH_MAX) {
        return false;
    }
    slice_copy(ret_epoch, REDIS_EPOCH_MAX + 1, value->text);
    return true;
}

void redis_route_start_for(struct redis_store *store, struct redis_route *route, uint32_t tag,
                           uint32_t timeout_ms)
{
    if (store->cluster == NULL) {
        redis_route_to(store->connector, route, &store->key, timeout_ms);
    } else {
        route->slot = redis_wire_slot(tag);
        redis_route_begin(store->cluster, route, timeout_ms);
    }
}

void redis_route_start(struct redis_store *store, struct redis_route *route, uint32_t tag)
{
    redis_route_start_for(store, route, tag, store->timeout_ms);
}

/* --- is it what it was? -------------------------------------------------------------------------
 */

/* Something was told to whoever serves that place's slots. */
static bool is_known_there(const struct redis_store *store, const struct redis_place *place)
{
    for (uint32_t tag = 0; tag < REDIS_TAGS; tag++) {
        const struct redis_place *at =
            store->epochs[tag][0] != '\0' ? redis_cluster_find(store->cluster, redis_wire_slot(tag))
                                          : NULL;
        if (at != NULL && redis_place_same(at, place)) {
            return true;
        }
    }
    return false;
}

static bool note_process(struct redis_store *store, const struct redis_route *route,
                         const char *run_id)
{
    if (store->cluster != NULL) {
        return redis_cluster_meet(store->cluster, &route->place, run_id)
               || !is_known_there(store, &route->place);
    }
    bool is_same = strcmp(store->run_id, run_id) == 0;
    snprintf(store->run_id, sizeof store->run_id, "%s", run_id);
    return is_same;
}

void redis_known_found(struct redis_store *store, const struct redis_route *route, uint32_t tag,
                       const char *epoch, const char *run_id)
{
    const char *known = store->epochs[store->cluster != NULL ? tag : 0];
    const char *which = epoch[0] != '\0' ? epoch : UNKNOWN_EPOCH;
    if (known[0] == '\0' && !redis_known_note(store, route, tag, which, run_id, false)) {
        weir_sessions_renew(store->sessions);
    }
}

bool redis_known_note(struct redis_store *store, const struct redis_route *route, uint32_t tag,
                      const char *epoch, const char *run_id, bool is_missed)
{
    char *known = store->epochs[store->cluster != NULL ? tag : 0];
    bool is_process = note_process(store, route, run_id);
    bool is_first = known[0] == '\0' && !is_missed;
    bool is_same = strcmp(known, epoch) == 0;
    snprintf(known, sizeof *store->epochs, "%s", epoch);
    return store->cluster != NULL ? is_process && (is_first || is_same)
                                  : is_first || (is_process && is_same);
}
