/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - connections to where a name no longer leads.
 *
 * Large services show a few of their addresses at a time, others at every look-up: an address that
 * one answer lacks says nothing. One that is missing from three in a row has been taken out, and
 * its connections retire as if they had grown too old: one after the other, replaced before. One
 * that is seen again before its turn came stays.
 */
#include "core/breaker.h"
#include "core/conn.h"
#include "core/event.h"
#include "core/key.h"
#include "core/mutant.h"
#include "core/pool.h"
#include "core/warm.h"

#include <string.h>
#include <strings.h>

#define MISSED_MAX 3U

weir_err weir_conn_address(weir_pool *pool, weir_conn id, uint32_t address)
{
    struct conn *conn = slots_at(&pool->engine->conns, id.id);
    if (conn == NULL || conn->key->pool != pool) {
        return WEIR_ESTALE;
    }
    if (conn->admitted) {
        return WEIR_ESTATE;
    }
    conn->peer.address = address;
    conn->peer.missed = 0;
    return WEIR_OK;
}

struct answer {
    const uint32_t *addresses;
    uint32_t count;
};

static bool has_address(const struct answer *answer, uint32_t address)
{
    for (uint32_t i = 0; i < answer->count; i++) {
        if (answer->addresses[i] == address) {
            return true;
        }
    }
    return false;
}

/* The same whatever the order; never 0. */
static uint32_t hash_of(const struct answer *answer)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < answer->count; i++) {
        sum += (uint32_t)rand_mix(answer->addresses[i]);
    }
    return sum | 1U;
}

/* Its time comes as if it had grown too old; or as it was. */
static void displace(struct conn *conn, bool is_displaced)
{
    const weir_pool *pool = conn->key->pool;
    if (conn->aged) {
        return; /* it goes anyway */
    }
    conn->displaced = is_displaced;
    if (is_displaced) {
        conn->until_ms = pool->engine->now_ms;
    } else {
        bool is_endless = pool->opt.max_age_ms == WEIR_NEVER;
        conn->until_ms = is_endless ? UINT64_MAX : conn->created_ms + pool->opt.max_age_ms;
    }
    conn_arm(conn);
}

static void look_at(struct conn *conn, const struct answer *answer)
{
    if (conn->peer.address == 0 || conn->admitted || conn->retiring) {
        return;
    }
    if (has_address(answer, conn->peer.address)) {
        conn->peer.missed = 0;
        if (conn->displaced) {
            displace(conn, false);
        }
        return;
    }
    conn->peer.missed += conn->peer.missed < UINT8_MAX;
    if (conn->peer.missed >= (MUTANT(33) ? 1 : MISSED_MAX) && !conn->displaced) {
        displace(conn, true);
    }
}

static void renew(struct key *key, const struct answer *answer)
{
    uint32_t hash = hash_of(answer);
    bool is_new = key->addresses != 0 && key->addresses != hash;
    key->addresses = hash;
    warm_check(key);
    for (int i = WEIR_IDLE; i < WEIR_CLOSING; i++) {
        weir_list_each_safe(it, &key->by_state[i]) {
            look_at(conn_on_key(it), answer);
        }
    }
    if (is_new && breaker_reset(key)) {
        event_tell(key->pool, WEIR_EVENT_KEY_UP, key, NULL, WEIR_EADDRESS);
    }
    if (is_new) {
        pool_serve(key);
    }
}

/* The proxy of a key looks names up itself. */
static bool is_of_host(const struct key *key, const char *host)
{
    return key->view.proxy == NULL && strcasecmp(key->view.host, host) == 0;
}

void weir_pool_resolved(weir_pool *pool, const char *host, const uint32_t *addresses,
                        uint32_t count)
{
    const struct answer answer = {addresses, count};
    if (count == 0 || pool->closing) {
        return; /* no answer is no lesson */
    }
    weir_list_each_safe(it, &pool->keys) {
        struct key *key = list_entry(it, struct key, on_pool);
        if (is_of_host(key, host)) {
            renew(key, &answer);
        }
    }
}

static bool has_business(const struct key *key)
{
    bool is_warmed = key->wanted > 0 && key->pool->opt.warm != WEIR_OFF;
    return key_alive(key) > 0 || key->waiting.count > 0 || key->state != WEIR_KEY_UP || is_warmed;
}

bool pool_name_matters(const weir_pool *pool, const char *host)
{
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        if (is_of_host(key, host) && has_business(key)) {
            return true;
        }
    }
    return false;
}
