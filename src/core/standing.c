/* SPDX-License-Identifier: Apache-2.0 */
#include "core/standing.h"

#include "core/mutant.h"
#include "core/turns.h"

static void tell(struct group *tenant)
{
    const struct limit_port *port = tenant->pool->engine->port;
    const struct limit_msg msg = {.account = tenant->ledger.account,
                                  .word = LIMIT_STAND,
                                  .count = tenant->hungry.count,
                                  .standing = {.alive = tenant->alive,
                                               .fed = tenant->fed,
                                               .leases = tenant->ended,
                                               .spent_ms = tenant->spent_ms,
                                               .has_yielded = tenant->has_yielded}};
    tenant->is_told = tenant->alive + tenant->hungry.count + tenant->waiting > 0;
    tenant->told_alive = tenant->alive;
    tenant->ledger.asked = tenant->hungry.count;
    tenant->has_yielded = false;
    tenant->ended = 0;
    tenant->spent_ms = 0;
    port->send(port->arg, &msg);
}

/* What was had while nobody was short of it is nobody's debt. */
static void begin(struct group *tenant)
{
    if (!tenant->is_told) {
        tenant->is_told = true;
        tenant->ended = 0;
        tenant->spent_ms = 0;
        tenant->told_alive = UINT32_MAX; /* it is told in any case */
    }
}

void standing_tell(weir_pool *pool)
{
    struct node *node;
    while ((node = list_pop_front(&pool->news)) != NULL) {
        struct group *tenant = list_entry(node, struct group, on_news);
        if (tenant->hungry.count > 0) {
            begin(tenant);
        }
        if (tenant->is_told
            && (tenant->told_alive != tenant->alive
                || tenant->ledger.asked != tenant->hungry.count)) {
            tell(tenant);
        }
    }
}

void standing_fed(struct group *tenant, uint32_t count)
{
    tenant->fed += count;
    if (tenant->hungry.count > 0) {
        turns_promise(tenant, count);
    }
    tenant->is_told = true;
    tenant->told_alive = UINT32_MAX;
    standing_note(tenant);
}

bool standing_should_yield(struct group *tenant)
{
    const weir_pool *pool = tenant->pool;
    if (pool->ledger.wanted == 0 && pool->turns.count == 0) {
        return false;
    }
    begin(tenant);
    if (++tenant->released >= STANDING_EVERY) {
        tenant->released = 0;
        tell(tenant);
    }
    if (!tenant->ledger.is_pressing || pool->ledger.wanted == 0 || MUTANT(27)) {
        return false;
    }
    tenant->ledger.is_pressing = false;
    tenant->has_yielded = true;
    return true;
}
