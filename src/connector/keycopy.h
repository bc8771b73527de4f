/* SPDX-License-Identifier: Apache-2.0
 *
 * keycopy.h - a key of our own, where the pool's may be forgotten before we are done with it.
 */
#pragma once
#include <weir/weir.h>

#include "base/alloc.h"

/* The text holds all of the key: two of them are of the same key if and only if their texts are the
 * same. */
struct key_copy {
    char *text; /* NULL: none */
    uint32_t len;
    weir_key view;
};

/* False where memory is refused. */
bool key_copy_init(const struct alloc *alloc, const weir_key *key, struct key_copy *ret_copy);
void key_copy_fini(const struct alloc *alloc, struct key_copy *copy);
