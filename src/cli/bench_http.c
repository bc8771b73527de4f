/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_http.c - shots are requests of a client of the library's, as any program's are.
 */
#include "cli/bench.h"

#include <stdlib.h>

struct http_way {
    struct bench_load *load;
    const char *url;
    weir_runtime *runtime;
    weir_http_client *client;
};

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    bench_answered(arg, err == WEIR_OK ? result->status : 0, err);
}

static const weir_http_handler handler = {.on_end = on_end};

static void http_close(void *self)
{
    struct http_way *way = self;
    weir_http_client_free(way->client);
    if (way->runtime != NULL)
        weir_runtime_close(way->runtime, 0);
    free(way);
}

static weir_err client_open(struct http_way *way)
{
    const struct bench_plan *plan = way->load->plan;
    uint32_t open_max = plan->rate > 0 ? BENCH_OPEN_MAX : plan->callers;
    uint32_t timeout_ms = (uint32_t)plan->timeout_ms;
    const weir_runtime_options runtime = {
        .workers = 1, .waiting_max = open_max, .conns_max = plan->callers + 16};
    weir_http_client_options opt = {.pool = {.size = sizeof(opt.pool),
                                             .max_total = plan->callers,
                                             .max_per_key = plan->callers,
                                             .waiting_max = open_max,
                                             .acquire_timeout_ms = timeout_ms,
                                             .total_timeout_ms = timeout_ms,
                                             .read_timeout_ms = timeout_ms},
                                    .requests_max = open_max,
                                    .http2 = plan->http2 ? WEIR_ON : WEIR_OFF,
                                    .retry_budget_pct = 1,
                                    .user_agent = "weir-bench/" WEIR_VERSION,
                                    .tls = {.verify = plan->insecure ? WEIR_OFF : WEIR_ON}};
    weir_err err = weir_runtime_open(&runtime, &way->runtime);
    return err == WEIR_OK ? weir_http_client_new(way->runtime, &opt, &way->client) : err;
}

static weir_err http_send(void *self, struct bench_shot *shot)
{
    struct http_way *way = self;
    const struct bench_plan *plan = way->load->plan;
    const weir_http_request request = {.method = plan->method,
                                       .url = way->url,
                                       .fields = plan->fields,
                                       .field_count = plan->fields_count,
                                       .body = plan->body,
                                       .body_len = plan->body_len,
                                       .flags = WEIR_HTTP_BORROW | WEIR_HTTP_NO_REDIRECT
                                                | WEIR_HTTP_RAW};
    weir_http_call call;
    return weir_http_send(way->client, &request, &handler, shot, &call);
}

static void *http_open(struct bench_load *load, const char *url)
{
    struct http_way *way = calloc(1, sizeof(*way));
    if (way == NULL) {
        load->why = "out of memory";
        return NULL;
    }
    way->load = load;
    way->url = url;
    weir_err err = client_open(way);
    if (err != WEIR_OK) {
        load->why = err == WEIR_EINVAL ? weir_runtime_fault() : weir_err_text(err);
        http_close(way);
        return NULL;
    }
    return way;
}

const struct bench_way bench_http = {.open = http_open, .send = http_send, .close = http_close};
