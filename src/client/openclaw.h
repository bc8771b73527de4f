/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.h - what the client of OpenClaw gateways is made of: private to client/openclaw*.c.
 *
 *   client ──┬── gateways: a configuration, its key, its account, what is known of it
 *            └── post (one for each worker) ── asks; and, once one was begun, connector, pool,
 * names, TLS
 *
 * A gateway is at home at one post, which its host and port choose, so that the limits of a host
 * are kept in one place. A post and all that is in it belong to its worker's thread, but for its
 * slots, which are taken and given under a lock. A gateway never goes before its client does; what
 * changes of it is atomic, or under the client's mutex.
 */
#pragma once
#include <weir/openclaw.h>

#include "base/slots.h"
#include "client/ground.h"
#include "client/options.h"
#include "connector/keycopy.h"
#include "connector/openclaw.h"
#include "runtime/worker.h"

#include <pthread.h>
#include <stdatomic.h>

struct claw_post;
struct dns;
struct fan;

struct claw_file {
    struct claw_file *next;
    struct claw_identity *identity;
    char path[];
};

struct weir_openclaw_gateway {
    struct claw_account account; /* its mutable part: the post's */
    struct weir_openclaw *claw;
    struct weir_openclaw_gateway *next;
    struct claw_post *post;
    struct key_copy key;
    struct claw_file *file;
    void *arg;
    uint32_t number; /* of those with an equal endpoint and account, from 1 on */
    bool is_tls;
    char *texts; /* of the account, and the next */
    const char *name, *device_file, *base_url;
    char **scopes;
    size_t scopes_count;
    _Atomic uint32_t in_flight;
    _Atomic uint64_t used_unix_ms;
    /* Under the client's mutex. */
    weir_openclaw_info info;
};

struct claw_ask {
    struct claw_call call;
    struct worker_note note;
    struct weir_openclaw_gateway *gateway;
    weir_openclaw_fn *fn;
    void *arg;
    struct fan *fan;
    char *text; /* method, NUL, params */
    uint32_t timeout_ms;
    uint64_t begun_ns;
    uint32_t number;   /* of a fan-out */
    bool is_shown;     /* it has begun */
    bool is_cancelled; /* before that */
};

struct claw_post {
    struct weir_openclaw *claw;
    struct worker *worker;
    struct loop *loop;
    pthread_mutex_t mutex; /* of taking and giving asks */
    struct slots asks;

    bool is_ready, is_closed; /* what follows is there; the pool has closed */
    bool is_shutting;
    weir_pool *pool;
    struct claw_connector *_Atomic connector; /* its counters: any thread */
    struct dns *dns;
    struct tls_desk *tls_desk;
    struct tls_client *tls, *proxy_tls;
    _Atomic uint64_t connects, losses;
};

struct weir_openclaw {
    weir_runtime *runtime;
    const struct alloc *alloc;
    struct ground_member member;
    weir_openclaw_options opt; /* defaults filled in */
    char *dns_servers;
    weir_http_client *http;
    struct tls_profile *profile, *proxy_profile; /* under the mutex while they are NULL */
    _Atomic uint32_t taken;                      /* asks */
    _Atomic uint64_t calls, answered, failed;
    _Atomic uint32_t turn; /* of round robin */
    atomic_bool is_closing;
    _Atomic uint32_t pending; /* posts that are not closed yet */
    struct ground_wait closed;

    pthread_mutex_t mutex; /* of gateways and files */
    struct weir_openclaw_gateway *gateways, **gateways_end;
    uint32_t gateways_count;
    struct claw_file *files;

    uint32_t posts_count;
    struct claw_post *posts[];
};

static inline void claw_lock(struct weir_openclaw *claw)
{
    pthread_mutex_lock(&claw->mutex);
}

static inline void claw_unlock(struct weir_openclaw *claw)
{
    pthread_mutex_unlock(&claw->mutex);
}

/* --- openclaw_post.c ----------------------------------------------------------------------------
 */

struct claw_post *claw_post_new(struct weir_openclaw *claw, struct worker *worker);
void claw_post_free(struct claw_post *post);
/* What is needed to dial it is there. On its thread. WEIR_ENOMEM, WEIR_EIO, WEIR_ETLS, … */
weir_err claw_post_ready(struct claw_post *post, const struct weir_openclaw_gateway *gateway);
/* On its thread: ends what there is; the last one of all says so to claw->closed. */
void claw_post_shut(struct claw_post *post);
void claw_post_close(struct claw_post *post);
/* The post of this thread, or NULL. */
struct claw_post *claw_post_here(const struct weir_openclaw *claw);
/* TLS by the client's options. ret_fault: the field. */
weir_err claw_profile(struct weir_openclaw *claw, enum options_tls which,
                      struct tls_profile **ret_profile, const char **ret_fault);

/* --- openclaw_gateway.c -------------------------------------------------------------------------
 */

struct weir_openclaw_gateway *claw_gateway_find(struct claw_post *post, const weir_key *key);
void claw_gateways_free(struct weir_openclaw *claw);
/* Of the pool's events. */
void claw_gateway_heard(struct claw_post *post, const weir_event *event);
void claw_gateway_greeted(struct weir_openclaw_gateway *gateway, const struct claw_hello *hello);

/* --- openclaw_ask.c -----------------------------------------------------------------------------
 */

/* Ends every request of the post's. */
void claw_asks_end(struct claw_post *post);
