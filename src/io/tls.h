/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.h - TLS as a stream over a stream (OpenSSL 3), at either end.
 *
 *     tls_open(…, take_below, …)          done(self, stream, result)
 *     ────────▶ handshake ────────────────────▶ an ordinary stream
 *                  └─ stream_close() at any time ends it, done() is not called
 *
 * Always true:
 *   - A connection at rest holds no buffer, neither ours nor OpenSSL's: what is read or written
 *     passes through the desk, of which there is one for each loop.
 *   - What is encrypted arrives by one read of `below` and leaves by one write, as far as it fits.
 *   - What the peer says for itself alone (tickets, key updates) is taken in without a word to the
 *     owner: read() answers -EAGAIN. So an idle connection is watched through TLS.
 *   - read() tells a close_notify (0) from a cut (-EPROTO).
 *   - No connection is up before its peer was verified, where that is asked for; no renegotiation;
 *     nothing below TLS 1.2; keys are never written anywhere.
 *
 * All of a desk, its contexts' use and its streams belong to one loop's thread. tls_text.h has the
 * words for what went wrong; tls_profile.h makes contexts.
 */
#pragma once
#include "io/loop.h"
#include "io/stream.h"

#include <stdbool.h>
#include <stdint.h>

#define TLS_TIMEOUT_MS 10000

/* What ALPN chose (RFC 7301), and, as bits, what is offered or taken; h2 is preferred. */
enum tls_alpn { TLS_ALPN_NONE, TLS_ALPN_HTTP1, TLS_ALPN_H2 };
#define TLS_OFFER_HTTP1 (1U << TLS_ALPN_HTTP1)
#define TLS_OFFER_H2    (1U << TLS_ALPN_H2)

/* Why a handshake failed: rows of enum, word of logs and metrics, text. */
#define TLS_ERRORS(ROW)                                                                            \
    ROW(OK, "ok", "")                                                                              \
    ROW(TIMEOUT, "timeout", "the TLS handshake took too long")                                     \
    ROW(CLOSED, "closed", "the peer hung up during the TLS handshake")                             \
    ROW(RESET, "reset", "the connection broke during the TLS handshake")                           \
    ROW(NOT_TLS, "not_tls", "the peer does not speak TLS")                                         \
    ROW(VERSION, "version", "no TLS version in common")                                            \
    ROW(CIPHER, "cipher", "no cipher suite in common")                                             \
    ROW(PROTOCOL, "protocol", "the peer broke the TLS protocol")                                   \
    ROW(ALPN, "alpn", "no application protocol in common")                                         \
    ROW(EXPIRED, "expired", "the peer's certificate has expired")                                  \
    ROW(NOT_YET, "not_yet_valid", "the peer's certificate is not valid yet")                       \
    ROW(WRONG_HOST, "wrong_host", "the peer's certificate is for another name")                    \
    ROW(SELF_SIGNED, "self_signed", "the peer's certificate is self-signed")                       \
    ROW(UNTRUSTED, "untrusted", "the peer's certificate is not signed by a trusted authority")     \
    ROW(REVOKED, "revoked", "the peer's certificate was revoked")                                  \
    ROW(BAD_CERTIFICATE, "bad_certificate", "the peer's certificate is not acceptable")            \
    ROW(NO_CERTIFICATE, "no_certificate", "the peer showed no certificate")                        \
    ROW(REJECTED, "rejected", "the peer does not accept our certificate")                          \
    ROW(ALERT, "alert", "the peer ended the TLS handshake with an alert")                          \
    ROW(LOCAL, "local", "TLS failed on our side")

enum tls_error {
#define TLS_ROW(name, word, text) TLS_##name,
    TLS_ERRORS(TLS_ROW)
#undef TLS_ROW
        TLS_ERROR_COUNT
};
const char *tls_error_word(enum tls_error error);
const char *tls_error_text(enum tls_error error);

/* --- a desk: TLS on one loop --------------------------------------------------------------------
 */

struct tls_desk;
int tls_desk_new(struct loop *loop, struct tls_desk **ret_desk); /* 0 or -errno */
void tls_desk_free(struct tls_desk *take_desk);                  /* its streams are closed */

/* --- connections --------------------------------------------------------------------------------
 */

struct tls_server; /* tls_profile.h */
struct tls_client;

struct tls_result {
    enum tls_error error;
    enum tls_alpn alpn;
    bool resumed;
    bool is_http; /* what it spoke instead was plain HTTP */
    uint32_t took_ms;
    const char *detail; /* in the library's words, until done() returns; "" */
};

typedef void tls_done_fn(void *self, struct stream *stream, const struct tls_result *result);

struct tls_options {
    struct tls_server *server; /* one of the two */
    struct tls_client *client;
    const char *host;  /* client: the name dialled; what the certificate must be for, and SNI,
                          unless the profile names another; copied */
    uint16_t port;     /* client: with host and `whose`, which tickets may be used */
    const char *whose; /* client: for whom it is. A ticket says who comes again, so it is shown for
                          whom it was given to, and for nobody else; NULL: for all; copied */
    unsigned offer;    /* client: TLS_OFFER_…, instead of the profile's; 0: the profile's */
    uint32_t timeout_ms; /* [TLS_TIMEOUT_MS] of the handshake; UINT32_MAX: none */
    tls_done_fn *done;   /* once, never from inside tls_open(). On an error the stream is still to
                            be closed, and good for nothing else. Owner and on_ready are set here. */
    void *self;
};

/* Begins a handshake over `take_below`, which is taken also on failure. 0 or -errno. */
int tls_open(struct tls_desk *desk, const struct tls_options *opt, struct stream *take_below,
             struct stream **ret_stream);

/* Of a stream whose handshake has succeeded. */
bool stream_is_tls(const struct stream *stream);
enum tls_alpn tls_alpn_of(const struct stream *stream);
/* The name that the client asked for (SNI), or ""; lives as long as the stream. */
const char *tls_server_name(const struct stream *stream);
const char *tls_version_of(const struct stream *stream); /* "TLSv1.3" */
/* The next close() says no close_notify, so that what was sent looks cut. */
void tls_close_silently(struct stream *stream);
