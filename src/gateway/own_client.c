/* SPDX-License-Identifier: Apache-2.0
 *
 * own_client.c - a runtime of one worker, and a client that redirects lead nowhere.
 */
#include "gateway/own_client.h"

weir_err own_client_open(const struct own_client_options *opt, struct own_client *ret_client)
{
    const weir_runtime_options runtime = {.size = sizeof(runtime),
                                          .workers = 1,
                                          .pools_max = 1,
                                          .conns_max = 8,
                                          .waiting_max = 8,
                                          .keys_max = 8};
    const weir_http_client_options client = {
        .size = sizeof(client),
        .pool = {.name = opt->name, .max_total = 2, .total_timeout_ms = opt->timeout_ms},
        .requests_max = 2,
        .redirects_max = WEIR_NONE,
        .dns_servers = opt->dns_servers,
        .tls = {.ca = opt->ca}};
    weir_err err = weir_runtime_open(&runtime, &ret_client->runtime);
    return err == WEIR_OK ? weir_http_client_new(ret_client->runtime, &client, &ret_client->http)
                          : err;
}

void own_client_close(struct own_client *client)
{
    weir_http_client_free(client->http);
    if (client->runtime != NULL)
        weir_runtime_close(client->runtime, 0);
}
