/* SPDX-License-Identifier: Apache-2.0
 *
 * https:// for a client: nothing of TLS is there before the first URL, or the first proxy, that
 * asks for it, on the client or on one of its workers, unless options name files, which are read at
 * once.
 */
#include "client/http.h"
#include "client/options.h"

#include <errno.h>
#include <string.h>

/* --- the target's, or the proxy's ---------------------------------------------------------------
 */

static const weir_tls_options *options_of(const struct weir_http_client *client,
                                          enum options_tls which)
{
    return which == OPTIONS_TLS ? &client->opt.tls : &client->opt.proxy_tls;
}

static struct identity *identity_of(struct weir_http_client *client, enum options_tls which)
{
    return which == OPTIONS_TLS ? &client->targets : &client->proxies;
}

static unsigned offer_to(const struct weir_http_client *client, enum options_tls which)
{
    return which == OPTIONS_TLS && client->opt.http2 == WEIR_ON ? TLS_OFFER_H2 : TLS_OFFER_HTTP1;
}

static int profile_of(struct weir_http_client *client, enum options_tls which,
                      struct tls_profile **ret_profile, const char **ret_fault)
{
    struct identity *identity = identity_of(client, which);
    int error = 0;
    pthread_mutex_lock(&client->mutex);
    if (identity->profile == NULL) {
        error = options_tls_profile(options_of(client, which), which, offer_to(client, which),
                                    &identity->profile, ret_fault);
    }
    *ret_profile = identity->profile;
    pthread_mutex_unlock(&client->mutex);
    return error;
}

/* --- options ------------------------------------------------------------------------------------
 */

const char *client_tls_check(const struct weir_http_client *client)
{
    const char *fault = options_tls_check(&client->opt.tls, OPTIONS_TLS);
    return fault != NULL ? fault : options_tls_check(&client->opt.proxy_tls, OPTIONS_PROXY_TLS);
}

static int identity_take(struct weir_http_client *client, enum options_tls which,
                         const char **ret_fault)
{
    struct tls_profile *profile;
    if (!options_tls_has_files(options_of(client, which))) {
        return 0;
    }
    int error = profile_of(client, which, &profile, ret_fault);
    identity_of(client, which)->has_files = error == 0;
    return error;
}

int client_tls_take(struct weir_http_client *client, const char **ret_fault)
{
    int error = identity_take(client, OPTIONS_TLS, ret_fault);
    return error == 0 ? identity_take(client, OPTIONS_PROXY_TLS, ret_fault) : error;
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

static int work_with(struct lane *lane, enum options_tls which, struct tls_client **ret_tls)
{
    struct tls_profile *profile;
    const char *fault;
    int error = profile_of(lane->client, which, &profile, &fault);
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
    if (lane->tls != NULL) {
        return WEIR_OK;
    }
    int error = work_with(lane, OPTIONS_TLS, &lane->tls);
    if (error == 0) {
        http_connector_secure(lane->connector, lane->desk, lane->tls);
    }
    return err_of(error);
}

weir_err lane_secure_proxies(struct lane *lane)
{
    if (lane->proxy_tls != NULL) {
        return WEIR_OK;
    }
    int error = work_with(lane, OPTIONS_PROXY_TLS, &lane->proxy_tls);
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
