/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint_list.c - libyaml's events, read as they come: an entry is built while it is read, and
 * nothing else is kept. Depth is the grammar's, so there is no recursion to bound.
 */
#include "gateway/endpoint_list.h"

#include "gateway/config_address.h"
#include "gateway/config_arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define WEIGHT_DEFAULT 100U
#define WEIGHT_MAX     65535U
#define PRIORITY_MAX   255U
#define ZONE_MAX       64U
#define URL_MAX        300U

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one that is looked at */
    bool has_event;
    const struct endpoint_list_rules *rules;
    struct config_arena *arena;
    struct config_endpoints *list;
    char *why;
};

/* What an entry says of all that it names. */
struct entry {
    const char *scheme;
    const char *zone;
    uint32_t weight, priority;
    const char *url;
    const char **targets;
    uint32_t targets_count;
    bool has_targets;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct reader *r, const char *format, ...)
{
    va_list args;
    int len = snprintf(r->why, ENDPOINT_LIST_WHY_MAX, "line %zu: ",
                       r->has_event ? r->event.start_mark.line + 1
                                    : r->parser.problem_mark.line + 1);
    va_start(args, format);
    vsnprintf(r->why + len, ENDPOINT_LIST_WHY_MAX - (size_t)len, format, args);
    va_end(args);
    for (char *c = r->why; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = '?';
    return false;
}

/* --- events --------------------------------------------------------------------------------------
 */

static void forget(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = false;
}

/* False: there is none, and it was said why. */
static bool next(struct reader *r)
{
    forget(r);
    if (yaml_parser_parse(&r->parser, &r->event) == 0)
        return refuse(r, "not YAML or JSON: %s",
                      r->parser.problem != NULL ? r->parser.problem : "no memory");
    r->has_event = true;
    if (r->event.type == YAML_ALIAS_EVENT) {
        refuse(r, "an alias");
        forget(r);
    }
    return r->has_event;
}

/* The scalar that is looked at, without a NUL in it. */
static bool text_of(struct reader *r, const char *what, struct slice *ret)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return refuse(r, "%s is no text", what);
    *ret = (struct slice){(const char *)r->event.data.scalar.value,
                          (uint32_t)r->event.data.scalar.length};
    return memchr(ret->at, '\0', ret->len) == NULL || refuse(r, "%s has a NUL in it", what);
}

static bool take_text(struct reader *r, const char *what, size_t most, const char **ret)
{
    struct slice text = {0};
    if (!text_of(r, what, &text))
        return false;
    if (text.len > most)
        return refuse(r, "%s is longer than %zu bytes", what, most);
    *ret = config_arena_copy(r->arena, text.at, text.len);
    return true;
}

static bool take_number(struct reader *r, const char *what, uint32_t most, uint32_t *ret)
{
    struct slice text = {0};
    uint64_t number;
    if (!text_of(r, what, &text))
        return false;
    if (!text_parse_u64(text, &number) || number > most)
        return refuse(r, "%s is no number from 0 to %u", what, most);
    *ret = (uint32_t)number;
    return true;
}

/* What is of no concern, however deep. */
static bool skip(struct reader *r)
{
    uint32_t depth = 0;
    for (;;) {
        yaml_event_type_t type = r->event.type;
        depth += type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT;
        depth -= type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT;
        if (depth == 0)
            return true;
        if (!next(r))
            return false;
    }
}

/* --- endpoints -----------------------------------------------------------------------------------
 */

bool endpoint_list_has(const struct config_endpoints *list, const char *host, uint16_t port)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->at[i].port == port && strcmp(list->at[i].host, host) == 0)
            return true;
    return false;
}

static bool add(struct reader *r, const struct entry *entry, const char *text)
{
    const char *scheme = entry->scheme != NULL ? entry->scheme : r->rules->scheme;
    struct config_endpoint endpoint = {
        .weight = entry->weight, .priority = entry->priority, .zone = entry->zone};
    if (strstr(text, "://") == NULL)
        text = config_arena_print(r->arena, "%s://%s", scheme, text);
    const char *wrong = config_url_of(r->arena, text, &endpoint);
    if (wrong != NULL)
        return refuse(r, "\"%.80s\" %s", text, wrong);
    if (endpoint_list_has(r->list, endpoint.host, endpoint.port))
        return true;
    if (r->list->count == r->rules->most)
        return refuse(r, "more than %u endpoints (discover.max)", r->rules->most);
    r->list->at[r->list->count++] = endpoint;
    return true;
}

static bool read_label(struct reader *r, struct entry *entry, struct slice name)
{
    if (slice_is(name, "zone"))
        return take_text(r, "zone", ZONE_MAX, &entry->zone);
    if (slice_is(name, "weight"))
        return take_number(r, "weight", WEIGHT_MAX, &entry->weight);
    if (slice_is(name, "priority"))
        return take_number(r, "priority", PRIORITY_MAX, &entry->priority);
    if (!slice_is(name, "__scheme__"))
        return skip(r);
    return take_text(r, "__scheme__", URL_MAX, &entry->scheme);
}

static bool read_labels(struct reader *r, struct entry *entry)
{
    struct slice name = {0};
    if (r->event.type != YAML_MAPPING_START_EVENT)
        return refuse(r, "labels is no map");
    while (next(r) && r->event.type != YAML_MAPPING_END_EVENT) {
        char room[16];
        if (!text_of(r, "a label", &name))
            return false;
        slice_copy(room, sizeof(room), name); /* what is longer is none of ours */
        if (!next(r) || !read_label(r, entry, slice_of(name.len < sizeof(room) ? room : "")))
            return false;
    }
    return r->has_event;
}

static bool read_targets(struct reader *r, struct entry *entry)
{
    uint32_t most = r->rules->most;
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return refuse(r, "targets is no list");
    if (entry->has_targets)
        return refuse(r, "an entry has targets twice");
    entry->has_targets = true;
    entry->targets = config_arena_take(r->arena, (most + 1) * sizeof(*entry->targets));
    while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT) {
        if (entry->targets == NULL || entry->targets_count == most)
            return refuse(r, "more than %u targets (discover.max)", most);
        if (!take_text(r, "a target", URL_MAX, &entry->targets[entry->targets_count++]))
            return false;
    }
    return r->has_event;
}

static bool read_member(struct reader *r, struct entry *entry, const char *name)
{
    struct slice key = slice_of(name);
    if (slice_is(key, "url"))
        return take_text(r, "url", URL_MAX, &entry->url);
    if (slice_is(key, "targets"))
        return read_targets(r, entry);
    if (slice_is(key, "labels"))
        return read_labels(r, entry);
    if (slice_is(key, "weight") || slice_is(key, "priority") || slice_is(key, "zone"))
        return read_label(r, entry, key);
    return refuse(r, "%.40s is not known: url, weight, priority, zone, targets and labels are",
                  name);
}

static bool is_scheme(const char *text)
{
    return text == NULL || strcmp(text, "http") == 0 || strcmp(text, "https") == 0;
}

static bool add_all(struct reader *r, const struct entry *entry)
{
    bool is_good = true;
    if ((entry->url != NULL) == entry->has_targets)
        return refuse(r, "an entry has url or targets, one of them");
    if (!is_scheme(entry->scheme))
        return refuse(r, "__scheme__ is neither http nor https");
    if (entry->url != NULL)
        is_good = add(r, entry, entry->url);
    for (uint32_t i = 0; is_good && i < entry->targets_count; i++)
        is_good = add(r, entry, entry->targets[i]);
    return is_good;
}

static bool read_map(struct reader *r, struct entry *entry)
{
    while (next(r) && r->event.type != YAML_MAPPING_END_EVENT) {
        const char *name = "";
        if (!take_text(r, "a name", URL_MAX, &name) || !next(r) || !read_member(r, entry, name))
            return false;
    }
    return r->has_event && add_all(r, entry);
}

static bool read_entry(struct reader *r)
{
    struct entry entry = {.weight = WEIGHT_DEFAULT, .zone = ""};
    const char *text = "";
    if (r->event.type == YAML_SCALAR_EVENT)
        return take_text(r, "an endpoint", URL_MAX, &text) && add(r, &entry, text);
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return read_map(r, &entry);
    return refuse(r, "an endpoint is a text or a map");
}

/* --- the whole -----------------------------------------------------------------------------------
 */

static bool read_list(struct reader *r)
{
    if (r->event.type != YAML_SEQUENCE_START_EVENT)
        return refuse(r, "no list of endpoints");
    while (next(r) && r->event.type != YAML_SEQUENCE_END_EVENT)
        if (!read_entry(r))
            return false;
    return r->has_event;
}

static bool read_wrapped(struct reader *r)
{
    struct slice name = {0};
    if (!next(r) || !text_of(r, "a name", &name))
        return false;
    if (!slice_is(name, "endpoints"))
        return refuse(r, "a list is expected, or a map with nothing but endpoints");
    if (!next(r) || !read_list(r) || !next(r))
        return false;
    return r->event.type == YAML_MAPPING_END_EVENT
           || refuse(r, "a map with something beside endpoints");
}

static bool read_document(struct reader *r)
{
    if (!next(r)) /* the stream begins, */
        return false;
    if (!next(r)) /* and a document */
        return false;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return refuse(r, "empty");
    if (!next(r))
        return false;
    bool is_map = r->event.type == YAML_MAPPING_START_EVENT;
    if (is_map ? !read_wrapped(r) : !read_list(r))
        return false;
    if (!next(r)) /* the document ends, */
        return false;
    if (!next(r)) /* and the stream */
        return false;
    return r->event.type == YAML_STREAM_END_EVENT || refuse(r, "something follows the list");
}

static bool has_weight(const struct config_endpoints *list)
{
    bool any = list->count == 0;
    for (uint32_t i = 0; i < list->count; i++)
        any = any || list->at[i].weight > 0;
    return any;
}

bool endpoint_list_read(struct slice text, const struct endpoint_list_rules *rules,
                        struct config_arena *arena, struct config_endpoints *ret,
                        char ret_why[ENDPOINT_LIST_WHY_MAX])
{
    struct config_endpoints list = {
        .at = config_arena_take(arena, (size_t)rules->most * sizeof(*list.at))};
    struct reader r = {.rules = rules, .arena = arena, .list = &list, .why = ret_why};
    if (text.len > ENDPOINT_LIST_BYTES_MAX) {
        snprintf(ret_why, ENDPOINT_LIST_WHY_MAX, "longer than 1 MiB");
        return false;
    }
    bool is_good = list.at != NULL && yaml_parser_initialize(&r.parser) != 0;
    if (is_good) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.at, text.len);
        is_good = read_document(&r);
        forget(&r);
        yaml_parser_delete(&r.parser);
    }
    if (config_arena_is_short(arena)) {
        snprintf(ret_why, ENDPOINT_LIST_WHY_MAX, "no memory");
        return false;
    }
    if (is_good && !has_weight(&list)) {
        snprintf(ret_why, ENDPOINT_LIST_WHY_MAX, "no endpoint has a weight above zero");
        return false;
    }
    if (is_good)
        *ret = list;
    return is_good;
}
