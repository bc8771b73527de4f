/* SPDX-License-Identifier: Apache-2.0
 *
 * demo.c - five small servers of one handler.
 *
 * An answer that is not given at once (slow, events) is a `visit` with a timer; an echo is one that
 * passes the request's body on as it comes, and stops reading while its client does not take it.
 */
#include "gateway/demo.h"

#include "base/bytes.h"
#include "base/list.h"
#include "gateway/demo_websocket.h"
#include "gateway/host.h"
#include "io/address.h"
#include "proto/websocket_open.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define CLIENTS_MAX 4096U
#define SLOW_MS     1000U
#define SLOW_MAX_MS 600000U
#define EVENT_MS    1000U
#define ECHO_MAX    65536U

struct demo_host {
    struct demo *demo;
    struct host *host;
    char name[16];
};

struct demo {
    struct loop *loop;
    struct demo_websocket *echoes;
    struct demo_host hosts[DEMO_HOSTS];
};

enum visit_kind { VISIT_SLOW, VISIT_TIRED, VISIT_EVENTS, VISIT_ECHO };

struct visit {
    struct loop_timer timer;
    enum visit_kind kind;
    struct demo_host *host;
    struct http_exchange *exchange;
    uint64_t events, waited_ms;
};

static const struct http_handler demo_handler;

int demo_open(struct loop *loop, struct demo **ret_demo)
{
    static const char *const names[DEMO_HOSTS] = {"plain-1", "plain-2", "slow", "events",
                                                  "plain-3"};
    struct demo *demo = calloc(1, sizeof(*demo));
    int error = demo == NULL ? -ENOMEM : 0;
    if (demo != NULL) {
        demo->loop = loop;
        error = demo_websocket_open(loop, &demo->echoes);
    }
    for (uint32_t i = 0; error == 0 && i < DEMO_HOSTS; i++) {
        struct demo_host *host = &demo->hosts[i];
        host->demo = demo;
        snprintf(host->name, sizeof(host->name), "%s", names[i]);
        struct host_options opt = {.name = host->name,
                                   .clients_max = CLIENTS_MAX,
                                   .keepalive_timeout_ms = 600000,
                                   .handler = &demo_handler,
                                   .self = host};
        address_of_host("127.0.0.1", 0, &opt.address);
        error = host_open(loop, &opt, &host->host);
    }
    if (error != 0)
        demo_close(demo);
    else
        *ret_demo = demo;
    return error;
}

void demo_close(struct demo *take_demo)
{
    if (take_demo == NULL)
        return;
    for (uint32_t i = 0; i < DEMO_HOSTS; i++)
        host_close(take_demo->hosts[i].host);
    demo_websocket_close(take_demo->echoes);
    free(take_demo);
}

uint16_t demo_port(const struct demo *demo, uint32_t host)
{
    return host_port(demo->hosts[host].host);
}

/* --- answers -------------------------------------------------------------------------------------
 */

static void head_send(const struct demo_host *host, struct http_exchange *exchange,
                      const char *type, enum http_framing framing, size_t length)
{
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"), .value = slice_of(type), .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("X-Demo-Upstream"), .value = slice_of(host->name)},
        {.name = SLICE("Cache-Control"), .value = SLICE("no-cache")},
    };
    struct http_head head = {.status = 200,
                             .reason = SLICE("OK"),
                             .framing = (uint8_t)framing,
                             .content_length = length,
                             .version_minor = 1,
                             .keep_alive = true,
                             .field_count = 3,
                             .fields = fields};
    exchange->ops->respond(exchange, &head);
}

static void text_send(const struct demo_host *host, struct http_exchange *exchange,
                      const char *text, int len)
{
    head_send(host, exchange, "text/plain; charset=utf-8", HTTP_LENGTH, (size_t)len);
    exchange->ops->body(exchange, text, (size_t)len);
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
}

static void plain_send(const struct demo_host *host, struct http_exchange *exchange)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "Hello from the demo upstream %s.\n", host->name);
    exchange->user = NULL;
    text_send(host, exchange, text, len);
}

static void visit_free(struct visit *visit)
{
    loop_timer_stop(visit->host->demo->loop, &visit->timer);
    free(visit);
}

static void slow_send(struct visit *visit)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "The demo upstream %s took its time: %llu ms.\n",
                       visit->host->name, (unsigned long long)visit->waited_ms);
    visit->exchange->user = NULL;
    text_send(visit->host, visit->exchange, text, len);
    visit_free(visit);
}

static void tired_send(struct visit *visit)
{
    struct demo_host *host = visit->host;
    struct http_exchange *exchange = visit->exchange;
    visit_free(visit);
    plain_send(host, exchange);
}

static void event_send(struct visit *visit, uint64_t now_ms)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "id: %llu\ndata: {\"tick\": %llu}\n\n",
                       (unsigned long long)visit->events, (unsigned long long)visit->events);
    visit->events++;
    visit->exchange->ops->body(visit->exchange, text, (size_t)len);
    /* A client that does not read gets no more events until it does. */
    if (!visit->exchange->ops->flush(visit->exchange))
        loop_timer_set(visit->host->demo->loop, &visit->timer, now_ms + EVENT_MS);
}

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct visit *visit = container_of(timer, struct visit, timer);
    if (visit->kind == VISIT_SLOW)
        slow_send(visit);
    else if (visit->kind == VISIT_TIRED)
        tired_send(visit);
    else
        event_send(visit, now_ms);
}

/* --- the handler ---------------------------------------------------------------------------------
 */

/* "ms=" of the query, or the default. */
static uint64_t slow_ms_of(struct slice path)
{
    uint64_t ms = SLOW_MS;
    uint32_t query = slice_find(path, '?');
    struct slice rest = slice_sub(path, query + 1, path.len), part;
    while (query < path.len && slice_split(&rest, '&', &part))
        if (slice_starts(part, SLICE("ms=")))
            text_parse_u64(slice_sub(part, 3, part.len), &ms);
    return ms < SLOW_MAX_MS ? ms : SLOW_MAX_MS;
}

/* The request as text, its body to follow. */
static void echo_begin(struct visit *visit, const struct http_head *head)
{
    struct bytes text;
    bytes_init(&text, &alloc_libc, ECHO_MAX);
    bytes_printf(&text, "%.*s %.*s\n", SLICE_ARG(head->method), SLICE_ARG(head->target));
    for (uint16_t i = 0; i < head->field_count; i++)
        bytes_printf(&text, "%.*s: %.*s\n", SLICE_ARG(head->fields[i].name),
                     SLICE_ARG(head->fields[i].value));
    bytes_append_text(&text, "\n");
    head_send(visit->host, visit->exchange, "text/plain; charset=utf-8", HTTP_CHUNKED, 0);
    visit->exchange->ops->body(visit->exchange, bytes_at(&text), bytes_len(&text));
    visit->exchange->ops->flush(visit->exchange);
    bytes_fini(&text);
}

static void echo_end(struct visit *visit)
{
    struct http_exchange *exchange = visit->exchange;
    exchange->user = NULL;
    visit_free(visit);
    exchange->ops->end(exchange, NULL);
    exchange->ops->flush(exchange);
}

static void visit_begin(struct visit *visit, const struct http_head *head, bool end)
{
    struct loop *loop = visit->host->demo->loop;
    switch (visit->kind) {
    case VISIT_SLOW:
        visit->waited_ms = slow_ms_of(head->path);
        loop_timer_set(loop, &visit->timer, loop_now_ms(loop) + visit->waited_ms);
        break;
    case VISIT_TIRED: loop_timer_set(loop, &visit->timer, loop_now_ms(loop) + DEMO_TIRED_MS); break;
    case VISIT_EVENTS:
        head_send(visit->host, visit->exchange, "text/event-stream", HTTP_CHUNKED, 0);
        event_send(visit, loop_now_ms(loop));
        break;
    case VISIT_ECHO:
        echo_begin(visit, head);
        if (end)
            echo_end(visit);
        break;
    }
}

static bool is_path(struct slice path, const char *prefix)
{
    struct slice only = slice_sub(path, 0, slice_find(path, '?'));
    return slice_is(only, prefix);
}

static void on_request(void *self, struct http_exchange *exchange, struct http_head *head, bool end)
{
    struct demo_host *host = self;
    enum visit_kind kind;
    if (ws_is_asked(head)) {
        if (!demo_websocket_take(host->demo->echoes, exchange, head))
            exchange->ops->abort(exchange);
        return;
    }
    if (is_path(head->path, "/slow"))
        kind = VISIT_SLOW;
    else if (is_path(head->path, "/events"))
        kind = VISIT_EVENTS;
    else if (is_path(head->path, "/echo"))
        kind = VISIT_ECHO;
    else if (host == &host->demo->hosts[DEMO_TIRED])
        kind = VISIT_TIRED;
    else {
        plain_send(host, exchange);
        return;
    }
    struct visit *visit = calloc(1, sizeof(*visit));
    if (visit == NULL) {
        exchange->ops->abort(exchange);
        return;
    }
    *visit = (struct visit){
        .timer = {.fire = on_time}, .kind = kind, .host = host, .exchange = exchange};
    exchange->user = visit;
    visit_begin(visit, head, end);
}

static void on_body(struct http_exchange *exchange, const void *data, size_t len)
{
    const struct visit *visit = exchange->user;
    if (visit != NULL && visit->kind == VISIT_ECHO && exchange->ops->body(exchange, data, len))
        exchange->ops->pause(exchange, true);
}

static void on_request_end(struct http_exchange *exchange, const struct http_head *trailers)
{
    (void)trailers;
    struct visit *visit = exchange->user;
    if (visit != NULL && visit->kind == VISIT_ECHO)
        echo_end(visit);
}

static void on_flush(struct http_exchange *exchange)
{
    if (exchange->user != NULL)
        exchange->ops->flush(exchange);
}

static void on_drain(struct http_exchange *exchange)
{
    struct visit *visit = exchange->user;
    if (visit == NULL)
        return;
    if (visit->kind == VISIT_ECHO)
        exchange->ops->pause(exchange, false);
    else if (visit->kind == VISIT_EVENTS)
        loop_timer_set(visit->host->demo->loop, &visit->timer,
                       loop_now_ms(visit->host->demo->loop) + EVENT_MS);
}

static void on_abort(struct http_exchange *exchange, enum http_fault why)
{
    (void)why;
    if (exchange->user != NULL)
        visit_free(exchange->user);
}

static const struct http_handler demo_handler = {
    .on_request = on_request,
    .on_body = on_body,
    .on_request_end = on_request_end,
    .on_flush = on_flush,
    .on_drain = on_drain,
    .on_abort = on_abort,
};
