/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/metrics_tls.h"

#include "gateway/secure.h"
#include "gateway/server.h"

#define LABELS(...) ((const struct prom_label[]){__VA_ARGS__, {NULL, NULL}})

static void add(struct tls_sums *sums, const struct tls_counters *counters)
{
    sums->handshakes += tls_counter(&counters->handshakes);
    sums->resumed += tls_counter(&counters->resumed);
    for (unsigned i = 0; i < TLS_ERROR_COUNT; i++)
        sums->failed[i] += tls_counter(&counters->failed[i]);
}

const struct tls_profile *tls_profile_of(const struct server *server, bool is_listener,
                                         uint32_t index)
{
    return is_listener ? secure_of_listener(server->secure, index)
                       : secure_of_upstream(server->secure, index);
}

bool tls_sums_of(const struct server *server, bool is_listener, uint32_t index,
                 struct tls_sums *ret_sums)
{
    *ret_sums = (struct tls_sums){0};
    if (tls_profile_of(server, is_listener, index) == NULL)
        return false;
    for (uint32_t w = 0; w < server->sites_count; w++)
        add(ret_sums, is_listener ? tls_server_counters(secure_server(server->secure, w, index))
                                  : tls_client_counters(secure_client(server->secure, w, index)));
    return true;
}

static void write_results(struct prom *prom, const char *label, const char *name,
                          const struct tls_sums *sums)
{
    prom_u64(prom, LABELS({label, name}, {"result", "full"}), sums->handshakes - sums->resumed);
    prom_u64(prom, LABELS({label, name}, {"result", "resumed"}), sums->resumed);
    for (unsigned i = TLS_OK + 1; i < TLS_ERROR_COUNT; i++)
        prom_u64(prom, LABELS({label, name}, {"result", tls_error_word((enum tls_error)i)}),
                 sums->failed[i]);
}

static void write_expiry(struct prom *prom, const char *label, const char *name,
                         const struct tls_profile *profile)
{
    if (profile == NULL || tls_profile_certificates(profile) == 0)
        return;
    int64_t soonest_s = INT64_MAX;
    for (uint32_t i = 0; i < tls_profile_certificates(profile); i++) {
        struct tls_certificate seen;
        tls_profile_certificate(profile, i, &seen);
        soonest_s = seen.not_after_s < soonest_s ? seen.not_after_s : soonest_s;
    }
    prom_double(prom, LABELS({label, name}), (double)soonest_s);
}

void metrics_tls_write(const struct server *server, struct prom *prom)
{
    const struct config *config = server->config;
    struct tls_sums sums;
    prom_family(prom, "weir_tls_handshakes_total", PROM_COUNTER,
                "TLS handshakes with clients: full, resumed, or why they failed.");
    for (uint32_t i = 0; i < config->listeners.count; i++)
        if (tls_sums_of(server, true, i, &sums))
            write_results(prom, "listener", config->listeners.at[i].name, &sums);
    prom_family(prom, "weir_upstream_tls_handshakes_total", PROM_COUNTER,
                "TLS handshakes with endpoints: full, resumed, or why they failed.");
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        if (tls_sums_of(server, false, i, &sums))
            write_results(prom, "upstream", config->upstreams.at[i].name, &sums);
    prom_family(prom, "weir_tls_certificate_expiry_seconds", PROM_GAUGE,
                "When the first of its certificates expires, since 1970.");
    for (uint32_t i = 0; i < config->listeners.count; i++)
        write_expiry(prom, "listener", config->listeners.at[i].name,
                     secure_of_listener(server->secure, i));
    for (uint32_t i = 0; i < config->upstreams.count; i++)
        write_expiry(prom, "upstream", config->upstreams.at[i].name,
                     secure_of_upstream(server->secure, i));
}
