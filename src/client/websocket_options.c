/* SPDX-License-Identifier: Apache-2.0
 *
 * What a manager was told: read, compared, shown, changed. Its options are under its mutex; what is
 * asked for often, or from any thread, is copied from them to where it is asked for.
 */
#include "client/options.h"
#include "client/websocket.h"
#include "core/option.h"

#include <string.h>

#define ROOM_MIN 4096U /* places that a manager has, however few it may use at first */

/* --- reading ------------------------------------------------------------------------------------
 */

static weir_err resolve_pool(weir_pool_options *pool)
{
    weir_err err = options_pool_take(MANAGER_NAME, pool, pool);
    err = err == WEIR_OK ? options_pool_resolve(&ws_line_connector, pool) : err;
    return err == WEIR_OK && pool->max_total > WEBSOCKETS_MAX
               ? ground_fault(WEIR_EINVAL, "max_total")
               : err;
}

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* The name of the first field that is out of range, or NULL. */
static const char *set_numbers(weir_websocket_manager_options *opt)
{
    opt->message_max = opt->message_max != 0 ? opt->message_max : 1U << 20;
    opt->fragments_max = either(opt->fragments_max, 1024);
    opt->unsent_max = either(opt->unsent_max, 1U << 20);
    opt->open_timeout_ms = either(opt->open_timeout_ms, 10000);
    opt->close_timeout_ms = either(opt->close_timeout_ms, 5000);
    opt->broadcasts_max = either(opt->broadcasts_max, 64);
    opt->slow = either(opt->slow, WEIR_WEBSOCKET_SKIP);
    opt->deflate = either(opt->deflate, WEIR_OFF);
    opt->http2 = either(opt->http2, WEIR_OFF);
    opt->deflate_min = opt->deflate_min == WEIR_NONE ? 0 : either(opt->deflate_min, 1024);
    opt->dns_ttl_ms = either(opt->dns_ttl_ms, 300000);
    if (opt->message_max > UINT32_MAX) {
        return "message_max";
    }
    if (opt->slow != WEIR_WEBSOCKET_SKIP && opt->slow != WEIR_WEBSOCKET_CUT) {
        return "slow";
    }
    if (opt->deflate != WEIR_ON && opt->deflate != WEIR_OFF) {
        return "deflate";
    }
    if (opt->http2 != WEIR_OFF && opt->http2 != WEIR_ON && opt->http2 != WEIR_WEBSOCKET_ONLY) {
        return "http2";
    }
    if (opt->open_timeout_ms >= WEIR_MOST || opt->close_timeout_ms >= WEIR_MOST) {
        return opt->open_timeout_ms >= WEIR_MOST ? "open_timeout" : "close_timeout";
    }
    const char *fault = options_tls_check(&opt->tls, OPTIONS_TLS);
    return fault != NULL ? fault : options_tls_check(&opt->proxy_tls, OPTIONS_PROXY_TLS);
}

/* The options in full; ret_opt->pool.name is as given. */
static weir_err read_options(const weir_websocket_manager_options *opt,
                             weir_websocket_manager_options *ret_opt)
{
    weir_websocket_manager_options full = {0};
    size_t size = opt == NULL ? 0 : opt->size != 0 ? opt->size : sizeof *opt;
    if (size > sizeof *opt) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    if (size > 0) {
        memcpy(&full, opt, size);
    }
    full.size = sizeof full;
    const char *fault = set_numbers(&full);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    const char *name = full.pool.name;
    weir_err err = resolve_pool(&full.pool);
    if (err == WEIR_OK) {
        full.pool.name = name;
        *ret_opt = full;
    }
    return err;
}

/* Files are read at once; without any, TLS comes with the first wss://. */
static weir_err take_tls(weir_websocket_manager *manager, enum options_tls which,
                         weir_tls_options *tls)
{
    bool has_files = options_tls_has_files(tls);
    const char *fault;
    weir_err err = has_files ? bay_has_tls(manager, which, &fault) : WEIR_OK;
    *tls = (weir_tls_options){.verify = tls->verify};
    manager->has_files[which] = has_files;
    return err == WEIR_EINVAL ? ground_fault(err, fault) : err;
}

/* What is read without the mutex. */
static void show_limits(weir_websocket_manager *manager, const weir_websocket_manager_options *opt)
{
    atomic_store(&manager->seats_max, opt->pool.max_total);
    atomic_store(&manager->casting_max, opt->broadcasts_max);
    atomic_store(&manager->unsent_max, opt->unsent_max);
    atomic_store(&manager->slow, opt->slow);
}

weir_err manager_take_options(weir_websocket_manager *manager,
                              const weir_websocket_manager_options *opt)
{
    weir_err err = read_options(opt, &manager->opt);
    if (err == WEIR_OK
        && !options_text(manager->alloc, &manager->dns_servers, manager->opt.dns_servers)) {
        err = WEIR_ENOMEM;
    }
    manager->opt.dns_servers = NULL;
    manager->http2 = manager->opt.http2;
    err = err == WEIR_OK ? take_tls(manager, OPTIONS_TLS, &manager->opt.tls) : err;
    err = err == WEIR_OK ? take_tls(manager, OPTIONS_PROXY_TLS, &manager->opt.proxy_tls) : err;
    if (err == WEIR_OK) {
        uint32_t most = manager->opt.pool.max_total;
        manager->room = most > ROOM_MIN ? most : ROOM_MIN;
        show_limits(manager, &manager->opt);
    }
    return err;
}

/* --- comparing ----------------------------------------------------------------------------------
 */

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool same_profile(const weir_websocket_manager *a, const weir_websocket_manager *b,
                         enum options_tls which)
{
    return a->has_files[which] == b->has_files[which]
           && (!a->has_files[which]
               || strcmp(tls_profile_fingerprint(a->profiles[which]),
                         tls_profile_fingerprint(b->profiles[which]))
                      == 0);
}

static bool same_tls(const weir_websocket_manager *a, const weir_websocket_manager *b)
{
    return a->opt.tls.verify == b->opt.tls.verify
           && a->opt.proxy_tls.verify == b->opt.proxy_tls.verify && same_profile(a, b, OPTIONS_TLS)
           && same_profile(a, b, OPTIONS_PROXY_TLS);
}

bool manager_is_like(weir_websocket_manager *manager, const weir_websocket_manager *like)
{
    weir_websocket_manager_options a;
    const weir_websocket_manager_options *b = &like->opt;
    weir_websocket_manager_options_of(manager, &a);
    return option_is_same(&a.pool, &b->pool) && a.message_max == b->message_max
           && a.fragments_max == b->fragments_max && a.unsent_max == b->unsent_max
           && a.open_timeout_ms == b->open_timeout_ms && a.close_timeout_ms == b->close_timeout_ms
           && a.broadcasts_max == b->broadcasts_max && a.slow == b->slow && a.deflate == b->deflate
           && a.deflate_min == b->deflate_min && a.dns_ttl_ms == b->dns_ttl_ms
           && a.http2 == b->http2 && a.on_event == b->on_event && a.event_arg == b->event_arg
           && a.events == b->events && same_text(manager->dns_servers, like->dns_servers)
           && same_tls(manager, like);
}

/* --- showing ------------------------------------------------------------------------------------
 */

static weir_websocket_manager *writable(const weir_websocket_manager *manager)
{
    return (weir_websocket_manager *)(uintptr_t)manager; /* to lock it */
}

void manager_options(const weir_websocket_manager *manager, weir_websocket_manager_options *ret_opt)
{
    pthread_mutex_lock(&writable(manager)->mutex);
    *ret_opt = manager->opt;
    pthread_mutex_unlock(&writable(manager)->mutex);
}

void weir_websocket_manager_options_of(const weir_websocket_manager *manager,
                                       weir_websocket_manager_options *ret_opt)
{
    manager_options(manager, ret_opt);
    ret_opt->pool.connector = NULL;
    ret_opt->dns_servers = manager->dns_servers;
}

/* --- changing -----------------------------------------------------------------------------------
 */

/* What a manager keeps, whatever it is told later. */
static void keep(weir_websocket_manager_options *next, const weir_websocket_manager_options *was)
{
    next->pool.name = was->pool.name;
    next->deflate = was->deflate;
    next->http2 = was->http2;
    next->dns_ttl_ms = was->dns_ttl_ms;
    next->dns_servers = was->dns_servers;
    next->tls = was->tls;
    next->proxy_tls = was->proxy_tls;
    next->on_event = was->on_event;
    next->event_arg = was->event_arg;
    next->events = was->events;
}

weir_err weir_websocket_manager_update(weir_websocket_manager *manager,
                                       const weir_websocket_manager_options *opt)
{
    weir_websocket_manager_options next;
    weir_err err = read_options(opt, &next);
    if (err != WEIR_OK) {
        return err;
    }
    if (next.pool.name != NULL && strcmp(next.pool.name, manager->member.name) != 0) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    if (next.pool.max_total > manager->room) {
        return ground_fault(WEIR_EINVAL, "max_total");
    }
    pthread_mutex_lock(&manager->mutex);
    keep(&next, &manager->opt);
    manager->opt = next;
    show_limits(manager, &next);
    pthread_mutex_unlock(&manager->mutex);
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        worker_note(manager->bays[i]->worker, &manager->bays[i]->update);
    }
    return WEIR_OK;
}
