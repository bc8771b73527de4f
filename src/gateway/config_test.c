/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config.h"

#include "gateway/config_arena.h"
#include "gateway/config_dump.h"
#include "gateway/option.h"
#include "support/configured.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The least that is valid, in front of what a case is about. */
#define LISTENER "listeners: [{name: web, address: \"127.0.0.1:8080\"}]\n"
#define UPSTREAM "upstreams: [{name: up, endpoints: [{url: \"http://127.0.0.1:1\"}]}]\n"
#define ROUTED                                                                                     \
    "listeners: [{name: web, address: \"127.0.0.1:8080\", routes: [{upstream: up}]}]\n" UPSTREAM

static struct config *read_text(const char *text, struct config_faults *faults)
{
    return config_read_text("t", text, strlen(text), faults);
}

/* --- what is wrong, and where
 * ---------------------------------------------------------------------- */

struct broken {
    const char *text;
    uint32_t line, column;
    const char *says;
};

static const struct broken broken[] = {
    /* YAML */
    {"listeners: [\n", 2, 1, "not YAML"},
    {"a: b: c\n", 1, 5, "not YAML"},
    {"\tx: 1\n", 1, 1, "not YAML"},
    {"x: \xff\n", 1, 4, "not YAML"},
    {"- a\n", 1, 1, "a map of options, this is a list"},
    {"just words\n", 1, 1, "a map of options, this is text"},
    {LISTENER "---\na: 1\n", 2, 1, "a second document"},
    {"? [a]\n: 1\n", 1, 3, "a key must be text"},
    {"a: *nobody\n", 1, 4, "there is no anchor"},
    {"a: &a\n  b: *a\n", 2, 6, "no end"},
    {LISTENER "x: \"\\0\"\n", 2, 4, "a NUL"},
    {LISTENER "<<: 3\n", 2, 5, "<< takes a map"},
    {"workers: 1\nworkers: 2\n", 2, 1, "given twice; the first is in line 1"},
    /* names */
    {LISTENER "worker: 2\n", 2, 1, "unknown option worker; did you mean workers?"},
    {LISTENER "zzzzzz: 2\n", 2, 1, "unknown option zzzzzz"},
    {LISTENER "max_age: 2s\n", 2, 1,
     "unknown option max_age here; there is upstreams.pool.max_age"},
    {LISTENER "node.name: x\n", 2, 1, "unknown option"},
    {LISTENER "sessions: {sync: 60s}\n", 2, 12, "sessions.sync is not supported by this build"},
    {LISTENER "alerts: {error_rate: 1.5}\n", 2, 22, "outside 0"},
    {LISTENER "alerts: {webhook: \"ftp://a/\"}\n", 2, 19, "alerts.webhook is no URL"},
    {LISTENER "log: {otlp: {url: \"ftp://a/\"}}\n", 2, 19, "log.otlp.url is no URL"},
    {"listeners: [{name: w, address: \"127.0.0.1:1\", tls: {}}]\n", 1, 52, "needs a certificate"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], pool: {max_total: 3}}]\n", 2,
     62, "did you mean max_connections?"},
    /* shapes */
    {LISTENER "admin: 3\n", 2, 8, "admin takes a map of options, not text"},
    {LISTENER "upstreams: {}\n", 2, 12, "upstreams takes a list, not a map"},
    {LISTENER "upstreams: [3]\n", 2, 13, "each is a map of options"},
    {LISTENER "workers: [1]\n", 2, 10, "takes a number, not a list"},
    {LISTENER "workers:\n", 2, 9, "has no value"},
    {LISTENER "profiles: 3\n", 2, 11, "profiles takes a map"},
    {LISTENER "profiles: {p: 3}\n", 2, 15, "profiles.p takes a map"},
    {LISTENER "profiles: {relay: {}}\n", 2, 12, "built-in"},
    {LISTENER "profiles: {p: {idle_timeot: 3s}}\n", 2, 16, "did you mean idle_timeout?"},
    /* what must be there */
    {"workers: 2\n", 1, 1, "listeners has none, and needs one"},
    {"listeners: [{name: w}]\n", 1, 13, "listeners.address is missing"},
    {LISTENER "upstreams: [{name: u}]\n", 2, 13, "upstreams.endpoints has none"},
    {LISTENER "upstreams: [{name: u, endpoints: []}]\n", 2, 34, "upstreams.endpoints has none"},
    {LISTENER "upstreams: [{name: u, endpoints: [{weight: 3}]}]\n", 2, 35, "url is missing"},
    /* values */
    {LISTENER "workers: many\n", 2, 10, "many is not a number"},
    {LISTENER "workers: aut\n", 2, 10, "did you mean auto?"},
    {LISTENER "workers: 0\n", 2, 10, "0 is outside 1 … 256"},
    {LISTENER "workers: -1\n", 2, 10, "not a number"},
    {LISTENER "workers: 1e2\n", 2, 10, "not a number"},
    {LISTENER "workers: 99999999999999999999\n", 2, 10, "not a number"},
    {LISTENER "log: {level: inf}\n", 2, 14, "did you mean info?"},
    {LISTENER "log: {access: access.log}\n", 2, 15, "none of stdout, stderr, off"},
    {LISTENER "node: {name: \"a b\"}\n", 2, 14, "more than letters"},
    {LISTENER "admin: {token: \"a b\"}\n", 2, 16, "a space"},
    {LISTENER "dns: {servers: [1.1.1.1, dns.example]}\n", 2, 16, "no name server"},
    {LISTENER "dns: {servers: [\"1.1.1.1:0\"]}\n", 2, 16, "no name server"},
    {LISTENER "dns: {servers: [\"unix:/x\"]}\n", 2, 16, "no name server"},
    {LISTENER "dns: {servers: [10.0.0.0/8]}\n", 2, 16, "no name server"},
    {"listeners: [{name: w, address: localhost}]\n", 1, 32, "is not address:port"},
    {"listeners: [{name: w, address: \"localhost:80\"}]\n", 1, 32, "literal address"},
    {"listeners: [{name: w, address: \"127.0.0.1:65536\"}]\n", 1, 32, "no port"},
    {"listeners: [{name: w, address: \"unix:x\"}]\n", 1, 32, "absolute path"},
    {"listeners: [{name: w, address: \"unix:/x\"}]\n", 1, 32, "needs a port"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", pool: {idle_timeout: 30}}]\n", 1, 66,
     "did you mean 30s?"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", pool: {idle_timeout: soon}}]\n", 1, 66,
     "30s, 5m or never"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", pool: {headers_timeout: never}}]\n", 1, 69,
     "not a duration"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", pool: {min_rate: fast}}]\n", 1, 62,
     "not a size"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", http1: {max_header_bytes: 2GiB}}]\n", 1, 71,
     "outside 512"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", trusted_proxies: [10.0.0.1/8]}]\n", 1, 62,
     "beyond its network"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", trusted_proxies: [10.0.0.0/33]}]\n", 1, 62,
     "between 0 and 32"},
    /* endpoints that are found */
    {LISTENER "upstreams: [{name: u, discover: {dns: srv}}]\n", 2, 13, "has none, and needs one"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], discover: {dns: a}}]\n", 2,
     71, "upstreams.discover.dns"},
    {LISTENER "upstreams: [{name: u, discover: {file: f, http: \"http://a/\"}}]\n", 2, 49,
     "one of dns, file and http"},
    {LISTENER
     "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], discover: {interval: 5s}}]\n",
     2, 20, "discover needs dns, file or http"},
    {LISTENER "upstreams: [{name: u, discover: {http: \"ftp://a/\"}}]\n", 2, 40, "is no URL"},
    {LISTENER "upstreams: [{name: u, protocol: openclaw, discover: {file: f}}]\n", 2, 60,
     "OpenClaw gateways are not discovered"},
    {LISTENER
     "upstreams: [{name: u, endpoints: [{url: \"https://a\"}], discover: {dns: address}}]\n",
     2, 72, "needs tls.sni"},
    {LISTENER
     "upstreams: [{name: u, endpoints: [{url: \"http://a\"}, {url: \"http://b\"}], discover: "
     "{dns: srv, max: 1}}]\n",
     2, 100, "less than the endpoints that are written"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"ftp://a\"}]}]\n", 2, 41, "http://"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"ftp://a\"}]}]\n", 2, 41, "https://"},
    {LISTENER "upstreams: [{name: u, tls: {key: k}, endpoints: [{url: \"https://a\"}]}]\n", 2, 34,
     "needs a key"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a/b\"}]}]\n", 2, 41, "has a path"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://u@a\"}]}]\n", 2, 41, "a user"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a:0\"}]}]\n", 2, 41, "no port"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://:80\"}]}]\n", 2, 41, "no host"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], protocol: h3}]\n", 2, 65,
     "none of auto, http1, h2, grpc, websocket"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], profile: rely}]\n", 2, 64,
     "did you mean relay?"},
    {LISTENER
     "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], pool: {refuse_when_full: yes}}]\n",
     2, 80, "neither true nor false"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], retry: {on: 404}}]\n", 2, 67,
     "500 … 599"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], retry: {budget: 2}}]\n", 2,
     71, "outside 0 … 1"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, match: {path: x}}]}]\n",
     1, 82, "does not begin with /"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, match: {host: \"a:1\"}}]}]"
     "\n",
     1, 82, "without its port"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, match: {method: get}}]}]\n",
     1, 84, "upper case"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, request_headers: {set: "
     "{\"a b\": c}}}]}]\n",
     1, 91, "no name of a field"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, request_headers: {set: "
     "{a: \"b\\nc\"}}}]}]\n",
     1, 91, "control character"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: u, request_headers: {remove: "
     "[Content-Length]}}]}]\n",
     1, 94, "frames"},
    /* variables */
    {LISTENER "node: {name: \"${WEIR_TEST_UNSET}\"}\n", 2, 14, "the environment has no"},
    {LISTENER "node: {name: \"${open\"}\n", 2, 14, "without a }"},
    {LISTENER "node: {name: \"${a-b}\"}\n", 2, 14, "none of ${NAME}"},
    {LISTENER "node: {name: \"${file:/etc/hostname}\"}\n", 2, 14, "not permitted"},
    {LISTENER "include: x.yaml\n", 2, 10, "nothing can be included here"},
    /* together */
    {LISTENER "admin: {address: \"0.0.0.0:1\"}\n", 2, 18, "needs admin.token"},
    {LISTENER "admin: {viewer_token: see}\n", 2, 23, "without admin.token"},
    {LISTENER "admin: {token: see, viewer_token: see}\n", 2, 35, "is the same"},
    {LISTENER "admin: {address: \"127.0.0.1:8080\"}\n", 1, 34, "admin.address as well"},
    {"listeners:\n- {name: a, address: \"1.1.1.1:1\"}\n- {name: a, address: \"1.1.1.1:2\"}\n", 3,
     10, "taken by the listener in line 2"},
    {"listeners:\n- {name: a, address: \"1.1.1.1:1\"}\n- {name: b, address: \"1.1.1.1:1\"}\n", 3,
     22, "the address of listener a as well"},
    {"listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: ap}]}]\n"
     "upstreams: [{name: up, endpoints: [{url: \"http://a\"}]}]\n",
     1, 65, "did you mean up?"},
    {UPSTREAM "listeners: [{name: w, address: \"127.0.0.1:1\"}]\n", 1, 42, "of this same gateway"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}, {url: \"http://A:80/\"}]}]\n",
     2, 60, "has a:80 already"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\", weight: 0}]}]\n", 2, 61,
     "no endpoint above zero"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], pool: {min_idle: 99}}]\n", 2,
     72, "above max_per_endpoint"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], pool: {retry_first: 1m}}]\n",
     2, 75, "longer than retry_cap"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], health: {timeout: 1s}}]\n",
     2, 20, "health needs a path"},
    {LISTENER "upstreams: [{name: u, endpoints: [{url: \"http://a\"}], openclaw: {requests_max: "
              "5}}]\n",
     2, 20, "openclaw needs protocol"},
};

static void every_mistake_has_a_place(void **state)
{
    (void)state;
    uint32_t missed = 0;
    unsetenv("WEIR_TEST_UNSET");
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        const struct broken *b = &broken[i];
        struct config_faults faults;
        bool said = false;
        assert_null(read_text(b->text, &faults));
        assert_true(faults.errors > 0);
        for (uint32_t f = 0; f < faults.count; f++)
            said = said
                   || (faults.at[f].line == b->line && faults.at[f].column == b->column
                       && strstr(faults.at[f].text, b->says) != NULL);
        if (!said)
            print_error("%s\nwanted %u:%u … %s, got %u:%u: %s\n", b->text, b->line, b->column,
                        b->says, faults.at[0].line, faults.at[0].column, faults.at[0].text);
        missed += said ? 0 : 1;
        config_faults_free(&faults);
    }
    assert_int_equal(missed, 0);
}

/* One reading says all of it, in the order of the file. */
static void all_mistakes_at_once(void **state)
{
    (void)state;
    struct config_faults faults;
    assert_null(read_text(
        "workers: x\nlog: {level: y}\nadress: 1\n" LISTENER "admin: {address: z}\n", &faults));
    assert_int_equal(faults.errors, 4);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(faults.at[i].line, i + 1);
    assert_int_equal(faults.at[3].line, 5);
    config_faults_free(&faults);
}

/* --- advice
 * ------------------------------------------------------------------------------------------ */

static void advised(const char *text, const char *says)
{
    struct config_faults faults;
    struct config *config = read_text(text, &faults);
    bool said = false;
    assert_non_null(config);
    for (uint32_t i = 0; i < faults.count; i++)
        said = said || (faults.at[i].advice && strstr(faults.at[i].text, says) != NULL);
    if (!said)
        fail_msg("%s\nwanted advice: %s", text, says);
    config_free(config);
    config_faults_free(&faults);
}

static void advice_is_no_error(void **state)
{
    (void)state;
    advised(LISTENER, "has no routes");
    advised(LISTENER UPSTREAM, "no route leads to upstream up");
    advised("listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: up}, {upstream: up, "
            "match: {path: /x, method: [GET]}}]}]\n" UPSTREAM,
            "no request reaches this route");
    advised("listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: up}], pool: "
            "{max_connections: 9000}}]\n" UPSTREAM,
            "the rest get 503");
    advised("listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: up}], pool: "
            "{headers_timeout: 1m, max_per_ip: 5000}}]\n" UPSTREAM,
            "max_per_ip is above");
    advised("listeners: [{name: w, address: \"1.1.1.1:1\", routes: [{upstream: up}]}]\n"
            "upstreams: [{name: up, endpoints: [{url: \"http://a\"}], pool: {connect_timeout: 1m, "
            "total_timeout: 1m, first_byte_timeout: 2m}}]\n",
            "first_byte_timeout is longer than total_timeout");
}

static void routes_that_differ_are_all_reached(void **state)
{
    (void)state;
    struct config_faults faults;
    struct config *config = read_text("listeners:\n- name: w\n  address: \"1.1.1.1:1\"\n  routes:\n"
                                      "  - {upstream: up, match: {path: /a/b}}\n"
                                      "  - {upstream: up, match: {path: /a, method: [GET]}}\n"
                                      "  - {upstream: up, match: {path: /a, header: {x: \"1\"}}}\n"
                                      "  - {upstream: up, match: {path: /a}}\n"
                                      "  - {upstream: up, match: {path: /ab}}\n"
                                      "  - {upstream: up, match: {host: a.b}}\n"
                                      "  - {upstream: up, match: {host: \"*.b\"}}\n"
                                      "  - {upstream: up}\n" UPSTREAM,
                                      &faults);
    assert_non_null(config);
    assert_int_equal(faults.count, 0);
    config_free(config);
    config_faults_free(&faults);
}

/* --- values
 * ------------------------------------------------------------------------------------------ */

static void defaults_are_filled_in(void **state)
{
    (void)state;
    struct config *config = read_good(ROUTED);
    const struct config_listener *l = &config->listeners.at[0];
    const struct config_upstream *u = &config->upstreams.at[0];
    assert_int_equal(config->workers, 0);
    assert_string_equal(config->admin.address.text, "127.0.0.1:9901");
    assert_int_equal(config->admin.address.port, 9901);
    assert_int_equal(config->log.level, LOG_INFO_LEVEL);
    assert_string_equal(config->log.access, "stdout");
    assert_int_equal(l->pool.max_connections, 1000);
    assert_int_equal(l->pool.headers_timeout_ms, 10000);
    assert_int_equal(l->pool.min_rate, 500);
    assert_int_equal(l->http1.max_header_bytes, 32768);
    assert_string_equal(l->routes.at[0].match.host, "*");
    assert_string_equal(l->routes.at[0].match.path, "/");
    assert_int_equal(l->routes.at[0].limits.body, 64 << 20);
    assert_int_equal(l->routes.at[0].forwarded, FORWARDED_REPLACE);
    assert_int_equal(u->balance, BALANCE_P2C);
    assert_int_equal(u->pool.max_total, 100);
    assert_int_equal(u->pool.max_per_key, 30);
    assert_int_equal(u->pool.min_idle, WEIR_NONE);
    assert_int_equal(u->pool.max_idle, WEIR_UNLIMITED);
    assert_int_equal(u->pool.total_timeout_ms, WEIR_NEVER);
    assert_int_equal(u->pool.reuse, WEIR_NEWEST);
    assert_int_equal(u->pool.refuse_when_full, WEIR_OFF);
    assert_int_equal(u->pool.on_dial_error, WEIR_FAIL);
    assert_string_equal(u->pool.name, "up");
    assert_true(u->retry.on_connect && u->retry.on_stale);
    assert_true(u->retry.budget > 0.199 && u->retry.budget < 0.201);
    assert_string_equal(u->health.path, "");
    assert_string_equal(u->endpoints.at[0].name, "127.0.0.1:1");
    config_free(config);
}

static void values_are_read(void **state)
{
    (void)state;
    setenv("WEIR_TEST_NAME", "dam", 1);
    struct config *config = read_good(
        "workers: 3\nnode: {name: \"${WEIR_TEST_NAME}-${WEIR_TEST_NONE:-x}\"}\n"
        "admin: {address: \"unix:/run/w\", token: abc}\nlog: {level: debug, access: off}\n"
        "listeners:\n- name: w\n  address: \"[::1]:80\"\n  trusted_proxies: [10.0.0.0/8, \"::/0\"]\n"
        "  pool: {idle_timeout: never, min_rate: 1KiB/s, keepalive_timeout: 1m30s}\n"
        "  routes:\n  - match: {host: \"*.Example.COM\", method: GET, header: {x-a: \"*\"}}\n"
        "    upstream: up\n    forwarded: append\n    request_headers: {set: {X-B: \"c $${d}\"}, remove: x-e}\n"
        "upstreams:\n- name: up\n  balance: hash\n  pool: {max_uses: 5, min_idle: 0, reuse: never,\n"
        "    refuse_when_full: true, on_dial_error: wait, jitter: 0, max_connections: unlimited}\n"
        "  endpoints: [{url: \"http://[::1]:81/\", weight: 7, priority: 2}, {url: \"http://B\"}]\n"
        "  health: {path: /up?x=1}\n  retry: {on: [503, stale], budget: 0.25}\n");
    const struct config_listener *l = &config->listeners.at[0];
    const struct config_upstream *u = &config->upstreams.at[0];
    assert_string_equal(config->node.name, "dam-x");
    assert_string_equal(config->admin.address.unix_path, "/run/w");
    assert_string_equal(l->address.host, "::1");
    assert_int_equal(l->trusted_proxies.count, 2);
    assert_int_equal(l->trusted_proxies.at[0].bits, 104);
    assert_int_equal(l->pool.idle_timeout_ms, CONFIG_NEVER);
    assert_int_equal(l->pool.min_rate, 1024);
    assert_int_equal(l->pool.keepalive_timeout_ms, 90000);
    assert_string_equal(l->routes.at[0].match.host, "*.example.com");
    assert_string_equal(l->routes.at[0].match.method.at[0], "GET");
    assert_string_equal(l->routes.at[0].request_headers.set.at[0].value, "c ${d}");
    assert_string_equal(l->routes.at[0].request_headers.remove.at[0], "x-e");
    assert_int_equal(u->balance, BALANCE_HASH);
    assert_int_equal(u->pool.max_uses, 5);
    assert_int_equal(u->pool.reuse, WEIR_NO_REUSE);
    assert_int_equal(u->pool.refuse_when_full, WEIR_ON);
    assert_int_equal(u->pool.on_dial_error, WEIR_WAIT);
    assert_int_equal(u->pool.jitter_pct, WEIR_NONE);
    assert_int_equal(u->pool.max_total, WEIR_UNLIMITED);
    assert_string_equal(u->endpoints.at[0].name, "[::1]:81");
    assert_int_equal(u->endpoints.at[0].port, 81);
    assert_int_equal(u->endpoints.at[1].port, 80);
    assert_string_equal(u->endpoints.at[1].host, "b");
    assert_false(u->retry.on_connect);
    assert_int_equal(u->retry.codes_count, 1);
    assert_int_equal(u->retry.codes[0], 503);
    assert_int_equal(u->health.interval_ms, 60000);
    config_free(config);
}

/* What is written wins over the profile, the profile over the defaults. */
static void profiles(void **state)
{
    (void)state;
    struct config *config = read_good(
        LISTENER
        "profiles: {mine: {idle_timeout: 7s, max_age: never, waiting_max: 0}}\n"
        "upstreams:\n"
        "- {name: a, endpoints: [{url: \"http://a\"}], profile: mine, pool: {idle_timeout: 8s}}\n"
        "- {name: b, endpoints: [{url: \"http://a\"}], pool: {max_age: 3m}, profile: relay}\n");
    const weir_pool_options *a = &config->upstreams.at[0].pool, *b = &config->upstreams.at[1].pool;
    assert_int_equal(a->idle_timeout_ms, 8000);
    assert_int_equal(a->max_age_ms, WEIR_NEVER);
    assert_int_equal(a->waiting_max, WEIR_NONE);
    assert_int_equal(a->max_total, 100);
    assert_int_equal(b->max_total, 1000);
    assert_int_equal(b->max_age_ms, 180000);
    config_free(config);
}

static void anchors_and_merges(void **state)
{
    (void)state;
    struct config *config = read_good(
        "listeners:\n- &l {name: a, address: \"1.1.1.1:1\", pool: &p {max_per_ip: 3}}\n"
        "- {<<: *l, name: b, address: \"1.1.1.1:2\"}\n"
        "- {name: c, address: \"1.1.1.1:3\", pool: {<<: [*p, {max_per_ip: 9, "
        "drain_timeout: 4s}], idle_timeout: 2s}}\n");
    assert_int_equal(config->listeners.at[1].pool.max_per_ip, 3);
    assert_string_equal(config->listeners.at[1].name, "b");
    assert_int_equal(config->listeners.at[2].pool.max_per_ip, 3);
    assert_int_equal(config->listeners.at[2].pool.drain_timeout_ms, 4000);
    assert_int_equal(config->listeners.at[2].pool.idle_timeout_ms, 2000);
    config_free(config);
}

/* Aliases of aliases of aliases stand for more than anybody writes. */
static void aliases_have_an_end(void **state)
{
    (void)state;
    char text[8192];
    size_t len = 0;
    struct config_faults faults;
    len += (size_t)snprintf(text, sizeof(text),
                            "upstreams:\n- &u {name: u, endpoints: &e [&e0 {url: \"http://a\"}");
    for (int i = 0; i < 250; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, ",*e0");
    len += (size_t)snprintf(text + len, sizeof(text) - len, "]}\n");
    for (int i = 0; i < 900; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "- *u\n");
    assert_null(config_read_text("t", text, len, &faults));
    assert_true(faults.errors > 0);
    config_faults_free(&faults);
}

/* --- files
 * ------------------------------------------------------------------------------------------- */

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_files(const char *folder, const char *const *names)
{
    char path[256];
    for (; *names != NULL; names++) {
        snprintf(path, sizeof(path), "%s/%s", folder, *names);
        unlink(path);
    }
    rmdir(folder);
}

static void includes(void **state)
{
    (void)state;
    static const char *const names[] = {"main.yaml", "a-1.yaml", "a-2.yaml", "token", NULL};
    char folder[] = "/tmp/weir-config-XXXXXX", text[512], path[128];
    struct config_faults faults;
    assert_non_null(mkdtemp(folder));
    write_file(folder, "token", "s3cret\n");
    snprintf(text, sizeof(text),
             "include: [\"a-*.yaml\", \"none-*.yaml\"]\nadmin: {token: \"${file:%s/token}\"}\n",
             folder);
    write_file(folder, "main.yaml", text);
    write_file(folder, "a-1.yaml", "listeners: [{name: a, address: \"1.1.1.1:1\"}]\n");
    write_file(folder, "a-2.yaml",
               "listeners: [{name: b, address: \"1.1.1.1:2\"}]\nadmin: {address: \"off\"}\n");
    snprintf(path, sizeof(path), "%s/main.yaml", folder);
    struct config *config = config_read(path, &faults);
    assert_non_null(config);
    assert_int_equal(config->listeners.count, 2);
    assert_string_equal(config->listeners.at[1].name, "b");
    assert_string_equal(config->admin.token, "s3cret");
    config_free(config);
    config_faults_free(&faults);

    write_file(folder, "a-2.yaml", "workers: 2\nadmin: {token: x}\ninclude: main.yaml\n");
    assert_null(config_read(path, &faults));
    bool twice = false, cycle = false;
    for (uint32_t i = 0; i < faults.count; i++) {
        twice = twice || strstr(faults.at[i].text, "token was given already") != NULL;
        cycle = cycle || strstr(faults.at[i].text, "includes itself") != NULL;
    }
    assert_true(twice && cycle);
    config_faults_free(&faults);
    remove_files(folder, names);
    assert_null(config_read(path, &faults));
    assert_non_null(strstr(faults.at[0].text, "No such file"));
    config_faults_free(&faults);
}

/* --- dump, schema
 * ------------------------------------------------------------------------------------ */

static void dump_reads_back(void **state)
{
    (void)state;
    struct bytes first, second, json;
    struct config_faults faults;
    struct config *config = read_good(
        "profiles: {mine: {waiting_max: 0}}\nadmin: {token: hidden}\n"
        "listeners: [{name: w, address: \"[::1]:80\", trusted_proxies: [10.0.0.0/8],\n"
        "  routes: [{upstream: up, match: {header: {a: b}}, request_headers: {set: {Cookie: hidden}}}]}]\n"
        "upstreams: [{name: up, profile: mine, endpoints: [{url: \"http://a\"}],\n"
        "  health: {path: /h}, retry: {on: [], budget: 0.125}}]\n");
    bytes_init(&first, &alloc_libc, 65536);
    bytes_init(&second, &alloc_libc, 65536);
    bytes_init(&json, &alloc_libc, 65536);
    config_dump_yaml(config, &first);
    config_dump_json(config, &json);
    struct config *again = config_read_text("t", bytes_at(&first), bytes_len(&first), &faults);
    assert_non_null(again);
    config_faults_free(&faults);
    config_dump_yaml(again, &second);
    assert_int_equal(bytes_len(&first), bytes_len(&second));
    assert_memory_equal(bytes_at(&first), bytes_at(&second), bytes_len(&first));
    assert_null(memmem(bytes_at(&first), bytes_len(&first), "hidden", 6));
    config_free(again);
    again = config_read_text("t", bytes_at(&json), bytes_len(&json), &faults);
    assert_non_null(again); /* JSON is YAML */
    config_faults_free(&faults);
    config_free(again);
    config_free(config);
    bytes_fini(&first);
    bytes_fini(&second);
    bytes_fini(&json);
}

static void every_option_is_in_schema_and_reference(void **state)
{
    (void)state;
    struct bytes schema, reference, options;
    bytes_init(&schema, &alloc_libc, 1 << 20);
    bytes_init(&reference, &alloc_libc, 1 << 20);
    bytes_init(&options, &alloc_libc, 1 << 20);
    config_schema(&schema);
    config_reference(&reference);
    config_options(&options);
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        assert_non_null(
            memmem(bytes_at(&schema), bytes_len(&schema), option_name(o), strlen(option_name(o))));
        assert_non_null(
            memmem(bytes_at(&reference), bytes_len(&reference), o->path, strlen(o->path)));
        assert_null(option_unsupported(o->path));
        assert_true(o->doc[0] != '\0');
        /* Its group stands before it. */
        char parent[128];
        const char *dot = strrchr(o->path, '.');
        if (dot != NULL) {
            snprintf(parent, sizeof(parent), "%.*s", (int)(dot - o->path), o->path);
            assert_non_null(option_find(parent));
            assert_true(option_find(parent) < o);
        }
    }
    bytes_fini(&schema);
    bytes_fini(&reference);
    bytes_fini(&options);
}

/* Each piece is a block of its own, and one after the other is refused. */
static void body_of_refused_memory(const struct alloc *alloc, void *arg)
{
    const struct config_memory memory = {alloc, 1};
    const char *text = arg;
    struct config_faults faults;
    struct config *config = config_read_text_by(&memory, "t.yaml", text, strlen(text), &faults);
    if (config == NULL) {
        assert_int_equal(faults.errors, 1);
        assert_int_equal(faults.count, 1);
        assert_false(faults.at[0].advice);
        assert_string_equal(faults.at[0].file, "t.yaml");
        assert_string_equal(faults.at[0].text, "out of memory");
    }
    config_free(config);
    config_faults_free(&faults);
}

static void want_of_memory_is_an_error(void **state)
{
    (void)state;
    static char text[] =
        "node: {name: \"${WEIR_NO_SUCH_VARIABLE:-n1}\"}\n"
        "dns: {servers: [127.0.0.1, \"[::1]:53\"]}\n"
        "profiles: {mine: {max_idle: 3}}\n"
        "listeners:\n"
        "- {name: w, address: \"127.0.0.1:80\", trusted_proxies: [10.0.0.0/8], protocols: [http1],\n"
        "   pool: &p {headers_timeout: 3s}}\n"
        "- {name: v, address: \"127.0.0.1:81\", pool: {<<: *p, idle_timeout: 9s},\n"
        "   routes: [{match: {host: A.test, path: /x, method: [GET], header: {a: b}}, upstream: u,\n"
        "             request_headers: {set: {x: y}, remove: [z]}}]}\n"
        "upstreams:\n"
        "- {name: u, profile: mine, retry: {on: [stale, 503]}, health: {path: /h},\n"
        "   endpoints: [{url: \"http://a.test:81\"}, {url: \"http://[::1]:82\"}]}\n";
    struct config_faults faults;
    struct config *config = config_read_text("t.yaml", text, strlen(text), &faults);
    assert_non_null(config); /* nothing is wrong with it */
    config_free(config);
    config_faults_free(&faults);
    torture(body_of_refused_memory, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_mistake_has_a_place),
        cmocka_unit_test(all_mistakes_at_once),
        cmocka_unit_test(advice_is_no_error),
        cmocka_unit_test(routes_that_differ_are_all_reached),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(values_are_read),
        cmocka_unit_test(profiles),
        cmocka_unit_test(anchors_and_merges),
        cmocka_unit_test(aliases_have_an_end),
        cmocka_unit_test(includes),
        cmocka_unit_test(want_of_memory_is_an_error),
        cmocka_unit_test(dump_reads_back),
        cmocka_unit_test(every_option_is_in_schema_and_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
