/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h - `weir bench` in parts: a target under load (bench_load.c over bench_http.c or
 * bench_websocket.c), and what is said of it (bench_print.c, bench_svg.c).
 *
 * Closed loop: so many callers, each of which asks again when it was answered. A server that stalls
 * is asked less meanwhile, so that a closed loop hides what a stall costs.
 * Open loop: requests are due at a fixed rate whatever the answers do, and a latency counts from
 * when its request was due: no coordinated omission.
 */
#pragma once
#include <weir/http.h>

#include "base/spread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#define BENCH_CALLERS_MAX 10000U
#define BENCH_OPEN_MAX    100000U /* due and not answered; what is due beyond is `unsent` */
#define BENCH_ROUNDS_MAX  100U
#define BENCH_FIELDS_MAX  16U
#define BENCH_WORST_MAX   32U /* kinds of errors that are told apart */

struct bench_plan {
    const char *urls[2];
    unsigned urls_count, rounds, callers;
    bool http2, is_websocket, insecure;
    double rate; /* per second; 0: closed loop */
    uint64_t for_ms, warm_ms, timeout_ms;
    const char *method;
    const void *body;
    size_t body_len;
    weir_http_field fields[BENCH_FIELDS_MAX];
    size_t fields_count;
    uint32_t message_bytes; /* of a WebSocket */
};

/* What became of requests. */
struct bench_tally {
    uint64_t sent, answered; /* answered with 4xx and 5xx, too */
    uint64_t status[6];      /* 1xx … 5xx at 1 … 5 */
    uint64_t errors;         /* not answered, and why */
    uint64_t unsent;
    uint64_t unanswered; /* at the end of the time; they count with what they had waited */
    struct {
        const char *why;
        uint64_t count;
    } worst[BENCH_WORST_MAX];
    double seconds;
    struct spread us; /* latencies */
};

struct bench_result {
    struct bench_tally rounds[2][BENCH_ROUNDS_MAX];
    struct bench_tally all[2];
};

/* --- bench_load.c -------------------------------------------------------------------------------
 */

/* A request that is due, until it was answered. */
struct bench_shot {
    struct bench_load *load;
    struct bench_shot *next; /* of the free ones */
    uint64_t due_ns;         /* 0: it is free */
    bool counts;             /* due after the warm-up */
};

/* How requests of a kind go out. */
struct bench_way {
    void *(*open)(struct bench_load *load, const char *url); /* NULL: `why` of the load */
    /* Any thread; answers by bench_answered() once, later. */
    weir_err (*send)(void *self, struct bench_shot *shot);
    void (*close)(void *self); /* what is under way ends */
};

struct bench_load {
    const struct bench_plan *plan;
    const struct bench_way *way;
    void *self;
    const char *why;
    uint64_t begin_ns, count_ns, end_ns;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t idle;
    struct bench_shot *shots, *free;
    uint32_t shots_count, open;
    bool is_closing;
    struct bench_tally tally;
};

extern const struct bench_way bench_http, bench_websocket;

/* One round. NULL, or what keeps it from being done. */
const char *bench_round(const struct bench_plan *plan, const char *url, FILE *progress,
                        struct bench_tally *ret_tally);
/* status 0: there was no answer, and err says why. */
void bench_answered(struct bench_shot *shot, unsigned status, weir_err err);

void bench_tally_merge(struct bench_tally *tally, const struct bench_tally *other);

/* --- what is said -------------------------------------------------------------------------------
 */

void bench_print(FILE *out, const struct bench_plan *plan, const struct bench_result *result);
void bench_print_json(FILE *out, const struct bench_plan *plan, const struct bench_result *result);
void bench_print_svg(FILE *out, const struct bench_plan *plan, const struct bench_result *result);
/* "1.2ms" */
const char *bench_time(double us, char ret[16]);
/* Of a quantile: by how much the second target took longer in each round; the median of that. */
double bench_ratio(const struct bench_plan *plan, const struct bench_result *result, double share,
                   double *ret_least, double *ret_most);
