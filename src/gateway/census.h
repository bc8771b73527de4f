/* SPDX-License-Identifier: Apache-2.0
 *
 * census.h - what the workers know, gathered for one reader.
 *
 * An engine belongs to its worker's thread, so nobody looks into another one's. A census sends a
 * letter to each worker, each writes down what was asked for and sends it back, and when the last
 * has answered the asker is called, on the hub's thread. A page costs a worker a few microseconds;
 * a request of the data path nothing.
 */
#pragma once
#include <weir/weir.h>

#include "base/list.h"
#include "core/pool.h"
#include "gateway/eventlog.h"
#include "gateway/profile.h"
#include "gateway/relay.h"
#include "io/tcp_facts.h"

#include <stdbool.h>
#include <stdint.h>

#define CENSUS_ROWS_MAX   10000U /* keys, or connections, of one worker; the rest is `cut` */
#define CENSUS_TCP_MAX    1000U  /* connections of one worker whose kernel is asked about them */
#define CENSUS_GROUPS_MAX 1024U  /* of one worker; as many as an engine has */

enum {
    CENSUS_POOLS = 1,
    CENSUS_ENDPOINTS = 2,
    CENSUS_KEYS = 4,
    CENSUS_CONNECTIONS = 8,
    CENSUS_EVENTS = 16,
    CENSUS_GROUPS = 32
};

struct server;
struct site;

/* Upstreams first, then listeners, each in the order of the configuration. */
struct census_pool {
    weir_stats stats;
    weir_health_report health;
    struct pool_forecast forecast;
    uint64_t room; /* leases that its connections can carry */
    uint32_t max_total;
};

/* An endpoint, or a tenant, as the pool of an upstream knows it. */
struct census_group {
    uint32_t pool;
    bool is_tenant;
    weir_group_info info; /* its key is not to be looked at */
    char name[80];        /* "host:port", or the tenant */
};

struct census_key {
    uint32_t pool;
    weir_key_info info; /* its key is not to be looked at */
    char text[200];
};

struct census_conn {
    uint32_t pool;
    weir_conn_info info; /* its key, note and object are not to be looked at */
    char text[200], note[32];
    uint32_t stream; /* of HTTP/2, on that connection; 0: it is the connection itself */
    bool is_websocket;
    struct channel_info websocket;
    struct tcp_facts tcp;
};

/* One worker's answer. Times are of its clock, which is every worker's. */
struct census_sheet {
    bool answered;
    bool cut;           /* rows were left out */
    uint64_t worked_ns; /* processor time of the worker for it, in one go */
    uint64_t now_ms;
    struct census_pool *pools;
    uint32_t pools_count;
    struct relay_endpoint_info *endpoints; /* of all upstreams, in the order of the configuration */
    uint32_t endpoints_count;
    struct census_group *groups;
    uint32_t groups_count;
    struct census_key *keys;
    uint32_t keys_count;
    struct census_conn *conns;
    uint32_t conns_count;
    struct event_record *events; /* oldest first */
    uint32_t events_count;
    struct profile *profile; /* of `upstream`, where it was asked for */
    uint32_t upstream;
    char *text; /* of malloc(): what an order had it say, or NULL */
    size_t text_len;
};

/* What each worker does before it writes its sheet, on its thread. `data` is read by all of them at
 * the same time; it is of malloc(), and the census's. */
struct census_order {
    void (*run)(const void *data, struct site *site, struct census_sheet *sheet); /* or NULL */
    void *data;
};

struct census {
    struct node on_server; /* while it is under way */
    struct server *server;
    unsigned what;
    struct census_order order;
    bool is_held; /* until a reload is over */
    uint32_t pending;
    struct census_sheet *sheets; /* one for each worker */
    uint32_t sheets_count;
    void (*done)(void *arg, struct census *census); /* then census_free() is the asker's */
    void *arg;                                      /* NULL: nobody asks any more */
};

/* 0, -ENOMEM, or -EAGAIN where no worker takes a letter; then *ret_census is as it was. `done` is
 * called once, later or, with the workers gone, never. take_order may be NULL. */
int census_take(struct server *server, unsigned what, const struct census_order *take_order,
                void (*done)(void *arg, struct census *census), void *arg,
                struct census **ret_census);
/* What workers that have ended knew (server_halt()), at once. NULL: no memory. */
struct census *census_of_ended(struct server *server, unsigned what);
/* The asker has left: `done` is not called, and the census frees itself. */
void census_abandon(struct census *census);
void census_free(struct census *census);
/* Whether a worker may be writing, or the hub reading, by the configuration in force; those that
 * are held are not. And when they are no longer to be. */
bool census_is_under_way(const struct server *server);
void census_resume(struct server *server);
/* Frees what is still under way; the workers have ended. */
void census_forget_all(struct server *server);

/* Whose pools there are, in the order of the sheets: upstreams, listeners, and the other pool of
 * each upstream of OpenClaw gateways. */
enum census_kind { CENSUS_UPSTREAM, CENSUS_LISTENER, CENSUS_OPENCLAW };

struct census_who {
    enum census_kind kind;
    uint32_t index; /* of the upstream or listener in the configuration */
    char name[80];  /* of the pool */
};
uint32_t census_pools_count(const struct server *server);
struct census_who census_who_of(const struct server *server, uint32_t pool);
/* On the worker's thread. */
weir_pool *census_pool_of(const struct site *site, uint32_t pool);
uint32_t census_most(const struct server *server, uint32_t pool); /* connections; or unlimited */
/* The other pool of an upstream; of OpenClaw gateways. */
uint32_t census_openclaw_of(const struct config *config, uint32_t upstream);
