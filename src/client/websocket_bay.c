/* SPDX-License-Identifier: Apache-2.0
 *
 * A manager on one worker: opening, what dialling needs, closing.
 */
#include "base/check.h"
#include "client/options.h"
#include "client/websocket.h"
#include "connector/http.h"
#include "connector/tunnel.h"
#include "io/dns.h"

#include <errno.h>
#include <string.h>

#define CLOSING_STEPS_MAX 1000000U /* each closes something, so there is an end */
#define CHECK_LOOKS       1000U    /* connections looked at in one event, */
#define CHECK_PINGS       32U      /* and pinged */

#define UPDATE_LOOKS 1000U /* connections that are told of other times in one event */

static void check_begins(struct worker_note *note);
static void check_goes_on(struct worker_note *note);
static void update_begins(struct worker_note *note);
static void update_goes_on(struct worker_note *note);
static void grace_over(struct loop_timer *timer, uint64_t now_ms);

struct bay *bay_new(weir_websocket_manager *manager, struct worker *worker)
{
    const struct alloc *alloc = manager->alloc;
    struct bay *bay = alloc_zeroed(alloc, sizeof *bay);
    if (bay == NULL) {
        return NULL;
    }
    bay->manager = manager;
    bay->worker = worker;
    bay->check.run = check_begins;
    bay->check_on.run = check_goes_on;
    bay->update.run = update_begins;
    bay->update_on.run = update_goes_on;
    bay->cast_on.run = bay_casts_on;
    bay->grace.fire = grace_over;
    bay->bury.run = bay_bury;
    list_init(&bay->casts);
    list_init(&bay->calls);
    bay->tags = alloc_zeroed(alloc, manager->room * sizeof *bay->tags);
    if (bay->tags == NULL || !slots_init(&bay->socks, alloc, sizeof(struct sock), manager->room)) {
        alloc_free(alloc, bay->tags);
        alloc_free(alloc, bay);
        return NULL;
    }
    pthread_mutex_init(&bay->mutex, NULL);
    return bay;
}

void bay_free(struct bay *bay)
{
    const struct alloc *alloc = bay->manager->alloc;
    slots_fini(&bay->socks);
    pthread_mutex_destroy(&bay->mutex);
    alloc_free(alloc, bay->tags);
    alloc_free(alloc, bay);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct ws_limits limits_of(const weir_websocket_manager_options *opt)
{
    return (struct ws_limits){
        .message_bytes_max = opt->message_max,
        .fragments_max = opt->fragments_max,
        .unsent_max = opt->unsent_max,
        .deflate_min = opt->deflate_min,
        .ping_interval_ms = opt->pool.probe_every_ms,
        .pong_timeout_ms = least(opt->pool.probe_timeout_ms, opt->pool.idle_timeout_ms),
        .silence_ms = opt->pool.idle_timeout_ms,
        .write_timeout_ms = opt->pool.write_timeout_ms,
        .close_timeout_ms = opt->close_timeout_ms,
    };
}

void bay_open(struct bay *bay, uint32_t seed)
{
    weir_websocket_manager_options opt;
    manager_options(bay->manager, &opt);
    const struct ws_limits limits = limits_of(&opt);
    bay->open_timeout_ms = opt.open_timeout_ms;
    bay->loop = worker_loop(bay->worker);
    ws_desk_init(&bay->desk, bay->loop, bay->manager->alloc, &sock_end_ops, &limits, seed);
}

struct bay *bay_here(const weir_websocket_manager *manager)
{
    const struct worker *here = ground_here(manager->runtime);
    return here != NULL ? manager->bays[worker_index(here)] : NULL;
}

/* --- dialling -----------------------------------------------------------------------------------
 */

static void on_event(void *arg, const weir_event *event)
{
    struct bay *bay = arg;
    const weir_websocket_manager_options *opt = &bay->manager->opt;
    uint32_t events = opt->events != 0 ? opt->events : UINT32_MAX;
    if (event->kind == WEIR_EVENT_POOL_CLOSED && event->pool == bay->calls_pool) {
        bay->calls_pool = NULL;
    } else if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        bay->is_closed = true;
        bay->pool = NULL;
    }
    if (opt->on_event != NULL && (events >> event->kind & 1)) {
        weir_event told = *event;
        told.pool = NULL;
        opt->on_event(opt->event_arg, &told);
    }
}

void bay_hears(struct bay *bay, weir_pool *pool, const weir_websocket_manager_options *opt)
{
    uint32_t events = opt->on_event == NULL ? 0 : opt->events != 0 ? opt->events : UINT32_MAX;
    weir_pool_on_event(pool, on_event, bay, events | 1U << WEIR_EVENT_POOL_CLOSED);
}

static weir_pool_options pool_options(const struct bay *bay,
                                      const weir_websocket_manager_options *opt)
{
    weir_pool_options pool = opt->pool;
    pool.name = bay->manager->member.name;
    pool.connector = &ws_line_connector;
    pool.connector_self = bay->liner;
    return pool;
}

static struct ws_line_times line_times(const weir_websocket_manager_options *opt)
{
    return (struct ws_line_times){.connect_ms = opt->pool.connect_timeout_ms,
                                  .tls_ms = opt->pool.tls_timeout_ms,
                                  .write_ms = opt->pool.write_timeout_ms};
}

static weir_err open_pool(struct bay *bay, const weir_websocket_manager_options *opt)
{
    const weir_pool_options pool = pool_options(bay, opt);
    weir_err err = weir_pool_open(worker_engine(bay->worker), &pool, &bay->pool);
    if (err == WEIR_OK) {
        ws_liner_serve(bay->liner, bay->pool);
        bay_hears(bay, bay->pool, opt);
    }
    return err;
}

static void dials_release(struct bay *bay)
{
    ws_liner_free(bay->liner);
    bay->liner = NULL;
    if (bay->dns != NULL) {
        dns_close(bay->dns);
        bay->dns = NULL;
    }
    tls_client_free(bay->tls);
    tls_client_free(bay->proxy_tls);
    tls_desk_free(bay->tls_desk);
    bay->tls = bay->proxy_tls = NULL;
    bay->tls_desk = NULL;
}

static weir_err open_dials(struct bay *bay)
{
    weir_websocket_manager_options opt;
    manager_options(bay->manager, &opt);
    const struct dns_options dns = {.servers = bay->manager->dns_servers,
                                    .ttl_max_ms = opt.dns_ttl_ms};
    int error = dns_open(bay->loop, &dns, &bay->dns);
    if (error != 0) {
        bay->dns = NULL;
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_EIO;
    }
    const struct ws_liner_options liner = {
        .loop = bay->loop,
        .dns = bay->dns,
        .times = line_times(&opt),
    };
    weir_err err = ws_liner_new(&liner, &bay->liner) == 0 ? open_pool(bay, &opt) : WEIR_ENOMEM;
    if (err != WEIR_OK) {
        dials_release(bay);
        return err;
    }
    bay->dials = true;
    return WEIR_OK;
}

static unsigned offer_of(uint32_t http2)
{
    return (http2 != WEIR_OFF ? TLS_OFFER_H2 : 0)
           | (http2 != WEIR_WEBSOCKET_ONLY ? TLS_OFFER_HTTP1 : 0);
}

static int profile_of(weir_websocket_manager *manager, enum options_tls which,
                      struct tls_profile **ret_profile, const char **ret_fault)
{
    bool is_proxy = which == OPTIONS_PROXY_TLS;
    int error = 0;
    pthread_mutex_lock(&manager->mutex);
    if (manager->profiles[which] == NULL) {
        error = options_tls_profile(is_proxy ? &manager->opt.proxy_tls : &manager->opt.tls, which,
                                    is_proxy ? TLS_OFFER_HTTP1 : offer_of(manager->http2),
                                    &manager->profiles[which], ret_fault);
    }
    *ret_profile = manager->profiles[which];
    pthread_mutex_unlock(&manager->mutex);
    return error;
}

weir_err bay_has_tls(weir_websocket_manager *manager, enum options_tls which,
                     const char **ret_fault)
{
    struct tls_profile *profile;
    int error = profile_of(manager, which, &profile, ret_fault);
    return error == 0 ? WEIR_OK : error == -ENOMEM ? WEIR_ENOMEM : WEIR_EINVAL;
}

static weir_err secure_with(struct bay *bay, enum options_tls which, struct tls_client **tls)
{
    struct tls_profile *profile;
    const char *fault;
    if (*tls != NULL) {
        return WEIR_OK;
    }
    int error = profile_of(bay->manager, which, &profile, &fault);
    if (error == 0 && bay->tls_desk == NULL) {
        error = tls_desk_new(bay->loop, &bay->tls_desk);
    }
    if (error == 0) {
        error = tls_client_new(bay->tls_desk, profile, tls);
    }
    return error == 0 ? WEIR_OK : error == -ENOMEM ? WEIR_ENOMEM : WEIR_ETLS;
}

static weir_err secure(struct bay *bay)
{
    weir_err err = secure_with(bay, OPTIONS_TLS, &bay->tls);
    if (err == WEIR_OK) {
        ws_liner_secure(bay->liner, bay->tls_desk, bay->tls);
    }
    if (err == WEIR_OK && bay->http != NULL) {
        http_connector_secure(bay->http, bay->tls_desk, bay->tls);
    }
    return err;
}

static weir_err secure_proxies(struct bay *bay)
{
    weir_err err = secure_with(bay, OPTIONS_PROXY_TLS, &bay->proxy_tls);
    if (err == WEIR_OK) {
        ws_liner_secure_proxies(bay->liner, bay->tls_desk, bay->proxy_tls);
    }
    if (err == WEIR_OK && bay->http != NULL) {
        http_connector_secure_proxies(bay->http, bay->tls_desk, bay->proxy_tls);
    }
    return err;
}

static weir_err open_calls(struct bay *bay)
{
    weir_websocket_manager_options opt;
    manager_options(bay->manager, &opt);
    return opt.http2 == WEIR_OFF || bay->http != NULL ? WEIR_OK : bay_calls_open(bay, &opt);
}

weir_err bay_dials(struct bay *bay, bool is_tls, const char *proxy)
{
    if (bay->is_closed) {
        return WEIR_ECLOSED;
    }
    weir_err err = bay->dials ? WEIR_OK : open_dials(bay);
    err = err == WEIR_OK ? open_calls(bay) : err;
    err = err == WEIR_OK && is_tls ? secure(bay) : err;
    bool is_proxy_tls = proxy != NULL && proxy_is_https(slice_of(proxy));
    return err == WEIR_OK && is_proxy_tls ? secure_proxies(bay) : err;
}

/* --- other options ------------------------------------------------------------------------------
 */

static void update_some(struct bay *bay)
{
    struct sock *sock;
    for (uint32_t looks = 0; looks < UPDATE_LOOKS; looks++) {
        sock = bay_next(bay, &bay->update_at);
        if (sock == NULL) {
            return;
        }
        if (sock->was_open) {
            ws_end_retime(&sock->end);
        }
    }
    worker_note(bay->worker, &bay->update_on);
}

static void update_begins(struct worker_note *note)
{
    struct bay *bay = container_of(note, struct bay, update);
    weir_websocket_manager_options opt;
    if (atomic_load(&bay->manager->is_closing)) {
        return;
    }
    manager_options(bay->manager, &opt);
    bay->desk.limits = limits_of(&opt);
    bay->open_timeout_ms = opt.open_timeout_ms;
    if (bay->pool != NULL) {
        const weir_pool_options pool = pool_options(bay, &opt);
        const struct ws_line_times times = line_times(&opt);
        weir_err err = weir_pool_update(bay->pool, &pool);
        check(err == WEIR_OK); /* they were looked at */
        ws_liner_update(bay->liner, &times);
        bay_calls_update(bay, &opt);
    }
    bay->update_at = 0;
    update_some(bay);
}

static void update_goes_on(struct worker_note *note)
{
    update_some(container_of(note, struct bay, update_on));
}

/* --- health -------------------------------------------------------------------------------------
 */

static void check_some(struct bay *bay)
{
    uint32_t pings = 0;
    struct sock *sock;
    for (uint32_t looks = 0; looks < CHECK_LOOKS && pings < CHECK_PINGS; looks++) {
        sock = bay_next(bay, &bay->check_at);
        if (sock == NULL) {
            return;
        }
        pings += sock->was_open && ws_end_look(&sock->end);
    }
    worker_note(bay->worker, &bay->check_on);
}

static void check_begins(struct worker_note *note)
{
    struct bay *bay = container_of(note, struct bay, check);
    bay->check_at = 0;
    check_some(bay);
}

static void check_goes_on(struct worker_note *note)
{
    check_some(container_of(note, struct bay, check_on));
}

/* --- closing ------------------------------------------------------------------------------------
 */

void bay_look_empty(struct bay *bay)
{
    if (!bay->is_shutting || bay->socks.count > 0) {
        return;
    }
    bay->is_shutting = false;
    loop_timer_stop(bay->loop, &bay->grace);
    if (atomic_fetch_sub(&bay->manager->pending, 1) == 1) {
        ground_wait_end(&bay->manager->emptied);
    }
}

static void abort_all(struct bay *bay)
{
    uint32_t at = 0;
    for (struct sock *sock; (sock = bay_next(bay, &at)) != NULL;) {
        if (sock->was_open) {
            ws_end_abort(&sock->end, WEIR_ECLOSED);
        } else {
            sock_cancel(sock);
        }
    }
}

static void grace_over(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    abort_all(container_of(timer, struct bay, grace));
}

void bay_shut(struct bay *bay, uint32_t grace_ms)
{
    bay->is_shutting = true;
    uint32_t at = 0;
    for (struct sock *sock; (sock = bay_next(bay, &at)) != NULL;) {
        sock_close(sock, WS_CODE_AWAY, (struct slice){0});
    }
    if (grace_ms == 0) {
        abort_all(bay);
    } else if (grace_ms != WEIR_NEVER) {
        loop_timer_set(bay->loop, &bay->grace, loop_now_ms(bay->loop) + grace_ms);
    }
    bay_look_empty(bay);
}

void bay_pool_close(struct bay *bay, weir_pool *const *pool)
{
    weir_pool_close(*pool, 0);
    for (uint32_t i = 0; *pool != NULL && i < CLOSING_STEPS_MAX; i++) {
        weir_step(worker_engine(bay->worker), loop_now_ms(bay->loop));
    }
    check(*pool == NULL);
}

void bay_close(struct bay *bay)
{
    if (bay->pool != NULL) {
        bay_pool_close(bay, &bay->pool);
    }
    bay_calls_close(bay);
    bay_bury(&bay->bury);
    loop_later_cancel(bay->loop, &bay->bury);
    check(bay->socks.count == 0);
    casts_end(bay);
    dials_release(bay);
    ws_desk_fini(&bay->desk);
}
