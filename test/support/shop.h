/* SPDX-License-Identifier: Apache-2.0
 *
 * shop.h - a factory for tests of shared pools: it makes numbered things, at once, late, or not at
 * all, and checks that none is made or destroyed that should not be.
 */
#pragma once
#include <weir/runtime.h>

#include "support/await.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHOP_DEADLINE_MS 20000U
#define SHOP_SLOTS       64U /* of each of the keys that begin with another letter */
#define SHOP_LETTERS     32U

/* Waits for a condition that another thread makes true. */
#define shop_until(condition) await_true(condition, SHOP_DEADLINE_MS, sched_yield())

struct shop;

struct thing {
    struct shop *shop;
    uint32_t number, slot, place; /* place: of its key's slot in the shop */
    _Atomic uint32_t users;       /* at a time */
};

struct shop {
    weir_runtime *runtime;
    weir_factory factory;
    _Atomic uint32_t made, destroyed, validated, canceled, cut, faults[WEIR_FAULTS];
    _Atomic uint32_t in_slot[SHOP_LETTERS * SHOP_SLOTS]; /* things that have it now */
    _Atomic uint32_t wrong;
    _Atomic int create_err, validate_err, destroy_err; /* what they answer */
    _Atomic bool is_blocked; /* create waits, on its thread, until it is not */
    _Atomic uint64_t last_task_pool, last_task_id;
    _Atomic uint32_t inside; /* create, now */
};

static inline struct thing *shop_make(struct shop *shop, const weir_create *create)
{
    struct thing *thing = calloc(1, sizeof *thing);
    thing->shop = shop;
    thing->number = ++shop->made;
    thing->slot = create->slot;
    thing->place = (uint32_t)create->key->host[0] % SHOP_LETTERS * SHOP_SLOTS + create->slot;
    if (create->slot >= SHOP_SLOTS || shop->in_slot[thing->place]++ > 0) {
        shop->wrong++;
    }
    return thing;
}

static inline weir_err shop_create(void *self, const weir_create *create, void **ret_object)
{
    struct shop *shop = self;
    shop->inside++;
    while (shop->is_blocked) {
        sched_yield();
    }
    shop->inside--;
    shop->last_task_pool = create->task.pool;
    shop->last_task_id = create->task.id;
    weir_err err = (weir_err)shop->create_err;
    if (err == WEIR_OK) {
        *ret_object = shop_make(shop, create);
    }
    return err;
}

static inline weir_task shop_task(const struct shop *shop)
{
    return (weir_task){shop->last_task_pool, shop->last_task_id};
}

static inline weir_err shop_validate(void *self, weir_task task, void *object)
{
    struct shop *shop = self;
    (void)object;
    shop->last_task_pool = task.pool;
    shop->last_task_id = task.id;
    shop->validated++;
    return (weir_err)shop->validate_err;
}

static inline weir_err shop_destroy(void *self, void *object, weir_err why)
{
    struct shop *shop = self;
    struct thing *thing = object;
    (void)why;
    if (thing->shop != shop || thing->users != 0) {
        shop->wrong++;
    }
    shop->in_slot[thing->place]--;
    shop->destroyed++;
    free(thing);
    return (weir_err)shop->destroy_err;
}

static inline void shop_cancel(void *self, weir_task task)
{
    struct shop *shop = self;
    (void)task;
    shop->canceled++;
}

static inline void shop_cut(void *self, void *object)
{
    struct shop *shop = self;
    (void)object;
    shop->cut++;
}

static inline void shop_fault(void *self, weir_factory_fault fault, const weir_key *key)
{
    struct shop *shop = self;
    (void)key;
    shop->faults[fault]++;
}

static inline void shop_init(struct shop *shop, uint32_t threads_max)
{
    memset(shop, 0, sizeof *shop);
    shop->factory = (weir_factory){.scheme = "shop",
                                   .threads_max = threads_max,
                                   .create = shop_create,
                                   .destroy = shop_destroy,
                                   .cancel = shop_cancel,
                                   .cut = shop_cut,
                                   .on_fault = shop_fault};
}

static inline void shop_open(struct shop *shop, uint32_t threads_max, uint32_t workers)
{
    weir_runtime_options opt = {.workers = workers, .conns_max = 1000, .seed = 1};
    shop_init(shop, threads_max);
    assert_int_equal(weir_runtime_open(&opt, &shop->runtime), WEIR_OK);
}

static inline weir_shared *shop_pool(struct shop *shop, const weir_pool_options *pool)
{
    weir_shared_options opt = {.factory = &shop->factory, .factory_self = shop};
    weir_shared *shared;
    opt.pool = *pool;
    assert_int_equal(weir_shared_open(shop->runtime, &opt, &shared), WEIR_OK);
    return shared;
}

/* Everything that was made is gone. */
static inline void shop_close(struct shop *shop)
{
    assert_int_equal(weir_runtime_close(shop->runtime, 0), WEIR_OK);
    assert_int_equal(shop->made, shop->destroyed);
    assert_int_equal(shop->wrong, 0);
}

static inline weir_key shop_key(const char *host)
{
    return (weir_key){.scheme = "shop", .host = host, .port = 1};
}

static inline weir_loan shop_take(weir_shared *pool, const char *host)
{
    weir_loan loan = {0};
    weir_key key = shop_key(host);
    assert_int_equal(weir_acquire_wait(pool, &key, NULL, &loan), WEIR_OK);
    assert_non_null(loan.object);
    return loan;
}

/* False: somebody else uses what this loan lent. */
static inline bool shop_use(const weir_loan *loan)
{
    struct thing *thing = loan->object;
    bool is_ours = thing->users++ == 0;
    sched_yield();
    thing->users--;
    return is_ours;
}

/* Runs fn on so many threads, each with its own of the args, until all have ended. */
static inline void shop_crowd(uint32_t threads_count, void *(*fn)(void *arg), void *args,
                              size_t arg_size)
{
    pthread_t threads[256];
    assert_true(threads_count <= sizeof threads / sizeof *threads);
    for (uint32_t i = 0; i < threads_count; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (char *)args + i * arg_size), 0);
    }
    for (uint32_t i = 0; i < threads_count; i++) {
        pthread_join(threads[i], NULL);
    }
}

static inline void shop_give(weir_loan *loan)
{
    assert_int_equal(weir_loan_return(loan, WEIR_KEEP), WEIR_OK);
}

static inline weir_stats shop_stats(weir_shared *pool)
{
    weir_stats stats = {.size = sizeof stats};
    weir_shared_stats(pool, &stats);
    return stats;
}
