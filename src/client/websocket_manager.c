/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager as the program holds it: opening on every worker, found by name, figures, closing.
 */
#include "base/check.h"
#include "client/websocket.h"

#include <string.h>

static const char managers; /* what kind of a member a manager is */

/* --- asking -------------------------------------------------------------------------------------
 */

typedef void ask_fn(struct bay *bay, void *arg);

struct ask {
    struct worker_note note; /* first */
    struct bay *bay;
    ask_fn *fn;
    void *arg;
    struct ground_wait wait;
};

static void ask_runs(struct worker_note *note)
{
    struct ask *ask = container_of(note, struct ask, note);
    ask->fn(ask->bay, ask->arg);
    ground_wait_end(&ask->wait);
}

static void ask_bay(struct bay *bay, ask_fn *fn, void *arg)
{
    struct ask ask = {.note = {.run = ask_runs}, .bay = bay, .fn = fn, .arg = arg};
    ground_wait_init(&ask.wait);
    worker_note(bay->worker, &ask.note);
    ground_wait_for(&ask.wait, bay->manager->runtime);
    ground_wait_fini(&ask.wait);
}

static void ask_all(weir_websocket_manager *manager, ask_fn *fn, void *arg)
{
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        ask_bay(manager->bays[i], fn, arg);
    }
}

static void nothing(struct bay *bay, void *arg)
{
    (void)bay;
    (void)arg;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void manager_release(weir_websocket_manager *manager)
{
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        if (manager->bays[i] != NULL) {
            bay_free(manager->bays[i]);
        }
    }
    if (manager->names.map.entries != NULL) {
        ws_names_fini(&manager->names);
    }
    tls_profile_free(manager->profiles[OPTIONS_TLS]);
    tls_profile_free(manager->profiles[OPTIONS_PROXY_TLS]);
    ground_wait_fini(&manager->emptied);
    pthread_mutex_destroy(&manager->mutex);
    alloc_free(manager->alloc, manager->dns_servers);
    alloc_free(manager->alloc, manager);
}

static weir_err make_bays(weir_websocket_manager *manager)
{
    struct crew *crew = ground_crew(manager->runtime);
    if (!ws_names_init(&manager->names, manager->alloc)) {
        return WEIR_ENOMEM;
    }
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        manager->bays[i] = bay_new(manager, crew_worker(crew, i));
        if (manager->bays[i] == NULL) {
            return WEIR_ENOMEM;
        }
    }
    return WEIR_OK;
}

static void open_bay(struct bay *bay, void *arg)
{
    const weir_websocket_manager *manager = arg;
    bay_open(bay, (uint32_t)((uintptr_t)manager >> 6) + worker_index(bay->worker));
}

/* Nobody knows it yet. */
static weir_err manager_make(weir_runtime *runtime, const weir_websocket_manager_options *opt,
                             weir_websocket_manager **ret_manager)
{
    weir_err err = ground_may_wait(runtime);
    if (err != WEIR_OK) {
        return err;
    }
    const struct alloc *alloc = ground_alloc(runtime);
    uint32_t bays = crew_size(ground_crew(runtime));
    weir_websocket_manager *manager = alloc_zeroed(alloc,
                                                   sizeof *manager + bays * sizeof(struct bay *));
    if (manager == NULL) {
        return WEIR_ENOMEM;
    }
    manager->runtime = runtime;
    manager->alloc = alloc;
    manager->bays_count = bays;
    manager->member.kind = &managers;
    pthread_mutex_init(&manager->mutex, NULL);
    ground_wait_init(&manager->emptied);
    err = manager_take_options(manager, opt);
    if (err != WEIR_OK) {
        manager_release(manager);
        return err;
    }
    *ret_manager = manager;
    return WEIR_OK;
}

static weir_err manager_join(weir_websocket_manager *take_manager, const char *name,
                             weir_websocket_manager **ret_manager)
{
    weir_websocket_manager *manager = take_manager;
    weir_err err = make_bays(manager);
    if (err == WEIR_OK) {
        err = ground_join(manager->runtime, &manager->member, name, MANAGER_NAME);
    }
    if (err != WEIR_OK) {
        manager_release(manager);
        return err;
    }
    manager->opt.pool.name = manager->member.name;
    ask_all(manager, open_bay, manager);
    *ret_manager = manager;
    return WEIR_OK;
}

weir_err weir_websocket_manager_new(weir_runtime *runtime,
                                    const weir_websocket_manager_options *opt,
                                    weir_websocket_manager **ret_manager)
{
    weir_websocket_manager *manager;
    weir_err err = manager_make(runtime, opt, &manager);
    return err == WEIR_OK ? manager_join(manager, opt != NULL ? opt->pool.name : NULL, ret_manager)
                          : err;
}

/* --- by name ------------------------------------------------------------------------------------
 */

struct sought {
    const weir_websocket_manager *like; /* NULL: any of that name */
    const char *name;                   /* NULL: any that is like it */
    weir_websocket_manager *found;
    bool is_like;
};

static bool seek(void *arg, struct ground_member *member)
{
    struct sought *sought = arg;
    weir_websocket_manager *manager = container_of(member, weir_websocket_manager, member);
    bool is_named = sought->name == NULL || strcmp(member->name, sought->name) == 0;
    bool is_it = is_named && (sought->like == NULL || manager_is_like(manager, sought->like));
    if (is_it || (sought->name != NULL && is_named)) {
        sought->found = manager;
        sought->is_like = is_it;
        return false;
    }
    return true;
}

weir_websocket_manager *weir_websocket_manager_find(weir_runtime *runtime, const char *name)
{
    struct sought sought = {.name = name};
    ground_each(runtime, &managers, seek, &sought);
    return sought.found;
}

weir_err weir_websocket_manager_get(weir_runtime *runtime,
                                    const weir_websocket_manager_options *opt,
                                    weir_websocket_manager **ret_manager)
{
    weir_websocket_manager *like;
    weir_err err = manager_make(runtime, opt, &like);
    if (err != WEIR_OK) {
        return err;
    }
    struct sought sought = {.like = like, .name = opt != NULL ? opt->pool.name : NULL};
    ground_each(runtime, &managers, seek, &sought);
    if (sought.found == NULL) {
        return manager_join(like, sought.name, ret_manager);
    }
    manager_release(like);
    if (!sought.is_like) {
        return WEIR_EEXISTS;
    }
    *ret_manager = sought.found;
    return WEIR_OK;
}

const char *weir_websocket_manager_name(const weir_websocket_manager *manager)
{
    return manager->member.name;
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void shut(struct bay *bay, void *arg)
{
    const uint32_t *grace_ms = arg;
    bay_shut(bay, *grace_ms);
}

static void close_bay(struct bay *bay, void *arg)
{
    (void)arg;
    bay_close(bay);
}

weir_err weir_websocket_manager_free(weir_websocket_manager *take_manager, uint32_t grace_ms)
{
    weir_websocket_manager *manager = take_manager;
    if (manager == NULL) {
        return WEIR_OK;
    }
    weir_err err = ground_may_wait(manager->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    uint32_t grace = grace_ms == WEIR_NONE ? 0 : grace_ms;
    atomic_store(&manager->is_closing, true);
    atomic_store(&manager->pending, manager->bays_count);
    ask_all(manager, shut, &grace);
    ground_wait_for(&manager->emptied, manager->runtime);
    ask_all(manager, close_bay, NULL);
    ask_all(manager, nothing, NULL); /* notes that were written before have been read */
    ground_leave(manager->runtime, &manager->member);
    manager_release(manager);
    return WEIR_OK;
}

/* --- all of them --------------------------------------------------------------------------------
 */

struct showing {
    bool (*fn)(void *arg, const weir_websocket_info *info);
    void *arg;
    bool is_over;
};

static void show(struct bay *bay, void *arg)
{
    struct showing *showing = arg;
    uint32_t at = 0;
    struct sock *sock;
    while (!showing->is_over && (sock = bay_next(bay, &at)) != NULL) {
        const struct ws_end *end = &sock->end;
        uint64_t now_ms = loop_now_ms(bay->loop);
        const weir_websocket_info info = {
            .size = sizeof info,
            .ws = sock_name(sock),
            .peer = sock_peer(sock),
            .is_dialled = sock->is_dialled,
            .is_open = sock->was_open && end->state == WS_END_OPEN,
            .silent_ms = sock->was_open ? (uint32_t)(now_ms - end->heard_ms) : 0,
            .unsent = ws_end_unsent(end),
            .messages_in = end->messages_in,
            .messages_out = end->messages_out,
            .bytes_in = end->bytes_in,
            .bytes_out = end->bytes_out,
        };
        showing->is_over = !showing->fn(showing->arg, &info);
    }
}

weir_err weir_websocket_each(weir_websocket_manager *manager,
                             bool (*fn)(void *arg, const weir_websocket_info *info), void *arg)
{
    struct showing showing = {.fn = fn, .arg = arg};
    weir_err err = ground_may_wait(manager->runtime);
    if (err == WEIR_OK) {
        ask_all(manager, show, &showing);
    }
    return err;
}

void weir_websocket_health_check(weir_websocket_manager *manager)
{
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        worker_note(manager->bays[i]->worker, &manager->bays[i]->check);
    }
}

/* --- figures ------------------------------------------------------------------------------------
 */

static uint64_t sum_at(const weir_websocket_manager *manager, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < manager->bays_count; i++) {
        const char *bay = (const char *)manager->bays[i];
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(bay + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

#define SUM(field) sum_at(manager, offsetof(struct bay, field))
#define SUM_OF(word)                                                                               \
    sum_at(manager, offsetof(struct bay, desk) + offsetof(struct ws_desk, counters.word))

void weir_websocket_manager_stats(const weir_websocket_manager *manager,
                                  weir_websocket_stats *ret_stats)
{
    *ret_stats = (weir_websocket_stats){
        .size = sizeof *ret_stats,
        .total = atomic_load(&manager->seats),
        .max = atomic_load(&manager->seats_max),
        .open = (uint32_t)SUM(open),
        .dialled = SUM(dialled),
        .accepted = SUM(accepted),
        .failed = SUM(failed),
        .refused = atomic_load(&manager->refused),
        .closed = SUM(closed),
        .unanswered = SUM(unanswered),
        .timed_out = SUM(timed_out),
        .messages_in = SUM_OF(messages_in),
        .messages_out = SUM_OF(messages_out),
        .bytes_in = SUM_OF(bytes_in),
        .bytes_out = SUM_OF(bytes_out),
        .pings = SUM_OF(pings),
        .pongs = SUM_OF(pongs),
        .broadcasts = atomic_load(&manager->broadcasts),
        .skipped = SUM(skipped),
        .cut = SUM(cut),
    };
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&manager->mutex;
    pthread_mutex_lock(mutex);
    ret_stats->names = manager->names.map.count;
    pthread_mutex_unlock(mutex);
}
