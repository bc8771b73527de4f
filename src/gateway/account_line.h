/* SPDX-License-Identifier: Apache-2.0
 *
 * account_line.h - requests that wait for an account that is full, in the order in which they came:
 * one line for each upstream on each worker.
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

#define ACCOUNT_LINE_LOOK_MS 10U

struct account_wait {
    struct node on_line;
    uint64_t until_ms;
};

/* Called from the loop. It leaves the line if it is done with waiting; with is_late it does. */
typedef void account_turn_fn(struct account_wait *wait, bool is_late);

struct account_line {
    struct loop *loop;
    struct loop_timer timer;
    struct list waiting;
    account_turn_fn *turn; /* of whoever joins */
};

void account_line_init(struct account_line *line, struct loop *loop);
void account_line_fini(struct account_line *line); /* nobody waits */

void account_line_join(struct account_line *line, struct account_wait *wait, uint64_t until_ms,
                       account_turn_fn *turn);
void account_line_leave(struct account_line *line, struct account_wait *wait);
/* A request has ended on this worker. */
void account_line_wake(struct account_line *line);

static inline bool account_waits(const struct account_wait *wait)
{
    return list_holds(&wait->on_line);
}
