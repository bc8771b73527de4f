/* SPDX-License-Identifier: Apache-2.0
 *
 * On epoll, level-triggered. What a turn costs besides the sockets' own reads and writes is one
 * epoll_wait() and one clock reading: deadlines are its time-out, so that timers need no system
 * call, and a watch is registered for as long as it wants anything.
 *
 * A watch that was closed may still be named by the batch at hand: it wants nothing then, and dies
 * when the turn ends.
 */
#include "io/loop.h"

#include "base/check.h"
#include "base/fetch.h"
#include "io/arrival.h"
#include "io/clock.h"
#include "io/loop_guest.h"
#include "io/watch.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MS      8U
#define BATCH_MAX    128 /* events of one poll: with what they bring, a turn is to stay below 1 ms */
#define BUFFER_BYTES ((size_t)64 * 1024)
#define KEPT_MAX     (192UL * 1024) /* of the read buffer, in front of a read's own room */
#define KEPT_ALIGN   64UL           /* a line of the cache */

struct cell {
    struct cell *next;
};

/* Its cells follow, aligned. */
struct slab {
    struct slab *next;
};
#define SLAB_CELLS 64U
#define SLAB_BYTES (sizeof(struct slab) + (size_t)(SLAB_CELLS + 1) * LOOP_CELL_BYTES)

struct loop {
    int epoll;
    bool happened; /* the hooks are to run */
    bool stopping;
    bool turning;            /* between the poll and the end of the turn */
    bool ringing;            /* inside on_bell(): freed wakes stay until its end */
    uint64_t now_ms, now_ns; /* of one reading */
    uint64_t ticked_ms;      /* what the hooks were told last */
    uint64_t hooks_ms;       /* the hooks' earliest deadline */
    struct loop_hook *hooks, *hook_next, *hook_running;
    struct list laters;
    struct watch *closed; /* until the turn ends */
    struct cell *spare;
    struct slab *slabs;

    const struct alloc *alloc;
    unsigned char *buffer; /* what is kept, then room for a read */
    size_t buffer_bytes;
    size_t kept_bytes;
    unsigned kept; /* how many have asked for it */
    struct clock_date date;
    struct list wakes;
    struct watch bell; /* the wakes' eventfd */
    /* Its own thread need not ring the bell, but where it is about to sleep. */
    _Atomic pthread_t thread; /* that turned it last */
    _Atomic bool is_awake;    /* but for the poll */
    _Atomic bool is_rung;     /* without the bell */
    struct loop_guest *guest;

    struct arrivals arrivals;
    struct epoll_event batch[BATCH_MAX];
    struct wheel wheel;
};

struct loop_wake {
    struct node node; /* on loop->wakes */
    struct loop *loop;
    void (*fn)(void *self); /* NULL: freed */
    void *self;
    _Atomic bool sent;
};

static void on_bell(struct watch *watch, unsigned events);
static void hear_wakes(struct loop *loop);
static void run_laters(struct loop *loop);
static int turn(struct loop *loop, int wait);
static void turn_end(struct loop *loop);

/* --- life ---------------------------------------------------------------------------------------
 */

static void read_clock(struct loop *loop)
{
    loop->now_ns = clock_now_ns();
    loop->now_ms = loop->now_ns / 1000000;
}

static int open_all(struct loop *loop, void *uv_loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        return -errno;
    }
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell < 0) {
        return -errno;
    }
    watch_init(&loop->bell, loop, bell, on_bell);
    watch_want(&loop->bell, STREAM_READ);
    return uv_loop != NULL ? loop_guest_new(loop, uv_loop, &loop->guest) : 0;
}

static void dispose(struct loop *loop)
{
    while (loop->slabs != NULL) {
        struct slab *slab = loop->slabs;
        loop->slabs = slab->next;
        ASAN_UNPOISON_MEMORY_REGION(slab, SLAB_BYTES);
        alloc_free(loop->alloc, slab);
    }
    if (loop->bell.fd >= 0) {
        close(loop->bell.fd);
    }
    if (loop->epoll >= 0) {
        close(loop->epoll);
    }
    alloc_free(loop->alloc, loop->buffer);
    alloc_free(loop->alloc, loop);
}

int loop_new(const struct loop_options *opt, struct loop **ret_loop)
{
    static const struct loop_options defaults;
    opt = opt != NULL ? opt : &defaults;
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : &alloc_libc;
    struct loop *loop = alloc_zeroed(alloc, sizeof *loop);
    if (loop == NULL) {
        return -ENOMEM;
    }
    loop->alloc = alloc;
    loop->epoll = loop->bell.fd = -1;
    read_clock(loop);
    loop->hooks_ms = UINT64_MAX;
    list_init(&loop->laters);
    arrivals_init(&loop->arrivals, alloc);
    list_init(&loop->wakes);
    wheel_init(&loop->wheel, TICK_MS, loop->now_ms);
    loop->buffer_bytes = opt->read_buffer_bytes > 0 ? opt->read_buffer_bytes : BUFFER_BYTES;
    loop->buffer = alloc_new(alloc, KEPT_MAX + loop->buffer_bytes);
    int error = loop->buffer != NULL ? open_all(loop, opt->uv_loop) : -ENOMEM;
    if (error != 0) {
        dispose(loop);
        return error;
    }
    *ret_loop = loop;
    return 0;
}

static void let_go(struct loop *loop)
{
    while (loop->closed != NULL) {
        struct watch *watch = loop->closed;
        loop->closed = watch->next_closed;
        watch->gone(watch);
    }
}

static void reap_wakes(struct loop *loop)
{
    weir_list_each_safe(node, &loop->wakes) {
        struct loop_wake *wake = container_of(node, struct loop_wake, node);
        if (wake->fn == NULL) {
            list_remove(&loop->wakes, node);
            alloc_free(loop->alloc, wake);
        }
    }
}

void loop_free(struct loop *loop)
{
    let_go(loop);
    arrivals_fini(&loop->arrivals);
    check(loop->hooks == NULL && loop->wheel.count == 0 && loop->wakes.count == 0);
    if (loop->guest != NULL) {
        loop_guest_free(loop->guest);
    }
    dispose(loop);
}

/* --- running ------------------------------------------------------------------------------------
 */

int loop_run(struct loop *loop)
{
    int error = 0;
    read_clock(loop);
    while (error == 0 && !loop->stopping) {
        error = turn(loop, -1);
    }
    loop->stopping = false;
    return error;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
}

/* Something was said outside of any callback, or during a turn's end. */
static bool is_pending(const struct loop *loop)
{
    return loop->happened || loop->laters.count > 0
           || atomic_load_explicit(&loop->is_rung, memory_order_relaxed)
           || arrivals_are_wanted(&loop->arrivals);
}

static int wait_ms(const struct loop *loop, uint64_t now_ms)
{
    if (is_pending(loop)) {
        return 0;
    }
    uint64_t next_ms = wheel_next(&loop->wheel);
    next_ms = loop->hooks_ms < next_ms ? loop->hooks_ms : next_ms;
    if (next_ms == UINT64_MAX) {
        return -1;
    }
    uint64_t wait_ms = next_ms > now_ms ? next_ms - now_ms : 0;
    return wait_ms < INT_MAX ? (int)wait_ms : INT_MAX;
}

/* What was put off is done after so many events: it is not to wait for a long batch. */
#define GROUP 32
_Static_assert(GROUP <= ARRIVALS_MAX, "a group's arrivals have a place");

#define AHEAD_WATCHES 8 /* so far ahead of the event at hand a watch is brought into the cache, */
#define AHEAD_OWNERS  4 /* and so far what its owner will touch */

static void fetch_watch(const struct loop *loop, int at, int count)
{
    if (at < count) {
        fetch(loop->batch[at].data.ptr, sizeof(struct watch));
    }
}

static void fetch_owner(const struct loop *loop, int at, int count)
{
    if (at < count) {
        const struct watch *watch = loop->batch[at].data.ptr;
        if (!watch->closed && watch->ahead != NULL) {
            fetch(*watch->ahead, WATCH_AHEAD_BYTES);
        }
    }
}

/* For sockets with data, and nothing else to say. What came lies one behind the other. */
static void receive_ahead(struct loop *loop, int from, int to)
{
    for (int i = from; i < to && KEPT_MAX - loop->kept_bytes >= ARRIVAL_BYTES; i++) {
        struct watch *watch = loop->batch[i].data.ptr;
        bool is_apt = watch->is_eager && !watch->is_bulk && !watch->has_arrived;
        if (!is_apt || loop->batch[i].events != EPOLLIN || (watch->wants & STREAM_READ) == 0) {
            continue;
        }
        char *room = (char *)loop->buffer + loop->kept_bytes;
        size_t came = arrivals_receive(&loop->arrivals, watch, i, room);
        loop->kept_bytes += (came + KEPT_ALIGN - 1) & ~(KEPT_ALIGN - 1);
    }
}

/* An earlier callback of the batch may have closed the watch, or taken its interest away. */
static void hear(struct watch *watch, uint32_t events)
{
    unsigned wants = watch->wants;
    unsigned ready = (events & EPOLLIN ? STREAM_READ : 0) | (events & EPOLLOUT ? STREAM_WRITE : 0)
                     | (events & EPOLLRDHUP ? STREAM_HANGUP : 0);
    ready &= wants;
    if (events & (EPOLLERR | EPOLLHUP) && wants != 0) {
        ready = wants | STREAM_READ;
    }
    if (ready != 0) {
        watch->on_ready(watch, ready);
    }
}

/* Arrivals are in the order of the events. */
static void hear_group(struct loop *loop, int from, int to, int count)
{
    struct arrivals *arrivals = &loop->arrivals;
    unsigned next = 0;
    for (int i = from; i < to; i++) {
        struct watch *watch = loop->batch[i].data.ptr;
        fetch_watch(loop, i + AHEAD_WATCHES, count);
        fetch_owner(loop, i + AHEAD_OWNERS, count);
        if (next < arrivals->count && arrivals->group[next].event == i) {
            arrivals->at_hand = &arrivals->group[next++];
        }
        hear(watch, loop->batch[i].events);
        arrivals->at_hand = NULL;
    }
}

static void dispatch(struct loop *loop, int count)
{
    for (int i = 0; i < AHEAD_WATCHES; i++) {
        fetch_watch(loop, i, count);
    }
    for (int i = 0; i < AHEAD_OWNERS; i++) {
        fetch_owner(loop, i, count);
    }
    for (int from = 0; from < count; from += GROUP) {
        int to = count - from < GROUP ? count : from + GROUP;
        loop->kept++;
        receive_ahead(loop, from, to);
        hear_group(loop, from, to, count);
        arrivals_settle(&loop->arrivals);
        loop_buffer_let_go(loop);
        if (to - from == GROUP) {
            run_laters(loop);
        }
    }
}

/* A hook may remove any hook, itself too. */
static void tick_hooks(struct loop *loop)
{
    if (loop->now_ms == loop->ticked_ms) {
        return;
    }
    loop->ticked_ms = loop->now_ms;
    for (struct loop_hook *hook = loop->hooks; hook != NULL; hook = loop->hook_next) {
        loop->hook_next = hook->next;
        if (hook->tick != NULL) {
            hook->tick(hook->self, loop->now_ms);
        }
    }
}

/* What a signal's handler says on this thread is heard either way: before, it is found here; from
 * then on it rings the bell. */
static int sleep_for(struct loop *loop, int wait)
{
    atomic_store_explicit(&loop->is_awake, false, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    int due = wait_ms(loop, loop->now_ms);
    wait = due >= 0 && (wait < 0 || due < wait) ? due : wait;
    int count = epoll_wait(loop->epoll, loop->batch, BATCH_MAX, wait);
    atomic_store_explicit(&loop->thread, pthread_self(), memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&loop->is_awake, true, memory_order_relaxed);
    return count;
}

/* A wait that a signal ended is a turn in which nothing happened. */
static int turn(struct loop *loop, int wait)
{
    int count = sleep_for(loop, wait);
    if (count < 0 && errno != EINTR) {
        return -errno;
    }
    read_clock(loop);
    loop->turning = true;
    tick_hooks(loop);
    if (atomic_load_explicit(&loop->is_rung, memory_order_relaxed)) {
        loop->happened = true;
        hear_wakes(loop);
    }
    if (loop->arrivals.left.count > 0) {
        loop->happened = true;
        arrivals_tell(&loop->arrivals);
    }
    if (count > 0) {
        loop->happened = true;
        dispatch(loop, count);
    }
    turn_end(loop);
    loop->turning = false;
    return 0;
}

bool loop_is_turning(const struct loop *loop)
{
    return loop->turning;
}

int loop_turn(struct loop *loop, int timeout_ms)
{
    read_clock(loop); /* who knows what was done in the meantime */
    return turn(loop, timeout_ms);
}

int loop_fd(const struct loop *loop)
{
    return loop->epoll;
}

int loop_timeout_ms(const struct loop *loop)
{
    return wait_ms(loop, clock_now_ms());
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_turn_ns(const struct loop *loop)
{
    return loop->now_ns;
}

uint64_t loop_now_ns(const struct loop *loop)
{
    (void)loop;
    return clock_now_ns();
}

void *loop_buffer(struct loop *loop, size_t *ret_cap)
{
    *ret_cap = loop->buffer_bytes;
    return loop->buffer + loop->kept_bytes;
}

void *loop_inbox(struct loop *loop, size_t *ret_cap)
{
    const struct arrival *arrival = loop->arrivals.at_hand;
    if (arrival == NULL || arrival->got <= 0) {
        return loop_buffer(loop, ret_cap);
    }
    *ret_cap = (size_t)arrival->got;
    return arrival->at;
}

bool loop_buffer_keep(struct loop *loop, const void *data, size_t len)
{
    uintptr_t from = (uintptr_t)loop->buffer;
    uintptr_t at = (uintptr_t)data;
    if (at < from || at - from > KEPT_MAX || len > KEPT_MAX - (at - from)) {
        return false;
    }
    size_t end = (at - from + len + KEPT_ALIGN - 1) & ~(KEPT_ALIGN - 1);
    loop->kept_bytes = end > loop->kept_bytes ? end : loop->kept_bytes;
    loop->kept++;
    return true;
}

void loop_buffer_let_go(struct loop *loop)
{
    check(loop->kept > 0);
    if (--loop->kept == 0) {
        loop->kept_bytes = 0;
    }
}

const struct alloc *loop_alloc(const struct loop *loop)
{
    return loop->alloc;
}

const char *loop_http_date(struct loop *loop)
{
    return clock_date_at(&loop->date, loop->now_ms);
}

/* --- a turn's end -------------------------------------------------------------------------------
 */

static void fire(struct wheel_node *node, void *arg)
{
    struct loop *loop = arg;
    struct loop_timer *timer = container_of(node, struct loop_timer, node);
    loop->happened = true;
    timer->fire(timer, loop->now_ms);
}

static void run_laters(struct loop *loop)
{
    /* Those put off while running wait for the next round: nobody can hold the turn forever. */
    for (uint32_t rest = loop->laters.count; rest > 0 && loop->laters.count > 0; rest--) {
        struct node *node = list_pop_front(&loop->laters);
        struct loop_later *later = container_of(node, struct loop_later, node);
        loop->happened = true;
        later->run(later);
    }
}

/* A hook may remove any hook, itself too. */
static void run_hooks(struct loop *loop)
{
    bool due = loop->happened;
    loop->happened = false;
    loop->hooks_ms = UINT64_MAX;
    for (struct loop_hook *hook = loop->hooks; hook != NULL; hook = loop->hook_next) {
        loop->hook_next = hook->next;
        if (due || hook->deadline_ms <= loop->now_ms) {
            due = true; /* something happened: for those behind it */
            loop->hook_running = hook;
            uint64_t deadline_ms = hook->run(hook->self, loop->now_ms);
            if (loop->hook_running == NULL) {
                continue;
            }
            hook->deadline_ms = deadline_ms;
        }
        loop->hooks_ms = hook->deadline_ms < loop->hooks_ms ? hook->deadline_ms : loop->hooks_ms;
    }
    loop->hook_running = NULL;
}

static void turn_end(struct loop *loop)
{
    if (wheel_next(&loop->wheel) <= loop->now_ms) {
        wheel_run(&loop->wheel, loop->now_ms, fire, loop);
    }
    run_laters(loop);
    if (loop->happened || loop->hooks_ms <= loop->now_ms) {
        run_hooks(loop);
        run_laters(loop);
    }
    let_go(loop);
}

/* --- timers, laters, hooks ----------------------------------------------------------------------
 */

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t deadline_ms)
{
    wheel_set(&loop->wheel, &timer->node, deadline_ms);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    wheel_clear(&loop->wheel, &timer->node);
}

void loop_later(struct loop *loop, struct loop_later *later)
{
    if (!list_holds(&later->node)) {
        list_push_back(&loop->laters, &later->node);
    }
}

void loop_later_cancel(struct loop *loop, struct loop_later *later)
{
    if (list_holds(&later->node)) {
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

int loop_wake_new(struct loop *loop, void (*fn)(void *self), void *self,
                  struct loop_wake **ret_wake)
{
    struct loop_wake *wake = alloc_zeroed(loop->alloc, sizeof *wake);
    if (wake == NULL) {
        return -ENOMEM;
    }
    wake->loop = loop;
    wake->fn = fn;
    wake->self = self;
    list_push_back(&loop->wakes, &wake->node);
    *ret_wake = wake;
    return 0;
}

static void ring(struct loop *loop)
{
    uint64_t one = 1;
    int before = errno;
    ssize_t said;
    do {
        said = write(loop->bell.fd, &one, sizeof one);
    } while (said < 0 && errno == EINTR); /* and a full counter rings already */
    errno = before;
}

/* On the loop's own thread, which will look before it sleeps. */
static bool is_awake_here(struct loop *loop)
{
    return atomic_load_explicit(&loop->is_awake, memory_order_relaxed)
           && pthread_equal(atomic_load_explicit(&loop->thread, memory_order_relaxed),
                            pthread_self());
}

/* The first sender since it was last heard rings; what others did before sending is seen, too. */
void loop_wake_send(struct loop_wake *wake)
{
    if (atomic_exchange(&wake->sent, true)) {
        return;
    }
    if (is_awake_here(wake->loop)) {
        atomic_store_explicit(&wake->loop->is_rung, true, memory_order_relaxed);
    } else {
        ring(wake->loop);
    }
}

void loop_wake_free(struct loop_wake *wake)
{
    wake->fn = NULL;
    if (!wake->loop->ringing) {
        reap_wakes(wake->loop);
    }
}

static void on_bell(struct watch *watch, unsigned events)
{
    uint64_t rings;
    ssize_t got = read(watch->fd, &rings, sizeof rings);
    (void)got;
    (void)events;
    hear_wakes(watch->loop);
}

static void hear_wakes(struct loop *loop)
{
    atomic_store(&loop->is_rung, false);
    loop->ringing = true;
    weir_list_each(node, &loop->wakes) {
        struct loop_wake *wake = container_of(node, struct loop_wake, node);
        if (atomic_load_explicit(&wake->sent, memory_order_relaxed)
            && atomic_exchange(&wake->sent, false) && wake->fn != NULL) {
            wake->fn(wake->self);
        }
    }
    loop->ringing = false;
    reap_wakes(loop);
}

/* --- watches (watch.h) --------------------------------------------------------------------------
 */

void watch_change(struct watch *watch, unsigned events)
{
    struct epoll_event event = {.events = (events & STREAM_READ ? EPOLLIN : 0)
                                          | (events & STREAM_WRITE ? EPOLLOUT : 0)
                                          | (events & STREAM_HANGUP ? EPOLLRDHUP : 0),
                                .data.ptr = watch};
    int operation = watch->wants == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    check(!watch->closed);
    if (watch->is_shared && operation == EPOLL_CTL_ADD) {
        event.events |= EPOLLEXCLUSIVE;
    }
    if (epoll_ctl(watch->loop->epoll, operation, watch->fd, &event) == 0) {
        watch->wants = (uint8_t)events;
    }
}

ssize_t loop_arrival_read(struct watch *watch, void *buf, size_t cap)
{
    return arrivals_read(&watch->loop->arrivals, watch, buf, cap);
}

ssize_t loop_arrival_peek(const struct watch *watch, void *buf, size_t cap)
{
    return arrivals_peek(&watch->loop->arrivals, watch, buf, cap);
}

void watch_close(struct watch *watch, void (*gone)(struct watch *watch))
{
    if (watch->has_arrived) {
        arrivals_drop(&watch->loop->arrivals, watch);
    }
    watch_want(watch, 0);
    watch->wants = 0;
    watch->closed = true;
    watch->gone = gone;
    watch->next_closed = watch->loop->closed;
    watch->loop->closed = watch;
}

static bool slab_add(struct loop *loop)
{
    struct slab *slab = alloc_new(loop->alloc, SLAB_BYTES);
    if (slab == NULL) {
        return false;
    }
    slab->next = loop->slabs;
    loop->slabs = slab;
    uintptr_t first = ((uintptr_t)(slab + 1) + LOOP_CELL_BYTES - 1)
                      & ~(uintptr_t)(LOOP_CELL_BYTES - 1);
    for (uint32_t i = 0; i < SLAB_CELLS; i++) {
        loop_cell_give(loop, (void *)(first + (uintptr_t)(SLAB_CELLS - 1 - i) * LOOP_CELL_BYTES));
    }
    return true;
}

bool loop_cell_ready(struct loop *loop)
{
    return loop->spare != NULL || slab_add(loop);
}

void *loop_cell_take(struct loop *loop)
{
    if (!loop_cell_ready(loop)) {
        return NULL;
    }
    struct cell *cell = loop->spare;
    ASAN_UNPOISON_MEMORY_REGION(cell, LOOP_CELL_BYTES);
    loop->spare = cell->next;
    return cell;
}

void loop_cell_give(struct loop *loop, void *cell)
{
    struct cell *given = cell;
    given->next = loop->spare;
    loop->spare = given;
    ASAN_POISON_MEMORY_REGION(cell, LOOP_CELL_BYTES);
}
