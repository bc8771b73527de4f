/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_message.h - the records of one type in an answer of DNS (RFC 1035 §4.1, RFC 2782). Pure.
 *
 * c-ares has matched the message to its question by then. Whose name a record is of is not looked
 * at: aliases lead from one to the next.
 */
#pragma once
#include "io/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_TARGET_MAX 253U

enum dns_type { DNS_TYPE_A = 1, DNS_TYPE_AAAA = 28, DNS_TYPE_SRV = 33 };

struct dns_record {
    struct ip ip;                    /* of A and AAAA; the rest is SRV's: */
    uint16_t priority, weight, port; /* the lowest priority is asked first */
    char target[DNS_TARGET_MAX + 1]; /* lower case, without a last dot; "": there is no service */
};

/* What is read is added to what is there. */
struct dns_records {
    struct dns_record *at;
    uint32_t count, most;
    uint32_t ttl_s; /* the least of all, of aliases too; UINT32_MAX: of none */
    bool is_cut;    /* there were more than `most` */
};

/* False: it is malformed, or not an answer; *records may have some of it. */
bool dns_message_read(const uint8_t *data, size_t len, enum dns_type type,
                      struct dns_records *records);
