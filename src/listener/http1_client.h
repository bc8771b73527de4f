/* SPDX-License-Identifier: Apache-2.0
 *
 * http1_client.h - one client of an HTTP/1.1 listener, and the request it is at. For
 * listener/http1*.c.
 *
 *            first byte         head complete        answered, and read to the end
 *   IDLE ----------------> HEAD --------------> OPEN ------------------> IDLE, or HEAD if it
 *    |                      |                    |                       had sent more
 *    |  time, drain         | 408, 400, …        | 408, 504, too much body to drain
 *    |                      v                    v
 *    |                    LINGER <---------------+        REFUSED: no seat; waits for a byte
 *    +-------+              |                    |           |     to answer it with 503
 *            +--------------+---- GONE <---------+-----------+
 *
 * An idle client is a `struct client` and its stream, nothing else: it is small, and there are
 * thousands. A request record comes from the listener's free list with the first byte and goes back
 * when the client is idle again.
 *
 * A client that was told 101 is a tunnel: its stream is somebody else's, who closes it, and what
 * the listener still has to know of it is a smaller record (http1_tunnel.c). The client is GONE.
 *
 * Two things go on in an OPEN request, each at its own pace: it is read, and it is answered. The
 * exchange is over when both have ended. `reading` and `answer` are the two.
 *
 * A client that is GONE has no stream and no request; its memory stays until the turn's end, since
 * the stack may still be in it.
 */
#pragma once
#include "base/bytes.h"
#include "base/list.h"
#include "base/uncounted.h"
#include "io/outbox.h"
#include "listener/drain.h"
#include "listener/guest.h"
#include "listener/http1.h"
#include "proto/http1.h"

enum client_state {
    CLIENT_IDLE,
    CLIENT_HEAD,
    CLIENT_OPEN,
    CLIENT_LINGER,
    CLIENT_REFUSED,
    CLIENT_GONE,
};

struct client {
    struct guest guest;  /* first: what the pool knows */
    struct node on_list; /* home->clients, or home->graves */
    struct http1_listener *home;
    struct stream *stream;
    union {
        struct request *request;    /* NULL while idle */
        struct http_tunnel *tunnel; /* GONE: what it became and still is, or NULL */
    };
    struct loop_timer timer; /* never later than the earliest deadline; may be early */
    weir_conn conn;          /* 0: the pool does not know it */
    uint32_t since;          /* when its state's clock began; low half of milliseconds */
    uint8_t state;           /* enum client_state */
    uint8_t wants;           /* what its stream was told */
    uint8_t refusal;         /* enum accept_refusal, while REFUSED */
    bool fresh : 1;          /* has not completed a head yet */
    bool seated : 1;         /* holds a seat at the door */
    bool ended : 1;          /* it will say no more (FIN) */
    bool favoured : 1;       /* its last request was: it closes after others */
    uint8_t address[16];
    struct http_ends ends;
};

enum reading {
    READING_HEAD,
    READING_BODY,    /* given to the handler */
    READING_NOTHING, /* a body nobody wants: read and forgotten */
    READING_DONE,
};

enum answer {
    ANSWER_NONE, /* no final head yet */
    ANSWER_BODY,
    ANSWER_ENDED,   /* the handler has no more to say, and hears no more */
    ANSWER_ABORTED, /* the same, and it is to be cut */
};

/* What the usual request touches comes first, and what its answer does before all: four cache
 * lines. */
struct request {
    struct http_exchange exchange; /* first */
    struct client *client;         /* NULL: on the free list */
    struct request *spare;         /* the next one on it */
    weir_lease lease;

    uint8_t reading; /* enum reading */
    uint8_t answer;  /* enum answer */
    uint8_t framing; /* of the answer: enum http_framing */
    uint8_t method_id;
    uint8_t minor;
    bool paused;        /* the handler wants no more of the body now */
    bool told;          /* the handler was given something in this read */
    bool headed;        /* the final head was given */
    bool keep;          /* the connection may carry another request */
    bool continued;     /* 100 was sent, or a byte of the body came */
    bool blocked;       /* `out` was, at the last flush */
    uint32_t forgotten; /* bytes of a body nobody wanted, or behind the last answer */
    uint64_t left;      /* of the answer's Content-Length */
    struct outbox out;
    struct bytes held;      /* read, and not used yet */
    uint64_t active_ms;     /* last byte either way; of the loop, like all times here */
    struct loop_later kick; /* to go on outside of a call of the handler */

    uint64_t measured_ms;
    uint64_t measured_bytes; /* of the body since then */
    struct http1_progress progress;
    struct http_peer peer;

    struct http1_body body;
    uint64_t due_ms;     /* when the reading is measured next */
    uint64_t blocked_ms; /* since when it takes nothing; meaningful while `out` is blocked */
};

_Static_assert(offsetof(struct request, measured_ms) <= HTTP_AHEAD_BYTES,
               "what an answer touches is fetched ahead");
#define REQUEST_HOT_BYTES offsetof(struct request, body)

struct http1_listener {
    struct loop *loop;
    weir_pool *pool;
    struct http1_listener_options opt; /* defaults filled in */
    const struct http_handler *handler;
    void *handler_self;
    struct accept_door *door; /* NULL: clients come by hand */
    struct http1_limits limits;

    struct list clients; /* every state but GONE */
    struct list graves;  /* GONE */
    struct list tunnels; /* http1_tunnel.c */
    struct loop_later bury;
    uint32_t refusals;      /* clients that the pool does not know */
    bool is_short;          /* keep-alive is half as long */
    struct client *feeding; /* whose bytes are being worked through now */
    struct request *spare;
    uint32_t spare_count;

    struct drain drain;

    struct http1_counters counters;
    struct cork cork;
    struct http_field fields[HTTP_FIELDS_MAX];
    struct http_field trailers[HTTP_FIELDS_MAX];
};

static inline void http1_tally(_Atomic uint64_t *counter, uint64_t n)
{
    if (IS_COUNTED)
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static inline uint64_t client_now_ms(const struct client *client)
{
    return loop_now_ms(client->home->loop);
}

static inline uint64_t later(uint64_t now_ms, uint32_t timeout_ms)
{
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : now_ms + timeout_ms;
}

/* Has the handler still to hear of this request? */
static inline bool request_is_heard(const struct request *request)
{
    return request->answer == ANSWER_NONE || request->answer == ANSWER_BODY;
}

/* --- http1_client.c: reading, and the turns of a client's life ------------------------------- */

/* A client on a stream, not yet known to pool or door: IDLE and fresh. NULL: no memory, and the
 * stream is closed. */
struct client *client_new(struct http1_listener *listener, struct stream *take_stream,
                          const uint8_t address[16]);
/* It has no place: waits for a byte, answers 503, lingers. */
void client_turn_away(struct client *client, enum accept_refusal why);
/* Ends it: pool and door are told, the handler is not. */
void client_close(struct client *client, weir_err why);
/* The same, after on_abort where a handler waits. */
void client_abort(struct client *client, enum http_fault fault, weir_err why);
/* It is GONE, its stream is the tunnel's: returns the lease of its request, which is over. */
uint64_t client_spend(struct client *client, struct http_tunnel *tunnel);
/* Who had a seat at the door, has none any more; one that became a tunnel had one. */
void http1_leave(struct http1_listener *listener, const uint8_t address[16]);
/* It speaks HTTP/2: these bytes begin with the preface. It is another reader's from now on. */
void client_hand_on(struct client *client, const char *at, size_t len);
/* The same as client_abort(), and the peer gets a reset. */
void client_reset(struct client *client, enum http_fault fault, weir_err why);
/* The exchange may have ended: goes on to the next request, lingers or closes. Nothing while its
 * bytes are worked through, which ends with it. */
void client_settle(struct client *client);
/* Tells the stream what it waits for. */
void client_want(struct client *client);
/* Has the timer fire not later than that. */
void client_arm(struct client *client, uint64_t deadline_ms);

/* A record for the client's next request; it is in HEAD then. NULL: no memory. */
struct request *request_new(struct client *client);
void request_end_lease(struct request *request);
void request_fill_peer(struct request *request);
void request_free_spare(struct http1_listener *listener);

/* --- http1_exchange.c: answering -------------------------------------------------------------- */

extern const struct http_exchange_ops http1_exchange_ops;
/* Sends what there is of the answer, and changes nothing else. True: the stream did not take all.
 */
bool http1_answer_flush(struct request *request);

/* --- http1_time.c ------------------------------------------------------------------------------
 */

void client_timer_fire(struct loop_timer *timer, uint64_t now_ms);
/* Arms the timer for what its state and its request wait for. */
void client_arm_state(struct client *client);
/* It is not likely to ask just now: a drain may close it. */
bool client_may_go(const struct client *client);
/* The reading of a body starts, or goes on after a pause. */
void request_measure(struct request *request, uint64_t now_ms);

/* --- http1_refuse.c: answers of the listener's own ---------------------------------------------
 */

/* Answers, and lingers. A handler that waits hears on_abort(fault) first; an answer under way is
 * cut instead. */
void client_refuse(struct client *client, const struct http1_refusal *refusal,
                   enum http_fault fault, weir_err why);
void client_refuse_bad(struct client *client, enum http1_error error);
void client_refuse_full(struct client *client);
/* Reads and forgets for a while, once all is said. */
void client_linger(struct client *client, weir_err why);
void client_linger_said(struct client *client);
void client_linger_read(struct client *client, size_t len);

/* --- http1_tunnel.c: those that were told 101 ------------------------------------------------- */

/* Its stream belongs to a tunnel from now on; the request is over. False: no memory. */
bool client_tunnel(struct client *client, struct http_tunnel *tunnel);
void http1_tunnels_drain(struct http1_listener *listener);
void http1_tunnels_cut(struct http1_listener *listener);
