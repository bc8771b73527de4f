/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/check.h"

#include <inttypes.h>

static const char *const level_texts[] = {"error", "warn", "info", "debug"};

#define LEVELS (sizeof level_texts / sizeof level_texts[0])

const char *log_level_text(enum log_level level)
{
    check((size_t)level < LEVELS);
    return level_texts[level];
}

bool log_level_parse(struct slice word, enum log_level *ret)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (slice_is(word, level_texts[i])) {
            *ret = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* Text that a reader of plain lines could mistake is quoted, escaped as JSON is. */
static bool is_plain_word(struct slice text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '=' || c == '\\') {
            return false;
        }
    }
    return text.len > 0;
}

static bool append_value(struct bytes *line, const struct log_field *field, bool bare_words)
{
    switch (field->kind) {
    case LOG_KIND_TEXT:
        return bare_words && is_plain_word(field->text) ? bytes_append_slice(line, field->text)
                                                        : bytes_append_json(line, field->text);
    case LOG_KIND_I64: return bytes_printf(line, "%" PRId64, field->number);
    case LOG_KIND_U64: return bytes_printf(line, "%" PRIu64, (uint64_t)field->number);
    case LOG_KIND_BOOL: return bytes_append_text(line, field->number != 0 ? "true" : "false");
    }
    unreachable();
}

bool log_line_plain(struct bytes *line, enum log_level level, const char *what,
                    const struct log_field *fields, size_t count)
{
    bool fits = bytes_printf(line, "%-5s %s", log_level_text(level), what);
    for (size_t i = 0; i < count && fits; i++) {
        fits = bytes_printf(line, " %s=", fields[i].key) && append_value(line, &fields[i], true);
    }
    return fits;
}

bool log_line_json(struct bytes *line, enum log_level level, const char *what,
                   const struct log_field *fields, size_t count)
{
    bool fits = bytes_printf(line, "\"level\":\"%s\",\"event\":", log_level_text(level))
                && bytes_append_json(line, slice_of(what));
    for (size_t i = 0; i < count && fits; i++) {
        fits = bytes_append_text(line, ",") && bytes_append_json(line, slice_of(fields[i].key))
               && bytes_append_text(line, ":") && append_value(line, &fields[i], false);
    }
    return fits;
}
