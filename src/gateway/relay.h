/* SPDX-License-Identifier: Apache-2.0
 *
 * relay.h - a request from a listener finds its route, an endpoint and a connection, and its answer
 * finds the way back.
 *
 * One relay per worker, made from a configuration snapshot that outlives it. To a listener it is a
 * `struct http_handler`; below it are the worker's pools, one per upstream. It touches one thread's
 * things only, except the tables in `struct relay_shared`.
 *
 *     on_request ─▶ route ─▶ endpoint ─▶ lease at once ────────────┐
 *                              ▲           └▶ lease later (queue) ─┤
 *                              │                                   ▼
 *                              └── retry ◀── failed ◀── call: request ══▶ answer ─▶ end
 *
 * Always true:
 *   - Every exchange is answered exactly once: respond … end, or abort, unless the client left.
 *   - A connection goes back to its pool only when request and answer are complete.
 *   - Nothing is sent a second time after a byte of its answer reached the client.
 *   - A request allocates nothing in steady state: what it needs comes from free lists.
 */
#pragma once
#include <weir/weir.h>

#include "gateway/channel.h"
#include "gateway/config.h"
#include "gateway/exemplar.h"
#include "gateway/relay_event.h"
#include "gateway/steer.h"
#include "gateway/telemetry.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct accounts;
struct affinities;
struct client_keys;
struct client_leases;
struct claw_counters;
struct cork;
struct dns;
struct list;
struct loop;
struct notify_ring;
struct otlp_ring;
struct proxies;
struct relay;
struct secure;
struct steer;

/* What the workers of one process share: verdicts of active checks, requests open per client. */
struct relay_shared;
#define RELAY_FAULT_MAX 400U
/* `elder`: those of the configuration before, or NULL: open requests, cooldowns, conversations,
 * places at proxies are one for both. 0, or -errno and why in words ("": the number says it). */
int relay_shared_new(const struct config *config, struct relay_shared *elder,
                     struct relay_shared **ret_shared, char ret_fault[RELAY_FAULT_MAX]);
/* The elder's verdicts and what an operator has said are this one's, where names agree; what its
 * accounts were refused for is forgotten where they show something else. Hub's
 * thread, before the first relay takes over. */
void relay_shared_take_over(struct relay_shared *shared, struct relay_shared *elder);
struct accounts *relay_shared_accounts(const struct relay_shared *shared, uint32_t upstream);
struct affinities *relay_shared_affinities(const struct relay_shared *shared);     /* or NULL */
const struct client_keys *relay_shared_clients(const struct relay_shared *shared); /* or NULL */
/* NULL: what clients may is shared with no other gateway. */
const struct client_leases *relay_shared_leases(const struct relay_shared *shared);
struct steer *relay_shared_steer(const struct relay_shared *shared, uint32_t upstream);
/* What an operator says of an endpoint, where there is one like that. */
void relay_shared_steer_endpoint(struct relay_shared *shared, const char *upstream,
                                 const struct config_endpoint *endpoint, enum steer_mode mode);
struct proxies *relay_shared_proxies(const struct relay_shared *shared);
/* While the gateway is short of descriptors or memory: whose requests are refused, and their
 * connections with them, unless their client is one of priority high. */
enum relay_strain {
    RELAY_AT_EASE,
    RELAY_NO_NEWCOMERS, /* of connections that have carried none before */
    RELAY_SPENT,        /* of all */
};
/* `hold_most`: bytes of bodies that may be kept (hold.h). Any thread. */
void relay_shared_strain(struct relay_shared *shared, enum relay_strain strain, uint64_t hold_most);
void relay_shared_free(struct relay_shared *take_shared); /* after the last relay */

struct relay_options {
    struct loop *loop;
    weir_engine *engine;
    struct dns *dns;
    struct cork *cork; /* of the loop; upstreams are written to by it */
    const struct config *config;
    struct relay_shared *shared;
    const struct secure *secure; /* NULL: no upstream is reached by TLS */
    uint32_t worker, workers;    /* which of how many: worker 0 runs the active checks */
    uint64_t seed;
    struct list *relays; /* of this worker, the last one is in force; all that are not freed */
    struct notify_ring *access; /* joined by this worker; NULL: no access log */
    struct otlp_ring *spans;    /* this worker's; NULL: requests are no spans */
    relay_event_fn *on_event;   /* NULL: nobody listens */
    void *event_self;
    /* How many clients a listener may let in until it is told anew (pace.h); whether that has begun
     * or ended now. NULL: nobody is to be told. */
    void (*on_pace)(void *self, uint32_t listener, uint32_t clients, bool is_new);
    void *pace_self;
};

/* 0 or -errno. Opens the pools, but for those of upstreams that another relay of this worker has by
 * the same name: they are for both, with their connections. -EBUSY: one of them is about to close.
 */
int relay_new(const struct relay_options *opt, struct relay **ret_relay);
/* It is in force: the first of its worker. */
void relay_begin(struct relay *relay);
/* The same instead of the one that was in force: the options of pools are obeyed from now on, and
 * connections for which there is no endpoint or account any more go. */
void relay_take_over(struct relay *relay);
/* It gets no new requests: nothing is checked for it. */
void relay_retire(struct relay *relay);

/* Closes the pools that no other relay has; true once they have closed, which takes steps of the
 * engine. all: whoever has them. No exchange may be open. */
bool relay_close_pools(struct relay *relay, bool all);
/* No exchange may be open, and its pools have closed. */
void relay_free(struct relay *take_relay);

/* Of who asks for our health nobody shall send more: it is not serving. Who watches is told so, and
 * its call ends. */
void relay_unready(struct relay *relay);
/* That, and WebSockets are told to go away
 * (1001) one after the other until `spread_ms` is over, those to come at once. */
void relay_drain(struct relay *relay, uint32_t spread_ms);

/* Handler and self for the listener config.listeners.at[index]. */
extern const struct http_handler relay_handler;
void *relay_listener_self(struct relay *relay, uint32_t index);

/* Its WebSockets and its connections to OpenClaw gateways end at once: before its pools close, and
 * as relay_close_pools(). */
void relay_cut(struct relay *relay, bool all);

/* So do its requests. */
void relay_cut_open(struct relay *relay);

/* Exchanges not yet answered; a drain waits until there are none. */
uint32_t relay_open_count(const struct relay *relay);
/* Nor is there a WebSocket. */
bool relay_is_idle(const struct relay *relay);
/* It is idle, and stays so: nobody calls its lines any more. False: some are called just now, and
 * it is not to be freed while the worker runs. */
bool relay_quit_lines(struct relay *relay);

/* --- what it counted; any thread may read ------------------------------------------------------
 */

#define RELAY_CODES 600U

/* Requests of one listener to one upstream; whatever the configuration, as long as it has both. */
struct relay_series {
    uint32_t users; /* relays of this worker */
    const char *listener;
    const char *upstream;          /* "": answered before one was chosen (no route) */
    uint64_t by_code[RELAY_CODES]; /* [499]: the client left before there was an answer */
    struct timing total, first_byte;
    struct exemplar total_examples[TIMING_BUCKETS], first_byte_examples[TIMING_BUCKETS];
    uint64_t request_bytes, answer_bytes; /* bodies */
    uint64_t cut;                         /* answers that ended before their time */
    uint64_t failed; /* answered 5xx by anybody, or cut otherwise than by the client */
    uint64_t retries_stale, retries_connect, retries_code, retries_over_budget;
    struct channel_counts channels; /* of WebSockets */
    char names[];                   /* the two of above */
};

/* Times that clients of a listener had to wait outside, for upstreams' sake. */
uint64_t relay_paced(const struct relay *relay, uint32_t listener);

uint32_t relay_series_count(const struct relay *relay);
const struct relay_series *relay_series_at(const struct relay *relay, uint32_t index);

/* --- what it knows; the worker's thread only ---------------------------------------------------
 */

weir_pool *relay_pool(const struct relay *relay, uint32_t upstream);
/* NULL: nothing is known. */
const struct profile *relay_profile(const struct relay *relay, uint32_t upstream);
/* Of an upstream of OpenClaw gateways besides; NULL: it is none. */
weir_pool *relay_openclaw_pool(const struct relay *relay, uint32_t upstream);
const struct claw_counters *relay_openclaw_counters(const struct relay *relay, uint32_t upstream);

/* Its connections to that endpoint: idle ones close, others when they are released; or, cut, after
 * grace_ms [WEIR_NEVER]. */
void relay_flush_endpoint(struct relay *relay, uint32_t upstream, uint32_t endpoint,
                          uint32_t grace_ms);

/* Requests that were for an endpoint of our zone, or for one of another; none where all are of the
 * same. Any thread. */
struct relay_zone_counts {
    uint64_t near, far;
};
struct relay_zone_counts relay_zone_counts_of(const struct relay *relay, uint32_t upstream);

struct relay_endpoint_info {
    const struct config_endpoint *endpoint;
    weir_key_state key_state;
    bool checked;      /* an active check has spoken */
    bool healthy;      /* its last verdict (true before the first), and it is not ejected */
    uint32_t busy;     /* leases and waiting requests */
    uint64_t answered; /* requests that got an answer of any code */
    uint64_t failed;   /* requests that got none */
};

void relay_endpoint_info_of(const struct relay *relay, uint32_t upstream, uint32_t endpoint,
                            struct relay_endpoint_info *ret_info);
