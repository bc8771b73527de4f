/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/limits.h"

#include "core/hub.h"

#include <pthread.h>
#include <string.h>

struct desk {
    struct limits *limits;
    uint32_t engine;
    struct limit_port port;
};

struct limits {
    pthread_mutex_t mutex; /* of the hub */
    struct hub hub;
    uint64_t due[(LIMIT_ENGINES_MAX + 63) / 64]; /* engines to be woken once the mutex is free */
    void (*wake)(void *arg, uint32_t engine);
    void *wake_arg;
    const struct alloc *alloc;
    struct desk desks[];
};

static void lock(struct limits *limits)
{
    int error = pthread_mutex_lock(&limits->mutex);
    check(error == 0);
}

/* Whoever is woken goes for the mutex at once. */
static void unlock(struct limits *limits)
{
    uint64_t due[sizeof limits->due / sizeof *limits->due];
    memcpy(due, limits->due, sizeof due);
    memset(limits->due, 0, sizeof due);
    int error = pthread_mutex_unlock(&limits->mutex);
    check(error == 0);
    for (uint32_t i = 0; i < sizeof due / sizeof *due; i++) {
        for (; due[i] != 0; due[i] &= due[i] - 1) {
            limits->wake(limits->wake_arg, i * 64 + (uint32_t)__builtin_ctzll(due[i]));
        }
    }
}

static void on_news(void *arg, uint32_t engine)
{
    struct limits *limits = arg;
    if (limits->wake != NULL) {
        limits->due[engine / 64] |= UINT64_C(1) << engine % 64;
    }
}

/* --- what an engine calls --------------------------------------------------------------------- */

static uint32_t desk_join(void *arg, const char *name, uint32_t name_len, uint32_t limit)
{
    struct desk *desk = arg;
    lock(desk->limits);
    uint32_t account = hub_join(&desk->limits->hub, desk->engine, name, name_len, limit);
    unlock(desk->limits);
    return account;
}

static uint32_t desk_enroll(void *arg, uint32_t pool_account, const char *name, uint32_t name_len)
{
    struct desk *desk = arg;
    lock(desk->limits);
    uint32_t account = hub_enroll(&desk->limits->hub, desk->engine, pool_account, name, name_len);
    unlock(desk->limits);
    return account;
}

static void desk_leave(void *arg, uint32_t account)
{
    struct desk *desk = arg;
    lock(desk->limits);
    hub_leave(&desk->limits->hub, desk->engine, account);
    unlock(desk->limits);
}

static bool desk_take(void *arg, uint32_t account)
{
    struct desk *desk = arg;
    lock(desk->limits);
    bool is_taken = hub_take(&desk->limits->hub, desk->engine, account);
    unlock(desk->limits);
    return is_taken;
}

static void desk_send(void *arg, const struct limit_msg *msg)
{
    struct desk *desk = arg;
    struct limit_msg signed_msg = *msg;
    signed_msg.engine = (uint16_t)desk->engine;
    lock(desk->limits);
    hub_receive(&desk->limits->hub, &signed_msg);
    unlock(desk->limits);
}

/* --- making ------------------------------------------------------------------------------------
 */

struct limits *limits_new(const struct alloc *alloc, const struct limits_options *opt)
{
    size_t size = sizeof(struct limits) + opt->engines * sizeof(struct desk);
    struct limits *limits = alloc_zeroed(alloc, size);
    if (limits == NULL) {
        return NULL;
    }
    const struct hub_options hub = {.engines = opt->engines,
                                    .accounts_max = opt->accounts_max,
                                    .name_bytes_max = opt->name_bytes_max,
                                    .seed = opt->seed,
                                    .wake = on_news,
                                    .wake_arg = limits};
    limits->wake = opt->wake;
    limits->wake_arg = opt->wake_arg;
    limits->alloc = alloc;
    if (!hub_init(&limits->hub, alloc, &hub)) {
        alloc_free(alloc, limits);
        return NULL;
    }
    int error = pthread_mutex_init(&limits->mutex, NULL);
    check(error == 0);
    for (uint32_t i = 0; i < opt->engines; i++) {
        struct desk *desk = &limits->desks[i];
        desk->limits = limits;
        desk->engine = i;
        desk->port = (struct limit_port){.arg = desk,
                                         .join = desk_join,
                                         .leave = desk_leave,
                                         .take = desk_take,
                                         .send = desk_send,
                                         .engines = opt->engines,
                                         .enroll = desk_enroll};
    }
    return limits;
}

void limits_free(struct limits *take_limits)
{
    if (take_limits == NULL) {
        return;
    }
    pthread_mutex_destroy(&take_limits->mutex);
    hub_fini(&take_limits->hub);
    alloc_free(take_limits->alloc, take_limits);
}

const struct limit_port *limits_port(struct limits *limits, uint32_t engine)
{
    return &limits->desks[engine].port;
}

static bool next(struct limits *limits, uint32_t number, struct limit_msg *ret_msg)
{
    lock(limits);
    bool any = hub_next(&limits->hub, number, ret_msg);
    unlock(limits);
    return any;
}

void limits_fetch(struct limits *limits, uint32_t number, weir_engine *engine)
{
    struct limit_msg msg;
    while (next(limits, number, &msg)) {
        engine_receive(engine, &msg);
    }
}

void limits_hush(struct limits *limits)
{
    limits->wake = NULL;
}
