/* SPDX-License-Identifier: Apache-2.0
 *
 * inlet.h - a listener of the configuration on one worker: its front, which brings the clients, and
 * a reader for each protocol that it speaks. Both readers have the same handler, and so one relay.
 */
#pragma once
#include <weir/weir.h>

#include "gateway/config.h"
#include "listener/accept.h"
#include "listener/front.h"
#include "listener/http1.h"
#include "listener/http2.h"

#include <stdint.h>

struct inlet;

struct inlet_options {
    const struct config_listener *config; /* outlives it */
    struct loop *loop;
    weir_engine *engine;
    struct accept_port *port;
    uint32_t worker;
    front_post_fn *post; /* NULL: there is one worker */
    void *post_self;
    const struct http_handler *handler;
    void *handler_self;
    struct tls_desk *desk; /* NULL: plain */
    struct tls_server *tls;
    /* For logs: a request refused by the listener itself, a handshake that failed. */
    void (*on_refuse)(void *self, const struct http_peer *peer,
                      const struct http1_refusal *refusal);
    bool is_held;    /* nobody is let in before inlet_resume() */
    bool tells_ends; /* the handler is to know whom clients reached */
    void (*on_tls_failed)(void *self, const uint8_t address[16], const struct tls_result *result);
    void *self;
};

/* Before the worker runs, or on its thread. 0 or -errno. */
int inlet_open(const struct inlet_options *opt, struct inlet **ret_inlet);
/* After it ended, or from its thread. Cuts every client. */
void inlet_close(struct inlet *take_inlet);

/* Its limits, TLS and handler's self are those from now on; clients stay, and what they have asked
 * for goes on where it began. Name, port and protocols stay. */
void inlet_update(struct inlet *inlet, const struct inlet_options *opt);
/* As accept_door_reach(), accept_door_stay() and accept_door_move(). */
int inlet_reach(struct inlet *inlet);
void inlet_stay(struct inlet *inlet);
void inlet_move(struct inlet *inlet);

/* As front_drain(), front_pause(), … */
void inlet_drain(struct inlet *inlet, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg);
void inlet_pause(struct inlet *inlet);
void inlet_resume(struct inlet *inlet);
void inlet_shut_door(struct inlet *inlet);
/* As front_shorten(), front_offer_idle(), front_pace(). */
void inlet_shorten(struct inlet *inlet, bool is_short);
void inlet_offer_idle(struct inlet *inlet, struct idlers *idlers);
void inlet_pace(struct inlet *inlet, uint32_t clients);
weir_pool *inlet_pool(const struct inlet *inlet);

/* Any thread may read them. Those of a protocol that is not spoken are all zero. */
const struct front_counters *inlet_front(const struct inlet *inlet);
const struct http1_counters *inlet_http1(const struct inlet *inlet);
const struct http2_counters *inlet_http2(const struct inlet *inlet);
/* Of both together. */
#define inlet_counted(inlet, name)                                                                 \
    (http1_counter(&inlet_http1(inlet)->name) + http2_counter(&inlet_http2(inlet)->name))
