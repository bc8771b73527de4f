/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_names.h - names of connections: found by hash, compared in full. A connection's names
 * are a chain that its owner holds, so that they go with it. No lock of its own.
 */
#pragma once
#include "base/map.h"
#include "base/text.h"

#define WS_NAMES_MAX    1000000U
#define WS_NAME_LEN_MAX 255U

struct ws_name {
    struct ws_name *next, **link; /* on its connection's chain */
    uint64_t hash;
    uint64_t id; /* of the connection */
    uint32_t len;
    char text[]; /* with a NUL */
};

struct ws_names {
    struct map map;
    uint64_t seed; /* names may be the peer's choice */
};

bool ws_names_init(struct ws_names *names, const struct alloc *alloc); /* false: no memory */
void ws_names_fini(struct ws_names *names);

enum ws_naming { WS_NAMING_FINE, WS_NAMING_TAKEN, WS_NAMING_FULL, WS_NAMING_MEMORY };
enum ws_naming ws_names_add(struct ws_names *names, struct slice text, uint64_t id,
                            struct ws_name **chain);
struct ws_name *ws_names_find(const struct ws_names *names, struct slice text);
void ws_names_remove(struct ws_names *names, struct ws_name *take_name);
