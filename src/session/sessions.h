/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.h - the inside of weir_sessions: 16 to 64 tables behind a lock each, a journal, and the
 * keeper, who ends what has expired and sees to the journal.
 *
 * There are eight shards for each processor: enough that workers hardly meet, and no more, since an
 * account or a key that many have is in all of them, which is memory that has to be waited for.
 *
 * A session's shard follows from its id, and a rotated id stays in its shard. Whoever changes a
 * session holds its shard's lock, and writes to the journal before it lets go: the journal has the
 * changes of a session in their order. What is to be told, and what has to be waited for, is told
 * and waited for without a lock.
 *
 * Locks: the keeper's turn, a shard's, the journal's.
 */
#pragma once
#include <weir/session.h>

#include "base/alloc.h"
#include "base/slots.h"
#include "io/random_pool.h"
#include "session/book.h"
#include "session/ident.h"
#include "session/table.h"

#include <pthread.h>
#include <stdatomic.h>

#define SESSIONS_SHARDS_MIN  16U /* powers of two */
#define SESSIONS_SHARDS_MAX  64U
#define SESSIONS_SHARDS_EACH 8U /* for a processor */
#define SESSIONS_MAX         1000000U
#define SESSIONS_TTL_MS      3600000U
#define SESSIONS_TTL_MAX_MS  86400000U
#define SESSIONS_BOUND_MS    1800000U
#define SESSIONS_TOMB_MS     60000U
#define SESSIONS_FSYNC_MS    10U
#define SESSIONS_NOTICES     (TABLE_SOME + 4U)
#define SESSIONS_BEGINNING   (UINT64_C(1) << 42) /* times before the system's boot are times, too */

#define SESSIONS_BATCH_MAX 10000U
#define SESSIONS_FETCHES   1000U
#define SESSIONS_LEAVE_MS  2000U /* what a store has to take the last batches */

/* A session that a store is looking for. */
struct fetch_ask {
    weir_session_id id;
    weir_session_fetch_fn *fn;
    void *arg;
};

/* Somebody waits for a session to be stored. */
struct confirm_ask {
    weir_session_id id;
    uint32_t version; /* or a later one */
    weir_session_kept_fn *fn;
    void *arg;
};

/* A record as it was given to the store. */
struct stored {
    struct session_id id;
    uint32_t version;
    bool is_taken; /* and is there, when it is settled */
};

/* What is under way since the store has lost what it had. */
enum storing_renewal {
    RENEWAL_NONE,
    RENEWAL_ASKED,
    RENEWAL_TOMBS, /* they are on their way; the live ones are to follow */
    RENEWAL_LIVE   /* they are there */
};

struct storing {
    weir_session_store store;
    pthread_mutex_t mutex; /* of what follows; under no other lock, and none under it */
    pthread_cond_t answered;
    uint64_t task; /* the write under way; 0: none */
    uint64_t tasks;
    uint64_t again_ms, counters_ms; /* not before */
    uint64_t held_ms; /* then what was not taken where others were is told again; 0: nothing */
    uint64_t writes, failures, fetched, fetch_misses, renewals, heard;
    uint64_t batch_renewals; /* as many as when the write under way was composed */
    enum storing_renewal renewal;
    struct slots asks, confirms;
    uint32_t count;
    bool is_failed; /* the last one: nothing of it was taken */
    /* Of the write under way: written by the keeper while there is none. */
    struct stored *batch;
    weir_session_delta *changes;
    weir_session *sessions;
    char *attrs;
    uint32_t shard, place; /* where the next one begins: the keeper's */
};

struct sessions_follower;

struct notice {
    weir_session_event_kind kind;
    weir_session_id id;
};

/* What is written for every look-up lies in the mutex's line of the cache, so that one line goes
 * from worker to worker. */
struct shard {
    _Alignas(64) pthread_mutex_t mutex;
    uint64_t found; /* for weir_sessions_stats, and more below */
    uint64_t place; /* in the journal, of what was written since it was locked; 0: nothing */
    uint32_t notices_count;
    uint32_t live_told; /* sessions->live counts so many of it */
    struct table table;
    struct weir_sessions *sessions;
    void *memory; /* the block lies in it, aligned */
    uint64_t missed, claimed, prolonged, disputed, rebound;
    struct notice notices[SESSIONS_NOTICES];
};

struct weir_sessions {
    struct shard shards[SESSIONS_SHARDS_MAX];
    uint32_t shards_count; /* a power of two */
    weir_sessions_options opt;
    struct ident_secret secret;
    struct random_pool random; /* of ids */
    struct alloc alloc;
    void *memory;      /* this lies in it, aligned */
    struct book *book; /* NULL: there is no path */
    size_t bytes;
    uint64_t recovered, unrecovered;
    _Atomic uint32_t live;
    _Atomic uint64_t refused;
    _Atomic bool is_degraded;
    const struct sessions_follower
        *_Atomic follower;     /* is told what changes: handover.h; or NULL */
    _Atomic bool wants_back;   /* the journal, that was lent */
    _Atomic bool is_awake;     /* the keeper comes within soon_ms, */
    _Atomic bool is_pressed;   /* or at once */
    struct storing *storing;   /* NULL: there is no store */
    struct redis_store *redis; /* it is that one; or NULL */
    uint32_t soon_ms;          /* the keeper comes within that after a change */
    /* The keeper. */
    pthread_mutex_t turn;
    uint64_t ticked_ms, rewritten_ms;
    uint64_t written_told; /* to the journal, when it was last told the time */
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t wake;
    pthread_t thread;
    bool is_running, is_closing;
};

static inline struct slice slice_or_none(const char *text)
{
    return text != NULL ? slice_of(text) : (struct slice){NULL, 0};
}

static inline struct session_id id_inside(weir_session_id id)
{
    return (struct session_id){id.high, id.low};
}

static inline weir_session_id id_outside(struct session_id id)
{
    return (weir_session_id){id.high, id.low};
}

uint64_t sessions_now_ms(const struct weir_sessions *sessions);
struct book_time sessions_time(const struct weir_sessions *sessions);

/* How many a machine of so many has (sysconf(3): -1 if that is not known). */
uint32_t shards_for(long processors);
struct shard *shard_of(struct weir_sessions *sessions, struct session_id id);
/* Locks the shard that the id belongs to. */
struct shard *shard_enter(struct weir_sessions *sessions, struct session_id id);
/* Lets go, tells, and waits for the disk where that was asked for. */
void shard_leave(struct shard *shard);
/* The same for who has changed nothing: there is nothing to tell, and nothing to wait for. */
void shard_leave_as_it_was(struct shard *shard);
void shard_note(struct shard *shard, weir_session_event_kind kind, struct session_id id);
/* To the journal, in one piece. */
void shard_write(struct shard *shard, const struct session_record *records, unsigned count);
/* The session as it is, without its attributes. */
void shard_keep(struct shard *shard, const struct session *session);
/* With them, and the tombstone that leads from the id it had. */
void shard_keep_moved(struct shard *shard, const struct session *session, struct session_id from,
                      uint64_t until_ms);
/* Every session of it as it is, a record each and one for its attributes; locked for some of them
 * at a time. */
void shard_each(struct shard *shard, void (*fn)(void *self, const struct session_record *record),
                void *self);
/* table->ended. */
void shard_on_end(void *self, const struct session *session, enum table_end why);

/* What is told of a live session. */
void session_describe(const struct table *table, const struct session *session, uint64_t now_ms,
                      weir_session *ret);
/* With an end mark. */
void session_name_text(const struct table *table, const struct session *session,
                       enum session_name kind, char *ret_text);

/* keeper.c */
void keeper_init(struct weir_sessions *sessions);
void keeper_fini(struct weir_sessions *sessions);
weir_err keeper_start(struct weir_sessions *sessions);
void keeper_stop(struct weir_sessions *sessions);
/* There is something for the disk. */
void keeper_wake(struct weir_sessions *sessions);
/* There is more for the store, which is waiting for it. */
void keeper_press(struct weir_sessions *sessions);
/* The journal takes no more, or is whole again. */
void keeper_degraded(struct weir_sessions *sessions, bool is_degraded);

/* store.c */
weir_err storing_open(struct weir_sessions *sessions);
/* Gives it what is left, and asks it nothing any more. */
void storing_close(struct weir_sessions *sessions);
/* As weir_sessions_stored(), where some may have been taken whatever `err` says: taken[n] of the
 * n-th change; NULL: all of them, or none. */
weir_err storing_settle(struct weir_sessions *sessions, uint64_t task, const bool *taken,
                        weir_err err);
/* Answers those who wait for what was just written, or all of them with an error. There is a write
 * that is being settled, or `is_settling` is false. */
void confirms_answer(struct weir_sessions *sessions, weir_err err, bool is_settling);
/* Ends what answers, if that is ours. */
void storing_end_redis(struct weir_sessions *sessions);
/* Gives it what is due. */
void storing_turn(struct weir_sessions *sessions, uint64_t now_ms);
void storing_stats(struct weir_sessions *sessions, weir_sessions_stats *stats);
