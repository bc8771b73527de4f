/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_memory.c - nghttp2's memory: from the connector's shelf, with its length in front of each
 * block, since nghttp2 does not say it when it gives one back.
 */
#include "connector/http2_session.h"

#include <stddef.h>
#include <string.h>

/* Keeps what follows aligned as malloc() does. */
union header {
    size_t size;
    max_align_t align;
};

static void *resize(void *block, size_t size, void *user)
{
    struct http2_connector *connector = user;
    union header *header = block != NULL ? (union header *)block - 1 : NULL;
    size_t before = header != NULL ? header->size : 0;
    header = shelf_resize(&connector->shelf, header, sizeof *header + before,
                          sizeof *header + size);
    if (header == NULL) {
        return NULL;
    }
    header->size = size;
    return header + 1;
}

static void *take(size_t size, void *user)
{
    return resize(NULL, size, user);
}

static void *take_zeroed(size_t count, size_t size, void *user)
{
    bool fits = size == 0 || count <= SIZE_MAX / size;
    void *block = fits ? resize(NULL, count * size, user) : NULL;
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

static void give(void *block, void *user)
{
    struct http2_connector *connector = user;
    union header *header = block != NULL ? (union header *)block - 1 : NULL;
    if (header != NULL) {
        shelf_give(&connector->shelf, header, sizeof *header + header->size);
    }
}

nghttp2_mem memory_of(struct http2_connector *connector)
{
    return (nghttp2_mem){connector, take, give, take_zeroed, resize};
}
