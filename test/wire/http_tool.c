/* SPDX-License-Identifier: Apache-2.0
 *
 * http_tool.c - the library's HTTP client and server as a program, for tests with real peers.
 *
 *     http_tool [OPTION...] client METHOD BODY AT_ONCE TIMES URL
 *         BODY: N bytes, or "chunked:N", of the pattern abc...w; both ways in pieces, through
 *         callbacks. Asks TIMES times, AT_ONCE of them at a time, gzip and deflate undone. Prints a
 *         line of JSON: answers by status, bytes, how many bodies were the pattern, and statistics.
 *     http_tool [OPTION...] server [MAX_CONNECTIONS]
 *         prints its port; echoes bodies as they come, "/N" sends N bytes of the pattern; a line of
 *         input removes all connections; the end of the input drains it, and prints statistics.
 *
 *     --h2          the client speaks HTTP/2          --ca FILE      whom it trusts; the server:
 *     --workers N   [2]                                              who signs clients'
 * certificates
 *     --pair CERTIFICATE KEY   ours; several times: the server has several
 */
#include <weir/server.h>

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE   (23U << 11) /* so that each begins as the first does */
#define AT_ONCE 1024U

#define PAIRS 4U

static struct {
    bool is_h2;
    uint32_t workers, pairs_count;
    const char *ca;
    weir_server_certificate pairs[PAIRS];
} with = {.workers = 2};

static char pattern[PIECE + 23];

static const char *pattern_from(uint64_t at)
{
    return pattern + at % 23;
}

static void fail(const char *what)
{
    fprintf(stderr, "http_tool: %s: %s\n", what, weir_runtime_fault());
    exit(1);
}

/* --- the client ---------------------------------------------------------------------------------
 */

struct talk {
    uint64_t given, got;
    uint16_t status;
    bool is_bad;
};

static struct {
    weir_http_client *client;
    weir_http_request request;
    const char *method;
    uint64_t body;
    sem_t room, over;
    _Atomic uint64_t bytes, bad, failed, redirects, statuses[600];
    _Atomic int last_err;
    struct talk talks[AT_ONCE];
    _Atomic bool is_used[AT_ONCE];
} c;

static bool on_head(void *arg, const weir_http_answer *answer)
{
    ((struct talk *)arg)->status = weir_http_status(answer);
    return true;
}

static bool on_body(void *arg, const void *data, size_t len)
{
    struct talk *talk = arg;
    for (size_t at = 0; at < len; at += PIECE) {
        size_t piece = len - at < PIECE ? len - at : PIECE;
        talk->is_bad |= memcmp((const char *)data + at, pattern_from(talk->got + at), piece) != 0;
    }
    talk->got += len;
    return true;
}

static void on_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct talk *talk = arg;
    if (err == WEIR_OK) {
        c.statuses[talk->status]++;
        c.redirects += result->redirects;
    } else {
        c.failed++;
        c.last_err = (int)err;
    }
    c.bytes += talk->got;
    c.bad += talk->is_bad;
    c.is_used[talk - c.talks] = false;
    sem_post(&c.room);
    sem_post(&c.over);
}

static size_t pull(void *arg, void *buf, size_t cap)
{
    struct talk *talk = arg;
    uint64_t left = c.body - talk->given;
    size_t len = left < PIECE ? (size_t)left : PIECE;
    len = len < cap ? len : cap;
    memcpy(buf, pattern_from(talk->given), len);
    talk->given += len;
    return len;
}

static bool begin_again(void *arg)
{
    ((struct talk *)arg)->given = 0;
    return true;
}

static struct talk *free_talk(void)
{
    for (uint32_t i = 0;; i = (i + 1) % AT_ONCE) {
        bool is_used = false;
        if (atomic_compare_exchange_strong(&c.is_used[i], &is_used, true)) {
            c.talks[i] = (struct talk){0};
            return &c.talks[i];
        }
    }
}

static void client_report(void)
{
    weir_http_stats stats;
    weir_http_client_stats(c.client, &stats);
    printf(
        "{\"bytes\": %llu, \"bad\": %llu, \"failed\": %llu, \"last_err\": \"%s\", \"redirects\": "
        "%llu, \"created\": %llu, \"reused\": %llu, \"total\": %u, \"max_per_host\": %u, "
        "\"statuses\": {",
        (unsigned long long)c.bytes, (unsigned long long)c.bad, (unsigned long long)c.failed,
        weir_err_word((weir_err)c.last_err), (unsigned long long)c.redirects,
        (unsigned long long)stats.created, (unsigned long long)stats.reused, stats.total,
        stats.max_per_host);
    const char *comma = "";
    for (unsigned i = 0; i < 600; i++) {
        if (c.statuses[i] > 0) {
            printf("%s\"%u\": %llu", comma, i, (unsigned long long)c.statuses[i]);
            comma = ", ";
        }
    }
    printf("}}\n");
}

static int run_client(weir_runtime *runtime, char **argv)
{
    static const weir_http_handler handler = {.on_head = on_head,
                                              .on_body = on_body,
                                              .on_end = on_end,
                                              .pull = pull,
                                              .rewind = begin_again};
    bool is_chunked = strncmp(argv[1], "chunked:", 8) == 0;
    unsigned times = (unsigned)strtoul(argv[3], NULL, 10);
    const weir_http_client_options opt = {
        .decompress = WEIR_ON,
        .http2 = with.is_h2 ? WEIR_ON : WEIR_OFF,
        .tls = {.ca = with.ca, .certificate = with.pairs[0].certificate, .key = with.pairs[0].key}};
    c.body = strtoull(argv[1] + (is_chunked ? 8 : 0), NULL, 10);
    c.request = (weir_http_request){
        .method = argv[0], .url = argv[4], .body_len = is_chunked ? WEIR_HTTP_UNKNOWN : c.body};
    sem_init(&c.room, 0, (unsigned)strtoul(argv[2], NULL, 10));
    sem_init(&c.over, 0, 0);
    if (weir_http_client_new(runtime, &opt, &c.client) != WEIR_OK) {
        fail("client");
    }
    for (unsigned i = 0; i < times; i++) {
        sem_wait(&c.room);
        if (weir_http_send(c.client, &c.request, &handler, free_talk(), NULL) != WEIR_OK) {
            fail("send");
        }
    }
    for (unsigned i = 0; i < times; i++) {
        sem_wait(&c.over);
    }
    client_report();
    return weir_http_client_free(c.client) == WEIR_OK ? 0 : 1;
}

/* --- the server ---------------------------------------------------------------------------------
 */

/* /N: what is left to send goes with the exchange. */
static void send_on(weir_exchange *ex)
{
    uint64_t len = (uint64_t)(uintptr_t)weir_exchange_user(ex);
    bool is_blocked = false;
    while (len > 0 && !is_blocked) {
        size_t piece = len < PIECE ? (size_t)len : PIECE;
        is_blocked = weir_exchange_write(ex, pattern, piece);
        len -= piece;
    }
    weir_exchange_set_user(ex, (void *)(uintptr_t)len);
    if (len == 0) {
        weir_exchange_end(ex);
    }
}

static void serve_request(void *self, weir_exchange *ex)
{
    (void)self;
    weir_text path = weir_request_path(ex);
    char number[24] = "";
    snprintf(number, sizeof number, "%.*s", path.len > 1 ? (int)path.len - 1 : 0, path.at + 1);
    uint64_t len = strtoull(number, NULL, 10);
    const weir_http_field type = {.name = "Content-Type", .value = "text/plain"};
    const weir_reply reply = {
        .fields = &type, .field_count = 1, .body_len = len > 0 ? len : WEIR_HTTP_UNKNOWN};
    if (weir_exchange_begin(ex, &reply) != WEIR_OK) {
        fail("begin");
    }
    if (len > 0) {
        weir_exchange_set_user(ex, (void *)(uintptr_t)len);
        send_on(ex);
    }
}

static bool is_echo(weir_exchange *ex)
{
    return weir_exchange_user(ex) == NULL;
}

static void serve_body(void *self, weir_exchange *ex, const void *data, size_t len)
{
    (void)self;
    if (is_echo(ex) && weir_exchange_write(ex, data, len)) {
        weir_exchange_pause(ex, true);
    }
}

static void serve_end(void *self, weir_exchange *ex)
{
    (void)self;
    if (is_echo(ex)) {
        weir_exchange_end(ex);
    }
}

static void serve_drain(void *self, weir_exchange *ex)
{
    (void)self;
    if (is_echo(ex)) {
        weir_exchange_pause(ex, false);
    } else {
        send_on(ex);
    }
}

static int run_server(weir_runtime *runtime, char **argv)
{
    static const weir_server_handler handler = {.on_request = serve_request,
                                                .on_body = serve_body,
                                                .on_end = serve_end,
                                                .on_drain = serve_drain};
    const weir_server_options opt = {
        .address = "127.0.0.1:0",
        .body_max = 1U << 30,
        .tls = {.certificates = with.pairs,
                .certificate_count = with.pairs_count,
                .client_ca = with.ca},
        .max_connections = argv[0] != NULL ? (uint32_t)strtoul(argv[0], NULL, 10) : 0};
    weir_server *server;
    weir_server_stats stats;
    char line[64];
    if (weir_server_listen(runtime, &opt, &handler, NULL, &server) != WEIR_OK) {
        fail("listen");
    }
    printf("%u\n", (unsigned)weir_server_port(server));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin) != NULL) {
        weir_server_remove_all(server, 10000);
    }
    weir_server_stats_of(server, &stats);
    if (weir_server_close(server, 10000) != WEIR_OK) {
        fail("close");
    }
    printf("{\"requests\": %llu, \"answered\": %llu, \"accepted\": %llu, \"rejected\": %llu, "
           "\"aborted\": %llu, \"answers_2xx\": %llu, \"open\": %u}\n",
           (unsigned long long)stats.requests, (unsigned long long)stats.answered,
           (unsigned long long)stats.accepted, (unsigned long long)stats.rejected,
           (unsigned long long)stats.aborted, (unsigned long long)stats.answers_2xx, stats.open);
    return 0;
}

/* How many arguments they are. */
static int read_options(char **argv)
{
    int i = 1;
    for (; argv[i] != NULL && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--h2") == 0) {
            with.is_h2 = true;
        } else if (strcmp(argv[i], "--ca") == 0 && argv[i + 1] != NULL) {
            with.ca = argv[++i];
        } else if (strcmp(argv[i], "--workers") == 0 && argv[i + 1] != NULL) {
            with.workers = (uint32_t)strtoul(argv[++i], NULL, 10);
        } else if (strcmp(argv[i], "--pair") == 0 && argv[i + 1] != NULL && argv[i + 2] != NULL
                   && with.pairs_count < PAIRS) {
            with.pairs[with.pairs_count++] = (weir_server_certificate){argv[i + 1], argv[i + 2]};
            i += 2;
        } else {
            break;
        }
    }
    return i - 1;
}

int main(int argc, char **argv)
{
    int options = read_options(argv);
    argc -= options;
    argv += options;
    const weir_runtime_options workers = {.workers = with.workers};
    weir_runtime *runtime;
    bool is_client = argc == 7 && strcmp(argv[1], "client") == 0;
    bool is_server = (argc == 2 || argc == 3) && strcmp(argv[1], "server") == 0;
    if (!is_client && !is_server) {
        fprintf(
            stderr,
            "usage: http_tool [OPTION...] client METHOD BODY AT_ONCE TIMES URL | server [MAX]\n");
        return 2;
    }
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (char)('a' + i % 23);
    }
    if (weir_runtime_open(&workers, &runtime) != WEIR_OK) {
        fail("runtime");
    }
    int code = is_client ? run_client(runtime, argv + 2) : run_server(runtime, argv + 2);
    return weir_runtime_close(runtime, 1000) == WEIR_OK ? code : 1;
}
