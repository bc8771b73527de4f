/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/overload.h"

#include "base/check.h"

#define SHARE_MAX 9999U

static const struct {
    uint32_t begins;
    const char *word, *text;
} levels[] = {
#define OVERLOAD_ROW(name, the_word, share, the_text)                                              \
    {.begins = (share), .word = (the_word), .text = (the_text)},
    OVERLOAD_LEVELS(OVERLOAD_ROW)
#undef OVERLOAD_ROW
};

const char *overload_word(enum overload_level level)
{
    check(level < OVERLOAD_LEVEL_COUNT);
    return levels[level].word;
}

const char *overload_text(enum overload_level level)
{
    check(level < OVERLOAD_LEVEL_COUNT);
    return levels[level].text;
}

const char *overload_resource_word(enum overload_resource resource)
{
    return resource == OVERLOAD_MEMORY ? "memory" : "descriptors";
}

uint32_t overload_begins(enum overload_level level)
{
    check(level < OVERLOAD_LEVEL_COUNT);
    return levels[level].begins;
}

/* Rounded down, so that a level begins at its share and not before. */
static uint32_t share_of(const struct overload_use *use)
{
    if (use->most == 0 || use->used == 0) {
        return 0;
    }
    double share = (double)use->used * 1000 / (double)use->most;
    return share < SHARE_MAX ? (uint32_t)share : SHARE_MAX;
}

static bool is_reached(const struct overload *overload, enum overload_level level, uint32_t share)
{
    uint32_t held = level <= overload->level && level != OVERLOAD_CALM ? OVERLOAD_HYSTERESIS : 0;
    return share + held >= levels[level].begins;
}

bool overload_look(struct overload *overload, const struct overload_use use[OVERLOAD_RESOURCES],
                   uint64_t now_ms)
{
    enum overload_level level = OVERLOAD_CALM;
    for (enum overload_resource i = 0; i < OVERLOAD_RESOURCES; i++) {
        overload->share[i] = share_of(&use[i]);
    }
    overload->scarcest = overload->share[OVERLOAD_MEMORY] > overload->share[OVERLOAD_DESCRIPTORS]
                             ? OVERLOAD_MEMORY
                             : OVERLOAD_DESCRIPTORS;
    uint32_t share = overload->share[overload->scarcest];
    for (enum overload_level next = OVERLOAD_SHORTEN; next < OVERLOAD_LEVEL_COUNT; next++) {
        level = is_reached(overload, next, share) ? next : level;
    }
    if (level == overload->level) {
        return false;
    }
    for (enum overload_level next = overload->level + 1; next <= level; next++) {
        overload->begun[next]++;
    }
    overload->level = level;
    overload->since_ms = now_ms;
    return true;
}

uint64_t overload_excess(const struct overload_use *use)
{
    uint64_t stays = use->most * (levels[OVERLOAD_EVICT].begins - OVERLOAD_HYSTERESIS) / 1000;
    return use->most > 0 && use->used >= stays ? use->used - stays + 1 : 0;
}

uint64_t overload_refuses_at(uint64_t most)
{
    return (most * levels[OVERLOAD_REFUSE].begins + 999) / 1000;
}
