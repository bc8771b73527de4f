/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/reload_rules.h"

#include "gateway/engine_room.h"
#include "gateway/generation.h"
#include "gateway/server.h"
#include "listener/accept.h"
#include "support/configured.h"

#include <string.h>

#define WEB "name: web, address: \"127.0.0.1:8080\""
#define REDIS                                                                                      \
    "sessions: {secret: 0123456789abcdef0123456789abcdef, redis: {url: \"redis://127.0.0.1:1\"}}\n"
#define CLIENT                                                                                     \
    "clients: [{name: c, sha256: "                                                                 \
    "0000000000000000000000000000000000000000000000000000000000000001}]\n"
#define UP   "upstreams: [{name: up, endpoints: [{url: \"http://127.0.0.1:1\"}]}]\n"
#define BASE "listeners: [{" WEB "}]\n" UP

#define VIA(name, most)                                                                            \
    "listeners: [{" WEB "}]\nupstreams: [{name: " name ", proxy: \"socks5://127.0.0.1:2\", "       \
    "proxy_limits: {max_connections: " most "}, endpoints: [{url: \"http://127.0.0.1:1\"}]}]\n"

#define CLAW(more) "listeners: [{" WEB "}]\nupstreams: [{name: up, protocol: openclaw, " more "}]\n"
#define GATE(more) "endpoints: [{url: \"http://127.0.0.1:1\"" more "}]"
#define TWO(first, second)                                                                         \
    "endpoints: [{url: \"http://127.0.0.1:1\"}], accounts: [{name: " first "}, {name: " second "}]"

struct rule {
    const char *is, *wanted, *why; /* a part of it; "": it may be put in force */
};

static const struct rule rules[] = {
    {BASE, BASE, ""},
    {BASE, "listeners: [{name: web, address: \"127.0.0.1:8081\"}]\n" UP, ""},
    {BASE, "listeners: [{" WEB "}, {name: b, address: \"127.0.0.1:8081\"}]\n" UP, ""},
    {BASE, "listeners: [{name: b, address: \"127.0.0.1:8080\"}]\n" UP, ""},
    {BASE, "listeners: [{" WEB ", pool: {max_per_ip: 3}}]\n" UP, "listeners[web].pool.max_per_ip"},
    {BASE, "listeners: [{" WEB ", http1: {max_header_bytes: 1MiB}}]\n" UP, "max_header_bytes"},
    {BASE, "listeners: [{" WEB ", pool: {max_connections: 900000}}]\n" UP, "max_connections"},
    {BASE,
     "listeners: [{" WEB "}]\n"
     "upstreams: [{name: up, endpoints: [{url: \"https://127.0.0.1:1\"}]}]\n",
     "upstreams[up].endpoints: with protocol auto"},
    {BASE,
     "listeners: [{" WEB "}]\n"
     "upstreams: [{name: other, endpoints: [{url: \"https://127.0.0.1:1\"}]}]\n",
     ""},
    {VIA("up", "5"), VIA("up", "5"), ""},
    {VIA("up", "5"), VIA("other", "5"), ""},
    {VIA("up", "5"), VIA("other", "6"), "upstreams[other].proxy_limits: its proxy has others"},
    {BASE, VIA("other", "6"), ""},
    {BASE, CLIENT BASE, ""},
    {REDIS BASE, REDIS CLIENT BASE, "clients: clients whose limits are shared"},
    {REDIS CLIENT BASE, REDIS BASE, "clients: clients whose limits are shared"},
    {CLAW(GATE("") ", openclaw: {token: a}"), CLAW(GATE("") ", openclaw: {token: b, path: /x}"),
     ""},
    {CLAW(GATE("")), CLAW(GATE("") ", openclaw: {password: b, requests_max: 5}"), ""},
    {CLAW(GATE("")), CLAW(GATE(", weight: 3") ", balance: hash, retry: {budget: 0.5}"), ""},
    {CLAW(GATE("")), CLAW(GATE("") ", pool: {down_for: 1s}, health: {path: /readyz}"), ""},
    {CLAW(TWO("a", "b")), CLAW(TWO("a, weight: 2", "b, openclaw: {token: c}")), ""},
    {CLAW(TWO("a", "b")), CLAW(TWO("b", "a")), "upstreams[up].accounts: in another order"},
    {CLAW(GATE("")), CLAW(TWO("a", "b")), "upstreams[up].accounts: in another order, or others"},
    {CLAW(GATE("")), CLAW("endpoints: [{url: \"http://127.0.0.1:2\"}]"),
     "upstreams[up].endpoints: in another order, or others"},
    {CLAW(GATE("")),
     CLAW("endpoints: [{url: \"http://127.0.0.1:1\"}, {url: \"http://127.0.0.1:2\"}]"),
     "upstreams[up].endpoints: in another order, or others"},
    {CLAW(GATE("")), CLAW(GATE("") ", openclaw: {identity: /tmp/d.json}"),
     "upstreams[up]: another openclaw.identity for it"},
    {CLAW(TWO("a", "b")), CLAW(TWO("a", "b, proxy: \"socks5://127.0.0.1:3\"")),
     "upstreams[up]: another proxy for account b"},
    {CLAW("endpoints: [{url: \"https://127.0.0.1:1\"}]"),
     CLAW("endpoints: [{url: \"https://127.0.0.1:1\"}], tls: {sni: other}"), "upstreams[up].tls"},
};

static void what_cannot_change_is_said_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        struct config *is = read_good(rules[i].is), *wanted = read_good(rules[i].wanted);
        struct accept_options opt = {.max_connections = 10};
        struct accept_port *port;
        assert_true(address_of_host("127.0.0.1", 0, &opt.address));
        assert_int_equal(accept_port_open(&opt, &port), 0);
        struct generation generation = {.config = is, .ports = &port};
        const struct engine_room room = engine_room_of(is);
        const struct server server = {
            .config = is, .generation = &generation, .room = engine_room_reserve(&room)};
        char why[400];
        reload_rules_check(&server, wanted, why, sizeof why);
        if (rules[i].why[0] == '\0')
            assert_string_equal(why, "");
        else if (strstr(why, rules[i].why) == NULL)
            fail_msg("\"%s\" is not \"%s\"", why, rules[i].why);
        accept_port_close(port);
        config_free(is);
        config_free(wanted);
    }
}

/* With more room than an engine can have it would not start. */
static void no_more_is_reserved_than_an_engine_takes(void **state)
{
    (void)state;
    const struct engine_room room = {.conns = 1U << 26,
                                     .waiting = 1000,
                                     .leases = 1U << 26,
                                     .keys = 10000000,
                                     .key_bytes = 1280000000,
                                     .groups = 1000,
                                     .pools = 10};
    const struct engine_room more = engine_room_reserve(&room);
    assert_true(more.conns == 1U << 26 && more.leases == 1U << 26 && more.waiting > 1000);
    assert_true(more.keys > 10000000 && more.key_bytes == (1U << 31) - 1);
    assert_null(engine_room_lacks(&more, &room));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_change_is_said_by_name),
        cmocka_unit_test(no_more_is_reserved_than_an_engine_takes),
    };
    return cmocka_run_group_tests_name("reload rules", tests, NULL, NULL);
}
