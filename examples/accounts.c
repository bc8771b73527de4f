/* SPDX-License-Identifier: Apache-2.0
 *
 * accounts.c - requirement 003: three connections for each account, each with a session of its own,
 * made by a factory that may block, reused least recently used first; the pool's events are heard.
 */
#include <weir/runtime.h>

#include "example.h"

/* create_func: log in. Runs on a thread of the pool's; the slot says which session file is ours. */
static weir_err create_client(void *self, const weir_create *what, void **ret_client)
{
    (void)self;
    char line[100], answer[100];
    struct tcp *tcp = tcp_open(what->key->host, what->key->port, what->timeout_ms);
    if (tcp == NULL) {
        return tcp_why();
    }
    snprintf(line, sizeof line, "login %s-%u.session", what->key->tenant, what->slot);
    if (!tcp_ask(tcp, line, answer, sizeof answer) || strcmp(answer, "welcome") != 0) {
        tcp_close(tcp);
        return WEIR_EPROTOCOL;
    }
    *ret_client = tcp;
    return WEIR_OK;
}

static bool usable(void *self, void *client)
{
    (void)self;
    return tcp_is_quiet(client);
}

static void on_event(void *arg, const weir_event *event) /* pool_event_callback */
{
    (void)arg;
    const char *why = event->why != WEIR_OK ? weir_err_word(event->why) : "";
    if (event->key != NULL) {
        printf("Pool event: %s, %s %s\n", weir_event_word(event->kind), event->key->tenant, why);
    }
}

static void send_message(weir_shared *pool, const weir_key *account, uint32_t flags, weir_fate fate)
{
    char answer[100];
    weir_loan client; /* get_connection; with WEIR_FRESH instead of use_cache=False */
    must(weir_acquire_wait(pool, account, &(weir_acquire_options){.flags = flags}, &client), "get");
    bool is_fine = tcp_ask(client.object, "send hi", answer, sizeof answer);
    weir_loan_return(&client, is_fine ? fate : WEIR_BROKEN); /* return_connection(keep_alive) */
}

int main(int argc, char **argv)
{
    weir_runtime *runtime;
    weir_shared *pool;
    weir_key_info info = {.size = sizeof info};
    weir_stats stats = {.size = sizeof stats};
    const weir_factory factory = {
        .create = create_client, .destroy = tcp_destroy, .usable = usable, .threads_max = 4};
    weir_shared_options opt = {.pool = {.name = "telegram"}, .factory = &factory};
    weir_key account = {.scheme = "mtproto", .host = "127.0.0.1", .tenant = "+1234567890"};
    need(argc > 1, "accounts PORT [OPTION=VALUE]...");
    must_set(&opt.pool, argv + 2);
    account.port = port_of(argv[1]);
    must(weir_profile("telegram-account", &opt.pool), "profile"); /* 3; LRU; 5 min; 1 h */
    must(weir_runtime_open(&(weir_runtime_options){.on_event = on_event}, &runtime), "runtime");
    must(weir_shared_open(runtime, &opt, &pool), "pool");
    send_message(pool, &account, 0, WEIR_KEEP);
    send_message(pool, &account, 0, WEIR_KEEP);            /* over the same connection */
    send_message(pool, &account, WEIR_FRESH, WEIR_RETIRE); /* over one of its own, then closed */
    weir_shared_key_of(pool, &account, &info);             /* get_pool_stats(phone) */
    printf("account: idle %u, active %u, errors %d\n", info.idle, info.active, (int)info.errors);
    weir_shared_flush(pool, &account, 0); /* close_all_for_account */
    weir_shared_stats(pool, &stats);      /* get_pool_stats() */
    printf("pool: created %d, reused %d\n", (int)stats.created, (int)stats.reused);
    must(weir_runtime_close(runtime, 5000), "stop");
    return 0;
}
