/* SPDX-License-Identifier: Apache-2.0
 *
 * What is written, to the byte; and that a buffer one byte too small is told, never overrun.
 */
#include "proto/http1.h"
#include "support/unit.h"

#include <stdlib.h>
#include <string.h>

static struct http_field room[HTTP_FIELDS_MAX];

typedef ssize_t write_fn(const struct http_head *, const struct http1_writing *, char *, size_t);

/* In memory of exactly each size: all that are too small say so. */
static void assert_written(write_fn *write, const struct http_head *head,
                           const struct http1_writing *writing, const char *wanted)
{
    size_t len = strlen(wanted);
    for (size_t cap = 0; cap <= len; cap++) {
        char *out = malloc(cap + 1);
        assert_non_null(out);
        ssize_t result = write(head, writing, out + 1, cap);
        if (cap == len) {
            assert_int_equal(result, len);
            assert_memory_equal(out + 1, wanted, len);
        } else {
            assert_int_equal(result, -1);
        }
        free(out);
    }
    assert_true(http1_head_size(head, writing) >= len);
}

static void assert_request(const struct http_head *head, bool close, const char *wanted)
{
    assert_written(http1_write_request, head, &(struct http1_writing){.close = close}, wanted);
}

static void assert_answer(const struct http_head *head, struct http1_writing writing,
                          const char *wanted)
{
    assert_written(http1_write_response, head, &writing, wanted);
}

static struct http_head request_of(const char *bytes)
{
    static char kept[4096];
    struct http_head head = {.fields = room};
    struct http1_progress progress = {0};
    strcpy(kept, bytes);
    assert_true(http1_parse_request(&progress, kept, strlen(kept), &HTTP1_LIMITS_DEFAULT, &head)
                > 0);
    return head;
}

static struct http_head answer_to(const char *bytes, struct http1_asked asked)
{
    static char kept[4096];
    struct http_head head = {.fields = room};
    struct http1_progress progress = {0};
    strcpy(kept, bytes);
    assert_true(
        http1_parse_response(&progress, kept, strlen(kept), &HTTP1_LIMITS_DEFAULT, asked, &head)
        > 0);
    return head;
}

static struct http_head answer_of(const char *bytes)
{
    return answer_to(bytes, (struct http1_asked){HTTP_GET, false});
}

/* --- requests -------------------------------------------------------------------------------- */

static void a_request_is_written_as_it_came(void **state)
{
    (void)state;
    struct http_head head = request_of("GET /a?b HTTP/1.1\r\nUser-Agent: x\r\nHost: t:1\r\n"
                                       "X_Under:  1 \r\naNoThEr:\r\nX-A: a\r\nX-B: b\r\n\r\n");
    assert_request(&head, false,
                   "GET /a?b HTTP/1.1\r\nHost: t:1\r\nUser-Agent: x\r\nX_Under: 1\r\naNoThEr: \r\n"
                   "X-A: a\r\nX-B: b\r\n\r\n");
    assert_request(&head, true,
                   "GET /a?b HTTP/1.1\r\nHost: t:1\r\nUser-Agent: x\r\nX_Under: 1\r\naNoThEr: \r\n"
                   "X-A: a\r\nX-B: b\r\nConnection: close\r\n\r\n");
}

static void hop_by_hop_stays_behind(void **state)
{
    (void)state;
    struct http_head head = request_of(
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\nX-Stays: 2\r\n"
        "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-Last: 3\r\n\r\n");
    assert_request(&head, false, "GET / HTTP/1.1\r\nHost: t\r\nX-Stays: 2\r\nX-Last: 3\r\n\r\n");
}

static void an_absolute_target_becomes_a_path(void **state)
{
    (void)state;
    struct http_head head = request_of("GET http://t:80/x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_request(&head, false, "GET /x HTTP/1.1\r\nHost: t\r\n\r\n");
    head = request_of("OPTIONS http://t HTTP/1.0\r\n\r\n");
    assert_request(&head, false, "OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n");
}

static void requests_are_framed(void **state)
{
    (void)state;
    struct http_head head =
        request_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 007\r\nX: y\r\n\r\n");
    assert_request(&head, false, "POST / HTTP/1.1\r\nHost: t\r\nX: y\r\nContent-Length: 7\r\n\r\n");
    head = request_of("PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_request(&head, false, "PUT / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    head = request_of("POST / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_request(&head, false, "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    head = request_of("GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    assert_request(&head, false, "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
    head.framing = HTTP_LENGTH;
    head.content_length = UINT64_MAX;
    assert_request(&head, false,
                   "GET / HTTP/1.1\r\nHost: t\r\nContent-Length: 18446744073709551615\r\n\r\n");
}

static void an_upgrade_passes_when_it_is_meant(void **state)
{
    (void)state;
    struct http_head head = request_of(
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\n\r\n");
    const char *without = "GET / HTTP/1.1\r\nHost: t\r\nX: y\r\n\r\n";
    assert_request(&head, false, without);
    const struct http1_writing tunnels = {.close = true, .upgrade = true};
    assert_written(http1_write_request, &head, &tunnels,
                   "GET / HTTP/1.1\r\nHost: t\r\nX: y\r\nConnection: upgrade\r\n"
                   "Upgrade: websocket\r\n\r\n");
    head.upgrade = false;
    assert_written(http1_write_request, &head, &(struct http1_writing){.upgrade = true}, without);
}

static void changes_are_written(void **state)
{
    (void)state;
    struct http_head head =
        request_of("GET /aa HTTP/1.1\r\nHost: t\r\nA: bcd\r\nE: fgh\r\nI: jkl\r\nM: nop\r\n\r\n");
    head.fields[1].value = slice_sub(head.fields[1].value, 0, 2);
    head.fields[2].value = SLICE("other");
    head.fields[3].drop = 1;
    head.path = SLICE("/b");
    head.authority = SLICE("u:2");
    const struct http_field added[] = {
        {.name = SLICE("Via"), .value = SLICE("1.1 weir")},
        {.name = SLICE("Content-Length"), .value = SLICE("9")}, /* framing is not to be added */
        {.name = SLICE("Host"), .value = SLICE("evil")},
        {.name = SLICE("X-No"), .value = SLICE("x"), .drop = 1},
    };
    head.added = added;
    head.added_count = 4;
    assert_request(&head, false,
                   "GET /b HTTP/1.1\r\nHost: u:2\r\nA: bc\r\nE: other\r\nM: nop\r\n"
                   "Via: 1.1 weir\r\n\r\n");
}

/* --- answers --------------------------------------------------------------------------------- */

static const struct http1_writing to_1_1 = {.peer_minor = 1, .asked = HTTP_GET};

static void an_answer_is_written_as_it_came(void **state)
{
    (void)state;
    struct http_head head = answer_of("HTTP/1.1 200 Fine\r\nServer: x\r\nConnection: close\r\n"
                                      "Content-Length: 5\r\nX-A: b\r\n\r\n");
    assert_answer(&head, to_1_1,
                  "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\nX-A: b\r\n\r\n");
    struct http1_writing writing = {.peer_minor = 1, .close = true, .asked = HTTP_GET};
    assert_answer(&head, writing,
                  "HTTP/1.1 200 Fine\r\nServer: x\r\nContent-Length: 5\r\nX-A: b\r\n"
                  "Connection: close\r\n\r\n");
}

/* Whatever becomes of the field, the length that is written is the one that holds. */
static void the_length_is_the_heads(void **state)
{
    (void)state;
    const char *generated = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n";
    struct http_head head = answer_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n");
    head.fields[0].drop = 1;
    assert_answer(&head, to_1_1, generated);
    head = answer_of("HTTP/1.1 200 OK\r\nContent-Length: 005\r\nA: b\r\n\r\n");
    assert_false(head.length_said);
    assert_answer(&head, to_1_1, generated);
    head = answer_of("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nA: b\r\n\r\n");
    head.content_length = 5;
    head.length_said = false;
    assert_answer(&head, to_1_1, generated);
    head = answer_of("HTTP/1.1 200 OK\r\ncontent-length:5\r\nA: b\r\n\r\n");
    assert_answer(&head, to_1_1, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nA: b\r\n\r\n");
    head = request_of("PUT /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nA: b\r\n\r\n");
    assert_request(&head, false, "PUT /a HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nA: b\r\n\r\n");
}

static void date_is_added_where_there_is_none(void **state)
{
    (void)state;
    struct http1_writing writing = to_1_1;
    writing.date = SLICE("Sun, 06 Nov 1994 08:49:37 GMT");
    struct http_head head = answer_of("HTTP/1.1 204 No Content\r\n\r\n");
    assert_answer(&head, writing,
                  "HTTP/1.1 204 No Content\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    head = answer_of("HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n");
    assert_answer(&head, writing, "HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n");
    head = answer_of("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    assert_answer(&head, writing, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
}

static void answers_are_framed_for_the_client(void **state)
{
    (void)state;
    struct http1_writing to_1_0 = {.close = true, .peer_minor = 0, .asked = HTTP_GET};
    struct http_head head = answer_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_answer(&head, to_1_1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_answer(&head, to_1_0, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    head = answer_of("HTTP/1.1 200 OK\r\n\r\n");
    assert_answer(&head, to_1_1, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(http1_answer_framing(&head, HTTP_GET, 1), HTTP_CHUNKED);
    assert_int_equal(http1_answer_framing(&head, HTTP_GET, 0), HTTP_UNTIL_CLOSE);
    assert_int_equal(http1_answer_framing(&head, HTTP_HEAD, 1), HTTP_NO_BODY);
    head = answer_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_answer(&head, to_1_1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head.present = 0;
    assert_answer(&head, to_1_1, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void http_1_0_is_told_to_stay(void **state)
{
    (void)state;
    struct http_head head = answer_of("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
    assert_answer(&head, (struct http1_writing){.peer_minor = 0, .asked = HTTP_GET},
                  "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
}

static void some_answers_have_no_body(void **state)
{
    (void)state;
    struct http1_writing to_head = {.peer_minor = 1, .asked = HTTP_HEAD};
    struct http1_asked head_asked = {HTTP_HEAD, false};
    struct http_head head = answer_to("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", head_asked);
    assert_answer(&head, to_head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    head = answer_to("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head_asked);
    assert_answer(&head, to_head, "HTTP/1.1 200 OK\r\n\r\n");
    head = answer_of("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n");
    assert_answer(&head, to_1_1,
                  "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n");
    head = answer_of("HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n");
    assert_answer(&head, to_1_1, "HTTP/1.1 204 N\r\n\r\n");
    /* Made by a handler, not read: the length of what GET would have had. */
    struct http_head made = {.status = 200, .framing = HTTP_LENGTH, .content_length = 7};
    assert_answer(&made, to_head, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    assert_int_equal(http1_answer_framing(&made, HTTP_HEAD, 1), HTTP_NO_BODY);
}

static void informational_answers_are_bare(void **state)
{
    (void)state;
    struct http_head head = {.status = 100};
    struct http1_writing writing = {.close = true, .peer_minor = 1, .asked = HTTP_POST};
    assert_answer(&head, writing, "HTTP/1.1 100 Continue\r\n\r\n");
    head = answer_to("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: foo\r\nX: y\r\n\r\n",
                     (struct http1_asked){HTTP_GET, true});
    assert_answer(&head, to_1_1,
                  "HTTP/1.1 101 S\r\nX: y\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
}

/* --- chunks ---------------------------------------------------------------------------------- */

static void assert_chunk_head(size_t len, const char *wanted)
{
    char out[HTTP1_CHUNK_HEAD_MAX];
    size_t result = http1_write_chunk_head(len, out);
    assert_int_equal(result, strlen(wanted));
    assert_memory_equal(out, wanted, result);
}

static void chunk_heads(void **state)
{
    (void)state;
    assert_chunk_head(1, "1\r\n");
    assert_chunk_head(15, "f\r\n");
    assert_chunk_head(16, "10\r\n");
    assert_chunk_head(0xabcde, "abcde\r\n");
    assert_chunk_head(SIZE_MAX, "ffffffffffffffff\r\n");
}

static void last_chunks(void **state)
{
    (void)state;
    char out[64];
    assert_int_equal(http1_write_last_chunk(NULL, out, sizeof out), 5);
    assert_memory_equal(out, "0\r\n\r\n", 5);
    assert_int_equal(http1_write_last_chunk(NULL, out, 4), -1);
    struct http_field fields[] = {
        {.name = SLICE("X-Sum"), .value = SLICE("9")},
        {.name = SLICE("Content-Length"), .value = SLICE("9")},
        {.name = SLICE("X-No"), .value = SLICE("9"), .drop = 1},
    };
    const struct http_head trailers = {.fields = fields, .field_count = 3};
    assert_int_equal(http1_write_last_chunk(&trailers, out, sizeof out), 15);
    assert_memory_equal(out, "0\r\nX-Sum: 9\r\n\r\n", 15);
    assert_int_equal(http1_write_last_chunk(&trailers, out, 14), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_written_as_it_came),
        cmocka_unit_test(hop_by_hop_stays_behind),
        cmocka_unit_test(an_absolute_target_becomes_a_path),
        cmocka_unit_test(requests_are_framed),
        cmocka_unit_test(an_upgrade_passes_when_it_is_meant),
        cmocka_unit_test(changes_are_written),
        cmocka_unit_test(an_answer_is_written_as_it_came),
        cmocka_unit_test(the_length_is_the_heads),
        cmocka_unit_test(date_is_added_where_there_is_none),
        cmocka_unit_test(answers_are_framed_for_the_client),
        cmocka_unit_test(http_1_0_is_told_to_stay),
        cmocka_unit_test(some_answers_have_no_body),
        cmocka_unit_test(informational_answers_are_bare),
        cmocka_unit_test(chunk_heads),
        cmocka_unit_test(last_chunks),
    };
    return cmocka_run_group_tests_name("http1_write", tests, NULL, NULL);
}
