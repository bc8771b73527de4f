/* SPDX-License-Identifier: Apache-2.0
 *
 * From a URL to an open WebSocket: a line from the pool, the request (RFC 6455 §4.1), the answer.
 */
#include "client/websocket_dial.h"

#include "base/check.h"
#include "client/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#define ANSWER_MAX    32768U /* of the head of its answer */
#define INTERIM_MAX   16U    /* answers of 1xx before it */
#define PROTOCOLS_MAX 1024U

static void opening_begins(struct worker_note *note);
static weir_err line_begin(struct opening *opening);
static void granted(void *arg, const weir_grant *grant);
static void opening_fire(struct loop_timer *timer, uint64_t now_ms);
static void opening_ready(struct stream *stream, unsigned events);

/* --- what is to be dialled ----------------------------------------------------------------------
 */

static void opening_free(struct opening *opening)
{
    const struct alloc *alloc = opening->sock->bay->manager->alloc;
    bytes_fini(&opening->out);
    bytes_fini(&opening->in);
    alloc_free(alloc, opening->url_text);
    alloc_free(alloc, opening->source);
    alloc_free(alloc, opening->proxy);
    alloc_free(alloc, opening->tenant);
    opening->sock->opening = NULL;
    alloc_free(alloc, opening);
}

static bool copy_text(const struct alloc *alloc, const char *text, char **ret_copy)
{
    size_t size = text != NULL ? strlen(text) + 1 : 0;
    if (size <= 1) {
        return true;
    }
    *ret_copy = alloc_new(alloc, size);
    if (*ret_copy != NULL) {
        memcpy(*ret_copy, text, size);
    }
    return *ret_copy != NULL;
}

/* ws is http to whoever parses, and wss https: the rules of their URLs are the same (RFC 6455 §3).
 */
static weir_err take_url(struct opening *opening, const char *url)
{
    const struct alloc *alloc = opening->sock->bay->manager->alloc;
    struct slice text = slice_of(url);
    opening->is_tls = text.len >= 6 && slice_same_nocase(slice_sub(text, 0, 6), SLICE("wss://"));
    bool is_ws = text.len >= 5 && slice_same_nocase(slice_sub(text, 0, 5), SLICE("ws://"));
    if ((!opening->is_tls && !is_ws) || strchr(url, '#') != NULL || text.len > URL_BYTES_MAX) {
        return ground_fault(WEIR_EINVAL, "url");
    }
    char *http = alloc_new(alloc, text.len + 4);
    if (http == NULL) {
        return WEIR_ENOMEM;
    }
    size_t len = (size_t)snprintf(http, text.len + 4, "http%s", url + 2);
    opening->url_text = alloc_new(alloc, url_room((struct slice){http, (uint32_t)len}));
    bool is_url = opening->url_text != NULL
                  && url_parse((struct slice){http, (uint32_t)len}, opening->url_text,
                               &opening->url);
    alloc_free(alloc, http);
    return is_url                      ? WEIR_OK
           : opening->url_text == NULL ? WEIR_ENOMEM
                                       : ground_fault(WEIR_EINVAL, "url");
}

/* Fields that the opening says itself, or that frame a message. */
static bool is_ours(struct slice name)
{
    static const char *const ours[] = {"sec-websocket-key",
                                       "sec-websocket-version",
                                       "sec-websocket-extensions",
                                       "sec-websocket-protocol",
                                       "sec-websocket-accept",
                                       "host",
                                       "content-length",
                                       "transfer-encoding",
                                       "connection",
                                       "upgrade",
                                       "keep-alive",
                                       "te",
                                       "trailer",
                                       "expect"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        if (slice_same_nocase(name, slice_of(ours[i]))) {
            return true;
        }
    }
    return false;
}

bool ws_fields_fit(const weir_http_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].name == NULL || fields[i].value == NULL
            || !http_name_valid(slice_of(fields[i].name))
            || !http_value_valid(slice_of(fields[i].value)) || is_ours(slice_of(fields[i].name))) {
            return false;
        }
    }
    return true;
}

bool ws_protocols_fit(const char *protocols)
{
    struct slice list = slice_of(protocols), item;
    while (slice_split(&list, ',', &item)) {
        if (!http_name_valid(slice_trim(item))) {
            return false;
        }
    }
    return strlen(protocols) <= PROTOCOLS_MAX;
}

static bool put_offer(struct opening *opening)
{
    char text[WS_TERMS_TEXT_MAX];
    if (opening->sock->bay->manager->opt.deflate != WEIR_ON) {
        return true;
    }
    opening->offered = WS_TERMS_DEFAULT;
    opening->offered.client_bits_said = true;
    size_t len = ws_terms_write_offer(&opening->offered, text);
    return bytes_printf(&opening->out, "Sec-WebSocket-Extensions: %.*s\r\n", (int)len, text);
}

static weir_err put_request(struct opening *opening, const weir_websocket_request *request)
{
    struct bytes *out = &opening->out;
    uint8_t random[WS_KEY_BYTES];
    check(getrandom(random, sizeof random, 0) == sizeof random);
    ws_key_of(random, opening->key);
    bool is_put = bytes_printf(out,
                               "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Key: %.*s\r\n"
                               "Sec-WebSocket-Version: 13\r\n",
                               (int)opening->url.path.len, opening->url.path.at,
                               (int)opening->url.authority.len, opening->url.authority.at,
                               (int)WS_KEY_LEN, opening->key)
                  && put_offer(opening);
    if (request->protocols != NULL && is_put) {
        is_put = bytes_append_text(out, "Sec-WebSocket-Protocol: ");
        opening->protocols_at = bytes_len(out);
        opening->protocols.len = (uint32_t)strlen(request->protocols);
        is_put = is_put && bytes_append_text(out, request->protocols)
                 && bytes_append_text(out, "\r\n");
    }
    for (size_t i = 0; i < request->field_count && is_put; i++) {
        is_put = bytes_printf(out, "%s: %s\r\n", request->fields[i].name, request->fields[i].value);
    }
    return is_put && bytes_append_text(out, "\r\n") ? WEIR_OK : WEIR_ENOMEM;
}

static weir_err opening_make(struct opening *opening, const weir_websocket_request *request)
{
    const struct alloc *alloc = opening->sock->bay->manager->alloc;
    char host[256];
    bytes_init(&opening->out, alloc, REQUEST_MAX);
    bytes_init(&opening->in, alloc, ANSWER_MAX);
    weir_err err = take_url(opening, request->url);
    if (err != WEIR_OK) {
        return err;
    }
    slice_copy(host, sizeof host, opening->url.host);
    bool is_copied = copy_text(alloc, host, &opening->sock->host)
                     && copy_text(alloc, request->source, &opening->source)
                     && copy_text(alloc, request->proxy, &opening->proxy)
                     && copy_text(alloc, request->tenant, &opening->tenant);
    return is_copied ? put_request(opening, request) : WEIR_ENOMEM;
}

static const char *fault_of(const weir_websocket_request *request,
                            const weir_websocket_handler *handler)
{
    if (request->size > sizeof *request || handler == NULL || handler->size > sizeof *handler) {
        return "size";
    }
    if (request->url == NULL) {
        return "url";
    }
    if (request->protocols != NULL && !ws_protocols_fit(request->protocols)) {
        return "protocols";
    }
    return ws_fields_fit(request->fields, request->field_count) ? NULL : "fields";
}

/* Dials from a worker's thread stay there, others take turns. */
static struct bay *bay_for(weir_websocket_manager *manager)
{
    struct bay *here = bay_here(manager);
    uint32_t turn = atomic_fetch_add(&manager->turn, 1);
    return here != NULL ? here : manager->bays[turn % manager->bays_count];
}

weir_err weir_websocket_dial(weir_websocket_manager *manager, const weir_websocket_request *request,
                             const weir_websocket_handler *handler, void *arg,
                             weir_websocket *ret_ws)
{
    struct sock *sock;
    const char *fault = fault_of(request, handler);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    if (atomic_load(&manager->is_closing)) {
        return WEIR_ECLOSED;
    }
    weir_err err = sock_new(bay_for(manager), handler, arg, &sock);
    if (err != WEIR_OK) {
        return err;
    }
    struct opening *opening = alloc_zeroed(manager->alloc, sizeof *opening);
    if (opening == NULL) {
        sock_undo(sock);
        return WEIR_ENOMEM;
    }
    opening->sock = sock;
    opening->note.run = opening_begins;
    sock->opening = opening;
    sock->is_dialled = true;
    err = opening_make(opening, request);
    opening->is_call = manager->http2 == WEIR_WEBSOCKET_ONLY
                       || (manager->http2 == WEIR_ON && opening->is_tls);
    if (err != WEIR_OK) {
        opening_free(opening);
        sock_undo(sock);
        return err;
    }
    sock_show(sock);
    if (ret_ws != NULL) {
        *ret_ws = sock_name(sock);
    }
    worker_note(sock->bay->worker, &opening->note);
    return WEIR_OK;
}

/* --- its end ------------------------------------------------------------------------------------
 */

void line_release(struct sock *sock, weir_err why)
{
    if (sock->is_call) {
        ws_call_gone(sock->call, why);
        return;
    }
    struct line_user line = sock->line;
    if (line.line != NULL) {
        ws_line_end(line.line, why);
        weir_release_why(sock->bay->pool, line.lease, WEIR_BROKEN, why);
    }
}

void opening_failed(struct opening *opening, weir_err err, const char *detail)
{
    struct sock *sock = opening->sock;
    const weir_websocket_end end = {.size = sizeof end,
                                    .err = err,
                                    .code = WS_CODE_ABNORMAL,
                                    .status = opening->status,
                                    .detail = detail};
    loop_timer_stop(sock->bay->loop, &sock->end.timer);
    if (opening->stream != NULL) {
        stream_close(opening->stream);
    }
    if (opening->call != NULL) {
        ws_call_end(opening->call);
    }
    opening_free(opening);
    sock_gone(sock, &end);
}

void opening_abort(struct sock *sock, weir_err why)
{
    opening_failed(sock->opening, why, "");
}

static void lease_over(struct opening *opening)
{
    weir_release(opening->pool, opening->lease, WEIR_KEEP); /* granted() hears of it */
}

void sock_cancel(struct sock *sock)
{
    struct opening *opening = sock->opening;
    if (opening == NULL || opening->why != WEIR_OK) {
        return;
    }
    opening->why = WEIR_ECANCELED;
    if (opening->lease.id != 0) {
        lease_over(opening);
    } else if (opening->stream != NULL || opening->call != NULL) {
        loop_timer_set(sock->bay->loop, &sock->end.timer, loop_now_ms(sock->bay->loop));
    }
}

/* --- a line -------------------------------------------------------------------------------------
 */

static void opening_begins(struct worker_note *note)
{
    struct opening *opening = container_of(note, struct opening, note);
    const struct sock *sock = opening->sock;
    weir_err err = opening->why != WEIR_OK ? opening->why
                                           : bay_dials(sock->bay, opening->is_tls, opening->proxy);
    if (err == WEIR_OK) {
        err = opening->is_call ? ws_call_begin(opening) : line_begin(opening);
    }
    if (err != WEIR_OK) {
        opening_failed(opening, err, "");
    }
}

static weir_err line_begin(struct opening *opening)
{
    struct sock *sock = opening->sock;
    struct bay *bay = sock->bay;
    const weir_key key = {
        .scheme = opening->is_tls ? "wss" : "ws",
        .host = sock->host,
        .port = opening->url.port,
        .source = opening->source,
        .proxy = opening->proxy,
        .tls = opening->is_tls ? tls_profile_fingerprint(bay->manager->profiles[OPTIONS_TLS])
                               : NULL,
        .tenant = opening->tenant,
    };
    opening->pool = bay->pool;
    return weir_acquire(bay->pool, &key, NULL, granted, opening, &opening->lease);
}

static void user_close(struct ws_line_user *user, weir_err why)
{
    struct line_user *line = container_of(user, struct line_user, user);
    struct sock *sock = container_of(line, struct sock, line);
    if (sock->was_open) {
        ws_end_abort(&sock->end, why);
    } else {
        opening_abort(sock, why);
    }
}

static void user_cut(struct ws_line_user *user)
{
    struct line_user *line = container_of(user, struct line_user, user);
    const struct sock *sock = container_of(line, struct sock, line);
    const struct stream *stream = sock->was_open ? sock->end.stream : sock->opening->stream;
    if (stream != NULL) {
        shutdown(stream_fd(stream), SHUT_RDWR);
    }
}

static void granted(void *arg, const weir_grant *grant)
{
    struct opening *opening = arg;
    struct sock *sock = opening->sock;
    if (!opening_granted(opening, grant)) {
        return;
    }
    sock->line = (struct line_user){.user = {.close = user_close, .cut = user_cut},
                                    .line = grant->object,
                                    .lease = grant->lease};
    opening->stream = ws_line_take(grant->object, &sock->line.user);
    opening->stream->owner = opening;
    opening->stream->on_ready = opening_ready;
    opening_arm(opening);
    stream_want(opening->stream, STREAM_READ | STREAM_WRITE);
}

bool opening_granted(struct opening *opening, const weir_grant *grant)
{
    opening->lease = (weir_lease){0};
    if (grant->err == WEIR_OK) {
        return true;
    }
    opening_failed(opening, opening->why != WEIR_OK ? opening->why : grant->err, "");
    return false;
}

void opening_arm(struct opening *opening)
{
    struct sock *sock = opening->sock;
    struct bay *bay = sock->bay;
    sock->end.timer.fire = opening_fire;
    loop_timer_set(bay->loop, &sock->end.timer, loop_now_ms(bay->loop) + bay->open_timeout_ms);
}

static void opening_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct sock *sock = container_of(container_of(timer, struct ws_end, timer), struct sock, end);
    (void)now_ms;
    struct opening *opening = sock->opening;
    bool is_over = opening->why != WEIR_OK;
    opening->why = is_over ? opening->why : WEIR_EFIRST_BYTE_TIMEOUT;
    if (opening->lease.id == 0) {
        opening_failed(opening, opening->why, "");
    } else if (!is_over) {
        lease_over(opening);
    }
}

/* --- the handshake ------------------------------------------------------------------------------
 */

static bool write_request(struct opening *opening)
{
    struct iovec part = {bytes_at(&opening->out) + opening->sent,
                         bytes_len(&opening->out) - opening->sent};
    ssize_t n = part.iov_len > 0 ? stream_writev(opening->stream, &part, 1) : 0;
    if (n < 0 && n != -EAGAIN) {
        return false;
    }
    opening->sent += n > 0 ? (size_t)n : 0;
    bool is_sent = opening->sent == bytes_len(&opening->out);
    stream_want(opening->stream, STREAM_READ | (is_sent ? 0 : STREAM_WRITE));
    return true;
}

bool opening_terms(const struct opening *opening, const struct http_head *head,
                   struct ws_terms *ret_terms, bool *ret_deflates)
{
    unsigned count;
    const struct http_field *field = ws_field(head, SLICE("Sec-WebSocket-Extensions"), &count);
    *ret_deflates = field != NULL;
    if (field == NULL) {
        return true;
    }
    return count == 1 && opening->sock->bay->manager->opt.deflate == WEIR_ON
           && ws_terms_accept(field->value, &opening->offered, ret_terms);
}

void opening_done(struct opening *opening, const struct http_head *head,
                  const struct ws_terms *terms, struct stream *take_stream)
{
    struct sock *sock = opening->sock;
    struct bay *bay = sock->bay;
    char protocol[PROTOCOLS_MAX + 1] = "";
    unsigned count;
    const struct http_field *field = ws_field(head, SLICE("Sec-WebSocket-Protocol"), &count);
    if (field != NULL) {
        slice_copy(protocol, sizeof protocol, field->value);
    }
    const weir_http_answer answer = {.head = head};
    const weir_websocket_opening told = {
        .size = sizeof told, .protocol = protocol, .deflate = terms != NULL, .answer = &answer};
    loop_timer_stop(bay->loop, &sock->end.timer);
    ws_end_open(&sock->end, &bay->desk, take_stream, false, terms);
    opening->stream = NULL;
    opening->call = NULL;
    opening_free(opening);
    sock_opened(sock, &told);
}

/* On a line: the head lies in what was read, and so may what came behind it. */
static void open_end(struct opening *opening, const struct http_head *head,
                     const struct ws_terms *terms, size_t used)
{
    struct sock *sock = opening->sock;
    struct bytes in = opening->in;
    bytes_init(&opening->in, in.alloc, ANSWER_MAX);
    opening_done(opening, head, terms, opening->stream);
    bytes_consume(&in, used);
    if (bytes_len(&in) > 0) {
        ws_end_feed(&sock->end, bytes_at(&in), bytes_len(&in));
    }
    bytes_fini(&in);
}

struct slice opening_protocols(const struct opening *opening)
{
    return (struct slice){bytes_at(&opening->out) + opening->protocols_at, opening->protocols.len};
}

/* True: it goes on reading. */
static bool take_answer(struct opening *opening)
{
    static const struct http1_asked asked = {.method_id = HTTP_GET, .upgrade = true};
    struct bay *bay = opening->sock->bay;
    struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
    struct http_head head = {.fields = bay->fields};
    struct ws_terms terms;
    bool deflates;
    limits.head_bytes_max = ANSWER_MAX;
    ssize_t used = http1_parse_response(&opening->progress, bytes_at(&opening->in),
                                        bytes_len(&opening->in), &limits, asked, &head);
    if (used <= 0) {
        if (used < 0) {
            opening_failed(opening, WEIR_EPROTOCOL, "");
        }
        return used == 0;
    }
    if (head.status < 200 && head.status != 101 && ++opening->interims <= INTERIM_MAX) {
        bytes_consume(&opening->in, (size_t)used);
        return take_answer(opening);
    }
    opening->status = head.status;
    const struct slice key = {opening->key, WS_KEY_LEN};
    bool is_good = ws_judge_answer(&head, key, opening_protocols(opening)) == WS_OPENING_FINE
                   && opening_terms(opening, &head, &terms, &deflates);
    if (!is_good) {
        opening_failed(opening, WEIR_EPROTOCOL, "");
        return false;
    }
    open_end(opening, &head, deflates ? &terms : NULL, (size_t)used);
    return false;
}

static void opening_ready(struct stream *stream, unsigned events)
{
    struct opening *opening = stream->owner;
    size_t cap;
    if (opening->why != WEIR_OK) { /* whatever comes: it is given up */
        opening_failed(opening, opening->why, "");
        return;
    }
    if ((events & STREAM_WRITE) != 0 && !write_request(opening)) {
        opening_failed(opening, WEIR_ERESET, "");
        return;
    }
    if ((events & STREAM_READ) == 0) {
        return;
    }
    char *buf = loop_buffer(opening->sock->bay->loop, &cap);
    cap = cap < ANSWER_MAX ? cap : ANSWER_MAX;
    cap -= bytes_len(&opening->in) < cap ? bytes_len(&opening->in) : cap;
    ssize_t n = cap > 0 ? stream_read(stream, buf, cap) : -EPROTO;
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0 || !bytes_append(&opening->in, buf, (size_t)n)) {
        opening_failed(opening,
                       n == 0         ? WEIR_EHANGUP
                       : n == -EPROTO ? WEIR_EPROTOCOL
                       : n < 0        ? WEIR_ERESET
                                      : WEIR_ENOMEM,
                       "");
        return;
    }
    take_answer(opening);
}
