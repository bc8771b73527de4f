/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/client_keys.h"

#include "base/alloc.h"
#include "base/check.h"
#include "gateway/client_leases.h"
#include "io/clock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define SECOND_NS UINT64_C(1000000000)

/* What a client has and had, as long as some configuration that is served by names it. */
struct standing {
    uint32_t users;
    _Atomic uint64_t due_ns;
    struct client_lease lease;
    _Atomic uint32_t waiting;
    _Atomic uint64_t entered, full, fast;
    _Atomic uint64_t tokens[AI_TOKENS_KINDS];
};

struct strangers {
    uint32_t users;
    _Atomic uint64_t count[2]; /* without a key, and with one */
};

struct client {
    struct config_client own; /* a copy: the configuration may be gone first */
    char name[CONFIG_LABEL_MAX + 1];
    const struct config_client *config; /* that */
    uint64_t hash;                      /* of its name */
    uint64_t interval_ns;               /* between two requests; 0: no limit */
    uint64_t tolerance_ns; /* by which they may be early: those that may come at once */
    struct standing *standing;
};

struct client_keys {
    uint32_t users;
    uint64_t secret; /* keys are the peers' choice */
    struct strangers *strangers;
    struct client_leases *leases; /* NULL: nothing is shared */
    _Atomic uint32_t gateways;
    uint32_t count;
    uint32_t mask;   /* of slots: a power of two, and at most half of them are used */
    uint32_t *slots; /* index + 1, from the hash on until an empty one */
    struct client at[];
};

static uint32_t slot_of(const struct client_keys *keys, const uint8_t digest[CONFIG_DIGEST_LEN])
{
    return (uint32_t)XXH3_64bits_withSeed(digest, CONFIG_DIGEST_LEN, keys->secret) & keys->mask;
}

bool client_keys_are_shared(const struct config *config)
{
    bool has_limits = false;
    for (uint32_t i = 0; i < config->clients.count; i++) {
        const struct config_client *client = &config->clients.at[i];
        has_limits = has_limits || client->concurrent != 0 || client->rate.count != 0;
    }
    return has_limits && config->sessions.redis.url[0] != '\0';
}

static uint32_t places_of(const struct config_client *config)
{
    return config->concurrent != 0 ? config->concurrent : LEASE_ALL;
}

/* 0: there is no rate. */
static uint64_t interval_of(const struct config_client *config)
{
    return config->rate.count > 0 ? config->rate.per_s * SECOND_NS / config->rate.count : 0;
}

static void prepare(struct client_keys *keys, uint32_t index, const struct config_client *config)
{
    struct client *client = &keys->at[index];
    client->own = *config;
    slice_copy(client->name, sizeof client->name, slice_of(config->name));
    client->own.name = client->name;
    client->config = &client->own;
    client->hash = XXH3_64bits(config->name, strlen(config->name));
    if (config->rate.count > 0) {
        client->interval_ns = interval_of(config);
        client->tolerance_ns = config->rate.per_s * SECOND_NS - client->interval_ns;
    }
    uint32_t slot = slot_of(keys, config->sha256.at);
    while (keys->slots[slot] != 0) {
        slot = (slot + 1) & keys->mask;
    }
    keys->slots[slot] = index + 1;
}

static struct standing *standing_join(const struct client_keys *elder,
                                      const struct config_client *config, bool is_shared)
{
    struct standing *standing = NULL;
    for (uint32_t i = 0; standing == NULL && elder != NULL && i < elder->count; i++) {
        if (strcmp(elder->at[i].config->name, config->name) == 0) {
            standing = elder->at[i].standing;
        }
    }
    if (standing == NULL) {
        standing = alloc_zeroed(&alloc_libc, sizeof *standing);
        if (standing == NULL) {
            return NULL;
        }
        client_lease_init(&standing->lease, places_of(config), interval_of(config), is_shared);
    }
    standing->users++;
    return standing;
}

static struct strangers *strangers_join(const struct client_keys *elder)
{
    struct strangers *strangers = elder != NULL ? elder->strangers
                                                : alloc_zeroed(&alloc_libc, sizeof *strangers);
    if (strangers != NULL) {
        strangers->users++;
    }
    return strangers;
}

/* Its last user frees it; users begins the structure. */
static void leave(void *shared)
{
    uint32_t *users = shared;
    if (users != NULL && --*users == 0) {
        alloc_free(&alloc_libc, shared);
    }
}

struct client_keys *client_keys_join(struct client_keys *keys)
{
    keys->users++;
    return keys;
}

void client_keys_take_over(struct client_keys *keys)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        client_lease_limit(&keys->at[i].standing->lease, places_of(keys->at[i].config));
    }
}

int client_keys_new(const struct config *config, const struct client_keys *elder,
                    struct client_keys **ret_keys)
{
    uint32_t count = config->clients.count, slots = 2;
    while (slots < 2 * count) {
        slots *= 2;
    }
    struct client_keys *keys = alloc_zeroed(&alloc_libc,
                                            sizeof *keys + count * sizeof(struct client));
    if (keys == NULL) {
        return -ENOMEM;
    }
    keys->users = 1;
    keys->count = count;
    atomic_init(&keys->gateways, 1);
    keys->mask = slots - 1;
    keys->slots = alloc_zeroed(&alloc_libc, slots * sizeof *keys->slots);
    bool has_secret = getrandom(&keys->secret, sizeof keys->secret, 0) == sizeof keys->secret;
    bool is_shared = client_keys_are_shared(config);
    bool is_short = keys->slots == NULL || (keys->strangers = strangers_join(elder)) == NULL;
    for (uint32_t i = 0; !is_short && i < count; i++) {
        keys->at[i].standing = standing_join(elder, &config->clients.at[i], is_shared);
        is_short = keys->at[i].standing == NULL;
    }
    if (is_short || !has_secret) {
        int error = is_short ? -ENOMEM : -EIO;
        client_keys_free(keys);
        return error;
    }
    for (uint32_t i = 0; i < count; i++) {
        prepare(keys, i, &config->clients.at[i]);
    }
    *ret_keys = keys;
    return 0;
}

void client_keys_free(struct client_keys *take_keys)
{
    if (take_keys != NULL && --take_keys->users == 0) {
        for (uint32_t i = 0; i < take_keys->count; i++) {
            leave(take_keys->at[i].standing);
        }
        leave(take_keys->strangers);
        alloc_free(&alloc_libc, take_keys->slots);
        alloc_free(&alloc_libc, take_keys);
    }
}

/* --- whose it is ---------------------------------------------------------------------------------
 */

int client_digester_init(struct client_digester *digester)
{
    digester->context = EVP_MD_CTX_new();
    if (digester->context == NULL
        || EVP_DigestInit_ex(digester->context, EVP_sha256(), NULL) != 1) {
        client_digester_fini(digester);
        return -ENOMEM;
    }
    return 0;
}

void client_digester_fini(struct client_digester *digester)
{
    EVP_MD_CTX_free(digester->context);
    digester->context = NULL;
}

/* Initialised once, so that no key costs an allocation. */
static bool digest(struct client_digester *digester, struct slice key,
                   uint8_t ret_digest[CONFIG_DIGEST_LEN])
{
    return EVP_DigestInit_ex(digester->context, NULL, NULL) == 1
           && EVP_DigestUpdate(digester->context, key.at, key.len) == 1
           && EVP_DigestFinal_ex(digester->context, ret_digest, NULL) == 1;
}

uint32_t client_keys_find(const struct client_keys *keys, struct client_digester *digester,
                          struct slice key)
{
    uint8_t it[CONFIG_DIGEST_LEN];
    uint32_t found = CLIENT_NOBODY;
    if (key.len == 0 || key.len > CLIENT_KEY_MAX || !digest(digester, key, it)) {
        return CLIENT_NOBODY;
    }
    for (uint32_t slot = slot_of(keys, it); keys->slots[slot] != 0;
         slot = (slot + 1) & keys->mask) {
        uint32_t index = keys->slots[slot] - 1;
        if (CRYPTO_memcmp(keys->at[index].config->sha256.at, it, sizeof it) == 0) {
            found = index;
        }
    }
    return found;
}

void client_keys_count_stranger(struct client_keys *keys, bool has_key)
{
    atomic_fetch_add_explicit(&keys->strangers->count[has_key], 1, memory_order_relaxed);
}

/* --- what it may ---------------------------------------------------------------------------------
 */

/* With local shares each gateway has a part of it. */
static uint32_t pace_here(struct client_keys *keys, struct client *it, uint64_t now_ns)
{
    uint64_t due_ns = atomic_load_explicit(&it->standing->due_ns, memory_order_relaxed), from_ns;
    uint64_t interval_ns = it->interval_ns, tolerance_ns = it->tolerance_ns;
    if (atomic_load_explicit(&it->standing->lease.is_local, memory_order_relaxed)) {
        uint64_t time_ns = interval_ns + tolerance_ns;
        interval_ns *= atomic_load_explicit(&keys->gateways, memory_order_relaxed);
        tolerance_ns = time_ns > interval_ns ? time_ns - interval_ns : 0;
    }
    do {
        from_ns = due_ns > now_ns ? due_ns : now_ns;
        if (from_ns - now_ns > tolerance_ns) {
            atomic_fetch_add_explicit(&it->standing->fast, 1, memory_order_relaxed);
            return (uint32_t)((from_ns - now_ns - tolerance_ns + 999999) / 1000000);
        }
    } while (!atomic_compare_exchange_weak(&it->standing->due_ns, &due_ns, from_ns + interval_ns));
    return 0;
}

uint32_t client_keys_pace(struct client_keys *keys, uint32_t client, uint64_t now_ns)
{
    check(client < keys->count);
    struct client *it = &keys->at[client];
    if (it->interval_ns == 0) {
        return 0;
    }
    uint32_t early_ms = pace_here(keys, it, now_ns);
    return early_ms != 0 || keys->leases == NULL
               ? early_ms
               : client_keys_token(keys, client, now_ns / 1000000);
}

/* Others may have more of it than they need, or know that somebody is short. */
static void press(struct client_keys *keys, uint32_t client)
{
    if (keys->leases != NULL) {
        client_leases_press(keys->leases, client, clock_now_ms());
    }
}

uint32_t client_keys_token(struct client_keys *keys, uint32_t client, uint64_t now_ms)
{
    check(client < keys->count);
    struct client *it = &keys->at[client];
    uint32_t early_ms = client_lease_token(&it->standing->lease, now_ms);
    if (early_ms == CLIENT_ASKS) {
        if (atomic_load(&it->standing->lease.thirsty) > 0) {
            press(keys, client);
        }
    } else if (early_ms != 0) {
        atomic_fetch_add_explicit(&it->standing->fast, 1, memory_order_relaxed);
    }
    return early_ms;
}

/* Exact among all workers: who finds it full never took a place, not even for a moment. */
static bool count_up(_Atomic uint32_t *count, uint32_t most)
{
    uint32_t now = atomic_load_explicit(count, memory_order_relaxed);
    do {
        if (now >= most) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(count, &now, now + 1));
    return true;
}

static void count_down(_Atomic uint32_t *count)
{
    uint32_t was = atomic_fetch_sub(count, 1);
    check(was > 0);
}

void client_keys_thirst(struct client_keys *keys, uint32_t client, bool is_thirsty)
{
    check(client < keys->count);
    if (is_thirsty) {
        atomic_fetch_add(&keys->at[client].standing->lease.thirsty, 1);
    } else {
        count_down(&keys->at[client].standing->lease.thirsty);
    }
}

bool client_keys_enter(struct client_keys *keys, uint32_t client, bool is_due)
{
    check(client < keys->count);
    struct client *it = &keys->at[client];
    uint32_t ahead = is_due ? 0 : atomic_load(&it->standing->waiting);
    if (client_lease_enter(&it->standing->lease, ahead)) {
        atomic_fetch_add_explicit(&it->standing->entered, 1, memory_order_relaxed);
        return true;
    }
    if (is_due) {
        press(keys, client);
    }
    return false;
}

void client_keys_leave(struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    if (client_lease_leave(&keys->at[client].standing->lease)) {
        press(keys, client);
    }
}

bool client_keys_wait(struct client_keys *keys, uint32_t client, uint32_t most)
{
    check(client < keys->count);
    if (count_up(&keys->at[client].standing->waiting, most)) {
        press(keys, client);
        return true;
    }
    atomic_fetch_add_explicit(&keys->at[client].standing->full, 1, memory_order_relaxed);
    return false;
}

void client_keys_wait_over(struct client_keys *keys, uint32_t client, bool is_refused)
{
    check(client < keys->count);
    count_down(&keys->at[client].standing->waiting);
    atomic_fetch_add_explicit(&keys->at[client].standing->full, is_refused, memory_order_relaxed);
}

void client_keys_used(struct client_keys *keys, uint32_t client, const struct ai_usage_said *said)
{
    check(client < keys->count);
    for (uint32_t i = 0; i < AI_TOKENS_KINDS; i++) {
        atomic_fetch_add_explicit(&keys->at[client].standing->tokens[i], said->tokens[i],
                                  memory_order_relaxed);
    }
}

/* --- about it ------------------------------------------------------------------------------------
 */

enum config_priority client_keys_priority(const struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    return keys->at[client].config->priority;
}

const char *client_keys_name(const struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    return keys->at[client].config->name;
}

uint64_t client_keys_hash(const struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    return keys->at[client].hash;
}

uint32_t client_keys_count(const struct client_keys *keys)
{
    return keys->count;
}

static uint64_t share_of(const struct client_lease *lease)
{
    uint32_t share = client_lease_share(lease);
    return share != LEASE_ALL ? share : UINT64_MAX;
}

void client_keys_info_of(const struct client_keys *keys, uint32_t client,
                         struct client_info *ret_info)
{
    check(client < keys->count);
    const struct client *it = &keys->at[client];
    *ret_info = (struct client_info){
        .config = it->config,
        .is_shared = keys->leases != NULL,
        .is_local = atomic_load_explicit(&it->standing->lease.is_local, memory_order_relaxed),
        .share = share_of(&it->standing->lease),
        .rate_used = atomic_load_explicit(&it->standing->lease.used, memory_order_relaxed),
        .open = client_lease_open(&it->standing->lease),
        .waiting = atomic_load_explicit(&it->standing->waiting, memory_order_relaxed),
        .entered = atomic_load_explicit(&it->standing->entered, memory_order_relaxed),
        .full = atomic_load_explicit(&it->standing->full, memory_order_relaxed),
        .fast = atomic_load_explicit(&it->standing->fast, memory_order_relaxed),
    };
    for (uint32_t i = 0; i < AI_TOKENS_KINDS; i++) {
        ret_info->tokens[i] = atomic_load_explicit(&it->standing->tokens[i], memory_order_relaxed);
    }
}

uint64_t client_keys_strangers(const struct client_keys *keys, bool has_key)
{
    return atomic_load_explicit(&keys->strangers->count[has_key], memory_order_relaxed);
}

/* --- shared with other gateways ------------------------------------------------------------------
 */

struct client_lease *client_keys_lease(struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    return &keys->at[client].standing->lease;
}

uint32_t client_keys_waiting(const struct client_keys *keys, uint32_t client)
{
    check(client < keys->count);
    return atomic_load(&keys->at[client].standing->waiting);
}

void client_keys_lend(struct client_keys *keys, struct client_leases *leases)
{
    keys->leases = leases;
}

void client_keys_meet(struct client_keys *keys, uint32_t gateways)
{
    atomic_store(&keys->gateways, gateways > 0 ? gateways : 1);
}

uint32_t client_keys_gateways(const struct client_keys *keys)
{
    return atomic_load(&keys->gateways);
}

void client_keys_describe(const struct client_keys *keys, uint32_t client, struct lease_ask *ask)
{
    check(client < keys->count);
    const struct client *it = &keys->at[client];
    ask->name = it->config->name;
    ask->interval_ns = it->interval_ns;
    ask->tolerance_ns = it->tolerance_ns;
}
