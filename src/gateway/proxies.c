/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/proxies.h"

#include "base/alloc.h"
#include "connector/tunnel.h"
#include "gateway/census.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

struct proxies {
    const struct config *config;
    uint32_t *of; /* each upstream's: an index, or the count */
    uint32_t count;
    struct one {
        struct gate gate;
        const char *url;
        char name[PROXIES_NAME_MAX];
    } at[];
};

static uint32_t seek(const struct proxies *proxies, const char *url)
{
    uint32_t i = 0;
    while (i < proxies->count && strcmp(proxies->at[i].url, url) != 0)
        i++;
    return i;
}

static void take(struct proxies *proxies, uint32_t upstream)
{
    const struct config_upstream *config = &proxies->config->upstreams.at[upstream];
    uint32_t i = seek(proxies, config->proxy);
    proxies->of[upstream] = i;
    if (i < proxies->count)
        return;
    struct one *one = &proxies->at[proxies->count++];
    one->url = config->proxy;
    one->gate.connecting_max = config->proxy_limits.connecting_max;
    proxies_name(one->url, one->name);
}

int proxies_new(const struct config *config, struct proxies **ret_proxies)
{
    uint32_t count = config->upstreams.count;
    struct proxies *proxies = alloc_zeroed(&alloc_libc,
                                           sizeof(*proxies) + count * sizeof(struct one));
    if (proxies == NULL)
        return -ENOMEM;
    proxies->config = config;
    proxies->of = alloc_zeroed(&alloc_libc, (count + 1) * sizeof(uint32_t));
    if (proxies->of == NULL) {
        alloc_free(&alloc_libc, proxies);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        if (config->upstreams.at[i].proxy[0] != '\0')
            take(proxies, i);
    *ret_proxies = proxies;
    return 0;
}

void proxies_free(struct proxies *take_proxies)
{
    if (take_proxies == NULL)
        return;
    alloc_free(&alloc_libc, take_proxies->of);
    alloc_free(&alloc_libc, take_proxies);
}

struct gate *proxies_gate(struct proxies *proxies, uint32_t upstream)
{
    bool has_one = proxies->config->upstreams.at[upstream].proxy[0] != '\0';
    return has_one ? &proxies->at[proxies->of[upstream]].gate : NULL;
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
        if (strcmp(proxies->at[i].name, proxies->at[index].name) == 0)
            return false;
    return true;
}

/* In the pools now, as they themselves count. */
static uint64_t connections_of(const struct proxies *proxies, const struct census *census,
                               const char *name)
{
    uint64_t sum = 0;
    for (uint32_t u = 0; u < proxies->config->upstreams.count; u++) {
        if (proxies->config->upstreams.at[u].proxy[0] == '\0'
            || strcmp(proxies->at[proxies->of[u]].name, name) != 0)
            continue;
        for (uint32_t w = 0; w < census->sheets_count; w++)
            if (u < census->sheets[w].pools_count)
                sum += census->sheets[w].pools[u].stats.total;
    }
    return sum;
}

static uint64_t sum_u64(const struct proxies *proxies, const char *name, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < proxies->count; i++) {
        const char *gate = (const char *)&proxies->at[i].gate;
        if (strcmp(proxies->at[i].name, name) == 0)
            sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(gate + offset),
                                        memory_order_relaxed);
    }
    return sum;
}

static uint64_t sum_u32(const struct proxies *proxies, const char *name, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < proxies->count; i++) {
        const char *gate = (const char *)&proxies->at[i].gate;
        if (strcmp(proxies->at[i].name, name) == 0)
            sum += atomic_load_explicit((const _Atomic uint32_t *)(const void *)(gate + offset),
                                        memory_order_relaxed);
    }
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

void proxies_metrics_write(const struct proxies *proxies, const struct census *census,
                           struct prom *prom)
{
    prom_family(prom, "weir_proxy_connections", PROM_GAUGE,
                "Connections through a proxy, and dials that are to become one.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i].name}),
                     connections_of(proxies, census, proxies->at[i].name));
    prom_family(prom, "weir_proxy_connecting", PROM_GAUGE, "Dials through a proxy under way.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i].name}),
                     sum_u32(proxies, proxies->at[i].name, offsetof(struct gate, connecting)));
    prom_family(prom, "weir_proxy_waiting", PROM_GAUGE,
                "Dials that wait for the proxy's limits to allow them.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            prom_u64(prom, LABELS({"proxy", proxies->at[i].name}),
                     sum_u32(proxies, proxies->at[i].name, offsetof(struct gate, waiting)));
    prom_family(prom, "weir_proxy_dials_total", PROM_COUNTER,
                "Dials through a proxy: ok, or the step that failed.");
    for (uint32_t i = 0; i < proxies->count; i++)
        if (is_first_of_name(proxies, i))
            write_results(proxies, proxies->at[i].name, prom);
}
