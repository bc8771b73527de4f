/* SPDX-License-Identifier: Apache-2.0
 *
 * adapt.h - how many connections the load of a key calls for.
 *
 * Little's law says how many are busy on average, L = arrivals per second x how long each is held;
 * square-root staffing says how many that takes so that hardly anybody waits: ceil(L + 2 sqrt(L)).
 * Both factors are EWMAs. The target grows only while what it bought was good: when service became
 * slower with the last growth, more connections would only queue at the peer. It falls with the
 * load at once, but connections above it are closed by halves, so that a lull costs little.
 *
 * Where a forecast of the arrivals is trusted (forecast.h), the target is there before they are.
 *
 * The target says how many are kept and dialled ahead, never who has to wait: that is max_per_key.
 * Pure: the caller looks every second or so, and brings the figures.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ADAPT_SHRINK_EVERY_MS 5000U

struct adapt {
    uint32_t rate_x16;    /* arrivals per second, EWMA */
    uint32_t service_x16; /* how long they held, in milliseconds, when the target last grew */
    uint32_t arrivals;    /* counted up to the last look */
    uint16_t target;      /* connections; 0: not known yet */
    uint16_t since_ms;    /* the last time some were closed */
    bool has_grown;       /* with the last change of the target */
};

struct adapt_look {
    uint32_t arrivals; /* counted in all; may wrap */
    uint64_t elapsed_ms;
    uint32_t hold_x16;  /* EWMA, in milliseconds */
    uint32_t ahead_x16; /* arrivals per second that are expected soon; 0: not known */
    uint32_t busy;      /* connections with a lease, now */
    uint32_t min, max;  /* of the target */
};

/* ceil(L + 2 sqrt(L)), L in 1/256. */
uint32_t adapt_staff(uint64_t load_x256);

/* Sets the target. */
void adapt_learn(struct adapt *adapt, const struct adapt_look *look);

/* How many of `count` connections may close now: none, or, every 5 s, half of those above the
 * target. */
uint32_t adapt_shrink(struct adapt *adapt, uint32_t count, uint64_t elapsed_ms);
