/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http1.h"

#include "io/socket.h"
#include "listener/guest.h"
#include "listener/http1_client.h"
#include "listener/idlers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void bury_graves(struct loop_later *later);
static void let_go(struct drain *drain, uint32_t part);
static void cut_left(struct drain *drain);

/* --- making ------------------------------------------------------------------------------------
 */

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

static void fill_options(struct http1_listener *listener, const struct http1_listener_options *opt)
{
    listener->opt = *opt;
    struct http1_listener_options *mine = &listener->opt;
    mine->server = opt->server != NULL ? opt->server : "weir";
    mine->alloc = opt->alloc != NULL ? opt->alloc : loop_alloc(listener->loop);
    mine->max_connections = either(opt->max_connections, 1000);
    mine->headers_timeout_ms = either(opt->headers_timeout_ms, 10000);
    mine->request_timeout_ms = either(opt->request_timeout_ms, 30000);
    mine->idle_timeout_ms = either(opt->idle_timeout_ms, 30000);
    mine->answer_timeout_ms = either(opt->answer_timeout_ms, mine->idle_timeout_ms);
    mine->keepalive_timeout_ms = either(opt->keepalive_timeout_ms, 5000);
    mine->write_timeout_ms = either(opt->write_timeout_ms, 30000);
    listener->limits = HTTP1_LIMITS_DEFAULT;
    struct http1_limits *limits = &listener->limits;
    limits->head_bytes_max = either(opt->max_header_bytes, limits->head_bytes_max);
    limits->fields_max = (uint16_t)either(opt->max_headers, limits->fields_max);
    if (limits->target_bytes_max > limits->head_bytes_max) {
        limits->target_bytes_max = limits->head_bytes_max;
    }
}

static bool options_fit(struct loop *loop, const struct http1_listener_options *opt)
{
    size_t buffer;
    loop_buffer(loop, &buffer);
    return opt->name != NULL && strlen(opt->name) <= 48 && opt->max_headers <= HTTP_FIELDS_MAX
           && opt->max_header_bytes <= buffer / 2;
}

/* Times are this listener's; the pool counts, lists and limits. */
static int open_pool(struct http1_listener *listener, weir_engine *engine)
{
    if (listener->opt.front != NULL) {
        listener->pool = front_pool(listener->opt.front);
        return 0;
    }
    return guest_pool_open(engine, listener->opt.name, listener->opt.max_connections,
                           &listener->pool);
}

int http1_listener_new(struct loop *loop, weir_engine *engine,
                       const struct http1_listener_options *opt, const struct http_handler *handler,
                       void *handler_self, struct http1_listener **ret_listener)
{
    if (!options_fit(loop, opt)) {
        return -EINVAL;
    }
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : loop_alloc(loop);
    struct http1_listener *listener = alloc_zeroed(alloc, sizeof *listener);
    if (listener == NULL) {
        return -ENOMEM;
    }
    listener->loop = loop;
    listener->handler = handler;
    listener->handler_self = handler_self;
    fill_options(listener, opt);
    list_init(&listener->clients);
    list_init(&listener->tunnels);
    list_init(&listener->graves);
    cork_init(&listener->cork, loop);
    listener->bury.run = bury_graves;
    drain_init(&listener->drain, loop, let_go, cut_left);
    int error = open_pool(listener, engine);
    if (error != 0) {
        alloc_free(alloc, listener);
        return error;
    }
    *ret_listener = listener;
    return 0;
}

static struct client *client_at(struct node *node)
{
    return container_of(node, struct client, on_list);
}

static void bury(struct http1_listener *listener)
{
    while (!list_is_empty(&listener->graves)) {
        struct client *client = client_at(list_first(&listener->graves));
        list_remove(&listener->graves, &client->on_list);
        alloc_free(listener->opt.alloc, client);
    }
}

static bool is_empty(const struct http1_listener *listener)
{
    return list_is_empty(&listener->clients) && list_is_empty(&listener->tunnels);
}

static void bury_graves(struct loop_later *later)
{
    struct http1_listener *listener = container_of(later, struct http1_listener, bury);
    bury(listener);
    if (is_empty(listener)) {
        drain_end(&listener->drain);
    }
}

static void cut_all(struct http1_listener *listener)
{
    while (!list_is_empty(&listener->clients)) {
        client_abort(client_at(list_first(&listener->clients)), HTTP_FAULT_CANCELLED, WEIR_ECLOSED);
    }
    http1_tunnels_cut(listener);
}

void http1_listener_free(struct http1_listener *take_listener)
{
    struct http1_listener *listener = take_listener;
    if (listener->door != NULL) {
        accept_door_shut(listener->door);
    }
    cut_all(listener);
    if (listener->door != NULL) {
        accept_door_close(listener->door);
    }
    bury(listener);
    request_free_spare(listener);
    loop_later_cancel(listener->loop, &listener->bury);
    drain_fini(&listener->drain);
    cork_fini(&listener->cork);
    if (listener->opt.front == NULL) {
        weir_pool_close(listener->pool, 0);
    }
    alloc_free(listener->opt.alloc, listener);
}

/* --- clients come -------------------------------------------------------------------------------
 */

/* Makes the client known to the pool, or turns it away. */
static void client_admit(struct client *client)
{
    struct http1_listener *listener = client->home;
    char note[46];
    guest_print(client->address, note);
    const char *scheme = stream_is_tls(client->stream) ? "https" : "http";
    weir_err err = guest_admit(listener->pool, scheme, listener->opt.name, note, &client->guest,
                               &client->conn);
    if (err != WEIR_OK) {
        client->conn.id = 0;
        client_turn_away(client, ACCEPT_FULL);
    }
}

static void door_serve(void *self, const struct accept_client *accepted)
{
    struct http1_listener *listener = self;
    struct stream *stream;
    int error = socket_adopt(listener->loop, accepted->fd, &stream);
    struct client *client = error == 0 ? client_new(listener, stream, accepted->address) : NULL;
    if (client == NULL) {
        accept_leave(listener->door, accepted->address);
        return;
    }
    client->seated = true;
    client_admit(client);
}

static void door_refuse(void *self, const struct accept_client *accepted, enum accept_refusal why)
{
    struct http1_listener *listener = self;
    struct stream *stream;
    if (socket_adopt(listener->loop, accepted->fd, &stream) != 0) {
        return;
    }
    struct client *client = client_new(listener, stream, accepted->address);
    if (client != NULL) {
        client_turn_away(client, why);
    }
}

int http1_listener_accept(struct http1_listener *listener, struct accept_port *port,
                          uint32_t worker, http1_post_fn *post, void *post_self)
{
    check(listener->door == NULL);
    const struct accept_ops ops = {
        .serve = door_serve,
        .refuse = door_refuse,
        .self = listener,
        .post = post,
        .post_self = post_self,
    };
    return accept_door_open(port, listener->loop, worker, &ops, &listener->door);
}

int http1_listener_serve(struct http1_listener *listener, struct stream *take_stream,
                         const uint8_t address[16])
{
    struct client *client = client_new(listener, take_stream, address);
    if (client == NULL) {
        return -ENOMEM;
    }
    client_admit(client);
    return 0;
}

int http1_listener_update(struct http1_listener *listener, const struct http1_listener_options *opt)
{
    struct http1_listener_options next = *opt;
    next.name = listener->opt.name;
    if (!options_fit(listener->loop, &next)) {
        return -EINVAL;
    }
    next.server = listener->opt.server;
    next.on_refuse = listener->opt.on_refuse;
    next.on_full = listener->opt.on_full;
    next.refuse_self = listener->opt.refuse_self;
    next.alloc = listener->opt.alloc;
    next.front = listener->opt.front;
    fill_options(listener, &next);
    guest_pool_limit(listener->pool, listener->opt.max_connections);
    weir_list_each(node, &listener->clients) {
        client_arm_state(client_at(node));
    }
    return 0;
}

/* --- for a front --------------------------------------------------------------------------------
 */

static void front_serves(void *self, struct stream *take_stream, const struct front_client *from)
{
    struct http1_listener *listener = self;
    struct client *client = client_new(listener, take_stream, from->address);
    if (client == NULL) {
        if (from->is_seated) {
            front_leave(listener->opt.front, from->address);
        }
        return;
    }
    client->ends = from->ends;
    if (from->is_seated) {
        client->seated = true;
        client_admit(client);
    } else {
        client_turn_away(client, from->why);
    }
}

static void front_drains(void *self, struct drain_time time, void (*on_drained)(void *arg),
                         void *arg)
{
    http1_listener_drain(self, time, on_drained, arg);
}

static void front_shortens(void *self, bool is_short)
{
    struct http1_listener *listener = self;
    listener->is_short = is_short;
    weir_list_each(node, &listener->clients) {
        client_arm_state(client_at(node)); /* a later deadline is found out when it fires */
    }
}

static void idler_close(void *idler)
{
    struct client *client = idler;
    http1_tally(&client->home->counters.evicted, 1);
    client_close(client, WEIR_EEVICTED);
}

static void front_offers_idle(void *self, struct idlers *idlers)
{
    struct http1_listener *listener = self;
    uint32_t now = (uint32_t)loop_now_ms(listener->loop);
    weir_list_each(node, &listener->clients) {
        struct client *client = client_at(node);
        if (client->state == CLIENT_IDLE) {
            idlers_offer(idlers, &(struct idler){.idle_ms = now - client->since,
                                                 .is_favoured = client->favoured,
                                                 .close = idler_close,
                                                 .client = client});
        }
    }
}

struct front_reader http1_listener_reader(struct http1_listener *listener)
{
    return (struct front_reader){.serve = front_serves,
                                 .drain = front_drains,
                                 .shorten = front_shortens,
                                 .offer_idle = front_offers_idle,
                                 .self = listener};
}

void http1_listener_hand_to(struct http1_listener *listener, void *handler_self)
{
    listener->handler_self = handler_self;
}

/* --- draining -----------------------------------------------------------------------------------
 */

static void cut_left(struct drain *drain)
{
    cut_all(container_of(drain, struct http1_listener, drain));
}

static bool is_idle(const struct client *client)
{
    return client->state == CLIENT_IDLE && !client->fresh && client_may_go(client);
}

static void let_go(struct drain *drain, uint32_t part)
{
    struct http1_listener *listener = container_of(drain, struct http1_listener, drain);
    uint32_t idle = 0;
    weir_list_each(node, &listener->clients) {
        idle += is_idle(client_at(node));
    }
    uint32_t quota = drain_quota(drain, idle, part);
    weir_list_each_safe(node, &listener->clients) {
        if (quota > 0 && is_idle(client_at(node))) {
            quota--;
            http1_tally(&listener->counters.drained, 1);
            client_close(client_at(node), WEIR_ECLOSED);
        }
    }
}

void http1_listener_drain(struct http1_listener *listener, struct drain_time time,
                          void (*on_drained)(void *arg), void *arg)
{
    if (listener->door != NULL) {
        accept_door_shut_last(listener->door);
    }
    drain_begin(&listener->drain, time, on_drained, arg);
    weir_list_each(node, &listener->clients) {
        if (client_at(node)->state == CLIENT_IDLE) {
            client_arm_state(client_at(node));
        }
    }
    http1_tunnels_drain(listener);
    if (is_empty(listener)) {
        drain_end(&listener->drain);
    }
}

void http1_listener_pause(struct http1_listener *listener)
{
    accept_door_pause(listener->door);
}

void http1_listener_resume(struct http1_listener *listener)
{
    accept_door_resume(listener->door);
}

void http1_listener_shut_door(struct http1_listener *listener)
{
    accept_door_shut(listener->door);
}

/* --- looking in ---------------------------------------------------------------------------------
 */

const struct http1_counters *http1_listener_counters(const struct http1_listener *listener)
{
    return &listener->counters;
}

weir_pool *http1_listener_pool(const struct http1_listener *listener)
{
    return listener->pool;
}

uint32_t http1_listener_clients(const struct http1_listener *listener)
{
    return listener->clients.count + listener->tunnels.count - listener->refusals;
}
