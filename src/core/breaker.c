/* SPDX-License-Identifier: Apache-2.0 */
#include "core/breaker.h"

#include "core/mutant.h"
#include "core/retry.h"

static void enter(struct key *key, weir_key_state state, uint64_t retry_ms)
{
    weir_engine *engine = key->pool->engine;
    if (retry_ms > engine->now_ms) {
        heap_set(&engine->timers, &key->timer.node, retry_ms);
    } else if (key->retry_ms > engine->now_ms) {
        heap_clear(&engine->timers, &key->timer.node);
    }
    key->state = (uint8_t)state;
    key->retry_ms = retry_ms;
}

static bool is_ours(weir_err why)
{
    return why == WEIR_EFILES || why == WEIR_ENOMEM;
}

/* A pause, and as before: nothing was learned of the peer. */
static void pause_dials(struct key *key)
{
    weir_engine *engine = key->pool->engine;
    weir_key_state state = key->state == WEIR_KEY_TRIAL ? WEIR_KEY_DOWN : WEIR_KEY_BACKING_OFF;
    enter(key, state, engine->now_ms + retry_delay_ms(&key->pool->opt, 1, &engine->rand));
}

bool breaker_failed(struct key *key, uint8_t round, weir_err why)
{
    weir_pool *pool = key->pool;
    weir_engine *engine = pool->engine;
    key->errors++;
    key->last_error = (uint8_t)why;
    key->error_ms = engine->now_ms;
    if (round != key->round) {
        return false;
    }
    key->round++;
    key->ramp = key->ramp > 1 ? key->ramp / 2 : 1;
    if (is_ours(why)) {
        pause_dials(key);
        explain(key, DECIDED_BACK_OFF, NULL, why);
        return true;
    }
    key->failures++;
    bool is_hopeless = why == WEIR_EDENIED;
    if ((key->failures >= pool->opt.failures_max || is_hopeless) && !MUTANT(9)) {
        key->ramp = 1;
        key->owed = 0;
        enter(key, WEIR_KEY_DOWN, engine->now_ms + pool->opt.down_for_ms);
        explain(key, DECIDED_DOWN, NULL, why);
        return true;
    }
    uint64_t delay_ms = MUTANT(8) ? 1 : retry_delay_ms(&pool->opt, key->failures, &engine->rand);
    enter(key, WEIR_KEY_BACKING_OFF, engine->now_ms + delay_ms);
    explain(key, DECIDED_BACK_OFF, NULL, why);
    return true;
}

bool breaker_is_denied(const struct key *key)
{
    return key->state == WEIR_KEY_TRIAL && key->last_error == WEIR_EDENIED;
}

bool breaker_succeeded(struct key *key)
{
    uint32_t most = key->pool->opt.connecting_max;
    bool was_down = key->state == WEIR_KEY_DOWN || key->state == WEIR_KEY_TRIAL;
    if (was_down) {
        key->ramp = 1;
    } else {
        key->ramp = key->ramp < UINT8_MAX / 2 ? (uint8_t)(key->ramp * 2) : UINT8_MAX;
    }
    if (key->ramp > most) {
        key->ramp = (uint8_t)most;
    }
    if (key->state != WEIR_KEY_UP) {
        enter(key, WEIR_KEY_UP, 0);
        explain(key, DECIDED_UP, NULL, WEIR_OK);
    }
    key->failures = 0;
    return was_down;
}

void breaker_timer(struct key *key)
{
    if (key->state == WEIR_KEY_DOWN) {
        enter(key, WEIR_KEY_TRIAL, 0);
        explain(key, DECIDED_TRIAL, NULL, WEIR_OK);
    } else {
        check(key->state == WEIR_KEY_BACKING_OFF);
        enter(key, WEIR_KEY_UP, 0);
    }
}

bool breaker_reset(struct key *key)
{
    bool was_down = key->state == WEIR_KEY_DOWN || key->state == WEIR_KEY_TRIAL;
    if (key->state != WEIR_KEY_UP) {
        enter(key, WEIR_KEY_UP, 0);
    }
    key->failures = 0;
    key->round++;
    return was_down;
}

uint32_t breaker_allows(const struct key *key)
{
    uint32_t dialling = key->by_state[WEIR_DIALLING].count;
    uint32_t most = key->pool->opt.connecting_max;
    switch ((weir_key_state)key->state) { /* cover: every state is named */
    case WEIR_KEY_UP: most = key->ramp < most && !MUTANT(7) ? key->ramp : most; break;
    case WEIR_KEY_TRIAL: most = MUTANT(10) ? most : 1; break;
    case WEIR_KEY_BACKING_OFF:
    case WEIR_KEY_DOWN:
    case WEIR_KEY_STATES: return 0;
    }
    return most > dialling ? most - dialling : 0;
}
