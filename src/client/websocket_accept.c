/* SPDX-License-Identifier: Apache-2.0
 *
 * From a request to an open WebSocket (RFC 6455 §4.2, RFC 8441): judged, answered, and its stream
 * taken from the server, which keeps the client's place.
 */
#include "base/check.h"
#include "client/server.h"
#include "client/websocket.h"
#include "proto/websocket_open.h"

#include <errno.h>
#include <string.h>

#define ANSWER_MAX 16384U /* bytes of 101 with its fields */

/* --- what the server wants of it ----------------------------------------------------------------
 */

static struct sock *sock_of(struct http_tunnel *tunnel)
{
    return container_of(tunnel, struct sock, tunnel);
}

static void tunnel_ahead(struct http_tunnel *tunnel, char *at, size_t len)
{
    if (len > 0) {
        ws_end_feed(&sock_of(tunnel)->end, at, len);
    }
}

static void tunnel_drain(struct http_tunnel *tunnel)
{
    ws_end_close(&sock_of(tunnel)->end, WS_CODE_AWAY, (struct slice){0});
}

static void tunnel_cut(struct http_tunnel *tunnel)
{
    ws_end_abort(&sock_of(tunnel)->end, WEIR_ECLOSED);
}

static const struct http_tunneler taker = {
    .on_cut = tunnel_cut,
    .on_ahead = tunnel_ahead,
    .on_drain = tunnel_drain,
};

/* --- what was asked -----------------------------------------------------------------------------
 */

static bool is_asked(const weir_exchange *ex, const struct http_head *head)
{
    return ex->is_connect || ws_is_asked(head);
}

bool weir_websocket_is_asked(const weir_exchange *ex)
{
    const struct http_head *head;
    return server_exchange_under(ex, &head) != NULL && is_asked(ex, head);
}

static void refuse(weir_exchange *ex, uint16_t status, const char *text)
{
    const weir_http_field fields[] = {{.name = "Sec-WebSocket-Version", .value = "13"},
                                      {.name = "Content-Type", .value = "text/plain"},
                                      {.name = "Retry-After", .value = "1"}};
    char body[200];
    size_t len = strlen(text);
    memcpy(body, text, len);
    body[len] = '\n';
    const weir_reply reply = {.status = status,
                              .fields = status == 503 ? fields + 1 : fields,
                              .field_count = 2,
                              .body = body,
                              .body_len = len + 1};
    weir_err err = weir_exchange_reply(ex, &reply);
    check(err == WEIR_OK);
}

/* Whether the subprotocol that the program chose was offered (RFC 6455 §4.2.2). */
static bool is_offered(const struct http_head *head, const char *protocol)
{
    struct slice wanted = slice_of(protocol), list, item;
    for (unsigned i = 0; i < head->field_count; i++) {
        if (!slice_same_nocase(head->fields[i].name, SLICE("Sec-WebSocket-Protocol"))) {
            continue;
        }
        list = head->fields[i].value;
        while (slice_split(&list, ',', &item)) {
            if (slice_same(slice_trim(item), wanted)) {
                return true;
            }
        }
    }
    return false;
}

/* The first offer of the client that can be served, in the order of its fields. */
static bool choose_terms(const weir_websocket_manager *manager, const struct http_head *head,
                         struct ws_terms *ret_terms)
{
    static const struct ws_terms ours = {.server_bits = WS_WINDOW_MAX,
                                         .client_bits = WS_WINDOW_MAX};
    for (unsigned i = 0; i < head->field_count && manager->opt.deflate == WEIR_ON; i++) {
        if (slice_same_nocase(head->fields[i].name, SLICE("Sec-WebSocket-Extensions"))
            && ws_terms_choose(head->fields[i].value, &ours, ret_terms)) {
            return true;
        }
    }
    return false;
}

/* --- the answer ---------------------------------------------------------------------------------
 */

struct accepting {
    const struct http_head *head;
    const weir_websocket_accept_options *opt;
    struct slice key;
    struct ws_terms terms;
    bool deflates;
};

static bool put_answer(const struct accepting *accepting, struct bytes *out)
{
    const weir_websocket_accept_options *opt = accepting->opt;
    char accept[WS_ACCEPT_LEN], terms[WS_TERMS_TEXT_MAX];
    ws_accept_of(accepting->key, accept);
    bool is_put = bytes_printf(out,
                               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: %.*s\r\n",
                               (int)WS_ACCEPT_LEN, accept);
    if (opt->protocol != NULL && is_put) {
        is_put = bytes_printf(out, "Sec-WebSocket-Protocol: %s\r\n", opt->protocol);
    }
    if (accepting->deflates && is_put) {
        size_t len = ws_terms_write_answer(&accepting->terms, terms);
        is_put = bytes_printf(out, "Sec-WebSocket-Extensions: %.*s\r\n", (int)len, terms);
    }
    for (size_t i = 0; i < opt->field_count && is_put; i++) {
        is_put = bytes_printf(out, "%s: %s\r\n", opt->fields[i].name, opt->fields[i].value);
    }
    return is_put && bytes_append_text(out, "\r\n");
}

/* The same for HTTP/2. False: there are too many fields. */
static bool list_answer(const struct accepting *accepting, struct http_field fields[],
                        char ret_terms[WS_TERMS_TEXT_MAX], struct http_head *ret_head)
{
    const weir_websocket_accept_options *opt = accepting->opt;
    uint16_t count = 0;
    if (opt->protocol != NULL) {
        fields[count++] = (struct http_field){.name = SLICE("Sec-WebSocket-Protocol"),
                                              .value = slice_of(opt->protocol)};
    }
    if (accepting->deflates) {
        size_t len = ws_terms_write_answer(&accepting->terms, ret_terms);
        fields[count++] = (struct http_field){.name = SLICE("Sec-WebSocket-Extensions"),
                                              .value = {ret_terms, (uint32_t)len}};
    }
    for (size_t i = 0; i < opt->field_count; i++) {
        if (count == HTTP_FIELDS_MAX || !server_take_field(&fields[count++], &opt->fields[i])) {
            return false;
        }
    }
    *ret_head = (struct http_head){.status = 200,
                                   .reason = http_reason_of(200),
                                   .framing = HTTP_CHUNKED,
                                   .fields = fields,
                                   .field_count = count};
    return true;
}

/* On a stream of HTTP/2 (RFC 8441). */
static weir_err begin_on_stream(struct sock *sock, weir_exchange *ex,
                                const struct accepting *accepting)
{
    struct bay *bay = sock->bay;
    char terms[WS_TERMS_TEXT_MAX];
    struct http_head answer;
    if (!ws_end_prepare(&sock->end, &bay->desk)) {
        return WEIR_ENOMEM;
    }
    sock->tunnel = (struct http_tunnel){.taker = &taker};
    memcpy(sock->address, ex->ex->peer->address, sizeof sock->address);
    if (!list_answer(accepting, bay->fields, terms, &answer)
        || server_way_open(ex, &answer, &sock->tunnel) != 0) {
        ws_end_forget(&sock->end);
        return WEIR_ENOMEM;
    }
    ws_end_open(&sock->end, &bay->desk, sock->tunnel.stream, true,
                accepting->deflates ? &accepting->terms : NULL);
    sock_show(sock);
    ws_end_raw(&sock->end, "", 0); /* it is at rest now */
    return WEIR_OK;
}

/* The stream is taken and the answer said. WEIR_ESTATE: this is no exchange that can become one. */
static weir_err begin(struct sock *sock, weir_exchange *ex, struct http_exchange *under,
                      const struct accepting *accepting, struct slice answer)
{
    struct ws_desk *desk = &sock->bay->desk;
    if (!ws_end_prepare(&sock->end, desk)) {
        return WEIR_ENOMEM;
    }
    struct bytes none;
    sock->tunnel = (struct http_tunnel){.taker = &taker};
    memcpy(sock->address, under->peer->address, sizeof sock->address);
    int error = under->ops->tunnel(under, &sock->tunnel, &none);
    if (error != 0) {
        ws_end_forget(&sock->end);
        return error == -ENOMEM ? WEIR_ENOMEM : WEIR_ESTATE;
    }
    bytes_fini(&none); /* what was sent ahead comes later */
    server_exchange_became(ex);
    ws_end_open(&sock->end, desk, sock->tunnel.stream, true,
                accepting->deflates ? &accepting->terms : NULL);
    sock_show(sock);
    ws_end_raw(&sock->end, answer.at, answer.len); /* what fails here, ends it in an event */
    return WEIR_OK;
}

static weir_err begin_on_connection(struct sock *sock, weir_exchange *ex,
                                    struct http_exchange *under, const struct accepting *accepting)
{
    struct bytes answer;
    bytes_init(&answer, sock->bay->manager->alloc, ANSWER_MAX);
    weir_err err = put_answer(accepting, &answer)
                       ? begin(sock, ex, under, accepting, bytes_slice(&answer))
                       : WEIR_ENOMEM;
    bytes_fini(&answer);
    return err;
}

static weir_err accept_on(struct sock *sock, weir_exchange *ex, struct http_exchange *under,
                          const struct accepting *accepting, weir_websocket *ret_ws)
{
    weir_err err = under->ops->tunnel != NULL ? begin_on_connection(sock, ex, under, accepting)
                                              : begin_on_stream(sock, ex, accepting);
    if (err != WEIR_OK) {
        sock_undo(sock);
        if (err == WEIR_ENOMEM) {
            refuse(ex, 503, "there is no memory for this connection");
        }
        return err;
    }
    if (ret_ws != NULL) {
        *ret_ws = sock_name(sock);
    }
    const weir_websocket_opening told = {
        .size = sizeof told,
        .protocol = accepting->opt->protocol != NULL ? accepting->opt->protocol : "",
        .deflate = accepting->deflates,
    };
    sock_opened(sock, &told);
    return WEIR_OK;
}

static const char *fault_of(const weir_websocket_accept_options *opt,
                            const weir_websocket_handler *handler)
{
    if (opt->size > sizeof *opt || handler == NULL || handler->size > sizeof *handler) {
        return "size";
    }
    if (opt->protocol != NULL && !http_name_valid(slice_of(opt->protocol))) {
        return "protocol";
    }
    return ws_fields_fit(opt->fields, opt->field_count) ? NULL : "fields";
}

static weir_err judge(weir_exchange *ex, struct accepting *accepting)
{
    const struct http_head *head = accepting->head;
    if (!is_asked(ex, head)) {
        refuse(ex, 426, "this is a WebSocket: ask for an upgrade");
        return WEIR_EPROTOCOL;
    }
    enum ws_opening opening = ex->is_connect ? ws_judge_connect(head)
                                             : ws_judge_request(head, &accepting->key);
    if (opening != WS_OPENING_FINE) {
        refuse(ex, (uint16_t)ws_opening_status(opening), ws_opening_text(opening));
        return WEIR_EPROTOCOL;
    }
    return WEIR_OK;
}

weir_err weir_websocket_accept(weir_websocket_manager *manager, weir_exchange *ex,
                               const weir_websocket_accept_options *opt,
                               const weir_websocket_handler *handler, void *arg,
                               weir_websocket *ret_ws)
{
    static const weir_websocket_accept_options none;
    struct accepting accepting = {.opt = opt != NULL ? opt : &none};
    struct sock *sock;
    const char *fault = fault_of(accepting.opt, handler);
    if (fault != NULL) {
        return ground_fault(WEIR_EINVAL, fault);
    }
    struct bay *bay = bay_here(manager);
    struct http_exchange *under = server_exchange_under(ex, &accepting.head);
    if (under == NULL || bay == NULL) {
        return WEIR_ESTATE;
    }
    weir_err err = judge(ex, &accepting);
    if (err != WEIR_OK) {
        return err;
    }
    if (accepting.opt->protocol != NULL && !is_offered(accepting.head, accepting.opt->protocol)) {
        return ground_fault(WEIR_EINVAL, "protocol");
    }
    accepting.deflates = choose_terms(manager, accepting.head, &accepting.terms);
    err = atomic_load(&manager->is_closing) ? WEIR_EFULL : sock_new(bay, handler, arg, &sock);
    if (err != WEIR_OK) {
        refuse(ex, 503, "there are as many WebSockets as allowed");
        return err;
    }
    return accept_on(sock, ex, under, &accepting, ret_ws);
}
