/* SPDX-License-Identifier: Apache-2.0
 *
 * table_names.c - texts, of which what is long lies in chained cells, each name once, and the lists
 * of sessions that they head.
 */
#include "session/table_parts.h"

static struct table_cell *cell_nth(const struct table *table, uint32_t one)
{
    return &table->cells[one - 1];
}

static struct table_name *name_nth(const struct table *table, uint32_t one)
{
    return &table->names[one - 1];
}

/* --- cells --------------------------------------------------------------------------------------
 */

static uint32_t cell_take(struct table *table)
{
    struct table_slab *slab = &table->head->cells;
    uint32_t one = slab->free;
    if (one == 0) {
        return slab_fresh(slab);
    }
    slab->free = cell_nth(table, one)->next;
    return one;
}

uint32_t cells_store(struct table *table, struct slice text)
{
    uint32_t first = 0, *link = &first;
    for (uint32_t at = 0; at < text.len; at += TABLE_CELL_TEXT) {
        uint32_t len = text.len - at < TABLE_CELL_TEXT ? text.len - at : TABLE_CELL_TEXT;
        uint32_t one = cell_take(table);
        if (one == 0) {
            cells_drop(table, first);
            return 0;
        }
        struct table_cell *cell = cell_nth(table, one);
        memcpy(cell->text, text.at + at, len);
        cell->next = 0;
        *link = one;
        link = &cell->next;
    }
    return first;
}

void cells_drop(struct table *table, uint32_t cell)
{
    while (cell != 0) {
        uint32_t next = cell_nth(table, cell)->next;
        cell_nth(table, cell)->next = table->head->cells.free;
        table->head->cells.free = cell;
        cell = next;
    }
}

uint32_t cells_load(const struct table *table, uint32_t cell, uint32_t len, char *ret_text)
{
    for (uint32_t at = 0; at < len; at += TABLE_CELL_TEXT) {
        uint32_t part = len - at < TABLE_CELL_TEXT ? len - at : TABLE_CELL_TEXT;
        memcpy(ret_text + at, cell_nth(table, cell)->text, part);
        cell = cell_nth(table, cell)->next;
    }
    return len;
}

static bool cells_are(const struct table *table, uint32_t cell, struct slice text)
{
    for (uint32_t at = 0; at < text.len; at += TABLE_CELL_TEXT) {
        uint32_t part = text.len - at < TABLE_CELL_TEXT ? text.len - at : TABLE_CELL_TEXT;
        if (memcmp(cell_nth(table, cell)->text, text.at + at, part) != 0) {
            return false;
        }
        cell = cell_nth(table, cell)->next;
    }
    return true;
}

static struct slice after(struct slice text, uint32_t len)
{
    return (struct slice){text.at + len, text.len - len};
}

/* --- names --------------------------------------------------------------------------------------
 */

static uint32_t hash_of(const struct table *table, enum session_name kind, struct slice text)
{
    return (uint32_t)nh(&table->names_key, text.at, text.len) + kind;
}

static uint32_t *bucket_of(const struct table *table, uint32_t hash)
{
    return &table->buckets[(uint64_t)hash * table->head->buckets_count >> 32];
}

uint32_t names_fetch(const struct table *table, enum session_name kind, struct slice text)
{
    if (text.len == 0 || text.len > SESSION_NAME_MAX) {
        return 0; /* of who is refused, too: a hint comes before */
    }
    uint32_t hash = hash_of(table, kind, text);
    __builtin_prefetch(bucket_of(table, hash), 1);
    return hash;
}

void names_fetch_found(const struct table *table, const uint32_t hashes[SESSION_NAMES])
{
    for (unsigned kind = 0; kind < SESSION_NAMES; kind++) {
        uint32_t one = hashes[kind] != 0 ? *bucket_of(table, hashes[kind]) : 0;
        __builtin_prefetch(&table->names[one != 0 ? one - 1 : 0], 1);
    }
}

void table_fetch_names(const struct table *table, const struct session *session)
{
    for (unsigned kind = 0; kind < SESSION_NAMES; kind++) {
        uint32_t one = session->names[kind];
        __builtin_prefetch(&table->names[one != 0 ? one - 1 : 0]);
    }
}

/* Of the length that most names have, by two words that overlap. */
static bool bytes_same(const char *a, const char *b, uint32_t len)
{
    uint64_t first[2], last[2];
    if (len < 8 || len > 16) {
        return memcmp(a, b, len) == 0;
    }
    memcpy(&first[0], a, 8);
    memcpy(&first[1], b, 8);
    memcpy(&last[0], a + len - 8, 8);
    memcpy(&last[1], b + len - 8, 8);
    return ((first[0] ^ first[1]) | (last[0] ^ last[1])) == 0;
}

static bool text_is(const struct table *table, const struct table_name *name, struct slice text)
{
    uint32_t begins = name_begins(name);
    if (name->len != text.len || !bytes_same(name->text, text.at, begins)) {
        return false;
    }
    return begins == text.len || cells_are(table, name->rest, after(text, begins));
}

static uint32_t text_load(const struct table *table, const struct table_name *name, char *ret_text)
{
    memcpy(ret_text, name->text, sizeof name->text); /* of one length: a few moves and no call */
    if (name->len > sizeof name->text) {
        cells_load(table, name->rest, name->len - (uint32_t)sizeof name->text,
                   ret_text + sizeof name->text);
    }
    return name->len;
}

/* False: no room. */
static bool text_store(struct table *table, struct table_name *name, struct slice text)
{
    name->len = (uint8_t)text.len;
    uint32_t begins = name_begins(name);
    memcpy(name->text, text.at, begins);
    name->rest = cells_store(table, after(text, begins));
    return name->rest != 0 || begins == text.len;
}

static uint32_t find_by(const struct table *table, enum session_name kind, struct slice text,
                        uint32_t hash)
{
    for (uint32_t one = *bucket_of(table, hash); one != 0; one = name_nth(table, one)->next) {
        const struct table_name *name = name_nth(table, one);
        if (name->hash == hash && name->kind == kind && text_is(table, name, text)) {
            return one;
        }
    }
    return 0;
}

uint32_t names_find(const struct table *table, enum session_name kind, struct slice text)
{
    return text.len <= SESSION_NAME_MAX ? find_by(table, kind, text, hash_of(table, kind, text))
                                        : 0;
}

uint32_t names_take(struct table *table, enum session_name kind, struct slice text)
{
    return names_take_by(table, kind, text, text.len > 0 ? hash_of(table, kind, text) : 0);
}

uint32_t names_take_by(struct table *table, enum session_name kind, struct slice text,
                       uint32_t hash)
{
    struct table_slab *slab = &table->head->names;
    uint32_t one = text.len > 0 ? find_by(table, kind, text, hash) : 0;
    if (one != 0 || text.len == 0) {
        uint32_t first = one != 0 ? name_nth(table, one)->head : 0;
        __builtin_prefetch(&table->sessions[first != 0 ? first - 1 : 0].links, 1);
        return one;
    }
    one = slab->free != 0 ? slab->free : slab_fresh(slab);
    if (one == 0) {
        return 0;
    }
    struct table_name *name = name_nth(table, one);
    slab->free = one == slab->free ? name->next : slab->free;
    *name = (struct table_name){.hash = hash, .kind = (uint8_t)kind};
    if (!text_store(table, name, text)) {
        *name = (struct table_name){.next = slab->free};
        slab->free = one;
        return 0;
    }
    uint32_t *bucket = bucket_of(table, name->hash);
    name->next = *bucket;
    *bucket = one;
    return one;
}

void names_drop(struct table *table, uint32_t one)
{
    struct table_name *name = name_nth(table, one);
    if (name->refs > 0) {
        return;
    }
    uint32_t *link = bucket_of(table, name->hash);
    while (*link != one) {
        check(*link != 0);
        link = &name_nth(table, *link)->next;
    }
    *link = name->next;
    cells_drop(table, name->rest);
    *name = (struct table_name){.next = table->head->names.free};
    table->head->names.free = one;
}

bool names_adopt(struct table *table, uint32_t one)
{
    char bytes[SESSION_NAME_MAX];
    struct table_name *name = name_nth(table, one);
    struct slice text = {bytes, text_load(table, name, bytes)};
    if (names_find(table, name->kind, text) != 0) {
        return false;
    }
    name->hash = hash_of(table, name->kind, text);
    name->head = name->refs = 0;
    uint32_t *bucket = bucket_of(table, name->hash);
    name->next = *bucket;
    *bucket = one;
    return true;
}

/* --- lists --------------------------------------------------------------------------------------
 */

void names_join(struct table *table, struct session *session, enum session_name kind, uint32_t one)
{
    check(session->names[kind] == 0);
    if (one == 0) {
        return;
    }
    struct table_name *name = name_nth(table, one);
    session->names[kind] = one;
    name->refs++;
    if (kind < TABLE_INDEXES) {
        session->links[kind] = (struct table_link){.next = name->head};
        if (name->head != 0) {
            session_nth(table, name->head)->links[kind].prev = session_one(table, session);
        }
        name->head = session_one(table, session);
    }
}

void names_leave(struct table *table, struct session *session, enum session_name kind)
{
    uint32_t one = session->names[kind];
    if (one == 0) {
        return;
    }
    struct table_name *name = name_nth(table, one);
    if (kind < TABLE_INDEXES) {
        struct table_link link = session->links[kind];
        uint32_t *before = link.prev != 0 ? &session_nth(table, link.prev)->links[kind].next
                                          : &name->head;
        *before = link.next;
        if (link.next != 0) {
            session_nth(table, link.next)->links[kind].prev = link.prev;
        }
    }
    session->names[kind] = 0;
    name->refs--;
    names_drop(table, one);
}

struct session *table_first_of(const struct table *table, enum session_name kind, struct slice text)
{
    uint32_t one = text.len > 0 && kind < TABLE_INDEXES ? names_find(table, kind, text) : 0;
    uint32_t head = one != 0 ? name_nth(table, one)->head : 0;
    return head != 0 ? session_nth(table, head) : NULL;
}

struct session *table_next_of(const struct table *table, const struct session *session,
                              enum session_name kind)
{
    uint32_t next = session->links[kind].next;
    return next != 0 ? session_nth(table, next) : NULL;
}

uint32_t table_count_of(const struct table *table, enum session_name kind, struct slice text)
{
    uint32_t one = text.len > 0 ? names_find(table, kind, text) : 0;
    return one != 0 ? name_nth(table, one)->refs : 0;
}

uint32_t table_name(const struct table *table, const struct session *session,
                    enum session_name kind, char *ret_text)
{
    uint32_t one = session->names[kind];
    return one != 0 ? text_load(table, name_nth(table, one), ret_text) : 0;
}

bool table_name_is(const struct table *table, const struct session *session, enum session_name kind,
                   struct slice text)
{
    uint32_t one = session->names[kind];
    return one != 0 ? text_is(table, name_nth(table, one), text) : text.len == 0;
}
