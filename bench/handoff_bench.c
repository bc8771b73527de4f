/* SPDX-License-Identifier: Apache-2.0
 *
 * handoff_bench.c - what it takes to hand a connection on: to a waiter on the same worker, to
 * another thread, to another worker; and what four threads on one key get through the blocking
 * façade.
 *
 *     handoff_bench [ROUNDS]      prints one line of JSON
 *
 * Beside each stands what there is to be had without a pool, between the same two threads and in
 * the same round: a round trip of two eventfds; a list under a mutex with a condition. Figures are
 * medians over the rounds, ratios medians of the ratios within a round.
 */
#include <weir/runtime.h>

#include "io/socket.h"
#include "net.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS_MAX   101
#define STEP_BATCH   200000
#define TRIPS        3000
#define ASLEEP_NS    30000 /* by then a thread that was about to sleep does */
#define THREADS      4
#define PAIRS_NS     50000000ULL
#define HOLD_NS      20000 /* of those who are timed where connections are scarce */
#define WAIT_BATCH   32
#define WAIT_BATCHES 1000
#define HELD_BATCHES 150

static void must(weir_err err)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "handoff_bench: %s\n", weir_err_text(err));
        exit(1);
    }
}

static int by_value(const void *a, const void *b)
{
    double one = *(const double *)a, other = *(const double *)b;
    return (one > other) - (one < other);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* --- on the same worker -------------------------------------------------------------------------
 */

static weir_pool *step_pool;
static weir_lease step_lease;
static weir_conn step_conn;

static void step_dial(void *self, weir_conn conn, const weir_key *key)
{
    (void)self, (void)key;
    step_conn = conn;
}

static void step_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)self, (void)object;
    weir_conn_down(step_pool, conn, why);
}

static void step_granted(void *arg, const weir_grant *grant)
{
    (void)arg;
    must(grant->err);
    step_lease = grant->lease;
}

/* One connection, always one caller that has it and one that waits: release, step, callback. */
static double same_worker_ns(void)
{
    static const weir_connector connector = {.scheme = "x", .dial = step_dial, .close = step_close};
    weir_engine *engine;
    weir_engine_options opt = {.size = sizeof opt, .conns_max = 16};
    weir_pool_options pool_opt = {.size = sizeof pool_opt, .connector = &connector, .max_total = 1};
    weir_key key = {.host = "a.example"};
    weir_lease lease;
    must(weir_engine_new(&opt, &engine));
    must(weir_pool_open(engine, &pool_opt, &step_pool));
    must(weir_acquire(step_pool, &key, NULL, step_granted, NULL, &lease));
    weir_step(engine, 1);
    must(weir_conn_up(step_pool, step_conn, engine, 1));
    weir_step(engine, 1);
    uint64_t took_ns = 0;
    for (int i = 0; i < STEP_BATCH; i++) {
        must(weir_acquire(step_pool, &key, NULL, step_granted, NULL, &lease));
        weir_step(engine, 1);
        uint64_t start = i % 64 == 0 ? net_now_ns() : 0;
        must(weir_release(step_pool, step_lease, WEIR_KEEP));
        weir_step(engine, 1);
        took_ns += start != 0 ? net_now_ns() - start : 0;
    }
    weir_engine_free(engine);
    return (double)took_ns / ((double)STEP_BATCH / 64);
}

/* --- two threads --------------------------------------------------------------------------------
 */

struct pair {
    int there, back;
    weir_shared *pool;
    _Atomic uint32_t about; /* to wait: the other thread, the i-th time */
    _Atomic uint64_t given_ns;
    double trip_ns, handoff_ns;
};

static void put(int fd)
{
    uint64_t one = 1;
    if (write(fd, &one, sizeof one) != sizeof one)
        exit(1);
}

static void get(int fd)
{
    uint64_t value;
    if (read(fd, &value, sizeof value) != sizeof value)
        exit(1);
}

static void answer_trips(const struct pair *pair)
{
    for (int i = 0; i < TRIPS; i++) {
        get(pair->there);
        put(pair->back);
    }
}

static double make_trips(const struct pair *pair)
{
    static double took[TRIPS];
    for (int i = 0; i < TRIPS; i++) {
        uint64_t start = net_now_ns();
        put(pair->there);
        get(pair->back);
        took[i] = (double)(net_now_ns() - start);
    }
    return median(took, TRIPS);
}

static const weir_key shared_key = {.host = "a.example"};

static void take(weir_shared *pool, weir_loan *ret_loan)
{
    must(weir_acquire_wait(pool, &shared_key, NULL, ret_loan));
}

static void spin(uint64_t ns)
{
    if (ns == 0)
        return;
    for (uint64_t end = net_now_ns() + ns; net_now_ns() < end;) {
    }
}

static void *pair_other(void *self)
{
    struct pair *pair = self;
    answer_trips(pair);
    static double took[TRIPS];
    for (int i = 0; i < TRIPS; i++) {
        weir_loan loan;
        get(pair->there);
        atomic_fetch_add(&pair->about, 1);
        take(pair->pool, &loan);
        took[i] = (double)(net_now_ns() - atomic_load(&pair->given_ns));
        weir_loan_return(&loan, WEIR_KEEP);
        put(pair->back);
    }
    pair->handoff_ns = median(took, TRIPS);
    return NULL;
}

/* The other thread sleeps until this one returns its connection. */
static void *pair_one(void *self)
{
    struct pair *pair = self;
    pair->trip_ns = make_trips(pair);
    for (uint32_t i = 0; i < TRIPS; i++) {
        weir_loan loan;
        take(pair->pool, &loan);
        put(pair->there);
        while (atomic_load(&pair->about) == i) {
        }
        spin(ASLEEP_NS);
        atomic_store(&pair->given_ns, net_now_ns());
        weir_loan_return(&loan, WEIR_KEEP);
        get(pair->back);
    }
    return NULL;
}

static void run_pair(weir_shared *pool, double *ret_trip_ns, double *ret_handoff_ns)
{
    struct pair pair = {.there = eventfd(0, 0), .back = eventfd(0, 0), .pool = pool};
    pthread_t one, other;
    pthread_create(&one, NULL, pair_one, &pair);
    pthread_create(&other, NULL, pair_other, &pair);
    pthread_join(one, NULL);
    pthread_join(other, NULL);
    close(pair.there);
    close(pair.back);
    *ret_trip_ns = pair.trip_ns;
    *ret_handoff_ns = pair.handoff_ns;
}

/* --- two workers --------------------------------------------------------------------------------
 */

struct carrier {
    struct worker *worker;
    struct carrier *other;
    weir_pool *pool;
    uint64_t asked_ns;
    _Atomic bool *is_over;
};

static double move_took[TRIPS];
static int moves_count;
static struct pair move_pair;

static void on_quiet(struct stream *stream, unsigned events)
{
    (void)stream, (void)events;
}

static void adopt(const struct carrier *carrier, weir_conn conn, int fd)
{
    struct stream *stream;
    if (socket_adopt(worker_loop(carrier->worker), fd, &stream) != 0)
        exit(1);
    stream->on_ready = on_quiet;
    stream_want(stream, STREAM_READ);
    must(weir_conn_up(carrier->pool, conn, stream, 1));
}

static void move_dial(void *self, weir_conn conn, const weir_key *key)
{
    int ends[2]; /* the other end stays open, and with it this one idle */
    (void)key;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        exit(1);
    adopt(self, conn, ends[0]);
}

static void move_close(void *self, weir_conn conn, void *object, weir_err why)
{
    const struct carrier *carrier = self;
    stream_close(object);
    weir_conn_down(carrier->pool, conn, why);
}

static void *move_detach(void *self, void *object)
{
    (void)self;
    return (char *)NULL + socket_detach(object) + 1;
}

static void move_attach(void *self, weir_conn conn, void *parcel)
{
    int fd = (int)((char *)parcel - (char *)NULL) - 1;
    if (self == NULL)
        close(fd);
    else
        adopt(self, conn, fd);
}

static const weir_connector mover = {.scheme = "x",
                                     .dial = move_dial,
                                     .close = move_close,
                                     .detach = move_detach,
                                     .attach = move_attach};

static void ask(void *self, uint64_t value);

/* Gives it back and has the other worker ask for it, which finds it idle here. */
static void moved(void *arg, const weir_grant *grant)
{
    struct carrier *carrier = arg;
    must(grant->err);
    move_took[moves_count % TRIPS] = (double)(net_now_ns() - carrier->asked_ns);
    must(weir_release(carrier->pool, grant->lease, WEIR_KEEP));
    if (++moves_count < TRIPS + 1)
        worker_post(carrier->other->worker, ask, carrier->other, 0);
    else
        atomic_store(carrier->is_over, true);
}

static void ask(void *self, uint64_t value)
{
    struct carrier *carrier = self;
    weir_lease lease;
    (void)value;
    spin(ASLEEP_NS); /* the other one's turn is over: it sleeps */
    carrier->asked_ns = net_now_ns();
    must(weir_acquire(carrier->pool, &shared_key, NULL, moved, carrier, &lease));
}

static void trips_there(void *self, uint64_t value)
{
    (void)value;
    move_pair.trip_ns = make_trips(&move_pair);
    atomic_store((_Atomic bool *)self, true);
}

static void trips_back(void *self, uint64_t value)
{
    (void)self, (void)value;
    answer_trips(&move_pair);
}

static void await(_Atomic bool *flag)
{
    while (!atomic_load(flag))
        usleep(1000);
}

static void run_move(double *ret_trip_ns, double *ret_move_ns)
{
    _Atomic bool is_over = false, has_tripped = false;
    struct carrier carriers[2];
    struct crew *crew;
    struct crew_options opt = {.workers = 2, .engine = {.conns_max = 16}};
    weir_pool_options pool = {
        .size = sizeof pool, .name = "m", .connector = &mover, .max_total = 1, .max_per_key = 1};
    if (crew_new(&opt, &crew) != 0)
        exit(1);
    for (uint32_t i = 0; i < 2; i++) {
        carriers[i] = (struct carrier){
            .worker = crew_worker(crew, i), .other = &carriers[1 - i], .is_over = &is_over};
        pool.connector_self = &carriers[i];
        must(weir_pool_open(worker_engine(carriers[i].worker), &pool, &carriers[i].pool));
    }
    move_pair = (struct pair){.there = eventfd(0, 0), .back = eventfd(0, 0)};
    moves_count = 0;
    crew_start(crew);
    worker_post(carriers[1].worker, trips_back, NULL, 0);
    worker_post(carriers[0].worker, trips_there, &has_tripped, 0);
    await(&has_tripped);
    worker_post(carriers[0].worker, ask, &carriers[0], 0);
    await(&is_over);
    crew_stop(crew);
    crew_join(crew);
    weir_stats stats = {.size = sizeof stats};
    weir_pool_stats(carriers[1].pool, &stats);
    if (stats.moved_in < TRIPS / 2 - 1 || stats.created > 0) {
        fprintf(stderr, "handoff_bench: nothing moved\n");
        exit(1);
    }
    crew_free(crew);
    close(move_pair.there);
    close(move_pair.back);
    *ret_trip_ns = move_pair.trip_ns;
    *ret_move_ns = median(move_took, TRIPS);
}

/* --- four threads -------------------------------------------------------------------------------
 */

/* The pool that one writes in an afternoon: the limit of what a lock allows. */
struct bare_item {
    struct bare_item *next;
};

static struct bare {
    pthread_mutex_t mutex;
    pthread_cond_t change;
    struct bare_item *free;
    struct bare_item items[64];
} bare = {.mutex = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER};

static struct bare_item *bare_take(void)
{
    pthread_mutex_lock(&bare.mutex);
    while (bare.free == NULL)
        pthread_cond_wait(&bare.change, &bare.mutex);
    struct bare_item *item = bare.free;
    bare.free = item->next;
    pthread_mutex_unlock(&bare.mutex);
    return item;
}

static void bare_give(struct bare_item *item)
{
    pthread_mutex_lock(&bare.mutex);
    item->next = bare.free;
    bare.free = item;
    pthread_mutex_unlock(&bare.mutex);
    pthread_cond_signal(&bare.change);
}

static void bare_fill(int count)
{
    bare.free = NULL;
    for (int i = 0; i < count; i++) {
        bare.items[i].next = bare.free;
        bare.free = &bare.items[i];
    }
}

struct hand {
    weir_shared *pool; /* NULL: the bare one */
    uint64_t pairs, hold_ns;
    double *waits; /* each of its acquires, in ns; NULL: they are not timed */
    int batches;
    double longest, longest_cut; /* of batches in which the kernel took the core away: apart */
};

static _Atomic bool hands_stop;
static pthread_barrier_t hands_start;

static void one_pair(const struct hand *hand, double *ret_wait)
{
    uint64_t start = ret_wait != NULL ? net_now_ns() : 0;
    if (hand->pool == NULL) {
        struct bare_item *item = bare_take();
        if (ret_wait != NULL)
            *ret_wait = (double)(net_now_ns() - start);
        spin(hand->hold_ns);
        bare_give(item);
    } else {
        weir_loan loan;
        take(hand->pool, &loan);
        if (ret_wait != NULL)
            *ret_wait = (double)(net_now_ns() - start);
        spin(hand->hold_ns);
        weir_loan_return(&loan, WEIR_KEEP);
    }
}

static long switches(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

static void timed_batch(struct hand *hand, double *waits)
{
    long before = switches();
    double longest = 0;
    for (int i = 0; i < WAIT_BATCH; i++) {
        one_pair(hand, &waits[i]);
        longest = waits[i] > longest ? waits[i] : longest;
    }
    double *kept = switches() == before ? &hand->longest : &hand->longest_cut;
    *kept = longest > *kept ? longest : *kept;
}

static void *hand_main(void *self)
{
    struct hand *hand = self;
    pthread_barrier_wait(&hands_start);
    if (hand->waits != NULL) {
        one_pair(hand, NULL); /* the start */
        for (int i = 0; i < hand->batches; i++)
            timed_batch(hand, hand->waits + (size_t)i * WAIT_BATCH);
        return NULL;
    }
    while (!atomic_load_explicit(&hands_stop, memory_order_relaxed)) {
        for (int i = 0; i < 16; i++)
            one_pair(hand, NULL);
        hand->pairs += 16;
    }
    return NULL;
}

/* Where connections are scarce nobody begins before everybody waits. */
static void give_start(weir_shared *pool)
{
    struct bare_item *items[THREADS / 2];
    weir_loan loans[THREADS / 2];
    for (int i = 0; i < THREADS / 2; i++) {
        if (pool == NULL)
            items[i] = bare_take();
        else
            take(pool, &loans[i]);
    }
    pthread_barrier_wait(&hands_start);
    usleep(20000);
    for (int i = 0; i < THREADS / 2; i++) {
        if (pool == NULL)
            bare_give(items[i]);
        else
            weir_loan_return(&loans[i], WEIR_KEEP);
    }
}

static void run_hands(struct hand *hands)
{
    pthread_t threads[THREADS];
    atomic_store(&hands_stop, false);
    pthread_barrier_init(&hands_start, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, hand_main, &hands[i]);
    if (hands[0].hold_ns > 0)
        give_start(hands[0].pool);
    else
        pthread_barrier_wait(&hands_start);
    if (hands[0].waits == NULL) {
        usleep((useconds_t)(PAIRS_NS / 1000));
        atomic_store(&hands_stop, true);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&hands_start);
}

/* Millions of pairs a second. */
static double pairs_of(weir_shared *pool)
{
    struct hand hands[THREADS];
    uint64_t start = net_now_ns(), pairs = 0;
    for (int i = 0; i < THREADS; i++)
        hands[i] = (struct hand){.pool = pool};
    run_hands(hands);
    for (int i = 0; i < THREADS; i++)
        pairs += hands[i].pairs;
    return (double)pairs * 1e3 / (double)(net_now_ns() - start);
}

struct waits {
    double median_ns, longest_ns, longest_cut_ns;
};

static struct waits waits_of(weir_shared *pool, int batches, uint64_t hold_ns)
{
    size_t each = (size_t)WAIT_BATCH * (size_t)batches;
    double *all = malloc(THREADS * each * sizeof *all);
    struct hand hands[THREADS];
    struct waits waits = {0};
    for (int i = 0; i < THREADS; i++) {
        hands[i] = (struct hand){
            .pool = pool, .hold_ns = hold_ns, .waits = all + (size_t)i * each, .batches = batches};
        memset(hands[i].waits, 1, each * sizeof *all); /* its pages are there */
    }
    run_hands(hands);
    for (int i = 0; i < THREADS; i++) {
        const struct hand *hand = &hands[i];
        waits.longest_ns = hand->longest > waits.longest_ns ? hand->longest : waits.longest_ns;
        if (hand->longest_cut > waits.longest_cut_ns)
            waits.longest_cut_ns = hand->longest_cut;
    }
    waits.median_ns = median(all, (int)(THREADS * each));
    free(all);
    return waits;
}

/* --- all of it ----------------------------------------------------------------------------------
 */

static weir_err create(void *self, const weir_create *wish, void **ret_object)
{
    (void)wish;
    *ret_object = self;
    return WEIR_OK;
}

static weir_err destroy(void *self, void *object, weir_err why)
{
    (void)self, (void)object, (void)why;
    return WEIR_OK;
}

static weir_shared *open_pool(weir_runtime *runtime, const char *name, uint32_t max_total)
{
    static int thing;
    const weir_factory factory = {.size = sizeof factory, .create = create, .destroy = destroy};
    weir_shared_options opt = {.size = sizeof opt,
                               .pool = {.name = name, .max_total = max_total},
                               .factory = &factory,
                               .factory_self = &thing};
    weir_shared *pool;
    must(weir_shared_open(runtime, &opt, &pool));
    return pool;
}

struct row {
    const char *name;
    double values[ROUNDS_MAX];
};

enum {
    SAME_WORKER,
    TRIP,
    HANDOFF,
    HANDOFF_RATIO,
    WORKER_TRIP,
    MOVE,
    MOVE_RATIO,
    BARE_PAIRS,
    OUR_PAIRS,
    PAIRS_RATIO,
    TOLD_PAIRS,
    TOLD_RATIO,
    BARE_SCARCE,
    OUR_SCARCE,
    BARE_WAIT,
    BARE_LONGEST,
    OUR_WAIT,
    OUR_LONGEST,
    OUR_LONGEST_RATIO,
    BARE_LONGEST_RATIO,
    OUR_CUT,
    BARE_HELD,
    BARE_HELD_LONGEST,
    BARE_HELD_RATIO,
    OUR_HELD,
    OUR_HELD_LONGEST,
    OUR_HELD_RATIO,
    ROWS
};

static struct row rows[ROWS] = {
    [SAME_WORKER] = {.name = "same worker ns"},
    [TRIP] = {.name = "eventfd round trip ns"},
    [HANDOFF] = {.name = "to another thread ns"},
    [HANDOFF_RATIO] = {.name = "to another thread, of a round trip"},
    [WORKER_TRIP] = {.name = "eventfd round trip of workers ns"},
    [MOVE] = {.name = "move ns"},
    [MOVE_RATIO] = {.name = "move, of a round trip"},
    [BARE_PAIRS] = {.name = "bare pool, 4 threads, 4 connections, million pairs/s"},
    [OUR_PAIRS] = {.name = "weir, 4 threads, 4 connections, million pairs/s"},
    [PAIRS_RATIO] = {.name = "pairs/s, of the bare pool's"},
    [TOLD_PAIRS] = {.name = "weir, each lease told to the engine, million pairs/s"},
    [TOLD_RATIO] = {.name = "each lease told to the engine, of the bare pool's"},
    [BARE_SCARCE] = {.name = "bare pool, 4 threads, 2 connections, million pairs/s"},
    [OUR_SCARCE] = {.name = "weir, 4 threads, 2 connections, million pairs/s"},
    [BARE_WAIT] = {.name = "bare pool, median wait ns"},
    [BARE_LONGEST] = {.name = "bare pool, longest wait ns"},
    [OUR_WAIT] = {.name = "weir, median wait ns"},
    [OUR_LONGEST] = {.name = "weir, longest wait ns"},
    [OUR_LONGEST_RATIO] = {.name = "weir, longest wait, of the median"},
    [BARE_LONGEST_RATIO] = {.name = "bare pool, longest wait, of the median"},
    [OUR_CUT] = {.name = "weir, longest wait with the core taken away ns"},
    [BARE_HELD] = {.name = "bare pool, 2 connections held for 20 us: median wait ns"},
    [BARE_HELD_LONGEST] = {.name = "bare pool, 2 connections held for 20 us: longest wait ns"},
    [BARE_HELD_RATIO] = {.name = "bare pool, 2 connections held for 20 us: longest of the median"},
    [OUR_HELD] = {.name = "weir, 2 connections held for 20 us: median wait ns"},
    [OUR_HELD_LONGEST] = {.name = "weir, 2 connections held for 20 us: longest wait ns"},
    [OUR_HELD_RATIO] = {.name = "weir, 2 connections held for 20 us: longest of the median"},
};

struct pools {
    weir_shared *single, *ample, *scarce, *told;
};

static void measure(int round, const struct pools *pools)
{
    double now[ROWS] = {0};
    now[SAME_WORKER] = same_worker_ns();
    run_pair(pools->single, &now[TRIP], &now[HANDOFF]);
    now[HANDOFF_RATIO] = now[HANDOFF] / now[TRIP];
    run_move(&now[WORKER_TRIP], &now[MOVE]);
    now[MOVE_RATIO] = now[MOVE] / now[WORKER_TRIP];
    bare_fill(THREADS);
    now[BARE_PAIRS] = pairs_of(NULL);
    now[OUR_PAIRS] = pairs_of(pools->ample);
    now[PAIRS_RATIO] = now[OUR_PAIRS] / now[BARE_PAIRS];
    now[TOLD_PAIRS] = pairs_of(pools->told);
    now[TOLD_RATIO] = now[TOLD_PAIRS] / now[BARE_PAIRS];
    struct waits plain = waits_of(NULL, WAIT_BATCHES, 0);
    struct waits ours = waits_of(pools->ample, WAIT_BATCHES, 0);
    now[BARE_WAIT] = plain.median_ns;
    now[BARE_LONGEST] = plain.longest_ns;
    now[BARE_LONGEST_RATIO] = plain.longest_ns / plain.median_ns;
    now[OUR_WAIT] = ours.median_ns;
    now[OUR_LONGEST] = ours.longest_ns;
    now[OUR_LONGEST_RATIO] = ours.longest_ns / ours.median_ns;
    now[OUR_CUT] = ours.longest_cut_ns;
    bare_fill(THREADS / 2);
    now[BARE_SCARCE] = pairs_of(NULL);
    now[OUR_SCARCE] = pairs_of(pools->scarce);
    plain = waits_of(NULL, HELD_BATCHES, HOLD_NS);
    ours = waits_of(pools->scarce, HELD_BATCHES, HOLD_NS);
    now[BARE_HELD] = plain.median_ns;
    now[BARE_HELD_LONGEST] = plain.longest_ns;
    now[BARE_HELD_RATIO] = plain.longest_ns / plain.median_ns;
    now[OUR_HELD] = ours.median_ns;
    now[OUR_HELD_LONGEST] = ours.longest_ns;
    now[OUR_HELD_RATIO] = ours.longest_ns / ours.median_ns;
    for (int i = 0; i < ROWS; i++)
        rows[i].values[round] = now[i];
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 5;
    weir_runtime *runtime;
    weir_runtime_options opt = {.size = sizeof opt, .workers = 1, .conns_max = 64};
    if (rounds < 1 || rounds > ROUNDS_MAX)
        return 2;
    must(weir_runtime_open(&opt, &runtime));
    struct pools pools = {.single = open_pool(runtime, "single", 1),
                          .ample = open_pool(runtime, "ample", THREADS),
                          .scarce = open_pool(runtime, "scarce", THREADS / 2),
                          .told = open_pool(runtime, "told", THREADS)};
    weir_pool_options rules;
    weir_shared_options_of(pools.told, &rules);
    rules.lease_warn_ms = 60000; /* so it has to know of each */
    must(weir_shared_update(pools.told, &rules));
    for (int i = 0; i < rounds; i++)
        measure(i, &pools);
    for (int i = 0; i < ROWS; i++)
        printf("%s\"%s\": %.2f", i == 0 ? "{" : ", ", rows[i].name, median(rows[i].values, rounds));
    printf("}\n");
    must(weir_runtime_close(runtime, 1000));
    return 0;
}
