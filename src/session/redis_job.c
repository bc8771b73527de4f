/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_job.c - look-ups and claims: from any thread to the loop's, to the server, and back.
 */
#include "session/redis_parts.h"

#define COMMANDS_MAX (64U << 10)

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside);
static void done(struct redis_route *route, const struct redis_outcome *outcome);

static void job_free(struct redis_job *job)
{
    bytes_fini(&job->commands);
    alloc_free(&alloc_libc, job);
}

/* Once. */
static void answer(struct redis_job *job, weir_err err, const weir_session_delta *found,
                   const char *place, bool is_ours)
{
    struct redis_store *store = job->store;
    if (job->is_answered) {
        return;
    }
    job->is_answered = true;
    if (job->fn != NULL) {
        atomic_fetch_sub(&store->claims, 1);
        job->fn(job->arg, err, job->id, err == WEIR_OK ? place : "", is_ours);
    } else {
        weir_sessions_fetched(store->sessions, job->task, err, found);
    }
}

/* --- posting, on any thread ---------------------------------------------------------------------
 */

static struct redis_job *job_new(struct redis_store *store, weir_session_id id)
{
    struct redis_job *job = alloc_zeroed(&alloc_libc, sizeof *job);
    if (job != NULL) {
        job->store = store;
        job->id = id;
        bytes_init(&job->commands, &alloc_libc, COMMANDS_MAX);
    }
    return job;
}

/* False: nothing is posted any more. */
static bool post(struct redis_job *job)
{
    struct redis_store *store = job->store;
    pthread_mutex_lock(&store->mutex);
    bool is_open = !store->is_closing;
    if (is_open) {
        list_push_back(&store->posted, &job->on_list);
    }
    pthread_mutex_unlock(&store->mutex);
    if (is_open) {
        loop_wake_send(store->wake);
    }
    return is_open;
}

/* A Cluster's nodes are down each for itself: its routes know. */
static bool is_deaf(const struct redis_store *store)
{
    return !store->is_cluster && atomic_load(&store->is_down);
}

/* First which Redis it is, so that what it has is never taken for what another one had. */
static bool say_read(struct redis_job *job)
{
    const struct redis_wire *wire = &job->store->wire;
    return redis_wire_epoch_again(wire, &job->commands, redis_wire_tag(job->id))
           && redis_wire_read(wire, &job->commands, job->id);
}

void redis_job_read(void *self, uint64_t task, weir_session_id id)
{
    struct redis_store *store = self;
    bool is_down = is_deaf(store);
    struct redis_job *job = is_down ? NULL : job_new(store, id);
    if (job != NULL && say_read(job)) {
        job->task = task;
        if (post(job)) {
            return;
        }
    }
    if (job != NULL) {
        job_free(job);
    }
    weir_sessions_fetched(store->sessions, task, is_down ? WEIR_EDOWN : WEIR_ENOMEM, NULL);
}

weir_err redis_store_claim(struct redis_store *store, weir_session_id id, struct slice place,
                           weir_affinity_fn *fn, void *arg)
{
    if (is_deaf(store)) {
        return WEIR_EDOWN;
    }
    if (atomic_fetch_add(&store->claims, 1) >= REDIS_CLAIMS_MAX) {
        atomic_fetch_sub(&store->claims, 1);
        return WEIR_EQUEUE;
    }
    weir_err err = WEIR_ENOMEM;
    struct redis_job *job = job_new(store, id);
    if (job != NULL
        && redis_wire_claim(&store->wire, &job->commands, id, place, store->affinity_ttl_ms)) {
        job->fn = fn;
        job->arg = arg;
        slice_copy(job->place, sizeof job->place, place);
        err = post(job) ? WEIR_EAGAIN : WEIR_ECLOSED;
    }
    if (err != WEIR_EAGAIN) {
        atomic_fetch_sub(&store->claims, 1);
        if (job != NULL) {
            job_free(job);
        }
    }
    return err;
}

/* --- asking, on the loop's thread ---------------------------------------------------------------
 */

static void ask(struct redis_job *job, uint32_t ahead)
{
    job->ahead = ahead;
    job->route.on_reply = on_reply;
    job->route.done = done;
    job->route.commands = bytes_slice(&job->commands);
    job->route.count = ahead + 2;
    redis_route_start(job->store, &job->route, redis_wire_tag(job->id));
}

void redis_job_begin(struct redis_job *job)
{
    list_push_back(&job->store->asked, &job->on_list);
    ask(job, 0);
}

static void job_end(struct redis_job *job, weir_err err)
{
    list_leave(&job->on_list);
    answer(job, err, NULL, "", false);
    job_free(job);
}

void redis_jobs_cancel(struct redis_store *store)
{
    struct node *it;
    pthread_mutex_lock(&store->mutex);
    while (!list_is_empty(&store->posted)) {
        list_push_back(&store->asked, list_pop_front(&store->posted));
    }
    pthread_mutex_unlock(&store->mutex);
    while ((it = list_first(&store->asked)) != NULL) {
        struct redis_job *job = container_of(it, struct redis_job, on_list);
        redis_route_cancel(&job->route);
        job_end(job, WEIR_ECLOSED);
    }
}

static void read_replied(struct redis_job *job, const struct resp_value *value,
                         struct resp_walk *inside)
{
    struct redis_found found;
    if (value->type == RESP_FAILED && redis_says_of(value->text) == REDIS_NOSCRIPT) {
        job->has_no_scripts = true;
        return;
    }
    weir_err err = redis_wire_found(value, inside, &found);
    job->was_found = err == WEIR_OK;
    found.session.id = job->id;
    const weir_session_delta delta = {.size = sizeof delta,
                                      .id = job->id,
                                      .session = &found.session,
                                      .attrs = found.attrs,
                                      .attrs_len = found.attrs_len,
                                      .is_known = true};
    answer(job, err, err == WEIR_OK ? &delta : NULL, "", false);
}

/* Nothing: it was set, and is ours. */
static void claim_replied(struct redis_job *job, const struct resp_value *value)
{
    char place[WEIR_SESSION_NAME_MAX + 1];
    if (value->type == RESP_NULL || value->type == RESP_STATUS) {
        answer(job, WEIR_OK, NULL, job->place, true);
        return;
    }
    bool is_there = value->type == RESP_TEXT && value->text.len < sizeof place;
    if (is_there) {
        slice_copy(place, sizeof place, value->text);
    }
    answer(job, is_there ? WEIR_OK : WEIR_EIO, NULL, place,
           is_there && strcmp(place, job->place) == 0);
}

static void on_reply(struct redis_route *route, uint32_t index, const struct resp_value *value,
                     struct resp_walk *inside)
{
    struct redis_job *job = container_of(route, struct redis_job, route);
    job->has_no_scripts = job->has_no_scripts && index > 0; /* from the beginning, once more */
    if (job->fn != NULL && index == job->ahead) {
        claim_replied(job, value); /* what follows says that it lasts */
    } else if (job->fn == NULL && index == job->ahead && !redis_keep_epoch(value, job->epoch)) {
        job->epoch[0] = '\0';
    } else if (job->fn == NULL && index == job->ahead + 1) {
        read_replied(job, value, inside);
    }
}

/* The same once more, with the scripts before it. */
static bool ask_with_scripts(struct redis_job *job)
{
    bytes_clear(&job->commands);
    if (!redis_wire_scripts(&job->commands) || !say_read(job)) {
        return false;
    }
    ask(job, REDIS_SCRIPTS);
    return true;
}

static void done(struct redis_route *route, const struct redis_outcome *outcome)
{
    struct redis_job *job = container_of(route, struct redis_job, route);
    struct redis_store *store = job->store;
    if (outcome->err == WEIR_OK && job->has_no_scripts && job->ahead == 0
        && ask_with_scripts(job)) {
        return;
    }
    if (outcome->err == WEIR_OK && job->was_found) {
        redis_known_found(store, route, redis_wire_tag(job->id), job->epoch, outcome->run_id);
    }
    if (outcome->err != WEIR_OK && !store->is_cluster) { /* one node is not all of them */
        redis_store_failed(store, outcome->err, outcome->detail);
    }
    job_end(job, outcome->err != WEIR_OK ? outcome->err : WEIR_EIO); /* unless it was answered */
}
