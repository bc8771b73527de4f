/* SPDX-License-Identifier: Apache-2.0
 *
 * account_news.h - tells that an account cools down, and that it does no more.
 *
 * Accounts are shared by all workers, and who sees an answer that makes one cool down tells of it,
 * once. The end comes by itself, or because somebody cleared it: that worker looks each
 * ACCOUNT_NEWS_LOOK_MS as long as one of the upstream's accounts cools down, and never otherwise.
 */
#pragma once
#include "gateway/accounts.h"
#include "gateway/relay_event.h"
#include "io/loop.h"

#define ACCOUNT_NEWS_LOOK_MS 1000U

struct account_news {
    struct loop *loop;
    struct accounts *accounts;
    const char *upstream;
    relay_event_fn *tell; /* NULL: nobody listens */
    void *self;
    struct loop_timer timer;
};

void account_news_init(struct account_news *news, struct loop *loop, struct accounts *accounts,
                       const char *upstream);
void account_news_fini(struct account_news *news);
/* Tells what there is to tell; after an answer that made an account cool down. */
void account_news_look(struct account_news *news);
