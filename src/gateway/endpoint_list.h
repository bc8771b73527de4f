/* SPDX-License-Identifier: Apache-2.0
 *
 * endpoint_list.h - a list of endpoints that somebody else keeps, as a file or an HTTP answer has
 * it: YAML, of which JSON is a part.
 *
 *     - http://10.0.0.1:8080                                 a URL, or host:port
 *     - { url: "10.0.0.2:8080", weight: 50, zone: a, priority: 1 }
 *     - { targets: ["10.0.0.3:8080"], labels: { zone: b } }  as Prometheus has it
 *
 * or {endpoints: [...]} around it. Labels are zone, weight, priority and __scheme__; others are for
 * somebody else. What else is not known is a mistake, and then nothing of the list is taken: half
 * of one would leave out servers that are there. What is named twice counts once. Nothing is
 * expanded or resolved: the list comes from elsewhere.
 */
#pragma once
#include "base/text.h"
#include "gateway/config.h"

#define ENDPOINT_LIST_BYTES_MAX 1048576U
#define ENDPOINT_LIST_WHY_MAX   200U

struct config_arena;

struct endpoint_list_rules {
    const char *scheme; /* "http", "https": of what is written as host:port */
    uint32_t most;      /* more: a mistake */
};

/* Everything of *ret is in the arena. False: *ret_why says where and what, in one line; the arena
 * holds what was read by then. An empty list is none: *ret has none, and true is answered. */
bool endpoint_list_read(struct slice text, const struct endpoint_list_rules *rules,
                        struct config_arena *arena, struct config_endpoints *ret,
                        char ret_why[ENDPOINT_LIST_WHY_MAX]);

/* Whether the list has an endpoint of that host and port. */
bool endpoint_list_has(const struct config_endpoints *list, const char *host, uint16_t port);
