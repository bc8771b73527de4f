/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include "gateway/fault.h"

#include <string.h>

static void every_error_of_a_pool_has_its_status(void **state)
{
    (void)state;
    const struct {
        weir_err err;
        uint16_t status;
    } rows[] = {
        {WEIR_EQUEUE, 503},       {WEIR_EWAIT, 503},        {WEIR_EACQUIRE_TIMEOUT, 503},
        {WEIR_EFULL, 503},        {WEIR_EDOWN, 503},        {WEIR_ECLOSED, 503},
        {WEIR_EREFUSED, 502},     {WEIR_ERESOLVE, 502},     {WEIR_EUNREACHABLE, 502},
        {WEIR_ETLS, 502},         {WEIR_EPROXY, 502},       {WEIR_ECONNECT_TIMEOUT, 504},
        {WEIR_ETLS_EXPIRED, 502}, {WEIR_ETLS_NAME, 502},    {WEIR_ETLS_UNTRUSTED, 502},
        {WEIR_ETLS_ALPN, 502},    {WEIR_ETLS_TIMEOUT, 504}, {WEIR_ECONNECT, 502},
        {WEIR_EFILES, 503},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fault_status(fault_of_err(rows[i].err)), rows[i].status);
    }
    assert_int_equal(fault_of_err(WEIR_OK), FAULT_NONE);
    assert_string_equal(fault_code(FAULT_NONE), "");
}

static void every_end_of_a_call_has_its_status(void **state)
{
    (void)state;
    const struct {
        enum http_fault fault;
        uint16_t status;
    } rows[] = {
        {HTTP_FAULT_REFUSED, 502},       {HTTP_FAULT_CONNECT_TIMEOUT, 504},
        {HTTP_FAULT_RESET, 502},         {HTTP_FAULT_STALE, 502},
        {HTTP_FAULT_BAD_ANSWER, 502},    {HTTP_FAULT_FIRST_BYTE_TIMEOUT, 504},
        {HTTP_FAULT_READ_TIMEOUT, 504},  {HTTP_FAULT_WRITE_TIMEOUT, 504},
        {HTTP_FAULT_TOTAL_TIMEOUT, 504}, {HTTP_FAULT_CANCELLED, 499},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(fault_status(fault_of_call(rows[i].fault)), rows[i].status);
        assert_int_not_equal(fault_err_of_call(rows[i].fault), WEIR_OK);
    }
    assert_int_equal(fault_of_call(HTTP_FINE), FAULT_NONE);
}

static void an_answer_says_why_in_three_places(void **state)
{
    (void)state;
    struct fault_answer answer;
    fault_answer_make(&answer, FAULT_DOWN, 1500, "weir");
    assert_int_equal(answer.head.status, 503);
    assert_int_equal(answer.head.content_length, answer.body_len);
    assert_int_equal(answer.head.field_count, 3);
    assert_string_equal(answer.fields[1].value.at, "weir; error=destination_unavailable");
    assert_string_equal(answer.fields[2].value.at, "2");
    const char want[] = "{\"error\":{\"code\":\"down\",\"message\":\"every endpoint is down\","
                        "\"retry_after\":2}}";
    assert_int_equal(answer.body_len, sizeof want - 1);
    assert_memory_equal(answer.body, want, sizeof want - 1);

    fault_answer_make(&answer, FAULT_RESET, 0, "weir");
    assert_int_equal(answer.head.status, 502);
    assert_int_equal(answer.head.field_count, 2);
    assert_non_null(strstr(answer.body, "\"retry_after\":null"));
    for (unsigned fault = 1; fault < FAULT_COUNT; fault++) {
        fault_answer_make(&answer, (enum fault)fault, UINT32_MAX, "weir");
        assert_true(answer.body_len > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_of_a_pool_has_its_status),
        cmocka_unit_test(every_end_of_a_call_has_its_status),
        cmocka_unit_test(an_answer_says_why_in_three_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
