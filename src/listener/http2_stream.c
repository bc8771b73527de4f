/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams: their records, and what a handler may do with an exchange. Nothing that a handler calls
 * here calls a handler: what comes of it, comes in a later event.
 */
#include "base/fetch.h"
#include "listener/http2_client.h"
#include "listener/refusal.h"

#include <string.h>

#define BIT(id)            (UINT64_C(1) << (id))
#define TRAILERS_MAX       (64U << 10) /* of an answer */
#define SPARE_TRAILERS_MAX 1024U       /* of memory that a spare record may keep for them */

/* Connection-specific (RFC 9113 §8.2.2), or said by rule. */
#define NEVER_COPIED                                                                               \
    (BIT(HTTP_CONNECTION) | BIT(HTTP_KEEP_ALIVE) | BIT(HTTP_PROXY_CONNECTION)                      \
     | BIT(HTTP_TRANSFER_ENCODING) | BIT(HTTP_UPGRADE) | BIT(HTTP_HTTP2_SETTINGS) | BIT(HTTP_TE)   \
     | BIT(HTTP_CONTENT_LENGTH))

static void kick(struct http2_stream *stream);

/* --- records ------------------------------------------------------------------------------------
 */

static void record_free(struct http2_stream *stream)
{
    bytes_fini(&stream->body);
    bytes_fini(&stream->trailers);
    alloc_free(stream->home->opt.alloc, stream);
}

static struct http2_stream *record_new(struct http2_listener *listener)
{
    struct http2_stream *stream = listener->spare;
    if (stream != NULL) {
        struct bytes body = stream->body, trailers = stream->trailers;
        listener->spare = stream->spare;
        listener->spare_count--;
        memset(stream, 0, sizeof *stream);
        stream->body = body;
        stream->trailers = trailers;
        bytes_clear(&stream->body);
        bytes_clear(&stream->trailers);
        return stream;
    }
    stream = alloc_zeroed(listener->opt.alloc, sizeof *stream);
    if (stream != NULL) {
        bytes_init(&stream->body, listener->opt.alloc, listener->opt.max_session_memory);
        bytes_init(&stream->trailers, listener->opt.alloc, TRAILERS_MAX);
    }
    return stream;
}

static void record_give(struct http2_stream *stream)
{
    struct http2_listener *listener = stream->home;
    stream->client = NULL;
    if (listener->spare_count >= HTTP2_SPARE_MAX) {
        record_free(stream);
        return;
    }
    if (stream->body.size > HTTP2_SPARE_BODY_MAX) {
        bytes_release(&stream->body);
    }
    if (stream->trailers.size > SPARE_TRAILERS_MAX) {
        bytes_release(&stream->trailers);
    }
    stream->spare = listener->spare;
    listener->spare = stream;
    listener->spare_count++;
}

void http2_stream_free_spare(struct http2_listener *listener)
{
    while (listener->spare != NULL) {
        struct http2_stream *stream = listener->spare;
        listener->spare = stream->spare;
        record_free(stream);
    }
    listener->spare_count = 0;
}

struct http2_stream *http2_stream_new(struct http2_client *client, int32_t id)
{
    struct http2_listener *listener = client->home;
    struct http2_stream *stream = record_new(listener);
    if (stream == NULL) {
        return NULL;
    }
    stream->home = listener;
    stream->client = client;
    stream->id = id;
    stream->exchange = (struct http_exchange){.ops = &http2_exchange_ops,
                                              .handler = listener->handler,
                                              .peer = &client->peer,
                                              .near = client,
                                              .is_first = client->fresh};
    stream->answer = HTTP2_ANSWER_ENDED; /* no handler knows of it yet */
    stream->active_ms = http2_now_ms(client);
    list_push_back(&client->streams, &stream->on_client);
    if (client->streams.count == 1) {
        http2_arm_client(client); /* from now on it is to answer a PING */
    }
    return stream;
}

void http2_stream_close(struct http2_stream *stream, enum http_fault fault)
{
    struct http2_client *client = stream->client;
    stream->closed = true;
    list_leave(&stream->on_told);
    list_leave(&stream->on_laden);
    list_move_back(&client->streams, &client->over, &stream->on_client);
    if (stream->lease.id != 0) {
        weir_release(client->home->pool, stream->lease, WEIR_KEEP);
        stream->lease.id = 0;
    }
    client->is_favoured = stream->exchange.is_favoured;
    if (list_is_empty(&client->streams)) {
        client->since_ms = http2_now_ms(client);
        http2_arm_client(client);
    }
    bool is_complete = stream->headed && stream->framing == HTTP_NO_BODY && fault == HTTP_FINE;
    if (http2_is_heard(stream) && !is_complete) {
        stream->answer = HTTP2_ANSWER_ABORTED;
        fault = fault == HTTP_FINE ? HTTP_FAULT_CANCELLED : fault;
        http2_tally(&client->home->counters.left, fault == HTTP_FAULT_CANCELLED);
        stream->exchange.handler->on_abort(&stream->exchange, fault);
    }
}

void http2_stream_bury(struct http2_stream *stream)
{
    stream->client->pending -= bytes_len(&stream->body);
    bytes_clear(&stream->body);
    stream->framed = 0;
    stream->client = NULL;
    if (!http2_is_heard(stream)) {
        record_give(stream);
    }
}

/* The handler is done with it; the record goes where its stream has gone already. */
static void let_go(struct http2_stream *stream)
{
    if (stream->client == NULL) {
        record_give(stream);
    }
}

void http2_stream_reset(struct http2_stream *stream, uint32_t code)
{
    struct http2_client *client = stream->client;
    if (nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, stream->id, code) != 0) {
        http2_client_no_memory(client);
    }
    http2_client_soon(client);
}

/* --- answers of the listener's own ---------------------------------------------------------------
 */

/* An answer of gRPC that has begun ends with why it does. False: it cannot. */
static bool end_call(struct http2_stream *stream, const struct http1_refusal *refusal)
{
    if (!stream->is_grpc || !stream->headed || stream->closed || stream->framing != HTTP_CHUNKED) {
        return false;
    }
    struct refusal_answer answer;
    refusal_make_grpc(&answer, refusal, true);
    stream->answer = HTTP2_ANSWER_BODY;
    stream->exchange.ops->end(&stream->exchange, &answer.head);
    return true;
}

void http2_stream_refuse(struct http2_stream *stream, const struct http1_refusal *refusal,
                         enum http_fault fault)
{
    struct http2_client *client = stream->client;
    struct http2_listener *listener = client->home;
    if (http2_is_heard(stream)) {
        stream->answer = HTTP2_ANSWER_ABORTED;
        stream->exchange.handler->on_abort(&stream->exchange, fault);
    }
    if (end_call(stream, refusal)) {
        http2_tally(&listener->counters.cut, 1);
        return;
    }
    if (stream->headed || stream->closed) {
        http2_tally(&listener->counters.cut, stream->headed);
        http2_stream_reset(stream, NGHTTP2_CANCEL);
        return;
    }
    if (listener->opt.on_refuse != NULL) {
        listener->opt.on_refuse(listener->opt.refuse_self, &client->peer, refusal);
    }
    struct refusal_answer answer;
    if (stream->is_grpc) {
        refusal_make_grpc(&answer, refusal, false);
    } else {
        refusal_make(&answer, refusal, listener->opt.server);
    }
    stream->answer = HTTP2_ANSWER_NONE;
    stream->exchange.ops->respond(&stream->exchange, &answer.head);
    stream->exchange.ops->body(&stream->exchange, answer.body, answer.body_len);
    stream->exchange.ops->end(&stream->exchange, NULL);
}

void http2_stream_drained(struct http2_stream *stream)
{
    stream->waits = false;
    if (stream->answer == HTTP2_ANSWER_BODY) {
        stream->exchange.handler->on_drain(&stream->exchange);
    }
}

/* --- the head ------------------------------------------------------------------------------------
 */

static struct http2_stream *stream_of(struct http_exchange *exchange)
{
    return (struct http2_stream *)(void *)exchange;
}

static void count_answer(struct http2_counters *counters, unsigned status)
{
    _Atomic uint64_t *by_class[] = {
        &counters->answers_1xx, &counters->answers_2xx, &counters->answers_3xx,
        &counters->answers_4xx, &counters->answers_5xx,
    };
    if (status >= 100 && status < 600) {
        http2_tally(by_class[status / 100 - 1], 1);
    }
}

/* nghttp2 copies both, and makes names lower-case, but for those that are fixed: they stay for
 * ever. */
static nghttp2_nv nv_of(struct slice name, struct slice value, bool is_fixed)
{
    union {
        const char *borrowed;
        uint8_t *bytes; /* nghttp2 only reads */
    } n = {.borrowed = name.at}, v = {.borrowed = value.len > 0 ? value.at : ""};
    return (nghttp2_nv){n.bytes, v.bytes, name.len, value.len,
                        is_fixed ? NGHTTP2_NV_FLAG_NO_COPY_NAME : NGHTTP2_NV_FLAG_NONE};
}

static size_t put_fields(nghttp2_nv *nva, size_t count, const struct http_field *fields,
                         unsigned field_count, bool is_by_hand)
{
    for (unsigned i = 0; i < field_count; i++) {
        const struct http_field *field = &fields[i];
        unsigned id = field->id;
        if (is_by_hand && id == HTTP_FIELD_OTHER) {
            id = http_field_id_of(field->name);
        }
        if (!field->drop && (NEVER_COPIED >> id & 1) == 0 && count < 2 * HTTP_FIELDS_MAX - 4) {
            struct slice fixed = http_field_name((enum http_field_id)id);
            nva[count++] = nv_of(fixed.len > 0 ? fixed : field->name, field->value, fixed.len > 0);
        }
    }
    return count;
}

static bool is_bodiless(const struct http_head *head, uint8_t asked)
{
    return asked == HTTP_HEAD || head->status < 200 || head->status == 204 || head->status == 304;
}

/* Whether Content-Length is to be said: RFC 9110 §8.6. */
static bool says_length(const struct http_head *head, uint8_t asked)
{
    if (head->status < 200 || head->status == 204) {
        return false;
    }
    if (is_bodiless(head, asked)) {
        return head->framing == HTTP_LENGTH || http_has(head, HTTP_CONTENT_LENGTH);
    }
    return head->framing == HTTP_LENGTH || head->framing == HTTP_NO_BODY;
}

static size_t print_u64(uint64_t number, char room[20])
{
    char digits[20];
    char *at = digits + sizeof digits;
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    size_t len = (size_t)(digits + sizeof digits - at);
    memcpy(room, at, len);
    return len;
}

static size_t fill_head(struct http2_stream *stream, const struct http_head *head, char room[32])
{
    nghttp2_nv *nva = stream->home->nva;
    check(head->status >= 100 && head->status <= 999);
    room[0] = (char)('0' + head->status / 100);
    room[1] = (char)('0' + head->status / 10 % 10);
    room[2] = (char)('0' + head->status % 10);
    size_t count = 0;
    nva[count++] = nv_of(SLICE(":status"), (struct slice){room, 3}, true);
    count = put_fields(nva, count, head->fields, head->field_count, false);
    count = put_fields(nva, count, head->added, head->added_count, true);
    if (says_length(head, stream->method_id)) {
        uint64_t length = head->framing == HTTP_NO_BODY && !is_bodiless(head, stream->method_id)
                              ? 0
                              : head->content_length;
        struct slice text = {room + 4, (uint32_t)print_u64(length, room + 4)};
        nva[count++] = nv_of(SLICE("content-length"), text, true);
    }
    if (head->status >= 200 && !http_has(head, HTTP_DATE)) {
        struct slice date = {loop_http_date(stream->home->loop), 29};
        nva[count++] = nv_of(SLICE("date"), date, true);
    }
    return count;
}

static void plan_answer(struct http2_stream *stream, const struct http_head *head)
{
    bool has_body = !is_bodiless(head, stream->method_id) && head->framing != HTTP_NO_BODY;
    stream->framing = has_body ? head->framing : HTTP_NO_BODY;
    stream->left = head->content_length;
    stream->headed = true;
    stream->answer = HTTP2_ANSWER_BODY;
}

static void exchange_respond(struct http_exchange *exchange, const struct http_head *head)
{
    struct http2_stream *stream = stream_of(exchange);
    if (stream->closed || stream->answer != HTTP2_ANSWER_NONE || head->status == 101) {
        return;
    }
    nghttp2_session *session = stream->client->session;
    nghttp2_nv *nva = stream->home->nva;
    char room[32];
    size_t count = fill_head(stream, head, room);
    int error;
    if (head->status < 200) {
        error = nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, stream->id, NULL, nva, count,
                                       NULL);
    } else {
        plan_answer(stream, head);
        const nghttp2_data_provider body = {.source.ptr = stream, .read_callback = http2_body_read};
        error = nghttp2_submit_response(session, stream->id, nva, count,
                                        stream->framing != HTTP_NO_BODY ? &body : NULL);
    }
    count_answer(&stream->home->counters, head->status);
    if (error == NGHTTP2_ERR_NOMEM) {
        http2_client_no_memory(stream->client);
    }
    if (exchange->is_last) {
        http2_client_notice(stream->client);
    }
    http2_client_soon(stream->client);
}

/* --- the body
 * ------------------------------------------------------------------------------------- */

/* nghttp2 waits for more of this stream, and there is some, or its end. */
static void kick(struct http2_stream *stream)
{
    if (stream->deferred) {
        stream->deferred = false;
        if (nghttp2_session_resume_data(stream->client->session, stream->id) == NGHTTP2_ERR_NOMEM) {
            http2_client_no_memory(stream->client);
        }
    }
    http2_client_soon(stream->client);
}

static bool is_blocked(const struct http2_stream *stream)
{
    return bytes_len(&stream->body) >= HTTP2_BODY_HIGH
           || (stream->client->pending >= HTTP2_PENDING_HIGH && bytes_len(&stream->body) > 0);
}

static bool exchange_body(struct http_exchange *exchange, const void *data, size_t len)
{
    struct http2_stream *stream = stream_of(exchange);
    if (stream->closed || stream->answer != HTTP2_ANSWER_BODY || stream->framing == HTTP_NO_BODY) {
        return false;
    }
    struct http2_client *client = stream->client;
    if (stream->framing == HTTP_LENGTH) {
        len = len > stream->left ? stream->left : len; /* §8.1.1: no more than announced */
        stream->left -= len;
    }
    if (client->pending + client->memory + len > client->home->opt.max_session_memory
        || !bytes_append(&stream->body, data, len)) {
        http2_client_calm(client, HTTP2_FLOOD_MEMORY);
        return true;
    }
    client->pending += len;
    if (!list_holds(&stream->on_laden)) {
        list_push_back(&client->laden, &stream->on_laden);
    }
    return is_blocked(stream);
}

static bool exchange_flush(struct http_exchange *exchange)
{
    struct http2_stream *stream = stream_of(exchange);
    if (stream->closed) {
        return false;
    }
    kick(stream);
    stream->active_ms = http2_now_ms(stream->client);
    stream->waits = stream->answer == HTTP2_ANSWER_BODY && is_blocked(stream);
    return stream->waits;
}

static void submit_trailers(struct http2_stream *stream)
{
    nghttp2_nv *nva = stream->home->nva;
    size_t count = 0;
    const char *at = bytes_at(&stream->trailers);
    const char *end = at + bytes_len(&stream->trailers);
    while (at < end && count < HTTP_FIELDS_MAX) {
        uint32_t lens[2];
        memcpy(lens, at, sizeof lens);
        at += sizeof lens;
        nva[count++] = nv_of((struct slice){at, lens[0]}, (struct slice){at + lens[0], lens[1]},
                             false);
        at += lens[0] + lens[1];
    }
    if (nghttp2_submit_trailer(stream->client->session, stream->id, nva, count) != 0) {
        http2_client_no_memory(stream->client);
    }
}

/* NOLINTNEXTLINE(readability-function-size,readability-non-const-parameter): nghttp2's signature */
ssize_t http2_body_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
    (void)session;
    (void)id;
    (void)buf;
    (void)user;
    struct http2_stream *stream = source->ptr;
    size_t there = bytes_len(&stream->body) - stream->framed;
    bool is_all = there <= length;
    if (there == 0 && stream->answer == HTTP2_ANSWER_ABORTED) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* RST_STREAM: the client sees a cut */
    }
    if (there == 0 && stream->answer != HTTP2_ANSWER_ENDED) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (is_all && stream->answer == HTTP2_ANSWER_ENDED) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (bytes_len(&stream->trailers) > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            submit_trailers(stream);
        }
    }
    return (ssize_t)(is_all ? there : length);
}

int http2_body_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                    size_t length, nghttp2_data_source *source, void *user)
{
    (void)session;
    struct http2_client *client = user;
    struct http2_stream *stream = source->ptr;
    const struct cork *cork = client->out.cork;
    check(frame->data.padlen == 0);
    if (cork->owner == &client->out
        && (cork->count + 2 >= (int)CORK_PARTS_MAX
            || cork->text_used + HTTP2_FRAME_HEAD + CORK_COPY_BYTES > CORK_TEXT_BYTES)) {
        client->full = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    outbox_text(&client->out, head, HTTP2_FRAME_HEAD);
    if (length > 0) { /* an end may come alone, and there never was a body */
        outbox_refer(&client->out, bytes_at(&stream->body) + stream->framed, length);
    }
    stream->framed += (uint32_t)length;
    stream->blocked_bytes += length;
    http2_budget_earn(&client->budget, length);
    return 0;
}

/* --- the end
 * --------------------------------------------------------------------------------------- */

static void exchange_abort(struct http_exchange *exchange)
{
    struct http2_stream *stream = stream_of(exchange);
    if (!http2_is_heard(stream)) {
        return;
    }
    bool begun = stream->headed;
    stream->answer = HTTP2_ANSWER_ABORTED;
    if (stream->closed) {
        let_go(stream);
        return;
    }
    http2_tally(&stream->home->counters.cut, 1);
    if (begun && stream->framing != HTTP_NO_BODY) {
        kick(stream); /* what there is of the body goes first */
    } else {
        http2_stream_reset(stream, NGHTTP2_INTERNAL_ERROR);
    }
}

/* nghttp2 takes them when the body has gone, not before. False: they are too long. */
static bool keep_trailers(struct http2_stream *stream, const struct http_head *trailers)
{
    for (unsigned i = 0; i < trailers->field_count; i++) {
        const struct http_field *field = &trailers->fields[i];
        const uint32_t lens[2] = {field->name.len, field->value.len};
        if (field->drop || (NEVER_COPIED >> field->id & 1) != 0) {
            continue;
        }
        if (!bytes_append(&stream->trailers, lens, sizeof lens)
            || !bytes_append_slice(&stream->trailers, field->name)
            || !bytes_append_slice(&stream->trailers, field->value)) {
            return false;
        }
    }
    return true;
}

static void exchange_end(struct http_exchange *exchange, const struct http_head *trailers)
{
    struct http2_stream *stream = stream_of(exchange);
    if (!http2_is_heard(stream)) {
        return;
    }
    if (!stream->headed || (stream->framing == HTTP_LENGTH && stream->left > 0)) {
        exchange_abort(exchange); /* less than announced: the client has to see a cut */
        return;
    }
    stream->answer = HTTP2_ANSWER_ENDED;
    if (stream->closed) {
        let_go(stream);
        return;
    }
    if (trailers != NULL && stream->framing != HTTP_NO_BODY && !keep_trailers(stream, trailers)) {
        stream->answer = HTTP2_ANSWER_ABORTED;
    }
    kick(stream);
}

/* The window opens again, by what was received while it was shut. */
static void give_window(struct http2_stream *stream)
{
    struct http2_client *client = stream->client;
    client->withheld -= stream->withheld;
    if (stream->reading == HTTP2_READING_BODY) {
        nghttp2_session_consume_stream(client->session, stream->id, stream->withheld);
    }
    stream->withheld = 0;
    if (client->debt > 0 && client->withheld <= HTTP2_WITHHELD_MAX) {
        nghttp2_session_consume_connection(client->session, client->debt);
        client->debt = 0;
    }
    http2_client_soon(client);
}

static void exchange_pause(struct http_exchange *exchange, bool paused)
{
    struct http2_stream *stream = stream_of(exchange);
    if (stream->closed || stream->paused == paused) {
        return;
    }
    stream->paused = paused;
    if (!paused) {
        stream->measured_ms = http2_now_ms(stream->client);
        stream->measured_bytes = 0;
        give_window(stream);
        http2_arm_stream(stream);
    }
}

static void exchange_untime(struct http_exchange *exchange)
{
    stream_of(exchange)->untimed = true;
}

const struct http_exchange_ops http2_exchange_ops = {
    .respond = exchange_respond,
    .body = exchange_body,
    .end = exchange_end,
    .flush = exchange_flush,
    .abort = exchange_abort,
    .pause = exchange_pause,
    .untime = exchange_untime,
};
