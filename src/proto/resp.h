/* SPDX-License-Identifier: Apache-2.0
 *
 * resp.h - what Redis speaks, RESP2 and RESP3: replies from bytes, commands to bytes.
 *
 *     bytes ──▶ resp_read ──▶ a reply is whole ──▶ resp_next, resp_next … ──▶ its values, in order
 *
 * Bytes are gathered by the caller, from the first one of a reply on, and read where they lie: a
 * value's text is a slice of them. The reader remembers how far it came, so that a reply that
 * comes byte by byte costs no more than one that comes whole, and where it was cut makes no
 * difference.
 *
 * What is always true: nothing is allocated, and nothing recurses; what passes a limit, or is not
 * RESP, is refused at the first byte that shows it, so a text of a gigabyte is refused when it is
 * announced; resp_next() never leaves the bytes it was given.
 *
 * Attributes (`|`) are read, and passed over: nobody has asked for one. Values of unknown length
 * (`$?`, `*?`) are in the specification, and no Redis sends them: refused.
 */
#pragma once
#include "base/bytes.h"
#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESP_DEPTH_MAX 8U          /* of values in values; the most that a reader can be told */
#define RESP_BULK_MAX  (1U << 20)  /* bytes of one text with a length */
#define RESP_LINE_MAX  (16U << 10) /* bytes of one without: an error, a status, a big number */
#define RESP_COUNT_MAX                                                                             \
    (256U << 10)                   /* values that one array, set, push or map has; a pair is two   \
                                    */
#define RESP_REPLY_MAX (16U << 20) /* bytes of a whole reply */

/* Zero is the default, above. */
struct resp_limits {
    uint32_t depth_max;
    uint32_t bulk_max;
    uint32_t line_max;
    uint32_t count_max;
    uint32_t reply_max;
};

/* Why bytes were refused: a row is the name, the text. */
#define RESP_ERRORS(ROW)                                                                           \
    ROW(TYPE, "no type of RESP begins like that")                                                  \
    ROW(LINE, "a line does not end with CR LF")                                                    \
    ROW(LINE_LENGTH, "a line is too long")                                                         \
    ROW(NUMBER, "a number is none")                                                                \
    ROW(WORD, "a boolean, a double or a null is malformed")                                        \
    ROW(BULK_LENGTH, "a text is too long")                                                         \
    ROW(BULK_END, "a text does not end where it said")                                             \
    ROW(VERBATIM, "a verbatim text does not say its format")                                       \
    ROW(COUNT, "too many values in one")                                                           \
    ROW(DEPTH, "values are nested too deep")                                                       \
    ROW(PUSH, "a push inside of a reply")                                                          \
    ROW(STREAMED, "a value does not say its length")                                               \
    ROW(REPLY_LENGTH, "a reply is too long")

enum resp_error {
    RESP_FINE = 0,
#define RESP_ROW(name, text) RESP_BAD_##name,
    RESP_ERRORS(RESP_ROW)
#undef RESP_ROW
        RESP_ERROR_COUNT
};

const char *resp_error_text(enum resp_error error);

/* What a value is, whichever version of RESP said it: a null is a null. */
enum resp_type {
    RESP_NULL,   /* _  $-1  *-1 */
    RESP_STATUS, /* + */
    RESP_FAILED, /* -  ! */
    RESP_NUMBER, /* : */
    RESP_TEXT,   /* $  = */
    RESP_BIG,    /* (  as text */
    RESP_DOUBLE, /* ,  as text */
    RESP_BOOL,   /* #  number is 0 or 1 */
    RESP_ARRAY,  /* * */
    RESP_SET,    /* ~ */
    RESP_MAP,    /* %  keys and values take turns */
    RESP_PUSH,   /* >  told without having been asked */
    RESP_ATTRIBUTE
};

struct resp_value {
    enum resp_type type;
    uint32_t count;    /* of the values in it, which come next */
    int64_t number;    /* RESP_NUMBER, RESP_BOOL */
    struct slice text; /* RESP_STATUS, RESP_FAILED, RESP_TEXT, RESP_BIG, RESP_DOUBLE */
};

/* --- reading ------------------------------------------------------------------------------------
 */

struct resp_frame {
    uint32_t left; /* values that are still to come in it */
};

struct resp_reader {
    struct resp_limits limits;
    enum resp_error error; /* not RESP_FINE: nothing is read any more */
    size_t seen;           /* bytes of the reply, up to the last value that was whole */
    size_t line;           /* of the line behind, bytes that were looked through */
    bool has_root;
    uint32_t depth;
    struct resp_frame frames[RESP_DEPTH_MAX];
};

/* limits may be NULL. */
void resp_reader_init(struct resp_reader *reader, const struct resp_limits *limits);

/* `at` begins with the first byte of a reply, and has all that came since. The length of the first
 * reply if it is whole, and the next call is about the one behind; 0: it is not, or reader->error.
 */
size_t resp_read(struct resp_reader *reader, const char *at, size_t len);

/* The values of a reply that resp_read() found whole, one behind the other: each before those in
 * it. */
struct resp_walk {
    const char *at, *end;
};

static inline struct resp_walk resp_walk_of(const char *reply, size_t len)
{
    return (struct resp_walk){reply, reply + len};
}

/* False: there are no more. */
bool resp_next(struct resp_walk *walk, struct resp_value *ret_value);
/* Passes over what is in the value that came last. */
void resp_pass(struct resp_walk *walk, const struct resp_value *value);

/* --- writing ------------------------------------------------------------------------------------
 */

/* One command: an array of texts, as binary as they like. */
struct resp_writer {
    struct bytes *out;
    size_t began;  /* length of `out` before it */
    uint32_t left; /* words that are to come */
    bool failed;   /* `out` takes no more */
};

void resp_begin(struct resp_writer *writer, struct bytes *out, uint32_t words);
void resp_word(struct resp_writer *writer, struct slice word);
void resp_number(struct resp_writer *writer, uint64_t number);
/* False: memory, or out->max; then `out` is as it was. All words were given. */
bool resp_end(struct resp_writer *writer);

/* All of a command whose words are at hand. */
bool resp_command(struct bytes *out, const struct slice *words, uint32_t count);
