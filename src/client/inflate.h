/* SPDX-License-Identifier: Apache-2.0
 *
 * inflate.h - a body's gzip or deflate coding undone (RFC 1950 - 1952), in pieces of bounded size
 * and with an end to how much it may become.
 *
 * "deflate" is zlib's format by the standard and a bare stream by the habit of some servers: the
 * first byte tells. Several gzip members in a row are one body (RFC 1952 §2.2).
 */
#pragma once
#include <weir/weir.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum inflate_kind { INFLATE_NOTHING, INFLATE_GZIP, INFLATE_DEFLATE };

struct inflater;

struct alloc;

/* NULL: no memory. */
struct inflater *inflater_new(const struct alloc *alloc, enum inflate_kind kind, uint64_t out_max);
void inflater_free(struct inflater *take_inflater); /* NULL is fine */

/* More of the body, borrowed until inflater_keep(); behind what was kept. */
void inflater_give(struct inflater *inflater, const void *data, size_t len);
/* The next piece of output, valid until the next call; *ret_len 0: more is needed. WEIR_EINFLATE,
 * WEIR_ETOO_LARGE. */
weir_err inflater_next(struct inflater *inflater, const void **ret_data, size_t *ret_len);
/* Copies what was given and not used. False: no memory. */
bool inflater_keep(struct inflater *inflater);
/* All of it came, and nothing is kept. */
bool inflater_is_done(const struct inflater *inflater);
