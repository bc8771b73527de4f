/* SPDX-License-Identifier: Apache-2.0
 *
 * The upstream: its accounts, its pool, and who reads its events.
 */
#include "gateway/openclaw.h"

#include "base/alloc.h"
#include "base/check.h"
#include "core/pool.h"
#include "gateway/openclaw_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS_WAITING_MAX 1000U

static int open_pool(struct openclaw *openclaw, const struct openclaw_options *opt);
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
    openclaw->count = opt->config->endpoints.count;
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

/* One connection carries what a worker asks; a second one would bring every event twice. */
static int open_pool(struct openclaw *openclaw, const struct openclaw_options *opt)
{
    const weir_pool_options *asked = &opt->config->pool;
    const struct claw_connector_options connector = {
        .loop = opt->loop,
        .dns = opt->dns,
        .alloc = &alloc_libc,
        .desk = opt->desk,
        .tls = opt->tls,
        .proxy_tls = opt->proxy_tls,
        .gates = opt->gates,
        .gates_count = opt->gates_count,
        .connect_timeout_ms = asked->connect_timeout_ms,
        .tls_timeout_ms = asked->tls_timeout_ms,
        .write_timeout_ms = asked->write_timeout_ms,
        .acquire_timeout_ms = asked->acquire_timeout_ms,
        .down_for_ms = asked->down_for_ms,
        .requests_max = opt->config->openclaw.requests_max,
        .message_max = opt->config->openclaw.message_max,
        .seed = opt->seed,
        .account = account_of,
        .ops = &ops,
        .self = openclaw,
    };
    char name[80];
    snprintf(name, sizeof name, "openclaw:%s", opt->config->name);
    weir_pool_options pool = {
        .size = sizeof pool,
        .name = name,
        .max_total = opt->workers * openclaw->count,
        .max_per_key = opt->workers,
        .streams_conns_max = 1,
        .leases_ideal = opt->config->openclaw.requests_max,
        .leases_hard = opt->config->openclaw.requests_max,
        .waiting_max = REQUESTS_WAITING_MAX,
        .min_idle = 1,
        .idle_timeout_ms = WEIR_NEVER,
        .connect_timeout_ms = asked->connect_timeout_ms,
        .tls_timeout_ms = asked->tls_timeout_ms,
        .acquire_timeout_ms = asked->acquire_timeout_ms,
        .down_for_ms = asked->down_for_ms,
    };
    int error = claw_connector_new(&connector, &openclaw->connector);
    if (error != 0) {
        return error;
    }
    pool.connector = &claw_pool_connector;
    pool.connector_self = openclaw->connector;
    weir_err err = weir_profile("openclaw", &pool);
    if (err == WEIR_OK) {
        err = weir_pool_open(opt->engine, &pool, &openclaw->pool);
    }
    if (err == WEIR_OK) {
        claw_connector_serve(openclaw->connector, openclaw->pool);
    }
    return errno_of(err);
}

static const char *text_or_null(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static int pin_endpoints(struct openclaw *openclaw, const struct openclaw_options *opt)
{
    for (uint32_t i = 0; i < openclaw->count; i++) {
        const struct config_endpoint *config = &opt->config->endpoints.at[i];
        struct openclaw_endpoint *endpoint = &openclaw->endpoints[i];
        bool is_tls = strcmp(config->scheme, "https") == 0;
        const weir_key key = {
            .scheme = is_tls ? "wss" : "ws",
            .host = config->host,
            .port = config->port,
            .proxy = text_or_null(opt->config->proxy),
            .tls = is_tls ? opt->fingerprint : NULL,
        };
        endpoint->link.ops = &link_ops;
        endpoint->openclaw = openclaw;
        endpoint->account = (struct claw_account){
            .path = opt->config->openclaw.path,
            .version = WEIR_VERSION,
            .token = text_or_null(opt->config->openclaw.token),
            .password = text_or_null(opt->config->openclaw.password),
            .identity = opt->identity,
            .user = endpoint,
        };
        endpoint->look.done = looked;
        endpoint->look.method = "health";
        weir_err err = pool_key_pin(openclaw->pool, &key, &endpoint->pin);
        if (err != WEIR_OK) {
            return errno_of(err);
        }
    }
    return 0;
}

void openclaw_obey(struct openclaw *openclaw, const struct config_upstream *config)
{
    openclaw->config = config;
    for (uint32_t i = 0; i < openclaw->count; i++) {
        struct claw_account *account = &openclaw->endpoints[i].account;
        account->path = config->openclaw.path;
        account->token = text_or_null(config->openclaw.token);
        account->password = text_or_null(config->openclaw.password);
    }
}

static struct claw_account *account_of(void *self, const weir_key *key)
{
    struct openclaw *openclaw = self;
    for (uint32_t i = 0; i < openclaw->count; i++) {
        const struct config_endpoint *config = &openclaw->config->endpoints.at[i];
        if (config->port == key->port && strcmp(config->host, key->host) == 0) {
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

static bool is_usable(const struct openclaw_endpoint *endpoint)
{
    return pool_key_state(endpoint->pin) != WEIR_KEY_DOWN;
}

void *openclaw_link(struct openclaw *openclaw, uint32_t endpoint)
{
    check(endpoint < openclaw->count);
    for (uint32_t i = 0; i < openclaw->count; i++) {
        struct openclaw_endpoint *it = &openclaw->endpoints[(endpoint + i) % openclaw->count];
        if (is_usable(it)) {
            return &it->link;
        }
    }
    return &openclaw->endpoints[endpoint].link; /* its pool says for how long */
}

/* --- events -------------------------------------------------------------------------------------
 *
 * They come on the connections of this worker, which has one while it has readers: a small request
 * now and then sees to that. Gateways tell every connection, so that other workers' are not needed.
 */

void openclaw_look(struct openclaw *openclaw)
{
    for (uint32_t i = 0; i < openclaw->count; i++) {
        struct openclaw_endpoint *endpoint = &openclaw->endpoints[i];
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
    for (uint32_t i = 0; i < openclaw->count; i++) {
        looking += openclaw->endpoints[i].is_looking;
        found += openclaw->endpoints[i].is_found;
    }
    weir_list_each(node, &openclaw->readers) {
        if (looking == 0 && found > 0) {
            openclaw_reader_ready(node);
        }
    }
}

static void on_event(void *self, struct claw_account *account, const struct claw_frame *frame)
{
    struct openclaw *openclaw = self;
    (void)account;
    weir_list_each(node, &openclaw->readers) {
        openclaw_reader_event(node, frame);
    }
}

static bool is_heard(void *self, struct claw_account *account)
{
    const struct openclaw *openclaw = self;
    (void)account;
    return !list_is_empty(&openclaw->readers);
}

static void on_denied(void *self, struct claw_account *account)
{
    const struct openclaw *openclaw = self;
    const struct openclaw_endpoint *endpoint = account->user;
    size_t index = (size_t)(endpoint - openclaw->endpoints);
    const struct relay_event event = {
        .kind = RELAY_EVENT_OPENCLAW_DENIED,
        .upstream = openclaw->config->name,
        .account = "",
        .from = "",
        .why = account->refusal.message,
        .endpoint = openclaw->config->endpoints.at[index].name,
    };
    if (openclaw->tell != NULL && !account->is_hearsay) {
        openclaw->tell(openclaw->tell_self, &event);
    }
}

static void beat(struct loop_timer *timer, uint64_t now_ms)
{
    struct openclaw *openclaw = container_of(timer, struct openclaw, beat);
    (void)now_ms;
    weir_list_each(node, &openclaw->readers) {
        openclaw_reader_beat(node);
    }
    if (!list_is_empty(&openclaw->readers) && !openclaw->is_draining) {
        openclaw_look(openclaw);
    }
}

void openclaw_drain(struct openclaw *openclaw)
{
    openclaw->is_draining = true;
    weir_list_each(node, &openclaw->readers) {
        openclaw_reader_end(node);
    }
}
