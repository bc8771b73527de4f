/* SPDX-License-Identifier: Apache-2.0
 *
 * config_schema.c - what a value may be, as JSON Schema says it.
 */
#include "gateway/config_value.h"

#include <inttypes.h>
#include <string.h>

static void schema_words(const struct option *option, struct bytes *out)
{
    size_t len;
    const char *word;
    bytes_append_text(out, "\"enum\": [");
    for (uint32_t i = 0; (word = option_word(option->words, i, &len)) != NULL; i++) {
        bytes_append_text(out, i > 0 ? ", " : "");
        bytes_append_json(out, (struct slice){word, (uint32_t)len});
    }
    bytes_append_text(out, "]");
}

void value_schema(const struct option *option, struct bytes *out)
{
    const char *kind = value_schema_kind(option->type);
    switch (option->type) {
    case OPTION_WORD:
    case OPTION_CHOICE: schema_words(option, out); return;
    case OPTION_COUNT:
    case OPTION_NUMBER:
        if (option->words[0] != '\0')
            bytes_append_text(out, "\"anyOf\": [{");
        bytes_printf(out, "\"type\": \"integer\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64,
                     option->low, option->high);
        if (option->words[0] != '\0') {
            bytes_append_text(out, "}, {");
            schema_words(option, out);
            bytes_append_text(out, "}]");
        }
        return;
    case OPTION_PART:
        bytes_printf(out, "\"type\": \"number\", \"minimum\": %" PRIu64 ", \"maximum\": %" PRIu64,
                     option->low, option->high);
        return;
    default: break;
    }
    if (strcmp(kind, "size") == 0)
        bytes_append_text(out, "\"type\": [\"string\", \"integer\"]");
    else if (strcmp(kind, "array") == 0)
        bytes_append_text(out, "\"type\": [\"array\", \"string\", \"integer\"]");
    else
        bytes_printf(out, "\"type\": \"%s\"", kind);
}
