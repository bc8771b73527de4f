/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_budget.h - what a client of HTTP/2 may cost: budgets for the frames that are cheaper to
 * send than to receive, or that carry nothing. Only computes: frames and the time come in, and out
 * comes whether it was one too many.
 *
 *   resets       streams reset by the client (rapid reset), and those that it makes us reset: 1000,
 *                and 33 a second
 *   premature    more than half of all streams, once there were 500, reset before they were
 *                answered
 *   refused      streams beyond max_concurrent_streams: 4000, and 100 a second
 *   idle frames  PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and frames unknown: 1000, and
 *                100 a second, three for each piece of a body that went either way, and
 *                two for each of its KiB
 *   continued    8 CONTINUATION frames for one head
 *
 * Each has its counter, by kind of frame.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define HTTP2_RESETS_BURST   1000U
#define HTTP2_RESETS_RATE    33U
#define HTTP2_REFUSED_BURST  4000U
#define HTTP2_REFUSED_RATE   100U
#define HTTP2_IDLE_BURST     1000U
#define HTTP2_IDLE_RATE      100U
#define HTTP2_CONTINUED_MAX  8U
#define HTTP2_PREMATURE_FROM 500U
#define HTTP2_PREMATURE_PCT  50U
#define HTTP2_EARN_BYTES     512U /* of bodies, for each idle frame more, */
#define HTTP2_EARN_FRAME     3U /* and these for each piece: peers answer one with window updates */
                                /* and a ping, however short it is */

/* Why a client was told to be calm. */
#define HTTP2_FLOODS(ROW)                                                                          \
    ROW(NONE, "none")                                                                              \
    ROW(RESET, "reset")                                                                            \
    ROW(PREMATURE, "premature_reset")                                                              \
    ROW(REFUSED, "refused_streams")                                                                \
    ROW(CONTINUATION, "continuation")                                                              \
    ROW(HEADERS, "header_bytes")                                                                   \
    ROW(SETTINGS, "settings")                                                                      \
    ROW(PING, "ping")                                                                              \
    ROW(PRIORITY, "priority")                                                                      \
    ROW(WINDOW_UPDATE, "window_update")                                                            \
    ROW(EMPTY_DATA, "empty_data")                                                                  \
    ROW(UNKNOWN, "unknown_frames")                                                                 \
    ROW(QUEUE, "queue")                                                                            \
    ROW(MEMORY, "memory")                                                                          \
    ROW(SLOW, "slow")

enum http2_flood {
#define HTTP2_FLOOD_ROW(name, word) HTTP2_FLOOD_##name,
    HTTP2_FLOODS(HTTP2_FLOOD_ROW)
#undef HTTP2_FLOOD_ROW
        HTTP2_FLOOD_COUNT
};

const char *http2_flood_word(enum http2_flood flood);

/* Tokens in thousandths: they come back with time. */
struct http2_bucket {
    uint64_t milli, since_ms;
};

struct http2_budget {
    struct http2_bucket resets, refused, idle;
    uint32_t streams, premature;
    uint32_t continued;
    uint32_t earned; /* bytes of bodies not yet turned into tokens */
};

void http2_budget_init(struct http2_budget *budget, uint64_t now_ms);

/* A frame begins: its type, length and flags as they lie in its head. */
enum http2_flood http2_budget_frame(struct http2_budget *budget, uint8_t type, uint64_t length,
                                    uint8_t flags, uint64_t now_ms);
/* Bytes of a body went either way. */
void http2_budget_earn(struct http2_budget *budget, uint64_t bytes);
void http2_budget_stream(struct http2_budget *budget);
/* A stream was reset, by whichever side; `early`: by the client, before it was answered. */
enum http2_flood http2_budget_reset(struct http2_budget *budget, bool early, uint64_t now_ms);
enum http2_flood http2_budget_refused(struct http2_budget *budget, uint64_t now_ms);
