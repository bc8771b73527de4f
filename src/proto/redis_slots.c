/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/redis_slots.h"

#include <string.h>

bool redis_place_same(const struct redis_place *a, const struct redis_place *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* --- slots --------------------------------------------------------------------------------------
 */

/* CRC-16/XMODEM, by half bytes: a table of 32 bytes, and a key has some thirty. */
static uint16_t crc16(struct slice text)
{
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
                                       0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
                                       0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
    unsigned crc = 0;
    for (uint32_t i = 0; i < text.len; i++) {
        unsigned byte = (unsigned char)text.at[i];
        crc = (crc << 4 & 0xffffU) ^ table[(crc >> 12 ^ byte >> 4) & 15U];
        crc = (crc << 4 & 0xffffU) ^ table[(crc >> 12 ^ byte) & 15U];
    }
    return (uint16_t)crc;
}

uint16_t redis_slot_of(struct slice key)
{
    uint32_t open = slice_find(key, '{');
    struct slice rest = slice_sub(key, open + 1, key.len);
    uint32_t close = slice_find(rest, '}');
    bool has_tag = open < key.len && close < rest.len && close > 0;
    return crc16(has_tag ? slice_sub(rest, 0, close) : key) % REDIS_SLOTS;
}

/* --- a place ------------------------------------------------------------------------------------
 */

/* As it may be dialled; "?" is what a node says that knows no name of another. */
static bool is_host(struct slice host)
{
    for (uint32_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.at[i];
        if (c <= ' ' || c >= 0x7f || c == '?') {
            return false;
        }
    }
    return host.len > 0 && host.len < REDIS_HOST_MAX;
}

static bool read_place(struct slice host, uint64_t port, const struct redis_place *asked,
                       struct redis_place *ret)
{
    if (port == 0 || port > UINT16_MAX || (host.len > 0 && !is_host(host))) {
        return false;
    }
    struct redis_place place = {.port = (uint16_t)port};
    slice_copy(place.host, sizeof place.host, host.len > 0 ? host : slice_of(asked->host));
    *ret = place;
    return true;
}

bool redis_moved_read(struct slice error, const struct redis_place *asked, uint16_t *ret_slot,
                      struct redis_place *ret_place)
{
    struct slice word, slot, at;
    uint64_t number, port;
    if (!slice_word(&error, &word) || (!slice_is(word, "MOVED") && !slice_is(word, "ASK"))
        || !slice_word(&error, &slot) || !text_parse_u64(slot, &number) || number >= REDIS_SLOTS
        || !slice_word(&error, &at)) {
        return false;
    }
    uint32_t colon = at.len; /* the last: an address of IPv6 has more, and no brackets */
    while (colon > 0 && at.at[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 || !text_parse_u64(slice_sub(at, colon, at.len), &port)
        || !read_place(slice_sub(at, 0, colon - 1), port, asked, ret_place)) {
        return false;
    }
    *ret_slot = (uint16_t)number;
    return true;
}

/* --- the map ------------------------------------------------------------------------------------
 */

void redis_map_clear(struct redis_map *map)
{
    map->count = map->covered = 0;
    for (unsigned i = 0; i < REDIS_SLOTS; i++) {
        map->owners[i] = REDIS_NOBODY;
    }
}

const struct redis_place *redis_map_find(const struct redis_map *map, uint16_t slot)
{
    uint16_t owner = map->owners[slot % REDIS_SLOTS];
    return owner != REDIS_NOBODY ? &map->nodes[owner] : NULL;
}

/* REDIS_NOBODY: there is no room. */
static uint16_t node_at(struct redis_map *map, const struct redis_place *place)
{
    for (uint32_t i = map->count; i-- > 0;) { /* a node's slots come one behind the other */
        if (redis_place_same(&map->nodes[i], place)) {
            return (uint16_t)i;
        }
    }
    if (map->count == REDIS_NODES_MAX) {
        return REDIS_NOBODY;
    }
    map->nodes[map->count] = *place;
    return (uint16_t)map->count++;
}

bool redis_map_set(struct redis_map *map, uint16_t slot, const struct redis_place *place)
{
    uint16_t node = node_at(map, place);
    if (node == REDIS_NOBODY) {
        return false;
    }
    uint16_t *owner = &map->owners[slot % REDIS_SLOTS];
    map->covered += *owner == REDIS_NOBODY;
    *owner = node;
    return true;
}

/* So many values, and what is in them. */
static bool pass(struct resp_walk *inside, uint32_t count)
{
    struct resp_value value;
    for (; count > 0; count--) {
        if (!resp_next(inside, &value)) {
            return false;
        }
        resp_pass(inside, &value);
    }
    return true;
}

static bool next_number(struct resp_walk *inside, uint64_t below, uint64_t *ret)
{
    struct resp_value value;
    if (!resp_next(inside, &value) || value.type != RESP_NUMBER || value.number < 0
        || (uint64_t)value.number >= below) {
        return false;
    }
    *ret = (uint64_t)value.number;
    return true;
}

/* [host or nothing, port, id, …] */
static bool next_place(struct resp_walk *inside, const struct redis_place *asked,
                       struct redis_place *ret)
{
    struct resp_value node, host;
    uint64_t port;
    if (!resp_next(inside, &node) || node.type != RESP_ARRAY || node.count < 2
        || !resp_next(inside, &host) || (host.type != RESP_TEXT && host.type != RESP_NULL)
        || !next_number(inside, UINT64_C(1) << 16, &port)) {
        return false;
    }
    return read_place(host.type == RESP_TEXT ? host.text : SLICE(""), port, asked, ret)
           && pass(inside, node.count - 2);
}

static const char *read_range(struct resp_walk *inside, const struct redis_place *asked,
                              struct redis_map *map)
{
    struct resp_value range;
    struct redis_place place;
    uint64_t first, last;
    if (!resp_next(inside, &range) || range.type != RESP_ARRAY || range.count < 3) {
        return "a range of slots is none";
    }
    if (!next_number(inside, REDIS_SLOTS, &first) || !next_number(inside, REDIS_SLOTS, &last)
        || first > last) {
        return "a range of slots has no bounds";
    }
    if (!next_place(inside, asked, &place) || !pass(inside, range.count - 3)) {
        return "a range of slots has no master";
    }
    uint16_t node = node_at(map, &place);
    if (node == REDIS_NOBODY) {
        return "it has too many masters";
    }
    for (uint64_t slot = first; slot <= last; slot++) {
        if (map->owners[slot] != REDIS_NOBODY) {
            return "a slot has two masters";
        }
        map->owners[slot] = node;
    }
    map->covered += (uint32_t)(last - first + 1);
    return NULL;
}

const char *redis_map_read(const struct resp_value *value, struct resp_walk *inside,
                           const struct redis_place *asked, struct redis_map *ret_map)
{
    redis_map_clear(ret_map);
    if (value->type != RESP_ARRAY) {
        return value->type == RESP_FAILED ? "it refuses to say" : "it says no slots";
    }
    if (value->count == 0) {
        return "it knows of no slot that is served";
    }
    const char *fault = NULL;
    for (uint32_t i = 0; fault == NULL && i < value->count; i++) {
        fault = read_range(inside, asked, ret_map);
    }
    return fault;
}
