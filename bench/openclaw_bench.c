/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_bench.c - what a request to an OpenClaw gateway costs the client
 * (bench/openclaw_part.py).
 *
 *     openclaw_bench serve                      the double: prints its port, ends with its input
 *     openclaw_bench run PORT COUNT IN_FLIGHT   `echo` over one connection, so many under way:
 * JSON, the CPU of this process per request openclaw_bench execute PORT COUNT THREADS the same with
 * threads that wait
 */
#include <weir/openclaw.h>

#include "gateway/demo_openclaw.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 256
#define WARM        2000
#define PARAMS      "{\"text\":\"a hundred bytes or so of something that a program would say\",\"n\":1}"

static weir_openclaw_gateway *gateway;
static const weir_openclaw_request request = {.method = "echo", .params = PARAMS};
static _Atomic long to_begin, to_end;
static _Atomic unsigned failed;
static sem_t over;

static void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "openclaw_bench: %s: %s\n", what, weir_err_text(err));
        exit(1);
    }
}

static int serve(void)
{
    struct demo_openclaw *demo;
    const struct demo_openclaw_options opt = {0};
    if (demo_openclaw_open(&opt, &demo) != 0) {
        return 1;
    }
    printf("%u\n", (unsigned)demo_openclaw_port(demo));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    demo_openclaw_close(demo);
    return 0;
}

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void begin(void);

static void ended(void *arg, const weir_openclaw_result *result)
{
    (void)arg;
    failed += result->err != WEIR_OK || !result->ok;
    if (to_begin-- > 0) {
        begin();
    }
    if (--to_end == 0) {
        sem_post(&over);
    }
}

static void begin(void)
{
    must(weir_openclaw_call(gateway, &request, ended, NULL, NULL), "call");
}

static void run(long count, int in_flight)
{
    to_begin = count - in_flight;
    to_end = count;
    for (int i = 0; i < in_flight; i++) {
        begin();
    }
    sem_wait(&over);
}

static void *execute(void *arg)
{
    weir_openclaw_result *result;
    (void)arg;
    while (to_begin-- > 0) {
        if (weir_openclaw_execute(gateway, &request, &result) == WEIR_OK) {
            weir_openclaw_result_free(result);
        } else {
            failed++;
        }
    }
    return NULL;
}

static void run_threads(long count, int threads)
{
    pthread_t thread[THREADS_MAX];
    to_begin = count;
    for (int i = 0; i < threads; i++) {
        pthread_create(&thread[i], NULL, execute, NULL);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_openclaw *claw;
    char url[64];
    if (argc == 2 && strcmp(argv[1], "serve") == 0) {
        return serve();
    }
    if (argc != 5 || atoi(argv[4]) < 1 || atoi(argv[4]) > THREADS_MAX) {
        fputs("openclaw_bench serve | run PORT COUNT IN_FLIGHT | execute PORT COUNT THREADS\n",
              stderr);
        return 2;
    }
    void (*fn)(long, int) = strcmp(argv[1], "run") == 0 ? run : run_threads;
    long count = atol(argv[3]);
    int many = atoi(argv[4]);
    snprintf(url, sizeof url, "ws://127.0.0.1:%s", argv[2]);
    const weir_runtime_options one = {.workers = 1};
    const weir_openclaw_config config = {.url = url, .token = "demo"};
    sem_init(&over, 0, 0);
    must(weir_runtime_open(&one, &runtime), "runtime");
    must(weir_openclaw_open(runtime, NULL, &claw), "client");
    must(weir_openclaw_gateway_of(claw, &config, &gateway), "gateway");
    fn(WARM, many);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), wall = seconds_of(CLOCK_MONOTONIC);
    fn(count, many);
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds_of(CLOCK_MONOTONIC) - wall;
    printf("{\"us\": %.3f, \"per_s\": %.0f, \"failed\": %u}\n", cpu * 1e6 / (double)count,
           (double)count / wall, failed);
    must(weir_openclaw_close(claw), "close");
    must(weir_runtime_close(runtime, 1000), "close");
    return failed > 0;
}
