/* SPDX-License-Identifier: Apache-2.0
 *
 * eventlog.h - the last things that happened to a worker's pools, for the admin interface.
 *
 * What happens with every request (reused, returned) is not kept: it would push out the rest.
 */
#pragma once
#include <weir/weir.h>

#include <stdint.h>

#define EVENTLOG_MAX 256U /* of one worker */

struct event_record {
    uint64_t wall_ms;
    weir_event_kind kind;
    weir_err why;
    weir_health health;
    uint32_t retry_after_ms, failures, total, waiting;
    char pool[64];
    char key[160];
};

struct eventlog {
    struct event_record records[EVENTLOG_MAX];
    uint64_t written; /* ever; the newest is records[(written - 1) % EVENTLOG_MAX] */
};

uint32_t eventlog_mask(void); /* the kinds that are kept, for weir_engine_options.events */
void eventlog_add(struct eventlog *log, const weir_event *event, uint64_t wall_ms);
uint32_t eventlog_count(const struct eventlog *log);
/* Oldest first. */
const struct event_record *eventlog_at(const struct eventlog *log, uint32_t index);
