/* SPDX-License-Identifier: Apache-2.0
 *
 * The client as the program holds it, and the records of its requests. A record is never freed
 * before its client, so that a ticket can always be read; the ticket says whether it is still the
 * request that was meant.
 */
#include "base/check.h"
#include "client/http.h"
#include "client/inflate.h"
#include "client/options.h"
#include "connector/tunnel.h"
#include "core/option.h"
#include "io/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static weir_err options_of(const weir_http_client_options *opt, struct weir_http_client *client);
static weir_err resolve_pool(const weir_pool_options *opt, weir_pool_options *ret_pool);

static const char clients; /* what kind of a member a client is */

/* --- making and freeing -------------------------------------------------------------------------
 */

static struct weir_http_client *client_alloc(weir_runtime *runtime)
{
    const struct alloc *alloc = ground_alloc(runtime);
    uint32_t lanes = crew_size(ground_crew(runtime));
    struct weir_http_client *client = alloc_zeroed(alloc,
                                                   sizeof *client + lanes * sizeof(struct lane));
    if (client == NULL) {
        return NULL;
    }
    client->runtime = runtime;
    client->alloc = alloc;
    client->lanes_count = lanes;
    pthread_mutex_init(&client->mutex, NULL);
    ground_wait_init(&client->closed);
    for (uint32_t i = 0; i < lanes; i++) {
        lane_init(&client->lanes[i], client, crew_worker(ground_crew(runtime), i));
    }
    return client;
}

static void client_release(struct weir_http_client *client)
{
    for (uint32_t i = 0; i < client->requests_count; i++) {
        message_fini(&request_at(client, i)->message);
    }
    for (uint32_t i = 0; i < client->requests_count; i += HTTP_CHUNK) {
        alloc_free(client->alloc, request_at(client, i));
    }
    alloc_free(client->alloc, (void *)(uintptr_t)client->chunks);
    alloc_free(client->alloc, client->user_agent);
    alloc_free(client->alloc, client->dns_servers);
    alloc_free(client->alloc, client->proxy);
    client_tls_fini(client);
    ground_wait_fini(&client->closed);
    pthread_mutex_destroy(&client->mutex);
    alloc_free(client->alloc, client);
}

static uint32_t chunks_of(const struct weir_http_client *client)
{
    return (client->opt.requests_max + HTTP_CHUNK - 1) / HTTP_CHUNK * (client->lanes_count + 1);
}

/* All of it but its name. */
static weir_err client_make(weir_runtime *runtime, const weir_http_client_options *opt,
                            struct weir_http_client **ret_client)
{
    struct weir_http_client *client = client_alloc(runtime);
    if (client == NULL) {
        return WEIR_ENOMEM;
    }
    weir_err err = options_of(opt, client);
    if (err == WEIR_OK) {
        client->chunks = alloc_zeroed(client->alloc, chunks_of(client) * sizeof *client->chunks);
        err = client->chunks != NULL ? WEIR_OK : WEIR_ENOMEM;
    }
    if (err != WEIR_OK) {
        client_release(client);
        return err;
    }
    client->member.kind = &clients;
    *ret_client = client;
    return WEIR_OK;
}

static weir_err client_join(struct weir_http_client *take_client, const char *name,
                            weir_http_client **ret_client)
{
    struct weir_http_client *client = take_client;
    weir_err err = ground_join(client->runtime, &client->member, name, "http-client");
    if (err != WEIR_OK) {
        client_release(client);
        return err;
    }
    *ret_client = client;
    return WEIR_OK;
}

weir_err weir_http_client_new(weir_runtime *runtime, const weir_http_client_options *opt,
                              weir_http_client **ret_client)
{
    struct weir_http_client *client;
    weir_err err = client_make(runtime, opt, &client);
    return err == WEIR_OK ? client_join(client, opt != NULL ? opt->pool.name : NULL, ret_client)
                          : err;
}

weir_err weir_http_client_free(weir_http_client *take_client)
{
    struct weir_http_client *client = take_client;
    if (client == NULL) {
        return WEIR_OK;
    }
    weir_err err = ground_may_wait(client->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    client->is_closing = true;
    atomic_store(&client->pending, client->lanes_count);
    for (uint32_t i = 0; i < client->lanes_count; i++) {
        worker_note(client->lanes[i].worker, &client->lanes[i].close);
    }
    ground_wait_for(&client->closed, client->runtime);
    ground_leave(client->runtime, &client->member);
    client_release(client);
    return WEIR_OK;
}

/* --- by name ------------------------------------------------------------------------------------
 */

struct sought {
    const struct weir_http_client *like; /* NULL: any of that name */
    const char *name;                    /* NULL: any that is like it */
    struct weir_http_client *found;
    bool is_like;
};

static bool same_text(const char *a, const char *b)
{
    return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

static bool is_like(struct weir_http_client *client, const struct weir_http_client *like)
{
    const weir_http_client_options *a = &client->opt, *b = &like->opt;
    pthread_mutex_lock(&client->mutex);
    bool is_same = option_is_same(&a->pool, &b->pool);
    pthread_mutex_unlock(&client->mutex);
    return is_same && a->requests_max == b->requests_max && a->redirects_max == b->redirects_max
           && a->decompress == b->decompress && a->retry_budget_pct == b->retry_budget_pct
           && a->dns_ttl_ms == b->dns_ttl_ms && a->header_bytes_max == b->header_bytes_max
           && a->headers_max == b->headers_max && a->answer_max == b->answer_max
           && a->inflated_max == b->inflated_max && a->on_event == b->on_event
           && a->event_arg == b->event_arg && a->events == b->events && a->http2 == b->http2
           && client_tls_is_same(client, like) && same_text(client->user_agent, like->user_agent)
           && same_text(client->dns_servers, like->dns_servers)
           && same_text(client->proxy, like->proxy);
}

static bool seek(void *arg, struct ground_member *member)
{
    struct sought *sought = arg;
    struct weir_http_client *client = container_of(member, struct weir_http_client, member);
    bool is_named = sought->name == NULL || strcmp(member->name, sought->name) == 0;
    bool is_it = is_named && (sought->like == NULL || is_like(client, sought->like));
    if (is_it || (sought->name != NULL && is_named)) {
        sought->found = client;
        sought->is_like = is_it;
        return false;
    }
    return true;
}

weir_http_client *weir_http_client_find(weir_runtime *runtime, const char *name)
{
    struct sought sought = {.name = name};
    ground_each(runtime, &clients, seek, &sought);
    return sought.found;
}

weir_err weir_http_client_get(weir_runtime *runtime, const weir_http_client_options *opt,
                              weir_http_client **ret_client)
{
    struct weir_http_client *like;
    weir_err err = client_make(runtime, opt, &like);
    if (err != WEIR_OK) {
        return err;
    }
    struct sought sought = {.like = like, .name = opt != NULL ? opt->pool.name : NULL};
    ground_each(runtime, &clients, seek, &sought);
    if (sought.found == NULL) {
        return client_join(like, sought.name, ret_client);
    }
    client_release(like);
    if (!sought.is_like) {
        return WEIR_EEXISTS;
    }
    *ret_client = sought.found;
    return WEIR_OK;
}

struct showing {
    bool (*fn)(void *arg, weir_http_client *client, const weir_http_stats *stats);
    void *arg;
};

static bool show(void *arg, struct ground_member *member)
{
    const struct showing *showing = arg;
    struct weir_http_client *client = container_of(member, struct weir_http_client, member);
    weir_http_stats stats;
    weir_http_client_stats(client, &stats);
    return showing->fn(showing->arg, client, &stats);
}

void weir_runtime_each_client(weir_runtime *runtime,
                              bool (*fn)(void *arg, weir_http_client *client,
                                         const weir_http_stats *stats),
                              void *arg)
{
    struct showing showing = {fn, arg};
    ground_each(runtime, &clients, show, &showing);
}

void weir_scoped_client_end(weir_scoped_client *client)
{
    weir_err err = weir_http_client_free(*client);
    check(err == WEIR_OK); /* a client's scope is not a callback's */
    *client = NULL;
}

/* --- options ------------------------------------------------------------------------------------
 */

static bool set_number(uint32_t *value, uint32_t otherwise, uint32_t most)
{
    if (*value == 0) {
        *value = otherwise;
    } else if (*value == WEIR_NONE) {
        *value = 0;
    }
    return *value <= most;
}

/* The name of the first number that is out of range, or NULL. */
static const char *set_numbers(weir_http_client_options *opt)
{
    if (!set_number(&opt->requests_max, 10000, HTTP_REQUESTS_MAX) || opt->requests_max == 0) {
        return "requests_max";
    }
    if (!set_number(&opt->redirects_max, 10, UINT8_MAX)) {
        return "redirects_max";
    }
    if (!options_is_switch(opt->decompress)) {
        return "decompress";
    }
    if (!options_is_switch(opt->http2)) {
        return "http2";
    }
    opt->http2 = opt->http2 == WEIR_ON ? WEIR_ON : WEIR_OFF;
    if (!set_number(&opt->retry_budget_pct, 20, 100)) {
        return "retry_budget";
    }
    if (!set_number(&opt->dns_ttl_ms, 300000, WEIR_MOST) || opt->dns_ttl_ms == 0) {
        return "dns_ttl";
    }
    if (!set_number(&opt->header_bytes_max, 32768, 1U << 20) || opt->header_bytes_max < 256) {
        return "header_bytes_max";
    }
    if (!set_number(&opt->headers_max, 100, HTTP_FIELDS_MAX) || opt->headers_max == 0) {
        return "headers_max";
    }
    opt->answer_max = opt->answer_max != 0 ? opt->answer_max : 16U << 20;
    opt->inflated_max = opt->inflated_max != 0 ? opt->inflated_max : 256U << 20;
    return NULL;
}

static bool agent_is_fit(const char *agent)
{
    return strlen(agent) < 1024 && http_value_valid(slice_of(agent));
}

static weir_err options_of(const weir_http_client_options *opt, struct weir_http_client *client)
{
    static const weir_http_client_options none;
    weir_http_client_options *mine = &client->opt;
    struct proxy proxy;
    opt = opt != NULL ? opt : &none;
    size_t size = opt->size != 0 ? opt->size : sizeof *opt;
    if (size > sizeof *opt) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    memcpy(mine, opt, size);
    mine->size = sizeof *mine;
    const char *fault = set_numbers(mine);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    fault = client_tls_check(client);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    const char *through = mine->proxy != NULL && *mine->proxy != '\0' ? mine->proxy : NULL;
    if (through != NULL && !proxy_parse(slice_of(through), &proxy)) {
        return ground_fault(WEIR_EINVAL, "proxy");
    }
    const char *agent = mine->user_agent != NULL ? mine->user_agent : "weir/" WEIR_VERSION;
    if (!agent_is_fit(agent)) {
        return ground_fault(WEIR_EINVAL, "user_agent");
    }
    bool is_set = options_text(client->alloc, &client->user_agent, *agent != '\0' ? agent : NULL)
                  && options_text(client->alloc, &client->dns_servers, mine->dns_servers)
                  && options_text(client->alloc, &client->proxy, through);
    mine->user_agent = mine->dns_servers = mine->proxy = NULL;
    int error = client_tls_take(client, &fault);
    if (error != 0 && error != -ENOMEM) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    mine->tls = (weir_tls_options){.verify = mine->tls.verify};
    mine->proxy_tls = (weir_tls_options){.verify = mine->proxy_tls.verify};
    return is_set && error == 0 ? resolve_pool(&mine->pool, &mine->pool) : WEIR_ENOMEM;
}

static weir_err resolve_pool(const weir_pool_options *opt, weir_pool_options *ret_pool)
{
    weir_pool_options pool;
    weir_err err = options_pool_take("http-client", opt, &pool);
    if (err != WEIR_OK) {
        return err;
    }
    if (pool.first_byte_timeout_ms == 0) {
        pool.first_byte_timeout_ms = pool.read_timeout_ms;
    }
    err = options_pool_resolve(&http_pool_connector, &pool);
    if (err == WEIR_OK) {
        *ret_pool = pool;
    }
    return err;
}

const char *weir_http_client_name(const weir_http_client *client)
{
    return client->member.name;
}

static struct weir_http_client *writable(const weir_http_client *client)
{
    return (struct weir_http_client *)(uintptr_t)client; /* to lock it */
}

void weir_http_client_options_of(const weir_http_client *client, weir_pool_options *ret_opt)
{
    pthread_mutex_lock(&writable(client)->mutex);
    *ret_opt = client->opt.pool;
    pthread_mutex_unlock(&writable(client)->mutex);
    ret_opt->name = client->member.name;
    ret_opt->connector = NULL;
}

weir_err weir_http_client_update(weir_http_client *client, const weir_pool_options *opt)
{
    weir_pool_options pool;
    if (opt->name != NULL && strcmp(opt->name, client->member.name) != 0) {
        return ground_fault(WEIR_EINVAL, "name");
    }
    weir_err err = resolve_pool(opt, &pool);
    if (err != WEIR_OK) {
        return err;
    }
    pthread_mutex_lock(&client->mutex);
    client->opt.pool = pool;
    pthread_mutex_unlock(&client->mutex);
    for (uint32_t i = 0; i < client->lanes_count; i++) {
        worker_note(client->lanes[i].worker, &client->lanes[i].update);
    }
    return WEIR_OK;
}

void weir_http_client_flush(weir_http_client *client)
{
    for (uint32_t i = 0; i < client->lanes_count; i++) {
        worker_note(client->lanes[i].worker, &client->lanes[i].flush);
    }
}

/* --- figures ------------------------------------------------------------------------------------
 */

static uint64_t sum_at(const struct weir_http_client *client, size_t offset)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < client->lanes_count; i++) {
        const char *lane = (const char *)&client->lanes[i];
        sum += atomic_load_explicit((const _Atomic uint64_t *)(const void *)(lane + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

#define SUM(field) sum_at(client, offsetof(struct lane, field))

void weir_http_client_stats(const weir_http_client *client, weir_http_stats *ret_stats)
{
    struct lane *here = lane_here(writable(client));
    if (here != NULL && here->is_open) {
        lane_publish(here);
    }
    *ret_stats = (weir_http_stats){
        .size = sizeof *ret_stats,
        .total = (uint32_t)SUM(total),
        .acquired = (uint32_t)SUM(acquired),
        .idle = (uint32_t)SUM(idle),
        .dialling = (uint32_t)SUM(dialling),
        .waiting = (uint32_t)SUM(waiting),
        .requests = atomic_load_explicit(&client->requests_live, memory_order_relaxed),
        .sent = SUM(sent),
        .answered = SUM(answered),
        .failed = SUM(failed),
        .reused = SUM(reused),
        .created = SUM(created),
        .closed = SUM(closed),
        .redirects = SUM(redirects),
        .retries = SUM(retries),
        .bytes_in = SUM(bytes_in),
        .bytes_out = SUM(bytes_out),
    };
    pthread_mutex_lock(&writable(client)->mutex);
    ret_stats->max = client->opt.pool.max_total;
    ret_stats->max_per_host = client->opt.pool.max_per_key;
    pthread_mutex_unlock(&writable(client)->mutex);
}

/* --- records of requests ------------------------------------------------------------------------
 */

struct request *request_at(struct weir_http_client *client, uint32_t number)
{
    struct request *chunk = atomic_load_explicit(&client->chunks[number / HTTP_CHUNK],
                                                 memory_order_acquire);
    return &chunk[number % HTTP_CHUNK];
}

/* A chunk of free records, chained. Under the mutex. */
static struct request *chunk_new(struct weir_http_client *client)
{
    uint32_t number = client->requests_count;
    if (number / HTTP_CHUNK == chunks_of(client)) {
        return NULL;
    }
    struct request *chunk = alloc_array(client->alloc, HTTP_CHUNK, sizeof *chunk);
    if (chunk == NULL) {
        return NULL;
    }
    memset(chunk, 0, HTTP_CHUNK * sizeof *chunk);
    for (uint32_t i = 0; i < HTTP_CHUNK; i++) {
        chunk[i].number = number + i;
        chunk[i].message.alloc = client->alloc;
        chunk[i].kick.run = request_kicked;
        chunk[i].timer.fire = request_timer;
        chunk[i].next = i + 1 < HTTP_CHUNK ? &chunk[i + 1] : NULL;
    }
    atomic_store_explicit(&client->chunks[number / HTTP_CHUNK], chunk, memory_order_release);
    client->requests_count = number + HTTP_CHUNK;
    return chunk;
}

static struct request *take_spare(struct weir_http_client *client, struct lane *lane, bool is_outer)
{
    struct request *request = is_outer ? NULL : lane->spare;
    if (request != NULL) {
        lane->spare = request->next;
        return request;
    }
    pthread_mutex_lock(&client->mutex);
    request = is_outer ? client->spare : NULL;
    bool is_new = request == NULL;
    if (is_new) {
        request = chunk_new(client);
    }
    if (is_outer && request != NULL) {
        client->spare = request->next;
    }
    pthread_mutex_unlock(&client->mutex);
    if (!is_outer && request != NULL) {
        lane->spare = request->next;
    }
    return request;
}

struct request *request_take(struct weir_http_client *client, struct lane *lane, bool is_outer,
                             bool *ret_full)
{
    uint32_t live = atomic_fetch_add_explicit(&client->requests_live, 1, memory_order_relaxed);
    *ret_full = live >= client->opt.requests_max;
    struct request *request = *ret_full ? NULL : take_spare(client, lane, is_outer);
    if (request == NULL) {
        atomic_fetch_sub_explicit(&client->requests_live, 1, memory_order_relaxed);
        return NULL;
    }
    size_t from = offsetof(struct request, handler);
    memset((char *)request + from, 0, offsetof(struct request, message) - from);
    request->lane = lane;
    request->is_outer = is_outer;
    request->state = REQUEST_POSTED;
    atomic_fetch_add(&request->ticket, UINT64_C(1) << 8);
    return request;
}

static void keep_little(struct message *message)
{
    if (message->size > HTTP_TEXT_KEEP_MAX) {
        message_fini(message);
    }
}

void request_give(struct request *request)
{
    struct lane *lane = request->lane;
    struct weir_http_client *client = lane->client;
    if (request->state != REQUEST_FREE) {
        inflater_free(request->inflater);
        request->inflater = NULL;
        keep_little(&request->message);
        request->state = REQUEST_FREE;
        list_leave(&request->on_lane);
        if (list_holds(&request->kick.node)) {
            loop_later_cancel(lane->loop, &request->kick);
        }
        uint64_t ticket = atomic_load(&request->ticket);
        while (!atomic_compare_exchange_weak(&request->ticket, &ticket, ((ticket >> 8) + 1) << 8)) {
        }
        atomic_fetch_sub_explicit(&client->requests_live, 1, memory_order_relaxed);
        if ((ticket & ORDERS) != 0) { /* it lies in the inbox still */
            request->is_stuck = true;
            return;
        }
    }
    if (!request->is_outer) {
        request->next = lane->spare;
        lane->spare = request;
        return;
    }
    if (loop_timer_is_set(&request->timer)) { /* it may serve another lane */
        loop_timer_stop(lane->loop, &request->timer);
    }
    pthread_mutex_lock(&client->mutex);
    request->next = client->spare;
    client->spare = request;
    pthread_mutex_unlock(&client->mutex);
}

/* --- sending and orders -------------------------------------------------------------------------
 */

static uint32_t timeout_of(const struct weir_http_client *client, const struct lane *here,
                           const weir_http_request *request)
{
    if (request->timeout_ms != 0) {
        return request->timeout_ms;
    }
    if (here != NULL && here->is_open) {
        return here->total_timeout_ms;
    }
    weir_pool_options pool;
    weir_http_client_options_of(client, &pool);
    return pool.total_timeout_ms;
}

static bool has_known_size(size_t size, size_t most)
{
    return size <= most;
}

static weir_err check_request(const weir_http_request *request, const weir_http_handler *handler)
{
    if (!has_known_size(request->size, sizeof *request)
        || !has_known_size(handler->size, sizeof *handler)) {
        return ground_fault(WEIR_EINVAL, "size");
    }
    if (request->url == NULL) {
        return ground_fault(WEIR_EINVAL, "url");
    }
    if (handler->on_end == NULL) {
        return ground_fault(WEIR_EINVAL, "on_end");
    }
    if (request->body == NULL && request->body_len > 0 && handler->pull == NULL) {
        return ground_fault(WEIR_EINVAL, "body");
    }
    return WEIR_OK;
}

static weir_err fill(struct request *record, const weir_http_request *request,
                     const weir_http_handler *handler, void *arg)
{
    const struct weir_http_client *client = record->lane->client;
    const char *fault;
    weir_err err = message_take(&record->message, client, request, &fault);
    if (err != WEIR_OK) {
        return err == WEIR_EINVAL ? ground_fault(err, fault) : err;
    }
    record->handler = handler;
    record->arg = arg;
    record->tag = request->tag;
    record->flags = request->flags;
    record->is_pulled = request->body == NULL && request->body_len > 0;
    record->is_harmless = (request->flags & WEIR_HTTP_IDEMPOTENT) != 0
                          || replay_is_harmless(&record->message.head);
    return WEIR_OK;
}

weir_err weir_http_send(weir_http_client *client, const weir_http_request *request,
                        const weir_http_handler *handler, void *arg, weir_http_call *ret_call)
{
    weir_err err = check_request(request, handler);
    if (err != WEIR_OK) {
        return err;
    }
    if (client->is_closing) {
        return WEIR_ECLOSED;
    }
    bool is_full;
    struct lane *here = lane_here(client);
    struct lane *lane = here != NULL ? here : lane_of_url(client, request->url);
    struct request *record = request_take(client, lane, here == NULL, &is_full);
    if (record == NULL) {
        return is_full ? WEIR_EFULL : WEIR_ENOMEM;
    }
    err = fill(record, request, handler, arg);
    if (err == WEIR_OK && here != NULL && !here->is_open) {
        err = lane_open(here) == 0 ? WEIR_OK : WEIR_ENOMEM;
    }
    if (err != WEIR_OK) {
        request_give(record);
        return err;
    }
    uint32_t timeout_ms = timeout_of(client, here, request);
    if (ret_call != NULL) {
        *ret_call = request_id(record);
    }
    if (here != NULL) {
        record->sent_ns = loop_now_ns(lane->loop);
        record->deadline_ms = timeout_ms == WEIR_NEVER ? UINT64_MAX
                                                       : loop_now_ms(lane->loop) + timeout_ms;
        request_begin(record, true);
        return WEIR_OK;
    }
    record->sent_ns = clock_now_ns();
    record->deadline_ms = timeout_ms == WEIR_NEVER ? UINT64_MAX : clock_now_ms() + timeout_ms;
    atomic_fetch_or(&record->ticket, ORDER_BEGIN);
    lane_post(lane, record);
    return WEIR_OK;
}

static weir_err order(weir_http_client *client, weir_http_call call, unsigned order)
{
    uint32_t number = (uint32_t)call.id;
    uint32_t turn = (uint32_t)(call.id >> 32);
    if (number / HTTP_CHUNK >= chunks_of(client) || (turn & 1) == 0
        || atomic_load_explicit(&client->chunks[number / HTTP_CHUNK], memory_order_acquire)
               == NULL) {
        return WEIR_ESTALE;
    }
    struct request *request = request_at(client, number);
    uint64_t ticket = atomic_load(&request->ticket);
    struct lane *here = lane_here(client);
    if (here != NULL && request->lane == here && request->state != REQUEST_POSTED) {
        bool is_same = (uint32_t)(ticket >> 8) == turn;
        if (is_same) {
            request_orders(request, order, WEIR_OK);
        }
        return is_same ? WEIR_OK : WEIR_ESTALE;
    }
    do {
        if ((uint32_t)(ticket >> 8) != turn) {
            return WEIR_ESTALE;
        }
    } while (!atomic_compare_exchange_weak(&request->ticket, &ticket, ticket | order));
    if ((ticket & ORDERS) == 0) {
        lane_post(request->lane, request);
    }
    return WEIR_OK;
}

weir_err weir_http_cancel(weir_http_client *client, weir_http_call call)
{
    return order(client, call, ORDER_CANCEL);
}

weir_err http_client_pull(weir_http_client *client, weir_http_call call)
{
    return order(client, call, ORDER_PULL);
}

weir_err weir_http_resume(weir_http_client *client, weir_http_call call)
{
    return order(client, call, ORDER_RESUME);
}
