/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/resolver.h"

#include "base/bytes.h"
#include "io/dns.h"
#include "io/loop.h"

#include <errno.h>

#define SERVERS_TEXT_MAX 1024U /* eight of the longest */

int resolver_open(const struct config *config, struct loop *loop, struct dns **ret_dns)
{
    const struct config_texts *servers = &config->dns.servers;
    struct dns_options opt = {.ttl_max_ms = config->dns.ttl_max_ms};
    struct bytes list;
    bool fits = true;
    bytes_init(&list, &alloc_libc, SERVERS_TEXT_MAX);
    for (uint32_t i = 0; i < servers->count; i++)
        fits = fits && bytes_printf(&list, "%s%s", i > 0 ? "," : "", servers->at[i]);
    fits = fits && bytes_append(&list, "", 1);
    opt.servers = servers->count > 0 ? bytes_at(&list) : NULL;
    int error = fits ? dns_open(loop, &opt, ret_dns) : -ENOMEM;
    bytes_fini(&list);
    return error;
}
