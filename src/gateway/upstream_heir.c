/* SPDX-License-Identifier: Apache-2.0
 *
 * upstream_heir.c - an upstream whose configuration has changed while its connections serve.
 *
 * The pool stays. A connection is known by its key (endpoint, account, way there, TLS), so those
 * whose key is still one of the upstream's serve on, and nobody notices; those of endpoints and
 * accounts that are gone close when they are released. Requests under way end by what they began
 * with.
 *
 *     upstream_init(source)   its keys are pinned: nothing else has changed yet, and it may fail
 *     upstream_take_over()    the pool and its connector obey; it does not fail
 */
#include "base/alloc.h"
#include "gateway/key_flush.h"
#include "gateway/openclaw.h"
#include "gateway/relay_parts.h"
#include "gateway/secure.h"
#include "gateway/upstream.h"
#include "io/loop.h"

#include <string.h>

/* --- what is known of its endpoints --------------------------------------------------------------
 */

static bool has_same_rows(const struct config_upstream *a, const struct config_upstream *b)
{
    bool is_same = a->endpoints.count == b->endpoints.count
                   && a->accounts.count == b->accounts.count;
    for (uint32_t i = 0; is_same && i < a->endpoints.count; i++) {
        is_same = relay_endpoint_in(b, &a->endpoints.at[i]) == i;
    }
    for (uint32_t i = 0; is_same && i < a->accounts.count; i++) {
        is_same = strcmp(a->accounts.at[i].name, b->accounts.at[i].name) == 0;
    }
    return is_same;
}

static void inherit_endpoint(struct upstream *upstream, uint32_t index,
                             const struct upstream *elder, uint32_t of)
{
    struct endpoint *endpoint = &upstream->endpoints[index];
    const struct endpoint *was = &elder->endpoints[of];
    endpoint->answered = was->answered;
    endpoint->failed = was->failed;
    endpoint->http2_alone_ms = was->http2_alone_ms;
    upstream->outliers.at[index] = elder->outliers.at[of];
    upstream->peers[index].turn = elder->peers[of].turn;
}

static void inherit(struct upstream *upstream, const struct upstream *elder)
{
    for (uint32_t i = 0; i < upstream->count; i++) {
        uint32_t of = relay_endpoint_in(elder->config, upstream->endpoints[i].config);
        if (of < elder->count) {
            inherit_endpoint(upstream, i, elder, of);
        } else if (upstream->config->is_found) { /* it may have just been started */
            upstream->outliers.at[i].back_ms = loop_now_ms(upstream->loop);
        }
        for (uint32_t k = 0; k < upstream->keys; k++) {
            upstream->endpoints[i].passes_seen[k] =
                __atomic_load_n(&upstream->endpoints[i].verdict->passes, __ATOMIC_RELAXED);
        }
    }
    upstream->outliers.review_ms = elder->outliers.review_ms;
    upstream->zone_near = elder->zone_near;
    upstream->zone_far = elder->zone_far;
    if (upstream->config->retry.budget == elder->config->retry.budget) {
        upstream->budget = elder->budget;
    }
    if (has_same_rows(upstream->config, elder->config)) {
        profile_free(upstream->profile);
        upstream->profile = profile_join(elder->profile);
    }
}

/* --- connections that have no place any more -----------------------------------------------------
 */

static bool is_same_text(const char *a, const char *b)
{
    return (a == NULL || b == NULL) ? a == b : strcmp(a, b) == 0;
}

/* With the connections of HTTP/1.1 that are beside those of HTTP/2. */
static bool is_same_tls(const struct upstream *upstream, const char *tls, const char *pinned)
{
    return is_same_text(tls, pinned)
           || (tls != NULL && pinned != NULL && upstream->tls_http1[0] != '\0'
               && strcmp(tls, upstream->tls_http1) == 0);
}

/* A tenant is an account, or one's session, or a client that the endpoint is told of. */
static bool is_same_tenant(const struct upstream *upstream, const char *tenant, const char *pinned)
{
    if (upstream->config->proxy_protocol != 0) {
        return tenant != NULL;
    }
    return slice_same(upstream_account_of(tenant), upstream_account_of(pinned));
}

static bool is_same_place(const weir_key *a, const weir_key *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0 && strcmp(a->scheme, b->scheme) == 0;
}

/* Its pins are those of its endpoints, and only those of one that is where the key leads are looked
 * at: as many looks as there are endpoints and accounts, not as their product. */
static bool is_stray(const void *self, const weir_key *key)
{
    const struct upstream *upstream = self;
    for (uint32_t i = 0; i < upstream->count; i++) {
        struct key *const *pins = upstream->endpoints[i].pins;
        bool is_there = is_same_place(pool_key_view(pins[0]), key);
        for (uint32_t k = 0; is_there && k < upstream->keys; k++) {
            const weir_key *pin = pool_key_view(pins[k]);
            if (is_same_text(pin->proxy, key->proxy) && is_same_tls(upstream, key->tls, pin->tls)
                && is_same_tenant(upstream, key->tenant, pin->tenant)) {
                return false;
            }
        }
    }
    return true;
}

/* What its keys of TLS have in common, or NULL. */
static const char *tls_of(const struct upstream *upstream)
{
    const char *tls = NULL;
    for (uint32_t i = 0; tls == NULL && i < upstream->count * upstream->keys; i++) {
        tls = pool_key_view(upstream->pins[i])->tls;
    }
    return tls;
}

/* Keys of another fingerprint have been pinned since before the connector had the TLS that it
 * stands for: what was dialled meanwhile, to be ready, was by the elder's. */
static void flush_early(struct upstream *upstream, const struct upstream *elder)
{
    if (elder != NULL && is_same_text(tls_of(upstream), tls_of(elder))) {
        return;
    }
    for (uint32_t i = 0; i < upstream->count * upstream->keys; i++) {
        const weir_key *pin = pool_key_view(upstream->pins[i]);
        if (pin->tls != NULL) {
            weir_pool_flush(upstream->pool, pin, WEIR_NEVER);
        }
    }
}

/* --- its pool ------------------------------------------------------------------------------------
 */

static bool has_same_options(const struct config_upstream *a, const struct config_upstream *b)
{
    weir_pool_options x = upstream_pool_options(a), y = upstream_pool_options(b);
    x.name = y.name = NULL;
    return memcmp(&x, &y, sizeof x) == 0;
}

static const struct config_account *account_named(const struct config_upstream *upstream,
                                                  const char *name)
{
    for (uint32_t i = 0; i < upstream->accounts.count; i++) {
        if (strcmp(upstream->accounts.at[i].name, name) == 0) {
            return &upstream->accounts.at[i];
        }
    }
    return NULL;
}

bool upstream_has_key(const struct upstream *elder, const struct config_endpoint *endpoint,
                      const char *account)
{
    return elder != NULL && relay_endpoint_in(elder->config, endpoint) != UINT32_MAX
           && account_named(elder->config, account) != NULL;
}

/* Those of accounts that may have more connections than they might, or fewer. True: there are some.
 */
static bool cap_accounts(struct upstream *upstream, const struct upstream *elder)
{
    bool has_changed = false;
    for (uint32_t k = 0; elder != NULL && k < upstream->config->accounts.count; k++) {
        const struct config_account *is = &upstream->config->accounts.at[k];
        const struct config_account *was = account_named(elder->config, is->name);
        if (was == NULL || was->max_connections == is->max_connections) {
            continue;
        }
        has_changed = true;
        for (uint32_t i = 0; i < upstream->count; i++) {
            pool_key_cap(upstream->endpoints[i].pins[k], is->max_connections);
        }
    }
    return has_changed;
}

static void update_pool(struct upstream *upstream, const struct upstream *elder)
{
    bool is_capped = cap_accounts(upstream, elder);
    weir_pool_options pool = upstream_pool_options(upstream->config);
    if (elder == NULL || is_capped || !has_same_options(upstream->config, elder->config)) {
        weir_pool_update(upstream->pool, &pool); /* without memory for it the old ones hold on */
    }
}

static void update_connector(struct upstream *upstream, const struct upstream_options *opt)
{
    const struct http_connector_options connector = upstream_connector_options(opt);
    http_connector_update(upstream->connector, &connector);
    http_connector_announce(upstream->connector, connector.announce_version, connector.announce);
    if (connector.tls
        != NULL) { /* else requests of older ones go by theirs until they have ended */
        http_connector_secure(upstream->connector, connector.desk, connector.tls);
    }
    if (connector.proxy_tls != NULL) {
        http_connector_secure_proxies(upstream->connector, connector.desk, connector.proxy_tls);
    }
    upstream->source->current = upstream;
}

void upstream_take_over(struct upstream *upstream, const struct upstream_options *opt)
{
    const struct upstream *elder = opt->elder;
    update_connector(upstream, opt);
    if (elder != NULL) {
        inherit(upstream, elder);
    }
    update_pool(upstream, elder);
    flush_early(upstream, elder);
    key_flush(upstream->pool, is_stray, upstream, WEIR_NEVER);
    if (upstream->openclaw != NULL) {
        openclaw_obey(upstream->openclaw, upstream->config, upstream->accounts, &upstream->news);
    }
    if (upstream->accounts != NULL) {
        account_news_look(&upstream->news); /* what the elder told to have begun may be over */
    }
}
