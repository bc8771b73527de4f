/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_live.h - what an end has while it is not at rest. For connector/websocket*.c.
 */
#pragma once
#include "connector/websocket.h"

#define WS_SPARE_MAX 256U /* records kept for the next ends */

struct ws_live {
    struct ws_live *spare; /* the next one on the desk's list */
    struct ws_reader reader;
    struct outbox out;
    struct bytes message; /* of which the end is missing, or that was inflated */
    struct bytes held;    /* read and not used: the program has paused */
    struct utf8 utf8;     /* of a text that is inflated */
    uint64_t blocked_ms;  /* since when the peer takes nothing; while `out` is blocked */
    bool owes_pong;
    uint8_t pong_len;
    char pong[WS_CONTROL_MAX];
};

/* --- websocket.c --- */

/* NULL: no memory. */
struct ws_live *ws_end_wake(struct ws_end *end);
/* After anything that was said or heard: goes on in its states, and to rest. May end it. */
void ws_end_settle(struct ws_end *end);
/* The rules were broken, or nothing was heard: a close with this code, if any can be sent. */
void ws_end_fail(struct ws_end *end, weir_err err, enum ws_error bad, uint16_t code);
/* What was held while the program paused. */
void ws_end_resume(struct ws_end *end);
/* Something was said outside of an event of its own: tells the stream, and goes to rest. */
void ws_end_said(struct ws_end *end);
/* Has the timer fire in this turn or the next: what comes of a call, comes in an event. */
void ws_end_soon(struct ws_end *end);
/* The end. */
void ws_end_gone(struct ws_end *end, weir_err err, uint16_t code);

/* --- websocket_send.c --- */

void ws_end_flush(struct ws_end *end);
/* Unless something waits to be sent: then it is owed. */
void ws_end_pong(struct ws_end *end, struct slice payload);
void ws_end_say_close(struct ws_end *end, uint16_t code, struct slice reason);
/* A close of an end at rest for which there is no memory to wake: it leaves at once, or never. */
void ws_end_say_last(struct ws_end *end, uint16_t code);

/* --- websocket_time.c --- */

void ws_end_fire(struct loop_timer *timer, uint64_t now_ms);
void ws_end_arm(struct ws_end *end);
