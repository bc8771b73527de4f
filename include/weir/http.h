/* SPDX-License-Identifier: Apache-2.0
 *
 * http.h - an HTTP client on pooled connections: asynchronous with streaming bodies, or blocking.
 *
 *     weir_http_client *client;
 *     weir_http_client_new(runtime, NULL, &client);
 *
 *     weir_http_answer *answer;
 *     const weir_http_request request = {.url = "http://127.0.0.1:8080/hello"};
 *     if (weir_http_fetch(client, &request, &answer) == WEIR_OK) {
 *         ... weir_http_status(answer), weir_http_body(answer) ...
 *         weir_http_answer_free(answer);
 *     }
 *
 * A client is a keyed pool (profile http-client: at most 100 connections, 30 to a host, exactly,
 * whatever the number of workers) and the rules of HTTP: it follows redirects, sends a request
 * again when its idle connection turns out to be dead and nothing was lost, and keeps time.
 *
 * Rules:
 *  1. Functions may be called from any thread, but for what says otherwise at its place.
 *  2. A request that was taken ends with exactly one on_end, on the thread of a worker, in a later
 * event: never inside a call of this header.
 *  3. Callbacks of one request come one after the other, on one thread. They may call everything
 * but weir_http_fetch() and weir_http_client_free(), which answer WEIR_ESTATE there.
 *  4. What is passed in is copied before the call returns, but for the handler and a body with
 * WEIR_HTTP_BORROW. What a callback is given is valid until it returns.
 *  5. A request sent from a callback stays on its worker; one sent from elsewhere goes to the
 * worker that its host is assigned to, so that connections of a host are found again.
 *  6. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_HTTP_H
#define WEIR_HTTP_H

#include <weir/runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Text in somebody else's memory. It does not end with a NUL. */
typedef struct weir_text {
    const char *at; /* NULL: there is none */
    size_t len;
} weir_text;

/* --- the client ---------------------------------------------------------------------------------
 */

typedef struct weir_http_client weir_http_client;

/* https://. Files are PEM, read when the client is made. */
typedef struct weir_tls_options {
    const char *ca;          /* the authorities to trust [the system's] */
    const char *certificate; /* ours, then its intermediates [none] */
    const char *key;         /* its private key */
    uint32_t verify;         /* WEIR_OFF: takes whatever certificate it is shown [WEIR_ON] */
} weir_tls_options;

typedef struct weir_http_client_options {
    size_t size;
    /* The pool's options; zero means the number of the profile http-client, and for
     * first_byte_timeout_ms that of read_timeout_ms. total_timeout_ms covers a request from
     * weir_http_send() to the last byte of the last answer. `name` is unique in the runtime
     * [http-client, http-client-2, ...]; `connector` and `connector_self` stay NULL. */
    weir_pool_options pool;
    uint32_t requests_max;     /* taken and not ended, at most [10 000] */
    uint32_t redirects_max;    /* followed for one request; WEIR_NONE: none is [10] */
    uint32_t decompress;       /* ask for gzip and deflate, and undo them [WEIR_OFF] */
    uint32_t retry_budget_pct; /* repetitions, in percent of requests; 10 per second beside [20] */
    uint32_t dns_ttl_ms;       /* a name's addresses are kept for at most [300 s] */
    uint32_t header_bytes_max; /* of an answer's head [32 KiB] */
    uint32_t headers_max;      /* fields in it, at most 256 [100] */
    uint64_t answer_max;       /* body bytes that weir_http_fetch() gathers [16 MiB] */
    uint64_t inflated_max;     /* what one body may decompress to [256 MiB] */
    const char *user_agent;    /* "": none [weir/VERSION] */
    const char *dns_servers;   /* "127.0.0.1:5353,[::1]:53" [/etc/resolv.conf] */
    /* Of its pool, or NULL: each worker that it was used on tells of its own part, on its thread;
     * event->pool is NULL. */
    weir_event_fn *on_event;
    void *event_arg;
    uint32_t events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
    weir_tls_options tls;
    /* Speak HTTP/2, by prior knowledge or by ALPN: many requests at a time over each connection
     * [WEIR_OFF] */
    uint32_t http2;
    /* What connections go through, and never without: as weir_key.proxy, user and password with
     * %xx where they hold one of ":@/%"; socks5://, http:// (CONNECT) or https:// (CONNECT, in
     * TLS). Names are resolved by the proxy. [none] */
    const char *proxy;
    weir_tls_options proxy_tls; /* how proxies of https:// are known */
} weir_http_client_options;

/* opt may be NULL. Costs no system call: connections, names and the rest come with the first
 * request. WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EEXISTS: the name is taken;
 * WEIR_ENOMEM; WEIR_ECLOSED: the runtime is closing. */
WEIR_API weir_err weir_http_client_new(weir_runtime *runtime, const weir_http_client_options *opt,
                                       weir_http_client **ret_client);

/* Ends all its requests with WEIR_ECLOSED, closes its connections and returns when the last
 * callback has. Before weir_runtime_close(). WEIR_ESTATE: this is one of the runtime's callbacks,
 * and nothing was done. NULL is fine. */
WEIR_API weir_err weir_http_client_free(weir_http_client *take_client);

/* As it was given, or chosen. */
/* The client of that name (without a name: any) whose options are equal, else a new one, else
 * WEIR_EEXISTS. Whoever shares a client agrees on who frees it. */
WEIR_API weir_err weir_http_client_get(weir_runtime *runtime, const weir_http_client_options *opt,
                                       weir_http_client **ret_client);
WEIR_API weir_http_client *weir_http_client_find(weir_runtime *runtime,
                                                 const char *name); /* or NULL */

/* "http-client", or what it was named. */
WEIR_API const char *weir_http_client_name(const weir_http_client *client);
/* The pool's options in force, defaults filled in. */
WEIR_API void weir_http_client_options_of(const weir_http_client *client,
                                          weir_pool_options *ret_opt);
/* All or nothing; the name stays. New limits and time-outs act soon on every worker, time-outs from
 * the next request on. WEIR_EINVAL. */
WEIR_API weir_err weir_http_client_update(weir_http_client *client, const weir_pool_options *opt);
/* Idle connections close, used ones when their request has ended; addresses are looked up anew. */
WEIR_API void weir_http_client_flush(weir_http_client *client);

/* How many, and of how many. */
typedef struct weir_http_stats {
    size_t size;
    uint32_t total;             /* connections, in all states */
    uint32_t acquired;          /* of them those that carry a request */
    uint32_t max, max_per_host; /* the limits of `total` */
    uint32_t idle, dialling;    /* of the total */
    uint32_t requests;          /* taken and not ended */
    uint32_t waiting;           /* of them those that wait for a connection */
    uint64_t sent;              /* requests taken, in all */
    uint64_t answered;          /* of them those that ended with an answer */
    uint64_t failed;            /* and without one */
    uint64_t reused;            /* answers over a connection that had served before */
    uint64_t created, closed;   /* connections */
    uint64_t redirects;         /* followed */
    uint64_t retries;           /* requests sent again */
    uint64_t bytes_in;          /* of bodies, as they came */
    uint64_t bytes_out;         /* of bodies */
} weir_http_stats;

/* Never waits; each worker's part is as of the end of its last turn. */
WEIR_API void weir_http_client_stats(const weir_http_client *client, weir_http_stats *ret_stats);

/* All clients and their figures at once, in the order in which they were made. The function returns
 * false to stop; it makes and frees no client or server. */
WEIR_API void weir_runtime_each_client(weir_runtime *runtime,
                                       bool (*fn)(void *arg, weir_http_client *client,
                                                  const weir_http_stats *stats),
                                       void *arg);

/* A variable that frees its client when its scope ends:
 *
 *     WEIR_SCOPED(client) client = NULL;
 *     if (weir_http_client_new(runtime, NULL, &client) != WEIR_OK) { return; } */
typedef weir_http_client *weir_scoped_client;
WEIR_API void weir_scoped_client_end(weir_scoped_client *client);

/* --- a request ----------------------------------------------------------------------------------
 */

/* A request under way; a value. A stale one is answered WEIR_ESTALE. */
typedef struct weir_http_call {
    uint64_t id;
} weir_http_call;

typedef struct weir_http_field {
    const char *name, *value;
    bool secret; /* never told to another origin than the first (beside those that never are) */
} weir_http_field;

enum {
    WEIR_HTTP_BORROW = 1,      /* body stays where it is until on_end; it is not copied */
    WEIR_HTTP_NO_REDIRECT = 2, /* an answer of 3xx is an answer */
    WEIR_HTTP_IDEMPOTENT = 4,  /* may be done twice, whatever its method */
    WEIR_HTTP_RAW = 8          /* no Accept-Encoding is added, no body decompressed */
};

#define WEIR_HTTP_UNKNOWN UINT64_MAX /* a body's length: it ends when `pull` says so */

typedef struct weir_http_request {
    size_t size;
    const char *method; /* [GET] */
    /* "http://host[:port][/path][?query]"; a fragment is dropped, what no URL may hold is refused.
     * No user or password. */
    const char *url;
    /* Host, where given, replaces the URL's. What frames a message is weir's: Content-Length,
     * Transfer-Encoding, Connection, Keep-Alive, TE, Trailer, Upgrade, Expect are WEIR_EINVAL. */
    const weir_http_field *fields;
    size_t field_count;
    const void *body;    /* all of it; NULL with body_len > 0: the handler's `pull` brings it */
    uint64_t body_len;   /* WEIR_HTTP_UNKNOWN: `pull` says where it ends */
    uint32_t flags;      /* WEIR_HTTP_BORROW | … */
    uint32_t timeout_ms; /* of all of it [total_timeout] */
    uint64_t answer_max; /* for weir_http_fetch() [the client's] */
    const char *tenant;  /* whose connections it may use: as in weir_key */
    const char *source;  /* local address to send from: as in weir_key */
    const char *proxy;   /* instead of the client's; "": none [the client's] */
    uint64_t tag;        /* yours: told with lease_overdue and in listings */
} weir_http_request;

/* An answer: the head during on_head, all of it from weir_http_fetch(). */
typedef struct weir_http_answer weir_http_answer;

/* How a request went. */
typedef struct weir_http_result {
    size_t size;
    uint16_t status;        /* of the last answer that began; 0: none */
    bool reused;            /* the connection had served before */
    uint32_t redirects;     /* followed */
    uint32_t retries;       /* repetitions */
    uint64_t body_bytes;    /* as told to on_body */
    uint32_t wait_us;       /* until there was a connection, the last time */
    uint32_t first_byte_us; /* from then to the answer's head */
    uint32_t total_us;      /* from weir_http_send() */
} weir_http_result;

/* What `pull` may return beside a number of bytes. */
#define WEIR_HTTP_LATER ((size_t)-1) /* nothing now: weir_http_resume() has it asked again */
#define WEIR_HTTP_FAIL  ((size_t)-2) /* there will be no more: the request ends, WEIR_ECANCELED */

/* What a request tells its sender; the struct outlives the request. All may be NULL but on_end. */
typedef struct weir_http_handler {
    size_t size;
    /* The final answer's head. Return false to have its body held back until weir_http_resume(). */
    bool (*on_head)(void *arg, const weir_http_answer *answer);
    /* Some of its body. Return false to have no more until weir_http_resume(); what was read by
     * then, at most one buffer, may still come. */
    bool (*on_body)(void *arg, const void *data, size_t len);
    /* It is over. err says why there is no complete answer. */
    void (*on_end)(void *arg, weir_err err, const weir_http_result *result);
    /* Writes up to `cap` bytes of the request's body to `buf` and says how many; 0: that was all
     * (which ends a body of a known length too early: WEIR_ECANCELED); or WEIR_HTTP_LATER. Asked
     * only while the peer takes them. */
    size_t (*pull)(void *arg, void *buf, size_t cap);
    /* Begin again at the body's first byte: for a repetition or a redirect. False, or NULL: it
     * cannot be sent twice. */
    bool (*rewind)(void *arg);
    /* The fields that came behind the answer's body, if any did; before on_end. */
    void (*on_trailers)(void *arg, const weir_http_answer *trailers);
} weir_http_handler;

/* Sends. Errors, after which nothing more happens: WEIR_EINVAL (weir_runtime_fault() names the
 * field), WEIR_EFULL: requests_max; WEIR_ENOMEM, WEIR_ECLOSED.
 *
 * What on_end may bring beside WEIR_OK: what weir_acquire() and a grant may; WEIR_EPROXY: the proxy
 * is not there, refused, or failed, and the target was not asked otherwise; WEIR_ERESET,
 * WEIR_EHANGUP (before a byte of an answer came), WEIR_EPROTOCOL, the time-outs, WEIR_ETLS and its
 * kin, WEIR_EREDIRECTS: too many, or none of a kind that can be followed; WEIR_EINFLATE: the body
 * does not decompress; WEIR_ETOO_LARGE: answer_max or inflated_max; WEIR_ECANCELED; WEIR_ECLOSED.
 */
WEIR_API weir_err weir_http_send(weir_http_client *client, const weir_http_request *request,
                                 const weir_http_handler *handler, void *arg,
                                 weir_http_call *ret_call);

/* Ends it: on_end brings WEIR_ECANCELED. WEIR_ESTALE: it has ended. */
WEIR_API weir_err weir_http_cancel(weir_http_client *client, weir_http_call call);
/* Lets a body go on that on_head, on_body or pull has held back. WEIR_ESTALE: it has ended. */
WEIR_API weir_err weir_http_resume(weir_http_client *client, weir_http_call call);

/* Sends, waits, and gathers the whole answer. The errors of weir_http_send() and of on_end;
 * WEIR_ESTATE: this is a thread of a worker, which must not wait. The body is in memory (no pull).
 * On the thread that turns a hosted runtime it turns it meanwhile. */
WEIR_API weir_err weir_http_fetch(weir_http_client *client, const weir_http_request *request,
                                  weir_http_answer **ret_answer);
WEIR_API void weir_http_answer_free(weir_http_answer *take_answer); /* of a fetch; NULL is fine */

/* --- an answer ----------------------------------------------------------------------------------
 */

/* 200, 404, ... */
WEIR_API uint16_t weir_http_status(const weir_http_answer *answer);
/* The first field of that name, case ignored; .at is NULL where there is none. */
WEIR_API weir_text weir_http_field_of(const weir_http_answer *answer, const char *name);
WEIR_API size_t weir_http_field_count(const weir_http_answer *answer);
/* The n-th, in the order in which they came; false: there are not so many. */
WEIR_API bool weir_http_field_at(const weir_http_answer *answer, size_t n, weir_text *ret_name,
                                 weir_text *ret_value);
/* Where it came from, after redirects. */
WEIR_API weir_text weir_http_answer_url(const weir_http_answer *answer);
/* Of a fetched one: the body, behind which there is a NUL, and how it went. */
WEIR_API weir_text weir_http_body(const weir_http_answer *answer);
WEIR_API void weir_http_result_of(const weir_http_answer *answer, weir_http_result *ret_result);

/* --- a proxy, tried -----------------------------------------------------------------------------
 */

/* A way through a proxy to somewhere. */
typedef struct weir_proxy_way {
    size_t size;
    const char *proxy; /* as in weir_key; NULL: the same way without one */
    const char *host;  /* the target, a name or a literal address */
    uint16_t port;
    uint32_t timeout_ms;        /* of all of it but TLS [10 s] */
    uint32_t tls_timeout_ms;    /* of TLS with the target [10 s] */
    uint32_t secure;            /* WEIR_ON: TLS with the target, too [WEIR_OFF] */
    weir_tls_options tls;       /* of the target */
    weir_tls_options proxy_tls; /* of a proxy of https:// */
} weir_proxy_way;

/* How it went. */
typedef struct weir_proxy_report {
    size_t size;
    weir_err err;     /* WEIR_OK: the way is open */
    const char *step; /* where it ended: resolve, connect, proxy_tls, proxy, tls */
    char why[160];    /* in words; "" where it is open. No secret is in it */
    uint32_t total_us;
    uint32_t resolve_us;   /* the proxy's name, or without one the target's */
    uint32_t connect_us;   /* TCP with it */
    uint32_t proxy_tls_us; /* TLS with it */
    uint32_t proxy_us;     /* from then until the proxy was connected to the target */
    uint32_t tls_us;       /* TLS with the target */
} weir_proxy_report;

/* Goes that way once, as a connection of a client would, and closes; nothing is asked of the
 * target. Waits; on any thread of the program's, no runtime needed. WEIR_OK, or report->err:
 * WEIR_EPROXY, WEIR_ERESOLVE, WEIR_ECONNECT_TIMEOUT, …; WEIR_EINVAL (weir_runtime_fault() names the
 * field), WEIR_ENOMEM, and then the report is all zero. */
WEIR_API weir_err weir_proxy_test(const weir_proxy_way *way, weir_proxy_report *ret_report);

#ifdef __cplusplus
}
#endif
#endif
