/* SPDX-License-Identifier: Apache-2.0
 *
 * wait_line.h - requests that wait for an account that is full, or for others of their client to
 * end, in the order in which they came: on each worker one line for each upstream's accounts, and
 * one for all clients.
 *
 * Who waits is called when it may be its turn, and when its time is up; it leaves by itself. Since
 * nobody tells a worker of what ended on another one, the line is looked through while somebody
 * waits; what ends on its own worker is seen at once.
 */
#pragma once
#include "base/list.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define WAIT_LINE_LOOK_MS 10U

struct waiter {
    struct node on_line;
    uint64_t until_ms;
};

/* Called from the loop. It leaves the line if it is done with waiting; with is_late it does. */
typedef void wait_turn_fn(struct waiter *wait, bool is_late);

struct wait_line {
    struct loop *loop;
    struct loop_timer timer;
    struct list waiting;
    wait_turn_fn *turn; /* of whoever joins */
};

void wait_line_init(struct wait_line *line, struct loop *loop);
void wait_line_fini(struct wait_line *line); /* nobody waits */

void wait_line_join(struct wait_line *line, struct waiter *wait, uint64_t until_ms,
                    wait_turn_fn *turn);
void wait_line_leave(struct wait_line *line, struct waiter *wait);
/* A request has ended on this worker. */
void wait_line_wake(struct wait_line *line);

static inline bool wait_line_holds(const struct waiter *wait)
{
    return list_holds(&wait->on_line);
}
