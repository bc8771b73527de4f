/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value.h - values of options: from text, and back to text.
 *
 * Reading and writing agree: what value_write() prints, value_read() reads as the same value.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/config_document.h"
#include "gateway/option.h"

struct value_reader {
    struct config_arena *arena;
    struct config_faults *faults;
};

/* Reads `node` into the option's field of `base`; false, with a fault noted, when it is not such a
 * value. */
bool value_read(const struct value_reader *reader, const struct option *option,
                const struct document_node *node, void *base);

/* The same from the option's default; one that is REQUIRED leaves "" or nothing. */
void value_default(const struct value_reader *reader, const struct option *option, void *base);

/* Appends the field of `base` as YAML that is JSON, too. Secrets are shown as "***". */
void value_write(const struct option *option, const void *base, struct bytes *out);

/* True when the field is still all zeroes. */
bool value_is_unset(const struct option *option, const void *base);

/* "duration", "size", …; and what the JSON Schema says of the type ("\"type\":\"string\""). */
const char *value_type_text(enum option_type type);
void value_schema(const struct option *option, struct bytes *out);
/* "string", "integer", … */
const char *value_schema_kind(enum option_type type);
