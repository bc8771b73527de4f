/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook.c - a client that sends one request at a time; how it ended crosses threads in two
 * atomics and a wake-up.
 */
#include "gateway/webhook.h"

#include <weir/http.h>
#include <weir/runtime.h>

#include "base/list.h"
#include "io/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

struct webhook {
    struct webhook_options opt;
    weir_runtime *runtime;
    weir_http_client *client;
    struct loop_wake *wake;
    struct loop_timer timer;
    struct webhook_queue queue;

    _Atomic uint32_t received; /* bytes of the answer: the client's thread alone */
    _Atomic uint32_t status;   /* of the answer that ended; 0: there was none */
    _Atomic uint32_t err;
    atomic_bool has_ended;
};

static void send_due(struct webhook *webhook);

/* --- on the client's thread ----------------------------------------------------------------------
 */

/* What is too long is held back until the time is over. */
static bool on_body(void *arg, const void *data, size_t len)
{
    struct webhook *webhook = arg;
    (void)data;
    uint32_t received = atomic_load_explicit(&webhook->received, memory_order_relaxed);
    received = len < WEBHOOK_ANSWER_MAX - received ? received + (uint32_t)len : WEBHOOK_ANSWER_MAX;
    atomic_store_explicit(&webhook->received, received, memory_order_relaxed);
    return received < WEBHOOK_ANSWER_MAX;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct webhook *webhook = arg;
    atomic_store_explicit(&webhook->status, result->status, memory_order_relaxed);
    atomic_store_explicit(&webhook->err, err, memory_order_relaxed);
    atomic_store_explicit(&webhook->has_ended, true, memory_order_release);
    loop_wake_send(webhook->wake);
}

static const weir_http_handler handler = {.size = sizeof(handler),
                                          .on_body = on_body,
                                          .on_end = on_end};

/* --- on the loop's thread ------------------------------------------------------------------------
 */

static void end_post(struct webhook *webhook, uint32_t status, weir_err err)
{
    bool is_delivered = status / 100 == 2;
    uint64_t given_up = webhook->queue.counts.given_up;
    webhook_queue_end(&webhook->queue, loop_now_ms(webhook->opt.loop), is_delivered);
    if (webhook->queue.counts.given_up > given_up)
        log_to(webhook->opt.log, LOG_WARN_LEVEL, "webhook does not take an alert",
               log_u64("status", status), log_text("why", err != WEIR_OK ? weir_err_word(err) : ""),
               log_u64("tries", WEBHOOK_REPEATS_MAX + 1));
}

static void on_wake(void *self)
{
    struct webhook *webhook = self;
    if (!atomic_exchange_explicit(&webhook->has_ended, false, memory_order_acquire))
        return;
    end_post(webhook, atomic_load_explicit(&webhook->status, memory_order_relaxed),
             (weir_err)atomic_load_explicit(&webhook->err, memory_order_relaxed));
    send_due(webhook);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    send_due(container_of(timer, struct webhook, timer));
}

static weir_err send_one(struct webhook *webhook, const struct webhook_message *message)
{
    static const weir_http_field fields[] = {{.name = "Content-Type", .value = "application/json"}};
    const weir_http_request request = {.size = sizeof(request),
                                       .method = "POST",
                                       .url = webhook->opt.url,
                                       .fields = fields,
                                       .field_count = sizeof(fields) / sizeof(*fields),
                                       .body = message->text,
                                       .body_len = message->len,
                                       .flags = WEIR_HTTP_NO_REDIRECT,
                                       .timeout_ms = webhook->opt.timeout_ms};
    weir_http_call call;
    atomic_store_explicit(&webhook->received, 0, memory_order_relaxed);
    return weir_http_send(webhook->client, &request, &handler, webhook, &call);
}

static void send_due(struct webhook *webhook)
{
    uint64_t now_ms = loop_now_ms(webhook->opt.loop);
    const struct webhook_message *message = webhook_queue_begin(&webhook->queue, now_ms);
    if (message != NULL) {
        weir_err err = send_one(webhook, message);
        if (err != WEIR_OK)
            end_post(webhook, 0, err);
    }
    uint64_t due_ms = webhook_queue_due(&webhook->queue);
    if (due_ms != UINT64_MAX)
        loop_timer_set(webhook->opt.loop, &webhook->timer, due_ms);
}

void webhook_post(struct webhook *webhook, const char *text, size_t len)
{
    webhook_queue_put(&webhook->queue, loop_now_ms(webhook->opt.loop), text, len);
    send_due(webhook);
}

struct webhook_counts webhook_counts_of(const struct webhook *webhook)
{
    return webhook->queue.counts;
}

uint32_t webhook_waiting(const struct webhook *webhook)
{
    return webhook->queue.count;
}

/* --- life ----------------------------------------------------------------------------------------
 */

static weir_err open_client(struct webhook *webhook)
{
    const weir_runtime_options runtime = {.size = sizeof(runtime),
                                          .workers = 1,
                                          .pools_max = 1,
                                          .conns_max = 8,
                                          .waiting_max = 8,
                                          .keys_max = 8};
    const weir_http_client_options client = {
        .size = sizeof(client),
        .pool = {.name = "webhook", .max_total = 2, .total_timeout_ms = webhook->opt.timeout_ms},
        .requests_max = 2,
        .redirects_max = WEIR_NONE};
    weir_err err = weir_runtime_open(&runtime, &webhook->runtime);
    return err == WEIR_OK ? weir_http_client_new(webhook->runtime, &client, &webhook->client) : err;
}

int webhook_open(const struct webhook_options *opt, struct webhook **ret_webhook)
{
    struct webhook *webhook = calloc(1, sizeof(*webhook));
    if (webhook == NULL)
        return -ENOMEM;
    webhook->opt = *opt;
    webhook->timer.fire = on_timer;
    webhook_queue_init(&webhook->queue);
    int error = loop_wake_new(opt->loop, on_wake, webhook, &webhook->wake);
    if (error == 0 && open_client(webhook) != WEIR_OK)
        error = -ENOMEM;
    if (error != 0) {
        webhook_close(webhook);
        return error;
    }
    *ret_webhook = webhook;
    return 0;
}

void webhook_close(struct webhook *take_webhook)
{
    if (take_webhook == NULL)
        return;
    weir_http_client_free(take_webhook->client);
    if (take_webhook->runtime != NULL)
        weir_runtime_close(take_webhook->runtime, 0);
    if (take_webhook->wake != NULL)
        loop_wake_free(take_webhook->wake);
    loop_timer_stop(take_webhook->opt.loop, &take_webhook->timer);
    free(take_webhook);
}
