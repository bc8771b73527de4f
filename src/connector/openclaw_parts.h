/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw_parts.h - a connection to a gateway from the inside: private to connector/openclaw*.c.
 *
 *     PAUSED ─▶ QUEUED ─▶ AT_GATE ─▶ DIALLING ─▶ OPENING ─▶ TALKING ─▶ UP ─▶ ENDING ─▶ GONE
 *       ▲                                                     │        │ (we close)     ▲
 *       └── starting, or with another token ──────────────────┘        └── it is lost ──┘
 *
 * It is PAUSED as well while another one of its kind asks for all.
 *
 * Always true: between QUEUED and UP it holds one of its host's places, and from DIALLING to GONE
 * one at the gate of its proxy, if that has a gate; from GONE on the pool knows
 * nothing of it, no call hangs on it, and it is freed when the turn ends.
 */
#pragma once
#include "connector/gate.h"
#include "connector/keycopy.h"
#include "connector/named.h"
#include "connector/openclaw.h"
#include "connector/openclaw_door.h"
#include "connector/websocket.h"
#include "connector/websocket_opening.h"
#include "proto/openclaw_session.h"

enum claw_stage {
    CLAW_PAUSED,
    CLAW_QUEUED,
    CLAW_AT_GATE,
    CLAW_DIALLING,
    CLAW_OPENING,
    CLAW_TALKING,
    CLAW_LIVE,
    CLAW_ENDING,
    CLAW_GONE
};

/* A host and port, while somebody is on the way there. */
struct claw_host {
    struct node on_connector;
    struct list waiting; /* connections: the first of them looks for a place */
    struct claw_door door;
    uint32_t users;
    char name[];
};

struct claw_conn {
    struct ws_end end;
    struct claw_connector *connector;
    struct claw_account *account;
    struct claw_host *host;
    struct key_copy key;
    struct named named; /* connector->conns */
    struct node on_host;
    enum claw_stage stage;
    bool has_place;
    bool has_leave, is_asker; /* of its account's standing; it is the one that asks */
    bool is_alone;            /* the device token went alone */
    bool is_distrust;         /* it was not taken: the next time it stays away */
    bool has_session;
    bool is_stale;           /* what its account shows is another since it was let in */
    uint32_t requests_max;   /* since it talks */
    weir_err why;            /* of the end */
    struct loop_timer timer; /* of the pause, the handshake, the ticks */
    uint64_t up_ms, probe_id;
    struct gate_side *side; /* at its proxy's gate; NULL: there is none */
    struct gate_pass pass;  /* of the dial */
    struct gate_place place;
    struct dial *dial;
    struct stream *stream; /* until it is the end's */
    struct ws_opener opener;
    struct claw_session session;
    struct claw_conn *next_grave;
    char host_text[280]; /* as Host says it */
};

struct claw_connector {
    struct claw_connector_options opt;
    struct gate_side *sides; /* one for each gate */
    struct names *names;     /* NULL: nothing is resolved, or the pool has closed */
    struct mux mux;
    struct list conns, hosts;
    struct claw_conn *graves;
    struct loop_later bury;
    struct bytes scratch;
    struct claw_counters counters;
    struct ws_desk desk;
};

static inline void claw_count(_Atomic uint64_t *counter)
{
    ws_tally(counter, 1);
}

/* --- openclaw.c ---------------------------------------------------------------------------------
 */

/* Refused for good, for what account->refusal says; hearsay: not it itself. */
void claw_tell_denied(struct claw_conn *conn, bool is_hearsay);
/* It is over: the pool hears why, then every call that hangs on it. code, detail: of the close. */
void claw_conn_gone(struct claw_conn *conn, weir_err why, uint16_t code, const char *detail);

/* --- openclaw_dial.c ----------------------------------------------------------------------------
 */

void claw_dial_begin(struct claw_conn *conn);
/* Whatever of the way there is under way ends; nothing is told. */
void claw_dial_end(struct claw_conn *conn);
void claw_place_leave(struct claw_conn *conn);
/* It asks for others no more, and has learnt nothing. */
void claw_ask_leave(struct claw_conn *conn);
/* Its place at the gate of its proxy, or its turn to get one. */
void claw_gate_leave(struct claw_conn *conn);
/* For sides of gates. */
void claw_gate_open(void *self, struct gate_pass *pass);
void claw_gate_refused(void *self, struct gate_pass *pass);
void claw_dial_time(struct claw_conn *conn, uint64_t now_ms);
/* On its way, and not to be: the pool backs off. */
void claw_dial_failed(struct claw_conn *conn, weir_err why);
/* On its way, and to be tried once more: to the pool it is the same dial. */
void claw_dial_again(struct claw_conn *conn, uint32_t after_ms);

/* --- openclaw_talk.c ----------------------------------------------------------------------------
 */

extern const struct ws_end_ops claw_end_ops;
void claw_talk_begin(struct claw_conn *conn, struct bytes *behind);
void claw_talk_time(struct claw_conn *conn, uint64_t now_ms);
/* A close frame if it can be said, and the stream is closed. */
void claw_talk_cut(struct claw_conn *conn, uint16_t code, const char *reason);

/* --- openclaw_call.c ----------------------------------------------------------------------------
 */

extern const struct mux_ops claw_mux_ops;
/* An answer to the call. */
void claw_call_answered(struct claw_call *call, const struct claw_frame *frame);
/* Its connection is gone. */
void claw_call_lost(struct claw_call *call, weir_err why, uint16_t code, const char *detail);
/* Sends a request. WEIR_EFULL: too many answers are owed. */
weir_err claw_send(struct claw_conn *conn, void *owner, const char *method, struct slice params,
                   bool wants_final, uint64_t *ret_id);
