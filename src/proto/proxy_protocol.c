/* SPDX-License-Identifier: Apache-2.0
 *
 * proxy_protocol.c - version 1 is a line of text, version 2 a signature, four bytes and addresses.
 */
#include "proto/proxy_protocol.h"

#include "base/check.h"
#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V1_PREFIX   "PROXY "
#define V1_LINE_MAX 107U /* with CRLF */
#define V2_HEAD     16U
#define V2_LOCAL    0x20
#define V2_PROXY    0x21
#define V2_TCP4     0x11
#define V2_TCP6     0x21
#define V2_IPV4_LEN 12U
#define V2_IPV6_LEN 36U

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static ssize_t read_text(const char *at, size_t len, struct proxy_header *ret);
static ssize_t read_binary(const uint8_t *at, size_t len, struct proxy_header *ret);

/* What there is so far may still become `whole`. */
static bool may_become(const char *at, size_t len, const char *whole, size_t whole_len)
{
    return memcmp(at, whole, len < whole_len ? len : whole_len) == 0;
}

ssize_t proxy_header_read(const void *at, size_t len, struct proxy_header *ret)
{
    if (len == 0) {
        return 0;
    }
    if (may_become(at, len, V1_PREFIX, sizeof V1_PREFIX - 1)) {
        return read_text(at, len, ret);
    }
    return may_become(at, len, signature, sizeof signature) ? read_binary(at, len, ret) : -1;
}

/* --- version 1 ------------------------------------------------------------------------------- */

static bool parse_address(struct slice text, int family, uint8_t *ret)
{
    char copy[INET6_ADDRSTRLEN];
    return slice_find(text, '\0') == text.len && slice_copy(copy, sizeof copy, text) < sizeof copy
           && inet_pton(family, copy, ret) == 1;
}

static bool parse_port(struct slice text, uint16_t *ret)
{
    uint64_t port;
    bool has_zeroes = text.len > 1 && text.at[0] == '0';
    if (has_zeroes || !text_parse_u64(text, &port) || port > UINT16_MAX) {
        return false;
    }
    *ret = (uint16_t)port;
    return true;
}

/* "TCP4 from to port port", one space between. */
static bool parse_line(struct slice line, struct proxy_header *ret)
{
    struct slice family, from, to, from_port, to_port;
    slice_split(&line, ' ', &family);
    if (slice_same(family, SLICE("UNKNOWN"))) {
        *ret = (struct proxy_header){.family = PROXY_LOCAL};
        return true;
    }
    bool is_ipv4 = slice_same(family, SLICE("TCP4"));
    if (!is_ipv4 && !slice_same(family, SLICE("TCP6"))) {
        return false;
    }
    int af = is_ipv4 ? AF_INET : AF_INET6;
    struct proxy_header header = {.family = is_ipv4 ? PROXY_IPV4 : PROXY_IPV6};
    bool is_good = slice_split(&line, ' ', &from) && slice_split(&line, ' ', &to)
                   && slice_split(&line, ' ', &from_port) && slice_split(&line, ' ', &to_port)
                   && line.at == NULL && parse_address(from, af, header.from.address)
                   && parse_address(to, af, header.to.address)
                   && parse_port(from_port, &header.from.port)
                   && parse_port(to_port, &header.to.port);
    if (is_good) {
        *ret = header;
    }
    return is_good;
}

static ssize_t read_text(const char *at, size_t len, struct proxy_header *ret)
{
    size_t looked = len < V1_LINE_MAX ? len : V1_LINE_MAX;
    const char *end = memchr(at, '\n', looked);
    if (end == NULL) {
        return len < V1_LINE_MAX ? 0 : -1;
    }
    size_t prefix = sizeof V1_PREFIX - 1;
    if ((size_t)(end - at) <= prefix || end[-1] != '\r') {
        return -1;
    }
    struct slice line = {at + prefix, (uint32_t)(end - 1 - at - (ssize_t)prefix)};
    return parse_line(line, ret) ? end + 1 - at : -1;
}

/* --- version 2 ------------------------------------------------------------------------------- */

static uint16_t number_at(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static void take_addresses(const uint8_t *at, size_t size, struct proxy_header *ret)
{
    memcpy(ret->from.address, at, size);
    memcpy(ret->to.address, at + size, size);
    ret->from.port = number_at(at + 2 * size);
    ret->to.port = number_at(at + 2 * size + 2);
}

static ssize_t read_binary(const uint8_t *at, size_t len, struct proxy_header *ret)
{
    if (len > sizeof signature && at[12] != V2_LOCAL && at[12] != V2_PROXY) {
        return -1;
    }
    if (len < V2_HEAD) {
        return 0;
    }
    size_t payload = number_at(at + 14);
    if (V2_HEAD + payload > PROXY_HEADER_MAX) {
        return -1;
    }
    bool is_ipv4 = at[12] == V2_PROXY && at[13] == V2_TCP4;
    bool is_ipv6 = at[12] == V2_PROXY && at[13] == V2_TCP6;
    if (payload < (is_ipv4 ? V2_IPV4_LEN : is_ipv6 ? V2_IPV6_LEN : 0)) {
        return -1;
    }
    if (len < V2_HEAD + payload) {
        return 0;
    }
    *ret = (struct proxy_header){.family = is_ipv4   ? PROXY_IPV4
                                           : is_ipv6 ? PROXY_IPV6
                                                     : PROXY_LOCAL};
    if (ret->family != PROXY_LOCAL) {
        take_addresses(at + V2_HEAD, is_ipv4 ? 4 : PROXY_ADDRESS_SIZE, ret);
    }
    return (ssize_t)(V2_HEAD + payload);
}

/* --- writing --------------------------------------------------------------------------------- */

static size_t write_text(const struct proxy_header *header, char *ret)
{
    if (header->family == PROXY_LOCAL) {
        return (size_t)snprintf(ret, PROXY_WRITTEN_MAX, "PROXY UNKNOWN\r\n");
    }
    int af = header->family == PROXY_IPV4 ? AF_INET : AF_INET6;
    char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
    check(inet_ntop(af, header->from.address, from, sizeof from) != NULL);
    check(inet_ntop(af, header->to.address, to, sizeof to) != NULL);
    char line[V1_LINE_MAX + 1];
    int len = snprintf(line, sizeof line, "PROXY TCP%d %s %s %u %u\r\n", af == AF_INET ? 4 : 6,
                       from, to, header->from.port, header->to.port);
    check(len > 0 && (unsigned)len <= PROXY_WRITTEN_MAX);
    memcpy(ret, line, (size_t)len);
    return (size_t)len;
}

static size_t put_number(uint8_t *at, uint16_t number)
{
    at[0] = (uint8_t)(number >> 8);
    at[1] = (uint8_t)number;
    return 2;
}

static size_t write_binary(const struct proxy_header *header, uint8_t *ret)
{
    bool is_local = header->family == PROXY_LOCAL;
    size_t size = is_local ? 0 : header->family == PROXY_IPV4 ? 4 : PROXY_ADDRESS_SIZE;
    memcpy(ret, signature, sizeof signature);
    ret[12] = is_local ? V2_LOCAL : V2_PROXY;
    ret[13] = is_local ? 0 : header->family == PROXY_IPV4 ? V2_TCP4 : V2_TCP6;
    size_t len = V2_HEAD;
    if (!is_local) {
        memcpy(ret + len, header->from.address, size);
        memcpy(ret + len + size, header->to.address, size);
        len += 2 * size;
        len += put_number(ret + len, header->from.port);
        len += put_number(ret + len, header->to.port);
    }
    put_number(ret + 14, (uint16_t)(len - V2_HEAD));
    return len;
}

size_t proxy_header_write(const struct proxy_header *header, unsigned version,
                          char ret[PROXY_WRITTEN_MAX])
{
    check(version == 1 || version == 2);
    return version == 1 ? write_text(header, ret) : write_binary(header, (uint8_t *)ret);
}
