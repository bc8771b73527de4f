/* SPDX-License-Identifier: Apache-2.0
 *
 * weir.h - keyed connection pools that decide and do nothing else.
 *
 * An *engine* holds *pools*; a pool holds *connections*, grouped by *key*. A caller borrows one
 * under a *lease* and says at the end what became of it. A *connector* is the protocol: the pool
 * tells it when to dial, probe and close, and it tells the pool what happened. The engine opens no
 * socket, reads no clock, starts no thread, takes no lock, and allocates nothing after opening:
 * time is an argument of weir_step(), and all randomness comes from the seed. Equal inputs have
 * equal outcomes.
 *
 * Rules:
 *  1. Every callback - a connector's functions, lease callbacks, events - runs inside weir_step()
 * and nowhere else. Inside a callback everything may be called but weir_step() and
 * weir_engine_free().
 *  2. After any other call that changed something weir_step() has work to do:
 * weir_engine_pending().
 *  3. Freeing an engine closes everything, and nothing calls back after.
 *  4. A pool pointer is dead when its pool_closed event returns, not before.
 *  5. A connection id is born at dial, admit or attach, dies at weir_conn_down() or detach, and is
 * never used again. A lease id is born at acquire and dies at release, or when its callback brings
 * an error. A stale id is an answer (WEIR_ESTALE), not a crash.
 *  6. A lease callback runs exactly once, in a later step. A canceled one gets WEIR_ECANCELED.
 *  7. The connector owns its object; the pool carries the pointer.
 *  8. Strings and structs passed in are copied before the call returns.
 *  9. An engine and all that is in it belong to one thread at a time.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(WEIR_STATIC) || !defined(__GNUC__)
#    define WEIR_API
#else
#    define WEIR_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* --- words -------------------------------------------------------------------------------------
 */

/* Every error and every reason; the rows are in <weir/def/err.def>. */
typedef enum weir_err {
    WEIR_OK = 0,
#define WEIR_ERR(name, word, where, text) WEIR_E##name,
#include <weir/def/err.def>
#undef WEIR_ERR
    WEIR_ERRS /* how many there are */
} weir_err;

typedef enum weir_state {
#define WEIR_STATE_ROW(name, word, text) WEIR_##name,
#include <weir/def/state.def>
#undef WEIR_STATE_ROW
    WEIR_STATES
} weir_state;

typedef enum weir_key_state {
#define WEIR_KEY_STATE_ROW(name, word, text) WEIR_KEY_##name,
#include <weir/def/key_state.def>
#undef WEIR_KEY_STATE_ROW
    WEIR_KEY_STATES
} weir_key_state;

typedef enum weir_event_kind {
#define WEIR_EVENT_ROW(name, word, text) WEIR_EVENT_##name,
#include <weir/def/event.def>
#undef WEIR_EVENT_ROW
    WEIR_EVENTS
} weir_event_kind;

typedef enum weir_fate {
#define WEIR_FATE_ROW(name, word, text) WEIR_##name,
#include <weir/def/fate.def>
#undef WEIR_FATE_ROW
    WEIR_FATES
} weir_fate;

typedef enum weir_health {
#define WEIR_HEALTH_ROW(name, word, text) WEIR_##name,
#include <weir/def/health.def>
#undef WEIR_HEALTH_ROW
    WEIR_HEALTHS
} weir_health;

/* Where a reason may turn up: the third column of err.def. */
enum { WEIR_ON_CLOSE = 1, WEIR_ON_REFUSE = 2, WEIR_ON_FAIL = 4, WEIR_ON_ALL = 7 };

/* Values of options. Zero in a field means its default. */
#define WEIR_NEVER       UINT32_MAX       /* a time that does not come */
#define WEIR_UNLIMITED   UINT32_MAX       /* a number without bound */
#define WEIR_NONE        (UINT32_MAX - 1) /* zero itself */
#define WEIR_MOST        (UINT32_MAX - 2) /* the largest number that is one */
#define WEIR_NO_DEADLINE UINT64_MAX       /* weir_step() has nothing to wait for */

enum { WEIR_OFF = 1, WEIR_ON = 2 };                                            /* flags */
enum { WEIR_NEWEST = 1, WEIR_OLDEST = 2, WEIR_FEWEST = 3, WEIR_NO_REUSE = 4 }; /* reuse */
enum { WEIR_FAIL = 1, WEIR_WAIT = 2 };                                         /* on_dial_error */
enum { WEIR_LAZY = 1, WEIR_EAGER = 2 };                                        /* reconnect */
/* warm, beside WEIR_OFF: how far a connection must have come */
enum {
    WEIR_WARM_UP = 2,    /* it is up, and has heard how many leases it may carry */
    WEIR_WARM_PROBE = 3, /* and has answered a probe */
    WEIR_WARM_DNS = 4,   /* none is dialled; the name was looked up: weir_pool_resolved() */
    WEIR_WARM_TCP = 5,   /* the transport is there: weir_conn_handshake() */
    WEIR_WARM_TLS = 6    /* the handshake is done: weir_conn_up() */
};
enum { WEIR_GRADIENT2 = 2, WEIR_AIMD = 3 }; /* concurrency, beside WEIR_OFF */

/* The word of a row (logs, metrics, configuration) and its text for people. Never NULL. */
WEIR_API const char *weir_err_text(weir_err err);
WEIR_API const char *weir_err_word(weir_err err);
WEIR_API unsigned weir_err_where(weir_err err); /* WEIR_ON_CLOSE | … */
WEIR_API const char *weir_state_word(weir_state state);
WEIR_API const char *weir_key_state_word(weir_key_state state);
WEIR_API const char *weir_event_word(weir_event_kind kind);
WEIR_API const char *weir_fate_word(weir_fate fate);
WEIR_API const char *weir_health_word(weir_health health);

/* --- ids and keys ------------------------------------------------------------------------------
 */

/* Values; zero is never a valid id. */
typedef struct weir_conn {
    uint64_t id;
} weir_conn;

typedef struct weir_lease {
    uint64_t id;
} weir_lease;

/* What a key may take: its texts with a byte for the end of each, and six bytes for port and pool.
 * Nothing of it is ever cut off: a longer one is answered WEIR_EINVAL. */
#define WEIR_KEY_BYTES_MAX 4096U

/* Two requests may share a connection if and only if their keys are equal, field by field, every
 * byte of them. The scheme and the host compare without case; NULL and "" are the same. */
typedef struct weir_key {
    const char *scheme, *host;
    uint16_t port;
    const char *source; /* local address to dial from, or NULL */
    const char *proxy;  /* "socks5://user:pass@127.0.0.1:1080", or NULL */
    const char
        *tls; /* fingerprint of a TLS profile (SNI, CA, verification, ALPN, certificate), or NULL */
    const char *tenant; /* whose connection it is: account, phone, API key; or NULL */
} weir_key;

/* --- the connector: one protocol ----------------------------------------------------------------
 */

/* A dial or a probe is answered once, with weir_conn_up() or weir_conn_down(), at once or later. A
 * close is answered once with weir_conn_down(). `self` is weir_pool_options.connector_self. */
typedef struct weir_connector {
    const char *scheme;
    /* Establish a connection. NULL: all connections of the pool are admitted. */
    void (*dial)(void *self, weir_conn conn, const weir_key *key);
    /* Ask the peer whether it is alive. NULL: never probed. */
    void (*probe)(void *self, weir_conn conn, void *object);
    /* Close it, or end the dial under way (then object is NULL), and report weir_conn_down(). */
    void (*close)(void *self, weir_conn conn, void *object, weir_err why);
    /* Its lease is overdue: shut the descriptor down, free nothing; the owner will see it and
     * release. */
    void (*cut)(void *self, weir_conn conn, void *object);
    /* Asked before an idle connection is leased, not the moment it came up; it must not call back.
     * NULL: always. False: it closes. */
    bool (*reusable)(void *self, void *object);
    /* Workers that share limits give idle connections to each other. detach: take the object off
     * this engine's loop; what it returns is attached to another one's, on its thread, or NULL: it
     * stays, and closes. attach: answered with weir_conn_up() or weir_conn_down(), like a dial.
     * With `self` NULL: nobody wants it, so be rid of it, on any thread. Both NULL: never moves;
     * one alone is WEIR_EINVAL. */
    void *(*detach)(void *self, void *object);
    void (*attach)(void *self, weir_conn conn, void *parcel);
    /* How many leases a connection of the key is likely to carry, asked before one is up; it must
     * not call back. More than 1: those who wait share a dial, and one that comes up with a single
     * lease is expected to have more soon (weir_conn_room). 0: not known, and one dial at a time is
     * under way until it is. NULL: 1, until a connection has said otherwise. */
    uint32_t (*leases)(void *self, const weir_key *key);
} weir_connector;

/* --- the engine ---------------------------------------------------------------------------------
 */

typedef struct weir_engine weir_engine;
typedef struct weir_pool weir_pool;

/* What a pool tells. Pointers live as long as the call. Fields that say nothing are zero. */
typedef struct weir_event {
    size_t size;
    weir_event_kind kind;
    weir_err why;
    uint64_t now_ms; /* when it happened */
    weir_pool *pool;
    const char *pool_name;
    const weir_key *key;
    weir_conn conn;
    weir_lease lease;
    uint64_t tag;                          /* the lease's */
    uint32_t retry_after_ms;               /* until the key may be dialled again */
    uint32_t age_ms;                       /* of the connection, or of the lease in lease_overdue */
    uint32_t uses;                         /* leases the connection has served */
    uint32_t failures;                     /* of the key, in a row */
    uint32_t total, idle, leases, waiting; /* of the pool, then */
    weir_health health;
    uint64_t count; /* events_lost */
} weir_event;

typedef void weir_event_fn(void *arg, const weir_event *event);

/* How much an event matters to whom. */
typedef enum weir_level {
    WEIR_LEVEL_ERROR = 1, /* callers fail: key_down, events_lost, a pool that is unavailable */
    WEIR_LEVEL_WARN,      /* they may soon: failed dials, time-outs that cut, limits, lost health */
    WEIR_LEVEL_INFO,      /* as it should be, and seldom: key_up, pool_warm, config_changed, … */
    WEIR_LEVEL_DEBUG      /* as it should be, and often: connections that come, go and serve */
} weir_level;

WEIR_API weir_level weir_event_level(const weir_event *event); /* of this very event */
/* The event as a line of a log: "key_down db pg://10.0.0.7:5432: connection refused, 3 failures in
 * a row, dials again in 60000 ms". Like snprintf. */
WEIR_API size_t weir_event_text(const weir_event *event, char *ret_text, size_t size);

/* Memory. `alloc` is called by weir_engine_new(), weir_pool_open() and weir_pool_get(), never else;
 * `free` when an engine is freed or a pool has closed. `alloc` returns zeroed memory, aligned for
 * anything, or NULL; pages not yet written should cost nothing (the default is calloc). */
typedef struct weir_allocator {
    void *(*alloc)(void *arg, size_t bytes);
    void (*free)(void *arg, void *memory);
    void *arg;
} weir_allocator;

typedef struct weir_engine_options {
    size_t size;
    uint32_t conns_max;      /* connections of all pools [10 000] */
    uint32_t leases_max;     /* leases and waiting callers of all pools [conns_max + waiting_max] */
    uint32_t waiting_max;    /* waiting callers of all pools [1000] */
    uint32_t keys_max;       /* keys known, of all pools [4096] */
    uint32_t key_bytes_max;  /* the text of those keys [1 MiB] */
    uint32_t groups_max;     /* endpoints and tenants with statistics of their own [1024] */
    uint32_t pools_max;      /* [64] */
    uint32_t events_max;     /* events that wait for a step; more are counted and lost [4096] */
    uint64_t seed;           /* of jitter and exploration [0] */
    uint64_t now_ms;         /* the time at birth [0] */
    weir_event_fn *on_event; /* or NULL */
    void *event_arg;
    uint32_t events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
    weir_allocator allocator;
} weir_engine_options;

/* WEIR_EINVAL: weir_engine_options_fault() names the field; WEIR_ENOMEM. */
WEIR_API weir_err weir_engine_new(const weir_engine_options *opt, weir_engine **ret_engine);

/* The field for which weir_engine_new() would answer WEIR_EINVAL, or NULL. */
WEIR_API const char *weir_engine_options_fault(const weir_engine_options *opt);

/* Frees it with all its pools. No connector is called: objects are their connector's to free. */
WEIR_API void weir_engine_free(weir_engine *take_engine);

/* Moves time to now_ms (a time in the past counts as the present), does what is due, runs the
 * callbacks, and returns when it wants to be called next, at the latest. A second step at the same
 * instant does nothing. */
WEIR_API uint64_t weir_step(weir_engine *engine, uint64_t now_ms);

/* True when a step would do something already now. */
WEIR_API bool weir_engine_pending(const weir_engine *engine);
WEIR_API uint64_t weir_engine_now(const weir_engine *engine); /* of the latest step */

/* --- pools --------------------------------------------------------------------------------------
 */

/* Designated initialisers; zero is the default. The rows of <weir/def/option.def> say what each
 * field means, its default and its range. */
typedef struct weir_pool_options {
    size_t size;
    const char *name; /* unique in the engine, at most 63 bytes; NULL: the connector's scheme */
    const weir_connector *connector; /* must outlive the pool */
    void *connector_self;
#define WEIR_OPTION(field, word, type, def, min, max, text) uint32_t field;
#include <weir/def/option.def>
#undef WEIR_OPTION
} weir_pool_options;

/* Sets the options of a named profile over those that are zero: openclaw, http-client,
 * websocket-manager, server, telegram-account, relay, relay-production. WEIR_EINVAL: no such
 * profile. */
WEIR_API weir_err weir_profile(const char *profile, weir_pool_options *opt);

/* Sets one option by its configuration word: "idle_timeout" "5m", "reuse" "oldest", "max_age"
 * "never", "max_total" "unlimited", "jitter" "0". WEIR_EINVAL: no such word, or not such a value.
 */
WEIR_API weir_err weir_pool_options_set(weir_pool_options *opt, const char *word,
                                        const char *value);

/* Opens a pool. WEIR_EINVAL: weir_engine_fault() names the field; WEIR_EEXISTS: the name is taken;
 * WEIR_ENOMEM; WEIR_EFULL: pools_max. */
WEIR_API weir_err weir_pool_open(weir_engine *engine, const weir_pool_options *opt,
                                 weir_pool **ret_pool);

/* The pool of that name when connector and options are equal, else a new one, else WEIR_EEXISTS.
 * Without a name: any pool with this connector and equal options, else a new one, whose name is the
 * connector's scheme, with a number where that is taken. */
WEIR_API weir_err weir_pool_get(weir_engine *engine, const weir_pool_options *opt,
                                weir_pool **ret_pool);
WEIR_API weir_pool *weir_pool_find(const weir_engine *engine, const char *name); /* or NULL */

/* The field that the last WEIR_EINVAL of opening or updating was about, by its configuration word.
 */
WEIR_API const char *weir_engine_fault(const weir_engine *engine);

/* The options in force, defaults filled in: read, change, update. */
WEIR_API void weir_pool_options_of(const weir_pool *pool, weir_pool_options *ret_opt);

/* All or nothing. Name and connector stay. New limits act at once: connections above them retire.
 */
WEIR_API weir_err weir_pool_update(weir_pool *pool, const weir_pool_options *opt);

/* Idle connections close, leased ones when released, dials under way end; what is still leased
 * after grace_ms is cut. Back-off and hold-down are forgotten. Waiting callers get new dials. only:
 * one key; NULL: all. */
WEIR_API void weir_pool_flush(weir_pool *pool, const weir_key *only, uint32_t grace_ms);

/* The key is one in use from now on, whether anybody asks for it or not: with `warm`, it has a
 * connection before the first request, and pool_warm is told when all such keys do; with min_idle,
 * it keeps some. on false: no longer. WEIR_EINVAL, WEIR_EKEYS, WEIR_ECLOSED. */
WEIR_API weir_err weir_pool_warm(weir_pool *pool, const weir_key *key, bool on);

/* Periodic probes of idle connections, off and on again (a peer in maintenance, a debugger at
 * work). A pool is opened with them on; probe_every says how often. What was released WEIR_UNKNOWN
 * is verified all the same. WEIR_ESTATE: connections of this pool cannot be asked at all, its
 * connector has no probe (HTTP/1.1, on either side). */
WEIR_API weir_err weir_pool_probe(weir_pool *pool, bool on);

/* Tells this pool's events to fn, beside the engine's on_event. events: bits 1 << WEIR_EVENT_…
 * [all]; fn NULL: to nobody any more. Not for events_lost, which is the engine's. */
WEIR_API void weir_pool_on_event(weir_pool *pool, weir_event_fn *fn, void *arg, uint32_t events);

/* Waiting callers fail with WEIR_ECLOSED, idle connections close, leased ones when released or,
 * cut, after grace_ms. The pool_closed event is the last the pool does. */
WEIR_API void weir_pool_close(weir_pool *pool, uint32_t grace_ms);

/* As they were given at opening. */
WEIR_API const char *weir_pool_name(const weir_pool *pool);
WEIR_API void *weir_pool_connector_self(const weir_pool *pool);

/* --- leases -------------------------------------------------------------------------------------
 */

enum {
    WEIR_WAIT_DOWN = 1,  /* wait even while the key is down */
    WEIR_IDEMPOTENT = 2, /* the request may be sent twice */
    WEIR_REPLAYABLE = 4, /* all of it is at hand, to be sent again */
    /* Without both, and reuse `newest`, it gets the idle connection whose peer was heard last; one
     * that the peer is known to be about to close only where no dial can be had instead. */
    WEIR_FRESH = 8 /* a connection that has not served yet; dials if there is none */
};

/* How an acquire ended. */
typedef struct weir_grant {
    weir_err err;     /* WEIR_OK: lease, conn and object are yours until weir_release() */
    weir_lease lease; /* as returned by weir_acquire(); already dead when err is set */
    weir_conn conn;
    void *object;
    bool reused; /* the connection has served before */
    uint32_t waited_ms;
    uint32_t retry_after_ms; /* with WEIR_EDOWN: when it makes sense to ask again */
} weir_grant;

typedef void weir_lease_fn(void *arg, const weir_grant *grant);

typedef struct weir_acquire_options {
    size_t size;
    uint32_t timeout_ms; /* [the pool's acquire_timeout] */
    uint32_t flags;      /* WEIR_WAIT_DOWN | … */
    uint64_t tag;        /* yours: told with lease_overdue and in listings */
} weir_acquire_options;

/* A lease at once, or WEIR_EAGAIN: nothing is idle, or others already wait. WEIR_EINVAL,
 * WEIR_EKEYS, WEIR_EDOWN, WEIR_ECLOSED. It calls back nobody but `reusable`, and dials only
 * to come where shared connections are beyond their ideal. */
WEIR_API weir_err weir_try_acquire(weir_pool *pool, const weir_key *key, uint32_t flags,
                                   weir_lease *ret_lease, void **ret_object);

/* A lease as soon as there is a connection; who waits in a full queue fails with WEIR_EQUEUE when
 * somebody comes for a tenant that has fewer there. Refused at once, without a callback, with
 * WEIR_EDOWN, WEIR_EQUEUE, WEIR_EWAIT, WEIR_EFULL, WEIR_EKEYS, WEIR_ECONNS, WEIR_ECLOSED,
 * WEIR_EINVAL; weir_pool_retry_after() then says when it makes sense to ask again. opt may be NULL.
 */
WEIR_API weir_err weir_acquire(weir_pool *pool, const weir_key *key,
                               const weir_acquire_options *opt, weir_lease_fn *fn, void *arg,
                               weir_lease *ret_lease);
WEIR_API uint32_t weir_pool_retry_after(const weir_pool *pool);

/* Ends a lease; one that still waits is canceled. WEIR_ESTALE. */
WEIR_API weir_err weir_release(weir_pool *pool, weir_lease lease, weir_fate fate);
/* The same, with the reason for BROKEN that counters and listings will show. */
WEIR_API weir_err weir_release_why(weir_pool *pool, weir_lease lease, weir_fate fate, weir_err why);
/* Another tag, for a lease that goes from hand to hand. WEIR_ESTALE. */
WEIR_API weir_err weir_lease_tag(weir_pool *pool, weir_lease lease, uint64_t tag);

/* --- what a connector or a listener reports
 * ------------------------------------------------------- */

/* A connection came from a peer (a server's pool). note: what to show for it, or NULL, at most 31
 * bytes kept. WEIR_EFULL, WEIR_ECONNS, WEIR_EKEYS, WEIR_ECLOSED: the caller keeps the object. It is
 * idle until weir_conn_lease(). */
WEIR_API weir_err weir_admit(weir_pool *pool, const weir_key *peer, const char *note, void *object,
                             weir_conn *ret_conn);
WEIR_API bool weir_pool_can_admit(const weir_pool *pool); /* whether there is room for one */

/* The transport of a dial is up and its TLS handshake begins: tls_timeout counts from here. */
WEIR_API weir_err weir_conn_handshake(weir_pool *pool, weir_conn conn);
/* A dial succeeded, or a probe did (then object and leases_max are as before). leases_max: 1, or
 * how many streams the peer allows. WEIR_ESTALE; WEIR_ESTATE: it was not asked, or is told to close
 * by now (then still report down). */
WEIR_API weir_err weir_conn_up(weir_pool *pool, weir_conn conn, void *object, uint32_t leases_max);
/* How many leases it can carry from now on (SETTINGS); 0: no new ones (GOAWAY). */
WEIR_API weir_err weir_conn_room(weir_pool *pool, weir_conn conn, uint32_t leases_max);
/* A lease on this very connection: a request began on an admitted one. WEIR_ESTATE: it is closing,
 * or has no room. */
WEIR_API weir_err weir_conn_lease(weir_pool *pool, weir_conn conn, weir_lease *ret_lease);
/* The peer was heard: as good as an answered probe. */
WEIR_API weir_err weir_conn_used(weir_pool *pool, weir_conn conn);
/* The peer took this long to answer: newest-first reuse passes over connections that are slow for
 * their key. */
WEIR_API weir_err weir_conn_latency(weir_pool *pool, weir_conn conn, uint32_t latency_us);
/* Where the peer is: any hash of its address, not 0. Then weir_pool_resolved() can find it. */
WEIR_API weir_err weir_conn_address(weir_pool *pool, weir_conn conn, uint32_t address);
/* A name was looked up again: these are its addresses now, hashed alike. Connections dialled to it
 * whose address is missing from three answers in a row retire, spaced like those that grew too old
 * and with their replacement dialled before; another answer than the last ends back-off and
 * hold-down. Keys with a proxy are left alone: the proxy looks names up. */
WEIR_API void weir_pool_resolved(weir_pool *pool, const char *host, const uint32_t *addresses,
                                 uint32_t count);
/* How long it may be idle from now on, when that is less than the pool's idle_timeout (Keep-Alive:
 * timeout). */
WEIR_API weir_err weir_conn_idle(weir_pool *pool, weir_conn conn, uint32_t idle_timeout_ms);
/* Close it when its last lease ends. */
WEIR_API weir_err weir_conn_retire(weir_pool *pool, weir_conn conn, weir_err why);
/* It is gone: the dial failed, the peer closed, the close is done. A lease on it stays to be
 * released. */
WEIR_API weir_err weir_conn_down(weir_pool *pool, weir_conn conn, weir_err why);
/* What the connector knows as its object, or NULL. */
WEIR_API void *weir_conn_object(const weir_pool *pool, weir_conn conn);

/* --- reports ------------------------------------------------------------------------------------
 */

enum { WEIR_BUCKETS = 96 };

/* A log-linear histogram of milliseconds: bucket i counts values < weir_bucket_end_ms(i). */
typedef struct weir_histogram {
    uint64_t count, sum_ms, max_ms;
    uint64_t buckets[WEIR_BUCKETS];  /* since the beginning; never falls */
    uint32_t p50_ms, p90_ms, p99_ms; /* of the last minutes */
} weir_histogram;

/* UINT64_MAX for the last one. */
WEIR_API uint64_t weir_bucket_end_ms(unsigned bucket);

typedef struct weir_stats {
    size_t size;
#define WEIR_STAT(field, kind, text) uint64_t field;
#include <weir/def/stat.def>
#undef WEIR_STAT
    uint64_t closed_by[WEIR_ERRS], refused_by[WEIR_ERRS], failed_by[WEIR_ERRS]; /* by reason */
    weir_histogram wait, connect, hold;
    weir_histogram tls, first_byte; /* handshakes; what weir_conn_latency() was told */
} weir_stats;

/* Gauges are as of now, counters since the pool was opened. */
WEIR_API void weir_pool_stats(const weir_pool *pool, weir_stats *ret_stats);

/* How the pool fares, and which rule said so. */
typedef struct weir_health_report {
    size_t size;
    weir_health health;
    uint64_t since_ms;
    double utilization, error_rate;
    char message[120];
} weir_health_report;

/* `health` as the latest step judged it; the figures, and the rule that they meet, as of now. */
WEIR_API void weir_pool_health(const weir_pool *pool, weir_health_report *ret_report);

/* All pools of the engine that are open or closing, and their figures, at once, in the order in
 * which they were opened. The function returns false to stop, and must not open or close any. */
WEIR_API void weir_engine_each(const weir_engine *engine,
                               bool (*fn)(void *arg, weir_pool *pool, const weir_stats *stats),
                               void *arg);

/* One key, as weir_pool_key_of() and weir_pool_each_key() show it. */
typedef struct weir_key_info {
    size_t size;
    const weir_key *key;
    weir_key_state state;
    weir_err last_error;
    uint32_t failures;       /* in a row */
    uint32_t retry_after_ms; /* until it may be dialled again */
    uint32_t dialling, idle, shared, active, probing, closing, waiting;
    uint64_t grants, reused, created, errors, last_used_ms, last_error_ms;
} weir_key_info;

/* One connection, as weir_pool_each() shows it. */
typedef struct weir_conn_info {
    size_t size;
    weir_conn conn;
    const weir_key *key;
    const char *note;
    weir_state state;
    weir_err why; /* closing, or retiring: for what */
    uint32_t leases, leases_max, uses;
    uint64_t tag; /* of its latest lease */
    uint64_t created_ms, since_ms, last_used_ms;
    bool retiring, admitted;
    void *object;
} weir_conn_info;

/* The keys of one endpoint, or of one tenant, together. */
typedef struct weir_group_info {
    size_t size;
    const weir_key *key; /* the endpoint's scheme, host and port; or the tenant; else empty */
    uint32_t keys;
    uint32_t dialling, idle, shared, active, probing, closing, waiting;
    uint64_t grants, reused, created, errors, refused;
    weir_histogram wait, connect, tls, first_byte, hold;
    uint32_t leases;     /* an endpoint: held there now */
    uint32_t leases_max; /* an endpoint: what `concurrency` allows there now; 0: no limit */
} weir_group_info;

/* Shows each; the function returns false to stop, and must not change the pool. An endpoint or a
 * tenant is there as long as one of its keys is known, and while there are no more of them than
 * groups_max. */
WEIR_API void weir_pool_each_endpoint(const weir_pool *pool,
                                      bool (*fn)(void *arg, const weir_group_info *info),
                                      void *arg);
WEIR_API void weir_pool_each_tenant(const weir_pool *pool,
                                    bool (*fn)(void *arg, const weir_group_info *info), void *arg);
/* The same for connections and keys. */
WEIR_API void weir_pool_each(const weir_pool *pool,
                             bool (*fn)(void *arg, const weir_conn_info *info), void *arg);
WEIR_API void weir_pool_each_key(const weir_pool *pool,
                                 bool (*fn)(void *arg, const weir_key_info *info), void *arg);
/* WEIR_EAGAIN: the pool does not know the key. */
WEIR_API weir_err weir_pool_key_of(const weir_pool *pool, const weir_key *key,
                                   weir_key_info *ret_info);

/* Writes, line by line, what the pool last decided for this key and why, and which known key comes
 * closest to it and in which field it differs. Returns the length the whole text has; at most
 * `size` bytes with the final NUL are written. key NULL: the latest decisions of the pool. */
WEIR_API size_t weir_pool_explain(const weir_pool *pool, const weir_key *key, char *ret_text,
                                  size_t size);

/* "scheme://[tenant@]host:port[?proxy=…&tls=…&source=…]", passwords as "***". Like snprintf. */
WEIR_API size_t weir_key_text(const weir_key *key, char *ret_text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
