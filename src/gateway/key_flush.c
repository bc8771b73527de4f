/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/key_flush.h"

#include "base/alloc.h"

#include <string.h>

/* A key with its texts: the pool's own may go while it is flushed. */
struct key_copy {
    struct key_copy *next;
    weir_key key;
    char room[];
};

struct search {
    key_flush_fn *goes;
    const void *self;
    struct key_copy *first;
};

static const char *copy_text(const char *text, char **room)
{
    if (text == NULL) {
        return NULL;
    }
    size_t size = strlen(text) + 1;
    char *copy = memcpy(*room, text, size);
    *room += size;
    return copy;
}

static size_t size_of(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static bool gather(void *arg, const weir_key_info *info)
{
    struct search *search = arg;
    const weir_key *key = info->key;
    if (!search->goes(search->self, key)) {
        return true;
    }
    size_t size = size_of(key->scheme) + size_of(key->host) + size_of(key->source)
                  + size_of(key->proxy) + size_of(key->tls) + size_of(key->tenant);
    struct key_copy *copy = alloc_zeroed(&alloc_libc, sizeof *copy + size);
    if (copy == NULL) {
        return false;
    }
    char *room = copy->room;
    copy->key = (weir_key){.scheme = copy_text(key->scheme, &room),
                           .host = copy_text(key->host, &room),
                           .port = key->port,
                           .source = copy_text(key->source, &room),
                           .proxy = copy_text(key->proxy, &room),
                           .tls = copy_text(key->tls, &room),
                           .tenant = copy_text(key->tenant, &room)};
    copy->next = search->first;
    search->first = copy;
    return true;
}

void key_flush(weir_pool *pool, key_flush_fn *goes, const void *self, uint32_t grace_ms)
{
    struct search search = {.goes = goes, .self = self};
    weir_pool_each_key(pool, gather, &search);
    while (search.first != NULL) {
        struct key_copy *copy = search.first;
        search.first = copy->next;
        weir_pool_flush(pool, &copy->key, grace_ms);
        alloc_free(&alloc_libc, copy);
    }
}
