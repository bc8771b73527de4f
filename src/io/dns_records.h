/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_records.h - everything that DNS has under a name: all its addresses, or its services (SRV),
 * with the time that they are good for. For who keeps a set of servers; who wants to connect to a
 * name asks dns.h, which knows the better address first.
 *
 * Nothing is cached, but the hosts file and "localhost" go before the servers, as there. Both
 * families are waited for, as long as the resolver tries.
 */
#pragma once
#include "io/dns.h"
#include "io/dns_message.h"

enum dns_kind { DNS_ADDRESSES, DNS_SERVICES };

struct dns_question {
    const char *name;
    enum dns_kind kind;
    uint32_t most; /* records that are told of */
};

struct dns_ask;

/* With DNS_OK there is one record at least, each as often as the server has it. `is_half`: one
 * family failed, which is not to say that it has none. `records` is NULL on an error, and valid
 * during the call. */
typedef void dns_records_fn(void *self, enum dns_error error, const struct dns_records *records,
                            bool is_half);

/* fn is called once, later, and the ask is gone then; or
 * DNS_BAD_NAME, or DNS_FULL without memory. */
enum dns_error dns_records_ask(struct dns *dns, const struct dns_question *question,
                               dns_records_fn *fn, void *self, struct dns_ask **ret_ask);
/* fn is not called any more. */
void dns_records_cancel(struct dns_ask *take_ask);
