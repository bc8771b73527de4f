/* SPDX-License-Identifier: Apache-2.0
 *
 * grpc.h - calls of gRPC over pooled connections of HTTP/2: unary and streaming, bytes in and out.
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

#include <weir/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- the client ---------------------------------------------------------------------------------
 */

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
    uint32_t code;
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
 * as weir_http_send(). */
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

#ifdef __cplusplus
}
#endif
#endif
