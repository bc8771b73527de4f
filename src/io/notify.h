/* SPDX-License-Identifier: Apache-2.0
 *
 * notify.h - where log lines go: one bounded ring per thread that speaks, one writer thread per
 * target. The data path copies a line into its ring and goes on; it never waits for a disk, a pipe
 * or a lock.
 *
 *   - A line is written whole or not at all. One that does not fit its ring, or that the target
 *     refuses (a full disk), is dropped and counted.
 *   - Lines of one ring keep their order; rings are interleaved at line ends.
 *   - The writer wakes up a few times a second while lines come, at once when a ring is half full,
 *     and not at all when none do.
 */
#pragma once
#include "base/alloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_RING_BYTES (256U * 1024)
#define NOTIFY_LINE_MAX   16384U
#define NOTIFY_RINGS_MAX  256U

struct notify;      /* a target */
struct notify_ring; /* one thread's way to it */

struct notify_options {
    const char *target;        /* "stdout", "stderr" or a path, appended to, made with 0640 */
    uint32_t ring_bytes;       /* [NOTIFY_RING_BYTES] rounded up to a power of two */
    const struct alloc *alloc; /* [libc]; used by notify_open, _join and _close alone */
};

/* 0, or -errno where the target cannot be opened or the thread not started. */
int notify_open(const struct notify_options *opt, struct notify **ret_notify);
/* Writes what is there, for at most a second, and frees every ring. Nobody may be writing. */
void notify_close(struct notify *notify);

/* A ring for the calling thread, to be kept for its life; any thread. NULL: no memory, or
 * NOTIFY_RINGS_MAX are out. */
struct notify_ring *notify_join(struct notify *notify);

/* The line comes without its end. Only the thread that joined. False: dropped (and counted). */
bool notify_line(struct notify_ring *ring, const char *line, size_t len);

/* Any thread. */
void notify_reopen(struct notify *notify); /* soon: after a log rotation; a failure keeps the old */
uint64_t notify_dropped(const struct notify *notify); /* lines */
uint64_t notify_written(const struct notify *notify); /* lines */
