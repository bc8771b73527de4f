/* SPDX-License-Identifier: Apache-2.0
 *
 * redis.c - the store as a whole: its options, its thread, and whether its server can be asked.
 */
#include "io/clock.h"
#include "session/redis_parts.h"

#include <errno.h>
#include <stdio.h>

#define CONNS_MAX         4U
#define CLUSTER_CONNS_MAX 256U /* in all; of one node CONNS_MAX */
#define LEASES_MORE       4096U

/* --- options ------------------------------------------------------------------------------------
 */

static uint32_t or_default(uint32_t value, uint32_t initial)
{
    return value != 0 ? value : initial;
}

static weir_sessions_redis whole_of(const weir_sessions_redis *opt)
{
    weir_sessions_redis own = {0};
    memcpy(&own, opt, opt->size != 0 ? opt->size : sizeof own);
    own.prefix = own.prefix != NULL ? own.prefix : "weir";
    own.timeout_ms = or_default(own.timeout_ms, REDIS_TIMEOUT_MS);
    own.batch_max = or_default(own.batch_max, 100);
    own.counters_ms = or_default(own.counters_ms, 60000);
    own.again_ms = or_default(own.again_ms, 1000);
    return own;
}

struct urls {
    struct redis_url url;
    struct redis_hosts_url sentinels, cluster;
};

/* Each can be dialled. */
static bool are_places(const struct redis_hosts_url *url)
{
    for (uint32_t i = 0; i < url->count; i++) {
        if (strlen(url->at[i].host) >= REDIS_HOST_MAX) {
            return false;
        }
    }
    return true;
}

static const char *read_cluster(const weir_sessions_redis *own, struct urls *ret_urls)
{
    if (own->sentinels != NULL) {
        return "redis.cluster"; /* it looks after itself */
    }
    return own->url != NULL && redis_hosts_url_parse(own->url, REDIS_PORT, &ret_urls->cluster)
                   && are_places(&ret_urls->cluster)
               ? NULL
               : "redis.url";
}

/* NULL: they are URLs. A password may be in them. */
static const char *read_urls(const weir_sessions_redis *own, struct urls *ret_urls)
{
    *ret_urls = (struct urls){0};
    if (own->cluster) {
        return read_cluster(own, ret_urls);
    }
    if (own->url == NULL || !redis_url_parse(own->url, &ret_urls->url)) {
        return "redis.url";
    }
    if (own->sentinels == NULL) {
        return NULL;
    }
    if (!redis_hosts_url_parse(own->sentinels, REDIS_SENTINEL_PORT, &ret_urls->sentinels)) {
        return "redis.sentinels";
    }
    return ret_urls->url.has_port ? "redis.url" : NULL; /* they say which */
}

const char *redis_store_fault(const weir_sessions_redis *opt)
{
    struct urls urls;
    struct redis_wire wire;
    if (opt->size > sizeof *opt) {
        return "redis.size";
    }
    weir_sessions_redis own = whole_of(opt);
    const char *word = read_urls(&own, &urls);
    bool is_tls = urls.url.is_tls || urls.sentinels.is_tls || urls.cluster.is_tls;
    explicit_bzero(&urls, sizeof urls);
    return word != NULL                                     ? word
           : !redis_wire_init(&wire, own.prefix, 0, 0)      ? "redis.prefix"
           : own.batch_max > SESSIONS_BATCH_MAX             ? "redis.batch_max"
           : own.timeout_ms > 600000                        ? "redis.timeout"
           : own.again_ms > 600000                          ? "redis.again"
           : own.ca != NULL && own.ca[0] != '\0' && !is_tls ? "redis.ca"
                                                            : NULL;
}

/* --- up and down --------------------------------------------------------------------------------
 */

static void set_fault(struct redis_store *store, const char *word, const char *detail)
{
    pthread_mutex_lock(&store->mutex);
    snprintf(store->fault, sizeof store->fault, "%s%s%s", word, detail[0] != '\0' ? ": " : "",
             detail);
    pthread_mutex_unlock(&store->mutex);
}

static void emit(const struct redis_store *store, weir_session_event_kind kind)
{
    const weir_sessions_options *opt = &store->sessions->opt;
    if (opt->on_event != NULL) {
        opt->on_event(opt->event_arg, kind, (weir_session_id){0, 0});
    }
}

void redis_store_refused(struct redis_store *store, const struct resp_value *value)
{
    slice_copy(store->refused, sizeof store->refused,
               value->type == RESP_FAILED ? value->text : SLICE("it answers with nonsense"));
}

void redis_store_failed(struct redis_store *store, weir_err err, const char *detail)
{
    set_fault(store, weir_err_word(err), err == WEIR_EIO ? store->refused : detail);
    if (!atomic_exchange(&store->is_down, true)) {
        atomic_fetch_add(&store->outages, 1);
        store->down_since_ms = loop_now_ms(store->loop);
        emit(store, WEIR_SESSION_LOST);
    }
}

void redis_store_answered(struct redis_store *store)
{
    if (!atomic_load(&store->is_down)) {
        return;
    }
    uint64_t outage_ms = loop_now_ms(store->loop) - store->down_since_ms;
    set_fault(store, "", "");
    atomic_store(&store->is_down, false);
    emit(store, WEIR_SESSION_FOUND);
    if (outage_ms > store->slack_ms) { /* it may have forgotten what lives on here */
        weir_sessions_renew(store->sessions);
    }
}

void redis_lists_spoilt(struct redis_store *store, uint32_t count)
{
    if (count > 0) {
        atomic_fetch_add(&store->lists_spoilt, count);
        emit(store, WEIR_SESSION_SPOILT);
        weir_sessions_renew(store->sessions); /* which has all that lived here listed again */
    }
}

static void arm(struct redis_store *store)
{
    loop_timer_set(store->loop, &store->probe_timer,
                   loop_now_ms(store->loop) + store->vtable.again_ms);
}

/* Also while all is well: somebody else may have emptied it. */
static void probe_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct redis_store *store = container_of(timer, struct redis_store, probe_timer);
    (void)now_ms;
    if (store->doing == REDIS_IDLE) {
        redis_probe_begin(store);
    }
    arm(store);
}

/* --- its thread ---------------------------------------------------------------------------------
 */

/* The sentinels' pool last: dials of the other one ask them. */
static void end_soon(struct redis_store *store)
{
    if (store->is_ending) {
        bool is_last = store->has_ended && !redis_master_end(store);
        store->has_ended = false;
        if (is_last) {
            loop_stop(store->loop);
        }
        return;
    }
    store->is_ending = true;
    redis_master_unwatch(store);
    loop_timer_stop(store->loop, &store->probe_timer);
    redis_batch_cancel(store);
    redis_probe_cancel(store);
    redis_jobs_cancel(store);
    redis_searches_cancel(store);
    redis_nodes_stop(store);
    weir_pool_close(store->pool, 0);
    loop_hook_soon(store->loop, &store->step);
}

static void woken(void *self)
{
    struct redis_store *store = self;
    pthread_mutex_lock(&store->mutex);
    bool is_closing = store->is_closing;
    pthread_mutex_unlock(&store->mutex);
    if (is_closing) {
        end_soon(store);
        return;
    }
    redis_batch_begin(store);
    redis_searches_begin(store);
    for (;;) {
        pthread_mutex_lock(&store->mutex);
        struct node *first = list_is_empty(&store->posted) ? NULL : list_pop_front(&store->posted);
        pthread_mutex_unlock(&store->mutex);
        if (first == NULL) {
            return;
        }
        redis_job_begin(container_of(first, struct redis_job, on_list));
    }
}

static void on_pool(void *arg, const weir_event *event)
{
    struct redis_store *store = arg;
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        store->has_ended = true;
        loop_wake_send(store->wake);
    }
}

static uint64_t step(void *self, uint64_t now_ms)
{
    struct redis_store *store = self;
    uint64_t next_ms = weir_step(store->engine, now_ms);
    return weir_engine_pending(store->engine) ? now_ms : next_ms;
}

static void tick(void *self, uint64_t now_ms)
{
    struct redis_store *store = self;
    weir_step(store->engine, now_ms);
}

static void *store_main(void *self)
{
    struct redis_store *store = self;
    if (store->sessions != NULL) {
        arm(store);
        redis_master_watch(store);
    }
    loop_run(store->loop);
    return NULL;
}

/* --- making and freeing -------------------------------------------------------------------------
 */

static int open_tls(struct redis_store *store, const char *ca)
{
    const struct tls_profile_options opt = {.ca = ca};
    struct tls_fault fault;
    bool is_tls = store->url.is_tls || store->sentinels_url.is_tls || store->cluster_url.is_tls;
    int error = is_tls ? tls_profile_read(&opt, &store->profile, &fault) : 0;
    if (error == 0 && is_tls) {
        error = tls_desk_new(store->loop, &store->desk);
    }
    if (error == 0 && is_tls) {
        error = tls_client_new(store->desk, store->profile, &store->client);
    }
    return error;
}

struct redis_connector_options redis_store_connecting(const struct redis_store *store,
                                                      uint32_t timeout_ms)
{
    return (struct redis_connector_options){
        .loop = store->loop,
        .dns = store->dns,
        .alloc = &alloc_libc,
        .desk = store->desk,
        .tls = store->client,
        .connect_timeout_ms = timeout_ms,
        .tls_timeout_ms = timeout_ms,
        .write_timeout_ms = timeout_ms,
        .handshake_timeout_ms = timeout_ms,
        .acquire_timeout_ms = timeout_ms,
        .name = "weir",
    };
}

static int open_connector(struct redis_store *store)
{
    struct redis_connector_options opt = redis_store_connecting(store, store->timeout_ms);
    opt.unsent_max = UINT32_MAX; /* a batch, and look-ups; each of them is bounded */
    opt.user = store->is_cluster ? store->cluster_url.user : store->url.user;
    opt.password = store->is_cluster ? store->cluster_url.password : store->url.password;
    opt.database = store->url.database;
    opt.sentinels = store->sentinels;
    return redis_connector_new(&opt, &store->connector);
}

static int open_engine(struct redis_store *store)
{
    uint32_t sentinels = store->sentinels_url.count;
    weir_engine_options engine = {.size = sizeof engine,
                                  .conns_max = CONNS_MAX + sentinels,
                                  .keys_max = 4 + sentinels,
                                  .now_ms = loop_now_ms(store->loop)};
    if (store->is_cluster) { /* who was a node once is a key for a while */
        engine.conns_max = CLUSTER_CONNS_MAX;
        engine.keys_max = 4 * REDIS_NODES_MAX;
        engine.waiting_max = LEASES_MORE;
        engine.leases_max = CLUSTER_CONNS_MAX * REDIS_CALLS_MAX;
    }
    if (weir_engine_new(&engine, &store->engine) != WEIR_OK) {
        return -ENOMEM;
    }
    store->step =
        (struct loop_hook){.run = step, .tick = tick, .self = store, .deadline_ms = UINT64_MAX};
    loop_hook_add(store->loop, &store->step);
    return 0;
}

int redis_store_open_pool(struct redis_store *store, struct redis_connector *connector,
                          const char *name, uint32_t conns_max, weir_pool **ret_pool)
{
    weir_pool_options pool = {.size = sizeof pool,
                              .name = name,
                              .connector = &redis_pool_connector,
                              .connector_self = connector,
                              .max_total = conns_max,
                              .streams_conns_max = conns_max < CONNS_MAX ? conns_max : CONNS_MAX,
                              .waiting_max = SESSIONS_FETCHES + REDIS_CLAIMS_MAX + 2
                                             + REDIS_SEARCHES_MAX * REDIS_PARTS_MAX
                                             + (store->is_cluster ? REDIS_TAGS : 0),
                              .acquire_timeout_ms = store->timeout_ms,
                              .connect_timeout_ms = store->timeout_ms,
                              .tls_timeout_ms = store->timeout_ms,
                              .probe_every_ms = 5000,
                              .probe_timeout_ms = store->timeout_ms,
                              .retry_first_ms = 50,
                              .retry_cap_ms = 500,
                              .failures_max = 2,
                              .down_for_ms = 500};
    if (weir_pool_open(store->engine, &pool, ret_pool) != WEIR_OK) {
        return -ENOMEM;
    }
    redis_connector_serve(connector, *ret_pool);
    return 0;
}

static int open_pool(struct redis_store *store)
{
    int error = store->is_cluster ? redis_store_open_pool(store, store->connector, "cluster",
                                                          CLUSTER_CONNS_MAX, &store->pool)
                                  : redis_store_open_pool(store, store->connector, "master",
                                                          CONNS_MAX, &store->pool);
    if (error == 0) {
        weir_pool_on_event(store->pool, on_pool, store, 0);
    }
    return error;
}

static int open_parts(struct redis_store *store, const char *ca)
{
    const struct loop_options loop = {0};
    const struct dns_options dns = {0};
    int error = loop_new(&loop, &store->loop);
    error = error == 0 ? loop_wake_new(store->loop, woken, store, &store->wake) : error;
    error = error == 0 ? dns_open(store->loop, &dns, &store->dns) : error;
    error = error == 0 ? open_tls(store, ca) : error;
    error = error == 0 ? redis_master_open(store) : error;
    error = error == 0 ? open_connector(store) : error;
    error = error == 0 ? open_engine(store) : error;
    error = error == 0 ? open_pool(store) : error;
    error = error == 0 ? redis_master_serve(store) : error;
    error = error == 0 ? redis_nodes_open(store) : error;
    bool is_there = error != 0
                    || (redis_known_init(store) && redis_batch_init(store)
                        && redis_probe_init(store));
    return is_there ? error : -ENOMEM;
}

static void set_options(struct redis_store *store, const weir_sessions_redis *opt)
{
    snprintf(store->prefix, sizeof store->prefix, "%s", opt->prefix);
    store->replicas = opt->replicas;
    store->timeout_ms = opt->timeout_ms;
    /* Touches are that late, and a batch after a failure a little later. */
    store->slack_ms = 2 * (uint64_t)opt->counters_ms + 60000;
    store->vtable = (weir_session_store){.size = sizeof store->vtable,
                                         .batch_max = opt->batch_max,
                                         .soon_ms = opt->soon_ms,
                                         .counters_ms = opt->counters_ms,
                                         .again_ms = opt->again_ms,
                                         .write = redis_batch_write,
                                         .read = redis_job_read};
    store->key = (weir_key){.scheme = store->url.is_tls ? "rediss" : "redis",
                            .host = store->url.host,
                            .port = store->url.port};
}

weir_err redis_store_new(const weir_sessions_redis *opt, uint32_t affinity_ttl_ms,
                         struct redis_store **ret_store)
{
    weir_sessions_redis own = whole_of(opt);
    struct redis_store *store = alloc_zeroed(&alloc_libc, sizeof *store);
    if (store == NULL) {
        return WEIR_ENOMEM;
    }
    store->is_cluster = own.cluster;
    if (own.cluster) { /* all of them were checked */
        redis_hosts_url_parse(own.url, REDIS_PORT, &store->cluster_url);
    } else {
        redis_url_parse(own.url, &store->url);
    }
    if (own.sentinels != NULL) {
        redis_hosts_url_parse(own.sentinels, REDIS_SENTINEL_PORT, &store->sentinels_url);
    }
    set_options(store, &own);
    store->affinity_ttl_ms = affinity_ttl_ms;
    store->probe_timer.fire = probe_fire;
    pthread_mutex_init(&store->mutex, NULL);
    list_init(&store->posted);
    list_init(&store->asked);
    list_init(&store->searches);
    list_init(&store->searching);
    int error = open_parts(store, own.ca);
    if (error != 0) {
        redis_store_free(store);
        errno = -error;
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_EIO;
    }
    *ret_store = store;
    return WEIR_OK;
}

const weir_session_store *redis_store_vtable(const struct redis_store *store)
{
    return &store->vtable;
}

weir_err redis_store_start(struct redis_store *store, struct weir_sessions *sessions,
                           uint64_t origin)
{
    store->sessions = sessions;
    if (!redis_wire_init(&store->wire, store->prefix, origin, store->slack_ms)) {
        return WEIR_EIO;
    }
    store->wire.names = sessions->secret.keyed;
    store->is_running = pthread_create(&store->thread, NULL, store_main, store) == 0;
    if (!store->is_running) {
        return WEIR_EIO;
    }
    pthread_setname_np(store->thread, "weir redis");
    return WEIR_OK;
}

/* Its own thread, or this one where there is none, sees the pool close. */
static void stop(struct redis_store *store)
{
    pthread_mutex_lock(&store->mutex);
    store->is_closing = true;
    pthread_mutex_unlock(&store->mutex);
    loop_wake_send(store->wake);
    if (store->is_running) {
        pthread_join(store->thread, NULL);
    } else {
        store_main(store);
    }
}

static void close_tls(struct redis_store *store)
{
    if (store->client != NULL) {
        tls_client_free(store->client);
    }
    if (store->desk != NULL) {
        tls_desk_free(store->desk);
    }
    if (store->profile != NULL) {
        tls_profile_free(store->profile);
    }
}

static void close_loop(struct redis_store *store)
{
    if (store->engine != NULL) {
        loop_hook_remove(store->loop, &store->step);
        weir_engine_free(store->engine);
    }
    if (store->dns != NULL) {
        dns_close(store->dns);
    }
    if (store->wake != NULL) {
        loop_wake_free(store->wake);
    }
    if (store->loop != NULL) {
        loop_free(store->loop);
    }
}

void redis_store_free(struct redis_store *take_store)
{
    struct redis_store *store = take_store;
    if (store->pool != NULL) {
        stop(store);
    }
    redis_nodes_close(store);
    redis_connector_free(store->connector);
    redis_master_close(store);
    close_tls(store);
    close_loop(store);
    redis_probe_fini(store);
    redis_batch_fini(store);
    redis_known_fini(store);
    pthread_mutex_destroy(&store->mutex);
    explicit_bzero(&store->url, sizeof store->url);
    alloc_free(&alloc_libc, store);
}

size_t redis_store_fault_text(struct redis_store *store, char *ret_text, size_t size)
{
    pthread_mutex_lock(&store->mutex);
    int len = snprintf(ret_text, size, "%s", store->fault);
    pthread_mutex_unlock(&store->mutex);
    return (size_t)len;
}

void redis_store_stats(const struct redis_store *store, weir_sessions_stats *stats)
{
    stats->store_down = atomic_load(&store->is_down);
    stats->store_outages = atomic_load(&store->outages);
    stats->store_pages = atomic_load(&store->pages);
    stats->store_pages_local = atomic_load(&store->pages_local);
    stats->store_lists_spoilt = atomic_load(&store->lists_spoilt);
    if (store->cluster == NULL) {
        return;
    }
    const struct redis_cluster_counters *counters = redis_cluster_counters(store->cluster);
    uint32_t nodes = (uint32_t)atomic_load(&counters->nodes);
    uint32_t down = (uint32_t)atomic_load(&counters->down);
    stats->store_nodes = nodes;
    stats->store_nodes_down = down < nodes ? down : nodes; /* the map may change between the two */
    stats->store_slots_open = (uint32_t)atomic_load(&counters->uncovered);
    stats->store_maps = atomic_load(&counters->maps);
    stats->store_moved = atomic_load(&counters->moved);
    stats->store_asked = atomic_load(&counters->asked);
    stats->store_repeats = atomic_load(&counters->repeated);
}
