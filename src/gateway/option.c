/* SPDX-License-Identifier: Apache-2.0
 *
 * option.c - the rows of option.def, and how they are found.
 */
#include "gateway/option.h"

#include "gateway/config.h"

#include <string.h>

#define REQUIRED   NULL
#define LIVE       OPTION_LIVE
#define CONNECTION OPTION_CONNECTION
#define RESTART    OPTION_RESTART
typedef struct config of_config;
typedef struct config_listener of_config_listener;
typedef struct config_certificate of_config_certificate;
typedef struct config_route of_config_route;
typedef struct config_upstream of_config_upstream;
typedef struct config_endpoint of_config_endpoint;
typedef struct config_account of_config_account;
typedef struct config_client of_config_client;

#define MAP(row_path, row_doc)   {.path = (row_path), .kind = OPTION_MAP, .doc = (row_doc)},
#define NAMED(row_path, row_doc) {.path = (row_path), .kind = OPTION_NAMED, .doc = (row_doc)},
#define LIST(row_path, of, field, row_element, least, most, row_doc)                               \
    {.path = (row_path),                                                                           \
     .kind = OPTION_LIST,                                                                          \
     .offset = offsetof(of_##of, field),                                                           \
     .element = sizeof(of_##row_element),                                                          \
     .low = (least),                                                                               \
     .high = (most),                                                                               \
     .doc = (row_doc)},
#define VALUE(row_path, row_type, of, field, row_default, row_low, row_high, row_words, row_apply, \
              row_doc)                                                                             \
    {.path = (row_path),                                                                           \
     .kind = OPTION_VALUE,                                                                         \
     .type = OPTION_##row_type,                                                                    \
     .offset = offsetof(of_##of, field),                                                           \
     .fallback = row_default,                                                                      \
     .low = (row_low),                                                                             \
     .high = (row_high),                                                                           \
     .words = (row_words),                                                                         \
     .apply = (row_apply),                                                                         \
     .doc = (row_doc)},

const struct option option_table[] = {
#include "gateway/option.def"
};
const uint32_t option_count = sizeof(option_table) / sizeof(option_table[0]);

const char *option_name(const struct option *option)
{
    const char *dot = strrchr(option->path, '.');
    return dot != NULL ? dot + 1 : option->path;
}

const struct option *option_find(const char *path)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (strcmp(option_table[i].path, path) == 0)
            return &option_table[i];
    return NULL;
}

bool option_is_child(const struct option *option, const char *parent)
{
    size_t len = strlen(parent);
    if (len == 0)
        return strchr(option->path, '.') == NULL;
    return strncmp(option->path, parent, len) == 0 && option->path[len] == '.'
           && strchr(option->path + len + 1, '.') == NULL;
}

const char *option_word(const char *words, uint32_t i, size_t *ret_len)
{
    while (i-- > 0) {
        words = strchr(words, '|');
        if (words == NULL)
            return NULL;
        words++;
    }
    *ret_len = strcspn(words, "|");
    return *ret_len > 0 ? words : NULL;
}

int option_word_find(const char *words, const char *text)
{
    size_t len;
    const char *word;
    for (uint32_t i = 0; (word = option_word(words, i, &len)) != NULL; i++)
        if (strlen(text) == len && memcmp(word, text, len) == 0)
            return (int)i;
    return -1;
}

struct hint {
    const char *path, *text;
};

static const char *hint_find(const struct hint *hints, size_t count, const char *path)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(hints[i].path, path) == 0)
            return hints[i].text;
    return NULL;
}

const char *option_unsupported(const char *path)
{
    static const struct hint hints[] = {
#define UNSUPPORTED(path, why) {(path), (why)},
#define RENAMED(path, name)
#include "gateway/unsupported.def"
#undef UNSUPPORTED
#undef RENAMED
    };
    return hint_find(hints, sizeof(hints) / sizeof(hints[0]), path);
}

const char *option_renamed(const char *path)
{
    static const struct hint hints[] = {
#define UNSUPPORTED(path, why)
#define RENAMED(path, name) {(path), (name)},
#include "gateway/unsupported.def"
#undef UNSUPPORTED
#undef RENAMED
    };
    return hint_find(hints, sizeof(hints) / sizeof(hints[0]), path);
}

const char *option_apply_text(enum option_apply apply)
{
    static const char *const texts[] = {"live", "new connections", "restart"};
    return texts[apply];
}
