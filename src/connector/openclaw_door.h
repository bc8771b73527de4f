/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_door.h - how many handshakes are under way at a host and port, whoever of the process
 * began them: a gateway has room for few who have not said who they are, and cannot tell ours
 * apart.
 *
 * Doors of one name share a count; they are of different connectors, on different threads. A door
 * lies in its owner's memory, and counts what its owner has entered.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct claw_door {
    struct claw_door *next; /* of those that share a bucket */
    const char *name;
    uint32_t hash, busy;
};

/* `name` lives as long as the door. Any thread, here and below. */
void claw_door_open(struct claw_door *door, const char *name);
void claw_door_close(struct claw_door *door); /* nobody is inside who came through it */
/* False: `most` are inside already, by whichever door of that name. */
bool claw_door_enter(struct claw_door *door, uint32_t most);
void claw_door_leave(struct claw_door *door);
