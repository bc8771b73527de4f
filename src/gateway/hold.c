/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/hold.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

static bool stock_take(struct hold_stock *stock, bool is_rest)
{
    uint64_t used = atomic_fetch_add_explicit(&stock->used, sizeof(struct hold_block),
                                              memory_order_relaxed);
    uint64_t most = atomic_load_explicit(&stock->most, memory_order_relaxed);
    if (is_rest || used + sizeof(struct hold_block) <= most) {
        return true;
    }
    atomic_fetch_sub_explicit(&stock->used, sizeof(struct hold_block), memory_order_relaxed);
    return false;
}

static void block_free(struct hold *hold, struct hold_block *block)
{
    atomic_fetch_sub_explicit(&hold->stock->used, sizeof(struct hold_block), memory_order_relaxed);
    alloc_free(&alloc_libc, block);
}

static struct hold_block *block_new(struct hold *hold, bool is_rest)
{
    if (!stock_take(hold->stock, is_rest)) {
        return NULL;
    }
    struct hold_block *block = alloc_new(&alloc_libc, sizeof *block);
    if (block == NULL) {
        block_free(hold, NULL);
        return NULL;
    }
    block->next = NULL;
    block->len = 0;
    return block;
}

/* As many blocks as `len` bytes need; NULL: there are not so many. */
static struct hold_block *chain_new(struct hold *hold, size_t len, bool is_rest)
{
    struct hold_block *chain = NULL;
    for (size_t room = 0; room < len; room += sizeof chain->at) {
        struct hold_block *block = block_new(hold, is_rest);
        if (block == NULL) {
            while (chain != NULL) {
                struct hold_block *next = chain->next;
                block_free(hold, chain);
                chain = next;
            }
            return NULL;
        }
        block->next = chain;
        chain = block;
    }
    return chain;
}

static size_t room_of(const struct hold_block *block)
{
    return block != NULL ? sizeof block->at - block->len : 0;
}

static size_t put(struct hold_block *block, const char *data, size_t len)
{
    size_t part = room_of(block) < len ? room_of(block) : len;
    if (part > 0) {
        memcpy(block->at + block->len, data, part);
        block->len += (uint32_t)part;
    }
    return part;
}

static bool add(struct hold *hold, const void *data, size_t len, uint64_t max, bool is_rest)
{
    size_t room = room_of(hold->last);
    struct hold_block *chain = NULL;
    if (len > max || hold->len > max - len) {
        return false;
    }
    if (len > room && (chain = chain_new(hold, len - room, is_rest)) == NULL) {
        return false;
    }
    const char *at = data;
    size_t left = len;
    size_t part = put(hold->last, at, left);
    at += part, left -= part;
    while (chain != NULL) {
        struct hold_block *next = chain->next;
        chain->next = NULL;
        if (hold->last != NULL) {
            hold->last->next = chain;
        } else {
            hold->first = chain;
        }
        hold->last = chain;
        part = put(chain, at, left);
        at += part, left -= part;
        chain = next;
    }
    check(left == 0);
    hold->len += len;
    return true;
}

bool hold_add(struct hold *hold, const void *data, size_t len, uint64_t max)
{
    return add(hold, data, len, max, false);
}

bool hold_add_rest(struct hold *hold, const void *data, size_t len, uint64_t max)
{
    return add(hold, data, len, max, true);
}

void hold_drop_first(struct hold *hold)
{
    struct hold_block *block = hold->first;
    hold->first = block->next;
    if (hold->first == NULL) {
        hold->last = NULL;
    }
    hold->len -= block->len;
    block_free(hold, block);
}

void hold_reset(struct hold *hold)
{
    while (hold->first != NULL) {
        hold_drop_first(hold);
    }
}
