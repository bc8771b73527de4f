/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.h - one outbound proxy, however many pools and workers go through it: how many connections
 * may be on their way through it at a time, and what came of those that were.
 *
 * A dial for which there is no room waits, in its turn on its worker, and is begun when there is;
 * its pool keeps the time of it all. Always true: `connecting` is never more than connecting_max.
 *
 * Counts are atomic; a *side* is one connector's part and belongs to its loop's thread. Since
 * nobody tells a side of what ended on another worker, it looks while somebody waits.
 */
#pragma once
#include "base/list.h"
#include "connector/dial.h"
#include "io/loop.h"

#include <stdatomic.h>

#define GATE_LOOK_MS 10U /* between two looks while somebody waits */

/* What came of a dial: the proxy opened the way, or which step it failed in. */
#define GATE_RESULTS(ROW)                                                                          \
    ROW(ok)                                                                                        \
    ROW(resolve)                                                                                   \
    ROW(connect)                                                                                   \
    ROW(tls)                                                                                       \
    ROW(proxy)                                                                                     \
    ROW(timeout)                                                                                   \
    ROW(local)

struct gate {
    const char *url;         /* the proxy's, as keys name it; borrowed */
    uint32_t connecting_max; /* UINT32_MAX: no limit */
    _Atomic uint32_t connecting, waiting;
#define GATE_ROW(name) _Atomic uint64_t name;
    GATE_RESULTS(GATE_ROW)
#undef GATE_ROW
};

/* One dial. All zeroes: it knows no gate. */
struct gate_pass {
    struct node on_side;
    bool is_inside; /* it was begun, and has not ended */
};

struct gate_side {
    struct gate *gate; /* NULL: there is none, and every dial may begin */
    struct loop *loop;
    struct loop_timer timer;
    struct list waiting;
    /* Its turn has come. */
    void (*begin)(void *self, struct gate_pass *pass);
    void *self;
};

void gate_side_init(struct gate_side *side, struct gate *gate, struct loop *loop);
/* Its dials have left. */
void gate_side_fini(struct gate_side *side);

/* Begins now, from inside, or later. */
void gate_arrive(struct gate_side *side, struct gate_pass *pass);
/* The dial has ended, or never begun. */
void gate_leave(struct gate_side *side, struct gate_pass *pass);
void gate_tell(struct gate *gate, const struct dial_result *result);
