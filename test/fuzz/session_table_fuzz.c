/* SPDX-License-Identifier: Apache-2.0
 *
 * session_table_fuzz.c - a table's block that somebody else has left: it is refused, or it is a
 * table that can be lived in.
 *
 * The input is patches of a sound block: two bytes of place, one of its part of the block, one that
 * is put there.
 */
#include "base/check.h"
#include "session/table.h"

#include <stdlib.h>
#include <string.h>

#define SESSIONS 12U
#define NOW_MS   1000000U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct table_options options = {.sessions_max = SESSIONS,
                                             .names_max = 20,
                                             .cells_max = 40,
                                             .tomb_ms = 60000};

static struct session_id id_of(uint64_t number)
{
    return (struct session_id){5, number};
}

static weir_err create(struct table *table, uint64_t number, uint64_t now_ms)
{
    static const char *const users[] = {
        "ann", "bob", "a name that is longer than a line of the cache, so that it has a rest"};
    struct session *session;
    struct table_make make = {.ttl_ms = 100000};
    make.names[SESSION_USER] = slice_of(users[number % 3]);
    make.names[SESSION_KEY] = SLICE("key");
    return table_create(table, id_of(number), &make, now_ms, &session);
}

static void furnish(struct table *table)
{
    for (uint64_t i = 1; i < SESSIONS - 2; i++) {
        weir_err err = create(table, i, NOW_MS);
        check(err == WEIR_OK);
    }
    table_set_attrs(table, table_find(table, id_of(2), NOW_MS), SLICE("attributes of the second"));
    table_claim(table, table_find(table, id_of(3), NOW_MS), SLICE("place"), 1000, NOW_MS);
    table_rotate(table, table_find(table, id_of(4), NOW_MS), id_of(50), NOW_MS);
    table_end(table, table_find(table, id_of(5), NOW_MS), NOW_MS);
}

static void live_in(struct table *table)
{
    char text[SESSION_TEXT_MAX];
    struct session_record record;
    struct session *session;
    uint32_t index = 0, seen = 0;
    while ((session = table_walk(table, &index)) != NULL) {
        table_export(table, session, text, &record);
        check(record.status < SESSION_STATUSES);
        table_import(table, &record, NOW_MS);
        seen++;
    }
    check(seen == table_count(table).live && seen <= SESSIONS);
    for (uint64_t i = 0; i < 30; i++) {
        create(table, i, NOW_MS);
        session = table_find(table, id_of(i), NOW_MS);
        if (session != NULL) {
            table_touch(table, session, false, UINT32_MAX, NOW_MS);
            table_rename(table, session, SESSION_ACCOUNT, SLICE("account"));
            table_rotate(table, session, id_of(100 + i), NOW_MS);
        }
    }
    seen = 0;
    for (session = table_first_of(table, SESSION_KEY, SLICE("key")); session != NULL;
         session = table_next_of(table, session, SESSION_KEY)) {
        seen++;
    }
    check(seen == table_count_of(table, SESSION_KEY, SLICE("key")));
    for (uint32_t i = 0; i < 100 && table_tick(table, UINT64_MAX, 7); i++) {
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct table table;
    size_t bytes = table_bytes(&options);
    uint8_t *block = aligned_alloc(64, bytes);
    if (block == NULL) {
        return 0;
    }
    memset(block, 0, bytes);
    table_init(&table, block, &options, NOW_MS);
    furnish(&table);
    size_t wheel = (size_t)((uint8_t *)table.wheel - block),
           parts[] = {0, wheel + TABLE_WHEEL * sizeof(uint32_t),
                      (size_t)((uint8_t *)table.names - block),
                      (size_t)((uint8_t *)table.cells - block),
                      (size_t)((uint8_t *)table.sessions - block)};
    for (size_t i = 0; i + 4 <= size; i += 4) {
        size_t at = parts[data[i + 2] % 5] + (data[i] | (size_t)data[i + 1] << 8);
        block[at < bytes ? at : bytes - 1] = data[i + 3];
    }
    if (table_attach(&table, block, bytes, NOW_MS)) {
        live_in(&table);
    }
    free(block);
    return 0;
}
