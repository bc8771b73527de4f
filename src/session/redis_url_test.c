/* SPDX-License-Identifier: Apache-2.0 */
#include "session/redis_url.h"

#include "support/unit.h"

static void urls_are_read(void **state)
{
    (void)state;
    static struct redis_url url;
    assert_true(redis_url_parse("redis://cache.example", &url));
    assert_string_equal(url.host, "cache.example");
    assert_true(url.port == 6379 && !url.has_port && !url.is_tls && url.database == 0);
    assert_true(url.user == NULL && url.password == NULL);
    assert_true(redis_url_parse("rediss://ann:p%40ss%3a@10.0.0.7:7000/12", &url));
    assert_string_equal(url.host, "10.0.0.7");
    assert_string_equal(url.user, "ann");
    assert_string_equal(url.password, "p@ss:");
    assert_true(url.is_tls && url.port == 7000 && url.has_port && url.database == 12);
    assert_true(redis_url_parse("redis://:a@b@[::1]:1/", &url));
    assert_string_equal(url.host, "::1");
    assert_string_equal(url.password, "a@b");
    assert_true(url.user == NULL && url.port == 1);
    assert_true(redis_url_parse("redis://[fe80::1]", &url));
    assert_string_equal(url.host, "fe80::1");
}

static void what_is_none_is_refused(void **state)
{
    (void)state;
    static struct redis_url url;
    static const char *const bad[] = {"",
                                      "redis:/x",
                                      "http://x",
                                      "redis://",
                                      "redis://:6379",
                                      "redis://h:0",
                                      "redis://h:65536",
                                      "redis://h:6379x",
                                      "redis://h/x",
                                      "redis://h/65536",
                                      "redis://h/1/2",
                                      "redis://user@h",
                                      "redis://user:@h",
                                      "redis://u:%4@h",
                                      "redis://u:%zz@h",
                                      "redis://u:%00@h",
                                      "redis://%zz:p@h",
                                      "redis://[::1",
                                      "redis://[::1]x",
                                      "redis://a b",
                                      "redis://h,i",
                                      "redis://h?x=1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (redis_url_parse(bad[i], &url)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    static char longer[REDIS_URL_MAX + 32];
    memset(longer, 'h', sizeof longer - 1);
    memcpy(longer, "redis://", 8);
    assert_false(redis_url_parse(longer, &url));
}

static void sentinels_are_read(void **state)
{
    (void)state;
    static struct redis_hosts_url url;
    assert_true(redis_hosts_url_parse("redis://s1", REDIS_SENTINEL_PORT, &url));
    assert_true(url.count == 1 && !url.is_tls && url.at[0].port == 26379);
    assert_string_equal(url.at[0].host, "s1");
    assert_true(redis_hosts_url_parse("rediss://u:p%2c@s1,10.0.0.7:7000,[::1]:1",
                                      REDIS_SENTINEL_PORT, &url));
    assert_true(url.count == 3 && url.is_tls);
    assert_string_equal(url.user, "u");
    assert_string_equal(url.password, "p,");
    assert_string_equal(url.at[1].host, "10.0.0.7");
    assert_int_equal(url.at[1].port, 7000);
    assert_string_equal(url.at[2].host, "::1");
    assert_int_equal(url.at[2].port, 1);
    assert_true(redis_hosts_url_parse("redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p",
                                      REDIS_SENTINEL_PORT, &url));
    assert_int_equal(url.count, REDIS_HOSTS_MAX);
    assert_false(redis_hosts_url_parse("redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
                                       REDIS_SENTINEL_PORT, &url));
    static const char *const bad[] = {"",
                                      "s1",
                                      "redis://",
                                      "redis://,a",
                                      "redis://a,",
                                      "redis://a,,b",
                                      "redis://a/0",
                                      "redis://a:0,b",
                                      "redis://u@a",
                                      "redis://a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (redis_hosts_url_parse(bad[i], REDIS_SENTINEL_PORT, &url)) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(what_is_none_is_refused),
        cmocka_unit_test(sentinels_are_read),
    };
    return cmocka_run_group_tests_name("redis_url", tests, NULL, NULL);
}
