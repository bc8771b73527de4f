/* SPDX-License-Identifier: Apache-2.0
 *
 * websocket_line.h - the connector of ws and wss: lines to servers on which nothing was said yet.
 *
 * A line is a connected stream, with TLS where the key's scheme is wss. What a lease brings is a
 * line; whoever holds the lease takes its stream, opens a WebSocket on it and says at the end that
 * it is over: a line serves once. One whose caller has left meanwhile waits in the pool for the
 * next and is watched: a server does not speak first. Names are looked up again as their answers
 * expire (names.h): one that waits for where a name no longer leads retires.
 */
#pragma once
#include <weir/weir.h>

struct dns;
struct loop;
struct stream;
struct tls_client;
struct tls_desk;
struct ws_liner;

struct ws_line_times {
    uint32_t connect_ms; /* WEIR_NEVER: none */
    uint32_t tls_ms;     /* of the handshake alone */
    uint32_t write_ms;
};

struct ws_liner_options {
    struct loop *loop;
    struct dns *dns;
    struct tls_desk *desk; /* of the loop; where a key's scheme may be wss */
    struct tls_client *tls;
    struct tls_client *proxy_tls; /* for proxies of https:// */
    struct ws_line_times times;
};

int ws_liner_new(const struct ws_liner_options *opt, struct ws_liner **ret_liner); /* 0, -errno */
/* Its pool has closed; before the dns does. */
void ws_liner_free(struct ws_liner *take_liner);
/* From now on wss is dialled, too. */
void ws_liner_secure(struct ws_liner *liner, struct tls_desk *desk, struct tls_client *tls);
/* The same for proxies of https://. */
void ws_liner_secure_proxies(struct ws_liner *liner, struct tls_desk *desk,
                             struct tls_client *proxy_tls);
/* Of lines that are dialled from now on. */
void ws_liner_update(struct ws_liner *liner, const struct ws_line_times *times);
/* The pool to report to. */
void ws_liner_serve(struct ws_liner *liner, weir_pool *pool);
extern const weir_connector ws_line_connector; /* the liner is .connector_self */

/* Who has a line. */
struct ws_line_user {
    void (*close)(struct ws_line_user *user, weir_err why); /* end it: ws_line_end() */
    void (*cut)(struct ws_line_user *user);                 /* shut the descriptor down */
};
/* `object` as the lease gave it. NULL: it has died meanwhile; ws_line_end() all the same. */
struct stream *ws_line_take(void *object, struct ws_line_user *user);
/* The stream is closed; the pool hears that the connection is gone, the lease stays to be
 * released. */
void ws_line_end(void *object, weir_err why);
