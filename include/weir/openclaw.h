/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.h - a client of OpenClaw gateways (protocols 3 and 4), local (ws://) and remote
 * (wss://): one connection to each that many requests share, kept, watched and taken up again by a
 * pool of the profile openclaw.
 *
 *     weir_openclaw *claw;
 *     weir_openclaw_gateway *home;
 *     weir_openclaw_result *result;
 *     const weir_openclaw_config config = {.url = "ws://127.0.0.1:18789", .token = token};
 *
 *     weir_openclaw_open(runtime, NULL, &claw);
 *     weir_openclaw_gateway_of(claw, &config, &home);
 *     if (weir_openclaw_execute(home, &(weir_openclaw_request){.method = "health"}, &result)
 *         == WEIR_OK) {
 *         ... result->ok, result->payload ...
 *         weir_openclaw_result_free(result);
 *     }
 *
 * A connection is dialled with the first request, answers the gateway's challenge, and is up when
 * it was let in. It answers the gateway's pings; where two of its ticks are missed it is given up.
 * One that drops is dialled again under the pool's back-off as long as it was used within
 * idle_timeout. A gateway that is starting is asked again when it says so; one that refuses us (a
 * wrong token, another protocol, a pairing that is missing) is asked exactly once, by whichever
 * client of the process comes first: its key is down at each of them, and every request fails with
 * WEIR_EDENIED and the gateway's reason, until down_for is over and somebody asks again.
 *
 * Rules:
 *  1. Functions may be called from any thread, but for what says otherwise at its place.
 *  2. A request that was taken ends with exactly one call of its function, on the thread of a
 * worker, in a later event: never inside a call of this header. A fan-out has its own words.
 *  3. Callbacks may call everything but what waits: weir_openclaw_execute(), _fetch(), _ready(),
 * _open() and _close() answer WEIR_ESTATE there.
 *  4. What is passed in is copied before the call returns. What a callback is given is valid until
 * it returns.
 *  5. A gateway's connection lives on one worker, which its host and port choose.
 *  6. Structs of options begin with `size`, or with 0, and zero in a field is its default.
 */
#ifndef WEIR_OPENCLAW_H
#define WEIR_OPENCLAW_H

#include <weir/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the client ---------------------------------------------------------------------------------
 */

typedef struct weir_openclaw weir_openclaw;
typedef struct weir_openclaw_gateway weir_openclaw_gateway;

/* Something that a gateway told, of its own accord. */
typedef struct weir_openclaw_event {
    size_t size;
    weir_openclaw_gateway *gateway;
    void *gateway_arg; /* weir_openclaw_config.arg */
    const char *name;  /* "chat", "agent", "presence", …; not "tick" */
    weir_text payload; /* JSON; .len 0: none */
    uint64_t seq;      /* counts events of a connection, from 1 on; 0: the gateway does not say */
} weir_openclaw_event;
typedef void weir_openclaw_event_fn(void *arg, const weir_openclaw_event *event);

typedef struct weir_openclaw_options {
    size_t size;
    /* The pool's options; zero means the number of the profile openclaw: 100 connections, one to
     * each gateway, idle for 5 min, dialled again after 1, 2 and 4 s, then down for 60 s, a health
     * check each 60 s. total_timeout_ms [30 s] is of a request. `name` [openclaw]; `connector` and
     * `connector_self` stay NULL. */
    weir_pool_options pool;
    uint32_t requests_max;         /* taken and not ended, at most [10 000] */
    uint32_t in_flight_max;        /* on one connection; more wait [100] */
    uint32_t gateways_max;         /* known [1000] */
    uint32_t handshakes_max;       /* under way with one host and port [16] */
    uint32_t handshake_timeout_ms; /* from the transport to being let in [15 s] */
    uint64_t message_max;          /* bytes of a frame that comes [25 MiB] */
    uint32_t unsent_max;           /* bytes kept for a gateway that does not read [25 MiB] */
    uint32_t dns_ttl_ms;           /* a name's addresses are kept for at most [300 s] */
    const char *dns_servers;       /* as in weir_http_client_options */
    weir_tls_options tls;          /* of wss:// */
    weir_tls_options proxy_tls;    /* how proxies of https:// are known */
    /* What gateways tell, on the thread of a worker; or NULL. */
    weir_openclaw_event_fn *on_event;
    void *event_arg;
    weir_event_fn *on_pool_event; /* as in weir_http_client_options */
    void *pool_event_arg;
    uint32_t pool_events; /* which kinds: bits 1 << WEIR_EVENT_… [all] */
} weir_openclaw_options;

/* opt may be NULL. WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EEXISTS: the name is
 * taken; WEIR_ENOMEM; WEIR_ECLOSED: the runtime is closing; WEIR_ESTATE: this is a callback. */
WEIR_API weir_err weir_openclaw_open(weir_runtime *runtime, const weir_openclaw_options *opt,
                                     weir_openclaw **ret_claw);
/* Ends all requests with WEIR_ECLOSED, closes the connections and returns when the last callback
 * has. Its gateways are gone with it. Before weir_runtime_close(). WEIR_ESTATE: this is a callback,
 * and nothing was done. NULL is fine. */
WEIR_API weir_err weir_openclaw_close(weir_openclaw *take_claw);
/* "openclaw", or what it was named. */
WEIR_API const char *weir_openclaw_name(const weir_openclaw *claw);

/* --- gateways -----------------------------------------------------------------------------------
 */

typedef struct weir_openclaw_config {
    size_t size;
    const char *url;     /* "ws://127.0.0.1:18789", "wss://claw.example.org/gateway" */
    const char *account; /* whose connection it is: weir_key.tenant; or NULL */
    /* How we prove who we are; or NULL. */
    const char *token, *password;
    /* A device's identity, kept in this file; or NULL. The file is made, with mode 0600, where
     * there is none, and refused (WEIR_EINVAL) where others may read it. The device token that a
     * gateway gives is kept there, too, and goes alone from then on. */
    const char *device_file;
    const char *const *scopes; /* [operator.read, operator.write] */
    size_t scopes_count;
    const char *proxy, *source; /* as in weir_key, and never without the proxy */
    void *arg;                  /* told with its events */
} weir_openclaw_config;

/* The gateway of a configuration: the same one for equal configurations (`arg` apart), and the same
 * connection then. It stays until weir_openclaw_close(). WEIR_EINVAL: weir_runtime_fault() names
 * the field, or says what is wrong with device_file; WEIR_EFULL: gateways_max; WEIR_ENOMEM;
 * WEIR_EIO: device_file cannot be read or made; WEIR_ECLOSED. Reads and makes files. */
WEIR_API weir_err weir_openclaw_gateway_of(weir_openclaw *claw, const weir_openclaw_config *config,
                                           weir_openclaw_gateway **ret_gateway);

/* Closes its connection: what is in flight has grace_ms to end. A key that was down, or backs off,
 * is as new. The next request dials. gateway NULL: all of them. Soon, not at once. WEIR_ENOMEM. */
WEIR_API weir_err weir_openclaw_disconnect(weir_openclaw *claw, weir_openclaw_gateway *gateway,
                                           uint32_t grace_ms);
typedef enum weir_openclaw_status {
    WEIR_OPENCLAW_DISCONNECTED = 0, /* nobody needs it, or it is dialled for the first time */
    WEIR_OPENCLAW_CONNECTED = 1,
    WEIR_OPENCLAW_RECONNECTING = 2, /* it was lost, or could not be had, and is tried again */
    WEIR_OPENCLAW_ERROR = 3         /* it is down: tried too often, or refused */
} weir_openclaw_status;
/* "disconnected", … Never NULL. */
WEIR_API const char *weir_openclaw_status_word(weir_openclaw_status status);

#define WEIR_OPENCLAW_TEXT_MAX 256

typedef struct weir_openclaw_info {
    size_t size;
    weir_openclaw_gateway *gateway;
    const weir_key *key; /* as the pool knows it */
    void *arg;
    weir_openclaw_status status;
    uint32_t in_flight;                     /* requests taken and not ended */
    uint64_t created_unix_ms, used_unix_ms; /* its connection came up, was last used; 0: never */
    uint32_t errors;                        /* dials that failed, and connections that were lost */
    weir_err last_error;                    /* of them the last */
    char last_error_text[WEIR_OPENCLAW_TEXT_MAX]; /* the gateway's words, or ours */
    uint32_t protocol;                            /* that was agreed last; 0: none so far */
    uint32_t tick_interval_ms;
    uint64_t payload_max; /* bytes of a frame that the gateway takes */
} weir_openclaw_info;
/* Never waits. */
WEIR_API void weir_openclaw_info_of(weir_openclaw_gateway *gateway, weir_openclaw_info *ret_info);
/* All, in the order in which they were made. fn returns false to stop, and calls nothing that makes
 * gateways. */
WEIR_API void weir_openclaw_each(weir_openclaw *claw,
                                 bool (*fn)(void *arg, const weir_openclaw_info *info), void *arg);

typedef struct weir_openclaw_stats {
    size_t size;
    uint32_t gateways;     /* known */
    uint32_t total;        /* of them those that are not disconnected */
    uint32_t active, idle; /* connected: with requests, and without */
    uint32_t reconnecting, error;
    uint32_t in_flight;                    /* requests taken and not ended */
    uint64_t calls, answered, failed;      /* requests taken; ended with an answer, and without */
    uint64_t connects, losses;             /* connections that came up; that dropped */
    uint64_t handshakes, denied, starting; /* begun; refused for who we are; asked to come later */
    uint64_t restarts;                     /* connections closed with 1012 */
    uint64_t timeouts, replays, late;      /* of requests; answers that nobody waited for */
    uint64_t events, ticks, ticks_missed;
    uint64_t strangers, bad_frames, too_large; /* why connections were closed by us */
} weir_openclaw_stats;
/* Never waits. */
WEIR_API void weir_openclaw_stats_of(const weir_openclaw *claw, weir_openclaw_stats *ret_stats);

/* --- requests -----------------------------------------------------------------------------------
 */

enum {
    /* It carries an idempotency key (params.idempotencyKey, as of chat.send; without one:
     * WEIR_EINVAL): when its connection ends it is sent again, at most twice. */
    WEIR_OPENCLAW_REPLAY = 1,
    /* An answer that says no more than {"status": "accepted"} is not one: the one behind it is. */
    WEIR_OPENCLAW_FINAL = 2
};

typedef struct weir_openclaw_request {
    size_t size;
    const char *method;  /* at most 63 bytes */
    const char *params;  /* JSON, an object; or NULL */
    size_t params_len;   /* [strlen(params)] */
    uint32_t timeout_ms; /* of all of it [total_timeout] */
    uint32_t flags;      /* WEIR_OPENCLAW_REPLAY | … */
    uint64_t tag;        /* yours: told with lease_overdue and in listings */
} weir_openclaw_request;

/* How a request ended. */
typedef struct weir_openclaw_result {
    size_t size;
    /* WEIR_OK: it was answered; `ok` says how. WEIR_EDENIED: the gateway refused us; WEIR_EDOWN: it
     * is down; WEIR_EACQUIRE_TIMEOUT: no connection in time; WEIR_ETOTAL_TIMEOUT: no answer in
     * time. The connection ended: WEIR_EGOAWAY (it restarts), WEIR_EREAD_TIMEOUT (it missed ticks),
     * WEIR_EPROTOCOL, WEIR_EHANGUP, WEIR_ERESET, WEIR_ETOO_LARGE (its frame, or ours), and what
     * the pool closes connections for. WEIR_EAGAIN: it does not read. WEIR_ECANCELED,
     * WEIR_ECLOSED, WEIR_ENOMEM. */
    weir_err err;
    bool ok;           /* as the gateway says */
    weir_text payload; /* JSON; .len 0: none */
    weir_text error;   /* the same */
    weir_openclaw_gateway *gateway;
    uint32_t retry_after_ms;             /* when it makes sense to ask again; 0: not known */
    uint16_t close_code;                 /* of the close that ended the connection; 0: none */
    bool was_sent;                       /* the gateway may have begun with it */
    uint32_t replays;                    /* how often it was sent again */
    uint32_t total_us;                   /* from weir_openclaw_call() */
    uint32_t left;                       /* of a fan-out: how many results are to come */
    char detail[WEIR_OPENCLAW_TEXT_MAX]; /* why not, in words; or "" */
} weir_openclaw_result;
typedef void weir_openclaw_fn(void *arg, const weir_openclaw_result *result);

/* A request under way; a value. */
typedef struct weir_openclaw_ticket {
    uint64_t id;
} weir_openclaw_ticket;

/* Takes a request. WEIR_EINVAL: weir_runtime_fault() names the field; WEIR_EFULL: requests_max;
 * WEIR_ENOMEM; WEIR_ECLOSED. ret_ticket may be NULL. */
WEIR_API weir_err weir_openclaw_call(weir_openclaw_gateway *gateway,
                                     const weir_openclaw_request *request, weir_openclaw_fn *fn,
                                     void *arg, weir_openclaw_ticket *ret_ticket);
/* Its function brings WEIR_ECANCELED, if it has not ended by then. Soon, not at once. WEIR_ESTALE:
 * it has; WEIR_ENOMEM. */
WEIR_API weir_err weir_openclaw_cancel(weir_openclaw *claw, weir_openclaw_ticket ticket);

/* Sends and waits. The errors of weir_openclaw_call() and of a result, but for WEIR_OK, after which
 * *ret_result is there. weir_openclaw_info_of() has the words. WEIR_ESTATE: this is a callback. On
 * the thread that turns a hosted runtime it turns it meanwhile. */
WEIR_API weir_err weir_openclaw_execute(weir_openclaw_gateway *gateway,
                                        const weir_openclaw_request *request,
                                        weir_openclaw_result **ret_result);
WEIR_API void weir_openclaw_result_free(weir_openclaw_result *take_result); /* NULL is fine */

/* To whom a request goes, of several. */
typedef enum weir_openclaw_fan {
    WEIR_OPENCLAW_ALL = 1,   /* to each: fn is called once for each, `left` counts down to 0 */
    WEIR_OPENCLAW_FIRST = 2, /* to each, and the first answer that is ok is the one: fn is called
                                once, and the others are cancelled; none is: the last failure */
    WEIR_OPENCLAW_ROUND_ROBIN = 3 /* to one, in turn; one that is in error is passed over, unless
                                     all are */
} weir_openclaw_fan;

/* The same errors, after which fn is not called; with ALL and FIRST, who could not be asked has
 * failed with that. count: 1 … 1000. Calls of fn come one after the other, though with ALL maybe on
 * several threads. */
WEIR_API weir_err weir_openclaw_fan_out(weir_openclaw_gateway *const *gateways, size_t count,
                                        weir_openclaw_fan how, const weir_openclaw_request *request,
                                        weir_openclaw_fn *fn, void *arg);

/* --- HTTP ---------------------------------------------------------------------------------------
 * The same port answers HTTP: POST /tools/invoke, /v1/chat/completions, GET /readyz, /health.
 */

/* A client whose idle connections retire after 4 s: a gateway closes its own after 5. An answer may
 * take as long, and pause as long, as total_timeout_ms allows, which is that of options.pool where
 * that says one, else 10 min: an agent takes its time. What else the profile http-client says can
 * be changed by weir_http_client_update(). It is weir_openclaw_close() that frees it. */
WEIR_API weir_http_client *weir_openclaw_http(weir_openclaw *claw);
/* Sends to a path of the gateway, with its token (else its password) as Bearer, waits, and gathers
 * the answer. body: JSON, or NULL. The errors of weir_http_fetch(). */
WEIR_API weir_err weir_openclaw_fetch(weir_openclaw_gateway *gateway, const char *method,
                                      const char *path, const void *body, size_t body_len,
                                      weir_http_answer **ret_answer);
/* GET /readyz. WEIR_OK: it takes requests; WEIR_ESTATE also: this is a callback; WEIR_EAGAIN: it is
 * there, and not ready; else why it is not there. */
WEIR_API weir_err weir_openclaw_ready(weir_openclaw_gateway *gateway, uint32_t timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
