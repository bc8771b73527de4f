/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/probe.h"

#include "connector/tunnel.h"
#include "gateway/resolver.h"
#include "gateway/secure.h"
#include "io/tls_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int read_profiles(const struct probe_way *way, struct probe_profiles *ret_profiles,
                         struct tls_fault *ret_fault)
{
    int error = 0;
    if (strcmp(way->endpoint->scheme, "https") == 0) {
        error = secure_upstream_profile(way->upstream, &ret_profiles->tls, ret_fault);
    }
    if (error == 0 && secure_is_needed_by_proxy(way->upstream)) {
        error = secure_proxy_profile(way->upstream, &ret_profiles->proxy_tls, ret_fault);
    }
    return error;
}

static int open_names(const void *arg, struct loop *loop, struct dns **ret_dns)
{
    return resolver_open(arg, loop, ret_dns);
}

int probe_request_of(const struct config *config, const struct probe_way *way,
                     struct probe_profiles *ret_profiles, struct trial_request *ret_request,
                     char ret_why[TRIAL_WHY_MAX])
{
    const struct config_upstream *upstream = way->upstream;
    struct tls_fault fault = {0};
    *ret_profiles = (struct probe_profiles){0};
    int error = read_profiles(way, ret_profiles, &fault);
    if (error != 0) {
        snprintf(ret_why, TRIAL_WHY_MAX, "%.*s", (int)TRIAL_WHY_MAX - 1, fault.text);
        probe_profiles_free(ret_profiles);
        return error;
    }
    *ret_request = (struct trial_request){
        .host = way->endpoint->host,
        .port = way->endpoint->port,
        .proxy = way->proxy,
        .tls = ret_profiles->tls,
        .proxy_tls = ret_profiles->proxy_tls,
        .announce_version = upstream->proxy_protocol,
        .open_names = open_names,
        .names_arg = config,
        .timeout_ms = upstream->pool.connect_timeout_ms,
        .tls_timeout_ms = upstream->pool.tls_timeout_ms,
    };
    return 0;
}

int probe_request_through(const struct config *config, struct trial_request *request,
                          struct probe_profiles *ret_profiles, char ret_why[TRIAL_WHY_MAX])
{
    struct tls_fault fault = {0};
    const struct tls_profile_options opt = {.offer = TLS_OFFER_HTTP1};
    *ret_profiles = (struct probe_profiles){0};
    int error = proxy_is_https(slice_of(request->proxy))
                    ? tls_profile_read(&opt, &ret_profiles->proxy_tls, &fault)
                    : 0;
    if (error != 0) {
        snprintf(ret_why, TRIAL_WHY_MAX, "%.*s", (int)TRIAL_WHY_MAX - 1, fault.text);
        return error;
    }
    request->proxy_tls = ret_profiles->proxy_tls;
    request->open_names = open_names;
    request->names_arg = config;
    return 0;
}

void probe_profiles_free(struct probe_profiles *profiles)
{
    tls_profile_free(profiles->tls);
    tls_profile_free(profiles->proxy_tls);
    *profiles = (struct probe_profiles){0};
}

void probe_try(const struct config *config, const struct probe_way *way, struct trial_result *ret)
{
    struct probe_profiles profiles;
    struct trial_request request;
    *ret = (struct trial_result){.error = DIAL_LOCAL, .why = "no memory"};
    if (probe_request_of(config, way, &profiles, &request, ret->why) != 0)
        return;
    trial_run(&request, ret);
    probe_profiles_free(&profiles);
}
