/* SPDX-License-Identifier: Apache-2.0
 *
 * discovery_source.h - where the endpoints of one upstream are found, and what was found last.
 *
 * A source has parts: each name that is looked up in DNS is one, a file or a URL is one. Each is
 * looked at again and again; what it had last stays until it has something else, whatever fails
 * meanwhile. What all parts have together, sorted and each once, is the set.
 *
 *     look ─▶ answer: another set?  ─▶ on_change
 *      ▲        failure, or nothing ─▶ on_fault, once until it is over
 *      └── later: DNS, when the answer's time is over; a URL, at its interval; a file, in a second
 *
 * All of it on the thread of the loop. Files are read there: they are small, and seldom change.
 */
#pragma once
#include "base/list.h"
#include "gateway/config.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define DISCOVERY_WHY_MAX 200U

struct dns;
struct part;
struct source;

/* What came of looks; name, word. */
#define DISCOVERY_RESULTS(ROW)                                                                     \
    ROW(CHANGED, "changed") ROW(SAME, "same") ROW(EMPTY, "empty") ROW(FAILED, "failed")

enum discovery_result {
#define DISCOVERY_ROW(name, word) DISCOVERY_##name,
    DISCOVERY_RESULTS(DISCOVERY_ROW)
#undef DISCOVERY_ROW
        DISCOVERY_RESULTS_COUNT
};
const char *discovery_result_word(enum discovery_result result);

struct source_ops {
    void (*on_change)(void *self, struct source *source); /* it has another set */
    /* It fails; or (why is "") it does not any more. */
    void (*on_fault)(void *self, struct source *source, const char *why);
    void *self;
};

struct source {
    struct node on_discovery;
    struct loop *loop;
    struct dns *dns;
    const struct source_ops *ops;
    const char *dns_servers;                /* of the configuration; NULL: the system's */
    struct config_arena *keeps;             /* the configuration that it is of */
    const struct config_upstream *upstream; /* in it */
    struct part *parts;
    uint32_t parts_count, unasked; /* those without an answer or a failure yet */
    struct config_arena *arena;    /* of: */
    struct config_endpoints set;   /* good if has_set */
    bool has_set;
    bool is_own; /* the set was found by it, not by the one before */
    bool is_failing;
    char why[DISCOVERY_WHY_MAX]; /* the last failure */
    uint64_t good_wall_ms;       /* the last good look; 0: none */
    uint64_t counts[DISCOVERY_RESULTS_COUNT];
};

/* Begins to look. `elder`: the one of the upstream before, whose set it has until it has found one;
 * or NULL. NULL: no memory. */
struct source *source_new(struct loop *loop, struct dns *dns, const struct config *config,
                          const struct config_upstream *upstream, const struct source *elder,
                          const struct source_ops *ops);
void source_free(struct source *take_source);
/* Whether what it has found is as good for that upstream. */
bool source_serves(const struct source *source, const struct config_upstream *upstream);
/* It is that upstream's from now on, of another configuration. False: no memory, it stays. */
bool source_move(struct source *source, const struct config *config,
                 const struct config_upstream *upstream);
/* Ends what has threads; the next look begins it anew. */
void source_rest(struct source *source);

const char *source_kind(const struct config_upstream *upstream); /* "file", "dns srv", … */
/* Whether two sets are the same endpoints, in the same order, with the same of each. */
bool endpoints_are_same(const struct config_endpoints *a, const struct config_endpoints *b);
