/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/race.h"

#include "base/check.h"

/* The next index at or after `at` of that family, or not of it; count where there is none. */
static uint32_t next_of(const struct ip *from, uint32_t count, uint32_t at, uint8_t family,
                        bool same)
{
    while (at < count && (from[at].family == family) != same) {
        at++;
    }
    return at;
}

void race_order(const struct ip *from, uint32_t count, struct ip *ret)
{
    if (count == 0) {
        return;
    }
    uint8_t family = from[0].family;
    uint32_t at[2] = {next_of(from, count, 0, family, true),
                      next_of(from, count, 0, family, false)};
    for (uint32_t i = 0; i < count; i++) {
        int turn = i % 2 == 0 ? 0 : 1;
        turn = at[turn] < count ? turn : !turn;
        ret[i] = from[at[turn]];
        at[turn] = next_of(from, count, at[turn] + 1, family, turn == 0);
    }
}

void race_init(struct race *race, uint32_t total, uint32_t delay_ms)
{
    *race = (struct race){.total = total, .delay_ms = delay_ms};
}

enum race_step race_next(struct race *race, uint64_t now_ms)
{
    if (race->failed == race->total) {
        return RACE_LOST;
    }
    if (race->started < race->total && now_ms >= race->next_ms) {
        race->started++;
        race->next_ms = now_ms + race->delay_ms;
        return RACE_START;
    }
    return RACE_WAIT;
}

void race_failed(struct race *race)
{
    check(race->failed < race->started);
    race->failed++;
    race->next_ms = 0;
}

uint64_t race_deadline_ms(const struct race *race)
{
    return race->started < race->total ? race->next_ms : RACE_NEVER;
}
