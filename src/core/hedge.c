/* SPDX-License-Identifier: Apache-2.0 */
#include "core/hedge.h"

#include "core/conn.h"
#include "core/pool.h"

/* The 95th percentile, kept x 256, climbs by 19 steps for what is slower and falls by one for what
 * is not: it stands still where one in twenty is slower. A step is 1/320 of it. */
#define SCALE 256U
#define STEPS 320U
#define CLIMB 19U

void hedge_learn(struct key *key, uint64_t dialled_ms)
{
    uint64_t sample = dialled_ms < UINT32_MAX / SCALE / 2 ? dialled_ms * SCALE : UINT32_MAX / 2;
    uint32_t p95 = key->dial_p95_x256;
    uint32_t step = p95 / STEPS + 1;
    if (key->dial_samples == 0) {
        p95 = (uint32_t)sample;
    } else if (sample > p95) {
        p95 = sample - p95 > (uint64_t)step * CLIMB ? p95 + step * CLIMB : (uint32_t)sample;
    } else {
        p95 -= p95 > step ? step : p95;
    }
    key->dial_p95_x256 = p95;
    key->dial_samples += key->dial_samples < UINT8_MAX;
    if (key->pool->opt.hedge == WEIR_ON) {
        weir_list_each(it, &key->by_state[WEIR_DIALLING]) {
            conn_arm(conn_on_key(it)); /* it may be slow earlier than was thought */
        }
    }
}

uint64_t hedge_due_ms(const struct conn *dial)
{
    const struct key *key = dial->key;
    if (key->pool->opt.hedge != WEIR_ON || dial->hedged || key->dial_samples < HEDGE_SAMPLES) {
        return UINT64_MAX;
    }
    return dial->created_ms + key->dial_p95_x256 / SCALE + 1;
}

void hedge_start(struct conn *dial)
{
    struct key *key = dial->key;
    dial->hedged = true;
    if (key->waiting.count > 0 && pool_dial_spare(key)) {
        struct conn *second = conn_on_key(list_last(&key->by_state[WEIR_DIALLING]));
        second->hedged = true;
        explain(key, DECIDED_HEDGE, second, WEIR_OK);
    }
    conn_arm(dial);
}
