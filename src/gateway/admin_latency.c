/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_latency.h"

#include "gateway/admin_page.h"
#include "gateway/relay.h"
#include "gateway/server.h"
#include "gateway/telemetry.h"

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
        const struct relay_series *one = relay_series_at(server->sites[w].relay, index);
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
    uint32_t count = relay_series_count(server->sites[0].relay);
    bytes_append_text(out, ",\"routes\":[");
    for (uint32_t i = 0; i < count; i++) {
        const struct relay_series *named = relay_series_at(server->sites[0].relay, i);
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

/* The groups of one endpoint, over the workers, beginning with the one at hand; each is written
 * where it is met first. */
static bool is_first(const struct census *census, uint32_t worker, uint32_t group)
{
    const struct census_group *own = &census->sheets[worker].groups[group];
    for (uint32_t w = 0; w < worker; w++)
        for (uint32_t g = 0; g < census->sheets[w].groups_count; g++) {
            const struct census_group *other = &census->sheets[w].groups[g];
            if (other->pool == own->pool && other->is_tenant == own->is_tenant
                && strcmp(other->name, own->name) == 0)
                return false;
        }
    return true;
}

static void write_endpoint(struct bytes *out, const struct server *server,
                           const struct census *census, const struct census_group *own)
{
    uint64_t first_byte[WEIR_BUCKETS] = {0}, hold[WEIR_BUCKETS] = {0};
    uint64_t grants = 0, errors = 0, leases = 0;
    for (uint32_t w = 0; w < census->sheets_count; w++)
        for (uint32_t g = 0; g < census->sheets[w].groups_count; g++) {
            const struct census_group *one = &census->sheets[w].groups[g];
            if (one->pool != own->pool || one->is_tenant || strcmp(one->name, own->name) != 0)
                continue;
            add(first_byte, &one->info.first_byte);
            add(hold, &one->info.hold);
            grants += one->info.grants;
            errors += one->info.errors;
            leases += one->info.leases;
        }
    bytes_append_text(out, "{\"upstream\":");
    bytes_append_json(out, slice_of(census_who_of(server, own->pool).name));
    bytes_append_text(out, ",\"endpoint\":");
    bytes_append_json(out, slice_of(own->name));
    bytes_printf(out, ",\"grants\":%llu,\"errors\":%llu,\"leases\":%llu",
                 (unsigned long long)grants, (unsigned long long)errors,
                 (unsigned long long)leases);
    write_pairs(out, "first_byte_ms", first_byte, WEIR_BUCKETS);
    write_pairs(out, "hold_ms", hold, WEIR_BUCKETS);
    bytes_append_text(out, "}");
}

static void write_endpoints(struct bytes *out, const struct server *server,
                            const struct census *census)
{
    const char *before = "\n";
    bytes_append_text(out, ",\"endpoints\":[");
    for (uint32_t w = 0; w < census->sheets_count; w++)
        for (uint32_t g = 0; g < census->sheets[w].groups_count; g++) {
            const struct census_group *own = &census->sheets[w].groups[g];
            if (own->is_tenant || !is_first(census, w, g))
                continue;
            bytes_append_text(out, before);
            write_endpoint(out, server, census, own);
            before = ",\n";
        }
    bytes_append_text(out, "\n]}\n");
}

uint16_t admin_latency_write(const struct server *server, const struct census *census,
                             bool openmetrics, struct bytes *out)
{
    (void)openmetrics;
    write_bounds(out);
    write_routes(out, server);
    write_pools(out, server, census);
    write_endpoints(out, server, census);
    return 200;
}
