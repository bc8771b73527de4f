/* SPDX-License-Identifier: Apache-2.0
 *
 * store_confirm.c - those who wait until the store has what they have changed.
 *
 * Who waits is noted first, then the record is looked at once more: a write that was answered
 * between the two is seen by one of them.
 */
#include "session/sessions.h"

/* False: the record is gone. */
static bool look(struct weir_sessions *sessions, weir_session_id id, bool hurries,
                 bool *ret_is_kept, uint32_t *ret_version)
{
    struct shard *shard = shard_enter(sessions, id_inside(id));
    const struct session *session = table_look(&shard->table, id_inside(id));
    bool is_there = session != NULL;
    if (is_there) {
        *ret_is_kept = !session->is_dirty;
        *ret_version = session->version;
        if (hurries && session->is_dirty) {
            table_give_changed(&shard->table, session);
        }
    }
    pthread_mutex_unlock(&shard->mutex); /* nothing was changed */
    return is_there;
}

/* False: it was answered meanwhile. */
static bool take_back(struct storing *storing, uint64_t number)
{
    pthread_mutex_lock(&storing->mutex);
    bool is_there = slots_at(&storing->confirms, number) != NULL;
    if (is_there) {
        slots_give(&storing->confirms, number);
    }
    pthread_mutex_unlock(&storing->mutex);
    return is_there;
}

weir_err weir_session_confirm(weir_sessions *sessions, weir_session_id id, weir_session_kept_fn *fn,
                              void *arg)
{
    struct storing *storing = sessions->storing;
    bool is_kept = false;
    uint32_t version = 0;
    uint64_t number = 0;
    if (storing == NULL) {
        return WEIR_ESTATE;
    }
    if (!look(sessions, id, false, &is_kept, &version) || is_kept) {
        return is_kept ? WEIR_OK : WEIR_ESTALE;
    }
    pthread_mutex_lock(&storing->mutex);
    struct confirm_ask *ask = slots_take(&storing->confirms, &number);
    if (ask != NULL) {
        *ask = (struct confirm_ask){id, version, fn, arg};
    }
    pthread_mutex_unlock(&storing->mutex);
    if (ask == NULL) {
        return WEIR_EQUEUE;
    }
    bool is_there = look(sessions, id, true, &is_kept, &version);
    if ((is_kept || !is_there) && take_back(storing, number)) {
        return is_there ? WEIR_OK : WEIR_ESTALE;
    }
    keeper_wake(sessions);
    return WEIR_EAGAIN;
}

/* Was it taken by the write that is being settled, as it was or later? */
static bool was_taken(const struct storing *storing, const struct confirm_ask *ask)
{
    for (uint32_t i = 0; i < storing->count; i++) {
        const struct stored *stored = &storing->batch[i];
        if (session_id_same(stored->id, id_inside(ask->id))) {
            bool is_later = (int32_t)(stored->version - ask->version) >= 0; /* they wrap at 2^32 */
            return stored->is_taken && is_later;
        }
    }
    return false;
}

/* WEIR_EAGAIN: it goes on waiting. */
static weir_err verdict_of(struct weir_sessions *sessions, const struct confirm_ask *ask,
                           weir_err err, bool is_settling)
{
    bool is_kept = false;
    uint32_t version;
    if (is_settling && was_taken(sessions->storing, ask)) {
        return WEIR_OK;
    }
    if (err != WEIR_OK) {
        return err;
    }
    if (!look(sessions, ask->id, false, &is_kept, &version)) {
        return WEIR_ESTALE;
    }
    return is_kept ? WEIR_OK : WEIR_EAGAIN;
}

void confirms_answer(struct weir_sessions *sessions, weir_err err, bool is_settling)
{
    struct storing *storing = sessions->storing;
    uint32_t index = 0;
    for (;;) {
        pthread_mutex_lock(&storing->mutex);
        const struct confirm_ask *ask = slots_walk(&storing->confirms, &index);
        struct confirm_ask own = ask != NULL ? *ask : (struct confirm_ask){0};
        uint64_t number = ask != NULL ? slots_id_of(&storing->confirms, ask) : 0;
        pthread_mutex_unlock(&storing->mutex);
        if (number == 0) {
            return;
        }
        weir_err answer = verdict_of(sessions, &own, err, is_settling);
        if (answer != WEIR_EAGAIN && take_back(storing, number)) {
            own.fn(own.arg, answer, own.id);
        }
    }
}
