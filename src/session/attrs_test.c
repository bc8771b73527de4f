/* SPDX-License-Identifier: Apache-2.0 */
#include "session/attrs.h"

#include "support/unit.h"

static struct slice with(struct slice bytes, const char *name, const char *value, char *room,
                         uint32_t max, bool *ret_fits)
{
    uint32_t len = attrs_with(bytes, slice_of(name), slice_of(value), room, max, ret_fits);
    return (struct slice){room, len};
}

static void an_attribute_is_set_replaced_and_removed(void **state)
{
    (void)state;
    char one[100], two[100];
    struct slice value, bytes = {"", 0};
    bool fits;
    assert_false(attrs_find(bytes, SLICE("a"), &value));
    bytes = with(bytes, "a", "1", one, 100, &fits);
    bytes = with(bytes, "bb", "22", two, 100, &fits);
    assert_true(fits && attrs_find(bytes, SLICE("a"), &value) && slice_is(value, "1"));
    assert_true(attrs_find(bytes, SLICE("bb"), &value) && slice_is(value, "22"));
    assert_false(attrs_find(bytes, SLICE("b"), &value));
    bytes = with(bytes, "a", "", one, 100, &fits);
    assert_true(attrs_find(bytes, SLICE("a"), &value) && value.len == 0);
    bytes = with(bytes, "bb", NULL, two, 100, &fits);
    assert_true(fits && !attrs_find(bytes, SLICE("bb"), &value));
    bytes = with(bytes, "a", NULL, one, 100, &fits);
    assert_true(fits && bytes.len == 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    char one[10], two[10];
    bool fits;
    struct slice bytes = with((struct slice){"", 0}, "a", "123456", one, 10, &fits);
    assert_true(fits && bytes.len == 10);
    (void)with(bytes, "a", "1234567", two, 10, &fits);
    assert_false(fits);
    (void)with(bytes, "b", "", two, 10, &fits);
    assert_false(fits);
    bytes = with(bytes, "a", "123", two, 10, &fits);
    assert_true(fits && bytes.len == 7);
}

static void bytes_that_make_no_sense_end_there(void **state)
{
    (void)state;
    struct slice value;
    const char spoilt[] = {1, 1, 0, 'a', '1', 1, 9, 0, 'b', '2'};
    struct slice bytes = {spoilt, sizeof spoilt};
    assert_true(attrs_find(bytes, SLICE("a"), &value));
    assert_false(attrs_find(bytes, SLICE("b"), &value));
    assert_false(attrs_find((struct slice){spoilt, 2}, SLICE("a"), &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attribute_is_set_replaced_and_removed),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(bytes_that_make_no_sense_end_there),
    };
    return cmocka_run_group_tests_name("attrs", tests, NULL, NULL);
}
