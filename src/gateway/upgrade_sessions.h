/* SPDX-License-Identifier: Apache-2.0
 *
 * upgrade_sessions.h - the sessions of a process that hands over: lent, and from then on what
 * requests under way still change of them, on its way from the workers' threads to the hub's.
 */
#pragma once
#include "base/text.h"

#include <stddef.h>

struct server;
struct successor;
struct upgrade_sessions;

/* On the hub's thread; frames of at most `most` bytes together. */
typedef void upgrade_records_fn(void *self, struct slice frames);

/* Lends them. *ret_fd is a copy for the other process, the caller's, or -1: it opens the journal,
 * or there are none. 0, or -errno and nothing has changed. */
int upgrade_sessions_lend(struct server *server, upgrade_records_fn *records, void *self,
                          struct upgrade_sessions **ret_sessions, int *ret_fd);
/* What has changed until now is given to `records`. */
void upgrade_sessions_flush(struct upgrade_sessions *sessions);
/* It came to nothing: they are ours. */
void upgrade_sessions_take_back(struct upgrade_sessions *take_sessions);
/* After server_close(): nobody changes any. NULL is fine, here and above. */
void upgrade_sessions_free(struct upgrade_sessions *take_sessions);

/* --- the other process ---------------------------------------------------------------------------
 */

/* Before anybody is served: the copy, where there is one; else they were in the journal. 0 or
 * -errno. */
int upgrade_sessions_receive(struct server *server, struct successor *successor);
/* Of requests that the process before this one had under way. */
void upgrade_sessions_hear(struct server *server, struct slice frames);
