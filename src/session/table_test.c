/* SPDX-License-Identifier: Apache-2.0 */
#include "session/table.h"

#include "support/unit.h"

#include <stdlib.h>

#define HOUR   3600000U
#define MINUTE 60000U

static const struct siphash_key secret = {1, 2};

/* A table in memory of exactly its size, and a clock of its own. */
struct world {
    struct table table;
    void *block;
    size_t bytes;
    uint64_t now_ms;
    unsigned told[TABLE_ENDS];
    struct session_id last; /* that was told of */
};

static void on_end(void *self, const struct session *session, enum table_end why)
{
    struct world *world = self;
    world->told[why]++;
    world->last = session->id;
}

static void world_open(struct world *world, const struct table_options *opt)
{
    *world = (struct world){.now_ms = 1000000, .bytes = table_bytes(opt)};
    assert_true(world->bytes > 0);
    world->block = aligned_alloc(64, world->bytes);
    assert_non_null(world->block);
    memset(world->block, 0, world->bytes);
    table_init(&world->table, world->block, opt, world->now_ms);
    world->table.ended = on_end;
    world->table.self = world;
}

static void world_close(struct world *world)
{
    free(world->block);
}

static struct world opened(uint32_t sessions_max)
{
    struct world world;
    world_open(&world, &(struct table_options){
                           .sessions_max = sessions_max, .tomb_ms = MINUTE, .key = secret});
    return world;
}

/* on_end() was given a copy's address. */
#define OPEN(name, sessions_max)                                                                   \
    struct world name = opened(sessions_max);                                                      \
    name.table.self = &(name)

static struct session_id id_of(uint64_t number)
{
    return (struct session_id){1, number};
}

static weir_err create(struct world *world, uint64_t number, const char *user)
{
    struct session *session;
    struct table_make make = {.ttl_ms = HOUR};
    make.names[SESSION_USER] = slice_of(user);
    return table_create(&world->table, id_of(number), &make, world->now_ms, &session);
}

static struct session *found(struct world *world, uint64_t number)
{
    return table_find(&world->table, id_of(number), world->now_ms);
}

static struct session *created(struct world *world, uint64_t number)
{
    assert_int_equal(create(world, number, "ann"), WEIR_OK);
    struct session *session = found(world, number);
    assert_non_null(session);
    return session;
}

/* --- stories ------------------------------------------------------------------------------------
 */

static void finds_what_was_created_and_nothing_else(void **state)
{
    (void)state;
    char text[SESSION_NAME_MAX];
    OPEN(world, 10);
    struct session *session = created(&world, 7);
    assert_int_equal(session->expires_ms, world.now_ms + HOUR);
    assert_int_equal(table_name(&world.table, session, SESSION_USER, text), 3);
    assert_memory_equal(text, "ann", 3);
    assert_int_equal(table_name(&world.table, session, SESSION_KEY, text), 0);
    assert_true(table_name_is(&world.table, session, SESSION_KEY, SLICE("")));
    assert_false(table_name_is(&world.table, session, SESSION_USER, SLICE("anna")));
    assert_null(found(&world, 8));
    assert_int_equal(create(&world, 7, "bob"), WEIR_EEXISTS);
    world_close(&world);
}

/* It was whole, but for its id, when that was found to be another's. */
static void a_create_that_is_refused_leaves_nothing(void **state)
{
    (void)state;
    struct world world;
    uint32_t index = 0;
    world_open(&world, &(struct table_options){.sessions_max = 3,
                                               .names_max = 2,
                                               .tomb_ms = MINUTE,
                                               .has_store = true,
                                               .key = secret});
    struct table *table = &world.table;
    created(&world, 7);
    for (unsigned i = 0; i < 5; i++) { /* more often than there is room */
        assert_int_equal(create(&world, 7, "bob"), WEIR_EEXISTS);
        assert_null(table_first_of(table, SESSION_USER, SLICE("bob")));
    }
    assert_int_equal(table_count_of(table, SESSION_USER, SLICE("ann")), 1);
    assert_int_equal(table_count(table).live, 1);
    assert_int_equal(table_count(table).created, 1);
    assert_non_null(table_take_changed(table, &index));
    assert_null(table_take_changed(table, &index));
    assert_int_equal(create(&world, 8, "bob"), WEIR_OK);
    assert_int_equal(create(&world, 7, "cid"), WEIR_EEXISTS); /* there is no room for a name */
    assert_int_equal(create(&world, 9, "bob"), WEIR_OK);
    assert_int_equal(create(&world, 7, "bob"), WEIR_EEXISTS); /* nor for a record */
    world.now_ms += 2 * HOUR;
    while (table_tick(table, world.now_ms, 1)) {
    }
    assert_int_equal(world.told[TABLE_EXPIRED], 3);
    assert_int_equal(table_count(table).live, 0);
    world_close(&world);
}

/* An id that has expired and its name, the last there is room for, are the new session's. */
static void what_has_expired_makes_room_for_its_successor(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, &(struct table_options){.sessions_max = 3, .names_max = 1, .key = secret});
    created(&world, 7);
    world.now_ms += HOUR;
    assert_int_equal(create(&world, 7, "bob"), WEIR_OK);
    assert_int_equal(table_count_of(&world.table, SESSION_USER, SLICE("bob")), 1);
    assert_int_equal(table_count_of(&world.table, SESSION_USER, SLICE("ann")), 0);
    world.now_ms += HOUR;
    assert_int_equal(create(&world, 7, "bob"), WEIR_OK);
    assert_int_equal(table_count_of(&world.table, SESSION_USER, SLICE("bob")), 1);
    assert_int_equal(table_count(&world.table).live, 1);
    world_close(&world);
}

static size_t ready_bytes; /* asked for, so far */

static void on_ready(void *at, size_t bytes)
{
    assert_int_equal((uintptr_t)at % sizeof(struct session), 0);
    ready_bytes += bytes;
}

/* Records are got from the system ahead, an eighth more than there are, and none beyond the last.
 */
static void pages_are_made_ready_ahead(void **state)
{
    (void)state;
    const uint32_t most = 10000;
    size_t record = sizeof(struct session), first = 0;
    OPEN(world, most);
    world.table.ready = on_ready;
    ready_bytes = 0;
    for (uint32_t i = 1; i <= most; i++) {
        assert_int_equal(create(&world, i, "ann"), WEIR_OK);
        if (ready_bytes > 0) {
            first = first == 0 ? i : first;
            size_t all = (first - 1) * record + ready_bytes;
            assert_true(all >= i * record);
            assert_true(all - i * record <= i * record / 8);
        }
    }
    assert_int_equal(first, 8 * 65536 / record + 1);
    assert_int_equal((first - 1) * record + ready_bytes, most * record);
    world_close(&world);
}

/* What fits a name's own line, and what goes on in cells; names that differ in the last byte. */
static void names_of_every_length_are_kept(void **state)
{
    (void)state;
    char bytes[SESSION_NAME_MAX], text[SESSION_NAME_MAX];
    OPEN(world, 2 * SESSION_NAME_MAX);
    memset(bytes, 'n', sizeof bytes);
    for (uint32_t i = 0; i < 2 * SESSION_NAME_MAX; i++) {
        struct slice name = {bytes, i / 2 + 1};
        bytes[i / 2] = i % 2 ? 'y' : 'x';
        struct session *session = created(&world, i + 1);
        assert_int_equal(table_rename(&world.table, session, SESSION_KEY, name), WEIR_OK);
        bytes[i / 2] = 'n';
    }
    void *block = aligned_alloc(64, world.bytes);
    assert_non_null(block);
    memcpy(block, world.block, world.bytes);
    struct world other = {.block = block, .now_ms = world.now_ms};
    assert_true(table_attach(&other.table, block, world.bytes, other.now_ms));
    for (uint32_t i = 0; i < 2 * SESSION_NAME_MAX; i++) {
        struct slice name = {bytes, i / 2 + 1};
        const struct session *session = found(&other, i + 1);
        bytes[i / 2] = i % 2 ? 'y' : 'x';
        assert_int_equal(table_count_of(&other.table, SESSION_KEY, name), 1);
        assert_int_equal(table_name(&other.table, session, SESSION_KEY, text), name.len);
        assert_memory_equal(text, bytes, name.len);
        assert_true(table_name_is(&other.table, session, SESSION_KEY, name));
        bytes[i / 2] ^= 1; /* 'x' and 'y' are the other's */
        assert_false(table_name_is(&other.table, session, SESSION_KEY, name));
        bytes[i / 2] = 'n';
        assert_false(table_name_is(&other.table, session, SESSION_KEY, name));
    }
    world_close(&world);
    world_close(&other);
}

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    struct session *session;
    char text[SESSION_NAME_MAX + 2];
    memset(text, 'x', sizeof text);
    OPEN(world, 10);
    struct table_make make = {.ttl_ms = HOUR, .names[0] = {text, SESSION_NAME_MAX + 1}};
    assert_int_equal(table_create(&world.table, id_of(1), &make, 0, &session), WEIR_EINVAL);
    make.names[0].len = SESSION_NAME_MAX;
    assert_int_equal(table_create(&world.table, (struct session_id){0, 0}, &make, 0, &session),
                     WEIR_EINVAL);
    make.status = SESSION_STATUSES;
    assert_int_equal(table_create(&world.table, id_of(1), &make, 0, &session), WEIR_EINVAL);
    make.status = 0;
    make.ttl_ms = 0;
    assert_int_equal(table_create(&world.table, id_of(1), &make, 0, &session), WEIR_EINVAL);
    make.ttl_ms = 1;
    assert_int_equal(table_create(&world.table, id_of(1), &make, world.now_ms, &session), WEIR_OK);
    assert_int_equal(table_rename(&world.table, session, SESSION_KEY,
                                  (struct slice){text, SESSION_NAME_MAX + 1}),
                     WEIR_EINVAL);
    assert_int_equal(table_rotate(&world.table, session, (struct session_id){0, 0}, world.now_ms),
                     WEIR_EINVAL);
    assert_int_equal(table_claim(&world.table, session, SLICE(""), HOUR, world.now_ms),
                     WEIR_EINVAL);
    assert_int_equal(table_bytes(&(struct table_options){.sessions_max = 0}), 0);
    assert_int_equal(table_bytes(&(struct table_options){.sessions_max = TABLE_MOST + 1}), 0);
    world_close(&world);
}

static void ends_to_the_millisecond(void **state)
{
    (void)state;
    OPEN(world, 10);
    created(&world, 1);
    world.now_ms += HOUR - 1;
    assert_non_null(found(&world, 1));
    assert_false(table_tick(&world.table, world.now_ms, 100));
    world.now_ms += 1;
    assert_null(found(&world, 1)); /* though no tick has been */
    assert_int_equal(world.told[TABLE_EXPIRED], 0);
    world.now_ms += 1000;
    assert_false(table_tick(&world.table, world.now_ms, 100));
    assert_int_equal(world.told[TABLE_EXPIRED], 1);
    assert_int_equal(table_count(&world.table).live, 0);
    world_close(&world);
}

static void an_expired_id_may_be_used_again(void **state)
{
    (void)state;
    OPEN(world, 10);
    created(&world, 1);
    world.now_ms += HOUR;
    assert_int_equal(create(&world, 1, "bob"), WEIR_OK);
    assert_int_equal(world.told[TABLE_EXPIRED], 1);
    assert_true(table_name_is(&world.table, found(&world, 1), SESSION_USER, SLICE("bob")));
    world_close(&world);
}

static void a_touch_puts_the_end_off_but_not_for_ever(void **state)
{
    (void)state;
    OPEN(world, 10);
    created(&world, 1);
    for (unsigned i = 0; i < 4; i++) {
        world.now_ms += HOUR - 1;
        assert_false(table_tick(&world.table, world.now_ms, 100));
        assert_non_null(found(&world, 1));
        table_touch(&world.table, found(&world, 1), i == 0, 4 * HOUR, world.now_ms);
    }
    world.now_ms += 3; /* 1 ms before 4 h */
    assert_non_null(found(&world, 1));
    world.now_ms += 1;
    assert_null(found(&world, 1));
    world_close(&world);
}

static void a_touch_counts(void **state)
{
    (void)state;
    OPEN(world, 10);
    struct session *session = created(&world, 1);
    session->errors = session->requests = UINT32_MAX - 1;
    world.now_ms += 5;
    table_touch(&world.table, session, true, 24 * HOUR, world.now_ms);
    table_touch(&world.table, session, true, 24 * HOUR, world.now_ms - 3);
    assert_true(session->requests == UINT32_MAX && session->errors == UINT32_MAX);
    assert_true(session->active_ms == world.now_ms && session->expires_ms == world.now_ms + HOUR);
    world_close(&world);
}

static void the_end_leaves_a_tombstone(void **state)
{
    (void)state;
    struct session_id forward;
    OPEN(world, 10);
    table_end(&world.table, created(&world, 1), world.now_ms);
    assert_int_equal(world.told[TABLE_ENDED], 1);
    assert_null(found(&world, 1));
    assert_false(table_forward(&world.table, id_of(1), world.now_ms, &forward));
    assert_null(table_first_of(&world.table, SESSION_USER, SLICE("ann")));
    assert_int_equal(create(&world, 1, "ann"), WEIR_ESTALE);
    world.now_ms += MINUTE;
    assert_int_equal(create(&world, 1, "ann"), WEIR_OK);
    assert_int_equal(table_count(&world.table).tombs, 0);
    world_close(&world);
}

static void a_rotated_id_leads_to_its_successor(void **state)
{
    (void)state;
    struct session_id forward;
    OPEN(world, 10);
    struct session *session = created(&world, 1);
    created(&world, 3);
    assert_int_equal(table_rotate(&world.table, session, id_of(3), world.now_ms), WEIR_EEXISTS);
    assert_int_equal(table_rotate(&world.table, session, id_of(2), world.now_ms), WEIR_OK);
    assert_null(found(&world, 1));
    assert_ptr_equal(found(&world, 2), session);
    assert_true(table_forward(&world.table, id_of(1), world.now_ms, &forward));
    assert_true(session_id_same(forward, id_of(2)));
    assert_int_equal(table_rotate(&world.table, found(&world, 3), id_of(1), world.now_ms),
                     WEIR_ESTALE);
    world.now_ms += MINUTE;
    assert_false(table_forward(&world.table, id_of(1), world.now_ms, &forward));
    assert_int_equal(table_count(&world.table).live, 2);
    world_close(&world);
}

static void the_first_claim_wins_and_the_epoch_decides(void **state)
{
    (void)state;
    OPEN(world, 10);
    struct session *session = created(&world, 1);
    struct table *table = &world.table;
    assert_false(session_is_bound(session, world.now_ms));
    assert_int_equal(table_claim(table, session, SLICE("a"), 30 * MINUTE, world.now_ms), WEIR_OK);
    assert_int_equal(session->epoch, 1);
    assert_int_equal(table_claim(table, session, SLICE("b"), 30 * MINUTE, world.now_ms),
                     WEIR_EEXISTS);
    world.now_ms += 10 * MINUTE;
    assert_int_equal(table_claim(table, session, SLICE("a"), 30 * MINUTE, world.now_ms), WEIR_OK);
    assert_int_equal(session->epoch, 1); /* prolonged */
    assert_int_equal(session->bound_until_ms, world.now_ms + 30 * MINUTE);
    assert_int_equal(table_rebind(table, session, 0, SLICE("b"), MINUTE, world.now_ms),
                     WEIR_ESTALE);
    assert_int_equal(table_rebind(table, session, 1, SLICE("b"), MINUTE, world.now_ms), WEIR_OK);
    assert_true(table_name_is(table, session, SESSION_PLACE, SLICE("b")));
    world.now_ms += MINUTE; /* over: whoever comes first */
    assert_false(session_is_bound(session, world.now_ms));
    assert_int_equal(table_claim(table, session, SLICE("c"), MINUTE, world.now_ms), WEIR_OK);
    assert_int_equal(session->epoch, 3);
    assert_int_equal(table_rebind(table, session, 3, SLICE(""), MINUTE, world.now_ms), WEIR_OK);
    assert_false(session_is_bound(session, world.now_ms));
    world_close(&world);
}

static void lists_follow_the_names(void **state)
{
    (void)state;
    OPEN(world, 10);
    struct table *table = &world.table;
    created(&world, 1);
    created(&world, 2);
    assert_int_equal(table_count_of(table, SESSION_USER, SLICE("ann")), 2);
    const struct session *first = table_first_of(table, SESSION_USER, SLICE("ann"));
    assert_ptr_equal(first, found(&world, 2));
    assert_ptr_equal(table_next_of(table, first, SESSION_USER), found(&world, 1));
    assert_null(table_next_of(table, found(&world, 1), SESSION_USER));
    assert_int_equal(table_rename(table, found(&world, 2), SESSION_USER, SLICE("bob")), WEIR_OK);
    assert_ptr_equal(table_first_of(table, SESSION_USER, SLICE("ann")), found(&world, 1));
    assert_int_equal(table_rename(table, found(&world, 1), SESSION_USER, SLICE("")), WEIR_OK);
    assert_null(table_first_of(table, SESSION_USER, SLICE("ann")));
    assert_null(table_first_of(table, SESSION_ACCOUNT, SLICE("bob")));
    assert_null(table_first_of(table, SESSION_PLACE, SLICE("bob")));
    world_close(&world);
}

static void names_change_together_or_not_at_all(void **state)
{
    (void)state;
    char text[SESSION_NAME_MAX + 1] = {'x'};
    struct world world;
    world_open(&world, &(struct table_options){.sessions_max = 3, .names_max = 3, .key = secret});
    struct session *session = created(&world, 1);
    struct table *table = &world.table;
    struct slice texts[TABLE_INDEXES] = {SLICE("bob"), SLICE("a1"), SLICE("k1")};
    assert_int_equal(table_rename_some(table, session, texts), WEIR_EFULL);
    assert_true(table_name_is(table, session, SESSION_USER, SLICE("ann")));
    assert_null(table_first_of(table, SESSION_ACCOUNT, SLICE("a1")));
    texts[SESSION_USER] = (struct slice){NULL, 0};
    assert_int_equal(table_rename_some(table, session, texts), WEIR_OK);
    assert_true(table_name_is(table, session, SESSION_USER, SLICE("ann")));
    assert_true(table_name_is(table, session, SESSION_KEY, SLICE("k1")));
    texts[SESSION_KEY] = SLICE("");
    assert_int_equal(table_rename_some(table, session, texts), WEIR_OK);
    assert_true(table_name_is(table, session, SESSION_KEY, SLICE("")));
    texts[SESSION_KEY] = (struct slice){text, SESSION_NAME_MAX + 1};
    assert_int_equal(table_rename_some(table, session, texts), WEIR_EINVAL);
    world_close(&world);
}

static void attributes_are_replaced_as_a_whole(void **state)
{
    (void)state;
    char bytes[SESSION_ATTRS_MAX + 1], back[SESSION_ATTRS_MAX];
    OPEN(world, 10);
    struct session *session = created(&world, 1);
    for (unsigned i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 7);
    }
    struct slice all = {bytes, SESSION_ATTRS_MAX};
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(table_set_attrs(&world.table, session, all), WEIR_OK);
    }
    assert_int_equal(table_attrs(&world.table, session, back), SESSION_ATTRS_MAX);
    assert_memory_equal(bytes, back, SESSION_ATTRS_MAX);
    all.len++;
    assert_int_equal(table_set_attrs(&world.table, session, all), WEIR_EINVAL);
    assert_int_equal(table_set_attrs(&world.table, session, SLICE("")), WEIR_OK);
    assert_int_equal(table_attrs(&world.table, session, back), 0);
    world_close(&world);
}

static void ttl_and_status_are_set(void **state)
{
    (void)state;
    OPEN(world, 10);
    struct session *session = created(&world, 1);
    table_set_ttl(&world.table, session, 1500, world.now_ms);
    table_set_status(&world.table, session, 3);
    assert_int_equal(session->status, 3);
    world.now_ms += 2000; /* the wheel knew of the earlier end */
    assert_false(table_tick(&world.table, world.now_ms, 100));
    assert_int_equal(world.told[TABLE_EXPIRED], 1);
    world_close(&world);
}

/* --- room ---------------------------------------------------------------------------------------
 */

static void a_full_table_refuses_and_drops_nothing(void **state)
{
    (void)state;
    OPEN(world, 3);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(create(&world, i, "ann"), WEIR_OK);
    }
    assert_int_equal(create(&world, 4, "ann"), WEIR_EFULL);
    assert_int_equal(table_rotate(&world.table, found(&world, 1), id_of(9), world.now_ms),
                     WEIR_EFULL);
    assert_non_null(found(&world, 1));
    assert_int_equal(table_count(&world.table).refused, 1);
    table_end(&world.table, found(&world, 2), world.now_ms);
    assert_int_equal(create(&world, 4, "ann"), WEIR_OK); /* the tombstone went */
    world.now_ms += 2 * HOUR;
    assert_int_equal(create(&world, 5, "ann"), WEIR_OK); /* and then what had expired, as needed */
    assert_int_equal(world.told[TABLE_EXPIRED], 1);
    world_close(&world);
}

static void clean_records_go_by_clock_and_tombstones_stay_with_a_store(void **state)
{
    (void)state;
    struct world world;
    world_open(&world,
               &(struct table_options){.sessions_max = 4, .tomb_ms = MINUTE, .has_store = true});
    for (unsigned i = 1; i <= 4; i++) {
        struct session *session = created(&world, i);
        if (i == 4) {
            table_end(&world.table, session, world.now_ms);
        } else if (i != 2) {
            table_clean(&world.table, session, session->version);
        }
    }
    assert_int_equal(table_count(&world.table).clean, 2);
    assert_int_equal(create(&world, 5, "ann"), WEIR_OK);
    assert_int_equal(world.told[TABLE_EVICTED], 1);
    uint64_t kept = session_id_same(world.last, id_of(1)) ? 3 : 1;
    assert_non_null(found(&world, kept));
    struct session *session = found(&world, kept);
    table_touch(&world.table, session, false, 24 * HOUR, world.now_ms);
    table_clean(&world.table, session, session->version - 1); /* an answer that came too late */
    assert_int_equal(table_count(&world.table).clean, 0);
    assert_int_equal(create(&world, 6, "ann"), WEIR_EFULL);
    assert_non_null(found(&world, 2));
    table_clean(&world.table, session, session->version);
    table_clean(&world.table, session, session->version);
    assert_int_equal(create(&world, 6, "ann"), WEIR_OK);
    world_close(&world);
}

static void what_has_changed_is_taken_once(void **state)
{
    (void)state;
    uint32_t index = 0;
    struct world world;
    world_open(&world,
               &(struct table_options){.sessions_max = 200, .tomb_ms = MINUTE, .has_store = true});
    struct table *table = &world.table;
    for (unsigned i = 1; i <= 150; i++) {
        created(&world, i);
    }
    for (unsigned i = 1; i <= 150; i++) {
        assert_ptr_equal(table_take_changed(table, &index), found(&world, i));
    }
    assert_null(table_take_changed(table, &index));
    assert_null(table_take_changed(table, &index));
    struct session *session = found(&world, 100), *other = found(&world, 3);
    table_touch(table, session, false, HOUR, world.now_ms);
    index = 0;
    assert_null(table_take_changed(table, &index)); /* a touch is not in a hurry */
    table_set_status(table, session, 1);
    table_end(table, other, world.now_ms);
    table_give_changed(table, found(&world, 150));
    table_rotate(table, found(&world, 149), id_of(500), world.now_ms);
    index = 0;
    assert_ptr_equal(table_take_changed(table, &index), table_look(table, id_of(3)));
    assert_ptr_equal(table_take_changed(table, &index), session);
    assert_ptr_equal(table_take_changed(table, &index), found(&world, 500));
    assert_ptr_equal(table_take_changed(table, &index), found(&world, 150));
    assert_ptr_equal(table_take_changed(table, &index), table_look(table, id_of(149)));
    assert_null(table_take_changed(table, &index));
    table_set_status(table, session, 2);
    world.now_ms += 2 * HOUR;
    table_tick(table, world.now_ms, 1000);
    index = 0;
    assert_null(table_take_changed(table, &index)); /* gone, and nobody's any more */
    world_close(&world);
}

static void full_of_names_or_text_is_full(void **state)
{
    (void)state;
    char bytes[200] = {0};
    struct world world;
    world_open(&world, &(struct table_options){
                           .sessions_max = 9, .names_max = 2, .cells_max = 4, .key = secret});
    assert_int_equal(create(&world, 1, "ann"), WEIR_OK);
    struct session *session = found(&world, 1);
    struct table *table = &world.table;
    assert_int_equal(table_set_attrs(table, session, (struct slice){bytes, 200}), WEIR_EFULL);
    assert_int_equal(table_set_attrs(table, session, (struct slice){bytes, 84}), WEIR_OK);
    assert_int_equal(/* the room of two cells, and what lies in the name itself */
                     table_rename(table, session, SESSION_KEY,
                                  (struct slice){bytes, 2 * TABLE_CELL_TEXT + 40}),
                     WEIR_EFULL);
    assert_int_equal(table_claim(table, session, SLICE("place"), HOUR, 0), WEIR_OK);
    assert_int_equal(create(&world, 2, "bob"), WEIR_EFULL); /* names */
    assert_int_equal(create(&world, 2, "ann"), WEIR_OK);
    assert_int_equal(table_rebind(table, session, 1, SLICE("x"), HOUR, 0), WEIR_EFULL);
    assert_int_equal(table_count(table).refused, 1);
    table_end(table, session, world.now_ms);
    assert_int_equal(create(&world, 1, "bob"), WEIR_OK);
    assert_int_equal(world.told[TABLE_ENDED], 1);
    world_close(&world);
}

static void a_tick_does_no_more_than_it_is_told_to(void **state)
{
    (void)state;
    OPEN(world, 100);
    for (unsigned i = 0; i < 100; i++) {
        created(&world, i);
    }
    world.now_ms += 1000 * (uint64_t)HOUR; /* many turns of the wheel */
    assert_true(table_tick(&world.table, world.now_ms, 60));
    assert_int_equal(world.told[TABLE_EXPIRED], 60);
    assert_false(table_tick(&world.table, world.now_ms, 60));
    assert_int_equal(world.told[TABLE_EXPIRED], 100);
    assert_false(table_tick(&world.table, 0, 60)); /* a clock that jumps back: nothing */
    world_close(&world);
}

static void a_life_longer_than_the_wheel_is_lived(void **state)
{
    (void)state;
    OPEN(world, 10);
    table_set_ttl(&world.table, created(&world, 1), 24 * HOUR, world.now_ms);
    uint64_t end_ms = world.now_ms + 24ULL * HOUR;
    for (; world.now_ms < end_ms; world.now_ms += 7777) {
        assert_false(table_tick(&world.table, world.now_ms, 100));
        assert_non_null(found(&world, 1));
    }
    world.now_ms = end_ms + 1000;
    assert_false(table_tick(&world.table, world.now_ms, 100));
    assert_int_equal(world.told[TABLE_EXPIRED], 1);
    world_close(&world);
}

/* --- elsewhere ----------------------------------------------------------------------------------
 */

static void what_is_exported_is_the_same_when_imported(void **state)
{
    (void)state;
    char text[SESSION_TEXT_MAX], again[SESSION_TEXT_MAX];
    struct session_record record, back;
    OPEN(one, 10);
    OPEN(two, 10);
    struct session *session = created(&one, 1);
    table_touch(&one.table, session, true, 24 * HOUR, one.now_ms + 5);
    table_claim(&one.table, session, SLICE("place"), HOUR, one.now_ms);
    table_set_attrs(&one.table, session, SLICE("attributes"));
    table_export(&one.table, session, text, &record);
    for (unsigned i = 0; i < 2; i++) { /* again does no harm */
        assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
        assert_int_equal(table_count(&two.table).live, 1);
    }
    record.kind = SESSION_ATTRS;
    assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
    table_export(&two.table, found(&two, 1), again, &back);
    assert_true(back.created_ms == session->created_ms && back.requests == 1 && back.errors == 1
                && back.epoch == 1 && back.expires_ms == session->expires_ms
                && back.bound_until_ms == session->bound_until_ms
                && back.active_ms == session->active_ms && back.ttl_ms == HOUR);
    assert_true(slice_is(back.names[SESSION_USER], "ann"));
    assert_true(slice_is(back.names[SESSION_PLACE], "place"));
    assert_true(slice_is(back.attrs, "attributes"));
    table_end(&one.table, session, one.now_ms);
    table_export(&one.table, session, text, &record);
    assert_int_equal(record.kind, SESSION_OVER);
    assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
    assert_null(found(&two, 1));
    for (enum session_kind kind = SESSION_TOUCH; kind <= SESSION_ATTRS; kind++) {
        record.kind = kind; /* neither raises the dead, nor anything else */
        assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
    }
    assert_int_equal(create(&two, 1, "ann"), WEIR_ESTALE);
    record.kind = SESSION_OVER;
    uint64_t until_ms = record.expires_ms;
    record.expires_ms = two.now_ms; /* over: leaves nothing, whatever was there */
    created(&two, 9);
    for (record.id = id_of(8); record.id.low <= 9; record.id.low++) {
        assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
    }
    assert_int_equal(create(&two, 9, "ann"), WEIR_OK);
    record.expires_ms = until_ms;
    table_forget_counts(&two.table);
    assert_int_equal(table_count(&two.table).created, 0);
    uint32_t index = 0;
    while (table_walk_all(&two.table, &index) != NULL) {
        record.ttl_ms++;
    }
    assert_int_equal(record.ttl_ms, 2); /* a session and a tombstone */
    record.id = id_of(5);
    assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_OK);
    assert_int_equal(create(&two, 5, "ann"), WEIR_ESTALE);
    record.kind = SESSION_CLOCK;
    assert_int_equal(table_import(&two.table, &record, two.now_ms), WEIR_EINVAL);
    world_close(&one);
    world_close(&two);
}

static void a_block_is_attached_where_it_is_mapped_next(void **state)
{
    (void)state;
    OPEN(world, 50);
    for (unsigned i = 0; i < 40; i++) {
        created(&world, i + 1);
        assert_int_equal(table_rename(&world.table, found(&world, i + 1), SESSION_KEY,
                                      i % 2 ? SLICE("odd") : SLICE("even")),
                         WEIR_OK);
    }
    table_set_attrs(&world.table, found(&world, 3), SLICE("three"));
    table_end(&world.table, found(&world, 1), world.now_ms);
    void *block = aligned_alloc(64, world.bytes);
    assert_non_null(block);
    memcpy(block, world.block, world.bytes);
    struct world other = {.block = block, .now_ms = world.now_ms};
    assert_true(table_attach(&other.table, block, world.bytes, other.now_ms));
    world_close(&world);
    assert_int_equal(table_count(&other.table).live, 39);
    assert_int_equal(table_count_of(&other.table, SESSION_KEY, SLICE("odd")), 20);
    assert_int_equal(found(&other, 3)->attrs_len, 5);
    assert_int_equal(create(&other, 1, "ann"), WEIR_ESTALE);
    assert_int_equal(create(&other, 41, "ann"), WEIR_OK);
    other.now_ms += HOUR + 1000;
    assert_false(table_tick(&other.table, other.now_ms, 1000));
    assert_int_equal(table_count(&other.table).live, 0);
    assert_false(table_attach(&other.table, block, other.bytes + 64, 0));
    world_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_created_and_nothing_else),
        cmocka_unit_test(a_create_that_is_refused_leaves_nothing),
        cmocka_unit_test(what_has_expired_makes_room_for_its_successor),
        cmocka_unit_test(pages_are_made_ready_ahead),
        cmocka_unit_test(names_of_every_length_are_kept),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(ends_to_the_millisecond),
        cmocka_unit_test(an_expired_id_may_be_used_again),
        cmocka_unit_test(a_touch_puts_the_end_off_but_not_for_ever),
        cmocka_unit_test(a_touch_counts),
        cmocka_unit_test(the_end_leaves_a_tombstone),
        cmocka_unit_test(a_rotated_id_leads_to_its_successor),
        cmocka_unit_test(the_first_claim_wins_and_the_epoch_decides),
        cmocka_unit_test(lists_follow_the_names),
        cmocka_unit_test(names_change_together_or_not_at_all),
        cmocka_unit_test(attributes_are_replaced_as_a_whole),
        cmocka_unit_test(ttl_and_status_are_set),
        cmocka_unit_test(a_full_table_refuses_and_drops_nothing),
        cmocka_unit_test(clean_records_go_by_clock_and_tombstones_stay_with_a_store),
        cmocka_unit_test(what_has_changed_is_taken_once),
        cmocka_unit_test(full_of_names_or_text_is_full),
        cmocka_unit_test(a_tick_does_no_more_than_it_is_told_to),
        cmocka_unit_test(a_life_longer_than_the_wheel_is_lived),
        cmocka_unit_test(what_is_exported_is_the_same_when_imported),
        cmocka_unit_test(a_block_is_attached_where_it_is_mapped_next),
    };
    return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
