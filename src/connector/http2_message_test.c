/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "base/alloc.h"
#include "connector/http2_session.h"

#include <stdio.h>
#include <string.h>

static struct http2_connector connector;

/* As "name=value;", "!" instead of "=" where it is to stay out of the peer's table, and " " in
 * front of a name that is borrowed. */
static const char *print_fields(const nghttp2_nv *nva, size_t count)
{
    static char text[1024];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s%s%.*s;",
                                 (nva[i].flags & NGHTTP2_NV_FLAG_NO_COPY_NAME) != 0 ? " " : "",
                                 (int)nva[i].namelen, (const char *)nva[i].name,
                                 (nva[i].flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0 ? "!" : "=",
                                 (int)nva[i].valuelen, (const char *)nva[i].value);
        assert_true(used < sizeof text);
    }
    return text;
}

/* Secrets, and values that do not come again, are not for the peer's table: it keeps what does. */
static void what_does_not_come_again_stays_out_of_the_table(void **state)
{
    (void)state;
    struct http_field fields[] = {
        {.name = SLICE("X-Request-ID"), .value = SLICE("1")},
        {.name = SLICE("x-correlation-id"), .value = SLICE("2")},
        {.name = SLICE("grpc-timeout"), .value = SLICE("3S")},
        {.name = SLICE("grpc-trace-bin"), .value = SLICE("4")},
        {.name = SLICE("Idempotency-Key"), .value = SLICE("5"), .id = HTTP_IDEMPOTENCY_KEY},
        {.name = SLICE("X-Api-Key"), .value = SLICE("6"), .id = HTTP_X_API_KEY},
        {.name = SLICE("User-Agent"), .value = SLICE("7"), .id = HTTP_USER_AGENT},
        {.name = SLICE("X-Requestor1"), .value = SLICE("8")},
        {.name = SLICE("Keep-Alive"), .value = SLICE("9"), .id = HTTP_KEEP_ALIVE},
    };
    const struct http_field added[] = {{.name = SLICE("Traceparent"), .value = SLICE("10")},
                                       {.name = SLICE("Via"), .value = SLICE("11")}};
    const struct http_head head = {.method = SLICE("GET"),
                                   .method_id = HTTP_GET,
                                   .authority = SLICE("a.test"),
                                   .path = SLICE("/p"),
                                   .fields = fields,
                                   .field_count = sizeof fields / sizeof fields[0],
                                   .added = added,
                                   .added_count = sizeof added / sizeof added[0]};
    char length[20];
    size_t count = request_fields(&connector, &head, false, length);
    assert_string_equal(print_fields(connector.nva, count),
                        " :method=GET; :scheme=http; :authority=a.test; :path=/p;"
                        "X-Request-ID!1;x-correlation-id!2;grpc-timeout!3S;grpc-trace-bin!4;"
                        " idempotency-key!5; x-api-key!6; user-agent=7;X-Requestor1=8;"
                        " traceparent!10; via=11;");
}

/* Whoever gave them may have gone when a copy is used; names that stay for ever are not copied. */
static void a_copy_lives_by_itself(void **state)
{
    (void)state;
    char name[] = "x-name", value[] = "value";
    nghttp2_nv nva[] = {
        {(uint8_t *)name, (uint8_t *)value, 6, 5, NGHTTP2_NV_FLAG_NONE},
        {(uint8_t *)value, (uint8_t *)value, 5, 0, NGHTTP2_NV_FLAG_NO_COPY_NAME},
        {(uint8_t *)name, (uint8_t *)value, 6, 2, NGHTTP2_NV_FLAG_NO_INDEX},
    };
    struct call_fields *copy = fields_copy(nva, 3);
    assert_non_null(copy);
    assert_int_equal(copy->count, 3);
    assert_ptr_equal(copy->at[1].name, value);
    memset(name, '-', 6);
    memset(value, '+', 5);
    assert_string_equal(print_fields(copy->at, 3), "x-name=value; +++++=;x-name!va;");
    alloc_free(&alloc_libc, copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_come_again_stays_out_of_the_table),
        cmocka_unit_test(a_copy_lives_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
