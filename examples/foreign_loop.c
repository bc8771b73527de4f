/* SPDX-License-Identifier: Apache-2.0
 *
 * foreign_loop.c - weir as a guest in a loop of the program's, here on epoll: one descriptor to
 * poll and a time-out. The factory is of that loop, too: it begins to connect and answers later.
 */
#include <weir/runtime.h>

#include "example.h"

#include <sys/epoll.h>

static int loop;
static weir_task dialling; /* the question to answer when `fd` is connected, or not */
static int fd, answers;

static weir_err create(void *self, const weir_create *what, void **ret_object)
{
    (void)self, (void)ret_object;
    struct epoll_event out = {.events = EPOLLOUT, .data.ptr = &fd};
    fd = tcp_begin(what->key->host, what->key->port);
    if (fd < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &out) != 0) {
        return tcp_why();
    }
    dialling = what->task;
    return WEIR_EAGAIN; /* connected() will answer */
}

static void connected(void)
{
    weir_err err = tcp_is_connected(fd) ? WEIR_OK : WEIR_ECONNECT;
    epoll_ctl(loop, EPOLL_CTL_DEL, fd, NULL);
    weir_factory_answer(dialling, err, err == WEIR_OK ? &fd : NULL);
}

static weir_err destroy(void *self, void *object, weir_err why)
{
    (void)self, (void)why;
    return close(*(int *)object) == 0 ? WEIR_OK : WEIR_EIO;
}

static void lent(void *arg, weir_err err, const weir_loan *lent_loan, uint32_t retry_after_ms)
{
    (void)arg, (void)retry_after_ms;
    weir_loan loan = *lent_loan;
    printf("%s, %s connection\n", weir_err_text(err), loan.reused ? "used" : "new");
    answers++;
    if (err == WEIR_OK) {
        weir_loan_return(&loan, WEIR_KEEP);
    }
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_shared *pool;
    const weir_factory factory = {.create = create, .destroy = destroy};
    const weir_shared_options opt = {.pool = {.name = "guest", .max_total = 1},
                                     .factory = &factory};
    need(argc == 2, "foreign_loop PORT");
    const weir_key key = {.scheme = "echo", .host = "127.0.0.1", .port = port_of(argv[1])};
    loop = epoll_create1(EPOLL_CLOEXEC);
    must(weir_runtime_open_hosted(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    struct epoll_event in = {.events = EPOLLIN, .data.ptr = runtime};
    epoll_ctl(loop, EPOLL_CTL_ADD, weir_runtime_fd(runtime), &in);
    for (int i = 0; i < 3; i++) {
        must(weir_acquire_async(pool, &key, NULL, lent, NULL, &(weir_lease){0}), "acquire");
    }
    while (answers < 3) {
        must(weir_runtime_turn(runtime, 0), "turn");
        if (answers < 3 && epoll_wait(loop, &in, 1, weir_runtime_timeout_ms(runtime)) == 1
            && in.data.ptr == &fd) {
            connected();
        }
    }
    must(weir_runtime_close(runtime, 1000), "close");
    close(loop);
    return 0;
}
