/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_standing.h - how we stand with a gateway as who we say we are, whoever of the process
 * asked: what it refuses one for it refuses all for, and is asked once.
 *
 *     DOUBT ──▶ ASKING: one dial is on its way, the others wait ──▶ WELCOME: all may go
 *       ▲  ▲             │                       │                      │
 *       │  └─ no verdict ┘                       ▼                      │ a connection ended
 *       │                                      DENIED                   │
 *       └───────────────────────────────────────────────────────────────┘
 *
 * Standings of one *who* (gateway, way there, token, password, device, scopes) share what is known;
 * they are of different accounts, connectors and threads, and lie in their owners' memory. A denial
 * is news to each of them once: who has not heard of it is told instead of asking; who has been
 * told is let ask again, for its pool has waited as long as it waits after one of its own; or,
 * where its pool waits for less because a peer that is only away is to be found soon, after
 * wait_ms.
 */
#pragma once
#include <weir/weir.h>

#include "proto/openclaw.h"

#define CLAW_WHO_BYTES     32U
#define CLAW_STANDING_KEPT 60000U /* [ms] for which a denial is news, at least */

enum claw_standing_state { CLAW_DOUBT, CLAW_ASKING, CLAW_WELCOME, CLAW_DENIED };

/* What those of one who share. */
struct claw_verdict {
    enum claw_standing_state state;
    uint64_t serial, since_ms; /* of the last denial */
    struct claw_refusal refusal;
};

/* All zeroes: closed. */
struct claw_standing {
    struct claw_standing *next; /* of those that share a bucket */
    bool is_open;
    uint8_t who[CLAW_WHO_BYTES]; /* SHA-256: it names secrets, and holds none */
    uint64_t told;               /* the last denial that it has heard of */
    uint64_t again_ms;           /* from when on it may ask, as far as that denial goes */
    uint32_t wait_ms;            /* from hearing of one until then; its owner's to set [0] */
    struct claw_verdict verdict; /* the same in all of one who */
};

/* Who that is. False: no memory. The key's tenant does not matter: a gateway hears nothing of it.
 */
struct claw_account;
bool claw_who(const struct claw_account *account, const weir_key *key,
              uint8_t ret_who[CLAW_WHO_BYTES]);

/* Any thread, here and below. Twice does nothing. */
void claw_standing_open(struct claw_standing *standing, const uint8_t who[CLAW_WHO_BYTES]);
void claw_standing_close(struct claw_standing *standing);

/* Whether a dial may begin. */
enum claw_leave {
    CLAW_GO,   /* others were let in */
    CLAW_ASK,  /* it is the one that asks: one of the next four ends that */
    CLAW_WAIT, /* another one asks */
    CLAW_STOP  /* refused, as another one was; ret_refusal says why */
};
/* kept_ms: for which a denial is news [CLAW_STANDING_KEPT at least]. */
enum claw_leave claw_standing_enter(struct claw_standing *standing, uint64_t now_ms,
                                    uint32_t kept_ms, struct claw_refusal *ret_refusal);
void claw_standing_gave_up(struct claw_standing *standing); /* without having learnt anything */
void claw_standing_welcomed(struct claw_standing *standing);
void claw_standing_denied(struct claw_standing *standing, uint64_t now_ms,
                          const struct claw_refusal *refusal);
/* It need not wait to ask again; others are no wiser. */
void claw_standing_forgiven(struct claw_standing *standing);
/* A connection that was let in has ended: the next one is to be the first again. */
void claw_standing_doubt(struct claw_standing *standing);
