/* SPDX-License-Identifier: Apache-2.0
 *
 * openclaw.h - what an upstream of OpenClaw gateways has besides HTTP, on one worker: connections
 * that have said who they are, in a pool of their own, and requests and events on them in the shape
 * of HTTP. Where the upstream has accounts, there is a connection to each gateway for each of them,
 * through its proxy, and a reader of events hears those of his account's.
 *
 *     POST /openclaw/UPSTREAM/METHOD   {"…": …}  ──▶ 200 {…}, or an error
 *     GET  /openclaw/UPSTREAM/events             ──▶ text/event-stream, until somebody leaves;
 *                                                    from the comment "ready" on nothing is missed
 *
 * To a relay such an endpoint is a `struct http_link` like any other, only that no lease stands for
 * it: many requests share a connection, and each has its own lease while it is under way. Anything
 * else that the upstream is asked for is HTTP or a WebSocket, and goes there as it is.
 */
#pragma once
#include <weir/weir.h>

#include "connector/openclaw.h"
#include "gateway/config.h"
#include "gateway/relay_event.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

/* Of what is to be sent to one reader of events; what does not fit is left out, and it is told. */
#define OPENCLAW_EVENTS_MAX 262144U
/* A reader of events hears something at least so often. */
#define OPENCLAW_BEAT_MS    15000U
/* To a gateway as an account, for each worker: one, and one that only ends what it carries. */
#define OPENCLAW_CONNS      2U

struct account_news;
struct accounts;
struct dns;
struct loop;
struct openclaw;
struct tls_client;
struct tls_desk;

struct openclaw_options {
    const struct config_upstream *config;
    struct accounts *accounts;               /* or NULL; one that is refused cools down, */
    struct account_news *news;               /* and this tells of it */
    struct claw_identity *const *identities; /* of each way, or NULL; any worker may use them */
    weir_engine *engine;
    struct loop *loop;
    struct dns *dns;
    struct tls_desk *desk; /* NULL: no TLS */
    struct tls_client *tls, *proxy_tls;
    struct gate *const *gates; /* of its proxy */
    uint32_t gates_count;
    const char *fingerprint; /* of `tls`, for keys */
    uint32_t workers;
    uint64_t seed;
    relay_event_fn *on_event; /* who refuses us, and why; or NULL */
    void *event_self;
};

/* 0 or -errno. Opens the pool "openclaw:UPSTREAM", with a connection to each endpoint as each
 * account. */
int openclaw_open(const struct openclaw_options *opt, struct openclaw **ret_openclaw);
/* Its calls are over, and its pool is closed. NULL is fine. */
void openclaw_free(struct openclaw *take_openclaw);

/* A configuration of the same gateways, ways and accounts is to be looked at from now on, and
 * tables of these accounts. Who shows another token, password or path is connected anew; what its
 * former connections carry ends there. The elder's texts are still there. */
void openclaw_obey(struct openclaw *openclaw, const struct config_upstream *config,
                   struct accounts *accounts, struct account_news *news);

weir_pool *openclaw_pool(const struct openclaw *openclaw);
const struct claw_counters *openclaw_counters(const struct openclaw *openclaw);

/* Whether what keeps the account from being asked at ease is that a dial has just failed. */
bool openclaw_is_away_for_a_moment(const struct openclaw *openclaw, uint32_t account);

/* Whether a request for that is for us. */
bool openclaw_is_asked(const struct openclaw *openclaw, struct slice path);

/* Whether requests may go as that account, one that does not cool down: some endpoint is not down
 * for it. Or, at ease, is in no doubt. Without accounts it is number 0, here and below. */
bool openclaw_may(struct openclaw *openclaw, uint32_t account, bool at_ease);
/* For http_call_open(): the endpoint, or another one where that is down. */
void *openclaw_link(struct openclaw *openclaw, uint32_t endpoint, uint32_t account);

/* Connections end at once, and the requests on them: before its pool closes. */
void openclaw_cut(struct openclaw *openclaw);

/* Streams of events end, those to come as well. */
void openclaw_drain(struct openclaw *openclaw);
