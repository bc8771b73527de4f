/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_open.h - the opening handshake of WebSocket (RFC 6455 §4): is it asked for rightly, was
 * it granted by one who understood. Heads come from the reader of HTTP/1.1; the extended CONNECT of
 * HTTP/2 (RFC 8441) needs no key and no answer to it.
 */
#pragma once
#include "proto/http.h"

#define WS_KEY_BYTES  16U
#define WS_KEY_LEN    24U /* the same in base64 */
#define WS_ACCEPT_LEN 28U

/* Asks for an upgrade to WebSocket, rightly or not. */
bool ws_is_asked(const struct http_head *request);

enum ws_opening {
    WS_OPENING_FINE = 0,
    WS_OPENING_METHOD,   /* 400: not GET, or with a body */
    WS_OPENING_VERSION,  /* 426: not 13, which the answer names */
    WS_OPENING_KEY,      /* 400: none, several, or not 16 bytes in base64 */
    WS_OPENING_STATUS,   /* not 101 */
    WS_OPENING_UPGRADE,  /* 101 to something else */
    WS_OPENING_ACCEPT,   /* not the answer to our key: not a WebSocket server */
    WS_OPENING_PROTOCOL, /* a subprotocol that was not offered */
};

/* A server's judgement of a request; ret_key is within the head. */
enum ws_opening ws_judge_request(const struct http_head *request, struct slice *ret_key);
/* The same of an extended CONNECT. */
enum ws_opening ws_judge_connect(const struct http_head *request);
unsigned ws_opening_status(enum ws_opening opening); /* 101, 400, 426; of an answer's: 502 */
const char *ws_opening_text(enum ws_opening opening);

/* What Sec-WebSocket-Key was sent to prove. */
void ws_accept_of(struct slice key, char ret[WS_ACCEPT_LEN]);
/* A client's key, of 16 bytes that nobody can foretell. */
void ws_key_of(const uint8_t random[WS_KEY_BYTES], char ret[WS_KEY_LEN]);

/* A client's judgement of an answer. `protocols`: the Sec-WebSocket-Protocol that was sent, or
 * empty. */
enum ws_opening ws_judge_answer(const struct http_head *answer, struct slice key,
                                struct slice protocols);

/* The same of what answers an extended CONNECT (RFC 8441 §5): any success agrees. */
enum ws_opening ws_judge_agreed(const struct http_head *answer, struct slice protocols);

/* The one field of that name; NULL: none. *ret_count: how many there are. */
const struct http_field *ws_field(const struct http_head *head, struct slice name,
                                  unsigned *ret_count);
