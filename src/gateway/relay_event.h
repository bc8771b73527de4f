/* SPDX-License-Identifier: Apache-2.0
 *
 * relay_event.h - what a relay tells beside its pools' events: of accounts, conversations and
 * OpenClaw gateways.
 */
#pragma once
#include "base/text.h"

#include <stdint.h>

/* name, word */
#define RELAY_EVENTS(ROW)                                                                          \
    ROW(ACCOUNT_COOLED, "account_cooled")                                                          \
    ROW(ACCOUNT_RECOVERED, "account_recovered")                                                    \
    ROW(SESSION_REBOUND, "session_rebound")                                                        \
    ROW(OPENCLAW_DENIED, "openclaw_denied")

enum relay_event_kind {
#define RELAY_EVENT_ROW(name, word) RELAY_EVENT_##name,
    RELAY_EVENTS(RELAY_EVENT_ROW)
#undef RELAY_EVENT_ROW
        RELAY_EVENT_KINDS
};

struct relay_event {
    enum relay_event_kind kind;
    const char *upstream;
    const char *account;  /* whom it is about; of a conversation: who has it now */
    const char *from;     /* of a conversation: who had it; "": it is not known */
    const char *session;  /* … and its affinities_name(); NULL: it is about none */
    const char *why;      /* a word that lives as long as the program; of DENIED: the gateway's */
    const char *endpoint; /* of DENIED, to which neither account nor from says anything */
    struct slice family;  /* of models that it is about; empty: all */
    uint64_t for_ms;      /* of COOLED: how long */
};

/* On the relay's thread. */
typedef void relay_event_fn(void *self, const struct relay_event *event);

const char *relay_event_word(enum relay_event_kind kind);
