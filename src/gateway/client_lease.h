/* SPDX-License-Identifier: Apache-2.0
 *
 * client_lease.h - what this gateway has of one client's limits: of the places that its requests
 * take, and of the tokens of its rate. Pure, and without locks: any thread, at any time.
 *
 * Alone, a gateway has all of them. Where gateways share a Redis, all of them together have no more
 * than that (session/lease.h): each has a share, asks for another one now and then, and admits by
 * what it has. A question is composed, and its answer taken, by one thread at a time.
 *
 *            composed                  answered: so many
 *     IDLE ───────────▶ asking ───────────────────────────▶ shared, until LEASE_TTL_MS after it
 *                         │                                  was asked
 *                         └─ failed ──▶ local: what it had, or an equal part of the limit, if that
 *                                       is more; when its time is over, that part
 */
#pragma once
#include "session/lease.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define LEASE_TTL_MS   3000U /* after which the places of a gateway that died are free */
#define LEASE_IDLE_MS  2000U /* a client that asks nothing for so long keeps nothing here */
#define LEASE_BACK_MS  2000U /* so long nobody takes more where the Redis may not know all yet */
#define LEASE_TOKEN_MS 500U  /* a token that nobody used is void */

#define LEASE_ALL UINT32_MAX /* there is no limit */

struct client_lease {
    _Atomic uint64_t places;  /* requests that are open, and above them how many may be */
    _Atomic uint64_t tokens;  /* how many, and above them until when (ms) */
    _Atomic uint32_t peak;    /* the most that were open since it asked */
    _Atomic uint32_t thirsty; /* requests that wait for a token */
    _Atomic uint64_t used;    /* tokens, in all */
    _Atomic uint64_t early_until_ms, asked_ms;
    _Atomic bool is_local; /* the others cannot be asked */
    _Atomic bool is_asking;
    /* Written by whoever asks. */
    _Atomic uint64_t counted; /* of `used` */
    _Atomic uint32_t need;    /* tokens in LEASE_TOKEN_MS, of late */
    uint64_t number, valid_until_ms, more_from_ms, busy_ms, counted_ms;
    uint32_t limit; /* LEASE_ALL, or less */
    uint32_t part;  /* of it, when nobody answers */
    uint32_t ahead; /* tokens that may be had before they are needed */
    bool is_short, is_wanted;
};

/* limit: LEASE_ALL, or how many places there are for all. interval_ns: between two requests, by
 * their rate; 0: it has none. */
void client_lease_init(struct client_lease *lease, uint32_t limit, uint64_t interval_ns,
                       bool is_shared);
/* Another limit from now on, of one that is not shared; who is above it stays. */
void client_lease_limit(struct client_lease *lease, uint32_t limit);

/* --- places --------------------------------------------------------------------------------------
 */

/* False: it has as many open as it may, but for `ahead` that are kept for others. */
bool client_lease_enter(struct client_lease *lease, uint32_t ahead);
/* True: there were more than it may have by now, and somebody may wait for that. */
bool client_lease_leave(struct client_lease *lease);
uint32_t client_lease_open(const struct client_lease *lease);
uint32_t client_lease_share(const struct client_lease *lease);

/* --- the rate ------------------------------------------------------------------------------------
 */

#define CLIENT_ASKS UINT32_MAX /* it is not known yet: the Redis has to be asked */

/* 0: there was one. CLIENT_ASKS, or in how many ms there is one. */
uint32_t client_lease_token(struct client_lease *lease, uint64_t now_ms);

/* --- asking --------------------------------------------------------------------------------------
 */

/* Nothing is held, and nothing is wanted. */
bool client_lease_is_idle(const struct client_lease *lease, uint32_t waiting);
/* False: it asks already. What is missing in *ask is its name, its holder and its rate. */
bool client_lease_ask(struct client_lease *lease, uint32_t waiting, uint64_t now_ms,
                      struct lease_ask *ask);
/* True: it holds less than it did, which is to be told. */
bool client_lease_heard(struct client_lease *lease, const struct lease_answer *answer,
                        uint64_t now_ms);
/* Nobody answered; gateways: that are known. */
void client_lease_failed(struct client_lease *lease, uint32_t gateways, uint64_t now_ms);
