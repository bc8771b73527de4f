/* SPDX-License-Identifier: Apache-2.0
 *
 * balance.h - which of several equal endpoints gets the next request.
 *
 * Pure: the caller keeps the array of peers and says how each one fares; the choice depends on
 * nothing else but the balance's own small state, so equal histories make equal choices.
 *
 * Every method respects weights (twice the weight, twice the requests) and never picks a peer of
 * weight 0, of standing BALANCE_OUT, or the one that is excepted. Among the rest only those of the
 * best standing take part.
 */
#pragma once
#include "base/rand.h"

#include <stdbool.h>
#include <stdint.h>

enum balance_method {
    BALANCE_TWO_CHOICES,  /* the less busy of two at random (Mitzenmacher 2001) */
    BALANCE_LEAST_BUSY,   /* the least busy; ties at random */
    BALANCE_EACH_IN_TURN, /* smooth weighted round robin */
    BALANCE_RENDEZVOUS,   /* the same peer for the same hash, as long as it is there */
    BALANCE_LOWEST_TIER,  /* two choices among the lowest tier that has anybody */
};

enum balance_standing {
    BALANCE_OUT,     /* asked under no circumstances */
    BALANCE_DOUBTED, /* asked when there is nobody better */
    BALANCE_GOOD,
};

#define BALANCE_NOBODY UINT32_MAX

struct balance_peer {
    uint64_t hash;    /* of its name: rendezvous */
    uint32_t weight;  /* 0: no new requests */
    uint32_t tier;    /* 0 is the first */
    uint32_t busy;    /* requests it has now */
    uint8_t standing; /* enum balance_standing */
    int64_t turn;     /* the balance's: 0 at first */
};

struct balance {
    enum balance_method method;
    struct rand rand;
};

void balance_init(struct balance *balance, enum balance_method method, uint64_t seed);

/* Its index, or BALANCE_NOBODY. `hash`: what the request is known by (rendezvous only). `except`:
 * the one that has just failed it, or BALANCE_NOBODY. */
uint32_t balance_choose(struct balance *balance, struct balance_peer *peers, uint32_t count,
                        uint64_t hash, uint32_t except);
