/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - sessions: who is talking, and where they are served; kept in memory, in a journal on
 * disk, and found again after a crash; shared through a Redis.
 *
 * A *session* belongs to a user, an account and an API key, counts its requests and errors, lives
 * for `ttl` after it was last touched, and may carry attributes of the program's. Its *place* is
 * where it is served (an account, an endpoint, whatever the program calls so): claimed by whoever
 * comes first, changed only by who knows its *epoch*.
 *
 *     weir_sessions_open(&(weir_sessions_options){.path = "state/sessions"}, &sessions);
 *     weir_session_create(sessions, &(weir_session_new){.user = "ann", .account = "a1"}, &id);
 *     ...
 *     weir_session_claim(sessions, id, "a1", &place);
 *     weir_session_touch(sessions, id, true);
 *
 * Rules:
 *  1. Functions may be called from any thread. They do not wait for each other longer than a
 * look-up takes, but for the disk with WEIR_FSYNC_ALWAYS.
 *  2. An id is a value. One that has ended, expired or never was is answered WEIR_ESTALE, to the
 * millisecond, whatever was cleaned up until then.
 *  3. What was answered WEIR_OK with a path is in the journal: a process that is killed finds it
 * again. When a machine loses its power, `fsync` says what it finds. A disk that takes no more does
 * not stop anything: weir_sessions_stats() says `degraded`, and on_event hears of it; the journal
 * is written anew as soon as it can be.
 *  4. A full table refuses (WEIR_EFULL); it never drops a session that lives, unless a store has it
 * as it is: a Redis, or one of the program's.
 *  5. Strings and structs passed in are copied before the call returns.
 *  6. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_SESSION_H
#define WEIR_SESSION_H

#include <weir/weir.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- opening ------------------------------------------------------------------------------------
 */

typedef struct weir_sessions weir_sessions;

/* Of a session: random with a mark of ours, or made of a client's own key. */
typedef struct weir_session_id {
    uint64_t high, low; /* both zero: none */
} weir_session_id;

typedef enum weir_fsync {
    WEIR_FSYNC_SOON = 1,   /* every fsync_ms: a machine that loses its power loses no more */
    WEIR_FSYNC_ALWAYS = 2, /* before a change is answered; those that wait share one */
    WEIR_FSYNC_NEVER = 3   /* when the system likes */
} weir_fsync;

typedef enum weir_session_event_kind {
    WEIR_SESSION_CREATED = 1,
    WEIR_SESSION_ENDED,    /* by weir_session_end(), here or by whoever shares the store */
    WEIR_SESSION_EXPIRED,  /* its time was up; told within a second or two */
    WEIR_SESSION_ROTATED,  /* `id` is the old one */
    WEIR_SESSION_REBOUND,  /* served elsewhere: weir_session_rebind(), here or there */
    WEIR_SESSION_DEGRADED, /* the journal takes no more; without an id */
    WEIR_SESSION_RESTORED, /* the journal is whole again; without an id */
    WEIR_SESSION_LOST,  /* the Redis cannot be asked: weir_sessions_redis_fault(); without an id */
    WEIR_SESSION_FOUND, /* it can again; without an id */
    WEIR_SESSION_SPOILT /* a list of the Redis's, by which sessions are looked for, was something
                           else: it begins anew, and all are told anew; without an id */
} weir_session_event_kind;

/* "created", "ended", … */
WEIR_API const char *weir_session_event_word(weir_session_event_kind kind);

/* On the thread where it happened, without a lock of weir's. */
typedef void weir_session_event_fn(void *arg, weir_session_event_kind kind, weir_session_id id);

struct weir_session_store;
struct weir_sessions_redis;

typedef struct weir_sessions_options {
    size_t size;
    uint32_t sessions_max;    /* that live at a time [1 000 000] */
    uint32_t ttl_ms;          /* after the last touch [1 h] */
    uint32_t ttl_max_ms;      /* after the creation, whatever is touched [24 h] */
    uint32_t affinity_ttl_ms; /* of a place that is not claimed again [30 min] */
    uint32_t tombstone_ms;    /* how long an id that ended cannot be created again, and one that was
                                 rotated leads to its successor [60 s] */
    /* The journal's folder, made with 0700 where its parent is there; one process has it open at a
     * time. NULL: sessions end with the process. */
    const char *path;
    weir_fsync fsync;  /* [WEIR_FSYNC_SOON] */
    uint32_t fsync_ms; /* [10] */
    /* 32 bytes that ids are marked with; processes that show each other's ids need the same. NULL:
     * made once, and kept in `path` if there is one. */
    const void *secret;
    weir_session_event_fn *on_event; /* NULL: nobody listens */
    void *event_arg;
    /* A thread of its own ends what has expired and brings the journal to the disk. True: there is
     * none, and the program calls weir_sessions_turn() once a second or more often. */
    bool no_thread;
    uint64_t (*now_ms)(void *arg); /* a monotonic clock of the program's [the system's] */
    void *now_arg;
    /* Where others share these sessions: a store of the program's, below. Copied. */
    const struct weir_session_store *store;
    void *store_self;         /* must outlive the sessions */
    weir_allocator allocator; /* thread-safe; of few and large blocks [malloc] */
    /* Where others share these sessions: a Redis, below. Copied. Not with `store`. NULL: nowhere.
     */
    const struct weir_sessions_redis *redis;
} weir_sessions_options;

/* opt may be NULL. Reads the journal. WEIR_EINVAL: weir_sessions_fault() names the field; WEIR_EIO:
 * the folder or its files cannot be used (errno says why; EPERM: it is open to others);
 * WEIR_EEXISTS: another process has it open; WEIR_ENOMEM. */
WEIR_API weir_err weir_sessions_open(const weir_sessions_options *opt,
                                     weir_sessions **ret_sessions);
/* The field that this thread's last WEIR_EINVAL of weir_sessions_open() was about, or "". */
WEIR_API const char *weir_sessions_fault(void);
/* The journal is on the disk when it returns. No other thread is inside a call. */
WEIR_API void weir_sessions_close(weir_sessions *take_sessions);

/* Until all that was answered so far is on the disk, whatever `fsync` says. WEIR_EIO: it may not
 * be; WEIR_ESTATE: there is no path. */
WEIR_API weir_err weir_sessions_sync(weir_sessions *sessions);
/* Does what is due: with no_thread. */
WEIR_API void weir_sessions_turn(weir_sessions *sessions);

/* --- ids ----------------------------------------------------------------------------------------
 */

#define WEIR_SESSION_TEXT 33 /* 32 hexadecimal digits and a NUL */

/* As it is shown to a client, in a cookie or a field: text that weir_session_id_parse() reads. */
WEIR_API void weir_session_id_text(weir_session_id id, char ret_text[WEIR_SESSION_TEXT]);
/* What a client shows as an id of ours. WEIR_EINVAL: it is none that weir_session_create() made
 * with this secret; nothing was looked up. */
WEIR_API weir_err weir_session_id_parse(const weir_sessions *sessions, const char *text,
                                        weir_session_id *ret_id);
/* The id of a client's own key, of `len` bytes: equal keys of two tenants are two ids, and none can
 * be guessed or shown as one of ours. tenant may be NULL. WEIR_EINVAL: no key; both together have
 * more than 512 bytes. */
WEIR_API weir_err weir_session_id_of(const weir_sessions *sessions, const char *tenant,
                                     const void *key, size_t len, weir_session_id *ret_id);

/* --- a session ----------------------------------------------------------------------------------
 */

#define WEIR_SESSION_NAME_MAX  255  /* bytes of a user, account, key or place */
#define WEIR_SESSION_ATTRS_MAX 4096 /* of all attributes, with two for each name and three more */

typedef enum weir_session_status {
    WEIR_SESSION_ACTIVE = 1,
    WEIR_SESSION_IDLE,
    WEIR_SESSION_SUSPENDED,
    WEIR_SESSION_FAILED,
    WEIR_SESSION_STATUS_END /* one more than the last */
} weir_session_status;

/* "active", "idle", "suspended", "failed". */
WEIR_API const char *weir_session_status_word(weir_session_status status);

typedef struct weir_session_new {
    size_t size;
    weir_session_id id;               /* of weir_session_id_of() [a new one, random and marked] */
    const char *user, *account, *key; /* NULL or "": none */
    uint32_t ttl_ms;                  /* [that of the options] */
    weir_session_status status;       /* [WEIR_SESSION_ACTIVE] */
} weir_session_new;

/* WEIR_EFULL: sessions_max, or no room for the names; WEIR_EEXISTS: the id lives; WEIR_ESTALE: it
 * has ended not long ago; WEIR_EINVAL. *ret_id is written for WEIR_EEXISTS as well. */
WEIR_API weir_err weir_session_create(weir_sessions *sessions, const weir_session_new *what,
                                      weir_session_id *ret_id);

typedef struct weir_session {
    size_t size;
    weir_session_id id;
    weir_session_status status;
    uint32_t requests, errors; /* stay at their maximum */
    uint64_t age_ms, idle_ms;  /* since the creation, since the last touch */
    uint64_t left_ms;          /* until it expires */
    uint32_t epoch;            /* of its place */
    uint64_t bound_ms;         /* how long the place is good for; 0: it has none */
    char user[WEIR_SESSION_NAME_MAX + 1], account[WEIR_SESSION_NAME_MAX + 1],
        key[WEIR_SESSION_NAME_MAX + 1], place[WEIR_SESSION_NAME_MAX + 1];
} weir_session;

/* Looks, and changes nothing. ret_session->size is set before. */
WEIR_API weir_err weir_session_get(weir_sessions *sessions, weir_session_id id,
                                   weir_session *ret_session);
/* A request was served, or failed: counted, and the end is put off by its ttl. */
WEIR_API weir_err weir_session_touch(weir_sessions *sessions, weir_session_id id, bool is_served);

typedef struct weir_session_update {
    size_t size;
    const char *user, *account, *key; /* NULL: as it was; "": none */
    weir_session_status status;       /* 0: as it was */
    uint32_t ttl_ms;                  /* from now on [as it was] */
} weir_session_update;

/* All of it, or nothing. WEIR_EINVAL, WEIR_EFULL. */
WEIR_API weir_err weir_session_change(weir_sessions *sessions, weir_session_id id,
                                      const weir_session_update *update);
WEIR_API weir_err weir_session_end(weir_sessions *sessions, weir_session_id id);
/* The same session by a new id: at a login, so that an id from before it opens nothing. WEIR_EFULL.
 * A session by a client's own key has a random id from then on. */
WEIR_API weir_err weir_session_rotate(weir_sessions *sessions, weir_session_id id,
                                      weir_session_id *ret_id);
/* Where an id that was rotated led, for tombstone_ms: for requests that were under way. */
WEIR_API weir_err weir_session_successor(weir_sessions *sessions, weir_session_id id,
                                         weir_session_id *ret_id);

/* An attribute: a name of 1 to 255 bytes and a value of any. value NULL: there is none any more.
 * WEIR_ETOO_LARGE: all together have more than WEIR_SESSION_ATTRS_MAX bytes; WEIR_EFULL. */
WEIR_API weir_err weir_session_set(weir_sessions *sessions, weir_session_id id, const char *name,
                                   const void *value, size_t len);
/* At most `size` bytes of it are written, and how many it has. WEIR_EAGAIN: there is none. */
WEIR_API weir_err weir_session_value(weir_sessions *sessions, weir_session_id id, const char *name,
                                     void *ret_value, size_t size, size_t *ret_len);

/* --- where it is served -------------------------------------------------------------------------
 */

typedef struct weir_session_place {
    char name[WEIR_SESSION_NAME_MAX + 1];
    uint32_t epoch;
} weir_session_place;

/* Binds a session that has no place, or whose place is not good any more, and prolongs the place
 * that it has. WEIR_EEXISTS: another was first; both answers write which and its epoch. */
WEIR_API weir_err weir_session_claim(weir_sessions *sessions, weir_session_id id, const char *place,
                                     weir_session_place *ret_place);
/* Moves a session whose place is still of that epoch; "": to nowhere. WEIR_ESTATE: somebody else
 * has moved it. */
WEIR_API weir_err weir_session_rebind(weir_sessions *sessions, weir_session_id id, uint32_t epoch,
                                      const char *place, weir_session_place *ret_place);

/* --- a store of the program's -------------------------------------------------------------------
 */

/* How a session is, for a store; all pointers are good until the call returns. A change is
 * absolute: written twice it does no harm, and the last one counts. */
typedef struct weir_session_delta {
    size_t size;
    weir_session_id id;
    const weir_session *session; /* NULL: it has ended */
    const void *attrs;           /* all attributes, as bytes to be given back as they are */
    size_t attrs_len;
    /* Of one that has ended: where it went when it was rotated, or none; and how long that is to be
     * remembered, so that no late change raises it again. */
    weir_session_id successor;
    uint64_t left_ms;
    /* The store has had it before: what it does not know any more has ended elsewhere, and is not
     * to be raised again. weir_sessions_heard() tells that here. */
    bool is_known;
} weir_session_delta;

/* A store is asked, and answers once, later or inside the call, from any thread. What it is told is
 * in memory already, and in the journal if there is one: it may take its time, and fail. Times of
 * a change are durations from the moment of the call; requests and errors are those that this
 * process has counted. */
typedef struct weir_session_store {
    size_t size;
    uint32_t batch_max;   /* changes of one write [100] */
    uint32_t soon_ms;     /* what waits for a write no longer than that: all but touches [20] */
    uint32_t counters_ms; /* touches [60 000] */
    uint32_t again_ms;    /* after a write that failed [1000] */
    /* Write these; then weir_sessions_stored(). One write at a time. On the thread of the sessions,
     * or inside weir_sessions_turn() and weir_sessions_close(). Required. */
    void (*write)(void *self, uint64_t task, const weir_session_delta *changes, uint32_t count);
    /* Look for this one; then weir_sessions_fetched(). On the thread that fetches. NULL: it keeps
     * for others what it is told, and is never asked. */
    void (*read)(void *self, uint64_t task, weir_session_id id);
    /* Nothing comes any more. May be NULL. */
    void (*close)(void *self);
} weir_session_store;

/* The answer to a write. WEIR_OK: all of it is there. Anything else: it is written again, as it is
 * by then. WEIR_ESTALE: that task is not under way. */
WEIR_API weir_err weir_sessions_stored(weir_sessions *sessions, uint64_t task, weir_err err);
/* The answer to a read. WEIR_OK with what was found, WEIR_ESTALE: there is no such session, or
 * another error. */
WEIR_API weir_err weir_sessions_fetched(weir_sessions *sessions, uint64_t task, weir_err err,
                                        const weir_session_delta *found);

/* What others have made of a session that may be here, as a store learns when it writes, before it
 * says weir_sessions_stored(). One that has ended (`session` NULL) ends here, as weir_session_end()
 * or, with a successor, weir_session_rotate() would have it, and is remembered for left_ms
 * [tombstone_ms]; with is_known, the store does not know it any more, which means that only where
 * it was written, and weir_sessions_renew() has not been called since. One that is
 * served elsewhere, at a later epoch or, at the same one, by somebody who was first, is served
 * there from here as well: `place`, `epoch` and `bound_ms` of it count, and nothing else.
 * WEIR_ESTALE: it is not here, or has ended here. WEIR_EINVAL, WEIR_EFULL. */
WEIR_API weir_err weir_sessions_heard(weir_sessions *sessions, const weir_session_delta *news);
/* The store has lost what it had, or may have: all tombstones are written to it anew, and when they
 * are there all sessions that live, a batch after the other. */
WEIR_API void weir_sessions_renew(weir_sessions *sessions);

/* WEIR_OK: the session is here by now. Otherwise why it is not: WEIR_ESTALE, the store's error,
 * WEIR_EFULL, WEIR_ECLOSED. On the thread that answered, without a lock of weir's. */
typedef void weir_session_fetch_fn(void *arg, weir_err err, weir_session_id id);
/* Has a session that may be in the store alone brought here. WEIR_OK: it is here; WEIR_EAGAIN: fn
 * is called once, later or inside this call, if the store answers there; WEIR_ESTALE: it has ended,
 * or there is no store to ask; WEIR_EQUEUE: 1000 are being looked for. */
WEIR_API weir_err weir_session_fetch(weir_sessions *sessions, weir_session_id id,
                                     weir_session_fetch_fn *fn, void *arg);

/* WEIR_OK: the store has the session, or its end, as it was when that was asked, or later.
 * Otherwise it may not have it: it is in memory and in the journal, and is written again.
 * WEIR_ESTALE: it expired meanwhile; WEIR_ECLOSED. Where the answer came, without a lock of weir's.
 */
typedef void weir_session_kept_fn(void *arg, weir_err err, weir_session_id id);
/* Says when the store has a session as it is now: for who acknowledges nothing before that, so that
 * a machine may be lost. WEIR_OK: it has it; WEIR_EAGAIN: fn is called once; WEIR_ESTALE: it is not
 * here, nor known to have ended; WEIR_ESTATE: there is no store; WEIR_EQUEUE: 1000 are being waited
 * for. */
WEIR_API weir_err weir_session_confirm(weir_sessions *sessions, weir_session_id id,
                                       weir_session_kept_fn *fn, void *arg);

/* --- a Redis ------------------------------------------------------------------------------------
 */

/* Sessions shared through a Redis, alone, a master with replicas, which Sentinels may watch, or a
 * Cluster, whose slots may move and whose masters may change while it is used. What is answered
 * WEIR_OK is in memory, and in the journal if there is one; the Redis has it soon_ms later, touches
 * and counters counters_ms later. While it cannot be asked, all goes on from here, and it is told
 * when it is back; one that comes back empty is told everything: that some ended first, then those
 * that live. So it is after a fail-over by Sentinels or within a Cluster, since a replica may know
 * less than its master did. Needs Redis 5 or later, and 7 for weir_affinity_claim(); with ACLs, the
 * commands EVALSHA, SCRIPT LOAD, what the scripts call (GET, MGET, SET, DEL, PTTL, TIME, HGET,
 * HMGET, HGETALL, HSET, HDEL, PEXPIREAT, ZADD, ZREM, ZRANGE, ZREMRANGEBYSCORE), PEXPIRE, WAIT,
 * PING, SELECT, with Sentinels ROLE, with a Cluster CLUSTER SLOTS and ASKING, on all keys that
 * begin with the prefix. It must not evict (maxmemory-policy noeviction): a session that it has
 * lost alone has ended. */
typedef struct weir_sessions_redis {
    size_t size;
    /* "redis://[[user]:password@]host[:port][/database]", or rediss:// with TLS; user and password
     * percent-encoded. Required. */
    const char *url;
    /* What all keys begin with, at most 64 bytes, no space, no brace ["weir"]. Those who share
     * sessions have the same, and the same `secret`. */
    const char *prefix;
    const char *ca;       /* with TLS, a PEM file of whom to trust [the system's] */
    uint32_t replicas;    /* that have a change before it counts as stored (WAIT) [0] */
    uint32_t timeout_ms;  /* of a batch, a look-up or a claim, in all [1000] */
    uint32_t batch_max;   /* these four as in weir_session_store [100] */
    uint32_t soon_ms;     /* [20] */
    uint32_t counters_ms; /* [60 000] */
    uint32_t again_ms;    /* also between two attempts to find it back [1000] */
    /* Where its Sentinels are, at most 16: "redis://[[user]:password@]host[:port][,host[:port]]…",
     * or rediss:// with TLS. `url` has no port then, and its host is what they call the master;
     * they are asked where it is before each connection, and every again_ms. With TLS, a
     * certificate of the master's is for the address that they tell. NULL: there are none. */
    const char *sentinels;
    /* It is a Cluster. `url` names some of its nodes, at most 16, separated by commas and without a
     * database: "redis://[[user]:password@]host[:port][,host[:port]]…"; the others are asked for,
     * and with TLS a certificate is for the address that they tell. Not with `sentinels`. */
    bool cluster;
} weir_sessions_redis;

/* Why the Redis cannot be asked, in words: what failed, where, and what was said there; "" while it
 * can. How long the text is, as snprintf(). */
WEIR_API size_t weir_sessions_redis_fault(weir_sessions *sessions, char *ret_text, size_t size);

/* WEIR_OK: where the id is served, for all who share the Redis: `place`, which was named here
 * (is_ours) or by somebody who was first. Otherwise why nobody knows: the Redis does not answer, or
 * cannot do it. On a thread of the sessions' own, without a lock of weir's. */
typedef void weir_affinity_fn(void *arg, weir_err err, weir_session_id id, const char *place,
                              bool is_ours);
/* Claims a place for an id (of weir_session_id_of()) that needs no session: whoever claims first
 * has it until nobody has claimed for affinity_ttl_ms. Asks the Redis, not the memory. WEIR_EAGAIN:
 * fn is called once; WEIR_ESTATE: there is no Redis; WEIR_EDOWN: it cannot be asked now;
 * WEIR_EQUEUE: 1000 are being asked for; WEIR_EINVAL: no place, or one of more than
 * WEIR_SESSION_NAME_MAX bytes; WEIR_ENOMEM. */
WEIR_API weir_err weir_affinity_claim(weir_sessions *sessions, weir_session_id id,
                                      const char *place, weir_affinity_fn *fn, void *arg);

/* --- lists and figures --------------------------------------------------------------------------
 */

/* Those that fit all that is not NULL and not 0; "" are those without. */
typedef struct weir_session_query {
    size_t size;
    const char *user, *account, *key;
    weir_session_status status;
    const char *place; /* where it is served now */
} weir_session_query;

/* Shows each that lives, in no order, and says how many were shown. By user, account or key the
 * list of that name is walked, else all. query may be NULL: all. The function returns false to
 * stop; it may call everything but weir_sessions_close(). One that comes or goes meanwhile may be
 * shown or not. */
WEIR_API size_t weir_sessions_find(weir_sessions *sessions, const weir_session_query *query,
                                   bool (*fn)(void *arg, const weir_session *session), void *arg);

typedef struct weir_session_search {
    size_t size;
    const weir_session_query
        *query;          /* NULL: all; its names have 1 to WEIR_SESSION_NAME_MAX bytes */
    uint32_t limit;      /* rows of a page, up to 1000 [100] */
    uint32_t timeout_ms; /* of a page, up to 600 000 [that of the Redis, twice] */
    uint64_t from;       /* `next` of the page before, of the same query [the first] */
} weir_session_search;

/* Good until the call returns. */
typedef struct weir_session_page {
    size_t size;
    const weir_session *sessions; /* requests and errors are those that all have counted */
    uint32_t count;
    uint64_t next; /* 0: there are no more. Else there may be, whatever `count` is: the page is
                      full, or its time was up */
    bool is_local; /* sessions of this process alone, and one page of them */
} weir_session_page;

/* WEIR_OK, or why the page is local: the Redis could not be asked, or did not answer in time.
 * WEIR_ECLOSED: it has no rows. On a thread of the sessions' own, without a lock of weir's; it may
 * call everything but weir_sessions_close(). */
typedef void weir_session_page_fn(void *arg, weir_err err, const weir_session_page *page);
/* Looks for sessions of all who share the Redis, as it has them: what was created here is there
 * soon_ms later. Shown is what the sessions say, whatever the lists say that led there; one that
 * changes meanwhile may be shown twice, or not, and so may one where a page goes on if another one
 * of its list comes or ends. A user's are found by 1024 short lists, those of an account or a key
 * by looking through all, a page at a time: some 0.4 us of the Redis for each session that it
 * passes; by status or place alone some 10, since each is read. WEIR_EAGAIN: fn is called once;
 * WEIR_ESTATE: there is no Redis, and weir_sessions_find() shows all; WEIR_EINVAL: a name, the
 * limit, the time, or `from` is none; WEIR_EQUEUE: 16 are under way; WEIR_ENOMEM; WEIR_ECLOSED. */
WEIR_API weir_err weir_sessions_search(weir_sessions *sessions, const weir_session_search *what,
                                       weir_session_page_fn *fn, void *arg);

typedef struct weir_sessions_stats {
    size_t size;
    uint32_t live, tombstones;                      /* now */
    uint64_t created, ended, expired, rotated;      /* since it was opened */
    uint64_t refused;                               /* WEIR_EFULL */
    uint64_t found, missed;                         /* look-ups of an id */
    uint64_t claimed, prolonged, disputed, rebound; /* places; disputed: another was first */
    uint64_t bytes;                                 /* of memory, most of it never touched */
    uint64_t recovered;                             /* sessions from the journal, at start */
    uint64_t unrecovered;                           /* records of it for which there was no room */
    uint64_t journal_bytes, journal_cut;            /* of the file; cut off at start */
    uint64_t journal_writes, journal_syncs, journal_rewrites, journal_failures;
    bool degraded;                         /* the last changes are in memory alone */
    uint32_t unstored;                     /* records that the store does not have as they are */
    uint64_t store_writes, store_failures; /* batches */
    uint64_t fetched, fetch_misses;        /* sessions that the store had, or had not */
    uint64_t renewals;                     /* of the store: weir_sessions_renew() */
    uint64_t heard;                        /* sessions that others had ended, or moved */
    bool store_down;                       /* the Redis does not answer, or cannot serve */
    uint64_t store_outages;                /* how often that has begun */
    /* Of a Cluster: masters, those of them that do not serve, and slots that nobody serves. */
    uint32_t store_nodes, store_nodes_down, store_slots_open;
    uint64_t store_maps;               /* of slots that were read */
    uint64_t store_moved, store_asked; /* times that something was sent on by MOVED, by ASK */
    uint64_t store_repeats;            /* or was said again after a pause */
    uint64_t store_pages;              /* of searches that the Redis answered, */
    uint64_t store_pages_local;        /* or that it did not */
    uint64_t store_lists_spoilt;       /* lists of it that were something else */
} weir_sessions_stats;

/* Of all shards, one after the other. ret_stats->size is set before. */
WEIR_API void weir_sessions_stats_of(weir_sessions *sessions, weir_sessions_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
