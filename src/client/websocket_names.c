/* SPDX-License-Identifier: Apache-2.0 */
#include "client/websocket_names.h"

#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define NAMES_FIRST 1024U /* room at the beginning; it grows by four */

bool ws_names_init(struct ws_names *names, const struct alloc *alloc)
{
    if (getrandom(&names->seed, sizeof names->seed, GRND_NONBLOCK) < 0) {
        names->seed = (uintptr_t)names; /* a moment after boot */
    }
    return map_init(&names->map, alloc, NAMES_FIRST);
}

void ws_names_fini(struct ws_names *names)
{
    weir_map_each(struct ws_name, name, &names->map) {
        alloc_free(names->map.alloc, name);
    }
    map_fini(&names->map);
}

static bool name_is(const void *value, const void *key)
{
    const struct ws_name *name = value;
    const struct slice *text = key;
    return name->len == text->len && memcmp(name->text, text->at, text->len) == 0;
}

static uint64_t hash_of(const struct ws_names *names, struct slice text)
{
    return XXH3_64bits_withSeed(text.at, text.len, names->seed);
}

static bool grow(struct ws_names *names)
{
    struct map larger;
    if (names->map.count < names->map.capacity) {
        return true;
    }
    if (!map_init(&larger, names->map.alloc, names->map.capacity * 4)) {
        return false;
    }
    weir_map_each(struct ws_name, name, &names->map) {
        map_put(&larger, name->hash, name);
    }
    map_fini(&names->map);
    names->map = larger;
    return true;
}

static struct ws_name *name_new(struct ws_names *names, struct slice text, uint64_t id)
{
    struct ws_name *name = alloc_new(names->map.alloc, sizeof *name + text.len + 1);
    if (name != NULL) {
        *name = (struct ws_name){.id = id, .len = text.len};
        memcpy(name->text, text.at, text.len);
        name->text[text.len] = '\0';
    }
    return name;
}

enum ws_naming ws_names_add(struct ws_names *names, struct slice text, uint64_t id,
                            struct ws_name **chain)
{
    uint64_t hash = hash_of(names, text);
    if (map_find(&names->map, hash, name_is, &text) != NULL) {
        return WS_NAMING_TAKEN;
    }
    if (names->map.count >= WS_NAMES_MAX) {
        return WS_NAMING_FULL;
    }
    struct ws_name *name = grow(names) ? name_new(names, text, id) : NULL;
    if (name == NULL) {
        return WS_NAMING_MEMORY;
    }
    name->hash = hash;
    name->next = *chain;
    name->link = chain;
    if (*chain != NULL) {
        (*chain)->link = &name->next;
    }
    *chain = name;
    map_put(&names->map, hash, name);
    return WS_NAMING_FINE;
}

struct ws_name *ws_names_find(const struct ws_names *names, struct slice text)
{
    return map_find(&names->map, hash_of(names, text), name_is, &text);
}

void ws_names_remove(struct ws_names *names, struct ws_name *take_name)
{
    map_remove(&names->map, take_name->hash, take_name);
    *take_name->link = take_name->next;
    if (take_name->next != NULL) {
        take_name->next->link = take_name->link;
    }
    alloc_free(names->map.alloc, take_name);
}
