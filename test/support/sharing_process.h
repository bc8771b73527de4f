/* SPDX-License-Identifier: Apache-2.0
 *
 * sharing_process.h - for tests: somebody who shares sessions through a Redis, in a process of its
 * own with a journal, so that it can be killed between any two instructions and started again.
 *
 * It does what it is asked, one order after the other, and says what came of it. An order that was
 * given and not answered before a kill may have been carried out or not.
 */
#pragma once
#include "base/check.h"
#include "support/redis_sharing.h"

#include <semaphore.h>

enum order_kind {
    ORDER_CREATE, /* of a client's key; says the id */
    ORDER_CLAIM,
    ORDER_REBIND, /* from the epoch that it has here */
    ORDER_TOUCH,  /* fetches it where it is not here */
    ORDER_END,
    ORDER_LOOK,     /* is it here, and where is it served? */
    ORDER_AFFINITY, /* for a client's key, without a session */
    ORDER_STATS,
    ORDER_CLOSE
};

struct order {
    enum order_kind kind;
    weir_session_id id;
    char key[16], place[16];
    bool is_served;
};

struct said {
    weir_err err;
    weir_session_id id;
    char place[16];
    weir_sessions_stats stats;
};

struct sharer {
    pid_t pid; /* 0: it does not run */
    int fd;
    char folder[80];
};

/* --- inside -------------------------------------------------------------------------------------
 */

struct sharer_wait {
    sem_t is_done;
    weir_err err;
    char place[16];
};

static inline void sharer_fetched(void *arg, weir_err err, weir_session_id id)
{
    struct sharer_wait *wait = arg;
    (void)id;
    wait->err = err;
    sem_post(&wait->is_done);
}

static inline void sharer_claimed(void *arg, weir_err err, weir_session_id id, const char *place,
                                  bool is_ours)
{
    struct sharer_wait *wait = arg;
    (void)id, (void)is_ours;
    wait->err = err;
    snprintf(wait->place, sizeof wait->place, "%.15s", place);
    sem_post(&wait->is_done);
}

static inline weir_err sharer_awaited(struct sharer_wait *wait, weir_err err)
{
    while (err == WEIR_EAGAIN && sem_wait(&wait->is_done) != 0) {
    }
    return err == WEIR_EAGAIN ? wait->err : err;
}

static inline weir_err sharer_touch(weir_sessions *sessions, const struct order *order)
{
    struct sharer_wait wait = {0};
    sem_init(&wait.is_done, 0, 0);
    weir_err err = WEIR_OK;
    if (!lives(sessions, order->id)) {
        err = weir_session_fetch(sessions, order->id, sharer_fetched, &wait);
        err = sharer_awaited(&wait, err);
    }
    sem_destroy(&wait.is_done);
    return err == WEIR_OK ? weir_session_touch(sessions, order->id, order->is_served) : err;
}

static inline weir_err sharer_affinity(weir_sessions *sessions, const struct order *order,
                                       struct said *ret)
{
    struct sharer_wait wait = {0};
    sem_init(&wait.is_done, 0, 0);
    ret->id = id_of(sessions, order->key);
    weir_err err = weir_affinity_claim(sessions, ret->id, order->place, sharer_claimed, &wait);
    err = sharer_awaited(&wait, err);
    memcpy(ret->place, wait.place, sizeof ret->place);
    sem_destroy(&wait.is_done);
    return err;
}

static inline weir_err sharer_does(weir_sessions *sessions, const struct order *order,
                                   struct said *ret)
{
    weir_session session = {.size = sizeof session};
    weir_session_new what = {.user = "ann", .account = "a1"};
    weir_session_place place = {.epoch = 0};
    weir_err err = WEIR_OK;
    switch (order->kind) {
    case ORDER_CREATE:
        what.id = id_of(sessions, order->key);
        return weir_session_create(sessions, &what, &ret->id);
    case ORDER_CLAIM: err = weir_session_claim(sessions, order->id, order->place, &place); break;
    case ORDER_REBIND:
        err = weir_session_get(sessions, order->id, &session);
        if (err == WEIR_OK) {
            err = weir_session_rebind(sessions, order->id, session.epoch, order->place, &place);
        }
        break;
    case ORDER_TOUCH: return sharer_touch(sessions, order);
    case ORDER_END: return weir_session_end(sessions, order->id);
    case ORDER_LOOK:
        err = weir_session_get(sessions, order->id, &session);
        memcpy(place.name, session.place, sizeof place.name);
        break;
    case ORDER_AFFINITY: return sharer_affinity(sessions, order, ret);
    case ORDER_STATS: ret->stats = stats_of(sessions); return WEIR_OK;
    case ORDER_CLOSE: break;
    }
    snprintf(ret->place, sizeof ret->place, "%.15s", place.name);
    return err;
}

static inline void sharer_main(uint16_t port, const char *folder, int fd)
{
    struct order order;
    weir_sessions *sessions = opened_at(port, folder, 20);
    bool is_open = true;
    while (is_open && recv(fd, &order, sizeof order, 0) == (ssize_t)sizeof order) {
        struct said said = {.err = WEIR_OK};
        said.err = sharer_does(sessions, &order, &said);
        is_open = order.kind != ORDER_CLOSE;
        if (!is_open) {
            weir_sessions_close(sessions);
        }
        check(send(fd, &said, sizeof said, MSG_NOSIGNAL) == (ssize_t)sizeof said);
    }
    _exit(is_open ? 1 : 0);
}

/* --- outside ------------------------------------------------------------------------------------
 */

/* Goes on from its journal, if there is one in the folder. The caller has no threads. */
static inline void sharer_start(struct sharer *sharer, uint16_t port)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    fflush(NULL);
    sharer->pid = fork();
    if (sharer->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        sharer_main(port, sharer->folder, pair[1]);
    }
    close(pair[1]);
    sharer->fd = pair[0];
}

static inline void sharer_give(const struct sharer *sharer, const struct order *order)
{
    assert_int_equal(send(sharer->fd, order, sizeof *order, MSG_NOSIGNAL), (ssize_t)sizeof *order);
}

/* False: it was killed before. */
static inline bool sharer_hear(const struct sharer *sharer, struct said *ret)
{
    ssize_t got = recv(sharer->fd, ret, sizeof *ret, 0);
    assert_true(got <= 0 || got == (ssize_t)sizeof *ret);
    return got > 0;
}

static inline struct said sharer_asked(const struct sharer *sharer, const struct order *order)
{
    struct said said;
    sharer_give(sharer, order);
    assert_true(sharer_hear(sharer, &said));
    return said;
}

/* True: it had answered what it was last asked. */
static inline bool sharer_kill(struct sharer *sharer, struct said *ret)
{
    kill(sharer->pid, SIGKILL);
    assert_int_equal(waitpid(sharer->pid, NULL, 0), sharer->pid);
    sharer->pid = 0;
    bool is_answered = sharer_hear(sharer, ret);
    close(sharer->fd);
    return is_answered;
}

static inline void sharer_end(struct sharer *sharer)
{
    int status;
    sharer_asked(sharer, &(struct order){.kind = ORDER_CLOSE});
    assert_int_equal(waitpid(sharer->pid, &status, 0), sharer->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    close(sharer->fd);
    sharer->pid = 0;
}
