/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.h - a limit that is one, however many engines share it.
 *
 * A limit is an account of credits: one for each connection there may be. An engine's half, the
 * ledger, holds credits; the hub's half hands them out. An engine has at most as many connections
 * as credits, and the hub gives out at most as many as the limit: so the sum is exact, always,
 * whatever is under way between them. They speak in messages and need nothing of each other
 * but that messages of one sender arrive in their order, and before it leaves:
 *
 *      engine                                hub
 *        | ---- ask n ----------------------> |   my callers need n more, at present
 *        | <--------------------- grant n --- |   here are n
 *        | <---------------------- want n --- |   others need n of yours, at present
 *        | ---- return n -------------------> |   here are n back
 *        | ---- move -----------------------> |   here is one, and an idle connection with it
 *        | <------------------------- move -- |   the same, for my callers
 *        | ---- stand ----------------------> |   what a tenant has here, got, and asks for
 *
 * ask and want say how much is needed now, and replace what was said before; grant and return hand
 * over. An engine keeps credits that it does not use until the hub wants them. A `want` takes free
 * credits and those of idle connections at once: a connection of a key goes where the callers are
 * (move.h) if its connector can do that, and closes else. One that nobody needs any more comes
 * back. A pressing one (the engine holds more than its
 * share) also takes those of busy ones as they are released, after a turn of TURN_GRANTS: so a
 * limit below the number of engines starves none.
 *
 * The limit of a pool is shared out among its tenants, wherever their callers are: engines tell the
 * hub how they stand, a grant says whose it is, and a tenant that has more than another is pressed
 * to give up one of its connections (standing.h). Each has an account for that, without credits.
 *
 * Without a hub a ledger's credits are the limit, and the same code runs.
 */
#pragma once
#include <weir/weir.h>

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_ENGINES_MAX 128U
#define TURN_GRANTS       8U /* a key serves its own callers this often while others wait for room */

struct key;
struct group;

enum limit_word {
    LIMIT_ASK,
    LIMIT_GRANT,
    LIMIT_WANT,
    LIMIT_PRESS,
    LIMIT_RETURN,
    LIMIT_MOVE,
    LIMIT_STAND
};

/* What a tenant has at an engine (standing.h), and what it was given there since it was last said.
 */
struct limit_standing {
    uint32_t alive;    /* connections, but those that close */
    uint32_t fed;      /* credits that came for it, ever */
    uint32_t leases;   /* that ended */
    uint64_t spent_ms; /* of connections, by these */
    bool has_yielded;  /* as it was pressed to */
};

/* A connection on its way. Whoever has one and nowhere to put it drops it: parcel_drop(). */
struct limit_parcel {
    void *object; /* what its connector's `detach` gave */
    void (*attach)(void *self, weir_conn conn, void *object);
    uint32_t pool_account; /* a credit of this account comes with it, too; 0: none does */
    uint32_t uses, leases_max, idle_ms, probe_ms, latency_us;
    uint64_t created_ms, used_ms, since_ms, until_ms;
    uint8_t samples;
    uint32_t address;
    bool displaced;
    bool aged;
};

/* LIMIT_PRESS is a pressing want, of at least one. */
struct limit_msg {
    uint32_t account;
    uint16_t engine; /* who says it, or is told */
    uint8_t word;    /* enum limit_word */
    bool may_move;   /* WANT, PRESS: by others, who would like connections just as well */
    uint32_t count;
    uint32_t tenant; /* GRANT: the account of the tenant that it is for; 0: of none */
    struct limit_standing standing; /* STAND: and count is what it asks for */
    struct limit_parcel parcel;     /* MOVE */
};

/* On any thread. */
static inline void parcel_drop(const struct limit_parcel *parcel)
{
    parcel->attach(NULL, (weir_conn){0}, parcel->object);
}

/* --- the engine's half -------------------------------------------------------------------------
 */

struct ledger {
    uint32_t account; /* at the hub; 0: not shared */
    uint32_t credits; /* connections there may be now; UINT32_MAX: no limit */
    uint32_t asked;   /* what the hub believes is needed here */
    bool is_of_key : 1;
    bool is_of_tenant : 1;
    bool is_lent : 1;     /* free credits go back at once: peers come, and nobody dials ahead */
    bool may_move : 1;    /* what is wanted may be connections */
    uint32_t wanted : 26; /* what the hub wants back */
    bool is_pressing : 1;
    bool is_dry : 1;  /* the hub had none when it was last asked */
    uint64_t take_ms; /* nothing is taken ahead before: there was none */
};

/* How an engine reaches the hub. join and leave are called when a pool opens, is updated, a key is
 * interned, or either goes away; send at any time. All from the engine's thread; none may call the
 * engine. */
struct limit_port {
    void *arg;
    /* The account of that name, with that limit from now on; 0: the hub has no room for it. */
    uint32_t (*join)(void *arg, const char *name, uint32_t name_len, uint32_t limit);
    /* Its credits are all returned with it. What is on its way to this engine goes elsewhere; of a
     * connection that nobody gets the pool's credit comes back. */
    void (*leave)(void *arg, uint32_t account);
    /* One credit at once, if the hub has one free. NULL where the hub can only be written to. */
    bool (*take)(void *arg, uint32_t account);
    void (*send)(void *arg, const struct limit_msg *msg);
    uint32_t engines; /* that share the limits; 0: not known */
    /* A tenant of the pool that has that account, by a name of its own among all accounts; 0: the
     * hub has no room for it. NULL: the hub does not tell tenants apart. `leave` ends it. */
    uint32_t (*enroll)(void *arg, uint32_t pool_account, const char *name, uint32_t name_len);
};

/* Makes the engine share its limits, before its first pool opens; WEIR_ENOMEM. The port must
 * outlive it. */
weir_err engine_share(weir_engine *engine, const struct limit_port *port);

/* What the hub said. Not inside weir_step(); one is due afterwards. */
void engine_receive(weir_engine *engine, const struct limit_msg *msg);

/* Sets up the ledger of a pool and its tenants, or of a key, and follows a change of the limit.
 * WEIR_EKEYS: the hub has no room for another account. */
weir_err ledger_open(weir_pool *pool, struct key *key, uint32_t limit);
void ledger_close(weir_pool *pool, struct key *key);

/* The same for a tenant that has come, where its pool shares its limit. */
weir_err ledger_open_tenant(struct group *tenant);
void ledger_close_tenant(struct group *tenant);

/* Whether one more connection may be, where there are `used`. */
static inline bool ledger_has_room(const struct ledger *ledger, uint32_t used)
{
    return ledger->credits > used;
}

/* Whether the hub may have more for us than we hold. */
static inline bool ledger_may_grow(const struct ledger *ledger)
{
    return ledger->account != 0 && !ledger->is_dry;
}

/* Takes what the hub has at once, and tells it how many more are needed; says nothing twice. */
void ledger_ask(weir_engine *engine, struct ledger *ledger, uint32_t need);

/* Takes one that nobody needs, for a dial that nobody waits for; nobody gives up anything for that.
 * False: there is none, or was none a moment ago. */
bool ledger_take_ahead(weir_engine *engine, struct ledger *ledger);

/* Gives free credits back that the hub wants, or that are only lent. */
void ledger_settle(weir_engine *engine, struct ledger *ledger, uint32_t used);

/* --- the hub's half: hub.h -----------------------------------------------------------------------
 */
