/* SPDX-License-Identifier: Apache-2.0
 *
 * threads.c - the blocking face: a dozen threads share three connections, wait their turn, and give
 * back what they hold by leaving the scope. No callback, no loop.
 */
#include <weir/runtime.h>

#include "example.h"

#include <pthread.h>

enum { THREADS = 12, ROUNDS = 50 };

struct caller {
    pthread_t thread;
    weir_shared *pool;
    const weir_key *key;
    uint32_t number, answered;
};

static void *call(void *arg)
{
    struct caller *me = arg;
    const weir_acquire_options opt = {.timeout_ms = 10000, .tag = me->number};
    char answer[100];
    for (int i = 0; i < ROUNDS; i++) {
        WEIR_SCOPED(lease) loan = {0};
        if (weir_acquire_wait(me->pool, me->key, &opt, &loan) != WEIR_OK) {
            continue; /* nothing was lent, so nothing is given back */
        }
        if (!tcp_ask(loan.object, "hello", answer, sizeof answer)) {
            loan.fate = WEIR_BROKEN;
            continue;
        }
        me->answered++;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct caller callers[THREADS];
    weir_runtime *runtime;
    weir_shared *pool;
    weir_stats stats = {.size = sizeof stats};
    need(argc == 3, "threads HOST PORT");
    const weir_factory factory = {.create = tcp_create, .destroy = tcp_destroy, .threads_max = 3};
    const weir_shared_options opt = {.pool = {.name = "threads", .max_total = 3},
                                     .factory = &factory};
    const weir_key key = {.scheme = "echo", .host = argv[1], .port = port_of(argv[2])};
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    for (uint32_t i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.pool = pool, .key = &key, .number = i};
        pthread_create(&callers[i].thread, NULL, call, &callers[i]);
    }
    uint32_t answered = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(callers[i].thread, NULL);
        answered += callers[i].answered;
    }
    weir_shared_stats(pool, &stats);
    printf("answered %u, over %d connections\n", answered, (int)stats.created);
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
