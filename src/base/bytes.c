/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/check.h"

#include <stdio.h>

#define FIRST_SIZE 256U

void bytes_init(struct bytes *bytes, const struct alloc *alloc, size_t max)
{
    check(max > 0);
    *bytes = (struct bytes){.alloc = alloc, .max = max};
}

void bytes_fini(struct bytes *bytes)
{
    if (bytes->alloc != NULL) {
        bytes_release(bytes);
    }
    *bytes = (struct bytes){0};
}

struct slice bytes_slice(const struct bytes *bytes)
{
    size_t len = bytes_len(bytes);
    return (struct slice){bytes_at(bytes), len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
}

static bool grow(struct bytes *bytes, size_t need)
{
    size_t size = bytes->size > 0 ? bytes->size : FIRST_SIZE;
    while (size < need) {
        size = size > bytes->max / 2 ? bytes->max : size * 2;
    }
    size = size < bytes->max ? size : bytes->max;
    char *base = alloc_resize(bytes->alloc, bytes->base, size);
    if (base == NULL) {
        return false;
    }
    bytes->base = base;
    bytes->size = size;
    return true;
}

char *bytes_room(struct bytes *bytes, size_t len)
{
    size_t held = bytes_len(bytes);
    if (len > bytes->max - held) {
        return NULL;
    }
    if (bytes->size - bytes->to < len || bytes->base == NULL) {
        if (bytes->base != NULL && bytes->from > 0) {
            memmove(bytes->base, bytes->base + bytes->from, held);
            bytes->from = 0;
            bytes->to = held;
        }
        if ((bytes->size - held < len || bytes->base == NULL) && !grow(bytes, held + len)) {
            return NULL;
        }
    }
    return bytes->base + bytes->to;
}

void bytes_filled(struct bytes *bytes, size_t len)
{
    check(len <= bytes->size - bytes->to);
    bytes->to += len;
}

bool bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    char *room = bytes_room(bytes, len);
    if (room == NULL) {
        return false;
    }
    if (len > 0) {
        memcpy(room, data, len);
    }
    bytes->to += len;
    return true;
}

bool bytes_append_slice(struct bytes *bytes, struct slice text)
{
    return bytes_append(bytes, text.at, text.len);
}

bool bytes_append_text(struct bytes *bytes, const char *text)
{
    return bytes_append(bytes, text, strlen(text));
}

bool bytes_append_json(struct bytes *bytes, struct slice text)
{
    size_t len = text_json_escape(NULL, 0, text);
    char *room = bytes_room(bytes, len + 3); /* two quotes, and the NUL that escape writes */
    if (room == NULL) {
        return false;
    }
    room[0] = '"';
    text_json_escape(room + 1, len + 1, text);
    room[len + 1] = '"';
    bytes->to += len + 2;
    return true;
}

bool bytes_vprintf(struct bytes *bytes, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    char *room = len < 0 ? NULL : bytes_room(bytes, (size_t)len + 1);
    if (room != NULL) {
        vsnprintf(room, (size_t)len + 1, format, again);
        bytes->to += (size_t)len;
    }
    va_end(again);
    return room != NULL;
}

bool bytes_printf(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bool done = bytes_vprintf(bytes, format, args);
    va_end(args);
    return done;
}

void bytes_consume(struct bytes *bytes, size_t len)
{
    check(len <= bytes_len(bytes));
    bytes->from += len;
    if (bytes->from == bytes->to) {
        bytes->from = bytes->to = 0;
    }
}

void bytes_clear(struct bytes *bytes)
{
    bytes->from = bytes->to = 0;
}

void bytes_release(struct bytes *bytes)
{
    alloc_free(bytes->alloc, bytes->base);
    bytes->base = NULL;
    bytes->from = bytes->to = bytes->size = 0;
}

struct bytes bytes_take(struct bytes *bytes)
{
    struct bytes taken = *bytes;
    bytes_init(bytes, taken.alloc, taken.max);
    return taken;
}
