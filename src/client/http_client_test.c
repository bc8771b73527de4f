/* SPDX-License-Identifier: Apache-2.0
 *
 * The client against a server on loopback that does as it is told: answers, redirects, failures,
 * limits, time-outs.
 */
#include <weir/http.h>

#include "io/clock.h"
#include "support/http_peer.h"

#include <semaphore.h>

#define DEADLINE_S 20

struct fixture {
    weir_runtime *runtime;
    weir_http_client *client;
    struct http_peer_server peer, other;
};

static struct fixture *fixture_open(const weir_http_client_options *opt)
{
    struct fixture *f = calloc(1, sizeof *f);
    const weir_runtime_options runtime = {.workers = 2};
    peer_open(&f->peer);
    peer_open(&f->other);
    assert_int_equal(weir_runtime_open(&runtime, &f->runtime), WEIR_OK);
    assert_int_equal(weir_http_client_new(f->runtime, opt, &f->client), WEIR_OK);
    return f;
}

static void fixture_close(struct fixture *f)
{
    assert_int_equal(weir_http_client_free(f->client), WEIR_OK);
    assert_int_equal(weir_runtime_close(f->runtime, 1000), WEIR_OK);
    peer_close(&f->peer);
    peer_close(&f->other);
    free(f);
}

/* "/path" of the first server, "other:/path" of the second, anything else as it is. */
static const char *url_of(const struct fixture *f, const char *path)
{
    static _Thread_local char urls[4][4096];
    static _Thread_local unsigned turn;
    char *url = urls[turn++ % 4];
    bool is_other = strncmp(path, "other:", 6) == 0;
    if (!is_other && path[0] != '/') {
        return path;
    }
    snprintf(url, sizeof urls[0], "http://127.0.0.1:%u%s", is_other ? f->other.port : f->peer.port,
             is_other ? path + 6 : path);
    return url;
}

static weir_http_answer *fetch_as(struct fixture *f, weir_http_request request, const char *path)
{
    weir_http_answer *answer = NULL;
    request.url = url_of(f, path);
    assert_int_equal(weir_http_fetch(f->client, &request, &answer), WEIR_OK);
    return answer;
}

static weir_http_answer *fetch(struct fixture *f, const char *path)
{
    return fetch_as(f, (weir_http_request){0}, path);
}

static weir_err failure_as(struct fixture *f, weir_http_request request, const char *path)
{
    weir_http_answer *answer = NULL;
    request.url = url_of(f, path);
    weir_err err = weir_http_fetch(f->client, &request, &answer);
    weir_http_answer_free(answer);
    return err;
}

static weir_err failure(struct fixture *f, const char *path)
{
    return failure_as(f, (weir_http_request){0}, path);
}

static void expect_body(weir_http_answer *take_answer, const char *text)
{
    weir_text body = weir_http_body(take_answer);
    assert_int_equal(body.len, strlen(text));
    assert_string_equal(body.at, text);
    weir_http_answer_free(take_answer);
}

static void expect_pattern(weir_http_answer *take_answer, size_t len)
{
    weir_text body = weir_http_body(take_answer);
    assert_int_equal(body.len, len);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(body.at[i], peer_pattern_at(i));
    }
    weir_http_answer_free(take_answer);
}

static bool text_is(weir_text text, const char *want)
{
    return text.at != NULL && text.len == strlen(want) && memcmp(text.at, want, text.len) == 0;
}

/* Has it a line that begins with that? */
static bool dump_has(const weir_http_answer *answer, const char *line)
{
    char wanted[512];
    snprintf(wanted, sizeof wanted, "\r\n%s", line);
    return strstr(weir_http_body(answer).at, wanted) != NULL;
}

static weir_http_stats stats_of(struct fixture *f)
{
    weir_http_stats stats;
    weir_http_client_stats(f->client, &stats);
    return stats;
}

/* --- what answers are ---------------------------------------------------------------------------
 */

static void answers_are_whole(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    weir_http_answer *answer = fetch(f, "/hello");
    weir_text name, value;
    weir_http_result result;
    assert_int_equal(weir_http_status(answer), 200);
    assert_true(text_is(weir_http_field_of(answer, "x-peer"), "it"));
    assert_string_equal(weir_http_field_of(answer, "Content-Type").at, "text/plain");
    assert_null(weir_http_field_of(answer, "X-None").at);
    assert_int_equal(weir_http_field_count(answer), 3);
    assert_true(weir_http_field_at(answer, 0, &name, &value));
    assert_true(text_is(name, "X-Peer") && text_is(value, "it"));
    assert_false(weir_http_field_at(answer, 3, &name, &value));
    assert_true(text_is(weir_http_answer_url(answer), url_of(f, "/hello")));
    weir_http_result_of(answer, &result);
    assert_int_equal(result.status, 200);
    assert_int_equal(result.body_bytes, 5);
    assert_false(result.reused);
    expect_body(answer, "hello");

    answer = fetch(f, "/status/204");
    weir_http_result_of(answer, &result);
    assert_true(result.reused);
    expect_body(answer, "");
    expect_pattern(fetch(f, "/bytes/300000"), 300000);
    expect_pattern(fetch(f, "/chunks/123456"), 123456);
    expect_body(fetch(f, "/until-close"), "hello");
    expect_body(fetch(f, "/close"), "hello");
    expect_body(fetch_as(f, (weir_http_request){.method = "HEAD"}, "/bytes/1000"), "");
    assert_int_equal(f->peer.accepted, 3);
    fixture_close(f);
}

static void requests_are_as_they_were_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(weir_http_client_options){.decompress = WEIR_ON});
    const weir_http_field fields[] = {{.name = "X-One", .value = " 1 "},
                                      {.name = "Host", .value = "example.com"}};
    const weir_http_request request = {.fields = fields, .field_count = 2};
    weir_http_answer *answer = fetch_as(f, request, "/dump?a=b#c");
    assert_int_equal(strncmp(weir_http_body(answer).at, "GET /dump?a=b HTTP/1.1\r\n", 24), 0);
    assert_true(dump_has(answer, "Host: example.com\r\n"));
    assert_true(dump_has(answer, "X-One: 1\r\n"));
    assert_true(dump_has(answer, "User-Agent: weir/"));
    assert_true(dump_has(answer, "Accept-Encoding: gzip, deflate\r\n"));
    assert_false(dump_has(answer, "Content-Length"));
    weir_http_answer_free(answer);

    const weir_http_field own[] = {{.name = "user-agent", .value = "me"},
                                   {.name = "accept-encoding", .value = "br"}};
    const weir_http_request post = {.method = "POST", .fields = own, .field_count = 2};
    answer = fetch_as(f, post, "/dump");
    assert_true(dump_has(answer, "Content-Length: 0\r\n"));
    assert_true(dump_has(answer, "user-agent: me\r\n") && !dump_has(answer, "User-Agent"));
    assert_true(dump_has(answer, "accept-encoding: br\r\n") && !dump_has(answer, "Accept-Enc"));
    weir_http_answer_free(answer);
    fixture_close(f);
}

static void bodies_are_sent(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    const weir_http_request small = {.method = "POST", .body = "body", .body_len = 4};
    expect_body(fetch_as(f, small, "/echo"), "body");
    char *big = peer_pattern(5000000);
    const weir_http_request large = {.method = "PUT", .body = big, .body_len = 5000000};
    expect_pattern(fetch_as(f, large, "/echo"), 5000000);
    assert_int_equal(stats_of(f).bytes_out, 5000004);
    weir_http_answer *answer = fetch_as(f, large, "/early");
    assert_int_equal(weir_http_status(answer), 413);
    expect_body(answer, "too much");
    free(big);
    fixture_close(f);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    static const struct {
        const char *name, *value;
    } bad[] = {{"Content-Length", "5"},  {"transfer-encoding", "chunked"},
               {"Connection", "close"},  {"Expect", "x"},
               {"Up grade", "x"},        {"X", "a\r\nY: b"},
               {"X\r\nY", "b"},          {"", "x"},
               {"Host", "a/b"},          {"X", NULL},
               {"Upgrade", "websocket"}, {"TE", "x"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const weir_http_field field = {.name = bad[i].name, .value = bad[i].value};
        const weir_http_request request = {.fields = &field, .field_count = 1};
        assert_int_equal(failure_as(f, request, "/hello"), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), "fields");
    }
    assert_int_equal(failure_as(f, (weir_http_request){.method = "G T"}, "/hello"), WEIR_EINVAL);
    assert_int_equal(failure_as(f, (weir_http_request){.method = "CONNECT"}, "/hello"),
                     WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "method");
    assert_int_equal(failure(f, "ftp://h/"), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "url");
    const weir_http_request proxied = {.proxy = "http://127.0.0.1:1"};
    assert_int_equal(failure_as(f, proxied, "/hello"), WEIR_EPROXY);
    assert_int_equal(failure_as(f, (weir_http_request){.body_len = 3}, "/hello"), WEIR_EINVAL);
    assert_int_equal(failure_as(f, (weir_http_request){.size = 4096}, "/hello"), WEIR_EINVAL);
    assert_int_equal(f->peer.requests, 0);
    fixture_close(f);
}

static void options_are_checked(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    weir_http_client *other;
    static const struct {
        weir_http_client_options opt;
        const char *fault;
    } bad[] = {
        {{.pool = {.max_total = WEIR_NONE}}, "max_total"},
        {{.requests_max = 2000000}, "requests_max"},
        {{.decompress = 7}, "decompress"},
        {{.redirects_max = 256}, "redirects_max"},
        {{.retry_budget_pct = 101}, "retry_budget"},
        {{.headers_max = 257}, "headers_max"},
        {{.header_bytes_max = 1}, "header_bytes_max"},
        {{.user_agent = "a\nb"}, "user_agent"},
        {{.size = 100000}, "size"},
        {{.pool = {.name = ""}}, "name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_http_client_new(f->runtime, &bad[i].opt, &other), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].fault);
    }
    const weir_http_client_options same = {.pool = {.name = "http-client"}};
    assert_string_equal(weir_http_client_name(f->client), "http-client");
    assert_int_equal(weir_http_client_new(f->runtime, &same, &other), WEIR_EEXISTS);
    assert_int_equal(weir_http_client_new(f->runtime, NULL, &other), WEIR_OK);
    assert_string_equal(weir_http_client_name(other), "http-client-2");
    assert_int_equal(weir_http_client_free(other), WEIR_OK);
    weir_pool_options pool;
    weir_http_client_options_of(f->client, &pool);
    assert_int_equal(pool.max_total, 100);
    assert_int_equal(pool.max_per_key, 30);
    assert_int_equal(pool.connect_timeout_ms, 10000);
    assert_int_equal(pool.read_timeout_ms, 30000);
    assert_int_equal(pool.first_byte_timeout_ms, 30000);
    assert_int_equal(pool.total_timeout_ms, 60000);
    assert_int_equal(pool.idle_timeout_ms, 30000);
    fixture_close(f);
}

/* --- redirects ----------------------------------------------------------------------------------
 */

static void redirects_are_followed(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    static const char *const paths[] = {"/to/301//hello",   "/to/302//hello",
                                        "/to/303//hello",   "/to/307//hello",
                                        "/to/308//hello#x", "/to/302//to/302//hello"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        weir_http_answer *answer = fetch(f, paths[i]);
        weir_http_result result;
        weir_http_result_of(answer, &result);
        assert_int_equal(result.redirects, i < 5 ? 1 : 2);
        assert_int_equal(result.body_bytes, 5);
        assert_true(text_is(weir_http_answer_url(answer), url_of(f, "/hello")));
        expect_body(answer, "hello");
    }
    assert_int_equal(f->peer.accepted, 1);
    assert_int_equal(stats_of(f).redirects, 7);
    expect_body(fetch(f, "/long-to/302//hello"), "hello"); /* not read to its end */
    assert_int_equal(f->peer.accepted, 2);
    weir_http_answer *answer = fetch(f, "/status/302"); /* to nowhere: an answer */
    assert_int_equal(weir_http_status(answer), 302);
    weir_http_answer_free(answer);
    answer = fetch(f, "/to/300//hello");
    assert_int_equal(weir_http_status(answer), 300);
    weir_http_answer_free(answer);
    answer = fetch_as(f, (weir_http_request){.flags = WEIR_HTTP_NO_REDIRECT}, "/to/302//hello");
    assert_int_equal(weir_http_status(answer), 302);
    assert_true(text_is(weir_http_field_of(answer, "location"), "/hello"));
    weir_http_answer_free(answer);
    fixture_close(f);
}

static void redirects_have_an_end(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(&(weir_http_client_options){.redirects_max = 3});
    char round[4096] = "/hello";
    for (int i = 0; i < 4; i++) {
        char longer[4200];
        snprintf(longer, sizeof longer, "/to/302/%s", round);
        memcpy(round, longer, sizeof round);
        if (i == 2) {
            expect_body(fetch(f, round), "hello");
        }
    }
    assert_int_equal(failure(f, round), WEIR_EREDIRECTS);
    assert_int_equal(failure(f, "/to/302/ftp://h/"), WEIR_EREDIRECTS);
    assert_int_equal(failure(f, "/to/302/http://u:p@h/"), WEIR_EREDIRECTS);
    expect_body(fetch(f, "/hello"), "hello");
    fixture_close(f);
}

static void methods_change_as_they_should(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    static const struct {
        const char *method;
        unsigned status;
        const char *want;
        bool has_body;
    } cases[] = {
        {"POST", 301, "GET", false}, {"POST", 302, "GET", false},     {"POST", 303, "GET", false},
        {"POST", 307, "POST", true}, {"POST", 308, "POST", true},     {"PUT", 301, "PUT", true},
        {"PUT", 303, "GET", false},  {"DELETE", 302, "DELETE", true},
    };
    const weir_http_field field = {.name = "Content-Type", .value = "text/x"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[64], line[64];
        const weir_http_request request = {.method = cases[i].method,
                                           .fields = &field,
                                           .field_count = 1,
                                           .body = "body",
                                           .body_len = 4};
        snprintf(path, sizeof path, "/to/%u//dump", cases[i].status);
        snprintf(line, sizeof line, "%s /dump ", cases[i].want);
        weir_http_answer *answer = fetch_as(f, request, path);
        assert_int_equal(strncmp(weir_http_body(answer).at, line, strlen(line)), 0);
        assert_int_equal(dump_has(answer, "Content-Length: 4"), cases[i].has_body);
        assert_int_equal(dump_has(answer, "Content-Type"), cases[i].has_body);
        weir_http_answer_free(answer);
    }
    const weir_http_request head = {.method = "HEAD"};
    weir_http_answer *answer = fetch_as(f, head, "/to/303//bytes/77");
    assert_true(text_is(weir_http_field_of(answer, "content-length"), "77"));
    expect_body(answer, "");
    const weir_http_request post = {.method = "POST", .body = "body", .body_len = 4};
    expect_body(fetch_as(f, post, "/to/308//echo"), "body");
    fixture_close(f);
}

static void secrets_stay_at_home(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    static const weir_http_field fields[] = {{.name = "Authorization", .value = "Bearer 1"},
                                             {.name = "Cookie", .value = "a=2"},
                                             {.name = "X-API-Key", .value = "3"},
                                             {.name = "x-auth-token", .value = "4"},
                                             {.name = "X-Mine", .value = "5", .secret = true},
                                             {.name = "X-Open", .value = "6"},
                                             {.name = "Host", .value = "virtual.example"}};
    const weir_http_request request = {.fields = fields, .field_count = 7};
    char there[256], back[512];
    snprintf(there, sizeof there, "/to/302/%s", url_of(f, "other:/dump"));
    snprintf(back, sizeof back, "/to/302/http://127.0.0.1:%u/to/302/%s", f->other.port,
             url_of(f, "/dump"));
    const char *const lines[] = {"Authorization: Bearer 1", "Cookie: a=2", "X-API-Key: 3",
                                 "x-auth-token: 4",         "X-Mine: 5",   "Host: virtual.example"};
    weir_http_answer *home = fetch_as(f, request, "/to/302//dump");
    weir_http_answer *away = fetch_as(f, request, there);
    weir_http_answer *again = fetch_as(f, request, back);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_true(dump_has(home, lines[i]));
        assert_false(dump_has(away, lines[i]));
        assert_false(dump_has(again, lines[i])); /* who has left has left */
    }
    assert_true(dump_has(home, "X-Open: 6") && dump_has(away, "X-Open: 6"));
    weir_http_answer_free(home);
    weir_http_answer_free(away);
    weir_http_answer_free(again);
    fixture_close(f);
}

/* --- decompression ------------------------------------------------------------------------------
 */

static void bodies_are_decompressed(void **state)
{
    (void)state;
    const weir_http_client_options opt = {.decompress = WEIR_ON, .inflated_max = 3000000};
    struct fixture *f = fixture_open(&opt);
    static const char *const kinds[] = {"gzip", "deflate", "bare"};
    for (size_t i = 0; i < 3; i++) {
        for (size_t len = 0; len <= 3000000; len = len * 30 + 1) {
            char path[64];
            snprintf(path, sizeof path, "/%s/%zu", kinds[i], len);
            weir_http_answer *answer = fetch(f, path);
            assert_null(weir_http_field_of(answer, "content-encoding").at);
            assert_null(weir_http_field_of(answer, "content-length").at);
            assert_int_equal(weir_http_field_count(answer), 0);
            expect_pattern(answer, len);
        }
    }
    assert_int_equal(f->peer.accepted, 1);
    assert_int_equal(failure(f, "/gzip/3000001"), WEIR_ETOO_LARGE);
    assert_int_equal(failure(f, "/bad-gzip"), WEIR_EINFLATE);
    assert_int_equal(failure(f, "/cut-gzip/100000"), WEIR_EINFLATE);
    const weir_http_request raw = {.flags = WEIR_HTTP_RAW};
    weir_http_answer *answer = fetch_as(f, raw, "/gzip/100000");
    assert_true(text_is(weir_http_field_of(answer, "content-encoding"), "gzip"));
    assert_true(weir_http_body(answer).len < 10000);
    weir_http_answer_free(answer);
    expect_body(fetch_as(f, (weir_http_request){.method = "HEAD"}, "/gzip/100000"), "");
    fixture_close(f);
}

/* --- failures -----------------------------------------------------------------------------------
 */

static void failures_have_their_words(void **state)
{
    (void)state;
    const weir_http_client_options opt = {
        .pool = {.read_timeout_ms = 100, .retry_first_ms = 1, .failures_max = 1000},
        .answer_max = 1000,
        .dns_servers = "127.0.0.1:1"};
    struct fixture *f = fixture_open(&opt);
    assert_int_equal(failure(f, "/half"), WEIR_ERESET);
    assert_int_equal(failure(f, "/garbage"), WEIR_EPROTOCOL);
    assert_int_equal(failure(f, "/stall"), WEIR_EFIRST_BYTE_TIMEOUT);
    assert_int_equal(failure(f, "/stall-body"), WEIR_EREAD_TIMEOUT);
    assert_int_equal(failure_as(f, (weir_http_request){.timeout_ms = 30}, "/stall"),
                     WEIR_ETOTAL_TIMEOUT);
    assert_int_equal(failure(f, "/bytes/1001"), WEIR_ETOO_LARGE);
    assert_int_equal(failure(f, "/chunks/100000"), WEIR_ETOO_LARGE);
    expect_pattern(fetch_as(f, (weir_http_request){.answer_max = 2000}, "/bytes/1001"), 1001);
    assert_int_equal(failure(f, "http://127.0.0.1:1/"), WEIR_EREFUSED);
    assert_int_equal(failure(f, "http://nowhere.invalid/"), WEIR_ERESOLVE);
    weir_http_stats stats = stats_of(f);
    assert_int_equal(stats.requests, 0);
    assert_int_equal(stats.acquired, 0);
    assert_int_equal(stats.sent, 10);
    assert_int_equal(stats.answered, 1);
    assert_int_equal(stats.failed, 9);
    fixture_close(f);
}

static void stale_connections_are_replaced(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    weir_http_result result;
    expect_body(fetch(f, "/stale"), "hello");
    weir_http_answer *answer = fetch(f, "/hello"); /* read by the peer, who then hangs up */
    weir_http_result_of(answer, &result);
    assert_int_equal(result.retries, 1);
    assert_false(result.reused);
    expect_body(answer, "hello");
    expect_body(fetch(f, "/stale"), "hello");
    const weir_http_request post = {.method = "POST", .body = "x", .body_len = 1};
    assert_int_equal(failure_as(f, post, "/echo"), WEIR_EHANGUP); /* may have been done */
    expect_body(fetch(f, "/stale"), "hello");
    const weir_http_request idempotent = {
        .method = "POST", .body = "x", .body_len = 1, .flags = WEIR_HTTP_IDEMPOTENT};
    expect_body(fetch_as(f, idempotent, "/echo"), "x");
    expect_body(fetch(f, "/stale"), "hello");
    const weir_http_field key = {.name = "Idempotency-Key", .value = "1"};
    const weir_http_request keyed = {
        .method = "POST", .body = "x", .body_len = 1, .fields = &key, .field_count = 1};
    expect_body(fetch_as(f, keyed, "/echo"), "x");
    assert_int_equal(stats_of(f).retries, 3);
    fixture_close(f);
}

/* --- names --------------------------------------------------------------------------------------
 */

/* A name server that says 127.0.0.1 and an hour, and nothing of IPv6. */
struct names {
    int fd;
    char address[32];
    pthread_t thread;
    _Atomic uint32_t asked; /* A and AAAA apart */
};

static void *names_main(void *arg)
{
    struct names *names = arg;
    static const uint8_t answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 14, 16, 0, 4, 127, 0, 0, 1};
    for (;;) {
        uint8_t packet[512];
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        ssize_t n = recvfrom(names->fd, packet, sizeof packet, 0, (struct sockaddr *)&from,
                             &from_len);
        if (n <= 17) {
            return NULL; /* the end is told by a short one */
        }
        size_t len = 12;
        while (packet[len] != 0) {
            len += packet[len] + 1U;
        }
        len += 5;
        bool is_a = packet[len - 3] == 1;
        names->asked++;
        packet[2] = 0x81;
        packet[3] = 0x80;
        memset(packet + 6, 0, 6);
        if (is_a) {
            packet[7] = 1;
            memcpy(packet + len, answer, sizeof answer);
            len += sizeof answer;
        }
        sendto(names->fd, packet, len, 0, (struct sockaddr *)&from, from_len);
    }
}

static void names_open(struct names *names)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    names->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(names->fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(getsockname(names->fd, (struct sockaddr *)&address, &len), 0);
    snprintf(names->address, sizeof names->address, "127.0.0.1:%u", ntohs(address.sin_port));
    assert_int_equal(pthread_create(&names->thread, NULL, names_main, names), 0);
}

static void names_close(struct names *names)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    getsockname(names->fd, (struct sockaddr *)&address, &len);
    sendto(names->fd, "", 1, 0, (struct sockaddr *)&address, len);
    pthread_join(names->thread, NULL);
    close(names->fd);
}

/* The server's TTL is an hour, the client's a third of a second. */
static void names_are_kept_for_their_time(void **state)
{
    (void)state;
    static struct names names;
    char url[64];
    names_open(&names);
    const weir_http_client_options opt = {
        .pool = {.max_uses = 1}, .dns_ttl_ms = 300, .dns_servers = names.address};
    struct fixture *f = fixture_open(&opt);
    snprintf(url, sizeof url, "http://peer.test:%u/hello", f->peer.port);
    uint64_t begun_ms = clock_now_ms();
    expect_body(fetch(f, url), "hello");
    assert_int_equal(names.asked, 2);
    while (names.asked == 2) {
        expect_body(fetch(f, url), "hello");
        assert_true(clock_now_ms() < begun_ms + DEADLINE_S * 1000);
    }
    assert_true(clock_now_ms() >= begun_ms + 300);
    assert_true(f->peer.accepted >= 3); /* each a dial of its own */
    uint32_t asked = names.asked;
    weir_http_client_flush(f->client);
    while (names.asked == asked) { /* soon */
        expect_body(fetch(f, url), "hello");
        assert_true(clock_now_ms() < begun_ms + DEADLINE_S * 1000);
    }
    fixture_close(f);
    names_close(&names);
}

/* --- limits -------------------------------------------------------------------------------------
 */

struct many {
    struct fixture *f;
    _Atomic uint32_t good, bad;
};

static void *fetch_many(void *arg)
{
    struct many *many = arg;
    for (int i = 0; i < 40; i++) {
        weir_http_answer *answer = NULL;
        const weir_http_request request = {
            .url = url_of(many->f, i % 4 == 0 ? "other:/hello" : "/hello")};
        weir_err err = weir_http_fetch(many->f->client, &request, &answer);
        many->good += err == WEIR_OK;
        many->bad += err != WEIR_OK;
        weir_http_answer_free(answer);
    }
    return NULL;
}

static void limits_hold_whoever_asks(void **state)
{
    (void)state;
    const weir_http_client_options opt = {.pool = {.max_total = 5, .max_per_key = 3}};
    struct fixture *f = fixture_open(&opt);
    struct many many = {.f = f};
    pthread_t threads[16];
    for (int i = 0; i < 16; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fetch_many, &many), 0);
    }
    for (int i = 0; i < 16; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(many.bad, 0);
    assert_int_equal(many.good, 640);
    /* As a peer sees it: when a connection makes room for another, its FIN may be read after the
     * next one was accepted, for each of three in one turn. Without the limit it sees sixteen. */
    assert_in_range(f->peer.most_open, 1, 6);
    assert_in_range(f->other.most_open, 1, 6);
    weir_http_stats stats = stats_of(f);
    assert_int_equal(stats.max, 5);
    assert_int_equal(stats.max_per_host, 3);
    assert_in_range(stats.total, 2, 5);
    assert_int_equal(stats.acquired, 0);
    assert_int_equal(stats.answered, 640);
    fixture_close(f);
}

static void options_change_while_it_runs(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    weir_pool_options pool;
    expect_body(fetch(f, "/hello"), "hello");
    weir_http_client_options_of(f->client, &pool);
    pool.max_total = 7;
    pool.total_timeout_ms = 40;
    assert_int_equal(weir_http_client_update(f->client, &pool), WEIR_OK);
    assert_int_equal(failure(f, "/stall"), WEIR_ETOTAL_TIMEOUT);
    assert_int_equal(stats_of(f).max, 7);
    pool.max_total = WEIR_NONE;
    assert_int_equal(weir_http_client_update(f->client, &pool), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "max_total");
    pool.max_total = 8;
    pool.name = "another";
    assert_int_equal(weir_http_client_update(f->client, &pool), WEIR_EINVAL);
    assert_int_equal(stats_of(f).max, 7);
    fixture_close(f);
}

static bool count_client(void *arg, weir_http_client *client, const weir_http_stats *stats)
{
    weir_http_client **seen = arg;
    assert_int_equal(stats->max, 100);
    seen[seen[0] != NULL] = client;
    return true;
}

static void clients_have_names(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    weir_http_client *a, *b, *seen[2] = {NULL, NULL};
    weir_http_client_options opt = {.pool = {.name = "two"}, .user_agent = "me"};
    assert_int_equal(weir_http_client_get(f->runtime, NULL, &a), WEIR_OK);
    assert_ptr_equal(a, f->client); /* as any that has no other options */
    assert_int_equal(weir_http_client_get(f->runtime, &opt, &a), WEIR_OK);
    assert_int_equal(weir_http_client_get(f->runtime, &opt, &b), WEIR_OK);
    assert_ptr_equal(a, b);
    assert_ptr_equal(weir_http_client_find(f->runtime, "two"), a);
    assert_null(weir_http_client_find(f->runtime, "three"));
    opt.user_agent = "you";
    assert_int_equal(weir_http_client_get(f->runtime, &opt, &b), WEIR_EEXISTS);
    opt.user_agent = "me";
    opt.pool.max_idle = 3;
    assert_int_equal(weir_http_client_get(f->runtime, &opt, &b), WEIR_EEXISTS);
    weir_runtime_each_client(f->runtime, count_client, seen);
    assert_ptr_equal(seen[0], f->client);
    assert_ptr_equal(seen[1], a);
    assert_int_equal(weir_http_client_free(a), WEIR_OK);
    assert_null(weir_http_client_find(f->runtime, "two"));
    fixture_close(f);
}

static void tenants_do_not_share(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    expect_body(fetch_as(f, (weir_http_request){.tenant = "a"}, "/hello"), "hello");
    expect_body(fetch_as(f, (weir_http_request){.tenant = "b"}, "/hello"), "hello");
    expect_body(fetch_as(f, (weir_http_request){.tenant = "a"}, "/hello"), "hello");
    assert_int_equal(f->peer.accepted, 2);
    fixture_close(f);
}

static void a_scope_frees_its_client(void **state)
{
    (void)state;
    struct fixture *f = fixture_open(NULL);
    {
        WEIR_SCOPED(client) client = NULL;
        assert_int_equal(weir_http_client_new(f->runtime, NULL, &client), WEIR_OK);
        weir_http_answer *answer;
        const weir_http_request request = {.url = url_of(f, "/hello")};
        assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
        expect_body(answer, "hello");
    }
    assert_int_equal(weir_http_client_free(NULL), WEIR_OK);
    fixture_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_whole),
        cmocka_unit_test(requests_are_as_they_were_asked),
        cmocka_unit_test(bodies_are_sent),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(options_are_checked),
        cmocka_unit_test(redirects_are_followed),
        cmocka_unit_test(redirects_have_an_end),
        cmocka_unit_test(methods_change_as_they_should),
        cmocka_unit_test(secrets_stay_at_home),
        cmocka_unit_test(bodies_are_decompressed),
        cmocka_unit_test(failures_have_their_words),
        cmocka_unit_test(stale_connections_are_replaced),
        cmocka_unit_test(names_are_kept_for_their_time),
        cmocka_unit_test(limits_hold_whoever_asks),
        cmocka_unit_test(options_change_while_it_runs),
        cmocka_unit_test(clients_have_names),
        cmocka_unit_test(tenants_do_not_share),
        cmocka_unit_test(a_scope_frees_its_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
