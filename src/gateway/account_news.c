/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/account_news.h"

#include "base/check.h"

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    account_news_look(container_of(timer, struct account_news, timer));
}

void account_news_init(struct account_news *news, struct loop *loop, struct accounts *accounts,
                       const char *upstream)
{
    *news = (struct account_news){
        .loop = loop, .accounts = accounts, .upstream = upstream, .timer = {.fire = on_timer}};
}

void account_news_fini(struct account_news *news)
{
    loop_timer_stop(news->loop, &news->timer);
}

static void tell(const struct account_news *news, uint32_t index, const struct cooldown_term *term,
                 uint64_t now_ms)
{
    struct accounts_info info;
    accounts_info_of(news->accounts, index, &info);
    bool cools = term->until_ms > now_ms;
    const struct relay_event event = {
        .kind = cools ? RELAY_EVENT_ACCOUNT_COOLED : RELAY_EVENT_ACCOUNT_RECOVERED,
        .upstream = news->upstream,
        .account = info.config->name,
        .from = "",
        .why = cooldown_word((enum cooldown_reason)term->reason),
        .family = {term->family, term->family_len},
        .for_ms = cools ? term->until_ms - now_ms : 0,
    };
    news->tell(news->self, &event);
}

void account_news_look(struct account_news *news)
{
    uint64_t now_ms = loop_now_ms(news->loop);
    struct cooldown_term term;
    uint32_t index;
    if (news->tell == NULL) {
        return;
    }
    while (accounts_news(news->accounts, now_ms, &index, &term)) {
        tell(news, index, &term, now_ms);
    }
    if (accounts_are_told(news->accounts)) {
        loop_timer_set(news->loop, &news->timer, now_ms + ACCOUNT_NEWS_LOOK_MS);
    }
}
