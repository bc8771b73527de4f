/* SPDX-License-Identifier: Apache-2.0
 *
 * The client as the program holds it: opening on every worker, figures, closing.
 */
#include "client/openclaw.h"

#include <stdio.h>
#include <string.h>

#define CLIENT_NAME   "openclaw"
#define HTTP_IDLE_MS  4000U   /* a gateway closes idle connections after 5 s */
#define HTTP_TOTAL_MS 600000U /* an agent takes minutes */

static const char clients; /* what kind of a member a client is */

/* --- asking the workers -------------------------------------------------------------------------
 */

typedef void visit_fn(struct claw_post *post);

struct visit {
    struct worker_note note; /* first */
    struct claw_post *post;
    visit_fn *fn;
    struct ground_wait wait;
};

static void visit_runs(struct worker_note *note)
{
    struct visit *visit = container_of(note, struct visit, note);
    visit->fn(visit->post);
    ground_wait_end(&visit->wait);
}

static void visit_all(struct weir_openclaw *claw, visit_fn *fn)
{
    for (uint32_t i = 0; i < claw->posts_count; i++) {
        struct visit visit = {.note = {.run = visit_runs}, .post = claw->posts[i], .fn = fn};
        ground_wait_init(&visit.wait);
        worker_note(visit.post->worker, &visit.note);
        ground_wait_for(&visit.wait, claw->runtime);
        ground_wait_fini(&visit.wait);
    }
}

static void nothing(struct claw_post *post)
{
    (void)post;
}

/* --- options ------------------------------------------------------------------------------------
 */

static weir_err resolve_pool(weir_pool_options *pool)
{
    weir_err err = options_pool_take(CLIENT_NAME, pool, pool);
    return err == WEIR_OK ? options_pool_resolve(&claw_pool_connector, pool) : err;
}

static uint32_t either(uint32_t given, uint32_t otherwise)
{
    return given != 0 ? given : otherwise;
}

/* The name of the first field that is out of range, or NULL. */
static const char *set_numbers(weir_openclaw_options *opt)
{
    opt->requests_max = either(opt->requests_max, 10000);
    opt->in_flight_max = either(opt->in_flight_max, CLAW_REQUESTS_MAX);
    opt->gateways_max = either(opt->gateways_max, 1000);
    opt->handshakes_max = either(opt->handshakes_max, CLAW_HANDSHAKES_MAX);
    opt->handshake_timeout_ms = either(opt->handshake_timeout_ms, CLAW_HANDSHAKE_MS);
    opt->message_max = opt->message_max != 0 ? opt->message_max : CLAW_PAYLOAD_MAX;
    opt->unsent_max = either(opt->unsent_max, CLAW_PAYLOAD_MAX);
    opt->dns_ttl_ms = either(opt->dns_ttl_ms, 300000);
    if (opt->requests_max > 1U << 24) {
        return "requests_max";
    }
    if (opt->in_flight_max > 65535) {
        return "in_flight_max";
    }
    if (opt->message_max > UINT32_MAX) {
        return "message_max";
    }
    if (opt->handshake_timeout_ms >= WEIR_MOST) {
        return "handshake_timeout";
    }
    const char *fault = options_tls_check(&opt->tls, OPTIONS_TLS);
    return fault != NULL ? fault : options_tls_check(&opt->proxy_tls, OPTIONS_PROXY_TLS);
}

/* Files are read at once; without any, TLS comes with the first that wants it. */
static weir_err take_tls(struct weir_openclaw *claw, enum options_tls which)
{
    weir_tls_options *tls = which == OPTIONS_TLS ? &claw->opt.tls : &claw->opt.proxy_tls;
    struct tls_profile *profile;
    const char *fault;
    weir_err err = options_tls_has_files(tls) ? claw_profile(claw, which, &profile, &fault)
                                              : WEIR_OK;
    *tls = (weir_tls_options){.verify = tls->verify};
    return err == WEIR_EINVAL ? ground_fault(err, fault) : err;
}

static weir_err take_options(struct weir_openclaw *claw, const weir_openclaw_options *opt)
{
    weir_openclaw_options *mine = &claw->opt;
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
    if (err == WEIR_OK && !options_text(claw->alloc, &claw->dns_servers, mine->dns_servers)) {
        err = WEIR_ENOMEM;
    }
    mine->dns_servers = NULL;
    err = err == WEIR_OK ? take_tls(claw, OPTIONS_TLS) : err;
    return err == WEIR_OK ? take_tls(claw, OPTIONS_PROXY_TLS) : err;
}

/* --- opening ------------------------------------------------------------------------------------
 */

static void release(struct weir_openclaw *claw)
{
    claw_gateways_free(claw);
    for (uint32_t i = 0; i < claw->posts_count; i++) {
        if (claw->posts[i] != NULL) {
            claw_post_free(claw->posts[i]);
        }
    }
    tls_profile_free(claw->profile);
    tls_profile_free(claw->proxy_profile);
    ground_wait_fini(&claw->closed);
    pthread_mutex_destroy(&claw->mutex);
    alloc_free(claw->alloc, claw->dns_servers);
    alloc_free(claw->alloc, claw);
}

static weir_err make_posts(struct weir_openclaw *claw)
{
    struct crew *crew = ground_crew(claw->runtime);
    for (uint32_t i = 0; i < claw->posts_count; i++) {
        claw->posts[i] = claw_post_new(claw, crew_worker(crew, i));
        if (claw->posts[i] == NULL) {
            return WEIR_ENOMEM;
        }
    }
    return WEIR_OK;
}

/* An agent's answer begins when it has thought: that may take as long as the whole. */
static weir_err make_http(struct weir_openclaw *claw, const weir_openclaw_options *opt)
{
    char name[sizeof claw->member.name + sizeof "-http"];
    snprintf(name, sizeof name, "%s-http", claw->member.name);
    const weir_http_client_options http = {
        .pool = {.name = name,
                 .idle_timeout_ms = HTTP_IDLE_MS,
                 .first_byte_timeout_ms = WEIR_NEVER,
                 .read_timeout_ms = WEIR_NEVER,
                 .total_timeout_ms = opt != NULL && opt->pool.total_timeout_ms != 0
                                         ? opt->pool.total_timeout_ms
                                         : HTTP_TOTAL_MS},
        .dns_ttl_ms = claw->opt.dns_ttl_ms,
        .dns_servers = claw->dns_servers,
        .tls = opt != NULL ? opt->tls : (weir_tls_options){0},
        .proxy_tls = opt != NULL ? opt->proxy_tls : (weir_tls_options){0},
    };
    return weir_http_client_new(claw->runtime, &http, &claw->http);
}

static weir_err join(struct weir_openclaw *claw, const weir_openclaw_options *opt)
{
    weir_err err = ground_join(claw->runtime, &claw->member, opt != NULL ? opt->pool.name : NULL,
                               CLIENT_NAME);
    if (err != WEIR_OK) {
        return err;
    }
    claw->opt.pool.name = claw->member.name;
    err = make_http(claw, opt);
    if (err != WEIR_OK) {
        ground_leave(claw->runtime, &claw->member);
    }
    return err;
}

weir_err weir_openclaw_open(weir_runtime *runtime, const weir_openclaw_options *opt,
                            weir_openclaw **ret_claw)
{
    weir_err err = ground_may_wait(runtime);
    if (err != WEIR_OK) {
        return err;
    }
    const struct alloc *alloc = ground_alloc(runtime);
    uint32_t posts = crew_size(ground_crew(runtime));
    struct weir_openclaw *claw = alloc_zeroed(alloc,
                                              sizeof *claw + posts * sizeof(struct claw_post *));
    if (claw == NULL) {
        return WEIR_ENOMEM;
    }
    claw->runtime = runtime;
    claw->alloc = alloc;
    claw->posts_count = posts;
    claw->gateways_end = &claw->gateways;
    claw->member.kind = &clients;
    pthread_mutex_init(&claw->mutex, NULL);
    ground_wait_init(&claw->closed);
    err = take_options(claw, opt);
    err = err == WEIR_OK ? make_posts(claw) : err;
    err = err == WEIR_OK ? join(claw, opt) : err;
    if (err != WEIR_OK) {
        release(claw);
        return err;
    }
    *ret_claw = claw;
    return WEIR_OK;
}

/* --- closing ------------------------------------------------------------------------------------
 */

weir_err weir_openclaw_close(weir_openclaw *take_claw)
{
    struct weir_openclaw *claw = take_claw;
    if (claw == NULL) {
        return WEIR_OK;
    }
    weir_err err = ground_may_wait(claw->runtime);
    if (err != WEIR_OK) {
        return err;
    }
    atomic_store(&claw->is_closing, true);
    atomic_store(&claw->pending, claw->posts_count);
    visit_all(claw, nothing); /* what was asked before has begun */
    visit_all(claw, claw_post_shut);
    ground_wait_for(&claw->closed, claw->runtime);
    visit_all(claw, claw_post_close);
    visit_all(claw, nothing); /* notes that were written before have been read */
    weir_http_client_free(claw->http);
    ground_leave(claw->runtime, &claw->member);
    release(claw);
    return WEIR_OK;
}

const char *weir_openclaw_name(const weir_openclaw *claw)
{
    return claw->member.name;
}

weir_http_client *weir_openclaw_http(weir_openclaw *claw)
{
    return claw->http;
}

/* --- connections --------------------------------------------------------------------------------
 */

struct errand {
    struct worker_note note; /* first */
    struct claw_post *post;
    struct weir_openclaw_gateway *gateway; /* NULL: all */
    uint32_t grace_ms;
};

/* What was down is as new. */
static void forgive(struct weir_openclaw *claw, const struct claw_post *post,
                    struct weir_openclaw_gateway *only)
{
    claw_lock(claw);
    for (struct weir_openclaw_gateway *it = claw->gateways; it != NULL; it = it->next) {
        if (it->post == post && (only == NULL || only == it)) {
            bool is_up = it->info.status == WEIR_OPENCLAW_CONNECTED;
            it->account.is_denied = false;
            it->account.was_short = false;
            it->account.not_before_ms = 0;
            it->info.status = is_up ? WEIR_OPENCLAW_CONNECTED : WEIR_OPENCLAW_DISCONNECTED;
        }
    }
    claw_unlock(claw);
}

static void errand_runs(struct worker_note *note)
{
    struct errand *errand = container_of(note, struct errand, note);
    struct claw_post *post = errand->post;
    struct weir_openclaw_gateway *gateway = errand->gateway;
    const weir_key *key = gateway != NULL ? &gateway->key.view : NULL;
    if (post->pool != NULL) {
        weir_pool_flush(post->pool, key, errand->grace_ms);
    }
    forgive(post->claw, post, gateway);
    alloc_free(post->claw->alloc, errand);
}

static weir_err send_errand(struct claw_post *post, struct weir_openclaw_gateway *gateway,
                            uint32_t grace_ms)
{
    struct errand *errand = alloc_zeroed(post->claw->alloc, sizeof *errand);
    if (errand == NULL) {
        return WEIR_ENOMEM;
    }
    *errand = (struct errand){
        .note = {.run = errand_runs}, .post = post, .gateway = gateway, .grace_ms = grace_ms};
    worker_note(post->worker, &errand->note);
    return WEIR_OK;
}

weir_err weir_openclaw_disconnect(weir_openclaw *claw, weir_openclaw_gateway *gateway,
                                  uint32_t grace_ms)
{
    weir_err err = WEIR_OK;
    if (gateway != NULL) {
        return send_errand(gateway->post, gateway, grace_ms);
    }
    for (uint32_t i = 0; i < claw->posts_count && err == WEIR_OK; i++) {
        err = send_errand(claw->posts[i], NULL, grace_ms);
    }
    return err;
}

/* --- figures ------------------------------------------------------------------------------------
 */

static void count_gateways(const struct weir_openclaw *claw, weir_openclaw_stats *stats)
{
    for (const struct weir_openclaw_gateway *it = claw->gateways; it != NULL; it = it->next) {
        weir_openclaw_status status = it->info.status;
        bool is_up = status == WEIR_OPENCLAW_CONNECTED;
        bool is_active = is_up && atomic_load(&it->in_flight) > 0;
        stats->gateways++;
        stats->total += status != WEIR_OPENCLAW_DISCONNECTED;
        stats->active += is_active;
        stats->idle += is_up && !is_active;
        stats->reconnecting += status == WEIR_OPENCLAW_RECONNECTING;
        stats->error += status == WEIR_OPENCLAW_ERROR;
    }
}

static uint64_t value_of(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void count_post(const struct claw_post *post, weir_openclaw_stats *stats)
{
    const struct claw_connector *connector = atomic_load(&post->connector);
    stats->connects += value_of(&post->connects);
    stats->losses += value_of(&post->losses);
    if (connector == NULL) {
        return;
    }
    const struct claw_counters *counters = claw_connector_counters(connector);
    stats->handshakes += value_of(&counters->handshakes);
    stats->denied += value_of(&counters->denied);
    stats->starting += value_of(&counters->starting);
    stats->restarts += value_of(&counters->restarts);
    stats->timeouts += value_of(&counters->timeouts);
    stats->replays += value_of(&counters->replays);
    stats->late += value_of(&counters->late);
    stats->events += value_of(&counters->events);
    stats->ticks += value_of(&counters->ticks);
    stats->ticks_missed += value_of(&counters->ticks_missed);
    stats->strangers += value_of(&counters->strangers);
    stats->bad_frames += value_of(&counters->bad_frames);
    stats->too_large += value_of(&counters->too_large);
}

void weir_openclaw_stats_of(const weir_openclaw *claw, weir_openclaw_stats *ret_stats)
{
    *ret_stats = (weir_openclaw_stats){
        .size = sizeof *ret_stats,
        .in_flight = atomic_load(&claw->taken),
        .calls = value_of(&claw->calls),
        .answered = value_of(&claw->answered),
        .failed = value_of(&claw->failed),
    };
    for (uint32_t i = 0; i < claw->posts_count; i++) {
        count_post(claw->posts[i], ret_stats);
    }
    pthread_mutex_t *mutex = (pthread_mutex_t *)(uintptr_t)&claw->mutex;
    pthread_mutex_lock(mutex);
    count_gateways(claw, ret_stats);
    pthread_mutex_unlock(mutex);
}
