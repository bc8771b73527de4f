/* SPDX-License-Identifier: Apache-2.0
 *
 * json_read.h - JSON (RFC 8259) that a peer wrote, read where it lies: nothing is allocated,
 * nothing is copied but texts that are asked for, and nesting is bounded.
 *
 * A text is checked once, as a whole; then its parts are slices of it, and looked at as often as
 * one likes.
 */
#pragma once
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 64U
#define JSON_NO_TEXT   SIZE_MAX

/* One value, in UTF-8, with nothing but white space around it, nested at most JSON_DEPTH_MAX deep.
 */
bool json_check(struct slice text);
/* The value in a text that was checked: without that white space. */
struct slice json_trim(struct slice text);

/* What follows takes values of a text that was checked, and answers false where a value is of
 * another kind. */

/* The one member of that name; false also where there are none or several. */
bool json_member(struct slice object, struct slice name, struct slice *ret_value);
/* The members or elements one after the other: *at is all zeroes at first, the names of a list are
 * empty. Names are as they were written, escapes and all. */
struct json_at {
    uint32_t used;
};
bool json_next(struct slice container, struct json_at *at, struct slice *ret_name,
               struct slice *ret_value);

/* The text, its escapes undone, with a NUL behind. Its length, or JSON_NO_TEXT: it is none, does
 * not fit, or holds a NUL. */
size_t json_get_text(struct slice value, char *ret_text, size_t size);
bool json_get_u64(struct slice value, uint64_t *ret_number); /* a whole number that fits */
bool json_get_bool(struct slice value, bool *ret_bool);

static inline bool json_is_object(struct slice value)
{
    return value.len > 0 && value.at[0] == '{';
}
