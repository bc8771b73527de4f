/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/exemplar.h"

#include <string.h>

#define LOOKS_MAX 8U

/* NOLINTNEXTLINE(readability-non-const-parameter): the store is a builtin */
static void publish(uint64_t *place, uint64_t value)
{
    __atomic_store_n(place, value, __ATOMIC_RELEASE);
}

static uint64_t look(const uint64_t *place)
{
    return __atomic_load_n(place, __ATOMIC_ACQUIRE);
}

/* Who sees anything of the new one sees that its turn has begun. */
void exemplar_take(struct exemplar *exemplar, uint64_t now_ms, uint64_t us,
                   const char trace[EXEMPLAR_TRACE])
{
    uint64_t words[EXEMPLAR_TRACE / 8];
    uint64_t turn = count_read(&exemplar->turn);
    memcpy(words, trace, sizeof words);
    publish(&exemplar->turn, turn + 1);
    publish(&exemplar->taken_ms, now_ms);
    publish(&exemplar->us, us);
    for (unsigned i = 0; i < EXEMPLAR_TRACE / 8; i++)
        publish(&exemplar->trace[i], words[i]);
    publish(&exemplar->turn, turn + 2);
}

bool exemplar_see(const struct exemplar *exemplar, struct exemplar_seen *ret_seen)
{
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        struct exemplar_seen seen = {.trace = ""};
        uint64_t words[EXEMPLAR_TRACE / 8];
        uint64_t turn = look(&exemplar->turn);
        if (turn == 0)
            return false;
        seen.taken_ms = look(&exemplar->taken_ms);
        seen.us = look(&exemplar->us);
        for (unsigned w = 0; w < EXEMPLAR_TRACE / 8; w++)
            words[w] = look(&exemplar->trace[w]);
        if (turn % 2 == 0 && look(&exemplar->turn) == turn) {
            memcpy(seen.trace, words, sizeof words);
            *ret_seen = seen;
            return true;
        }
    }
    return false;
}
