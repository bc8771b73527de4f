/* SPDX-License-Identifier: Apache-2.0
 *
 * transit.h - one request on its way through a relay, and what a relay consists of: private to
 * relay.c (the way there and back) and transit.c (birth, death, counting, logging).
 *
 *      a short body is still to come: no connection is kept busy with waiting for it
 *      begun ──▶ GATHERING ──▶ as if begun
 *      health is asked for, of weir or of somebody behind it
 *      begun ──▶ ASKING ──▶ answered, or ANSWERING as long as it is watched, or as if begun
 *
 *              lease at once
 *      begun ──────────────────▶ CALLING ──▶ ANSWERING ──▶ (gone)
 *        │   lease later            │  ▲
 *        └──▶ WAITING ──────────────┘  │ retry
 *                │  ▲──────────────────┘
 *                └──▶ LEFT (the client left; the lease's callback is still to come) ──▶ (gone)
 *
 * To an upstream with accounts a body is kept, too, until one is chosen (account_keeps_body()), and
 * a request whose accounts are full waits in line before it asks for a lease. WAITING is also one
 * whose conversation others may know: it begins anew when they have been asked.
 *
 * One that asks for a WebSocket ends with 101, and is a channel (channel.h) from then on; of a
 * client of HTTP/2 it stays, as CHANNEL, since its exchange goes on.
 */
#pragma once
#include "base/bytes.h"
#include "gateway/access.h"
#include "gateway/affinity.h"
#include "gateway/channel.h"
#include "gateway/client_keys.h"
#include "gateway/fault.h"
#include "gateway/forward.h"
#include "gateway/handshake.h"
#include "gateway/health_service.h"
#include "gateway/held.h"
#include "gateway/hold.h"
#include "gateway/otlp.h"
#include "gateway/pace.h"
#include "gateway/relay.h"
#include "gateway/route.h"
#include "gateway/rpc.h"
#include "gateway/upstream.h"
#include "io/loop.h"
#include "proto/ai_answer.h"
#include "proto/ai_request.h"
#include "proto/ai_usage.h"
#include "proto/sse.h"

#define RELAY_TOLD_MAX    4U
#define TRANSITS_KEPT_MAX 1024U /* unused ones kept for the next request */

struct checkups;
struct clients;

enum transit_state {
    TRANSIT_WAITING,
    TRANSIT_GATHERING,
    TRANSIT_ASKING,
    TRANSIT_CHANNEL,
    TRANSIT_CALLING,
    TRANSIT_ANSWERING,
    TRANSIT_LEFT,
    TRANSIT_UNUSED /* kept for the next request */
};

/* What is listened for in an answer while it passes (relay_stream.c). */
enum { HEARS_ID = 1, HEARS_TOKENS = 2, HEARS_SILENCE = 4 };

/* Of an event stream: when something came last. */
struct answer_pulse {
    struct loop_timer timer;
    uint32_t every_ms;
    struct sse sse;
};

struct transit {
    struct lane *lane;
    struct http_exchange *ex; /* NULL once it is answered or its client has left */
    struct upstream *upstream;
    weir_lease lease;
    struct http_call *call; /* while CALLING or ANSWERING */
    const struct forward_rules *rules;
    struct relay_series *series;
    uint32_t endpoint;
    uint16_t status; /* told to the client; 0: not yet */
    uint8_t state;   /* enum transit_state */
    uint8_t fault;   /* enum fault: the word of the log */

    uint64_t begun_ns, granted_ns, first_byte_ns; /* of the turns in which it happened */
    uint64_t request_bytes, answer_bytes;
    uint64_t span_parent,
        span_asked;       /* relay_span.c: the span that it came with, its client span */
    uint64_t trace_begun; /* forward_trace_id(): of the trace that begins here */
    uint32_t seat;        /* clients_give() */
    uint32_t client_no; /* of the configuration's clients, from 1; 0: nobody's key, or no clients */
    uint64_t shown;     /* fields that show that key: a bit for each id */
    uint32_t account;
    const struct hold_block *unsent; /* the next one of them for the call at hand */
    uint8_t tries, replays;
    uint8_t model_len;
    bool has_place, waits_for_place;       /* client_keys_leave(), client_keys_wait_over() */
    bool needs_token, is_thirsty;          /* of its client's rate; client_keys_thirst() */
    bool waits_for_resume;                 /* the upstream is paused */
    bool has_account;                      /* has a request open on the account's books */
    bool keeps;                            /* its body is kept until an account is chosen */
    bool was_read;                         /* what its body says is known */
    bool is_sought, has_pin, was_looked;   /* relay_session.c: where its conversation is */
    bool is_too_large;                     /* to be kept, and so to be read */
    bool has_session, is_bound, is_pinned; /* it is known by `session`; `bound` has it; for good */
    uint8_t hears;                         /* of an answer: HEARS_… */
    uint8_t affinity;                      /* enum affinity */
    bool was_in_line;                      /* its way begins when a turn came, not with its head */
    bool is_continued;                     /* was told to send its body by us: 100 */
    bool asked;                            /* for a lease, whose callback is still to come */
    bool harmless;                         /* may be done twice */
    bool request_ended;                    /* by the client */
    bool body_held;                        /* all of the body that came lies in `held` and `hold` */
    bool client_paused, upstream_paused;
    bool reused;
    bool is_span_decided, has_span; /* relay_span.c */
    bool is_tls;                    /* its client's side; where spans are asked for */
    bool is_grpc;
    bool is_websocket;          /* a WebSocket is asked for */
    bool over_http1;            /* … of HTTP/1.1, whatever else the endpoint speaks */
    bool ahead_ended;           /* … and its client has ended its stream */
    struct channel *channel;    /* while CHANNEL */
    uint64_t body_max;          /* 0: no limit */
    struct http_took took;      /* 0 where it was reused */
    struct health_watch *watch; /* while its client watches our health */
    struct affinity_look look;  /* while it waits for what others know */
    struct transit *next_free;
    /* From here on not zeroed for each request. */
    struct node on_relay;        /* relay->transits */
    struct hold hold;            /* of its body, behind what lies in `held` */
    struct waiter wait;          /* for an account that is full, or a place */
    struct accounts_wait wants;  /* while it waits for an account */
    uint64_t except;             /* accounts that it is not to be asked as: a bit for each */
    struct affinity_key session; /* where has_session; its scope where there is affinity */
    uint64_t user;               /* where there is affinity: affinity_user() */
    uint32_t home;               /* where has_session: the account that it is with */
    struct affinity_key pin;     /* where has_pin */
    struct held held;
    struct rpc rpc; /* where is_grpc */
    /* For the log alone. */
    char client[46];
    uint8_t client_len;
    char model[96];              /* that its body names; a longer one is none */
    struct affinity_bound bound; /* where is_bound */
    struct ai_answer answer;     /* where HEARS_ID */
    struct ai_usage usage;       /* where HEARS_TOKENS */
    struct answer_pulse pulse;   /* where HEARS_SILENCE */
    struct bytes ahead;          /* where is_websocket: what came behind the request */
    char key[WS_KEY_LEN];        /* where is_websocket: that one side has to answer */
};

/* One listener on this worker. */
struct lane {
    struct relay *relay;
    const struct config_listener *config;
    struct routes *routes;
    struct forward_rules *rules;  /* one for each route */
    struct relay_series **series; /* one for each route */
    struct relay_series *nowhere; /* for requests that found none */
    struct pace pace;
    uint64_t paced; /* times that its clients began to wait outside */
};

/* What no configuration changes, shared by the tables of all that are served. Hub's thread, but for
 * what is said of each. */
struct relay_lasting {
    uint32_t users;
    struct hold_stock stock;       /* any thread */
    struct clients *clients;       /* the same; NULL: no route had the limit so far */
    struct affinities *affinities; /* the same; NULL: no route had affinity so far */
    struct client_leases *leases;  /* the same; NULL: what clients may is shared with nobody */
    struct client_keys *keys;      /* theirs */
    bool has_leases;               /* they were started; worker 0's */
    struct wait_hall client_hall;  /* where requests wait for others of their client to end */
    _Atomic uint8_t strain;        /* the same; enum relay_strain */
};

struct relay_shared {
    const struct config *config;
    struct relay_lasting *lasting;
    struct verdict **verdicts;       /* [upstream][endpoint] */
    struct clients *clients;         /* the lasting one; NULL: no route has the limit */
    struct client_keys *client_keys; /* NULL: everybody may */
    struct proxies *proxies;
    struct claw_identity ***identities; /* [upstream][way] (config_way.h); NULL, each: none */
    struct accounts **accounts;         /* of upstreams; NULL: none */
    struct steer *steers;               /* one for each upstream */
    struct wait_hall *halls;            /* one for each upstream's accounts */
    struct affinities *affinities;      /* the lasting one; NULL: no route has affinity */
};

struct relay {
    struct node on_site; /* opt.relays */
    struct relay_options opt;
    struct relay *elder; /* while it is not in force: the one that is */
    struct upstream *upstreams;
    struct lane *lanes;
    struct checkups **checkups; /* one for each upstream, or NULL */
    struct relay_series **series;
    struct loop_timer pace_timer;
    uint64_t pace_counts; /* of ended requests, so far */
    uint32_t series_count;
    uint32_t open;
    uint32_t unused_count;
    struct transit *unused;
    struct list transits; /* all, unused ones, too */
    struct health_service health;
    struct forward forward;
    struct fault_answer answer;
    struct handshake_answer handshake;
    struct access_log log;
    struct channels channels;
    struct wait_line client_line;    /* requests whose clients have as many open as they may */
    struct ai_request ai;            /* what bodies are read with */
    struct client_digester digester; /* and keys of clients with */
    struct http_field told[RELAY_TOLD_MAX]; /* what is added to the answer at hand */
};

/* A request of that client has ended: who waits for one on this worker is next. */
void relay_leave_place(struct relay *relay, uint32_t client_no);

struct transit *transit_new(struct lane *lane, struct http_exchange *ex);
/* Counts it and logs it; its client has what it will get. */
void transit_settle(struct transit *transit);
/* The id of its trace, empty where there is none: it was refused before it went on. */
struct slice transit_trace(struct transit *transit, char room[static FORWARD_TRACE_ID]);
/* It waits for a token of its client's rate, or does not. */
void transit_heed_thirst(struct transit *transit, bool is_thirsty);
/* It waits for no place of its client's any more. */
void transit_leave_line(struct transit *transit, bool is_refused);
/* It waits for the end of no pause any more. */
void transit_leave_pause(struct transit *transit);
/* Its request is open on no account's books any more, and waits for none. */
void transit_leave_account(struct transit *transit);
/* Takes it off the books. */
void transit_free(struct transit *transit);
void transit_kept_free(struct relay *relay);
