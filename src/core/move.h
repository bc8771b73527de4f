/* SPDX-License-Identifier: Apache-2.0
 *
 * move.h - an idle connection goes to another engine, where callers wait for one.
 *
 *      here                                 there
 *   IDLE -> CLOSING    the hub wants room of its key
 *     |  detach        in the next step
 *    (gone)  ---------- parcel ---------->  DIALLING     nobody dials: it is taken as it comes
 *                                             |  attach  in the next step
 *                                           IDLE         and its callers are served
 *
 * It takes its place in the limits along: the key's credit, and the pool's. It leaves as
 * removed(moved) and enters as added(moved) under a new id; neither engine counts it as created or
 * closed. Age, uses and what was learned of it come along.
 */
#pragma once
#include "core/limit.h"
#include "core/parts.h"

/* Idle connections of the key leave, as many as others want of it. */
void move_idle(struct key *key);

/* This one, which is idle: others want it. False: it cannot move. */
bool move_out(struct conn *conn);

/* In a step: off the loop and on its way, or, where it cannot be taken off, told to close. */
void move_detach(struct conn *conn);

/* One has come. */
void move_in(struct key *key, const struct limit_parcel *parcel);

/* Its connector has it now, or has lost it: it is to be closed, or gone. */
void move_is_up(struct conn *conn, void *object);
void move_is_down(struct conn *conn, weir_err why);

/* In a step: it is closed before it was attached. */
void move_drop(struct conn *conn);

/* It is here, and its connector has not been told. */
static inline bool move_is_parcel(const struct conn *conn)
{
    return conn->moved && conn->object != NULL;
}
