/* SPDX-License-Identifier: Apache-2.0
 *
 * fetcher.h - gets what is at a URL of the user's, one answer at a time, and only when it is
 * another one than before (ETag, RFC 9110 §13.1.2).
 *
 * As a poster (poster.h) it has a client of its own, on a thread of its own: what is asked may be
 * down, slow or hostile. Redirects are not followed: whoever is asked was named.
 *
 * All of it on the thread of the loop.
 */
#pragma once
#include <weir/http.h>

#include "base/text.h"
#include "io/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define FETCHER_ETAG_MAX   256U
#define FETCHER_FIELDS_MAX 16U

struct fetcher;

/* What became of one; good until on_end returns. */
struct fetch_end {
    uint32_t status;   /* of the answer; 304: it is as it was; 0: there was none */
    weir_err err;      /* why there is no whole one */
    bool is_long;      /* its body is longer than it may be */
    struct slice body; /* of a whole answer */
    const char *etag;  /* "": it has none, or one that is too long */
};

struct fetcher_options {
    struct loop *loop;
    const char *name, *url;        /* outlive it, as all texts of the following */
    const weir_http_field *fields; /* copied; at most FETCHER_FIELDS_MAX */
    uint32_t fields_count;
    const char *ca;          /* PEM file; "": the system's authorities */
    const char *dns_servers; /* NULL: the system's */
    uint32_t timeout_ms;
    uint32_t body_max;
    void (*on_end)(void *self, const struct fetch_end *end);
    void *self;
};

/* 0 or -errno. */
int fetcher_open(const struct fetcher_options *opt, struct fetcher **ret_fetcher);
/* What is under way is given up; on_end is not called. NULL is fine. */
void fetcher_close(struct fetcher *take_fetcher);

/* While none is under way. `etag`: of what is known already; "": of nothing. on_end comes later,
 * unless there is an error. */
weir_err fetcher_get(struct fetcher *fetcher, const char *etag);
