/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - a document into a snapshot, by the table of options.
 *
 * Each group of options is treated alike: what the table does not know is refused, what is not
 * written gets its default, the rest is read in the table's order. Only the pool of an upstream is
 * filled from three sources: what is written, then its profile, then the defaults.
 */
#include "gateway/config.h"

#include "gateway/config_arena.h"
#include "gateway/config_check.h"
#include "gateway/config_document.h"
#include "gateway/config_found.h"
#include "gateway/config_value.h"
#include "gateway/fence.h"

#include <errno.h>
#include <string.h>

#define POOL_PATH    "upstreams.pool"
#define VALUES_MAX   200000 /* of a whole configuration, aliases counted each time they are used */
#define CHILDREN_MAX 64     /* options of one group */

#define OPENCLAW_HTTP_IDLE_MS 4000U
#define OPENCLAW_DOWN_MS      60000U
#define OPENCLAW_FAILURES_MAX 8U /* a second each: who asks waits while one restarts */

struct builder {
    struct value_reader reader;
    struct config_places *places;
    const char *file;
    const struct document_node *profiles; /* the map of that name, or NULL */
    uint32_t values;
};

static const char *const builtin_profiles[] = {
    "openclaw",         "http-client", "websocket-manager", "server",
    "telegram-account", "relay",       "relay-production",  NULL};

static struct config *config_of_source(struct config_arena *take_arena,
                                       const struct document_source *source,
                                       struct config_faults *faults);
static void config_build(struct builder *b, const struct document_node *root,
                         struct config *config);
static void map_read(struct builder *b, const char *path, const struct document_node *map,
                     void *base);
static void element_read(struct builder *b, const char *path, const struct document_node *map,
                         void *base);
static void profile_apply(struct builder *b, const struct document_node *name,
                          struct config_upstream *upstream);
static void unknown_profile(struct builder *b, const struct document_node *name);
static void pool_fill(struct builder *b, struct config_upstream *upstream);

static const struct config_memory libc_memory = {&alloc_libc, CONFIG_ARENA_BLOCK};

/* No memory even to begin with. */
static struct config *give_up(struct config_arena *take_arena, const char *name,
                              struct config_faults *faults)
{
    config_arena_free(take_arena);
    config_faults_short(faults, name);
    return NULL;
}

struct config *config_read(const char *path, struct config_faults *ret)
{
    struct config_arena *arena = config_arena_new(&libc_memory);
    size_t len;
    config_faults_init(ret, &libc_memory);
    if (arena == NULL || ret->at == NULL)
        return give_up(arena, path, ret);
    const char *text = document_load(arena, path, &len);
    if (text == NULL) {
        config_error(ret, (struct config_place){path, 0, 0}, "cannot be read: %s",
                     fence_why(path, errno));
        config_arena_free(arena);
        return NULL;
    }
    struct document_source source = {.name = path, .text = text, .len = len};
    return config_of_source(arena, &source, ret);
}

struct config *config_read_text(const char *name, const char *text, size_t len,
                                struct config_faults *ret)
{
    return config_read_text_by(&libc_memory, name, text, len, ret);
}

struct config *config_read_text_by(const struct config_memory *memory, const char *name,
                                   const char *text, size_t len, struct config_faults *ret)
{
    config_faults_init(ret, memory);
    if (ret->at == NULL)
        return give_up(NULL, name, ret);
    struct document_source source = {.name = name, .text = text, .len = len, .alone = true};
    if (len > DOCUMENT_BYTES_MAX) {
        config_error(ret, (struct config_place){name, 0, 0}, "is longer than 1 MiB");
        return NULL;
    }
    struct config_arena *arena = config_arena_new(memory);
    return arena != NULL ? config_of_source(arena, &source, ret) : give_up(NULL, name, ret);
}

void config_free(struct config *take_config)
{
    if (take_config != NULL)
        config_arena_free(take_config->arena);
}

static struct config *config_of_source(struct config_arena *take_arena,
                                       const struct document_source *source,
                                       struct config_faults *faults)
{
    struct config *config = config_arena_take(take_arena, sizeof(*config));
    struct builder b = {.reader = {.arena = take_arena, .faults = faults},
                        .places = config_places_new(take_arena),
                        .file = source->name};
    if (config == NULL || b.places == NULL)
        return give_up(take_arena, source->name, faults);
    config->arena = take_arena;
    struct document_sources sources = {.arena = take_arena};
    struct document_node *root = document_read(&sources, source, faults);
    config->sources = sources.first;
    if (faults->errors == 0 && root != NULL) /* else much of what follows would be its echo */
        config_build(&b, root, config);
    if (faults->errors == 0 && !config_arena_is_short(take_arena))
        config_check(config, b.places, !source->alone, faults);
    if (config_arena_is_short(take_arena) || config_arena_is_short(faults->arena))
        return give_up(take_arena, source->name, faults);
    config_faults_sort(faults);
    if (faults->errors == 0)
        return config;
    config_free(config);
    return NULL;
}

/* --- groups --------------------------------------------------------------------------------------
 */

static bool is_empty(const struct document_node *node)
{
    return node->kind == DOCUMENT_TEXT && node->text[0] == '\0' && !node->quoted;
}

static const char *path_join(const struct builder *b, const char *parent, const char *name)
{
    return parent[0] == '\0' ? name : config_arena_print(b->reader.arena, "%s.%s", parent, name);
}

/* Says what may have been meant: a neighbour by a similar name, or the same name elsewhere. */
static void unknown_option(struct builder *b, const char *path, const struct document_node *key)
{
    const char *names[CHILDREN_MAX];
    size_t count = 0;
    const struct option *elsewhere = NULL;
    const char *full = path_join(b, path, key->text);
    const char *why = option_unsupported(full);
    for (uint32_t i = 0; i < option_count; i++) {
        if (option_is_child(&option_table[i], path) && count < CHILDREN_MAX)
            names[count++] = option_name(&option_table[i]);
        else if (elsewhere == NULL && strcmp(option_name(&option_table[i]), key->text) == 0)
            elsewhere = &option_table[i];
    }
    const char *near = option_renamed(full);
    near = near != NULL ? near : text_did_you_mean(slice_of(key->text), names, count);
    if (why != NULL)
        config_error(b->reader.faults, key->place, "%s is not supported by this build: %s", full,
                     why);
    else if (near != NULL)
        config_error(b->reader.faults, key->place, "unknown option %.60s; did you mean %s?",
                     key->text, near);
    else if (elsewhere != NULL)
        config_error(b->reader.faults, key->place, "unknown option %.60s here; there is %s",
                     key->text, elsewhere->path);
    else
        config_error(b->reader.faults, key->place, "unknown option %.60s", key->text);
}

static void refuse_unknown(struct builder *b, const char *path, const struct document_node *map)
{
    for (const struct document_item *i = map->items; i != NULL; i = i->next) {
        const struct option *option = option_find(path_join(b, path, i->key->text));
        if (option == NULL || strchr(i->key->text, '.') != NULL)
            unknown_option(b, path, i->key);
    }
}

static bool is_within(const char *path, const char *parent)
{
    size_t len = strlen(parent);
    return len == 0 || (strncmp(path, parent, len) == 0 && path[len] == '.');
}

/* True when the option lies in the structure whose path is `element` and not in a list below it. */
static bool is_of_element(const struct option *option, const char *element)
{
    if (option->kind != OPTION_VALUE || !is_within(option->path, element))
        return false;
    for (uint32_t i = 0; i < option_count; i++)
        if (option_table[i].kind == OPTION_LIST && strlen(option_table[i].path) > strlen(element)
            && is_within(option_table[i].path, element)
            && is_within(option->path, option_table[i].path))
            return false;
    return true;
}

static void defaults_fill(const struct builder *b, const char *element, void *base)
{
    for (uint32_t i = 0; i < option_count; i++)
        if (is_of_element(&option_table[i], element) && !is_within(option_table[i].path, POOL_PATH))
            value_default(&b->reader, &option_table[i], base);
}

static bool within_budget(struct builder *b, const struct document_node *node)
{
    if (b->values++ == VALUES_MAX)
        config_error(b->reader.faults, node->place, "more than %d values in all", VALUES_MAX);
    return b->values <= VALUES_MAX;
}

static void value_take(struct builder *b, const struct option *option,
                       const struct document_node *node, void *base)
{
    if (!within_budget(b, node) || !value_read(&b->reader, option, node, base))
        return;
    config_places_add(b->places, (const char *)base + option->offset, node->place);
    if (option->type == OPTION_PROFILE)
        profile_apply(b, node, base);
}

static void list_read(struct builder *b, const struct option *option,
                      const struct document_node *list, void *base)
{
    struct {
        char *at;
        uint32_t count;
    } *field = (void *)((char *)base + option->offset);
    if (is_empty(list))
        return;
    if (list->kind != DOCUMENT_LIST) {
        config_error(b->reader.faults, list->place, "%s takes a list, not %s", option->path,
                     document_kind_text(list->kind));
        return;
    }
    if (list->count > option->high) {
        config_error(b->reader.faults, list->place, "%s: more than %u of them", option->path,
                     (unsigned)option->high);
        return;
    }
    field->at = config_arena_take(b->reader.arena, list->count * option->element);
    if (field->at == NULL)
        return;
    for (const struct document_item *i = list->items; i != NULL; i = i->next) {
        void *element = field->at + field->count * option->element;
        if (!within_budget(b, i->value))
            return;
        field->count++;
        config_places_add(b->places, element, i->value->place);
        element_read(b, option->path, i->value, element);
    }
}

static void option_read(struct builder *b, const struct option *option,
                        const struct document_node *node, void *base)
{
    switch (option->kind) {
    case OPTION_VALUE: value_take(b, option, node, base); break;
    case OPTION_LIST: list_read(b, option, node, base); break;
    case OPTION_MAP:
        if (node->kind == DOCUMENT_MAP || is_empty(node))
            map_read(b, option->path, node, base);
        else
            config_error(b->reader.faults, node->place, "%s takes a map of options, not %s",
                         option->path, document_kind_text(node->kind));
        break;
    case OPTION_NAMED: break; /* read where it is used, and checked by profiles_check() */
    }
}

static void map_read(struct builder *b, const char *path, const struct document_node *map,
                     void *base)
{
    refuse_unknown(b, path, map);
    for (uint32_t i = 0; i < option_count; i++) {
        if (!option_is_child(&option_table[i], path))
            continue;
        const struct document_node *node = document_find(map, option_name(&option_table[i]));
        if (node != NULL)
            option_read(b, &option_table[i], node, base);
    }
}

/* idle_timeout where somebody wrote it is meant for all of a request. Its default is not: an
 * upstream may think for longer before it answers, and has first_byte_timeout for that. */
static void answer_timeout_fill(const struct document_node *map, struct config_listener *listener)
{
    const struct document_node *pool = document_find(map, "pool");
    bool written = pool != NULL && document_find(pool, "idle_timeout") != NULL;
    listener->pool.answer_timeout_ms = written ? listener->pool.idle_timeout_ms : WEIR_NEVER;
}

/* An empty group says as well that TLS is wanted. */
static void tls_note(struct builder *b, const struct document_node *map,
                     struct config_listener *listener)
{
    const struct document_node *tls = document_find(map, "tls");
    listener->tls.is_on = tls != NULL;
    if (tls != NULL)
        config_places_add(b->places, &listener->tls.is_on, tls->place);
}

/* There is one at least, or there will be. */
static void endpoints_check(struct builder *b, const struct document_node *map,
                            const struct config_upstream *upstream)
{
    const struct document_node *node = document_find(map, "endpoints");
    bool is_found_elsewhere = upstream->discover.file[0] != '\0'
                              || upstream->discover.http[0] != '\0';
    if (upstream->listed.count == 0 && !is_found_elsewhere && (node == NULL || node->count == 0))
        config_error(b->reader.faults, node != NULL ? node->place : map->place,
                     "upstreams.endpoints has none, and needs one");
}

/* One of a list, or the configuration itself (path ""). */
static void element_read(struct builder *b, const char *path, const struct document_node *map,
                         void *base)
{
    if (map->kind != DOCUMENT_MAP) {
        config_error(b->reader.faults, map->place, "%s: each is a map of options, this is %s", path,
                     document_kind_text(map->kind));
        return;
    }
    defaults_fill(b, path, base);
    map_read(b, path, map, base);
    if (strcmp(path, "upstreams") == 0) {
        pool_fill(b, base);
        config_found_begin(base);
        endpoints_check(b, map, base);
    }
    if (strcmp(path, "listeners.routes") == 0) {
        struct config_route *route = base;
        route->affinity.is_on = document_find(map, "affinity") != NULL;
    }
    if (strcmp(path, "listeners") == 0) {
        answer_timeout_fill(map, base);
        tls_note(b, map, base);
    }
    for (uint32_t i = 0; i < option_count; i++) {
        const struct option *option = &option_table[i];
        bool missing = option->kind == OPTION_VALUE && option->fallback == NULL;
        bool too_few = option->kind == OPTION_LIST && option->low > 0;
        const struct document_node *node = document_find(map, option_name(option));
        if (!option_is_child(option, path) || !(missing || too_few))
            continue;
        if (node == NULL || (too_few && (is_empty(node) || node->count < option->low)))
            config_error(b->reader.faults, node != NULL ? node->place : map->place, "%s %s",
                         option->path, missing ? "is missing" : "has none, and needs one");
    }
}

/* --- pools and profiles --------------------------------------------------------------------------
 */

/* The options of `profile`, where the pool has none yet: a pool is read after its profile. */
static void profile_apply(struct builder *b, const struct document_node *name,
                          struct config_upstream *upstream)
{
    const struct document_node *own = b->profiles != NULL ? document_find(b->profiles, name->text)
                                                          : NULL;
    if (name->text[0] == '\0')
        return;
    if (own != NULL) {
        if (own->kind == DOCUMENT_MAP)
            map_read(b, POOL_PATH, own, upstream);
        return;
    }
    if (weir_profile(name->text, &upstream->pool) != WEIR_OK)
        unknown_profile(b, name);
}

static void unknown_profile(struct builder *b, const struct document_node *name)
{
    const char *names[CHILDREN_MAX];
    size_t count = 0;
    for (; builtin_profiles[count] != NULL; count++)
        names[count] = builtin_profiles[count];
    const struct document_item *i = b->profiles != NULL ? b->profiles->items : NULL;
    for (; i != NULL && count < CHILDREN_MAX; i = i->next)
        names[count++] = i->key->text;
    const char *near = text_did_you_mean(slice_of(name->text), names, count);
    config_error(b->reader.faults, name->place,
                 "upstreams.profile: there is no profile %.60s%s%s%s", name->text,
                 near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                 near != NULL ? "?" : "");
}

/* One that refuses us is not asked every second, and one closes idle connections of HTTP after 5 s.
 * The profile openclaw is of the connection that carries requests, and that has a pool of its own.
 * Beside it are HTTP and tunnels, as many as there are clients. */
static void openclaw_fill(const struct builder *b, struct config_upstream *upstream)
{
    if (upstream->protocol != PROTOCOL_OPENCLAW)
        return;
    if (upstream->pool.down_for_ms == 0)
        upstream->pool.down_for_ms = OPENCLAW_DOWN_MS;
    if (upstream->pool.failures_max == 0)
        upstream->pool.failures_max = OPENCLAW_FAILURES_MAX;
    if (!config_places_has(b->places, &upstream->pool.idle_timeout_ms))
        upstream->pool.idle_timeout_ms = OPENCLAW_HTTP_IDLE_MS;
    if (strcmp(upstream->profile, "openclaw") != 0)
        return;
    if (!config_places_has(b->places, &upstream->pool.max_per_key))
        upstream->pool.max_per_key = 0;
    if (!config_places_has(b->places, &upstream->pool.total_timeout_ms))
        upstream->pool.total_timeout_ms = 0; /* an agent that is asked by HTTP takes minutes */
    upstream->pool.reconnect = 0;
    upstream->pool.on_dial_error = 0;
}

static void pool_fill(struct builder *b, struct config_upstream *upstream)
{
    openclaw_fill(b, upstream);
    for (uint32_t i = 0; i < option_count; i++)
        if (is_within(option_table[i].path, POOL_PATH)
            && value_is_unset(&option_table[i], upstream))
            value_default(&b->reader, &option_table[i], upstream);
    upstream->pool.size = sizeof(upstream->pool);
    upstream->pool.name = upstream->name;
}

/* Profiles that nobody uses are read as well, so that a mistake in them shows at once. */
static void profiles_check(struct builder *b)
{
    for (const struct document_item *i = b->profiles->items; i != NULL; i = i->next) {
        struct config_upstream scratch = {0};
        weir_pool_options builtin = {.size = sizeof(builtin)};
        if (weir_profile(i->key->text, &builtin) == WEIR_OK)
            config_error(b->reader.faults, i->key->place, "profiles: %s is a built-in profile",
                         i->key->text);
        else if (i->value->kind == DOCUMENT_MAP)
            map_read(b, POOL_PATH, i->value, &scratch);
        else
            config_error(b->reader.faults, i->value->place, "profiles.%.60s takes a map of options",
                         i->key->text);
    }
}

static void config_build(struct builder *b, const struct document_node *root, struct config *config)
{
    const struct document_node *profiles = document_find(root, "profiles");
    if (profiles != NULL && profiles->kind == DOCUMENT_MAP) {
        b->profiles = profiles;
        profiles_check(b);
    } else if (profiles != NULL && !is_empty(profiles)) {
        config_error(b->reader.faults, profiles->place, "profiles takes a map of profiles");
    }
    config_places_add(b->places, config, root->place);
    element_read(b, "", root, config);
}
