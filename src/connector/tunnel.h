/* SPDX-License-Identifier: Apache-2.0
 *
 * tunnel.h - through a proxy: SOCKS5 (RFC 1928) or HTTP CONNECT over a stream that leads to the
 * proxy and, when it is open, to the target.
 *
 * Always true: not a byte of the target's is read, so that the stream is handed on as it is; a
 * proxy that fails is an error, never a reason to go without it.
 */
#pragma once
#include "base/text.h"
#include "io/stream.h"
#include "proto/connect.h"
#include "proto/socks5.h"

enum proxy_kind { PROXY_SOCKS5, PROXY_HTTP, PROXY_HTTPS };

#define PROXY_TEXT_MAX 1024U /* bytes of a proxy's URL */

/* Of "socks5://user:password@host:port", "http://…", "https://…". The slices point into `text`. */
struct proxy {
    enum proxy_kind kind;
    uint16_t port;     /* [1080, 80, 443] */
    struct slice host; /* without brackets */
    struct slice user, password;
    char text[PROXY_TEXT_MAX + 1]; /* host, user and password, each ended by NUL */
};

/* False: it is no such URL. User and password are percent-decoded (RFC 3986 §2.1); "socks5h" is
 * "socks5": names are resolved by the proxy in any case. */
bool proxy_parse(struct slice url, struct proxy *ret);
/* Of what proxy_parse() takes. */
bool proxy_is_https(struct slice url);

struct tunnel;
/* `error` is NULL where the tunnel is open, else what failed. The stream is handed back in any
 * case, wanting nothing. */
typedef void tunnel_fn(void *self, struct stream *stream, const char *error);

struct tunnel {
    tunnel_fn *done;
    void *self;
    struct stream *stream;
    bool is_socks5;
    union {
        struct socks5 socks5;
        struct connect connect;
    };
    uint16_t said_from, said_to;
    char said[CONNECT_SAID_MAX];
};

/* Begins over a connected stream, whose owner the tunnel becomes. `host` is the target's and lives
 * as long as the tunnel. done() may be called from inside stream events only, at most once; until
 * then the owner may close the stream itself, which ends the tunnel. False: the target cannot be
 * said; the stream is untouched. */
bool tunnel_begin(struct tunnel *tunnel, const struct proxy *proxy, struct slice host,
                  uint16_t port, struct stream *stream);
