/* SPDX-License-Identifier: Apache-2.0 */
#include "core/stats.h"

#include "base/check.h"
#include "core/crowd.h"
#include "core/parts.h"
#include "core/pool.h"

#include <string.h>

uint64_t weir_bucket_end_ms(unsigned bucket)
{
    if (bucket >= WEIR_BUCKETS - 1) {
        return UINT64_MAX;
    }
    if (bucket < HISTOGRAM_OCTAVE) {
        return bucket + 1;
    }
    unsigned octave = bucket / HISTOGRAM_OCTAVE - 1 + HISTOGRAM_OCTAVE_LOG2;
    unsigned part = bucket % HISTOGRAM_OCTAVE;
    return (uint64_t)(HISTOGRAM_OCTAVE + part + 1) << (octave - HISTOGRAM_OCTAVE_LOG2);
}

void histogram_decay(struct histogram *histogram, uint64_t now_ms)
{
    uint64_t times = (now_ms - histogram->decayed_ms) / HISTOGRAM_DECAY_MS;
    unsigned shift = times < 31 ? (unsigned)times : 31U;
    histogram->decayed_ms += times * HISTOGRAM_DECAY_MS;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        histogram->recent[i] >>= shift;
    }
}

void histogram_merge(struct histogram *histogram, const struct histogram *other, uint64_t now_ms)
{
    uint64_t old = (now_ms - other->decayed_ms) / HISTOGRAM_DECAY_MS;
    unsigned shift = old < 31 ? (unsigned)old : 31U;
    histogram_decay(histogram, now_ms);
    histogram->sum_ms += other->sum_ms;
    if (other->max_ms > histogram->max_ms) {
        histogram->max_ms = other->max_ms;
    }
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        uint32_t recent = histogram->recent[i] + (other->recent[i] >> shift);
        histogram->recent[i] = recent >= histogram->recent[i] ? recent : UINT32_MAX;
        histogram->buckets[i] += other->buckets[i];
    }
}

void spans_merge(struct spans *spans, const struct spans *other, uint64_t now_ms)
{
    histogram_merge(&spans->wait, &other->wait, now_ms);
    histogram_merge(&spans->connect, &other->connect, now_ms);
    histogram_merge(&spans->tls, &other->tls, now_ms);
    histogram_merge(&spans->first_byte, &other->first_byte, now_ms);
    histogram_merge(&spans->hold, &other->hold, now_ms);
}

static uint64_t recent_count(const struct histogram *histogram)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        count += histogram->recent[i];
    }
    return count;
}

uint32_t histogram_at(const struct histogram *histogram, uint32_t permille)
{
    uint64_t rank = (recent_count(histogram) * permille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        seen += histogram->recent[i];
        if (seen >= rank && seen > 0) {
            uint64_t most = weir_bucket_end_ms(i) - 1;
            return (uint32_t)(most < histogram->max_ms ? most : histogram->max_ms);
        }
    }
    return 0;
}

void histogram_report(const struct histogram *histogram, weir_histogram *ret_report)
{
    ret_report->count = 0;
    for (unsigned i = 0; i < WEIR_BUCKETS; i++) {
        ret_report->count += histogram->buckets[i];
    }
    ret_report->sum_ms = histogram->sum_ms;
    ret_report->max_ms = histogram->max_ms;
    memcpy(ret_report->buckets, histogram->buckets, sizeof ret_report->buckets);
    ret_report->p50_ms = histogram_at(histogram, 500);
    ret_report->p90_ms = histogram_at(histogram, 900);
    ret_report->p99_ms = histogram_at(histogram, 990);
}

static void report_gauges(const weir_pool *pool, weir_stats *stats)
{
    for (unsigned i = 0; i < WEIR_STATES; i++) {
        stats->total += pool->by_state[i].count;
    }
    stats->dialling = pool->by_state[WEIR_DIALLING].count;
    stats->idle = pool->by_state[WEIR_IDLE].count;
    stats->shared = pool->by_state[WEIR_SHARED].count;
    stats->active = pool->by_state[WEIR_ACTIVE].count;
    stats->probing = pool->by_state[WEIR_PROBING].count;
    stats->closing = pool->by_state[WEIR_CLOSING].count;
    stats->leases = (uint64_t)pool->held.count + pool->overdue.count;
    stats->waiting = pool->waiting.count;
    struct node *oldest = list_first(&pool->waiting);
    if (oldest != NULL) {
        const struct lease *lease = list_entry(oldest, struct lease, on_pool);
        stats->oldest_wait_ms = pool->engine->now_ms - lease->since_ms;
    }
    weir_list_each(it, &pool->endpoints) {
        stats->concurrency += crowd_limit(list_entry(it, const struct group, on_pool));
    }
    stats->keys = pool->keys.count;
    stats->warm = pool->was_warm;
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        stats->keys_backing_off += key->state == WEIR_KEY_BACKING_OFF;
        stats->keys_down += key->state == WEIR_KEY_DOWN || key->state == WEIR_KEY_TRIAL;
    }
}

/* By what its last connection could carry. */
static uint64_t room_of(const struct key *key)
{
    uint64_t up = (uint64_t)key->by_state[WEIR_IDLE].count + key->by_state[WEIR_SHARED].count
                  + key->by_state[WEIR_ACTIVE].count + key->by_state[WEIR_PROBING].count;
    uint32_t each = key->leases_seen > 0 ? key->leases_seen : 1;
    return up * (each < key->pool->opt.leases_hard ? each : key->pool->opt.leases_hard);
}

uint64_t pool_room(const weir_pool *pool)
{
    uint64_t room = 0;
    weir_list_each(it, &pool->keys) {
        room += room_of(list_entry(it, struct key, on_pool));
    }
    return room;
}

void weir_pool_stats(const weir_pool *pool, weir_stats *ret_stats)
{
    const struct counters *counters = &pool->counters;
    memset(ret_stats, 0, sizeof *ret_stats);
    ret_stats->size = sizeof *ret_stats;
    report_gauges(pool, ret_stats);
#define STAT_COPY_gauge(field)
#define STAT_COPY_counter(field)     ret_stats->field = counters->field;
#define WEIR_STAT(field, kind, text) STAT_COPY_##kind(field)
#include <weir/def/stat.def>
#undef WEIR_STAT
    memcpy(ret_stats->closed_by, counters->closed_by, sizeof ret_stats->closed_by);
    memcpy(ret_stats->refused_by, counters->refused_by, sizeof ret_stats->refused_by);
    memcpy(ret_stats->failed_by, counters->failed_by, sizeof ret_stats->failed_by);
    struct spans spans;
    group_sum(pool, pool->engine->now_ms, &spans);
    histogram_report(&spans.wait, &ret_stats->wait);
    histogram_report(&spans.connect, &ret_stats->connect);
    histogram_report(&spans.hold, &ret_stats->hold);
    histogram_report(&spans.tls, &ret_stats->tls);
    histogram_report(&spans.first_byte, &ret_stats->first_byte);
}
