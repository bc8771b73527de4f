/* SPDX-License-Identifier: Apache-2.0
 *
 * What a gateway answers over HTTP: tools, chat, whether it is ready.
 */
#include "client/openclaw.h"

#include <stdio.h>
#include <string.h>

#define URL_MAX 16384U

static weir_err fetch(weir_openclaw_gateway *gateway, const weir_http_request *like,
                      const char *path, weir_http_answer **ret_answer)
{
    struct weir_openclaw *claw = gateway->claw;
    const struct claw_account *account = &gateway->account;
    const weir_key *key = &gateway->key.view;
    const char *secret = account->token != NULL ? account->token : account->password;
    char bearer[CLAW_TOKEN_MAX + 8];
    weir_http_field fields[2];
    weir_http_request request = *like;
    if (path[0] != '/' || strlen(path) > URL_MAX / 2) {
        return ground_fault(WEIR_EINVAL, "path");
    }
    size_t size = strlen(gateway->base_url) + strlen(path) + 1;
    char *url = alloc_new(claw->alloc, size);
    if (url == NULL) {
        return WEIR_ENOMEM;
    }
    snprintf(url, size, "%s%s", gateway->base_url, path);
    request.url = url;
    request.fields = fields;
    if (secret != NULL) {
        snprintf(bearer, sizeof bearer, "Bearer %s", secret);
        fields[request.field_count++] =
            (weir_http_field){.name = "Authorization", .value = bearer, .secret = true};
    }
    if (request.body_len > 0) {
        fields[request.field_count++] = (weir_http_field){.name = "Content-Type",
                                                          .value = "application/json"};
    }
    request.tenant = key->tenant;
    request.source = key->source;
    request.proxy = key->proxy;
    weir_err err = weir_http_fetch(claw->http, &request, ret_answer);
    alloc_free(claw->alloc, url);
    explicit_bzero(bearer, sizeof bearer);
    return err;
}

weir_err weir_openclaw_fetch(weir_openclaw_gateway *gateway, const char *method, const char *path,
                             const void *body, size_t body_len, weir_http_answer **ret_answer)
{
    const weir_http_request request = {
        .method = method, .body = body, .body_len = body != NULL ? body_len : 0};
    return fetch(gateway, &request, path, ret_answer);
}

weir_err weir_openclaw_ready(weir_openclaw_gateway *gateway, uint32_t timeout_ms)
{
    const weir_http_request request = {.timeout_ms = timeout_ms};
    weir_http_answer *answer;
    weir_err err = fetch(gateway, &request, "/readyz", &answer);
    if (err == WEIR_OK) {
        err = weir_http_status(answer) == 200 ? WEIR_OK : WEIR_EAGAIN;
        weir_http_answer_free(answer);
    }
    return err;
}
