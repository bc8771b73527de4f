/* SPDX-License-Identifier: Apache-2.0
 *
 * table_model_test.c - random lives of a small table beside a naive model of it: an array, searched
 * from one end to the other. The seed of a run that differs is printed; WEIR_SEED plays it again.
 */
#include "base/rand.h"
#include "session/table.h"
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>

#define IDS       40U /* that are ever used */
#define ROOM      24U /* sessions of the table */
#define WHO       5U
#define TOMB_MS   30000U
#define LIFE_MS   20000000U
#define SEEDS     60U
#define STEPS     4000U
#define ATTRS_MAX 100U

/* A session as anybody would write it down. */
struct model {
    enum session_state state;
    uint64_t expires_ms, created_ms, bound_until_ms;
    uint32_t ttl_ms, requests, errors, epoch;
    int who[SESSION_NAMES]; /* 0: nobody */
    uint32_t attrs_len;
    char attrs[ATTRS_MAX];
    uint8_t status;
    unsigned forward;
};

struct run {
    struct table table;
    void *block;
    size_t bytes;
    struct rand rand;
    uint64_t now_ms;
    struct model models[IDS];
    bool has_store;
    unsigned evicted;
};

static struct session_id id_of(unsigned number)
{
    return (struct session_id){number + 1, 77};
}

static struct slice text_of(int who, char *text)
{
    memset(text, 'a' + who, SESSION_NAME_MAX);
    return (struct slice){text, who == 0 ? 0 : (uint32_t)who * 20};
}

static bool lives(const struct run *run, const struct model *model)
{
    return model->state == SESSION_LIVE && model->expires_ms > run->now_ms;
}

static bool rests(const struct run *run, const struct model *model)
{
    return model->state == SESSION_TOMB && model->expires_ms > run->now_ms;
}

static void on_end(void *self, const struct session *session, enum table_end why)
{
    struct run *run = self;
    struct model *model = &run->models[session->id.high - 1];
    assert_int_equal(model->state, SESSION_LIVE);
    if (why == TABLE_EVICTED) {
        assert_true(run->has_store);
        model->state = SESSION_FREE;
        run->evicted++;
    } else if (why == TABLE_EXPIRED) {
        assert_false(lives(run, model));
    }
}

/* What has ended within the last second may still take a place. */
static unsigned count(const struct run *run, enum session_state state)
{
    unsigned found = 0;
    for (unsigned i = 0; i < IDS; i++) {
        found += run->models[i].state == state && run->models[i].expires_ms + 1000 >= run->now_ms;
    }
    return found;
}

/* --- what may happen ----------------------------------------------------------------------------
 */

static void do_create(struct run *run, unsigned number)
{
    char texts[SESSION_NAMES][SESSION_NAME_MAX];
    struct model *model = &run->models[number], next = {.state = SESSION_LIVE};
    struct table_make make = {.ttl_ms = (uint32_t)rand_between(&run->rand, 1, 9000000)};
    struct session *session;
    for (unsigned kind = 0; kind < TABLE_INDEXES; kind++) {
        next.who[kind] = (int)rand_below(&run->rand, WHO);
        make.names[kind] = text_of(next.who[kind], texts[kind]);
    }
    bool was_alive = lives(run, model), was_dead = rests(run, model);
    weir_err err = table_create(&run->table, id_of(number), &make, run->now_ms, &session);
    if (was_alive) {
        assert_int_equal(err, WEIR_EEXISTS);
    } else if (err == WEIR_ESTALE) {
        assert_true(was_dead);
    } else if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_EFULL);
        assert_true(count(run, SESSION_LIVE) + (run->has_store ? count(run, SESSION_TOMB) : 0)
                    >= ROOM);
    } else {
        assert_false(was_dead && run->has_store);
        next.created_ms = run->now_ms;
        next.ttl_ms = make.ttl_ms;
        next.expires_ms = run->now_ms + make.ttl_ms;
        *model = next;
    }
}

static void do_touch(struct run *run, struct model *model, struct session *session)
{
    bool is_error = rand_chance(&run->rand, 300);
    uint64_t until_ms = run->now_ms + model->ttl_ms;
    table_touch(&run->table, session, is_error, LIFE_MS, run->now_ms);
    until_ms = until_ms < model->created_ms + LIFE_MS ? until_ms : model->created_ms + LIFE_MS;
    model->expires_ms = until_ms > model->expires_ms ? until_ms : model->expires_ms;
    model->requests++;
    model->errors += is_error;
}

static void do_bind(struct run *run, struct model *model, struct session *session)
{
    char text[SESSION_NAME_MAX];
    int who = (int)rand_below(&run->rand, WHO);
    uint32_t ttl_ms = (uint32_t)rand_between(&run->rand, 1, 100000);
    uint32_t epoch = model->epoch - (rand_chance(&run->rand, 500) ? 1 : 0);
    uint64_t until_ms = run->now_ms + ttl_ms;
    bool is_bound = model->who[SESSION_PLACE] != 0 && model->bound_until_ms > run->now_ms;
    struct slice place = text_of(who, text);
    if (rand_chance(&run->rand, 500)) {
        weir_err err = table_rebind(&run->table, session, epoch, place, ttl_ms, run->now_ms);
        assert_int_equal(err, epoch == model->epoch ? WEIR_OK : WEIR_ESTALE);
        if (err != WEIR_OK) {
            return;
        }
    } else {
        weir_err err = table_claim(&run->table, session, place, ttl_ms, run->now_ms);
        if (who == 0 || (is_bound && who != model->who[SESSION_PLACE])) {
            assert_int_equal(err, who == 0 ? WEIR_EINVAL : WEIR_EEXISTS);
            return;
        }
        assert_int_equal(err, WEIR_OK);
        if (is_bound) {
            model->bound_until_ms = until_ms > model->bound_until_ms ? until_ms
                                                                     : model->bound_until_ms;
            return;
        }
    }
    model->epoch++;
    model->who[SESSION_PLACE] = who;
    model->bound_until_ms = who == 0 ? 0 : until_ms;
}

static void do_update(struct run *run, struct model *model, struct session *session)
{
    char text[SESSION_NAME_MAX];
    switch (rand_below(&run->rand, 4)) {
    case 0: {
        unsigned kind = (unsigned)rand_below(&run->rand, TABLE_INDEXES);
        model->who[kind] = (int)rand_below(&run->rand, WHO);
        assert_int_equal(table_rename(&run->table, session, kind, text_of(model->who[kind], text)),
                         WEIR_OK);
        break;
    }
    case 1:
        model->status = (uint8_t)rand_below(&run->rand, SESSION_STATUSES);
        table_set_status(&run->table, session, model->status);
        break;
    case 2:
        model->ttl_ms = (uint32_t)rand_between(&run->rand, 1, 9000000);
        model->expires_ms = run->now_ms + model->ttl_ms;
        table_set_ttl(&run->table, session, model->ttl_ms, run->now_ms);
        break;
    default:
        model->attrs_len = (uint32_t)rand_below(&run->rand, ATTRS_MAX + 1);
        for (unsigned i = 0; i < model->attrs_len; i++) {
            model->attrs[i] = (char)rand_next(&run->rand);
        }
        assert_int_equal(
            table_set_attrs(&run->table, session, (struct slice){model->attrs, model->attrs_len}),
            WEIR_OK);
    }
}

static void do_rotate(struct run *run, unsigned number, struct session *session)
{
    unsigned to = (unsigned)rand_below(&run->rand, IDS);
    struct model *from = &run->models[number], *next = &run->models[to];
    bool was_alive = lives(run, next), was_dead = rests(run, next);
    weir_err err = table_rotate(&run->table, session, id_of(to), run->now_ms);
    if (was_alive) {
        assert_int_equal(err, WEIR_EEXISTS);
    } else if (err == WEIR_ESTALE) {
        assert_true(was_dead);
    } else if (err != WEIR_OK) {
        assert_int_equal(err, WEIR_EFULL);
    } else {
        assert_false(was_dead && run->has_store);
        *next = *from;
        *from = (struct model){
            .state = SESSION_TOMB, .expires_ms = run->now_ms + TOMB_MS, .forward = to + 1};
    }
}

/* Another process takes over, or the store below answers, or the session goes through a journal. */
static void do_elsewhere(struct run *run, struct model *model, struct session *session)
{
    char text[SESSION_TEXT_MAX];
    struct session_record record;
    if (rand_chance(&run->rand, 800)) {
        if (run->has_store) {
            table_clean(&run->table, session,
                        session->version - (uint32_t)rand_below(&run->rand, 2));
        }
        return;
    }
    table_export(&run->table, session, text, &record);
    assert_int_equal(table_import(&run->table, &record, run->now_ms), WEIR_OK);
    (void)model;
    void *block = aligned_alloc(64, run->bytes);
    assert_non_null(block);
    memcpy(block, run->block, run->bytes);
    free(run->block);
    run->block = block;
    assert_true(table_attach(&run->table, block, run->bytes, run->now_ms));
    run->table.ended = on_end;
    run->table.self = run;
}

/* --- one step, and the comparison ---------------------------------------------------------------
 */

static void step(struct run *run)
{
    unsigned number = (unsigned)rand_below(&run->rand, IDS);
    struct model *model = &run->models[number];
    uint64_t what = rand_below(&run->rand, 100);
    if (what < 20) {
        run->now_ms += rand_below(&run->rand, rand_chance(&run->rand, 20) ? 12000000 : 5000);
        table_tick(&run->table, run->now_ms, (uint32_t)rand_below(&run->rand, 20));
        return;
    }
    if (what < 50) {
        do_create(run, number);
        return;
    }
    struct session *session = table_find(&run->table, id_of(number), run->now_ms);
    assert_int_equal(session != NULL, lives(run, model));
    if (session == NULL) {
        return;
    }
    if (what < 60) {
        do_touch(run, model, session);
    } else if (what < 70) {
        do_bind(run, model, session);
    } else if (what < 80) {
        do_update(run, model, session);
    } else if (what < 86) {
        do_rotate(run, number, session);
    } else if (what < 94) {
        do_elsewhere(run, model, session);
    } else {
        table_end(&run->table, session, run->now_ms);
        *model = (struct model){.state = SESSION_TOMB, .expires_ms = run->now_ms + TOMB_MS};
    }
}

static void compare_one(struct run *run, unsigned number)
{
    char text[SESSION_TEXT_MAX], want[SESSION_NAME_MAX];
    const struct model *model = &run->models[number];
    struct session_record record;
    const struct session *session = table_find(&run->table, id_of(number), run->now_ms);
    assert_int_equal(session != NULL, lives(run, model));
    if (session == NULL) {
        struct session_id forward = {0, 0};
        bool leads = table_forward(&run->table, id_of(number), run->now_ms, &forward);
        if (leads) { /* a tombstone may have gone for want of room, but never lies */
            assert_true(rests(run, model) && forward.high == model->forward);
        } else if (run->has_store) {
            assert_false(rests(run, model) && model->forward != 0);
        }
        return;
    }
    table_export(&run->table, session, text, &record);
    assert_true(record.expires_ms == model->expires_ms && record.created_ms == model->created_ms
                && record.requests == model->requests && record.errors == model->errors
                && record.epoch == model->epoch && record.ttl_ms == model->ttl_ms
                && record.status == model->status
                && record.bound_until_ms == model->bound_until_ms);
    for (unsigned kind = 0; kind < SESSION_NAMES; kind++) {
        assert_true(slice_same(record.names[kind], text_of(model->who[kind], want)));
    }
    assert_true(slice_same(record.attrs, (struct slice){model->attrs, model->attrs_len}));
}

static void compare(struct run *run)
{
    char text[SESSION_NAME_MAX];
    for (unsigned i = 0; i < IDS; i++) {
        compare_one(run, i);
    }
    for (unsigned kind = 0; kind < TABLE_INDEXES; kind++) {
        for (int who = 1; who < (int)WHO; who++) {
            unsigned wanted = 0, seen = 0;
            for (unsigned i = 0; i < IDS; i++) {
                wanted += lives(run, &run->models[i]) && run->models[i].who[kind] == who;
            }
            for (struct session *at = table_first_of(&run->table, kind, text_of(who, text));
                 at != NULL; at = table_next_of(&run->table, at, kind)) {
                seen += at->expires_ms > run->now_ms;
            }
            assert_int_equal(seen, wanted);
        }
    }
}

static void live(uint64_t seed)
{
    struct run run = {.now_ms = 5000000, .has_store = seed % 2};
    const struct table_options opt = {
        .sessions_max = ROOM, .tomb_ms = TOMB_MS, .has_store = run.has_store, .key = {seed, 1}};
    print_message("seed %llu\n", (unsigned long long)seed);
    run.bytes = table_bytes(&opt);
    run.block = aligned_alloc(64, run.bytes);
    assert_non_null(run.block);
    memset(run.block, 0, run.bytes);
    table_init(&run.table, run.block, &opt, run.now_ms);
    run.table.ended = on_end;
    run.table.self = &run;
    rand_init(&run.rand, seed);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&run);
        if (i % 16 == 0) {
            compare(&run);
        }
    }
    assert_true(!run.has_store || run.evicted > 0);
    free(run.block);
}

static void agrees_with_the_model(void **state)
{
    (void)state;
    const char *chosen = getenv("WEIR_SEED");
    if (chosen != NULL) {
        live(strtoull(chosen, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        live(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_the_model)};
    return cmocka_run_group_tests_name("table_model", tests, NULL, NULL);
}
