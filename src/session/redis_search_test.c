/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_search_test.c - sessions of many processes are found by what they say, in a real
 * redis-server, whose lists are spoilt, emptied and out of date meanwhile.
 */
#include "support/listening.h"
#include "support/redis_sharing.h"

#define LISTS 32U

/* --- searching ----------------------------------------------------------------------------------
 */

struct found {
    _Atomic bool is_done;
    weir_err err;
    bool is_local;
    uint32_t count;
    uint64_t next;
    weir_session rows[1000];
};

static struct found found;

static void on_page(void *arg, weir_err err, const weir_session_page *page)
{
    struct found *to = arg;
    assert_true(page->count <= 1000);
    for (uint32_t i = 0; i < page->count; i++) {
        to->rows[i] = page->sessions[i];
    }
    to->err = err;
    to->count = page->count;
    to->next = page->next;
    to->is_local = page->is_local;
    to->is_done = true;
}

static void search_from(weir_sessions *sessions, const weir_session_query *query, uint32_t limit,
                        uint64_t from)
{
    const weir_session_search what = {
        .query = query, .limit = limit, .from = from, .timeout_ms = REDIS_DEADLINE_MS};
    found.is_done = false;
    assert_int_equal(weir_sessions_search(sessions, &what, on_page, &found), WEIR_EAGAIN);
    until(found.is_done);
}

/* How many fit; all of them are there. */
static uint32_t searched(weir_sessions *sessions, weir_session_query query)
{
    search_from(sessions, &query, 1000, 0);
    assert_int_equal(found.err, WEIR_OK);
    assert_true(!found.is_local && found.next == 0);
    return found.count;
}

static bool is_found(weir_session_id id)
{
    for (uint32_t i = 0; i < found.count; i++) {
        if (found.rows[i].id.high == id.high && found.rows[i].id.low == id.low) {
            return true;
        }
    }
    return false;
}

static weir_session_id created_for(weir_sessions *sessions, const char *id_key,
                                   const weir_session_new *like)
{
    weir_session_new what = *like;
    weir_session_id id;
    what.id = id_of(sessions, id_key);
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_OK);
    return id;
}

/* The list that a session is in: the first one of its tag, of which there is no other. */
static const char *list_of(weir_session_id id)
{
    static char key[64], want[64];
    snprintf(want, sizeof want, "test:i:{%03x}:*", (unsigned)redis_wire_tag(id));
    struct slice said = slice_of(redis_says(&server, "KEYS", want)), one;
    slice_split(&said, ' ', &one);
    slice_copy(key, sizeof key, one);
    return key;
}

static uint32_t listed(weir_session_id id)
{
    const char *key = list_of(id);
    return key[0] != '\0' ? (uint32_t)strtoul(redis_says(&server, "ZCARD", key), NULL, 10) : 0;
}

static void what_one_has_is_found_by_another(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id ann = created_for(a, "1", &(weir_session_new){.user = "ann", .account = "a1"});
    weir_session_id bob = created_for(
        a, "2",
        &(weir_session_new){
            .user = "bob", .account = "a1", .key = "k", .status = WEIR_SESSION_SUSPENDED});
    weir_session_id none = created_for(a, "3", &(weir_session_new){.key = "k"});
    weir_session_place place;
    assert_int_equal(weir_session_claim(a, ann, "east", &place), WEIR_OK);
    weir_session_touch(a, ann, true);
    weir_session_touch(a, ann, false);
    until(is_stored(a));
    assert_int_equal(searched(b, (weir_session_query){.user = "ann"}), 1);
    assert_true(is_found(ann));
    const weir_session *row = &found.rows[0];
    assert_string_equal(row->account, "a1");
    assert_string_equal(row->place, "east");
    assert_string_equal(row->key, "");
    assert_true(row->requests == 2 && row->errors == 1 && row->epoch == place.epoch);
    assert_true(row->left_ms > 3500000 && row->left_ms <= 3600000 && row->bound_ms > 0);
    assert_int_equal(row->status, WEIR_SESSION_ACTIVE);
    assert_int_equal(searched(b, (weir_session_query){.account = "a1"}), 2);
    assert_true(is_found(ann) && is_found(bob));
    assert_int_equal(searched(b, (weir_session_query){.key = "k"}), 2);
    assert_true(is_found(bob) && is_found(none));
    assert_int_equal(searched(b, (weir_session_query){.status = WEIR_SESSION_SUSPENDED}), 1);
    assert_int_equal(searched(b, (weir_session_query){.place = "east"}), 1);
    assert_int_equal(searched(b, (weir_session_query){.user = "bob", .key = "k"}), 1);
    assert_int_equal(searched(b, (weir_session_query){.user = "ann", .key = "k"}), 0);
    assert_int_equal(searched(b, (weir_session_query){.user = "a1"}), 0); /* it is an account */
    assert_int_equal(searched(b, (weir_session_query){0}), 3);
    assert_true(stats_of(b).store_pages == 9 && stats_of(b).live == 0);
    weir_sessions_close(a); /* whoever had it: it is there */
    assert_int_equal(searched(b, (weir_session_query){.user = "ann"}), 1);
    weir_sessions_close(b);
}

static void what_has_changed_is_found_as_it_is(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id one = created(a, "1"), two = created(a, "2"), to;
    until(is_stored(a));
    assert_int_equal(fetch(b, one), WEIR_OK);
    const weir_session_update update = {.user = "bob", .account = ""};
    assert_int_equal(weir_session_change(b, one, &update), WEIR_OK); /* by who did not create it */
    assert_int_equal(weir_session_rotate(a, two, &to), WEIR_OK);
    until(is_stored(a) && is_stored(b));
    assert_int_equal(searched(a, (weir_session_query){.user = "bob"}), 1);
    assert_true(is_found(one));
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 1);
    assert_true(is_found(to));
    assert_int_equal(searched(a, (weir_session_query){.account = "a1"}), 1);
    assert_int_equal(listed(one), 1); /* and not where it was, too */
    assert_int_equal(listed(two), 0);
    assert_int_equal(weir_session_end(b, one), WEIR_OK);
    until(is_stored(b));
    assert_int_equal(searched(a, (weir_session_query){.user = "bob"}), 0);
    assert_int_equal(listed(one), 0);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static void what_has_expired_is_not_found_and_leaves(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id brief = created_for(a, "1", &(weir_session_new){.user = "u", .ttl_ms = 1});
    weir_session_id gone = created_for(a, "2", &(weir_session_new){.user = "ann"});
    until(!lives(a, brief));
    until(is_stored(a));
    assert_int_equal(searched(a, (weir_session_query){.user = "u"}), 0);
    assert_int_equal(listed(gone), 1);
    assert_string_equal(redis_says(&server, "DEL", key_of('s', gone)), "1"); /* as its time does */
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 0);
    assert_int_equal(listed(gone), 0);
    weir_sessions_close(a);
}

/* A list does not outlive its sessions by more than a span, and what is over leaves it when it is
 * to last longer. */
static void a_list_is_trimmed(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id id = created(a, "1");
    until(is_stored(a));
    const char *list = list_of(id);
    long lasts_ms = strtol(redis_says(&server, "PTTL", list), NULL, 10);
    assert_in_range(lasts_ms, 3600000, 3600000 + 2 * 1024000 + 1);
    assert_string_equal(redis_says(&server, "ZADD", list, "1073741824", "of long ago, 16b"), "1");
    assert_string_equal(redis_says(&server, "PERSIST", list), "1");
    assert_int_equal(listed(id), 2);
    const weir_session_update update = {.account = "a2"};
    assert_int_equal(weir_session_change(a, id, &update), WEIR_OK);
    until(is_stored(a));
    assert_int_equal(listed(id), 1);
    assert_int_equal(searched(a, (weir_session_query){.account = "a2"}), 1);
    assert_true(strtol(redis_says(&server, "PTTL", list), NULL, 10) > 0);
    weir_sessions_close(a);
}

/* In which one ends that lives for an hour from now. */
static uint64_t span_now(void)
{
    return (strtoull(redis_says(&server, "TIME"), NULL, 10) + 3600) / 1024;
}

/* A touch writes to no list, unless the session ends in another span by it. */
static void a_touch_leaves_the_list_alone(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    uint64_t span;
    uint32_t writes, count;
    weir_session_id id;
    do { /* once more where the clock has passed into another one meanwhile */
        span = span_now();
        id = created(a, span % 2 == 0 ? "even" : "odd");
        until(is_stored(a));
        assert_string_equal(redis_says(&server, "DEL", list_of(id)), "1");
        writes = (uint32_t)stats_of(a).store_writes;
        weir_session_touch(a, id, true);
        until(is_stored(a) && stats_of(a).store_writes > writes);
        count = searched(a, (weir_session_query){.user = "ann"});
    } while (span_now() != span);
    assert_int_equal(count, 0);
    writes = (uint32_t)stats_of(a).store_writes;
    const weir_session_update update = {.ttl_ms = 3 * 3600000};
    assert_int_equal(weir_session_change(a, id, &update), WEIR_OK);
    until(is_stored(a) && stats_of(a).store_writes > writes);
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 1);
    weir_sessions_close(a);
}

/* --- pages --------------------------------------------------------------------------------------
 */

#define MANY 700U

static void pages_follow_each_other(void **state)
{
    (void)state;
    static bool seen[MANY];
    char key[16];
    weir_sessions *a = opened();
    weir_session_id ids[MANY];
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < MANY; i++) { /* those of odd numbers are in one list of their tag */
        snprintf(key, sizeof key, "%u", (unsigned)i);
        ids[i] = created_for(
            a, key, &(weir_session_new){.user = i % 2 == 1 ? "odd" : NULL, .account = "a1"});
    }
    until(is_stored(a));
    uint64_t from = 0;
    uint32_t shown = 0, pages = 0;
    do {
        const weir_session_query query = {.account = "a1"};
        search_from(a, &query, 37, from);
        assert_true(found.err == WEIR_OK && found.count <= 37);
        for (uint32_t i = 0; i < MANY; i++) {
            if (is_found(ids[i])) {
                assert_false(seen[i]);
                seen[i] = true;
                shown++;
            }
        }
        from = found.next;
        pages++;
    } while (from != 0);
    assert_int_equal(shown, MANY);
    assert_in_range(pages, MANY / 37, MANY / 37 + 2);
    assert_int_equal(searched(a, (weir_session_query){.user = "odd"}), MANY / 2);
    weir_sessions_close(a);
}

/* So much of the first list is dead that a page's time is up before one entry of it is passed: a
 * page that is at the beginning still is none, since its `next` would say that this was all. */
static void a_page_that_gets_nowhere_is_none(void **state)
{
    (void)state;
    const char *fill = "for i=1,300000 do "
                       "redis.call('ZADD',KEYS[1],i,string.format('%016d',i)) end";
    redis_says(&server, "EVAL", fill, "1", "test:i:{000}:00");
    weir_sessions *a = opened();
    weir_session_id id = created(a, "1");
    until(is_stored(a));
    const weir_session_search what = {.timeout_ms = 100};
    found.is_done = false;
    assert_int_equal(weir_sessions_search(a, &what, on_page, &found), WEIR_EAGAIN);
    until(found.is_done);
    assert_true(found.err != WEIR_OK && found.is_local && is_found(id));
    weir_sessions_close(a);
}

/* That the server was asked by a script. */
static uint32_t scripts_called(void)
{
    const char *calls = strstr(redis_says(&server, "INFO", "commandstats"),
                               "cmdstat_evalsha:calls=");
    return calls != NULL ? (uint32_t)strtoul(strchr(calls, '=') + 1, NULL, 10) : 0;
}

/* Nobody else is served while a script runs: one that reads sessions ends after a few hundred. */
static void a_question_reads_few_sessions(void **state)
{
    (void)state;
    const char *fill = "for i=1,4000 do "
                       "redis.call('ZADD',KEYS[1],i,string.format('%016d',i)) end";
    weir_sessions *a = opened();
    assert_int_equal(searched(a, (weir_session_query){0}), 0);
    uint32_t before = scripts_called(), of_nothing;
    assert_int_equal(searched(a, (weir_session_query){0}), 0);
    of_nothing = scripts_called() - before;
    redis_says(&server, "EVAL", fill, "1", "test:i:{000}:00");
    before = scripts_called();
    assert_int_equal(searched(a, (weir_session_query){0}), 0);
    assert_in_range(scripts_called() - before - of_nothing, 4000 / 400, 4000 / 100);
    weir_sessions_close(a);
}

/* --- who asks again -----------------------------------------------------------------------------
 */

struct asker {
    weir_sessions *sessions;
    _Atomic bool is_served;
};

static void ask_again(void *arg, weir_err err, const weir_session_page *page)
{
    struct asker *asker = arg;
    (void)page;
    if (err != WEIR_OK && err != WEIR_ECLOSED) {
        err = weir_sessions_search(asker->sessions, NULL, ask_again, asker);
        assert_true(err == WEIR_EAGAIN || err == WEIR_ECLOSED);
    } else {
        asker->is_served = err == WEIR_OK;
    }
}

/* Its thread has more to do: it sees the Redis come back. */
static void who_asks_again_at_once_is_served_when_it_is_back(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    static struct asker asker;
    asker = (struct asker){.sessions = a};
    created(a, "1");
    until(is_stored(a));
    redis_kill(&server);
    until(stats_of(a).store_down);
    assert_int_equal(weir_sessions_search(a, NULL, ask_again, &asker), WEIR_EAGAIN);
    redis_run(&server);
    until(asker.is_served);
    weir_sessions_close(a);
}

/* --- names --------------------------------------------------------------------------------------
 */

static void any_name_can_be_looked_for(void **state)
{
    (void)state;
    char longest[WEIR_SESSION_NAME_MAX + 2], longer[WEIR_SESSION_NAME_MAX + 2];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    memcpy(longest, longer, sizeof longest);
    longest[WEIR_SESSION_NAME_MAX] = '\0';
    const char *const names[] = {longest, "*", "\r\n$-1\r\n", "\x01\xff\xfe{}", "a b:%00", "-1"};
    weir_sessions *a = opened(), *b = opened();
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        char key[4] = {(char)('a' + i)};
        created_for(a, key,
                    &(weir_session_new){.user = names[i], .account = names[i], .key = names[i]});
    }
    until(is_stored(a));
    for (uint32_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_int_equal(searched(b, (weir_session_query){.user = names[i]}), 1);
        assert_string_equal(found.rows[0].key, names[i]);
        assert_int_equal(searched(b, (weir_session_query){.account = names[i]}), 1);
        assert_int_equal(searched(b, (weir_session_query){.key = names[i]}), 1);
    }
    const weir_session_query wrong[] = {{.user = ""},
                                        {.key = longer},
                                        {.place = ""},
                                        {.status = WEIR_SESSION_STATUS_END},
                                        {.size = 999}};
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const weir_session_search what = {.query = &wrong[i]};
        assert_int_equal(weir_sessions_search(b, &what, on_page, &found), WEIR_EINVAL);
    }
    const weir_session_search limits[] = {{.limit = 1001},
                                          {.timeout_ms = 600001},
                                          {.from = (uint64_t)LISTS * 1024 << 32},
                                          {.size = 999}};
    for (uint32_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        assert_int_equal(weir_sessions_search(b, &limits[i], on_page, &found), WEIR_EINVAL);
    }
    assert_int_equal(weir_sessions_search(b, NULL, NULL, NULL), WEIR_EINVAL);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

/* --- what becomes of it when the Redis is not as it was
 * -------------------------------------------
 */

static void a_redis_that_was_emptied_has_its_lists_again(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id id = created(a, "1");
    until(is_stored(a));
    assert_string_equal(redis_says(&server, "FLUSHALL"), "OK");
    until(stats_of(a).renewals > 0 && is_stored(a) && is_there('s', id));
    assert_int_equal(searched(b, (weir_session_query){.user = "ann"}), 1);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static _Atomic uint32_t spoilt_told;

static void on_event(void *arg, weir_session_event_kind kind, weir_session_id id)
{
    (void)arg;
    (void)id;
    spoilt_told += kind == WEIR_SESSION_SPOILT;
}

static void a_list_that_is_none_begins_anew(void **state)
{
    (void)state;
    char url[64];
    weir_sessions *a;
    snprintf(url, sizeof url, "redis://127.0.0.1:%u/2", (unsigned)server.port);
    const weir_sessions_redis redis = {
        .url = url, .prefix = "test", .soon_ms = 2, .counters_ms = 20, .again_ms = 20};
    const weir_sessions_options opt = {
        .sessions_max = 100, .secret = secret, .redis = &redis, .on_event = on_event};
    spoilt_told = 0;
    assert_int_equal(weir_sessions_open(&opt, &a), WEIR_OK);
    weir_session_id id = created(a, "1");
    until(is_stored(a));
    const char *list = list_of(id);
    assert_string_equal(redis_says(&server, "SET", list, "no list"), "OK");
    search_from(a, &(weir_session_query){.user = "ann"}, 10, 0); /* who reads it, */
    assert_int_equal(found.err, WEIR_OK);
    until(stats_of(a).store_lists_spoilt == 1 && spoilt_told == 1 && listed(id) == 1);
    assert_string_equal(redis_says(&server, "SET", list, "no list"), "OK");
    const weir_session_update update = {.account = "a2"};
    assert_int_equal(weir_session_change(a, id, &update), WEIR_OK); /* or writes to it */
    until(stats_of(a).store_lists_spoilt == 2 && spoilt_told == 2);
    until(is_stored(a));
    assert_int_equal(searched(a, (weir_session_query){.account = "a2"}), 1);
    assert_false(stats_of(a).store_down);
    assert_string_equal(redis_says(&server, "ZADD", list, "7", "short"), "1"); /* nobody's */
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 1);
    assert_string_equal(redis_says(&server, "SET", key_of('s', id), "no session"), "OK");
    search_from(a, &(weir_session_query){.user = "ann"}, 10, 0);
    assert_true(found.err == WEIR_OK && found.count == 0);
    weir_session_touch(a, id, true); /* which has it there again */
    until(is_stored(a));
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 1);
    redis_says(&server, "HSET", key_of('s', id), "t", "as it was when t had 28 byte");
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 0);
    const weir_session_update again = {.status = WEIR_SESSION_IDLE};
    assert_int_equal(weir_session_change(a, id, &again), WEIR_OK);
    until(is_stored(a));
    assert_int_equal(searched(a, (weir_session_query){.user = "ann"}), 1);
    weir_sessions_close(a);
}

static void without_the_redis_what_is_here_is_found(void **state)
{
    (void)state;
    weir_sessions *a = opened(), *b = opened();
    weir_session_id here = created(a, "1");
    created(b, "2");
    until(is_stored(a) && is_stored(b));
    redis_kill(&server);
    until(stats_of(a).store_down);
    search_from(a, &(weir_session_query){.user = "ann"}, 10, 0);
    assert_int_equal(found.err, WEIR_EDOWN);
    assert_true(found.is_local && found.count == 1 && is_found(here) && found.next == 0);
    assert_int_equal(stats_of(a).store_pages_local, 1);
    redis_run(&server);
    assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
    until(!stats_of(a).store_down && !stats_of(b).store_down);
    until(searched(a, (weir_session_query){.user = "ann"}) == 2);
    weir_sessions_close(a);
    weir_sessions_close(b);
}

static void a_redis_that_says_nothing_is_not_waited_for(void **state)
{
    (void)state;
    weir_sessions *a = opened();
    weir_session_id id = created(a, "1");
    until(is_stored(a));
    redis_pause(&server, true);
    const weir_session_search what = {.timeout_ms = 50};
    found.is_done = false;
    assert_int_equal(weir_sessions_search(a, &what, on_page, &found), WEIR_EAGAIN);
    until(found.is_done);
    assert_true(found.is_local && found.err != WEIR_OK && is_found(id));
    const weir_session_search patient = {.timeout_ms = 600000};
    weir_err err = WEIR_EAGAIN;
    for (unsigned i = 0; err == WEIR_EAGAIN && !stats_of(a).store_down; i++) {
        err = weir_sessions_search(a, &patient, on_page, &found);
        assert_true(err == WEIR_EAGAIN || (err == WEIR_EQUEUE && i >= 16));
    }
    assert_true(err == WEIR_EQUEUE || stats_of(a).store_outages > 0); /* are answered at once */
    redis_pause(&server, false);
    weir_sessions_close(a); /* with some under way */
}

static void who_has_no_redis_is_told_so(void **state)
{
    (void)state;
    weir_sessions *a;
    assert_int_equal(weir_sessions_open(&(weir_sessions_options){.sessions_max = 10}, &a), WEIR_OK);
    assert_int_equal(weir_sessions_search(a, NULL, on_page, &found), WEIR_ESTATE);
    weir_sessions_close(a);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(what_one_has_is_found_by_another),
        WITH_SERVER(what_has_changed_is_found_as_it_is),
        WITH_SERVER(what_has_expired_is_not_found_and_leaves),
        WITH_SERVER(a_list_is_trimmed),
        WITH_SERVER(a_touch_leaves_the_list_alone),
        WITH_SERVER(pages_follow_each_other),
        WITH_SERVER(a_page_that_gets_nowhere_is_none),
        WITH_SERVER(a_question_reads_few_sessions),
        WITH_SERVER(who_asks_again_at_once_is_served_when_it_is_back),
        WITH_SERVER(any_name_can_be_looked_for),
        WITH_SERVER(a_redis_that_was_emptied_has_its_lists_again),
        WITH_SERVER(a_list_that_is_none_begins_anew),
        WITH_SERVER(without_the_redis_what_is_here_is_found),
        WITH_SERVER(a_redis_that_says_nothing_is_not_waited_for),
        cmocka_unit_test(who_has_no_redis_is_told_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
