/* SPDX-License-Identifier: Apache-2.0
 *
 * manager.c - requirement 001: a manager of WebSocket connections that others opened, on the bare
 * engine of weir.h: no thread, no clock, no socket. Here the program is the clock, so the minutes
 * of health checks and time-outs go by at once, and the peers are two words: alive or not.
 */
#include "example.h"

struct peer {
    const char *id;
    bool is_alive;
    weir_conn conn;
};

static void ping(void *self, weir_conn conn, void *object) /* every 60 s: send a ping */
{
    const struct peer *peer = object;
    printf("ping %s\n", peer->id);
    if (peer->is_alive) { /* its pong; who does not answer is closed after probe_timeout */
        weir_conn_up(*(weir_pool **)self, conn, object, 1);
    }
}

static void close_it(void *self, weir_conn conn, void *object, weir_err why)
{
    printf("close %s: %s\n", ((struct peer *)object)->id, weir_err_text(why));
    weir_conn_down(*(weir_pool **)self, conn, why);
}

static bool show(void *arg, const weir_conn_info *info)
{
    (void)arg;
    printf("%s is %s\n", info->note, weir_state_word(info->state));
    return true;
}

static void run_until(weir_engine *engine, uint64_t end_ms)
{
    uint64_t due_ms = weir_step(engine, weir_engine_now(engine));
    while (due_ms <= end_ms) {
        due_ms = weir_step(engine, due_ms);
    }
    weir_step(engine, end_ms);
}

int main(void)
{
    static const weir_connector websocket = {.scheme = "ws", .probe = ping, .close = close_it};
    weir_engine *engine;
    weir_pool *pool;
    weir_stats stats = {.size = sizeof stats};
    weir_pool_options opt = {
        .name = "ws", .connector = &websocket, .connector_self = &pool, .jitter_pct = WEIR_NONE};
    must(weir_profile("websocket-manager", &opt), "profile"); /* 1000; 60 s; 300 s */
    must(weir_engine_new(&(weir_engine_options){.seed = 1}, &engine), "engine");
    must(weir_pool_open(engine, &opt, &pool), "pool");
    struct peer peers[] = {{.id = "conn1", .is_alive = true}, {.id = "conn2", .is_alive = true}};
    for (int i = 0; i < 2; i++) { /* add_connection */
        const weir_key key = {
            .scheme = "ws", .host = "127.0.0.1", .port = 9000, .tenant = peers[i].id};
        must(weir_admit(pool, &key, peers[i].id, &peers[i], &peers[i].conn), "admit");
    }
    const struct peer *found = weir_conn_object(pool, peers[0].conn); /* get_connection */
    printf("found %s\n", found->id);
    run_until(engine, 60000); /* health_check: both answer */
    peers[1].is_alive = false;
    run_until(engine, 130000);                            /* conn2 does not answer any more */
    weir_pool_each(pool, show, NULL);                     /* connection_ids */
    weir_conn_retire(pool, peers[0].conn, WEIR_ERETIRED); /* remove_connection */
    run_until(engine, 131000);
    weir_pool_stats(pool, &stats); /* get_stats */
    printf("total_connections %d, max_connections %u\n", (int)stats.total, opt.max_total);
    weir_engine_free(engine);
    return 0;
}
