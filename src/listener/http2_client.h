/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_client.h - one client of an HTTP/2 listener, its session, and its streams. For
 * listener/http2*.c.
 *
 *   OPEN ──────────────▶ LINGER ────────────▶ GONE
 *     │  our last word:     what the client    ▲
 *     │  GOAWAY, all sent   still says is read │
 *     └────────────────────────────────────────┘ it left, or broke
 *
 * nghttp2 frames, compresses and keeps the states of streams; it is fed with what one read brought,
 * and asked for what is to be sent once a turn, by `send`, outside of all calls: so what many
 * streams say in a turn is one write. Bodies go from the handler's buffer into the stream's, and
 * from there to the socket.
 *
 * A stream's record lives until its stream has closed and its handler hears no more of it,
 * whichever comes last. Records come from the listener's free list.
 *
 * A client that is GONE has no stream and no session; its memory stays until the turn's end, since
 * the stack may still be in it.
 */
#pragma once
#include "base/bytes.h"
#include "base/check.h"
#include "base/list.h"
#include "base/shelf.h"
#include "io/outbox.h"
#include "listener/drain.h"
#include "listener/guest.h"
#include "listener/http2.h"
#include "proto/http2_request.h"
#include "proto/http2_scan.h"

#include <nghttp2/nghttp2.h>
#include <stddef.h>

#define HTTP2_RESETS_KEPT 64U

enum http2_state { HTTP2_OPEN, HTTP2_LINGER, HTTP2_GONE };

/* Of the goodbye: a notice that names no stream, then the last one that counts (RFC 9113 §6.8). */
enum http2_leaving { HTTP2_STAYING, HTTP2_NOTICED, HTTP2_LEAVING };

struct http2_client {
    struct guest guest;  /* first */
    struct node on_list; /* home->clients, or home->graves */
    struct http2_listener *home;
    struct stream *stream;
    nghttp2_session *session;
    struct loop_timer timer; /* never later than the earliest deadline; may be early */
    struct loop_later send;
    weir_conn conn;
    uint8_t state;   /* enum http2_state */
    uint8_t leaving; /* enum http2_leaving */
    uint8_t flood;   /* enum http2_flood: the first budget that was passed */
    uint8_t wants;   /* what its stream was told */
    weir_err why;    /* it ends, once all is said */
    bool ending : 1;
    bool seated : 1;
    bool ended : 1;          /* it will say no more (FIN) */
    bool fresh : 1;          /* has opened no stream yet */
    bool feeding : 1;        /* its bytes are being worked through */
    bool sending : 1;        /* its frames are being gathered */
    bool full : 1;           /* the cork is, for now */
    bool pinged : 1;         /* a PING of ours waits for its answer */
    bool blocked : 1;        /* `out` was, at the last flush */
    bool greeted : 1;        /* our SETTINGS were framed */
    bool is_grpc : 1;        /* has carried a call of gRPC */
    bool is_starved : 1;     /* its session was refused memory */
    bool is_favoured : 1;    /* its last stream was: it closes after others */
    bool is_turned_away : 1; /* no client of the pool's: it is to hear that there is no place */
    uint8_t refusal;         /* enum accept_refusal: why */
    uint8_t block;           /* enum http2_block: of the last frame that began */

    struct list streams; /* open: struct http2_stream, the oldest first */
    struct list laden;   /* of these, that have some of a body to send, or a giver that waits */
    struct list told;    /* of these, whose handler was told something in this read */
    struct list over;    /* closed while frames are being gathered: freed when they are sent */
    struct http2_request *request; /* a header block is being read into it */
    struct outbox out;
    struct http2_budget budget;
    size_t memory;                     /* nghttp2's */
    struct http2_memory *kept;         /* of it, freed since it was refused some */
    size_t pending;                    /* bytes of answers in its streams */
    uint32_t withheld;                 /* bytes of paused bodies, */
    uint32_t debt;                     /* and of these, what the connection's window waits for */
    int32_t last_id;                   /* of the streams it opened */
    int32_t begun;                     /* the stream whose body this frame may go on with; or 0 */
    int32_t resets[HTTP2_RESETS_KEPT]; /* the last ones that we reset: the client cannot know yet */
    uint8_t resets_at;
    struct http2_scan scan;
    uint64_t since_ms;   /* accept, or the end of its last stream */
    uint64_t block_ms;   /* when the header block began; 0: none is open */
    uint64_t active_ms;  /* the last byte of it */
    uint64_t blocked_ms; /* since when it takes nothing */
    uint64_t leaving_ms; /* when the last word is due, or was said */
    uint64_t aged_ms;    /* when it is too old for gRPC */
    uint32_t forgotten;  /* bytes, while LINGER */
    struct http_peer peer;
    struct http_ends ends;
};

/* Is a header block incomplete? Yes, until its last frame is. */
enum http2_block { HTTP2_BLOCK_NONE, HTTP2_BLOCK_OPEN, HTTP2_BLOCK_LAST };

enum http2_reading { HTTP2_READING_BODY, HTTP2_READING_DONE };

enum http2_answer {
    HTTP2_ANSWER_NONE, /* no final head yet */
    HTTP2_ANSWER_BODY,
    HTTP2_ANSWER_ENDED,   /* the handler has no more to say, and hears no more */
    HTTP2_ANSWER_ABORTED, /* the same, and it is to be cut behind what there is */
};

struct http2_stream {
    struct http_exchange exchange; /* first */
    struct http2_client *client;   /* NULL: it is closed, or the record is on the free list */
    struct http2_listener *home;
    struct node on_client; /* client->streams or ->over */
    struct node on_laden;  /* client->laden */
    struct node on_told;   /* client->told */
    struct http2_stream *spare;
    weir_lease lease;
    int32_t id;
    uint8_t reading; /* enum http2_reading */
    uint8_t answer;  /* enum http2_answer */
    uint8_t framing; /* of the answer: enum http_framing */
    uint8_t method_id;
    bool is_grpc;          /* a call of gRPC */
    bool paused;           /* the handler wants no more of the body now */
    bool headed;           /* the final head was given */
    bool closed;           /* by nghttp2 */
    bool bad;              /* by its own fault */
    bool deferred;         /* nghttp2 waits for a body */
    bool waits;            /* its giver, for a drain */
    bool untimed;          /* the handler keeps its time */
    uint32_t withheld;     /* bytes of the body whose window was not given back */
    uint32_t framed;       /* of `body`, given to the outbox */
    uint64_t left;         /* of the answer's Content-Length */
    struct bytes body;     /* of the answer */
    struct bytes trailers; /* of the answer: names and values, each behind its length */
    uint64_t active_ms;    /* last byte either way */
    uint64_t measured_ms, measured_bytes, due_ms; /* of the request's body */
    uint64_t blocked_ms;                          /* since when its window is shut; 0: it is not */
    uint64_t blocked_bytes;                       /* sent since then */
};

struct http2_listener {
    struct loop *loop;
    weir_pool *pool;
    struct front *front;
    struct http2_listener_options opt; /* defaults filled in */
    struct http2_limits limits;
    const struct http_handler *handler;
    void *handler_self;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    struct list clients; /* every state but GONE */
    struct list graves;  /* GONE */
    struct loop_later bury;
    struct http2_stream *spare;
    uint32_t spare_count;
    struct shelf shelf;                  /* nghttp2's blocks */
    uint32_t refusals;                   /* of clients: turned away */
    bool is_short;                       /* keep-alive is half as long */
    struct http2_request *spare_request; /* at most one is kept */

    struct drain drain;

    struct http2_counters counters;
    struct cork cork;
    struct http_field fields[HTTP_FIELDS_MAX];
    nghttp2_nv nva[2 * HTTP_FIELDS_MAX];
};

static inline void http2_tally(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static inline uint64_t http2_now_ms(const struct http2_client *client)
{
    return loop_now_ms(client->home->loop);
}

/* Has the handler still to hear of this stream? */
static inline bool http2_is_heard(const struct http2_stream *stream)
{
    return stream->answer == HTTP2_ANSWER_NONE || stream->answer == HTTP2_ANSWER_BODY;
}

/* --- http2_client.c: a client's life, reading and writing --------------------------------------
 */

struct http2_client *http2_client_new(struct http2_listener *listener, struct stream *take_stream,
                                      const struct front_client *from);
/* Bytes that were read before. */
void http2_client_feed(struct http2_client *client, const char *at, size_t len);
/* Ends it: handlers hear on_abort; pool and front are told. */
void http2_client_close(struct http2_client *client, enum http_fault fault, weir_err why);
/* Says goodbye with that code once what is due was sent; open streams are cut. */
void http2_client_end(struct http2_client *client, uint32_t code, weir_err why);
void http2_client_calm(struct http2_client *client, enum http2_flood flood);
/* nghttp2 was refused memory, and can do nothing more: the connection closes at the turn's end. */
void http2_client_no_memory(struct http2_client *client);
/* The first and the second step of a goodbye that lets open streams end. */
void http2_client_notice(struct http2_client *client);
void http2_client_last_word(struct http2_client *client);
/* What comes for a stream that we have reset is forgotten: the client cannot know yet. */
void http2_client_forget(struct http2_client *client, int32_t id);
/* Something is to be sent, at the turn's end. */
void http2_client_soon(struct http2_client *client);
void http2_client_want(struct http2_client *client);

/* --- http2_frames.c: what nghttp2 tells ----------------------------------------------------------
 */

int http2_frames_open(struct http2_listener *listener); /* callbacks and options; 0 or -ENOMEM */
void http2_frames_close(struct http2_listener *listener);
int http2_session_open(struct http2_client *client); /* 0 or -ENOMEM */
void http2_session_close(struct http2_client *client);

/* --- http2_stream.c: records, and answering
 * ------------------------------------------------------- */

extern const struct http_exchange_ops http2_exchange_ops;

struct http2_stream *http2_stream_new(struct http2_client *client, int32_t id);
/* Its stream is closed: the handler is told, where it still listens; the record goes. */
void http2_stream_close(struct http2_stream *stream, enum http_fault fault);
/* The record of a closed stream whose frames were sent. */
void http2_stream_bury(struct http2_stream *stream);
void http2_stream_reset(struct http2_stream *stream, uint32_t code);
/* An answer of the listener's own, or a reset where one has begun; the handler hears on_abort. */
void http2_stream_refuse(struct http2_stream *stream, const struct http1_refusal *refusal,
                         enum http_fault fault);
void http2_stream_drained(struct http2_stream *stream);
void http2_stream_free_spare(struct http2_listener *listener);
/* Of the body: nghttp2 asks for more. */
ssize_t http2_body_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user);
int http2_body_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                    size_t length, nghttp2_data_source *source, void *user);

/* --- http2_time.c
 * --------------------------------------------------------------------------------- */

void http2_timer_fire(struct loop_timer *timer, uint64_t now_ms);
/* Has the timer fire not later than that. */
void http2_arm(struct http2_client *client, uint64_t deadline_ms);
void http2_arm_client(struct http2_client *client);
void http2_arm_stream(struct http2_stream *stream);
static inline uint64_t http2_later(uint64_t now_ms, uint32_t timeout_ms)
{
    return timeout_ms == WEIR_NEVER ? UINT64_MAX : now_ms + timeout_ms;
}
