/* SPDX-License-Identifier: Apache-2.0
 *
 * Files become PEM in memory, and every certificate and key is parsed once here to judge it.
 * Contexts parse them again.
 */
#include "io/file.h"
#include "io/oserror.h"
#include "io/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define RSA_BITS_MIN 2048
#define EC_BITS_MIN  224

static int read_pair(struct tls_pair *pair, const struct tls_identity *identity,
                     struct tls_fault *ret_fault);
static int read_ca(struct tls_profile *profile, const char *file, struct tls_fault *ret_fault);
static bool take_fingerprint(struct tls_profile *profile);

__attribute__((format(printf, 4, 5))) static int fault(struct tls_fault *ret_fault,
                                                       const char *file, int error,
                                                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(ret_fault->text, sizeof ret_fault->text, format, args);
    va_end(args);
    ret_fault->file = file;
    ERR_clear_error();
    return error;
}

static bool is_given(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = alloc_new(&alloc_libc, size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

int tls_profile_read(const struct tls_profile_options *opt, struct tls_profile **ret_profile,
                     struct tls_fault *ret_fault)
{
    *ret_fault = (struct tls_fault){0};
    struct tls_profile *profile = alloc_zeroed(&alloc_libc, sizeof *profile);
    if (profile == NULL) {
        return fault(ret_fault, NULL, -ENOMEM, "out of memory");
    }
    profile->users = 1;
    profile->min_version = opt->min_version;
    profile->offer = opt->offer;
    profile->unverified = opt->unverified;
    profile->sni = copy_of(is_given(opt->sni) ? opt->sni : "");
    profile->pairs = alloc_zeroed(&alloc_libc,
                                  (opt->identities_count + 1U) * sizeof *profile->pairs);
    int error = profile->sni == NULL || profile->pairs == NULL ? -ENOMEM : 0;
    if (error == 0 && opt->identities_count > TLS_CERTIFICATES_MAX) {
        error = fault(ret_fault, NULL, -E2BIG, "more than %u certificates", TLS_CERTIFICATES_MAX);
    }
    for (uint32_t i = 0; error == 0 && i < opt->identities_count; i++) {
        profile->count++;
        error = read_pair(&profile->pairs[i], &opt->identities[i], ret_fault);
    }
    if (error == 0 && is_given(opt->ca)) {
        error = read_ca(profile, opt->ca, ret_fault);
    }
    if (error == 0 && !take_fingerprint(profile)) {
        error = -ENOMEM;
    }
    if (error != 0) {
        tls_profile_free(profile);
        return ret_fault->text[0] != '\0' ? error : fault(ret_fault, NULL, error, "out of memory");
    }
    *ret_profile = profile;
    return 0;
}

struct tls_profile *tls_profile_join(struct tls_profile *profile)
{
    atomic_fetch_add(&profile->users, 1);
    return profile;
}

static void pem_free(struct tls_pem *pem)
{
    if (pem->text != NULL) {
        OPENSSL_cleanse(pem->text, pem->len);
    }
    alloc_free(&alloc_libc, pem->text);
    alloc_free(&alloc_libc, (char *)(uintptr_t)pem->file);
}

void tls_profile_free(struct tls_profile *take_profile)
{
    if (take_profile == NULL || atomic_fetch_sub(&take_profile->users, 1) > 1) {
        return;
    }
    for (uint32_t i = 0; i < take_profile->count; i++) {
        pem_free(&take_profile->pairs[i].certificate);
        pem_free(&take_profile->pairs[i].key);
    }
    pem_free(&take_profile->ca);
    alloc_free(&alloc_libc, take_profile->pairs);
    alloc_free(&alloc_libc, take_profile->sni);
    alloc_free(&alloc_libc, take_profile);
}

/* --- files -------------------------------------------------------------------------------------
 */

static int64_t modified_ns(const char *file)
{
    struct stat now;
    return stat(file, &now) == 0 ? (int64_t)now.st_mtim.tv_sec * 1000000000 + now.st_mtim.tv_nsec
                                 : 0;
}

/* `file` is the caller's, for the fault: it will be looked for among the options. */
static int read_pem(struct tls_pem *pem, const char *file, const char *text,
                    struct tls_fault *ret_fault)
{
    pem->file = copy_of(file);
    if (pem->file == NULL) {
        return -ENOMEM;
    }
    if (text != NULL) {
        pem->text = copy_of(text);
        pem->len = strlen(text);
        return pem->text != NULL ? 0 : -ENOMEM;
    }
    pem->modified_ns = modified_ns(file);
    int error = file_read(file, TLS_FILE_BYTES_MAX, NULL, &pem->text, &pem->len);
    return error == 0
               ? 0
               : fault(ret_fault, file, error, "cannot read %s: %s", file, oserror_text(error));
}

/* Nobody is there to be asked for a password. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the signature is OpenSSL's */
static int no_password(char *buf, int size, int writes, void *arg)
{
    (void)buf;
    (void)size;
    (void)writes;
    (void)arg;
    return -1;
}

static BIO *reader_of(const struct tls_pem *pem)
{
    return BIO_new_mem_buf(pem->text, (int)pem->len);
}

STACK_OF(X509) * tls_pem_certificates(const struct tls_pem *pem)
{
    STACK_OF(X509) *certificates = sk_X509_new_null();
    BIO *reader = reader_of(pem);
    while (certificates != NULL && reader != NULL) {
        X509 *certificate = PEM_read_bio_X509(reader, NULL, no_password, NULL);
        if (certificate == NULL || sk_X509_push(certificates, certificate) == 0) {
            X509_free(certificate);
            break;
        }
    }
    BIO_free(reader);
    bool ended = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
    ERR_clear_error();
    if (certificates != NULL && (!ended || sk_X509_num(certificates) == 0)) {
        sk_X509_pop_free(certificates, X509_free);
        return NULL;
    }
    return certificates;
}

EVP_PKEY *tls_pem_key(const struct tls_pem *pem)
{
    BIO *reader = reader_of(pem);
    EVP_PKEY *key = reader != NULL ? PEM_read_bio_PrivateKey(reader, NULL, no_password, NULL)
                                   : NULL;
    BIO_free(reader);
    return key;
}

/* --- judging -----------------------------------------------------------------------------------
 */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static const char *weakness_of(X509 *certificate)
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    int bits = key != NULL ? EVP_PKEY_get_bits(key) : 0;
    int kind = key != NULL ? EVP_PKEY_get_base_id(key) : 0;
    if ((kind == EVP_PKEY_RSA || kind == EVP_PKEY_RSA_PSS) && bits < RSA_BITS_MIN) {
        return "its RSA key has fewer than 2048 bits";
    }
    if (kind == EVP_PKEY_EC && bits < EC_BITS_MIN) {
        return "its elliptic curve has fewer than 224 bits";
    }
    int digest = NID_undef;
    if (X509_get_signature_info(certificate, &digest, NULL, NULL, NULL) == 1
        && (digest == NID_sha1 || digest == NID_md5)) {
        return "it is signed with a broken hash";
    }
    return NULL;
}

static void name_of(X509 *certificate, char ret_name[256])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    ret_name[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && ret_name[0] == '\0'; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS) {
            snprintf(ret_name, 256, "%.*s", ASN1_STRING_length(name->d.dNSName),
                     (const char *)ASN1_STRING_get0_data(name->d.dNSName));
        }
    }
    GENERAL_NAMES_free(names);
    if (ret_name[0] == '\0') {
        X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, ret_name,
                                  256);
    }
}

static int judge_pair(struct tls_pair *pair, const struct tls_identity *identity,
                      struct tls_fault *ret_fault)
{
    STACK_OF(X509) *chain = tls_pem_certificates(&pair->certificate);
    if (chain == NULL) {
        return fault(ret_fault, identity->certificate, -EINVAL, "%s holds no PEM certificate",
                     identity->certificate);
    }
    int error = 0;
    EVP_PKEY *key = tls_pem_key(&pair->key);
    X509 *leaf = sk_X509_value(chain, 0);
    if (key == NULL) {
        error = fault(ret_fault, identity->key, -EINVAL,
                      "%s holds no PEM private key that opens without a password", identity->key);
    } else if (X509_check_private_key(leaf, key) != 1) {
        error = fault(ret_fault, identity->key, -EINVAL,
                      "the key in %s does not belong to the certificate in %s", identity->key,
                      identity->certificate);
    } else {
        name_of(leaf, pair->name);
        pair->not_before_s = seconds_of(X509_get0_notBefore(leaf));
        pair->not_after_s = seconds_of(X509_get0_notAfter(leaf));
        pair->weakness = weakness_of(leaf);
        pair->kind = EVP_PKEY_get_base_id(key);
    }
    EVP_PKEY_free(key);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return error;
}

static int read_pair(struct tls_pair *pair, const struct tls_identity *identity,
                     struct tls_fault *ret_fault)
{
    int error = read_pem(&pair->certificate, identity->certificate, identity->certificate_text,
                         ret_fault);
    if (error == 0) {
        error = read_pem(&pair->key, identity->key, identity->key_text, ret_fault);
    }
    return error == 0 ? judge_pair(pair, identity, ret_fault) : error;
}

static int read_ca(struct tls_profile *profile, const char *file, struct tls_fault *ret_fault)
{
    int error = read_pem(&profile->ca, file, NULL, ret_fault);
    if (error != 0) {
        return error;
    }
    STACK_OF(X509) *authorities = tls_pem_certificates(&profile->ca);
    if (authorities == NULL) {
        return fault(ret_fault, file, -EINVAL, "%s holds no PEM certificate", file);
    }
    sk_X509_pop_free(authorities, X509_free);
    return 0;
}

/* --- what is told of it ------------------------------------------------------------------------
 */

static bool digest_add(EVP_MD_CTX *digest, const void *data, size_t len)
{
    uint64_t size = len;
    return EVP_DigestUpdate(digest, &size, sizeof size) == 1
           && EVP_DigestUpdate(digest, data, len) == 1;
}

/* The certificate stands for its key, so nothing of that goes in. */
static bool take_fingerprint(struct tls_profile *profile)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    const uint32_t plain[] = {(uint32_t)profile->min_version, profile->offer, profile->unverified};
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool good = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1
                && digest_add(digest, plain, sizeof plain)
                && digest_add(digest, profile->sni, strlen(profile->sni))
                && digest_add(digest, profile->ca.text, profile->ca.len);
    for (uint32_t i = 0; good && i < profile->count; i++) {
        good = digest_add(digest, profile->pairs[i].certificate.text,
                          profile->pairs[i].certificate.len);
    }
    good = good && EVP_DigestFinal_ex(digest, sum, NULL) == 1;
    EVP_MD_CTX_free(digest);
    for (size_t i = 0; good && i < (TLS_FINGERPRINT_MAX - 1) / 2; i++) {
        snprintf(profile->fingerprint + 2 * i, 3, "%02x", sum[i]);
    }
    return good;
}

const char *tls_profile_fingerprint(const struct tls_profile *profile)
{
    return profile->fingerprint;
}

uint32_t tls_profile_certificates(const struct tls_profile *profile)
{
    return profile->count;
}

void tls_profile_certificate(const struct tls_profile *profile, uint32_t index,
                             struct tls_certificate *ret)
{
    const struct tls_pair *pair = &profile->pairs[index];
    *ret = (struct tls_certificate){
        .file = pair->certificate.file,
        .name = pair->name,
        .not_before_s = pair->not_before_s,
        .not_after_s = pair->not_after_s,
        .weakness = pair->weakness,
    };
}

static bool is_outdated(const struct tls_pem *pem)
{
    return pem->modified_ns != 0 && modified_ns(pem->file) != pem->modified_ns;
}

bool tls_profile_is_outdated(const struct tls_profile *profile)
{
    bool outdated = is_outdated(&profile->ca);
    for (uint32_t i = 0; !outdated && i < profile->count; i++) {
        outdated = is_outdated(&profile->pairs[i].certificate)
                   || is_outdated(&profile->pairs[i].key);
    }
    return outdated;
}
