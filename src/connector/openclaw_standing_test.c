/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/openclaw_standing.h"

#include "connector/openclaw.h"
#include "support/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static const weir_key key = {.scheme = "ws", .host = "gateway", .port = 18789};

static void join(struct claw_standing *standing, const char *token)
{
    const struct claw_account account = {.path = "/", .token = token};
    uint8_t who[CLAW_WHO_BYTES];
    assert_true(claw_who(&account, &key, who));
    *standing = (struct claw_standing){0};
    claw_standing_open(standing, who);
}

static struct claw_refusal no(const char *message)
{
    struct claw_refusal refusal = {.code = "UNAUTHORIZED"};
    snprintf(refusal.message, sizeof refusal.message, "%s", message);
    return refusal;
}

static enum claw_leave enter(struct claw_standing *standing, uint64_t now_ms, const char *told)
{
    struct claw_refusal refusal = {.message = ""};
    enum claw_leave leave = claw_standing_enter(standing, now_ms, 0, &refusal);
    assert_string_equal(refusal.message, told);
    return leave;
}

static void one_asks_and_the_others_wait(void **state)
{
    (void)state;
    struct claw_standing a, b, other;
    join(&a, "T");
    join(&b, "T");
    join(&other, "U");
    assert_int_equal(enter(&a, 0, ""), CLAW_ASK);
    assert_int_equal(enter(&b, 0, ""), CLAW_WAIT);
    assert_int_equal(enter(&other, 0, ""), CLAW_ASK); /* somebody else */
    claw_standing_gave_up(&a);
    assert_int_equal(enter(&b, 0, ""), CLAW_ASK);
    claw_standing_welcomed(&b);
    assert_int_equal(enter(&a, 0, ""), CLAW_GO);
    assert_int_equal(enter(&b, 0, ""), CLAW_GO);
    claw_standing_gave_up(&a); /* nobody asks: it changes nothing */
    assert_int_equal(enter(&b, 0, ""), CLAW_GO);
    claw_standing_doubt(&a);
    assert_int_equal(enter(&b, 0, ""), CLAW_ASK);
    claw_standing_doubt(&a); /* the same */
    assert_int_equal(enter(&a, 0, ""), CLAW_WAIT);
    claw_standing_close(&a);
    claw_standing_close(&b);
    claw_standing_close(&b);
    claw_standing_close(&other);
    join(&a, "T"); /* nobody is left who knew */
    assert_int_equal(enter(&a, 0, ""), CLAW_ASK);
    claw_standing_close(&a);
}

static void a_denial_is_told_once_to_each(void **state)
{
    (void)state;
    struct claw_standing a, b, late;
    join(&a, "T");
    join(&b, "T");
    const struct claw_refusal first = no("first"), second = no("second");
    assert_int_equal(enter(&a, 0, ""), CLAW_ASK);
    claw_standing_denied(&a, 5, &first);
    join(&late, "T");
    assert_int_equal(enter(&b, 3, "first"), CLAW_STOP); /* of a loop whose clock is behind */
    assert_int_equal(enter(&late, 5 + CLAW_STANDING_KEPT - 1, "first"), CLAW_STOP);
    /* Whoever has been told asks, in its pool's time, and the others are told again. */
    assert_int_equal(enter(&b, 6, ""), CLAW_ASK);
    assert_int_equal(enter(&a, 6, ""), CLAW_WAIT);
    claw_standing_denied(&b, 7, &second);
    assert_int_equal(enter(&a, 7, "second"), CLAW_STOP);
    assert_int_equal(enter(&a, 8, ""), CLAW_ASK);
    claw_standing_welcomed(&a);
    assert_int_equal(enter(&late, 8, ""), CLAW_GO);
    claw_standing_close(&a);
    claw_standing_close(&b);
    claw_standing_close(&late);
}

static void who_has_to_wait_is_told_until_then(void **state)
{
    (void)state;
    struct claw_standing a, b;
    const struct claw_refusal first = no("first");
    join(&a, "T");
    join(&b, "T");
    a.wait_ms = b.wait_ms = 100;
    assert_int_equal(enter(&a, 0, ""), CLAW_ASK);
    claw_standing_denied(&a, 5, &first);
    assert_int_equal(enter(&a, 104, "first"), CLAW_STOP);
    assert_int_equal(enter(&b, 50, "first"), CLAW_STOP);
    assert_int_equal(enter(&b, 149, "first"), CLAW_STOP); /* each asking does not make it longer */
    assert_int_equal(enter(&a, 105, ""), CLAW_ASK);
    claw_standing_denied(&a, 105, &first);
    assert_int_equal(enter(&a, 106, "first"), CLAW_STOP);
    claw_standing_forgiven(&a);
    assert_int_equal(enter(&b, 149, "first"), CLAW_STOP); /* of the second one */
    assert_int_equal(enter(&a, 106, ""), CLAW_ASK);
    claw_standing_welcomed(&a);
    assert_int_equal(enter(&b, 149, ""), CLAW_GO); /* others were let in */
    claw_standing_close(&a);
    claw_standing_close(&b);
}

static void an_old_denial_is_no_news(void **state)
{
    (void)state;
    struct claw_standing a, b;
    struct claw_refusal refusal = no("no");
    join(&a, "T");
    join(&b, "T");
    assert_int_equal(enter(&a, 0, ""), CLAW_ASK);
    claw_standing_denied(&a, 0, &refusal);
    uint32_t kept = 2 * CLAW_STANDING_KEPT; /* a pool that is down for that long */
    assert_int_equal(claw_standing_enter(&b, kept - 1, kept, &refusal), CLAW_STOP);
    claw_standing_close(&b);
    join(&b, "T");
    assert_int_equal(claw_standing_enter(&b, kept, kept, &refusal), CLAW_ASK);
    claw_standing_close(&a);
    claw_standing_close(&b);
}

static void whatever_a_gateway_sees_tells_who_it_is(void **state)
{
    (void)state;
    static const char *const scopes[] = {"operator.read", "operator.write"};
    const struct claw_account accounts[] = {
        {.path = "/"},
        {.path = "/x"},
        {.path = "/", .token = "T"},
        {.path = "/", .password = "T"},
        {.path = "/", .token = ""},
        {.path = "/", .scopes = scopes, .scopes_count = 1},
        {.path = "/", .scopes = scopes, .scopes_count = 2},
    };
    const weir_key keys[] = {
        key,
        {.scheme = "wss", .host = "gateway", .port = 18789},
        {.scheme = "ws", .host = "gateway", .port = 18790},
        {.scheme = "ws", .host = "gateway", .port = 18789, .proxy = "socks5://127.0.0.1:1080"},
        {.scheme = "ws", .host = "gateway", .port = 18789, .source = "127.0.0.2"},
    };
    enum { ACCOUNTS = sizeof accounts / sizeof *accounts, KEYS = sizeof keys / sizeof *keys };
    uint8_t who[ACCOUNTS * KEYS][CLAW_WHO_BYTES], again[CLAW_WHO_BYTES];
    for (unsigned i = 0; i < ACCOUNTS * KEYS; i++) {
        assert_true(claw_who(&accounts[i % ACCOUNTS], &keys[i / ACCOUNTS], who[i]));
        for (unsigned k = 0; k < i; k++) {
            assert_memory_not_equal(who[i], who[k], CLAW_WHO_BYTES);
        }
    }
    weir_key tenant = key;
    tenant.tenant = "a1";
    assert_true(claw_who(&accounts[0], &tenant, again));
    assert_memory_equal(again, who[0], CLAW_WHO_BYTES);
}

#define THREADS 4
#define ROUNDS  3000

static _Atomic uint32_t asking, exceeded, asked;

static void *ask_and_give_up(void *arg)
{
    struct claw_standing standing;
    struct claw_refusal refusal;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        join(&standing, "T");
        if (claw_standing_enter(&standing, 0, 0, &refusal) == CLAW_ASK) {
            exceeded += ++asking > 1;
            asked++;
            asking--;
            claw_standing_gave_up(&standing);
        }
        claw_standing_close(&standing);
    }
    return NULL;
}

static void of_threads_one_asks(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ask_and_give_up, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(exceeded, 0);
    assert_true(asked >= ROUNDS); /* whoever is alone asks */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_asks_and_the_others_wait),
        cmocka_unit_test(a_denial_is_told_once_to_each),
        cmocka_unit_test(who_has_to_wait_is_told_until_then),
        cmocka_unit_test(an_old_denial_is_no_news),
        cmocka_unit_test(whatever_a_gateway_sees_tells_who_it_is),
        cmocka_unit_test(of_threads_one_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
