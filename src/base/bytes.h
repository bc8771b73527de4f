/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes.h - a byte buffer that grows up to a maximum and cannot be made without one.
 *
 * Filled at the end, consumed at the front. An append that would pass the maximum, or finds no
 * memory, changes nothing and says false. An empty buffer may give its memory back
 * (bytes_release), so that an idle connection holds none.
 */
#pragma once
#include "base/alloc.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct bytes {
    char *base;
    const struct alloc *alloc;
    size_t from; /* consumed so far */
    size_t to;   /* filled so far */
    size_t size; /* of base */
    size_t max;  /* size never passes it */
};

/* Allocates nothing yet; max > 0. */
void bytes_init(struct bytes *bytes, const struct alloc *alloc, size_t max);
void bytes_fini(struct bytes *bytes);

static inline size_t bytes_len(const struct bytes *bytes)
{
    return bytes->to - bytes->from;
}

static inline char *bytes_at(const struct bytes *bytes)
{
    return bytes->base != NULL ? bytes->base + bytes->from : NULL;
}

/* What is in it (its first 4 GiB); valid until the next change. */
struct slice bytes_slice(const struct bytes *bytes);

bool bytes_append(struct bytes *bytes, const void *data, size_t len);
bool bytes_append_slice(struct bytes *bytes, struct slice text);
bool bytes_append_text(struct bytes *bytes, const char *text);
/* A JSON string with its quotes. */
bool bytes_append_json(struct bytes *bytes, struct slice text);
bool bytes_printf(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool bytes_vprintf(struct bytes *bytes, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* Room for len more bytes at the end, to be written and then told by bytes_filled(); NULL where
 * that passes the maximum or memory is refused. */
char *bytes_room(struct bytes *bytes, size_t len);
void bytes_filled(struct bytes *bytes, size_t len);

/* Drops len bytes from the front; len ≤ bytes_len(). */
void bytes_consume(struct bytes *bytes, size_t len);
void bytes_clear(struct bytes *bytes);
/* Gives the memory back; what was in it is gone. */
void bytes_release(struct bytes *bytes);
/* Itself is empty then; the one that is returned has all that was in it, and its memory. */
struct bytes bytes_take(struct bytes *bytes);
