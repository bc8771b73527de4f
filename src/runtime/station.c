/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/station.h"

#include "base/check.h"
#include "core/lend.h"
#include "io/clock.h"

#include <errno.h>
#include <stdlib.h>

static void lock(struct station *station)
{
    int error = pthread_mutex_lock(&station->mutex);
    check(error == 0);
}

static void unlock(struct station *station)
{
    int error = pthread_mutex_unlock(&station->mutex);
    check(error == 0);
}

/* --- the home -----------------------------------------------------------------------------------
 */

static void step(struct station *station, uint64_t now_ms)
{
    uint64_t next_ms = UINT64_MAX;
    lock(station);
    atomic_store(&station->is_due, false);
    if (station->engine != NULL) {
        next_ms = weir_step(station->engine, now_ms);
        uint64_t tick_ms = station->tick != NULL ? station->tick(station->self, now_ms)
                                                 : UINT64_MAX;
        next_ms = tick_ms < next_ms ? tick_ms : next_ms;
        if (weir_engine_pending(station->engine)) {
            next_ms = now_ms;
        }
    }
    atomic_store(&station->armed_ms, next_ms);
    unlock(station);
    if (station->after != NULL) {
        station->after(station->self);
    }
}

static uint64_t home_run(void *self, uint64_t now_ms)
{
    struct home *home = self;
    uint64_t next_ms = UINT64_MAX;
    uint32_t count = atomic_load_explicit(&home->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        struct station *station = atomic_load_explicit(&home->stations[i], memory_order_relaxed);
        if (atomic_load(&station->is_due) || atomic_load(&station->armed_ms) <= now_ms) {
            step(station, now_ms);
        }
        uint64_t armed_ms = atomic_load(&station->is_due) ? now_ms
                                                          : atomic_load(&station->armed_ms);
        next_ms = armed_ms < next_ms ? armed_ms : next_ms;
    }
    return next_ms;
}

/* That it woke is enough: hooks run at the end of the turn. */
static void home_wakes(void *self)
{
    (void)self;
}

int home_init(struct home *home, struct loop *loop, uint32_t stations_max)
{
    check(stations_max <= HOME_STATIONS_MAX);
    *home = (struct home){.loop = loop, .stations_max = stations_max};
    home->stations = alloc_zeroed(loop_alloc(loop), stations_max * sizeof *home->stations);
    if (home->stations == NULL) {
        return -ENOMEM;
    }
    int error = loop_wake_new(loop, home_wakes, home, &home->wake);
    if (error != 0) {
        alloc_free(loop_alloc(loop), home->stations);
        return error;
    }
    pthread_mutex_init(&home->adding, NULL);
    home->hook = (struct loop_hook){.run = home_run, .self = home};
    loop_hook_add(loop, &home->hook);
    return 0;
}

void home_fini(struct home *home)
{
    loop_hook_remove(home->loop, &home->hook);
    loop_wake_free(home->wake);
    pthread_mutex_destroy(&home->adding);
    alloc_free(loop_alloc(home->loop), home->stations);
}

/* --- the station --------------------------------------------------------------------------------
 */

static bool home_add(struct home *home, struct station *station)
{
    pthread_mutex_lock(&home->adding);
    uint32_t count = atomic_load_explicit(&home->count, memory_order_relaxed);
    bool has_room = count < home->stations_max;
    if (has_room) {
        atomic_store_explicit(&home->stations[count], station, memory_order_relaxed);
        atomic_store_explicit(&home->count, count + 1, memory_order_release);
    }
    pthread_mutex_unlock(&home->adding);
    return has_room;
}

bool station_init(struct station *station, struct home *home)
{
    *station = (struct station){.home = home};
    atomic_init(&station->armed_ms, UINT64_MAX);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP); /* held for a moment: spin first */
    pthread_mutex_init(&station->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    if (home_add(home, station)) {
        return true;
    }
    pthread_mutex_destroy(&station->mutex);
    return false;
}

void station_fini(struct station *station)
{
    pthread_mutex_destroy(&station->mutex);
}

void station_enter(struct station *station)
{
    lock(station);
    if (station->engine != NULL) {
        engine_pass_time(station->engine, clock_coarse_ms());
    }
}

void station_enter_now(struct station *station)
{
    lock(station);
    if (station->engine != NULL) {
        engine_pass_time(station->engine, clock_now_ms());
    }
}

void station_leave(struct station *station)
{
    bool is_due = false;
    if (station->engine != NULL) {
        engine_answer(station->engine, station->direct);
        is_due = weir_engine_pending(station->engine)
                 || engine_next_ms(station->engine) < atomic_load(&station->armed_ms);
    }
    bool was_due = is_due && atomic_exchange(&station->is_due, true);
    struct loop_wake *wake = station->home->wake;
    unlock(station);
    if (is_due && !was_due) {
        loop_wake_send(wake);
    }
}

void station_out(struct station *station)
{
    engine_answer(station->engine, station->direct);
    unlock(station);
}

void station_back(struct station *station)
{
    lock(station);
}

void station_poke(struct station *station)
{
    if (!atomic_exchange(&station->is_due, true)) {
        loop_wake_send(station->home->wake);
    }
}
