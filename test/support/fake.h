/* SPDX-License-Identifier: Apache-2.0
 *
 * fake.h - an engine with one pool and a connector that writes down what it is told. For unit tests
 * of the core.
 *
 * The log is one line of words since it was last read: "dial1 close1:timeout grant:1 fail:down
 * key_down". Connections are numbered as they are dialled or admitted. Objects are their numbers.
 */
#pragma once
#include "core/inspect.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAKE_CONNS 4096

struct fake {
    weir_engine *engine;
    weir_pool *pool;
    weir_connector connector;
    weir_conn conns[FAKE_CONNS];
    unsigned count; /* conns numbered so far, from 1 */
    uint64_t now_ms;
    char log[8192];
    bool is_listening; /* to the quiet events as well */
    bool is_reusable;
    weir_lease last; /* of the latest grant */
    weir_grant last_grant;
    unsigned answers;
};

__attribute__((format(printf, 2, 3))) static inline void fake_say(struct fake *fake,
                                                                  const char *format, ...)
{
    size_t len = strlen(fake->log);
    va_list args;
    if (len > 0 && len + 1 < sizeof fake->log) {
        fake->log[len++] = ' ';
    }
    va_start(args, format);
    vsnprintf(fake->log + len, sizeof fake->log - len, format, args);
    va_end(args);
}

static inline unsigned fake_number(const struct fake *fake, weir_conn conn)
{
    for (unsigned i = 1; i <= fake->count; i++) {
        if (fake->conns[i].id == conn.id) {
            return i;
        }
    }
    return 0;
}

static inline void fake_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct fake *fake = self;
    (void)key;
    fake->conns[++fake->count] = conn;
    fake_say(fake, "dial%u", fake->count);
}

static inline void fake_probe(void *self, weir_conn conn, void *object)
{
    (void)object;
    fake_say(self, "probe%u", fake_number(self, conn));
}

static inline void fake_close(void *self, weir_conn conn, void *object, weir_err why)
{
    (void)object;
    fake_say(self, "close%u:%s", fake_number(self, conn), weir_err_word(why));
}

static inline void fake_cut(void *self, weir_conn conn, void *object)
{
    (void)object;
    fake_say(self, "cut%u", fake_number(self, conn));
}

static inline bool fake_reusable(void *self, void *object)
{
    (void)object;
    return ((struct fake *)self)->is_reusable;
}

static inline void fake_event(void *arg, const weir_event *event)
{
    struct fake *fake = arg;
    switch (event->kind) {
    case WEIR_EVENT_CONNECTION_ADDED:
    case WEIR_EVENT_CONNECTION_REMOVED:
    case WEIR_EVENT_CONNECTION_REUSED:
    case WEIR_EVENT_CONNECTION_RETURNED:
    case WEIR_EVENT_CONNECTION_TIMEOUT:
    case WEIR_EVENT_HEALTH_STATUS_CHANGED:
        if (!fake->is_listening) {
            return;
        }
        break;
    default: break;
    }
    fake_say(fake, "%s", weir_event_word(event->kind));
}

static inline void fake_granted(void *arg, const weir_grant *grant)
{
    struct fake *fake = arg;
    fake->answers++;
    fake->last_grant = *grant;
    fake->last = grant->lease;
    if (grant->err == WEIR_OK) {
        fake_say(fake, "grant:%u", fake_number(fake, grant->conn));
    } else {
        fake_say(fake, "fail:%s", weir_err_word(grant->err));
    }
}

/* Opens it all; opt may be NULL. Jitter is off unless opt says otherwise, and there is a probe if
 * it says how often. */
static inline struct fake *fake_open(const weir_pool_options *opt,
                                     const weir_engine_options *engine_opt)
{
    struct fake *fake = calloc(1, sizeof *fake);
    weir_engine_options own = engine_opt != NULL ? *engine_opt : (weir_engine_options){0};
    weir_pool_options pool = opt != NULL ? *opt : (weir_pool_options){0};
    fake->is_reusable = true;
    if (pool.connector == NULL) {
        fake->connector = (weir_connector){.scheme = "fake",
                                           .dial = fake_dial,
                                           .probe = pool.probe_every_ms != 0 ? fake_probe : NULL,
                                           .close = fake_close,
                                           .cut = fake_cut,
                                           .reusable = fake_reusable};
        pool.connector = &fake->connector;
    }
    own.on_event = fake_event;
    own.event_arg = fake;
    pool.connector_self = fake;
    if (pool.jitter_pct == 0) {
        pool.jitter_pct = WEIR_NONE;
    }
    assert_int_equal(weir_engine_new(&own, &fake->engine), WEIR_OK);
    assert_int_equal(weir_pool_open(fake->engine, &pool, &fake->pool), WEIR_OK);
    return fake;
}

static inline void fake_free(struct fake *fake)
{
    weir_engine_free(fake->engine);
    free(fake);
}

/* Time passes that the engine has not been told of. */
static inline void fake_now(struct fake *fake, uint64_t ms)
{
    fake->now_ms += ms;
}

/* Lets time pass, and checks everything. */
static inline void fake_wait(struct fake *fake, uint64_t ms)
{
    fake->now_ms += ms;
    weir_step(fake->engine, fake->now_ms);
    engine_verify(fake->engine);
    assert_false(weir_engine_pending(fake->engine));
}

/* After a step: exactly this was said since the last look. */
#define fake_expect(fake, words)                                                                   \
    do {                                                                                           \
        fake_wait(fake, 0);                                                                        \
        assert_string_equal((fake)->log, words);                                                   \
        (fake)->log[0] = '\0';                                                                     \
    } while (0)

static inline weir_key fake_key(const char *host)
{
    return (weir_key){.scheme = "fake", .host = host, .port = 1};
}

/* Acquires and checks the immediate answer. */
static inline weir_lease fake_acquire(struct fake *fake, const char *host)
{
    weir_key key = fake_key(host);
    weir_lease lease = {0};
    assert_int_equal(weir_acquire(fake->pool, &key, NULL, fake_granted, fake, &lease), WEIR_OK);
    return lease;
}

static inline weir_err fake_try(struct fake *fake, const char *host, weir_lease *ret_lease)
{
    weir_key key = fake_key(host);
    return weir_try_acquire(fake->pool, &key, 0, ret_lease, NULL);
}

static inline void fake_up(struct fake *fake, unsigned number)
{
    void *object = (void *)(uintptr_t)number;
    assert_int_equal(weir_conn_up(fake->pool, fake->conns[number], object, 1), WEIR_OK);
}

static inline void fake_down(struct fake *fake, unsigned number, weir_err why)
{
    assert_int_equal(weir_conn_down(fake->pool, fake->conns[number], why), WEIR_OK);
}

static inline void fake_release(struct fake *fake, weir_lease lease, weir_fate fate)
{
    assert_int_equal(weir_release(fake->pool, lease, fate), WEIR_OK);
}

/* A connection of that key, up and leased. */
static inline weir_lease fake_lease_up(struct fake *fake, const char *host)
{
    weir_lease lease = fake_acquire(fake, host);
    fake_wait(fake, 0);
    fake_up(fake, fake->count);
    fake_wait(fake, 0);
    fake->log[0] = '\0';
    return lease;
}
