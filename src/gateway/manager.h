/* SPDX-License-Identifier: Apache-2.0
 *
 * manager.h - what the service manager hears (io/sdnotify.h): that it is ready, which process is
 * the main one, what it does, that it stops; and, as long as the hub and every worker turn, that it
 * lives.
 *
 * A process that has handed over to another one says nothing any more: the other one does.
 * Without a manager all of this does nothing; `manager` may be NULL everywhere. On the hub's
 * thread.
 */
#pragma once
#include "io/sdnotify.h"

struct manager;
struct server;

/* 0 or -errno. `notify` outlives it; NULL: there is no manager. */
int manager_open(struct server *server, const struct sdnotify *notify,
                 struct manager **ret_manager);
/* After server_close(): what its workers were asked is over. */
void manager_close(struct manager *take_manager);

void manager_ready(struct manager *manager, const char *status);
/* Until manager_ready(): something of it is being replaced. */
void manager_reloading(struct manager *manager, const char *status);
void manager_stopping(struct manager *manager, const char *status);
void manager_status(struct manager *manager, const char *status);
void manager_handed_over(struct manager *manager);
