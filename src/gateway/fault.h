/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.h - what we answer ourselves, and how: one row per cause.
 *
 * An answer of ours has a JSON body {"error":{"code":…,"message":…,"retry_after":…}}, Proxy-Status
 * with the cause (RFC 9209), and Retry-After with a 503 or 429. The code is also the word of logs.
 */
#pragma once
#include <weir/weir.h>

#include "proto/http.h"

#include <stdint.h>

/* name, code, status, Proxy-Status error (RFC 9209 §2.3), message. */
#define FAULTS(ROW)                                                                                \
    ROW(NO_ROUTE, "no_route", 404, "destination_not_found",                                        \
        "no route leads anywhere for this request")                                                \
    ROW(NO_SERVICE, "no_service", 404, "destination_not_found",                                    \
        "no upstream has the name that health was asked of")                                       \
    ROW(MISDIRECTED, "misdirected", 421, "http_request_error",                                     \
        "the request's host is not the one that TLS was set up for")                               \
    ROW(TOO_LARGE, "too_large", 413, "http_request_error", "the request's body is too large")      \
    ROW(BAD_REQUEST, "bad_request", 400, "http_request_error",                                     \
        "the request's body cannot be understood")                                                 \
    ROW(SLOW_REQUEST, "slow_request", 408, "http_request_error",                                   \
        "the request took too long to arrive")                                                     \
    ROW(KEY_MISSING, "key_missing", 401, "http_request_denied",                                    \
        "a key is required, as Authorization: Bearer or x-api-key")                                \
    ROW(KEY_WRONG, "key_wrong", 401, "http_request_denied", "nobody has this key")                 \
    ROW(CLIENT_FAST, "client_rate", 429, "http_request_denied", "this client asks too often")      \
    ROW(CLIENT_BUSY, "client_busy", 429, "http_request_denied",                                    \
        "this client has too many requests open")                                                  \
    ROW(ACCOUNTS_COOLING, "accounts_cooling", 429, "http_request_denied",                          \
        "every account cools down")                                                                \
    ROW(ACCOUNTS_FULL, "accounts_full", 429, "connection_limit_reached",                           \
        "every account has as many requests open as it may")                                       \
    ROW(NO_ACCOUNT, "no_account", 404, "destination_not_found", "no account serves this model")    \
    ROW(QUEUE_FULL, "queue_full", 503, "connection_limit_reached",                                 \
        "too many requests wait already")                                                          \
    ROW(WAIT_TOO_LONG, "wait_too_long", 503, "connection_limit_reached",                           \
        "the wait would be too long")                                                              \
    ROW(ACQUIRE_TIMEOUT, "acquire_timeout", 503, "connection_limit_reached",                       \
        "no connection became free in time")                                                       \
    ROW(OVERLOADED, "overloaded", 503, "connection_limit_reached",                                 \
        "the gateway is short of descriptors or memory")                                           \
    ROW(POOL_FULL, "pool_full", 503, "connection_limit_reached", "every connection is in use")     \
    ROW(DOWN, "down", 503, "destination_unavailable", "every endpoint is down")                    \
    ROW(UNDISCOVERED, "undiscovered", 503, "destination_unavailable",                              \
        "no endpoint of the upstream has been found yet")                                          \
    ROW(CLOSING, "closing", 503, "destination_unavailable", "the gateway is shutting down")        \
    ROW(REFUSED, "refused", 502, "connection_refused", "the upstream refused the connection")      \
    ROW(UNREACHABLE, "unreachable", 502, "destination_ip_unroutable",                              \
        "the upstream cannot be reached")                                                          \
    ROW(DNS, "dns", 502, "dns_error", "the upstream's name does not resolve")                      \
    ROW(TLS, "tls", 502, "tls_protocol_error", "TLS with the upstream failed")                     \
    ROW(TLS_EXPIRED, "tls_expired", 502, "tls_certificate_error",                                  \
        "the upstream's certificate has expired, or is not valid yet")                             \
    ROW(TLS_NAME, "tls_wrong_host", 502, "tls_certificate_error",                                  \
        "the upstream's certificate is for another name")                                          \
    ROW(TLS_UNTRUSTED, "tls_untrusted", 502, "tls_certificate_error",                              \
        "the upstream's certificate is not signed by a trusted authority")                         \
    ROW(TLS_ALPN, "tls_alpn", 502, "tls_alert_received",                                           \
        "the upstream and we have no protocol in common")                                          \
    ROW(CONNECT, "connect", 502, "destination_unavailable", "the upstream cannot be connected to") \
    ROW(RESET, "reset", 502, "connection_terminated", "the upstream closed before it answered")    \
    ROW(BAD_ANSWER, "bad_answer", 502, "http_protocol_error", "the upstream's answer is unusable") \
    ROW(CONNECT_TIMEOUT, "connect_timeout", 504, "connection_timeout",                             \
        "connecting to the upstream took too long")                                                \
    ROW(TLS_TIMEOUT, "tls_timeout", 504, "connection_timeout",                                     \
        "the TLS handshake with the upstream took too long")                                       \
    ROW(FIRST_BYTE_TIMEOUT, "first_byte_timeout", 504, "http_response_timeout",                    \
        "the upstream did not answer in time")                                                     \
    ROW(READ_TIMEOUT, "read_timeout", 504, "connection_read_timeout",                              \
        "the upstream stopped answering")                                                          \
    ROW(WRITE_TIMEOUT, "write_timeout", 504, "connection_write_timeout",                           \
        "the upstream took nothing for too long")                                                  \
    ROW(TOTAL_TIMEOUT, "total_timeout", 504, "http_response_timeout", "the answer took too long")  \
    ROW(IDLE, "idle_timeout", 504, "http_response_timeout", "nothing was said for too long")       \
    ROW(MESSAGE_SIZE, "message_size", 413, "http_request_error", "the gRPC message is too large")  \
    ROW(ANSWER_SIZE, "answer_size", 502, "http_response_body_size",                                \
        "the gRPC message of the answer is too large")                                             \
    ROW(DEADLINE, "deadline", 504, "http_response_timeout", "the gRPC deadline has passed")        \
    ROW(WEBSOCKET, "websocket", 400, "http_request_error",                                         \
        "a WebSocket is opened by GET with Sec-WebSocket-Key, 16 bytes in base64")                 \
    ROW(WEBSOCKET_VERSION, "websocket_version", 426, "http_request_error",                         \
        "Sec-WebSocket-Version must be 13")                                                        \
    ROW(WEBSOCKET_ONLY, "websocket_only", 426, "http_request_error",                               \
        "nothing but WebSocket is served here")                                                    \
    ROW(NO_WEBSOCKET, "no_websocket", 501, "http_protocol_error",                                  \
        "the upstream opens no WebSocket over HTTP/2")                                             \
    ROW(METHOD, "method", 405, "http_request_error",                                               \
        "requests to OpenClaw are POST, and its events are read by GET")                           \
    ROW(NOT_JSON, "not_json", 400, "http_request_error", "the body must be one JSON object")       \
    ROW(DENIED, "denied", 502, "connection_refused",                                               \
        "the OpenClaw gateway refuses our token, password or device")                              \
    ROW(CLIENT_LEFT, "client_left", 499, "http_request_error", "the client left")                  \
    ROW(INTERNAL, "internal", 500, "proxy_internal_error", "the gateway ran out of something")

enum fault {
    FAULT_NONE = 0,
#define FAULT_ROW(name, code, status, error, message) FAULT_##name,
    FAULTS(FAULT_ROW)
#undef FAULT_ROW
        FAULT_COUNT
};

/* What a lease that was refused or failed means, and what a call that failed does. */
enum fault fault_of_err(weir_err err);
enum fault fault_of_call(enum http_fault fault);
/* The pool's word for why a connection ended with that. */
weir_err fault_err_of_call(enum http_fault fault);

const char *fault_code(enum fault fault); /* "no_route"; "" for FAULT_NONE */
uint16_t fault_status(enum fault fault);

/* The code of gRPC (proto/grpc.h). */
unsigned fault_grpc_code(enum fault fault);

/* An answer, built in place; valid as long as the room it lies in. */
#define FAULT_FIELDS   4U
#define FAULT_BODY_MAX 256U

struct fault_answer {
    struct http_head head;
    struct http_field fields[FAULT_FIELDS];
    char status[128], retry_after[12], body[FAULT_BODY_MAX], grpc_status[4];
    uint32_t body_len;
};

/* retry_after_ms is told in whole seconds, at least one, with 503 and 429 only. `server`: who we
 * are in Proxy-Status. */
void fault_answer_make(struct fault_answer *answer, enum fault fault, uint32_t retry_after_ms,
                       const char *server);

/* The same for a client of gRPC: a head without a body, and the trailers that end an answer which
 * has begun. */
void fault_answer_grpc(struct fault_answer *answer, enum fault fault, bool is_trailer);
