/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads: each rule of RFC 9112 that is kept, as rows of bytes and their verdict. Every row is
 * parsed whole and byte by byte, each time from memory of exactly its size, and has to get the same
 * verdict.
 */
#include "proto/http1.h"

#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct http_field room[HTTP_FIELDS_MAX];

/* A head that outlives the buffer it was parsed from is of no use: tests that read slices keep it
 * here. */
static char kept[1 << 16];

struct row {
    const char *name;
    const char *bytes;
    size_t len;
    enum http1_error error; /* HTTP1_FINE: accepted, all of it */
};
#define ROW(name, bytes, error)                                                                    \
    {                                                                                              \
        name, bytes, sizeof(bytes) - 1, error                                                      \
    }
#define OK(name, bytes) ROW(name, bytes, HTTP1_FINE)

static ssize_t parse(bool request, struct http1_progress *progress, const char *buf, size_t len,
                     struct http_head *head)
{
    head->fields = room;
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    return request ? http1_parse_request(progress, buf, len, &limits, head)
                   : http1_parse_response(progress, buf, len, &limits,
                                          (struct http1_asked){HTTP_GET, false}, head);
}

/* The first len bytes in memory of their own, so that one read too far is seen. */
static ssize_t parse_exactly(bool request, struct http1_progress *progress, const char *bytes,
                             size_t len)
{
    char *copy = malloc(len + 1);
    assert_non_null(copy);
    memcpy(copy + 1, bytes, len);
    struct http_head head;
    ssize_t result = parse(request, progress, copy + 1, len, &head);
    free(copy);
    return result;
}

static ssize_t drip(bool request, const char *bytes, size_t len)
{
    struct http1_progress progress = {0};
    ssize_t result = 0;
    for (size_t n = 1; n <= len && result == 0; n++) {
        result = parse_exactly(request, &progress, bytes, n);
    }
    return result;
}

static void judge_rows(bool request, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct http1_progress progress = {0};
        ssize_t whole = parse_exactly(request, &progress, row->bytes, row->len);
        ssize_t wanted = row->error == HTTP1_FINE ? (ssize_t)row->len : -(ssize_t)row->error;
        if (whole != wanted || drip(request, row->bytes, row->len) != wanted) {
            fail_msg("%s: %zd, dripped %zd, wanted %zd", row->name, whole,
                     drip(request, row->bytes, row->len), wanted);
        }
    }
}
#define judge_requests(rows) judge_rows(true, rows, sizeof(rows) / sizeof(rows)[0])
#define judge_answers(rows)  judge_rows(false, rows, sizeof(rows) / sizeof(rows)[0])

static struct http_head request_of(const char *bytes)
{
    struct http_head head;
    struct http1_progress progress = {0};
    strcpy(kept, bytes);
    ssize_t result = parse(true, &progress, kept, strlen(kept), &head);
    if (result <= 0) {
        fail_msg("refused: %s", http1_error_word((enum http1_error) - result));
    }
    return head;
}

static struct http_head answer_to(const char *bytes, struct http1_asked asked)
{
    struct http_head head = {.fields = room};
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    strcpy(kept, bytes);
    ssize_t result = http1_parse_response(&progress, kept, strlen(kept), &limits, asked, &head);
    if (result <= 0) {
        fail_msg("refused: %s", http1_error_word((enum http1_error) - result));
    }
    return head;
}

static struct http_head answer_of(const char *bytes)
{
    return answer_to(bytes, (struct http1_asked){HTTP_GET, false});
}

static void assert_slice(struct slice text, const char *wanted)
{
    if (!slice_is(text, wanted)) {
        fail_msg("\"%.*s\" is not \"%s\"", SLICE_ARG(text), wanted);
    }
}

#define HOST          "Host: t\r\n"
#define GET(target)   "GET " target " HTTP/1.1\r\n" HOST "\r\n"
#define WITH(fields)  "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields)  "POST / HTTP/1.1\r\n" HOST fields "\r\n"
#define HOSTED(field) "GET / HTTP/1.1\r\n" field "\r\n"

/* --- start line ------------------------------------------------------------------------------ */

static void start_lines(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("plain", GET("/")),
        OK("query", GET("/a/b?c=d&e=%20")),
        OK("one empty line before it", "\r\n" GET("/")),
        OK("unknown method", "BREW / HTTP/1.1\r\n" HOST "\r\n"),
        OK("token method", "!#$%&'*+-.^_`|~1 / HTTP/1.1\r\n" HOST "\r\n"),
        OK("http/1.0 without host", "GET / HTTP/1.0\r\n\r\n"),
        OK("options *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n"),
        OK("odd but visible", GET("/<>\"{}|^`[]\\x")),
        ROW("two empty lines before it", "\r\n\r\n" GET("/"), HTTP1_BAD_METHOD),
        ROW("bare LF before it", "\n" GET("/"), HTTP1_BAD_METHOD),
        ROW("bare CR before it", "\r" GET("/"), HTTP1_BAD_METHOD),
        ROW("space before it", " " GET("/"), HTTP1_BAD_METHOD),
        ROW("empty method", " / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD),
        ROW("control in method", "G\x01T / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD),
        ROW("NUL in method", "G\0T / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD),
        ROW("method of 33", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n", HTTP1_BAD_METHOD),
        ROW("TLS", "\x16\x03\x01\x02\x00\x01\x00", HTTP1_BAD_METHOD),
        ROW("high bytes", "\x80\xff\r\n\r\n", HTTP1_BAD_METHOD),
        ROW("connect", "CONNECT t:443 HTTP/1.1\r\nHost: t:443\r\n\r\n", HTTP1_BAD_METHOD_REFUSED),
        ROW("connect to a path", "CONNECT / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD_REFUSED),
        ROW("trace", "TRACE / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD_REFUSED),
        ROW("two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_TARGET),
        ROW("tab", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_METHOD),
        ROW("space in target", GET("/a b"), HTTP1_BAD_START_LINE),
        ROW("NUL in target", GET("/a\0b"), HTTP1_BAD_TARGET),
        ROW("tab in target", GET("/a\tb"), HTTP1_BAD_TARGET),
        ROW("DEL in target", GET("/a\x7f"), HTTP1_BAD_TARGET),
        ROW("high byte in target", GET("/\xc3\xa4"), HTTP1_BAD_TARGET),
        ROW("fragment", GET("/a#b"), HTTP1_BAD_TARGET),
        ROW("no slash", GET("a"), HTTP1_BAD_TARGET),
        ROW("* with get", GET("*"), HTTP1_BAD_TARGET),
        ROW("** with options", "OPTIONS ** HTTP/1.1\r\n" HOST "\r\n", HTTP1_BAD_TARGET),
        ROW("http/0.9", "GET /\r\n", HTTP1_BAD_TARGET),
        ROW("no version", "GET / \r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("lower-case version", "GET / http/1.1\r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("version 01.1", "GET / HTTP/01.1\r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("version 1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("version 1", "GET / HTTP/1\r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("version 1.2", "GET / HTTP/1.2\r\n", HTTP1_BAD_VERSION),
        ROW("version 2.0", "GET / HTTP/2.0\r\n", HTTP1_BAD_VERSION),
        ROW("version 9.9", "GET / HTTP/9.9\r\n", HTTP1_BAD_VERSION),
        ROW("h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP1_BAD_VERSION),
        ROW("space after version", "GET / HTTP/1.1 \r\n" HOST "\r\n", HTTP1_BAD_START_LINE),
        ROW("LF only", "GET / HTTP/1.1\nHost: t\n\n", HTTP1_BAD_START_LINE),
        ROW("CR only", "GET / HTTP/1.1\rHost: t\r\r", HTTP1_BAD_START_LINE),
        ROW("SSH", "SSH-2.0-OpenSSH_9.2\r\n", HTTP1_BAD_METHOD),
    };
    judge_requests(rows);
}

static void targets(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("absolute, same host", "GET http://t/a HTTP/1.1\r\nHost: t\r\n\r\n"),
        OK("case does not count", "GET HTTP://T/a HTTP/1.1\r\nHost: t\r\n\r\n"),
        OK("default port", "GET http://t:80/a HTTP/1.1\r\nHost: t\r\n\r\n"),
        OK("default port in Host", "GET https://t/a HTTP/1.1\r\nHost: t:443\r\n\r\n"),
        OK("absolute in 1.0", "GET http://t/a HTTP/1.0\r\n\r\n"),
        ROW("other host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", HTTP1_BAD_HOST),
        ROW("other port", "GET http://t:81/ HTTP/1.1\r\nHost: t\r\n\r\n", HTTP1_BAD_HOST),
        ROW("port of the other scheme", "GET http://t:443/ HTTP/1.1\r\nHost: t\r\n\r\n",
            HTTP1_BAD_HOST),
        ROW("absolute without Host", "GET http://t/ HTTP/1.1\r\n\r\n", HTTP1_BAD_HOST),
        ROW("ftp", GET("ftp://t/"), HTTP1_BAD_TARGET),
        ROW("no authority", GET("http:///a"), HTTP1_BAD_TARGET),
        ROW("scheme only", GET("http://"), HTTP1_BAD_TARGET),
        ROW("userinfo", GET("http://u@t/"), HTTP1_BAD_TARGET),
        ROW("query without path", GET("http://t?a"), HTTP1_BAD_TARGET),
        ROW("absolute with dots", GET("http://t/../a"), HTTP1_BAD_PATH),
        ROW("%00", GET("/a%00b"), HTTP1_BAD_PATH),
        ROW("..", GET("/a/../b"), HTTP1_BAD_PATH),
        ROW("%2e%2e", GET("/a/%2e%2E/b"), HTTP1_BAD_PATH),
    };
    judge_requests(rows);
    assert_slice(request_of("GET http://t:80/a?b HTTP/1.1\r\nHost: t\r\n\r\n").path, "/a?b");
    assert_slice(request_of("GET http://t HTTP/1.1\r\nHost: t\r\n\r\n").path, "/");
    assert_slice(request_of("OPTIONS http://t HTTP/1.1\r\nHost: t\r\n\r\n").path, "*");
    assert_slice(request_of("GET http://a/ HTTP/1.0\r\n\r\n").authority, "a");
    assert_slice(request_of("GET / HTTP/1.0\r\n\r\n").authority, "");
    assert_slice(request_of("GET //x/%2F?../ HTTP/1.1\r\nHost: t\r\n\r\n").path, "//x/%2F?../");
}

/* --- fields ---------------------------------------------------------------------------------- */

static void field_lines(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("no space after colon", WITH("A:b\r\n")),
        OK("empty value", WITH("A:\r\n")),
        OK("blank value", WITH("A: \t \r\n")),
        OK("blanks around", WITH("A: \t b \t\r\n")),
        OK("tab inside", WITH("A: b\tc\r\n")),
        OK("high bytes in value", WITH("A: \x80\xff\r\n")),
        OK("token name", WITH("!#$%&'*+-.^_`|~09azAZ: b\r\n")),
        OK("long name", WITH("a-name-that-is-longer-than-sixteen-bytes: b\r\n")),
        ROW("no colon", WITH("Bad\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("empty name", WITH(": v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("space in name", WITH("A b: v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("space before colon", WITH("A : v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("tab before colon", WITH("A\t: v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("NUL in name", WITH("A\0b: v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("parenthesis in name", WITH("A(b): v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("high byte in name", WITH("A\xe4: v\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("NUL in value", WITH("A: v\0w\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("bare CR in value", WITH("A: v\rw\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("CR CR LF", WITH("A: v\r\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("bare LF in value", WITH("A: v\nw\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("BEL in value", WITH("A: v\aw\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("DEL in value", WITH("A: v\x7fw\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("folded", WITH("A: v\r\n w\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("folded by a tab", WITH("A: v\r\n\tw\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("space before the first", "GET / HTTP/1.1\r\n Host: t\r\n\r\n", HTTP1_BAD_FIELD_NAME),
        ROW("LF ends a line", WITH("A: v\nB: w\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("LF ends the head", "GET / HTTP/1.1\r\n" HOST "\n", HTTP1_BAD_FIELD_NAME),
        ROW("CR ends the head", "GET / HTTP/1.1\r\n" HOST "\rx", HTTP1_BAD_FIELD_NAME),
        ROW("coding behind a bare CR", POST("X: y\rTransfer-Encoding: chunked\r\n"),
            HTTP1_BAD_FIELD_VALUE),
        ROW("folded coding", POST("Transfer-Encoding:\r\n chunked\r\n"), HTTP1_BAD_FIELD_NAME),
    };
    judge_requests(rows);
}

static void slices_are_exact(void **state)
{
    (void)state;
    struct http_head head = request_of("PUT /x HTTP/1.1\r\nHost: t:8\r\nX_Under:  a  b \t\r\n"
                                       "aNoThEr:\r\nContent-Length: 12\r\n\r\nbody");
    assert_slice(head.method, "PUT");
    assert_int_equal(head.method_id, HTTP_PUT);
    assert_slice(head.target, "/x");
    assert_slice(head.authority, "t:8");
    assert_int_equal(head.field_count, 4);
    assert_slice(head.fields[1].name, "X_Under");
    assert_slice(head.fields[1].value, "a  b");
    assert_false(head.fields[1].wire);
    assert_slice(head.fields[2].name, "aNoThEr");
    assert_slice(head.fields[2].value, "");
    assert_true(head.fields[3].wire);
    assert_int_equal(head.fields[3].id, HTTP_CONTENT_LENGTH);
    assert_true(http_has(&head, HTTP_HOST) && http_has(&head, HTTP_CONTENT_LENGTH));
    assert_false(http_has(&head, HTTP_FIELD_OTHER) || http_has(&head, HTTP_DATE));
    assert_ptr_equal(http_find(&head, HTTP_HOST), &head.fields[0]);
    assert_null(http_find(&head, HTTP_DATE));
}

static void hosts(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("name", HOSTED("Host: a-b_c.example\r\n")),
        OK("port", HOSTED("Host: a:65535\r\n")),
        OK("IPv4", HOSTED("Host: 127.0.0.1:8080\r\n")),
        OK("IPv6", HOSTED("Host: [::1]:8080\r\n")),
        OK("IPv6 with IPv4", HOSTED("Host: [::ffff:1.2.3.4]\r\n")),
        ROW("missing", HOSTED(""), HTTP1_BAD_HOST),
        ROW("empty", HOSTED("Host:\r\n"), HTTP1_BAD_HOST),
        ROW("twice", HOSTED("Host: t\r\nHost: t\r\n"), HTTP1_BAD_HOST),
        ROW("twice, other case", HOSTED("Host: t\r\nhOST: u\r\n"), HTTP1_BAD_HOST),
        ROW("twice in 1.0", "GET / HTTP/1.0\r\nHost: t\r\nHost: t\r\n\r\n", HTTP1_BAD_HOST),
        ROW("list", HOSTED("Host: a, b\r\n"), HTTP1_BAD_HOST),
        ROW("list without space", HOSTED("Host: a,b\r\n"), HTTP1_BAD_HOST),
        ROW("userinfo", HOSTED("Host: u@a\r\n"), HTTP1_BAD_HOST),
        ROW("path", HOSTED("Host: a/b\r\n"), HTTP1_BAD_HOST),
        ROW("space", HOSTED("Host: a b\r\n"), HTTP1_BAD_HOST),
        ROW("escape", HOSTED("Host: a%2fb\r\n"), HTTP1_BAD_HOST),
        ROW("bad port", HOSTED("Host: a:8x\r\n"), HTTP1_BAD_HOST),
        ROW("empty port", HOSTED("Host: a:\r\n"), HTTP1_BAD_HOST),
        ROW("large port", HOSTED("Host: a:65536\r\n"), HTTP1_BAD_HOST),
        ROW("two ports", HOSTED("Host: a:1:2\r\n"), HTTP1_BAD_HOST),
        ROW("open bracket", HOSTED("Host: [::1\r\n"), HTTP1_BAD_HOST),
        ROW("zone", HOSTED("Host: [fe80::1%25eth0]\r\n"), HTTP1_BAD_HOST),
        ROW("text behind the bracket", HOSTED("Host: [::1]a\r\n"), HTTP1_BAD_HOST),
        ROW("high byte", HOSTED("Host: \xc3\xa4\r\n"), HTTP1_BAD_HOST),
    };
    judge_requests(rows);
}

/* --- framing --------------------------------------------------------------------------------- */

#define CL "Content-Length"
#define TE "Transfer-Encoding"

static void framing(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("length", POST(CL ": 5\r\n")),
        OK("largest length", POST(CL ": 9223372036854775807\r\n")),
        OK("chunked", POST(TE ": chunked\r\n")),
        OK("chunked in any case", POST("transfer-encoding: ChunKed \r\n")),
        OK("length named by Connection", POST(CL ": 5\r\nConnection: content-length\r\n")),
        ROW("both", POST(CL ": 5\r\n" TE ": chunked\r\n"), HTTP1_BAD_LENGTH_AND_CODING),
        ROW("both, other order", POST(TE ": chunked\r\n" CL ": 5\r\n"),
            HTTP1_BAD_LENGTH_AND_CODING),
        ROW("two lengths", POST(CL ": 5\r\n" CL ": 6\r\n"), HTTP1_BAD_LENGTH),
        ROW("two equal lengths", POST(CL ": 5\r\n" CL ": 5\r\n"), HTTP1_BAD_LENGTH),
        ROW("list", POST(CL ": 5,6\r\n"), HTTP1_BAD_LENGTH),
        ROW("equal list", POST(CL ": 5, 5\r\n"), HTTP1_BAD_LENGTH),
        ROW("negative", POST(CL ": -1\r\n"), HTTP1_BAD_LENGTH),
        ROW("plus", POST(CL ": +5\r\n"), HTTP1_BAD_LENGTH),
        ROW("hex", POST(CL ": 0x5\r\n"), HTTP1_BAD_LENGTH),
        ROW("underscore", POST(CL ": 1_0\r\n"), HTTP1_BAD_LENGTH),
        ROW("empty", POST(CL ":\r\n"), HTTP1_BAD_LENGTH),
        ROW("two to the 63", POST(CL ": 9223372036854775808\r\n"), HTTP1_BAD_LENGTH),
        ROW("two to the 64", POST(CL ": 18446744073709551616\r\n"), HTTP1_BAD_LENGTH),
        ROW("far over", POST(CL ": 99999999999999999999999999999999\r\n"), HTTP1_BAD_LENGTH),
        ROW("fraction", POST(CL ": 5.0\r\n"), HTTP1_BAD_LENGTH),
        ROW("two words", POST(CL ": 5 5\r\n"), HTTP1_BAD_LENGTH),
        ROW("NUL", POST(CL ": 5\0\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("space before colon", POST(CL " : 5\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("coding space before colon", POST(TE " : chunked\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("unknown", POST(TE ": xchunked\r\n"), HTTP1_BAD_CODING),
        ROW("chunkedx", POST(TE ": chunkedx\r\n"), HTTP1_BAD_CODING),
        ROW("chunked not last", POST(TE ": chunked, gzip\r\n"), HTTP1_BAD_CODING),
        ROW("identity", POST(TE ": identity\r\n"), HTTP1_BAD_CODING),
        ROW("gzip alone", POST(TE ": gzip\r\n"), HTTP1_BAD_CODING),
        ROW("vertical tab", POST(TE ": \vchunked\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("quoted", POST(TE ": \"chunked\"\r\n"), HTTP1_BAD_CODING),
        ROW("twice in a list", POST(TE ": chunked, chunked\r\n"), HTTP1_BAD_CODING),
        ROW("parameter", POST(TE ": chunked;q=1\r\n"), HTTP1_BAD_CODING),
        ROW("empty coding", POST(TE ":\r\n"), HTTP1_BAD_CODING),
        ROW("trailing comma", POST(TE ": chunked,\r\n"), HTTP1_BAD_CODING),
        ROW("leading comma", POST(TE ": ,chunked\r\n"), HTTP1_BAD_CODING),
        ROW("two lines", POST(TE ": chunked\r\n" TE ": chunked\r\n"), HTTP1_BAD_CODING),
        ROW("two lines that differ", POST(TE ": gzip\r\n" TE ": chunked\r\n"), HTTP1_BAD_CODING),
        ROW("gzip, chunked", POST(TE ": gzip, chunked\r\n"), HTTP1_BAD_CODING_UNKNOWN),
        ROW("in 1.0", "POST / HTTP/1.0\r\n" HOST TE ": chunked\r\n\r\n", HTTP1_BAD_CODING),
    };
    judge_requests(rows);
    assert_int_equal(request_of(GET("/")).framing, HTTP_NO_BODY);
    assert_int_equal(request_of(POST(TE ": chunked\r\n")).framing, HTTP_CHUNKED);
    struct http_head head = request_of(POST(CL ": 0005\r\nConnection: content-length, host\r\n"));
    assert_int_equal(head.framing, HTTP_LENGTH);
    assert_int_equal(head.content_length, 5);
    assert_false(head.fields[0].drop || head.fields[1].drop);
    head = request_of(POST(CL ": 0\r\n"));
    assert_int_equal(head.framing, HTTP_NO_BODY);
    assert_true(http_has(&head, HTTP_CONTENT_LENGTH));
}

/* --- connection ------------------------------------------------------------------------------ */

static void keep_alive(void **state)
{
    (void)state;
    assert_true(request_of(GET("/")).keep_alive);
    assert_true(request_of(WITH("Connection: keep-alive\r\n")).keep_alive);
    assert_false(request_of(WITH("Connection: close\r\n")).keep_alive);
    assert_false(request_of(WITH("Connection: foo , CLOSE\r\n")).keep_alive);
    assert_false(request_of(WITH("Connection: foo\r\nConnection: close\r\n")).keep_alive);
    assert_false(request_of("GET / HTTP/1.0\r\n\r\n").keep_alive);
    assert_true(request_of("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    assert_false(request_of("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

static void hop_by_hop_is_marked(void **state)
{
    (void)state;
    struct http_head head =
        request_of(WITH("Connection: x-a, ,X-B\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\nKeep-Alive: 5\r\n"
                        "Proxy-Connection: x\r\nTE: trailers\r\nUpgrade: x\r\n"
                        "HTTP2-Settings: x\r\nProxy-Authorization: x\r\nx-a: 4\r\n"));
    static const bool wanted[] = {false, true, true, true, false, true,
                                  true,  true, true, true, true,  true};
    assert_int_equal(head.field_count, sizeof wanted);
    for (unsigned i = 0; i < head.field_count; i++) {
        assert_int_equal(head.fields[i].drop, wanted[i]);
    }
}

static void connection_names_are_bounded(void **state)
{
    (void)state;
    char text[1024] = "GET / HTTP/1.1\r\nHost: t\r\nConnection: close";
    for (int i = 1; i < HTTP1_NAMED_MAX; i++) {
        strcat(text, ",a");
    }
    size_t len = strlen(text);
    strcat(text, "\r\n\r\n");
    assert_false(request_of(text).keep_alive);
    strcpy(text + len, ",a\r\n\r\n");
    struct http1_progress progress = {0};
    assert_int_equal(parse_exactly(true, &progress, text, strlen(text)), -HTTP1_BAD_CONNECTION);
}

static void upgrades(void **state)
{
    (void)state;
    assert_true(request_of(WITH("Connection: Upgrade\r\nUpgrade: websocket\r\n")).upgrade);
    assert_true(request_of(WITH("Upgrade: foo/1\r\nConnection: a, upgrade\r\n")).upgrade);
    assert_false(request_of(WITH("Upgrade: websocket\r\n")).upgrade);
    assert_false(request_of(WITH("Connection: upgrade\r\n")).upgrade);
    assert_false(request_of(WITH("Connection: upgrade\r\nUpgrade:\r\n")).upgrade);
    assert_false(request_of(WITH("Connection: upgrade\r\nUpgrade: h2c\r\n")).upgrade);
    assert_false(request_of(WITH("Connection: upgrade\r\nUpgrade: websocket, H2C\r\n")).upgrade);
    assert_false(request_of(WITH("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n")).upgrade);
    assert_false(
        request_of("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
}

static void expectations(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("continue", POST(CL ": 5\r\nExpect: 100-Continue\r\n")),
        OK("anything in 1.0", "POST / HTTP/1.0\r\n" CL ": 5\r\nExpect: 200-ok\r\n\r\n"),
        ROW("other", POST(CL ": 5\r\nExpect: 200-ok\r\n"), HTTP1_BAD_EXPECT),
        ROW("more", POST(CL ": 5\r\nExpect: 100-continue, x\r\n"), HTTP1_BAD_EXPECT),
        ROW("empty", POST(CL ": 5\r\nExpect:\r\n"), HTTP1_BAD_EXPECT),
        ROW("twice", POST(CL ": 5\r\nExpect: 100-continue\r\nExpect: 100-continue\r\n"),
            HTTP1_BAD_EXPECT),
    };
    judge_requests(rows);
    struct http_head head = request_of(POST(CL ": 5\r\nExpect: 100-continue\r\n"));
    assert_true(head.expect_continue);
    assert_false(head.fields[2].drop);
    head = request_of(POST("Expect: 100-continue\r\n"));
    assert_false(head.expect_continue);
    assert_true(head.fields[1].drop);
    head = request_of("POST / HTTP/1.0\r\n" CL ": 5\r\nExpect: x\r\nExpect: y\r\n\r\n");
    assert_false(head.expect_continue);
    assert_true(head.fields[1].drop && head.fields[2].drop);
}

/* --- limits ---------------------------------------------------------------------------------- */

/* before, then n times c, then after, parsed whole and in pieces. */
static void judge_long(const char *before, size_t n, const char *after, ssize_t wanted)
{
    size_t len = strlen(before) + n + strlen(after);
    char *text = malloc(len + 1);
    assert_non_null(text);
    strcpy(text, before);
    memset(text + strlen(before), 'a', n);
    strcpy(text + strlen(before) + n, after);
    wanted = wanted == 0 ? (ssize_t)len : wanted;
    struct http_head head;
    struct http1_progress progress = {0};
    assert_int_equal(parse(true, &progress, text, len, &head), wanted);
    ssize_t result = 0;
    for (size_t at = 997; result == 0 && at < len + 997; at += 997) {
        result = parse(true, &progress, text, at < len ? at : len, &head);
    }
    assert_int_equal(result, wanted);
    free(text);
}

static void sizes_are_bounded(void **state)
{
    (void)state;
    const char *rest = " HTTP/1.1\r\nHost: t\r\n\r\n";
    judge_long("GET /", 16383, rest, 0);
    judge_long("GET /", 16384, rest, -HTTP1_BAD_TARGET_LENGTH);
    judge_long("GET /", 1 << 20, rest, -HTTP1_BAD_TARGET_LENGTH);
    judge_long("", 70000, rest, -HTTP1_BAD_METHOD);
    const char *field = "GET / HTTP/1.1\r\nHost: t\r\nA: ";
    size_t fits = 32768 - strlen(field) - 4;
    judge_long(field, fits, "\r\n\r\n", 0);
    judge_long(field, fits + 1, "\r\n\r\n", -HTTP1_BAD_HEAD_SIZE);
    judge_long(field, 1 << 20, "\r\n\r\n", -HTTP1_BAD_HEAD_SIZE);
    judge_long("GET / HTTP/1.1\r\nHost: t\r\n", 40000, ": x\r\n\r\n", -HTTP1_BAD_HEAD_SIZE);
}

static void fields_are_counted(void **state)
{
    (void)state;
    char text[2048] = "GET / HTTP/1.1\r\nHost: t\r\n";
    for (int i = 0; i < 99; i++) {
        strcat(text, "A: b\r\n");
    }
    size_t len = strlen(text);
    strcat(text, "\r\n");
    assert_int_equal(request_of(text).field_count, 100);
    strcpy(text + len, "A: b\r\n\r\n");
    struct http1_progress progress = {0};
    assert_int_equal(parse_exactly(true, &progress, text, strlen(text)), -HTTP1_BAD_FIELD_COUNT);
    assert_int_equal(drip(true, text, strlen(text)), -HTTP1_BAD_FIELD_COUNT);
}

static void limits_may_be_narrower(void **state)
{
    (void)state;
    const struct http1_limits narrow = {
        .head_bytes_max = 40, .target_bytes_max = 40, .trailer_bytes_max = 10, .fields_max = 1};
    struct http_head head = {.fields = room};
    struct http1_progress progress = {0};
    const char *text = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    assert_int_equal(http1_parse_request(&progress, text, 40, &narrow, &head),
                     -HTTP1_BAD_TARGET_LENGTH);
    text = "GET / HTTP/1.1\r\nHost: t\r\nA";
    assert_int_equal(http1_parse_request(&progress, text, strlen(text), &narrow, &head),
                     -HTTP1_BAD_FIELD_COUNT);
    text = "HTTP/1.1 200 a reason that is longer than the limit\r\n";
    assert_int_equal(http1_parse_response(&progress, text, strlen(text), &narrow,
                                          (struct http1_asked){0}, &head),
                     -HTTP1_BAD_HEAD_SIZE);
}

static void garbage_is_refused_at_once(void **state)
{
    (void)state;
    struct http1_progress progress = {0};
    assert_int_equal(parse_exactly(true, &progress, "\x16", 1), -HTTP1_BAD_METHOD);
    assert_int_equal(parse_exactly(true, &progress, "GET / HTTQ", 10), -HTTP1_BAD_START_LINE);
    assert_int_equal(parse_exactly(true, &progress, "CONNECT a:1 HTTP/1.1\r\n", 22),
                     -HTTP1_BAD_METHOD_REFUSED);
    assert_int_equal(parse_exactly(true, &progress, "GET / HTTP/1.1\r\n:", 17),
                     -HTTP1_BAD_FIELD_NAME);
    assert_int_equal(parse_exactly(false, &progress, "S", 1), -HTTP1_BAD_STATUS);
    assert_int_equal(progress.judged, 0);
}

static void progress_is_kept_and_dropped(void **state)
{
    (void)state;
    const char *text = GET("/");
    struct http1_progress progress = {0};
    assert_int_equal(parse_exactly(true, &progress, text, 0), 0);
    assert_int_equal(parse_exactly(true, &progress, text, 10), 0);
    assert_int_equal(progress.judged, 10);
    assert_int_equal(parse_exactly(true, &progress, text, 10), 0);
    assert_int_equal(parse_exactly(true, &progress, text, strlen(text)), strlen(text));
    assert_int_equal(progress.judged, 0);
}

static void pipelined_bytes_stay(void **state)
{
    (void)state;
    const char *text = GET("/1") GET("/2");
    struct http_head head;
    struct http1_progress progress = {0};
    ssize_t first = parse(true, &progress, text, strlen(text), &head);
    assert_int_equal(first, strlen(GET("/1")));
    assert_slice(head.path, "/1");
    assert_int_equal(parse(true, &progress, text + first, strlen(text) - (size_t)first, &head),
                     strlen(GET("/2")));
    assert_slice(head.path, "/2");
}

/* --- answers --------------------------------------------------------------------------------- */

#define STATUS(line) "HTTP/1.1 " line "\r\n\r\n"

static void status_lines(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("plain", STATUS("200 OK")),
        OK("empty reason", STATUS("200 ")),
        OK("no reason", STATUS("200")),
        OK("high bytes in reason", STATUS("200 \xc3\xa4")),
        OK("999", STATUS("999 Odd")),
        OK("1.0", "HTTP/1.0 200 OK\r\n\r\n"),
        ROW("99", STATUS("99 Low"), HTTP1_BAD_STATUS),
        ROW("099", STATUS("099 Low"), HTTP1_BAD_STATUS),
        ROW("1000", STATUS("1000 High"), HTTP1_BAD_STATUS),
        ROW("letters", STATUS("abc OK"), HTTP1_BAD_STATUS),
        ROW("negative", STATUS("-20 OK"), HTTP1_BAD_STATUS),
        ROW("no status", "HTTP/1.1\r\n\r\n", HTTP1_BAD_STATUS),
        ROW("NUL in reason", STATUS("200 O\0K"), HTTP1_BAD_STATUS),
        ROW("bare CR in reason", STATUS("200 O\rK"), HTTP1_BAD_STATUS),
        ROW("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", HTTP1_BAD_STATUS),
        ROW("two spaces", STATUS(" 200 OK"), HTTP1_BAD_STATUS),
        ROW("empty line before it", "\r\n" STATUS("200 OK"), HTTP1_BAD_STATUS),
        ROW("version 2", "HTTP/2 200\r\n\r\n", HTTP1_BAD_STATUS),
        ROW("version 2.0", "HTTP/2.0 200\r\n", HTTP1_BAD_VERSION),
        ROW("version 1.2", "HTTP/1.2 200\r\n", HTTP1_BAD_VERSION),
        ROW("SSH", "SSH-2.0-OpenSSH_9.2\r\n", HTTP1_BAD_STATUS),
        ROW("HTML", "<html>hello</html>\r\n\r\n", HTTP1_BAD_STATUS),
        ROW("unasked 101", "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
            HTTP1_BAD_STATUS),
    };
    judge_answers(rows);
    struct http_head head = answer_of(STATUS("404  Not\tFound"));
    assert_int_equal(head.status, 404);
    assert_slice(head.reason, " Not\tFound");
}

#define ANSWER(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"

static void answers_are_framed_strictly(void **state)
{
    (void)state;
    static const struct row rows[] = {
        OK("length", ANSWER(CL ": 5\r\n")),
        OK("chunked", ANSWER(TE ": chunked\r\n")),
        ROW("both", ANSWER(CL ": 5\r\n" TE ": chunked\r\n"), HTTP1_BAD_LENGTH_AND_CODING),
        ROW("differing", ANSWER(CL ": 5\r\n" CL ": 6\r\n"), HTTP1_BAD_LENGTH),
        ROW("negative", ANSWER(CL ": -5\r\n"), HTTP1_BAD_LENGTH),
        ROW("list", ANSWER(CL ": 5,6\r\n"), HTTP1_BAD_LENGTH),
        ROW("unknown coding", ANSWER(TE ": xchunked\r\n"), HTTP1_BAD_CODING),
        ROW("coding in 1.0", "HTTP/1.0 200 OK\r\n" TE ": chunked\r\n\r\n", HTTP1_BAD_CODING),
        ROW("both on 204", "HTTP/1.1 204 No\r\n" CL ": 5\r\n" TE ": chunked\r\n\r\n",
            HTTP1_BAD_LENGTH_AND_CODING),
        ROW("coding space before colon", ANSWER(TE " : chunked\r\n"), HTTP1_BAD_FIELD_NAME),
        ROW("NUL", ANSWER("X: a\0b\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("bare CR", ANSWER("X: a\rb\r\n"), HTTP1_BAD_FIELD_VALUE),
        ROW("folded", ANSWER("X: a\r\n b\r\n"), HTTP1_BAD_FIELD_NAME),
    };
    judge_answers(rows);
}

static void assert_framing(struct http_head head, enum http_framing framing, bool keep)
{
    assert_int_equal(head.framing, framing);
    assert_int_equal(head.keep_alive, keep);
}

static void answers_end_where_they_say(void **state)
{
    (void)state;
    assert_framing(answer_of(ANSWER(CL ": 5\r\n")), HTTP_LENGTH, true);
    assert_framing(answer_of(ANSWER(CL ": 0\r\n")), HTTP_NO_BODY, true);
    assert_framing(answer_of(ANSWER(TE ": chunked\r\n")), HTTP_CHUNKED, true);
    assert_framing(answer_of(ANSWER("")), HTTP_UNTIL_CLOSE, false);
    assert_framing(answer_of(ANSWER("Connection: keep-alive\r\n")), HTTP_UNTIL_CLOSE, false);
    assert_framing(answer_of(ANSWER("Connection: close\r\n" CL ": 5\r\n")), HTTP_LENGTH, false);
    assert_framing(answer_of("HTTP/1.0 200 OK\r\n" CL ": 5\r\n\r\n"), HTTP_LENGTH, false);
    assert_framing(answer_of("HTTP/1.0 200 OK\r\n" CL ": 5\r\nConnection: keep-alive\r\n\r\n"),
                   HTTP_LENGTH, true);
}

static void some_answers_have_no_body(void **state)
{
    (void)state;
    const struct http1_asked head_asked = {HTTP_HEAD, false};
    assert_framing(answer_to(ANSWER(CL ": 5\r\n"), head_asked), HTTP_NO_BODY, true);
    assert_int_equal(answer_to(ANSWER(CL ": 5\r\n"), head_asked).content_length, 5);
    assert_framing(answer_to(ANSWER(TE ": chunked\r\n"), head_asked), HTTP_NO_BODY, true);
    assert_framing(answer_to(ANSWER(""), head_asked), HTTP_NO_BODY, true);
    assert_framing(answer_of(STATUS("204 No")), HTTP_NO_BODY, true);
    assert_framing(answer_of(STATUS("304 Not Modified")), HTTP_NO_BODY, true);
    assert_framing(answer_of("HTTP/1.1 304 N\r\n" CL ": 5\r\n\r\n"), HTTP_NO_BODY, true);
    assert_framing(answer_of("HTTP/1.1 204 N\r\n" CL ": 0\r\n\r\n"), HTTP_NO_BODY, true);
    /* Who announces a body where none may be, may send it. */
    assert_framing(answer_of("HTTP/1.1 204 N\r\n" CL ": 5\r\n\r\n"), HTTP_NO_BODY, false);
    assert_framing(answer_of("HTTP/1.1 204 N\r\n" TE ": chunked\r\n\r\n"), HTTP_NO_BODY, false);
    assert_framing(answer_of(STATUS("100 Continue")), HTTP_NO_BODY, true);
    assert_framing(answer_of(STATUS("103 Early Hints")), HTTP_NO_BODY, true);
}

static void upgrades_are_granted_only_when_asked(void **state)
{
    (void)state;
    const char *text = "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n";
    struct http_head head = answer_to(text, (struct http1_asked){HTTP_GET, true});
    assert_true(head.upgrade);
    assert_int_equal(head.framing, HTTP_NO_BODY);
    assert_false(
        answer_of("HTTP/1.1 426 U\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n").upgrade);
    struct http1_progress progress = {0};
    const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    text = STATUS("101 S");
    assert_int_equal(http1_parse_response(&progress, text, strlen(text), &limits,
                                          (struct http1_asked){HTTP_GET, true}, &head),
                     -HTTP1_BAD_STATUS);
}

static void errors_have_status_and_word(void **state)
{
    (void)state;
    assert_int_equal(http1_error_status(HTTP1_BAD_TARGET_LENGTH), 414);
    assert_int_equal(http1_error_status(HTTP1_BAD_FIELD_COUNT), 431);
    assert_int_equal(http1_error_status(HTTP1_BAD_METHOD_REFUSED), 405);
    assert_int_equal(http1_error_status(HTTP1_BAD_CODING_UNKNOWN), 501);
    assert_int_equal(http1_error_status(HTTP1_BAD_VERSION), 505);
    assert_string_equal(http1_error_word(HTTP1_BAD_HOST), "host");
    assert_string_equal(http1_error_word(HTTP1_FINE), "fine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(start_lines),
        cmocka_unit_test(targets),
        cmocka_unit_test(field_lines),
        cmocka_unit_test(slices_are_exact),
        cmocka_unit_test(hosts),
        cmocka_unit_test(framing),
        cmocka_unit_test(keep_alive),
        cmocka_unit_test(hop_by_hop_is_marked),
        cmocka_unit_test(connection_names_are_bounded),
        cmocka_unit_test(upgrades),
        cmocka_unit_test(expectations),
        cmocka_unit_test(sizes_are_bounded),
        cmocka_unit_test(fields_are_counted),
        cmocka_unit_test(limits_may_be_narrower),
        cmocka_unit_test(garbage_is_refused_at_once),
        cmocka_unit_test(progress_is_kept_and_dropped),
        cmocka_unit_test(pipelined_bytes_stay),
        cmocka_unit_test(status_lines),
        cmocka_unit_test(answers_are_framed_strictly),
        cmocka_unit_test(answers_end_where_they_say),
        cmocka_unit_test(some_answers_have_no_body),
        cmocka_unit_test(upgrades_are_granted_only_when_asked),
        cmocka_unit_test(errors_have_status_and_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
