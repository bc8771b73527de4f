/* SPDX-License-Identifier: Apache-2.0
 *
 * reload.h - another configuration, put in force while the gateway serves; or refused, and then
 * nothing has changed.
 *
 *     read ─▶ valid? ─▶ compared ─▶ may it change? ─▶ built, on the hub and each worker ─▶ in force
 *       └───────┴──────────┴──────────────┴─────────────┴──▶ refused, with the reason
 *
 * One at a time: who asks while one is under way is next. Nobody who reads figures of the workers
 * sees half of it: it is put in force between two censuses (census.h).
 */
#pragma once
#include "base/bytes.h"
#include "base/list.h"
#include "gateway/config.h"

#include <stdint.h>

struct server;

/* name, word, whether it is a success */
#define RELOAD_RESULTS(ROW)                                                                        \
    ROW(RELOADED, "reloaded", true)   /* it is in force */                                         \
    ROW(UNCHANGED, "unchanged", true) /* it was already; certificates were read again */           \
    ROW(INVALID, "invalid", false)    /* it was not understood: `faults` say where */              \
    ROW(RESTART, "restart", false)    /* something in it needs a restart: `message` says what */   \
    ROW(FAILED, "failed", false)      /* it could not be built: `message` says why */              \
    ROW(REFUSED, "refused", false)    /* not now: `message` says why */

enum reload_result {
#define RELOAD_ROW(name, word, good) RELOAD_##name,
    RELOAD_RESULTS(RELOAD_ROW)
#undef RELOAD_ROW
        RELOAD_RESULTS_COUNT
};
const char *reload_result_word(enum reload_result result);
bool reload_is_good(enum reload_result result);

#define RELOAD_MESSAGE_MAX 600U

/* What came of one; good until done() returns. */
struct reload_verdict {
    enum reload_result result;
    const char *message;                /* one line */
    uint64_t generation;                /* in force now */
    const struct config_faults *faults; /* advice as well; NULL: it was not read */
    struct slice changes;               /* JSON: the rows of what differs, without brackets */
    uint32_t changes_count;
};

/* Lies inside its asker. */
struct reload_ask {
    struct node on_reload;
    const char *who;    /* asks; outlives it, as the next two */
    const char *reason; /* that was given, or "" */
    struct slice
        text; /* the configuration itself; at NULL: the file that was served from the start */
    const char *if_match; /* "": whatever is in force; else its tag */
    bool hides;           /* values of the text are not told */
    bool finds;           /* nothing is read: the one in force, with what discovery has found since;
                             it is no reload to anybody else */
    void (*done)(struct reload_ask *ask, const struct reload_verdict *verdict); /* later */
};

struct reload;
int reload_open(struct server *server, struct reload **ret_reload); /* 0 or -ENOMEM */
void reload_close(struct reload *take_reload); /* the workers have ended; nobody is told any more */
void reload_begin(struct reload *reload, struct reload_ask *ask);
/* It is told no more; what is under way goes on. */
void reload_leave(struct reload *reload, struct reload_ask *ask);
bool reload_is_under_way(const struct reload *reload);
/* The gateway drains: what waits for an older generation's end is refused. */
void reload_give_up(struct reload *reload);

/* A census is over, or an older generation has ended. */
void reload_look(struct reload *reload);

struct reload_figures {
    bool was_good;         /* the last one; the start counts */
    uint64_t good_wall_ms; /* when the last good one was */
    uint64_t counts[RELOAD_RESULTS_COUNT];
};
struct reload_figures reload_figures_of(const struct reload *reload);
