/* SPDX-License-Identifier: Apache-2.0
 *
 * engine_room.h - what one worker's engine may need at most to serve by a configuration. It is
 * allocated once, at the start, with room for configurations to come: memory that is never used
 * costs nothing.
 */
#pragma once
#include "gateway/config.h"

#include <stddef.h>

struct engine_room {
    uint64_t conns, waiting, leases, keys, key_bytes, groups, pools;
    size_t read_buffer; /* of the loop: a head must fit twice into what one read may bring */
};

struct engine_room engine_room_of(const struct config *config);
/* File descriptors that the process needs where every limit of connections is reached. */
uint64_t engine_room_descriptors(const struct engine_room *room);
/* Bytes that the process may need where every client is active and every conversation is kept;
 * apart from bodies that routes hold (limits.hold), of which most requests have none. */
uint64_t engine_room_memory(const struct config *config);
/* For that and for others that are larger, to a degree. */
struct engine_room engine_room_reserve(const struct engine_room *room);
/* The option of which `reserved` has too little, in words; NULL: it is enough. */
const char *engine_room_lacks(const struct engine_room *reserved, const struct engine_room *room);
