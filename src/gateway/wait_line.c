/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/wait_line.h"

#include "base/check.h"

static bool is_empty(const struct wait_line *line)
{
    bool is_empty = true;
    for (unsigned i = 0; i < PRIORITIES; i++) {
        is_empty = is_empty && list_is_empty(&line->waiting[i]);
    }
    return is_empty;
}

/* Those who stand there, each once and in their order, whoever of them leaves in another's turn.
 * Who joins meanwhile stands at the end; the count keeps one who leaves and joins again from having
 * turns for ever. */
static void call(struct wait_line *line, struct list *waiting, uint64_t now_ms)
{
    line->next = list_first(waiting);
    for (uint32_t left = waiting->count; left > 0 && line->next != NULL; left--) {
        struct waiter *wait = container_of(line->next, struct waiter, on_line);
        line->next = list_next(line->next);
        line->turn(wait, now_ms >= wait->until_ms);
    }
    line->next = NULL;
}

static void look(struct wait_line *line)
{
    uint64_t now_ms = loop_now_ms(line->loop);
    for (unsigned i = PRIORITIES; i-- > 0;) {
        call(line, &line->waiting[i], now_ms);
    }
    if (!is_empty(line)) {
        loop_timer_set(line->loop, &line->timer, now_ms + WAIT_LINE_LOOK_MS);
    }
}

static void look_in_time(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    look(container_of(timer, struct wait_line, timer));
}

static void look_later(struct loop_later *later)
{
    look(container_of(later, struct wait_line, later));
}

/* A request has ended on another worker. */
static void called(struct worker_note *note)
{
    look(container_of(note, struct wait_line, note));
}

void wait_hall_init(struct wait_hall *hall)
{
    pthread_mutex_init(&hall->mutex, NULL);
    list_init(&hall->lines);
    atomic_init(&hall->waiting, 0);
}

void wait_hall_fini(struct wait_hall *hall)
{
    check(list_is_empty(&hall->lines));
    pthread_mutex_destroy(&hall->mutex);
}

void wait_line_init(struct wait_line *line, struct loop *loop, struct wait_hall *hall)
{
    *line = (struct wait_line){.hall = hall,
                               .note = {.run = called},
                               .loop = loop,
                               .timer = {.fire = look_in_time},
                               .later = {.run = look_later}};
    for (unsigned i = 0; i < PRIORITIES; i++) {
        list_init(&line->waiting[i]);
    }
    pthread_mutex_lock(&hall->mutex);
    list_push_back(&hall->lines, &line->in_hall);
    pthread_mutex_unlock(&hall->mutex);
}

static void leave_hall(struct wait_line *line)
{
    pthread_mutex_lock(&line->hall->mutex);
    if (list_holds(&line->in_hall)) {
        list_remove(&line->hall->lines, &line->in_hall);
    }
    pthread_mutex_unlock(&line->hall->mutex);
}

/* Notes are written with the hall's mutex held. */
bool wait_line_quit(struct wait_line *line)
{
    check(is_empty(line));
    leave_hall(line);
    return !atomic_load(&line->note.written);
}

void wait_line_fini(struct wait_line *line)
{
    check(is_empty(line));
    leave_hall(line);
    loop_later_cancel(line->loop, &line->later);
    loop_timer_stop(line->loop, &line->timer);
}

void wait_line_join(struct wait_line *line, struct waiter *wait, uint64_t until_ms,
                    wait_turn_fn *turn)
{
    wait->until_ms = until_ms;
    line->turn = turn;
    atomic_store(&line->worker, worker_here());
    if (is_empty(line)) {
        loop_timer_set(line->loop, &line->timer, loop_now_ms(line->loop) + WAIT_LINE_LOOK_MS);
    }
    list_push_back(&line->waiting[wait->priority], &wait->on_line);
    atomic_fetch_add(&line->counts[wait->priority], 1);
    atomic_fetch_add(&line->hall->waiting, 1);
}

void wait_line_leave(struct wait_line *line, struct waiter *wait)
{
    if (line->next == &wait->on_line) {
        line->next = list_next(&wait->on_line);
    }
    list_remove(&line->waiting[wait->priority], &wait->on_line);
    atomic_fetch_sub(&line->counts[wait->priority], 1);
    atomic_fetch_sub(&line->hall->waiting, 1);
}

/* Locked. NULL: nobody waits any more. */
static struct wait_line *next_of(struct wait_hall *hall)
{
    for (unsigned i = PRIORITIES; i-- > 0;) {
        for (struct node *it = list_first(&hall->lines); it != NULL; it = list_next(it)) {
            struct wait_line *line = container_of(it, struct wait_line, in_hall);
            if (atomic_load(&line->counts[i]) > 0) {
                return line;
            }
        }
    }
    return NULL;
}

void wait_hall_call(struct wait_hall *hall)
{
    pthread_mutex_lock(&hall->mutex);
    for (struct node *it = list_first(&hall->lines); it != NULL; it = list_next(it)) {
        struct wait_line *line = container_of(it, struct wait_line, in_hall);
        struct worker *worker = atomic_load(&line->worker);
        if (worker != NULL) { /* it has been joined; who is called in vain stays */
            worker_note(worker, &line->note);
        }
    }
    pthread_mutex_unlock(&hall->mutex);
}

void wait_line_wake(struct wait_line *line)
{
    struct wait_hall *hall = line->hall;
    if (atomic_load(&hall->waiting) == 0) {
        return;
    }
    pthread_mutex_lock(&hall->mutex);
    struct wait_line *next = next_of(hall);
    if (next != NULL) {
        list_move_back(&hall->lines, &hall->lines, &next->in_hall);
    }
    struct worker *worker = next != NULL ? atomic_load(&next->worker) : NULL;
    if (next == line) {
        loop_later(line->loop, &line->later);
    } else if (worker != NULL) {
        worker_note(worker, &next->note);
    }
    pthread_mutex_unlock(&hall->mutex);
}
