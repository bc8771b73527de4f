/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_slots_fuzz.c - any bytes as what a node of a Redis Cluster answers to CLUSTER SLOTS, as a
 * redirection and as a key: what is taken names places that can be dialled, and slots that exist.
 */
#include "proto/redis_slots.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct redis_place asked = {.host = "h", .port = 1};

static void check_place(const struct redis_place *place)
{
    size_t len = strnlen(place->host, REDIS_HOST_MAX);
    check(len > 0 && len < REDIS_HOST_MAX && place->port != 0);
    check(strpbrk(place->host, " \r\n\t") == NULL);
}

static void check_map(const struct resp_value *value, struct resp_walk inside)
{
    static struct redis_map map;
    uint32_t covered = 0;
    if (redis_map_read(value, &inside, &asked, &map) != NULL) {
        return;
    }
    check(map.count > 0 && map.count <= REDIS_NODES_MAX);
    for (unsigned i = 0; i < REDIS_SLOTS; i++) {
        const struct redis_place *place = redis_map_find(&map, (uint16_t)i);
        covered += place != NULL;
        if (place != NULL) {
            check_place(place);
        }
    }
    check(covered == map.covered && covered > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct resp_reader reader;
    struct resp_value value;
    struct redis_place place;
    uint16_t slot;
    char *text = malloc(size + 1); /* ends where it ends: an over-read shows */
    if (text == NULL) {
        return 0;
    }
    if (size > 0) {
        memcpy(text, data, size);
    }
    struct slice all = {text, (uint32_t)size};
    check(redis_slot_of(all) < REDIS_SLOTS);
    if (redis_moved_read(all, &asked, &slot, &place)) {
        check(slot < REDIS_SLOTS);
        check_place(&place);
    }
    resp_reader_init(&reader, NULL);
    size_t whole = resp_read(&reader, text, size);
    struct resp_walk walk = resp_walk_of(text, whole);
    if (whole > 0 && resp_next(&walk, &value)) {
        check_map(&value, walk);
        if (value.type == RESP_FAILED && redis_moved_read(value.text, &asked, &slot, &place)) {
            check_place(&place);
        }
    }
    free(text);
    return 0;
}
