/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/profile.h"

#include "gateway/fault.h"

#include <stdlib.h>

const char *const profile_phase_words[PROFILE_PHASES] = {"queue", "connect", "tls", "first_byte",
                                                         "transfer"};

static size_t size_of(uint32_t endpoints, uint32_t accounts)
{
    return sizeof(struct profile) + (endpoints + accounts) * sizeof(struct profile_row);
}

struct profile *profile_new(const struct config_upstream *config)
{
    uint32_t endpoints = config->endpoints.count, accounts = config->accounts.count;
    struct profile *profile = calloc(1, size_of(endpoints, accounts));
    if (profile == NULL)
        return NULL;
    profile->endpoints_count = endpoints;
    profile->accounts_count = accounts;
    profile->users = 1;
    return profile;
}

struct profile *profile_join(struct profile *profile)
{
    if (profile != NULL)
        profile->users++;
    return profile;
}

void profile_free(struct profile *take_profile)
{
    if (take_profile != NULL && --take_profile->users == 0)
        free(take_profile);
}

/* --- the slowest: a heap whose root is the first that has to go ----------------------------------
 */

static void heap_down(struct profile_slowest *list, uint32_t at)
{
    for (;;) {
        uint32_t left = 2 * at + 1, least = at;
        for (uint32_t i = left; i < left + 2 && i < list->count; i++)
            if (list->heap[i].total_us < list->heap[least].total_us)
                least = i;
        if (least == at)
            return;
        struct profile_slow other = list->heap[at];
        list->heap[at] = list->heap[least];
        list->heap[least] = other;
        at = least;
    }
}

static void heap_up(struct profile_slowest *list, uint32_t at)
{
    while (at > 0 && list->heap[at].total_us < list->heap[(at - 1) / 2].total_us) {
        struct profile_slow other = list->heap[at];
        list->heap[at] = list->heap[(at - 1) / 2];
        list->heap[(at - 1) / 2] = other;
        at = (at - 1) / 2;
    }
}

static bool is_slow(const struct profile_slowest *list, uint64_t total_us)
{
    return list->count < PROFILE_SLOWEST_MAX || total_us > list->heap[0].total_us;
}

static void heap_put(struct profile_slowest *list, const struct profile_slow *slow)
{
    if (list->count < PROFILE_SLOWEST_MAX) {
        list->heap[list->count++] = *slow;
        heap_up(list, list->count - 1);
    } else if (is_slow(list, slow->total_us)) {
        list->heap[0] = *slow;
        heap_down(list, 0);
    }
}

static void turn(struct profile *profile, uint64_t now_ms)
{
    if (now_ms - profile->begun_ms < PROFILE_KEPT_MS)
        return;
    bool is_stale = now_ms - profile->begun_ms >= 2ULL * PROFILE_KEPT_MS;
    profile->begun_ms = now_ms;
    profile->younger ^= 1;
    profile->lists[profile->younger].count = 0;
    if (is_stale)
        profile->lists[profile->younger ^ 1].count = 0;
}

/* --- adding --------------------------------------------------------------------------------------
 */

static uint64_t less(uint64_t from, uint64_t by)
{
    return from > by ? from - by : 0;
}

/* They add up to the total. A connection that had served before was waited for alone, and whatever
 * its first request's dial took is not this one's. */
static void phases_of(const struct profile_entry *entry, uint64_t ret_us[PROFILE_PHASES])
{
    uint64_t first_us = entry->first_byte_us != 0 ? entry->first_byte_us : entry->total_us;
    uint64_t queue_us = entry->queue_us < first_us ? entry->queue_us : first_us;
    uint64_t dial_us = entry->took.connect_us < queue_us ? entry->took.connect_us : queue_us;
    uint64_t tls_us = entry->took.tls_us < dial_us ? entry->took.tls_us : dial_us;
    ret_us[PROFILE_QUEUE] = queue_us - dial_us;
    ret_us[PROFILE_CONNECT] = dial_us - tls_us;
    ret_us[PROFILE_TLS] = tls_us;
    ret_us[PROFILE_FIRST_BYTE] = first_us - queue_us;
    ret_us[PROFILE_TRANSFER] = less(entry->total_us, first_us);
}

static void row_add(struct profile_row *row, const uint64_t us[PROFILE_PHASES], uint64_t total_us,
                    bool is_failed)
{
    row->requests++;
    row->failed += is_failed;
    for (unsigned i = 0; i < PROFILE_PHASES; i++)
        row->us[i] += us[i];
    if (total_us > row->max_us)
        row->max_us = total_us;
}

static void slow_put(struct profile *profile, const struct profile_entry *entry,
                     const uint64_t us[PROFILE_PHASES])
{
    struct profile_slow slow = {.total_us = entry->total_us,
                                .ended_ms = entry->now_ms,
                                .endpoint = entry->endpoint,
                                .account = entry->account,
                                .status = entry->status,
                                .fault = entry->fault,
                                .reused = entry->reused};
    for (unsigned i = 0; i < PROFILE_PHASES; i++)
        slow.us[i] = us[i] < UINT32_MAX ? (uint32_t)us[i] : UINT32_MAX;
    slice_copy(slow.method, sizeof(slow.method), entry->method);
    slice_copy(slow.path, sizeof(slow.path), entry->path);
    heap_put(&profile->lists[profile->younger], &slow);
}

bool profile_keeps(struct profile *profile, uint64_t now_ms, uint64_t total_us)
{
    if (profile == NULL)
        return false;
    turn(profile, now_ms);
    return is_slow(&profile->lists[profile->younger], total_us);
}

void profile_add(struct profile *profile, const struct profile_entry *entry)
{
    uint64_t us[PROFILE_PHASES];
    if (profile == NULL || entry->endpoint >= profile->endpoints_count)
        return;
    bool is_failed = entry->fault != FAULT_NONE || entry->status >= 500;
    phases_of(entry, us);
    turn(profile, entry->now_ms);
    row_add(&profile->rows[entry->endpoint], us, entry->total_us, is_failed);
    if (entry->account < profile->accounts_count)
        row_add(&profile->rows[profile->endpoints_count + entry->account], us, entry->total_us,
                is_failed);
    if (is_slow(&profile->lists[profile->younger], entry->total_us))
        slow_put(profile, entry, us);
}

/* --- reading -------------------------------------------------------------------------------------
 */

struct profile *profile_copy(const struct profile *profile, uint64_t now_ms)
{
    size_t size = size_of(profile->endpoints_count, profile->accounts_count);
    struct profile *copy = malloc(size);
    if (copy == NULL)
        return NULL;
    memcpy(copy, profile, size);
    copy->users = 1;
    turn(copy, now_ms);
    return copy;
}

void profile_merge(struct profile *profile, const struct profile *other)
{
    for (uint32_t i = 0; i < profile->endpoints_count + profile->accounts_count; i++) {
        struct profile_row *row = &profile->rows[i];
        const struct profile_row *more = &other->rows[i];
        row->requests += more->requests;
        row->failed += more->failed;
        for (unsigned p = 0; p < PROFILE_PHASES; p++)
            row->us[p] += more->us[p];
        if (more->max_us > row->max_us)
            row->max_us = more->max_us;
    }
    for (unsigned l = 0; l < 2; l++)
        for (uint32_t i = 0; i < other->lists[l].count; i++)
            heap_put(&profile->lists[profile->younger], &other->lists[l].heap[i]);
}

static int slower_first(const void *a, const void *b)
{
    const struct profile_slow *one = *(const struct profile_slow *const *)a;
    const struct profile_slow *two = *(const struct profile_slow *const *)b;
    return (one->total_us < two->total_us) - (one->total_us > two->total_us);
}

uint32_t profile_slowest(const struct profile *profile,
                         const struct profile_slow *ret_slowest[PROFILE_SLOWEST_MAX])
{
    const struct profile_slow *all[2 * PROFILE_SLOWEST_MAX];
    uint32_t count = 0;
    for (unsigned l = 0; l < 2; l++)
        for (uint32_t i = 0; i < profile->lists[l].count; i++)
            all[count++] = &profile->lists[l].heap[i];
    qsort(all, count, sizeof(all[0]), slower_first); /* NOLINT(bugprone-sizeof-expression) */
    count = count < PROFILE_SLOWEST_MAX ? count : PROFILE_SLOWEST_MAX;
    memcpy(ret_slowest, all, count * sizeof(all[0])); /* NOLINT(bugprone-sizeof-expression) */
    return count;
}
