/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSockets between two ends of ours, and their manager.
 */
#include "support/websocket_pair.h"

/* --- messages -----------------------------------------------------------------------------------
 */

static void messages_go_both_ways(void **state)
{
    (void)state;
    static struct pair p;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 1U << 20};
    static char data[1 << 20];
    for (int deflate = WEIR_OFF; deflate <= WEIR_ON; deflate++) {
        pair_make(&p, (weir_websocket_manager_options){.deflate = (uint32_t)deflate});
        struct caller *c = call(&p, "/echo");
        assert_int_equal(c->opened, 1);
        assert_int_equal(c->deflate, deflate == WEIR_ON);
        for (size_t i = 0; i < sizeof data; i++) {
            data[i] = (char)('a' + i * i % 23);
        }
        for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            weir_websocket_kind kind = i % 2 == 0 ? WEIR_WEBSOCKET_TEXT : WEIR_WEBSOCKET_BINARY;
            assert_int_equal(weir_websocket_send(c->ws, kind, data, sizes[i]), WEIR_OK);
            until(c->messages == i + 1);
            assert_int_equal(c->kind, kind);
            assert_int_equal(c->len, sizes[i]);
            assert_memory_equal(c->data, data, sizes[i]);
        }
        weir_websocket_stats stats;
        weir_websocket_manager_stats(p.manager, &stats);
        assert_int_equal(stats.messages_in, 2 * sizeof sizes / sizeof *sizes);
        assert_int_equal(stats.messages_out, stats.messages_in);
        assert_true(deflate == WEIR_OFF ? stats.bytes_in > 2U << 20 : stats.bytes_in < 1U << 20);
        assert_int_equal(stats.open, 2);
        assert_int_equal(stats.total, 2);
        assert_int_equal(stats.dialled, 1);
        assert_int_equal(stats.accepted, 1);
        hang_up(c);
        until(p.closed == 1);
        assert_int_equal(p.code, 1000);
        assert_string_equal(p.reason, "bye");
        pair_end(&p);
    }
}

/* A client that does not wait for the 101. */
static void bytes_behind_the_opening_count(void **state)
{
    (void)state;
    static struct pair p;
    char bytes[512];
    weir_websocket_stats stats;
    pair_make(&p, (weir_websocket_manager_options){0});
    size_t opening = strlen(ASK("/sink"));
    memcpy(bytes, ASK("/sink"), opening);
    size_t ahead = frame(bytes + opening, 0x81, "early", 5);
    int fd = raw(&p);
    raw_say(fd, bytes, opening + ahead);
    until(p.messages == 1);
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.bytes_in, ahead);
    close(fd);
    pair_end(&p);
}

static void subprotocols_are_chosen(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call_as(&p, "/proto", "superchat, chat");
    until(c->opened == 1);
    assert_string_equal(c->protocol, "chat");
    hang_up(c);
    c = call_as(&p, "/proto", "superchat");
    until(c->closed == 1); /* the program chose what was not offered */
    assert_int_equal(c->err, WEIR_EPROTOCOL);
    assert_int_equal(c->status, 400);
    hang_up(c);
    pair_end(&p);
}

static void pings_are_answered(void **state)
{
    (void)state;
    static struct pair p;
    char long_one[126] = "";
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call(&p, "/echo");
    assert_int_equal(weir_websocket_ping(c->ws, "hi", 2), WEIR_OK);
    until(c->pongs == 1);
    assert_int_equal(weir_websocket_ping(c->ws, long_one, sizeof long_one), WEIR_ETOO_LARGE);
    hang_up(c);
    pair_end(&p);
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void either_end_closes(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call(&p, "/sink");
    until(p.has_last);
    assert_int_equal(weir_websocket_close(p.last, 1005, NULL), WEIR_EINVAL);
    assert_int_equal(weir_websocket_close(p.last, 1000, "\xff"), WEIR_EINVAL);
    assert_int_equal(weir_websocket_close(p.last, 4321, "enough"), WEIR_OK);
    until(c->closed == 1 && p.closed == 1);
    assert_int_equal(c->err, WEIR_OK);
    assert_int_equal(c->code, 4321);
    assert_string_equal(c->reason, "enough");
    assert_int_equal(p.code, 4321);
    assert_int_equal(weir_websocket_close(p.last, 0, NULL), WEIR_ESTALE);
    assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_TEXT, "a", 1), WEIR_ESTALE);
    hang_up(c);
    pair_end(&p);
}

static void a_server_that_closes_says_so(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call(&p, "/sink");
    assert_int_equal(weir_server_count(p.server), 1);
    assert_int_equal(weir_server_close(p.server, 5000), WEIR_OK);
    until(c->closed == 1);
    assert_int_equal(c->code, 1001);
    assert_int_equal(p.closed, 1);
    hang_up(c);
    assert_int_equal(weir_websocket_manager_free(p.manager, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(p.runtime, 0), WEIR_OK);
}

static void a_server_that_is_in_a_hurry_cuts(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    int fd = raw_open(&p, ASK("/sink"));
    assert_int_equal(weir_server_close(p.server, WEIR_NONE), WEIR_OK);
    assert_int_equal(p.closed, 1);
    raw_code(fd); /* goodbye may have been said */
    assert_true(is_closed(fd));
    close(fd);
    assert_int_equal(weir_websocket_manager_free(p.manager, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(p.runtime, 0), WEIR_OK);
}

static void a_manager_that_closes_says_so(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *c = call(&p, "/sink");
    int fd = raw_open(&p, ASK("/sink"));
    int deaf = raw_open(&p, ASK("/sink"));
    uint64_t begun_ms = clock_now_ms();
    assert_int_equal(weir_websocket_manager_free(p.manager, 200), WEIR_OK);
    assert_true(clock_now_ms() - begun_ms >= 200); /* two did not answer */
    assert_int_equal(c->closed, 1);
    assert_int_equal(raw_code(fd), 1001);
    assert_int_equal(raw_code(deaf), 1001);
    close(fd);
    close(deaf);
    hang_up(c);
    until(weir_server_count(p.server) == 0);
    assert_int_equal(weir_server_close(p.server, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(p.runtime, 0), WEIR_OK);
    assert_int_equal(p.opened, 3);
    assert_int_equal(p.closed, 3);
}

/* --- dials that fail ----------------------------------------------------------------------------
 */

static int deaf_port(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static void dials_fail_with_their_reason(void **state)
{
    (void)state;
    static struct pair p;
    char url[64];
    uint16_t port;
    pair_make(&p, (weir_websocket_manager_options){.open_timeout_ms = 700});
    struct caller *c = call(&p, "/plain");
    assert_int_equal(c->err, WEIR_EPROTOCOL);
    assert_int_equal(c->status, 404);
    assert_int_equal(c->code, 1006);
    free(c);
    int fd = deaf_port(&port);
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", port);
    c = call(&p, url);
    assert_int_equal(c->err, WEIR_EFIRST_BYTE_TIMEOUT);
    free(c);
    c = call_as(&p, url, NULL);
    assert_int_equal(weir_websocket_close(c->ws, 0, NULL), WEIR_OK);
    until(c->closed == 1);
    assert_int_equal(c->err, WEIR_ECANCELED);
    free(c);
    close(fd);
    c = call(&p, url);
    assert_int_equal(c->err, WEIR_EREFUSED);
    free(c);
    weir_websocket_stats stats;
    until((weir_websocket_manager_stats(p.manager, &stats), stats.total == 0));
    assert_int_equal(stats.failed, 4);
    assert_int_equal(stats.closed, 0);
    static const char *const bad[] = {"http://h/", "ws:/h", "ws://", "ws://h/#a", "ws://u@h/"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const weir_websocket_request request = {.url = bad[i]};
        assert_int_equal(weir_websocket_dial(p.manager, &request, &caller_handler, NULL, NULL),
                         WEIR_EINVAL);
    }
    static const weir_http_field fields[] = {{.name = "Sec-WebSocket-Key", .value = "a"},
                                             {.name = "X", .value = "a\r\nb"},
                                             {.name = "Connection", .value = "close"}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const weir_websocket_request request = {
            .url = "ws://h/", .fields = &fields[i], .field_count = 1};
        assert_int_equal(weir_websocket_dial(p.manager, &request, &caller_handler, NULL, NULL),
                         WEIR_EINVAL);
    }
    pair_end(&p);
}

/* What a server may answer that is no WebSocket. */
static void answers_are_judged(void **state)
{
    (void)state;
    static struct pair p;
    static const char wrong_key[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char *const answers[] = {
        wrong_key,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n",
        "",
    };
    char url[64];
    uint16_t port;
    int listening = deaf_port(&port);
    pair_make(&p, (weir_websocket_manager_options){0});
    snprintf(url, sizeof url, "ws://127.0.0.1:%u/", port);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct caller *c = call_as(&p, url, NULL);
        int fd = accept(listening, NULL, NULL);
        raw_head(fd);
        raw_say(fd, answers[i], strlen(answers[i]));
        shutdown(fd, SHUT_WR);
        until(c->closed == 1);
        assert_int_equal(c->err, answers[i][0] == '\0' ? WEIR_EHANGUP : WEIR_EPROTOCOL);
        assert_int_equal(c->opened, 0);
        free(c);
        close(fd);
    }
    close(listening);
    pair_end(&p);
}

/* --- limits -------------------------------------------------------------------------------------
 */

static void there_are_as_many_as_allowed(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){.pool = {.max_total = 3}});
    struct caller *c = call(&p, "/sink");
    int third = raw_open(&p, ASK("/sink"));
    int fd = raw(&p);
    raw_say(fd, ASK("/sink"), strlen(ASK("/sink")));
    assert_memory_equal(raw_head(fd), "HTTP/1.1 503 ", 13);
    until(p.said == WEIR_EFULL);
    close(fd);
    const weir_websocket_request request = {.url = "ws://127.0.0.1:1/"};
    assert_int_equal(weir_websocket_dial(p.manager, &request, &caller_handler, NULL, NULL),
                     WEIR_EFULL);
    weir_websocket_stats stats;
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.total, 3);
    assert_int_equal(stats.max, 3);
    assert_int_equal(stats.refused, 2);
    close(third);
    until((weir_websocket_manager_stats(p.manager, &stats), stats.total == 2));
    fd = raw_open(&p, ASK("/sink"));
    close(fd);
    hang_up(c);
    pair_end(&p);
}

static void messages_are_bounded(void **state)
{
    (void)state;
    static struct pair p;
    static char data[2000];
    for (int deflate = WEIR_OFF; deflate <= WEIR_ON; deflate++) {
        pair_make(&p, (weir_websocket_manager_options){.message_max = 1000,
                                                       .deflate = (uint32_t)deflate,
                                                       .deflate_min = WEIR_NONE});
        struct caller *c = call(&p, "/count");
        assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_BINARY, data, 1000), WEIR_OK);
        until(c->messages == 1);
        assert_string_equal(c->data, "2 1000");
        assert_int_equal(weir_websocket_send(c->ws, WEIR_WEBSOCKET_BINARY, data, 1001), WEIR_OK);
        until(c->closed == 1 && p.closed == 1);
        assert_int_equal(c->code, 1009);
        assert_int_equal(p.code, 1009);
        assert_int_equal(p.err, WEIR_ETOO_LARGE);
        assert_string_equal(p.detail, "message_size");
        hang_up(c);
        pair_end(&p);
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

static void who_does_not_answer_is_closed(void **state)
{
    (void)state;
    static struct pair p;
    char payload[128];
    size_t len;
    pair_make(&p, (weir_websocket_manager_options){
                      .close_timeout_ms = 100,
                      .pool = {.probe_every_ms = 100, .probe_timeout_ms = 1500}});
    int silent = raw_open(&p, ASK("/sink")), lively = raw_open(&p, ASK("/sink"));
    struct caller *c = call(&p, "/echo");
    assert_int_equal(raw_hear(silent, payload, &len), 0x89);
    for (int pings = 0; pings < 5; pings++) {
        assert_int_equal(raw_hear(lively, payload, &len), 0x89);
        raw_frame(lively, 0x8a, payload, len);
    }
    until(p.closed == 1);
    assert_int_equal(p.err, WEIR_EPROBE_TIMEOUT);
    assert_int_equal(p.code, 1006);
    assert_int_equal(raw_code(silent), 1001);
    weir_websocket_stats stats;
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.unanswered, 1);
    assert_int_equal(stats.open, 3);
    assert_true(stats.pongs >= 5 && stats.pings > stats.pongs);
    assert_int_equal(c->closed, 0);
    close(silent);
    close(lively);
    hang_up(c);
    pair_end(&p);
}

static void silence_has_an_end_without_pings(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){
                      .close_timeout_ms = 100,
                      .pool = {.probe_every_ms = WEIR_NEVER, .idle_timeout_ms = 100}});
    int fd = raw_open(&p, ASK("/sink"));
    until(p.closed == 1);
    assert_int_equal(p.err, WEIR_EIDLE);
    assert_int_equal(raw_code(fd), 1001);
    close(fd);
    weir_websocket_stats stats;
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.timed_out, 1);
    assert_int_equal(stats.pings, 0);
    pair_end(&p);
}

static void a_close_that_is_not_answered_has_an_end(void **state)
{
    (void)state;
    static struct pair p;
    pair_make(&p, (weir_websocket_manager_options){.close_timeout_ms = 100});
    int fd = raw_open(&p, ASK("/sink"));
    until(p.has_last);
    assert_int_equal(weir_websocket_close(p.last, 0, NULL), WEIR_OK);
    assert_int_equal(raw_code(fd), 1000);
    until(p.closed == 1);
    assert_int_equal(p.err, WEIR_EREAD_TIMEOUT);
    assert_int_equal(p.code, 1006);
    close(fd);
    pair_end(&p);
}

static void a_health_check_asks_all(void **state)
{
    (void)state;
    static struct pair p;
    enum { N = 150 };
    int fds[N];
    pair_make(&p, (weir_websocket_manager_options){
                      .close_timeout_ms = 100,
                      .pool = {.probe_every_ms = WEIR_NEVER, .probe_timeout_ms = 4000}});
    for (int i = 0; i < N; i++) {
        fds[i] = raw_open(&p, ASK("/sink"));
    }
    until(p.opened == N);
    weir_websocket_health_check(p.manager);
    char payload[128];
    size_t len;
    for (int i = 0; i < N; i += 2) { /* those that answer first: their time is running */
        assert_int_equal(raw_hear(fds[i], payload, &len), 0x89);
        raw_frame(fds[i], 0x8a, payload, len);
    }
    for (int i = 1; i < N; i += 2) {
        assert_int_equal(raw_hear(fds[i], payload, &len), 0x89);
    }
    until(p.closed == N / 2);
    weir_websocket_stats stats;
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.unanswered, N / 2);
    assert_int_equal(stats.open, N / 2);
    assert_int_equal(stats.pings, N);
    for (int i = 0; i < N; i++) {
        close(fds[i]);
    }
    pair_end(&p);
}

/* --- who does not read --------------------------------------------------------------------------
 */

static void nobody_is_sent_more_than_fits(void **state)
{
    (void)state;
    static struct pair p;
    static char payload[1 << 20];
    size_t len;
    pair_make(&p, (weir_websocket_manager_options){.unsent_max = 100000,
                                                   .pool = {.write_timeout_ms = 1500}});
    int fd = raw_open(&p, ASK("/stuff"));
    until(p.opened == 1 && p.stuffed > 0);
    for (uint32_t i = 0; i < p.stuffed; i++) {
        assert_int_equal(raw_hear(fd, payload, &len), 0x82);
        assert_int_equal(len, 1024);
    }
    close(fd);
    until(p.closed == 1);
    uint32_t taken = p.stuffed;
    fd = raw_open(&p, ASK("/stuff"));
    until(p.closed == 2); /* it takes nothing at all */
    assert_true(p.err == WEIR_EWRITE_TIMEOUT);
    assert_true(p.stuffed - taken < 64U << 10); /* the kernel's part, and ours */
    close(fd);
    pair_end(&p);
}

/* A peer that sends much and reads late: nothing is lost, and not all of it is kept. */
static void echoes_wait_for_their_reader(void **state)
{
    (void)state;
    static struct pair p;
    enum { N = 8000, SIZE = 4096 };
    static char block[SIZE], frames[SIZE + 8], payload[1 << 20];
    pair_make(&p, (weir_websocket_manager_options){0});
    int fd = raw_open(&p, ASK("/echo"));
    size_t len = frame(frames, 0x82, block, SIZE);
    size_t said = 0, heard = 0, sent = 0;
    while (said < N) {
        ssize_t n = send(fd, frames + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (n < 0 && poll(&wait, 1, 500) == 0) {
            break; /* it does not take more: it is waiting for its reader */
        }
        sent = (sent + (n > 0 ? (size_t)n : 0)) % len;
        said += n > 0 && sent == 0;
    }
    assert_true(said < N);
    while (heard < said) {
        size_t got;
        assert_int_equal(raw_hear(fd, payload, &got), 0x82);
        assert_int_equal(got, SIZE);
        heard++;
    }
    assert_true(p.drains > 0);
    close(fd);
    pair_end(&p);
}

/* What is said while much is read at once may be kept, though the peer takes all of it: who stopped
 * for that goes on. */
static void who_waits_for_what_was_taken_goes_on(void **state)
{
    (void)state;
    enum { MESSAGES = 560, LEN = 100, ROUNDS_MAX = 200 };
    static struct pair p;
    static char bytes[65536];
    char data[LEN] = "", payload[LEN];
    size_t len = 0, heard;
    pair_make(&p, (weir_websocket_manager_options){0});
    int fd = raw_open(&p, ASK("/timid"));
    for (int i = 0; i < MESSAGES; i++) {
        len += frame(bytes + len, 0x82, data, sizeof data);
    }
    for (int round = 0; p.pauses == 0; round++) { /* until so much came in one read */
        assert_true(round < ROUNDS_MAX);
        raw_say(fd, bytes, len);
        for (int i = 0; i < MESSAGES; i++) {
            assert_int_equal(raw_hear(fd, payload, &heard), 0x82);
            assert_int_equal(heard, sizeof data);
        }
    }
    assert_true(p.drains > 0);
    close(fd);
    pair_end(&p);
}

static void broadcasts_pass_the_slow_by(void **state)
{
    (void)state;
    static struct pair p;
    enum { N = 40, ROUNDS = 400 };
    static char text[20000];
    for (uint32_t slow = WEIR_WEBSOCKET_SKIP; slow <= WEIR_WEBSOCKET_CUT; slow++) {
        pair_make(&p, (weir_websocket_manager_options){.unsent_max = 100000, .slow = slow});
        struct caller *callers[N];
        for (int i = 0; i < N; i++) {
            callers[i] = call(&p, "/sink");
        }
        int stalled = raw_open(&p, ASK("/sink")); /* reads nothing */
        until(p.opened == N + 1);
        memset(text, 'b', sizeof text);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            weir_err err;
            until(
                (err = weir_websocket_broadcast(p.manager, WEIR_WEBSOCKET_TEXT, text, sizeof text))
                != WEIR_EAGAIN);
            assert_int_equal(err, WEIR_OK);
            for (int k = 0; k < N; k++) {
                until(callers[k]->messages == i + 1);
            }
        }
        weir_websocket_stats stats;
        weir_websocket_manager_stats(p.manager, &stats);
        assert_int_equal(stats.broadcasts, ROUNDS);
        if (slow == WEIR_WEBSOCKET_SKIP) {
            assert_true(stats.skipped > 0);
            assert_int_equal(stats.cut, 0);
        } else {
            assert_int_equal(stats.cut, 1);
            assert_int_equal(stats.skipped, 0);
        }
        assert_int_equal(callers[0]->len, sizeof text);
        close(stalled);
        for (int i = 0; i < N; i++) {
            hang_up(callers[i]);
        }
        pair_end(&p);
    }
}

/* --- names --------------------------------------------------------------------------------------
 */

static bool count_names(void *arg, const char *name, weir_websocket ws)
{
    uint32_t *count = arg;
    assert_non_null(name);
    assert_non_null(ws.manager);
    ++*count;
    return true;
}

static void names_lead_to_connections(void **state)
{
    (void)state;
    static struct pair p;
    enum { NAMES = 5000 };
    char name[300];
    weir_websocket ws;
    uint32_t count = 0;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *a = call(&p, "/sink"), *b = call(&p, "/sink");
    assert_int_equal(weir_websocket_add(p.manager, "a", a->ws), WEIR_OK);
    assert_int_equal(weir_websocket_add(p.manager, "a", b->ws), WEIR_EEXISTS);
    assert_int_equal(weir_websocket_add(p.manager, "b", b->ws), WEIR_OK);
    assert_int_equal(weir_websocket_add(p.manager, "", b->ws), WEIR_EINVAL);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_int_equal(weir_websocket_add(p.manager, name, b->ws), WEIR_EINVAL);
    assert_int_equal(weir_websocket_get(p.manager, "a", &ws), WEIR_OK);
    assert_int_equal(ws.id, a->ws.id);
    assert_int_equal(weir_websocket_get(p.manager, "c", &ws), WEIR_ESTALE);
    for (int i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "conn%d", i);
        assert_int_equal(weir_websocket_add(p.manager, name, i % 2 == 0 ? a->ws : b->ws), WEIR_OK);
    }
    weir_websocket_stats stats;
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.names, NAMES + 2);
    weir_websocket_each_name(p.manager, count_names, &count);
    assert_int_equal(count, NAMES + 2);
    assert_int_equal(weir_websocket_remove(p.manager, "conn1", 0), WEIR_OK);
    assert_int_equal(weir_websocket_remove(p.manager, "conn1", 0), WEIR_ESTALE);
    assert_int_equal(b->closed, 0);
    assert_int_equal(weir_websocket_remove(p.manager, "a", 1000), WEIR_OK);
    until(a->closed == 1);
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.names, NAMES / 2); /* b, and all of b's but conn1 */
    assert_int_equal(weir_websocket_add(p.manager, "a", a->ws), WEIR_ESTALE);
    hang_up(a);
    hang_up(b);
    weir_websocket_manager_stats(p.manager, &stats);
    assert_int_equal(stats.names, 0);
    pair_end(&p);
}

static bool look(void *arg, const weir_websocket_info *info)
{
    uint32_t *count = arg;
    *count += info->is_open && strcmp(info->peer, "127.0.0.1") == 0 && info->unsent == 0;
    return true;
}

static void all_are_shown(void **state)
{
    (void)state;
    static struct pair p;
    uint32_t count = 0;
    pair_make(&p, (weir_websocket_manager_options){0});
    struct caller *a = call(&p, "/sink"), *b = call(&p, "/sink");
    until(p.opened == 2);
    assert_int_equal(weir_websocket_each(p.manager, look, &count), WEIR_OK);
    assert_int_equal(count, 4);
    hang_up(a);
    hang_up(b);
    pair_end(&p);
}

/* --- options ------------------------------------------------------------------------------------
 */

static void options_are_checked(void **state)
{
    (void)state;
    weir_runtime *runtime;
    weir_websocket_manager *manager, *other;
    static const struct {
        weir_websocket_manager_options opt;
        const char *fault;
    } bad[] = {
        {{.size = 100000}, "size"},
        {{.slow = 3}, "slow"},
        {{.deflate = 3}, "deflate"},
        {{.message_max = 1ULL << 33}, "message_max"},
        {{.open_timeout_ms = WEIR_NEVER}, "open_timeout"},
        {{.close_timeout_ms = WEIR_NEVER}, "close_timeout"},
        {{.tls = {.verify = 7}}, "tls.verify"},
        {{.tls = {.ca = "/nowhere.pem"}}, "tls.ca"},
        {{.tls = {.key = "/nowhere.pem"}}, "tls.key"},
        {{.pool = {.max_total = WEIR_NONE}}, "max_total"},
        {{.pool = {.max_total = WEIR_UNLIMITED}}, "max_total"},
    };
    assert_int_equal(weir_runtime_open(&(weir_runtime_options){.workers = 1}, &runtime), WEIR_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_websocket_manager_new(runtime, &bad[i].opt, &manager), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].fault);
    }
    const weir_websocket_manager_options named = {.pool = {.name = "mine"}};
    assert_int_equal(weir_websocket_manager_new(runtime, &named, &manager), WEIR_OK);
    assert_int_equal(weir_websocket_manager_new(runtime, &named, &other), WEIR_EEXISTS);
    assert_int_equal(weir_websocket_manager_new(runtime, NULL, &other), WEIR_OK);
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_ESTATE);
    assert_int_equal(weir_websocket_manager_free(manager, 0), WEIR_OK);
    assert_int_equal(weir_websocket_manager_free(other, 0), WEIR_OK);
    assert_int_equal(weir_websocket_manager_free(NULL, 0), WEIR_OK);
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_both_ways),
        cmocka_unit_test(bytes_behind_the_opening_count),
        cmocka_unit_test(subprotocols_are_chosen),
        cmocka_unit_test(pings_are_answered),
        cmocka_unit_test(either_end_closes),
        cmocka_unit_test(a_server_that_closes_says_so),
        cmocka_unit_test(a_server_that_is_in_a_hurry_cuts),
        cmocka_unit_test(a_manager_that_closes_says_so),
        cmocka_unit_test(dials_fail_with_their_reason),
        cmocka_unit_test(answers_are_judged),
        cmocka_unit_test(there_are_as_many_as_allowed),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(who_does_not_answer_is_closed),
        cmocka_unit_test(silence_has_an_end_without_pings),
        cmocka_unit_test(a_close_that_is_not_answered_has_an_end),
        cmocka_unit_test(a_health_check_asks_all),
        cmocka_unit_test(nobody_is_sent_more_than_fits),
        cmocka_unit_test(echoes_wait_for_their_reader),
        cmocka_unit_test(who_waits_for_what_was_taken_goes_on),
        cmocka_unit_test(broadcasts_pass_the_slow_by),
        cmocka_unit_test(names_lead_to_connections),
        cmocka_unit_test(all_are_shown),
        cmocka_unit_test(options_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
