/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_sharing.h - for tests of sessions that share a real redis-server: those who share, and what
 * lies in the server.
 */
#pragma once
#include "session/redis.h"
#include "session/redis_wire.h"
#include "support/await.h"
#include "support/redis_server.h"

#include <stdatomic.h>

static const char secret[32] = "the same for all who share them";
static struct redis_server server;

/* What comes about without a word to wait for is looked for again and again. */
#define until(condition) await_true(condition, REDIS_DEADLINE_MS, poll(NULL, 0, 1))

/* --- those who share ----------------------------------------------------------------------------
 */

static inline weir_sessions *opened_at(uint16_t port, const char *path, uint32_t counters_ms)
{
    char url[64];
    weir_sessions *sessions;
    snprintf(url, sizeof url, "redis://127.0.0.1:%u/2", (unsigned)port);
    const weir_sessions_redis redis = {.url = url,
                                       .prefix = "test",
                                       .timeout_ms = 300,
                                       .soon_ms = 2,
                                       .counters_ms = counters_ms,
                                       .again_ms = 20};
    const weir_sessions_options opt = {.sessions_max = 2000,
                                       .secret = secret,
                                       .path = path,
                                       .fsync = WEIR_FSYNC_NEVER,
                                       .redis = &redis};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    return sessions;
}

static inline weir_sessions *opened(void)
{
    return opened_at(server.port, NULL, 20);
}

static inline weir_sessions_stats stats_of(weir_sessions *sessions)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(sessions, &stats);
    return stats;
}

static inline bool is_stored(weir_sessions *sessions)
{
    weir_sessions_stats stats = stats_of(sessions);
    return stats.unstored == 0 && stats.store_writes > 0 && !stats.store_down;
}

static inline weir_session_id id_of(weir_sessions *sessions, const char *key)
{
    weir_session_id id;
    assert_int_equal(weir_session_id_of(sessions, "tenant", key, strlen(key), &id), WEIR_OK);
    return id;
}

static inline weir_session_id created(weir_sessions *sessions, const char *key)
{
    weir_session_new what = {.id = id_of(sessions, key), .user = "ann", .account = "a1"};
    weir_session_id id;
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_OK);
    return id;
}

static inline bool lives(weir_sessions *sessions, weir_session_id id)
{
    weir_session session = {.size = sizeof session};
    return weir_session_get(sessions, id, &session) == WEIR_OK;
}

static inline weir_session got(weir_sessions *sessions, weir_session_id id)
{
    weir_session session = {.size = sizeof session};
    assert_int_equal(weir_session_get(sessions, id, &session), WEIR_OK);
    return session;
}

struct fetched {
    _Atomic bool is_done;
    weir_err err;
};

static inline void on_fetched(void *arg, weir_err err, weir_session_id id)
{
    struct fetched *fetched = arg;
    (void)id;
    fetched->err = err;
    fetched->is_done = true;
}

static inline weir_err fetch(weir_sessions *sessions, weir_session_id id)
{
    struct fetched fetched = {0};
    weir_err err = weir_session_fetch(sessions, id, on_fetched, &fetched);
    if (err == WEIR_EAGAIN) {
        until(fetched.is_done);
        err = fetched.err;
    }
    return err;
}

/* --- what lies in the server --------------------------------------------------------------------
 */

static struct redis_wire wire;

static inline const char *key_of(char kind, weir_session_id id)
{
    static char key[160];
    struct bytes out;
    struct slice text, rest;
    char want[8];
    bytes_init(&out, &alloc_libc, 4096);
    assert_true(redis_wire_read(&wire, &out, id));
    snprintf(want, sizeof want, "test:%c:", kind);
    rest = bytes_slice(&out);
    key[0] = '\0';
    while (slice_split(&rest, '\n', &text)) {
        if (slice_starts(text, slice_of(want))) {
            slice_copy(key, sizeof key, slice_sub(text, 0, text.len - 1));
        }
    }
    bytes_fini(&out);
    return key;
}

static inline const char *field_of(weir_session_id id, const char *field)
{
    return redis_says(&server, "HGET", key_of('s', id), field);
}

static inline bool is_there(char kind, weir_session_id id)
{
    return strcmp(redis_says(&server, "EXISTS", key_of(kind, id)), "1") == 0;
}

static inline int start(void **state)
{
    (void)state;
    server = (struct redis_server){0};
    redis_start(&server);
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
    assert_true(redis_wire_init(&wire, "test", 1, 1000));
    return 0;
}

static inline int end(void **state)
{
    (void)state;
    redis_end(&server);
    return 0;
}

/* With all it holds, or with nothing; at the same port. */
static inline void restart(void)
{
    redis_kill(&server);
    redis_run(&server);
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
}
