/* SPDX-License-Identifier: Apache-2.0
 *
 * registry.h - things that are found by a number, for as long as they are there.
 *
 * A value that a program may keep for as long as it likes, longer than what it speaks of, holds no
 * pointer but a number. The number is looked for among those that are there; whoever finds one uses
 * it, and the last user frees it. Numbers are not used twice (in 2^32 of them).
 */
#pragma once
#include "base/list.h"

struct registered {
    struct node node;
    uint32_t serial; /* never 0 */
    uint32_t users;
};

/* With one user: its owner. */
void registry_add(struct registered *registered);
/* Is not found any more. */
void registry_remove(struct registered *registered);
/* NULL: there is none of the number. Else its users are one more. */
struct registered *registry_find(uint32_t serial);

void registered_use(struct registered *registered);
/* True: that was the last. */
bool registered_disuse(struct registered *registered);
