/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_session.h - one connection to an OpenClaw gateway as its client keeps it: frames and
 * times go in, what they mean comes out. Sans I/O.
 *
 *               challenge            hello-ok
 *     CHALLENGE ────────▶ CONNECTING ────────▶ UP
 *         └──────────────────┴───────────────────┴── what cannot be, or time ──▶ OVER
 *
 * What is always true: each request that was begun is answered at most once to its owner; an
 * answer that nobody can be waiting for (a foreign id, a second answer) is the end. One that its
 * owner has left is still owed by the gateway, and keeps its place until it came. A request that
 * was only `accepted` may be answered once more, at any time later; the eldest of these are
 * forgotten first, when their places are needed.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"
#include "base/slots.h"
#include "proto/openclaw.h"

#define CLAW_CONNECT_ID 1U /* ids of the table are larger */

enum claw_state { CLAW_CHALLENGE, CLAW_CONNECTING, CLAW_UP, CLAW_OVER };

/* What a message, or time, has brought. */
enum claw_news {
    CLAW_NOTHING,
    CLAW_ASKED,    /* send `connect` with session->nonce: then claw_session_connected() */
    CLAW_WELCOMED, /* session->hello; the frame has all that was said */
    CLAW_REFUSED,  /* the frame's error */
    CLAW_ANSWERED, /* to `owner` */
    CLAW_TOLD,     /* an event */
    CLAW_TICKED,   /* the gateway lives */
    CLAW_LATE,     /* an answer to one that was left */
    CLAW_BROKEN    /* it is over: `why` */
};

struct claw_happening {
    enum claw_news news;
    const char *why; /* BROKEN: "json", "type", "id", "event", "ok", "hello", "challenge", "early",
                        "stranger", "ticks", "handshake" */
    void *owner;
    bool is_final; /* ANSWERED: no other answer will come */
    struct claw_frame frame;
};

struct claw_pending;

struct claw_session {
    enum claw_state state;
    uint32_t handshake_ms;
    uint64_t begun_ms, ticked_ms;
    struct claw_hello hello;
    char nonce[CLAW_TOKEN_MAX];
    struct slots pending;
    struct list accepted; /* the eldest first */
    uint32_t waiting;     /* owners that wait */
    uint32_t left;        /* answers that are owed to nobody */
};

/* At most so many requests are owed an answer at a time. False: no memory. */
bool claw_session_init(struct claw_session *session, const struct alloc *alloc,
                       uint32_t requests_max, uint32_t handshake_ms, uint64_t now_ms);
void claw_session_fini(struct claw_session *session);

/* A text message. */
void claw_session_take(struct claw_session *session, struct slice text, uint64_t now_ms,
                       struct claw_happening *ret);
/* The `connect` has been sent. */
void claw_session_connected(struct claw_session *session);

/* When to look at the time, and what it has brought: NOTHING, or BROKEN. */
uint64_t claw_session_due_ms(const struct claw_session *session);
void claw_session_time(struct claw_session *session, uint64_t now_ms, struct claw_happening *ret);

/* A request's id, or 0: as many are owed as may be. wants_final: an answer that says no more than
 * `accepted` is not one. */
uint64_t claw_session_begin(struct claw_session *session, void *owner, bool wants_final);
/* Nobody waits for it any more, though it was sent. */
void claw_session_leave(struct claw_session *session, uint64_t id);
/* It was not sent. */
void claw_session_undo(struct claw_session *session, uint64_t id);
/* Any owner that waits, which does not any more; NULL: none is left. */
void *claw_session_drop(struct claw_session *session);
