/* SPDX-License-Identifier: Apache-2.0
 *
 * own_client.h - an HTTP client with a thread of its own, for one request at a time to a URL of the
 * user's: whoever is asked may be down, slow or hostile, and costs that thread's time alone.
 */
#pragma once
#include <weir/http.h>
#include <weir/runtime.h>

struct own_client {
    weir_runtime *runtime;
    weir_http_client *http;
};

struct own_client_options {
    const char *name; /* of its pool */
    uint32_t timeout_ms;
    const char *dns_servers; /* NULL: the system's */
    const char *ca;          /* a file of certificates; NULL: the system's */
};

/* Where it fails what there is of it is closed as a whole one is. */
weir_err own_client_open(const struct own_client_options *opt, struct own_client *ret_client);
/* A request that is under way is given up, and nothing more is heard of it. All zeroes will do. */
void own_client_close(struct own_client *client);
