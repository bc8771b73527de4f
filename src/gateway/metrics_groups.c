/* SPDX-License-Identifier: Apache-2.0
 *
 * metrics_groups.c - the same families for either kind, summed over the workers.
 */
#include "gateway/metrics_groups.h"

#include "gateway/census.h"
#include "gateway/metrics_histogram.h"
#include "gateway/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One kind, summed. */
struct groups {
    bool is_tenant;
    const char *word; /* in names of families; and the label */
    uint32_t count;
    uint32_t folded;                                /* rows of workers that are in `others` */
    struct census_group at[METRICS_GROUPS_MAX + 1]; /* the last: all others */
};

/* --- sums ----------------------------------------------------------------------------------------
 */

static struct census_group *row_of(struct groups *groups, const struct census_group *group)
{
    for (uint32_t i = 0; i < groups->count; i++)
        if (groups->at[i].pool == group->pool && strcmp(groups->at[i].name, group->name) == 0)
            return &groups->at[i];
    if (groups->count < METRICS_GROUPS_MAX) {
        struct census_group *row = &groups->at[groups->count++];
        row->pool = group->pool;
        memcpy(row->name, group->name, sizeof(row->name));
        return row;
    }
    struct census_group *others = &groups->at[METRICS_GROUPS_MAX];
    groups->folded++;
    others->pool = UINT32_MAX;
    snprintf(others->name, sizeof(others->name), "other");
    groups->count = METRICS_GROUPS_MAX + 1;
    return others;
}

static void add(weir_group_info *sum, const weir_group_info *one)
{
    sum->dialling += one->dialling;
    sum->idle += one->idle;
    sum->shared += one->shared;
    sum->active += one->active;
    sum->probing += one->probing;
    sum->closing += one->closing;
    sum->waiting += one->waiting;
    sum->grants += one->grants;
    sum->reused += one->reused;
    sum->created += one->created;
    sum->errors += one->errors;
    sum->refused += one->refused;
    metrics_histogram_add(&sum->wait, &one->wait);
    metrics_histogram_add(&sum->connect, &one->connect);
    metrics_histogram_add(&sum->tls, &one->tls);
    metrics_histogram_add(&sum->first_byte, &one->first_byte);
    metrics_histogram_add(&sum->hold, &one->hold);
}

/* Where an upstream is told its clients they are the tenants, and no label says who they are. */
static bool is_of_clients(const struct config *config, const struct census_group *group)
{
    return group->pool < config->upstreams.count
           && config->upstreams.at[group->pool].proxy_protocol != 0;
}

static void sum_up(struct groups *groups, const struct config *config, const struct census *census)
{
    for (uint32_t w = 0; w < census->sheets_count; w++) {
        const struct census_sheet *sheet = &census->sheets[w];
        for (uint32_t i = 0; i < sheet->groups_count; i++)
            if (sheet->groups[i].is_tenant == groups->is_tenant
                && !(groups->is_tenant && is_of_clients(config, &sheet->groups[i])))
                add(&row_of(groups, &sheet->groups[i])->info, &sheet->groups[i].info);
    }
}

/* --- families ------------------------------------------------------------------------------------
 */

/* A row's labels and one more, which may be NULL. */
struct labels {
    struct prom_label at[4];
};

static struct labels labels_of(const struct server *server, const struct groups *groups, uint32_t i,
                               const char *more, const char *value)
{
    const struct config *config = server->config;
    uint32_t pool = groups->at[i].pool;
    const char *upstream = pool < config->upstreams.count ? config->upstreams.at[pool].name
                                                          : "other";
    return (struct labels){
        {{"upstream", upstream}, {groups->word, groups->at[i].name}, {more, value}, {NULL, NULL}}};
}

struct row {
    const char *name;
    size_t offset;
    const char *help;
};

#define AT(field) offsetof(weir_group_info, field)

static void begin(struct prom *prom, const struct groups *groups, char ret_name[static 80],
                  const char *name, enum prom_type type, const char *help)
{
    snprintf(ret_name, 80, "weir_%s_%s", groups->word, name);
    prom_family(prom, ret_name, type, help);
}

static void write_states(const struct server *server, const struct groups *groups,
                         struct prom *prom)
{
    static const struct row rows[] = {
        {"dialling", AT(dialling), NULL}, {"idle", AT(idle), NULL},
        {"shared", AT(shared), NULL},     {"active", AT(active), NULL},
        {"probing", AT(probing), NULL},   {"closing", AT(closing), NULL},
    };
    char name[80];
    begin(prom, groups, name, "connections", PROM_GAUGE, "Connections, by state.");
    for (uint32_t i = 0; i < groups->count; i++)
        for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
            uint32_t value;
            struct labels labels = labels_of(server, groups, i, "state", rows[r].name);
            memcpy(&value, (const char *)&groups->at[i].info + rows[r].offset, sizeof(value));
            prom_u64(prom, labels.at, value);
        }
    begin(prom, groups, name, "waiting", PROM_GAUGE, "Callers waiting for a connection.");
    for (uint32_t i = 0; i < groups->count; i++)
        prom_u64(prom, labels_of(server, groups, i, NULL, NULL).at, groups->at[i].info.waiting);
}

static void write_counters(const struct server *server, const struct groups *groups,
                           struct prom *prom)
{
    static const struct row rows[] = {
        {"created_total", AT(created), "Connections that came up."},
        {"grants_total", AT(grants), "Leases given."},
        {"reused_total", AT(reused), "Leases given on a connection that had served before."},
        {"errors_total", AT(errors), "Dials that failed, and connections that broke."},
        {"refused_total", AT(refused), "Callers refused or failed."},
    };
    char name[80];
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        begin(prom, groups, name, rows[r].name, PROM_COUNTER, rows[r].help);
        for (uint32_t i = 0; i < groups->count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&groups->at[i].info + rows[r].offset, sizeof(value));
            prom_u64(prom, labels_of(server, groups, i, NULL, NULL).at, value);
        }
    }
}

static void write_spans(const struct server *server, const struct groups *groups, struct prom *prom)
{
    static const struct row rows[] = {
        {"acquire_seconds", AT(wait), "How long leases were waited for."},
        {"first_byte_seconds", AT(first_byte), "From a lease to the first byte of its answer."},
        {"hold_seconds", AT(hold), "How long leases were held."},
    };
    char name[80];
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        begin(prom, groups, name, rows[r].name, PROM_HISTOGRAM, rows[r].help);
        for (uint32_t i = 0; i < groups->count; i++) {
            weir_histogram span;
            memcpy(&span, (const char *)&groups->at[i].info + rows[r].offset, sizeof(span));
            metrics_histogram(prom, labels_of(server, groups, i, NULL, NULL).at, &span);
        }
    }
    begin(prom, groups, name, "connect_seconds", PROM_HISTOGRAM, "How long dials took, by phase.");
    for (uint32_t i = 0; i < groups->count; i++) {
        const weir_group_info *info = &groups->at[i].info;
        metrics_histogram(prom, labels_of(server, groups, i, "phase", "connect").at,
                          &info->connect);
        metrics_histogram(prom, labels_of(server, groups, i, "phase", "tls").at, &info->tls);
    }
}

bool metrics_groups_write(const struct server *server, const struct census *census,
                          struct prom *prom)
{
    for (int tenants = 0; tenants < 2; tenants++) {
        struct groups *groups = calloc(1, sizeof(*groups));
        if (groups == NULL)
            return false;
        groups->is_tenant = tenants != 0;
        groups->word = tenants != 0 ? "account" : "endpoint";
        sum_up(groups, server->config, census);
        prom->folded += groups->folded;
        write_states(server, groups, prom);
        write_counters(server, groups, prom);
        write_spans(server, groups, prom);
        free(groups);
    }
    return true;
}
