/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_profile.h - who we are and whom we trust: certificates, authorities, versions, tickets.
 *
 * A *profile* is read from files once, by any thread, and is immutable: PEM in memory, checked. A
 * `struct tls_server` or `struct tls_client` is a profile at work on one desk. Another profile may
 * take its place at any time, from any thread: connections that are there keep what they began
 * with, those that come get the new one.
 */
#pragma once
#include "io/tls.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_CERTIFICATES_MAX 256U /* of one profile */
#define TLS_FILE_BYTES_MAX   (4U << 20)
#define TLS_FAULT_MAX        400U
#define TLS_FINGERPRINT_MAX  33U

enum tls_version { TLS_1_2, TLS_1_3 };

struct tls_identity {
    const char *certificate; /* a PEM file: the certificate, then its intermediates */
    const char *key;         /* a PEM file, may be the same */
    /* Instead of the files' contents, which are then names alone; or NULL. */
    const char *certificate_text, *key_text;
};

struct tls_profile_options {
    const struct tls_identity *identities; /* the first is for clients that name no host */
    uint32_t identities_count;             /* client: 0 or 1 */
    const char *ca;                        /* whom to trust; NULL or "": client: the system's;
                                              server: asks for no certificate */
    enum tls_version min_version;
    unsigned offer;  /* TLS_OFFER_… */
    const char *sni; /* client: instead of the host dialled; NULL or "" */
    bool unverified; /* client: takes whatever certificate is shown */
};

/* What is wrong, and with which file. */
struct tls_fault {
    const char *file; /* of the options; NULL: none in particular */
    char text[TLS_FAULT_MAX];
};

struct tls_profile;
/* Reads all files. 0, or -errno and why. Any thread; blocking. */
int tls_profile_read(const struct tls_profile_options *opt, struct tls_profile **ret_profile,
                     struct tls_fault *ret_fault);
void tls_profile_free(struct tls_profile *take_profile); /* those at work keep it alive */

/* Equal for profiles by which the same connection may be had, different for all others: for
 * weir_key.tls. */
const char *tls_profile_fingerprint(const struct tls_profile *profile);

/* One of its certificates, as seen by `weir check` and the metrics. */
struct tls_certificate {
    const char *file;
    const char *name;                  /* the first name it is for */
    int64_t not_before_s, not_after_s; /* Unix time */
    const char *weakness;              /* NULL, or what is weak about its key or signature */
};
uint32_t tls_profile_certificates(const struct tls_profile *profile);
void tls_profile_certificate(const struct tls_profile *profile, uint32_t index,
                             struct tls_certificate *ret);

/* Whether one of its files has another content or time than when it was read. Blocking. */
bool tls_profile_is_outdated(const struct tls_profile *profile);

/* --- tickets: resumption without state (RFC 5077, RFC 8446 §4.6.1) ------------------------------
 *
 * The keys are shared by all workers of a listener, and change: one that was retired still opens
 * tickets until none of its can be valid. Any thread. */

#define TLS_TICKET_LIFE_S    7200U
#define TLS_TICKET_ROTATE_MS 3600000U

struct tls_tickets;
int tls_tickets_new(uint64_t now_ms, struct tls_tickets **ret_tickets);
void tls_tickets_free(struct tls_tickets *take_tickets); /* servers that use them keep them alive */
/* Makes a new key where the present one is old enough. Also done by the servers themselves. */
void tls_tickets_tick(struct tls_tickets *tickets, uint64_t now_ms);

/* --- at work ------------------------------------------------------------------------------------
 */

/* Any thread may read them, with tls_counter(). */
#define TLS_COUNTERS(ROW)                                                                          \
    ROW(handshakes, "handshakes that succeeded")                                                   \
    ROW(resumed, "of these, resumed")                                                              \
    ROW(failed[TLS_ERROR_COUNT], "handshakes that failed, by enum tls_error")

struct tls_counters {
#define TLS_ROW(name, text) _Atomic uint64_t name;
    TLS_COUNTERS(TLS_ROW)
#undef TLS_ROW
};

static inline uint64_t tls_counter(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* 0 or -errno; `tickets` NULL: nothing is resumed. */
int tls_server_new(struct tls_desk *desk, struct tls_profile *profile, struct tls_tickets *tickets,
                   struct tls_server **ret_server);
void tls_server_free(struct tls_server *take_server); /* streams keep what they need */
/* Another profile from now on. Any thread. 0, or -errno and nothing has changed. */
int tls_server_swap(struct tls_server *server, struct tls_profile *profile);
const struct tls_counters *tls_server_counters(const struct tls_server *server);

int tls_client_new(struct tls_desk *desk, struct tls_profile *profile,
                   struct tls_client **ret_client);
void tls_client_free(struct tls_client *take_client);
int tls_client_swap(struct tls_client *client, struct tls_profile *profile);
const struct tls_counters *tls_client_counters(const struct tls_client *client);
