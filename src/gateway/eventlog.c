/* SPDX-License-Identifier: Apache-2.0
 *
 * eventlog.c - a ring of records.
 */
#include "gateway/eventlog.h"

#include "base/check.h"
#include "base/text.h"

uint32_t eventlog_mask(void)
{
    return ~((UINT32_C(1) << WEIR_EVENT_CONNECTION_REUSED)
             | (UINT32_C(1) << WEIR_EVENT_CONNECTION_RETURNED));
}

void eventlog_add(struct eventlog *log, const weir_event *event, uint64_t wall_ms)
{
    struct event_record *r = &log->records[log->written++ % EVENTLOG_MAX];
    *r = (struct event_record){.wall_ms = wall_ms,
                               .kind = event->kind,
                               .why = event->why,
                               .health = event->health,
                               .retry_after_ms = event->retry_after_ms,
                               .failures = event->failures,
                               .total = event->total,
                               .waiting = event->waiting};
    slice_copy(r->pool, sizeof(r->pool), slice_of(event->pool_name));
    if (event->key != NULL)
        weir_key_text(event->key, r->key, sizeof(r->key));
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
