/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/health_service.h"

#include "base/alloc.h"
#include "base/check.h"
#include "gateway/upstream.h"

struct health_watch {
    struct node on_list; /* health->watches */
    struct http_exchange *ex;
    struct slice service;
    enum grpc_serving told;
    uint64_t told_ms;
    uint32_t repeat_ms;
};

static void look(struct loop_timer *timer, uint64_t now_ms);

void health_service_init(struct health_service *health, struct loop *loop,
                         struct upstream *upstreams, uint32_t count)
{
    *health = (struct health_service){
        .loop = loop,
        .upstreams = upstreams,
        .upstreams_count = count,
        .timer = {.fire = look},
    };
    list_init(&health->watches);
}

void health_service_fini(struct health_service *health)
{
    check(list_is_empty(&health->watches));
    loop_timer_stop(health->loop, &health->timer);
}

enum grpc_serving health_service_status(const struct health_service *health, struct slice service)
{
    if (service.len == 0) {
        return health->is_draining ? GRPC_NOT_SERVING : GRPC_SERVING;
    }
    for (uint32_t i = 0; i < health->upstreams_count; i++) {
        struct upstream *upstream = &health->upstreams[i];
        if (slice_is(service, upstream->config->name)) {
            return !health->is_draining && upstream_is_usable(upstream) ? GRPC_SERVING
                                                                        : GRPC_NOT_SERVING;
        }
    }
    return GRPC_SERVICE_UNKNOWN;
}

static void begin(struct http_exchange *ex)
{
    struct http_field type = {
        .name = SLICE("Content-Type"), .value = SLICE("application/grpc"), .id = HTTP_CONTENT_TYPE};
    const struct http_head head = {
        .status = 200,
        .version_minor = 1,
        .framing = HTTP_CHUNKED,
        .fields = &type,
        .field_count = 1,
        .present = UINT64_C(1) << HTTP_CONTENT_TYPE,
    };
    ex->ops->respond(ex, &head);
}

static void say(struct http_exchange *ex, enum grpc_serving status)
{
    uint8_t reply[GRPC_HEALTH_REPLY];
    grpc_health_write(status, reply);
    ex->ops->body(ex, reply, sizeof reply);
}

void health_service_check(const struct health_service *health, struct slice service,
                          struct http_exchange *ex)
{
    struct http_field status = {.name = SLICE("grpc-status"), .value = SLICE("0")};
    const struct http_head trailers = {.fields = &status, .field_count = 1};
    begin(ex);
    say(ex, health_service_status(health, service));
    ex->ops->end(ex, &trailers);
    ex->ops->flush(ex);
}

/* --- watching -----------------------------------------------------------------------------------
 */

static void tell(struct health_watch *watch, enum grpc_serving status, uint64_t now_ms)
{
    watch->told = status;
    watch->told_ms = now_ms;
    say(watch->ex, status);
    watch->ex->ops->flush(watch->ex);
}

struct health_watch *health_service_watch(struct health_service *health, struct slice service,
                                          uint32_t repeat_ms, struct http_exchange *ex)
{
    struct health_watch *watch = alloc_zeroed(&alloc_libc, sizeof *watch);
    if (watch == NULL) {
        return NULL;
    }
    watch->ex = ex;
    watch->service = service;
    watch->repeat_ms = repeat_ms;
    list_push_back(&health->watches, &watch->on_list);
    begin(ex);
    tell(watch, health_service_status(health, service), loop_now_ms(health->loop));
    if (!loop_timer_is_set(&health->timer)) {
        loop_timer_set(health->loop, &health->timer, loop_now_ms(health->loop) + HEALTH_LOOK_MS);
    }
    return watch;
}

void health_watch_end(struct health_service *health, struct health_watch *take_watch)
{
    list_remove(&health->watches, &take_watch->on_list);
    alloc_free(&alloc_libc, take_watch);
}

struct http_exchange *health_service_first(const struct health_service *health)
{
    struct node *first = list_first(&health->watches);
    return first != NULL ? container_of(first, struct health_watch, on_list)->ex : NULL;
}

/* Telling calls no handler: the list stays as it is. */
static void look(struct loop_timer *timer, uint64_t now_ms)
{
    struct health_service *health = container_of(timer, struct health_service, timer);
    weir_list_each(node, &health->watches) {
        struct health_watch *watch = container_of(node, struct health_watch, on_list);
        enum grpc_serving status = health_service_status(health, watch->service);
        if (status != watch->told || now_ms - watch->told_ms >= watch->repeat_ms) {
            tell(watch, status, now_ms);
        }
    }
    if (!list_is_empty(&health->watches)) {
        loop_timer_set(health->loop, timer, now_ms + HEALTH_LOOK_MS);
    }
}
