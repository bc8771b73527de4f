/* SPDX-License-Identifier: Apache-2.0
 *
 * alerts.c - figures become values, values states.
 */
#include "gateway/alerts.h"

#include "base/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MARKS          30U  /* of a window: so many times its counters are remembered */
#define EASE           0.1  /* a rule is left that much further than it is entered */
#define CERTAIN        4.0  /* of a trend */
#define BUSY_LEAST     0.6  /* of a pool, before its exhaustion is foretold */
#define LATENCY_GROWTH 2.0  /* within the horizon */
#define LATENCY_GROWN  1.25 /* by now */
#define LATENCY_LEAST  0.02 /* seconds that it must grow, to matter at all */
#define HORIZON_EASE   1.5  /* a warning stays while what it warns of is that many horizons away */
#define PAUSE_MOST_MS  1000U
#define PAUSE_LEAST_MS 50U

/* Two counters, as they were at times of late. */
struct mark {
    uint64_t at_ms, all, part;
};
struct window {
    uint64_t length_ms;
    uint32_t count, next;
    uint64_t last_all, last_part; /* the counters at the last look */
    bool moves;                   /* they are others by now, and those of the next look are these */
    struct mark marks[MARKS + 2];
};

struct watched {
    struct trend busy, failures, latency;
    uint64_t finished, failed, first_bytes, first_byte_us; /* at the last look */
    bool has_looked;
};

struct alerts {
    const struct alloc *alloc;
    struct alerts_options opt;
    struct window requests, cache, sessions;
    double survival;         /* of the sessions that ended within the last one; 1 where none did */
    struct watched *watched; /* one for each upstream; NULL without early warnings */
    uint32_t count;
    struct alert at[];
};

/* What a rule says. */
struct verdict {
    bool is_known, holds, eases; /* eases: it does not hold even by a tenth less */
    double value;
};

static const struct {
    const char *word, *text;
    enum alert_scope scope;
    enum alert_rule rule;
} kinds[] = {
#define ALERT_ROW(name, word, scope, rule, text) {word, text, ALERT_##scope, ALERT_##rule},
#include "gateway/alert.def"
#undef ALERT_ROW
};

const char *alert_word(enum alert_kind kind)
{
    check(kind < ALERT_KINDS);
    return kinds[kind].word;
}

const char *alert_text(enum alert_kind kind)
{
    check(kind < ALERT_KINDS);
    return kinds[kind].text;
}

enum alert_scope alert_scope_of(enum alert_kind kind)
{
    check(kind < ALERT_KINDS);
    return kinds[kind].scope;
}

enum alert_rule alert_rule_of(enum alert_kind kind)
{
    check(kind < ALERT_KINDS);
    return kinds[kind].rule;
}

const char *alert_state_word(enum alert_state state)
{
    static const char *const words[] = {"quiet", "pending", "firing"};
    return words[state];
}

/* --- life ----------------------------------------------------------------------------------------
 */

uint32_t alerts_pause_ms(const struct alerts_options *opt)
{
    uint32_t pause = opt->window_ms / MARKS;
    if (opt->horizon_ms > 0 && opt->horizon_ms / TREND_SLOTS < pause) {
        pause = opt->horizon_ms / TREND_SLOTS;
    }
    pause = pause < PAUSE_MOST_MS ? pause : PAUSE_MOST_MS;
    return pause > PAUSE_LEAST_MS ? pause : PAUSE_LEAST_MS;
}

static uint32_t alerts_of(const struct alerts_options *opt, enum alert_kind kind)
{
    if (kinds[kind].rule == ALERT_EARLY && opt->horizon_ms == 0) {
        return 0;
    }
    switch (kinds[kind].scope) {
    case ALERT_GATEWAY: return 1;
    case ALERT_POOL: return opt->pools;
    case ALERT_UPSTREAM: return opt->upstreams;
    }
    unreachable();
}

static bool watch_all(struct alerts *alerts)
{
    uint32_t count = alerts->opt.upstreams;
    if (alerts->opt.horizon_ms == 0 || count == 0) {
        return true;
    }
    alerts->watched = alloc_zeroed(alerts->alloc, count * sizeof(struct watched));
    for (uint32_t i = 0; alerts->watched != NULL && i < count; i++) {
        trend_init(&alerts->watched[i].busy, alerts->opt.horizon_ms);
        trend_init(&alerts->watched[i].failures, alerts->opt.horizon_ms);
        trend_init(&alerts->watched[i].latency, alerts->opt.horizon_ms);
    }
    return alerts->watched != NULL;
}

struct alerts *alerts_new(const struct alerts_options *opt, const struct alloc *alloc)
{
    uint32_t count = 0;
    for (unsigned kind = 0; kind < ALERT_KINDS; kind++) {
        count += alerts_of(opt, (enum alert_kind)kind);
    }
    struct alerts *alerts = alloc_zeroed(alloc, sizeof(*alerts) + count * sizeof(struct alert));
    if (alerts == NULL) {
        return NULL;
    }
    alerts->alloc = alloc;
    alerts->opt = *opt;
    alerts->survival = 1;
    alerts->requests.length_ms = alerts->cache.length_ms = opt->window_ms;
    alerts->sessions.length_ms = ALERT_SURVIVAL_MS;
    for (unsigned kind = 0; kind < ALERT_KINDS; kind++) {
        for (uint32_t i = 0; i < alerts_of(opt, (enum alert_kind)kind); i++) {
            alerts->at[alerts->count++] = (struct alert){
                .kind = (enum alert_kind)kind, .pool = i, .threshold = opt->thresholds[kind]};
        }
    }
    if (!watch_all(alerts)) {
        alerts_free(alerts);
        return NULL;
    }
    return alerts;
}

void alerts_free(struct alerts *take_alerts)
{
    if (take_alerts != NULL) {
        const struct alloc *alloc = take_alerts->alloc;
        alloc_free(alloc, take_alerts->watched);
        alloc_free(alloc, take_alerts);
    }
}

static bool is_heir(const struct alert *alert, const char *const *names, const struct alert *of,
                    const char *const *elder_names)
{
    return alert->kind == of->kind
           && (kinds[of->kind].scope == ALERT_GATEWAY
               || strcmp(names[alert->pool], elder_names[of->pool]) == 0);
}

static void inherit_alert(struct alert *alert, const struct alert *of)
{
    const struct alert own = *alert;
    *alert = *of;
    alert->pool = own.pool;
    alert->threshold = own.threshold;
}

void alerts_inherit(struct alerts *alerts, const char *const *names, const struct alerts *elder,
                    const char *const *elder_names)
{
    alerts->sessions = elder->sessions;
    alerts->survival = elder->survival;
    if (alerts->opt.window_ms == elder->opt.window_ms) {
        alerts->cache = elder->cache;
        alerts->requests = elder->requests;
        alerts->requests.moves = elder->requests.count > 0;
    }
    for (uint32_t i = 0; i < alerts->count; i++) {
        for (uint32_t k = 0; k < elder->count; k++) {
            if (is_heir(&alerts->at[i], names, &elder->at[k], elder_names)) {
                inherit_alert(&alerts->at[i], &elder->at[k]);
            }
        }
    }
}

uint32_t alerts_count(const struct alerts *alerts)
{
    return alerts->count;
}

const struct alert *alerts_at(const struct alerts *alerts, uint32_t index)
{
    check(index < alerts->count);
    return &alerts->at[index];
}

double alerts_survival(const struct alerts *alerts)
{
    return alerts->survival;
}

/* --- windows -------------------------------------------------------------------------------------
 */

static struct mark *mark_at(struct window *window, uint32_t back)
{
    const uint32_t size = MARKS + 2;
    return &window->marks[(window->next + size - 1 - back) % size];
}

/* Differences to the marks are what counts, so they may wrap round. */
static void window_move(struct window *window, uint64_t all, uint64_t part)
{
    for (uint32_t i = 0; i < window->count; i++) {
        mark_at(window, i)->all += all - window->last_all;
        mark_at(window, i)->part += part - window->last_part;
    }
    window->moves = false;
}

/* What is older than the window leaves, but for the one it begins with. */
static void window_note(struct window *window, uint64_t now_ms, uint64_t all, uint64_t part)
{
    uint64_t pause = window->length_ms / MARKS;
    if (window->moves) {
        window_move(window, all, part);
    }
    window->last_all = all;
    window->last_part = part;
    if (window->count == 0 || now_ms - mark_at(window, 0)->at_ms >= pause) {
        window->marks[window->next] = (struct mark){now_ms, all, part};
        window->next = (window->next + 1) % (MARKS + 2);
        window->count += window->count < MARKS + 2;
    }
    while (window->count > 1
           && now_ms - mark_at(window, window->count - 2)->at_ms >= window->length_ms) {
        window->count--;
    }
}

/* The part of all that happened within the window; false: of fewer than `least`. */
static bool window_part(struct window *window, uint64_t all, uint64_t part, uint64_t least,
                        double *ret_part)
{
    const struct mark *first = mark_at(window, window->count - 1);
    uint64_t happened = all - first->all;
    if (happened < least) {
        return false;
    }
    *ret_part = (double)(part - first->part) / (double)happened;
    return true;
}

/* --- rules ---------------------------------------------------------------------------------------
 */

static struct verdict compare(enum alert_rule rule, double value, double threshold)
{
    struct verdict v = {.is_known = true, .value = value};
    if (rule == ALERT_ABOVE) {
        v.holds = value > threshold;
        v.eases = value <= threshold * (1 - EASE);
    } else {
        v.holds = value < threshold;
        v.eases = value >= threshold + (1 - threshold) * EASE;
    }
    return v;
}

static struct verdict judge_part(const struct alert *alert, struct window *window, uint64_t all,
                                 uint64_t part)
{
    double value;
    if (!window_part(window, all, part, ALERT_REQUESTS_LEAST, &value)) {
        return (struct verdict){.eases = true};
    }
    return compare(kinds[alert->kind].rule, value, alert->threshold);
}

static struct verdict judge_utilization(const struct alert *alert,
                                        const struct alert_pool_facts *pool)
{
    if (pool->most == 0) {
        return (struct verdict){.eases = true};
    }
    return compare(ALERT_ABOVE, (double)pool->total / pool->most, alert->threshold);
}

static struct verdict judge_memory(const struct alert *alert, uint64_t resident_bytes)
{
    if (alert->threshold <= 0) {
        return (struct verdict){.eases = true};
    }
    return compare(ALERT_ABOVE, (double)resident_bytes, alert->threshold);
}

/* --- early warnings ------------------------------------------------------------------------------
 */

static void watch(struct watched *watched, uint64_t now_ms, const struct alert_pool_facts *pool)
{
    trend_add(&watched->busy, now_ms, pool->busy, 1);
    if (watched->has_looked) {
        trend_add(&watched->failures, now_ms, (double)(pool->failed - watched->failed),
                  (double)(pool->finished - watched->finished));
        trend_add(&watched->latency, now_ms,
                  (double)(pool->first_byte_us - watched->first_byte_us) / 1e6,
                  (double)(pool->first_bytes - watched->first_bytes));
    }
    watched->has_looked = true;
    watched->finished = pool->finished;
    watched->failed = pool->failed;
    watched->first_bytes = pool->first_bytes;
    watched->first_byte_us = pool->first_byte_us;
}

static bool is_certain(const struct trend_line *line)
{
    return line->is_known && line->slope > 0 && line->certainty >= CERTAIN;
}

static struct verdict judge_exhaustion(const struct alerts *alerts,
                                       const struct alert_pool_facts *pool,
                                       const struct watched *watched)
{
    struct trend_line line = trend_line_of(&watched->busy);
    double horizon = alerts->opt.horizon_ms / 1000.0, most = pool->busy_most;
    struct verdict v = {.is_known = line.is_known && pool->busy_most > 0, .eases = true};
    if (v.is_known && is_certain(&line) && line.recent >= BUSY_LEAST * most) {
        v.value = line.level < most ? (most - line.level) / line.slope : 0;
        v.holds = line.is_steady && v.value <= horizon;
        v.eases = v.value > horizon * HORIZON_EASE;
    }
    return v;
}

static struct verdict judge_failures(const struct alerts *alerts, const struct watched *watched)
{
    struct trend_line line = trend_line_of(&watched->failures);
    double threshold = alerts->opt.thresholds[ALERT_ERROR_RATE];
    /* A part of all, which a line does not know. */
    double then = fmin(line.level + line.slope * alerts->opt.horizon_ms / 1000.0, 1);
    struct verdict v = {.is_known = line.is_known && line.weight >= ALERT_TREND_LEAST,
                        .eases = true,
                        .value = then};
    if (v.is_known && is_certain(&line)) {
        v.holds = line.is_steady && then > threshold;
        v.eases = then <= threshold * (1 - EASE);
    }
    return v;
}

static struct verdict judge_latency(const struct alerts *alerts, const struct watched *watched)
{
    struct trend_line line = trend_line_of(&watched->latency);
    double then = line.level + line.slope * alerts->opt.horizon_ms / 1000.0;
    struct verdict v = {.is_known = line.is_known && line.weight >= ALERT_TREND_LEAST,
                        .eases = true,
                        .value = then};
    if (v.is_known && is_certain(&line)) {
        v.holds = line.is_steady && line.recent > LATENCY_GROWN * line.base
                  && then > LATENCY_GROWTH * line.base && then > line.base + LATENCY_LEAST;
        v.eases = then <= LATENCY_GROWTH * line.base * (1 - EASE);
    }
    return v;
}

static struct verdict judge(struct alerts *alerts, const struct alert *alert,
                            const struct alert_facts *facts)
{
    const struct alert_pool_facts *pool = &facts->pools[alert->pool];
    switch (alert->kind) {
    case ALERT_ERROR_RATE:
        return judge_part(alert, &alerts->requests, facts->finished, facts->failed);
    case ALERT_SESSION_SURVIVAL:
        return judge_part(alert, &alerts->sessions, facts->ended, facts->ended - facts->lost);
    case ALERT_CACHE_HIT:
        return judge_part(alert, &alerts->cache, facts->cache_hits + facts->cache_misses,
                          facts->cache_hits);
    case ALERT_POOL_UTILIZATION: return judge_utilization(alert, pool);
    case ALERT_MEMORY: return judge_memory(alert, facts->resident_bytes);
    case ALERT_EARLY_EXHAUSTION:
        return judge_exhaustion(alerts, pool, &alerts->watched[alert->pool]);
    case ALERT_EARLY_ERROR_RATE: return judge_failures(alerts, &alerts->watched[alert->pool]);
    case ALERT_EARLY_LATENCY: return judge_latency(alerts, &alerts->watched[alert->pool]);
    case ALERT_KINDS: break;
    }
    unreachable();
}

/* --- what is said --------------------------------------------------------------------------------
 */

static void explain(struct alert *alert, const struct alert_pool_facts *pool)
{
    double value = alert->value, threshold = alert->threshold;
    char *to = alert->message;
    const size_t size = sizeof alert->message;
    switch (alert->kind) {
    case ALERT_ERROR_RATE:
        snprintf(to, size, "%.1f %% of requests fail; the limit is %.1f %%", value * 100,
                 threshold * 100);
        return;
    case ALERT_SESSION_SURVIVAL:
        snprintf(to, size, "%.1f %% of sessions end as they should; at least %.1f %% is wanted",
                 value * 100, threshold * 100);
        return;
    case ALERT_CACHE_HIT:
        snprintf(to, size, "%.1f %% of conversations are known here; at least %.1f %% is wanted",
                 value * 100, threshold * 100);
        return;
    case ALERT_POOL_UTILIZATION:
        snprintf(to, size, "%.40s: %u of %u connections; the limit is %.1f %%", pool->name,
                 pool->total, pool->most, threshold * 100);
        return;
    case ALERT_MEMORY:
        snprintf(to, size, "%.1f MiB resident; the limit is %.1f MiB", value / 1048576,
                 threshold / 1048576);
        return;
    case ALERT_EARLY_EXHAUSTION:
        snprintf(to, size, "%.40s: %u of %u %s in use; none is left in %.0f s, as it goes",
                 pool->name, pool->busy, pool->busy_most,
                 pool->is_streams ? "streams" : "connections", value);
        return;
    case ALERT_EARLY_ERROR_RATE:
        snprintf(to, size, "%.40s: failures grow towards %.1f %% of requests", pool->name,
                 value * 100);
        return;
    case ALERT_EARLY_LATENCY:
        snprintf(to, size, "%.40s: the first byte of answers comes later and later, towards %.3f s",
                 pool->name, value);
        return;
    case ALERT_KINDS: break;
    }
    unreachable();
}

/* What is told when it clears is how it stands then; a forecast that has passed says nothing new.
 */
static bool is_measured(const struct alert *alert, const struct verdict *v)
{
    return v->is_known && alert->state == ALERT_FIRING && alert_rule_of(alert->kind) != ALERT_EARLY;
}

/* --- states --------------------------------------------------------------------------------------
 */

static void enter(struct alert *alert, enum alert_state state, uint64_t now_ms)
{
    alert->state = state;
    alert->since_ms = now_ms;
    alert->turn_ms = 0;
}

/* True: it began to fire, or was cleared. */
static bool turn(struct alert *alert, const struct verdict *v, uint64_t now_ms, uint32_t for_ms)
{
    if (alert->state == ALERT_QUIET && v->holds) {
        enter(alert, ALERT_PENDING, now_ms);
    } else if (alert->state == ALERT_PENDING && !v->holds) {
        enter(alert, ALERT_QUIET, now_ms);
    }
    if (alert->state == ALERT_PENDING && now_ms - alert->since_ms >= for_ms) {
        enter(alert, ALERT_FIRING, now_ms);
        alert->fired++;
        return true;
    }
    if (alert->state != ALERT_FIRING) {
        return false;
    }
    if (!v->eases) {
        alert->turn_ms = 0;
        return false;
    }
    if (alert->turn_ms == 0) {
        alert->turn_ms = now_ms;
    }
    if (now_ms - alert->turn_ms < for_ms) {
        return false;
    }
    enter(alert, ALERT_QUIET, now_ms);
    return true;
}

void alerts_look(struct alerts *alerts, const struct alert_facts *facts, alert_fn *told, void *arg)
{
    uint64_t now_ms = facts->now_ms;
    window_note(&alerts->requests, now_ms, facts->finished, facts->failed);
    window_note(&alerts->cache, now_ms, facts->cache_hits + facts->cache_misses, facts->cache_hits);
    window_note(&alerts->sessions, now_ms, facts->ended, facts->ended - facts->lost);
    alerts->survival = 1;
    window_part(&alerts->sessions, facts->ended, facts->ended - facts->lost, 1, &alerts->survival);
    for (uint32_t i = 0; alerts->watched != NULL && i < alerts->opt.upstreams; i++) {
        watch(&alerts->watched[i], now_ms, &facts->pools[i]);
    }
    for (uint32_t i = 0; i < alerts->count; i++) {
        struct alert *alert = &alerts->at[i];
        struct verdict v = judge(alerts, alert, facts);
        alert->is_known = v.is_known;
        alert->value = v.value;
        if (v.holds || is_measured(alert, &v)) {
            explain(alert, &facts->pools[alert->pool]);
        }
        if (turn(alert, &v, now_ms, alerts->opt.for_ms)) {
            told(arg, alert);
        }
        if (alert->state == ALERT_QUIET) {
            alert->message[0] = '\0';
        }
    }
}
