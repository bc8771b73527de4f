/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_dial.h - an opening from the inside: private to websocket_dial.c (from the URL to a
 * line, and over it) and websocket_call.c (over a call of HTTP/2).
 *
 * Always true: of `lease`, `stream` and `call` one at most is there; opening_failed() gives back
 * what is.
 */
#pragma once
#include "base/bytes.h"
#include "client/websocket.h"
#include "proto/http1.h"
#include "proto/url.h"
#include "proto/websocket_open.h"
#include "proto/websocket_terms.h"

#define REQUEST_MAX 65536U /* bytes of the opening request */

struct opening {
    struct sock *sock;
    struct worker_note note; /* the dial begins on its worker */
    struct url url;
    char *url_text, *source, *proxy, *tenant;
    bool is_tls;
    bool is_call;    /* not over a line */
    bool over_http1; /* … and not over HTTP/2 either: its server takes none there */
    uint32_t tries;
    weir_pool *pool;
    weir_lease lease; /* while it waits */
    struct stream *stream;
    struct ws_call *call;
    struct bytes out, in;
    struct http1_progress progress;
    unsigned interims;
    char key[WS_KEY_LEN];
    struct slice protocols; /* within `out`, of which nothing is consumed before the answer */
    size_t protocols_at, sent;
    struct ws_terms offered;
    weir_err why; /* it is over: on_close is to come */
    uint16_t status;
};

/* From an event; a lease that waits is over. detail: in words, or "". */
void opening_failed(struct opening *opening, weir_err err, const char *detail);
/* It waits for no lease any more. False: it has got none, and has failed. */
bool opening_granted(struct opening *opening, const weir_grant *grant);
/* From now on it has its time. */
void opening_arm(struct opening *opening);
/* What was offered as subprotocols; empty: nothing. */
struct slice opening_protocols(const struct opening *opening);
/* What the server says of extensions: an answer to what was offered, or false. */
bool opening_terms(const struct opening *opening, const struct http_head *head,
                   struct ws_terms *ret_terms, bool *ret_deflates);
/* The answer is good: from here on it is a WebSocket, on that stream. The opening is gone. */
void opening_done(struct opening *opening, const struct http_head *head,
                  const struct ws_terms *terms, struct stream *take_stream);
