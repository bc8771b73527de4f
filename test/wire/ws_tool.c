/* SPDX-License-Identifier: Apache-2.0
 *
 * ws_tool.c - the library's WebSockets as a program, for tests with real peers.
 *
 *     ws_tool [OPTION...] server
 *         prints its port; echoes messages; the end of the input drains it, and prints statistics.
 *     ws_tool [OPTION...] serve PORT
 *         the same, on this port, with little patience for openings, until it is ended.
 *     ws_tool [OPTION...] client URL COUNT SIZE
 *         sends COUNT messages of SIZE bytes, text and binary in turn, to a server that echoes, and
 *         closes. Prints a line of JSON: how many came back as they were, and how it ended.
 *     ws_tool [OPTION...] echo URL
 *         echoes what the server sends until it closes; prints how it ended.
 *     ws_tool [OPTION...] dial
 *         reads URLs, a line each, and echoes at each of them, all at the same time.
 *
 *     --deflate        permessage-deflate, from the first byte on     --ca FILE   whom it trusts
 *     --protocol NAME  asked for, or chosen                           --pair CERTIFICATE KEY   ours
 *     --max N          message_max                                    --workers N   [2]
 *     --dns SERVERS    who knows names                                --spare N     idle lines
 *     --http2 HOW      dials over it: on, only                       --proxy URL   through it
 */
#include <weir/websocket.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ECHO_HIGH (256U << 10)

static struct {
    bool deflates;
    uint32_t workers, spare, http2;
    uint64_t message_max;
    const char *ca, *protocol, *dns, *proxy;
    weir_server_certificate pair;
} with = {.workers = 2, .message_max = 64U << 20};

static weir_runtime *runtime;
static weir_websocket_manager *manager;

static void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "ws_tool: %s: %s (%s)\n", what, weir_err_text(err), weir_runtime_fault());
        exit(1);
    }
}

static void open_all(void)
{
    const weir_runtime_options opt = {.workers = with.workers};
    const weir_websocket_manager_options options = {
        .deflate = with.deflates ? WEIR_ON : WEIR_OFF,
        .deflate_min = WEIR_NONE,
        .message_max = with.message_max,
        .pool = {.max_total = 20000, .min_idle = with.spare},
        .dns_servers = with.dns,
        .http2 = with.http2,
        .tls = {.ca = with.ca},
        .proxy_tls = {.ca = with.ca},
    };
    must(weir_runtime_open(&opt, &runtime), "runtime");
    must(weir_websocket_manager_new(runtime, &options, &manager), "manager");
}

static void print_end(const weir_websocket_end *end)
{
    printf("\"err\": \"%s\", \"code\": %u, \"status\": %u, \"reason\": \"%.*s\"",
           weir_err_word(end->err), (unsigned)end->code, (unsigned)end->status,
           (int)end->reason.len, end->reason.at != NULL ? end->reason.at : "");
}

/* --- echoing ------------------------------------------------------------------------------------
 */

static sem_t ended;

static void echo_message(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                         size_t len)
{
    (void)arg;
    weir_websocket_send(ws, kind, data, len);
    if (weir_websocket_unsent(ws) > ECHO_HIGH) {
        weir_websocket_pause(ws, true);
    }
}

static void echo_drain(void *arg, weir_websocket ws)
{
    (void)arg;
    weir_websocket_pause(ws, false);
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler echo = {.on_message = echo_message, .on_drain = echo_drain};
    const weir_websocket_accept_options opt = {.protocol = with.protocol};
    (void)self;
    if (weir_websocket_accept(manager, ex, &opt, &echo, NULL, NULL) == WEIR_EINVAL) {
        weir_exchange_reply(ex, &(weir_reply){.status = 400});
    }
}

static int serve(unsigned port)
{
    static const weir_server_handler handler = {.on_request = on_request};
    static char address[32];
    const weir_server_options opt = {
        .address = address,
        .headers_timeout_ms = port != 0 ? 2000 : 0,
        .max_connections = 20000,
        .tls = {.certificates = &with.pair,
                .certificate_count = with.pair.certificate != NULL ? 1 : 0},
    };
    weir_server *server;
    weir_websocket_stats stats;
    snprintf(address, sizeof address, "127.0.0.1:%u", port);
    must(weir_server_listen(runtime, &opt, &handler, NULL, &server), "server");
    printf("%u\n", (unsigned)weir_server_port(server));
    fflush(stdout);
    while (port != 0) {
        pause(); /* until it is ended */
    }
    while (getchar() != EOF) {
    }
    must(weir_server_close(server, 5000), "close");
    weir_websocket_manager_stats(manager, &stats);
    printf("{\"accepted\": %llu, \"closed\": %llu, \"messages_in\": %llu, \"messages_out\": %llu, "
           "\"bytes_in\": %llu, \"total\": %u}\n",
           (unsigned long long)stats.accepted, (unsigned long long)stats.closed,
           (unsigned long long)stats.messages_in, (unsigned long long)stats.messages_out,
           (unsigned long long)stats.bytes_in, stats.total);
    return 0;
}

static void echo_closed(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)arg;
    (void)ws;
    printf("{");
    print_end(end);
    printf("}\n");
    sem_post(&ended);
}

static int echo_at(const char *url)
{
    static const weir_websocket_handler handler = {
        .on_message = echo_message, .on_drain = echo_drain, .on_close = echo_closed};
    const weir_websocket_request request = {.url = url, .protocols = with.protocol};
    must(weir_websocket_dial(manager, &request, &handler, NULL, NULL), url);
    sem_wait(&ended);
    return 0;
}

static int dial_all(void)
{
    static const weir_websocket_handler handler = {.on_message = echo_message,
                                                   .on_drain = echo_drain};
    static char line[1024];
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const weir_websocket_request request = {.url = line};
        must(weir_websocket_dial(manager, &request, &handler, NULL, NULL), line);
    }
    return 0;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static struct {
    uint32_t count, sent, same;
    size_t size;
    char *pattern;
    bool deflates;
    char protocol[64];
} run;

static void ask(weir_websocket ws)
{
    weir_websocket_kind kind = run.sent % 2 == 0 ? WEIR_WEBSOCKET_TEXT : WEIR_WEBSOCKET_BINARY;
    if (run.sent == run.count) {
        weir_websocket_close(ws, 1000, "done");
        return;
    }
    run.sent++;
    must(weir_websocket_send(ws, kind, run.pattern, run.size), "send");
}

static void asks(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)arg;
    run.deflates = opening->deflate;
    snprintf(run.protocol, sizeof run.protocol, "%s", opening->protocol);
    ask(ws);
}

static void answered(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                     size_t len)
{
    weir_websocket_kind sent = run.sent % 2 == 1 ? WEIR_WEBSOCKET_TEXT : WEIR_WEBSOCKET_BINARY;
    (void)arg;
    run.same += kind == sent && len == run.size && memcmp(data, run.pattern, len) == 0;
    ask(ws);
}

static void asked(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)arg;
    (void)ws;
    printf("{\"same\": %u, \"deflate\": %s, \"protocol\": \"%s\", ", run.same,
           run.deflates ? "true" : "false", run.protocol);
    print_end(end);
    printf("}\n");
    sem_post(&ended);
}

static int ask_at(const char *url, uint32_t count, size_t size)
{
    static const weir_websocket_handler handler = {
        .on_open = asks, .on_message = answered, .on_close = asked};
    const weir_websocket_request request = {
        .url = url, .protocols = with.protocol, .proxy = with.proxy};
    run.count = count;
    run.size = size;
    run.pattern = malloc(size + 1);
    for (size_t i = 0; i < size; i++) {
        run.pattern[i] = (char)('a' + i * i % 23);
    }
    must(weir_websocket_dial(manager, &request, &handler, NULL, NULL), url);
    sem_wait(&ended);
    free(run.pattern);
    return 0;
}

static char **take_options(char **at)
{
    for (; *at != NULL && strncmp(*at, "--", 2) == 0; at++) {
        if (strcmp(*at, "--deflate") == 0) {
            with.deflates = true;
        } else if (strcmp(*at, "--ca") == 0) {
            with.ca = *++at;
        } else if (strcmp(*at, "--protocol") == 0) {
            with.protocol = *++at;
        } else if (strcmp(*at, "--max") == 0) {
            with.message_max = strtoull(*++at, NULL, 10);
        } else if (strcmp(*at, "--workers") == 0) {
            with.workers = (uint32_t)strtoul(*++at, NULL, 10);
        } else if (strcmp(*at, "--dns") == 0) {
            with.dns = *++at;
        } else if (strcmp(*at, "--proxy") == 0) {
            with.proxy = *++at;
        } else if (strcmp(*at, "--http2") == 0) {
            with.http2 = strcmp(*++at, "only") == 0 ? WEIR_WEBSOCKET_ONLY : WEIR_ON;
        } else if (strcmp(*at, "--spare") == 0) {
            with.spare = (uint32_t)strtoul(*++at, NULL, 10);
        } else if (strcmp(*at, "--pair") == 0) {
            with.pair.certificate = *++at;
            with.pair.key = *++at;
        }
    }
    return at;
}

int main(int argc, char **argv)
{
    char **at = take_options(argv + 1);
    int left = argc - (int)(at - argv);
    int status = 2;
    sem_init(&ended, 0, 0);
    if (left < 1) {
        fprintf(stderr, "ws_tool: server | serve PORT | client URL COUNT SIZE | echo URL | dial\n");
        return status;
    }
    open_all();
    if (strcmp(at[0], "server") == 0) {
        status = serve(0);
    } else if (strcmp(at[0], "serve") == 0 && left == 2) {
        status = serve((unsigned)strtoul(at[1], NULL, 10));
    } else if (strcmp(at[0], "dial") == 0) {
        status = dial_all();
    } else if (strcmp(at[0], "client") == 0 && left == 4) {
        status = ask_at(at[1], (uint32_t)strtoul(at[2], NULL, 10), strtoul(at[3], NULL, 10));
    } else if (strcmp(at[0], "echo") == 0 && left == 2) {
        status = echo_at(at[1]);
    }
    must(weir_websocket_manager_free(manager, 1000), "free");
    must(weir_runtime_close(runtime, 0), "runtime");
    return status;
}
