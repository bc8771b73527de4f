/* SPDX-License-Identifier: Apache-2.0
 *
 * upgrade_totals.h - what a process that hands over has counted, in a sealed file of memory
 * (proto/prom_totals.h): the metrics of the one that takes over go on from it.
 *
 * It is sent with the handing over, again and again while requests under way are still counted, and
 * once more at the very end, each time all of it: the latest one counts.
 */
#pragma once

struct census;
struct server;

/* *ret_fd is the caller's. 0 or -errno: -ENOBUFS: it is more than may be handed over. */
int upgrade_totals_of(const struct server *server, const struct census *census, int *ret_fd);

/* --- the other process ---------------------------------------------------------------------------
 */

/* Its metrics go on from these. Says in the log, once, that they cannot be understood; then they
 * go on from what was heard before. */
void upgrade_totals_hear(struct server *server, int take_fd);
