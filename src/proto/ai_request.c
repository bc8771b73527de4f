/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_request.h"

#include "base/check.h"
#include "proto/json_skip.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

enum state {
    AT_VALUE,
    AT_FIRST, /* a value, or the end of the list */
    AT_KEY,
    AT_FIRST_KEY, /* a key, or the end of the object */
    AT_COLON,
    AFTER_VALUE,
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_NUMBER,
    IN_LITERAL,
    IS_OVER, /* nothing but white space may come */
    IS_BAD
};

/* Which part of a request a list or an object is. */
enum where {
    SOMEWHERE,
    ROOT,
    METADATA,
    SYSTEM,       /* the list of its blocks */
    SYSTEM_BLOCK, /* one of them */
    MESSAGES,
    MESSAGE, /* the one at hand */
    CONTENT  /* … and all that is in its content */
};

/* Where a string goes. */
enum sink { SINK_NONE, SINK_KEY, SINK_ROLE, SINK_DIGEST, SINK_WORD /* + enum ai_word */ };

static const char *in_string(struct ai_request *r, const char *at, const char *end);
static void take_after(struct ai_request *r, char c);
static bool is_of_number(char c);
static void take(struct ai_request *r, char c);
static void make_digest(struct ai_request *r);

int ai_request_init(struct ai_request *request)
{
    *request = (struct ai_request){
        .text = EVP_MD_CTX_new(), .system = EVP_MD_CTX_new(), .cached = EVP_MD_CTX_new()};
    if (request->text == NULL || request->system == NULL || request->cached == NULL
        || EVP_DigestInit_ex(request->text, EVP_sha256(), NULL) != 1
        || EVP_DigestInit_ex(request->system, EVP_sha256(), NULL) != 1
        || EVP_DigestInit_ex(request->cached, EVP_sha256(), NULL) != 1) {
        ai_request_fini(request);
        return -ENOMEM;
    }
    ai_request_begin(request);
    return 0;
}

void ai_request_fini(struct ai_request *request)
{
    EVP_MD_CTX_free(request->text);
    EVP_MD_CTX_free(request->system);
    EVP_MD_CTX_free(request->cached);
    request->text = request->system = request->cached = NULL;
}

void ai_request_begin(struct ai_request *request)
{
    for (unsigned i = 0; i < AI_WORDS; i++) {
        request->words[i].standing = AI_ABSENT;
        request->words[i].len = 0;
    }
    request->has_digest = false;
    request->state = AT_VALUE;
    request->depth = 0;
    request->has_first = request->has_system = request->has_cached = false;
}

void ai_request_feed(struct ai_request *r, const void *data, size_t len)
{
    const char *at = data, *end = at + len;
    while (at < end && r->state != IS_BAD) {
        char c = *at;
        if (r->state == IN_STRING) {
            at = in_string(r, at, end);
        } else if (r->state == IN_NUMBER && !is_of_number(c)) {
            r->state = AFTER_VALUE; /* it is looked at again */
        } else {
            take(r, c);
            at++;
        }
    }
}

bool ai_request_end(struct ai_request *request)
{
    if (request->state != IS_OVER) {
        ai_request_begin(request);
        return false;
    }
    make_digest(request);
    return true;
}

/* --- digests -----------------------------------------------------------------------------------
 */

static void digest_begin(void *context)
{
    /* Of the same kind as before: nothing is allocated, and nothing can go wrong. */
    int is_done = EVP_DigestInit_ex(context, NULL, NULL);
    check(is_done == 1);
}

static void digest_add(void *context, const void *data, size_t len)
{
    int is_done = EVP_DigestUpdate(context, data, len);
    check(is_done == 1);
}

static void digest_end(void *context, uint8_t ret[AI_DIGEST_LEN])
{
    unsigned len = AI_DIGEST_LEN;
    int is_done = EVP_DigestFinal_ex(context, ret, &len);
    check(is_done == 1);
}

static void text_begin(struct ai_request *r)
{
    digest_begin(r->text);
    r->has_text = false;
    r->is_cached = false;
    r->role_len = 0;
}

/* A part of the system's text is complete. */
static void system_add(struct ai_request *r)
{
    uint8_t part[AI_DIGEST_LEN];
    if (!r->has_text) {
        return;
    }
    digest_end(r->text, part);
    if (!r->has_system) {
        digest_begin(r->system);
    }
    r->has_system = true;
    digest_add(r->system, part, sizeof part);
    if (r->is_cached && !r->has_cached) {
        digest_begin(r->cached);
    }
    if (r->is_cached) {
        r->has_cached = true;
        digest_add(r->cached, part, sizeof part);
    }
}

static void message_end(struct ai_request *r)
{
    bool is_system = (r->role_len == 6 && memcmp(r->role, "system", 6) == 0)
                     || (r->role_len == 9 && memcmp(r->role, "developer", 9) == 0);
    if (is_system) {
        system_add(r);
    } else if (r->has_text) {
        digest_end(r->text, r->first);
        r->has_first = true;
    }
}

static void make_digest(struct ai_request *r)
{
    uint8_t part[AI_DIGEST_LEN];
    char kind = r->has_cached ? 'c' : r->has_system ? 's' : 'f';
    if (!r->has_cached && !r->has_system && !r->has_first) {
        return;
    }
    if (kind != 'f') {
        digest_end(kind == 'c' ? r->cached : r->system, part);
    }
    digest_begin(r->text);
    digest_add(r->text, &kind, 1);
    if (kind != 'f') {
        digest_add(r->text, part, sizeof part);
    }
    if (kind != 's' && r->has_first) {
        digest_add(r->text, r->first, sizeof r->first);
    }
    digest_end(r->text, r->digest);
    r->has_digest = true;
}

/* --- strings -----------------------------------------------------------------------------------
 */

static void put_byte(struct ai_request *r, char c)
{
    if (r->sink == SINK_KEY) {
        if (r->key_len < sizeof r->key) {
            r->key[r->key_len++] = c;
        }
    } else if (r->sink == SINK_ROLE) {
        if (r->role_len < sizeof r->role) {
            r->role[r->role_len++] = c;
        }
    } else {
        struct ai_text *word = &r->words[r->sink - SINK_WORD];
        if (word->len < AI_TEXT_MAX) {
            word->at[word->len] = c;
        }
        word->len += word->len <= AI_TEXT_MAX;
    }
}

static void put_code(struct ai_request *r, uint32_t code)
{
    if (code < 0x80) {
        put_byte(r, (char)code);
    } else if (code < 0x800) {
        put_byte(r, (char)(0xc0 | code >> 6));
        put_byte(r, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) {
        put_byte(r, (char)(0xe0 | code >> 12));
        put_byte(r, (char)(0x80 | (code >> 6 & 0x3f)));
        put_byte(r, (char)(0x80 | (code & 0x3f)));
    } else {
        put_byte(r, (char)(0xf0 | code >> 18));
        put_byte(r, (char)(0x80 | (code >> 12 & 0x3f)));
        put_byte(r, (char)(0x80 | (code >> 6 & 0x3f)));
        put_byte(r, (char)(0x80 | (code & 0x3f)));
    }
}

/* The first half of a pair that has no second one. */
static void put_lone(struct ai_request *r)
{
    if (r->high != 0) {
        r->high = 0;
        put_code(r, 0xfffd);
    }
}

static bool is_kept(const struct ai_request *r)
{
    return r->sink != SINK_NONE && r->sink != SINK_DIGEST;
}

static void string_begin(struct ai_request *r, unsigned sink)
{
    r->state = IN_STRING;
    r->sink = (uint8_t)sink;
    r->high = 0;
    r->is_key = sink == SINK_KEY;
    if (sink == SINK_DIGEST) {
        static const char start = '\0'; /* stands in no text */
        digest_add(r->text, &start, 1);
        r->has_text = true;
    }
}

static void word_end(struct ai_request *r)
{
    struct ai_text *word = &r->words[r->sink - SINK_WORD];
    if (word->standing == AI_TWICE) {
        return;
    }
    word->standing = word->len > AI_TEXT_MAX ? AI_TOO_LONG : word->len > 0 ? AI_GOOD : AI_ABSENT;
    word->at[word->len <= AI_TEXT_MAX ? word->len : AI_TEXT_MAX] = '\0';
}

static void string_end(struct ai_request *r)
{
    if (is_kept(r)) {
        put_lone(r);
    }
    if (r->is_key) {
        r->state = AT_COLON;
        return;
    }
    r->state = AFTER_VALUE;
    uint8_t where = r->levels[r->depth - 1].where;
    if (r->sink >= SINK_WORD) {
        word_end(r);
    } else if (r->sink == SINK_DIGEST && (where == ROOT || where == SYSTEM)) {
        if (where == ROOT && r->key[0] == 'i' && r->key_len == 5) { /* "input" */
            message_end(r);
        } else {
            system_add(r);
        }
    }
}

static void put_plain(struct ai_request *r, const char *at, size_t len)
{
    if (r->sink == SINK_DIGEST) {
        digest_add(r->text, at, len);
    } else if (len > 0 && is_kept(r)) {
        put_lone(r);
        for (size_t i = 0; i < len; i++) {
            put_byte(r, at[i]);
        }
    }
}

static bool is_short_escape(char c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return true;
    default: return false;
    }
}

static const char *in_string(struct ai_request *r, const char *at, const char *end)
{
    const char *from = at;
    at = json_skip_plain(at, end);
    while (!is_kept(r) && end - at >= 2 && at[0] == '\\' && is_short_escape(at[1])) {
        at = json_skip_plain(at + 2, end); /* as it is written, like all that is kept of it */
    }
    put_plain(r, from, (size_t)(at - from));
    if (at == end) {
        return at;
    }
    if (*at == '"') {
        string_end(r);
    } else if (*at == '\\') {
        if (r->sink == SINK_DIGEST) {
            digest_add(r->text, at, 1);
        }
        r->state = IN_ESCAPE;
    } else {
        r->state = IS_BAD;
    }
    return at + 1;
}

static void in_escape(struct ai_request *r, char c)
{
    static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *name = memchr(names, c, sizeof names - 1);
    if (r->sink == SINK_DIGEST) {
        digest_add(r->text, &c, 1);
    }
    if (c == 'u') {
        r->state = IN_HEX;
        r->hex_left = 4;
        r->unit = 0;
    } else if (name != NULL) {
        r->state = IN_STRING;
        if (is_kept(r)) {
            put_lone(r);
            put_byte(r, meanings[name - names]);
        }
    } else {
        r->state = IS_BAD;
    }
}

/* A unit of UTF-16 is complete. */
static void take_unit(struct ai_request *r)
{
    bool is_low = r->unit >= 0xdc00 && r->unit < 0xe000;
    bool is_high = r->unit >= 0xd800 && r->unit < 0xdc00;
    if (is_low && r->high != 0) {
        put_code(r, 0x10000 + ((uint32_t)(r->high - 0xd800) << 10) + (r->unit - 0xdc00U));
        r->high = 0;
        return;
    }
    put_lone(r);
    if (is_high) {
        r->high = r->unit;
    } else {
        put_code(r, is_low ? 0xfffd : r->unit);
    }
}

static void in_hex(struct ai_request *r, char c)
{
    uint64_t digit;
    char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9') {
        digit = (uint64_t)(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
        digit = (uint64_t)(lower - 'a') + 10;
    } else {
        r->state = IS_BAD;
        return;
    }
    if (r->sink == SINK_DIGEST) {
        digest_add(r->text, &c, 1);
    }
    r->unit = (uint16_t)(r->unit << 4 | digit);
    if (--r->hex_left == 0) {
        r->state = IN_STRING;
        if (is_kept(r)) {
            take_unit(r);
        }
    }
}

/* --- structure -----------------------------------------------------------------------------------
 */

static uint8_t where_of(const struct ai_request *r)
{
    return r->depth > 0 ? r->levels[r->depth - 1].where : SOMEWHERE;
}

static bool key_is(const struct ai_request *r, const char *name)
{
    size_t len = strlen(name);
    return r->key_len == len && memcmp(r->key, name, len) == 0;
}

static unsigned word_of(struct ai_request *r, uint8_t where)
{
    static const char *const names[AI_WORDS] = {
        [AI_MODEL] = "model",
        [AI_SESSION_ID] = "session_id",
        [AI_CONVERSATION_ID] = "conversation_id",
        [AI_PROMPT_CACHE_KEY] = "prompt_cache_key",
        [AI_PREVIOUS_RESPONSE_ID] = "previous_response_id",
        [AI_USER_ID] = "user_id",
    };
    unsigned from = where == ROOT ? 0 : AI_USER_ID, to = where == ROOT ? AI_USER_ID : AI_WORDS;
    for (unsigned i = from; i < to; i++) {
        if (key_is(r, names[i])) {
            struct ai_text *word = &r->words[i];
            word->standing = word->standing == AI_ABSENT ? AI_ABSENT : AI_TWICE;
            word->len = 0;
            return SINK_WORD + i;
        }
    }
    return SINK_NONE;
}

/* Where a string that is a value goes. */
static unsigned sink_of(struct ai_request *r)
{
    uint8_t where = where_of(r);
    bool is_object = r->levels[r->depth - 1].is_object;
    switch (where) {
    case ROOT:
        if (key_is(r, "system") || key_is(r, "instructions")
            || (key_is(r, "input") && !r->has_first)) {
            text_begin(r);
            return SINK_DIGEST;
        }
        return word_of(r, where);
    case METADATA: return word_of(r, where);
    case SYSTEM: text_begin(r); return SINK_DIGEST;
    case SYSTEM_BLOCK:
        r->is_cached |= key_is(r, "cache_control");
        return key_is(r, "text") ? SINK_DIGEST : SINK_NONE;
    case MESSAGE:
        if (key_is(r, "role")) {
            r->role_len = 0;
            return SINK_ROLE;
        }
        return key_is(r, "content") ? SINK_DIGEST : SINK_NONE;
    case CONTENT:
        return !is_object || key_is(r, "text") || key_is(r, "data") || key_is(r, "url")
                   ? SINK_DIGEST
                   : SINK_NONE;
    default: return SINK_NONE;
    }
}

static uint8_t where_leads(struct ai_request *r, bool is_object)
{
    switch (where_of(r)) {
    case ROOT:
        if (is_object) {
            return key_is(r, "metadata") ? METADATA : SOMEWHERE;
        }
        return key_is(r, "system")                           ? SYSTEM
               : key_is(r, "messages") || key_is(r, "input") ? MESSAGES
                                                             : SOMEWHERE;
    case SYSTEM:
        if (is_object) {
            text_begin(r);
            return SYSTEM_BLOCK;
        }
        return SOMEWHERE;
    case SYSTEM_BLOCK: r->is_cached |= key_is(r, "cache_control"); return SOMEWHERE;
    case MESSAGES:
        if (is_object && !r->has_first) {
            text_begin(r);
            return MESSAGE;
        }
        return SOMEWHERE;
    case MESSAGE: return key_is(r, "content") ? CONTENT : SOMEWHERE;
    case CONTENT: return CONTENT;
    default: return SOMEWHERE;
    }
}

static bool open_level(struct ai_request *r, bool is_object)
{
    if (r->depth == AI_DEPTH_MAX) {
        return false;
    }
    uint8_t where = r->depth == 0 ? ROOT : where_leads(r, is_object);
    r->levels[r->depth++] = (struct ai_level){where, is_object};
    r->state = is_object ? AT_FIRST_KEY : AT_FIRST;
    return true;
}

static bool take_value(struct ai_request *r, char c)
{
    if (r->depth == 0 && c != '{') {
        return false;
    }
    switch (c) {
    case '{': return open_level(r, true);
    case '[': return open_level(r, false);
    case '"': string_begin(r, sink_of(r)); return true;
    case 't': r->literal = "rue"; break;
    case 'f': r->literal = "alse"; break;
    case 'n': r->literal = "ull"; break;
    default: r->state = IN_NUMBER; return c == '-' || (c >= '0' && c <= '9');
    }
    r->state = IN_LITERAL;
    return true;
}

static void take_key(struct ai_request *r, char c, bool may_end)
{
    if (c == '"') {
        r->key_len = 0;
        string_begin(r, SINK_KEY);
    } else if (c == '}' && may_end) {
        take_after(r, c);
    } else {
        r->state = IS_BAD;
    }
}

static void close_level(struct ai_request *r)
{
    uint8_t where = r->levels[--r->depth].where;
    if (where == SYSTEM_BLOCK) {
        system_add(r);
    } else if (where == MESSAGE) {
        message_end(r);
    }
    r->state = r->depth > 0 ? AFTER_VALUE : IS_OVER;
}

static void take_after(struct ai_request *r, char c)
{
    bool is_object = r->levels[r->depth - 1].is_object;
    if (c == ',') {
        r->state = is_object ? AT_KEY : AT_VALUE;
    } else if (c == (is_object ? '}' : ']')) {
        close_level(r);
    } else {
        r->state = IS_BAD;
    }
}

/* Between tokens, where there may be spaces. */
static void take_mark(struct ai_request *r, char c)
{
    switch ((enum state)r->state) {
    case AT_KEY:
    case AT_FIRST_KEY: take_key(r, c, r->state == AT_FIRST_KEY); break;
    case AT_COLON: r->state = c == ':' ? AT_VALUE : IS_BAD; break;
    case AFTER_VALUE: take_after(r, c); break;
    case AT_FIRST:
    case AT_VALUE:
        if (c == ']' && r->state == AT_FIRST) {
            take_after(r, c);
        } else if (!take_value(r, c)) {
            r->state = IS_BAD;
        }
        break;
    default: r->state = IS_BAD; break; /* something behind the end */
    }
}

static void in_literal(struct ai_request *r, char c)
{
    if (*r->literal++ != c) {
        r->state = IS_BAD;
    } else if (*r->literal == '\0') {
        r->state = AFTER_VALUE;
    }
}

static bool is_of_number(char c)
{
    return memchr("0123456789+-.eE", c, 15) != NULL;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static void take(struct ai_request *r, char c)
{
    if (r->state == IN_ESCAPE) {
        in_escape(r, c);
    } else if (r->state == IN_HEX) {
        in_hex(r, c);
    } else if (r->state == IN_LITERAL) {
        in_literal(r, c);
    } else if (r->state != IN_NUMBER && !is_space(c)) {
        take_mark(r, c);
    }
}
