/* SPDX-License-Identifier: Apache-2.0 */
#include "io/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <openssl/x509_vfy.h>

static const struct {
    const char *word, *text;
} rows[] = {
#define TLS_ROW(name, word, text) {word, text},
    TLS_ERRORS(TLS_ROW)
#undef TLS_ROW
};

const char *tls_error_word(enum tls_error error)
{
    return rows[error].word;
}

const char *tls_error_text(enum tls_error error)
{
    return rows[error].text;
}

static enum tls_error of_verification(long why)
{
    switch (why) {
    case X509_V_ERR_CERT_HAS_EXPIRED: return TLS_EXPIRED;
    case X509_V_ERR_CERT_NOT_YET_VALID: return TLS_NOT_YET;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return TLS_WRONG_HOST;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: return TLS_SELF_SIGNED;
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED: return TLS_UNTRUSTED;
    case X509_V_ERR_CERT_REVOKED: return TLS_REVOKED;
    default: return TLS_BAD_CERTIFICATE;
    }
}

static enum tls_error of_reason(int reason)
{
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_RECORD_TOO_SMALL:
    case SSL_R_PACKET_LENGTH_TOO_LONG: return TLS_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION: return TLS_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS: return TLS_CIPHER;
    case SSL_R_NO_APPLICATION_PROTOCOL:
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: return TLS_ALPN;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: return TLS_NO_CERTIFICATE;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED: return TLS_REJECTED;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR: return TLS_LOCAL;
    default: break;
    }
    return reason >= SSL_AD_REASON_OFFSET ? TLS_ALERT : TLS_PROTOCOL;
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

enum tls_error tls_error_of(const struct tls *tls, const char **ret_detail)
{
    unsigned long first = ERR_peek_error();
    bool is_ours = ERR_GET_LIB(first) == ERR_LIB_SSL || ERR_GET_LIB(first) == ERR_LIB_X509;
    unsigned long why = is_ours ? first : ERR_peek_last_error();
    long verified = SSL_get_verify_result(tls->ssl);
    int reason = ERR_GET_REASON(why);
    ERR_clear_error();
    *ret_detail = "";
    if (verified != X509_V_OK && SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE
        && reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        *ret_detail = or_nothing(X509_verify_cert_error_string(verified));
        return of_verification(verified);
    }
    if (tls->ended && (why == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)) {
        return TLS_CLOSED;
    }
    if (tls->broken != 0) {
        return tls->broken == -ENOMEM ? TLS_LOCAL : TLS_RESET;
    }
    *ret_detail = or_nothing(ERR_reason_error_string(why));
    return why != 0 ? of_reason(reason) : TLS_PROTOCOL;
}
