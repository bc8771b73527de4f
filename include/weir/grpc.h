/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.h - gRPC, from both sides: calls over pooled connections of HTTP/2, and services that a
 * server has (weir/server.h). Unary and streaming, bytes in and out.
 *
 *     weir_grpc_client *client;
 *     weir_grpc_client_new(runtime, NULL, &client);
 *
 *     weir_grpc_reply *reply;
 *     if (weir_grpc_fetch(client, "http://127.0.0.1:50051/pkg.Service/Method", data, len, 1000,
 *                         &reply) == WEIR_OK) {
 *         ... weir_grpc_reply_status(reply), weir_grpc_reply_message(reply) ...
 *         weir_grpc_reply_free(reply);
 *     }
 *
 * Messages are the program's own to encode; here they are bytes. All four kinds of call are one:
 * any number of messages is sent, any number comes, and a status ends it.
 *
 * Rules:
 *  1. Functions may be called from any thread.
 *  2. A call that was taken ends with exactly one on_end, on the thread of a worker, in a later
 * event: never inside a call of this header.
 *  3. Callbacks of one call come one after the other. They may call everything but
 * weir_grpc_fetch() and weir_grpc_client_free(), which answer WEIR_ESTATE there.
 *  4. What is passed in is copied before the function returns, but for the handler. What a
 * callback is given is valid until it returns.
 *  5. A call's handle lives until weir_grpc_call_free(), whenever that is.
 */
#ifndef WEIR_GRPC_H
#define WEIR_GRPC_H

#include <weir/server.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the client ---------------------------------------------------------------------------------
 */

/* How a call ends: WEIR_GRPC_OK, WEIR_GRPC_CANCELLED, …; the rows are in <weir/def/grpc_code.def>.
 */
typedef enum weir_grpc_code {
#define WEIR_GRPC_CODE(name, number, text) WEIR_GRPC_##name = (number),
#include <weir/def/grpc_code.def>
#undef WEIR_GRPC_CODE
} weir_grpc_code;

typedef struct weir_grpc_client weir_grpc_client;

typedef struct weir_grpc_client_options {
    size_t size;
    /* As in weir_http_client_options; name [grpc-client, ...], total_timeout_ms, read_timeout_ms
     * and first_byte_timeout_ms [WEIR_NEVER]: a call has its deadline. */
    weir_pool_options pool;
    uint32_t receive_max;   /* bytes of a message that comes; WEIR_UNLIMITED [4 MiB] */
    uint32_t send_max;      /* bytes of a message that goes [WEIR_UNLIMITED] */
    uint32_t unsent_max;    /* bytes that weir_grpc_send() keeps for a slow peer [1 MiB] */
    const char *user_agent; /* [grpc-c-weir/VERSION] */
    /* https://, and what connections go through: as in weir_http_client_options. */
    weir_tls_options tls;
    const char *proxy;
    weir_tls_options proxy_tls;
} weir_grpc_client_options;

/* opt may be NULL. As weir_http_client_new(). */
WEIR_API weir_err weir_grpc_client_new(weir_runtime *runtime, const weir_grpc_client_options *opt,
                                       weir_grpc_client **ret_client);
/* Ends all its calls with CANCELLED and returns when the last callback has. WEIR_ESTATE: this is
 * one of the runtime's callbacks, and nothing was done. NULL is fine. */
WEIR_API weir_err weir_grpc_client_free(weir_grpc_client *take_client);
/* Of its connections, and of calls as requests. */
WEIR_API void weir_grpc_client_stats(const weir_grpc_client *client, weir_http_stats *ret_stats);

/* --- a call -------------------------------------------------------------------------------------
 */

typedef struct weir_grpc_call weir_grpc_call;

/* How a call ended: gRPC's code (0: OK) and message, and where it never came to a status, why. */
typedef struct weir_grpc_status {
    size_t size;
    uint32_t code;       /* weir_grpc_code */
    const char *message; /* decoded; "": none */
    weir_err err;        /* WEIR_OK: the peer said so; else code is what stands for this */
    /* The fields behind the last message, or NULL: weir_http_field_of() and its like. */
    const weir_http_answer *trailers;
} weir_grpc_status;

/* What a call tells; the struct outlives the call. All may be NULL but on_end. */
typedef struct weir_grpc_handler {
    size_t size;
    /* The fields before the first message. */
    void (*on_head)(void *arg, const weir_http_answer *head);
    /* A message. Return false to have no more until weir_grpc_resume(). */
    bool (*on_message)(void *arg, const void *data, size_t len);
    /* What weir_grpc_send() had refused with WEIR_EAGAIN may be tried again. */
    void (*on_writable)(void *arg);
    void (*on_end)(void *arg, const weir_grpc_status *status);
} weir_grpc_handler;

typedef struct weir_grpc_request {
    size_t size;
    const char *url;               /* "http://host:port/package.Service/Method" */
    const weir_http_field *fields; /* metadata; names that end in "-bin": values in base64 */
    size_t field_count;
    const void *message; /* the first message; NULL: none yet */
    size_t message_len;
    uint32_t unary;       /* WEIR_ON: `message` is also the last [WEIR_OFF] */
    uint32_t deadline_ms; /* of all of it, told to the peer; 0: none */
    const char *tenant;   /* as in weir_key */
    const char *proxy;    /* as in weir_http_request */
} weir_grpc_request;

/* Begins a call. WEIR_EINVAL (weir_runtime_fault() names the field), WEIR_ETOO_LARGE: send_max; and
 * as weir_http_send(). What the peer says it has not touched (GOAWAY, REFUSED_STREAM) is called
 * again, as long as no more than 64 KiB of messages had gone. */
WEIR_API weir_err weir_grpc_call_open(weir_grpc_client *client, const weir_grpc_request *request,
                                      const weir_grpc_handler *handler, void *arg,
                                      weir_grpc_call **ret_call);
/* Sends a message. WEIR_EAGAIN: the peer does not keep up, on_writable tells when it does;
 * WEIR_ETOO_LARGE: send_max; WEIR_ESTATE: after weir_grpc_finish(), or it has ended. */
WEIR_API weir_err weir_grpc_send(weir_grpc_call *call, const void *message, size_t len);
/* No more messages will be sent. WEIR_ESTATE: that was said, or it has ended. */
WEIR_API weir_err weir_grpc_finish(weir_grpc_call *call);
/* Lets messages come again. WEIR_ESTATE: it has ended. */
WEIR_API weir_err weir_grpc_resume(weir_grpc_call *call);
/* Ends it: on_end brings CANCELLED. WEIR_ESTATE: it has ended. */
WEIR_API weir_err weir_grpc_cancel(weir_grpc_call *call);
/* Lets go of the handle; a call under way goes on. NULL is fine. */
WEIR_API void weir_grpc_call_free(weir_grpc_call *take_call);

/* --- a unary call that waits --------------------------------------------------------------------
 */

typedef struct weir_grpc_reply weir_grpc_reply;

/* deadline_ms 0: none. WEIR_OK: there is a status, whichever; else as weir_grpc_call_open().
 * WEIR_ESTATE: this is a thread of a worker, which must not wait. */
WEIR_API weir_err weir_grpc_fetch(weir_grpc_client *client, const char *url, const void *message,
                                  size_t len, uint32_t deadline_ms, weir_grpc_reply **ret_reply);
WEIR_API uint32_t weir_grpc_reply_status(const weir_grpc_reply *reply);   /* gRPC's code */
WEIR_API const char *weir_grpc_reply_error(const weir_grpc_reply *reply); /* its message */
WEIR_API weir_text weir_grpc_reply_message(const weir_grpc_reply *reply); /* .at NULL: none came */
WEIR_API void weir_grpc_reply_free(weir_grpc_reply *take_reply);          /* NULL is fine */

/* --- a service ----------------------------------------------------------------------------------
 *
 * A server whose handler has a service is called: requests of HTTP/2 whose Content-Type is
 * application/grpc are calls, and never come to on_request. A call is an exchange, of which all
 * holds that weir/server.h says, but for how it is answered:
 *
 *     static void echo(void *self, weir_exchange *call, const void *message, size_t len)
 *     {
 *         weir_grpc_answer(call, message, len);
 *         weir_grpc_end(call, WEIR_GRPC_OK, NULL, NULL, 0);
 *     }
 *
 *     static const weir_grpc_method methods[] = {{.path = "/pkg.Service/Echo", .on_message =
 * echo}}; static const weir_grpc_service service = {.methods = methods, .method_count = 1}; static
 * const weir_server_handler handler = {.grpc = &service};
 *
 * For a unary method one message comes and one is answered; for the others any number, in any
 * order. A call ends once: by weir_grpc_end() or weir_exchange_abort(), or when on_abort says so;
 * then the pointer is dead. A deadline ends it of itself, with DEADLINE_EXCEEDED; what breaks the
 * rules or a limit, with a status that says so.
 */

typedef struct weir_grpc_method {
    const char *path; /* "/package.Service/Method"; NULL, in the last one: every other method */
    /* It begins. weir_request_path() and the fields, which are its metadata, are valid until this
     * returns. May be NULL, like all but one of the first two. */
    void (*on_call)(void *self, weir_exchange *call);
    /* A message, valid until this returns. weir_exchange_pause() has no more come for now, but for
     * those that are here already. */
    void (*on_message)(void *self, weir_exchange *call, const void *message, size_t len);
    /* Its client has sent all messages. */
    void (*on_finish)(void *self, weir_exchange *call);
    /* What weir_grpc_answer() had refused with WEIR_EAGAIN may be tried again. */
    void (*on_writable)(void *self, weir_exchange *call);
    /* WEIR_ECANCELED: by its client; WEIR_ETOTAL_TIMEOUT: its deadline passed; WEIR_ETOO_LARGE:
     * receive_max; WEIR_EPROTOCOL and others: as weir_server_handler. It is dead when this returns.
     */
    void (*on_abort)(void *self, weir_exchange *call, weir_err why);
} weir_grpc_method;

/* Outlives the server, as its methods do. Their `self` is that of the handler. */
typedef struct weir_grpc_service {
    size_t size;
    const weir_grpc_method *methods; /* those that are none of them are UNIMPLEMENTED */
    size_t method_count;
    uint32_t receive_max; /* bytes of a message that comes; WEIR_UNLIMITED [4 MiB] */
    uint32_t send_max;    /* bytes of a message that goes [WEIR_UNLIMITED] */
    uint32_t unsent_max;  /* bytes that weir_grpc_answer() keeps for a slow client [1 MiB] */
    uint32_t health;      /* WEIR_ON: grpc.health.v1.Health answers, see below [WEIR_OFF] */
} weir_grpc_service;

/* How long a call may still take, in ms; WEIR_NEVER: its client has set no deadline. */
WEIR_API uint32_t weir_grpc_time_left(const weir_exchange *call);
/* The metadata before the first message; without it, there is none. Names that end in "-bin":
 * values in base64. WEIR_EINVAL: a field that cannot be; WEIR_ESTATE: something was answered. */
WEIR_API weir_err weir_grpc_begin(weir_exchange *call, const weir_http_field *fields,
                                  size_t field_count);
/* Sends a message. WEIR_EAGAIN: the client does not keep up, on_writable tells when it does;
 * WEIR_ETOO_LARGE: send_max; WEIR_ENOMEM; WEIR_ESTATE: this exchange is no call. */
WEIR_API weir_err weir_grpc_answer(weir_exchange *call, const void *message, size_t len);
/* Ends it: a code, a message for people or NULL, metadata. What was answered goes first.
 * WEIR_EINVAL: a code or a field that cannot be, and it goes on; WEIR_ESTATE: this exchange is no
 * call. Where there is no memory its client sees a stream that was reset. */
WEIR_API weir_err weir_grpc_end(weir_exchange *call, weir_grpc_code code, const char *message,
                                const weir_http_field *fields, size_t field_count);

/* What grpc.health.v1.Health says of a service: WEIR_ON: SERVING, WEIR_OFF: NOT_SERVING, 0: it is
 * not known (any more). "" is the server as a whole, SERVING until it closes; up to 64 others.
 * Those who watch are told. Any thread. WEIR_EINVAL: no such state; WEIR_EFULL, WEIR_ENOMEM. */
WEIR_API weir_err weir_grpc_health_set(weir_server *server, const char *service, uint32_t state);

#ifdef __cplusplus
}
#endif
#endif
