/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - requirement 002: an HTTP server whose connections are a pool: with limits, time-outs,
 * health, events, and options that change while it runs. A number typed in is the new limit; the
 * end of the input ends it.
 */
#include <weir/server.h>

#include "example.h"

static void on_request(void *self, weir_exchange *exchange)
{
    (void)self;
    weir_text path = weir_request_path(exchange);
    const weir_http_field type = {.name = "Content-Type", .value = "text/plain"};
    const weir_reply reply = {
        .fields = &type, .field_count = 1, .body = path.at, .body_len = path.len};
    weir_exchange_reply(exchange, &reply);
}

static void on_event(void *arg, const weir_event *event)
{
    (void)arg;
    if (event->kind == WEIR_EVENT_POOL_LIMIT_REACHED) {
        printf("Connection pool limit reached: %s\n", weir_err_text(event->why));
    } else {
        printf("%s\n", weir_event_word(event->kind));
    }
    fflush(stdout);
}

static void show(const weir_server *server)
{
    weir_server_health health = {.size = sizeof health};
    weir_server_stats stats = {.size = sizeof stats};
    weir_server_health_of(server, &health);
    weir_server_stats_of(server, &stats);
    printf("Connection pool status: %s\n", weir_health_word(health.health));
    printf("Utilization: %.1f%%\n", health.utilization * 100);
    printf("connections %u of %u, requests %llu, rejected %llu\n", stats.connections,
           stats.max_connections, (unsigned long long)stats.requests,
           (unsigned long long)stats.rejected);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    static const weir_server_handler handler = {.on_request = on_request};
    weir_runtime *runtime;
    weir_server *server;
    weir_server_options opt = {.address = argc > 1 ? argv[1] : "127.0.0.1:0",
                               .max_connections = 1000,
                               .keepalive_timeout_ms = 5000,
                               .request_timeout_ms = 30000,
                               .headers_timeout_ms = 10000,
                               .on_event = on_event};
    char line[20];
    must(weir_runtime_open(&(weir_runtime_options){.workers = 2}, &runtime), "runtime");
    must(weir_server_listen(runtime, &opt, &handler, NULL, &server), "listen");
    printf("http://%s\n", weir_server_address(server));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) { /* updateConfig: all of it, or nothing */
        weir_server_options_of(server, &opt);
        opt.max_connections = (uint32_t)strtoul(line, NULL, 10);
        if (weir_server_update(server, &opt) != WEIR_OK) {
            printf("not a valid %s\n", weir_runtime_fault());
        }
        show(server);
    }
    must(weir_server_close(server, 1000), "close"); /* closeAllConnections(timeout) */
    must(weir_runtime_close(runtime, 1000), "end");
    return 0;
}
