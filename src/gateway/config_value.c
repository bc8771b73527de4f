/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value.c - one reader and one writer for each type of option.
 *
 * A reader gets the text of one scalar, or for the types that hold several values the list or map,
 * and answers with what is wrong, as the end of a sentence that begins with the option's name.
 */
#include "gateway/config_value.h"

#include "gateway/config_address.h"
#include "gateway/config_arena.h"
#include "gateway/config_text.h"
#include "gateway/config_value_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct value_type {
    const char *name;
    const char *schema; /* a string, an integer, … */
    bool many;          /* takes a list or a map: `read` looks at the node */
    size_t size;
    bool (*read)(struct value *v);
    void (*write)(const struct option *option, const void *field, struct bytes *out);
};

static const struct value_type value_types[OPTION_TYPES];

static void *field_of(const struct option *option, void *base)
{
    return (char *)base + option->offset;
}

static const void *field_in(const struct option *option, const void *base)
{
    return (const char *)base + option->offset;
}

bool value_read(const struct value_reader *reader, const struct option *option,
                const struct document_node *node, void *base)
{
    const struct value_type *type = &value_types[option->type];
    struct value v = {.reader = reader,
                      .option = option,
                      .node = node,
                      .text = node->text,
                      .field = field_of(option, base)};
    bool good = true;
    if (!type->many && node->kind != DOCUMENT_TEXT) {
        snprintf(v.message, sizeof(v.message), "takes %s, not %s", type->name,
                 document_kind_text(node->kind));
        good = false;
    } else if (!type->many && node->text[0] == '\0' && !node->quoted) {
        snprintf(v.message, sizeof(v.message), "has no value");
        good = false;
    } else {
        good = type->read(&v);
    }
    if (!good)
        config_error(reader->faults, node->place, "%s: %s", option->path, v.message);
    return good;
}

/* "[a, b]" as the list it would be in a file. */
static struct document_node *list_of_default(struct config_arena *arena, const char *text)
{
    struct document_node *list = config_arena_take(arena, sizeof(*list));
    if (list == NULL)
        return NULL;
    *list = (struct document_node){.kind = DOCUMENT_LIST, .text = ""};
    struct document_item **end = &list->items;
    for (const char *at = text + 1; *at != ']';) {
        size_t len = strcspn(at, ",]");
        struct document_node *node = config_arena_take(arena, sizeof(*node));
        struct document_item *item = config_arena_take(arena, sizeof(*item));
        if (node == NULL || item == NULL)
            return NULL;
        *node = (struct document_node){.kind = DOCUMENT_TEXT,
                                       .text = config_arena_copy(arena, at, len)};
        item->value = node;
        *end = item;
        end = &item->next;
        list->count++;
        at += len;
        at += strspn(at, ", ");
    }
    return list;
}

void value_default(const struct value_reader *reader, const struct option *option, void *base)
{
    const struct value_type *type = &value_types[option->type];
    const char *text = option->fallback;
    if (type->many && text != NULL) {
        const struct document_node *list = strcmp(text, "[]") != 0
                                               ? list_of_default(reader->arena, text)
                                               : NULL;
        if (list != NULL)
            value_read(reader, option, list, base);
        return;
    }
    if (text == NULL || text[0] == '\0') {
        if (type->size == sizeof(char *) && strcmp(type->schema, "string") == 0)
            *(const char **)field_of(option, base) = "";
        return;
    }
    const struct document_node node = {.kind = DOCUMENT_TEXT, .text = text, .place.file = ""};
    value_read(reader, option, &node, base);
}

bool value_is_unset(const struct option *option, const void *base)
{
    const char *field = field_in(option, base);
    for (size_t i = 0; i < value_types[option->type].size; i++)
        if (field[i] != 0)
            return false;
    return true;
}

void value_write(const struct option *option, const void *base, struct bytes *out)
{
    value_types[option->type].write(option, field_in(option, base), out);
}

const char *value_type_text(enum option_type type)
{
    return value_types[type].name;
}

/* --- refusals ----------------------------------------------------------------------------------
 */

bool value_refuse(struct value *v, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->message, sizeof(v->message), format, args);
    va_end(args);
    return false;
}

#define WORDS_MAX 16

const char *value_nearest_word(const struct value *v)
{
    const char *words[WORDS_MAX];
    uint32_t count = 0;
    size_t len;
    const char *word;
    while (count < WORDS_MAX && (word = option_word(v->option->words, count, &len)) != NULL)
        words[count++] = config_arena_copy(v->reader->arena, word, len);
    return text_did_you_mean(slice_of(v->text), words, count);
}

static bool refuse_word(struct value *v)
{
    const char *near = value_nearest_word(v);
    char all[VALUE_MESSAGE_MAX / 2];
    size_t n = 0;
    for (const char *w = v->option->words; *w != '\0' && n < sizeof(all) - 3; w++) {
        all[n++] = *w == '|' ? ',' : *w;
        if (*w == '|')
            all[n++] = ' ';
    }
    all[n] = '\0';
    return value_refuse(v, "%.40s is none of %s%s%s%s", v->text, all,
                        near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                        near != NULL ? "?" : "");
}

/* --- words ---------------------------------------------------------------------------------------
 */

static bool read_word(struct value *v)
{
    int place = option_word_find(v->option->words, v->text);
    if (place < 0)
        return refuse_word(v);
    *(uint32_t *)v->field = (uint32_t)place;
    return true;
}

static bool read_choice(struct value *v)
{
    int place = option_word_find(v->option->words, v->text);
    if (place < 0)
        return refuse_word(v);
    *(uint32_t *)v->field = (uint32_t)place + 1;
    return true;
}

static bool read_flag(struct value *v)
{
    bool on = strcmp(v->text, "true") == 0;
    if (!on && strcmp(v->text, "false") != 0)
        return value_refuse(v, "%.40s is neither true nor false", v->text);
    *(uint32_t *)v->field = on ? WEIR_ON : WEIR_OFF;
    return true;
}

static void write_text_len(struct bytes *out, const char *text, size_t len)
{
    bytes_append_json(out, (struct slice){text, (uint32_t)len});
}

static void write_place(const struct option *option, uint32_t place, struct bytes *out)
{
    size_t len = 0;
    const char *word = option_word(option->words, place, &len);
    write_text_len(out, word, word != NULL ? len : 0);
}

static void write_word(const struct option *option, const void *field, struct bytes *out)
{
    write_place(option, *(const uint32_t *)field, out);
}

static void write_choice(const struct option *option, const void *field, struct bytes *out)
{
    write_place(option, *(const uint32_t *)field - 1, out);
}

static void write_flag(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    bytes_append_text(out, *(const uint32_t *)field == WEIR_ON ? "true" : "false");
}

/* --- texts ---------------------------------------------------------------------------------------
 */

static bool keep(struct value *v, const char *text)
{
    *(const char **)v->field = config_arena_copy(v->reader->arena, text, strlen(text));
    return true;
}

static bool long_enough(struct value *v)
{
    size_t len = strlen(v->text);
    if (len >= v->option->low && len <= v->option->high)
        return true;
    return value_refuse(v, "%zu characters are outside %" PRIu64 " … %" PRIu64, len, v->option->low,
                        v->option->high);
}

static bool read_label(struct value *v)
{
    if (!long_enough(v))
        return false;
    if (!config_only_of(v->text, "-_."))
        return value_refuse(v, "\"%.40s\" has more than letters, digits, '-', '_' and '.'",
                            v->text);
    return keep(v, v->text);
}

static bool read_secret(struct value *v)
{
    if (!long_enough(v))
        return false;
    for (const char *c = v->text; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return value_refuse(v, "has a space or a character beyond ASCII");
    return keep(v, v->text);
}

static int nibble_of(char c)
{
    char low = text_lower(c);
    return low >= '0' && low <= '9' ? low - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* What is no hash may be the key itself: it is not said again. */
static bool read_hash(struct value *v)
{
    struct config_digest digest;
    bool is_hash = strlen(v->text) == 2 * sizeof(digest.at);
    for (size_t i = 0; is_hash && i < sizeof(digest.at); i++) {
        int high = nibble_of(v->text[2 * i]), low = nibble_of(v->text[2 * i + 1]);
        is_hash = high >= 0 && low >= 0;
        digest.at[i] = is_hash ? (uint8_t)(high << 4 | low) : 0;
    }
    if (!is_hash)
        return value_refuse(v, "takes the 64 hexadecimal digits of a SHA-256, as printf %%s KEY | "
                               "sha256sum prints them");
    *(struct config_digest *)v->field = digest;
    return true;
}

static bool read_output(struct value *v)
{
    if (v->text[0] != '/' && option_word_find(v->option->words, v->text) < 0)
        return refuse_word(v);
    return long_enough(v) && keep(v, v->text);
}

/* "*", "*.name", "name"; lower case from here on. */
static bool read_host(struct value *v)
{
    const char *name = strncmp(v->text, "*.", 2) == 0 ? v->text + 2 : v->text;
    bool any = strcmp(v->text, "*") == 0;
    if (!any && (name[0] == '\0' || strlen(v->text) > 255 || !config_only_of(name, "-_.:[]")))
        return value_refuse(v, "\"%.40s\" is no host, *.host or *", v->text);
    if (!any && name[0] != '[' && strpbrk(name, ":[]") != NULL)
        return value_refuse(v, "\"%.40s\": a host is matched without its port", v->text);
    keep(v, v->text);
    for (char *c = *(char **)v->field; *c != '\0'; c++)
        *c = text_lower(*c);
    return true;
}

static bool read_path(struct value *v)
{
    if (v->text[0] != '/')
        return value_refuse(v, "\"%.40s\" does not begin with /", v->text);
    for (const char *c = v->text; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f || *c == '#')
            return value_refuse(v, "\"%.40s\" has a character that a path cannot have", v->text);
    if (strlen(v->text) > 1024)
        return value_refuse(v, "is longer than 1024 characters");
    return keep(v, v->text);
}

static bool read_file_path(struct value *v)
{
    const char *path = config_path_of(v->reader->arena, v->node->place.file, v->text);
    return path != NULL ? keep(v, path) : value_refuse(v, "is longer than 4095 characters");
}

static void write_text(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    const char *text = *(const char *const *)field;
    bytes_append_json(out, slice_of(text != NULL ? text : ""));
}

static void write_hash(const struct option *option, const void *field, struct bytes *out)
{
    (void)option, (void)field;
    bytes_append_json(out, SLICE("***"));
}

static void write_secret(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    bytes_append_json(out, (*(const char *const *)field)[0] != '\0' ? SLICE("***") : SLICE(""));
}

/* --- addresses -----------------------------------------------------------------------------------
 */

static bool read_address(struct value *v)
{
    struct config_address *address = v->field;
    if (v->option->words[0] != '\0' && option_word_find(v->option->words, v->text) >= 0) {
        *address = (struct config_address){
            .text = config_arena_copy(v->reader->arena, v->text, strlen(v->text)),
            .host = "",
            .unix_path = ""};
        return true;
    }
    const char *wrong = config_address_of(v->reader->arena, v->text, address);
    return wrong == NULL ? true : value_refuse(v, "\"%.80s\" %s", v->text, wrong);
}

static void write_address(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    bytes_append_json(out, slice_of(((const struct config_address *)field)->text));
}

static bool read_url(struct value *v)
{
    struct config_endpoint *endpoint = v->field;
    const char *wrong = config_url_of(v->reader->arena, v->text, endpoint);
    return wrong == NULL ? true : value_refuse(v, "\"%.80s\" %s", v->text, wrong);
}

/* --- lists ---------------------------------------------------------------------------------------
 */

/* A text is a list of itself alone. *ret_first is what to walk. */
static bool list_begin(struct value *v, struct document_item *single,
                       const struct document_item **ret_first, uint32_t *ret_count)
{
    if (v->node->kind == DOCUMENT_MAP)
        return value_refuse(v, "takes %s, not a map", value_types[v->option->type].name);
    bool one = v->node->kind == DOCUMENT_TEXT;
    bool empty = one && v->node->text[0] == '\0' && !v->node->quoted;
    *ret_count = one ? (empty ? 0 : 1) : v->node->count;
    *ret_first = one ? (empty ? NULL : single) : v->node->items;
    if (*ret_count > v->option->high)
        return value_refuse(v, "more than %" PRIu64 " of them", v->option->high);
    return true;
}

static bool item_text(struct value *v, const struct document_item *item)
{
    if (item->value->kind != DOCUMENT_TEXT)
        return value_refuse(v, "%s in the list", document_kind_text(item->value->kind));
    v->text = item->value->text;
    return true;
}

static bool read_texts(struct value *v, bool (*good)(struct value *v))
{
    struct document_node node = *v->node;
    struct document_item single = {.value = &node};
    const struct document_item *i = NULL;
    struct config_texts texts = {0};
    uint32_t count = 0;
    if (!list_begin(v, &single, &i, &count))
        return false;
    texts.at = config_arena_take(v->reader->arena, count * sizeof(*texts.at));
    if (texts.at == NULL)
        return value_refuse(v, "no memory");
    for (; i != NULL; i = i->next) {
        if (!item_text(v, i) || !good(v))
            return false;
        texts.at[texts.count++] = config_arena_copy(v->reader->arena, v->text, strlen(v->text));
    }
    *(struct config_texts *)v->field = texts;
    return true;
}

static bool good_method(struct value *v)
{
    if (!config_is_token(v->text) || strlen(v->text) > 32)
        return value_refuse(v, "\"%.40s\" is no method", v->text);
    for (const char *c = v->text; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z')
            return value_refuse(v, "%.40s: methods are upper case", v->text);
    return true;
}

static bool read_methods(struct value *v)
{
    return read_texts(v, good_method);
}

static bool good_name(struct value *v)
{
    if (!config_is_token(v->text) || strlen(v->text) > 128)
        return value_refuse(v, "\"%.40s\" is no name of a field", v->text);
    if (config_is_framing(v->text) || slice_is_nocase(slice_of(v->text), "host"))
        return value_refuse(v, "%.40s frames or routes the message and stays", v->text);
    return true;
}

static bool read_names(struct value *v)
{
    return read_texts(v, good_name);
}

static bool good_server(struct value *v)
{
    struct config_address address;
    struct config_cidr host;
    if (strchr(v->text, '/') == NULL && config_cidr_of(v->text, &host) == NULL)
        return true;
    const char *why = config_address_of(v->reader->arena, v->text, &address);
    if (why == NULL && address.port != 0)
        return true;
    return value_refuse(v, "\"%.60s\" is no name server: 127.0.0.53, 127.0.0.1:5353 or [::1]:53 is",
                        v->text);
}

static bool good_pattern(struct value *v)
{
    size_t len = strlen(v->text);
    for (const char *c = v->text; *c != '\0'; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return value_refuse(v, "\"%.40s\" has a space or a character beyond ASCII", v->text);
    return (len > 0 && len <= 128) || value_refuse(v, "%zu characters are outside 1 … 128", len);
}

static bool read_patterns(struct value *v)
{
    return read_texts(v, good_pattern);
}

static bool read_servers(struct value *v)
{
    return read_texts(v, good_server);
}

static void write_texts(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    const struct config_texts *texts = field;
    bytes_append_text(out, "[");
    for (uint32_t i = 0; i < texts->count; i++) {
        bytes_append_text(out, i > 0 ? ", " : "");
        bytes_append_json(out, slice_of(texts->at[i]));
    }
    bytes_append_text(out, "]");
}

static bool read_cidrs(struct value *v)
{
    struct {
        struct config_cidr *at;
        uint32_t count;
    } *cidrs = v->field;
    struct document_node node = *v->node;
    struct document_item single = {.value = &node};
    const struct document_item *i = NULL;
    uint32_t count = 0, n = 0;
    if (!list_begin(v, &single, &i, &count))
        return false;
    struct config_cidr *at = config_arena_take(v->reader->arena, count * sizeof(*at));
    if (at == NULL)
        return value_refuse(v, "no memory");
    for (; i != NULL; i = i->next) {
        if (!item_text(v, i))
            return false;
        const char *wrong = config_cidr_of(v->text, &at[n++]);
        if (wrong != NULL)
            return value_refuse(v, "\"%.60s\" %s", v->text, wrong);
    }
    cidrs->at = at;
    cidrs->count = n;
    return true;
}

static void write_cidrs(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    const struct {
        struct config_cidr *at;
        uint32_t count;
    } *cidrs = field;
    char text[CONFIG_CIDR_TEXT_MAX];
    bytes_append_text(out, "[");
    for (uint32_t i = 0; i < cidrs->count; i++) {
        bytes_append_text(out, i > 0 ? ", " : "");
        bytes_append_json(out, slice_of(config_cidr_text(&cidrs->at[i], text)));
    }
    bytes_append_text(out, "]");
}

/* connect, stale, and status codes 500 … 599. */
static bool read_causes(struct value *v)
{
    struct config_retry *retry = v->field;
    struct document_node node = *v->node;
    struct document_item single = {.value = &node};
    const struct document_item *i = NULL;
    uint32_t count = 0;
    struct config_retry read = {.budget = retry->budget};
    if (!list_begin(v, &single, &i, &count))
        return false;
    for (; i != NULL; i = i->next) {
        uint64_t code;
        if (!item_text(v, i))
            return false;
        int word = option_word_find(v->option->words, v->text);
        if (word >= 0)
            *(word == 0 ? &read.on_connect : &read.on_stale) = true;
        else if (text_parse_u64(slice_of(v->text), &code) && code >= 500 && code <= 599)
            read.codes[read.codes_count++] = (uint16_t)code;
        else
            return value_refuse(v, "%.40s is none of connect, stale and status codes 500 … 599",
                                v->text);
    }
    *retry = read;
    return true;
}

static void write_causes(const struct option *option, const void *field, struct bytes *out)
{
    (void)option;
    const struct config_retry *retry = field;
    const char *comma = "";
    bytes_append_text(out, "[");
    if (retry->on_connect) {
        bytes_append_text(out, "\"connect\"");
        comma = ", ";
    }
    if (retry->on_stale) {
        bytes_printf(out, "%s\"stale\"", comma);
        comma = ", ";
    }
    for (uint32_t i = 0; i < retry->codes_count; i++, comma = ", ")
        bytes_printf(out, "%s%u", comma, retry->codes[i]);
    bytes_append_text(out, "]");
}

/* At least one of the words. */
static bool read_set(struct value *v)
{
    struct document_node node = *v->node;
    struct document_item single = {.value = &node};
    const struct document_item *i = NULL;
    uint32_t count = 0, set = 0;
    if (!list_begin(v, &single, &i, &count))
        return false;
    for (; i != NULL; i = i->next) {
        if (!item_text(v, i))
            return false;
        int word = option_word_find(v->option->words, v->text);
        if (word < 0)
            return value_refuse(v, "%.40s is none of %s", v->text, v->option->words);
        set |= 1U << word;
    }
    *(uint32_t *)v->field = set;
    return set != 0 || value_refuse(v, "at least one of %s is needed", v->option->words);
}

static void write_set(const struct option *option, const void *field, struct bytes *out)
{
    const char *comma = "", *word;
    size_t len;
    bytes_append_text(out, "[");
    for (uint32_t i = 0; (word = option_word(option->words, i, &len)) != NULL; i++)
        if ((*(const uint32_t *)field >> i & 1U) != 0) {
            bytes_append_text(out, comma);
            write_text_len(out, word, len);
            comma = ", ";
        }
    bytes_append_text(out, "]");
}

/* --- fields --------------------------------------------------------------------------------------
 */

static bool good_field(struct value *v, const char *name, const char *value)
{
    if (!config_is_token(name) || strlen(name) > 128)
        return value_refuse(v, "\"%.40s\" is no name of a field", name);
    if (config_is_framing(name))
        return value_refuse(v, "%.40s frames the message and cannot be given here", name);
    if (!config_is_field_value(value) || strlen(value) > 4096)
        return value_refuse(
            v,
            "%.40s: its value has a control character, spaces around it, or more than "
            "4096 characters",
            name);
    return true;
}

static bool read_fields(struct value *v)
{
    struct config_fields fields = {0};
    const struct document_node *map = v->node;
    bool empty = map->kind == DOCUMENT_TEXT && map->text[0] == '\0' && !map->quoted;
    if (map->kind != DOCUMENT_MAP && !empty)
        return value_refuse(v, "takes %s, not %s", value_types[v->option->type].name,
                            document_kind_text(map->kind));
    if (map->count > v->option->high)
        return value_refuse(v, "more than %" PRIu64 " of them", v->option->high);
    fields.at = config_arena_take(v->reader->arena, map->count * sizeof(*fields.at));
    if (fields.at == NULL)
        return value_refuse(v, "no memory");
    for (const struct document_item *i = map->items; i != NULL; i = i->next) {
        if (!item_text(v, i) || !good_field(v, i->key->text, v->text))
            return false;
        for (uint32_t j = 0; j < fields.count; j++)
            if (slice_is_nocase(slice_of(fields.at[j].name), i->key->text))
                return value_refuse(v, "%.40s is given twice", i->key->text);
        fields.at[fields.count++] = (struct config_field){
            .name = config_arena_copy(v->reader->arena, i->key->text, strlen(i->key->text)),
            .value = config_arena_copy(v->reader->arena, v->text, strlen(v->text))};
    }
    *(struct config_fields *)v->field = fields;
    return true;
}

static void write_fields(const struct option *option, const void *field, struct bytes *out)
{
    bool is_secret = option->type == OPTION_CREDENTIALS;
    const struct config_fields *fields = field;
    bytes_append_text(out, "{");
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct config_field *f = &fields->at[i];
        bytes_append_text(out, i > 0 ? ", " : "");
        bytes_append_json(out, slice_of(f->name));
        bytes_append_text(out, ": ");
        bytes_append_json(out, is_secret || config_is_secret(f->name) ? SLICE("***")
                                                                      : slice_of(f->value));
    }
    bytes_append_text(out, "}");
}

/* --- the types -----------------------------------------------------------------------------------
 */

#define TEXT sizeof(const char *)

static const struct value_type value_types[OPTION_TYPES] = {
    [OPTION_ADDRESS] = {"an address", "string", false, sizeof(struct config_address), read_address,
                        write_address},
    [OPTION_CAUSES] = {"a list of causes", "array", true, sizeof(struct config_retry), read_causes,
                       write_causes},
    [OPTION_CHOICE] = {"a word", "string", false, 4, read_choice, write_choice},
    [OPTION_CIDRS] = {"a list of networks", "array", true, sizeof(struct config_texts), read_cidrs,
                      write_cidrs},
    [OPTION_COUNT] = {"a number", "integer", false, 4, value_read_count, value_write_count},
    [OPTION_CREDENTIALS] = {"a map of fields", "object", true, sizeof(struct config_fields),
                            read_fields, write_fields},
    [OPTION_FIELDS] = {"a map of fields", "object", true, sizeof(struct config_fields), read_fields,
                       write_fields},
    [OPTION_FREQUENCY] = {"a rate", "string", false, sizeof(struct config_rate),
                          value_read_frequency, value_write_frequency},
    [OPTION_HASH] = {"a hash", "string", false, sizeof(struct config_digest), read_hash,
                     write_hash},
    [OPTION_FLAG] = {"true or false", "boolean", false, 4, read_flag, write_flag},
    [OPTION_HOST] = {"a host", "string", false, TEXT, read_host, write_text},
    [OPTION_LABEL] = {"a name", "string", false, TEXT, read_label, write_text},
    [OPTION_LINK] = {"a URL", "string", false, TEXT, read_secret, write_text},
    [OPTION_METHODS] = {"a list of methods", "array", true, sizeof(struct config_texts),
                        read_methods, write_texts},
    [OPTION_NAMES] = {"a list of fields' names", "array", true, sizeof(struct config_texts),
                      read_names, write_texts},
    [OPTION_NUMBER] = {"a number", "integer", false, 4, value_read_number, value_write_count},
    [OPTION_OUTPUT] = {"a word or a path", "string", false, TEXT, read_output, write_text},
    [OPTION_PART] = {"a fraction", "number", false, sizeof(double), value_read_part,
                     value_write_part},
    [OPTION_FILE] = {"a path", "string", false, TEXT, read_file_path, write_text},
    [OPTION_PATH] = {"a path", "string", false, TEXT, read_path, write_text},
    [OPTION_PATTERNS] = {"a list of patterns", "array", true, sizeof(struct config_texts),
                         read_patterns, write_texts},
    [OPTION_PROFILE] = {"a name", "string", false, TEXT, read_label, write_text},
    [OPTION_RATE] = {"bytes per second", "size", false, 8, value_read_rate, value_write_size},
    [OPTION_SECRET] = {"a secret", "string", false, TEXT, read_secret, write_secret},
    [OPTION_SERVERS] = {"a list of addresses", "array", true, sizeof(struct config_texts),
                        read_servers, write_texts},
    [OPTION_SET] = {"a list of words", "array", true, 4, read_set, write_set},
    [OPTION_SIZE] = {"a size", "size", false, 8, value_read_size, value_write_size},
    [OPTION_SIZE32] = {"a size", "size", false, 4, value_read_size32, value_write_size32},
    [OPTION_TIME] = {"a duration", "string", false, 4, value_read_time, value_write_time},
    [OPTION_URL] = {"a URL", "string", false, TEXT, read_url, write_text},
    [OPTION_WORD] = {"a word", "string", false, 4, read_word, write_word},
};

const char *value_schema_kind(enum option_type type)
{
    return value_types[type].schema;
}
