/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_test.c - sessions that share a real redis-server, which is stopped, killed, emptied and
 * filled with nonsense meanwhile.
 */
#include "support/listening.h"
#include "support/redis_sharing.h"

#include <pthread.h>

/* --- sharing ------------------------------------------------------------------------------------
 */

static void what_one_has_another_finds(void **state)
{
    (void)state;
    char value[16];
    size_t len;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id id = created(a, "k"), other = id_of(a, "nobody's");
    weir_session_place place;
    assert_int_equal(weir_session_claim(a, id, "east", &place), WEIR_OK);
    assert_int_equal(weir_session_set(a, id, "model", "opus\0x", 6), WEIR_OK);
    weir_session_touch(a, id, false);
    until(is_stored(a));
    assert_string_equal(field_of(id, "u"), "ann");
    assert_string_equal(field_of(id, "pl"), "east");
    assert_int_equal(fetch(b, id), WEIR_OK);
    weir_session session = got(b, id);
    assert_string_equal(session.user, "ann");
    assert_string_equal(session.account, "a1");
    assert_string_equal(session.place, "east");
    assert_true(session.epoch == place.epoch && session.status == WEIR_SESSION_ACTIVE);
    assert_int_equal(session.requests, 0); /* it has counted none */
    assert_int_equal(weir_session_value(b, id, "model", value, sizeof value, &len), WEIR_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(value, "opus\0x", 6);
    assert_int_equal(weir_session_claim(b, id, "west", &place), WEIR_EEXISTS);
    assert_string_equal(place.name, "east");
    assert_int_equal(fetch(b, other), WEIR_ESTALE);
    assert_int_equal(stats_of(b).fetched, 1);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static void each_counts_its_own_and_changes_what_it_changed(void **state)
{
    (void)state;
    char value[16], origin[2][64];
    size_t len;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id id = created(a, "k");
    weir_session_set(a, id, "x", "1", 1);
    weir_session_set(a, id, "y", "1", 1);
    weir_session_touch(a, id, true);
    until(is_stored(a));
    assert_int_equal(fetch(b, id), WEIR_OK);
    weir_session_update update = {.user = "bob"};
    assert_int_equal(weir_session_change(b, id, &update), WEIR_OK);
    weir_session_set(b, id, "x", "two", 3);
    weir_session_set(b, id, "y", NULL, 0);
    weir_session_touch(b, id, true);
    weir_session_touch(b, id, false);
    until(is_stored(b));
    weir_session_touch(a, id, true); /* by who has the old ones */
    until(is_stored(a));
    assert_string_equal(field_of(id, "u"), "bob");
    assert_string_equal(field_of(id, "@x"), "two");
    assert_string_equal(field_of(id, "@y"), "(null)");
    struct slice rest = slice_of(redis_says(&server, "HGETALL", key_of('s', id))), name, counts;
    uint32_t found = 0;
    bool has_a = false, has_b = false;
    while (slice_split(&rest, ' ', &name)) {
        if (name.len > 10 && name.at[0] == 'r' && found < 2) {
            slice_copy(origin[found], sizeof origin[found], name);
            counts = slice_sub(rest, 0, 3);
            has_a = has_a || slice_is(counts, "2 0");
            has_b = has_b || slice_is(counts, "2 1");
            found++;
        }
    }
    assert_true(found == 2 && has_a && has_b && strcmp(origin[0], origin[1]) != 0);
    assert_int_equal(weir_session_value(a, id, "x", value, sizeof value, &len), WEIR_OK);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static void what_one_has_ended_ends_for_all(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id one = created(a, "1"), two = created(a, "2"), to, leads;
    until(is_stored(a));
    assert_int_equal(fetch(b, one), WEIR_OK);
    assert_int_equal(fetch(b, two), WEIR_OK);
    assert_int_equal(weir_session_end(a, one), WEIR_OK);
    assert_int_equal(weir_session_rotate(a, two, &to), WEIR_OK);
    until(is_stored(a));
    assert_true(is_there('t', one) && !is_there('s', one) && is_there('s', to));
    weir_session_touch(b, one, true);
    weir_session_touch(b, two, true);
    until(!lives(b, one) && !lives(b, two));
    assert_false(is_there('s', one) || is_there('s', two)); /* a tombstone wins */
    assert_int_equal(weir_session_successor(b, two, &leads), WEIR_OK);
    assert_true(leads.high == to.high && leads.low == to.low);
    assert_int_equal(fetch(b, to), WEIR_OK);
    assert_int_equal(fetch(b, one), WEIR_ESTALE);
    assert_int_equal(stats_of(b).heard, 2);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static void a_touch_raises_nothing(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id id = created(a, "k"), other = created(a, "l");
    until(is_stored(a));
    assert_string_equal(redis_says(&server, "DEL", key_of('s', id)), "1"); /* no tombstone either */
    weir_session_touch(a, id, true);
    until(!lives(a, id));
    assert_false(is_there('s', id));
    assert_true(lives(a, other) && is_there('s', other));
    weir_sessions_close(a);
}

/* What is looked up tells which Redis it is that has it: another one, met first by the prober, has
 * lost it. */
static void what_was_looked_up_before_all_was_lost_lives_on(void **state)
{
    (void)state;
    char url[64];
    weir_sessions *a = opened_at(server.port, NULL, 20), *b;
    weir_session_id id = created(a, "k");
    until(is_stored(a));
    snprintf(url, sizeof url, "redis://127.0.0.1:%u/2", (unsigned)server.port);
    const weir_sessions_redis redis = {
        .url = url, .prefix = "test", .soon_ms = 2, .counters_ms = 20, .again_ms = 500};
    const weir_sessions_options opt = {.sessions_max = 100, .secret = secret, .redis = &redis};
    assert_int_equal(weir_sessions_open(&opt, &b), WEIR_OK);
    assert_int_equal(fetch(b, id), WEIR_OK);
    weir_sessions_close(a);
    redis_says(&server, "FLUSHALL");
    until(strcmp(redis_says(&server, "EXISTS", "test:e"), "1") == 0); /* the prober was there */
    assert_int_equal(weir_session_touch(b, id, true), WEIR_OK);
    until(is_stored(b));
    assert_true(lives(b, id) && is_there('s', id));
    weir_sessions_close(b);
}

/* Both were apart when they said where it is served. */
static void of_two_places_one_is_left(void **state)
{
    (void)state;
    weir_sessions *a = opened_at(server.port, NULL, 20), *b = opened_at(server.port, NULL, 20);
    weir_session_place place;
    redis_pause(&server, true);
    weir_session_id id = created(a, "k"), same = created(b, "k");
    assert_true(id.high == same.high && id.low == same.low);
    assert_int_equal(weir_session_claim(a, id, "east", NULL), WEIR_OK);
    assert_int_equal(weir_session_claim(b, id, "west", NULL), WEIR_OK);
    redis_pause(&server, false);
    until(is_stored(a) && is_stored(b) && strcmp(got(a, id).place, got(b, id).place) == 0);
    weir_session_rebind(a, id, got(a, id).epoch, "north", &place); /* and what is moved, moves */
    until(is_stored(a));
    weir_session_touch(b, id, true);
    until(strcmp(got(b, id).place, "north") == 0);
    assert_int_equal(got(b, id).epoch, place.epoch);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

/* Nothing is acknowledged that the server does not have. */
static void who_waits_for_it_is_told_when_it_is_there(void **state)
{
    (void)state;
    struct fetched kept = {0};
    weir_sessions *a = opened();
    weir_session_id id = created(a, "k");
    assert_int_equal(weir_session_confirm(a, id, on_fetched, &kept), WEIR_EAGAIN);
    until(kept.is_done);
    assert_int_equal(kept.err, WEIR_OK);
    assert_true(is_there('s', id));
    redis_pause(&server, true);
    kept.is_done = false;
    weir_session_end(a, id);
    assert_int_equal(weir_session_confirm(a, id, on_fetched, &kept), WEIR_EAGAIN);
    until(kept.is_done); /* it is ended here alone, so far */
    assert_int_not_equal(kept.err, WEIR_OK);
    redis_pause(&server, false);
    until(is_stored(a) && is_there('t', id));
    weir_sessions_close(a);
}

/* --- the scripts themselves ---------------------------------------------------------------------
 */

/* One whole reply, its first value, and the rest of it. */
static struct resp_walk receive(char *in, size_t size, struct resp_value *ret_value)
{
    struct resp_reader reader;
    size_t have = 0, whole = 0;
    resp_reader_init(&reader, NULL);
    while (whole == 0) {
        ssize_t n = recv(server.fd, in + have, size - have, 0);
        assert_true(n > 0);
        have += (size_t)n;
        whole = resp_read(&reader, in, have);
    }
    struct resp_walk walk = resp_walk_of(in, whole);
    assert_true(resp_next(&walk, ret_value));
    return walk;
}

/* A command as it is written, and what is said; with the scripts known. */
static const char *send_change(const weir_session_delta *change)
{
    static char said[512];
    struct bytes out;
    char in[4096];
    bytes_init(&out, &alloc_libc, 1U << 20);
    const uint32_t first = 0;
    bool is_said = change->session != NULL ? redis_wire_merge(&wire, &out, change, &first, 1)
                                           : redis_wire_bury(&wire, &out, change);
    assert_true(is_said);
    assert_int_equal(send(server.fd, bytes_at(&out), bytes_len(&out), MSG_NOSIGNAL),
                     (ssize_t)bytes_len(&out));
    bytes_fini(&out);
    uint32_t spoilt;
    struct redis_verdict_of of;
    struct resp_value value;
    struct resp_walk walk = receive(in, sizeof in, &value);
    if (change->session != NULL) {
        redis_wire_verdicts(&value, &walk, &of, 1, &spoilt);
    } else {
        redis_wire_verdict(&value, &walk, &of);
    }
    snprintf(said, sizeof said, "%u %s %u", (unsigned)of.verdict, of.session.place,
             (unsigned)of.session.epoch);
    return said;
}

static void load_scripts(void)
{
    struct bytes out;
    char in[4096];
    size_t have = 0;
    bytes_init(&out, &alloc_libc, 1U << 20);
    assert_true(redis_wire_scripts(&out));
    assert_int_equal(send(server.fd, bytes_at(&out), bytes_len(&out), MSG_NOSIGNAL),
                     (ssize_t)bytes_len(&out));
    bytes_fini(&out);
    while (have < REDIS_SCRIPTS * (5U + REDIS_SHA + 2U)) { /* "$40", the sum */
        ssize_t n = recv(server.fd, in + have, sizeof in - have, 0);
        assert_true(n > 0 && in[0] == '$');
        have += (size_t)n;
    }
}

static const char *state_of(weir_session_id id)
{
    return redis_says(&server, "HMGET", key_of('s', id), "u", "pl", "r1", "st");
}

static void a_merge_twice_is_one(void **state)
{
    (void)state;
    char once[1024];
    weir_session session = {.user = "ann",
                            .place = "east",
                            .epoch = 3,
                            .bound_ms = 50000,
                            .status = WEIR_SESSION_IDLE,
                            .requests = 7,
                            .errors = 2,
                            .left_ms = 60000};
    weir_session_delta change = {.id = {1, 2}, .session = &session};
    load_scripts();
    assert_string_equal(send_change(&change), "0  0");
    snprintf(once, sizeof once, "%s", state_of(change.id));
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(state_of(change.id), once);
    assert_string_equal(once, "ann east 7 2 2");
    session.requests = 5; /* an old one that comes late takes nothing back */
    session.left_ms = 1000;
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(field_of(change.id, "r1"), "7 2");
    assert_true(atoi(redis_says(&server, "PTTL", key_of('s', change.id))) > 30000);
    snprintf(session.place, sizeof session.place, "west"); /* too late, at the same epoch */
    assert_string_equal(send_change(&change), "2 east 3");
    session.epoch = 2;
    assert_string_equal(send_change(&change), "2 east 3");
    session.epoch = 4;
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(field_of(change.id, "pl"), "west");
    session.place[0] = '\0'; /* it lapsed there, and was not moved */
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(field_of(change.id, "pl"), "west");
}

/* What is said in return to all of them, one behind the other. */
static void send_all(const weir_session_delta *changes, uint32_t count,
                     struct redis_verdict_of *ret)
{
    struct bytes out;
    char in[4096];
    uint32_t order[REDIS_TOGETHER];
    uint32_t spoilt;
    struct resp_value value;
    size_t sent = 0;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = count - 1 - i; /* as whoever says it likes */
    }
    bytes_init(&out, &alloc_libc, 4U << 20);
    assert_true(redis_wire_merge(&wire, &out, changes, order, count));
    while (sent < bytes_len(&out)) {
        ssize_t n = send(server.fd, bytes_at(&out) + sent, bytes_len(&out) - sent, MSG_NOSIGNAL);
        assert_true(n > 0);
        sent += (size_t)n;
    }
    bytes_fini(&out);
    struct resp_walk walk = receive(in, sizeof in, &value);
    if (value.type == RESP_FAILED) {
        fail_msg("%.*s", SLICE_ARG(value.text));
    }
    assert_true(redis_wire_verdicts(&value, &walk, ret, count, &spoilt) && spoilt == 0);
}

static void of_many_merged_at_once_each_has_its_own_answer(void **state)
{
    (void)state;
    static struct redis_verdict_of said[REDIS_TOGETHER];
    weir_session first = {.user = "ann",
                          .place = "east",
                          .epoch = 7,
                          .status = WEIR_SESSION_ACTIVE,
                          .requests = 3,
                          .left_ms = 60000};
    weir_session second = first;
    weir_session_delta changes[REDIS_TOGETHER];
    load_scripts();
    second.epoch = 6;
    snprintf(second.place, sizeof second.place, "west");
    for (uint32_t i = 0; i < REDIS_TOGETHER; i++) {
        changes[i] = (weir_session_delta){.id = {i, 9}, .session = &first};
    }
    send_all(changes, REDIS_TOGETHER - 2, said);
    weir_session_delta end = {.id = changes[1].id, .successor = {5, 6}, .left_ms = 60000};
    assert_string_equal(send_change(&end), "0  0");
    redis_says(&server, "SET", key_of('s', changes[2].id), "text");
    redis_says(&server, "RPUSH", key_of('t', changes[3].id), "list");
    changes[0].session = &second;
    changes[REDIS_TOGETHER - 1].is_known = true;
    send_all(changes, REDIS_TOGETHER, said);
    for (uint32_t i = 0; i < REDIS_TOGETHER; i++) { /* they were said in the other order */
        const struct redis_verdict_of *of = &said[REDIS_TOGETHER - 1 - i];
        assert_int_equal(of->verdict, i == 0                    ? REDIS_MOVED_ON
                                      : i == 1                  ? REDIS_ENDED
                                      : i == REDIS_TOGETHER - 1 ? REDIS_VANISHED
                                                                : REDIS_MERGED);
    }
    assert_true(said[REDIS_TOGETHER - 2].successor.high == 5
                && said[REDIS_TOGETHER - 2].left_ms > 0);
    assert_string_equal(said[REDIS_TOGETHER - 1].session.place, "east");
    assert_int_equal(said[REDIS_TOGETHER - 1].session.epoch, 7);
    assert_string_equal(field_of(changes[2].id, "u"), "ann");
    assert_true(is_there('s', changes[REDIS_TOGETHER - 2].id));
    assert_false(is_there('s', changes[REDIS_TOGETHER - 1].id) || is_there('s', changes[1].id));
}

/* As many attributes as there may be, and as long as they may be, are changed by one and kept by
 * another, and go. */
static void attributes_of_all_sizes_are_merged(void **state)
{
    (void)state;
    char value[WEIR_SESSION_ATTRS_MAX], got_value[WEIR_SESSION_ATTRS_MAX], name[8];
    size_t len;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id many = created(a, "many"), one = created(a, "long");
    memset(value, 'x', sizeof value);
    for (unsigned i = 0; i < 676; i++) {
        snprintf(name, sizeof name, "%c%c", 'a' + i / 26, 'a' + i % 26);
        assert_int_equal(weir_session_set(a, many, name, "1", 1), WEIR_OK);
    }
    assert_int_equal(weir_session_set(a, one, "v", value, 4000), WEIR_OK);
    until(is_stored(a));
    assert_string_equal(field_of(many, "@zz"), "1");
    assert_true(fetch(b, many) == WEIR_OK && fetch(b, one) == WEIR_OK);
    assert_int_equal(weir_session_set(a, many, "mm", "2", 1), WEIR_OK);
    value[3999] = 'y';
    assert_int_equal(weir_session_set(a, one, "v", value, 4000), WEIR_OK);
    until(is_stored(a));
    assert_int_equal(weir_session_set(b, many, "mn", "3", 1), WEIR_OK); /* who has the old ones */
    assert_int_equal(weir_session_set(b, many, "mo", NULL, 0), WEIR_OK);
    assert_int_equal(weir_session_set(b, one, "w", "4", 1), WEIR_OK);
    until(is_stored(b));
    assert_string_equal(redis_says(&server, "HMGET", key_of('s', many), "@mm", "@mn", "@mo", "@mp"),
                        "2 3 (null) 1");
    assert_string_equal(redis_says(&server, "HSTRLEN", key_of('s', one), "@v"), "4000");
    weir_sessions *c = opened();
    assert_int_equal(fetch(c, one), WEIR_OK);
    assert_int_equal(weir_session_value(c, one, "v", got_value, sizeof got_value, &len), WEIR_OK);
    assert_true(len == 4000 && memcmp(got_value, value, len) == 0);
    weir_sessions_close(a);
    weir_sessions_close(b);
    weir_sessions_close(c);
}

static void what_is_there_is_healed(void **state)
{
    (void)state;
    weir_session session = {.user = "ann", .status = WEIR_SESSION_ACTIVE, .left_ms = 60000};
    weir_session_delta change = {.id = {3, 4}, .session = &session, .is_known = true};
    load_scripts();
    assert_string_equal(send_change(&change), "3  0"); /* it was, and is no more */
    redis_says(&server, "SET", key_of('s', change.id), "text");
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(field_of(change.id, "u"), "ann");
    redis_says(&server, "HSET", key_of('s', change.id), "t", "x", "r1", "many", "o1", "\x93\xff");
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(field_of(change.id, "r1"), "0 0");
    redis_says(&server, "RPUSH", key_of('t', change.id), "x");
    assert_string_equal(send_change(&change), "0  0");
    change.session = NULL;
    change.left_ms = 60000;
    redis_says(&server, "DEL", key_of('s', change.id));
    redis_says(&server, "RPUSH", key_of('s', change.id), "x");
    assert_string_equal(send_change(&change), "0  0");
    assert_string_equal(send_change(&change), "0  0");
    change.session = &session;
    assert_string_equal(send_change(&change), "1  0");
}

/* --- a server that does not serve ---------------------------------------------------------------
 */

static void a_server_that_forgets_is_told_again(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id ids[300], over = created(a, "over");
    char key[16], keys[16];
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "k%u", i);
        ids[i] = created(i % 2 == 0 ? a : b, key);
    }
    until(is_stored(a) && is_stored(b));
    weir_session_end(a, over);
    until(is_stored(a));
    snprintf(keys, sizeof keys, "%s", redis_says(&server, "DBSIZE")); /* and those of the lists */
    assert_true(strtol(keys, NULL, 10) > 302);                        /* a tombstone, the epoch */
    for (unsigned round = 0; round < 3; round++) {
        if (round == 0) {
            redis_says(&server, "FLUSHALL");
        } else if (round == 1) {
            restart();
        } else { /* with the scripts gone alone, nothing has to be told */
            redis_says(&server, "SCRIPT", "FLUSH");
            weir_session_touch(a, ids[0], true);
        }
        until(strcmp(redis_says(&server, "DBSIZE"), keys) == 0);
        until(is_stored(a) && is_stored(b));
        assert_true(is_there('t', over) && !is_there('s', over));
        for (unsigned i = 0; i < 300; i++) {
            assert_true(lives(i % 2 == 0 ? a : b, ids[i]) && is_there('s', ids[i]));
        }
    }
    assert_int_equal(stats_of(a).renewals, 2);
    assert_int_equal(stats_of(a).heard, 0);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static void without_it_all_goes_on_from_memory(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id one = created(a, "1"), two;
    until(is_stored(a));
    redis_kill(&server);
    uint64_t from_ms = clock_now_ms();
    weir_session_touch(a, one, true);
    two = created(a, "2");
    assert_int_equal(weir_session_claim(a, two, "east", NULL), WEIR_OK);
    until(stats_of(a).store_down);
    assert_true(clock_now_ms() - from_ms < 1000);
    assert_int_equal(fetch(a, id_of(a, "3")), WEIR_EDOWN); /* at once */
    assert_int_equal(weir_session_end(a, one), WEIR_OK);
    redis_run(&server);
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
    until(is_stored(a));
    assert_true(is_there('t', one) && !is_there('s', one) && is_there('s', two));
    assert_string_equal(field_of(two, "pl"), "east");
    assert_int_equal(stats_of(a).store_outages, 1);
    weir_sessions_close(a);
}

/* A batch that was done, and whose answer came too late, is said again. */
static void nothing_is_counted_twice(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id id = created(a, "k");
    until(is_stored(a));
    uint64_t failures = stats_of(a).store_failures;
    for (unsigned round = 0; round < 5; round++) {
        redis_pause(&server, true);
        for (unsigned i = 0; i < 10; i++) {
            weir_session_touch(a, id, i != 0);
        }
        until(stats_of(a).store_failures > failures); /* it lies with the server, unanswered */
        failures = stats_of(a).store_failures;
        redis_pause(&server, false);
        until(is_stored(a));
    }
    until(got(a, id).requests == 50 && is_stored(a));
    const char *all = redis_says(&server, "HGETALL", key_of('s', id));
    assert_non_null(strstr(all, " 50 5"));
    assert_int_equal(stats_of(a).renewals, 0);
    weir_sessions_close(a);
}

static void a_process_that_starts_again_goes_on_counting(void **state)
{
    (void)state;
    char folder[] = "/tmp/weir-redis-test-XXXXXX", command[64];
    assert_non_null(mkdtemp(folder));
    weir_sessions *a = opened_at(server.port, folder, 20);
    weir_session_id id = created(a, "k");
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned n = 0; n < 4; n++) {
            weir_session_touch(a, id, true);
        }
        weir_sessions_close(a);
        a = opened_at(server.port, folder, 20);
        assert_true(lives(a, id));
    }
    until(is_stored(a));
    assert_int_equal(got(a, id).requests, 12);
    assert_non_null(strstr(redis_says(&server, "HGETALL", key_of('s', id)), " 12 0"));
    assert_string_equal(redis_says(&server, "HLEN", key_of('s', id)), "6"); /* one origin */
    weir_sessions_close(a);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

/* Whatever is sent is answered with that. */
struct nonsense {
    int listener;
    const char *says;
    _Atomic uint32_t answers;
};

static void *talk_nonsense(void *arg)
{
    struct nonsense *nonsense = arg;
    char in[4096];
    for (;;) {
        int fd = accept(nonsense->listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        if (recv(fd, in, sizeof in, 0) > 0) {
            send(fd, nonsense->says, strlen(nonsense->says), MSG_NOSIGNAL);
            nonsense->answers++;
            while (recv(fd, in, sizeof in, 0) > 0) {
            }
        }
        close(fd);
    }
}

static void nonsense_is_no_answer(void **state)
{
    (void)state;
    static const char *const all[] = {"-LOADING Redis is loading the dataset in memory\r\n",
                                      "HTTP/1.1 400 Bad Request\r\n\r\n",
                                      "$1073741824\r\n",
                                      "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
                                      "+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n",
                                      ":1\r\n",
                                      "-NOAUTH Authentication required.\r\n"};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        struct nonsense nonsense = {.says = all[i]};
        pthread_t thread;
        uint16_t port;
        nonsense.listener = listening(0, 8, &port);
        pthread_create(&thread, NULL, talk_nonsense, &nonsense);
        weir_sessions *a = opened_at(port, NULL, 20);
        weir_session_id id = created(a, "k");
        until(nonsense.answers > 0 && stats_of(a).store_down);
        weir_session_touch(a, id, true);
        assert_true(lives(a, id) && stats_of(a).unstored == 1);
        weir_sessions_close(a);
        shutdown(nonsense.listener, SHUT_RDWR);
        pthread_join(thread, NULL);
        close(nonsense.listener);
    }
}

/* --- places without a session -------------------------------------------------------------------
 */

#define CLAIMS 200U

struct claims {
    weir_sessions *sessions;
    const char *mine;
    char places[CLAIMS][16];
    _Atomic uint32_t done, ours, failed;
};

struct claimed {
    struct claims *claims;
    unsigned number;
};

static void on_claimed(void *arg, weir_err err, weir_session_id id, const char *place, bool is_ours)
{
    struct claimed *claimed = arg;
    struct claims *claims = claimed->claims;
    (void)id;
    snprintf(claims->places[claimed->number], sizeof claims->places[0], "%s", place);
    claims->ours += is_ours;
    claims->failed += err != WEIR_OK;
    claims->done++;
}

static void *claim_all(void *arg)
{
    static struct claimed claimed[2][CLAIMS];
    struct claims *claims = arg;
    unsigned side = strcmp(claims->mine, "east") == 0;
    for (unsigned i = 0; i < CLAIMS; i++) {
        char key[16];
        snprintf(key, sizeof key, "c%u", i);
        claimed[side][i] = (struct claimed){claims, i};
        weir_err err = weir_affinity_claim(claims->sessions, id_of(claims->sessions, key),
                                           claims->mine, on_claimed, &claimed[side][i]);
        assert_int_equal(err, WEIR_EAGAIN);
    }
    return NULL;
}

static void of_those_who_claim_one_is_first(void **state)
{
    (void)state;
    static struct claims claims[2];
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        claims[i] = (struct claims){.sessions = opened(), .mine = i == 0 ? "east" : "west"};
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_create(&threads[i], NULL, claim_all, &claims[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        until(claims[i].done == CLAIMS);
        assert_int_equal(claims[i].failed, 0);
    }
    for (unsigned i = 0; i < CLAIMS; i++) {
        assert_string_equal(claims[0].places[i], claims[1].places[i]);
    }
    assert_int_equal(claims[0].ours + claims[1].ours, CLAIMS);
    weir_sessions *a = claims[0].sessions;
    assert_true(atoi(redis_says(&server, "PTTL", key_of('s', id_of(a, "c1")))) == -2);
    assert_int_equal(weir_affinity_claim(a, id_of(a, "x"), "", on_claimed, NULL), WEIR_EINVAL);
    redis_kill(&server);
    weir_session_id id = created(a, "k");
    until(stats_of(a).store_down);
    assert_int_equal(weir_affinity_claim(a, id, "east", on_claimed, NULL), WEIR_EDOWN);
    redis_run(&server);
    weir_sessions_close(a);
    weir_sessions_close(claims[1].sessions);
}

static void options_that_make_no_sense_are_named(void **state)
{
    (void)state;
    static const struct {
        weir_sessions_redis redis;
        const char *fault;
    } bad[] = {{{.url = NULL}, "redis.url"},
               {{.url = "http://x"}, "redis.url"},
               {{.url = "redis://x", .prefix = "a{b"}, "redis.prefix"},
               {{.url = "redis://x", .batch_max = 10001}, "redis.batch_max"},
               {{.url = "redis://x", .timeout_ms = 600001}, "redis.timeout"},
               {{.url = "redis://x", .again_ms = 600001}, "redis.again"},
               {{.url = "redis://x", .ca = "ca.pem"}, "redis.ca"},
               {{.url = "redis://x", .sentinels = ""}, "redis.sentinels"},
               {{.url = "redis://x", .sentinels = "redis://a,"}, "redis.sentinels"},
               {{.url = "redis://x:6379", .sentinels = "redis://a"}, "redis.url"},
               {{.url = "redis://x", .sentinels = "redis://a", .ca = "ca.pem"}, "redis.ca"},
               {{.url = NULL, .cluster = true}, "redis.url"},
               {{.url = "redis://x/1", .cluster = true}, "redis.url"},
               {{.url = "redis://x,", .cluster = true}, "redis.url"},
               {{.url = "redis://x,y", .cluster = false}, "redis.url"},
               {{.url = "redis://x,y", .cluster = true, .sentinels = "redis://a"}, "redis.cluster"},
               {{.url = "redis://x,y", .cluster = true, .ca = "ca.pem"}, "redis.ca"},
               {{.size = 4096, .url = "redis://x"}, "redis.size"}};
    weir_sessions *sessions;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        weir_sessions_options opt = {.sessions_max = 10, .redis = &bad[i].redis};
        assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
        assert_string_equal(weir_sessions_fault(), bad[i].fault);
    }
    const weir_sessions_redis no_ca = {.url = "rediss://x", .ca = "/nowhere/ca.pem"};
    weir_sessions_options opt = {.sessions_max = 10, .redis = &no_ca};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EIO);
    const weir_sessions_redis no_ca_of_sentinels = {
        .url = "redis://x", .sentinels = "rediss://a", .ca = "/nowhere/ca.pem"};
    opt.redis = &no_ca_of_sentinels;
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EIO);
    opt = (weir_sessions_options){.sessions_max = 10};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    assert_int_equal(weir_affinity_claim(sessions, (weir_session_id){1, 1}, "x", on_claimed, NULL),
                     WEIR_ESTATE);
    weir_sessions_close(sessions);
}

int main(void)
{
#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, end)
    const struct CMUnitTest tests[] = {
        WITH_SERVER(what_one_has_another_finds),
        WITH_SERVER(each_counts_its_own_and_changes_what_it_changed),
        WITH_SERVER(what_one_has_ended_ends_for_all),
        WITH_SERVER(a_touch_raises_nothing),
        WITH_SERVER(what_was_looked_up_before_all_was_lost_lives_on),
        WITH_SERVER(of_two_places_one_is_left),
        WITH_SERVER(who_waits_for_it_is_told_when_it_is_there),
        WITH_SERVER(a_merge_twice_is_one),
        WITH_SERVER(of_many_merged_at_once_each_has_its_own_answer),
        WITH_SERVER(attributes_of_all_sizes_are_merged),
        WITH_SERVER(what_is_there_is_healed),
        WITH_SERVER(a_server_that_forgets_is_told_again),
        WITH_SERVER(without_it_all_goes_on_from_memory),
        WITH_SERVER(nothing_is_counted_twice),
        WITH_SERVER(a_process_that_starts_again_goes_on_counting),
        cmocka_unit_test(nonsense_is_no_answer),
        WITH_SERVER(of_those_who_claim_one_is_first),
        cmocka_unit_test(options_that_make_no_sense_are_named),
    };
    return cmocka_run_group_tests_name("redis store", tests, NULL, NULL);
}
