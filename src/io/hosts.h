/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts.h - what a hosts file (hosts(5)) says about a name. Pure: text in, addresses out.
 */
#pragma once
#include "io/dns.h"

/* Every address of `name`, in the file's order, up to DNS_ADDRESSES_MAX; false where there is none.
 * Names are compared without their case. Lines that are not hosts(5) are passed over. */
bool hosts_find(const char *text, size_t len, const char *name, struct dns_answer *ret_answer);
