/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_openclaw.h"

#include "connector/openclaw.h"
#include "gateway/relay.h"
#include "gateway/server.h"

#include <stddef.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static const struct family {
    const char *name, *help;
    size_t offset;
} families[] = {
#define FAMILY(word, text)                                                                         \
    {                                                                                              \
        "weir_openclaw_" #word "_total", (text), offsetof(struct claw_counters, word)              \
    }
    FAMILY(handshakes, "Handshakes with OpenClaw gateways that were begun."),
    FAMILY(hellos, "Handshakes that ended with hello-ok."),
    FAMILY(denied, "Handshakes that were refused for who we are."),
    FAMILY(starting, "Handshakes that a gateway put off because it was starting."),
    FAMILY(restarts, "Connections that a gateway closed to restart."),
    FAMILY(requests, "Requests sent, repetitions included."),
    FAMILY(answers, "Answers to them."),
    FAMILY(late, "Answers that nobody waited for any more."),
    FAMILY(timeouts, "Requests without an answer in time."),
    FAMILY(replays, "Requests sent again after their connection had ended."),
    FAMILY(events, "Events told by gateways."),
    FAMILY(ticks, "Ticks heard."),
    FAMILY(ticks_missed, "Connections given up because two ticks were missed."),
    FAMILY(strangers, "Connections closed for an answer that nobody had asked for."),
    FAMILY(bad_frames, "Connections closed for what was no frame, or came too early."),
    FAMILY(too_large, "Connections closed for a message that was too large."),
#undef FAMILY
};

static uint64_t sum(const struct server *server, uint32_t upstream, size_t offset)
{
    uint64_t total = 0;
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const struct claw_counters *counters = relay_openclaw_counters(server_relay(server, w),
                                                                       upstream);
        const char *at = (const char *)counters + offset;
        total += atomic_load_explicit((const _Atomic uint64_t *)(const void *)at,
                                      memory_order_relaxed);
    }
    return total;
}

void metrics_openclaw_write(const struct server *server, struct prom *prom)
{
    const struct config *config = server->config;
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        prom_family(prom, families[f].name, PROM_COUNTER, families[f].help);
        for (uint32_t u = 0; u < config->upstreams.count; u++) {
            if (config->upstreams.at[u].protocol == PROTOCOL_OPENCLAW) {
                prom_u64(prom, LABELS({"upstream", config->upstreams.at[u].name}),
                         sum(server, u, families[f].offset));
            }
        }
    }
}
