/* SPDX-License-Identifier: Apache-2.0 */
#include "core/health.h"

#include "core/event.h"
#include "core/key.h"
#include "core/pool.h"

#include <stdio.h>
#include <string.h>

#define DWELL_MS       5000U
#define COUNT_MS       10000U /* at a time, and as long again they are those before */
#define HYSTERESIS     0.05
#define BUSY_DEGRADED  0.80
#define BUSY_OVERLOAD  0.95
#define FAIL_DEGRADED  0.05
#define FAIL_UNUSABLE  0.50
#define REQUESTS_LEAST 10U /* fewer say nothing about a rate */

/* A word that is already in force, or a worse one, holds on a little longer; not until nothing at
 * all fails, which is less than is wanted of one that is well. */
static bool above(double value, double threshold, weir_health word, weir_health now)
{
    double less = threshold / 2 < HYSTERESIS ? threshold / 2 : HYSTERESIS;
    return value > (now >= word ? threshold - less : threshold);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

static double busy_of(const struct health_facts *facts)
{
    return ratio(facts->used, facts->most);
}

static double failing_of(const struct health_facts *facts)
{
    uint64_t requests = (uint64_t)facts->good + facts->bad;
    return requests >= REQUESTS_LEAST ? ratio(facts->bad, requests) : 0;
}

weir_health health_of(const struct health_facts *facts, char *ret_message, size_t size)
{
    double busy = busy_of(facts);
    double failing = failing_of(facts);
    if (facts->keys > 0 && facts->keys_usable == 0) {
        snprintf(ret_message, size, "none of %u keys is usable", facts->keys);
        return WEIR_UNAVAILABLE;
    }
    if (above(failing, FAIL_UNUSABLE, WEIR_UNAVAILABLE, facts->now)) {
        snprintf(ret_message, size, "%.0f %% of requests fail", failing * 100);
        return WEIR_UNAVAILABLE;
    }
    if (above(busy, BUSY_OVERLOAD, WEIR_OVERLOADED, facts->now)) {
        snprintf(ret_message, size, "%u of %u connections in use", facts->used, facts->most);
        return WEIR_OVERLOADED;
    }
    if (above(failing, FAIL_DEGRADED, WEIR_DEGRADED, facts->now)) {
        snprintf(ret_message, size, "%.0f %% of requests fail", failing * 100);
        return WEIR_DEGRADED;
    }
    if (above(busy, BUSY_DEGRADED, WEIR_DEGRADED, facts->now)) {
        snprintf(ret_message, size, "%u of %u connections in use", facts->used, facts->most);
        return WEIR_DEGRADED;
    }
    if (facts->oldest_wait_ms > facts->acquire_timeout_ms / 2) {
        snprintf(ret_message, size, "a caller has waited for %llu ms",
                 (unsigned long long)facts->oldest_wait_ms);
        return WEIR_DEGRADED;
    }
    snprintf(ret_message, size, "nothing to report");
    return WEIR_HEALTHY;
}

static uint32_t sum_of(uint32_t a, uint32_t b)
{
    return b < UINT32_MAX - a ? a + b : UINT32_MAX;
}

static void fade(struct window *window, uint64_t now_ms)
{
    uint64_t spans = (now_ms - window->begun_ms) / COUNT_MS;
    if (spans > 0) {
        window->good_before = spans == 1 ? window->good : 0;
        window->bad_before = spans == 1 ? window->bad : 0;
        window->good = window->bad = 0;
        window->begun_ms += spans * COUNT_MS;
    }
}

void health_count_good(struct window *window, uint64_t now_ms, uint32_t times)
{
    fade(window, now_ms);
    window->good = sum_of(window->good, times);
}

void health_count(struct window *window, uint64_t now_ms, bool is_good)
{
    fade(window, now_ms);
    if (is_good) {
        window->good++;
    } else {
        window->bad++;
    }
}

static bool is_usable(const struct key *key)
{
    return key->state != WEIR_KEY_DOWN && key->state != WEIR_KEY_TRIAL;
}

static struct health_facts facts_of(const weir_pool *pool)
{
    uint64_t now_ms = pool->engine->now_ms;
    struct window window = pool->window;
    fade(&window, now_ms);
    struct health_facts facts = {
        .used = pool->by_state[WEIR_ACTIVE].count + pool->by_state[WEIR_SHARED].count,
        .most = pool->opt.max_total == WEIR_UNLIMITED ? 0 : pool->opt.max_total,
        .good = sum_of(window.good, window.good_before),
        .bad = sum_of(window.bad, window.bad_before),
        .acquire_timeout_ms = pool->opt.acquire_timeout_ms,
        .now = (weir_health)pool->window.health,
    };
    struct node *oldest = list_first(&pool->waiting);
    if (oldest != NULL) {
        facts.oldest_wait_ms = now_ms - list_entry(oldest, struct lease, on_pool)->since_ms;
    }
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        facts.keys++;
        facts.keys_usable += is_usable(key);
    }
    return facts;
}

bool health_review(weir_pool *pool)
{
    char message[sizeof((weir_health_report *)NULL)->message];
    uint64_t now_ms = pool->engine->now_ms;
    struct window *window = &pool->window;
    struct health_facts facts = facts_of(pool);
    weir_health health = health_of(&facts, message, sizeof message);
    bool has_dwelt = window->since_ms == 0 || now_ms - window->since_ms >= DWELL_MS;
    if (health == (weir_health)window->health || !has_dwelt) {
        return health != (weir_health)window->health; /* later: somebody has to look again */
    }
    window->health = (uint8_t)health;
    window->since_ms = now_ms;
    event_tell(pool, WEIR_EVENT_HEALTH_STATUS_CHANGED, NULL, NULL, WEIR_OK);
    return true;
}

void weir_pool_health(const weir_pool *pool, weir_health_report *ret_report)
{
    struct health_facts facts = facts_of(pool);
    memset(ret_report, 0, sizeof *ret_report);
    ret_report->size = sizeof *ret_report;
    ret_report->since_ms = pool->window.since_ms;
    ret_report->utilization = busy_of(&facts);
    ret_report->error_rate = failing_of(&facts);
    ret_report->health = (weir_health)pool->window.health;
    weir_health fresh = health_of(&facts, ret_report->message, sizeof ret_report->message);
    if (fresh != ret_report->health) {
        snprintf(ret_report->message, sizeof ret_report->message, "%s for now",
                 weir_health_word(ret_report->health));
    }
}
