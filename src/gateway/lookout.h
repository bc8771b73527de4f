/* SPDX-License-Identifier: Apache-2.0
 *
 * lookout.h - once a second or so: the gateway's figures, the alerts that follow from them, and who
 * is told.
 *
 *     timer ─▶ census of the pools ─▶ figures ─▶ alerts.h ─▶ log, event, webhook
 *
 * All of it on the hub's thread. A look costs the workers what a census does; a worker that does
 * not answer puts off the next look, and nothing else.
 */
#pragma once
#include <weir/session.h>

#include "gateway/alerts.h"
#include "gateway/webhook_queue.h"

struct config;
struct server;
struct lookout;

/* 0 or -errno. The first look comes later, when the workers run. */
int lookout_open(struct server *server, struct lookout **ret_lookout);
/* By the configuration in force, instead of the one before: what fires goes on. 0 or -errno, and it
 * goes on by the one before. */
int lookout_renew(struct server *server, const struct config *before, struct lookout **lookout);
void lookout_close(
    struct lookout *take_lookout); /* before the censuses are forgotten; NULL is fine */

const struct alerts *lookout_alerts(const struct lookout *lookout);
/* Of the upstream or pool that an alert is about; NULL: the gateway as a whole. */
const char *lookout_subject(const struct lookout *lookout, const struct alert *alert);
/* How many of a kind fire. */
uint32_t lookout_firing(const struct lookout *lookout, enum alert_kind kind);
uint64_t lookout_fired(const struct lookout *lookout, enum alert_kind kind); /* times */

/* All zero without a webhook. */
struct webhook_counts lookout_webhook_counts(const struct lookout *lookout, uint32_t *ret_waiting);

/* Sessions that ended, and those of them otherwise than they should (there was no room). */
void lookout_sessions_ended(const weir_sessions_stats *stats, uint64_t *ret_all,
                            uint64_t *ret_lost);
