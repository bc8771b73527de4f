/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/account_line.h"

#include "base/check.h"

/* Everybody once: who joins meanwhile stands at the end, and leaving moves nobody else. */
static void look(struct loop_timer *timer, uint64_t now_ms)
{
    struct account_line *line = container_of(timer, struct account_line, timer);
    uint32_t count = line->waiting.count;
    while (count-- > 0 && !list_is_empty(&line->waiting)) {
        struct node *node = list_pop_front(&line->waiting);
        struct account_wait *wait = container_of(node, struct account_wait, on_line);
        list_push_back(&line->waiting, node); /* who stays keeps its place: all go round */
        line->turn(wait, now_ms >= wait->until_ms);
    }
    if (!list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, now_ms + ACCOUNT_LINE_LOOK_MS);
    }
}

void account_line_init(struct account_line *line, struct loop *loop)
{
    *line = (struct account_line){.loop = loop, .timer = {.fire = look}};
    list_init(&line->waiting);
}

void account_line_fini(struct account_line *line)
{
    check(list_is_empty(&line->waiting));
    loop_timer_stop(line->loop, &line->timer);
}

void account_line_join(struct account_line *line, struct account_wait *wait, uint64_t until_ms,
                       account_turn_fn *turn)
{
    wait->until_ms = until_ms;
    line->turn = turn;
    if (list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, loop_now_ms(line->loop) + ACCOUNT_LINE_LOOK_MS);
    }
    list_push_back(&line->waiting, &wait->on_line);
}

void account_line_leave(struct account_line *line, struct account_wait *wait)
{
    list_remove(&line->waiting, &wait->on_line);
}

void account_line_wake(struct account_line *line)
{
    if (!list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, loop_now_ms(line->loop));
    }
}
