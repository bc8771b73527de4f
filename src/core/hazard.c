/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hazard.h"

#include "core/conn.h"
#include "core/mutant.h"

/* Heard within this time a connection is as good as any, and nobody looks further. */
#define HEARD_JUST_NOW_MS 1000U

/* A lease must not cost a walk: so many of the newest are compared. */
#define LOOKS 16U

static uint32_t horizon_of(const struct conn *idle)
{
    uint32_t horizon_ms = idle->key->horizon_ms;
    return idle->idle_ms < horizon_ms ? idle->idle_ms : horizon_ms;
}

bool hazard_is_great(const struct conn *idle, uint64_t now_ms)
{
    uint32_t horizon_ms = horizon_of(idle);
    return horizon_ms != WEIR_NEVER && (now_ms - idle->used_ms) * 4 >= horizon_ms * UINT64_C(3);
}

uint64_t hazard_of(const struct conn *idle, uint64_t now_ms)
{
    uint64_t silent_ms = now_ms - idle->since_ms;
    uint64_t idle_ms = now_ms - idle->used_ms;
    uint32_t horizon_ms = horizon_of(idle);
    return horizon_ms == WEIR_NEVER ? silent_ms : silent_ms + idle_ms * idle_ms / (horizon_ms + 1);
}

struct conn *hazard_least(const struct key *key, struct conn *newest)
{
    uint64_t now_ms = key->pool->engine->now_ms;
    uint64_t least = hazard_of(newest, now_ms);
    if (least <= HEARD_JUST_NOW_MS || MUTANT(26)) {
        return newest;
    }
    struct conn *best = newest;
    struct node *it = list_last(&key->by_state[WEIR_IDLE]);
    for (uint32_t looks = 0; looks < LOOKS && it != NULL; looks++, it = list_prev(it)) {
        uint64_t hazard = hazard_of(conn_on_key(it), now_ms);
        if (hazard < least) {
            best = conn_on_key(it);
            least = hazard;
        }
    }
    if (best != newest) {
        explain(newest->key, DECIDED_SKIP_HAZARD, newest, WEIR_OK);
    }
    return best;
}
