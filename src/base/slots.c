/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slots.h"

#include "base/fetch.h"

#include <string.h>

#define RECORD_ALIGN 8U

bool slots_init(struct slots *slots, const struct alloc *alloc, size_t record_size,
                uint32_t capacity)
{
    size_t stride = sizeof(struct slot) + record_size;
    stride = (stride + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
    check(stride <= UINT32_MAX);
    void *base = alloc_array(alloc, capacity, stride);
    if (base == NULL) {
        return false;
    }
    *slots = (struct slots){
        .base = base, .alloc = alloc, .stride = (uint32_t)stride, .capacity = capacity};
    return true;
}

void slots_fini(struct slots *slots)
{
    if (slots->alloc != NULL) {
        alloc_free(slots->alloc, slots->base);
    }
    *slots = (struct slots){0};
}

void *slots_take(struct slots *slots, uint64_t *ret_id)
{
    struct slot *slot;
    uint32_t index;
    if (slots->free != 0) {
        index = slots->free - 1;
        slot = slots_nth(slots, index);
        slots->free = slot->link;
        fetch(slots_nth(slots, slots->free - (slots->free > 0)), slots->stride); /* the next one */
    } else if (slots->touched < slots->capacity) {
        index = slots->touched++;
        slot = slots_nth(slots, index);
        slot->generation = 0;
    } else {
        return NULL;
    }
    check((slot->generation & 1) == 0);
    slot->generation++;
    slot->link = index;
    slots->count++;
    memset(slot + 1, 0, slots->stride - sizeof *slot);
    *ret_id = (uint64_t)slot->generation << 32 | index;
    return slot + 1;
}

void slots_give(struct slots *slots, uint64_t id)
{
    void *record = slots_at(slots, id);
    check(record != NULL);
    check(slots->count > 0);

    struct slot *slot = (struct slot *)record - 1;
    slot->generation++;
    slot->link = slots->free;
    slots->free = (uint32_t)id + 1;
    slots->count--;
}
