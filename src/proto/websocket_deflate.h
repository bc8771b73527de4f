/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_deflate.h - messages deflated and inflated by zlib (RFC 7692 §7.2), by the terms that
 * two ends agreed on.
 *
 * Always true: inflating stops at the first byte beyond what a message may become, however little
 * came; a direction's memory is there only after its first deflated message, and where the terms
 * let every message begin anew it is given back between messages.
 */
#pragma once
#include "base/bytes.h"
#include "proto/websocket.h"
#include "proto/websocket_terms.h"

struct ws_deflate;

/* NULL: no memory. message_bytes_max bounds what a message may become. */
struct ws_deflate *ws_deflate_new(const struct alloc *alloc, const struct ws_terms *terms,
                                  bool is_server, uint64_t message_bytes_max);
void ws_deflate_free(struct ws_deflate *take_deflate); /* NULL is fine */

/* Another bound, from the next message on. */
void ws_inflate_limit(struct ws_deflate *codec, uint64_t message_bytes_max);
/* More of a message that came, borrowed until the next call of give; `last` with the end of it.
 * Everything given before must have been taken. */
void ws_inflate_give(struct ws_deflate *codec, const char *at, size_t len, bool last);
/* The next piece of the message, valid until the next call; empty: all that was given is used.
 * WS_FINE, WS_BAD_DEFLATE, WS_BAD_MESSAGE_SIZE, WS_BAD_MEMORY. */
enum ws_error ws_inflate_next(struct ws_deflate *codec, struct slice *ret);

/* Appends a whole message, deflated, to *out. False: no memory, the bytes' limit, or terms that
 * zlib cannot serve (a window of 8); *out is as it was, and the message goes as it is. */
bool ws_deflate_message(struct ws_deflate *codec, struct slice message, struct bytes *out);
