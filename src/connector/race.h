/* SPDX-License-Identifier: Apache-2.0
 *
 * race.h - Happy Eyeballs without sockets: in which order addresses are tried (RFC 8305 §4), and
 * when the next attempt begins (§5). Pure; dial.c does what it says.
 *
 *   - At most one attempt begins every `delay_ms`, but the next one at once when an attempt failed.
 *   - The race is lost when every address was tried and has failed. Winning is not its business:
 *     whoever won stops asking.
 */
#pragma once
#include "io/address.h"

#define RACE_NEVER UINT64_MAX

/* Families in turn, beginning with that of the first address; within a family the given order. */
void race_order(const struct ip *from, uint32_t count, struct ip *ret);

struct race {
    uint32_t total, started, failed;
    uint32_t delay_ms;
    uint64_t next_ms; /* when the next attempt begins, unless one fails before */
};

enum race_step { RACE_START, RACE_WAIT, RACE_LOST };

void race_init(struct race *race, uint32_t total, uint32_t delay_ms);
/* RACE_START: try address number `started` - 1 now, and ask again. RACE_WAIT: ask again when an
 * attempt failed, or at race_deadline_ms(). */
enum race_step race_next(struct race *race, uint64_t now_ms);
void race_failed(struct race *race);
uint64_t race_deadline_ms(const struct race *race);
