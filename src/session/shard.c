/* SPDX-License-Identifier: Apache-2.0 */
#include "session/handover.h"

struct shard *shard_of(struct weir_sessions *sessions, struct session_id id)
{
    return &sessions->shards[id.high & (sessions->shards_count - 1)];
}

uint32_t shards_for(long processors)
{
    uint32_t count = SESSIONS_SHARDS_MIN;
    while (count < SESSIONS_SHARDS_MAX && count < SESSIONS_SHARDS_EACH * processors) {
        count *= 2;
    }
    return count;
}

struct shard *shard_enter(struct weir_sessions *sessions, struct session_id id)
{
    struct shard *shard = shard_of(sessions, id);
    table_fetch(&shard->table, id); /* comes while the lock is waited for */
    pthread_mutex_lock(&shard->mutex);
    return shard;
}

static void count_live(struct shard *shard)
{
    uint32_t live = table_count(&shard->table).live;
    if (live != shard->live_told) {
        atomic_fetch_add(&shard->sessions->live, live - shard->live_told); /* modulo 2^32 */
        shard->live_told = live;
    }
}

static void reach_disk(struct weir_sessions *sessions, uint64_t place)
{
    if (sessions->opt.fsync == WEIR_FSYNC_SOON) {
        keeper_wake(sessions);
    } else if (sessions->opt.fsync == WEIR_FSYNC_ALWAYS
               && book_wait(sessions->book, place) != WEIR_OK) {
        keeper_degraded(sessions, true);
    }
}

void shard_leave(struct shard *shard)
{
    struct weir_sessions *sessions = shard->sessions;
    struct notice notices[SESSIONS_NOTICES];
    uint32_t count = shard->notices_count;
    uint64_t place = shard->place;
    memcpy(notices, shard->notices, count * sizeof notices[0]);
    shard->notices_count = 0;
    shard->place = 0;
    count_live(shard);
    pthread_mutex_unlock(&shard->mutex);
    if (place > 0) {
        reach_disk(sessions, place);
    }
    if (sessions->storing != NULL) {
        keeper_wake(sessions);
    }
    for (uint32_t i = 0; i < count; i++) {
        sessions->opt.on_event(sessions->opt.event_arg, notices[i].kind, notices[i].id);
    }
}

void shard_leave_as_it_was(struct shard *shard)
{
    pthread_mutex_unlock(&shard->mutex);
}

void shard_note(struct shard *shard, weir_session_event_kind kind, struct session_id id)
{
    if (shard->sessions->opt.on_event != NULL) {
        check(shard->notices_count < SESSIONS_NOTICES);
        shard->notices[shard->notices_count++] = (struct notice){kind, id_outside(id)};
    }
}

static void tell_follower(const struct weir_sessions *sessions,
                          const struct session_record *records, unsigned count)
{
    const struct sessions_follower *follower = atomic_load(&sessions->follower);
    char frame[SESSION_FRAME_MAX];
    for (unsigned i = 0; follower != NULL && i < count; i++) {
        size_t len = session_record_write(&records[i], 0, 0, frame);
        follower->frame(follower->self, frame, len);
    }
}

/* Whether somebody wants to know. */
static bool is_heard(const struct shard *shard)
{
    return shard->sessions->book != NULL || atomic_load(&shard->sessions->follower) != NULL;
}

void shard_write(struct shard *shard, const struct session_record *records, unsigned count)
{
    struct weir_sessions *sessions = shard->sessions;
    uint64_t place;
    tell_follower(sessions, records, count);
    if (sessions->book == NULL) {
        return;
    }
    if (book_write(sessions->book, records, count, &place) == WEIR_OK) {
        shard->place = place;
    } else if (!atomic_exchange(&sessions->is_degraded, true)) {
        shard_note(shard, WEIR_SESSION_DEGRADED, (struct session_id){0, 0});
    }
}

void shard_keep(struct shard *shard, const struct session *session)
{
    char text[SESSION_TEXT_MAX];
    struct session_record record;
    if (is_heard(shard)) {
        table_export(&shard->table, session, text, &record);
        shard_write(shard, &record, 1);
    }
}

void shard_keep_moved(struct shard *shard, const struct session *session, struct session_id from,
                      uint64_t until_ms)
{
    char text[SESSION_TEXT_MAX];
    struct session_record records[3];
    if (!is_heard(shard)) {
        return;
    }
    table_export(&shard->table, session, text, &records[0]);
    records[1] = (struct session_record){
        .kind = SESSION_ATTRS, .id = session->id, .attrs = records[0].attrs};
    records[2] = (struct session_record){
        .kind = SESSION_OVER, .id = from, .expires_ms = until_ms, .forward = session->id};
    shard_write(shard, records, 3);
}

void shard_on_end(void *self, const struct session *session, enum table_end why)
{
    struct shard *shard = self;
    if (why == TABLE_EXPIRED || why == TABLE_EVICTED) {
        const struct session_record over = {.kind = SESSION_OVER, .id = session->id};
        if (why == TABLE_EXPIRED) {
            shard_note(shard, WEIR_SESSION_EXPIRED, session->id);
        }
        shard_write(shard, &over, 1); /* what was evicted is the store's from now on */
    }
}

#define EACH_AT_ONCE 256U /* sessions under one lock */

void shard_each(struct shard *shard, void (*fn)(void *self, const struct session_record *record),
                void *self)
{
    char text[SESSION_TEXT_MAX];
    struct session_record record;
    uint32_t index = 0;
    const struct session *session = NULL;
    do {
        pthread_mutex_lock(&shard->mutex);
        for (unsigned i = 0; i < EACH_AT_ONCE; i++) {
            session = table_walk_all(&shard->table, &index);
            if (session == NULL) {
                break;
            }
            table_export(&shard->table, session, text, &record);
            fn(self, &record);
            if (record.attrs.len > 0) {
                record.kind = SESSION_ATTRS;
                fn(self, &record);
            }
        }
        shard_leave(shard);
    } while (session != NULL);
}
