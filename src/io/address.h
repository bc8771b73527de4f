/* SPDX-License-Identifier: Apache-2.0
 *
 * address.h - where a socket is bound or connected: IPv4, IPv6 or a unix path, as the kernel takes
 * it. Pure text and bytes; names are io/dns's.
 */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Any address as text, with a NUL: "[v6%scope]:port" and "unix:/path" are the longest. */
#define ADDRESS_TEXT_MAX 128

/* A network address without a port. IPv4 uses the first four bytes. */
struct ip {
    uint8_t bytes[16];
    uint8_t family; /* AF_INET or AF_INET6 */
};

struct address {
    socklen_t len; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

/* "127.0.0.1", "::1" (without brackets); false: not a literal address. */
bool ip_parse(const char *text, struct ip *ret);
/* As one kind: IPv4 as IPv4-mapped IPv6. */
void ip_map(const struct ip *ip, uint8_t ret[static 16]);

struct address address_of_ip(const struct ip *ip, uint16_t port);
/* A literal host, or "" for any local address (v4). */
bool address_of_host(const char *host, uint16_t port, struct address *ret);
/* False where the path is empty or too long for the kernel. */
bool address_of_unix(const char *path, struct address *ret);

bool address_is_ip(const struct address *address);
/* IPv4-mapped IPv6 comes back as IPv4. False for a unix address. */
bool address_ip(const struct address *address, struct ip *ret);
uint16_t address_port(const struct address *address); /* 0 for a unix address */

/* "127.0.0.1:80", "[::1]:80", "unix:/path", "unix:" for an unnamed one. */
const char *address_print(const struct address *address, char ret_text[static ADDRESS_TEXT_MAX]);
/* The host alone, "127.0.0.1", "::1"; "unix" for a unix address: what Forwarded and logs want. */
const char *address_print_host(const struct address *address,
                               char ret_text[static ADDRESS_TEXT_MAX]);
