/* SPDX-License-Identifier: Apache-2.0
 *
 * prepare runs before libuv polls: there what was said to the loop outside of its turns is done,
 * and the timer set for the loop's next deadline.
 */
#include "io/loop_guest.h"

#include <errno.h>
#include <uv.h>

#define HANDLES 3

struct loop_guest {
    uv_prepare_t prepare;
    uv_timer_t timer;
    uv_poll_t poll;
    struct loop *loop;
    const struct alloc *alloc;
    int open; /* handles */
};

static void on_timer(uv_timer_t *timer)
{
    struct loop_guest *guest = timer->data;
    loop_turn(guest->loop, 0);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop_guest *guest = prepare->data;
    int wait_ms = loop_timeout_ms(guest->loop);
    if (wait_ms == 0) {
        loop_turn(guest->loop, 0);
        wait_ms = loop_timeout_ms(guest->loop);
    }
    if (wait_ms < 0) {
        uv_timer_stop(&guest->timer);
    } else {
        uv_update_time(prepare->loop);
        uv_timer_start(&guest->timer, on_timer, (uint64_t)wait_ms, 0);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop_guest *guest = poll->data;
    (void)status;
    (void)events;
    loop_turn(guest->loop, 0);
}

static void on_closed(uv_handle_t *handle)
{
    struct loop_guest *guest = handle->data;
    if (--guest->open == 0) {
        alloc_free(guest->alloc, guest);
    }
}

int loop_guest_new(struct loop *loop, void *uv_loop, struct loop_guest **ret_guest)
{
    const struct alloc *alloc = loop_alloc(loop);
    struct loop_guest *guest = alloc_zeroed(alloc, sizeof *guest);
    if (guest == NULL) {
        return -ENOMEM;
    }
    int error = uv_poll_init(uv_loop, &guest->poll, loop_fd(loop));
    if (error != 0) {
        alloc_free(alloc, guest);
        return error;
    }
    uv_timer_init(uv_loop, &guest->timer);
    uv_prepare_init(uv_loop, &guest->prepare);
    guest->prepare.data = guest->timer.data = guest->poll.data = guest;
    guest->loop = loop;
    guest->alloc = alloc;
    guest->open = HANDLES;
    uv_poll_start(&guest->poll, UV_READABLE, on_poll);
    uv_prepare_start(&guest->prepare, on_prepare);
    *ret_guest = guest;
    return 0;
}

void loop_guest_free(struct loop_guest *guest)
{
    uv_close((uv_handle_t *)&guest->prepare, on_closed);
    uv_close((uv_handle_t *)&guest->timer, on_closed);
    uv_close((uv_handle_t *)&guest->poll, on_closed);
}
