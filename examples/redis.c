/* SPDX-License-Identifier: Apache-2.0
 *
 * redis.c - a pool of Redis connections over plain sockets: eight threads share two of them. The
 * tenant of the key is the database, so that nobody gets a connection that selected another one.
 */
#include <weir/runtime.h>

#include "example.h"

#include <pthread.h>

static weir_shared *pool;
static weir_key key = {.scheme = "redis", .host = "127.0.0.1"};
static const char *counter;

static weir_err create(void *self, const weir_create *what, void **ret_object)
{
    (void)self;
    char line[40], answer[100];
    struct tcp *tcp = tcp_open(what->key->host, what->key->port, what->timeout_ms);
    if (tcp == NULL) {
        return tcp_why();
    }
    snprintf(line, sizeof line, "SELECT %s", what->key->tenant);
    if (!tcp_ask(tcp, line, answer, sizeof answer) || strcmp(answer, "+OK") != 0) {
        tcp_close(tcp);
        return WEIR_EPROTOCOL;
    }
    *ret_object = tcp;
    return WEIR_OK;
}

static weir_err validate(void *self, weir_task task, void *object)
{
    (void)self, (void)task;
    char answer[100];
    bool is_fine = tcp_ask(object, "PING", answer, sizeof answer) && strcmp(answer, "+PONG") == 0;
    return is_fine ? WEIR_OK : WEIR_EPROBE;
}

static void *count(void *arg)
{
    char line[100], answer[100];
    snprintf(line, sizeof line, "INCR %s", counter);
    for (int i = 0; i < 100; i++) {
        WEIR_SCOPED(lease) loan = {0};
        must(weir_acquire_wait(pool, &key, NULL, &loan), "acquire");
        if (!tcp_ask(loan.object, line, answer, sizeof answer) || answer[0] != ':') {
            loan.fate = WEIR_BROKEN;
        }
    }
    return arg;
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    pthread_t threads[8];
    weir_stats stats = {.size = sizeof stats};
    const weir_factory factory = {
        .create = create, .validate = validate, .destroy = tcp_destroy, .threads_max = 2};
    const weir_shared_options opt = {.pool = {.name = "redis", .max_total = 2},
                                     .factory = &factory};
    need(argc == 4, "redis PORT DATABASE COUNTER");
    key.port = port_of(argv[1]), key.tenant = argv[2], counter = argv[3];
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    for (int i = 0; i < 8; i++) {
        pthread_create(&threads[i], NULL, count, NULL);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    weir_shared_stats(pool, &stats);
    printf("grants %d, connections %d\n", (int)stats.grants, (int)stats.created);
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
