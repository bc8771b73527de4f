/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_batch.c - changes on their way: the epoch, the changes, the epoch again; and the prober,
 * which asks for the epoch alone.
 */
#include "io/clock.h"
#include "session/redis_parts.h"

#include <stdio.h>
#include <sys/random.h>

#define EPOCH_REPLIES 2U          /* SET NX, GET */
#define CHANGE_MAX    (12U << 10) /* bytes of a change as it is written, and more */
#define EXTRA_MAX     (64U << 10) /* the scripts, the epoch */

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void done(struct redis_call *call, const struct redis_outcome *outcome);

bool redis_batch_init(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    size_t most = store->vtable.batch_max;
    bytes_init(&batch->commands, &alloc_libc, most * CHANGE_MAX + EXTRA_MAX);
    bytes_init(&store->probe_commands, &alloc_libc, EXTRA_MAX);
    batch->ids = alloc_array(&alloc_libc, most, sizeof *batch->ids);
    batch->verdicts = alloc_array(&alloc_libc, most, sizeof *batch->verdicts);
    return batch->ids != NULL && batch->verdicts != NULL;
}

void redis_batch_fini(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    alloc_free(&alloc_libc, batch->verdicts);
    alloc_free(&alloc_libc, batch->ids);
    bytes_fini(&batch->commands);
    bytes_fini(&store->probe_commands);
}

/* --- writing, on the keeper's thread ------------------------------------------------------------
 */

static uint64_t fresh_epoch(void)
{
    uint64_t epoch = 0;
    bool is_random = getrandom(&epoch, sizeof epoch, 0) == (ssize_t)sizeof epoch;
    return is_random ? epoch : clock_now_ns();
}

static bool compose(struct redis_store *store, const weir_session_delta *changes, uint32_t count,
                    bool has_scripts)
{
    struct redis_batch *batch = &store->batch;
    struct bytes *out = &batch->commands;
    bytes_clear(out);
    bool fits = (!has_scripts || redis_wire_scripts(out))
                && redis_wire_epoch(&store->wire, out, fresh_epoch());
    for (uint32_t i = 0; fits && i < count; i++) {
        batch->ids[i] = changes[i].id;
        fits = redis_wire_change(&store->wire, out, &changes[i]);
    }
    fits = fits && redis_wire_epoch_again(&store->wire, out);
    return fits
           && (store->replicas == 0
               || redis_wire_wait(out, store->replicas, store->timeout_ms / 2 + 1));
}

void redis_batch_write(void *self, uint64_t task, const weir_session_delta *changes, uint32_t count)
{
    struct redis_store *store = self;
    struct redis_batch *batch = &store->batch;
    if (!compose(store, changes, count, false)) {
        weir_sessions_stored(store->sessions, task, WEIR_ENOMEM);
        return;
    }
    batch->task = task;
    batch->count = count;
    pthread_mutex_lock(&store->mutex);
    store->has_batch = true;
    pthread_mutex_unlock(&store->mutex);
    loop_wake_send(store->wake);
}

/* --- asking, on the loop's thread ---------------------------------------------------------------
 */

static void send_batch(struct redis_store *store, uint32_t ahead)
{
    struct redis_batch *batch = &store->batch;
    batch->ahead = ahead;
    batch->is_refused = batch->has_no_scripts = false;
    batch->epoch[0] = batch->epoch_again[0] = '\0';
    batch->call.on_reply = on_reply;
    batch->call.done = done;
    batch->call.commands = bytes_slice(&batch->commands);
    batch->call.count = ahead + EPOCH_REPLIES + batch->count + 1 + (store->replicas != 0);
    store->doing = REDIS_WRITING;
    redis_call_begin(store->connector, &batch->call, &store->key, store->timeout_ms);
}

void redis_batch_begin(struct redis_store *store)
{
    pthread_mutex_lock(&store->mutex);
    bool is_due = store->has_batch && store->doing == REDIS_IDLE;
    store->has_batch = store->has_batch && !is_due;
    pthread_mutex_unlock(&store->mutex);
    if (is_due) {
        send_batch(store, 0);
    }
}

void redis_batch_cancel(struct redis_store *store)
{
    redis_call_cancel(&store->batch.call);
    redis_call_cancel(&store->probe);
}

/* --- replies ------------------------------------------------------------------------------------
 */

static void keep_epoch(const struct resp_value *value, char ret_epoch[REDIS_EPOCH_MAX + 1],
                       bool *is_refused)
{
    if (value->type == RESP_TEXT && value->text.len <= REDIS_EPOCH_MAX) {
        slice_copy(ret_epoch, REDIS_EPOCH_MAX + 1, value->text);
    } else {
        *is_refused = true;
    }
}

static void keep_verdict(struct redis_batch *batch, uint32_t n, const struct resp_value *value,
                         struct resp_walk *inside)
{
    bool is_error = value->type == RESP_FAILED;
    redis_wire_verdict(value, inside, &batch->verdicts[n]);
    if (is_error && redis_says_of(value->text) == REDIS_NOSCRIPT) {
        batch->has_no_scripts = true;
    } else if (batch->verdicts[n].verdict == REDIS_REFUSED) {
        batch->is_refused = true;
    }
}

static void on_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_batch *batch = container_of(call, struct redis_batch, call);
    struct redis_store *store = container_of(batch, struct redis_store, batch);
    if (index < batch->ahead) {
        return; /* scripts: whether they are known shows by what follows */
    }
    index -= batch->ahead;
    if (index == 0) {
        batch->is_refused = batch->is_refused || value->type == RESP_FAILED;
    } else if (index == 1) {
        keep_epoch(value, batch->epoch, &batch->is_refused);
    } else if (index < EPOCH_REPLIES + batch->count) {
        keep_verdict(batch, index - EPOCH_REPLIES, value, inside);
    } else if (index == EPOCH_REPLIES + batch->count) {
        keep_epoch(value, batch->epoch_again, &batch->is_refused);
    } else if (value->type != RESP_NUMBER || value->number < store->replicas) {
        batch->is_refused = true;
    }
}

/* --- what follows from them ---------------------------------------------------------------------
 */

/* Whether it is the store that it was; one that was never seen has nothing to have lost, but for
 * what was looked up in it before (`is_missed`). */
static bool note_store(struct redis_store *store, const char *epoch, const char *run_id,
                       bool is_missed)
{
    bool is_first = store->epoch[0] == '\0' && !is_missed;
    bool is_same = strcmp(store->epoch, epoch) == 0 && strcmp(store->run_id, run_id) == 0;
    snprintf(store->epoch, sizeof store->epoch, "%s", epoch);
    snprintf(store->run_id, sizeof store->run_id, "%s", run_id);
    return is_first || is_same;
}

static void heed_verdict(struct redis_store *store, weir_session_id id,
                         const struct redis_verdict_of *of, bool is_same)
{
    weir_session_delta news = {.size = sizeof news, .id = id};
    switch (of->verdict) {
    case REDIS_MERGED:
    case REDIS_REFUSED: return;
    case REDIS_ENDED:
        news.successor = of->successor;
        news.left_ms = of->left_ms;
        break;
    case REDIS_MOVED_ON: news.session = &of->session; break;
    case REDIS_VANISHED:
        if (!is_same) {
            return; /* it is not that session that went */
        }
        news.is_known = true;
        break;
    }
    weir_sessions_heard(store->sessions, &news);
}

static void settle(struct redis_store *store, const char *run_id)
{
    struct redis_batch *batch = &store->batch;
    uint32_t count = batch->count;
    bool is_missed = false;
    for (uint32_t i = 0; i < count; i++) {
        is_missed = is_missed || batch->verdicts[i].verdict == REDIS_VANISHED;
    }
    bool is_same = note_store(store, batch->epoch_again, run_id, is_missed)
                   && strcmp(batch->epoch, batch->epoch_again) == 0;
    for (uint32_t i = 0; i < count; i++) { /* before it is stored: a change meanwhile comes later */
        heed_verdict(store, batch->ids[i], &batch->verdicts[i], is_same);
    }
    if (!is_same) {
        weir_sessions_renew(store->sessions);
    }
    redis_store_answered(store);
    weir_sessions_stored(store->sessions, batch->task, WEIR_OK); /* the next may be written now */
}

/* The same once more, with the scripts before it. */
static bool send_with_scripts(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    struct bytes whole;
    bytes_init(&whole, &alloc_libc, batch->commands.max);
    if (!redis_wire_scripts(&whole) || !bytes_append_slice(&whole, bytes_slice(&batch->commands))) {
        bytes_fini(&whole);
        return false;
    }
    bytes_fini(&batch->commands);
    batch->commands = whole;
    send_batch(store, REDIS_SCRIPTS);
    return true;
}

static void done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct redis_batch *batch = container_of(call, struct redis_batch, call);
    struct redis_store *store = container_of(batch, struct redis_store, batch);
    store->doing = REDIS_IDLE;
    bool is_whole = outcome->err == WEIR_OK;
    if (is_whole && batch->has_no_scripts && batch->ahead == 0 && send_with_scripts(store)) {
        return;
    }
    if (is_whole && !batch->has_no_scripts && !batch->is_refused) {
        settle(store, outcome->run_id);
        return;
    }
    redis_store_failed(store);
    weir_sessions_stored(store->sessions, batch->task, is_whole ? WEIR_EIO : outcome->err);
}

/* --- the prober ---------------------------------------------------------------------------------
 */

static void probe_reply(struct redis_call *call, uint32_t index, const struct resp_value *value,
                        struct resp_walk *inside)
{
    struct redis_store *store = container_of(call, struct redis_store, probe);
    (void)inside;
    if (index == 1) {
        keep_epoch(value, store->probe_epoch, &store->probe_failed);
    }
    store->probe_failed = store->probe_failed || value->type == RESP_FAILED;
}

static void probe_done(struct redis_call *call, const struct redis_outcome *outcome)
{
    struct redis_store *store = container_of(call, struct redis_store, probe);
    store->doing = REDIS_IDLE;
    if (outcome->err != WEIR_OK || store->probe_failed) {
        redis_store_failed(store);
    } else {
        if (!note_store(store, store->probe_epoch, outcome->run_id, false)) {
            weir_sessions_renew(store->sessions);
        }
        redis_store_answered(store);
    }
    redis_batch_begin(store); /* what was written meanwhile */
}

/* As a batch would: a server that refuses writes is not back. */
void redis_probe_begin(struct redis_store *store)
{
    bytes_clear(&store->probe_commands);
    if (!redis_wire_epoch(&store->wire, &store->probe_commands, fresh_epoch())) {
        return;
    }
    store->doing = REDIS_PROBING;
    store->probe_failed = false;
    store->probe.on_reply = probe_reply;
    store->probe.done = probe_done;
    store->probe.commands = bytes_slice(&store->probe_commands);
    store->probe.count = EPOCH_REPLIES;
    redis_call_begin(store->connector, &store->probe, &store->key, store->timeout_ms);
}
