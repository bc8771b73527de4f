/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/proxy_protocol.h"

#include "support/unit.h"

#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

/* The verdict on all of the bytes; every shorter part of a good one needs more. */
static ssize_t read_growing(const char *bytes, size_t len, struct proxy_header *ret)
{
    ssize_t said = 0;
    for (size_t shown = 0; shown <= len && said == 0; shown++) {
        said = proxy_header_read(bytes, shown, ret);
        assert_true(said <= 0 || (size_t)said == shown);
    }
    return said;
}
#define READ(literal, ret) read_growing((literal), sizeof(literal) - 1, (ret))

static void lines(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(READ("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", &header), 45);
    assert_int_equal(header.family, PROXY_IPV4);
    assert_memory_equal(header.from.address, "\xc0\0\2\1", 4);
    assert_memory_equal(header.to.address, "\xc6\x33\x64\7", 4);
    assert_int_equal(header.from.port, 56324);
    assert_int_equal(header.to.port, 443);
    assert_true(READ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", &header) > 0);
    assert_int_equal(header.family, PROXY_IPV6);
    assert_int_equal(header.from.address[15], 1);
    assert_int_equal(header.to.port, 65535);
    assert_true(READ("PROXY UNKNOWN\r\n", &header) > 0);
    assert_int_equal(header.family, PROXY_LOCAL);
    assert_true(READ("PROXY UNKNOWN ffff:f... whatever 1 2\r\n", &header) > 0);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        "PROXY TCP5 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 ::1 ::1 56324 443\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 0443 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 -1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n",
    };
    struct proxy_header header;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(read_growing(wrong[i], strlen(wrong[i]), &header), -1);
    }
    static const char nul[] = "PROXY TCP4 192.0.2.1\0 198.51.100.7 1 2\r\n";
    assert_int_equal(read_growing(nul, sizeof nul - 1, &header), -1);
    char line[108]; /* one byte longer than a line may be */
    memset(line, 'x', sizeof line);
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + sizeof line - 2, "\r\n", 2);
    assert_int_equal(read_growing(line, sizeof line, &header), -1);
}

static void binary(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(
        READ(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\7\xdc\x04\x01\xbb", &header), 28);
    assert_int_equal(header.family, PROXY_IPV4);
    assert_memory_equal(header.from.address, "\xc0\0\2\1", 4);
    assert_int_equal(header.from.port, 56324);
    /* With a TLV behind the addresses, which is passed over. */
    assert_int_equal(
        READ(SIGNATURE "\x21\x11\0\x10\xc0\0\2\1\xc6\x33\x64\7\xdc\x04\x01\xbb\4\0\1x", &header),
        32);
    assert_int_equal(READ(SIGNATURE "\x20\0\0\0", &header), 16);
    assert_int_equal(header.family, PROXY_LOCAL);
    assert_int_equal(READ(SIGNATURE "\x21\x31\0\1x", &header), 17); /* unix */
    assert_int_equal(header.family, PROXY_LOCAL);
}

static void binary_that_is_none(void **state)
{
    (void)state;
    struct proxy_header header;
    assert_int_equal(READ("\r\n\r\n\1", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x11\x11\0\x0c", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x22\x11\0\x0c", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x21\x11\0\x0b", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x21\x21\0\x23", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x20\0\xff\xff", &header), -1);
    assert_int_equal(READ(SIGNATURE "\x20\0\2\x09", &header), -1); /* one more than the maximum */
}

static void written_is_read(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        for (int family = PROXY_LOCAL; family <= PROXY_IPV6; family++) {
            struct proxy_header header = {.family = (enum proxy_family)family};
            size_t size = family == PROXY_IPV6 ? 16 : family == PROXY_IPV4 ? 4 : 0;
            if (size > 0) {
                memset(header.from.address, 0xfe, size);
                memset(header.to.address, 0xfd, size);
                header.from.port = 65535;
                header.to.port = 65534;
            }
            char bytes[PROXY_WRITTEN_MAX];
            size_t len = proxy_header_write(&header, version, bytes);
            struct proxy_header again = {.family = PROXY_LOCAL};
            assert_true(len <= PROXY_WRITTEN_MAX);
            assert_int_equal(read_growing(bytes, len, &again), len);
            assert_memory_equal(&again, &header, sizeof header);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),           cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(binary),          cmocka_unit_test(binary_that_is_none),
        cmocka_unit_test(written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
