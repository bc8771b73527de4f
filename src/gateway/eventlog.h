/* SPDX-License-Identifier: Apache-2.0
 *
 * eventlog.h - the last things that happened, for the admin interface: a log for each worker, of
 * its pools, accounts and conversations, and one for the hub, of what operators and rules did.
 *
 * Each event has a number, which no other of the process has; later ones have greater ones. What
 * happens with every request (reused, returned) is not kept: it would push out the rest.
 */
#pragma once
#include <weir/weir.h>

#include "gateway/affinity.h"
#include "gateway/config.h"
#include "gateway/cooldown.h"
#include "gateway/relay_event.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define EVENTLOG_MAX      256U   /* of one worker */
#define EVENTLOG_SAME_MS  10000U /* conversations that go the same way within it are one record, */
#define EVENTLOG_WHAT_MAX 200U
#define EVENTLOG_WHY_MAX  200U /* bytes of a reason that the hub tells */
#define EVENTLOG_SAME     32U  /* which is among so many of the newest */

/* What the hub tells. */
struct told_event {
    const char *event; /* its word, which lives as long as the program: "changed", "alert_fired" */
    const char
        *pool;       /* that it is about; "" or NULL: none in particular, as with all that follow */
    const char *who; /* did it */
    const char *what; /* was done, or to what */
    const char *why;
};

enum event_source { EVENT_OF_POOL, EVENT_OF_RELAY, EVENT_OF_HUB };

struct event_record {
    uint64_t id;
    uint64_t wall_ms;
    enum event_source source; /* which part counts, beside `pool` */
    weir_event_kind kind;
    weir_err why;
    weir_health health;
    uint32_t retry_after_ms, failures, total, waiting;
    char pool[64];
    char key[160];

    enum relay_event_kind relay_kind;
    uint32_t count; /* conversations; `session` is the first of them */
    char session[AFFINITY_NAME_TEXT];
    const char *reason;
    uint64_t for_ms;
    char account[CONFIG_LABEL_MAX + 1], from[CONFIG_LABEL_MAX + 1];
    char family[COOLDOWN_FAMILY_LEN + 1];

    const char *told;
    char who[80], what[EVENTLOG_WHAT_MAX + 1], why_told[EVENTLOG_WHY_MAX + 1];
};

struct eventlog {
    struct event_record records[EVENTLOG_MAX];
    _Atomic uint64_t
        *last;        /* the number of the last event, of all logs; before anything is added */
    uint64_t written; /* ever; the newest is records[(written - 1) % EVENTLOG_MAX] */
};

uint32_t eventlog_mask(void); /* the kinds that are kept, for weir_engine_options.events */
void eventlog_add(struct eventlog *log, const weir_event *event, uint64_t wall_ms);
void eventlog_add_told(struct eventlog *log, const struct told_event *event, uint64_t wall_ms);
void eventlog_add_relays(struct eventlog *log, const struct relay_event *event, uint64_t wall_ms);
uint32_t eventlog_count(const struct eventlog *log);
/* Oldest first. */
const struct event_record *eventlog_at(const struct eventlog *log, uint32_t index);
