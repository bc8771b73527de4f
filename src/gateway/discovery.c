/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/discovery.h"

#include "base/bytes.h"
#include "base/check.h"
#include "gateway/config_found.h"
#include "gateway/endpoint_list.h"
#include "gateway/generation.h"
#include "gateway/reload.h"
#include "gateway/resolver.h"
#include "gateway/server.h"
#include "io/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APART_MS      1000U  /* two changes, */
#define APART_MOST_MS 30000U /* and while many older ones serve */
#define MANY          (GENERATIONS_FOUND_MAX / 4)
#define AGAIN_MS      1000U /* it could not be put in force */

struct discovery {
    struct loop *loop;
    struct dns *dns;
    struct server *server; /* NULL: it has not begun */
    struct list sources;
    struct bytes servers; /* of names: text, or empty */
    struct source_ops ops;
    struct loop_timer timer; /* changes are put in force next */
    uint64_t next_ms;        /* not before that */
    struct reload_ask ask;
    bool is_asking;
    bool is_waiting; /* discovery_wait() is */
    bool is_late;
    bool is_refused;               /* it was said that what was found cannot be put in force */
    struct config_endpoints first; /* of a source that has too many */
};

static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void on_change(void *self, struct source *source);
static void on_fault(void *self, struct source *source, const char *why);
static void done(struct reload_ask *ask, const struct reload_verdict *verdict);

/* --- sources -------------------------------------------------------------------------------------
 */

static struct source *source_named(const struct discovery *discovery, const char *upstream)
{
    if (discovery == NULL)
        return NULL;
    weir_list_each(it, &discovery->sources) {
        struct source *source = list_entry(it, struct source, on_discovery);
        if (strcmp(source->upstream->name, upstream) == 0)
            return source;
    }
    return NULL;
}

const struct source *discovery_source(const struct discovery *discovery, const char *upstream)
{
    return source_named(discovery, upstream);
}

const char *discovery_state_word(const struct source *source)
{
    if (source->is_own)
        return source->is_failing ? "stale" : "current";
    return source->is_failing ? "failing" : "waiting";
}

static int add_sources(struct discovery *discovery, const struct config *config)
{
    const struct config *root = config->root != NULL ? config->root : config;
    for (uint32_t i = 0; i < root->upstreams.count; i++) {
        const struct config_upstream *upstream = &root->upstreams.at[i];
        if (!config_discovers(upstream) || source_named(discovery, upstream->name) != NULL)
            continue;
        struct source *source = source_new(discovery->loop, discovery->dns, root, upstream, NULL,
                                           &discovery->ops);
        if (source == NULL)
            return -ENOMEM;
        source->dns_servers = bytes_len(&discovery->servers) > 0 ? bytes_at(&discovery->servers)
                                                                 : NULL;
        list_push_back(&discovery->sources, &source->on_discovery);
    }
    return 0;
}

int discovery_open(struct loop *loop, const struct config *config, struct discovery **ret_discovery)
{
    struct discovery *discovery = calloc(1, sizeof(*discovery));
    if (discovery == NULL)
        return -ENOMEM;
    discovery->loop = loop;
    discovery->timer.fire = on_timer;
    discovery->ops = (struct source_ops){on_change, on_fault, discovery};
    discovery->ask = (struct reload_ask){.who = "discovery", .finds = true, .done = done};
    list_init(&discovery->sources);
    bytes_init(&discovery->servers, &alloc_libc, RESOLVER_LIST_MAX);
    int error = resolver_list(config, &discovery->servers) ? 0 : -ENOMEM;
    if (error == 0)
        error = resolver_open(config, loop, &discovery->dns);
    if (error == 0)
        error = add_sources(discovery, config);
    if (error != 0) {
        discovery_close(discovery);
        return error;
    }
    *ret_discovery = discovery;
    return 0;
}

void discovery_close(struct discovery *take_discovery)
{
    struct discovery *discovery = take_discovery;
    if (discovery == NULL)
        return;
    if (discovery->is_asking)
        reload_leave(discovery->server->reload, &discovery->ask);
    if (discovery->server != NULL)
        discovery->server->discovery = NULL;
    loop_timer_stop(discovery->loop, &discovery->timer);
    while (!list_is_empty(&discovery->sources))
        source_free(list_entry(list_pop_front(&discovery->sources), struct source, on_discovery));
    if (discovery->dns != NULL)
        dns_close(discovery->dns);
    bytes_fini(&discovery->servers);
    free(discovery);
}

/* --- the first answers ---------------------------------------------------------------------------
 */

static bool is_unasked(const struct discovery *discovery)
{
    weir_list_each(it, &discovery->sources) {
        if (list_entry(it, struct source, on_discovery)->unasked > 0)
            return true;
    }
    return false;
}

static uint32_t patience_of(const struct discovery *discovery)
{
    uint32_t most_ms = 0;
    weir_list_each(it, &discovery->sources) {
        const struct source *source = list_entry(it, struct source, on_discovery);
        uint32_t ms = source->upstream->discover.timeout_ms;
        most_ms = ms > most_ms ? ms : most_ms;
    }
    return most_ms;
}

int discovery_wait(struct discovery *discovery)
{
    int error = 0;
    if (!is_unasked(discovery))
        return 0;
    discovery->is_waiting = true;
    discovery->is_late = false;
    loop_timer_set(discovery->loop, &discovery->timer,
                   loop_now_ms(discovery->loop) + patience_of(discovery));
    while (error >= 0 && !discovery->is_late && is_unasked(discovery))
        error = loop_turn(discovery->loop, (int)AGAIN_MS);
    discovery->is_waiting = false;
    loop_timer_stop(discovery->loop, &discovery->timer);
    weir_list_each(it, &discovery->sources) {
        source_rest(list_entry(it, struct source, on_discovery));
    }
    return error < 0 ? error : 0;
}

static bool has_scheme(const struct config_upstream *upstream, const char *scheme)
{
    bool is_https = upstream->discover.scheme == SCHEME_HTTPS, any = false;
    if (upstream->discover.dns == DISCOVER_OFF)
        return (strcmp(scheme, "https") == 0) == is_https;
    for (uint32_t i = 0; i < upstream->listed.count; i++)
        any = any || strcmp(upstream->listed.at[i].scheme, scheme) == 0;
    return any;
}

/* It may be of another upstream of that name, as it was before a reload: what was reached without
 * TLS is not what is to be reached by it. */
static bool has_schemes_of(const struct config_endpoints *set,
                           const struct config_upstream *upstream)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (!has_scheme(upstream, set->at[i].scheme))
            return false;
    return true;
}

/* Valid until the next one is asked for. More than an upstream may have, since it may have fewer
 * now: the first of them, so that nobody is without who had endpoints. */
static const struct config_endpoints *found_for(void *self, const struct config_upstream *upstream)
{
    struct discovery *discovery = self;
    const struct source *source = source_named(discovery, upstream->name);
    uint32_t most = upstream->discover.max;
    if (source == NULL || !source->has_set || !has_schemes_of(&source->set, upstream))
        return NULL;
    if (source->set.count <= most)
        return &source->set;
    discovery->first = (struct config_endpoints){source->set.at, most};
    return &discovery->first;
}

struct config *discovery_config(struct discovery *discovery, const struct config *config)
{
    return config_with_found(config, found_for, discovery);
}

/* --- while it serves -----------------------------------------------------------------------------
 */

static bool is_in_force(struct discovery *discovery)
{
    const struct config *config = discovery->server->config;
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *upstream = &config->upstreams.at[i];
        const struct config_endpoints *set = found_for(discovery, upstream);
        if (set != NULL && (!upstream->is_found || !endpoints_are_same(&upstream->endpoints, set)))
            return false;
    }
    return true;
}

static void schedule(struct discovery *discovery, uint32_t in_ms)
{
    uint64_t due_ms = loop_now_ms(discovery->loop) + in_ms;
    if (discovery->server == NULL || discovery->is_asking)
        return;
    due_ms = due_ms > discovery->next_ms ? due_ms : discovery->next_ms;
    loop_timer_set(discovery->loop, &discovery->timer, due_ms);
}

static uint32_t apart_ms(const struct discovery *discovery)
{
    return generation_count(discovery->server, true) > MANY ? APART_MOST_MS : APART_MS;
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct discovery *discovery = container_of(timer, struct discovery, timer);
    if (discovery->is_waiting) {
        discovery->is_late = true;
        return;
    }
    if (discovery->server->state == SERVER_OPENING) {
        schedule(discovery, AGAIN_MS);
        return;
    }
    if (discovery->server->state != SERVER_SERVING || is_in_force(discovery))
        return;
    discovery->next_ms = now_ms + apart_ms(discovery);
    discovery->is_asking = true;
    reload_begin(discovery->server->reload, &discovery->ask);
}

static void done(struct reload_ask *ask, const struct reload_verdict *verdict)
{
    struct discovery *discovery = container_of(ask, struct discovery, ask);
    bool is_good = reload_is_good(verdict->result);
    discovery->is_asking = false;
    if (!is_good && !discovery->is_refused)
        log_to(&discovery->server->voice.sink, LOG_WARN_LEVEL,
               "endpoints that were found cannot be served yet", log_text("why", verdict->message));
    discovery->is_refused = !is_good;
    schedule(discovery, AGAIN_MS); /* whatever was found meanwhile */
}

/* "+a:1 -b:2", as far as it fits. */
static void say_change(const struct config_endpoints *was, const struct config_endpoints *is,
                       char *text, size_t size)
{
    size_t len = (size_t)snprintf(text, size, "%u endpoints", is->count);
    for (uint32_t i = 0; len < size && i < is->count; i++)
        if (!endpoint_list_has(was, is->at[i].host, is->at[i].port))
            len += (size_t)snprintf(text + len, size - len, " +%s", is->at[i].name);
    for (uint32_t i = 0; len < size && i < was->count; i++)
        if (!endpoint_list_has(is, was->at[i].host, was->at[i].port))
            len += (size_t)snprintf(text + len, size - len, " -%s", was->at[i].name);
}

static const struct config_upstream *upstream_in_force(const struct server *server,
                                                       const char *name)
{
    for (uint32_t i = 0; i < server->config->upstreams.count; i++)
        if (strcmp(server->config->upstreams.at[i].name, name) == 0)
            return &server->config->upstreams.at[i];
    return NULL;
}

static void on_change(void *self, struct source *source)
{
    struct discovery *discovery = self;
    struct server *server = discovery->server;
    char what[EVENTLOG_WHAT_MAX + 1];
    if (server == NULL)
        return;
    const struct config_upstream *is = upstream_in_force(server, source->upstream->name);
    const struct config_endpoints none = {0};
    say_change(is != NULL ? &is->endpoints : &none, &source->set, what, sizeof(what));
    server_tell(server, LOG_INFO_LEVEL,
                &(struct told_event){.event = "endpoints_changed",
                                     .pool = source->upstream->name,
                                     .who = source_kind(source->upstream),
                                     .what = what});
    schedule(discovery, 0);
}

static void tell_fault(struct server *server, const struct source *source, const char *why)
{
    bool is_over = why[0] == '\0';
    server_tell(server, is_over ? LOG_INFO_LEVEL : LOG_WARN_LEVEL,
                &(struct told_event){.event = is_over ? "discovery_recovered" : "discovery_failed",
                                     .pool = source->upstream->name,
                                     .who = source_kind(source->upstream),
                                     .why = why});
}

static void on_fault(void *self, struct source *source, const char *why)
{
    struct discovery *discovery = self;
    if (discovery->server != NULL)
        tell_fault(discovery->server, source, why);
}

void discovery_begin(struct discovery *discovery, struct server *server)
{
    discovery->server = server;
    weir_list_each(it, &discovery->sources) {
        const struct source *source = list_entry(it, struct source, on_discovery);
        if (source->is_failing) /* since before there was anybody to tell */
            tell_fault(server, source, source->why);
    }
    schedule(discovery, 0);
}

/* Which upstream of the configuration a source is for now; NULL: none. */
static const struct config_upstream *upstream_of(const struct config *root,
                                                 const struct source *source)
{
    for (uint32_t i = 0; i < root->upstreams.count; i++)
        if (strcmp(root->upstreams.at[i].name, source->upstream->name) == 0
            && config_discovers(&root->upstreams.at[i]))
            return &root->upstreams.at[i];
    return NULL;
}

/* The source that is there instead, or NULL: without memory it stays. */
static struct source *replaced(struct discovery *discovery, const struct config *root,
                               const struct config_upstream *upstream, struct source *source)
{
    struct source *heir = source_new(discovery->loop, discovery->dns, root, upstream, source,
                                     &discovery->ops);
    if (heir != NULL)
        heir->dns_servers = source->dns_servers;
    return heir;
}

void discovery_renew(struct discovery *discovery, const struct config *config)
{
    const struct config *root = config->root != NULL ? config->root : config;
    struct list kept;
    list_init(&kept);
    while (!list_is_empty(&discovery->sources)) {
        struct source *source = list_entry(list_pop_front(&discovery->sources), struct source,
                                           on_discovery);
        const struct config_upstream *upstream = upstream_of(root, source);
        struct source *heir = source;
        if (upstream == NULL)
            heir = NULL;
        else if (!source_serves(source, upstream))
            heir = replaced(discovery, root, upstream, source);
        else if (source->upstream != upstream)
            source_move(source, root, upstream);
        if (heir != NULL)
            list_push_back(&kept, &heir->on_discovery);
        if (heir != source)
            source_free(source);
    }
    while (!list_is_empty(&kept))
        list_push_back(&discovery->sources, list_pop_front(&kept));
    if (add_sources(discovery, root) != 0)
        log_to(&discovery->server->voice.sink, LOG_ERROR_LEVEL,
               "endpoints of a new upstream are not looked for: no memory");
    schedule(discovery, 0);
}
