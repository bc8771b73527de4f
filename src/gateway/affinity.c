/* SPDX-License-Identifier: Apache-2.0
 *
 * affinity.c - keys: what a request shows of its conversation.
 */
#include "gateway/affinity.h"

#include "base/check.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define HEADER_PREFIX "header:"
#define COOKIE_PREFIX "cookie:"

/* What one source says; at NULL: nothing. */
struct said {
    const void *at;
    size_t len;
    bool is_too_long, needs_body;
};

static const struct {
    const char *word, *label;
} names[] = {
#define AFFINITY_NAMES(name, word, label) {word, label},
    AFFINITIES(AFFINITY_NAMES)
#undef AFFINITY_NAMES
};

const char *affinity_word(enum affinity affinity)
{
    check(affinity < AFFINITY_COUNT);
    return names[affinity].word;
}

const char *affinity_label(enum affinity affinity)
{
    check(affinity < AFFINITY_COUNT);
    return names[affinity].label;
}

/* --- sources -------------------------------------------------------------------------------------
 */

bool affinity_is_used(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.at[i];
        for (uint32_t r = 0; r < listener->routes.count; r++) {
            if (listener->routes.at[r].affinity.is_on) {
                return true;
            }
        }
    }
    return false;
}

static bool is_in_body(const char *source)
{
    return strcmp(source, "openai") == 0 || strcmp(source, "anthropic") == 0
           || strcmp(source, "content") == 0;
}

bool affinity_source_is_known(const char *source)
{
    size_t header = sizeof HEADER_PREFIX - 1, cookie = sizeof COOKIE_PREFIX - 1;
    if (strncmp(source, HEADER_PREFIX, header) == 0) {
        return http_name_valid(slice_of(source + header));
    }
    if (strncmp(source, COOKIE_PREFIX, cookie) == 0) {
        return http_name_valid(slice_of(source + cookie));
    }
    return is_in_body(source) || strcmp(source, "session_header") == 0
           || strcmp(source, "address") == 0;
}

bool affinity_wants_body(const struct config_texts *sources)
{
    bool wants = false;
    for (uint32_t i = 0; i < sources->count; i++) {
        wants |= is_in_body(sources->at[i]);
    }
    return wants;
}

bool affinity_pins(const struct config_texts *sources)
{
    bool pins = false;
    for (uint32_t i = 0; i < sources->count; i++) {
        pins |= strcmp(sources->at[i], "openai") == 0;
    }
    return pins;
}

static struct said said_of(struct slice text)
{
    struct said said = {.at = text.len > 0 ? text.at : NULL, .len = text.len};
    said.is_too_long = text.len > AFFINITY_KEY_MAX;
    return said;
}

static struct said of_field(const struct http_head *head, const char *name)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        if (slice_is_nocase(head->fields[i].name, name) && head->fields[i].value.len > 0) {
            return said_of(head->fields[i].value);
        }
    }
    return (struct said){0};
}

/* The first cookie of that name (RFC 6265 §4.2.1). */
static struct said of_cookie(const struct http_head *head, const char *name)
{
    for (uint32_t i = 0; i < head->field_count; i++) {
        struct slice rest = head->fields[i].value, pair;
        while (head->fields[i].id == HTTP_COOKIE && slice_split(&rest, ';', &pair)) {
            pair = slice_trim(pair);
            uint32_t at = slice_find(pair, '=');
            if (at < pair.len && slice_is(slice_sub(pair, 0, at), name)) {
                return said_of(slice_sub(pair, at + 1, pair.len));
            }
        }
    }
    return (struct said){0};
}

static struct said of_word(const struct ai_request *body, enum ai_word which)
{
    const struct ai_text *word = &body->words[which];
    struct said said = {.is_too_long = word->standing == AI_TOO_LONG};
    if (word->standing == AI_GOOD) {
        said.at = word->at;
        said.len = word->len;
    } else if (said.is_too_long) {
        said.at = "";
    }
    return said;
}

static struct said of_openai(const struct ai_request *body)
{
    static const enum ai_word words[] = {AI_SESSION_ID, AI_CONVERSATION_ID, AI_PROMPT_CACHE_KEY,
                                         AI_PREVIOUS_RESPONSE_ID};
    struct said said = {0};
    for (uint32_t i = 0; said.at == NULL && i < sizeof words / sizeof *words; i++) {
        said = of_word(body, words[i]);
    }
    return said;
}

static const char session_mark[] = "session_";

/* Where that begins in "user_…_account_…_session_ID"; its length: nowhere. */
static uint32_t session_in(struct slice text)
{
    uint32_t at = text.len;
    while (at-- > 0) {
        struct slice end = slice_sub(text, at, text.len);
        if (slice_starts(end, SLICE(session_mark)) && end.len > sizeof session_mark - 1) {
            return at;
        }
    }
    return text.len;
}

/* "user_…_account_…_session_ID", or {"session_id": ID}. */
static struct said of_anthropic(const struct ai_request *body)
{
    struct said said = of_word(body, AI_USER_ID);
    struct slice text = {said.at, (uint32_t)said.len}, value;
    if (said.at == NULL || said.is_too_long) {
        return said;
    }
    if (text.at[0] == '{' && json_check(text)
        && json_member(json_trim(text), SLICE("session_id"), &value) && value.len > 2) {
        return said_of(slice_sub(value, 1, value.len - 1));
    }
    uint32_t at = session_in(text);
    if (at < text.len) {
        return said_of(slice_sub(text, at + sizeof session_mark - 1, text.len));
    }
    return said;
}

static struct said of_body(const struct affinity_ask *ask, const char *source)
{
    const struct ai_request *body = ask->body;
    if (body == NULL) {
        return (struct said){.needs_body = true};
    }
    if (strcmp(source, "openai") == 0) {
        return of_openai(body);
    }
    if (strcmp(source, "anthropic") == 0) {
        return of_anthropic(body);
    }
    return (struct said){.at = body->has_digest ? body->digest : NULL, .len = AI_DIGEST_LEN};
}

static struct said ask_source(const struct affinity_ask *ask, const char *source)
{
    if (strncmp(source, HEADER_PREFIX, sizeof HEADER_PREFIX - 1) == 0) {
        return of_field(ask->head, source + sizeof HEADER_PREFIX - 1);
    }
    if (strncmp(source, COOKIE_PREFIX, sizeof COOKIE_PREFIX - 1) == 0) {
        return of_cookie(ask->head, source + sizeof COOKIE_PREFIX - 1);
    }
    if (strcmp(source, "session_header") == 0) {
        struct said said = of_field(ask->head, "X-Session-Id");
        return said.at != NULL ? said : of_field(ask->head, "X-Claude-Code-Session-Id");
    }
    if (strcmp(source, "address") == 0) {
        return (struct said){.at = ask->address, .len = 16};
    }
    return of_body(ask, source);
}

/* --- keys ----------------------------------------------------------------------------------------
 */

uint64_t affinity_user_of(struct slice user_id)
{
    static const char *const members[] = {"account_uuid", "device_id"};
    struct slice text = user_id, value;
    bool is_object = text.len > 0 && text.at[0] == '{' && json_check(text);
    for (uint32_t i = 0; is_object && i < sizeof members / sizeof *members; i++) {
        if (json_member(json_trim(user_id), slice_of(members[i]), &value) && value.len > 2) {
            text = slice_sub(value, 1, value.len - 1);
            break;
        }
    }
    text = is_object ? text : slice_sub(text, 0, session_in(text));
    while (text.len > 0 && text.at[text.len - 1] == '_') {
        text.len--;
    }
    return text.len > 0 ? XXH3_64bits(text.at, text.len) : 0;
}

uint64_t affinity_user(const struct ai_request *body)
{
    const struct ai_text *word = &body->words[AI_USER_ID];
    return word->standing == AI_GOOD
               ? affinity_user_of((struct slice){word->at, (uint32_t)word->len})
               : 0;
}

void affinity_user_text(uint64_t user, char ret_text[AFFINITY_USER_TEXT])
{
    ret_text[0] = '\0';
    if (user != 0) {
        snprintf(ret_text, AFFINITY_USER_TEXT, "%016llx", (unsigned long long)user);
    }
}

uint64_t affinity_client(const struct http_head *head)
{
    const struct http_field *shown = http_find(head, HTTP_AUTHORIZATION);
    if (shown == NULL) {
        shown = http_find(head, HTTP_X_API_KEY);
    }
    return shown != NULL ? XXH3_64bits(shown->value.at, shown->value.len) : 0;
}

uint64_t affinity_scope(uint64_t client, const char *upstream)
{
    return XXH3_64bits_withSeed(upstream, strlen(upstream), client);
}

static struct affinity_key key_of(uint64_t scope, uint64_t kind, const void *at, size_t len)
{
    uint64_t seed = scope ^ kind;
    return (struct affinity_key){
        .scope = scope,
        .hash = XXH3_64bits_withSeed(at, len, seed),
        .tag = XXH3_64bits_withSeed(at, len, seed * UINT64_C(0x9e3779b97f4a7c15) + 1),
    };
}

enum affinity affinity_key_of(const struct affinity_ask *ask, struct affinity_key *ret_key)
{
    bool misses_body = false;
    ret_key->scope = ask->scope;
    for (uint32_t i = 0; i < ask->sources->count; i++) {
        const char *source = ask->sources->at[i];
        struct said said = ask_source(ask, source);
        misses_body |= said.needs_body;
        if (said.at == NULL) {
            continue;
        }
        if (said.is_too_long) {
            return AFFINITY_TOO_LONG;
        }
        uint64_t kind = XXH3_64bits(source, strlen(source));
        *ret_key = key_of(ret_key->scope, kind, said.at, said.len);
        return AFFINITY_HIT;
    }
    return misses_body && ask->is_too_large ? AFFINITY_TOO_LARGE : AFFINITY_NO_KEY;
}

struct affinity_key affinity_key_of_answer(uint64_t scope, const char *id, size_t len)
{
    return key_of(scope, 1, id, len);
}
