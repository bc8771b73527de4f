/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.h - whether an endpoint can be connected to, found out by connecting, on the way that
 * requests of an account will take: through its proxy, with its upstream's TLS, behind a PROXY
 * header that names nobody where the upstream wants one. `weir check --probe` waits for it, the
 * admin interface does not.
 */
#pragma once
#include "connector/trial.h"
#include "gateway/config.h"

struct probe_profiles {
    struct tls_profile *tls, *proxy_tls; /* NULL: none */
};

/* A way to an endpoint (config_way.h). */
struct probe_way {
    const struct config_upstream *upstream;
    const struct config_endpoint *endpoint;
    const char *proxy; /* "": none */
};

/* What a trial of this way is; the profiles outlive it. 0, or -errno and why. Blocking: files are
 * read. */
int probe_request_of(const struct config *config, const struct probe_way *way,
                     struct probe_profiles *ret_profiles, struct trial_request *ret_request,
                     char ret_why[TRIAL_WHY_MAX]);
/* The same for a request of which proxy, host and port are there: the rest is filled in. The
 * system's authorities are trusted. */
int probe_request_through(const struct config *config, struct trial_request *request,
                          struct probe_profiles *ret_profiles, char ret_why[TRIAL_WHY_MAX]);
void probe_profiles_free(struct probe_profiles *profiles);

/* Waits. Where it cannot even be tried, `error` is DIAL_LOCAL and `why` says so. */
void probe_try(const struct config *config, const struct probe_way *way, struct trial_result *ret);
