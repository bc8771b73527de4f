/* SPDX-License-Identifier: Apache-2.0
 *
 * The upstream: its accounts, its pool, and who reads its events.
 */
#include "gateway/openclaw.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/pool.h"
#include "gateway/account_news.h"
#include "gateway/config_claw.h"
#include "gateway/config_way.h"
#include "gateway/openclaw_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS_WAITING_MAX 1000U

static int open_pool(struct openclaw *openclaw, const struct openclaw_options *opt);
static weir_pool_options pool_options(const struct openclaw *openclaw);
static void set_times(const struct openclaw *openclaw, struct claw_connector_options *options);
static int pin_endpoints(struct openclaw *openclaw, const struct openclaw_options *opt);
static struct claw_account *account_of(void *self, const weir_key *key);
static void on_event(void *self, struct claw_account *account, const struct claw_frame *frame);
static bool is_heard(void *self, struct claw_account *account);
static void on_denied(void *self, struct claw_account *account);
static void beat(struct loop_timer *timer, uint64_t now_ms);
static void looked(struct claw_call *look, const struct claw_answer *answer);

static const struct http_link_ops link_ops = {.call = openclaw_call_open};
static const struct claw_ops ops = {.is_heard = is_heard,
                                    .on_event = on_event,
                                    .on_denied = on_denied};

/* --- opening ------------------------------------------------------------------------------------
 */

int openclaw_open(const struct openclaw_options *opt, struct openclaw **ret_openclaw)
{
    struct openclaw *openclaw = alloc_zeroed(&alloc_libc, sizeof *openclaw);
    if (openclaw == NULL) {
        return -ENOMEM;
    }
    openclaw->config = opt->config;
    openclaw->loop = opt->loop;
    openclaw->workers = opt->workers;
    openclaw->accounts = opt->accounts;
    openclaw->news = opt->news;
    openclaw->endpoints_count = opt->config->endpoints.count;
    openclaw->ways = config_ways(opt->config);
    openclaw->count = openclaw->endpoints_count * openclaw->ways;
    openclaw->beat.fire = beat;
    openclaw->tell = opt->on_event;
    openclaw->tell_self = opt->event_self;
    list_init(&openclaw->readers);
    openclaw->endpoints = alloc_zeroed(&alloc_libc, openclaw->count * sizeof *openclaw->endpoints);
    int error = openclaw->endpoints != NULL ? open_pool(openclaw, opt) : -ENOMEM;
    if (error == 0) {
        error = pin_endpoints(openclaw, opt);
    }
    *ret_openclaw = openclaw; /* also what is half made: its pool is closed with the others */
    return error;
}

void openclaw_free(struct openclaw *take_openclaw)
{
    if (take_openclaw == NULL) {
        return;
    }
    check(list_is_empty(&take_openclaw->readers));
    loop_timer_stop(take_openclaw->loop, &take_openclaw->beat);
    claw_connector_free(take_openclaw->connector);
    for (uint32_t i = 0; take_openclaw->endpoints != NULL && i < take_openclaw->count; i++) {
        claw_account_fini(&take_openclaw->endpoints[i].account);
    }
    alloc_free(&alloc_libc, take_openclaw->endpoints);
    alloc_free(&alloc_libc, take_openclaw);
}

static int errno_of(weir_err err)
{
    return err == WEIR_OK ? 0 : err == WEIR_ENOMEM ? -ENOMEM : -EINVAL;
}

/* One that is away is looked for as any other upstream is; one that refuses us is left alone for
 * down_for, of which the connector takes care. */
static void set_pauses(weir_pool_options *pool, const weir_pool_options *asked)
{
    pool->retry_first_ms = asked->retry_first_ms;
    pool->retry_factor = asked->retry_factor;
    pool->retry_cap_ms = asked->retry_cap_ms;
    pool->jitter_pct = asked->jitter_pct;
    pool->failures_max = asked->failures_max;
    pool->down_for_ms = asked->retry_cap_ms < asked->down_for_ms ? asked->retry_cap_ms
                                                                 : asked->down_for_ms;
}

/* What a reload may change. */
static void set_times(const struct openclaw *openclaw, struct claw_connector_options *options)
{
    const weir_pool_options *asked = &openclaw->config->pool;
    options->connect_timeout_ms = asked->connect_timeout_ms;
    options->tls_timeout_ms = asked->tls_timeout_ms;
    options->write_timeout_ms = asked->write_timeout_ms;
    options->acquire_timeout_ms = asked->acquire_timeout_ms;
    options->down_for_ms = asked->down_for_ms;
    options->denied_for_ms = asked->down_for_ms;
    options->requests_max = openclaw->config->openclaw.requests_max;
    options->message_max = openclaw->config->openclaw.message_max;
}

/* One connection carries what a worker asks; a second one would bring every event twice. There is
 * room for another one beside it, which ends with what it carries. */
static weir_pool_options pool_options(const struct openclaw *openclaw)
{
    const weir_pool_options *asked = &openclaw->config->pool;
    weir_pool_options pool = {
        .size = sizeof pool,
        .connector = &claw_pool_connector,
        .connector_self = openclaw->connector,
        .max_total = OPENCLAW_CONNS * openclaw->workers * openclaw->count,
        .max_per_key = OPENCLAW_CONNS * openclaw->workers,
        .streams_conns_max = 1,
        .leases_ideal = openclaw->config->openclaw.requests_max,
        .leases_hard = openclaw->config->openclaw.requests_max,
        .waiting_max = REQUESTS_WAITING_MAX,
        .min_idle = 1,
        .idle_timeout_ms = WEIR_NEVER,
        .connect_timeout_ms = asked->connect_timeout_ms,
        .tls_timeout_ms = asked->tls_timeout_ms,
        .acquire_timeout_ms = asked->acquire_timeout_ms,
    };
    set_pauses(&pool, asked);
    weir_err err = weir_profile("openclaw", &pool);
    check(err == WEIR_OK);
    return pool;
}

static int open_pool(struct openclaw *openclaw, const struct openclaw_options *opt)
{
    struct claw_connector_options connector = {
        .loop = opt->loop,
        .dns = opt->dns,
        .alloc = &alloc_libc,
        .desk = opt->desk,
        .tls = opt->tls,
        .proxy_tls = opt->proxy_tls,
        .gates = opt->gates,
        .gates_count = opt->gates_count,
        .seed = opt->seed,
        .account = account_of,
        .ops = &ops,
        .self = openclaw,
    };
    char name[80];
    snprintf(name, sizeof name, "openclaw:%s", opt->config->name);
    set_times(openclaw, &connector);
    int error = claw_connector_new(&connector, &openclaw->connector);
    if (error != 0) {
        return error;
    }
    weir_pool_options pool = pool_options(openclaw);
    pool.name = name;
    weir_err err = weir_pool_open(opt->engine, &pool, &openclaw->pool);
    if (err == WEIR_OK) {
        claw_connector_serve(openclaw->connector, openclaw->pool);
    }
    return errno_of(err);
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

/* The texts lie in the configuration. */
static void introduce(struct openclaw *openclaw, struct openclaw_endpoint *endpoint)
{
    const struct config_claw claw = config_claw_of(openclaw->config, endpoint->way);
    endpoint->account.path = openclaw->config->openclaw.path;
    endpoint->account.token = text_or_null(claw.token);
    endpoint->account.password = text_or_null(claw.password);
}

static const char *account_name(const struct config_upstream *config, uint32_t way)
{
    return config->accounts.count > 0 ? config->accounts.at[way].name : NULL;
}

static weir_err pin(struct openclaw *openclaw, const struct openclaw_options *opt,
                    struct openclaw_endpoint *endpoint)
{
    const struct config_endpoint *config = &opt->config->endpoints.at[endpoint->index];
    bool is_tls = strcmp(config->scheme, "https") == 0;
    const weir_key key = {
        .scheme = is_tls ? "wss" : "ws",
        .host = config->host,
        .port = config->port,
        .proxy = text_or_null(config_way(opt->config, endpoint->way)),
        .tls = is_tls ? opt->fingerprint : NULL,
        .tenant = account_name(opt->config, endpoint->way),
    };
    return pool_key_pin(openclaw->pool, &key, &endpoint->pin);
}

static int pin_endpoints(struct openclaw *openclaw, const struct openclaw_options *opt)
{
    for (uint32_t i = 0; i < openclaw->count; i++) {
        struct openclaw_endpoint *endpoint = &openclaw->endpoints[i];
        endpoint->index = i % openclaw->endpoints_count;
        endpoint->way = i / openclaw->endpoints_count;
        endpoint->link.ops = &link_ops;
        endpoint->openclaw = openclaw;
        endpoint->account = (struct claw_account){
            .version = WEIR_VERSION,
            .identity = opt->identities != NULL ? opt->identities[endpoint->way] : NULL,
            .user = endpoint,
        };
        introduce(openclaw, endpoint);
        endpoint->look.done = looked;
        endpoint->look.method = "health";
        weir_err err = pin(openclaw, opt, endpoint);
        if (err != WEIR_OK) {
            return errno_of(err);
        }
    }
    return 0;
}

static bool is_same_text(const char *a, const char *b)
{
    return (a == NULL || b == NULL) ? a == b : strcmp(a, b) == 0;
}

/* The connections that it has end with what they carry, and a new one shows the new words. */
static void introduce_anew(struct openclaw *openclaw, struct openclaw_endpoint *endpoint)
{
    struct claw_account *account = &endpoint->account;
    const struct claw_account was = *account;
    introduce(openclaw, endpoint);
    if (is_same_text(was.path, account->path) && is_same_text(was.token, account->token)
        && is_same_text(was.password, account->password)) {
        return;
    }
    weir_pool_flush(openclaw->pool, pool_key_view(endpoint->pin), WEIR_NEVER);
    claw_account_renew(openclaw->connector, account);
}

static void update_pool(struct openclaw *openclaw, const weir_pool_options *was)
{
    const weir_pool_options pool = pool_options(openclaw);
    struct claw_connector_options connector = {0};
    set_times(openclaw, &connector);
    claw_connector_update(openclaw->connector, &connector);
    if (memcmp(&pool, was, sizeof pool) != 0) {
        weir_err err = weir_pool_update(openclaw->pool, &pool);
        check(err != WEIR_EINVAL); /* without memory for it the old ones hold on */
    }
}

void openclaw_obey(struct openclaw *openclaw, const struct config_upstream *config,
                   struct accounts *accounts, struct account_news *news)
{
    const weir_pool_options was = pool_options(openclaw);
    openclaw->config = config;
    openclaw->accounts = accounts;
    openclaw->news = news;
    update_pool(openclaw, &was);
    for (uint32_t i = 0; i < openclaw->count; i++) {
        introduce_anew(openclaw, &openclaw->endpoints[i]);
    }
}

static bool is_of(const struct openclaw *openclaw, const struct openclaw_endpoint *endpoint,
                  const weir_key *key)
{
    const struct config_endpoint *config = &openclaw->config->endpoints.at[endpoint->index];
    const char *name = account_name(openclaw->config, endpoint->way);
    return config->port == key->port && strcmp(config->host, key->host) == 0
           && (name == NULL || (key->tenant != NULL && strcmp(name, key->tenant) == 0));
}

static struct claw_account *account_of(void *self, const weir_key *key)
{
    struct openclaw *openclaw = self;
    for (uint32_t i = 0; i < openclaw->count; i++) {
        if (is_of(openclaw, &openclaw->endpoints[i], key)) {
            return &openclaw->endpoints[i].account;
        }
    }
    return NULL;
}

/* --- as a relay sees it -------------------------------------------------------------------------
 */

weir_pool *openclaw_pool(const struct openclaw *openclaw)
{
    return openclaw->pool;
}

const struct claw_counters *openclaw_counters(const struct openclaw *openclaw)
{
    return claw_connector_counters(openclaw->connector);
}

void openclaw_cut(struct openclaw *openclaw)
{
    claw_connector_cut(openclaw->connector);
}

bool openclaw_is_asked(const struct openclaw *openclaw, struct slice path)
{
    const struct slice prefix = SLICE("/openclaw/");
    const char *name = openclaw->config->name;
    size_t len = strlen(name);
    return path.len > prefix.len + len && memcmp(path.at, prefix.at, prefix.len) == 0
           && memcmp(path.at + prefix.len, name, len) == 0 && path.at[prefix.len + len] == '/';
}

static struct openclaw_endpoint *endpoint_at(const struct openclaw *openclaw, uint32_t index,
                                             uint32_t way)
{
    check(way < openclaw->ways);
    return &openclaw
                ->endpoints[way * openclaw->endpoints_count + index % openclaw->endpoints_count];
}

/* An account that cools down for a denial is asked for nothing. Where it is asked all the same,
 * somebody has ended that, and its key has nothing to wait for. */
static void forgive(struct openclaw *openclaw, struct openclaw_endpoint *endpoint)
{
    if (openclaw->accounts == NULL || !endpoint->account.is_denied) {
        return;
    }
    claw_standing_forgiven(&endpoint->account.standing);
    if (pool_key_state(endpoint->pin) == WEIR_KEY_DOWN) {
        weir_pool_flush(openclaw->pool, pool_key_view(endpoint->pin), 0);
    }
}

bool openclaw_may(struct openclaw *openclaw, uint32_t account, bool at_ease)
{
    bool may = false;
    for (uint32_t i = 0; i < openclaw->endpoints_count; i++) {
        struct openclaw_endpoint *endpoint = endpoint_at(openclaw, i, account);
        forgive(openclaw, endpoint);
        weir_key_state state = pool_key_state(endpoint->pin);
        may |= at_ease ? state == WEIR_KEY_UP : state != WEIR_KEY_DOWN;
    }
    return may;
}

bool openclaw_is_away_for_a_moment(const struct openclaw *openclaw, uint32_t account)
{
    bool backs_off = false;
    for (uint32_t i = 0; i < openclaw->endpoints_count; i++) {
        const struct openclaw_endpoint *endpoint = endpoint_at(openclaw, i, account);
        backs_off |= pool_key_state(endpoint->pin) == WEIR_KEY_BACKING_OFF;
    }
    return backs_off;
}

void *openclaw_link(struct openclaw *openclaw, uint32_t endpoint, uint32_t account)
{
    check(endpoint < openclaw->endpoints_count);
    for (uint32_t i = 0; i < openclaw->endpoints_count; i++) {
        struct openclaw_endpoint *it = endpoint_at(openclaw, endpoint + i, account);
        if (pool_key_state(it->pin) != WEIR_KEY_DOWN) {
            return &it->link;
        }
    }
    return &endpoint_at(openclaw, endpoint, account)->link; /* its pool says for how long */
}

/* --- events -------------------------------------------------------------------------------------
 *
 * They come on the connections of this worker, which has one while it has readers: a small request
 * now and then sees to that. Gateways tell every connection, so that other workers' are not needed.
 */

void openclaw_look(struct openclaw *openclaw, uint32_t way)
{
    for (uint32_t i = 0; i < openclaw->endpoints_count; i++) {
        struct openclaw_endpoint *endpoint = endpoint_at(openclaw, i, way);
        if (!endpoint->is_looking) {
            endpoint->is_looking = true;
            claw_call_begin(openclaw->connector, &endpoint->look, pool_key_view(endpoint->pin),
                            OPENCLAW_BEAT_MS);
        }
    }
    if (!loop_timer_is_set(&openclaw->beat)) {
        loop_timer_set(openclaw->loop, &openclaw->beat,
                       loop_now_ms(openclaw->loop) + OPENCLAW_BEAT_MS);
    }
}

static void looked(struct claw_call *look, const struct claw_answer *answer)
{
    struct openclaw_endpoint *endpoint = container_of(look, struct openclaw_endpoint, look);
    struct openclaw *openclaw = endpoint->openclaw;
    uint32_t looking = 0, found = 0;
    endpoint->is_looking = false;
    endpoint->is_found = answer->err == WEIR_OK;
    for (uint32_t i = 0; i < openclaw->endpoints_count; i++) {
        const struct openclaw_endpoint *it = endpoint_at(openclaw, i, endpoint->way);
        looking += it->is_looking;
        found += it->is_found;
    }
    weir_list_each(node, &openclaw->readers) {
        if (looking == 0 && found > 0 && openclaw_reader_way(node) == endpoint->way) {
            openclaw_reader_ready(node);
        }
    }
}

static void on_event(void *self, struct claw_account *account, const struct claw_frame *frame)
{
    struct openclaw *openclaw = self;
    const struct openclaw_endpoint *endpoint = account->user;
    weir_list_each(node, &openclaw->readers) {
        if (openclaw_reader_way(node) == endpoint->way) {
            openclaw_reader_event(node, frame);
        }
    }
}

static bool is_heard(void *self, struct claw_account *account)
{
    struct openclaw *openclaw = self;
    const struct openclaw_endpoint *endpoint = account->user;
    weir_list_each(node, &openclaw->readers) {
        if (openclaw_reader_way(node) == endpoint->way) {
            return true;
        }
    }
    return false;
}

/* What is the same to all workers is told once, by the one that asked. */
static void on_denied(void *self, struct claw_account *account)
{
    const struct openclaw *openclaw = self;
    const struct openclaw_endpoint *endpoint = account->user;
    const char *name = account_name(openclaw->config, endpoint->way);
    const struct relay_event event = {
        .kind = RELAY_EVENT_OPENCLAW_DENIED,
        .upstream = openclaw->config->name,
        .account = name != NULL ? name : "",
        .from = "",
        .why = account->refusal.message,
        .endpoint = openclaw->config->endpoints.at[endpoint->index].name,
    };
    if (account->is_hearsay) {
        return;
    }
    if (openclaw->tell != NULL) {
        openclaw->tell(openclaw->tell_self, &event);
    }
    if (openclaw->accounts != NULL) {
        const struct cooldown_answer answer = {.status = 401, .family = {"", 0}};
        accounts_answer(openclaw->accounts, endpoint->way, &answer, loop_now_ms(openclaw->loop));
        account_news_look(openclaw->news);
    }
}

static void beat(struct loop_timer *timer, uint64_t now_ms)
{
    struct openclaw *openclaw = container_of(timer, struct openclaw, beat);
    (void)now_ms;
    weir_list_each(node, &openclaw->readers) {
        openclaw_reader_beat(node);
    }
    weir_list_each(node, &openclaw->readers) {
        if (!openclaw->is_draining) {
            openclaw_look(openclaw, openclaw_reader_way(node));
        }
    }
}

void openclaw_drain(struct openclaw *openclaw)
{
    openclaw->is_draining = true;
    weir_list_each(node, &openclaw->readers) {
        openclaw_reader_end(node);
    }
}
