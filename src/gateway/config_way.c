/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/config_way.h"

#include <string.h>

uint32_t config_ways(const struct config_upstream *upstream)
{
    return upstream->accounts.count > 0 ? upstream->accounts.count : 1;
}

const char *config_way(const struct config_upstream *upstream, uint32_t account)
{
    const char *own = upstream->accounts.count > 0 ? upstream->accounts.at[account].proxy : "";
    return own[0] != '\0' ? own : upstream->proxy;
}

bool config_way_is_new(const struct config_upstream *upstream, uint32_t account)
{
    for (uint32_t i = 0; i < account; i++)
        if (strcmp(config_way(upstream, i), config_way(upstream, account)) == 0)
            return false;
    return true;
}

const char *config_way_of_check(const struct config_upstream *upstream, uint32_t turn)
{
    for (uint32_t i = 0; i < config_ways(upstream); i++)
        if (config_way(upstream, i)[0] == '\0')
            return "";
    return upstream->proxy[0] != '\0' ? upstream->proxy
                                      : config_way(upstream, turn % config_ways(upstream));
}
