/* SPDX-License-Identifier: Apache-2.0
 *
 * berths.h - numbers for the connections of a key: each has one that no other has, and the least
 * that is free. With at most n connections at a time they are 0 … n - 1.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>

struct berths {
    struct list *buckets; /* of the keys that have connections */
    uint32_t mask;
    const struct alloc *alloc;
};

/* False where memory is refused. */
bool berths_init(struct berths *berths, const struct alloc *alloc);
void berths_fini(struct berths *berths);

/* `key` is all of the key's identity, as bytes. False where memory is refused. */
bool berths_take(struct berths *berths, struct slice key, uint32_t *ret_number);
void berths_give(struct berths *berths, struct slice key, uint32_t number);
