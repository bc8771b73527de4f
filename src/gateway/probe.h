/* SPDX-License-Identifier: Apache-2.0
 *
 * probe.h - whether an endpoint can be connected to, found out by connecting, on the way that
 * requests will take: through the upstream's proxy and with its TLS. `weir check --probe` waits for
 * it, the admin interface does not.
 */
#pragma once
#include "connector/trial.h"
#include "gateway/config.h"

struct probe_profiles {
    struct tls_profile *tls, *proxy_tls; /* NULL: none */
};

/* What a trial of this endpoint is; the profiles outlive it. 0, or -errno and why. Blocking: files
 * are read. */
int probe_request_of(const struct config *config, const struct config_endpoint *endpoint,
                     const struct config_upstream *upstream, struct probe_profiles *ret_profiles,
                     struct trial_request *ret_request, char ret_why[TRIAL_WHY_MAX]);
/* The same for a request of which proxy, host and port are there: the rest is filled in. The
 * system's authorities are trusted. */
int probe_request_through(const struct config *config, struct trial_request *request,
                          struct probe_profiles *ret_profiles, char ret_why[TRIAL_WHY_MAX]);
void probe_profiles_free(struct probe_profiles *profiles);

/* Waits. Where it cannot even be tried, `error` is DIAL_LOCAL and `why` says so. */
void probe_endpoint(const struct config *config, const struct config_endpoint *endpoint,
                    const struct config_upstream *upstream, struct trial_result *ret);
