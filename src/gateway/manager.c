/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/manager.h"

#include "base/alloc.h"
#include "gateway/server.h"
#include "io/clock.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define WATCHDOG_PART 3U /* of the time after which it would be ended: one word may be late */

struct manager {
    struct server *server;
    struct loop *loop;
    const struct sdnotify *notify;
    struct loop_timer watchdog;
    uint32_t every_ms; /* 0: no watchdog */
    uint32_t asked;    /* workers that have not answered yet */
    bool is_partial;   /* one of them could not be asked */
    bool is_silent;
};

static void on_watchdog(struct loop_timer *timer, uint64_t now_ms);

int manager_open(struct server *server, const struct sdnotify *notify, struct manager **ret_manager)
{
    *ret_manager = NULL;
    if (notify == NULL)
        return 0;
    struct manager *manager = alloc_zeroed(&alloc_libc, sizeof(*manager));
    if (manager == NULL)
        return -ENOMEM;
    manager->server = server;
    manager->loop = server->opt.loop;
    manager->notify = notify;
    manager->watchdog.fire = on_watchdog;
    manager->every_ms = sdnotify_watchdog_ms(notify) / WATCHDOG_PART;
    if (manager->every_ms > 0)
        loop_timer_set(manager->loop, &manager->watchdog,
                       loop_now_ms(manager->loop) + manager->every_ms);
    server->manager = manager;
    *ret_manager = manager;
    return 0;
}

void manager_close(struct manager *take_manager)
{
    if (take_manager == NULL)
        return;
    loop_timer_stop(take_manager->loop, &take_manager->watchdog);
    alloc_free(&alloc_libc, take_manager);
}

/* --- words ---------------------------------------------------------------------------------------
 */

__attribute__((format(printf, 2, 3))) static void say(struct manager *manager, const char *format,
                                                      ...)
{
    char lines[SDNOTIFY_MAX];
    va_list args;
    if (manager == NULL || manager->is_silent)
        return;
    va_start(args, format);
    int len = vsnprintf(lines, sizeof(lines), format, args);
    va_end(args);
    if (len > 0)
        sdnotify_say(manager->notify, slice_of(lines));
}

void manager_ready(struct manager *manager, const char *status)
{
    say(manager, "READY=1\nMAINPID=%d\nSTATUS=%s", (int)getpid(), status);
}

/* Type=notify-reload tells this one from an earlier one by its time. */
void manager_reloading(struct manager *manager, const char *status)
{
    say(manager, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=%s",
        (unsigned long long)(clock_now_ns() / 1000), status);
}

void manager_stopping(struct manager *manager, const char *status)
{
    say(manager, "STOPPING=1\nSTATUS=%s", status);
}

void manager_status(struct manager *manager, const char *status)
{
    say(manager, "STATUS=%s", status);
}

void manager_handed_over(struct manager *manager)
{
    if (manager != NULL) {
        manager->is_silent = true;
        loop_timer_stop(manager->loop, &manager->watchdog);
    }
}

/* --- that it lives -------------------------------------------------------------------------------
 */

static void worker_answers(void *self, uint64_t unused)
{
    struct manager *manager = self;
    (void)unused;
    manager->asked--;
    if (manager->asked == 0 && !manager->is_partial)
        say(manager, "WATCHDOG=1");
}

static void worker_is_asked(void *self, uint64_t unused)
{
    struct manager *manager = self;
    (void)unused;
    crew_post_hub(manager->server->crew, worker_answers, manager, 0);
}

/* While somebody has not answered, nobody else is asked: a worker that does not turn ends it. */
static void on_watchdog(struct loop_timer *timer, uint64_t now_ms)
{
    struct manager *manager = container_of(timer, struct manager, watchdog);
    struct server *s = manager->server;
    loop_timer_set(manager->loop, timer, now_ms + manager->every_ms);
    if (manager->asked > 0)
        return;
    for (uint32_t i = 0; i < s->sites_count; i++)
        manager->asked += worker_post(s->sites[i].worker, worker_is_asked, manager, 0);
    manager->is_partial = manager->asked < s->sites_count;
}
