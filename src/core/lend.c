/* SPDX-License-Identifier: Apache-2.0 */
#include "core/lend.h"

#include "core/parts.h"
#include "core/queue.h"

void engine_pass_time(weir_engine *engine, uint64_t now_ms)
{
    if (now_ms > engine->now_ms) {
        engine->now_ms = now_ms;
    }
}

uint64_t engine_next_ms(const weir_engine *engine)
{
    return heap_first_ms(&engine->timers);
}

void engine_answer(weir_engine *engine, weir_lease_fn *fn)
{
    if (engine->answers.count > 0) {
        queue_deliver_to(engine, fn);
    }
}

static struct lease *find(weir_pool *pool, weir_lease id)
{
    struct lease *lease = slots_at(&pool->engine->leases, id.id);
    return lease != NULL && lease->key->pool == pool ? lease : NULL;
}

weir_err lease_cancel(weir_pool *pool, weir_lease id)
{
    const struct lease *lease = find(pool, id);
    if (lease == NULL || lease->fn == NULL || lease->state == LEASE_ENDED) {
        return WEIR_ESTALE;
    }
    return weir_release(pool, id, WEIR_KEEP);
}

weir_err lease_renewed(weir_pool *pool, weir_lease id, uint32_t times)
{
    struct lease *lease = find(pool, id);
    if (lease == NULL || lease->state != LEASE_HELD || lease->fn != NULL) {
        return WEIR_ESTALE;
    }
    queue_renewed(lease, times);
    return WEIR_OK;
}
