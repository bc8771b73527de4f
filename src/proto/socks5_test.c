/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/socks5.h"

#include "support/unit.h"

#include <string.h>

static const struct socks5_target plain = {.host = SLICE("example.org"), .port = 443};
static const struct socks5_target named = {.host = SLICE("example.org"),
                                           .port = 443,
                                           .user = SLICE("me"),
                                           .password = SLICE("secret")};

static void expect_said(struct socks5 *socks, const char *bytes, size_t len)
{
    char said[SOCKS5_STEP_MAX];
    assert_int_equal(socks5_say(socks, said), len);
    assert_memory_equal(said, bytes, len);
    assert_int_equal(socks5_say(socks, said), 0);
}
#define SAYS(socks, literal) expect_said((socks), (literal), sizeof(literal) - 1)

/* Gives bytes as a careful reader does, `step` at most and never more than is wanted; returns how
 * many were taken. */
static size_t hear(struct socks5 *socks, const char *bytes, size_t len, size_t step)
{
    size_t at = 0;
    while (at < len && socks5_wanted(socks) > 0) {
        size_t wanted = socks5_wanted(socks);
        size_t give = len - at < step ? len - at : step;
        give = give < wanted ? give : wanted;
        socks5_hear(socks, bytes + at, give);
        at += give;
    }
    return at;
}
#define HEARS(socks, literal, step) hear((socks), (literal), sizeof(literal) - 1, (step))

static void without_authentication(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        struct socks5 socks;
        assert_true(socks5_begin(&socks, &plain));
        SAYS(&socks, "\5\1\0");
        HEARS(&socks, "\5\0", step);
        SAYS(&socks, "\5\1\0\3\xb"
                     "example.org\x01\xbb");
        /* The tunnel's first bytes come with the reply, and stay. */
        assert_int_equal(HEARS(&socks, "\5\0\0\1\x7f\0\0\1\x04\x38SSH-2.0", step), 10);
        assert_int_equal(socks.state, SOCKS5_OPEN);
        assert_int_equal(socks5_wanted(&socks), 0);
    }
}

static void with_user_and_password(void **state)
{
    (void)state;
    struct socks5 socks;
    assert_true(socks5_begin(&socks, &named));
    SAYS(&socks, "\5\2\0\2");
    HEARS(&socks, "\5\2", 1);
    SAYS(&socks, "\1\2me\6secret");
    HEARS(&socks, "\1\0", 1);
    SAYS(&socks, "\5\1\0\3\xb"
                 "example.org\x01\xbb");
    HEARS(&socks, "\5\0\0\3\4host\0\0", 1);
    assert_int_equal(socks.state, SOCKS5_OPEN);
    /* A proxy that wants none gets none. */
    assert_true(socks5_begin(&socks, &named));
    SAYS(&socks, "\5\2\0\2");
    HEARS(&socks, "\5\0", 1);
    assert_int_equal(socks.state, SOCKS5_REQUEST);
}

static void addresses_go_as_addresses(void **state)
{
    (void)state;
    struct socks5 socks;
    struct socks5_target target = {.host = SLICE("192.0.2.7"), .port = 80};
    assert_true(socks5_begin(&socks, &target));
    SAYS(&socks, "\5\1\0");
    HEARS(&socks, "\5\0", 2);
    SAYS(&socks, "\5\1\0\1\xc0\0\2\7\0\x50");
    target.host = SLICE("2001:db8::1");
    assert_true(socks5_begin(&socks, &target));
    SAYS(&socks, "\5\1\0");
    HEARS(&socks, "\5\0", 2);
    SAYS(&socks, "\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\x50");
    HEARS(&socks,
          "\5\0\0\4"
          "0123456789abcdef\0\0",
          3);
    assert_int_equal(socks.state, SOCKS5_OPEN);
}

static enum socks5_error fails_with(const struct socks5_target *target, const char *bytes,
                                    size_t len)
{
    struct socks5 socks;
    char said[SOCKS5_STEP_MAX];
    assert_true(socks5_begin(&socks, target));
    size_t at = 0;
    while (at < len && socks5_wanted(&socks) > 0) {
        socks5_say(&socks, said);
        at += hear(&socks, bytes + at, 1, 1);
    }
    assert_int_equal(socks.state, SOCKS5_FAILED);
    assert_int_equal(socks5_wanted(&socks), 0);
    assert_int_equal(socks5_say(&socks, said), 0);
    return socks.error;
}
#define FAILS(target, literal) fails_with((target), (literal), sizeof(literal) - 1)

static void failures(void **state)
{
    (void)state;
    assert_int_equal(FAILS(&plain, "\4\0"), SOCKS5_BAD_VERSION);
    assert_int_equal(FAILS(&plain, "HTTP/1.1"), SOCKS5_BAD_VERSION);
    assert_int_equal(FAILS(&plain, "\5\xff"), SOCKS5_BAD_METHOD);
    assert_int_equal(FAILS(&plain, "\5\2"), SOCKS5_BAD_METHOD); /* was not offered */
    assert_int_equal(FAILS(&named, "\5\1"), SOCKS5_BAD_METHOD); /* GSSAPI */
    assert_int_equal(FAILS(&named, "\5\2\1\1"), SOCKS5_BAD_AUTH);
    assert_int_equal(FAILS(&named, "\5\2\5\0"), SOCKS5_BAD_VERSION);
    assert_int_equal(FAILS(&plain, "\5\0\4\0\0\1\0"), SOCKS5_BAD_VERSION);
    assert_int_equal(FAILS(&plain, "\5\0\5\0\0\2\0"), SOCKS5_BAD_BOUND);
    assert_int_equal(FAILS(&plain, "\5\0\5\x9\0\1\0"), SOCKS5_BAD_REPLY);
    for (uint8_t code = 1; code <= 8; code++) {
        char reply[] = {5, 0, 5, (char)code, 0, 1, 0};
        enum socks5_error error = fails_with(&plain, reply, sizeof reply);
        assert_int_equal(error, SOCKS5_BAD_REFUSED + code - 1);
        assert_true(strlen(socks5_error_text(error)) > 0);
    }
}

/* RFC 1928 §4: a length is one byte. */
static void what_cannot_be_said(void **state)
{
    (void)state;
    char text[SOCKS5_TEXT_MAX + 1];
    memset(text, 'x', sizeof text);
    struct slice longest = {text, SOCKS5_TEXT_MAX};
    struct slice too_long = {text, SOCKS5_TEXT_MAX + 1};
    struct socks5 socks;
    struct socks5_target target = {
        .host = longest, .port = 1, .user = longest, .password = longest};
    char said[SOCKS5_STEP_MAX];
    assert_true(socks5_begin(&socks, &target));
    socks5_say(&socks, said);
    HEARS(&socks, "\5\2", 2);
    assert_int_equal(socks5_say(&socks, said), SOCKS5_STEP_MAX);
    HEARS(&socks, "\1\0", 2);
    assert_int_equal(socks5_say(&socks, said), 4 + 1 + SOCKS5_TEXT_MAX + 2);
    target.host = too_long;
    assert_false(socks5_begin(&socks, &target));
    target.host = SLICE("");
    assert_false(socks5_begin(&socks, &target));
    target.host = SLICE("a\0b");
    assert_false(socks5_begin(&socks, &target));
    target.host = longest;
    target.user = too_long;
    assert_false(socks5_begin(&socks, &target));
    target.user = SLICE("");
    assert_false(socks5_begin(&socks, &target)); /* a password without a user */
    target.user = longest;
    target.password = SLICE("");
    assert_false(socks5_begin(&socks, &target));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_authentication),    cmocka_unit_test(with_user_and_password),
        cmocka_unit_test(addresses_go_as_addresses), cmocka_unit_test(failures),
        cmocka_unit_test(what_cannot_be_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
