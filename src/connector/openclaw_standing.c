/* SPDX-License-Identifier: Apache-2.0 */
#include "connector/openclaw_standing.h"

#include "base/check.h"
#include "connector/openclaw.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <string.h>

#define BUCKETS 256U

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct claw_standing *buckets[BUCKETS];

/* --- who ----------------------------------------------------------------------------------------
 */

/* With its NUL, so that no two lists of texts are alike; a missing one is another than "". */
static bool add(EVP_MD_CTX *digest, const char *text)
{
    return EVP_DigestUpdate(digest, text != NULL ? "+" : "-", 1) == 1
           && (text == NULL || EVP_DigestUpdate(digest, text, strlen(text) + 1) == 1);
}

static bool add_account(EVP_MD_CTX *digest, const struct claw_account *account)
{
    const struct claw_identity *identity = account->identity;
    bool is_fine = add(digest, account->path) && add(digest, account->token)
                   && add(digest, account->password)
                   && add(digest, identity != NULL ? claw_identity_device(identity)->id : NULL);
    for (size_t i = 0; is_fine && account->scopes != NULL && i < account->scopes_count; i++) {
        is_fine = add(digest, account->scopes[i]);
    }
    return is_fine;
}

static bool add_key(EVP_MD_CTX *digest, const weir_key *key)
{
    return add(digest, key->scheme) && add(digest, key->host)
           && EVP_DigestUpdate(digest, &key->port, sizeof key->port) == 1
           && add(digest, key->source) && add(digest, key->proxy) && add(digest, key->tls);
}

bool claw_who(const struct claw_account *account, const weir_key *key,
              uint8_t ret_who[CLAW_WHO_BYTES])
{
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    unsigned len = 0;
    bool is_fine = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1
                   && add_key(digest, key) && add_account(digest, account)
                   && EVP_DigestFinal_ex(digest, ret_who, &len) == 1 && len == CLAW_WHO_BYTES;
    EVP_MD_CTX_free(digest);
    return is_fine;
}

/* --- all of one who -----------------------------------------------------------------------------
 *
 * Locked.
 */

static struct claw_standing **bucket_of(const struct claw_standing *standing)
{
    return &buckets[standing->who[0] % BUCKETS];
}

static bool is_same(const struct claw_standing *a, const struct claw_standing *b)
{
    return memcmp(a->who, b->who, sizeof a->who) == 0;
}

/* What this one knows is known to all. */
static void spread(const struct claw_standing *standing)
{
    for (struct claw_standing *it = *bucket_of(standing); it != NULL; it = it->next) {
        if (it != standing && is_same(it, standing)) {
            it->verdict = standing->verdict;
        }
    }
}

static void turn(struct claw_standing *standing, enum claw_standing_state state)
{
    standing->verdict.state = state;
    spread(standing);
}

/* --- what is known of it ------------------------------------------------------------------------
 */

void claw_standing_open(struct claw_standing *standing, const uint8_t who[CLAW_WHO_BYTES])
{
    if (standing->is_open) {
        return;
    }
    *standing = (struct claw_standing){.is_open = true};
    memcpy(standing->who, who, sizeof standing->who);
    pthread_mutex_lock(&mutex);
    struct claw_standing **bucket = bucket_of(standing), *it = *bucket;
    while (it != NULL && !is_same(it, standing)) {
        it = it->next;
    }
    if (it != NULL) {
        standing->verdict = it->verdict;
    }
    standing->next = *bucket;
    *bucket = standing;
    pthread_mutex_unlock(&mutex);
}

void claw_standing_close(struct claw_standing *standing)
{
    if (!standing->is_open) {
        return;
    }
    pthread_mutex_lock(&mutex);
    struct claw_standing **at = bucket_of(standing);
    while (*at != standing) {
        check(*at != NULL);
        at = &(*at)->next;
    }
    *at = standing->next;
    pthread_mutex_unlock(&mutex);
    *standing = (struct claw_standing){0};
}

static enum claw_leave ask(struct claw_standing *standing)
{
    turn(standing, CLAW_ASKING);
    return CLAW_ASK;
}

static void told(struct claw_standing *standing, uint64_t now_ms)
{
    standing->told = standing->verdict.serial;
    standing->again_ms = now_ms + standing->wait_ms;
}

static enum claw_leave hear(struct claw_standing *standing, uint64_t now_ms,
                            struct claw_refusal *ret_refusal)
{
    if (standing->told != standing->verdict.serial) {
        told(standing, now_ms);
    }
    *ret_refusal = standing->verdict.refusal;
    return CLAW_STOP;
}

/* To who has heard of it: whether it is too early to ask again. */
static bool is_in_force(const struct claw_standing *standing, uint64_t now_ms, uint32_t kept_ms)
{
    const struct claw_verdict *verdict = &standing->verdict;
    uint64_t kept = kept_ms > CLAW_STANDING_KEPT ? kept_ms : CLAW_STANDING_KEPT;
    /* Another thread's loop may have read its clock later than ours. */
    bool is_fresh = now_ms <= verdict->since_ms || now_ms - verdict->since_ms < kept;
    return standing->told == verdict->serial ? now_ms < standing->again_ms : is_fresh;
}

enum claw_leave claw_standing_enter(struct claw_standing *standing, uint64_t now_ms,
                                    uint32_t kept_ms, struct claw_refusal *ret_refusal)
{
    enum claw_leave leave = CLAW_WAIT;
    check(standing->is_open);
    pthread_mutex_lock(&mutex);
    switch (standing->verdict.state) {
    case CLAW_ASKING: break;
    case CLAW_WELCOME: leave = CLAW_GO; break;
    case CLAW_DOUBT: leave = ask(standing); break;
    case CLAW_DENIED:
        leave = is_in_force(standing, now_ms, kept_ms) ? hear(standing, now_ms, ret_refusal)
                                                       : ask(standing);
        break;
    }
    pthread_mutex_unlock(&mutex);
    return leave;
}

void claw_standing_gave_up(struct claw_standing *standing)
{
    pthread_mutex_lock(&mutex);
    if (standing->verdict.state == CLAW_ASKING) {
        turn(standing, CLAW_DOUBT);
    }
    pthread_mutex_unlock(&mutex);
}

void claw_standing_welcomed(struct claw_standing *standing)
{
    pthread_mutex_lock(&mutex);
    turn(standing, CLAW_WELCOME);
    pthread_mutex_unlock(&mutex);
}

void claw_standing_forgiven(struct claw_standing *standing)
{
    pthread_mutex_lock(&mutex);
    standing->again_ms = 0;
    pthread_mutex_unlock(&mutex);
}

void claw_standing_denied(struct claw_standing *standing, uint64_t now_ms,
                          const struct claw_refusal *refusal)
{
    pthread_mutex_lock(&mutex);
    struct claw_verdict *verdict = &standing->verdict;
    verdict->serial++;
    told(standing, now_ms);
    verdict->since_ms = now_ms;
    verdict->refusal = *refusal;
    turn(standing, CLAW_DENIED);
    pthread_mutex_unlock(&mutex);
}

void claw_standing_doubt(struct claw_standing *standing)
{
    pthread_mutex_lock(&mutex);
    if (standing->verdict.state == CLAW_WELCOME) {
        turn(standing, CLAW_DOUBT);
    }
    pthread_mutex_unlock(&mutex);
}
