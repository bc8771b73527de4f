/* SPDX-License-Identifier: Apache-2.0
 *
 * sdnotify.h - what a service manager that has started this process wants to hear of it: a datagram
 * of lines NAME=VALUE to the socket that NOTIFY_SOCKET names (sd_notify(3)). The protocol is as
 * small as that; no library of systemd's is needed for it.
 *
 * Sending never waits: a manager that does not read misses something.
 */
#pragma once
#include "base/text.h"

#include <stdint.h>

#define SDNOTIFY_MAX 2048U

struct sdnotify;

/* Of the environment, before anything is given up that a connection to the socket needs.
 * *ret_notify is NULL where nobody wants to hear anything. 0 or -errno. */
int sdnotify_open(struct sdnotify **ret_notify);
void sdnotify_close(struct sdnotify *take_notify); /* NULL is fine, and says nothing below */

/* Lines, each without a final end. */
void sdnotify_say(const struct sdnotify *notify, struct slice lines);
/* How often WATCHDOG=1 is to be said at least (WATCHDOG_USEC); 0: it is not. */
uint32_t sdnotify_watchdog_ms(const struct sdnotify *notify);
