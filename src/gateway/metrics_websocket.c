/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_websocket.h"

#include "gateway/relay.h"
#include "gateway/server.h"

#include <stddef.h>
#include <stdio.h>

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})
#define AT(field)   offsetof(struct channel_counts, field)

/* Every worker has the same series in the same order. */
static uint64_t sum(const struct server *server, uint32_t index, size_t offset)
{
    uint64_t total = 0;
    for (uint32_t w = 0; w < server->sites_count; w++) {
        const struct channel_counts *counts =
            &relay_series_at(server_relay(server, w), index)->channels;
        total += count_read((const uint64_t *)(const void *)((const char *)counts + offset));
    }
    return total;
}

/* Those that led nowhere have no upstream to open one. */
#define EACH_SERIES(server, i, series)                                                             \
    for (uint32_t i = 0; i < relay_series_count(server_relay(server, 0)); i++)                     \
        for (const struct relay_series *series = relay_series_at(server_relay(server, 0), i);      \
             series != NULL && series->upstream[0] != '\0'; series = NULL)

static void write_open(const struct server *server, struct prom *prom)
{
    prom_family(prom, "weir_websocket_open", PROM_GAUGE, "WebSockets that are open.");
    EACH_SERIES(server, i, series)
    {
        uint64_t closed = sum(server, i, AT(closed)); /* first: never more than were opened */
        prom_u64(prom, LABELS({"listener", series->listener}, {"upstream", series->upstream}),
                 sum(server, i, AT(opened)) - closed);
    }
}

static void write_counter(const struct server *server, struct prom *prom, const char *name,
                          const char *help, size_t offset)
{
    prom_family(prom, name, PROM_COUNTER, help);
    EACH_SERIES(server, i, series)
    {
        prom_u64(prom, LABELS({"listener", series->listener}, {"upstream", series->upstream}),
                 sum(server, i, offset));
    }
}

static void write_code(const struct server *server, struct prom *prom, uint32_t index,
                       const char *code, size_t offset)
{
    const struct relay_series *series = relay_series_at(server_relay(server, 0), index);
    uint64_t count = sum(server, index, offset);
    if (count > 0) {
        prom_u64(
            prom,
            LABELS({"listener", series->listener}, {"upstream", series->upstream}, {"code", code}),
            count);
    }
}

static void write_codes(const struct server *server, struct prom *prom)
{
    prom_family(
        prom, "weir_websocket_closed_total", PROM_COUNTER,
        "WebSockets that ended, by the close code that was said; app: 3000 and above, none: "
        "no side said one.");
    EACH_SERIES(server, i, series)
    {
        for (unsigned c = 0; c < 16; c++) {
            char text[8];
            snprintf(text, sizeof text, "%u", WS_CODE_NORMAL + c);
            write_code(server, prom, i, text, AT(codes) + c * sizeof(uint64_t));
        }
        write_code(server, prom, i, "app", AT(codes_app));
        write_code(server, prom, i, "none", AT(codes_x));
    }
}

static void write_ends(const struct server *server, struct prom *prom)
{
    prom_family(prom, "weir_websocket_ended_total", PROM_COUNTER,
                "WebSockets that ended otherwise than by a close handshake, by reason.");
    EACH_SERIES(server, i, series)
    {
        for (unsigned e = CHANNEL_END_CLOSED + 1; e < CHANNEL_END_COUNT; e++) {
            prom_u64(prom,
                     LABELS({"listener", series->listener}, {"upstream", series->upstream},
                            {"reason", channel_end_word((enum channel_end)e)}),
                     sum(server, i, AT(ends) + e * sizeof(uint64_t)));
        }
    }
}

void metrics_websocket_write(const struct server *server, struct prom *prom)
{
    write_open(server, prom);
    write_counter(server, prom, "weir_websocket_opened_total", "WebSockets opened.", AT(opened));
    write_counter(server, prom, "weir_websocket_client_messages_total",
                  "Messages that clients have begun.", AT(messages[0]));
    write_counter(server, prom, "weir_websocket_upstream_messages_total",
                  "Messages that upstreams have begun.", AT(messages[1]));
    write_counter(server, prom, "weir_websocket_client_bytes_total",
                  "Bytes of frames from clients, heads included.", AT(bytes[0]));
    write_counter(server, prom, "weir_websocket_upstream_bytes_total",
                  "Bytes of frames from upstreams, heads included.", AT(bytes[1]));
    write_counter(server, prom, "weir_websocket_pings_total", "Pings to sides that were silent.",
                  AT(pings));
    write_counter(server, prom, "weir_websocket_pongs_total", "Pongs to them.", AT(pongs));
    write_codes(server, prom);
    write_ends(server, prom);
}
