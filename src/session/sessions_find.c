/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions_find.c - what is told of sessions: one, those that fit, and figures of all.
 */
#include "session/redis.h"
#include "session/sessions.h"

#include <stdio.h>

void session_name_text(const struct table *table, const struct session *session,
                       enum session_name kind, char *ret_text)
{
    ret_text[table_name(table, session, kind, ret_text)] = '\0';
}

/* What is told of a session; `size` is of the caller's struct. */
void session_describe(const struct table *table, const struct session *session, uint64_t now_ms,
                      weir_session *ret)
{
    table_fetch_names(table, session);
    ret->size = sizeof *ret;
    ret->id = id_outside(session->id);
    ret->status = session->status;
    ret->requests = session->requests;
    ret->errors = session->errors;
    ret->age_ms = now_ms > session->created_ms ? now_ms - session->created_ms : 0;
    ret->idle_ms = now_ms > session->active_ms ? now_ms - session->active_ms : 0;
    ret->left_ms = session->expires_ms - now_ms;
    ret->epoch = session->epoch;
    ret->bound_ms = session_is_bound(session, now_ms) ? session->bound_until_ms - now_ms : 0;
    ret->place[0] = '\0';
    session_name_text(table, session, SESSION_USER, ret->user);
    session_name_text(table, session, SESSION_ACCOUNT, ret->account);
    session_name_text(table, session, SESSION_KEY, ret->key);
    if (ret->bound_ms > 0) {
        session_name_text(table, session, SESSION_PLACE, ret->place);
    }
}

/* --- lists --------------------------------------------------------------------------------------
 */

#define FIND_AT_ONCE 16U   /* are copied under one lock, and shown without it */
#define FIND_LISTED  1024U /* of one shard; of a longer list all records are looked at */

/* Where a find is. Records do not move, so that their places are good between two locks. */
struct finding {
    weir_session_query query;
    struct slice names[TABLE_INDEXES], place;
    enum session_name kind; /* of the list that is walked; SESSION_NAMES: none */
    uint64_t now_ms;
    /* In the shard at hand. */
    bool is_listed; /* places[] has them all; else every record is looked at */
    uint32_t next, count, places[FIND_LISTED];
};

static bool fits(const struct table *table, const struct session *session,
                 const struct finding *finding)
{
    if (session->expires_ms <= finding->now_ms
        || (finding->query.status != 0 && session->status != finding->query.status)) {
        return false;
    }
    for (enum session_name kind = 0; kind < TABLE_INDEXES; kind++) {
        if (finding->names[kind].at != NULL
            && !table_name_is(table, session, kind, finding->names[kind])) {
            return false;
        }
    }
    return finding->place.at == NULL
           || (session_is_bound(session, finding->now_ms)
                   ? table_name_is(table, session, SESSION_PLACE, finding->place)
                   : finding->place.len == 0);
}

/* Locked. */
static void find_begin(const struct table *table, struct finding *finding)
{
    finding->next = finding->count = 0;
    finding->is_listed = finding->kind != SESSION_NAMES
                         && table_count_of(table, finding->kind, finding->names[finding->kind])
                                <= FIND_LISTED;
    if (!finding->is_listed) {
        return;
    }
    for (const struct session *at =
             table_first_of(table, finding->kind, finding->names[finding->kind]);
         at != NULL; at = table_next_of(table, at, finding->kind)) {
        finding->places[finding->count++] = table_place(table, at);
    }
}

static const struct session *find_next(const struct table *table, struct finding *finding)
{
    const struct session *session = NULL;
    if (!finding->is_listed) {
        return table_walk(table, &finding->next);
    }
    while (session == NULL && finding->next < finding->count) {
        session = table_at(table, finding->places[finding->next++]);
    }
    return session;
}

/* The next few of a shard; fewer: there are no more. */
static unsigned find_some(struct shard *shard, struct finding *finding, bool is_first,
                          weir_session *ret)
{
    unsigned count = 0;
    const struct session *session;
    pthread_mutex_lock(&shard->mutex);
    if (is_first) {
        find_begin(&shard->table, finding);
    }
    while (count < FIND_AT_ONCE && (session = find_next(&shard->table, finding)) != NULL) {
        if (fits(&shard->table, session, finding)) {
            session_describe(&shard->table, session, finding->now_ms, &ret[count++]);
        }
    }
    shard_leave(shard);
    return count;
}

/* False: the query is of a later version. */
static bool finding_of(const struct weir_sessions *sessions, const weir_session_query *query,
                       struct finding *ret)
{
    size_t size = query == NULL ? 0 : query->size != 0 ? query->size : sizeof ret->query;
    ret->query = (weir_session_query){0};
    ret->kind = SESSION_NAMES;
    ret->now_ms = sessions_now_ms(sessions);
    if (size > sizeof ret->query) {
        return false;
    }
    if (size > 0) {
        memcpy(&ret->query, query, size);
    }
    ret->names[SESSION_USER] = slice_or_none(ret->query.user);
    ret->names[SESSION_ACCOUNT] = slice_or_none(ret->query.account);
    ret->names[SESSION_KEY] = slice_or_none(ret->query.key);
    ret->place = slice_or_none(ret->query.place);
    for (unsigned i = TABLE_INDEXES; i-- > 0;) { /* a user's list is the shortest, as a rule */
        ret->kind = ret->names[i].len > 0 ? (enum session_name)i : ret->kind;
    }
    return true;
}

/* Who is shown what was found. */
struct showing {
    bool (*fn)(void *arg, const weir_session *session);
    void *arg;
    size_t shown;
};

/* False: no more are wanted. */
static bool show_shard(struct shard *shard, struct finding *finding, struct showing *showing)
{
    weir_session some[FIND_AT_ONCE];
    unsigned count = FIND_AT_ONCE;
    for (bool is_first = true; count == FIND_AT_ONCE; is_first = false) {
        count = find_some(shard, finding, is_first, some);
        for (unsigned i = 0; i < count; i++) {
            showing->shown++;
            if (!showing->fn(showing->arg, &some[i])) {
                return false;
            }
        }
    }
    return true;
}

size_t weir_sessions_find(weir_sessions *sessions, const weir_session_query *query,
                          bool (*fn)(void *arg, const weir_session *session), void *arg)
{
    struct finding finding;
    struct showing showing = {fn, arg, 0};
    if (!finding_of(sessions, query, &finding)) {
        return 0;
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        if (!show_shard(&sessions->shards[i], &finding, &showing)) {
            break;
        }
    }
    return showing.shown;
}

weir_err weir_sessions_search(weir_sessions *sessions, const weir_session_search *what,
                              weir_session_page_fn *fn, void *arg)
{
    return fn == NULL                ? WEIR_EINVAL
           : sessions->redis == NULL ? WEIR_ESTATE
                                     : redis_store_search(sessions->redis, what, fn, arg);
}

/* --- figures ------------------------------------------------------------------------------------
 */

static void stats_add(const struct shard *shard, weir_sessions_stats *stats)
{
    struct table_count count = table_count(&shard->table);
    stats->live += count.live;
    stats->tombstones += count.tombs;
    stats->unstored += shard->sessions->storing != NULL ? count.live + count.tombs - count.clean
                                                        : 0;
    stats->created += count.created;
    stats->ended += count.ends[TABLE_ENDED];
    stats->expired += count.ends[TABLE_EXPIRED];
    stats->rotated += count.ends[TABLE_ROTATED];
    stats->refused += count.refused;
    stats->found += shard->found;
    stats->missed += shard->missed;
    stats->claimed += shard->claimed;
    stats->prolonged += shard->prolonged;
    stats->disputed += shard->disputed;
    stats->rebound += shard->rebound;
}

static void stats_of_book(struct book *book, weir_sessions_stats *stats)
{
    struct book_count count = book_count(book);
    stats->journal_bytes = count.bytes;
    stats->journal_cut = count.cut;
    stats->journal_writes = count.written;
    stats->journal_syncs = count.syncs;
    stats->journal_rewrites = count.rewrites;
    stats->journal_failures = count.failures;
    stats->degraded = count.is_broken;
}

void weir_sessions_stats_of(weir_sessions *sessions, weir_sessions_stats *ret_stats)
{
    size_t size = ret_stats->size;
    weir_sessions_stats own = {.size = sizeof own,
                               .bytes = sessions->bytes,
                               .recovered = sessions->recovered,
                               .unrecovered = sessions->unrecovered,
                               .refused = atomic_load(&sessions->refused)};
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        pthread_mutex_lock(&shard->mutex);
        stats_add(shard, &own);
        shard_leave(shard);
    }
    if (sessions->book != NULL) {
        stats_of_book(sessions->book, &own);
    }
    if (sessions->storing != NULL) {
        storing_stats(sessions, &own);
    }
    size = size != 0 && size < sizeof own ? size : sizeof own;
    own.size = size;
    memcpy(ret_stats, &own, size);
}

size_t weir_sessions_redis_fault(weir_sessions *sessions, char *ret_text, size_t size)
{
    if (sessions->redis == NULL) {
        return (size_t)snprintf(ret_text, size, "%s", "");
    }
    return redis_store_fault_text(sessions->redis, ret_text, size);
}
