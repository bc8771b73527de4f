/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/client_leases.h"

#include "base/alloc.h"
#include "gateway/client_keys.h"
#include "gateway/wait_line.h"
#include "io/clock.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

/* What an answer is for. */
struct errand {
    struct client_leases *leases;
    uint32_t client;
};

struct client_leases {
    struct client_keys *keys;
    weir_sessions *sessions;
    struct wait_hall *hall;
    uint64_t holder; /* this gateway, as long as it lives */
    struct loop *loop;
    struct loop_timer timer;
    uint64_t met_ms, meetings;
    _Atomic bool is_meeting;
    _Atomic uint64_t answered, failed;
    pthread_mutex_t mutex; /* of what follows */
    bool is_ending;
    uint32_t count;
    struct errand errands[]; /* one for each client, and one for all gateways */
};

static void look_in_time(struct loop_timer *timer, uint64_t now_ms);

int client_leases_new(struct client_keys *keys, weir_sessions *sessions, struct wait_hall *hall,
                      struct client_leases **ret_leases)
{
    uint32_t count = client_keys_count(keys);
    struct client_leases *leases =
        alloc_zeroed(&alloc_libc, sizeof *leases + (count + 1) * sizeof *leases->errands);
    if (leases == NULL) {
        return -ENOMEM;
    }
    leases->keys = keys;
    leases->sessions = sessions;
    leases->hall = hall;
    leases->timer.fire = look_in_time;
    leases->count = count;
    for (uint32_t i = 0; i <= count; i++) {
        leases->errands[i] = (struct errand){leases, i};
    }
    pthread_mutex_init(&leases->mutex, NULL);
    if (getrandom(&leases->holder, sizeof leases->holder, 0) != sizeof leases->holder) {
        client_leases_free(leases);
        return -EIO;
    }
    client_keys_lend(keys, leases);
    *ret_leases = leases;
    return 0;
}

void client_leases_free(struct client_leases *take_leases)
{
    if (take_leases != NULL) {
        client_keys_lend(take_leases->keys, NULL);
        pthread_mutex_destroy(&take_leases->mutex);
        alloc_free(&alloc_libc, take_leases);
    }
}

void client_leases_start(struct client_leases *leases, struct loop *loop)
{
    leases->loop = loop;
    loop_timer_set(loop, &leases->timer, loop_now_ms(loop));
}

void client_leases_end(struct client_leases *leases)
{
    if (leases == NULL) {
        return;
    }
    if (leases->loop != NULL) {
        loop_timer_stop(leases->loop, &leases->timer);
        leases->loop = NULL;
    }
    pthread_mutex_lock(&leases->mutex);
    leases->is_ending = true;
    pthread_mutex_unlock(&leases->mutex);
}

void client_leases_info_of(const struct client_leases *leases, struct client_leases_info *ret_info)
{
    ret_info->answered = atomic_load(&leases->answered);
    ret_info->failed = atomic_load(&leases->failed);
}

/* --- one client's --------------------------------------------------------------------------------
 */

static void ask(struct client_leases *leases, uint32_t client, uint64_t now_ms);

/* Who waits may go on. */
static void call(struct client_leases *leases)
{
    pthread_mutex_lock(&leases->mutex);
    if (!leases->is_ending) {
        wait_hall_call(leases->hall);
    }
    pthread_mutex_unlock(&leases->mutex);
}

/* On a thread of the sessions' own, or on who asks. */
static void heard(void *arg, weir_err err, const struct lease_answer *answer)
{
    const struct errand *errand = arg;
    struct client_leases *leases = errand->leases;
    struct client_lease *lease = client_keys_lease(leases->keys, errand->client);
    uint64_t now_ms = clock_now_ms();
    bool is_less = false;
    if (err == WEIR_OK && answer != NULL) {
        atomic_fetch_add(&leases->answered, 1);
        is_less = client_lease_heard(lease, answer, now_ms);
    } else {
        atomic_fetch_add(&leases->failed, 1);
        client_lease_failed(lease, client_keys_gateways(leases->keys), now_ms);
    }
    if (is_less) {
        ask(leases, errand->client, now_ms);
    }
    if (client_keys_waiting(leases->keys, errand->client) > 0) {
        call(leases);
    }
}

static void ask(struct client_leases *leases, uint32_t client, uint64_t now_ms)
{
    struct lease_ask it = {.holder = leases->holder};
    struct client_lease *lease = client_keys_lease(leases->keys, client);
    if (!client_lease_ask(lease, client_keys_waiting(leases->keys, client), now_ms, &it)) {
        return;
    }
    client_keys_describe(leases->keys, client, &it);
    weir_err err = sessions_lease(leases->sessions, &it, heard, &leases->errands[client]);
    if (err != WEIR_EAGAIN) {
        heard(&leases->errands[client], err, NULL);
    }
}

void client_leases_press(struct client_leases *leases, uint32_t client, uint64_t now_ms)
{
    const struct client_lease *lease = client_keys_lease(leases->keys, client);
    if (now_ms >= atomic_load_explicit(&lease->asked_ms, memory_order_relaxed) + LEASES_PRESS_MS) {
        ask(leases, client, now_ms);
    }
}

/* --- all of them ---------------------------------------------------------------------------------
 */

static void met(void *arg, weir_err err, const struct lease_answer *answer)
{
    const struct errand *errand = arg;
    struct client_leases *leases = errand->leases;
    (void)err;
    if (answer != NULL && !answer->is_late) {
        client_keys_meet(leases->keys, answer->holders);
    }
    atomic_store(&leases->is_meeting, false);
}

/* No place is wanted of that limit, and none is there: only that somebody asks. */
static void meet(struct client_leases *leases, uint64_t now_ms)
{
    if (now_ms < leases->met_ms + LEASES_MEET_MS || atomic_exchange(&leases->is_meeting, true)) {
        return;
    }
    leases->met_ms = now_ms;
    const struct lease_ask it = {.name = "",
                                 .holder = leases->holder,
                                 .number = ++leases->meetings,
                                 .wanted = 1,
                                 .ttl_ms = LEASES_MET_MS};
    weir_err err = sessions_lease(leases->sessions, &it, met, &leases->errands[leases->count]);
    if (err != WEIR_EAGAIN) {
        met(&leases->errands[leases->count], err, NULL);
    }
}

static void look_in_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct client_leases *leases = container_of(timer, struct client_leases, timer);
    for (uint32_t i = 0; i < leases->count; i++) {
        if (!client_lease_is_idle(client_keys_lease(leases->keys, i),
                                  client_keys_waiting(leases->keys, i))) {
            ask(leases, i, now_ms);
        }
    }
    meet(leases, now_ms);
    loop_timer_set(leases->loop, timer, now_ms + LEASES_LOOK_MS);
}
