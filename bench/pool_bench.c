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
#include <time.h>

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

/* --- very many idle connections -------------------------------------------------------------- */

#define CROWD       100000U
#define CROWD_KEYS  1000U
#define CROWD_HOURS 1U

static weir_engine *crowd_engine;
static weir_pool *crowd;
static weir_conn crowd_asked[CROWD];
static unsigned crowd_count;
static uint64_t crowd_bytes;

static void crowd_dial(void *self, weir_conn conn, const weir_key *key)
{
    (void)self, (void)key;
    crowd_asked[crowd_count++ % CROWD] = conn;
}

static void crowd_probe(void *self, weir_conn conn, void *object)
{
    (void)self;
    weir_conn_up(crowd, conn, object, 1);
}

static void crowd_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self, (void)object;
    weir_conn_down(crowd, conn, why);
}

static void *count_alloc(void *arg, size_t bytes)
{
    (void)arg;
    crowd_bytes += bytes;
    return calloc(1, bytes);
}

static void count_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

/* Bytes that an engine takes for this many connections. */
static uint64_t engine_bytes(uint32_t conns_max)
{
    weir_engine *engine_of_size;
    weir_engine_options opt = {.size = sizeof opt,
                               .conns_max = conns_max,
                               .leases_max = 10,
                               .allocator = {count_alloc, count_free, NULL}};
    crowd_bytes = 0;
    must(weir_engine_new(&opt, &engine_of_size));
    weir_engine_free(engine_of_size);
    return crowd_bytes;
}

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* min_idle keeps this many ready at each of the keys; while they are idle each is probed every
 * minute, grows too old after half an hour, and is replaced. What that costs, of one core. */
static double crowd_percent(void)
{
    static const weir_connector idler = {
        .scheme = "http", .dial = crowd_dial, .probe = crowd_probe, .close = crowd_close};
    weir_engine_options opt = {
        .size = sizeof opt, .conns_max = CROWD + 1000, .now_ms = now_ms, .keys_max = CROWD_KEYS};
    weir_pool_options pool_opt = {.size = sizeof pool_opt,
                                  .connector = &idler,
                                  .max_total = CROWD + 1000,
                                  .min_idle = CROWD / CROWD_KEYS,
                                  .connecting_max = 100};
    uint64_t begun_ns = 0;
    uint64_t begun_ms = 0;
    char host[16];
    must(weir_engine_new(&opt, &crowd_engine));
    must(weir_pool_open(crowd_engine, &pool_opt, &crowd));
    for (unsigned i = 0; i < CROWD_KEYS; i++) {
        snprintf(host, sizeof host, "h%u", i);
        must(weir_pool_warm(crowd, &(weir_key){.host = host, .port = 80}, true));
    }
    while (begun_ms == 0 || now_ms < begun_ms + CROWD_HOURS * 3600000U) {
        uint64_t next_ms = weir_step(crowd_engine, now_ms);
        unsigned up = crowd_count < CROWD ? crowd_count : CROWD;
        crowd_count = 0;
        for (unsigned i = 0; i < up; i++)
            weir_conn_up(crowd, crowd_asked[i], crowd, 1);
        if (begun_ms == 0) {
            weir_stats stats = {.size = sizeof stats};
            weir_pool_stats(crowd, &stats);
            if (stats.idle >= CROWD) {
                begun_ms = now_ms;
                begun_ns = cpu_ns();
            }
        }
        if (!weir_engine_pending(crowd_engine))
            now_ms = next_ms > now_ms + 1 ? next_ms : now_ms + 1;
    }
    double percent = (double)(cpu_ns() - begun_ns) / 1e4 / (double)(now_ms - begun_ms);
    weir_engine_free(crowd_engine);
    return percent;
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
    printf("\"acquire + step + release\": %.1f, ", best_of(by_step));
    printf("\"bytes per connection\": %.1f, ",
           (double)(engine_bytes(2 * CROWD) - engine_bytes(CROWD)) / CROWD);
    printf("\"%u idle, percent of a core\": %.3f}\n", CROWD, crowd_percent());
    weir_engine_free(engine);
    return 0;
}
