/* SPDX-License-Identifier: Apache-2.0 */
#include "core/crowd.h"

#include "core/demand.h"
#include "core/mutant.h"
#include "core/turns.h"

static struct concurrency_rule rule_of(const weir_pool *pool)
{
    const weir_pool_options *opt = &pool->opt;
    return (struct concurrency_rule){
        .kind = opt->concurrency == WEIR_AIMD ? CONCURRENCY_AIMD : CONCURRENCY_GRADIENT2,
        .first = opt->concurrency_first,
        .min = opt->concurrency_min,
        .max = opt->concurrency_max,
        .slow_ms = opt->concurrency_slow_ms,
    };
}

uint32_t crowd_limit(const struct group *endpoint)
{
    if (endpoint->pool->opt.concurrency == WEIR_OFF || !group_is_named(endpoint)) {
        return 0;
    }
    struct concurrency_rule rule = rule_of(endpoint->pool);
    return concurrency_limit(&endpoint->concurrency, &rule);
}

static uint32_t room_of(const struct group *endpoint, uint32_t places)
{
    uint32_t limit = crowd_limit(endpoint);
    uint32_t used = endpoint->leases + places;
    return limit > used ? limit - used : MUTANT(36) ? 1 : 0;
}

uint32_t crowd_room(const struct key *key)
{
    const struct group *endpoint = key->endpoint;
    return crowd_is_limited(key) ? room_of(endpoint, endpoint->places - key->keeps_place)
                                 : UINT32_MAX;
}

void crowd_keep_place(struct key *key)
{
    key->endpoint->places += !key->keeps_place;
    key->keeps_place = true;
}

void crowd_give_place(struct key *key)
{
    key->endpoint->places -= key->keeps_place;
    key->keeps_place = false;
}

/* No answer came for it in time, or the peer cut it off. What its own caller gave up, or a
 * connection that was of no use any more, says nothing. */
static bool is_overload(weir_err why)
{
    switch ((int)why) {
    case WEIR_ERESET:
    case WEIR_EHANGUP:
    case WEIR_EFIRST_BYTE_TIMEOUT:
    case WEIR_EREAD_TIMEOUT:
    case WEIR_EWRITE_TIMEOUT:
    case WEIR_ETOTAL_TIMEOUT:
    case WEIR_ELEASE_TIMEOUT: return true;
    default: return false;
    }
}

void crowd_learn(const struct lease *lease, weir_fate fate, weir_err why)
{
    const struct key *key = lease->key;
    struct group *endpoint = key->endpoint;
    uint64_t now_ms = key->pool->engine->now_ms;
    bool was_dropped = is_overload(why);
    if (!was_dropped && (fate == WEIR_BROKEN || why == WEIR_ECANCELED)) {
        return;
    }
    struct concurrency_rule rule = rule_of(key->pool);
    concurrency_ended(&endpoint->concurrency, now_ms - lease->since_ms, endpoint->leases,
                      was_dropped);
    concurrency_review(&endpoint->concurrency, &rule, now_ms);
}

void crowd_leave(struct key *key)
{
    crowd_give_place(key);
    list_leave(&key->on_endpoint);
}

void crowd_line_up(struct key *key)
{
    if (key->waiting.count == 0 || !crowd_is_limited(key)) {
        list_leave(&key->on_endpoint);
    } else if (!list_holds(&key->on_endpoint)) {
        list_push_back(&key->endpoint->crowd, &key->on_endpoint);
    }
}

void crowd_review(struct key *key)
{
    bool is_dialling = key->by_state[WEIR_DIALLING].count > 0 || turns_is_waiting(key);
    if (!is_dialling || !demand_must_dial(key)) {
        crowd_give_place(key);
    }
    crowd_line_up(key);
}

struct key *crowd_next(struct group *endpoint)
{
    struct node *first = room_of(endpoint, endpoint->places) > 0 ? list_pop_front(&endpoint->crowd)
                                                                 : NULL;
    return first != NULL ? list_entry(first, struct key, on_endpoint) : NULL;
}

void crowd_update(weir_pool *pool, const weir_pool_options *old)
{
    if (pool->opt.concurrency != old->concurrency) {
        weir_list_each(it, &pool->endpoints) {
            list_entry(it, struct group, on_pool)->concurrency = (struct concurrency){0};
        }
        weir_list_each(it, &pool->keys) {
            crowd_leave(list_entry(it, struct key, on_pool));
        }
    }
}
