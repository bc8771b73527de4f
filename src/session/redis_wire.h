/* SPDX-License-Identifier: Apache-2.0
 *
 * redis_wire.h - sessions as a Redis keeps them: keys, scripts, commands, and what is said in
 * return. Pure.
 *
 *   {p}:s:{bbb}:<id>   HASH   u a k st          user, account, key, status
 *                             t                 packed: expires, last activity, created, until when
 *                                               it is served from its place: ms of the server's
 *                                               time, in 6 bytes; that place's epoch, in 4; codes
 *                                               of user, account and key, in 2
 *                             pl                the place
 *                             @name             an attribute
 *                             r<origin>         "requests errors" that this origin has counted
 *                             o<origin>         what this origin has written, or read, last: names
 *                                               and signatures of u a k st @name, in MessagePack
 *   {p}:t:{bbb}:<id>   tombstone: where the session went, or ""
 *   {p}:i:{bbb}:<nn>   ZSET   <id>              a list of sessions of those bits, by five bits of
 *                                               their users' codes, or of their ids without a user;
 *                                               score: when it ends, in spans of 1024 s, then ten
 *                                               bits of each code
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
 *
 * A session is in one list, which the script that writes it writes first: when it is created or
 * told anew, when its user, account or key changes, and when it lives on into another span. To look
 * for a user, one list of each bbb is read, for an account or a key all of them: what they hold are
 * hints, and what the sessions say counts. Some 30 entries are in a list at a million sessions,
 * packed: 32 bytes each, where a list for each name would take three entries, and a key for whoever
 * has one session. Codes are SipHash under the secret: nobody can aim at a list.
 */
#pragma once
#include <weir/session.h>

#include "base/bytes.h"
#include "base/siphash.h"
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

#define REDIS_ID    16U /* bytes, as a list has it */
#define REDIS_LISTS 32U /* of a tag */

enum redis_script { REDIS_MERGE, REDIS_BURY, REDIS_READ, REDIS_LEASE, REDIS_FIND, REDIS_SCRIPTS };

struct redis_wire {
    char prefix[REDIS_PREFIX_MAX + 1];
    char origin[17];
    uint64_t slack_ms;        /* how much longer than the session what is known of it is kept */
    struct siphash_key names; /* of codes */
    char sha[REDIS_SCRIPTS][REDIS_SHA + 1];
};

/* False: no such prefix; OpenSSL has no SHA-1. `names` is the caller's to set. */
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
/* Of a merge of so many; and how many lists were none. False: some are REDIS_REFUSED. */
bool redis_wire_verdicts(const struct resp_value *value, const struct resp_walk *inside,
                         struct redis_verdict_of *ret, uint32_t count, uint32_t *ret_spoilt);

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

/* --- finding: redis_wire_find.c -----------------------------------------------------------------
 */

#define REDIS_LISTS_MAX 128U /* that one question is about, */
#define REDIS_ROWS_MAX  100U /* and the rows that its answer may have */

/* The most significant byte first. */
void redis_wire_binary(weir_session_id id, char ret_id[REDIS_ID]);
/* Not 0; 0: there is no name. */
uint32_t redis_wire_code(const struct redis_wire *wire, enum session_name kind, struct slice name);

/* What is looked for: names of other processes, too. "" and 0: any. */
struct redis_wanted {
    char user[WEIR_SESSION_NAME_MAX + 1], account[WEIR_SESSION_NAME_MAX + 1],
        key[WEIR_SESSION_NAME_MAX + 1], place[WEIR_SESSION_NAME_MAX + 1];
    weir_session_status status;
};

/* How many lists of each tag may have what is wanted. */
uint32_t redis_wire_lists(const struct redis_wanted *wanted);
/* `count` lists from the first-th on, those of the first tag first, where all tags have so many;
 * `passed` entries of the first are passed over. count ≤ REDIS_LISTS_MAX; rows ≤ REDIS_ROWS_MAX. */
struct redis_span {
    uint32_t first, count;
    uint64_t passed;
    uint32_t rows; /* that are wanted */
};
bool redis_wire_find(const struct redis_wire *wire, struct bytes *out,
                     const struct redis_wanted *wanted, const struct redis_span *span);

struct redis_row {
    weir_session session;
    uint32_t list;  /* after the first */
    uint64_t entry; /* < 2^32 - 1, as `passed`: both fit half a word */
};

struct redis_rows {
    uint32_t lists;  /* that are done */
    uint64_t passed; /* entries of the next one that are */
    uint32_t spoilt; /* lists that were none */
    uint32_t count;
    struct redis_row *rows; /* the caller's, of REDIS_ROWS_MAX */
};

/* False: an error, or nonsense. `count`: lists that were asked for. */
bool redis_wire_rows(const struct resp_value *value, struct resp_walk *inside, uint32_t count,
                     struct redis_rows *ret);
