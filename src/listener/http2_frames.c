/* SPDX-License-Identifier: Apache-2.0
 *
 * What nghttp2 tells of the frames that come and go. It checks what RFC 9113 asks of frames,
 * states, windows and fields; what it leaves to us is here: how much, and what it means.
 */
#include "listener/http2_client.h"
#include "listener/refusal.h"

#include <errno.h>
#include <string.h>

#define SETTINGS_MAX 32U

/* --- memory: what one client makes nghttp2 use, and no more --------------------------------------
 *
 * A session that was refused memory is not to be trusted with what it frees: nghttp2 1.52 forgets
 * an item's memory while a stream still points to it, where its queue of streams cannot grow. So
 * from then on, blocks are kept until the session has gone. (Their size is not known any more, so
 * the shelf is not for them.)
 */

/* Before each of nghttp2's blocks. */
struct http2_memory {
    size_t size; /* BLOCK_KEPT: it was freed */
    struct http2_memory *next;
};

#define BLOCK_KEPT SIZE_MAX

static void *memory_resize(void *block, size_t size, void *user)
{
    struct http2_client *client = user;
    struct http2_memory *head = block != NULL ? (struct http2_memory *)block - 1 : NULL;
    size_t before = head != NULL ? head->size : 0;
    head = shelf_resize(&client->home->shelf, head, sizeof *head + before, sizeof *head + size);
    if (head == NULL) {
        client->is_starved = true;
        return NULL;
    }
    head->size = size;
    client->memory += size - before;
    return head + 1;
}

static void *memory_new(size_t size, void *user)
{
    return memory_resize(NULL, size, user);
}

static void *memory_zeroed(size_t count, size_t size, void *user)
{
    void *block = size == 0 || count <= SIZE_MAX / size ? memory_resize(NULL, count * size, user)
                                                        : NULL;
    return block != NULL ? memset(block, 0, count * size) : NULL;
}

static void memory_free(void *block, void *user)
{
    struct http2_client *client = user;
    struct http2_memory *head = block != NULL ? (struct http2_memory *)block - 1 : NULL;
    if (head == NULL || head->size == BLOCK_KEPT) {
        return;
    }
    client->memory -= head->size;
    if (client->is_starved) {
        head->size = BLOCK_KEPT;
        head->next = client->kept;
        client->kept = head;
    } else {
        shelf_give(&client->home->shelf, head, sizeof *head + head->size);
    }
}

void http2_session_close(struct http2_client *client)
{
    nghttp2_session_del(client->session);
    while (client->kept != NULL) {
        struct http2_memory *head = client->kept;
        client->kept = head->next;
        alloc_free(client->home->opt.alloc, head);
    }
}

/* --- requests
 * -------------------------------------------------------------------------------------- */

static struct http2_request *request_take(struct http2_client *client)
{
    struct http2_listener *listener = client->home;
    if (client->request == NULL) {
        client->request = listener->spare_request;
        listener->spare_request = NULL;
    }
    if (client->request == NULL) {
        client->request = alloc_new(listener->opt.alloc, sizeof *client->request);
        if (client->request != NULL) {
            http2_request_init(client->request, listener->opt.alloc);
        }
    }
    return client->request;
}

/* Refuses a stream before it has begun. */
static int stream_not_now(struct http2_client *client, int32_t id)
{
    http2_tally(&client->home->counters.refused_streams, 1);
    if (nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM)
        != 0) {
        http2_client_no_memory(client);
    }
    http2_client_forget(client, id);
    enum http2_flood flood = http2_budget_refused(&client->budget, http2_now_ms(client));
    http2_client_calm(client, flood);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int stream_begin(struct http2_client *client, int32_t id)
{
    static const nghttp2_extpri in_turns = {.urgency = NGHTTP2_EXTPRI_DEFAULT_URGENCY, .inc = 1};
    struct http2_listener *listener = client->home;
    if (client->streams.count >= listener->opt.max_concurrent_streams) {
        return stream_not_now(client, id);
    }
    struct http2_stream *stream = http2_stream_new(client, id);
    if (stream == NULL) {
        return stream_not_now(client, id);
    }
    nghttp2_session_set_stream_user_data(client->session, id, stream);
    if (!client->is_turned_away
        && weir_conn_lease(listener->pool, client->conn, &stream->lease) != WEIR_OK) {
        http2_client_notice(client); /* it retires: the next ones are for another connection */
        return stream_not_now(client, id);
    }
    nghttp2_session_change_extpri_stream_priority(client->session, id, &in_turns, 1);
    http2_tally(&listener->counters.requests, 1);
    http2_budget_stream(&client->budget);
    client->fresh = false;
    if (id == INT32_MAX && client->leaving != HTTP2_LEAVING) {
        http2_client_last_word(client); /* RFC 9113 §5.1.1: it can open no more */
    }
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    (void)session;
    struct http2_client *client = user;
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    bool is_request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
    int error = is_request ? stream_begin(client, frame->hd.stream_id) : 0;
    if (error != 0) {
        return error;
    }
    struct http2_request *request = request_take(client);
    if (request == NULL) {
        http2_client_no_memory(client);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    http2_request_begin(request, !is_request);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
    (void)session;
    (void)frame;
    (void)flags;
    struct http2_client *client = user;
    struct http2_request *request = client->request;
    if (request == NULL) {
        return 0;
    }
    const struct slice n = {(const char *)name, (uint32_t)name_len};
    const struct slice v = {(const char *)value, (uint32_t)value_len};
    http2_request_field(request, &client->home->limits, n, v);
    if (request->list_bytes > (uint64_t)client->home->limits.list_bytes_max * HTTP2_HEADER_EXCESS) {
        http2_client_calm(client, HTTP2_FLOOD_HEADERS);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* A field that is none: its message is malformed. */
/* NOLINTNEXTLINE(readability-function-size): the signature is nghttp2's */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             const uint8_t *name, size_t name_len, const uint8_t *value,
                             size_t value_len, uint8_t flags, void *user)
{
    (void)session;
    (void)frame;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void tell(struct http2_client *client, struct http2_stream *stream)
{
    if (stream->on_told.home == NULL) {
        list_push_back(&client->told, &stream->on_told);
    }
}

/* Nothing more will come for it: its flush need not wait for the end of the read, and what it gives
 * on may leave from where it lies. */
static void tell_all(struct http2_stream *stream)
{
    list_leave(&stream->on_told);
    if (http2_is_heard(stream)) {
        stream->exchange.handler->on_flush(&stream->exchange);
    }
}

static void refuse_verdict(struct http2_stream *stream, enum http2_verdict verdict)
{
    struct http2_client *client = stream->client;
    const struct http1_refusal refusal = {
        .status = http2_verdict_status(verdict),
        .code = http2_verdict_word(verdict),
        .message = "The request cannot be understood.",
        .proxy_error = "http_request_error",
    };
    http2_tally(&client->home->counters.bad_requests, 1);
    stream->bad = true;
    if (refusal.status != 0) {
        http2_stream_refuse(stream, &refusal, HTTP_FAULT_BAD_REQUEST);
    } else {
        uint32_t code = verdict == HTTP2_NO_MEMORY ? NGHTTP2_INTERNAL_ERROR
                                                   : NGHTTP2_PROTOCOL_ERROR;
        http2_stream_reset(stream, code);
    }
}

/* The first word to it is the last one. */
static void refuse_place(struct http2_stream *stream)
{
    struct http2_client *client = stream->client;
    http2_stream_refuse(stream, refusal_of_door((enum accept_refusal)client->refusal), HTTP_FINE);
    if (client->leaving != HTTP2_LEAVING) {
        http2_client_last_word(client);
    }
}

/* Calls of gRPC have rules of their own for their connections. */
static void is_called(struct http2_client *client, struct http2_stream *stream)
{
    stream->is_grpc = true;
    if (!client->is_grpc) {
        client->is_grpc = true;
        http2_arm_client(client);
    }
}

static void request_whole(struct http2_client *client, struct http2_stream *stream, bool end)
{
    struct http2_listener *listener = client->home;
    struct http_head head = {.fields = listener->fields};
    enum http2_verdict verdict = http2_request_end(client->request, end, &head);
    uint64_t now_ms = http2_now_ms(client);
    stream->method_id = head.method_id;
    stream->reading = end ? HTTP2_READING_DONE : HTTP2_READING_BODY;
    stream->active_ms = stream->measured_ms = now_ms;
    stream->due_ms = http2_later(now_ms, listener->opt.request_timeout_ms);
    if (client->request->is_grpc) {
        is_called(client, stream);
    }
    if (client->is_turned_away) {
        refuse_place(stream);
        return;
    }
    if (verdict != HTTP2_FINE) {
        refuse_verdict(stream, verdict);
        return;
    }
    stream->answer = HTTP2_ANSWER_NONE;
    http2_arm_stream(stream);
    listener->handler->on_request(listener->handler_self, &stream->exchange, &head, end);
    if (end) {
        tell_all(stream);
    } else {
        tell(client, stream);
    }
}

static void trailers_whole(struct http2_client *client, struct http2_stream *stream)
{
    struct http2_listener *listener = client->home;
    struct http_head trailers = {.fields = listener->fields};
    enum http2_verdict verdict = http2_request_end(client->request, true, &trailers);
    stream->reading = HTTP2_READING_DONE;
    if (!http2_is_heard(stream)) {
        return;
    }
    if (verdict != HTTP2_FINE) {
        refuse_verdict(stream, verdict);
        return;
    }
    stream->exchange.handler->on_request_end(&stream->exchange,
                                             trailers.field_count > 0 ? &trailers : NULL);
    tell_all(stream);
}

static void body_whole(struct http2_stream *stream)
{
    stream->reading = HTTP2_READING_DONE;
    if (http2_is_heard(stream)) {
        stream->exchange.handler->on_request_end(&stream->exchange, NULL);
        tell_all(stream);
    }
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_client *client = user;
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        client->pinged = false; /* and no word on a notice: PINGs overtake that */
        return 0;
    }
    bool is_head = frame->hd.type == NGHTTP2_HEADERS;
    if (!is_head && (frame->hd.type != NGHTTP2_DATA || !end)) {
        return 0;
    }
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session,
                                                                       frame->hd.stream_id);
    if (stream != NULL && !stream->closed && !stream->bad) {
        if (!is_head) {
            body_whole(stream);
        } else if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            request_whole(client, stream, end);
        } else {
            trailers_whole(client, stream);
        }
    }
    return 0;
}

/* --- bodies
 * ----------------------------------------------------------------------------------------- */

/* Its window is given back at once, or when whoever paused it goes on. The connection's is kept
 * open for the other streams as long as not too much is withheld. */
static void take_window(struct http2_client *client, struct http2_stream *stream, uint32_t len)
{
    if (!stream->paused) {
        nghttp2_session_consume(client->session, stream->id, len);
        return;
    }
    stream->withheld += len;
    client->withheld += len;
    if (client->withheld > HTTP2_WITHHELD_MAX) {
        client->debt += len;
    } else {
        nghttp2_session_consume_connection(client->session, len);
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *user)
{
    (void)flags;
    struct http2_client *client = user;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL || !http2_is_heard(stream)) {
        nghttp2_session_consume_connection(session, len);
        return 0;
    }
    stream->active_ms = http2_now_ms(client);
    stream->measured_bytes += len;
    http2_budget_earn(&client->budget, len);
    take_window(client, stream, (uint32_t)len);
    tell(client, stream);
    stream->exchange.handler->on_body(&stream->exchange, data, len);
    return 0;
}

/* --- ends
 * -------------------------------------------------------------------------------------------- */

/* What is wrong with a frame of a stream will reset it: its handler hears at once. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *user)
{
    (void)error;
    struct http2_client *client = user;
    struct http2_stream *stream = frame->hd.stream_id == 0 ? NULL
                                                           : nghttp2_session_get_stream_user_data(
                                                               session, frame->hd.stream_id);
    if (stream != NULL && !stream->bad) {
        stream->bad = true;
        http2_tally(&client->home->counters.bad_requests, 1);
    }
    return 0;
}

static enum http_fault fault_of_close(const struct http2_stream *stream, uint32_t code)
{
    if (stream->bad) {
        return HTTP_FAULT_BAD_REQUEST;
    }
    return code == NGHTTP2_NO_ERROR ? HTTP_FINE : HTTP_FAULT_CANCELLED;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    (void)user;
    struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
    if (stream == NULL || stream->closed) {
        return 0;
    }
    struct http2_client *client = stream->client;
    client->withheld -= stream->withheld;
    stream->withheld = 0;
    http2_stream_close(stream, fault_of_close(stream, code));
    return 0;
}

static int on_frame_begin(nghttp2_session *session, const nghttp2_frame_hd *head, void *user)
{
    struct http2_client *client = user;
    if (head->type != NGHTTP2_RST_STREAM || client->feeding == false) {
        return 0;
    }
    const struct http2_stream *stream = nghttp2_session_get_stream_user_data(session,
                                                                             head->stream_id);
    bool early = stream != NULL && !stream->headed;
    http2_tally(&client->home->counters.resets_in, 1);
    enum http2_flood flood = http2_budget_reset(&client->budget, early, http2_now_ms(client));
    if (flood != HTTP2_FLOOD_NONE) {
        http2_client_calm(client, flood);
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

/* A reset of ours: what the client sent before it knew is forgotten, and what made us do it is
 * counted like a reset of its own. */
static void reset_sent(struct http2_client *client, int32_t id, uint32_t code)
{
    http2_client_forget(client, id);
    http2_tally(&client->home->counters.resets_out, 1);
    if (code != NGHTTP2_NO_ERROR && code != NGHTTP2_REFUSED_STREAM && !client->ending) {
        http2_client_calm(client, http2_budget_reset(&client->budget, false, http2_now_ms(client)));
    }
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct http2_client *client = user;
    int32_t id = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
        if (stream != NULL && frame->rst_stream.error_code == NGHTTP2_PROTOCOL_ERROR) {
            stream->bad = true; /* nghttp2 found its body to be malformed */
        }
        reset_sent(client, id, frame->rst_stream.error_code);
    } else if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
               && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
        const struct http2_stream *stream = nghttp2_session_get_stream_user_data(session, id);
        if (stream != NULL && stream->reading == HTTP2_READING_BODY) {
            /* RFC 9113 §8.1: all is said, and the rest of the request is not wanted. */
            nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
        }
    }
    return 0;
}

/* --- opening
 * ------------------------------------------------------------------------------------------ */

int http2_frames_open(struct http2_listener *listener)
{
    if (nghttp2_session_callbacks_new(&listener->callbacks) != 0
        || nghttp2_option_new(&listener->option) != 0) {
        http2_frames_close(listener);
        return -ENOMEM;
    }
    nghttp2_session_callbacks *on = listener->callbacks;
    nghttp2_session_callbacks_set_on_begin_headers_callback(on, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(on, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(on, on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(on, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, on_data);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(on, on_invalid_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(on, on_stream_close);
    nghttp2_session_callbacks_set_on_begin_frame_callback(on, on_frame_begin);
    nghttp2_session_callbacks_set_on_frame_send_callback(on, on_frame_sent);
    nghttp2_session_callbacks_set_send_data_callback(on, http2_body_send);
    nghttp2_option *option = listener->option;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_no_closed_streams(option, 1);
    nghttp2_option_set_max_outbound_ack(option, HTTP2_ACKS_MAX);
    nghttp2_option_set_max_settings(option, SETTINGS_MAX);
    nghttp2_option_set_max_reserved_remote_streams(option, 0);
    return 0;
}

void http2_frames_close(struct http2_listener *listener)
{
    nghttp2_session_callbacks_del(listener->callbacks);
    nghttp2_option_del(listener->option);
}

/* A stream's window is not among our SETTINGS: it is what every stream begins with. */
_Static_assert(HTTP2_STREAM_WINDOW == NGHTTP2_INITIAL_WINDOW_SIZE, "SETTINGS must say it");

static int say_settings(struct http2_client *client)
{
    const struct http2_listener_options *opt = &client->home->opt;
    const nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, INT32_MAX}, /* first, and not what is sent */
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, opt->max_header_list_size},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1}, /* last: it may be left out */
    };
    size_t count = sizeof entries / sizeof entries[0] - !opt->websocket;
    int error = nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, entries, count);
    return error != 0 ? error
                      : nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0,
                                                              HTTP2_CONNECTION_WINDOW);
}

int http2_session_open(struct http2_client *client)
{
    nghttp2_mem memory = {client, memory_new, memory_free, memory_zeroed, memory_resize};
    struct http2_listener *listener = client->home;
    if (nghttp2_session_server_new3(&client->session, listener->callbacks, client, listener->option,
                                    &memory)
        != 0) {
        client->session = NULL;
        return -ENOMEM;
    }
    if (say_settings(client) != 0) {
        return -ENOMEM;
    }
    http2_client_soon(client);
    return 0;
}
