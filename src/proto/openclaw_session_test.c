/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/openclaw_session.h"

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#define CHALLENGE                                                                                  \
    "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":{\"nonce\":\"n\",\"ts\":1}}"
#define HELLO                                                                                       \
    "{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\",\"protocol\":4," \
    "\"policy\":{\"maxPayload\":1000,\"tickIntervalMs\":1000}}}"
#define TICK "{\"type\":\"event\",\"event\":\"tick\",\"payload\":{\"ts\":1}}"

static struct claw_happening take(struct claw_session *session, uint64_t now_ms, const char *text)
{
    struct claw_happening now;
    claw_session_take(session, slice_of(text), now_ms, &now);
    return now;
}

static struct claw_happening answer(struct claw_session *session, uint64_t id, const char *payload)
{
    char text[256];
    snprintf(text, sizeof text, "{\"type\":\"res\",\"id\":\"%llu\",\"ok\":true,\"payload\":%s}",
             (unsigned long long)id, payload);
    return take(session, 5, text);
}

static void open_session(struct claw_session *session, uint32_t requests_max)
{
    assert_true(claw_session_init(session, &alloc_libc, requests_max, 15000, 0));
    assert_int_equal(take(session, 1, CHALLENGE).news, CLAW_ASKED);
    assert_string_equal(session->nonce, "n");
    claw_session_connected(session);
    assert_int_equal(take(session, 2, HELLO).news, CLAW_WELCOMED);
}

static void it_is_let_in_and_told(void **state)
{
    (void)state;
    struct claw_session session;
    open_session(&session, 4);
    assert_int_equal(session.hello.payload_max, 1000);
    struct claw_happening now =
        take(&session, 3, "{\"type\":\"event\",\"event\":\"chat\",\"payload\":{},\"seq\":7}");
    assert_int_equal(now.news, CLAW_TOLD);
    assert_int_equal(now.frame.seq, 7);
    assert_int_equal(take(&session, 3, TICK).news, CLAW_TICKED);
    claw_session_fini(&session);
}

static void answers_come_in_any_order_and_once(void **state)
{
    (void)state;
    struct claw_session session;
    int a, b;
    open_session(&session, 4);
    uint64_t first = claw_session_begin(&session, &a, false);
    uint64_t second = claw_session_begin(&session, &b, false);
    assert_true(first > CLAW_CONNECT_ID && second != first);
    struct claw_happening now = answer(&session, second, "{}");
    assert_int_equal(now.news, CLAW_ANSWERED);
    assert_ptr_equal(now.owner, &b);
    assert_true(now.is_final);
    assert_ptr_equal(answer(&session, first, "1").owner, &a);
    now = answer(&session, first, "{}"); /* a second one */
    assert_int_equal(now.news, CLAW_BROKEN);
    assert_string_equal(now.why, "stranger");
    assert_int_equal(take(&session, 9, TICK).news, CLAW_NOTHING); /* it is over */
    claw_session_fini(&session);
}

static void strangers_end_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"type\":\"res\",\"id\":\"77\",\"ok\":true}", "stranger"},
        {"{\"type\":\"res\",\"id\":\"1\",\"ok\":true}", "stranger"},
        {"{\"type\":\"res\",\"id\":\"x\",\"ok\":true}", "id"},
        {"garbage", "json"},
        {"{\"type\":\"req\",\"id\":\"1\",\"method\":\"x\"}", "type"},
        {CHALLENGE, "early"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claw_session session;
        open_session(&session, 4);
        struct claw_happening now = take(&session, 3, cases[i].text);
        assert_int_equal(now.news, CLAW_BROKEN);
        assert_string_equal(now.why, cases[i].why);
        claw_session_fini(&session);
    }
}

static void what_comes_too_early_ends_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
        bool has_connected;
    } cases[] = {
        {TICK, "early", false},
        {HELLO, "early", false},
        {"{\"type\":\"event\",\"event\":\"connect.challenge\"}", "challenge", false},
        {CHALLENGE, "early", true},
        {"{\"type\":\"res\",\"id\":\"2\",\"ok\":true}", "stranger", true},
        {"{\"type\":\"res\",\"id\":\"1\",\"ok\":true,\"payload\":{\"type\":\"hello-ok\","
         "\"protocol\":9}}",
         "hello", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct claw_session session;
        assert_true(claw_session_init(&session, &alloc_libc, 2, 15000, 0));
        if (cases[i].has_connected) {
            take(&session, 1, CHALLENGE);
            claw_session_connected(&session);
        }
        struct claw_happening now = take(&session, 3, cases[i].text);
        assert_int_equal(now.news, CLAW_BROKEN);
        assert_string_equal(now.why, cases[i].why);
        claw_session_fini(&session);
    }
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    struct claw_session session;
    struct claw_refusal refusal;
    assert_true(claw_session_init(&session, &alloc_libc, 2, 15000, 0));
    take(&session, 1, CHALLENGE);
    claw_session_connected(&session);
    struct claw_happening now = take(&session, 2,
                                     "{\"type\":\"res\",\"id\":\"1\",\"ok\":false,\"error\":"
                                     "{\"code\":\"INVALID_REQUEST\",\"message\":\"no\"}}");
    assert_int_equal(now.news, CLAW_REFUSED);
    claw_read_refusal(now.frame.error, &refusal);
    assert_string_equal(refusal.code, "INVALID_REQUEST");
    assert_int_equal(session.state, CLAW_OVER);
    claw_session_fini(&session);
}

static void who_left_is_owed_an_answer_all_the_same(void **state)
{
    (void)state;
    struct claw_session session;
    int a;
    open_session(&session, 2);
    uint64_t first = claw_session_begin(&session, &a, false);
    uint64_t second = claw_session_begin(&session, &a, false);
    claw_session_leave(&session, first);
    assert_int_equal(session.left, 1);
    assert_int_equal(claw_session_begin(&session, &a, false), 0); /* its place is still taken */
    assert_int_equal(answer(&session, first, "{}").news, CLAW_LATE);
    assert_int_equal(session.left, 0);
    assert_true(claw_session_begin(&session, &a, false) != 0);
    claw_session_undo(&session, second);
    assert_int_equal(session.waiting, 1);
    assert_ptr_equal(claw_session_drop(&session), &a);
    assert_null(claw_session_drop(&session));
    claw_session_fini(&session);
}

static void what_was_accepted_may_be_answered_once_more(void **state)
{
    (void)state;
    struct claw_session session;
    int a;
    open_session(&session, 2);
    uint64_t id = claw_session_begin(&session, &a, false);
    struct claw_happening now = answer(&session, id, "{\"status\":\"accepted\"}");
    assert_int_equal(now.news, CLAW_ANSWERED);
    assert_false(now.is_final);
    assert_null(claw_session_drop(&session));
    assert_int_equal(answer(&session, id, "{\"status\":\"ok\"}").news, CLAW_LATE);
    assert_int_equal(session.pending.count, 0);

    id = claw_session_begin(&session, &a, true);
    assert_int_equal(answer(&session, id, "{\"status\":\"accepted\"}").news, CLAW_NOTHING);
    assert_ptr_equal(answer(&session, id, "{\"status\":\"ok\"}").owner, &a);

    for (unsigned i = 0; i < 5; i++) { /* the eldest are forgotten */
        id = claw_session_begin(&session, &a, false);
        assert_true(id != 0);
        answer(&session, id, "{\"status\":\"accepted\"}");
    }
    assert_int_equal(session.pending.count, 2);
    id = claw_session_begin(&session, &a, false);
    claw_session_leave(&session, id);
    assert_int_equal(answer(&session, id, "{\"status\":\"accepted\"}").news, CLAW_LATE);
    assert_int_equal(session.left, 0);
    claw_session_fini(&session);
}

static void time_ends_it(void **state)
{
    (void)state;
    struct claw_session session;
    struct claw_happening now;
    assert_true(claw_session_init(&session, &alloc_libc, 2, 15000, 10));
    assert_int_equal(claw_session_due_ms(&session), 15010);
    claw_session_time(&session, 15009, &now);
    assert_int_equal(now.news, CLAW_NOTHING);
    claw_session_time(&session, 15010, &now);
    assert_string_equal(now.why, "handshake");
    assert_true(claw_session_due_ms(&session) == UINT64_MAX);
    claw_session_fini(&session);

    open_session(&session, 2);
    take(&session, 1002, TICK);
    assert_int_equal(claw_session_due_ms(&session), 3502); /* two and a half intervals */
    claw_session_time(&session, 3501, &now);
    assert_int_equal(now.news, CLAW_NOTHING);
    claw_session_time(&session, 3502, &now);
    assert_int_equal(now.news, CLAW_BROKEN);
    assert_string_equal(now.why, "ticks");
    claw_session_fini(&session);
}

static void one_life(const struct alloc *alloc, void *arg)
{
    struct claw_session session;
    (void)arg;
    if (claw_session_init(&session, alloc, 2, 15000, 0)) {
        take(&session, 1, CHALLENGE);
        claw_session_connected(&session);
        take(&session, 1, HELLO);
        claw_session_begin(&session, &session, false);
        claw_session_fini(&session);
    }
}

static void memory_may_be_refused(void **state)
{
    (void)state;
    torture(one_life, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_let_in_and_told),
        cmocka_unit_test(answers_come_in_any_order_and_once),
        cmocka_unit_test(strangers_end_it),
        cmocka_unit_test(what_comes_too_early_ends_it),
        cmocka_unit_test(a_refusal_is_told),
        cmocka_unit_test(who_left_is_owed_an_answer_all_the_same),
        cmocka_unit_test(what_was_accepted_may_be_answered_once_more),
        cmocka_unit_test(time_ends_it),
        cmocka_unit_test(memory_may_be_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
