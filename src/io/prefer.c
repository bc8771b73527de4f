/* SPDX-License-Identifier: Apache-2.0 */
#include "io/prefer.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANY_PORT 9 /* a port is wanted, and not looked at */

struct rule {
    uint8_t prefix[16];
    uint8_t bytes; /* of it */
    uint32_t precedence;
};

/* The longest prefix first. */
static const struct rule rules[] = {
    {{[15] = 1}, 16, 50},                 /* ::1 */
    {{[10] = 0xff, [11] = 0xff}, 12, 35}, /* mapped IPv4 */
    {{0}, 12, 1},                         /* compatible IPv4 */
    {{0x20, 0x01, 0, 0}, 4, 5},           /* Teredo */
    {{0x20, 0x02}, 2, 30},                /* 6to4 */
    {{0x3f, 0xfe}, 2, 1},                 /* 6bone */
};

uint32_t prefer_precedence(const struct ip *ip)
{
    if (ip->family == AF_INET) {
        return 35;
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (memcmp(ip->bytes, rules[i].prefix, rules[i].bytes) == 0) {
            return rules[i].precedence;
        }
    }
    if ((ip->bytes[0] & 0xfe) == 0xfc) {
        return 3; /* unique local */
    }
    bool is_site_local = ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0xc0;
    return is_site_local ? 1 : 40;
}

static bool has_route(const struct ip *ip)
{
    struct address address = address_of_ip(ip, ANY_PORT);
    int fd = socket(address.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return false;
    }
    bool has = connect(fd, &address.any, address.len) == 0;
    close(fd);
    return has;
}

bool prefer_v6(const struct ip *v6)
{
    static const struct ip v4 = {.family = AF_INET};
    return prefer_precedence(v6) > prefer_precedence(&v4) && has_route(v6);
}
