/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_bench.c - what the library's WebSockets cost.
 *
 *     websocket_bench serve [MAX]
 *         an echo server of one worker: prints its port; at the end of the input its CPU time and
 *         messages, as JSON
 *     websocket_bench load PORT CONNECTIONS SECONDS SIZE
 *         that many clients, each with one message under way
 *     websocket_bench hold PORT N
 *         N clients that answer pings and say nothing, until the end of the input; prints a line
 *         when they are open
 *     websocket_bench check N [PASSES]
 *         a server that waits for N clients (prints its port), then: a health check of all that
 *         were heard lately; and, for others, one that pings them, PASSES [1] of them; CPU, and the
 *         longest turn of the loop
 *     websocket_bench names N
 *         adding, finding and removing a name among N, in ns
 */
#include <weir/websocket.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEFAULT 70000U
#define NAME_ROUNDS 5 /* the first one also makes room; of the others the best counts */

static weir_runtime *runtime;
static weir_websocket_manager *manager;
static weir_server *server;
static _Atomic uint64_t opened, echoed, over;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec at;
    clock_gettime(clock, &at);
    return (uint64_t)at.tv_sec * 1000000000U + (uint64_t)at.tv_nsec;
}

static void must(weir_err err, const char *what)
{
    if (err != WEIR_OK) {
        fprintf(stderr, "websocket_bench: %s: %s\n", what, weir_err_text(err));
        exit(1);
    }
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void until_input_ends(void)
{
    while (getchar() != EOF) {
    }
}

/* --- the server ---------------------------------------------------------------------------------
 */

static void echo(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                 size_t len)
{
    (void)arg;
    weir_websocket_send(ws, kind, data, len);
}

static void on_request(void *self, weir_exchange *ex)
{
    static const weir_websocket_handler handler = {.on_message = echo};
    (void)self;
    if (weir_websocket_accept(manager, ex, NULL, &handler, NULL, NULL) == WEIR_OK) {
        opened++;
    }
}

static void open_server(uint32_t most, uint32_t probe_every_ms, bool is_hosted)
{
    static const weir_server_handler handler = {.on_request = on_request};
    const weir_runtime_options opt = {.workers = 1, .conns_max = most + 1000};
    const weir_websocket_manager_options options = {
        .pool = {.max_total = most, .probe_every_ms = probe_every_ms, .probe_timeout_ms = 60000}};
    const weir_server_options listening = {.address = "127.0.0.1:0", .max_connections = 65000};
    must(is_hosted ? weir_runtime_open_hosted(&opt, &runtime) : weir_runtime_open(&opt, &runtime),
         "runtime");
    must(weir_websocket_manager_new(runtime, &options, &manager), "manager");
    must(weir_server_listen(runtime, &listening, &handler, NULL, &server), "server");
    printf("%u\n", (unsigned)weir_server_port(server));
    fflush(stdout);
}

static void serve(uint32_t most)
{
    weir_websocket_stats stats;
    open_server(most, 60000, false);
    until_input_ends();
    weir_websocket_manager_stats(manager, &stats);
    printf("{\"cpu_s\": %.4f, \"messages\": %llu, \"open\": %u}\n",
           (double)now_ns(CLOCK_PROCESS_CPUTIME_ID) / 1e9, (unsigned long long)stats.messages_in,
           stats.open);
    fflush(stdout);
}

/* --- clients ------------------------------------------------------------------------------------
 */

static char message[1U << 20];
static size_t message_size;

static void say(void *arg, weir_websocket ws, const weir_websocket_opening *opening)
{
    (void)arg;
    (void)opening;
    opened++;
    if (message_size > 0) {
        weir_websocket_send(ws, WEIR_WEBSOCKET_BINARY, message, message_size);
    }
}

static void say_again(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                      size_t len)
{
    (void)arg;
    (void)data;
    echoed++;
    weir_websocket_send(ws, kind, message, len);
}

static void count_over(void *arg, weir_websocket ws, const weir_websocket_end *end)
{
    (void)arg;
    (void)ws;
    if (over++ == 0 && end->err != WEIR_OK) {
        fprintf(stderr, "websocket_bench: %s\n", weir_err_text(end->err));
    }
}

static void open_clients(unsigned port, uint32_t count, uint32_t workers)
{
    static const weir_websocket_handler handler = {
        .on_open = say, .on_message = say_again, .on_close = count_over};
    char url[64];
    const weir_runtime_options opt = {.workers = workers, .conns_max = count + 1000};
    const weir_websocket_manager_options options = {.pool = {.max_total = count,
                                                             .connecting_max = 200,
                                                             .waiting_max = 1000,
                                                             .probe_every_ms = WEIR_NEVER,
                                                             .idle_timeout_ms = WEIR_NEVER}};
    must(weir_runtime_open(&opt, &runtime), "runtime");
    must(weir_websocket_manager_new(runtime, &options, &manager), "manager");
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", port);
    const weir_websocket_request request = {.url = url};
    for (uint32_t i = 0; i < count; i++) {
        must(weir_websocket_dial(manager, &request, &handler, NULL, NULL), url);
        while (i + 1 - opened - over > 200) {
            nap();
        }
    }
    while (opened + over < count) {
        nap();
    }
}

static void load(unsigned port, uint32_t count, double seconds, size_t size)
{
    message_size = size;
    memset(message, 'a', size);
    open_clients(port, count, 1);
    uint64_t begun = echoed, begun_ns = now_ns(CLOCK_MONOTONIC);
    while (now_ns(CLOCK_MONOTONIC) - begun_ns < (uint64_t)(seconds * 1e9)) {
        nap();
    }
    printf("{\"echoed\": %llu, \"failed\": %llu}\n", (unsigned long long)(echoed - begun),
           (unsigned long long)over);
}

static void hold(unsigned port, uint32_t count)
{
    open_clients(port, count, 1);
    printf("%llu\n", (unsigned long long)opened);
    fflush(stdout);
    until_input_ends();
}

/* --- health checks ------------------------------------------------------------------------------
 */

static uint64_t longest_ns;

static void turn(int timeout_ms)
{
    uint64_t begun_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    weir_runtime_turn(runtime, timeout_ms);
    uint64_t took_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
    longest_ns = took_ns > longest_ns ? took_ns : longest_ns;
}

/* CPU of this thread until all that were asked have answered; where nobody is, until all were
 * looked at, a thousand in a turn. */
static void check_all(const char *name, uint32_t count, bool pings)
{
    weir_websocket_stats stats;
    weir_websocket_manager_stats(manager, &stats);
    uint64_t expected = stats.pongs + count;
    longest_ns = 0;
    uint64_t begun_ns = now_ns(CLOCK_THREAD_CPUTIME_ID);
    weir_websocket_health_check(manager);
    for (uint32_t turns = 0; pings || turns < count / 1000 + 2; turns++) {
        turn(pings ? 1 : 0);
        weir_websocket_manager_stats(manager, &stats);
        pings = pings && stats.pongs < expected;
        if (stats.pongs == expected) {
            break;
        }
    }
    weir_websocket_manager_stats(manager, &stats);
    uint64_t busy_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) - begun_ns;
    printf("{\"check\": \"%s\", \"pings\": %llu, \"cpu_ms\": %.2f, \"us_each\": %.3f, "
           "\"longest_turn_ms\": %.3f}\n",
           name, (unsigned long long)stats.pings, (double)busy_ns / 1e6,
           (double)busy_ns / 1e3 / count, (double)longest_ns / 1e6);
    fflush(stdout);
}

static void check(uint32_t count, uint32_t passes)
{
    const uint32_t every_ms[] = {3600000, WEIR_NEVER};
    for (int i = 0; i < 2; i++) {
        weir_websocket_stats stats = {0};
        opened = 0;
        open_server(count, every_ms[i], true);
        while (stats.open < count) {
            weir_runtime_turn(runtime, 10);
            weir_websocket_manager_stats(manager, &stats);
        }
        for (int k = 0; k < 50; k++) {
            weir_runtime_turn(runtime, 1);
        }
        for (uint32_t pass = 0; pass < (i == 0 ? 1 : passes); pass++) {
            check_all(i == 0 ? "heard lately" : "pings", count, i == 1);
        }
        must(weir_websocket_manager_free(manager, WEIR_NONE), "free");
        must(weir_server_close(server, WEIR_NONE), "close");
        must(weir_runtime_close(runtime, 0), "runtime");
    }
}

/* --- names --------------------------------------------------------------------------------------
 */

static void names(uint32_t count)
{
    static const weir_websocket_handler handler = {.on_open = say};
    char(*text)[24] = calloc(count, sizeof *text), url[64];
    weir_websocket ws, found;
    open_server(16, WEIR_NEVER, false);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", (unsigned)weir_server_port(server));
    const weir_websocket_request request = {.url = url};
    must(weir_websocket_dial(manager, &request, &handler, NULL, &ws), url);
    while (opened < 2) {
        nap();
    }
    for (uint32_t i = 0; i < count; i++) {
        snprintf(text[i], sizeof text[i], "conn%u", i);
    }
    double best[3] = {1e9, 1e9, 1e9}, fill = 0;
    for (int round = 0; round < NAME_ROUNDS; round++) {
        uint64_t at[4];
        at[0] = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (uint32_t i = 0; i < count; i++) {
            must(weir_websocket_add(manager, text[i], ws), "add");
        }
        at[1] = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (uint32_t i = 0; i < count; i++) {
            must(weir_websocket_get(manager, text[i], &found), "get");
        }
        at[2] = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (uint32_t i = 0; i < count; i++) {
            must(weir_websocket_remove(manager, text[i], 0), "remove");
        }
        at[3] = now_ns(CLOCK_THREAD_CPUTIME_ID);
        for (int k = 0; k < 3; k++) {
            double each = (double)(at[k + 1] - at[k]) / count;
            best[k] = each < best[k] ? each : best[k];
        }
        fill = round == 0 ? (double)(at[1] - at[0]) / count : fill;
    }
    printf("{\"names\": %u, \"first_fill_ns\": %.0f, \"add_ns\": %.0f, \"get_ns\": %.0f, "
           "\"remove_ns\": %.0f}\n",
           count, fill, best[0], best[1], best[2]);
    free(text);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    uint32_t first = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    uint32_t second = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 0;
    if (strcmp(what, "serve") == 0) {
        serve(first != 0 ? first : MAX_DEFAULT);
    } else if (strcmp(what, "load") == 0 && argc == 6) {
        load(first, second, strtod(argv[4], NULL), strtoul(argv[5], NULL, 10));
    } else if (strcmp(what, "hold") == 0 && argc == 4) {
        hold(first, second);
    } else if (strcmp(what, "check") == 0 && (argc == 3 || argc == 4)) {
        check(first, argc == 4 ? second : 1);
    } else if (strcmp(what, "names") == 0 && argc == 3) {
        names(first);
    } else {
        fprintf(stderr, "websocket_bench: serve | load | hold | check | names\n");
        return 2;
    }
    fflush(stdout);
    _exit(0); /* its end is not what is measured */
}
