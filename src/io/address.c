/* SPDX-License-Identifier: Apache-2.0 */
#include "io/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ip_parse(const char *text, struct ip *ret)
{
    struct ip ip = {.family = AF_INET};
    if (inet_pton(AF_INET, text, ip.bytes) != 1) {
        ip.family = AF_INET6;
        if (inet_pton(AF_INET6, text, ip.bytes) != 1) {
            return false;
        }
    }
    *ret = ip;
    return true;
}

void ip_map(const struct ip *ip, uint8_t ret[static 16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = ip->family == AF_INET;
    memcpy(ret, mapped, sizeof mapped);
    memcpy(ret + (is_v4 ? 12 : 0), ip->bytes, is_v4 ? 4 : 16);
}

struct address address_of_ip(const struct ip *ip, uint16_t port)
{
    struct address address = {0};
    if (ip->family == AF_INET) {
        address.len = sizeof address.v4;
        address.v4.sin_family = AF_INET;
        address.v4.sin_port = htons(port);
        memcpy(&address.v4.sin_addr, ip->bytes, sizeof address.v4.sin_addr);
    } else {
        address.len = sizeof address.v6;
        address.v6.sin6_family = AF_INET6;
        address.v6.sin6_port = htons(port);
        memcpy(&address.v6.sin6_addr, ip->bytes, sizeof address.v6.sin6_addr);
    }
    return address;
}

bool address_of_host(const char *host, uint16_t port, struct address *ret)
{
    struct ip ip = {.family = AF_INET};
    if (host[0] != '\0' && !ip_parse(host, &ip)) {
        return false;
    }
    *ret = address_of_ip(&ip, port);
    return true;
}

bool address_of_unix(const char *path, struct address *ret)
{
    struct address address = {0};
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof address.local.sun_path) {
        return false;
    }
    address.local.sun_family = AF_UNIX;
    memcpy(address.local.sun_path, path, len + 1);
    address.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    *ret = address;
    return true;
}

bool address_is_ip(const struct address *address)
{
    return address->len > 0
           && (address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6);
}

bool address_ip(const struct address *address, struct ip *ret)
{
    if (!address_is_ip(address)) {
        return false;
    }
    struct ip ip = {.family = AF_INET};
    if (address->any.sa_family == AF_INET) {
        memcpy(ip.bytes, &address->v4.sin_addr, sizeof address->v4.sin_addr);
    } else if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
        memcpy(ip.bytes, address->v6.sin6_addr.s6_addr + 12, 4);
    } else {
        ip.family = AF_INET6;
        memcpy(ip.bytes, &address->v6.sin6_addr, sizeof ip.bytes);
    }
    *ret = ip;
    return true;
}

uint16_t address_port(const struct address *address)
{
    if (!address_is_ip(address)) {
        return 0;
    }
    return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

/* The path of a unix address; "" for one without a name. An abstract one begins with '@'. */
static void print_path(const struct address *address, char ret_text[static ADDRESS_TEXT_MAX])
{
    size_t len = address->len > offsetof(struct sockaddr_un, sun_path)
                     ? address->len - offsetof(struct sockaddr_un, sun_path)
                     : 0;
    char path[sizeof address->local.sun_path + 1] = {0};
    memcpy(path, address->local.sun_path, len);
    if (len > 0 && path[0] == '\0') {
        path[0] = '@';
    }
    snprintf(ret_text, ADDRESS_TEXT_MAX, "unix:%s", path);
}

const char *address_print(const struct address *address, char ret_text[static ADDRESS_TEXT_MAX])
{
    struct ip ip;
    if (address->len == 0) {
        ret_text[0] = '\0';
    } else if (address_ip(address, &ip)) {
        char host[INET6_ADDRSTRLEN];
        inet_ntop(ip.family, ip.bytes, host, sizeof host);
        snprintf(ret_text, ADDRESS_TEXT_MAX, ip.family == AF_INET ? "%s:%u" : "[%s]:%u", host,
                 (unsigned)address_port(address));
    } else {
        print_path(address, ret_text);
    }
    return ret_text;
}

const char *address_print_host(const struct address *address,
                               char ret_text[static ADDRESS_TEXT_MAX])
{
    struct ip ip;
    if (address->len == 0) {
        ret_text[0] = '\0';
    } else if (address_ip(address, &ip)) {
        inet_ntop(ip.family, ip.bytes, ret_text, ADDRESS_TEXT_MAX);
    } else {
        snprintf(ret_text, ADDRESS_TEXT_MAX, "unix");
    }
    return ret_text;
}
