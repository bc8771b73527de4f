/* SPDX-License-Identifier: Apache-2.0
 *
 * event_text.c - an event for a person: how much it matters, and a line that says it.
 */
#include <weir/weir.h>

#include <stdio.h>

enum { KEY_BYTES = 300, DETAIL_BYTES = 120 };

static weir_level level_of_health(weir_health health)
{
    return health == WEIR_HEALTHY       ? WEIR_LEVEL_INFO
           : health == WEIR_UNAVAILABLE ? WEIR_LEVEL_ERROR
                                        : WEIR_LEVEL_WARN;
}

/* A connection that was idle for as long as it may is no news. */
static bool is_housekeeping(weir_err why)
{
    return why == WEIR_EIDLE || why == WEIR_EAGE || why == WEIR_EUSES;
}

weir_level weir_event_level(const weir_event *event)
{
    switch (event->kind) {
    case WEIR_EVENT_KEY_DOWN:
    case WEIR_EVENT_EVENTS_LOST: return WEIR_LEVEL_ERROR;
    case WEIR_EVENT_CONNECTION_ERROR:
    case WEIR_EVENT_POOL_LIMIT_REACHED:
    case WEIR_EVENT_ENDPOINT_EJECTED:
    case WEIR_EVENT_LEASE_OVERDUE: return WEIR_LEVEL_WARN;
    case WEIR_EVENT_CONNECTION_TIMEOUT:
        return is_housekeeping(event->why) ? WEIR_LEVEL_DEBUG : WEIR_LEVEL_WARN;
    case WEIR_EVENT_HEALTH_STATUS_CHANGED: return level_of_health(event->health);
    case WEIR_EVENT_CONNECTION_ADDED:
    case WEIR_EVENT_CONNECTION_REMOVED:
    case WEIR_EVENT_CONNECTION_REUSED:
    case WEIR_EVENT_CONNECTION_RETURNED: return WEIR_LEVEL_DEBUG;
    default: return WEIR_LEVEL_INFO;
    }
}

/* The figures that belong to its kind, or "". */
static void detail_of(const weir_event *event, char *ret_detail)
{
    ret_detail[0] = '\0';
    switch (event->kind) {
    case WEIR_EVENT_CONNECTION_ERROR:
    case WEIR_EVENT_KEY_DOWN:
        snprintf(ret_detail, DETAIL_BYTES, ", %u failures in a row, dials again in %u ms",
                 event->failures, event->retry_after_ms);
        return;
    case WEIR_EVENT_CONNECTION_REMOVED:
        snprintf(ret_detail, DETAIL_BYTES, ", after %u ms and %u uses", event->age_ms, event->uses);
        return;
    case WEIR_EVENT_POOL_LIMIT_REACHED:
        snprintf(ret_detail, DETAIL_BYTES, ", %u connections, %u waiting", event->total,
                 event->waiting);
        return;
    case WEIR_EVENT_LEASE_OVERDUE:
        snprintf(ret_detail, DETAIL_BYTES, ", tag %llu, after %u ms",
                 (unsigned long long)event->tag, event->age_ms);
        return;
    case WEIR_EVENT_HEALTH_STATUS_CHANGED:
        snprintf(ret_detail, DETAIL_BYTES, ": %s", weir_health_word(event->health));
        return;
    case WEIR_EVENT_EVENTS_LOST:
        snprintf(ret_detail, DETAIL_BYTES, ": %llu", (unsigned long long)event->count);
        return;
    default: return;
    }
}

size_t weir_event_text(const weir_event *event, char *ret_text, size_t size)
{
    char key[KEY_BYTES] = "", detail[DETAIL_BYTES];
    const char *pool = event->pool_name != NULL ? event->pool_name : "";
    bool has_reason = event->why != WEIR_OK;
    if (event->key != NULL) {
        weir_key_text(event->key, key, sizeof key);
    }
    detail_of(event, detail);
    int len = snprintf(ret_text, size, "%s%s%s%s%s%s%s%s", weir_event_word(event->kind),
                       pool[0] != '\0' ? " " : "", pool, key[0] != '\0' ? " " : "", key,
                       has_reason ? ": " : "", has_reason ? weir_err_text(event->why) : "", detail);
    return len > 0 ? (size_t)len : 0;
}
