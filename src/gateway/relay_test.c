/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole data path in one thread: a client on a pair of sockets, listener, relay, connector, and
 * an upstream that the test plays itself. What needs the real program is in test/wire.
 */
#include "gateway/relay.h"

#include "io/dns.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "io/socket.h"
#include "listener/http1.h"
#include "support/await.h"
#include "support/listening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 10000
#define CLIENTS     8

/* --- every allocation of the process -----------------------------------------------------------
 */

static unsigned long allocations;

#if defined(__SANITIZE_ADDRESS__)
/* Of <sanitizer/allocator_interface.h>, which not every compiler brings. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void count_one_more(const volatile void *ptr, size_t size)
{
    (void)ptr, (void)size;
    allocations++;
}

static void nothing(const volatile void *ptr)
{
    (void)ptr;
}
#    define COUNTS_ALLOCATIONS true
#elif defined(__GLIBC__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *ptr, size_t size)
{
    allocations++;
    return __libc_realloc(ptr, size);
}
#    define COUNTS_ALLOCATIONS true
#else
#    define COUNTS_ALLOCATIONS false
#endif

/* --- memory that is refused --------------------------------------------------------------------
 *
 * All of it that is weir's own: the linker puts ours in the place of alloc_libc (--wrap).
 */

extern const struct alloc
    __real_alloc_libc; /* NOLINT(*-reserved-identifier,readability-identifier-naming) */

static struct {
    unsigned long calls, fail_at; /* 0: none */
    bool fail_all;
} memory;

static bool is_refused(void)
{
    memory.calls++;
    return memory.fail_all || memory.calls == memory.fail_at;
}

static void *wrap_alloc(void *self, size_t size)
{
    return is_refused() ? NULL : __real_alloc_libc.alloc(self, size);
}

static void *wrap_resize(void *self, void *ptr, size_t size)
{
    return is_refused() ? NULL : __real_alloc_libc.resize(self, ptr, size);
}

static void wrap_free(void *self, void *ptr)
{
    __real_alloc_libc.free(self, ptr);
}

static void *wrap_zeroed(void *self, size_t size)
{
    return is_refused() ? NULL : __real_alloc_libc.zeroed(self, size);
}

/* NOLINTNEXTLINE(*-reserved-identifier,readability-identifier-naming) */
const struct alloc __wrap_alloc_libc = {.alloc = wrap_alloc,
                                        .resize = wrap_resize,
                                        .free = wrap_free,
                                        .zeroed = wrap_zeroed};

/* --- the world ---------------------------------------------------------------------------------
 */

static struct {
    struct config *config;
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct dns *dns;
    struct relay_shared *shared;
    struct cork cork;
    struct relay *relay;
    struct http1_listener *listener;
    int upstream; /* listening */
    int server;   /* the connection accepted last */
    uint16_t port;
    int clients[CLIENTS];
} world;

static uint64_t step(void *self, uint64_t now_ms)
{
    return weir_step(self, now_ms);
}

static void turn(void)
{
    loop_turn(world.loop, 5);
}

#define until(condition) await_true(condition, DEADLINE_MS, turn())

/* `more`: lines of the route and of the upstream, in YAML's flow form. */
static void open_world(const char *route, const char *upstream)
{
    char text[2048];
    memset(&world, 0, sizeof world);
    world.server = -1;
    world.upstream = listening(SOCK_NONBLOCK, 16, &world.port);
    int len = snprintf(text, sizeof text,
                       "log: { access: off }\n"
                       "listeners: [ { name: web, address: \"127.0.0.1:0\",\n"
                       "  routes: [ { match: { path: /in }, upstream: up %s } ] } ]\n"
                       "upstreams: [ { name: up %s,\n"
                       "  endpoints: [ { url: \"http://127.0.0.1:%u\" } ] } ]\n",
                       route, upstream, world.port);
    struct config_faults faults;
    world.config = config_read_text("test.yaml", text, (size_t)len, &faults);
    for (uint32_t i = 0; i < faults.count && world.config == NULL; i++) {
        print_error("%u:%u: %s\n", faults.at[i].line, faults.at[i].column, faults.at[i].text);
    }
    config_faults_free(&faults);
    assert_non_null(world.config);
    assert_int_equal(loop_new(&(struct loop_options){0}, &world.loop), 0);
    const weir_engine_options engine = {.size = sizeof engine, .now_ms = loop_now_ms(world.loop)};
    assert_int_equal(weir_engine_new(&engine, &world.engine), WEIR_OK);
    world.step = (struct loop_hook){.run = step, .self = world.engine, .deadline_ms = UINT64_MAX};
    loop_hook_add(world.loop, &world.step);
    assert_int_equal(dns_open(world.loop, &(struct dns_options){0}, &world.dns), 0);
    char fault[RELAY_FAULT_MAX];
    assert_int_equal(relay_shared_new(world.config, NULL, &world.shared, fault), 0);
    cork_init(&world.cork, world.loop);
    const struct relay_options opt = {.loop = world.loop,
                                      .cork = &world.cork,
                                      .engine = world.engine,
                                      .dns = world.dns,
                                      .config = world.config,
                                      .shared = world.shared,
                                      .workers = 1};
    assert_int_equal(relay_new(&opt, &world.relay), 0);
    relay_begin(world.relay);
    const struct http1_listener_options listener = {.name = "web"};
    assert_int_equal(http1_listener_new(world.loop, world.engine, &listener, &relay_handler,
                                        relay_listener_self(world.relay, 0), &world.listener),
                     0);
    for (int i = 0; i < CLIENTS; i++) {
        int ends[2];
        struct stream *stream;
        const uint8_t address[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends),
                         0);
        assert_int_equal(socket_adopt(world.loop, ends[0], &stream), 0);
        assert_int_equal(http1_listener_serve(world.listener, stream, address), 0);
        world.clients[i] = ends[1];
    }
}

static void close_world(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        close(world.clients[i]);
    }
    until(relay_open_count(world.relay) == 0);
    http1_listener_free(world.listener);
    loop_hook_remove(world.loop, &world.step);
    weir_engine_free(world.engine);
    relay_free(world.relay);
    cork_fini(&world.cork);
    relay_shared_free(world.shared);
    dns_close(world.dns);
    loop_turn(world.loop, 0);
    loop_free(world.loop);
    config_free(world.config);
    close(world.upstream);
    if (world.server >= 0) {
        close(world.server);
    }
}

/* --- both ends ---------------------------------------------------------------------------------
 */

static char text[1 << 16];

static void say(int fd, const char *what)
{
    assert_int_equal(send(fd, what, strlen(what), MSG_NOSIGNAL), (ssize_t)strlen(what));
}

/* What has come, once something has. */
static const char *hear(int fd)
{
    ssize_t len;
    until((len = recv(fd, text, sizeof text - 1, 0)) >= 0);
    text[len] = '\0';
    return text;
}

static void serve(void)
{
    if (world.server >= 0) {
        close(world.server);
    }
    until((world.server = accept4(world.upstream, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0);
}

static bool closed(int fd)
{
    char byte;
    ssize_t len = recv(fd, &byte, 1, MSG_PEEK);
    return len == 0 || (len < 0 && errno == ECONNRESET);
}

static void assert_has(const char *words)
{
    if (strstr(text, words) == NULL) {
        fail_msg("no \"%s\" in:\n%s", words, text);
    }
}

#define GET          "GET /in/a?b HTTP/1.1\r\nHost: h.test\r\n\r\n"
#define POST_CHUNKED "POST /in HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define ANSWER       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* --- tests -------------------------------------------------------------------------------------
 */

static void a_request_and_its_answer_pass(void **state)
{
    (void)state;
    open_world("", "");
    for (int i = 0; i < 3; i++) {
        say(world.clients[0], GET);
        if (i == 0) {
            serve();
        }
        hear(world.server);
        assert_has("GET /in/a?b HTTP/1.1\r\nHost: h.test\r\n");
        assert_has("X-Forwarded-For: 192.0.2.1\r\n");
        say(world.server, ANSWER);
        hear(world.clients[0]);
        assert_has("HTTP/1.1 200 OK\r\n");
        assert_has("Via: 1.1 weir\r\n");
        assert_has("\r\n\r\nok");
    }
    const struct relay_series *series = relay_series_at(world.relay, 1);
    assert_string_equal(series->upstream, "up");
    assert_int_equal(count_read(&series->by_code[200]), 3);
    assert_int_equal(count_read(&series->answer_bytes), 6);
    struct relay_endpoint_info info;
    relay_endpoint_info_of(world.relay, 0, 0, &info);
    assert_int_equal(info.answered, 3);
    assert_int_equal(info.key_state, WEIR_KEY_UP);
    assert_true(info.healthy && !info.checked);
    close_world();
}

static void steady_state_allocates_nothing(void **state)
{
    (void)state;
    open_world("", "");
    unsigned long before = 0;
    for (int i = 0; i < 200; i++) {
        if (i == 100) {
            before = allocations;
        }
        int client = world.clients[i % CLIENTS];
        say(client,
            i % 2 == 0 ? GET : "POST /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 3\r\n\r\nabc");
        if (i == 0) {
            serve();
        }
        hear(world.server);
        say(world.server, ANSWER);
        hear(client);
        assert_has("\r\n\r\nok");
    }
    assert_int_equal(allocations - before, 0);
    assert_true(!COUNTS_ALLOCATIONS || before > 0);
    close_world();
}

static void what_has_no_route_is_not_found(void **state)
{
    (void)state;
    open_world("", "");
    say(world.clients[0], "GET /out HTTP/1.1\r\nHost: h.test\r\n\r\n");
    hear(world.clients[0]);
    assert_has("HTTP/1.1 404 Not Found\r\n");
    assert_has("{\"error\":{\"code\":\"no_route\"");
    say(world.clients[0], "HEAD /out HTTP/1.1\r\nHost: h.test\r\n\r\n");
    const char *head = hear(world.clients[0]);
    assert_non_null(strstr(head, "\r\n\r\n"));
    assert_string_equal(strstr(head, "\r\n\r\n"), "\r\n\r\n");
    assert_int_equal(count_read(&relay_series_at(world.relay, 0)->by_code[404]), 2);
    close_world();
}

static void bodies_have_a_limit(void **state)
{
    (void)state;
    open_world(", limits: { body: 10 }", "");
    say(world.clients[0], "POST /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 11\r\n\r\n");
    hear(world.clients[0]);
    assert_has("HTTP/1.1 413 ");
    say(world.clients[1],
        "POST /in HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n");
    serve();
    hear(world.server);
    say(world.clients[1], "6\r\nabcdef\r\n");
    hear(world.clients[1]);
    assert_has("HTTP/1.1 413 ");
    until(closed(world.server) || recv(world.server, text, sizeof text, 0) < 0);
    close_world();
}

static void clients_have_a_limit(void **state)
{
    (void)state;
    open_world(", limits: { concurrent_per_client: 1 }", "");
    say(world.clients[0], GET);
    serve();
    hear(world.server);
    say(world.clients[1], GET);
    hear(world.clients[1]);
    assert_has("HTTP/1.1 429 ");
    assert_has("Retry-After: 1\r\n");
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    say(world.clients[1], GET);
    hear(world.server);
    say(world.server, ANSWER);
    hear(world.clients[1]);
    assert_has("HTTP/1.1 200 OK\r\n");
    close_world();
}

/* One after the other over the only connection; the queue's end is told so. */
static void who_finds_no_connection_waits(void **state)
{
    (void)state;
    open_world("", ", pool: { max_connections: 1, waiting_max: 1 }");
    say(world.clients[0], POST_CHUNKED "2\r\n12\r\n");
    serve();
    hear(world.server);
    assert_has("\r\n\r\n2\r\n12\r\n");
    say(world.clients[1], POST_CHUNKED "3\r\nabc\r\n");
    until(relay_open_count(world.relay) == 2);
    say(world.clients[2], GET);
    hear(world.clients[2]);
    assert_has("HTTP/1.1 503 ");
    assert_has("\"code\":\"queue_full\"");
    say(world.clients[1], "0\r\n\r\n");
    say(world.clients[0], "3\r\n345\r\n0\r\n\r\n");
    hear(world.server);
    assert_has("3\r\n345\r\n0\r\n\r\n");
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    hear(world.server);
    assert_has("Transfer-Encoding: chunked\r\n");
    assert_has("3\r\nabc\r\n");
    while (strstr(text, "0\r\n\r\n") == NULL) {
        hear(world.server);
    }
    say(world.server, ANSWER);
    hear(world.clients[1]);
    assert_has("HTTP/1.1 200 OK\r\n");
    close_world();
}

/* A short body is waited for before a connection is asked for: slow clients hold none. */
static void a_short_body_is_gathered_first(void **state)
{
    (void)state;
    open_world("", ", pool: { max_connections: 1 }");
    say(world.clients[0], "POST /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 5\r\n\r\n12");
    until(relay_open_count(world.relay) == 1);
    say(world.clients[1], GET);
    serve();
    hear(world.server);
    assert_has("GET /in/a?b HTTP/1.1\r\n");
    say(world.server, ANSWER);
    hear(world.clients[1]);
    say(world.clients[0], "345");
    hear(world.server);
    assert_has("Content-Length: 5\r\n");
    assert_has("\r\n\r\n12345");
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    close_world();
}

static void who_leaves_the_queue_is_forgotten(void **state)
{
    (void)state;
    open_world("", ", pool: { max_connections: 1 }");
    say(world.clients[0], GET);
    serve();
    hear(world.server);
    say(world.clients[1], GET);
    until(relay_open_count(world.relay) == 2);
    shutdown(world.clients[1], SHUT_RDWR);
    until(relay_open_count(world.relay) == 1);
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    assert_int_equal(count_read(&relay_series_at(world.relay, 1)->by_code[499]), 1);
    close_world();
}

static void a_client_that_leaves_takes_its_call_along(void **state)
{
    (void)state;
    open_world("", "");
    say(world.clients[0], GET);
    serve();
    hear(world.server);
    shutdown(world.clients[0], SHUT_RDWR);
    until(closed(world.server));
    until(relay_open_count(world.relay) == 0);
    close_world();
}

/* A reused connection closes without a word: GET goes again on a fresh one, POST does not. */
static void what_is_stale_is_replayed_once(void **state)
{
    (void)state;
    open_world("", "");
    say(world.clients[0], GET);
    serve();
    hear(world.server);
    say(world.server, ANSWER);
    hear(world.clients[0]);
    say(world.clients[0], GET);
    hear(world.server);
    serve(); /* closes the first */
    hear(world.server);
    assert_has("GET /in/a?b HTTP/1.1\r\nHost: h.test\r\n");
    assert_has("X-Forwarded-For: 192.0.2.1\r\n");
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    assert_int_equal(count_read(&relay_series_at(world.relay, 1)->retries_stale), 1);
    say(world.clients[0], "POST /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 2\r\n\r\nab");
    hear(world.server);
    close(world.server);
    world.server = -1;
    hear(world.clients[0]);
    assert_has("HTTP/1.1 502 ");
    assert_has("Proxy-Status: weir; error=connection_terminated\r\n");
    say(world.clients[0], "PUT /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 2\r\n\r\nab");
    serve();
    hear(world.server);
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    say(world.clients[0], "PUT /in HTTP/1.1\r\nHost: h.test\r\nContent-Length: 2\r\n\r\ncd");
    hear(world.server);
    serve();
    hear(world.server);
    assert_has("\r\n\r\ncd");
    close_world();
}

static void a_cut_answer_is_cut(void **state)
{
    (void)state;
    open_world("", "");
    say(world.clients[0], GET);
    serve();
    hear(world.server);
    say(world.server, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok");
    hear(world.clients[0]);
    assert_has("Content-Length: 9\r\n");
    close(world.server);
    world.server = -1;
    until(closed(world.clients[0]));
    assert_int_equal(count_read(&relay_series_at(world.relay, 1)->cut), 1);
    close_world();
}

static void nobody_there_is_a_bad_gateway(void **state)
{
    (void)state;
    open_world("", ", pool: { failures_max: 1, down_for: 9s }");
    close(world.upstream);
    say(world.clients[0], GET);
    hear(world.clients[0]);
    assert_true(strstr(text, "HTTP/1.1 502 ") != NULL || strstr(text, "HTTP/1.1 503 ") != NULL);
    say(world.clients[0], GET);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 503 ");
    assert_has("Retry-After: 9\r\n");
    assert_has("\"code\":\"down\"");
    world.upstream = listening(SOCK_NONBLOCK, 16, &world.port);
    close_world();
}

/* Answers checks with this status until the condition holds or a request comes. */
#define answer_checks(status, condition)                                                           \
    do {                                                                                           \
        turn();                                                                                    \
        if (world.server >= 0) {                                                                   \
            close(world.server);                                                                   \
        }                                                                                          \
        world.server = accept4(world.upstream, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);          \
        if (world.server < 0) {                                                                    \
            continue;                                                                              \
        }                                                                                          \
        hear(world.server);                                                                        \
        if (strstr(text, "GET /healthz HTTP/1.1\r\n") == NULL) {                                   \
            break;                                                                                 \
        }                                                                                          \
        say(world.server, "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n");                     \
    } while (!(condition))

static bool is_healthy(void)
{
    struct relay_endpoint_info info;
    relay_endpoint_info_of(world.relay, 0, 0, &info);
    return info.checked && info.healthy;
}

static bool is_unhealthy(void)
{
    struct relay_endpoint_info info;
    relay_endpoint_info_of(world.relay, 0, 0, &info);
    return info.checked && !info.healthy;
}

static void checks_decide_who_gets_requests(void **state)
{
    (void)state;
    open_world("", ", health: { path: /healthz, interval: 10ms, failures: 2, recovery: 10ms }");
    answer_checks("204 No Content", is_healthy());
    answer_checks("500 Internal Server Error", is_unhealthy());
    say(world.clients[0], GET);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 503 ");
    assert_has("\"code\":\"down\"");
    answer_checks("302 Found", is_healthy());
    say(world.clients[0], GET);
    answer_checks("200 OK", false);
    assert_has("GET /in/a?b HTTP/1.1\r\n");
    say(world.server, ANSWER);
    hear(world.clients[0]);
    assert_has("HTTP/1.1 200 OK\r\n");
    close_world();
}

/* Nobody listens where the checks go. */
static void a_check_that_cannot_connect_fails(void **state)
{
    (void)state;
    open_world("", ", health: { path: /healthz, interval: 10ms, failures: 1, recovery: 10ms }");
    close(world.upstream);
    until(is_unhealthy());
    world.upstream = listening(SOCK_NONBLOCK, 16, &world.port);
    close_world();
}

static void a_check_has_its_time(void **state)
{
    (void)state;
    open_world("", ", health: { path: /healthz, interval: 10ms, timeout: 10ms, failures: 1 }");
    until(is_unhealthy());
    close_world();
}

/* --- WebSockets ---------------------------------------------------------------------------------
 */

#define UPGRADE                                                                                    \
    "GET /in HTTP/1.1\r\nHost: h.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"            \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define AGREED                                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"            \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
#define CELLS_MAX 1024

static void *cells[CELLS_MAX];
static unsigned cells_count;

/* So that the next one needs memory. */
static void take_all_cells(void)
{
    memory.fail_all = true;
    cells_count = 0;
    while ((cells[cells_count] = loop_cell_take(world.loop)) != NULL) {
        assert_true(++cells_count < CELLS_MAX);
    }
    memory.fail_all = false;
}

static void give_all_cells(void)
{
    while (cells_count > 0) {
        loop_cell_give(world.loop, cells[--cells_count]);
    }
}

static void ask_for_websocket(void)
{
    open_world("", "");
    say(world.clients[0], UPGRADE);
    serve();
    hear(world.server);
    assert_has("dGhlIHNhbXBsZSBub25jZQ==");
}

/* Of a close frame that a client is told; 0: it is something else. */
static unsigned close_code_of(const char *frame)
{
    return (uint8_t)frame[0] == 0x88 ? (unsigned)(uint8_t)frame[2] << 8 | (uint8_t)frame[3] : 0;
}

/* A frame of the client's in two parts, of which the first is for its reader to keep. */
static bool half_and_half(void)
{
    say(world.clients[0], "\x81\x85"
                          "abcd"
                          "\x09\x07");
    for (int i = 0; i < 3; i++) {
        turn();
    }
    ssize_t len = recv(world.clients[0], text, sizeof text, 0);
    if (len > 0) {
        assert_int_equal(close_code_of(text), 1013);
        hear(world.server); /* nothing of the frame before it */
        assert_int_equal((uint8_t)text[0], 0x88);
        return false;
    }
    assert_true(len < 0 && errno == EAGAIN);
    say(world.clients[0], "\x0f\x08\x0e");
    size_t heard = 0;
    while (heard < 11) {
        until((len = recv(world.server, text + heard, sizeof text - heard, 0)) > 0);
        heard += (size_t)len;
    }
    assert_memory_equal(text + 6, "\x09\x07\x0f\x08\x0e", 5);
    return true;
}

/* Whatever memory is missing from the upstream's 101 on: a client is refused before its own, or
 * told 1013 behind it, and never just cut. */
static void no_memory_for_a_websocket_is_said(void **state)
{
    (void)state;
    unsigned refused = 0, closed_later = 0;
    bool was_refused = true;
    for (unsigned long n = 1; was_refused; n++) {
        assert_true(n < 100);
        ask_for_websocket();
        take_all_cells();
        memory.fail_at = memory.calls + n;
        say(world.server, AGREED);
        hear(world.clients[0]);
        if (strncmp(text, "HTTP/1.1 500 ", 13) == 0) {
            assert_has("\"code\":\"internal\"");
            refused++;
        } else {
            assert_memory_equal(text, "HTTP/1.1 101 ", 13);
            closed_later += !half_and_half();
        }
        was_refused = memory.calls >= memory.fail_at;
        memory.fail_at = 0;
        give_all_cells();
        close_world();
    }
    assert_int_equal(refused, 3); /* the channel, the client's side, the upstream's */
    assert_int_equal(closed_later, 1);
}

/* A client does not take what comes, and it cannot be kept: the upstream hears whose fault it is.
 */
static void no_memory_for_a_slow_client_is_said_to_the_upstream(void **state)
{
    (void)state;
    static char frame[4 + 60000] = "\x82\x7e\xea\x60";
    ask_for_websocket();
    say(world.server, AGREED);
    hear(world.clients[0]);
    memory.fail_all = true;
    ssize_t len, sent = 0;
    while ((len = recv(world.server, text, sizeof text, 0)) < 0) {
        ssize_t n = send(world.server, frame + sent, sizeof frame - (size_t)sent, MSG_NOSIGNAL);
        sent = n > 0 ? (sent + n) % (ssize_t)sizeof frame : sent;
        turn();
    }
    memory.fail_all = false;
    assert_true(len >= 8 && (uint8_t)text[0] == 0x88);
    assert_int_equal(
        ((uint8_t)text[6] ^ (uint8_t)text[2]) << 8 | ((uint8_t)text[7] ^ (uint8_t)text[3]), 1011);
    close_world();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_answer_pass),
        cmocka_unit_test(steady_state_allocates_nothing),
        cmocka_unit_test(what_has_no_route_is_not_found),
        cmocka_unit_test(bodies_have_a_limit),
        cmocka_unit_test(clients_have_a_limit),
        cmocka_unit_test(who_finds_no_connection_waits),
        cmocka_unit_test(a_short_body_is_gathered_first),
        cmocka_unit_test(who_leaves_the_queue_is_forgotten),
        cmocka_unit_test(a_client_that_leaves_takes_its_call_along),
        cmocka_unit_test(what_is_stale_is_replayed_once),
        cmocka_unit_test(a_cut_answer_is_cut),
        cmocka_unit_test(nobody_there_is_a_bad_gateway),
        cmocka_unit_test(checks_decide_who_gets_requests),
        cmocka_unit_test(a_check_that_cannot_connect_fails),
        cmocka_unit_test(a_check_has_its_time),
        cmocka_unit_test(no_memory_for_a_websocket_is_said),
        cmocka_unit_test(no_memory_for_a_slow_client_is_said_to_the_upstream),
    };
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_install_malloc_and_free_hooks(count_one_more, nothing);
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
