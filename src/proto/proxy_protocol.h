/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy_protocol.h - HAProxy's PROXY protocol, versions 1 and 2: who a connection is really from,
 * said in front of its first byte. Read where a listener is told to expect it, written where an
 * upstream is told to be given it.
 *
 * Always true: a header is judged from its first byte on, so that who does not speak the protocol
 * is refused at once; version 1 is at most 107 bytes, version 2 at most PROXY_HEADER_MAX; a reader
 * that expects the header never takes a connection without one.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROXY_HEADER_MAX   536U /* of version 2 with its TLVs, the least a receiver must take */
#define PROXY_WRITTEN_MAX  107U /* of what we write, in either version */
#define PROXY_ADDRESS_SIZE 16U

enum proxy_family {
    PROXY_LOCAL, /* LOCAL or UNKNOWN: the connection is the proxy's own; its addresses hold */
    PROXY_IPV4,
    PROXY_IPV6,
};

struct proxy_end {
    uint8_t address[PROXY_ADDRESS_SIZE]; /* network order; of IPv4 the first four */
    uint16_t port;
};

struct proxy_header {
    enum proxy_family family;
    struct proxy_end from, to;
};

/* > 0: the header's length; 0: more is needed; -1: not a header of this protocol, or over
 * PROXY_HEADER_MAX. A unix or datagram connection of version 2 counts as PROXY_LOCAL: there is no
 * address to take from it. */
ssize_t proxy_header_read(const void *at, size_t len, struct proxy_header *ret);

/* Returns the length. */
size_t proxy_header_write(const struct proxy_header *header, unsigned version,
                          char ret[PROXY_WRITTEN_MAX]);
