/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's part on one worker: made with the first request there, so that a client costs nothing
 * before it is used.
 */
#include "base/check.h"
#include "client/http.h"
#include "connector/tunnel.h"
#include "core/parts.h"
#include "core/pool.h"
#include "io/dns.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define ORIGIN_TEXT_MAX   4096U    /* as much as a key takes */
#define ORIGIN_IDLE_MS    600000U  /* one that nobody uses is forgotten when room is needed */
#define CLOSING_STEPS_MAX 1000000U /* each closes something, so there is an end */

static void lane_note(struct worker_note *note);
static void lane_update(struct worker_note *note);
static void lane_flush(struct worker_note *note);
static void lane_closes(struct worker_note *note);
static uint64_t lane_turn(void *self, uint64_t now_ms);
static void lane_event(void *arg, const weir_event *event);

void lane_init(struct lane *lane, struct weir_http_client *client, struct worker *worker)
{
    lane->client = client;
    lane->worker = worker;
    lane->note.run = lane_note;
    lane->update.run = lane_update;
    lane->flush.run = lane_flush;
    lane->close.run = lane_closes;
    list_init(&lane->origins);
    list_init(&lane->live);
}

struct lane *lane_here(struct weir_http_client *client)
{
    struct worker *here = ground_here(client->runtime);
    return here != NULL ? &client->lanes[worker_index(here)] : NULL;
}

/* By what the URL seems to name: whatever it is, the same place goes to the same lane. */
struct lane *lane_of_url(struct weir_http_client *client, const char *url)
{
    const char *authority = strstr(url, "://");
    if (client->lanes_count == 1 || authority == NULL) {
        return &client->lanes[0];
    }
    authority += 3;
    uint64_t hash = XXH3_64bits(authority, strcspn(authority, "/?#"));
    return &client->lanes[hash % client->lanes_count];
}

/* --- opening ------------------------------------------------------------------------------------
 */

static struct http_connector_options connector_options(struct lane *lane,
                                                       const weir_pool_options *pool)
{
    const struct weir_http_client *client = lane->client;
    return (struct http_connector_options){
        .loop = lane->loop,
        .dns = lane->dns,
        .cork = lane->cork,
        .speaks = client->opt.http2 == WEIR_ON ? HTTP_SPEAKS_HTTP2 : HTTP_SPEAKS_HTTP1,
        .ping_interval_ms = pool->probe_every_ms,
        .ping_timeout_ms = pool->probe_timeout_ms,
        .connect_timeout_ms = pool->connect_timeout_ms,
        .tls_timeout_ms = pool->tls_timeout_ms,
        .first_byte_timeout_ms = pool->first_byte_timeout_ms,
        .read_timeout_ms = pool->read_timeout_ms,
        .write_timeout_ms = pool->write_timeout_ms,
        .total_timeout_ms = WEIR_NEVER, /* the request's, not the call's */
        .header_bytes_max = client->opt.header_bytes_max,
        .headers_max = client->opt.headers_max,
    };
}

static weir_pool_options pool_options(struct weir_http_client *client)
{
    pthread_mutex_lock(&client->mutex);
    weir_pool_options pool = client->opt.pool;
    pthread_mutex_unlock(&client->mutex);
    pool.name = client->member.name;
    pool.connector = client->opt.http2 == WEIR_ON ? &http_pool_connector_shared
                                                  : &http_pool_connector;
    return pool;
}

static int open_pool(struct lane *lane)
{
    struct weir_http_client *client = lane->client;
    weir_pool_options pool = pool_options(client);
    const struct http_connector_options connector = connector_options(lane, &pool);
    int error = http_connector_new(&connector, &lane->connector);
    if (error != 0) {
        return error;
    }
    lane->total_timeout_ms = pool.total_timeout_ms;
    pool.connector_self = lane->connector;
    weir_err err = weir_pool_open(worker_engine(lane->worker), &pool, &lane->pool);
    if (err != WEIR_OK) {
        return err == WEIR_ENOMEM ? -ENOMEM : -EBUSY;
    }
    http_connector_serve(lane->connector, lane->pool);
    uint32_t events = 1U << WEIR_EVENT_POOL_CLOSED;
    if (client->opt.on_event != NULL) {
        events |= client->opt.events != 0 ? client->opt.events : UINT32_MAX;
    }
    weir_pool_on_event(lane->pool, lane_event, lane, events);
    return 0;
}

static void lane_release(struct lane *lane)
{
    if (lane->hook.run != NULL) {
        loop_hook_remove(lane->loop, &lane->hook);
        lane->hook.run = NULL;
    }
    http_connector_free(lane->connector);
    lane_insecure(lane);
    if (lane->dns != NULL) {
        dns_close(lane->dns);
    }
    while (!list_is_empty(&lane->origins)) {
        struct node *node = list_pop_front(&lane->origins);
        alloc_free(lane->client->alloc, list_entry(node, struct origin, on_lane));
    }
    map_fini(&lane->by_origin);
    if (lane->cork != NULL) {
        cork_fini(lane->cork);
    }
    alloc_free(lane->client->alloc, lane->cork);
    alloc_free(lane->client->alloc, lane->piece);
    lane->connector = NULL;
    lane->dns = NULL;
    lane->cork = NULL;
    lane->piece = NULL;
    lane->by_origin = (struct map){0};
}

int lane_open(struct lane *lane)
{
    const struct weir_http_client *client = lane->client;
    lane->loop = worker_loop(lane->worker);
    const struct dns_options dns = {
        .servers = client->dns_servers,
        .ttl_max_ms = client->opt.dns_ttl_ms,
    };
    lane->cork = alloc_new(lane->client->alloc, sizeof *lane->cork);
    if (lane->cork == NULL || !map_init(&lane->by_origin, lane->client->alloc, HTTP_ORIGINS_MAX)) {
        lane_release(lane);
        return -ENOMEM;
    }
    cork_init(lane->cork, lane->loop);
    int error = dns_open(lane->loop, &dns, &lane->dns);
    if (error == 0) {
        error = open_pool(lane);
    }
    if (error != 0) {
        lane_release(lane);
        return error;
    }
    replay_budget_init(&lane->budget, client->opt.retry_budget_pct / 100.0,
                       loop_now_ms(lane->loop));
    lane->hook = (struct loop_hook){.run = lane_turn, .self = lane};
    loop_hook_add(lane->loop, &lane->hook);
    lane->is_open = true;
    return 0;
}

/* --- its figures --------------------------------------------------------------------------------
 */

static void set(_Atomic uint64_t *gauge, uint64_t value)
{
    atomic_store_explicit(gauge, value, memory_order_relaxed);
}

void lane_publish(struct lane *lane)
{
    const weir_pool *pool = lane->pool;
    if (pool == NULL) {
        return;
    }
    set(&lane->total, pool_total(pool));
    set(&lane->acquired, pool->by_state[WEIR_ACTIVE].count + pool->by_state[WEIR_SHARED].count);
    set(&lane->idle, pool->by_state[WEIR_IDLE].count + pool->by_state[WEIR_PROBING].count);
    set(&lane->dialling, pool->by_state[WEIR_DIALLING].count);
    set(&lane->waiting, pool->waiting.count);
    set(&lane->created, pool->counters.created);
    set(&lane->closed, pool->counters.closed);
}

static uint64_t lane_turn(void *self, uint64_t now_ms)
{
    (void)now_ms;
    lane_publish(self);
    return UINT64_MAX;
}

static void lane_event(void *arg, const weir_event *event)
{
    struct lane *lane = arg;
    const weir_http_client_options *opt = &lane->client->opt;
    uint32_t events = opt->events != 0 ? opt->events : UINT32_MAX;
    if (event->kind == WEIR_EVENT_POOL_CLOSED) {
        lane_publish(lane);
        lane->is_closed = true;
        lane->pool = NULL;
    }
    if (opt->on_event != NULL && (events >> event->kind & 1)) {
        weir_event told = *event;
        told.pool = NULL;
        lane->depth++;
        opt->on_event(opt->event_arg, &told);
        lane->depth--;
    }
}

/* --- what comes from elsewhere ------------------------------------------------------------------
 */

void lane_post(struct lane *lane, struct request *request)
{
    struct request *latest = atomic_load(&lane->inbox);
    do {
        request->next = latest;
    } while (!atomic_compare_exchange_weak(&lane->inbox, &latest, request));
    worker_note(lane->worker, &lane->note);
}

static struct request *earliest_first(struct request *latest)
{
    struct request *first = NULL;
    while (latest != NULL) {
        struct request *next = latest->next;
        latest->next = first;
        first = latest;
        latest = next;
    }
    return first;
}

static void lane_note(struct worker_note *note)
{
    struct lane *lane = container_of(note, struct lane, note);
    struct request *request = earliest_first(atomic_exchange(&lane->inbox, NULL));
    int error = lane->is_open || lane->is_closed ? 0 : lane_open(lane);
    while (request != NULL) {
        struct request *next = request->next;
        if (request->is_stuck) {
            request->is_stuck = false;
            request_give(request);
        } else {
            uint64_t orders = atomic_fetch_and(&request->ticket, ~(uint64_t)ORDERS) & ORDERS;
            request_orders(request, (unsigned)orders, error == 0 ? WEIR_OK : WEIR_ENOMEM);
        }
        request = next;
    }
}

static void lane_update(struct worker_note *note)
{
    struct lane *lane = container_of(note, struct lane, update);
    if (!lane->is_open || lane->pool == NULL) {
        return;
    }
    weir_pool_options pool = pool_options(lane->client);
    const struct http_connector_options connector = connector_options(lane, &pool);
    pool.connector_self = lane->connector;
    if (weir_pool_update(lane->pool, &pool) == WEIR_OK) {
        http_connector_update(lane->connector, &connector);
        lane->total_timeout_ms = pool.total_timeout_ms;
    }
}

static void lane_flush(struct worker_note *note)
{
    struct lane *lane = container_of(note, struct lane, flush);
    if (lane->pool != NULL) {
        dns_flush(lane->dns);
        weir_pool_flush(lane->pool, NULL, WEIR_NEVER);
    }
}

/* --- closing ------------------------------------------------------------------------------------
 */

static void end_requests(struct lane *lane)
{
    weir_list_each_safe(node, &lane->live) {
        request_abandon(list_entry(node, struct request, on_lane), WEIR_ECLOSED);
    }
}

static void stop_timers(struct lane *lane)
{
    for (struct request *request = lane->spare; request != NULL; request = request->next) {
        loop_timer_stop(lane->loop, &request->timer);
    }
}

void lane_close(struct lane *lane)
{
    lane_note(&lane->note);
    if (!lane->is_open) {
        lane->is_closed = true;
        return;
    }
    weir_engine *engine = worker_engine(lane->worker);
    end_requests(lane);
    weir_pool_close(lane->pool, 0);
    for (uint32_t i = 0; !lane->is_closed && i < CLOSING_STEPS_MAX; i++) {
        weir_step(engine, loop_now_ms(lane->loop));
    }
    check(lane->is_closed && list_is_empty(&lane->live));
    stop_timers(lane);
    lane_release(lane);
    lane->is_open = false;
}

static void lane_closes(struct worker_note *note)
{
    struct lane *lane = container_of(note, struct lane, close);
    struct weir_http_client *client = lane->client;
    lane_close(lane);
    if (atomic_fetch_sub(&client->pending, 1) == 1) {
        ground_wait_end(&client->closed);
    }
}

/* --- origins ------------------------------------------------------------------------------------
 */

static bool origin_is(const void *value, const void *key)
{
    const struct origin *origin = value;
    const struct slice *text = key;
    return origin->text_len == text->len && memcmp(origin->text, text->at, text->len) == 0;
}

static void origin_forget(struct lane *lane, struct origin *origin)
{
    map_remove(&lane->by_origin, origin->hash, origin);
    list_remove(&lane->origins, &origin->on_lane);
    pool_key_unpin(lane->pool, origin->pin);
    alloc_free(lane->client->alloc, origin);
}

/* Makes room: those long unused, and where that is not enough the longest unused one. */
static bool origins_sweep(struct lane *lane, uint64_t now_ms)
{
    weir_list_each_safe(node, &lane->origins) {
        struct origin *origin = list_entry(node, struct origin, on_lane);
        bool is_full = lane->by_origin.count == HTTP_ORIGINS_MAX;
        if (!is_full && origin->used_ms + ORIGIN_IDLE_MS > now_ms) {
            break;
        }
        if (origin->users == 0) {
            origin_forget(lane, origin);
        }
    }
    return lane->by_origin.count < HTTP_ORIGINS_MAX;
}

static weir_err origin_pin(struct lane *lane, const struct message *message, struct key **ret_pin)
{
    char host[256];
    bool is_https = message->url.scheme == URL_HTTPS;
    weir_err err = is_https ? lane_secure(lane) : WEIR_OK;
    if (err == WEIR_OK && proxy_is_https(message->proxy)) {
        err = lane_secure_proxies(lane);
    }
    if (err != WEIR_OK) {
        return err;
    }
    slice_copy(host, sizeof host, message->url.host);
    const weir_key key = {
        .scheme = is_https ? "https" : "http",
        .tls = is_https ? tls_profile_fingerprint(lane->client->targets.profile) : NULL,
        .host = host,
        .port = message->url.port,
        .tenant = message->tenant.at,
        .source = message->source.at,
        .proxy = message->proxy.at,
    };
    return pool_key_pin(lane->pool, &key, ret_pin);
}

static weir_err origin_new(struct lane *lane, const struct message *message, struct slice text,
                           uint64_t hash, struct origin **ret_origin)
{
    if (!origins_sweep(lane, loop_now_ms(lane->loop))) {
        return WEIR_EKEYS;
    }
    struct origin *origin = alloc_zeroed(lane->client->alloc, sizeof *origin + text.len);
    if (origin == NULL) {
        return WEIR_ENOMEM;
    }
    weir_err err = origin_pin(lane, message, &origin->pin);
    if (err != WEIR_OK) {
        alloc_free(lane->client->alloc, origin);
        return err;
    }
    memcpy(origin->text, text.at, text.len);
    origin->text_len = text.len;
    origin->hash = hash;
    bool is_put = map_put(&lane->by_origin, hash, origin);
    check(is_put);
    list_push_back(&lane->origins, &origin->on_lane);
    *ret_origin = origin;
    return WEIR_OK;
}

static uint32_t append(char *text, uint32_t used, struct slice part)
{
    memcpy(text + used, part.at, part.len);
    text[used + part.len] = '\0';
    return used + part.len + 1;
}

weir_err lane_origin(struct lane *lane, const struct message *message, struct origin **ret_origin)
{
    char text[ORIGIN_TEXT_MAX];
    struct slice authority = message->url.authority;
    if ((size_t)authority.len + message->tenant.len + message->source.len + message->proxy.len + 10
        > sizeof text) {
        return WEIR_EINVAL;
    }
    static const struct slice schemes[] = {SLICE("http"), SLICE("https")};
    uint32_t len = append(text, 0, schemes[message->url.scheme == URL_HTTPS]);
    len = append(text, len, authority);
    len = append(text, len, message->tenant);
    len = append(text, len, message->source);
    len = append(text, len, message->proxy);
    struct slice name = {text, len};
    uint64_t hash = XXH3_64bits(text, len);
    struct origin *origin = map_find(&lane->by_origin, hash, origin_is, &name);
    if (origin == NULL) {
        weir_err err = origin_new(lane, message, name, hash, &origin);
        if (err != WEIR_OK) {
            return err;
        }
    }
    origin->users++;
    *ret_origin = origin;
    return WEIR_OK;
}

void lane_origin_leave(struct lane *lane, struct origin *origin)
{
    check(origin->users > 0);
    if (--origin->users == 0) {
        origin->used_ms = loop_now_ms(lane->loop);
        list_move_back(&lane->origins, &lane->origins, &origin->on_lane);
    }
}
