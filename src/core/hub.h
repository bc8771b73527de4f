/* SPDX-License-Identifier: Apache-2.0
 *
 * hub.h - the hub's half of a limit: whose credits are where. See limit.h for the messages.
 *
 * A plain struct without a thread or a lock: whoever owns it calls it from one thread at a time.
 * What it has to say waits at the addressee's door (hub_next) and takes no room that could run out:
 * of one account and one engine there is at most one grant, one refusal and one want, and a later
 * want replaces an earlier one.
 *
 * Fair: free credits go to those who need them in turns. Whoever holds none, or two less than the
 * richest, has the richest pressed to give some up; everybody else is asked for what lies idle.
 *
 * Where tenants are told apart (those of a pool), free credits go to the one that is furthest
 * behind, at the engine where it is, and who is ahead of another is pressed, too. How far one is:
 * the time for which it has had connections, and a turn for each that it has now. So it comes back
 * to the others within a turn or two, however the callers of each are spread over the engines.
 *
 * A connection that is given up whole goes to somebody who needs one, in the same turns, and its
 * credits with it; where nobody does any more, back. It waits at the door like everything else.
 */
#pragma once
#include "base/alloc.h"
#include "base/list.h"
#include "base/map.h"
#include "base/slots.h"
#include "core/arena.h"
#include "core/limit.h"

struct hub_options {
    uint32_t engines;        /* [1] numbered from 0; at most LIMIT_ENGINES_MAX */
    uint32_t accounts_max;   /* [5248] */
    uint32_t name_bytes_max; /* [3 MiB] */
    uint32_t parcels_max;    /* connections under way; one more is closed [1024] */
    uint64_t seed;
    /* The engine has something to fetch now and had nothing before; called from inside any hub
     * function. */
    void (*wake)(void *arg, uint32_t engine);
    void *wake_arg;
};

struct hub {
    struct slots accounts;
    struct map by_name;
    struct arena names;
    struct slots parcels;
    struct list doors[LIMIT_ENGINES_MAX]; /* shares with something to say to their engine */
    uint32_t joins;                       /* so far */
    struct hub_options opt;
};

/* False where memory is refused. */
bool hub_init(struct hub *hub, const struct alloc *alloc, const struct hub_options *opt);
void hub_fini(struct hub *hub);

/* What struct limit_port asks for, for one engine. The account number is the engine's own, and new
 * with each join: messages from before a leave go nowhere. Joining twice only sets the limit. 0: no
 * room. */
uint32_t hub_join(struct hub *hub, uint32_t engine, const char *name, uint32_t name_len,
                  uint32_t limit);
void hub_leave(struct hub *hub, uint32_t engine, uint32_t number);
/* A tenant of a pool that the engine has joined; it leaves before that. 0: no room. */
uint32_t hub_enroll(struct hub *hub, uint32_t engine, uint32_t pool_number, const char *name,
                    uint32_t name_len);
bool hub_take(struct hub *hub, uint32_t engine, uint32_t account);

/* A message of msg->engine. */
void hub_receive(struct hub *hub, const struct limit_msg *msg);

/* The next message to that engine; false when there is none. */
bool hub_next(struct hub *hub, uint32_t engine, struct limit_msg *ret_msg);

/* Credits out of the account of that name, and to that engine; for tests and reports. */
uint32_t hub_out(const struct hub *hub, const char *name, uint32_t name_len);

/* Checks every invariant, in linear time. */
void hub_verify(const struct hub *hub);
