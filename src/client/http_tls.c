/* SPDX-License-Identifier: Apache-2.0
 *
 * https:// for a client: nothing of TLS is there before the first URL that asks for it, on the
 * client or on one of its workers, unless options name files, which are read at once.
 */
#include "client/http.h"

#include <errno.h>
#include <string.h>

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static int read_profile(const struct weir_http_client *client, const weir_tls_options *opt,
                        struct tls_profile **ret_profile, struct tls_fault *ret_fault)
{
    const struct tls_identity identity = {.certificate = opt->certificate, .key = opt->key};
    const struct tls_profile_options profile = {
        .identities = &identity,
        .identities_count = is_given(opt->certificate) ? 1 : 0,
        .ca = opt->ca,
        .offer = client->opt.http2 == WEIR_ON ? TLS_OFFER_H2 : TLS_OFFER_HTTP1,
        .unverified = opt->verify == WEIR_OFF,
    };
    return tls_profile_read(&profile, ret_profile, ret_fault);
}

const char *client_tls_check(const weir_tls_options *opt)
{
    bool is_switch = opt->verify == 0 || opt->verify == WEIR_ON || opt->verify == WEIR_OFF;
    if (!is_switch) {
        return "tls.verify";
    }
    return is_given(opt->certificate) != is_given(opt->key) ? "tls.key" : NULL;
}

int client_tls_take(struct weir_http_client *client, const weir_tls_options *opt,
                    const char **ret_fault)
{
    struct tls_fault fault;
    *ret_fault = "tls";
    if (!is_given(opt->ca) && !is_given(opt->certificate)) {
        return 0;
    }
    int error = read_profile(client, opt, &client->profile, &fault);
    if (error != 0 && fault.file != NULL) {
        *ret_fault = fault.file == opt->ca            ? "tls.ca"
                     : fault.file == opt->certificate ? "tls.certificate"
                                                      : "tls.key";
    }
    return error;
}

bool client_tls_is_same(const struct weir_http_client *a, const struct weir_http_client *b)
{
    if (a->opt.tls.verify != b->opt.tls.verify || a->has_files != b->has_files) {
        return false;
    }
    return !a->has_files
           || strcmp(tls_profile_fingerprint(a->profile), tls_profile_fingerprint(b->profile)) == 0;
}

static int client_profile(struct weir_http_client *client, struct tls_profile **ret_profile)
{
    struct tls_fault fault;
    int error = 0;
    pthread_mutex_lock(&client->mutex);
    if (client->profile == NULL) {
        error = read_profile(client, &client->opt.tls, &client->profile, &fault);
    }
    *ret_profile = client->profile;
    pthread_mutex_unlock(&client->mutex);
    return error;
}

weir_err lane_secure(struct lane *lane)
{
    struct tls_profile *profile;
    if (lane->tls != NULL) {
        return WEIR_OK;
    }
    int error = client_profile(lane->client, &profile);
    if (error == 0 && lane->desk == NULL) {
        error = tls_desk_new(lane->loop, &lane->desk);
    }
    if (error == 0) {
        error = tls_client_new(lane->desk, profile, &lane->tls);
    }
    if (error != 0) {
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_ETLS;
    }
    http_connector_secure(lane->connector, lane->desk, lane->tls);
    return WEIR_OK;
}

void lane_insecure(struct lane *lane)
{
    tls_client_free(lane->tls);
    tls_desk_free(lane->desk);
    lane->tls = NULL;
    lane->desk = NULL;
}
