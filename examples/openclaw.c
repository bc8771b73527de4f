/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.c - requirement 000: connections to OpenClaw instances, one for each endpoint and
 * account, that come back by themselves, give up for 60 s after 1 + 2 + 4 s, show their states.
 */
#include <weir/runtime.h>

#include "example.h"

static weir_err create(void *self, const weir_create *what, void **ret_adapter)
{
    (void)self;
    char line[100], answer[100];
    struct tcp *tcp = tcp_open(what->key->host, what->key->port, what->timeout_ms);
    if (tcp == NULL) {
        return tcp_why();
    }
    snprintf(line, sizeof line, "connect %s", what->key->tenant);
    if (!tcp_ask(tcp, line, answer, sizeof answer) || strcmp(answer, "hello-ok") != 0) {
        tcp_close(tcp);
        return WEIR_EPROTOCOL;
    }
    *ret_adapter = tcp;
    return WEIR_OK;
}

/* Every 60 s, while it is idle. */
static weir_err health_check(void *self, weir_task task, void *adapter)
{
    (void)self, (void)task;
    char answer[100];
    return tcp_ask(adapter, "health", answer, sizeof answer) ? WEIR_OK : WEIR_EPROBE;
}

static void execute(weir_shared *pool, const weir_key *config, const char *action)
{
    char answer[100] = "nothing";
    weir_key_info info = {.size = sizeof info};
    weir_loan adapter;
    weir_err err = weir_acquire_wait(pool, config, NULL, &adapter); /* getAdapter */
    if (err == WEIR_OK) {
        err = tcp_ask(adapter.object, action, answer, sizeof answer) ? WEIR_OK : WEIR_EHANGUP;
        weir_loan_return(&adapter, err == WEIR_OK ? WEIR_KEEP : WEIR_BROKEN); /* releaseAdapter */
    }
    weir_shared_key_of(pool, config, &info); /* getConnectionInfo */
    printf("%s: %s (%s), key %s, %u failures, %u connected\n", config->tenant, answer,
           weir_err_word(err), weir_key_state_word(info.state), info.failures, info.idle);
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_shared *pool;
    weir_stats stats = {.size = sizeof stats};
    const weir_factory factory = {
        .create = create, .validate = health_check, .destroy = tcp_destroy, .threads_max = 8};
    weir_shared_options opt = {.pool = {.name = "openclaw"}, .factory = &factory};
    need(argc > 2, "openclaw PORT DEAD_PORT [OPTION=VALUE]...");
    must_set(&opt.pool, argv + 3);
    must(weir_profile("openclaw", &opt.pool), "profile"); /* 100 connections, idle for 5 min, ... */
    must(weir_runtime_open(NULL, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    weir_key alice = {.scheme = "openclaw", .host = "127.0.0.1", .tenant = "alice"};
    weir_key bob = alice, dead = alice;
    bob.tenant = "bob", dead.tenant = "carol";
    alice.port = bob.port = port_of(argv[1]), dead.port = port_of(argv[2]);
    execute(pool, &alice, "chat.send");
    execute(pool, &alice, "chat.send"); /* the same configuration: the same connection */
    execute(pool, &bob, "hangup");      /* its peer leaves; the pool reconnects */
    execute(pool, &bob, "chat.send");
    execute(pool, &dead, "chat.send"); /* four failures in a row: in error */
    weir_shared_flush(pool, &bob, 0);  /* removeAdapter */
    weir_shared_stats(pool, &stats);   /* getPoolStats */
    printf("created %d, reused %d, in error %d\n", (int)stats.created, (int)stats.reused,
           (int)stats.keys_down);
    weir_shared_flush(pool, NULL, 0); /* disconnectAll */
    must(weir_runtime_close(runtime, 1000), "close");
    return 0;
}
