/* SPDX-License-Identifier: Apache-2.0
 *
 * discovery.h - endpoints that come and go (upstreams.discover): a source for each upstream that
 * has some, and what follows when one has found another set: a configuration with it is put in
 * force, as by a reload that reads nothing, so that every worker and the admin interface have the
 * same endpoints from the same moment on.
 *
 * Sets that change within a second are put in force together. While many older configurations still
 * serve (their streams are long), changes wait longer, so that no stream has to end for want of
 * room.
 *
 * Before there is a server its first answers are waited for: by a start, by an upgrade, by
 * `weir check --probe`. On the hub's thread.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/discovery_source.h"

struct discovery;
struct loop;
struct server;

/* Begins to look, where an upstream discovers. 0 or -errno. */
int discovery_open(struct loop *loop, const struct config *config,
                   struct discovery **ret_discovery);
void discovery_close(struct discovery *take_discovery); /* before the server; NULL is fine */

/* Turns the loop until each source has had an answer or a failure, at most its time-out. Leaves no
 * thread. 0 or -errno, of the loop. */
int discovery_wait(struct discovery *discovery);
/* The configuration with what is found now; to be freed. NULL: no memory. */
struct config *discovery_config(struct discovery *discovery, const struct config *config);

/* What is found from now on is the server's to serve by. */
void discovery_begin(struct discovery *discovery, struct server *server);
/* Another configuration is in force: its sources look, those that are gone do not. */
void discovery_renew(struct discovery *discovery, const struct config *config);

/* The source of an upstream; NULL: it has none. */
const struct source *discovery_source(const struct discovery *discovery, const char *upstream);
/* waiting: nothing was found yet; current; stale: what it had is kept while looks fail; failing:
 * looks fail, and nothing was found yet. */
const char *discovery_state_word(const struct source *source);
