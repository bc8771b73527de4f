/* SPDX-License-Identifier: Apache-2.0 */
#include "listener/http2.h"

#include "listener/http2_client.h"
#include "listener/idlers.h"

#include <errno.h>

const char http2_preface[24] = {'P', 'R', 'I',  ' ',  '*',  ' ',  'H', 'T', 'T',  'P',  '/',  '2',
                                '.', '0', '\r', '\n', '\r', '\n', 'S', 'M', '\r', '\n', '\r', '\n'};

static void bury_graves(struct loop_later *later);
static void let_go(struct drain *drain, uint32_t part);
static void cut_left(struct drain *drain);

/* --- making -------------------------------------------------------------------------------------
 */

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

static void fill_options(struct http2_listener *listener, const struct http2_listener_options *opt)
{
    listener->opt = *opt;
    struct http2_listener_options *mine = &listener->opt;
    mine->server = opt->server != NULL ? opt->server : "weir";
    mine->alloc = opt->alloc != NULL ? opt->alloc : loop_alloc(listener->loop);
    mine->headers_timeout_ms = either(opt->headers_timeout_ms, 10000);
    mine->request_timeout_ms = either(opt->request_timeout_ms, 30000);
    mine->idle_timeout_ms = either(opt->idle_timeout_ms, 30000);
    mine->answer_timeout_ms = either(opt->answer_timeout_ms, mine->idle_timeout_ms);
    mine->keepalive_timeout_ms = either(opt->keepalive_timeout_ms, 5000);
    mine->write_timeout_ms = either(opt->write_timeout_ms, 30000);
    mine->max_headers = either(opt->max_headers, 100);
    mine->max_concurrent_streams = either(opt->max_concurrent_streams, 100);
    mine->max_header_list_size = either(opt->max_header_list_size, 32U << 10);
    mine->max_session_memory = either(opt->max_session_memory, 10U << 20);
    mine->ping_interval_ms = either(opt->ping_interval_ms, 30000);
    mine->grpc_keepalive_time_ms = either(opt->grpc_keepalive_time_ms, 30000);
    mine->grpc_max_age_ms = either(opt->grpc_max_age_ms, WEIR_NEVER);
    mine->grpc_max_age_grace_ms = either(opt->grpc_max_age_grace_ms, WEIR_NEVER);
    listener->limits = (struct http2_limits){.list_bytes_max = mine->max_header_list_size,
                                             .fields_max = (uint16_t)mine->max_headers};
}

static bool options_fit(const struct http2_listener_options *opt)
{
    return opt->name != NULL && opt->max_headers <= HTTP_FIELDS_MAX;
}

int http2_listener_new(struct loop *loop, weir_pool *pool, const struct http2_listener_options *opt,
                       const struct http_handler *handler, void *handler_self,
                       struct http2_listener **ret_listener)
{
    if (!options_fit(opt)) {
        return -EINVAL;
    }
    const struct alloc *alloc = opt->alloc != NULL ? opt->alloc : loop_alloc(loop);
    struct http2_listener *listener = alloc_zeroed(alloc, sizeof *listener);
    if (listener == NULL) {
        return -ENOMEM;
    }
    listener->loop = loop;
    listener->pool = pool;
    listener->front = opt->front;
    listener->handler = handler;
    listener->handler_self = handler_self;
    fill_options(listener, opt);
    list_init(&listener->clients);
    list_init(&listener->graves);
    shelf_init(&listener->shelf, listener->opt.alloc, HTTP2_SHELF_MAX);
    cork_init(&listener->cork, loop);
    listener->bury.run = bury_graves;
    drain_init(&listener->drain, loop, let_go, cut_left);
    int error = http2_frames_open(listener);
    if (error != 0) {
        alloc_free(alloc, listener);
        return error;
    }
    *ret_listener = listener;
    return 0;
}

int http2_listener_update(struct http2_listener *listener, const struct http2_listener_options *opt)
{
    struct http2_listener_options next = *opt;
    next.name = listener->opt.name;
    if (!options_fit(&next)) {
        return -EINVAL;
    }
    next.server = listener->opt.server;
    next.on_refuse = listener->opt.on_refuse;
    next.on_full = listener->opt.on_full;
    next.refuse_self = listener->opt.refuse_self;
    next.alloc = listener->opt.alloc;
    fill_options(listener, &next);
    weir_list_each(node, &listener->clients) {
        struct http2_client *client = container_of(node, struct http2_client, on_list);
        http2_arm(client, loop_now_ms(listener->loop)); /* looks at all its deadlines */
    }
    return 0;
}

static struct http2_client *client_at(struct node *node)
{
    return container_of(node, struct http2_client, on_list);
}

static void bury(struct http2_listener *listener)
{
    while (!list_is_empty(&listener->graves)) {
        struct http2_client *client = client_at(list_first(&listener->graves));
        list_remove(&listener->graves, &client->on_list);
        http2_session_close(client);
        alloc_free(listener->opt.alloc, client);
    }
}

static void bury_graves(struct loop_later *later)
{
    struct http2_listener *listener = container_of(later, struct http2_listener, bury);
    bury(listener);
    if (list_is_empty(&listener->clients)) {
        drain_end(&listener->drain);
    }
}

static void cut_all(struct http2_listener *listener)
{
    while (!list_is_empty(&listener->clients)) {
        http2_client_close(client_at(list_first(&listener->clients)), HTTP_FAULT_CANCELLED,
                           WEIR_ECLOSED);
    }
}

void http2_listener_free(struct http2_listener *take_listener)
{
    struct http2_listener *listener = take_listener;
    cut_all(listener);
    bury(listener);
    http2_stream_free_spare(listener);
    if (listener->spare_request != NULL) {
        http2_request_fini(listener->spare_request);
        alloc_free(listener->opt.alloc, listener->spare_request);
    }
    loop_later_cancel(listener->loop, &listener->bury);
    drain_fini(&listener->drain);
    cork_fini(&listener->cork);
    http2_frames_close(listener);
    shelf_fini(&listener->shelf);
    alloc_free(listener->opt.alloc, listener);
}

/* --- clients come -------------------------------------------------------------------------------
 */

int http2_listener_serve(struct http2_listener *listener, struct stream *take_stream,
                         const struct front_client *from)
{
    struct http2_client *client = http2_client_new(listener, take_stream, from);
    if (client == NULL) {
        return -ENOMEM;
    }
    weir_err err = guest_admit(listener->pool, client->peer.tls ? "https" : "http",
                               listener->opt.name, client->peer.text, &client->guest,
                               &client->conn);
    if (err == WEIR_OK) {
        err = weir_conn_room(listener->pool, client->conn, listener->opt.max_concurrent_streams);
    }
    if (err != WEIR_OK) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, err);
        return -EMFILE;
    }
    if (listener->drain.is_on) {
        http2_client_notice(client);
    }
    if (from->ahead_len > 0) {
        http2_tally(&listener->counters.bytes_in, from->ahead_len);
        http2_client_feed(client, from->ahead, from->ahead_len);
    }
    return 0;
}

/* There is no place for it: it is no client of the pool's, and hears so when it asks. */
static void turn_away(struct http2_listener *listener, struct stream *take_stream,
                      const struct front_client *from)
{
    struct http2_client *client = http2_client_new(listener, take_stream, from);
    if (client == NULL) {
        return;
    }
    listener->refusals++;
    client->is_turned_away = true;
    client->refusal = (uint8_t)from->why;
    if (from->ahead_len == 0) { /* who hands one on has counted it */
        http2_tally(http1_refused(&listener->counters, from->why), 1);
        if (listener->opt.on_full != NULL) {
            listener->opt.on_full(listener->opt.refuse_self, from->why);
        }
    }
    if (listener->refusals > (from->why == ACCEPT_SHORT ? HTTP2_SHORT_MAX : HTTP2_REFUSALS_MAX)) {
        http2_client_close(client, HTTP_FAULT_CANCELLED, WEIR_EFULL);
        return;
    }
    http2_arm_client(client);
    http2_client_feed(client, from->ahead, from->ahead_len);
}

static void front_serves(void *self, struct stream *take_stream, const struct front_client *client)
{
    if (client->is_seated) {
        http2_listener_serve(self, take_stream, client);
    } else {
        turn_away(self, take_stream, client);
    }
}

static void front_drains(void *self, struct drain_time time, void (*on_drained)(void *arg),
                         void *arg)
{
    http2_listener_drain(self, time, on_drained, arg);
}

static void front_shortens(void *self, bool is_short)
{
    struct http2_listener *listener = self;
    listener->is_short = is_short;
    weir_list_each(node, &listener->clients) {
        http2_arm_client(client_at(node)); /* a later deadline is found out when it fires */
    }
}

static void idler_close(void *idler)
{
    struct http2_client *client = idler;
    http2_tally(&client->home->counters.evicted, 1);
    http2_client_end(client, NGHTTP2_NO_ERROR, WEIR_EEVICTED);
}

static void front_offers_idle(void *self, struct idlers *idlers)
{
    struct http2_listener *listener = self;
    uint64_t now_ms = loop_now_ms(listener->loop);
    weir_list_each(node, &listener->clients) {
        struct http2_client *client = client_at(node);
        if (client->state == HTTP2_OPEN && !client->ending && list_is_empty(&client->streams)) {
            idlers_offer(idlers, &(struct idler){.idle_ms = now_ms - client->since_ms,
                                                 .is_favoured = client->is_favoured,
                                                 .close = idler_close,
                                                 .client = client});
        }
    }
}

struct front_reader http2_listener_reader(struct http2_listener *listener)
{
    return (struct front_reader){.serve = front_serves,
                                 .drain = front_drains,
                                 .shorten = front_shortens,
                                 .offer_idle = front_offers_idle,
                                 .self = listener};
}

void http2_listener_hand_to(struct http2_listener *listener, void *handler_self)
{
    listener->handler_self = handler_self;
}

/* --- draining ------------------------------------------------------------------------------------
 */

static void cut_left(struct drain *drain)
{
    cut_all(container_of(drain, struct http2_listener, drain));
}

static bool is_staying(const struct http2_client *client)
{
    return client->state == HTTP2_OPEN && client->leaving == HTTP2_STAYING;
}

/* What is open may end; nothing new is begun. */
static void let_go(struct drain *drain, uint32_t part)
{
    struct http2_listener *listener = container_of(drain, struct http2_listener, drain);
    uint32_t staying = 0;
    weir_list_each(node, &listener->clients) {
        staying += is_staying(client_at(node));
    }
    uint32_t quota = drain_quota(drain, staying, part);
    weir_list_each_safe(node, &listener->clients) {
        struct http2_client *client = client_at(node);
        if (quota == 0 || !is_staying(client)) {
            continue;
        }
        quota--;
        if (!client->fresh && list_is_empty(&client->streams)) {
            http2_tally(&listener->counters.drained, 1);
        }
        http2_client_notice(client);
    }
}

void http2_listener_drain(struct http2_listener *listener, struct drain_time time,
                          void (*on_drained)(void *arg), void *arg)
{
    drain_begin(&listener->drain, time, on_drained, arg);
    if (list_is_empty(&listener->clients)) {
        drain_end(&listener->drain);
    }
}

/* --- looking in ----------------------------------------------------------------------------------
 */

const struct http2_counters *http2_listener_counters(const struct http2_listener *listener)
{
    return &listener->counters;
}
