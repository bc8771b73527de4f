/* SPDX-License-Identifier: Apache-2.0
 *
 * attrs.h - attributes of a session as one piece of bytes: a name's length, the value's (two bytes,
 * little endian), the name, the value; and again. Pure; bytes that make no sense have no
 * attributes.
 */
#pragma once
#include "base/text.h"

#define ATTRS_HEAD     3U
#define ATTRS_NAME_MAX 255U

/* Takes the first attribute off the rest; false: there is none that is whole. */
bool attrs_next(struct slice *rest, struct slice *ret_name, struct slice *ret_value);
bool attrs_find(struct slice bytes, struct slice name, struct slice *ret_value);
/* The bytes without the attribute of that name, and with it at the end if value.at is not NULL. The
 * length, or 0 with *ret_fits false: it would be longer than max. `bytes` are not in `ret`. */
uint32_t attrs_with(struct slice bytes, struct slice name, struct slice value, char *ret,
                    uint32_t max, bool *ret_fits);
