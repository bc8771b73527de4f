/* SPDX-License-Identifier: Apache-2.0
 *
 * A profile at work: one SSL_CTX for each set of names, and which of them answers to a name.
 *
 * `struct tls_contexts` is immutable and counted: a server or client points at the present one, and
 * each connection at the one it began with. The lock is held for the time of taking a reference.
 */
#include "io/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Forward secret and authenticated; TLS 1.3 has nothing else anyway. Towards upstreams OpenSSL's
 * own list decides: a server that has nothing better is the user's to judge. */
#define SERVER_CIPHERS                                                                             \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"     \
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define SERVER_SUITES  "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
/* A client that chose a larger one could have us compute for milliseconds. */
#define SERVER_GROUPS  "X25519:P-256:P-384"
#define NAME_MAX_BYTES 255

/* What server and client have in common. */
struct station {
    pthread_mutex_t lock;
    struct tls_contexts *now;
    struct tls_desk *desk;
    struct tls_tickets *tickets;
    struct tls_counters counters;
};

struct tls_server {
    struct station station; /* first */
};

struct tls_client {
    struct station station; /* first */
    struct tls_memory *memory;
    _Atomic bool is_swapped; /* what was remembered belongs to the profile before */
};

static int contexts_new(struct tls_desk *desk, struct tls_profile *profile,
                        struct tls_tickets *tickets, bool is_server,
                        struct tls_contexts **ret_contexts);
static int on_new_session(SSL *ssl, SSL_SESSION *session);

/* --- server and client -------------------------------------------------------------------------
 */

static int station_init(struct station *station, struct tls_desk *desk, struct tls_profile *profile,
                        struct tls_tickets *tickets, bool is_server)
{
    station->desk = desk;
    int error = contexts_new(desk, profile, tickets, is_server, &station->now);
    if (error == 0) {
        station->tickets = tls_tickets_join(tickets);
        pthread_mutex_init(&station->lock, NULL);
    }
    return error;
}

static void station_fini(struct station *station)
{
    tls_contexts_leave(station->now);
    tls_tickets_free(station->tickets);
    pthread_mutex_destroy(&station->lock);
}

static struct tls_contexts *station_contexts(struct station *station)
{
    pthread_mutex_lock(&station->lock);
    struct tls_contexts *contexts = station->now;
    atomic_fetch_add(&contexts->users, 1);
    pthread_mutex_unlock(&station->lock);
    return contexts;
}

static int station_swap(struct station *station, struct tls_profile *profile, bool is_server)
{
    struct tls_contexts *next;
    int error = contexts_new(station->desk, profile, station->tickets, is_server, &next);
    if (error == 0) {
        pthread_mutex_lock(&station->lock);
        struct tls_contexts *last = station->now;
        station->now = next;
        pthread_mutex_unlock(&station->lock);
        tls_contexts_leave(last);
    }
    return error;
}

int tls_server_new(struct tls_desk *desk, struct tls_profile *profile, struct tls_tickets *tickets,
                   struct tls_server **ret_server)
{
    struct tls_server *server = alloc_zeroed(&alloc_libc, sizeof *server);
    int error = server == NULL ? -ENOMEM
                               : station_init(&server->station, desk, profile, tickets, true);
    if (error != 0) {
        alloc_free(&alloc_libc, server);
        return error;
    }
    *ret_server = server;
    return 0;
}

void tls_server_free(struct tls_server *take_server)
{
    if (take_server != NULL) {
        station_fini(&take_server->station);
        alloc_free(&alloc_libc, take_server);
    }
}

int tls_server_swap(struct tls_server *server, struct tls_profile *profile)
{
    return station_swap(&server->station, profile, true);
}

struct tls_contexts *tls_contexts_of_server(struct tls_server *server)
{
    return station_contexts(&server->station);
}

struct tls_counters *tls_server_tally(struct tls_server *server)
{
    return &server->station.counters;
}

const struct tls_counters *tls_server_counters(const struct tls_server *server)
{
    return &server->station.counters;
}

int tls_client_new(struct tls_desk *desk, struct tls_profile *profile,
                   struct tls_client **ret_client)
{
    struct tls_client *client = alloc_zeroed(&alloc_libc, sizeof *client);
    if (client == NULL) {
        return -ENOMEM;
    }
    client->memory = tls_memory_new();
    int error = client->memory == NULL ? -ENOMEM
                                       : station_init(&client->station, desk, profile, NULL, false);
    if (error != 0) {
        if (client->memory != NULL) {
            tls_memory_free(client->memory);
        }
        alloc_free(&alloc_libc, client);
        return error;
    }
    *ret_client = client;
    return 0;
}

void tls_client_free(struct tls_client *take_client)
{
    if (take_client != NULL) {
        station_fini(&take_client->station);
        tls_memory_free(take_client->memory);
        alloc_free(&alloc_libc, take_client);
    }
}

int tls_client_swap(struct tls_client *client, struct tls_profile *profile)
{
    int error = station_swap(&client->station, profile, false);
    if (error == 0) {
        atomic_store(&client->is_swapped, true);
    }
    return error;
}

struct tls_contexts *tls_contexts_of_client(struct tls_client *client)
{
    bool is_swapped = atomic_exchange(&client->is_swapped, false);
    struct tls_contexts *contexts = station_contexts(&client->station);
    tls_memory_serve(client->memory, contexts, is_swapped);
    return contexts;
}

struct tls_memory *tls_client_memory(struct tls_client *client)
{
    return client->memory;
}

struct tls_counters *tls_client_tally(struct tls_client *client)
{
    return &client->station.counters;
}

const struct tls_counters *tls_client_counters(const struct tls_client *client)
{
    return &client->station.counters;
}

/* --- names -------------------------------------------------------------------------------------
 */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tls_name *)a)->text, ((const struct tls_name *)b)->text);
}

static SSL_CTX *find_name(const struct tls_contexts *contexts, const char *text)
{
    const struct tls_name key = {.text = (char *)(uintptr_t)text};
    const struct tls_name *found = bsearch(&key, contexts->names, contexts->names_count, sizeof key,
                                           compare_names);
    return found != NULL ? found->context : NULL;
}

/* The certificate for a name: one that says just that, one for all of its siblings, or the first.
 */
static SSL_CTX *context_for(const struct tls_contexts *contexts, const char *name)
{
    char text[NAME_MAX_BYTES + 1];
    size_t len = strlen(name);
    if (len > NAME_MAX_BYTES) {
        return contexts->at[0];
    }
    for (size_t i = 0; i <= len; i++) {
        text[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
    }
    SSL_CTX *found = find_name(contexts, text);
    char *dot = strchr(text, '.');
    if (found == NULL && dot != NULL && dot > text) {
        dot[-1] = '*';
        found = find_name(contexts, dot - 1);
    }
    return found != NULL ? found : contexts->at[0];
}

static bool add_name(struct tls_contexts *contexts, const unsigned char *name, int len,
                     SSL_CTX *context)
{
    if (len <= 0 || len > NAME_MAX_BYTES || memchr(name, '\0', (size_t)len) != NULL) {
        return true; /* nobody can ask for it */
    }
    struct tls_name *grown = alloc_resize(&alloc_libc, contexts->names,
                                          (contexts->names_count + 1U) * sizeof *grown);
    if (grown == NULL) {
        return false;
    }
    contexts->names = grown;
    char *text = alloc_new(&alloc_libc, (size_t)len + 1);
    if (text == NULL) {
        return false;
    }
    for (int i = 0; i < len; i++) {
        text[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    }
    text[len] = '\0';
    grown[contexts->names_count++] = (struct tls_name){.text = text, .context = context};
    return true;
}

/* Names of the certificate; with none of them DNS, its common name (RFC 6125 §6.4.4). */
static bool add_names(struct tls_contexts *contexts, X509 *leaf, SSL_CTX *context)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    uint32_t before = contexts->names_count;
    bool good = true;
    for (int i = 0; good && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            good = add_name(contexts, ASN1_STRING_get0_data(name->d.dNSName),
                            ASN1_STRING_length(name->d.dNSName), context);
        }
    }
    GENERAL_NAMES_free(names);
    if (good && contexts->names_count == before) {
        char name[NAME_MAX_BYTES + 1];
        int len = X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name,
                                            sizeof name);
        good = add_name(contexts, (const unsigned char *)name, len, context);
    }
    return good;
}

/* Of several for the same name the first wins. */
static void sort_names(struct tls_contexts *contexts)
{
    uint32_t kept = 0;
    if (contexts->names_count == 0) {
        return;
    }
    qsort(contexts->names, contexts->names_count, sizeof contexts->names[0], compare_names);
    for (uint32_t i = 0; i < contexts->names_count; i++) {
        if (kept > 0 && strcmp(contexts->names[kept - 1].text, contexts->names[i].text) == 0) {
            alloc_free(&alloc_libc, contexts->names[i].text);
        } else {
            contexts->names[kept++] = contexts->names[i];
        }
    }
    contexts->names_count = kept;
}

/* --- callbacks ---------------------------------------------------------------------------------
 */

/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is OpenSSL's */
static int on_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)alert;
    const struct tls_contexts *contexts = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    SSL_CTX *context = context_for(contexts, name);
    if (context != contexts->at[0]) {
        SSL_set_SSL_CTX(ssl, context);
    }
    return SSL_TLSEXT_ERR_OK;
}

unsigned tls_alpn_wire(unsigned offer, unsigned char ret_wire[TLS_ALPN_WIRE_MAX])
{
    unsigned len = 0;
    if ((offer & TLS_OFFER_H2) != 0) {
        memcpy(ret_wire, "\2h2", 3);
        len = 3;
    }
    if ((offer & TLS_OFFER_HTTP1) != 0) {
        memcpy(ret_wire + len, "\10http/1.1", 9);
        len += 9;
    }
    return len;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    (void)ssl;
    const struct tls_contexts *contexts = arg;
    unsigned char wire[TLS_ALPN_WIRE_MAX];
    unsigned len = tls_alpn_wire(contexts->profile->offer, wire);
    unsigned char *chosen;
    unsigned char chosen_len;
    if (SSL_select_next_proto(&chosen, &chosen_len, wire, len, in, in_len)
        != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301 §3.2 */
    }
    for (unsigned at = 0; at < in_len; at += in[at] + 1U) { /* the client's copy outlives us */
        if (in[at] == chosen_len && memcmp(in + at + 1, chosen, chosen_len) == 0) {
            *out = in + at + 1;
            *out_len = chosen_len;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* Taken over by returning 1. */
static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls *tls = SSL_get_app_data(ssl);
    if (tls == NULL || tls->origin == NULL) {
        return 0;
    }
    tls_origin_remember(tls->origin, tls->contexts, session);
    return 1;
}

/* --- contexts ----------------------------------------------------------------------------------
 */

/* Where nothing may write it, nothing can leak it. */
static void forget_errors(int error)
{
    if (error != 0) {
        ERR_clear_error();
    }
}

static int use_pair(SSL_CTX *context, struct tls_contexts *contexts, const struct tls_pair *pair)
{
    STACK_OF(X509) *chain = tls_pem_certificates(&pair->certificate);
    EVP_PKEY *key = tls_pem_key(&pair->key);
    int error = chain == NULL || key == NULL ? -ENOMEM : 0;
    if (error == 0 && pair->weakness != NULL) {
        SSL_CTX_set_security_level(context, 1); /* the user was warned, and has his reasons */
    }
    if (error == 0) {
        X509 *leaf = sk_X509_shift(chain);
        if (SSL_CTX_use_cert_and_key(context, leaf, key, chain, 1) != 1) {
            error = -EINVAL;
        } else if (!add_names(contexts, leaf, context)) {
            error = -ENOMEM;
        }
        X509_free(leaf);
    }
    sk_X509_pop_free(chain, X509_free);
    EVP_PKEY_free(key);
    return error;
}

static int trust(SSL_CTX *context, const struct tls_contexts *contexts, bool is_server)
{
    STACK_OF(X509) *authorities = tls_pem_certificates(&contexts->profile->ca);
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    int error = authorities == NULL ? -ENOMEM : 0;
    for (int i = 0; error == 0 && i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        if (X509_STORE_add_cert(store, authority) != 1
            || (is_server && SSL_CTX_add_client_CA(context, authority) != 1)) {
            error = -ENOMEM;
        }
    }
    sk_X509_pop_free(authorities, X509_free);
    return error;
}

static int set_common(SSL_CTX *context, const struct tls_contexts *contexts)
{
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    int least = contexts->profile->min_version == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_min_proto_version(context, least) == 1 ? 0 : -EINVAL;
}

/* SSL_CTX_set1_groups_list() casts the const of a text away; this is what it calls. */
static long set_groups(SSL_CTX *context)
{
    return SSL_CTX_ctrl(context, SSL_CTRL_SET_GROUPS_LIST, 0, (void *)(uintptr_t)SERVER_GROUPS);
}

static int set_server(SSL_CTX *context, struct tls_contexts *contexts)
{
    const struct tls_profile *profile = contexts->profile;
    const unsigned char *id = (const unsigned char *)profile->fingerprint;
    int error = set_common(context, contexts);
    SSL_CTX_set_options(context, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets hold it all */
    SSL_CTX_set_timeout(context, TLS_TICKET_LIFE_S);
    SSL_CTX_set_tlsext_servername_callback(context, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(context, contexts);
    SSL_CTX_set_alpn_select_cb(context, on_alpn, contexts);
    /* A ticket is good only where the same is asked of a client. */
    if (error == 0
        && (SSL_CTX_set_cipher_list(context, SERVER_CIPHERS) != 1
            || SSL_CTX_set_ciphersuites(context, SERVER_SUITES) != 1 || set_groups(context) != 1
            || SSL_CTX_set_session_id_context(context, id, SSL_MAX_SID_CTX_LENGTH) != 1)) {
        error = -ENOMEM;
    }
    if (contexts->tickets != NULL) {
        SSL_CTX_set_num_tickets(context, 1);
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context, tls_tickets_callback);
    } else {
        SSL_CTX_set_num_tickets(context, 0);
        SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    }
    if (error == 0 && profile->ca.text != NULL) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        error = trust(context, contexts, true);
    }
    return error;
}

static int set_client(SSL_CTX *context, struct tls_contexts *contexts)
{
    const struct tls_profile *profile = contexts->profile;
    unsigned char wire[TLS_ALPN_WIRE_MAX];
    unsigned len = tls_alpn_wire(profile->offer, wire);
    int error = set_common(context, contexts);
    SSL_CTX_set_verify(context, profile->unverified ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context, on_new_session);
    if (error == 0 && len > 0 && SSL_CTX_set_alpn_protos(context, wire, len) != 0) {
        error = -ENOMEM;
    }
    if (error == 0 && profile->ca.text != NULL) {
        error = trust(context, contexts, false);
    } else if (error == 0 && !profile->unverified
               && SSL_CTX_set_default_verify_paths(context) != 1) {
        error = -ENOMEM;
    }
    return error;
}

static int context_new(struct tls_contexts *contexts, bool is_server, SSL_CTX **ret_context)
{
    SSL_CTX *context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (context == NULL) {
        return -ENOMEM;
    }
    int error = is_server ? set_server(context, contexts) : set_client(context, contexts);
    if (error != 0) {
        SSL_CTX_free(context);
        return error;
    }
    *ret_context = context;
    return 0;
}

static bool is_companion(const struct tls_pair *a, const struct tls_pair *b)
{
    return a->name[0] != '\0' && strcmp(a->name, b->name) == 0 && a->kind != b->kind;
}

/* An RSA and an ECDSA certificate for the same name share a context: the client's abilities choose.
 */
static SSL_CTX *companion_of(const struct tls_contexts *contexts, uint32_t index)
{
    const struct tls_profile *profile = contexts->profile;
    for (uint32_t i = 0; i < index && i < profile->count; i++) {
        if (is_companion(&profile->pairs[i], &profile->pairs[index])) {
            return contexts->at[i];
        }
    }
    return NULL;
}

static int fill(struct tls_contexts *contexts, bool is_server)
{
    const struct tls_profile *profile = contexts->profile;
    uint32_t pairs = is_server || profile->count > 0 ? profile->count : 1;
    contexts->at = alloc_zeroed(&alloc_libc, (pairs + 1U) * sizeof(SSL_CTX *));
    int error = contexts->at == NULL ? -ENOMEM : 0;
    for (uint32_t i = 0; error == 0 && i < pairs; i++) {
        SSL_CTX *context = companion_of(contexts, i);
        if (context != NULL) {
            SSL_CTX_up_ref(context);
        } else {
            error = context_new(contexts, is_server, &context);
        }
        if (error == 0) {
            contexts->at[contexts->count++] = context;
            error = i < profile->count ? use_pair(context, contexts, &profile->pairs[i]) : 0;
        }
    }
    sort_names(contexts);
    return error;
}

static int contexts_new(struct tls_desk *desk, struct tls_profile *profile,
                        struct tls_tickets *tickets, bool is_server,
                        struct tls_contexts **ret_contexts)
{
    if (is_server && profile->count == 0) {
        return -EINVAL;
    }
    struct tls_contexts *contexts = alloc_zeroed(&alloc_libc, sizeof *contexts);
    if (contexts == NULL) {
        return -ENOMEM;
    }
    contexts->users = 1;
    contexts->profile = tls_profile_join(profile);
    contexts->tickets = tls_tickets_join(tickets);
    contexts->desk = desk;
    int error = fill(contexts, is_server);
    forget_errors(error);
    if (error != 0) {
        tls_contexts_leave(contexts);
        return error;
    }
    *ret_contexts = contexts;
    return 0;
}

void tls_contexts_leave(struct tls_contexts *contexts)
{
    if (contexts == NULL || atomic_fetch_sub(&contexts->users, 1) > 1) {
        return;
    }
    for (uint32_t i = 0; i < contexts->count; i++) {
        SSL_CTX_free(contexts->at[i]);
    }
    for (uint32_t i = 0; i < contexts->names_count; i++) {
        alloc_free(&alloc_libc, contexts->names[i].text);
    }
    alloc_free(&alloc_libc, contexts->names);
    alloc_free(&alloc_libc, contexts->at);
    tls_tickets_free(contexts->tickets);
    tls_profile_free(contexts->profile);
    alloc_free(&alloc_libc, contexts);
}
