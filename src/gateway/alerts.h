/* SPDX-License-Identifier: Apache-2.0
 *
 * alerts.h - rules over the gateway's figures: which of them hold, since when, and what to say.
 *
 *               the rule holds            … for for_ms: told as alert_firing
 *     QUIET ──────────────────▶ PENDING ──────────────────▶ FIRING
 *       ▲  ◀───────────────────────┘                           │
 *       └──────────────────────────────────────────────────────┘
 *         it has not held for for_ms, by a tenth more than it fired: told as alert_cleared
 *
 * Always true: an alert is told as firing and as cleared in turn, firing first; between the two lie
 * for_ms at least. A figure of which too little is known (fewer than ALERT_REQUESTS_LEAST requests)
 * holds no rule.
 *
 * Pure: figures and the time come with alerts_look(), which the caller calls about once a second.
 * Counters are those since the start; what happened within a window is worked out here.
 */
#pragma once
#include "base/alloc.h"
#include "gateway/trend.h"

#include <stdbool.h>
#include <stdint.h>

#define ALERT_REQUESTS_LEAST 20U  /* in a window; fewer say nothing about a part of them */
#define ALERT_TREND_LEAST    200U /* the same, for a trend of such a part */
#define ALERT_SURVIVAL_MS    3600000U
#define ALERT_MESSAGE_MAX    160U

enum alert_scope { ALERT_GATEWAY, ALERT_POOL, ALERT_UPSTREAM };
enum alert_rule { ALERT_ABOVE, ALERT_BELOW, ALERT_EARLY };
enum alert_state { ALERT_QUIET, ALERT_PENDING, ALERT_FIRING };

enum alert_kind {
#define ALERT_ROW(name, word, scope, rule, text) ALERT_##name,
#include "gateway/alert.def"
#undef ALERT_ROW
    ALERT_KINDS
};

const char *alert_word(enum alert_kind kind);
const char *alert_text(enum alert_kind kind);
enum alert_scope alert_scope_of(enum alert_kind kind);
enum alert_rule alert_rule_of(enum alert_kind kind);
const char *alert_state_word(enum alert_state state);

struct alert {
    enum alert_kind kind;
    uint32_t pool; /* of scope POOL and UPSTREAM: its place in the facts */
    enum alert_state state;
    uint64_t since_ms; /* the state */
    uint64_t turn_ms;  /* FIRING: since when the rule has not held; 0: it does */
    bool is_known;
    double value, threshold;
    uint64_t fired; /* times */
    char message[ALERT_MESSAGE_MAX];
};

struct alert_pool_facts {
    const char *name;   /* borrowed until alerts_look() returns */
    uint32_t total;     /* connections, in all states */
    uint32_t busy;      /* those that are in use, or on their way to be; or streams in use */
    uint32_t most;      /* that there may be; 0: no limit */
    uint32_t busy_most; /* that may be in use, whatever limits it; 0: no limit */
    bool is_streams;    /* busy, and busy_most: each connection carries several */
    /* Of upstreams, counters: */
    uint64_t finished, failed;           /* requests */
    uint64_t first_bytes, first_byte_us; /* answers that began, and how long that took them */
};

struct alert_facts {
    uint64_t now_ms;
    uint64_t finished, failed;         /* requests: counters */
    uint64_t cache_hits, cache_misses; /* counters */
    uint64_t ended, lost;              /* sessions, and those of them otherwise than they should */
    uint64_t resident_bytes;
    const struct alert_pool_facts *pools; /* upstreams first */
};

struct alerts_options {
    double thresholds[ALERT_KINDS]; /* of rules ABOVE and BELOW */
    uint32_t for_ms;
    uint32_t window_ms;  /* of error_rate and cache_hit */
    uint32_t horizon_ms; /* of early warnings; 0: there are none */
    uint32_t pools, upstreams;
};

/* How often to look, so that no window is coarser than it need be. */
uint32_t alerts_pause_ms(const struct alerts_options *opt);

struct alerts;
/* NULL: no memory. */
struct alerts *alerts_new(const struct alerts_options *opt, const struct alloc *alloc);
void alerts_free(struct alerts *take_alerts);
/* Takes over what the elder knows, by the names of the pools of both: what fires goes on firing.
 * Counters of requests may be others from now on: what the elder saw of them within its window
 * stays known, and the window goes on from wherever they stand at the first look. */
void alerts_inherit(struct alerts *alerts, const char *const *names, const struct alerts *elder,
                    const char *const *elder_names);

/* The alert began to fire, or was cleared: alert->state says which. */
typedef void alert_fn(void *arg, const struct alert *alert);
void alerts_look(struct alerts *alerts, const struct alert_facts *facts, alert_fn *told, void *arg);

/* Of the sessions that ended within an hour, the part that did as they should; 1 where none did. */
double alerts_survival(const struct alerts *alerts);

uint32_t alerts_count(const struct alerts *alerts);
const struct alert *alerts_at(const struct alerts *alerts, uint32_t index);
