/* SPDX-License-Identifier: Apache-2.0
 *
 * overload.h - what a gateway gives up when it runs short of descriptors or memory, and when it has
 * it again.
 *
 *      share   0 %            80 %  85 %  87 %  92 %  97 %
 *     calm     ├──────────────────────▶│
 *     shorten                 │◀───────┤───────────▶│        idle clients may stay half as long
 *     evict                              │◀─────────┤─────▶│  those idle for longest close
 *     refuse                                        │◀─────┤  new clients are answered 503
 *
 * A level begins at its share of the scarcest resource and ends five points below, so that what it
 * frees does not end it at once, to begin anew. What is given up at a level is given up at those
 * above it, too.
 *
 * Pure: shares in, a level out. Who measures and acts is relief.h.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* name, word, tenths of a percent at which it begins, what is done. */
#define OVERLOAD_LEVELS(ROW)                                                                       \
    ROW(CALM, "calm", 0, "nothing is given up")                                                    \
    ROW(SHORTEN, "shorten", 850, "idle clients may stay half as long")                             \
    ROW(EVICT, "evict", 920, "clients that are idle for longest are closed")                       \
    ROW(REFUSE, "refuse", 970, "new clients are answered 503")
#define OVERLOAD_HYSTERESIS 50U

enum overload_level {
#define OVERLOAD_ROW(name, word, begins, text) OVERLOAD_##name,
    OVERLOAD_LEVELS(OVERLOAD_ROW)
#undef OVERLOAD_ROW
        OVERLOAD_LEVEL_COUNT
};

enum overload_resource { OVERLOAD_DESCRIPTORS, OVERLOAD_MEMORY, OVERLOAD_RESOURCES };

/* Of one resource. most 0: there is no limit. */
struct overload_use {
    uint64_t used, most;
};

/* All zeroes: calm. */
struct overload {
    enum overload_level level;
    enum overload_resource scarcest;
    uint32_t share[OVERLOAD_RESOURCES]; /* in tenths of a percent, at most 9999 */
    uint64_t since_ms;                  /* when the level began */
    uint64_t begun[OVERLOAD_LEVEL_COUNT];
};

const char *overload_word(enum overload_level level); /* "evict" */
const char *overload_text(enum overload_level level); /* what is done at it */
const char *overload_resource_word(enum overload_resource resource);
uint32_t overload_begins(enum overload_level level);

/* What was found now. True: the level is another one. */
bool overload_look(struct overload *overload, const struct overload_use use[OVERLOAD_RESOURCES],
                   uint64_t now_ms);

/* Descriptors beyond the share at which the eviction of idle clients ends, which is as many of them
 * as have to close; 0: none. */
uint64_t overload_excess(const struct overload_use *use);

/* Of so many in use anybody but those who are last to be refused gets no more. */
uint64_t overload_refuses_at(uint64_t most);
