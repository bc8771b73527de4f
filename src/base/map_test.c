/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/rand.h"
#include "support/unit.h"

#define KEYS 500

static bool same_number(const void *value, const void *key)
{
    return *(const uint32_t *)value == *(const uint32_t *)key;
}

/* Few distinct hashes, so that runs are long and cross the table's end. */
static uint64_t bad_hash_of(uint32_t key)
{
    return key % 7 == 0 ? UINT64_MAX - key % 3 : rand_mix(key);
}

static void agrees_with_a_plain_array(void **state)
{
    (void)state;
    static uint32_t keys[KEYS];
    static bool in[KEYS];
    struct map map;
    struct rand rand;
    rand_init(&rand, 1);
    for (uint32_t i = 0; i < KEYS; i++) {
        keys[i] = i;
        in[i] = false;
    }
    assert_true(map_init(&map, &alloc_libc, KEYS));
    uint32_t count = 0;
    for (int step = 0; step < 20000; step++) {
        uint32_t k = (uint32_t)rand_below(&rand, KEYS);
        if (in[k]) {
            map_remove(&map, bad_hash_of(k), &keys[k]);
            count--;
        } else {
            assert_true(map_put(&map, bad_hash_of(k), &keys[k]));
            count++;
        }
        in[k] = !in[k];
        uint32_t other = (uint32_t)rand_below(&rand, KEYS);
        void *found = map_find(&map, bad_hash_of(other), same_number, &other);
        assert_ptr_equal(found, in[other] ? &keys[other] : NULL);
        assert_int_equal(map.count, count);
    }
    uint32_t walked = 0;
    weir_map_each(uint32_t, it, &map) {
        assert_true(in[*it]);
        walked++;
    }
    assert_int_equal(walked, count);
    map_fini(&map);
}

static void full_is_an_answer(void **state)
{
    (void)state;
    struct map map;
    uint32_t a = 1;
    assert_true(map_init(&map, &alloc_libc, 0));
    assert_false(map_put(&map, 1, &a));
    map_fini(&map);
    assert_true(map_init(&map, &alloc_libc, 1));
    assert_true(map_put(&map, 1, &a));
    assert_false(map_put(&map, 2, &a));
    map_fini(&map);
    uint32_t walked = 0;
    weir_map_each(uint32_t, it, &map) {
        walked++;
    }
    assert_int_equal(walked, 0);
}

static void refused(const struct alloc *alloc, void *arg)
{
    (void)arg;
    struct map map;
    if (map_init(&map, alloc, 8)) {
        map_fini(&map);
    }
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(refused, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_plain_array),
        cmocka_unit_test(full_is_an_answer),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
