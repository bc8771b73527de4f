/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_parts.h - what look-ups of addresses (dns.c) and of records (dns_records.c) have in common: a
 * channel of c-ares's on a loop. For io/ alone.
 */
#pragma once
#include "io/dns.h"

struct dns_ares {
    struct loop *loop;
    struct ares_channeldata *channel;
};

struct dns_ares dns_ares_of(struct dns *dns);
/* The channel was asked something: when it next wants to be called. */
void dns_rearm(struct dns *dns);
enum dns_error dns_error_of(int status); /* of c-ares's */
/* What this host knows by itself: its hosts file, and what localhost is. */
bool dns_look_here(struct dns *dns, const char *name, struct dns_answer *ret_answer);
