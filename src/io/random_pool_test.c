/* SPDX-License-Identifier: Apache-2.0 */
#include "io/random_pool.h"

#include "support/unit.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 4U
#define EACH    2000U

static int by_value(const void *a, const void *b)
{
    return memcmp(a, b, 16);
}

static void all_differ(unsigned char (*drawn)[16], size_t count)
{
    qsort(drawn, count, sizeof *drawn, by_value);
    for (size_t i = 1; i < count; i++) {
        assert_int_not_equal(memcmp(drawn[i - 1], drawn[i], sizeof *drawn), 0);
    }
}

struct drawer {
    pthread_t thread;
    struct random_pool *pool;
    unsigned char (*into)[16];
};

static void *drawer_runs(void *arg)
{
    struct drawer *drawer = arg;
    for (unsigned i = 0; i < EACH; i++) {
        if (!random_pool_draw(drawer->pool, drawer->into[i], 16)) {
            return arg;
        }
    }
    return NULL;
}

static void what_threads_draw_differs(void **state)
{
    (void)state;
    static unsigned char drawn[THREADS * EACH][16];
    struct drawer drawers[THREADS];
    struct random_pool pool;
    random_pool_init(&pool);
    for (unsigned i = 0; i < THREADS; i++) {
        drawers[i] = (struct drawer){.pool = &pool, .into = &drawn[i * EACH]};
        assert_int_equal(pthread_create(&drawers[i].thread, NULL, drawer_runs, &drawers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(drawers[i].thread, &failed);
        assert_null(failed);
    }
    all_differ(drawn, THREADS * EACH);
    random_pool_fini(&pool);
}

/* Sizes that do not divide what the system is asked for. */
static void every_size_is_drawn_whole(void **state)
{
    (void)state;
    unsigned char bytes[RANDOM_DRAW_MAX];
    unsigned ones = 0, bits = 0;
    struct random_pool pool;
    random_pool_init(&pool);
    for (unsigned round = 0; round < 200; round++) {
        for (size_t len = 1; len <= RANDOM_DRAW_MAX; len++) {
            memset(bytes, 0, sizeof bytes);
            assert_true(random_pool_draw(&pool, bytes, len));
            for (size_t i = 0; i < len; i++) {
                ones += (unsigned)__builtin_popcount(bytes[i]);
                bits += 8;
            }
        }
    }
    assert_in_range(ones, bits / 2 - bits / 100,
                    bits / 2 + bits / 100); /* of 3 million: 20 sigma */
    random_pool_fini(&pool);
}

static void what_was_drawn_is_wiped(void **state)
{
    (void)state;
    unsigned char drawn[16];
    struct random_pool pool;
    random_pool_init(&pool);
    assert_non_null(pool.pages);
    assert_true(random_pool_draw(&pool, drawn, sizeof drawn));
    assert_null(memmem(pool.pages, pool.bytes, drawn, sizeof drawn));
    random_pool_fini(&pool);
}

/* The child draws where the parent left off; so does the parent, after it. */
static void a_child_draws_nothing_of_its_parents(void **state)
{
    (void)state;
    static unsigned char drawn[2 * RANDOM_BATCH / 16][16];
    const size_t half = RANDOM_BATCH / 16;
    int ends[2], status;
    struct random_pool pool;
    random_pool_init(&pool);
    assert_true(random_pool_draw(&pool, drawn[0], 16)); /* the rest of a batch is left */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < half; i++) {
            if (!random_pool_draw(&pool, drawn[i], 16)) {
                _exit(1);
            }
        }
        _exit(write(ends[1], drawn, half * 16) == (ssize_t)(half * 16) ? 0 : 2);
    }
    assert_int_equal(read(ends[0], drawn, half * 16), half * 16);
    for (size_t i = half; i < 2 * half; i++) {
        assert_true(random_pool_draw(&pool, drawn[i], 16));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    all_differ(drawn, 2 * half);
    close(ends[0]);
    close(ends[1]);
    random_pool_fini(&pool);
}

/* What a kernel that cannot wipe pages leaves us with, and who meets another thread. */
static void without_a_page_the_system_is_asked(void **state)
{
    (void)state;
    static unsigned char drawn[100][16];
    struct random_pool pool;
    random_pool_init(&pool);
    for (unsigned i = 0; i < RANDOM_LANES; i++) {
        atomic_flag_test_and_set(&pool.lanes[i].is_taken);
    }
    for (unsigned i = 0; i < 50; i++) {
        assert_true(random_pool_draw(&pool, drawn[i], 16));
    }
    random_pool_fini(&pool);
    pool = (struct random_pool){0};
    for (unsigned i = 50; i < 100; i++) {
        assert_true(random_pool_draw(&pool, drawn[i], 16));
    }
    all_differ(drawn, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_threads_draw_differs),
        cmocka_unit_test(every_size_is_drawn_whole),
        cmocka_unit_test(what_was_drawn_is_wiped),
        cmocka_unit_test(a_child_draws_nothing_of_its_parents),
        cmocka_unit_test(without_a_page_the_system_is_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
