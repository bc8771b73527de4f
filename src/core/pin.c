/* SPDX-License-Identifier: Apache-2.0
 *
 * pin.c - what the holder of a pinned key may ask of it, at no cost: is it up, how busy is it?
 */
#include "core/event.h"
#include "core/key.h"
#include "core/pool.h"

void pool_key_unpin(weir_pool *pool, struct key *take_pin)
{
    check(take_pin->pool == pool);
    check(take_pin->pins > 0);
    take_pin->pins--;
    take_pin->wanted -= take_pin->wanted > 0;
    key_review(take_pin);
}

weir_key_state pool_key_state(const struct key *pin)
{
    return (weir_key_state)pin->state;
}

void pool_key_tell_ejected(const struct key *pin, bool is_ejected)
{
    event_tell(pin->pool, is_ejected ? WEIR_EVENT_ENDPOINT_EJECTED : WEIR_EVENT_ENDPOINT_RETURNED,
               pin, NULL, WEIR_OK);
}

uint32_t pool_key_busy(const struct key *pin)
{
    uint32_t busy = pin->waiting.count + pin->by_state[WEIR_ACTIVE].count;
    weir_list_each(it, &pin->by_state[WEIR_SHARED]) {
        busy += list_entry(it, const struct conn, on_key)->leases.count;
    }
    return busy;
}

uint32_t pool_key_retry_after(const struct key *pin)
{
    uint64_t now_ms = pin->pool->engine->now_ms;
    return pin->retry_ms > now_ms ? (uint32_t)(pin->retry_ms - now_ms) : 0;
}

const weir_key *pool_key_view(const struct key *pin)
{
    return &pin->view;
}
