/* SPDX-License-Identifier: Apache-2.0
 *
 * table_block.c - the block that a table lies in: where its parts are, a new one, and one that
 * somebody else has left.
 *
 * Of a foreign block only three slabs are believed, and those only after each index in them was
 * looked at: the records, the names' texts and the cells. Buckets, lists, wheel, free chains and
 * counts are made again from these.
 */
#include "session/table_parts.h"

#define ALIGN    64U
#define PER_LINE 8U          /* records for each line of twelve places */
#define VISITED  0x80000000U /* of a cell's `next`, while a block is judged */

/* Where the parts begin. */
struct layout {
    size_t wheel, changed, lines, buckets, names, cells, sessions, end;
};

static size_t place(size_t *end, size_t count, size_t size)
{
    size_t at = *end;
    *end = (at + count * size + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

static struct layout layout_of(const struct table_head *head)
{
    struct layout layout = {0};
    place(&layout.end, 1, sizeof(struct table_head));
    layout.wheel = place(&layout.end, TABLE_WHEEL, sizeof(uint32_t));
    layout.changed = place(&layout.end, head->sessions.max / 64U + 1, sizeof(uint64_t));
    layout.lines = place(&layout.end, head->lines_count, sizeof(struct table_line));
    layout.buckets = place(&layout.end, head->buckets_count, sizeof(uint32_t));
    layout.names = place(&layout.end, head->names.max, sizeof(struct table_name));
    layout.cells = place(&layout.end, head->cells.max, sizeof(struct table_cell));
    layout.sessions = place(&layout.end, head->sessions.max, sizeof(struct session));
    return layout;
}

/* The head of a new table; false: the options are out of range. */
static bool head_of(const struct table_options *opt, struct table_head *ret_head)
{
    uint64_t sessions = opt->sessions_max;
    uint64_t names = opt->names_max > 0 ? opt->names_max : sessions * 3 + 1024;
    uint64_t cells = opt->cells_max > 0 ? opt->cells_max : sessions * 5 + 1024;
    if (sessions == 0 || sessions > TABLE_MOST || names > 4ULL * TABLE_MOST || cells >= VISITED) {
        return false;
    }
    *ret_head = (struct table_head){
        .magic = TABLE_MAGIC,
        .layout = TABLE_LAYOUT,
        .tomb_ms = opt->tomb_ms,
        .has_store = opt->has_store,
        .lines_count = (uint32_t)(sessions / PER_LINE + 1),
        .buckets_count = (uint32_t)(names / 2 + 1),
        .key = opt->key,
        .sessions.max = (uint32_t)sessions,
        .names.max = (uint32_t)names,
        .cells.max = (uint32_t)cells,
    };
    ret_head->bytes = layout_of(ret_head).end;
    return true;
}

static void parts_find(struct table *table, void *block)
{
    char *base = block;
    *table = (struct table){.head = block};
    struct layout layout = layout_of(table->head);
    table->wheel = (void *)(base + layout.wheel);
    table->changed = (void *)(base + layout.changed);
    table->lines = (void *)(base + layout.lines);
    table->buckets = (void *)(base + layout.buckets);
    table->names = (void *)(base + layout.names);
    table->cells = (void *)(base + layout.cells);
    table->sessions = (void *)(base + layout.sessions);
    table->ready_next = 8 * TABLE_READY + 1;
    nh_key_init(&table->names_key, &table->head->key);
}

size_t table_bytes(const struct table_options *opt)
{
    struct table_head head;
    return head_of(opt, &head) ? head.bytes : 0;
}

void table_init(struct table *table, void *block, const struct table_options *opt, uint64_t now_ms)
{
    struct table_head head;
    bool is_fine = head_of(opt, &head);
    check(is_fine);
    check((uintptr_t)block % ALIGN == 0);
    head.second = now_ms / 1000;
    memcpy(block, &head, sizeof head);
    parts_find(table, block);
}

/* --- a foreign block ----------------------------------------------------------------------------
 */

static bool head_is_ours(const struct table_head *head, size_t size)
{
    struct table_head same;
    const struct table_options opt = {.sessions_max = head->sessions.max,
                                      .names_max = head->names.max,
                                      .cells_max = head->cells.max};
    return head->magic == TABLE_MAGIC && head->layout == TABLE_LAYOUT && head->has_store <= 1
           && head->names.max > 0 && head->cells.max > 0 && head_of(&opt, &same)
           && head->bytes == same.bytes && head->bytes == size
           && head->lines_count == same.lines_count && head->buckets_count == same.buckets_count
           && head->sessions.touched <= head->sessions.max && head->names.touched <= head->names.max
           && head->cells.touched <= head->cells.max;
}

/* The chain is as long as the text needs, and no cell of it is another's. */
static bool chain_visit(struct table *table, uint32_t one, uint32_t len)
{
    for (uint32_t at = 0; at < len; at += TABLE_CELL_TEXT) {
        if (one == 0 || one > table->head->cells.touched) {
            return false; /* the bit of a cell that was visited makes an index too large, too */
        }
        struct table_cell *cell = &table->cells[one - 1];
        one = cell->next;
        cell->next |= VISITED;
    }
    return one == 0;
}

static bool names_visit(struct table *table)
{
    for (uint32_t i = 0; i < table->head->names.touched; i++) {
        const struct table_name *name = &table->names[i];
        if (name->refs != 0
            && (name->len == 0 || name->kind >= SESSION_NAMES
                || !chain_visit(table, name->rest, name->len - name_begins(name)))) {
            return false;
        }
    }
    return true;
}

static bool session_visit(struct table *table, const struct session *session)
{
    if (session->state == SESSION_FREE) {
        return true;
    }
    if (session->state > SESSION_TOMB || session_id_is_none(session->id)
        || session->status >= SESSION_STATUSES || session->attrs_len > SESSION_ATTRS_MAX) {
        return false;
    }
    for (unsigned kind = 0; kind < SESSION_NAMES; kind++) {
        uint32_t one = session->names[kind];
        if (one != 0
            && (session->state == SESSION_TOMB || one > table->head->names.touched
                || table->names[one - 1].refs == 0 || table->names[one - 1].kind != kind)) {
            return false;
        }
    }
    return chain_visit(table, session->attrs, session->attrs_len);
}

static bool sessions_visit(struct table *table)
{
    for (uint32_t i = 0; i < table->head->sessions.touched; i++) {
        if (!session_visit(table, &table->sessions[i])) {
            return false;
        }
    }
    return true;
}

static void cells_sweep(struct table *table)
{
    struct table_slab *slab = &table->head->cells;
    slab->free = 0;
    for (uint32_t i = 0; i < slab->touched; i++) {
        struct table_cell *cell = &table->cells[i];
        if (cell->next & VISITED) {
            cell->next &= ~VISITED;
        } else {
            cell->next = slab->free;
            slab->free = i + 1;
        }
    }
}

static bool names_derive(struct table *table)
{
    struct table_slab *slab = &table->head->names;
    slab->free = 0;
    memset(table->buckets, 0, table->head->buckets_count * sizeof *table->buckets);
    for (uint32_t i = 0; i < slab->touched; i++) {
        struct table_name *name = &table->names[i];
        if (name->refs == 0) {
            *name = (struct table_name){.next = slab->free};
            slab->free = i + 1;
        } else if (!names_adopt(table, i + 1)) {
            return false;
        }
    }
    return true;
}

static void session_derive(struct table *table, struct session *session)
{
    struct table_count *count = &table->head->count;
    uint32_t names[SESSION_NAMES];
    memcpy(names, session->names, sizeof names);
    memset(session->names, 0, sizeof session->names);
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        names_join(table, session, kind, names[kind]);
    }
    ids_put(table, session);
    wheel_put(table, session);
    if (session->is_dirty) {
        table_give_changed(table, session);
    }
    count->live += session->state == SESSION_LIVE;
    count->tombs += session->state == SESSION_TOMB;
    count->clean += !session->is_dirty;
}

static bool sessions_derive(struct table *table)
{
    struct table_head *head = table->head;
    head->sessions.free = 0;
    head->count.live = head->count.tombs = head->count.clean = 0;
    memset(table->lines, 0, head->lines_count * sizeof *table->lines);
    memset(table->changed, 0, (head->sessions.max / 64U + 1) * sizeof *table->changed);
    memset(table->wheel, 0, TABLE_WHEEL * sizeof *table->wheel);
    for (uint32_t i = 0; i < head->sessions.touched; i++) {
        struct session *session = &table->sessions[i];
        if (session->state == SESSION_FREE) {
            *session = (struct session){.wheel_next = head->sessions.free};
            head->sessions.free = i + 1;
        } else if (ids_find(table, session->id) != NULL) {
            return false;
        } else {
            session_derive(table, session);
        }
    }
    return true;
}

/* What a name's list was left with no session of. */
static void names_tidy(struct table *table)
{
    for (uint32_t i = 0; i < table->head->names.touched; i++) {
        if (table->names[i].len > 0) {
            names_drop(table, i + 1);
        }
    }
}

/* Bytes that are read as truth or falsehood are one of the two. */
static void flags_mend(struct table *table)
{
    for (uint32_t i = 0; i < table->head->sessions.touched; i++) {
        struct session *session = &table->sessions[i];
        unsigned char flags[2];
        memcpy(flags, (char *)session + offsetof(struct session, is_dirty), 2);
        session->is_dirty = flags[0] != 0;
        session->is_used = flags[1] != 0;
    }
}

bool table_attach(struct table *table, void *block, size_t size, uint64_t now_ms)
{
    struct table_head *head = block;
    if (size < sizeof *head || (uintptr_t)block % ALIGN != 0 || !head_is_ours(head, size)) {
        return false;
    }
    parts_find(table, block);
    head->second = now_ms / 1000;
    head->hand = 0;
    flags_mend(table);
    if (!names_visit(table) || !sessions_visit(table)) {
        return false;
    }
    cells_sweep(table);
    if (!names_derive(table) || !sessions_derive(table)) {
        return false;
    }
    names_tidy(table);
    return true;
}
