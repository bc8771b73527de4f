/* SPDX-License-Identifier: Apache-2.0
 *
 * demo_visitors.c - a timer of the hub's that sends requests by the library's own client.
 *
 * What they ask follows from the number of the visit, so that a demo is the same every time.
 */
#include "gateway/demo_visitors.h"

#include <weir/http.h>

#include "base/alloc.h"
#include "base/list.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS       50U
#define TICKS_A_S     (1000U / TICK_MS)
#define STREAMS       2U
#define CONVERSATIONS 16U
#define OPEN_MAX      512U /* visits at a time; there are no more while the gateway is slow */
#define RUSH_A_S      40U

struct demo_visitors {
    struct loop *loop;
    struct loop_timer timer;
    weir_runtime *runtime;
    weir_http_client *client;
    char base[32]; /* http://127.0.0.1:port */
    uint32_t per_s;
    uint64_t ticks, visits, owed; /* owed: in parts of a second's tick */
    _Atomic uint32_t streams;     /* that are open */
};

static void on_time(struct loop_timer *timer, uint64_t now_ms);

static int errno_of(weir_err err)
{
    return err == WEIR_ENOMEM ? -ENOMEM : -EIO;
}

int demo_visitors_open(struct loop *loop, uint16_t port, uint32_t per_s,
                       struct demo_visitors **ret_visitors)
{
    struct demo_visitors *visitors = alloc_zeroed(&alloc_libc, sizeof(*visitors));
    const weir_runtime_options runtime = {.workers = 1};
    const weir_http_client_options client = {
        .pool = {.name = "visitors", .max_total = OPEN_MAX, .max_per_key = OPEN_MAX},
        .requests_max = OPEN_MAX,
        .user_agent = "weir-demo-visitor"};
    if (visitors == NULL)
        return -ENOMEM;
    *visitors = (struct demo_visitors){.loop = loop, .per_s = per_s, .timer = {.fire = on_time}};
    snprintf(visitors->base, sizeof(visitors->base), "http://127.0.0.1:%u", (unsigned)port);
    weir_err err = weir_runtime_open(&runtime, &visitors->runtime);
    if (err == WEIR_OK)
        err = weir_http_client_new(visitors->runtime, &client, &visitors->client);
    if (err != WEIR_OK) {
        demo_visitors_close(visitors);
        return errno_of(err);
    }
    if (per_s > 0)
        loop_timer_set(loop, &visitors->timer, loop_now_ms(loop) + TICK_MS);
    *ret_visitors = visitors;
    return 0;
}

void demo_visitors_close(struct demo_visitors *take_visitors)
{
    if (take_visitors == NULL)
        return;
    loop_timer_stop(take_visitors->loop, &take_visitors->timer);
    if (take_visitors->client != NULL)
        weir_http_client_free(take_visitors->client);
    if (take_visitors->runtime != NULL)
        weir_runtime_close(take_visitors->runtime, 0);
    alloc_free(&alloc_libc, take_visitors);
}

/* --- what they ask -------------------------------------------------------------------------------
 */

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    (void)arg, (void)err, (void)result; /* the gateway's own figures are what is to be seen */
}

static void on_stream_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct demo_visitors *visitors = arg;
    (void)err, (void)result;
    atomic_fetch_sub(&visitors->streams, 1);
}

static const weir_http_handler visit = {.on_end = on_end};
static const weir_http_handler stream = {.on_end = on_stream_end};

static bool ask(struct demo_visitors *visitors, const char *path, const char *body,
                const weir_http_handler *handler)
{
    static const weir_http_field json = {.name = "content-type", .value = "application/json"};
    char url[96];
    weir_http_call call;
    snprintf(url, sizeof(url), "%s%s", visitors->base, path);
    const weir_http_request request = {.method = body != NULL ? "POST" : "GET",
                                       .url = url,
                                       .fields = &json,
                                       .field_count = body != NULL ? 1 : 0,
                                       .body = body,
                                       .body_len = body != NULL ? strlen(body) : 0};
    return weir_http_send(visitors->client, &request, handler, visitors, &call) == WEIR_OK;
}

static void ask_slowly(struct demo_visitors *visitors)
{
    static const unsigned ms[] = {60, 90, 120, 200, 350, 700};
    char path[24];
    snprintf(path, sizeof(path), "/slow?ms=%u", ms[visitors->visits % (sizeof(ms) / sizeof(*ms))]);
    ask(visitors, path, NULL, &visit);
}

static void ask_ai(struct demo_visitors *visitors)
{
    char body[128];
    snprintf(body, sizeof(body),
             "{\"messages\":[{\"role\":\"user\",\"content\":\"question %u of a visitor\"}]}",
             (unsigned)(visitors->visits / 10 % CONVERSATIONS));
    ask(visitors, "/v1/messages", body, &visit);
}

static void ask_something(struct demo_visitors *visitors)
{
    switch (visitors->visits++ % 10) {
    case 3: ask_slowly(visitors); break;
    case 6: ask_ai(visitors); break;
    case 8: ask(visitors, "/echo", "{\"said\":\"by a visitor\"}", &visit); break;
    default: ask(visitors, "/", NULL, &visit); break;
    }
}

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct demo_visitors *visitors = container_of(timer, struct demo_visitors, timer);
    uint64_t second = visitors->ticks / TICKS_A_S;
    bool is_rush = second >= DEMO_CALM_S && (second - DEMO_CALM_S) % DEMO_ROUND_S < DEMO_RUSH_S;
    visitors->ticks++;
    for (visitors->owed += visitors->per_s; visitors->owed >= TICKS_A_S;
         visitors->owed -= TICKS_A_S)
        ask_something(visitors);
    for (uint32_t i = 0; is_rush && i < RUSH_A_S / TICKS_A_S; i++)
        ask(visitors, "/slow?ms=900", NULL, &visit);
    while (atomic_load(&visitors->streams) < STREAMS) {
        atomic_fetch_add(&visitors->streams, 1);
        if (!ask(visitors, "/events", NULL, &stream)) {
            atomic_fetch_sub(&visitors->streams, 1);
            break;
        }
    }
    loop_timer_set(visitors->loop, timer, now_ms + TICK_MS);
}
