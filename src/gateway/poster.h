/* SPDX-License-Identifier: Apache-2.0
 *
 * poster.h - posts JSON to a URL of the user's, one message at a time.
 *
 * It has a client of its own, on a thread of its own: whoever is posted to may be down, slow or
 * hostile, and costs that thread's time and what is bounded: the time of a post, and what is read
 * of an answer. A redirect is an answer like any other.
 *
 * All of it on the thread of the loop.
 */
#pragma once
#include <weir/http.h>

#include "io/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POSTER_ANSWER_MAX 65536U /* bytes of an answer's body; more are not read */

struct poster;

/* What became of a post. */
struct poster_end {
    uint32_t status; /* of the answer; 0: there was none */
    weir_err err;    /* why there is no whole one */
    uint32_t wait_s; /* what its Retry-After asks for, at most POSTER_WAIT_MAX_S; 0: nothing */
};

#define POSTER_WAIT_MAX_S 300U

struct poster_options {
    struct loop *loop;
    const char *name, *url;        /* copied, as the fields are */
    const weir_http_field *fields; /* beside Content-Type */
    uint32_t fields_count;         /* at most POSTER_FIELDS_MAX */
    uint32_t timeout_ms;
    void (*on_end)(void *self, const struct poster_end *end);
    void *self;
};

#define POSTER_FIELDS_MAX 16U

/* 0 or -errno. */
int poster_open(const struct poster_options *opt, struct poster **ret_poster);
/* A post that is under way is given up; on_end is not called. NULL is fine. */
void poster_close(struct poster *take_poster);

/* While none is under way. The text is copied; on_end comes later, unless there is an error. */
weir_err poster_post(struct poster *poster, const char *text, size_t len);
/* Waits for the end of the one that is under way, so long at most, and calls on_end. */
void poster_wait(struct poster *poster, uint32_t most_ms);
