/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.h - where the time of an upstream's requests went, as one worker knows it: the sums of
 * each phase by endpoint and by account, and the slowest requests.
 *
 *     queue ── connect ── tls ── first byte ── transfer        together: from its head to its end
 *
 * A request costs it a few additions; one that is among the slowest, a place in a heap. The slowest
 * are those of the last PROFILE_KEPT_MS to twice that: there are two lists, and the older one is
 * forgotten when the younger is as old. What was counted is since the worker began.
 */
#pragma once
#include "gateway/config.h"
#include "proto/http.h"

#include <stdbool.h>
#include <stdint.h>

#define PROFILE_SLOWEST_MAX 100U
#define PROFILE_KEPT_MS     600000U
#define PROFILE_PATH_MAX    80U

enum profile_phase {
    PROFILE_QUEUE,
    PROFILE_CONNECT,
    PROFILE_TLS,
    PROFILE_FIRST_BYTE,
    PROFILE_TRANSFER,
    PROFILE_PHASES
};

extern const char *const profile_phase_words[PROFILE_PHASES];

struct profile_row {
    uint64_t requests, failed; /* failed: without a whole answer, or with one of 5xx */
    uint64_t us[PROFILE_PHASES];
    uint64_t max_us; /* the slowest's total */
};

struct profile_slow {
    uint64_t total_us, ended_ms; /* ended: of the loop's clock */
    uint32_t us[PROFILE_PHASES];
    uint32_t endpoint, account; /* account: of an upstream with some */
    uint16_t status;
    uint8_t fault;
    bool reused;
    char method[8], path[PROFILE_PATH_MAX];
};

struct profile_slowest {
    uint32_t count;
    struct profile_slow heap[PROFILE_SLOWEST_MAX]; /* the fastest of them first */
};

struct profile {
    uint32_t users; /* of one thread */
    uint32_t endpoints_count, accounts_count;
    uint64_t begun_ms; /* the younger list */
    struct profile_slowest lists[2];
    uint8_t younger;
    struct profile_row rows[]; /* endpoints, then accounts */
};

/* What is known of a request that has ended. */
struct profile_entry {
    uint64_t now_ms;
    uint64_t queue_us;      /* from its head until there was a connection, the dial included */
    uint64_t first_byte_us; /* from its head to the answer's; 0: there was none */
    uint64_t total_us;
    struct http_took took;
    uint32_t endpoint, account;
    uint16_t status;
    uint8_t fault;
    bool reused;
    struct slice method, path; /* of one that profile_keeps() */
};

/* NULL: no memory, and nothing is known. */
struct profile *profile_new(const struct config_upstream *config);
/* One more user, who frees it, too. NULL is fine. */
struct profile *profile_join(struct profile *profile);
void profile_free(struct profile *take_profile); /* NULL is fine */

/* Whether one that took so long is among the slowest: who asked for what is asked of no other. */
bool profile_keeps(struct profile *profile, uint64_t now_ms, uint64_t total_us); /* NULL is fine */
/* NULL is fine. */
void profile_add(struct profile *profile, const struct profile_entry *entry);

/* A copy to be freed, of the same worker's thread; NULL: no memory. */
struct profile *profile_copy(const struct profile *profile, uint64_t now_ms);
/* Adds what another worker's copy knows; of the slowest, all of them remain the slowest. */
void profile_merge(struct profile *profile, const struct profile *other);
/* Its slowest in one list, the slowest first. How many; at most PROFILE_SLOWEST_MAX. */
uint32_t profile_slowest(const struct profile *profile,
                         const struct profile_slow *ret_slowest[PROFILE_SLOWEST_MAX]);
