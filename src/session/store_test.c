/* SPDX-License-Identifier: Apache-2.0
 *
 * store_test.c - sessions before a store of the program's, which here answers when the test says
 * so.
 */
#include "session/sessions.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define KEPT   400U
#define MINUTE 60000U

/* What the store keeps of one session. */
struct kept {
    weir_session_id id, successor;
    bool is_over, was_known;
    weir_session session;
    size_t attrs_len;
    char attrs[64];
};

static struct store {
    weir_sessions *sessions;
    bool answers_at_once;
    weir_err answer;
    uint64_t task, read_task;
    uint32_t writes, changes, last_count, closed;
    weir_session_id read_id;
    uint32_t kept_count;
    struct kept kept[KEPT];
    uint32_t offered_count;
    struct offered {
        weir_session_id id;
        uint32_t times;
    } offered[KEPT]; /* in the order in which each was the first time */
} store;

static uint64_t time_ms = 1000000;

static uint64_t now_ms(void *arg)
{
    (void)arg;
    return time_ms;
}

static struct kept *kept_of(weir_session_id id)
{
    for (uint32_t i = 0; i < store.kept_count; i++) {
        if (store.kept[i].id.high == id.high && store.kept[i].id.low == id.low) {
            return &store.kept[i];
        }
    }
    return NULL;
}

static void keep(const weir_session_delta *change)
{
    struct kept *kept = kept_of(change->id);
    if (kept == NULL) {
        assert_true(store.kept_count < KEPT);
        kept = &store.kept[store.kept_count++];
    }
    *kept = (struct kept){.id = change->id,
                          .successor = change->successor,
                          .is_over = change->session == NULL,
                          .was_known = change->is_known};
    if (change->session != NULL) {
        kept->session = *change->session;
        assert_true(change->attrs_len <= sizeof kept->attrs);
        kept->attrs_len = change->attrs_len;
        memcpy(kept->attrs, change->attrs, change->attrs_len);
    } else {
        assert_true(change->left_ms > 0);
    }
}

static void count_offer(weir_session_id id)
{
    uint32_t i = 0;
    while (i < store.offered_count
           && (store.offered[i].id.high != id.high || store.offered[i].id.low != id.low)) {
        i++;
    }
    if (i < KEPT) {
        store.offered_count += i == store.offered_count;
        store.offered[i].id = id;
        store.offered[i].times++;
    }
}

static void on_write(void *self, uint64_t task, const weir_session_delta *changes, uint32_t count)
{
    assert_ptr_equal(self, &store);
    assert_int_equal(store.task, 0); /* one at a time */
    store.writes++;
    store.changes += count;
    store.last_count = count;
    for (uint32_t i = 0; i < count; i++) {
        count_offer(changes[i].id);
    }
    for (uint32_t i = 0; store.answer == WEIR_OK && i < count; i++) {
        keep(&changes[i]);
    }
    if (store.answers_at_once) {
        assert_int_equal(weir_sessions_stored(store.sessions, task, store.answer), WEIR_OK);
    } else {
        store.task = task;
    }
}

static void on_read(void *self, uint64_t task, weir_session_id id)
{
    assert_ptr_equal(self, &store);
    store.read_task = task;
    store.read_id = id;
}

static void on_close(void *self)
{
    assert_ptr_equal(self, &store);
    store.closed++;
}

static weir_sessions *opened(uint32_t sessions_max)
{
    const weir_session_store vtable = {.write = on_write, .read = on_read, .close = on_close};
    const weir_sessions_options opt = {.sessions_max = sessions_max,
                                       .now_ms = now_ms,
                                       .no_thread = true,
                                       .store = &vtable,
                                       .store_self = &store};
    memset(&store, 0, sizeof store);
    assert_int_equal(weir_sessions_open(&opt, &store.sessions), WEIR_OK);
    return store.sessions;
}

static void answer(weir_err err)
{
    uint64_t task = store.task;
    store.task = 0;
    assert_int_equal(weir_sessions_stored(store.sessions, task, err), WEIR_OK);
    assert_int_equal(weir_sessions_stored(store.sessions, task, err), WEIR_ESTALE);
}

static void closed(void)
{
    store.answers_at_once = true;
    weir_sessions_close(store.sessions);
    assert_int_equal(store.closed, 1);
}

static weir_session_id created(void)
{
    weir_session_id id;
    weir_session_new what = {.user = "ann", .account = "a1"};
    assert_int_equal(weir_session_create(store.sessions, &what, &id), WEIR_OK);
    return id;
}

static uint32_t unstored(void)
{
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(store.sessions, &stats);
    return stats.unstored;
}

/* --- writing ------------------------------------------------------------------------------------
 */

static void a_change_is_written_and_touches_wait(void **state)
{
    (void)state;
    opened(100);
    weir_session_id id = created();
    assert_int_equal(store.writes, 0); /* not in the call */
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 1);
    assert_string_equal(kept_of(id)->session.user, "ann");
    assert_int_equal(unstored(), 1);
    weir_session_claim(store.sessions, id, "here", NULL);
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 1); /* one at a time */
    answer(WEIR_OK);
    assert_int_equal(unstored(), 1); /* it has changed meanwhile */
    weir_sessions_turn(store.sessions);
    assert_string_equal(kept_of(id)->session.place, "here");
    answer(WEIR_OK);
    assert_int_equal(unstored(), 0);
    weir_session_touch(store.sessions, id, true);
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 2);
    time_ms += MINUTE;
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 3);
    assert_int_equal(kept_of(id)->session.requests, 1);
    answer(WEIR_OK);
    assert_int_equal(unstored(), 0);
    assert_int_equal(weir_sessions_stored(store.sessions, 77, WEIR_OK), WEIR_ESTALE);
    assert_int_equal(weir_sessions_stored(store.sessions, 0, WEIR_OK), WEIR_ESTALE);
    closed();
    assert_int_equal(store.writes, 3);
}

static void what_failed_is_written_again_as_it_is_by_then(void **state)
{
    (void)state;
    opened(100);
    weir_session_id id = created();
    store.answer = WEIR_EIO;
    weir_sessions_turn(store.sessions);
    answer(WEIR_EIO);
    weir_session_update update = {.user = "bob"};
    assert_int_equal(weir_session_change(store.sessions, id, &update), WEIR_OK);
    store.answer = WEIR_OK;
    time_ms += 999;
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 1); /* not yet */
    time_ms += 1;
    weir_sessions_turn(store.sessions);
    assert_int_equal(store.writes, 2);
    assert_string_equal(kept_of(id)->session.user, "bob");
    answer(WEIR_OK);
    assert_int_equal(unstored(), 0);
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(store.sessions, &stats);
    assert_true(stats.store_writes == 2 && stats.store_failures == 1);
    closed();
}

static void batches_have_a_hundred(void **state)
{
    (void)state;
    opened(1000);
    store.answers_at_once = true;
    for (unsigned i = 0; i < 250; i++) {
        created();
    }
    weir_sessions_turn(store.sessions);
    assert_true(store.writes == 3 && store.changes == 250 && store.last_count == 50);
    assert_int_equal(unstored(), 0);
    closed();
}

/* A store may keep some of what it says that it has not taken. */
static void what_is_refused_is_not_before_all_others(void **state)
{
    (void)state;
    weir_sessions *sessions = opened(2000);
    for (unsigned i = 0; i < 350; i++) {
        created();
    }
    for (unsigned i = 0; i < 4; i++) {
        weir_sessions_turn(sessions);
        assert_true(store.task != 0 && store.last_count == 100);
        answer(WEIR_EDOWN);
        time_ms += 1000;
    }
    for (unsigned i = 0; i < store.offered_count; i++) {
        assert_int_equal(store.offered[i].times, 1 + (i < 50)); /* all around, and on */
    }
    assert_int_equal(store.offered_count, 350);
    closed();
}

static void answer_some(const bool *taken)
{
    uint64_t task = store.task;
    store.task = 0;
    assert_int_equal(storing_settle(store.sessions, task, taken, WEIR_EIO), WEIR_OK);
}

struct told {
    unsigned calls;
    weir_err err;
};

static void on_told(void *arg, weir_err err, weir_session_id id)
{
    struct told *told = arg;
    (void)id;
    told->calls++;
    told->err = err;
}

/* Of one write: some were taken, and are not written again; the rest waits, and lets others by. */
static void what_was_taken_is_settled_whatever_became_of_the_rest(void **state)
{
    (void)state;
    struct told told[3] = {0};
    weir_sessions *sessions = opened(100);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(weir_session_confirm(sessions, created(), on_told, &told[i]), WEIR_EAGAIN);
    }
    weir_sessions_turn(sessions);
    assert_int_equal(store.last_count, 3);
    unsigned refused = 0; /* which it is, in the order in which they were made */
    answer_some((const bool[]){true, false, true});
    assert_int_equal(unstored(), 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(told[i].calls == 1 && (told[i].err == WEIR_OK || told[i].err == WEIR_EIO));
        refused += told[i].err == WEIR_EIO;
    }
    assert_int_equal(refused, 1);
    weir_session_id other = created();
    weir_sessions_turn(sessions);
    assert_true(store.writes == 2 && store.last_count == 1 && kept_of(other) != NULL);
    answer(WEIR_OK);
    assert_int_equal(unstored(), 1);
    weir_sessions_turn(sessions);
    assert_int_equal(store.writes, 2);
    time_ms += 1000;
    weir_sessions_turn(sessions);
    assert_true(store.writes == 3 && store.last_count == 1);
    assert_int_equal(store.offered[1].times, 2);
    answer_some((const bool[]){false}); /* nothing of it: all wait */
    created();
    weir_sessions_turn(sessions);
    assert_int_equal(store.writes, 3);
    time_ms += 1000;
    weir_sessions_turn(sessions);
    assert_true(store.writes == 4 && store.last_count == 2);
    answer(WEIR_OK);
    assert_int_equal(unstored(), 0);
    closed();
}

static void tombstones_that_were_not_taken_are_waited_for(void **state)
{
    (void)state;
    weir_sessions *sessions = opened(100);
    weir_session_id over[] = {created(), created()}, live = created();
    weir_session_end(sessions, over[0]);
    weir_session_end(sessions, over[1]);
    weir_sessions_turn(sessions);
    answer(WEIR_OK);
    weir_sessions_renew(sessions);
    weir_sessions_turn(sessions);
    assert_int_equal(store.last_count, 2);
    answer_some((const bool[]){true, false});
    weir_sessions_turn(sessions);
    weir_sessions_turn(sessions);
    assert_int_equal(store.writes, 2); /* who lives comes behind them */
    time_ms += 1000;
    weir_sessions_turn(sessions);
    assert_true(store.writes == 3 && store.last_count == 1);
    kept_of(live)->session.user[0] = '\0';
    answer(WEIR_OK);
    weir_sessions_turn(sessions);
    weir_sessions_turn(sessions);
    assert_int_equal(store.writes, 4);
    assert_string_equal(kept_of(live)->session.user, "ann");
    answer(WEIR_OK);
    assert_int_equal(unstored(), 0);
    closed();
}

static void ends_and_rotations_are_told(void **state)
{
    (void)state;
    opened(100);
    store.answers_at_once = true;
    weir_session_id to, one = created(), two = created();
    weir_session_set(store.sessions, one, "model", "opus", 4);
    assert_int_equal(weir_session_rotate(store.sessions, one, &to), WEIR_OK);
    assert_int_equal(weir_session_end(store.sessions, two), WEIR_OK);
    weir_sessions_turn(store.sessions);
    assert_true(kept_of(one)->is_over && kept_of(one)->successor.high == to.high);
    assert_true(kept_of(two)->is_over && kept_of(two)->successor.high == 0);
    assert_true(!kept_of(to)->is_over && kept_of(to)->attrs_len == 3 + 5 + 4);
    closed();
}

static void the_close_writes_what_is_left(void **state)
{
    (void)state;
    opened(100);
    weir_session_id id = created();
    weir_sessions_turn(store.sessions);
    answer(WEIR_EIO);
    weir_session_touch(store.sessions, id, true);
    closed(); /* at once, though it failed a moment ago */
    assert_int_equal(kept_of(id)->session.requests, 1);
}

/* --- reading ------------------------------------------------------------------------------------
 */

struct fetched {
    unsigned calls;
    weir_err err;
};

static void on_fetched(void *arg, weir_err err, weir_session_id id)
{
    struct fetched *fetched = arg;
    assert_true(id.high == store.read_id.high && id.low == store.read_id.low);
    fetched->calls++;
    fetched->err = err;
}

static void tell_kept(uint64_t task, const struct kept *kept)
{
    const weir_session_delta found = {.id = kept->id,
                                      .session = &kept->session,
                                      .attrs = kept->attrs,
                                      .attrs_len = kept->attrs_len};
    assert_int_equal(weir_sessions_fetched(store.sessions, task, WEIR_OK, &found), WEIR_OK);
}

static void what_made_room_is_fetched_again(void **state)
{
    (void)state;
    char value[8];
    size_t len;
    struct fetched fetched = {0};
    weir_session seen = {.size = sizeof seen};
    weir_session_id ids[11], gone = {0, 0};
    opened(10);
    store.answers_at_once = true;
    for (unsigned i = 0; i < 10; i++) {
        ids[i] = created();
        weir_session_set(store.sessions, ids[i], "model", "opus", 4);
        weir_session_claim(store.sessions, ids[i], "here", NULL);
    }
    assert_int_equal(weir_session_create(store.sessions, NULL, &gone), WEIR_EFULL);
    weir_sessions_turn(store.sessions);
    ids[10] = created(); /* one of them is the store's alone from now on */
    for (unsigned i = 0; i < 11; i++) {
        if (weir_session_get(store.sessions, ids[i], &seen) != WEIR_OK) {
            assert_int_equal(gone.high, 0);
            gone = ids[i];
        }
    }
    assert_int_equal(weir_session_fetch(store.sessions, ids[10], on_fetched, &fetched), WEIR_OK);
    assert_int_equal(weir_session_fetch(store.sessions, gone, on_fetched, &fetched), WEIR_EAGAIN);
    assert_int_equal(weir_session_end(store.sessions, ids[10]), WEIR_OK);
    weir_sessions_turn(store.sessions);
    tell_kept(store.read_task, kept_of(gone));
    assert_true(fetched.calls == 1 && fetched.err == WEIR_OK);
    seen.size = sizeof seen;
    assert_int_equal(weir_session_get(store.sessions, gone, &seen), WEIR_OK);
    assert_string_equal(seen.account, "a1");
    assert_string_equal(seen.place, "here");
    assert_int_equal(seen.epoch, 1);
    assert_int_equal(weir_session_value(store.sessions, gone, "model", value, 8, &len), WEIR_OK);
    assert_int_equal(len, 4);
    assert_int_equal(unstored(), 0); /* it came from there */
    assert_int_equal(weir_session_fetch(store.sessions, ids[10], on_fetched, &fetched),
                     WEIR_ESTALE); /* ended: nobody is asked */
    closed();
}

static void answers_that_make_no_sense_are_no_session(void **state)
{
    (void)state;
    struct fetched fetched = {0};
    weir_session_id id = {7, 7};
    struct kept kept = {.id = id, .session = {.user = "eve", .left_ms = MINUTE, .status = 1}};
    weir_session_delta found = {.id = id, .session = &kept.session};
    opened(10);
    for (unsigned i = 0; i < 5; i++) {
        weir_session_delta spoilt = found;
        assert_int_equal(weir_session_fetch(store.sessions, id, on_fetched, &fetched), WEIR_EAGAIN);
        spoilt.id.low += i == 0;
        spoilt.session = i == 1 ? NULL : spoilt.session;
        spoilt.attrs_len = i == 2 ? WEIR_SESSION_ATTRS_MAX + 1 : 0;
        weir_err err = i == 3 ? WEIR_EIO : WEIR_OK;
        const weir_session_delta *what = i == 4 ? NULL : &spoilt;
        assert_int_equal(weir_sessions_fetched(store.sessions, store.read_task, err, what),
                         WEIR_OK);
        assert_int_equal(weir_sessions_fetched(store.sessions, store.read_task, err, what),
                         WEIR_ESTALE);
        assert_int_equal(fetched.calls, i + 1);
        assert_int_equal(fetched.err, i == 3 ? WEIR_EIO : WEIR_ESTALE);
    }
    assert_int_equal(weir_session_fetch(store.sessions, id, on_fetched, &fetched), WEIR_EAGAIN);
    closed();
    assert_true(fetched.calls == 6 && fetched.err == WEIR_ECLOSED);
}

/* --- what others do -----------------------------------------------------------------------------
 */

static weir_session got(weir_session_id id)
{
    weir_session session = {.size = sizeof session};
    assert_int_equal(weir_session_get(store.sessions, id, &session), WEIR_OK);
    return session;
}

static void what_others_have_ended_ends_here(void **state)
{
    (void)state;
    opened(100);
    store.answers_at_once = true;
    weir_session_id one = created(), two = created(), to;
    weir_sessions_turn(store.sessions);
    weir_session_delta news = {.id = one, .left_ms = MINUTE};
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_ESTALE);
    assert_int_equal(weir_session_touch(store.sessions, one, true), WEIR_ESTALE);
    assert_int_equal(weir_session_successor(store.sessions, one, &to), WEIR_ESTALE);
    news = (weir_session_delta){.id = two, .successor = {7, 8}};
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_int_equal(weir_session_successor(store.sessions, two, &to), WEIR_OK);
    assert_true(to.high == 7 && to.low == 8);
    assert_int_equal(unstored(), 0); /* that is where it comes from */
    news = (weir_session_delta){.id = created(), .is_known = true};
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_ESTALE); /* it never had it */
    weir_sessions_turn(store.sessions);
    weir_sessions_renew(store.sessions);
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_ESTALE); /* it lost all */
    weir_sessions_turn(store.sessions);
    weir_sessions_turn(store.sessions);
    weir_sessions_turn(store.sessions);
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_int_equal(weir_session_touch(store.sessions, news.id, true), WEIR_ESTALE);
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(store.sessions, &stats);
    assert_true(stats.heard == 3 && stats.live == 0 && stats.tombstones == 3);
    closed();
}

static void who_was_first_or_later_has_the_place(void **state)
{
    (void)state;
    opened(100);
    store.answers_at_once = true;
    weir_session_id id = created();
    weir_session_claim(store.sessions, id, "here", NULL);
    weir_session told = {.size = sizeof told, .place = "there", .epoch = 0, .bound_ms = MINUTE};
    const weir_session_delta news = {.id = id, .session = &told};
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_string_equal(got(id).place, "here"); /* from before */
    told.epoch = 1;
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_string_equal(got(id).place, "there"); /* at the same time, and first */
    assert_int_equal(got(id).epoch, 1);
    told.epoch = 5;
    told.place[0] = '\0';
    assert_int_equal(weir_sessions_heard(store.sessions, &news), WEIR_OK);
    assert_true(got(id).bound_ms == 0 && got(id).epoch == 5);
    closed();
}

static void a_store_that_lost_everything_is_told_it_again(void **state)
{
    (void)state;
    opened(1000);
    store.answers_at_once = true;
    weir_session_id over = created(), live = created();
    weir_session_end(store.sessions, over);
    for (unsigned i = 0; i < 150; i++) {
        created();
    }
    weir_sessions_turn(store.sessions);
    assert_int_equal(unstored(), 0);
    assert_false(kept_of(live)->was_known);
    weir_session_claim(store.sessions, live, "here", NULL);
    weir_sessions_turn(store.sessions);
    assert_true(kept_of(live)->was_known); /* an update */
    store.kept_count = store.changes = store.writes = 0;
    weir_sessions_renew(store.sessions);
    store.answers_at_once = false;
    weir_sessions_turn(store.sessions);
    assert_true(store.writes == 1 && store.changes == 1 && kept_of(over)->is_over);
    answer(WEIR_EIO); /* first of all it is to have that */
    weir_sessions_turn(store.sessions);
    time_ms += 1000;
    weir_sessions_turn(store.sessions);
    assert_true(store.writes == 2 && store.changes == 2);
    created(); /* there is always something to write: it does not hold the others up */
    answer(WEIR_OK);
    store.answers_at_once = true;
    for (unsigned i = 0; i < 3; i++) {
        weir_sessions_turn(store.sessions);
    }
    assert_true(store.changes == 2 + 152 && unstored() == 0);
    assert_false(kept_of(live)->was_known);
    weir_sessions_stats stats = {.size = sizeof stats};
    weir_sessions_stats_of(store.sessions, &stats);
    assert_int_equal(stats.renewals, 1);
    closed();
}

struct confirmed {
    unsigned calls;
    weir_err err;
};

static void on_kept(void *arg, weir_err err, weir_session_id id)
{
    struct confirmed *confirmed = arg;
    assert_true(id.high != 0 || id.low != 0);
    confirmed->calls++;
    confirmed->err = err;
}

enum { RENEWALS = 300, OF_THEM = 64 };

/* Who says again and again that the store does not know them, until it is told to stop. */
struct gossip {
    weir_session_id ids[OF_THEM];
    _Atomic bool is_over;
    _Atomic unsigned rounds;
};

static void *gossip(void *arg)
{
    struct gossip *it = arg;
    while (!it->is_over) {
        for (unsigned i = 0; i < OF_THEM; i++) {
            const weir_session_delta news = {
                .size = sizeof news, .id = it->ids[i], .is_known = true};
            weir_sessions_heard(store.sessions, &news);
        }
        it->rounds++;
    }
    return NULL;
}

/* What was asked of it before that was known is answered while the news goes round. */
static void what_a_store_lost_with_all_the_rest_does_not_end(void **state)
{
    (void)state;
    static struct gossip it;
    opened(1000);
    store.answers_at_once = true;
    for (unsigned i = 0; i < OF_THEM; i++) {
        it.ids[i] = created();
    }
    for (unsigned round = 0; round < RENEWALS; round++) {
        pthread_t thread;
        store.answers_at_once = true;
        for (unsigned i = 0; i < 4; i++) { /* tombstones, the living, nothing */
            time_ms += 100;
            weir_sessions_turn(store.sessions);
        }
        assert_int_equal(unstored(), 0);
        store.answers_at_once = false;
        it.is_over = false;
        it.rounds = 0;
        weir_sessions_renew(store.sessions);
        assert_int_equal(pthread_create(&thread, NULL, gossip, &it), 0);
        while (it.rounds == 0) {
        }
        weir_sessions_turn(store.sessions);
        it.is_over = true;
        pthread_join(thread, NULL);
        if (store.task != 0) {
            answer(WEIR_OK);
        }
        for (unsigned i = 0; i < OF_THEM; i++) {
            weir_session session = {.size = sizeof session};
            assert_int_equal(weir_session_get(store.sessions, it.ids[i], &session), WEIR_OK);
        }
    }
    closed();
}

static void who_waits_for_the_store_is_told(void **state)
{
    (void)state;
    struct confirmed one = {0}, two = {0}, three = {0};
    opened(100);
    weir_session_id id = created();
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &one), WEIR_EAGAIN);
    weir_sessions_turn(store.sessions);
    weir_session_claim(store.sessions, id, "here", NULL); /* it is on its way as it was */
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &two), WEIR_EAGAIN);
    answer(WEIR_OK);
    assert_true(one.calls == 1 && one.err == WEIR_OK && two.calls == 0);
    weir_sessions_turn(store.sessions);
    answer(WEIR_EIO);
    assert_true(two.calls == 1 && two.err == WEIR_EIO);
    time_ms += 1000;
    weir_sessions_turn(store.sessions);
    answer(WEIR_OK);
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &two), WEIR_OK);
    weir_session_touch(store.sessions, id, true); /* it does not wait for its minute */
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &three), WEIR_EAGAIN);
    weir_sessions_turn(store.sessions);
    answer(WEIR_OK);
    assert_true(three.calls == 1 && three.err == WEIR_OK && two.calls == 1);
    weir_session_end(store.sessions, id); /* an end is confirmed as well */
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &three), WEIR_EAGAIN);
    weir_sessions_turn(store.sessions);
    answer(WEIR_OK);
    assert_int_equal(three.calls, 2);
    closed();
}

static void who_waits_in_vain_is_told_as_well(void **state)
{
    (void)state;
    struct confirmed one = {0}, two = {0};
    weir_session_id id;
    weir_session_new brief = {.ttl_ms = 1};
    opened(100);
    assert_int_equal(weir_session_create(store.sessions, &brief, &id), WEIR_OK);
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &one), WEIR_EAGAIN);
    time_ms += 3000; /* it expires unwritten */
    weir_sessions_turn(store.sessions);
    assert_true(one.calls == 1 && one.err == WEIR_ESTALE && store.writes == 0);
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &one), WEIR_ESTALE);
    id = created();
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &two), WEIR_EAGAIN);
    }
    assert_int_equal(weir_session_confirm(store.sessions, id, on_kept, &two), WEIR_EQUEUE);
    closed();
    assert_true(two.calls == 1000 && two.err == WEIR_OK); /* the close has written it */
}

static void without_a_store_nobody_is_asked(void **state)
{
    (void)state;
    weir_sessions *sessions;
    weir_session_store broken = {.batch_max = 1};
    weir_sessions_options opt = {.sessions_max = 10, .no_thread = true, .store = &broken};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_EINVAL);
    assert_string_equal(weir_sessions_fault(), "store");
    opt.store = NULL;
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    weir_session_id id = {1, 1};
    assert_int_equal(weir_session_fetch(sessions, id, on_fetched, NULL), WEIR_ESTALE);
    assert_int_equal(weir_session_confirm(sessions, id, on_kept, NULL), WEIR_ESTATE);
    assert_int_equal(weir_sessions_stored(sessions, 1, WEIR_OK), WEIR_ESTALE);
    assert_int_equal(weir_sessions_fetched(sessions, 1, WEIR_OK, NULL), WEIR_ESTALE);
    weir_sessions_close(sessions);
}

static void open_and_close(const struct alloc *alloc, void *arg)
{
    (void)arg;
    const weir_session_store vtable = {.write = on_write, .batch_max = 4};
    weir_sessions_options opt = {
        .sessions_max = 10, .no_thread = true, .store = &vtable, .store_self = &store};
    memset(&store, 0, sizeof store);
    store.answers_at_once = true;
    opt.allocator = unit_allocator(alloc);
    weir_err err = weir_sessions_open(&opt, &store.sessions);
    if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_ENOMEM);
        return;
    }
    created();
    weir_sessions_close(store.sessions);
    assert_int_equal(store.changes, 1);
}

static void every_refusal_of_memory_is_survived(void **state)
{
    (void)state;
    torture(open_and_close, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_is_written_and_touches_wait),
        cmocka_unit_test(what_failed_is_written_again_as_it_is_by_then),
        cmocka_unit_test(batches_have_a_hundred),
        cmocka_unit_test(what_is_refused_is_not_before_all_others),
        cmocka_unit_test(what_was_taken_is_settled_whatever_became_of_the_rest),
        cmocka_unit_test(tombstones_that_were_not_taken_are_waited_for),
        cmocka_unit_test(ends_and_rotations_are_told),
        cmocka_unit_test(the_close_writes_what_is_left),
        cmocka_unit_test(what_made_room_is_fetched_again),
        cmocka_unit_test(answers_that_make_no_sense_are_no_session),
        cmocka_unit_test(what_others_have_ended_ends_here),
        cmocka_unit_test(who_was_first_or_later_has_the_place),
        cmocka_unit_test(a_store_that_lost_everything_is_told_it_again),
        cmocka_unit_test(what_a_store_lost_with_all_the_rest_does_not_end),
        cmocka_unit_test(who_waits_for_the_store_is_told),
        cmocka_unit_test(who_waits_in_vain_is_told_as_well),
        cmocka_unit_test(without_a_store_nobody_is_asked),
        cmocka_unit_test(every_refusal_of_memory_is_survived),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
