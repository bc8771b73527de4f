/* SPDX-License-Identifier: Apache-2.0
 *
 * option.h - the table of options: option.def as data.
 *
 * Paths are those of a person ("listeners.pool.max_connections"), whether a part of them is a group
 * or a list of groups. Children of a row are the rows whose path is one word longer; the table
 * lists them after it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind { OPTION_MAP, OPTION_LIST, OPTION_NAMED, OPTION_VALUE };

/* How a value is written and what it becomes; config_value.c says more about each. */
enum option_type {
    OPTION_ADDRESS,     /* struct config_address */
    OPTION_CAUSES,      /* the retry of struct config_upstream */
    OPTION_CHOICE,      /* uint32_t: the word's place, from 1 */
    OPTION_CIDRS,       /* {struct config_cidr *, count} */
    OPTION_COUNT,       /* uint32_t */
    OPTION_CREDENTIALS, /* struct config_fields, whose values are secrets */
    OPTION_FIELDS,      /* struct config_fields */
    OPTION_FILE,        /* const char *: a path, made relative to the file that names it */
    OPTION_FLAG,        /* uint32_t: WEIR_OFF, WEIR_ON */
    OPTION_FREQUENCY,   /* struct config_rate */
    OPTION_HASH,        /* struct config_digest */
    OPTION_HOST,        /* const char *, as are LABEL, OUTPUT, PATH, PROFILE, SECRET */
    OPTION_LABEL,
    OPTION_LINK,    /* const char *: a URL that is asked */
    OPTION_METHODS, /* struct config_texts */
    OPTION_NAMES,   /* struct config_texts */
    OPTION_NUMBER,  /* uint32_t: zero is WEIR_NONE */
    OPTION_OUTPUT,
    OPTION_PART, /* double */
    OPTION_PATH,
    OPTION_PATTERNS, /* struct config_texts */
    OPTION_PROFILE,
    OPTION_RATE, /* uint64_t */
    OPTION_SECRET,
    OPTION_SERVERS, /* struct config_texts */
    OPTION_SET,     /* uint32_t: a bit for each word, by its place */
    OPTION_SIZE,    /* uint64_t */
    OPTION_SIZE32,  /* uint32_t */
    OPTION_TIME,    /* uint32_t milliseconds */
    OPTION_URL,     /* the beginning of struct config_endpoint */
    OPTION_WORD,    /* an enum: the word's place, from 0 */
    OPTION_TYPES
};

enum option_apply { OPTION_LIVE, OPTION_CONNECTION, OPTION_RESTART };

struct option {
    const char *path;
    enum option_kind kind;
    enum option_type type;
    size_t offset;  /* in the structure that holds it: the nearest list's element, or config */
    size_t element; /* of a list: the size of one */
    const char *fallback; /* NULL: it must be given */
    uint64_t low, high;   /* of a list: how many */
    const char *words;    /* separated by '|' */
    enum option_apply apply;
    const char *doc;
};

extern const struct option option_table[];
extern const uint32_t option_count;

const char *option_name(const struct option *option); /* the last word of its path */
const struct option *option_find(const char *path);   /* or NULL */

/* True if `option` is `parent` with one more word; "" is the parent of the first ones. */
bool option_is_child(const struct option *option, const char *parent);

/* The i-th word, as a length and a pointer into `words`; NULL beyond the last. */
const char *option_word(const char *words, uint32_t i, size_t *ret_len);
/* The place of `text` among the words, or -1. */
int option_word_find(const char *words, const char *text);

/* Options of capabilities that this build does not have, by their path; a reason for people, or
 * NULL. */
const char *option_unsupported(const char *path);
/* What an option that has another name elsewhere is called here, or NULL. */
const char *option_renamed(const char *path);

const char *option_apply_text(enum option_apply apply); /* "live", "new connections", "restart" */
