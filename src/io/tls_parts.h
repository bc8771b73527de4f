/* SPDX-License-Identifier: Apache-2.0
 *
 * tls_parts.h - what the files of io/tls share. For io/tls*.c alone.
 *
 *   tls.c           desk, stream, handshake
 *   tls_profile.c   files, read and judged
 *   tls_context.c   profiles at work: SSL_CTX, SNI, ALPN
 *   tls_tickets.c   the keys of a server's tickets
 *   tls_memory.c    the tickets that a client was given
 *   tls_error.c     what went wrong, in our words
 */
#pragma once
#include "base/alloc.h"
#include "base/bytes.h"
#include "io/tls_profile.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#define TLS_RECORD_BYTES 16384U
#define TLS_DESK_BYTES   65536U
/* Behind a peer that does not read; what TLS says by itself (alerts, key updates) included. */
#define TLS_SPILL_MAX    (256U << 10)

struct tls;

/* One for each loop: what passes through its connections lies here, and only while it passes. */
struct tls_desk {
    struct loop *loop;
    EVP_CIPHER *ticket_cipher; /* fetched once, not by name for each ticket */
    BIO *bio;                  /* of all connections: it speaks for `served` */
    struct tls *served;
    struct tls_desk *inner; /* for TLS within TLS; NULL until there is some */
    uint32_t streams;
    bool dry;              /* `below` has no more for now */
    size_t in_from, in_to; /* read and not yet taken by OpenSSL */
    size_t out_used;       /* to be written at the end of the pass */
    char in[TLS_DESK_BYTES];
    char out[TLS_DESK_BYTES];
    char gather[TLS_RECORD_BYTES];
};

/* What could not pass yet. */
struct tls_spill {
    struct bytes in, out;
};

/* A handshake under way. */
struct tls_start {
    struct tls *tls;
    struct loop_timer timer;
    struct loop_later late;
    tls_done_fn *done;
    void *self;
    struct tls_result result;
    uint64_t began_ms;
    bool is_opening; /* inside tls_open(): done() has to wait */
};

struct tls {
    struct stream stream; /* first */
    struct tls_desk *desk;
    SSL *ssl;
    struct tls_contexts *contexts; /* a reference: what the profile of its time was */
    struct tls_origin *origin;     /* client: whose tickets; a reference; or NULL */
    struct tls_counters *counters; /* of server or client, while the handshake lasts */
    const char *server_name;       /* SNI, of OpenSSL's memory; "" */
    struct tls_start *start;       /* NULL: the handshake is over */
    struct tls_spill *spill;       /* NULL: nothing waits */
    struct loop_later again;       /* something readable is here, and not in the socket */
    int broken;                    /* -errno of `below`, or 0 */
    uint8_t wants;                 /* of the owner */
    uint8_t below_wants;
    bool ended : 1;    /* `below` is at its end */
    bool fin_due : 1;  /* shut `below` down once all is written */
    bool silent : 1;   /* close() says no close_notify */
    bool finished : 1; /* our close_notify was given */
    bool failed : 1;   /* OpenSSL will not go on */
    bool more : 1;     /* read() was stopped by its caller's buffer */
};

/* --- profiles ----------------------------------------------------------------------------------
 */

struct tls_pem {
    const char *file;
    char *text;
    size_t len;
    int64_t modified_ns;
};

struct tls_pair {
    struct tls_pem certificate, key;
    char name[256];
    int64_t not_before_s, not_after_s;
    const char *weakness;
    int kind; /* of the key: EVP_PKEY_… */
};

struct tls_profile {
    _Atomic uint32_t users;
    struct tls_pair *pairs;
    uint32_t count;
    struct tls_pem ca; /* file NULL: none */
    enum tls_version min_version;
    unsigned offer;
    char *sni;
    bool unverified;
    char fingerprint[TLS_FINGERPRINT_MAX];
};

struct tls_profile *tls_profile_join(struct tls_profile *profile);

/* Every certificate of a PEM text. NULL: memory, or not PEM. */
STACK_OF(X509) * tls_pem_certificates(const struct tls_pem *pem);
EVP_PKEY *tls_pem_key(const struct tls_pem *pem);

/* --- contexts ----------------------------------------------------------------------------------
 */

/* A name that a certificate is for: "a.example" or "*.example". */
struct tls_name {
    char *text;
    SSL_CTX *context; /* borrowed */
};

struct tls_contexts {
    _Atomic uint32_t users;
    struct tls_profile *profile;
    struct tls_tickets *tickets; /* server; NULL: none */
    struct tls_desk *desk;
    SSL_CTX **at;
    uint32_t count;
    struct tls_name *names; /* sorted */
    uint32_t names_count;
};

struct tls_contexts *tls_contexts_of_server(struct tls_server *server); /* a reference */
struct tls_contexts *tls_contexts_of_client(struct tls_client *client);
/* "\2h2\10http/1.1", of what is in `offer` (RFC 7301 §3.1). Its length. */
#define TLS_ALPN_WIRE_MAX 12U
unsigned tls_alpn_wire(unsigned offer, unsigned char ret_wire[TLS_ALPN_WIRE_MAX]);
void tls_contexts_leave(struct tls_contexts *contexts);
struct tls_counters *tls_server_tally(struct tls_server *server);
struct tls_counters *tls_client_tally(struct tls_client *client);
struct tls_memory *tls_client_memory(struct tls_client *client);

/* --- tickets -----------------------------------------------------------------------------------
 */

struct tls_tickets *tls_tickets_join(struct tls_tickets *tickets);
/* OpenSSL's callback; the SSL's application data is its struct tls. */
int tls_tickets_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int seals);

struct tls_memory;
struct tls_memory *tls_memory_new(void);
void tls_memory_free(struct tls_memory *take_memory); /* its origins live while they are used */
/* Tickets are had of these contexts alone from now on: those of others, and those that connections
 * of others still bring, are forgotten. Another profile may trust less than they did. */
void tls_memory_serve(struct tls_memory *memory, const struct tls_contexts *by, bool is_swapped);
/* Who answers there, to whom. */
struct tls_place {
    const char *host;
    uint16_t port;
    const char *whose; /* "": anybody */
};
/* A reference to it; NULL: no memory, and nothing is resumed. */
struct tls_origin *tls_origin_of(struct tls_memory *memory, const struct tls_place *place);
void tls_origin_leave(struct tls_origin *origin);
void tls_origin_remember(struct tls_origin *origin, const struct tls_contexts *by,
                         SSL_SESSION *take_session);
SSL_SESSION *tls_origin_recall(struct tls_origin *origin); /* a reference, or NULL */

/* --- errors ------------------------------------------------------------------------------------
 */

/* What the handshake that just failed failed of; empties OpenSSL's queue. */
enum tls_error tls_error_of(const struct tls *tls, const char **ret_detail);
