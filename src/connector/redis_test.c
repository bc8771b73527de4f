/* SPDX-License-Identifier: Apache-2.0
 *
 * The connector on a real loop and engine: against a server that is played by the test between the
 * loop's turns, a socket on loopback of which every byte is written out here, and against a real
 * one.
 */
#include "connector/redis.h"

#include "base/bytes.h"
#include "connector/redis_parts.h"
#include "io/dns.h"
#include "support/listening.h"
#include "support/maker.h"
#include "support/redis_server.h"
#include "support/turns.h"

#include <netinet/tcp.h>

#define PEERS_MAX 8U
#define ASKS_MAX  200U

struct peer {
    int fd;
    size_t have;
    char in[65536];
};

struct ask {
    struct redis_call call;
    unsigned done, replies, errors;
    weir_err err;
    bool was_sent;
    char said[160], run_id[REDIS_RUN_ID_MAX], commands[256];
};

struct fixture {
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct dns *dns;
    weir_pool *pool;
    bool is_closed;
    struct redis_connector *connector;
    weir_key key;
    int listener;
    struct peer peers[PEERS_MAX];
    unsigned peers_count;
    struct ask asks[ASKS_MAX];
};

/* --- the server that is played ------------------------------------------------------------------
 */

static void play(struct fixture *f)
{
    int fd = f->listener >= 0 ? accept4(f->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (fd >= 0) {
        assert_true(f->peers_count < PEERS_MAX);
        f->peers[f->peers_count++] = (struct peer){.fd = fd};
    }
    for (unsigned i = 0; i < f->peers_count; i++) {
        struct peer *peer = &f->peers[i];
        ssize_t n = peer->fd >= 0
                        ? read(peer->fd, peer->in + peer->have, sizeof peer->in - peer->have - 1)
                        : 0;
        peer->have += n > 0 ? (size_t)n : 0;
        peer->in[peer->have] = '\0';
    }
}

#define until(condition) await_true(condition, TURNS_DEADLINE_MS, loop_turn(f->loop, 1); play(f))

static void say(struct peer *peer, const char *text)
{
    size_t len = strlen(text);
    assert_int_equal(send(peer->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

static bool has(struct peer *peer, const char *text)
{
    if (strstr(peer->in, text) == NULL) {
        return false;
    }
    peer->have = 0;
    peer->in[0] = '\0';
    return true;
}

#define INFO  "*2\r\n$4\r\nINFO\r\n$6\r\nserver\r\n"
#define HELLO "*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n"
#define PING  "*1\r\n$4\r\nPING\r\n"

/* The n-th connection, until its PING. */
static struct peer *greet(struct fixture *f, unsigned n)
{
    until(f->peers_count > n);
    struct peer *peer = &f->peers[n];
    until(has(peer, HELLO));
    say(peer, "%1\r\n$5\r\nproto\r\n:3\r\n");
    until(has(peer, INFO));
    say(peer, "=24\r\ntxt:a:1\r\nrun_id:abcdef\r\n\r\n");
    until(has(peer, PING));
    return peer;
}

static struct peer *let_in(struct fixture *f, unsigned n)
{
    struct peer *peer = greet(f, n);
    say(peer, "+PONG\r\n");
    return peer;
}

/* --- the client ---------------------------------------------------------------------------------
 */

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct ask *ask = container_of(call, struct ask, call);
    struct resp_value inner;
    assert_int_equal(index, ask->replies);
    assert_int_equal(ask->done, 0);
    ask->replies++;
    ask->errors += value->type == RESP_FAILED;
    size_t len = strlen(ask->said);
    snprintf(ask->said + len, sizeof ask->said - len, "%.*s;", SLICE_ARG(value->text));
    for (uint32_t i = 0; i < value->count; i++) {
        assert_true(resp_next(inside, &inner));
        resp_pass(inside, &inner);
    }
    assert_false(resp_next(inside, &inner));
}

static void done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct ask *ask = container_of(call, struct ask, call);
    ask->done++;
    ask->err = outcome->err;
    ask->was_sent = outcome->was_sent;
    snprintf(ask->run_id, sizeof ask->run_id, "%s", outcome->run_id);
    assert_int_equal(outcome->replies, ask->replies);
}

/* Words between spaces, commands between semicolons. */
static struct ask *begin(struct fixture *f, unsigned n, const char *text, uint32_t timeout_ms)
{
    struct ask *ask = &f->asks[n];
    struct slice rest = slice_of(text), part, words[8];
    struct bytes out;
    *ask = (struct ask){.call = {.on_reply = on_reply, .done = done}};
    bytes_init(&out, &alloc_libc, sizeof ask->commands);
    while (slice_split(&rest, ';', &part)) {
        uint32_t count = 0;
        while (slice_word(&part, &words[count])) {
            count++;
        }
        assert_true(resp_command(&out, words, count));
        ask->call.count++;
    }
    memcpy(ask->commands, bytes_at(&out), bytes_len(&out));
    ask->call.commands = (struct slice){ask->commands, (uint32_t)bytes_len(&out)};
    bytes_fini(&out);
    redis_call_begin(f->connector, &ask->call, &f->key, timeout_ms);
    assert_int_equal(ask->done, 0); /* never from inside */
    return ask;
}

static uint64_t step(void *self, uint64_t now_ms)
{
    const struct fixture *f = self;
    return weir_step(f->engine, now_ms);
}

static void heard_of_pool(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    f->is_closed = f->is_closed || event->kind == WEIR_EVENT_POOL_CLOSED;
}

static void listen_here(struct fixture *f)
{
    f->key = (weir_key){.scheme = "redis", .host = "127.0.0.1"};
    f->listener = listening(SOCK_NONBLOCK, 8, &f->key.port);
}

/* False: memory was refused. port 0: the test plays the server. */
static bool open_fixture(struct fixture *f, const struct alloc *alloc, uint16_t port,
                         const struct redis_connector_options *more)
{
    memset(f, 0, sizeof *f);
    f->listener = -1;
    f->key = (weir_key){.scheme = "redis", .host = "127.0.0.1", .port = port};
    if (port == 0) {
        listen_here(f);
    }
    const struct loop_options loop = {0};
    assert_int_equal(loop_new(&loop, &f->loop), 0);
    const weir_engine_options engine = {.size = sizeof engine, .now_ms = loop_now_ms(f->loop)};
    assert_int_equal(weir_engine_new(&engine, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .self = f};
    loop_hook_add(f->loop, &f->step);
    const struct dns_options dns = {0};
    assert_int_equal(dns_open(f->loop, &dns, &f->dns), 0);
    struct redis_connector_options opt = *more;
    opt.loop = f->loop;
    opt.dns = f->dns;
    opt.alloc = alloc;
    opt.connect_timeout_ms = opt.tls_timeout_ms = opt.write_timeout_ms = 5000;
    opt.acquire_timeout_ms = 5000;
    if (redis_connector_new(&opt, &f->connector) != 0) {
        f->connector = NULL;
        return false;
    }
    weir_pool_options pool = {.size = sizeof pool,
                              .connector = &redis_pool_connector,
                              .connector_self = f->connector,
                              .streams_conns_max = 1,
                              .retry_first_ms = 20,
                              .retry_cap_ms = 20,
                              .failures_max = 2,
                              .down_for_ms = 50,
                              .probe_every_ms = 200,
                              .probe_timeout_ms = 300,
                              .connect_timeout_ms = 5000};
    assert_int_equal(weir_pool_open(f->engine, &pool, &f->pool), WEIR_OK);
    redis_connector_serve(f->connector, f->pool);
    weir_pool_on_event(f->pool, heard_of_pool, f, 0);
    return true;
}

static void close_fixture(struct fixture *f)
{
    if (f->pool != NULL) {
        weir_pool_close(f->pool, 0);
        loop_hook_soon(f->loop, &f->step);
        until(f->is_closed);
    }
    for (unsigned i = 0; i < f->peers_count; i++) {
        close(f->peers[i].fd);
    }
    redis_connector_free(f->connector);
    loop_hook_remove(f->loop, &f->step);
    dns_close(f->dns);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    if (f->listener >= 0) {
        close(f->listener);
    }
}

static struct fixture fixture;

#define FIXTURE(...)                                                                               \
    struct fixture *f = &fixture;                                                                  \
    const struct redis_connector_options more = {__VA_ARGS__};                                     \
    (void)state;                                                                                   \
    assert_true(open_fixture(f, &alloc_libc, 0, &more))

static uint64_t counted(const _Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

#define COUNTED(name) counted(&redis_connector_counters(f->connector)->name)

/* --- a server that is played --------------------------------------------------------------------
 */

static void replies_go_to_those_who_asked(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *one = begin(f, 0, "GET a;GET b", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*2\r\n$3\r\nGET\r\n$1\r\nb\r\n"));
    struct ask *two = begin(f, 1, "GET c", 5000);
    until(has(peer, "*2\r\n$3\r\nGET\r\n$1\r\nc\r\n")); /* before the first was answered */
    say(peer, "$1\r\n1\r\n>1\r\n+told\r\n$1\r\n2\r\n*2\r\n:1\r\n*1\r\n:2\r\n");
    until(two->done);
    assert_true(one->done == 1 && one->err == WEIR_OK && two->err == WEIR_OK);
    assert_string_equal(one->said, "1;2;");
    assert_string_equal(one->run_id, "abcdef");
    assert_int_equal(two->replies, 1);
    assert_true(COUNTED(commands) == 3 && COUNTED(replies) == 3 && COUNTED(old) == 0);
    close_fixture(f);
}

/* Each reply byte by byte, and all of them at once. */
static void how_replies_are_cut_makes_no_difference(void **state)
{
    FIXTURE(.calls_max = 8);
    static const char replies[] = "$3\r\none\r\n+two\r\n*1\r\n$5\r\nthree\r\n$4\r\nfour\r\n";
    struct ask *ask = begin(f, 0, "GET a;GET b;GET c;GET d", 5000);
    struct peer *peer = let_in(f, 0);
    setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    until(has(peer, "GET"));
    for (size_t i = 0; replies[i] != '\0'; i++) {
        assert_int_equal(send(peer->fd, &replies[i], 1, MSG_NOSIGNAL), 1);
        loop_turn(f->loop, 1);
    }
    until(ask->done);
    assert_string_equal(ask->said, "one;two;;four;");
    ask = begin(f, 0, "GET a;GET b;GET c;GET d", 5000);
    until(has(peer, "GET"));
    say(peer, replies);
    until(ask->done);
    assert_string_equal(ask->said, "one;two;;four;");
    close_fixture(f);
}

static void an_old_server_is_spoken_to_as_such(void **state)
{
    FIXTURE(.user = "ann", .password = "secret", .database = 7, .name = "weir");
    struct ask *ask = begin(f, 0, "GET a", 5000);
    until(f->peers_count > 0);
    struct peer *peer = &f->peers[0];
    until(has(peer, "*7\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n"
                    "$7\r\nSETNAME\r\n$4\r\nweir\r\n"));
    say(peer, "-ERR unknown command 'HELLO'\r\n");
    until(has(peer, "*3\r\n$4\r\nAUTH\r\n$3\r\nann\r\n$6\r\nsecret\r\n"));
    say(peer, "+OK\r\n");
    until(has(peer, "*2\r\n$6\r\nSELECT\r\n$1\r\n7\r\n"));
    say(peer, "+OK\r\n");
    until(has(peer, INFO));
    say(peer, "-NOPERM this user has no permissions to run the 'info' command\r\n");
    until(has(peer, PING));
    say(peer, "+PONG\r\n");
    until(has(peer, "GET"));
    say(peer, "$-1\r\n");
    until(ask->done);
    assert_true(ask->err == WEIR_OK && ask->replies == 1 && COUNTED(old) == 1);
    assert_string_equal(ask->run_id, "");
    close_fixture(f);
}

/* What it says at the last step, or at the first, and what becomes of the call. */
static void what_keeps_a_server_from_serving_is_told_apart(void **state)
{
    static const struct {
        const char *says;
        bool is_first;
        weir_err err;
        enum redis_says refusal;
    } cases[] = {
        {"-LOADING Redis is loading\r\n", false, WEIR_EREFUSED, REDIS_LOADING},
        {"-MASTERDOWN Link with MASTER is down\r\n", false, WEIR_EREFUSED, REDIS_MASTERDOWN},
        {"-WRONGPASS invalid\r\n", true, WEIR_EDENIED, REDIS_WRONGPASS},
        {"-NOAUTH Authentication required.\r\n", false, WEIR_EDENIED, REDIS_NOAUTH},
        {"-NOPERM no\r\n", true, WEIR_EDENIED, REDIS_NOPERM},
        {"-BUSY a script runs\r\n", false, WEIR_EPROTOCOL, REDIS_BUSY},
        {"HTTP/1.1 400 Bad Request\r\n", true, WEIR_EPROTOCOL, REDIS_FINE},
        {"$1073741824\r\n", true, WEIR_EPROTOCOL, REDIS_FINE},
        {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", true, WEIR_EPROTOCOL,
         REDIS_FINE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FIXTURE(.calls_max = 4);
        struct ask *ask = begin(f, 0, "GET a", 5000);
        if (cases[i].is_first) {
            until(f->peers_count > 0 && has(&f->peers[0], HELLO));
        } else {
            greet(f, 0);
        }
        say(&f->peers[0], cases[i].says);
        until(ask->done);
        assert_int_equal(ask->err, cases[i].err == WEIR_EDENIED ? WEIR_EDENIED : cases[i].err);
        assert_false(ask->was_sent);
        assert_int_equal(redis_connector_refusal(f->connector), cases[i].refusal);
        close_fixture(f);
    }
    assert_string_equal(redis_says_word(REDIS_MASTERDOWN), "MASTERDOWN");
    assert_int_equal(redis_says_of(SLICE("ERRATIC x")), REDIS_ERR);
    assert_int_equal(redis_says_of(SLICE("NOSCRIPT")), REDIS_NOSCRIPT);
}

static void calls_under_way_fail_with_the_reason_when_it_dies(void **state)
{
    static const struct {
        const char *says;
        weir_err err;
    } cases[] = {{"", WEIR_EHANGUP},
                 {"$1\r\n1\r\n", WEIR_EHANGUP},
                 {"$1\r\n1\r\n?", WEIR_EPROTOCOL},
                 {"$2147483648\r\n", WEIR_EPROTOCOL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FIXTURE(.calls_max = 8);
        struct ask *one = begin(f, 0, "SET a 1;SET b 2", 5000);
        struct peer *peer = let_in(f, 0);
        until(has(peer, "SET"));
        struct ask *two = begin(f, 1, "GET b", 5000);
        until(has(peer, "GET"));
        say(peer, cases[i].says);
        if (cases[i].err == WEIR_EHANGUP) {
            close(peer->fd);
            peer->fd = -1;
        }
        until(one->done && two->done);
        assert_true(one->err == cases[i].err && two->err == cases[i].err);
        assert_true(one->was_sent && two->was_sent && one->done == 1 && two->done == 1);
        assert_int_equal(one->replies, i == 1 || i == 2);
        assert_int_equal(COUNTED(lost), 2);
        struct ask *next = begin(f, 2, "GET c", 5000); /* by another one */
        peer = let_in(f, 1);
        until(has(peer, "GET"));
        say(peer, "$1\r\nc\r\n");
        until(next->done);
        assert_int_equal(next->err, WEIR_OK);
        close_fixture(f);
    }
}

static void a_late_reply_is_nobodys(void **state)
{
    FIXTURE(.calls_max = 2);
    struct ask *one = begin(f, 0, "GET a", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "GET"));
    struct ask *slow = begin(f, 1, "GET b", 60);
    until(has(peer, "GET"));
    say(peer, "$1\r\na\r\n"); /* it lives */
    until(slow->done);
    assert_true(one->err == WEIR_OK && slow->err == WEIR_ETOTAL_TIMEOUT && slow->was_sent);
    struct ask *next = begin(f, 2, "GET c", 5000);
    until(has(peer, "GET"));
    say(peer, "$1\r\nb\r\n$1\r\nc\r\n");
    until(next->done);
    assert_string_equal(next->said, "c;");
    assert_true(COUNTED(late) == 1 && COUNTED(timeouts) == 1 && COUNTED(silent) == 0);
    assert_int_equal(f->peers_count, 1);
    close_fixture(f);
}

static void a_server_that_says_nothing_is_given_up(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *slow = begin(f, 0, "GET a", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "GET"));
    struct ask *one = begin(f, 1, "GET b", 80);
    until(one->done);
    assert_true(one->err == WEIR_EREAD_TIMEOUT && slow->done && slow->err == WEIR_EREAD_TIMEOUT);
    assert_int_equal(COUNTED(silent), 1);
    struct ask *never = begin(f, 2, "GET c", 60); /* its connection does not come up */
    until(never->done);
    assert_true(never->err == WEIR_EACQUIRE_TIMEOUT && !never->was_sent);
    close_fixture(f);
}

static void one_that_is_cancelled_hears_nothing(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *waiting = begin(f, 0, "GET a", 5000), *asked = begin(f, 1, "GET b", 5000);
    redis_call_cancel(&waiting->call);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "$1\r\nb\r\n"));
    redis_call_cancel(&asked->call);
    redis_call_cancel(&asked->call);
    struct ask *next = begin(f, 2, "GET c", 5000);
    until(has(peer, "GET"));
    say(peer, "$1\r\nb\r\n$1\r\nc\r\n");
    until(next->done);
    assert_string_equal(next->said, "c;");
    assert_true(waiting->done == 0 && asked->done == 0 && asked->replies == 0);
    close_fixture(f);
}

static void a_reply_that_nobody_asked_for_ends_it(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *ask = begin(f, 0, "GET a", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "GET"));
    say(peer, "$1\r\na\r\n+OK\r\n");
    until(ask->done);
    assert_int_equal(ask->err, WEIR_OK);
    until(COUNTED(bad) == 1);
    close_fixture(f);
}

static void an_idle_one_is_probed(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *ask = begin(f, 0, "GET a", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "GET"));
    say(peer, "$1\r\na\r\n");
    until(ask->done);
    until(has(peer, PING));
    say(peer, "+PONG\r\n");
    until(has(peer, PING)); /* again */
    assert_int_equal(weir_pool_probe(f->pool, true), WEIR_OK);
    weir_stats stats = {.size = sizeof stats};
    do { /* and nothing: it is closed */
        until(true);
        loop_turn(f->loop, 10);
        weir_pool_stats(f->pool, &stats);
    } while (stats.closed_by[WEIR_EPROBE_TIMEOUT] == 0);
    close_fixture(f);
}

/* A master that has become a replica: the next call finds another. */
static void a_replica_is_left(void **state)
{
    FIXTURE(.calls_max = 8);
    struct ask *ask = begin(f, 0, "SET a 1", 5000);
    struct peer *peer = let_in(f, 0);
    until(has(peer, "SET"));
    say(peer, "-READONLY You can't write against a read only replica.\r\n");
    until(ask->done);
    assert_true(ask->err == WEIR_OK && ask->errors == 1 && COUNTED(read_only) == 1);
    ask = begin(f, 0, "SET a 1", 5000);
    peer = let_in(f, 1);
    until(has(peer, "SET"));
    say(peer, "+OK\r\n");
    until(ask->done);
    assert_int_equal(ask->errors, 0);
    close_fixture(f);
}

static void call_once(const struct alloc *alloc, void *arg)
{
    struct fixture *f = arg;
    const struct redis_connector_options more = {.password = "x", .name = "weir"};
    if (open_fixture(f, alloc, 0, &more)) {
        struct ask *ask = begin(f, 0, "GET a", 300);
        while (!ask->done) {
            loop_turn(f->loop, 1);
            play(f);
            for (unsigned i = 0; i < f->peers_count; i++) {
                struct peer *peer = &f->peers[i];
                if (peer->have > 0) {
                    say(peer, has(peer, "PING") ? "+PONG\r\n" : "$1\r\na\r\n");
                    peer->have = 0;
                }
            }
        }
    }
    close_fixture(f);
}

static void every_refusal_of_memory_is_survived(void **state)
{
    (void)state;
    torture(call_once, &fixture);
}

/* --- a real one ---------------------------------------------------------------------------------
 */

static void a_real_server_serves_many(void **state)
{
    struct redis_server server = {
        .more = {"--requirepass", "root", "--user", "ann", "on", ">secret", "~*", "+@all"}};
    const struct redis_connector_options more = {
        .user = "ann", .password = "secret", .database = 3, .name = "weir"};
    struct fixture *f = &fixture;
    (void)state;
    redis_start(&server);
    assert_true(open_fixture(f, &alloc_libc, server.port, &more));
    for (unsigned i = 0; i < ASKS_MAX; i++) {
        char text[96];
        snprintf(text, sizeof text, "SET k%u v%u;GET k%u;INCR n", i, i, i);
        begin(f, i, text, 10000);
    }
    for (unsigned i = 0; i < ASKS_MAX; i++) {
        char want[48];
        until(f->asks[i].done);
        snprintf(want, sizeof want, "OK;v%u;;", i);
        assert_int_equal(f->asks[i].err, WEIR_OK);
        assert_string_equal(f->asks[i].said, want);
        assert_int_equal(strlen(f->asks[i].run_id), 40);
    }
    struct ask *bad = begin(f, 0, "LPUSH k1 x;EVALSHA abc 0;NONSENSE", 5000);
    until(bad->done);
    assert_true(bad->err == WEIR_OK && bad->errors == 3);
    assert_int_equal(redis_says_of(slice_of(bad->said)), REDIS_WRONGTYPE);
    assert_string_equal(redis_says(&server, "AUTH", "root"), "OK");
    assert_string_equal(redis_says(&server, "SELECT", "3"), "OK");
    assert_string_equal(redis_says(&server, "GET", "n"), "200");
    assert_non_null(strstr(redis_says(&server, "CLIENT", "LIST"), "name=weir"));
    close_fixture(f);
    redis_end(&server);
}

static void a_real_server_that_refuses_says_so(void **state)
{
    struct redis_server server = {.more = {"--requirepass", "root"}};
    const struct redis_connector_options wrong = {.password = "toor"}, none = {0};
    struct fixture *f = &fixture;
    (void)state;
    redis_start(&server);
    for (unsigned i = 0; i < 2; i++) {
        assert_true(open_fixture(f, &alloc_libc, server.port, i == 0 ? &wrong : &none));
        struct ask *ask = begin(f, 0, "GET a", 5000);
        until(ask->done);
        assert_int_equal(ask->err, WEIR_EDENIED);
        assert_int_equal(redis_connector_refusal(f->connector),
                         i == 0 ? REDIS_WRONGPASS : REDIS_NOAUTH);
        close_fixture(f);
    }
    redis_end(&server);
}

static void a_real_server_is_stopped_killed_and_started(void **state)
{
    struct redis_server server = {0};
    const struct redis_connector_options more = {.calls_max = 16};
    struct fixture *f = &fixture;
    char run_id[REDIS_RUN_ID_MAX];
    (void)state;
    redis_start(&server);
    assert_true(open_fixture(f, &alloc_libc, server.port, &more));
    struct ask *ask = begin(f, 0, "SET a 1", 5000);
    until(ask->done);
    assert_int_equal(ask->err, WEIR_OK);
    memcpy(run_id, ask->run_id, sizeof run_id);
    redis_pause(&server, true);
    ask = begin(f, 0, "GET a", 200);
    until(ask->done);
    assert_true(ask->err == WEIR_EREAD_TIMEOUT && ask->was_sent);
    redis_pause(&server, false);
    do {
        ask = begin(f, 0, "GET a", 5000);
        until(ask->done);
    } while (ask->err != WEIR_OK);
    assert_string_equal(ask->said, "1;");
    redis_kill(&server);
    do {
        ask = begin(f, 0, "GET a", 1000);
        until(ask->done);
        assert_int_not_equal(ask->err, WEIR_OK);
    } while (ask->err != WEIR_EDOWN && ask->err != WEIR_EREFUSED);
    redis_run(&server);
    do {
        ask = begin(f, 0, "GET a", 1000);
        until(ask->done);
    } while (ask->err != WEIR_OK);
    assert_string_equal(ask->said, ";"); /* it has lost everything */
    assert_string_not_equal(ask->run_id, run_id);
    close_fixture(f);
    redis_end(&server);
}

/* With TLS: who is trusted is spoken to, and nobody else. */
static weir_err ask_with_tls(uint16_t port, const char *ca)
{
    const struct redis_connector_options more = {.calls_max = 4};
    struct fixture *f = &fixture;
    struct tls_profile *profile;
    struct tls_fault fault;
    struct tls_desk *desk;
    struct tls_client *client;
    const struct tls_profile_options trust = {.ca = ca};
    assert_true(open_fixture(f, &alloc_libc, port, &more));
    assert_int_equal(tls_profile_read(&trust, &profile, &fault), 0);
    assert_int_equal(tls_desk_new(f->loop, &desk), 0);
    assert_int_equal(tls_client_new(desk, profile, &client), 0);
    f->connector->opt.desk = desk;
    f->connector->opt.tls = client;
    f->key.scheme = "rediss";
    f->key.host = "localhost"; /* what the certificate is for */
    struct ask *ask = begin(f, 0, "SET a 1;GET a", 5000);
    until(ask->done);
    assert_string_equal(ask->said, ask->err == WEIR_OK ? "OK;1;" : "");
    redis_connector_cut(f->connector);
    tls_client_free(client);
    tls_profile_free(profile);
    loop_turn(f->loop, 0);
    tls_desk_free(desk);
    close_fixture(f);
    return ask->err;
}

static void a_real_server_with_tls(void **state)
{
    char port[8], key[] = "/tmp/weir-key-XXXXXX";
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "localhost", NULL);
    struct maker other = maker_of(-DAY_S, DAY_S, false, "localhost", NULL);
    uint16_t tls_port = redis_free_port();
    int fd = mkstemp(key);
    (void)state;
    assert_int_equal(write(fd, maker.key, strlen(maker.key)), (ssize_t)strlen(maker.key));
    close(fd);
    snprintf(port, sizeof port, "%u", (unsigned)tls_port);
    struct redis_server server = {.more = {"--tls-port", port, "--tls-cert-file", maker.ca,
                                           "--tls-key-file", key, "--tls-auth-clients", "no"}};
    redis_start(&server);
    assert_int_equal(ask_with_tls(tls_port, maker.ca), WEIR_OK);
    assert_int_equal(ask_with_tls(tls_port, other.ca), WEIR_ETLS_UNTRUSTED);
    assert_int_not_equal(ask_with_tls(server.port, maker.ca), WEIR_OK); /* it speaks no TLS there */
    redis_end(&server);
    unlink(key);
    maker_free(&maker);
    maker_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_go_to_those_who_asked),
        cmocka_unit_test(how_replies_are_cut_makes_no_difference),
        cmocka_unit_test(an_old_server_is_spoken_to_as_such),
        cmocka_unit_test(what_keeps_a_server_from_serving_is_told_apart),
        cmocka_unit_test(calls_under_way_fail_with_the_reason_when_it_dies),
        cmocka_unit_test(a_late_reply_is_nobodys),
        cmocka_unit_test(a_server_that_says_nothing_is_given_up),
        cmocka_unit_test(one_that_is_cancelled_hears_nothing),
        cmocka_unit_test(a_reply_that_nobody_asked_for_ends_it),
        cmocka_unit_test(an_idle_one_is_probed),
        cmocka_unit_test(a_replica_is_left),
        cmocka_unit_test(every_refusal_of_memory_is_survived),
        cmocka_unit_test(a_real_server_serves_many),
        cmocka_unit_test(a_real_server_that_refuses_says_so),
        cmocka_unit_test(a_real_server_is_stopped_killed_and_started),
        cmocka_unit_test(a_real_server_with_tls),
    };
    return cmocka_run_group_tests_name("redis", tests, NULL, NULL);
}
