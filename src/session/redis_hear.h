/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_hear.h - the values of an answer one by one, for redis_wire*.c: whatever is not what is
 * expected is told from what is.
 */
#pragma once
#include "session/redis_wire.h"

/* The next value as a text, or as a number; false: it is something else. */
static inline bool next_text(struct resp_walk *inside, struct slice *ret_text)
{
    struct resp_value value;
    if (!resp_next(inside, &value) || value.type != RESP_TEXT) {
        return false;
    }
    *ret_text = value.text;
    return true;
}

static inline bool next_number(struct resp_walk *inside, uint64_t *ret_number)
{
    struct resp_value value;
    if (!resp_next(inside, &value)) {
        return false;
    }
    if (value.type == RESP_NUMBER && value.number >= 0) {
        *ret_number = (uint64_t)value.number;
        return true;
    }
    return value.type == RESP_TEXT && text_parse_u64(value.text, ret_number);
}

static inline bool next_u32(struct resp_walk *inside, uint32_t *ret_number)
{
    uint64_t number;
    if (!next_number(inside, &number)) {
        return false;
    }
    *ret_number = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
    return true;
}

static inline bool keep_name(struct slice text, char ret_name[WEIR_SESSION_NAME_MAX + 1])
{
    slice_copy(ret_name, WEIR_SESSION_NAME_MAX + 1, text);
    return text.len <= WEIR_SESSION_NAME_MAX && memchr(text.at, '\0', text.len) == NULL;
}
