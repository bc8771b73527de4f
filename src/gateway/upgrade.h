/* SPDX-License-Identifier: Apache-2.0
 *
 * upgrade.h - this process hands over to a new one, of a binary or a configuration that may be
 * newer, and then ends (successor.h is the other side).
 *
 *     idle ─▶ launching ─▶ offering ─▶ switching ─▶ given
 *       ▲   it is started  it opens    nobody is    the new one serves,
 *       │                  everything  accepted     this one drains
 *       └────────┴────────────┴───────────┴─ it failed, or took too long: this one serves on
 *
 * Until the last step nothing is given up: the new one has the same sockets, opened all that its
 * configuration names and is ready, before this one accepts nobody any more. Between the two a
 * client waits in the backlog, for a millisecond or so.
 *
 * One at a time, and none while the process before this one still drains: there are never more than
 * two that serve anybody. On the hub's thread.
 */
#pragma once
#include "gateway/server.h"
#include "gateway/successor.h"
#include "io/launcher.h"

#include <stdbool.h>
#include <stdint.h>

#define UPGRADE_TIMEOUT_MS 60000U /* unless it is said how long it may take */
#define UPGRADE_WHY_MAX    1024U

struct census;
struct upgrade;

struct upgrade_options {
    struct server *server;
    struct launcher *launcher;         /* outlives it; NULL: nothing can be started */
    const struct successor *successor; /* outlives it; NULL: it took over from nobody */
};

int upgrade_open(const struct upgrade_options *opt, struct upgrade **ret_upgrade); /* 0 or -errno */
/* After server_halt(): the other process hears what was counted until the end, and nothing any
 * more. What it has is freed after server_close(). NULL is fine for both. */
void upgrade_close(struct upgrade *upgrade);
void upgrade_free(struct upgrade *take_upgrade);

/* How it went: `why` is NULL and this process hands over, or it says why it does not. */
typedef void upgrade_done_fn(void *self, const char *why);
struct upgrade_ask {
    const char *who, *reason; /* for the event; "" */
    uint32_t timeout_ms;      /* [UPGRADE_TIMEOUT_MS] */
    upgrade_done_fn *done;    /* once, in a later event; NULL: nobody waits */
    void *self;
};
/* NULL: it is under way. Else why not; done() does not come then. */
const char *upgrade_begin(struct upgrade *upgrade, const struct upgrade_ask *ask);
/* This process ends: whoever would take over ends as well, for its sockets are shut with ours. NULL
 * is fine. */
void upgrade_abandon(struct upgrade *upgrade);
/* Where another process has taken over, it is told what this one has counted. NULL is fine. */
void upgrade_tell_totals(struct upgrade *upgrade, const struct census *census);
/* Nobody waits any more. */
void upgrade_forget(struct upgrade *upgrade);

/* --- how it stands -------------------------------------------------------------------------------
 */

struct upgrade_info {
    const char *state; /* its word, as in the picture */
    uint32_t pid;      /* of the new one; 0: there is none yet */
    uint64_t done, failed;
    const char *why; /* the last one failed; "": none has */
    struct successor_info self;
};
void upgrade_info(const struct upgrade *upgrade, struct upgrade_info *ret_info);
