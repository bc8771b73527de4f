/* SPDX-License-Identifier: Apache-2.0
 *
 * A ticket is a session that the client keeps for us, sealed with AES-256-CBC and HMAC-SHA-256
 * under keys that never leave this memory. at[0] seals; all of them open.
 */
#include "io/tls_parts.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/rand.h>
#include <string.h>

/* Made so often and kept so long that a key opens what it sealed for all of a ticket's life. */
#define KEYS_MAX (TLS_TICKET_LIFE_S * 1000U / TLS_TICKET_ROTATE_MS + 1)

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
    _Atomic uint32_t users;
    pthread_mutex_t lock;
    uint64_t rotated_ms;
    uint32_t count;
    struct ticket_key at[KEYS_MAX];
};

static bool key_make(struct ticket_key *key)
{
    return RAND_bytes(key->name, sizeof key->name) == 1
           && RAND_priv_bytes(key->cipher, sizeof key->cipher) == 1
           && RAND_priv_bytes(key->mac, sizeof key->mac) == 1;
}

int tls_tickets_new(uint64_t now_ms, struct tls_tickets **ret_tickets)
{
    struct tls_tickets *tickets = alloc_zeroed(&alloc_libc, sizeof *tickets);
    if (tickets == NULL) {
        return -ENOMEM;
    }
    if (!key_make(&tickets->at[0])) {
        alloc_free(&alloc_libc, tickets);
        return -EIO;
    }
    tickets->users = 1;
    tickets->count = 1;
    tickets->rotated_ms = now_ms;
    pthread_mutex_init(&tickets->lock, NULL);
    *ret_tickets = tickets;
    return 0;
}

struct tls_tickets *tls_tickets_join(struct tls_tickets *tickets)
{
    if (tickets != NULL) {
        atomic_fetch_add(&tickets->users, 1);
    }
    return tickets;
}

void tls_tickets_free(struct tls_tickets *take_tickets)
{
    if (take_tickets == NULL || atomic_fetch_sub(&take_tickets->users, 1) > 1) {
        return;
    }
    pthread_mutex_destroy(&take_tickets->lock);
    OPENSSL_cleanse(take_tickets->at, sizeof take_tickets->at);
    alloc_free(&alloc_libc, take_tickets);
}

/* Where no new key can be made the old one goes on. Another thread may have been here with a later
 * time. */
static void rotate(struct tls_tickets *tickets, uint64_t now_ms)
{
    struct ticket_key made;
    if (now_ms < tickets->rotated_ms + TLS_TICKET_ROTATE_MS || !key_make(&made)) {
        return;
    }
    /* Of those that were due meanwhile, all but this one sealed nothing. */
    uint64_t missed = (now_ms - tickets->rotated_ms) / TLS_TICKET_ROTATE_MS;
    uint32_t kept = missed < KEYS_MAX ? KEYS_MAX - (uint32_t)missed : 0;
    tickets->count = tickets->count < kept ? tickets->count : kept;
    memmove(&tickets->at[1], &tickets->at[0], tickets->count * sizeof tickets->at[0]);
    tickets->at[0] = made;
    tickets->count++;
    OPENSSL_cleanse(&tickets->at[tickets->count], (KEYS_MAX - tickets->count) * sizeof made);
    OPENSSL_cleanse(&made, sizeof made);
    tickets->rotated_ms = now_ms;
}

void tls_tickets_tick(struct tls_tickets *tickets, uint64_t now_ms)
{
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets, now_ms);
    pthread_mutex_unlock(&tickets->lock);
}

/* False: no such key, or no longer. */
static bool key_find(struct tls_tickets *tickets, uint64_t now_ms, const unsigned char *name,
                     struct ticket_key *ret, bool *ret_is_newest)
{
    bool found = false;
    pthread_mutex_lock(&tickets->lock);
    rotate(tickets, now_ms);
    for (uint32_t i = 0; !found && i < tickets->count; i++) {
        found = name == NULL || memcmp(name, tickets->at[i].name, 16) == 0;
        if (found) {
            *ret = tickets->at[i];
            *ret_is_newest = i == 0;
        }
    }
    pthread_mutex_unlock(&tickets->lock);
    return found;
}

static bool mac_begin(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_init(mac, key->mac, sizeof key->mac, params) == 1;
}

/* -1: fails; 0: no ticket; 1: good; 2: good, and to be replaced, as those of TLS 1.3 always are. */
int tls_tickets_callback(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                         EVP_MAC_CTX *mac, int seals)
{
    const struct tls *tls = SSL_get_app_data(ssl);
    struct tls_tickets *tickets = tls->contexts->tickets;
    const EVP_CIPHER *with = tls->desk->ticket_cipher;
    struct ticket_key key;
    bool is_newest = true;
    if (!key_find(tickets, loop_now_ms(tls->desk->loop), seals ? NULL : name, &key, &is_newest)) {
        return 0;
    }
    bool good;
    if (seals) {
        memcpy(name, key.name, sizeof key.name);
        good = RAND_bytes(iv, 16) == 1
               && EVP_EncryptInit_ex2(cipher, with, key.cipher, iv, NULL) == 1;
    } else {
        good = EVP_DecryptInit_ex2(cipher, with, key.cipher, iv, NULL) == 1;
    }
    good = good && mac_begin(mac, &key);
    OPENSSL_cleanse(&key, sizeof key);
    return !good ? -1 : is_newest && SSL_version(ssl) < TLS1_3_VERSION ? 1 : 2;
}
