/* SPDX-License-Identifier: Apache-2.0
 *
 * wait_line.h - requests that wait for an account that is full, or for others of their client to
 * end: on each worker one line for each upstream's accounts, and one for all clients. Those of a
 * higher priority are called first, those of one in the order in which they came.
 *
 * Who waits is called when it may be its turn, and when its time is up; it leaves by itself. The
 * lines for one thing are in a hall: where a request ends, one of those lines with somebody of the
 * highest priority is called, each in its turn. Whatever else may let somebody go on is found by
 * looking through a line as long as there is one.
 */
#pragma once
#include "base/list.h"
#include "gateway/config.h"
#include "io/loop.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WAIT_LINE_LOOK_MS 10U

struct waiter {
    struct node on_line;
    enum config_priority priority;
    uint64_t until_ms;
};

/* Called from the loop. It leaves the line if it is done with waiting; with is_late it does. */
typedef void wait_turn_fn(struct waiter *wait, bool is_late);

/* Shared by all workers. */
struct wait_hall {
    pthread_mutex_t mutex;
    struct list lines; /* who was called last is the last */
    _Atomic uint32_t waiting;
};

void wait_hall_init(struct wait_hall *hall);
void wait_hall_fini(struct wait_hall *hall); /* there are no lines */
/* Something has changed for who waits in any of its lines: they are called. Any thread. */
void wait_hall_call(struct wait_hall *hall);

struct wait_line {
    struct node in_hall;
    struct wait_hall *hall;
    _Atomic(struct worker *) worker; /* NULL: nobody joined yet, or there are no workers */
    struct worker_note note;
    struct loop *loop;
    struct loop_timer timer;
    struct loop_later later;             /* it is called: timers are too late for that */
    _Atomic uint32_t counts[PRIORITIES]; /* for other workers */
    struct list waiting[PRIORITIES];
    struct node *next;  /* NULL: nobody, or they are not called just now */
    wait_turn_fn *turn; /* of whoever joins */
};

void wait_line_init(struct wait_line *line, struct loop *loop, struct wait_hall *hall);
void wait_line_fini(struct wait_line *line); /* nobody waits */
/* Nobody waits, and nobody will: it is called no more. False: it was called by another thread, and
 * its worker has not seen that yet; until then it is not to be freed while the worker runs. */
bool wait_line_quit(struct wait_line *line);

/* wait->priority is set before. */
void wait_line_join(struct wait_line *line, struct waiter *wait, uint64_t until_ms,
                    wait_turn_fn *turn);
void wait_line_leave(struct wait_line *line, struct waiter *wait);
/* A request has ended on the worker of that line. */
void wait_line_wake(struct wait_line *line);

static inline bool wait_line_holds(const struct waiter *wait)
{
    return list_holds(&wait->on_line);
}
