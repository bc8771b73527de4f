/* SPDX-License-Identifier: Apache-2.0
 *
 * channel.h - one WebSocket through the gateway, from its 101 to its end.
 *
 *     client ══ side ──▶ frames watched, not touched ──▶ side ══ upstream
 *               side ◀── frames watched, not touched ◀── side
 *
 * Bytes go on as they came; only heads are looked at, and control frames. A channel itself says
 * pings, between two frames and to a side that was silent, swallows the pongs that carry their
 * payload, and says close where it has to end what nobody else ended.
 *
 *     OPEN ──▶ CLOSING ──▶ (gone)     a side said close, or ended: the other one is told, and has
 *       │         │                   CHANNEL_CLOSE_MS for its part
 *       └─────────┴──▶ GOODBYE ──▶    close is said by the channel: nothing is passed any more
 *
 * Always true:
 *   - A side is read only while the other one takes what came: what is kept is bounded by one read.
 *   - A byte that came is a sign of life; a side that is not read, or does not take, is not asked.
 *   - Between two messages a side holds no buffer and no reader.
 *   - What a side says reaches the other one whole and in order; a broken frame does not, but all
 *     before it does.
 *   - An end without a close frame stays one: the other side sees its connection end.
 *   - Who is let in is never cut for want of memory of ours without a word, unless it does not take
 *     any: no memory is missing between the 101 and the first frame.
 */
#pragma once
#include "base/list.h"
#include "gateway/config.h"
#include "gateway/telemetry.h"
#include "io/loop.h"
#include "listener/drain.h"
#include "proto/http.h"
#include "proto/websocket.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define CHANNEL_CLOSE_MS 5000U      /* for what is left of a close handshake */
#define CHANNEL_KEPT_MAX (2U << 20) /* a read, and what HTTP/2 has under way */
#define CHANNEL_PING_LEN 8U

struct channel;
struct channel_side;
struct relay;
struct transit;

/* How one version of HTTP moves bytes. */
struct channel_side_ops {
    /* Sends, and keeps what is not taken; `is_blocked` tells. False: it is broken. */
    bool (*send)(struct channel_side *side, const struct iovec *parts, int count);
    bool (*drain)(struct channel_side *side); /* the same with what was kept */
    void (*want)(struct channel_side *side);  /* `is_paused`, or `is_blocked`, has changed */
    void (*shut)(struct channel_side *side);  /* no more will be said to it */
    void (*close)(struct channel_side *side); /* nothing is heard of it any more */
};

struct channel_side {
    const struct channel_side_ops *ops;
    union {
        struct http_tunnel tunnel; /* HTTP/1.1 */
        struct http_exchange *ex;  /* HTTP/2, towards the client */
        struct http_call *call;    /* HTTP/2, towards the upstream */
    };
    struct bytes *kept;       /* what it did not take; NULL: nothing */
    struct ws_reader *reader; /* of what it says; NULL: it is between two messages */
    uint64_t messages, bytes; /* that it said */
    uint32_t pings;           /* that it said, not counting ours */
    uint32_t heard_ms;        /* last byte; low half of the loop's time, like all times here */
    uint32_t pinged_ms;
    uint32_t blocked_ms;
    uint32_t rtt_us;         /* of the last ping of ours; 0: none came back yet */
    uint16_t close_code;     /* that it said; 0: none */
    bool is_upstream : 1;    /* else it is the client */
    bool is_paused : 1;      /* the other one does not keep up */
    bool is_blocked : 1;     /* it does not take */
    bool is_pinged : 1;      /* and has not said a byte since */
    bool has_said_close : 1; /* a close frame came from it, */
    bool was_told_close : 1; /* and one went to it */
    bool is_ended : 1;       /* it will say no more */
    bool is_shut : 1;        /* it was told that no more will come */
    bool is_gone : 1;        /* closed */
    bool is_departing : 1;   /* HTTP/1.1: what was sent to it leaves soon, */
    bool wants : 1;          /* its stream was told to wait for room */
    bool reads : 1;          /* … and for bytes */
};

enum channel_state { CHANNEL_OPEN, CHANNEL_CLOSING, CHANNEL_GOODBYE };

/* Why a channel ended: word of the log, close code to the client, close code to the upstream; 0:
 * cut, without a word. */
#define CHANNEL_ENDS(ROW)                                                                          \
    ROW(CLOSED, "", 0, 0)                                                                          \
    ROW(CLIENT_LEFT, "client_left", 0, 0)                                                          \
    ROW(UPSTREAM_LEFT, "reset", 0, 0)                                                              \
    ROW(CLIENT_SILENT, "client_silent", 0, 1001)                                                   \
    ROW(UPSTREAM_SILENT, "upstream_silent", 1014, 0)                                               \
    ROW(CLIENT_SLOW, "client_slow", 0, 1001)                                                       \
    ROW(UPSTREAM_SLOW, "upstream_slow", 1014, 0)                                                   \
    ROW(CLIENT_BAD, "client_frames", 1002, 1001)                                                   \
    ROW(UPSTREAM_BAD, "upstream_frames", 1014, 1002)                                               \
    ROW(TOO_BIG, "message_size", 1009, 1009)                                                       \
    ROW(IDLE, "idle_timeout", 1001, 1001)                                                          \
    ROW(DRAIN, "drain", 1001, 1001)                                                                \
    ROW(INTERNAL, "internal", 1013, 1011)                                                          \
    ROW(CUT, "cut", 0, 0)

enum channel_end {
#define CHANNEL_ROW(name, word, client, upstream) CHANNEL_END_##name,
    CHANNEL_ENDS(CHANNEL_ROW)
#undef CHANNEL_ROW
        CHANNEL_END_COUNT
};

const char *channel_end_word(enum channel_end end);

/* What one listener and one upstream have had of it; any thread may read. */
struct channel_counts {
    uint64_t opened, closed;
    uint64_t messages[2], bytes[2];         /* said by clients, by upstreams */
    uint64_t pings, pongs;                  /* ours, and the answers that were swallowed */
    uint64_t ends[CHANNEL_END_COUNT];       /* why */
    uint64_t codes[16], codes_app, codes_x; /* 1000 … 1015; 3000 … 4999; none at all */
};

/* --- for relay.c and census.c -------------------------------------------------------------------
 */

/* Short messages depart together, as those of HTTP do (io/outbox.h): the kernel receives for some
 * of them, and then sends for all of them, with less waking up of who they are for. */
#define CHANNEL_DEPARTURES_MAX 64U
#define CHANNEL_DEPART_BYTES   512U /* of one; a longer one leaves at once */

struct channel_departure {
    struct channel_side *side; /* NULL: it has left */
    uint32_t at, len;          /* in channels.text */
};

/* A worker's channels. */
struct channels {
    struct list open;
    struct ws_reader scratch; /* for whoever is between two messages */
    struct drain drain;       /* they are told to go away (1001), and those to come at once */
    struct loop_later leaving;
    uint32_t departures, text_len;
    struct channel_departure departure[CHANNEL_DEPARTURES_MAX];
    char text[CHANNEL_DEPARTURES_MAX * CHANNEL_DEPART_BYTES];
};

void channels_init(struct channels *channels, struct loop *loop);

/* Once the upstream's answer was judged, inside on_head(), and before the client is given any:
 * takes the upstream's side. What needs memory is here, so that its want can still be answered.
 * NULL: there is none, and nothing has changed. */
struct channel *channel_prepare(struct transit *transit, bool deflate, struct slice *ret_ahead);
/* After the client was given its answer: takes over from `transit`, which lives on only where its
 * client speaks HTTP/2. ahead: what the upstream has said already. False: the client is gone, or
 * does not take its answer, and nothing is left of the channel. */
bool channel_open(struct channel *take_channel, struct transit *transit, struct slice ahead);

/* Of a client that speaks HTTP/2. */
void channel_client_body(struct channel *channel, const void *data, size_t len);
void channel_client_end(struct channel *channel);
void channel_client_drained(struct channel *channel);
void channel_client_gone(struct channel *channel);

/* 1001 to both, also of those to come. */
void channels_drain(struct relay *relay, uint32_t spread_ms);
void channels_cut(struct relay *relay);

struct channel_info {
    bool is_upstream; /* which of its sides was asked about */
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
    uint32_t rtt_us;
    uint32_t age_ms, silent_ms; /* since the request for it; since the side's last byte */
};
/* Of the connection of HTTP/1.1 that is this tunnel. */
void channel_info_of(const struct http_tunnel *tunnel, struct channel_info *ret);
/* Of an exchange of a relay's, and of a call, of HTTP/2, whose handler and caller still hear of it.
 * False: it is no WebSocket. */
bool channel_info_of_exchange(const struct http_exchange *ex, struct channel_info *ret);
bool channel_info_of_call(const struct http_call *call, struct channel_info *ret);
