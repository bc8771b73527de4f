/* SPDX-License-Identifier: Apache-2.0
 *
 * dns.h - names to addresses without blocking: c-ares on a loop, with a bounded cache in front.
 *
 * A literal address, a name in the cache and a name that cannot be one are answered by the call
 * itself; anything else later, by query->done(), never from inside dns_resolve(). Look-ups of one
 * name at one time are one look-up: its answer, or its failure, goes to all who wait. The family
 * that RFC 6724 prefers comes first (prefer.h); within a family answers rotate by one at every use.
 * The hosts file goes before the servers, and "localhost" is this host whatever anybody says
 * (RFC 6761).
 *
 * Both families are asked for at once. Whoever waits is told when both have answered, or 50 ms
 * after the first that has addresses: a server that is slow for one of them, or silent, delays
 * nobody for longer (RFC 8305 §3). What comes later is in the answer from then on.
 *
 * One resolver belongs to one loop. Time is the loop's.
 */
#pragma once
#include "base/list.h"
#include "io/address.h"
#include "io/loop.h"

#define DNS_ADDRESSES_MAX 16 /* of one name; what is beyond is not looked at */
#define DNS_NAME_MAX      253
#define DNS_DELAY_MS      50 /* RFC 8305 §8: Resolution Delay */

enum dns_error {
    DNS_OK,
    DNS_LATER,     /* not an error: done() will be called */
    DNS_NOT_FOUND, /* the name does not exist, or has no address */
    DNS_TIMEOUT,   /* no server answered in time */
    DNS_FAILED,    /* a server failed, refused or sent nonsense; or no memory */
    DNS_BAD_NAME,
    DNS_FULL /* lookups_max names are being looked up */
};
const char *dns_error_text(enum dns_error error); /* "not found", … */

struct dns_options {
    const char *servers;      /* [/etc/resolv.conf] "127.0.0.1:5353,[::1]:53" */
    const char *hosts_path;   /* [/etc/hosts] */
    uint32_t entries_max;     /* [1024] names in the cache */
    uint32_t lookups_max;     /* [256] names being looked up */
    uint32_t ttl_max_ms;      /* [5 min] an answer is not kept longer, whatever its TTL */
    uint32_t ttl_min_ms;      /* [1 s] nor shorter */
    uint32_t negative_ttl_ms; /* [1 s] a failure */
    uint32_t timeout_ms;      /* [2 s] of one try of one server */
    uint32_t tries;           /* [2] of every server */
};

struct dns_answer {
    uint32_t count;
    uint32_t ttl_ms; /* asked again after so long the answer may be another; UINT32_MAX: never */
    bool is_partial; /* there are more: of the other family, still to come, or beyond the most */
    struct ip at[DNS_ADDRESSES_MAX];
};

/* Lies inside who asks; all zeroes but for `done` and `only_looks`, it is not asking. */
struct dns_query {
    struct node on_lookup;
    bool only_looks; /* it goes nowhere: addresses do not take turns for it */
    /* `answer` is valid during the call, NULL on an error. */
    void (*done)(struct dns_query *query, enum dns_error error, const struct dns_answer *answer);
};

struct dns;
int dns_open(struct loop *loop, const struct dns_options *opt,
             struct dns **ret_dns); /* 0 or -errno */
/* No query may be under way. */
void dns_close(struct dns *dns);

/* DNS_OK: *ret_answer is filled in; DNS_LATER: query->done() will be called once, unless cancelled;
 * else an error. The name is copied; its case does not matter. */
enum dns_error dns_resolve(struct dns *dns, const char *name, struct dns_query *query,
                           struct dns_answer *ret_answer);
/* done() is not called any more. Does nothing to a query that is not asking. */
void dns_cancel(struct dns_query *query);

void dns_flush(struct dns *dns); /* forgets every answer */

struct dns_counts {
    uint64_t lookups, hits, coalesced, failed, evicted;
    uint32_t entries, looking_up;
};
void dns_counts(const struct dns *dns, struct dns_counts *ret);
