/* SPDX-License-Identifier: Apache-2.0
 *
 * upstream.h - one upstream on one worker: its pool, its endpoints, and which of them is next.
 *
 * An endpoint's standing comes from three places: its key in the pool (up, backing off, down), the
 * last verdict of its active checks, and how its last answers were (core/outlier.h). Whoever is
 * down, judged unhealthy or ejected is out; whoever failed lately is asked again by one request at
 * a time while others are good. When more than half of them are out, that says more about the
 * judge: those that do not refuse connections are asked all the same (panic).
 *
 * With accounts it has a key for each endpoint and account: what the pool holds against an endpoint
 * it holds against it as one account sees it. Without, the only account is number 0.
 */
#pragma once
#include <weir/weir.h>

#include "connector/http.h"
#include "connector/replay.h"
#include "core/balance.h"
#include "core/outlier.h"
#include "core/pool.h"
#include "gateway/account_news.h"
#include "gateway/accounts.h"
#include "gateway/affinity.h"
#include "gateway/config.h"
#include "gateway/profile.h"
#include "gateway/steer.h"
#include "gateway/wait_line.h"
#include "io/tls_profile.h"

#include <stdbool.h>
#include <stdint.h>

struct claw_identity;
struct cork;
struct dns;
struct loop;
struct openclaw;
struct proxies;
struct secure;
struct tls_client;

/* The verdict of active checks on one endpoint: written by the worker that checks, read by all. */
struct verdict {
    uint32_t passes; /* checks that were passed */
    bool spoken;     /* there was a verdict at all */
    bool unhealthy;  /* failures in a row have reached health.failures */
};

static inline void verdict_copy(struct verdict *verdict, const struct verdict *of)
{
    verdict->passes = __atomic_load_n(&of->passes, __ATOMIC_RELAXED);
    verdict->spoken = __atomic_load_n(&of->spoken, __ATOMIC_RELAXED);
    verdict->unhealthy = __atomic_load_n(&of->unhealthy, __ATOMIC_RELAXED);
}

/* The connections of an upstream on one worker. Upstreams of that name of two configurations have
 * them together. */
struct upstream_source {
    uint32_t users; /* upstreams */
    bool is_closed; /* the pools were told to close, or have closed */
    weir_engine *engine;
    weir_pool *pool;
    struct http_connector *connector;
    struct openclaw *openclaw;      /* NULL: none */
    const struct upstream *current; /* in force; NULL: it has left */
};

struct endpoint {
    const struct config_endpoint *config;
    const struct verdict *verdict;
    struct key **pins;         /* in the pool: one for each account, or one */
    uint32_t *passes_seen;     /* one for each pin */
    uint64_t answered, failed; /* requests */
    uint64_t http2_alone_ms;   /* it took no HTTP/1.1, and is believed until then; 0: not known */
};

struct upstream {
    const struct config_upstream *config;
    struct upstream_source *source; /* whose are: */
    weir_pool *pool;
    struct http_connector *connector;
    struct openclaw *openclaw; /* NULL: none */
    struct accounts *accounts; /* shared by all workers; NULL: none */
    struct wait_line line;     /* requests of this worker that wait for one; where there are some */
    struct steer *steer;       /* shared by all workers */
    struct wait_line pause_line; /* requests of this worker that wait for the end of a pause */
    struct account_news news;    /* where there are some, too */
    weir_engine *engine;
    struct replay_budget budget;
    struct balance balance;
    struct balance_peer *peers;
    struct endpoint *endpoints;
    bool *is_near;                /* one for each endpoint; NULL: none is, or all are */
    uint64_t zone_near, zone_far; /* choices, where some are */
    struct profile *profile;      /* where the time of its requests went; NULL: not known */
    struct outlier_set outliers;
    uint32_t count;
    uint32_t keys;       /* of each endpoint */
    uint64_t pace_count; /* of relay_pace.c: the last count that it is in */
    struct key **pins;
    uint32_t *passes;
    struct loop *loop;
    struct tls_client *tls, *proxy_tls; /* as long as its configuration; NULL: none */
    char tls_http1[TLS_FINGERPRINT_MAX + sizeof HTTP_KEY_HTTP1]; /* for keys; "": not needed */
};

uint64_t upstream_hash_path(struct slice path);

struct upstream_options {
    const struct config_upstream *config;
    struct upstream_source *source; /* of another upstream of that name on this worker, or NULL */
    const struct upstream *elder;   /* the one that is in force, if it is that; or NULL */
    const struct verdict *verdicts; /* one for each endpoint */
    struct loop *loop;
    weir_engine *engine;
    struct dns *dns;
    struct cork *cork;
    const struct secure *secure; /* NULL: no TLS */
    struct accounts *accounts;   /* or NULL */
    struct wait_hall *hall;      /* where requests wait for them */
    struct steer *steer;         /* what an operator says */
    relay_event_fn *on_event;    /* what becomes of them; or NULL */
    void *event_self;
    struct proxies *proxies;           /* that it, or its accounts, go through */
    struct claw_identity **identities; /* of its devices: one for each way, or NULL */
    const char *zone;                  /* of this gateway */
    uint32_t index;                    /* of this upstream in the configuration */
    uint64_t seed;
    uint32_t worker, workers; /* this one's share of limits over all */
};

int upstream_init(struct upstream *upstream, const struct upstream_options *opt); /* 0 or -errno */
void upstream_fini(struct upstream *upstream); /* the pool has closed, or is somebody's still */

/* It is the one in force from now on, instead of the elder: the pool goes by its options,
 * connections for which it has no endpoint or account go, those that it has stay, with what is
 * known of its endpoints. (upstream_heir.c) */
void upstream_take_over(struct upstream *upstream, const struct upstream_options *opt);
/* Whether it has connections to that endpoint as that account. (upstream_heir.c) */
bool upstream_has_key(const struct upstream *elder, const struct config_endpoint *endpoint,
                      const char *account);
/* Closes its pools; true once they have closed, for which the engine takes steps. */
bool upstream_close_pools(struct upstream *upstream);

/* For those who open and update pools. */
weir_pool_options upstream_pool_options(const struct config_upstream *config);
struct http_connector_options upstream_connector_options(const struct upstream_options *opt);

/* What a request is known by where the balance asks for it: its path. */
static inline uint64_t upstream_hash(const struct upstream *upstream, struct slice path)
{
    return upstream->balance.method == BALANCE_RENDEZVOUS ? upstream_hash_path(path) : 0;
}

/* The next endpoint for a request of that account, or BALANCE_NOBODY. */
uint32_t upstream_choose(struct upstream *upstream, uint32_t account, uint64_t hash,
                         uint32_t except);

/* The same, but nothing is remembered of it; upstream->peers are as it found them. */
uint32_t upstream_view(struct upstream *upstream, uint32_t account, uint64_t hash);
const char *upstream_balance_word(enum config_balance balance); /* "p2c" */

/* weir_try_acquire() and weir_acquire() of the endpoint, for a request of that client: where the
 * endpoint is told who its clients are, each has connections of its own. */
struct upstream_way {
    uint32_t endpoint, account;
    const struct http_peer *client;
    bool over_http1;                    /* for upstream_may_speak_http1() */
    const struct affinity_key *session; /* whose connections they are, and no other's; or NULL */
};
/* The account's name in the tenant of a key; empty: there is none. */
static inline struct slice upstream_account_of(const char *tenant)
{
    struct slice name = slice_of(tenant != NULL ? tenant : "");
    return slice_sub(name, 0, slice_find(name, '~'));
}
weir_err upstream_try_lease(struct upstream *upstream, const struct upstream_way *way,
                            uint32_t flags, weir_lease *ret_lease, void **ret_object);
weir_err upstream_lease(struct upstream *upstream, const struct upstream_way *way,
                        const weir_acquire_options *opt, weir_lease_fn *fn, void *arg,
                        weir_lease *ret_lease);

/* Whether connections of HTTP/1.1 alone may be had where ALPN chose HTTP/2. */
bool upstream_may_speak_http1(const struct upstream *upstream, uint32_t endpoint);
/* Whether such a dial failed so that there are none, which is believed for a while. */
bool upstream_speaks_http2_alone(struct upstream *upstream, uint32_t endpoint, weir_err err);

/* It answered well or badly, or the call to it broke: too much of that ejects it. */
void upstream_judge(struct upstream *upstream, uint32_t endpoint, bool is_good);

/* The wait that is predicted for its next request, at the endpoint where it is shortest, in
 * thousandths of acquire_timeout: at a thousand it is refused. 0: nobody has waited long enough for
 * it to be known, or connections are of sessions' or clients' own. */
uint32_t upstream_strain(const struct upstream *upstream);
bool upstream_has_waiting(const struct upstream *upstream);

/* Whether one of its endpoints, at least, is good for requests. */
bool upstream_is_usable(struct upstream *upstream);

/* A request as that account has ended: who waits for one on this worker is next. */
void upstream_give_account(struct upstream *upstream, uint32_t account);

/* When it makes sense to ask again where upstream_choose() found nobody. */
uint32_t upstream_retry_after_ms(const struct upstream *upstream);
