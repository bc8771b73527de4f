/* SPDX-License-Identifier: Apache-2.0
 *
 * forward.h - what a gateway changes in the heads that pass it: the fields that say whom a request
 * comes from, Via, trace context, and what a route sets or removes.
 *
 * Hop-by-hop fields were marked by the reader of the message already (http_drop_hop_by_hop); here
 * fields are only marked `drop` or added, never rewritten in place.
 *
 *   replace  whatever the client said about its origin goes; what we see is said instead
 *   append   what a trusted proxy said stays and is added to; anybody else is replaced
 *   off      whatever the client said goes, and nothing is said: neither Via
 */
#pragma once
#include "base/rand.h"
#include "gateway/config.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define FORWARD_SET_MAX     32U /* request_headers.set */
#define FORWARD_ADDED_MAX   (FORWARD_SET_MAX + CONFIG_ACCOUNT_HEADERS_MAX + 10U)
#define FORWARD_CHAIN_MAX   4096U /* bytes of a chain of proxies; a longer one is begun anew */
#define FORWARD_TRACE_BYTES 55U
#define FORWARD_TRACE_ID    32U
#define FORWARD_VALUE_MAX   256U /* a longer one is not copied next to the others */
/* In http_field.drop beside the reader's mark: whoever keeps a head can have it back as it came. */
#define FORWARD_DROP        2U

/* A route's rules, made ready. */
struct forward_rules {
    enum config_forwarded policy;
    const struct config_route *route;
    struct http_field set[FORWARD_SET_MAX];
    uint32_t set_count;
    struct slice host; /* what Host is set to; empty: as the client said */
};

void forward_rules_init(struct forward_rules *rules, const struct config_route *route);

/* A worker's room for what is added to the head at hand: valid until the next one. */
struct forward {
    struct rand rand; /* trace ids */
    struct http_field added[FORWARD_ADDED_MAX];
    char trace[FORWARD_TRACE_BYTES];
    char *trace_at;       /* where that lies in `lines`, where it is of use */
    uint64_t trace_begun; /* of the request at hand, where its trace begins here; else 0 */
    char *end;            /* of the lines so far */
    /* The added fields as they are to be written, one behind another: they leave in one copy. */
    char lines[6 * (FORWARD_VALUE_MAX + 32)];
    char chain[2][FORWARD_CHAIN_MAX]; /* X-Forwarded-For, Forwarded */
};

void forward_init(struct forward *forward, uint64_t seed);

/* `trusted`: the peer is one of the listener's trusted_proxies. */
void forward_request(struct forward *forward, const struct forward_rules *rules,
                     const struct http_peer *peer, bool trusted, struct http_head *head);
void forward_answer(const struct forward_rules *rules, struct http_head *head);

/* It goes as somebody else: what the client showed of itself (Authorization, x-api-key) goes no
 * further, and these fields, which stay where they are, are set. After forward_request(). */
void forward_sign(struct forward *forward, const struct http_field *fields, uint32_t count,
                  struct http_head *head);

/* Fields of these ids, a bit for each, go no further. */
void forward_hide(struct http_head *head, uint64_t ids);

/* The client was told to go on (100) already. */
void forward_continued(struct http_head *head);

/* A WebSocket that came by HTTP/2 goes on by HTTP/1.1: adds what the latter asks with. */
void forward_upgrade(struct forward *forward, struct slice key, struct http_head *head);

/* Whether an address is in one of the ranges. */
bool forward_trusts(const struct config_listener *listener, const uint8_t address[16]);

/* Whom a request comes from, as far as that can be believed: the peer, or, where that is one of
 * the trusted_proxies, the last of the chain it speaks of (X-Forwarded-For, else Forwarded) that is
 * not one itself. An entry that is no address ends the chain before it. */
void forward_client(const struct config_listener *listener, const struct http_peer *peer,
                    const struct http_head *head, uint8_t ret_address[16]);

/* What a request said of the trace that it is part of. */
struct forward_parent {
    uint64_t id; /* of the span that it was sent from */
    bool is_sampled;
};

/* False: nothing that can be understood. */
bool forward_parent_of(const struct http_head *came, struct forward_parent *ret_parent);

/* After forward_request(), of one that was tried before: it stays in the trace that began then. */
void forward_same_trace(struct forward *forward, uint64_t trace_begun);
/* After forward_request(): it goes on from that span of ours, where that is recorded or the trace
 * begins here; else as it came. */
void forward_span(struct forward *forward, uint64_t id, bool is_sampled, struct http_head *head);

/* The id of a request's trace, 32 hex digits: of the one that began here, as `trace_begun` said
 * when it was forwarded, else of what it came with; empty where that is nothing to go by. */
struct slice forward_trace_id(const struct forward *forward, uint64_t trace_begun,
                              const struct http_head *came, char room[static FORWARD_TRACE_ID]);
