/* SPDX-License-Identifier: Apache-2.0
 *
 * webhook.h - posts JSON to a URL of the user's, one message after the other.
 *
 * Whatever the one at the other end does (poster.h) costs it a place in a bounded queue
 * (webhook_queue.h). Only an answer of 2xx is taken for a delivery; a redirect is none.
 *
 * All of it on the thread of the loop.
 */
#pragma once
#include "base/log.h"
#include "gateway/webhook_queue.h"
#include "io/loop.h"

struct webhook;

struct webhook_options {
    struct loop *loop;
    const char *url; /* outlives it, as the log does */
    uint32_t timeout_ms;
    const struct log_sink *log;
};

/* 0 or -errno. */
int webhook_open(const struct webhook_options *opt, struct webhook **ret_webhook);
void webhook_close(struct webhook *take_webhook); /* what was not delivered is not; NULL is fine */

void webhook_post(struct webhook *webhook, const char *text, size_t len);

struct webhook_counts webhook_counts_of(const struct webhook *webhook);
uint32_t webhook_waiting(const struct webhook *webhook);
