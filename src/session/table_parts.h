/* SPDX-License-Identifier: Apache-2.0
 *
 * table_parts.h - what lies in a table's block, for its own files alone. Indexes are index + 1, and
 * 0 is none.
 */
#pragma once
#include "session/table.h"

#define TABLE_MAGIC  UINT64_C(0x3120736e73697277)
#define TABLE_LAYOUT 4U /* grows when the meaning of a byte in the block changes */

/* Records that are made ready at once: 64 KiB. */
#define TABLE_READY (65536U / sizeof(struct session))

/* A slab of equal parts: those below `touched` were taken at least once. */
struct table_slab {
    uint32_t max, touched, free;
};

struct table_head {
    uint64_t magic;
    uint64_t bytes; /* of the block */
    uint32_t layout;
    uint32_t tomb_ms;
    uint32_t has_store;
    uint32_t lines_count, buckets_count;
    uint32_t hand;   /* of the clock */
    uint64_t second; /* the wheel has done its work up to this one */
    struct siphash_key key;
    struct table_slab sessions, names, cells;
    struct table_count count;
};

/* Places of the hash table, as many as fit a line of the cache. */
struct table_line {
    uint8_t tags[12]; /* 0: free */
    uint32_t passed;  /* ids that live in a line behind this one, since this one was full */
    uint32_t sessions[12];
};
_Static_assert(sizeof(struct table_line) == 64, "a line of the cache");

/* A line of the cache: who has come to a name has its text as well, unless that is long. */
struct table_name {
    uint32_t hash;
    uint32_t next; /* in its bucket, or in the chain of free ones */
    uint32_t head; /* of its list */
    uint32_t refs; /* sessions that have it; 0: free */
    uint32_t rest; /* first cell of what the text has beyond its beginning */
    uint8_t len, kind;
    char text[42]; /* its beginning */
};
_Static_assert(sizeof(struct table_name) == 64, "a line of the cache");

static inline uint32_t name_begins(const struct table_name *name)
{
    return name->len < sizeof name->text ? name->len : (uint32_t)sizeof name->text;
}

struct table_cell {
    uint32_t next;
    char text[TABLE_CELL_TEXT];
};

static inline struct session *session_nth(const struct table *table, uint32_t one)
{
    return &table->sessions[one - 1];
}

static inline uint32_t session_one(const struct table *table, const struct session *session)
{
    return (uint32_t)(session - table->sessions) + 1;
}

/* Index + 1 of one that was free, or 0. */
static inline uint32_t slab_fresh(struct table_slab *slab)
{
    return slab->touched < slab->max ? ++slab->touched : 0;
}

/* --- table_find.c: ids --------------------------------------------------------------------------
 */

/* Whatever has the id: live, expired or a tombstone; NULL. */
struct session *ids_find(const struct table *table, struct session_id id);
void ids_put(struct table *table, const struct session *session);
void ids_remove(struct table *table, const struct session *session);

/* --- table_names.c: texts and lists -------------------------------------------------------------
 */

/* 0: no room. */
uint32_t cells_store(struct table *table, struct slice text);
void cells_drop(struct table *table, uint32_t cell);
uint32_t cells_load(const struct table *table, uint32_t cell, uint32_t len, char *ret_text);

/* 0: nobody has it, or can. */
uint32_t names_find(const struct table *table, enum session_name kind, struct slice text);
/* The same, or a new one without a session; 0: no room, or nothing to keep. */
uint32_t names_take(struct table *table, enum session_name kind, struct slice text);
/* The hash of a name that will be taken soon, and by it. */
uint32_t names_fetch(const struct table *table, enum session_name kind, struct slice text);
uint32_t names_take_by(struct table *table, enum session_name kind, struct slice text,
                       uint32_t hash);
/* What stands first in the buckets of these hashes will be looked at soon. */
void names_fetch_found(const struct table *table, const uint32_t hashes[SESSION_NAMES]);
/* Forgets the name if no session has it. */
void names_drop(struct table *table, uint32_t one);
/* The session has the name from now on, and is on its list; it had none of that kind. */
void names_join(struct table *table, struct session *session, enum session_name kind, uint32_t one);
void names_leave(struct table *table, struct session *session, enum session_name kind);
/* Puts a name that has its text back into its bucket. False: it is there already. */
bool names_adopt(struct table *table, uint32_t one);

/* --- table_time.c: the wheel, the clock and the ends --------------------------------------------
 */

void wheel_put(struct table *table, struct session *session);
void wheel_remove(struct table *table, struct session *session);
/* A free record, or NULL. Somebody may go for it, unless one is free. */
struct session *room_take(struct table *table, uint64_t now_ms);
bool room_is_free(const struct table *table);
/* What is on no list is free. */
void room_give(struct table *table, struct session *session);
/* Takes the record away, and says why if it was live. */
void record_remove(struct table *table, struct session *session, enum table_end why);
/* A live record that is not among the ids yet was not made. */
void record_undo(struct table *table, struct session *session);
/* A live record becomes a tombstone, or goes where there are none. */
void record_bury(struct table *table, struct session *session, struct session_id forward,
                 enum table_end why, uint64_t until_ms);
/* A tombstone of its own, unless there are none. WEIR_EFULL. */
weir_err stone_put(struct table *table, struct session_id id, struct session_id forward,
                   uint64_t until_ms, uint64_t now_ms);
void record_touched(struct table *table, struct session *session);
/* By more than a touch. */
void record_changed(struct table *table, struct session *session);
