/* SPDX-License-Identifier: Apache-2.0
 *
 * channel_parts.h - what channel.c (its life), channel_pass.c (frames) and channel_side.c (how
 * bytes move) share; nobody else includes it.
 *
 * A side that is closed is never called back. A channel may end in most of the calls here; those
 * that may say so by what they return.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/channel.h"
#include "gateway/transit.h"

struct channel {
    struct node on_list; /* relay->channels.open */
    struct lane *lane;
    struct upstream *upstream;
    struct relay_series *series;
    struct transit *transit; /* of a client of HTTP/2; NULL: it is gone */
    struct loop_timer timer;
    weir_lease lease; /* of the upstream's connection */
    uint64_t begun_ns;
    uint32_t queue_us, first_byte_us;
    struct http_took took;
    uint32_t endpoint;
    uint32_t seat;      /* clients_give() */
    uint32_t client_no; /* has a place: relay_leave_place(); 0: none */
    uint32_t account;
    bool has_account;  /* has a request open on its books */
    uint32_t nonce;    /* of our pings */
    uint32_t state_ms; /* since when it is in its state */
    uint8_t state;     /* enum channel_state */
    uint8_t end;       /* enum channel_end */
    uint8_t bad;       /* enum ws_error, where a side's frames were */
    uint8_t retries;
    uint8_t affinity; /* enum affinity */
    bool deflate;
    bool is_reused;
    bool is_starved; /* what a side did not take could not be kept */
    uint8_t client_len, trace_len;
    uint16_t host_len, path_len;
    struct channel_side client, peer;
    char text[]; /* host, path, client, trace: for the log */
};

static inline struct channel *channel_of(struct channel_side *side)
{
    return side->is_upstream ? container_of(side, struct channel, peer)
                             : container_of(side, struct channel, client);
}

static inline struct channel_side *channel_other(struct channel_side *side)
{
    return side->is_upstream ? &channel_of(side)->client : &channel_of(side)->peer;
}

static inline struct relay *channel_relay(const struct channel *channel)
{
    return channel->lane->relay;
}

static inline uint32_t channel_now_ms(const struct channel *channel)
{
    return (uint32_t)loop_now_ms(channel->lane->relay->opt.loop);
}

/* --- channel.c ---------------------------------------------------------------------------------
 */

/* A side's own events; the channel may be gone when they return. */
void channel_heard(struct channel_side *side, char *at, size_t len);
void channel_drained(struct channel_side *side);
void channel_side_ended(struct channel_side *side); /* no byte will come any more */
void channel_broken(struct channel_side *side);
void channel_cut(struct channel_side *side); /* by whoever gave its stream */
void channel_departed(struct channel_side *side, bool is_broken);

/* Says close to both, as the table says, and lets them go. */
void channel_goodbye(struct channel *channel, enum channel_end why);

/* --- channel_pass.c ----------------------------------------------------------------------------
 */

enum channel_passed {
    CHANNEL_PASSED,
    CHANNEL_PASSED_BROKEN, /* the other side is */
    CHANNEL_PASSED_BAD,    /* `bad` says what is wrong with it */
    CHANNEL_PASSED_MEMORY,
};

/* The same for most that passes, while the channel is open: whole messages and nothing else. False:
 * it is something else, and nothing has happened. */
bool channel_pass_whole(struct channel_side *side, char *at, size_t len, bool *ret_is_broken);
/* What came from `side` goes to the other one. `is_mute`: it is looked at, and goes nowhere. */
enum channel_passed channel_pass(struct channel_side *side, char *at, size_t len, bool is_mute);
/* May something be put between two frames to it? */
bool channel_may_say(const struct channel_side *to);
/* A ping of ours, or a close frame. False: it is broken. */
bool channel_say(struct channel_side *to, enum ws_opcode opcode, struct slice payload);
/* The payload of our pings. */
void channel_ping_payload(const struct channel *channel, char ret[CHANNEL_PING_LEN]);

/* --- channel_side.c ----------------------------------------------------------------------------
 */

extern const struct channel_side_ops channel_tunnel_ops;   /* HTTP/1.1, either way */
extern const struct channel_side_ops channel_exchange_ops; /* HTTP/2, a client */
extern const struct channel_side_ops channel_call_ops;     /* HTTP/2, an upstream */
extern const struct http_caller channel_caller;            /* `user` is the side */
extern const struct http_tunneler channel_tunneler;

/* Its stream is the side's: events come from now on. */
void channel_tunnel_begin(struct channel_side *side);
/* Of channels->drain: WebSockets are told to go away. */
void channels_let_go(struct drain *drain, uint32_t part);
