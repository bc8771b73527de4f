/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/checkup.h"

#include "base/alloc.h"
#include "base/list.h"
#include "gateway/config_way.h"
#include "io/loop.h"
#include "proto/grpc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SPREAD_MS   1000U
#define SERVICE_MAX 127U /* bytes of a gRPC service's name */

struct checkup {
    struct checkups *home;
    const struct config_endpoint *endpoint;
    struct verdict *verdict;
    struct loop_timer timer; /* the next check, or the end of this one's patience */
    struct http_lone *lone;
    uint8_t heard[16]; /* gRPC: of the answer's message */
    uint8_t heard_len;
    uint32_t failures;
    uint32_t way; /* the next check's: a way that fails is not the only one */
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
static void leave_out(struct checkup *checkup);
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
    }
    *ret_checkups = checkups;
    return 0;
}

void checkups_begin(struct checkups *checkups)
{
    struct loop *loop = checkups->opt.loop;
    for (uint32_t i = 0; i < checkups->count; i++) {
        struct checkup *checkup = &checkups->at[i];
        uint64_t spread_ms = (uint64_t)i * SPREAD_MS / checkups->count;
        if (checkup->verdict->unhealthy) { /* as the configuration before had it */
            checkup->failures = checkups->opt.config->health.failures;
        }
        loop_timer_set(loop, &checkup->timer, loop_now_ms(loop) + spread_ms);
    }
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

static bool is_in_maintenance(const struct checkup *checkup)
{
    const struct checkups *home = checkup->home;
    return steer_mode(home->opt.steer, (uint32_t)(checkup - home->at)) == STEER_MAINT;
}

static void timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct checkup *checkup = container_of(timer, struct checkup, timer);
    if (checkup->running && !http_lone_was_begun(checkup->lone)) {
        leave_out(checkup);
    } else if (checkup->running) {
        finish(checkup, false);
    } else if (is_in_maintenance(checkup)) {
        loop_timer_set(checkup->home->opt.loop, timer,
                       now_ms + checkup->home->opt.config->health.interval_ms);
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
                         .port = checkup->endpoint->port,
                         .proxy = config_way_of_check(opt->config, checkup->way)};
    checkup->running = true;
    loop_timer_set(opt->loop, &checkup->timer, loop_now_ms(opt->loop) + timeout_ms);
    if (http_lone_dial(opt->connector, &to, timeout_ms, dialled, checkup, &checkup->lone) != 0) {
        checkup->lone = NULL;
        finish(checkup, false);
    }
}

static void dialled(void *self, void *object)
{
    const struct checkup *checkup = self;
    if (object == NULL && !http_lone_was_begun(checkup->lone)) {
        leave_out(self);
    } else if (object == NULL) {
        finish(self, false);
    } else {
        ask(self, object);
    }
}

static bool is_grpc_upstream(const struct checkup *checkup)
{
    return checkup->home->opt.config->protocol == PROTOCOL_GRPC;
}

static bool has_grpc_status(const struct http_head *head, enum grpc_code code)
{
    for (uint32_t i = 0; head != NULL && i < head->field_count; i++) {
        if (slice_same_nocase(head->fields[i].name, SLICE("grpc-status"))) {
            return grpc_code_of(head->fields[i].value) == code;
        }
    }
    return false;
}

static void on_head(struct http_call *call, struct http_head *head)
{
    struct checkup *checkup = call->user;
    if (head->status < 200) {
        return;
    }
    if (is_grpc_upstream(checkup) && head->status == 200) {
        return; /* the message says it, and the trailers */
    }
    finish(checkup, !is_grpc_upstream(checkup) && head->status < 400);
}

/* A HealthCheckResponse: its first field is the status, and 1 is SERVING. */
static void on_body(struct http_call *call, const void *data, size_t len)
{
    struct checkup *checkup = call->user;
    for (size_t i = 0; i < len && checkup->heard_len < sizeof checkup->heard; i++) {
        checkup->heard[checkup->heard_len++] = ((const uint8_t *)data)[i];
    }
}

static void on_end(struct http_call *call, const struct http_head *trailers, bool reusable)
{
    (void)reusable;
    static const uint8_t serving[] = {0, 0, 0, 0, 2, 8, 1};
    struct checkup *checkup = call->user;
    if (checkup->lone != NULL && is_grpc_upstream(checkup)) {
        finish(checkup, has_grpc_status(trailers, GRPC_OK) && checkup->heard_len == sizeof serving
                            && memcmp(checkup->heard, serving, sizeof serving) == 0);
    }
}

static void on_fail(struct http_call *call, enum http_fault why)
{
    (void)why;
    finish(call->user, false);
}

static void ignore(struct http_call *call)
{
    (void)call;
}

static const struct http_caller caller = {
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
    .on_flush = ignore,
    .on_drain = ignore,
    .on_fail = on_fail,
};

/* grpc.health.v1.Health/Check: `path` behind its slash is the service asked about. */
static void ask_grpc(struct checkup *checkup, struct http_call *call)
{
    struct http_field fields[] = {
        {.name = SLICE("content-type"),
         .value = SLICE("application/grpc"),
         .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("user-agent"), .value = SLICE("weir-health/1"), .id = HTTP_USER_AGENT},
    };
    const struct http_head head = {
        .method = SLICE("POST"),
        .method_id = HTTP_POST,
        .target = SLICE("/grpc.health.v1.Health/Check"),
        .path = SLICE("/grpc.health.v1.Health/Check"),
        .authority = slice_of(checkup->authority),
        .framing = HTTP_CHUNKED,
        .version_minor = 1,
        .fields = fields,
        .field_count = 2,
        .present = UINT64_C(1) << HTTP_CONTENT_TYPE | UINT64_C(1) << HTTP_USER_AGENT,
    };
    struct slice service = slice_of(checkup->home->opt.config->health.path + 1);
    uint8_t message[GRPC_PREFIX + 2 + SERVICE_MAX];
    service.len = service.len < SERVICE_MAX ? service.len : SERVICE_MAX;
    uint32_t len = service.len > 0 ? 2 + service.len : 0;
    grpc_prefix_write(len, message);
    message[GRPC_PREFIX] = 0x0a; /* field 1, text */
    message[GRPC_PREFIX + 1] = (uint8_t)service.len;
    memcpy(message + GRPC_PREFIX + 2, service.at, service.len);
    call->ops->request(call, &head);
    call->ops->body(call, message, GRPC_PREFIX + len);
    call->ops->end(call, NULL);
    call->ops->flush(call);
}

static void ask_http(struct checkup *checkup, struct http_call *call)
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
    call->ops->request(call, &head);
    call->ops->end(call, NULL);
    call->ops->flush(call);
}

static void ask(struct checkup *checkup, void *object)
{
    struct http_call *call = http_call_open(object, &caller, checkup);
    checkup->heard_len = 0;
    if (call == NULL) {
        finish(checkup, false);
    } else if (is_grpc_upstream(checkup)) {
        ask_grpc(checkup, call);
    } else {
        ask_http(checkup, call);
    }
}

static void hang_up(struct checkup *checkup)
{
    if (checkup->lone != NULL) {
        http_lone_close(checkup->lone);
        checkup->lone = NULL;
    }
    checkup->running = false;
}

/* A limit of ours: it says nothing of the endpoint. */
static void leave_out(struct checkup *checkup)
{
    const struct checkup_options *opt = &checkup->home->opt;
    hang_up(checkup);
    loop_timer_set(opt->loop, &checkup->timer,
                   loop_now_ms(opt->loop) + opt->config->health.interval_ms);
}

static void finish(struct checkup *checkup, bool passed)
{
    const struct checkup_options *opt = &checkup->home->opt;
    struct verdict *verdict = checkup->verdict;
    hang_up(checkup);
    checkup->failures = passed ? 0 : checkup->failures + 1;
    checkup->way += !passed;
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
