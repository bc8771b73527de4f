/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/announce.h"

#include "gateway/forward.h"

#include <stdio.h>
#include <string.h>

#define PREFIX "PROXY "

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_ipv4(const uint8_t address[16])
{
    return memcmp(address, mapped, sizeof mapped) == 0;
}

static bool is_this_machine(const uint8_t address[16])
{
    static const uint8_t loopback[16] = {[15] = 1};
    return is_ipv4(address) ? address[12] == 127 : memcmp(address, loopback, sizeof loopback) == 0;
}

bool announce_trusts(const void *listener, const uint8_t address[16])
{
    const struct config_listener *config = listener;
    return config->trusted_proxies.count == 0 ? is_this_machine(address)
                                              : forward_trusts(config, address);
}

static void end_of(const uint8_t address[16], uint16_t port, bool as_ipv4, struct proxy_end *ret)
{
    memcpy(ret->address, address + (as_ipv4 ? 12 : 0), as_ipv4 ? 4 : 16);
    ret->port = port;
}

void announce_tenant(const struct http_peer *peer, char ret_tenant[ANNOUNCE_TENANT_MAX])
{
    static const struct http_ends unknown;
    static const uint8_t nowhere[16];
    const struct http_ends *ends = peer->ends != NULL ? peer->ends : &unknown;
    bool knows_to = memcmp(ends->to, nowhere, sizeof nowhere) != 0;
    bool as_ipv4 = is_ipv4(peer->address) && (!knows_to || is_ipv4(ends->to));
    struct proxy_header header = {.family = as_ipv4 ? PROXY_IPV4 : PROXY_IPV6};
    char text[PROXY_WRITTEN_MAX];
    end_of(peer->address, ends->from_port, as_ipv4, &header.from);
    end_of(ends->to, ends->to_port, as_ipv4, &header.to);
    size_t len = proxy_header_write(&header, 1, text) - strlen("\r\n");
    size_t prefix = strlen(PREFIX);
    memcpy(ret_tenant, text + prefix, len - prefix);
    ret_tenant[len - prefix] = '\0';
}

struct proxy_header announce_of(const weir_key *key)
{
    struct proxy_header header = {.family = PROXY_LOCAL};
    char text[ANNOUNCE_TENANT_MAX + 16];
    if (key->tenant != NULL) {
        int len = snprintf(text, sizeof text, PREFIX "%s\r\n", key->tenant);
        if (len < 0 || (size_t)len >= sizeof text
            || proxy_header_read(text, (size_t)len, &header) != len) {
            header = (struct proxy_header){.family = PROXY_LOCAL};
        }
    }
    return header;
}
