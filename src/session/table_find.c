/* SPDX-License-Identifier: Apache-2.0
 *
 * table_find.c - from an id to its record: open addressing with linear probing, at most two thirds
 * full. The high half of the hash says where to begin, the low half is the tag.
 */
#include "session/table_parts.h"

static uint64_t hash_of(const struct table *table, struct session_id id)
{
    return siphash(&table->head->key, &id, sizeof id);
}

static uint32_t home_of(const struct table *table, uint64_t hash)
{
    return (uint32_t)((hash >> 32) * table->head->slots_count >> 32);
}

static uint32_t after(const struct table *table, uint32_t slot)
{
    return slot + 1 < table->head->slots_count ? slot + 1 : 0;
}

struct session *ids_find(const struct table *table, struct session_id id)
{
    uint64_t hash = hash_of(table, id);
    for (uint32_t i = home_of(table, hash); table->slots[i].session != 0; i = after(table, i)) {
        if (table->slots[i].tag == (uint32_t)hash) {
            struct session *session = session_nth(table, table->slots[i].session);
            if (session_id_same(session->id, id)) {
                return session;
            }
        }
    }
    return NULL;
}

void ids_put(struct table *table, const struct session *session)
{
    uint64_t hash = hash_of(table, session->id);
    uint32_t i = home_of(table, hash);
    while (table->slots[i].session != 0) {
        i = after(table, i);
    }
    table->slots[i] = (struct table_slot){(uint32_t)hash, session_one(table, session)};
}

/* How far `slot` lies behind `home`, going round. */
static uint32_t distance(const struct table *table, uint32_t home, uint32_t slot)
{
    return slot >= home ? slot - home : slot + table->head->slots_count - home;
}

/* Moves up whoever could not begin nearer to his home because of the one that goes. */
static void close_gap(struct table *table, uint32_t gap)
{
    for (uint32_t i = after(table, gap); table->slots[i].session != 0; i = after(table, i)) {
        const struct session *session = session_nth(table, table->slots[i].session);
        uint32_t home = home_of(table, hash_of(table, session->id));
        if (distance(table, home, i) >= distance(table, gap, i)) {
            table->slots[gap] = table->slots[i];
            gap = i;
        }
    }
    table->slots[gap] = (struct table_slot){0};
}

void ids_remove(struct table *table, const struct session *session)
{
    uint32_t one = session_one(table, session);
    uint32_t i = home_of(table, hash_of(table, session->id));
    while (table->slots[i].session != one) {
        check(table->slots[i].session != 0);
        i = after(table, i);
    }
    close_gap(table, i);
}
