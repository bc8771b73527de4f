/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/inlet.h"

#include "base/text.h"
#include "gateway/announce.h"

#include <errno.h>
#include <stdlib.h>

struct inlet {
    struct front *front;
    struct http1_listener *http1; /* also where HTTP/1.1 is not spoken: it tells clients so */
    struct http2_listener *http2; /* or NULL */
    char name[CONFIG_LABEL_MAX + 1];
};

static bool speaks(const struct config_listener *config, enum config_listener_protocol protocol)
{
    return (config->protocols >> protocol & 1U) != 0;
}

static struct http1_listener_options http1_options(const struct inlet *inlet,
                                                   const struct inlet_options *opt)
{
    const struct config_listener *l = opt->config;
    return (struct http1_listener_options){
        .name = inlet->name,
        .front = inlet->front,
        .hands_on_only = !speaks(l, LISTENER_HTTP1),
        .max_connections = l->pool.max_connections,
        .headers_timeout_ms = l->pool.headers_timeout_ms,
        .request_timeout_ms = l->pool.request_timeout_ms,
        .min_rate = l->pool.min_rate,
        .idle_timeout_ms = l->pool.idle_timeout_ms,
        .answer_timeout_ms = l->pool.answer_timeout_ms,
        .keepalive_timeout_ms = l->pool.keepalive_timeout_ms,
        .write_timeout_ms = l->pool.write_timeout_ms,
        .max_header_bytes = l->http1.max_header_bytes,
        .max_headers = l->http1.max_headers,
        .on_refuse = opt->on_refuse,
        .refuse_self = opt->self,
    };
}

static int open_http1(struct inlet *inlet, const struct inlet_options *opt)
{
    const struct http1_listener_options http1 = http1_options(inlet, opt);
    return http1_listener_new(opt->loop, opt->engine, &http1, opt->handler, opt->handler_self,
                              &inlet->http1);
}

static struct http2_listener_options http2_options(const struct inlet *inlet,
                                                   const struct inlet_options *opt)
{
    const struct config_listener *l = opt->config;
    return (struct http2_listener_options){
        .websocket = true,
        .front = inlet->front,
        .name = inlet->name,
        .headers_timeout_ms = l->pool.headers_timeout_ms,
        .request_timeout_ms = l->pool.request_timeout_ms,
        .min_rate = l->pool.min_rate,
        .idle_timeout_ms = l->pool.idle_timeout_ms,
        .answer_timeout_ms = l->pool.answer_timeout_ms,
        .keepalive_timeout_ms = l->pool.keepalive_timeout_ms,
        .write_timeout_ms = l->pool.write_timeout_ms,
        .max_headers = l->http1.max_headers,
        .max_concurrent_streams = l->http2.max_concurrent_streams,
        .max_header_list_size = l->http2.max_header_list_size,
        .max_session_memory = l->http2.max_session_memory,
        .ping_interval_ms = l->http2.ping_interval_ms,
        .grpc_keepalive_time_ms = l->grpc.keepalive_time_ms,
        .grpc_max_age_ms = l->grpc.max_connection_age_ms,
        .grpc_max_age_grace_ms = l->grpc.max_connection_age_grace_ms,
        .on_refuse = opt->on_refuse,
        .refuse_self = opt->self,
    };
}

static int open_http2(struct inlet *inlet, const struct inlet_options *opt)
{
    const struct http2_listener_options http2 = http2_options(inlet, opt);
    return http2_listener_new(opt->loop, front_pool(inlet->front), &http2, opt->handler,
                              opt->handler_self, &inlet->http2);
}

static struct front_options front_options_of(const struct inlet *inlet,
                                             const struct inlet_options *opt)
{
    return (struct front_options){
        .name = inlet->name,
        .engine = opt->engine,
        .max_connections = opt->config->pool.max_connections,
        .desk = opt->desk,
        .tls = opt->tls,
        .tls_timeout_ms = opt->config->pool.tls_timeout_ms,
        .on_tls_failed = opt->on_tls_failed,
        .header = (enum front_header)opt->config->proxy_protocol,
        .header_timeout_ms = opt->config->pool.headers_timeout_ms,
        .trusts = announce_trusts,
        .trusts_self = opt->config,
        .tells_ends = opt->tells_ends,
        .self = opt->self,
    };
}

static int open_front(struct inlet *inlet, const struct inlet_options *opt)
{
    const struct front_options front = front_options_of(inlet, opt);
    return front_new(opt->loop, &front, &inlet->front);
}

int inlet_open(const struct inlet_options *opt, struct inlet **ret_inlet)
{
    struct inlet *inlet = calloc(1, sizeof(*inlet));
    if (inlet == NULL)
        return -ENOMEM;
    slice_copy(inlet->name, sizeof(inlet->name), slice_of(opt->config->name));
    int error = open_front(inlet, opt);
    if (error == 0)
        error = open_http1(inlet, opt);
    if (error == 0 && speaks(opt->config, LISTENER_H2))
        error = open_http2(inlet, opt);
    if (error == 0) {
        const struct front_reader http1 = http1_listener_reader(inlet->http1);
        struct front_reader http2 = {0};
        if (inlet->http2 != NULL)
            http2 = http2_listener_reader(inlet->http2);
        front_read_with(inlet->front, &http1, inlet->http2 != NULL ? &http2 : NULL);
        error = front_accept(inlet->front, opt->port, opt->worker, opt->post, opt->post_self);
    }
    if (error == 0 && opt->is_held)
        accept_door_pause(front_door(inlet->front));
    if (error != 0) {
        inlet_close(inlet);
        return error;
    }
    *ret_inlet = inlet;
    return 0;
}

void inlet_close(struct inlet *take_inlet)
{
    struct inlet *inlet = take_inlet;
    if (inlet->front != NULL)
        front_shut(inlet->front);
    if (inlet->http2 != NULL)
        http2_listener_free(inlet->http2);
    if (inlet->http1 != NULL)
        http1_listener_free(inlet->http1);
    if (inlet->front != NULL)
        front_free(inlet->front);
    free(inlet);
}

void inlet_update(struct inlet *inlet, const struct inlet_options *opt)
{
    const struct front_options front = front_options_of(inlet, opt);
    const struct http1_listener_options http1 = http1_options(inlet, opt);
    const struct http2_listener_options http2 = http2_options(inlet, opt);
    front_update(inlet->front, &front);
    http1_listener_update(inlet->http1, &http1); /* its limits fit: reload_rules.c */
    http1_listener_hand_to(inlet->http1, opt->handler_self);
    if (inlet->http2 != NULL) {
        http2_listener_update(inlet->http2, &http2);
        http2_listener_hand_to(inlet->http2, opt->handler_self);
    }
}

int inlet_reach(struct inlet *inlet)
{
    return accept_door_reach(front_door(inlet->front));
}

void inlet_stay(struct inlet *inlet)
{
    accept_door_stay(front_door(inlet->front));
}

void inlet_move(struct inlet *inlet)
{
    accept_door_move(front_door(inlet->front));
}

void inlet_drain(struct inlet *inlet, struct drain_time time, void (*on_drained)(void *arg),
                 void *arg)
{
    front_drain(inlet->front, time, on_drained, arg);
}

void inlet_pause(struct inlet *inlet)
{
    front_pause(inlet->front);
}

void inlet_resume(struct inlet *inlet)
{
    front_resume(inlet->front);
}

void inlet_shut_door(struct inlet *inlet)
{
    front_shut_door(inlet->front);
}

void inlet_shorten(struct inlet *inlet, bool is_short)
{
    front_shorten(inlet->front, is_short);
}

void inlet_offer_idle(struct inlet *inlet, struct idlers *idlers)
{
    front_offer_idle(inlet->front, idlers);
}

void inlet_pace(struct inlet *inlet, uint32_t clients)
{
    front_pace(inlet->front, clients);
}

weir_pool *inlet_pool(const struct inlet *inlet)
{
    return front_pool(inlet->front);
}

const struct front_counters *inlet_front(const struct inlet *inlet)
{
    return front_counters(inlet->front);
}

const struct http1_counters *inlet_http1(const struct inlet *inlet)
{
    return http1_listener_counters(inlet->http1);
}

const struct http2_counters *inlet_http2(const struct inlet *inlet)
{
    static const struct http2_counters none;
    return inlet->http2 != NULL ? http2_listener_counters(inlet->http2) : &none;
}
