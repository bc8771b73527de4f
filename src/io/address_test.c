/* SPDX-License-Identifier: Apache-2.0 */
#include "io/address.h"

#include "support/unit.h"

#include <string.h>

static void expect(const char *host, uint16_t port, const char *text, const char *host_text)
{
    struct address address;
    char print[ADDRESS_TEXT_MAX];
    assert_true(address_of_host(host, port, &address));
    assert_true(address_is_ip(&address));
    assert_int_equal(address_port(&address), port);
    assert_string_equal(address_print(&address, print), text);
    assert_string_equal(address_print_host(&address, print), host_text);
}

static void addresses_read_and_print(void **state)
{
    (void)state;
    expect("127.0.0.1", 80, "127.0.0.1:80", "127.0.0.1");
    expect("::1", 65535, "[::1]:65535", "::1");
    expect("", 1, "0.0.0.0:1", "0.0.0.0");
    expect("2001:db8:0:0::1", 0, "[2001:db8::1]:0", "2001:db8::1");
    expect("::ffff:192.0.2.7", 9, "192.0.2.7:9", "192.0.2.7"); /* IPv4 in disguise */
}

static void names_are_no_addresses(void **state)
{
    (void)state;
    struct address address;
    const char *const bad[] = {"localhost",  "127.1",     "1.2.3.4.5", "[::1]",     "127.0.0.1 ",
                               "0x7f.0.0.1", "256.0.0.1", ":::",       "1.2.3.4:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(address_of_host(bad[i], 80, &address));
    }
}

static void ipv4_is_mapped(void **state)
{
    (void)state;
    static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    struct ip ip;
    uint8_t mapped[16];
    assert_true(ip_parse("192.0.2.7", &ip));
    ip_map(&ip, mapped);
    assert_memory_equal(mapped, v4, sizeof v4);
    assert_true(ip_parse("2001:db8::1", &ip));
    ip_map(&ip, mapped);
    assert_memory_equal(mapped, v6, sizeof v6);
}

static void unix_paths_are_addresses(void **state)
{
    (void)state;
    struct address address;
    char print[ADDRESS_TEXT_MAX], path[120];
    struct ip ip;
    assert_true(address_of_unix("/run/weir.sock", &address));
    assert_false(address_is_ip(&address));
    assert_false(address_ip(&address, &ip));
    assert_int_equal(address_port(&address), 0);
    assert_string_equal(address_print(&address, print), "unix:/run/weir.sock");
    assert_string_equal(address_print_host(&address, print), "unix");
    memset(path, 'p', sizeof path);
    path[107] = '\0';
    assert_true(address_of_unix(path, &address));
    assert_int_equal(strlen(address_print(&address, print)), 5 + 107);
    path[107] = 'p';
    path[108] = '\0';
    assert_false(address_of_unix(path, &address));
    assert_false(address_of_unix("", &address));
}

static void odd_addresses_print_too(void **state)
{
    (void)state;
    struct address address = {0};
    char print[ADDRESS_TEXT_MAX];
    assert_string_equal(address_print(&address, print), "");
    assert_string_equal(address_print_host(&address, print), "");
    address.any.sa_family = AF_UNIX;
    address.len = offsetof(struct sockaddr_un, sun_path); /* a client without a name */
    assert_string_equal(address_print(&address, print), "unix:");
    memcpy(address.local.sun_path, "\0abstract", 9);
    address.len += 9;
    assert_string_equal(address_print(&address, print), "unix:@abstract");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_read_and_print), cmocka_unit_test(names_are_no_addresses),
        cmocka_unit_test(ipv4_is_mapped),           cmocka_unit_test(unix_paths_are_addresses),
        cmocka_unit_test(odd_addresses_print_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
