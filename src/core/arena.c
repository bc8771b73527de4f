/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include "base/check.h"

#include <string.h>

/* In orders[unit]: nothing begins here, or a block of that order, free or taken. */
#define BEGINS_FREE  0x40U
#define BEGINS_TAKEN 0x80U
#define TOP_UNITS    (1U << (ARENA_ORDERS - 1))

/* A free block begins with its neighbours in the list of its size, as unit + 1. */
struct free_block {
    uint32_t next, prev;
};

static struct free_block *block_at(const struct arena *arena, uint32_t unit)
{
    return (struct free_block *)(void *)(arena->base + (size_t)unit * ARENA_UNIT);
}

bool arena_init(struct arena *arena, const struct alloc *alloc, uint32_t bytes)
{
    uint32_t units = (bytes + ARENA_UNIT - 1) / ARENA_UNIT;
    units = (units + TOP_UNITS - 1) / TOP_UNITS * TOP_UNITS;
    unsigned char *base = alloc_array(alloc, units, ARENA_UNIT);
    uint8_t *orders = alloc_zeroed(alloc, units);
    if (base == NULL || orders == NULL) {
        alloc_free(alloc, base);
        alloc_free(alloc, orders);
        return false;
    }
    *arena = (struct arena){.base = base, .orders = orders, .alloc = alloc, .units = units};
    return true;
}

void arena_fini(struct arena *arena)
{
    if (arena->alloc != NULL) {
        alloc_free(arena->alloc, arena->base);
        alloc_free(arena->alloc, arena->orders);
    }
    *arena = (struct arena){0};
}

static unsigned order_of(uint32_t len)
{
    unsigned order = 0;
    while ((ARENA_UNIT << order) < len) {
        order++;
    }
    return order;
}

static void free_push(struct arena *arena, uint32_t unit, unsigned order)
{
    uint32_t first = arena->free[order];
    *block_at(arena, unit) = (struct free_block){.next = first};
    if (first != 0) {
        block_at(arena, first - 1)->prev = unit + 1;
    }
    arena->free[order] = unit + 1;
    arena->orders[unit] = (uint8_t)(BEGINS_FREE | order);
}

static void free_remove(struct arena *arena, uint32_t unit, unsigned order)
{
    struct free_block *block = block_at(arena, unit);
    check(arena->orders[unit] == (BEGINS_FREE | order));

    if (block->next != 0) {
        block_at(arena, block->next - 1)->prev = block->prev;
    }
    if (block->prev != 0) {
        block_at(arena, block->prev - 1)->next = block->next;
    } else {
        arena->free[order] = block->next;
    }
    arena->orders[unit] = 0;
}

char *arena_cut(struct arena *arena, uint32_t len)
{
    unsigned wanted = order_of(len);
    unsigned order = wanted;
    while (order < ARENA_ORDERS && arena->free[order] == 0) {
        order++;
    }
    uint32_t unit;
    if (order < ARENA_ORDERS) {
        unit = arena->free[order] - 1;
        free_remove(arena, unit, order);
    } else if (wanted < ARENA_ORDERS && arena->touched < arena->units) {
        unit = arena->touched;
        arena->touched += TOP_UNITS;
        order = ARENA_ORDERS - 1;
    } else {
        return NULL;
    }
    while (order > wanted) {
        order--;
        free_push(arena, unit + (1U << order), order);
    }
    arena->orders[unit] = (uint8_t)(BEGINS_TAKEN | wanted);
    arena->bytes += ARENA_UNIT << wanted;
    return (char *)arena->base + (size_t)unit * ARENA_UNIT;
}

void arena_give(struct arena *arena, const char *text, uint32_t len)
{
    uint32_t unit = (uint32_t)((size_t)(text - (const char *)arena->base) / ARENA_UNIT);
    unsigned order = order_of(len);
    check(arena->orders[unit] == (BEGINS_TAKEN | order));

    arena->bytes -= ARENA_UNIT << order;
    arena->orders[unit] = 0;
    while (order < ARENA_ORDERS - 1) {
        uint32_t buddy = unit ^ (1U << order);
        if (arena->orders[buddy] != (BEGINS_FREE | order)) {
            break;
        }
        free_remove(arena, buddy, order);
        unit = unit < buddy ? unit : buddy;
        order++;
    }
    free_push(arena, unit, order);
}
