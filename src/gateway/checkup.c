/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checkup.h"

#include "base/alloc.h"
#include "base/list.h"
#include "io/loop.h"

#include <errno.h>
#include <stdio.h>

#define SPREAD_MS 1000U

struct checkup {
    struct checkups *home;
    const struct config_endpoint *endpoint;
    struct verdict *verdict;
    struct loop_timer timer; /* the next check, or the end of this one's patience */
    struct http_lone *lone;
    uint32_t failures;
    bool running;
    char authority[300];
};

struct checkups {
    struct checkup_options opt;
    uint32_t count;
    struct checkup at[];
};

static void timer_fire(struct loop_timer *timer, uint64_t now_ms);
static void begin(struct checkup *checkup);
static void dialled(void *self, void *object);
static void ask(struct checkup *checkup, void *object);
static void finish(struct checkup *checkup, bool passed);

int checkups_new(const struct checkup_options *opt, struct checkups **ret_checkups)
{
    uint32_t count = opt->config->endpoints.count;
    struct checkups *checkups = alloc_zeroed(&alloc_libc,
                                             sizeof *checkups + count * sizeof(struct checkup));
    if (checkups == NULL) {
        return -ENOMEM;
    }
    checkups->opt = *opt;
    checkups->count = count;
    for (uint32_t i = 0; i < count; i++) {
        const struct config_endpoint *endpoint = &opt->config->endpoints.at[i];
        struct checkup *checkup = &checkups->at[i];
        bool v6 = strchr(endpoint->host, ':') != NULL;
        *checkup = (struct checkup){.home = checkups,
                                    .endpoint = endpoint,
                                    .verdict = &opt->verdicts[i],
                                    .timer = {.fire = timer_fire}};
        snprintf(checkup->authority, sizeof checkup->authority, v6 ? "[%s]:%u" : "%s:%u",
                 endpoint->host, endpoint->port);
        uint64_t spread_ms = (uint64_t)i * SPREAD_MS / count;
        loop_timer_set(opt->loop, &checkup->timer, loop_now_ms(opt->loop) + spread_ms);
    }
    *ret_checkups = checkups;
    return 0;
}

void checkups_free(struct checkups *take_checkups)
{
    if (take_checkups == NULL) {
        return;
    }
    for (uint32_t i = 0; i < take_checkups->count; i++) {
        struct checkup *checkup = &take_checkups->at[i];
        loop_timer_stop(take_checkups->opt.loop, &checkup->timer);
        if (checkup->lone != NULL) {
            http_lone_close(checkup->lone);
        }
    }
    alloc_free(&alloc_libc, take_checkups);
}

static void timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    struct checkup *checkup = container_of(timer, struct checkup, timer);
    if (checkup->running) {
        finish(checkup, false);
    } else {
        begin(checkup);
    }
}

static void begin(struct checkup *checkup)
{
    const struct checkup_options *opt = &checkup->home->opt;
    uint32_t timeout_ms = opt->config->health.timeout_ms;
    const weir_key to = {.scheme = checkup->endpoint->scheme,
                         .host = checkup->endpoint->host,
                         .port = checkup->endpoint->port};
    checkup->running = true;
    loop_timer_set(opt->loop, &checkup->timer, loop_now_ms(opt->loop) + timeout_ms);
    if (http_lone_dial(opt->connector, &to, timeout_ms, dialled, checkup, &checkup->lone) != 0) {
        checkup->lone = NULL;
        finish(checkup, false);
    }
}

static void dialled(void *self, void *object)
{
    if (object == NULL) {
        finish(self, false);
    } else {
        ask(self, object);
    }
}

static void on_head(struct http_call *call, struct http_head *head)
{
    if (head->status >= 200) {
        finish(call->user, head->status < 400);
    }
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    (void)why;
    finish(call->user, false);
}

static void ignore_body(struct http_call *call, const void *data, size_t len)
{
    (void)call, (void)data, (void)len;
}

static void ignore_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    (void)call, (void)trailers, (void)reusable;
}

static void ignore(struct http_call *call)
{
    (void)call;
}

static const struct http_caller caller = {
    .on_head = on_head,
    .on_body = ignore_body,
    .on_end = ignore_end,
    .on_flush = ignore,
    .on_drain = ignore,
    .on_fail = on_fail,
};

static void ask(struct checkup *checkup, void *object)
{
    struct http_field agent = {.name = SLICE("User-Agent"), .value = SLICE("weir-health/1")};
    const struct http_head head = {
        .method = SLICE("GET"),
        .method_id = HTTP_GET,
        .target = slice_of(checkup->home->opt.config->health.path),
        .path = slice_of(checkup->home->opt.config->health.path),
        .authority = slice_of(checkup->authority),
        .version_minor = 1,
        .fields = &agent,
        .field_count = 1,
    };
    struct http_call *call = http_call_open(object, &caller, checkup);
    if (call == NULL) {
        finish(checkup, false);
        return;
    }
    call->ops->request(call, &head);
    call->ops->end(call, NULL);
    call->ops->flush(call);
}

static void finish(struct checkup *checkup, bool passed)
{
    const struct checkup_options *opt = &checkup->home->opt;
    struct verdict *verdict = checkup->verdict;
    if (checkup->lone != NULL) {
        http_lone_close(checkup->lone);
        checkup->lone = NULL;
    }
    checkup->running = false;
    checkup->failures = passed ? 0 : checkup->failures + 1;
    bool unhealthy = checkup->failures >= opt->config->health.failures;
    if (passed) {
        __atomic_store_n(&verdict->passes, verdict->passes + 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&verdict->unhealthy, unhealthy, __ATOMIC_RELAXED);
    __atomic_store_n(&verdict->spoken, true, __ATOMIC_RELAXED);
    uint32_t pause_ms = unhealthy ? opt->config->health.recovery_ms
                                  : opt->config->health.interval_ms;
    loop_timer_set(opt->loop, &checkup->timer, loop_now_ms(opt->loop) + pause_ms);
}
