/* SPDX-License-Identifier: Apache-2.0
 *
 * signal.h - signals as callbacks on a loop.
 *
 * By signalfd: the signals are blocked in the calling thread, and threads that it starts inherit
 * that. So open it before starting any, and signal_reset() before exec in a child.
 */
#pragma once
#include "io/loop.h"

struct signal_watch;

/* 0 or -errno. The numbers are a list that ends with 0. */
int signal_open(struct loop *loop, const int *numbers, void (*fn)(void *self, int number),
                void *self, struct signal_watch **ret_watch);
/* Unblocks what it blocked. */
void signal_close(struct signal_watch *signals);

/* Unblocks everything: in a child between fork and exec. */
void signal_reset(void);
