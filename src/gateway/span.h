/* SPDX-License-Identifier: Apache-2.0
 *
 * span.h - a request as OpenTelemetry tells it: a server span, from its head to its answer's end,
 * and in it a client span, its last try at an upstream; and how both are written as OTLP's JSON.
 *
 * A record has everything in itself, so that it outlives the request and its configuration. Names
 * are of the semantic conventions for HTTP (stable since 1.23); what they have no name for begins
 * with `weir.`. Neither query nor fields nor bodies are in it.
 *
 * Pure: times are arguments.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#define SPAN_TRACE    32U
#define SPAN_NAME_MAX 65U /* of the configuration, with its NUL */
#define SPAN_PATH_MAX 256U
#define SPAN_HOST_MAX 128U
#define SPAN_TEXT_MAX 16384U /* both of one record, as JSON: each byte takes six at most */

struct span {
    char trace[SPAN_TRACE];                /* hex */
    uint64_t id;                           /* the server span's */
    uint64_t parent;                       /* what the client came with; 0: the trace begins here */
    uint64_t client_id;                    /* 0: nobody was asked */
    uint64_t begun_ns, asked_ns, ended_ns; /* monotonic; asked: the client span's beginning */
    uint16_t status, upstream_status;      /* 0: there was no answer */
    uint16_t port;                         /* of the endpoint */
    uint8_t retries;
    bool is_http2, is_tls; /* the client's side */
    bool is_upstream_tls;
    bool is_reused;    /* the upstream's connection */
    const char *error; /* a literal: fault_code(); "": none */
    char method[16], path[SPAN_PATH_MAX], host[SPAN_HOST_MAX], client[46];
    char listener[SPAN_NAME_MAX], upstream[SPAN_NAME_MAX], account[SPAN_NAME_MAX];
    char endpoint[SPAN_HOST_MAX];
};

/* How many spans a record is: the server's, and the client's where somebody was asked. */
static inline uint32_t span_count(const struct span *span)
{
    return span->client_id != 0 ? 2 : 1;
}

/* The beginning of a message, its spans, and its end. `ahead_ns`: of wall time before monotonic
 * time. False: no room. */
bool span_message_begin(struct bytes *out, const char *node);
/* `nth`: how many records the message has already. How many spans it added; 0: no room. */
uint32_t span_message_add(struct bytes *out, uint32_t nth, const struct span *span,
                          uint64_t ahead_ns);
bool span_message_end(struct bytes *out);
