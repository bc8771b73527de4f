/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_latency.h"

#include "gateway/admin_page.h"
#include "gateway/admin_rows.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/telemetry.h"

#include <stdlib.h>
#include <string.h>

/* --- distributions -------------------------------------------------------------------------------
 */

static void write_pairs(struct bytes *out, const char *key, const uint64_t *counts, unsigned count)
{
    const char *comma = "";
    bytes_printf(out, ",\"%s\":[", key);
    for (unsigned i = 0; i < count; i++)
        if (counts[i] > 0) {
            bytes_printf(out, "%s%u,%llu", comma, i, (unsigned long long)counts[i]);
            comma = ",";
        }
    bytes_append_text(out, "]");
}

static void write_bounds(struct bytes *out)
{
    bytes_append_text(out, "{\"bounds_us\":[");
    for (unsigned i = 0; i + 1 < TIMING_BUCKETS; i++)
        bytes_printf(out, "%s%llu", i > 0 ? "," : "", (unsigned long long)timing_end_us(i));
    bytes_append_text(out, "],\"bounds_ms\":[");
    for (unsigned i = 0; i + 1 < WEIR_BUCKETS; i++)
        bytes_printf(out, "%s%llu", i > 0 ? "," : "", (unsigned long long)weir_bucket_end_ms(i));
    bytes_append_text(out, "]");
}

/* --- routes: listener and upstream ---------------------------------------------------------------
 */

/* All workers have the same series in the same order; they are read as they are counted. */
static void series_sum(const struct server *server, uint32_t index, struct relay_series *sum)
{
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const struct relay_series *one = relay_series_at(server_relay(server, w), index);
        for (unsigned i = 0; i < RELAY_CODES; i++)
            sum->by_code[i] += count_read(&one->by_code[i]);
        for (unsigned i = 0; i < TIMING_BUCKETS; i++) {
            sum->total.bucket[i] += count_read(&one->total.bucket[i]);
            sum->first_byte.bucket[i] += count_read(&one->first_byte.bucket[i]);
        }
    }
}

/* 499, which is a client that left, and answers that were cut have a class of their own. */
static void write_codes(struct bytes *out, const struct relay_series *sum)
{
    static const char *const words[] = {"cut", "1xx", "2xx", "3xx", "4xx", "5xx", "left"};
    uint64_t classes[sizeof(words) / sizeof(words[0])] = {0};
    for (unsigned i = 0; i < RELAY_CODES; i++) {
        unsigned class = i == 499 ? 6 : i / 100;
        classes[class < 6 || i == 499 ? class : 5] += sum->by_code[i];
    }
    bytes_append_text(out, ",\"codes\":{");
    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        bytes_printf(out, "%s\"%s\":%llu", i > 0 ? "," : "", words[i],
                     (unsigned long long)classes[i]);
    bytes_append_text(out, "}");
}

static void write_routes(struct bytes *out, const struct server *server)
{
    uint32_t count = relay_series_count(server_relay(server, 0));
    bytes_append_text(out, ",\"routes\":[");
    for (uint32_t i = 0; i < count; i++) {
        const struct relay_series *named = relay_series_at(server_relay(server, 0), i);
        struct relay_series sum = {0};
        series_sum(server, i, &sum);
        bytes_append_text(out, i > 0 ? ",\n{\"listener\":" : "\n{\"listener\":");
        bytes_append_json(out, slice_of(named->listener));
        bytes_append_text(out, ",\"upstream\":");
        bytes_append_json(out, slice_of(named->upstream));
        write_codes(out, &sum);
        write_pairs(out, "first_byte_us", sum.first_byte.bucket, TIMING_BUCKETS);
        write_pairs(out, "total_us", sum.total.bucket, TIMING_BUCKETS);
        bytes_append_text(out, "}");
    }
    bytes_append_text(out, "\n]");
}

/* --- pools and endpoints -------------------------------------------------------------------------
 */

struct spread {
    uint64_t wait[WEIR_BUCKETS], connect[WEIR_BUCKETS], tls[WEIR_BUCKETS];
    uint64_t first_byte[WEIR_BUCKETS], hold[WEIR_BUCKETS];
};

static void add(uint64_t sum[static WEIR_BUCKETS], const weir_histogram *one)
{
    for (unsigned i = 0; i < WEIR_BUCKETS; i++)
        sum[i] += one->buckets[i];
}

static void write_pools(struct bytes *out, const struct server *server, const struct census *census)
{
    bytes_append_text(out, ",\"pools\":[");
    for (uint32_t p = 0; p < census_pools_count(server); p++) {
        const struct census_who who = census_who_of(server, p);
        struct spread sum = {0};
        for (uint32_t w = 0; w < census->sheets_count; w++) {
            if (p >= census->sheets[w].pools_count)
                continue;
            const weir_stats *one = &census->sheets[w].pools[p].stats;
            add(sum.wait, &one->wait);
            add(sum.connect, &one->connect);
            add(sum.tls, &one->tls);
            add(sum.first_byte, &one->first_byte);
            add(sum.hold, &one->hold);
        }
        bytes_append_text(out, p > 0 ? ",\n{\"pool\":" : "\n{\"pool\":");
        bytes_append_json(out, slice_of(who.name));
        write_pairs(out, "wait_ms", sum.wait, WEIR_BUCKETS);
        write_pairs(out, "connect_ms", sum.connect, WEIR_BUCKETS);
        write_pairs(out, "tls_ms", sum.tls, WEIR_BUCKETS);
        write_pairs(out, "first_byte_ms", sum.first_byte, WEIR_BUCKETS);
        write_pairs(out, "hold_ms", sum.hold, WEIR_BUCKETS);
        bytes_append_text(out, "}");
    }
    bytes_append_text(out, "\n]");
}

static int compare_groups(const void *a, const void *b)
{
    const struct census_group *one = *(const struct census_group *const *)a;
    const struct census_group *other = *(const struct census_group *const *)b;
    if (one->pool != other->pool)
        return one->pool < other->pool ? -1 : 1;
    return strcmp(one->name, other->name);
}

/* Those of endpoints of all workers; what is of one endpoint stands together. NULL: no memory. */
static const struct census_group **endpoints_of(const struct census *census, uint32_t *ret_count)
{
    uint32_t most = 0, count = 0;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        most += census->sheets[w].groups_count;
    const struct census_group **groups = alloc_array(&alloc_libc, most + 1, sizeof(*groups));
    if (groups == NULL)
        return NULL;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        for (uint32_t g = 0; g < census->sheets[w].groups_count; g++)
            if (!census->sheets[w].groups[g].is_tenant)
                groups[count++] = &census->sheets[w].groups[g];
    qsort(groups, count, sizeof(*groups), compare_groups);
    *ret_count = count;
    return groups;
}

/* How many of those that follow are of the first one's endpoint. */
static uint32_t run_of(const struct census_group *const *groups, uint32_t count)
{
    uint32_t run = 1;
    while (run < count && compare_groups(&groups[0], &groups[run]) == 0)
        run++;
    return run;
}

static void write_endpoint(struct bytes *out, const struct server *server,
                           const struct census_group *const *groups, uint32_t count)
{
    uint64_t first_byte[WEIR_BUCKETS] = {0}, hold[WEIR_BUCKETS] = {0};
    uint64_t grants = 0, errors = 0, leases = 0;
    for (uint32_t i = 0; i < count; i++) {
        const weir_group_info *one = &groups[i]->info;
        add(first_byte, &one->first_byte);
        add(hold, &one->hold);
        grants += one->grants;
        errors += one->errors;
        leases += one->leases;
    }
    bytes_append_text(out, "{\"upstream\":");
    bytes_append_json(out, slice_of(census_who_of(server, groups[0]->pool).name));
    bytes_append_text(out, ",\"endpoint\":");
    bytes_append_json(out, slice_of(groups[0]->name));
    bytes_printf(out, ",\"grants\":%llu,\"errors\":%llu,\"leases\":%llu",
                 (unsigned long long)grants, (unsigned long long)errors,
                 (unsigned long long)leases);
    write_pairs(out, "first_byte_ms", first_byte, WEIR_BUCKETS);
    write_pairs(out, "hold_ms", hold, WEIR_BUCKETS);
    bytes_append_text(out, "}");
}

static void write_endpoints(struct bytes *out, const struct server *server,
                            const struct census_group *const *groups, uint32_t count)
{
    bytes_append_text(out, ",\"endpoints\":[");
    for (uint32_t i = 0, run; i < count; i += run) {
        run = run_of(groups + i, count - i);
        bytes_append_text(out, i > 0 ? ",\n" : "\n");
        write_endpoint(out, server, groups + i, run);
    }
    bytes_append_text(out, "\n]}\n");
}

uint16_t admin_latency_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    (void)openmetrics;
    uint32_t count;
    const struct census_group **endpoints = endpoints_of(census, &count);
    if (endpoints == NULL)
        return rows_fault(out, 503, "no memory");
    write_bounds(out);
    write_routes(out, server);
    write_pools(out, server, census);
    write_endpoints(out, server, endpoints, count);
    alloc_free(&alloc_libc, endpoints);
    return 200;
}
