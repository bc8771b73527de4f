/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/ai_usage.h"

#include "base/text.h"
#include "proto/json_skip.h"

/* Of JSON. */
enum state {
    AT_VALUE,
    AT_KEY, /* or the end of the object */
    AT_COLON,
    AFTER_VALUE,
    IN_STRING,
    IN_ESCAPE,
    IN_NUMBER,
    IN_LITERAL,
    IS_OVER /* nothing more is looked at */
};

/* Which part of an answer an object is. */
enum where { SOMEWHERE, ROOT, MESSAGE, USAGE, DETAILS };

/* Of an event stream: so many bytes of "data:" were seen, or: */
enum line { AT_SPACE = 5, IN_DATA, IN_OTHER };

#define CACHED  AI_TOKENS_KINDS /* a part of the input */
#define NO_SLOT UINT8_MAX

static const char data_field[] = "data:";

static const char *take(struct ai_usage *u, const char *at, const char *end);
static const char *take_line(struct ai_usage *u, const char *at, const char *end);

static void begin_value(struct ai_usage *u)
{
    u->state = AT_VALUE;
    u->slot = NO_SLOT;
    u->skipped = 0;
    u->depth = 0;
    u->key_len = 0;
}

void ai_usage_begin(struct ai_usage *usage, bool is_stream)
{
    *usage = (struct ai_usage){.is_stream = is_stream};
    begin_value(usage);
}

void ai_usage_feed(struct ai_usage *usage, const void *data, size_t len)
{
    const char *at = data, *end = at + len;
    while (at < end) {
        if (usage->is_stream) {
            at = take_line(usage, at, end);
        } else if (usage->state == IS_OVER) {
            return;
        } else {
            at = take(usage, at, end);
        }
    }
}

bool ai_usage_get(const struct ai_usage *usage, struct ai_usage_said *ret_said)
{
    if (!usage->has_said) {
        return false;
    }
    for (unsigned i = 0; i < AI_TOKENS_KINDS; i++) {
        ret_said->tokens[i] = usage->said[i];
    }
    uint64_t cached = usage->said[CACHED], input = usage->said[AI_TOKENS_INPUT];
    ret_said->tokens[AI_TOKENS_INPUT] = input - (cached < input ? cached : input);
    ret_said->tokens[AI_TOKENS_CACHE_READ] += cached;
    return true;
}

/* --- lines of an event stream --------------------------------------------------------------------
 */

static bool is_end_of_line(char c)
{
    return c == '\n' || c == '\r';
}

/* An empty line ends an event; data goes on in its next line of data, if there is one. */
static void end_line(struct ai_usage *u, char c)
{
    if (c == '\n' && u->was_cr && u->line == 0) {
        u->was_cr = false; /* the second half of a CRLF */
        return;
    }
    u->was_cr = c == '\r';
    if (u->line == 0) {
        begin_value(u);
    } else if (u->line == IN_DATA && u->state != IS_OVER) {
        (void)take(u, &c, &c + 1);
    }
    u->line = 0;
}

/* A line of which nothing is wanted. */
static const char *pass(struct ai_usage *u, const char *at, const char *end)
{
    while (at < end && !is_end_of_line(*at)) {
        at = json_skip_plain(at + 1, end);
    }
    if (at < end) {
        end_line(u, *at++);
    }
    return at;
}

static const char *take_line(struct ai_usage *u, const char *at, const char *end)
{
    char c = *at;
    if (u->line == IN_OTHER || (u->line == IN_DATA && u->state == IS_OVER)) {
        return pass(u, at, end);
    }
    if (is_end_of_line(c)) {
        end_line(u, c);
        return at + 1;
    }
    if (u->line == IN_DATA) {
        return take(u, at, end);
    }
    if (u->line == AT_SPACE) {
        u->line = IN_DATA;
        return c == ' ' ? at + 1 : at;
    }
    u->line = c == data_field[u->line] ? u->line + 1 : IN_OTHER;
    return at + 1;
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static bool key_is(const struct ai_usage *u, const char *name)
{
    size_t len = strlen(name);
    return u->key_len == len && memcmp(u->key, name, len) == 0;
}

/* Where a number that is a value goes. */
static uint8_t slot_of(const struct ai_usage *u)
{
    static const struct {
        const char *name;
        uint8_t slot;
    } rows[] = {
        {"input_tokens", AI_TOKENS_INPUT},
        {"prompt_tokens", AI_TOKENS_INPUT},
        {"output_tokens", AI_TOKENS_OUTPUT},
        {"completion_tokens", AI_TOKENS_OUTPUT},
        {"cache_read_input_tokens", AI_TOKENS_CACHE_READ},
        {"cache_creation_input_tokens", AI_TOKENS_CACHE_WRITE},
    };
    uint8_t where = u->where[u->depth];
    if (where == DETAILS) {
        return key_is(u, "cached_tokens") ? CACHED : NO_SLOT;
    }
    for (size_t i = 0; where == USAGE && i < sizeof rows / sizeof *rows; i++) {
        if (key_is(u, rows[i].name)) {
            return rows[i].slot;
        }
    }
    return NO_SLOT;
}

/* What an object is that stands as a value. */
static uint8_t where_leads(const struct ai_usage *u)
{
    if (u->depth == 0) {
        return ROOT;
    }
    switch ((enum where)u->where[u->depth]) {
    case ROOT:
        if (key_is(u, "message") || key_is(u, "response")) {
            return MESSAGE;
        }
        return key_is(u, "usage") ? USAGE : SOMEWHERE;
    case MESSAGE: return key_is(u, "usage") ? USAGE : SOMEWHERE;
    case USAGE:
        return key_is(u, "input_tokens_details") || key_is(u, "prompt_tokens_details") ? DETAILS
                                                                                       : SOMEWHERE;
    default: return SOMEWHERE;
    }
}

static void open_object(struct ai_usage *u)
{
    uint8_t where = where_leads(u);
    if (where == SOMEWHERE) {
        u->skipped = 1;
        u->state = AT_VALUE;
    } else {
        u->where[++u->depth] = where;
        u->state = AT_KEY;
    }
}

static void take_value(struct ai_usage *u, char c)
{
    if (c == '{') {
        open_object(u);
    } else if (u->depth == 0) {
        u->state = IS_OVER; /* [DONE], and the like */
    } else if (c == '[') {
        u->skipped = 1;
    } else if (c == '"') {
        u->is_key = false;
        u->state = IN_STRING;
    } else if (text_is_digit(c)) {
        u->slot = slot_of(u);
        u->number = (uint64_t)(c - '0');
        u->digits = 1;
        u->state = IN_NUMBER;
    } else {
        u->state = IN_LITERAL;
    }
}

static void take_after(struct ai_usage *u, char c)
{
    if (c == ',') {
        u->state = AT_KEY;
    } else if (c == '}') {
        u->depth--;
        u->state = u->depth > 0 ? AFTER_VALUE : IS_OVER;
    } else {
        u->state = IS_OVER;
    }
}

static void take_key(struct ai_usage *u, char c)
{
    if (c == '"') {
        u->is_key = true;
        u->key_len = 0;
        u->state = IN_STRING;
    } else if (c == '}') {
        take_after(u, c);
    } else {
        u->state = IS_OVER;
    }
}

/* False: it is over, and what ended it is to be looked at. */
static bool take_number(struct ai_usage *u, char c)
{
    if (text_is_digit(c)) {
        u->digits += u->digits <= AI_USAGE_DIGITS_MAX;
        u->number = u->digits <= AI_USAGE_DIGITS_MAX ? u->number * 10 + (uint64_t)(c - '0') : 0;
        return true;
    }
    if (c == '.' || c == 'e' || c == 'E') {
        u->state = IN_LITERAL; /* no count of tokens */
        return true;
    }
    if (u->slot != NO_SLOT && u->digits <= AI_USAGE_DIGITS_MAX) {
        u->said[u->slot] = u->number > u->said[u->slot] ? u->number : u->said[u->slot];
        u->has_said = true;
    }
    u->state = AFTER_VALUE;
    return false;
}

static void put_key(struct ai_usage *u, const char *at, size_t len)
{
    if (!u->is_key || u->skipped > 0) {
        return;
    }
    if (len > AI_USAGE_KEY_MAX - u->key_len) {
        u->key_len = AI_USAGE_KEY_MAX; /* no key of ours is so long */
    } else {
        memcpy(u->key + u->key_len, at, len);
        u->key_len += (uint8_t)len;
    }
}

static const char *in_string(struct ai_usage *u, const char *at, const char *end)
{
    const char *from = at;
    at = json_skip_plain(at, end);
    put_key(u, from, (size_t)(at - from));
    if (at == end) {
        return at;
    }
    if (*at == '"') {
        u->state = u->skipped > 0 ? AT_VALUE : u->is_key ? AT_COLON : AFTER_VALUE;
    } else if (*at == '\\') {
        put_key(u, at, 1);
        u->state = IN_ESCAPE;
    } else {
        u->state = IS_OVER;
        return at; /* it may end a line */
    }
    return at + 1;
}

/* In what is of no interest only strings and brackets are told apart. */
static void take_skipped(struct ai_usage *u, char c)
{
    if (c == '"') {
        u->is_key = false;
        u->state = IN_STRING;
    } else if (c == '{' || c == '[') {
        u->skipped++;
    } else if ((c == '}' || c == ']') && --u->skipped == 0) {
        u->state = AFTER_VALUE;
    }
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* One byte that is none of a string's. False: it is to be looked at again. */
static bool take_byte(struct ai_usage *u, char c)
{
    switch ((enum state)u->state) {
    case IN_ESCAPE: u->state = IN_STRING; return true;
    case IN_NUMBER: return take_number(u, c);
    case IN_LITERAL:
        if (c != ',' && c != '}' && !is_space(c)) {
            return true;
        }
        u->state = AFTER_VALUE;
        return false;
    default: break;
    }
    if (u->skipped > 0) {
        take_skipped(u, c);
    } else if (!is_space(c)) {
        switch ((enum state)u->state) {
        case AT_VALUE: take_value(u, c); break;
        case AT_KEY: take_key(u, c); break;
        case AT_COLON: u->state = c == ':' ? AT_VALUE : IS_OVER; break;
        default: take_after(u, c); break;
        }
    }
    return true;
}

/* At least one byte of it, or a step without one. */
static const char *take(struct ai_usage *u, const char *at, const char *end)
{
    if (u->state == IN_STRING) {
        return in_string(u, at, end);
    }
    return take_byte(u, *at) ? at + 1 : at;
}
