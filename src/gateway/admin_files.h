/* SPDX-License-Identifier: Apache-2.0
 *
 * admin_files.h - the dashboard's files, as the build has put them into the program, and how they
 * are given to a browser.
 *
 *     GET /            the page, for who accepts text/html; anybody else gets the list of addresses
 *     GET /page/NAME   what it is made of
 *
 * They are the same for everybody and hold nothing of this gateway, so they need no token. They go
 * out as gzip, with an ETag that answers the next question by 304, and under a policy by which the
 * browser runs and loads nothing that is not one of them.
 */
#pragma once
#include "base/text.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stddef.h>

#define PAGE_PATH       "/page/"
#define PAGE_BYTES_MAX  262144U /* of one of them, unpacked */
#define PAGE_PACKED_MAX 153600U /* of all of them together, as they are sent */

struct page_file {
    const char *name;
    const unsigned char *at; /* as gzip makes it */
    size_t len, plain_len;
    const char *etag; /* with its quotes */
};

/* Written by the build (tools/embed.c). */
extern const struct page_file page_files[];
extern const unsigned page_files_count;

/* NULL: the request is not for one of them. */
const struct page_file *admin_file_of(const struct http_head *head);
/* Answers a GET or HEAD, whole. */
void admin_file_send(const struct page_file *file, struct http_exchange *exchange,
                     const struct http_head *head);
