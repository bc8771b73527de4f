/* SPDX-License-Identifier: Apache-2.0
 *
 * eventlog.c - a ring of records.
 */
#include "gateway/eventlog.h"

#include "base/check.h"
#include "base/text.h"

#include <string.h>

uint32_t eventlog_mask(void)
{
    return ~((UINT32_C(1) << WEIR_EVENT_CONNECTION_REUSED)
             | (UINT32_C(1) << WEIR_EVENT_CONNECTION_RETURNED));
}

static struct event_record *next_of(struct eventlog *log, enum event_source source,
                                    uint64_t wall_ms)
{
    struct event_record *r = &log->records[log->written++ % EVENTLOG_MAX];
    *r = (struct event_record){
        .id = atomic_fetch_add(log->last, 1) + 1, .wall_ms = wall_ms, .source = source};
    return r;
}

void eventlog_add(struct eventlog *log, const weir_event *event, uint64_t wall_ms)
{
    struct event_record *r = next_of(log, EVENT_OF_POOL, wall_ms);
    r->kind = event->kind;
    r->why = event->why;
    r->health = event->health;
    r->retry_after_ms = event->retry_after_ms;
    r->failures = event->failures;
    r->total = event->total;
    r->waiting = event->waiting;
    slice_copy(r->pool, sizeof(r->pool), slice_of(event->pool_name));
    if (event->key != NULL)
        weir_key_text(event->key, r->key, sizeof(r->key));
}

static bool is_the_same(const struct event_record *r, const struct relay_event *event,
                        uint64_t wall_ms)
{
    return r->source == EVENT_OF_RELAY && event->kind == RELAY_EVENT_SESSION_REBOUND
           && r->relay_kind == event->kind && wall_ms - r->wall_ms < EVENTLOG_SAME_MS
           && strcmp(r->pool, event->upstream) == 0 && strcmp(r->account, event->account) == 0
           && strcmp(r->from, event->from) == 0 && strcmp(r->reason, event->why) == 0;
}

void eventlog_add_relays(struct eventlog *log, const struct relay_event *event, uint64_t wall_ms)
{
    for (uint64_t i = 1; i <= EVENTLOG_SAME && i <= log->written; i++) {
        struct event_record *r = &log->records[(log->written - i) % EVENTLOG_MAX];
        if (is_the_same(r, event, wall_ms)) {
            r->count++;
            return;
        }
    }
    struct event_record *r = next_of(log, EVENT_OF_RELAY, wall_ms);
    r->relay_kind = event->kind;
    r->count = 1;
    bool is_denied = event->kind == RELAY_EVENT_OPENCLAW_DENIED;
    r->reason = is_denied ? NULL : event->why;
    slice_copy(r->what, sizeof(r->what), slice_of(is_denied ? event->endpoint : ""));
    slice_copy(r->why_told, sizeof(r->why_told), slice_of(is_denied ? event->why : ""));
    r->for_ms = event->for_ms;
    slice_copy(r->pool, sizeof(r->pool), slice_of(event->upstream));
    slice_copy(r->account, sizeof(r->account), slice_of(event->account));
    slice_copy(r->from, sizeof(r->from), slice_of(event->from));
    if (event->session != NULL)
        slice_copy(r->session, sizeof(r->session), slice_of(event->session));
    slice_copy(r->family, sizeof(r->family), event->family);
}

static void keep(char *room, size_t size, const char *text)
{
    slice_copy(room, size, slice_of(text != NULL ? text : ""));
}

void eventlog_add_told(struct eventlog *log, const struct told_event *event, uint64_t wall_ms)
{
    struct event_record *r = next_of(log, EVENT_OF_HUB, wall_ms);
    r->told = event->event;
    keep(r->pool, sizeof(r->pool), event->pool);
    keep(r->who, sizeof(r->who), event->who);
    keep(r->what, sizeof(r->what), event->what);
    keep(r->why_told, sizeof(r->why_told), event->why);
}

uint32_t eventlog_count(const struct eventlog *log)
{
    return log->written < EVENTLOG_MAX ? (uint32_t)log->written : EVENTLOG_MAX;
}

const struct event_record *eventlog_at(const struct eventlog *log, uint32_t index)
{
    check(index < eventlog_count(log));
    return &log->records[(log->written - eventlog_count(log) + index) % EVENTLOG_MAX];
}
