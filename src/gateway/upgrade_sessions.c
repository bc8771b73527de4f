/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/upgrade_sessions.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "gateway/affinity.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/successor.h"
#include "io/append.h"
#include "proto/takeover.h"
#include "session/handover.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#define UNSENT_MAX                                                                                 \
    (32U << 20) /* bytes of changes; more are lost, as they would be without all this */

struct upgrade_sessions {
    weir_sessions *sessions;
    struct sessions_follower follower;
    upgrade_records_fn *records;
    void *self;
    struct loop_wake *wake; /* there is something */
    pthread_mutex_t mutex;  /* of what follows */
    struct bytes frames;
};

/* Any thread. */
static void on_frame(void *self, const char *bytes, size_t len)
{
    struct upgrade_sessions *sessions = self;
    pthread_mutex_lock(&sessions->mutex);
    bytes_append(&sessions->frames, bytes, len);
    pthread_mutex_unlock(&sessions->mutex);
    loop_wake_send(sessions->wake);
}

/* The length of a frame stands in it (proto/session_record.h). */
static uint32_t frame_len(const char *frame)
{
    uint32_t len;
    memcpy(&len, frame + 4, sizeof(len));
    return len;
}

void upgrade_sessions_flush(struct upgrade_sessions *sessions)
{
    if (sessions == NULL)
        return;
    pthread_mutex_lock(&sessions->mutex);
    struct bytes frames = sessions->frames;
    bytes_init(&sessions->frames, &alloc_libc, UNSENT_MAX);
    pthread_mutex_unlock(&sessions->mutex);
    const char *at = bytes_at(&frames);
    size_t len = bytes_len(&frames), from = 0, to = 0;
    while (to < len) {
        uint32_t next = frame_len(at + to);
        if (to + next - from > TAKEOVER_RECORDS_MAX) {
            sessions->records(sessions->self, (struct slice){at + from, (uint32_t)(to - from)});
            from = to;
        }
        to += next;
    }
    if (to > from)
        sessions->records(sessions->self, (struct slice){at + from, (uint32_t)(to - from)});
    bytes_fini(&frames);
}

static void on_wake(void *self)
{
    upgrade_sessions_flush(self);
}

void upgrade_sessions_free(struct upgrade_sessions *take_sessions)
{
    if (take_sessions == NULL)
        return;
    loop_wake_free(take_sessions->wake);
    bytes_fini(&take_sessions->frames);
    pthread_mutex_destroy(&take_sessions->mutex);
    alloc_free(&alloc_libc, take_sessions);
}

void upgrade_sessions_take_back(struct upgrade_sessions *take_sessions)
{
    if (take_sessions != NULL)
        sessions_take_back(take_sessions->sessions);
    upgrade_sessions_free(take_sessions);
}

static int copy_of(weir_sessions *sessions, int *ret_fd)
{
    struct append file;
    int error = append_memory("weir-sessions", &file);
    if (error != 0)
        return error;
    return append_give(&file, sessions_copy_to(sessions, file.fd), ret_fd);
}

static int lend(struct upgrade_sessions *it, int *ret_fd)
{
    it->follower = (struct sessions_follower){.frame = on_frame, .self = it};
    if (sessions_lend(it->sessions, &it->follower) != WEIR_OK)
        return -EIO;
    int error = sessions_have_journal(it->sessions) ? 0 : copy_of(it->sessions, ret_fd);
    if (error != 0)
        sessions_take_back(it->sessions);
    return error;
}

int upgrade_sessions_lend(struct server *server, upgrade_records_fn *records, void *self,
                          struct upgrade_sessions **ret_sessions, int *ret_fd)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    *ret_sessions = NULL;
    *ret_fd = -1;
    if (affinities == NULL)
        return 0;
    struct upgrade_sessions *it = alloc_zeroed(&alloc_libc, sizeof(*it));
    if (it == NULL)
        return -ENOMEM;
    it->sessions = affinities_sessions(affinities);
    it->records = records;
    it->self = self;
    pthread_mutex_init(&it->mutex, NULL);
    bytes_init(&it->frames, &alloc_libc, UNSENT_MAX);
    int error = loop_wake_new(server->opt.loop, on_wake, it, &it->wake);
    if (error != 0) {
        pthread_mutex_destroy(&it->mutex);
        alloc_free(&alloc_libc, it);
        return error;
    }
    error = lend(it, ret_fd);
    if (error != 0) {
        upgrade_sessions_free(it);
        return error;
    }
    *ret_sessions = it;
    return 0;
}

/* --- the other process ---------------------------------------------------------------------------
 */

int upgrade_sessions_receive(struct server *server, struct successor *successor)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    bool has_secret = server->config->sessions.secret[0] != '\0';
    int fd = successor_take_sessions(successor), error = 0;
    if (fd >= 0 && affinities != NULL)
        error = sessions_copy_from(affinities_sessions(affinities), fd, has_secret);
    if (fd >= 0)
        close(fd);
    return error;
}

void upgrade_sessions_hear(struct server *server, struct slice frames)
{
    struct affinities *affinities = relay_shared_affinities(server->shared);
    if (affinities != NULL
        && !sessions_hear(affinities_sessions(affinities), frames.at, frames.len))
        log_to(&server->voice.sink, LOG_WARN_LEVEL, "a change of a conversation is not understood",
               log_u64("bytes", frames.len));
}
