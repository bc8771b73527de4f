/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_span.c - a request as a span, where log.otlp asks for it: whether it is recorded is decided
 * once, when its trace is known, by the client's flag or, for a trace that begins here, by
 * log.otlp.sample.
 */
#include "base/check.h"
#include "gateway/relay_parts.h"

#include <string.h>

static uint64_t new_id(struct transit *transit)
{
    return rand_next(&transit->lane->relay->forward.rand) | 1; /* none is all zeroes */
}

static void decide(struct transit *transit, const struct http_head *head)
{
    const struct otlp_ring *spans = transit->lane->relay->opt.spans;
    struct forward_parent parent;
    if (transit->is_span_decided)
        return;
    transit->is_span_decided = true;
    if (transit->trace_begun == 0 && forward_parent_of(head, &parent)) {
        transit->has_span = parent.is_sampled;
        transit->span_parent = parent.id;
    } else {
        if (transit->trace_begun == 0)
            transit->trace_begun = new_id(transit); /* it is refused before it goes anywhere */
        transit->has_span = otlp_samples(spans, transit->trace_begun);
    }
}

void span_pass_on(struct transit *transit, struct http_head *head)
{
    struct forward *forward = &transit->lane->relay->forward;
    decide(transit, head);
    transit->span_asked = new_id(transit);
    forward_span(forward, transit->span_asked, transit->has_span, head);
}

/* --- recording -----------------------------------------------------------------------------------
 */

#define COPY(to, text) slice_copy((to), sizeof(to), (text))

static void fill_upstream(const struct transit *transit, struct span *span)
{
    const struct upstream *upstream = transit->upstream;
    const struct config_endpoint *endpoint = upstream->endpoints[transit->endpoint].config;
    span->client_id = transit->span_asked;
    span->asked_ns = transit->granted_ns;
    span->upstream_status = transit->first_byte_ns != 0 ? transit->status : 0;
    span->retries = transit->tries > 0 ? (uint8_t)(transit->tries - 1) : 0;
    span->is_reused = transit->reused;
    span->is_upstream_tls = strcmp(endpoint->scheme, "https") == 0;
    COPY(span->endpoint, slice_of(endpoint->name));
    COPY(span->upstream, slice_of(upstream->config->name));
    if (upstream->config->accounts.count > 0)
        COPY(span->account, slice_of(upstream->config->accounts.at[transit->account].name));
}

void span_record(struct transit *transit, uint64_t ended_ns)
{
    struct relay *relay = transit->lane->relay;
    char room[FORWARD_TRACE_ID];
    struct span span = {.error = fault_code((enum fault)transit->fault)};
    const struct http_head *head = held_head(&transit->held);
    decide(transit, head);
    if (!transit->has_span)
        return;
    struct slice trace = transit_trace(transit, room);
    if (trace.len != SPAN_TRACE)
        return;
    memcpy(span.trace, trace.at, SPAN_TRACE);
    span.id = new_id(transit);
    span.parent = transit->span_parent;
    span.begun_ns = transit->begun_ns;
    span.ended_ns = ended_ns;
    span.status = transit->status;
    span.is_http2 = head->is_http2;
    span.is_tls = transit->is_tls;
    COPY(span.method, head->method);
    COPY(span.path, route_path_of(head->path));
    COPY(span.host, head->authority);
    COPY(span.client, ((struct slice){transit->client, transit->client_len}));
    COPY(span.listener, slice_of(transit->lane->config->name));
    if (transit->span_asked != 0)
        fill_upstream(transit, &span);
    otlp_record(relay->opt.spans, &span);
}
