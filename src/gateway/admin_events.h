/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_events.h - the events of all workers and of the hub in one order, and each as a row.
 *
 * An event is called START-NUMBER, START being when the process was started: a number alone would
 * mean another event after a restart.
 */
#pragma once
#include "gateway/census.h"
#include "gateway/eventlog.h"
#include "gateway/server.h"
#include "proto/json.h"

#define EVENT_ID_TEXT 48U

struct merged_event {
    const struct event_record *record;
    uint32_t worker; /* EVENT_OF_NO_WORKER: the hub's */
};
#define EVENT_OF_NO_WORKER UINT32_MAX

/* In the order of their numbers, those after `after`; to be freed. NULL: there are none, or there
 * is no memory, and *ret_count is 0. The records are the census's and the server's. */
struct merged_event *admin_events_merge(const struct server *server, const struct census *census,
                                        uint64_t after, uint32_t *ret_count);
void admin_events_name(const struct server *server, uint64_t id, char ret_name[EVENT_ID_TEXT]);
/* False: it is none of this process. */
bool admin_events_number(const struct server *server, struct slice name, uint64_t *ret_id);
const char *admin_events_word(const struct event_record *event);
void admin_events_row(struct json *row, const struct server *server,
                      const struct merged_event *merged);
