/* SPDX-License-Identifier: Apache-2.0
 *
 * config_dump.c - walks the table of options, beside a snapshot or alone.
 *
 * A group's rows follow it in the table, so each walk is: the children of a path, in order.
 */
#include "gateway/config_dump.h"

#include "gateway/config_found.h"
#include "gateway/config_value.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

struct group {
    const void *at;
    uint32_t count;
};

static struct group group_of(const struct option *option, const void *base)
{
    struct {
        const void *at;
        uint32_t count;
    } field;
    memcpy(&field, (const char *)base + option->offset, sizeof(field));
    return (struct group){field.at, field.count};
}

static void indent(struct bytes *out, uint32_t depth)
{
    bytes_printf(out, "%*s", (int)(depth * 2), "");
}

/* Nothing that is not there is dumped: no group of health checks, discovery, TLS or OpenClaw unless
 * there are some, and no profile of the file's own, whose options are all there while it is not. */
static bool is_absent(const struct option *option, const void *base)
{
    weir_pool_options scratch = {.size = sizeof(scratch)};
    if (strcmp(option->path, "upstreams.health") == 0)
        return ((const struct config_upstream *)base)->health.path[0] == '\0';
    if (strcmp(option->path, "upstreams.discover") == 0)
        return !config_discovers(base);
    if (strcmp(option->path, "upstreams.openclaw") == 0)
        return ((const struct config_upstream *)base)->protocol != PROTOCOL_OPENCLAW;
    if (strcmp(option->path, "upstreams.accounts.openclaw") == 0) {
        const struct config_account *account = base;
        return account->openclaw.token[0] == '\0' && account->openclaw.password[0] == '\0'
               && account->openclaw.identity[0] == '\0';
    }
    if (strcmp(option->path, "listeners.tls") == 0)
        return !((const struct config_listener *)base)->tls.is_on;
    if (strcmp(option->path, "listeners.routes.affinity") == 0)
        return !((const struct config_route *)base)->affinity.is_on;
    if (strcmp(option->path, "upstreams.profile") == 0)
        return weir_profile(((const struct config_upstream *)base)->profile, &scratch) != WEIR_OK;
    return option->kind == OPTION_NAMED;
}

/* --- YAML ----------------------------------------------------------------------------------------
 */

static void yaml_group(const char *path, const void *base, uint32_t depth, bool first_inline,
                       struct bytes *out);

static void yaml_list(const struct option *option, const void *base, uint32_t depth,
                      struct bytes *out)
{
    struct group group = group_of(option, base);
    bytes_append_text(out, group.count == 0 ? " []\n" : "\n");
    for (uint32_t i = 0; i < group.count; i++) {
        indent(out, depth);
        bytes_append_text(out, "- ");
        yaml_group(option->path, (const char *)group.at + i * option->element, depth + 1, true,
                   out);
    }
}

static void yaml_group(const char *path, const void *base, uint32_t depth, bool first_inline,
                       struct bytes *out)
{
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (!option_is_child(option, path) || is_absent(option, base))
            continue;
        if (!first_inline)
            indent(out, depth);
        first_inline = false;
        bytes_printf(out, "%s:", option_name(option));
        if (option->kind == OPTION_VALUE) {
            bytes_append_text(out, " ");
            value_write(option, base, out);
            bytes_append_text(out, "\n");
        } else if (option->kind == OPTION_MAP) {
            bytes_append_text(out, "\n");
            yaml_group(option->path, base, depth + 1, false, out);
        } else {
            yaml_list(option, base, depth, out);
        }
    }
}

void config_dump_yaml(const struct config *config, struct bytes *out)
{
    yaml_group("", config, 0, false, out);
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static uint64_t mark_text(const char *text, uint64_t seed)
{
    return XXH3_64bits_withSeed(text, strlen(text), seed);
}

/* What a value is told from others by that is not shown, or not all of it. */
static uint64_t mark_of(const struct option *option, const void *base)
{
    struct config_fields fields;
    const char *text;
    uint64_t mark = 0;
    if (option->type == OPTION_SECRET) {
        memcpy(&text, (const char *)base + option->offset, sizeof(text));
        return mark_text(text, 0);
    }
    memcpy(&fields, (const char *)base + option->offset, sizeof(fields));
    for (uint32_t i = 0; i < fields.count; i++)
        mark = mark_text(fields.at[i].value, mark_text(fields.at[i].name, mark));
    return mark;
}

static bool has_mark(const struct option *option)
{
    return option->type == OPTION_SECRET || option->type == OPTION_CREDENTIALS
           || option->type == OPTION_FIELDS;
}

static void json_value(const struct option *option, const void *base, bool is_marked,
                       struct bytes *out)
{
    if (!is_marked || !has_mark(option)) {
        value_write(option, base, out);
        return;
    }
    bytes_printf(out, "[\"%s%016" PRIx64 "\",", CONFIG_DUMP_MARK, mark_of(option, base));
    value_write(option, base, out);
    bytes_append_text(out, "]");
}

static void json_group(const char *path, const void *base, bool is_marked, struct bytes *out)
{
    const char *comma = "";
    bytes_append_text(out, "{");
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (!option_is_child(option, path) || is_absent(option, base))
            continue;
        bytes_printf(out, "%s\"%s\":", comma, option_name(option));
        comma = ",";
        if (option->kind == OPTION_VALUE) {
            json_value(option, base, is_marked, out);
        } else if (option->kind == OPTION_MAP) {
            json_group(option->path, base, is_marked, out);
        } else {
            struct group group = group_of(option, base);
            bytes_append_text(out, "[");
            for (uint32_t j = 0; j < group.count; j++) {
                bytes_append_text(out, j > 0 ? "," : "");
                json_group(option->path, (const char *)group.at + j * option->element, is_marked,
                           out);
            }
            bytes_append_text(out, "]");
        }
    }
    bytes_append_text(out, "}");
}

void config_dump_json(const struct config *config, struct bytes *out)
{
    json_group("", config, false, out);
}

void config_dump_marked(const struct config *config, struct bytes *out)
{
    json_group("", config, true, out);
}

/* --- JSON Schema ---------------------------------------------------------------------------------
 */

static void schema_group(const char *path, uint32_t depth, struct bytes *out);

static void schema_doc(const struct option *option, struct bytes *out)
{
    bytes_append_text(out, "\"description\": ");
    bytes_append_json(out, slice_of(option->doc));
    if (option->kind == OPTION_VALUE && option->fallback != NULL && option->fallback[0] != '\0'
        && option->fallback[0] != '[') {
        bytes_append_text(out, ", \"default\": ");
        bool bare = option->type == OPTION_FLAG || option->type == OPTION_PART
                    || ((option->type == OPTION_COUNT || option->type == OPTION_NUMBER)
                        && text_is_digit(option->fallback[0]));
        if (bare)
            bytes_append_text(out, option->fallback);
        else
            bytes_append_json(out, slice_of(option->fallback));
    }
}

static void schema_option(const struct option *option, uint32_t depth, struct bytes *out)
{
    indent(out, depth);
    bytes_printf(out, "\"%s\": {", option_name(option));
    schema_doc(option, out);
    bytes_append_text(out, ", ");
    switch (option->kind) {
    case OPTION_VALUE: value_schema(option, out); break;
    case OPTION_MAP: schema_group(option->path, depth + 1, out); break;
    case OPTION_NAMED:
        bytes_append_text(out, "\"type\": \"object\", \"additionalProperties\": {");
        schema_group("upstreams.pool", depth + 1, out);
        bytes_append_text(out, "}");
        break;
    case OPTION_LIST:
        bytes_printf(out,
                     "\"type\": \"array\", \"minItems\": %" PRIu64 ", \"maxItems\": %" PRIu64
                     ", \"items\": {",
                     option->low, option->high);
        schema_group(option->path, depth + 1, out);
        bytes_append_text(out, "}");
        break;
    }
    bytes_append_text(out, "}");
}

static void schema_required(const char *path, struct bytes *out)
{
    const char *comma = "";
    bytes_append_text(out, "\"required\": [");
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        bool needed = (option->kind == OPTION_VALUE && option->fallback == NULL)
                      || (option->kind == OPTION_LIST && option->low > 0);
        if (!option_is_child(option, path) || !needed)
            continue;
        bytes_printf(out, "%s\"%s\"", comma, option_name(option));
        comma = ", ";
    }
    bytes_append_text(out, "], ");
}

static void schema_group(const char *path, uint32_t depth, struct bytes *out)
{
    const char *comma = "";
    bytes_append_text(out, "\"type\": \"object\", \"additionalProperties\": false, ");
    schema_required(path, out);
    bytes_append_text(out, "\"properties\": {\n");
    if (path[0] == '\0') {
        indent(out, depth + 1);
        bytes_append_text(out,
                          "\"include\": {\"description\": \"Files that are read as well; paths "
                          "with * may stand for several.\", \"type\": [\"string\", \"array\"]}");
        comma = ",\n";
    }
    for (uint32_t i = 0; i < option_count; i++) {
        if (!option_is_child(&option_table[i], path))
            continue;
        bytes_append_text(out, comma);
        comma = ",\n";
        schema_option(&option_table[i], depth + 1, out);
    }
    bytes_append_text(out, "}");
}

void config_schema(struct bytes *out)
{
    bytes_append_text(out, "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", "
                           "\"title\": \"weir.yaml\", ");
    schema_group("", 0, out);
    bytes_append_text(out, "}\n");
}

/* --- reference -----------------------------------------------------------------------------------
 */

static void reference_value(const struct option *option, struct bytes *out)
{
    char low[40], high[40];
    bytes_printf(out, "`%s`: %s", option->path, value_type_text(option->type));
    if (option->fallback == NULL)
        bytes_append_text(out, ", required");
    else if (option->fallback[0] != '\0')
        bytes_printf(out, ", default `%s`", option->fallback);
    switch (option->type) {
    case OPTION_COUNT:
    case OPTION_NUMBER:
    case OPTION_PART:
        bytes_printf(out, ", %" PRIu64 " … %" PRIu64, option->low, option->high);
        break;
    case OPTION_TIME:
        text_print_duration(low, sizeof(low), option->low);
        text_print_duration(high, sizeof(high), option->high);
        bytes_printf(out, ", %s … %s", low, high);
        break;
    case OPTION_SIZE:
    case OPTION_SIZE32:
    case OPTION_RATE:
        text_print_size(low, sizeof(low), option->low);
        text_print_size(high, sizeof(high), option->high);
        bytes_printf(out, ", %s … %s", low, high);
        break;
    default: break;
    }
    for (const char *w = option->words; *w != '\0'; w += strspn(w, "|")) {
        size_t len = strcspn(w, "|");
        bytes_printf(out, "%s`%.*s`", w == option->words ? "; " : ", ", (int)len, w);
        w += len;
    }
    bytes_printf(out, "; %s.\n: %s\n\n", option_apply_text(option->apply), option->doc);
}

void config_reference(struct bytes *out)
{
    bytes_append_text(out,
                      "# Options\n\n"
                      "Written by `weir config reference`; `weir config schema` has the same for "
                      "editors. The configuration is read once, at the start. Of each option it is "
                      "said what a changed value would ask of a running gateway: only what "
                      "connections opened from then on obey, or a restart.\n\n");
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        if (option->kind == OPTION_VALUE)
            reference_value(option, out);
        else
            bytes_printf(out, "## %s%s\n\n%s\n\n", option->path,
                         option->kind == OPTION_LIST ? "[]" : "", option->doc);
    }
}

void config_options(struct bytes *out)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (option_table[i].kind != OPTION_MAP && option_table[i].kind != OPTION_LIST)
            bytes_printf(out, "%s\n", option_table[i].path);
}
