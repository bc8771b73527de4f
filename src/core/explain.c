/* SPDX-License-Identifier: Apache-2.0 */
#include "core/explain.h"

#include "core/crowd.h"
#include "core/key.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const texts[DECISIONS] = {
#define DECISION(NAME, text) text,
#include "core/decision.def"
#undef DECISION
};

static inline bool is_again(const struct explain_entry *entry, const struct key *key,
                            enum decision decision, weir_err why)
{
    return entry->key == key && entry->decision == decision && entry->why == why;
}

void explain(struct key *key, enum decision decision, const struct conn *conn, weir_err why)
{
    struct explain *ring = &key->pool->explain;
    uint64_t now_ms = key->pool->engine->now_ms;
    for (uint32_t back = 1; back <= 2 && back <= ring->written; back++) {
        struct explain_entry *entry = &ring->entries[(ring->written - back) % EXPLAIN_ENTRIES];
        if (is_again(entry, key, decision, why)) {
            entry->times++;
            entry->last_ms = now_ms;
            entry->conn_id = conn != NULL ? conn_id(conn) : 0;
            return;
        }
    }
    ring->entries[ring->written++ % EXPLAIN_ENTRIES] = (struct explain_entry){
        .key = key,
        .conn_id = conn != NULL ? conn_id(conn) : 0,
        .first_ms = now_ms,
        .last_ms = now_ms,
        .times = 1,
        .decision = (uint8_t)decision,
        .why = (uint8_t)why,
    };
}

void explain_forget(struct explain *ring, const struct key *key)
{
    for (unsigned i = 0; i < EXPLAIN_ENTRIES; i++) {
        if (ring->entries[i].key == key) {
            ring->entries[i].key = NULL;
        }
    }
}

/* --- as text ------------------------------------------------------------------------------ */

struct out {
    char *at;
    size_t size, len;
};

static void print(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct out *out, const char *format, ...)
{
    size_t from = out->len < out->size ? out->len : out->size;
    char *at = out->at != NULL ? out->at + from : NULL;
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is not */
    int len = vsnprintf(at, out->size - from, format, args);
    va_end(args);
    out->len += len > 0 ? (size_t)len : 0;
}

static void print_entry(struct out *out, const struct explain_entry *entry, bool with_key)
{
    char name[256];
    print(out, "%8llu.%03llu  ", (unsigned long long)(entry->last_ms / 1000),
          (unsigned long long)(entry->last_ms % 1000));
    if (with_key) {
        weir_key_text(&entry->key->view, name, sizeof name);
        print(out, "%s  ", name);
    }
    print(out, "%s", texts[entry->decision]);
    if (entry->conn_id != 0) {
        print(out, " #%llx", (unsigned long long)entry->conn_id);
    }
    if (entry->why != WEIR_OK) {
        print(out, ": %s", weir_err_text((weir_err)entry->why));
    }
    if (entry->times > 1) {
        print(out, " (%u times since %llu.%03llu)", entry->times,
              (unsigned long long)(entry->first_ms / 1000),
              (unsigned long long)(entry->first_ms % 1000));
    }
    print(out, "\n");
}

static void print_ring(struct out *out, const struct explain *ring, const struct key *only)
{
    uint32_t count = ring->written < EXPLAIN_ENTRIES ? ring->written : EXPLAIN_ENTRIES;
    for (uint32_t i = ring->written - count; i != ring->written; i++) {
        const struct explain_entry *entry = &ring->entries[i % EXPLAIN_ENTRIES];
        if (entry->key != NULL && (only == NULL || entry->key == only)) {
            print_entry(out, entry, only == NULL);
        }
    }
}

static const char *or_none(const char *text)
{
    return text != NULL ? text : "";
}

static bool is_same(const char *a, const char *b)
{
    return strcmp(or_none(a), or_none(b)) == 0;
}

/* The fields that differ, as text; the number of them. */
static unsigned differences(const weir_key *a, const weir_key *b, const char **ret_fields)
{
    unsigned count = 0;
    const struct {
        bool is_same;
        const char *name;
    } fields[] = {
        {is_same(a->scheme, b->scheme), "scheme"},
        {is_same(a->host, b->host), "host"},
        {a->port == b->port, "port"},
        {is_same(a->source, b->source), "source"},
        {is_same(a->proxy, b->proxy), "proxy"},
        {is_same(a->tls, b->tls), "tls"},
        {is_same(a->tenant, b->tenant), "tenant"},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!fields[i].is_same) {
            ret_fields[count++] = fields[i].name;
        }
    }
    return count;
}

#define FIELDS 7

/* Names the known key with connections that differs in the fewest fields. */
static void print_nearest(struct out *out, const weir_pool *pool, const weir_key *wanted)
{
    const struct key *nearest = NULL;
    const char *fields[FIELDS];
    unsigned least = FIELDS + 1;
    weir_list_each(it, &pool->keys) {
        const struct key *key = list_entry(it, struct key, on_pool);
        unsigned count = differences(&key->view, wanted, fields);
        if (count > 0 && count < least && key_total(key) > 0) {
            nearest = key;
            least = count;
        }
    }
    if (nearest == NULL) {
        return;
    }
    char name[256];
    weir_key_text(&nearest->view, name, sizeof name);
    differences(&nearest->view, wanted, fields);
    print(out, "nearest other key: %s (differs in", name);
    for (unsigned i = 0; i < least; i++) {
        print(out, "%s %s", i > 0 ? "," : "", fields[i]);
    }
    print(out, "): its %u connections are not for this one\n", key_total(nearest));
}

static void print_key(struct out *out, const struct key *key)
{
    print(out, "%s; %u failures in a row", weir_key_state_word((weir_key_state)key->state),
          key->failures);
    if (key->last_error != WEIR_OK) {
        print(out, ", last: %s", weir_err_text((weir_err)key->last_error));
    }
    print(out, "\n");
    for (int i = 0; i < WEIR_STATES; i++) {
        print(out, "%s %u, ", weir_state_word((weir_state)i), key->by_state[i].count);
    }
    print(out, "waiting %u\n", key->waiting.count);
    uint32_t limit = crowd_limit(key->endpoint);
    if (limit > 0) {
        print(out, "adaptive concurrency: %u of %u leases at its endpoint\n", key->endpoint->leases,
              limit);
    }
}

static void print_forecast(struct out *out, const weir_pool *pool)
{
    const struct forecast *forecast = &pool->forecast;
    if (forecast->season_ms == 0) {
        return;
    }
    if (forecast->closed < (uint64_t)2 * FORECAST_SLOTS) {
        print(out, "forecast: learning, %llu of %u parts\n", (unsigned long long)forecast->closed,
              2 * FORECAST_SLOTS);
        return;
    }
    print(out, "forecast: %s, its error is %u %% of the best simple guess's",
          forecast->is_trusted ? "in use" : "not in use", forecast_error_pct(forecast));
    if (forecast->is_trusted) {
        uint32_t rate_x16 = forecast_rate_x16(forecast);
        print(out, "; %u.%u arrivals a second expected", rate_x16 / 16, rate_x16 % 16 * 10 / 16);
    }
    print(out, "\n");
}

size_t weir_pool_explain(const weir_pool *pool, const weir_key *key, char *ret_text, size_t size)
{
    struct out out = {ret_text, size, 0};
    if (size > 0) {
        ret_text[0] = '\0';
    }
    if (key == NULL) {
        print_ring(&out, &pool->explain, NULL);
        print_forecast(&out, pool);
        return out.len;
    }
    struct key_text text;
    struct key *known = key_canonical(pool, key, &text) ? key_find(pool, &text) : NULL;
    if (known == NULL) {
        print(&out, "not known to this pool\n");
        print_nearest(&out, pool, key);
        return out.len;
    }
    print_key(&out, known);
    print_nearest(&out, pool, &known->view);
    print_ring(&out, &pool->explain, known);
    return out.len;
}
