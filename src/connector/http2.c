/* SPDX-License-Identifier: Apache-2.0
 *
 * http2.c - the connection: what is read is fed to nghttp2, what it has to say is written once a
 * turn, and the pool hears how many leases there are.
 */
#include "connector/http2.h"

#include "base/alloc.h"
#include "base/check.h"
#include "connector/http2_session.h"

#include <errno.h>
#include <string.h>

#define PADDED_HEAD_MAX (1U << 20) /* of what we send: no limit of ours */

static const struct http_link_ops link_ops;
static int make_option(struct http2_connector *connector);
static bool greet(struct session *session);
static void session_free(struct session *session);
static void session_freed(struct loop_later *put_off);
static void session_end(struct session *session, weir_err why, enum http_fault fault);
static void session_ready(struct stream *stream, unsigned events);
static void session_write(struct session *session);
static void session_sending(struct loop_later *put_off);
static void session_room(struct session *session);
static void arm(struct session *session, uint64_t deadline_ms);
static void watch(struct session *session);
static void timer_fire(struct loop_timer *timer, uint64_t now_ms);

static struct session *session_of(struct http_link *link)
{
    return container_of(link, struct session, link);
}

static struct loop *loop_of(const struct session *session)
{
    return session->connector->opt->loop;
}

static weir_pool *pool_of(const struct session *session)
{
    return session->connector->pool;
}

/* --- what its connections share -----------------------------------------------------------------
 */

int http2_connector_new(const struct http_connector_options *opt,
                        struct http2_connector **ret_connector)
{
    struct http2_connector *connector = alloc_zeroed(&alloc_libc, sizeof *connector);
    if (connector == NULL) {
        return -ENOMEM;
    }
    connector->opt = opt;
    connector->header_bytes_max = opt->header_bytes_max > 0 ? opt->header_bytes_max : 32U << 10;
    connector->headers_max = opt->headers_max > 0 ? opt->headers_max : 100;
    if (connector->headers_max > HTTP_FIELDS_MAX) {
        connector->headers_max = HTTP_FIELDS_MAX;
    }
    connector->ping_least_ms = opt->ping_least_ms;
    list_init(&connector->sessions);
    list_init(&connector->spare);
    list_init(&connector->rooms);
    shelf_init(&connector->shelf, &alloc_libc, HTTP2_SHELF_MAX);
    if (frames_listen(connector) != 0 || make_option(connector) != 0) {
        http2_connector_free(connector);
        return -ENOMEM;
    }
    *ret_connector = connector;
    return 0;
}

void http2_connector_free(struct http2_connector *take_connector)
{
    struct http2_connector *connector = take_connector;
    if (connector == NULL) {
        return;
    }
    for (struct node *it; (it = list_first(&connector->sessions)) != NULL;) {
        session_free(list_entry(it, struct session, on_list));
    }
    for (struct node *it; (it = list_first(&connector->spare)) != NULL;) {
        struct call *call = list_entry(it, struct call, on_list);
        loop_timer_stop(connector->opt->loop, &call->timer);
        call_free(call);
    }
    for (struct node *it; (it = list_pop_front(&connector->rooms)) != NULL;) {
        alloc_free(&alloc_libc, list_entry(it, struct gathering, on_spare));
    }
    nghttp2_session_callbacks_del(connector->callbacks);
    nghttp2_option_del(connector->option);
    shelf_fini(&connector->shelf);
    alloc_free(&alloc_libc, connector);
}

void http2_connector_serve(struct http2_connector *connector, weir_pool *pool)
{
    connector->pool = pool;
}

static int make_option(struct http2_connector *connector)
{
    if (nghttp2_option_new(&connector->option) != 0) {
        connector->option = NULL;
        return -ENOMEM;
    }
    nghttp2_option_set_no_auto_window_update(connector->option, 1);
    nghttp2_option_set_no_closed_streams(connector->option, 1);
    nghttp2_option_set_max_reserved_remote_streams(connector->option, 0);
    nghttp2_option_set_max_send_header_block_length(connector->option, PADDED_HEAD_MAX);
    return 0;
}

/* --- a connection's life ------------------------------------------------------------------------
 */

struct http_link *http2_open(struct http2_connector *connector, const struct http2_open *how)
{
    struct session *session = alloc_zeroed(&alloc_libc, sizeof *session);
    if (session == NULL) {
        stream_close(how->take_stream);
        return NULL;
    }
    session->link = (struct http_link){&link_ops, gate_move(how->take_place)};
    session->connector = connector;
    session->stream = how->take_stream;
    session->id = how->id;
    session->is_tls = how->is_tls;
    session->took = how->took;
    session->opened_ms = session->heard_ms = session->tokens_ms = session_now_ms(session);
    session->tokens_milli = (uint64_t)HTTP2_IDLE_BURST * 1000;
    session->write_ms = session->armed_ms = UINT64_MAX;
    session->timer.fire = timer_fire;
    session->sending.run = session_sending;
    session->freeing.run = session_freed;
    list_init(&session->calls);
    list_init(&session->heard);
    list_init(&session->writing);
    outbox_init(&session->out, connector->opt->cork, HTTP2_KEPT_MAX);
    list_push_back(&connector->sessions, &session->on_list);
    session->stream->owner = session;
    session->stream->on_ready = session_ready;
    if (!greet(session)) {
        session->id.id = 0; /* nothing is said */
        session_free(session);
        return NULL;
    }
    session_want(session);
    session_send_soon(session);
    watch(session);
    if (session->id.id != 0 && how->is_trusted) {
        session->is_up = true;
        session->room = 1;
        weir_err err = weir_conn_up(pool_of(session), session->id, session, 1);
        if (err != WEIR_OK) {
            session_end(session, err, HTTP_FAULT_RESET); /* it was told to close meanwhile */
        }
    }
    return &session->link;
}

/* Our SETTINGS, and what windows we open (RFC 9113 §3.4). */
static bool greet(struct session *session)
{
    struct http2_connector *connector = session->connector;
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, connector->header_bytes_max},
    };
    nghttp2_mem memory = memory_of(connector);
    if (nghttp2_session_client_new3(&session->ng, connector->callbacks, session, connector->option,
                                    &memory)
        != 0) {
        session->ng = NULL;
        return false;
    }
    return nghttp2_submit_settings(session->ng, NGHTTP2_FLAG_NONE, settings,
                                   sizeof settings / sizeof *settings)
               == 0
           && nghttp2_session_set_local_window_size(session->ng, NGHTTP2_FLAG_NONE, 0,
                                                    HTTP2_WINDOW_ALL)
                  == 0;
}

/* Takes everything from it but its calls and what nghttp2 knows. */
static void session_spend(struct session *session)
{
    session->state = SESSION_DEAD;
    gate_give(&session->link.place);
    if (session->stream != NULL) {
        stream_close(session->stream);
        session->stream = NULL;
    }
    loop_timer_stop(loop_of(session), &session->timer);
    loop_later_cancel(loop_of(session), &session->sending);
    session->armed_ms = UINT64_MAX;
    outbox_fini(&session->out);
    outbox_init(&session->out, session->connector->opt->cork, HTTP2_KEPT_MAX);
}

static void session_free(struct session *session)
{
    struct http2_connector *connector = session->connector;
    session_spend(session);
    for (struct node *it; (it = list_first(&session->calls)) != NULL;) {
        struct call *call = list_entry(it, struct call, on_list);
        loop_timer_stop(connector->opt->loop, &call->timer);
        call_free(call);
    }
    if (session->gathering != NULL) {
        gathering_give(connector, session->gathering);
    }
    loop_later_cancel(loop_of(session), &session->freeing);
    nghttp2_session_del(session->ng);
    list_leave(&session->on_list);
    alloc_free(&alloc_libc, session);
}

/* What a call of a connection that is no more has missed. */
static void fail_call(struct call *call, enum http_fault fault)
{
    bool is_unsent = call->call.sent == 0;
    bool is_stale = call->call.reused && !call->answered && fault == HTTP_FAULT_RESET;
    call->call.untouched = is_unsent;
    call_fail(call, is_unsent || is_stale ? HTTP_FAULT_STALE : fault);
}

static void session_freed(struct loop_later *put_off)
{
    struct session *session = container_of(put_off, struct session, freeing);
    for (struct node *it; (it = list_first(&session->calls)) != NULL;) {
        fail_call(list_entry(it, struct call, on_list), HTTP_FAULT_RESET);
    }
    session_free(session);
}

/* The pool hears first, so that nobody who tries again is given it. */
static void session_end(struct session *session, weir_err why, enum http_fault fault)
{
    if (session->state == SESSION_DEAD) {
        return;
    }
    check(!session->is_inside);
    session_spend(session);
    loop_later(loop_of(session), &session->freeing);
    if (session->id.id != 0) {
        weir_conn_down(pool_of(session), session->id, why);
    }
    for (struct node *it; (it = list_first(&session->calls)) != NULL;) {
        fail_call(list_entry(it, struct call, on_list), fault);
    }
}

void session_doom(struct session *session, weir_err why, enum http_fault fault)
{
    if (session->doom == WEIR_OK) {
        session->doom = why;
        session->doom_fault = fault;
    }
}

void session_go(struct session *session)
{
    if (session->state != SESSION_OPEN) {
        return;
    }
    session->state = SESSION_GOING;
    if (session->id.id != 0 && session->is_up) {
        weir_conn_room(pool_of(session), session->id, 0);
    }
}

/* --- as the pool sees it ------------------------------------------------------------------------
 */

static struct http_call *link_call(struct http_link *link, const struct http_caller *caller,
                                   void *user)
{
    struct session *session = session_of(link);
    struct http_call *call = call_open(session, caller, user);
    if (call != NULL && session->calls.count == 1) {
        session->heard_ms = session_now_ms(session);
        watch(session);
    }
    return call;
}

static bool link_reusable(struct http_link *link)
{
    return session_of(link)->state == SESSION_OPEN;
}

static void ping(struct session *session)
{
    uint64_t now_ms = session_now_ms(session);
    memcpy(session->ping, &now_ms, sizeof session->ping);
    session->pinged_ms = now_ms;
    session->is_pinging = nghttp2_submit_ping(session->ng, NGHTTP2_FLAG_NONE, session->ping) == 0;
    session_send_soon(session);
    watch(session);
}

/* Peers that count our pings are not asked too often: what was heard lately has to do. */
static void link_probe(struct http_link *link)
{
    struct session *session = session_of(link);
    uint64_t now_ms = session_now_ms(session);
    uint64_t asked_ms = session->pinged_ms > session->opened_ms ? session->pinged_ms
                                                                : session->opened_ms;
    if (now_ms - asked_ms < session->connector->ping_least_ms) {
        weir_conn_up(pool_of(session), session->id, session, session->room);
        return;
    }
    session->is_probing = true;
    if (!session->is_pinging) {
        ping(session);
    }
}

/* Takes its leave of the peer, as far as that will listen. */
static void say_goodbye(struct session *session, uint32_t error_code)
{
    if (nghttp2_session_terminate_session(session->ng, error_code) == 0) {
        session_write(session);
    }
}

static void link_close(struct http_link *link, weir_err why)
{
    struct session *session = session_of(link);
    if (session->state == SESSION_DEAD) {
        return;
    }
    if (session->id.id == 0) {
        for (struct node *it; (it = list_first(&session->calls)) != NULL;) {
            struct call *call = list_entry(it, struct call, on_list);
            call->call.ops->cancel(&call->call);
        }
    }
    if (session->is_inside) {
        session_doom(session, WEIR_ECLOSED, HTTP_FAULT_RESET);
        return;
    }
    say_goodbye(session, NGHTTP2_NO_ERROR);
    session_end(session, why, HTTP_FAULT_RESET);
}

static int link_fd(struct http_link *link)
{
    const struct session *session = session_of(link);
    return session->stream != NULL ? stream_fd(session->stream) : -1;
}

static void link_each(const struct http_link *link, http_link_call_fn *fn, void *arg)
{
    const struct session *session = container_of((struct http_link *)(uintptr_t)link,
                                                 struct session, link);
    weir_list_each(node, &session->calls) {
        const struct call *call = container_of(node, struct call, on_list);
        fn(arg, (uint32_t)call->stream_id, &call->call);
    }
}

static const struct http_link_ops link_ops = {
    .call = link_call,
    .reusable = link_reusable,
    .probe = link_probe,
    .close = link_close,
    .fd = link_fd,
    .each = link_each,
};

/* The peer's SETTINGS are there, or others (RFC 9113 §6.5.2). */
static void session_room(struct session *session)
{
    uint32_t room = nghttp2_session_get_remote_settings(session->ng,
                                                        NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    session->is_greeted = true;
    weir_list_each(it, &session->calls) {
        call_greeted(list_entry(it, struct call, on_list));
    }
    if (session->id.id == 0 || session->state != SESSION_OPEN) {
        return;
    }
    if (room == 0) {
        if (session->is_up) {
            session_go(session);
        } else {
            session_doom(session, WEIR_EGOAWAY, HTTP_FAULT_RESET); /* a dial for nothing */
        }
    } else if (!session->is_up) {
        session->is_up = true;
        session->room = room;
        weir_err err = weir_conn_up(pool_of(session), session->id, session, room);
        if (err != WEIR_OK) {
            session_doom(session, err, HTTP_FAULT_RESET);
        }
    } else if (room != session->room) {
        session->room = room;
        weir_conn_room(pool_of(session), session->id, room);
    }
}

/* --- what is read -------------------------------------------------------------------------------
 */

/* Tells the stream what it waits for; nothing where that has not changed. */
void session_want(struct session *session)
{
    unsigned interest = STREAM_READ | (outbox_is_blocked(&session->out) ? STREAM_WRITE : 0);
    if (session->stream != NULL && interest != session->interest) {
        session->interest = (uint8_t)interest;
        stream_want(session->stream, interest);
    }
}

/* After nghttp2 has returned: what was found out meanwhile. */
static bool session_survives(struct session *session)
{
    if (session->state == SESSION_DEAD) {
        return false;
    }
    if (session->doom != WEIR_OK) {
        session->is_inside = false;
        if (session->doom_fault == HTTP_FAULT_BAD_ANSWER) {
            say_goodbye(session, NGHTTP2_ENHANCE_YOUR_CALM);
        }
        session_end(session, session->doom, session->doom_fault);
        return false;
    }
    if (nghttp2_session_want_read(session->ng) == 0
        && nghttp2_session_want_write(session->ng) == 0) {
        bool is_bad = session->state == SESSION_OPEN || session->calls.count > 0;
        session_end(session, is_bad ? WEIR_EPROTOCOL : WEIR_EGOAWAY,
                    is_bad ? HTTP_FAULT_BAD_ANSWER : HTTP_FAULT_RESET);
        return false;
    }
    return true;
}

static void session_readable(struct session *session)
{
    size_t cap;
    uint8_t *buf = loop_buffer(loop_of(session), &cap);
    ssize_t n = stream_read(session->stream, buf, cap);
    if (n == -EAGAIN) {
        return;
    }
    if (n <= 0) {
        session_end(session, n == 0 ? WEIR_EHANGUP : WEIR_ERESET, HTTP_FAULT_RESET);
        return;
    }
    session->heard_ms = session_now_ms(session);
    frames_count(session, buf, (size_t)n);
    ssize_t took = 0;
    if (session->doom == WEIR_OK) {
        session->is_inside = true;
        took = nghttp2_session_mem_recv(session->ng, buf, (size_t)n);
        session->is_inside = false;
    }
    if (took < 0) {
        session_doom(session, took == NGHTTP2_ERR_NOMEM ? WEIR_ENOMEM : WEIR_EPROTOCOL,
                     HTTP_FAULT_BAD_ANSWER);
    } else if (session->has_settings) {
        session->has_settings = false;
        session_room(session);
    }
    for (struct node *it; (it = list_pop_front(&session->heard)) != NULL;) {
        call_flushed(list_entry(it, struct call, on_read));
    }
    if (nghttp2_session_get_outbound_queue_size(session->ng) > HTTP2_QUEUE_MAX) {
        session_doom(session, WEIR_EPROTOCOL, HTTP_FAULT_BAD_ANSWER);
    }
    if (session->doom != WEIR_OK || nghttp2_session_want_write(session->ng) != 0
        || nghttp2_session_want_read(session->ng) == 0) {
        session_send_soon(session);
    }
}

static void session_ready(struct stream *stream, unsigned events)
{
    struct session *session = stream->owner;
    if ((events & STREAM_WRITE) != 0 && outbox_is_blocked(&session->out)) {
        session_write(session);
    }
    if ((events & STREAM_READ) != 0 && session->stream == stream) {
        session_readable(session);
    }
}

/* --- what is written ----------------------------------------------------------------------------
 */

void session_send_soon(struct session *session)
{
    if (session->state != SESSION_DEAD) {
        loop_later(loop_of(session), &session->sending);
    }
}

static bool fail_those_that_could_not_begin(struct session *session)
{
    weir_list_each(it, &session->calls) {
        struct call *call = list_entry(it, struct call, on_list);
        if (call->failing) {
            call_not_sent(call);
            return true;
        }
    }
    return false;
}

static void session_sending(struct loop_later *put_off)
{
    struct session *session = container_of(put_off, struct session, sending);
    while (session->has_failing && fail_those_that_could_not_begin(session)) {
    }
    session->has_failing = false;
    if (session->doom == WEIR_OK && session->state != SESSION_DEAD) {
        session_write(session);
    }
    session_survives(session);
}

static void flush(struct session *session)
{
    size_t sent = outbox_flush(&session->out, session->stream);
    if (!outbox_is_blocked(&session->out)) {
        session->write_ms = UINT64_MAX;
    } else if (sent > 0 || session->write_ms == UINT64_MAX) {
        session->write_ms = session_later(session_now_ms(session),
                                          session->connector->opt->write_timeout_ms);
        arm(session, session->write_ms);
    }
}

static void tell_givers(struct session *session)
{
    for (uint32_t rest = session->writing.count; rest > 0; rest--) {
        struct node *it = list_pop_front(&session->writing);
        if (it == NULL) {
            return;
        }
        call_written(list_entry(it, struct call, on_write));
    }
}

/* Small frames are gathered and leave together; a long one leaves with those before it, from where
 * nghttp2 has it. A write that fails is for the reader to explain. */
static void session_write(struct session *session)
{
    struct cork *cork = session->out.cork;
    const uint8_t *data;
    ssize_t n = 0;
    flush(session);
    session->is_inside = true;
    while (!outbox_is_blocked(&session->out) && !session->out.failed
           && (n = nghttp2_session_mem_send(session->ng, &data)) > 0) {
        if (cork->owner == &session->out && cork->text_used + (size_t)n > CORK_TEXT_BYTES) {
            flush(session);
        }
        outbox_refer(&session->out, data, (size_t)n);
        if (n > (ssize_t)CORK_COPY_BYTES) {
            flush(session);
        }
    }
    flush(session);
    session->is_inside = false;
    if (n < 0) {
        session_doom(session, WEIR_ENOMEM, HTTP_FAULT_RESET);
        session_send_soon(session);
    }
    session_want(session);
    tell_givers(session);
}

/* --- time ---------------------------------------------------------------------------------------
 */

static void arm(struct session *session, uint64_t deadline_ms)
{
    if (deadline_ms < session->armed_ms) {
        session->armed_ms = deadline_ms;
        loop_timer_set(loop_of(session), &session->timer, deadline_ms);
    }
}

static uint64_t settings_by_ms(const struct session *session)
{
    uint32_t connect_ms = session->connector->opt->connect_timeout_ms;
    uint32_t most_ms = connect_ms < HTTP2_SETTINGS_MS ? connect_ms : HTTP2_SETTINGS_MS;
    return session->is_greeted ? UINT64_MAX : session->opened_ms + most_ms;
}

static uint64_t pong_by_ms(const struct session *session)
{
    uint32_t wait_ms = session->connector->opt->ping_timeout_ms;
    uint64_t since_ms = session->heard_ms > session->pinged_ms ? session->heard_ms
                                                               : session->pinged_ms;
    return session->is_pinging ? since_ms + (wait_ms > 0 ? wait_ms : HTTP2_PING_WAIT_MS)
                               : UINT64_MAX;
}

static uint64_t ping_at_ms(const struct session *session)
{
    uint32_t every_ms = session->connector->opt->ping_interval_ms;
    uint64_t at_ms = session_later(session->heard_ms, every_ms > 0 ? every_ms : HTTP2_PING_MS);
    uint64_t least_ms = session->pinged_ms + session->connector->ping_least_ms;
    if (session->is_pinging || session->calls.count == 0) {
        return UINT64_MAX;
    }
    return at_ms > least_ms ? at_ms : least_ms;
}

/* The timer may be early, never late. */
static void watch(struct session *session)
{
    arm(session, settings_by_ms(session));
    arm(session, pong_by_ms(session));
    arm(session, ping_at_ms(session));
    arm(session, session->write_ms);
}

static void timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct session *session = container_of(timer, struct session, timer);
    session->armed_ms = UINT64_MAX;
    if (session->write_ms <= now_ms) {
        session_end(session, WEIR_EWRITE_TIMEOUT, HTTP_FAULT_WRITE_TIMEOUT);
    } else if (settings_by_ms(session) <= now_ms) {
        session_end(session, WEIR_ECONNECT_TIMEOUT, HTTP_FAULT_CONNECT_TIMEOUT);
    } else if (pong_by_ms(session) <= now_ms) {
        session_end(session, WEIR_EPROBE_TIMEOUT, HTTP_FAULT_RESET);
    } else {
        if (ping_at_ms(session) <= now_ms) {
            ping(session);
        }
        watch(session);
    }
}
