/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_account.c - as whom a request goes, where its upstream has accounts.
 *
 *     body is kept ─▶ read ─▶ account ─▶ endpoint ─▶ connection ─▶ answer ──▶ client
 *                              ▲  │ all full                         │
 *                              │  └──▶ line                          │ not accepted
 *                              └─────────────────────────────────────┘
 *
 * A request is on one account's books at a time: another one is on before the first is left. It is
 * asked as another only before a byte of an answer reached its client, and only while all of it is
 * at hand.
 */
#include "base/check.h"
#include "gateway/openclaw.h"
#include "gateway/relay_parts.h"
#include "io/clock.h"
#include "io/loop.h"
#include "proto/rate_limit.h"

#include <xxhash.h>

static void on_turn(struct waiter *wait, bool is_late);
static enum accounts_result take(struct transit *transit, struct slice path,
                                 struct accounts_wish *wish, struct accounts_choice *ret_choice);
static void refuse(struct transit *transit, enum accounts_result result,
                   const struct accounts_choice *choice);
static bool move_on(struct transit *transit, uint64_t *counter);

/* --- the body ------------------------------------------------------------------------------------
 */

bool account_keeps_body(struct transit *transit, const struct http_head *head)
{
    const struct config_route *route = transit->rules->route;
    const struct accounts *accounts = transit->upstream->accounts;
    uint64_t most = route->limits.hold;
    bool wants = (accounts != NULL && accounts_wants_body(accounts))
                 || (route->affinity.is_on && affinity_wants_body(&route->affinity.sources));
    if (!wants || transit->request_ended || transit->is_grpc || transit->is_websocket) {
        return false;
    }
    transit->is_too_large = most == 0
                            || (head->framing == HTTP_LENGTH && head->content_length > most);
    return !transit->is_too_large;
}

/* More than is kept: it goes on as it comes, without being read, and to one account. */
static void let_go(struct transit *transit)
{
    transit->keeps = false;
    transit->body_held = false;
    transit->is_too_large = true;
    transit->was_in_line = true; /* what there is goes first */
    transit_pace_client(transit, true);
    transit->state = TRANSIT_WAITING;
    transit_begin(transit, held_head(&transit->held));
}

bool account_take_body(struct transit *transit, const void *data, size_t len)
{
    uint64_t most = transit->rules->route->limits.hold;
    struct held *held = &transit->held;
    if (transit->hold.len == 0 && transit->keeps
        && held_add_body(held, data, len, most < HELD_BODY_MAX ? most : HELD_BODY_MAX)) {
        return true;
    }
    if (transit->keeps && len <= most - held->body_len
        && hold_add(&transit->hold, data, len, most - held->body_len)) {
        return true;
    }
    /* Its client is told to wait, and has sent no more than a read of it by then. */
    if (!hold_add_rest(&transit->hold, data, len, most + HELD_WAIT_MAX)) {
        transit_cut(transit, FAULT_INTERNAL);
        return false;
    }
    if (transit->keeps) {
        let_go(transit);
    }
    return true;
}

/* --- the choice ----------------------------------------------------------------------------------
 */

/* is_due: it came before those that wait, or is the one whose turn it is. */
static struct accounts_wish wish_of(const struct transit *transit, bool is_due)
{
    struct accounts_wish wish = {
        .model = {transit->model, transit->model_len},
        .except = transit->except,
        .priority = client_priority(transit),
        .is_due = is_due,
        .now_ms = loop_now_ms(transit->lane->relay->opt.loop),
    };
    session_wish(transit, &wish);
    return wish;
}

/* BALANCE_NOBODY: none. */
static uint32_t endpoint_for(struct transit *transit, struct slice path, uint32_t account,
                             bool at_ease)
{
    struct upstream *upstream = transit->upstream;
    if (transit_is_for_openclaw(transit, path)
        && !openclaw_may(upstream->openclaw, account, at_ease)) {
        return BALANCE_NOBODY;
    }
    return upstream_choose(upstream, account, session_hash(transit, path), BALANCE_NOBODY);
}

/* An account that no endpoint is up for is as good as none. */
static enum accounts_result take_of(struct transit *transit, struct slice path, bool at_ease,
                                    struct accounts_wish *wish, struct accounts_choice *ret_choice)
{
    struct upstream *upstream = transit->upstream;
    for (;;) {
        enum accounts_result result = accounts_take(upstream->accounts, wish, ret_choice);
        if (result != ACCOUNTS_TAKEN) {
            return result;
        }
        uint32_t endpoint = endpoint_for(transit, path, ret_choice->index, at_ease);
        if (endpoint != BALANCE_NOBODY) {
            ret_choice->endpoint = endpoint;
            return result;
        }
        accounts_give(upstream->accounts, ret_choice->index);
        wish->except |= UINT64_C(1) << ret_choice->index;
        ret_choice->down |= UINT64_C(1) << ret_choice->index;
    }
}

/* A conversation whose account is away for a moment is with it all the same. */
static void keep_home(const struct transit *transit, struct accounts_choice *choice)
{
    bool was_left_out = choice->moved == ACCOUNTS_HOME_COOLING
                        && (choice->down >> choice->home & 1) != 0;
    if (was_left_out && openclaw_is_away_for_a_moment(transit->upstream->openclaw, choice->home)) {
        choice->moved = ACCOUNTS_HOME_FULL;
    }
}

/* Who may have to wait for a connection to an OpenClaw gateway goes as another account, if one
 * would not. */
static enum accounts_result take(struct transit *transit, struct slice path,
                                 struct accounts_wish *wish, struct accounts_choice *ret_choice)
{
    uint64_t except = wish->except;
    if (transit_is_for_openclaw(transit, path)
        && take_of(transit, path, true, wish, ret_choice) == ACCOUNTS_TAKEN) {
        keep_home(transit, ret_choice);
        return ACCOUNTS_TAKEN;
    }
    wish->except = except;
    ret_choice->down = 0;
    return take_of(transit, path, false, wish, ret_choice);
}

static void hold_to(struct transit *transit, const struct accounts_choice *choice)
{
    transit->has_account = true;
    transit->account = choice->index;
    transit->endpoint = choice->endpoint;
    session_placed(transit, choice);
}

static bool get_in_line(struct transit *transit, const struct accounts_wish *wish)
{
    struct upstream *upstream = transit->upstream;
    uint32_t most = upstream->config->pool.waiting_max;
    most = most == WEIR_NONE ? 0 : most;
    if (!accounts_wait(upstream->accounts, wish, most, &transit->wants)) {
        return false;
    }
    transit_get_in_line(transit, &upstream->line, on_turn);
    return true;
}

bool account_choose(struct transit *transit, struct slice path)
{
    transit->except = 0;
    struct accounts_choice choice = {.wait_ms = 0};
    struct accounts_wish wish = wish_of(transit, false);
    enum accounts_result result = take(transit, path, &wish, &choice);
    if (result == ACCOUNTS_TAKEN) {
        hold_to(transit, &choice);
        return true;
    }
    if (result != ACCOUNTS_FULL || !get_in_line(transit, &wish)) {
        refuse(transit, result, &choice);
    }
    return false;
}

static void refuse(struct transit *transit, enum accounts_result result,
                   const struct accounts_choice *choice)
{
    uint32_t retry_ms = choice->wait_ms < UINT32_MAX ? (uint32_t)choice->wait_ms : UINT32_MAX;
    if (result == ACCOUNTS_FULL) {
        transit_refuse(transit, FAULT_ACCOUNTS_FULL, retry_ms);
    } else if (result == ACCOUNTS_COOLING) {
        transit_refuse(transit, FAULT_ACCOUNTS_COOLING, retry_ms);
    } else if (choice->down != 0) {
        transit_refuse_down(transit);
    } else {
        transit_refuse(transit, FAULT_NO_ACCOUNT, 0);
    }
}

static void on_turn(struct waiter *wait, bool is_late)
{
    struct transit *transit = container_of(wait, struct transit, wait);
    struct http_head *head = held_head(&transit->held);
    struct accounts_choice choice = {.wait_ms = 0};
    struct accounts_wish wish = wish_of(transit, true);
    enum accounts_result result = take(transit, head->path, &wish, &choice);
    if (result == ACCOUNTS_FULL && !is_late) {
        return;
    }
    transit_leave_account(transit);
    if (result == ACCOUNTS_TAKEN) {
        hold_to(transit, &choice);
        transit_go(transit, head);
    } else {
        refuse(transit, result, &choice);
    }
}

void account_sign(struct transit *transit, struct http_head *head)
{
    uint32_t count;
    const struct http_field *fields = accounts_fields(transit->upstream->accounts, transit->account,
                                                      &count);
    forward_sign(&transit->lane->relay->forward, fields, count, head);
}

/* --- the answer ----------------------------------------------------------------------------------
 */

/* Who asked, as far as an upstream that forbids something may mean them: a conversation, else what
 * the client showed, else where it is. */
static uint64_t client_of(struct transit *transit)
{
    if (transit->has_session) {
        return transit->session.hash;
    }
    uint64_t client = client_hash(transit, held_head(&transit->held));
    return client != 0 ? client : XXH3_64bits(transit->ex->peer->address, 16);
}

static enum cooldown_reason judge(struct transit *transit, const struct http_head *head)
{
    struct cooldown_answer answer = {.status = head->status, .family = {"", 0}};
    if (head->status == 429 || head->status >= 500) {
        struct rate_limit limit;
        rate_limit_read(head, clock_wall_ms(), &limit);
        answer.has_reset = limit.has_reset;
        answer.reset_ms = limit.reset_ms;
        answer.has_retry_after = limit.has_retry_after;
        answer.retry_after_ms = limit.retry_after_ms;
        answer.family = limit.family;
    } else if (head->status == 403) {
        answer.client = client_of(transit);
    }
    uint64_t now_ms = loop_now_ms(transit->lane->relay->opt.loop);
    enum cooldown_reason reason = accounts_answer(transit->upstream->accounts, transit->account,
                                                  &answer, now_ms);
    if (reason != COOLDOWN_NONE) {
        account_news_look(&transit->upstream->news);
    }
    return reason;
}

/* 429, 503 and 529 mean that it was not accepted; a 429 that does not say until when is the
 * client's to hear. What a 502 did nobody knows. */
static bool may_move(const struct transit *transit, uint16_t status, enum cooldown_reason reason)
{
    switch (status) {
    case 429: return reason != COOLDOWN_NONE;
    case 503:
    case 529: return true;
    case 502: return transit->harmless;
    default: return false;
    }
}

bool account_answered(struct transit *transit, const struct http_head *head)
{
    uint16_t status = head->status;
    if (transit->call->is_fault) {
        return transit->call->refused && move_on(transit, &transit->series->retries_connect);
    }
    enum cooldown_reason reason = judge(transit, head);
    if (!may_move(transit, status, reason)) {
        return false;
    }
    uint32_t endpoint = transit->endpoint;
    if (!move_on(transit, &transit->series->retries_code)) {
        return false;
    }
    upstream_judge(transit->upstream, endpoint, status < 500);
    return true;
}

bool account_failed(struct transit *transit, uint64_t *counter)
{
    bool is_moved = transit->upstream->accounts != NULL && transit->status == 0
                    && move_on(transit, counter);
    if (is_moved && transit->affinity == AFFINITY_COOLDOWN) {
        transit->affinity = AFFINITY_DOWN;
    }
    return is_moved;
}

/* False: it stays with the account that it has. */
static bool move_on(struct transit *transit, uint64_t *counter)
{
    struct accounts *accounts = transit->upstream->accounts;
    struct accounts_choice choice = {.wait_ms = 0};
    uint64_t own = UINT64_C(1) << transit->account;
    struct accounts_wish wish = wish_of(transit, true);
    wish.except |= own;
    if (!transit->request_ended || !transit->body_held || transit->tries >= REPLAY_TRIES_MAX
        || take(transit, held_head(&transit->held)->path, &wish, &choice) != ACCOUNTS_TAKEN) {
        return false;
    }
    if (!transit_again(transit, counter, false)) {
        upstream_give_account(transit->upstream, choice.index);
        return false;
    }
    if (transit->call != NULL) {
        weir_fate fate = transit->call->shared ? WEIR_KEEP : WEIR_RETIRE;
        transit->call->ops->cancel(transit->call);
        transit_give_back(transit, fate, WEIR_OK);
    }
    accounts_given_up(accounts, transit->account);
    transit->except |= own;
    transit_leave_account(transit);
    hold_to(transit, &choice);
    transit->over_http1 = false;
    transit_ask(transit, 0);
    return true;
}
