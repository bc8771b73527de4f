/* SPDX-License-Identifier: Apache-2.0
 *
 * trend.h - where a figure is going: the straight line through what it was of late.
 *
 * A trend looks back over a window of TREND_SLOTS slots. Each slot keeps the mean of what was added
 * in it; slots in which nothing came are left out. The line is that of least squares. A figure that
 * jumped is not on its way anywhere, however steep the line through a jump is: `is_steady` asks
 * each quarter of the window to lie above the one before it by its share of the rise, and a jump
 * lifts two of them at most.
 *
 * Pure, of fixed size, reads no clock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TREND_SLOTS 60U

struct trend {
    uint64_t slot_ms;
    uint64_t slot; /* under way, counted from time 0 */
    bool has_begun;
    uint64_t first; /* the oldest slot that may be looked at */
    double sums[TREND_SLOTS], weights[TREND_SLOTS];
};

struct trend_line {
    bool is_known;       /* there is something in every quarter of the window */
    bool is_steady;      /* it rises throughout */
    double level;        /* at the end of the window */
    double base, recent; /* means of its oldest and of its newest quarter */
    double slope;        /* per second */
    double certainty;    /* slope by its standard error */
    double weight;       /* of all that came in the window */
};

void trend_init(struct trend *trend, uint64_t window_ms);
/* `sum` of `weight` values, as of now; time does not go back. */
void trend_add(struct trend *trend, uint64_t now_ms, double sum, double weight);
struct trend_line trend_line_of(const struct trend *trend);
