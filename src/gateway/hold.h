/* SPDX-License-Identifier: Apache-2.0
 *
 * hold.h - a body that is kept until it is known where it goes: blocks, in which it is read and
 * from which it is sent, as often as it has to be.
 *
 * What all requests of all workers keep comes from one stock, which is bounded.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_BLOCK_BYTES 32768U
#define HOLD_STOCK_BYTES (UINT64_C(256) << 20)

struct hold_stock {
    _Atomic uint64_t used; /* bytes of blocks */
    _Atomic uint64_t most; /* [HOLD_STOCK_BYTES], or less where memory is short */
};

struct hold_block {
    struct hold_block *next;
    uint32_t len;
    char at[HOLD_BLOCK_BYTES - sizeof(void *) - sizeof(uint32_t)];
};

struct hold {
    struct hold_stock *stock;
    struct hold_block *first, *last;
    uint64_t len;
};

/* False where memory is refused, the stock is used up, or it would be longer than `max`; nothing
 * has changed then. */
bool hold_add(struct hold *hold, const void *data, size_t len, uint64_t max);
/* The same for what came before its sender could be told to wait: the stock has to do. */
bool hold_add_rest(struct hold *hold, const void *data, size_t len, uint64_t max);
/* The first block is needed no more. */
void hold_drop_first(struct hold *hold);
void hold_reset(struct hold *hold);
