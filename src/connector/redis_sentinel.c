/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/redis_sentinel.h"

#include "base/check.h"
#include "base/list.h"

#include <errno.h>
#include <string.h>

#define COMMAND_MAX (64U << 10)

struct redis_sentinels {
    struct redis_sentinels_options opt;
    struct bytes command;
    uint32_t first; /* who knew it last */
    struct redis_connector *told;
    struct redis_sentinels_query query; /* of the watch */
    struct loop_timer timer;
};

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void on_done(struct redis_call *call, const struct redis_outcome *outcome);
static void watch_fire(struct loop_timer *timer, uint64_t now_ms);
static void watched(struct redis_sentinels_query *query, weir_err err,
                    const struct redis_place *place);

int redis_sentinels_new(const struct redis_sentinels_options *opt,
                        struct redis_sentinels **ret_sentinels)
{
    struct redis_sentinels *sentinels = alloc_zeroed(opt->alloc, sizeof *sentinels);
    const struct slice words[] = {SLICE("SENTINEL"), SLICE("get-master-addr-by-name"),
                                  slice_of(opt->master)};
    check(opt->count > 0);
    if (sentinels == NULL) {
        return -ENOMEM;
    }
    bytes_init(&sentinels->command, opt->alloc, COMMAND_MAX);
    if (!resp_command(&sentinels->command, words, 3)) {
        bytes_fini(&sentinels->command);
        alloc_free(opt->alloc, sentinels);
        return -ENOMEM;
    }
    sentinels->opt = *opt;
    sentinels->opt.master = NULL; /* it is in the command */
    sentinels->timer.fire = watch_fire;
    sentinels->query.done = watched;
    *ret_sentinels = sentinels;
    return 0;
}

void redis_sentinels_free(struct redis_sentinels *take_sentinels)
{
    if (take_sentinels == NULL) {
        return;
    }
    redis_sentinels_unwatch(take_sentinels);
    bytes_fini(&take_sentinels->command);
    alloc_free(take_sentinels->opt.alloc, take_sentinels);
}

/* --- asking -------------------------------------------------------------------------------------
 */

static uint32_t turn_of(const struct redis_sentinels_query *query)
{
    return (query->first + query->tried) % query->sentinels->opt.count;
}

/* Whoever has no time for more than one question is not to ask the same one again and again. */
static void pass_over(struct redis_sentinels *sentinels, uint32_t n)
{
    if (sentinels->first == n) {
        sentinels->first = (n + 1) % sentinels->opt.count;
    }
}

static void ask_one(struct redis_sentinels_query *query)
{
    struct redis_sentinels *sentinels = query->sentinels;
    uint32_t n = turn_of(query);
    query->found.host[0] = '\0';
    query->call.on_reply = on_reply;
    query->call.done = on_done;
    query->call.commands = bytes_slice(&sentinels->command);
    query->call.count = 1;
    redis_call_begin(sentinels->opt.connector, &query->call, &sentinels->opt.keys[n],
                     sentinels->opt.timeout_ms);
}

void redis_sentinels_ask(struct redis_sentinels *sentinels, struct redis_sentinels_query *query)
{
    query->sentinels = sentinels;
    query->first = sentinels->first;
    query->tried = 0;
    ask_one(query);
}

void redis_sentinels_cancel(struct redis_sentinels_query *query)
{
    redis_call_cancel(&query->call);
}

/* Nothing: it knows no such master. */
static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_sentinels_query *query = container_of(call, struct redis_sentinels_query, call);
    struct redis_place *found = &query->found;
    struct resp_value host, port;
    uint64_t number;
    (void)index;
    if (value->type == RESP_ARRAY && value->count == 2 && resp_next(inside, &host)
        && host.type == RESP_TEXT && host.text.len < sizeof found->host && resp_next(inside, &port)
        && port.type == RESP_TEXT && text_parse_u64(port.text, &number) && number > 0
        && number <= UINT16_MAX) {
        slice_copy(found->host, sizeof found->host, host.text);
        found->port = (uint16_t)number;
    }
}

static void on_done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct redis_sentinels_query *query = container_of(call, struct redis_sentinels_query, call);
    struct redis_sentinels *sentinels = query->sentinels;
    uint32_t n = turn_of(query);
    if (query->found.host[0] != '\0') {
        sentinels->first = n;
        query->done(query, WEIR_OK, &query->found);
        return;
    }
    pass_over(sentinels, n);
    if (++query->tried < sentinels->opt.count) {
        ask_one(query);
    } else {
        query->done(query, outcome->err != WEIR_OK ? outcome->err : WEIR_EREFUSED, NULL);
    }
}

/* --- watching -----------------------------------------------------------------------------------
 */

static void arm(struct redis_sentinels *sentinels)
{
    loop_timer_set(sentinels->opt.loop, &sentinels->timer,
                   loop_now_ms(sentinels->opt.loop) + sentinels->opt.watch_ms);
}

void redis_sentinels_watch(struct redis_sentinels *sentinels, struct redis_connector *told)
{
    sentinels->told = told;
    arm(sentinels);
}

void redis_sentinels_unwatch(struct redis_sentinels *sentinels)
{
    loop_timer_stop(sentinels->opt.loop, &sentinels->timer);
    redis_sentinels_cancel(&sentinels->query);
}

static void watch_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct redis_sentinels *sentinels = container_of(timer, struct redis_sentinels, timer);
    (void)now_ms;
    redis_sentinels_ask(sentinels, &sentinels->query);
}

static void watched(struct redis_sentinels_query *query, weir_err err,
                    const struct redis_place *place)
{
    struct redis_sentinels *sentinels = query->sentinels;
    if (err == WEIR_OK) {
        redis_connector_moved(sentinels->told, place);
    }
    arm(sentinels);
}
