/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h - pools with everything around them: threads, loops, clocks, and calls that may come
 * from any thread.
 *
 * A *runtime* has workers: threads with an event loop each, or one guest in a loop of the
 * program's. A *shared pool* is a pool of weir.h behind a lock, served by one of the workers: any
 * thread may acquire from it and return to it, waiting (weir_acquire_wait), trying
 * (weir_acquire_now) or with a callback (weir_acquire_async). There is one pool, one ledger and one
 * queue whatever the number of workers and threads: limits are exact, and callers of a key are
 * served in the order in which they came.
 *
 *     weir_factory factory = {.create = open_one, .destroy = close_one, .threads_max = 4};
 *     weir_shared_options opt = {.pool = {.name = "db", .max_total = 10}, .factory = &factory};
 *     weir_runtime_open(NULL, &runtime);
 *     weir_shared_open(runtime, &opt, &pool);
 *     ...
 *     weir_loan loan;
 *     if (weir_acquire_wait(pool, &key, NULL, &loan) == WEIR_OK) {
 *         ... loan.object ...
 *         weir_loan_return(&loan, WEIR_KEEP);
 *     }
 *
 * Rules:
 *  1. Functions of this header may be called from any thread, but for what says otherwise at its
 * place; docs/threads.md has them all in a table.
 *  2. Callbacks run without a lock of weir's held, on the thread of the pool's worker, and may call
 * everything but weir_runtime_close() and weir_acquire_wait() (which answers WEIR_ESTATE there
 * rather than wait for itself).
 *  3. What is borrowed is returned once, by any thread. Returning it again is answered WEIR_ESTALE.
 *  4. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_RUNTIME_H
#define WEIR_RUNTIME_H

#include <weir/factory.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the runtime --------------------------------------------------------------------------------
 */

typedef struct weir_runtime weir_runtime;
typedef struct weir_shared weir_shared;

/* A line of a log, without its end; on the thread where it happened. */
typedef void weir_log_fn(void *arg, weir_level level, const char *line);

typedef struct weir_runtime_options {
    size_t size;
    uint32_t workers;        /* [one for each processor] at most 128 */
    uint32_t pools_max;      /* shared pools [64] */
    uint32_t conns_max;      /* connections of one shared pool, and of one worker [10 000] */
    uint32_t waiting_max;    /* callers waiting at one shared pool, and at one worker [1000] */
    uint32_t keys_max;       /* keys of one shared pool, and of one worker [4096] */
    uint32_t posts_max;      /* weir_runtime_post() not yet run [1024] */
    uint64_t seed;           /* of jitter and exploration [the clock] */
    weir_event_fn *on_event; /* of every pool, on its worker's thread; event->pool is NULL */
    void *event_arg;
    uint32_t events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
    weir_allocator allocator;
    weir_log_fn *log; /* weir writes no log of its own: this is where it goes. May be NULL */
    void *log_arg;
    weir_level log_level; /* the least important that is told [WEIR_LEVEL_WARN] */
} weir_runtime_options;

/* With threads of its own. opt may be NULL. WEIR_EINVAL: weir_runtime_fault() names the field;
 * WEIR_ENOMEM; WEIR_EIO: no thread, no descriptor. */
WEIR_API weir_err weir_runtime_open(const weir_runtime_options *opt, weir_runtime **ret_runtime);

/* As a guest in the program's libuv loop (a uv_loop_t): one worker, no thread; everything happens
 * inside uv_run(). For the loop's thread. */
struct uv_loop_s;
WEIR_API weir_err weir_runtime_open_on_uv(struct uv_loop_s *loop, const weir_runtime_options *opt,
                                          weir_runtime **ret_runtime);

/* As a guest in any loop: one worker, no thread. Poll weir_runtime_fd() for reading, for at most
 * weir_runtime_timeout_ms() (-1: for ever); then, and after calls of this header from the loop's
 * own thread, call weir_runtime_turn(). The three are for that thread. */
WEIR_API weir_err weir_runtime_open_hosted(const weir_runtime_options *opt,
                                           weir_runtime **ret_runtime);
WEIR_API int weir_runtime_fd(const weir_runtime *runtime); /* -1: it has threads of its own */
WEIR_API int weir_runtime_timeout_ms(const weir_runtime *runtime);
/* Waits for at most timeout_ms (-1: until something happens) and does what is due. */
WEIR_API weir_err weir_runtime_turn(weir_runtime *runtime, int timeout_ms);

/* Closes all pools and ends. Loans that are out have grace_ms to be returned; then they are cut,
 * and the answer is WEIR_ESTATE: the runtime is still there, closing; return them and call again. A
 * factory's threads that do not come back are left behind. No other thread may be inside a call,
 * and it is none of the runtime's own callbacks. Its clients and servers (http.h, server.h) were
 * closed before; while there is one, WEIR_ESTATE. */
WEIR_API weir_err weir_runtime_close(weir_runtime *take_runtime, uint32_t grace_ms);

/* How many there are. They are numbered from 0. */
WEIR_API uint32_t weir_runtime_workers(const weir_runtime *runtime);

/* Runs fn on a worker's thread, soon. The engine is that worker's own: pools of the same name that
 * are opened on several workers' engines share their limits, exactly. WEIR_EFULL: posts_max;
 * WEIR_EINVAL: no such worker. */
typedef void weir_worker_fn(void *arg, weir_engine *engine, uint32_t worker);
WEIR_API weir_err weir_runtime_post(weir_runtime *runtime, uint32_t worker, weir_worker_fn *fn,
                                    void *arg);

/* --- shared pools -------------------------------------------------------------------------------
 */

typedef struct weir_shared_options {
    size_t size;
    weir_pool_options pool;      /* `connector` and `connector_self` stay NULL */
    const weir_factory *factory; /* copied */
    void *factory_self;          /* must outlive the pool */
} weir_shared_options;

/* WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EEXISTS: the name is taken; WEIR_EFULL:
 * pools_max; WEIR_ENOMEM; WEIR_ECLOSED: the runtime is closing. */
WEIR_API weir_err weir_shared_open(weir_runtime *runtime, const weir_shared_options *opt,
                                   weir_shared **ret_pool);
/* The pool of that name when factory and options are equal, else a new one, else WEIR_EEXISTS.
 * Without a name: any pool of this factory with equal options, else a new one, whose name is the
 * factory's scheme, with a number where that is taken. */
WEIR_API weir_err weir_shared_get(weir_runtime *runtime, const weir_shared_options *opt,
                                  weir_shared **ret_pool);
WEIR_API weir_shared *weir_shared_find(weir_runtime *runtime, const char *name); /* or NULL */
/* The word of the option that this thread's last WEIR_EINVAL was about, or "". */
WEIR_API const char *weir_runtime_fault(void);

/* Callers that wait fail with WEIR_ECLOSED, connections close, leased ones when they are returned
 * or, cut, after grace_ms. Loans may still be returned; nothing else may be done with the pool. */
WEIR_API void weir_shared_close(weir_shared *take_pool, uint32_t grace_ms);

/* As weir_pool_…() in weir.h. */
WEIR_API const char *weir_shared_name(const weir_shared *pool);
WEIR_API void weir_shared_options_of(weir_shared *pool, weir_pool_options *ret_opt);
WEIR_API weir_err weir_shared_update(weir_shared *pool, const weir_pool_options *opt);
WEIR_API void weir_shared_flush(weir_shared *pool, const weir_key *only, uint32_t grace_ms);
/* Whether idle connections are validated every probe_every. WEIR_ESTATE: they cannot be;
 * WEIR_ECLOSED. */
WEIR_API weir_err weir_shared_probe(weir_shared *pool, bool on);

/* --- loans --------------------------------------------------------------------------------------
 */

/* What a caller holds: an object, and how to give it back. */
typedef struct weir_loan {
    weir_shared *pool; /* NULL: nothing is held */
    void *object;      /* the factory's */
    weir_lease lease;
    weir_conn conn;
    uint32_t slot;      /* of the connection: 0 … max_per_key - 1 */
    uint32_t waited_ms; /* in the queue */
    bool reused;        /* it has served before */
    weir_fate fate;     /* for WEIR_SCOPED(lease): how it will be returned [WEIR_KEEP] */
    struct {            /* weir's own */
        void *made;
        uint64_t serial, turn;
        uint32_t number;
    } own;
} weir_loan;

/* Waits for a connection, for as long as opt->timeout_ms [the pool's acquire_timeout]; opt may be
 * NULL. The errors of weir_acquire() and of the grant, and WEIR_ESTATE: this is a thread of a
 * worker, which must not wait. On the thread that turns a hosted runtime it turns it meanwhile. */
WEIR_API weir_err weir_acquire_wait(weir_shared *pool, const weir_key *key,
                                    const weir_acquire_options *opt, weir_loan *ret_loan);

/* What is idle, or WEIR_EAGAIN: never waits, never dials. The errors of weir_try_acquire(). */
WEIR_API weir_err weir_acquire_now(weir_shared *pool, const weir_key *key,
                                   const weir_acquire_options *opt, weir_loan *ret_loan);

/* The loan is the callback's to copy and return. err says why there is none; retry_after_ms, with
 * WEIR_EDOWN, when it makes sense to ask again. */
typedef void weir_loan_fn(void *arg, weir_err err, const weir_loan *loan, uint32_t retry_after_ms);

/* Has fn called once, later, on the thread of the pool's worker. The errors of weir_acquire(): then
 * it is not called. */
WEIR_API weir_err weir_acquire_async(weir_shared *pool, const weir_key *key,
                                     const weir_acquire_options *opt, weir_loan_fn *fn, void *arg,
                                     weir_lease *ret_lease);
/* Its callback gets WEIR_ECANCELED. WEIR_ESTALE: it was called already, or is being called. */
WEIR_API weir_err weir_acquire_cancel(weir_shared *pool, weir_lease lease);

/* Ends the loan and empties the struct. WEIR_ESTALE: it was returned before. */
WEIR_API weir_err weir_loan_return(weir_loan *loan, weir_fate fate);
/* The same, with the reason for BROKEN that counters and listings will show. */
WEIR_API weir_err weir_loan_return_why(weir_loan *loan, weir_fate fate, weir_err why);

/* A variable that gives back what it holds when its scope ends:
 *
 *     WEIR_SCOPED(lease) loan = {0};
 *     if (weir_acquire_wait(pool, &key, NULL, &loan) != WEIR_OK) { return; }
 *     ... return, break and goto all give it back, as loan.fate says ... */
#ifdef __GNUC__
#    define WEIR_SCOPED(noun) __attribute__((cleanup(weir_scoped_##noun##_end))) weir_scoped_##noun
#endif
typedef weir_loan weir_scoped_lease;
WEIR_API void weir_scoped_lease_end(weir_scoped_lease *loan);

/* --- reports ------------------------------------------------------------------------------------
 */

/* As weir_pool_stats(), weir_pool_health(); and of its factory. */
WEIR_API void weir_shared_stats(weir_shared *pool, weir_stats *ret_stats);
WEIR_API void weir_shared_health(weir_shared *pool, weir_health_report *ret_report);
WEIR_API void weir_shared_factory_stats(weir_shared *pool, weir_factory_stats *ret_stats);

/* Shows each under the pool's lock: the function is quick, calls nothing of weir, and keeps no
 * pointer. It returns false to stop. info->object is the factory's. */
WEIR_API void weir_shared_each(weir_shared *pool, bool (*fn)(void *arg, const weir_conn_info *info),
                               void *arg);
WEIR_API void weir_shared_each_key(weir_shared *pool,
                                   bool (*fn)(void *arg, const weir_key_info *info), void *arg);
/* WEIR_EAGAIN: the pool does not know the key. ret_info->key is NULL. */
WEIR_API weir_err weir_shared_key_of(weir_shared *pool, const weir_key *key,
                                     weir_key_info *ret_info);
WEIR_API size_t weir_shared_explain(weir_shared *pool, const weir_key *key, char *ret_text,
                                    size_t size);

/* All shared pools and their figures at once, in the order in which they were opened. The function
 * returns false to stop; it may use the pool. */
WEIR_API void weir_runtime_each(weir_runtime *runtime,
                                bool (*fn)(void *arg, weir_shared *pool, const weir_stats *stats),
                                void *arg);

#ifdef __cplusplus
}
#endif
#endif
