/* SPDX-License-Identifier: Apache-2.0
 *
 * table_time.c - how records end: the wheel, the hand of the clock, tombstones.
 */
#include "session/table_parts.h"

/* --- the wheel ----------------------------------------------------------------------------------
 */

/* The second by whose beginning it has expired; at most a turn of the wheel away. */
static uint16_t bucket_of(const struct table *table, const struct session *session)
{
    uint64_t soon = table->head->second + 1, late = table->head->second + TABLE_WHEEL - 1;
    uint64_t due = session->expires_ms / 1000 + 1;
    due = due < soon ? soon : due > late ? late : due;
    return (uint16_t)(due % TABLE_WHEEL);
}

void wheel_put(struct table *table, struct session *session)
{
    session->bucket = bucket_of(table, session);
    uint32_t *head = &table->wheel[session->bucket];
    session->wheel_prev = 0;
    session->wheel_next = *head;
    if (*head != 0) {
        session_nth(table, *head)->wheel_prev = session_one(table, session);
    }
    *head = session_one(table, session);
}

void wheel_remove(struct table *table, struct session *session)
{
    uint32_t *before = session->wheel_prev != 0
                           ? &session_nth(table, session->wheel_prev)->wheel_next
                           : &table->wheel[session->bucket];
    *before = session->wheel_next;
    if (session->wheel_next != 0) {
        session_nth(table, session->wheel_next)->wheel_prev = session->wheel_prev;
    }
}

/* False: `most` were looked at, and there is more. */
static bool bucket_empty(struct table *table, uint32_t bucket, uint64_t now_ms, uint32_t *most)
{
    while (table->wheel[bucket] != 0) {
        if (*most == 0) {
            return false;
        }
        (*most)--;
        struct session *session = session_nth(table, table->wheel[bucket]);
        if (session->expires_ms <= now_ms) {
            record_remove(table, session, TABLE_EXPIRED);
        } else {
            wheel_remove(table, session);
            wheel_put(table, session);
        }
    }
    return true;
}

bool table_tick(struct table *table, uint64_t now_ms, uint32_t most)
{
    struct table_head *head = table->head;
    uint64_t due = now_ms / 1000;
    if (due > head->second + TABLE_WHEEL) { /* one turn sees all there is */
        head->second = due - TABLE_WHEEL;
    }
    while (head->second < due) {
        if (!bucket_empty(table, (head->second + 1) % TABLE_WHEEL, now_ms, &most)) {
            return true;
        }
        head->second++;
    }
    return false;
}

/* --- room ---------------------------------------------------------------------------------------
 */

/* May it go, for want of room? */
static bool may_go(const struct table *table, const struct session *session)
{
    return (session->state == SESSION_TOMB && !table->head->has_store) || !session->is_dirty;
}

/* By CLOCK: who was used since the hand last came by has another turn. */
bool table_evict(struct table *table)
{
    struct table_head *head = table->head;
    bool has_tombs = !head->has_store && head->count.tombs > 0;
    if (head->count.clean == 0 && !has_tombs) {
        return false;
    }
    for (uint32_t i = 0; i < 2 * head->sessions.touched; i++) {
        head->hand = head->hand + 1 < head->sessions.touched ? head->hand + 1 : 0;
        struct session *session = &table->sessions[head->hand];
        if (session->state == SESSION_FREE || !may_go(table, session)) {
            continue;
        }
        if (!session->is_used) {
            record_remove(table, session, TABLE_EVICTED);
            return true;
        }
        session->is_used = false;
    }
    return false;
}

/* A record is used for the first time. */
static void make_ready(struct table *table, uint32_t one)
{
    if (one >= table->ready_next && table->ready != NULL) {
        uint32_t left = table->head->sessions.max - (one - 1);
        uint32_t some = left < TABLE_READY ? left : (uint32_t)TABLE_READY;
        table->ready(session_nth(table, one), some * sizeof(struct session));
        table->ready_next = one + some;
    }
}

bool room_is_free(const struct table *table)
{
    const struct table_slab *slab = &table->head->sessions;
    return slab->free != 0 || slab->touched < slab->max;
}

void room_give(struct table *table, struct session *session)
{
    *session = (struct session){.wheel_next = table->head->sessions.free};
    table->head->sessions.free = session_one(table, session);
}

struct session *room_take(struct table *table, uint64_t now_ms)
{
    struct table_slab *slab = &table->head->sessions;
    uint32_t one = slab->free;
    if (one == 0) {
        one = slab_fresh(slab);
        if (one != 0) {
            make_ready(table, one);
            return session_nth(table, one);
        }
        while (slab->free == 0 && table_tick(table, now_ms, 1)) {
        }
        if (slab->free == 0 && !table_evict(table)) {
            return NULL;
        }
        one = slab->free;
    }
    struct session *session = session_nth(table, one);
    slab->free = session->wheel_next;
    return session;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void forget(struct table *table, struct session *session)
{
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        names_leave(table, session, kind);
    }
    cells_drop(table, session->attrs);
    session->attrs = 0;
    session->attrs_len = 0;
}

static void tell(struct table *table, const struct session *session, enum table_end why)
{
    table->head->count.ends[why]++;
    if (table->ended != NULL) {
        table->ended(table->self, session, why);
    }
}

static uint64_t *changed_of(const struct table *table, const struct session *session,
                            uint64_t *ret_bit)
{
    uint32_t place = session_one(table, session) - 1;
    *ret_bit = UINT64_C(1) << place % 64U;
    return &table->changed[place / 64U];
}

void table_give_changed(struct table *table, const struct session *session)
{
    uint64_t bit, *word = changed_of(table, session, &bit);
    *word |= bit;
}

static void forget_changed(struct table *table, const struct session *session)
{
    uint64_t bit, *word = changed_of(table, session, &bit);
    *word &= ~bit;
}

struct session *table_take_changed(struct table *table, uint32_t *index)
{
    uint32_t words = table->head->sessions.max / 64U + 1;
    for (uint32_t i = *index / 64U; i < words; i++) {
        uint64_t left = i == *index / 64U ? table->changed[i] & UINT64_MAX << *index % 64U
                                          : table->changed[i];
        if (left != 0) {
            uint32_t place = i * 64U + (uint32_t)__builtin_ctzll(left);
            struct session *session = &table->sessions[place];
            *index = place + 1;
            forget_changed(table, session);
            return session;
        }
    }
    *index = words * 64U;
    return NULL;
}

void record_changed(struct table *table, struct session *session)
{
    record_touched(table, session);
    table_give_changed(table, session);
}

void record_touched(struct table *table, struct session *session)
{
    table->head->count.clean -= !session->is_dirty;
    session->is_dirty = true;
    session->version++;
}

void record_remove(struct table *table, struct session *session, enum table_end why)
{
    struct table_head *head = table->head;
    if (session->state == SESSION_LIVE) {
        tell(table, session, why);
        forget(table, session);
        head->count.live--;
    } else {
        head->count.tombs--;
    }
    head->count.clean -= !session->is_dirty;
    wheel_remove(table, session);
    ids_remove(table, session);
    forget_changed(table, session);
    room_give(table, session);
}

void record_undo(struct table *table, struct session *session)
{
    forget(table, session);
    wheel_remove(table, session);
    forget_changed(table, session);
    room_give(table, session);
    table->head->count.live--;
}

void record_bury(struct table *table, struct session *session, struct session_id forward,
                 enum table_end why, uint64_t until_ms)
{
    if (table->head->tomb_ms == 0) {
        record_remove(table, session, why);
        return;
    }
    tell(table, session, why);
    forget(table, session);
    wheel_remove(table, session);
    record_changed(table, session);
    session->state = SESSION_TOMB;
    session->forward = forward;
    session->expires_ms = until_ms;
    session->bound_until_ms = 0;
    wheel_put(table, session);
    table->head->count.live--;
    table->head->count.tombs++;
}

weir_err stone_put(struct table *table, struct session_id id, struct session_id forward,
                   uint64_t until_ms, uint64_t now_ms)
{
    if (table->head->tomb_ms == 0) {
        return WEIR_OK;
    }
    struct session *stone = room_take(table, now_ms);
    if (stone == NULL) {
        return WEIR_EFULL;
    }
    *stone = (struct session){.id = id,
                              .expires_ms = until_ms,
                              .state = SESSION_TOMB,
                              .is_dirty = true,
                              .is_used = true,
                              .forward = forward,
                              .version = 1};
    table_give_changed(table, stone);
    ids_put(table, stone);
    wheel_put(table, stone);
    table->head->count.tombs++;
    return WEIR_OK;
}

void table_clean(struct table *table, struct session *session, uint32_t version)
{
    session->is_stored = true;
    if (session->is_dirty && session->version == version) {
        session->is_dirty = false;
        table->head->count.clean++;
    }
}

void table_renew(struct table *table, enum session_state state)
{
    uint32_t index = 0;
    struct session *session;
    while ((session = table_walk_all(table, &index)) != NULL) {
        session->is_stored = false;
        if (session->state == state) {
            record_changed(table, session);
        }
    }
}
