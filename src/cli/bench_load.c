/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_load.c - a round: shots that are due, sent, answered, counted; whoever sends them.
 *
 * In an open loop the calling thread fires, and sleeps until the next shot is due; in a closed one
 * an answer fires the next.
 */
#include "cli/bench.h"
#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_NS UINT64_C(200000000)

/* --- counting ------------------------------------------------------------------------------------
 */

static void note_error(struct bench_tally *tally, const char *why, uint64_t times)
{
    for (unsigned i = 0; i < BENCH_WORST_MAX; i++) {
        if (tally->worst[i].why == NULL)
            tally->worst[i].why = why;
        if (strcmp(tally->worst[i].why, why) == 0) {
            tally->worst[i].count += times;
            return;
        }
    }
}

void bench_tally_merge(struct bench_tally *tally, const struct bench_tally *other)
{
    tally->sent += other->sent;
    tally->answered += other->answered;
    tally->errors += other->errors;
    tally->unsent += other->unsent;
    tally->unanswered += other->unanswered;
    tally->seconds += other->seconds;
    for (unsigned i = 0; i < 6; i++)
        tally->status[i] += other->status[i];
    for (unsigned i = 0; i < BENCH_WORST_MAX && other->worst[i].why != NULL; i++)
        note_error(tally, other->worst[i].why, other->worst[i].count);
    spread_merge(&tally->us, &other->us);
}

/* --- shots ---------------------------------------------------------------------------------------
 */

static void fire(struct bench_load *load, uint64_t due_ns);

/* NULL: there are too many. */
static struct bench_shot *shot_take(struct bench_load *load, uint64_t due_ns)
{
    pthread_mutex_lock(&load->lock);
    struct bench_shot *shot = load->is_closing ? NULL : load->free;
    bool counts = due_ns >= load->count_ns;
    if (shot != NULL) {
        load->free = shot->next;
        load->open++;
        load->tally.sent += counts;
        shot->due_ns = due_ns;
        shot->counts = counts;
    } else if (!load->is_closing && counts) {
        load->tally.unsent++;
    }
    pthread_mutex_unlock(&load->lock);
    return shot;
}

static void shot_give(struct bench_load *load, struct bench_shot *shot)
{
    shot->due_ns = 0;
    shot->next = load->free;
    load->free = shot;
    if (--load->open == 0)
        pthread_cond_signal(&load->idle);
}

void bench_answered(struct bench_shot *shot, unsigned status, weir_err err)
{
    struct bench_load *load = shot->load;
    struct bench_tally *tally = &load->tally;
    uint64_t now_ns = clock_now_ns();
    pthread_mutex_lock(&load->lock);
    bool is_cut = load->is_closing && (err == WEIR_ECANCELED || err == WEIR_ECLOSED);
    if (shot->counts) {
        spread_add(&tally->us, (now_ns - shot->due_ns) / 1000);
        if (is_cut) {
            tally->unanswered++;
        } else if (err != WEIR_OK) {
            tally->errors++;
            note_error(tally, weir_err_text(err), 1);
        } else {
            tally->answered++;
            tally->status[status / 100 < 6 ? status / 100 : 0]++;
        }
    }
    bool goes_on = load->plan->rate <= 0 && now_ns < load->end_ns && !load->is_closing;
    shot_give(load, shot);
    pthread_mutex_unlock(&load->lock);
    if (goes_on)
        fire(load, clock_now_ns());
}

static void fire(struct bench_load *load, uint64_t due_ns)
{
    struct bench_shot *shot = shot_take(load, due_ns);
    if (shot == NULL)
        return;
    weir_err err = load->way->send(load->self, shot);
    if (err == WEIR_OK)
        return;
    pthread_mutex_lock(&load->lock);
    if (shot->counts) {
        load->tally.sent--;
        load->tally.unsent++;
    }
    shot_give(load, shot);
    pthread_mutex_unlock(&load->lock);
}

/* --- a round -------------------------------------------------------------------------------------
 */

static void show_progress(struct bench_load *load, FILE *out, uint64_t now_ns)
{
    char p50[16], p99[16];
    if (out == NULL)
        return;
    pthread_mutex_lock(&load->lock);
    const struct bench_tally *tally = &load->tally;
    double seconds = now_ns > load->count_ns ? (double)(now_ns - load->count_ns) / 1e9 : 0;
    fprintf(out, "\r\033[K%s %.0fs of %.0fs  %llu answers  %.0f/s  p50 %s  p99 %s  %llu errors",
            now_ns < load->count_ns ? "warming up" : "counting", seconds,
            (double)(load->end_ns - load->count_ns) / 1e9, (unsigned long long)tally->answered,
            seconds > 0 ? (double)tally->answered / seconds : 0,
            bench_time((double)spread_at(&tally->us, 0.5), p50),
            bench_time((double)spread_at(&tally->us, 0.99), p99),
            (unsigned long long)tally->errors);
    pthread_mutex_unlock(&load->lock);
    fflush(out);
}

static void sleep_until(uint64_t ns)
{
    const struct timespec until = {.tv_sec = (time_t)(ns / 1000000000),
                                   .tv_nsec = (long)(ns % 1000000000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static void run_open(struct bench_load *load, FILE *progress)
{
    double gap_ns = 1e9 / load->plan->rate;
    uint64_t shown_ns = load->begin_ns;
    for (uint64_t number = 0;; number++) {
        uint64_t due_ns = load->begin_ns + (uint64_t)((double)number * gap_ns);
        if (due_ns >= load->end_ns)
            return;
        while (clock_now_ns() < due_ns) {
            uint64_t next_ns = shown_ns + PROGRESS_NS;
            sleep_until(due_ns < next_ns ? due_ns : next_ns);
            if (clock_now_ns() >= next_ns) {
                shown_ns = clock_now_ns();
                show_progress(load, progress, shown_ns);
            }
        }
        fire(load, due_ns);
    }
}

static void run_closed(struct bench_load *load, FILE *progress)
{
    for (unsigned i = 0; i < load->plan->callers; i++)
        fire(load, clock_now_ns());
    for (uint64_t now_ns = clock_now_ns(); now_ns < load->end_ns; now_ns = clock_now_ns()) {
        sleep_until(load->end_ns < now_ns + PROGRESS_NS ? load->end_ns : now_ns + PROGRESS_NS);
        show_progress(load, progress, clock_now_ns());
    }
}

/* Answers that are under way are waited for, as long as an answer may take. */
static void wait_idle(struct bench_load *load)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(load->plan->timeout_ms / 1000) + 1;
    pthread_mutex_lock(&load->lock);
    while (load->open > 0 && pthread_cond_timedwait(&load->idle, &load->lock, &until) != ETIMEDOUT)
        ;
    load->is_closing = true;
    pthread_mutex_unlock(&load->lock);
}

static const char *load_open(struct bench_load *load, const char *url)
{
    const struct bench_plan *plan = load->plan;
    load->shots_count = plan->rate > 0 ? BENCH_OPEN_MAX : plan->callers;
    load->shots = calloc(load->shots_count, sizeof(*load->shots));
    if (load->shots == NULL)
        return "out of memory";
    for (uint32_t i = 0; i < load->shots_count; i++) {
        load->shots[i] = (struct bench_shot){.load = load, .next = load->free};
        load->free = &load->shots[i];
    }
    load->way = plan->is_websocket ? &bench_websocket : &bench_http;
    load->self = load->way->open(load, url);
    return load->self != NULL ? NULL : load->why;
}

const char *bench_round(const struct bench_plan *plan, const char *url, FILE *progress,
                        struct bench_tally *ret_tally)
{
    struct bench_load *load = calloc(1, sizeof(*load));
    if (load == NULL)
        return "out of memory";
    load->plan = plan;
    pthread_mutex_init(&load->lock, NULL);
    pthread_cond_init(&load->idle, NULL);
    const char *why = load_open(load, url);
    if (why == NULL) {
        load->begin_ns = clock_now_ns();
        load->count_ns = load->begin_ns + plan->warm_ms * 1000000;
        load->end_ns = load->count_ns + plan->for_ms * 1000000;
        (plan->rate > 0 ? run_open : run_closed)(load, progress);
        wait_idle(load);
        load->way->close(load->self);
        load->tally.seconds = (double)plan->for_ms / 1000;
        *ret_tally = load->tally;
        if (progress != NULL)
            fputs("\r\033[K", progress);
    }
    pthread_cond_destroy(&load->idle);
    pthread_mutex_destroy(&load->lock);
    free(load->shots);
    free(load);
    return why;
}
