/* SPDX-License-Identifier: Apache-2.0 */
#include "session/handover.h"

#include "io/append.h"

#include <errno.h>
#include <string.h>

#define MAGIC      "weirpass"
#define HEAD       (sizeof MAGIC - 1 + sizeof(struct ident_secret))
#define COPY_BYTES (256U << 10) /* written at a time */

/* --- lending ------------------------------------------------------------------------------------
 */

/* Nobody is inside the follower any more, nor will be. */
static void unfollow(weir_sessions *sessions)
{
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        pthread_mutex_lock(&sessions->shards[i].mutex);
        atomic_store(&sessions->follower, NULL);
        pthread_mutex_unlock(&sessions->shards[i].mutex);
    }
}

weir_err sessions_lend(weir_sessions *sessions, const struct sessions_follower *follower)
{
    weir_err err = WEIR_OK;
    atomic_store(&sessions->follower, follower); /* before: no change is between the two */
    pthread_mutex_lock(&sessions->turn);         /* the journal is not being written anew */
    if (sessions->book != NULL) {
        err = book_lend(sessions->book);
    }
    pthread_mutex_unlock(&sessions->turn);
    if (err != WEIR_OK) {
        unfollow(sessions);
    }
    return err;
}

void sessions_take_back(weir_sessions *sessions)
{
    unfollow(sessions);
    if (sessions->book != NULL) {
        atomic_store(&sessions->wants_back, true);
        keeper_press(sessions);
    }
}

bool sessions_have_journal(const weir_sessions *sessions)
{
    return sessions->book != NULL;
}

/* --- the copy -----------------------------------------------------------------------------------
 */

struct copy {
    struct append file;
    char *bytes;
    size_t len;
    int error;
};

static void copy_flush(struct copy *copy)
{
    if (copy->error == 0 && copy->len > 0) {
        copy->error = append_write(&copy->file, copy->bytes, copy->len);
    }
    copy->len = 0;
}

static void copy_record(void *self, const struct session_record *record)
{
    struct copy *copy = self;
    if (copy->len + SESSION_FRAME_MAX > COPY_BYTES) {
        copy_flush(copy);
    }
    copy->len += session_record_write(record, 0, 0, copy->bytes + copy->len);
}

int sessions_copy_to(weir_sessions *sessions, int fd)
{
    struct copy copy = {.file = {.fd = fd}, .bytes = alloc_new(&sessions->alloc, COPY_BYTES)};
    if (copy.bytes == NULL) {
        return -ENOMEM;
    }
    memcpy(copy.bytes, MAGIC, sizeof MAGIC - 1);
    memcpy(copy.bytes + sizeof MAGIC - 1, &sessions->secret, sizeof sessions->secret);
    copy.len = HEAD;
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        shard_each(&sessions->shards[i], copy_record, &copy);
    }
    copy_flush(&copy);
    explicit_bzero(copy.bytes, COPY_BYTES);
    alloc_free(&sessions->alloc, copy.bytes);
    return copy.error;
}

/* --- the other process --------------------------------------------------------------------------
 */

/* Both processes may have served the conversation at once. */
static bool is_older(const struct session_record *record, const struct session *session)
{
    if (record->kind == SESSION_WHOLE && record->epoch != session->epoch) {
        return record->epoch < session->epoch;
    }
    return (record->kind == SESSION_WHOLE || record->kind == SESSION_TOUCH)
           && record->active_ms < session->active_ms;
}

static void hear_one(weir_sessions *sessions, const struct session_record *record)
{
    uint64_t now_ms = sessions_now_ms(sessions);
    struct shard *shard = shard_enter(sessions, record->id);
    const struct session *session = table_find(&shard->table, record->id, now_ms);
    if ((session == NULL || !is_older(record, session))
        && table_import(&shard->table, record, now_ms) == WEIR_OK) {
        shard_write(shard, record, 1);
    }
    shard_leave(shard);
}

bool sessions_hear(weir_sessions *sessions, const char *bytes, size_t len)
{
    struct session_record record;
    size_t at = 0, took = 1;
    while (at < len && (took = session_record_read(bytes + at, len - at, 0, 0, &record)) > 0) {
        if (record.kind != SESSION_CLOCK) {
            hear_one(sessions, &record);
        }
        at += took;
    }
    return at == len;
}

int sessions_copy_from(weir_sessions *sessions, int fd, bool keeps_secret)
{
    struct append file;
    const char *bytes;
    int error = append_of(fd, &file);
    if (error == 0) {
        error = append_map(&file, &bytes);
    }
    if (error != 0) {
        return error;
    }
    size_t len = (size_t)file.size;
    bool is_fine = bytes != NULL && len >= HEAD && memcmp(bytes, MAGIC, sizeof MAGIC - 1) == 0;
    if (is_fine && !keeps_secret) {
        memcpy(&sessions->secret, bytes + sizeof MAGIC - 1, sizeof sessions->secret);
    }
    is_fine = is_fine && sessions_hear(sessions, bytes + HEAD, len - HEAD);
    if (bytes != NULL) {
        append_unmap(&file, bytes);
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        table_forget_counts(&sessions->shards[i].table);
    }
    sessions->recovered = sessions->live;
    return is_fine ? 0 : -EINVAL;
}
