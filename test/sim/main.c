/* SPDX-License-Identifier: Apache-2.0
 *
 * sim [--seed S] [--seeds N] [--steps M] [--every K] [--trace] [--stop] [--file SEEDS] - runs M
 * steps in each of N random worlds, every eighth of them of several engines that share a limit.
 * Everything follows from the seed. The last line says what was run and what failed; the exit
 * status is 1 when a seed failed. A seed that fails prints where, why, and the trace that led
 * there.
 *
 * --every: so many steps the whole state is compared with the model [1000]. --trace: print all of
 * it.
 * --stop: not beyond the first seed that fails. --mutant N: breaks a rule of core (core/mutant.h).
 */
#include "base/text.h"
#include "core/inspect.h"
#include "core/mutant.h"
#include "sim/shared.h"
#include "sim/world.h"
#include "support/coverage.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SHARED_EVERY = 8,
    VERIFY_EVERY = 1,
    SETTLE_STEPS_MAX = 2000000, /* connections that age in 10 ms are most of them */
    STEPS_AT_ONCE_MAX = 100,
    TAIL_STEPS = 25
};

struct request {
    uint64_t seed, seeds, steps;
    uint64_t every; /* so many steps the whole state is compared */
    uint64_t mutant;
    bool trace, stop;
    const char *file;
};

static struct world world;

void world_turn(struct world *it)
{
    model_time(it);
    for (int i = 0; i < STEPS_AT_ONCE_MAX; i++) {
        it->next_ms = weir_step(it->engine, it->now_ms);
        if (!weir_engine_pending(it->engine)) {
            break;
        }
    }
    if (weir_engine_pending(it->engine)) {
        fault(it, "the engine does not come to rest");
    }
    if (it->next_ms <= it->now_ms) {
        fault(it, "after a step the next deadline lies in the past");
    }
    uint32_t outputs = it->outputs;
    uint64_t again_ms = weir_step(it->engine, it->now_ms);
    if (it->outputs != outputs || again_ms != it->next_ms) {
        fault(it, "a second step at the same instant did something");
    }
    for (uint32_t p = 0; p < it->pools_count; p++) {
        it->pools[p].reused_unknown |= it->upheaval;
        if (it->pools[p].recanted) {
            model_recanted(it, &it->pools[p]);
        }
    }
    must_hold(it);
    if (it->steps % VERIFY_EVERY == 0) {
        engine_verify(it->engine);
    }
}

void world_step(struct world *it)
{
    it->steps++;
    it->outputs = 0;
    it->granted_count = 0;
    it->timers_ran = it->upheaval = it->recanted = false;
    it->burst = rand_chance(&it->rand, it->nature.burst);
    uint64_t actions = it->burst ? rand_between(&it->rand, 2, 8) : 1;
    for (uint64_t i = 0; i < actions && !it->failed; i++) {
        act_any(it);
    }
    world_turn(it);
    if (it->steps % it->compare_every == 0) {
        compare_all(it);
    }
}

/* One step of a world in which everybody behaves. */
static void calm_step(struct world *it)
{
    it->steps++;
    it->outputs = 0;
    it->granted_count = 0;
    it->timers_ran = it->burst = false;
    if (!act_kindly(it) && it->next_ms != WEIR_NO_DEADLINE) {
        act_advance(it, it->next_ms);
    }
    world_turn(it);
}

static uint32_t busy_clients(const struct world *it)
{
    uint32_t busy = 0;
    for (uint32_t i = 0; i < it->clients_count; i++) {
        const struct sim_client *client = &it->clients[i];
        busy += client->phase != CLIENT_AWAY && it->pools[client->pool].pool != NULL;
    }
    return busy;
}

void world_settle(struct world *it)
{
    it->calm = true;
    for (int i = 0; i < SETTLE_STEPS_MAX && busy_clients(it) > 0 && !it->failed; i++) {
        calm_step(it);
    }
    if (busy_clients(it) > 0) {
        fault(it, "faults are off, and %u clients are still not done", busy_clients(it));
    }
    compare_all(it);
    uint32_t open = 0;
    for (uint32_t p = 0; p < it->pools_count && !it->failed; p++) {
        if (it->pools[p].pool != NULL && !it->pools[p].closing) {
            act_close_pool(it, &it->pools[p], (uint32_t)rand_below(&it->rand, 1000));
        }
    }
    it->steps++;
    world_turn(it);
    for (int i = 0; i < SETTLE_STEPS_MAX && !it->failed; i++) {
        calm_step(it);
        open = 0;
        for (uint32_t p = 0; p < it->pools_count; p++) {
            open += it->pools[p].pool != NULL;
        }
        if (open == 0) {
            break;
        }
    }
    if (open > 0) {
        fault(it, "%u pools do not close", open);
    }
    for (uint32_t i = 0; i < it->conns_top; i++) {
        if (it->conns[i].phase != PHASE_NONE) {
            fault(it, "everything is closed, and a connection is left");
        }
    }
}

static void report_failure(void)
{
    printf("seed %" PRIu64 ", step %" PRIu64 ", at %" PRIu64 " ms: %s\n", world.seed, world.steps,
           world.now_ms, world.fault);
    fflush(stdout);
}

/* A check() of the core failed: say where, then let it die. */
static void on_abort(int number)
{
    fault(&world, "a check failed (see --trace)");
    report_failure();
    dump_coverage();
    signal(number, SIG_DFL);
    raise(number);
}

/* What the pools say about themselves. */
static void explain_pools(void)
{
    static char text[65536];
    for (uint32_t p = 0; p < world.pools_count; p++) {
        if (world.pools[p].pool != NULL) {
            weir_pool_explain(world.pools[p].pool, NULL, text, sizeof text);
            printf("--- %s: the latest decisions\n%s", world.pools[p].name, text);
        }
    }
}

static bool run_seed(uint64_t seed, const struct request *request, uint64_t trace_from)
{
    bool fine = world_open(&world, seed, trace_from);
    world.compare_every = request->every;
    for (uint64_t i = 0; i < request->steps && fine && !world.failed; i++) {
        world_step(&world);
    }
    if (!world.failed) {
        world_settle(&world);
    }
    if (world.failed && trace_from != UINT64_MAX) {
        explain_pools();
    }
    world_fini(&world);
    return !world.failed;
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct tally {
    uint64_t seeds, failed, steps;
};

/* A world of several engines; it has no trace. */
static void run_shared(uint64_t seed, const struct request *request, struct tally *tally)
{
    world.seed = seed;
    bool fine = shared_run(seed, request->steps, &world.steps, world.fault, sizeof world.fault);
    tally->steps += world.steps;
    tally->failed += !fine;
    if (!fine) {
        printf("seed %" PRIu64 ", step %" PRIu64 ", several engines: %s\n", seed, world.steps,
               world.fault);
    }
}

static void run_one(uint64_t seed, const struct request *request, struct tally *tally)
{
    tally->seeds++;
    if (seed % SHARED_EVERY == SHARED_EVERY - 1) {
        run_shared(seed, request, tally);
        return;
    }
    bool fine = run_seed(seed, request, request->trace ? 0 : UINT64_MAX);
    tally->steps += world.steps;
    tally->failed += !fine;
    if (!fine && !request->trace) { /* the same again, for the trace of its end */
        uint64_t tail = world.steps > TAIL_STEPS ? world.steps - TAIL_STEPS : 0;
        run_seed(seed, request, tail);
    }
    if (!fine) {
        report_failure();
    }
}

/* A seed per line; what follows a blank or a hash is for people. */
static bool run_file(const struct request *request, struct tally *tally)
{
    char line[256];
    FILE *file = fopen(request->file, "r");
    if (file == NULL) {
        printf("sim: cannot read %s\n", request->file);
        return false;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        struct slice rest = slice_of(line);
        struct slice word;
        uint64_t seed;
        rest = slice_sub(rest, 0, slice_find(rest, '\n'));
        if (slice_word(&rest, &word) && text_parse_u64(word, &seed)) {
            run_one(seed, request, tally);
        }
    }
    fclose(file);
    return true;
}

static bool read_arguments(int argc, char **argv, struct request *request)
{
    for (int i = 1; i < argc; i++) {
        struct slice name = slice_of(argv[i]);
        uint64_t *number = slice_is(name, "--seed")     ? &request->seed
                           : slice_is(name, "--seeds")  ? &request->seeds
                           : slice_is(name, "--steps")  ? &request->steps
                           : slice_is(name, "--every")  ? &request->every
                           : slice_is(name, "--mutant") ? &request->mutant
                                                        : NULL;
        if (slice_is(name, "--trace")) {
            request->trace = true;
        } else if (slice_is(name, "--stop")) {
            request->stop = true;
        } else if (slice_is(name, "--file") && i + 1 < argc) {
            request->file = argv[++i];
        } else if (number == NULL || i + 1 == argc || !text_parse_u64(slice_of(argv[++i]), number)
                   || (number == &request->every && *number == 0)) {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct request request = {.seed = 1, .seeds = 1, .steps = 10000, .every = 1000};
    struct tally tally = {0};
    if (!read_arguments(argc, argv, &request)) {
        printf("usage: sim [--seed S] [--seeds N] [--steps M] [--every K] [--trace] [--stop] "
               "[--file SEEDS]\n");
        return 2;
    }
#ifdef WEIR_MUTANTS
    weir_mutant = (int)request.mutant;
#endif
    signal(SIGABRT, on_abort);
    double began = now_s();
    if (request.file != NULL) {
        if (!run_file(&request, &tally)) {
            return 2;
        }
    } else {
        for (uint64_t i = 0; i < request.seeds && !(request.stop && tally.failed > 0); i++) {
            run_one(request.seed + i, &request, &tally);
        }
    }
    double took = now_s() - began;
    printf("sim: %" PRIu64 " seeds x %" PRIu64 " steps, %" PRIu64 " failed, %.0f steps/s\n",
           tally.seeds, request.steps, tally.failed, (double)tally.steps / (took > 0 ? took : 1));
    return tally.failed > 0;
}
