/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/forward.h"

#include "proto/http1.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static struct forward forward;
static struct config_route route;
static struct forward_rules rules;
static struct http_field fields[32];
static struct http_head head;
static char written[8192];

static struct http_peer peer_of(const char *text)
{
    struct http_peer peer = {.text_len = (uint8_t)strlen(text)};
    memcpy(peer.text, text, strlen(text) + 1);
    return peer;
}

/* What a request looks like after it was forwarded. */
static const char *forwarded(const char *peer_text, bool trusted, const char *extra)
{
    static char text[2048];
    snprintf(text, sizeof text, "GET /p HTTP/1.1\r\nHost: h.test\r\n%s\r\n", extra);
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    head = (struct http_head){.fields = fields};
    assert_int_equal(http1_parse_request(&progress, text, strlen(text), &limits, &head),
                     (ssize_t)strlen(text));
    struct http_peer peer = peer_of(peer_text);
    forward_rules_init(&rules, &route);
    forward_request(&forward, &rules, &peer, trusted, &head);
    const struct http1_writing writing = {0};
    ssize_t len = http1_write_request(&head, &writing, written, sizeof written - 1);
    assert_true(len > 0);
    written[len] = '\0';
    return written;
}

static int setup(void **state)
{
    (void)state;
    route = (struct config_route){.forwarded = FORWARDED_REPLACE};
    forward_init(&forward, 5);
    return 0;
}

static struct slice trace_id(void)
{
    static char room[FORWARD_TRACE_ID];
    return forward_trace_id(&forward, forward.trace_begun, &head, room);
}

#define TRACE "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"

static void replace_says_what_we_see(void **state)
{
    (void)state;
    assert_string_equal(
        forwarded("192.0.2.7", true,
                  TRACE
                  "X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n"
                  "X-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nx-forwarded-host: e\r\n"),
        "GET /p HTTP/1.1\r\nHost: h.test\r\n" TRACE "X-Forwarded-For: 192.0.2.7\r\n"
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h.test\r\nVia: 1.1 weir\r\n\r\n");
}

static void no_other_word_of_the_origin_passes(void **state)
{
    (void)state;
    const char *said = "X-Forwarded-Port: 1\r\nx-forwarded-Prefix: /a\r\nX-Forwarded: for=e\r\n";
    assert_null(strstr(forwarded("192.0.2.7", false, said), "ort"));
    assert_null(strstr(written, "refix"));
    assert_non_null(strstr(written, "X-Forwarded: for=e\r\n")); /* nobody reads that */
    route.forwarded = FORWARDED_APPEND;
    assert_non_null(strstr(forwarded("192.0.2.7", true, said), "X-Forwarded-Port: 1\r\n"));
}

static void a_trace_that_is_none_begins_anew(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "garbage",
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01x",
    };
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char said[160];
        snprintf(said, sizeof said, "traceparent: %s\r\ntracestate: a=b\r\n", wrong[i]);
        assert_null(strstr(forwarded("192.0.2.7", false, said), "tracestate"));
        assert_non_null(strstr(written, "\r\ntraceparent: 00-"));
        assert_int_equal(trace_id().len, 32);
        assert_null(strstr(written, "0af7651916cd43dd"));
    }
    assert_null(strstr(forwarded("192.0.2.7", false, TRACE TRACE), "0af7651916cd43dd"));
    const char *later =
        "traceparent: 01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x\r\n";
    assert_non_null(strstr(forwarded("192.0.2.7", false, later), later));
    assert_memory_equal(trace_id().at, "0af7651916cd43dd", 16);
}

static void append_adds_to_what_a_trusted_proxy_said(void **state)
{
    (void)state;
    route.forwarded = FORWARDED_APPEND;
    const char *said = TRACE "X-Forwarded-For: 6.6.6.6, 7.7.7.7\r\nX-Forwarded-For: 8.8.8.8\r\n"
                             "Forwarded: for=6.6.6.6\r\nX-Forwarded-Proto: https\r\n";
    assert_string_equal(forwarded("2001:db8::7", true, said),
                        "GET /p HTTP/1.1\r\nHost: h.test\r\n" TRACE "X-Forwarded-Proto: https\r\n"
                        "Forwarded: for=6.6.6.6, for=\"[2001:db8::7]\";proto=http\r\n"
                        "X-Forwarded-For: 6.6.6.6, 7.7.7.7, 8.8.8.8, 2001:db8::7\r\n"
                        "X-Forwarded-Host: h.test\r\nVia: 1.1 weir\r\n\r\n");
    assert_null(strstr(forwarded("192.0.2.7", false, said), "6.6.6.6"));
    assert_non_null(strstr(written, "X-Forwarded-For: 192.0.2.7\r\n"));
    assert_non_null(strstr(written, "X-Forwarded-Proto: http\r\n"));
}

static void a_chain_that_is_too_long_is_begun_anew(void **state)
{
    (void)state;
    route.forwarded = FORWARDED_APPEND;
    struct http_field long_ones[8];
    char value[1000];
    memset(value, 'a', sizeof value);
    for (int i = 0; i < 8; i++) {
        long_ones[i] = (struct http_field){.name = SLICE("X-Forwarded-For"),
                                           .value = {value, sizeof value},
                                           .id = HTTP_X_FORWARDED_FOR};
    }
    struct http_head long_head = {
        .fields = long_ones, .field_count = 8, .present = UINT64_C(1) << HTTP_X_FORWARDED_FOR};
    struct http_peer peer = peer_of("192.0.2.7");
    forward_rules_init(&rules, &route);
    forward_request(&forward, &rules, &peer, true, &long_head);
    assert_int_equal(long_head.added[0].value.len, 9);
}

static void off_says_nothing(void **state)
{
    (void)state;
    route.forwarded = FORWARDED_OFF;
    assert_string_equal(forwarded("192.0.2.7", true, TRACE "X-Forwarded-For: 6.6.6.6\r\n"),
                        "GET /p HTTP/1.1\r\nHost: h.test\r\n" TRACE "\r\n");
    struct http_head answer = {0};
    forward_answer(&rules, &answer);
    assert_int_equal(answer.added_count, 0);
    rules.policy = FORWARDED_REPLACE;
    forward_answer(&rules, &answer);
    assert_int_equal(answer.added_count, 1);
}

static void a_trace_is_started_where_there_is_none(void **state)
{
    (void)state;
    forwarded("192.0.2.7", false, "");
    const char *at = strstr(written, "traceparent: 00-");
    assert_non_null(at);
    assert_int_equal(strspn(at + 16, "0123456789abcdef"), 32);
    assert_int_equal(strspn(at + 49, "0123456789abcdef"), 16);
    assert_memory_equal(at + 65, "-01\r\n", 5);
    struct slice id = trace_id();
    assert_int_equal(id.len, 32);
    assert_memory_equal(id.at, at + 16, 32);
    forwarded("192.0.2.7", false, TRACE);
    assert_true(slice_is(trace_id(), "0af7651916cd43dd8448eb211c80319c"));
}

/* As it is written after forward_span(). */
static const char *with_span(const char *said, uint64_t begun, bool is_sampled)
{
    forwarded("192.0.2.7", false, said);
    if (begun != 0) {
        forward_same_trace(&forward, begun);
    }
    forward_span(&forward, 0x00f067aa0ba902b7, is_sampled, &head);
    const struct http1_writing writing = {0};
    ssize_t len = http1_write_request(&head, &writing, written, sizeof written - 1);
    assert_true(len > 0);
    written[len] = '\0';
    return written;
}

static void a_span_of_ours_is_the_parent_of_what_follows(void **state)
{
    (void)state;
    struct forward_parent parent;
    assert_non_null(strstr(with_span(TRACE, 0, true),
                           "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c"
                           "80319c-00f067aa0ba902b7-01\r\n"));
    assert_null(strstr(written, "b7ad6b7169203331"));
    assert_true(forward_parent_of(&head, &parent));
    assert_true(parent.is_sampled && parent.id == 0xb7ad6b7169203331);
    assert_non_null(strstr(with_span(TRACE, 0, false), "\r\n" TRACE));
    const char *later =
        "traceparent: 01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-x\r\n";
    assert_non_null(strstr(with_span(later, 0, true),
                           "\r\ntraceparent: 00-0af7651916cd43dd8448eb211c"
                           "80319c-00f067aa0ba902b7-03\r\n"));
    const char *at = strstr(with_span("", 0, true), "\r\ntraceparent: 00-");
    assert_memory_equal(at + 50, "-00f067aa0ba902b7-01\r\n", 22);
    at = strstr(with_span("", 0xfeed, false), "\r\ntraceparent: 00-");
    assert_memory_equal(at + 34, "000000000000feed-00f067aa0ba902b7-00\r\n", 38);
    assert_false(forward_parent_of(&head, &parent));
}

static void a_route_may_forbid_traces(void **state)
{
    (void)state;
    static const char *remove[] = {"traceparent"};
    struct config_route strict = route;
    strict.request_headers.remove = (struct config_texts){remove, 1};
    route = strict;
    assert_null(strstr(with_span(TRACE, 0, true), "traceparent"));
    assert_null(strstr(with_span("", 0, true), "traceparent"));
}

static void a_route_sets_and_removes(void **state)
{
    (void)state;
    static struct config_field set[] = {
        {"X-Set", "new"}, {"Via", "1.1 other"}, {"host", "inside.test"}};
    static const char *remove[] = {"cookie", "X-Forwarded-Host"};
    route.request_headers.set.at = set;
    route.request_headers.set.count = 3;
    route.request_headers.remove.at = remove;
    route.request_headers.remove.count = 2;
    assert_string_equal(
        forwarded("192.0.2.7", false, TRACE "x-set: old\r\nCookie: a=b\r\nX-Keep: 1\r\n"),
        "GET /p HTTP/1.1\r\nHost: inside.test\r\n" TRACE
        "X-Keep: 1\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
        "X-Set: new\r\nVia: 1.1 other\r\n\r\n");
}

static void trusted_proxies_are_ranges(void **state)
{
    (void)state;
    static struct config_cidr ranges[] = {
        {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 0}, 104},
        {{0x20, 0x01, 0x0d, 0xb8, 0, 0x10}, 44},
    };
    struct config_listener listener = {.trusted_proxies = {ranges, 2}};
    uint8_t ten[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 9, 8, 7};
    assert_true(forward_trusts(&listener, ten));
    ten[12] = 11;
    assert_false(forward_trusts(&listener, ten));
    uint8_t six[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0x1f, 1};
    assert_true(forward_trusts(&listener, six));
    six[5] = 0x20;
    assert_false(forward_trusts(&listener, six));
    listener.trusted_proxies.count = 0;
    assert_false(forward_trusts(&listener, ten));
}

struct chain {
    const char *peer, *xff, *forwarded, *client;
};

static void bytes_of(const char *text, uint8_t ret[16])
{
    struct in6_addr six;
    char mapped[64];
    if (inet_pton(AF_INET6, text, &six) != 1) {
        snprintf(mapped, sizeof mapped, "::ffff:%s", text);
        assert_int_equal(inet_pton(AF_INET6, mapped, &six), 1);
    }
    memcpy(ret, &six, 16);
}

static void the_client_is_who_trusted_proxies_say(void **state)
{
    (void)state;
    static const struct chain chains[] = {
        {"10.0.0.1", NULL, NULL, "10.0.0.1"},
        {"192.0.2.1", "198.51.100.1", NULL, "192.0.2.1"}, /* not a proxy of ours */
        {"10.0.0.1", "198.51.100.1", NULL, "198.51.100.1"},
        {"10.0.0.1", "203.0.113.1, 198.51.100.1", NULL, "198.51.100.1"},
        {"10.0.0.1", "203.0.113.1,198.51.100.1 ,10.0.0.2", NULL, "198.51.100.1"},
        {"10.0.0.1", "10.0.0.3, 10.0.0.2", NULL, "10.0.0.3"}, /* nobody but proxies */
        {"10.0.0.1", "198.51.100.1, unknown", NULL, "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", NULL, "10.0.0.2"},
        {"10.0.0.1", "198.51.100.1:4711", NULL, "198.51.100.1"},
        {"10.0.0.1", "2001:db8::7", NULL, "2001:db8::7"},
        {"10.0.0.1", "[2001:db8::7]:4711", NULL, "2001:db8::7"},
        {"10.0.0.1", "\"[2001:db8::7]\"", NULL, "2001:db8::7"},
        {"10.0.0.1", "", NULL, "10.0.0.1"},
        {"10.0.0.1", ",", NULL, "10.0.0.1"},
        {"10.0.0.1", "[", NULL, "10.0.0.1"},
        {"10.0.0.1", ":", NULL, "10.0.0.1"},
        {"10.0.0.1", "\"", NULL, "10.0.0.1"},
        {"10.0.0.1", NULL, "for=198.51.100.1", "198.51.100.1"},
        {"10.0.0.1", NULL, "for=203.0.113.1, proto=http; For=\"[2001:db8::7]:47\"", "2001:db8::7"},
        {"10.0.0.1", NULL, "for=_hidden", "10.0.0.1"},
        {"10.0.0.1", NULL, "proto=http", "10.0.0.1"},
        {"10.0.0.1", "198.51.100.1", "for=203.0.113.1", "198.51.100.1"},
    };
    struct config_cidr ranges[1] = {{.bits = 104}};
    bytes_of("10.0.0.0", ranges[0].address);
    const struct config_listener listener = {.trusted_proxies = {ranges, 1}};
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        struct http_field own[2];
        struct http_head told = {.fields = own};
        struct http_peer peer = {.text = ""};
        uint8_t client[16], expected[16];
        bytes_of(chains[i].peer, peer.address);
        bytes_of(chains[i].client, expected);
        if (chains[i].xff != NULL) {
            own[told.field_count++] = (struct http_field){.name = SLICE("X-Forwarded-For"),
                                                          .value = slice_of(chains[i].xff),
                                                          .id = HTTP_X_FORWARDED_FOR};
            told.present |= UINT64_C(1) << HTTP_X_FORWARDED_FOR;
        }
        if (chains[i].forwarded != NULL) {
            own[told.field_count++] = (struct http_field){.name = SLICE("Forwarded"),
                                                          .value = slice_of(chains[i].forwarded),
                                                          .id = HTTP_FORWARDED};
            told.present |= UINT64_C(1) << HTTP_FORWARDED;
        }
        forward_client(&listener, &peer, &told, client);
        assert_memory_equal(client, expected, 16);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_client_is_who_trusted_proxies_say),
        cmocka_unit_test_setup(replace_says_what_we_see, setup),
        cmocka_unit_test_setup(no_other_word_of_the_origin_passes, setup),
        cmocka_unit_test_setup(a_trace_that_is_none_begins_anew, setup),
        cmocka_unit_test_setup(append_adds_to_what_a_trusted_proxy_said, setup),
        cmocka_unit_test_setup(a_chain_that_is_too_long_is_begun_anew, setup),
        cmocka_unit_test_setup(off_says_nothing, setup),
        cmocka_unit_test_setup(a_trace_is_started_where_there_is_none, setup),
        cmocka_unit_test_setup(a_span_of_ours_is_the_parent_of_what_follows, setup),
        cmocka_unit_test_setup(a_route_may_forbid_traces, setup),
        cmocka_unit_test_setup(a_route_sets_and_removes, setup),
        cmocka_unit_test_setup(trusted_proxies_are_ranges, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
