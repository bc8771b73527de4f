/* SPDX-License-Identifier: Apache-2.0
 *
 * An end has one timer. It is set for the next time to look and mostly finds that something was
 * heard since; so what is heard sets no timer. Looks are spread, so that ends that came together do
 * not ask together.
 */
#include "connector/websocket_live.h"

#define SPREAD_PCT 10U

static uint64_t later(uint64_t from_ms, uint32_t by_ms)
{
    return by_ms == WEIR_NEVER ? UINT64_MAX : from_ms + by_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_blocked(const struct ws_end *end)
{
    return end->live != NULL && outbox_is_blocked(&end->live->out);
}

/* A little before its time, never after: who is asked then has been silent for nearly as long. */
static uint64_t ask_ms(struct ws_end *end)
{
    uint32_t every_ms = end->desk->limits.ping_interval_ms;
    if (every_ms == WEIR_NEVER) {
        return UINT64_MAX;
    }
    uint64_t spread_ms = (uint64_t)every_ms * SPREAD_PCT / 100;
    return end->heard_ms + every_ms - rand_below(&end->desk->jitter, spread_ms + 1);
}

static uint64_t due_ms(struct ws_end *end)
{
    const struct ws_limits *limits = &end->desk->limits;
    uint64_t due = is_blocked(end) ? later(end->live->blocked_ms, limits->write_timeout_ms)
                                   : UINT64_MAX;
    if (end->state != WS_END_OPEN) {
        return earlier(due, later(end->since_ms, limits->close_timeout_ms));
    }
    due = earlier(due, later(end->heard_ms, limits->silence_ms));
    return earlier(due,
                   end->is_asked ? later(end->since_ms, limits->pong_timeout_ms) : ask_ms(end));
}

void ws_end_arm(struct ws_end *end)
{
    uint64_t due = due_ms(end);
    if (due != UINT64_MAX
        && (!loop_timer_is_set(&end->timer) || end->timer.node.deadline_ms > due)) {
        loop_timer_set(end->desk->loop, &end->timer, due);
    }
}

static void ask(struct ws_end *end, uint64_t now_ms)
{
    if (ws_end_ping(end, (struct slice){0}) == WEIR_OK) {
        end->is_asked = true;
        end->since_ms = now_ms;
    } else {
        end->heard_ms = now_ms; /* it takes nothing: that has a time of its own */
    }
}

static void look_open(struct ws_end *end, uint64_t now_ms)
{
    const struct ws_limits *limits = &end->desk->limits;
    if (end->is_asked && now_ms >= later(end->since_ms, limits->pong_timeout_ms)) {
        ws_end_fail(end, WEIR_EPROBE_TIMEOUT, WS_FINE, WS_CODE_ABNORMAL);
    } else if (now_ms >= later(end->heard_ms, limits->silence_ms)) {
        ws_end_fail(end, WEIR_EIDLE, WS_FINE, WS_CODE_ABNORMAL);
    } else if (!end->is_asked) {
        uint64_t every_ms = limits->ping_interval_ms;
        bool is_due = every_ms != WEIR_NEVER
                      && now_ms >= end->heard_ms + every_ms - every_ms * SPREAD_PCT / 100;
        if (is_due) {
            ask(end, now_ms);
        }
    }
}

static void look_ending(struct ws_end *end, uint64_t now_ms)
{
    if (now_ms < later(end->since_ms, end->desk->limits.close_timeout_ms)) {
        return;
    }
    if (end->state >= WS_END_CLOSED) {
        ws_end_gone(end, (weir_err)end->err, end->code);
    } else {
        ws_end_gone(end, WEIR_EREAD_TIMEOUT, WS_CODE_ABNORMAL);
    }
}

void ws_end_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct ws_end *end = container_of(timer, struct ws_end, timer);
    ws_end_resume(end);
    if (end->state == WS_END_GONE) {
        return;
    }
    if (is_blocked(end)
        && now_ms >= later(end->live->blocked_ms, end->desk->limits.write_timeout_ms)) {
        ws_end_gone(end, WEIR_EWRITE_TIMEOUT, WS_CODE_ABNORMAL);
        return;
    }
    if (end->state == WS_END_OPEN) {
        look_open(end, now_ms);
    } else {
        look_ending(end, now_ms);
    }
    if (end->state == WS_END_GONE) {
        return;
    }
    ws_end_flush(end);
    ws_end_settle(end);
    if (end->state != WS_END_GONE) {
        ws_end_arm(end);
    }
}

void ws_end_retime(struct ws_end *end)
{
    if (end->state != WS_END_GONE) {
        ws_end_arm(end);
    }
}

bool ws_end_look(struct ws_end *end)
{
    uint64_t now_ms = loop_now_ms(end->desk->loop);
    uint32_t every_ms = end->desk->limits.ping_interval_ms;
    bool is_silent = every_ms == WEIR_NEVER || now_ms - end->heard_ms >= every_ms / 2;
    if (end->state != WS_END_OPEN || end->is_asked || !is_silent) {
        return false;
    }
    ask(end, now_ms);
    ws_end_arm(end);
    return true;
}
