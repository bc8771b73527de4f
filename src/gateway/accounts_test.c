/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/accounts.h"

#include "base/rand.h"
#include "support/unit.h"

#include <stdio.h>
#include <string.h>

#define NOW 1000U

static struct config_account rows[CONFIG_ACCOUNTS_MAX];
static struct accounts *accounts;

static struct config_account row(const char *name, uint32_t priority, uint32_t weight)
{
    return (struct config_account){
        .name = name, .proxy = "", .priority = priority, .weight = weight};
}

static void open_with(uint32_t count)
{
    static struct config_upstream upstream;
    upstream.accounts.at = rows;
    upstream.accounts.count = count;
    assert_int_equal(accounts_new(&upstream, NULL, &accounts), 0);
}

static enum accounts_result take(uint64_t hash, const char *model, uint64_t except,
                                 struct accounts_choice *ret)
{
    const struct accounts_wish wish = {.has_hash = hash != 0,
                                       .hash = hash,
                                       .model = slice_of(model),
                                       .except = except,
                                       .now_ms = NOW};
    return accounts_take(accounts, &wish, ret);
}

static uint32_t take_one(uint64_t hash, uint64_t except)
{
    struct accounts_choice choice = {.index = UINT32_MAX};
    assert_int_equal(take(hash, "", except, &choice), ACCOUNTS_TAKEN);
    accounts_give(accounts, choice.index);
    return choice.index;
}

static void cool(uint32_t index, uint16_t status)
{
    const struct cooldown_answer answer = {.status = status, .family = {"", 0}};
    accounts_answer(accounts, index, &answer, NOW);
}

/* What one leaves is spread, and nobody else moves. */
static void hashes_stay_where_they_are(void **state)
{
    (void)state;
    enum { KEYS = 3000 };
    static uint32_t home[KEYS];
    uint32_t count[4] = {0};
    rows[0] = row("a", 1, 1), rows[1] = row("b", 1, 1), rows[2] = row("c", 1, 2);
    rows[3] = row("spare", 2, 1);
    open_with(4);
    for (uint32_t i = 0; i < KEYS; i++) {
        home[i] = take_one(rand_mix(i + 1), 0);
        count[home[i]]++;
        assert_int_equal(take_one(rand_mix(i + 1), 0), home[i]);
    }
    assert_int_equal(count[3], 0);
    assert_in_range(count[0], KEYS / 4 * 85 / 100, KEYS / 4 * 115 / 100);
    assert_in_range(count[2], KEYS / 2 * 85 / 100, KEYS / 2 * 115 / 100);
    cool(1, 503);
    for (uint32_t i = 0; i < KEYS; i++) {
        uint32_t now = take_one(rand_mix(i + 1), 0);
        assert_true(home[i] == 1 ? now != 1 && now != 3 : now == home[i]);
    }
    accounts_free(accounts);
    /* Another gateway that has them in another order chooses alike. */
    rows[0] = row("c", 1, 2), rows[1] = row("a", 1, 1), rows[2] = row("b", 1, 1);
    static const uint32_t place[] = {1, 2, 0};
    open_with(3);
    for (uint32_t i = 0; i < KEYS; i++) {
        assert_int_equal(take_one(rand_mix(i + 1), 0), place[home[i]]);
    }
    accounts_free(accounts);
}

static void the_lowest_priority_that_is_usable(void **state)
{
    (void)state;
    struct accounts_choice choice;
    rows[0] = row("late", 9, 1), rows[1] = row("first", 1, 1), rows[2] = row("drained", 0, 0);
    open_with(3);
    assert_int_equal(take_one(0, 0), 1);
    assert_int_equal(take_one(7, 2), 0);
    cool(1, 529);
    assert_int_equal(take_one(0, 0), 0);
    cool(0, 503);
    assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_COOLING);
    assert_int_equal(choice.wait_ms, 60000);
    assert_int_equal(take(0, "", 3, &choice), ACCOUNTS_NOBODY);
    assert_false(accounts_clear(accounts, SLICE("nobody")));
    assert_true(accounts_clear(accounts, SLICE("first")));
    assert_int_equal(take_one(0, 0), 1);
    accounts_free(accounts);
}

static struct accounts *another(struct config_upstream *upstream, struct config_account *row_of,
                                const char *token, const char *header)
{
    static struct config_field fields[2];
    static uint32_t next;
    struct config_field *field = &fields[next++ % 2];
    struct accounts *made;
    *field = (struct config_field){.name = "authorization", .value = header};
    *row_of = row("a", 1, 1);
    row_of->headers.at = field;
    row_of->headers.count = 1;
    row_of->openclaw.token = token, row_of->openclaw.password = row_of->openclaw.identity = "";
    upstream->accounts.at = row_of;
    upstream->accounts.count = 1;
    upstream->openclaw.token = upstream->openclaw.password = upstream->openclaw.identity = "";
    assert_int_equal(accounts_new(upstream, accounts, &made), 0);
    return made;
}

static enum cooldown_reason answered(struct accounts *of, uint16_t status)
{
    const struct cooldown_answer answer = {.status = status, .family = {"", 0}};
    return accounts_answer(of, 0, &answer, NOW);
}

static enum cooldown_reason held_against(struct accounts *of)
{
    struct accounts_info info;
    enum cooldown_reason reason;
    accounts_info_of(of, 0, &info);
    cooldown_left(&info.cooldown, slice_of(""), NOW, &reason);
    return reason;
}

/* What was refused was what it showed; a request that still shows it says nothing of the others. */
static void other_credentials_are_not_to_blame(void **state)
{
    (void)state;
    static const struct {
        const char *token, *header;
        bool is_other;
    } next[] = {{"T", "H", false}, {"T2", "H", true}, {"T2", "H2", true}};
    for (size_t i = 0; i < sizeof next / sizeof *next; i++) {
        struct config_upstream upstreams[2] = {0};
        struct config_account own[2];
        accounts = NULL;
        struct accounts *elder = another(&upstreams[0], &own[0], "T", "H");
        assert_int_equal(answered(elder, 401), COOLDOWN_UNAUTHORIZED);
        accounts = elder;
        struct accounts *made = another(&upstreams[1], &own[1], next[i].token, next[i].header);
        assert_int_equal(held_against(made), COOLDOWN_UNAUTHORIZED); /* until it is in force */
        accounts_take_over(made, elder);
        enum cooldown_reason kept = next[i].is_other ? COOLDOWN_NONE : COOLDOWN_UNAUTHORIZED;
        assert_int_equal(held_against(made), kept);
        assert_int_equal(answered(elder, 401), kept);
        assert_int_equal(held_against(made), kept);
        assert_int_equal(answered(elder, 503), COOLDOWN_UNAVAILABLE); /* the upstream's word */
        assert_int_equal(answered(made, 401), COOLDOWN_UNAUTHORIZED);
        assert_int_equal(held_against(elder), COOLDOWN_UNAUTHORIZED);
        accounts_free(elder);
        accounts_free(made);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    struct accounts_choice choice, other;
    rows[0] = row("a", 1, 1), rows[1] = row("b", 1, 1);
    rows[0].concurrent = 1, rows[1].concurrent = 2;
    open_with(2);
    uint32_t taken[2] = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_TAKEN);
        taken[choice.index]++;
    }
    assert_int_equal(taken[0], 1);
    assert_int_equal(taken[1], 2);
    assert_int_equal(take(0, "", 0, &other), ACCOUNTS_FULL);
    assert_int_equal(other.wait_ms, ACCOUNTS_FULL_MS);
    accounts_give(accounts, 0);
    assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_TAKEN);
    assert_int_equal(choice.index, 0);
    cool(1, 503);
    assert_int_equal(take(0, "", 0, &other), ACCOUNTS_FULL);
    struct accounts_info info;
    accounts_info_of(accounts, 1, &info);
    assert_int_equal(info.open, 2);
    assert_int_equal(info.by_code[503], 1);
    assert_int_equal(info.cooldowns[COOLDOWN_UNAVAILABLE], 1);
    const struct accounts_wish wish = {.now_ms = NOW};
    struct accounts_wait wait;
    assert_true(accounts_wait(accounts, &wish, 1, &wait));
    assert_false(accounts_wait(accounts, &wish, 1, &wait));
    assert_int_equal(accounts_waiting(accounts), 1);
    accounts_wait_over(accounts, &wait);
    accounts_free(accounts);
    rows[0].concurrent = rows[1].concurrent = 0;
}

static struct accounts_wish wish_for(const char *model, enum config_priority priority)
{
    return (struct accounts_wish){.model = slice_of(model), .priority = priority, .now_ms = NOW};
}

static enum accounts_result try(struct accounts_wish wish, bool is_due)
{
    struct accounts_choice choice;
    wish.is_due = is_due;
    enum accounts_result result = accounts_take(accounts, &wish, &choice);
    if (result == ACCOUNTS_TAKEN) {
        accounts_give(accounts, choice.index);
    }
    return result;
}

/* A place that is free is theirs who wait for it, whatever worker they wait on. */
static void nobody_overtakes_those_in_line(void **state)
{
    (void)state;
    struct accounts_choice choice;
    struct accounts_wait first, second;
    const struct accounts_wish any = wish_for("", PRIORITY_NORMAL);
    rows[0] = row("a", 1, 1);
    rows[0].concurrent = 2;
    open_with(1);
    assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_TAKEN);
    assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_TAKEN);
    assert_true(accounts_wait(accounts, &any, 9, &first));
    accounts_give(accounts, 0);
    assert_int_equal(try(any, false), ACCOUNTS_FULL);
    assert_int_equal(try(any, true), ACCOUNTS_TAKEN);
    accounts_give(accounts, 0); /* there is one for who comes now, too */
    assert_int_equal(try(any, false), ACCOUNTS_TAKEN);
    assert_true(accounts_wait(accounts, &any, 9, &second));
    assert_int_equal(try(any, false), ACCOUNTS_FULL);
    accounts_wait_over(accounts, &first);
    assert_int_equal(try(any, false), ACCOUNTS_TAKEN);
    accounts_wait_over(accounts, &second);
    accounts_free(accounts);
    rows[0].concurrent = 0;
}

static void who_waits_for_another_account_holds_up_nobody(void **state)
{
    (void)state;
    struct accounts_choice choice;
    struct accounts_wait wait;
    static const char *opus[] = {"opus"}, *haiku[] = {"haiku"};
    rows[0] = row("a", 1, 1), rows[1] = row("b", 1, 1);
    rows[0].models.at = opus, rows[0].models.count = 1;
    rows[1].models.at = haiku, rows[1].models.count = 1;
    rows[0].concurrent = rows[1].concurrent = 1;
    open_with(2);
    const struct accounts_wish wish = wish_for("opus", PRIORITY_NORMAL);
    assert_int_equal(take(0, "opus", 0, &choice), ACCOUNTS_TAKEN);
    assert_true(accounts_wait(accounts, &wish, 9, &wait));
    accounts_give(accounts, 0);
    assert_int_equal(try(wish, false), ACCOUNTS_FULL);
    assert_int_equal(try(wish_for("haiku", PRIORITY_LOW), false), ACCOUNTS_TAKEN);
    accounts_wait_over(accounts, &wait);
    accounts_free(accounts);
    rows[0] = rows[1] = row("", 1, 1);
}

static void a_higher_priority_comes_first(void **state)
{
    (void)state;
    struct accounts_choice choice;
    struct accounts_wait waits[PRIORITIES];
    rows[0] = row("a", 1, 1);
    rows[0].concurrent = 1;
    open_with(1);
    assert_int_equal(take(0, "", 0, &choice), ACCOUNTS_TAKEN);
    for (unsigned p = 0; p < PRIORITIES; p++) {
        const struct accounts_wish wish = wish_for("", (enum config_priority)p);
        assert_true(accounts_wait(accounts, &wish, 9, &waits[p]));
    }
    accounts_give(accounts, 0);
    for (unsigned p = PRIORITIES; p-- > 0;) { /* p is the highest that still waits */
        for (unsigned other = 0; other < PRIORITIES; other++) {
            const struct accounts_wish wish = wish_for("", (enum config_priority)other);
            assert_int_equal(try(wish, true), other >= p ? ACCOUNTS_TAKEN : ACCOUNTS_FULL);
            assert_int_equal(try(wish, false), other > p ? ACCOUNTS_TAKEN : ACCOUNTS_FULL);
        }
        accounts_wait_over(accounts, &waits[p]);
    }
    assert_int_equal(try(wish_for("", PRIORITY_LOW), false), ACCOUNTS_TAKEN);
    accounts_free(accounts);
    rows[0].concurrent = 0;
}

static void models(void **state)
{
    (void)state;
    static const char *patterns[] = {"claude-*-4*", "*haiku"};
    static const struct {
        const char *model;
        bool fits;
    } cases[] = {{"claude-opus-4-1", true},
                 {"claude-opus-3", false},
                 {"claude--4", true},
                 {"3-haiku", true},
                 {"haiku", true},
                 {"haiku-3", false},
                 {"", true},
                 {"claude-4", false},
                 {"gpt-4o", false},
                 {"claude-4-4-x-haiku", true},
                 {"claude-4-3-haiku", true}};
    struct accounts_choice choice;
    rows[0] = row("a", 1, 1), rows[1] = row("b", 2, 1);
    rows[0].models.at = patterns, rows[0].models.count = 2;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(accounts_model_fits(&rows[0], slice_of(cases[i].model)), cases[i].fits);
    }
    open_with(2);
    assert_int_equal(take(0, "gpt-4o", 0, &choice), ACCOUNTS_TAKEN);
    assert_int_equal(choice.index, 1);
    assert_int_equal(take(0, "gpt-4o", 2, &choice), ACCOUNTS_NOBODY);
    /* Of one family: the other models go on. */
    const struct cooldown_answer answer = {
        .status = 429, .has_reset = true, .reset_ms = 5000, .family = SLICE("haiku")};
    accounts_answer(accounts, 0, &answer, NOW);
    assert_int_equal(take(0, "3-haiku", 2, &choice), ACCOUNTS_COOLING);
    assert_int_equal(choice.wait_ms, 5000);
    assert_int_equal(take(0, "claude-opus-4", 0, &choice), ACCOUNTS_TAKEN);
    assert_int_equal(choice.index, 0);
    accounts_free(accounts);
    rows[0].models.count = 0;
}

static void credentials_are_fields(void **state)
{
    (void)state;
    static struct config_field fields[] = {{"x-api-key", "k"}, {"Beta", "b"}};
    uint32_t count;
    rows[0] = row("a", 1, 1);
    rows[0].headers.at = fields, rows[0].headers.count = 2;
    open_with(1);
    const struct http_field *set = accounts_fields(accounts, 0, &count);
    assert_int_equal(count, 2);
    assert_int_equal(set[0].id, HTTP_X_API_KEY);
    assert_true(slice_is(set[1].value, "b"));
    assert_false(accounts_wants_body(accounts));
    accounts_free(accounts);
    rows[0].headers.count = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_stay_where_they_are),
        cmocka_unit_test(the_lowest_priority_that_is_usable),
        cmocka_unit_test(other_credentials_are_not_to_blame),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(nobody_overtakes_those_in_line),
        cmocka_unit_test(who_waits_for_another_account_holds_up_nobody),
        cmocka_unit_test(a_higher_priority_comes_first),
        cmocka_unit_test(models),
        cmocka_unit_test(credentials_are_fields),
    };
    return cmocka_run_group_tests_name("gateway/accounts", tests, NULL, NULL);
}
