/* SPDX-License-Identifier: Apache-2.0
 *
 * top_state.c - pages of the admin interface into figures, and two looks into rates.
 *
 * Requests and their latencies are read from /metrics, where they only grow; the rest from JSON.
 */
#include "cli/terminal.h"
#include "cli/top.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- JSON ----------------------------------------------------------------------------------------
 */

static void text_of(struct slice row, const char *name, char *ret, size_t size)
{
    char cell[ROW_CELL_MAX];
    row_cell(row, name, cell);
    snprintf(ret, size, "%.*s", (int)size - 1, cell);
    terminal_tame(ret); /* a letter may have been cut */
}

static double number_of(struct slice row, const char *name)
{
    char cell[ROW_CELL_MAX];
    row_cell(row, name, cell);
    return strtod(cell, NULL);
}

static bool rows_of(struct slice page, const char *name, struct slice *ret_rows)
{
    return json_check(page) && json_member(json_trim(page), slice_of(name), ret_rows);
}

bool top_read_process(struct top_state *state, struct slice page)
{
    if (!json_check(page) || !json_is_object(json_trim(page)))
        return false;
    page = json_trim(page);
    text_of(page, "node", state->node, sizeof(state->node));
    text_of(page, "version", state->version, sizeof(state->version));
    text_of(page, "state", state->word, sizeof(state->word));
    uint64_t up_ms = 1000 * (uint64_t)number_of(page, "uptime_seconds");
    if (up_ms >= 3600000)
        up_ms -= up_ms % 60000;
    text_print_duration(state->uptime, sizeof(state->uptime), up_ms);
    state->pid = row_u64(page, "pid");
    state->resident_bytes = row_u64(page, "resident_bytes");
    state->cpu_seconds = number_of(page, "cpu_seconds");
    return true;
}

static void read_pool(struct top_pool *pool, struct slice row)
{
    char kind[16], most[ROW_CELL_MAX];
    text_of(row, "name", pool->name, sizeof(pool->name));
    text_of(row, "kind", kind, sizeof(kind));
    text_of(row, "health", pool->health, sizeof(pool->health));
    text_of(row, "why", pool->why, sizeof(pool->why));
    row_cell(row, "max_connections", most);
    pool->is_listener = strcmp(kind, "listener") == 0;
    pool->is_limited = most[0] != '-';
    pool->most = row_u64(row, "max_connections");
    pool->total = row_u64(row, "total");
    pool->idle = row_u64(row, "idle");
    pool->active = row_u64(row, "active") + row_u64(row, "shared");
    pool->waiting = row_u64(row, "waiting");
    pool->oldest_wait_ms = row_u64(row, "oldest_wait_ms");
    pool->count.grants = row_u64(row, "grants");
    pool->count.reused = row_u64(row, "reused");
}

bool top_read_pools(struct top_state *state, struct slice page)
{
    struct slice rows, name, row;
    struct json_at at = {0};
    struct top_pool *all = &state->all;
    if (!rows_of(page, "pools", &rows))
        return false;
    while (json_next(rows, &at, &name, &row)) {
        if (state->pools_count == TOP_POOLS_MAX) {
            state->pools_more++;
            continue;
        }
        struct top_pool *pool = &state->pools[state->pools_count++];
        read_pool(pool, row);
        if (pool->is_listener)
            continue;
        all->total += pool->total;
        all->active += pool->active;
        all->waiting += pool->waiting;
        all->most += pool->most;
        all->is_limited |= pool->is_limited;
        all->count.grants += pool->count.grants;
        all->count.reused += pool->count.reused;
        if (pool->oldest_wait_ms > all->oldest_wait_ms)
            all->oldest_wait_ms = pool->oldest_wait_ms;
    }
    return true;
}

bool top_read_endpoints(struct top_state *state, struct slice page)
{
    struct slice rows, name, row, healthy;
    struct json_at at = {0};
    if (!rows_of(page, "endpoints", &rows))
        return false;
    while (state->endpoints_count < TOP_ENDPOINTS_MAX && json_next(rows, &at, &name, &row)) {
        struct top_endpoint *endpoint = &state->endpoints[state->endpoints_count++];
        text_of(row, "upstream", endpoint->upstream, sizeof(endpoint->upstream));
        text_of(row, "endpoint", endpoint->name, sizeof(endpoint->name));
        text_of(row, "state", endpoint->state, sizeof(endpoint->state));
        if (json_member(row, SLICE("healthy"), &healthy))
            json_get_bool(healthy, &endpoint->is_healthy);
        endpoint->busy = row_u64(row, "busy");
        endpoint->answered = row_u64(row, "answered");
        endpoint->failed = row_u64(row, "failed");
        endpoint->per_second = endpoint->failed_per_second = -1;
    }
    return true;
}

bool top_read_events(struct top_state *state, struct slice page)
{
    struct slice rows, name, row;
    struct json_at at = {0};
    if (!rows_of(page, "events", &rows))
        return false;
    while (json_next(rows, &at, &name, &row)) {
        char time[ROW_CELL_MAX], event[ROW_CELL_MAX], pool[ROW_CELL_MAX], key[ROW_CELL_MAX];
        char what[ROW_CELL_MAX], *about[] = {what, pool, key};
        row_cell(row, "time", time);
        row_cell(row, "event", event);
        row_cell(row, "what", what);
        row_cell(row, "pool", pool);
        row_cell(row, "key", key);
        for (size_t i = 0; i < sizeof(about) / sizeof(about[0]); i++)
            if (strcmp(about[i], "-") == 0)
                about[i][0] = '\0';
        if (state->events_count == TOP_EVENTS_MAX) {
            memmove(state->events[0], state->events[1],
                    sizeof(state->events) - sizeof(state->events[0]));
            state->events_count--;
        }
        const char *clock = strchr(time, 'T');
        clock = clock != NULL ? clock + 1 : time;
        snprintf(state->events[state->events_count++], ROW_CELL_MAX,
                 "%.8s %.40s%s%.40s%s%.60s%s%.100s", clock, event, what[0] != '\0' ? " " : "", what,
                 pool[0] != '\0' ? " " : "", pool, key[0] != '\0' ? " " : "", key);
    }
    return true;
}

/* --- metrics -------------------------------------------------------------------------------------
 */

#define REQUESTS "weir_http_requests_total{"
#define BUCKET   "weir_http_request_seconds_bucket{"

/* The label's value as it was written: names of ours hold nothing that is escaped. */
static struct slice label_of(struct slice labels, const char *name)
{
    struct slice part;
    while (slice_split(&labels, ',', &part)) {
        uint32_t equals = slice_find(part, '=');
        if (slice_is(slice_sub(part, 0, equals), name))
            return slice_sub(part, equals + 2, part.len > 0 ? part.len - 1 : 0);
    }
    return (struct slice){"", 0};
}

static double slice_number(struct slice text)
{
    char room[40];
    slice_copy(room, sizeof(room), text);
    return strtod(room, NULL);
}

static struct top_count *pool_count(struct top_state *state, struct slice name, bool is_listener)
{
    for (uint32_t i = 0; i < state->pools_count; i++) {
        struct top_pool *pool = &state->pools[i];
        struct slice word = slice_of(pool->name);
        if (pool->is_listener == is_listener && slice_ends(word, name)
            && (is_listener ? word.len == name.len + strlen("listener:") : word.len == name.len))
            return &pool->count;
    }
    return NULL;
}

static uint32_t edge_of(struct top_state *state, struct slice text)
{
    double edge = slice_number(text);
    for (uint32_t i = 0; i < state->edges_count; i++)
        if (state->edges[i] == edge)
            return i;
    if (state->edges_count == TOP_EDGES_MAX)
        return TOP_EDGES_MAX;
    state->edges[state->edges_count] = edge;
    return state->edges_count++;
}

static void add_sample(struct top_state *state, struct slice labels, uint64_t value, bool is_bucket)
{
    struct top_count *counts[] = {&state->all.count,
                                  pool_count(state, label_of(labels, "upstream"), false),
                                  pool_count(state, label_of(labels, "listener"), true)};
    struct slice code = label_of(labels, "code");
    bool is_error = code.len > 0 && (code.at[0] == '5' || slice_is(code, "cut"));
    uint32_t edge = is_bucket ? edge_of(state, label_of(labels, "le")) : 0;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (counts[i] == NULL || edge == TOP_EDGES_MAX)
            continue;
        if (is_bucket)
            counts[i]->slower[edge] += value;
        else
            counts[i]->requests += value;
        if (is_error)
            counts[i]->errors += value;
    }
}

bool top_read_metrics(struct top_state *state, struct slice page)
{
    struct slice line;
    bool is_any = false;
    while (slice_split(&page, '\n', &line)) {
        is_any |= slice_starts(line, SLICE("weir_"));
        bool is_bucket = slice_starts(line, SLICE(BUCKET));
        if (!is_bucket && !slice_starts(line, SLICE(REQUESTS)))
            continue;
        uint32_t open = slice_find(line, '{'), close = slice_find(line, '}');
        uint64_t value = (uint64_t)slice_number(slice_sub(line, close + 2, line.len));
        add_sample(state, slice_sub(line, open + 1, close), value, is_bucket);
    }
    return is_any;
}

/* --- rates ---------------------------------------------------------------------------------------
 */

double top_seconds_at(const struct top_state *state, const struct top_count *from,
                      const struct top_count *to, double share)
{
    uint32_t last = state->edges_count;
    double low = 0, below = 0;
    if (last == 0)
        return -1;
    double all = (double)(to->slower[last - 1] - from->slower[last - 1]);
    if (all <= 0)
        return -1;
    for (uint32_t i = 0; i < last; i++) {
        double seen = (double)(to->slower[i] - from->slower[i]);
        if (seen >= share * all) {
            double high = state->edges[i] < 1e9 ? state->edges[i] : low;
            return seen > below ? low + (high - low) * (share * all - below) / (seen - below) : low;
        }
        low = state->edges[i];
        below = seen;
    }
    return low;
}

static void rate_of(const struct top_state *state, const struct top_count *from,
                    const struct top_count *to, double seconds, struct top_rate *ret_rate)
{
    *ret_rate = (struct top_rate){.is_known = false, .p50 = -1, .p95 = -1, .p99 = -1};
    if (seconds <= 0 || to->requests < from->requests || to->grants < from->grants)
        return;
    double requests = (double)(to->requests - from->requests);
    double grants = (double)(to->grants - from->grants);
    ret_rate->is_known = true;
    ret_rate->per_second = requests / seconds;
    ret_rate->error_share = requests > 0 ? (double)(to->errors - from->errors) / requests : 0;
    ret_rate->reuse_share = grants > 0 ? (double)(to->reused - from->reused) / grants : 0;
    ret_rate->p50 = top_seconds_at(state, from, to, 0.50);
    ret_rate->p95 = top_seconds_at(state, from, to, 0.95);
    ret_rate->p99 = top_seconds_at(state, from, to, 0.99);
}

static const struct top_pool *same_pool(const struct top_state *state, const struct top_pool *as,
                                        uint32_t guess)
{
    if (guess < state->pools_count && strcmp(state->pools[guess].name, as->name) == 0)
        return &state->pools[guess];
    for (uint32_t i = 0; i < state->pools_count; i++)
        if (strcmp(state->pools[i].name, as->name) == 0)
            return &state->pools[i];
    return NULL;
}

static void rate_endpoint(struct top_endpoint *endpoint, const struct top_endpoint *was,
                          double seconds)
{
    if (strcmp(endpoint->name, was->name) != 0 || strcmp(endpoint->upstream, was->upstream) != 0
        || endpoint->answered < was->answered || endpoint->failed < was->failed || seconds <= 0)
        return;
    endpoint->per_second = (double)(endpoint->answered - was->answered) / seconds;
    endpoint->failed_per_second = (double)(endpoint->failed - was->failed) / seconds;
}

void top_rate(struct top_state *state, const struct top_state *before)
{
    double seconds = 0;
    if (before->pid == state->pid && state->edges_count == before->edges_count)
        seconds = (double)(state->at_ms - before->at_ms) / 1000;
    rate_of(state, &before->all.count, &state->all.count, seconds, &state->all.rate);
    state->cpu_share = -1;
    if (seconds > 0 && state->cpu_seconds >= before->cpu_seconds)
        state->cpu_share = (state->cpu_seconds - before->cpu_seconds) / seconds;
    for (uint32_t i = 0; i < state->pools_count; i++) {
        struct top_pool *pool = &state->pools[i];
        const struct top_pool *was = same_pool(before, pool, i);
        rate_of(state, was != NULL ? &was->count : &pool->count, &pool->count,
                was != NULL ? seconds : 0, &pool->rate);
    }
    for (uint32_t i = 0; i < state->endpoints_count && i < before->endpoints_count; i++)
        rate_endpoint(&state->endpoints[i], &before->endpoints[i], seconds);
}
