/* SPDX-License-Identifier: Apache-2.0
 *
 * gate_place.h - the place that a connection has at the gate of its proxy (gate.h), for who keeps
 * one.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct gate;
struct gate_side;

/* All zeroes: none, or of a gate that counts no places. */
struct gate_place {
    struct gate_side *side;
    uint64_t since_ms;
    const void *of; /* its key: a dial of its own side for another one wants the place, too */
};

/* The place is another's from now on: a connection's that was a dial's, a tunnel's. */
struct gate_place gate_move(struct gate_place *place);
void gate_give(struct gate_place *place);
/* Others want it, or its own side does for another key, and it has been had for its time. */
bool gate_is_wanted(const struct gate_place *place);
/* A connection on its way between two workers has a place at no side. NULL: it had none. */
struct gate *gate_lift(struct gate_place *place);
struct gate_place gate_land(struct gate *gate, struct gate_side *side);
void gate_drop(struct gate *gate); /* any thread */
