/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.c - one session: created, found, changed, ended. Each function enters its shard, asks
 * the table, writes to the journal what has changed, and leaves.
 */
#include "session/sessions.h"

#include "session/attrs.h"

#include <stddef.h>

/* Enters the shard; NULL with the answer: there is no such session, and the shard was left. */
static struct session *enter(struct weir_sessions *sessions, weir_session_id id,
                             struct shard **ret_shard, uint64_t *ret_now_ms)
{
    *ret_now_ms = sessions_now_ms(sessions);
    struct shard *shard = shard_enter(sessions, id_inside(id));
    struct session *session = table_find(&shard->table, id_inside(id), *ret_now_ms);
    if (session == NULL) {
        shard->missed++;
        shard_leave(shard);
        return NULL;
    }
    shard->found++;
    *ret_shard = shard;
    return session;
}

/* --- words --------------------------------------------------------------------------------------
 */

const char *weir_session_status_word(weir_session_status status)
{
    static const char *const words[] = {"none", "active", "idle", "suspended", "failed"};
    return (unsigned)status < WEIR_SESSION_STATUS_END ? words[status] : "unknown";
}

const char *weir_session_event_word(weir_session_event_kind kind)
{
    static const char *const words[] = {"none",    "created", "ended",    "expired",
                                        "rotated", "rebound", "degraded", "restored",
                                        "lost",    "found",   "spoilt"};
    return (unsigned)kind < sizeof words / sizeof words[0] ? words[kind] : "unknown";
}

/* --- ids ----------------------------------------------------------------------------------------
 */

void weir_session_id_text(weir_session_id id, char ret_text[WEIR_SESSION_TEXT])
{
    ident_text(id_inside(id), ret_text);
}

weir_err weir_session_id_parse(const weir_sessions *sessions, const char *text,
                               weir_session_id *ret_id)
{
    struct session_id id;
    if (!ident_parse(slice_or_none(text), &id) || !ident_is_made(&sessions->secret, id)) {
        return WEIR_EINVAL;
    }
    *ret_id = id_outside(id);
    return WEIR_OK;
}

weir_err weir_session_id_of(const weir_sessions *sessions, const char *tenant, const void *key,
                            size_t len, weir_session_id *ret_id)
{
    struct slice who = slice_or_none(tenant);
    if (key == NULL || len == 0 || len > IDENT_KEY || who.len > IDENT_KEY - len) {
        return WEIR_EINVAL;
    }
    *ret_id = id_outside(
        ident_keyed(&sessions->secret, who, (struct slice){(const char *)key, (uint32_t)len}));
    return WEIR_OK;
}

/* --- creating -----------------------------------------------------------------------------------
 */

static bool make_of(const struct weir_sessions *sessions, const weir_session_new *what,
                    struct table_make *ret_make)
{
    struct slice names[] = {slice_or_none(what->user), slice_or_none(what->account),
                            slice_or_none(what->key)};
    *ret_make = (struct table_make){
        .ttl_ms = what->ttl_ms != 0 ? what->ttl_ms : sessions->opt.ttl_ms,
        .status = (uint8_t)(what->status != 0 ? what->status : WEIR_SESSION_ACTIVE),
    };
    memcpy(ret_make->names, names, sizeof names);
    return (unsigned)what->status < WEIR_SESSION_STATUS_END
           && ret_make->ttl_ms <= sessions->opt.ttl_max_ms;
}

static bool has_room(struct weir_sessions *sessions)
{
    if (atomic_fetch_add(&sessions->live, 1) < sessions->opt.sessions_max) {
        return true;
    }
    atomic_fetch_sub(&sessions->live, 1);
    return false;
}

/* One that the store has goes; false: there is none. */
static bool make_room(struct weir_sessions *sessions)
{
    bool is_made = false;
    for (unsigned i = 0; !is_made && sessions->storing != NULL && i < sessions->shards_count; i++) {
        struct shard *shard = &sessions->shards[i];
        pthread_mutex_lock(&shard->mutex);
        is_made = table_count(&shard->table).clean > 0 && table_evict(&shard->table);
        shard_leave(shard);
    }
    return is_made;
}

/* A place in the count of those that live: the new session's, or to be given back. */
static bool reserve(struct weir_sessions *sessions)
{
    bool is_reserved = has_room(sessions);
    while (!is_reserved && make_room(sessions)) {
        is_reserved = has_room(sessions);
    }
    atomic_fetch_add(&sessions->refused, !is_reserved);
    return is_reserved;
}

static weir_err create_at(struct weir_sessions *sessions, struct session_id id,
                          struct table_make *make)
{
    struct session *session;
    uint64_t now_ms = sessions_now_ms(sessions);
    if (!reserve(sessions)) {
        return WEIR_EFULL;
    }
    table_fetch_new(&shard_of(sessions, id)->table, id, make);
    struct shard *shard = shard_enter(sessions, id);
    weir_err err = table_create(&shard->table, id, make, now_ms, &session);
    if (err == WEIR_OK) {
        shard->live_told++; /* it is counted */
        shard_keep(shard, session);
        shard_note(shard, WEIR_SESSION_CREATED, id);
    }
    shard_leave(shard);
    if (err != WEIR_OK) {
        atomic_fetch_sub(&sessions->live, 1);
    }
    return err;
}

/* Of the secret's kind, and of the shard of another, whatever the number of shards, if one is
 * given. */
static bool draw(struct weir_sessions *sessions, const struct session_id *beside,
                 struct session_id *ret_id)
{
    unsigned char random[16];
    if (!random_pool_draw(&sessions->random, random, sizeof random)) {
        return false;
    }
    if (beside != NULL) {
        random[0] = (unsigned char)((random[0] & ~(SESSIONS_SHARDS_MAX - 1))
                                    | (beside->high & (SESSIONS_SHARDS_MAX - 1)));
    }
    *ret_id = ident_make(&sessions->secret, random);
    return true;
}

weir_err weir_session_create(weir_sessions *sessions, const weir_session_new *what,
                             weir_session_id *ret_id)
{
    static const weir_session_new nothing = {0};
    struct table_make make;
    weir_session_new own = {0};
    what = what != NULL ? what : &nothing;
    size_t size = what->size != 0 ? what->size : sizeof own;
    if (size > sizeof own) {
        return WEIR_EINVAL;
    }
    memcpy(&own, what, size);
    if (!make_of(sessions, &own, &make)) {
        return WEIR_EINVAL;
    }
    struct session_id id = id_inside(own.id);
    if (session_id_is_none(id) && !draw(sessions, NULL, &id)) {
        return WEIR_EIO;
    }
    weir_err err = create_at(sessions, id, &make);
    if (err == WEIR_OK || err == WEIR_EEXISTS) {
        *ret_id = id_outside(id);
    }
    return err;
}

/* --- looking ------------------------------------------------------------------------------------
 */

weir_err weir_session_get(weir_sessions *sessions, weir_session_id id, weir_session *ret_session)
{
    struct shard *shard;
    uint64_t now_ms;
    weir_session own;
    size_t size = ret_session->size;
    if (size > sizeof own) {
        return WEIR_EINVAL;
    }
    const struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    bool is_whole = size == 0 || size == sizeof own;
    session_describe(&shard->table, session, now_ms, is_whole ? ret_session : &own);
    shard_leave_as_it_was(shard);
    if (!is_whole) {
        own.size = size;
        memcpy(ret_session, &own, size);
    }
    return WEIR_OK;
}

/* --- changing -----------------------------------------------------------------------------------
 */

weir_err weir_session_touch(weir_sessions *sessions, weir_session_id id, bool is_served)
{
    struct shard *shard;
    uint64_t now_ms;
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    table_touch(&shard->table, session, !is_served, sessions->opt.ttl_max_ms, now_ms);
    const struct session_record touch = {.kind = SESSION_TOUCH,
                                         .id = session->id,
                                         .expires_ms = session->expires_ms,
                                         .active_ms = session->active_ms,
                                         .requests = session->requests,
                                         .errors = session->errors};
    shard_write(shard, &touch, 1);
    shard_leave(shard);
    return WEIR_OK;
}

/* From now on, but not beyond the longest life. */
static void set_ttl(const struct weir_sessions *sessions, struct shard *shard,
                    struct session *session, uint32_t ttl_ms, uint64_t now_ms)
{
    uint64_t last_ms = session->created_ms + sessions->opt.ttl_max_ms;
    table_set_ttl(&shard->table, session, ttl_ms, now_ms);
    if (session->expires_ms > last_ms) {
        session->expires_ms = last_ms; /* still in the future; the wheel finds out */
    }
}

weir_err weir_session_change(weir_sessions *sessions, weir_session_id id,
                             const weir_session_update *update)
{
    struct shard *shard;
    uint64_t now_ms;
    weir_session_update own = {0};
    size_t size = update->size != 0 ? update->size : sizeof own;
    if (size > sizeof own) {
        return WEIR_EINVAL;
    }
    memcpy(&own, update, size);
    if ((unsigned)own.status >= WEIR_SESSION_STATUS_END || own.ttl_ms > sessions->opt.ttl_max_ms) {
        return WEIR_EINVAL;
    }
    const struct slice names[TABLE_INDEXES] = {slice_or_none(own.user), slice_or_none(own.account),
                                               slice_or_none(own.key)};
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    weir_err err = table_rename_some(&shard->table, session, names);
    if (err == WEIR_OK) {
        if (own.status != 0) {
            table_set_status(&shard->table, session, (uint8_t)own.status);
        }
        if (own.ttl_ms != 0) {
            set_ttl(sessions, shard, session, own.ttl_ms, now_ms);
        }
        shard_keep(shard, session);
    }
    shard_leave(shard);
    return err;
}

weir_err weir_session_end(weir_sessions *sessions, weir_session_id id)
{
    struct shard *shard;
    uint64_t now_ms;
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    table_end(&shard->table, session, now_ms);
    const struct session_record over = {.kind = SESSION_OVER,
                                        .id = id_inside(id),
                                        .expires_ms = now_ms + sessions->opt.tombstone_ms};
    shard_write(shard, &over, 1);
    shard_note(shard, WEIR_SESSION_ENDED, id_inside(id));
    shard_leave(shard);
    return WEIR_OK;
}

weir_err weir_session_rotate(weir_sessions *sessions, weir_session_id id, weir_session_id *ret_id)
{
    struct shard *shard;
    uint64_t now_ms;
    struct session_id to, from = id_inside(id);
    if (!draw(sessions, &from, &to)) {
        return WEIR_EIO;
    }
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    weir_err err = table_rotate(&shard->table, session, to, now_ms);
    if (err == WEIR_OK) {
        shard_keep_moved(shard, session, from, now_ms + sessions->opt.tombstone_ms);
        shard_note(shard, WEIR_SESSION_ROTATED, from);
        *ret_id = id_outside(to);
    }
    shard_leave(shard);
    return err;
}

weir_err weir_session_successor(weir_sessions *sessions, weir_session_id id,
                                weir_session_id *ret_id)
{
    struct session_id to;
    uint64_t now_ms = sessions_now_ms(sessions);
    struct shard *shard = shard_enter(sessions, id_inside(id));
    bool leads = table_forward(&shard->table, id_inside(id), now_ms, &to);
    shard_leave(shard);
    if (!leads) {
        return WEIR_ESTALE;
    }
    *ret_id = id_outside(to);
    return WEIR_OK;
}

/* --- attributes ---------------------------------------------------------------------------------
 */

static bool name_fits(struct slice name)
{
    return name.len > 0 && name.len <= ATTRS_NAME_MAX;
}

static weir_err set_locked(struct shard *shard, struct session *session, struct slice name,
                           struct slice value)
{
    char before[SESSION_ATTRS_MAX], after[SESSION_ATTRS_MAX];
    bool fits;
    struct slice old = {before, table_attrs(&shard->table, session, before)};
    uint32_t len = attrs_with(old, name, value, after, SESSION_ATTRS_MAX, &fits);
    if (!fits) {
        return WEIR_ETOO_LARGE;
    }
    weir_err err = table_set_attrs(&shard->table, session, (struct slice){after, len});
    if (err == WEIR_OK) {
        const struct session_record attrs = {
            .kind = SESSION_ATTRS, .id = session->id, .attrs = {after, len}};
        shard_write(shard, &attrs, 1);
    }
    return err;
}

weir_err weir_session_set(weir_sessions *sessions, weir_session_id id, const char *name,
                          const void *value, size_t len)
{
    struct shard *shard;
    uint64_t now_ms;
    struct slice text = slice_or_none(name);
    if (!name_fits(text)) {
        return WEIR_EINVAL;
    }
    if (len > SESSION_ATTRS_MAX) {
        return WEIR_ETOO_LARGE;
    }
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    weir_err err = set_locked(shard, session, text,
                              (struct slice){(const char *)value, (uint32_t)len});
    shard_leave(shard);
    return err;
}

weir_err weir_session_value(weir_sessions *sessions, weir_session_id id, const char *name,
                            void *ret_value, size_t size, size_t *ret_len)
{
    char bytes[SESSION_ATTRS_MAX];
    struct shard *shard;
    uint64_t now_ms;
    struct slice value, text = slice_or_none(name);
    if (!name_fits(text)) {
        return WEIR_EINVAL;
    }
    const struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    struct slice all = {bytes, table_attrs(&shard->table, session, bytes)};
    shard_leave(shard);
    if (!attrs_find(all, text, &value)) {
        return WEIR_EAGAIN;
    }
    if (size > 0) {
        memcpy(ret_value, value.at, value.len < size ? value.len : size);
    }
    *ret_len = value.len;
    return WEIR_OK;
}

/* --- where it is served -------------------------------------------------------------------------
 */

static void place_out(const struct shard *shard, const struct session *session,
                      weir_session_place *ret_place)
{
    if (ret_place != NULL) {
        ret_place->epoch = session->epoch;
        session_name_text(&shard->table, session, SESSION_PLACE, ret_place->name);
    }
}

weir_err weir_session_claim(weir_sessions *sessions, weir_session_id id, const char *place,
                            weir_session_place *ret_place)
{
    struct shard *shard;
    uint64_t now_ms;
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    uint32_t epoch = session->epoch;
    weir_err err = table_claim(&shard->table, session, slice_or_none(place),
                               sessions->opt.affinity_ttl_ms, now_ms);
    if (err == WEIR_OK) {
        shard->claimed += session->epoch != epoch;
        shard->prolonged += session->epoch == epoch;
        shard_keep(shard, session);
    }
    if (err == WEIR_OK || err == WEIR_EEXISTS) {
        shard->disputed += err == WEIR_EEXISTS;
        place_out(shard, session, ret_place);
    }
    shard_leave(shard);
    return err;
}

weir_err weir_session_rebind(weir_sessions *sessions, weir_session_id id, uint32_t epoch,
                             const char *place, weir_session_place *ret_place)
{
    struct shard *shard;
    uint64_t now_ms;
    struct session *session = enter(sessions, id, &shard, &now_ms);
    if (session == NULL) {
        return WEIR_ESTALE;
    }
    weir_err err = table_rebind(&shard->table, session, epoch, slice_or_none(place),
                                sessions->opt.affinity_ttl_ms, now_ms);
    err = err == WEIR_ESTALE ? WEIR_ESTATE : err;
    if (err == WEIR_OK) {
        shard->rebound++;
        shard_keep(shard, session);
        shard_note(shard, WEIR_SESSION_REBOUND, session->id);
    }
    if (err == WEIR_OK || err == WEIR_ESTATE) {
        place_out(shard, session, ret_place);
    }
    shard_leave(shard);
    return err;
}
