/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/resolver.h"

#include "base/bytes.h"
#include "io/dns.h"
#include "io/loop.h"

#include <errno.h>

bool resolver_list(const struct config *config, struct bytes *ret_list)
{
    const struct config_texts *servers = &config->dns.servers;
    bool fits = true;
    for (uint32_t i = 0; i < servers->count; i++)
        fits = fits && bytes_printf(ret_list, "%s%s", i > 0 ? "," : "", servers->at[i]);
    return fits && (servers->count == 0 || bytes_append(ret_list, "", 1));
}

int resolver_open(const struct config *config, struct loop *loop, struct dns **ret_dns)
{
    struct dns_options opt = {.ttl_max_ms = config->dns.ttl_max_ms};
    struct bytes list;
    bytes_init(&list, &alloc_libc, RESOLVER_LIST_MAX);
    bool fits = resolver_list(config, &list);
    opt.servers = bytes_len(&list) > 0 ? bytes_at(&list) : NULL;
    int error = fits ? dns_open(loop, &opt, ret_dns) : -ENOMEM;
    bytes_fini(&list);
    return error;
}
