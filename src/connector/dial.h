/* SPDX-License-Identifier: Apache-2.0
 *
 * dial.h - from a name to a connected stream: Happy Eyeballs (RFC 8305).
 *
 * The name is resolved, the families interleaved (race.h), an attempt is begun every 250 ms or as
 * soon as the one before failed; the first that connects wins and the others are closed. The whole
 * has one deadline. Connectors dial, then speak their protocol on the stream.
 *
 * Through a proxy the proxy's name is resolved and raced, and the target's goes to the proxy as it
 * is (tunnel.h); TLS with the target comes behind that, on a time of its own. A target that is told
 * who a connection is really from (proto/proxy_protocol.h) hears that first of all, before TLS.
 *
 * done() is called exactly once, never from inside dial_start(), unless the dial was cancelled.
 */
#pragma once
#include "io/address.h"
#include "io/dns.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/tls.h"
#include "proto/proxy_protocol.h"

#define DIAL_ATTEMPT_DELAY_MS 250 /* RFC 8305 §5 */
#define DIAL_TIMEOUT_MS       10000

/* What failed: the word of logs and of metrics. */
enum dial_error {
    DIAL_OK,
    DIAL_DNS,         /* the name; result.dns says how */
    DIAL_REFUSED,     /* the peer said no */
    DIAL_UNREACHABLE, /* the network said no */
    DIAL_TIMEOUT,     /* nobody said anything */
    DIAL_RESET,       /* the peer hung up while connecting */
    DIAL_LOCAL,       /* no descriptor, no port, no memory, no such source address: our side */
    DIAL_TLS,         /* the handshake failed; result.tls says how */
    DIAL_TLS_TIMEOUT, /* it took too long */
    DIAL_PROXY        /* the proxy could not be reached or said no; result.proxy says how */
};
const char *dial_error_text(enum dial_error error); /* "ok", "dns", "refused", … */

/* Where it was, when it failed; each is passed but those that are not asked for. */
enum dial_step {
    DIAL_RESOLVING,
    DIAL_CONNECTING,
    DIAL_GREETING,   /* TLS with the proxy */
    DIAL_PASSING,    /* the proxy is told whom to connect to */
    DIAL_ANNOUNCING, /* the target is told whom it is for */
    DIAL_SECURING,   /* TLS with the target */
    DIAL_STEPS
};
const char *dial_step_text(enum dial_step step); /* "resolve", "connect", "proxy_tls", … */

struct dial_request {
    const char *host; /* a name or a literal address; copied */
    uint16_t port;
    const char *unix_path;        /* instead of host and port; copied */
    const char *source;           /* a literal local address to come from; NULL or "": any */
    const char *proxy;            /* as in weir_key (tunnel.h); NULL or "": none; copied */
    const char *tenant;           /* as in weir_key; NULL or "": nobody's; copied. TLS resumes what
                                     was the same tenant's from the same source by the same proxy */
    struct tls_client *proxy_tls; /* for a proxy of "https://" */
    uint32_t timeout_ms;          /* [DIAL_TIMEOUT_MS] of all of it but TLS with the target */
    uint32_t attempt_delay_ms;    /* [DIAL_ATTEMPT_DELAY_MS] */
    /* What the target is told first; 0: nothing. Copied. */
    unsigned announce_version;
    struct proxy_header announce;
    struct tls_desk *desk;   /* of the loop; where there is TLS */
    struct tls_client *tls;  /* NULL: plain */
    unsigned tls_offer;      /* TLS_OFFER_…, instead of what `tls` offers; 0: that */
    uint32_t tls_timeout_ms; /* [TLS_TIMEOUT_MS] of the handshake alone */
    /* The transport is up and the handshake begins: weir_conn_handshake(). May be NULL. */
    void (*on_transport)(void *self);
};

struct dial_result {
    enum dial_error error;
    struct stream *take_stream; /* connected, wanting nothing; NULL on an error */
    struct tls_result tls;      /* with TLS: alpn says what is to be spoken */
    const char *proxy;          /* why the proxy failed; a literal */
    struct address peer;        /* connected to; on an error the one it is about, or none */
    enum dns_error dns;
    int os_error; /* errno of the last attempt that failed, or 0 */
    uint32_t attempts;
    uint32_t dns_ms, connect_ms; /* how long each took */
    enum dial_step step;         /* the last one that was begun */
    uint32_t step_us[DIAL_STEPS];
};

struct dial;
typedef void dial_fn(void *self, const struct dial_result *result);

/* 0; -EINVAL: the request is none; -ENOMEM. */
int dial_start(struct loop *loop, struct dns *dns, const struct dial_request *request,
               dial_fn *done, void *self, struct dial **ret_dial);
/* Ends it, at any time before done(). */
void dial_cancel(struct dial *dial);
