/* SPDX-License-Identifier: Apache-2.0
 *
 * config_document.c - libyaml's events into nodes, and one file's nodes into another's.
 *
 * A reading stops at the first thing YAML itself does not understand, since what follows would be
 * guessed; everything else (a key given twice, a variable that is not set) is noted and reading
 * goes on.
 */
#include "gateway/config_document.h"

#include "gateway/config_arena.h"
#include "gateway/config_expand.h"
#include "gateway/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

struct anchor {
    const char *name;
    struct document_node *node;
    bool open; /* its node is still being read: an alias to it would be a cycle */
    struct anchor *older;
};

/* All files of one configuration. */
struct library {
    struct config_arena *arena;
    struct document_sources *sources;
    struct config_faults *faults;
    uint32_t files;
    bool alone;
};

/* One file, and by `parent` the files that are waiting for it to be included. */
struct reading {
    struct library *library;
    const struct reading *parent;
    const char *name;
    const char *text;
    size_t len;
    yaml_parser_t parser;
    struct anchor *anchors;
    uint32_t nodes, depth;
};

static struct document_node *file_read(struct library *library, const struct reading *parent,
                                       const char *name, const char *text, size_t len);
static struct document_node *node_read(struct reading *r, const yaml_event_t *event);
static struct document_node *include_files(struct reading *r, struct document_node *root);

void document_note(struct document_sources *sources, const char *path)
{
    struct config_source *source = config_arena_take(sources->arena, sizeof(*source));
    if (source == NULL)
        return;
    *source = (struct config_source){.path = config_arena_copy(sources->arena, path, strlen(path)),
                                     .next = sources->first};
    sources->first = source;
}

struct document_node *document_read(struct document_sources *sources,
                                    const struct document_source *source,
                                    struct config_faults *faults)
{
    struct library library = {
        .arena = sources->arena, .sources = sources, .faults = faults, .alone = source->alone};
    if (!source->alone)
        document_note(sources, source->name);
    return file_read(&library, NULL, source->name, source->text, source->len);
}

struct document_node *document_find(const struct document_node *map, const char *key)
{
    for (const struct document_item *i = map->items; i != NULL; i = i->next)
        if (i->key != NULL && strcmp(i->key->text, key) == 0)
            return i->value;
    return NULL;
}

const char *document_kind_text(enum document_kind kind)
{
    switch (kind) {
    case DOCUMENT_LIST: return "a list";
    case DOCUMENT_MAP: return "a map";
    default: return "text";
    }
}

/* Up to one byte more than is allowed, so that too long is seen; -1 and errno. */
static ssize_t read_all(int fd, char *text)
{
    size_t len = 0;
    while (len <= DOCUMENT_BYTES_MAX) {
        ssize_t n = read(fd, text + len, DOCUMENT_BYTES_MAX + 1 - len);
        if (n < 0 && errno != EINTR)
            return -1;
        if (n == 0)
            break;
        len += n > 0 ? (size_t)n : 0;
    }
    if (len > DOCUMENT_BYTES_MAX) {
        errno = EFBIG;
        return -1;
    }
    return (ssize_t)len;
}

char *document_load(struct config_arena *arena, const char *path, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    char *text = malloc(DOCUMENT_BYTES_MAX + 1), *kept = NULL;
    ssize_t len = text != NULL ? read_all(fd, text) : -1;
    int error = errno;
    if (len >= 0) {
        *ret_len = (size_t)len;
        kept = config_arena_copy(arena, text, (size_t)len);
        if (config_arena_is_short(arena)) {
            kept = NULL;
            error = ENOMEM;
        }
    }
    if (len > 0)
        explicit_bzero(text, (size_t)len); /* it may be a secret */
    free(text);
    close(fd);
    errno = error;
    return kept;
}

/* libyaml gives memory back as it is, and a secret may stand in the file itself. */
static void event_end(yaml_event_t *event)
{
    if (event->type == YAML_SCALAR_EVENT)
        explicit_bzero(event->data.scalar.value, event->data.scalar.length);
    yaml_event_delete(event);
}

static void parser_end(yaml_parser_t *parser)
{
    unsigned char *raw = parser->raw_buffer.start, *read = parser->buffer.start;
    if (raw != NULL)
        explicit_bzero(raw, (size_t)(parser->raw_buffer.end - raw));
    if (read != NULL)
        explicit_bzero(read, (size_t)(parser->buffer.end - read));
    yaml_parser_delete(parser);
}

static struct config_place place_of(const struct reading *r, yaml_mark_t mark)
{
    return (struct config_place){r->name, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1};
}

static struct document_node *node_new(struct reading *r, enum document_kind kind, yaml_mark_t mark)
{
    struct document_node *node = config_arena_take(r->library->arena, sizeof(*node));
    if (node != NULL)
        *node = (struct document_node){.kind = kind, .place = place_of(r, mark), .text = ""};
    return node;
}

/* --- one file ----------------------------------------------------------------------------------
 */

/* Where a byte of the file is: broken UTF-8 is found before there are lines. */
static struct config_place place_of_byte(const struct reading *r, size_t offset)
{
    struct config_place place = {r->name, 1, 1};
    for (size_t i = 0; i < offset && i < r->len; i++) {
        place.column++;
        if (r->text[i] == '\n') {
            place.line++;
            place.column = 1;
        }
    }
    return place;
}

static bool event_next(struct reading *r, yaml_event_t *ret_event)
{
    if (yaml_parser_parse(&r->parser, ret_event) != 0)
        return true;
    struct config_place place = r->parser.error == YAML_READER_ERROR
                                    ? place_of_byte(r, r->parser.problem_offset)
                                    : place_of(r, r->parser.problem_mark);
    config_error(r->library->faults, place, "not YAML: %s%s%s",
                 r->parser.context != NULL ? r->parser.context : "",
                 r->parser.context != NULL ? ", " : "",
                 r->parser.problem != NULL ? r->parser.problem : "no memory");
    return false;
}

/* The first document's root, NULL when the file is empty or broken. */
static struct document_node *document_root(struct reading *r)
{
    struct document_node *root = NULL;
    bool going = true;
    for (uint32_t documents = 0; going;) {
        yaml_event_t event;
        if (!event_next(r, &event))
            return NULL;
        switch (event.type) {
        case YAML_STREAM_END_EVENT: going = false; break;
        case YAML_DOCUMENT_START_EVENT:
            if (++documents > 1) {
                config_error(r->library->faults, place_of(r, event.start_mark),
                             "a second document begins; a configuration is one");
                going = false;
            }
            break;
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT: break;
        default:
            root = node_read(r, &event);
            going = root != NULL;
            break;
        }
        event_end(&event);
    }
    return root;
}

static struct document_node *file_read(struct library *library, const struct reading *parent,
                                       const char *name, const char *text, size_t len)
{
    struct reading r = {
        .library = library, .parent = parent, .name = name, .text = text, .len = len};
    struct document_node *root = NULL;
    library->files++;
    if (yaml_parser_initialize(&r.parser) != 0) {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
        root = document_root(&r);
    }
    parser_end(&r.parser);

    struct document_node *empty = node_new(&r, DOCUMENT_MAP, (yaml_mark_t){0});
    if (root == NULL || (root->kind == DOCUMENT_TEXT && root->text[0] == '\0' && !root->quoted))
        return empty;
    if (root->kind != DOCUMENT_MAP) {
        config_error(library->faults, root->place,
                     "a configuration is a map of options, this is %s",
                     document_kind_text(root->kind));
        return empty;
    }
    return include_files(&r, root);
}

/* --- nodes -------------------------------------------------------------------------------------
 */

static struct anchor *anchor_open(struct reading *r, const yaml_char_t *name,
                                  struct document_node *node)
{
    struct anchor *a = name != NULL ? config_arena_take(r->library->arena, sizeof(*a)) : NULL;
    if (a == NULL)
        return NULL;
    *a = (struct anchor){.name = config_arena_copy(r->library->arena, (const char *)name,
                                                   strlen((const char *)name)),
                         .node = node,
                         .open = true,
                         .older = r->anchors};
    return r->anchors = a;
}

static struct document_node *alias_read(struct reading *r, const yaml_event_t *event)
{
    const char *name = (const char *)event->data.alias.anchor;
    struct config_place place = place_of(r, event->start_mark);
    for (const struct anchor *a = r->anchors; a != NULL; a = a->older) {
        if (strcmp(a->name, name) != 0)
            continue;
        if (!a->open)
            return a->node;
        config_error(r->library->faults, place,
                     "*%s is inside what it stands for, which has no end", name);
        return NULL;
    }
    config_error(r->library->faults, place, "*%s: there is no anchor &%s before it", name, name);
    return NULL;
}

static struct document_node *text_read(struct reading *r, const yaml_event_t *event)
{
    struct document_node *node = node_new(r, DOCUMENT_TEXT, event->start_mark);
    const char *text = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    if (node == NULL)
        return NULL;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (memchr(text, '\0', len) != NULL) {
        config_error(r->library->faults, node->place, "a NUL in a text");
        len = strlen(text);
    }
    node->text = config_arena_copy(r->library->arena, text, len);
    if (strstr(node->text, "${") != NULL)
        node->text = config_expand(r->library->arena, node->place, node->text,
                                   r->library->alone ? NULL : r->library->sources,
                                   r->library->faults);
    return node;
}

static struct document_item **item_add(struct reading *r, struct document_node *node,
                                       struct document_item **end, struct document_node *key,
                                       struct document_node *value)
{
    struct document_item *item = config_arena_take(r->library->arena, sizeof(*item));
    if (item == NULL)
        return end;
    *item = (struct document_item){.key = key, .value = value};
    *end = item;
    node->count++;
    return &item->next;
}

/* Keys of `<<` count where the map itself has none of that name; of several, the first. */
static void merge_keys(struct reading *r, struct document_node *map, struct document_item **end,
                       const struct document_node *from)
{
    if (from->kind == DOCUMENT_LIST) {
        for (const struct document_item *i = from->items; i != NULL; i = i->next) {
            merge_keys(r, map, end, i->value);
            while (*end != NULL)
                end = &(*end)->next;
        }
        return;
    }
    if (from->kind != DOCUMENT_MAP) {
        config_error(r->library->faults, from->place, "<< takes a map, or a list of maps");
        return;
    }
    for (const struct document_item *i = from->items; i != NULL; i = i->next)
        if (document_find(map, i->key->text) == NULL)
            end = item_add(r, map, end, i->key, i->value);
}

static bool list_read(struct reading *r, struct document_node *list)
{
    struct document_item **end = &list->items;
    for (;;) {
        yaml_event_t event;
        if (!event_next(r, &event))
            return false;
        bool over = event.type == YAML_SEQUENCE_END_EVENT;
        struct document_node *value = over ? NULL : node_read(r, &event);
        event_end(&event);
        if (over)
            return true;
        if (value == NULL)
            return false;
        end = item_add(r, list, end, NULL, value);
    }
}

/* A key, or NULL and *ret_over at the map's end, or NULL after an error. */
static struct document_node *key_read(struct reading *r, bool *ret_over)
{
    yaml_event_t event;
    *ret_over = false;
    if (!event_next(r, &event))
        return NULL;
    struct document_node *key = NULL;
    if (event.type == YAML_MAPPING_END_EVENT)
        *ret_over = true;
    else
        key = node_read(r, &event);
    event_end(&event);
    if (key != NULL && key->kind != DOCUMENT_TEXT) {
        config_error(r->library->faults, key->place, "a key must be text, this is %s",
                     document_kind_text(key->kind));
        return NULL;
    }
    return key;
}

static const struct document_node *key_given(const struct document_node *map, const char *key)
{
    for (const struct document_item *i = map->items; i != NULL; i = i->next)
        if (strcmp(i->key->text, key) == 0)
            return i->key;
    return NULL;
}

static bool map_read(struct reading *r, struct document_node *map)
{
    struct document_item **end = &map->items;
    const struct document_node *merge = NULL;
    for (;;) {
        bool over;
        struct document_node *key = key_read(r, &over);
        if (over)
            break;
        yaml_event_t event;
        if (key == NULL || !event_next(r, &event))
            return false;
        struct document_node *value = node_read(r, &event);
        event_end(&event);
        if (value == NULL)
            return false;
        const struct document_node *first = key_given(map, key->text);
        if (first != NULL)
            config_error(r->library->faults, key->place,
                         "%s is given twice; the first is in line %u", key->text,
                         first->place.line);
        else if (strcmp(key->text, "<<") == 0 && !key->quoted)
            merge = value;
        else
            end = item_add(r, map, end, key, value);
    }
    if (merge != NULL)
        merge_keys(r, map, end, merge);
    return true;
}

/* The node that begins with `event`, or NULL once the file cannot be understood any further. */
static struct document_node *node_read(struct reading *r, const yaml_event_t *event)
{
    struct config_place place = place_of(r, event->start_mark);
    if (++r->nodes > DOCUMENT_NODES_MAX || r->depth >= DOCUMENT_DEPTH_MAX) {
        config_error(r->library->faults, place,
                     r->depth >= DOCUMENT_DEPTH_MAX ? "nested too deeply" : "too large");
        return NULL;
    }
    struct document_node *node;
    struct anchor *anchor;
    bool whole = true;
    r->depth++;
    switch (event->type) {
    case YAML_ALIAS_EVENT: node = alias_read(r, event); break;
    case YAML_SCALAR_EVENT:
        node = text_read(r, event);
        if (node == NULL)
            break;
        anchor = anchor_open(r, event->data.scalar.anchor, node);
        if (anchor != NULL)
            anchor->open = false;
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT: {
        bool map = event->type == YAML_MAPPING_START_EVENT;
        node = node_new(r, map ? DOCUMENT_MAP : DOCUMENT_LIST, event->start_mark);
        if (node == NULL)
            break;
        anchor = anchor_open(
            r, map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor, node);
        whole = map ? map_read(r, node) : list_read(r, node);
        if (anchor != NULL)
            anchor->open = false;
        break;
    }
    default: node = NULL; break;
    }
    r->depth--;
    return whole ? node : NULL;
}

/* --- include -----------------------------------------------------------------------------------
 */

/* Both, as one: lists follow each other, maps are joined key by key, texts cannot be. */
static struct document_node *joined(struct reading *r, struct document_node *a,
                                    struct document_node *b, const struct document_node *key)
{
    if (a->kind != b->kind || a->kind == DOCUMENT_TEXT) {
        config_error(r->library->faults, key->place, "%s was given already, %s:%u", key->text,
                     a->place.file, a->place.line);
        return a;
    }
    struct document_node *both = config_arena_take(r->library->arena, sizeof(*both));
    if (both == NULL)
        return a;
    *both = (struct document_node){.kind = a->kind, .place = a->place, .text = ""};
    struct document_item **end = &both->items;
    for (const struct document_item *i = a->items; i != NULL; i = i->next) {
        struct document_node *other = a->kind == DOCUMENT_MAP ? document_find(b, i->key->text)
                                                              : NULL;
        struct document_node *value = i->value;
        if (other != NULL)
            value = joined(r, value, other, key_given(b, i->key->text));
        end = item_add(r, both, end, i->key, value);
    }
    for (const struct document_item *i = b->items; i != NULL; i = i->next)
        if (a->kind == DOCUMENT_LIST || document_find(a, i->key->text) == NULL)
            end = item_add(r, both, end, i->key, i->value);
    return both;
}

static bool already_open(const struct reading *r, const char *path)
{
    struct stat a, b;
    if (stat(path, &a) != 0)
        return false;
    for (; r != NULL; r = r->parent)
        if (stat(r->name, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
            return true;
    return false;
}

static struct document_node *include_one(struct reading *r, struct document_node *root,
                                         const char *path, struct config_place place)
{
    struct library *library = r->library;
    size_t len = 0;
    if (already_open(r, path)) {
        config_error(library->faults, place, "%s includes itself", path);
        return root;
    }
    if (library->files == DOCUMENT_FILES_MAX) {
        config_error(library->faults, place, "more than %d files", DOCUMENT_FILES_MAX);
        return root;
    }
    const char *text = document_load(library->arena, path, &len);
    if (text == NULL) {
        config_error(library->faults, place, "cannot read %s: %s", path, fence_why(path, errno));
        return root;
    }
    char *name = config_arena_copy(library->arena, path, strlen(path));
    document_note(library->sources, path);
    struct document_node *other = file_read(library, r, name, text, len);
    return other != NULL ? joined(r, root, other, other) : root;
}

static struct document_node *include_pattern(struct reading *r, struct document_node *root,
                                             const struct document_node *pattern)
{
    struct library *library = r->library;
    const char *slash = strrchr(r->name, '/');
    const char *path = pattern->text;
    if (pattern->kind != DOCUMENT_TEXT || path[0] == '\0' || library->alone) {
        config_error(library->faults, pattern->place,
                     library->alone ? "nothing can be included here"
                                    : "include takes the path of a file, or a list of paths");
        return root;
    }
    if (path[0] != '/' && slash != NULL)
        path = config_arena_print(library->arena, "%.*s/%s", (int)(slash - r->name), r->name, path);
    if (strpbrk(path, "*?[") == NULL)
        return include_one(r, root, path, pattern->place);
    glob_t found;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): what it shares, user names, is not asked for */
    if (glob(path, 0, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc; i++)
            root = include_one(r, root, found.gl_pathv[i], pattern->place);
        globfree(&found);
    }
    return root;
}

static struct document_node *include_files(struct reading *r, struct document_node *root)
{
    struct document_item **at = &root->items;
    while (*at != NULL && strcmp((*at)->key->text, "include") != 0)
        at = &(*at)->next;
    if (*at == NULL)
        return root;
    const struct document_node *files = (*at)->value;
    *at = (*at)->next;
    root->count--;
    if (files->kind != DOCUMENT_LIST)
        return include_pattern(r, root, files);
    for (const struct document_item *i = files->items; i != NULL; i = i->next)
        root = include_pattern(r, root, i->value);
    return root;
}
