/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value_parts.h - what config_value.c (the table of types, and most of them) and
 * config_value_number.c share; nobody else includes it.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/config_value.h"

#define VALUE_MESSAGE_MAX 256

/* A value on its way: where it comes from, where it goes, and room for what is wrong with it. */
struct value {
    const struct value_reader *reader;
    const struct option *option;
    const struct document_node *node;
    const char *text; /* of a scalar */
    void *field;
    char message[VALUE_MESSAGE_MAX];
};

/* Says what is wrong: the end of a sentence that begins with the option's name. Returns false. */
__attribute__((format(printf, 2, 3))) bool value_refuse(struct value *v, const char *format, ...);
/* Of the option's words, the one that was meant, or NULL. */
const char *value_nearest_word(const struct value *v);

/* --- numbers -------------------------------------------------------------------------------------
 */

bool value_read_count(struct value *v);
bool value_read_number(struct value *v);
bool value_read_time(struct value *v);
bool value_read_size(struct value *v);
bool value_read_size32(struct value *v);
bool value_read_rate(struct value *v);
bool value_read_part(struct value *v);
bool value_read_frequency(struct value *v);
void value_write_count(const struct option *option, const void *field, struct bytes *out);
void value_write_time(const struct option *option, const void *field, struct bytes *out);
void value_write_size(const struct option *option, const void *field, struct bytes *out);
void value_write_size32(const struct option *option, const void *field, struct bytes *out);
void value_write_part(const struct option *option, const void *field, struct bytes *out);
void value_write_frequency(const struct option *option, const void *field, struct bytes *out);
