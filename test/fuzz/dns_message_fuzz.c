/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_message_fuzz.c - any bytes as an answer of DNS: its records are bounded, and each target is a
 * name that a host can have. The first byte says which type is looked for.
 */
#include "io/dns_message.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define MOST 8U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum dns_type types[] = {DNS_TYPE_A, DNS_TYPE_AAAA, DNS_TYPE_SRV};
    struct dns_record at[MOST];
    struct dns_records records = {.at = at, .most = MOST, .ttl_s = UINT32_MAX};
    if (size == 0) {
        return 0;
    }
    enum dns_type type = types[data[0] % 3];
    uint8_t *exact = malloc(size); /* ends where it ends: an over-read shows */
    if (exact == NULL) {
        return 0;
    }
    memcpy(exact, data + 1, size - 1);
    dns_message_read(exact, size - 1, type, &records);
    check(records.count <= MOST);
    for (uint32_t i = 0; i < records.count; i++) {
        size_t len = strlen(at[i].target);
        check(len <= DNS_TARGET_MAX && (type == DNS_TYPE_SRV || len == 0));
        check(strspn(at[i].target, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
        /* An address of IPv6 may be one of IPv4, mapped. */
        check(type != DNS_TYPE_A || at[i].ip.family == AF_INET);
        check(type != DNS_TYPE_AAAA || at[i].ip.family == AF_INET6 || at[i].ip.family == AF_INET);
    }
    free(exact);
    return 0;
}
