/* SPDX-License-Identifier: Apache-2.0
 *
 * pace.h - how many new clients a worker takes while those who are there wait for upstreams.
 *
 * Where the next request would be refused for its wait at every upstream that a listener leads to,
 * a client that is let in is told 503 and comes again, which costs more than it waiting in the
 * backlog. So from then on as many clients come in as requests have left, and where none leaves one
 * a second. What waits can then not grow by newcomers but by that one: the queue is bounded by what
 * it was when this began, whatever comes, and there is no gain to tune that could make it swing.
 * It ends when the wait is half of what is borne, so that it does not begin anew at once.
 *
 * Pure: what is seen in, a number of clients out. Who looks is relay_pace.c.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PACE_LOOK_MS 100U
#define PACE_ALL     UINT32_MAX
#define PACE_BEGINS  1000U /* of a thousand parts of the wait that is borne */
#define PACE_ENDS    500U

/* All zeroes: everybody comes in. */
struct pace {
    bool is_on;
    uint32_t idle_looks; /* in a row, at which nobody had left */
    uint64_t ended;      /* requests, so far, at the last look */
};

/* `strain`: the predicted wait at the upstream where it is shortest, in thousandths of what is
 * borne there. `ended`: requests that have left their upstreams so far. How many clients may come
 * in until the next look, or PACE_ALL. */
uint32_t pace_look(struct pace *pace, uint32_t strain, uint64_t ended);
