/* SPDX-License-Identifier: Apache-2.0 */
#include "io/random_pool.h"

#include "base/check.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* A child of a fork finds zeroes in it: nothing is left. */
struct random_page {
    uint32_t left;
    unsigned char bytes[RANDOM_BATCH]; /* the first `left` of them have not been drawn */
};

static size_t page_bytes(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(struct random_page) + page - 1) / page * page;
}

void random_pool_init(struct random_pool *pool)
{
    size_t each = page_bytes();
    *pool = (struct random_pool){.bytes = each * RANDOM_LANES};
    void *pages = mmap(NULL, pool->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);
    if (pages != MAP_FAILED && madvise(pages, pool->bytes, MADV_WIPEONFORK) == 0) {
        pool->pages = pages;
    } else if (pages != MAP_FAILED) {
        munmap(pages, pool->bytes);
    }
    for (unsigned i = 0; i < RANDOM_LANES; i++) {
        struct random_lane *lane = &pool->lanes[i];
        atomic_flag_clear(&lane->is_taken);
        lane->page = pool->pages != NULL ? (void *)((char *)pool->pages + i * each) : NULL;
    }
}

void random_pool_fini(struct random_pool *pool)
{
    if (pool->pages != NULL) {
        munmap(pool->pages, pool->bytes);
        pool->pages = NULL;
    }
}

/* Threads take lanes in turn, at their first draw. */
static unsigned lane_of_thread(void)
{
    static atomic_uint next;
    static _Thread_local unsigned one; /* + 1; 0: not yet */
    if (one == 0) {
        one = atomic_fetch_add(&next, 1) % RANDOM_LANES + 1;
    }
    return one - 1;
}

static bool page_fill(struct random_page *page)
{
    ssize_t got = getrandom(page->bytes, sizeof page->bytes, 0); /* less, after a signal */
    page->left = got > 0 ? (uint32_t)got : 0;
    return got >= (ssize_t)RANDOM_DRAW_MAX;
}

static bool page_draw(struct random_page *page, void *ret_bytes, size_t len)
{
    if (page->left < len && !page_fill(page)) {
        return false;
    }
    page->left -= (uint32_t)len;
    memcpy(ret_bytes, page->bytes + page->left, len);
    explicit_bzero(page->bytes + page->left, len);
    return true;
}

bool random_pool_draw(struct random_pool *pool, void *ret_bytes, size_t len)
{
    bool is_drawn = false;
    struct random_lane *lane = &pool->lanes[lane_of_thread()];
    check(len <= RANDOM_DRAW_MAX);
    if (lane->page != NULL
        && !atomic_flag_test_and_set_explicit(&lane->is_taken, memory_order_acquire)) {
        is_drawn = page_draw(lane->page, ret_bytes, len);
        atomic_flag_clear_explicit(&lane->is_taken, memory_order_release);
    }
    return is_drawn || getrandom(ret_bytes, len, 0) == (ssize_t)len;
}
