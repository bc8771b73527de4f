/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_things.h - for tests of sessions that share a Redis in which something goes wrong
 * meanwhile: sessions that are made, served somewhere and touched, one after the other, and may be
 * counted.
 */
#pragma once
#include "support/redis_sharing.h"

#define THINGS_MAX 6000U

struct things {
    weir_session_id ids[THINGS_MAX];
    unsigned count;
};

/* One more, and one of those that are there again. */
static inline void go_on(weir_sessions *sessions, struct things *things)
{
    char key[32];
    assert_true(things->count < THINGS_MAX);
    snprintf(key, sizeof key, "%u-%p", things->count, (void *)things);
    weir_session_id id = created(sessions, key);
    assert_int_equal(weir_session_claim(sessions, id, "east", NULL), WEIR_OK);
    things->ids[things->count++] = id;
    assert_int_equal(weir_session_touch(sessions, things->ids[things->count / 2], true), WEIR_OK);
}
