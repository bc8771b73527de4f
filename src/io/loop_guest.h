/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_guest.h - a loop as a guest in a program's own libuv loop: its descriptor is polled there,
 * its deadlines are a timer there, and each becomes a turn here. The one place that knows libuv.
 */
#pragma once
#include "io/loop.h"

struct loop_guest;

/* uv_loop is a uv_loop_t. 0 or -errno. */
int loop_guest_new(struct loop *loop, void *uv_loop, struct loop_guest **ret_guest);

/* The loop is not touched any more; the handles and this memory go when the program's loop next
 * turns. */
void loop_guest_free(struct loop_guest *guest);
