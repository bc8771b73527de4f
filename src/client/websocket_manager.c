/* SPDX-License-Identifier: Apache-2.0
 *
 * The manager as the program holds it: opening on every worker, figures, closing.
 */
#include "base/check.h"
#include "client/websocket.h"
#include "core/option.h"

#include <string.h>

#define MANAGER_NAME "websocket-manager"

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

/* --- options ------------------------------------------------------------------------------------
 */

static weir_err resolve_pool(weir_pool_options *pool)
{
    const char *fault = "size";
    weir_pool_options given = {0}, resolved;
    size_t size = pool->size != 0 ? pool->size : sizeof given;
    if (size > sizeof given) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    memcpy(&given, pool, size);
    given.size = sizeof given;
    weir_err err = weir_profile(MANAGER_NAME, &given);
    check(err == WEIR_OK);
    given.name = MANAGER_NAME;
    given.connector = &ws_line_connector;
    given.connector_self = NULL;
    err = option_resolve(&given, &resolved, &fault);
    if (err == WEIR_OK && resolved.max_total > WEBSOCKETS_MAX) {
        fault = "max_total";
        err = WEIR_EINVAL;
    }
    if (err != WEIR_OK) {
        return ground_fault(err, fault);
    }
    option_show(&resolved, pool);
    return WEIR_OK;
}

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* The name of the first field that is out of range, or NULL. */
static const char *set_numbers(weir_websocket_manager_options *opt)
{
    opt->message_max = opt->message_max != 0 ? opt->message_max : 1U << 20;
    opt->fragments_max = either(opt->fragments_max, 1024);
    opt->unsent_max = either(opt->unsent_max, 1U << 20);
    opt->open_timeout_ms = either(opt->open_timeout_ms, 10000);
    opt->close_timeout_ms = either(opt->close_timeout_ms, 5000);
    opt->broadcasts_max = either(opt->broadcasts_max, 64);
    opt->slow = either(opt->slow, WEIR_WEBSOCKET_SKIP);
    opt->deflate = either(opt->deflate, WEIR_OFF);
    opt->deflate_min = opt->deflate_min == WEIR_NONE ? 0 : either(opt->deflate_min, 1024);
    opt->dns_ttl_ms = either(opt->dns_ttl_ms, 300000);
    if (opt->message_max > UINT32_MAX) {
        return "message_max";
    }
    if (opt->slow != WEIR_WEBSOCKET_SKIP && opt->slow != WEIR_WEBSOCKET_CUT) {
        return "slow";
    }
    if (opt->deflate != WEIR_ON && opt->deflate != WEIR_OFF) {
        return "deflate";
    }
    if (opt->open_timeout_ms >= WEIR_MOST || opt->close_timeout_ms >= WEIR_MOST) {
        return opt->open_timeout_ms >= WEIR_MOST ? "open_timeout" : "close_timeout";
    }
    uint32_t verify = opt->tls.verify;
    return verify == 0 || verify == WEIR_ON || verify == WEIR_OFF ? NULL : "tls.verify";
}

static weir_err take_text(weir_websocket_manager *manager)
{
    const char *servers = manager->opt.dns_servers;
    size_t size = servers != NULL ? strlen(servers) + 1 : 0;
    manager->opt.dns_servers = NULL;
    if (size == 0) {
        return WEIR_OK;
    }
    manager->dns_servers = alloc_new(manager->alloc, size);
    if (manager->dns_servers == NULL) {
        return WEIR_ENOMEM;
    }
    memcpy(manager->dns_servers, servers, size);
    return WEIR_OK;
}

/* Files are read at once; without any, TLS comes with the first wss://. */
static weir_err take_tls(weir_websocket_manager *manager)
{
    weir_tls_options *tls = &manager->opt.tls;
    bool has_files = (tls->ca != NULL && tls->ca[0] != '\0')
                     || (tls->certificate != NULL && tls->certificate[0] != '\0');
    const char *fault = "tls";
    weir_err err = has_files ? bay_has_tls(manager, &fault) : WEIR_OK;
    *tls = (weir_tls_options){.verify = tls->verify};
    return err == WEIR_EINVAL ? ground_fault(err, fault) : err;
}

static weir_err take_options(weir_websocket_manager *manager,
                             const weir_websocket_manager_options *opt)
{
    weir_websocket_manager_options *mine = &manager->opt;
    size_t size = opt == NULL ? 0 : opt->size != 0 ? opt->size : sizeof *opt;
    if (size > sizeof *opt) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    if (size > 0) {
        memcpy(mine, opt, size);
    }
    mine->size = sizeof *mine;
    const char *fault = set_numbers(mine);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    weir_err err = resolve_pool(&mine->pool);
    err = err == WEIR_OK ? take_text(manager) : err;
    return err == WEIR_OK ? take_tls(manager) : err;
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
    tls_profile_free(manager->profile);
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

weir_err weir_websocket_manager_new(weir_runtime *runtime,
                                    const weir_websocket_manager_options *opt,
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
    err = take_options(manager, opt);
    err = err == WEIR_OK ? make_bays(manager) : err;
    if (err == WEIR_OK) {
        err = ground_join(runtime, &manager->member, opt != NULL ? opt->pool.name : NULL,
                          MANAGER_NAME);
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
        .max = manager->opt.pool.max_total,
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
