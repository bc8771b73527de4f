/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_deflate.c - one zlib stream a direction, made when first needed.
 */
#include "proto/websocket_deflate.h"

#include "base/check.h"
#include "proto/zlib_alloc.h"

#include <string.h>

#define OUT_BYTES    16384U
#define TAIL_BYTES   4U /* 00 00 ff ff: left out by who deflates, put back (RFC 7692 §7.2.1) */
#define ZLIB_MIN     9  /* the smallest window that zlib deflates with */
#define MEMORY_LEVEL 8
#define FLUSH_BYTES  16 /* what a flush may add: the last bits, and the tail */

struct ws_deflate {
    const struct alloc *alloc;
    uint64_t message_bytes_max;
    uint64_t message_bytes; /* of the one being inflated */
    z_stream in, out;
    uint8_t in_bits, out_bits;
    bool in_fresh, out_fresh;
    bool in_open, out_open; /* the streams hold memory */
    bool is_last;           /* what was given ends its message */
    bool is_tail;           /* the tail was put behind it */
    unsigned char room[OUT_BYTES];
};

struct ws_deflate *ws_deflate_new(const struct alloc *alloc, const struct ws_terms *terms,
                                  bool is_server, uint64_t message_bytes_max)
{
    struct ws_deflate *codec = alloc_zeroed(alloc, sizeof *codec);
    if (codec == NULL) {
        return NULL;
    }
    codec->alloc = alloc;
    codec->message_bytes_max = message_bytes_max;
    codec->in_bits = is_server ? terms->client_bits : terms->server_bits;
    codec->out_bits = is_server ? terms->server_bits : terms->client_bits;
    codec->in_fresh = is_server ? terms->client_fresh : terms->server_fresh;
    codec->out_fresh = is_server ? terms->server_fresh : terms->client_fresh;
    zlib_use(&codec->in, alloc);
    zlib_use(&codec->out, alloc);
    return codec;
}

static void close_in(struct ws_deflate *codec)
{
    if (codec->in_open) {
        inflateEnd(&codec->in);
        codec->in_open = false;
    }
}

static void close_out(struct ws_deflate *codec)
{
    if (codec->out_open) {
        deflateEnd(&codec->out);
        codec->out_open = false;
    }
}

void ws_deflate_free(struct ws_deflate *take_deflate)
{
    if (take_deflate != NULL) {
        close_in(take_deflate);
        close_out(take_deflate);
        alloc_free(take_deflate->alloc, take_deflate);
    }
}

/* --- inflating ------------------------------------------------------------------------------- */

void ws_inflate_limit(struct ws_deflate *codec, uint64_t message_bytes_max)
{
    codec->message_bytes_max = message_bytes_max;
}

void ws_inflate_give(struct ws_deflate *codec, const char *at, size_t len, bool last)
{
    check(codec->in.avail_in == 0 && len <= UINT32_MAX);
    codec->in.next_in = (unsigned char *)(uintptr_t)at;
    codec->in.avail_in = (unsigned)len;
    codec->is_last = last;
    codec->is_tail = false;
}

static bool open_in(struct ws_deflate *codec)
{
    if (!codec->in_open) {
        codec->in_open = inflateInit2(&codec->in, -(int)codec->in_bits) == Z_OK;
    }
    return codec->in_open;
}

static void give_tail(struct ws_deflate *codec)
{
    static const unsigned char tail[TAIL_BYTES] = {0x00, 0x00, 0xff, 0xff};
    if (codec->in.avail_in == 0 && codec->is_last && !codec->is_tail) {
        codec->in.next_in = (unsigned char *)(uintptr_t)tail;
        codec->in.avail_in = TAIL_BYTES;
        codec->is_tail = true;
    }
}

static void end_message(struct ws_deflate *codec)
{
    codec->message_bytes = 0;
    codec->is_last = false;
    codec->is_tail = false;
    if (codec->in_fresh) {
        close_in(codec);
    }
}

/* A block that says it is the last one may be in a message (RFC 7692 §7.2.3.5): the stream begins
 * anew behind it and keeps its window. */
static enum ws_error after_end(struct ws_deflate *codec)
{
    unsigned char window[1U << WS_WINDOW_MAX];
    unsigned len = 0;
    bool is_kept = inflateGetDictionary(&codec->in, window, &len) == Z_OK
                   && inflateReset(&codec->in) == Z_OK
                   && (len == 0 || inflateSetDictionary(&codec->in, window, len) == Z_OK);
    return is_kept ? WS_FINE : WS_BAD_DEFLATE;
}

static enum ws_error inflate_some(struct ws_deflate *codec, size_t *ret_len)
{
    z_stream *z = &codec->in;
    z->next_out = codec->room;
    z->avail_out = OUT_BYTES;
    *ret_len = 0;
    while (z->avail_out == OUT_BYTES) {
        give_tail(codec);
        unsigned before = z->avail_in;
        int said = inflate(z, Z_SYNC_FLUSH);
        if (said == Z_STREAM_END) {
            enum ws_error error = after_end(codec);
            if (error != WS_FINE) {
                return error;
            }
        } else if (said == Z_MEM_ERROR) {
            return WS_BAD_MEMORY;
        } else if (said != Z_OK && said != Z_BUF_ERROR) {
            return WS_BAD_DEFLATE;
        }
        bool is_stuck = z->avail_in == before && z->avail_out == OUT_BYTES;
        bool wants_tail = z->avail_in == 0 && codec->is_last && !codec->is_tail;
        if (is_stuck && !wants_tail) {
            break;
        }
    }
    *ret_len = OUT_BYTES - z->avail_out;
    return WS_FINE;
}

enum ws_error ws_inflate_next(struct ws_deflate *codec, struct slice *ret)
{
    *ret = (struct slice){(const char *)codec->room, 0};
    if (codec->in.avail_in == 0 && !codec->is_last && !codec->in_open) {
        return WS_FINE;
    }
    if (!open_in(codec)) {
        return WS_BAD_MEMORY;
    }
    size_t len;
    enum ws_error error = inflate_some(codec, &len);
    if (error != WS_FINE) {
        return error;
    }
    codec->message_bytes += len;
    if (codec->message_bytes > codec->message_bytes_max) {
        return WS_BAD_MESSAGE_SIZE;
    }
    ret->len = (uint32_t)len;
    if (len == 0 && codec->is_tail) {
        end_message(codec);
    }
    return WS_FINE;
}

/* --- deflating ------------------------------------------------------------------------------- */

static bool open_out(struct ws_deflate *codec)
{
    if (!codec->out_open && codec->out_bits >= ZLIB_MIN) {
        codec->out_open = deflateInit2(&codec->out, Z_DEFAULT_COMPRESSION, Z_DEFLATED,
                                       -(int)codec->out_bits, MEMORY_LEVEL, Z_DEFAULT_STRATEGY)
                          == Z_OK;
    }
    return codec->out_open;
}

bool ws_deflate_message(struct ws_deflate *codec, struct slice message, struct bytes *out)
{
    if (!open_out(codec)) {
        return false;
    }
    z_stream *z = &codec->out;
    size_t size = deflateBound(z, message.len) + FLUSH_BYTES;
    char *room = bytes_room(out, size);
    if (room == NULL) {
        return false;
    }
    z->next_in = (unsigned char *)(uintptr_t)message.at;
    z->avail_in = message.len;
    z->next_out = (unsigned char *)room;
    z->avail_out = (unsigned)size;
    int said = deflate(z, Z_SYNC_FLUSH);
    check((said == Z_OK || said == Z_BUF_ERROR) && z->avail_in == 0 && z->avail_out > 0);
    size_t len = size - z->avail_out;
    if (len > TAIL_BYTES) {
        bytes_filled(out, len - TAIL_BYTES);
    } else {
        room[0] = 0; /* an empty message after a flush (RFC 7692 §7.2.3.6) */
        bytes_filled(out, 1);
    }
    if (codec->out_fresh) {
        close_out(codec);
    }
    return true;
}
