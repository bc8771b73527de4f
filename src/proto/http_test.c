/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that every version of HTTP shares, and the ways past many bytes at once.
 */
#include "proto/http.h"

#include "proto/http_chars.h"
#include "support/unit.h"

#include <string.h>

static const char *const known[HTTP_FIELD_IDS] = {
    [HTTP_HOST] = "Host",
    [HTTP_CONTENT_LENGTH] = "Content-Length",
    [HTTP_TRANSFER_ENCODING] = "Transfer-Encoding",
    [HTTP_CONNECTION] = "Connection",
    [HTTP_KEEP_ALIVE] = "Keep-Alive",
    [HTTP_PROXY_CONNECTION] = "Proxy-Connection",
    [HTTP_PROXY_AUTHENTICATE] = "Proxy-Authenticate",
    [HTTP_PROXY_AUTHORIZATION] = "Proxy-Authorization",
    [HTTP_TE] = "TE",
    [HTTP_TRAILER] = "Trailer",
    [HTTP_UPGRADE] = "Upgrade",
    [HTTP_HTTP2_SETTINGS] = "HTTP2-Settings",
    [HTTP_EXPECT] = "Expect",
    [HTTP_DATE] = "Date",
    [HTTP_SERVER] = "Server",
    [HTTP_VIA] = "Via",
    [HTTP_FORWARDED] = "Forwarded",
    [HTTP_X_FORWARDED_FOR] = "X-Forwarded-For",
    [HTTP_X_FORWARDED_PROTO] = "X-Forwarded-Proto",
    [HTTP_X_FORWARDED_HOST] = "X-Forwarded-Host",
    [HTTP_X_FORWARDED_MORE] = "X-Forwarded-Port",
    [HTTP_X_REAL_IP] = "X-Real-IP",
    [HTTP_AUTHORIZATION] = "Authorization",
    [HTTP_X_API_KEY] = "X-API-Key",
    [HTTP_COOKIE] = "Cookie",
    [HTTP_CONTENT_TYPE] = "Content-Type",
    [HTTP_CONTENT_ENCODING] = "Content-Encoding",
    [HTTP_RETRY_AFTER] = "Retry-After",
    [HTTP_IDEMPOTENCY_KEY] = "Idempotency-Key",
    [HTTP_TRACEPARENT] = "Traceparent",
    [HTTP_TRACESTATE] = "Tracestate",
    [HTTP_USER_AGENT] = "User-Agent",
    [HTTP_LAST_EVENT_ID] = "Last-Event-ID",
};

static void every_known_field_has_its_id(void **state)
{
    (void)state;
    for (int id = 1; id < HTTP_FIELD_IDS; id++) {
        char name[32];
        assert_non_null(known[id]);
        strcpy(name, known[id]);
        assert_int_equal(http_field_id_of(slice_of(name)), id);
        for (char *c = name; *c != 0; c++) {
            *c = text_lower(*c);
        }
        assert_int_equal(http_field_id_of(slice_of(name)), id);
        /* Any other last, middle or first byte is another name; so is one byte less. */
        struct slice text = slice_of(name);
        for (uint32_t i = 0; i < text.len; i++) {
            char was = name[i];
            name[i] = was == 'q' ? '_' : 'q';
            bool is_more = strncmp(name, "x-forwarded-", 12) == 0;
            assert_int_equal(http_field_id_of(text),
                             is_more ? HTTP_X_FORWARDED_MORE : HTTP_FIELD_OTHER);
            name[i] = was;
        }
        if (id != HTTP_X_FORWARDED_MORE) {
            assert_int_not_equal(http_field_id_of(slice_sub(text, 0, text.len - 1)), id);
            assert_true(slice_is(http_field_name((enum http_field_id)id), name));
        }
    }
    assert_int_equal(http_field_name(HTTP_FIELD_OTHER).len, 0);
    assert_int_equal(http_field_name(HTTP_X_FORWARDED_MORE).len, 0);
    assert_int_equal(http_field_id_of(SLICE("X-Forwarded-")), HTTP_FIELD_OTHER);
    assert_int_equal(http_field_id_of(SLICE("")), HTTP_FIELD_OTHER);
    assert_int_equal(http_field_id_of(SLICE("content_length")), HTTP_FIELD_OTHER);
}

static void every_known_method_has_its_id(void **state)
{
    (void)state;
    static const char *const methods[] = {"",       "GET",     "HEAD",  "POST",  "PUT",
                                          "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT"};
    for (int id = HTTP_GET; id <= HTTP_CONNECT; id++) {
        assert_int_equal(http_method_of(slice_of(methods[id])), id);
    }
    assert_int_equal(http_method_of(SLICE("get")), HTTP_METHOD_OTHER);
    assert_int_equal(http_method_of(SLICE("GETS")), HTTP_METHOD_OTHER);
    assert_int_equal(http_method_of(SLICE("")), HTTP_METHOD_OTHER);
}

/* --- bytes ----------------------------------------------------------------------------------- */

static bool is_token(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')
           || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static void bytes_are_what_the_standard_says(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool visible = c > 0x20 && c < 0x7f;
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_TOKEN), is_token(c));
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_VALUE),
                         visible || c == ' ' || c == '\t' || c >= 0x80);
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_TARGET), visible && c != '#');
        assert_int_equal(http_char_is((char)c, HTTP_CHAR_HOST),
                         is_token(c) && (c == 0 || strchr("!#$%&'*+^`|", c) == NULL));
    }
}

typedef const char *skip_fn(const char *at, const char *end);

/* Every byte at every place of a run of every length around the width of a vector. */
static void assert_skips(skip_fn *past, unsigned kind, char filler)
{
    char text[40];
    for (size_t len = 0; len <= sizeof text; len++) {
        memset(text, filler, sizeof text);
        assert_ptr_equal(past(text, text + len), text + len);
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                const char *wanted = http_skip_bytewise(text, text + len, kind);
                assert_ptr_equal(past(text, text + len), wanted);
            }
            text[at] = filler;
        }
    }
}

/* The same with bytes in front that may be looked at. */
#define BEHIND(past)                                                                               \
    static const char *past##_behind_something(const char *at, const char *end)                    \
    {                                                                                              \
        char text[64];                                                                             \
        size_t len = (size_t)(end - at);                                                           \
        memset(text, '\r', 20);                                                                    \
        memcpy(text + 20, at, len);                                                                \
        return at + (http_skip_##past##_in(text, text + 20, text + 20 + len) - (text + 20));       \
    }
BEHIND(token)
BEHIND(target)
BEHIND(value)

static void vectors_skip_what_bytes_skip(void **state)
{
    (void)state;
    assert_skips(http_skip_token, HTTP_CHAR_TOKEN, 'a');
    assert_skips(http_skip_token, HTTP_CHAR_TOKEN, '|');
    assert_skips(http_skip_host, HTTP_CHAR_HOST, '7');
    assert_skips(http_skip_target, HTTP_CHAR_TARGET, '/');
    assert_skips(http_skip_value, HTTP_CHAR_VALUE, ' ');
    assert_skips(http_skip_value, HTTP_CHAR_VALUE, '\t');
    assert_skips(http_skip_value, HTTP_CHAR_VALUE, (char)0xff);
    assert_skips(token_behind_something, HTTP_CHAR_TOKEN, 'a');
    assert_skips(target_behind_something, HTTP_CHAR_TARGET, '/');
    assert_skips(value_behind_something, HTTP_CHAR_VALUE, '\t');
    assert_skips(http_skip_value_portable, HTTP_CHAR_VALUE, '~');
    assert_skips(http_skip_value_portable, HTTP_CHAR_VALUE, '\t');
    assert_skips(http_skip_value_portable, HTTP_CHAR_VALUE, (char)0x80);
}

static void names_and_values(void **state)
{
    (void)state;
    assert_true(http_name_valid(SLICE("X-a_b")));
    assert_false(http_name_valid(SLICE("")));
    assert_false(http_name_valid(SLICE("a b")));
    assert_false(http_name_valid(SLICE("a:")));
    assert_true(http_value_valid(SLICE("")));
    assert_true(http_value_valid(SLICE("a \t b")));
    assert_false(http_value_valid(SLICE(" a")));
    assert_false(http_value_valid(SLICE("a\t")));
    assert_false(http_value_valid(SLICE("a\r\nb")));
    assert_false(http_value_valid(SLICE("a\0b")));
}

static void authorities(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a", "a.b:1", "A-b_c~d.9", "1.2.3.4:0", "[::1]", "[::1]:80", "[1:2:3:4:5:6:7.8.9.10]"};
    static const char *const bad[] = {"",      ":80",    "a:",    "a:x",    "a:123456", "a:70000",
                                      "a@b",   "a/b",    "a b",   "a,b",    "a%41b",    "[]",
                                      "[1]",   "[::1",   "[::g]", "[::1]x", "a?b",      "a#b",
                                      "a:b:1", "[::1]:", "a\\b",  "a\"b",   "a;b",      "a=b",
                                      "*",     "ä",      "a\tb",  "a:+1"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(http_authority_valid(slice_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (http_authority_valid(slice_of(bad[i]))) {
            fail_msg("\"%s\" passed", bad[i]);
        }
    }
    char name[260];
    memset(name, 'a', sizeof name);
    assert_true(http_authority_valid((struct slice){name, 255}));
    assert_false(http_authority_valid((struct slice){name, 256}));
}

/* --- paths ----------------------------------------------------------------------------------- */

static void assert_path(const char *path, bool wanted)
{
    if (http_path_check(slice_of(path)) != wanted) {
        fail_msg("\"%s\" %s", path, wanted ? "was refused" : "passed");
    }
}

static void paths(void **state)
{
    (void)state;
    static const char *const good[] = {"/",
                                       "*",
                                       "//",
                                       "/a//b",
                                       "/...",
                                       "/a.b/c..d",
                                       "/.well-known/x",
                                       "/..a",
                                       "/a..",
                                       "/a%2Fb",
                                       "/a%20b",
                                       "/a%2e%2e/b",
                                       "/a?../..",
                                       "/a?%00&%zz",
                                       "/a;b/c",
                                       "/.../",
                                       "/a%5cb",
                                       "/%25%30%30",
                                       "/.%2e%2e/",
                                       "/;..",
                                       "/a?/../",
                                       "/a-path-that-is-longer-than-sixteen/x.html",
                                       "/%ff"};
    static const char *const bad[] = {"/.",
                                      "/..",
                                      "/./",
                                      "/../",
                                      "/a/.",
                                      "/a/..",
                                      "/a/./b",
                                      "/a/../b",
                                      "/%2e",
                                      "/%2E%2e",
                                      "/.%2e/b",
                                      "/a/%2e./b",
                                      "/a%2f..%2fb",
                                      "/a%2F../b",
                                      "/a\\..\\b",
                                      "/a%5c..",
                                      "/a/..%2fb",
                                      "/a%00",
                                      "/%00",
                                      "/a%",
                                      "/a%2",
                                      "/a%2g",
                                      "/%zz",
                                      "/a/..;x/b",
                                      "/a/..;/b",
                                      "/..;",
                                      "/.;a",
                                      "/..?a",
                                      "/.?",
                                      "/a/..%3bx/b",
                                      "/%2e%2e%2f",
                                      "/sixteen-bytes-to/../b",
                                      "/sixteen-bytes-t/../b",
                                      "/sixteen-bytes-tt/../b",
                                      "/%2e%2e"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_path(good[i], true);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_path(bad[i], false);
    }
    /* A dot behind a slash at any place, across the seam of two vectors too. */
    char path[64];
    for (unsigned at = 1; at < 60; at++) {
        memset(path, 'a', sizeof path);
        path[0] = '/';
        memcpy(path + at, "/../", 4);
        assert_false(http_path_check((struct slice){path, sizeof path}));
    }
}

/* --- hop by hop, trailers -------------------------------------------------------------------- */

static void add(struct http_head *head, const char *name, const char *value)
{
    struct http_field *field = &head->fields[head->field_count++];
    *field = (struct http_field){.name = slice_of(name), .value = slice_of(value)};
    field->id = (uint8_t)http_field_id_of(field->name);
    head->present |= 1ULL << field->id;
}

static void connection_says_what_goes_no_further(void **state)
{
    (void)state;
    struct http_field fields[8];
    struct http_head head = {.fields = fields};
    add(&head, "X-One", "1");
    add(&head, "Connection", "close, x-one,content-length ,HOST");
    add(&head, "Content-Length", "1");
    add(&head, "Host", "t");
    add(&head, "connection", "Upgrade,\tkeep-alive");
    add(&head, "Keep-Alive", "1");
    add(&head, "X-Two", "1");
    unsigned words = 0;
    assert_true(http_drop_hop_by_hop(&head, 9, &words));
    assert_int_equal(words,
                     HTTP_CONNECTION_CLOSE | HTTP_CONNECTION_KEEP_ALIVE | HTTP_CONNECTION_UPGRADE);
    static const bool wanted[] = {true, true, false, false, true, true, false};
    for (unsigned i = 0; i < head.field_count; i++) {
        assert_int_equal(fields[i].drop, wanted[i]);
    }
    assert_true(http_drop_hop_by_hop(&head, 6, &words));
    assert_false(http_drop_hop_by_hop(&head, 5, &words));
}

static void trailers_may_not_rule(void **state)
{
    (void)state;
    static const char *const good[] = {"X-Sum", "ETag", "grpc-status", "Server-Timing", "Digest"};
    static const char *const bad[] = {"Content-Length",
                                      "transfer-encoding",
                                      "HOST",
                                      "Connection",
                                      "TE",
                                      "Trailer",
                                      "Authorization",
                                      "Cookie",
                                      "Set-Cookie",
                                      "Cache-Control",
                                      "Content-Type",
                                      "Content-Encoding",
                                      "X-Forwarded-For",
                                      "Forwarded",
                                      "Expect",
                                      "Range",
                                      "Location",
                                      "WWW-Authenticate",
                                      "X-Api-Key",
                                      "Upgrade"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(http_trailer_allowed(slice_of(good[i])));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(http_trailer_allowed(slice_of(bad[i])));
    }
}

static void reasons(void **state)
{
    (void)state;
    assert_true(slice_is(http_reason_of(200), "OK"));
    assert_true(slice_is(http_reason_of(431), "Request Header Fields Too Large"));
    assert_true(slice_is(http_reason_of(299), "Unknown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_known_field_has_its_id),
        cmocka_unit_test(every_known_method_has_its_id),
        cmocka_unit_test(bytes_are_what_the_standard_says),
        cmocka_unit_test(vectors_skip_what_bytes_skip),
        cmocka_unit_test(names_and_values),
        cmocka_unit_test(authorities),
        cmocka_unit_test(paths),
        cmocka_unit_test(connection_says_what_goes_no_further),
        cmocka_unit_test(trailers_may_not_rule),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
