/* SPDX-License-Identifier: Apache-2.0 */
#include "session/sessions.h"
#include "support/unit.h"

static void a_processor_has_eight_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(shards_for(-1), 16); /* not known */
    assert_int_equal(shards_for(1), 16);
    assert_int_equal(shards_for(2), 16);
    assert_int_equal(shards_for(3), 32);
    assert_int_equal(shards_for(4), 32);
    assert_int_equal(shards_for(5), 64);
    assert_int_equal(shards_for(1024), 64);
}

static void every_id_has_a_shard_and_every_shard_ids(void **state)
{
    (void)state;
    weir_sessions *sessions;
    const weir_sessions_options opt = {.sessions_max = 100, .no_thread = true};
    bool has_some[SESSIONS_SHARDS_MAX] = {false};
    assert_int_equal(weir_sessions_open(&opt, &sessions), WEIR_OK);
    for (uint64_t i = 0; i < SESSIONS_SHARDS_MAX; i++) {
        const struct shard *shard = shard_of(sessions, (struct session_id){i, 1});
        assert_in_range(shard - sessions->shards, 0, sessions->shards_count - 1);
        assert_ptr_equal(shard,
                         shard_of(sessions, (struct session_id){i + SESSIONS_SHARDS_MAX, 2}));
        has_some[shard - sessions->shards] = true;
    }
    for (unsigned i = 0; i < sessions->shards_count; i++) {
        assert_true(has_some[i]);
    }
    weir_sessions_close(sessions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_processor_has_eight_within_bounds),
        cmocka_unit_test(every_id_has_a_shard_and_every_shard_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
