/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_make.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* "DNS:localhost,IP:127.0.0.1" */
static bool add_names(X509 *certificate, const struct tls_make_options *opt)
{
    char text[4096];
    size_t used = 0;
    unsigned char ignored[16];
    for (uint32_t i = 0; i < opt->names_count; i++) {
        const char *name = opt->names[i];
        bool is_address = inet_pton(AF_INET, name, ignored) == 1
                          || inet_pton(AF_INET6, name, ignored) == 1;
        int len = snprintf(text + used, sizeof text - used, "%s%s:%s", i > 0 ? "," : "",
                           is_address ? "IP" : "DNS", name);
        if (len < 0 || (size_t)len >= sizeof text - used) {
            return false;
        }
        used += (size_t)len;
    }
    return add_extension(certificate, NID_subject_alt_name, text);
}

static bool set_serial(X509 *certificate)
{
    uint64_t serial = 0;
    return RAND_bytes((unsigned char *)&serial, sizeof serial) == 1
           && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1) == 1;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const struct tls_make_options *opt)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char *text = (const unsigned char *)opt->names[0];
    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate)
           && X509_gmtime_adj(X509_getm_notBefore(certificate), (long)opt->from_s) != NULL
           && X509_gmtime_adj(X509_getm_notAfter(certificate), (long)opt->to_s) != NULL
           && X509_set_pubkey(certificate, key) == 1
           && X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC, text, -1, -1, 0) == 1
           && X509_set_issuer_name(certificate, name) == 1
           && add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE")
           && add_names(certificate, opt) && X509_sign(certificate, key, EVP_sha256()) > 0;
}

static char *text_of(BIO *writer)
{
    char *data;
    long len = BIO_get_mem_data(writer, &data);
    char *text = len > 0 ? malloc((size_t)len + 1) : NULL;
    if (text != NULL) {
        memcpy(text, data, (size_t)len);
        text[len] = '\0';
    }
    return text;
}

static bool print(X509 *certificate, EVP_PKEY *key, char **ret_certificate, char **ret_key)
{
    BIO *first = BIO_new(BIO_s_mem()), *second = BIO_new(BIO_s_secmem());
    char *texts[2] = {NULL, NULL};
    if (first != NULL && second != NULL && PEM_write_bio_X509(first, certificate) == 1
        && PEM_write_bio_PrivateKey(second, key, NULL, NULL, 0, NULL, NULL) == 1) {
        texts[0] = text_of(first);
        texts[1] = text_of(second);
    }
    BIO_free(first);
    BIO_free(second);
    if (texts[0] == NULL || texts[1] == NULL) {
        free(texts[0]);
        free(texts[1]);
        return false;
    }
    *ret_certificate = texts[0];
    *ret_key = texts[1];
    return true;
}

int tls_make_self_signed(const struct tls_make_options *opt, char **ret_certificate, char **ret_key)
{
    EVP_PKEY *key = opt->is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    bool good = key != NULL && certificate != NULL && opt->names_count > 0
                && fill(certificate, key, opt) && print(certificate, key, ret_certificate, ret_key);
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return good ? 0 : -ENOMEM;
}
