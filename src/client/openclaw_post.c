/* SPDX-License-Identifier: Apache-2.0
 *
 * The client on one worker: opening, what dialling needs, closing.
 */
#include "base/check.h"
#include "client/openclaw.h"
#include "connector/tunnel.h"
#include "io/dns.h"

#include <errno.h>

struct claw_post *claw_post_new(struct weir_openclaw *claw, struct worker *worker)
{
    struct claw_post *post = alloc_zeroed(claw->alloc, sizeof *post);
    if (post == NULL) {
        return NULL;
    }
    post->claw = claw;
    post->worker = worker;
    post->loop = worker_loop(worker);
    if (!slots_init(&post->asks, claw->alloc, sizeof(struct claw_ask), claw->opt.requests_max)) {
        alloc_free(claw->alloc, post);
        return NULL;
    }
    pthread_mutex_init(&post->mutex, NULL);
    return post;
}

void claw_post_free(struct claw_post *post)
{
    slots_fini(&post->asks);
    pthread_mutex_destroy(&post->mutex);
    alloc_free(post->claw->alloc, post);
}

struct claw_post *claw_post_here(const struct weir_openclaw *claw)
{
    const struct worker *here = ground_here(claw->runtime);
    return here != NULL ? claw->posts[worker_index(here)] : NULL;
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

weir_err claw_profile(struct weir_openclaw *claw, enum options_tls which,
                      struct tls_profile **ret_profile, const char **ret_fault)
{
    bool is_proxy = which == OPTIONS_PROXY_TLS;
    const weir_tls_options *opt = is_proxy ? &claw->opt.proxy_tls : &claw->opt.tls;
    struct tls_profile **profile = is_proxy ? &claw->proxy_profile : &claw->profile;
    int error = 0;
    claw_lock(claw);
    if (*profile == NULL) {
        error = options_tls_profile(opt, which, TLS_OFFER_HTTP1, profile, ret_fault);
    }
    *ret_profile = *profile;
    claw_unlock(claw);
    return error == 0 ? WEIR_OK : error == -ENOMEM ? WEIR_ENOMEM : WEIR_EINVAL;
}

static weir_err secure(struct claw_post *post, enum options_tls which,
                       struct tls_client **ret_client)
{
    struct tls_profile *profile;
    const char *fault;
    if (*ret_client != NULL) {
        return WEIR_OK;
    }
    weir_err err = claw_profile(post->claw, which, &profile, &fault);
    int error = err != WEIR_OK ? -EINVAL : 0;
    if (error == 0 && post->tls_desk == NULL) {
        error = tls_desk_new(post->loop, &post->tls_desk);
    }
    if (error == 0) {
        error = tls_client_new(post->tls_desk, profile, ret_client);
    }
    if (error == 0 && which == OPTIONS_PROXY_TLS) {
        claw_connector_secure_proxies(post->connector, post->tls_desk, *ret_client);
    } else if (error == 0) {
        claw_connector_secure(post->connector, post->tls_desk, *ret_client);
    }
    return error == 0 ? WEIR_OK : error == -ENOMEM ? WEIR_ENOMEM : WEIR_ETLS;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void pool_told(void *arg, const weir_event *event)
{
    struct claw_post *post = arg;
    const weir_openclaw_options *opt = &post->claw->opt;
    uint32_t events = opt->pool_events != 0 ? opt->pool_events : UINT32_MAX;
    claw_gateway_heard(post, event);
    if (opt->on_pool_event != NULL && (events >> event->kind & 1)) {
        weir_event told = *event;
        told.pool = NULL;
        opt->on_pool_event(opt->pool_event_arg, &told);
    }
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        post->is_closed = true;
        post->pool = NULL;
        claw_connector_served(post->connector);
        if (post->is_shutting && atomic_fetch_sub(&post->claw->pending, 1) == 1) {
            ground_wait_end(&post->claw->closed);
        }
    }
}

static struct claw_account *account_of(void *self, const weir_key *key)
{
    struct weir_openclaw_gateway *gateway = claw_gateway_find(self, key);
    return gateway != NULL ? &gateway->account : NULL;
}

static void on_hello(void *self, struct claw_account *account, const struct claw_hello *hello,
                     struct slice payload)
{
    (void)self;
    (void)payload;
    claw_gateway_greeted(account->user, hello);
}

static void on_event(void *self, struct claw_account *account, const struct claw_frame *frame)
{
    const struct claw_post *post = self;
    const weir_openclaw_options *opt = &post->claw->opt;
    struct weir_openclaw_gateway *gateway = account->user;
    const weir_openclaw_event event = {
        .size = sizeof event,
        .gateway = gateway,
        .gateway_arg = gateway->arg,
        .name = frame->name,
        .payload = {frame->payload.at, frame->payload.len},
        .seq = frame->seq,
    };
    if (opt->on_event != NULL) {
        opt->on_event(opt->event_arg, &event);
    }
}

static const struct claw_ops ops = {.on_hello = on_hello, .on_event = on_event};

static void release(struct claw_post *post)
{
    claw_connector_free(post->connector);
    post->connector = NULL;
    if (post->dns != NULL) {
        dns_close(post->dns);
        post->dns = NULL;
    }
    tls_client_free(post->tls);
    tls_client_free(post->proxy_tls);
    tls_desk_free(post->tls_desk);
    post->tls = post->proxy_tls = NULL;
    post->tls_desk = NULL;
}

static weir_err open_connector(struct claw_post *post, struct claw_connector **ret_connector)
{
    const weir_openclaw_options *opt = &post->claw->opt;
    const struct claw_connector_options connector = {
        .loop = post->loop,
        .dns = post->dns,
        .alloc = post->claw->alloc,
        .connect_timeout_ms = opt->pool.connect_timeout_ms,
        .tls_timeout_ms = opt->pool.tls_timeout_ms,
        .write_timeout_ms = opt->pool.write_timeout_ms,
        .handshake_timeout_ms = opt->handshake_timeout_ms,
        .handshakes_max = opt->handshakes_max,
        .requests_max = opt->in_flight_max,
        .message_max = opt->message_max,
        .unsent_max = opt->unsent_max,
        .acquire_timeout_ms = opt->pool.acquire_timeout_ms,
        .down_for_ms = opt->pool.down_for_ms,
        .seed = (uintptr_t)post >> 6,
        .account = account_of,
        .ops = &ops,
        .self = post,
    };
    return claw_connector_new(&connector, ret_connector) == 0 ? WEIR_OK : WEIR_ENOMEM;
}

static weir_err open_pool(struct claw_post *post, struct claw_connector *connector)
{
    const weir_openclaw_options *opt = &post->claw->opt;
    weir_pool_options pool = opt->pool;
    uint32_t events = opt->on_pool_event == NULL ? 0
                      : opt->pool_events != 0    ? opt->pool_events
                                                 : UINT32_MAX;
    pool.name = post->claw->member.name;
    pool.connector = &claw_pool_connector;
    pool.connector_self = connector;
    weir_err err = weir_pool_open(worker_engine(post->worker), &pool, &post->pool);
    if (err == WEIR_OK) {
        claw_connector_serve(connector, post->pool);
        weir_pool_on_event(post->pool, pool_told, post,
                           events | 1U << WEIR_EVENT_POOL_CLOSED | 1U << WEIR_EVENT_CONNECTION_ADDED
                               | 1U << WEIR_EVENT_CONNECTION_REMOVED
                               | 1U << WEIR_EVENT_CONNECTION_ERROR | 1U << WEIR_EVENT_KEY_DOWN);
    }
    return err;
}

static weir_err open_all(struct claw_post *post)
{
    const weir_openclaw_options *opt = &post->claw->opt;
    const struct dns_options dns = {.servers = post->claw->dns_servers,
                                    .ttl_max_ms = opt->dns_ttl_ms};
    int error = dns_open(post->loop, &dns, &post->dns);
    if (error != 0) {
        post->dns = NULL;
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_EIO;
    }
    struct claw_connector *connector = NULL;
    weir_err err = open_connector(post, &connector);
    err = err == WEIR_OK ? open_pool(post, connector) : err;
    if (err != WEIR_OK) {
        claw_connector_free(connector);
        release(post);
        return err;
    }
    atomic_store(&post->connector, connector); /* others may read its counters from now on */
    post->is_ready = err == WEIR_OK;
    return err;
}

weir_err claw_post_ready(struct claw_post *post, const struct weir_openclaw_gateway *gateway)
{
    const char *proxy = gateway->key.view.proxy;
    if (post->is_shutting || post->is_closed) {
        return WEIR_ECLOSED;
    }
    weir_err err = post->is_ready ? WEIR_OK : open_all(post);
    if (err == WEIR_OK && gateway->is_tls) {
        err = secure(post, OPTIONS_TLS, &post->tls);
    }
    if (err == WEIR_OK && proxy != NULL && proxy_is_https(slice_of(proxy))) {
        err = secure(post, OPTIONS_PROXY_TLS, &post->proxy_tls);
    }
    return err;
}

/* --- closing ------------------------------------------------------------------------------------
 */

void claw_post_shut(struct claw_post *post)
{
    post->is_shutting = true;
    claw_asks_end(post);
    if (post->pool != NULL) {
        weir_pool_close(post->pool, 0);
    } else if (atomic_fetch_sub(&post->claw->pending, 1) == 1) {
        ground_wait_end(&post->claw->closed);
    }
}

void claw_post_close(struct claw_post *post)
{
    check(post->pool == NULL && post->asks.count == 0);
    release(post);
}
