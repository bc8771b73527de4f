/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_events.h"

#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "io/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define EVENTS_SHOWN 500U

/* --- one order -----------------------------------------------------------------------------------
 */

static int by_number(const void *left, const void *right)
{
    const struct merged_event *a = left, *b = right;
    return a->record->id < b->record->id ? -1 : a->record->id > b->record->id;
}

static void take(struct merged_event *events, uint32_t *count, const struct event_record *record,
                 uint32_t worker, uint64_t after)
{
    if (record->id > after)
        events[(*count)++] = (struct merged_event){record, worker};
}

struct merged_event *admin_events_merge(const struct server *server, const struct census *census,
                                        uint64_t after, uint32_t *ret_count)
{
    uint32_t room = eventlog_count(&server->events);
    *ret_count = 0;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        room += census->sheets[w].events_count;
    struct merged_event *events = room > 0 ? calloc(room, sizeof(*events)) : NULL;
    if (events == NULL)
        return NULL;
    for (uint32_t i = 0; i < eventlog_count(&server->events); i++)
        take(events, ret_count, eventlog_at(&server->events, i), EVENT_OF_NO_WORKER, after);
    for (uint32_t w = 0; w < census->sheets_count; w++)
        for (uint32_t i = 0; i < census->sheets[w].events_count; i++)
            take(events, ret_count, &census->sheets[w].events[i], w, after);
    qsort(events, *ret_count, sizeof(*events), by_number);
    return events;
}

void admin_events_name(const struct server *server, uint64_t id, char ret_name[EVENT_ID_TEXT])
{
    snprintf(ret_name, EVENT_ID_TEXT, "%" PRIx64 "-%" PRIu64, server->started_wall_ms, id);
}

bool admin_events_number(const struct server *server, struct slice name, uint64_t *ret_id)
{
    uint32_t dash = slice_find(name, '-');
    uint64_t start;
    return text_parse_hex(slice_sub(name, 0, dash), &start) && start == server->started_wall_ms
           && text_parse_u64(slice_sub(name, dash + 1, name.len), ret_id);
}

/* --- a row ---------------------------------------------------------------------------------------
 */

static const char *or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void relay_event(struct json *row, const struct event_record *event)
{
    if (event->relay_kind == RELAY_EVENT_OPENCLAW_DENIED) {
        json_text(row, "account", or_null(event->account));
        json_text(row, "what", event->what);
        json_text(row, "why", event->why_told);
        return;
    }
    json_text(row, "account", event->account);
    json_text(row, "from", or_null(event->from));
    json_text(row, "session", or_null(event->session));
    json_text(row, "why", event->reason);
    json_text(row, "family", or_null(event->family));
    json_u64(row, "retry_after_ms", event->for_ms);
    json_u64(row, "count", event->count);
}

static void pool_event(struct json *row, const struct event_record *event)
{
    json_text(row, "key", or_null(event->key));
    json_text(row, "why", event->why != WEIR_OK ? weir_err_word(event->why) : NULL);
    if (event->kind == WEIR_EVENT_HEALTH_STATUS_CHANGED)
        json_text(row, "health", weir_health_word(event->health));
    json_u64(row, "failures", event->failures);
    json_u64(row, "retry_after_ms", event->retry_after_ms);
    json_u64(row, "total", event->total);
    json_u64(row, "waiting", event->waiting);
}

static void hub_event(struct json *row, const struct event_record *event)
{
    json_text(row, "who", or_null(event->who));
    json_text(row, "what", or_null(event->what));
    json_text(row, "why", or_null(event->why_told));
}

const char *admin_events_word(const struct event_record *event)
{
    switch (event->source) {
    case EVENT_OF_POOL: return weir_event_word(event->kind);
    case EVENT_OF_RELAY: return relay_event_word(event->relay_kind);
    case EVENT_OF_HUB: break;
    }
    return event->told;
}

void admin_events_row(struct json *row, const struct server *server,
                      const struct merged_event *merged)
{
    const struct event_record *event = merged->record;
    char stamp[CLOCK_STAMP + 1], name[EVENT_ID_TEXT];
    clock_stamp(event->wall_ms, stamp);
    admin_events_name(server, event->id, name);
    json_text(row, "id", name);
    json_text(row, "time", stamp);
    json_text(row, "event", admin_events_word(event));
    if (merged->worker != EVENT_OF_NO_WORKER)
        json_u64(row, "worker", merged->worker);
    else
        json_null(row, "worker");
    json_text(row, "pool", or_null(event->pool));
    switch (event->source) {
    case EVENT_OF_POOL: pool_event(row, event); break;
    case EVENT_OF_RELAY: relay_event(row, event); break;
    case EVENT_OF_HUB: hub_event(row, event); break;
    }
}

uint16_t admin_events(const struct server *server, const struct census *census, bool openmetrics,
                      struct bytes *out)
{
    (void)openmetrics;
    struct rows rows;
    uint32_t count;
    struct merged_event *events = admin_events_merge(server, census, 0, &count);
    rows_open(&rows, "events", out);
    for (uint32_t i = count > EVENTS_SHOWN ? count - EVENTS_SHOWN : 0; i < count; i++) {
        struct json row = row_begin(&rows);
        admin_events_row(&row, server, &events[i]);
        row_end(&rows, &row);
    }
    free(events);
    return rows_close(&rows);
}
