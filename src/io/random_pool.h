/* SPDX-License-Identifier: Apache-2.0
 *
 * random_pool.h - random bytes in small pieces: the system is asked for some at a time.
 *
 * They are the system's, as getrandom(2) gives them; what has been drawn is wiped, so that memory
 * read later does not tell what was handed out. The pages are wiped in the child of a fork
 * (MADV_WIPEONFORK), however it forked, so that parent and child never draw the same; where the
 * kernel cannot do that, or another thread is at the same piece, the system is asked itself. A
 * machine that is copied while it runs (a snapshot that is started twice) may draw what is left,
 * RANDOM_BATCH bytes at most, in both copies.
 *
 * Any thread may draw; it never waits for another.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#define RANDOM_BATCH    1024U /* bytes the system is asked for */
#define RANDOM_DRAW_MAX 64U
#define RANDOM_LANES    8U /* threads that draw without meeting */

struct random_page;

struct random_lane {
    _Alignas(64) atomic_flag is_taken;
    struct random_page *page; /* NULL: there is none */
};

struct random_pool {
    struct random_lane lanes[RANDOM_LANES];
    void *pages;
    size_t bytes;
};

void random_pool_init(struct random_pool *pool);
void random_pool_fini(struct random_pool *pool);
/* len ≤ RANDOM_DRAW_MAX. False: the system has none to give (getrandom(2)). */
bool random_pool_draw(struct random_pool *pool, void *ret_bytes, size_t len);
