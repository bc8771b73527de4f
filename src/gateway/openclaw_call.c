/* SPDX-License-Identifier: Apache-2.0
 *
 * One request, or one reader of events, as a call of HTTP.
 *
 *     request, body … end ──▶ ASKED ──▶ done ──▶ SAYING ──▶ (gone)      with an error: at once
 *     GET …/events ────────▶ READING (events as they come) ──▶ SAYING ──▶ (gone)
 *
 * What is always true: its caller hears nothing from inside a call down, for what could be said at
 * once is said later in the turn; and nothing after it has cancelled. What waits to be said lies in
 * `out` and leaves in pieces, as the client takes them.
 */
#include "base/alloc.h"
#include "base/check.h"
#include "core/pool.h"
#include "gateway/openclaw_parts.h"
#include "proto/json_read.h"

#include <stdio.h>
#include <string.h>

#define PIECE_BYTES 32768U
#define METHOD_MAX  CLAW_WORD_MAX
#define WORDS_MAX   128U /* of an event besides its name and its payload */

enum call_state { CALL_TAKING, CALL_ASKED, CALL_READING, CALL_SAYING };

struct openclaw_call {
    struct http_call call;
    struct openclaw_endpoint *endpoint;
    struct claw_call request;
    struct loop_later later;
    struct node on_readers;
    enum call_state state;
    enum fault fault; /* to be told before all else */
    bool is_paused, is_telling, is_over, is_headed, ends;
    bool wants_events, wants_final, is_ready;
    uint64_t dropped; /* events, since the last that was not */
    struct bytes body, out;
    char method[METHOD_MAX];
};

static void done(struct claw_call *request, const struct claw_answer *answer);
static void say_later(struct loop_later *later);
static const struct http_call_ops call_ops;

static struct openclaw *openclaw_of(const struct openclaw_call *call)
{
    return call->endpoint->openclaw;
}

static struct openclaw_call *call_of(struct http_call *call)
{
    return container_of(call, struct openclaw_call, call);
}

struct http_call *openclaw_call_open(struct http_link *link, const struct http_caller *caller,
                                     void *user)
{
    struct openclaw_endpoint *endpoint = container_of(link, struct openclaw_endpoint, link);
    struct openclaw_call *call = alloc_zeroed(&alloc_libc, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->call.ops = &call_ops;
    call->call.caller = caller;
    call->call.user = user;
    call->call.reused = call->call.shared = true;
    call->endpoint = endpoint;
    call->request.done = done;
    call->later.run = say_later;
    bytes_init(&call->body, &alloc_libc, endpoint->openclaw->config->openclaw.message_max);
    bytes_init(&call->out, &alloc_libc, SIZE_MAX / 4); /* bounded by whoever puts in */
    return &call->call;
}

static void call_free(struct openclaw_call *call)
{
    list_leave(&call->on_readers);
    loop_later_cancel(openclaw_of(call)->loop, &call->later);
    claw_call_cancel(&call->request);
    bytes_fini(&call->body);
    bytes_fini(&call->out);
    alloc_free(&alloc_libc, call);
}

/* --- what is said -------------------------------------------------------------------------------
 *
 * Each of the caller's callbacks may cancel the call: is_over says so, and the outermost frees it.
 */

static void soon(struct openclaw_call *call)
{
    loop_later(openclaw_of(call)->loop, &call->later);
}

static void tell_fault(struct openclaw_call *call)
{
    struct fault_answer *answer = &openclaw_of(call)->answer;
    call->call.is_fault = true;
    bytes_append(&call->out, answer->body, answer->body_len);
    call->is_headed = call->ends = true;
    call->call.caller->on_head(&call->call, &answer->head);
}

static void begin_events(struct openclaw_call *call)
{
    struct http_field fields[] = {
        {.name = SLICE("Content-Type"),
         .value = SLICE("text/event-stream"),
         .id = HTTP_CONTENT_TYPE},
        {.name = SLICE("Cache-Control"), .value = SLICE("no-store")},
    };
    struct http_head head = {
        .status = 200,
        .version_minor = 1,
        .framing = HTTP_CHUNKED,
        .keep_alive = true,
        .fields = fields,
        .field_count = sizeof fields / sizeof fields[0],
        .present = UINT64_C(1) << HTTP_CONTENT_TYPE,
    };
    call->is_headed = true;
    call->call.caller->on_head(&call->call, &head);
    if (!call->is_over) {
        call->call.caller->on_flush(&call->call);
    }
}

/* Pieces, until the client takes no more of them. */
static void say(struct openclaw_call *call)
{
    const struct http_caller *caller = call->call.caller;
    while (!call->is_over && !call->is_paused && bytes_len(&call->out) > 0) {
        size_t len = bytes_len(&call->out) < PIECE_BYTES ? bytes_len(&call->out) : PIECE_BYTES;
        caller->on_body(&call->call, bytes_at(&call->out), len);
        if (!call->is_over) {
            bytes_consume(&call->out, len);
            caller->on_flush(&call->call);
        }
    }
    if (!call->is_over && call->ends && bytes_len(&call->out) == 0) {
        call->is_over = true;
        caller->on_end(&call->call, NULL, true);
    }
}

static void say_later(struct loop_later *later)
{
    struct openclaw_call *call = container_of(later, struct openclaw_call, later);
    call->is_telling = true;
    if (call->fault != FAULT_NONE && !call->is_headed) {
        fault_answer_make(&openclaw_of(call)->answer, call->fault, 0, "weir");
        tell_fault(call);
    } else if (call->state == CALL_READING && !call->is_headed) {
        begin_events(call);
    }
    if (!call->is_over) {
        say(call);
    }
    call->is_telling = false;
    if (call->is_over) {
        call_free(call);
    }
}

static void refuse_soon(struct openclaw_call *call, enum fault fault)
{
    call->state = CALL_SAYING;
    call->fault = fault;
    soon(call);
}

/* --- answers ------------------------------------------------------------------------------------
 */

/* The words of the gateway's errors, in the numbers of HTTP. */
static uint16_t status_of(const struct claw_refusal *refusal)
{
    static const struct {
        const char *code;
        uint16_t status;
    } known[] = {
        {"INVALID_REQUEST", 400}, {"UNAUTHORIZED", 401}, {"FORBIDDEN", 403},
        {"NOT_FOUND", 404},       {"NOT_LINKED", 409},   {"NOT_PAIRED", 409},
        {"UNAVAILABLE", 503},     {"TIMEOUT", 504},      {"AGENT_TIMEOUT", 504},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(refusal->code, known[i].code) == 0) {
            return known[i].status;
        }
    }
    return 502;
}

static enum fault fault_of_answer(const struct claw_answer *answer)
{
    switch (answer->err) {
    case WEIR_EDENIED: return FAULT_DENIED;
    case WEIR_ETOTAL_TIMEOUT: return FAULT_TOTAL_TIMEOUT;
    case WEIR_EREAD_TIMEOUT: return FAULT_READ_TIMEOUT;
    case WEIR_ETOO_LARGE: return answer->was_sent ? FAULT_ANSWER_SIZE : FAULT_TOO_LARGE;
    case WEIR_EAGAIN: return FAULT_QUEUE_FULL;
    case WEIR_EPROTOCOL: return FAULT_BAD_ANSWER;
    case WEIR_EGOAWAY:
    case WEIR_EHANGUP:
    case WEIR_ERESET:
    case WEIR_EBROKEN: return FAULT_RESET;
    default: return fault_of_err(answer->err);
    }
}

/* The way there is at fault, or who went it: another account may do better. */
static bool is_of_way(weir_err err)
{
    return err != WEIR_ETOO_LARGE && err != WEIR_ENOMEM && err != WEIR_ETOTAL_TIMEOUT;
}

static void begin_answer(struct openclaw_call *call, uint16_t status, uint32_t retry_after_ms)
{
    char seconds[12];
    struct http_field fields[2] = {
        {.name = SLICE("Content-Type"),
         .value = SLICE("application/json"),
         .id = HTTP_CONTENT_TYPE},
    };
    struct http_head head = {
        .status = status,
        .version_minor = 1,
        .framing = HTTP_LENGTH,
        .keep_alive = true,
        .content_length = bytes_len(&call->out),
        .fields = fields,
        .field_count = 1,
        .present = UINT64_C(1) << HTTP_CONTENT_TYPE,
    };
    if (status == 503 && retry_after_ms > 0) {
        snprintf(seconds, sizeof seconds, "%u", (retry_after_ms + 999) / 1000);
        fields[head.field_count++] = (struct http_field){
            .name = SLICE("Retry-After"), .value = slice_of(seconds), .id = HTTP_RETRY_AFTER};
        head.present |= UINT64_C(1) << HTTP_RETRY_AFTER;
    }
    call->is_headed = call->ends = true;
    call->call.caller->on_head(&call->call, &head);
}

/* The payload as it came; an error behind the word `error`, as errors of ours. */
static bool copy_answer(struct openclaw_call *call, const struct claw_answer *answer)
{
    struct slice null = SLICE("null");
    if (answer->is_ok) {
        return bytes_append_slice(&call->out, answer->payload.len > 0 ? answer->payload : null);
    }
    return bytes_append_text(&call->out, "{\"error\":")
           && bytes_append_slice(&call->out, answer->error.len > 0 ? answer->error : null)
           && bytes_append_text(&call->out, "}");
}

/* An event of the loop: the caller may be told. */
static void done(struct claw_call *request, const struct claw_answer *answer)
{
    struct openclaw_call *call = container_of(request, struct openclaw_call, request);
    call->state = CALL_SAYING;
    call->is_telling = true;
    bytes_release(&call->body);
    if (answer->err != WEIR_OK) {
        call->call.refused = !answer->was_sent && is_of_way(answer->err);
        fault_answer_make(&openclaw_of(call)->answer, fault_of_answer(answer),
                          answer->retry_after_ms, "weir");
        tell_fault(call);
    } else if (!copy_answer(call, answer)) {
        fault_answer_make(&openclaw_of(call)->answer, FAULT_INTERNAL, 0, "weir");
        bytes_clear(&call->out);
        tell_fault(call);
    } else {
        struct claw_refusal refusal = {0};
        if (!answer->is_ok) {
            claw_read_refusal(answer->error, &refusal);
        }
        begin_answer(call, answer->is_ok ? 200 : status_of(&refusal), refusal.retry_after_ms);
    }
    if (!call->is_over) {
        say(call);
    }
    call->is_telling = false;
    if (call->is_over) {
        call_free(call);
    }
}

/* --- events -------------------------------------------------------------------------------------
 */

static void append_name(struct bytes *out, const char *name)
{
    char plain[CLAW_WORD_MAX];
    size_t len = 0;
    for (; name[len] != '\0' && len < sizeof plain - 1; len++) {
        plain[len] = (unsigned char)name[len] < ' ' ? '_' : name[len];
    }
    bytes_append(out, plain, len);
}

/* On one line: what breaks lines in JSON stands between its words, and a space will do. */
static void append_line(struct bytes *out, struct slice json)
{
    char *room = bytes_room(out, json.len);
    check(room != NULL); /* it was there before the event was begun */
    for (size_t i = 0; i < json.len; i++) {
        room[i] = json.at[i] == '\n' || json.at[i] == '\r' ? ' ' : json.at[i];
    }
    bytes_filled(out, json.len);
}

uint32_t openclaw_reader_way(struct node *reader)
{
    return container_of(reader, struct openclaw_call, on_readers)->endpoint->way;
}

void openclaw_reader_ready(struct node *reader)
{
    struct openclaw_call *call = container_of(reader, struct openclaw_call, on_readers);
    if (!call->is_ready) {
        call->is_ready = true;
        bytes_append_text(&call->out, ": ready\n\n");
        soon(call);
    }
}

void openclaw_reader_event(struct node *reader, const struct claw_frame *frame)
{
    struct openclaw_call *call = container_of(reader, struct openclaw_call, on_readers);
    size_t most = frame->payload.len + sizeof frame->name + WORDS_MAX;
    if (call->ends || bytes_len(&call->out) + most > OPENCLAW_EVENTS_MAX
        || bytes_room(&call->out, most) == NULL) {
        call->dropped++;
        return;
    }
    if (call->dropped > 0) {
        bytes_printf(&call->out, "event: weir.dropped\ndata: {\"events\":%llu}\n\n",
                     (unsigned long long)call->dropped);
        call->dropped = 0;
    }
    if (frame->seq > 0) {
        bytes_printf(&call->out, "id: %llu\n", (unsigned long long)frame->seq);
    }
    bytes_append_text(&call->out, "event: ");
    append_name(&call->out, frame->name);
    bytes_append_text(&call->out, "\ndata: ");
    append_line(&call->out, frame->payload.len > 0 ? frame->payload : SLICE("null"));
    bytes_append_text(&call->out, "\n\n");
    soon(call);
}

void openclaw_reader_beat(struct node *reader)
{
    struct openclaw_call *call = container_of(reader, struct openclaw_call, on_readers);
    if (!call->ends && bytes_len(&call->out) == 0) {
        bytes_append_text(&call->out, ":\n\n");
        soon(call);
    }
}

void openclaw_reader_end(struct node *reader)
{
    struct openclaw_call *call = container_of(reader, struct openclaw_call, on_readers);
    call->ends = true;
    soon(call);
}

/* The head goes out later in the turn. */
static void read_events(struct openclaw_call *call)
{
    struct openclaw *openclaw = openclaw_of(call);
    call->state = CALL_READING;
    list_push_back(&openclaw->readers, &call->on_readers);
    call->ends = openclaw->is_draining;
    if (!call->ends) {
        openclaw_look(openclaw, call->endpoint->way);
    }
}

/* --- as the relay gives it ----------------------------------------------------------------------
 */

/* "/openclaw/NAME/METHOD?final=1", of which the relay has seen that it begins so. */
static bool read_path(struct openclaw_call *call, struct slice path)
{
    size_t at = sizeof "/openclaw/" + strlen(openclaw_of(call)->config->name);
    const char *query = memchr(path.at, '?', path.len);
    size_t end = query != NULL ? (size_t)(query - path.at) : path.len;
    if (end <= at || end - at >= sizeof call->method) {
        return false;
    }
    memcpy(call->method, path.at + at, end - at);
    call->method[end - at] = '\0';
    for (const char *c = call->method; *c != '\0'; c++) {
        bool is_word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z')
                       || (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-';
        if (!is_word) {
            return false;
        }
    }
    struct slice rest = {path.at + end, path.len - end};
    call->wants_final = slice_is(rest, "?final=1");
    return rest.len == 0 || call->wants_final;
}

static void take_request(struct http_call *http, const struct http_head *head)
{
    struct openclaw_call *call = call_of(http);
    if (!read_path(call, head->path)) {
        refuse_soon(call, FAULT_NO_ROUTE);
        return;
    }
    call->wants_events = strcmp(call->method, "events") == 0;
    if (head->method_id != (call->wants_events ? HTTP_GET : HTTP_POST)) {
        refuse_soon(call, FAULT_METHOD);
    }
}

static bool take_body(struct http_call *http, const void *data, size_t len)
{
    struct openclaw_call *call = call_of(http);
    if (call->state == CALL_TAKING && !bytes_append(&call->body, data, len)) {
        refuse_soon(call, FAULT_TOO_LARGE);
    }
    return false;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t patience_of(const struct openclaw_call *call)
{
    const struct config_upstream *config = openclaw_of(call)->config;
    uint32_t patience_ms = least(config->pool.total_timeout_ms, config->pool.first_byte_timeout_ms);
    return call->wants_final ? patience_ms
                             : least(patience_ms, config->openclaw.request_timeout_ms);
}

static void ask(struct openclaw_call *call)
{
    struct slice params = bytes_slice(&call->body);
    struct slice key;
    if (params.len > 0 && (!json_check(params) || !json_is_object(params))) {
        refuse_soon(call, FAULT_NOT_JSON);
        return;
    }
    bool is_keyed = params.len > 0 && json_member(params, SLICE("idempotencyKey"), &key);
    call->state = CALL_ASKED;
    call->request.method = call->method;
    call->request.params = params;
    call->request.flags = (is_keyed ? CLAW_CALL_REPLAY : 0)
                          | (call->wants_final ? CLAW_CALL_FINAL : 0);
    claw_call_begin(openclaw_of(call)->connector, &call->request,
                    pool_key_view(call->endpoint->pin), patience_of(call));
}

static void take_end(struct http_call *http, const struct http_head *trailers)
{
    struct openclaw_call *call = call_of(http);
    (void)trailers;
    if (call->state != CALL_TAKING) {
        return;
    }
    if (call->wants_events) {
        read_events(call);
        soon(call);
    } else {
        ask(call);
    }
}

static bool take_flush(struct http_call *http)
{
    (void)http;
    return false;
}

static void take_cancel(struct http_call *http)
{
    struct openclaw_call *call = call_of(http);
    call->is_over = true;
    if (!call->is_telling) {
        call_free(call);
    }
}

static void take_pause(struct http_call *http, bool paused)
{
    struct openclaw_call *call = call_of(http);
    call->is_paused = paused;
    if (!paused && !call->is_telling) {
        soon(call);
    }
}

static void take_took(struct http_call *http, uint32_t us)
{
    (void)http, (void)us; /* each request has told its own connection */
}

static const struct http_call_ops call_ops = {
    .request = take_request,
    .body = take_body,
    .end = take_end,
    .flush = take_flush,
    .cancel = take_cancel,
    .pause = take_pause,
    .took = take_took,
};
