/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"
#include "base/text.h"
#include "connector/custom_parts.h"
#include "io/clock.h"
#include "io/crash.h"

#include <errno.h>

static void on_thread(struct offload_job *job);
static void ask_to_end(struct made *made);

static void use(struct custom *custom)
{
    registered_use(&custom->registered);
}

static void dispose(struct custom *custom)
{
    if (custom->records.base != NULL) {
        weir_slots_each(struct made, made, &custom->records) {
            key_copy_fini(custom->alloc, &made->key);
        }
    }
    for (uint32_t i = 0; i < custom->notes_count; i++) {
        key_copy_fini(custom->alloc, &custom->notes[i].key);
    }
    if (custom->offload != NULL) {
        offload_free(custom->offload);
    }
    slots_fini(&custom->records);
    map_fini(&custom->by_conn);
    berths_fini(&custom->berths);
    pthread_mutex_destroy(&custom->gate);
    void (*gone)(void *) = custom->gone;
    void *gone_self = custom->gone_self;
    alloc_free(custom->alloc, custom);
    if (gone != NULL) {
        gone(gone_self);
    }
}

static void disuse(struct custom *custom)
{
    if (registered_disuse(&custom->registered)) {
        dispose(custom);
    }
}

static struct slice identity(const struct made *made)
{
    return (struct slice){made->key.text, made->key.len};
}

/* --- faults -------------------------------------------------------------------------------------
 */

static void fault(struct custom *custom, weir_factory_fault fault, const weir_key *key)
{
    custom->faults[fault]++;
    if (custom->factory.on_fault == NULL || custom->notes_count == NOTES_MAX) {
        return;
    }
    struct note *note = &custom->notes[custom->notes_count++];
    *note = (struct note){.fault = fault};
    if (key != NULL && !key_copy_init(custom->alloc, key, &note->key)) {
        note->key.text = NULL; /* told without it */
    }
    custom->host.poke(custom->host.self);
}

static void tell_faults(struct custom *custom)
{
    while (custom->notes_count > 0) {
        struct note note = custom->notes[0];
        custom->notes_count--;
        memmove(custom->notes, custom->notes + 1, custom->notes_count * sizeof note);
        custom->host.out(custom->host.self);
        custom->factory.on_fault(custom->self, note.fault,
                                 note.key.text != NULL ? &note.key.view : NULL);
        custom->host.back(custom->host.self);
        key_copy_fini(custom->alloc, &note.key);
    }
}

/* --- records ------------------------------------------------------------------------------------
 */

static void enter(struct made *made, enum made_state state)
{
    list_move_back(&made->custom->by_state[made->state], &made->custom->by_state[state],
                   &made->on_state);
    made->state = (uint8_t)state;
}

static bool is_of_conn(const void *value, const void *key)
{
    return ((const struct made *)value)->conn.id == ((const weir_conn *)key)->id;
}

static struct made *find(const struct custom *custom, weir_conn conn)
{
    return map_find(&custom->by_conn, rand_mix(conn.id), is_of_conn, &conn);
}

static struct made *made_new(struct custom *custom, weir_conn conn, const weir_key *key)
{
    uint64_t id;
    struct made *made = slots_take(&custom->records, &id);
    if (made == NULL) {
        return NULL;
    }
    made->custom = custom;
    made->number = (uint32_t)id;
    made->conn = conn;
    made->job.run = on_thread;
    made->timeout_ms = custom->timeout_ms;
    if (!key_copy_init(custom->alloc, key, &made->key)
        || !berths_take(&custom->berths, identity(made), &made->slot)) {
        key_copy_fini(custom->alloc, &made->key);
        slots_give(&custom->records, id);
        return NULL;
    }
    made->state = MADE_CREATING;
    list_push_back(&custom->by_state[MADE_CREATING], &made->on_state);
    bool is_there = map_put(&custom->by_conn, rand_mix(conn.id), made);
    check(is_there);
    return made;
}

/* Gone, and no call is inside: the record goes as well. True when it did. */
static bool made_review(struct made *made)
{
    struct custom *custom = made->custom;
    if (made->state != MADE_GONE || made->calls > 0 || made->is_on_thread) {
        return false;
    }
    list_remove(&custom->by_state[MADE_GONE], &made->on_state);
    key_copy_fini(custom->alloc, &made->key);
    slots_give(&custom->records, slots_id_of(&custom->records, made));
    return true;
}

/* The pool hears that it is down; its slot is free. */
static void made_down(struct made *made, weir_err why)
{
    struct custom *custom = made->custom;
    weir_conn conn = made->conn;
    berths_give(&custom->berths, identity(made), made->slot);
    map_remove(&custom->by_conn, rand_mix(conn.id), made);
    made->question = 0;
    enter(made, MADE_GONE);
    made_review(made);
    weir_conn_down(custom->pool, conn, why);
}

static void out(struct made *made)
{
    made->calls++;
    made->custom->host.out(made->custom->host.self);
}

static void back(struct made *made)
{
    made->custom->host.back(made->custom->host.self);
    made->calls--;
}

/* --- questions ----------------------------------------------------------------------------------
 */

static weir_task task_of(const struct made *made, uint32_t question)
{
    const struct custom *custom = made->custom;
    return (weir_task){.pool = (uint64_t)custom->registered.serial << 32 | question,
                       .id = slots_id_of(&custom->records, made)};
}

static uint32_t open_question(struct made *made)
{
    struct custom *custom = made->custom;
    custom->questions += custom->questions == UINT32_MAX; /* 0 is none */
    made->question = ++custom->questions;
    return made->question;
}

/* No lock. */
static weir_err put(struct made *made, enum call call, uint32_t question, void **ret_object)
{
    const struct custom *custom = made->custom;
    const weir_factory *factory = &custom->factory;
    const weir_create create = {.size = sizeof create,
                                .task = task_of(made, question),
                                .key = &made->key.view,
                                .slot = made->slot,
                                .timeout_ms = made->timeout_ms};
    switch (call) {
    case CALL_CREATE: return factory->create(custom->self, &create, ret_object);
    case CALL_VALIDATE: return factory->validate(custom->self, create.task, made->object);
    default: break;
    }
    return factory->destroy(custom->self, made->object, (weir_err)made->why);
}

/* 0, or -errno: there is no thread for it. */
static int put_on_thread(struct made *made, enum call call, uint32_t question)
{
    if (made->is_on_thread) {
        made->next_call = (uint8_t)call;
        made->next_asked = question;
        return 0;
    }
    use(made->custom);
    made->call = (uint8_t)call;
    made->asked = question;
    made->is_on_thread = true;
    int error = offload_submit(made->custom->offload, &made->job);
    if (error != 0) {
        made->is_on_thread = false;
        disuse(made->custom);
    }
    return error;
}

/* Whether its job was still in the queue, and is not any more. */
static bool take_off_thread(struct made *made)
{
    if (made->next_call != CALL_NONE) {
        made->next_call = CALL_NONE;
        return true;
    }
    if (!made->is_on_thread || !offload_withdraw(made->custom->offload, &made->job)) {
        return false;
    }
    made->is_on_thread = false;
    disuse(made->custom);
    return true;
}

/* --- answers ------------------------------------------------------------------------------------
 */

static void is_created(struct made *made, weir_err err, void *object)
{
    struct custom *custom = made->custom;
    if (err != WEIR_OK) {
        custom->failed++;
        made_down(made, err);
        return;
    }
    custom->created++;
    made->object = object;
    enter(made, MADE_UP);
    /* WEIR_ESTATE: it is about to be told to close. */
    weir_conn_up(custom->pool, made->conn, made, custom->factory.leases_max);
}

static void is_validated(struct made *made, weir_err err)
{
    struct custom *custom = made->custom;
    enter(made, MADE_UP);
    if (err == WEIR_OK) {
        weir_conn_up(custom->pool, made->conn, made, custom->factory.leases_max);
    } else {
        weir_conn_retire(custom->pool, made->conn, WEIR_EPROBE);
    }
}

/* Nobody wants it any more. */
static weir_err is_too_late(struct made *made, weir_err err, void *object)
{
    struct custom *custom = made->custom;
    bool was_creation = made->call == CALL_CREATE;
    if (was_creation && err != WEIR_OK) {
        custom->failed++;
        made_down(made, (weir_err)made->why);
        return WEIR_ECANCELED;
    }
    if (was_creation) {
        made->object = object;
        fault(custom, WEIR_FAULT_LATE, &made->key.view);
    }
    ask_to_end(made);
    return WEIR_ECANCELED;
}

static weir_err answer(struct made *made, uint32_t question, weir_err err, void *object)
{
    if (question == 0 || made->question != question) {
        fault(made->custom, WEIR_FAULT_TWICE, &made->key.view);
        return WEIR_ESTALE;
    }
    made->question = 0;
    switch ((enum made_state)made->state) {
    case MADE_CREATING: is_created(made, err, object); return WEIR_OK;
    case MADE_VALIDATING: is_validated(made, err); return WEIR_OK;
    case MADE_WITHDRAWN: return is_too_late(made, err, object);
    default: unreachable();
    }
}

static void is_destroyed(struct made *made, weir_err err)
{
    struct custom *custom = made->custom;
    if (err != WEIR_OK) {
        fault(custom, WEIR_FAULT_UNDESTROYED, &made->key.view);
    } else {
        custom->destroyed++;
    }
    made_down(made, (weir_err)made->why);
}

/* A call has returned what it returned. Its own answer may have come before it, by
 * weir_factory_answer(); then it should have returned WEIR_EAGAIN. */
static void returned(struct made *made, uint32_t question, weir_err err, void *object)
{
    if (err != WEIR_EAGAIN) {
        answer(made, question, err, object);
    }
}

weir_err weir_factory_answer(weir_task task, weir_err err, void *object)
{
    struct registered *registered = registry_find((uint32_t)(task.pool >> 32));
    if (registered == NULL) {
        return WEIR_ESTALE;
    }
    struct custom *custom = container_of(registered, struct custom, registered);
    weir_err result = WEIR_ESTALE;
    pthread_mutex_lock(&custom->gate);
    if (!custom->is_closed) {
        custom->host.enter(custom->host.self);
        struct made *made = slots_at(&custom->records, task.id);
        if (err == WEIR_EAGAIN || err >= WEIR_ERRS) {
            result = WEIR_EINVAL;
        } else if (made != NULL) {
            result = answer(made, (uint32_t)task.pool, err, object);
        } else {
            fault(custom, WEIR_FAULT_TWICE, NULL);
        }
        custom->host.leave(custom->host.self);
    }
    pthread_mutex_unlock(&custom->gate);
    disuse(custom);
    return result;
}

/* --- on a thread of the factory's ---------------------------------------------------------------
 */

/* What was asked while the thread was still inside the question before. */
static void follow_up(struct made *made)
{
    enum call call = (enum call)made->next_call;
    made->next_call = CALL_NONE;
    if (call == CALL_NONE || made->is_on_thread
        || put_on_thread(made, call, made->next_asked) == 0) {
        return;
    }
    if (call == CALL_DESTROY) {
        is_destroyed(made, WEIR_ENOMEM);
    } else {
        answer(made, made->next_asked, WEIR_ENOMEM, NULL);
    }
}

/* Locked. */
static void job_returned(struct made *made, weir_err err, void *object)
{
    made->is_on_thread = false;
    if (made->was_abandoned) {
        if (made->call == CALL_CREATE && err == WEIR_OK) {
            fault(made->custom, WEIR_FAULT_LATE, &made->key.view);
        }
    } else if (made->call == CALL_DESTROY) {
        is_destroyed(made, err);
        return;
    } else {
        made->calls++; /* keeps it for the lines below */
        returned(made, made->asked, err, object);
        made->calls--;
        follow_up(made);
    }
    made_review(made);
}

/* On its thread, inside a signal handler. */
static void crashed(void *self)
{
    struct made *made = self;
    struct custom *custom = made->custom;
    atomic_store(&made->has_crashed, true);
    atomic_fetch_add(&custom->crashes, 1);
    custom->host.poke(custom->host.self);
}

static weir_err put_guarded(struct made *made, void **ret_object)
{
    struct crash_guard guard = {crashed, made};
    bool is_guarded = made->call == CALL_DESTROY && made->custom->factory.contain_crashes;
    if (is_guarded) {
        crash_guard_begin(&guard);
    }
    weir_err err = put(made, (enum call)made->call, made->asked, ret_object);
    if (is_guarded) {
        crash_guard_end();
    }
    return err;
}

static void on_thread(struct offload_job *job)
{
    struct made *made = container_of(job, struct made, job);
    struct custom *custom = made->custom;
    void *object = NULL;
    weir_err err = put_guarded(made, &object);
    /* Given up, and back with an object that nobody knows of? */
    bool was_creation = made->call == CALL_CREATE;
    bool was_abandoned = true;
    pthread_mutex_lock(&custom->gate);
    if (!custom->is_closed) {
        custom->host.enter(custom->host.self);
        was_abandoned = made->was_abandoned;
        job_returned(made, err, object);
        custom->host.leave(custom->host.self);
    }
    pthread_mutex_unlock(&custom->gate);
    if (was_abandoned && was_creation && err == WEIR_OK) {
        custom->factory.destroy(custom->self, object, WEIR_ECANCELED);
    }
    if (!was_abandoned) {
        disuse(custom);
    }
}

/* Its thread was given up, and ends. */
static void lost_ends(void *self)
{
    disuse(self);
}

/* --- what the pool asks -------------------------------------------------------------------------
 */

static void custom_dial(void *self, weir_conn conn, const weir_key *key)
{
    struct custom *custom = self;
    struct made *made = made_new(custom, conn, key);
    if (made == NULL) {
        weir_conn_down(custom->pool, conn, WEIR_ENOMEM);
        return;
    }
    uint32_t question = open_question(made);
    made->call = CALL_CREATE;
    if (custom->offload != NULL) {
        if (put_on_thread(made, CALL_CREATE, question) != 0) {
            made_down(made, WEIR_ENOMEM);
        }
        return;
    }
    void *object = NULL;
    out(made);
    weir_err err = put(made, CALL_CREATE, question, &object);
    back(made);
    made->calls++;
    returned(made, question, err, object);
    made->calls--;
    made_review(made);
}

static void custom_probe(void *self, weir_conn conn, void *object)
{
    struct custom *custom = self;
    struct made *made = object;
    (void)conn;
    uint32_t question = open_question(made);
    made->call = CALL_VALIDATE;
    enter(made, MADE_VALIDATING);
    if (custom->offload != NULL) {
        if (put_on_thread(made, CALL_VALIDATE, question) != 0) {
            answer(made, question, WEIR_ENOMEM, NULL);
        }
        return;
    }
    out(made);
    weir_err err = put(made, CALL_VALIDATE, question, NULL);
    back(made);
    returned(made, question, err, NULL);
}

/* To be destroyed, now that no question is open: on a thread at once, on the loop in its tick. */
static void ask_to_end(struct made *made)
{
    struct custom *custom = made->custom;
    made->since_ms = clock_now_ms();
    enter(made, MADE_ENDING);
    if (custom->offload == NULL) {
        custom->host.poke(custom->host.self);
    } else if (put_on_thread(made, CALL_DESTROY, 0) != 0) {
        is_destroyed(made, WEIR_ENOMEM);
    }
}

/* The question is out, and its answer is not wanted any more. */
static void withdraw(struct made *made)
{
    struct custom *custom = made->custom;
    weir_task task = task_of(made, made->question);
    made->since_ms = clock_now_ms();
    enter(made, MADE_WITHDRAWN);
    if (custom->factory.cancel != NULL) {
        out(made);
        custom->factory.cancel(custom->self, task);
        back(made);
        made_review(made);
    }
}

static void custom_close_conn(void *self, weir_conn conn, void *object, weir_err why)
{
    struct custom *custom = self;
    struct made *made = find(custom, conn);
    (void)object;
    check(made != NULL);
    made->why = (uint8_t)why;
    switch ((enum made_state)made->state) {
    case MADE_CREATING:
        if (take_off_thread(made)) {
            made_down(made, why);
        } else {
            withdraw(made);
        }
        break;
    case MADE_VALIDATING:
        if (take_off_thread(made)) {
            made->question = 0;
            ask_to_end(made);
        } else {
            withdraw(made);
        }
        break;
    case MADE_UP: ask_to_end(made); break;
    default: unreachable();
    }
}

static void custom_cut(void *self, weir_conn conn, void *object)
{
    struct custom *custom = self;
    struct made *made = object;
    (void)conn;
    if (custom->factory.cut != NULL) {
        out(made);
        custom->factory.cut(custom->self, made->object);
        back(made);
    }
}

static bool custom_usable(void *self, void *object)
{
    struct custom *custom = self;
    return custom->factory.usable(custom->self, ((struct made *)object)->object);
}

/* --- in time ------------------------------------------------------------------------------------
 */

/* Destroys what is to be destroyed on the loop. */
static void destroy_ended(struct custom *custom)
{
    struct node *node;
    while (custom->offload == NULL && (node = list_first(&custom->by_state[MADE_ENDING])) != NULL) {
        struct made *made = list_entry(node, struct made, on_state);
        out(made);
        weir_err err = put(made, CALL_DESTROY, 0, NULL);
        back(made);
        is_destroyed(made, err);
    }
}

/* Its thread, if it is on one, does not come back. */
static void lose(struct made *made, weir_factory_fault why)
{
    struct custom *custom = made->custom;
    fault(custom, why, &made->key.view);
    if (made->is_on_thread) {
        made->was_abandoned = true;
        offload_abandon(custom->offload, &made->job);
    }
    made_down(made, (weir_err)made->why);
}

static void lose_crashed(struct custom *custom)
{
    if (atomic_exchange(&custom->crashes, 0) == 0) {
        return;
    }
    weir_list_each_safe(it, &custom->by_state[MADE_ENDING]) {
        struct made *made = list_entry(it, struct made, on_state);
        if (atomic_load(&made->has_crashed)) {
            lose(made, WEIR_FAULT_CRASHED);
        }
    }
}

static void give_up(struct made *made)
{
    if (made->next_call == CALL_NONE && take_off_thread(made)) { /* has not had its turn yet */
        ask_to_end(made);
        return;
    }
    lose(made, WEIR_FAULT_STUCK);
}

static uint64_t give_up_stuck(struct custom *custom, enum made_state state, uint64_t now_ms)
{
    struct node *node;
    while ((node = list_first(&custom->by_state[state])) != NULL) {
        struct made *made = list_entry(node, struct made, on_state);
        uint64_t due_ms = made->since_ms + custom->abandon_ms;
        if (due_ms > now_ms) {
            return due_ms;
        }
        give_up(made);
    }
    return UINT64_MAX;
}

uint64_t custom_tick(struct custom *custom, uint64_t now_ms)
{
    destroy_ended(custom);
    lose_crashed(custom);
    uint64_t withdrawn_ms = give_up_stuck(custom, MADE_WITHDRAWN, now_ms);
    uint64_t ending_ms = give_up_stuck(custom, MADE_ENDING, now_ms);
    tell_faults(custom);
    return withdrawn_ms < ending_ms ? withdrawn_ms : ending_ms;
}

/* --- life ---------------------------------------------------------------------------------------
 */

const char *custom_fault_of(const weir_factory *factory)
{
    if (factory == NULL) {
        return "factory";
    }
    if (factory->size > sizeof *factory) {
        return "factory.size";
    }
    if (factory->create == NULL) {
        return "factory.create";
    }
    if (factory->destroy == NULL) {
        return "factory.destroy";
    }
    if (factory->contain_crashes && factory->threads_max == 0) {
        return "factory.contain_crashes";
    }
    return factory->threads_max > OFFLOAD_THREADS_MAX ? "factory.threads_max" : NULL;
}

static void copy_factory(struct custom *custom, const weir_factory *factory)
{
    memcpy(&custom->factory, factory, factory->size != 0 ? factory->size : sizeof *factory);
    const char *scheme = factory->scheme != NULL ? factory->scheme : "custom";
    slice_copy(custom->scheme, sizeof custom->scheme, slice_of(scheme));
    custom->factory.scheme = custom->scheme;
    custom->factory.leases_max += custom->factory.leases_max == 0;
    custom->abandon_ms = factory->abandon_after_ms > 0 ? factory->abandon_after_ms
                                                       : CUSTOM_ABANDON_AFTER_MS;
    custom->connector = (weir_connector){
        .scheme = custom->scheme,
        .dial = custom_dial,
        .probe = custom->factory.validate != NULL ? custom_probe : NULL,
        .close = custom_close_conn,
        .cut = custom_cut,
        .reusable = custom->factory.usable != NULL ? custom_usable : NULL,
    };
}

static int open_all(struct custom *custom, const struct custom_options *opt)
{
    const struct alloc *alloc = opt->alloc;
    if (!slots_init(&custom->records, alloc, sizeof(struct made), custom_records(opt->conns_max))
        || !map_init(&custom->by_conn, alloc, opt->conns_max)
        || !berths_init(&custom->berths, alloc)) {
        return -ENOMEM;
    }
    if (custom->factory.threads_max == 0) {
        return 0;
    }
    if (custom->factory.contain_crashes) {
        crash_contain();
    }
    const struct offload_options threads = {.threads_max = custom->factory.threads_max,
                                            .name = "weir/factory",
                                            .alloc = alloc,
                                            .lost_ends = lost_ends,
                                            .self = custom};
    return offload_new(&threads, &custom->offload);
}

int custom_new(const struct custom_options *opt, struct custom **ret_custom)
{
    struct custom *custom = alloc_zeroed(opt->alloc, sizeof *custom);
    if (custom == NULL) {
        return -ENOMEM;
    }
    custom->alloc = opt->alloc;
    custom->self = opt->factory_self;
    custom->host = opt->host;
    custom->timeout_ms = opt->timeout_ms;
    pthread_mutex_init(&custom->gate, NULL);
    for (int i = 0; i < MADE_STATES; i++) {
        list_init(&custom->by_state[i]);
    }
    copy_factory(custom, opt->factory);
    int error = open_all(custom, opt);
    if (error != 0) {
        dispose(custom);
        return error;
    }
    custom->gone = opt->gone;
    custom->gone_self = opt->gone_self;
    registry_add(&custom->registered);
    *ret_custom = custom;
    return 0;
}

void custom_close(struct custom *take_custom)
{
    registry_remove(&take_custom->registered);
    pthread_mutex_lock(&take_custom->gate);
    take_custom->is_closed = true;
    pthread_mutex_unlock(&take_custom->gate);
    if (take_custom->offload != NULL) {
        offload_close(take_custom->offload);
    }
    disuse(take_custom);
}

const weir_connector *custom_connector(const struct custom *custom)
{
    return &custom->connector;
}

void custom_serve(struct custom *custom, weir_pool *pool)
{
    custom->pool = pool;
}

void custom_set_timeout(struct custom *custom, uint32_t timeout_ms)
{
    custom->timeout_ms = timeout_ms;
}
