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
 * medians over the rounds, ratios medians of the ratios within a round. The two of a ratio take
 * turns within a round, by the single hand-off or by slices of it, in the same rhythm and on the
 * same cores: what a wake-up costs depends on how long the other core has slept, and how much of
 * the machine there is on everybody else.
 */
#include <weir/runtime.h>

#include "io/socket.h"
#include "net.h"
#include "runtime/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS_MAX 101
#define STEP_BATCH 200000
#define TRIPS      3000
#define MOVES      300   /* one after the other; then as many trips of the workers */
#define ASLEEP_NS  30000 /* by then a thread that was about to sleep does */
#define THREADS    4
#define SLICES     6
#define SLICE_US   8000
#define HOLD_NS    100000 /* where connections are scarce: as long as a peer nearby takes */
#define WAITS      32000
#define WAITS_HELD 1500

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
    _Atomic uint32_t about; /* to wait: the other thread, so many times */
    uint32_t awaited;       /* of these: the one */
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

/* Two threads that are each on a core of its own, where there are two. */
static void pin_to(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
        sched_setaffinity(0, sizeof cores, &cores);
}

static void spin(uint64_t ns)
{
    if (ns == 0)
        return;
    for (uint64_t end = net_now_ns() + ns; net_now_ns() < end;) {
    }
}

static void answer_trip(struct pair *pair)
{
    atomic_fetch_add(&pair->about, 1);
    get(pair->there);
    put(pair->back);
}

/* Both begin where the other one sleeps for it. */
static void await_sleeper(struct pair *pair)
{
    uint32_t about = ++pair->awaited;
    while (atomic_load(&pair->about) != about) {
    }
    spin(ASLEEP_NS);
}

static double make_trip(struct pair *pair)
{
    await_sleeper(pair);
    uint64_t start = net_now_ns();
    put(pair->there);
    get(pair->back);
    return (double)(net_now_ns() - start);
}

static const weir_key shared_key = {.host = "a.example"};

static void take(weir_shared *pool, weir_loan *ret_loan)
{
    must(weir_acquire_wait(pool, &shared_key, NULL, ret_loan));
}

static void *pair_other(void *self)
{
    struct pair *pair = self;
    static double took[TRIPS];
    pin_to(1);
    for (int i = 0; i < TRIPS; i++) {
        weir_loan loan;
        answer_trip(pair);
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

/* The other thread sleeps until this one returns its connection; before each of these a round trip
 * of the two eventfds, which begins alike. */
static void *pair_one(void *self)
{
    struct pair *pair = self;
    static double took[TRIPS];
    pin_to(0);
    for (uint32_t i = 0; i < TRIPS; i++) {
        weir_loan loan;
        took[i] = make_trip(pair);
        take(pair->pool, &loan);
        put(pair->there);
        await_sleeper(pair);
        atomic_store(&pair->given_ns, net_now_ns());
        weir_loan_return(&loan, WEIR_KEEP);
        get(pair->back);
    }
    pair->trip_ns = median(took, TRIPS);
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

static double move_took[TRIPS], trip_took[TRIPS];
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
    if (grant->err == WEIR_OK && moves_count < TRIPS)
        move_took[moves_count] = (double)(net_now_ns() - carrier->asked_ns);
    must(weir_release(carrier->pool, grant->lease, WEIR_KEEP));
    if (++moves_count % MOVES != 0)
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
    for (int i = 0; i < MOVES; i++)
        trip_took[value * MOVES + (uint64_t)i] = make_trip(&move_pair);
    atomic_store((_Atomic bool *)self, true);
}

static void trips_back(void *self, uint64_t value)
{
    (void)self, (void)value;
    for (int i = 0; i < MOVES; i++)
        answer_trip(&move_pair);
}

static void await(_Atomic bool *flag)
{
    while (!atomic_exchange(flag, false))
        usleep(1000);
}

static void run_move(double *ret_trip_ns, double *ret_move_ns)
{
    _Atomic bool is_over = false;
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
    for (uint64_t i = 0; i < TRIPS / MOVES; i++) {
        worker_post(carriers[1].worker, trips_back, NULL, 0);
        worker_post(carriers[0].worker, trips_there, &is_over, i);
        await(&is_over);
        worker_post(carriers[0].worker, ask, &carriers[0], 0); /* it is at the other one */
        await(&is_over);
    }
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
    *ret_trip_ns = median(trip_took, TRIPS);
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

/* What a hand is to do: to take and give for a slice of time, or so many times, each of them timed.
 */
struct work {
    weir_shared *pool; /* NULL: the bare one */
    uint64_t hold_ns;
    int count; /* 0: for a slice */
};

struct hand {
    pthread_t thread;
    int core_fd;   /* /proc/thread-self/schedstat */
    double rate;   /* pairs a second, while it had a core or waited at the pool */
    double *waits; /* each of its acquires, in ns */
};

/* The same four threads for everything. */
static struct hands {
    struct hand each[THREADS];
    pthread_barrier_t start, end;
    struct work work;
    _Atomic bool stop, is_over;
} hands;

/* How long this thread was ready to run and was given no core. */
static uint64_t coreless_ns(const struct hand *hand)
{
    char text[96] = "";
    unsigned long long ran = 0, waited = 0;
    if (pread(hand->core_fd, text, sizeof text - 1, 0) <= 0
        || sscanf(text, "%llu %llu", &ran, &waited) != 2)
        return 0;
    return waited;
}

/* As one does who waits for a peer: the core is free for others. */
static void hold(uint64_t ns)
{
    const struct timespec time = {.tv_nsec = (long)ns};
    if (ns > 0)
        nanosleep(&time, NULL);
}

static void one_pair(const struct work *work)
{
    if (work->pool == NULL) {
        bare_give(bare_take());
    } else {
        weir_loan loan;
        take(work->pool, &loan);
        weir_loan_return(&loan, WEIR_KEEP);
    }
}

/* How long it took to get one. Where that takes long, the time in which it was there and the thread
 * had no core yet is apart. */
static double timed_pair(const struct hand *hand, const struct work *work)
{
    struct bare_item *item = NULL;
    weir_loan loan;
    uint64_t coreless = work->hold_ns > 0 ? coreless_ns(hand) : 0;
    uint64_t start = net_now_ns();
    if (work->pool == NULL)
        item = bare_take();
    else
        take(work->pool, &loan);
    uint64_t waited_ns = net_now_ns() - start;
    coreless = work->hold_ns > 0 ? coreless_ns(hand) - coreless : 0;
    hold(work->hold_ns);
    if (work->pool == NULL)
        bare_give(item);
    else
        weir_loan_return(&loan, WEIR_KEEP);
    return waited_ns > coreless ? (double)(waited_ns - coreless) : 0;
}

static void count_pairs(struct hand *hand, const struct work *work)
{
    uint64_t pairs = 0, start = net_now_ns(), coreless = coreless_ns(hand);
    while (!atomic_load_explicit(&hands.stop, memory_order_relaxed)) {
        for (int i = 0; i < 16; i++)
            one_pair(work);
        pairs += 16;
    }
    coreless = coreless_ns(hand) - coreless;
    hand->rate = (double)pairs * 1e9 / (double)(net_now_ns() - start - coreless);
}

/* Before all other programs, where that is permitted: who holds a connection and is given no core
 * keeps everybody waiting, and that is not the pool's doing. */
static void go_first(bool first)
{
    const struct sched_param param = {.sched_priority = first ? 1 : 0};
    pthread_setschedparam(pthread_self(), first ? SCHED_RR : SCHED_OTHER, &param);
}

static void time_pairs(struct hand *hand, const struct work *work)
{
    go_first(work->hold_ns > 0);
    one_pair(work); /* the start */
    for (int i = 0; i < work->count; i++)
        hand->waits[i] = timed_pair(hand, work);
    go_first(false);
}

static void *hand_main(void *self)
{
    struct hand *hand = self;
    hand->core_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (;;) {
        pthread_barrier_wait(&hands.start);
        if (atomic_load(&hands.is_over))
            return NULL;
        if (hands.work.count == 0)
            count_pairs(hand, &hands.work);
        else
            time_pairs(hand, &hands.work);
        pthread_barrier_wait(&hands.end);
    }
}

static void hands_open(void)
{
    pthread_barrier_init(&hands.start, NULL, THREADS + 1);
    pthread_barrier_init(&hands.end, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&hands.each[i].thread, NULL, hand_main, &hands.each[i]);
}

static void hands_close(void)
{
    atomic_store(&hands.is_over, true);
    pthread_barrier_wait(&hands.start);
    for (int i = 0; i < THREADS; i++)
        pthread_join(hands.each[i].thread, NULL);
}

static void hands_run(const struct work *work)
{
    hands.work = *work;
    atomic_store(&hands.stop, false);
    pthread_barrier_wait(&hands.start);
    if (work->count == 0) {
        usleep(SLICE_US);
        atomic_store(&hands.stop, true);
    }
    pthread_barrier_wait(&hands.end);
}

/* Millions of pairs a second, of as many cores as there are. */
static double pairs_in_slice(weir_shared *pool)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double rate = 0;
    hands_run(&(struct work){.pool = pool});
    for (int i = 0; i < THREADS; i++)
        rate += hands.each[i].rate;
    return rate * (double)(cores < THREADS ? cores : THREADS) / THREADS / 1e6;
}

/* The same of both pools, by turns. */
static void pairs_of(weir_shared *pool, double *ret_bare, double *ret_ours)
{
    static double bare_rates[SLICES], our_rates[SLICES];
    for (int i = 0; i < SLICES; i++) {
        if (i % 2 == 0)
            bare_rates[i] = pairs_in_slice(NULL);
        our_rates[i] = pairs_in_slice(pool);
        if (i % 2 == 1)
            bare_rates[i] = pairs_in_slice(NULL);
    }
    *ret_bare = median(bare_rates, SLICES);
    *ret_ours = median(our_rates, SLICES);
}

struct waits {
    double median_ns, longest_ns;
};

static struct waits waits_of(const struct work *work)
{
    size_t all_count = (size_t)THREADS * (size_t)work->count;
    double *all = malloc(all_count * sizeof *all);
    memset(all, 1, all_count * sizeof *all); /* its pages are there */
    for (int i = 0; i < THREADS; i++)
        hands.each[i].waits = all + i * work->count;
    hands_run(work);
    struct waits waits = {.median_ns = median(all, (int)all_count),
                          .longest_ns = all[all_count - 1]};
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
    [BARE_WAIT] = {.name = "bare pool, 4 connections: median wait ns"},
    [BARE_LONGEST] = {.name = "bare pool, 4 connections: longest wait ns"},
    [OUR_WAIT] = {.name = "weir, 4 connections: median wait ns"},
    [OUR_LONGEST] = {.name = "weir, 4 connections: longest wait ns"},
    [BARE_HELD] = {.name = "bare pool, 2 connections held for 200 us: median wait ns"},
    [BARE_HELD_LONGEST] = {.name = "bare pool, 2 connections held for 200 us: longest wait ns"},
    [BARE_HELD_RATIO] = {.name = "bare pool, 2 connections held for 200 us: longest of the median"},
    [OUR_HELD] = {.name = "weir, 2 connections held for 200 us: median wait ns"},
    [OUR_HELD_LONGEST] = {.name = "weir, 2 connections held for 200 us: longest wait ns"},
    [OUR_HELD_RATIO] = {.name = "weir, 2 connections held for 200 us: longest of the median"},
};

struct pools {
    weir_shared *single, *ample, *scarce, *told;
};

static void measure_handing_on(double *now, const struct pools *pools)
{
    now[SAME_WORKER] = same_worker_ns();
    run_pair(pools->single, &now[TRIP], &now[HANDOFF]);
    now[HANDOFF_RATIO] = now[HANDOFF] / now[TRIP];
    run_move(&now[WORKER_TRIP], &now[MOVE]);
    now[MOVE_RATIO] = now[MOVE] / now[WORKER_TRIP];
}

static void measure_threads(double *now, const struct pools *pools)
{
    double bare_beside;
    bare_fill(THREADS);
    pairs_of(pools->ample, &now[BARE_PAIRS], &now[OUR_PAIRS]);
    now[PAIRS_RATIO] = now[OUR_PAIRS] / now[BARE_PAIRS];
    pairs_of(pools->told, &bare_beside, &now[TOLD_PAIRS]);
    now[TOLD_RATIO] = now[TOLD_PAIRS] / bare_beside;
    struct waits plain = waits_of(&(struct work){.count = WAITS});
    struct waits ours = waits_of(&(struct work){.pool = pools->ample, .count = WAITS});
    now[BARE_WAIT] = plain.median_ns;
    now[BARE_LONGEST] = plain.longest_ns;
    now[OUR_WAIT] = ours.median_ns;
    now[OUR_LONGEST] = ours.longest_ns;
}

static void measure_scarce(double *now, const struct pools *pools)
{
    bare_fill(THREADS / 2);
    pairs_of(pools->scarce, &now[BARE_SCARCE], &now[OUR_SCARCE]);
    struct waits plain = waits_of(&(struct work){.count = WAITS_HELD, .hold_ns = HOLD_NS});
    struct waits ours =
        waits_of(&(struct work){.pool = pools->scarce, .count = WAITS_HELD, .hold_ns = HOLD_NS});
    now[BARE_HELD] = plain.median_ns;
    now[BARE_HELD_LONGEST] = plain.longest_ns;
    now[BARE_HELD_RATIO] = plain.longest_ns / plain.median_ns;
    now[OUR_HELD] = ours.median_ns;
    now[OUR_HELD_LONGEST] = ours.longest_ns;
    now[OUR_HELD_RATIO] = ours.longest_ns / ours.median_ns;
}

static void measure(int round, const struct pools *pools)
{
    double now[ROWS] = {0};
    measure_handing_on(now, pools);
    measure_threads(now, pools);
    measure_scarce(now, pools);
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
    hands_open();
    for (int i = 0; i < rounds; i++)
        measure(i, &pools);
    hands_close();
    for (int i = 0; i < ROWS; i++)
        printf("%s\"%s\": %.2f", i == 0 ? "{" : ", ", rows[i].name, median(rows[i].values, rounds));
    printf("}\n");
    must(weir_runtime_close(runtime, 1000));
    return 0;
}
