/* SPDX-License-Identifier: Apache-2.0
 *
 * Identity: all fields count, and nothing else. And how keys are remembered and forgotten.
 */
#include "core/key.h"

#include "support/fake.h"

#define WHOLE_KEY                                                                                  \
    {                                                                                              \
        .scheme = "https", .host = "api.example.com", .port = 443, .source = "10.0.0.1",           \
        .proxy = "socks5://u:p@127.0.0.1:1080", .tls = "t1", .tenant = "a1"                        \
    }

static struct key *intern(struct fake *fake, weir_key key)
{
    struct key_text text;
    struct key *known = NULL;
    assert_true(key_canonical(fake->pool, &key, &text));
    assert_int_equal(key_intern(fake->pool, &text, &known), WEIR_OK);
    engine_verify(fake->engine);
    return known;
}

static void every_field_counts(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    const weir_key base = WHOLE_KEY;
    struct key *known = intern(fake, base);
    weir_key others[9];
    for (size_t i = 0; i < 9; i++) {
        others[i] = base;
    }
    others[0].scheme = "http";
    others[1].host = "api.example.org";
    others[2].port = 444;
    others[3].source = NULL;
    others[4].proxy = "socks5://u:q@127.0.0.1:1080";
    others[5].tls = "t2";
    others[6].tenant = "A1";
    others[7].source = "10.0.0.1socks5://u:p@127.0.0.1:1080"; /* what one field lends another */
    others[7].proxy = "";
    others[8].tls = "";
    others[8].tenant = "t1a1";
    for (size_t i = 0; i < 9; i++) {
        assert_ptr_not_equal(intern(fake, others[i]), known);
    }
    assert_int_equal(fake->engine->keys.count, 10);
    assert_ptr_equal(intern(fake, base), known);
    fake_free(fake);
}

static void case_and_absence_do_not(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    struct key *known = intern(fake,
                               (weir_key){.scheme = "FAKE", .host = "Api.EXAMPLE.com", .tls = ""});
    assert_ptr_equal(intern(fake, (weir_key){.host = "api.example.com"}), known);
    assert_string_equal(known->view.scheme, "fake");
    assert_string_equal(known->view.host, "api.example.com");
    assert_null(known->view.tls);
    assert_null(known->view.tenant);
    known = intern(fake, (weir_key){.scheme = ""});
    assert_string_equal(known->view.scheme, "");
    assert_string_equal(known->view.host, "");
    fake_free(fake);
}

static void a_hash_is_not_an_identity(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    struct key_text text;
    struct key_text other;
    weir_key a = {.host = "a"};
    weir_key b = {.host = "b"};
    weir_key longer = {.host = "ab"};
    struct key *known = intern(fake, a);
    assert_true(key_canonical(fake->pool, &a, &text));
    assert_ptr_equal(key_find(fake->pool, &text), known);
    assert_true(key_canonical(fake->pool, &b, &other));
    other.hash = text.hash;
    assert_null(key_find(fake->pool, &other));
    assert_true(key_canonical(fake->pool, &longer, &other));
    other.hash = text.hash;
    assert_null(key_find(fake->pool, &other));
    other.hash = text.hash + fake->engine->by_key.mask + 1; /* the same place in the table */
    assert_null(key_find(fake->pool, &other));
    fake_free(fake);
}

/* Capitals of a host are small letters, and nothing else changes, wherever in a host they stand. */
static void hosts_have_no_case(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    char host[32], wanted[32];
    for (size_t len = 1; len < sizeof host; len++) {
        for (int c = 1; c < 256; c++) {
            struct key_text text;
            weir_key key = {.scheme = "", .host = host};
            memset(host, 0, sizeof host);
            memset(host, 'a', len);
            memcpy(wanted, host, sizeof wanted);
            host[len * 7 % len] = host[len - 1] = host[len / 2] = (char)c;
            wanted[len * 7 % len] = wanted[len - 1] = wanted[len / 2] =
                (char)(c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c);
            assert_true(key_canonical(fake->pool, &key, &text));
            assert_string_equal(text.at + 7, wanted); /* behind number, port, and no scheme */
        }
    }
    fake_free(fake);
}

static void a_key_that_is_too_long_is_refused(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    char text[WEIR_KEY_BYTES_MAX + 2];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    weir_key keys[] = {{.scheme = text}, {.host = text}, {.source = text},
                       {.proxy = text},  {.tls = text},  {.tenant = text}};
    weir_lease lease;
    weir_conn conn;
    weir_key_info info;
    struct key *pin;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        assert_int_equal(weir_try_acquire(fake->pool, &keys[i], 0, &lease, NULL), WEIR_EINVAL);
    }
    weir_key *key = &keys[1];
    assert_int_equal(weir_acquire(fake->pool, key, NULL, fake_granted, fake, &lease), WEIR_EINVAL);
    assert_int_equal(weir_admit(fake->pool, key, NULL, NULL, &conn), WEIR_EINVAL);
    assert_int_equal(weir_pool_key_of(fake->pool, key, &info), WEIR_EINVAL);
    assert_int_equal(pool_key_pin(fake->pool, key, &pin), WEIR_EINVAL);
    weir_pool_flush(fake->pool, key, 0);
    assert_true(weir_pool_explain(fake->pool, key, NULL, 0) > 0);
    text[WEIR_KEY_BYTES_MAX - 6 - 6 - 4] = '\0'; /* number, port, five NULs and "fake" less */
    assert_int_equal(pool_key_pin(fake->pool, key, &pin), WEIR_OK);
    fake_free(fake);
}

/* Long ones that differ in their last byte alone. */
static void a_long_key_is_an_identity_to_its_last_byte(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    char text[WEIR_KEY_BYTES_MAX];
    for (size_t len = 100; len < sizeof text - 20; len += 97) {
        memset(text, 'x', len);
        text[len] = '\0';
        struct key *known = intern(fake, (weir_key){.tenant = text});
        text[len - 1] = 'y';
        assert_ptr_not_equal(intern(fake, (weir_key){.tenant = text}), known);
        assert_int_equal(strlen(known->view.tenant), len);
    }
    fake_free(fake);
}

static void who_leaves_an_endpoint_out_may_tell(void **state)
{
    (void)state;
    struct fake *fake = fake_open(NULL, NULL);
    struct key *pin;
    weir_key a = fake_key("a");
    assert_int_equal(pool_key_pin(fake->pool, &a, &pin), WEIR_OK);
    pool_key_tell_ejected(pin, true);
    pool_key_tell_ejected(pin, false);
    fake_expect(fake, "endpoint_ejected endpoint_returned");
    fake_free(fake);
}

static void the_longest_unused_is_forgotten_first(void **state)
{
    (void)state;
    weir_engine_options engine = {.keys_max = 3};
    struct fake *fake = fake_open(NULL, &engine);
    weir_key_info info;
    weir_key a = fake_key("a");
    weir_key b = fake_key("b");
    weir_key c = fake_key("c");
    weir_key d = fake_key("d");
    weir_lease held = fake_lease_up(fake, "a");
    intern(fake, b);
    intern(fake, c);
    intern(fake, d); /* for b */
    assert_int_equal(weir_pool_key_of(fake->pool, &b, &info), WEIR_EAGAIN);
    assert_int_equal(weir_pool_key_of(fake->pool, &a, &info), WEIR_OK);
    assert_int_equal(weir_pool_key_of(fake->pool, &c, &info), WEIR_OK);
    struct key *pins[2];
    assert_int_equal(pool_key_pin(fake->pool, &c, &pins[0]), WEIR_OK);
    assert_int_equal(pool_key_pin(fake->pool, &d, &pins[1]), WEIR_OK);
    weir_lease lease;
    weir_conn conn;
    assert_int_equal(weir_acquire(fake->pool, &b, NULL, fake_granted, fake, &lease), WEIR_EKEYS);
    assert_int_equal(weir_admit(fake->pool, &b, NULL, NULL, &conn), WEIR_EKEYS);
    pool_key_unpin(fake->pool, pins[0]);
    fake_acquire(fake, "b");
    fake_expect(fake, "pool_limit_reached dial2");
    fake_release(fake, held, WEIR_KEEP);
    fake_free(fake);
}

static void texts_have_room_of_their_own(void **state)
{
    (void)state;
    weir_engine_options engine = {.key_bytes_max = 8192};
    struct fake *fake = fake_open(NULL, &engine);
    struct key *pins[8192 / 32];
    char host[32];
    unsigned known = 0;
    for (weir_err err = WEIR_OK; err == WEIR_OK;) {
        snprintf(host, sizeof host, "host-%u", known);
        weir_key key = fake_key(host);
        err = pool_key_pin(fake->pool, &key, &pins[known]);
        known += err == WEIR_OK;
        assert_true(err == WEIR_OK || err == WEIR_EKEYS);
    }
    assert_int_equal(known, 8192 / 32);
    pool_key_unpin(fake->pool, pins[5]);
    intern(fake, fake_key("host-x"));
    engine_verify(fake->engine);
    fake_free(fake);
}

static void unused_keys_are_forgotten_in_time(void **state)
{
    (void)state;
    weir_pool_options opt = {.key_idle_ms = 100};
    weir_pool_options forever = {.key_idle_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    intern(fake, fake_key("a"));
    fake_wait(fake, 99);
    assert_int_equal(fake->engine->keys.count, 1);
    fake_wait(fake, 1);
    assert_int_equal(fake->engine->keys.count, 0);
    fake_free(fake);
    fake = fake_open(&forever, NULL);
    intern(fake, fake_key("a"));
    fake_wait(fake, 100000000);
    assert_int_equal(fake->engine->keys.count, 1);
    fake_free(fake);
}

static void shows(weir_key key, const char *wanted)
{
    char text[200];
    assert_int_equal(weir_key_text(&key, text, sizeof text), strlen(wanted));
    assert_string_equal(text, wanted);
}

static void is_shown_without_its_secrets(void **state)
{
    (void)state;
    shows((weir_key){0}, "");
    shows((weir_key){.scheme = "http", .host = "h"}, "http://h");
    shows((weir_key){.scheme = "http", .host = "h", .port = 80, .tenant = ""}, "http://h:80");
    shows((weir_key){.scheme = "http", .host = "::1", .port = 80}, "http://[::1]:80");
    shows((weir_key){.host = "h", .proxy = "", .tls = "fp"}, "h?tls=fp");
    shows((weir_key){.host = "h", .proxy = "http://p:8"}, "h?proxy=http://p:8");
    shows((weir_key){.host = "h", .proxy = "u:s@p"}, "h?proxy=u:***@p");
    shows((weir_key){.host = "h", .proxy = "http://u@p:8"}, "h?proxy=http://u@p:8");
    shows((weir_key)WHOLE_KEY, "https://a1@api.example.com:443"
                               "?proxy=socks5://u:***@127.0.0.1:1080&tls=t1&source=10.0.0.1");
    char small[6];
    weir_key key = {.scheme = "http", .host = "host"};
    assert_int_equal(weir_key_text(&key, small, sizeof small), 11);
    assert_string_equal(small, "http:");
    assert_int_equal(weir_key_text(&key, NULL, 0), 11);
}

/* Apart from what came before. */
static bool hang_up(struct fake *fake, struct key *key, uint64_t idle_ms)
{
    fake_wait(fake, 2000);
    return key_learn_hangup(key, idle_ms);
}

static void learns_how_long_a_peer_waits(void **state)
{
    (void)state;
    weir_pool_options opt = {.idle_timeout_ms = 300000, .key_idle_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    struct key *key = intern(fake, fake_key("a"));
    assert_false(hang_up(fake, key, 10000));
    assert_false(hang_up(fake, key, 10000));
    assert_true(hang_up(fake, key, 10000));
    assert_in_range(key->horizon_ms, 5000, 10000);
    for (int i = 0; i < 300; i++) {
        assert_false(hang_up(fake, key, 10000));
    }
    hang_up(fake, key, 0);
    hang_up(fake, key, UINT64_MAX / 2);
    assert_in_range(key->horizon_ms, 5000, 10000);
    fake_free(fake);
}

static void hangups_at_once_are_one(void **state)
{
    (void)state;
    weir_pool_options opt = {.key_idle_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    struct key *key = intern(fake, fake_key("a"));
    for (int restart = 0; restart < 2; restart++) {
        hang_up(fake, key, 300);
        for (int i = 0; i < 20; i++) {
            assert_false(key_learn_hangup(key, 300));
        }
    }
    assert_int_equal(key->horizon_ms, WEIR_NEVER);
    fake_free(fake);
}

static void forgets_what_it_learned_long_ago(void **state)
{
    (void)state;
    weir_pool_options opt = {.key_idle_ms = WEIR_NEVER};
    struct fake *fake = fake_open(&opt, NULL);
    struct key *key = intern(fake, fake_key("a"));
    uint64_t begun_ms = (weir_engine_now(fake->engine) + 2000) / 1000 * 1000;
    for (int i = 0; i < 3; i++) {
        hang_up(fake, key, 10000);
    }
    assert_int_equal(key_horizon_ms(key, begun_ms + 3599999), 8000);
    assert_int_equal(key_horizon_ms(key, begun_ms + 3600000), WEIR_NEVER);
    fake_wait(fake, 3600000);
    assert_false(hang_up(fake, key, 10000));
    assert_int_equal(key->horizon_ms, WEIR_NEVER);
    fake_free(fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_counts),
        cmocka_unit_test(case_and_absence_do_not),
        cmocka_unit_test(a_hash_is_not_an_identity),
        cmocka_unit_test(hosts_have_no_case),
        cmocka_unit_test(a_key_that_is_too_long_is_refused),
        cmocka_unit_test(a_long_key_is_an_identity_to_its_last_byte),
        cmocka_unit_test(who_leaves_an_endpoint_out_may_tell),
        cmocka_unit_test(the_longest_unused_is_forgotten_first),
        cmocka_unit_test(texts_have_room_of_their_own),
        cmocka_unit_test(unused_keys_are_forgotten_in_time),
        cmocka_unit_test(is_shown_without_its_secrets),
        cmocka_unit_test(learns_how_long_a_peer_waits),
        cmocka_unit_test(hangups_at_once_are_one),
        cmocka_unit_test(forgets_what_it_learned_long_ago),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
