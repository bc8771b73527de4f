/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/client_keys.h"

#include "support/unit.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)
#define NOW    (7 * SECOND)

static struct config_client rows[1024];
static char names[1024][16];
static struct config config;
static struct client_keys *keys;
static struct client_digester digester;

static void open_with(uint32_t count, uint32_t concurrent, uint32_t rate, uint32_t per_s)
{
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        snprintf(names[i], sizeof names[i], "team-%u", i);
        int len = snprintf(key, sizeof key, "key-%u", i);
        rows[i] = (struct config_client){
            .name = names[i], .concurrent = concurrent, .rate = {rate, per_s}};
        assert_int_equal(EVP_Digest(key, (size_t)len, rows[i].sha256.at, NULL, EVP_sha256(), NULL),
                         1);
    }
    config.sessions.redis.url = "";
    config.clients.at = rows;
    config.clients.count = count;
    assert_int_equal(client_keys_new(&config, NULL, &keys), 0);
}

static uint32_t find(const char *key)
{
    return client_keys_find(keys, &digester, slice_of(key));
}

static void a_key_is_somebodys_or_nobodys(void **state)
{
    (void)state;
    static char long_key[CLIENT_KEY_MAX + 2];
    static const uint32_t counts[] = {1, 2, 3, 1024};
    memset(long_key, 'k', sizeof long_key - 1);
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        open_with(counts[c], 0, 0, 1);
        assert_int_equal(client_keys_count(keys), counts[c]);
        for (uint32_t i = 0; i < counts[c]; i++) {
            char key[16];
            snprintf(key, sizeof key, "key-%u", i);
            assert_int_equal(find(key), i);
            assert_string_equal(client_keys_name(keys, i), names[i]);
        }
        assert_int_equal(find("key-1024"), CLIENT_NOBODY);
        assert_int_equal(find("key-"), CLIENT_NOBODY);
        assert_int_equal(find(""), CLIENT_NOBODY);
        assert_int_equal(find(long_key), CLIENT_NOBODY);
        client_keys_free(keys);
    }
}

static void a_long_key_is_one(void **state)
{
    (void)state;
    static char key[CLIENT_KEY_MAX + 1];
    memset(key, 'k', CLIENT_KEY_MAX);
    open_with(1, 0, 0, 1);
    assert_int_equal(EVP_Digest(key, CLIENT_KEY_MAX, rows[0].sha256.at, NULL, EVP_sha256(), NULL),
                     1);
    client_keys_free(keys);
    assert_int_equal(client_keys_new(&config, NULL, &keys), 0);
    assert_int_equal(find(key), 0);
    client_keys_free(keys);
}

/* What scopes a conversation is the same wherever the client stands in the list. */
static void hashes_are_of_names(void **state)
{
    (void)state;
    open_with(2, 0, 0, 1);
    uint64_t first = client_keys_hash(keys, 0), second = client_keys_hash(keys, 1);
    assert_true(first != second);
    client_keys_free(keys);
    rows[1].name = names[0];
    rows[0].name = names[1];
    assert_int_equal(client_keys_new(&config, NULL, &keys), 0);
    assert_true(client_keys_hash(keys, 1) == first && client_keys_hash(keys, 0) == second);
    client_keys_free(keys);
}

static void so_many_are_open_at_a_time(void **state)
{
    (void)state;
    struct client_info info;
    open_with(2, 2, 0, 1);
    assert_true(client_keys_enter(keys, 0, false) && client_keys_enter(keys, 0, false));
    assert_false(client_keys_enter(keys, 0, false));
    assert_true(client_keys_enter(keys, 1, false)); /* is another one */
    assert_true(client_keys_wait(keys, 0, 2) && client_keys_wait(keys, 0, 2));
    assert_false(client_keys_wait(keys, 0, 2));
    assert_true(client_keys_wait(keys, 1, 2));
    client_keys_info_of(keys, 0, &info);
    assert_int_equal(info.open, 2);
    assert_int_equal(info.waiting, 2);
    client_keys_leave(keys, 0);
    assert_false(client_keys_enter(keys, 0, false)); /* two wait for that place */
    assert_true(client_keys_enter(keys, 0, true));
    client_keys_wait_over(keys, 0, false);
    client_keys_wait_over(keys, 0, true);
    client_keys_used(keys, 0, &(struct ai_usage_said){{1, 2, 3, 4}});
    client_keys_used(keys, 0, &(struct ai_usage_said){{10, 20, 30, 40}});
    client_keys_info_of(keys, 0, &info);
    assert_int_equal(info.open, 2);
    assert_int_equal(info.waiting, 0);
    assert_int_equal(info.entered, 3);
    assert_int_equal(info.full, 2);
    assert_int_equal(info.tokens[AI_TOKENS_INPUT], 11);
    assert_int_equal(info.tokens[AI_TOKENS_CACHE_WRITE], 44);
    client_keys_free(keys);
}

static void without_a_limit_all_enter(void **state)
{
    (void)state;
    open_with(1, 0, 0, 1);
    for (int i = 0; i < 1000; i++) {
        assert_true(client_keys_enter(keys, 0, false));
        assert_int_equal(client_keys_pace(keys, 0, NOW), 0);
    }
    client_keys_free(keys);
}

static void so_many_come_in_their_time(void **state)
{
    (void)state;
    struct client_info info;
    open_with(1, 1, 10, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(client_keys_pace(keys, 0, NOW), 0);
    }
    assert_int_equal(client_keys_pace(keys, 0, NOW), 100);
    assert_int_equal(client_keys_pace(keys, 0, NOW + SECOND / 10 - 1), 1);
    assert_int_equal(client_keys_pace(keys, 0, NOW + SECOND / 10), 0); /* one, and no more */
    assert_int_equal(client_keys_pace(keys, 0, NOW + SECOND / 10), 100);
    /* Time that passed without it is not saved up. */
    for (int i = 0; i < 10; i++) {
        assert_int_equal(client_keys_pace(keys, 0, NOW + 100 * SECOND), 0);
    }
    assert_int_equal(client_keys_pace(keys, 0, NOW + 100 * SECOND), 100);
    client_keys_info_of(keys, 0, &info);
    assert_int_equal(info.fast, 4);
    client_keys_free(keys);
}

static void one_in_an_hour(void **state)
{
    (void)state;
    open_with(1, 0, 1, 3600);
    assert_int_equal(client_keys_pace(keys, 0, NOW), 0);
    assert_int_equal(client_keys_pace(keys, 0, NOW + 1), 3600000);
    assert_int_equal(client_keys_pace(keys, 0, NOW + 3600 * SECOND), 0);
    client_keys_free(keys);
}

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3, RATE = 5000 };
static _Atomic uint32_t inside, most, in_time;

static void *work(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        in_time += client_keys_pace(keys, 0, NOW) == 0;
        if (client_keys_enter(keys, 0, false)) {
            uint32_t now = ++inside, seen = most;
            while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now)) {
            }
            inside--;
            client_keys_leave(keys, 0);
        }
        if (client_keys_wait(keys, 0, 2)) {
            client_keys_wait_over(keys, 0, false);
        }
    }
    return arg;
}

static void workers_count_together(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    struct client_info info;
    open_with(1, PLACES, RATE, 1);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    client_keys_info_of(keys, 0, &info);
    assert_in_range(most, 1, PLACES);
    assert_int_equal(in_time, RATE);
    assert_int_equal(info.open + info.waiting, 0);
    assert_int_equal(info.fast, THREADS * ROUNDS - RATE);
    client_keys_free(keys);
}

static void strangers_are_counted(void **state)
{
    (void)state;
    open_with(1, 0, 0, 1);
    client_keys_count_stranger(keys, true);
    client_keys_count_stranger(keys, true);
    client_keys_count_stranger(keys, false);
    assert_int_equal(client_keys_strangers(keys, true), 2);
    assert_int_equal(client_keys_strangers(keys, false), 1);
    client_keys_free(keys);
}

static int open_it(void **state)
{
    (void)state;
    return client_digester_init(&digester);
}

static int close_it(void **state)
{
    (void)state;
    client_digester_fini(&digester);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_somebodys_or_nobodys),
        cmocka_unit_test(a_long_key_is_one),
        cmocka_unit_test(hashes_are_of_names),
        cmocka_unit_test(so_many_are_open_at_a_time),
        cmocka_unit_test(without_a_limit_all_enter),
        cmocka_unit_test(so_many_come_in_their_time),
        cmocka_unit_test(one_in_an_hour),
        cmocka_unit_test(workers_count_together),
        cmocka_unit_test(strangers_are_counted),
    };
    return cmocka_run_group_tests_name("gateway/client_keys", tests, open_it, close_it);
}
