/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's pool of connections on real sockets: what it refuses, what it tells, how it changes
 * while it runs, how it ends.
 */
#include "support/web.h"

/* --- limits, events, health ---------------------------------------------------------------------
 */

static void limits_are_exact_and_told(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.max_connections = 20}, &gathering, 2);
    int fds[24];
    weir_server_health health;
    for (int i = 0; i < 20; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        assert_true(has(hear(fds[i]), "hello"));
    }
    assert_int_equal(weir_server_count(f.server), 20);
    assert_false(weir_server_can_accept(f.server));
    for (int i = 20; i < 24; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        const char *text = hear(fds[i]);
        assert_true(has(text, "HTTP/1.1 503 ") && has(text, "Retry-After"));
        close(fds[i]);
    }
    assert_int_equal(f.told[WEIR_EVENT_POOL_LIMIT_REACHED], 1);
    until(f.told[WEIR_EVENT_HEALTH_STATUS_CHANGED] >= 1);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.connections, 20);
    assert_int_equal(health.max_connections, 20);
    assert_true(health.utilization == 1.0);
    assert_int_equal(health.rejected, 4);
    assert_int_equal(health.health, f.health);
    assert_true(health.health == WEIR_DEGRADED || health.health == WEIR_OVERLOADED);
    for (int i = 0; i < 20; i++) {
        close(fds[i]);
    }
    until(weir_server_count(f.server) == 0);
    assert_true(weir_server_can_accept(f.server));
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 20);
    assert_int_equal(f.why[WEIR_EHANGUP], 20);
    assert_int_equal(f.requests, 20);
    shut(&f);
}

static void failures_count_in_health(void **state)
{
    (void)state;
    static struct fixture f;
    weir_server_health health;
    open_as(&f, (weir_server_options){0}, &gathering, 1);
    int fd = join(&f);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.health, WEIR_HEALTHY);
    assert_string_equal(health.message, "nothing to report");
    for (int i = 0; i < 20; i++) {
        say(fd, GET("/fail"));
        assert_true(has(hear(fd), "HTTP/1.1 500 "));
    }
    until(f.told[WEIR_EVENT_HEALTH_STATUS_CHANGED] == 1);
    weir_server_health_of(f.server, &health);
    assert_int_equal(health.health, WEIR_UNAVAILABLE);
    assert_string_equal(health.message, "100 % of requests fail");
    assert_true(health.error_rate == 1.0);
    assert_true(health.average_answer_us < 1000000);
    close(fd);
    shut(&f);
}

static void timeouts_act_and_are_told(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f,
            (weir_server_options){.keepalive_timeout_ms = 100,
                                  .headers_timeout_ms = 150,
                                  .request_timeout_ms = 100,
                                  .idle_timeout_ms = 100,
                                  .answer_timeout_ms = 100},
            &gathering, 2);
    int kept = join(&f), half = join(&f), stalled = join(&f), held = join(&f);
    say(kept, GET("/"));
    say(half, "GET / HT");
    say(stalled, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    say(held, GET("/hold"));
    assert_true(has(hear(kept), "hello"));
    assert_true(is_closed(kept));
    assert_true(has(hear(half), "HTTP/1.1 408 "));
    assert_true(has(hear(stalled), "HTTP/1.1 408 "));
    assert_true(has(hear(held), "HTTP/1.1 504 "));
    close(kept);
    close(half);
    close(stalled);
    close(held);
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 4);
    assert_int_equal(f.told[WEIR_EVENT_CONNECTION_TIMEOUT], 4);
    assert_int_equal(f.aborts, 1);
    assert_int_equal(f.abort_why, WEIR_EREAD_TIMEOUT);
    weir_server_stats stats;
    weir_server_stats_of(f.server, &stats);
    assert_int_equal(stats.timeouts, 4);
    int garbage = join(&f);
    say(garbage, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert_true(has(hear(garbage), "HTTP/1.1 400 "));
    close(garbage);
    until(f.told[WEIR_EVENT_CONNECTION_ERROR] == 1);
    shut(&f);
}

/* --- changes ------------------------------------------------------------------------------------
 */

static void options_change_while_it_serves(void **state)
{
    (void)state;
    static struct fixture f;
    open_as(&f, (weir_server_options){.max_connections = 2}, &gathering, 2);
    weir_server_options opt;
    int a = join(&f), b = join(&f);
    say(a, GET("/"));
    hear(a);
    say(b, GET("/"));
    hear(b);
    weir_server_options_of(f.server, &opt);
    assert_int_equal(opt.max_connections, 2);
    assert_int_equal(opt.keepalive_timeout_ms, 5000);
    assert_string_equal(opt.address, weir_server_address(f.server));
    opt.max_connections = 3;
    opt.max_headers = 257;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_EINVAL);
    assert_string_equal(weir_runtime_fault(), "max_headers");
    assert_false(weir_server_can_accept(f.server)); /* nothing of it */
    opt.max_headers = 3;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_OK);
    int c = join(&f);
    say(c, GET("/"));
    assert_true(has(hear(c), "hello"));
    say(a, GET("/"));
    assert_true(has(hear(a), "hello")); /* still there */
    say(b, "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n");
    assert_true(has(hear(b), "HTTP/1.1 431 "));
    close(b);
    until(weir_server_count(f.server) == 2);
    opt.max_connections = 1;
    opt.max_per_ip = 1;
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_OK);
    until(weir_server_count(f.server) == 1); /* one too many leaves */
    int d = join(&f);
    say(d, GET("/"));
    assert_true(has(hear(d), "HTTP/1.1 503 "));
    close(d);
    until(f.told[WEIR_EVENT_CONNECTION_REMOVED] == 2); /* b and one more */
    assert_int_equal(weir_server_count(f.server), 1);
    opt.name = "another";
    assert_int_equal(weir_server_update(f.server, &opt), WEIR_EINVAL);
    close(a);
    close(c);
    shut(&f);
}

struct seen {
    uint32_t count;
    weir_server_conn conns[16];
};

static bool see(void *arg, weir_server_conn conn, const weir_conn_info *info)
{
    struct seen *seen = arg;
    assert_true(info->admitted);
    assert_null(info->object);
    assert_string_equal(info->note, "127.0.0.1");
    seen->conns[seen->count++] = conn;
    return seen->count < 16;
}

/* One of those that the server has not closed, as soon as it has closed one. */
static int still_open(const int *fds, int count)
{
    struct pollfd polls[16];
    for (int i = 0; i < count; i++) {
        polls[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    assert_int_equal(poll(polls, (nfds_t)count, DEADLINE_MS), 1);
    return polls[0].revents == 0 ? fds[0] : fds[1];
}

static void connections_are_shown_and_removed(void **state)
{
    (void)state;
    static struct fixture f;
    struct seen seen = {0};
    bool is_healthy = false;
    int fds[6];
    open_plain(&f);
    for (int i = 0; i < 6; i++) {
        fds[i] = join(&f);
        say(fds[i], GET("/"));
        hear(fds[i]);
    }
    assert_int_equal(weir_server_each(f.server, see, &seen), WEIR_OK);
    assert_int_equal(seen.count, 6);
    assert_int_equal(weir_server_is_healthy(f.server, seen.conns[3], &is_healthy), WEIR_OK);
    assert_true(is_healthy);
    assert_int_equal(weir_server_remove(f.server, seen.conns[3]), WEIR_OK);
    until(weir_server_count(f.server) == 5);
    assert_int_equal(weir_server_is_healthy(f.server, seen.conns[3], &is_healthy), WEIR_OK);
    assert_false(is_healthy);
    assert_int_equal(weir_server_remove(f.server, (weir_server_conn){.worker = 7}), WEIR_EINVAL);
    say(still_open(fds, 6), GET("/hold"));
    until(f.is_held);
    assert_int_equal(weir_server_remove_all(f.server, 30), WEIR_OK);
    until(weir_server_count(f.server) == 0);
    assert_int_equal(f.aborts, 1); /* its grace was over */
    int fresh = join(&f);
    say(fresh, GET("/"));
    assert_true(has(hear(fresh), "hello"));
    close(fresh);
    for (int i = 0; i < 6; i++) {
        close(fds[i]);
    }
    shut(&f);
}

static void clients_may_come_otherwise(void **state)
{
    (void)state;
    static struct fixture f;
    int ends[2], more[2];
    open_as(&f, (weir_server_options){.max_connections = 1}, &gathering, 2);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, more), 0);
    assert_int_equal(weir_server_adopt(f.server, ends[0]), WEIR_OK);
    say(ends[1], GET("/describe"));
    assert_true(has(hear(ends[1]), "X-A unix"));
    assert_int_equal(weir_server_adopt(f.server, more[0]), WEIR_EFULL);
    assert_int_equal(weir_server_adopt(f.server, -1), WEIR_EFULL);
    close(ends[1]);
    until(weir_server_count(f.server) == 0);
    assert_int_equal(weir_server_adopt(f.server, -1), WEIR_EINVAL);
    assert_int_equal(weir_server_adopt(f.server, more[0]), WEIR_OK);
    close(more[1]);
    until(weir_server_count(f.server) == 0 && f.told[WEIR_EVENT_CONNECTION_REMOVED] == 2);
    shut(&f);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static struct fixture f;
    open_plain(&f);
    weir_server *other;
    static const struct {
        weir_server_options opt;
        const char *fault;
    } bad[] = {
        {{.address = NULL}, "address"},
        {{.address = "127.0.0.1"}, "address"},
        {{.address = "nowhere:80"}, "address"},
        {{.address = "127.0.0.1:65536"}, "address"},
        {{.address = "127.0.0.1:0", .max_connections = WEIR_NONE}, "max_connections"},
        {{.address = "127.0.0.1:0", .max_header_bytes = 65536}, "max_header_bytes"},
        {{.address = "127.0.0.1:0", .keepalive_timeout_ms = WEIR_NONE}, "keepalive_timeout"},
        {{.address = "127.0.0.1:0", .size = 4096}, "size"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(weir_server_listen(f.runtime, &bad[i].opt, &gathering, NULL, &other),
                         WEIR_EINVAL);
        assert_string_equal(weir_runtime_fault(), bad[i].fault);
    }
    weir_server_options opt = {.address = weir_server_address(f.server)};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_EIO);
    assert_int_equal(errno, EADDRINUSE);
    opt = (weir_server_options){.address = "127.0.0.1:0", .name = "http"};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_EEXISTS);
    opt.name = NULL;
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, NULL, &other), WEIR_OK);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_ESTATE);
    assert_int_equal(weir_server_close(other, 0), WEIR_OK);
    assert_int_equal(weir_server_close(NULL, 0), WEIR_OK);
    shut(&f);
}

static bool count_server(void *arg, weir_server *server, const weir_server_stats *stats)
{
    weir_server **seen = arg;
    assert_int_equal(stats->max_connections, 1000);
    seen[seen[0] != NULL] = server;
    return true;
}

static void servers_have_names(void **state)
{
    (void)state;
    static struct fixture f;
    weir_server *a, *b, *seen[2] = {NULL, NULL};
    open_plain(&f);
    weir_server_options opt = {.address = "127.0.0.1:0", .name = "two"};
    assert_int_equal(weir_server_get(f.runtime, &opt, &gathering, &f, &a), WEIR_OK);
    assert_int_equal(weir_server_get(f.runtime, &opt, &gathering, &f, &b), WEIR_OK);
    assert_ptr_equal(a, b);
    assert_ptr_equal(weir_server_find(f.runtime, "two"), a);
    assert_ptr_equal(weir_server_find(f.runtime, "http"), f.server);
    assert_null(weir_server_find(f.runtime, "three"));
    assert_int_equal(weir_server_get(f.runtime, &opt, &piecewise, &f, &b), WEIR_EEXISTS);
    opt.body_max = 1;
    assert_int_equal(weir_server_get(f.runtime, &opt, &gathering, &f, &b), WEIR_EEXISTS);
    weir_runtime_each_server(f.runtime, count_server, seen);
    assert_ptr_equal(seen[0], f.server);
    assert_ptr_equal(seen[1], a);
    assert_int_equal(weir_server_close(a, 0), WEIR_OK);
    assert_null(weir_server_find(f.runtime, "two"));
    shut(&f);
}

static void *reply_soon(void *arg)
{
    struct fixture *f = arg;
    const weir_reply reply = {.body = "late", .body_len = 4};
    assert_int_equal(weir_server_reply(f->server, f->held, &reply), WEIR_OK);
    return NULL;
}

static void a_close_lets_answers_end(void **state)
{
    (void)state;
    static struct fixture f;
    pthread_t thread;
    open_plain(&f);
    int fd = join(&f), idle = join(&f);
    say(idle, GET("/"));
    hear(idle);
    say(fd, GET("/hold"));
    until(f.is_held);
    assert_int_equal(pthread_create(&thread, NULL, reply_soon, &f), 0);
    assert_int_equal(weir_server_close(f.server, 10000), WEIR_OK);
    pthread_join(thread, NULL);
    assert_true(has(hear(fd), "late"));
    assert_true(is_closed(fd) && is_closed(idle));
    assert_int_equal(f.aborts, 0);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_OK);
    pthread_mutex_destroy(&f.mutex);
    close(fd);
    close(idle);
}

/* One thread does it all: the runtime is turned while a fetch waits. */
static void a_hosted_runtime_serves_itself(void **state)
{
    (void)state;
    static struct fixture f;
    weir_http_client *client;
    weir_http_answer *answer;
    char url[64];
    memset(&f, 0, sizeof f);
    assert_int_equal(weir_runtime_open_hosted(NULL, &f.runtime), WEIR_OK);
    const weir_server_options opt = {.address = "127.0.0.1:0"};
    assert_int_equal(weir_server_listen(f.runtime, &opt, &gathering, &f, &f.server), WEIR_OK);
    assert_int_equal(weir_http_client_new(f.runtime, NULL, &client), WEIR_OK);
    snprintf(url, sizeof url, "http://%s/", weir_server_address(f.server));
    for (int i = 0; i < 3; i++) {
        const weir_http_request request = {.url = url};
        assert_int_equal(weir_http_fetch(client, &request, &answer), WEIR_OK);
        assert_true(is(weir_http_body(answer), "hello"));
        weir_http_answer_free(answer);
    }
    weir_http_stats stats;
    weir_http_client_stats(client, &stats);
    assert_int_equal(stats.created, 1);
    assert_int_equal(stats.reused, 2);
    assert_int_equal(weir_http_client_free(client), WEIR_OK);
    assert_int_equal(weir_server_close(f.server, 1000), WEIR_OK);
    assert_int_equal(weir_runtime_close(f.runtime, 0), WEIR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_exact_and_told),
        cmocka_unit_test(failures_count_in_health),
        cmocka_unit_test(timeouts_act_and_are_told),
        cmocka_unit_test(options_change_while_it_serves),
        cmocka_unit_test(connections_are_shown_and_removed),
        cmocka_unit_test(clients_may_come_otherwise),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(servers_have_names),
        cmocka_unit_test(a_close_lets_answers_end),
        cmocka_unit_test(a_hosted_runtime_serves_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
