/* SPDX-License-Identifier: Apache-2.0
 *
 * https:// for a client: nothing of TLS is there before the first URL, or the first proxy, that
 * asks for it, on the client or on one of its workers, unless options name files, which are read at
 * once.
 */
#include "client/http.h"

#include <errno.h>
#include <string.h>

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

int client_tls_profile(const weir_tls_options *opt, unsigned offer,
                       struct tls_profile **ret_profile, struct tls_fault *ret_fault)
{
    const struct tls_identity identity = {.certificate = opt->certificate, .key = opt->key};
    const struct tls_profile_options profile = {
        .identities = &identity,
        .identities_count = is_given(opt->certificate) ? 1 : 0,
        .ca = opt->ca,
        .offer = offer,
        .unverified = opt->verify == WEIR_OFF,
    };
    return tls_profile_read(&profile, ret_profile, ret_fault);
}

static unsigned offer_to_targets(const struct weir_http_client *client)
{
    return client->opt.http2 == WEIR_ON ? TLS_OFFER_H2 : TLS_OFFER_HTTP1;
}

/* --- options ------------------------------------------------------------------------------------
 */

static bool is_switch(uint32_t value)
{
    return value == 0 || value == WEIR_ON || value == WEIR_OFF;
}

const char *client_tls_check(const struct weir_http_client *client)
{
    const weir_tls_options *tls = &client->opt.tls, *proxy = &client->opt.proxy_tls;
    if (!is_switch(tls->verify)) {
        return "tls.verify";
    }
    if (is_given(tls->certificate) != is_given(tls->key)) {
        return "tls.key";
    }
    if (!is_switch(proxy->verify)) {
        return "proxy_tls.verify";
    }
    return is_given(proxy->certificate) != is_given(proxy->key) ? "proxy_tls.key" : NULL;
}

/* `fields`: how the three files are called. */
static int identity_take(struct identity *identity, const weir_tls_options *opt, unsigned offer,
                         const char *const fields[3], const char **ret_fault)
{
    struct tls_fault fault;
    if (!is_given(opt->ca) && !is_given(opt->certificate)) {
        return 0;
    }
    *ret_fault = fields[0];
    int error = client_tls_profile(opt, offer, &identity->profile, &fault);
    if (error != 0 && fault.file != NULL) {
        *ret_fault = fault.file == opt->ca            ? fields[0]
                     : fault.file == opt->certificate ? fields[1]
                                                      : fields[2];
    }
    identity->has_files = error == 0;
    return error;
}

int client_tls_take(struct weir_http_client *client, const char **ret_fault)
{
    static const char *const target[] = {"tls.ca", "tls.certificate", "tls.key"};
    static const char *const proxy[] = {"proxy_tls.ca", "proxy_tls.certificate", "proxy_tls.key"};
    int error = identity_take(&client->targets, &client->opt.tls, offer_to_targets(client), target,
                              ret_fault);
    return error == 0 ? identity_take(&client->proxies, &client->opt.proxy_tls, TLS_OFFER_HTTP1,
                                      proxy, ret_fault)
                      : error;
}

void client_tls_fini(struct weir_http_client *client)
{
    tls_profile_free(client->targets.profile);
    tls_profile_free(client->proxies.profile);
}

static bool identity_is_same(const struct identity *a, const struct identity *b)
{
    return a->has_files == b->has_files
           && (!a->has_files
               || strcmp(tls_profile_fingerprint(a->profile), tls_profile_fingerprint(b->profile))
                      == 0);
}

bool client_tls_is_same(const struct weir_http_client *a, const struct weir_http_client *b)
{
    return a->opt.tls.verify == b->opt.tls.verify
           && a->opt.proxy_tls.verify == b->opt.proxy_tls.verify
           && identity_is_same(&a->targets, &b->targets)
           && identity_is_same(&a->proxies, &b->proxies);
}

/* --- on a worker --------------------------------------------------------------------------------
 */

static int profile_of(struct weir_http_client *client, struct identity *identity,
                      const weir_tls_options *opt, unsigned offer, struct tls_profile **ret_profile)
{
    struct tls_fault fault;
    int error = 0;
    pthread_mutex_lock(&client->mutex);
    if (identity->profile == NULL) {
        error = client_tls_profile(opt, offer, &identity->profile, &fault);
    }
    *ret_profile = identity->profile;
    pthread_mutex_unlock(&client->mutex);
    return error;
}

static int work_with(struct lane *lane, struct identity *identity, const weir_tls_options *opt,
                     unsigned offer, struct tls_client **ret_tls)
{
    struct tls_profile *profile;
    int error = profile_of(lane->client, identity, opt, offer, &profile);
    if (error == 0 && lane->desk == NULL) {
        error = tls_desk_new(lane->loop, &lane->desk);
    }
    return error == 0 ? tls_client_new(lane->desk, profile, ret_tls) : error;
}

static weir_err err_of(int error)
{
    return error == 0 ? WEIR_OK : error == -ENOMEM ? WEIR_ENOMEM : WEIR_ETLS;
}

weir_err lane_secure(struct lane *lane)
{
    struct weir_http_client *client = lane->client;
    if (lane->tls != NULL) {
        return WEIR_OK;
    }
    int error = work_with(lane, &client->targets, &client->opt.tls, offer_to_targets(client),
                          &lane->tls);
    if (error == 0) {
        http_connector_secure(lane->connector, lane->desk, lane->tls);
    }
    return err_of(error);
}

weir_err lane_secure_proxies(struct lane *lane)
{
    struct weir_http_client *client = lane->client;
    if (lane->proxy_tls != NULL) {
        return WEIR_OK;
    }
    int error = work_with(lane, &client->proxies, &client->opt.proxy_tls, TLS_OFFER_HTTP1,
                          &lane->proxy_tls);
    if (error == 0) {
        http_connector_secure_proxies(lane->connector, lane->desk, lane->proxy_tls);
    }
    return err_of(error);
}

void lane_insecure(struct lane *lane)
{
    tls_client_free(lane->tls);
    tls_client_free(lane->proxy_tls);
    tls_desk_free(lane->desk);
    lane->tls = lane->proxy_tls = NULL;
    lane->desk = NULL;
}
