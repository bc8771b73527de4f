/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions_open.c - options, memory, the journal's contents: from nothing to weir_sessions, and
 * back.
 */
#include "io/clock.h"
#include "io/pages.h"
#include "session/redis.h"
#include "session/sessions.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define ALIGN 64U

static _Thread_local const char *fault_word = "";

static weir_err fault(const char *word)
{
    fault_word = word;
    return WEIR_EINVAL;
}

const char *weir_sessions_fault(void)
{
    return fault_word;
}

uint64_t sessions_now_ms(const struct weir_sessions *sessions)
{
    const weir_sessions_options *opt = &sessions->opt;
    return SESSIONS_BEGINNING + (opt->now_ms != NULL ? opt->now_ms(opt->now_arg) : clock_now_ms());
}

/* A clock of the program's means nothing to another process. */
struct book_time sessions_time(const struct weir_sessions *sessions)
{
    return (struct book_time){.mono_ms = sessions_now_ms(sessions),
                              .wall_ms = clock_wall_ms(),
                              .boot = sessions->opt.now_ms == NULL ? book_boot()
                                                                   : (struct session_id){0, 0}};
}

/* --- options ------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

static bool store_is_wrong(const weir_session_store *store)
{
    return store != NULL
           && (store->size > sizeof *store || store->write == NULL
               || store->batch_max > SESSIONS_BATCH_MAX);
}

/* The field that makes no sense, or NULL. */
static const char *fault_of(const weir_sessions_options *opt)
{
    if (opt->redis != NULL) {
        const char *word = opt->store != NULL ? "redis" : redis_store_fault(opt->redis);
        if (word != NULL) {
            return word;
        }
    }
    return opt->sessions_max > TABLE_MOST  ? "sessions_max"
           : opt->ttl_ms > opt->ttl_max_ms ? "ttl"
           : opt->fsync > WEIR_FSYNC_NEVER ? "fsync"
           : opt->fsync_ms > 60000         ? "fsync_ms"
           : store_is_wrong(opt->store)    ? "store"
                                           : NULL;
}

static weir_err options_of(const weir_sessions_options *opt, weir_sessions_options *ret_opt)
{
    weir_sessions_options own = {0};
    size_t size = opt == NULL ? 0 : opt->size != 0 ? opt->size : sizeof own;
    if (size > sizeof own) {
        return fault("size");
    }
    if (size > 0) {
        memcpy(&own, opt, size);
    }
    own.size = sizeof own;
    own.sessions_max = or_default(own.sessions_max, SESSIONS_MAX);
    own.ttl_ms = or_default(own.ttl_ms, SESSIONS_TTL_MS);
    own.ttl_max_ms = or_default(own.ttl_max_ms, SESSIONS_TTL_MAX_MS);
    own.affinity_ttl_ms = or_default(own.affinity_ttl_ms, SESSIONS_BOUND_MS);
    own.tombstone_ms = or_default(own.tombstone_ms, SESSIONS_TOMB_MS);
    own.tombstone_ms = own.tombstone_ms == WEIR_NONE ? 0 : own.tombstone_ms;
    own.fsync = own.fsync != 0 ? own.fsync : WEIR_FSYNC_SOON;
    own.fsync_ms = or_default(own.fsync_ms, SESSIONS_FSYNC_MS);
    const char *word = fault_of(&own);
    *ret_opt = own;
    return word != NULL ? fault(word) : WEIR_OK;
}

/* --- memory -------------------------------------------------------------------------------------
 */

static void *libc_alloc(void *arg, size_t bytes)
{
    (void)arg;
    return calloc(1, bytes);
}

static void libc_free(void *arg, void *memory)
{
    (void)arg;
    free(memory);
}

static void *hook_alloc(void *self, size_t size)
{
    const weir_allocator *allocator = self;
    return allocator->alloc(allocator->arg, size);
}

static void hook_free(void *self, void *memory)
{
    const weir_allocator *allocator = self;
    if (memory != NULL) {
        allocator->free(allocator->arg, memory);
    }
}

static void *aligned(void *memory)
{
    return (void *)(((uintptr_t)memory + ALIGN - 1) / ALIGN * ALIGN);
}

static struct weir_sessions *sessions_new(const weir_sessions_options *opt)
{
    weir_allocator hooks = opt->allocator;
    if (hooks.alloc == NULL || hooks.free == NULL) {
        hooks = (weir_allocator){libc_alloc, libc_free, NULL};
    }
    void *memory = hooks.alloc(hooks.arg, sizeof(struct weir_sessions) + ALIGN);
    if (memory == NULL) {
        return NULL;
    }
    struct weir_sessions *sessions = aligned(memory);
    sessions->memory = memory;
    sessions->opt = *opt;
    sessions->opt.allocator = hooks;
    sessions->alloc = (struct alloc){.alloc = hook_alloc,
                                     .free = hook_free,
                                     .zeroed = hook_alloc,
                                     .self = &sessions->opt.allocator};
    sessions->bytes = sizeof *sessions;
    sessions->shards_count = shards_for(sysconf(_SC_NPROCESSORS_ONLN));
    random_pool_init(&sessions->random);
    keeper_init(sessions);
    return sessions;
}

/* A shard's part, and as much more as chance may bring it: six times the deviation. */
static uint32_t part_of(uint32_t total, uint32_t shards)
{
    uint32_t mean = total / shards + 1, root = 1;
    while (root * root < mean) {
        root++;
    }
    uint32_t part = mean + 6 * root + 16;
    return part < total + 2 ? part : total + 2;
}

static weir_err shard_init(struct weir_sessions *sessions, struct shard *shard)
{
    struct table_options opt = {
        .sessions_max = part_of(sessions->opt.sessions_max, sessions->shards_count),
        .tomb_ms = sessions->opt.tombstone_ms,
        .has_store = sessions->opt.store != NULL};
    if (getrandom(&opt.key, sizeof opt.key, 0) != sizeof opt.key) {
        return WEIR_EIO;
    }
    size_t bytes = table_bytes(&opt);
    shard->memory = alloc_zeroed(&sessions->alloc, bytes + ALIGN);
    if (shard->memory == NULL) {
        return WEIR_ENOMEM;
    }
    sessions->bytes += bytes;
    table_init(&shard->table, aligned(shard->memory), &opt, sessions_now_ms(sessions));
    shard->table.ready = pages_ready;
    return WEIR_OK;
}

static void sessions_free(struct weir_sessions *sessions)
{
    keeper_fini(sessions);
    random_pool_fini(&sessions->random);
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        pthread_mutex_destroy(&shard->mutex);
        alloc_free(&sessions->alloc, shard->memory);
    }
    weir_allocator hooks = sessions->opt.allocator;
    hooks.free(hooks.arg, sessions->memory);
}

static weir_err shards_init(struct weir_sessions *sessions)
{
    weir_err err = WEIR_OK;
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        pthread_mutex_init(&shard->mutex, NULL);
        shard->sessions = sessions;
        err = err == WEIR_OK ? shard_init(sessions, shard) : err;
    }
    return err;
}

/* --- the journal --------------------------------------------------------------------------------
 */

struct recovery {
    struct weir_sessions *sessions;
    uint64_t now_ms, unrecovered;
};

static void on_heard(void *self, const struct session_record *record)
{
    struct recovery *recovery = self;
    struct shard *shard = shard_enter(recovery->sessions, record->id);
    weir_err err = table_import(&shard->table, record, recovery->now_ms);
    recovery->unrecovered += err != WEIR_OK && record->kind != SESSION_OVER;
    shard_leave(shard);
}

static weir_err book_start(struct weir_sessions *sessions)
{
    const weir_sessions_options *opt = &sessions->opt;
    struct recovery recovery = {.sessions = sessions};
    struct book_options book = {.path = opt->path,
                                .fsync = opt->fsync == WEIR_FSYNC_ALWAYS  ? BOOK_ALWAYS
                                         : opt->fsync == WEIR_FSYNC_NEVER ? BOOK_NEVER
                                                                          : BOOK_SOON,
                                .now = sessions_time(sessions),
                                .alloc = &sessions->alloc};
    if (getrandom(&book.salt, sizeof book.salt, 0) != sizeof book.salt) {
        return WEIR_EIO;
    }
    recovery.now_ms = book.now.mono_ms;
    weir_err err = book_open(&book, on_heard, &recovery, &sessions->book);
    if (err != WEIR_OK) {
        return err;
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        table_forget_counts(&sessions->shards[i].table);
    }
    sessions->recovered = sessions->live;
    sessions->unrecovered = recovery.unrecovered;
    return WEIR_OK;
}

static weir_err secret_find(struct weir_sessions *sessions)
{
    unsigned char bytes[IDENT_SECRET];
    if (sessions->opt.secret != NULL) {
        memcpy(bytes, sessions->opt.secret, sizeof bytes);
    } else if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) {
        return WEIR_EIO;
    } else if (sessions->book != NULL) {
        weir_err err = book_secret(sessions->book, bytes, sizeof bytes);
        if (err != WEIR_OK) {
            return err;
        }
    }
    sessions->secret = ident_secret_of(bytes);
    sessions->opt.secret = NULL; /* the program's to forget */
    explicit_bzero(bytes, sizeof bytes);
    return WEIR_OK;
}

/* Who has counted what the journal says is the same after a start as before. */
static weir_err redis_start(struct weir_sessions *sessions)
{
    uint64_t origin;
    if (getrandom(&origin, sizeof origin, 0) != sizeof origin) {
        return WEIR_EIO;
    }
    weir_err err = sessions->book != NULL ? book_origin(sessions->book, &origin) : WEIR_OK;
    return err == WEIR_OK ? redis_store_start(sessions->redis, sessions, origin) : err;
}

/* --- open and close -----------------------------------------------------------------------------
 */

static weir_err sessions_start(struct weir_sessions *sessions)
{
    weir_err err = shards_init(sessions);
    if (err == WEIR_OK && sessions->opt.path != NULL) {
        err = book_start(sessions);
    }
    err = err == WEIR_OK ? secret_find(sessions) : err;
    err = err == WEIR_OK && sessions->opt.store != NULL ? storing_open(sessions) : err;
    err = err == WEIR_OK && sessions->redis != NULL ? redis_start(sessions) : err;
    sessions->opt.path = NULL;
    sessions->opt.store = NULL;
    if (err != WEIR_OK) {
        return err;
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        sessions->shards[i].table.ended = shard_on_end;
        sessions->shards[i].table.self = &sessions->shards[i];
    }
    sessions->ticked_ms = sessions_now_ms(sessions);
    sessions->soon_ms = sessions->opt.fsync_ms;
    if (sessions->storing != NULL) {
        uint32_t soon_ms = sessions->storing->store.soon_ms;
        bool is_sooner = sessions->book == NULL || soon_ms < sessions->soon_ms;
        sessions->soon_ms = is_sooner ? soon_ms : sessions->soon_ms;
    }
    return keeper_start(sessions);
}

weir_err weir_sessions_open(const weir_sessions_options *opt, weir_sessions **ret_sessions)
{
    weir_sessions_options own;
    weir_err err = options_of(opt, &own);
    if (err != WEIR_OK) {
        return err;
    }
    struct redis_store *redis = NULL;
    err = own.redis != NULL ? redis_store_new(own.redis, own.affinity_ttl_ms, &redis) : WEIR_OK;
    if (err != WEIR_OK) {
        return err;
    }
    if (redis != NULL) {
        own.store = redis_store_vtable(redis);
        own.store_self = redis;
        own.redis = NULL; /* the program's to forget */
    }
    struct weir_sessions *sessions = sessions_new(&own);
    if (sessions == NULL) {
        if (redis != NULL) {
            redis_store_free(redis);
        }
        return WEIR_ENOMEM;
    }
    sessions->redis = redis;
    err = sessions_start(sessions);
    if (err != WEIR_OK) {
        int why = errno;
        if (sessions->storing != NULL) {
            storing_close(sessions);
        }
        storing_end_redis(sessions);
        if (sessions->book != NULL) {
            book_close(sessions->book);
        }
        sessions_free(sessions);
        errno = why;
        return err;
    }
    *ret_sessions = sessions;
    return WEIR_OK;
}

void weir_sessions_close(weir_sessions *take_sessions)
{
    keeper_stop(take_sessions);
    if (take_sessions->storing != NULL) {
        storing_close(take_sessions);
    }
    if (take_sessions->book != NULL) {
        book_tell_time(take_sessions->book, sessions_time(take_sessions));
        book_close(take_sessions->book);
    }
    sessions_free(take_sessions);
}

weir_err weir_sessions_sync(weir_sessions *sessions)
{
    return sessions->book != NULL ? book_sync(sessions->book) : WEIR_ESTATE;
}
