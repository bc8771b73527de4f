/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/capacity.h"

#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/server.h"
#include "io/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What only grows, of one pool over all workers. */
struct sums {
    uint64_t acquires, released, hold_ms, waits, wait_ms;
};

struct sample {
    uint64_t at_ms; /* 0: none */
    struct sums *pools;
};

struct capacity {
    struct server *server;
    struct loop_timer timer;
    struct census *census; /* under way, or NULL */
    uint32_t pools;        /* of upstreams */
    uint32_t next;         /* sample to be overwritten: the oldest */
    struct sample samples[CAPACITY_SAMPLES];
    char (*names)[CONFIG_LABEL_MAX + 1]; /* of these pools */
    struct sums sums[];                  /* theirs */
};

/* --- figures -------------------------------------------------------------------------------------
 */

double capacity_erlang_c(double load, uint32_t servers)
{
    double blocked = 1; /* Erlang B, of no server, then of one more each time */
    if (load >= servers)
        return 1;
    for (uint32_t k = 1; k <= servers; k++) {
        blocked = load * blocked / (k + load * blocked);
        if (blocked < 1e-15)
            return 0;
    }
    return blocked / (1 - load / servers * (1 - blocked));
}

uint32_t capacity_servers_for(double load)
{
    double blocked = 1;
    for (uint32_t k = 1; k < CAPACITY_MOST; k++) {
        blocked = load * blocked / (k + load * blocked);
        if (load < k && blocked / (1 - load / k * (1 - blocked)) <= CAPACITY_WAIT_PART)
            return k;
    }
    return CAPACITY_MOST;
}

/* --- samples -------------------------------------------------------------------------------------
 */

static struct sums sums_of(const struct census *census, uint32_t pool)
{
    struct sums sums = {0};
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        if (pool >= census->sheets[w].pools_count)
            continue;
        const weir_stats *stats = &census->sheets[w].pools[pool].stats;
        sums.acquires += stats->acquires;
        sums.released += stats->released;
        sums.hold_ms += stats->hold_ms;
        sums.waits += stats->waits;
        sums.wait_ms += stats->wait_ms;
    }
    return sums;
}

/* Without one worker's counters all of them would seem to have gone back. */
static bool is_whole(const struct census *census)
{
    for (uint32_t w = 0; w < census->sheets_count; w++)
        if (!census->sheets[w].answered)
            return false;
    return true;
}

static void on_census(void *arg, struct census *census)
{
    struct capacity *capacity = arg;
    capacity->census = NULL;
    if (!is_whole(census)) {
        census_free(census);
        return;
    }
    struct sample *sample = &capacity->samples[capacity->next];
    capacity->next = (capacity->next + 1) % CAPACITY_SAMPLES;
    sample->at_ms = clock_now_ms();
    for (uint32_t i = 0; i < capacity->pools; i++)
        sample->pools[i] = sums_of(census, i);
    census_free(census);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct capacity *capacity = container_of(timer, struct capacity, timer);
    /* If it cannot be taken a sample is missing, and the window is longer. */
    if (capacity->census == NULL)
        census_take(capacity->server, CENSUS_POOLS, NULL, on_census, capacity, &capacity->census);
    loop_timer_set(capacity->server->opt.loop, timer, now_ms + CAPACITY_EVERY_MS);
}

struct capacity *capacity_new(struct server *server)
{
    uint32_t pools = server->config->upstreams.count;
    struct capacity *capacity =
        calloc(1, sizeof(*capacity) + (size_t)pools * CAPACITY_SAMPLES * sizeof(struct sums));
    if (capacity == NULL)
        return NULL;
    capacity->server = server;
    capacity->pools = pools;
    capacity->timer.fire = on_timer;
    capacity->names = calloc(pools + 1, sizeof(*capacity->names));
    if (capacity->names == NULL) {
        free(capacity);
        return NULL;
    }
    for (uint32_t i = 0; i < pools; i++)
        slice_copy(capacity->names[i], sizeof(*capacity->names),
                   slice_of(server->config->upstreams.at[i].name));
    for (uint32_t i = 0; i < CAPACITY_SAMPLES; i++)
        capacity->samples[i].pools = &capacity->sums[(size_t)i * pools];
    loop_timer_set(server->opt.loop, &capacity->timer,
                   loop_now_ms(server->opt.loop) + CAPACITY_EVERY_MS);
    return capacity;
}

void capacity_free(struct capacity *take_capacity)
{
    if (take_capacity == NULL)
        return;
    loop_timer_stop(take_capacity->server->opt.loop, &take_capacity->timer);
    if (take_capacity->census != NULL)
        census_abandon(take_capacity->census);
    free(take_capacity->names);
    free(take_capacity);
}

static uint32_t pool_named(const struct capacity *capacity, const char *name)
{
    uint32_t i = 0;
    while (i < capacity->pools && strcmp(capacity->names[i], name) != 0)
        i++;
    return i;
}

bool capacity_renew(struct server *server, struct capacity **capacity)
{
    struct capacity *elder = *capacity, *heir = capacity_new(server);
    if (heir == NULL)
        return false;
    heir->next = elder->next;
    for (uint32_t s = 0; s < CAPACITY_SAMPLES; s++) {
        heir->samples[s].at_ms = elder->samples[s].at_ms;
        for (uint32_t i = 0; i < heir->pools; i++) {
            uint32_t of = pool_named(elder, heir->names[i]);
            if (of < elder->pools)
                heir->samples[s].pools[i] = elder->samples[s].pools[of];
        }
    }
    capacity_free(elder);
    *capacity = heir;
    return true;
}

/* The oldest there is; at first it is the beginning, when there was nothing. */
static const struct sample *oldest_of(const struct capacity *capacity)
{
    for (uint32_t i = 0; i < CAPACITY_SAMPLES; i++) {
        const struct sample *sample = &capacity->samples[(capacity->next + i) % CAPACITY_SAMPLES];
        bool is_full = capacity->samples[capacity->next].at_ms != 0;
        if (is_full && sample->at_ms != 0)
            return sample;
    }
    return NULL;
}

/* --- the page ------------------------------------------------------------------------------------
 */

struct figures {
    double window_s, arrivals, hold_s, load, wait_s;
    uint64_t leases, total, waiting;
    double each; /* leases that a busy connection carries */
    uint32_t most;
};

static double part_of(double sum, double count)
{
    return count > 0 ? sum / count : 0;
}

/* 0: a worker that was heard then is not heard now. */
static double grown(uint64_t is, uint64_t was)
{
    return is > was ? (double)(is - was) : 0;
}

static struct figures figures_of(const struct server *server, const struct census *census,
                                 uint32_t pool)
{
    const struct sample *then = oldest_of(server->capacity);
    struct sums was = then != NULL && pool < server->capacity->pools ? then->pools[pool]
                                                                     : (struct sums){0};
    struct sums is = sums_of(census, pool);
    uint64_t since_ms = then != NULL ? then->at_ms : server->started_ms, busy = 0;
    struct figures f = {.most = server->config->upstreams.at[pool].pool.max_total};
    f.window_s = (double)(clock_now_ms() - since_ms + 1) / 1000;
    f.arrivals = grown(is.acquires, was.acquires) / f.window_s;
    f.hold_s = part_of(grown(is.hold_ms, was.hold_ms), grown(is.released, was.released)) / 1000;
    f.wait_s = part_of(grown(is.wait_ms, was.wait_ms), grown(is.waits, was.waits)) / 1000;
    f.load = f.arrivals * f.hold_s;
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        if (pool >= census->sheets[w].pools_count)
            continue;
        const weir_stats *stats = &census->sheets[w].pools[pool].stats;
        f.leases += stats->leases;
        f.total += stats->total;
        f.waiting += stats->waiting;
        busy += stats->shared + stats->active;
    }
    f.each = busy > 0 && f.leases > busy ? (double)f.leases / (double)busy : 1;
    return f;
}

static void say(struct json *row, const char *name, double value)
{
    json_fixed(row, name, (uint64_t)llround(value * 1e6), 6);
}

static void say_wait(struct json *row, const struct figures *f)
{
    double servers = f->most == WEIR_UNLIMITED ? CAPACITY_MOST : f->most * f->each;
    uint32_t count = servers < CAPACITY_MOST ? (uint32_t)servers : CAPACITY_MOST;
    if (f->load < count)
        say(row, "predicted_wait_seconds",
            capacity_erlang_c(f->load, count) * f->hold_s / (count - f->load));
    else
        json_null(row, "predicted_wait_seconds");
}

static void say_advice(struct json *row, const struct figures *f)
{
    uint32_t advised = (uint32_t)ceil(capacity_servers_for(f->load) / f->each);
    if (f->arrivals <= 0 || f->hold_s <= 0) {
        json_null(row, "advised_max_connections");
        json_null(row, "advised_min_idle");
        json_text(row, "advice", "there is nothing to judge by: nobody came in the last minute");
        return;
    }
    json_u64(row, "advised_max_connections", advised);
    json_u64(row, "advised_min_idle", (uint64_t)floor(f->load / f->each));
    json_text(row, "advice",
              f->most < advised
                  ? "max_connections is too small: of what comes, more than one in a hundred waits"
                  : "max_connections is enough for what comes");
}

uint16_t admin_capacity(const struct server *server, const struct census *census, bool openmetrics,
                        struct bytes *out)
{
    struct rows rows;
    (void)openmetrics;
    rows_open(&rows, "capacity", out);
    for (uint32_t i = 0; i < server->config->upstreams.count; i++) {
        const struct figures f = figures_of(server, census, i);
        bool is_bounded = f.most != WEIR_UNLIMITED;
        struct json row = row_begin(&rows);
        json_text(&row, "pool", server->config->upstreams.at[i].name);
        say(&row, "window_seconds", f.window_s);
        say(&row, "arrivals_per_second", f.arrivals);
        say(&row, "hold_seconds", f.hold_s);
        say(&row, "offered_load", f.load);
        json_u64(&row, "leases", f.leases);
        json_u64(&row, "waiting", f.waiting);
        json_u64(&row, "connections", f.total);
        if (is_bounded)
            json_u64(&row, "max_connections", f.most);
        else
            json_null(&row, "max_connections");
        say(&row, "utilization", is_bounded ? part_of((double)f.total, f.most) : 0);
        say(&row, "leases_per_connection", f.each);
        say(&row, "measured_wait_seconds", f.wait_s);
        say_wait(&row, &f);
        say_advice(&row, &f);
        row_end(&rows, &row);
    }
    return rows_close(&rows);
}
