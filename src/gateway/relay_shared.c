/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_shared.c - the tables that the relays of one configuration share, over all workers: what
 * checks have found, what operators have said, accounts, clients, proxies, conversations.
 *
 * Where two configurations name the same account, client or proxy, what is known of it is shared by
 * the tables of both, so that limits hold over both while requests of the older one still end.
 */
#include "base/alloc.h"
#include "gateway/client_leases.h"
#include "gateway/clients.h"
#include "gateway/config_claw.h"
#include "gateway/config_way.h"
#include "gateway/openclaw.h"
#include "gateway/proxies.h"
#include "gateway/relay.h"
#include "gateway/relay_parts.h"

#include <errno.h>
#include <string.h>

static bool limits_clients(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *listener = &config->listeners.at[i];
        for (uint32_t r = 0; r < listener->routes.count; r++) {
            if (listener->routes.at[r].limits.concurrent_per_client != 0) {
                return true;
            }
        }
    }
    return false;
}

static struct relay_lasting *lasting_join(const struct relay_shared *elder)
{
    struct relay_lasting *lasting = elder != NULL ? elder->lasting
                                                  : alloc_zeroed(&alloc_libc, sizeof *lasting);
    if (lasting != NULL && elder == NULL) {
        lasting->stock.most = HOLD_STOCK_BYTES;
        wait_hall_init(&lasting->client_hall);
    }
    if (lasting != NULL) {
        lasting->users++;
    }
    return lasting;
}

static void lasting_leave(struct relay_lasting *lasting)
{
    if (lasting != NULL && --lasting->users == 0) {
        client_leases_end(lasting->leases);
        affinities_free(lasting->affinities);
        client_leases_free(lasting->leases);
        client_keys_free(lasting->keys);
        clients_free(lasting->clients);
        wait_hall_fini(&lasting->client_hall);
        alloc_free(&alloc_libc, lasting);
    }
}

/* Its place in that configuration, or UINT32_MAX. */
static uint32_t upstream_named(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        if (strcmp(config->upstreams.at[i].name, name) == 0) {
            return i;
        }
    }
    return UINT32_MAX;
}

static int open_upstream_tables(struct relay_shared *shared, const struct relay_shared *elder,
                                uint32_t index)
{
    const struct config_upstream *upstream = &shared->config->upstreams.at[index];
    uint32_t of = elder != NULL ? upstream_named(elder->config, upstream->name) : UINT32_MAX;
    bool is_known = of != UINT32_MAX;
    shared->verdicts[index] = alloc_zeroed(&alloc_libc,
                                           upstream->endpoints.count * sizeof(struct verdict));
    int error = shared->verdicts[index] != NULL
                    ? steer_init(&shared->steers[index], is_known ? &elder->steers[of] : NULL,
                                 upstream->endpoints.count)
                    : -ENOMEM;
    return error == 0 && upstream->accounts.count > 0 ? accounts_new(
               upstream, is_known ? elder->accounts[of] : NULL, &shared->accounts[index])
                                                      : error;
}

/* Clients whose limits are shared with other gateways do not change while it runs. */
static bool open_keys(struct relay_shared *shared, const struct relay_shared *elder)
{
    struct relay_lasting *lasting = shared->lasting;
    if (lasting->keys != NULL) {
        shared->client_keys = client_keys_join(lasting->keys);
        return true;
    }
    return client_keys_new(shared->config, elder != NULL ? elder->client_keys : NULL,
                           &shared->client_keys)
           == 0;
}

static int open_tables(struct relay_shared *shared, const struct relay_shared *elder)
{
    const struct config *config = shared->config;
    uint32_t count = config->upstreams.count;
    shared->verdicts = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->verdicts);
    shared->identities = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->identities);
    shared->accounts = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->accounts);
    shared->halls = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->halls);
    shared->steers = alloc_zeroed(&alloc_libc, (count + 1) * sizeof *shared->steers);
    for (uint32_t i = 0; shared->halls != NULL && i < count; i++) {
        wait_hall_init(&shared->halls[i]);
    }
    bool fine = shared->verdicts != NULL && shared->identities != NULL && shared->accounts != NULL
                && shared->halls != NULL && shared->steers != NULL
                && proxies_new(config, elder != NULL ? elder->proxies : NULL, &shared->proxies)
                       == 0;
    for (uint32_t i = 0; fine && i < count; i++) {
        fine = open_upstream_tables(shared, elder, i) == 0;
    }
    if (fine && limits_clients(config)) {
        struct relay_lasting *lasting = shared->lasting;
        fine = lasting->clients != NULL || clients_new(&lasting->clients) == 0;
        shared->clients = lasting->clients;
    }
    if (fine && config->clients.count > 0) {
        fine = open_keys(shared, elder);
    }
    return fine ? 0 : -ENOMEM;
}

/* That file's, among the first so many upstreams; or NULL. */
static struct claw_identity *identity_of(const struct relay_shared *shared, uint32_t count,
                                         const char *file)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct config_upstream *upstream = &shared->config->upstreams.at[i];
        struct claw_identity **of = shared->identities[i];
        for (uint32_t k = 0; of != NULL && k < config_ways(upstream); k++) {
            if (of[k] != NULL && strcmp(file, config_claw_of(upstream, k).identity) == 0) {
                return claw_identity_join(of[k]);
            }
        }
    }
    return NULL;
}

static int open_identity(const struct relay_shared *shared, const struct relay_shared *elder,
                         uint32_t index, const char *file, struct claw_identity **ret_identity,
                         char ret_fault[RELAY_FAULT_MAX])
{
    struct claw_identity *known = identity_of(shared, index + 1, file);
    if (known == NULL && elder != NULL) {
        known = identity_of(elder, elder->config->upstreams.count, file);
    }
    *ret_identity = known;
    return known != NULL ? 0 : claw_identity_open(file, &alloc_libc, ret_identity, ret_fault);
}

static int open_identities_of(struct relay_shared *shared, const struct relay_shared *elder,
                              uint32_t index, char ret_fault[RELAY_FAULT_MAX])
{
    const struct config_upstream *upstream = &shared->config->upstreams.at[index];
    uint32_t ways = config_ways(upstream);
    struct claw_identity **of = alloc_zeroed(&alloc_libc, ways * sizeof(struct claw_identity *));
    int error = of != NULL ? 0 : -ENOMEM;
    shared->identities[index] = of;
    for (uint32_t k = 0; error == 0 && k < ways; k++) {
        const char *file = config_claw_of(upstream, k).identity;
        error = file[0] != '\0' ? open_identity(shared, elder, index, file, &of[k], ret_fault) : 0;
    }
    return error;
}

/* One for each file, however many upstreams and configurations name it. */
static int open_identities(struct relay_shared *shared, const struct relay_shared *elder,
                           char ret_fault[RELAY_FAULT_MAX])
{
    const struct config *config = shared->config;
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < config->upstreams.count; i++) {
        if (config->upstreams.at[i].protocol == PROTOCOL_OPENCLAW) {
            error = open_identities_of(shared, elder, i, ret_fault);
        }
    }
    return error;
}

static void close_identities(const struct relay_shared *shared)
{
    for (uint32_t i = 0; shared->identities != NULL && i < shared->config->upstreams.count; i++) {
        struct claw_identity **of = shared->identities[i];
        for (uint32_t k = 0; of != NULL && k < config_ways(&shared->config->upstreams.at[i]); k++) {
            if (of[k] != NULL) {
                claw_identity_free(of[k]);
            }
        }
        alloc_free(&alloc_libc, of);
    }
    alloc_free(&alloc_libc, shared->identities);
}

static int open_affinities(struct relay_shared *shared, char ret_fault[RELAY_FAULT_MAX])
{
    struct relay_lasting *lasting = shared->lasting;
    int error = lasting->affinities == NULL
                    ? affinities_new(shared->config, &lasting->affinities, ret_fault)
                    : 0;
    shared->affinities = lasting->affinities;
    return error;
}

static int open_leases(struct relay_lasting *lasting, struct client_keys *keys)
{
    if (lasting->leases != NULL) {
        return 0;
    }
    lasting->keys = client_keys_join(keys);
    return client_leases_new(keys, affinities_sessions(lasting->affinities), &lasting->client_hall,
                             &lasting->leases);
}

int relay_shared_new(const struct config *config, struct relay_shared *elder,
                     struct relay_shared **ret_shared, char ret_fault[RELAY_FAULT_MAX])
{
    struct relay_shared *shared = alloc_zeroed(&alloc_libc, sizeof *shared);
    ret_fault[0] = '\0';
    if (shared == NULL) {
        return -ENOMEM;
    }
    shared->config = config;
    shared->lasting = lasting_join(elder);
    int error = shared->lasting != NULL ? open_tables(shared, elder) : -ENOMEM;
    if (error == 0) {
        error = open_identities(shared, elder, ret_fault);
    }
    bool is_shared = client_keys_are_shared(config);
    if (error == 0 && (affinity_is_used(config) || is_shared)) {
        error = open_affinities(shared, ret_fault);
    }
    if (error == 0 && is_shared) {
        error = open_leases(shared->lasting, shared->client_keys);
    }
    if (error != 0) {
        relay_shared_free(shared);
        return error;
    }
    *ret_shared = shared;
    return 0;
}

static bool is_same_endpoint(const struct config_endpoint *a, const struct config_endpoint *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0 && strcmp(a->scheme, b->scheme) == 0;
}

uint32_t relay_endpoint_in(const struct config_upstream *upstream,
                           const struct config_endpoint *endpoint)
{
    for (uint32_t i = 0; i < upstream->endpoints.count; i++) {
        if (is_same_endpoint(&upstream->endpoints.at[i], endpoint)) {
            return i;
        }
    }
    return UINT32_MAX;
}

void relay_shared_take_over(struct relay_shared *shared, struct relay_shared *elder)
{
    if (shared->client_keys != NULL && shared->lasting->leases == NULL) {
        client_keys_take_over(shared->client_keys);
    }
    for (uint32_t i = 0; i < shared->config->upstreams.count; i++) {
        const struct config_upstream *upstream = &shared->config->upstreams.at[i];
        uint32_t of = upstream_named(elder->config, upstream->name);
        if (of == UINT32_MAX) {
            continue;
        }
        if (shared->accounts[i] != NULL && elder->accounts[of] != NULL) {
            accounts_take_over(shared->accounts[i], elder->accounts[of]);
        }
        for (uint32_t e = 0; e < upstream->endpoints.count; e++) {
            uint32_t at = relay_endpoint_in(&elder->config->upstreams.at[of],
                                            &upstream->endpoints.at[e]);
            if (at != UINT32_MAX) {
                shared->steers[i].modes[e] = (uint8_t)steer_mode(&elder->steers[of], at);
                verdict_copy(&shared->verdicts[i][e], &elder->verdicts[of][at]);
            }
        }
    }
}

void relay_shared_strain(struct relay_shared *shared, enum relay_strain strain, uint64_t hold_most)
{
    struct relay_lasting *lasting = shared->lasting;
    atomic_store_explicit(&lasting->strain, (uint8_t)strain, memory_order_relaxed);
    atomic_store_explicit(&lasting->stock.most, hold_most, memory_order_relaxed);
}

struct accounts *relay_shared_accounts(const struct relay_shared *shared, uint32_t upstream)
{
    return shared->accounts[upstream];
}

struct affinities *relay_shared_affinities(const struct relay_shared *shared)
{
    return shared->affinities;
}

const struct client_keys *relay_shared_clients(const struct relay_shared *shared)
{
    return shared->client_keys;
}

const struct client_leases *relay_shared_leases(const struct relay_shared *shared)
{
    return shared->lasting->leases;
}

struct steer *relay_shared_steer(const struct relay_shared *shared, uint32_t upstream)
{
    return &shared->steers[upstream];
}

void relay_shared_steer_endpoint(struct relay_shared *shared, const char *upstream,
                                 const struct config_endpoint *endpoint, enum steer_mode mode)
{
    uint32_t u = upstream_named(shared->config, upstream);
    uint32_t at = u != UINT32_MAX ? relay_endpoint_in(&shared->config->upstreams.at[u], endpoint)
                                  : UINT32_MAX;
    if (at != UINT32_MAX) {
        steer_set_mode(&shared->steers[u], at, mode);
    }
}

struct proxies *relay_shared_proxies(const struct relay_shared *shared)
{
    return shared->proxies;
}

void relay_shared_free(struct relay_shared *take_shared)
{
    if (take_shared == NULL) {
        return;
    }
    for (uint32_t i = 0; take_shared->verdicts != NULL && i < take_shared->config->upstreams.count;
         i++) {
        alloc_free(&alloc_libc, take_shared->verdicts[i]);
    }
    for (uint32_t i = 0; take_shared->accounts != NULL && i < take_shared->config->upstreams.count;
         i++) {
        accounts_free(take_shared->accounts[i]);
    }
    for (uint32_t i = 0; take_shared->halls != NULL && i < take_shared->config->upstreams.count;
         i++) {
        wait_hall_fini(&take_shared->halls[i]);
    }
    for (uint32_t i = 0; take_shared->steers != NULL && i < take_shared->config->upstreams.count;
         i++) {
        steer_fini(&take_shared->steers[i]);
    }
    alloc_free(&alloc_libc, take_shared->steers);
    alloc_free(&alloc_libc, take_shared->halls);
    alloc_free(&alloc_libc, take_shared->accounts);
    alloc_free(&alloc_libc, take_shared->verdicts);
    close_identities(take_shared);
    lasting_leave(take_shared->lasting);
    client_keys_free(take_shared->client_keys);
    proxies_free(take_shared->proxies);
    alloc_free(&alloc_libc, take_shared);
}
