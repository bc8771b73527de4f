/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_batch.c - changes on their way, in groups: the epoch, the changes, the epoch again.
 * Tombstones go one by one, then sessions, many in one script.
 *
 * A Redis that is no Cluster is told all of a batch as one group. A Cluster is told by tags, since
 * what has one tag is in one slot: each group finds its own way, and may be repeated. When all are
 * answered, one of each node waits for its replicas, if that was asked for.
 *
 * What was taken is settled, whatever became of the rest, which is told again.
 */
#include "session/redis_parts.h"

#include <stdio.h>

#define EPOCH_REPLIES 2U                         /* SET NX, GET */
#define WAIT_REPLIES  2U                         /* GET, WAIT */
#define CHANGE_MAX    (REDIS_RECORD_MAX + 1024U) /* with its keys */
#define EXTRA_MAX     (64U << 10)                /* the scripts, the epoch */
#define GROUP_MAX     1024U                      /* the epoch of a group, twice */

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void done(struct redis_route *route, const struct redis_outcome *outcome);

static uint32_t groups_max(const struct redis_store *store)
{
    uint32_t most = store->vtable.batch_max;
    return !store->is_cluster ? 1 : most < REDIS_TAGS ? most : REDIS_TAGS;
}

static size_t commands_max(const struct redis_store *store)
{
    return (size_t)store->vtable.batch_max * CHANGE_MAX + (size_t)groups_max(store) * GROUP_MAX
           + EXTRA_MAX;
}

bool redis_batch_init(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    size_t most = store->vtable.batch_max, groups = groups_max(store);
    bytes_init(&batch->commands, &alloc_libc, commands_max(store));
    batch->ids = alloc_array(&alloc_libc, most, sizeof *batch->ids);
    batch->verdicts = alloc_array(&alloc_libc, most, sizeof *batch->verdicts);
    batch->taken = alloc_array(&alloc_libc, most, sizeof *batch->taken);
    batch->order = alloc_array(&alloc_libc, most, sizeof *batch->order);
    batch->groups = alloc_array(&alloc_libc, groups, sizeof *batch->groups);
    if (batch->groups == NULL) {
        return false;
    }
    memset(batch->groups, 0, groups * sizeof *batch->groups);
    for (size_t i = 0; i < groups; i++) {
        struct redis_group *group = &batch->groups[i];
        group->store = store;
        group->route.on_reply = on_reply;
        group->route.done = done;
        bytes_init(&group->whole, &alloc_libc, commands_max(store));
    }
    return batch->ids != NULL && batch->verdicts != NULL && batch->taken != NULL
           && batch->order != NULL;
}

void redis_batch_fini(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    for (uint32_t i = 0; batch->groups != NULL && i < groups_max(store); i++) {
        bytes_fini(&batch->groups[i].whole);
    }
    alloc_free(&alloc_libc, batch->groups);
    alloc_free(&alloc_libc, batch->order);
    alloc_free(&alloc_libc, batch->taken);
    alloc_free(&alloc_libc, batch->verdicts);
    alloc_free(&alloc_libc, batch->ids);
    bytes_fini(&batch->commands);
}

/* --- writing, on the keeper's thread ------------------------------------------------------------
 */

static uint32_t tag_of(const struct redis_store *store, const weir_session_delta *change)
{
    return store->is_cluster ? redis_wire_tag(change->id) : REDIS_UNTAGGED;
}

/* By tag, and of one tag tombstones first. */
static uint32_t place_of(const struct redis_store *store, const weir_session_delta *change)
{
    return 2 * tag_of(store, change) + (change->session != NULL);
}

static void put_in_order(struct redis_store *store, const weir_session_delta *changes,
                         uint32_t count)
{
    uint32_t ends[2 * (REDIS_TAGS + 1) + 1] = {0};
    for (uint32_t i = 0; i < count; i++) {
        ends[place_of(store, &changes[i]) + 1]++;
    }
    for (uint32_t place = 1; place < sizeof ends / sizeof *ends; place++) {
        ends[place] += ends[place - 1];
    }
    for (uint32_t i = 0; i < count; i++) {
        store->batch.order[ends[place_of(store, &changes[i])]++] = i;
    }
}

static uint32_t merges_of(const struct redis_group *group)
{
    uint32_t sessions = group->count - group->buried;
    return (sessions + REDIS_TOGETHER - 1) / REDIS_TOGETHER;
}

/* Of the n-th merge of a group: which of its changes they are. */
static uint32_t merge_begins(const struct redis_group *group, uint32_t n)
{
    return group->buried + n * REDIS_TOGETHER;
}

static uint32_t merge_count(const struct redis_group *group, uint32_t n)
{
    uint32_t left = group->count - merge_begins(group, n);
    return left < REDIS_TOGETHER ? left : REDIS_TOGETHER;
}

/* Those that follow each other with one tag. */
static void delimit(struct redis_store *store, struct redis_group *group,
                    const weir_session_delta *changes, uint32_t first, uint32_t count)
{
    struct redis_batch *batch = &store->batch;
    uint32_t n = first;
    group->tag = tag_of(store, &changes[batch->order[first]]);
    group->first = first;
    group->buried = 0;
    for (; n < count && tag_of(store, &changes[batch->order[n]]) == group->tag; n++) {
        const weir_session_delta *change = &changes[batch->order[n]];
        batch->ids[n] = change->id;
        group->buried += change->session == NULL;
    }
    group->count = n - first;
}

static bool compose_group(struct redis_store *store, struct redis_group *group,
                          const weir_session_delta *changes)
{
    struct bytes *out = &store->batch.commands;
    const uint32_t *order = store->batch.order + group->first;
    group->at = bytes_len(out);
    bool fits = redis_wire_epoch(&store->wire, out, group->tag, redis_fresh_epoch());
    for (uint32_t i = 0; fits && i < group->buried; i++) {
        fits = redis_wire_bury(&store->wire, out, &changes[order[i]]);
    }
    for (uint32_t i = 0; fits && i < merges_of(group); i++) {
        fits = redis_wire_merge(&store->wire, out, changes, order + merge_begins(group, i),
                                merge_count(group, i));
    }
    fits = fits && redis_wire_epoch_again(&store->wire, out, group->tag);
    if (store->replicas != 0 && !store->is_cluster) {
        fits = fits && redis_wire_wait(out, store->replicas, store->timeout_ms / 2 + 1);
    }
    group->len = bytes_len(out) - group->at;
    return fits;
}

static bool compose(struct redis_store *store, const weir_session_delta *changes, uint32_t count)
{
    struct redis_batch *batch = &store->batch;
    bool fits = true;
    bytes_clear(&batch->commands);
    batch->groups_count = 0;
    put_in_order(store, changes, count);
    for (uint32_t n = 0; fits && n < count;) {
        struct redis_group *group = &batch->groups[batch->groups_count++];
        delimit(store, group, changes, n, count);
        fits = compose_group(store, group, changes);
        n += group->count;
    }
    return fits;
}

void redis_batch_write(void *self, uint64_t task, const weir_session_delta *changes, uint32_t count)
{
    struct redis_store *store = self;
    struct redis_batch *batch = &store->batch;
    if (!compose(store, changes, count)) {
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

static struct slice commands_of(const struct redis_group *group)
{
    struct slice all = bytes_slice(&group->store->batch.commands);
    return (struct slice){all.at + group->at, (uint32_t)group->len};
}

static uint32_t replies_of(const struct redis_group *group)
{
    return group->buried + merges_of(group);
}

static void send_group(struct redis_group *group, struct slice commands, uint32_t ahead)
{
    struct redis_store *store = group->store;
    group->ahead = ahead;
    group->is_waiting = false;
    group->err = WEIR_OK;
    group->detail[0] = '\0';
    group->route.commands = commands;
    group->route.count = ahead + EPOCH_REPLIES + replies_of(group) + 1
                         + (store->replicas != 0 && !store->is_cluster);
    redis_route_start(store, &group->route, group->tag);
}

void redis_batch_begin(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    pthread_mutex_lock(&store->mutex);
    bool is_due = store->has_batch && store->doing == REDIS_IDLE;
    store->has_batch = store->has_batch && !is_due;
    pthread_mutex_unlock(&store->mutex);
    if (!is_due) {
        return;
    }
    store->doing = REDIS_WRITING;
    batch->left = batch->groups_count;
    batch->has_waited = false;
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        send_group(&batch->groups[i], commands_of(&batch->groups[i]), 0);
    }
}

void redis_batch_cancel(struct redis_store *store)
{
    for (uint32_t i = 0; i < store->batch.groups_count; i++) {
        redis_route_cancel(&store->batch.groups[i].route);
    }
}

/* --- replies ------------------------------------------------------------------------------------
 */

/* Of the n-th command of the changes. One that is refused keeps nobody else from being taken. */
static void keep_verdicts(struct redis_group *group, uint32_t n, const struct resp_value *value,
                          const struct resp_walk *inside)
{
    bool is_bury = n < group->buried;
    uint32_t merge = is_bury ? 0 : n - group->buried;
    uint32_t at = is_bury ? n : merge_begins(group, merge);
    uint32_t count = is_bury ? 1 : merge_count(group, merge);
    struct redis_verdict_of *of = &group->store->batch.verdicts[group->first + at];
    uint32_t spoilt = 0;
    bool is_fine = !is_bury && redis_wire_verdicts(value, inside, of, count, &spoilt);
    redis_lists_spoilt(group->store, spoilt);
    if (is_bury) {
        redis_wire_verdict(value, inside, of);
        is_fine = of->verdict != REDIS_REFUSED;
    }
    if (value->type == RESP_FAILED && redis_says_of(value->text) == REDIS_NOSCRIPT) {
        group->has_no_scripts = true;
    } else if (!is_fine) {
        redis_store_refused(group->store, value);
        group->is_partial = true;
    }
}

static bool is_waited_for(const struct redis_store *store, const struct resp_value *value)
{
    return value->type == RESP_NUMBER && value->number >= store->replicas;
}

/* As on_reply(), from the epoch on; false: it is refused. */
static bool is_taken(struct redis_group *group, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    if (index == 0) {
        return value->type != RESP_FAILED;
    }
    if (index == 1) {
        return redis_keep_epoch(value, group->epoch);
    }
    if (index < EPOCH_REPLIES + replies_of(group)) {
        keep_verdicts(group, index - EPOCH_REPLIES, value, inside);
        return true;
    }
    return index == EPOCH_REPLIES + replies_of(group) ? redis_keep_epoch(value, group->epoch_again)
                                                      : is_waited_for(group->store, value);
}

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_group *group = container_of(route, struct redis_group, route);
    if (index == 0) { /* the first time, or once more */
        group->is_refused = group->has_no_scripts = false;
        group->is_partial = group->is_partial && group->is_waiting;
    }
    bool is_fine = true;
    if (group->is_waiting) {
        is_fine = index == 0 || is_waited_for(group->store, value);
    } else if (index >= group->ahead) { /* before: scripts; what follows shows if they are known */
        is_fine = is_taken(group, index - group->ahead, value, inside);
    }
    if (!is_fine) {
        redis_store_refused(group->store, value);
        group->is_refused = true;
    }
}

/* --- what follows from them ---------------------------------------------------------------------
 */

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

static bool is_missed(const struct redis_group *group)
{
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->store->batch.verdicts[group->first + i].verdict == REDIS_VANISHED) {
            return true;
        }
    }
    return false;
}

/* False: who answered may have lost what it was told. */
static bool note_epochs(struct redis_store *store)
{
    const struct redis_batch *batch = &store->batch;
    bool is_same = true;
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        const struct redis_group *group = &batch->groups[i];
        if (group->err == WEIR_OK) {
            bool is_known = redis_known_note(store, &group->route, group->tag, group->epoch_again,
                                             group->run_id, is_missed(group));
            is_same = is_same && is_known && strcmp(group->epoch, group->epoch_again) == 0;
        }
    }
    return is_same;
}

/* What its verdicts say, before it is stored: a change comes later. */
static void heed_group(struct redis_store *store, const struct redis_group *group, bool is_same)
{
    struct redis_batch *batch = &store->batch;
    for (uint32_t n = group->first; n < group->first + group->count; n++) {
        const struct redis_verdict_of *of = &batch->verdicts[n];
        bool is_taken = group->err == WEIR_OK && of->verdict != REDIS_REFUSED;
        batch->taken[batch->order[n]] = is_taken;
        if (is_taken) {
            heed_verdict(store, batch->ids[n], of, is_same);
        }
    }
}

/* The first thing that went wrong; NULL: all were taken. */
static const struct redis_group *fault_of(const struct redis_batch *batch)
{
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        if (batch->groups[i].err != WEIR_OK || batch->groups[i].is_partial) {
            return &batch->groups[i];
        }
    }
    return NULL;
}

/* All groups are answered. */
static void end_batch(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    const struct redis_group *fault = fault_of(batch);
    weir_err err = fault == NULL ? WEIR_OK : fault->err != WEIR_OK ? fault->err : WEIR_EIO;
    bool is_same = note_epochs(store);
    store->doing = REDIS_IDLE;
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        heed_group(store, &batch->groups[i], is_same);
    }
    if (!is_same) {
        weir_sessions_renew(store->sessions);
    }
    if (fault != NULL) {
        redis_store_failed(store, err, fault->detail);
    } else {
        redis_store_answered(store);
    }
    storing_settle(store->sessions, batch->task, batch->taken, err); /* the next may come now */
}

/* Who waits for all that its node was told: the first of its groups; NULL: nobody does. */
static const struct redis_group *waiter_of(const struct redis_batch *batch,
                                           const struct redis_group *group)
{
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        const struct redis_group *it = &batch->groups[i];
        if (it->is_waiting && redis_place_same(&it->route.place, &group->route.place)) {
            return it;
        }
    }
    return NULL;
}

static bool compose_wait(struct redis_group *group)
{
    struct redis_store *store = group->store;
    bytes_clear(&group->whole);
    return redis_wire_epoch_again(&store->wire, &group->whole, group->tag)
           && redis_wire_wait(&group->whole, store->replicas, store->timeout_ms / 2 + 1);
}

/* One of each node's groups says that it waits. A command before that, on the same connection, has
 * the node wait for all that was written until then. False: there is nothing to wait for, any more.
 */
static bool wait_for_replicas(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    if (store->replicas == 0 || !store->is_cluster || batch->has_waited) {
        return false;
    }
    batch->has_waited = true;
    for (uint32_t i = 0; i < batch->groups_count; i++) {
        struct redis_group *group = &batch->groups[i];
        if (group->err == WEIR_OK && waiter_of(batch, group) == NULL) {
            group->err = compose_wait(group) ? WEIR_OK : WEIR_ENOMEM;
            group->is_waiting = group->err == WEIR_OK;
            batch->left += group->is_waiting;
        }
    }
    bool is_due = batch->left > 0;
    for (uint32_t i = 0; is_due && i < batch->groups_count; i++) {
        struct redis_group *group = &batch->groups[i];
        if (group->is_waiting) {
            group->route.commands = bytes_slice(&group->whole);
            group->route.count = WAIT_REPLIES;
            redis_route_start(store, &group->route, group->tag);
        }
    }
    return is_due;
}

/* What somebody else has waited for. */
static void heed_waiters(struct redis_store *store)
{
    struct redis_batch *batch = &store->batch;
    for (uint32_t i = 0; batch->has_waited && i < batch->groups_count; i++) {
        struct redis_group *group = &batch->groups[i];
        const struct redis_group *waiter = group->err == WEIR_OK ? waiter_of(batch, group) : NULL;
        if (waiter != NULL && waiter != group) {
            group->err = waiter->err;
            snprintf(group->detail, sizeof group->detail, "%s", waiter->detail);
        }
    }
}

/* The same once more, with the scripts before it. */
static bool send_with_scripts(struct redis_group *group)
{
    bytes_clear(&group->whole);
    if (!redis_wire_scripts(&group->whole)
        || !bytes_append_slice(&group->whole, commands_of(group))) {
        return false;
    }
    send_group(group, bytes_slice(&group->whole), REDIS_SCRIPTS);
    return true;
}

static void done(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct redis_group *group = container_of(route, struct redis_group, route);
    struct redis_store *store = group->store;
    bool is_whole = outcome->err == WEIR_OK;
    if (is_whole && group->has_no_scripts && group->ahead == 0 && send_with_scripts(group)) {
        return;
    }
    bool is_fine = is_whole && !group->has_no_scripts && !group->is_refused;
    if (group->is_waiting) { /* of whom was told, and of nobody else */
        is_fine = is_fine && strcmp(group->run_id, outcome->run_id) == 0;
    }
    group->err = is_fine ? WEIR_OK : is_whole ? WEIR_EIO : outcome->err;
    snprintf(group->detail, sizeof group->detail, "%s", outcome->detail);
    snprintf(group->run_id, sizeof group->run_id, "%s", outcome->run_id);
    if (--store->batch.left == 0 && !wait_for_replicas(store)) {
        heed_waiters(store);
        end_batch(store);
    }
}
