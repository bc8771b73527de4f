/* SPDX-License-Identifier: Apache-2.0
 *
 * successor.h - a process that takes over from another one (upgrade.h is that one's side).
 *
 *     begun ─▶ offered ─▶ ready ─▶ in charge         the messages: proto/takeover.h
 *       └─────────┴─────────┴─ refused, or left: it ends, and the other one serves on
 *
 * It is offered the listening sockets while it begins, blocking, as there is nothing else that it
 * could do. From then on its loop hears what the other one says: that it is in charge, how many
 * clients that one still has, and, by the end of the passage, that it is gone.
 */
#pragma once
#include "base/text.h"
#include "io/inherited.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define SUCCESSOR_WORD      "WEIR_TAKEOVER" /* of the environment: the passage's number */
#define SUCCESSOR_FAULT_MAX 200

struct successor;

/* Who it is that begins. *ret_successor is NULL where nobody serves yet. 0, or -errno and why. */
int successor_begin(struct successor **ret_successor, char ret_fault[SUCCESSOR_FAULT_MAX]);
void successor_end(struct successor *take_successor); /* NULL is fine, and says nothing below */

/* The sockets, added to the set; and where it will have sessions, those of the other one: it finds
 * them in the journal that it opens next, or in a copy. 0, or -errno and why. */
int successor_receive(struct successor *successor, struct inherited *inherited, bool has_sessions,
                      char ret_fault[SUCCESSOR_FAULT_MAX]);
/* The copy of the sessions, once: the caller's; -1: there is none. */
int successor_take_sessions(struct successor *successor);
/* It cannot take over, and says why; the other one serves on. */
void successor_refuse(struct successor *successor, const char *why);

struct successor_ops {
    void (*in_charge)(void *self); /* it serves from now on */
    void (*left)(void *self);      /* the other one has changed its mind, or is gone */
    void (*alone)(void *self);     /* the other one has ended, after it had handed over */
    /* Frames of sessions that the other one has changed (session/handover.h). */
    void (*records)(void *self, struct slice frames);
    /* What an operator has set (upgrade_steer.h), before it is in charge. */
    void (*steered)(void *self, uint32_t mode, struct slice text);
    void (*cooling)(void *self, uint32_t reason, uint64_t until_ms, struct slice text);
    /* What the other one has counted until now (upgrade_totals.h). */
    void (*totals)(void *self, int take_fd);
    void *self;
};
/* Everything is open. 0 or -errno. */
int successor_ready(struct successor *successor, struct loop *loop,
                    const struct successor_ops *ops);

/* --- how it stands: for pages and metrics --------------------------------------------------------
 */

struct successor_info {
    uint32_t generation;    /* of processes that took over from each other; the first is 1 */
    uint64_t failed;        /* upgrades so far that came to nothing */
    uint32_t pid;           /* of the one before; 0: there was none, or it has ended */
    uint64_t clients;       /* that it still has */
    uint64_t since_wall_ms; /* this one serves; 0: it does not yet */
};
void successor_info(const struct successor *successor, struct successor_info *ret_info);
