/* SPDX-License-Identifier: Apache-2.0
 *
 *   dial ──▶ connected (and TLS) ──▶ http1_open │ http2_open ──▶ the pool's, or a lone one
 *
 * A dial under way is a `struct dialling`, known by its connection's id; from then on the version's
 * own object takes over and is reached through its link.
 */
#include "connector/http.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/list.h"
#include "connector/dial.h"
#include "connector/gate.h"
#include "connector/http1.h"
#include "connector/http2.h"
#include "connector/named.h"
#include "connector/names.h"
#include "io/loop.h"
#include "io/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define STREAMS_LIKELY 100U /* of a peer that has not spoken yet (RFC 9113 §6.5.2) */

struct dialling {
    struct http_connector *connector;
    struct dial *dial;      /* NULL: it waits at the gate, or has ended */
    struct gate_pass pass;  /* where there is a gate */
    struct gate_side *side; /* NULL: there is none */
    weir_key key;           /* while it waits; its texts are the pool's, or a lone one's owner's */
    struct named named;     /* connector->dials; 0: a lone one */
    uint64_t begun_ns;
    bool is_https;
    bool is_http1; /* nothing else is offered */
};

struct http_lone {
    struct dialling dialling;
    http_lone_fn *done;
    void *self;
    struct http_link *link; /* once it is up */
    uint32_t timeout_ms;
    int error;     /* it could not begin */
    bool is_begun; /* it is on its way, or was */
    bool is_given; /* its owner has it, and may be told */
};

/* At gates that were named together. */
struct side_row {
    struct side_row *next;
    struct gate_side *sides;
    uint32_t count;
};

struct http_connector {
    struct http_connector_options opt;
    weir_pool *pool;
    struct http1_connector *http1;
    struct http2_connector *http2; /* NULL: never spoken */
    struct names *names;           /* NULL: nothing is resolved */
    struct list dials;             /* the pool's */
    struct side_row *sides;        /* the last that were named first */
};

static void dialled(void *self, const struct dial_result *result);
static void dialled_lone(void *self, const struct dial_result *result);
static void begin_lone(struct http_lone *lone);
static void pass_begins(void *self, struct gate_pass *pass);
static void pass_refused(void *self, struct gate_pass *pass);
static void pool_yield(void *self, struct gate_side *side);

/* --- opening ------------------------------------------------------------------------------------
 */

static int add_sides(struct http_connector *connector, struct gate *const *gates, uint32_t count)
{
    const struct gate_side like = {.loop = connector->opt.loop,
                                   .begin = pass_begins,
                                   .refuse = pass_refused,
                                   .yield = pool_yield,
                                   .self = connector};
    struct side_row *row = alloc_zeroed(&alloc_libc, sizeof *row);
    if (row == NULL) {
        return -ENOMEM;
    }
    row->next = connector->sides;
    row->count = count;
    connector->sides = row;
    return gate_sides_open(&like, gates, count, &alloc_libc, &row->sides);
}

static void close_sides(struct http_connector *connector)
{
    while (connector->sides != NULL) {
        struct side_row *row = connector->sides;
        connector->sides = row->next;
        gate_sides_close(&alloc_libc, row->sides, row->count);
        alloc_free(&alloc_libc, row);
    }
}

static bool has_side(const struct http_connector *connector, const struct gate *gate)
{
    for (const struct side_row *row = connector->sides; row != NULL; row = row->next) {
        for (uint32_t i = 0; i < row->count; i++) {
            if (row->sides[i].gate == gate) {
                return true;
            }
        }
    }
    return false;
}

int http_connector_pass_gates(struct http_connector *connector, struct gate *const *gates,
                              uint32_t count)
{
    int error = 0;
    for (uint32_t i = 0; error == 0 && i < count; i++) {
        if (!has_side(connector, gates[i])) {
            error = add_sides(connector, &gates[i], 1);
        }
    }
    return error;
}

int http_connector_new(const struct http_connector_options *opt,
                       struct http_connector **ret_connector)
{
    struct http_connector *connector = alloc_zeroed(&alloc_libc, sizeof *connector);
    if (connector == NULL) {
        return -ENOMEM;
    }
    connector->opt = *opt;
    list_init(&connector->dials);
    int error = add_sides(connector, opt->gates, opt->gates_count);
    if (error == 0) {
        error = http1_connector_new(&connector->opt, &connector->http1);
    }
    if (error == 0 && opt->speaks != HTTP_SPEAKS_HTTP1) {
        error = http2_connector_new(&connector->opt, &connector->http2);
    }
    if (error == 0 && opt->dns != NULL) {
        error = names_new(opt->loop, opt->dns, &connector->names);
    }
    if (error != 0) {
        http_connector_free(connector);
        return error;
    }
    *ret_connector = connector;
    return 0;
}

void http_connector_update(struct http_connector *connector,
                           const struct http_connector_options *opt)
{
    connector->opt.connect_timeout_ms = opt->connect_timeout_ms;
    connector->opt.tls_timeout_ms = opt->tls_timeout_ms;
    connector->opt.first_byte_timeout_ms = opt->first_byte_timeout_ms;
    connector->opt.read_timeout_ms = opt->read_timeout_ms;
    connector->opt.write_timeout_ms = opt->write_timeout_ms;
    connector->opt.total_timeout_ms = opt->total_timeout_ms;
    if (opt->ping_interval_ms != 0) {
        connector->opt.ping_interval_ms = opt->ping_interval_ms;
    }
    if (opt->ping_timeout_ms != 0) {
        connector->opt.ping_timeout_ms = opt->ping_timeout_ms;
    }
}

void http_connector_announce(struct http_connector *connector, unsigned version,
                             struct proxy_header (*announce)(const weir_key *key))
{
    connector->opt.announce_version = version;
    connector->opt.announce = announce;
}

static void dialling_free(struct dialling *dialling)
{
    if (dialling->dial != NULL) {
        dial_cancel(dialling->dial);
    }
    if (dialling->side != NULL) {
        gate_leave(dialling->side, &dialling->pass);
    }
    list_leave(&dialling->named.on_list);
    alloc_free(&alloc_libc, dialling);
}

void http_connector_widen(struct http_connector *connector,
                          const struct http_connector_options *opt)
{
    struct http_connector_options *own = &connector->opt;
    own->desk = own->desk != NULL ? own->desk : opt->desk;
    own->tls = own->tls != NULL ? own->tls : opt->tls;
    own->proxy_tls = own->proxy_tls != NULL ? own->proxy_tls : opt->proxy_tls;
}

void http_connector_secure(struct http_connector *connector, struct tls_desk *desk,
                           struct tls_client *tls)
{
    connector->opt.desk = desk;
    connector->opt.tls = tls;
}

void http_connector_secure_proxies(struct http_connector *connector, struct tls_desk *desk,
                                   struct tls_client *proxy_tls)
{
    connector->opt.desk = desk;
    connector->opt.proxy_tls = proxy_tls;
}

void http_connector_forget(struct http_connector *connector, const struct tls_client *tls)
{
    struct http_connector_options *own = &connector->opt;
    own->tls = own->tls != tls ? own->tls : NULL;
    own->proxy_tls = own->proxy_tls != tls ? own->proxy_tls : NULL;
}

void http_connector_free(struct http_connector *take_connector)
{
    if (take_connector == NULL) {
        return;
    }
    for (struct node *it; (it = list_first(&take_connector->dials)) != NULL;) {
        dialling_free(list_entry(it, struct dialling, named.on_list));
    }
    names_free(take_connector->names);
    http1_connector_free(take_connector->http1);
    http2_connector_free(take_connector->http2);
    close_sides(take_connector);
    alloc_free(&alloc_libc, take_connector);
}

void http_connector_serve(struct http_connector *connector, weir_pool *pool)
{
    connector->pool = pool;
    if (connector->names != NULL) {
        names_serve(connector->names, pool);
    }
    http1_connector_serve(connector->http1, pool);
    if (connector->http2 != NULL) {
        http2_connector_serve(connector->http2, pool);
    }
}

void http_connector_learn(struct http_connector *connector, const char *host)
{
    if (connector->names != NULL) {
        names_learn(connector->names, host);
    }
}

/* --- dialling -----------------------------------------------------------------------------------
 */

static weir_err err_of_tls(enum tls_error error)
{
    switch (error) {
    case TLS_EXPIRED:
    case TLS_NOT_YET: return WEIR_ETLS_EXPIRED;
    case TLS_WRONG_HOST: return WEIR_ETLS_NAME;
    case TLS_SELF_SIGNED:
    case TLS_UNTRUSTED:
    case TLS_REVOKED:
    case TLS_BAD_CERTIFICATE:
    case TLS_NO_CERTIFICATE: return WEIR_ETLS_UNTRUSTED;
    case TLS_ALPN: return WEIR_ETLS_ALPN;
    default: return WEIR_ETLS;
    }
}

weir_err http_err_of_dial(const struct dial_result *result)
{
    switch (result->error) {
    case DIAL_OK: return WEIR_OK;
    case DIAL_DNS: return WEIR_ERESOLVE;
    case DIAL_REFUSED: return WEIR_EREFUSED;
    case DIAL_UNREACHABLE: return WEIR_EUNREACHABLE;
    case DIAL_TIMEOUT: return WEIR_ECONNECT_TIMEOUT;
    case DIAL_RESET: return WEIR_ERESET;
    case DIAL_TLS: return err_of_tls(result->tls.error);
    case DIAL_TLS_TIMEOUT: return WEIR_ETLS_TIMEOUT;
    case DIAL_PROXY: return WEIR_EPROXY;
    case DIAL_LOCAL: break;
    }
    return result->os_error == EMFILE || result->os_error == ENFILE ? WEIR_EFILES : WEIR_ECONNECT;
}

static bool is_https(const weir_key *key)
{
    return strcmp(key->scheme, "https") == 0;
}

static bool is_http1(const weir_key *key)
{
    size_t len = key->tls != NULL ? strlen(key->tls) : 0, end = sizeof HTTP_KEY_HTTP1 - 1;
    return len >= end && memcmp(key->tls + len - end, HTTP_KEY_HTTP1, end) == 0;
}

static void on_transport(void *self)
{
    struct dialling *dialling = self;
    if (dialling->named.id.id != 0) {
        weir_conn_handshake(dialling->connector->pool, dialling->named.id);
    }
}

static int start(struct dialling *dialling, const weir_key *key, uint32_t timeout_ms, dial_fn *done)
{
    const struct http_connector_options *opt = &dialling->connector->opt;
    dialling->is_https = is_https(key);
    dialling->is_http1 = dialling->is_https && is_http1(key);
    if (dialling->is_https && opt->tls == NULL) {
        return -EPROTONOSUPPORT;
    }
    const struct dial_request request = {
        .host = key->host,
        .port = key->port,
        .source = key->source,
        .proxy = key->proxy,
        .tenant = key->tenant,
        .announce_version = opt->announce_version,
        .announce = opt->announce_version > 0 ? opt->announce(key) : (struct proxy_header){0},
        .timeout_ms = timeout_ms,
        .desk = opt->desk,
        .proxy_tls = opt->proxy_tls,
        .tls = dialling->is_https ? opt->tls : NULL,
        .tls_offer = dialling->is_http1 ? TLS_OFFER_HTTP1 : 0,
        .tls_timeout_ms = opt->tls_timeout_ms,
        .on_transport = on_transport,
    };
    dialling->begun_ns = loop_now_ns(opt->loop);
    return dial_start(opt->loop, opt->dns, &request, done, dialling, &dialling->dial);
}

/* What is spoken is settled now; the version's own object, or NULL and why. The stream is taken in
 * any case. */
static struct http_link *link_open(struct dialling *dialling, const struct dial_result *result,
                                   weir_err *ret_why)
{
    struct http_connector *connector = dialling->connector;
    const struct http_connector_options *opt = &connector->opt;
    uint64_t took_us = (loop_now_ns(opt->loop) - dialling->begun_ns) / 1000;
    const struct http_took took = {.connect_us = took_us < UINT32_MAX ? (uint32_t)took_us : 0,
                                   .tls_us = result->step_us[DIAL_SECURING]};
    bool is_h2 = dialling->is_https ? result->tls.alpn == TLS_ALPN_H2
                                    : opt->speaks == HTTP_SPEAKS_HTTP2;
    bool must_be_h2 = opt->speaks == HTTP_SPEAKS_HTTP2 && !dialling->is_http1;
    bool may_be_h2 = opt->speaks != HTTP_SPEAKS_HTTP1 && !dialling->is_http1;
    if (is_h2 ? !may_be_h2 : must_be_h2) {
        stream_close(result->take_stream);
        *ret_why = WEIR_ETLS; /* ALPN did not agree */
        return NULL;
    }
    socket_patience(stream_fd(result->take_stream), opt->write_timeout_ms);
    *ret_why = WEIR_ENOMEM;
    if (!is_h2) {
        return http1_open(connector->http1, dialling->named.id, result->take_stream, took,
                          &dialling->pass.place);
    }
    const struct http2_open how = {
        .id = dialling->named.id,
        .take_stream = result->take_stream,
        .took = took,
        .take_place = &dialling->pass.place,
        .is_tls = dialling->is_https,
        .is_trusted = opt->speaks == HTTP_SPEAKS_HTTP2,
    };
    return http2_open(connector->http2, &how);
}

static void begin_dial(struct dialling *dialling, const weir_key *key)
{
    struct http_connector *connector = dialling->connector;
    weir_conn id = dialling->named.id;
    int error = start(dialling, key, connector->opt.connect_timeout_ms, dialled);
    if (error != 0) {
        dialling->dial = NULL;
        dialling_free(dialling);
        weir_conn_down(connector->pool, id, error == -ENOMEM ? WEIR_ENOMEM : WEIR_ECONNECT);
        return;
    }
    names_watch_key(connector->names, key); /* the same look-up as the dial's */
}

static struct gate_side *side_of(struct http_connector *connector, const char *proxy)
{
    struct gate_side *side = NULL;
    for (struct side_row *row = connector->sides; side == NULL && row != NULL; row = row->next) {
        side = gate_side_of(row->sides, row->count, proxy);
    }
    return side;
}

/* Half the time of a dial: the other half is the dial's own. */
static uint64_t wait_end_ms(const struct http_connector *connector, uint32_t timeout_ms)
{
    return timeout_ms != WEIR_NEVER ? loop_now_ms(connector->opt.loop) + timeout_ms / 2
                                    : UINT64_MAX;
}

static void pool_dial(void *self, weir_conn id, const weir_key *key)
{
    struct http_connector *connector = self;
    struct dialling *dialling = alloc_zeroed(&alloc_libc, sizeof *dialling);
    if (dialling == NULL) {
        weir_conn_down(connector->pool, id, WEIR_ENOMEM);
        return;
    }
    dialling->connector = connector;
    named_add(&connector->dials, &dialling->named, id);
    dialling->side = side_of(connector, key->proxy);
    if (dialling->side != NULL) {
        dialling->key = *key;
        dialling->pass.of = key;
        dialling->pass.until_ms = wait_end_ms(connector, connector->opt.connect_timeout_ms);
        gate_arrive(dialling->side, &dialling->pass);
    } else {
        begin_dial(dialling, key);
    }
}

static bool is_lone(const struct dialling *dialling)
{
    return dialling->named.id.id == 0;
}

static void pass_begins(void *self, struct gate_pass *pass)
{
    (void)self;
    struct dialling *dialling = container_of(pass, struct dialling, pass);
    if (is_lone(dialling)) {
        begin_lone(container_of(dialling, struct http_lone, dialling));
    } else {
        begin_dial(dialling, &dialling->key);
    }
}

/* A limit of ours, like that of descriptors: no failure of whom it was to. */
static void pass_refused(void *self, struct gate_pass *pass)
{
    struct http_connector *connector = self;
    struct dialling *dialling = container_of(pass, struct dialling, pass);
    weir_conn id = dialling->named.id;
    if (is_lone(dialling)) {
        struct http_lone *lone = container_of(dialling, struct http_lone, dialling);
        lone->done(lone->self, NULL);
        return;
    }
    dialling_free(dialling);
    weir_conn_down(connector->pool, id, WEIR_EFILES);
}

struct idlest {
    const struct gate_side *side;
    struct http_link *link;
    uint64_t since_ms;
};

static bool find_idlest(void *arg, const weir_conn_info *info)
{
    struct idlest *idlest = arg;
    struct http_link *link = info->object;
    if (info->state == WEIR_IDLE && link->place.side == idlest->side && gate_is_wanted(&link->place)
        && (idlest->link == NULL || info->since_ms < idlest->since_ms)) {
        idlest->link = link;
        idlest->since_ms = info->since_ms;
    }
    return true;
}

static void pool_yield(void *self, struct gate_side *side)
{
    const struct http_connector *connector = self;
    struct idlest idlest = {.side = side};
    weir_pool_each(connector->pool, find_idlest, &idlest);
    if (idlest.link != NULL) {
        idlest.link->ops->close(idlest.link, WEIR_EEVICTED);
    }
}

static void dialled(void *self, const struct dial_result *result)
{
    struct dialling *dialling = self;
    struct http_connector *connector = dialling->connector;
    weir_conn id = dialling->named.id;
    weir_err err = http_err_of_dial(result);
    dialling->dial = NULL;
    if (dialling->side != NULL) {
        gate_tell(dialling->side->gate, result);
    }
    if (err == WEIR_OK) {
        names_tell_address(connector->pool, id, &result->peer);
    }
    struct http_link *link = err == WEIR_OK ? link_open(dialling, result, &err) : NULL;
    dialling_free(dialling);
    if (link == NULL) {
        weir_conn_down(connector->pool, id, err);
    }
}

/* --- as the pool sees it ------------------------------------------------------------------------
 */

static void pool_close(void *self, weir_conn id, void *object, weir_err why)
{
    struct http_connector *connector = self;
    struct http_link *link = object;
    if (link != NULL) {
        link->ops->close(link, why);
        return;
    }
    struct named *named = named_of(&connector->dials, id);
    struct dialling *dialling = container_of(named, struct dialling, named);
    dialling_free(dialling);
    weir_conn_down(connector->pool, id, why);
}

int http_link_fd(void *object)
{
    struct http_link *link = object;
    return link->ops->fd != NULL ? link->ops->fd(link) : -1;
}

static void pool_cut(void *self, weir_conn id, void *object)
{
    (void)self;
    (void)id;
    int fd = http_link_fd(object);
    if (fd >= 0) {
        shutdown(fd, SHUT_RDWR); /* whoever reads it sees it */
    }
}

static bool pool_reusable(void *self, void *object)
{
    (void)self;
    struct http_link *link = object;
    return !gate_is_wanted(&link->place) && link->ops->reusable(link);
}

static void pool_probe(void *self, weir_conn id, void *object)
{
    (void)self;
    (void)id;
    struct http_link *link = object;
    link->ops->probe(link);
}

static uint32_t pool_leases(void *self, const weir_key *key)
{
    const struct http_connector *connector = self;
    switch (connector->opt.speaks) {
    case HTTP_SPEAKS_HTTP1: return 1;
    case HTTP_SPEAKS_HTTP2: return STREAMS_LIKELY;
    case HTTP_SPEAKS_AUTO: break;
    }
    return is_https(key) && !is_http1(key) ? 0 : 1;
}

static void *pool_detach(void *self, void *object)
{
    (void)self;
    struct http_link *link = object;
    struct gate_place place = link->place;
    if (link->ops->detach == NULL) {
        return NULL;
    }
    link->place = (struct gate_place){0};
    struct http_parcel *parcel = link->ops->detach(link);
    if (parcel != NULL) {
        parcel->gate = gate_lift(&place);
    } else {
        link->place = place;
    }
    return parcel;
}

static void pool_attach(void *self, weir_conn id, void *parcel)
{
    struct http_parcel *take_parcel = parcel;
    struct http_connector *connector = self;
    struct gate *gate = take_parcel->gate;
    if (connector != NULL && gate != NULL) {
        take_parcel->place = gate_land(gate, side_of(connector, gate->url));
    } else if (gate != NULL) {
        gate_drop(gate);
    }
    take_parcel->land(take_parcel, connector, id);
}

struct http1_connector *http1_of(struct http_connector *connector)
{
    return connector->http1;
}

const weir_connector http_pool_connector = {
    .scheme = "http",
    .dial = pool_dial,
    .close = pool_close,
    .cut = pool_cut,
    .reusable = pool_reusable,
    .detach = pool_detach,
    .attach = pool_attach,
};

const weir_connector http_pool_connector_shared = {
    .scheme = "http",
    .dial = pool_dial,
    .probe = pool_probe,
    .close = pool_close,
    .cut = pool_cut,
    .reusable = pool_reusable,
    .leases = pool_leases,
    .detach = pool_detach,
    .attach = pool_attach,
};

/* --- lone ones ----------------------------------------------------------------------------------
 */

int http_lone_dial(struct http_connector *connector, const weir_key *to, uint32_t timeout_ms,
                   http_lone_fn *done, void *self, struct http_lone **ret_lone)
{
    struct http_lone *lone = alloc_zeroed(&alloc_libc, sizeof *lone);
    if (lone == NULL) {
        return -ENOMEM;
    }
    struct dialling *dialling = &lone->dialling;
    dialling->connector = connector;
    dialling->key = *to;
    dialling->side = side_of(connector, to->proxy);
    lone->timeout_ms = timeout_ms;
    lone->done = done;
    lone->self = self;
    if (dialling->side != NULL) {
        dialling->pass.of = lone; /* no connection of a pool's serves it */
        dialling->pass.until_ms = wait_end_ms(connector, timeout_ms)
                                  + 1; /* a refusal comes later */
        gate_arrive(dialling->side, &dialling->pass);
    } else {
        begin_lone(lone);
    }
    int error = lone->error;
    if (error != 0) {
        http_lone_close(lone);
        return error;
    }
    lone->is_given = true;
    *ret_lone = lone;
    return 0;
}

static void begin_lone(struct http_lone *lone)
{
    lone->is_begun = true;
    lone->error = start(&lone->dialling, &lone->dialling.key, lone->timeout_ms, dialled_lone);
    if (lone->error != 0) {
        lone->dialling.dial = NULL;
    }
    if (lone->error != 0 && lone->is_given) {
        lone->done(lone->self, NULL);
    }
}

static void dialled_lone(void *self, const struct dial_result *result)
{
    struct http_lone *lone = container_of(self, struct http_lone, dialling);
    struct dialling *dialling = &lone->dialling;
    dialling->dial = NULL;
    if (result->error == DIAL_OK) {
        weir_err why;
        lone->link = link_open(dialling, result, &why);
    }
    if (dialling->side != NULL) {
        gate_tell(dialling->side->gate, result);
        gate_leave(dialling->side, &dialling->pass);
    }
    lone->done(lone->self, lone->link);
}

bool http_lone_was_begun(const struct http_lone *lone)
{
    return lone->is_begun;
}

void http_lone_close(struct http_lone *take_lone)
{
    struct dialling *dialling = &take_lone->dialling;
    if (dialling->dial != NULL) {
        dial_cancel(dialling->dial);
    }
    if (dialling->side != NULL) {
        gate_leave(dialling->side, &dialling->pass);
    }
    if (take_lone->link != NULL) {
        take_lone->link->ops->close(take_lone->link, WEIR_OK);
    }
    alloc_free(&alloc_libc, take_lone);
}
