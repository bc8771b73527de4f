/* SPDX-License-Identifier: Apache-2.0
 *
 * secure.c - a *post* is one profile and who works with it: a listener's servers, or the clients of
 * an upstream or of its proxy, one for each worker.
 */
#include "gateway/secure.h"

#include "base/alloc.h"
#include "base/list.h"
#include "connector/tunnel.h"
#include "gateway/config_found.h"
#include "gateway/fence.h"
#include "io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum post_kind { POST_LISTENER, POST_UPSTREAM, POST_PROXY, POST_KINDS };

struct post {
    const char *name;
    struct tls_profile *profile; /* NULL: no TLS here */
    struct tls_tickets *tickets; /* of a listener */
    union {
        struct tls_server *server;
        struct tls_client *client;
    } * at; /* one for each worker */
    char fingerprint[TLS_FINGERPRINT_MAX];
    bool is_refused; /* the files hold something unusable, which was said */
    bool is_lent;    /* `at` and tickets are still those of the configuration before */
};

/* One for each worker, whatever the configuration. */
struct desks {
    uint32_t users;
    struct tls_desk *at[];
};

struct secure {
    const struct config *config;
    uint32_t workers;
    struct desks *desks;
    struct post *posts[POST_KINDS]; /* one for each listener, or for each upstream */
    struct loop *hub;               /* while it watches */
    struct loop_timer timer;
    const struct log_sink *log;
};

static void on_time(struct loop_timer *timer, uint64_t now_ms);

/* --- profiles of a configuration ----------------------------------------------------------------
 */

static struct tls_identity identity_of(const struct config_certificate *pair)
{
    return (struct tls_identity){.certificate = pair->certificate, .key = pair->key};
}

static unsigned offer_of(const struct config_listener *listener)
{
    unsigned offer = 0;
    offer |= (listener->protocols >> LISTENER_HTTP1 & 1U) != 0 ? TLS_OFFER_HTTP1 : 0;
    offer |= (listener->protocols >> LISTENER_H2 & 1U) != 0 ? TLS_OFFER_H2 : 0;
    return offer;
}

static int read_profile(const struct tls_profile_options *opt, struct tls_profile **ret_profile,
                        struct tls_fault *ret_fault)
{
    int error = tls_profile_read(opt, ret_profile, ret_fault);
    if (error == -EACCES && ret_fault->file != NULL)
        snprintf(ret_fault->text, sizeof(ret_fault->text), "cannot read %s: %s", ret_fault->file,
                 fence_why(ret_fault->file, EACCES));
    return error;
}

int secure_listener_profile(const struct config_listener *listener,
                            struct tls_profile **ret_profile, struct tls_fault *ret_fault)
{
    struct tls_identity identities[TLS_CERTIFICATES_MAX];
    uint32_t count = 0;
    identities[count++] = identity_of(&listener->tls.pair);
    for (uint32_t i = 0; i < listener->tls.certificates.count && count < TLS_CERTIFICATES_MAX; i++)
        identities[count++] = identity_of(&listener->tls.certificates.at[i]);
    const struct tls_profile_options opt = {
        .identities = identities,
        .identities_count = count,
        .ca = listener->tls.client_ca,
        .min_version = listener->tls.min_version == CONFIG_TLS_1_3 ? TLS_1_3 : TLS_1_2,
        .offer = offer_of(listener),
    };
    return read_profile(&opt, ret_profile, ret_fault);
}

static unsigned offer_to(enum config_protocol protocol)
{
    switch (protocol) {
    case PROTOCOL_HTTP1:
    case PROTOCOL_WEBSOCKET:
    case PROTOCOL_OPENCLAW: return TLS_OFFER_HTTP1;
    case PROTOCOL_H2:
    case PROTOCOL_GRPC: return TLS_OFFER_H2;
    case PROTOCOL_AUTO: break;
    }
    return TLS_OFFER_HTTP1 | TLS_OFFER_H2;
}

int secure_upstream_profile(const struct config_upstream *upstream,
                            struct tls_profile **ret_profile, struct tls_fault *ret_fault)
{
    struct tls_identity identity = identity_of(&upstream->tls.pair);
    const struct tls_profile_options opt = {
        .identities = &identity,
        .identities_count = identity.certificate[0] != '\0' ? 1 : 0,
        .ca = upstream->tls.ca,
        .offer = offer_to(upstream->protocol),
        .sni = upstream->tls.sni,
        .unverified = upstream->tls.verify == WEIR_OFF,
    };
    return read_profile(&opt, ret_profile, ret_fault);
}

/* It is always verified: whoever stands between would be told the password. */
int secure_proxy_profile(const struct config_upstream *upstream, struct tls_profile **ret_profile,
                         struct tls_fault *ret_fault)
{
    const struct tls_profile_options opt = {
        .ca = upstream->proxy_tls.ca,
        .offer = TLS_OFFER_HTTP1,
        .sni = upstream->proxy_tls.sni,
    };
    return read_profile(&opt, ret_profile, ret_fault);
}

bool secure_is_needed_by_proxy(const struct config_upstream *upstream)
{
    bool is_needed = proxy_is_https(slice_of(upstream->proxy));
    for (uint32_t i = 0; i < upstream->accounts.count; i++)
        is_needed |= proxy_is_https(slice_of(upstream->accounts.at[i].proxy));
    return is_needed;
}

bool secure_is_needed(const struct config_upstream *upstream)
{
    return config_has_https(upstream);
}

/* --- opening and closing ------------------------------------------------------------------------
 */

static uint32_t count_of(const struct config *config, enum post_kind kind)
{
    return kind == POST_LISTENER ? config->listeners.count : config->upstreams.count;
}

static const char *name_of(const struct config *config, enum post_kind kind, uint32_t index)
{
    return kind == POST_LISTENER ? config->listeners.at[index].name
                                 : config->upstreams.at[index].name;
}

static bool post_is_needed(const struct config *config, enum post_kind kind, uint32_t index)
{
    switch (kind) {
    case POST_LISTENER: return config->listeners.at[index].tls.is_on;
    case POST_UPSTREAM: return secure_is_needed(&config->upstreams.at[index]);
    default: return secure_is_needed_by_proxy(&config->upstreams.at[index]);
    }
}

static int profile_read(const struct config *config, enum post_kind kind, uint32_t index,
                        struct tls_profile **ret_profile, struct tls_fault *ret_fault)
{
    switch (kind) {
    case POST_LISTENER:
        return secure_listener_profile(&config->listeners.at[index], ret_profile, ret_fault);
    case POST_UPSTREAM:
        return secure_upstream_profile(&config->upstreams.at[index], ret_profile, ret_fault);
    default: return secure_proxy_profile(&config->upstreams.at[index], ret_profile, ret_fault);
    }
}

static bool is_needed(const struct config *config)
{
    for (enum post_kind kind = 0; kind < POST_KINDS; kind++)
        for (uint32_t i = 0; i < count_of(config, kind); i++)
            if (post_is_needed(config, kind, i))
                return true;
    return false;
}

static int post_open(struct secure *secure, struct post *post, const char *name)
{
    post->name = name;
    post->at = alloc_zeroed(&alloc_libc, secure->workers * sizeof *post->at);
    slice_copy(post->fingerprint, sizeof post->fingerprint,
               slice_of(tls_profile_fingerprint(post->profile)));
    return post->at != NULL ? 0 : -ENOMEM;
}

/* The post of that kind and name, and its place; NULL: there is none, or no TLS at it. */
static struct post *post_find(const struct secure *secure, enum post_kind kind, const char *name,
                              uint32_t *ret_index)
{
    for (uint32_t i = 0; secure != NULL && i < count_of(secure->config, kind); i++)
        if (strcmp(name_of(secure->config, kind, i), name) == 0
            && secure->posts[kind][i].profile != NULL) {
            *ret_index = i;
            return &secure->posts[kind][i];
        }
    return NULL;
}

/* Whether a connection by the one may be used by the other: files that have changed since make no
 * difference. */
static bool is_same_client(enum post_kind kind, const struct config_upstream *a,
                           const struct config_upstream *b)
{
    if (kind == POST_PROXY)
        return strcmp(a->proxy_tls.sni, b->proxy_tls.sni) == 0
               && strcmp(a->proxy_tls.ca, b->proxy_tls.ca) == 0;
    return strcmp(a->tls.sni, b->tls.sni) == 0 && strcmp(a->tls.ca, b->tls.ca) == 0
           && a->tls.verify == b->tls.verify
           && strcmp(a->tls.pair.certificate, b->tls.pair.certificate) == 0
           && strcmp(a->tls.pair.key, b->tls.pair.key) == 0;
}

static void post_borrow(const struct secure *secure, enum post_kind kind, uint32_t index,
                        const struct secure *elder, struct post *of, uint32_t of_index)
{
    struct post *post = &secure->posts[kind][index];
    post->name = name_of(secure->config, kind, index);
    post->at = of->at;
    post->tickets = of->tickets;
    post->is_lent = true;
    bool is_same = kind != POST_LISTENER
                   && is_same_client(kind, &secure->config->upstreams.at[index],
                                     &elder->config->upstreams.at[of_index]);
    slice_copy(post->fingerprint, sizeof post->fingerprint,
               slice_of(is_same ? of->fingerprint : tls_profile_fingerprint(post->profile)));
}

static int post_read(struct secure *secure, enum post_kind kind, uint32_t index,
                     const struct secure *elder, struct tls_fault *ret_fault)
{
    const struct config *config = secure->config;
    struct post *post = &secure->posts[kind][index];
    uint32_t of_index;
    if (!post_is_needed(config, kind, index))
        return 0;
    int error = profile_read(config, kind, index, &post->profile, ret_fault);
    struct post *of = post_find(elder, kind, name_of(config, kind, index), &of_index);
    if (error == 0 && of != NULL) {
        post_borrow(secure, kind, index, elder, of, of_index);
        return 0;
    }
    if (error == 0 && kind == POST_LISTENER)
        error = tls_tickets_new(clock_now_ms(), &post->tickets);
    return error == 0 ? post_open(secure, post, name_of(config, kind, index)) : error;
}

static int posts_open(struct secure *secure, enum post_kind kind, const struct secure *elder,
                      struct tls_fault *ret_fault)
{
    uint32_t count = count_of(secure->config, kind);
    int error = 0;
    secure->posts[kind] = alloc_zeroed(&alloc_libc, (count + 1U) * sizeof(struct post));
    if (secure->posts[kind] == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; error == 0 && i < count; i++)
        error = post_read(secure, kind, i, elder, ret_fault);
    return error;
}

static struct desks *desks_join(const struct secure *elder, uint32_t workers)
{
    struct desks *desks = elder != NULL
                              ? elder->desks
                              : alloc_zeroed(&alloc_libc,
                                             sizeof *desks + workers * sizeof(struct tls_desk *));
    if (desks != NULL)
        desks->users++;
    return desks;
}

static void desks_leave(struct desks *desks, uint32_t workers)
{
    if (desks == NULL || --desks->users > 0)
        return;
    for (uint32_t w = 0; w < workers; w++)
        tls_desk_free(desks->at[w]);
    alloc_free(&alloc_libc, desks);
}

int secure_open(const struct config *config, uint32_t workers, const struct secure *elder,
                struct secure **ret_secure, struct tls_fault *ret_fault)
{
    *ret_fault = (struct tls_fault){0};
    struct secure *secure = alloc_zeroed(&alloc_libc, sizeof *secure);
    if (secure == NULL)
        return -ENOMEM;
    secure->config = config;
    secure->workers = workers;
    secure->timer.fire = on_time;
    secure->desks = desks_join(elder, workers);
    int error = secure->desks == NULL ? -ENOMEM : 0;
    for (enum post_kind kind = 0; error == 0 && kind < POST_KINDS; kind++)
        error = posts_open(secure, kind, elder, ret_fault);
    if (error != 0) {
        secure_close(secure);
        return error;
    }
    *ret_secure = secure;
    return 0;
}

static int post_join(struct post *post, enum post_kind kind, uint32_t worker, struct tls_desk *desk)
{
    if (post->profile == NULL || post->is_lent)
        return 0;
    return kind == POST_LISTENER
               ? tls_server_new(desk, post->profile, post->tickets, &post->at[worker].server)
               : tls_client_new(desk, post->profile, &post->at[worker].client);
}

int secure_join(struct secure *secure, uint32_t worker, struct loop *loop)
{
    const struct config *config = secure->config;
    struct tls_desk **desk = &secure->desks->at[worker];
    int error = *desk == NULL && is_needed(config) ? tls_desk_new(loop, desk) : 0;
    for (enum post_kind kind = 0; error == 0 && kind < POST_KINDS; kind++)
        for (uint32_t i = 0; error == 0 && i < count_of(config, kind); i++)
            error = post_join(&secure->posts[kind][i], kind, worker, *desk);
    return error;
}

static void post_fini(struct secure *secure, struct post *post, enum post_kind kind)
{
    tls_profile_free(post->profile);
    if (post->is_lent)
        return;
    for (uint32_t w = 0; post->at != NULL && w < secure->workers; w++) {
        if (kind == POST_LISTENER)
            tls_server_free(post->at[w].server);
        else
            tls_client_free(post->at[w].client);
    }
    alloc_free(&alloc_libc, post->at);
    tls_tickets_free(post->tickets);
}

void secure_close(struct secure *take_secure)
{
    struct secure *secure = take_secure;
    if (secure == NULL)
        return;
    secure_watch_no_more(secure);
    for (enum post_kind kind = 0; kind < POST_KINDS; kind++) {
        uint32_t count = secure->posts[kind] != NULL ? count_of(secure->config, kind) : 0;
        for (uint32_t i = 0; i < count; i++)
            post_fini(secure, &secure->posts[kind][i], kind);
    }
    for (enum post_kind kind = 0; kind < POST_KINDS; kind++)
        alloc_free(&alloc_libc, secure->posts[kind]);
    desks_leave(secure->desks, secure->workers);
    alloc_free(&alloc_libc, secure);
}

/* --- what is at work ----------------------------------------------------------------------------
 */

struct tls_desk *secure_desk(const struct secure *secure, uint32_t worker)
{
    return secure->desks->at[worker];
}

struct tls_server *secure_server(const struct secure *secure, uint32_t worker, uint32_t listener)
{
    const struct post *post = &secure->posts[POST_LISTENER][listener];
    return post->profile != NULL ? post->at[worker].server : NULL;
}

struct tls_client *secure_client(const struct secure *secure, uint32_t worker, uint32_t upstream)
{
    const struct post *post = &secure->posts[POST_UPSTREAM][upstream];
    return post->profile != NULL ? post->at[worker].client : NULL;
}

struct tls_client *secure_proxy(const struct secure *secure, uint32_t worker, uint32_t upstream)
{
    const struct post *post = &secure->posts[POST_PROXY][upstream];
    return post->profile != NULL ? post->at[worker].client : NULL;
}

const char *secure_fingerprint(const struct secure *secure, uint32_t upstream)
{
    const struct post *post = &secure->posts[POST_UPSTREAM][upstream];
    return post->profile != NULL ? post->fingerprint : NULL;
}

const struct tls_profile *secure_of_listener(const struct secure *secure, uint32_t listener)
{
    return secure->posts[POST_LISTENER][listener].profile;
}

const struct tls_profile *secure_of_upstream(const struct secure *secure, uint32_t upstream)
{
    return secure->posts[POST_UPSTREAM][upstream].profile;
}

/* --- reloading ----------------------------------------------------------------------------------
 */

/* A worker for which there is no memory keeps the last one, and is tried again. */
static int post_swap(struct secure *secure, struct post *post, enum post_kind kind,
                     struct tls_profile *take_profile)
{
    int error = 0;
    for (uint32_t w = 0; error == 0 && w < secure->workers; w++)
        error = kind == POST_LISTENER ? tls_server_swap(post->at[w].server, take_profile)
                                      : tls_client_swap(post->at[w].client, take_profile);
    if (error != 0) {
        tls_profile_free(take_profile);
        return error;
    }
    tls_profile_free(post->profile);
    post->profile = take_profile;
    return 0;
}

static bool post_reload(struct secure *secure, enum post_kind kind, uint32_t index, bool all,
                        const struct log_sink *log)
{
    static const char *const whose[] = {"listener", "upstream", "proxy of upstream"};
    struct post *post = &secure->posts[kind][index];
    struct tls_profile *next;
    struct tls_fault fault = {0};
    if (post->profile == NULL || !(all || tls_profile_is_outdated(post->profile)))
        return false;
    int error = profile_read(secure->config, kind, index, &next, &fault);
    if (error == 0)
        error = post_swap(secure, post, kind, next);
    if (error == 0)
        log_to(log, LOG_INFO_LEVEL, "certificates reloaded", log_text(whose[kind], post->name));
    else if (all || !post->is_refused)
        log_to(log, LOG_ERROR_LEVEL, "certificates not reloaded: the old ones stay in use",
               log_text(whose[kind], post->name), log_text("why", fault.text));
    post->is_refused = error != 0;
    return error == 0;
}

uint32_t secure_reload(struct secure *secure, bool all, const struct log_sink *log)
{
    uint32_t replaced = 0;
    for (enum post_kind kind = 0; kind < POST_KINDS; kind++)
        for (uint32_t i = 0; i < count_of(secure->config, kind); i++)
            replaced += post_reload(secure, kind, i, all, log);
    return replaced;
}

/* A worker for which there is no memory keeps what it had until the files are read again. */
static void post_take(struct secure *secure, struct post *post, enum post_kind kind,
                      struct post *of, const struct log_sink *log)
{
    int error = 0;
    for (uint32_t w = 0; w < secure->workers; w++)
        error |= kind == POST_LISTENER ? tls_server_swap(post->at[w].server, post->profile)
                                       : tls_client_swap(post->at[w].client, post->profile);
    if (error != 0)
        log_to(log, LOG_ERROR_LEVEL, "certificates not taken by every worker: no memory",
               log_text("name", post->name));
    of->at = NULL;
    of->tickets = NULL;
    post->is_lent = false;
}

void secure_take_over(struct secure *secure, struct secure *elder, const struct log_sink *log)
{
    uint32_t of_index;
    for (enum post_kind kind = 0; kind < POST_KINDS; kind++)
        for (uint32_t i = 0; i < count_of(secure->config, kind); i++) {
            struct post *post = &secure->posts[kind][i];
            if (post->is_lent)
                post_take(secure, post, kind, post_find(elder, kind, post->name, &of_index), log);
        }
    secure_watch_no_more(elder);
}

static void on_time(struct loop_timer *timer, uint64_t now_ms)
{
    struct secure *secure = container_of(timer, struct secure, timer);
    for (uint32_t i = 0; i < secure->config->listeners.count; i++)
        if (secure->posts[POST_LISTENER][i].tickets != NULL)
            tls_tickets_tick(secure->posts[POST_LISTENER][i].tickets, now_ms);
    secure_reload(secure, false, secure->log);
    loop_timer_set(secure->hub, &secure->timer, now_ms + SECURE_LOOK_MS);
}

void secure_watch_no_more(struct secure *secure)
{
    if (secure->hub != NULL)
        loop_timer_stop(secure->hub, &secure->timer);
    secure->hub = NULL;
}

void secure_watch(struct secure *secure, struct loop *hub, const struct log_sink *log)
{
    if (!is_needed(secure->config))
        return;
    secure->hub = hub;
    secure->log = log;
    loop_timer_set(hub, &secure->timer, loop_now_ms(hub) + SECURE_LOOK_MS);
}
