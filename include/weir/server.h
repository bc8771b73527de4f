/* SPDX-License-Identifier: Apache-2.0
 *
 * server.h - a server of HTTP/1.1, HTTP/2, HTTPS and gRPC (weir/grpc.h) on an admitted-connection
 * pool: limits that are kept, time-outs that act, health, events, options that change while it
 * runs.
 *
 *     static void hello(void *self, weir_exchange *ex)
 *     {
 *         const weir_reply reply = {.status = 200, .body = "hello\n", .body_len = 6};
 *         weir_exchange_reply(ex, &reply);
 *     }
 *
 *     static const weir_server_handler handler = {.on_request = hello};
 *     weir_server_options opt = {.address = "127.0.0.1:8080"};
 *     weir_server_listen(runtime, &opt, &handler, NULL, &server);
 *
 * Rules:
 *  1. Functions of a server may be called from any thread. Functions of an exchange are for the
 * thread that its callbacks come on, but for weir_server_reply().
 *  2. Every worker of the runtime serves; a connection stays at its worker, so callbacks of one
 * exchange come one after the other, on one thread, those of different ones do not.
 *  3. An exchange ends once: with weir_exchange_reply(), _end() or _abort(), or when on_abort says
 * that its client has left. After that the pointer is dead.
 *  4. Callbacks may call everything but weir_server_close() and the functions that gather figures
 * of other workers (at their place), which answer WEIR_ESTATE there.
 *  5. A stream of HTTP/2 is an exchange like any other; where below a connection is cut for one of
 * them, its stream is reset.
 *  6. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_SERVER_H
#define WEIR_SERVER_H

#include <weir/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- serving ------------------------------------------------------------------------------------
 */

typedef struct weir_server weir_server;
typedef struct weir_exchange weir_exchange; /* one request and its answer */

/* Called on a worker's thread. A client that waits for 100 (Continue) is told to send its body when
 * on_request has returned without an answer, or has begun one below 400; and at once where bodies
 * are gathered, up to body_max. */
typedef struct weir_server_handler {
    size_t size;
    /* A request. What weir_request_…() say is valid until this returns. With on_body, its body
     * follows; without, the body is complete and weir_request_body() has it. Required, but with
     * grpc. */
    void (*on_request)(void *self, weir_exchange *ex);
    /* Some of its body. NULL: bodies are gathered, up to body_max. */
    void (*on_body)(void *self, weir_exchange *ex, const void *data, size_t len);
    /* The request is complete, and its exchange still open; also where it had no body. Only with
     * on_body. May be NULL. */
    void (*on_end)(void *self, weir_exchange *ex);
    /* The client takes more of the answer again. May be NULL. */
    void (*on_drain)(void *self, weir_exchange *ex);
    /* The client left, broke the rules or took too long: the exchange is dead when this returns.
     * May be NULL. */
    void (*on_abort)(void *self, weir_exchange *ex, weir_err why);
    /* Calls of gRPC go there (weir/grpc.h), and without on_request all else is answered 415. NULL:
     * they are requests like any other. */
    const struct weir_grpc_service *grpc;
} weir_server_handler;

/* A certificate and its key: PEM files. */
typedef struct weir_server_certificate {
    const char *certificate; /* ours, then its intermediates */
    const char *key;         /* its private key; may be in the same file */
} weir_server_certificate;

/* HTTPS. A client finds the first certificate whose names fit what it asks for (SNI), or the first
 * of all. */
typedef struct weir_server_tls_options {
    const weir_server_certificate *certificates;
    size_t certificate_count;      /* at most 256; 0: no TLS */
    const char *client_ca;         /* who signs what clients have to show [they show nothing] */
    uint32_t min_version;          /* 12: TLS 1.2, 13: TLS 1.3 [12] */
    uint32_t handshake_timeout_ms; /* [10 s]. Fixed */
} weir_server_tls_options;

typedef struct weir_server_options {
    size_t size;
    const char *name;    /* unique in the runtime; its pools are "listener:NAME" [http] */
    const char *address; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x"; port 0: chosen. Fixed */
    uint32_t max_connections;    /* over all workers, exactly [1000] */
    uint32_t max_per_ip;         /* of one address; WEIR_UNLIMITED [no limit] */
    uint32_t headers_timeout_ms; /* from accept, or the first byte, to the head's end [10 s] */
    uint32_t request_timeout_ms; /* a whole request; longer while its body keeps min_rate [30 s] */
    uint32_t idle_timeout_ms;    /* no byte either way while a request is open [30 s] */
    uint32_t answer_timeout_ms;  /* the handler may take so long to begin to answer [never] */
    uint32_t keepalive_timeout_ms; /* between requests [5 s] */
    uint32_t write_timeout_ms;     /* a client that takes nothing of its answer [30 s] */
    uint32_t max_header_bytes;     /* of a request's head, at most 32 KiB [32 KiB] */
    uint32_t max_headers;          /* fields in it, at most 256 [100] */
    uint64_t min_rate;             /* bytes a second that extend request_timeout [none] */
    uint64_t body_max;             /* of a request; more is answered 413 [1 MiB] */
    weir_event_fn *on_event; /* on a worker's thread; event->pool is NULL. Fixed. May be NULL */
    void *event_arg;
    uint32_t events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
    /* With a certificate, clients speak TLS, without one they do not. Files are read when they are
     * given: by weir_server_update() again, for those that connect from then on. */
    weir_server_tls_options tls;
    uint32_t http2;                  /* beside HTTP/1.1: by ALPN, or plain by prior knowledge
                                        [WEIR_ON]. Fixed */
    uint32_t max_concurrent_streams; /* requests at a time on one connection of HTTP/2 [100] */
    uint32_t max_session_memory;     /* bytes of such a connection, at least 64 KiB [10 MiB] */
    uint32_t ping_interval_ms;       /* such a connection is asked after so long without a byte
                                        while a request is open, closed after as long again [30 s] */
} weir_server_options;

/* Listens and serves, when it returns. The handler outlives the server. WEIR_EINVAL:
 * weir_runtime_fault() names the field, which may be a file that cannot be used; WEIR_EEXISTS: the
 * name is taken; WEIR_EIO: the address cannot be bound, errno says why; WEIR_ENOMEM; WEIR_ECLOSED:
 * the runtime is closing; WEIR_ESTATE: this is a callback. */
WEIR_API weir_err weir_server_listen(weir_runtime *runtime, const weir_server_options *opt,
                                     const weir_server_handler *handler, void *self,
                                     weir_server **ret_server);

/* The server of that name [http] when handler, self and options are equal, else a new one, else
 * WEIR_EEXISTS. Whoever shares a server agrees on who closes it. */
WEIR_API weir_err weir_server_get(weir_runtime *runtime, const weir_server_options *opt,
                                  const weir_server_handler *handler, void *self,
                                  weir_server **ret_server);
WEIR_API weir_server *weir_server_find(weir_runtime *runtime, const char *name); /* or NULL */

/* No new clients; requests that are open may take grace_ms, then they are cut and their handlers
 * hear on_abort. Returns when the last connection is gone and the last callback has returned.
 * Before weir_runtime_close(). WEIR_ESTATE: this is a callback. NULL is fine. */
WEIR_API weir_err weir_server_close(weir_server *take_server, uint32_t grace_ms);

/* Where it is bound: "127.0.0.1:40123", and the port alone (0: a unix socket). */
WEIR_API const char *weir_server_address(const weir_server *server);
WEIR_API uint16_t weir_server_port(const weir_server *server);

/* --- the pool of its connections ----------------------------------------------------------------
 */

/* The options in force, defaults filled in: read, change, update. Strings are the server's, those
 * of `tls` until the next update. */
WEIR_API void weir_server_options_of(const weir_server *server, weir_server_options *ret_opt);
/* All or nothing, and no connection is dropped for it: one above a lowered limit closes after its
 * request. `name`, `address`, what is called fixed and the listener of events stay as they are. In
 * force on every worker when it returns (from a callback: soon). WEIR_EINVAL: weir_runtime_fault()
 * names the field. */
WEIR_API weir_err weir_server_update(weir_server *server, const weir_server_options *opt);

/* A connection: of which worker, and which there. */
typedef struct weir_server_conn {
    uint32_t worker;
    weir_conn conn;
} weir_server_conn;

/* Serves a client that came otherwise (a connected stream socket), under the same limits:
 * WEIR_EFULL. The descriptor is taken, unless an error is returned. */
WEIR_API weir_err weir_server_adopt(weir_server *server, int take_fd);
/* Closes it, after its request if it is at one. WEIR_EINVAL: no such worker. Soon. */
WEIR_API weir_err weir_server_remove(weir_server *server, weir_server_conn conn);
/* All of them, those at a request after it or, cut, after grace_ms; new ones are welcome. Soon.
 * WEIR_ENOMEM. */
WEIR_API weir_err weir_server_remove_all(weir_server *server, uint32_t grace_ms);
WEIR_API uint32_t weir_server_count(const weir_server *server); /* connections now */
WEIR_API bool weir_server_can_accept(const weir_server *server);

/* Shows every connection there is: fn is called on the workers' threads, one after the other, while
 * the caller waits; it is quick and calls nothing of weir. False stops. WEIR_ESTATE: this is a
 * callback. */
WEIR_API weir_err weir_server_each(weir_server *server,
                                   bool (*fn)(void *arg, weir_server_conn conn,
                                              const weir_conn_info *info),
                                   void *arg);
/* Whether it is there, and neither closing nor told to. WEIR_ESTATE: this is a callback. */
WEIR_API weir_err weir_server_is_healthy(weir_server *server, weir_server_conn conn,
                                         bool *ret_healthy);

/* How it fares. */
typedef struct weir_server_health {
    size_t size;
    weir_health health;
    double utilization; /* connections of max_connections */
    double error_rate;  /* answers of 5xx and cut ones, of the last seconds' requests */
    uint32_t connections, max_connections;
    uint64_t rejected;          /* clients turned away over a limit */
    uint32_t average_answer_us; /* from a request's head to the end of its answer */
    char message[120];          /* which rule says so */
} weir_server_health;
WEIR_API void weir_server_health_of(const weir_server *server, weir_server_health *ret_health);

/* What it counted. */
typedef struct weir_server_stats {
    size_t size;
    uint32_t connections, max_connections;
    uint32_t open;     /* exchanges not yet answered */
    uint64_t accepted; /* connections, in all */
    uint64_t removed;  /* of them gone */
    uint64_t rejected; /* clients over max_connections and max_per_ip */
    uint64_t requests; /* begun */
    uint64_t answers_2xx, answers_3xx, answers_4xx, answers_5xx;
    uint64_t aborted;  /* exchanges whose client left or was too slow */
    uint64_t timeouts; /* of any kind */
    uint64_t bytes_in, bytes_out;
    uint64_t answer_us; /* sum, over all that were answered: `answered` */
    uint64_t answered;
} weir_server_stats;
WEIR_API void weir_server_stats_of(const weir_server *server, weir_server_stats *ret_stats);

/* All servers and their figures at once, in the order in which they were opened. The function
 * returns false to stop; it makes and closes no client or server. */
WEIR_API void weir_runtime_each_server(weir_runtime *runtime,
                                       bool (*fn)(void *arg, weir_server *server,
                                                  const weir_server_stats *stats),
                                       void *arg);

/* --- a request ----------------------------------------------------------------------------------
 * During on_request.
 */

/* "GET", as it came. */
WEIR_API weir_text weir_request_method(const weir_exchange *ex);
WEIR_API weir_text weir_request_path(const weir_exchange *ex);  /* "/a/b", as it came */
WEIR_API weir_text weir_request_query(const weir_exchange *ex); /* behind the "?"; .at is NULL */
WEIR_API weir_text weir_request_host(const weir_exchange *ex);  /* of Host, with its port */
/* 10, 11, 20: HTTP/1.0, HTTP/1.1, HTTP/2. */
WEIR_API uint32_t weir_request_version(const weir_exchange *ex);
/* As weir_http_field_…() of an answer. */
WEIR_API weir_text weir_request_field_of(const weir_exchange *ex, const char *name);
WEIR_API size_t weir_request_field_count(const weir_exchange *ex);
WEIR_API bool weir_request_field_at(const weir_exchange *ex, size_t n, weir_text *ret_name,
                                    weir_text *ret_value);
WEIR_API weir_text weir_request_body(const weir_exchange *ex); /* where bodies are gathered */

/* --- an exchange --------------------------------------------------------------------------------
 */

WEIR_API const char *weir_exchange_peer(const weir_exchange *ex); /* "192.0.2.7", "unix" */
/* The name its client asked for in the TLS handshake (SNI); "": none; NULL: there was no TLS. Where
 * names have servers of their own, a request whose host is another one is for 421. */
WEIR_API const char *weir_exchange_server_name(const weir_exchange *ex);
/* The worker whose thread its callbacks come on: 0 to weir_runtime_workers() - 1. */
WEIR_API uint32_t weir_exchange_worker(const weir_exchange *ex);
/* The server it came to, which may be before weir_server_listen() has returned. */
WEIR_API weir_server *weir_exchange_server(const weir_exchange *ex);
/* A pointer of yours that goes with it. */
WEIR_API void weir_exchange_set_user(weir_exchange *ex, void *user);
WEIR_API void *weir_exchange_user(const weir_exchange *ex);

typedef struct weir_reply {
    size_t size;
    uint16_t status; /* 200 … 599 [200] */
    /* Not those that frame a message (as in weir_http_request); Date is added. */
    const weir_http_field *fields;
    size_t field_count;
    const void *body;  /* of weir_exchange_reply() and weir_server_reply() */
    uint64_t body_len; /* weir_exchange_begin(): announced, or WEIR_HTTP_UNKNOWN */
} weir_reply;

/* Answers, all at once. WEIR_EINVAL: a status or a field that cannot be; WEIR_ESTATE: the answer
 * has begun. */
WEIR_API weir_err weir_exchange_reply(weir_exchange *ex, const weir_reply *reply);
/* Begins to answer; pieces follow, from this callback or later ones. The same errors. */
WEIR_API weir_err weir_exchange_begin(weir_exchange *ex, const weir_reply *reply);
/* Sends a piece. True: the client does not keep up; go on at on_drain. What was given is kept all
 * the same, up to 1 MiB, beyond which the connection is cut. */
WEIR_API bool weir_exchange_write(weir_exchange *ex, const void *data, size_t len);
WEIR_API void weir_exchange_end(weir_exchange *ex);
/* There will be no (more of an) answer: the connection is cut, so that the client sees it. */
WEIR_API void weir_exchange_abort(weir_exchange *ex);
/* Whether the client's body is to come at all, now. Only with on_body. */
WEIR_API void weir_exchange_pause(weir_exchange *ex, bool paused);

/* For an answer from another thread: the exchange's name, and an answer by it, all at once, copied,
 * soon. An exchange that has ended meanwhile takes no answer. WEIR_EINVAL, WEIR_ENOMEM. */
typedef struct weir_exchange_id {
    uint32_t worker;
    uint64_t id;
} weir_exchange_id;
WEIR_API weir_exchange_id weir_exchange_id_of(const weir_exchange *ex);
WEIR_API weir_err weir_server_reply(weir_server *server, weir_exchange_id id,
                                    const weir_reply *reply);
/* For all else: runs fn on the exchange's thread, soon, with the exchange, or with NULL when it has
 * ended meanwhile. WEIR_EINVAL, WEIR_ENOMEM: it will not run. */
WEIR_API weir_err weir_server_run(weir_server *server, weir_exchange_id id,
                                  void (*fn)(void *arg, weir_exchange *ex), void *arg);

#ifdef __cplusplus
}
#endif
#endif
