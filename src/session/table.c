/* SPDX-License-Identifier: Apache-2.0 */
#include "session/table_parts.h"

static const struct session_id nowhere;

struct table_count table_count(const struct table *table)
{
    return table->head->count;
}

/* --- creating and finding -----------------------------------------------------------------------
 */

static bool is_over(const struct session *session, uint64_t now_ms)
{
    return session->expires_ms <= now_ms;
}

/* Is the id free for a new session? What has expired under it goes. */
static weir_err id_free(struct table *table, struct session_id id, uint64_t now_ms)
{
    struct session *old = ids_find(table, id);
    if (old == NULL) {
        return WEIR_OK;
    }
    if (is_over(old, now_ms)) {
        record_remove(table, old, TABLE_EXPIRED);
        return WEIR_OK;
    }
    return old->state == SESSION_LIVE ? WEIR_EEXISTS : WEIR_ESTALE;
}

static void drop_names(struct table *table, const uint32_t *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (names[i] != 0) {
            names_drop(table, names[i]);
        }
    }
}

/* All of them, or none. */
static bool take_names(struct table *table, const struct slice *texts,
                       const uint32_t hashes[SESSION_NAMES], uint32_t ret_names[SESSION_NAMES])
{
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        ret_names[kind] = 0;
        if (texts[kind].len == 0) {
            continue;
        }
        ret_names[kind] = names_take_by(table, kind, texts[kind], hashes[kind]);
        if (ret_names[kind] == 0) {
            drop_names(table, ret_names, kind);
            return false;
        }
    }
    return true;
}

static void fetch_names(const struct table *table, const struct slice *texts,
                        uint32_t ret_hashes[SESSION_NAMES])
{
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        ret_hashes[kind] = names_fetch(table, kind, texts[kind]);
    }
}

/* What a new session writes that was not read before: its record and, maybe, a name. */
static void fetch_room(const struct table *table)
{
    const struct table_head *head = table->head;
    uint32_t at = head->sessions.free != 0 ? head->sessions.free - 1 : head->sessions.touched;
    uint32_t name = head->names.free != 0 ? head->names.free - 1 : head->names.touched;
    const char *record = (const char *)&table->sessions[at < head->sessions.max ? at : 0];
    __builtin_prefetch(record, 1);
    __builtin_prefetch(record + 64, 1);
    __builtin_prefetch(&table->names[name < head->names.max ? name : 0], 1);
}

void table_fetch_new(const struct table *table, struct session_id id, struct table_make *make)
{
    table_fetch(table, id);
    fetch_names(table, make->names, make->hashes);
    make->is_fetched = true;
}

static bool names_fit(const struct slice *texts)
{
    for (unsigned i = 0; i < SESSION_NAMES; i++) {
        if (texts[i].len > SESSION_NAME_MAX) {
            return false;
        }
    }
    return true;
}

/* A live record, in all indexes but the ids', where it belongs next; NULL: there is no room. The
 * caller says the rest. */
static struct session *record_new(struct table *table, struct session_id id,
                                  const struct slice *texts, const uint32_t hashes[SESSION_NAMES],
                                  uint64_t expires_ms, uint64_t now_ms)
{
    uint32_t names[SESSION_NAMES];
    struct session *session = room_take(table, now_ms);
    if (session == NULL) {
        return NULL;
    }
    if (!take_names(table, texts, hashes, names)) {
        room_give(table, session);
        return NULL;
    }
    *session = (struct session){.id = id,
                                .expires_ms = expires_ms,
                                .state = SESSION_LIVE,
                                .is_dirty = true,
                                .is_used = true,
                                .version = 1};
    wheel_put(table, session);
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        names_join(table, session, kind, names[kind]);
    }
    table->head->count.live++;
    table_give_changed(table, session);
    return session;
}

/* A record with the id, which nothing has yet. As long as there is room, all else is done first:
 * where the id belongs is a line of the cache that comes meanwhile. */
static weir_err create_at(struct table *table, struct session_id id, const struct table_make *make,
                          const uint32_t hashes[SESSION_NAMES], uint64_t now_ms,
                          struct session **ret_session)
{
    uint64_t expires_ms = now_ms + make->ttl_ms;
    struct session *session = NULL;
    if (room_is_free(table)) {
        session = record_new(table, id, make->names, hashes, expires_ms, now_ms);
    }
    weir_err err = id_free(table, id, now_ms);
    if (err != WEIR_OK) {
        if (session != NULL) {
            record_undo(table, session);
        }
        return err;
    }
    if (session == NULL) {
        session = record_new(table, id, make->names, hashes, expires_ms, now_ms);
    }
    if (session == NULL) {
        return WEIR_EFULL;
    }
    ids_put(table, session);
    *ret_session = session;
    return WEIR_OK;
}

weir_err table_create(struct table *table, struct session_id id, const struct table_make *make,
                      uint64_t now_ms, struct session **ret_session)
{
    struct session *session;
    if (!names_fit(make->names) || session_id_is_none(id) || make->status >= SESSION_STATUSES
        || make->ttl_ms == 0) {
        return WEIR_EINVAL;
    }
    uint32_t own[SESSION_NAMES];
    const uint32_t *hashes = make->is_fetched ? make->hashes : own;
    fetch_room(table);
    if (!make->is_fetched) { /* memory is waited for once, while hashes are made */
        table_fetch(table, id);
        fetch_names(table, make->names, own);
    }
    names_fetch_found(table, hashes);
    weir_err err = create_at(table, id, make, hashes, now_ms, &session);
    if (err != WEIR_OK) {
        table->head->count.refused += err == WEIR_EFULL;
        return err;
    }
    session->created_ms = session->active_ms = now_ms;
    session->ttl_ms = make->ttl_ms;
    session->status = make->status;
    table->head->count.created++;
    *ret_session = session;
    return WEIR_OK;
}

struct session *table_find(struct table *table, struct session_id id, uint64_t now_ms)
{
    struct session *session = ids_find(table, id);
    if (session == NULL || session->state != SESSION_LIVE || is_over(session, now_ms)) {
        return NULL;
    }
    if (!session->is_used) { /* what is not written need not go back to memory */
        session->is_used = true;
    }
    return session;
}

struct session *table_look(const struct table *table, struct session_id id)
{
    return ids_find(table, id);
}

bool table_forward(const struct table *table, struct session_id id, uint64_t now_ms,
                   struct session_id *ret_id)
{
    const struct session *session = ids_find(table, id);
    if (session == NULL || session->state != SESSION_TOMB || is_over(session, now_ms)
        || session_id_is_none(session->forward)) {
        return false;
    }
    *ret_id = session->forward;
    return true;
}

void table_forget_counts(struct table *table)
{
    struct table_count *count = &table->head->count;
    *count =
        (struct table_count){.live = count->live, .tombs = count->tombs, .clean = count->clean};
}

uint32_t table_place(const struct table *table, const struct session *session)
{
    return session_one(table, session) - 1;
}

struct session *table_at(const struct table *table, uint32_t place)
{
    struct session *session = &table->sessions[place];
    return session->state == SESSION_LIVE ? session : NULL;
}

struct session *table_walk_all(const struct table *table, uint32_t *index)
{
    while (*index < table->head->sessions.touched) {
        struct session *session = &table->sessions[(*index)++];
        if (session->state != SESSION_FREE) {
            return session;
        }
    }
    return NULL;
}

struct session *table_walk(const struct table *table, uint32_t *index)
{
    while (*index < table->head->sessions.touched) {
        struct session *session = &table->sessions[(*index)++];
        if (session->state == SESSION_LIVE) {
            return session;
        }
    }
    return NULL;
}

/* --- changing -----------------------------------------------------------------------------------
 */

void table_touch(struct table *table, struct session *session, bool is_error, uint32_t life_max_ms,
                 uint64_t now_ms)
{
    uint64_t last_ms = session->created_ms + life_max_ms;
    uint64_t until_ms = now_ms + session->ttl_ms;
    until_ms = until_ms < last_ms ? until_ms : last_ms;
    if (until_ms > session->expires_ms) {
        session->expires_ms = until_ms;
    }
    session->active_ms = now_ms > session->active_ms ? now_ms : session->active_ms;
    session->requests += session->requests < UINT32_MAX;
    session->errors += is_error && session->errors < UINT32_MAX;
    session->is_used = true;
    record_touched(table, session);
}

/* Another name of that kind, which is there already, or none. */
static void name_set(struct table *table, struct session *session, enum session_name kind,
                     uint32_t name)
{
    if (name != session->names[kind]) {
        names_leave(table, session, kind);
        names_join(table, session, kind, name);
    }
}

weir_err table_rename(struct table *table, struct session *session, enum session_name kind,
                      struct slice text)
{
    if (text.len > SESSION_NAME_MAX) {
        return WEIR_EINVAL;
    }
    uint32_t name = names_take(table, kind, text);
    if (name == 0 && text.len > 0) {
        return WEIR_EFULL;
    }
    name_set(table, session, kind, name);
    record_changed(table, session);
    return WEIR_OK;
}

weir_err table_rename_some(struct table *table, struct session *session,
                           const struct slice texts[TABLE_INDEXES])
{
    struct slice all[SESSION_NAMES] = {0};
    uint32_t hashes[SESSION_NAMES], names[SESSION_NAMES];
    memcpy(all, texts, TABLE_INDEXES * sizeof *texts);
    if (!names_fit(all)) {
        return WEIR_EINVAL;
    }
    fetch_names(table, all, hashes);
    if (!take_names(table, all, hashes, names)) {
        return WEIR_EFULL;
    }
    for (enum session_name kind = 0; kind < TABLE_INDEXES; kind++) {
        if (texts[kind].at != NULL) {
            name_set(table, session, kind, names[kind]);
        }
    }
    record_changed(table, session);
    return WEIR_OK;
}

void table_set_status(struct table *table, struct session *session, uint8_t status)
{
    check(status < SESSION_STATUSES);
    session->status = status;
    record_changed(table, session);
}

/* The wheel learns of an end that comes earlier; of a later one it finds out. */
static void expire_at(struct table *table, struct session *session, uint64_t when_ms)
{
    bool is_earlier = when_ms < session->expires_ms;
    session->expires_ms = when_ms;
    if (is_earlier) {
        wheel_remove(table, session);
        wheel_put(table, session);
    }
}

void table_set_ttl(struct table *table, struct session *session, uint32_t ttl_ms, uint64_t now_ms)
{
    session->ttl_ms = ttl_ms;
    expire_at(table, session, now_ms + ttl_ms);
    record_changed(table, session);
}

weir_err table_set_attrs(struct table *table, struct session *session, struct slice bytes)
{
    if (bytes.len > SESSION_ATTRS_MAX) {
        return WEIR_EINVAL;
    }
    uint32_t cell = cells_store(table, bytes);
    if (cell == 0 && bytes.len > 0) {
        return WEIR_EFULL;
    }
    cells_drop(table, session->attrs);
    session->attrs = cell;
    session->attrs_len = (uint16_t)bytes.len;
    record_changed(table, session);
    return WEIR_OK;
}

uint32_t table_attrs(const struct table *table, const struct session *session, char *ret_bytes)
{
    return cells_load(table, session->attrs, session->attrs_len, ret_bytes);
}

void table_end(struct table *table, struct session *session, uint64_t now_ms)
{
    record_bury(table, session, nowhere, TABLE_ENDED, now_ms + table->head->tomb_ms);
}

static void id_set(struct table *table, struct session *session, struct session_id id)
{
    ids_remove(table, session);
    session->id = id;
    ids_put(table, session);
}

weir_err table_rotate(struct table *table, struct session *session, struct session_id to,
                      uint64_t now_ms)
{
    struct session_id from = session->id;
    weir_err err = session_id_is_none(to) ? WEIR_EINVAL : id_free(table, to, now_ms);
    if (err != WEIR_OK) {
        return err;
    }
    record_changed(table, session); /* dirty: what makes room leaves it alone */
    session->is_stored = false;     /* by that id */
    id_set(table, session, to);
    err = stone_put(table, from, to, now_ms + table->head->tomb_ms, now_ms);
    if (err != WEIR_OK) {
        id_set(table, session, from);
        return err;
    }
    table->head->count.ends[TABLE_ROTATED]++;
    return WEIR_OK;
}

/* --- where it is served -------------------------------------------------------------------------
 */

static weir_err bind(struct table *table, struct session *session, struct slice place,
                     uint64_t until_ms)
{
    if (place.len > SESSION_NAME_MAX) {
        return WEIR_EINVAL;
    }
    uint32_t name = names_take(table, SESSION_PLACE, place);
    if (name == 0 && place.len > 0) {
        return WEIR_EFULL;
    }
    name_set(table, session, SESSION_PLACE, name);
    session->bound_until_ms = name != 0 ? until_ms : 0;
    session->epoch++;
    record_changed(table, session);
    return WEIR_OK;
}

weir_err table_claim(struct table *table, struct session *session, struct slice place,
                     uint32_t ttl_ms, uint64_t now_ms)
{
    if (place.len == 0) {
        return WEIR_EINVAL;
    }
    if (!session_is_bound(session, now_ms)) {
        return bind(table, session, place, now_ms + ttl_ms);
    }
    if (!table_name_is(table, session, SESSION_PLACE, place)) {
        return WEIR_EEXISTS;
    }
    if (now_ms + ttl_ms > session->bound_until_ms) {
        session->bound_until_ms = now_ms + ttl_ms;
        record_changed(table, session);
    }
    return WEIR_OK;
}

weir_err table_rebind(struct table *table, struct session *session, uint32_t epoch,
                      struct slice place, uint32_t ttl_ms, uint64_t now_ms)
{
    return session->epoch == epoch ? bind(table, session, place, now_ms + ttl_ms) : WEIR_ESTALE;
}

weir_err table_adopt(struct table *table, struct session *session, struct slice place,
                     uint32_t epoch, uint64_t until_ms)
{
    weir_err err = bind(table, session, place, until_ms);
    if (err == WEIR_OK) {
        session->epoch = epoch;
    }
    return err;
}

/* --- as others keep it --------------------------------------------------------------------------
 */

void table_export(const struct table *table, const struct session *session, char *text,
                  struct session_record *ret_record)
{
    *ret_record = (struct session_record){.id = session->id, .expires_ms = session->expires_ms};
    if (session->state == SESSION_TOMB) {
        ret_record->kind = SESSION_OVER;
        ret_record->forward = session->forward;
        return;
    }
    ret_record->kind = SESSION_WHOLE;
    ret_record->created_ms = session->created_ms;
    ret_record->active_ms = session->active_ms;
    ret_record->bound_until_ms = session->bound_until_ms;
    ret_record->ttl_ms = session->ttl_ms;
    ret_record->epoch = session->epoch;
    ret_record->requests = session->requests;
    ret_record->errors = session->errors;
    ret_record->status = session->status;
    for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
        ret_record->names[kind] = (struct slice){text, table_name(table, session, kind, text)};
        text += ret_record->names[kind].len;
    }
    ret_record->attrs = (struct slice){text, table_attrs(table, session, text)};
}

static void import_counters(struct session *session, const struct session_record *record)
{
    session->active_ms = record->active_ms;
    session->requests = record->requests;
    session->errors = record->errors;
}

static weir_err import_whole(struct table *table, struct session *session,
                             const struct session_record *record, uint64_t now_ms)
{
    uint32_t hashes[SESSION_NAMES], names[SESSION_NAMES];
    fetch_names(table, record->names, hashes);
    if (session == NULL) {
        session = record_new(table, record->id, record->names, hashes, record->expires_ms, now_ms);
        if (session == NULL) {
            return WEIR_EFULL;
        }
        ids_put(table, session);
    } else if (take_names(table, record->names, hashes, names)) {
        for (enum session_name kind = 0; kind < SESSION_NAMES; kind++) {
            name_set(table, session, kind, names[kind]);
        }
    } else {
        return WEIR_EFULL;
    }
    expire_at(table, session, record->expires_ms);
    import_counters(session, record);
    session->created_ms = record->created_ms;
    session->bound_until_ms = record->bound_until_ms;
    session->ttl_ms = record->ttl_ms;
    session->epoch = record->epoch;
    session->status = record->status;
    record_changed(table, session);
    return WEIR_OK;
}

static weir_err import_over(struct table *table, struct session *session,
                            const struct session_record *record, uint64_t now_ms)
{
    if (session == NULL) {
        return record->expires_ms <= now_ms
                   ? WEIR_OK
                   : stone_put(table, record->id, record->forward, record->expires_ms, now_ms);
    }
    if (record->expires_ms <= now_ms) {
        record_remove(table, session, TABLE_EXPIRED);
        return WEIR_OK;
    }
    record_bury(table, session, record->forward, TABLE_ENDED, record->expires_ms);
    return WEIR_OK;
}

weir_err table_import(struct table *table, const struct session_record *record, uint64_t now_ms)
{
    struct session *session = ids_find(table, record->id);
    if (session_id_is_none(record->id) || record->status >= SESSION_STATUSES
        || !names_fit(record->names)) {
        return WEIR_EINVAL;
    }
    if (session != NULL && session->state == SESSION_TOMB && record->kind != SESSION_TOUCH
        && record->kind != SESSION_ATTRS) {
        record_remove(table, session, TABLE_ENDED);
        session = NULL;
    }
    bool is_live = session != NULL && session->state == SESSION_LIVE;
    switch (record->kind) {
    case SESSION_WHOLE: return import_whole(table, session, record, now_ms);
    case SESSION_OVER: return import_over(table, session, record, now_ms);
    case SESSION_TOUCH:
        if (is_live) { /* a touch never raises */
            expire_at(table, session, record->expires_ms);
            import_counters(session, record);
            record_changed(table, session);
        }
        return WEIR_OK;
    case SESSION_ATTRS: return is_live ? table_set_attrs(table, session, record->attrs) : WEIR_OK;
    case SESSION_CLOCK:
    case SESSION_KINDS: break;
    }
    return WEIR_EINVAL;
}
