/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook.c - the queue, and the poster that takes from it.
 */
#include "gateway/webhook.h"

#include "base/list.h"
#include "gateway/poster.h"
#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>

struct webhook {
    struct webhook_options opt;
    struct poster *poster;
    struct loop_timer timer;
    struct webhook_queue queue;
};

static void send_due(struct webhook *webhook);

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

static void on_end(void *self, const struct poster_end *end)
{
    struct webhook *webhook = self;
    end_post(webhook, end->status, end->err);
    send_due(webhook);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    send_due(container_of(timer, struct webhook, timer));
}

static void send_due(struct webhook *webhook)
{
    uint64_t now_ms = loop_now_ms(webhook->opt.loop);
    const struct webhook_message *message = webhook_queue_begin(&webhook->queue, now_ms);
    if (message != NULL) {
        weir_err err = poster_post(webhook->poster, message->text, message->len);
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

int webhook_open(const struct webhook_options *opt, struct webhook **ret_webhook)
{
    struct webhook *webhook = calloc(1, sizeof(*webhook));
    if (webhook == NULL)
        return -ENOMEM;
    webhook->opt = *opt;
    webhook->timer.fire = on_timer;
    webhook_queue_init(&webhook->queue);
    const struct poster_options poster = {.loop = opt->loop,
                                          .name = "webhook",
                                          .url = opt->url,
                                          .timeout_ms = opt->timeout_ms,
                                          .on_end = on_end,
                                          .self = webhook};
    int error = poster_open(&poster, &webhook->poster);
    if (error != 0) {
        free(webhook);
        return error;
    }
    *ret_webhook = webhook;
    return 0;
}

void webhook_close(struct webhook *take_webhook)
{
    if (take_webhook == NULL)
        return;
    poster_close(take_webhook->poster);
    loop_timer_stop(take_webhook->opt.loop, &take_webhook->timer);
    free(take_webhook);
}
