/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_chaos_test.c - gateways that share a real redis-server, which is killed, emptied, stopped
 * and started again while they make, touch and end sessions: in the end nothing is lost, nothing is
 * raised again, nothing is counted twice, and every place is where it was claimed.
 *
 * WEIR_SEED=n begins with that seed, WEIR_SEEDS=n plays as many.
 */
#include "base/rand.h"
#include "support/redis_sharing.h"

#include <stdlib.h>

#define GATEWAYS 3U
#define THINGS   60U

/* What should be true of one session in the end. Whoever made it ends it; all may touch it. */
struct thing {
    weir_session_id id;
    bool was_made, is_over;
    uint32_t touches, errors;
};

struct chaos {
    struct rand rand;
    weir_sessions *gateways[GATEWAYS];
    struct thing things[THINGS];
    unsigned faults[5];
};

static void make_or_end(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    weir_sessions *owner = chaos->gateways[n % GATEWAYS];
    char key[16];
    if (!thing->was_made) {
        snprintf(key, sizeof key, "t%u", n);
        thing->id = created(owner, key);
        thing->was_made = true;
        assert_int_equal(weir_session_claim(owner, thing->id, "east", NULL), WEIR_OK);
    } else if (!thing->is_over && rand_below(&chaos->rand, 8) == 0) {
        assert_int_equal(weir_session_end(owner, thing->id), WEIR_OK);
        thing->is_over = true;
    }
}

static void touch_somewhere(struct chaos *chaos, unsigned n)
{
    struct thing *thing = &chaos->things[n];
    weir_sessions *who = chaos->gateways[rand_below(&chaos->rand, GATEWAYS)];
    bool is_served = rand_below(&chaos->rand, 4) != 0;
    if (!thing->was_made) {
        return;
    }
    if (!lives(who, thing->id) && fetch(who, thing->id) != WEIR_OK) {
        return; /* not known here: over, or not to be had now */
    }
    if (weir_session_touch(who, thing->id, is_served) == WEIR_OK && !thing->is_over) {
        thing->touches++;
        thing->errors += !is_served;
    }
}

static void fault(struct chaos *chaos)
{
    unsigned kind = (unsigned)rand_below(&chaos->rand, 5);
    chaos->faults[kind]++;
    switch (kind) {
    case 0: restart(); break;
    case 1: redis_says(&server, "FLUSHALL"); break;
    case 2: redis_says(&server, "SCRIPT", "FLUSH"); break;
    case 3:
        redis_pause(&server, true);
        poll(NULL, 0, (int)rand_below(&chaos->rand, 400)); /* that long it says nothing */
        redis_pause(&server, false);
        break;
    default:
        redis_kill(&server);
        poll(NULL, 0, (int)rand_below(&chaos->rand, 200));
        redis_run(&server);
        assert_string_equal(redis_says(&server, "SELECT", "2"), "OK");
        break;
    }
}

/* "r<origin>": the sums of all origins. */
static void sum_of(weir_session_id id, uint32_t *ret_touches, uint32_t *ret_errors)
{
    struct slice rest = slice_of(redis_says(&server, "HGETALL", key_of('s', id))), word;
    *ret_touches = *ret_errors = 0;
    while (slice_split(&rest, ' ', &word)) {
        uint64_t touches = 0, errors = 0;
        struct slice tail = rest, first, second;
        if (word.len > 8 && word.at[0] == 'r' && slice_split(&tail, ' ', &first)
            && slice_split(&tail, ' ', &second) && text_parse_u64(first, &touches)
            && text_parse_u64(second, &errors)) {
            *ret_touches += (uint32_t)touches;
            *ret_errors += (uint32_t)errors;
        }
    }
}

/* What is over is not there; what lives is, with what all have counted. */
static bool is_as_it_should(const struct thing *thing)
{
    uint32_t touches, errors;
    if (!thing->was_made || thing->is_over) {
        return !thing->was_made || !is_there('s', thing->id);
    }
    sum_of(thing->id, &touches, &errors);
    return touches == thing->touches && errors == thing->errors;
}

/* Each gateway has noticed the last fault, and told all it has. */
static bool is_settled(const struct chaos *chaos)
{
    bool is_all = true;
    for (unsigned i = 0; i < GATEWAYS; i++) {
        is_all = is_all && is_stored(chaos->gateways[i]);
    }
    for (unsigned n = 0; is_all && n < THINGS; n++) {
        is_all = is_as_it_should(&chaos->things[n]);
    }
    return is_all;
}

/* Says what is not as it should be, where that does not end. */
static void settle(const struct chaos *chaos)
{
    uint64_t end_ms = clock_now_ms() + REDIS_DEADLINE_MS;
    while (!is_settled(chaos)) {
        if (clock_now_ms() < end_ms) {
            poll(NULL, 0, 1);
            continue;
        }
        for (unsigned i = 0; i < GATEWAYS; i++) {
            weir_sessions_stats stats = stats_of(chaos->gateways[i]);
            print_message("gateway %u: %u unstored, %u live, down %d\n", i, stats.unstored,
                          stats.live, stats.store_down);
        }
        for (unsigned n = 0; n < THINGS; n++) {
            const struct thing *thing = &chaos->things[n];
            if (!is_as_it_should(thing)) {
                print_message("thing %u: over %d, there %d, tombstone %d, %u touches\n", n,
                              thing->is_over, is_there('s', thing->id), is_there('t', thing->id),
                              (unsigned)thing->touches);
            }
        }
        fail_msg("it does not settle");
    }
}

static void check_thing(const struct chaos *chaos, unsigned n)
{
    const struct thing *thing = &chaos->things[n];
    uint32_t touches, errors;
    sum_of(thing->id, &touches, &errors);
    if (thing->is_over) {
        assert_false(is_there('s', thing->id)); /* none is raised again */
        for (unsigned i = 0; i < GATEWAYS; i++) {
            weir_session_touch(chaos->gateways[i], thing->id, true);
        }
        return;
    }
    assert_true(lives(chaos->gateways[n % GATEWAYS], thing->id)); /* none is lost */
    assert_int_equal(touches, thing->touches);                    /* none is counted twice */
    assert_int_equal(errors, thing->errors);
    assert_string_equal(field_of(thing->id, "pl"), "east");
}

static void chaos_of(uint64_t seed)
{
    static struct chaos chaos;
    memset(&chaos, 0, sizeof chaos);
    rand_init(&chaos.rand, seed);
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < GATEWAYS; i++) {
        chaos.gateways[i] = opened();
    }
    for (unsigned step = 0; step < 3000; step++) {
        unsigned n = (unsigned)rand_below(&chaos.rand, THINGS);
        if (step % 300 == 299) {
            fault(&chaos);
        } else if (rand_below(&chaos.rand, 3) == 0) {
            make_or_end(&chaos, n);
        } else {
            touch_somewhere(&chaos, n);
        }
    }
    settle(&chaos);
    for (unsigned n = 0; n < THINGS; n++) {
        check_thing(&chaos, n);
    }
    settle(&chaos); /* who touched what is over has learnt it, and raised nothing */
    for (unsigned n = 0; n < THINGS; n++) {
        for (unsigned i = 0; i < GATEWAYS; i++) {
            assert_false(chaos.things[n].is_over && lives(chaos.gateways[i], chaos.things[n].id));
        }
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        weir_sessions_close(chaos.gateways[i]);
    }
}

static void whatever_happens_nothing_is_lost_raised_or_counted_twice(void **state)
{
    (void)state;
    const char *seed = getenv("WEIR_SEED");
    const char *seeds = getenv("WEIR_SEEDS");
    uint64_t from = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 1;
    for (uint64_t i = 0; i < count; i++) {
        redis_says(&server, "FLUSHALL");
        chaos_of(from + i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_happens_nothing_is_lost_raised_or_counted_twice,
                                        start, end),
    };
    return cmocka_run_group_tests_name("redis chaos", tests, NULL, NULL);
}
