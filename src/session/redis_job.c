/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_job.c - look-ups, claims and questions about limits: from any thread to the loop's, to the
 * server, and back.
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

static bool is_asking(const struct redis_job *job)
{
    return job->fn != NULL || job->leased != NULL;
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
    if (is_asking(job)) {
        atomic_fetch_sub(&store->claims, 1);
    }
    if (job->leased != NULL) {
        job->leased(job->arg, err, NULL); /* with an answer: lease_replied() */
    } else if (job->fn != NULL) {
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

/* WEIR_OK: one more may ask. */
static weir_err take_place(struct redis_store *store)
{
    if (is_deaf(store)) {
        return WEIR_EDOWN;
    }
    if (atomic_fetch_add(&store->claims, 1) >= REDIS_CLAIMS_MAX) {
        atomic_fetch_sub(&store->claims, 1);
        return WEIR_EQUEUE;
    }
    return WEIR_OK;
}

/* WEIR_EAGAIN: it is on its way. NULL, or one that could not be composed: WEIR_ENOMEM. */
static weir_err say(struct redis_store *store, struct redis_job *job, bool is_composed)
{
    weir_err err = !is_composed ? WEIR_ENOMEM : post(job) ? WEIR_EAGAIN : WEIR_ECLOSED;
    if (err != WEIR_EAGAIN) {
        atomic_fetch_sub(&store->claims, 1);
        if (job != NULL) {
            job_free(job);
        }
    }
    return err;
}

weir_err redis_store_claim(struct redis_store *store, weir_session_id id, struct slice place,
                           weir_affinity_fn *fn, void *arg)
{
    weir_err err = take_place(store);
    if (err != WEIR_OK) {
        return err;
    }
    struct redis_job *job = job_new(store, id);
    if (job == NULL) {
        return say(store, NULL, false);
    }
    job->fn = fn;
    job->arg = arg;
    slice_copy(job->place, sizeof job->place, place);
    return say(store, job,
               redis_wire_claim(&store->wire, &job->commands, id, place, store->affinity_ttl_ms));
}

weir_err redis_store_lease(struct redis_store *store, const struct lease_ask *ask, lease_fn *fn,
                           void *arg)
{
    weir_err err = take_place(store);
    if (err != WEIR_OK) {
        return err;
    }
    struct redis_job *job = job_new(store, (weir_session_id){0, 0});
    if (job == NULL) {
        return say(store, NULL, false);
    }
    job->leased = fn;
    job->arg = arg;
    job->ask = *ask;
    slice_copy(job->place, sizeof job->place, slice_of(ask->name));
    job->ask.name = job->place; /* it may be said once more, when its owner is gone */
    return say(store, job, redis_wire_lease(&store->wire, &job->commands, &job->ask));
}

/* --- asking, on the loop's thread ---------------------------------------------------------------
 */

static uint32_t tag_of(const struct redis_job *job)
{
    return job->leased != NULL ? redis_wire_lease_tag(job->place) : redis_wire_tag(job->id);
}

static void ask(struct redis_job *job, uint32_t ahead)
{
    job->ahead = ahead;
    job->route.on_reply = on_reply;
    job->route.done = done;
    job->route.commands = bytes_slice(&job->commands);
    job->route.count = ahead + (job->leased != NULL ? 1 : 2);
    redis_route_start(job->store, &job->route, tag_of(job));
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

static bool is_no_script(const struct resp_value *value)
{
    return value->type == RESP_FAILED && redis_says_of(value->text) == REDIS_NOSCRIPT;
}

static void lease_replied(struct redis_job *job, const struct resp_value *value,
                          struct resp_walk *inside)
{
    struct lease_answer said;
    if (is_no_script(value)) {
        job->has_no_scripts = true;
    } else if (!job->is_answered && redis_wire_leased(value, inside, &said)) {
        job->is_answered = true;
        atomic_fetch_sub(&job->store->claims, 1);
        job->leased(job->arg, WEIR_OK, &said);
    }
}

static void read_replied(struct redis_job *job, const struct resp_value *value,
                         struct resp_walk *inside)
{
    struct redis_found found;
    if (is_no_script(value)) {
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
    if (job->leased != NULL) {
        if (index == job->ahead) {
            lease_replied(job, value, inside);
        }
    } else if (job->fn != NULL && index == job->ahead) {
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
    bool is_said = redis_wire_scripts(&job->commands);
    is_said = is_said
              && (job->leased != NULL
                      ? redis_wire_lease(&job->store->wire, &job->commands, &job->ask)
                      : say_read(job));
    if (!is_said) {
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
