/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket.h - WebSockets (RFC 6455, RFC 7692), dialled and accepted, the latter over HTTP/1.1 and
 * over HTTP/2 (RFC 8441), and their manager: limits that are kept, pings that decide life, names,
 * broadcasts that nobody can hold up.
 *
 *     static void on_message(void *arg, weir_websocket ws, weir_websocket_kind kind,
 *                            const void *data, size_t len)
 *     {
 *         weir_websocket_send(ws, kind, data, len);
 *     }
 *
 *     static const weir_websocket_handler echo = {.on_message = on_message};
 *
 *     static void on_request(void *self, weir_exchange *ex)
 *     {
 *         weir_websocket_accept(manager, ex, NULL, &echo, NULL, NULL);
 *     }
 *
 *     weir_websocket_manager_new(runtime, NULL, &manager);
 *     weir_websocket_dial(manager, &(weir_websocket_request){.url = "wss://example.org/chat"},
 *                         &handler, arg, &ws);
 *
 * Rules:
 *  1. Functions may be called from any thread, but for what says otherwise at its place. On the
 * thread of the connection's worker they act at once, from elsewhere soon, in their order.
 *  2. A connection that was taken ends with exactly one on_close, on the thread of a worker, in a
 * later event: never inside a call of this header.
 *  3. Callbacks of one connection come one after the other, on one thread: on_open first, on_close
 * last. They may call everything but weir_websocket_manager_new(), _free() and
 * weir_websocket_each().
 *  4. What is passed in is copied before the call returns, but for the handler, which outlives the
 * connection. What a callback is given is valid until it returns.
 *  5. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_WEBSOCKET_H
#define WEIR_WEBSOCKET_H

#include <weir/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the manager --------------------------------------------------------------------------------
 */

typedef struct weir_websocket_manager weir_websocket_manager;

/* What a broadcast does about a connection that does not keep up. */
typedef enum weir_websocket_slow {
    WEIR_WEBSOCKET_SKIP = 1, /* it misses the message */
    WEIR_WEBSOCKET_CUT = 2   /* it is closed, with 1008 */
} weir_websocket_slow;

enum { WEIR_WEBSOCKET_ONLY = 3 }; /* http2, beside WEIR_OFF and WEIR_ON */

typedef struct weir_websocket_manager_options {
    size_t size;
    /* The pool's options; zero means the number of the profile websocket-manager. max_total [1000]
     * is of all connections, dialled and accepted, exactly, whatever the number of workers; one
     * that was silent for probe_every_ms [60 s] is pinged, and closed when it is not heard within
     * probe_timeout_ms [5 s] after; one not heard for idle_timeout_ms [5 min] is closed whatever
     * the pings say. write_timeout_ms: a peer that takes nothing. The others are of those that are
     * dialled. `name` [websocket-manager]; `connector` and `connector_self` stay NULL. */
    weir_pool_options pool;
    uint64_t message_max;      /* bytes of a message that comes, also when inflated [1 MiB] */
    uint32_t fragments_max;    /* frames of one message that comes [1024] */
    uint32_t unsent_max;       /* bytes kept for a peer that does not read [1 MiB] */
    uint32_t open_timeout_ms;  /* of the opening handshake of one that is dialled [10 s] */
    uint32_t close_timeout_ms; /* of the closing handshake [5 s] */
    uint32_t broadcasts_max;   /* under way at a time [64] */
    uint32_t slow;             /* enum weir_websocket_slow [WEIR_WEBSOCKET_SKIP] */
    uint32_t deflate;          /* offer and take permessage-deflate [WEIR_OFF] */
    uint32_t deflate_min;      /* bytes; shorter messages are sent as they are [1024] */
    uint32_t dns_ttl_ms;       /* a name's addresses are kept for at most [300 s] */
    const char *dns_servers;   /* as in weir_http_client_options */
    weir_tls_options tls;      /* of wss:// */
    weir_event_fn *on_event;   /* as in weir_http_client_options, of those that are dialled */
    void *event_arg;
    uint32_t events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
    /* Dial WebSockets as streams of HTTP/2 (RFC 8441), many on one connection. WEIR_ON: of wss://,
     * where the server speaks it; else over HTTP/1.1. WEIR_WEBSOCKET_ONLY: over nothing else, and
     * ws:// by prior knowledge. `pool` is then of those connections, too; those that are accepted
     * come over either, whatever this says. [WEIR_OFF] */
    uint32_t http2;
    weir_tls_options proxy_tls; /* how proxies of https:// are known */
} weir_websocket_manager_options;

/* opt may be NULL. WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EEXISTS: the name is
 * taken; WEIR_ENOMEM; WEIR_ECLOSED: the runtime is closing; WEIR_ESTATE: this is a callback. */
WEIR_API weir_err weir_websocket_manager_new(weir_runtime *runtime,
                                             const weir_websocket_manager_options *opt,
                                             weir_websocket_manager **ret_manager);
/* Closes its connections with 1001, cuts what is left after grace_ms, and returns when the last
 * callback has. Before the servers whose requests it took, and the runtime. WEIR_ESTATE: this is a
 * callback. NULL is fine. */
WEIR_API weir_err weir_websocket_manager_free(weir_websocket_manager *take_manager,
                                              uint32_t grace_ms);

/* The manager of that name (without a name: any) whose options are equal, else a new one, else
 * WEIR_EEXISTS. Whoever shares a manager agrees on who frees it. */
WEIR_API weir_err weir_websocket_manager_get(weir_runtime *runtime,
                                             const weir_websocket_manager_options *opt,
                                             weir_websocket_manager **ret_manager);
WEIR_API weir_websocket_manager *weir_websocket_manager_find(weir_runtime *runtime,
                                                             const char *name); /* or NULL */

/* "websocket-manager", or what it was named. */
WEIR_API const char *weir_websocket_manager_name(const weir_websocket_manager *manager);
/* The options in force, defaults filled in; of TLS only whether it verifies. */
WEIR_API void weir_websocket_manager_options_of(const weir_websocket_manager *manager,
                                                weir_websocket_manager_options *ret_opt);
/* All or nothing. The name, deflate, http2, dns_…, tls, proxy_tls and who is told of events stay.
 * New limits and times act soon on every worker, also on connections that are there: message_max
 * and fragments_max from their next message on; no connection is closed because max_total has
 * become less. WEIR_EINVAL: weir_runtime_fault() names the field; max_total can be at most what the
 * manager was made with, or 4096 where that was less. */
WEIR_API weir_err weir_websocket_manager_update(weir_websocket_manager *manager,
                                                const weir_websocket_manager_options *opt);

typedef struct weir_websocket_stats {
    size_t size;
    uint32_t total, max;        /* connections, and the limit */
    uint32_t open;              /* of the total; the others are opening or closing */
    uint32_t names;             /* known */
    uint64_t dialled, accepted; /* opened, in all */
    uint64_t failed;            /* dials that did not open */
    uint64_t refused;           /* dials and requests over max_total */
    uint64_t closed;            /* in all, of those that were open */
    uint64_t unanswered;        /* of them those closed since a ping was not answered, */
    uint64_t timed_out;         /* and those silent for idle_timeout_ms */
    uint64_t messages_in, messages_out;
    uint64_t bytes_in, bytes_out; /* of the wire */
    uint64_t pings, pongs;        /* sent; that came */
    uint64_t broadcasts;
    uint64_t skipped; /* messages of broadcasts that slow connections missed */
    uint64_t cut;     /* connections closed for being slow */
} weir_websocket_stats;
/* Never waits. */
WEIR_API void weir_websocket_manager_stats(const weir_websocket_manager *manager,
                                           weir_websocket_stats *ret_stats);

/* --- a connection -------------------------------------------------------------------------------
 */

/* A value. A stale one is answered WEIR_ESTALE, as long as its manager is there. */
typedef struct weir_websocket {
    weir_websocket_manager *manager; /* NULL: none */
    uint64_t id;
} weir_websocket;

typedef enum weir_websocket_kind {
    WEIR_WEBSOCKET_TEXT = 1, /* UTF-8: what comes was checked; what goes is the program's word */
    WEIR_WEBSOCKET_BINARY = 2
} weir_websocket_kind;

/* What was agreed. */
typedef struct weir_websocket_opening {
    size_t size;
    const char *protocol; /* the subprotocol, or "" */
    bool deflate;
    /* One that was dialled: the fields of the answer, for weir_http_field_of() and its like. */
    const weir_http_answer *answer;
} weir_websocket_opening;

/* How it ended. */
typedef struct weir_websocket_end {
    size_t size;
    /* WEIR_OK: by the closing handshake. WEIR_EPROTOCOL, WEIR_ETOO_LARGE: the peer broke the rules;
     * WEIR_EPROBE_TIMEOUT, WEIR_EIDLE, WEIR_EWRITE_TIMEOUT, WEIR_EHANGUP, WEIR_ERESET, … And of one
     * that never opened, why not. */
    weir_err err;
    /* The peer's close code; 1005: it said none; 1006: it did not say goodbye; where it broke the
     * rules, what it was told (1002, 1007, 1009), and where there was no memory for what it said
     * (1013: it may try again later). */
    uint16_t code;
    uint16_t status; /* of one that was dialled and not opened: the HTTP status, or 0 */
    bool was_open;
    weir_text reason;   /* the peer's; UTF-8 */
    const char *detail; /* which rule was broken, or "" */
} weir_websocket_end;

/* All may be NULL. */
typedef struct weir_websocket_handler {
    size_t size;
    void (*on_open)(void *arg, weir_websocket ws, const weir_websocket_opening *opening);
    /* A whole message. */
    void (*on_message)(void *arg, weir_websocket ws, weir_websocket_kind kind, const void *data,
                       size_t len);
    /* Nothing is unsent any more: what had been answered WEIR_EAGAIN may be sent again. */
    void (*on_drain)(void *arg, weir_websocket ws);
    /* An answer to a ping. */
    void (*on_pong)(void *arg, weir_websocket ws, const void *data, size_t len);
    void (*on_close)(void *arg, weir_websocket ws, const weir_websocket_end *end);
} weir_websocket_handler;

typedef struct weir_websocket_request {
    size_t size;
    const char *url;               /* "ws://host:port/path", "wss://…" */
    const char *protocols;         /* subprotocols, the best first: "chat, superchat"; or NULL */
    const weir_http_field *fields; /* more of the opening request, but what WebSocket says itself */
    size_t field_count;
    const char *source, *proxy, *tenant; /* as in weir_key */
} weir_websocket_request;

/* Dials. WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EFULL: max_total; WEIR_ENOMEM;
 * WEIR_ECLOSED. Of anything later tells on_close. ret_ws may be NULL. */
WEIR_API weir_err weir_websocket_dial(weir_websocket_manager *manager,
                                      const weir_websocket_request *request,
                                      const weir_websocket_handler *handler, void *arg,
                                      weir_websocket *ret_ws);

typedef struct weir_websocket_accept_options {
    size_t size;
    const char *protocol;          /* the subprotocol chosen, of those that are offered; or NULL */
    const weir_http_field *fields; /* more of the answer */
    size_t field_count;
} weir_websocket_accept_options;

/* Makes a WebSocket of a request that asks for one, inside its on_request. The exchange has ended
 * when this returns, whatever it says, but for WEIR_EINVAL and WEIR_ESTATE (not inside on_request).
 * WEIR_EPROTOCOL: it did not ask, or not rightly, and was answered 400 or 426; WEIR_EFULL:
 * max_total, answered 503; WEIR_ENOMEM, answered 503. The connection keeps its place in the
 * server's pool; one of HTTP/2 carries as many as it may have streams, beside other requests.
 * on_open comes from inside. opt and ret_ws may be NULL. */
WEIR_API weir_err weir_websocket_accept(weir_websocket_manager *manager, weir_exchange *ex,
                                        const weir_websocket_accept_options *opt,
                                        const weir_websocket_handler *handler, void *arg,
                                        weir_websocket *ret_ws);
/* Whether the request of this exchange asks for a WebSocket; during on_request. Who answers such a
 * request of HTTP/2 himself, and with 2xx, would open one without knowing: 501 is said instead. */
WEIR_API bool weir_websocket_is_asked(const weir_exchange *ex);

/* Sends a message. What the peer does not take is kept. WEIR_EAGAIN: more than unsent_max would be,
 * and nothing was taken: on_drain says when to try again; WEIR_ESTATE: not open, or closing;
 * WEIR_ESTALE; WEIR_ENOMEM; WEIR_ETOO_LARGE: 4 GiB. */
WEIR_API weir_err weir_websocket_send(weir_websocket ws, weir_websocket_kind kind, const void *data,
                                      size_t len);
/* Asks the peer to answer; data of at most 125 bytes. The same errors. */
WEIR_API weir_err weir_websocket_ping(weir_websocket ws, const void *data, size_t len);
/* Begins the closing handshake, or ends the dial: nothing but on_close comes after. code: 1000, or
 * another that may be sent [1000]; reason: UTF-8, at most 123 bytes, or NULL. WEIR_EINVAL: code. */
WEIR_API weir_err weir_websocket_close(weir_websocket ws, uint16_t code, const char *reason);
/* No message comes while it is paused; the peer feels it. WEIR_ESTALE. */
WEIR_API weir_err weir_websocket_pause(weir_websocket ws, bool paused);
/* How many bytes are kept for it; on its own thread, else 0. */
WEIR_API size_t weir_websocket_unsent(weir_websocket ws);
/* Where the peer is: "192.0.2.7", "unix", or the host dialled. On its own thread, else "". */
WEIR_API const char *weir_websocket_peer(weir_websocket ws);
/* Another arg for its handler's callbacks. On its own thread; WEIR_ESTATE elsewhere. */
WEIR_API weir_err weir_websocket_set_arg(weir_websocket ws, void *arg);

/* --- names --------------------------------------------------------------------------------------
 * A connection may have any number of names, and loses them before its on_close.
 */

/* WEIR_EEXISTS: another one has it; WEIR_EFULL: 1 000 000 names; WEIR_EINVAL: "" or more than 255
 * bytes; WEIR_ESTALE; WEIR_ENOMEM. */
WEIR_API weir_err weir_websocket_add(weir_websocket_manager *manager, const char *name,
                                     weir_websocket ws);
/* WEIR_ESTALE: nobody has the name. */
WEIR_API weir_err weir_websocket_get(weir_websocket_manager *manager, const char *name,
                                     weir_websocket *ret_ws);
/* Takes the name away and, with a code, closes as weir_websocket_close(); 0: the connection stays.
 * WEIR_ESTALE: nobody has it. */
WEIR_API weir_err weir_websocket_remove(weir_websocket_manager *manager, const char *name,
                                        uint16_t code);
/* Shows all names, in no order; fn is quick and calls nothing of weir. False stops. */
WEIR_API void weir_websocket_each_name(weir_websocket_manager *manager,
                                       bool (*fn)(void *arg, const char *name, weir_websocket ws),
                                       void *arg);

/* --- all of them --------------------------------------------------------------------------------
 */

typedef struct weir_websocket_info {
    size_t size;
    weir_websocket ws;
    const char *peer;
    bool is_dialled, is_open;
    uint32_t silent_ms; /* since something was heard */
    size_t unsent;
    uint64_t messages_in, messages_out, bytes_in, bytes_out;
} weir_websocket_info;
/* Shows every connection: fn is called on the workers' threads, one after the other, while the
 * caller waits; it is quick and calls nothing of weir. False stops. WEIR_ESTATE: this is a
 * callback. */
WEIR_API weir_err weir_websocket_each(weir_websocket_manager *manager,
                                      bool (*fn)(void *arg, const weir_websocket_info *info),
                                      void *arg);

/* Asks every connection now that was silent for half of probe_every_ms, a few in each turn of the
 * loops; who does not answer in time is closed. Besides, each is looked at every probe_every_ms. */
WEIR_API void weir_websocket_health_check(weir_websocket_manager *manager);

/* Sends a message to all that are open. Each takes it at its own pace: for one that does not keep
 * up it is kept as far as unsent_max allows, beyond which options.slow says what is done. Messages
 * of several broadcasts come in their order. WEIR_EAGAIN: broadcasts_max; WEIR_ENOMEM. */
WEIR_API weir_err weir_websocket_broadcast(weir_websocket_manager *manager,
                                           weir_websocket_kind kind, const void *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif
