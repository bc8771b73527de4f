/* SPDX-License-Identifier: Apache-2.0
 *
 * Everything that OpenSSL is asked to do is a *pass*: begin, the call, end. During a pass the
 * desk's one BIO speaks for the connection that is being served: it reads `below` once into the
 * desk, and what OpenSSL writes gathers in the desk. At the end of the pass that leaves in one
 * write. Only what the other side does not take, or our owner has no room for, is copied to memory
 * of the connection's own (the spill).
 */
#include "io/tls.h"

#include "base/check.h"
#include "io/tls_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

static const struct stream_ops tls_ops;

static void on_below(struct stream *below, unsigned events);
static void on_again(struct loop_later *later);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void on_late(struct loop_later *later);
static void step(struct tls *tls);
static void finish(struct tls *tls, enum tls_error error);
static void pass_begin(struct tls *tls);
static void pass_end(struct tls *tls);
static void send_out(struct tls *tls);
static void rewant(struct tls *tls);

static struct tls *tls_of(const struct stream *stream)
{
    check(stream->ops == &tls_ops);
    return container_of((struct stream *)(uintptr_t)stream, struct tls, stream);
}

/* --- the BIO -----------------------------------------------------------------------------------
 */

static int bio_read(BIO *bio, char *buf, int len)
{
    struct tls_desk *desk = BIO_get_data(bio);
    struct tls *tls = desk->served;
    BIO_clear_retry_flags(bio);
    if (desk->in_from == desk->in_to && !tls->ended && tls->broken == 0 && !desk->dry) {
        ssize_t got = stream_read(tls->stream.below, desk->in, sizeof desk->in);
        desk->dry = got < (ssize_t)sizeof desk->in;
        desk->in_from = 0;
        desk->in_to = got > 0 ? (size_t)got : 0;
        tls->ended = got == 0;
        tls->broken = got < 0 && got != -EAGAIN ? (int)got : 0;
    }
    size_t here = desk->in_to - desk->in_from;
    if (here > 0) {
        size_t taken = here < (size_t)len ? here : (size_t)len;
        memcpy(buf, desk->in + desk->in_from, taken);
        desk->in_from += taken;
        return (int)taken;
    }
    if (tls->ended || tls->broken != 0) {
        return tls->ended ? 0 : -1;
    }
    BIO_set_retry_read(bio);
    return -1;
}

/* Takes all: what is too much for the spill breaks the connection. */
static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls_desk *desk = BIO_get_data(bio);
    struct tls *tls = desk->served;
    size_t left = (size_t)len;
    BIO_clear_retry_flags(bio);
    while (left > 0) {
        if (desk->out_used == sizeof desk->out) {
            send_out(tls);
        }
        size_t room = sizeof desk->out - desk->out_used;
        size_t part = left < room ? left : room;
        memcpy(desk->out + desk->out_used, data, part);
        desk->out_used += part;
        data += part;
        left -= part;
    }
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    const struct tls_desk *desk = BIO_get_data(bio);
    (void)number;
    (void)arg;
    switch (command) {
    case BIO_CTRL_FLUSH: return 1;
    case BIO_CTRL_EOF: return desk->served != NULL && desk->served->ended;
    default: return 0;
    }
}

static BIO_METHOD *bio_method;

static void make_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir");
    if (method != NULL && BIO_meth_set_read(method, bio_read) == 1
        && BIO_meth_set_write(method, bio_write) == 1 && BIO_meth_set_ctrl(method, bio_ctrl) == 1) {
        bio_method = method;
    }
}

/* --- the desk ----------------------------------------------------------------------------------
 */

int tls_desk_new(struct loop *loop, struct tls_desk **ret_desk)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_bio_method);
    struct tls_desk *desk = alloc_new(&alloc_libc, sizeof *desk);
    if (desk == NULL) {
        return -ENOMEM;
    }
    memset(desk, 0, offsetof(struct tls_desk, in)); /* the rest need not be touched yet */
    desk->loop = loop;
    desk->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    if (bio_method != NULL) {
        desk->bio = BIO_new(bio_method);
    }
    if (desk->ticket_cipher == NULL || desk->bio == NULL) {
        ERR_clear_error();
        tls_desk_free(desk);
        return -ENOMEM;
    }
    BIO_set_data(desk->bio, desk);
    BIO_set_init(desk->bio, 1);
    *ret_desk = desk;
    return 0;
}

void tls_desk_free(struct tls_desk *take_desk)
{
    if (take_desk == NULL) {
        return;
    }
    check(take_desk->streams == 0);
    tls_desk_free(take_desk->inner);
    BIO_free(take_desk->bio);
    EVP_CIPHER_free(take_desk->ticket_cipher);
    OPENSSL_cleanse(take_desk->gather, sizeof take_desk->gather);
    alloc_free(&alloc_libc, take_desk);
}

/* A pass is inside another where TLS goes through TLS: each has a desk of its own. */
static struct tls_desk *desk_above(struct tls_desk *desk, const struct stream *below)
{
    for (; below != NULL && desk != NULL; below = below->below) {
        if (below->ops != &tls_ops || tls_of(below)->desk != desk) {
            continue;
        }
        if (desk->inner == NULL && tls_desk_new(desk->loop, &desk->inner) != 0) {
            return NULL;
        }
        desk = desk->inner;
    }
    return desk;
}

/* --- passes ------------------------------------------------------------------------------------
 */

static struct tls_spill *spill_of(struct tls *tls)
{
    if (tls->spill == NULL) {
        tls->spill = alloc_new(loop_alloc(tls->desk->loop), sizeof *tls->spill);
        if (tls->spill != NULL) {
            bytes_init(&tls->spill->in, loop_alloc(tls->desk->loop), TLS_DESK_BYTES);
            bytes_init(&tls->spill->out, loop_alloc(tls->desk->loop), TLS_SPILL_MAX);
        }
    }
    return tls->spill;
}

static void spill_free(struct tls *tls)
{
    if (tls->spill != NULL) {
        bytes_fini(&tls->spill->in);
        bytes_fini(&tls->spill->out);
        alloc_free(loop_alloc(tls->desk->loop), tls->spill);
        tls->spill = NULL;
    }
}

static size_t waiting_in(const struct tls *tls)
{
    return tls->spill != NULL ? bytes_len(&tls->spill->in) : 0;
}

static size_t waiting_out(const struct tls *tls)
{
    return tls->spill != NULL ? bytes_len(&tls->spill->out) : 0;
}

/* The first reason is the one that counts: an alert that cannot be sent is none. */
static void break_off(struct tls *tls, int error)
{
    if (tls->broken == 0 && !tls->failed) {
        tls->broken = error;
    }
}

/* What had waited to be sent, and what the desk has gathered. */
static void send_out(struct tls *tls)
{
    struct tls_desk *desk = tls->desk;
    size_t waits = waiting_out(tls), all = waits + desk->out_used;
    struct iovec parts[2] = {{waits > 0 ? bytes_at(&tls->spill->out) : NULL, waits},
                             {desk->out, desk->out_used}};
    size_t from_desk = 0;
    if (all == 0 || tls->broken != 0) {
        desk->out_used = 0;
        return;
    }
    ssize_t sent = stream_writev(tls->stream.below, waits > 0 ? parts : parts + 1,
                                 waits > 0 && desk->out_used > 0 ? 2 : 1);
    if (sent > 0) {
        from_desk = (size_t)sent > waits ? (size_t)sent - waits : 0;
        if (waits > 0) {
            bytes_consume(&tls->spill->out, (size_t)sent - from_desk);
        }
    } else if (sent < 0 && sent != -EAGAIN) {
        break_off(tls, (int)sent);
    }
    size_t rest = desk->out_used - from_desk;
    if (rest > 0 && tls->broken == 0
        && (spill_of(tls) == NULL
            || !bytes_append(&tls->spill->out, desk->out + from_desk, rest))) {
        break_off(tls, -ENOBUFS);
    }
    desk->out_used = 0;
}

static void pass_begin(struct tls *tls)
{
    struct tls_desk *desk = tls->desk;
    check(desk->served == NULL);
    desk->served = tls;
    desk->dry = false;
    desk->in_from = desk->in_to = desk->out_used = 0;
    if (waiting_in(tls) > 0) {
        desk->in_to = bytes_len(&tls->spill->in);
        memcpy(desk->in, bytes_at(&tls->spill->in), desk->in_to);
        bytes_release(&tls->spill->in);
    }
}

static void pass_end(struct tls *tls)
{
    struct tls_desk *desk = tls->desk;
    if (desk->out_used > 0 || waiting_out(tls) > 0) {
        send_out(tls);
    }
    size_t rest = desk->in_to - desk->in_from;
    if (rest > 0 && !tls->failed
        && (spill_of(tls) == NULL
            || !bytes_append(&tls->spill->in, desk->in + desk->in_from, rest))) {
        break_off(tls, -ENOMEM);
    }
    if (tls->spill != NULL && waiting_in(tls) == 0 && waiting_out(tls) == 0) {
        spill_free(tls);
    }
    desk->served = NULL;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* After a read that brought nothing. */
static ssize_t read_failure(struct tls *tls)
{
    int why = SSL_get_error(tls->ssl, 0);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
        return -EAGAIN;
    }
    if (why == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    ERR_clear_error();
    tls->failed = true;
    return tls->broken != 0 ? tls->broken : -EPROTO;
}

static ssize_t tls_read(struct stream *stream, void *buf, size_t cap)
{
    struct tls *tls = tls_of(stream);
    const struct tls_desk *desk = tls->desk;
    size_t got = 0;
    ssize_t how = -EAGAIN;
    if (tls->failed || tls->start != NULL) {
        return tls->broken != 0 ? tls->broken : -EPROTO;
    }
    ERR_clear_error();
    pass_begin(tls);
    do {
        size_t part;
        if (SSL_read_ex(tls->ssl, (char *)buf + got, cap - got, &part) != 1) {
            how = read_failure(tls);
            break;
        }
        got += part;
    } while (got < cap && (desk->in_from < desk->in_to || !desk->dry));
    pass_end(tls);
    tls->more = got == cap || (got > 0 && how != -EAGAIN);
    if (tls->more && (SSL_has_pending(tls->ssl) || waiting_in(tls) > 0 || how != -EAGAIN)) {
        loop_later(desk->loop, &tls->again);
    }
    rewant(tls);
    return got > 0 ? (ssize_t)got : how;
}

static void on_again(struct loop_later *later)
{
    struct tls *tls = container_of(later, struct tls, again);
    if ((tls->wants & STREAM_READ) != 0 && tls->stream.on_ready != NULL) {
        tls->stream.on_ready(&tls->stream, STREAM_READ);
    }
}

/* --- writing -----------------------------------------------------------------------------------
 */

struct cursor {
    const struct iovec *part, *end;
    size_t used; /* of *part */
};

/* The next record's content: in place where it lies in one piece, else gathered. */
static size_t next_piece(struct tls_desk *desk, struct cursor *cursor, const char **ret_at)
{
    size_t gathered = 0;
    while (cursor->part < cursor->end) {
        const char *at = (const char *)cursor->part->iov_base + cursor->used;
        size_t left = cursor->part->iov_len - cursor->used;
        bool is_last = cursor->part + 1 == cursor->end;
        size_t room = TLS_RECORD_BYTES - gathered;
        size_t len = left < room ? left : room;
        cursor->used += len;
        if (len == left) {
            cursor->part++;
            cursor->used = 0;
        }
        if (gathered == 0 && len > 0 && (is_last || len == TLS_RECORD_BYTES)) {
            *ret_at = at;
            return len;
        }
        memcpy(desk->gather + gathered, at, len);
        gathered += len;
        if (gathered == TLS_RECORD_BYTES) {
            break;
        }
    }
    *ret_at = desk->gather;
    return gathered;
}

static ssize_t tls_writev(struct stream *stream, const struct iovec *parts, int count)
{
    struct tls *tls = tls_of(stream);
    struct cursor cursor = {.part = parts, .end = parts + count};
    size_t taken = 0;
    if (tls->failed || tls->broken != 0 || tls->finished || tls->start != NULL) {
        return tls->broken != 0 ? tls->broken : -EPIPE;
    }
    pass_begin(tls);
    if (waiting_out(tls) > 0) {
        send_out(tls);
    }
    while (waiting_out(tls) == 0 && tls->broken == 0) {
        const char *at;
        size_t len = next_piece(tls->desk, &cursor, &at), done;
        if (len == 0) {
            break;
        }
        if (SSL_write_ex(tls->ssl, at, len, &done) != 1) {
            ERR_clear_error();
            break_off(tls, -EPROTO);
            tls->failed = true;
            break;
        }
        taken += len;
        if (tls->desk->out_used > TLS_DESK_BYTES - 2 * TLS_RECORD_BYTES) {
            send_out(tls);
        }
    }
    pass_end(tls);
    rewant(tls);
    if (tls->broken != 0) {
        return tls->broken;
    }
    return taken > 0 ? (ssize_t)taken : -EAGAIN;
}

static void end_below(struct tls *tls)
{
    if (tls->fin_due && waiting_out(tls) == 0 && tls->broken == 0) {
        tls->fin_due = false;
        stream_shutdown(tls->stream.below);
    }
}

/* close_notify. SSL_shutdown() is not asked to wait for the peer's. */
static void say_goodbye(struct tls *tls)
{
    tls->finished = true;
    ERR_clear_error();
    pass_begin(tls);
    SSL_shutdown(tls->ssl);
    pass_end(tls);
    ERR_clear_error();
}

static int tls_shutdown(struct stream *stream)
{
    struct tls *tls = tls_of(stream);
    if (tls->failed || tls->broken != 0 || tls->start != NULL) {
        return tls->broken != 0 ? tls->broken : -EPIPE;
    }
    if (!tls->finished) {
        tls->fin_due = true;
        say_goodbye(tls);
    }
    end_below(tls);
    rewant(tls);
    return tls->broken;
}

/* --- readiness ---------------------------------------------------------------------------------
 */

static void rewant(struct tls *tls)
{
    unsigned wants = tls->start != NULL ? STREAM_READ : tls->wants;
    if (waiting_out(tls) > 0 && tls->broken == 0) {
        wants |= STREAM_WRITE;
    }
    if (wants != tls->below_wants) {
        tls->below_wants = (uint8_t)wants;
        stream_want(tls->stream.below, wants);
    }
}

static void tls_want(struct stream *stream, unsigned events)
{
    struct tls *tls = tls_of(stream);
    bool is_new = (events & ~(unsigned)tls->wants & STREAM_READ) != 0;
    tls->wants = (uint8_t)events;
    if (tls->start != NULL) {
        return;
    }
    if (is_new && (waiting_in(tls) > 0 || tls->more || tls->failed || SSL_has_pending(tls->ssl))) {
        loop_later(tls->desk->loop, &tls->again);
    }
    rewant(tls);
}

static void on_below(struct stream *below, unsigned events)
{
    struct tls *tls = below->owner;
    if (tls->start != NULL) {
        step(tls);
        return;
    }
    if ((events & STREAM_WRITE) != 0 && waiting_out(tls) > 0) {
        pass_begin(tls);
        pass_end(tls);
        end_below(tls);
        rewant(tls);
        if (waiting_out(tls) > 0) {
            events &= ~STREAM_WRITE;
        }
    }
    events &= tls->wants;
    if (events != 0 && tls->stream.on_ready != NULL) {
        tls->stream.on_ready(&tls->stream, events);
    }
}

static int tls_fd(const struct stream *stream)
{
    return stream_fd(stream->below);
}

static void start_free(struct tls *tls)
{
    struct tls_start *start = tls->start;
    loop_timer_stop(tls->desk->loop, &start->timer);
    loop_later_cancel(tls->desk->loop, &start->late);
    alloc_free(loop_alloc(tls->desk->loop), start);
    tls->start = NULL;
}

static void tls_close(struct stream *stream)
{
    struct tls *tls = tls_of(stream);
    struct tls_desk *desk = tls->desk;
    struct stream *below = stream->below;
    if (tls->start != NULL) {
        start_free(tls);
    } else if (!tls->failed && !tls->silent && !tls->finished && tls->broken == 0
               && waiting_out(tls) == 0) {
        say_goodbye(tls);
    }
    loop_later_cancel(desk->loop, &tls->again);
    spill_free(tls);
    if (tls->ssl != NULL) {
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(tls->ssl);
    }
    tls_origin_leave(tls->origin);
    tls_contexts_leave(tls->contexts);
    desk->streams--;
    alloc_free(loop_alloc(desk->loop), tls);
    stream_close(below);
}

static const struct stream_ops tls_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .want = tls_want,
    .shutdown = tls_shutdown,
    .close = tls_close,
    .fd = tls_fd,
};

/* --- handshake ---------------------------------------------------------------------------------
 */

static void tally(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed); /* a desk's own, but for readers */
}

static bool is_literal(const char *host)
{
    unsigned char ignored[16];
    return inet_pton(AF_INET, host, ignored) == 1 || inet_pton(AF_INET6, host, ignored) == 1;
}

/* Whom we expect there: for SNI and for the certificate. */
static bool set_peer_name(struct tls *tls, const char *host)
{
    const char *sni = tls->contexts->profile->sni;
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);
    char name[256];
    if (sni[0] != '\0') {
        host = sni;
    }
    size_t len = host != NULL ? strlen(host) : 0;
    if (len == 0 || len >= sizeof name) {
        return false;
    }
    memcpy(name, host, len + 1);
    if (name[len - 1] == '.') {
        name[len - 1] = '\0'; /* the root's dot is not part of SNI (RFC 6066 §3) */
    }
    if (is_literal(name)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    }
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1
           && SSL_set_tlsext_host_name(tls->ssl, name) == 1;
}

static bool set_client(struct tls *tls, const struct tls_options *opt)
{
    if (!set_peer_name(tls, opt->host)) {
        return false;
    }
    const struct tls_place place = {opt->host, opt->port, opt->whose != NULL ? opt->whose : ""};
    tls->origin = tls_origin_of(tls_client_memory(opt->client), &place);
    SSL_SESSION *session = tls->origin != NULL ? tls_origin_recall(tls->origin) : NULL;
    if (session != NULL) {
        SSL_set_session(tls->ssl, session);
        SSL_SESSION_free(session);
    }
    SSL_set_connect_state(tls->ssl);
    unsigned char wire[TLS_ALPN_WIRE_MAX];
    return opt->offer == 0
           || SSL_set_alpn_protos(tls->ssl, wire, tls_alpn_wire(opt->offer, wire)) == 0;
}

static int make_ssl(struct tls *tls, const struct tls_options *opt)
{
    tls->ssl = SSL_new(tls->contexts->at[0]);
    if (tls->ssl == NULL || SSL_set_app_data(tls->ssl, tls) != 1) {
        return -ENOMEM;
    }
    BIO_up_ref(tls->desk->bio);
    SSL_set_bio(tls->ssl, tls->desk->bio, tls->desk->bio);
    if (opt->server != NULL) {
        SSL_set_accept_state(tls->ssl);
        return 0;
    }
    return set_client(tls, opt) ? 0 : -EINVAL;
}

static int make_start(struct tls *tls, const struct tls_options *opt)
{
    struct loop *loop = tls->desk->loop;
    struct tls_start *start = alloc_zeroed(loop_alloc(loop), sizeof *start);
    uint32_t timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : TLS_TIMEOUT_MS;
    if (start == NULL) {
        return -ENOMEM;
    }
    *start = (struct tls_start){
        .tls = tls,
        .timer.fire = on_timer,
        .late.run = on_late,
        .done = opt->done,
        .self = opt->self,
        .began_ms = loop_now_ms(loop),
        .is_opening = true,
    };
    tls->start = start;
    if (timeout_ms != UINT32_MAX) {
        loop_timer_set(loop, &start->timer, start->began_ms + timeout_ms);
    }
    return 0;
}

int tls_open(struct tls_desk *desk, const struct tls_options *opt, struct stream *take_below,
             struct stream **ret_stream)
{
    desk = desk_above(desk, take_below);
    struct tls *tls = desk != NULL ? alloc_zeroed(loop_alloc(desk->loop), sizeof *tls) : NULL;
    if (tls == NULL) {
        stream_close(take_below);
        return -ENOMEM;
    }
    bool is_server = opt->server != NULL;
    check(is_server || opt->client != NULL);
    tls->stream = (struct stream){.ops = &tls_ops, .below = take_below};
    tls->desk = desk;
    tls->again.run = on_again;
    tls->contexts = is_server ? tls_contexts_of_server(opt->server)
                              : tls_contexts_of_client(opt->client);
    tls->counters = is_server ? tls_server_tally(opt->server) : tls_client_tally(opt->client);
    take_below->owner = tls;
    take_below->on_ready = on_below;
    desk->streams++;
    int error = make_ssl(tls, opt);
    if (error == 0) {
        error = make_start(tls, opt);
    }
    if (error != 0) {
        ERR_clear_error();
        tls->failed = true;
        tls_close(&tls->stream);
        return error;
    }
    if (is_server) {
        rewant(tls); /* the client speaks first, and often has not yet */
    } else {
        step(tls);
    }
    tls->start->is_opening = false;
    *ret_stream = &tls->stream;
    return 0;
}

static enum tls_alpn alpn_of(const SSL *ssl)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len == 2 && memcmp(name, "h2", 2) == 0) {
        return TLS_ALPN_H2;
    }
    return len == 8 && memcmp(name, "http/1.1", 8) == 0 ? TLS_ALPN_HTTP1 : TLS_ALPN_NONE;
}

/* One more part of the handshake. */
static void step(struct tls *tls)
{
    ERR_clear_error();
    pass_begin(tls);
    int done = SSL_do_handshake(tls->ssl);
    int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, done);
    tls->failed = why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ
                  && why != SSL_ERROR_WANT_WRITE;
    pass_end(tls);
    if (tls->failed || tls->broken != 0) {
        unsigned long first = ERR_peek_error();
        tls->start->result.is_http = ERR_GET_REASON(first) == SSL_R_HTTP_REQUEST;
        finish(tls, tls_error_of(tls, &tls->start->result.detail));
    } else if (done == 1) {
        finish(tls, TLS_OK);
    } else {
        rewant(tls);
    }
}

static void deliver(struct tls *tls)
{
    struct tls_start *start = tls->start;
    struct tls_result result = start->result;
    tls_done_fn *done = start->done;
    void *self = start->self;
    start_free(tls);
    rewant(tls);
    done(self, &tls->stream, &result);
}

static void finish(struct tls *tls, enum tls_error error)
{
    struct tls_start *start = tls->start;
    struct tls_result *result = &start->result;
    result->error = error;
    result->took_ms = (uint32_t)(loop_now_ms(tls->desk->loop) - start->began_ms);
    if (result->detail == NULL) {
        result->detail = "";
    }
    if (error == TLS_OK) {
        result->alpn = alpn_of(tls->ssl);
        result->resumed = SSL_session_reused(tls->ssl) == 1;
        tally(&tls->counters->handshakes);
        if (result->resumed) {
            tally(&tls->counters->resumed);
        }
    } else {
        tls->failed = true;
        tally(&tls->counters->failed[error]);
    }
    const char *name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name);
    tls->server_name = name != NULL ? name : "";
    tls->counters = NULL;
    loop_timer_stop(tls->desk->loop, &start->timer);
    if (start->is_opening) {
        loop_later(tls->desk->loop, &start->late);
    } else {
        deliver(tls);
    }
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    (void)now_ms;
    finish(container_of(timer, struct tls_start, timer)->tls, TLS_TIMEOUT);
}

static void on_late(struct loop_later *later)
{
    deliver(container_of(later, struct tls_start, late)->tls);
}

/* --- what is told of a connection --------------------------------------------------------------
 */

bool stream_is_tls(const struct stream *stream)
{
    return stream->ops == &tls_ops;
}

enum tls_alpn tls_alpn_of(const struct stream *stream)
{
    return alpn_of(tls_of(stream)->ssl);
}

const char *tls_server_name(const struct stream *stream)
{
    return tls_of(stream)->server_name;
}

const char *tls_version_of(const struct stream *stream)
{
    return SSL_get_version(tls_of(stream)->ssl);
}

void tls_close_silently(struct stream *stream)
{
    tls_of(stream)->silent = true;
}
