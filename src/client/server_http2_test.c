/* SPDX-License-Identifier: Apache-2.0
 *
 * The server under HTTP/2 and TLS, with the library's own client at the other end: many exchanges
 * on one connection of the pool, the same limits and the same end for all of them.
 */
#include "support/pair.h"
#include "support/web.h"

#define AT_ONCE 40U

/* --- the client's side, in callbacks ------------------------------------------------------------
 */

struct answers {
    _Atomic uint32_t good, failed, errs[WEIR_ERRS];
    _Atomic uint64_t bytes;
};

static bool count_body(void *arg, const void *data, size_t len)
{
    struct answers *answers = arg;
    (void)data;
    answers->bytes += len;
    return true;
}

static void count_end(void *arg, weir_err err, const weir_http_result *result)
{
    struct answers *answers = arg;
    (void)result;
    answers->good += err == WEIR_OK;
    answers->failed += err != WEIR_OK;
    answers->errs[err]++;
}

static const weir_http_handler counting = {.on_body = count_body, .on_end = count_end};

static const char *url_of(const struct fixture *f, const char *scheme, const char *path)
{
    static char url[128];
    snprintf(url, sizeof url, "%s://localhost:%u%s", scheme, (unsigned)weir_server_port(f->server),
             path);
    return url;
}

static void send_to(const struct fixture *f, weir_http_client *client, const char *path,
                    struct answers *answers)
{
    const weir_http_request request = {.url = url_of(f, "http", path)};
    assert_int_equal(weir_http_send(client, &request, &counting, answers, NULL), WEIR_OK);
}

static weir_http_client *client_of(const struct fixture *f, weir_http_client_options opt)
{
    weir_http_client *client;
    opt.http2 = opt.http2 != 0 ? opt.http2 : WEIR_ON;
    assert_int_equal(weir_http_client_new(f->runtime, &opt, &client), WEIR_OK);
    return client;
}

/* --- many on one --------------------------------------------------------------------------------
 */

struct seen {
    uint32_t connections, leases;
    weir_server_conn last;
};

static bool look(void *arg, weir_server_conn conn, const weir_conn_info *info)
{
    struct seen *seen = arg;
    seen->connections++;
    seen->leases += info->leases;
    seen->last = conn;
    return true;
}

static void hold_on(void *self, weir_exchange *ex)
{
    struct fixture *f = self;
    assert_int_equal(weir_request_version(ex), 20);
    f->requests++;
    if (!is(weir_request_path(ex), "/never")) {
        on_request(self, ex);
    }
}

static const weir_server_handler holding = {.on_request = hold_on, .on_abort = on_abort};

static void streams_share_a_connection_of_the_pool(void **state)
{
    (void)state;
    static struct fixture f;
    static struct answers answers;
    open_as(&f, (weir_server_options){.max_connections = 1, .max_concurrent_streams = AT_ONCE},
            &holding, 1);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        send_to(&f, client, "/never", &answers);
    }
    until(f.requests == AT_ONCE);
    struct seen seen = {0};
    assert_int_equal(weir_server_each(f.server, look, &seen), WEIR_OK);
    assert_int_equal(seen.connections, 1);
    assert_int_equal(seen.leases, AT_ONCE);
    weir_server_stats stats;
    weir_server_stats_of(f.server, &stats);
    assert_int_equal(stats.open, AT_ONCE);
    assert_int_equal(stats.accepted, 1);
    assert_false(weir_server_can_accept(f.server));

    assert_int_equal(weir_http_client_free(client), WEIR_OK); /* each stream is reset */
    until(f.aborts == AT_ONCE);
    until((weir_server_stats_of(f.server, &stats), stats.connections == 0));
    assert_int_equal(stats.aborted, AT_ONCE);
    shut(&f);
}

static void bodies_go_both_ways(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.body_max = 64U << 20}, &piecewise, 2);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    size_t len = 3U << 20;
    char *body = malloc(len);
    for (size_t i = 0; i < len; i++) {
        body[i] = (char)(i * 7 % 251);
    }
    const weir_http_request request = {.method = "POST",
                                       .url = url_of(&f, "http", "/"),
                                       .body = body,
                                       .body_len = len,
                                       .flags = WEIR_HTTP_BORROW};
    weir_http_answer *answer;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
        assert_int_equal(weir_http_body(answer).len, len);
        assert_memory_equal(weir_http_body(answer).at, body, len);
        weir_http_answer_free(answer);
    }
    free(body);
    assert_int_equal(weir_server_count(f.server), 1);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    shut(&f);
}

static void fetch_text(weir_http_client *client, const weir_http_request *request, uint16_t status,
                       const char *text)
{
    weir_http_answer *answer = NULL;
    assert_int_equal(weir_http_fetch(client, request, &answer), WEIR_OK);
    assert_int_equal(weir_http_status(answer), status);
    if (text != NULL) {
        assert_true(is(weir_http_body(answer), text));
    }
    weir_http_answer_free(answer);
}

/* Its body is gathered first, so that its head had to be kept. */
static void requests_are_described_after_their_body(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.body_max = 100}, &gathering, 1);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    const weir_http_field fields[] = {{.name = "x-a", .value = "b"},
                                      {.name = "host", .value = "h:1"}};
    weir_http_request request = {.method = "POST",
                                 .url = url_of(&f, "http", "/describe?q=1"),
                                 .fields = fields,
                                 .field_count = 2,
                                 .body = "some",
                                 .body_len = 4};
    weir_http_answer *answer = NULL;
    assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
    weir_text text = weir_http_body(answer);
    assert_true(text.len > 26 && memcmp(text.at, "POST /describe q=1 h:1 b ", 25) == 0);
    weir_http_answer_free(answer);
    static char large[101];
    request.body = large;
    request.body_len = sizeof large;
    fetch_text(client, &request, 413, NULL);
    request.url = url_of(&f, "http", "/echo");
    request.body_len = 100;
    fetch_text(client, &request, 200, NULL);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    shut(&f);
}

static void http1_is_spoken_at_the_same_port(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    const weir_http_request request = {.url = url_of(&f, "http", "/")};
    fetch_text(client, &request, 200, "hello");
    int fd = join(&f);
    say(fd, GET("/"));
    assert_true(has(hear(fd), "HTTP/1.1 200 OK\r\n"));
    assert_int_equal(weir_server_count(f.server), 2);
    close(fd);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    shut(&f);

    open_as(&f, (weir_server_options){.http2 = WEIR_OFF}, &gathering, 1);
    fd = join(&f);
    say(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_true(has(hear(fd), "HTTP/1.1 505 "));
    close(fd);
    shut(&f);
}

/* --- how it ends --------------------------------------------------------------------------------
 */

static void *close_with_grace(void *arg)
{
    struct fixture *f = arg;
    assert_int_equal(weir_server_close(f->server, DEADLINE_MS), WEIR_OK);
    return NULL;
}

static void a_close_lets_streams_end(void **state)
{
    (void)state;
    static struct fixture f;
    static struct answers answers;
    pthread_t closer;
    open_as(&f, (weir_server_options){0}, &holding, 2);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    send_to(&f, client, "/hold", &answers);
    until(f.is_held);
    assert_int_equal(pthread_create(&closer, NULL, close_with_grace, &f), 0);
    until(!weir_server_can_accept(f.server) || weir_server_count(f.server) == 1);
    pthread_mutex_lock(&f.mutex);
    weir_exchange_id held = f.held;
    pthread_mutex_unlock(&f.mutex);
    const weir_reply reply = {.body = "late", .body_len = 4};
    assert_int_equal(weir_server_reply(f.server, held, &reply), WEIR_OK);
    until(answers.good == 1);
    pthread_join(closer, NULL);
    assert_int_equal(answers.bytes, 4);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_OK);
    pthread_mutex_destroy(&f.mutex);
}

static void one_that_is_removed_opens_no_more_streams(void **state)
{
    (void)state;
    static struct fixture f;
    static struct answers held, answers;
    struct seen seen = {0};
    open_as(&f, (weir_server_options){0}, &holding, 1);
    weir_http_client *client = client_of(&f, (weir_http_client_options){0});
    send_to(&f, client, "/hold", &held);
    until(f.is_held);
    assert_int_equal(weir_server_each(f.server, look, &seen), WEIR_OK);
    assert_int_equal(weir_server_remove(f.server, seen.last), WEIR_OK);
    for (uint32_t i = 1; i <= 20; i++) { /* refused on the old one, replayed on another */
        send_to(&f, client, "/", &answers);
        until(answers.good + answers.failed == i);
    }
    assert_int_equal(answers.good, 20);
    const weir_reply reply = {.body = "late", .body_len = 4};
    assert_int_equal(weir_server_reply(f.server, f.held, &reply), WEIR_OK);
    until(held.good == 1);
    weir_server_stats stats;
    until((weir_server_stats_of(f.server, &stats), stats.removed == 1));
    assert_int_equal(stats.accepted, 2);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    shut(&f);
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

static void say_version(void *self, weir_exchange *ex)
{
    (void)self;
    char text[64];
    snprintf(text, sizeof text, "%u %s", (unsigned)weir_request_version(ex),
             weir_exchange_server_name(ex) != NULL ? weir_exchange_server_name(ex) : "plain");
    const weir_reply reply = {.body = text, .body_len = strlen(text)};
    assert_int_equal(weir_exchange_reply(ex, &reply), WEIR_OK);
}

static const weir_server_handler versions = {.on_request = say_version};

static weir_err ask(const struct fixture *f, weir_http_client_options opt, const char *want)
{
    weir_http_answer *answer = NULL;
    weir_http_client *client = client_of(f, opt);
    const weir_http_request request = {.url = url_of(f, "https", "/")};
    weir_err err = weir_http_fetch(client, &request, &answer);
    if (err == WEIR_OK) {
        assert_true(is(weir_http_body(answer), want));
    }
    weir_http_answer_free(answer);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    return err;
}

static void alpn_says_what_is_spoken(void **state)
{
    (void)state;
    static struct fixture f;
    struct pair pair;
    pair_make(&pair, "localhost");
    const weir_server_certificate ours = {pair.certificate, pair.key};
    open_as(&f, (weir_server_options){.tls = {.certificates = &ours, .certificate_count = 1}},
            &versions, 2);
    const weir_tls_options tls = {.ca = pair.certificate};
    assert_int_equal(ask(&f, (weir_http_client_options){.tls = tls}, "20 localhost"), WEIR_OK);
    assert_int_equal(
        ask(&f, (weir_http_client_options){.tls = tls, .http2 = WEIR_OFF}, "11 localhost"),
        WEIR_OK);
    int fd = join(&f);
    say(fd, GET("/"));
    assert_true(has(hear(fd), "tls_required"));
    close(fd);
    shut(&f);

    open_as(&f,
            (weir_server_options){.http2 = WEIR_OFF,
                                  .tls = {.certificates = &ours, .certificate_count = 1}},
            &versions, 2);
    assert_int_equal(
        ask(&f, (weir_http_client_options){.tls = tls, .http2 = WEIR_OFF}, "11 localhost"),
        WEIR_OK);
    assert_int_equal(ask(&f, (weir_http_client_options){.tls = tls}, ""), WEIR_ETLS_ALPN);
    shut(&f);
    pair_drop(&pair);
}

static void who_finds_no_place_is_told_in_its_terms(void **state)
{
    (void)state;
    static struct fixture f;
    struct pair pair;
    pair_make(&pair, "localhost");
    const weir_server_certificate ours = {pair.certificate, pair.key};
    open_as(&f,
            (weir_server_options){.max_connections = 1,
                                  .tls = {.certificates = &ours, .certificate_count = 1}},
            &gathering, 1);
    const weir_http_client_options opt = {.tls = {.ca = pair.certificate}};
    weir_http_client *first = client_of(&f, opt), *second = client_of(&f, opt);
    const weir_http_request request = {.url = url_of(&f, "https", "/")};
    fetch_text(first, &request, 200, "hello");
    fetch_text(second, &request, 503, NULL);
    fetch_text(first, &request, 200, "hello");
    weir_server_stats stats;
    weir_server_stats_of(f.server, &stats);
    assert_int_equal(stats.rejected, 1);
    assert_int_equal(stats.accepted, 1);
    until(f.told[WEIR_EVENT_POOL_LIMIT_REACHED] == 1);
    assert_int_equal(weir_http_client_free(first), WEIR_OK);
    assert_int_equal(weir_http_client_free(second), WEIR_OK);
    shut(&f);
    pair_drop(&pair);
}

static void certificates_change_and_clients_show_theirs(void **state)
{
    (void)state;
    static struct fixture f;
    struct pair here, other, known;
    pair_make(&here, "localhost");
    pair_make(&other, "localhost");
    pair_make(&known, "a client");
    weir_server_certificate ours = {here.certificate, here.key};
    open_as(&f, (weir_server_options){.tls = {.certificates = &ours, .certificate_count = 1}},
            &versions, 2);
    weir_http_client_options opt = {.tls = {.ca = here.certificate}};
    assert_int_equal(ask(&f, opt, "20 localhost"), WEIR_OK);

    weir_server_options mine;
    weir_server_options_of(f.server, &mine);
    assert_string_equal(mine.tls.certificates[0].certificate, here.certificate);
    assert_int_equal(mine.tls.min_version, 12);
    assert_int_equal(weir_server_update(f.server, &mine), WEIR_OK); /* reads them again */
    assert_int_equal(ask(&f, opt, "20 localhost"), WEIR_OK);
    ours = (weir_server_certificate){other.certificate, here.key};
    mine.tls.certificates = &ours;
    assert_int_equal(weir_server_update(f.server, &mine), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "tls.certificates.key");
    mine.tls.certificate_count = 0;
    assert_int_equal(weir_server_update(f.server, &mine), WEIR_EINVAL);
    assert_int_equal(ask(&f, opt, "20 localhost"), WEIR_OK);

    ours = (weir_server_certificate){other.certificate, other.key};
    mine.tls.certificate_count = 1;
    mine.tls.client_ca = known.certificate;
    assert_int_equal(weir_server_update(f.server, &mine), WEIR_OK);
    assert_int_equal(ask(&f, opt, ""), WEIR_ETLS_UNTRUSTED);
    opt.tls.ca = other.certificate;
    assert_int_not_equal(ask(&f, opt, ""), WEIR_OK); /* shows no certificate */
    opt.tls.certificate = known.certificate;
    opt.tls.key = known.key;
    assert_int_equal(ask(&f, opt, "20 localhost"), WEIR_OK);
    shut(&f);
    pair_drop(&here);
    pair_drop(&other);
    pair_drop(&known);
}

static void what_cannot_be_is_named(void **state)
{
    (void)state;
    const weir_server_certificate none = {"/nonexistent", "/nonexistent-key"}, half = {"/a", NULL};
    const struct {
        weir_server_options opt;
        const char *fault;
    } rows[] = {
        {{.tls = {.certificates = &none, .certificate_count = 1}}, "tls.certificates.certificate"},
        {{.tls = {.certificates = &half, .certificate_count = 1}}, "tls.certificates.key"},
        {{.tls = {.certificate_count = 1}}, "tls.certificates"},
        {{.tls = {.client_ca = "/nonexistent"}}, "tls.client_ca"},
        {{.tls = {.min_version = 11}}, "tls.min_version"},
        {{.tls = {.handshake_timeout_ms = WEIR_NONE}}, "tls.handshake_timeout"},
        {{.http2 = 7}, "http2"},
        {{.max_session_memory = 100}, "max_session_memory"},
        {{.max_concurrent_streams = 1U << 31}, "max_concurrent_streams"},
        {{.ping_interval_ms = WEIR_NONE}, "ping_interval"},
    };
    weir_runtime *runtime;
    weir_server *server;
    assert_int_equal(weir_runtime_open(NULL, &runtime), WEIR_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weir_server_options opt = rows[i].opt;
        opt.address = "127.0.0.1:0";
        assert_int_equal(weir_server_listen(runtime, &opt, &versions, NULL, &server), WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), rows[i].fault);
    }
    assert_int_equal(weir_runtime_close(runtime, 0), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_share_a_connection_of_the_pool),
        cmocka_unit_test(bodies_go_both_ways),
        cmocka_unit_test(requests_are_described_after_their_body),
        cmocka_unit_test(http1_is_spoken_at_the_same_port),
        cmocka_unit_test(a_close_lets_streams_end),
        cmocka_unit_test(one_that_is_removed_opens_no_more_streams),
        cmocka_unit_test(alpn_says_what_is_spoken),
        cmocka_unit_test(who_finds_no_place_is_told_in_its_terms),
        cmocka_unit_test(certificates_change_and_clients_show_theirs),
        cmocka_unit_test(what_cannot_be_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
