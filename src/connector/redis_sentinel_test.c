/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentinels and masters that are played by the test, between the turns of a real loop: each answers
 * every command as its row of the stage says.
 */
#include "connector/redis_sentinel.h"

#include "connector/redis_parts.h"
#include "io/dns.h"
#include "io/socket.h"
#include "support/listening.h"
#include "support/turns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACTORS    4U
#define FDS_MAX   32U
#define SENTINELS 3U /* the first actors */

struct actor {
    int listener; /* -1: nobody listens */
    uint16_t port;
    const char *answer; /* to SENTINEL; NULL: never */
    const char *role;   /* to ROLE */
    unsigned asked, roles, gets;
};

struct fixture {
    struct loop *loop;
    struct dns *dns;
    weir_engine *engine;
    struct loop_hook step;
    struct redis_connector *to_sentinels, *connector;
    struct redis_sentinels *sentinels;
    weir_pool *sentinels_pool, *pool;
    unsigned closed;
    weir_key keys[SENTINELS], key;
    struct actor actors[ACTORS];
    int fds[FDS_MAX];
    unsigned owners[FDS_MAX], fds_count;
    struct redis_call call;
    unsigned done, replies;
    weir_err err;
    char answers[ACTORS][64];
};

/* --- who is played ------------------------------------------------------------------------------
 */

static void perform(struct actor *actor, int fd)
{
    char in[4096];
    ssize_t n = read(fd, in, sizeof in - 1);
    if (n <= 0) {
        return;
    }
    in[n] = '\0';
    const char *say = "-ERR what\r\n"; /* HELLO, INFO */
    if (strstr(in, "SENTINEL") != NULL) {
        assert_non_null(strstr(in, "$23\r\nget-master-addr-by-name\r\n$6\r\nleader\r\n"));
        actor->asked++;
        say = actor->answer;
    } else if (strstr(in, "ROLE") != NULL) {
        actor->roles++;
        say = actor->role;
    } else if (strstr(in, "PING") != NULL) {
        say = "+PONG\r\n";
    } else if (strstr(in, "GET") != NULL) {
        actor->gets++;
        say = "$1\r\nx\r\n";
    }
    if (say != NULL) {
        send(fd, say, strlen(say), MSG_NOSIGNAL);
    }
}

static void play(struct fixture *f)
{
    for (unsigned i = 0; i < ACTORS; i++) {
        int fd = f->actors[i].listener >= 0
                     ? accept4(f->actors[i].listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
                     : -1;
        if (fd >= 0) {
            assert_true(f->fds_count < FDS_MAX);
            f->owners[f->fds_count] = i;
            f->fds[f->fds_count++] = fd;
        }
    }
    for (unsigned i = 0; i < f->fds_count; i++) {
        perform(&f->actors[f->owners[i]], f->fds[i]);
    }
}

#define until(condition) await_true(condition, TURNS_DEADLINE_MS, loop_turn(f->loop, 1); play(f))

static void listen_as(struct actor *actor)
{
    actor->listener = listening(SOCK_NONBLOCK, 8, &actor->port);
    actor->role = "*3\r\n$6\r\nmaster\r\n:1\r\n*0\r\n";
}

/* The sentinel says that the master is that actor. */
static void point(struct fixture *f, unsigned sentinel, unsigned master)
{
    char port[8];
    int len = snprintf(port, sizeof port, "%u", (unsigned)f->actors[master].port);
    snprintf(f->answers[sentinel], sizeof f->answers[sentinel],
             "*2\r\n$9\r\n127.0.0.1\r\n$%d\r\n%s\r\n", len, port);
    f->actors[sentinel].answer = f->answers[sentinel];
}

/* --- the client ---------------------------------------------------------------------------------
 */

static uint64_t step(void *self, uint64_t now_ms)
{
    const struct fixture *f = self;
    return weir_step(f->engine, now_ms);
}

/* The engine knows what time it is when a call is begun. */
static void tick(void *self, uint64_t now_ms)
{
    step(self, now_ms);
}

static void heard_of_pool(void *arg, const weir_event *event)
{
    struct fixture *f = arg;
    f->closed += event->kind == WEIR_EVENT_POOL_CLOSED;
}

static bool open_pool(struct fixture *f, const char *name, struct redis_connector *connector,
                      weir_pool **ret_pool)
{
    weir_pool_options pool = {.size = sizeof pool,
                              .name = name,
                              .connector = &redis_pool_connector,
                              .connector_self = connector,
                              .streams_conns_max = 1,
                              .retry_first_ms = 20,
                              .retry_cap_ms = 20,
                              .failures_max = 100,
                              .connect_timeout_ms = 5000};
    assert_int_equal(weir_pool_open(f->engine, &pool, ret_pool), WEIR_OK);
    redis_connector_serve(connector, *ret_pool);
    weir_pool_on_event(*ret_pool, heard_of_pool, f, 0);
    return true;
}

/* False: memory was refused. */
static bool open_client(struct fixture *f, const struct alloc *alloc)
{
    struct redis_connector_options opt = {.loop = f->loop,
                                          .dns = f->dns,
                                          .alloc = alloc,
                                          .connect_timeout_ms = 5000,
                                          .write_timeout_ms = 5000,
                                          .acquire_timeout_ms = 5000};
    if (redis_connector_new(&opt, &f->to_sentinels) != 0) {
        f->to_sentinels = NULL;
        return false;
    }
    const struct redis_sentinels_options sentinels = {.loop = f->loop,
                                                      .alloc = alloc,
                                                      .connector = f->to_sentinels,
                                                      .keys = f->keys,
                                                      .count = SENTINELS,
                                                      .timeout_ms = 300,
                                                      .watch_ms = 20,
                                                      .master = "leader"};
    if (redis_sentinels_new(&sentinels, &f->sentinels) != 0) {
        f->sentinels = NULL;
        return false;
    }
    opt.sentinels = f->sentinels;
    if (redis_connector_new(&opt, &f->connector) != 0) {
        f->connector = NULL;
        return false;
    }
    return open_pool(f, "sentinels", f->to_sentinels, &f->sentinels_pool)
           && open_pool(f, "master", f->connector, &f->pool);
}

static bool open_fixture(struct fixture *f, const struct alloc *alloc)
{
    const struct loop_options loop = {0};
    const struct dns_options dns = {0};
    memset(f, 0, sizeof *f);
    f->key = (weir_key){.scheme = "redis", .host = "leader", .port = 1};
    for (unsigned i = 0; i < ACTORS; i++) {
        listen_as(&f->actors[i]);
    }
    for (unsigned i = 0; i < SENTINELS; i++) {
        f->keys[i] = (weir_key){.scheme = "redis", .host = "127.0.0.1", .port = f->actors[i].port};
        point(f, i, SENTINELS);
    }
    assert_int_equal(loop_new(&loop, &f->loop), 0);
    assert_int_equal(dns_open(f->loop, &dns, &f->dns), 0);
    const weir_engine_options engine = {.size = sizeof engine, .now_ms = loop_now_ms(f->loop)};
    assert_int_equal(weir_engine_new(&engine, &f->engine), WEIR_OK);
    f->step = (struct loop_hook){.run = step, .tick = tick, .self = f};
    loop_hook_add(f->loop, &f->step);
    return open_client(f, alloc);
}

static void leave(struct actor *actor)
{
    if (actor->listener >= 0) {
        close(actor->listener);
        actor->listener = -1;
    }
}

static void close_fixture(struct fixture *f)
{
    weir_pool *pools[] = {f->pool, f->sentinels_pool};
    if (f->sentinels != NULL) {
        redis_sentinels_unwatch(f->sentinels);
    }
    for (unsigned i = 0; i < 2 && f->pool != NULL; i++) {
        weir_pool_close(pools[i], 0);
        loop_hook_soon(f->loop, &f->step);
        until(f->closed == i + 1);
    }
    for (unsigned i = 0; i < f->fds_count; i++) {
        close(f->fds[i]);
    }
    redis_connector_free(f->connector);
    redis_sentinels_free(f->sentinels);
    redis_connector_free(f->to_sentinels);
    loop_hook_remove(f->loop, &f->step);
    dns_close(f->dns);
    weir_engine_free(f->engine);
    loop_free(f->loop);
    for (unsigned i = 0; i < ACTORS; i++) {
        leave(&f->actors[i]);
    }
}

#define FIXTURE                                                                                    \
    static struct fixture fixture;                                                                 \
    struct fixture *f = &fixture;                                                                  \
    (void)state;                                                                                   \
    assert_true(open_fixture(f, &alloc_libc))

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct fixture *f = container_of(call, struct fixture, call);
    (void)index;
    (void)inside;
    f->replies += value->type == RESP_TEXT && slice_is(value->text, "x");
}

static void on_done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct fixture *f = container_of(call, struct fixture, call);
    f->done++;
    f->err = outcome->err;
}

static void get(struct fixture *f, uint32_t timeout_ms)
{
    f->done = f->replies = 0;
    f->call.on_reply = on_reply;
    f->call.done = on_done;
    f->call.commands = SLICE("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    f->call.count = 1;
    redis_call_begin(f->connector, &f->call, &f->key, timeout_ms);
    assert_int_equal(f->done, 0);
}

static void drop(struct fixture *f, unsigned actor)
{
    for (unsigned i = 0; i < f->fds_count; i++) {
        if (f->owners[i] == actor) {
            shutdown(f->fds[i], SHUT_RDWR);
        }
    }
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void the_master_is_where_they_say(void **state)
{
    FIXTURE;
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->err, WEIR_OK);
    assert_int_equal(f->replies, 1);
    assert_int_equal(f->actors[0].asked, 1);
    assert_int_equal(f->actors[1].asked + f->actors[2].asked, 0);
    assert_int_equal(f->actors[3].roles, 1);
    get(f, 10000); /* nobody is asked for a connection that is there */
    until(f->done > 0);
    assert_int_equal(f->actors[0].asked, 1);
    close_fixture(f);
}

static void whoever_does_not_know_is_passed_over(void **state)
{
    FIXTURE;
    leave(&f->actors[0]);
    f->actors[1].answer = "*-1\r\n"; /* it knows no such master */
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->err, WEIR_OK);
    assert_true(f->actors[1].asked == 1 && f->actors[2].asked == 1);
    drop(f, 3);
    get(f, 10000); /* the one that knew is asked first from here on */
    until(f->done > 0);
    if (f->err != WEIR_OK) { /* it was on the connection that ended */
        get(f, 10000);
        until(f->done > 0);
    }
    assert_int_equal(f->err, WEIR_OK);
    assert_true(f->actors[1].asked == 1 && f->actors[2].asked == 2);
    close_fixture(f);
}

static void one_that_says_nothing_has_its_time(void **state)
{
    FIXTURE;
    f->actors[0].answer = NULL;
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->err, WEIR_OK);
    assert_true(f->actors[0].asked == 1 && f->actors[1].asked == 1);
    close_fixture(f);
}

static void what_is_no_place_is_none(void **state)
{
    FIXTURE;
    static const char *const bad[] = {
        "*1\r\n$1\r\na\r\n",
        "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n1\r\n",
        "*2\r\n$1\r\na\r\n$1\r\n0\r\n",
        "*2\r\n$1\r\na\r\n$5\r\n65536\r\n",
        "*2\r\n$1\r\na\r\n$2\r\n-1\r\n",
        "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
        "*2\r\n:1\r\n$1\r\n1\r\n",
        "*2\r\n*1\r\n$1\r\na\r\n$1\r\n1\r\n",
        "-ERR no\r\n",
        "$1\r\na\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        unsigned asked = f->actors[0].asked + f->actors[1].asked;
        f->actors[0].answer = f->actors[1].answer = f->actors[2].answer = bad[i];
        get(f, 60);
        until(f->done > 0 && f->actors[0].asked + f->actors[1].asked > asked);
        assert_int_not_equal(f->err, WEIR_OK);
    }
    assert_int_equal(f->actors[3].roles, 0);
    point(f, 0, 3);
    get(f, 10000);
    until(f->done > 0 && f->err == WEIR_OK);
    close_fixture(f);
}

static void who_is_no_master_is_not_talked_to(void **state)
{
    FIXTURE;
    static const char *const roles[] = {
        "*5\r\n$5\r\nslave\r\n$1\r\nh\r\n:1\r\n$9\r\nconnected\r\n:1\r\n",
        "*2\r\n$8\r\nsentinel\r\n*0\r\n",
        "*0\r\n",
        "$6\r\nmaster\r\n",
    };
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        f->actors[3].role = roles[i];
        get(f, 10000);
        until(f->done > 0);
        assert_int_equal(f->err, WEIR_EREFUSED);
        assert_int_equal(atomic_load(&redis_connector_counters(f->connector)->not_master), i + 1);
        assert_int_equal(redis_connector_refusal(f->connector), REDIS_READONLY);
    }
    assert_int_equal(f->actors[3].gets, 0);
    f->actors[3].role = "*1\r\n$6\r\nmaster\r\n";
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->err, WEIR_OK);
    assert_int_equal(f->actors[3].gets, 1);
    assert_int_equal(f->actors[0].asked, sizeof roles / sizeof *roles + 1); /* before each dial */
    close_fixture(f);
}

static void a_master_that_was_replaced_is_left(void **state)
{
    FIXTURE;
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->actors[3].gets, 1);
    redis_sentinels_watch(f->sentinels, f->connector);
    unsigned asked = f->actors[0].asked;
    until(f->actors[0].asked > asked + 2);
    assert_int_equal(f->actors[3].roles, 1); /* it stays */
    point(f, 0, 2);                          /* an actor may play both */
    f->actors[2].role = f->actors[3].role;
    uint64_t end_ms = clock_now_ms() + TURNS_DEADLINE_MS;
    while (f->actors[2].gets == 0) {
        assert_true(clock_now_ms() < end_ms);
        get(f, 10000);
        until(f->done > 0);
        assert_int_equal(f->err, WEIR_OK); /* no call is lost by that */
    }
    unsigned gets = f->actors[3].gets;
    get(f, 10000);
    until(f->done > 0);
    assert_int_equal(f->actors[3].gets, gets);
    close_fixture(f);
}

static void closing_ends_a_question(void **state)
{
    FIXTURE;
    f->actors[0].answer = NULL;
    get(f, 10000);
    redis_sentinels_watch(f->sentinels, f->connector);
    until(f->actors[0].asked > 0);
    close_fixture(f);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->err, WEIR_ECLOSED);
}

static void one_life(const struct alloc *alloc, void *arg)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    (void)arg;
    if (open_fixture(f, alloc)) {
        get(f, 3000);
        until(f->done > 0);
        redis_sentinels_watch(f->sentinels, f->connector);
        unsigned asked = f->actors[0].asked + f->actors[1].asked + f->actors[2].asked;
        until(f->actors[0].asked + f->actors[1].asked + f->actors[2].asked > asked);
    }
    close_fixture(f);
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(one_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_is_where_they_say),
        cmocka_unit_test(whoever_does_not_know_is_passed_over),
        cmocka_unit_test(one_that_says_nothing_has_its_time),
        cmocka_unit_test(what_is_no_place_is_none),
        cmocka_unit_test(who_is_no_master_is_not_talked_to),
        cmocka_unit_test(a_master_that_was_replaced_is_left),
        cmocka_unit_test(closing_ends_a_question),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
