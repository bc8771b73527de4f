/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - between the tables and a store of the program's: batches of what has changed, one at a
 * time, and sessions that are fetched.
 *
 * A record that was given to the store and answered for is clean, unless it has changed meanwhile:
 * then its version is another, and it goes again. So nothing that a table holds alone is ever taken
 * for kept.
 */
#include "io/clock.h"
#include "session/redis.h"
#include "session/sessions.h"

#include <time.h>

/* --- opening and closing ------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

static bool room_for(struct storing *storing, const struct alloc *alloc)
{
    size_t most = storing->store.batch_max;
    storing->batch = alloc_array(alloc, most, sizeof *storing->batch);
    storing->changes = alloc_array(alloc, most, sizeof *storing->changes);
    storing->sessions = alloc_array(alloc, most, sizeof *storing->sessions);
    storing->attrs = alloc_array(alloc, most, SESSION_ATTRS_MAX);
    return storing->batch != NULL && storing->changes != NULL && storing->sessions != NULL
           && storing->attrs != NULL
           && slots_init(&storing->confirms, alloc, sizeof(struct confirm_ask), SESSIONS_FETCHES)
           && slots_init(&storing->asks, alloc, sizeof(struct fetch_ask), SESSIONS_FETCHES);
}

weir_err storing_open(struct weir_sessions *sessions)
{
    const weir_session_store *given = sessions->opt.store;
    struct storing *storing = alloc_zeroed(&sessions->alloc, sizeof *storing);
    pthread_condattr_t monotonic;
    if (storing == NULL) {
        return WEIR_ENOMEM;
    }
    weir_session_store *store = &storing->store;
    memcpy(store, given, given->size != 0 ? given->size : sizeof *given);
    store->batch_max = or_default(store->batch_max, 100);
    store->soon_ms = or_default(store->soon_ms, 20);
    store->counters_ms = or_default(store->counters_ms, 60000);
    store->again_ms = or_default(store->again_ms, 1000);
    storing->counters_ms = sessions_now_ms(sessions) + store->counters_ms;
    pthread_mutex_init(&storing->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&storing->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sessions->storing = storing;
    return room_for(storing, &sessions->alloc) ? WEIR_OK : WEIR_ENOMEM;
}

static void storing_free(struct weir_sessions *sessions)
{
    struct storing *storing = sessions->storing;
    pthread_cond_destroy(&storing->answered);
    pthread_mutex_destroy(&storing->mutex);
    if (storing->asks.base != NULL) {
        slots_fini(&storing->asks);
    }
    if (storing->confirms.base != NULL) {
        slots_fini(&storing->confirms);
    }
    alloc_free(&sessions->alloc, storing->attrs);
    alloc_free(&sessions->alloc, storing->sessions);
    alloc_free(&sessions->alloc, storing->changes);
    alloc_free(&sessions->alloc, storing->batch);
    alloc_free(&sessions->alloc, storing);
    sessions->storing = NULL;
}

/* --- a batch ------------------------------------------------------------------------------------
 */

/* Locked, of the shard. */
static void describe_change(struct storing *storing, const struct shard *shard,
                            const struct session *session, uint64_t now_ms)
{
    uint32_t n = storing->count++;
    weir_session_delta *change = &storing->changes[n];
    char *attrs = storing->attrs + (size_t)n * SESSION_ATTRS_MAX;
    storing->batch[n] = (struct stored){session->id, session->version, false};
    *change = (weir_session_delta){.size = sizeof *change, .id = id_outside(session->id)};
    if (session->state == SESSION_TOMB) {
        change->successor = id_outside(session->forward);
        change->left_ms = session->expires_ms > now_ms ? session->expires_ms - now_ms : 0;
        change->is_known = session->is_stored;
        return;
    }
    session_describe(&shard->table, session, now_ms, &storing->sessions[n]);
    change->session = &storing->sessions[n];
    change->is_known = session->is_stored;
    change->attrs = attrs;
    change->attrs_len = table_attrs(&shard->table, session, attrs);
}

static void collect_shard(struct storing *storing, struct shard *shard, uint64_t now_ms)
{
    const struct session *session;
    pthread_mutex_lock(&shard->mutex);
    while (storing->count < storing->store.batch_max
           && (session = table_take_changed(&shard->table, &storing->place)) != NULL) {
        if (session->is_dirty && session->expires_ms > now_ms) {
            describe_change(storing, shard, session, now_ms);
        }
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* On from where the last batch ended, all around: what a store does not take, and is to be offered
 * again, has to come behind all others, or they would never be. */
static void collect(struct weir_sessions *sessions, uint64_t now_ms)
{
    struct storing *storing = sessions->storing;
    storing->count = 0;
    for (unsigned i = 0; i <= sessions->shards_count; i++) { /* the first one's first half last */
        collect_shard(storing, &sessions->shards[storing->shard], now_ms);
        if (storing->count == storing->store.batch_max) {
            return;
        }
        storing->shard = (storing->shard + 1) % sessions->shards_count;
        storing->place = 0;
    }
}

/* What was only touched goes as well. */
static void hurry_counters(struct weir_sessions *sessions)
{
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        const struct session *session;
        uint32_t index = 0;
        pthread_mutex_lock(&shard->mutex);
        while ((session = table_walk_all(&shard->table, &index)) != NULL) {
            if (session->is_dirty) {
                table_give_changed(&shard->table, session);
            }
        }
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* False: there is nothing to write, or it is not the time. */
static bool write_some(struct weir_sessions *sessions, uint64_t now_ms)
{
    struct storing *storing = sessions->storing;
    pthread_mutex_lock(&storing->mutex);
    bool is_free = storing->task == 0 && now_ms >= storing->again_ms
                   && storing->renewal != RENEWAL_ASKED; /* first that is seen to */
    storing->batch_renewals = is_free ? storing->renewals : storing->batch_renewals;
    pthread_mutex_unlock(&storing->mutex);
    if (!is_free) {
        return false;
    }
    collect(sessions, now_ms);
    if (storing->count == 0) {
        return false;
    }
    pthread_mutex_lock(&storing->mutex);
    uint64_t task = storing->task = ++storing->tasks;
    storing->writes++;
    pthread_mutex_unlock(&storing->mutex);
    storing->store.write(sessions->opt.store_self, task, storing->changes, storing->count);
    return true;
}

static void renew(struct weir_sessions *sessions, enum session_state state)
{
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        pthread_mutex_lock(&shard->mutex);
        table_renew(&shard->table, state);
        pthread_mutex_unlock(&shard->mutex);
    }
}

/* Asked for until nothing is known any more to be there: what comes meanwhile of what is missed is
 * no news. Asked for again meanwhile, it begins again. */
static void begin_renewal(struct weir_sessions *sessions, uint64_t renewals)
{
    struct storing *storing = sessions->storing;
    renew(sessions, SESSION_TOMB);
    pthread_mutex_lock(&storing->mutex);
    if (storing->renewals == renewals) {
        storing->renewal = RENEWAL_TOMBS;
    }
    pthread_mutex_unlock(&storing->mutex);
    keeper_wake(sessions);
}

/* Tombstones first, so that none is raised by what somebody else still has. */
static void see_to_renewal(struct weir_sessions *sessions, bool is_all_written)
{
    struct storing *storing = sessions->storing;
    pthread_mutex_lock(&storing->mutex);
    enum storing_renewal renewal = storing->renewal;
    uint64_t renewals = storing->renewals;
    bool is_idle = storing->task == 0 && !storing->is_failed && storing->held_ms == 0
                   && is_all_written;
    bool is_live_due = renewal == RENEWAL_LIVE || (renewal == RENEWAL_TOMBS && is_idle);
    storing->renewal = is_live_due ? RENEWAL_NONE : renewal;
    pthread_mutex_unlock(&storing->mutex);
    if (renewal == RENEWAL_ASKED) {
        begin_renewal(sessions, renewals);
    } else if (is_live_due) {
        renew(sessions, SESSION_LIVE);
        keeper_wake(sessions);
    }
}

void weir_sessions_renew(weir_sessions *sessions)
{
    struct storing *storing = sessions->storing;
    if (storing == NULL) {
        return;
    }
    pthread_mutex_lock(&storing->mutex);
    storing->renewal = RENEWAL_ASKED;
    storing->renewals++;
    pthread_mutex_unlock(&storing->mutex);
    keeper_wake(sessions);
}

/* Whatever was held back until now. */
static bool is_held_due(struct storing *storing, uint64_t now_ms)
{
    pthread_mutex_lock(&storing->mutex);
    bool is_due = storing->held_ms != 0 && now_ms >= storing->held_ms;
    storing->held_ms = is_due ? 0 : storing->held_ms;
    pthread_mutex_unlock(&storing->mutex);
    return is_due;
}

void storing_turn(struct weir_sessions *sessions, uint64_t now_ms)
{
    struct storing *storing = sessions->storing;
    see_to_renewal(sessions, false);
    if (is_held_due(storing, now_ms) || now_ms >= storing->counters_ms) {
        storing->counters_ms = now_ms + storing->store.counters_ms;
        hurry_counters(sessions);
    }
    while (write_some(sessions, now_ms)) { /* on, where the store answers at once */
    }
    see_to_renewal(sessions, storing->count == 0);
    if (storing->count == 0) {
        confirms_answer(sessions, WEIR_OK, false); /* what has expired is not written any more */
    }
}

/* What was not taken, where others were, is held back: it is told again with all that has changed
 * by then, and nobody waits for it. */
static void settle(struct weir_sessions *sessions, const struct stored *stored, bool is_held)
{
    struct shard *shard = shard_enter(sessions, stored->id);
    struct session *session = table_look(&shard->table, stored->id);
    if (session != NULL && stored->is_taken) {
        table_clean(&shard->table, session, stored->version);
    } else if (session != NULL && !is_held) {
        table_give_changed(&shard->table, session);
    }
    pthread_mutex_unlock(&shard->mutex);
}

/* How many of them. */
static uint32_t note_taken(struct storing *storing, const bool *taken, bool is_all, bool is_there)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < storing->count; i++) {
        bool is_taken = taken != NULL ? taken[i] : is_all;
        storing->batch[i].is_taken = is_taken && is_there; /* or it was lost with all the rest */
        count += is_taken;
    }
    return count;
}

/* Locked. What comes next, and when. */
static void note_end(struct weir_sessions *sessions, weir_err err, bool is_partial)
{
    struct storing *storing = sessions->storing;
    uint64_t again_ms = sessions_now_ms(sessions) + storing->store.again_ms;
    storing->task = 0;
    storing->is_failed = err != WEIR_OK && !is_partial;
    storing->failures += err != WEIR_OK;
    storing->again_ms = storing->is_failed ? again_ms : 0;
    if (is_partial && storing->held_ms == 0) {
        storing->held_ms = again_ms;
    }
}

/* The next write, by whoever has settled the last one, unless the keeper is about it: so a store of
 * ours goes on without a word between threads. */
static void go_on(struct weir_sessions *sessions)
{
    if (pthread_mutex_trylock(&sessions->turn) != 0) {
        keeper_press(sessions);
        return;
    }
    while (write_some(sessions, sessions_now_ms(sessions))) {
    }
    bool is_all = sessions->storing->count == 0;
    pthread_mutex_unlock(&sessions->turn);
    if (is_all) {
        keeper_wake(sessions); /* something may have waited for that */
    }
}

weir_err storing_settle(struct weir_sessions *sessions, uint64_t task, const bool *taken,
                        weir_err err)
{
    struct storing *storing = sessions->storing;
    if (storing == NULL || task == 0) {
        return WEIR_ESTALE;
    }
    pthread_mutex_lock(&storing->mutex);
    bool is_ours = storing->task == task;
    bool is_there = storing->batch_renewals == storing->renewals;
    storing->task = is_ours ? UINT64_MAX : storing->task; /* being settled: not to be written to */
    pthread_mutex_unlock(&storing->mutex);
    if (!is_ours) {
        return WEIR_ESTALE;
    }
    bool is_partial = note_taken(storing, taken, err == WEIR_OK, is_there) > 0 && err != WEIR_OK;
    for (uint32_t i = 0; i < storing->count; i++) {
        settle(sessions, &storing->batch[i], is_partial && is_there);
    }
    confirms_answer(sessions, err, is_there);
    bool is_full = storing->count == storing->store.batch_max;
    pthread_mutex_lock(&storing->mutex);
    note_end(sessions, err, is_partial && is_there);
    bool is_more = is_full && !storing->is_failed;
    if (err == WEIR_OK && is_there && storing->renewal == RENEWAL_TOMBS && !is_full
        && storing->held_ms == 0) { /* they were all in it */
        storing->renewal = RENEWAL_LIVE;
    }
    pthread_cond_broadcast(&storing->answered);
    pthread_mutex_unlock(&storing->mutex);
    if (is_more && taken != NULL) {
        go_on(sessions);
    } else if (is_more) {
        keeper_press(sessions);
    } else {
        keeper_wake(sessions);
    }
    return WEIR_OK;
}

weir_err weir_sessions_stored(weir_sessions *sessions, uint64_t task, weir_err err)
{
    return storing_settle(sessions, task, NULL, err);
}

/* --- the end ------------------------------------------------------------------------------------
 */

/* False: it did not come in time. */
static bool wait_for_answer(struct storing *storing, uint64_t until_ms)
{
    struct timespec until = {(time_t)(until_ms / 1000), (long)(until_ms % 1000 * 1000000)};
    pthread_mutex_lock(&storing->mutex);
    while (storing->task != 0
           && pthread_cond_timedwait(&storing->answered, &storing->mutex, &until) == 0) {
    }
    bool is_answered = storing->task == 0;
    pthread_mutex_unlock(&storing->mutex);
    return is_answered;
}

static void forget_asks(struct weir_sessions *sessions)
{
    struct storing *storing = sessions->storing;
    uint32_t index = 0;
    struct fetch_ask *ask;
    while ((ask = slots_walk(&storing->asks, &index)) != NULL) {
        struct fetch_ask own = *ask;
        slots_give(&storing->asks, slots_id_of(&storing->asks, ask));
        own.fn(own.arg, WEIR_ECLOSED, own.id);
    }
}

void storing_close(struct weir_sessions *sessions)
{
    struct storing *storing = sessions->storing;
    uint64_t until_ms = clock_now_ms() + SESSIONS_LEAVE_MS;
    if (storing->asks.base != NULL) {        /* it was opened as a whole */
        pthread_mutex_lock(&sessions->turn); /* from here on nobody else writes */
        hurry_counters(sessions);
        bool is_answered = wait_for_answer(storing, until_ms);
        storing->again_ms = 0; /* once more, however the last one ended */
        storing->is_failed = false;
        while (is_answered && !storing->is_failed
               && write_some(sessions, sessions_now_ms(sessions))) {
            is_answered = wait_for_answer(storing, until_ms);
        }
        pthread_mutex_unlock(&sessions->turn);
        if (storing->store.close != NULL) {
            storing->store.close(sessions->opt.store_self);
        }
        storing_end_redis(sessions);
        confirms_answer(sessions, WEIR_ECLOSED, false);
        forget_asks(sessions);
    }
    storing_free(sessions);
}

void storing_end_redis(struct weir_sessions *sessions)
{
    if (sessions->redis != NULL) {
        redis_store_free(sessions->redis);
        sessions->redis = NULL;
    }
}

/* --- fetching -----------------------------------------------------------------------------------
 */

weir_err weir_session_fetch(weir_sessions *sessions, weir_session_id id, weir_session_fetch_fn *fn,
                            void *arg)
{
    struct storing *storing = sessions->storing;
    uint64_t task = 0, now_ms = sessions_now_ms(sessions);
    struct shard *shard = shard_enter(sessions, id_inside(id));
    bool is_here = table_find(&shard->table, id_inside(id), now_ms) != NULL;
    bool is_known = table_look(&shard->table, id_inside(id)) != NULL;
    shard_leave(shard);
    if (is_here || is_known || storing == NULL || storing->store.read == NULL) {
        return is_here ? WEIR_OK : WEIR_ESTALE;
    }
    pthread_mutex_lock(&storing->mutex);
    struct fetch_ask *ask = slots_take(&storing->asks, &task);
    if (ask != NULL) {
        *ask = (struct fetch_ask){id, fn, arg};
    }
    pthread_mutex_unlock(&storing->mutex);
    if (ask == NULL) {
        return WEIR_EQUEUE;
    }
    storing->store.read(sessions->opt.store_self, task, id);
    return WEIR_EAGAIN;
}

static struct session_record record_of(const weir_session_delta *found, uint64_t now_ms)
{
    const weir_session *session = found->session;
    return (struct session_record){
        .kind = SESSION_WHOLE,
        .id = id_inside(found->id),
        .created_ms = now_ms > session->age_ms ? now_ms - session->age_ms : 0,
        .active_ms = now_ms > session->idle_ms ? now_ms - session->idle_ms : 0,
        .expires_ms = now_ms + session->left_ms,
        .bound_until_ms = session->bound_ms > 0 ? now_ms + session->bound_ms : 0,
        .epoch = session->epoch,
        .requests = session->requests,
        .errors = session->errors,
        .status = (uint8_t)session->status,
        .names = {slice_of(session->user), slice_of(session->account), slice_of(session->key),
                  slice_of(session->place)},
    };
}

/* Locked, of the shard. What came into being here meanwhile stays as it is. */
static weir_err take_in(struct shard *shard, const weir_session_delta *found, uint64_t now_ms)
{
    struct session_record record = record_of(found, now_ms);
    if (table_look(&shard->table, record.id) != NULL) {
        return table_find(&shard->table, record.id, now_ms) != NULL ? WEIR_OK : WEIR_ESTALE;
    }
    record.ttl_ms = shard->sessions->opt.ttl_ms;
    weir_err err = table_import(&shard->table, &record, now_ms);
    if (err != WEIR_OK) {
        return err;
    }
    struct session *session = table_look(&shard->table, record.id);
    err = table_set_attrs(&shard->table, session,
                          (struct slice){found->attrs, (uint32_t)found->attrs_len});
    table_clean(&shard->table, session, session->version);
    const struct session_record records[2] = {
        record,
        {.kind = SESSION_ATTRS,
         .id = record.id,
         .attrs = {found->attrs, (uint32_t)found->attrs_len}}};
    shard_write(shard, records, err == WEIR_OK ? 2 : 1);
    return err;
}

weir_err weir_sessions_fetched(weir_sessions *sessions, uint64_t task, weir_err err,
                               const weir_session_delta *found)
{
    struct storing *storing = sessions->storing;
    if (storing == NULL) {
        return WEIR_ESTALE;
    }
    pthread_mutex_lock(&storing->mutex);
    struct fetch_ask own = {0}, *ask = slots_at(&storing->asks, task);
    if (ask != NULL) {
        own = *ask;
        slots_give(&storing->asks, task);
        storing->fetched += err == WEIR_OK;
        storing->fetch_misses += err != WEIR_OK;
    }
    pthread_mutex_unlock(&storing->mutex);
    if (ask == NULL) {
        return WEIR_ESTALE;
    }
    if (err == WEIR_OK
        && (found == NULL || found->session == NULL || found->session->left_ms == 0
            || found->attrs_len > SESSION_ATTRS_MAX || found->id.high != own.id.high
            || found->id.low != own.id.low)) {
        err = WEIR_ESTALE;
    }
    if (err == WEIR_OK) {
        struct shard *shard = shard_enter(sessions, id_inside(own.id));
        err = take_in(shard, found, sessions_now_ms(sessions));
        shard_leave(shard);
    }
    own.fn(own.arg, err, own.id);
    return WEIR_OK;
}

/* --- what others have done ----------------------------------------------------------------------
 */

static void end_here(struct shard *shard, const weir_session_delta *news, uint64_t now_ms)
{
    struct session_id id = id_inside(news->id);
    uint64_t left_ms = news->left_ms != 0 ? news->left_ms : shard->sessions->opt.tombstone_ms;
    left_ms = left_ms != 0 ? left_ms : 1; /* there are no tombstones, and it ends all the same */
    const struct session_record over = {.kind = SESSION_OVER,
                                        .id = id,
                                        .expires_ms = now_ms + left_ms,
                                        .forward = id_inside(news->successor)};
    if (table_import(&shard->table, &over, now_ms) != WEIR_OK) {
        return;
    }
    struct session *stone = table_look(&shard->table, id);
    if (stone != NULL) {
        table_clean(&shard->table, stone, stone->version); /* that is where it comes from */
    }
    shard_write(shard, &over, 1);
    bool is_moved = news->successor.high != 0 || news->successor.low != 0;
    shard_note(shard, is_moved ? WEIR_SESSION_ROTATED : WEIR_SESSION_ENDED, id);
}

/* Whether what is told comes before what is here. */
static bool is_later(const struct shard *shard, const struct session *session,
                     const weir_session *told)
{
    return told->epoch > session->epoch
           || (told->epoch == session->epoch
               && !table_name_is(&shard->table, session, SESSION_PLACE, slice_of(told->place)));
}

static weir_err move_here(struct shard *shard, struct session *session, const weir_session *told,
                          uint64_t now_ms)
{
    if (!is_later(shard, session, told)) {
        return WEIR_OK;
    }
    weir_err err = table_adopt(&shard->table, session, slice_of(told->place), told->epoch,
                               now_ms + told->bound_ms);
    if (err == WEIR_OK) {
        shard_keep(shard, session);
        shard_note(shard, WEIR_SESSION_REBOUND, session->id);
    }
    return err;
}

/* What is not there any more has ended only if it was there: not after the store lost all. */
static bool is_no_news(const struct weir_sessions *sessions, const struct session *session,
                       const weir_session_delta *news, bool is_renewing)
{
    bool is_missed = news->session == NULL && news->is_known;
    return is_missed && sessions->storing != NULL && (is_renewing || !session->is_stored);
}

weir_err weir_sessions_heard(weir_sessions *sessions, const weir_session_delta *news)
{
    struct storing *storing = sessions->storing;
    uint64_t now_ms = sessions_now_ms(sessions);
    weir_err err = WEIR_OK;
    bool is_renewing = false;
    if (storing != NULL) {
        pthread_mutex_lock(&storing->mutex);
        is_renewing = storing->renewal == RENEWAL_ASKED;
        pthread_mutex_unlock(&storing->mutex);
    }
    struct shard *shard = shard_enter(sessions, id_inside(news->id));
    struct session *session = table_find(&shard->table, id_inside(news->id), now_ms);
    if (session == NULL || is_no_news(sessions, session, news, is_renewing)) {
        err = WEIR_ESTALE;
    } else if (news->session == NULL) {
        end_here(shard, news, now_ms);
    } else {
        err = move_here(shard, session, news->session, now_ms);
    }
    shard_leave(shard);
    if (err == WEIR_OK && storing != NULL) {
        pthread_mutex_lock(&storing->mutex);
        storing->heard++;
        pthread_mutex_unlock(&storing->mutex);
    }
    return err;
}

weir_err weir_affinity_claim(weir_sessions *sessions, weir_session_id id, const char *place,
                             weir_affinity_fn *fn, void *arg)
{
    struct slice name = slice_or_none(place);
    if (sessions->redis == NULL) {
        return WEIR_ESTATE;
    }
    if (name.len == 0 || name.len > WEIR_SESSION_NAME_MAX || fn == NULL) {
        return WEIR_EINVAL;
    }
    return redis_store_claim(sessions->redis, id, name, fn, arg);
}

weir_err sessions_lease(weir_sessions *sessions, const struct lease_ask *ask, lease_fn *fn,
                        void *arg)
{
    return sessions->redis != NULL ? redis_store_lease(sessions->redis, ask, fn, arg) : WEIR_ESTATE;
}

void storing_stats(struct weir_sessions *sessions, weir_sessions_stats *stats)
{
    struct storing *storing = sessions->storing;
    pthread_mutex_lock(&storing->mutex);
    stats->store_writes = storing->writes - (storing->task != 0); /* the answered ones */
    stats->store_failures = storing->failures;
    stats->fetched = storing->fetched;
    stats->fetch_misses = storing->fetch_misses;
    stats->renewals = storing->renewals;
    stats->heard = storing->heard;
    if (sessions->redis != NULL) {
        redis_store_stats(sessions->redis, stats);
    }
    pthread_mutex_unlock(&storing->mutex);
}
