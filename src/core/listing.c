/* SPDX-License-Identifier: Apache-2.0
 *
 * listing.c - what a pool shows of its connections and keys. Nothing here changes anything.
 */
#include "core/conn.h"
#include "core/key.h"
#include "core/pool.h"

static weir_conn_info conn_info(const struct conn *conn)
{
    struct node *newest = list_last(&conn->leases);
    return (weir_conn_info){
        .size = sizeof(weir_conn_info),
        .conn = {conn_id(conn)},
        .key = &conn->key->view,
        .note = conn->admitted ? conn->note : "",
        .state = (weir_state)conn->state,
        .why = (weir_err)conn->why,
        .leases = conn->leases.count,
        .leases_max = conn->leases_max,
        .uses = conn->uses,
        .tag = newest != NULL ? list_entry(newest, struct lease, on_owner)->tag : 0,
        .created_ms = conn->created_ms,
        .since_ms = conn->since_ms,
        .last_used_ms = conn->used_ms,
        .retiring = conn->retiring,
        .admitted = conn->admitted,
        .object = conn->object,
    };
}

void weir_engine_each(const weir_engine *engine,
                      bool (*fn)(void *arg, weir_pool *pool, const weir_stats *stats), void *arg)
{
    weir_list_each(it, &engine->pools) {
        weir_pool *pool = list_entry(it, struct weir_pool, on_engine);
        weir_stats stats;
        weir_pool_stats(pool, &stats);
        if (!fn(arg, pool, &stats)) {
            return;
        }
    }
}

void weir_pool_each(const weir_pool *pool, bool (*fn)(void *arg, const weir_conn_info *info),
                    void *arg)
{
    for (int i = 0; i < WEIR_STATES; i++) {
        weir_list_each(it, &pool->by_state[i]) {
            weir_conn_info info = conn_info(conn_on_pool(it));
            if (!fn(arg, &info)) {
                return;
            }
        }
    }
}

static weir_key_info key_info(const struct key *key)
{
    return (weir_key_info){
        .size = sizeof(weir_key_info),
        .key = &key->view,
        .state = (weir_key_state)key->state,
        .last_error = (weir_err)key->last_error,
        .failures = key->failures,
        .retry_after_ms = pool_key_retry_after(key),
        .dialling = key->by_state[WEIR_DIALLING].count,
        .idle = key->by_state[WEIR_IDLE].count,
        .shared = key->by_state[WEIR_SHARED].count,
        .active = key->by_state[WEIR_ACTIVE].count,
        .probing = key->by_state[WEIR_PROBING].count,
        .closing = key->by_state[WEIR_CLOSING].count,
        .waiting = key->waiting.count,
        .grants = key->grants,
        .reused = key->reused,
        .created = key->created,
        .errors = key->errors,
        .last_used_ms = key->used_ms,
        .last_error_ms = key->error_ms,
    };
}

void weir_pool_each_key(const weir_pool *pool, bool (*fn)(void *arg, const weir_key_info *info),
                        void *arg)
{
    weir_list_each(it, &pool->keys) {
        weir_key_info info = key_info(list_entry(it, struct key, on_pool));
        if (!fn(arg, &info)) {
            return;
        }
    }
}

weir_err weir_pool_key_of(const weir_pool *pool, const weir_key *key, weir_key_info *ret_info)
{
    struct key_text text;
    if (!key_canonical(pool, key, &text)) {
        return WEIR_EINVAL;
    }
    const struct key *known = key_find(pool, &text);
    if (known == NULL) {
        return WEIR_EAGAIN;
    }
    *ret_info = key_info(known);
    return WEIR_OK;
}
