/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wait_line.h"

#include "base/check.h"

/* Everybody once: who joins meanwhile stands at the end, and leaving moves nobody else. */
static void look(struct loop_timer *timer, uint64_t now_ms)
{
    struct wait_line *line = container_of(timer, struct wait_line, timer);
    uint32_t count = line->waiting.count;
    while (count-- > 0 && !list_is_empty(&line->waiting)) {
        struct node *node = list_pop_front(&line->waiting);
        struct waiter *wait = container_of(node, struct waiter, on_line);
        list_push_back(&line->waiting, node); /* who stays keeps its place: all go round */
        line->turn(wait, now_ms >= wait->until_ms);
    }
    if (!list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, now_ms + WAIT_LINE_LOOK_MS);
    }
}

void wait_line_init(struct wait_line *line, struct loop *loop)
{
    *line = (struct wait_line){.loop = loop, .timer = {.fire = look}};
    list_init(&line->waiting);
}

void wait_line_fini(struct wait_line *line)
{
    check(list_is_empty(&line->waiting));
    loop_timer_stop(line->loop, &line->timer);
}

void wait_line_join(struct wait_line *line, struct waiter *wait, uint64_t until_ms,
                    wait_turn_fn *turn)
{
    wait->until_ms = until_ms;
    line->turn = turn;
    if (list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, loop_now_ms(line->loop) + WAIT_LINE_LOOK_MS);
    }
    list_push_back(&line->waiting, &wait->on_line);
}

void wait_line_leave(struct wait_line *line, struct waiter *wait)
{
    list_remove(&line->waiting, &wait->on_line);
}

void wait_line_wake(struct wait_line *line)
{
    if (!list_is_empty(&line->waiting)) {
        loop_timer_set(line->loop, &line->timer, loop_now_ms(line->loop));
    }
}
