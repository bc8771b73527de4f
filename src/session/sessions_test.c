/* SPDX-License-Identifier: Apache-2.0 */
#include <weir/session.h>

#include "base/rand.h"
#include "support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR   3600000U
#define MINUTE 60000U
#define EVENTS 8U

static char folder[64], path[80];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "%s/weir-sessions-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    snprintf(path, sizeof path, "%s/state", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"sessions.journal", "sessions.journal.new", "secret"};
    for (unsigned i = 0; i < 3; i++) {
        char file[120];
        snprintf(file, sizeof file, "%s/%s", path, names[i]);
        unlink(file);
    }
    rmdir(path);
    return rmdir(folder);
}

/* A clock of the test's, and what was told. */
static uint64_t time_ms;
static unsigned told[EVENTS];
static weir_session_id last;

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return time_ms;
}

static void on_event(void *arg, weir_session_event_kind kind, weir_session_id id)
{
    (void)arg;
    told[kind]++;
    last = id;
}

static const weir_sessions_options quiet = {.sessions_max = 100,
                                            .on_event = on_event,
                                            .now_ms = now_ms,
                                            .no_thread = true};

static weir_sessions *opened(weir_sessions_options opt)
{
    weir_sessions *sessions = NULL;
    memset(told, 0, sizeof told);
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    return sessions;
}

/* With a journal; on the system's clock, which another process knows as well. */
static weir_sessions *opened_with_path(void)
{
    weir_sessions_options opt = quiet;
    opt.path = path;
    opt.now_ms = NULL;
    return opened(opt);
}

static weir_session_id created(weir_sessions *sessions, const char *user, const char *account)
{
    weir_session_id id = {0, 0};
    weir_session_new what = {.user = user, .account = account};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_OK);
    return id;
}

static weir_err look(weir_sessions *sessions, weir_session_id id, weir_session *ret)
{
    *ret = (weir_session){.size = sizeof *ret};
    return weir_session_get(sessions, id, ret);
}

static weir_sessions_stats stats_of(weir_sessions *sessions)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(sessions, &stats);
    return stats;
}

/* Of more bytes than a name may have. */
static const char *too_long(void)
{
    static char text[301];
    memset(text, 'x', sizeof text - 1);
    return text;
}

/* --- a life -------------------------------------------------------------------------------------
 */

static void a_session_lives_its_hour(void **state)
{
    (void)state;
    weir_session seen;
    weir_sessions *sessions = opened(quiet);
    weir_session_id id = created(sessions, "ann", "a1");
    assert_int_equal(told[WEIR_SESSION_CREATED], 1);
    time_ms += 30 * MINUTE;
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_true(seen.age_ms == 30 * MINUTE && seen.left_ms == 30 * MINUTE && seen.requests == 0);
    assert_string_equal(seen.user, "ann");
    assert_string_equal(seen.account, "a1");
    assert_string_equal(seen.key, "");
    assert_int_equal(seen.status, WEIR_SESSION_ACTIVE);
    assert_int_equal(weir_session_touch(sessions, id, true), WEIR_OK);
    assert_int_equal(weir_session_touch(sessions, id, false), WEIR_OK);
    time_ms += HOUR - 1;
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_true(seen.left_ms == 1 && seen.requests == 2 && seen.errors == 1);
    time_ms += 1;
    assert_int_equal(look(sessions, id, &seen), WEIR_ESTALE);
    assert_int_equal(weir_session_touch(sessions, id, true), WEIR_ESTALE);
    time_ms += 1000;
    weir_sessions_turn(sessions);
    assert_int_equal(told[WEIR_SESSION_EXPIRED], 1);
    assert_true(last.high == id.high && last.low == id.low);
    assert_true(stats_of(sessions).expired == 1 && stats_of(sessions).live == 0);
    assert_int_equal(weir_sessions_sync(sessions), WEIR_ESTATE);
    weir_sessions_close(sessions);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    weir_sessions *sessions;
    weir_session_id id;
    weir_sessions_options opt = {.ttl_ms = 2 * HOUR, .ttl_max_ms = HOUR};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "ttl");
    opt = (weir_sessions_options){.size = sizeof opt + 1};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "size");
    opt = (weir_sessions_options){.fsync = 9};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "fsync");
    opt = (weir_sessions_options){.fsync_ms = 60001};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "fsync_ms");
    opt = (weir_sessions_options){.sessions_max = UINT32_MAX};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "sessions_max");
    sessions = opened(quiet);
    weir_session_new what = {.ttl_ms = 25 * HOUR};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_EINVAL);
    what = (weir_session_new){.status = WEIR_SESSION_STATUS_END};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_EINVAL);
    what = (weir_session_new){.size = sizeof what + 1};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_EINVAL);
    what = (weir_session_new){.user = too_long()};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_EINVAL);
    id = created(sessions, NULL, NULL);
    weir_session seen = {.size = sizeof seen + 1};
    assert_int_equal(weir_session_get(sessions, id, &seen), WEIR_EINVAL);
    weir_session_update update = {.ttl_ms = 25 * HOUR};
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_EINVAL);
    update.size = sizeof update + 1;
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_EINVAL);
    update = (weir_session_update){.key = too_long()};
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_EINVAL);
    weir_sessions_close(sessions);
}

static void ids_cannot_be_forged_and_tenants_do_not_share(void **state)
{
    (void)state;
    char text[WEIR_SESSION_TEXT], long_key[513] = {0};
    weir_session_id id, back, one, two;
    weir_sessions *sessions = opened(quiet);
    id = created(sessions, "ann", NULL);
    weir_session_id_text(id, text);
    assert_int_equal(weir_session_id_parse(sessions, text, &back), WEIR_OK);
    assert_true(back.high == id.high && back.low == id.low);
    text[31] = text[31] == '0' ? '1' : '0';
    assert_int_equal(weir_session_id_parse(sessions, text, &back), WEIR_EINVAL);
    assert_int_equal(weir_session_id_parse(sessions, "", &back), WEIR_EINVAL);
    assert_int_equal(weir_session_id_parse(sessions, NULL, &back), WEIR_EINVAL);
    assert_int_equal(weir_session_id_of(sessions, "t1", "chat\0x", 6, &one), WEIR_OK);
    assert_int_equal(weir_session_id_of(sessions, "t2", "chat\0x", 6, &two), WEIR_OK);
    assert_false(one.high == two.high && one.low == two.low);
    weir_session_id_text(one, text);
    assert_int_equal(weir_session_id_parse(sessions, text, &back), WEIR_EINVAL);
    assert_int_equal(weir_session_id_of(sessions, "t1", "", 0, &one), WEIR_EINVAL);
    assert_int_equal(weir_session_id_of(sessions, "t1", long_key, 511, &one), WEIR_EINVAL);
    assert_int_equal(weir_session_id_of(sessions, NULL, long_key, 513, &one), WEIR_EINVAL);
    weir_session_new what = {.id = two, .user = "bob"};
    assert_int_equal(weir_session_create(sessions, &what, &back), WEIR_OK);
    assert_int_equal(weir_session_create(sessions, &what, &back), WEIR_EEXISTS);
    assert_true(back.high == two.high && back.low == two.low);
    weir_sessions_close(sessions);
}

static void the_end_and_the_rotation_are_final(void **state)
{
    (void)state;
    char value[4];
    size_t len;
    weir_session seen;
    weir_session_id to, back;
    weir_sessions *sessions = opened(quiet);
    weir_session_id id = created(sessions, "ann", NULL);
    assert_int_equal(weir_session_set(sessions, id, "a", "1", 1), WEIR_OK);
    assert_int_equal(weir_session_rotate(sessions, id, &to), WEIR_OK);
    assert_int_equal(to.high % 64, id.high % 64); /* one shard, whatever the number of shards */
    assert_int_equal(look(sessions, id, &seen), WEIR_ESTALE);
    assert_int_equal(look(sessions, to, &seen), WEIR_OK);
    assert_int_equal(weir_session_value(sessions, to, "a", value, 4, &len), WEIR_OK);
    assert_int_equal(weir_session_successor(sessions, id, &back), WEIR_OK);
    assert_true(back.high == to.high && back.low == to.low);
    assert_int_equal(told[WEIR_SESSION_ROTATED], 1);
    assert_int_equal(weir_session_end(sessions, to), WEIR_OK);
    assert_int_equal(weir_session_end(sessions, to), WEIR_ESTALE);
    assert_int_equal(weir_session_rotate(sessions, to, &back), WEIR_ESTALE);
    assert_int_equal(weir_session_successor(sessions, to, &back), WEIR_ESTALE);
    assert_int_equal(told[WEIR_SESSION_ENDED], 1);
    weir_session_new again = {.id = to};
    assert_int_equal(weir_session_create(sessions, &again, &back), WEIR_ESTALE);
    weir_sessions_close(sessions);
}

static void names_status_and_ttl_change(void **state)
{
    (void)state;
    char longest[WEIR_SESSION_NAME_MAX + 2];
    weir_session seen;
    weir_sessions *sessions = opened(quiet);
    weir_session_id id = created(sessions, "ann", "a1");
    weir_session_update update = {
        .user = "", .key = "k", .status = WEIR_SESSION_SUSPENDED, .ttl_ms = MINUTE};
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_OK);
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_true(seen.left_ms == MINUTE && seen.status == WEIR_SESSION_SUSPENDED);
    assert_string_equal(seen.user, "");
    assert_string_equal(seen.account, "a1");
    assert_string_equal(seen.key, "k");
    memset(longest, 'x', sizeof longest);
    longest[WEIR_SESSION_NAME_MAX + 1] = '\0';
    update = (weir_session_update){.user = longest, .ttl_ms = HOUR};
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_EINVAL);
    longest[WEIR_SESSION_NAME_MAX] = '\0';
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_OK);
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_string_equal(seen.user, longest);
    for (unsigned i = 0; i < 30; i++) { /* 24 h are the longest life, whatever is asked for */
        time_ms += 50 * MINUTE;
        weir_session_change(sessions, id, &update);
        weir_sessions_turn(sessions);
    }
    assert_int_equal(look(sessions, id, &seen), WEIR_ESTALE);
    assert_int_equal(weir_session_change(sessions, id, &update), WEIR_ESTALE);
    assert_string_equal(weir_session_status_word(WEIR_SESSION_FAILED), "failed");
    assert_string_equal(weir_session_status_word(99), "unknown");
    assert_string_equal(weir_session_event_word(WEIR_SESSION_RESTORED), "restored");
    assert_string_equal(weir_session_event_word(99), "unknown");
    weir_sessions_close(sessions);
}

static void attributes_are_the_programs(void **state)
{
    (void)state;
    char big[WEIR_SESSION_ATTRS_MAX + 1] = {0}, value[8];
    size_t len = 0;
    weir_sessions *sessions = opened(quiet);
    weir_session_id id = created(sessions, NULL, NULL), none = {1, 2};
    assert_int_equal(weir_session_value(sessions, id, "model", value, 8, &len), WEIR_EAGAIN);
    assert_int_equal(weir_session_set(sessions, id, "model", "opus", 4), WEIR_OK);
    assert_int_equal(weir_session_value(sessions, id, "model", value, 2, &len), WEIR_OK);
    assert_true(len == 4 && memcmp(value, "op", 2) == 0);
    assert_int_equal(weir_session_set(sessions, id, "x", big, 4089), WEIR_ETOO_LARGE);
    assert_int_equal(weir_session_set(sessions, id, "x", big, sizeof big), WEIR_ETOO_LARGE);
    assert_int_equal(weir_session_set(sessions, id, "", "1", 1), WEIR_EINVAL);
    assert_int_equal(weir_session_set(sessions, id, "x", big, 4000), WEIR_OK);
    assert_int_equal(weir_session_set(sessions, id, "model", NULL, 0), WEIR_OK);
    assert_int_equal(weir_session_value(sessions, id, "model", value, 0, &len), WEIR_EAGAIN);
    assert_int_equal(weir_session_value(sessions, id, "", value, 0, &len), WEIR_EINVAL);
    assert_int_equal(weir_session_set(sessions, none, "x", "1", 1), WEIR_ESTALE);
    assert_int_equal(weir_session_value(sessions, none, "x", value, 8, &len), WEIR_ESTALE);
    weir_sessions_close(sessions);
}

static void a_place_is_claimed_once_and_moved_by_its_epoch(void **state)
{
    (void)state;
    weir_session seen;
    weir_session_place place;
    weir_sessions *sessions = opened(quiet);
    weir_session_id id = created(sessions, "ann", NULL);
    assert_int_equal(weir_session_claim(sessions, id, "a1", &place), WEIR_OK);
    assert_int_equal(weir_session_claim(sessions, id, "a2", &place), WEIR_EEXISTS);
    assert_string_equal(place.name, "a1");
    assert_int_equal(weir_session_rebind(sessions, id, place.epoch + 1, "a2", &place), WEIR_ESTATE);
    assert_int_equal(weir_session_rebind(sessions, id, place.epoch, "a2", &place), WEIR_OK);
    assert_string_equal(place.name, "a2");
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_string_equal(seen.place, "a2");
    assert_int_equal(seen.bound_ms, 30 * MINUTE);
    time_ms += 30 * MINUTE;
    assert_int_equal(look(sessions, id, &seen), WEIR_OK);
    assert_true(seen.bound_ms == 0 && seen.place[0] == '\0');
    assert_int_equal(weir_session_claim(sessions, id, "", NULL), WEIR_EINVAL);
    assert_int_equal(weir_session_claim(sessions, id, "a3", NULL), WEIR_OK);
    assert_int_equal(weir_session_claim(sessions, id, "a3", NULL), WEIR_OK);
    weir_sessions_stats stats = stats_of(sessions);
    assert_true(stats.claimed == 2 && stats.prolonged == 1 && stats.disputed == 1
                && stats.rebound == 1 && told[WEIR_SESSION_REBOUND] == 1);
    weir_session_end(sessions, id);
    assert_int_equal(weir_session_claim(sessions, id, "a3", NULL), WEIR_ESTALE);
    assert_int_equal(weir_session_rebind(sessions, id, 1, "a3", NULL), WEIR_ESTALE);
    weir_sessions_close(sessions);
}

/* --- finding ------------------------------------------------------------------------------------
 */

struct hunt {
    weir_sessions *sessions;
    unsigned most, count;
    bool ends;
};

static bool on_found(void *arg, const weir_session *session)
{
    struct hunt *hunt = arg;
    hunt->count++;
    if (hunt->ends) {
        assert_int_equal(weir_session_end(hunt->sessions, session->id), WEIR_OK);
    }
    return hunt->count != hunt->most;
}

static unsigned hunted(weir_sessions *sessions, weir_session_query query, unsigned most, bool ends)
{
    struct hunt hunt = {sessions, most, 0, ends};
    size_t shown = weir_sessions_find(sessions, &query, on_found, &hunt);
    assert_int_equal(shown, hunt.count);
    return hunt.count;
}

static void sessions_are_found_by_whatever_they_have(void **state)
{
    (void)state;
    weir_sessions_options opt = quiet;
    opt.sessions_max = 5000;
    weir_sessions *sessions = opened(opt);
    for (unsigned i = 0; i < 4000; i++) {
        weir_session_id id = created(sessions, i % 2 ? "ann" : "bob", i % 4 < 3 ? "a1" : NULL);
        if (i % 8 == 7) {
            weir_session_update update = {.key = "k", .status = WEIR_SESSION_IDLE};
            assert_int_equal(weir_session_change(sessions, id, &update), WEIR_OK);
        }
    }
    assert_int_equal(hunted(sessions, (weir_session_query){0}, 0, false), 4000);
    assert_int_equal(hunted(sessions, (weir_session_query){.user = "ann"}, 0, false), 2000);
    assert_int_equal(hunted(sessions, (weir_session_query){.user = "ann"}, 7, false), 7);
    assert_int_equal(hunted(sessions, (weir_session_query){.account = "a1"}, 0, false), 3000);
    assert_int_equal(hunted(sessions, (weir_session_query){.key = "k"}, 0, false), 500);
    assert_int_equal(hunted(sessions, (weir_session_query){.status = WEIR_SESSION_IDLE}, 0, false),
                     500);
    weir_session_query both = {.user = "bob", .account = "a1"};
    assert_int_equal(hunted(sessions, both, 0, false), 2000);
    both.user = "ann";
    assert_int_equal(hunted(sessions, both, 0, false), 1000);
    both.user = "eve";
    assert_int_equal(hunted(sessions, both, 0, false), 0);
    both.size = sizeof both + 1;
    assert_int_equal(weir_sessions_find(sessions, &both, on_found, NULL), 0);
    const weir_session_query nobodys = {.user = too_long()};
    assert_int_equal(hunted(sessions, nobodys, 0, false), 0);
    weir_session_query without = {.account = ""};
    assert_int_equal(hunted(sessions, without, 0, false), 1000);
    assert_int_equal(hunted(sessions, (weir_session_query){.user = "ann"}, 0, true), 2000);
    assert_int_equal(stats_of(sessions).live, 2000);
    time_ms += HOUR;
    assert_int_equal(weir_sessions_find(sessions, NULL, on_found, NULL), 0);
    weir_sessions_close(sessions);
}

/* By where they are served now; "" is nowhere, as it is without an account. */
static void sessions_are_found_by_their_place(void **state)
{
    (void)state;
    weir_sessions *sessions = opened(quiet);
    weir_session_place place;
    const weir_session_query east = {.place = "east"}, both = {.user = "ann", .place = "east"},
                             nowhere = {.place = ""}, nobodys = {.place = too_long()};
    assert_int_equal(weir_session_claim(sessions, created(sessions, "ann", NULL), "east", &place),
                     WEIR_OK);
    assert_int_equal(weir_session_claim(sessions, created(sessions, "bob", NULL), "west", &place),
                     WEIR_OK);
    created(sessions, "ann", NULL);
    assert_int_equal(hunted(sessions, east, 0, false), 1);
    assert_int_equal(hunted(sessions, both, 0, false), 1);
    assert_int_equal(hunted(sessions, nowhere, 0, false), 1);
    assert_int_equal(hunted(sessions, nobodys, 0, false), 0);
    weir_sessions_close(sessions);
}

static void a_list_that_is_long_in_one_shard_is_found_whole(void **state)
{
    (void)state;
    weir_sessions_options opt = quiet;
    opt.sessions_max = 64 * 2000;
    weir_sessions *sessions = opened(opt);
    for (unsigned i = 0; i < 2000; i++) {
        weir_session_id id = {64, i + 1};
        weir_session_new what = {.id = id, .user = "ann"};
        assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_OK);
    }
    assert_int_equal(hunted(sessions, (weir_session_query){.user = "ann"}, 0, true), 2000);
    weir_sessions_close(sessions);
}

static void the_limit_holds(void **state)
{
    (void)state;
    weir_session_id id, first;
    weir_sessions_options opt = quiet;
    opt.sessions_max = 10;
    weir_sessions *sessions = opened(opt);
    first = created(sessions, "ann", NULL);
    for (unsigned i = 1; i < 10; i++) {
        created(sessions, "ann", NULL);
    }
    assert_int_equal(weir_session_create(sessions, NULL, &id), WEIR_EFULL);
    assert_int_equal(stats_of(sessions).refused, 1);
    assert_int_equal(weir_session_end(sessions, first), WEIR_OK);
    assert_int_equal(weir_session_create(sessions, NULL, &id), WEIR_OK);
    assert_int_equal(stats_of(sessions).live, 10);
    weir_sessions_close(sessions);
}

/* --- the journal --------------------------------------------------------------------------------
 */

static void what_was_answered_is_found_again(void **state)
{
    (void)state;
    char value[8], text[WEIR_SESSION_TEXT];
    size_t len;
    weir_session seen;
    weir_session_place place;
    weir_session_id to, back;
    weir_sessions *other, *sessions = opened_with_path();
    weir_sessions_options same = {.path = path};
    assert_int_equal(weir_sessions_open(&same, &other), WEIR_EEXISTS);
    weir_session_id id = created(sessions, "ann", "a1"), gone = created(sessions, "bob", NULL);
    weir_session_id moved = created(sessions, "eve", NULL);
    assert_int_equal(weir_session_touch(sessions, id, false), WEIR_OK);
    assert_int_equal(weir_session_set(sessions, id, "model", "opus", 4), WEIR_OK);
    assert_int_equal(weir_session_set(sessions, moved, "model", "haiku", 5), WEIR_OK);
    assert_int_equal(weir_session_claim(sessions, id, "here", &place), WEIR_OK);
    assert_int_equal(weir_session_rotate(sessions, moved, &to), WEIR_OK);
    assert_int_equal(weir_session_end(sessions, gone), WEIR_OK);
    assert_int_equal(weir_sessions_sync(sessions), WEIR_OK);
    weir_sessions_close(sessions);
    for (unsigned i = 0; i < 2; i++) {
        sessions = opened_with_path();
        assert_int_equal(stats_of(sessions).recovered, 2);
        assert_int_equal(look(sessions, id, &seen), WEIR_OK);
        assert_true(seen.requests == 1 && seen.errors == 1 && seen.epoch == 1);
        assert_string_equal(seen.user, "ann");
        assert_string_equal(seen.place, "here");
        assert_int_equal(weir_session_value(sessions, id, "model", value, 8, &len), WEIR_OK);
        assert_int_equal(len, 4);
        assert_int_equal(weir_session_value(sessions, to, "model", value, 8, &len), WEIR_OK);
        assert_int_equal(len, 5);
        assert_int_equal(look(sessions, gone, &seen), WEIR_ESTALE);
        assert_int_equal(look(sessions, moved, &seen), WEIR_ESTALE);
        assert_int_equal(weir_session_successor(sessions, moved, &back), WEIR_OK);
        assert_int_equal(hunted(sessions, (weir_session_query){.account = "a1"}, 0, false), 1);
        weir_session_id_text(to, text);
        assert_int_equal(weir_session_id_parse(sessions, text, &back), WEIR_OK);
        weir_sessions_close(sessions);
    }
}

static void a_full_disk_stops_nobody(void **state)
{
    (void)state;
    struct rlimit before, little;
    weir_session seen;
    weir_sessions_options opt = quiet;
    opt.path = path;
    weir_sessions *sessions = opened(opt);
    weir_session_id one = created(sessions, "ann", NULL);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    little = before;
    little.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    weir_session_id two = created(sessions, "bob", NULL);
    assert_int_equal(look(sessions, two, &seen), WEIR_OK);
    assert_int_equal(weir_session_end(sessions, one), WEIR_OK);
    assert_true(stats_of(sessions).degraded && told[WEIR_SESSION_DEGRADED] == 1);
    assert_int_equal(weir_sessions_sync(sessions), WEIR_EIO);
    weir_sessions_turn(sessions); /* tries, and fails */
    assert_true(stats_of(sessions).degraded);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    time_ms += 1000; /* it tries once a second */
    weir_sessions_turn(sessions);
    assert_false(stats_of(sessions).degraded);
    assert_int_equal(told[WEIR_SESSION_RESTORED], 1);
    weir_sessions_close(sessions);
    sessions = opened_with_path();
    assert_int_equal(look(sessions, two, &seen), WEIR_OK);
    assert_int_equal(look(sessions, one, &seen), WEIR_ESTALE);
    weir_sessions_close(sessions);
}

static void a_folder_that_is_open_to_others_is_refused(void **state)
{
    (void)state;
    weir_sessions *sessions;
    weir_sessions_options opt = {.path = path};
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EIO);
    assert_int_equal(errno, EPERM);
}

/* Creates, touches, ends and rotates until it is killed, and says each id that it was answered. */
static void child_main(int say)
{
    weir_sessions_options opt = {.sessions_max = 100000, .path = path};
    weir_sessions *sessions;
    if (weir_sessions_open(&opt, &sessions) != WEIR_OK) {
        _exit(1);
    }
    for (unsigned i = 0;; i++) {
        struct {
            weir_session_id lives, ended;
        } said = {{0, 0}, {0, 0}};
        bool is_fine = weir_session_create(sessions, NULL, &said.lives) == WEIR_OK;
        if (i % 3 == 1) {
            is_fine = is_fine && weir_session_create(sessions, NULL, &said.ended) == WEIR_OK
                      && weir_session_end(sessions, said.ended) == WEIR_OK;
        } else if (i % 3 == 2) {
            said.ended = said.lives;
            is_fine = is_fine && weir_session_rotate(sessions, said.ended, &said.lives) == WEIR_OK;
        }
        if (!is_fine || write(say, &said, sizeof said) != sizeof said) {
            _exit(1);
        }
    }
}

static void a_kill_loses_nothing_and_raises_nothing(void **state)
{
    (void)state;
    struct rand rand;
    rand_init(&rand, 5);
    for (unsigned round = 0; round < 20; round++) {
        int ends[2];
        weir_session_id said[2], heard[400][2];
        unsigned count = 0;
        weir_session seen;
        assert_int_equal(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            close(ends[0]);
            child_main(ends[1]);
        }
        close(ends[1]);
        for (uint64_t n = rand_between(&rand, 1, 200); n > 0; n--) {
            assert_int_equal(read(ends[0], said, sizeof said), sizeof said);
            memcpy(heard[count++], said, sizeof said);
        }
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);
        while (count < 400 && read(ends[0], said, sizeof said) == sizeof said) {
            memcpy(heard[count++], said, sizeof said);
        }
        close(ends[0]);
        weir_sessions_options opt = {.sessions_max = 100000, .path = path, .no_thread = true};
        weir_sessions *sessions = opened(opt);
        for (unsigned i = 0; i < count; i++) {
            assert_int_equal(look(sessions, heard[i][0], &seen), WEIR_OK);
            assert_true(heard[i][1].high == 0 || look(sessions, heard[i][1], &seen) == WEIR_ESTALE);
        }
        weir_sessions_close(sessions);
    }
}

/* --- threads and memory -------------------------------------------------------------------------
 */

#define THREADS 4U
#define ROUNDS  300U

static void *crowd(void *arg)
{
    weir_sessions *sessions = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        weir_session_id id, to;
        weir_session seen = {.size = sizeof seen};
        weir_session_new what = {.user = i % 2 ? "ann" : "bob"};
        if (weir_session_create(sessions, &what, &id) != WEIR_OK
            || weir_session_touch(sessions, id, true) != WEIR_OK
            || weir_session_claim(sessions, id, "a1", NULL) != WEIR_OK
            || weir_session_rotate(sessions, id, &to) != WEIR_OK
            || weir_session_get(sessions, to, &seen) != WEIR_OK) {
            return arg;
        }
        if (i % 2 == 0 && weir_session_end(sessions, to) != WEIR_OK) {
            return arg;
        }
    }
    return NULL;
}

static void many_threads_and_the_keeper_agree(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    weir_sessions_options opt = {.sessions_max = 10000, .path = path, .fsync_ms = 1};
    weir_sessions *sessions = opened(opt);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, crowd, sessions), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    weir_sessions_stats stats = stats_of(sessions);
    assert_true(stats.live == THREADS * ROUNDS / 2 && stats.created == THREADS * ROUNDS);
    assert_int_equal(hunted(sessions, (weir_session_query){.user = "ann"}, 0, false),
                     THREADS * ROUNDS / 2);
    weir_sessions_close(sessions);
    opt.fsync = WEIR_FSYNC_ALWAYS;
    sessions = opened(opt);
    assert_int_equal(stats_of(sessions).recovered, THREADS * ROUNDS / 2);
    assert_null(crowd(sessions));
    assert_true(stats_of(sessions).journal_syncs > ROUNDS);
    weir_sessions_close(sessions);
}

static void open_and_close(const struct alloc *alloc, void *arg)
{
    (void)arg;
    weir_session_id id;
    weir_sessions *sessions = NULL;
    weir_sessions_options opt = quiet;
    opt.path = path;
    opt.allocator = unit_allocator(alloc);
    weir_err err = weir_sessions_open(&opt, &sessions);
    if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_ENOMEM);
        return;
    }
    assert_int_equal(weir_session_create(sessions, NULL, &id), WEIR_OK);
    weir_sessions_close(sessions);
}

static void every_refusal_of_memory_is_survived(void **state)
{
    (void)state;
    torture(open_and_close, NULL);
}

int main(void)
{
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_lives_its_hour),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(ids_cannot_be_forged_and_tenants_do_not_share),
        cmocka_unit_test(the_end_and_the_rotation_are_final),
        cmocka_unit_test(names_status_and_ttl_change),
        cmocka_unit_test(attributes_are_the_programs),
        cmocka_unit_test(a_place_is_claimed_once_and_moved_by_its_epoch),
        cmocka_unit_test(sessions_are_found_by_whatever_they_have),
        cmocka_unit_test(sessions_are_found_by_their_place),
        cmocka_unit_test(a_list_that_is_long_in_one_shard_is_found_whole),
        cmocka_unit_test(the_limit_holds),
        IN_A_FOLDER(what_was_answered_is_found_again),
        IN_A_FOLDER(a_full_disk_stops_nobody),
        IN_A_FOLDER(a_folder_that_is_open_to_others_is_refused),
        IN_A_FOLDER(a_kill_loses_nothing_and_raises_nothing),
        IN_A_FOLDER(many_threads_and_the_keeper_agree),
        IN_A_FOLDER(every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
