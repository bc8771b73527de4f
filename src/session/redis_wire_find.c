/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_wire_find.c - what is asked of the lists, and the rows that are said.
 */
#include "base/check.h"
#include "session/redis_hear.h"

#include <stdio.h>

#define LIST_KEY_MAX (REDIS_PREFIX_MAX + 24U) /* ":i:{bbb}:nn", and what no compiler trusts */
#define CODES        1024U                    /* that a score tells apart */

uint32_t redis_wire_code(const struct redis_wire *wire, enum session_name kind, struct slice name)
{
    char text[1 + WEIR_SESSION_NAME_MAX];
    if (name.len == 0 || name.len > WEIR_SESSION_NAME_MAX) {
        return 0;
    }
    text[0] = (char)('0' + kind); /* an account is no user of that name */
    memcpy(text + 1, name.at, name.len);
    uint32_t code = (uint32_t)siphash(&wire->names, text, 1 + name.len) & UINT16_MAX;
    return code != 0 ? code : 1;
}

/* --- asking -------------------------------------------------------------------------------------
 */

static void word(struct resp_writer *writer, const char *text)
{
    resp_word(writer, slice_of(text));
}

/* The ten bits of it that a score has; any one where there is no name. */
static void say_code(struct resp_writer *writer, const struct redis_wire *wire,
                     enum session_name kind, const char *name)
{
    uint32_t code = redis_wire_code(wire, kind, slice_of(name));
    if (code == 0) {
        word(writer, "-1");
    } else {
        resp_number(writer, code % CODES);
    }
}

uint32_t redis_wire_lists(const struct redis_wanted *wanted)
{
    return wanted->user[0] != '\0' ? 1 : REDIS_LISTS;
}

static void say_list(struct resp_writer *writer, const struct redis_wire *wire,
                     const struct redis_wanted *wanted, uint32_t n)
{
    char key[LIST_KEY_MAX];
    uint32_t each = redis_wire_lists(wanted);
    uint32_t code = redis_wire_code(wire, SESSION_USER, slice_of(wanted->user));
    uint32_t list = each == 1 ? code >> 11 : n % each;
    snprintf(key, sizeof key, "%s:i:{%03x}:%02x", wire->prefix, (unsigned)(n / each),
             (unsigned)list);
    word(writer, key);
}

bool redis_wire_find(const struct redis_wire *wire, struct bytes *out,
                     const struct redis_wanted *wanted, const struct redis_span *span)
{
    struct resp_writer writer;
    const char status[] = {wanted->status != 0 ? (char)('0' + wanted->status) : '\0', '\0'};
    check(span->count <= REDIS_LISTS_MAX && span->rows <= REDIS_ROWS_MAX);
    resp_begin(&writer, out, 13 + span->count);
    word(&writer, "EVALSHA");
    word(&writer, wire->sha[REDIS_FIND]);
    resp_number(&writer, span->count);
    for (uint32_t i = 0; i < span->count; i++) {
        say_list(&writer, wire, wanted, span->first + i);
    }
    resp_number(&writer, span->passed);
    resp_number(&writer, span->rows);
    say_code(&writer, wire, SESSION_USER, wanted->user);
    say_code(&writer, wire, SESSION_ACCOUNT, wanted->account);
    say_code(&writer, wire, SESSION_KEY, wanted->key);
    word(&writer, wanted->user);
    word(&writer, wanted->account);
    word(&writer, wanted->key);
    word(&writer, status);
    word(&writer, wanted->place);
    return resp_end(&writer);
}

/* --- hearing ------------------------------------------------------------------------------------
 */

static bool next_id(struct resp_walk *inside, weir_session_id *ret_id)
{
    struct slice text;
    if (!next_text(inside, &text) || text.len != REDIS_ID) {
        return false;
    }
    *ret_id = (weir_session_id){0, 0};
    for (unsigned i = 0; i < REDIS_ID; i++) {
        uint64_t *half = i < REDIS_ID / 2 ? &ret_id->high : &ret_id->low;
        *half = *half << 8 | (unsigned char)text.at[i];
    }
    return true;
}

static bool next_name(struct resp_walk *inside, char ret_name[WEIR_SESSION_NAME_MAX + 1])
{
    struct slice text;
    return next_text(inside, &text) && keep_name(text, ret_name);
}

/* What is none is as good as that of who says nothing. */
static bool next_status(struct resp_walk *inside, weir_session_status *ret_status)
{
    struct slice text;
    uint64_t status;
    if (!next_text(inside, &text)) {
        return false;
    }
    bool is_one = text_parse_u64(text, &status) && status > 0 && status < WEIR_SESSION_STATUS_END;
    *ret_status = is_one ? (weir_session_status)status : WEIR_SESSION_ACTIVE;
    return true;
}

static bool next_row(struct resp_walk *inside, struct redis_row *ret)
{
    weir_session *session = &ret->session;
    *session = (weir_session){.size = sizeof *session};
    return next_u32(inside, &ret->list) && next_number(inside, &ret->entry)
           && next_id(inside, &session->id) && next_number(inside, &session->left_ms)
           && next_number(inside, &session->age_ms) && next_number(inside, &session->idle_ms)
           && next_name(inside, session->place) && next_u32(inside, &session->epoch)
           && next_number(inside, &session->bound_ms) && next_u32(inside, &session->requests)
           && next_u32(inside, &session->errors) && next_status(inside, &session->status)
           && next_name(inside, session->user) && next_name(inside, session->account)
           && next_name(inside, session->key);
}

#define HEAD_VALUES 3U
#define ROW_VALUES  15U

bool redis_wire_rows(const struct resp_value *value, struct resp_walk *inside, uint32_t count,
                     struct redis_rows *ret)
{
    ret->count = 0;
    if (value->type != RESP_ARRAY || value->count < HEAD_VALUES
        || (value->count - HEAD_VALUES) % ROW_VALUES != 0) {
        return false;
    }
    uint32_t rows = (value->count - HEAD_VALUES) / ROW_VALUES;
    bool is_sound = rows <= REDIS_ROWS_MAX && next_u32(inside, &ret->lists) && ret->lists <= count
                    && next_number(inside, &ret->passed) && ret->passed < UINT32_MAX
                    && next_u32(inside, &ret->spoilt);
    for (uint32_t i = 0; is_sound && i < rows; i++) {
        const struct redis_row *row = &ret->rows[i];
        is_sound = next_row(inside, &ret->rows[i]) && row->list < count && row->entry < UINT32_MAX;
        ret->count += is_sound;
    }
    return is_sound;
}
