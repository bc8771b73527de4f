/* SPDX-License-Identifier: Apache-2.0
 *
 * pool_bench.c - what the pool itself costs, in nanoseconds; no socket anywhere.
 *
 *     pool_bench      prints one line of JSON
 *
 * A connector that answers at once fills one pool; then leases are taken and given back, a step run
 * every hundred of them, as a worker does once a turn of its loop. Each figure is the best of
 * several batches, so that what else runs on the machine does not count.
 */
#include <weir/weir.h>

#include "net.h"

#include <stdio.h>
#include <stdlib.h>

#define CONNS      128
#define KEYS       64
#define BATCHES    20
#define BATCH      100000
#define STEP_EVERY 100

static weir_engine *engine;
static weir_pool *pool;
static weir_conn asked[CONNS]; /* dials to be answered */
static unsigned asked_count;
static unsigned granted;
static uint64_t now_ms = 1000;
static char hosts[KEYS][32];

static void must(weir_err err)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "pool_bench: %s\n", weir_err_text(err));
        exit(1);
    }
}

static void on_dial(void *self, weir_conn conn, const weir_key *key)
{
    (void)self, (void)key;
    asked[asked_count++ % CONNS] = conn;
}

static void on_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self, (void)object;
    weir_conn_down(pool, conn, why);
}

static void on_grant(void *arg, const weir_grant *grant)
{
    (void)arg;
    must(grant->err);
    granted++;
}

static const weir_connector connector = {.scheme = "http", .dial = on_dial, .close = on_close};

static weir_key key_of(unsigned i)
{
    return (weir_key){.scheme = "http", .host = hosts[i % KEYS], .port = 80};
}

/* Dials `count` connections for the key and leaves them idle. */
static void fill(const weir_key *key, unsigned count)
{
    weir_lease leases[CONNS];
    granted = 0;
    for (unsigned i = 0; i < count; i++)
        must(weir_acquire(pool, key, NULL, on_grant, NULL, &leases[i]));
    for (unsigned turn = 0; granted < count && turn < 1000; turn++) {
        weir_step(engine, ++now_ms);
        for (unsigned i = 0; i < asked_count; i++)
            weir_conn_up(pool, asked[i], engine, 1);
        asked_count = 0;
    }
    for (unsigned i = 0; i < count; i++)
        must(weir_release(pool, leases[i], WEIR_KEEP));
    weir_step(engine, ++now_ms);
}

static double best_of(void (*batch)(void))
{
    double best = 1e9;
    for (int i = 0; i < BATCHES; i++) {
        uint64_t start = net_now_ns();
        batch();
        double each = (double)(net_now_ns() - start) / BATCH;
        best = each < best ? each : best;
    }
    return best;
}

/* One key: what a gateway in front of one upstream does. */
static void one_key(void)
{
    weir_key key = key_of(0);
    void *object;
    weir_lease lease;
    for (int i = 0; i < BATCH; i++) {
        must(weir_try_acquire(pool, &key, 0, &lease, &object));
        must(weir_release(pool, lease, WEIR_KEEP));
        if (i % STEP_EVERY == 0)
            weir_step(engine, now_ms);
    }
}

/* Many keys in turn: finding the key costs, too. */
static void many_keys(void)
{
    void *object;
    weir_lease lease;
    for (int i = 0; i < BATCH; i++) {
        weir_key key = key_of((unsigned)i);
        must(weir_try_acquire(pool, &key, 0, &lease, &object));
        must(weir_release(pool, lease, WEIR_KEEP));
        if (i % STEP_EVERY == 0)
            weir_step(engine, now_ms);
    }
}

/* Through the queue and the callback of a step, one at a time. */
static void by_step(void)
{
    weir_key key = key_of(0);
    weir_lease lease;
    for (int i = 0; i < BATCH; i++) {
        must(weir_acquire(pool, &key, NULL, on_grant, NULL, &lease));
        weir_step(engine, now_ms);
        must(weir_release(pool, lease, WEIR_KEEP));
    }
}

int main(void)
{
    weir_engine_options opt = {.size = sizeof opt, .conns_max = 1024, .now_ms = now_ms};
    weir_pool_options pool_opt = {.size = sizeof pool_opt,
                                  .name = "bench",
                                  .connector = &connector,
                                  .max_total = WEIR_UNLIMITED,
                                  .max_per_key = WEIR_UNLIMITED,
                                  .idle_timeout_ms = WEIR_NEVER,
                                  .max_age_ms = WEIR_NEVER};
    must(weir_engine_new(&opt, &engine));
    must(weir_pool_open(engine, &pool_opt, &pool));
    for (unsigned i = 0; i < KEYS; i++)
        snprintf(hosts[i], sizeof hosts[i], "upstream-%u.example.net", i);
    for (unsigned i = 0; i < KEYS; i++) {
        weir_key key = key_of(i);
        fill(&key, i == 0 ? CONNS / 2 : 4);
    }
    printf("{\"try_acquire + release, 1 key\": %.1f, ", best_of(one_key));
    printf("\"try_acquire + release, %d keys\": %.1f, ", KEYS, best_of(many_keys));
    printf("\"acquire + step + release\": %.1f}\n", best_of(by_step));
    weir_engine_free(engine);
    return 0;
}
