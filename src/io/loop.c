/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside libuv an iteration is: timers, prepare, poll, check, closing. A turn of ours ends in
 * whichever of them is the last to make anything happen: check after readiness, the timer when one
 * was due, prepare for what was put off outside of any callback.
 *
 * There is a single uv timer. It is armed for the earliest deadline anyone had; that a deadline was
 * pushed back is found out when it fires, and costs one turn with nothing to do.
 */
#include "io/loop.h"

#include "base/check.h"
#include "io/clock.h"
#include "io/watch.h"

#include <errno.h>
#include <string.h>

#define LOOP_TICK_MS      8U
#define LOOP_BUFFER_BYTES ((size_t)64 * 1024)

struct loop {
    uv_loop_t *uv;
    uv_loop_t own; /* unused in a program's own loop */
    uv_timer_t timer;
    uv_timer_t limit; /* of loop_turn() */
    uv_prepare_t prepare;
    uv_check_t check;
    const struct alloc *alloc;

    uint64_t armed_ms; /* when the timer fires; UINT64_MAX: never */
    bool happened;     /* the hooks are to run */
    bool freed;        /* by loop_free(); waiting for the last handle */
    uint32_t closing;  /* handles that libuv has not let go of */
    struct loop_hook *hooks, *hook_next, *hook_running;
    struct list laters;
    struct clock_date date;

    unsigned char *buffer;
    size_t buffer_bytes;
    struct cell *spare;
    uint32_t spare_count;

    struct wheel wheel;
};

struct loop_wake {
    uv_async_t async;
    struct loop *loop;
    void (*fn)(void *self);
    void *self;
};

struct cell {
    struct cell *next;
};

static void turn_end(struct loop *loop);
static bool is_pending(const struct loop *loop);
static void arm(struct loop *loop, uint64_t deadline_ms);
static void on_timer(uv_timer_t *timer);
static void on_limit(uv_timer_t *timer);
static void on_prepare(uv_prepare_t *prepare);
static void on_check(uv_check_t *check);
static void close_handle(struct loop *loop, uv_handle_t *handle, uv_close_cb gone);
static void let_go(struct loop *loop);
static void dispose(struct loop *loop);

/* --- life --------------------------------------------------------------------------------------
 */

static int start(struct loop *loop, uv_loop_t *uv)
{
    if (uv == NULL) {
        int error = uv_loop_init(&loop->own);
        if (error != 0) {
            return error;
        }
        uv = &loop->own;
    }
    loop->uv = uv;
    uv_timer_init(uv, &loop->timer);
    uv_timer_init(uv, &loop->limit);
    uv_prepare_init(uv, &loop->prepare);
    uv_check_init(uv, &loop->check);
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    loop->timer.data = loop->limit.data = loop->prepare.data = loop->check.data = loop;
    uv_update_time(uv);
    wheel_init(&loop->wheel, LOOP_TICK_MS, uv_now(uv));
    return 0;
}

int loop_new(const struct loop_options *opt, struct loop **ret_loop)
{
    const struct alloc *alloc = opt != NULL && opt->alloc != NULL ? opt->alloc : &alloc_libc;
    struct loop *loop = alloc_zeroed(alloc, sizeof *loop);
    if (loop == NULL) {
        return -ENOMEM;
    }
    loop->alloc = alloc;
    loop->armed_ms = UINT64_MAX;
    loop->buffer_bytes = opt != NULL && opt->read_buffer_bytes > 0 ? opt->read_buffer_bytes
                                                                   : LOOP_BUFFER_BYTES;
    loop->buffer = alloc_new(alloc, loop->buffer_bytes);
    list_init(&loop->laters);
    int error = loop->buffer != NULL ? start(loop, opt != NULL ? opt->uv_loop : NULL) : -ENOMEM;
    if (error != 0) {
        alloc_free(alloc, loop->buffer);
        alloc_free(alloc, loop);
        return error;
    }
    *ret_loop = loop;
    return 0;
}

static void on_own_gone(uv_handle_t *handle)
{
    let_go(handle->data);
}

void loop_free(struct loop *loop)
{
    check(!loop->freed && loop->hooks == NULL && loop->wheel.count == 0);

    loop->freed = true;
    close_handle(loop, (uv_handle_t *)&loop->timer, on_own_gone);
    close_handle(loop, (uv_handle_t *)&loop->limit, on_own_gone);
    close_handle(loop, (uv_handle_t *)&loop->prepare, on_own_gone);
    close_handle(loop, (uv_handle_t *)&loop->check, on_own_gone);
    if (loop->uv == &loop->own) {
        uv_run(&loop->own, UV_RUN_DEFAULT);
        check(loop->closing == 0);
        check(uv_loop_close(&loop->own) == 0); /* a stream or wake was left open */
        dispose(loop);
    }
}

static void dispose(struct loop *loop)
{
    while (loop->spare != NULL) {
        struct cell *cell = loop->spare;
        loop->spare = cell->next;
        alloc_free(loop->alloc, cell);
    }
    alloc_free(loop->alloc, loop->buffer);
    alloc_free(loop->alloc, loop);
}

/* libuv closes handles in a later phase of the iteration. In a program's own loop nobody waits for
 * that: the last one to go takes the loop's memory with it. */
static void close_handle(struct loop *loop, uv_handle_t *handle, uv_close_cb gone)
{
    loop->closing++;
    uv_close(handle, gone);
}

static void let_go(struct loop *loop)
{
    check(loop->closing > 0);
    if (--loop->closing == 0 && loop->freed && loop->uv != &loop->own) {
        dispose(loop);
    }
}

/* --- running ------------------------------------------------------------------------------------
 */

int loop_run(struct loop *loop)
{
    uv_run(loop->uv, UV_RUN_DEFAULT);
    return 0;
}

void loop_stop(struct loop *loop)
{
    uv_stop(loop->uv);
}

int loop_turn(struct loop *loop, int timeout_ms)
{
    if (is_pending(loop)) {
        turn_end(loop);
        timeout_ms = 0;
    }
    if (timeout_ms > 0) {
        uv_update_time(loop->uv);
        uv_timer_start(&loop->limit, on_limit, (uint64_t)timeout_ms, 0);
    }
    uv_run(loop->uv, timeout_ms == 0 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    if (timeout_ms > 0) {
        uv_timer_stop(&loop->limit);
    }
    return 0;
}

int loop_fd(const struct loop *loop)
{
    return uv_backend_fd(loop->uv);
}

int loop_timeout_ms(const struct loop *loop)
{
    return is_pending(loop) ? 0 : uv_backend_timeout(loop->uv);
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return uv_now(loop->uv);
}

uint64_t loop_now_ns(const struct loop *loop)
{
    (void)loop;
    return clock_now_ns();
}

void *loop_buffer(struct loop *loop, size_t *ret_cap)
{
    *ret_cap = loop->buffer_bytes;
    return loop->buffer;
}

const struct alloc *loop_alloc(const struct loop *loop)
{
    return loop->alloc;
}

const char *loop_http_date(struct loop *loop)
{
    return clock_date_at(&loop->date, loop_now_ms(loop));
}

/* --- a turn's end -------------------------------------------------------------------------------
 */

static void fire(struct wheel_node *node, void *arg)
{
    struct loop *loop = arg;
    struct loop_timer *timer = container_of(node, struct loop_timer, node);
    loop->happened = true;
    timer->fire(timer, loop_now_ms(loop));
}

static void run_laters(struct loop *loop)
{
    /* Those put off while running wait for the next round: nobody can hold the turn forever. */
    for (uint32_t rest = loop->laters.count; rest > 0 && loop->laters.count > 0; rest--) {
        struct node *node = list_first(&loop->laters);
        struct loop_later *later = container_of(node, struct loop_later, node);
        list_remove(&loop->laters, node);
        loop->happened = true;
        later->run(later);
    }
}

/* Returns the earliest deadline of all. A hook may remove any hook, itself too. */
static uint64_t run_hooks(struct loop *loop, bool due)
{
    uint64_t first_ms = UINT64_MAX;
    uint64_t now_ms = loop_now_ms(loop);
    for (struct loop_hook *hook = loop->hooks; hook != NULL; hook = loop->hook_next) {
        loop->hook_next = hook->next;
        if (due || hook->deadline_ms <= now_ms) {
            loop->hook_running = hook;
            uint64_t deadline_ms = hook->run(hook->self, now_ms);
            if (loop->hook_running == NULL) {
                continue;
            }
            hook->deadline_ms = deadline_ms;
        }
        first_ms = hook->deadline_ms < first_ms ? hook->deadline_ms : first_ms;
    }
    loop->hook_running = NULL;
    return first_ms;
}

static void turn_end(struct loop *loop)
{
    uint64_t now_ms = loop_now_ms(loop);
    if (wheel_next(&loop->wheel) <= now_ms) {
        wheel_run(&loop->wheel, now_ms, fire, loop);
    }
    run_laters(loop);
    bool due = loop->happened;
    loop->happened = false;
    uint64_t next_ms = run_hooks(loop, due);
    run_laters(loop);

    uint64_t timers_ms = wheel_next(&loop->wheel);
    next_ms = timers_ms < next_ms ? timers_ms : next_ms;
    arm(loop, is_pending(loop) ? now_ms : next_ms);
}

/* Something was said outside of any callback, or during a turn's end. */
static bool is_pending(const struct loop *loop)
{
    return loop->happened || loop->laters.count > 0;
}

static void arm(struct loop *loop, uint64_t deadline_ms)
{
    if (deadline_ms >= loop->armed_ms) {
        return;
    }
    uint64_t now_ms = loop_now_ms(loop);
    loop->armed_ms = deadline_ms;
    uv_timer_start(&loop->timer, on_timer, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    loop->armed_ms = UINT64_MAX;
    turn_end(loop);
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer; /* it woke the poll: that is all */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = prepare->data;
    if (is_pending(loop)) {
        turn_end(loop);
    }
}

static void on_check(uv_check_t *check)
{
    struct loop *loop = check->data;
    if (is_pending(loop)) {
        turn_end(loop);
    }
}

/* --- timers, laters, hooks ----------------------------------------------------------------------
 */

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ms)
{
    wheel_set(&loop->wheel, &timer->node, deadline_ms);
    if (deadline_ms < loop->armed_ms) {
        arm(loop, deadline_ms + LOOP_TICK_MS - 1 - (deadline_ms + LOOP_TICK_MS - 1) % LOOP_TICK_MS);
    }
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    wheel_clear(&loop->wheel, &timer->node);
}

void loop_later(struct loop *loop, struct loop_later *later)
{
    if (later->node.home == NULL) {
        list_push_back(&loop->laters, &later->node);
    }
}

void loop_later_cancel(struct loop *loop, struct loop_later *later)
{
    if (later->node.home != NULL) {
        list_remove(&loop->laters, &later->node);
    }
}

void loop_hook_add(struct loop *loop, struct loop_hook *hook)
{
    struct loop_hook **end = &loop->hooks;
    while (*end != NULL) {
        check(*end != hook);
        end = &(*end)->next;
    }
    hook->next = NULL;
    hook->deadline_ms = UINT64_MAX;
    *end = hook;
    loop->happened = true; /* to learn its first deadline */
}

void loop_hook_remove(struct loop *loop, struct loop_hook *hook)
{
    struct loop_hook **at = &loop->hooks;
    while (*at != hook) {
        check(*at != NULL);
        at = &(*at)->next;
    }
    *at = hook->next;
    if (loop->hook_next == hook) {
        loop->hook_next = hook->next;
    }
    if (loop->hook_running == hook) {
        loop->hook_running = NULL;
    }
}

void loop_hook_soon(struct loop *loop, struct loop_hook *hook)
{
    (void)hook; /* all of them run: one step serves everybody */
    loop->happened = true;
}

/* --- wake-ups -----------------------------------------------------------------------------------
 */

static void on_async(uv_async_t *async)
{
    struct loop_wake *wake = async->data;
    wake->loop->happened = true;
    wake->fn(wake->self);
}

int loop_wake_new(struct loop *loop, void (*fn)(void *self), void *self,
                  struct loop_wake **ret_wake)
{
    struct loop_wake *wake = alloc_zeroed(loop->alloc, sizeof *wake);
    if (wake == NULL) {
        return -ENOMEM;
    }
    int error = uv_async_init(loop->uv, &wake->async, on_async);
    if (error != 0) {
        alloc_free(loop->alloc, wake);
        return error;
    }
    *wake = (struct loop_wake){.async = wake->async, .loop = loop, .fn = fn, .self = self};
    wake->async.data = wake;
    *ret_wake = wake;
    return 0;
}

void loop_wake_send(struct loop_wake *wake)
{
    uv_async_send(&wake->async);
}

static void on_wake_gone(uv_handle_t *handle)
{
    struct loop_wake *wake = handle->data;
    struct loop *loop = wake->loop;
    alloc_free(loop->alloc, wake);
    let_go(loop);
}

void loop_wake_free(struct loop_wake *wake)
{
    close_handle(wake->loop, (uv_handle_t *)&wake->async, on_wake_gone);
}

/* --- watches (watch.h) --------------------------------------------------------------------------
 */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *watch = (struct watch *)poll;
    struct loop *loop = poll->data;
    loop->happened = true;
    if (status != 0) { /* POLLERR: libuv stopped looking; the owner's next read tells why */
        events = STREAM_READ | watch->wants;
        watch->wants = 0;
    }
    watch->on_ready(watch, (unsigned)events);
}

int watch_open(struct watch *watch, struct loop *loop, int fd,
               void (*on_ready)(struct watch *watch, unsigned events))
{
    _Static_assert(STREAM_READ == UV_READABLE && STREAM_WRITE == UV_WRITABLE, "same bits");
    _Static_assert(offsetof(struct watch, poll) == 0, "on_poll() casts");
    int error = uv_poll_init(loop->uv, &watch->poll, fd);
    if (error != 0) {
        return error;
    }
    watch->poll.data = loop;
    watch->on_ready = on_ready;
    watch->wants = 0;
    return 0;
}

void watch_want(struct watch *watch, unsigned events)
{
    if (events == watch->wants) {
        return;
    }
    watch->wants = (uint8_t)events;
    if (events == 0) {
        uv_poll_stop(&watch->poll);
    } else {
        check(uv_poll_start(&watch->poll, (int)events, on_poll) == 0);
    }
}

static void on_watch_gone(uv_handle_t *handle)
{
    struct watch *watch = (struct watch *)handle;
    struct loop *loop = handle->data;
    if (watch->gone != NULL) {
        watch->gone(watch);
    }
    let_go(loop);
}

void watch_close(struct watch *watch, void (*gone)(struct watch *watch))
{
    watch->gone = gone;
    close_handle(watch_loop(watch), (uv_handle_t *)&watch->poll, on_watch_gone);
}

void *loop_cell_take(struct loop *loop, size_t size)
{
    struct cell *cell = loop->spare;
    if (cell == NULL) {
        return alloc_new(loop->alloc, size);
    }
    loop->spare = cell->next;
    loop->spare_count--;
    return cell;
}

void loop_cell_give(struct loop *loop, void *memory)
{
    if (loop->spare_count >= LOOP_SPARE_MAX) {
        alloc_free(loop->alloc, memory);
        return;
    }
    struct cell *cell = memory;
    cell->next = loop->spare;
    loop->spare = cell;
    loop->spare_count++;
}
