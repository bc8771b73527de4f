/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/discovery_records.h"

#include "gateway/config_address.h"
#include "gateway/config_arena.h"
#include "gateway/endpoint_list.h"
#include "io/dns_message.h"

#include <string.h>

#define TIER_MAX 255U

static bool make_endpoint(struct config_arena *arena, const struct config_endpoint *listed,
                          const char *host, uint16_t port, struct config_endpoint *ret)
{
    bool is_v6 = strchr(host, ':') != NULL;
    const char *url = config_arena_print(arena, is_v6 ? "%s://[%s]:%u" : "%s://%s:%u",
                                         listed->scheme, host, port);
    *ret = *listed;
    return config_url_of(arena, url, ret) == NULL;
}

void discovery_addresses(const struct dns_records *records, const struct config_endpoint *listed,
                         struct config_arena *arena, struct config_endpoints *found)
{
    for (uint32_t i = 0; i < records->count; i++) {
        char host[ADDRESS_TEXT_MAX];
        const struct address address = address_of_ip(&records->at[i].ip, 1);
        struct config_endpoint *it = &found->at[found->count];
        address_print_host(&address, host);
        if (make_endpoint(arena, listed, host, listed->port, it)
            && !endpoint_list_has(found, it->host, it->port))
            found->count++;
    }
}

/* How many different priorities are before that one. */
static uint32_t tier_of(const struct dns_records *records, uint16_t priority)
{
    uint32_t before = 0;
    for (uint32_t i = 0; i < records->count; i++) {
        bool is_first = records->at[i].priority < priority;
        for (uint32_t k = 0; is_first && k < i; k++)
            is_first = records->at[k].priority != records->at[i].priority;
        before += is_first;
    }
    return before;
}

static bool has_weights(const struct dns_records *records)
{
    for (uint32_t i = 0; i < records->count; i++)
        if (records->at[i].weight > 0)
            return true;
    return false;
}

/* RFC 2782: a weight of 0 is a small one where others have more, and of no meaning elsewhere. */
void discovery_services(const struct dns_records *records, const struct config_endpoint *listed,
                        struct config_arena *arena, struct config_endpoints *found)
{
    bool are_weighted = has_weights(records);
    for (uint32_t i = 0; i < records->count; i++) {
        const struct dns_record *record = &records->at[i];
        struct config_endpoint *it = &found->at[found->count];
        if (record->target[0] == '\0' || record->port == 0
            || !make_endpoint(arena, listed, record->target, record->port, it)
            || endpoint_list_has(found, it->host, it->port))
            continue;
        uint32_t tier = listed->priority + tier_of(records, record->priority);
        it->priority = tier < TIER_MAX ? tier : TIER_MAX;
        if (are_weighted && listed->weight > 0)
            it->weight = record->weight > 0 ? record->weight : 1;
        found->count++;
    }
}
