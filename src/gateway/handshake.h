/* SPDX-License-Identifier: Apache-2.0
 *
 * handshake.h - a WebSocket's opening as it passes through: is it asked for rightly, does the
 * answer fit what was asked, and how either looks in the other version of HTTP.
 *
 *     client                          neutral head                     upstream
 *     HTTP/1.1 GET, Upgrade, key ──▶  GET, `upgrade`, the key  ──▶  HTTP/1.1: as it is
 *     HTTP/2 CONNECT, :protocol  ──▶  GET, `upgrade`, no key   ──▶  HTTP/2: CONNECT, :protocol
 *
 * Between versions the key is made here, or answered here (RFC 8441 §5): HTTP/2 has none. Of
 * extensions only permessage-deflate passes, because frames can be watched only where their form
 * is known.
 */
#pragma once
#include "gateway/fault.h"
#include "proto/http.h"
#include "proto/websocket_open.h"

#include <stdbool.h>

#define HANDSHAKE_ADDED_MAX 4U

/* Judges the request; the key is within the head. ret_key NULL: it came by HTTP/2, without. */
enum fault handshake_ask(const struct http_head *request, struct slice *ret_key);
/* Marks what shall not pass; a key does only from HTTP/1.1 to HTTP/1.1. */
void handshake_limit(struct http_head *request, bool has_key);

/* A request that brought no key gets one. *ret_key: 24 letters. */
void handshake_make_key(char ret_key[WS_KEY_LEN]);

/* Judges a 101 to that key, or, with an empty key, a 2xx of HTTP/2. Marks in `answer` what belongs
 * to the upstream's side alone. False: it is none. *ret_deflate: messages may be deflated. */
bool handshake_judge(const struct http_head *request, struct slice key, struct http_head *answer,
                     bool *ret_deflate);

/* Whether an answer with this status agrees. In HTTP/1.1 one of another kind is an answer like any
 * other; where a side speaks HTTP/2, success has one meaning. */
bool handshake_is_agreed(uint16_t status, bool is_any_http2);

/* The answer as the client's version says it. */
struct handshake_answer {
    struct http_head head;
    struct http_field added[HANDSHAKE_ADDED_MAX];
    char accept[WS_ACCEPT_LEN];
};
/* `answer` as it is, or made into *ret, which lives as long: to a client of HTTP/1.1 or HTTP/2,
 * from an upstream of either. key: what the client has to be answered. */
const struct http_head *handshake_answer(struct handshake_answer *ret,
                                         const struct http_head *answer, bool to_http1,
                                         bool from_http1, struct slice key);
/* 101 with what `key` has to be answered. */
void handshake_answer_http1(struct handshake_answer *ret, const struct http_head *answer,
                            struct slice key);
/* 200, and what follows is a body without end. */
void handshake_answer_http2(struct handshake_answer *ret, const struct http_head *answer);
