/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_live.h - GET /api/v1/live: what the dashboard shows, as an event stream.
 *
 *     event: snapshot
 *     data: {"at_ms": …, "last_event": …, "pools": {…}, …}     one a second
 *
 * last_event is the number of the latest event; each of the other members is what GET
 * /api/v1/MEMBER would answer. A snapshot is made once, for all who read; with nobody reading none
 * is made. Who has not yet taken the last one is left out until he has, so that he costs the memory
 * of one and is never behind by more. It is for humans' eyes: there is no id to go on from, the
 * next snapshot holds all there is.
 */
#pragma once
#include "gateway/server.h"
#include "proto/http.h"

#define LIVE_PATH        "/api/v1/live"
#define LIVE_EVERY_MS    1000U
#define LIVE_READERS_MAX 32U         /* at a time; the next one is told 503 */
#define LIVE_BYTES_MAX   (4U << 20U) /* of one snapshot; a longer one says so instead */

struct admin_live;
struct live_reader;

/* NULL: no memory. */
struct admin_live *admin_live_new(struct server *server);
void admin_live_free(struct admin_live *take_live); /* all readers have left; NULL is fine */

/* Answers; NULL: there are too many, or no memory, and nothing was answered. */
struct live_reader *admin_live_join(struct admin_live *live, struct http_exchange *exchange);
void admin_live_drained(struct live_reader *reader);
void admin_live_leave(struct live_reader *take_reader);
