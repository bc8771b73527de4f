/* SPDX-License-Identifier: Apache-2.0
 *
 *   dialling ──▶ parked ──▶ taken ──▶ ended
 *      └── failed  └── the server spoke or left: down
 */
#include "connector/websocket_line.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "connector/dial.h"
#include "connector/http.h"
#include "connector/named.h"
#include "connector/names.h"
#include "io/socket.h"

#include <errno.h>
#include <string.h>

struct line {
    struct ws_liner *liner;
    struct dial *dial;     /* while it is dialled */
    struct stream *stream; /* while it is parked */
    struct ws_line_user *user;
    struct named named; /* liner->lines */
};

struct ws_liner {
    struct ws_liner_options opt;
    weir_pool *pool;
    struct names *names; /* NULL: nothing is resolved */
    struct list lines;
};

static void dialled(void *self, const struct dial_result *result);

int ws_liner_new(const struct ws_liner_options *opt, struct ws_liner **ret_liner)
{
    struct ws_liner *liner = alloc_zeroed(&alloc_libc, sizeof *liner);
    if (liner == NULL) {
        return -ENOMEM;
    }
    liner->opt = *opt;
    list_init(&liner->lines);
    int error = opt->dns != NULL ? names_new(opt->loop, opt->dns, &liner->names) : 0;
    if (error != 0) {
        alloc_free(&alloc_libc, liner);
        return error;
    }
    *ret_liner = liner;
    return 0;
}

void ws_liner_free(struct ws_liner *take_liner)
{
    if (take_liner != NULL) {
        check(list_is_empty(&take_liner->lines));
        names_free(take_liner->names);
        alloc_free(&alloc_libc, take_liner);
    }
}

void ws_liner_secure(struct ws_liner *liner, struct tls_desk *desk, struct tls_client *tls)
{
    liner->opt.desk = desk;
    liner->opt.tls = tls;
}

void ws_liner_secure_proxies(struct ws_liner *liner, struct tls_desk *desk,
                             struct tls_client *proxy_tls)
{
    liner->opt.desk = desk;
    liner->opt.proxy_tls = proxy_tls;
}

void ws_liner_update(struct ws_liner *liner, const struct ws_line_times *times)
{
    liner->opt.times = *times;
}

void ws_liner_serve(struct ws_liner *liner, weir_pool *pool)
{
    liner->pool = pool;
    if (liner->names != NULL) {
        names_serve(liner->names, pool);
    }
}

/* --- a line -------------------------------------------------------------------------------------
 */

static void line_free(struct line *line)
{
    if (line->dial != NULL) {
        dial_cancel(line->dial);
    }
    if (line->stream != NULL) {
        stream_close(line->stream);
    }
    list_remove(&line->liner->lines, &line->named.on_list);
    alloc_free(&alloc_libc, line);
}

static void line_down(struct line *line, weir_err why)
{
    weir_pool *pool = line->liner->pool;
    weir_conn id = line->named.id;
    line_free(line);
    weir_conn_down(pool, id, why);
}

static void on_transport(void *self)
{
    const struct line *line = self;
    weir_conn_handshake(line->liner->pool, line->named.id);
}

static int start(struct line *line, const weir_key *key)
{
    const struct ws_liner_options *opt = &line->liner->opt;
    bool is_tls = strcmp(key->scheme, "wss") == 0;
    if (is_tls && opt->tls == NULL) {
        return -EPROTONOSUPPORT;
    }
    const struct dial_request request = {
        .host = key->host,
        .port = key->port,
        .source = key->source,
        .proxy = key->proxy,
        .proxy_tls = opt->proxy_tls,
        .tenant = key->tenant,
        .timeout_ms = opt->times.connect_ms,
        .desk = opt->desk,
        .tls = is_tls ? opt->tls : NULL,
        .tls_timeout_ms = opt->times.tls_ms,
        .on_transport = on_transport,
    };
    return dial_start(opt->loop, opt->dns, &request, dialled, line, &line->dial);
}

static void pool_dial(void *self, weir_conn id, const weir_key *key)
{
    struct ws_liner *liner = self;
    struct line *line = alloc_zeroed(&alloc_libc, sizeof *line);
    if (line == NULL) {
        weir_conn_down(liner->pool, id, WEIR_ENOMEM);
        return;
    }
    line->liner = liner;
    named_add(&liner->lines, &line->named, id);
    int error = start(line, key);
    if (error != 0) {
        line->dial = NULL;
        line_down(line, error == -ENOMEM ? WEIR_ENOMEM : WEIR_ECONNECT);
    } else {
        names_watch_key(liner->names, key); /* the same look-up as the dial's */
    }
}

/* Only TLS may have something to say to itself. */
static void parked_ready(struct stream *stream, unsigned events)
{
    struct line *line = stream->owner;
    char byte;
    (void)events;
    ssize_t n = stream_read(stream, &byte, 1);
    if (n != -EAGAIN) {
        line_down(line, n > 0 ? WEIR_EPROTOCOL : n == 0 ? WEIR_EHANGUP : WEIR_ERESET);
    }
}

static void dialled(void *self, const struct dial_result *result)
{
    struct line *line = self;
    weir_err err = http_err_of_dial(result);
    line->dial = NULL;
    if (err != WEIR_OK) {
        line_down(line, err);
        return;
    }
    names_tell_address(line->liner->pool, line->named.id, &result->peer);
    line->stream = result->take_stream;
    line->stream->owner = line;
    line->stream->on_ready = parked_ready;
    socket_patience(stream_fd(line->stream), line->liner->opt.times.write_ms);
    stream_want(line->stream, STREAM_READ);
    err = weir_conn_up(line->liner->pool, line->named.id, line, 1);
    if (err != WEIR_OK) {
        line_down(line, err);
    }
}

/* --- as the pool sees it ------------------------------------------------------------------------
 */

static void pool_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct ws_liner *liner = self;
    struct line *line = object != NULL
                            ? object
                            : container_of(named_of(&liner->lines, id), struct line, named);
    if (line->user != NULL) {
        line->user->close(line->user, why);
    } else {
        line_down(line, why);
    }
}

static void pool_cut(void *self, weir_conn id, void *object)
{
    struct line *line = object;
    (void)self;
    (void)id;
    if (line->user != NULL) {
        line->user->cut(line->user);
    }
}

const weir_connector ws_line_connector = {
    .scheme = "ws",
    .dial = pool_dial,
    .close = pool_close,
    .cut = pool_cut,
};

/* --- as its user does ---------------------------------------------------------------------------
 */

struct stream *ws_line_take(void *object, struct ws_line_user *user)
{
    struct line *line = object;
    struct stream *stream = line->stream;
    line->user = user;
    line->stream = NULL;
    if (stream != NULL) {
        stream->on_ready = NULL;
    }
    return stream;
}

void ws_line_end(void *object, weir_err why)
{
    line_down(object, why);
}
