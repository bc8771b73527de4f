/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.h - one outbound proxy, however many pools and workers go through it: how many connections
 * may be on their way through it at a time, how many there may be in all, and what came of those
 * that were dialled.
 *
 *     arrive ──▶ waiting ──▶ inside: a dial, with a place ──▶ gate_move: a connection's place
 *                   └──▶ refused, once its time is over          └──▶ gate_give
 *
 * Always true: `connecting` is never more than connecting_max, `connections`, dials included, never
 * more than connections_max. Of a gate without that limit no places are counted, and nobody is
 * refused.
 *
 * A dial for which there is no room waits, in its turn on its worker, and is begun when there is.
 * Places that come free go to the sides that want one in turn. Meanwhile the other sides are asked
 * to give up what they have idle, and who is asked whether a connection may be used again says no
 * (gate_is_wanted): so no upstream keeps a proxy for itself, and within one no endpoint or account.
 * A place is its own for GATE_TURN_MS.
 *
 * A *side* is one connector's part and belongs to its loop's thread. What is of the gate is atomic
 * or under its mutex. Nobody tells a side of dials that ended on another worker: it looks while
 * somebody waits.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"
#include "connector/dial.h"
#include "connector/gate_place.h"
#include "io/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#define GATE_LOOK_MS 10U  /* between two looks while somebody waits */
#define GATE_TURN_MS 100U /* for which a place is had before it is asked for */

/* What came of a dial: the proxy opened the way, or which step it failed in; full: there was no
 * place for it in its time. */
#define GATE_RESULTS(ROW)                                                                          \
    ROW(ok)                                                                                        \
    ROW(resolve)                                                                                   \
    ROW(connect)                                                                                   \
    ROW(tls)                                                                                       \
    ROW(proxy)                                                                                     \
    ROW(timeout)                                                                                   \
    ROW(local)                                                                                     \
    ROW(full)

struct gate {
    _Atomic uint32_t users;                    /* its sides, and who joined it */
    void (*on_unused)(struct gate *take_gate); /* NULL: whoever made it knows when to end it */
    const char *url;                           /* the proxy's, as keys name it; borrowed */
    uint32_t connecting_max;                   /* UINT32_MAX: no limit */
    uint32_t connections_max;                  /* the same */
    _Atomic uint32_t connecting, waiting;
#define GATE_ROW(name) _Atomic uint64_t name;
    GATE_RESULTS(GATE_ROW)
#undef GATE_ROW
    _Atomic uint32_t wanting; /* turns.count, for who does not lock */
    pthread_mutex_t mutex;    /* of what follows, and of gate_side.held */
    uint32_t connections;
    struct list sides; /* all */
    struct list turns; /* those that want a place */
};

struct gate_pass;

struct gate_side {
    struct gate *gate; /* NULL: there is none, and every dial may begin */
    struct loop *loop;
    struct loop_timer timer;
    struct loop_wake *wake;
    struct list waiting;
    struct node on_gate, on_turns;
    uint32_t held; /* places */
    /* Its turn has come; its time is over. */
    void (*begin)(void *self, struct gate_pass *pass);
    void (*refuse)(void *self, struct gate_pass *pass);
    /* Somebody wants a place: to close an idle connection of which gate_is_wanted(). */
    void (*yield)(void *self, struct gate_side *side);
    void *self;
};

/* One dial. All zeroes: it knows no gate. */
struct gate_pass {
    struct node on_side;
    struct gate_place place;
    const void *of;    /* its key: whatever is the same for all dials that a connection may serve */
    uint64_t until_ms; /* how long it waits for a place; UINT64_MAX: as long as its pool lets it */
    bool is_inside;    /* it was begun, and has not ended */
};

void gate_init(struct gate *gate, const char *url, uint32_t connecting_max,
               uint32_t connections_max);
void gate_fini(struct gate *gate);
/* For a gate whose users are not known to whoever made it; he is the first. The last one that parts
 * from it ends it: on_unused(). Any thread. */
void gate_join(struct gate *gate);
void gate_part(struct gate *gate);

/* The functions, and self, are given before. gate may be NULL. 0 or -errno. */
int gate_side_init(struct gate_side *side, struct gate *gate, struct loop *loop);
/* Its dials and connections have left; also one that was not made. */
void gate_side_fini(struct gate_side *side);

/* One for each gate, each like that one, whose functions, self and loop are given. Also what is
 * half made is closed. 0 or -errno. */
int gate_sides_open(const struct gate_side *like, struct gate *const *gates, uint32_t count,
                    const struct alloc *alloc, struct gate_side **ret_sides);
void gate_sides_close(const struct alloc *alloc, struct gate_side *take_sides, uint32_t count);
/* The one at the gate of that proxy. NULL: there is none, and every dial may begin. */
struct gate_side *gate_side_of(struct gate_side *sides, uint32_t count, const char *proxy);

/* Begins now, from inside, or later. */
void gate_arrive(struct gate_side *side, struct gate_pass *pass);
/* The dial has ended, or never begun. */
void gate_leave(struct gate_side *side, struct gate_pass *pass);
void gate_tell(struct gate *gate, const struct dial_result *result);
uint32_t gate_places(struct gate *gate); /* taken */
