/* SPDX-License-Identifier: Apache-2.0
 *
 * Both processes are in this one: two weir_sessions, and a journal that changes hands.
 */
#include "session/handover.h"

#include "base/bytes.h"
#include "io/append.h"
#include "support/await.h"
#include "support/unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define DEADLINE_MS 20000U

struct fixture {
    char path[64];
    weir_sessions *old, *new;
    struct sessions_follower follower;
    struct bytes told;
};

static void on_frame(void *self, const char *bytes, size_t len)
{
    struct fixture *f = self;
    assert_true(bytes_append(&f->told, bytes, len));
}

static weir_sessions *open_at(const char *path)
{
    weir_sessions *sessions;
    const weir_sessions_options opt = {.size = sizeof opt, .sessions_max = 1000, .path = path};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    return sessions;
}

static void begin(struct fixture *f, bool has_journal)
{
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/weir-handover-XXXXXX");
    assert_non_null(mkdtemp(f->path));
    f->old = open_at(has_journal ? f->path : NULL);
    f->follower = (struct sessions_follower){.frame = on_frame, .self = f};
    bytes_init(&f->told, &alloc_libc, 1 << 20);
}

static void end(struct fixture *f)
{
    char command[128];
    if (f->old != NULL) {
        weir_sessions_close(f->old);
    }
    if (f->new != NULL) {
        weir_sessions_close(f->new);
    }
    bytes_fini(&f->told);
    snprintf(command, sizeof command, "rm -r %s", f->path);
    assert_int_equal(system(command), 0);
}

static weir_session_id make(weir_sessions *sessions, const char *user, const char *place)
{
    weir_session_id id;
    weir_session_place found;
    const weir_session_new what = {.size = sizeof what, .user = user};
    assert_int_equal(weir_session_create(sessions, &what, &id), WEIR_OK);
    assert_int_equal(weir_session_claim(sessions, id, place, &found), WEIR_OK);
    return id;
}

static weir_session look(weir_sessions *sessions, weir_session_id id)
{
    weir_session session = {.size = sizeof session};
    assert_int_equal(weir_session_get(sessions, id, &session), WEIR_OK);
    return session;
}

static void hear(struct fixture *f)
{
    assert_true(sessions_hear(f->new, bytes_at(&f->told), bytes_len(&f->told)));
    bytes_fini(&f->told);
    bytes_init(&f->told, &alloc_libc, 1 << 20);
}

static void a_journal_that_is_lent_is_another_ones(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    weir_session_id before = make(f.old, "ann", "a1");
    assert_int_equal(sessions_lend(f.old, &f.follower), WEIR_OK);
    f.new = open_at(f.path);
    assert_string_equal(look(f.new, before).place, "a1");

    /* What changes there is known here once it was told. */
    weir_session_id after = make(f.old, "bob", "a2");
    assert_int_equal(weir_session_touch(f.old, before, true), WEIR_OK);
    assert_int_equal(weir_session_set(f.old, after, "name", "value", 5), WEIR_OK);
    hear(&f);
    assert_string_equal(look(f.new, after).place, "a2");
    assert_string_equal(look(f.new, after).user, "bob");
    assert_int_equal(look(f.new, before).requests, 1);
    char value[8];
    size_t len;
    assert_int_equal(weir_session_value(f.new, after, "name", value, sizeof value, &len), WEIR_OK);
    assert_int_equal(len, 5);
    assert_int_equal(weir_session_end(f.old, before), WEIR_OK);
    hear(&f);
    weir_session gone = {.size = sizeof gone};
    assert_int_equal(weir_session_get(f.new, before, &gone), WEIR_ESTALE);

    /* The ids of both are each other's, and the journal has it all. */
    weir_session_id shown;
    char text[WEIR_SESSION_TEXT];
    weir_session_id_text(after, text);
    assert_int_equal(weir_session_id_parse(f.new, text, &shown), WEIR_OK);
    weir_sessions_close(f.old);
    f.old = NULL;
    weir_sessions_close(f.new);
    f.new = open_at(f.path);
    assert_string_equal(look(f.new, after).place, "a2");
    end(&f);
}

static bool has_rewritten(weir_sessions *sessions)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(sessions, &stats);
    return stats.journal_rewrites > 0 && !stats.degraded;
}

static void taken_back_it_is_written_anew(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    make(f.old, "ann", "a1");
    assert_int_equal(sessions_lend(f.old, &f.follower), WEIR_OK);
    f.new = open_at(f.path);
    weir_session_id meanwhile = make(f.old, "bob", "a2");
    sessions_take_back(f.old); /* which it can once the other one has closed it */
    weir_session_id later = make(f.old, "carl", "a3");
    weir_sessions_close(f.new);
    f.new = NULL;
    await_true(has_rewritten(f.old), DEADLINE_MS, usleep(1000));
    weir_session_id last = make(f.old, "dora", "a4");
    weir_sessions_close(f.old);
    f.old = open_at(f.path);
    assert_string_equal(look(f.old, meanwhile).place, "a2");
    assert_string_equal(look(f.old, later).place, "a3");
    assert_string_equal(look(f.old, last).place, "a4");
    end(&f);
}

static void without_a_journal_all_is_copied(void **state)
{
    (void)state;
    struct fixture f;
    struct append file;
    weir_session_id ids[300], keyed, same;
    begin(&f, false);
    for (int i = 0; i < 300; i++) {
        ids[i] = make(f.old, "ann", "a1");
    }
    assert_int_equal(weir_session_set(f.old, ids[7], "name", "value", 5), WEIR_OK);
    assert_int_equal(weir_session_id_of(f.old, NULL, "key", 3, &keyed), WEIR_OK);
    assert_int_equal(sessions_lend(f.old, &f.follower), WEIR_OK);
    assert_false(sessions_have_journal(f.old));
    assert_int_equal(append_memory("weir-test", &file), 0);
    assert_int_equal(sessions_copy_to(f.old, file.fd), 0);
    assert_int_equal(append_seal(&file), 0);
    assert_int_equal(write(file.fd, "x", 1), -1);
    f.new = open_at(NULL);
    assert_int_equal(sessions_copy_from(f.new, file.fd, false), 0);
    append_close(&file);
    for (int i = 0; i < 300; i++) {
        assert_string_equal(look(f.new, ids[i]).place, "a1");
    }
    assert_int_equal(weir_session_id_of(f.new, NULL, "key", 3, &same), WEIR_OK);
    assert_true(same.high == keyed.high && same.low == keyed.low);
    end(&f);
}

/* Both have moved it: the later move holds, whoever is heard last. */
static void what_is_older_does_not_count(void **state)
{
    (void)state;
    struct fixture f;
    weir_session_place place;
    begin(&f, true);
    weir_session_id id = make(f.old, "ann", "a1");
    assert_int_equal(sessions_lend(f.old, &f.follower), WEIR_OK);
    f.new = open_at(f.path);
    uint32_t epoch = look(f.new, id).epoch;
    assert_int_equal(weir_session_rebind(f.new, id, epoch, "a2", &place), WEIR_OK);
    assert_int_equal(weir_session_rebind(f.new, id, place.epoch, "a3", &place), WEIR_OK);
    assert_int_equal(weir_session_rebind(f.old, id, epoch, "a4", &place), WEIR_OK);
    hear(&f);
    assert_string_equal(look(f.new, id).place, "a3");
    end(&f);
}

static void what_is_no_copy_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct append file;
    begin(&f, false);
    static const char *const texts[] = {"", "weir", "weirpass",
                                        ("somethingelse that is long enough to be a copy of "
                                         "sessions")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(append_memory("weir-test", &file), 0);
        assert_int_equal(append_write(&file, texts[i], strlen(texts[i])), 0);
        assert_int_equal(sessions_copy_from(f.old, file.fd, true), -EINVAL);
        append_close(&file);
    }
    assert_true(sessions_copy_to(f.old, -1) < 0);
    assert_false(sessions_hear(f.old, "no frame", 8));
    end(&f);
}

/* One thread lends, another one is inside the follower meanwhile. */
struct slow {
    weir_sessions *sessions;
    struct sessions_follower follower;
    atomic_bool is_inside, may_leave, has_left;
    atomic_bool is_over, was_left; /* the lending, and whether nobody was inside any more then */
    weir_err err;
};

static void on_slow_frame(void *self, const char *bytes, size_t len)
{
    struct slow *slow = self;
    (void)bytes;
    (void)len;
    atomic_store(&slow->is_inside, true);
    await_true(atomic_load(&slow->may_leave), DEADLINE_MS, usleep(1000));
    atomic_store(&slow->has_left, true);
}

static void *lend(void *self)
{
    struct slow *slow = self;
    slow->err = sessions_lend(slow->sessions, &slow->follower);
    atomic_store(&slow->was_left, atomic_load(&slow->has_left));
    atomic_store(&slow->is_over, true);
    return NULL;
}

static void *create(void *self)
{
    const struct slow *slow = self;
    weir_session_id id;
    const weir_session_new what = {.size = sizeof what, .user = "bob"};
    weir_session_create(slow->sessions, &what, &id);
    return NULL;
}

static void limit_files(rlim_t most)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = most;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* The follower is the caller's to free then. */
static void where_lending_fails_nobody_is_inside_the_follower(void **state)
{
    (void)state;
    struct fixture f;
    pthread_t lender, creator;
    begin(&f, true);
    struct slow slow = {.sessions = f.old, .follower = {.frame = on_slow_frame, .self = &slow}};
    signal(SIGXFSZ, SIG_IGN);
    limit_files(64);
    make(f.old, "ann", "a1"); /* which the journal does not get */

    pthread_mutex_lock(&f.old->turn); /* it lends, and comes no further */
    assert_int_equal(pthread_create(&lender, NULL, lend, &slow), 0);
    await_true(atomic_load(&f.old->follower) != NULL, DEADLINE_MS, usleep(1000));
    assert_int_equal(pthread_create(&creator, NULL, create, &slow), 0);
    await_true(atomic_load(&slow.is_inside), DEADLINE_MS, usleep(1000));
    pthread_mutex_unlock(&f.old->turn);
    for (unsigned i = 0; i < 300 && !atomic_load(&slow.is_over); i++) {
        usleep(1000); /* time enough to be over too early */
    }
    atomic_store(&slow.may_leave, true);
    pthread_join(creator, NULL);
    pthread_join(lender, NULL);
    assert_int_equal(slow.err, WEIR_EIO);
    assert_true(atomic_load(&slow.was_left));
    limit_files(RLIM_INFINITY);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_journal_that_is_lent_is_another_ones),
        cmocka_unit_test(taken_back_it_is_written_anew),
        cmocka_unit_test(without_a_journal_all_is_copied),
        cmocka_unit_test(what_is_older_does_not_count),
        cmocka_unit_test(what_is_no_copy_is_refused),
        cmocka_unit_test(where_lending_fails_nobody_is_inside_the_follower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
