/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_dns.h - a name server on loopback UDP that lives in the loop under test and knows what the
 * test tells it: names with addresses, names it fails on, names it never answers.
 */
#pragma once
#include "io/listen.h"
#include "io/socket.h"
#include "support/turns.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define FAKE_DNS_NAMES 16

enum fake_dns_manner {
    FAKE_DNS_ANSWERS,
    FAKE_DNS_SERVFAIL,
    FAKE_DNS_SILENT,
    FAKE_DNS_SILENT_ON_V6, /* the first time it is asked for that */
    FAKE_DNS_GARBAGE
};

struct fake_dns_name {
    const char *name;
    enum fake_dns_manner manner;
    const char *addresses[6]; /* up to the first NULL */
};

struct fake_dns {
    struct stream *stream;
    char servers[ADDRESS_TEXT_MAX]; /* for dns_options */
    uint32_t ttl_s;
    uint32_t asked; /* questions, A and AAAA apart */
    uint32_t kept_silent;
    struct fake_dns_name names[FAKE_DNS_NAMES];
};

/* The question's name, dotted; returns the offset behind the question, or 0. */
static inline size_t fake_dns_question(const uint8_t *packet, size_t len, char name[256],
                                       uint16_t *ret_type)
{
    size_t at = 12, out = 0;
    while (at < len && packet[at] != 0) {
        size_t label = packet[at++];
        if (at + label >= len || out + label + 1 >= 256) {
            return 0;
        }
        memcpy(name + out, packet + at, label);
        out += label;
        name[out++] = '.';
        at += label;
    }
    name[out > 0 ? out - 1 : 0] = '\0';
    if (at + 5 > len) {
        return 0;
    }
    *ret_type = (uint16_t)(packet[at + 1] << 8 | packet[at + 2]);
    return at + 5;
}

static inline size_t fake_dns_answer(const struct fake_dns *fake, const struct fake_dns_name *known,
                                     uint16_t type, uint8_t *packet, size_t at)
{
    uint8_t count = 0;
    for (int i = 0; known != NULL && i < 6 && known->addresses[i] != NULL; i++) {
        struct ip ip;
        assert_true(ip_parse(known->addresses[i], &ip));
        if ((ip.family == AF_INET) != (type == 1)) {
            continue;
        }
        uint8_t size = ip.family == AF_INET ? 4 : 16;
        uint32_t ttl = htonl(fake->ttl_s);
        uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 0, 0, size};
        memcpy(head + 6, &ttl, sizeof ttl);
        memcpy(packet + at, head, sizeof head);
        memcpy(packet + at + sizeof head, ip.bytes, size);
        at += sizeof head + size;
        count++;
    }
    packet[2] = 0x81; /* an answer; recursion desired */
    packet[3] = (uint8_t)(0x80 | (known == NULL ? 3 : known->manner == FAKE_DNS_SERVFAIL ? 2 : 0));
    packet[7] = count;
    packet[9] = packet[11] = 0;
    return at;
}

static inline void fake_dns_on_ready(struct stream *stream, unsigned events)
{
    struct fake_dns *fake = stream->owner;
    uint8_t packet[1024];
    char name[256];
    uint16_t type;
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    (void)events;
    ssize_t len = recvfrom(stream_fd(stream), packet, 512, 0, (struct sockaddr *)&from, &from_len);
    size_t at = len > 12 ? fake_dns_question(packet, (size_t)len, name, &type) : 0;
    if (at == 0) {
        return;
    }
    const struct fake_dns_name *known = NULL;
    for (int i = 0; i < FAKE_DNS_NAMES && fake->names[i].name != NULL; i++) {
        known = strcasecmp(fake->names[i].name, name) == 0 ? &fake->names[i] : known;
    }
    fake->asked++;
    if (known != NULL && known->manner == FAKE_DNS_SILENT) {
        return;
    }
    if (known != NULL && known->manner == FAKE_DNS_SILENT_ON_V6 && type == 28
        && fake->kept_silent++ == 0) {
        return;
    }
    at = fake_dns_answer(fake, known, type, packet, at);
    if (known != NULL && known->manner == FAKE_DNS_GARBAGE) {
        memset(packet + 4, 0xff, at - 4);
    }
    sendto(stream_fd(stream), packet, at, 0, (struct sockaddr *)&from, from_len);
}

static inline void fake_dns_open(struct fake_dns *fake, struct loop *loop)
{
    struct address address;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && address_of_host("127.0.0.1", 0, &address));
    assert_int_equal(bind(fd, &address.any, address.len), 0);
    assert_int_equal(getsockname(fd, &address.any, &address.len), 0);
    address_print(&address, fake->servers);
    assert_int_equal(socket_adopt(loop, fd, &fake->stream), 0);
    fake->stream->owner = fake;
    fake->stream->on_ready = fake_dns_on_ready;
    stream_want(fake->stream, STREAM_READ);
    fake->ttl_s = fake->ttl_s > 0 ? fake->ttl_s : 60;
}

static inline void fake_dns_close(struct fake_dns *fake)
{
    stream_close(fake->stream);
}
