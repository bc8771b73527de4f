/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/affinity.h"

#include <weir/session.h>

#include "support/unit.h"

#include <stdio.h>
#include <string.h>

static struct ai_request body;
static const uint8_t address[16] = {1, 2, 3};

struct line {
    const char *name, *value;
};

/* One source, or several separated by spaces. */
static enum affinity ask(const char *sources, const struct line *lines, const char *json,
                         struct affinity_key *ret)
{
    static char text[200];
    const char *at[8];
    struct config_texts list = {at, 0};
    struct http_field fields[8];
    struct http_head head = {.fields = fields};
    snprintf(text, sizeof text, "%s", sources);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        at[list.count++] = word;
    }
    for (; lines != NULL && lines->name != NULL; lines++) {
        struct slice name = slice_of(lines->name);
        enum http_field_id id = http_field_id_of(name);
        fields[head.field_count++] =
            (struct http_field){.name = name, .value = slice_of(lines->value), .id = (uint8_t)id};
        head.present |= UINT64_C(1) << id;
    }
    if (json != NULL) {
        ai_request_begin(&body);
        ai_request_feed(&body, json, strlen(json));
        ai_request_end(&body);
    }
    const struct affinity_ask it = {.sources = &list,
                                    .head = &head,
                                    .body = json != NULL ? &body : NULL,
                                    .address = address,
                                    .scope = affinity_scope(affinity_client(&head), "up")};
    return affinity_key_of(&it, ret);
}

#define LINES(...) ((const struct line[]){__VA_ARGS__, {NULL, NULL}})

static bool same(const struct affinity_key *a, const struct affinity_key *b)
{
    return a->hash == b->hash && a->tag == b->tag;
}

static void every_source(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        struct line line;
        const char *json;
    } rows[] = {
        {"header:X-Chat", {"x-chat", "1"}, NULL},
        {"session_header", {"X-Session-Id", "1"}, NULL},
        {"session_header", {"x-claude-code-session-id", "1"}, NULL},
        {"cookie:sid", {"Cookie", "a=2; sid=1; sid=3"}, NULL},
        {"openai", {"a", "b"}, "{\"session_id\":\"1\"}"},
        {"openai", {"a", "b"}, "{\"conversation_id\":\"1\"}"},
        {"openai", {"a", "b"}, "{\"prompt_cache_key\":\"1\"}"},
        {"anthropic", {"a", "b"}, "{\"metadata\":{\"user_id\":\"user_7_account__session_1\"}}"},
        {"anthropic",
         {"a", "b"},
         "{\"metadata\":{\"user_id\":\"{\\\"session_id\\\":\\\"1\\\"}\"}}"},
        {"anthropic", {"a", "b"}, "{\"metadata\":{\"user_id\":\"1\"}}"},
        {"content", {"a", "b"}, "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
        {"address", {"a", "b"}, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct affinity_key key, again, other;
        assert_true(affinity_source_is_known(rows[i].source));
        assert_int_equal(ask(rows[i].source, LINES(rows[i].line), rows[i].json, &key),
                         AFFINITY_HIT);
        assert_int_equal(ask(rows[i].source, LINES(rows[i].line), rows[i].json, &again),
                         AFFINITY_HIT);
        assert_true(same(&key, &again));
        /* Of another client it is another conversation. */
        assert_int_equal(ask(rows[i].source, LINES(rows[i].line, {"Authorization", "Bearer x"}),
                             rows[i].json, &other),
                         AFFINITY_HIT);
        assert_false(same(&key, &other));
        /* Where only another source is asked there is none. */
        assert_int_equal(ask("header:nothing", LINES(rows[i].line), rows[i].json, &other),
                         AFFINITY_NO_KEY);
    }
    /* The three forms of Anthropic's are one. */
    struct affinity_key keys[3];
    for (int i = 0; i < 3; i++) {
        ask(rows[7 + i].source, NULL, rows[7 + i].json, &keys[i]);
    }
    assert_true(same(&keys[0], &keys[1]) && same(&keys[1], &keys[2]));
}

static void in_their_order(void **state)
{
    (void)state;
    const char *json = "{\"session_id\":\"s\",\"messages\":[{\"content\":\"hi\"}]}";
    struct affinity_key first, key;
    ask("openai", NULL, json, &first);
    ask("session_header openai content", NULL, json, &key);
    assert_true(same(&first, &key));
    ask("content openai", NULL, json, &key);
    assert_false(same(&first, &key));
    assert_int_equal(ask("openai content", NULL, NULL, &key), AFFINITY_NO_KEY);
    assert_int_equal(ask("openai content", NULL, "not json", &key), AFFINITY_NO_KEY);
}

static void an_id_that_is_too_long_is_none(void **state)
{
    (void)state;
    char id[300];
    struct affinity_key key;
    memset(id, 'x', 256);
    id[256] = '\0';
    assert_int_equal(ask("session_header address", LINES({"X-Session-Id", id}), NULL, &key),
                     AFFINITY_TOO_LONG);
    id[255] = '\0';
    assert_int_equal(ask("session_header address", LINES({"X-Session-Id", id}), NULL, &key),
                     AFFINITY_HIT);
    char json[400];
    memset(id, 'x', 256);
    snprintf(json, sizeof json, "{\"session_id\":\"%.256s\"}", id);
    assert_int_equal(ask("openai address", NULL, json, &key), AFFINITY_TOO_LONG);
}

static void sources(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "openAI", "header:", "header:a b", "cookie:", "cookie"};
    static const char *texts[] = {"address", "openai"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(affinity_source_is_known(bad[i]));
    }
    const struct config_texts one = {texts, 1}, both = {texts, 2};
    assert_false(affinity_wants_body(&one) || affinity_pins(&one));
    assert_true(affinity_wants_body(&both) && affinity_pins(&both));
}

static void bind(struct affinities *affinities, const struct affinity_key *key, const char *account,
                 uint32_t epoch)
{
    const struct affinity_owner owner = {.upstream = "up", .client = "team", .user = 0xabc};
    const struct affinity_place place = {account, epoch, 60000};
    affinities_bind(affinities, key, &owner, &place);
}

/* Adds up who is shown, with each request that was bound, the first among them. */
static bool on_found(void *arg, const weir_session *session)
{
    assert_string_equal(session->place, "a2");
    assert_int_equal(session->requests, 5);
    ++*(unsigned *)arg;
    return true;
}

static unsigned found(struct affinities *affinities, const char *user, const char *client)
{
    unsigned count = 0;
    const weir_session_query query = {
        .size = sizeof query, .user = user, .account = "up", .key = client};
    weir_sessions_find(affinities_sessions(affinities), &query, on_found, &count);
    return count;
}

static void a_user_is_known_whatever_the_session(void **state)
{
    (void)state;
    char text[AFFINITY_USER_TEXT];
    uint64_t user = affinity_user_of(SLICE("user_1_account_2"));
    assert_true(user != 0);
    assert_int_equal(affinity_user_of(SLICE("user_1_account_2_session_a")), user);
    assert_int_equal(affinity_user_of(SLICE("user_1_account_2__session_b")), user);
    assert_int_not_equal(affinity_user_of(SLICE("user_1_account_3_session_a")), user);
    uint64_t account = affinity_user_of(SLICE("{\"session_id\":\"x\",\"account_uuid\":\"u\"}"));
    assert_int_equal(affinity_user_of(SLICE("{\"account_uuid\":\"u\",\"session_id\":\"y\"}")),
                     account);
    assert_int_equal(affinity_user_of(SLICE("u")), account);
    assert_int_equal(affinity_user_of(SLICE("")), 0);
    assert_int_equal(affinity_user_of(SLICE("session_x")), 0);
    affinity_user_text(0, text);
    assert_string_equal(text, "");
    affinity_user_text(0xabc, text);
    assert_string_equal(text, "0000000000000abc");
}

static void records(void **state)
{
    (void)state;
    struct affinities *affinities;
    struct affinity_bound bound = {0}, first;
    char fault[AFFINITY_FAULT_MAX];
    const struct config config = {
        .sessions = {.max = 1000,
                     .ttl_ms = 1800000,
                     .ttl_max_ms = CONFIG_NEVER,
                     .path = "",
                     .secret = "",
                     .redis = {.url = "", .sentinels = "", .ca = "", .prefix = "weir"}}};
    assert_int_equal(affinities_new(&config, &affinities, fault), 0);
    struct affinity_key a = affinity_key_of_answer(1, "r1", 2);
    struct affinity_key b = affinity_key_of_answer(2, "r1", 2);
    assert_int_equal(affinities_find(affinities, &a, 0, NULL, &bound), AFFINITY_NOWHERE);
    bind(affinities, &a, "a1", 0);
    assert_int_equal(affinities_find(affinities, &a, 0, NULL, &bound), AFFINITY_BOUND);
    assert_string_equal(bound.account, "a1");
    assert_int_equal(affinities_find(affinities, &b, 0, NULL, &bound), AFFINITY_NOWHERE);
    first = bound;
    bind(affinities, &a, "a2", first.epoch);
    bind(affinities, &a, "a2", 0);
    /* Who comes later, or was only served by it, moves nothing. */
    bind(affinities, &a, "a3", first.epoch);
    bind(affinities, &a, "a1", 0);
    assert_int_equal(affinities_find(affinities, &a, 0, NULL, &bound), AFFINITY_BOUND);
    assert_string_equal(bound.account, "a2");
    assert_int_equal(found(affinities, "0000000000000abc", "team"), 1);
    assert_int_equal(found(affinities, "0000000000000abd", NULL), 0);
    assert_int_equal(found(affinities, NULL, "other"), 0);
    struct affinities_info info;
    affinities_info_of(affinities, &info);
    assert_int_equal(info.records, 1);
    assert_false(affinities_seen(affinities, &a, 5000));
    affinities_see(affinities, &a, 5000, 60000);
    assert_true(affinities_seen(affinities, &a, 64000));
    assert_false(affinities_seen(affinities, &a, 66000));
    assert_false(affinities_seen(affinities, &b, 5000));
    affinities_count(affinities, AFFINITY_HIT);
    assert_int_equal(affinities_counted(affinities, AFFINITY_HIT), 1);
    affinities_free(affinities);
}

static int open_it(void **state)
{
    (void)state;
    return ai_request_init(&body);
}

static int close_it(void **state)
{
    (void)state;
    ai_request_fini(&body);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_user_is_known_whatever_the_session),
        cmocka_unit_test(every_source),
        cmocka_unit_test(in_their_order),
        cmocka_unit_test(an_id_that_is_too_long_is_none),
        cmocka_unit_test(sources),
        cmocka_unit_test(records),
    };
    return cmocka_run_group_tests_name("gateway/affinity", tests, open_it, close_it);
}
