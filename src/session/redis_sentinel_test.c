/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_sentinel_test.c - sessions that share a real master with a replica, behind three real
 * sentinels: the master is killed, and is told to change places with its replica, while sessions
 * are made and touched. In no call is an error.
 */
#include "support/maker.h"
#include "support/redis_things.h"

#define SENTINELS 3U

/* `server` is the master that is, as far as the test knows. */
static struct redis_server other, sentinels[SENTINELS];
static char port_text[8];

/* --- master and sentinels -----------------------------------------------------------------------
 */

static void follow(struct redis_server *replica, const struct redis_server *master)
{
    static const char *const words[] = {"--repl-diskless-sync-delay", "0", "--replicaof",
                                        "127.0.0.1"};
    memcpy(replica->more, words, sizeof words);
    snprintf(port_text, sizeof port_text, "%u", (unsigned)master->port);
    replica->more[4] = port_text;
}

static bool is_linked(struct redis_server *replica)
{
    return strstr(redis_says(replica, "INFO", "replication"), "master_link_status:up") != NULL;
}

/* All sentinels know each other and the replica, and it is well. */
static bool is_watched(const struct redis_server *replica)
{
    char port[16];
    snprintf(port, sizeof port, " %u ", (unsigned)replica->port);
    for (unsigned i = 0; i < SENTINELS; i++) {
        const char *said = redis_says(&sentinels[i], "SENTINEL", "CKQUORUM", "mymaster");
        if (strncmp(said, "OK 3 usable", 11) != 0) {
            return false;
        }
        said = redis_says(&sentinels[i], "SENTINEL", "REPLICAS", "mymaster");
        if (strstr(said, port) == NULL || strstr(said, "master-link-status ok") == NULL
            || strstr(said, " flags slave link") == NULL) { /* and nothing else: s_down, … */
            return false;
        }
    }
    return true;
}

static bool is_promoted(const struct redis_server *replica)
{
    char place[32];
    bool is_all = true;
    snprintf(place, sizeof place, "127.0.0.1 %u", (unsigned)replica->port);
    for (unsigned i = 0; i < SENTINELS; i++) {
        const char *said = redis_says(&sentinels[i], "SENTINEL", "GET-MASTER-ADDR-BY-NAME",
                                      "mymaster");
        is_all = is_all && strcmp(said, place) == 0;
    }
    return is_all;
}

/* Whom a sentinel tells who it is from now on loses its clients. */
static void look_again(struct redis_server *at)
{
    close(at->fd);
    at->fd = redis_try_connect(at->port);
    assert_true(at->fd >= 0);
    assert_string_equal(redis_says(at, "SELECT", "2"), "OK");
}

static int start_all(void **state)
{
    (void)state;
    server = other = (struct redis_server){.more = {"--repl-diskless-sync-delay", "0"}};
    redis_start(&server);
    follow(&other, &server);
    redis_start(&other);
    until(is_linked(&other));
    for (unsigned i = 0; i < SENTINELS; i++) {
        redis_start_sentinel(&sentinels[i], server.port, "");
    }
    until(is_watched(&other));
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
    assert_true(redis_wire_init(&wire, "test", 1, 1000));
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SENTINELS; i++) {
        redis_end(&sentinels[i]);
    }
    redis_end(&other);
    redis_end(&server);
    return 0;
}

/* The replica is the master from here on. */
static void swap(void)
{
    struct redis_server master = other;
    other = server;
    server = master;
    look_again(&server);
}

/* --- those who share ----------------------------------------------------------------------------
 */

static weir_sessions *opened_by_name(const char *master, const char *at, const char *ca)
{
    char url[64];
    weir_sessions *sessions;
    snprintf(url, sizeof url, "redis://%s/2", master);
    const weir_sessions_redis redis = {.url = url,
                                       .sentinels = at,
                                       .ca = ca,
                                       .prefix = "test",
                                       .timeout_ms = 1000,
                                       .soon_ms = 2,
                                       .counters_ms = 20,
                                       .again_ms = 50};
    const weir_sessions_options opt = {
        .sessions_max = 2 * THINGS_MAX, .secret = secret, .redis = &redis};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    return sessions;
}

static weir_sessions *opened_by_sentinels(void)
{
    char at[96];
    snprintf(at, sizeof at, "redis://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u",
             (unsigned)sentinels[0].port, (unsigned)sentinels[1].port, (unsigned)sentinels[2].port);
    return opened_by_name("mymaster", at, NULL);
}

/* So many things, all on the master. */
static weir_sessions *begun(struct things *things, unsigned count)
{
    weir_sessions *sessions = opened_by_sentinels();
    for (things->count = 0; things->count < count;) {
        go_on(sessions, things);
    }
    until(is_stored(sessions));
    assert_true(is_there('s', things->ids[count - 1]));
    return sessions;
}

/* What is on the master, all of it; and somebody else finds it there. */
static void find_all(weir_sessions *sessions, const struct things *things)
{
    until(is_stored(sessions));
    for (unsigned i = 0; i < things->count; i++) {
        until(is_there('s', things->ids[i]));
        assert_string_equal(field_of(things->ids[i], "pl"), "east");
    }
    weir_sessions *stranger = opened_by_sentinels();
    for (unsigned i = 0; i < things->count; i += 10) {
        assert_int_equal(fetch(stranger, things->ids[i]), WEIR_OK);
        assert_string_equal(got(stranger, things->ids[i]).place, "east");
    }
    weir_sessions_close(stranger);
}

/* While the replica is made the master, and after. */
static void go_over(weir_sessions *sessions, struct things *things)
{
    while (!is_promoted(&other)) {
        go_on(sessions, things);
        poll(NULL, 0, 20);
    }
    swap();
    go_on(sessions, things);
    find_all(sessions, things);
}

/* --- tests --------------------------------------------------------------------------------------
 */

static void a_master_that_dies_is_followed(void **state)
{
    (void)state;
    struct things things;
    weir_sessions *sessions = begun(&things, 20);
    assert_string_equal(redis_says(&server, "WAIT", "1", "5000"), "1");
    redis_kill(&server);
    go_over(sessions, &things);
    assert_true(stats_of(sessions).store_outages > 0);
    weir_sessions_close(sessions);
    follow(&other, &server); /* it comes back as who it is now */
    redis_run(&other);
    until(is_watched(&other));
}

static void one_that_lives_on_is_left(void **state)
{
    (void)state;
    struct things things;
    weir_sessions *sessions = begun(&things, 1);
    assert_string_equal(redis_says(&server, "WAIT", "1", "5000"), "1");
    until(strcmp(redis_says(&sentinels[0], "SENTINEL", "FAILOVER", "mymaster"), "OK") == 0);
    go_over(sessions, &things);
    weir_sessions_close(sessions);
}

/* A master that is cut off takes what it is told; who knows better is not to stay with it. */
static void who_says_that_it_is_the_master_is_left_all_the_same(void **state)
{
    (void)state;
    struct things things;
    char port[8];
    weir_sessions *sessions = begun(&things, 1);
    for (unsigned i = 0; i < SENTINELS; i++) {
        assert_string_equal(redis_says(&sentinels[i], "SENTINEL", "REMOVE", "mymaster"), "OK");
    }
    redis_kill(&other);
    other.more[2] = NULL; /* it follows nobody */
    redis_run(&other);
    snprintf(port, sizeof port, "%u", (unsigned)other.port);
    for (unsigned i = 0; i < SENTINELS; i++) {
        assert_string_equal(
            redis_says(&sentinels[i], "SENTINEL", "MONITOR", "mymaster", "127.0.0.1", port, "2"),
            "OK");
    }
    swap();
    until(strstr(redis_says(&server, "CLIENT", "LIST"), "name=weir") != NULL);
    until(strstr(redis_says(&other, "CLIENT", "LIST"), "name=weir") == NULL);
    go_on(sessions, &things);
    find_all(sessions, &things);
    weir_sessions_close(sessions);
}

static void sentinels_are_asked_in_turn(void **state)
{
    (void)state;
    struct things things;
    weir_sessions *sessions = begun(&things, 1);
    redis_kill(&sentinels[0]);
    redis_pause(&sentinels[1], true);
    redis_says(&server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    go_on(sessions, &things);
    find_all(sessions, &things); /* by somebody who has asked none before, too */
    redis_pause(&sentinels[1], false);
    redis_run(&sentinels[0]);
    weir_sessions_close(sessions);
}

static void without_an_answer_it_is_down(void **state)
{
    (void)state;
    char at[64];
    snprintf(at, sizeof at, "redis://127.0.0.1:%u", (unsigned)sentinels[2].port);
    weir_sessions *stranger = opened_by_name("nobody", at, NULL);
    snprintf(at, sizeof at, "redis://127.0.0.1:%u", (unsigned)server.port);
    weir_sessions *lost = opened_by_name("mymaster", at, NULL); /* it is no sentinel */
    weir_session_id here = created(stranger, "here"), there = created(lost, "there");
    until(stats_of(stranger).store_down && stats_of(lost).store_down);
    assert_true(lives(stranger, here) && lives(lost, there));
    assert_int_equal(stats_of(lost).unstored, 1);
    weir_sessions_close(stranger);
    weir_sessions_close(lost);
}

static void sentinels_may_want_tls_and_a_password(void **state)
{
    (void)state;
    char more[512], right[128], wrong[128], key[] = "/tmp/weir-key-XXXXXX";
    struct maker maker = maker_of(-DAY_S, DAY_S, false, "localhost", NULL);
    struct redis_server sentinel = {0};
    struct things things = {.count = 0};
    uint16_t tls_port = redis_free_port();
    int fd = mkstemp(key);
    assert_int_equal(write(fd, maker.key, strlen(maker.key)), (ssize_t)strlen(maker.key));
    close(fd);
    snprintf(more, sizeof more,
             "tls-port %u\ntls-cert-file %s\ntls-key-file %s\ntls-auth-clients no\n"
             "requirepass open,sesame\n",
             (unsigned)tls_port, maker.ca, key);
    redis_start_sentinel(&sentinel, server.port, more);
    snprintf(right, sizeof right, "rediss://:open%%2Csesame@localhost:%u", (unsigned)tls_port);
    snprintf(wrong, sizeof wrong, "rediss://:close@localhost:%u", (unsigned)tls_port);
    weir_sessions *sessions = opened_by_name("mymaster", right, maker.ca);
    weir_sessions *refused = opened_by_name("mymaster", wrong, maker.ca);
    created(refused, "refused");
    go_on(sessions, &things);
    until(is_stored(sessions) && is_there('s', things.ids[0]));
    until(stats_of(refused).store_down);
    assert_int_equal(stats_of(refused).unstored, 1);
    weir_sessions_close(refused);
    weir_sessions_close(sessions);
    redis_end(&sentinel);
    unlink(key);
    maker_free(&maker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_master_that_dies_is_followed),
        cmocka_unit_test(one_that_lives_on_is_left),
        cmocka_unit_test(sentinels_are_asked_in_turn),
        cmocka_unit_test(without_an_answer_it_is_down),
        cmocka_unit_test(sentinels_may_want_tls_and_a_password),
        cmocka_unit_test(who_says_that_it_is_the_master_is_left_all_the_same),
    };
    return cmocka_run_group_tests_name("redis sentinels", tests, start_all, end_all);
}
