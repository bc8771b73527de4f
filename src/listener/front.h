/* SPDX-License-Identifier: Apache-2.0
 *
 * front.h - the clients of one listener on one worker, from the door to the reader of the protocol
 * they speak.
 *
 *     accept ──▶ seat ──▶ PROXY header, ──▶ TLS handshake, ──▶ ALPN ──▶ http1 | http2
 *                │        where one comes   where there is TLS
 *                └─ none: refused by the reader (503)
 *
 * Handshakes under way are bounded as clients are: each has a seat. A PROXY header
 * (proto/proxy_protocol.h) is taken from trusted addresses alone, and the client is from then on
 * who the header says it is: for limits, logs and handlers. Of what comes behind it nothing is
 * touched.
 *
 * The front owns the door and the pool "listener:NAME"; readers own their clients. A client keeps
 * its seat from accept until its reader calls front_leave(), or its handshake failed.
 *
 * Without TLS every client goes to the reader of HTTP/1.1: who begins with the preface of HTTP/2 is
 * handed on from there, by front_hand_on(), since looking before costs a system call each.
 */
#pragma once
#include <weir/weir.h>

#include "io/tls.h"
#include "listener/accept.h"
#include "listener/drain.h"
#include "proto/http.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct front;
struct idlers;

/* Where a client is to say who it is from. */
enum front_header { FRONT_HEADER_OFF, FRONT_HEADER_ACCEPT, FRONT_HEADER_REQUIRE };

/* How it went with a client's PROXY header. */
#define FRONT_HEADERS(ROW)                                                                         \
    ROW(named, "it named a client")                                                                \
    ROW(local, "the connection is the proxy's own")                                                \
    ROW(none, "there was none, and none was required")                                             \
    ROW(bad, "what came is no header, and one was required")                                       \
    ROW(timeout, "it took too long")                                                               \
    ROW(untrusted, "one was required, and the address is not trusted")

struct front_counters {
#define FRONT_ROW(name, text) _Atomic uint64_t name;
    FRONT_HEADERS(FRONT_ROW)
#undef FRONT_ROW
};

struct front_client {
    uint8_t address[16];
    struct http_ends ends;
    bool is_seated; /* false: it is to be told that there is no place, and why */
    enum accept_refusal why;
    bool is_tls;
    const char *server_name; /* SNI; "" none; lives as long as the stream */
    const char *ahead;       /* bytes that were read already (front_hand_on) */
    size_t ahead_len;
};

/* The reader of one protocol. */
struct front_reader {
    /* Takes the stream in any case; gives the seat back itself, with front_leave(). */
    void (*serve)(void *self, struct stream *take_stream, const struct front_client *client);
    /* As in http1_listener_drain(). May be called again, when clients came since. */
    void (*drain)(void *self, struct drain_time time, void (*on_drained)(void *arg), void *arg);
    /* As front_shorten() and front_offer_idle(). */
    void (*shorten)(void *self, bool is_short);
    void (*offer_idle)(void *self, struct idlers *idlers);
    void *self;
};

struct front_options {
    const char *name; /* of the listener; outlives it */
    weir_engine *engine;
    uint32_t max_connections;
    struct tls_desk *desk;   /* NULL: plain */
    struct tls_server *tls;  /* borrowed, like the desk */
    uint32_t tls_timeout_ms; /* [TLS_TIMEOUT_MS] */
    /* Told of each handshake that failed, for logs. May be NULL. */
    void (*on_tls_failed)(void *self, const uint8_t address[16], const struct tls_result *result);
    void *self;
    enum front_header header;
    uint32_t header_timeout_ms; /* from accept to the header's end */
    /* Whose header is believed. */
    bool (*trusts)(const void *self, const uint8_t address[16]);
    const void *trusts_self;
    bool tells_ends; /* clients are to know whom they reached */
};

int front_new(struct loop *loop, const struct front_options *opt, struct front **ret_front);
/* Who reads HTTP/1.1 and who reads HTTP/2; without the latter h2 is not to be offered. Before
 * front_accept(). */
void front_read_with(struct front *front, const struct front_reader *http1,
                     const struct front_reader *http2);
weir_pool *front_pool(const struct front *front);
/* Its time-outs, headers and whose are believed, TLS and tells_ends are those from now on, for
 * clients to come; the rest stays. */
void front_update(struct front *front, const struct front_options *opt);
struct accept_door *front_door(const struct front *front); /* NULL: not yet */

typedef bool front_post_fn(void *self, uint32_t worker, void (*run)(void *arg, uint64_t value),
                           void *arg, uint64_t value);
/* From the next turn on. 0 or -errno. */
int front_accept(struct front *front, struct accept_port *port, uint32_t worker,
                 front_post_fn *post, void *post_self);

/* From now on idle clients may stay for half of the keep-alive time-out; or for all of it again.
 * Those who are favoured (http_exchange) always may. */
void front_shorten(struct front *front, bool is_short);
/* Names its idle clients to one who means to close some. */
void front_offer_idle(struct front *front, struct idlers *idlers);
/* As accept_door_pace(). */
void front_pace(struct front *front, uint32_t clients);

/* A seat is free again. */
void front_leave(struct front *front, const uint8_t address[16]);
/* From the reader of HTTP/1.1 to that of HTTP/2: what was read begins with the latter's preface.
 * The seat goes along, or that there is none. The caller has forgotten the stream, and the bytes
 * are borrowed. */
void front_hand_on(struct front *front, struct stream *take_stream,
                   const struct front_client *client);
bool front_has_http2(const struct front *front);
/* A client that came otherwise, under the same limits, as if it had come through the door. */
void front_bring(struct front *front, int take_fd, const struct address *peer);

/* Takes what waits in the backlog, then no more; readers drain; on_drained(arg) once none of them
 * has a client and no handshake is under way. */
void front_drain(struct front *front, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg);
/* As accept_door_pause() and _resume(). */
void front_pause(struct front *front);
void front_resume(struct front *front);
/* Nobody comes through the door any more, and nobody waits there whom nobody else takes: before a
 * drain, of a port that another process has as well. */
void front_shut_door(struct front *front);
/* Any thread may read them. */
const struct front_counters *front_counters(const struct front *front);

/* Shuts the door and cuts handshakes; before the readers are freed. */
void front_shut(struct front *front);
/* After them: no client is left. Closes door and pool. */
void front_free(struct front *take_front);
