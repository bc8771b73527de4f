/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.h - one end of a WebSocket on a stream, a server's or a client's, once it is open:
 * whole messages in and out, pings that decide life, the closing handshake, back-pressure.
 *
 *            ws_end_close()             their close
 *     OPEN ------------------> CLOSING -------------+
 *      |  \                       |                 v        sent (a server), or the peer has
 *      |   \ their close: ours is the answer ---> CLOSED ------------------------------------+
 *      |                          | time            | time   closed the stream (a client)     v
 *      | the rules were broken, or nothing was      v                                        GONE
 *      | heard: a close is sent, what comes ------> FAILED ---------------------------------->
 *      | is read and forgotten                              the peer has closed, or time
 *      +--------------------------------------------------------------------------------------^
 *        the stream broke
 *
 * What is always true: an end at rest - between two messages, with nothing unsent - is this struct
 * and its stream, nothing else: what reading and writing need comes from the desk with the first
 * byte and goes back with the last. What a peer can make us keep is bounded: a message by
 * message_bytes_max (also while it inflates), what it does not read by unsent_max, pings by one
 * answer that waits. on_gone is the last call; the others come before it, from events of the loop,
 * never from inside a call of this header (but ws_end_abort()).
 */
#pragma once
#include <weir/weir.h>

#include "base/rand.h"
#include "io/loop.h"
#include "io/outbox.h"
#include "proto/websocket.h"
#include "proto/websocket_deflate.h"

#include <stdatomic.h>

struct ws_end;
struct ws_live;

/* How it ended. */
struct ws_farewell {
    weir_err err;        /* WEIR_OK: by the closing handshake */
    uint16_t code;       /* the peer's; what it was told where we found fault; else 1005, 1006 */
    struct slice reason; /* the peer's */
    const char *detail;  /* which rule was broken, or "" */
};

struct ws_end_ops {
    /* Valid until it returns. */
    void (*on_message)(struct ws_end *end, unsigned opcode, const char *at, size_t len);
    void (*on_pong)(struct ws_end *end, struct slice payload);
    void (*on_drain)(struct ws_end *end); /* nothing is unsent any more */
    void (*on_gone)(struct ws_end *end, const struct ws_farewell *farewell);
};

/* Times of WEIR_NEVER do not come. */
struct ws_limits {
    uint64_t message_bytes_max;
    uint32_t fragments_max;
    uint32_t unsent_max;  /* kept for a peer that does not read; one message may be larger */
    uint32_t deflate_min; /* shorter messages are sent as they are */
    uint32_t ping_interval_ms;
    uint32_t pong_timeout_ms;
    uint32_t silence_ms; /* nothing at all was heard for so long: gone */
    uint32_t write_timeout_ms;
    uint32_t close_timeout_ms;
};

/* Any thread may read them. */
#define WS_COUNTERS(ROW)                                                                           \
    ROW(messages_in)                                                                               \
    ROW(messages_out)                                                                              \
    ROW(bytes_in) /* of the wire */                                                                \
    ROW(bytes_out)                                                                                 \
    ROW(pings) /* sent */                                                                          \
    ROW(pongs) /* that came */

struct ws_counters {
#define WS_ROW(name) _Atomic uint64_t name;
    WS_COUNTERS(WS_ROW)
#undef WS_ROW
};

/* What the ends on one loop share. */
struct ws_desk {
    struct loop *loop;
    const struct alloc *alloc;
    const struct ws_end_ops *ops;
    struct ws_limits limits; /* may be changed: ws_end_retime() */
    struct ws_live *spare;
    uint32_t spare_count;
    struct rand jitter;
    struct bytes deflated; /* the message being sent */
    unsigned random_left;
    uint8_t random[256]; /* of masks: a peer must not foretell them (RFC 6455 §10.3) */
    struct ws_counters counters;
    struct cork cork;
};

void ws_desk_init(struct ws_desk *desk, struct loop *loop, const struct alloc *alloc,
                  const struct ws_end_ops *ops, const struct ws_limits *limits, uint64_t seed);
void ws_desk_fini(struct ws_desk *desk); /* its ends are gone */
/* 16 bytes that nobody can foretell. */
void ws_desk_random(struct ws_desk *desk, uint8_t *ret, unsigned len);

enum ws_end_state {
    WS_END_NEW,
    WS_END_OPEN,
    WS_END_CLOSING,
    WS_END_CLOSED,
    WS_END_FAILED,
    WS_END_GONE
};

struct ws_end {
    struct stream *stream;
    struct ws_desk *desk;
    struct ws_live *live;     /* NULL: at rest */
    struct ws_deflate *codec; /* NULL: not needed so far */
    struct loop_timer timer;  /* may be early */
    uint64_t heard_ms;        /* the last byte */
    uint64_t since_ms;        /* the ping that waits for an answer; or of the state */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint32_t forgotten; /* bytes behind the last frame */
    uint16_t code;      /* of the farewell */
    uint8_t state;      /* enum ws_end_state */
    uint8_t wants;      /* what the stream was told */
    uint8_t err;        /* FAILED: weir_err; else WEIR_OK */
    uint8_t bad;        /* FAILED: enum ws_error */
    struct ws_terms terms;
    bool is_server : 1;
    bool deflates : 1;    /* permessage-deflate was agreed, by `terms` */
    bool is_paused : 1;   /* the program wants no more now */
    bool is_asked : 1;    /* a ping waits for an answer */
    bool is_feeding : 1;  /* its bytes are being worked through: what is said leaves at the end */
    bool was_blocked : 1; /* something was kept: on_drain is owed */
    bool is_shut : 1;     /* our direction is */
};

/* Memory for its first words, before there is a stream: false: none. `end` is all zeroes. */
bool ws_end_prepare(struct ws_end *end, struct ws_desk *desk);
void ws_end_forget(struct ws_end *end); /* it will not be opened */
/* Opens it: `end` is all zeroes, or prepared. terms NULL: messages go as they are. Times begin. */
void ws_end_open(struct ws_end *end, struct ws_desk *desk, struct stream *take_stream,
                 bool is_server, const struct ws_terms *terms);
/* Bytes that were read before it was open; they are written to. From an event. */
void ws_end_feed(struct ws_end *end, char *at, size_t len);

/* Bytes as they are, before the first frame: the answer to the opening. False: no memory. */
bool ws_end_raw(struct ws_end *end, const char *at, size_t len);

/* A message. What the stream does not take is kept. WEIR_EAGAIN: more than unsent_max would be, and
 * nothing was taken, on_drain says when; WEIR_ESTATE: it is not open; WEIR_ENOMEM. */
weir_err ws_end_send(struct ws_end *end, unsigned opcode, const void *data, size_t len);
/* A server's frames, made once for many ends. */
weir_err ws_end_send_frame(struct ws_end *end, struct slice frame);
weir_err ws_end_ping(struct ws_end *end, struct slice payload);
size_t ws_end_unsent(const struct ws_end *end);

/* Begins the closing handshake; nothing but on_gone comes after. Twice: nothing. */
void ws_end_close(struct ws_end *end, uint16_t code, struct slice reason);
void ws_end_pause(struct ws_end *end, bool paused);
/* Asks the peer now, unless it was heard within half of the ping interval. Whether it did. */
bool ws_end_look(struct ws_end *end);
/* The desk's times have changed. */
void ws_end_retime(struct ws_end *end);
/* Ends it at once; on_gone is called from inside. */
void ws_end_abort(struct ws_end *end, weir_err why);

static inline void ws_tally(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}
