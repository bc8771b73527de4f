/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_health.c - questions about our own health (grpc.health.v1), and what a drain means to those
 * who wait for it to change.
 */
#include "gateway/openclaw.h"
#include "gateway/relay_parts.h"
#include "io/loop.h"

/* It is asked for, or there is no route; the question comes in the body. */
void relay_ask_health(struct transit *transit, bool is_health, bool end)
{
    if (!is_health) {
        transit_refuse(transit, FAULT_NO_ROUTE, 0);
        return;
    }
    transit->state = TRANSIT_ASKING;
    if (end) {
        relay_answer_health(transit);
    }
}

/* Nobody here has that name: an upstream that speaks gRPC may know it. */
static bool is_for_upstream(const struct transit *transit)
{
    return transit->upstream != NULL && transit->upstream->config->protocol == PROTOCOL_GRPC;
}

static void watch_health(struct transit *transit, struct slice service)
{
    struct lane *lane = transit->lane;
    transit->watch = health_service_watch(&lane->relay->health, service,
                                          lane->config->pool.idle_timeout_ms / 2, transit->ex);
    if (transit->watch == NULL) {
        transit_refuse(transit, FAULT_INTERNAL, 0);
        return;
    }
    transit->status = 200;
    transit->state = TRANSIT_ANSWERING;
    transit->first_byte_ns = loop_turn_ns(lane->relay->opt.loop);
}

void relay_answer_health(struct transit *transit)
{
    struct health_service *health = &transit->lane->relay->health;
    struct http_head *head = held_head(&transit->held);
    enum grpc_health_method method = grpc_health_method_of(head->path);
    struct slice service;
    if (!grpc_health_read(held_body(&transit->held), transit->held.body_len, &service)) {
        transit_refuse(transit, FAULT_BAD_REQUEST, 0);
        return;
    }
    bool is_ours = health_service_status(health, service) != GRPC_SERVICE_UNKNOWN;
    if (!is_ours && is_for_upstream(transit)) {
        transit->state = TRANSIT_WAITING;
        replay_budget_earn(&transit->upstream->budget);
        transit_begin(transit, head);
    } else if (method == GRPC_HEALTH_OTHER) {
        transit_refuse(transit, FAULT_NO_ROUTE, 0);
    } else if (method == GRPC_HEALTH_WATCH) {
        watch_health(transit, service);
    } else if (!is_ours) {
        transit_refuse(transit, FAULT_NO_SERVICE, 0);
    } else {
        transit->status = 200;
        transit->first_byte_ns = loop_turn_ns(transit->lane->relay->opt.loop);
        health_service_check(health, service, transit->ex);
        transit_finish(transit);
    }
}

void relay_unready(struct relay *relay)
{
    relay->health.is_draining = true;
    for (struct http_exchange *ex; (ex = health_service_first(&relay->health)) != NULL;) {
        transit_cut(ex->user, FAULT_CLOSING);
    }
}

void relay_drain(struct relay *relay, uint32_t spread_ms)
{
    relay_unready(relay);
    channels_drain(relay, spread_ms);
    for (uint32_t i = 0; i < relay->opt.config->upstreams.count; i++) {
        const struct upstream_source *source = relay->upstreams[i].source;
        if (relay->upstreams[i].openclaw != NULL && source->users == 1) {
            openclaw_drain(relay->upstreams[i].openclaw);
        }
    }
}
