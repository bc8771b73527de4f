/* SPDX-License-Identifier: Apache-2.0
 *
 * zlib_alloc.h - zlib with the memory of whoever opens a stream.
 */
#pragma once
#include "base/alloc.h"

#include <zlib.h>

static inline void *zlib_take(void *self, unsigned items, unsigned size)
{
    return alloc_array(self, items, size);
}

static inline void zlib_give(void *self, void *memory)
{
    alloc_free(self, memory);
}

/* Before inflateInit2() or deflateInit2(); `alloc` outlives the stream. */
static inline void zlib_use(z_stream *z, const struct alloc *alloc)
{
    z->zalloc = zlib_take;
    z->zfree = zlib_give;
    z->opaque = (void *)(uintptr_t)alloc;
}
