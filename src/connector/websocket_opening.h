/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_opening.h - a client's opening handshake (RFC 6455 §4.1) on a stream that is connected:
 * the request, and the answer to it, read no further than its head and what came with it.
 *
 * No extension and no subprotocol are offered, and none are taken. What a peer can make us keep is
 * one head of WS_OPENING_HEAD_MAX; the time is its owner's.
 */
#pragma once
#include "base/bytes.h"
#include "io/loop.h"
#include "io/stream.h"
#include "proto/http1.h"
#include "proto/websocket_open.h"

#define WS_OPENING_HEAD_MAX 32768U

struct ws_opener_result {
    int error;              /* 0; -ECONNREFUSED: the answer was no, see `status`; -EPROTO; else the
                               stream's */
    uint16_t status;        /* of the answer; 0: none came */
    uint32_t retry_after_s; /* Retry-After, in seconds; 0: none */
    struct bytes *behind;   /* without an error: what came behind the head */
};

/* Lies inside its owner. */
struct ws_opener {
    /* Set by its owner. Called once, from an event; the stream is the owner's again and wants
     * nothing. */
    void (*done)(struct ws_opener *opener, const struct ws_opener_result *result);
    struct loop *loop;
    const struct alloc *alloc;
    /* What follows is its own. */
    struct stream *stream;
    struct bytes out, in;
    struct http1_progress progress;
    char key[WS_KEY_LEN];
    unsigned interims;
    bool is_open;
};

/* host: with its port, as Host says it. False: no memory, and nothing was begun. */
bool ws_opener_begin(struct ws_opener *opener, struct stream *stream, const char *host,
                     const char *path);
/* done() is not called any more. Does nothing to one that has not begun. */
void ws_opener_end(struct ws_opener *opener);
