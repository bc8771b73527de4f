/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include "base/rand.h"
#include "support/unit.h"

#include <string.h>

static void halves_join_again(void **state)
{
    (void)state;
    struct arena arena;
    char *at[ARENA_TEXT_MAX / ARENA_UNIT];
    assert_true(arena_init(&arena, &alloc_libc, 1));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            at[i] = arena_cut(&arena, 1 + (uint32_t)i % ARENA_UNIT);
            assert_non_null(at[i]);
        }
        assert_null(arena_cut(&arena, 1));
        assert_int_equal(arena.bytes, ARENA_TEXT_MAX);
        for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
            arena_give(&arena, at[i], 1 + (uint32_t)i % ARENA_UNIT);
        }
        char *all = arena_cut(&arena, ARENA_TEXT_MAX);
        assert_non_null(all);
        arena_give(&arena, all, ARENA_TEXT_MAX);
    }
    assert_int_equal(arena.bytes, 0);
    assert_null(arena_cut(&arena, ARENA_TEXT_MAX + 1));
    arena_fini(&arena);
    arena_fini(&arena);
}

struct piece {
    char *at;
    uint32_t len;
    char mark;
};

static void texts_never_overlap(void **state)
{
    (void)state;
    struct arena arena;
    struct rand rand;
    struct piece pieces[200] = {0};
    rand_init(&rand, 1);
    assert_true(arena_init(&arena, &alloc_libc, 1 << 17));
    for (int i = 0; i < 20000; i++) {
        struct piece *piece = &pieces[rand_below(&rand, 200)];
        if (piece->at != NULL) {
            for (uint32_t k = 0; k < piece->len; k++) {
                assert_int_equal(piece->at[k], piece->mark);
            }
            arena_give(&arena, piece->at, piece->len);
            piece->at = NULL;
            continue;
        }
        piece->len = 1 + (uint32_t)rand_below(&rand, i % 50 == 0 ? 5000 : 300);
        piece->mark = (char)(i % 100);
        piece->at = arena_cut(&arena, piece->len);
        if (piece->at != NULL) {
            memset(piece->at, piece->mark, piece->len);
        }
    }
    for (int i = 0; i < 200; i++) {
        if (pieces[i].at != NULL) {
            arena_give(&arena, pieces[i].at, pieces[i].len);
        }
    }
    assert_int_equal(arena.bytes, 0);
    arena_fini(&arena);
}

static void make(const struct alloc *alloc, void *arg)
{
    struct arena arena = {0};
    (void)arg;
    if (arena_init(&arena, alloc, 100)) {
        arena_fini(&arena);
    }
}

static void survives_without_memory(void **state)
{
    (void)state;
    torture(make, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_join_again),
        cmocka_unit_test(texts_never_overlap),
        cmocka_unit_test(survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
