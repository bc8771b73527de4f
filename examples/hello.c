/* SPDX-License-Identifier: Apache-2.0
 *
 * hello.c - the smallest pool: three greetings to an echo server, over one connection.
 */
#include <weir/runtime.h>

#include "example.h"

static weir_err create(void *self, const weir_create *what, void **ret_object)
{
    (void)self;
    struct tcp *tcp = tcp_open(what->key->host, what->key->port, what->timeout_ms);
    if (tcp == NULL) {
        return tcp_why();
    }
    *ret_object = tcp;
    return WEIR_OK;
}

/* Borrows a connection, uses it, and gives it back when the scope ends, as loan.fate says. */
static void greet(weir_shared *pool, const weir_key *key)
{
    char answer[100];
    WEIR_SCOPED(lease) loan = {0};
    weir_err err = weir_acquire_wait(pool, key, NULL, &loan);
    if (err != WEIR_OK) {
        printf("no connection: %s\n", weir_err_text(err));
    } else if (!tcp_ask(loan.object, "hello", answer, sizeof answer)) {
        loan.fate = WEIR_BROKEN;
    } else {
        printf("%s, over a %s connection\n", answer, loan.reused ? "used" : "new");
    }
}

int main(int argc, char **argv)
{
    need(argc == 3, "hello HOST PORT");
    const weir_key key = {.scheme = "echo", .host = argv[1], .port = port_of(argv[2])};
    const weir_factory factory = {.create = create, .destroy = tcp_destroy, .threads_max = 1};
    const weir_shared_options opt = {.pool = {.name = "hello", .max_total = 10},
                                     .factory = &factory};
    weir_runtime *runtime;
    weir_shared *pool;
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    for (int i = 0; i < 3; i++) {
        greet(pool, &key);
    }
    must(weir_runtime_close(runtime, 1000), "close"); /* and with it the pool */
    return 0;
}
