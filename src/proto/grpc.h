/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.h - what gRPC says over HTTP/2: messages behind five bytes, a status in the trailers, a
 * time-out in a field (the protocol document of gRPC, "gRPC over HTTP2"). Only computes.
 */
#pragma once
#include "base/bytes.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum grpc_code {
#define WEIR_GRPC_CODE(name, number, text) GRPC_##name = (number),
#include <weir/def/grpc_code.def>
#undef WEIR_GRPC_CODE
};

/* What a client makes of an answer without grpc-status. */
enum grpc_code grpc_code_of_http(unsigned status);
/* The value of grpc-status; UNKNOWN where it is none. */
enum grpc_code grpc_code_of(struct slice value);

/* The code of an answer that a server gives with this status, before anybody looked at the call. */
enum grpc_code grpc_code_of_refusal(unsigned status);

/* Whether Content-Type is application/grpc, alone or with +something or ;something behind it. */
bool grpc_is(const struct http_head *head);
bool grpc_is_type(struct slice content_type);

/* "100m", "5S": a value of grpc-timeout in milliseconds, rounded up. False: it is none. */
bool grpc_timeout_ms(struct slice value, uint64_t *ret_ms);
#define GRPC_TIMEOUT_MAX 12U /* bytes of one, with its NUL */
void grpc_timeout_write(uint64_t ms, char ret[GRPC_TIMEOUT_MAX]);

/* grpc-message, percent-encoded, as far as it fits; returns its length. */
size_t grpc_message_write(const char *text, char *out, size_t cap);
/* The other way, in place of at most cap bytes; returns its length. */
size_t grpc_message_read(struct slice value, char *out, size_t cap);

/* --- messages -----------------------------------------------------------------------------------
 */

#define GRPC_PREFIX 5U

/* All zeroes at first. Looks at the bytes of a body in pieces of any size. */
struct grpc_scan {
    uint64_t left; /* of the message at hand */
    uint8_t have;
    uint8_t prefix[GRPC_PREFIX];
};

void grpc_prefix_write(uint32_t len, uint8_t out[GRPC_PREFIX]);
/* A message behind its prefix. False: there is no room for it, and nothing was added. */
bool grpc_put(struct bytes *out, const void *message, uint32_t len);
/* Uses up to `len` bytes, and returns how many: until a message begins (*ret_begun: scan->prefix
 * has its flag, scan->left its length), or all of them. */
size_t grpc_scan_next(struct grpc_scan *scan, const void *at, size_t len, bool *ret_begun);
/* Nothing of a message is missing. */
static inline bool grpc_scan_is_whole(const struct grpc_scan *scan)
{
    return scan->left == 0 && scan->have == 0;
}
