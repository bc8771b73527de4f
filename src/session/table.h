/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - the sessions of one shard: who is talking, and where they are served.
 *
 * The table lies in one block of memory that the caller provides, and refers to its parts by index
 * alone, so that the block can be mapped elsewhere, by another process, and attached again. It does
 * no I/O, takes no lock, reads no clock and allocates nothing: time is an argument, and who calls
 * it holds the lock.
 *
 *   a record     128 bytes: the first cache line is all that a look-up needs
 *   ids          a hash table of lines of the cache, twelve places each, a byte of tag beside each
 *   names        users, accounts, keys and places are kept once each, in a line of the cache, and
 *                in chained cells what is too long for it; a name of the first three heads the list
 *                of its sessions
 *   time         a wheel of 8192 buckets of a second. A touch writes `expires_ms` and nothing else;
 *                the wheel finds that out when the bucket is due, and puts the record where it
 *                belongs by then. Every look-up compares, so the end is exact, whatever the wheel
 *                does
 *   the end      leaves a tombstone for a while, which keeps late copies from raising the session
 *                again, and leads from an id that was rotated to its successor
 *   no room      what has expired goes first, then records that the store below knows as they are
 *                ("clean"), by CLOCK; when none is, the answer is WEIR_EFULL
 */
#pragma once
#include <weir/weir.h>

#include "base/check.h"
#include "base/nh.h"
#include "base/siphash.h"
#include "base/text.h"
#include "proto/session_record.h"

#define TABLE_WHEEL     8192U /* buckets of a second */
#define TABLE_INDEXES   3U    /* user, account, key: the kinds that have lists */
#define TABLE_MOST      (1U << 28)
#define TABLE_SOME      64U /* ends in one call of table_create() or table_rotate() are fewer */
#define TABLE_CELL_TEXT 28U

enum session_state { SESSION_FREE, SESSION_LIVE, SESSION_TOMB };

struct table_link {
    uint32_t next, prev; /* of the list of that name; index + 1 */
};

struct session {
    struct session_id id;
    uint64_t expires_ms;
    uint64_t bound_until_ms;
    uint32_t names[SESSION_NAMES]; /* index + 1; 0: none */
    uint32_t epoch;                /* of the binding; grows with each */
    uint8_t state : 7;             /* enum session_state */
    uint8_t is_stored : 1;         /* the store below has had it, as it was at some time */
    uint8_t status;
    bool is_dirty; /* the store below has not heard of the last change */
    bool is_used;  /* since the hand of the clock last came by */
    uint32_t wheel_next, wheel_prev;
    union {
        struct {
            uint64_t created_ms, active_ms;
        };
        struct session_id forward; /* of a tombstone: where it went, or zeroes */
    };
    uint32_t ttl_ms;
    uint32_t requests, errors; /* stay at their maximum */
    uint32_t version;          /* of the record: grows with each change */
    uint32_t attrs;            /* first cell */
    uint16_t attrs_len;
    uint16_t bucket; /* of the wheel */
    struct table_link links[TABLE_INDEXES];
};
_Static_assert(sizeof(struct session) == 128, "two cache lines");

enum table_end { TABLE_ENDED, TABLE_EXPIRED, TABLE_EVICTED, TABLE_ROTATED, TABLE_ENDS };

struct table_options {
    uint32_t sessions_max; /* 1 … TABLE_MOST; tombstones among them */
    uint32_t names_max;    /* [sessions_max × 3 + 1024] */
    uint32_t cells_max;    /* [sessions_max × 5 + 1024] of 28 bytes: texts and attributes */
    uint32_t tomb_ms;      /* how long a tombstone stays; 0: there are none */
    bool has_store;        /* records are dirty until table_clean(); else tombstones may go first */
    struct siphash_key key; /* of its hashes: secret, so that nobody can aim */
};

/* Counts since it was made; `live`, `tombs` and `clean` are now. */
struct table_count {
    uint32_t live, tombs, clean;
    uint64_t created, refused, ends[TABLE_ENDS];
};

struct table_head;
struct table_line;
struct table_name;
struct table_cell;

struct table {
    struct table_head *head;
    uint32_t *wheel;
    struct table_line *lines;
    uint64_t *changed; /* a bit for each record, for table_take_changed() */
    uint32_t *buckets; /* of names */
    struct table_name *names;
    struct table_cell *cells;
    struct session *sessions;
    struct nh_key names_key;
    uint32_t ready_next; /* the record before whose first use ready() is called */
    /* That memory will be written to soon: at most 64 KiB beside eight times as much. May be NULL.
     */
    void (*ready)(void *at, size_t bytes);
    /* A live record is about to go; it is whole. May be NULL. */
    void (*ended)(void *self, const struct session *session, enum table_end why);
    void *self;
};

/* What the block takes, or 0: the options are out of range. Pages that are never touched cost
 * nothing where the system gives zeroed pages on demand. */
size_t table_bytes(const struct table_options *opt);
/* An empty table in a block of zeroes, aligned to 64. */
void table_init(struct table *table, void *block, const struct table_options *opt, uint64_t now_ms);
/* The table that another process left in the block. Everything that can be derived is derived
 * anew; what contradicts itself, or is of another layout, is refused, and the block is spoilt. */
bool table_attach(struct table *table, void *block, size_t size, uint64_t now_ms);

struct table_count table_count(const struct table *table);
/* What has happened so far was not: for who filled it by table_import(). */
void table_forget_counts(struct table *table);

/* --- a session ----------------------------------------------------------------------------------
 */

struct table_make {
    struct slice names[SESSION_NAMES]; /* the place: see table_claim() */
    uint32_t ttl_ms;
    uint8_t status;
    bool is_fetched; /* by table_fetch_new(), of the same table: the names' hashes are here */
    uint32_t hashes[SESSION_NAMES];
};

/* WEIR_EEXISTS: it lives; WEIR_ESTALE: it has ended not long ago; WEIR_EFULL: no record, or no room
 * for the names; WEIR_EINVAL: a name of more than SESSION_NAME_MAX bytes, or no id. */
weir_err table_create(struct table *table, struct session_id id, const struct table_make *make,
                      uint64_t now_ms, struct session **ret_session);
/* A hint: the id will be looked for soon. Needs no lock. */
void table_fetch(const struct table *table, struct session_id id);
/* A hint: the session will be created soon. Needs no lock. */
void table_fetch_new(const struct table *table, struct session_id id, struct table_make *make);
/* A hint: what the session is called will be asked for soon. */
void table_fetch_names(const struct table *table, const struct session *session);
/* NULL: unknown, expired or ended. The pointer is good until the next call that takes a table that
 * is not const. */
struct session *table_find(struct table *table, struct session_id id, uint64_t now_ms);
/* Where the ended session went. */
bool table_forward(const struct table *table, struct session_id id, uint64_t now_ms,
                   struct session_id *ret_id);

/* A request was served, or failed: counted, and the end is put off, but not beyond `life_max_ms`
 * after the creation. */
void table_touch(struct table *table, struct session *session, bool is_error, uint32_t life_max_ms,
                 uint64_t now_ms);
weir_err table_rename(struct table *table, struct session *session, enum session_name kind,
                      struct slice text);
/* Several at once, or none of them; a slice without text (`at` NULL) leaves the name as it was. */
weir_err table_rename_some(struct table *table, struct session *session,
                           const struct slice texts[TABLE_INDEXES]);
void table_set_status(struct table *table, struct session *session, uint8_t status);
void table_set_ttl(struct table *table, struct session *session, uint32_t ttl_ms, uint64_t now_ms);
/* At most SESSION_ATTRS_MAX bytes; none: there are none. WEIR_EFULL, WEIR_EINVAL. */
weir_err table_set_attrs(struct table *table, struct session *session, struct slice bytes);
void table_end(struct table *table, struct session *session, uint64_t now_ms);
/* The same session by another id; the old one leads to it for as long as a tombstone stays.
 * WEIR_EEXISTS, WEIR_ESTALE: of the new id; WEIR_EFULL: no room for the tombstone. */
weir_err table_rotate(struct table *table, struct session *session, struct session_id to,
                      uint64_t now_ms);

/* --- where it is served -------------------------------------------------------------------------
 */

static inline bool session_is_bound(const struct session *session, uint64_t now_ms)
{
    return session->names[SESSION_PLACE] != 0 && session->bound_until_ms > now_ms;
}

/* Binds a session that is not bound; prolongs the binding of one that is bound to that place.
 * WEIR_EEXISTS: it is bound to another. */
weir_err table_claim(struct table *table, struct session *session, struct slice place,
                     uint32_t ttl_ms, uint64_t now_ms);
/* Binds it to another place, or to none, if the binding is still of that epoch; else WEIR_ESTALE.
 */
weir_err table_rebind(struct table *table, struct session *session, uint32_t epoch,
                      struct slice place, uint32_t ttl_ms, uint64_t now_ms);
/* Is served elsewhere from now on, since others have moved it: at `epoch`, until then. "": nowhere.
 * WEIR_EFULL, WEIR_EINVAL. */
weir_err table_adopt(struct table *table, struct session *session, struct slice place,
                     uint32_t epoch, uint64_t until_ms);

/* --- texts --------------------------------------------------------------------------------------
 */

/* How many bytes, of SESSION_NAME_MAX that may be written to; without an end mark. */
uint32_t table_name(const struct table *table, const struct session *session,
                    enum session_name kind, char *ret_text);
bool table_name_is(const struct table *table, const struct session *session, enum session_name kind,
                   struct slice text);
/* At most SESSION_ATTRS_MAX bytes; how many. */
uint32_t table_attrs(const struct table *table, const struct session *session, char *ret_bytes);

/* --- lists --------------------------------------------------------------------------------------
 */

/* The sessions of a user, account or key, last created first; expired ones among them. */
struct session *table_first_of(const struct table *table, enum session_name kind,
                               struct slice text);
struct session *table_next_of(const struct table *table, const struct session *session,
                              enum session_name kind);
/* How many that list has. */
uint32_t table_count_of(const struct table *table, enum session_name kind, struct slice text);
/* A record's place, which it keeps as long as it lives; and the live record at a place, or NULL. */
uint32_t table_place(const struct table *table, const struct session *session);
struct session *table_at(const struct table *table, uint32_t place);
/* The live record at or after *index, which moves past it; NULL at the end. */
struct session *table_walk(const struct table *table, uint32_t *index);
/* The same, with the tombstones. */
struct session *table_walk_all(const struct table *table, uint32_t *index);

/* --- time, and the store below ------------------------------------------------------------------
 */

/* Ends what has expired, looking at no more than `most` records. True: there is more to look at. */
bool table_tick(struct table *table, uint64_t now_ms, uint32_t most);
/* The next record at or after *index, tombstones among them, that has changed by more than a touch
 * since it was last taken; *index moves past it. NULL at the end. Only with has_store. */
struct session *table_take_changed(struct table *table, uint32_t *index);
/* It is to be taken again. */
void table_give_changed(struct table *table, const struct session *session);
/* The store below has nothing any more: no record was ever stored, and the tombstones, or the live
 * ones, are changed. */
void table_renew(struct table *table, enum session_state state);
/* Makes room for one, if a clean record is there. */
bool table_evict(struct table *table);
/* Whatever has the id, whether it lives, has expired, or is a tombstone; NULL. */
struct session *table_look(const struct table *table, struct session_id id);
/* The store below has the record as it was at that version. */
void table_clean(struct table *table, struct session *session, uint32_t version);
/* The record as others keep it; texts lie in `text` (SESSION_TEXT_MAX bytes). */
void table_export(const struct table *table, const struct session *session, char *text,
                  struct session_record *ret_record);
/* What is kept elsewhere is so here from now on, whatever was here before; a tombstone as well. One
 * that is over leaves nothing.
 * WEIR_EFULL, WEIR_EINVAL. */
weir_err table_import(struct table *table, const struct session_record *record, uint64_t now_ms);
