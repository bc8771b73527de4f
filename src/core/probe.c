/* SPDX-License-Identifier: Apache-2.0 */
#include "core/probe.h"

#include "core/conn.h"
#include "core/mutant.h"

bool probe_is_possible(const weir_pool *pool)
{
    return pool->connector->probe != NULL;
}

uint32_t probe_every_ms(const weir_pool *pool)
{
    uint32_t every_ms = pool->opt.probe_every_ms;
    if (every_ms == WEIR_NEVER || !probe_is_possible(pool)) {
        return WEIR_NEVER;
    }
    uint64_t mine_ms = rand_jitter(&pool->engine->rand, every_ms, pool->opt.jitter_pct);
    if (mine_ms == 0) {
        return 1;
    }
    return mine_ms < WEIR_MOST ? (uint32_t)mine_ms : WEIR_MOST;
}

uint64_t probe_due_ms(const struct conn *conn)
{
    bool is_off = conn->probe_ms == WEIR_NEVER || conn->key->pool->probes_off;
    return is_off ? UINT64_MAX : conn->since_ms + conn->probe_ms;
}

uint64_t probe_timeout_ms(const struct conn *conn)
{
    uint32_t timeout_ms = conn->key->pool->opt.probe_timeout_ms;
    return timeout_ms == WEIR_NEVER || MUTANT(15) ? UINT64_MAX : conn->since_ms + timeout_ms;
}

void probe_start(struct conn *conn)
{
    weir_pool *pool = conn->key->pool;
    check(conn->leases.count == 0);
    conn->unsure = false;
    pool->counters.probes++;
    conn_enter(conn, WEIR_PROBING);
    conn_tell(conn, TODO_PROBE);
    explain(conn->key, DECIDED_PROBE, conn, WEIR_OK);
}

weir_err weir_pool_probe(weir_pool *pool, bool on)
{
    if (!probe_is_possible(pool)) {
        return WEIR_ESTATE;
    }
    pool->probes_off = !on;
    weir_list_each(it, &pool->by_state[WEIR_IDLE]) {
        conn_arm(conn_on_pool(it));
    }
    return WEIR_OK;
}
