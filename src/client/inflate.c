/* SPDX-License-Identifier: Apache-2.0 */
#include "client/inflate.h"

#include "base/alloc.h"
#include "base/bytes.h"
#include "base/check.h"
#include "proto/zlib_alloc.h"

#define OUT_BYTES 16384U
#define KEPT_MAX  (1U << 20) /* a read buffer's worth, and more */

#define WINDOW_ZLIB 15
#define WINDOW_GZIP (15 + 16)
#define WINDOW_BARE (-15)

struct inflater {
    z_stream z;
    const struct alloc *alloc;
    struct bytes kept; /* given, and not used */
    uint64_t out, out_max;
    bool is_begun; /* the first byte was seen */
    bool is_ended; /* a member is complete */
    bool is_kept;  /* z.next_in lies in `kept` */
    uint8_t kind;
    unsigned char buffer[OUT_BYTES];
};

struct inflater *inflater_new(const struct alloc *alloc, enum inflate_kind kind, uint64_t out_max)
{
    struct inflater *inflater = alloc_zeroed(alloc, sizeof *inflater);
    if (inflater == NULL) {
        return NULL;
    }
    inflater->alloc = alloc;
    zlib_use(&inflater->z, alloc);
    inflater->kind = (uint8_t)kind;
    inflater->out_max = out_max;
    bytes_init(&inflater->kept, alloc, KEPT_MAX);
    if (inflateInit2(&inflater->z, kind == INFLATE_GZIP ? WINDOW_GZIP : WINDOW_ZLIB) != Z_OK) {
        alloc_free(alloc, inflater);
        return NULL;
    }
    return inflater;
}

void inflater_free(struct inflater *take_inflater)
{
    if (take_inflater != NULL) {
        inflateEnd(&take_inflater->z);
        bytes_fini(&take_inflater->kept);
        alloc_free(take_inflater->alloc, take_inflater);
    }
}

void inflater_give(struct inflater *inflater, const void *data, size_t len)
{
    z_stream *z = &inflater->z;
    inflater->is_kept = bytes_len(&inflater->kept) > 0;
    if (inflater->is_kept) {
        if (len > 0 && !bytes_append(&inflater->kept, data, len)) {
            inflater->out = inflater->out_max + 1; /* told by the next look */
        }
        z->next_in = (unsigned char *)bytes_at(&inflater->kept);
        z->avail_in = (unsigned)bytes_len(&inflater->kept);
    } else {
        z->next_in = (unsigned char *)(uintptr_t)data;
        z->avail_in = (unsigned)len;
    }
}

/* The header of zlib's format is one of few; anything else is a bare stream. */
static bool begin(struct inflater *inflater)
{
    z_stream *z = &inflater->z;
    inflater->is_begun = true;
    if (inflater->kind == INFLATE_DEFLATE && (z->next_in[0] & 0x0f) != Z_DEFLATED) {
        return inflateReset2(z, WINDOW_BARE) == Z_OK;
    }
    return true;
}

weir_err inflater_next(struct inflater *inflater, const void **ret_data, size_t *ret_len)
{
    z_stream *z = &inflater->z;
    *ret_len = 0;
    if (inflater->out > inflater->out_max) {
        return WEIR_ETOO_LARGE;
    }
    if (z->avail_in > 0 && !inflater->is_begun && !begin(inflater)) {
        return WEIR_EINFLATE;
    }
    z->next_out = inflater->buffer;
    z->avail_out = OUT_BYTES;
    while (z->avail_out == OUT_BYTES) {
        if (inflater->is_ended && z->avail_in > 0) {
            if (inflater->kind != INFLATE_GZIP || inflateReset(z) != Z_OK) {
                return WEIR_EINFLATE;
            }
            inflater->is_ended = false;
        }
        int how = inflater->is_ended ? Z_BUF_ERROR : inflate(z, Z_NO_FLUSH);
        inflater->is_ended |= how == Z_STREAM_END;
        if (how != Z_OK && how != Z_STREAM_END && how != Z_BUF_ERROR) {
            return how == Z_MEM_ERROR ? WEIR_ENOMEM : WEIR_EINFLATE;
        }
        if (how == Z_BUF_ERROR) {
            break;
        }
    }
    *ret_data = inflater->buffer;
    *ret_len = OUT_BYTES - z->avail_out;
    inflater->out += *ret_len;
    return inflater->out > inflater->out_max ? WEIR_ETOO_LARGE : WEIR_OK;
}

bool inflater_keep(struct inflater *inflater)
{
    z_stream *z = &inflater->z;
    bool is_copied = true;
    if (inflater->is_kept) {
        bytes_consume(&inflater->kept, bytes_len(&inflater->kept) - z->avail_in);
    } else if (z->avail_in > 0) {
        is_copied = bytes_append(&inflater->kept, z->next_in, z->avail_in);
    }
    if (bytes_len(&inflater->kept) == 0) {
        bytes_release(&inflater->kept);
    }
    z->avail_in = 0;
    z->next_in = NULL;
    return is_copied;
}

bool inflater_is_done(const struct inflater *inflater)
{
    return inflater->is_ended && bytes_len(&inflater->kept) == 0;
}
