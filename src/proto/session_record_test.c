/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/session_record.h"

#include "support/unit.h"

#include <stdlib.h>

#define SALT 99U

static const struct session_record whole = {
    .kind = SESSION_WHOLE,
    .id = {1, 2},
    .created_ms = 3,
    .active_ms = 4,
    .expires_ms = 5,
    .bound_until_ms = UINT64_MAX,
    .ttl_ms = 6,
    .epoch = 7,
    .requests = 8,
    .errors = 9,
    .status = 1,
    .names = {{"ann", 3}, {"account", 7}, {"", 0}, {"place", 5}},
};

static void is_read_as_it_was_written(void **state)
{
    (void)state;
    const struct session_record touch = {.kind = SESSION_TOUCH,
                                         .id = {1, 2},
                                         .expires_ms = 10,
                                         .active_ms = 11,
                                         .requests = 12,
                                         .errors = 13};
    const struct session_record attrs = {
        .kind = SESSION_ATTRS, .id = {1, 2}, .attrs = {"ab\0c", 4}};
    const struct session_record over = {
        .kind = SESSION_OVER, .id = {1, 2}, .expires_ms = 10, .forward = {3, 4}};
    const struct session_record clock = {
        .kind = SESSION_CLOCK, .mono_ms = 1, .wall_ms = 2, .boot = {5, 6}};
    const struct session_record *all[] = {&whole, &touch, &attrs, &over, &clock};
    char bytes[SESSION_FRAME_MAX], again[SESSION_FRAME_MAX];
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct session_record back;
        size_t len = session_record_write(all[i], SALT, i, bytes);
        assert_int_equal(session_record_read(bytes, len, SALT, i, &back), len);
        assert_int_equal(back.kind, all[i]->kind);
        assert_int_equal(session_record_write(&back, SALT, i, again), len);
        assert_memory_equal(bytes, again, len);
        assert_int_equal(session_record_read(bytes, len, SALT + 1, i, &back), 0);
        assert_int_equal(session_record_read(bytes, len, SALT, i + 1, &back), 0);
    }
    struct session_record back;
    size_t len = session_record_write(&whole, SALT, 0, bytes);
    session_record_read(bytes, len, SALT, 0, &back);
    assert_true(slice_is(back.names[SESSION_ACCOUNT], "account") && back.names[2].len == 0);
    assert_true(back.bound_until_ms == UINT64_MAX && back.errors == 9 && back.status == 1);
}

static void every_bit_and_every_byte_counts(void **state)
{
    (void)state;
    struct session_record back;
    char bytes[SESSION_FRAME_MAX];
    size_t len = session_record_write(&whole, SALT, 5, bytes);
    for (size_t cut = 0; cut < len; cut++) {
        char *part = malloc(cut > 0 ? cut : 1);
        assert_non_null(part);
        memcpy(part, bytes, cut);
        assert_int_equal(session_record_read(part, cut, SALT, 5, &back), 0);
        free(part);
    }
    for (size_t bit = 0; bit < len * 8; bit++) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(session_record_read(bytes, len, SALT, 5, &back), 0);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    assert_int_equal(session_record_read(bytes, len, SALT, 5, &back), len);
}

static void the_largest_fits(void **state)
{
    (void)state;
    struct session_record back, record = whole, attrs = {.kind = SESSION_ATTRS, .id = {1, 2}};
    static char bytes[SESSION_FRAME_MAX], text[SESSION_ATTRS_MAX];
    for (unsigned i = 0; i < SESSION_NAMES; i++) {
        record.names[i] = (struct slice){text, SESSION_NAME_MAX};
    }
    attrs.attrs = (struct slice){text, SESSION_ATTRS_MAX};
    size_t len = session_record_write(&record, SALT, 0, bytes);
    assert_in_range(len, 1, SESSION_FRAME_MAX);
    assert_int_equal(session_record_read(bytes, len, SALT, 0, &back), len);
    len = session_record_write(&attrs, SALT, 0, bytes);
    assert_in_range(len, 1, SESSION_FRAME_MAX);
    assert_int_equal(session_record_read(bytes, len, SALT, 0, &back), len);
}

static void what_makes_no_sense_is_no_record(void **state)
{
    (void)state;
    struct session_record back, record = whole;
    char bytes[SESSION_FRAME_MAX];
    record.id = (struct session_id){0, 0};
    size_t len = session_record_write(&record, SALT, 0, bytes);
    assert_int_equal(session_record_read(bytes, len, SALT, 0, &back), 0);
    record = whole;
    record.status = SESSION_STATUSES;
    len = session_record_write(&record, SALT, 0, bytes);
    assert_int_equal(session_record_read(bytes, len, SALT, 0, &back), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_read_as_it_was_written),
        cmocka_unit_test(every_bit_and_every_byte_counts),
        cmocka_unit_test(the_largest_fits),
        cmocka_unit_test(what_makes_no_sense_is_no_record),
    };
    return cmocka_run_group_tests_name("session_record", tests, NULL, NULL);
}
