/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - the back side of an exchange, whatever version of HTTP it is spoken in: the connector of
 * http and https.
 *
 * One per pool, on the loop of the pool's engine. It dials, with TLS where the key's scheme is
 * https, and then knows what is spoken: HTTP/1.1, one call at a time (http1.h), or HTTP/2, many
 * (http2.h). What a lease of the pool brings is a `struct http_link`: a connection that takes
 * calls. Whoever holds the lease opens one, gives it a request and hears of the answer through its
 * `struct http_caller` (proto/http.h); nothing above this file asks which version it was.
 *
 *     lease ──▶ http_call_open ──▶ request, body …, end, flush ──▶ on_head … on_end │ on_fail
 *                                                              └──▶ cancel
 *
 * The names that it dials are looked up again as their answers expire, and the pool is told
 * (names.h): connections to where a name no longer leads retire.
 *
 * How the lease ends: after on_end as `reusable` says, else by http_call_fate().
 *
 *     speaks   http://                        https://, by ALPN
 *     HTTP1    HTTP/1.1                       HTTP/1.1
 *     AUTO     HTTP/1.1                       HTTP/2 or HTTP/1.1, as the peer prefers
 *     HTTP2    HTTP/2 by prior knowledge      HTTP/2, or the dial fails
 *
 * A key of https:// whose `tls` ends with HTTP_KEY_HTTP1 is of connections where ALPN is offered
 * HTTP/1.1 alone: for a WebSocket, where the peer prefers HTTP/2 and takes none over it (RFC 8441).
 */
#pragma once
#include <weir/weir.h>

#include "connector/gate_place.h"
#include "proto/http.h"

struct cork;
struct dns;
struct loop;
struct stream;
struct tls_client;
struct tls_desk;

enum http_speaks { HTTP_SPEAKS_AUTO, HTTP_SPEAKS_HTTP1, HTTP_SPEAKS_HTTP2 };

#define HTTP_KEY_HTTP1 "+http/1.1"

struct http_connector_options {
    struct loop *loop;
    struct dns *dns;
    struct cork *cork;            /* of that loop */
    struct tls_desk *desk;        /* of that loop; where a key's scheme may be https */
    struct tls_client *tls;       /* offers what `speaks` says; borrowed */
    struct tls_client *proxy_tls; /* for proxies of "https://"; NULL: there are none; borrowed */
    unsigned announce_version;    /* of a PROXY header to begin with; 0: none */
    struct proxy_header (*announce)(const weir_key *key); /* what it says */
    struct gate *const *gates;                            /* of proxies that keys name; borrowed */
    uint32_t gates_count;
    enum http_speaks speaks;        /* stays */
    uint32_t connect_timeout_ms;    /* WEIR_NEVER, here and below: none */
    uint32_t tls_timeout_ms;        /* of the handshake alone */
    uint32_t first_byte_timeout_ms; /* from the end of the request */
    uint32_t read_timeout_ms;       /* between two reads of an answer */
    uint32_t write_timeout_ms;      /* while the peer takes nothing */
    uint32_t total_timeout_ms;      /* from the request's head to the answer's end */
    uint32_t header_bytes_max;      /* of an answer's head [32 KiB] */
    uint32_t headers_max;           /* fields in it [100] */
    uint32_t ping_interval_ms;      /* HTTP/2: silence after which a peer is asked [30 s] */
    uint32_t ping_timeout_ms;       /* … and this much later it is gone [5 s] */
    uint32_t ping_least_ms;         /* HTTP/2: never asked more often than this [0] */
};

struct http_connector;
struct proxy_header;
struct dial_result;

/* What the pool is told of a dial that ended so. */
weir_err http_err_of_dial(const struct dial_result *result);

int http_connector_new(const struct http_connector_options *opt,
                       struct http_connector **ret_connector); /* 0 or -errno */

/* Closes what is left. The engine must be gone, or its pool closed. */
void http_connector_free(struct http_connector *take_connector);

/* The time-outs of `opt`, and its pings where it says some, from the next call or dial on. */
void http_connector_update(struct http_connector *connector,
                           const struct http_connector_options *opt);

/* The TLS of `opt`, where there has been none. */
void http_connector_widen(struct http_connector *connector,
                          const struct http_connector_options *opt);

/* From now on https is spoken, too. */
void http_connector_secure(struct http_connector *connector, struct tls_desk *desk,
                           struct tls_client *tls);

/* The same for proxies of https://. */
void http_connector_secure_proxies(struct http_connector *connector, struct tls_desk *desk,
                                   struct tls_client *proxy_tls);

/* That one ends: where it is the one for endpoints, or for proxies, there is none any more. */
void http_connector_forget(struct http_connector *connector, const struct tls_client *tls);

/* As in the options, from the next dial on. */
void http_connector_announce(struct http_connector *connector, unsigned version,
                             struct proxy_header (*announce)(const weir_key *key));

/* Keys may name the proxies of these gates, too. 0 or -errno. */
int http_connector_pass_gates(struct http_connector *connector, struct gate *const *gates,
                              uint32_t count);

/* For weir_pool_options.connector, with the connector as .connector_self: the first where only
 * HTTP/1.1 is spoken, the other one asks idle connections by PING and leases streams. */
extern const weir_connector http_pool_connector;
extern const weir_connector http_pool_connector_shared;

/* The pool to report to; called once, right after it was opened. */
void http_connector_serve(struct http_connector *connector, weir_pool *pool);

/* Has this name looked up before the first dial to it, for a pool that warms up. */
void http_connector_learn(struct http_connector *connector, const char *host);

/* --- calls --------------------------------------------------------------------------------------
 */

struct http_link;

typedef void http_link_call_fn(void *arg, uint32_t stream, const struct http_call *call);

struct http_link_ops {
    struct http_call *(*call)(struct http_link *link, const struct http_caller *caller, void *user);
    /* The rest is between http.c and a version. */
    bool (*reusable)(struct http_link *link);
    void (*probe)(struct http_link *link); /* answers with weir_conn_up() or weir_conn_down() */
    /* Closes, and says weir_conn_down(); one that no pool knows cancels its call and is freed
     * later in the turn. */
    void (*close)(struct http_link *link, weir_err why);
    int (*fd)(struct http_link *link); /* its descriptor; -1: it has none */
    /* Off its loop, for another connector of the same kind; NULL: this one cannot. May be NULL. */
    struct http_parcel *(*detach)(struct http_link *take_link);
    /* Tells of each call that is under way, with its stream's number. NULL with HTTP/1.1. */
    void (*each)(const struct http_link *link, http_link_call_fn *fn, void *arg);
};

/* An idle connection between two loops. */
struct http_parcel {
    /* Is up at another connector, or, with NULL, closed. On any thread. */
    void (*land)(struct http_parcel *take_parcel, struct http_connector *connector, weir_conn id);
    struct gate *gate;       /* of the place that it has there, or NULL */
    struct gate_place place; /* while it lands */
};

struct http_link {
    const struct http_link_ops *ops;
    struct gate_place place; /* at the gate of its proxy; given with the stream's end */
};

/* Begins a call on a leased connection: `object` as the lease gave it. NULL: no memory, and the
 * lease is as good as before. A connection that has died meanwhile fails the call in a later event.
 */
static inline struct http_call *http_call_open(void *object, const struct http_caller *caller,
                                               void *user)
{
    struct http_link *link = object;
    return link->ops->call(link, caller, user);
}

/* The tunnel that a connection of a pool has become, or NULL. */
int http_link_fd(void *object);                     /* -1: it has none */
struct http_tunnel *http_link_tunnel(void *object); /* in http1_given.c */

static inline void http_link_each_call(const void *object, http_link_call_fn *fn, void *arg)
{
    const struct http_link *link = object;
    if (link->ops->each != NULL) {
        link->ops->each(link, fn, arg);
    }
}

/* What becomes of the lease of a call that failed or was cancelled. To be asked before either
 * returns; the call is not looked at again. */
static inline weir_fate http_call_fate(const struct http_call *call)
{
    return call->shared ? WEIR_KEEP : WEIR_BROKEN;
}

/* --- a connection that no pool knows, for one call (health checks) ------------------------------
 */

struct http_lone;
/* object: for http_call_open(); NULL: the dial failed. */
typedef void http_lone_fn(void *self, void *object);

/* Through a proxy with a gate it takes a place there, for which it waits half of its time, and its
 * turn among the dials under way, for which it waits until it is closed. done() comes once, never
 * from inside. The key's texts are borrowed until then. 0 or -errno. */
int http_lone_dial(struct http_connector *connector, const weir_key *to, uint32_t timeout_ms,
                   http_lone_fn *done, void *self, struct http_lone **ret_lone);
/* False: there was no place for it, or not yet. */
bool http_lone_was_begun(const struct http_lone *lone);
/* At any time: ends the dial, or cancels a call under way and closes. */
void http_lone_close(struct http_lone *take_lone);
