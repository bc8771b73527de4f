/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/engine_room.h"

#include "gateway/config_found.h"
#include "gateway/config_way.h"
#include "gateway/openclaw.h"

#include <string.h>

#define CLIENT_BYTES      65536U /* of one that is active, with its connection upstream, at most */
#define RECORD_BYTES      150U   /* of a conversation */
#define PROGRAM_BYTES     16777216U
#define DESCRIPTORS_SPARE 64U     /* logs, loops, the admin's clients, DNS */
#define SESSION_BYTES     256U    /* more of a key's text: whose session it is, the way there */
#define STREAMS_MAX       100000U /* of all clients of HTTP/2 on one worker */
#define GROUPS_SPARE      1024U   /* clients of whom upstreams are told (proxy_protocol) */
#define SPARE             64U
#define UNLIMITED_MEAN    100000U /* connections of a pool that may have any number */

/* What configurations to come may have more. */
#define GROWTH         2U
#define GROWTH_CONNS   2048U
#define GROWTH_WAITING 1024U
#define GROWTH_KEYS    2048U
#define GROWTH_POOLS   64U
#define READ_LEAST     65536U
#define RECORDS_MOST   (1U << 26) /* weir_engine_options: of each kind, */
#define KEY_BYTES_MOST (UINT32_MAX / 2)

/* One for each endpoint and account, and each once more for HTTP/1.1 alone. */
static uint64_t keys_of(const struct config_upstream *u)
{
    return (uint64_t)2 * config_endpoints_most(u) * config_ways(u);
}

/* What the proxies add to the text of those keys; room for a text is a power of two. */
static uint64_t proxy_bytes_of(const struct config_upstream *u)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < config_ways(u); i++)
        bytes += strlen(config_way(u, i));
    return (uint64_t)4 * config_endpoints_most(u) * bytes;
}

/* Each conversation has keys of its own, as many as have a connection or wait for one. */
static bool is_isolated(const struct config *config)
{
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        for (uint32_t r = 0; r < l->routes.count; r++)
            if (l->routes.at[r].isolate == ISOLATE_SESSION)
                return true;
    }
    return false;
}

/* Clients are spread evenly, but nothing forbids that one worker has them all. */
struct engine_room engine_room_of(const struct config *config)
{
    uint64_t clients = 0, streams = 0, conns = 0, keys = 0, proxy_bytes = 0;
    struct engine_room room = {.read_buffer = READ_LEAST};
    for (uint32_t i = 0; i < config->listeners.count; i++) {
        const struct config_listener *l = &config->listeners.at[i];
        size_t head = (size_t)l->http1.max_header_bytes * 2;
        clients += l->pool.max_connections;
        streams += (uint64_t)l->pool.max_connections * l->http2.max_concurrent_streams;
        room.read_buffer = head > room.read_buffer ? head : room.read_buffer;
    }
    for (uint32_t i = 0; i < config->upstreams.count; i++) {
        const struct config_upstream *u = &config->upstreams.at[i];
        conns += u->pool.max_total == WEIR_UNLIMITED ? UNLIMITED_MEAN : u->pool.max_total;
        room.waiting += u->pool.waiting_max == WEIR_NONE ? 0 : u->pool.waiting_max;
        if (u->protocol == PROTOCOL_OPENCLAW) {
            conns += (uint64_t)OPENCLAW_CONNS * u->endpoints.count * config_ways(u);
            room.pools++;
        }
        room.pools++;
        keys += keys_of(u);
        proxy_bytes += proxy_bytes_of(u);
    }
    uint64_t sessions = is_isolated(config) ? conns + room.waiting : 0;
    room.conns = clients + conns + SPARE;
    room.waiting += SPARE;
    room.leases = room.conns + room.waiting + (streams < STREAMS_MAX ? streams : STREAMS_MAX);
    room.keys = clients + keys + sessions + SPARE;
    room.key_bytes = room.keys * 128 + proxy_bytes + sessions * SESSION_BYTES;
    room.groups = keys + GROUPS_SPARE;
    room.pools += config->listeners.count + 1;
    return room;
}

/* What an engine takes at most; more than is needed at once is never asked of it. */
static uint64_t at_most(uint64_t value, uint64_t needed, uint64_t most)
{
    most = needed > most ? needed : most;
    return value < most ? value : most;
}

uint64_t engine_room_descriptors(const struct engine_room *room)
{
    return room->conns + DESCRIPTORS_SPARE;
}

uint64_t engine_room_memory(const struct config *config)
{
    uint64_t bytes = PROGRAM_BYTES;
    bool has_accounts = false;
    for (uint32_t i = 0; i < config->listeners.count; i++)
        bytes += (uint64_t)config->listeners.at[i].pool.max_connections * CLIENT_BYTES;
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        has_accounts = has_accounts || config->upstreams.at[i].accounts.count > 0;
    return bytes + (has_accounts ? (uint64_t)config->sessions.max * RECORD_BYTES : 0);
}

struct engine_room engine_room_reserve(const struct engine_room *room)
{
    struct engine_room more = *room;
    uint64_t key_bytes = room->key_bytes * GROWTH + (uint64_t)GROWTH_KEYS * 128;
    more.conns = at_most(room->conns * GROWTH + GROWTH_CONNS, room->conns, RECORDS_MOST);
    more.waiting = at_most(room->waiting * GROWTH + GROWTH_WAITING, room->waiting, RECORDS_MOST);
    more.leases = at_most(room->leases + more.conns + more.waiting, room->leases, RECORDS_MOST);
    more.keys = at_most(room->keys * GROWTH + GROWTH_KEYS, room->keys, RECORDS_MOST);
    more.key_bytes = at_most(key_bytes, room->key_bytes, KEY_BYTES_MOST);
    more.groups = at_most(room->groups + GROWTH_KEYS, room->groups, RECORDS_MOST);
    more.pools = room->pools * GROWTH + GROWTH_POOLS;
    return more;
}

const char *engine_room_lacks(const struct engine_room *reserved, const struct engine_room *room)
{
    if (room->read_buffer > reserved->read_buffer)
        return "listeners.http1.max_header_bytes";
    if (room->conns > reserved->conns || room->leases > reserved->leases)
        return "max_connections of listeners and upstreams, in all";
    if (room->waiting > reserved->waiting)
        return "upstreams.pool.waiting_max, in all";
    if (room->keys > reserved->keys || room->key_bytes > reserved->key_bytes
        || room->groups > reserved->groups)
        return "endpoints and accounts of upstreams, in all";
    return room->pools > reserved->pools ? "listeners and upstreams" : NULL;
}
