/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook_queue.h - messages for a webhook: which is due, and when a failed one is tried again.
 *
 * One at a time, in their order. One that failed is repeated WEBHOOK_REPEATS_MAX times, 1, 2, 4 …
 * seconds later, and then given up. Where there is no room for one more the oldest leaves that is
 * not under way: what is news is of more use than what was.
 *
 * Pure: the time is an argument.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEBHOOK_QUEUE_MAX   64U
#define WEBHOOK_MESSAGE_MAX 1024U
#define WEBHOOK_REPEATS_MAX 5U
#define WEBHOOK_PAUSE_MS    1000U /* before the first repetition */

struct webhook_message {
    uint64_t due_ms;
    uint32_t len, failures;
    char text[WEBHOOK_MESSAGE_MAX];
};

struct webhook_counts {
    uint64_t delivered;
    uint64_t failed; /* times that one was tried in vain */
    uint64_t given_up;
    uint64_t dropped; /* for want of room */
};

struct webhook_queue {
    uint32_t first, count;
    bool is_sending; /* the first */
    struct webhook_counts counts;
    struct webhook_message at[WEBHOOK_QUEUE_MAX];
};

void webhook_queue_init(struct webhook_queue *queue);
/* Copies it. One of more than WEBHOOK_MESSAGE_MAX bytes is dropped. */
void webhook_queue_put(struct webhook_queue *queue, uint64_t now_ms, const char *text, size_t len);

/* When there is something to do; UINT64_MAX: nothing is waiting, or one is under way. */
uint64_t webhook_queue_due(const struct webhook_queue *queue);
/* The message to send, which is under way from now on; NULL: none is due. */
const struct webhook_message *webhook_queue_begin(struct webhook_queue *queue, uint64_t now_ms);
/* What became of it. */
void webhook_queue_end(struct webhook_queue *queue, uint64_t now_ms, bool is_delivered);
