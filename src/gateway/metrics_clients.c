/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_clients.h"

#include "gateway/client_keys.h"
#include "gateway/client_leases.h"
#include "gateway/relay.h"
#include "gateway/server.h"

#include <stddef.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})
#define AT(field)   offsetof(struct client_info, field)

/* A sample for each client; `reason` where a family has several. */
struct sample {
    const char *reason;
    size_t offset; /* of an uint64_t in struct client_info */
};

static const struct {
    const char *name, *help;
    enum prom_type type;
    struct sample samples[3]; /* up to the first that lies at 0, where no figure does */
} families[] = {
    {"weir_client_in_flight",
     "Requests and WebSockets open of a client.",
     PROM_GAUGE,
     {{NULL, AT(open)}}},
    {"weir_client_waiting",
     "Requests that wait because their client has as many open as it may.",
     PROM_GAUGE,
     {{NULL, AT(waiting)}}},
    {"weir_client_requests_total",
     "Requests of a client that were let in.",
     PROM_COUNTER,
     {{NULL, AT(entered)}}},
    {"weir_client_refused_total",
     "Requests of a client that were refused: it had too many open, or asked too often.",
     PROM_COUNTER,
     {{"concurrent", AT(full)}, {"rate", AT(fast)}}},
    {"weir_client_input_tokens_total",
     "Tokens of a client's requests that answers say were read, without those of a cache.",
     PROM_COUNTER,
     {{NULL, AT(tokens[AI_TOKENS_INPUT])}}},
    {"weir_client_output_tokens_total",
     "Tokens that answers to a client say were written.",
     PROM_COUNTER,
     {{NULL, AT(tokens[AI_TOKENS_OUTPUT])}}},
    {"weir_client_cache_read_tokens_total",
     "Tokens of a client's requests that answers say came of a cache.",
     PROM_COUNTER,
     {{NULL, AT(tokens[AI_TOKENS_CACHE_READ])}}},
    {"weir_client_cache_write_tokens_total",
     "Tokens of a client's requests that answers say were put into a cache.",
     PROM_COUNTER,
     {{NULL, AT(tokens[AI_TOKENS_CACHE_WRITE])}}},
};

static void write_one(struct prom *prom, const struct client_info *info,
                      const struct sample *sample)
{
    uint64_t value = *(const uint64_t *)(const void *)((const char *)info + sample->offset);
    const char *reason = sample->reason != NULL ? "reason" : NULL; /* NULL ends the labels */
    prom_u64(prom, LABELS({"client", info->config->name}, {reason, sample->reason}), value);
}

static void write_strangers(const struct client_keys *keys, struct prom *prom)
{
    prom_family(prom, "weir_client_strangers_total", PROM_COUNTER,
                "Requests that showed no key, or nobody's.");
    prom_u64(prom, LABELS({"reason", "missing"}),
             keys != NULL ? client_keys_strangers(keys, false) : 0);
    prom_u64(prom, LABELS({"reason", "wrong"}),
             keys != NULL ? client_keys_strangers(keys, true) : 0);
}

/* Of what gateways share. */
static void write_leases(const struct relay_shared *shared, const struct client_keys *keys,
                         struct prom *prom)
{
    const struct client_leases *leases = relay_shared_leases(shared);
    uint32_t count = leases != NULL ? client_keys_count(keys) : 0;
    struct client_leases_info sums = {0};
    struct client_info info;
    prom_family(
        prom, "weir_client_lease_places", PROM_GAUGE,
        "Of the requests that a client may have open at all gateways that share a Redis, how "
        "many it may have at this one.");
    for (uint32_t i = 0; i < count; i++) {
        client_keys_info_of(keys, i, &info);
        if (info.share != UINT64_MAX) {
            prom_u64(prom, LABELS({"client", info.config->name}), info.share);
        }
    }
    prom_family(prom, "weir_client_lease_local", PROM_GAUGE,
                "1: the Redis cannot be asked, and this gateway admits a client by a part of its "
                "limits.");
    for (uint32_t i = 0; i < count; i++) {
        client_keys_info_of(keys, i, &info);
        prom_u64(prom, LABELS({"client", info.config->name}), info.is_local);
    }
    if (leases != NULL) {
        client_leases_info_of(leases, &sums);
    }
    prom_family(prom, "weir_client_lease_questions_total", PROM_COUNTER,
                "Questions to the Redis how much clients may at this gateway.");
    prom_u64(prom, LABELS({"result", "answered"}), sums.answered);
    prom_u64(prom, LABELS({"result", "failed"}), sums.failed);
    prom_family(prom, "weir_client_lease_gateways", PROM_GAUGE,
                "Gateways that share clients' limits, with this one; 0: they are not shared.");
    prom_u64(prom, NULL, leases != NULL ? client_keys_gateways(keys) : 0);
}

void metrics_clients_write(const struct server *server, struct prom *prom)
{
    const struct client_keys *keys = relay_shared_clients(server->shared);
    uint32_t count = keys != NULL ? client_keys_count(keys) : 0;
    struct client_info info;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        prom_family(prom, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < count; i++) {
            client_keys_info_of(keys, i, &info);
            for (const struct sample *it = families[f].samples; it->offset != 0; it++) {
                write_one(prom, &info, it);
            }
        }
    }
    write_strangers(keys, prom);
    write_leases(server->shared, keys, prom);
}
