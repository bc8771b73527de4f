/* SPDX-License-Identifier: Apache-2.0 */
#include "client/runtime.h"

#include "base/check.h"
#include "io/clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX   10000U
#define WAITING_MAX 1000U

/* How often a close that waits looks again; what it waits for wakes it, too. */
#define CLOSE_LOOK_MS 20

static _Thread_local const char *fault_word = "";

weir_err runtime_fault(const char *word)
{
    fault_word = word;
    return WEIR_EINVAL;
}

const char *weir_runtime_fault(void)
{
    return fault_word;
}

/* --- memory: the program's two hooks as our three -----------------------------------------------
 */

/* A block begins with its size, which resizing has to know. */
union block {
    size_t size;
    max_align_t align;
};

static void *hook_alloc(void *self, size_t size)
{
    const weir_allocator *allocator = self;
    union block *block = size <= SIZE_MAX - sizeof *block
                             ? allocator->alloc(allocator->arg, sizeof *block + size)
                             : NULL;
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    return block + 1;
}

static void hook_free(void *self, void *memory)
{
    const weir_allocator *allocator = self;
    if (memory != NULL) {
        allocator->free(allocator->arg, (union block *)memory - 1);
    }
}

static void *hook_resize(void *self, void *memory, size_t size)
{
    void *next = hook_alloc(self, size);
    if (next != NULL && memory != NULL) {
        size_t old = ((union block *)memory - 1)->size;
        memcpy(next, memory, old < size ? old : size);
        hook_free(self, memory);
    }
    return next;
}

static struct alloc alloc_of(weir_allocator *hooks)
{
    if (hooks->alloc == NULL || hooks->free == NULL) {
        return alloc_libc;
    }
    return (struct alloc){.alloc = hook_alloc,
                          .resize = hook_resize,
                          .free = hook_free,
                          .zeroed = hook_alloc,
                          .self = hooks};
}

static struct memory *memory_new(const weir_allocator *hooks)
{
    weir_allocator own = *hooks;
    struct alloc alloc = alloc_of(&own);
    struct memory *memory = alloc_zeroed(&alloc, sizeof *memory);
    if (memory != NULL) {
        memory->hooks = *hooks;
        memory->alloc = alloc_of(&memory->hooks);
        memory->users = 1;
    }
    return memory;
}

void memory_use(struct memory *memory)
{
    memory->users++;
}

void memory_drop(struct memory *memory)
{
    if (--memory->users == 0) {
        weir_allocator own = memory->hooks;
        struct alloc alloc = alloc_of(&own);
        alloc_free(&alloc, memory);
    }
}

/* --- posts --------------------------------------------------------------------------------------
 */

static struct post *next_post(struct place *place)
{
    struct weir_runtime *runtime = place->runtime;
    pthread_mutex_lock(&runtime->mutex);
    struct node *node = list_pop_front(&place->posts);
    pthread_mutex_unlock(&runtime->mutex);
    return node != NULL ? list_entry(node, struct post, node) : NULL;
}

static void place_wakes(void *self)
{
    struct place *place = self;
    struct weir_runtime *runtime = place->runtime;
    struct post *post;
    while ((post = next_post(place)) != NULL) {
        struct post own = *post;
        pthread_mutex_lock(&runtime->mutex);
        list_push_back(&runtime->spare_posts, &post->node);
        pthread_mutex_unlock(&runtime->mutex);
        own.fn(own.arg, worker_engine(place->worker), worker_index(place->worker));
    }
}

weir_err weir_runtime_post(weir_runtime *runtime, uint32_t worker, weir_worker_fn *fn, void *arg)
{
    if (worker >= runtime->workers || fn == NULL) {
        return WEIR_EINVAL;
    }
    struct place *place = &runtime->places[worker];
    pthread_mutex_lock(&runtime->mutex);
    struct node *node = list_pop_front(&runtime->spare_posts);
    if (node != NULL) {
        struct post *post = list_entry(node, struct post, node);
        post->fn = fn;
        post->arg = arg;
        list_push_back(&place->posts, &post->node);
    }
    pthread_mutex_unlock(&runtime->mutex);
    if (node == NULL) {
        return WEIR_EFULL;
    }
    loop_wake_send(place->wake);
    return WEIR_OK;
}

/* --- open ---------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

static uint32_t processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > CREW_WORKERS_MAX ? CREW_WORKERS_MAX : (uint32_t)count;
}

static weir_engine_options engine_options(const weir_runtime_options *opt)
{
    return (weir_engine_options){.conns_max = opt->conns_max,
                                 .waiting_max = opt->waiting_max,
                                 .keys_max = opt->keys_max,
                                 .seed = opt->seed,
                                 .on_event = opt->on_event,
                                 .event_arg = opt->event_arg,
                                 .events = opt->events,
                                 .allocator = opt->allocator};
}

static weir_err resolve(const weir_runtime_options *opt, bool is_hosted,
                        weir_runtime_options *ret_opt)
{
    weir_runtime_options own = {0};
    if (opt != NULL) {
        size_t size = opt->size != 0 ? opt->size : sizeof *opt;
        if (size > sizeof own) {
            return runtime_fault("size");
        }
        memcpy(&own, opt, size);
    }
    own.workers = is_hosted ? 1 : or_default(own.workers, processors());
    own.pools_max = or_default(own.pools_max, RUNTIME_POOLS_MAX);
    own.posts_max = or_default(own.posts_max, RUNTIME_POSTS_MAX);
    own.conns_max = or_default(own.conns_max, CONNS_MAX);
    own.waiting_max = or_default(own.waiting_max, WAITING_MAX);
    own.seed = own.seed != 0 ? own.seed : clock_now_ns();
    if (own.workers > CREW_WORKERS_MAX) {
        return runtime_fault("workers");
    }
    if (own.pools_max > HOME_STATIONS_MAX) {
        return runtime_fault("pools_max");
    }
    own.log_level = own.log_level != 0 ? own.log_level : WEIR_LEVEL_WARN;
    if (own.log_level > WEIR_LEVEL_DEBUG) {
        return runtime_fault("log_level");
    }
    weir_engine_options engine = engine_options(&own);
    const char *fault = weir_engine_options_fault(&engine);
    if (fault != NULL) {
        return runtime_fault(fault);
    }
    *ret_opt = own;
    return WEIR_OK;
}

static int open_crew(struct weir_runtime *runtime, void *uv_loop)
{
    const weir_runtime_options *opt = &runtime->opt;
    /* A guest's handles are freed when the program's loop turns next: when all of this is gone. */
    bool is_libc = opt->allocator.alloc == NULL || uv_loop != NULL;
    const struct crew_options crew = {
        .workers = runtime->workers,
        .loop = {.uv_loop = uv_loop, .alloc = is_libc ? &alloc_libc : &runtime->memory->alloc},
        .engine = engine_options(opt),
    };
    return crew_new(&crew, &runtime->crew);
}

static int place_open(struct weir_runtime *runtime, uint32_t index)
{
    struct place *place = &runtime->places[index];
    struct worker *worker = crew_worker(runtime->crew, index);
    int error = home_init(&place->home, worker_loop(worker), runtime->pools_max);
    if (error != 0) {
        return error;
    }
    place->runtime = runtime;
    place->worker = worker;
    return loop_wake_new(worker_loop(worker), place_wakes, place, &place->wake);
}

static void place_close(struct place *place)
{
    if (place->wake != NULL) {
        loop_wake_free(place->wake);
    }
    if (place->runtime != NULL) {
        home_fini(&place->home);
    }
}

static int open_tables(struct weir_runtime *runtime)
{
    runtime->pools = alloc_zeroed(&runtime->alloc, runtime->pools_max * sizeof *runtime->pools);
    runtime->posts = alloc_array(&runtime->alloc, runtime->opt.posts_max, sizeof *runtime->posts);
    if (runtime->pools == NULL || runtime->posts == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < runtime->opt.posts_max; i++) {
        runtime->posts[i] = (struct post){0};
        list_push_back(&runtime->spare_posts, &runtime->posts[i].node);
    }
    return 0;
}

static int open_all(struct weir_runtime *runtime, void *uv_loop)
{
    int error = open_tables(runtime);
    error = error == 0 ? open_crew(runtime, uv_loop) : error;
    for (uint32_t i = 0; i < runtime->workers && error == 0; i++) {
        error = place_open(runtime, i);
    }
    if (error == 0 && !runtime->is_hosted) {
        error = crew_start(runtime->crew);
        runtime->is_running = error == 0;
    }
    return error;
}

/* Everything is over, and no thread of ours runs. */
static void dispose(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->workers; i++) {
        place_close(&runtime->places[i]);
    }
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        station_fini(&runtime->pools[i]->station);
        park_fini(&runtime->pools[i]->park, &runtime->alloc);
        alloc_free(&runtime->alloc, runtime->pools[i]);
    }
    if (runtime->crew != NULL) {
        crew_free(runtime->crew);
    }
    alloc_free(&runtime->alloc, runtime->pools);
    alloc_free(&runtime->alloc, runtime->posts);
    pthread_cond_destroy(&runtime->change);
    pthread_mutex_destroy(&runtime->mutex);
    struct memory *memory = runtime->memory;
    alloc_free(&memory->alloc, runtime);
    memory_drop(memory);
}

static struct weir_runtime *runtime_new(const weir_runtime_options *opt, bool is_hosted)
{
    struct memory *memory = memory_new(&opt->allocator);
    size_t size = sizeof(struct weir_runtime) + opt->workers * sizeof(struct place);
    struct weir_runtime *runtime = memory != NULL ? alloc_zeroed(&memory->alloc, size) : NULL;
    if (runtime == NULL) {
        if (memory != NULL) {
            memory_drop(memory);
        }
        return NULL;
    }
    runtime->opt = *opt;
    logline_attach(runtime);
    runtime->memory = memory;
    runtime->alloc = memory->alloc;
    runtime->workers = opt->workers;
    runtime->pools_max = opt->pools_max;
    runtime->is_hosted = is_hosted;
    runtime->host = pthread_self();
    list_init(&runtime->spare_posts);
    for (uint32_t i = 0; i < runtime->workers; i++) {
        list_init(&runtime->places[i].posts);
    }
    pthread_mutex_init(&runtime->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&runtime->change, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return runtime;
}

static weir_err open_runtime(const weir_runtime_options *opt, bool is_hosted, void *uv_loop,
                             weir_runtime **ret_runtime)
{
    weir_runtime_options own;
    weir_err err = resolve(opt, is_hosted, &own);
    if (err != WEIR_OK) {
        return err;
    }
    struct weir_runtime *runtime = runtime_new(&own, is_hosted);
    if (runtime == NULL) {
        return WEIR_ENOMEM;
    }
    int error = open_all(runtime, uv_loop);
    if (error != 0) {
        dispose(runtime);
        return error == -ENOMEM ? WEIR_ENOMEM : error == -EINVAL ? WEIR_EINVAL : WEIR_EIO;
    }
    *ret_runtime = runtime;
    return WEIR_OK;
}

weir_err weir_runtime_open(const weir_runtime_options *opt, weir_runtime **ret_runtime)
{
    return open_runtime(opt, false, NULL, ret_runtime);
}

weir_err weir_runtime_open_on_uv(struct uv_loop_s *loop, const weir_runtime_options *opt,
                                 weir_runtime **ret_runtime)
{
    return loop != NULL ? open_runtime(opt, true, loop, ret_runtime) : runtime_fault("loop");
}

weir_err weir_runtime_open_hosted(const weir_runtime_options *opt, weir_runtime **ret_runtime)
{
    return open_runtime(opt, true, NULL, ret_runtime);
}

/* --- turning ------------------------------------------------------------------------------------
 */

struct loop *runtime_host_loop(const weir_runtime *runtime)
{
    return worker_loop(runtime->places[0].worker);
}

int weir_runtime_fd(const weir_runtime *runtime)
{
    return runtime->is_hosted ? loop_fd(runtime_host_loop(runtime)) : -1;
}

int weir_runtime_timeout_ms(const weir_runtime *runtime)
{
    return runtime->is_hosted ? loop_timeout_ms(runtime_host_loop(runtime)) : -1;
}

weir_err weir_runtime_turn(weir_runtime *runtime, int timeout_ms)
{
    if (!runtime->is_hosted || loop_is_turning(runtime_host_loop(runtime))) {
        return WEIR_ESTATE;
    }
    runtime->host = pthread_self();
    return loop_turn(runtime_host_loop(runtime), timeout_ms) == 0 ? WEIR_OK : WEIR_EIO;
}

bool runtime_is_host(const weir_runtime *runtime)
{
    return runtime->is_hosted && pthread_equal(pthread_self(), runtime->host);
}

bool runtime_is_inside(const weir_runtime *runtime)
{
    if (runtime->is_hosted) {
        return runtime_is_host(runtime) && loop_is_turning(runtime_host_loop(runtime));
    }
    const struct worker *here = worker_here();
    return here != NULL && worker_index(here) < runtime->workers
           && runtime->places[worker_index(here)].worker == here;
}

uint32_t weir_runtime_workers(const weir_runtime *runtime)
{
    return runtime->workers;
}

struct crew *runtime_crew(weir_runtime *runtime)
{
    return runtime->crew;
}

const struct alloc *runtime_alloc(const weir_runtime *runtime)
{
    return &runtime->alloc;
}

/* --- close --------------------------------------------------------------------------------------
 */

/* Locked. */
static bool all_over(const struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        if (runtime->pools[i]->state != SHARED_FREE) {
            return false;
        }
    }
    return true;
}

static void close_pools(struct weir_runtime *runtime, uint32_t grace_ms)
{
    pthread_mutex_lock(&runtime->mutex);
    runtime->is_closing = true;
    uint32_t count = runtime->pools_count;
    pthread_mutex_unlock(&runtime->mutex);
    for (uint32_t i = 0; i < count; i++) {
        weir_shared_close(runtime->pools[i], grace_ms);
    }
}

/* Waits a little for a pool to end. */
static void wait_a_little(struct weir_runtime *runtime)
{
    if (runtime->is_hosted) {
        loop_turn(runtime_host_loop(runtime), CLOSE_LOOK_MS);
        return;
    }
    uint64_t until_ns = clock_now_ns() + CLOSE_LOOK_MS * UINT64_C(1000000);
    struct timespec until = {.tv_sec = (time_t)(until_ns / 1000000000U),
                             .tv_nsec = (long)(until_ns % 1000000000U)};
    pthread_mutex_lock(&runtime->mutex);
    if (!all_over(runtime)) {
        pthread_cond_timedwait(&runtime->change, &runtime->mutex, &until);
    }
    pthread_mutex_unlock(&runtime->mutex);
}

static bool is_over(struct weir_runtime *runtime)
{
    pthread_mutex_lock(&runtime->mutex);
    bool over = all_over(runtime);
    pthread_mutex_unlock(&runtime->mutex);
    return over;
}

/* Whether some loan keeps a pool from ending. */
static bool is_lent(struct weir_runtime *runtime)
{
    for (uint32_t i = 0; i < runtime->pools_count; i++) {
        weir_stats stats = {0};
        weir_shared_stats(runtime->pools[i], &stats);
        if (stats.leases > 0) {
            return true;
        }
    }
    return false;
}

weir_err weir_runtime_close(weir_runtime *take_runtime, uint32_t grace_ms)
{
    struct weir_runtime *runtime = take_runtime;
    if (runtime == NULL) {
        return WEIR_OK;
    }
    if (runtime_is_inside(runtime) || runtime->members != NULL) {
        return WEIR_ESTATE;
    }
    uint64_t grace_end_ms = clock_now_ms() + (grace_ms == WEIR_NONE ? 0 : grace_ms);
    close_pools(runtime, grace_ms);
    while (!is_over(runtime)) {
        if (clock_now_ms() > grace_end_ms && is_lent(runtime)) {
            return WEIR_ESTATE;
        }
        wait_a_little(runtime);
    }
    if (runtime->is_running) {
        crew_stop(runtime->crew);
        crew_join(runtime->crew);
    }
    dispose(runtime);
    return WEIR_OK;
}
