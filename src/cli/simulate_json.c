/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/simulate.h"
#include "proto/json.h"

#include <math.h>

#define JSON_BYTES_MAX ((size_t)128 * 1024)

static void put_fixed(struct json *json, const char *key, double value)
{
    json_fixed(json, key, (uint64_t)llround(value * 1000), 3);
}

/* The fields of a result, into the object that is open. */
static void put_result(struct json *json, const struct rehearsal *r)
{
    json_u64(json, "arrivals", r->arrivals);
    json_u64(json, "served", r->granted);
    json_u64(json, "reused", r->reused);
    json_u64(json, "dials", r->dialled);
    json_u64(json, "broken", r->broken);
    json_u64(json, "leaked", r->leaked);
    json_u64(json, "still_waiting", r->still_waiting);
    json_open(json, "refused", '{');
    for (int i = 0; i < WEIR_ERRS; i++)
        if (r->refused_by[i] > 0)
            json_u64(json, weir_err_word((weir_err)i), r->refused_by[i]);
    json_close(json, '}');
    json_open(json, "wait_ms", '{');
    json_u64(json, "p50", r->wait_p50_ms);
    json_u64(json, "p90", r->wait_p90_ms);
    json_u64(json, "p99", r->wait_p99_ms);
    json_u64(json, "most", r->wait_most_ms);
    put_fixed(json, "mean", r->wait_mean_ms);
    json_close(json, '}');
    json_u64(json, "waiting_most", r->waiting_most);
    json_u64(json, "connections_most", r->conns_most);
    put_fixed(json, "connections_mean", r->conns_mean);
    json_u64(json, "in_use_most", r->busy_most);
    put_fixed(json, "in_use_mean", r->busy_mean);
}

static void put_points(struct json *json, const struct rehearsal *r)
{
    json_open(json, "points", '[');
    for (uint32_t i = 0; i < REHEARSAL_POINTS; i++) {
        const struct rehearsal_point *point = &r->points[i];
        json_open(json, NULL, '{');
        put_fixed(json, "second",
                  (double)r->begin_s + (double)r->seconds * i / (double)REHEARSAL_POINTS);
        json_u64(json, "arrivals", point->arrivals);
        json_u64(json, "refused", point->refused);
        json_u64(json, "waiting", point->waiting);
        json_u64(json, "connections", point->conns);
        json_u64(json, "in_use", point->busy);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void put_advice(struct json *json, const struct simulation *s)
{
    const struct advice *advice = &s->advice;
    json_open(json, "advice", '{');
    json_u64(json, "target_ms", s->target_ms);
    json_u64(json, "from_second", advice->from_s);
    json_u64(json, "to_second", advice->to_s);
    json_bool(json, "found", advice->found);
    if (advice->found) {
        json_u64(json, "max_per_key", advice->max_per_key);
        json_u64(json, "max_total", advice->max_total);
        json_u64(json, "size_min", advice->size_min);
        json_u64(json, "waiting_max", advice->waiting_max);
    }
    json_open(json, "tried", '[');
    for (uint32_t i = 0; i < advice->runs_count; i++) {
        json_open(json, NULL, '{');
        json_u64(json, "max_per_key", advice->runs[i].max_per_key);
        json_bool(json, "enough", advice->runs[i].is_enough);
        put_result(json, advice->runs[i].result);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

bool simulate_print_json(FILE *out, const struct simulation *simulation)
{
    const struct alloc *alloc = simulation->plan.alloc;
    char *buffer = alloc_new(alloc, JSON_BYTES_MAX);
    if (buffer == NULL)
        return false;
    struct json json = json_into(buffer, JSON_BYTES_MAX);
    json_open(&json, NULL, '{');
    json_text(&json, "trace", simulation->title);
    json_text(&json, "profile", simulation->profile);
    json_u64(&json, "seconds", simulation->result.seconds);
    json_u64(&json, "seed", simulation->plan.seed);
    put_result(&json, &simulation->result);
    put_points(&json, &simulation->result);
    if (simulation->has_advice)
        put_advice(&json, simulation);
    json_close(&json, '}');
    bool fine = !json.full && fwrite(buffer, 1, json.len, out) == json.len && fputc('\n', out) > 0;
    alloc_free(alloc, buffer);
    return fine;
}
