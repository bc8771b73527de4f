/* SPDX-License-Identifier: Apache-2.0
 *
 * opinion.h - what a reader of HTTP/1.1 made of some bytes, in a form that two can be compared in.
 * Each reader is a file of its own, because their headers give the same names to other things.
 */
#pragma once
#include "base/bytes.h"
#include "base/check.h"

#include <stdbool.h>
#include <stddef.h>

enum outcome { REFUSED, INCOMPLETE, COMPLETE };

/* What one reader made of some bytes. */
struct opinion {
    enum outcome outcome;
    const char *why;    /* of a refusal */
    struct bytes head;  /* start line, fields, trailers as text */
    struct bytes body;  /* its data */
    size_t end;         /* where the message ended (COMPLETE) */
    bool keep_alive;    /* COMPLETE */
    bool head_complete; /* the head, at least */
};

/* How the bytes are to be read. */
struct question {
    const char *bytes;
    size_t len;
    bool request;
    bool to_head; /* the answer to HEAD */
    bool upgrade; /* an upgrade was asked for */
};

#define MESSAGE_MAX 65536U

static inline void opinion_init(struct opinion *opinion)
{
    *opinion = (struct opinion){.outcome = INCOMPLETE, .why = ""};
    bytes_init(&opinion->head, &alloc_libc, (size_t)4 * MESSAGE_MAX);
    bytes_init(&opinion->body, &alloc_libc, MESSAGE_MAX);
}

static inline void opinion_fini(struct opinion *opinion)
{
    bytes_fini(&opinion->head);
    bytes_fini(&opinion->body);
}

static inline void opinion_field(struct opinion *opinion, struct slice name, struct slice value)
{
    check(bytes_append_slice(&opinion->head, name) && bytes_append_text(&opinion->head, ": ")
          && bytes_append_slice(&opinion->head, slice_trim(value))
          && bytes_append_text(&opinion->head, "\n"));
}

/* llhttp in its strict mode (llhttp_opinion.c). The caller calls opinion_fini(). */
void llhttp_opinion_of(const struct question *question, struct opinion *ret_opinion);
