/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_print.c - what became of it: as text with a plot, and as JSON.
 */
#include "base/text.h"
#include "cli/bench.h"
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

#define PLOT_ROWS_MAX 40U
#define PLOT_WIDTH    44
#define JSON_ROOM     (1U << 20)

static const double shares[] = {0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999};
static const char *const share_words[] = {"p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"};
#define SHARES (sizeof(shares) / sizeof(shares[0]))

const char *bench_time(double us, char ret[16])
{
    if (us < 1000)
        snprintf(ret, 16, "%.0fus", us);
    else if (us < 10000)
        snprintf(ret, 16, "%.2fms", us / 1e3);
    else if (us < 1e6)
        snprintf(ret, 16, "%.0fms", us / 1e3);
    else
        snprintf(ret, 16, "%.2fs", us / 1e6);
    return ret;
}

static int compare(const void *a, const void *b)
{
    double one = *(const double *)a, two = *(const double *)b;
    return (one > two) - (one < two);
}

double bench_ratio(const struct bench_plan *plan, const struct bench_result *result, double share,
                   double *ret_least, double *ret_most)
{
    double ratios[BENCH_ROUNDS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < plan->rounds; i++) {
        uint64_t one = spread_at(&result->rounds[0][i].us, share);
        uint64_t two = spread_at(&result->rounds[1][i].us, share);
        if (one > 0)
            ratios[count++] = (double)two / (double)one;
    }
    *ret_least = *ret_most = 0;
    if (count == 0)
        return 0;
    qsort(ratios, count, sizeof(ratios[0]), compare);
    *ret_least = ratios[0];
    *ret_most = ratios[count - 1];
    return count % 2 == 1 ? ratios[count / 2] : (ratios[count / 2 - 1] + ratios[count / 2]) / 2;
}

/* --- text ----------------------------------------------------------------------------------------
 */

/* The end of the row behind one that ends at `us`: 1, 2, 5, 10, 20 … */
static uint64_t next_end(uint64_t us)
{
    uint64_t power = 1;
    while (us / power >= 10)
        power *= 10;
    return us / power < 2 ? 2 * power : us / power < 5 ? 5 * power : 10 * power;
}

static void print_plot(FILE *out, const struct spread *us)
{
    uint64_t ends[PLOT_ROWS_MAX], counts[PLOT_ROWS_MAX], most = 1, below = 0;
    unsigned rows = 0;
    char to[16];
    for (uint64_t end = 1; rows < PLOT_ROWS_MAX; end = next_end(end)) {
        uint64_t seen = end >= us->max ? us->count : spread_count_to(us, end);
        if (seen == below && rows == 0 && seen < us->count)
            continue;
        ends[rows] = end;
        counts[rows] = seen - below;
        most = counts[rows] > most ? counts[rows] : most;
        below = seen;
        rows++;
        if (seen == us->count)
            break;
    }
    for (unsigned i = 0; i < rows; i++) {
        int bar = (int)((counts[i] * PLOT_WIDTH + most - 1) / (most > 0 ? most : 1));
        fprintf(out, "  to %-7s %-*.*s %6.2f%%\n", bench_time((double)ends[i], to), PLOT_WIDTH, bar,
                "############################################",
                us->count > 0 ? 100.0 * (double)counts[i] / (double)us->count : 0);
    }
}

static void print_tally(FILE *out, const struct bench_plan *plan, const struct bench_tally *tally)
{
    const struct spread *us = &tally->us;
    char text[16];
    fprintf(out, "  answers   %llu, %.1f a second", (unsigned long long)tally->answered,
            tally->seconds > 0 ? (double)tally->answered / tally->seconds : 0);
    for (unsigned i = 1; i < 6; i++)
        if (tally->status[i] > 0 && !plan->is_websocket)
            fprintf(out, "; %uxx %llu", i, (unsigned long long)tally->status[i]);
    fprintf(out, "\n  errors    %llu", (unsigned long long)tally->errors);
    for (unsigned i = 0; i < BENCH_WORST_MAX && tally->worst[i].why != NULL; i++)
        fprintf(out, "; %s %llu", tally->worst[i].why, (unsigned long long)tally->worst[i].count);
    if (tally->unanswered > 0)
        fprintf(out, "; %llu not answered at the end", (unsigned long long)tally->unanswered);
    if (tally->unsent > 0)
        fprintf(out, "; %llu could not be sent", (unsigned long long)tally->unsent);
    fprintf(out, "\n  latency  ");
    for (unsigned i = 0; i < SHARES; i++)
        fprintf(out, " %s %s ", share_words[i], bench_time((double)spread_at(us, shares[i]), text));
    fprintf(out, " max %s\n\n", bench_time((double)us->max, text));
    print_plot(out, us);
}

static void print_plan(FILE *out, const struct bench_plan *plan)
{
    char time[32], warm[32];
    text_print_duration(time, sizeof(time), plan->for_ms);
    text_print_duration(warm, sizeof(warm), plan->warm_ms);
    fprintf(out, "%s, ",
            plan->is_websocket ? (plan->http2 ? "WebSocket over HTTP/2" : "WebSocket")
            : plan->http2      ? "HTTP/2"
                               : "HTTP/1.1");
    if (plan->rate > 0)
        fprintf(out, "open loop: %g a second, latency from when each was due", plan->rate);
    else
        fprintf(out, "closed loop: %u callers", plan->callers);
    fprintf(out, "; %s%s after %s\n", plan->urls_count > 1 ? "rounds of " : "", time, warm);
}

void bench_print(FILE *out, const struct bench_plan *plan, const struct bench_result *result)
{
    print_plan(out, plan);
    for (unsigned i = 0; i < plan->urls_count; i++) {
        fprintf(out, "\n%s\n\n", plan->urls[i]);
        print_tally(out, plan, &result->all[i]);
    }
    if (plan->urls_count > 1) {
        fprintf(out, "\nthe second took, of the first, in %u rounds\n\n", plan->rounds);
        for (unsigned i = 0; i < 5; i++) {
            double least, most, ratio = bench_ratio(plan, result, shares[i], &least, &most);
            fprintf(out, "  %-6s %.2f times   (%.2f to %.2f)\n", share_words[i], ratio, least,
                    most);
        }
    }
    if (plan->rate <= 0)
        fprintf(out,
                "\nA closed loop asks less while a server stalls, and so hides what a stall costs; "
                "--rate N does not.\n");
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static void put_latency(struct json *json, const struct spread *us)
{
    json_open(json, "latency_us", '{');
    for (unsigned i = 0; i < SHARES; i++)
        json_u64(json, share_words[i], spread_at(us, shares[i]));
    json_u64(json, "max", us->max);
    json_u64(json, "mean", us->count > 0 ? us->sum / us->count : 0);
    json_close(json, '}');
}

/* [[at most so many µs, so many], …], where there are any. */
static void put_plot(struct json *json, const struct spread *us)
{
    uint64_t below = 0;
    json_open(json, "histogram_us", '[');
    for (uint64_t end = 1; below < us->count; end = next_end(end)) {
        uint64_t seen = end >= us->max ? us->count : spread_count_to(us, end);
        if (seen > below) {
            json_open(json, NULL, '[');
            json_u64(json, NULL, end);
            json_u64(json, NULL, seen - below);
            json_close(json, ']');
        }
        below = seen;
    }
    json_close(json, ']');
}

static void put_tally(struct json *json, const struct bench_tally *tally)
{
    static const char *const words[] = {NULL, "1xx", "2xx", "3xx", "4xx", "5xx"};
    json_u64(json, "sent", tally->sent);
    json_u64(json, "answered", tally->answered);
    json_fixed(
        json, "per_second",
        tally->seconds > 0 ? (uint64_t)(1000.0 * (double)tally->answered / tally->seconds) : 0, 3);
    json_open(json, "status", '{');
    for (unsigned i = 1; i < 6; i++)
        if (tally->status[i] > 0)
            json_u64(json, words[i], tally->status[i]);
    json_close(json, '}');
    json_u64(json, "unanswered", tally->unanswered);
    json_u64(json, "unsent", tally->unsent);
    json_u64(json, "errors", tally->errors);
    json_open(json, "errors_by", '{');
    for (unsigned i = 0; i < BENCH_WORST_MAX && tally->worst[i].why != NULL; i++)
        json_u64(json, tally->worst[i].why, tally->worst[i].count);
    json_close(json, '}');
    put_latency(json, &tally->us);
}

static void put_target(struct json *json, const struct bench_plan *plan,
                       const struct bench_result *result, unsigned target)
{
    json_open(json, NULL, '{');
    json_text(json, "url", plan->urls[target]);
    put_tally(json, &result->all[target]);
    put_plot(json, &result->all[target].us);
    json_open(json, "rounds", '[');
    for (unsigned i = 0; i < plan->rounds; i++) {
        json_open(json, NULL, '{');
        put_tally(json, &result->rounds[target][i]);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

static void put_ratios(struct json *json, const struct bench_plan *plan,
                       const struct bench_result *result)
{
    json_open(json, "ratios", '{');
    for (unsigned i = 0; i < 5; i++) {
        double least, most, ratio = bench_ratio(plan, result, shares[i], &least, &most);
        json_open(json, share_words[i], '{');
        json_fixed(json, "median", (uint64_t)(1000 * ratio), 3);
        json_fixed(json, "least", (uint64_t)(1000 * least), 3);
        json_fixed(json, "most", (uint64_t)(1000 * most), 3);
        json_close(json, '}');
    }
    json_close(json, '}');
}

void bench_print_json(FILE *out, const struct bench_plan *plan, const struct bench_result *result)
{
    char *room = malloc(JSON_ROOM);
    if (room == NULL)
        return;
    struct json json = json_into(room, JSON_ROOM);
    json_open(&json, NULL, '{');
    json_text(&json, "protocol", plan->is_websocket ? "websocket" : "http");
    json_bool(&json, "http2", plan->http2);
    json_text(&json, "loop", plan->rate > 0 ? "open" : "closed");
    json_fixed(&json, "rate", (uint64_t)(1000 * plan->rate), 3);
    json_u64(&json, "connections", plan->callers);
    json_fixed(&json, "seconds", plan->for_ms, 3);
    json_fixed(&json, "warm_seconds", plan->warm_ms, 3);
    json_open(&json, "targets", '[');
    for (unsigned i = 0; i < plan->urls_count; i++)
        put_target(&json, plan, result, i);
    json_close(&json, ']');
    if (plan->urls_count > 1)
        put_ratios(&json, plan, result);
    json_close(&json, '}');
    if (!json.full)
        fprintf(out, "%.*s\n", (int)json.len, room);
    free(room);
}
