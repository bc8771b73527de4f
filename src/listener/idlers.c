/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/idlers.h"

/* Whether a goes before b. */
static bool is_sooner(const struct idler *a, const struct idler *b)
{
    return a->is_favoured != b->is_favoured ? b->is_favoured : a->idle_ms > b->idle_ms;
}

static void swap(struct idler *a, struct idler *b)
{
    struct idler kept = *a;
    *a = *b;
    *b = kept;
}

static void sift_up(struct idlers *idlers, uint32_t i)
{
    while (i > 0 && is_sooner(&idlers->at[(i - 1) / 2], &idlers->at[i])) {
        swap(&idlers->at[(i - 1) / 2], &idlers->at[i]);
        i = (i - 1) / 2;
    }
}

static void sift_down(struct idlers *idlers)
{
    for (uint32_t i = 0;;) {
        uint32_t last = i;
        for (uint32_t child = 2 * i + 1; child <= 2 * i + 2 && child < idlers->count; child++) {
            if (is_sooner(&idlers->at[last], &idlers->at[child])) {
                last = child;
            }
        }
        if (last == i) {
            return;
        }
        swap(&idlers->at[last], &idlers->at[i]);
        i = last;
    }
}

void idlers_init(struct idlers *idlers, uint32_t most)
{
    idlers->most = most < IDLERS_MAX ? most : IDLERS_MAX;
    idlers->count = 0;
    idlers->offered = 0;
}

void idlers_offer(struct idlers *idlers, const struct idler *idler)
{
    idlers->offered++;
    if (idlers->count < idlers->most) {
        idlers->at[idlers->count] = *idler;
        sift_up(idlers, idlers->count++);
    } else if (idlers->count > 0 && is_sooner(idler, &idlers->at[0])) {
        idlers->at[0] = *idler;
        sift_down(idlers);
    }
}

uint32_t idlers_close(struct idlers *idlers)
{
    uint32_t count = idlers->count;
    idlers->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        idlers->at[i].close(idlers->at[i].client);
    }
    return count;
}
