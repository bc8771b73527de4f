/* SPDX-License-Identifier: Apache-2.0
 *
 * log.h - how the library says something: a sink that it was given, a level, a word for what
 * happened, and key/value fields. Nothing below ever writes to a file or a terminal on its own.
 *
 *     log_to(sink, LOG_WARN_LEVEL, "upstream down", log_text("host", host), log_u64("port", 80));
 *
 * A NULL sink is silence. Fields are borrowed for the length of the call.
 */
#pragma once
#include "base/bytes.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR_LEVEL, LOG_WARN_LEVEL, LOG_INFO_LEVEL, LOG_DEBUG_LEVEL };

enum log_kind { LOG_KIND_TEXT, LOG_KIND_I64, LOG_KIND_U64, LOG_KIND_BOOL };

struct log_field {
    const char *key;
    enum log_kind kind;
    struct slice text;
    int64_t number; /* of a U64, its bits */
};

struct log_sink {
    void (*write)(void *self, enum log_level level, const char *what,
                  const struct log_field *fields, size_t count);
    void *self;
    enum log_level most; /* what is more verbose is not even built */
};

static inline struct log_field log_slice(const char *key, struct slice text)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_TEXT, .text = text};
}

static inline struct log_field log_text(const char *key, const char *text)
{
    return log_slice(key, slice_of(text));
}

static inline struct log_field log_i64(const char *key, int64_t number)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .number = number};
}

static inline struct log_field log_u64(const char *key, uint64_t number)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .number = (int64_t)number};
}

static inline struct log_field log_bool(const char *key, bool yes)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_BOOL, .number = yes};
}

static inline bool log_wants(const struct log_sink *sink, enum log_level level)
{
    return sink != NULL && level <= sink->most;
}

/* At least one field. */
#define log_to(sink, level, what, ...)                                                             \
    do {                                                                                           \
        const struct log_sink *log_sink_ = (sink);                                                 \
        if (log_wants(log_sink_, (level))) {                                                       \
            const struct log_field log_fields_[] = {__VA_ARGS__};                                  \
            log_sink_->write(log_sink_->self, (level), (what), log_fields_,                        \
                             sizeof log_fields_ / sizeof log_fields_[0]);                          \
        }                                                                                          \
    } while (0)

/* "error", "warn", "info", "debug". */
const char *log_level_text(enum log_level level);
bool log_level_parse(struct slice word, enum log_level *ret);

/* One line of each form, without time and without the line end: level what key=value …, or the
 * members of a JSON object without its braces. False where it does not fit. */
bool log_line_plain(struct bytes *line, enum log_level level, const char *what,
                    const struct log_field *fields, size_t count);
bool log_line_json(struct bytes *line, enum log_level level, const char *what,
                   const struct log_field *fields, size_t count);
