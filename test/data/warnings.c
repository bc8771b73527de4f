/* SPDX-License-Identifier: Apache-2.0
 *
 * warnings FILE … - whether early warnings come in time on recorded arrivals, and only where
 * they should.
 *
 * The alerts of the gateway look at a pool of 32 connections every five seconds of a trace: as many
 * are in use as chance has it where that many come and stay that long, and those that leaked. A
 * trace that says "# exhausted N" wants its warning a minute before that second; steady and daily
 * want none. Exit status 1 unless, over all files, nine of ten of ramp and of leak are warned of
 * in time, and steady and daily have one false alarm at most.
 */
#include "chance.h"
#include "cli/trace.h"
#include "gateway/alerts.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_S    5U
#define CAPACITY  32U
#define AHEAD_S   60U
#define FALSE_MAX 1U

struct play {
    struct trace trace;
    struct rand rand;
    struct alerts *alerts;
    struct alert_pool_facts pool;
    struct alert_facts facts;
    uint64_t exhausted;  /* the second; 0: never */
    uint64_t warned;     /* the first one in which it was foretold; 0: never */
    uint32_t warnings;   /* of all kinds */
    double done, failed; /* requests, not yet whole ones */
    double leaked;
};

struct score {
    const char *name;
    bool wants; /* a warning */
    uint32_t plays, good, false_alarms;
    uint64_t least_ahead;
};

static void on_told(void *arg, const struct alert *alert)
{
    struct play *play = arg;
    if (alert->state != ALERT_FIRING || alert_rule_of(alert->kind) != ALERT_EARLY) {
        return;
    }
    play->warnings++;
    if (play->warned == 0 && alert->kind == ALERT_EARLY_EXHAUSTION) {
        play->warned = play->facts.now_ms / 1000;
    }
}

static void step(struct play *play, const struct trace_line *line, uint64_t second)
{
    double share = (double)STEP_S / line->seconds;
    double busy = (double)line->arrivals / line->seconds * line->hold_ms / 1000;
    uint32_t used = poisson(&play->rand, busy) + (uint32_t)play->leaked;
    play->done += (double)line->arrivals * share;
    play->failed += (double)line->errors * share;
    play->leaked += (double)line->leaked * share;
    play->pool.busy = play->pool.total = used < CAPACITY ? used : CAPACITY;
    play->facts.finished = play->pool.finished = (uint64_t)play->done;
    play->facts.failed = play->pool.failed = (uint64_t)play->failed;
    uint64_t begun = play->pool.finished - play->pool.first_bytes;
    play->pool.first_bytes += begun;
    play->pool.first_byte_us += begun * line->latency_ms * 1000;
    play->facts.now_ms = second * 1000;
    alerts_look(play->alerts, &play->facts, on_told, play);
}

static bool begin(struct play *play, const char *path)
{
    static const struct alerts_options opt = {
        .thresholds = {[ALERT_ERROR_RATE] = 0.05, [ALERT_POOL_UTILIZATION] = 0.9},
        .for_ms = 30000,
        .window_ms = 300000,
        .horizon_ms = 600000,
        .pools = 1,
        .upstreams = 1};
    char *text;
    size_t len;
    struct trace_fault fault;
    *play = (struct play){.pool = {.name = "api", .most = CAPACITY, .busy_most = CAPACITY}};
    play->facts.pools = &play->pool;
    if (file_read(path, TRACE_BYTES_MAX, NULL, &text, &len) != 0) {
        printf("%s: cannot be read\n", path);
        return false;
    }
    const char *fact = strstr(text, "# exhausted ");
    play->exhausted = fact != NULL ? strtoull(fact + strlen("# exhausted "), NULL, 10) : 0;
    bool good = trace_read((struct slice){text, (uint32_t)len}, &alloc_libc, &play->trace, &fault);
    free(text);
    if (!good) {
        printf("%s:%u: %s\n", path, fault.line, fault.text);
        return false;
    }
    rand_init(&play->rand, 1);
    play->alerts = alerts_new(&opt, &alloc_libc);
    return play->alerts != NULL;
}

static void run(struct play *play)
{
    for (uint32_t i = 0; i < play->trace.count; i++) {
        const struct trace_line *line = &play->trace.lines[i];
        for (uint32_t at = 0; at + STEP_S <= line->seconds; at += STEP_S) {
            uint64_t second = line->second + at;
            if (play->exhausted == 0 || second < play->exhausted) {
                step(play, line, second);
            }
        }
    }
    alerts_free(play->alerts);
    trace_fini(&play->trace);
}

static struct score *score_of(struct score *scores, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    for (; scores->name != NULL; scores++) {
        if (strncmp(name, scores->name, strlen(scores->name)) == 0) {
            return scores;
        }
    }
    return NULL;
}

static void note(struct score *score, const struct play *play)
{
    uint64_t ahead = play->warned > 0 && play->warned < play->exhausted
                         ? play->exhausted - play->warned
                         : 0;
    score->plays++;
    score->false_alarms += score->wants ? 0 : play->warnings;
    score->good += score->wants && ahead >= AHEAD_S;
    if (score->plays == 1 || ahead < score->least_ahead) {
        score->least_ahead = ahead;
    }
}

int main(int argc, char **argv)
{
    struct score scores[] = {
        {.name = "ramp", .wants = true},
        {.name = "leak", .wants = true},
        {.name = "steady"},
        {.name = "daily"},
        {.name = NULL},
    };
    bool fine = true;
    uint32_t false_alarms = 0;
    for (int i = 1; i < argc; i++) {
        struct play play;
        struct score *score = score_of(scores, argv[i]);
        if (score == NULL) {
            continue;
        }
        if (!begin(&play, argv[i])) {
            return 1;
        }
        run(&play);
        note(score, &play);
    }
    printf("%-7s %6s %8s %13s %13s\n", "trace", "plays", "in time", "least ahead", "false alarms");
    for (struct score *s = scores; s->name != NULL; s++) {
        printf("%-7s %6u %8u %11llu s %13u\n", s->name, s->plays, s->good,
               (unsigned long long)s->least_ahead, s->false_alarms);
        false_alarms += s->false_alarms;
        fine = fine && s->plays > 0 && (!s->wants || s->good * 10 >= s->plays * 9);
    }
    return fine && false_alarms <= FALSE_MAX ? 0 : 1;
}
