/* SPDX-License-Identifier: Apache-2.0
 *
 * held.h - a copy of a request that outlives the read buffer it was parsed in: for the one that
 * waits for a connection, and for the one that may have to be sent again.
 *
 * Kept in one block, recycled with its owner: taking a copy is two memcpy() and no allocation in
 * steady state. The body is held up to HELD_BODY_MAX; beyond that only the head is. Trailers, which
 * are rare, have a block of their own.
 */
#pragma once
#include "proto/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HELD_BODY_MAX (16U << 10) /* of a request under way, in case it has to be sent again */
#define HELD_WAIT_MAX (1U << 20)  /* of one that waits: its client is paused after one read */
#define HELD_KEEP_MAX 4096U       /* of memory that an unused one may keep */

struct held {
    char *at;
    size_t size;
    const char *was;       /* where the head's text lay when it was copied */
    uint32_t fields_len;   /* bytes of the array of fields, at the front */
    uint32_t text_len;     /* bytes of the head's text, behind it */
    size_t body_len;       /* behind that */
    struct http_head head; /* as it came */
    struct http_head out;  /* what held_head() gave */
    char *tail;            /* NULL: no trailers */
    struct http_head trailers;
};

/* False where memory is refused. */
bool held_take_head(struct held *held, const struct http_head *head);
/* False where memory is refused or it would be longer than `max`; nothing has changed then. */
bool held_add_body(struct held *held, const void *data, size_t len, size_t max);

/* False where memory is refused. */
bool held_take_trailers(struct held *held, const struct http_head *trailers);
const struct http_head *held_trailers(const struct held *held); /* NULL: there are none */

/* The head as it came, whatever was done to the last one that was given; its slices point into the
 * copy. Valid until the next held_add_body(). */
struct http_head *held_head(struct held *held);
const char *held_body(const struct held *held);

void held_reset(struct held *held); /* empties, keeps a little memory */
void held_fini(struct held *held);
