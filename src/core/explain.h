/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.h - the last decisions of a pool, kept so that it can say why it did what it did.
 *
 * Equal decisions about the same key in a row, or in turns with one other, are one entry with a
 * count: a busy key does not push the others out by doing the same thing again.
 */
#pragma once
#include <weir/weir.h>

#define EXPLAIN_ENTRIES 64U

struct key;
struct conn;

enum decision {
#define DECISION(NAME, text) DECIDED_##NAME,
#include "core/decision.def"
#undef DECISION
    DECISIONS
};

struct explain_entry {
    const struct key *key; /* NULL: forgotten since */
    uint64_t conn_id;      /* 0: none in particular */
    uint64_t first_ms, last_ms;
    uint32_t times;
    uint8_t decision;
    uint8_t why;
};

struct explain {
    struct explain_entry entries[EXPLAIN_ENTRIES];
    uint32_t written; /* so far; the latest is at (written - 1) % EXPLAIN_ENTRIES */
};

/* conn may be NULL; why WEIR_OK where the decision says it all. */
void explain(struct key *key, enum decision decision, const struct conn *conn, weir_err why);

/* The key is about to go: entries about it say nothing more. */
void explain_forget(struct explain *ring, const struct key *key);
