/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/admin_proxy.h"

#include "base/list.h"
#include "connector/tunnel.h"
#include "gateway/admin_rows.h"
#include "gateway/config_way.h"
#include "gateway/probe.h"
#include "gateway/server.h"
#include "proto/json.h"
#include "proto/json_texts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_BYTES 2048U

struct admin_proxy {
    struct admin_job job;
    struct trial *trial;
    struct probe_profiles profiles;
    struct bytes *out;
    admin_done_fn *done;
    void *self;
};

enum { UPSTREAM, ENDPOINT, ACCOUNT, PROXY, TARGET, KEYS };

/* What a command says. */
struct way {
    struct json_wanted said[KEYS];
    struct proxy proxy, target; /* the latter is parsed as if it were one */
    char target_url[JSON_TEXTS_MAX + 8];
};

static void write_steps(struct json *json, const struct trial_result *result)
{
    json_open(json, "steps", '{');
    for (enum dial_step step = 0; step <= result->step; step++)
        json_fixed(json, dial_step_text(step), result->step_us[step], 6);
    json_close(json, '}');
}

static void cancel(struct admin_job *take_job)
{
    struct admin_proxy *proxy = container_of(take_job, struct admin_proxy, job);
    if (proxy->trial != NULL)
        trial_cancel(proxy->trial);
    probe_profiles_free(&proxy->profiles);
    free(proxy);
}

static void on_trial(void *self, const struct trial_result *result)
{
    struct admin_proxy *proxy = self;
    char room[ANSWER_BYTES];
    struct json json = json_into(room, sizeof(room));
    bool is_open = result->error == DIAL_OK;
    json_open(&json, NULL, '{');
    json_bool(&json, "open", is_open);
    json_text(&json, "step", is_open ? NULL : dial_step_text(result->step));
    json_text(&json, "why", is_open ? NULL : result->why);
    json_fixed(&json, "seconds", result->took_us, 6);
    json_fixed(&json, "exit_seconds", result->step_us[DIAL_PASSING], 6);
    write_steps(&json, result);
    json_close(&json, '}');
    bytes_append(proxy->out, json.at, json.len);
    admin_done_fn *done = proxy->done;
    void *of = proxy->self;
    proxy->trial = NULL;
    cancel(&proxy->job);
    done(of, 200);
}

/* --- what to do ----------------------------------------------------------------------------------
 */

static const struct config_upstream *find_upstream(const struct config *config, const char *name)
{
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        if (strcmp(config->upstreams.at[i].name, name) == 0)
            return &config->upstreams.at[i];
    return NULL;
}

static const struct config_endpoint *find_endpoint(const struct config_upstream *upstream,
                                                   const struct json_wanted *name)
{
    for (uint32_t i = 0; i < upstream->endpoints.count; i++)
        if (!name->is_there || strcmp(upstream->endpoints.at[i].name, name->value) == 0)
            return &upstream->endpoints.at[i];
    return NULL;
}

/* That of the account named; without a name the upstream's, else the first account's that has one.
 * "": none. NULL: there is no such account. */
static const char *find_proxy(const struct config_upstream *upstream,
                              const struct json_wanted *account)
{
    const char *proxy = upstream->proxy;
    for (uint32_t i = 0; account->is_there && i < upstream->accounts.count; i++)
        if (strcmp(upstream->accounts.at[i].name, account->value) == 0)
            return config_way(upstream, i);
    for (uint32_t i = 0; proxy[0] == '\0' && i < config_ways(upstream); i++)
        proxy = config_way(upstream, i);
    return account->is_there ? NULL : proxy;
}

static uint16_t of_upstream(const struct config *config, const struct way *way,
                            struct admin_proxy *proxy, struct trial_request *ret_request,
                            char why[TRIAL_WHY_MAX])
{
    struct probe_way probe = {.upstream = find_upstream(config, way->said[UPSTREAM].value)};
    const char *missing = probe.upstream == NULL ? "upstream" : NULL;
    if (missing == NULL) {
        probe.endpoint = find_endpoint(probe.upstream, &way->said[ENDPOINT]);
        missing = probe.endpoint == NULL ? "endpoint" : NULL;
    }
    if (missing == NULL) {
        probe.proxy = find_proxy(probe.upstream, &way->said[ACCOUNT]);
        missing = probe.proxy == NULL ? "account" : NULL;
    }
    if (missing != NULL) {
        snprintf(why, TRIAL_WHY_MAX, "there is no such %s", missing);
        return 404;
    }
    if (probe.proxy[0] == '\0') {
        snprintf(why, TRIAL_WHY_MAX, "the %s has no proxy",
                 way->said[ACCOUNT].is_there ? "account" : "upstream");
        return 400;
    }
    int error = probe_request_of(config, &probe, &proxy->profiles, ret_request, why);
    return error == 0 ? 0 : 500;
}

static uint16_t of_texts(const struct config *config, struct way *way, struct admin_proxy *proxy,
                         struct trial_request *ret_request, char why[TRIAL_WHY_MAX])
{
    snprintf(way->target_url, sizeof(way->target_url), "http://%s", way->said[TARGET].value);
    if (!proxy_parse(slice_of(way->said[PROXY].value), &way->proxy)) {
        snprintf(why, TRIAL_WHY_MAX, "proxy is none: socks5://, http:// or https://, host, port");
        return 400;
    }
    if (!proxy_parse(slice_of(way->target_url), &way->target) || way->target.user.len > 0) {
        snprintf(why, TRIAL_WHY_MAX, "target is none: host:port");
        return 400;
    }
    *ret_request = (struct trial_request){
        .proxy = way->said[PROXY].value, .host = way->target.host.at, .port = way->target.port};
    int error = probe_request_through(config, ret_request, &proxy->profiles, why);
    return error == 0 ? 0 : 500;
}

/* 0, or the status of the refusal and why. */
static uint16_t understand(const struct config *config, struct slice command, struct way *way,
                           struct admin_proxy *proxy, struct trial_request *ret_request,
                           char why[TRIAL_WHY_MAX])
{
    static const char *const keys[KEYS] = {"upstream", "endpoint", "account", "proxy", "target"};
    for (int i = 0; i < KEYS; i++)
        way->said[i].key = keys[i];
    bool is_read = json_texts_read(command, way->said, KEYS);
    bool by_name = way->said[UPSTREAM].is_there, by_text = way->said[PROXY].is_there;
    if (!is_read || by_name == by_text || by_text != way->said[TARGET].is_there
        || (by_text && (way->said[ENDPOINT].is_there || way->said[ACCOUNT].is_there))) {
        snprintf(why, TRIAL_WHY_MAX,
                 "the body is {\"upstream\": …} or {\"proxy\": …, \"target\": …}, of texts");
        return 400;
    }
    return by_name ? of_upstream(config, way, proxy, ret_request, why)
                   : of_texts(config, way, proxy, ret_request, why);
}

struct admin_job *admin_proxy_start(const struct server *server, const struct admin_ask *ask,
                                    struct bytes *out, admin_done_fn *done, void *self,
                                    uint16_t *ret_status)
{
    struct trial_request request;
    char why[TRIAL_WHY_MAX] = "no memory";
    struct admin_proxy *proxy = calloc(1, sizeof(*proxy));
    struct way *way = calloc(1, sizeof(*way));
    uint16_t status = 500;
    if (proxy != NULL && way != NULL) {
        *proxy =
            (struct admin_proxy){.job = {.cancel = cancel}, .out = out, .done = done, .self = self};
        status = understand(server->config, ask->input, way, proxy, &request, why);
    }
    if (status == 0
        && trial_start(server->opt.loop, &request, on_trial, proxy, &proxy->trial) != 0) {
        proxy->trial = NULL;
        status = 500;
        snprintf(why, sizeof(why), "it could not be begun");
    }
    free(way);
    if (status == 0)
        return &proxy->job;
    if (proxy != NULL)
        cancel(&proxy->job);
    *ret_status = rows_fault(out, status, why);
    return NULL;
}
