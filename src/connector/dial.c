/* SPDX-License-Identifier: Apache-2.0
 *
 *   dial_start --> RESOLVING --> RACING --> PASSING, by proxy --> ANNOUNCING, if asked for
 *                      |            |           |                     |      \
 *                    ENDED <--------+-----------+---------------------+-- SHAKING HANDS, with TLS
 *
 * ENDED is a moment: the result stands and is handed out later in the turn, so that done() never
 * comes from inside a call of the caller's. The one timer is set for whatever comes first, the next
 * attempt or the deadline of all.
 */
#include "connector/dial.h"

#include "base/text.h"
#include "connector/race.h"
#include "connector/tunnel.h"
#include "io/socket.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct attempt {
    struct dial *dial;
    struct stream *stream; /* NULL: not begun, or failed */
    struct address to;
};

/* What is said to the target first. */
struct announcement {
    struct stream *stream; /* NULL: not now */
    uint8_t from, to;
    char text[PROXY_WRITTEN_MAX];
};

/* What a dial through a proxy has besides. */
struct passage {
    struct proxy proxy;
    struct tls_client *tls; /* with the proxy itself, or NULL */
    struct tunnel tunnel;
    bool is_begun; /* connected to the proxy; the tunnel is not open yet */
    bool is_open;
};

struct dial {
    struct loop *loop;
    dial_fn *done;
    void *self;
    struct dns_query query;
    struct loop_timer timer;
    struct loop_later end;
    struct race race;
    uint32_t attempt_delay_ms;
    uint16_t race_port;      /* of the target, or of the proxy */
    uint16_t port;           /* of the target */
    struct address source;   /* len 0: any */
    struct passage *passage; /* NULL: none */
    struct announcement announcement;
    uint64_t step_ns;
    struct tls_desk *desk;
    struct tls_client *tls; /* NULL: plain */
    unsigned tls_offer;
    uint32_t tls_timeout_ms;
    void (*on_transport)(void *self);
    struct stream *shaking; /* its handshake is under way */
    uint64_t started_ms, resolved_ms, deadline_ms;
    struct dial_result result;
    struct attempt attempts[DNS_ADDRESSES_MAX];
    char *host;  /* for TLS and for a proxy; behind the rest */
    char *whose; /* for TLS; behind the rest */
};

static void on_resolved(struct dns_query *query, enum dns_error error,
                        const struct dns_answer *answer);
static void on_timer(struct loop_timer *timer, uint64_t now_ms);
static void on_end(struct loop_later *later);
static void begin(struct dial *dial, struct dns *dns, const struct dial_request *request,
                  const struct address *local);
static void race_addresses(struct dial *dial, enum dns_error error,
                           const struct dns_answer *answer);
static void advance(struct dial *dial);
static void pass(struct dial *dial, struct stream *take_stream);
static void arrive(struct dial *dial, struct stream *take_stream);
static void announce(struct dial *dial, struct stream *take_stream);
static void secure(struct dial *dial, struct stream *take_stream);
static void enter_step(struct dial *dial, enum dial_step step);
static void shake_hands(struct dial *dial, struct tls_client *tls, struct slice host, uint16_t port,
                        struct stream *take_stream);
static void end(struct dial *dial, enum dial_error error);
static void close_attempts(struct dial *dial);
static void close_passage(struct dial *dial);
static void close_announcement(struct dial *dial);

static bool is_said(const char *text)
{
    return text != NULL && text[0] != '\0';
}

static const char *or_nothing(const char *text)
{
    return text != NULL ? text : "";
}

/* For whom TLS resumes: two that differ in a part differ as a whole. Its size. */
static size_t say_whose(const struct dial_request *request, char *ret, size_t cap)
{
    const char *source = or_nothing(request->source), *proxy = or_nothing(request->proxy);
    return (size_t)snprintf(ret, cap, "%zu %zu %s%s%s", strlen(source), strlen(proxy), source,
                            proxy, or_nothing(request->tenant))
           + 1;
}

/* 0; -EINVAL: not a proxy's URL, or without a target's host; -EPROTONOSUPPORT: no TLS for it. */
static int open_passage(struct dial *dial, const struct dial_request *request)
{
    dial->passage = alloc_zeroed(loop_alloc(dial->loop), sizeof *dial->passage);
    if (dial->passage == NULL) {
        return -ENOMEM;
    }
    struct proxy *proxy = &dial->passage->proxy;
    if (!is_said(request->host) || is_said(request->unix_path)
        || !proxy_parse(slice_of(request->proxy), proxy)) {
        return -EINVAL;
    }
    dial->passage->tls = request->proxy_tls;
    return proxy->kind == PROXY_HTTPS && request->proxy_tls == NULL ? -EPROTONOSUPPORT : 0;
}

static void dial_free(struct dial *dial)
{
    alloc_free(loop_alloc(dial->loop), dial->passage);
    alloc_free(loop_alloc(dial->loop), dial);
}

int dial_start(struct loop *loop, struct dns *dns, const struct dial_request *request,
               dial_fn *done, void *self, struct dial **ret_dial)
{
    struct address local = {0}, source = {0};
    bool is_unix = is_said(request->unix_path);
    if (is_unix ? !address_of_unix(request->unix_path, &local)
                : request->host == NULL || request->port == 0) {
        return -EINVAL;
    }
    if (is_said(request->source) && (is_unix || !address_of_host(request->source, 0, &source))) {
        return -EINVAL;
    }
    if (request->tls != NULL && request->host == NULL) {
        return -EINVAL;
    }
    bool has_proxy = is_said(request->proxy);
    size_t host_size = (request->tls != NULL || has_proxy) && request->host != NULL
                           ? strlen(request->host) + 1
                           : 0;
    size_t whose_size = host_size > 0 ? say_whose(request, NULL, 0) : 0;
    struct dial *dial = alloc_zeroed(loop_alloc(loop), sizeof *dial + host_size + whose_size);
    if (dial == NULL) {
        return -ENOMEM;
    }
    if (host_size > 0) {
        dial->host = memcpy(dial + 1, request->host, host_size);
        dial->whose = dial->host + host_size;
        say_whose(request, dial->whose, whose_size);
    }
    dial->desk = request->desk;
    dial->tls = request->tls;
    dial->tls_offer = request->tls_offer;
    dial->tls_timeout_ms = request->tls_timeout_ms;
    dial->on_transport = request->on_transport;
    dial->loop = loop;
    dial->done = done;
    dial->self = self;
    dial->source = source;
    int error = has_proxy ? open_passage(dial, request) : 0;
    if (error != 0) {
        dial_free(dial);
        return error;
    }
    if (request->announce_version > 0) {
        dial->announcement.to = (uint8_t)proxy_header_write(
            &request->announce, request->announce_version, dial->announcement.text);
    }
    dial->step_ns = loop_now_ns(loop);
    dial->query.done = on_resolved;
    dial->timer.fire = on_timer;
    dial->end.run = on_end;
    begin(dial, dns, request, is_unix ? &local : NULL);
    *ret_dial = dial;
    return 0;
}

static void begin(struct dial *dial, struct dns *dns, const struct dial_request *request,
                  const struct address *local)
{
    uint32_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : DIAL_TIMEOUT_MS;
    dial->started_ms = dial->resolved_ms = loop_now_ms(dial->loop);
    dial->deadline_ms = dial->started_ms + timeout_ms;
    dial->attempt_delay_ms = request->attempt_delay_ms > 0 ? request->attempt_delay_ms
                                                           : DIAL_ATTEMPT_DELAY_MS;
    const struct proxy *proxy = dial->passage != NULL ? &dial->passage->proxy : NULL;
    dial->port = request->port;
    dial->race_port = proxy != NULL ? proxy->port : request->port;
    if (local != NULL) {
        dial->attempts[0] = (struct attempt){.dial = dial, .to = *local};
        enter_step(dial, DIAL_CONNECTING);
        race_init(&dial->race, 1, dial->attempt_delay_ms);
        advance(dial);
        return;
    }
    struct dns_answer answer;
    enum dns_error error = dns_resolve(dns, proxy != NULL ? proxy->host.at : request->host,
                                       &dial->query, &answer);
    if (error == DNS_LATER) {
        loop_timer_set(dial->loop, &dial->timer, dial->deadline_ms);
    } else {
        race_addresses(dial, error, &answer);
    }
}

void dial_cancel(struct dial *dial)
{
    dns_cancel(&dial->query);
    loop_timer_stop(dial->loop, &dial->timer);
    loop_later_cancel(dial->loop, &dial->end);
    close_attempts(dial);
    close_passage(dial);
    close_announcement(dial);
    if (dial->shaking != NULL) {
        stream_close(dial->shaking);
    }
    if (dial->result.take_stream != NULL) {
        stream_close(dial->result.take_stream);
    }
    dial_free(dial);
}

static void on_resolved(struct dns_query *query, enum dns_error error,
                        const struct dns_answer *answer)
{
    struct dial *dial = container_of(query, struct dial, query);
    dial->resolved_ms = loop_now_ms(dial->loop);
    dial->result.dns_ms = (uint32_t)(dial->resolved_ms - dial->started_ms);
    race_addresses(dial, error, answer);
}

/* Those of the source's family, if there is one. */
static void race_addresses(struct dial *dial, enum dns_error error, const struct dns_answer *answer)
{
    dial->result.dns = error;
    if (error != DNS_OK) {
        end(dial, DIAL_DNS);
        return;
    }
    struct ip order[DNS_ADDRESSES_MAX];
    uint32_t count = 0;
    race_order(answer->at, answer->count, order);
    for (uint32_t i = 0; i < answer->count; i++) {
        if (dial->source.len == 0 || dial->source.any.sa_family == order[i].family) {
            dial->attempts[count++] =
                (struct attempt){.dial = dial, .to = address_of_ip(&order[i], dial->race_port)};
        }
    }
    if (count == 0) {
        dial->result.os_error = EAFNOSUPPORT;
        end(dial, DIAL_LOCAL);
        return;
    }
    enter_step(dial, DIAL_CONNECTING);
    race_init(&dial->race, count, dial->attempt_delay_ms);
    advance(dial);
}

/* --- the race -----------------------------------------------------------------------------------
 */

static enum dial_error error_of(int os_error)
{
    switch (os_error) {
    case ECONNREFUSED:
    case EAGAIN: /* a unix socket's backlog is full */ return DIAL_REFUSED;
    case ETIMEDOUT: return DIAL_TIMEOUT;
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE: return DIAL_RESET;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case EAFNOSUPPORT: /* a kernel without IPv6 */
    case ENOENT: /* no such unix socket */ return DIAL_UNREACHABLE;
    default: return DIAL_LOCAL;
    }
}

/* Of several failures the most telling is reported: what a peer said before what nobody said. */
static int telling(enum dial_error error)
{
    switch (error) {
    case DIAL_REFUSED:
    case DIAL_RESET: return 3;
    case DIAL_TIMEOUT: return 2;
    case DIAL_UNREACHABLE: return 1;
    default: return 0;
    }
}

static void note_failure(struct attempt *attempt, int os_error)
{
    struct dial *dial = attempt->dial;
    enum dial_error error = error_of(os_error);
    if (dial->result.error == DIAL_OK || telling(error) >= telling(dial->result.error)) {
        dial->result.error = error;
        dial->result.os_error = os_error;
        dial->result.peer = attempt->to;
    }
    if (attempt->stream != NULL) {
        stream_close(attempt->stream);
        attempt->stream = NULL;
    }
    race_failed(&dial->race);
}

static void win(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;
    struct stream *stream = attempt->stream;
    attempt->stream = NULL;
    stream_want(stream, 0);
    stream->on_ready = NULL;
    stream->owner = NULL;
    dial->result.peer = attempt->to;
    dial->result.os_error = 0;
    dial->result.connect_ms = (uint32_t)(loop_now_ms(dial->loop) - dial->resolved_ms);
    if (dial->passage != NULL) {
        pass(dial, stream);
    } else {
        arrive(dial, stream);
    }
}

static void on_ready(struct stream *stream, unsigned events)
{
    struct attempt *attempt = stream->owner;
    int error = socket_connected(stream);
    (void)events;
    if (error == 0) {
        win(attempt);
    } else if (error != -EINPROGRESS) {
        note_failure(attempt, -error);
        advance(attempt->dial);
    }
}

static void try_one(struct attempt *attempt)
{
    struct dial *dial = attempt->dial;
    int error = socket_connect(dial->loop, &attempt->to, &dial->source, &attempt->stream);
    dial->result.attempts++;
    if (error != 0) {
        attempt->stream = NULL;
        note_failure(attempt, -error);
        return;
    }
    attempt->stream->owner = attempt;
    attempt->stream->on_ready = on_ready;
}

static void advance(struct dial *dial)
{
    uint64_t now_ms = loop_now_ms(dial->loop);
    for (;;) {
        switch (race_next(&dial->race, now_ms)) {
        case RACE_START: try_one(&dial->attempts[dial->race.started - 1]); continue;
        case RACE_LOST: end(dial, dial->result.error); return;
        case RACE_WAIT: break;
        }
        break;
    }
    uint64_t next_ms = race_deadline_ms(&dial->race);
    loop_timer_set(dial->loop, &dial->timer,
                   next_ms < dial->deadline_ms ? next_ms : dial->deadline_ms);
}

static void on_timer(struct loop_timer *timer, uint64_t now_ms)
{
    struct dial *dial = container_of(timer, struct dial, timer);
    if (now_ms < dial->deadline_ms) {
        advance(dial);
        return;
    }
    if (list_holds(&dial->query.on_lookup)) {
        dial->result.dns = DNS_TIMEOUT;
        dial->result.dns_ms = (uint32_t)(now_ms - dial->started_ms);
        dial->resolved_ms = now_ms;
        end(dial, DIAL_DNS);
        return;
    }
    dial->result.os_error = ETIMEDOUT;
    dial->result.peer = dial->attempts[dial->race.started - 1].to;
    end(dial, DIAL_TIMEOUT);
}

/* --- through a proxy --------------------------------------------------------------------------
 */

static void on_tunnel(void *self, struct stream *stream, const char *error)
{
    struct dial *dial = self;
    if (error != NULL) {
        stream_close(stream);
        dial->result.proxy = error;
        end(dial, DIAL_PROXY);
        return;
    }
    dial->passage->is_open = true;
    arrive(dial, stream);
}

static void enter_tunnel(struct dial *dial, struct stream *take_stream)
{
    struct passage *passage = dial->passage;
    enter_step(dial, DIAL_PASSING);
    passage->tunnel.done = on_tunnel;
    passage->tunnel.self = dial;
    if (!tunnel_begin(&passage->tunnel, &passage->proxy, slice_of(dial->host), dial->port,
                      take_stream)) {
        stream_close(take_stream);
        dial->result.proxy = "the proxy cannot be told the target's name, or user and password";
        end(dial, DIAL_PROXY);
    }
}

/* What is left of the time to connect is the proxy's; nobody else is raced any more. */
static void pass(struct dial *dial, struct stream *take_stream)
{
    struct passage *passage = dial->passage;
    close_attempts(dial);
    passage->is_begun = true;
    loop_timer_set(dial->loop, &dial->timer, dial->deadline_ms);
    if (passage->proxy.kind == PROXY_HTTPS) {
        enter_step(dial, DIAL_GREETING);
        shake_hands(dial, passage->tls, passage->proxy.host, passage->proxy.port, take_stream);
    } else {
        enter_tunnel(dial, take_stream);
    }
}

static void close_passage(struct dial *dial)
{
    if (dial->passage != NULL && dial->passage->tunnel.stream != NULL) {
        stream_close(dial->passage->tunnel.stream);
        dial->passage->tunnel.stream = NULL;
    }
}

/* --- whom it is for -----------------------------------------------------------------------------
 */

static void close_announcement(struct dial *dial)
{
    if (dial->announcement.stream != NULL) {
        stream_close(dial->announcement.stream);
        dial->announcement.stream = NULL;
    }
}

/* All at once, but for a window that is smaller than a hundred bytes. */
static void announce_rest(struct stream *stream, unsigned events)
{
    struct dial *dial = stream->owner;
    struct announcement *it = &dial->announcement;
    (void)events;
    const struct iovec part = {it->text + it->from, (size_t)(it->to - it->from)};
    ssize_t sent = stream_writev(stream, &part, 1);
    if (sent < 0 && sent != -EAGAIN) {
        dial->result.os_error = (int)-sent;
        end(dial, DIAL_RESET);
        return;
    }
    it->from += sent > 0 ? (uint8_t)sent : 0;
    if (it->from < it->to) {
        stream_want(stream, STREAM_WRITE);
        return;
    }
    it->stream = NULL;
    stream_want(stream, 0);
    stream->on_ready = NULL;
    stream->owner = NULL;
    secure(dial, stream);
}

static void announce(struct dial *dial, struct stream *take_stream)
{
    enter_step(dial, DIAL_ANNOUNCING);
    loop_timer_set(dial->loop, &dial->timer, dial->deadline_ms);
    dial->announcement.stream = take_stream;
    take_stream->owner = dial;
    take_stream->on_ready = announce_rest;
    announce_rest(take_stream, STREAM_WRITE);
}

/* --- TLS ----------------------------------------------------------------------------------------
 */

static bool is_with_proxy(const struct dial *dial)
{
    return dial->passage != NULL && !dial->passage->is_open;
}

static void on_handshake(void *self, struct stream *stream, const struct tls_result *result)
{
    struct dial *dial = self;
    dial->shaking = NULL;
    if (is_with_proxy(dial)) {
        if (result->error == TLS_OK) {
            enter_tunnel(dial, stream);
            return;
        }
        stream_close(stream);
        dial->result.proxy = tls_error_text(result->error);
        end(dial, DIAL_PROXY);
        return;
    }
    dial->result.tls = *result;
    dial->result.tls.detail = tls_error_text(result->error);
    if (result->error == TLS_OK) {
        dial->result.take_stream = stream;
        end(dial, DIAL_OK);
        return;
    }
    stream_close(stream);
    end(dial, result->error == TLS_TIMEOUT ? DIAL_TLS_TIMEOUT : DIAL_TLS);
}

/* The transport leads to the target. */
static void arrive(struct dial *dial, struct stream *take_stream)
{
    close_attempts(dial);
    if (dial->announcement.to > 0) {
        announce(dial, take_stream);
    } else {
        secure(dial, take_stream);
    }
}

/* With TLS there is a handshake more, whose time is its own. */
static void secure(struct dial *dial, struct stream *take_stream)
{
    loop_timer_stop(dial->loop, &dial->timer);
    if (dial->tls == NULL) {
        dial->result.take_stream = take_stream;
        end(dial, DIAL_OK);
        return;
    }
    enter_step(dial, DIAL_SECURING);
    shake_hands(dial, dial->tls, slice_of(dial->host), dial->port, take_stream);
    if (dial->shaking != NULL && dial->on_transport != NULL) {
        dial->on_transport(dial->self);
    }
}

static void shake_hands(struct dial *dial, struct tls_client *tls, struct slice host, uint16_t port,
                        struct stream *take_stream)
{
    const struct tls_options opt = {
        .client = tls,
        .host = host.at,
        .port = port,
        .whose = dial->whose,
        .offer = host.at == dial->host ? dial->tls_offer : 0, /* a proxy has its own */
        .timeout_ms = dial->tls_timeout_ms,
        .done = on_handshake,
        .self = dial,
    };
    int error = tls_open(dial->desk, &opt, take_stream, &dial->shaking);
    if (error != 0) {
        dial->shaking = NULL;
        dial->result.os_error = -error;
        dial->result.tls = (struct tls_result){.error = TLS_LOCAL,
                                               .detail = tls_error_text(TLS_LOCAL)};
        end(dial, DIAL_LOCAL);
    }
}

/* --- steps --------------------------------------------------------------------------------------
 */

static void leave_step(struct dial *dial)
{
    uint64_t now_ns = loop_now_ns(dial->loop);
    dial->result.step_us[dial->result.step] += (uint32_t)((now_ns - dial->step_ns) / 1000);
    dial->step_ns = now_ns;
}

static void enter_step(struct dial *dial, enum dial_step step)
{
    leave_step(dial);
    dial->result.step = step;
}

/* --- the end ------------------------------------------------------------------------------------
 */

static void close_attempts(struct dial *dial)
{
    for (uint32_t i = 0; i < dial->race.started; i++) {
        if (dial->attempts[i].stream != NULL) {
            stream_close(dial->attempts[i].stream);
            dial->attempts[i].stream = NULL;
        }
    }
}

/* Before the tunnel is open, what failed is the proxy. Time and what is ours keep their names. */
static enum dial_error blame(struct dial *dial, enum dial_error error)
{
    if (dial->passage == NULL || dial->passage->is_begun) {
        return error;
    }
    switch (error) {
    case DIAL_DNS: dial->result.proxy = "the proxy's name was not resolved"; return DIAL_PROXY;
    case DIAL_REFUSED: dial->result.proxy = "the proxy's host refused"; return DIAL_PROXY;
    case DIAL_UNREACHABLE: dial->result.proxy = "the proxy is unreachable"; return DIAL_PROXY;
    case DIAL_RESET: dial->result.proxy = "the proxy hung up"; return DIAL_PROXY;
    default: return error;
    }
}

static void end(struct dial *dial, enum dial_error error)
{
    leave_step(dial);
    dial->result.error = blame(dial, error);
    if (dial->result.take_stream == NULL && dial->result.tls.error == TLS_OK) {
        dial->result.connect_ms = (uint32_t)(loop_now_ms(dial->loop) - dial->resolved_ms);
    }
    dns_cancel(&dial->query);
    loop_timer_stop(dial->loop, &dial->timer);
    close_attempts(dial);
    close_passage(dial);
    close_announcement(dial);
    if (dial->shaking != NULL) { /* with a proxy that took too long */
        stream_close(dial->shaking);
        dial->shaking = NULL;
    }
    loop_later(dial->loop, &dial->end);
}

static void on_end(struct loop_later *later)
{
    struct dial *dial = container_of(later, struct dial, end);
    struct dial_result result = dial->result;
    dial_fn *done = dial->done;
    void *self = dial->self;
    dial_free(dial);
    done(self, &result);
}

const char *dial_error_text(enum dial_error error)
{
    static const char *const texts[] = {
        [DIAL_OK] = "ok",
        [DIAL_DNS] = "dns",
        [DIAL_REFUSED] = "refused",
        [DIAL_UNREACHABLE] = "unreachable",
        [DIAL_TIMEOUT] = "timeout",
        [DIAL_RESET] = "reset",
        [DIAL_LOCAL] = "local",
        [DIAL_TLS] = "tls",
        [DIAL_TLS_TIMEOUT] = "tls_timeout",
        [DIAL_PROXY] = "proxy",
    };
    return texts[error];
}

const char *dial_step_text(enum dial_step step)
{
    static const char *const texts[] = {
        [DIAL_RESOLVING] = "resolve", [DIAL_CONNECTING] = "connect",  [DIAL_GREETING] = "proxy_tls",
        [DIAL_PASSING] = "proxy",     [DIAL_ANNOUNCING] = "announce", [DIAL_SECURING] = "tls",
    };
    return texts[step];
}
