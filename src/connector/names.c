/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/names.h"

#include "base/map.h"
#include "base/text.h"
#include "core/pool.h"
#include "io/dns.h"
#include "io/loop.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

/* Either its query is under way, or its timer is set. */
struct name {
    struct names *names;
    struct node on_list; /* names->all */
    struct dns_query query;
    struct loop_timer timer;
    uint64_t hash;
    char host[DNS_NAME_MAX + 2];
};

struct names {
    struct loop *loop;
    struct dns *dns;
    weir_pool *pool;
    struct map by_host;
    struct list all;
};

static void on_answer(struct dns_query *query, enum dns_error error,
                      const struct dns_answer *answer);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void look_up(struct name *name);

int names_new(struct loop *loop, struct dns *dns, struct names **ret_names)
{
    struct names *names = alloc_zeroed(&alloc_libc, sizeof *names);
    if (names == NULL || !map_init(&names->by_host, &alloc_libc, NAMES_MAX)) {
        alloc_free(&alloc_libc, names);
        return -ENOMEM;
    }
    names->loop = loop;
    names->dns = dns;
    list_init(&names->all);
    *ret_names = names;
    return 0;
}

static void forget(struct name *name)
{
    struct names *names = name->names;
    dns_cancel(&name->query);
    loop_timer_stop(names->loop, &name->timer);
    map_remove(&names->by_host, name->hash, name);
    list_remove(&names->all, &name->on_list);
    alloc_free(&alloc_libc, name);
}

void names_free(struct names *take_names)
{
    if (take_names == NULL) {
        return;
    }
    for (struct node *it; (it = list_first(&take_names->all)) != NULL;) {
        forget(list_entry(it, struct name, on_list));
    }
    map_fini(&take_names->by_host);
    alloc_free(&alloc_libc, take_names);
}

void names_serve(struct names *names, weir_pool *pool)
{
    names->pool = pool;
}

uint32_t names_count(const struct names *names)
{
    return names->all.count;
}

uint32_t names_hash(const struct ip *ip)
{
    size_t len = ip->family == AF_INET ? 4 : 16;
    uint32_t hash = (uint32_t)XXH3_64bits_withSeed(ip->bytes, len, ip->family);
    return hash != 0 ? hash : 1;
}

static bool is_name(const void *value, const void *host)
{
    return strcmp(((const struct name *)value)->host, host) == 0;
}

/* False: it is too long for a name. */
static bool fold(const char *host, char ret[static DNS_NAME_MAX + 2])
{
    size_t len = 0;
    for (; host[len] != '\0'; len++) {
        if (len > DNS_NAME_MAX) {
            return false;
        }
        ret[len] = text_lower(host[len]);
    }
    ret[len] = '\0';
    return len > 0;
}

void names_watch(struct names *names, const char *host)
{
    char folded[DNS_NAME_MAX + 2];
    struct ip ip;
    if (ip_parse(host, &ip) || !fold(host, folded)) {
        return;
    }
    uint64_t hash = XXH3_64bits(folded, strlen(folded));
    if (map_find(&names->by_host, hash, is_name, folded) != NULL || names->all.count == NAMES_MAX) {
        return;
    }
    struct name *name = alloc_zeroed(&alloc_libc, sizeof *name);
    if (name == NULL) {
        return; /* it is watched from a later dial on */
    }
    *name = (struct name){.names = names, .hash = hash};
    name->query.done = on_answer;
    name->query.only_looks = true;
    name->timer.fire = on_timer;
    memcpy(name->host, folded, sizeof folded);
    bool is_put = map_put(&names->by_host, hash, name);
    check(is_put);
    list_push_back(&names->all, &name->on_list);
    look_up(name);
}

void names_watch_key(struct names *names, const weir_key *key)
{
    if (names != NULL && (key->proxy == NULL || key->proxy[0] == '\0')) {
        names_watch(names, key->host);
    }
}

void names_learn(struct names *names, const char *host)
{
    struct ip ip;
    if (!ip_parse(host, &ip)) {
        names_watch(names, host);
        return;
    }
    uint32_t hash = names_hash(&ip);
    weir_pool_resolved(names->pool, host, &hash, 1);
}

void names_tell_address(weir_pool *pool, weir_conn id, const struct address *peer)
{
    struct ip ip;
    if (address_is_ip(peer) && address_ip(peer, &ip)) {
        weir_conn_address(pool, id, names_hash(&ip));
    }
}

/* --- what it leads to ---------------------------------------------------------------------------
 */

static void tell(const struct name *name, const struct dns_answer *answer)
{
    uint32_t hashes[DNS_ADDRESSES_MAX];
    for (uint32_t i = 0; i < answer->count; i++) {
        hashes[i] = names_hash(&answer->at[i]);
    }
    weir_pool_resolved(name->names->pool, name->host, hashes, answer->count);
}

/* The pool may serve what it hears of at once, and so dial to this very name: it stays until its
 * timer has fired. */
static void learn(struct name *name, enum dns_error error, const struct dns_answer *answer)
{
    struct loop *loop = name->names->loop;
    uint32_t wait_ms = NAMES_RETRY_MS;
    if (error == DNS_OK) {
        wait_ms = answer->ttl_ms > NAMES_LEAST_MS ? answer->ttl_ms : NAMES_LEAST_MS;
    }
    loop_timer_set(loop, &name->timer, loop_now_ms(loop) + wait_ms);
    if (error == DNS_OK && !answer->is_partial) {
        tell(name, answer);
    }
}

static void on_answer(struct dns_query *query, enum dns_error error,
                      const struct dns_answer *answer)
{
    learn(container_of(query, struct name, query), error, answer);
}

static void look_up(struct name *name)
{
    struct dns_answer answer;
    enum dns_error error = dns_resolve(name->names->dns, name->host, &name->query, &answer);
    if (error != DNS_LATER) {
        learn(name, error, &answer);
    }
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct name *name = container_of(timer, struct name, timer);
    (void)now_ms;
    if (pool_name_matters(name->names->pool, name->host)) {
        look_up(name);
    } else {
        forget(name);
    }
}
