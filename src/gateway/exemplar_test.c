/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/exemplar.h"

#include "support/unit.h"

#include <pthread.h>
#include <string.h>

static void it_stays_for_a_second(void **state)
{
    (void)state;
    struct exemplar exemplar = {0};
    struct exemplar_seen seen;
    assert_false(exemplar_see(&exemplar, &seen));
    assert_true(exemplar_is_due(&exemplar, 5000));
    exemplar_take(&exemplar, 5000, 70, "0af7651916cd43dd8448eb211c80319c");
    assert_false(exemplar_is_due(&exemplar, 5000));
    assert_false(exemplar_is_due(&exemplar, 5999));
    assert_true(exemplar_is_due(&exemplar, 6000));
    assert_true(exemplar_see(&exemplar, &seen));
    assert_int_equal(seen.taken_ms, 5000);
    assert_int_equal(seen.us, 70);
    assert_string_equal(seen.trace, "0af7651916cd43dd8448eb211c80319c");
}

#define WRITES 200000U

static void *write_many(void *arg)
{
    struct exemplar *exemplar = arg;
    for (uint64_t i = 1; i <= WRITES; i++) {
        char trace[EXEMPLAR_TRACE];
        memset(trace, 'a' + (int)(i % 26), sizeof trace);
        exemplar_take(exemplar, i, i, trace);
    }
    return NULL;
}

/* Whatever is seen is of one request. */
static void nobody_sees_half_of_one(void **state)
{
    (void)state;
    struct exemplar exemplar = {0};
    struct exemplar_seen seen = {.us = 0};
    pthread_t writer;
    assert_int_equal(pthread_create(&writer, NULL, write_many, &exemplar), 0);
    while (seen.us < WRITES) {
        if (!exemplar_see(&exemplar, &seen))
            continue;
        assert_int_equal(seen.taken_ms, seen.us);
        for (unsigned i = 0; i < EXEMPLAR_TRACE; i++)
            assert_int_equal(seen.trace[i], 'a' + (int)(seen.us % 26));
    }
    pthread_join(writer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stays_for_a_second),
        cmocka_unit_test(nobody_sees_half_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
