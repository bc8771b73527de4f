/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.h - what the core is made of: an engine, its pools, their keys, connections and leases.
 *
 *   engine --- pool --- key ---- conn ---- lease (held)
 *                 \        \____ lease (waiting)
 *                  \____ the same connections and leases again, of all keys
 *
 * State is location. A connection is on two lists of the same name, its key's and its pool's: the
 * ones its state names (conn.h). A lease is on the list of those who wait, or of those who hold
 * (queue.h). So every gauge is the length of a list, and none can drift. All records come from
 * slabs that were allocated when the engine opened; an id that outlived its record finds nothing.
 *
 * Read conn.h next, then pool.c.
 */
#pragma once
#include <weir/weir.h>

#include "base/alloc.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/ring.h"
#include "base/slots.h"
#include "core/adapt.h"
#include "core/arena.h"
#include "core/explain.h"
#include "core/forecast.h"
#include "core/group.h"
#include "core/health.h"
#include "core/limit.h"
#include "core/stats.h"

#define KEY_HORIZON_BUCKETS 16
#define CONN_NOTE_MAX       24

/* One deadline; the kind says what it lies in. */
enum timer_kind { TIMER_CONN, TIMER_LEASE, TIMER_KEY, TIMER_POOL };

struct timer {
    struct heap_node node;
    uint32_t kind;
};

/* What the connector is to be told about a connection, in the next step. */
enum conn_todo {
    TODO_NOTHING,
    TODO_DIAL,
    TODO_ATTACH,
    TODO_PROBE,
    TODO_CUT,
    TODO_DETACH,
    TODO_CLOSE
};

struct conn {
    struct node on_key;  /* key->by_state[state] */
    struct node on_pool; /* pool->by_state[state] */
    struct node on_todo; /* engine->todo, unless todo is TODO_NOTHING */
    struct list leases;  /* those on it */
    struct key *key;
    void *object;        /* the connector's; before it is attached: what it comes as */
    uint64_t since_ms;   /* in this state; idle: last known to be alive */
    uint64_t used_ms;    /* its last lease ended, or it came up */
    uint64_t created_ms; /* came up; while it dials: was begun */
    uint64_t until_ms;   /* its age is due; once it retires with leases on it: they are cut */
    uint64_t armed_ms;   /* the deadline in the heap: never later than its next one */
    struct timer timer;
    uint32_t uses; /* leases it has served */
    uint32_t leases_max;
    uint32_t idle_ms;    /* its own idle time-out */
    uint32_t probe_ms;   /* its own share of probe_every */
    uint32_t latency_us; /* EWMA */
    uint8_t state;       /* weir_state */
    uint8_t todo;        /* enum conn_todo */
    uint8_t why;         /* retires or closes for */
    uint8_t samples;     /* of latency, up to 255 */
    uint8_t round;       /* of its key's dials when it was begun (breaker.h) */
    bool told : 1;       /* the connector has heard of it */
    bool was_up : 1;     /* counts as created */
    bool admitted : 1;
    bool retiring : 1;    /* closes when its last lease ends */
    bool unsure : 1;      /* is probed when its last lease ends */
    bool aged : 1;        /* too old: its replacement is being dialled */
    bool hedged : 1;      /* has had its second dial, or is one */
    bool handshaking : 1; /* its dial has come as far as TLS */
    bool growing : 1;     /* up with one lease, and more are expected soon */
    bool moved : 1;       /* comes from another engine, and is not up here yet */
    bool displaced : 1;   /* its address is no longer among those of its name */
    union {
        char note[CONN_NOTE_MAX]; /* admitted */
        struct {
            uint32_t on_key, on_pool; /* slots of those that stood behind it among the idle, + 1 */
            uint32_t address;         /* a hash of the peer's; 0: not known */
            uint8_t missed;           /* answers in a row that did not have it */
        } peer;                       /* dialled */
    };
};

/* With its slot and its entry in the heap an idle connection takes no more than this. */
_Static_assert(sizeof(struct conn) + sizeof(struct slot) + sizeof(struct heap_entry) <= 256,
               "a connection has grown");

enum lease_state {
    LEASE_WAITING, /* on key->waiting and pool->waiting */
    LEASE_HELD,    /* on conn->leases (unless that is gone) and pool->held or pool->overdue */
    LEASE_ENDED    /* on engine->answers only: its caller is about to hear why */
};

struct lease {
    struct node on_owner;  /* key->waiting or conn->leases */
    struct node on_pool;   /* pool->waiting, held or overdue */
    struct node on_answer; /* engine->answers while a callback is due */
    struct key *key;
    struct conn *conn; /* NULL: waits, or its connection is gone */
    weir_lease_fn *fn; /* NULL: nobody to call */
    void *arg;
    uint64_t tag;
    uint64_t turn;        /* grows with each that comes */
    uint64_t since_ms;    /* waits, or holds */
    uint64_t deadline_ms; /* waits until */
    uint32_t waited_ms;
    uint32_t retry_after_ms;
    struct timer timer; /* its caller's patience */
    uint8_t state;      /* enum lease_state */
    uint8_t err;
    uint8_t flags; /* WEIR_FRESH | … */
    bool reused : 1;
    bool warned : 1;
    bool was_cut : 1; /* its connection was shut down for it */
};

struct key {
    weir_pool *pool;
    struct list waiting;               /* leases, first come first */
    struct list by_state[WEIR_STATES]; /* connections; IDLE is sorted by used_ms */
    weir_key view;                     /* points into text */
    const char *text;                  /* canonical, in engine->texts; identity is all of it */
    uint64_t hash;
    struct node on_pool; /* pool->keys */
    struct node on_list; /* tenant->hungry while it wants to dial and may not; or engine->unused */
    struct node on_endpoint; /* endpoint->crowd (crowd.h) */
    struct group *endpoint, *tenant;
    struct timer timer; /* retry_ms, or the end of key_idle */
    uint16_t text_len;
    uint16_t wanted; /* pins of those who want it kept ready */
    uint8_t state;   /* weir_key_state */
    uint8_t last_error;
    uint32_t pins;
    uint32_t cap;      /* connections, where max_per_key allows more (pool_key_cap()) */
    uint64_t retry_ms; /* backing off or down until */
    uint64_t used_ms;
    uint64_t error_ms;
    uint64_t spaced_ms; /* no connection retires for its age before */
    uint64_t grants, reused, created, errors;
    struct ledger ledger; /* of max_per_key */
    struct adapt adapt;
    uint32_t failures;      /* dials in a row */
    uint32_t hold_ms;       /* EWMA of leases, × 16 */
    uint32_t dial_p95_x256; /* hedge.h; in milliseconds */
    uint32_t addresses;     /* the last answer to its name, as a hash; 0: none yet */
    uint32_t best_us;       /* the least latency of its connections, roughly */
    uint16_t turn;          /* grants since another key of its tenant began to wait for room */
    uint16_t leases_seen;   /* what its last connection could carry; 0: not known yet */
    uint8_t ramp;           /* dials it may have under way */
    uint8_t round;          /* a dial that failed counts only if it was begun in this round */
    uint8_t owed;           /* dials that should be under way, whether anybody waits or not */
    uint8_t dial_samples;   /* up to 255 */
    uint8_t pressed;        /* grants since another worker began to wait for what this one has */
    bool is_warm : 1;       /* has had the connections ready that it should (warm.h) */
    bool keeps_place : 1;   /* at its endpoint, while it dials for its turn (crowd.h) */
    bool is_named : 1;      /* one pin is weir_pool_warm()'s */
    uint32_t lesson_s;      /* when the first of the hang-ups counted below came; 0: none has */
    uint32_t hangup_s;      /* and the last */
    uint32_t horizon_ms;    /* what the next line teaches: idle for longer, and the peer hangs up */
    uint8_t
        horizon[KEY_HORIZON_BUCKETS]; /* hang-ups by how long idle, log2 of eighths of a second */
};

_Static_assert(sizeof(struct key) + sizeof(struct slot) <= 600, "a key has grown");

struct weir_pool {
    struct weir_engine *engine;
    weir_pool_options opt;              /* WEIR_NONE is 0 here */
    struct list by_state[WEIR_STATES];  /* connections; IDLE is sorted by used_ms */
    struct list waiting, held, overdue; /* leases, oldest first */
    struct list keys;
    struct list turns;              /* tenants with hungry keys, the next one first */
    struct list news;               /* tenants that the hub has to hear of */
    uint32_t promised;              /* by all of them (turns.h) */
    struct list endpoints, tenants; /* groups with a name */
    struct group rest, nobody;      /* those without: endpoints past, and keys without a tenant */
    const weir_connector *connector;
    void *self;
    struct node on_engine;
    struct timer timer;
    struct ledger ledger; /* of max_total */
    uint64_t armed_ms;    /* the deadline in the heap */
    uint64_t warm_ms;     /* the next dial of a warm-up; 0: as soon as there is one */
    uint64_t adapted_ms;  /* sizes were looked at */
    uint64_t review_ms;   /* health is judged next; UINT64_MAX: nothing happened since */
    uint32_t retry_after_ms;
    uint32_t number;
    bool closing : 1;
    bool limit_told : 1;
    bool was_warm : 1;
    bool is_cold : 1; /* keys may be there that warm up */
    bool probes_off : 1;
    weir_event_fn *on_event; /* beside the engine's, or NULL */
    void *event_arg;
    uint32_t event_mask;
    struct counters counters;
    struct window window;
    struct forecast forecast;
    struct explain explain;
    char name[64];
};

struct weir_engine {
    uint64_t now_ms;
    struct slots conns, leases, keys;
    struct map by_key;
    struct arena texts;
    struct slots groups;
    struct map by_group;
    struct arena group_texts;
    struct heap timers;
    struct rand rand;
    struct list pools;
    struct list todo;    /* connections whose connector is to be told something */
    struct list answers; /* leases whose callback is due */
    struct list unused;  /* keys without connection, waiter, failure or pin, longest unused first */
    struct ring events;
    uint64_t events_lost;
    uint64_t hash_seed;
    weir_event_fn *on_event;
    void *event_arg;
    uint32_t event_mask;
    uint32_t waiting_max;
    uint32_t pools_max;
    uint32_t pool_numbers;
    uint64_t turns;                /* leases so far */
    const struct limit_port *port; /* NULL: limits are this engine's alone */
    struct map by_account;         /* its ledgers, when they are shared */
    struct alloc alloc;
    weir_allocator allocator;
    bool stepping : 1;
    bool slots_short : 1; /* somebody could not dial for want of a slot */
    const char *fault;
};

static inline uint64_t conn_id(const struct conn *conn)
{
    return slots_id_of(&conn->key->pool->engine->conns, conn);
}

static inline uint64_t lease_id(const struct lease *lease)
{
    return slots_id_of(&lease->key->pool->engine->leases, lease);
}
