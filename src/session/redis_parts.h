/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_parts.h - the Redis store from the inside: private to session/redis*.c.
 */
#pragma once
#include "base/list.h"
#include "connector/redis_cluster.h"
#include "connector/redis_sentinel.h"
#include "io/dns.h"
#include "io/tls_profile.h"
#include "session/redis.h"
#include "session/redis_url.h"
#include "session/redis_wire.h"

#define REDIS_TIMEOUT_MS 1000U
#define REDIS_EPOCH_MAX  16U /* digits */

enum redis_doing { REDIS_IDLE, REDIS_WRITING, REDIS_PROBING };

/* What goes to the Redis as one: all of a batch; of a batch for a Cluster, what has one tag. */
struct redis_group {
    struct redis_store *store;
    struct redis_route route;
    uint32_t tag;
    uint32_t first, count; /* of the batch's changes, in its order */
    uint32_t buried;       /* of these, which come first: tombstones */
    size_t at, len;        /* in the batch's commands */
    struct bytes whole;    /* the commands with the scripts before them; then those that wait */
    uint32_t ahead;        /* replies that come before the epoch: the scripts' */
    char epoch[REDIS_EPOCH_MAX + 1], epoch_again[REDIS_EPOCH_MAX + 1];
    char run_id[REDIS_RUN_ID_MAX]; /* of whose answer it was */
    bool has_no_scripts;           /* the server said so */
    bool is_refused;               /* what all depends on was answered with another error; */
    bool is_partial;               /* some of the changes were */
    bool is_waiting;               /* all is said: for the replicas */
    weir_err err;
    char detail[REDIS_DETAIL_MAX];
};

/* A batch, from the keeper's write() to its answer. Written by the keeper while there is none, read
 * by the loop's thread while there is one. */
struct redis_batch {
    struct bytes commands;
    uint64_t task; /* 0: none */
    uint32_t count;
    weir_session_id *ids; /* in the order in which they are said, as the verdicts */
    struct redis_verdict_of *verdicts;
    bool *taken;     /* of the changes as they came */
    uint32_t *order; /* of the changes, by tag */
    struct redis_group *groups;
    uint32_t groups_count, left; /* left: to be answered */
    bool has_waited;             /* for replicas, in a Cluster */
};

/* The prober's question to one node. */
struct redis_ask {
    struct redis_store *store;
    struct redis_route route;
    uint32_t tag;
    struct bytes commands;
    bool is_refused;
    char epoch[REDIS_EPOCH_MAX + 1];
};

/* A look-up, a claim, or a question about a limit. */
struct redis_job {
    struct node on_list; /* store->posted, then store->asked */
    struct redis_store *store;
    struct redis_route route;
    struct bytes commands;
    weir_session_id id;
    uint64_t task;        /* of a look-up */
    weir_affinity_fn *fn; /* of a claim; */
    lease_fn *leased;     /* or of a limit; neither: a look-up */
    void *arg;
    struct lease_ask ask; /* of a limit, whose name is `place` */
    uint32_t ahead;
    bool has_no_scripts, is_answered;
    bool was_found;                  /* by a look-up, */
    char epoch[REDIS_EPOCH_MAX + 1]; /* and in which Redis; "": it did not say */
    char place[WEIR_SESSION_NAME_MAX + 1];
};

/* A search: redis_search.c. */
struct redis_search;
#define REDIS_SEARCHES_MAX 16U /* under way */
#define REDIS_PARTS_MAX    16U /* questions of one, at a time: of a Cluster, each about one tag */

struct redis_store {
    weir_session_store vtable;
    struct redis_url url;
    struct redis_wire wire;
    char prefix[REDIS_PREFIX_MAX + 1];
    uint32_t replicas, timeout_ms, affinity_ttl_ms;
    uint64_t slack_ms;
    weir_sessions *sessions;
    /* The loop's thread. */
    struct loop *loop;
    weir_engine *engine;
    struct loop_hook step;
    struct dns *dns;
    struct tls_profile *profile;
    struct tls_desk *desk;
    struct tls_client *client;
    struct redis_connector *connector;
    weir_pool *pool;
    weir_key key;
    struct redis_hosts_url sentinels_url; /* count 0: there are none, and none of this */
    weir_key sentinel_keys[REDIS_HOSTS_MAX];
    struct redis_connector *sentinels_connector;
    weir_pool *sentinels_pool;
    struct redis_sentinels *sentinels;
    bool is_cluster; /* then `url` has who we are, and no host */
    struct redis_hosts_url cluster_url;
    struct redis_place seeds[REDIS_HOSTS_MAX];
    struct redis_cluster *cluster; /* NULL: it is none */
    struct loop_wake *wake;
    pthread_t thread;
    bool is_running, is_ending, has_ended; /* has: its pool, and what follows is to come */
    enum redis_doing doing;
    struct redis_batch batch;
    struct redis_ask *asks;
    uint32_t asks_count, asks_left;
    bool probe_failed;
    struct loop_timer probe_timer;
    uint64_t down_since_ms;
    char refused[REDIS_DETAIL_MAX]; /* the last that was no answer */
    /* As they were known last: a Cluster's by tag, else one. */
    char (*epochs)[REDIS_EPOCH_MAX + 1];
    char run_id[REDIS_RUN_ID_MAX]; /* of a Redis that is no Cluster */
    struct list asked, searching;
    /* All threads. */
    pthread_mutex_t mutex; /* of what follows; under no other lock, and none under it */
    struct list posted, searches;
    bool has_batch, is_closing;
    char fault[2 * REDIS_DETAIL_MAX]; /* why it is down; "": it is not */
    _Atomic uint32_t claims;          /* and questions about limits */
    _Atomic bool is_down;
    _Atomic uint64_t outages;
    _Atomic uint32_t searches_count;
    _Atomic uint64_t pages, pages_local, lists_spoilt;
};

/* --- redis.c ------------------------------------------------------------------------------------
 */

/* Something could not be asked, or was answered. On the loop's thread. */
void redis_store_failed(struct redis_store *store, weir_err err, const char *detail);
/* What it answered is no answer: said once that makes something fail. */
void redis_store_refused(struct redis_store *store, const struct resp_value *value);
void redis_store_answered(struct redis_store *store);
/* So many lists were something else. */
void redis_lists_spoilt(struct redis_store *store, uint32_t count);

/* For connectors and pools of the store's. */
struct redis_connector_options redis_store_connecting(const struct redis_store *store,
                                                      uint32_t timeout_ms);
int redis_store_open_pool(struct redis_store *store, struct redis_connector *connector,
                          const char *name, uint32_t conns_max, weir_pool **ret_pool);

/* --- redis_master.c: nothing happens without sentinels ------------------------------------------
 */

int redis_master_open(struct redis_store *store);
/* The store's own pool is open; theirs. */
int redis_master_serve(struct redis_store *store);
void redis_master_watch(struct redis_store *store);
void redis_master_unwatch(struct redis_store *store);
/* The store's own pool has closed. True: theirs is to close, and the loop stops then. */
bool redis_master_end(struct redis_store *store);
/* The store's own connector is gone. */
void redis_master_close(struct redis_store *store);

/* --- redis_nodes.c: nothing happens without a Cluster -------------------------------------------
 */

int redis_nodes_open(struct redis_store *store);
/* Before the pool closes; all routes have ended. */
void redis_nodes_stop(struct redis_store *store);
/* The pool has closed. */
void redis_nodes_close(struct redis_store *store);

/* --- redis_known.c ------------------------------------------------------------------------------
 */

bool redis_known_init(struct redis_store *store);
void redis_known_fini(struct redis_store *store);
uint64_t redis_fresh_epoch(void);
/* A reply to GET of an epoch. False: it is none. */
bool redis_keep_epoch(const struct resp_value *value, char ret_epoch[REDIS_EPOCH_MAX + 1]);
/* The commands of a tag (REDIS_UNTAGGED: the only place) go where they belong. */
void redis_route_start(struct redis_store *store, struct redis_route *route, uint32_t tag);
void redis_route_start_for(struct redis_store *store, struct redis_route *route, uint32_t tag,
                           uint32_t timeout_ms);
/* Who had what was looked up, and with which epoch ("": it has none), where nothing was known of
 * it: from then on there is something that it may lose. */
void redis_known_found(struct redis_store *store, const struct redis_route *route, uint32_t tag,
                       const char *epoch, const char *run_id);
/* Who answered, and with which epoch. False: it may have lost what it was told; one that was never
 * seen has nothing to have lost, but for what was looked up in it before (`is_missed`). */
bool redis_known_note(struct redis_store *store, const struct redis_route *route, uint32_t tag,
                      const char *epoch, const char *run_id, bool is_missed);

/* --- redis_probe.c ------------------------------------------------------------------------------
 */

bool redis_probe_init(struct redis_store *store);
void redis_probe_fini(struct redis_store *store);
void redis_probe_begin(struct redis_store *store);
void redis_probe_cancel(struct redis_store *store);

/* --- redis_batch.c ------------------------------------------------------------------------------
 */

bool redis_batch_init(struct redis_store *store);
void redis_batch_fini(struct redis_store *store);
/* The vtable's. */
void redis_batch_write(void *self, uint64_t task, const weir_session_delta *changes,
                       uint32_t count);
/* On the loop's thread: what is posted goes out, if nothing else does. */
void redis_batch_begin(struct redis_store *store);
void redis_batch_cancel(struct redis_store *store);

/* --- redis_job.c --------------------------------------------------------------------------------
 */

/* The vtable's. */
void redis_job_read(void *self, uint64_t task, weir_session_id id);
/* On the loop's thread. */
void redis_job_begin(struct redis_job *job);
/* All of them end. */
void redis_jobs_cancel(struct redis_store *store);

/* --- redis_search.c -----------------------------------------------------------------------------
 */

/* On the loop's thread: those that are posted begin. */
void redis_searches_begin(struct redis_store *store);
/* All of them end. */
void redis_searches_cancel(struct redis_store *store);
