/* SPDX-License-Identifier: Apache-2.0
 *
 * figures FILE … - what the forecast of core is worth on recorded arrivals.
 *
 * Every second of a trace gets as many arrivals as chance gives it at the recorded rate, and the
 * forecast one look. In each slot for which it says something, that is compared with what came (the
 * highest rate of the slot, smoothed over a few seconds as sizing does), and so is the naive guess:
 * what was most in the minute before the slot. Both are worked out here again, from nothing but
 * the arrivals. Exit status 1 unless the forecast is in use on daily, with at most 0.8 of the naive
 * guess's error, and never in use on any other trace.
 */
#include "chance.h"
#include "cli/trace.h"
#include "core/forecast.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEASON_MS UINT64_C(86400000)
#define SLOT_S    (SEASON_MS / 1000 / FORECAST_SLOTS)
#define MINUTE_S  60
#define RATIO_MAX 0.8

struct tally {
    struct forecast forecast;
    struct rand rand;
    uint64_t second;
    uint32_t arrivals;
    double rate, most, minute[MINUTE_S]; /* smoothed rates */
    double guess, naive;                 /* of the slot under way; guess < 0: nothing was said */
    double error, naive_error, load;
    uint32_t slots, said;
};

static void end_slot(struct tally *tally)
{
    tally->slots++;
    if (tally->guess >= 0) {
        tally->said++;
        tally->error += fabs(tally->most - tally->guess);
        tally->naive_error += fabs(tally->most - tally->naive);
        tally->load += tally->most;
    }
    tally->naive = 0;
    for (unsigned i = 0; i < MINUTE_S; i++) {
        tally->naive = tally->minute[i] > tally->naive ? tally->minute[i] : tally->naive;
    }
    tally->most = 0;
}

static void live(struct tally *tally, double mean)
{
    bool is_first = tally->second % SLOT_S == 0 && tally->second > 0;
    if (is_first) {
        end_slot(tally);
    }
    uint32_t came = poisson(&tally->rand, mean);
    tally->arrivals += came;
    tally->rate += (came - tally->rate) / 4;
    tally->most = tally->rate > tally->most ? tally->rate : tally->most;
    tally->minute[tally->second % MINUTE_S] = tally->rate;
    forecast_learn(&tally->forecast, &(struct forecast_look){.season_ms = SEASON_MS,
                                                             .now_ms = tally->second * 1000,
                                                             .elapsed_ms = 1000,
                                                             .arrivals = tally->arrivals});
    if (is_first) {
        bool says = tally->forecast.is_trusted;
        tally->guess = says ? forecast_rate_x16(&tally->forecast) / 16.0 : -1;
    }
    tally->second++;
}

static bool judge(const char *name, const struct tally *tally)
{
    bool should = strcmp(name, "daily") == 0;
    double ratio = tally->said > 0 ? tally->error / tally->naive_error : 0;
    bool fine = should ? tally->said > 0 && ratio <= RATIO_MAX : tally->said == 0;
    printf("%-9s %6u %7u", name, tally->slots, tally->said);
    if (tally->said > 0) {
        printf("  %8.2f %8.2f %8.2f  %6.2f", tally->load / tally->said, tally->error / tally->said,
               tally->naive_error / tally->said, ratio);
    } else {
        printf("  %8s %8s %8s  %6s", "-", "-", "-", "-");
    }
    printf("  %s\n", fine ? "as it should be" : "WRONG");
    return fine;
}

static bool play(const char *path)
{
    char *text;
    size_t len;
    struct trace trace;
    struct trace_fault fault;
    if (file_read(path, TRACE_BYTES_MAX, NULL, &text, &len) != 0) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    if (!trace_read((struct slice){text, (uint32_t)len}, &alloc_libc, &trace, &fault)) {
        printf("%s:%u: %s\n", path, fault.line, fault.text);
        free(text);
        return false;
    }
    const char *slash = strrchr(path, '/');
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(slash != NULL ? slash + 1 : path, "."),
             slash != NULL ? slash + 1 : path);
    struct tally *tally = calloc(1, sizeof *tally);
    bool fine = false;
    if (tally != NULL) {
        tally->guess = -1;
        rand_init(&tally->rand, 1);
        for (uint32_t i = 0; i < trace.count; i++) {
            const struct trace_line *line = &trace.lines[i];
            for (uint32_t s = 0; s < line->seconds; s++) {
                live(tally, (double)line->arrivals / line->seconds);
            }
        }
        fine = judge(name, tally);
    }
    free(tally);
    trace_fini(&trace);
    free(text);
    return fine;
}

int main(int argc, char **argv)
{
    bool fine = argc > 1;
    printf("%-9s %6s %7s  %8s %8s %8s  %6s\n", "trace", "slots", "in use", "peak/s", "error",
           "naive", "ratio");
    for (int i = 1; i < argc; i++) {
        fine &= play(argv[i]);
    }
    return fine ? 0 : 1;
}
