/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/webhook_queue.h"

#include "base/check.h"

#include <string.h>

void webhook_queue_init(struct webhook_queue *queue)
{
    memset(queue, 0, sizeof *queue);
}

static struct webhook_message *at(struct webhook_queue *queue, uint32_t place)
{
    return &queue->at[(queue->first + place) % WEBHOOK_QUEUE_MAX];
}

static void leave(struct webhook_queue *queue)
{
    queue->first = (queue->first + 1) % WEBHOOK_QUEUE_MAX;
    queue->count--;
}

/* The first one that is not under way. */
static void drop_one(struct webhook_queue *queue)
{
    if (queue->is_sending) {
        *at(queue, 1) = *at(queue, 0);
    }
    leave(queue);
    queue->counts.dropped++;
}

void webhook_queue_put(struct webhook_queue *queue, uint64_t now_ms, const char *text, size_t len)
{
    if (len > WEBHOOK_MESSAGE_MAX) {
        queue->counts.dropped++;
        return;
    }
    if (queue->count == WEBHOOK_QUEUE_MAX) {
        drop_one(queue);
    }
    struct webhook_message *message = at(queue, queue->count++);
    message->due_ms = now_ms;
    message->len = (uint32_t)len;
    message->failures = 0;
    memcpy(message->text, text, len);
}

uint64_t webhook_queue_due(const struct webhook_queue *queue)
{
    return queue->count > 0 && !queue->is_sending ? queue->at[queue->first].due_ms : UINT64_MAX;
}

const struct webhook_message *webhook_queue_begin(struct webhook_queue *queue, uint64_t now_ms)
{
    if (webhook_queue_due(queue) > now_ms) {
        return NULL;
    }
    queue->is_sending = true;
    return at(queue, 0);
}

void webhook_queue_end(struct webhook_queue *queue, uint64_t now_ms, bool is_delivered)
{
    check(queue->is_sending);
    struct webhook_message *message = at(queue, 0);
    queue->is_sending = false;
    if (is_delivered) {
        queue->counts.delivered++;
        leave(queue);
        return;
    }
    queue->counts.failed++;
    if (message->failures == WEBHOOK_REPEATS_MAX) {
        queue->counts.given_up++;
        leave(queue);
        return;
    }
    message->due_ms = now_ms + ((uint64_t)WEBHOOK_PAUSE_MS << message->failures);
    message->failures++;
}
