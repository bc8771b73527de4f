/* SPDX-License-Identifier: Apache-2.0
 *
 * relay.c - requirement 004: connections to an API by way of a proxy, which is part of the key with
 * its credentials; a second endpoint when the first one is down. A proxy that fails is an error,
 * never a direct connection.
 */
#include <weir/runtime.h>

#include "example.h"

/* Dials the proxy and asks it for a tunnel to the endpoint. (A real one encodes the credentials.)
 */
static weir_err create(void *self, const weir_create *what, void **ret_object)
{
    (void)self;
    char user[40], host[40], text[200];
    unsigned port;
    if (sscanf(what->key->proxy, "http://%39[^@]@%39[^:]:%u", user, host, &port) != 3) {
        return WEIR_EPROXY;
    }
    struct tcp *tcp = tcp_open(host, (uint16_t)port, what->timeout_ms);
    if (tcp == NULL) {
        return WEIR_EPROXY;
    }
    snprintf(text, sizeof text, "CONNECT %s:%u HTTP/1.1\r\nProxy-Authorization: %s\r\n",
             what->key->host, what->key->port, user);
    bool is_open = tcp_ask(tcp, text, text, sizeof text) && strstr(text, " 200") != NULL;
    while (is_open && text[0] != '\0') { /* the rest of the answer's head */
        is_open = tcp_hear(tcp, text, sizeof text);
    }
    if (!is_open) {
        tcp_close(tcp);
        return WEIR_EREFUSED;
    }
    *ret_object = tcp;
    return WEIR_OK;
}

/* Asks the first endpoint that there is a connection to. */
static void ask(weir_shared *pool, const weir_key *endpoints, int count)
{
    char answer[100];
    for (int i = 0; i < count; i++) {
        WEIR_SCOPED(lease) loan = {0};
        weir_err err = weir_acquire_wait(pool, &endpoints[i], NULL, &loan);
        if (err != WEIR_OK) { /* `down` comes at once, for down_for: no time is lost on it */
            printf("endpoint %d: %s\n", i, weir_err_word(err));
        } else if (!tcp_ask(loan.object, "hello", answer, sizeof answer)) {
            loan.fate = WEIR_BROKEN;
        } else {
            printf("endpoint %d: %s, %s\n", i, answer, loan.reused ? "cache hit" : "new");
            return;
        }
    }
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_shared *pool;
    const weir_factory factory = {.create = create, .destroy = tcp_destroy, .threads_max = 8};
    weir_shared_options opt = {.pool = {.name = "relay"}, .factory = &factory};
    need(argc > 3, "relay http://USER:PASSWORD@HOST:PORT API_PORT STANDBY_PORT [OPTION=VALUE]...");
    must_set(&opt.pool, argv + 4);
    must(weir_profile("relay", &opt.pool), "profile"); /* 2 ... 100 by load; 3 failures: down */
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    weir_key endpoints[2] = {{.scheme = "api", .host = "127.0.0.1", .proxy = argv[1]}};
    endpoints[1] = endpoints[0];
    endpoints[0].port = port_of(argv[2]);
    endpoints[1].port = port_of(argv[3]);
    for (int i = 0; i < 5; i++) {
        ask(pool, endpoints, 2);
    }
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
