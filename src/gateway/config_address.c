/* SPDX-License-Identifier: Apache-2.0
 *
 * config_address.c - addresses, networks, URLs.
 */
#include "gateway/config_address.h"

#include "gateway/config_arena.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define UNIX_PATH_MAX 107 /* sun_path, less its NUL */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}; /* ::ffff:0:0/96 */

/* "host:port" and "[host]:port" in two; without a port *ret_port is empty. */
static bool split_port(struct slice text, struct slice *ret_host, struct slice *ret_port)
{
    bool bracket = text.len > 0 && text.at[0] == '[';
    uint32_t end = bracket ? slice_find(text, ']') : slice_find(text, ':');
    if (bracket && end == text.len)
        return false;
    struct slice rest = slice_sub(text, bracket ? end + 1 : end, text.len);
    *ret_host = slice_sub(text, bracket ? 1 : 0, end);
    if (rest.len > 0 && rest.at[0] != ':')
        return false;
    *ret_port = slice_sub(rest, 1, rest.len);
    return !(rest.len == 1);
}

const char *config_address_of(struct config_arena *arena, const char *text,
                              struct config_address *ret)
{
    struct slice host, port;
    uint64_t number;
    uint8_t binary[16];
    struct config_address a = {
        .text = config_arena_copy(arena, text, strlen(text)), .host = "", .unix_path = ""};
    if (strncmp(text, "unix:", 5) == 0) {
        a.unix_path = a.text + 5;
        if (a.unix_path[0] != '/' || strlen(a.unix_path) > UNIX_PATH_MAX)
            return "is not unix: and an absolute path of at most 107 characters";
        *ret = a;
        return NULL;
    }
    if (!split_port(slice_of(text), &host, &port) || port.len == 0)
        return "is not address:port, such as 127.0.0.1:8080 or [::1]:8080";
    if (!text_parse_u64(port, &number) || number > 65535)
        return "has no port between 0 and 65535";
    a.host = config_arena_copy(arena, host.at, host.len);
    a.port = (uint16_t)number;
    if (inet_pton(text[0] == '[' ? AF_INET6 : AF_INET, a.host, binary) != 1)
        return "needs a literal address, such as 127.0.0.1, 0.0.0.0 or [::1], before the port";
    *ret = a;
    return NULL;
}

/* Letters, digits and "-._": what a name in a URL of ours may be made of. */
static bool is_host_name(struct slice host)
{
    if (host.len == 0 || host.len > 253 || host.at[0] == '.' || host.at[0] == '-')
        return false;
    for (uint32_t i = 0; i < host.len; i++) {
        char c = text_lower(host.at[i]);
        if (!(c >= 'a' && c <= 'z') && !text_is_digit(c) && c != '-' && c != '.' && c != '_')
            return false;
    }
    return true;
}

static char *lower_copy(struct config_arena *arena, struct slice text)
{
    char *copy = config_arena_copy(arena, text.at, text.len);
    for (char *c = copy; *c != '\0'; c++)
        *c = text_lower(*c);
    return copy;
}

const char *config_url_of(struct config_arena *arena, const char *text, struct config_endpoint *ret)
{
    struct slice rest = slice_of(text), host, port;
    bool is_https = slice_starts(rest, SLICE("https://"));
    uint64_t number = is_https ? 443 : 80;
    uint8_t binary[16];
    if (!is_https && !slice_starts(rest, SLICE("http://")))
        return "does not begin with http:// or https://";
    rest = slice_sub(rest, is_https ? 8 : 7, rest.len);
    if (slice_find(rest, '@') < rest.len)
        return "has a user in it; set an Authorization field by request_headers";
    if (slice_find(rest, '/') < rest.len) {
        if (slice_find(rest, '/') != rest.len - 1)
            return "has a path; an endpoint is a host and a port";
        rest = slice_sub(rest, 0, rest.len - 1);
    }
    bool literal = rest.len > 0 && rest.at[0] == '[';
    if (!split_port(rest, &host, &port)
        || (port.len > 0 && (!text_parse_u64(port, &number) || number == 0 || number > 65535)))
        return "has no port between 1 and 65535";
    char *name = lower_copy(arena, host);
    if (literal ? inet_pton(AF_INET6, name, binary) != 1 : !is_host_name(host))
        return "has no host";
    ret->url = config_arena_copy(arena, text, strlen(text));
    ret->scheme = is_https ? "https" : "http";
    ret->host = name;
    ret->port = (uint16_t)number;
    ret->name = config_arena_print(arena, literal ? "[%s]:%u" : "%s:%u", name, (unsigned)number);
    return NULL;
}

const char *config_path_of(struct config_arena *arena, const char *file, const char *text)
{
    const char *end = strrchr(file, '/');
    size_t dir = text[0] != '/' && text[0] != '\0' && end != NULL ? (size_t)(end + 1 - file) : 0;
    if (dir + strlen(text) > 4095)
        return NULL;
    return config_arena_print(arena, "%.*s%s", (int)dir, file, text);
}

const char *config_cidr_of(const char *text, struct config_cidr *ret)
{
    struct config_cidr cidr = {.bits = 128};
    struct slice all = slice_of(text);
    uint32_t slash = slice_find(all, '/');
    char host[CONFIG_CIDR_TEXT_MAX];
    uint64_t bits;
    if (slash >= sizeof(host))
        return "is no address";
    slice_copy(host, sizeof(host), slice_sub(all, 0, slash));
    bool v4 = inet_pton(AF_INET, host, cidr.address + 12) == 1;
    if (v4)
        memcpy(cidr.address, mapped, sizeof(mapped));
    else if (inet_pton(AF_INET6, host, cidr.address) != 1)
        return "is no address, or address/bits";
    if (slash < all.len) {
        if (!text_parse_u64(slice_sub(all, slash + 1, all.len), &bits) || bits > (v4 ? 32 : 128))
            return v4 ? "has no number of bits between 0 and 32"
                      : "has no number of bits between 0 and 128";
        cidr.bits = (uint8_t)(v4 ? bits + 96 : bits);
    }
    for (uint32_t bit = cidr.bits; bit < 128; bit++)
        if ((cidr.address[bit / 8] >> (7 - bit % 8)) & 1)
            return "has bits set beyond its network";
    *ret = cidr;
    return NULL;
}

const char *config_cidr_text(const struct config_cidr *cidr, char ret[CONFIG_CIDR_TEXT_MAX])
{
    char host[CONFIG_CIDR_TEXT_MAX - 8];
    bool v4 = cidr->bits >= 96 && memcmp(cidr->address, mapped, sizeof(mapped)) == 0;
    if (inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? cidr->address + 12 : cidr->address, host,
                  sizeof(host))
        == NULL)
        host[0] = '\0';
    snprintf(ret, CONFIG_CIDR_TEXT_MAX, "%s/%u", host, v4 ? cidr->bits - 96U : cidr->bits);
    return ret;
}

bool config_address_is_local(const struct config_address *address)
{
    struct in6_addr six;
    struct in_addr four;
    if (address->unix_path[0] != '\0')
        return true;
    if (inet_pton(AF_INET, address->host, &four) == 1)
        return (ntohl(four.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address->host, &six) == 1
           && memcmp(&six, &in6addr_loopback, sizeof(six)) == 0;
}
