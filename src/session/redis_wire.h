/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_wire.h - sessions as a Redis keeps them: keys, scripts, commands, and what is said in
 * return. Pure.
 *
 *   {p}:s:{bbb}:<id>   HASH   u a k st          user, account, key, status
 *                             t                 packed: expires, last activity, created, until when
 *                                               it is served from its place: ms of the server's
 *                                               time, in 6 bytes; and that place's epoch, in 4
 *                             pl                the place
 *                             @name             an attribute
 *                             r<origin>         "requests errors" that this origin has counted
 *                             o<origin>         what this origin has written, or read, last: names
 *                                               and signatures of u a k st @name, in MessagePack
 *   {p}:t:{bbb}:<id>   tombstone: where the session went, or ""
 *   {p}:a:{bbb}:<id>   affinity without a session
 *   {p}:l:{bbb}:<name> HASH   <holder>          a limit that many share: what that one has of it
 *                             t                 and of its rate (lease.h)
 *   {p}:e              the store's epoch: who finds another one than before, finds another store
 *   {p}:e:{bbb}        the same of those bits alone: in a Cluster, each node may lose its own
 *
 * bbb are ten bits of the id, and the tag of a Cluster's slot: a session and its tombstone are
 * together. Every write is an idempotent merge of one script, which many may share: counters are
 * absolute values of their origin, last activity and expiry take the maximum, of user, account,
 * key, status and attributes each is its last writer's (who has changed it, not who has an old
 * one), a tombstone wins, a place is the first one's of its epoch. What holds another type, or
 * garbage, is as good as nothing.
 */
#pragma once
#include <weir/session.h>

#include "base/bytes.h"
#include "proto/resp.h"
#include "proto/session_record.h"
#include "session/lease.h"

#define REDIS_PREFIX_MAX 64U
#define REDIS_SHA        40U
#define REDIS_TOGETHER                                                                             \
    128U /* sessions that are merged at once, while the server does nothing else */
/* Bytes of a session in a merge: its attributes, and those with signatures; names and place, all
 * but the place twice; numbers. */
#define REDIS_RECORD_MAX (12U << 10)

#define REDIS_TAGS     1024U
#define REDIS_UNTAGGED REDIS_TAGS

/* An id's tag, and the slot of a Cluster that all keys with it are in. */
uint32_t redis_wire_tag(weir_session_id id);
uint16_t redis_wire_slot(uint32_t tag);
/* Of a limit's name. */
uint32_t redis_wire_lease_tag(const char *name);

enum redis_script { REDIS_MERGE, REDIS_BURY, REDIS_READ, REDIS_LEASE, REDIS_SCRIPTS };

struct redis_wire {
    char prefix[REDIS_PREFIX_MAX + 1];
    char origin[17];
    uint64_t slack_ms; /* how much longer than the session what is known of it is kept */
    char sha[REDIS_SCRIPTS][REDIS_SHA + 1];
};

/* False: no such prefix; OpenSSL has no SHA-1. */
bool redis_wire_init(struct redis_wire *wire, const char *prefix, uint64_t origin,
                     uint64_t slack_ms);

/* Commands, each of which is one reply. False: `out` is full, or memory; or OpenSSL fails. */
bool redis_wire_scripts(struct bytes *out); /* REDIS_SCRIPTS of them: to be known */
/* Of a change that has no session. */
bool redis_wire_bury(const struct redis_wire *wire, struct bytes *out,
                     const weir_session_delta *change);
/* Of those that have: `order` says which, all of one slot where there are slots, and no more than
 * REDIS_TOGETHER. */
bool redis_wire_merge(const struct redis_wire *wire, struct bytes *out,
                      const weir_session_delta *changes, const uint32_t *order, uint32_t count);
bool redis_wire_read(const struct redis_wire *wire, struct bytes *out, weir_session_id id);
/* The epoch, which is `fresh` where there was none; of a tag, or REDIS_UNTAGGED. */
bool redis_wire_epoch(const struct redis_wire *wire, struct bytes *out, uint32_t tag,
                      uint64_t fresh);
/* The same, where there is one. */
bool redis_wire_epoch_again(const struct redis_wire *wire, struct bytes *out, uint32_t tag);
bool redis_wire_wait(struct bytes *out, uint32_t replicas, uint32_t timeout_ms);
/* Two commands: whose it is, and that it is so for longer. */
bool redis_wire_claim(const struct redis_wire *wire, struct bytes *out, weir_session_id id,
                      struct slice place, uint32_t ttl_ms);

bool redis_wire_lease(const struct redis_wire *wire, struct bytes *out,
                      const struct lease_ask *ask);

/* What a change was answered with. */
enum redis_verdict {
    REDIS_MERGED,
    REDIS_ENDED,    /* elsewhere: successor, left_ms */
    REDIS_MOVED_ON, /* it is served elsewhere: session.place, .epoch, .bound_ms */
    REDIS_VANISHED, /* it was known, and there is nothing */
    REDIS_REFUSED   /* an error, or nonsense */
};

struct redis_verdict_of {
    enum redis_verdict verdict;
    weir_session_id successor;
    uint64_t left_ms;
    weir_session session;
};

void redis_wire_verdict(const struct resp_value *value, const struct resp_walk *inside,
                        struct redis_verdict_of *ret);
/* Of a merge of so many. False: some are REDIS_REFUSED. */
bool redis_wire_verdicts(const struct resp_value *value, const struct resp_walk *inside,
                         struct redis_verdict_of *ret, uint32_t count);

/* What a read was answered with: WEIR_OK and the session, with its attributes; WEIR_ESTALE: there
 * is none; WEIR_EIO: an error, or nonsense. */
struct redis_found {
    weir_session session;
    char attrs[SESSION_ATTRS_MAX];
    size_t attrs_len;
};
weir_err redis_wire_found(const struct resp_value *value, struct resp_walk *inside,
                          struct redis_found *ret);

/* False: an error, or nonsense. */
bool redis_wire_leased(const struct resp_value *value, struct resp_walk *inside,
                       struct lease_answer *ret);
