/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/worker.h"

#include "base/check.h"
#include "runtime/limits.h"
#include "runtime/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#define LIMIT_POOLS        4160U /* accounts beside those above, and for these by default */
#define LIMIT_ACCOUNTS_MAX (1U << 19)
#define LIMIT_NAMES_MAX    (1U << 27)

struct worker {
    struct crew *crew;
    uint32_t index;
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct loop_wake *letters, *stop;
    bool has_word; /* of a limit, that its own engine's call caused: fetched at the turn's end */
    pthread_t thread;
    _Atomic(struct worker_note *) notes; /* the latest first */
};

struct crew {
    const struct alloc *alloc;
    uint32_t size;
    bool running;
    struct mailbox *mailbox; /* party `size` is the hub */
    struct limits *limits;   /* NULL: there is one worker, and its limits are its own */
    struct loop_wake *hub;   /* NULL: it receives nothing */
    pthread_t hub_thread;
    struct worker workers[];
};

static _Thread_local struct worker *here;

/* --- events of a worker's loop ------------------------------------------------------------------
 */

static uint64_t worker_step(void *self, uint64_t now_ms)
{
    struct worker *worker = self;
    if (worker->has_word) {
        worker->has_word = false;
        limits_fetch(worker->crew->limits, worker->index, worker->engine);
    }
    uint64_t next_ms = weir_step(worker->engine, now_ms);
    return worker->has_word || weir_engine_pending(worker->engine) ? now_ms : next_ms;
}

/* After a long wait the engine's time is that of the last step: what is told to it next happens
 * now, not then. */
static void worker_tick(void *self, uint64_t now_ms)
{
    struct worker *worker = self;
    weir_step(worker->engine, now_ms);
}

/* Those that were there when it began, the earliest first. */
static bool worker_notes(struct worker *worker)
{
    struct worker_note *latest = atomic_exchange(&worker->notes, NULL), *first = NULL;
    while (latest != NULL) {
        struct worker_note *next = latest->next;
        latest->next = first;
        first = latest;
        latest = next;
    }
    bool any = first != NULL;
    while (first != NULL) {
        struct worker_note *note = first;
        first = note->next;
        atomic_store(&note->written, false);
        note->run(note);
    }
    return any;
}

static void worker_letters(void *self)
{
    struct worker *worker = self;
    mailbox_receive(worker->crew->mailbox, worker->index);
    worker_notes(worker);
    if (worker->crew->limits != NULL) {
        limits_fetch(worker->crew->limits, worker->index, worker->engine);
    }
}

/* Another worker's doing, or its own: there is word for this one of a limit they share. */
static void wake_for_limits(void *arg, uint32_t index)
{
    struct crew *crew = arg;
    struct worker *worker = &crew->workers[index];
    if (here == worker) {
        worker->has_word = true;
    } else {
        loop_wake_send(worker->letters);
    }
}

static void worker_stops(void *self)
{
    struct worker *worker = self;
    loop_stop(worker->loop);
}

static void hub_letters(void *self)
{
    struct crew *crew = self;
    mailbox_receive(crew->mailbox, crew->size);
}

/* --- making and freeing -------------------------------------------------------------------------
 */

static int worker_init_engine(struct worker *worker, const weir_engine_options *opt)
{
    weir_engine_options mine = *opt;
    mine.size = sizeof mine;
    mine.seed += worker->index;
    mine.now_ms = loop_now_ms(worker->loop);
    weir_err err = weir_engine_new(&mine, &worker->engine);
    if (err != WEIR_OK) {
        return err == WEIR_ENOMEM ? -ENOMEM : -EINVAL;
    }
    worker->step = (struct loop_hook){
        .run = worker_step, .tick = worker_tick, .self = worker, .deadline_ms = UINT64_MAX};
    loop_hook_add(worker->loop, &worker->step);
    if (worker->crew->limits == NULL) {
        return 0;
    }
    err = engine_share(worker->engine, limits_port(worker->crew->limits, worker->index));
    return err == WEIR_OK ? 0 : -ENOMEM;
}

/* Accounts for as many pools, tenants and keys as the engines may have, should no two have the
 * same. */
static int crew_share_limits(struct crew *crew, const weir_engine_options *opt)
{
    uint64_t records = (uint64_t)opt->keys_max + opt->groups_max;
    uint64_t accounts = records * crew->size
                        + UINT64_C(2) * LIMIT_POOLS; /* each has callers of no tenant */
    uint64_t names = (uint64_t)opt->key_bytes_max * 3 * crew->size;
    const struct limits_options limits = {
        .engines = crew->size,
        .accounts_max = accounts < LIMIT_ACCOUNTS_MAX ? (uint32_t)accounts : LIMIT_ACCOUNTS_MAX,
        .name_bytes_max = names < LIMIT_NAMES_MAX ? (uint32_t)names : LIMIT_NAMES_MAX,
        .seed = opt->seed,
        .wake = wake_for_limits,
        .wake_arg = crew,
    };
    if (crew->size > 1) {
        crew->limits = limits_new(crew->alloc, &limits);
    }
    return crew->size > 1 && crew->limits == NULL ? -ENOMEM : 0;
}

static int worker_init(struct worker *worker, const struct crew_options *opt)
{
    int err = loop_new(&opt->loop, &worker->loop);
    if (err != 0) {
        return err;
    }
    err = worker_init_engine(worker, &opt->engine);
    if (err != 0) {
        return err;
    }
    err = loop_wake_new(worker->loop, worker_letters, worker, &worker->letters);
    if (err != 0) {
        return err;
    }
    return loop_wake_new(worker->loop, worker_stops, worker, &worker->stop);
}

/* Also of one that worker_init() left half made. */
static void worker_fini(struct worker *worker)
{
    if (worker->letters != NULL) {
        loop_wake_free(worker->letters);
    }
    if (worker->stop != NULL) {
        loop_wake_free(worker->stop);
    }
    if (worker->engine != NULL) {
        loop_hook_remove(worker->loop, &worker->step);
        weir_engine_free(worker->engine);
    }
    if (worker->loop != NULL) {
        loop_free(worker->loop);
    }
}

int crew_new(const struct crew_options *opt, struct crew **ret_crew)
{
    uint32_t size = opt->workers > 0 ? opt->workers : 1;
    if (size > CREW_WORKERS_MAX || (opt->loop.uv_loop != NULL && size > 1)) {
        return -EINVAL;
    }
    const struct alloc *alloc = opt->loop.alloc != NULL ? opt->loop.alloc : &alloc_libc;
    struct crew *crew = alloc_zeroed(alloc, sizeof *crew + size * sizeof(struct worker));
    if (crew == NULL) {
        return -ENOMEM;
    }
    crew->alloc = alloc;
    crew->size = size;
    crew->hub_thread = pthread_self();
    crew->mailbox = mailbox_new(alloc, size + 1);
    int err = crew->mailbox != NULL ? crew_share_limits(crew, &opt->engine) : -ENOMEM;
    for (uint32_t i = 0; i < size && err == 0; i++) {
        crew->workers[i].crew = crew;
        crew->workers[i].index = i;
        err = worker_init(&crew->workers[i], opt);
    }
    if (err != 0) {
        crew_free(crew);
        return err;
    }
    *ret_crew = crew;
    return 0;
}

void crew_free(struct crew *take_crew)
{
    check(!take_crew->running);
    if (take_crew->hub != NULL) {
        loop_wake_free(take_crew->hub);
    }
    if (take_crew->limits != NULL) {
        limits_hush(take_crew->limits);
    }
    for (uint32_t i = 0; i < take_crew->size; i++) {
        worker_fini(&take_crew->workers[i]);
    }
    limits_free(take_crew->limits);
    if (take_crew->mailbox != NULL) {
        mailbox_free(take_crew->mailbox);
    }
    alloc_free(take_crew->alloc, take_crew);
}

/* --- running ------------------------------------------------------------------------------------
 */

static void *worker_main(void *self)
{
    struct worker *worker = self;
    here = worker;
    char name[16];
    snprintf(name, sizeof name, "weir/%u", worker->index);
    pthread_setname_np(pthread_self(), name);
    loop_run(worker->loop);
    here = NULL;
    return NULL;
}

/* Signals are the hub's: a worker's thread takes none. */
static int worker_spawn(struct worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -err;
}

int crew_start(struct crew *crew)
{
    check(!crew->running);
    for (uint32_t i = 0; i < crew->size; i++) {
        int err = worker_spawn(&crew->workers[i]);
        if (err != 0) {
            while (i-- > 0) {
                loop_wake_send(crew->workers[i].stop);
                pthread_join(crew->workers[i].thread, NULL);
            }
            return err;
        }
    }
    crew->running = true;
    return 0;
}

void crew_stop(struct crew *crew)
{
    for (uint32_t i = 0; i < crew->size; i++) {
        loop_wake_send(crew->workers[i].stop);
    }
}

void crew_join(struct crew *crew)
{
    check(crew->running);
    for (uint32_t i = 0; i < crew->size; i++) {
        pthread_join(crew->workers[i].thread, NULL);
    }
    crew->running = false;
    /* What letters carry (descriptors) belongs to somebody: they are run to the last. */
    for (uint32_t i = 0; i < crew->size; i++) {
        here = &crew->workers[i];
        while (mailbox_receive(crew->mailbox, i) > 0 || worker_notes(here)) {
        }
    }
    here = NULL;
}

int crew_hub(struct crew *crew, struct loop *loop)
{
    if (crew->hub != NULL) {
        loop_wake_free(crew->hub);
        crew->hub = NULL;
    }
    return loop != NULL ? loop_wake_new(loop, hub_letters, crew, &crew->hub) : 0;
}

/* --- looking around and posting -----------------------------------------------------------------
 */

uint32_t crew_size(const struct crew *crew)
{
    return crew->size;
}

struct worker *crew_worker(struct crew *crew, uint32_t index)
{
    check(index < crew->size);
    return &crew->workers[index];
}

uint32_t worker_index(const struct worker *worker)
{
    return worker->index;
}

struct loop *worker_loop(struct worker *worker)
{
    return worker->loop;
}

weir_engine *worker_engine(struct worker *worker)
{
    return worker->engine;
}

struct worker *worker_here(void)
{
    return here;
}

/* The party of the mailbox that this thread is. */
static uint32_t crew_party(const struct crew *crew)
{
    if (here != NULL && here->crew == crew) {
        return here->index;
    }
    check(pthread_equal(pthread_self(), crew->hub_thread));
    return crew->size;
}

bool worker_post(struct worker *worker, letter_fn *run, void *self, uint64_t value)
{
    const struct letter letter = {.run = run, .self = self, .value = value};
    struct crew *crew = worker->crew;
    if (!mailbox_send(crew->mailbox, crew_party(crew), worker->index, &letter)) {
        return false;
    }
    loop_wake_send(worker->letters);
    return true;
}

void worker_note(struct worker *worker, struct worker_note *note)
{
    if (atomic_exchange(&note->written, true)) {
        return;
    }
    struct worker_note *latest = atomic_load(&worker->notes);
    do {
        note->next = latest;
    } while (!atomic_compare_exchange_weak(&worker->notes, &latest, note));
    loop_wake_send(worker->letters);
}

bool crew_post_hub(struct crew *crew, letter_fn *run, void *self, uint64_t value)
{
    const struct letter letter = {.run = run, .self = self, .value = value};
    if (crew->hub == NULL || !mailbox_send(crew->mailbox, crew_party(crew), crew->size, &letter)) {
        return false;
    }
    loop_wake_send(crew->hub);
    return true;
}
