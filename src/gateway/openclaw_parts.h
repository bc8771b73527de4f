/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_parts.h - private to openclaw.c (the upstream) and openclaw_call.c (one request).
 */
#pragma once
#include "base/bytes.h"
#include "base/list.h"
#include "connector/http.h"
#include "gateway/fault.h"
#include "gateway/openclaw.h"
#include "io/loop.h"

/* As one account. */
struct openclaw_endpoint {
    struct http_link link;
    struct openclaw *openclaw;
    uint32_t index, way; /* of the endpoint; of the account (config_way.h) */
    struct claw_account account;
    struct key *pin;
    struct claw_call look; /* so that this worker has a connection that events come on */
    bool is_looking, is_found;
};

struct openclaw {
    const struct config_upstream *config;
    weir_pool *pool;
    struct claw_connector *connector;
    struct accounts *accounts; /* or NULL */
    struct account_news *news;
    struct openclaw_endpoint *endpoints; /* all of the first way, then those of the next */
    uint32_t endpoints_count, ways;
    uint32_t count; /* of both */
    uint32_t workers;
    struct loop *loop;
    struct list readers; /* of events */
    struct loop_timer beat;
    bool is_draining;
    relay_event_fn *tell; /* or NULL */
    void *tell_self;
    struct fault_answer answer; /* while one is told */
};

struct http_call *openclaw_call_open(struct http_link *link, const struct http_caller *caller,
                                     void *user);

/* --- readers of events --- */

/* The first look for connections of that way, or another one. */
void openclaw_look(struct openclaw *openclaw, uint32_t way);
uint32_t openclaw_reader_way(struct node *reader);
void openclaw_reader_ready(struct node *reader); /* from now on nothing is missed */
void openclaw_reader_event(struct node *reader, const struct claw_frame *frame);
void openclaw_reader_beat(struct node *reader);
void openclaw_reader_end(struct node *reader);
