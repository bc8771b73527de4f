/* SPDX-License-Identifier: Apache-2.0
 *
 * http2_frames.c - what comes: each frame is counted, then nghttp2 takes it apart and tells.
 */
#include "connector/http2_session.h"

#include <errno.h>
#include <string.h>

/* --- what frames cost ---------------------------------------------------------------------------
 */

void frames_earn(struct session *session, size_t bytes)
{
    uint64_t most = (uint64_t)HTTP2_IDLE_BURST * 1000;
    uint64_t tokens = HTTP2_EARN_FRAME + bytes / HTTP2_EARN_BYTES;
    uint64_t milli = session->tokens_milli + tokens * 1000;
    session->tokens_milli = milli < most ? milli : most;
}

/* A frame that carries nothing. */
static void spend(struct session *session)
{
    uint64_t now_ms = session_now_ms(session);
    uint64_t most = (uint64_t)HTTP2_IDLE_BURST * 1000;
    uint64_t milli = session->tokens_milli + (now_ms - session->tokens_ms) * HTTP2_IDLE_RATE;
    session->tokens_ms = now_ms;
    session->tokens_milli = milli < most ? milli : most;
    if (session->tokens_milli < 1000) {
        session_doom(session, WEIR_EPROTOCOL, HTTP_FAULT_BAD_ANSWER);
        return;
    }
    session->tokens_milli -= 1000;
}

static void count_frame(struct session *session, const struct http2_frame_head *head)
{
    switch (head->type) {
    case NGHTTP2_HEADERS: break; /* bounded by our requests, and HTTP2_INTERIM_MAX */
    case NGHTTP2_DATA:
        if (head->length > 0) {
            frames_earn(session, head->length);
        } else if ((head->flags & NGHTTP2_FLAG_END_STREAM) == 0) {
            spend(session);
        }
        break;
    case NGHTTP2_PUSH_PROMISE: /* not after our SETTINGS, which came before any request */
        session_doom(session, WEIR_EPROTOCOL, HTTP_FAULT_BAD_ANSWER);
        break;
    default: spend(session); break;
    }
}

/* Every frame that comes, those that nghttp2 passes over in silence too. */
void frames_count(struct session *session, const uint8_t *at, size_t len)
{
    for (size_t used = 0; used < len;) {
        struct http2_frame_head head;
        bool is_found;
        used += http2_scan_next(&session->scan, (const char *)at + used, len - used, &is_found,
                                &head);
        if (is_found) {
            count_frame(session, &head);
        }
    }
}

/* --- what nghttp2 tells -------------------------------------------------------------------------
 */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct session *session = user;
    (void)ng;
    (void)frame;
    if (session->gathering != NULL) { /* of a section that was given up */
        gathering_give(session->connector, session->gathering);
    }
    session->gathering = gathering_take(session->connector);
    return session->gathering != NULL ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct session *session = user;
    (void)ng;
    (void)flags;
    if (session->gathering == NULL
        || gathering_add(session->connector, session->gathering, name, value)) {
        return 0;
    }
    struct call *call = call_of(session, frame->hd.stream_id);
    if (call != NULL) {
        call->bad = true;
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                             nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    (void)ng;
    (void)name;
    (void)value;
    (void)flags;
    struct call *call = call_of(user, frame->hd.stream_id);
    if (call != NULL) {
        call->bad = true;
    }
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    (void)ng;
    (void)error;
    struct call *call = frame->hd.stream_id > 0 ? call_of(user, frame->hd.stream_id) : NULL;
    if (call != NULL) {
        call->bad = true;
    }
    return 0;
}

static void got_headers(struct session *session, const nghttp2_frame *frame)
{
    struct gathering *gathering = session->gathering;
    struct call *call = call_of(session, frame->hd.stream_id);
    session->gathering = NULL;
    if (gathering == NULL) {
        return;
    }
    if (call != NULL) {
        call_head(call, gathering, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
    }
    gathering_give(session->connector, gathering);
}

static void got_pong(struct session *session, const nghttp2_frame *frame)
{
    if (!session->is_pinging || memcmp(frame->ping.opaque_data, session->ping, 8) != 0) {
        return;
    }
    session->is_pinging = false;
    if (session->is_probing) {
        session->is_probing = false;
        weir_conn_up(session->connector->pool, session->id, session, session->room);
    }
}

/* gRPC servers say so when they were asked too often. */
static void heed_complaint(struct session *session, const nghttp2_goaway *goaway)
{
    struct http2_connector *connector = session->connector;
    static const char words[] = "too_many_pings";
    if (goaway->error_code == NGHTTP2_ENHANCE_YOUR_CALM
        && goaway->opaque_data_len == sizeof words - 1
        && memcmp(goaway->opaque_data, words, sizeof words - 1) == 0) {
        uint32_t least_ms = connector->ping_least_ms > HTTP2_PING_MS ? connector->ping_least_ms
                                                                     : HTTP2_PING_MS;
        connector->ping_least_ms = least_ms < UINT32_MAX / 4 ? 2 * least_ms : least_ms;
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    struct session *session = user;
    struct call *call;
    (void)ng;
    if (session->doom != WEIR_OK) {
        return 0;
    }
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS: got_headers(session, frame); break;
    case NGHTTP2_DATA:
        call = call_of(session, frame->hd.stream_id);
        if (call != NULL && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            call_answer_end(call, NULL);
        }
        break;
    case NGHTTP2_RST_STREAM:
        call = call_of(session, frame->hd.stream_id);
        if (call != NULL) {
            call->reset_by_peer = true;
        }
        break;
    case NGHTTP2_SETTINGS:
        session->has_settings |= (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0;
        break;
    case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            got_pong(session, frame);
        }
        break;
    case NGHTTP2_GOAWAY:
        heed_complaint(session, &frame->goaway);
        session_go(session); /* before nghttp2 closes the streams it names */
        break;
    default: break;
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t stream_id, const uint8_t *data,
                   size_t len, void *user)
{
    struct session *session = user;
    (void)flags;
    struct call *call = session->doom == WEIR_OK ? call_of(session, stream_id) : NULL;
    nghttp2_session_consume_connection(ng, len);
    if (call != NULL) {
        call_data(call, data, len);
    } else {
        nghttp2_session_consume_stream(ng, stream_id, len);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t stream_id, uint32_t error_code, void *user)
{
    (void)ng;
    struct call *call = call_of(user, stream_id);
    if (call != NULL) {
        call_stream_closed(call, error_code);
    }
    return 0;
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
    (void)ng;
    if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
        struct call *call = call_of(user, frame->hd.stream_id);
        if (call != NULL) {
            call_sent(call, frame->hd.length + 9, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
        }
    }
    return 0;
}

static int on_frame_not_sent(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
    struct session *session = user;
    (void)ng;
    (void)error;
    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    weir_list_each(it, &session->calls) {
        struct call *call = list_entry(it, struct call, on_list);
        if (call->stream_id == frame->hd.stream_id) {
            call->failing = session->has_failing = true;
            session_send_soon(session);
            break;
        }
    }
    return 0;
}

int frames_listen(struct http2_connector *connector)
{
    nghttp2_session_callbacks *to;
    if (nghttp2_session_callbacks_new(&to) != 0) {
        return -ENOMEM;
    }
    connector->callbacks = to;
    nghttp2_session_callbacks_set_on_begin_headers_callback(to, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(to, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(to, on_invalid_header);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(to, on_invalid_frame);
    nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(to, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(to, on_frame_sent);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(to, on_frame_not_sent);
    return 0;
}
