/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_call.c - a call over HTTP/2: one stream (RFC 9113 §8.1).
 *
 *     NEW ──request──▶ HEAD ──final head──▶ BODY ──END_STREAM──▶ OVER
 *                        └──────────────────┴── on_fail, cancel ──┘
 *
 * A call that is over lets go of its stream at once, whatever of it is still on the wire; nghttp2
 * knows the call by the stream's user data, which is then NULL.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "connector/http2_session.h"

#include <string.h>

static void arm(struct call *call, uint64_t deadline_ms);
static void timer_fire(struct loop_timer *timer, uint64_t now_ms);
static const struct http_call_ops call_ops;

static struct call *call_in(struct http_call *call)
{
    return container_of(call, struct call, call);
}

static const struct http_connector_options *options_of(const struct call *call)
{
    return call->session->connector->opt;
}

static struct loop *loop_of(const struct call *call)
{
    return options_of(call)->loop;
}

struct call *call_of(const struct session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session->ng, stream_id);
}

/* --- birth and death ----------------------------------------------------------------------------
 */

static struct call *call_new(struct http2_connector *connector)
{
    struct node *spare = list_pop_front(&connector->spare);
    if (spare != NULL) {
        return list_entry(spare, struct call, on_list);
    }
    struct call *call = alloc_zeroed(&alloc_libc, sizeof *call);
    if (call != NULL) {
        call->armed_ms = UINT64_MAX;
        call->timer.fire = timer_fire;
        bytes_init(&call->out, &alloc_libc, HTTP2_BODY_MAX);
    }
    return call;
}

/* Until its SETTINGS are there a peer may offer it, still. */
static bool offers_connect(const struct session *session)
{
    return session->ng != NULL
           && (!session->is_greeted
               || nghttp2_session_get_remote_settings(session->ng,
                                                      NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL)
                      == 1);
}

struct http_call *call_open(struct session *session, const struct http_caller *caller, void *user)
{
    struct call *call = call_new(session->connector);
    if (call == NULL) {
        return NULL;
    }
    call->session = session;
    call->stream_id = 0;
    call->state = CALL_NEW;
    call->request_done = call->has_body = call->answered = call->paused = false;
    call->blocked = call->deferred = call->reset_by_peer = call->bad = call->failing = false;
    call->untimed = false;
    call->interim = 0;
    call->unconsumed = 0;
    call->waited = 0;
    call->deadline = (struct call_deadlines){UINT64_MAX, UINT64_MAX, UINT64_MAX};
    call->call = (struct http_call){.ops = &call_ops,
                                    .caller = caller,
                                    .user = user,
                                    .took = session->took,
                                    .reused = session->uses > 0,
                                    .can_upgrade = offers_connect(session),
                                    .shared = true};
    session->uses++;
    list_push_back(&session->calls, &call->on_list);
    return &call->call;
}

void call_free(struct call *call)
{
    list_leave(&call->on_list);
    bytes_fini(&call->out);
    alloc_free(&alloc_libc, call->trailers);
    alloc_free(&alloc_libc, call->waiting);
    alloc_free(&alloc_libc, call);
}

static void reset_stream(struct call *call, uint32_t error_code)
{
    struct session *session = call->session;
    if (session->ng != NULL && session->state != SESSION_DEAD && call->stream_id > 0) {
        nghttp2_submit_rst_stream(session->ng, NGHTTP2_FLAG_NONE, call->stream_id, error_code);
        session_send_soon(session);
    }
}

/* Nobody finds it any more. */
static void call_leave(struct call *call)
{
    struct session *session = call->session;
    call->state = CALL_OVER;
    if (call->stream_id > 0) {
        nghttp2_session_set_stream_user_data(session->ng, call->stream_id, NULL);
        if (call->unconsumed > 0) {
            nghttp2_session_consume_stream(session->ng, call->stream_id, call->unconsumed);
        }
    }
    list_leave(&call->on_read);
    list_leave(&call->on_write);
    list_leave(&call->on_list);
}

/* What it needs no more; a little stays for the next time. */
static void out_spare(struct call *call)
{
    if (call->out.size > HTTP2_OUT_KEPT) {
        bytes_release(&call->out);
    }
}

/* Its caller has been told. */
static void call_recycle(struct call *call)
{
    struct http2_connector *connector = call->session->connector;
    bytes_clear(&call->out);
    out_spare(call);
    alloc_free(&alloc_libc, call->trailers);
    alloc_free(&alloc_libc, call->waiting);
    call->trailers = call->waiting = NULL;
    if (connector->spare.count < HTTP2_SPARE_MAX) {
        list_push_front(&connector->spare, &call->on_list);
    } else {
        loop_timer_stop(connector->opt->loop, &call->timer);
        call_free(call);
    }
}

void call_fail(struct call *call, enum http_fault why)
{
    reset_stream(call, NGHTTP2_CANCEL);
    call_leave(call);
    call->call.caller->on_fail(&call->call, why);
    call_recycle(call);
}

/* --- the request --------------------------------------------------------------------------------
 */

/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
static ssize_t read_body(nghttp2_session *ng, int32_t stream_id, uint8_t *buf, size_t length,
                         uint32_t *data_flags, nghttp2_data_source *source, void *user_data)
{
    (void)source;
    struct session *session = user_data;
    struct call *call = nghttp2_session_get_stream_user_data(ng, stream_id);
    if (call == NULL) {
        return NGHTTP2_ERR_DEFERRED; /* it is over: RST_STREAM is on its way */
    }
    size_t len = bytes_len(&call->out) < length ? bytes_len(&call->out) : length;
    if (len == 0 && !call->request_done) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (len > 0) {
        memcpy(buf, bytes_at(&call->out), len);
        bytes_consume(&call->out, len);
        frames_earn(session, len);
    }
    if (bytes_len(&call->out) > 0 || !call->request_done) {
        return (ssize_t)len;
    }
    *data_flags |= NGHTTP2_DATA_FLAG_EOF;
    if (call->trailers != NULL
        && nghttp2_submit_trailer(ng, stream_id, call->trailers->at, call->trailers->count) == 0) {
        *data_flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    }
    return (ssize_t)len;
}

/* It cannot begin: its caller hears of it in a later event. */
static void begin_failed(struct call *call)
{
    call->failing = call->session->has_failing = true;
    session_send_soon(call->session);
}

static void submit(struct call *call, const nghttp2_nv *nva, size_t count);

static void op_request(struct http_call *http_call, const struct http_head *head)
{
    struct call *call = call_in(http_call);
    struct session *session = call->session;
    check(call->state == CALL_NEW);
    call->state = CALL_HEAD;
    call->has_body = head->framing != HTTP_NO_BODY || head->upgrade;
    call->method_id = head->method_id;
    if (options_of(call)->total_timeout_ms != WEIR_NEVER) {
        call->deadline.total_ms = session_now_ms(session) + options_of(call)->total_timeout_ms;
        arm(call, call->deadline.total_ms);
    }
    if (session->state != SESSION_OPEN) {
        begin_failed(call);
        return;
    }
    char length[20];
    size_t count = request_fields(session->connector, head, session->is_tls, length);
    if (head->upgrade && !session->is_greeted) { /* RFC 8441 §3: not before it is offered */
        call->waiting = fields_copy(session->connector->nva, count);
        if (call->waiting == NULL) {
            begin_failed(call);
        }
        return;
    }
    submit(call, session->connector->nva, count);
}

void call_greeted(struct call *call)
{
    struct call_fields *fields = call->waiting;
    if (fields == NULL) {
        return;
    }
    call->waiting = NULL;
    if (offers_connect(call->session)) {
        submit(call, fields->at, fields->count);
        session_send_soon(call->session);
    } else {
        begin_failed(call); /* it is told again, and can know then */
    }
    alloc_free(&alloc_libc, fields);
}

static void submit(struct call *call, const nghttp2_nv *nva, size_t count)
{
    struct session *session = call->session;
    const nghttp2_data_provider body = {.read_callback = read_body};
    int32_t id = nghttp2_submit_request(session->ng, NULL, nva, count,
                                        call->has_body ? &body : NULL, call);
    if (id > 0) {
        call->stream_id = id;
        return;
    }
    if (id == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        session_go(session);
    }
    begin_failed(call);
}

static bool is_blocked(const struct call *call)
{
    return bytes_len(&call->out) >= HTTP2_AHEAD;
}

static bool op_body(struct http_call *http_call, const void *data, size_t len)
{
    struct call *call = call_in(http_call);
    check(!call->request_done);
    if (call->stream_id == 0 || !call->has_body) {
        return false;
    }
    if (len > 0 && !bytes_append(&call->out, data, len)) {
        begin_failed(call);
    }
    if (!list_holds(&call->on_write)) {
        list_push_back(&call->session->writing, &call->on_write);
    }
    return is_blocked(call);
}

static void op_end(struct http_call *http_call, const struct http_head *trailers)
{
    struct call *call = call_in(http_call);
    check(!call->request_done);
    call->request_done = true;
    if (call->stream_id > 0 && call->has_body) {
        call->trailers = trailers_copy(call->session->connector, trailers);
    }
}

/* Sent at the turn's end, with what others have to say. */
static bool op_flush(struct http_call *http_call)
{
    struct call *call = call_in(http_call);
    struct session *session = call->session;
    if (session->state == SESSION_DEAD) {
        return false;
    }
    if (call->deferred && (bytes_len(&call->out) > 0 || call->request_done)) {
        call->deferred = false;
        nghttp2_session_resume_data(session->ng, call->stream_id);
    }
    session_send_soon(session);
    call->blocked = is_blocked(call);
    return call->blocked;
}

static void op_cancel(struct http_call *http_call)
{
    struct call *call = call_in(http_call);
    if (call->state != CALL_OVER) {
        reset_stream(call, NGHTTP2_CANCEL);
        call_leave(call);
        call_recycle(call);
    }
}

/* What was read is given back to the stream's window; the connection's had it at once, so that one
 * slow client holds up no other. */
static void consume(struct call *call)
{
    if (call->unconsumed > 0) {
        nghttp2_session_consume_stream(call->session->ng, call->stream_id, call->unconsumed);
        call->unconsumed = 0;
        session_send_soon(call->session);
    }
}

static void op_pause(struct http_call *http_call, bool paused)
{
    struct call *call = call_in(http_call);
    if (call->state == CALL_OVER || call->paused == paused
        || call->session->state == SESSION_DEAD) {
        return;
    }
    call->paused = paused;
    if (!call->answered) {
        return;
    }
    call->deadline.answer_ms = paused || call->untimed
                                   ? UINT64_MAX
                                   : session_later(session_now_ms(call->session),
                                                   options_of(call)->read_timeout_ms);
    arm(call, call->deadline.answer_ms);
    if (!paused) {
        consume(call);
    }
}

static void op_took(struct http_call *http_call, uint32_t us)
{
    const struct session *session = call_in(http_call)->session;
    if (session->id.id != 0) {
        weir_conn_latency(session->connector->pool, session->id, us);
    }
}

static void op_untime(struct http_call *http_call)
{
    struct call *call = call_in(http_call);
    call->untimed = true;
    call->deadline.answer_ms = call->deadline.total_ms = UINT64_MAX;
}

static const struct http_call_ops call_ops = {
    .request = op_request,
    .body = op_body,
    .end = op_end,
    .flush = op_flush,
    .cancel = op_cancel,
    .pause = op_pause,
    .took = op_took,
    .untime = op_untime,
};

/* --- what became of it on the wire --------------------------------------------------------------
 */

void call_sent(struct call *call, size_t bytes, bool is_end)
{
    call->call.sent += bytes;
    if (is_end && call->state == CALL_HEAD && !call->answered) {
        call->deadline.answer_ms = session_later(session_now_ms(call->session),
                                                 options_of(call)->first_byte_timeout_ms);
        arm(call, call->deadline.answer_ms);
    }
}

/* A body that waits for the peer's window: it has write_timeout for each step. */
void call_written(struct call *call)
{
    size_t waits = bytes_len(&call->out);
    if (waits == 0) {
        call->deadline.write_ms = UINT64_MAX;
        out_spare(call);
    } else if (waits < call->waited || call->deadline.write_ms == UINT64_MAX) {
        call->deadline.write_ms = session_later(session_now_ms(call->session),
                                                options_of(call)->write_timeout_ms);
        arm(call, call->deadline.write_ms);
    }
    call->waited = waits;
    bool has_room = call->blocked && waits < HTTP2_AHEAD / 2;
    if (waits > 0 || (call->blocked && !has_room)) {
        list_push_back(&call->session->writing, &call->on_write);
    }
    if (has_room) {
        call->blocked = false;
        call->call.caller->on_drain(&call->call);
    }
}

void call_not_sent(struct call *call)
{
    call->call.untouched = true;
    call_fail(call, HTTP_FAULT_STALE);
}

/* --- the answer ---------------------------------------------------------------------------------
 */

static void heard(struct call *call)
{
    call->answered = true;
    if (!list_holds(&call->on_read)) {
        list_push_back(&call->session->heard, &call->on_read);
    }
}

void call_head(struct call *call, struct gathering *fields, bool is_end)
{
    if (call->state == CALL_BODY) { /* trailers: nghttp2 has seen to END_STREAM */
        const struct http_head trailers = {.fields = fields->fields,
                                           .field_count = (uint16_t)fields->count};
        call_answer_end(call, fields->count > 0 ? &trailers : NULL);
        return;
    }
    struct http_head head;
    heard(call);
    if (!gathering_head(fields, call->method_id, is_end, &head)
        || (head.status < 200 && ++call->interim > HTTP2_INTERIM_MAX)) {
        call_fail(call, HTTP_FAULT_BAD_ANSWER);
        return;
    }
    if (head.status >= 200) {
        call->state = CALL_BODY;
    }
    struct session *session = call->session;
    int32_t id = call->stream_id;
    call->call.caller->on_head(&call->call, &head);
    if (is_end && call_of(session, id) == call) {
        call_answer_end(call, NULL);
    }
}

void call_data(struct call *call, const void *data, size_t len)
{
    heard(call);
    call->unconsumed += (uint32_t)len;
    call->call.caller->on_body(&call->call, data, len);
}

/* Who answers before it has the whole request wants no more of it. */
void call_answer_end(struct call *call, const struct http_head *trailers)
{
    struct session *session = call->session;
    if (nghttp2_session_get_stream_local_close(session->ng, call->stream_id) == 0) {
        reset_stream(call, NGHTTP2_CANCEL);
    }
    call_leave(call);
    call->call.caller->on_end(&call->call, trailers, true);
    call_recycle(call);
}

void call_stream_closed(struct call *call, uint32_t error_code)
{
    enum http_fault why = HTTP_FAULT_RESET;
    if (error_code == NGHTTP2_REFUSED_STREAM && !call->answered) {
        call->call.untouched = true;
        call->call.refused = call->reset_by_peer;
        why = HTTP_FAULT_STALE;
    } else if (call->bad || (!call->reset_by_peer && error_code != NGHTTP2_NO_ERROR)) {
        why = HTTP_FAULT_BAD_ANSWER; /* nghttp2 has reset it */
    }
    call->stream_id = 0;
    call_fail(call, why);
}

void call_flushed(struct call *call)
{
    struct session *session = call->session;
    int32_t id = call->stream_id;
    if (!call->paused && !call->untimed) {
        call->deadline.answer_ms = session_later(session_now_ms(session),
                                                 options_of(call)->read_timeout_ms);
        arm(call, call->deadline.answer_ms);
    }
    call->call.caller->on_flush(&call->call);
    if (call_of(session, id) == call && !call->paused) {
        consume(call);
    }
}

/* --- time ---------------------------------------------------------------------------------------
 */

/* The timer may be early, never late: pushing a deadline back costs nothing here. */
static void arm(struct call *call, uint64_t deadline_ms)
{
    if (call->armed_ms <= deadline_ms) {
        return;
    }
    call->armed_ms = deadline_ms;
    loop_timer_set(loop_of(call), &call->timer, deadline_ms);
}

static void timer_fire(struct loop_timer *timer, uint64_t now_ms)
{
    struct call *call = container_of(timer, struct call, timer);
    const struct call_deadlines *deadline = &call->deadline;
    call->armed_ms = UINT64_MAX;
    if (call->state == CALL_OVER || call->state == CALL_NEW) {
        return; /* the next one arms it again */
    }
    if (deadline->total_ms <= now_ms) {
        call_fail(call, HTTP_FAULT_TOTAL_TIMEOUT);
    } else if (deadline->write_ms <= now_ms) {
        call_fail(call, HTTP_FAULT_WRITE_TIMEOUT);
    } else if (deadline->answer_ms <= now_ms) {
        call_fail(call, call->answered ? HTTP_FAULT_READ_TIMEOUT : HTTP_FAULT_FIRST_BYTE_TIMEOUT);
    } else {
        arm(call, deadline->total_ms);
        arm(call, deadline->write_ms);
        arm(call, deadline->answer_ms);
    }
}
