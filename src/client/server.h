/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - what a server is made of: private to client/server*.c.
 *
 *   server ── port (the listening socket, the exact limit), papers (certificates)
 *        └─── stall (one for each worker) ── front, its pool ─▶ HTTP/1.1, HTTP/2 ─▶ exchanges
 *
 * A stall and all that is in it belong to its worker's thread. What others want of it comes as a
 * note: an ask, which its sender waits for, or an errand, which frees itself.
 */
#pragma once
#include <weir/grpc.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/slots.h"
#include "client/ground.h"
#include "io/address.h"
#include "io/loop.h"
#include "io/tls_profile.h"
#include "listener/accept.h"
#include "listener/front.h"
#include "listener/http1.h"
#include "listener/http2.h"
#include "proto/http.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVER_EXCHANGES_MAX                                                                       \
    65536U                   /* open at one worker; memory that is never used costs nothing */
#define SERVER_LOOK_MS 1000U /* how often health is judged while something goes on */

enum exchange_state {
    EXCHANGE_GATHERING, /* its body is still to come, and the handler has not heard of it */
    EXCHANGE_OPEN,
    EXCHANGE_ANSWERING, /* the head of the answer is given */
    EXCHANGE_CALL,      /* of gRPC: its rpc knows */
};

struct weir_exchange {
    struct stall *stall;
    struct http_exchange *ex;
    const struct http_head *head; /* during on_request */
    struct http_head own;         /* of one that is gathered */
    char *text;                   /* what `own` points into */
    struct bytes body;
    uint64_t received; /* bytes of the body */
    uint64_t begun_ns;
    uint16_t status;    /* of the answer; 0: not yet */
    uint8_t state;      /* enum exchange_state */
    uint8_t version;    /* 10, 11, 20 */
    bool is_waited_for; /* its client waits for 100 before it sends the body */
    bool is_connect;    /* an answer of 2xx would open a WebSocket (RFC 8441 §5) */
    struct rpc *rpc;    /* NULL: it is no call of gRPC */
    void *user;
};

#define STALL_COUNTERS(ROW)                                                                        \
    ROW(answered)                                                                                  \
    ROW(answer_us)                                                                                 \
    ROW(bad)     /* answers of 5xx, and such as were not completed */                              \
    ROW(aborted) /* exchanges whose client left */                                                 \
    ROW(open)                                                                                      \
    ROW(added)                                                                                     \
    ROW(removed)

struct stall {
    struct weir_server *server;
    struct worker *worker;
    struct loop *loop;
    struct tls_desk *desk; /* NULL: no TLS */
    struct tls_server *tls;
    struct front *front;
    struct http1_listener *http1;
    struct http2_listener *http2; /* NULL: it is not spoken */
    weir_pool *pool;              /* the front's; NULL: closed */
    bool is_open, is_closing;
    struct slots exchanges;
    struct loop_timer look;
    struct worker_note update, health_changed;
    struct list watchers;                      /* of grpc.health.v1 */
    struct list ways;                          /* server_way.c */
    struct http_field fields[HTTP_FIELDS_MAX]; /* of the answer being written */
#define STALL_ROW(name) _Atomic uint64_t name;
    STALL_COUNTERS(STALL_ROW)
#undef STALL_ROW
};

/* Who a server says it is, and what it was told about that. */
struct papers {
    weir_server_tls_options opt; /* its strings are in `text` */
    char *text;
    struct tls_profile *profile; /* NULL: plain HTTP */
    struct tls_tickets *tickets;
};

#define SERVER_SERVICES_MAX 64U /* whose health is told, beside the server's own */

struct service_health {
    char *name;
    uint32_t state; /* WEIR_ON, WEIR_OFF */
};

/* What happened lately, halved every ten seconds. */
struct server_window {
    uint64_t begun_ms, since_ms; /* the halving; the word in force */
    uint64_t answered, bad, answer_us;
    uint64_t seen_answered, seen_bad, seen_us; /* of the counters, so far */
    _Atomic uint8_t health;                    /* weir_health */
};

struct weir_server {
    weir_runtime *runtime;
    const struct alloc *alloc;
    struct ground_member member; /* its name */
    const weir_server_handler *handler;
    const weir_grpc_service *grpc; /* NULL: there is none */
    void *self;
    weir_event_fn *on_event;
    void *event_arg;
    uint32_t events;
    char *address_given;
    char address[ADDRESS_TEXT_MAX];
    struct accept_port *port;
    _Atomic uint64_t body_max;
    atomic_bool limit_told;
    _Atomic uint32_t draining; /* stalls that are not drained yet */
    struct ground_wait drained;

    pthread_mutex_t mutex; /* of what follows */
    weir_server_options opt;
    struct papers papers; /* but for their profile and tickets, while it is opened */
    struct server_window window;
    struct service_health services[SERVER_SERVICES_MAX + 1]; /* the first is the server */
    uint32_t services_count;
    uint32_t stalls_count;
    struct stall stalls[];
};

static inline void stall_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* --- server_exchange.c --------------------------------------------------------------------------
 */

extern const struct http_handler server_handler; /* its self is a stall */

/* The exchange becomes another protocol's, and is answered for the program: its head and what is
 * under it. NULL: not during on_request. */
struct http_exchange *server_exchange_under(const weir_exchange *ex,
                                            const struct http_head **ret_head);
/* It did become that: 101 was said. The pointer is dead. */
void server_exchange_became(weir_exchange *take_ex);

/* The first field of that name, or NULL. */
const struct http_field *server_field_of(const struct http_head *head, struct slice name);
/* Bytes of their names and values, and copies whose text is put there: what follows it. */
size_t server_fields_size(const struct http_field *fields, size_t count);
char *server_fields_copy(const struct http_field *fields, size_t count, char *text,
                         struct http_field *ret_copies);
/* A field of the program's, for an answer: false, it cannot be. */
bool server_take_field(struct http_field *to, const weir_http_field *from);
/* It was answered, or will not be: the exchange is gone when this returns. */
void server_settle(struct weir_exchange *exchange, bool is_complete);
/* The same without an answer of ours. */
void server_forget(struct weir_exchange *exchange);
void server_refuse(struct http_exchange *ex, uint16_t status, struct slice reason);

/* --- server_way.c: a stream of HTTP/2 that is a WebSocket's (RFC 8441) --------------------------
 */

/* What follows the answer, which is a 200 without an end, is tunnel->stream's, whose taker is set.
 * 0: the exchange has become that (server_exchange_became), or -ENOMEM: nothing has changed. */
int server_way_open(weir_exchange *ex, const struct http_head *answer, struct http_tunnel *tunnel);
void server_ways_drain(struct stall *stall);
void server_ways_cut(struct stall *stall);

/* --- server_grpc.c ------------------------------------------------------------------------------
 */

/* NULL, or what is wrong with it. */
const char *rpc_check(const weir_grpc_service *service);
/* A call begins: the exchange may have ended when this returns. */
void rpc_open(struct weir_exchange *exchange, const struct http_head *head, bool end);
/* What the listener says of it. */
void rpc_body(struct weir_exchange *exchange, const char *data, size_t len);
void rpc_finish(struct weir_exchange *exchange);
void rpc_drain(struct weir_exchange *exchange);
void rpc_abort(struct weir_exchange *exchange, weir_err why);
void rpc_free(struct rpc *take_rpc); /* NULL is fine */
/* weir_grpc_end() was called: the program knows no more of it. */
bool rpc_has_ended(const struct rpc *rpc);

/* --- server_grpc_health.c -----------------------------------------------------------------------
 */

extern const weir_grpc_method health_methods[2];
void health_open(struct weir_server *server);
void health_changed(struct worker_note *note);
/* The server closes: those who watch are told, and let go. */
void health_close(struct stall *stall);
void health_fini(struct weir_server *server);

/* --- server_health.c ----------------------------------------------------------------------------
 */

/* The listener's refusals, and the pool's events. */
void server_on_full(void *self, enum accept_refusal why);
void server_on_event(void *self, const weir_event *event);
/* Something went on: health will be judged soon. */
void server_watch(struct stall *stall);
void server_look(struct loop_timer *timer, uint64_t now_ms);

/* --- server_stall.c -----------------------------------------------------------------------------
 * On the stall's thread, but for stall_heard().
 */

void stall_open(struct stall *stall, void *ret_error); /* int: 0 or -errno */
void stall_update(struct worker_note *note);           /* the options have changed */
/* A client that came otherwise. False: the stall is shut. */
bool stall_bring(struct stall *stall, int take_fd, const struct address *peer);
void stall_drain(struct stall *stall, void *grace_ms);
void stall_close(struct stall *stall, void *arg);
/* The sum of two counters, by where they are in http1_counters and http2_counters. */
uint64_t stall_heard(const struct stall *stall, size_t http1_at, size_t http2_at);

/* --- server_papers.c ----------------------------------------------------------------------------
 */

/* The first field that cannot be, or NULL. */
const char *papers_check(const weir_server_tls_options *opt);
/* Reads the files, where there are any. WEIR_EINVAL, WEIR_ENOMEM. Blocking. */
weir_err papers_read(const struct alloc *alloc, const weir_server_tls_options *opt, bool has_http2,
                     struct papers *ret_papers);
/* Do they name the same files? */
bool papers_are_like(const weir_server_tls_options *a, const weir_server_tls_options *b);
/* `next` in the place of `papers`, whose tickets stay good. */
void papers_renew(const struct alloc *alloc, struct papers *papers, struct papers *take_next);
void papers_fini(const struct alloc *alloc, struct papers *papers);

/* --- server.c -----------------------------------------------------------------------------------
 */

typedef void server_ask_fn(struct stall *stall, void *arg);
/* fn on the thread of the stall's worker, while this one waits: it may (ground_may_wait). */
void server_ask(struct stall *stall, server_ask_fn *fn, void *arg);
