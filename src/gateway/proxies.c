/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxies.h"

#include "base/alloc.h"
#include "base/list.h"
#include "connector/tunnel.h"
#include "gateway/census.h"
#include "gateway/config_way.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

/* Shared by the configurations that name it, and by the connections that go through it. */
struct one {
    struct gate gate;
    char name[PROXIES_NAME_MAX];
    char url[];
};

struct proxies {
    const struct config *config;
    struct gate **gates; /* each upstream's, one behind the other */
    uint32_t *first;     /* each upstream's first one; the last is the count of all */
    uint32_t count;
    struct one *at[];
};

static struct one *seek(const struct proxies *proxies, const char *url)
{
    for (uint32_t i = 0; i < proxies->count; i++)
        if (strcmp(proxies->at[i]->url, url) == 0)
            return proxies->at[i];
    return NULL;
}

static void one_free(struct gate *take_gate)
{
    struct one *one = container_of(take_gate, struct one, gate);
    gate_fini(&one->gate);
    alloc_free(&alloc_libc, one);
}

/* NULL: no memory. */
static struct one *one_new(const struct config_upstream *config, const char *url)
{
    size_t size = strlen(url) + 1;
    struct one *one = alloc_zeroed(&alloc_libc, sizeof(*one) + size);
    if (one == NULL)
        return NULL;
    memcpy(one->url, url, size);
    gate_init(&one->gate, one->url, config->proxy_limits.connecting_max,
              config->proxy_limits.max_connections);
    one->gate.on_unused = one_free;
    proxies_name(url, one->name);
    return one;
}

static bool take(struct proxies *proxies, const struct proxies *elder, uint32_t upstream,
                 const char *url)
{
    if (url[0] == '\0')
        return true;
    struct one *one = seek(proxies, url);
    if (one == NULL) {
        one = elder != NULL ? seek(elder, url) : NULL;
        if (one != NULL)
            gate_join(&one->gate);
        else
            one = one_new(&proxies->config->upstreams.at[upstream], url);
        if (one == NULL)
            return false;
        proxies->at[proxies->count++] = one;
    }
    uint32_t *end = &proxies->first[upstream + 1];
    for (uint32_t i = proxies->first[upstream]; i < *end; i++)
        if (proxies->gates[i] == &one->gate)
            return true;
    proxies->gates[(*end)++] = &one->gate;
    return true;
}

static bool take_all(struct proxies *proxies, const struct proxies *elder, uint32_t upstream)
{
    const struct config_upstream *config = &proxies->config->upstreams.at[upstream];
    proxies->first[upstream + 1] = proxies->first[upstream];
    bool good = take(proxies, elder, upstream, config->proxy);
    for (uint32_t i = 0; good && i < config->accounts.count; i++)
        good = take(proxies, elder, upstream, config->accounts.at[i].proxy);
    return good;
}

int proxies_new(const struct config *config, const struct proxies *elder,
                struct proxies **ret_proxies)
{
    uint32_t count = config->upstreams.count, most = 0;
    for (uint32_t i = 0; i < count; i++)
        most += 1 + config->upstreams.at[i].accounts.count;
    struct proxies *proxies = alloc_zeroed(&alloc_libc,
                                           sizeof(*proxies) + most * sizeof(struct one *));
    if (proxies == NULL)
        return -ENOMEM;
    proxies->config = config;
    proxies->first = alloc_zeroed(&alloc_libc, (count + 1) * sizeof(uint32_t));
    proxies->gates = alloc_zeroed(&alloc_libc, (most + 1) * sizeof(struct gate *));
    if (proxies->first == NULL || proxies->gates == NULL) {
        proxies_free(proxies);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        if (!take_all(proxies, elder, i)) {
            proxies_free(proxies);
            return -ENOMEM;
        }
    *ret_proxies = proxies;
    return 0;
}

void proxies_free(struct proxies *take_proxies)
{
    if (take_proxies == NULL)
        return;
    for (uint32_t i = 0; i < take_proxies->count; i++)
        gate_part(&take_proxies->at[i]->gate);
    alloc_free(&alloc_libc, take_proxies->first);
    alloc_free(&alloc_libc, take_proxies->gates);
    alloc_free(&alloc_libc, take_proxies);
}

struct gate *const *proxies_gates(const struct proxies *proxies, uint32_t upstream,
                                  uint32_t *ret_count)
{
    *ret_count = proxies->first[upstream + 1] - proxies->first[upstream];
    return &proxies->gates[proxies->first[upstream]];
}

void proxies_name(const char *proxy, char ret_name[PROXIES_NAME_MAX])
{
    static const char *const schemes[] = {"socks5", "http", "https"};
    struct proxy parsed;
    ret_name[0] = '\0';
    if (proxy_parse(slice_of(proxy), &parsed)) {
        bool v6 = strchr(parsed.host.at, ':') != NULL;
        snprintf(ret_name, PROXIES_NAME_MAX, v6 ? "%s://[%s]:%u" : "%s://%s:%u",
                 schemes[parsed.kind], parsed.host.at, parsed.port);
    }
}

/* --- figures -------------------------------------------------------------------------------------
 */

/* Several with one name differ in who is logged in: no label says so, and they are one. */
static bool is_first_of_name(const struct proxies *proxies, uint32_t index)
{
    for (uint32_t i = 0; i < index; i++)
        if (strcmp(proxies->at[i]->name, proxies->at[index]->name) == 0)
            return false;
    return true;
}

static bool is_named(const char *proxy, const char *name)
{
    char own[PROXIES_NAME_MAX];
    proxies_name(proxy, own);
    return strcmp(own, name) == 0;
}

/* Of one account of an upstream, on one worker, in whichever of its pools. */
static uint64_t connections_as(const struct census_sheet *sheet, uint32_t upstream,
                               const char *account)
{
    uint64_t sum = 0;
    for (uint32_t g = 0; g < sheet->groups_count; g++) {
        const struct census_group *group = &sheet->groups[g];
        const weir_group_info *info = &group->info;
        if (group->pool == upstream && group->is_tenant && strcmp(group->name, account) == 0)
            sum += (uint64_t)info->dialling + info->idle + info->shared + info->active
                   + info->probing + info->closing;
    }
    return sum;
}

/* In the pool of an upstream now, as it itself counts. */
static uint64_t total_of(const struct census_sheet *sheet, uint32_t pool)
{
    return pool < sheet->pools_count ? sheet->pools[pool].stats.total : 0;
}

static uint64_t connections_of_all(const struct census_sheet *sheet, const struct config *config,
                                   uint32_t upstream)
{
    uint64_t own = total_of(sheet, upstream);
    return config->upstreams.at[upstream].protocol == PROTOCOL_OPENCLAW
               ? own + total_of(sheet, census_openclaw_of(config, upstream))
               : own;
}

static uint64_t connections_in(const struct census_sheet *sheet, const struct config *config,
                               uint32_t upstream, const char *name)
{
    const struct config_upstream *it = &config->upstreams.at[upstream];
    uint64_t sum = 0;
    if (it->accounts.count == 0)
        return is_named(it->proxy, name) ? connections_of_all(sheet, config, upstream) : 0;
    for (uint32_t i = 0; i < it->accounts.count; i++) {
        if (is_named(config_way(it, i), name))
            sum += connections_as(sheet, upstream, it->accounts.at[i].name);
    }
    return sum;
}

static uint64_t connections_of(const struct proxies *proxies, const struct census *census,
                               const char *name)
{
    uint64_t sum = 0;
    for (uint32_t u = 0; u < proxies->config->upstreams.count; u++)
        for (uint32_t w = 0; w < census->sheets_count; w++)
            sum += connections_in(&census->sheets[w], proxies->config, u, name);
    return sum;
}

static uint64_t sum_u64(const struct proxies *proxies, const char *name, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < proxies->count; i++) {
        const char *gate = (const char *)&proxies->at[i]->gate;
        if (strcmp(proxies->at[i]->name, name) == 0)
            sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(gate + offset),
                                        memory_order_relaxed);
    }
    return sum;
}

static uint64_t sum_u32(const struct proxies *proxies, const char *name, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < proxies->count; i++) {
        const char *gate = (const char *)&proxies->at[i]->gate;
        if (strcmp(proxies->at[i]->name, name) == 0)
            sum += atomic_load_explicit((const _Atomic uint32_t *)(const void *)(gate + offset),
                                        memory_order_relaxed);
    }
    return sum;
}

static uint64_t sum_places(struct proxies *proxies, const char *name)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < proxies->count; i++)
        if (strcmp(proxies->at[i]->name, name) == 0)
            sum += gate_places(&proxies->at[i]->gate);
    return sum;
}

static void write_results(const struct proxies *proxies, const char *name, struct prom *prom)
{
#define GATE_ROW(word)                                                                             \
    prom_u64(prom, LABELS({"proxy", name}, {"result", #word}),                                     \
             sum_u64(proxies, name, offsetof(struct gate, word)));
    GATE_RESULTS(GATE_ROW)
#undef GATE_ROW
}

void proxies_metrics_write(struct proxies *proxies, const struct census *census, struct prom *prom)
{
    prom_family(prom, "weir_proxy_connections", PROM_GAUGE,
                "Connections through a proxy, and dials that are to become one.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i]->name}),
                     connections_of(proxies, census, proxies->at[i]->name));
    prom_family(prom, "weir_proxy_places", PROM_GAUGE,
                "Connections and dials begun that count against max_connections; 0 without it.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i]->name}),
                     sum_places(proxies, proxies->at[i]->name));
    prom_family(prom, "weir_proxy_connecting", PROM_GAUGE, "Dials through a proxy under way.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i]->name}),
                     sum_u32(proxies, proxies->at[i]->name, offsetof(struct gate, connecting)));
    prom_family(prom, "weir_proxy_waiting", PROM_GAUGE,
                "Dials that wait for the proxy's limits to allow them.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i]->name}),
                     sum_u32(proxies, proxies->at[i]->name, offsetof(struct gate, waiting)));
    prom_family(
        prom, "weir_proxy_dials_total", PROM_COUNTER,
        "Dials through a proxy: ok, or the step that failed; full: max_connections was reached.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            write_results(proxies, proxies->at[i]->name, prom);
}
